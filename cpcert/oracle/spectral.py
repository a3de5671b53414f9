"""Proven operator norms, and the bounds of γ(G) = max over ‖w‖ ≤ 1 of ‖Gσ(X̃ᵀw)‖₂ that follow from them at once.

With ā = (a₊ + a₋)/2, σ(s) = ās + ½(a₊ − a₋)|s|. Taking norms, for every positive diagonal D,

    γ(G) ≤ |ā| ‖GX̃ᵀ‖_op + ½|a₊ − a₋| ‖GD⁻¹‖_op ‖DX̃ᵀ‖_op,                                                    (1)
    γ(G) ≤ max(|a₊|, |a₋|) Σ_i ‖g_i‖ ‖x_i‖,                                                                  (2)
    γ(g) ≤ max(γ(g⁺), γ(g⁻))   for one output g = g⁺ − g⁻, g⁺, g⁻ ≥ 0, and σ ≥ 0, each bounded by (1) or (2).    (3)

(1) with D = I is exact for a linear network, and for X̃ = I with the optimal G of Prop. 14. Points with g_i = 0 or x_i
= 0 take no part. D is the identity, or the powers of two next to (‖g_i‖/‖x_i‖)^½.

A norm, ‖A‖² ≤ t, is proven by a Cholesky factorisation of tI − AAᵀ, less an allowance, that runs to its end in floating
point (Demmel 1989; Rump 2006): docs/mathematics/spectral.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpcert.activations import Activation
from cpcert.compiled import njit
from cpcert.rounding import EPS

# Added to bounds that underflow could have touched; far below the rounding of any bound that means something.
TINY = 2.0**-1000


@dataclass(frozen=True, eq=False)
class SpectralProof:
    """Why γ(G) ≤ bound.

    kind "norms": inequality (1). exponents: (N,) int, D = diag(2^exponents); linear_norm ≥ ‖GX̃ᵀ‖, G_norm ≥ ‖GD⁻¹‖ and
    X_norm ≥ ‖DX̃ᵀ‖ over the points with g_i ≠ 0 ≠ x_i, each proven. kind "triangle": (2). kind "signs": (3), parts
    are the proofs for g⁺ and g⁻.
    """

    kind: str
    bound: float
    exponents: np.ndarray | None = None
    linear_norm: float = 0.0
    G_norm: float = 0.0
    X_norm: float = 0.0
    parts: tuple[SpectralProof, ...] = ()


@njit(cache=True)
def cholesky(T):
    """Overwrite the lower triangle of the symmetric T by its Cholesky factor. False if a pivot is not positive."""
    k = T.shape[0]
    for j in range(k):
        for i in range(j, k):
            s = T[i, j]
            for p in range(j):
                s -= T[i, p] * T[j, p]
            if i == j:
                if not s > 0.0:
                    return False
                T[j, j] = np.sqrt(s)
            else:
                T[i, j] = s / T[j, j]
    return True


def operator_norm(A: np.ndarray, error: float = 0.0) -> float:
    """A proven upper bound of ‖A + E‖_op for the exact numbers of A (p, q) and any E with ‖E‖_F ≤ error."""
    largest = float(np.abs(A).max(initial=0.0))
    if largest == 0.0:
        return error
    if not np.isfinite(largest):
        return float("inf")
    exponent = int(np.frexp(largest)[1])
    B = np.ldexp(A if A.shape[0] <= A.shape[1] else A.T, -exponent)
    k, n = B.shape
    gram = B @ B.T
    gram = 0.5 * (gram + gram.T)
    allowance = (n + 2) * EPS * float(np.linalg.norm(np.abs(B) @ np.abs(B).T)) * (1.0 + (n + k * k + 8) * EPS)
    top = float(np.linalg.eigvalsh(gram)[-1])
    slack = (k + 4) * EPS * top
    while True:
        t = top + slack
        T = t * np.eye(k) - gram
        trace = float(np.trace(T))
        if cholesky(T):
            break
        slack *= 2.0
    square = t + (k + 6) * EPS * (t + max(trace, 0.0)) + allowance
    return float(np.ldexp(np.sqrt(square) * (1.0 + 4.0 * EPS), exponent)) + error * (1.0 + 2.0 * EPS)


def row_norms(A: np.ndarray) -> np.ndarray:
    """Proven upper bounds of the Euclidean norms of the rows of A (p, q); 0 for a row of zeros."""
    largest = np.abs(A).max(axis=1, initial=0.0)
    exponents = np.frexp(largest)[1]
    scaled = np.ldexp(A, -exponents[:, np.newaxis])
    norms = np.sqrt(np.einsum("ij,ij->i", scaled, scaled)) * (1.0 + (A.shape[1] + 4) * EPS)
    return np.ldexp(norms, exponents)


def spectral_bound(points: np.ndarray, G: np.ndarray, activation: Activation) -> tuple[float, SpectralProof]:
    """A proven bound of γ(G) in microseconds, and why: the smallest of (1), (2) and (3).

    points (N, r), rows x_i; G (m, N): exact float64 numbers.
    """
    proofs = _norm_proofs(points, G, activation)
    if len(G) == 1 and min(activation.a_plus, -activation.a_minus) >= 0.0 and G.min() < 0.0 < G.max():
        parts = tuple(
            min(_norm_proofs(points, np.maximum(sign * G, 0.0), activation), key=lambda proof: proof.bound)
            for sign in (1.0, -1.0)
        )
        proofs.append(SpectralProof("signs", max(part.bound for part in parts), parts=parts))
    best = min(proofs, key=lambda proof: proof.bound)
    return best.bound, best


def _norm_proofs(points: np.ndarray, G: np.ndarray, activation: Activation) -> list[SpectralProof]:
    """(2), and (1) for both choices of D."""
    N = len(points)
    g_norms, x_norms = row_norms(G.T), row_norms(points)
    keep = (g_norms > 0.0) & (x_norms > 0.0)
    if not keep.any() or activation.lipschitz == 0.0:
        return [SpectralProof("triangle", 0.0)]
    total = float(g_norms[keep] @ x_norms[keep]) * activation.lipschitz * (1.0 + (N + 4) * EPS) + TINY
    proofs = [SpectralProof("triangle", total)]
    G, points = G[:, keep], points[keep]
    mean, half = 0.5 * abs(activation.a_plus + activation.a_minus), 0.5 * abs(activation.kink)
    product = G @ points
    absolute = np.abs(G) @ np.abs(points)
    error = (N + 2) * EPS * float(row_norms(row_norms(absolute)[np.newaxis])[0])
    linear_norm = operator_norm(product, error * (1.0 + (N + product.size + 8) * EPS) + TINY)
    balanced = np.zeros(N, np.int64)
    balanced[keep] = np.rint(0.5 * (np.log2(g_norms[keep]) - np.log2(x_norms[keep]))).astype(np.int64)
    balanced[keep] -= int(np.median(balanced[keep]))
    for exponents in [np.zeros(N, np.int64)] + [balanced] * bool(half and np.ptp(balanced[keep])):
        e = exponents[keep]
        G_norm = operator_norm(np.ldexp(G, -e))
        X_norm = operator_norm(np.ldexp(points, e[:, np.newaxis]))
        bound = (mean * linear_norm + half * G_norm * X_norm) * (1.0 + 8.0 * EPS) + TINY
        proofs.append(SpectralProof("norms", bound, exponents, linear_norm, G_norm, X_norm))
    return proofs
