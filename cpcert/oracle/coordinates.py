"""Points in as few coordinates as their rank, with the price of the change proven.

When rank X̃ = r < n, the oracles run on x̂_i ∈ R^r with x_i = Q x̂_i + e_i, QᵀQ ≈ I in floating point, and

    γ(G; X̃) ≤ ‖Q‖ γ(G; X̂) + max(|a₊|, |a₋|) Σ_i ‖g_i‖ ‖e_i‖,      ‖Q‖² ≤ 1 + ‖QᵀQ − I‖_F.

Both corrections are bounded with their own rounding. With r = n nothing is changed and nothing is lost. See
docs/mathematics/coordinates.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpcert.oracle.spectral import row_norms
from cpcert.rounding import EPS


@dataclass(frozen=True, eq=False)
class Coordinates:
    """points: (N, r), x̂_i. basis: (n, r), Q. stretch: proven ≥ ‖Q‖. residual: (N,), proven ≥ ‖e_i‖.

    norm: proven ≥ ‖X̃‖_F.
    """

    points: np.ndarray
    basis: np.ndarray
    stretch: float
    residual: np.ndarray
    norm: float

    def lift(self, W: np.ndarray) -> np.ndarray:
        """Neurons (k, r) as unit rows in R^n (k, n)."""
        lifted = W @ self.basis.T
        return lifted / np.linalg.norm(lifted, axis=1, keepdims=True)

    def upper_bound(self, bound: float, G: np.ndarray, lipschitz: float) -> float:
        """A proven bound of γ(G; X̃) from a proven bound of γ(G; X̂); G (m, N)."""
        if self.stretch == 1.0 and not self.residual.any():
            return bound
        rest = float(row_norms(G.T) @ self.residual) * lipschitz
        return (bound * self.stretch + rest) * (1.0 + (2 * len(self.residual) + 2 * len(G) + 8) * EPS)


def coordinates(X_tilde: np.ndarray) -> Coordinates:
    """The coordinates of the columns of X̃ (n, N) in an orthonormal basis of their span, found by SVD."""
    n = len(X_tilde)
    left, singular, _ = np.linalg.svd(X_tilde, full_matrices=False)
    rank = max(int((singular > 1e-11 * singular[0]).sum()), 1)
    if rank == n:
        return unchanged(X_tilde)
    Q = np.ascontiguousarray(left[:, :rank])
    points = np.ascontiguousarray(X_tilde.T @ Q)
    E = X_tilde - Q @ points.T
    error = (rank + 3) * EPS * (np.abs(Q) @ np.abs(points.T) + np.abs(X_tilde))
    residual = np.linalg.norm(np.abs(E) + error, axis=0) * (1.0 + (n + 4) * EPS)
    defect = np.abs(Q.T @ Q - np.eye(rank)) + (n + 3) * EPS * (np.abs(Q.T) @ np.abs(Q) + np.eye(rank))
    stretch = 1.0 + 0.5 * float(np.linalg.norm(defect)) * (1.0 + (rank * rank + 4) * EPS) + EPS
    return Coordinates(points, Q, stretch, residual, _size(X_tilde))


def unchanged(X_tilde: np.ndarray) -> Coordinates:
    """The columns of X̃ (n, N) as they are."""
    n, N = X_tilde.shape
    return Coordinates(np.ascontiguousarray(X_tilde.T), np.eye(n), 1.0, np.zeros(N), _size(X_tilde))


def _size(X_tilde: np.ndarray) -> float:
    """Proven ≥ ‖X̃‖_F."""
    return float(np.linalg.norm(X_tilde)) * (1.0 + (X_tilde.size + 4) * EPS)
