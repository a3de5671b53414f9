"""Dual points G for fixed masses m, by column generation on the convex problem

    min over v, b of C(Σ v_kσ(z_k) + βb1) + 2λ Σ|v_k| + λb²,   z_k ∈ B(m),

one output. G = −∇C of its outputs; the tree of κ_G(m) gives new z, and with it a lower bound. Heuristic: any G is
valid.
"""

from __future__ import annotations

import time

import numpy as np

from cpcert.deep.bound.programs import nonnegative_quadratic
from cpcert.deep.bound.tree import Space, Tree, search
from cpcert.frank_wolfe.bounds import best_scale, dual_value
from cpcert.problem import Problem

ROUNDS = 40
# Columns that a round may add.
NEW = 8
# Newton steps of the restricted problem (mse: one).
STEPS = 50


def restricted(problem: Problem, features: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(x, Z, value): the problem with the columns σ(z_k), rows of features (k, N), by Newton's method.

    x (2k + 1,): the parts of v ≥ 0 and ≤ 0, and b; a start.
    """
    Y, lam, beta = problem.targets, problem.lam, problem.beta
    columns = np.vstack([features, -features, np.full((1, features.shape[1]), beta)])
    penalty = np.full(len(columns), 2.0 * lam)
    penalty[-1] = 0.0

    def value_of(x: np.ndarray) -> float:
        return problem.loss.value((x @ columns)[None, :], Y) + float(penalty @ x) + lam * float(x[-1] ** 2)

    value = value_of(x)
    for _ in range(STEPS):
        Z = (x @ columns)[None, :]
        weights = problem.loss.hessian(Z, Y)[:, 0, 0]
        H = (columns * weights) @ columns.T
        H[-1, -1] += 2.0 * lam
        H[np.diag_indices(len(H))] += 1e-12 * float(np.trace(H)) / len(H)
        gradient = columns @ problem.loss.gradient(Z, Y)[0] + penalty
        gradient[-1] += 2.0 * lam * x[-1]
        new = x.copy()
        nonnegative_quadratic(H, gradient - H @ x, new, 10 * len(x))
        step, following = 1.0, value_of(new)
        while following > value and step > 1e-6:
            step *= 0.5
            following = value_of(x + step * (new - x))
        if not following < value:
            break
        small = value - following <= 1e-14 * abs(value)
        x, value = x + step * (new - x), following
        if small or problem.loss.is_squared_distance:
            break
    return x, (x @ columns)[None, :], value


def column_generation(
    problem: Problem,
    space: Space,
    masses: np.ndarray,
    points: np.ndarray,
    accuracy: float,
    nodes: int,
    deadline: float,
) -> tuple[list[Tree], float, float]:
    """(trees, lower, upper) at masses m: the trees of the best dual points found, and both bounds of the value
    λΣm + max_G ψ_G(κ_G(m)), in floating point. points (k, N): z to start with, in B(m)."""
    sigma, lam = space.activation, problem.lam
    features = sigma(points)
    x = np.zeros(2 * len(features) + 1)
    best: list[tuple[float, Tree]] = []
    upper = np.inf
    base = lam * float(masses.sum())
    for _ in range(ROUNDS):
        x, Z, value = restricted(problem, features, x)
        upper = min(upper, base + value)
        G = problem.loss.project_dual(-problem.loss.gradient(Z, problem.targets), problem.targets)
        tree = search(space, G[0], masses, accuracy, nodes, deadline, 2.0 * lam)
        kappa = float(tree.bound(space, masses[None, :], np.ones(1))[0])
        limit = 2.0 * lam / kappa if kappa > 0.0 else 1e300
        lower = base + dual_value(problem, best_scale(problem, G, limit) * G)
        best.append((lower, tree))
        best.sort(key=lambda pair: -pair[0])
        del best[2:]
        if best[0][0] >= upper - accuracy * abs(upper) or time.monotonic() >= deadline:
            break
        new = tree.points[tree.values > 2.0 * lam * (1.0 + 1e-6)]
        fresh = sigma(new)
        # No two columns that are almost the same.
        chosen: list[np.ndarray] = []
        for row in fresh:
            others = [*features[-3 * NEW :], *chosen]
            if all(np.linalg.norm(row - other) > 1e-4 * np.linalg.norm(row) for other in others):
                chosen.append(row)
            if len(chosen) == NEW:
                break
        if not chosen:
            break
        old, more = len(features), np.zeros(len(chosen))
        x = np.concatenate([x[:old], more, x[old : 2 * old], more, x[-1:]])
        features = np.vstack([features, *chosen])
    return [tree for _, tree in best], best[0][0], upper
