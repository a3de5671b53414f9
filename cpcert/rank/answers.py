"""What `cpcert cprank`, `cpcert copositive`, `cpcert rank` and `cpcert bipartite` print and write: JSON objects, sentences, files."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from cpcert.errors import InputError
from cpcert.outcomes import Outcome
from cpcert.output import write_file, write_json
from cpcert.printing import about, plural
from cpcert.rank.bounds import CpRankBounds, refuted_within
from cpcert.rank.copositivity import CopositiveBounds
from cpcert.rank.graph_files import GraphFile
from cpcert.rank.graphs import edge_atoms, edge_matrix, identity_network_cost
from cpcert.rank.matrices import ExactMatrix, float_matrix, float_rounding
from cpcert.rank.pair import RankSigmaBounds
from cpcert.rank.proofs import (
    Atoms,
    CpRankOfSigma,
    EdgeCliqueCover,
    Exposing,
    Face,
    IdealSparse,
    Lifted,
    LowerComponents,
    Moments,
    Nearby,
    NearbyNeurons,
    NotCompletelyPositive,
    NotPsd,
    Number,
    PairNotPsd,
    PairRank,
    Principal,
    Rank,
    Shares,
    SigmaNotCp,
    Square,
    TriangleFree,
    Upper,
    UpperComponents,
    as_json,
)

_REFUTATIONS = {
    "negative_entry": "a negative entry",
    "not_psd": "a vector v with v'Av < 0",
    "triangle_free": "triangle-free support, and the comparison matrix is not positive semidefinite",
    "copositive": "a copositive matrix S with <S, A> < 0",
}
_COPOSITIVE = {
    "supports": "all supports visited",
    "semidefinite": "positive semidefinite",
    "sum": "a nonnegative matrix plus a positive semidefinite one",
    "blocks": "blocks between which no entry is negative",
}
# Minimal zeros in the sentence.
SHOWN = 40
GIVEN_AS_FLOATS = "entries were given as floating-point numbers: the statements hold for the matrix exactly as given"
WITHIN_ROUNDING = (
    "this holds by less than the entries may have been rounded by: what was there before rounding may pass; "
    "give exact entries (integers or p/q) if you can"
)


def describe(proof: Any) -> str | None:
    """A few words about a proof: what kind of argument it is."""
    match proof:
        case Rank():
            return "rank"
        case EdgeCliqueCover(TriangleFree()):
            return "edge clique cover (triangle-free)"
        case EdgeCliqueCover(cover):
            return f"edge clique cover ({cover.kind})"
        case Exposing():
            return "exposing copositive matrix"
        case Moments():
            return "semidefinite bound"
        case Shares():
            return "shares of entries, each with a semidefinite bound"
        case IdealSparse():
            return "ideal-sparse semidefinite bound"
        case LowerComponents(parts) | UpperComponents(parts):
            kinds = sorted({str(describe(part.proof)) for part in parts})
            return f"components ({', '.join(kinds)})" if kinds else "the zero matrix"
        case Atoms():
            return "exact factorisation"
        case Nearby():
            return "an exact factorisation near a float one (Brouwer)"
        case Face():
            return "an exact factorisation near a float one, on a face (Brouwer)"
        case NearbyNeurons():
            return "exact neurons near float ones (Brouwer)"
        case PairRank(of):
            return f"rank of {of}"
        case CpRankOfSigma(inner):
            return f"cp-rank of K_sigma: {describe(inner)}"
        case Lifted(node):
            of_block = getattr(node.end, "proof", None)
            return "lifted matrix" if of_block is None else f"lifted matrix: {describe(of_block)}"
        case Square():
            return "as many neurons as points refuted, by their signs"
        case None:
            return None
    return _REFUTATIONS.get(getattr(proof, "kind", ""), getattr(proof, "kind", None))


def refutation(proof: Any) -> str | None:
    """A few words about a proof that a matrix is not completely positive."""
    while isinstance(proof, Principal):
        proof = proof.proof
    return None if proof is None else _REFUTATIONS[proof.kind]


# -- cprank ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class CpRankOutcome(Outcome):
    """The bounds for a matrix; certificate: the file with the claim and its proof, if it was written."""

    matrix: ExactMatrix
    bounds: CpRankBounds
    seconds: float
    certificate: Path | None = None

    @property
    def completely_positive(self) -> bool | None:
        """True and False are proven, None is open."""
        return self.bounds.completely_positive

    def claim(self) -> dict[str, Any]:
        """The strongest claim, with its proof, as `cpcert.verify` takes it."""
        return self.bounds.claim()

    @property
    def lower(self) -> int | None:
        """Proven lower end."""
        return self.bounds.lower

    @property
    def upper(self) -> int | None:
        """Proven upper end; None where there is none."""
        return self.bounds.upper

    @property
    def within_rounding(self) -> bool | None:
        """Whether a refutation holds by no more than the entries may have been rounded by; None: nothing is refuted."""
        matrix, negative = self.matrix, self.bounds.negative_proof
        if negative is None:
            return None
        return matrix.floats and refuted_within(matrix.rows, negative, matrix.rounding)

    @property
    def notes(self) -> list[str]:
        """What there is to say about the entries as they were given, and what was not attempted."""
        given = [GIVEN_AS_FLOATS] if self.matrix.floats else []
        near = [WITHIN_ROUNDING] if self.within_rounding else []
        rounded = _rank_of_rounding(self.matrix, self.bounds)
        return [*self.matrix.notes, *given, *near, *rounded, *self.bounds.notes]

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert cprank`; null for what is not known."""
        bounds = self.bounds
        return {
            "matrix": self.matrix.name,
            "order": len(self.matrix.rows),
            "completely_positive": bounds.completely_positive,
            "lower": bounds.lower,
            "upper": bounds.upper,
            "lower_proof": describe(bounds.lower_proof),
            "upper_proof": describe(bounds.upper_proof),
            "refutation": refutation(bounds.negative_proof),
            "within_rounding": self.within_rounding,
            "floating_lower": bounds.floating_lower,
            "floating_upper": bounds.floating_upper,
            "notes": self.notes,
            "seconds": self.seconds,
            "certificate": None if self.certificate is None else str(self.certificate),
        }

    def sentence(self) -> str:
        """The same in a sentence or two."""
        bounds = self.bounds
        effort = f"{self.seconds:.1f} s"
        notes = "".join(f"\n{note}" for note in self.notes)
        if bounds.completely_positive is False:
            return f"not completely positive, {effort}: {refutation(bounds.negative_proof)}{notes}"
        below = f"lower: {describe(bounds.lower_proof)}"
        if bounds.completely_positive:
            rank = f"{bounds.lower}" if bounds.lower == bounds.upper else f"between {bounds.lower} and {bounds.upper}"
            claim = f"completely positive, cp-rank {rank}, {effort}; {below}; upper: {describe(bounds.upper_proof)}"
        else:
            claim = (
                f"undecided whether completely positive; if it is, cp-rank at least {bounds.lower}, {effort}; {below}"
            )
        if bounds.floating_upper is not None:
            claim += f"\nin floating point only, no proof: a factorisation with {bounds.floating_upper} atoms"
        return claim + notes

    def write(self, folder: Path) -> CpRankOutcome:
        """Write NAME-cprank.json and NAME-cprank-proof.json; returns the outcome with the path of the proof."""
        name = f"{self.matrix.name}-cprank"
        written = replace(self, certificate=write_proof(self.claim(), folder, name))
        write_json(folder / f"{name}.json", written.as_json())
        return written


def _rank_of_rounding(matrix: ExactMatrix, bounds: CpRankBounds) -> list[str]:
    """A Gram matrix of low rank has full rank once it is rounded; then the bound by the rank means little."""
    if not matrix.floats or not isinstance(bounds.lower_proof, Rank):
        return []
    values = np.linalg.eigvalsh(float_matrix(matrix.rows))
    small = int((abs(values) <= len(values) * float(matrix.rounding)).sum())
    if not small:
        return []
    return [
        f"{small} of {len(values)} eigenvalues are within rounding of 0: what was there before rounding may have the rank "
        f"{len(values) - small}, and a smaller cp-rank"
    ]


# -- copositive ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class CopositiveOutcome(Outcome):
    """Whether the matrix is copositive; certificate: the file with the claim and its proof, if it was written."""

    matrix: ExactMatrix
    bounds: CopositiveBounds
    seconds: float
    certificate: Path | None = None

    @property
    def copositive(self) -> bool | None:
        """True and False are proven, None is open."""
        return self.bounds.copositive

    @property
    def strictly(self) -> bool | None:
        """Whether xᵀAx > 0 for all x ≥ 0 but 0: True and False are proven, None is open."""
        return self.bounds.strictly

    def claim(self) -> dict[str, Any]:
        """The claim with its proof, for `verify`. Raises InputError where nothing is proven."""
        claim = self.bounds.claim()
        if claim is None:
            raise InputError("claim: nothing is proven about the matrix; give it more time")
        return claim

    @property
    def notes(self) -> list[str]:
        """What there is to say about the entries as they were given, and what is open."""
        given = [GIVEN_AS_FLOATS] if self.matrix.floats else []
        return [*self.matrix.notes, *given, *self.bounds.notes]

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert copositive`; null for what is not known."""
        bounds = self.bounds
        return {
            "matrix": self.matrix.name,
            "order": len(self.matrix.rows),
            "copositive": bounds.copositive,
            "strictly": bounds.strictly,
            "minimal_zeros": as_json(bounds.minimal_zeros),
            "witness": as_json(bounds.witness),
            "proof": _COPOSITIVE.get(bounds.proof.kind) if bounds.proof is not None else None,
            "notes": self.notes,
            "seconds": self.seconds,
            "certificate": None if self.certificate is None else str(self.certificate),
        }

    def sentence(self) -> str:
        """The same in a few lines: minimal zeros by their nonzero entries."""
        bounds, effort = self.bounds, f"{self.seconds:.1f} s"
        if bounds.witness is not None:
            claim = f"not copositive, {effort}: x'Ax < 0 for x = {_nonzeros(bounds.witness)}"
        elif bounds.proof is None:
            claim = f"undecided whether copositive, {effort}"
        else:
            strictly = "strictly copositive" if bounds.strictly else "copositive"
            claim = f"{strictly}, {effort}; proof: {_COPOSITIVE[bounds.proof.kind]}"
        if bounds.minimal_zeros:
            count = len(bounds.minimal_zeros)
            claim += f"\n{count} minimal {plural(count, 'zero')} (index: entry):"
            claim += "".join(f"\n  {_nonzeros(zero)}" for zero in bounds.minimal_zeros[:SHOWN])
            if len(bounds.minimal_zeros) > SHOWN:
                claim += "\n  … (all of them: --json)"
        return claim + "".join(f"\n{note}" for note in self.notes)

    def write(self, folder: Path) -> CopositiveOutcome:
        """Write NAME-copositive.json and, if anything is proven, NAME-copositive-proof.json; returns the outcome with its path."""
        name, claim = f"{self.matrix.name}-copositive", self.bounds.claim()
        written = self if claim is None else replace(self, certificate=write_proof(claim, folder, name))
        write_json(folder / f"{name}.json", written.as_json())
        return written


def _nonzeros(x: tuple[Number, ...]) -> str:
    """`0: 1, 4: 3/2`."""
    return ", ".join(f"{i}: {v}" for i, v in enumerate(x) if v)


# -- rank ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class RankSigmaOutcome(Outcome):
    """The bounds for a covariance pair; certificate: the file with the claim and its proof, if it was written."""

    bounds: RankSigmaBounds
    seconds: float
    certificate: Path | None = None

    def claim(self) -> dict[str, Any]:
        """The strongest claim, with its proof, as `cpcert.verify` takes it."""
        return self.bounds.claim()

    @property
    def lower(self) -> int | None:
        """Proven lower end."""
        return self.bounds.lower

    @property
    def upper(self) -> int | None:
        """Proven upper end; None where there is none."""
        return self.bounds.upper

    @property
    def notes(self) -> list[str]:
        """What there is to say about the entries as they were given."""
        pair = self.bounds.pair
        given = [GIVEN_AS_FLOATS.replace("matrix", "pair")] if pair.floats else []
        return [*pair.notes, *given, *([WITHIN_ROUNDING] if _pair_within_rounding(self.bounds) else [])]

    @property
    def upper_proof(self) -> str | None:
        """A few words about what the upper end rests on."""
        proof = self.bounds.upper_proof
        return describe(getattr(proof, "proof", proof))

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert rank`."""
        bounds = self.bounds
        return {
            "pair": bounds.pair.name,
            "N": len(bounds.pair.K),
            "activation": bounds.pair.activation.name,
            "in_S": False if bounds.not_in_S is not None else True if bounds.upper is not None else None,
            "rank_sigma": {"lower": bounds.lower, "upper": bounds.upper},
            "lower_proof": describe(bounds.lower_proof),
            "upper_proof": self.upper_proof,
            "floating_upper": bounds.floating_upper,
            "refutation": _pair_refutation(bounds.not_in_S),
            "within_rounding": _pair_within_rounding(bounds),
            "notes": self.notes,
            "seconds": self.seconds,
            "certificate": None if self.certificate is None else str(self.certificate),
        }

    def sentence(self) -> str:
        """The same in a sentence."""
        bounds = self.bounds
        effort = f"{self.seconds:.1f} s"
        notes = "".join(f"\n{note}" for note in self.notes)
        if bounds.not_in_S is not None:
            return f"no layer of any width has these covariances, {effort}: {_pair_refutation(bounds.not_in_S)}{notes}"
        if bounds.lower == bounds.upper:
            claim = f"Rank_sigma = {bounds.lower}"
        elif bounds.upper is not None:
            claim = f"Rank_sigma between {bounds.lower} and {bounds.upper}"
        else:
            claim = f"Rank_sigma at least {bounds.lower}, no upper bound proven"
        above = "" if bounds.upper is None else f"; upper: {self.upper_proof}"
        if bounds.floating_upper is not None:
            notes = f"\nin floating point only, no proof: {bounds.floating_upper} neurons{notes}"
        return f"{claim}, {effort}; lower: {describe(bounds.lower_proof)}{above}{notes}"

    def write(self, folder: Path) -> RankSigmaOutcome:
        """Write NAME-rank.json and NAME-rank-proof.json; returns the outcome with the path of the proof."""
        name = f"{self.bounds.pair.name}-rank"
        written = replace(self, certificate=write_proof(self.claim(), folder, name))
        write_json(folder / f"{name}.json", written.as_json())
        return written


def _pair_within_rounding(bounds: RankSigmaBounds) -> bool | None:
    """None: not refuted, or by the lifted equations, for which this is not decided."""
    pair = bounds.pair
    match bounds.not_in_S:
        case PairNotPsd("K", v):
            return pair.floats and refuted_within(pair.K, NotPsd(v), float_rounding(pair.K))
        case PairNotPsd(_, v):
            proof: NotCompletelyPositive = NotPsd(v)
        case SigmaNotCp(proof):
            pass
        case _:
            return None
    sigma = [[v - pair.beta * pair.beta for v in row] for row in pair.K_sigma]
    return pair.floats and refuted_within(sigma, proof, float_rounding(pair.K_sigma))


def _pair_refutation(proof: Any) -> str | None:
    match getattr(proof, "kind", None):
        case None:
            return None
        case "not_cp":
            return f"K_sigma - beta^2 11' is not completely positive: {refutation(proof.proof)}"
        case "not_psd":
            return f"{proof.of} is not positive semidefinite"
    inner = getattr(proof.node.end, "refutation", None)
    return "the lifted equations have no solution" + ("" if inner is None else f": {refutation(inner)}")


# -- bipartite -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class GraphOutcome(Outcome):
    """The bounds for A = EᵀE of a graph; what it was read from; certificate: the file with the claim and its proof."""

    name: str
    read: GraphFile
    bounds: CpRankBounds
    seconds: float
    certificate: Path | None = None

    def claim(self) -> dict[str, Any]:
        """The strongest claim, with its proof, as `cpcert.verify` takes it."""
        return self.bounds.claim()

    @property
    def lower(self) -> int | None:
        """Proven lower end."""
        return self.bounds.lower

    @property
    def upper(self) -> int | None:
        """Proven upper end; None where there is none."""
        return self.bounds.upper

    @property
    def notes(self) -> list[str]:
        """What there is to say about how the graph was read, and what was not attempted."""
        return [*self.read.notes, *self.bounds.notes]

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert bipartite`.

        representation_cost: R(I, A) = 2 Tr A for β = 0, exactly (graphs.py). Rank_σ is that of the optimal pair K = K^σ = A,
        which is unique, so it is the cp-rank of A: the width at which the plateau of the trained loss starts.
        """
        graph, bounds = self.read.graph, self.bounds
        interval = {"lower": bounds.lower, "upper": bounds.upper}
        return {
            "graph": self.name,
            "format": self.read.format,
            "N": graph.number_of_nodes(),
            "vertices": graph.number_of_nodes(),
            "edges": graph.number_of_edges(),
            "isolated": nx.number_of_isolates(graph),
            "cp_rank": interval,
            "lower_proof": describe(bounds.lower_proof),
            "rank_sigma": dict(interval),
            "representation_cost": 4 * graph.number_of_edges(),
            "identity_network_cost": identity_network_cost(bounds.A),
            "plateau_start": dict(interval),
            "notes": self.notes,
            "seconds": self.seconds,
            "certificate": None if self.certificate is None else str(self.certificate),
        }

    def sentence(self) -> str:
        """A line for each quantity."""
        graph, lower, upper = self.read.graph, self.bounds.lower, self.bounds.upper
        rank = str(lower) if lower == upper else f"between {lower} and {upper}"
        start = f"widths from {rank} on reach the minimum, no smaller one does"
        if lower != upper:
            start = f"the least width that reaches the minimum is {rank}"
        identity = (
            f"about {about(identity_network_cost(self.bounds.A))} ({graph.number_of_nodes()} neurons, floating point)"
        )
        below = describe(self.bounds.lower_proof)
        rows = [
            ("graph", self._read()),
            ("cp-rank", f"{rank}, proven; lower: {below}; upper: one atom for each edge or fewer"),
            ("Rank_sigma", f"{rank}, of the optimal pair K = K_sigma = A (X = I, Y = A, beta = 0)"),
            ("representation cost", f"{4 * graph.number_of_edges()} = 2 Tr A, exactly"),
            ("cost with W1 ~ I", identity),
            ("plateau", start),
        ]
        return "\n".join(f"{name:<20} {value}" for name, value in rows) + "".join(f"\n{note}" for note in self.notes)

    def _read(self) -> str:
        """`c5: 5 vertices, 5 edges, no isolated vertex (edge list)`."""
        graph, isolated = self.read.graph, nx.number_of_isolates(self.read.graph)
        alone = {0: "no isolated vertex", 1: "1 isolated vertex"}.get(isolated, f"{isolated} isolated vertices")
        vertices, edges = graph.number_of_nodes(), graph.number_of_edges()
        return f"{self.name}: {vertices} vertices, {edges} edges, {alone} ({self.read.format})"

    def instance(self) -> str:
        """The data set of Prop. 14 as an instance file: X = I, Y = A, interpolate, β = 0."""
        A = edge_matrix(self.read.graph)
        identity = [[int(i == j) for j in range(len(A))] for i in range(len(A))]
        return (
            f"# X = I and Y = A = E'E of a graph with {self.read.graph.number_of_edges()} edges: "
            "representation cost 2 Tr A.\n"
            f"data:\n  source: inline\n  X: {json.dumps(identity)}\n  Y: {json.dumps(A)}\nloss: interpolate\nbeta: 0\n"
        )

    def write(self, folder: Path) -> GraphOutcome:
        """Write NAME-interpolate.yaml, NAME-bipartite.json and NAME-bipartite-proof.json; returns the outcome with the path of the
        proof."""
        write_file(folder / f"{self.name}-interpolate.yaml", self.instance().encode())
        name = f"{self.name}-bipartite"
        written = replace(self, certificate=write_proof(self.claim(), folder, name))
        write_json(folder / f"{name}.json", written.as_json())
        return written


def graph_bounds(graph: nx.Graph, seconds: float, seed: int) -> CpRankBounds:
    """Bounds for A = EᵀE; the edges are always an exact factorisation."""
    from cpcert.rank.bounds import cp_rank_bounds, with_upper

    bounds = cp_rank_bounds(edge_matrix(graph), seconds, seed)
    edges: Upper = edge_atoms(graph)
    return with_upper(bounds, graph.number_of_edges(), edges)


# -- files -----------------------------------------------------------------------------------------------------------


def write_proof(claim: dict[str, Any], folder: Path, name: str) -> Path:
    """Write the claim with its proof, NAME-proof.json, for `cpcert verify`. Raises OSError when the disk refuses."""
    proof = folder / f"{name}-proof.json"
    write_file(proof, (json.dumps(as_json(claim), allow_nan=False) + "\n").encode())
    return proof
