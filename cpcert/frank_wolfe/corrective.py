"""The corrective step: the best network on the active set, as one conic program.

Minimise C(Z) + 2λ (Σ_A ‖u_k‖ + Σ_B ‖v_k‖) + λ‖b‖²,  Z = Σ_A û_k ⊗ D_k X̃ᵀu_k + Σ_B v_k ⊗ σ(X̃ᵀŵ_k) + b ⊗ β1,

over two kinds of columns. A *pattern* column (û, D) fixes the output direction û ∈ R^m and the activation pattern D and
leaves the neuron u free in the pattern's cone, x_iᵀu ≥ 0 where D_i is on and ≤ 0 where it is off: Pilanci and Ergen's (2020)
convex program restricted to the generated patterns. A *neuron* column (ŵ) fixes the neuron and leaves its output v ∈ R^m
free. One output needs patterns only (û = ±1; finitely many, so the method ends); several outputs use both, and û, ŵ
are renewed from the solution.

The program is handed to Clarabel with the data scaled to norm 1, and near its end in units of its own (`_squares`,
`_newton`): the solver's tolerances are absolute below 1, and a small λ or large data bring the objective to 1e-6 or
1e-15. Its multiplier of the equation for Z is −∇C(Z) at the exact optimum, and in floating point a better dual point G
than −∇C of the computed Z, because the loss error is quadratic in the dual error. Everything here is a candidate; bounds
are proven elsewhere from the result.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from cpcert.frank_wolfe.active_set import Columns, Correction, Neurons
from cpcert.frank_wolfe.arcs import cone_sides, consistent_patterns, correct_in_plane
from cpcert.problem import Problem

# In the plane, so many points per column make prefix sums (arcs.py) the better way; with fewer, their normal equations
# are too ill conditioned.
POINTS_PER_COLUMN = 5
# Relative growth of the cost that an exact fit may take.
MOST_REFITTED = 1e-3
# Objective, relative to that of Z = 0, below which the program is written in units of its own.
SMALL_OBJECTIVE = 2.0**-10
# Ratios of the singular values of the points below which they are whitened: at once, and when accuracy is short.
ILL_CONDITIONED = 2.0**-8
ILL_WHEN_REFINED = 0.25
# Curvature of the penalty on the bias above which it gets a unit of its own.
HEAVY = 64.0
# Newton steps on top of the exponential cones.
NEWTON_STEPS = 10


def correct(
    problem: Problem,
    points: np.ndarray,
    columns: Columns,
    near: Neurons | None = None,
    refine: bool = False,
    deadline: float = math.inf,
) -> Correction | None:
    """Solve the conic program on the columns; points (N, r). None when the solver returns nothing finite.

    near: a network of about the objective of the solution, which gives the program its units where that is small.
    refine: accuracy was short: these units however large they are, and Newton's method for logistic and cross_entropy.
    deadline: a `time.monotonic()`, after which the solver stops where it is, which is a candidate like any other.
    """

    plane = points.shape[1] <= 2 and bool(points.any())
    if plane:
        pattern, W_pattern = (consistent_patterns(points, each) for each in (columns.pattern, columns.W_pattern))
        columns = Columns(columns.output, pattern, columns.W, W_pattern).unique()
    name = problem.loss.name
    if plane and name != "interpolate" and POINTS_PER_COLUMN * (len(columns.output) + len(columns.W)) <= problem.N:
        return correct_in_plane(problem, points, columns)
    units = _units(problem, points, plane, refine)
    if name == "mse":
        return _solve(problem, points, columns, *_squares(problem, points, units, near, refine), deadline)
    found = _solve(problem, points, columns, units, None, deadline)
    if refine and near is not None and name != "interpolate":
        return _newton(problem, points, columns, units, near, found, deadline)
    return found


@dataclass(frozen=True, eq=False)
class _Units:
    """The program is solved for X = points·back/x (N, r), Y/y and the objective divided by `objective`.

    back (r, r): the identity, or what makes the columns of X orthonormal where they are ill conditioned: unscaled
    features, or points that nearly coincide beside the bias. A neuron of the program is u = back·u′.
    """

    x: float
    y: float
    objective: float
    X: np.ndarray
    back: np.ndarray


@dataclass(frozen=True, eq=False)
class _Quadratic:
    """C as ⟨gradient, d⟩ + ½ Σ_i d_iᵀ curvature_i d_i, in the units, with Z = origin + unit·d: gradient and origin (m, N),
    curvature (N, m, m). For mse it is exact up to a constant."""

    origin: np.ndarray
    unit: float
    gradient: np.ndarray
    curvature: np.ndarray


def _units(problem: Problem, points: np.ndarray, plane: bool, refine: bool) -> _Units:
    """Data of size 1, and the features whitened where that matters (not in the plane, whose cones know better)."""
    name, r = problem.loss.name, points.shape[1]
    x = float(np.linalg.norm(points, axis=1).max()) or 1.0
    y = (float(np.abs(problem.targets).max()) or 1.0) if name in ("mse", "interpolate") else 1.0
    objective = {"mse": y**2, "interpolate": y / x}.get(name, 1.0)
    X, back = points / x, np.eye(r)
    if not plane and len(X) >= r:
        singular, right = np.linalg.svd(X, full_matrices=False)[1:]
        if 0.0 < singular[-1] < (ILL_WHEN_REFINED if refine else ILL_CONDITIONED) * singular[0]:
            back = right.T * (singular[0] / singular)
            X = X @ back
    return _Units(x, y, objective, X, back)


def _squares(
    problem: Problem, points: np.ndarray, units: _Units, near: Neurons | None, refine: bool
) -> tuple[_Units, _Quadratic]:
    """mse, around Z = 0; or around Z = Y and in units of the objective of `near` where that is small against ‖Y‖²/N.

    A conic solver is accurate relative to max(1, objective), and ‖Z‖² − 2⟨Z, Y⟩ + ‖Y‖² cancels: with small λ all but the
    leading digits would be lost. The residual then has a size of its own, too.
    """
    Y = problem.targets / units.y
    m, N = Y.shape
    curvature = (2.0 / N) * np.eye(m)
    if near is not None:
        fit = problem.loss.value(near.outputs(problem, points), problem.targets) / units.objective
        level = fit + problem.lam * near.penalty / units.objective
        if 0.0 < level < (math.inf if refine else SMALL_OBJECTIVE):
            level = _power_of_two(level)
            unit = _power_of_two(max(math.sqrt(fit), level))
            units = replace(units, objective=units.objective * level)
            curvature = curvature * (unit**2 / level)
            return units, _Quadratic(Y, unit, np.zeros_like(Y), np.broadcast_to(curvature, (N, m, m)))
    return units, _Quadratic(np.zeros_like(Y), 1.0, -2.0 * Y / N, np.broadcast_to(curvature, (N, m, m)))


def _newton(
    problem: Problem,
    points: np.ndarray,
    columns: Columns,
    units: _Units,
    near: Neurons,
    found: Correction | None,
    deadline: float,
) -> Correction | None:
    """Newton's method on C with the penalty kept as it is, from the better of `found` and `near`: what the tolerance of the
    exponential cones leaves open when the loss is small."""
    best = near
    value = near.objective(problem, points)
    if found is not None and found.neurons.objective(problem, points) < value:
        best, value = found.neurons, found.neurons.objective(problem, points)
    for _ in range(NEWTON_STEPS):
        if not value > 0.0:
            break
        level = _power_of_two(value)
        Z = best.outputs(problem, points)
        model = _Quadratic(
            Z, 1.0,
            problem.loss.gradient(Z, problem.targets) / level, problem.loss.hessian(Z, problem.targets) / level,
        )  # fmt: skip
        new = _solve(problem, points, columns, replace(units, objective=level), model, deadline)
        if new is None or not new.neurons.objective(problem, points) <= value * (1.0 + 1e-12):
            break
        found, best = new, new.neurons
        fall, value = value - best.objective(problem, points), best.objective(problem, points)
        if fall <= 1e-12 * value:
            break
    return found


def small_unit(value: float) -> float:
    """1, or a power of two near an objective > 0 that is small for data of size 1."""
    return _power_of_two(value) if 0.0 < value < SMALL_OBJECTIVE else 1.0


def _power_of_two(value: float) -> float:
    """The largest power of two at most `value` > 0."""
    return math.ldexp(0.5, math.frexp(value)[1])


def _solve(
    problem: Problem, points: np.ndarray, columns: Columns, units: _Units, model: _Quadratic | None, deadline: float
) -> Correction | None:
    """The conic program in the units, with `model` in place of C (None: C itself, by exponential cones or as Z = Y)."""
    import clarabel

    p, q = len(columns.output), len(columns.W)
    N, m, r = problem.N, problem.m, points.shape[1]
    name = problem.loss.name
    Y = problem.targets / units.y
    price = 2.0 * problem.lam * units.y / units.x / units.objective
    bias = problem.beta != 0.0

    # Variables: Z (m·N, by output; absent for interpolate), bias (m), then (u, t) per pattern, (v, t) per neuron, then
    # what the loss needs.
    n_z = 0 if name == "interpolate" else m * N
    n_b = m if bias else 0
    n_a, n_v = p * (r + 1), q * (m + 1)
    at_b, at_a, at_v = n_z, n_z + n_b, n_z + n_b + n_a
    at_loss = at_v + n_v
    extra = {"logistic": m * N * 3, "cross_entropy": N * (m + 1)}.get(name, 0) if model is None else 0
    total = at_loss + extra
    quadratic = np.zeros(total)
    linear = np.zeros(total)
    linear[at_a:at_v].reshape(p, r + 1)[:, r] = price
    linear[at_v:at_loss].reshape(q, m + 1)[:, m] = price
    unit_b = 1.0
    if bias:
        # The variable is βb/y, in units in which its penalty is not large.
        heavy = 2.0 * problem.lam / problem.beta**2 * units.y**2 / units.objective
        unit_b = 2.0 ** min(0, -math.ceil(0.5 * math.log2(heavy / HEAVY)))
        quadratic[at_b:at_a] = heavy * unit_b**2

    # Z − Σ … = 0, or −Σ … = −Y.
    rows: list[sparse.spmatrix] = [_outputs(problem, points, columns, units, model, unit_b, total)]
    right: list[np.ndarray] = [-Y.ravel() if not n_z else np.zeros(n_z) if model is None else -model.origin.ravel()]
    cones: list[object] = [clarabel.ZeroConeT(m * N)]
    _cones(problem, points, columns, units, at_a, total, rows, right, cones)

    P = sparse.diags(quadratic, format="csc")
    if model is not None and name != "mse":
        # Further than 1 from where it was made, the model of an exponential says nothing.
        here = sparse.identity(n_z, format="csc")
        rows.append(_pad(sparse.vstack([here, -here]), 0, total))
        right.append(np.ones(2 * n_z))
        cones.append(clarabel.NonnegativeConeT(2 * n_z))
    if model is not None:
        quadratic[:n_z] = np.einsum("njj->jn", model.curvature).ravel()
        linear[:n_z] = model.gradient.ravel()
        P = sparse.diags(quadratic, format="csc")
        if name == "cross_entropy":
            j, k = np.triu_indices(m, 1)
            at = np.arange(N)[:, np.newaxis]
            P = P + _coo(
                [(j * N + at).ravel()], [(k * N + at).ravel()], [model.curvature[:, j, k].ravel()], total, total
            )
    elif name == "logistic":
        _logistic(Y, at_loss, linear, rows, right, cones, total)
    elif name == "cross_entropy":
        _cross_entropy(Y, at_loss, linear, rows, right, cones, total)

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.time_limit = max(deadline - time.monotonic(), 0.0)
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    try:
        solution = clarabel.DefaultSolver(
            P, linear, sparse.vstack(rows, format="csc"), np.concatenate(right), cones, settings,
        ).solve()  # fmt: skip
    except BaseException as failure:
        # A panic of the solver is no Exception; the loop can go on without this step.
        if type(failure).__name__ != "PanicException":
            raise
        return None
    x, dual = np.array(solution.x), np.array(solution.z)
    if not (np.all(np.isfinite(x)) and np.all(np.isfinite(dual))):
        return None
    u = x[at_a:at_v].reshape(p, r + 1)[:, :r] @ units.back.T
    v = x[at_v:at_loss].reshape(q, m + 1)[:, :m]
    norms = np.linalg.norm(u, axis=1)
    W = np.concatenate([u / np.where(norms > 0.0, norms, 1.0)[:, np.newaxis], columns.W])
    V = np.concatenate([columns.output * norms[:, np.newaxis], v]).T * (units.y / units.x)
    b = x[at_b:at_a] * (units.y * unit_b) / problem.beta if bias else np.zeros(m)
    patterns = np.concatenate([columns.pattern, columns.W_pattern])
    neurons = Neurons(W, V, b, patterns)
    # An exact fit may need its lightest neurons.
    neurons = (
        _refitted(problem, points, neurons).without_dust(1e-16) if name == "interpolate" else neurons.without_dust()
    )
    return Correction(neurons, dual[: m * N].reshape(m, N) * units.objective / units.y)


def _outputs(
    problem: Problem, points: np.ndarray, columns: Columns, units: _Units, model: _Quadratic | None,
    unit_b: float, total: int,
) -> sparse.csc_matrix:  # fmt: skip
    """The rows of Z − Σ …, or of −Σ … for interpolate, (m·N, total)."""
    p, q = len(columns.output), len(columns.W)
    N, m, r = problem.N, problem.m, points.shape[1]
    blocks = []
    if problem.loss.name != "interpolate":
        blocks.append(sparse.diags(np.full(m * N, 1.0 if model is None else model.unit), format="csc"))
    if problem.beta != 0.0:
        blocks.append(sparse.kron(sparse.identity(m), np.full((N, 1), -unit_b)))
    if p:
        features = problem.activation.slope_at(columns.pattern)[:, :, np.newaxis] * units.X  # (p, N, r)
        dense = np.zeros((m, N, p, r + 1))
        dense[:, :, :, :r] = -np.einsum("pm,pnr->mnpr", columns.output, features)
        blocks.append(sparse.csc_matrix(dense.reshape(m * N, p * (r + 1))))
    if q:
        values = problem.activation.slope_at(columns.W_pattern) * (columns.W @ (points / units.x).T)  # (q, N)
        dense = np.zeros((m, N, q, m + 1))
        for j in range(m):
            dense[j, :, :, j] = -values.T
        blocks.append(sparse.csc_matrix(dense.reshape(m * N, q * (m + 1))))
    if not blocks:
        blocks.append(sparse.csc_matrix((m * N, 0)))
    return _pad(sparse.hstack(blocks), 0, total)


def _cones(
    problem: Problem, points: np.ndarray, columns: Columns, units: _Units, at: int, total: int,
    rows: list[sparse.spmatrix], right: list[np.ndarray], cones: list[object],
) -> None:  # fmt: skip
    """Appended: each u in the cone of its pattern (not needed without a kink), and the norms ‖u‖ ≤ t, ‖v‖ ≤ t."""
    import clarabel

    p, q, m, r = len(columns.output), len(columns.W), problem.m, points.shape[1]
    if p and problem.activation.kink != 0.0:
        if r <= 2 and points.any():
            sides = cone_sides(points, columns.pattern)
        else:
            norms = np.linalg.norm(units.X, axis=1, keepdims=True)
            unit_rows = units.X / np.where(norms > 0.0, norms, 1.0)
            sides = np.where(columns.pattern, 1.0, -1.0)[:, :, np.newaxis] * unit_rows
        height = sides.shape[1]
        inside = [sparse.csc_matrix(np.hstack([-rows_of_u, np.zeros((height, 1))])) for rows_of_u in sides]
        rows.append(_pad(sparse.block_diag(inside), at, total))
        right.append(np.zeros(p * height))
        cones.append(clarabel.NonnegativeConeT(p * height))
    for start, count, inner in ((at, p, units.back), (at + p * (r + 1), q, np.eye(m))):
        if count:
            width = len(inner)
            norm = np.zeros((width + 1, width + 1))
            norm[0, width] = -1.0
            norm[1:, :width] = -inner
            rows.append(_pad(sparse.kron(sparse.identity(count), norm), start, total))
            right.append(np.zeros(count * (width + 1)))
            cones.extend([clarabel.SecondOrderConeT(width + 1)] * count)


def _refitted(problem: Problem, points: np.ndarray, neurons: Neurons) -> Neurons:
    """Outputs moved by as little as brings Z to Y: what the tolerance of the solver left over."""
    features = problem.activation(neurons.W @ points.T)
    if problem.beta != 0.0:
        features = np.concatenate([features, np.full((1, problem.N), problem.beta)])
    residual = problem.targets - neurons.outputs(problem, points)
    change = np.linalg.lstsq(features.T, residual.T, rcond=1e-14)[0].T
    k = len(neurons.W)
    b = neurons.b + change[:, k] if problem.beta != 0.0 else neurons.b
    moved = Neurons(neurons.W, neurons.V + change[:, :k], b, neurons.patterns)
    left = np.abs(moved.outputs(problem, points) - problem.targets).max()
    better = left < np.abs(residual).max() and moved.masses.sum() <= (1.0 + MOST_REFITTED) * neurons.masses.sum()
    return moved if better else neurons


def _pad(block: sparse.spmatrix, start: int, total: int) -> sparse.csc_matrix:
    """`block` in the columns from `start` on, of `total` columns."""
    height, width = block.shape
    parts = [sparse.csc_matrix((height, start)), block, sparse.csc_matrix((height, total - start - width))]
    return sparse.hstack(parts, format="csc")


def _logistic(Y, at, linear, rows, right, cones, total):
    """t ≥ log(1 + e^{−yz}) as e^{−t} ≤ p, e^{−yz−t} ≤ q, p + q ≤ 1, one triple (t, p, q) per entry of Z."""
    import clarabel

    count = Y.size
    linear[at : at + 3 * count : 3] = 1.0 / Y.shape[1]
    one = np.arange(count)
    t, p, q = at + 3 * one, at + 3 * one + 1, at + 3 * one + 2
    rows.append(_coo([one, one], [p, q], [np.ones(count), np.ones(count)], count, total))
    right.append(np.ones(count))
    cones.append(clarabel.NonnegativeConeT(count))
    # Exponential cone rows (x, y, z), y e^{x/y} ≤ z; s = b − Ax.
    x1, z1, x2, z2 = 6 * one, 6 * one + 2, 6 * one + 3, 6 * one + 5
    unit = np.ones(count)
    rows.append(_coo([x1, z1, x2, x2, z2], [t, p, one, t, q], [unit, -unit, Y.ravel(), unit, -unit], 6 * count, total))
    right.append(np.tile([0.0, 1.0, 0.0, 0.0, 1.0, 0.0], count))
    cones.extend([clarabel.ExponentialConeT()] * (2 * count))


def _cross_entropy(Y, at, linear, rows, right, cones, total):
    """t_i ≥ log Σ_j e^{z_ji} as e^{z_ji − t_i} ≤ p_ji, Σ_j p_ji ≤ 1; variables (t_i, p_1i, …, p_mi) per point."""
    import clarabel

    m, N = Y.shape
    linear[: m * N] = -Y.ravel() / N
    t = at + (m + 1) * np.arange(N)
    linear[t] = Y.sum(axis=0) / N
    i = np.arange(N)
    rows.append(_coo([i] * m, [t + 1 + j for j in range(m)], [np.ones(N)] * m, N, total))
    right.append(np.ones(N))
    cones.append(clarabel.NonnegativeConeT(N))
    height = 3 * m * N
    ys, xs, vs = [], [], []
    for j in range(m):
        first = 3 * (j * N + i)
        ys += [first, first, first + 2]
        xs += [j * N + i, t, t + 1 + j]
        vs += [-np.ones(N), np.ones(N), -np.ones(N)]
    rows.append(_coo(ys, xs, vs, height, total))
    right.append(np.tile([0.0, 1.0, 0.0], m * N))
    cones.extend([clarabel.ExponentialConeT()] * (m * N))


def _coo(ys, xs, vs, height, width):
    return sparse.csc_matrix((np.concatenate(vs), (np.concatenate(ys), np.concatenate(xs))), shape=(height, width))
