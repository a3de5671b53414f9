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

from cpcert.rank.nearby import ZERO, accepted
from cpcert.rank.proofs import Atom, Atoms, Number

FOUND = 1e-10
# From this relative residual on Gauss-Newton steps are faster.
NEAR = 1e-6


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
