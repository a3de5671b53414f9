"""A primal-dual interior-point method for the relaxation of relaxation.py: small, dense, and only a source of hints.

    maximise ⟨C, Y⟩   over Y ⪰ 0, ⟨B_0, Y⟩ = 1, ⟨B_i, Y⟩ = 0 (i = 1 … u), p_aᵀYp_b ≥ 0 for the pairs (a, b) of rows of F,
    minimise ρ        over Z = ρB_0 + Σ λ_iB_i − C − Σ_{a<b} ν_ab (p_ap_bᵀ + p_bp_aᵀ)/2 ⪰ 0, ν ≥ 0,

B_0 = I_w, B_i = e_i e_iᵀ − x_i x_iᵀ. Newton steps on YZ = τI, s_ab ν_ab = τ (s the slacks of the inequalities) in the scaling of
Nesterov and Todd: with Y = L_yL_yᵀ, Z = L_zL_zᵀ and L_zᵀL_y = U diag(d) Vᵀ, R = diag(d)^(−½) Uᵀ L_zᵀ maps both Y (as RYRᵀ) and Z to
diag(d), and A = RᵀR. In dy = svec dY, of length T, a step solves M dy + Bᵀd(ρ, λ) = rhs, B dy = rhs with

    M = (dY ↦ A dY A) + Σ_{a<b} (ν_ab/s_ab) svec(p_ap_bᵀ) svec(p_ap_bᵀ)ᵀ.

The sum goes through V[a, (i,k)] = F_ai F_ak, since Σ D_ab (F_ai F_ak)(F_bj F_bl) = (VᵀDV)[(i,k), (j,l)]: an iteration costs
O(T³ + fT²) for f forms, however many pairs there are. Mehrotra's predictor and corrector; an infeasible start.

(General conic solvers take several times as long on these problems, and may abort on very thin cones.)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs, dtrtrs

ITERATIONS = 60
STEP = 0.97


class _Index(NamedTuple):
    """Where the entries of svec sit, for matrices of order d. svec Y = (Y_ii, √2 Y_ij for i > j)."""

    row: np.ndarray
    column: np.ndarray
    weight: np.ndarray  # √2 off the diagonal, 1 on it
    factor: np.ndarray  # outer product of (√½ off the diagonal, ½ on it) with itself
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # positions (i,k), (j,l), (i,l), (j,k)
    cone: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # the same in a flattened d × d matrix


@lru_cache(maxsize=48)
def _index(d: int) -> _Index:
    row, column = np.tril_indices(d)
    place = np.zeros((d, d), dtype=np.int32)
    place[row, column] = place[column, row] = np.arange(len(row))
    half = np.where(row == column, 0.5, np.sqrt(0.5))
    flat = np.arange(d * d, dtype=np.int32).reshape(d, d)

    def four(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return (
            table[np.ix_(row, row)],
            table[np.ix_(column, column)],
            table[np.ix_(row, column)],
            table[np.ix_(column, row)],
        )

    weight = np.where(row == column, 1.0, np.sqrt(2.0))
    return _Index(row, column, weight, np.outer(half, half), four(place), four(flat))


def maximise(
    C: np.ndarray, F: np.ndarray, allowed: np.ndarray, X: np.ndarray, witness: np.ndarray, tolerance: float
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Approximate solutions of both problems: (ρ, λ (u,), ν (f, f) symmetric, Y (d, d)).

    C (d, d); F (f, d); allowed (f, f): symmetric, 1.0 for the pairs; X (u, r): the x_i; witness (r,): a point in the cone. Stops
    when gap and residuals are below `tolerance`, or earlier when it is clear on which side of 1 the value lies.
    """
    d, (u, r), f = len(C), X.shape, len(F)
    index = _index(d)
    row, column, weight = index.row, index.column, index.weight

    def svec(A: np.ndarray) -> np.ndarray:
        return A[row, column] * weight

    def smat(v: np.ndarray) -> np.ndarray:
        A = np.empty((d, d))
        A[row, column] = A[column, row] = v / weight
        return A

    def products(A: np.ndarray) -> np.ndarray:
        P = F @ A @ F.T
        return 0.5 * (P + P.T)

    equalities = np.zeros((1 + u, d, d))
    equalities[0, np.arange(r), np.arange(r)] = 1.0
    equalities[1:, :r, :r] = -X[:, :, np.newaxis] * X[:, np.newaxis, :]
    equalities[1 + np.arange(u), r + np.arange(u), r + np.arange(u)] = 1.0
    B = equalities[:, row, column] * weight
    V = F[:, row] * F[:, column]
    n = d + 0.5 * float(allowed.sum())
    masked = 1.0 - allowed

    # A start that satisfies the equalities: half the witness, half a multiple of the identity in w.
    unit = witness / np.linalg.norm(witness)
    lifted = np.concatenate([unit, np.abs(X @ unit)])
    spread = np.concatenate([np.ones(r), np.einsum("ij,ij->i", X, X)]) / r
    Y = 0.5 * np.outer(lifted, lifted) + 0.5 * np.diag(spread)
    mu = np.zeros(1 + u)
    mu[0] = np.sum(C * Y)
    tau = max(mu[0], 1e-3) / d
    S = products(Y)
    S = np.maximum(S, 0.1 * S.diagonal().max(initial=1e-3)) * allowed + masked
    N = tau / S * allowed
    Z = tau * np.linalg.inv(Y)
    best, kept = np.inf, (mu, N, Y)
    for _ in range(ITERATIONS):
        slack = (products(Y) - S) * allowed
        rb = -(B @ svec(Y))
        rb[0] += 1.0
        sums = smat(mu @ B)
        residual = sums - C - 0.5 * (F.T @ N @ F) - Z
        value = float(np.sum(C * Y))
        gap = float(np.sum(Y * Z)) + 0.5 * float(np.sum(S * N))
        tau = gap / n
        primal = max(np.abs(slack).max(initial=0.0), np.abs(rb).max())
        dual = np.abs(residual).max()
        scale = max(1.0, abs(mu[0]))
        merit = (abs(mu[0] - value) + dual) / scale + primal
        below = dual <= 1e-7 and mu[0] <= 0.98
        above = primal <= 1e-7 and dual <= 1e-5 * scale and value > 1.001 and mu[0] - value <= 0.02 * mu[0]
        if merit < best or below or above:
            best, kept = merit, (mu, N, Y)
        if merit <= tolerance or below or above or merit > 1e3 * best:
            break
        LY, failed_y = dpotrf(Y, lower=1)
        LZ, failed_z = dpotrf(Z, lower=1)
        if failed_y or failed_z:
            break
        left, spectrum, _ = np.linalg.svd(LZ.T @ LY)
        R = (left.T @ LZ.T) / np.sqrt(spectrum)[:, np.newaxis]
        A = R.T @ R
        D = N / S
        Q = V.T @ (D @ V)
        ik, jl, il, jk = index.pairs
        M = Q[ik, jl] + Q[il, jk]
        flat = A.ravel()
        ik, jl, il, jk = index.cone
        M += 2.0 * (flat[ik] * flat[jl] + flat[il] * flat[jk])
        M *= index.factor
        # Jacobi scaling, and a ridge that grows until the factorisation succeeds; refinement takes its effect back.
        jacobi = 1.0 / np.sqrt(M.diagonal())
        scaled = M * jacobi[:, np.newaxis] * jacobi
        ridge = 1e-15
        while True:
            np.fill_diagonal(scaled, 1.0 + ridge)
            L, failed = dpotrf(scaled, lower=1)
            if not failed or ridge > 1e-6:
                break
            ridge *= 30.0
        if failed:
            break

        def solve(
            right: np.ndarray, L: np.ndarray = L, M: np.ndarray = M, jacobi: np.ndarray = jacobi
        ) -> np.ndarray:
            x = (dpotrs(L, right.T * jacobi[:, np.newaxis], lower=1)[0] * jacobi[:, np.newaxis]).T
            rest = right - x @ M
            return x + (dpotrs(L, rest.T * jacobi[:, np.newaxis], lower=1)[0] * jacobi[:, np.newaxis]).T

        W = solve(B)
        schur = B @ W.T
        curve, bend, aim = np.zeros((d, d)), 0.0, 0.0
        for phase in range(2):
            pull = (aim / S - D * slack - bend) * allowed
            K = R.T @ ((aim * np.eye(d) - curve) * (2.0 / (spectrum[:, np.newaxis] + spectrum))) @ R
            right = C - sums + 0.5 * (F.T @ pull @ F) + K
            v = solve(svec(0.5 * (right + right.T))[np.newaxis])[0]
            dmu = np.linalg.solve(schur, B @ v - rb)
            dY = smat(v - dmu @ W)
            dS = (products(dY) + slack) * allowed
            dN = (aim / S - N - bend - D * dS) * allowed
            dZ = K - Z - A @ dY @ A
            dZ = 0.5 * (dZ + dZ.T)
            alpha = min(1.0, STEP * _room(LY, dY), STEP * _entry_room(S, dS))
            beta = min(1.0, STEP * _room(LZ, dZ), STEP * _entry_room(N, dN))
            if phase == 0:
                # The corrector's second-order terms; in the scaled space Y and Z are both diag(spectrum).
                after = float(np.sum((Y + alpha * dY) * (Z + beta * dZ)))
                after += 0.5 * float(np.sum((S + alpha * dS) * (N + beta * dN) * allowed))
                aim = tau * min(1.0, max(after / gap, 1e-6)) ** 3
                move = R @ dY @ R.T
                product = move @ (np.diag(spectrum) + move)
                curve = -0.5 * (product + product.T)
                bend = dN * dS / S
        if not (alpha > 1e-8 and beta > 1e-8):
            break
        Y, S = Y + alpha * dY, S + alpha * dS
        Z, N, mu = Z + beta * dZ, N + beta * dN, mu + beta * dmu
    mu, N, Y = kept
    return float(mu[0]), mu[1:], N, Y


def _room(L: np.ndarray, direction: np.ndarray) -> float:
    """The largest α ≤ 10⁶ with LLᵀ + α·direction ⪰ 0."""
    A = dtrtrs(L, direction, lower=1)[0]
    A = dtrtrs(L, A.T, lower=1)[0]
    lowest = float(np.linalg.eigvalsh(A)[0])
    return 1e6 if lowest >= -1e-6 else -1.0 / lowest


def _entry_room(values: np.ndarray, direction: np.ndarray) -> float:
    """The largest α ≤ 10⁶ with values + α·direction ≥ 0 entry by entry, where the direction is negative."""
    falling = direction < 0.0
    if not falling.any():
        return 1e6
    return min(1e6, float((-values[falling] / direction[falling]).min()))
