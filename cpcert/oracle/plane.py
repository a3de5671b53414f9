"""Points in the plane, r ≤ 2: γ(G) = max over ‖w‖ ≤ 1 of ‖Gσ(X̃ᵀw)‖₂ exactly, up to rounding, in O(mN log N).

Points are grouped into lines through 0, which cut the circle of directions w. On an arc between two cuts Gσ(X̃ᵀw) = Mw
with M = a₊ Σ_on g_ix_iᵀ + a₋ Σ_off g_ix_iᵀ (m × 2), a difference of prefix sums over the sorted lines, and with h(θ) =
‖Mw‖²

    max over an arc of at most π/2 = √λ_max(MᵀM)  if h′(start) ≥ 0 ≥ h′(end),  else the larger value at the two ends.   (1)

The two axes are added to the lines, so that every arc is that short. Where rounding leaves the signs of h′ open,

    ‖Mw‖ ≤ max(‖Mp̂‖, ‖Mq̂‖)/cos(α/2)   on an arc of angle α with ends p̂, q̂.                                            (2)

Exact: the order of the lines (quotients compared as rationals where they round alike), the cuts, and the prefix sums
(each g_ix_i rounded to a multiple of δ = 2^{e−61}, 2^e ≥ Σ|g_ix_i| entry by entry, then added as 64-bit integers).

docs/mathematics/plane.md derives (1), (2) and the rounding of M, h′ and λ_max.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from cpcert.activations import Activation
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.rung import Limits, Question
from cpcert.oracle.spectral import TINY
from cpcert.rounding import EPS

# Local maxima that an answer has at most.
MOST_NEURONS = 100


@dataclass(frozen=True, eq=False)
class PlaneProof:
    """γ(G) ≤ bound for points (N, r) with r ≤ 2 and G (m, N): the sweep over the arcs proves it, and needs nothing else."""

    points: np.ndarray
    G: np.ndarray
    bound: float


@dataclass(frozen=True, eq=False)
class Lines:
    """The points (N, 2) ≠ 0 by lines through 0, sorted by angle, exactly.

    order (n,): their indices, line by line. side (n,): ±1, x = side·|t|·d with d in the half plane of angles [0, π).
    ends (L,): order[ends[l−1]:ends[l]] are the points on line l. cuts (L, 2): p_l = d turned by a quarter, scaled by a
    power of two to size 1. Arc l, 0 ≤ l < L, runs from p_l to p_{l+1} (to −p_0 for the last): there the lines ≤ l have dᵀw < 0
    and the others dᵀw > 0. Arc L + l is its opposite.
    """

    order: np.ndarray
    side: np.ndarray
    ends: np.ndarray
    cuts: np.ndarray

    @property
    def count(self) -> int:
        """L."""
        return len(self.ends)

    def sums(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Σ over the points with xᵀw > 0 and with xᵀw < 0 on the arcs 0 … L − 1: (L, …) each; values (N, …)."""
        sorted_values = values[self.order]
        left = np.cumsum(np.where(_like(self.side > 0, sorted_values), sorted_values, 0), axis=0)
        right = np.cumsum(np.where(_like(self.side < 0, sorted_values), sorted_values, 0), axis=0)
        last = self.ends - 1
        on = left[-1] - left[last] + right[last]
        return on, left[-1] + right[-1] - on


def _like(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    return mask.reshape(-1, *[1] * (values.ndim - 1))


def lines_of(points: np.ndarray) -> Lines:
    """Group and sort the points (N, 2), exactly; at least one must not be 0."""
    nonzero = np.flatnonzero(points.any(axis=1))
    x, y = points[nonzero].T
    side = np.where((y > 0.0) | ((y == 0.0) & (x > 0.0)), 1.0, -1.0)
    d = side[:, np.newaxis] * points[nonzero]
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        cotangent = np.where(d[:, 1] > 0.0, d[:, 0] / np.where(d[:, 1] > 0.0, d[:, 1], 1.0), math.inf)
    order = np.argsort(-cotangent, kind="stable")
    cotangent, d = cotangent[order], d[order]
    new = np.concatenate([[True], cotangent[1:] != cotangent[:-1]])
    # Equal quotients: the same line, or lines that only rationals tell apart.
    starts = np.flatnonzero(new)
    for start, end in zip(starts, np.append(starts[1:], len(d)), strict=True):
        if end - start > 1 and (d[start:end] != d[start]).any():
            exact = [(b == 0.0, Fraction(a) / Fraction(b) if b else Fraction(0)) for a, b in d[start:end].tolist()]
            inner = sorted(range(end - start), key=exact.__getitem__, reverse=True)
            order[start:end], d[start:end] = order[start:end][inner], d[start:end][inner]
            for k in range(1, end - start):
                new[start + k] = exact[inner[k]] != exact[inner[k - 1]]
    starts = np.flatnonzero(new)
    first = d[starts]
    cuts = np.column_stack([-first[:, 1], first[:, 0]]) + 0.0
    cuts = np.ldexp(cuts, -np.frexp(np.abs(cuts).max(axis=1, keepdims=True))[1])
    return Lines(nonzero[order], side[order], np.append(starts[1:], len(d)), cuts)


@dataclass(frozen=True, eq=False)
class _Curve:
    """The curve θ ↦ ‖Mw(θ)‖ on the 2L arcs: M (2L, m, 2), the ends p and q (2L, 2) of each arc, and computed numbers:
    size F (2L,) ≥ ‖M‖_F, values at p and q, half of h′ at both, and its margin of error there."""

    M: np.ndarray
    p: np.ndarray
    q: np.ndarray
    size: np.ndarray
    value: tuple[np.ndarray, np.ndarray]
    slope: tuple[np.ndarray, np.ndarray]
    margin: tuple[np.ndarray, np.ndarray]


def plane_oracle(points: np.ndarray, G: np.ndarray, activation: Activation, cutoff: float) -> OracleAnswer:
    """γ(G) from above, proven and tight to rounding; points (N, r), r ≤ 2, G (m, N).

    W: the local maxima of the curve above `cutoff`, best first (heuristic in the last bits, like all neurons).
    """
    curve, exponent, error = _sweep(points, G, activation)
    bound = 0.0
    W, values = np.zeros((0, points.shape[1])), np.zeros(0)
    if curve is not None:
        bound = _scaled(float(_arc_bounds(curve, error).max()), exponent)
        W, values = _local_maxima(curve, points.shape[1])
        values = np.ldexp(values, exponent)
        W, values = W[values > cutoff][:MOST_NEURONS], values[values > cutoff][:MOST_NEURONS]
    return OracleAnswer(W, values, bound, "plane", PlaneProof(points, G, bound), 0, bound <= cutoff)


def prove(question: Question, limits: Limits) -> OracleAnswer:
    """The rung `plane`, which needs no limits."""
    return plane_oracle(question.points, question.G, question.activation, question.cutoff)


def _scaled(bound: float, exponent: int) -> float:
    """bound·2^exponent, not rounded down where that underflows; inf for what is no number."""
    with np.errstate(over="ignore"):
        return float(np.ldexp(bound, exponent)) + TINY if bound < math.inf else math.inf


def plane_oracle_outside(
    points: np.ndarray, G: np.ndarray, activation: Activation, starts: np.ndarray, ends: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """max of ‖Gσ(X̃ᵀw)‖ over unit w outside some arcs, bounded from above, proven as in `plane_oracle`.

    points (N, 2), G (m, N). starts and ends (k, 2): arc k goes counterclockwise from one to the other, less than a half turn (not
    checked). Their union must leave an arc; its complement is taken with its ends. Returns (bound, W, values): W (l, 2) unit
    rows, local maxima outside (heuristic).

    The ends are added to the lines, so that each arc of the sweep lies inside or outside; which, exact signs decide.
    """
    ends_of_arcs = np.concatenate([starts, ends])
    curve, exponent, error = _sweep(points, G, activation, np.column_stack([ends_of_arcs[:, 1], -ends_of_arcs[:, 0]]))
    if curve is None:
        return 0.0, np.zeros((0, 2)), np.zeros(0)
    outside = ~between(starts, ends, curve.p)
    bound = _scaled(float(_arc_bounds(curve, error)[outside].max(initial=0.0)), exponent)
    W, values = _local_maxima(curve, 2)
    outside = ~between(starts, ends, W)
    return bound, W[outside], np.ldexp(values[outside], exponent)


def between(starts: np.ndarray, ends: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Which of W (l, 2) lie on one of the arcs (start included, end not), exactly; arcs as in `plane_oracle_outside`."""
    result = np.zeros(len(W), bool)
    for a, b in zip(starts, ends, strict=True):
        result |= (cross_signs(a, W) >= 0) & (cross_signs(b, W) < 0)
    return result


def cross_signs(a: np.ndarray, W: np.ndarray) -> np.ndarray:
    """The exact sign of a₁w₂ − a₂w₁ for each w in W (k, 2): 1 where w lies counterclockwise of a."""
    first, second = a[0] * W[:, 1], a[1] * W[:, 0]
    cross = first - second
    signs = np.sign(cross)
    for i in np.flatnonzero(np.abs(cross) <= 4.0 * EPS * (np.abs(first) + np.abs(second)) + TINY):
        exact = Fraction(a[0]) * Fraction(W[i, 1]) - Fraction(a[1]) * Fraction(W[i, 0])
        signs[i] = (exact > 0) - (exact < 0)
    return signs


def _sweep(
    points: np.ndarray, G: np.ndarray, activation: Activation, extra: np.ndarray | None = None
) -> tuple[_Curve | None, int, float]:
    """(curve, exponent, error): Gσ(X̃ᵀw) = 2^exponent (M + E)w with ‖E‖_F ≤ error; no curve where it is 0 everywhere.

    extra (k, 2): lines to be added, with g = 0.
    """
    added = np.eye(2) if extra is None else np.concatenate([np.eye(2), extra])
    N, m = len(points), len(G)
    live = (np.abs(points).max(axis=1) * activation.lipschitz > 0.0) & G.any(axis=0)
    if not live.any():
        return None, 0, 0.0
    points, G, count = points[live], G[:, live], int(live.sum())
    # Only the products g_ix_i matter: powers of two bring every x_i to size 1 and the largest product too.
    x_exponent, g_exponent = (np.frexp(np.abs(A).max(axis=1))[1] for A in (points, G.T))
    exponent = int((x_exponent + g_exponent).max())
    plane = np.zeros((count + len(added), 2))
    plane[:count, : points.shape[1]] = np.ldexp(points, -x_exponent[:, np.newaxis])
    plane[count:] = added
    products = np.zeros((len(plane), m, 2))
    products[:count] = np.ldexp(G.T, x_exponent[:, np.newaxis] - exponent)[:, :, np.newaxis] * plane[:count, np.newaxis]
    total = np.abs(products).sum(axis=0) * (1.0 + (N + 4) * EPS)
    slope_exponent = math.frexp(activation.lipschitz)[1]
    e = math.frexp(float(total.max()))[1]
    integers = np.rint(np.ldexp(products, 61 - e)).astype(np.int64)
    lines = lines_of(plane)
    on, off = (np.ldexp(part.astype(np.float64), -61) for part in lines.sums(integers))
    a_plus, a_minus = math.ldexp(activation.a_plus, -slope_exponent), math.ldexp(activation.a_minus, -slope_exponent)
    M = np.concatenate([a_plus * on + a_minus * off, a_plus * off + a_minus * on])
    entries = 3.0 * EPS * np.ldexp(total, -e) + (N + 1) * 2.0**-61
    error = float(np.sqrt(np.sum(entries * entries))) * (1.0 + (2 * m + 4) * EPS) + TINY
    p = np.concatenate([lines.cuts, -lines.cuts])
    q = np.roll(p, -1, axis=0)
    size = np.sqrt(np.einsum("amk,amk->a", M, M)) * (1.0 + (2 * m + 4) * EPS) + TINY
    value, slope, margin = [], [], []  # at p, at q
    for end in (p, q):
        at = np.einsum("amk,ak->am", M, end)
        turned = np.einsum("amk,ak->am", M, np.column_stack([-end[:, 1], end[:, 0]]))
        square = np.einsum("ak,ak->a", end, end)
        value.append(np.sqrt(np.einsum("am,am->a", at, at) / square))
        slope.append(np.einsum("am,am->a", at, turned))
        margin.append((m + 10) * EPS * size * size * square + TINY)
    exponent += e + slope_exponent
    return _Curve(M, p, q, size, tuple(value), tuple(slope), tuple(margin)), exponent, error


def _arc_bounds(curve: _Curve, error: float) -> np.ndarray:
    """The smaller of (1) and (2) for each arc, rounded up, plus the error of M: (2L,)."""
    m = curve.M.shape[1]
    at_ends = np.maximum(*curve.value) * (1.0 + (m + 10) * EPS) + 3.0 * EPS * curve.size
    inside = (curve.slope[0] >= -curve.margin[0]) & (curve.slope[1] <= curve.margin[1])
    A, B, D = (np.einsum("am,am->a", curve.M[:, :, j], curve.M[:, :, k]) for j, k in ((0, 0), (0, 1), (1, 1)))
    top = 0.5 * (A + D) + np.sqrt(0.25 * (A - D) ** 2 + B * B) + (m + 8) * EPS * curve.size**2
    lengths = np.einsum("ak,ak->a", curve.p, curve.p) * np.einsum("ak,ak->a", curve.q, curve.q)
    cosine = np.einsum("ak,ak->a", curve.p, curve.q) / np.sqrt(lengths)
    cone = at_ends * np.sqrt(2.0 / (1.0 + np.maximum(cosine - 6.0 * EPS, 0.0))) * (1.0 + 8.0 * EPS)
    bounds = np.where(inside, np.minimum(np.sqrt(top) * (1.0 + 4.0 * EPS), cone), at_ends)
    return (bounds + error) * (1.0 + 4.0 * EPS)


def _local_maxima(curve: _Curve, r: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit neurons (k, r) at the local maxima of the curve and their values, best first, in floating point."""
    before = np.roll(curve.slope[1], 1)
    at_cut = (before >= 0.0) & (curve.slope[0] <= 0.0)
    inside = np.flatnonzero((curve.slope[0] > 0.0) & (curve.slope[1] < 0.0))
    gram = np.einsum("amj,amk->ajk", curve.M[inside], curve.M[inside])
    tops = np.linalg.eigh(gram)[1][:, :, 1]
    middle = curve.p[inside] + curve.q[inside]
    tops = tops * np.where(np.einsum("ak,ak->a", tops, middle) >= 0.0, 1.0, -1.0)[:, np.newaxis]
    heights = np.linalg.norm(np.einsum("amk,ak->am", curve.M[inside], tops), axis=1)
    W = np.concatenate([curve.p[at_cut] / np.linalg.norm(curve.p[at_cut], axis=1, keepdims=True), tops])
    values = np.concatenate([curve.value[0][at_cut], heights])
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > 0.0]
    # r = 1: the second axis has the value 0, and its neighbours are no maxima.
    return W[order, :r], values[order]
