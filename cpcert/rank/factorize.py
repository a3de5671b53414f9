"""Completely positive factorisations A = BBᵀ, B ≥ 0 (n, k): a search in floating point, and three ways to make it exact.

A small residual proves nothing: A may lie just outside the cone. Proofs (`cpcert.certificate.rank_check`):

- `nearby_factorisation`: an exact factorisation with the same k and the same zeros exists near B (Brouwer), whenever
  the Jacobian of t ↦ BBᵀ has full row rank there. Works for singular A too. The price is an inverse of order r(r +
  1)/2.
- `factors_and_rest`: factors of A − εR, R a diagonally dominant matrix with the support of A, are rounded to rationals;
  what is left is a sum of atoms (e_i + e_j)(e_i + e_j)ᵀ and e_i e_iᵀ. Any order, but many atoms, and only for A in the
  interior of the cone relative to its support.
- triangle-free support and exposed faces have exact factorisations of their own (`graphs.py`, `copositive.py`).

The search keeps away from the boundary, B ≥ δ, which the first proof needs: docs/mathematics/copositive.md.
"""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np

from cpcert.certificate.rank_check import LARGEST_EQUATIONS, Rejected, check_rank_claim
from cpcert.rank.exact_linear import solve
from cpcert.rank.proofs import Atom, Atoms, Column, Nearby, Number, Upper, as_json

# An entry of a factor below this (A scaled to unit diagonal) is taken for 0.
ZERO = 1e-6
FOUND = 1e-10
# From this relative residual on Gauss-Newton steps are faster.
NEAR = 1e-6
# The exact check of an inverse of this order takes half a minute.
MANY_EQUATIONS = 320


def relative_residual(A: np.ndarray, B: np.ndarray) -> float:
    """‖A − BBᵀ‖ / ‖A‖, Frobenius norms, in floating point."""
    return float(np.linalg.norm(A - B @ B.T) / np.linalg.norm(A))


def find_factors(
    A: np.ndarray, k: int, rng: np.random.Generator, starts: int = 10, seconds: float = 10.0, floor: float = 0.0
) -> np.ndarray | None:
    """B (n, k) ≥ 0 with ‖A − BBᵀ‖ ≤ 1e-10 ‖A‖, or None. Heuristic: None proves nothing, and B does not either.

    `floor`: a lower bound of the entries, relative to the root of the diagonal.
    """
    n = len(A)
    scale = np.sqrt(np.diag(A))
    if not scale.all():
        rows = np.flatnonzero(scale)
        inner = find_factors(A[np.ix_(rows, rows)], k, rng, starts, seconds, floor) if len(rows) else None
        if inner is None:
            return None
        B = np.zeros((n, k))
        B[rows] = inner
        return B
    unit = A / np.outer(scale, scale)
    stop = time.monotonic() + seconds
    for _ in range(starts):
        B = _descend(unit, k, rng, floor)
        if relative_residual(unit, B) < 1e-5:
            B = _corrected(unit, B)
            if relative_residual(unit, B) <= FOUND:
                B = B * scale[:, None]
                if relative_residual(A, B) <= FOUND:
                    return B
        if time.monotonic() > stop:
            break
    return None


def _descend(A: np.ndarray, k: int, rng: np.random.Generator, floor: float) -> np.ndarray:
    """Projected gradients with momentum and restarts while they are fast, then L-BFGS-B if the residual is not small."""
    n = len(A)
    B = abs(rng.standard_normal((n, k)))
    B = np.maximum(B / np.linalg.norm(B, axis=1, keepdims=True), floor)
    # The Hessian near a solution is at most 3 ‖BᵀB‖ = 3 ‖A‖.
    length = 1.0 / (3.0 * np.linalg.norm(A, 2))
    last, momentum, value = B, 1.0, np.inf
    checkpoint = np.inf
    for iteration in range(1, 2001):
        grown = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        point = B + (momentum - 1.0) / grown * (B - last)
        new = np.maximum(point - length * (point @ point.T - A) @ point, floor)
        now = float(np.linalg.norm(A - new @ new.T))
        momentum = grown if now <= value else 1.0
        last, B, value = B, new, now
        if value <= NEAR * np.linalg.norm(A):
            return B
        if iteration % 100 == 0:
            if value > checkpoint / 2:
                break
            checkpoint = value
    return _quasi_newton(A, B, floor)


def _quasi_newton(A: np.ndarray, B: np.ndarray, floor: float) -> np.ndarray:
    from scipy.optimize import minimize

    shape = B.shape

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        B = x.reshape(shape)
        R = B @ B.T - A
        return 0.25 * float(np.vdot(R, R)), (R @ B).ravel()

    result = minimize(
        objective,
        B.ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(floor, None)] * B.size,
        options={"maxiter": 3000, "maxfun": 6000, "ftol": 0.0, "gtol": 1e-13, "maxcor": 20},
    )
    return result.x.reshape(shape)


def _corrected(A: np.ndarray, B: np.ndarray, steps: int = 8) -> np.ndarray:
    """Gauss-Newton steps of least change in the positive entries, by conjugate gradients on JJᵀY = A − BBᵀ."""
    free = B > ZERO
    B = np.where(free, B, 0.0)
    for _ in range(steps):
        R = A - B @ B.T
        if np.linalg.norm(R) <= 1e-15 * np.linalg.norm(A):
            break
        Y, residual = np.zeros_like(R), R.copy()
        direction, square = residual.copy(), float(np.vdot(residual, residual))
        for _ in range(500):
            H = np.where(free, direction @ B, 0.0)
            image = H @ B.T + B @ H.T
            curvature = float(np.vdot(direction, image))
            if curvature <= 0.0:
                break
            Y += square / curvature * direction
            residual -= square / curvature * image
            last, square = square, float(np.vdot(residual, residual))
            if square <= 1e-8 * float(np.vdot(R, R)) or square == 0.0:
                break
            direction = residual + square / last * direction
        moved = B + np.where(free, Y @ B, 0.0)
        if moved.min() < 0 or np.linalg.norm(A - moved @ moved.T) >= np.linalg.norm(R):
            break
        B = moved
    return B


# -- an exact factorisation nearby -----------------------------------------------------------------------------------


def nearby_factorisation(A: list[list[Number]], B: np.ndarray) -> Nearby | None:
    """The proof that A has an exact factorisation near BBᵀ ≈ A with as many atoms, or None if it does not work out."""
    n = len(B)
    approximate = np.array([[float(v) for v in row] for row in A])
    scale = np.sqrt(np.maximum(np.diag(approximate), 0.0))
    scale[scale == 0.0] = 1.0
    rows = _independent_rows(approximate / np.outer(scale, scale))
    r = len(rows)
    if r * (r + 1) // 2 > min(MANY_EQUATIONS, LARGEST_EQUATIONS):
        return None
    zero = scale[:, None] * ZERO >= B
    bases = _bases(A, rows, zero)
    if bases is None:
        return None
    V = [np.array([[float(v) for v in vector] for vector in basis]).T.reshape(n, len(basis)) for basis in bases]
    t = [np.linalg.lstsq(V_k, B[:, c], rcond=None)[0] if V_k.size else np.zeros(0) for c, V_k in enumerate(V)]
    support = np.array([V_k.any(axis=1) for V_k in V]).astype(int)
    reached = (support.T @ support) > 0
    equations = [(i, j) for a, i in enumerate(rows) for j in rows[a:] if reached[i, j]]
    ii, jj = np.array([e[0] for e in equations]), np.array([e[1] for e in equations])
    unit = 1.0 / (scale[ii] * scale[jj])
    last = np.inf
    for _ in range(20):
        b = [V_k @ t_k for V_k, t_k in zip(V, t, strict=True)]
        F = (sum(b_k[ii] * b_k[jj] for b_k in b) - approximate[ii, jj]) * unit
        J = np.hstack([V_k[ii] * b_k[jj, None] + b_k[ii, None] * V_k[jj] for V_k, b_k in zip(V, b, strict=True)])
        gram = (J * unit[:, None]) @ (J * unit[:, None]).T
        size = float(np.linalg.norm(F))
        if not np.isfinite(size) or size >= last / 2:
            break
        last = size
        multipliers = np.linalg.lstsq(gram, -F, rcond=1e-14)[0]
        step = (J * unit[:, None]).T @ multipliers
        t = np.split(np.concatenate(t) + step, np.cumsum([len(t_k) for t_k in t])[:-1])
    if J.shape[1] < len(F) or not np.isfinite(J).all() or np.linalg.cond(gram) > 1e13:
        return None
    inverse = np.linalg.inv(gram) * np.outer(unit, unit)
    M = _dyadic((inverse + inverse.T) / 2)
    columns = tuple(
        Column(tuple(tuple(v) for v in basis), tuple(Fraction(float(v)) for v in t_k))
        for basis, t_k in zip(bases, t, strict=True)
    )
    # ρ a few times the residual; the map is a contraction there if anything works at all.
    b = [V_k @ t_k for V_k, t_k in zip(V, t, strict=True)]
    residual = float(np.linalg.norm(sum(b_k[ii] * b_k[jj] for b_k in b) - approximate[ii, jj]))
    for factor in (4.0, 64.0, 4096.0):
        rho = Fraction(factor * max(residual, 1e-17 * float(abs(approximate).max()))).limit_denominator(2**120)
        proof = Nearby(tuple(rows), columns, M, rho)
        if accepted(A, proof):
            return proof
    return None


def _independent_rows(A: np.ndarray) -> list[int]:
    """Rows of a principal submatrix of full rank: Cholesky with pivots, rows of A with zeros first.

    An equation of a zero A_ij says nothing when no column reaches it, and is left out; outside I it would still be there,
    as a linear dependence between the others.
    """
    R = A.copy()
    zeros = (A == 0.0).sum(axis=1)
    rows: list[int] = []
    for smallest in (1e-3, 1e-9):
        for _ in range(len(A)):
            candidates = np.flatnonzero(R.diagonal() > smallest)
            if not len(candidates):
                break
            i = int(max(candidates, key=lambda i: (zeros[i], R[i, i])))
            rows.append(i)
            R = R - np.outer(R[i], R[i]) / R[i, i]
    return sorted(rows)


def _bases(A: list[list[Number]], rows: list[int], zero: np.ndarray) -> list[list[list[Number]]] | None:
    """For each column of `zero` a rational basis of the vectors in the range of A that vanish where it is true."""
    n = len(A)
    if len(rows) == n:
        return [[[int(i == j) for j in range(n)] for i in range(n) if not column[i]] for column in zero.T]
    C = solve([[A[i][j] for j in rows] for i in rows], [A[i] for i in rows])
    if C is None:
        return None
    bases: list[list[list[Number]]] = []
    for column in zero.T:
        kernel = _kernel([[C[a][i] for a in range(len(rows))] for i in range(n) if column[i]], len(rows))
        bases.append([
            [sum((C[a][i] * w[a] for a in range(len(rows))), start=Fraction(0)) for i in range(n)] for w in kernel
        ])  # fmt: skip
    return bases


def _kernel(rows: list[list[Fraction]], width: int) -> list[list[Fraction]]:
    """A rational basis of the kernel."""
    reduced: dict[int, list[Fraction]] = {}
    for row in rows:
        for pivot, other in reduced.items():
            if row[pivot]:
                row = [v - row[pivot] * w for v, w in zip(row, other, strict=True)]
        head = next((c for c, v in enumerate(row) if v), None)
        if head is None:
            continue
        row = [v / row[head] for v in row]
        for place, other in reduced.items():
            reduced[place] = [v - other[head] * w for v, w in zip(other, row, strict=True)]
        reduced[head] = row
    basis = []
    for free in range(width):
        if free not in reduced:
            vector = [Fraction(int(c == free)) for c in range(width)]
            for pivot, row in reduced.items():
                vector[pivot] = -row[free]
            basis.append(vector)
    return basis


def _dyadic(M: np.ndarray) -> tuple[tuple[Fraction, ...], ...]:
    """Rounded to 44 bits below the largest entry: short common denominators keep the check fast."""
    unit = 2.0 ** (np.floor(np.log2(abs(M).max())) - 44)
    factor = Fraction(unit)
    return tuple(tuple(round(float(v / unit)) * factor for v in row) for row in M)


# -- factors and a diagonally dominant rest --------------------------------------------------------------------------


def factors_and_rest(
    A: list[list[Number]], k: int, rng: np.random.Generator, seconds: float = 10.0
) -> tuple[int, Atoms] | None:
    """Rational atoms that leave a nonnegative, diagonally dominant rest: (number of all atoms, proof). None: not found."""
    approximate = np.array([[float(v) for v in row] for row in A])
    scale = np.sqrt(np.diag(approximate))
    if not scale.all():
        return None
    pattern = (approximate > 0) & ~np.eye(len(A), dtype=bool)
    dominant = (pattern + np.diag(1.0 + pattern.sum(axis=1))) / (1.0 + pattern.sum(axis=1).max())
    # Where A has zeros, products of what is nearly 0 would be in the way.
    smallest = 0.0 if approximate.all() else ZERO
    stop = time.monotonic() + seconds
    for epsilon in (1e-4, 1e-2, 1e-6):
        # Dominance is not invariant under scaling: the same R for all rows, small for the smallest.
        target = approximate - epsilon * dominant * scale.min() ** 2
        B = find_factors(target, k, rng, starts=3, seconds=seconds / 3)
        if B is not None:
            proof = Atoms(tuple(atom for column in B.T if (atom := _rounded_atom(column, scale, smallest)) is not None))
            if accepted(A, proof):
                return len(proof.atoms) + _rest_atoms(A, proof), proof
        if time.monotonic() > stop:
            break
    return None


def _rounded_atom(column: np.ndarray, scale: np.ndarray, smallest: float) -> Atom | None:
    unit = Fraction(2) ** (int(np.floor(np.log2(scale.max()))) - 44)
    rounded = ((i, round(Fraction(float(v)) / unit) * unit) for i, v in enumerate(column) if v > smallest * scale[i])
    entries = tuple((i, v) for i, v in rounded if v > 0)
    return Atom(1, entries) if entries else None


def _rest_atoms(A: list[list[Number]], proof: Atoms) -> int:
    """How many atoms the rest has: its nonzero pairs, and its rows that are more than dominant."""
    rest = [[Fraction(v) for v in row] for row in A]
    for atom in proof.atoms:
        for i, v in atom.entries:
            for j, w in atom.entries:
                rest[i][j] -= atom.weight * v * w
    n = len(A)
    pairs = sum(1 for i in range(n) for j in range(i) if rest[i][j])
    return pairs + sum(1 for i in range(n) if rest[i][i] != sum(rest[i]) - rest[i][i])


def accepted(A: list[list[Number]], proof: Upper) -> bool:
    """Whether the exact checker accepts the proof that A is completely positive."""
    try:
        check_rank_claim({"claim": "completely_positive", "A": as_json(A), "proof": as_json(proof)})
    except Rejected:
        return False
    return True
