"""Dual points G for fixed masses m, by column generation on the convex problem

    min over v, b of C(Σ v_kσ(z_k) + βb1) + 2λ Σ|v_k| + λb²,   z_k ∈ B(m),

one output. G = −∇C of its outputs; the tree of κ_G(m) gives new z, and with it a lower bound. Heuristic: any G is valid.
"""

from __future__ import annotations

import time

import numpy as np

from cpcert.deep.bound.tree import Space, Tree, search
from cpcert.frank_wolfe.bounds import best_scale, dual_value
from cpcert.problem import Problem

ROUNDS = 40
# Columns that a round may add.
NEW = 8


def restricted(
    problem: Problem, features: np.ndarray, start: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """(v, Z, value): the problem with the columns σ(z_k), rows of features (k, N), by L-BFGS with bounds."""
    from scipy.optimize import minimize

    k, N = features.shape
    Y, lam, beta = problem.targets, problem.lam, problem.beta
    columns = np.vstack([features, -features])

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        Z = (x[: 2 * k] @ columns + beta * x[-1])[None, :]
        slope = problem.loss.gradient(Z, Y)[0]
        value = problem.loss.value(Z, Y) + 2.0 * lam * float(x[: 2 * k].sum()) + lam * x[-1] ** 2
        gradient = np.append(columns @ slope + 2.0 * lam, beta * slope.sum() + 2.0 * lam * x[-1])
        return value, gradient

    x = np.zeros(2 * k + 1)
    if start is not None:
        known = (len(start) - 1) // 2
        x[:known], x[k : k + known], x[-1] = start[:known], start[known : 2 * known], start[-1]
    bounds = [(0.0, None)] * (2 * k) + [(None, None)]
    found = minimize(
        function, x, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 3000, "maxfun": 6000, "ftol": 1e-16, "gtol": 1e-12, "maxcor": 30},
    )  # fmt: skip
    x = found.x
    return x, (x[: 2 * k] @ columns + beta * x[-1])[None, :], float(found.fun)


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
    start = None
    best: list[tuple[float, Tree]] = []
    upper = np.inf
    base = lam * float(masses.sum())
    for _ in range(ROUNDS):
        start, Z, value = restricted(problem, features, start)
        upper = min(upper, base + value)
        G = problem.loss.project_dual(-problem.loss.gradient(Z, problem.targets), problem.targets)
        tree = search(space, G[0], masses, accuracy, nodes, deadline, 2.0 * lam)
        kappa = float(tree.bound(space, masses, masses, np.array([masses.sum()]))[0])
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
        features = np.vstack([features, *chosen])
    return [tree for _, tree in best], best[0][0], upper
