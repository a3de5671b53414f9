"""Semidefinite lower bounds of the cp-rank.

Ideal-sparse bound of level 1 (Korda, Laurent, Magron, Steenkamp 2024), for maximal cliques V of the support graph:
max ⟨Y, A⟩ such that 1 − xᵀYx is, for x supported on V, a sum of squares plus multipliers of 0 ≤ x_i ≤ √A_ii,
x_i x_j ≤ A_ij and xxᵀ ⪯ A. Why it is a bound is in `cpcert.certificate.rank_check`. The bounds from moments of degree 4 are in
moments.py, and how dual points are rounded and checked in dual_points.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from cpcert.rank.cliques import maximal_cliques
from cpcert.rank.dual_points import BITS, SHIFTS, accepted, exact, power_scaling, solved, tuples, value_of
from cpcert.rank.graphs import adjacency
from cpcert.rank.matrices import Rows, float_matrix
from cpcert.rank.moments import MomentBounds
from cpcert.rank.proofs import CliqueCertificate, IdealSparse, Moments

# The matrix of the moments has order n(n + 1)/2 + 1: seconds at 8, a minute at 9.
LARGEST_MOMENT_ORDER = 8
LARGEST_SPARSE_ORDER = 15
MANY_CLIQUES = 40


@dataclass(frozen=True)
class SemidefiniteBound:
    """floating: the value of the solver, a hint. lower and proof: what was proven; 0 and None if nothing was."""

    name: str
    floating: float
    lower: int
    proof: Moments | IdealSparse | None


def semidefinite_bounds(A: Rows, seconds: float = 60.0) -> Iterator[SemidefiniteBound]:
    """The semidefinite bounds of a connected A ≥ 0 (n, n), cheapest first, until the time is spent."""
    stop = time.monotonic() + seconds
    n = len(A)
    cliques = maximal_cliques(adjacency(A), MANY_CLIQUES) if n <= LARGEST_SPARSE_ORDER else None
    if cliques is not None and len(cliques) > 1:
        found = ideal_sparse(A, cliques)
        if found is not None:
            yield found
    if n <= LARGEST_MOMENT_ORDER and time.monotonic() < stop:
        plain = MomentBounds(A).plain()
        if plain is not None:
            lower, floating, proof = plain
            yield SemidefiniteBound("moments", floating, lower, proof)


# -- ideal-sparse, level 1 -------------------------------------------------------------------------------------------


def ideal_sparse(A: Rows, cliques: Sequence[Sequence[int]]) -> SemidefiniteBound | None:
    """The ideal-sparse bound of level 1 over the maximal cliques given, its ceiling proven as above."""
    import cvxpy as cp

    n = len(A)
    d = power_scaling(A)
    F = float_matrix([[A[i][j] * d[i] * d[j] for j in range(n)] for i in range(n)])
    u = np.sqrt(np.diag(F)) * (1 + 1e-12)
    Y = cp.Variable((n, n), symmetric=True)
    constraints, variables = [], []
    for V in map(list, cliques):
        size = len(V)
        s, multipliers = cp.Variable(size, nonneg=True), cp.Variable((size, size), symmetric=True)
        Omega, P = cp.Variable((n, n), PSD=True), cp.Variable((size + 1, size + 1), PSD=True)
        inner = cp.diag(s) + multipliers + Omega[V][:, V] - Y[V][:, V]
        constraints += [
            multipliers >= 0,
            P[0, 0] == 1 - cp.sum(cp.multiply(F[np.ix_(V, V)], multipliers)) - cp.sum(cp.multiply(F, Omega)),
            P[0, 1:] == -cp.multiply(u[V], s) / 2,
            P[1:, 1:] == inner,
        ]
        variables.append((V, s, multipliers, Omega))
    problem: Any = cp.Problem(cp.Maximize(cp.sum(cp.multiply(F, Y))), constraints)
    if not solved(problem):
        return None
    value = float(np.real(problem.value))
    weight = np.array(d, dtype=object)
    exact_u = tuple(Fraction(int(np.ceil(float(v) * 2**BITS)) + 1, 2**BITS) / w for v, w in zip(u, d, strict=True))
    for epsilon in SHIFTS:
        shrink = 1 - epsilon
        exact_Y = exact(value_of(Y) * shrink - epsilon * np.eye(n))
        parts = []
        for V, s, multipliers, Omega in variables:
            w = weight[V]
            exact_Omega = exact(value_of(Omega) * shrink + 0.01 * epsilon / n * np.eye(n))
            M = np.maximum(value_of(multipliers), 0.0) * shrink
            parts.append(
                CliqueCertificate(
                    tuple(V),
                    tuple(exact(np.maximum(value_of(s), 0.0) * shrink) * w * w),
                    tuples(exact(M) * np.outer(w, w)),
                    tuples(exact_Omega * np.outer(weight, weight)),
                )
            )
        proof = IdealSparse(tuples(exact_Y * np.outer(weight, weight)), exact_u, tuple(parts))
        found = _largest_accepted(A, value, proof)
        if found:
            return SemidefiniteBound("ideal-sparse", value, found, proof)
    return SemidefiniteBound("ideal-sparse", value, 0, None)


def _largest_accepted(A: Rows, value: float, proof: IdealSparse) -> int:
    """The largest integer near the float value that the exact checker accepts as lower bound; 0 if it rejects all."""
    nearest = int(np.ceil(value))
    return next((lower for lower in (nearest, nearest - 1) if lower > 0 and accepted(A, lower, proof)), 0)
