"""Completely positive factorisations A = BBᵀ, B ≥ 0 (n, k): a search in floating point, and three ways to make it exact.

A small residual proves nothing: A may lie just outside the cone. Proofs (`cpcert.certificate.rank_check`):

- an exact factorisation with the same k and the same zeros exists near B (`nearby.py`). Works for singular A too. The
  price is an inverse of order r(r + 1)/2.
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
# Eigenvalues below this part of the largest are 0.
RANK = 1e-12


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
    H = _root(unit)
    stop = time.monotonic() + seconds
    for _ in range(starts):
        B = np.maximum(H @ _descend(H, k, rng, floor), 0.0)
        if relative_residual(unit, B) < 1e-5:
            B = _corrected(unit, B)
            if relative_residual(unit, B) <= FOUND:
                B = B * scale[:, None]
                if relative_residual(A, B) <= FOUND:
                    return B
        if time.monotonic() > stop:
            break
    return None


def _root(A: np.ndarray) -> np.ndarray:
    """H (n, r) with A = HHᵀ, r the rank in floating point."""
    values, vectors = np.linalg.eigh(A)
    positive = values > RANK * values[-1]
    return vectors[:, positive] * np.sqrt(values[positive])


def _descend(H: np.ndarray, k: int, rng: np.random.Generator, floor: float) -> np.ndarray:
    """T (r, k) with little of ‖TTᵀ − 1‖²/4 + ‖min(HT − floor, 0)‖²/2, from a random start; by L-BFGS.

    Every factor of A = HHᵀ is HT with TTᵀ = 1. Entries above the floor cost nothing, so inside the cone the minimum 0 is
    attained on a set with interior, and few steps reach it.
    """
    from scipy.optimize import minimize

    r = H.shape[1]
    start = np.linalg.lstsq(H, np.abs(rng.standard_normal((len(H), k))), rcond=None)[0]
    U, _, Vt = np.linalg.svd(start, full_matrices=False)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        T = x.reshape(r, k)
        G = T @ T.T
        G[np.diag_indices(r)] -= 1.0
        below = np.minimum(H @ T - floor, 0.0)
        return 0.25 * float(np.vdot(G, G)) + 0.5 * float(np.vdot(below, below)), (G @ T + H.T @ below).ravel()

    options = {"maxiter": 600, "maxfun": 1000, "ftol": 0.0, "gtol": 1e-13, "maxcor": 20}
    return minimize(objective, (U @ Vt).ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(r, k)


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
