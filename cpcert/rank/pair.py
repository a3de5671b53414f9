"""Rank_σ of a covariance pair: how many neurons a layer with these covariances needs.

Rank_σ(K, K^σ) is the least number of vectors x_k in R^N with Σ x_k x_kᵀ = K and Σ σ(x_k)σ(x_k)ᵀ = K^σ − β²11ᵀ (Jacot,
Golikov, Hongler, Gabriel 2022, Section 4). Lower bounds: rank K, rank(K^σ − β²11ᵀ), the cp-rank of the latter when σ ≥
0, and the lifted matrix. With x = p − q, p = relu(x), q = relu(−x), t = (p, q): M = Σ ttᵀ of order 2N is completely
positive, M_{p_i q_i} = 0, and for each pair i ≤ j

    K_ij = pp_ij − pq_ij − qp_ij + qq_ij,    K^σ_ij − β² = a₊² pp_ij − a₊a₋ (pq_ij + qp_ij) + a₋² qq_ij.

M has as many terms as the pair. Entries that must vanish are removed, entries that must be positive have to be covered
by cliques of what is left, and a principal submatrix that is determined has a cp-rank of its own. Where the rank is N, the
equations of exactly N neurons are refuted by a tree over their signs (pair_square.py).

Upper bounds: a factorisation of M where M is determined; elsewhere neurons found and made rational (pair_atoms.py). A
pair given in floats is taken exactly as given; `layer_rank_sigma` is about all pairs within a tolerance instead.
docs/mathematics/pairs.md has the details.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from cpcert.activations import Activation
from cpcert.certificate.rank_check import Rejected, check_rank_claim
from cpcert.rank.bounds import LARGEST_RANK_ORDER, PRIME, CpRankBounds, cp_rank_bounds
from cpcert.rank.exact_linear import rank_modulo
from cpcert.rank.graphs import clique_cover_bound
from cpcert.rank.lifted_systems import System, sigma_system
from cpcert.rank.matrices import ExactPair, Rows, exact_rows, float_matrix
from cpcert.rank.pair_atoms import basic_neurons, find_neurons, rational_neurons
from cpcert.rank.pair_nearby import nearby_neurons
from cpcert.rank.pair_square import no_square
from cpcert.rank.proofs import (
    Atoms,
    Block,
    Combination,
    Covered,
    CpRankOfSigma,
    Infeasible,
    Lifted,
    LiftedFactors,
    NearbyNeurons,
    Node,
    NotInS,
    Number,
    Pair,
    PairNotPsd,
    PairRank,
    PositiveStep,
    RefutedBlock,
    SigmaLower,
    SigmaNotCp,
    SigmaUpper,
    Trivial,
    UpperComponents,
    UpperPart,
    ZeroStep,
    as_json,
)

if TYPE_CHECKING:
    from cpcert.network import Network
    from cpcert.problem import Problem

# Starts of the search for a number of neurons, and decompositions that are tried to be made rational.
STARTS, MANY_STARTS = 30, 300
TRIES = 3


@dataclass(frozen=True)
class RankSigmaBounds:
    """lower ≤ Rank_σ(pair) ≤ upper, proven for the pair exactly as given; upper None if not proven.

    floating_upper: neurons of a decomposition found in floating point with relative residual ≤ 1e-10, no proof, if fewer.
    not_in_S: the proof that the pair belongs to no layer of any width; then lower and upper are None.
    """

    pair: ExactPair
    lower: int | None
    lower_proof: SigmaLower | None
    upper: int | None
    upper_proof: SigmaUpper | None
    not_in_S: NotInS | None = None
    floating_upper: int | None = None

    def claim(self) -> dict[str, Any]:
        """The strongest claim, as JSON data for `check_rank_claim`."""
        named = _pair_json(self.pair)
        if self.not_in_S is not None:
            return {"claim": "not_in_S", **named, "proof": as_json(self.not_in_S)}
        return {
            "claim": "rank_sigma",
            **named,
            "lower": self.lower,
            "lower_proof": as_json(self.lower_proof),
            "upper": self.upper,
            "upper_proof": as_json(self.upper_proof),
        }


def _slopes(pair: ExactPair) -> tuple[Fraction, Fraction]:
    return Fraction(pair.activation.a_plus), Fraction(pair.activation.a_minus)


def _pair_json(pair: ExactPair) -> dict[str, Any]:
    a_plus, a_minus = _slopes(pair)
    values = {"K": pair.K, "K_sigma": pair.K_sigma, "beta": pair.beta, "a_plus": a_plus, "a_minus": a_minus}
    return {key: as_json(value) for key, value in values.items()}


def rank_sigma_bounds(pair: ExactPair, seconds: float = 60.0, seed: int = 0) -> RankSigmaBounds:
    """Proven bounds of Rank_σ for the pair exactly as given (module docstring). Raises InputError: not symmetric."""
    pair = replace(pair, K=exact_rows(pair.K, "K")[0], K_sigma=exact_rows(pair.K_sigma, "K_sigma")[0])
    a_plus, a_minus = _slopes(pair)
    sigma = [[v - pair.beta * pair.beta for v in row] for row in pair.K_sigma]
    stop = time.monotonic() + seconds
    refutation: NotInS | None = _pair_not_psd(pair.K, "K") or _pair_not_psd(sigma, "K_sigma")
    of_sigma: CpRankBounds | None = None
    if refutation is None and a_plus >= 0 >= a_minus:
        of_sigma = cp_rank_bounds(sigma, seconds / 2, seed)
        if of_sigma.negative_proof is not None:
            refutation = SigmaNotCp(of_sigma.negative_proof)
    if refutation is not None:
        result = RankSigmaBounds(pair, None, None, None, None, refutation)
        if _accepted(result.claim()):
            return result
    candidates: list[tuple[int, SigmaLower]] = [(0, Trivial())]
    if len(pair.K) <= LARGEST_RANK_ORDER:
        candidates.append((rank_modulo(pair.K, PRIME), PairRank("K", PRIME)))
        candidates.append((rank_modulo(sigma, PRIME), PairRank("K_sigma", PRIME)))
    if of_sigma is not None and of_sigma.lower is not None and of_sigma.lower_proof is not None:
        candidates.append((of_sigma.lower, CpRankOfSigma(of_sigma.lower_proof)))
    lifted = _Propagation(sigma_system(pair.K, sigma, a_plus, a_minus), len(pair.K))
    node = lifted.contradiction
    upper: tuple[int, SigmaUpper] | None = None
    if node is None:
        lower, node = lifted.cover()
        candidates.append((lower, Lifted(node)))
        for vertices in lifted.determined_blocks():
            of_block, end = lifted.block(vertices, max(stop - time.monotonic(), 1.0), seed)
            if isinstance(end, RefutedBlock):
                refuted = RankSigmaBounds(pair, None, None, None, None, Lifted(Node(tuple(lifted.steps), end)))
                if _accepted(refuted.claim()):
                    return refuted
            elif end is not None and of_block.lower is not None:
                candidates.append((of_block.lower, Lifted(Node(tuple(lifted.steps), end))))
                if lifted.everything(vertices) and of_block.upper is not None:
                    upper = of_block.upper, lifted.factors(vertices, of_block)
    else:
        refuted = RankSigmaBounds(pair, None, None, None, None, Lifted(node))
        if _accepted(refuted.claim()):
            return refuted
    result = _strongest(pair, candidates, upper)
    if result.lower == result.upper:
        return result
    result = _with_neurons(result, sigma, seed, stop)
    return _more_than_square(result, sigma, min(stop, time.monotonic() + seconds / 3))


def _more_than_square(bounds: RankSigmaBounds, sigma: Rows, stop: float) -> RankSigmaBounds:
    """With the lower end N + 1, N the order, if N neurons are refuted; where some were found they are not."""
    N = len(bounds.pair.K)
    if bounds.lower != N or N in (bounds.upper, bounds.floating_upper):
        return bounds
    slopes = (float(bounds.pair.activation.a_plus), float(bounds.pair.activation.a_minus))
    proof = no_square(float_matrix(bounds.pair.K), float_matrix(sigma), slopes, stop)
    if proof is None:
        return bounds
    better = replace(bounds, lower=N + 1, lower_proof=proof)
    return better if _accepted(better.claim()) else bounds


def _with_neurons(bounds: RankSigmaBounds, sigma: Rows, seed: int, stop: float) -> RankSigmaBounds:
    """The bounds with the upper end that neurons found by a search give, proven or in floating point.

    From few starts for each number of neurons upwards; then from many for those that were not found.
    """
    rng = np.random.default_rng(seed)
    N = len(bounds.pair.K)
    best = bounds
    try:
        for k in sorted({*range(max(bounds.lower or 0, 1), 3 * N), N * (N + 1)}):
            if best.upper is not None and k >= best.upper:
                break
            best = _of_neurons(best, sigma, k, rng, STARTS, stop)
            if best.floating_upper is not None and (best.upper is not None or k > best.floating_upper + 1):
                break
        for k in range(max(bounds.lower or 0, 1), 3 * N):
            if (best.upper is not None and k >= best.upper) or time.monotonic() > stop:
                break
            best = _of_neurons(best, sigma, k, rng, MANY_STARTS, stop)
    except KeyboardInterrupt:
        pass  # what was found is kept
    fewer = best.floating_upper is not None and (best.upper is None or best.floating_upper < best.upper)
    return best if fewer else replace(best, floating_upper=None)


def _of_neurons(
    bounds: RankSigmaBounds, sigma: Rows, k: int, rng: np.random.Generator, starts: int, stop: float
) -> RankSigmaBounds:
    """The bounds after a search for k neurons."""
    pair = bounds.pair
    K, S = float_matrix(pair.K), float_matrix(sigma)
    best = bounds
    for _ in range(TRIES):
        X = find_neurons(K, S, pair.activation, k, rng, starts, stop)
        if X is None:
            break
        if best.floating_upper is None or k < best.floating_upper:
            best = replace(best, floating_upper=k)
        # Few neurons are often rational; otherwise exact ones may be near, or many are made so.
        best = _improved(best, rational_neurons(X))
        for proof in nearby_neurons(pair.K, sigma, pair.activation, X):
            best = _improved(best, proof)
            if best.upper is not None and best.upper <= k:
                break
        if (best.upper is not None and best.upper <= k) or time.monotonic() > stop:
            break
        best = _improved(best, basic_neurons(pair.K, sigma, pair.activation, X, rng))
    return best


def _improved(bounds: RankSigmaBounds, proof: Atoms | NearbyNeurons | None) -> RankSigmaBounds:
    """With the neurons of `proof` if they are fewer and the checker accepts them."""
    if proof is None:
        return bounds
    number = len(proof.columns if isinstance(proof, NearbyNeurons) else proof.atoms)
    if bounds.upper is not None and number >= bounds.upper:
        return bounds
    better = replace(bounds, upper=number, upper_proof=proof)
    return better if _accepted(better.claim()) else bounds


def _strongest(
    pair: ExactPair, candidates: list[tuple[int, SigmaLower]], upper: tuple[int, SigmaUpper] | None
) -> RankSigmaBounds:
    """The largest lower bound that the checker accepts, with the upper bound if it accepts that too."""
    above: tuple[int, SigmaUpper] | tuple[None, None] = (None, None)
    if upper is not None and _accepted(RankSigmaBounds(pair, 0, Trivial(), *upper).claim()):
        above = upper
    # Sorting is stable: of equal bounds the simplest proof comes first.
    for lower, proof in sorted(candidates, key=lambda candidate: -candidate[0]):
        result = RankSigmaBounds(pair, lower, proof, *above)
        if _accepted(RankSigmaBounds(pair, lower, proof, None, None).claim()):
            return result
    return RankSigmaBounds(pair, 0, Trivial(), *above)


def _pair_not_psd(A: Rows, name: str) -> PairNotPsd | None:
    values, vectors = np.linalg.eigh(float_matrix(A))
    if values[0] >= -1e-12 * max(abs(values[-1]), abs(values[0])):
        return None
    return PairNotPsd(name, tuple(Fraction(round(float(v) * 2**40), 2**40) for v in vectors[:, 0]))


def _accepted(claim: dict[str, Any]) -> bool:
    try:
        check_rank_claim(claim)
    except Rejected:
        return False
    return True


class _Propagation:
    """What the two equations of each pair i ≤ j say about the entries of M, worked out until nothing changes."""

    def __init__(self, system: System, N: int):
        self.system, self.N = system, N
        self.half = len(system.values) // 2
        self.steps: list[ZeroStep | PositiveStep] = []
        self.contradiction: Node | None = None
        while self._remove():
            pass
        if self.contradiction is None:
            self._require()

    def _blocks(self) -> dict[int, list[Pair]]:
        """The pairs of H in each block of two equations, by the number of the first."""
        blocks: dict[int, list[Pair]] = {e: [] for e in range(self.half)}
        for pair, column in self.system.columns.items():
            blocks[min(column) % self.half].append(pair)
        return blocks

    def _rays(self, block: int, pairs: list[Pair]) -> Iterator[tuple[Combination, dict[Pair, Number], Number]]:
        """Extreme combinations of the two equations: orthogonal to one column, or one equation alone."""
        columns = {tuple(self.system.columns[pair].get(e, 0) for e in (block, self.half + block)) for pair in pairs}
        directions = {(1, 0), (0, 1)} | {(b, -a) for a, b in columns}
        for first, second in directions:
            for sign in (1, -1):
                terms = ((block, sign * first), (self.half + block, sign * second))
                y: Combination = tuple((e, v) for e, v in terms if v)
                yield (
                    y,
                    {
                        pair: sum((v * self.system.columns[pair].get(e, 0) for e, v in y), start=Fraction(0))
                        for pair in pairs
                    },
                    sum((v * self.system.values[e] for e, v in y), start=Fraction(0)),
                )

    def _remove(self) -> bool:
        for block, pairs in self._blocks().items():
            for y, coefficients, value in self._rays(block, pairs):
                if any(c < 0 for c in coefficients.values()):
                    continue
                if value < 0:
                    self.contradiction = Node(tuple(self.steps), Infeasible(y))
                    return False
                positive = {pair for pair, c in coefficients.items() if c > 0}
                if value == 0 and positive:
                    self.steps.append(ZeroStep(y))
                    self.system = self.system.without(positive)
                    return True
        return False

    def _require(self) -> None:
        for block, pairs in self._blocks().items():
            for y, coefficients, value in self._rays(block, pairs):
                negative = [pair for pair, c in coefficients.items() if c < 0]
                if value < 0 and len(negative) == 1 and negative[0] not in self.system.required:
                    self.steps.append(PositiveStep(negative[0], y))
                    self.system = self.system.requiring(negative[0])

    def cover(self) -> tuple[int, Node]:
        lower, cover = clique_cover_bound(self.system.graph(), set(self.system.required))
        return lower, Node(tuple(self.steps), Covered(cover))

    def everything(self, vertices: tuple[int, ...]) -> bool:
        return set(vertices) == {u for u, v in self.system.columns if u == v}

    def determined_blocks(self) -> Iterator[tuple[int, ...]]:
        """Vertex sets whose principal submatrix of M may be determined: all, p alone, q alone."""
        alive = tuple(sorted(u for u, v in self.system.columns if u == v))
        seen = set()
        for vertices in (
            alive,
            tuple(u for u in alive if u < self.N),
            tuple(u for u in alive if u >= self.N),
        ):
            if vertices and vertices not in seen:
                seen.add(vertices)
                yield vertices

    def _values(self, vertices: tuple[int, ...]) -> dict[Pair, tuple[Number, Combination]] | None:
        inside = set(vertices)
        found: dict[Pair, tuple[Number, Combination]] = {}
        for block, pairs in self._blocks().items():
            wanted = [pair for pair in pairs if pair[0] in inside and pair[1] in inside]
            if not wanted:
                continue
            for y, coefficients, value in self._rays(block, pairs):
                nonzero = [pair for pair, c in coefficients.items() if c]
                if len(nonzero) == 1 and nonzero[0] in wanted:
                    head = Fraction(coefficients[nonzero[0]])
                    found[nonzero[0]] = value / head, tuple((e, v / head) for e, v in y)
            if any(pair not in found for pair in wanted):
                return None
        return found

    def block(
        self, vertices: tuple[int, ...], seconds: float, seed: int
    ) -> tuple[CpRankBounds, Block | RefutedBlock | None]:
        """The cp-rank of a principal submatrix of M, if it is determined."""
        found = self._values(vertices)
        if found is None:
            return CpRankBounds([], None, None, None, None, None), None
        matrix: Rows = [[0] * len(vertices) for _ in vertices]
        place = {u: a for a, u in enumerate(vertices)}
        for (u, v), (value, _) in found.items():
            matrix[place[u]][place[v]] = matrix[place[v]][place[u]] = value
        bounds = cp_rank_bounds(matrix, seconds, seed)
        values = tuple((*pair, y) for pair, (_, y) in found.items())
        if bounds.negative_proof is not None:
            return bounds, RefutedBlock(vertices, values, bounds.negative_proof)
        if bounds.lower_proof is None:
            return bounds, None
        return bounds, Block(vertices, values, bounds.lower_proof)

    def factors(self, vertices: tuple[int, ...], bounds: CpRankBounds) -> LiftedFactors:
        """The factorisation of M, from that of the block of its nonzero rows."""
        M = [[Fraction(0)] * (2 * self.N) for _ in range(2 * self.N)]
        for a, u in enumerate(vertices):
            for b, v in enumerate(vertices):
                M[u][v] = Fraction(bounds.A[a][b])
        if bounds.upper_proof is None:
            raise ValueError("no factorisation of the block")
        part = UpperPart(vertices, bounds.upper_proof)
        return LiftedFactors(tuple(tuple(row) for row in M), UpperComponents((part,)))


# -- the pair of a network -------------------------------------------------------------------------------------------

# Pairs (K', K'^σ) with ‖K' − K‖ ≤ TOLERANCE ‖K‖ and the same for K^σ − β²11ᵀ (Frobenius norms) are meant together.
TOLERANCE = 1e-6
# Bits of Z and of the columns of U below; products of both and their sums are then exact in 64-bit integers.
Z_BITS, U_BITS, HALF, LARGEST_WIDTH = 26, 14, 25, 4096
# Far above the rounding of a few sums of nonnegative floats.
INFLATION = 1.0 + 1e-9


@dataclass(frozen=True)
class NearbyRank:
    """Bounds of Rank_σ near a pair: lower ≤ that of every pair within the relative `tolerance`; upper, that of the pair itself."""

    lower: int
    upper: int
    tolerance: float


def network_rank_sigma(network: Network, problem: Problem) -> NearbyRank:
    """Bounds of Rank_σ near the covariance pair of the hidden layer of a network of depth 2, once it is balanced."""
    W, V, _ = network.neurons()
    balanced = W * np.sqrt(np.linalg.norm(V, axis=0))[:, np.newaxis]
    return layer_rank_sigma(balanced, problem.X_tilde, problem.activation)


def layer_rank_sigma(weights: np.ndarray, X_tilde: np.ndarray, activation: Activation) -> NearbyRank:
    """Bounds of Rank_σ near the covariance pair of a hidden layer.

    weights: (width, n), one neuron per row; X_tilde: (n, N). The pair is K = ZᵀZ, K^σ − β²11ᵀ = σ(Z)ᵀσ(Z) for the exact Z = W X̃ of
    these floats. `lower` is proven for every pair within `tolerance` of it: the larger rank that both matrices keep.
    `upper` is the number of neurons, for the pair itself.
    """
    W = np.asarray(weights, dtype=float)
    Z = W @ X_tilde
    # |fl(WX̃) − WX̃| entry by entry, whatever the order of the sums, and what underflow can lose.
    error = (W.shape[1] + 4) * 2.0**-52 * (np.abs(W) @ np.abs(X_tilde)) + W.shape[1] * 2.0**-1000
    slope_error = activation.lipschitz * error + 2.0**-52 * np.abs(activation(Z)) + 2.0**-1000
    lower = max(_robust_rank(Z, error), _robust_rank(activation(Z), slope_error))
    return NearbyRank(lower, len(Z), TOLERANCE)


def _robust_rank(Z: np.ndarray, error: np.ndarray) -> int:
    """r such that every symmetric matrix within TOLERANCE ‖YᵀY‖ of YᵀY has rank at least r, for every Y with |Y − Z| ≤ error.

    Z, error (k, N). With integers M ≈ 2^b Z and U (N, r), ‖Y − 2^−b M‖ ≤ δ, C = MU and t ≥ TOLERANCE ‖YᵀY‖,

        ‖YUx‖ ≥ 2^−b ‖Cx‖ − δ‖Ux‖,   so   xᵀUᵀ(YᵀY + E)Ux > 0   for x ≠ 0, ‖E‖ ≤ t,   if   S = CᵀC − θUᵀU ≻ 0,   θ ≥ 4^b (δ + √t)².

    The columns of U are right singular vectors over singular values, so S is nearly diagonal, and S ≻ 0 because it is strictly
    diagonally dominant, which is decided in integers.
    """
    size = float(np.linalg.norm(Z))
    if not size or not np.isfinite(size) or len(Z) > LARGEST_WIDTH:
        return 0
    exponent = int(np.frexp(size)[1]) + 1
    Z, error = np.ldexp(Z, -exponent), np.ldexp(error, -exponent)  # exact, but for what is far below δ
    M = np.rint(np.ldexp(Z, Z_BITS)).astype(np.int64)
    delta = (float(np.linalg.norm(error)) + 2.0 ** -(Z_BITS + 1) * math.sqrt(Z.size) + 1e-200) * INFLATION
    gram = float(np.linalg.norm((M @ M.T).astype(float))) * 4.0**-Z_BITS
    t = TOLERANCE * (gram + 2.0 * delta + delta * delta) * INFLATION
    theta = math.ceil(4.0**Z_BITS * (delta + math.sqrt(t)) ** 2 * INFLATION)
    _, values, Vt = np.linalg.svd(Z, full_matrices=False)
    keep = values**2 > t
    if not keep.any():
        return 0
    U = np.rint(np.ldexp(Vt[keep].T * (values[0] / values[keep]), U_BITS)).astype(np.int64)
    # Columns of U have norms up to about 2^14 · 10^3 and rows of M up to 2^25, so |C| < 2^50, and no sum below overflows.
    C = M @ U
    high, low = C >> HALF, C & (2**HALF - 1)
    cross = (high.T @ low).astype(object)
    S = ((high.T @ high).astype(object) << 2 * HALF) + ((cross + cross.T) << HALF) + (low.T @ low).astype(object)
    S -= theta * (U.T @ U).astype(object)
    for r in range(len(S), 0, -1):
        if all(S[i, i] + abs(S[i, i]) > sum(abs(v) for v in S[i, :r]) for i in range(r)):
            return r
    return 0
