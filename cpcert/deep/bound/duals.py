"""Dual points G for fixed masses m, by column generation on the convex problem

    min over v, b of C(Σ v_kσ(z_k) + βb1) + 2λ Σ|v_k| + λb²,   z_k ∈ B(m),

one output. G = −∇C of its outputs; the tree of κ_G(m) gives new z, and with it a lower bound. A column is kept as a
vector q whose support point is z, so that it serves other masses too. Heuristic: any G is valid.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from cpcert.deep.bound.kernels import reach
from cpcert.deep.bound.programs import nonnegative_quadratic
from cpcert.deep.bound.tree import Space, Tree, search
from cpcert.frank_wolfe.bounds import best_scale, dual_value
from cpcert.problem import Problem

ROUNDS = 40
# Columns that a round may add, and that are kept for other masses.
NEW, KEPT = 8, 60
# Newton steps of the restricted problem (mse: one).
STEPS = 50


@dataclass(frozen=True, eq=False)
class Columns:
    """Points z = Σ √m_cζ_c + rest of B(m), for any masses m of the same classes.

    parts (k, C, N): ζ_c. rest (k, N): βb1. shares (k, C): bounds of the gauges of ζ_c, squared. normals (k, N): q with q·z = h_m(q)
    at the masses of their search, about: what is left of a column where the classes are others.
    """

    parts: np.ndarray
    rest: np.ndarray
    shares: np.ndarray
    normals: np.ndarray

    def points(self, masses: np.ndarray) -> np.ndarray:
        """(k, N)."""
        return np.einsum("kcn,c->kn", self.parts, np.sqrt(masses)) + self.rest

    def __getitem__(self, rows: np.ndarray) -> Columns:
        return Columns(self.parts[rows], self.rest[rows], self.shares[rows], self.normals[rows])

    def __add__(self, other: Columns) -> Columns:
        pairs = (
            (self.parts, other.parts),
            (self.rest, other.rest),
            (self.shares, other.shares),
            (self.normals, other.normals),
        )
        return Columns(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True, eq=False)
class Relaxed:
    """Both bounds of λΣm + max_G ψ_G(κ_G(m)) in floating point, and the solution they come from.

    tree: of the best G (None: no column generation was done). weights (k,): |v_k| of the columns.
    """

    tree: Tree | None
    lower: float
    upper: float
    columns: Columns
    weights: np.ndarray

    @property
    def usage(self) -> np.ndarray:
        """Σ_k |v_k| shares_k (C,): a balanced network has these masses."""
        return self.weights @ self.columns.shares


def support_columns(problem: Problem, space: Space, masses: np.ndarray, normals: np.ndarray) -> Columns:
    """The points of B(m) with the largest q·z, for the rows q of normals (k, N)."""
    k, N, C = len(normals), problem.N, space.classes
    parts, shares, Z = np.empty((k, C, N)), np.empty((k, C)), np.empty((k, N))
    value, columns, F = np.empty(C), np.empty((C, N)), np.empty(len(space.cones.rays))
    roots = np.sqrt(masses)
    for row, q in enumerate(normals):
        h = reach(space.cones, masses, problem.beta, q, Z[row], value, columns, F)
        scale = roots * value / max(h, 1e-300)
        shares[row], parts[row] = scale**2, scale[:, None] * columns
    return Columns(parts, Z - np.einsum("kcn,c->kn", parts, roots), shares, normals)


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


def with_columns(problem: Problem, space: Space, masses: np.ndarray, columns: Columns) -> Relaxed:
    """What these columns alone reach at masses m: an upper bound, about."""
    Z = columns.points(masses)
    x, _, value = restricted(problem, space.activation(Z), np.zeros(2 * len(Z) + 1))
    return Relaxed(None, -np.inf, problem.lam * float(masses.sum()) + value, columns, x[: len(Z)] + x[len(Z) : -1])


def column_generation(
    problem: Problem,
    space: Space,
    masses: np.ndarray,
    columns: Columns,
    accuracy: float,
    nodes: int,
    deadline: float,
    enough: float = np.inf,
) -> Relaxed:
    """The relaxed problem at masses m, to a relative accuracy, or until it is decided on which side of `enough` it lies.

    columns: to start with.
    """
    sigma, lam = space.activation, problem.lam
    features = sigma(columns.points(masses))
    x = np.zeros(2 * len(features) + 1)
    best, lower, upper = None, -np.inf, np.inf
    base = lam * float(masses.sum())
    for _ in range(ROUNDS):
        x, outputs, value = restricted(problem, features, x)
        upper = min(upper, base + value)
        G = problem.loss.project_dual(-problem.loss.gradient(outputs, problem.targets), problem.targets)
        tree = search(space, G[0], masses, accuracy, nodes, deadline, 2.0 * lam)
        kappa = tree.bound(space, masses)
        limit = 2.0 * lam / kappa if kappa > 0.0 else 1e300
        found = base + dual_value(problem, best_scale(problem, G, limit) * G)
        if found > lower:
            best, lower = tree, found
        if lower >= min(upper - accuracy * abs(upper), enough) or upper < enough * (1.0 - accuracy) < np.inf:
            break
        if time.monotonic() >= deadline:
            break
        new = _new_columns(problem, space, masses, tree, features)
        if not len(new.rest):
            break
        old, more = len(features), np.zeros(len(new.rest))
        x = np.concatenate([x[:old], more, x[old : 2 * old], more, x[-1:]])
        columns = columns + new
        features = np.vstack([features, sigma(new.points(masses))])
    k = len(features)
    weights = x[:k] + x[k:-1]
    order = np.argsort(-weights, kind="stable")[:KEPT]
    return Relaxed(best, lower, upper, columns[order], weights[order])


def _new_columns(problem: Problem, space: Space, masses: np.ndarray, tree: Tree, features: np.ndarray) -> Columns:
    """Points of leaves and of nodes that violate |g·σ(z)| ≤ 2λ, no two with almost the same features."""
    limit = 2.0 * problem.lam * (1.0 + 1e-7)
    here = np.flatnonzero(tree.values > limit)[:NEW]
    rest = tree.points[here] - np.einsum("kcn,c->kn", tree.parts[here], np.sqrt(masses))
    found = Columns(tree.parts[here], rest, tree.shares[here], tree.normals[here])
    found = found + support_columns(problem, space, masses, tree.normals_of_leaves(space, masses, 12, limit))
    fresh = space.activation(found.points(masses))
    good = np.abs(fresh @ tree.g) > limit
    near = 1e-5 * np.linalg.norm(fresh, axis=1)
    if len(features):
        good &= np.linalg.norm(fresh[:, None] - features[None, :], axis=2).min(axis=1) > near
    between = np.linalg.norm(fresh[:, None] - fresh[None, :], axis=2)
    chosen: list[int] = []
    for k in np.flatnonzero(good):
        if np.all(between[k, chosen] > near[k]):
            chosen.append(int(k))
    return found[np.array(chosen, dtype=int)]
