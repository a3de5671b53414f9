"""Local search for neurons: a heuristic that never proves anything.

For a fixed output direction û and g = Gᵀû the value is a difference of convex functions (notation of branch.py),

    f(w) = cᵀw + Σ κ_i relu(x_iᵀw) = [cᵀw + Σ_{κ_i>0} κ_i relu(x_iᵀw)] − Σ_{κ_i<0} |κ_i| relu(x_iᵀw).

Linearise the convex part at w (p = its subgradient); what remains is concave and its maximum over the ball is, by
duality,

    min over y_i ∈ [κ_i, 0] of ‖p + Σ_{κ_i<0} y_i x_i‖,

a projection on a zonotope, attained at the direction of the residual: the next w. The value never falls, it stops after
finitely many steps, and kinks x_iᵀw = 0, where optimal neurons sit, are no obstacle, as they are for gradients. With
several outputs, û = Gσ/‖Gσ‖ is renewed after each step (the value ‖Gσ(X̃ᵀw)‖ = max over û still never falls).
"""

from __future__ import annotations

import numpy as np

from cpcert.compiled import njit
from cpcert.oracle.least_norm import Workspace, ascent_step, min_norm

STEPS = 60
# Kinks within such an angle of a neuron are seen by each step of `ascend_near`, however short the last one was.
NARROWEST = 0.01


@njit(cache=True)
def _ascend(points, square, G, a_plus, a_minus, W, U, values, work):
    N, r = points.shape
    m = G.shape[0]
    kappa = np.empty(N)
    linear = np.empty(r)
    y = np.empty(N)
    c = np.empty(r)
    upper = np.zeros(N)
    index = np.empty(N + 1, np.int64)
    new = np.empty(m)
    for start in range(W.shape[0]):
        w = W[start]
        u = U[start]
        for i in range(N):
            y[i] = 0.0
        best = -1.0
        for _ in range(STEPS):
            for k in range(r):
                linear[k] = 0.0
            for i in range(N):
                g = 0.0
                for j in range(m):
                    g += u[j] * G[j, i]
                kappa[i] = (a_plus - a_minus) * g
                if a_minus != 0.0:
                    for k in range(r):
                        linear[k] += a_minus * g * points[i, k]
            norm = ascent_step(points, square, kappa, linear, w, y, c, index, upper, work)
            if norm <= 0.0:
                break
            for j in range(m):
                new[j] = 0.0
            for i in range(N):
                s = 0.0
                for k in range(r):
                    s += points[i, k] * c[k]
                s *= (a_plus if s > 0.0 else a_minus) / norm
                for j in range(m):
                    new[j] += G[j, i] * s
            value = 0.0
            if m == 1:
                value = new[0] * u[0]
            else:
                for j in range(m):
                    value += new[j] * new[j]
                value = np.sqrt(value)
            if value <= 0.0 or value <= best * (1.0 + 1e-13):
                break
            best = value
            for k in range(r):
                w[k] = c[k] / norm
            if m > 1:
                for j in range(m):
                    u[j] = new[j] / value
        values[start] = best


def ascend(
    points: np.ndarray, G: np.ndarray, a_plus: float, a_minus: float, W: np.ndarray, U: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local maxima of ‖Gσ(X̃ᵀw)‖ over unit w, best first: (W (S, r), U (S, m), values (S,)). Heuristic.

    points (N, r), G (m, N); W (S, r) and U (S, m): starting neurons and output directions (±1 for one output, kept).
    Starts that reach no positive value are dropped.
    """
    work = _workspace(points)
    W, U = np.array(W, dtype=np.float64, order="C"), np.array(U, dtype=np.float64, order="C")
    values = np.zeros(len(W))
    points, G = np.ascontiguousarray(points), np.ascontiguousarray(G)
    _ascend(points, np.einsum("ij,ij->i", points, points), G, a_plus, a_minus, W, U, values, work)
    return _best_first(W, U, values)


@njit(cache=True)
def _evaluate(columns, G, a_plus, a_minus, w, s, new):
    """s (N,): X̃ᵀw, new (m,): Gσ(s); returns ‖new‖. columns (r, N): the points."""
    r, N = columns.shape
    for i in range(N):
        s[i] = columns[0, i] * w[0]
    for k in range(1, r):
        for i in range(N):
            s[i] += columns[k, i] * w[k]
    square = 0.0
    for j in range(G.shape[0]):
        total = 0.0
        for i in range(N):
            total += G[j, i] * s[i] * (a_plus if s[i] > 0.0 else a_minus)
        new[j] = total
        square += total * total
    return np.sqrt(square)


@njit(cache=True)
def _ascend_near(points, columns, lengths, square, G, a_plus, a_minus, W, U, values, radius, work):
    N, r = points.shape
    m = G.shape[0]
    kappa, y, upper = np.empty(N), np.empty(N), np.zeros(N)
    index = np.empty(N + 1, np.int64)
    s, other = np.empty(N), np.empty(N)
    c, direction, new = np.empty(r), np.empty(r), np.empty(m)
    for start in range(W.shape[0]):
        w, u = W[start], U[start]
        best = _evaluate(columns, G, a_plus, a_minus, w, s, new)
        if m == 1:
            best = new[0] * u[0]
        seen = radius
        for _ in range(STEPS):
            n = np.int64(0)
            for k in range(r):
                c[k] = 0.0
            for i in range(N):
                g = 0.0
                for j in range(m):
                    g += u[j] * G[j, i]
                kappa[i] = (a_plus - a_minus) * g
                on = a_minus * g
                if kappa[i] < 0.0 and abs(s[i]) <= seen * lengths[i] and square[i] > 0.0:
                    index[n] = i
                    n += 1
                    y[i] = kappa[i] if s[i] > 0.0 else 0.0
                if s[i] > 0.0:
                    on += kappa[i]
                for k in range(r):
                    c[k] += on * points[i, k]
            norm = min_norm(points, square, index, n, kappa, upper, y, c, np.int64(40), 0.0, 1e-9, work)
            if norm <= 0.0:
                break
            moved = 0.0
            for k in range(r):
                direction[k] = c[k] / norm
                moved += (direction[k] - w[k]) ** 2
            moved = np.sqrt(moved)
            value = _evaluate(columns, G, a_plus, a_minus, direction, other, new)
            if m == 1:
                value = new[0] * u[0]
            if value <= best * (1.0 + 1e-13) or value <= 0.0:
                # Beyond the kinks that were seen the step was a guess.
                if moved <= seen or seen >= 1.0:
                    break
                seen = min(1.0, 4.0 * seen)
                continue
            best = value
            for k in range(r):
                w[k] = direction[k]
            for i in range(N):
                s[i] = other[i]
            if m > 1:
                for j in range(m):
                    u[j] = new[j] / value
            seen = min(1.0, max(4.0 * moved, NARROWEST))
        values[start] = best


def ascend_near(
    points: np.ndarray, G: np.ndarray, a_plus: float, a_minus: float, W: np.ndarray, U: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`ascend` from starts near local maxima: a step sees the kinks within an angle of w, at first `radius`, then about four times
    the last step; the others, which stay on their side of w within that angle, count as linear."""
    work = _workspace(points)
    W, U = np.array(W, dtype=np.float64, order="C"), np.array(U, dtype=np.float64, order="C")
    values = np.zeros(len(W))
    points, columns, G = np.ascontiguousarray(points), np.ascontiguousarray(points.T), np.ascontiguousarray(G)
    square = np.einsum("ij,ij->i", points, points)
    _ascend_near(points, columns, np.sqrt(square), square, G, a_plus, a_minus, W, U, values, radius, work)
    return _best_first(W, U, values)


def _workspace(points: np.ndarray) -> Workspace:
    # Free coordinates of a least-norm problem are at most as many as points, but its equations at most r.
    size = points.shape[1] + 2
    return Workspace(
        np.zeros((size, size)), np.zeros(size), np.zeros(len(points) + 2), np.zeros(len(points) + 2, np.int64)
    )


def _best_first(W: np.ndarray, U: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > 0.0]
    return W[order], U[order], values[order]


def starting_points(points: np.ndarray, G: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts for `ascend`: data directions with both signs and random directions; (W (S, r), U (S, m)).

    About `count` starts a sign of û for one output, `count` in all for several.
    """
    rng = np.random.default_rng(seed)
    r = points.shape[1]
    norms = np.linalg.norm(points, axis=1)
    data = points[norms > 0.0] / norms[norms > 0.0, np.newaxis]
    data = data[rng.permutation(len(data))[: count // 3]]
    random = rng.standard_normal((max(count - 2 * len(data), 4), r))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    W = np.concatenate([data, -data, random])
    m = len(G)
    if m == 1:
        return np.concatenate([W, W]), np.concatenate([np.ones((len(W), 1)), -np.ones((len(W), 1))])
    U = rng.standard_normal((len(W), m))
    # Output directions in the column space of G: others see nothing.
    left, singular, _ = np.linalg.svd(G, full_matrices=False)
    rank = max(int((singular > 1e-12 * singular[0]).sum()), 1)
    U = (U @ left[:, :rank]) @ left[:, :rank].T
    norms = np.linalg.norm(U, axis=1, keepdims=True)
    return W, np.where(norms > 0.0, U / np.maximum(norms, 1e-300), left[:, 0])
