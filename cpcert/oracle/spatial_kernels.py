"""The compiled search of spatial.py: depth first over simplicial cones, below one cone that is given.

A cone at level d has vertices u_j (r of them, on |w|₁ = 1, dyadic), their values s_ij = x_iᵀu_j for the points that are undecided
on it, and two sums for each vertex: `fold`, the part of f that is linear on the cone, and `value`, fold and the kinks of undecided
points that count as convex: those with weight +1 for one output (the others, with weight −1, come behind them in the order of points),
all of them for several. Level 0 only holds the values at the vertices of the first cone, which is level 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cpcert.compiled import njit

# Deepest level, and most bisections on the way to a vertex: its coordinates are multiples of 2^−FINEST, exactly.
DEEPEST, FINEST = 120, 44
# Integers θ are at most this; moves of θ towards the worst vertex, and how far.
THETA = 63
MOVES = 6
# An edge e of a branching is written as e + 1, a leaf as 0.
LEAF = 0
CLOSED, STOPPED, LIMIT, TOO_DEEP, FOUND = range(5)
NODES_AFTER_NEURON = 300


class Levels(NamedTuple):
    """Row d is the cone at level d.

    U (r, r) with rows u_j; length (r,) their norms; halvings (r,); fold, value (r, m); left, convex: undecided points, and how many
    of those count as convex; at, index_at: where its values and the numbers of its points start; phase: 0, 1, 2 children
    begun; edge (2,); and the midpoint of that edge: middle (r,), its fold and value (m,).
    """

    U: np.ndarray
    length: np.ndarray
    halvings: np.ndarray
    fold: np.ndarray
    value: np.ndarray
    left: np.ndarray
    convex: np.ndarray
    at: np.ndarray
    index_at: np.ndarray
    phase: np.ndarray
    edge: np.ndarray
    middle: np.ndarray
    middle_fold: np.ndarray
    middle_value: np.ndarray


@njit(cache=True, nogil=True, counted=False)
def _inherit(d, out, levels, values, index, weights, low, high, kept):
    """Fill level d + 1 from level d with the vertex `out` replaced by the midpoint (−1: none); decided points are folded."""
    r = levels.U.shape[1]
    m = weights.shape[0]
    n = levels.left[d]
    at = levels.at[d]
    middle_at = at + r * n
    for j in range(r):
        new = j == out
        for k in range(r):
            levels.U[d + 1, j, k] = levels.middle[d, k] if new else levels.U[d, j, k]
        for k in range(m):
            levels.fold[d + 1, j, k] = levels.middle_fold[d, k] if new else levels.fold[d, j, k]
            levels.value[d + 1, j, k] = levels.middle_value[d, k] if new else levels.value[d, j, k]
        levels.length[d + 1, j] = levels.length[d, j]
        levels.halvings[d + 1, j] = levels.halvings[d, j]
    if out >= 0:
        a, b = levels.edge[d, 0], levels.edge[d, 1]
        levels.halvings[d + 1, out] = max(levels.halvings[d, a], levels.halvings[d, b]) + 1
        square = 0.0
        for k in range(r):
            square += levels.middle[d, k] ** 2
        levels.length[d + 1, out] = np.sqrt(square)
    for j in range(r):
        row = values[middle_at : middle_at + n] if j == out else values[at + j * n : at + (j + 1) * n]
        if j == 0:
            for i in range(n):
                low[i] = row[i]
                high[i] = row[i]
        else:
            for i in range(n):
                low[i] = min(low[i], row[i])
                high[i] = max(high[i], row[i])
    count = 0
    convex = 0
    first = levels.index_at[d]
    for i in range(n):
        if low[i] < 0.0 and high[i] > 0.0:
            kept[count] = i
            count += 1
            if i < levels.convex[d]:
                convex += 1
        elif high[i] > 0.0:
            p = index[first + i]
            for j in range(r):
                s = values[middle_at + i] if j == out else values[at + j * n + i]
                for k in range(m):
                    levels.fold[d + 1, j, k] += weights[k, p] * s
                if i >= levels.convex[d]:
                    levels.value[d + 1, j, 0] -= s
    to = middle_at + n
    for j in range(r):
        row = values[middle_at : middle_at + n] if j == out else values[at + j * n : at + (j + 1) * n]
        for i in range(count):
            values[to + j * count + i] = row[kept[i]]
    for i in range(count):
        index[first + n + i] = index[first + kept[i]]
    levels.left[d + 1] = count
    levels.convex[d + 1] = convex
    levels.at[d + 1] = to
    levels.index_at[d + 1] = first + n
    levels.phase[d + 1] = 0


@njit(cache=True, nogil=True, counted=False)
def exact_sign(x, w):
    """The sign of xᵀw for integers x and multiples w of 2^−FINEST: the sum in twice the precision is off by less than that."""
    high, low = 0.0, 0.0
    for k in range(x.shape[0]):
        # Dekker: p + q = x_kw_k exactly, and Knuth: a + b = high + p exactly.
        p = x[k] * w[k]
        c, e = 134217729.0 * x[k], 134217729.0 * w[k]
        x1, w1 = c - (c - x[k]), e - (e - w[k])
        x2, w2 = x[k] - x1, w[k] - w1
        q = x2 * w2 - (((p - x1 * w1) - x2 * w1) - x1 * w2)
        a = high + p
        t = a - high
        b = (high - (a - t)) + (p - t)
        high, low = a, low + (b + q)
    total = high + low
    return 0.0 if abs(total) < 0.5 ** (FINEST + 1) else total


@njit(cache=True, nogil=True, counted=False)
def _excess(d, levels, values, index, points, bound, close, theta, value, w, total, F):
    """F_j of spatial.py for θ; w = Σθ_ju_j (r,); total (N,): Σθ_js_ij of the concave points. value (r,): what F starts from.

    Totals below `close` times Σθ_j have their exact sign, as the checker sees it.
    """
    r = levels.U.shape[1]
    n, convex, at = levels.left[d], levels.convex[d], levels.at[d]
    square = 0.0
    for k in range(r):
        w[k] = 0.0
        for j in range(r):
            w[k] += theta[j] * levels.U[d, j, k]
        square += w[k] * w[k]
    size = np.sqrt(square)
    for i in range(convex, n):
        total[i] = 0.0
    limit = 0.0
    for j in range(r):
        t = theta[j]
        limit += t
        row = values[at + j * n : at + (j + 1) * n]
        for i in range(convex, n):
            total[i] += t * row[i]
    limit *= close
    first = levels.index_at[d]
    for i in range(convex, n):
        if abs(total[i]) <= limit:
            total[i] = exact_sign(points[index[first + i]], w)
    # The sums of all vertices together: r of them run side by side, where one would wait for itself.
    for j in range(r):
        F[j] = 0.0
    for i in range(convex, n):
        if total[i] > 0.0:
            for j in range(r):
                F[j] += values[at + j * n + i]
    for j in range(r):
        dot = 0.0
        for k in range(r):
            dot += w[k] * levels.U[d, j, k]
        F[j] = value[j] - F[j] - bound * dot / size


@njit(cache=True, nogil=True)
def _closes(d, levels, values, index, points, weights, sizes, bound, margin, close, theta, start, w, total, F):
    """Look for θ that closes the cone at level d: 1 found, 0 there is none, −1 not found. theta, w: the last one tried."""
    r, m = levels.U.shape[1], weights.shape[0]
    n, at = levels.left[d], levels.at[d]
    if m == 1:
        for j in range(r):
            start[j] = levels.value[d, j, 0] + margin
    else:
        shift = np.zeros(m)
        spread = 0.0
        first = levels.index_at[d]
        for i in range(n):
            top = 0.0
            bottom = 0.0
            for j in range(r):
                s = values[at + j * n + i]
                top = max(top, s)
                bottom = max(bottom, -s)
            half = 0.5 * (top * bottom / (top + bottom))
            p = index[first + i]
            spread += sizes[p] * half
            for k in range(m):
                shift[k] += weights[k, p] * half
        for j in range(r):
            square = 0.0
            for k in range(m):
                square += (levels.value[d, j, k] - shift[k]) ** 2
            start[j] = np.sqrt(square) + spread + margin
    for j in range(r):
        theta[j] = 1.0
    share = 0.5
    for move in range(MOVES + 1):
        _excess(d, levels, values, index, points, bound, close, theta, start, w, total, F)
        worst = 0
        phi = 0.0
        sum_theta = 0.0
        for j in range(r):
            if F[j] > F[worst]:
                worst = j
            phi += theta[j] * F[j]
            sum_theta += theta[j]
        if F[worst] <= 0.0:
            return 1
        if phi > 0.0:
            return 0
        if move == MOVES:
            break
        top = 0.0
        for j in range(r):
            theta[j] *= (1.0 - share) / sum_theta
            if j == worst:
                theta[j] += share
            top = max(top, theta[j])
        for j in range(r):
            theta[j] = np.rint(THETA * theta[j] / top)
        share *= 0.7
    return -1


@njit(cache=True, nogil=True, counted=False)
def _value_at(d, levels, values, index, weights, theta, result):
    """f(Σθ_ju_j), (m,)."""
    r, m = levels.U.shape[1], weights.shape[0]
    n, at, first = levels.left[d], levels.at[d], levels.index_at[d]
    for k in range(m):
        result[k] = 0.0
        for j in range(r):
            result[k] += theta[j] * levels.fold[d, j, k]
    for i in range(n):
        s = 0.0
        for j in range(r):
            s += theta[j] * values[at + j * n + i]
        if s > 0.0:
            for k in range(m):
                result[k] += weights[k, index[first + i]] * s


@njit(cache=True, nogil=True, counted=False)
def _choose(d, levels, values, index, sizes, bound, low):
    """The edge (a, b) whose midpoint gains most: Σ ‖h_i‖ min(|s_ia|, |s_ib|) where the sign changes, and for the norm."""
    r = levels.U.shape[1]
    n, at, first = levels.left[d], levels.at[d], levels.index_at[d]
    for i in range(n):
        low[i] = sizes[index[first + i]]
    best, number, e = -1.0, 0, 0
    for a in range(r):
        one = values[at + a * n : at + (a + 1) * n]
        for b in range(a + 1, r):
            two = values[at + b * n : at + (b + 1) * n]
            gain = 0.0
            for i in range(n):
                s, t = one[i], two[i]
                gain += low[i] * max(min(s, -t), min(-s, t), 0.0)
            square = 0.0
            for k in range(r):
                square += (levels.U[d, a, k] + levels.U[d, b, k]) ** 2
            gain += bound * (levels.length[d, a] + levels.length[d, b] - np.sqrt(square))
            if gain > best:
                best, number = gain, e
                levels.edge[d, 0] = a
                levels.edge[d, 1] = b
            e += 1
    return number


@njit(cache=True, nogil=True, counted=False)
def _bisect(d, levels, values, index, weights):
    """The midpoint of the edge chosen at level d: its coordinates, values and sums."""
    r, m = levels.U.shape[1], weights.shape[0]
    n, convex, at, first = levels.left[d], levels.convex[d], levels.at[d], levels.index_at[d]
    a, b = levels.edge[d, 0], levels.edge[d, 1]
    for k in range(r):
        levels.middle[d, k] = 0.5 * (levels.U[d, a, k] + levels.U[d, b, k])
    one = values[at + a * n : at + (a + 1) * n]
    two = values[at + b * n : at + (b + 1) * n]
    middle = values[at + r * n : at + (r + 1) * n]
    for i in range(n):
        middle[i] = 0.5 * (one[i] + two[i])
    for k in range(m):
        levels.middle_fold[d, k] = 0.5 * (levels.fold[d, a, k] + levels.fold[d, b, k])
        levels.middle_value[d, k] = levels.middle_fold[d, k]
    if m == 1:
        total = 0.0
        for i in range(convex):
            total += max(middle[i], 0.0)
        levels.middle_value[d, 0] += total
    else:
        for i in range(n):
            if middle[i] > 0.0:
                for k in range(m):
                    levels.middle_value[d, k] += weights[k, index[first + i]] * middle[i]


@njit(cache=True, nogil=True)
def _levels(points, weights, linear, convex, cone):
    """The arrays of a search, with level 0 filled in."""
    N, r = points.shape
    m = weights.shape[0]
    D = DEEPEST + 2
    levels = Levels(
        np.zeros((D, r, r)), np.zeros((D, r)), np.zeros((D, r), np.int64), np.zeros((D, r, m)), np.zeros((D, r, m)),
        np.zeros(D, np.int64), np.zeros(D, np.int64), np.zeros(D, np.int64), np.zeros(D, np.int64),
        np.zeros(D, np.int64), np.zeros((D, 2), np.int64), np.zeros((D, r)), np.zeros((D, m)), np.zeros((D, m)),
    )  # fmt: skip
    values = np.empty((r + 1) * N * D)
    index = np.empty(N * D, np.int64)
    levels.left[0] = N
    levels.convex[0] = convex
    for i in range(N):
        index[i] = i
    for j in range(r):
        square = 0.0
        for k in range(r):
            levels.U[0, j, k] = cone[j, k]
            square += cone[j, k] ** 2
        levels.length[0, j] = np.sqrt(square)
        for i in range(N):
            s = 0.0
            for k in range(r):
                s += points[i, k] * cone[j, k]
            values[j * N + i] = s
            if s > 0.0 and (m > 1 or i < convex):
                for k in range(m):
                    levels.value[0, j, k] += weights[k, i] * s
        for k in range(m):
            for q in range(r):
                levels.fold[0, j, k] += linear[k, q] * cone[j, q]
            levels.value[0, j, k] += levels.fold[0, j, k]
    return levels, values, index


@njit(cache=True, nogil=True)
def explore(points, weights, linear, sizes, convex, bound, margin, cone, halvings, nodes, stop, neurons):
    """Search the cone with the rows of `cone` (r, r) as vertices, each bisected `halvings` times on its way, for f ≤ bound·‖w‖.

    points (N, r), weights (m, N), linear (m, r), sizes (N,) ≥ ‖h_i‖; convex: how many points, the first, count as convex.
    margin: what rounding can do to an inequality. nodes: at most so many. stop (1,): ends the search when it is not 0.
    neurons (k, r + 1): filled with w and f(w) > bound‖w‖ met. Returns (status, entries, their count, θ, their count,
    neurons found).
    """
    N, r = points.shape
    m = weights.shape[0]
    levels, values, index = _levels(points, weights, linear, convex, cone)
    for j in range(r):
        levels.halvings[0, j] = halvings[j]
    low, high, kept = np.empty(N), np.empty(N), np.empty(N, np.int64)
    theta, start, w, F, f = np.empty(r), np.empty(r), np.empty(r), np.empty(r), np.empty(m)
    tree, visited = np.empty(1024, np.int8), 0
    thetas, written = np.empty(1024, np.int8), 0
    found, status = 0, CLOSED
    levels.phase[0] = 2
    _inherit(0, -1, levels, values, index, weights, low, high, kept)
    close = 2.0**-43 * np.abs(points).max() if N > 0 else 0.0
    d = 1
    first = nodes
    while d > 0:
        if stop[0] != 0 or visited >= nodes:
            status = STOPPED if stop[0] != 0 else LIMIT
            break
        if visited == tree.shape[0]:
            grown = np.empty(2 * visited, np.int8)
            grown[:visited] = tree
            tree = grown
        if written + r > thetas.shape[0]:
            grown = np.empty(2 * written + r, np.int8)
            grown[:written] = thetas[:written]
            thetas = grown
        answer = _closes(
            d, levels, values, index, points, weights, sizes, bound, margin, close, theta, start, w, low, F
        )
        visited += 1
        if answer == 1:
            tree[visited - 1] = LEAF
            for j in range(r):
                thetas[written + j] = np.int8(theta[j])
            written += r
        else:
            if answer == 0 and found < neurons.shape[0]:
                _value_at(d, levels, values, index, weights, theta, f)
                size = 0.0
                square = 0.0
                for k in range(r):
                    square += w[k] * w[k]
                for k in range(m):
                    size += f[k] * f[k]
                size = f[0] if m == 1 else np.sqrt(size)
                if size > bound * np.sqrt(square):
                    for k in range(r):
                        neurons[found, k] = w[k] / np.sqrt(square)
                    neurons[found, r] = size / np.sqrt(square)
                    found += 1
                    first = min(first, visited)
            if found > 0 and (found == neurons.shape[0] or visited >= first + NODES_AFTER_NEURON):
                status = FOUND
                break
            edge = _choose(d, levels, values, index, sizes, bound, low)
            a, b = levels.edge[d, 0], levels.edge[d, 1]
            if d == DEEPEST or max(levels.halvings[d, a], levels.halvings[d, b]) >= FINEST:
                status = TOO_DEEP
                break
            tree[visited - 1] = np.int8(edge + 1)
            _bisect(d, levels, values, index, weights)
            levels.phase[d] = 1
            _inherit(d, b, levels, values, index, weights, low, high, kept)
            d += 1
            continue
        while d > 0 and levels.phase[d - 1] == 2:
            d -= 1
        if d > 0:
            levels.phase[d - 1] = 2
            _inherit(d - 1, levels.edge[d - 1, 0], levels, values, index, weights, low, high, kept)
    return status, tree[:visited], visited, thetas[:written], written, found
