"""Semidefinite lower bounds of the cp-rank: dual solutions by cvxpy, rounded to rationals, checked exactly.

τ_cp^sos (Fawzi and Parrilo, *Self-scaled bounds for atomic cone ranks*, 2016), for the quadratic monomials v(x) = (x_i
x_j)_{i ≤ j}:

    max 2⟨l, a⟩ − Σ D a² − ⟨Ω, T⟩   subject to   [[1, −lᵀ], [−l, W]] ⪰ 0, D ≥ 0, Ω ⪰ 0, vᵀWv ≡ Σ D_ij (x_i x_j)² + vᵀΩv,

with a = (A_ij) and T = A ⊗ A on symmetric tensors. Ideal-sparse bound of level 1 (Korda, Laurent, Magron, Steenkamp
2024), for maximal cliques V of the support graph: max ⟨Y, A⟩ such that 1 − xᵀYx is, for x supported on V, a sum of
squares plus multipliers of 0 ≤ x_i ≤ √A_ii, x_i x_j ≤ A_ij and xxᵀ ⪯ A. Why both are bounds is in
`cpcert.certificate.rank_check`.

What a conic solver calls optimal is close to feasible, no more: its values were seen below rank A, where theory forbids
it. So the dual point is rounded, moved inside by a little, and counts only as the exact check accepts it; the ceiling
of its exact value is the bound. The solver is Clarabel.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from cpcert.certificate.rank_check import Rejected, check_rank_claim
from cpcert.rank.cliques import maximal_cliques
from cpcert.rank.graphs import adjacency
from cpcert.rank.matrices import Rows, float_matrix
from cpcert.rank.proofs import CliqueCertificate, IdealSparse, TauSos, as_json

MISSING = "semidefinite bounds need cvxpy, which is not installed; pip install 'cpcert[sdp]'"
# The matrix of τ_cp^sos has order n(n + 1)/2 + 1: seconds at 8, a minute at 9.
LARGEST_TAU_ORDER = 8
LARGEST_SPARSE_ORDER = 15
MANY_CLIQUES = 40
BITS = 34
# How far a dual point is moved inside, relative to 1.
SHIFTS = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)


@dataclass(frozen=True)
class SemidefiniteBound:
    """floating: the value of the solver, a hint. lower and proof: what was proven; 0 and None if nothing was."""

    name: str
    floating: float
    lower: int
    proof: TauSos | IdealSparse | None


def available() -> bool:
    """Whether cvxpy is installed (it is not imported here: that takes seconds)."""
    return importlib.util.find_spec("cvxpy") is not None


def semidefinite_bounds(A: Rows, seconds: float = 60.0) -> Iterator[SemidefiniteBound]:
    """The semidefinite bounds of a connected A ≥ 0 (n, n), cheapest first, until the time is spent."""
    stop = time.monotonic() + seconds
    n = len(A)
    cliques = maximal_cliques(adjacency(A), MANY_CLIQUES) if n <= LARGEST_SPARSE_ORDER else None
    if cliques is not None and len(cliques) > 1:
        found = ideal_sparse(A, cliques)
        if found is not None:
            yield found
    if n <= LARGEST_TAU_ORDER and time.monotonic() < stop:
        found = tau_sos(A)
        if found is not None:
            yield found


def _scaling(A: Rows) -> list[Fraction]:
    """Powers of 2 near A_ii^(−1/2): with D = diag of them DAD has a diagonal between 1/2 and 2."""
    return [Fraction(2) ** round(-np.log2(float(row[i])) / 2) for i, row in enumerate(A)]


def _solve(problem: Any) -> bool:
    import cvxpy as cp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            problem.solve(solver="CLARABEL")
        except (cp.SolverError, ArithmeticError, ValueError):
            return False
    return problem.status in ("optimal", "optimal_inaccurate") and problem.value is not None


def _value(variable: Any) -> np.ndarray:
    """The value of a cvxpy variable; a square one is made symmetric."""
    value = np.asarray(variable.value, dtype=float)
    return (value + value.T) / 2 if value.ndim == 2 else value


def _exact(values: np.ndarray) -> np.ndarray:
    """Rounded to multiples of 2^−BITS, as an array of Fractions."""
    unit = 2**BITS
    flat = [Fraction(round(float(v) * unit), unit) for v in np.asarray(values).ravel()]
    return np.array(flat, dtype=object).reshape(np.shape(values))


def _tuples(M: np.ndarray) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(tuple(row) for row in M)


# -- τ_cp^sos --------------------------------------------------------------------------------------------------------


def tau_sos(A: Rows) -> SemidefiniteBound | None:
    """The bound τ_cp^sos(A), its ceiling proven if the exact check of a rounded dual point succeeds."""
    import cvxpy as cp

    n = len(A)
    d = _scaling(A)
    F = float_matrix([[A[i][j] * d[i] * d[j] for j in range(n)] for i in range(n)])
    pairs = [(i, j) for i in range(n) for j in range(i, n)]
    m = len(pairs)
    a = np.array([F[i, j] for i, j in pairs])
    T = np.array([[(F[i, k] * F[j, h] + F[i, h] * F[j, k]) / 2 for k, h in pairs] for i, j in pairs])
    monomials: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for s, first in enumerate(pairs):
        for t, second in enumerate(pairs):
            monomials.setdefault(tuple(sorted((*first, *second))), []).append((s, t))
    P, Omega = cp.Variable((m + 1, m + 1), PSD=True), cp.Variable((m, m), PSD=True)
    D = cp.Variable(m, nonneg=True)
    difference = P[1:, 1:] - Omega - cp.diag(D)
    collect = np.zeros((len(monomials), m * m))
    for row, places in enumerate(monomials.values()):
        for s, t in places:
            collect[row, s * m + t] = 1.0
    problem: Any = cp.Problem(
        cp.Maximize(-2 * a @ P[0, 1:] - (a**2) @ D - cp.sum(cp.multiply(T, Omega))),
        [P[0, 0] == 1, collect @ cp.vec(difference, order="C") == 0],
    )
    if not _solve(problem):
        return None
    value = float(np.real(problem.value))
    linear, W0 = -_value(P)[0, 1:], _value(P)[1:, 1:]
    for epsilon in SHIFTS:
        # Toward the inside: W and D, and W and Ω, grow together, which keeps the identity.
        shift = Fraction(round(epsilon * 2**BITS), 2**BITS)
        exact_l, exact_D = _exact(linear * (1 - epsilon)), _exact(np.maximum(_value(D), 0.0)) + shift
        exact_Omega = _exact(_value(Omega))
        W = _exact(W0)
        for k in range(m):
            exact_Omega[k, k] += shift
            W[k, k] += 2 * shift
        for places in monomials.values():
            rest = sum(W[s, t] - exact_Omega[s, t] - (exact_D[s] if s == t else 0) for s, t in places)
            s, t = places[0]
            if s == t:
                W[s, s] -= rest
            else:
                W[s, t] -= rest / 2
                W[t, s] -= rest / 2
        # Back to A: x_i of the scaled matrix is d_i times that of A.
        weight = np.array([d[i] * d[j] for i, j in pairs], dtype=object)
        square = weight[:, None] * weight[None, :]
        proof = TauSos(
            tuple(exact_l * weight),
            tuple(exact_D * weight * weight),
            _tuples(exact_Omega * square),
            _tuples(W * square),
        )
        found = _largest_accepted(A, value, proof)
        if found:
            return SemidefiniteBound("tau_cp^sos", value, found, proof)
    return SemidefiniteBound("tau_cp^sos", value, 0, None)


# -- ideal-sparse, level 1 -------------------------------------------------------------------------------------------


def ideal_sparse(A: Rows, cliques: Sequence[Sequence[int]]) -> SemidefiniteBound | None:
    """The ideal-sparse bound of level 1 over the maximal cliques given, its ceiling proven as above."""
    import cvxpy as cp

    n = len(A)
    d = _scaling(A)
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
    if not _solve(problem):
        return None
    value = float(np.real(problem.value))
    weight = np.array(d, dtype=object)
    exact_u = tuple(Fraction(int(np.ceil(float(v) * 2**BITS)) + 1, 2**BITS) / w for v, w in zip(u, d, strict=True))
    for epsilon in SHIFTS:
        shrink = 1 - epsilon
        exact_Y = _exact(_value(Y) * shrink - epsilon * np.eye(n))
        parts = []
        for V, s, multipliers, Omega in variables:
            w = weight[V]
            exact_Omega = _exact(_value(Omega) * shrink + 0.01 * epsilon / n * np.eye(n))
            M = np.maximum(_value(multipliers), 0.0) * shrink
            parts.append(
                CliqueCertificate(
                    tuple(V),
                    tuple(_exact(np.maximum(_value(s), 0.0) * shrink) * w * w),
                    _tuples(_exact(M) * np.outer(w, w)),
                    _tuples(exact_Omega * np.outer(weight, weight)),
                )
            )
        proof = IdealSparse(_tuples(exact_Y * np.outer(weight, weight)), exact_u, tuple(parts))
        found = _largest_accepted(A, value, proof)
        if found:
            return SemidefiniteBound("ideal-sparse", value, found, proof)
    return SemidefiniteBound("ideal-sparse", value, 0, None)


def _largest_accepted(A: Rows, value: float, proof: TauSos | IdealSparse) -> int:
    """The largest integer near the float value that the exact checker accepts as lower bound; 0 if it rejects all."""
    nearest = int(np.ceil(value))
    for lower in (nearest, nearest - 1):
        claim = {"claim": "cp_rank", "A": as_json(A), "lower": lower, "lower_proof": as_json(proof)}
        try:
            if lower > 0:
                check_rank_claim(claim | {"upper": None, "upper_proof": None})
                return lower
        except Rejected:
            continue
    return 0
