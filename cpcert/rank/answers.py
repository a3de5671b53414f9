"""What `cpcert cprank`, `cpcert rank` and `cpcert bipartite` print and write: JSON objects, sentences, files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from cpcert.printing import about
from cpcert.rank.bounds import CpRankBounds, refuted_within
from cpcert.rank.graph_files import GraphFile
from cpcert.rank.graphs import edge_atoms, edge_matrix, identity_network_cost
from cpcert.rank.matrices import ExactMatrix, float_matrix, float_rounding
from cpcert.rank.pair import RankSigmaBounds
from cpcert.rank.proofs import (
    Atoms,
    CpRankOfSigma,
    EdgeCliqueCover,
    Exposing,
    IdealSparse,
    Lifted,
    LowerComponents,
    Nearby,
    NotCompletelyPositive,
    NotPsd,
    PairNotPsd,
    PairRank,
    Principal,
    Rank,
    SigmaNotCp,
    TauSos,
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
        case TauSos():
            return "semidefinite bound tau_cp^sos"
        case IdealSparse():
            return "ideal-sparse semidefinite bound"
        case LowerComponents(parts) | UpperComponents(parts):
            kinds = sorted({str(describe(part.proof)) for part in parts})
            return f"components ({', '.join(kinds)})" if kinds else "the zero matrix"
        case Atoms():
            return "exact factorisation"
        case Nearby():
            return "an exact factorisation near a float one (Brouwer)"
        case PairRank(of):
            return f"rank of {of}"
        case CpRankOfSigma(inner):
            return f"cp-rank of K_sigma: {describe(inner)}"
        case Lifted(node):
            of_block = getattr(node.end, "proof", None)
            return "lifted matrix" if of_block is None else f"lifted matrix: {describe(of_block)}"
        case None:
            return None
    return _REFUTATIONS.get(getattr(proof, "kind", ""), getattr(proof, "kind", None))


def refutation(proof: Any) -> str | None:
    """A few words about a proof that a matrix is not completely positive."""
    while isinstance(proof, Principal):
        proof = proof.proof
    return None if proof is None else _REFUTATIONS[proof.kind]


# -- cprank ----------------------------------------------------------------------------------------------------------


def cp_rank_object(matrix: ExactMatrix, bounds: CpRankBounds, seconds: float) -> dict[str, Any]:
    """The JSON object of `cpcert cprank`; null for what is not known."""
    negative = bounds.negative_proof
    near = negative is not None and matrix.floats and refuted_within(matrix.rows, negative, matrix.rounding)
    notes = [*matrix.notes, *([GIVEN_AS_FLOATS] if matrix.floats else []), *([WITHIN_ROUNDING] if near else [])]
    notes += [*_rank_of_rounding(matrix, bounds), *bounds.notes]
    return {
        "matrix": matrix.name,
        "order": len(matrix.rows),
        "completely_positive": bounds.completely_positive,
        "lower": bounds.lower,
        "upper": bounds.upper,
        "lower_proof": describe(bounds.lower_proof),
        "upper_proof": describe(bounds.upper_proof),
        "refutation": refutation(negative),
        "within_rounding": None if negative is None else near,
        "floating_lower": bounds.floating_lower,
        "floating_upper": bounds.floating_upper,
        "notes": notes,
        "seconds": seconds,
        "certificate": None,
    }


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


def cp_rank_line(answer: dict[str, Any]) -> str:
    """The same in a sentence or two."""
    effort = f"{answer['seconds']:.1f} s"
    notes = "".join(f"\n{note}" for note in answer["notes"])
    if answer["completely_positive"] is False:
        return f"not completely positive, {effort}: {answer['refutation']}{notes}"
    below = f"lower: {answer['lower_proof']}"
    if answer["completely_positive"]:
        if answer["lower"] == answer["upper"]:
            claim = f"completely positive, cp-rank {answer['lower']}"
        else:
            claim = f"completely positive, cp-rank between {answer['lower']} and {answer['upper']}"
        claim += f", {effort}; {below}; upper: {answer['upper_proof']}"
    else:
        claim = (
            f"undecided whether completely positive; if it is, cp-rank at least {answer['lower']}, {effort}; {below}"
        )
    if answer["floating_upper"] is not None:
        claim += f"\nin floating point only, no proof: a factorisation with {answer['floating_upper']} atoms"
    return claim + notes


# -- rank ------------------------------------------------------------------------------------------------------------


def rank_sigma_object(bounds: RankSigmaBounds, seconds: float) -> dict[str, Any]:
    """The JSON object of `cpcert rank`."""
    pair = bounds.pair
    near = _pair_within_rounding(bounds)
    notes = [*pair.notes, *([GIVEN_AS_FLOATS.replace("matrix", "pair")] if pair.floats else [])]
    if near:
        notes.append(WITHIN_ROUNDING)
    return {
        "pair": pair.name,
        "N": len(pair.K),
        "activation": pair.activation.name,
        "in_S": False if bounds.not_in_S is not None else True if bounds.upper is not None else None,
        "rank_sigma": {"lower": bounds.lower, "upper": bounds.upper},
        "lower_proof": describe(bounds.lower_proof),
        "upper_proof": None
        if bounds.upper_proof is None
        else describe(getattr(bounds.upper_proof, "proof", Atoms(()))),
        "floating_upper": bounds.floating_upper,
        "refutation": _pair_refutation(bounds.not_in_S),
        "within_rounding": near,
        "notes": notes,
        "seconds": seconds,
        "certificate": None,
    }


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


def rank_sigma_line(answer: dict[str, Any]) -> str:
    """The same in a sentence."""
    effort = f"{answer['seconds']:.1f} s"
    notes = "".join(f"\n{note}" for note in answer["notes"])
    lower, upper = answer["rank_sigma"]["lower"], answer["rank_sigma"]["upper"]
    if answer["in_S"] is False:
        return f"no layer of any width has these covariances, {effort}: {answer['refutation']}{notes}"
    if lower == upper:
        claim = f"Rank_sigma = {lower}"
    elif upper is not None:
        claim = f"Rank_sigma between {lower} and {upper}"
    else:
        claim = f"Rank_sigma at least {lower}, no upper bound proven"
    above = "" if upper is None else f"; upper: {answer['upper_proof']}"
    if answer["floating_upper"] is not None:
        notes = f"\nin floating point only, no proof: {answer['floating_upper']} neurons{notes}"
    return f"{claim}, {effort}; lower: {answer['lower_proof']}{above}{notes}"


# -- bipartite -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GraphAnswer:
    """The bounds for A = EᵀE of a graph; what it was read from."""

    name: str
    read: GraphFile
    bounds: CpRankBounds
    seconds: float


def graph_object(answer: GraphAnswer) -> dict[str, Any]:
    """The JSON object of `cpcert bipartite`.

    representation_cost: R(I, A) = 2 Tr A for β = 0, exactly (graphs.py). Rank_σ is that of the optimal pair K = K^σ = A,
    which is unique, so it is the cp-rank of A: the width at which the plateau of the trained loss starts.
    """
    graph, bounds = answer.read.graph, answer.bounds
    interval = {"lower": bounds.lower, "upper": bounds.upper}
    return {
        "graph": answer.name,
        "format": answer.read.format,
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
        "notes": [*answer.read.notes, *bounds.notes],
        "seconds": answer.seconds,
        "certificate": None,
    }


def graph_lines(written: dict[str, Any]) -> str:
    """The same, a line for each quantity."""
    lower, upper = written["cp_rank"]["lower"], written["cp_rank"]["upper"]
    rank = str(lower) if lower == upper else f"between {lower} and {upper}"
    start = f"widths from {rank} on reach the minimum, no smaller one does"
    if lower != upper:
        start = f"the least width that reaches the minimum is {rank}"
    rows = [
        ("graph", graph_line(written)),
        ("cp-rank", f"{rank}, proven; lower: {written['lower_proof']}; upper: one atom for each edge or fewer"),
        ("Rank_sigma", f"{rank}, of the optimal pair K = K_sigma = A (X = I, Y = A, beta = 0)"),
        ("representation cost", f"{written['representation_cost']} = 2 Tr A, exactly"),
        (
            "cost with W1 ~ I",
            f"about {about(written['identity_network_cost'])} ({written['N']} neurons, floating point)",
        ),
        ("plateau", start),
    ]
    return "\n".join(f"{name:<20} {value}" for name, value in rows) + "".join(f"\n{note}" for note in written["notes"])


def graph_line(written: dict[str, Any]) -> str:
    """`c5: 5 vertices, 5 edges, no isolated vertex (edge list)`."""
    isolated = written["isolated"]
    alone = (
        "no isolated vertex"
        if not isolated
        else "1 isolated vertex"
        if isolated == 1
        else f"{isolated} isolated vertices"
    )
    return (
        f"{written['graph']}: {written['vertices']} vertices, {written['edges']} edges, {alone} ({written['format']})"
    )


def graph_instance(answer: GraphAnswer) -> str:
    """The data set of Prop. 14 as an instance file: X = I, Y = A, interpolate, β = 0."""
    A = edge_matrix(answer.read.graph)
    identity = [[int(i == j) for j in range(len(A))] for i in range(len(A))]
    return (
        f"# X = I and Y = A = E'E of a graph with {answer.read.graph.number_of_edges()} edges: representation cost 2 Tr A.\n"
        f"data:\n  source: inline\n  X: {json.dumps(identity)}\n  Y: {json.dumps(A)}\nloss: interpolate\nbeta: 0\n"
    )


def graph_bounds(graph: nx.Graph, seconds: float, seed: int) -> CpRankBounds:
    """Bounds for A = EᵀE; the edges are always an exact factorisation."""
    from cpcert.rank.bounds import cp_rank_bounds, with_upper

    bounds = cp_rank_bounds(edge_matrix(graph), seconds, seed)
    edges: Upper = edge_atoms(graph)
    return with_upper(bounds, graph.number_of_edges(), edges)


# -- files -----------------------------------------------------------------------------------------------------------


def write_answer(
    written: dict[str, Any], claim: dict[str, Any], folder: Path, name: str, command: str
) -> dict[str, Any]:
    """Write NAME-COMMAND.json and the claim with its proof, NAME-COMMAND-proof.json. Returns the JSON object with its path.

    Raises OSError when the disk refuses.
    """
    from cpcert.output import write_file

    proof = folder / f"{name}-{command}-proof.json"
    write_file(proof, (json.dumps(as_json(claim), allow_nan=False) + "\n").encode())
    written = written | {"certificate": str(proof)}
    write_file(folder / f"{name}-{command}.json", (json.dumps(written, indent=2, allow_nan=False) + "\n").encode())
    return written
