"""The corrective step: the best network on the active set, as one conic program.

Minimise C(Z) + 2λ (Σ_A ‖u_k‖ + Σ_B ‖v_k‖) + λ‖b‖²,  Z = Σ_A û_k ⊗ D_k X̃ᵀu_k + Σ_B v_k ⊗ σ(X̃ᵀŵ_k) + b ⊗ β1,

over two kinds of columns. A *pattern* column (û, D) fixes the output direction û ∈ R^m and the activation pattern D and
leaves the neuron u free in the pattern's cone, x_iᵀu ≥ 0 where D_i is on and ≤ 0 where it is off: Pilanci and Ergen's (2020)
convex program restricted to the generated patterns. A *neuron* column (ŵ) fixes the neuron and leaves its output v ∈ R^m
free. One output needs patterns only (û = ±1; finitely many, so the method ends); several outputs use both, and û, ŵ
are renewed from the solution.

The program (conic_program.py) is handed to Clarabel with the data scaled to norm 1, and near its end in units of its own
(`_around_targets`, `_newton`): the solver's tolerances are absolute below 1, and a small λ or large data bring the objective
to 1e-6 or 1e-15. Its multiplier of the equation for Z is −∇C(Z) at the exact optimum, and in floating point a better dual point G
than −∇C of the computed Z, because the loss error is quadratic in the dual error. Everything here is a candidate; bounds
are proven elsewhere from the result.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cpcert.frank_wolfe.active_set import Columns, Correction, Neurons
from cpcert.frank_wolfe.arcs import consistent_patterns, correct_in_plane
from cpcert.frank_wolfe.conic_program import Quadratic, Units, solve_columns
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
# Newton steps on top of the exponential cones.
NEWTON_STEPS = 10
# Further than this from where it was made, the second-order model of an exponential says nothing.
REACH = 1.0


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
    refine: accuracy was short: these units however large they are, and Newton's method where C is not quadratic.
    deadline: a `time.monotonic()`, after which the solver stops where it is, which is a candidate like any other.
    """
    loss = problem.loss
    plane = points.shape[1] <= 2 and bool(points.any())
    if plane:
        pattern, W_pattern = (consistent_patterns(points, each) for each in (columns.pattern, columns.W_pattern))
        columns = Columns(columns.output, pattern, columns.W, W_pattern).unique()
    wide = POINTS_PER_COLUMN * (len(columns.output) + len(columns.W)) <= problem.N
    if plane and wide and not loss.is_constraint:
        return correct_in_plane(problem, points, columns)
    units, model = _units(problem, points, plane, refine), None
    if near is not None and loss.is_squared_distance:
        units, model = _around_targets(problem, points, units, near, refine)
    found = _solve(problem, points, columns, units, model, deadline)
    if refine and near is not None and not (loss.is_constraint or loss.is_squared_distance):
        return _newton(problem, points, columns, units, near, found, deadline)
    return found


def _solve(
    problem: Problem, points: np.ndarray, columns: Columns, units: Units, model: Quadratic | None, deadline: float
) -> Correction | None:
    """The solution without neurons that are dust; an exact fit may need its lightest ones."""
    found = solve_columns(problem, points, columns, units, model, deadline)
    if found is None:
        return None
    if problem.loss.is_constraint:
        return replace(found, neurons=_refitted(problem, points, found.neurons).without_dust(1e-16))
    return replace(found, neurons=found.neurons.without_dust())


def _units(problem: Problem, points: np.ndarray, plane: bool, refine: bool) -> Units:
    """Data of size 1, and the features whitened where that matters (not in the plane, whose cones know better)."""
    loss, r = problem.loss, points.shape[1]
    x = float(np.linalg.norm(points, axis=1).max()) or 1.0
    y = loss.target_unit(problem.targets)
    objective = y / x if loss.is_constraint else y ** (loss.degree or 0)
    X, back = points / x, np.eye(r)
    if not plane and len(X) >= r:
        singular, right = np.linalg.svd(X, full_matrices=False)[1:]
        if 0.0 < singular[-1] < (ILL_WHEN_REFINED if refine else ILL_CONDITIONED) * singular[0]:
            back = right.T * (singular[0] / singular)
            X = X @ back
    return Units(x, y, objective, X, back)


def _around_targets(
    problem: Problem, points: np.ndarray, units: Units, near: Neurons, refine: bool
) -> tuple[Units, Quadratic | None]:
    """C = (1/N)‖Z − Y‖² around Z = Y and in units of the objective of `near`, where that is small against ‖Y‖²/N.

    A conic solver is accurate relative to max(1, objective), and ‖Z‖² − 2⟨Z, Y⟩ + ‖Y‖² cancels: with small λ all but the
    leading digits would be lost. The residual then has a size of its own, too.
    """
    fit = problem.loss.value(near.outputs(problem, points), problem.targets) / units.objective
    level = fit + problem.lam * near.penalty / units.objective
    if not 0.0 < level < (math.inf if refine else SMALL_OBJECTIVE):
        return units, None
    level = _power_of_two(level)
    unit = _power_of_two(max(math.sqrt(fit), level))
    Y = problem.targets / units.y
    curvature = problem.loss.hessian(Y, Y) * (unit**2 / level)
    return replace(units, objective=units.objective * level), Quadratic(Y, unit, np.zeros_like(Y), curvature)


def _newton(
    problem: Problem,
    points: np.ndarray,
    columns: Columns,
    units: Units,
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
        gradient, curvature = problem.loss.gradient(Z, problem.targets), problem.loss.hessian(Z, problem.targets)
        model = Quadratic(Z, 1.0, gradient / level, curvature / level, REACH)
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
