"""Bounds of the cp-rank of a rational matrix, each with a proof that the exact checker has accepted.

A is completely positive if A = Σ b_k b_kᵀ with b_k ≥ 0; the cp-rank is the least number of terms. Components of the
support graph are treated one by one: their cp-ranks add up. For each, the cheapest arguments first:

    not completely positive   a negative entry; vᵀAv < 0; the comparison matrix (triangle-free); a copositive S with ⟨S, A⟩ < 0
    lower                     rank; edge clique cover; an exposing copositive S; semidefinite bounds (`semidefinite.py`)
    upper                     edges (triangle-free); zeros of the exposing S; a factorisation made exact

Every proof is passed through `check_rank_claim` before it counts, so that an error in the searches costs a bound, not
the truth. What is not decided stays None.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from cpcert.certificate.rank_check import Rejected, check_rank_claim
from cpcert.rank.cliques import triangle_free
from cpcert.rank.copositive import LARGEST_ORDER as LARGEST_ENUMERATED
from cpcert.rank.copositive import copositive_cut, exposed_bounds, exposing_matrix, separate
from cpcert.rank.exact_linear import rank_modulo
from cpcert.rank.factorize import factors_and_rest, find_factors
from cpcert.rank.graphs import adjacency, clique_cover_bound, edge_factors, triangle_free_atoms
from cpcert.rank.matrices import Rows, exact_rows, float_matrix
from cpcert.rank.nearby import MANY_EQUATIONS, nearby_factorisation
from cpcert.rank.proofs import (
    Atom,
    Atoms,
    CopositiveCut,
    EdgeCliqueCover,
    Lower,
    LowerComponents,
    LowerPart,
    NegativeEntry,
    NotCompletelyPositive,
    NotPsd,
    Principal,
    Rank,
    TriangleFreeForm,
    Trivial,
    Upper,
    UpperComponents,
    UpperPart,
    as_json,
)

# The rank modulo this prime is the rank but for freak coincidences, and never more than it.
PRIME = 2**61 - 1
# Elimination modulo a prime is cubic in pure Python.
LARGEST_RANK_ORDER = 400
# Factorisations of the same number of atoms that are tried to be proven.
TRIES = 3


@dataclass(frozen=True)
class CpRankBounds:
    """What is proven about cp-rank(A).

    completely_positive: True and False are proven, None is open. lower ≤ cp-rank; upper is None unless proven (lower and
    upper are both None if A is not completely positive). floating_upper: atoms of a factorisation found in floating point with
    relative residual ≤ 1e-10, no proof. notes: what was not attempted.
    """

    A: Rows
    completely_positive: bool | None
    lower: int | None
    lower_proof: Lower | None
    upper: int | None
    upper_proof: Upper | None
    negative_proof: NotCompletelyPositive | None = None
    floating_upper: int | None = None
    floating_lower: float | None = None
    notes: tuple[str, ...] = ()

    def claim(self) -> dict[str, Any]:
        """The strongest claim, as JSON data for `check_rank_claim`."""
        if self.negative_proof is not None:
            return {
                "claim": "not_completely_positive",
                "A": as_json(self.A),
                "proof": as_json(self.negative_proof),
            }
        return {
            "claim": "cp_rank",
            "A": as_json(self.A),
            "lower": self.lower,
            "lower_proof": as_json(self.lower_proof),
            "upper": self.upper,
            "upper_proof": as_json(self.upper_proof),
        }


@dataclass
class _Block:
    """The bounds of one connected block while they are being improved."""

    A: Rows
    stop: float
    rng: np.random.Generator
    lower: int = 0
    lower_proof: Lower = field(default_factory=Trivial)
    upper: int | None = None
    upper_proof: Upper | None = None
    negative: NotCompletelyPositive | None = None
    floating_upper: int | None = None
    floating_lower: float | None = None
    notes: list[str] = field(default_factory=list)
    any_factors: bool = False

    @property
    def closed(self) -> bool:
        return self.negative is not None or self.lower == self.upper or (self.any_factors and self.upper is not None)

    def seconds(self, most: float) -> float:
        return max(min(most, self.stop - time.monotonic()), 0.0)

    def at_least(self, lower: int | None, proof: Lower) -> None:
        if lower is not None and lower > self.lower and _lower_accepted(self.A, lower, proof):
            self.lower, self.lower_proof = lower, proof

    def at_most(self, upper: int, proof: Upper, checked: bool = False) -> bool:
        """`checked`: the checker has accepted this proof for this matrix already."""
        better = self.upper is None or upper < self.upper
        if better and (checked or _upper_accepted(self.A, upper, proof)):
            self.upper, self.upper_proof = upper, proof
            return True
        return False

    def refute(self, proof: NotCompletelyPositive | None) -> None:
        if proof is not None and _refutation_accepted(self.A, proof):
            self.negative = proof


def cp_rank_bounds(
    A: Rows | np.ndarray, seconds: float = 60.0, seed: int = 0, sdp: bool | None = None, any_factors: bool = False
) -> CpRankBounds:
    """Proven bounds of cp-rank(A) for a symmetric A (n, n): ints, Fractions, "p/q", floats (exactly), an array or a sympy
    matrix of them.

    Raises InputError if A is anything else, or not symmetric.
    `sdp`: try semidefinite bounds (needs cvxpy); by default if there is still a gap and cvxpy is installed.
    `any_factors`: stop when it is known whether A is completely positive.
    Stops searching after about `seconds`, or after Ctrl-C; what was proven by then is returned.
    """
    import networkx as nx

    A, _, _ = exact_rows(A, "A")
    n = len(A)
    stop = time.monotonic() + seconds
    rng = np.random.default_rng(seed)
    negative = _plain_refutation(A)
    if negative is not None:
        return CpRankBounds(A, False, None, None, None, None, negative)
    graph = adjacency(A)
    components = sorted(sorted(c) for c in nx.connected_components(nx.Graph(graph)))
    parts = [c for c in components if len(c) > 1 or A[c[0]][c[0]]]
    blocks = []
    interrupted = False
    for number, indices in enumerate(parts):
        share = time.monotonic() + (stop - time.monotonic()) / (len(parts) - number)
        block = _Block([[A[i][j] for j in indices] for i in indices], share, rng, any_factors=any_factors)
        try:
            if not interrupted:
                _improve(block, sdp)
        except (KeyboardInterrupt, MemoryError) as error:
            interrupted = True
            block.notes.append("interrupted" if isinstance(error, KeyboardInterrupt) else "memory ran out")
        if block.negative is not None:
            whole = len(indices) == n
            proof = block.negative if whole else Principal(tuple(indices), block.negative)
            return CpRankBounds(A, False, None, None, None, None, proof, notes=tuple(block.notes))
        blocks.append(block)
    if len(parts) == 1 and len(parts[0]) == n:
        block = blocks[0]
        lower, lower_proof, upper, upper_proof = block.lower, block.lower_proof, block.upper, block.upper_proof
    else:
        lower, lower_proof, upper, upper_proof = _sum_of_blocks(parts, blocks)
    floats = [b.floating_upper if b.floating_upper is not None else b.upper for b in blocks]
    floating_upper = None if any(f is None for f in floats) else sum(f for f in floats if f is not None)
    hints = [b.floating_lower for b in blocks if b.floating_lower is not None]
    return CpRankBounds(
        A,
        True if upper is not None else None,
        lower,
        lower_proof,
        upper,
        upper_proof,
        floating_upper=floating_upper if floating_upper != upper else None,
        floating_lower=max(hints, default=None) if len(blocks) == 1 else None,
        notes=tuple(dict.fromkeys(note for b in blocks for note in b.notes)),
    )


def with_upper(bounds: CpRankBounds, upper: int, proof: Upper) -> CpRankBounds:
    """The bounds with a factorisation that is known from elsewhere, if it is better and the checker accepts it."""
    if bounds.negative_proof is not None or (bounds.upper is not None and bounds.upper <= upper):
        return bounds
    if not _upper_accepted(bounds.A, upper, proof):
        return bounds
    return replace(bounds, completely_positive=True, upper=upper, upper_proof=proof)


def _sum_of_blocks(parts: list[list[int]], blocks: list[_Block]) -> tuple[int, Lower, int | None, Upper | None]:
    lower = sum(block.lower for block in blocks)
    below = tuple(LowerPart(tuple(i), b.lower, b.lower_proof) for i, b in zip(parts, blocks, strict=True))
    above = []
    for indices, block in zip(parts, blocks, strict=True):
        if block.upper_proof is None:
            return lower, LowerComponents(below), None, None
        above.append(UpperPart(tuple(indices), block.upper_proof))
    upper = sum(block.upper for block in blocks if block.upper is not None)
    return lower, LowerComponents(below), upper, UpperComponents(tuple(above))


def _improve(block: _Block, sdp: bool | None) -> None:
    A, n = block.A, len(block.A)
    if n == 1:
        block.at_least(1, Rank(PRIME))
        block.at_most(1, Atoms((Atom(A[0][0], ((0, 1),)),)))
        return
    graph = adjacency(A)
    if triangle_free(graph):
        _triangle_free_bounds(block)
    if block.closed:
        return
    block.refute(_not_psd(A))
    if block.closed:
        return
    if n <= LARGEST_RANK_ORDER:
        block.at_least(rank_modulo(A, PRIME), Rank(PRIME))
    else:
        block.notes.append(f"the rank of a block of order {n} was not computed")
    if not isinstance(block.lower_proof, EdgeCliqueCover) and not block.closed:
        required = {(i, j) for i in graph for j in graph[i] if i < j} | {(i, i) for i in graph}
        lower, cover = clique_cover_bound(graph, required)
        block.at_least(lower, EdgeCliqueCover(cover))
    if block.closed:
        return
    # Often as few atoms as the bound asks for are easy to find, in the interior of the cone or on its boundary.
    for k in range(max(block.lower, 1), block.lower + 3):
        if any(_try_atoms(block, k, floor, starts=3) for floor in (1e-2, 0.0)):
            break
    if block.closed:
        return
    if n <= LARGEST_ENUMERATED:
        _boundary(block)
    else:
        block.notes.append(f"copositive matrices are searched up to order {LARGEST_ENUMERATED}, and this block has {n}")
    if not block.closed:
        _factorise(block)
    if not block.closed and block.upper is not None and sdp is not False:
        _semidefinite(block, required_by_user=bool(sdp))


def _triangle_free_bounds(block: _Block) -> None:
    A = block.A
    graph = adjacency(A)
    edges = sum(len(neighbours) for neighbours in graph.values()) // 2
    _, cover = clique_cover_bound(graph, {(i, j) for i in graph for j in graph[i] if i < j})
    block.at_least(edges, EdgeCliqueCover(cover))
    proof = triangle_free_atoms(A)
    if proof is not None:
        block.at_most(len(proof.atoms), proof)
        # One atom for each edge will do unless the graph is a tree, but these are irrational.
        small = len(A) + edges <= MANY_EQUATIONS
        B = edge_factors(A) if small and not block.closed else None
        nearby = None if B is None else nearby_factorisation(A, B)
        if nearby is not None:
            block.at_most(len(nearby.columns), nearby, checked=True)
    elif len(A) <= LARGEST_RANK_ORDER:
        F = float_matrix(A)
        comparison = 2 * np.diag(np.diag(F)) - F
        block.refute(TriangleFreeForm(_rounded(abs(np.linalg.eigh(comparison)[1][:, 0]))))


def _boundary(block: _Block) -> None:
    """A copositive matrix with ⟨S, A⟩ ≤ 0, if there is one."""
    A = block.A
    scale = np.sqrt(np.diag(float_matrix(A)))
    separation = separate(
        float_matrix(A) / np.outer(scale, scale), block.seconds(20.0 if block.upper is None else 10.0)
    )
    if separation is None:
        return
    if separation.value < -1e-8:
        block.refute(copositive_cut(A, separation, scale))
        if block.closed:
            return
    S = exposing_matrix(A, separation, scale)
    if S is None:
        return
    lower, proof, atoms = exposed_bounds(A, S)
    if atoms is not None:
        block.at_most(len(atoms.atoms), atoms)
    if lower is not None:
        block.at_least(lower, proof)


def _factorise(block: _Block) -> None:
    """Factorisations with fewer and fewer atoms, from an easy number down to the lower bound."""
    A, n = block.A, len(block.A)
    easy = math.ceil(1.5 * n)
    counts = [*range(max(block.lower, 1), easy), easy, 2 * n, 3 * n, n * (n + 1) // 2]
    for k in sorted(set(counts)):
        if (block.upper is not None and k >= block.upper) or not block.seconds(1.0):
            break
        if any(_try_atoms(block, k, floor, starts=6) for floor in (1e-2, 1e-3, 0.0)):
            return
        if k >= easy and block.floating_upper is not None:
            break
    if block.upper is None:
        found = factors_and_rest(A, 3 * n, block.rng, block.seconds(30.0))
        if found is not None:
            block.at_most(*found)


def _try_atoms(block: _Block, k: int, floor: float, starts: int) -> bool:
    """Look for a factorisation with k atoms and prove it; on the boundary of the cone not every one can be."""
    for _ in range(TRIES):
        B = find_factors(float_matrix(block.A), k, block.rng, starts, block.seconds(2.0), floor)
        if B is None:
            return False
        if block.floating_upper is None or k < block.floating_upper:
            block.floating_upper = k
        proof = nearby_factorisation(block.A, B)
        # It returns accepted proofs only, one atom for each column.
        if proof is not None:
            return block.at_most(len(proof.columns), proof, checked=True)
    return False


def _semidefinite(block: _Block, required_by_user: bool) -> None:
    from cpcert.rank.dual_points import MISSING, available
    from cpcert.rank.semidefinite import semidefinite_bounds

    if not available():
        if required_by_user:
            block.notes.append(MISSING)
        return
    for bound in semidefinite_bounds(block.A, block.seconds(60.0)):
        block.floating_lower = max(block.floating_lower or 0.0, bound.floating)
        if bound.proof is not None:
            block.at_least(bound.lower, bound.proof)
        if block.closed:
            return
    _one_more(block)


def _one_more(block: _Block) -> None:
    """One atom more, and one more, as long as it can be proven."""
    from cpcert.rank.shares import LARGEST_ORDER, moments_at_least, shares

    while len(block.A) <= LARGEST_ORDER and not block.closed and block.seconds(1.0):
        least = block.lower + 1
        proof = moments_at_least(block.A, least) or shares(block.A, least, block.stop)
        if proof is None:
            return
        block.at_least(least, proof)
        if block.lower < least:
            return


# -- refutations -----------------------------------------------------------------------------------------------------


def _plain_refutation(A: Rows) -> NotCompletelyPositive | None:
    """A negative entry, or a zero on the diagonal of a row that is not zero."""
    n = len(A)
    for i in range(n):
        for j in range(i, n):
            if A[i][j] < 0:
                return NegativeEntry(i, j)
            if A[i][j] and i != j and not (A[i][i] and A[j][j]):
                # With A_ii = 0: (s e_i + e_j)ᵀA(s e_i + e_j) = 2s A_ij + A_jj.
                zero, other = (i, j) if not A[i][i] else (j, i)
                v: list[Fraction | int] = [0] * n
                v[zero], v[other] = -Fraction(A[other][other] + 1) / A[i][j], 1
                return NotPsd(tuple(v))
    return None


def refuted_within(A: Rows, proof: NotCompletelyPositive, rounding: Fraction) -> bool:
    """Can a change of each nonzero entry by at most `rounding` escape from this proof: −⟨S, A⟩ ≤ rounding·Σ|S_ij|?

    S is the matrix of the proof, ⟨S, A⟩ < 0 ≤ ⟨S, C⟩. True is a hint: whether there is a completely positive matrix so near
    is open. False is proven: there is none.
    """
    while isinstance(proof, Principal):
        A = [[A[i][j] for j in proof.indices] for i in proof.indices]
        proof = proof.proof
    pairs = [(i, j, Fraction(v)) for i, row in enumerate(A) for j, v in enumerate(row) if v]
    S: list[tuple[Fraction, Fraction]]
    match proof:
        case NegativeEntry(i, j):
            return -A[i][j] <= rounding
        case NotPsd(v):
            S = [(Fraction(v[i]) * v[j], a) for i, j, a in pairs]
        case TriangleFreeForm(v):
            S = [(Fraction(v[i]) * v[j] * (1 if i == j else -1), a) for i, j, a in pairs]
        case CopositiveCut(matrix):
            S = [(Fraction(matrix[i][j]), a) for i, j, a in pairs]
    return -sum((s * a for s, a in S), Fraction(0)) <= rounding * sum((abs(s) for s, _ in S), Fraction(0))


def _not_psd(A: Rows) -> NotPsd | None:
    scale = np.sqrt(np.diag(float_matrix(A)))
    values, vectors = np.linalg.eigh(float_matrix(A) / np.outer(scale, scale))
    return NotPsd(_rounded(vectors[:, 0] / scale)) if values[0] < -1e-14 else None


def _rounded(v: np.ndarray) -> tuple[Fraction, ...]:
    return tuple(Fraction(round(float(entry) * 2**40), 2**40) for entry in v / abs(v).max())


# -- the exact checks ------------------------------------------------------------------------------------------------


def _accepted(claim: dict[str, Any]) -> bool:
    try:
        check_rank_claim(claim)
    except Rejected:
        return False
    return True


def _lower_accepted(A: Rows, lower: int, proof: Lower) -> bool:
    claim = {"claim": "cp_rank", "A": as_json(A), "lower": lower, "lower_proof": as_json(proof)}
    return _accepted(claim | {"upper": None, "upper_proof": None})


def _upper_accepted(A: Rows, upper: int, proof: Upper) -> bool:
    claim = {"claim": "cp_rank", "A": as_json(A), "lower": 0, "lower_proof": as_json(Trivial())}
    return _accepted(claim | {"upper": upper, "upper_proof": as_json(proof)})


def _refutation_accepted(A: Rows, proof: NotCompletelyPositive) -> bool:
    return _accepted({"claim": "not_completely_positive", "A": as_json(A), "proof": as_json(proof)})
