"""Semidefinite lower bounds of the cp-rank: dual solutions by cvxpy, rounded to rationals, checked exactly.

Moments of degree 4, for the quadratic monomials v(x) = (x_i x_j)_{i ≤ j}:

    max 2⟨l, a⟩ − Σ D a² − ⟨Ω, T⟩ − ⟨Z, A⟩   subject to   [[1, −lᵀ], [−l, W]] ⪰ 0, D ≥ 0, Ω ⪰ 0, Z ≥ 0,
    vᵀWv ≤ Σ D_ij (x_i x_j)² + vᵀΩv + (xᵀA⁻¹x)(xᵀZx), coefficient by coefficient,

with a = (A_ij) and T = A ⊗ A on symmetric tensors. With = instead of ≤ and Z = 0 that is τ_cp^sos (Fawzi and Parrilo,
*Self-scaled bounds for atomic cone ranks*, 2016). Ideal-sparse bound of level 1 (Korda, Laurent, Magron, Steenkamp
2024), for maximal cliques V of the support graph: max ⟨Y, A⟩ such that 1 − xᵀYx is, for x supported on V, a sum of
squares plus multipliers of 0 ≤ x_i ≤ √A_ii, x_i x_j ≤ A_ij and xxᵀ ⪯ A. Why both are bounds is in
`cpcert.certificate.rank_check`.

What a conic solver calls optimal is close to feasible, no more: its values were seen below rank A, where theory forbids
it. So the dual point is rounded, moved inside by a little, and counts only as the exact check accepts it; the ceiling
of its exact value is the bound. The solver is Clarabel.
"""

from __future__ import annotations

import importlib.util
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from cpcert.certificate.rank_check import Rejected, check_rank_claim
from cpcert.rank.cliques import maximal_cliques
from cpcert.rank.exact_linear import solve
from cpcert.rank.graphs import adjacency
from cpcert.rank.matrices import Rows, float_matrix
from cpcert.rank.proofs import (
    CliqueCertificate,
    IdealSparse,
    Lower,
    Moments,
    Number,
    Pair,
    Products,
    Share,
    Shares,
    TauSos,
    as_json,
)

MISSING = "semidefinite bounds need cvxpy, which is not installed; pip install 'cpcert[sdp]'"
# The matrix of the moments has order n(n + 1)/2 + 1: seconds at 8, a minute at 9.
LARGEST_MOMENT_ORDER = 8
LARGEST_SPARSE_ORDER = 15
MANY_CLIQUES = 40
BITS = 34
# How far a dual point is moved inside, relative to 1.
SHIFTS = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
# From here on A⁻¹ is too large to be of use.
LARGEST_CONDITION = 1e6

# For each monomial x_i x_j x_k x_l the pairs of its factors x_i x_j and x_k x_l.
Places = dict[tuple[int, ...], list[Pair]]
# Pairs with the share θ of A_ij that no atom exceeds.
Context = tuple[tuple[Pair, Number], ...]


@dataclass(frozen=True)
class SemidefiniteBound:
    """floating: the value of the solver, a hint. lower and proof: what was proven; 0 and None if nothing was."""

    name: str
    floating: float
    lower: int
    proof: TauSos | Moments | IdealSparse | None


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
    if n <= LARGEST_MOMENT_ORDER and time.monotonic() < stop:
        found = moments(A)
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


# -- moments of degree 4 -----------------------------------------------------------------------------------------------


def moments(A: Rows, context: Context = ()) -> SemidefiniteBound | None:
    """The bound of the number of atoms with x_i x_j ≤ θ A_ij for each (i, j), θ of the context; of cp-rank(A) without.

    Proven if the checker accepts a rounded dual point.
    """
    n = len(A)
    d = _scaling(A)
    scaled: Rows = [[Fraction(A[i][j]) * d[i] * d[j] for j in range(n)] for i in range(n)]
    most = bounded_products(scaled, context)
    regular = np.linalg.cond(float_matrix(scaled)) < LARGEST_CONDITION
    inverse = solve(scaled, [[int(i == j) for j in range(n)] for i in range(n)]) if regular else None
    pairs = _pairs(n)
    # Monomials that do not vanish: no entry of A between two of their indices is 0.
    places: Places = {}
    for s, first in enumerate(pairs):
        for t, second in enumerate(pairs):
            monomial = tuple(sorted((*first, *second)))
            if all(A[i][j] for i in monomial for j in monomial):
                places.setdefault(monomial, []).append((s, t))
    solved = _solved_moments(scaled, most, places, inverse)
    if solved is None:
        return None
    floating, P, D, Omega, Z = solved
    # Back to A: x_i of the scaled matrix is d_i times that of A.
    weight = np.array(d, dtype=object)
    of_pairs = np.array([d[i] * d[j] for i, j in pairs], dtype=object)
    for epsilon in SHIFTS:
        point = _inside(P, D, Omega, Z, epsilon, places, inverse)
        lower = max(math.ceil(_dual_value(point, scaled, most)), 0)
        linear, squares = tuple(point.linear * of_pairs), tuple(point.D * of_pairs**2)
        square = np.outer(of_pairs, of_pairs)
        forms = _tuples(point.Omega * square), _tuples(point.W * square)
        proof: TauSos | Moments = TauSos(linear, squares, *forms)
        if point.Z is not None:
            proof = Moments(linear, squares, *forms, _tuples(point.Z * np.outer(weight, weight)))
        if lower and _accepted(A, min(lower, 1) if context else lower, within(context, proof)):
            return SemidefiniteBound("moments", floating, lower, proof)
    return SemidefiniteBound("moments", floating, 0, None)


def _pairs(n: int) -> list[Pair]:
    return [(i, j) for i in range(n) for j in range(i, n)]


def _solved_moments(
    A: Rows, most: Rows, places: Places, inverse: list[list[Fraction]] | None
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None] | None:
    """The optimal value, P, D, Ω and Z (with A⁻¹), in floating point; None if it is not solved."""
    import cvxpy as cp

    n, pairs, F = len(A), _pairs(len(A)), float_matrix(A)
    m = len(pairs)
    a, c = (np.array([float(M[i][j]) for i, j in pairs]) for M in (A, most))
    T = np.array([[(F[i, k] * F[j, h] + F[i, h] * F[j, k]) / 2 for k, h in pairs] for i, j in pairs])
    row = {monomial: k for k, monomial in enumerate(places)}
    collect = np.zeros((len(row), m * m))
    for monomial, where in places.items():
        for s, t in where:
            collect[row[monomial], s * m + t] = 1.0
    P, Omega = cp.Variable((m + 1, m + 1), PSD=True), cp.Variable((m, m), PSD=True)
    D = cp.Variable(m, nonneg=True)
    quartic = collect @ cp.vec(P[1:, 1:] - Omega - cp.diag(D), order="C")
    value = -2 * a @ P[0, 1:] - (a * c) @ D - cp.sum(cp.multiply(T, Omega))
    Z = None
    if inverse is not None:
        Z = cp.Variable((n, n), nonneg=True)
        products = np.zeros((len(row), n * n))
        for i, j, g, h in product(range(n), repeat=4):
            k = row.get(tuple(sorted((i, j, g, h))))
            if k is not None:
                products[k, g * n + h] += float(inverse[i][j])
        quartic = quartic - products @ cp.vec((Z + Z.T) / 2, order="C")
        value = value - cp.sum(cp.multiply(F, Z))
    problem: Any = cp.Problem(cp.Maximize(value), [P[0, 0] == 1, quartic <= 0])
    if not _solve(problem):
        return None
    of_Z = None if Z is None else _value(Z)
    return float(np.real(problem.value)), _value(P), _value(D), _value(Omega), of_Z


@dataclass(frozen=True, eq=False)
class _DualPoint:
    """Arrays of Fractions: l and D (m,), Ω and W (m, m), Z (n, n) or None."""

    linear: np.ndarray
    D: np.ndarray
    Omega: np.ndarray
    W: np.ndarray
    Z: np.ndarray | None


def _inside(
    P: np.ndarray, D: np.ndarray, Omega: np.ndarray, Z: np.ndarray | None, epsilon: float, places: Places, inverse: Any
) -> _DualPoint:
    """In multiples of 2^−BITS, a little further inside; W is lowered where a monomial is too large."""
    shift = Fraction(round(epsilon * 2**BITS), 2**BITS)
    linear, exact_D = _exact(-P[0, 1:] * (1 - epsilon)), _exact(np.maximum(D, 0.0)) + shift
    exact_Omega, W = _exact(Omega), _exact(P[1:, 1:])
    # W and D, and W and Ω, grow together.
    for k in range(len(W)):
        exact_Omega[k, k] += shift
        W[k, k] += 2 * shift
    exact_Z = None if Z is None else _exact(np.maximum((Z + Z.T) / 2, 0.0))
    of_Z: dict[tuple[int, ...], Fraction] = {}
    if exact_Z is not None:
        for i, j, k, h in product(range(len(exact_Z)), repeat=4):
            monomial = tuple(sorted((i, j, k, h)))
            of_Z[monomial] = of_Z.get(monomial, Fraction(0)) + inverse[i][j] * exact_Z[k, h]
    for monomial, where in places.items():
        rest = sum(W[s, t] - exact_Omega[s, t] - (exact_D[s] if s == t else 0) for s, t in where)
        rest -= of_Z.get(monomial, 0)
        if rest > 0:
            less = Fraction(math.ceil(rest * 2**BITS), 2**BITS) / (1 if where[0][0] == where[0][1] else 2)
            for s, t in {where[0], where[0][::-1]}:
                W[s, t] -= less
    return _DualPoint(linear, exact_D, exact_Omega, W, exact_Z)


def _dual_value(point: _DualPoint, A: Rows, most: Rows) -> Fraction:
    n, pairs = len(A), _pairs(len(A))
    value = Fraction(0)
    for s, (i, j) in enumerate(pairs):
        value += (2 * point.linear[s] - point.D[s] * most[i][j]) * A[i][j]
        for t, (k, h) in enumerate(pairs):
            value -= point.Omega[s, t] * (A[i][k] * A[j][h] + A[i][h] * A[j][k]) / 2
    if point.Z is not None:
        value -= sum((point.Z[i, j] * A[i][j] for i, j in product(range(n), repeat=2)), start=Fraction(0))
    return value


def bounded_products(A: Rows, context: Context) -> Rows:
    """What x_i x_j is at most in the context, A_ij without."""
    most = [list(row) for row in A]
    for (i, j), share in context:
        most[i][j] = most[j][i] = min(share * A[i][j], most[i][j])
    return most


def within(context: Context, proof: Products) -> Products:
    """A proof about atoms in a context as one about all: that there is an atom, if it proves so much."""
    for pair, share in reversed(context):
        proof = Shares((Share(pair, share, proof),))
    return proof


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


def _largest_accepted(A: Rows, value: float, proof: IdealSparse) -> int:
    """The largest integer near the float value that the exact checker accepts as lower bound; 0 if it rejects all."""
    nearest = int(np.ceil(value))
    return next((lower for lower in (nearest, nearest - 1) if lower > 0 and _accepted(A, lower, proof)), 0)


def _accepted(A: Rows, lower: int, proof: Lower) -> bool:
    claim = {"claim": "cp_rank", "A": as_json(A), "lower": lower, "lower_proof": as_json(proof)}
    try:
        check_rank_claim(claim | {"upper": None, "upper_proof": None})
    except Rejected:
        return False
    return True
