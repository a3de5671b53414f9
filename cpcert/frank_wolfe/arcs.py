"""The corrective step for points in the plane (r ≤ 2): no matrix with a row per point, at any number of points.

The program is that of corrective.py: minimise C(Z) + 2λ(Σ_A ‖u_k‖ + Σ_B ‖v_k‖) + λ‖b‖² over pattern columns (û, D), u in the
cone of D, and neuron columns (ŵ), v free. In the plane a pattern is an arc of the circle (oracle/plane.py): its cone has
two sides whatever N is, and along the sorted lines the slope of σ has one change a pattern. So with prefix sums over
the sorted points, one table for each side of the lines,

    ⟨R, φ_j⟩  = Σ_i R_i s_j,i x_i                needs Σ_{i ≤ l} R_ix_i,
    H_jk      = Σ_i C″_i s_j,i s_k,i x_ix_iᵀ      needs Σ_{i ≤ l} C″_i x_ix_iᵀ   (three ranges of i per pair),
    Z         = Σ_j θ_jφ_j                        is a running sum of slopes,

O(N + K²) for K columns, and the whole step is Newton's method with the penalty kept as it is: each turn minimises

    ⟨∇C, Z′ − Z⟩ + ½ C″(Z)[Z′ − Z, Z′ − Z] + penalty

exactly, a conic program of about 3K variables for Clarabel, then searches the segment. For mse the first turn is the answer
and the second one mends its rounding. Stationarity of the last program says that G = −∇C(Z) is a good dual point.
Everything here is a candidate; bounds are proven elsewhere from the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cpcert.conic import Cone, Rows, solve_conic
from cpcert.frank_wolfe.active_set import Columns, Correction, Neurons
from cpcert.oracle.plane import Lines, lines_of
from cpcert.problem import Problem

NEWTON_STEPS = 30
# Relative decrease of the objective below which Newton's method has converged.
CONVERGED = 1e-14


@dataclass(frozen=True, eq=False)
class _Sorted:
    """The points along the lines: order (N,), line (N,), right (N,) whether on the side of d; x (N, 3), (x_i, β)."""

    lines: Lines
    order: np.ndarray
    line: np.ndarray
    right: np.ndarray
    x: np.ndarray

    def prefixes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """values (N, …) in the order of the points; for each side Σ over lines < l, l = 0 … L: (L + 1, …)."""
        last = np.searchsorted(self.line, np.arange(self.lines.count), side="right") - 1
        tables = []
        for side in (self.right, ~self.right):
            sums = np.cumsum(np.where(side.reshape(-1, *[1] * (values.ndim - 1)), values, 0.0), axis=0)
            tables.append(np.concatenate([np.zeros((1, *values.shape[1:])), sums[last]]))
        return tables[0], tables[1]


@dataclass(frozen=True, eq=False)
class _Functions:
    """Functions θ ↦ Σ_j θ_j o_j s_j(x)(e_jᵀx), one scalar variable each.

    output (n, m), e (n, 3); change (n,): lines < change have the slope `below`, the others `above`, both (2, n), one row for
    each side of the lines.
    """

    output: np.ndarray
    e: np.ndarray
    change: np.ndarray
    below: np.ndarray
    above: np.ndarray

    def gradient(self, data: _Sorted, R: np.ndarray) -> np.ndarray:
        """⟨R, φ_j⟩, (n,); R (m, N) in the original order of the points."""
        values = R.T[data.order][:, :, np.newaxis] * data.x[:, np.newaxis, :]
        total = np.zeros(len(self.change))
        for table, below, above in zip(data.prefixes(values), self.below, self.above, strict=True):
            part = table[self.change]  # (n, m, 3)
            slopes = below[:, np.newaxis, np.newaxis] * part + above[:, np.newaxis, np.newaxis] * (table[-1] - part)
            total += np.einsum("nm,nmk,nk->n", self.output, slopes, self.e)
        return total

    def hessian(self, data: _Sorted, curvature: np.ndarray) -> np.ndarray:
        """Σ_i φ_jᵀC″_iφ_k, (n, n); curvature C″ (N, m, m)."""
        n, m = self.output.shape
        squares = np.einsum("nj,nk->njk", data.x, data.x)
        low = np.minimum(self.change[:, np.newaxis], self.change)
        high = np.maximum(self.change[:, np.newaxis], self.change)
        first = self.change[:, np.newaxis] <= self.change  # whose slope changes first
        total = np.zeros((n, n))
        for a in range(m):
            for b in range(m):
                weights = curvature[data.order, a, b]
                if not weights.any():
                    continue
                outputs = np.outer(self.output[:, a], self.output[:, b])
                tables = data.prefixes(weights[:, np.newaxis, np.newaxis] * squares)
                for table, below, above in zip(tables, self.below, self.above, strict=True):
                    middle = np.where(first, np.outer(above, below), np.outer(below, above))
                    at_low, at_high = table[low], table[high]  # (n, n, 3, 3)
                    sums = np.outer(below, below)[:, :, np.newaxis, np.newaxis] * at_low
                    sums += middle[:, :, np.newaxis, np.newaxis] * (at_high - at_low)
                    sums += np.outer(above, above)[:, :, np.newaxis, np.newaxis] * (table[-1] - at_high)
                    total += outputs * np.einsum("jp,jkpq,kq->jk", self.e, sums, self.e)
        return 0.5 * (total + total.T)

    def outputs(self, data: _Sorted, theta: np.ndarray) -> np.ndarray:
        """Z (m, N) in the original order of the points."""
        terms = (theta[:, np.newaxis] * self.output)[:, :, np.newaxis] * self.e[:, np.newaxis, :]  # (n, m, 3)
        Z = np.zeros((len(data.order), self.output.shape[1]))
        for side, below, above in zip((data.right, ~data.right), self.below, self.above, strict=True):
            # The slope vector at line l: Σ above + Σ over change > l of (below − above).
            steps = np.zeros((data.lines.count + 1, *terms.shape[1:]))
            np.add.at(steps, self.change, (below - above)[:, np.newaxis, np.newaxis] * terms)
            later = np.cumsum(steps[::-1], axis=0)[::-1]
            slope = np.einsum("n,nmk->mk", above, terms) + later[1:][data.line]
            Z += np.where(side[:, np.newaxis], np.einsum("imk,ik->im", slope, data.x), 0.0)
        result = np.empty_like(Z)
        result[data.order] = Z
        return result.T


def correct_in_plane(problem: Problem, points: np.ndarray, columns: Columns) -> Correction | None:
    """Solve the program of corrective.py on the columns; points (N, r), r ≤ 2, not all 0; any loss but interpolate.

    None when Clarabel returns nothing finite.
    """
    m, p, q = problem.m, len(columns.output), len(columns.W)
    size_x = float(np.abs(points).max())
    size_y = problem.loss.target_unit(problem.targets)
    data = _sort(points / size_x)
    functions, arcs = _functions(problem, data, columns, size_y)
    Y = problem.targets
    # Variables are u and v for data of size 1; the objective is divided by `unit`.
    unit = size_y ** (problem.loss.degree or 0)
    price = 2.0 * problem.lam * size_y / size_x / unit
    ridge = problem.lam / problem.beta**2 * size_y**2 / unit if problem.beta != 0.0 else 0.0
    n = len(functions.change)
    blocks = ((p, 2), (q, m))

    def penalty(theta: np.ndarray) -> float:
        norms = np.linalg.norm(theta[: 2 * p].reshape(p, 2), axis=1).sum()
        norms += np.linalg.norm(theta[2 * p : 2 * p + m * q].reshape(q, m), axis=1).sum()
        b = theta[2 * p + m * q :]
        return float(price * norms + ridge * (b @ b))

    theta, Z = np.zeros(n), np.zeros_like(Y)
    value = problem.loss.value(Z, Y) / unit
    for _ in range(NEWTON_STEPS):
        gradient = functions.gradient(data, problem.loss.gradient(Z, Y)) / unit
        H = functions.hessian(data, problem.loss.hessian(Z, Y)) / unit
        new = _quadratic_program(H, gradient - H @ theta, blocks, price, ridge, arcs)
        if new is None:
            return None
        new_Z = functions.outputs(data, new)
        length = 1.0
        while length > 1e-6:
            trial, trial_Z = theta + length * (new - theta), Z + length * (new_Z - Z)
            trial_value = problem.loss.value(trial_Z, Y) / unit + penalty(trial)
            if trial_value < value:
                break
            length *= 0.5
        else:
            break
        fall = value - trial_value
        theta, Z, value = trial, functions.outputs(data, trial), trial_value
        if fall <= CONVERGED * abs(value):
            break
    u, v = theta[: 2 * p].reshape(p, 2), theta[2 * p : 2 * p + m * q].reshape(q, m)
    r = points.shape[1]
    norms = np.linalg.norm(u[:, :r], axis=1)
    W = np.concatenate([u[:, :r] / np.where(norms > 0.0, norms, 1.0)[:, np.newaxis], columns.W])
    V = np.concatenate([columns.output * norms[:, np.newaxis], v]).T * (size_y / size_x)
    b = theta[2 * p + m * q :] * size_y / problem.beta if problem.beta != 0.0 else np.zeros(m)
    patterns = np.concatenate([columns.pattern, columns.W_pattern])
    return Correction(Neurons(W, V, b, patterns).without_dust(), -problem.loss.gradient(Z, Y))


def arcs_of(points: np.ndarray, patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(arc (p,), circle (2L, 2)) for patterns (p, N) of points (N, r), r ≤ 2, not all 0: pattern k has the arc from
    circle[arc_k] to circle[arc_k + 1], unit directions."""
    data = _sort(points)
    return _arcs(data, patterns), _circle(data.lines)


def cone_sides(points: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """The two sides of the cone of each pattern (p, N) of points (N, r), r ≤ 2, not all 0: (p, 2, r), products with u ≥ 0."""
    return _sides(*arcs_of(points, patterns))[:, :, : points.shape[1]]


def consistent_patterns(points: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """The patterns (p, N) of the arcs that `patterns` (p, N) are closest to; points (N, r), r ≤ 2, not all 0.

    What signs of products near 0 say need not be the pattern of any arc: of x and −x both may be off.
    """
    data = _sort(points)
    arc = _arcs(data, patterns)[:, np.newaxis]
    L = data.lines.count
    result = np.empty_like(patterns)
    result[:, data.order] = (data.right == (data.line > arc % L)) != (arc >= L)
    result[:, ~points.any(axis=1)] = False
    return result


def arc_middles(points: np.ndarray) -> np.ndarray:
    """A unit neuron (2L, 2) inside each arc of points (N, 2), not all 0; of its two ends' sum, or beside a half circle."""
    circle = _circle(lines_of(points))
    ends = np.roll(circle, -1, axis=0)
    middles = circle + ends
    turned = np.column_stack([-circle[:, 1], circle[:, 0]])
    middles = np.where(len(circle) > 2, middles, turned)
    return middles / np.linalg.norm(middles, axis=1, keepdims=True)


def _circle(lines: Lines) -> np.ndarray:
    unit = lines.cuts / np.linalg.norm(lines.cuts, axis=1, keepdims=True)
    return np.concatenate([unit, -unit])


def _sides(arc: np.ndarray, circle: np.ndarray) -> np.ndarray:
    start, end = circle[arc], circle[(arc + 1) % len(circle)]
    return np.stack([np.column_stack([-start[:, 1], start[:, 0]]), np.column_stack([end[:, 1], -end[:, 0]])], axis=1)


def _sort(points: np.ndarray) -> _Sorted:
    plane = np.zeros((len(points), 2))
    plane[:, : points.shape[1]] = points
    lines = lines_of(plane)
    zero = np.setdiff1d(np.arange(len(points)), lines.order)
    order = np.concatenate([zero, lines.order])
    counts = np.diff(np.concatenate([[0], lines.ends]))
    line = np.concatenate([np.zeros(len(zero), int), np.repeat(np.arange(lines.count), counts)])
    right = np.concatenate([np.ones(len(zero), bool), lines.side > 0.0])
    return _Sorted(lines, order, line, right, np.column_stack([plane[order], np.ones(len(points))]))


def _functions(problem: Problem, data: _Sorted, columns: Columns, size_y: float) -> tuple[_Functions, np.ndarray]:
    """The scalar functions of pattern columns (two each), neuron columns (m each) and biases (m); and the two sides of
    the cone of each pattern column, (p, 2, 2): u is inside when both products with u are ≥ 0 (none for a linear σ)."""
    m, p, q = problem.m, len(columns.output), len(columns.W)
    L = data.lines.count
    patterns = np.concatenate([columns.pattern, columns.W_pattern])
    arc = _arcs(data, patterns)
    k, opposite = arc % L, arc >= L
    # On arc k < L the lines ≤ k have dᵀw < 0: points on the side of d are off there, points on the other side on.
    a_plus, a_minus = problem.activation.a_plus, problem.activation.a_minus
    below = np.where(opposite, [[a_plus], [a_minus]], [[a_minus], [a_plus]])
    above = np.where(opposite, [[a_minus], [a_plus]], [[a_plus], [a_minus]])
    which = np.concatenate([np.repeat(np.arange(p), 2), np.repeat(np.arange(p, p + q), m)])
    output = np.concatenate([np.repeat(columns.output, 2, axis=0), np.tile(np.eye(m), (q, 1))])
    e = np.zeros((len(which), 3))
    e[: 2 * p, :2] = np.tile(np.eye(2), (p, 1))
    e[2 * p :, : columns.W.shape[1]] = np.repeat(columns.W, m, axis=0)
    change, below, above = k[which] + 1, below[:, which], above[:, which]
    if problem.beta != 0.0:
        output = np.concatenate([output, np.eye(m)])
        e = np.concatenate([e, np.tile([0.0, 0.0, 1.0], (m, 1))])
        change = np.concatenate([change, np.zeros(m, int)])
        below, above = (np.concatenate([part, np.ones((2, m))], axis=1) for part in (below, above))
    sides = _sides(arc[:p], _circle(data.lines)) if problem.activation.kink != 0.0 else np.zeros((0, 2, 2))
    # Z/size_y is what the scaled variables make; the functions carry the size.
    return _Functions(output * size_y, e, change, below, above), sides


def _arcs(data: _Sorted, patterns: np.ndarray) -> np.ndarray:
    """The arc of each pattern (c, N): the one that agrees with it at most points (at a cut the two next to it do)."""
    signs = np.where(patterns[:, data.order] == data.right, 1, -1)  # of dᵀw
    signs[:, ~data.x[:, :2].any(axis=1)] = 0
    last = np.searchsorted(data.line, np.arange(data.lines.count), side="right") - 1
    sums = np.cumsum(signs, axis=1)
    score = sums[:, -1:] - 2 * sums[:, last]
    best = np.argmax(np.abs(score), axis=1)
    return best + data.lines.count * (score[np.arange(len(best)), best] < 0)


def _quadratic_program(
    H: np.ndarray, linear: np.ndarray, blocks: Sequence[tuple[int, int]], price: float, ridge: float, sides: np.ndarray
) -> np.ndarray | None:
    """argmin ½θᵀHθ + linearᵀθ + price Σ‖θ_block‖ + ridge‖θ_rest‖² with the first blocks in their cones.

    blocks: (count, width) of consecutive blocks.
    """
    n, K = len(linear), sum(count for count, _ in blocks)
    end = sum(count * width for count, width in blocks)
    P = np.zeros((n + K, n + K))
    P[:n, :n] = H
    P[range(end, n), range(end, n)] += 2.0 * ridge
    if not K:
        return -linear / np.maximum(P.diagonal(), 1e-300) if n <= 1 else np.linalg.lstsq(P, -linear)[0]
    rows = []
    if len(sides):
        k, s, j = (index.ravel() for index in np.indices(sides.shape))
        height = 2 * len(sides)
        A = sparse.csc_matrix((-sides.ravel(), (2 * k + s, 2 * k + j)), shape=(height, n + K))
        rows.append(Rows(A, np.zeros(height), Cone.NONNEGATIVE))
    start, number = 0, n
    for count, width in blocks:
        if count:
            columns = np.column_stack(
                [number + np.arange(count), start + np.arange(count * width).reshape(count, width)]
            ).ravel()
            height = len(columns)
            A = sparse.csc_matrix((-np.ones(height), (np.arange(height), columns)), shape=(height, n + K))
            rows.append(Rows(A, np.zeros(height), Cone.SECOND_ORDER, width + 1))
        start, number = start + count * width, number + count
    found = solve_conic(sparse.csc_matrix(np.triu(P)), np.concatenate([linear, np.full(K, price)]), rows)
    return None if found is None else found.x[:n]
