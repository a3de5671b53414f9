"""The loss `interpolate`: is Z = Y possible at all, and what does a float network that nearly fits it prove?

Relations: outputs on the data obey linear relations Σ c_i z_i = 0 that hold for every network. With e = (a₊ + a₋)/2 and
o = (a₊ − a₋)/2 ≠ 0, writing x_i = t_i d on each line through 0, c is one iff

    Σ_{i on the line} c_i |t_i| = 0 for each line,   Σ c_i x_i = 0 if e ≠ 0,   Σ c_i = 0 if β ≠ 0,

and for o = 0 (linear networks) iff X̃c = 0; decided in rationals. Y is feasible iff Yc = 0 for every relation c;
otherwise G = (Yc)cᵀ proves that the dual is unbounded.

Repair: a float network has Z = Y − E with ‖E‖_F ≤ ε proven. With unit neurons w_1 … w_K, A = σ(X̃_Fᵀw_k) on the points
F outside the relations' pivots and a float B with ‖AB − I‖_F ≤ δ < 1, neurons (w_k, v_k) can be added that interpolate
exactly, at the additional cost 2Σ‖v_k‖‖w_k‖ ≤ 2√K ‖w‖_max ‖B‖_F ε/(1 − δ). Both are derived in
docs/mathematics/interpolation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import scipy.linalg

from cpcert.network import Network, representation_cost_upper, residual_bound
from cpcert.problem import Problem
from cpcert.rounding import EPS


@dataclass(frozen=True, eq=False)
class InfeasibilityProof:
    """relation: c, exact; violation: Yc, exact, one number per output, not all zero. Every network has Zc = 0.

    G: (m, N), (Yc)cᵀ rounded to float64, scaled to maximum 1.
    """

    relation: tuple[Fraction, ...]
    violation: tuple[Fraction, ...]

    @property
    def G(self) -> np.ndarray:
        c = np.array([float(x / max(map(abs, self.relation))) for x in self.relation])
        v = np.array([float(x / max(map(abs, self.violation))) for x in self.violation])
        return np.outer(v, c)


@dataclass(frozen=True, eq=False)
class Relations:
    """A basis of the relations: (support, coefficients) each. pivots: points whose outputs the others fix."""

    basis: tuple[dict[int, Fraction], ...]
    pivots: tuple[int, ...]


def relations(problem: Problem) -> Relations:
    """All linear relations that the outputs of every network obey on the data, exactly."""
    X = [[Fraction(float(x)) for x in row] for row in problem.X]
    beta = Fraction(problem.beta)
    if beta:
        X = [[*row, beta] for row in X]
    a_plus, a_minus = Fraction(problem.activation.a_plus), Fraction(problem.activation.a_minus)
    if a_plus == a_minus:
        support = list(range(problem.N))
        equations = [[X[i][k] for i in support] for k in range(problem.n)]
        return _null_space(equations, support)
    lines: dict[tuple[Fraction, ...], list[tuple[int, Fraction]]] = {}
    zeros = []
    for i, row in enumerate(X):
        first = next((x for x in row if x), None)
        if first is None:
            zeros.append(i)
        else:
            lines.setdefault(tuple(x / first for x in row), []).append((i, abs(first)))
    shared = [line for line in lines.values() if len(line) > 1]
    support = zeros + [i for line in shared for i, _ in line]
    column = {i: k for k, i in enumerate(support)}
    equations = []
    for line in shared:
        equation = [Fraction(0)] * len(support)
        for i, t in line:
            equation[column[i]] = t
        equations.append(equation)
    if a_plus + a_minus:
        equations += [[X[i][k] for i in support] for k in range(problem.n)]
    if beta:
        equations.append([Fraction(1)] * len(support))
    return _null_space(equations, support)


def _null_space(equations: list[list[Fraction]], support: list[int]) -> Relations:
    """A basis of {c on `support` : equations · c = 0} by Gauss-Jordan elimination; its pivots are free variables of the
    system, one per basis vector, where that vector is 1 and the others are 0."""
    rows = [row[:] for row in equations if any(row)]
    leading: list[int] = []
    for k in range(len(support)):
        at = len(leading)
        pivot = next((j for j in range(at, len(rows)) if rows[j][k]), None)
        if pivot is None:
            continue
        rows[at], rows[pivot] = rows[pivot], rows[at]
        inverse = 1 / rows[at][k]
        rows[at] = [x * inverse for x in rows[at]]
        for j, row in enumerate(rows):
            if j != at and row[k]:
                factor = row[k]
                rows[j] = [x - factor * y if y else x for x, y in zip(row, rows[at], strict=True)]
        leading.append(k)
    free = [k for k in range(len(support)) if k not in set(leading)]
    basis = []
    for k in free:
        vector = {support[k]: Fraction(1)}
        for row, lead in zip(rows, leading, strict=False):
            if row[k]:
                vector[support[lead]] = -row[k]
        basis.append(vector)
    return Relations(tuple(basis), tuple(support[k] for k in free))


def infeasibility(problem: Problem, known: Relations) -> InfeasibilityProof | None:
    """The proof that no network of any width fits Y exactly, or None when one does."""
    for vector in known.basis:
        violation = tuple(
            sum((c * Fraction(float(row[i])) for i, c in vector.items()), Fraction(0)) for row in problem.targets
        )
        if any(violation):
            relation = tuple(vector.get(i, Fraction(0)) for i in range(problem.N))
            return InfeasibilityProof(relation, violation)
    return None


def kinked_neurons(points: np.ndarray, through: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each index in `through`, a unit neuron in the span of the points (N, r) whose kink passes through that point
    and through random others: what tells points apart that nearly coincide. (len(through), r)"""
    N = len(points)
    _, singular, right = np.linalg.svd(points, full_matrices=False)
    basis = right[: max(int((singular > 1e-11 * singular[0]).sum()), 1)]
    inside = points @ basis.T
    rank = len(basis)
    rows = []
    for i in through:
        chosen = np.concatenate([[i], rng.permutation(N)])[: rank - 1]
        rows.append(np.linalg.svd(np.concatenate([inside[chosen], np.zeros((1, rank))]))[2][-1] @ basis)
    return np.array(rows).reshape(len(through), points.shape[1])


def interpolation_cost_upper(problem: Problem, network: Network, known: Relations, seed: int) -> float:
    """A proven upper bound of R(X, Y): the cost of `network` plus the proven cost of repairing its residual.

    inf when the repair cannot be proven (the network is too far off or the features are too ill conditioned).
    """
    cost = representation_cost_upper(network)
    middle, error = residual_bound(network, problem)
    epsilon = float(np.linalg.norm(np.abs(middle) + error)) * (1.0 + (middle.size + 4) * EPS)
    if epsilon == 0.0:
        return cost
    W, B = repair_neurons(problem, known, seed)
    X = problem.X_tilde[:, np.setdiff1d(np.arange(problem.N), known.pivots)]
    A = problem.activation(X.T @ W.T)
    K = len(W)
    error = problem.activation.lipschitz * (problem.n + 4) * EPS * (np.abs(X.T) @ np.abs(W.T))
    defect = np.abs(A @ B - np.eye(len(A))) + (K + 4) * EPS * (np.abs(A) @ np.abs(B) + 1.0) + error @ np.abs(B)
    delta = float(np.linalg.norm(defect)) * (1.0 + (len(A) ** 2 + 8) * EPS)
    if not delta < 0.5:
        return float("inf")
    size_B = float(np.linalg.norm(B)) * (1.0 + (B.size + 4) * EPS)
    repair = 2.0 * np.sqrt(K) * size_B * epsilon / (1.0 - delta)
    return float((cost + repair * (1.0 + 1e-12)) * (1.0 + 2.0 * EPS))


def repair_neurons(problem: Problem, known: Relations, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit neurons W (K, n) and B (K, |F|), an approximate inverse of their features σ(X̃_FᵀWᵀ) at the points F that the
    relations leave free. Heuristic: well-conditioned neurons, chosen from the data, random and kinked ones by pivoting."""
    keep = np.setdiff1d(np.arange(problem.N), known.pivots)
    X = problem.X_tilde[:, keep]
    rng = np.random.default_rng(seed)
    norms = np.linalg.norm(X, axis=0)
    random = rng.standard_normal((4 * problem.N, problem.n))
    kinked = kinked_neurons(X.T, np.repeat(np.arange(len(keep)), 2), rng)
    data = X[:, norms > 0.0].T
    W = np.concatenate([data, -data, random, kinked, -kinked])
    lengths = np.linalg.norm(W, axis=1)
    W = W[lengths > 0.0] / lengths[lengths > 0.0, np.newaxis]
    A = problem.activation(X.T @ W.T)
    # Rows of like size, or small points would decide nothing.
    sizes = np.maximum(np.abs(A).max(axis=1, initial=0.0), 1e-300)[:, np.newaxis]
    chosen = scipy.linalg.qr(A / sizes, mode="r", pivoting=True)[1][: len(keep)]
    return W[chosen], np.linalg.pinv(A[:, chosen], rcond=1e-14)
