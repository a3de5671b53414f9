"""A primal-dual interior-point method for the relaxation of relaxation.py: small, dense, and only a source of hints.

    maximise ⟨C, Y⟩   over Y ⪰ 0, ⟨B_0, Y⟩ = 1, ⟨B_i, Y⟩ = 0 (i = 1 … u), p_aᵀYp_b ≥ 0 for the pairs (a, b) of rows of F,
    minimise ρ        over Z = ρB_0 + Σ λ_iB_i − C − Σ_{a<b} ν_ab (p_ap_bᵀ + p_bp_aᵀ)/2 ⪰ 0, ν ≥ 0,

B_0 = I_w, B_i = e_i e_iᵀ − x_i x_iᵀ. Newton steps on YZ = τI, s_ab ν_ab = τ (s the slacks of the inequalities) in the
scaling of Nesterov and Todd, Mehrotra's predictor and corrector, an infeasible start. In dy = svec dY, of length T, a
step solves M dy + Bᵀd(ρ, λ) = rhs, B dy = rhs with

    M = (dY ↦ A dY A) + Σ_{a<b} (ν_ab/s_ab) svec(p_ap_bᵀ) svec(p_ap_bᵀ)ᵀ,

A = RᵀR from the scaling; the sum goes through V[a, (i,k)] = F_ai F_ak, so that an iteration costs O(T³ + fT²) for f
forms, however many pairs there are. Compiled loops instead of a general conic solver: several times faster at these
sizes, and it never aborts on a thin cone. docs/mathematics/cells.md has the details.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cpcert.compiled import njit
from cpcert.oracle.small_matrices import (
    backward,
    cholesky,
    congruence,
    entry_room,
    forward,
    inner,
    jacobi_eigen,
    refined_solve,
    room_in_cone,
    smat,
    svec,
)

ITERATIONS = 60
STEP = 0.97
INFINITE = 1e300


class _Program(NamedTuple):
    """The two problems of the module's docstring. B (1 + u, T): the rows svec B_i. V (f, T): see there."""

    C: np.ndarray
    F: np.ndarray
    allowed: np.ndarray
    B: np.ndarray
    V: np.ndarray


class _Point(NamedTuple):
    """An iterate, or a step from it: Y, Z (d, d), the slacks S and multipliers ν of the inequalities N (f, f), μ = (ρ, λ)."""

    Y: np.ndarray
    Z: np.ndarray
    S: np.ndarray
    N: np.ndarray
    mu: np.ndarray


class _Residual(NamedTuple):
    """What is violated: slack (f, f), equalities (1 + u,); sums: ρB_0 + Σλ_iB_i (d, d); gap: ⟨Y, Z⟩ + ⟨S, N⟩ over the pairs;
    primal, dual: the largest entries; Z: what Z should be (d, d)."""

    slack: np.ndarray
    equalities: np.ndarray
    sums: np.ndarray
    Z: np.ndarray
    gap: float
    primal: float
    dual: float


class _Newton(NamedTuple):
    """What both solutions of a step share. LY, LZ: factors of Y and Z; R, A, spectrum: the scaling; D = N/S; M, LM, jacobi: the
    matrix and its scaled factor; W = M⁻¹B; LS: the factor of BW."""

    LY: np.ndarray
    LZ: np.ndarray
    R: np.ndarray
    A: np.ndarray
    spectrum: np.ndarray
    D: np.ndarray
    M: np.ndarray
    LM: np.ndarray
    jacobi: np.ndarray
    W: np.ndarray
    LS: np.ndarray


@njit(cache=True)
def _equalities(X, d):
    """svec of B_0 = I_w and of B_i = e_i e_iᵀ − x_i x_iᵀ, as rows."""
    u, r = X.shape
    B = np.zeros((1 + u, d * (d + 1) // 2))
    block = np.zeros((d, d))
    for e in range(1 + u):
        for i in range(d):
            for j in range(d):
                block[i, j] = 0.0
        if e == 0:
            for i in range(r):
                block[i, i] = 1.0
        else:
            block[r + e - 1, r + e - 1] = 1.0
            for i in range(r):
                for j in range(r):
                    block[i, j] = -X[e - 1, i] * X[e - 1, j]
        svec(block, B[e])
    return B


@njit(cache=True)
def _products(F):
    """V[a, (i, k)] = F_ai F_ak."""
    f, d = F.shape
    V = np.empty((f, d * (d + 1) // 2))
    for a in range(f):
        t = 0
        for i in range(d):
            for j in range(i + 1):
                V[a, t] = F[a, i] * F[a, j]
                t += 1
    return V


@njit(cache=True)
def _start(program, X, witness):
    """A start that satisfies the equalities: half the witness, half a multiple of the identity in w."""
    C, F, allowed = program.C, program.F, program.allowed
    u, r = X.shape
    f, d = F.shape
    length = 0.0
    for i in range(r):
        length += witness[i] * witness[i]
    length = math.sqrt(length)
    lifted = np.empty(d)
    Y = np.zeros((d, d))
    for i in range(r):
        lifted[i] = witness[i] / length
        Y[i, i] = 0.5 / r
    for q in range(u):
        s = 0.0
        square = 0.0
        for i in range(r):
            s += X[q, i] * lifted[i]
            square += X[q, i] * X[q, i]
        lifted[r + q] = abs(s)
        Y[r + q, r + q] = 0.5 * square / r
    for i in range(d):
        for j in range(d):
            Y[i, j] += 0.5 * lifted[i] * lifted[j]
    mu = np.zeros(1 + u)
    mu[0] = inner(C, Y)
    tau = max(mu[0], 1e-3) / d
    S = congruence(F, Y)
    floor = 1e-3
    for a in range(f):
        floor = max(floor, 0.1 * S[a, a])
    N = np.zeros((f, f))
    for a in range(f):
        for b in range(f):
            if allowed[a, b] != 0.0:
                S[a, b] = max(S[a, b], floor)
                N[a, b] = tau / S[a, b]
            else:
                S[a, b] = 1.0
    L = np.zeros((d, d))
    Z = np.zeros((d, d))
    cholesky(Y, L)
    for i in range(d):
        Z[i, i] = tau
        forward(L, Z[i])
        backward(L, Z[i])
    return _Point(Y, Z, S, N, mu)


@njit(cache=True)
def _residual(program, now):
    """How far an iterate is from feasible, and its gap."""
    C, F, allowed, B = program.C, program.F, program.allowed, program.B
    Y, Z, S, N, mu = now
    f, d = F.shape
    E, T = B.shape
    slack = congruence(F, Y)
    primal = 0.0
    gap = inner(Y, Z)
    for a in range(f):
        for b in range(f):
            slack[a, b] = (slack[a, b] - S[a, b]) * allowed[a, b]
            primal = max(primal, abs(slack[a, b]))
            gap += 0.5 * S[a, b] * N[a, b]
    y = np.zeros(T)
    svec(Y, y)
    equalities = np.zeros(E)
    for e in range(E):
        s = 1.0 if e == 0 else 0.0
        for t in range(T):
            s -= B[e, t] * y[t]
        equalities[e] = s
        primal = max(primal, abs(s))
    for t in range(T):
        s = 0.0
        for e in range(E):
            s += mu[e] * B[e, t]
        y[t] = s
    sums = np.zeros((d, d))
    smat(y, sums)
    FN = congruence(F.T.copy(), N)
    dual = 0.0
    block = np.zeros((d, d))
    for i in range(d):
        for j in range(d):
            block[i, j] = sums[i, j] - C[i, j] - 0.5 * FN[i, j]
            dual = max(dual, abs(block[i, j] - Z[i, j]))
    return _Residual(slack, equalities, sums, block, gap, primal, dual)


@njit(cache=True)
def _normal_matrix(A, Q, M):
    """M of the module's docstring, from A and Q = VᵀDV."""
    d = A.shape[0]
    t = 0
    for i in range(d):
        for j in range(i + 1):
            ft = 0.5 if i == j else math.sqrt(0.5)
            q = 0
            for k in range(i + 1):
                ik = i * (i + 1) // 2 + k
                jk = j * (j + 1) // 2 + k if j >= k else k * (k + 1) // 2 + j
                for l in range(k + 1):  # noqa: E741
                    if q > t:
                        break
                    il = i * (i + 1) // 2 + l
                    jl = j * (j + 1) // 2 + l if j >= l else l * (l + 1) // 2 + j
                    fq = 0.5 if k == l else math.sqrt(0.5)
                    v = Q[ik, jl] + Q[il, jk] + 2.0 * (A[i, k] * A[j, l] + A[i, l] * A[j, k])
                    M[t, q] = ft * fq * v
                    M[q, t] = M[t, q]
                    q += 1
            t += 1


@njit(cache=True)
def _regularised(M, jacobi, LM):
    """The factor of M after Jacobi scaling, with a ridge that grows until it exists; refinement takes the ridge's effect back."""
    T = M.shape[0]
    scaled = np.zeros((T, T))
    for t in range(T):
        jacobi[t] = 1.0 / math.sqrt(M[t, t])
    for t in range(T):
        for q in range(T):
            scaled[t, q] = M[t, q] * jacobi[t] * jacobi[q]
    ridge = 1e-15
    while ridge < 1e-6:
        for t in range(T):
            scaled[t, t] = 1.0 + ridge
        if cholesky(scaled, LM):
            return True
        ridge *= 30.0
    return False


@njit(cache=True)
def _factorise(program, now):
    """(whether it succeeded, the Newton system at an iterate)."""
    B, V = program.B, program.V
    Y, Z, S, N, _ = now
    f, d = program.F.shape
    E, T = B.shape
    LY, LZ, U = np.zeros((d, d)), np.zeros((d, d)), np.zeros((d, d))
    spectrum, D = np.zeros(d), np.zeros((f, f))
    M, LM, jacobi = np.zeros((T, T)), np.zeros((T, T)), np.zeros(T)
    W, schur, LS = np.zeros((E, T)), np.zeros((E, E)), np.zeros((E, E))
    if not (cholesky(Y, LY) and cholesky(Z, LZ)):
        return False, _Newton(LY, LZ, U, U, spectrum, D, M, LM, jacobi, W, LS)
    middle = congruence(LZ.T.copy(), Y)
    jacobi_eigen(middle, U)
    for k in range(d):
        spectrum[k] = math.sqrt(max(middle[k, k], 1e-300))
    R = np.dot(U.T.copy(), LZ.T.copy())
    for k in range(d):
        root = 1.0 / math.sqrt(spectrum[k])
        for i in range(d):
            R[k, i] *= root
    A = np.dot(R.T.copy(), R)
    for a in range(f):
        for b in range(f):
            D[a, b] = N[a, b] / S[a, b]
    Q = np.dot(V.T.copy(), np.dot(D, V))
    _normal_matrix(A, Q, M)
    done = _regularised(M, jacobi, LM)
    if done:
        refined_solve(M, LM, jacobi, B, W)
        for e in range(E):
            for g in range(E):
                s = 0.0
                for t in range(T):
                    s += B[e, t] * W[g, t]
                schur[e, g] = s
        for e in range(E):
            for g in range(e):
                schur[g, e] = schur[e, g]
            schur[e, e] *= 1.0 + 1e-14
        done = cholesky(schur, LS)
    return done, _Newton(LY, LZ, R, A, spectrum, D, M, LM, jacobi, W, LS)


@njit(cache=True)
def _direction(program, now, residual, newton, aim, curve, bend):
    """The step to YZ = aim·I, s ν = aim; curve (d, d), bend (f, f): second-order terms of the corrector."""
    C, F, allowed, B = program.C, program.F, program.allowed, program.B
    S, N, D, spectrum = now.S, now.N, newton.D, newton.spectrum
    f, d = F.shape
    E, T = B.shape
    pull = np.zeros((f, f))
    for a in range(f):
        for b in range(f):
            pull[a, b] = (aim / S[a, b] - D[a, b] * residual.slack[a, b] - bend[a, b]) * allowed[a, b]
    K = np.zeros((d, d))
    for i in range(d):
        for j in range(d):
            K[i, j] = ((aim if i == j else 0.0) - curve[i, j]) * 2.0 / (spectrum[i] + spectrum[j])
    K = congruence(newton.R.T.copy(), K)
    FP = congruence(F.T.copy(), pull)
    block = np.zeros((d, d))
    for i in range(d):
        for j in range(d):
            block[i, j] = C[i, j] - residual.sums[i, j] + 0.5 * FP[i, j] + K[i, j]
    right, v = np.zeros((1, T)), np.zeros((1, T))
    svec(block, right[0])
    refined_solve(newton.M, newton.LM, newton.jacobi, right, v)
    dmu = np.zeros(E)
    for e in range(E):
        s = -residual.equalities[e]
        for t in range(T):
            s += B[e, t] * v[0, t]
        dmu[e] = s
    forward(newton.LS, dmu)
    backward(newton.LS, dmu)
    y = np.zeros(T)
    for t in range(T):
        s = v[0, t]
        for e in range(E):
            s -= dmu[e] * newton.W[e, t]
        y[t] = s
    dY = np.zeros((d, d))
    smat(y, dY)
    dS = congruence(F, dY)
    dZ = congruence(newton.A, dY)
    for i in range(d):
        for j in range(d):
            dZ[i, j] = K[i, j] - now.Z[i, j] - dZ[i, j]
    dN = np.zeros((f, f))
    for a in range(f):
        for b in range(f):
            dS[a, b] = (dS[a, b] + residual.slack[a, b]) * allowed[a, b]
            dN[a, b] = (aim / S[a, b] - N[a, b] - bend[a, b] - D[a, b] * dS[a, b]) * allowed[a, b]
    return _Point(dY, dZ, dS, dN, dmu)


@njit(cache=True)
def _lengths(program, now, step, newton):
    """How far the step may go in (Y, S) and in (Z, N)."""
    none = np.empty((0, 0))
    alpha = min(1.0, STEP * room_in_cone(newton.LY, step.Y, none), STEP * entry_room(now.S, step.S, program.allowed))
    beta = min(1.0, STEP * room_in_cone(newton.LZ, step.Z, none), STEP * entry_room(now.N, step.N, program.allowed))
    return alpha, beta


@njit(cache=True)
def _corrector(program, now, step, newton, tau, gap, curve, bend):
    """What Mehrotra's corrector aims at; its second-order terms into curve and bend.

    In the scaled space Y and Z are both diag(spectrum).
    """
    f, d = program.F.shape
    alpha, beta = _lengths(program, now, step, newton)
    after = 0.0
    for i in range(d):
        for j in range(d):
            after += (now.Y[i, j] + alpha * step.Y[i, j]) * (now.Z[i, j] + beta * step.Z[i, j])
    for a in range(f):
        for b in range(f):
            slack, nu = now.S[a, b] + alpha * step.S[a, b], now.N[a, b] + beta * step.N[a, b]
            after += 0.5 * slack * nu * program.allowed[a, b]
            bend[a, b] = step.N[a, b] * step.S[a, b] / now.S[a, b]
    move = congruence(newton.R, step.Y)
    product = np.dot(move, move)
    for i in range(d):
        for j in range(d):
            curve[i, j] = -product[i, j] - 0.5 * (newton.spectrum[i] + newton.spectrum[j]) * move[i, j]
    return tau * min(1.0, max(after / gap, 1e-6)) ** 3


@njit(cache=True)
def maximise(C, F, allowed, X, witness, tolerance):
    """Approximate solutions of both problems: (ρ, λ (u,), ν (f, f) symmetric, Y (d, d)).

    C (d, d); F (f, d); allowed (f, f): symmetric, 1.0 for the pairs; X (u, r): the x_i; witness (r,): a point in the cone. Stops
    when gap and residuals are below `tolerance`, or earlier when it is clear on which side of 1 the value lies.
    """
    f, d = F.shape
    program = _Program(C, F, allowed, _equalities(X, d), _products(F))
    now = _start(program, X, witness)
    pairs = float(d)
    for a in range(f):
        for b in range(a):
            pairs += allowed[a, b]
    L = np.zeros((d, d))
    best = INFINITE
    kept_mu, kept_N, kept_Y = now.mu.copy(), now.N.copy(), now.Y.copy()
    for _ in range(ITERATIONS):
        residual = _residual(program, now)
        tau = residual.gap / pairs
        rho, value = now.mu[0], inner(C, now.Y)
        scale = max(1.0, abs(rho))
        merit = (abs(rho - value) + residual.dual) / scale + residual.primal
        below = rho <= 0.98 and cholesky(residual.Z, L)
        feasible = residual.primal <= 1e-7 and residual.dual <= 1e-5 * scale
        above = feasible and value > 1.001 and rho - value <= 0.02 * rho
        if merit < best or below or above:
            best = merit
            kept_mu, kept_N, kept_Y = now.mu.copy(), now.N.copy(), now.Y.copy()
        if merit <= tolerance or below or above or merit > 1e3 * best or not merit < INFINITE:
            break
        done, newton = _factorise(program, now)
        if not done:
            break
        curve, bend = np.zeros((d, d)), np.zeros((f, f))
        step = _direction(program, now, residual, newton, 0.0, curve, bend)
        aim = _corrector(program, now, step, newton, tau, residual.gap, curve, bend)
        step = _direction(program, now, residual, newton, aim, curve, bend)
        alpha, beta = _lengths(program, now, step, newton)
        if not (alpha > 1e-8 and beta > 1e-8):
            break
        for i in range(d):
            for j in range(d):
                now.Y[i, j] += alpha * step.Y[i, j]
                now.Z[i, j] += beta * step.Z[i, j]
        for a in range(f):
            for b in range(f):
                now.S[a, b] += alpha * step.S[a, b]
                now.N[a, b] += beta * step.N[a, b]
        for e in range(now.mu.shape[0]):
            now.mu[e] += beta * step.mu[e]
    return kept_mu[0], kept_mu[1:].copy(), kept_N, kept_Y
