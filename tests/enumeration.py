"""An independent reference for the optimum of small one-output networks, by full enumeration.

Nothing here uses cpcert. Pilanci and Ergen (ICML 2020): with one output, the depth-2 problem

    P* = min C(Σ v_k σ(w_kᵀX̃) + βb) + 2λ Σ|v_k| + λb²,   ‖w_k‖ ≤ 1,   σ(s) = a₊ max(s, 0) − a₋ max(−s, 0),

is a convex program with one vector u per activation pattern D and sign s = ±1: the neurons of that pattern and sign
add up to one, which contributes s·D X̃ᵀu, D = diag(a₊ or a₋), costs 2λ‖u‖ and must keep its pattern,
(2[D = a₊] − 1) x̃_iᵀu ≥ 0.

`optimum` solves it with Clarabel but takes no number from the solver on trust:
- upper: the weights are read off and L_λ is evaluated in float64 with the true σ. For `interpolate` what is left of
  Z − Y is removed by further neurons, whose cost is added;
- lower: the multiplier g is scaled by s ≤ 2λ/γ(g) and the dual −C*(−sg) − (β²/4λ)(s 1ᵀg)² is evaluated. In a cell with
  pattern rows A, γ is at most ‖c + Aᵀμ‖ for *any* μ ≥ 0 (non-negative least squares finds a good one), so each cell's
  number is an upper bound whatever the accuracy of μ.

Both are float64 evaluations without directed rounding, with errors below 1e-12 relative to the numbers added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import clarabel
import numpy as np
from scipy import sparse
from scipy.optimize import nnls

# A point this close to a plane (relative to its norm) counts as lying in it. Ties in the tests are exact up to the
# rounding of a change of basis, and random points are never that close.
ON_PLANE = 1e-10


@dataclass(frozen=True)
class Interval:
    """lower ≤ P* ≤ upper; both are inf when no network reaches the targets (interpolate)."""

    lower: float
    upper: float


def cells(points: np.ndarray) -> np.ndarray:
    """All sign vectors (±1) of the full-dimensional cells of the central arrangement of `points` (N, r), rank r.

    Each cell is a pointed cone, so it touches a ray on which r − 1 independent points vanish. Around such a ray ±v the
    signs of the points off the ray are fixed, and those of the points on it are the cells of an arrangement in v⊥, one
    dimension lower. A zero point has no sign; it is given +1.
    """
    N, r = points.shape
    norms = np.linalg.norm(points, axis=1)
    points = points / np.where(norms > 0, norms, 1.0)[:, None]
    if r == 1:
        signs = np.where(points[:, 0] < 0, -1, 1)
        return np.unique([np.where(norms > 0, s * signs, 1) for s in (1, -1)], axis=0)
    found = set()
    for subset in combinations(range(N), r - 1):
        _, size, basis = np.linalg.svd(points[list(subset)])
        if size[-1] <= ON_PLANE * max(size[0], 1e-300):
            continue
        v, complement = basis[-1], basis[:-1]
        height = points @ v
        flat = np.abs(height) <= ON_PLANE
        around = cells(points[flat] @ complement.T)
        for sign in (1, -1):
            pattern = np.where(sign * height > 0, 1, -1)
            for local in around:
                pattern[flat] = local
                found.add(tuple(pattern.tolist()))
    return np.array(sorted(found))


def reduced_points(X: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """(points, basis): the rows x̃_i in an orthonormal basis of their span, (N, r) and (n, r); r = 0 is possible."""
    X_tilde = X if beta == 0 else np.column_stack([X, np.full(len(X), beta)])
    _, size, rows = np.linalg.svd(X_tilde, full_matrices=False)
    rank = int(np.sum(size > 1e-11 * max(size.max(initial=0.0), 1e-300)))
    basis = rows[:rank].T
    points = X_tilde @ basis
    points[~X_tilde.any(axis=1)] = 0.0
    return points, basis


def patterns_and_slopes(points: np.ndarray, a_plus: float, a_minus: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs (A, d) of all cells: A (N, r) the rows with A w ≥ 0 in the cell, d (N,) the slopes of σ there.

    A linear σ has one cell, without constraints.
    """
    if points.shape[1] == 0:
        return []
    if a_plus == a_minus:
        return [(np.zeros((0, points.shape[1])), np.full(len(points), a_plus))]
    return [(signs[:, None] * points, np.where(signs > 0, a_plus, a_minus)) for signs in cells(points)]


def gamma(g: np.ndarray, points: np.ndarray, all_cells: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """max over ‖w‖ ≤ 1 of |Σ_i g_i σ(x̃_iᵀw)|, from above: the largest ‖c + Aᵀμ‖ over cells and signs."""
    largest = 0.0
    for A, d in all_cells:
        for c in (points.T @ (d * g), -points.T @ (d * g)):
            largest = max(largest, np.linalg.norm(c) if not len(A) else np.linalg.norm(c + A.T @ nnls(A.T, -c)[0]))
    return largest


def network_loss(W1, W2, X, Y, *, lam, loss, a_plus, a_minus, beta) -> float:
    """L_λ of the weights in float64; Y (N, m). For `interpolate` the penalty alone."""
    outputs = network_outputs(W1, W2, X, a_plus=a_plus, a_minus=a_minus, beta=beta)
    penalty = np.sum(W1**2) + np.sum(W2**2)
    return float(penalty if loss == "interpolate" else fit(outputs, Y, loss) + lam * penalty)


def network_outputs(W1, W2, X, *, a_plus, a_minus, beta) -> np.ndarray:
    """(N, m)."""
    one = np.full((len(X), 1), beta)
    hidden = (X if beta == 0 else np.hstack([X, one])) @ W1.T
    hidden = a_plus * np.maximum(hidden, 0) + a_minus * np.minimum(hidden, 0)
    return (hidden if beta == 0 else np.hstack([hidden, one])) @ W2.T


def fit(Z, Y, loss) -> float:
    """C(Z), rows are points."""
    if loss == "mse":
        return float(np.sum((Z - Y) ** 2) / len(Y))
    if loss == "logistic":
        return float(np.sum(np.logaddexp(0, -Y * Z)) / len(Y))
    if loss == "cross_entropy":
        # log Σ_k exp(z_k) − z_j = log(1 + Σ_{k≠j} exp(z_k − z_j)): nothing cancels where the outputs are certain.
        others = Z[:, np.newaxis, :] - Z[:, :, np.newaxis]
        others[:, range(Z.shape[1]), range(Z.shape[1])] = -np.inf
        return float(np.sum(Y * np.logaddexp(0, np.logaddexp.reduce(others, axis=2))) / len(Y))
    raise ValueError(loss)


def reachable(X: np.ndarray, Y: np.ndarray, *, a_plus: float, a_minus: float, beta: float) -> bool:
    """Does some network of some width fit Y (N, m) exactly? Y must lie in the span of all features (numerical rank)."""
    basis = feature_basis(X, a_plus=a_plus, a_minus=a_minus, beta=beta)
    return bool(np.linalg.norm(Y - basis @ (basis.T @ Y)) <= 1e-9 * np.linalg.norm(Y))


def feature_basis(X: np.ndarray, *, a_plus: float, a_minus: float, beta: float) -> np.ndarray:
    """An orthonormal basis (N, k) of the span of all σ(X̃ᵀw) and β1: cells have interior, so of all D X̃ᵀ."""
    points, _ = reduced_points(X, beta)
    blocks = [d[:, None] * points for _, d in patterns_and_slopes(points, a_plus, a_minus)]
    features = np.column_stack([*blocks, np.full((len(X), 1), beta)])
    U, size, _ = np.linalg.svd(features, full_matrices=False)
    return U[:, size > 1e-10 * max(size.max(), 1e-300)]


def optimum(X, y, *, loss, a_plus, a_minus, beta, lam=1.0) -> Interval:
    """An interval around P* for X (N, n0), y (N,), loss mse, logistic (y = ±1) or interpolate (λ = 1)."""
    problem = {"loss": loss, "a_plus": a_plus, "a_minus": a_minus, "beta": beta, "lam": lam}
    points, basis = reduced_points(X, beta)
    all_cells = patterns_and_slopes(points, a_plus, a_minus)
    span = np.eye(len(y))
    if loss == "interpolate":
        span = feature_basis(X, a_plus=a_plus, a_minus=a_minus, beta=beta)
        if not reachable(X, y[:, None], a_plus=a_plus, a_minus=a_minus, beta=beta):
            return Interval(np.inf, np.inf)
    if not y.any() and loss != "logistic":
        return Interval(0.0, 0.0)

    neurons, b, g = _solve(points, all_cells, y, span, loss, beta, lam)
    W1, W2 = _weights(neurons, b, basis, beta)
    upper = network_loss(W1, W2, X, y[:, None], **problem)
    candidates = [g]
    z = network_outputs(W1, W2, X, a_plus=a_plus, a_minus=a_minus, beta=beta)[:, 0]
    if loss == "interpolate":
        upper += _cost_of_repair(y - z, points, a_plus, a_minus, span)
    elif loss == "mse":
        candidates.append(2 / len(y) * (y - z))
        # Without any neuron: needed where the optimum is that and the solver's dust is not.
        b = beta * y.mean() / (beta**2 + lam)
        upper = min(upper, fit(np.full((len(y), 1), beta * b), y[:, None], "mse") + lam * b**2)
        candidates.append(2 / len(y) * (y - beta * b))
    else:
        candidates.append(y * np.exp(-np.logaddexp(0, y * z)) / len(y))
    lower = max(_dual_bound(g, y, points, all_cells, loss, beta, lam) for g in candidates)
    return Interval(lower, upper)


def _dual_bound(g, y, points, all_cells, loss, beta, lam) -> float:
    """The dual at sg, s as large as γ(sg) ≤ 2λ allows (mse, interpolate: the best such s)."""
    if loss == "logistic":
        g = np.clip(len(y) * y * g, 0, 1) * y / len(y)
    steepest = gamma(g, points, all_cells) * (1 + 1e-13)
    largest = 2 * lam / steepest if steepest > 0 else np.inf
    curvature = beta**2 / (4 * lam) * g.sum() ** 2
    if loss == "logistic":
        s = min(1.0, largest)
        p = np.clip(len(y) * y * g * s, 0, 1)
        entropy = -sum(float(np.sum(q[q > 0] * np.log(q[q > 0]))) for q in (p, 1 - p))
        return entropy / len(y) - s**2 * curvature
    if loss == "mse":
        curvature += len(y) / 4 * (g @ g)
    slope = g @ y
    if slope <= 0:
        return 0.0
    s = largest if curvature == 0 else min(largest, slope / (2 * curvature))
    return float(s * slope - s**2 * curvature)


def _cost_of_repair(residual, points, a_plus, a_minus, span) -> float:
    """A cost with which neurons add `residual` to the outputs: their directions span everything that can be reached."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(40 * len(residual), points.shape[1]))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    S = points @ directions.T
    features = a_plus * np.maximum(S, 0) + a_minus * np.minimum(S, 0)
    V = np.linalg.lstsq(features, span @ (span.T @ residual), rcond=1e-12)[0]
    left = residual - features @ V
    # The rest is rounding only; a thousand times its size is what removing it would cost at most.
    return float(2 * np.abs(V).sum() + 1e3 * np.abs(left).sum())


def _weights(neurons, b, basis, beta) -> tuple[np.ndarray, np.ndarray]:
    """Balanced weights (W1, W2) of Σ s‖u‖ σ(u/‖u‖ · x̃) + βb."""
    live = [(s, u) for s, u in neurons if np.linalg.norm(u) > 0]
    W1 = np.array([basis @ u / np.sqrt(np.linalg.norm(u)) for _, u in live]).reshape(len(live), basis.shape[0])
    W2 = np.array([[s * np.sqrt(np.linalg.norm(u)) for s, u in live]]).reshape(1, len(live))
    return W1, W2 if beta == 0 else np.column_stack([W2, [b]])


def _solve(points, all_cells, y, span, loss, beta, lam):
    """Pilanci and Ergen's program, divided by λ: (neurons [(s, u)], b, g), g the multiplier of z = Σ… times λ.

    Variables: z (N; none for interpolate), b, then (t, u) for each cell and sign, ‖u‖ ≤ t, then τ, e, f (N each) for
    logistic: τ ≥ log(1 + e^{−yz}) by e ≥ exp(−τ), f ≥ exp(−yz − τ), e + f ≤ 1.
    """
    N, r = points.shape
    columns = [(s, A, d) for A, d in all_cells for s in (1, -1)]
    K = len(columns)
    logistic, interpolate = loss == "logistic", loss == "interpolate"
    free = 0 if interpolate else N
    size = free + 1 + K * (r + 1) + 3 * N * logistic
    first = [free + 1 + k * (r + 1) for k in range(K)]
    rest = free + 1 + K * (r + 1)

    quadratic, linear = np.zeros(size), np.zeros(size)
    quadratic[free] = 2.0
    linear[first] = 2.0
    if loss == "mse":
        quadratic[:N] = 2 / (N * lam)
        linear[:N] = -2 * y / (N * lam)
    if logistic:
        linear[rest : rest + N] = 1 / (N * lam)

    # Rows of A x + s = rhs, s in the cones, in this order. First Σ… − z = 0, or Σ… = y within the span of all features.
    outputs = np.zeros((N, size))
    outputs[:, :free] = -np.eye(N)[:, :free]
    outputs[:, free] = beta
    for (s, _, d), start in zip(columns, first, strict=True):
        outputs[:, start + 1 : start + 1 + r] = s * d[:, None] * points
    blocks, rhs = [span.T @ outputs], [span.T @ y if interpolate else np.zeros(N)]
    cones = [clarabel.ZeroConeT(span.shape[1])]
    for (_, A, _), start in zip(columns, first, strict=True):
        if len(A):
            block = np.zeros((len(A), size))
            block[:, start + 1 : start + 1 + r] = -A
            blocks, rhs, cones = [*blocks, block], [*rhs, np.zeros(len(A))], [*cones, clarabel.NonnegativeConeT(len(A))]
        block = np.zeros((r + 1, size))
        block[:, start : start + r + 1] = -np.eye(r + 1)
        blocks, rhs, cones = [*blocks, block], [*rhs, np.zeros(r + 1)], [*cones, clarabel.SecondOrderConeT(r + 1)]
    for i in range(N * logistic):
        tau, e, f = rest + i, rest + N + i, rest + 2 * N + i
        block = np.zeros((7, size))
        block[0, tau] = 1.0  # (−τ, 1, e)
        block[2, e] = -1.0
        block[3, tau], block[3, i] = 1.0, y[i]  # (−yz − τ, 1, f)
        block[5, f] = -1.0
        block[6, [e, f]] = 1.0
        blocks, rhs = [*blocks, block], [*rhs, np.array([0, 1, 0, 0, 1, 0, 1.0])]
        cones = [*cones, clarabel.ExponentialConeT(), clarabel.ExponentialConeT(), clarabel.NonnegativeConeT(1)]

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    A = sparse.csc_matrix(np.vstack(blocks))
    P = sparse.csc_matrix(np.diag(quadratic))
    solution = clarabel.DefaultSolver(P, linear, A, np.concatenate(rhs), cones, settings).solve()
    x = np.array(solution.x)
    neurons = [(s, x[start + 1 : start + 1 + r]) for (s, _, _), start in zip(columns, first, strict=True)]
    return neurons, x[free], -lam * span @ np.array(solution.z)[: span.shape[1]]
