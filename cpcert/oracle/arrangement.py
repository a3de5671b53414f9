"""Every cell of an arrangement of hyperplanes, as a tree of signs, and the exact maximum for one output and one sign.

For f(w) = cᵀw + Σ κ_i relu(x_iᵀw) only the P points with κ_i > 0 matter: on each cell of their hyperplanes f is concave
and positively homogeneous, and its maximum over the cell and the unit ball is, by duality,

    min ‖c + Σ y_i x_i‖   over   y_i ≥ κ_i (κ_i > 0, sign +),   y_i ≤ 0 (κ_i > 0, sign −),   κ_i ≤ y_i ≤ 0 (κ_i < 0).    (1)

Any such y bounds f on the cell, so every value of (1) is a proof and the minimum is exact. In general position there
are 2 Σ_{k<r} C(P−1, k) cells.

At the next point x of a node of the tree either both signs of xᵀw get a child, or the sign σ is implied: multipliers
μ_j ≥ 0 of the signs s_j on the path have ‖e‖ ≤ ε, e = Σ μ_j s_j x_j − σx, hence σxᵀw ≥ −ε on the node. So the tree
covers the space by its structure, whatever the arithmetic did; ties, duplicates and dependent points need no special
care.

docs/mathematics/arrangement.md has the rest, with the rounding of a leaf and of ε.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cpcert.compiled import njit
from cpcert.oracle.ascent import ascend, starting_points
from cpcert.oracle.frame import Rows
from cpcert.oracle.least_norm import FLOOR, INFINITE, Workspace, evaluate, min_norm
from cpcert.oracle.spectral import row_norms
from cpcert.rounding import EPS

# A sign counts as implied when its ε is at most this, relative to the size 1 of the scaled points.
IMPLIED = 1e-13
# Starts of the local search that finds the first incumbent; it changes the speed only.
STARTS = 60
# Entries of the tree and of the list of multipliers per call of the kernel.
BUFFER = 1 << 18

LEAF, IMPLIED_NODE, SPLIT = 0, 1, 2


@dataclass(frozen=True, eq=False)
class ArrangementProof:
    """Why f(w) = linearᵀw + Σ κ_i relu(x_iᵀw) ≤ bound on the unit ball.

    points (N, r), kappa (N,), linear (r,): the problem as searched, scaled as `rows` say. order (P,): the points
    with κ_i > 0 as the tree takes them. tree: int8, depth first, one entry a node: ±2 the next point is split and the
    child with that sign of x_iᵀw comes first; ±1 its sign is implied; 0 a leaf. Implied nodes and leaves have
    multipliers, in the order of the tree: `count` of them each, point `index` and `weight`. Implied: the
    y_j = s_jμ_j. Leaf: the y_i that differ from their default, which is κ_i for κ_i > 0 with sign +, and 0 otherwise.
    """

    points: np.ndarray
    kappa: np.ndarray
    linear: np.ndarray
    order: np.ndarray
    tree: np.ndarray
    count: np.ndarray
    index: np.ndarray
    weight: np.ndarray
    bound: float
    rows: Rows

    @property
    def cells(self) -> int:
        """The number of leaves."""
        return int((self.tree == LEAF).sum())


class _Stack(NamedTuple):
    """Open nodes, one row each, and the state that survives a call of the kernel."""

    sign: np.ndarray  # (D, P) int8, the signs of order[:level]
    witness: np.ndarray  # (D, r) a point of the cell
    path: np.ndarray  # (D, P) the points split on
    level: np.ndarray  # (D, 2) the next entry of order, the length of the path
    alpha: np.ndarray  # (D,) Σ κ_iε_i
    y: np.ndarray  # (N,) multipliers of the last leaf, the start of the next
    best: np.ndarray  # (2,) value of the incumbent, largest bound of a leaf
    atom: np.ndarray  # (r,) the incumbent
    used: np.ndarray  # (5,) open nodes, tree entries, implied nodes and leaves, multipliers, leaves


def cell_count(N: int, r: int) -> int:
    """2 Σ_{k<r} C(N−1, k), the number of cells of N hyperplanes in general position in R^r; 1 for N = 0."""
    return 2 * sum(math.comb(N - 1, k) for k in range(r)) if N > 0 and r > 0 else 1


@njit(cache=True, counted=False)
def implied_sign(points, norms, square, x, size, witness, path, lower, upper, depth, mu, e, precise, work):
    """Is the sign of xᵀw the same on the whole cone {s_j x_jᵀw ≥ 0 : j in path}, up to a small ε?

    witness: a point inside the cone; its side σ = sign(xᵀw) is the candidate. Returns (σ, ε): ε > IMPLIED means no, and then
    e is a direction of the cone with σxᵀe < 0, better so if `precise`. mu holds the y_j = s_jμ_j.
    """
    r = points.shape[1]
    s = 0.0
    for k in range(r):
        s += x[k] * witness[k]
    side = 1.0 if s >= 0.0 else -1.0
    for k in range(r):
        e[k] = -side * x[k]
    for q in range(depth):
        mu[path[q]] = 0.0
    if depth > 0:
        norm = min_norm(points, square, path, depth, lower, upper, mu, e, np.int64(200), 4e-16 * size, 1e-5, work)
        if precise and norm > 0.5 * IMPLIED:
            min_norm(points, square, path, depth, lower, upper, mu, e, np.int64(500), 4e-16 * size, 1e-13, work)
    total = size
    used = 0
    for k in range(r):
        e[k] = -side * x[k]
    for q in range(depth):
        j = path[q]
        if mu[j] != 0.0:
            used += 1
            total += abs(mu[j]) * norms[j]
            for k in range(r):
                e[k] += mu[j] * points[j, k]
    norm = 0.0
    for k in range(r):
        norm += e[k] * e[k]
    return side, math.sqrt(norm) * (1.0 + (r + 6) * EPS) + (used + 4) * EPS * total


class _Function(NamedTuple):
    """f(w) = linearᵀw + Σ κ_i relu(x_iᵀw), and the points with κ_i > 0 in the order of the tree."""

    points: np.ndarray  # (N, r)
    norms: np.ndarray  # (N,)
    square: np.ndarray  # (N,)
    kappa: np.ndarray  # (N,)
    linear: np.ndarray  # (r,)
    order: np.ndarray  # (P,)


class _Output(NamedTuple):
    """What a call of the kernel writes: the arrays of ArrangementProof; signs (k, P) and witnesses (k, r) of cells when they are
    listed instead of bounded."""

    tree: np.ndarray
    counts: np.ndarray
    indices: np.ndarray
    weight: np.ndarray
    signs: np.ndarray
    witnesses: np.ndarray


class _Cell(NamedTuple):
    """The node that is being visited: signs s of order[:at], a witness w, the points split on, and the box of the multipliers."""

    s: np.ndarray  # (P,) int8
    w: np.ndarray  # (r,)
    path: np.ndarray  # (P + 1,)
    lower: np.ndarray  # (N,)
    upper: np.ndarray  # (N,)
    mu: np.ndarray  # (N,)
    e: np.ndarray  # (r,)
    c: np.ndarray  # (r,)
    free: np.ndarray  # (2N + 1,)


@njit(cache=True, counted=False)
def _load(function, stack, top, cell):
    """The node of row `top`: (next entry of order, splits so far, Σ κ_iε_i)."""
    at = stack.level[top, 0]
    depth = stack.level[top, 1]
    for k in range(cell.w.shape[0]):
        cell.w[k] = stack.witness[top, k]
    for p in range(at):
        cell.s[p] = stack.sign[top, p]
    for q in range(depth):
        cell.path[q] = stack.path[top, q]
    for p in range(at):
        i = function.order[p]
        cell.lower[i] = 0.0 if cell.s[p] > 0 else -INFINITE
        cell.upper[i] = INFINITE if cell.s[p] > 0 else 0.0
    return at, depth, stack.alpha[top]


@njit(cache=True, counted=False)
def _write_implied(cell, depth, out, used):
    """The multipliers of an implied sign."""
    n = np.int64(0)
    for q in range(depth):
        j = cell.path[q]
        if cell.mu[j] != 0.0:
            out.indices[used[3] + n] = j
            out.weight[used[3] + n] = cell.mu[j]
            n += 1
    out.counts[used[2]] = n
    used[2] += 1
    used[3] += n


@njit(cache=True, counted=False)
def _push_other_child(function, stack, top, cell, at, depth, alpha, side):
    """The child with the other sign, for later: e lies in its closure, w pulls it inside."""
    i = function.order[at]
    w, e = cell.w, cell.e
    r = w.shape[0]
    for p in range(at):
        stack.sign[top, p] = cell.s[p]
    stack.sign[top, at] = -cell.s[at]
    for q in range(depth):
        stack.path[top, q] = cell.path[q]
    stack.path[top, depth] = i
    stack.level[top, 0] = at + 1
    stack.level[top, 1] = depth + 1
    stack.alpha[top] = alpha
    d = 0.0
    square_e = 0.0
    for k in range(r):
        d += side * function.points[i, k] * w[k]
        square_e += e[k] * e[k]
    pull = 0.5 * square_e / d if d > 0.0 else 1.0
    witness = stack.witness[top]
    length = 0.0
    for k in range(r):
        witness[k] = e[k] + pull * w[k]
        length += witness[k] ** 2
    length = math.sqrt(length)
    # e = −pull·w leaves nothing: the parent's witness then serves as a guess (witnesses prove nothing).
    for k in range(r):
        witness[k] = witness[k] / length if length > 0.0 else w[k]
    stack.used[0] += 1


@njit(cache=True, counted=False)
def _descend(function, stack, top, cell, out, work):
    """From the node of row `top` down to a leaf, the other children onto the stack. Returns (splits on the path, Σ κ_iε_i)."""
    points, norms, square, kappa, order = (
        function.points,
        function.norms,
        function.square,
        function.kappa,
        function.order,
    )
    s, w, path, lower, upper, mu, e = cell.s, cell.w, cell.path, cell.lower, cell.upper, cell.mu, cell.e
    used = stack.used
    at, depth, alpha = _load(function, stack, top, cell)
    while at < order.shape[0]:
        i = order[at]
        side, small = implied_sign(
            points, norms, square, points[i], norms[i], w, path, lower, upper, depth, mu, e, False, work
        )
        s[at] = 1 if side > 0.0 else -1
        if small <= IMPLIED:
            out.tree[used[1]] = s[at]
            _write_implied(cell, depth, out, used)
            alpha += kappa[i] * small
        else:
            out.tree[used[1]] = 2 * s[at]
            _push_other_child(function, stack, top, cell, at, depth, alpha, side)
            top += 1
            path[depth] = i
            depth += 1
            lower[i] = 0.0 if side > 0.0 else -INFINITE
            upper[i] = INFINITE if side > 0.0 else 0.0
        used[1] += 1
        at += 1
    out.tree[used[1]] = LEAF
    used[1] += 1
    return depth, alpha


@njit(cache=True, counted=False)
def _leaf_box(function, cell, depth, y):
    """Start problem (1): the box of y, y within it, ĉ for it. Returns how many coordinates may move."""
    points, kappa, linear, order = function.points, function.kappa, function.linear, function.order
    lower, upper, mu, c, free = cell.lower, cell.upper, cell.mu, cell.c, cell.free
    n = np.int64(0)
    for k in range(c.shape[0]):
        c[k] = linear[k]
    for q in range(depth):
        i = cell.path[q]
        if lower[i] == 0.0:
            lower[i] = kappa[i]
            y[i] = max(y[i], kappa[i])
        else:
            y[i] = min(y[i], 0.0)
        free[n] = i
        n += 1
        mu[i] = 1.0
    for p in range(order.shape[0]):
        i = order[p]
        if mu[i] != 1.0:
            y[i] = kappa[i] if cell.s[p] > 0 else 0.0
    for q in range(depth):
        mu[cell.path[q]] = 0.0
    for i in range(kappa.shape[0]):
        if kappa[i] < 0.0:
            lower[i] = kappa[i]
            upper[i] = 0.0
            free[n] = i
            n += 1
        for k in range(c.shape[0]):
            c[k] += y[i] * points[i, k]
    return n


@njit(cache=True, counted=False)
def _solve_leaf(function, cell, depth, alpha, stack, norm_linear, work):
    """Problem (1) of a leaf, and the incumbent and the largest bound after it; its multipliers are stack.y."""
    points, norms, kappa, linear = function.points, function.norms, function.kappa, function.linear
    y, best, c, e = stack.y, stack.best, cell.c, cell.e
    N, r = points.shape
    n = _leaf_box(function, cell, depth, y)
    bound = norm = 0.0
    for attempt in range(2):
        # First far enough for the incumbent; then, if that fails, to the end.
        target = best[0] * (1.0 - 2e-14) - alpha if attempt == 0 else 0.0
        tolerance = 1e-9 if attempt == 0 else 1e-15
        min_norm(
            points, function.square, cell.free, n, cell.lower, cell.upper, y, c, np.int64(2000), target, tolerance, work
        )
        total = norm_linear
        for k in range(r):
            c[k] = linear[k]
        for i in range(N):
            if y[i] != 0.0:
                total += abs(y[i]) * norms[i]
                for k in range(r):
                    c[k] += y[i] * points[i, k]
        norm = 0.0
        for k in range(r):
            norm += c[k] * c[k]
        norm = math.sqrt(norm)
        bound = (alpha + norm) * (1.0 + (function.order.shape[0] + r + 8) * EPS) + (N + 4) * EPS * total
        if bound <= best[0] or norm == 0.0:
            break
    if bound > best[0] and norm > 0.0:
        for k in range(r):
            e[k] = c[k] / norm
        v = evaluate(points, kappa, linear, e)
        if v > best[0]:
            best[0] = v
            for k in range(r):
                stack.atom[k] = e[k]
    if not bound <= best[1]:  # so written, a NaN cannot be lost
        best[1] = bound


@njit(cache=True, counted=False)
def _write_leaf(kappa, y, out, used):
    """The multipliers that differ from their default."""
    n = np.int64(0)
    for i in range(kappa.shape[0]):
        default = 0.0
        if kappa[i] > 0.0 and y[i] >= kappa[i]:
            default = kappa[i]
        if y[i] != default:
            out.indices[used[3] + n] = i
            out.weight[used[3] + n] = y[i]
            n += 1
    out.counts[used[2]] = n
    used[2] += 1
    used[3] += n


@njit(cache=True)
def _enumerate(function, solve, stack, out, work):
    """Visit nodes until none is open (returns True) or a buffer is full (False). With `solve`, leaves are bounded;
    without, their signs and witnesses are listed."""
    N, r = function.points.shape
    P = function.order.shape[0]
    used = stack.used
    cell = _Cell(
        np.empty(P, np.int8), np.empty(r), np.empty(P + 1, np.int64), np.empty(N), np.empty(N), np.zeros(N),
        np.empty(r), np.empty(r), np.empty(2 * N + 1, np.int64),
    )  # fmt: skip
    norm_linear = 0.0
    for k in range(r):
        norm_linear += function.linear[k] * function.linear[k]
    norm_linear = math.sqrt(norm_linear)
    for k in range(1, 5):
        used[k] = 0
    while used[0] > 0:
        if used[1] + P + 2 > out.tree.shape[0] or used[2] + P + 2 > out.counts.shape[0]:
            return False
        if used[3] + (P + 2) * (N + 1) > out.indices.shape[0] or (not solve and used[4] + 1 > out.signs.shape[0]):
            return False
        used[0] -= 1
        depth, alpha = _descend(function, stack, used[0], cell, out, work)
        if solve:
            _solve_leaf(function, cell, depth, alpha, stack, norm_linear, work)
            _write_leaf(function.kappa, stack.y, out, used)
        else:
            for p in range(P):
                out.signs[used[4], p] = cell.s[p]
            for k in range(r):
                out.witnesses[used[4], k] = cell.w[k]
        used[4] += 1
    return True


def _search(points, kappa, linear, solve, value, atom):
    """The whole enumeration; returns (order, tree, count, index, weight, signs, witnesses, best, atom)."""
    N, r = points.shape
    square = np.einsum("ij,ij->i", points, points)
    norms = row_norms(points)
    positive = np.flatnonzero(kappa > 0.0)
    # Heavy points first: their kinks matter most.
    order = positive[np.argsort(-kappa[positive] * norms[positive], kind="stable")]
    P = len(order)
    function = _Function(points, norms, square, kappa, linear, order)
    stack = _Stack(
        sign=np.zeros((P + 2, P), np.int8),
        witness=np.zeros((P + 2, r)),
        path=np.zeros((P + 2, P + 1), np.int64),
        level=np.zeros((P + 2, 2), np.int64),
        alpha=np.zeros(P + 2),
        y=np.zeros(N),
        best=np.array([value, 0.0]),
        atom=atom.copy(),
        used=np.array([1, 0, 0, 0, 0]),
    )
    stack.witness[0] = np.random.default_rng(0).standard_normal(r) / math.sqrt(r)
    size = max(N, r) + 2
    work = Workspace(np.zeros((size, size)), np.zeros(size), np.zeros(size), np.zeros(size, np.int64))
    multipliers = BUFFER + (P + 2) * (N + 1)
    pieces: list[tuple[np.ndarray, ...]] = []
    done = False
    while not done:
        out = _Output(
            tree=np.zeros(BUFFER + P + 2, np.int8),
            counts=np.zeros(BUFFER + P + 2, np.int32),
            indices=np.zeros(multipliers, np.int32),
            weight=np.zeros(multipliers),
            signs=np.zeros((0 if solve else 1 << 12, P), np.int8),
            witnesses=np.zeros((0 if solve else 1 << 12, r)),
        )
        done = _enumerate(function, solve, stack, out, work)
        _, nodes, lists, entries, leaves = stack.used.tolist()
        pieces.append((
            out.tree[:nodes], out.counts[:lists], out.indices[:entries], out.weight[:entries], out.signs[:leaves],
            out.witnesses[:leaves],
        ))  # fmt: skip
    arrays = tuple(np.concatenate(list(column)) for column in zip(*pieces, strict=True))
    return order, *arrays, stack.best, stack.atom


def scaled_points(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows scaled by powers of two to norms of size 1, and the exponents: points = scaled·2**exponents, exactly."""
    points = np.ascontiguousarray(points, dtype=np.float64)
    exponents = np.frexp(row_norms(points))[1].astype(np.int64)
    return np.ldexp(points, -exponents[:, np.newaxis]), exponents


def arrangement_oracle(
    points: np.ndarray, kappa: np.ndarray, linear: np.ndarray
) -> tuple[float, np.ndarray, float, ArrangementProof]:
    """The maximum of f(w) = linearᵀw + Σ κ_i relu(x_iᵀw) over ‖w‖ ≤ 1, by visiting every cell.

    points (N, r), kappa (N,), linear (r,): exact float64 numbers. Returns (upper_bound, atom, value, proof): the bound
    is proven, and normally within 1e-12 of value = f(atom), a floating-point number that is no bound; atom (r,) has
    norm 1, or 0 where f ≤ 0 everywhere. The time grows like `cell_count(number of κ_i > 0, r)`.
    """
    scaled, exponents = scaled_points(points)
    keep = (kappa != 0.0) & np.any(scaled != 0.0, axis=1)
    scaled = np.ascontiguousarray(scaled[keep])
    factors = np.ldexp(kappa[keep], exponents[keep])
    largest = max(np.abs(factors).max(initial=0.0), np.abs(linear).max(initial=0.0))
    unit = int(np.frexp(largest)[1])
    factors, linear = np.ldexp(factors, -unit), np.ldexp(np.asarray(linear, dtype=np.float64), -unit)
    value, atom = _incumbent(scaled, factors, linear)
    order, tree, count, index, weight, _, _, best, atom = _search(scaled, factors, linear, True, value, atom)
    bound = float(max(best[1], best[0])) + FLOOR
    rows = Rows(np.flatnonzero(keep), exponents, unit)
    proof = ArrangementProof(scaled, factors, linear, order, tree, count, index, weight, bound, rows)
    return float(np.ldexp(bound, unit)), atom, float(np.ldexp(best[0], unit)), proof


def _incumbent(points: np.ndarray, kappa: np.ndarray, linear: np.ndarray) -> tuple[float, np.ndarray]:
    """A good w from a local search: (f(w), w), or (0, 0)."""
    r = points.shape[1]
    # linearᵀw = relu(linearᵀw) − relu(−linearᵀw).
    rows, factors = np.vstack([points, linear, -linear]), np.append(kappa, [1.0, -1.0])
    keep = np.any(rows != 0.0, axis=1)
    if not keep.any():
        return 0.0, np.zeros(r)
    rows, factors = rows[keep], factors[keep]
    W, _ = starting_points(rows, factors[np.newaxis], STARTS, 0)
    W, _, _ = ascend(rows, factors[np.newaxis], 1.0, 0.0, W, np.ones((len(W), 1)))
    candidates = [(0.0, np.zeros(r))] + [(float(evaluate(points, kappa, linear, w)), w) for w in W[:1]]
    return max(candidates, key=lambda pair: pair[0])


def cells(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All cells of the arrangement of the hyperplanes {w : x_iᵀw = 0}: (signs (k, N) of ±1, witnesses (k, r)).

    points (N, r). witnesses: a unit w inside each cell. A point at the origin has sign +1. Complete up to cells of width
    below 1e-13; this is floating point and proves nothing by itself.
    """
    scaled, _ = scaled_points(points)
    N, r = scaled.shape
    order, *_, signs, witnesses, _, _ = _search(scaled, np.ones(N), np.zeros(r), False, 0.0, np.zeros(r))
    result = np.empty_like(signs)
    result[:, order] = signs
    return result, witnesses
