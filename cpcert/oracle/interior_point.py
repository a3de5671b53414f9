"""A primal-dual interior-point method for the relaxation of relaxation.py: small, dense, and only a source of hints.

    maximise ⟨C, Y⟩   over Y ⪰ 0, ⟨B_0, Y⟩ = 1, ⟨B_i, Y⟩ = 0 (i = 1 … u), p_aᵀYp_b ≥ 0 for the pairs (a, b) of rows of F,
    minimise ρ        over Z = ρB_0 + Σ λ_iB_i − C − Σ_{a<b} ν_ab (p_ap_bᵀ + p_bp_aᵀ)/2 ⪰ 0, ν ≥ 0,

B_0 = I_w, B_i = e_i e_iᵀ − x_i x_iᵀ. One Newton step on YZ = τI, s_ab ν_ab = τ (s the slack of the inequalities) with Z linearised
as τY⁻¹ − Z dY Y⁻¹, symmetrised (the direction of Helmberg, Kojima and Monteiro with the roles of Y and Z exchanged), leads
to M dy + Bᵀd(ρ, λ) = rhs, B dy = rhs for dy = svec dY, T = d(d+1)/2, M = (dY ↦ Z dY Y⁻¹) + Pᵀ diag(ν/s) P. The sum over the pairs
is done through V[a, (i,k)] = F_ai F_ak: Σ D_ab (F_ai F_ak)(F_bj F_bl) = (VᵀDV)[(i,k), (j,l)], so that an iteration costs
O(T³ + fT²) for f forms, whatever the number of pairs. Mehrotra's predictor and corrector; no feasible start is needed.

The general solvers at hand spend ten times as long on these problems, or panic on thin cones.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

ITERATIONS = 60
INFINITE = 1e300
STEP = 0.97


@njit(cache=True)
def _step_length(L, dY):
    """The largest α ≤ 1e6 with LLᵀ + α dY ⪰ 0."""
    A = np.linalg.solve(L, dY)
    A = np.linalg.solve(L, A.T.copy())
    A = 0.5 * (A + A.T)
    lowest = np.linalg.eigvalsh(A)[0]
    return 1e6 if lowest >= -1e-6 else -1.0 / lowest


@njit(cache=True)
def _matrix(v, row, column, factor, d):
    """The symmetric matrix with svec v."""
    A = np.empty((d, d))
    for t in range(v.shape[0]):
        a = v[t] * factor[t]
        A[row[t], column[t]] = a
        A[column[t], row[t]] = a
    return A


@njit(cache=True)
def _vector(A, row, column, factor):
    """svec of a symmetric matrix."""
    v = np.empty(row.shape[0])
    for t in range(row.shape[0]):
        v[t] = A[row[t], column[t]] * (1.0 if row[t] == column[t] else 2.0 * factor[t])
    return v


@njit(cache=True)
def _products(F, A, FT):
    """FAFᵀ, exactly symmetric."""
    S = np.dot(np.dot(F, A), FT)
    return 0.5 * (S + S.T)


@njit(cache=True)
def _solve(M, L, upper, jacobi, B):
    """M⁻¹B, B (T, k), from the factor LLᵀ ≈ diag(jacobi) M diag(jacobi), upper = Lᵀ; refined once."""
    T = L.shape[0]
    X = np.zeros(B.shape)
    R = B * jacobi.reshape(-1, 1)
    for turn in range(2):
        for i in range(T):
            if i > 0:
                R[i] -= np.dot(L[i, :i], R[:i])
            R[i] /= L[i, i]
        for i in range(T - 1, -1, -1):
            if i < T - 1:
                R[i] -= np.dot(upper[i, i + 1 :], R[i + 1 :])
            R[i] /= L[i, i]
        X += R * jacobi.reshape(-1, 1)
        if turn == 0:
            R = (B - np.dot(M, X)) * jacobi.reshape(-1, 1)
    return X


@njit(cache=True)
def _normal_matrix(A, Q, row, column, factor, place):
    """M of the module's docstring; Q = VᵀDV."""
    T = row.shape[0]
    M = np.empty((T, T))
    for t in range(T):
        i = row[t]
        j = column[t]
        ft = factor[t] if i != j else 0.5
        for q in range(t + 1):
            k = row[q]
            l = column[q]
            fq = factor[q] if k != l else 0.5
            pairs = Q[place[i, k], place[j, l]] + Q[place[i, l], place[j, k]]
            cone = A[i, k] * A[j, l] + A[i, l] * A[j, k]
            v = ft * fq * (pairs + 2.0*cone)
            M[t, q] = v
            M[q, t] = v
    return M


@njit(cache=True)
def maximise(C, F, allowed, X, witness, tolerance):
    """Approximate solutions of both problems: (ρ, λ (u,), ν (f, f), Y (d, d), iterations).

    C (d, d); F (f, d); allowed (f, f): symmetric, 1 for the pairs; X (u, r): the x_i; witness (r,): a point in the cone. Stops
    when gap and residuals are below `tolerance`, or earlier when it is clear on which side of 1 the value lies.
    """
    d = C.shape[0]
    u, r = X.shape
    f = F.shape[0]
    T = d * (d + 1) // 2
    row = np.empty(T, np.int64)
    column = np.empty(T, np.int64)
    factor = np.empty(T)
    place = np.empty((d, d), np.int64)
    t = 0
    for i in range(d):
        for j in range(i + 1):
            row[t] = i
            column[t] = j
            factor[t] = math.sqrt(0.5) if i != j else 1.0
            place[i, j] = t
            place[j, i] = t
            t += 1
    V = np.empty((f, T))
    for a in range(f):
        for t in range(T):
            V[a, t] = F[a, row[t]] * F[a, column[t]]
    VT = V.T.copy()
    FT = F.T.copy()
    # The rows of B, as svec.
    B = np.zeros((1 + u, T))
    for i in range(r):
        B[0, place[i, i]] = 1.0
    for q in range(u):
        B[1 + q, place[r + q, r + q]] = 1.0
        for i in range(r):
            for j in range(i + 1):
                B[1 + q, place[i, j]] = -X[q, i] * X[q, j] / (factor[place[i, j]] if i != j else 1.0)
    BT = B.T.copy()
    b = np.zeros(1 + u)
    b[0] = 1.0
    c = _vector(C, row, column, factor)
    # A start that satisfies the equalities: half the witness, half a multiple of the identity in w.
    lifted = np.empty(d)
    length = math.sqrt(np.sum(witness * witness))
    for i in range(r):
        lifted[i] = witness[i] / length
    for q in range(u):
        s = 0.0
        for i in range(r):
            s += X[q, i] * lifted[i]
        lifted[r + q] = abs(s)
    Y = 0.5 * np.outer(lifted, lifted)
    for i in range(r):
        Y[i, i] += 0.5 / r
    for q in range(u):
        s = 0.0
        for i in range(r):
            s += X[q, i] * X[q, i]
        Y[r + q, r + q] += 0.5 * s / r
    start = np.sum(C * Y)
    pairs = 0.5 * np.sum(allowed)
    tau = max(start, 1e-3) / d
    slack = np.dot(np.dot(F, Y), FT)
    size = 0.1 * np.max(np.diag(slack)) if f > 0 else 1.0
    S = np.maximum(slack, size) * allowed + (1.0 - allowed)
    N = tau / S * allowed
    Z = tau * np.linalg.inv(Y)
    mu = np.zeros(1 + u)
    mu[0] = start
    iteration = 0
    best = INFINITE
    kept_mu, kept_N, kept_Y = mu.copy(), N.copy(), Y.copy()
    for iteration in range(ITERATIONS):
        slack = _products(F, Y, FT)
        rp = (slack - S) * allowed
        PN = 0.5 * np.dot(np.dot(FT, N), F)
        y = _vector(Y, row, column, factor)
        rb = b - np.dot(B, y)
        BTmu = _matrix(np.dot(BT, mu), row, column, factor, d)
        rd = BTmu - C - PN - Z
        value = np.sum(C * Y)
        gap = np.sum(Y * Z) + 0.5 * np.sum(S * N * allowed)
        tau = gap / (d + pairs)
        primal = np.max(np.abs(rp)) if f > 0 else 0.0
        primal = max(primal, np.max(np.abs(rb)))
        dual = np.max(np.abs(rd))
        scale = max(1.0, abs(mu[0]))
        merit = (abs(mu[0] - value) + dual) / scale + primal
        if merit < best:
            best = merit
            kept_mu, kept_N, kept_Y = mu.copy(), N.copy(), Y.copy()
        elif merit > 1e3 * best:
            break
        if merit <= tolerance:
            break
        below = dual <= 1e-7 and mu[0] <= 0.98
        above = primal <= 1e-7 and dual <= 1e-5 * scale and value > 1.001 and mu[0] - value <= 0.02 * mu[0]
        if below or above:
            kept_mu, kept_N, kept_Y = mu, N, Y
            break
        LY = Y
        LZ = Z
        ok = True
        try:
            LY = np.linalg.cholesky(Y)
            LZ = np.linalg.cholesky(Z)
        except Exception:
            ok = False
        if not ok:
            break
        left, spectrum, _ = np.linalg.svd(np.dot(LZ.T.copy(), LY))
        root = np.sqrt(spectrum)
        inverse = np.dot(left.T.copy() / root.reshape(-1, 1), LZ.T.copy())
        scaling = np.dot(inverse.T.copy(), inverse)
        D = N / S * allowed
        Q = np.dot(VT, np.dot(D, V))
        M = _normal_matrix(scaling, Q, row, column, factor, place)
        # Jacobi scaling, and a ridge that grows until the factorisation succeeds; refinement takes its effect back.
        jacobi = 1.0 / np.sqrt(np.diag(M))
        scaled = M * jacobi.reshape(-1, 1) * jacobi
        L = scaled
        ridge = 1e-15
        while ridge < 1e-6:
            trial = scaled.copy()
            for t in range(T):
                trial[t, t] += ridge
            try:
                L = np.linalg.cholesky(trial)
                break
            except Exception:
                ridge *= 30.0
        if ridge >= 1e-6:
            break
        upper = L.T.copy()
        W = _solve(M, L, upper, jacobi, BT)
        schur = np.dot(B, W)
        base = C - BTmu
        dY = np.zeros((d, d))
        dZ = np.zeros((d, d))
        dS = np.zeros((f, f))
        dN = np.zeros((f, f))
        dmu = np.zeros(1 + u)
        alpha = 1.0
        beta = 1.0
        aim = 0.0
        for phase in range(2):
            if phase == 1:
                # The corrector: second-order terms of the predictor.
                after = np.sum((Y + alpha * dY) * (Z + beta * dZ))
                after += 0.5 * np.sum((S + alpha * dS) * (N + beta * dN) * allowed)
                aim = tau * min(1.0, max(after / gap, 1e-6)) ** 3
                # In the scaled space both Y and Z are diag(spectrum).
                move = np.dot(np.dot(inverse, dY), inverse.T.copy())
                product = np.dot(move, -np.diag(spectrum) - move)
                curve = 0.5 * (product + product.T)
                bend = dN * dS / S * allowed
            else:
                curve = np.zeros((d, d))
                bend = np.zeros((f, f))
            pull = (aim / S - D * rp - bend) * allowed
            K = -curve
            for i in range(d):
                K[i, i] += aim
            for i in range(d):
                for j in range(d):
                    K[i, j] *= 2.0 / (spectrum[i] + spectrum[j])
            K = np.dot(np.dot(inverse.T.copy(), K), inverse)
            rhs = base + 0.5 * np.dot(np.dot(FT, pull), F) + K
            v = np.empty((T, 1))
            v[:, 0] = _vector(rhs, row, column, factor)
            v = _solve(M, L, upper, jacobi, v)
            dmu = np.linalg.solve(schur, np.dot(B, v[:, 0].copy()) - rb)
            dY = _matrix(v[:, 0] - np.dot(W, dmu), row, column, factor, d)
            dS = _products(F, dY, FT)
            dS = (dS + rp) * allowed
            dN = (aim / S - N - bend) * allowed - D * dS
            dZ = K - Z - np.dot(np.dot(scaling, dY), scaling)
            dZ = 0.5 * (dZ + dZ.T)
            alpha = _step_length(LY, dY)
            beta = _step_length(LZ, dZ)
            for a in range(f):
                for e in range(a):
                    if allowed[a, e] != 0.0:
                        if dS[a, e] < 0.0:
                            alpha = min(alpha, -S[a, e] / dS[a, e])
                        if dN[a, e] < 0.0:
                            beta = min(beta, -N[a, e] / dN[a, e])
            alpha = min(1.0, STEP * alpha)
            beta = min(1.0, STEP * beta)
        if not (alpha > 1e-8 and beta > 1e-8):
            break
        Y += alpha * dY
        S += alpha * dS
        Z += beta * dZ
        N += beta * dN
        mu += beta * dmu
    return kept_mu[0], kept_mu[1:].copy(), kept_N, kept_Y, iteration
