"""A primal-dual interior-point method for the relaxation of relaxation.py: small, dense, and only a source of hints.

    maximise ⟨C, Y⟩   over Y ⪰ 0, ⟨B_0, Y⟩ = 1, ⟨B_i, Y⟩ = 0 (i = 1 … u), p_aᵀYp_b ≥ 0 for the pairs (a, b) of rows of F,
    minimise ρ        over Z = ρB_0 + Σ λ_iB_i − C − Σ_{a<b} ν_ab (p_ap_bᵀ + p_bp_aᵀ)/2 ⪰ 0, ν ≥ 0,

B_0 = I_w, B_i = e_i e_iᵀ − x_i x_iᵀ. Newton steps on YZ = τI, s_ab ν_ab = τ (s the slacks of the inequalities) in the scaling of
Nesterov and Todd: with Z = LLᵀ and LᵀYL = U diag(s²) Uᵀ, R = diag(s)^(−½) UᵀLᵀ maps Y (as RYRᵀ) and Z (as R⁻ᵀZR⁻¹) to
diag(s), and A = RᵀR. In dy = svec dY, of length T, a step solves M dy + Bᵀd(ρ, λ) = rhs, B dy = rhs with

    M = (dY ↦ A dY A) + Σ_{a<b} (ν_ab/s_ab) svec(p_ap_bᵀ) svec(p_ap_bᵀ)ᵀ.

The sum goes through V[a, (i,k)] = F_ai F_ak, since Σ D_ab (F_ai F_ak)(F_bj F_bl) = (VᵀDV)[(i,k), (j,l)]: an iteration costs
O(T³ + fT²) for f forms, however many pairs there are. Mehrotra's predictor and corrector; an infeasible start.

Compiled loops instead of a general conic solver: several times faster at these sizes, and it never aborts on a thin cone.
"""

from __future__ import annotations

import math

import numpy as np

from cpcert.compiled import njit

ITERATIONS = 60
STEP = 0.97
INFINITE = 1e300
# Sums may be reordered: nothing here is proven.
FAST = {"reassoc", "contract", "arcp", "nsz"}


@njit(cache=True, fastmath=FAST)
def _cholesky(A, L):
    """L with LLᵀ = A; False if A is not positive definite."""
    n = A.shape[0]
    for i in range(n):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            if i == j:
                if not s > 0.0:
                    return False
                L[i, i] = math.sqrt(s)
            else:
                L[i, j] = s / L[j, j]
        for j in range(i + 1, n):
            L[i, j] = 0.0
    return True


@njit(cache=True, fastmath=FAST)
def _forward(L, x):
    """x ← L⁻¹x."""
    for i in range(L.shape[0]):
        s = x[i]
        for k in range(i):
            s -= L[i, k] * x[k]
        x[i] = s / L[i, i]


@njit(cache=True, fastmath=FAST)
def _backward(L, x):
    """x ← L⁻ᵀx."""
    for i in range(L.shape[0] - 1, -1, -1):
        t = x[i] / L[i, i]
        x[i] = t
        for k in range(i):
            x[k] -= t * L[i, k]


@njit(cache=True, fastmath=FAST)
def _eigen(A, U):
    """Jacobi's method: A becomes diagonal, the columns of U its eigenvectors (pass U of shape (0, 0) to do without)."""
    n = A.shape[0]
    vectors = U.shape[0] > 0
    for i in range(U.shape[0]):
        for j in range(n):
            U[i, j] = 1.0 if i == j else 0.0
    for _ in range(30):
        off = 0.0
        total = 0.0
        for i in range(n):
            total += A[i, i] * A[i, i]
            for j in range(i):
                off += A[i, j] * A[i, j]
        if off <= 1e-30 * total:
            return
        for p in range(n - 1):
            for q in range(p + 1, n):
                a = A[p, q]
                if a == 0.0:
                    continue
                theta = (A[q, q] - A[p, p]) / (2.0 * a)
                t = 1.0 / (abs(theta) + math.sqrt(theta * theta + 1.0))
                if theta < 0.0:
                    t = -t
                c = 1.0 / math.sqrt(t * t + 1.0)
                s = t * c
                for k in range(n):
                    x = A[p, k]
                    y = A[q, k]
                    A[p, k] = c * x - s * y
                    A[q, k] = s * x + c * y
                for k in range(n):
                    x = A[k, p]
                    y = A[k, q]
                    A[k, p] = c * x - s * y
                    A[k, q] = s * x + c * y
                if vectors:
                    for k in range(n):
                        x = U[k, p]
                        y = U[k, q]
                        U[k, p] = c * x - s * y
                        U[k, q] = s * x + c * y


@njit(cache=True, fastmath=FAST)
def _room(L, direction, none):
    """The largest α ≤ 10⁶ with LLᵀ + α·direction ⪰ 0."""
    n = L.shape[0]
    A = direction.copy()
    for i in range(n):
        _forward(L, A[i])
    A = A.T.copy()
    for i in range(n):
        _forward(L, A[i])
    _eigen(A, none)
    lowest = 0.0
    for i in range(n):
        lowest = min(lowest, A[i, i])
    return 1e6 if lowest > -1e-6 else -1.0 / lowest


@njit(cache=True, fastmath=FAST)
def _entry_room(values, direction, allowed):
    """The largest α ≤ 10⁶ with values + α·direction ≥ 0 on the pairs."""
    room = 1e6
    for a in range(values.shape[0]):
        for b in range(a):
            if allowed[a, b] != 0.0 and direction[a, b] < 0.0:
                room = min(room, -values[a, b] / direction[a, b])
    return room


@njit(cache=True, fastmath=FAST)
def _congruence(F, A):
    """FAFᵀ, exactly symmetric."""
    P = np.dot(np.dot(F, A), F.T)
    for i in range(P.shape[0]):
        for j in range(i):
            s = 0.5 * (P[i, j] + P[j, i])
            P[i, j] = s
            P[j, i] = s
    return P


@njit(cache=True, fastmath=FAST)
def _inner(A, B):
    s = 0.0
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            s += A[i, j] * B[i, j]
    return s


@njit(cache=True, fastmath=FAST)
def _svec(A, v):
    t = 0
    for i in range(A.shape[0]):
        for j in range(i):
            v[t] = (A[i, j] + A[j, i]) * math.sqrt(0.5)
            t += 1
        v[t] = A[i, i]
        t += 1


@njit(cache=True, fastmath=FAST)
def _smat(v, A):
    t = 0
    for i in range(A.shape[0]):
        for j in range(i):
            A[i, j] = v[t] * math.sqrt(0.5)
            A[j, i] = A[i, j]
            t += 1
        A[i, i] = v[t]
        t += 1


@njit(cache=True, fastmath=FAST)
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


@njit(cache=True, fastmath=FAST)
def _solve(M, L, jacobi, right, x):
    """Rows of x ← M⁻¹ rows of right, with LLᵀ ≈ diag(jacobi) M diag(jacobi) and one step of refinement."""
    T = M.shape[0]
    rest = np.empty(T)
    for row in range(right.shape[0]):
        for t in range(T):
            rest[t] = right[row, t] * jacobi[t]
        _forward(L, rest)
        _backward(L, rest)
        for t in range(T):
            x[row, t] = rest[t] * jacobi[t]
        for t in range(T):
            s = right[row, t]
            for q in range(T):
                s -= M[t, q] * x[row, q]
            rest[t] = s * jacobi[t]
        _forward(L, rest)
        _backward(L, rest)
        for t in range(T):
            x[row, t] += rest[t] * jacobi[t]


@njit(cache=True, fastmath=FAST)
def maximise(C, F, allowed, X, witness, tolerance):
    """Approximate solutions of both problems: (ρ, λ (u,), ν (f, f) symmetric, Y (d, d)).

    C (d, d); F (f, d); allowed (f, f): symmetric, 1.0 for the pairs; X (u, r): the x_i; witness (r,): a point in the cone. Stops
    when gap and residuals are below `tolerance`, or earlier when it is clear on which side of 1 the value lies.
    """
    d = C.shape[0]
    u, r = X.shape
    f = F.shape[0]
    T = d * (d + 1) // 2
    E = 1 + u
    none = np.empty((0, 0))
    B = np.zeros((E, T))
    block = np.zeros((d, d))
    for e in range(E):
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
        _svec(block, B[e])
    V = np.empty((f, T))
    for a in range(f):
        t = 0
        for i in range(d):
            for j in range(i + 1):
                V[a, t] = F[a, i] * F[a, j]
                t += 1
    VT = V.T.copy()
    n = float(d)
    for a in range(f):
        for b in range(a):
            n += allowed[a, b]
    # A start that satisfies the equalities: half the witness, half a multiple of the identity in w.
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
    mu = np.zeros(E)
    mu[0] = _inner(C, Y)
    tau = max(mu[0], 1e-3) / d
    S = _congruence(F, Y)
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
    _cholesky(Y, L)
    for i in range(d):
        Z[i, i] = tau
        _forward(L, Z[i])
        _backward(L, Z[i])
    LY = np.zeros((d, d))
    LZ = np.zeros((d, d))
    U = np.zeros((d, d))
    R = np.zeros((d, d))
    K = np.zeros((d, d))
    M = np.zeros((T, T))
    scaled = np.zeros((T, T))
    LM = np.zeros((T, T))
    W = np.zeros((E, T))
    schur = np.zeros((E, E))
    LS = np.zeros((E, E))
    D = np.zeros((f, f))
    dS = np.zeros((f, f))
    dN = np.zeros((f, f))
    pull = np.zeros((f, f))
    bend = np.zeros((f, f))
    dY = np.zeros((d, d))
    dZ = np.zeros((d, d))
    curve = np.zeros((d, d))
    sums = np.zeros((d, d))
    y = np.zeros(T)
    rb = np.zeros(E)
    dmu = np.zeros(E)
    spectrum = np.zeros(d)
    jacobi = np.zeros(T)
    right = np.zeros((1, T))
    v = np.zeros((1, T))
    best = INFINITE
    kept_mu, kept_N, kept_Y = mu.copy(), N.copy(), Y.copy()
    for _ in range(ITERATIONS):
        slack = _congruence(F, Y)
        primal = 0.0
        gap = _inner(Y, Z)
        for a in range(f):
            for b in range(f):
                slack[a, b] = (slack[a, b] - S[a, b]) * allowed[a, b]
                primal = max(primal, abs(slack[a, b]))
                gap += 0.5 * S[a, b] * N[a, b]
        tau = gap / n
        _svec(Y, y)
        for e in range(E):
            s = 1.0 if e == 0 else 0.0
            for t in range(T):
                s -= B[e, t] * y[t]
            rb[e] = s
            primal = max(primal, abs(s))
        for t in range(T):
            s = 0.0
            for e in range(E):
                s += mu[e] * B[e, t]
            y[t] = s
        _smat(y, sums)
        FN = _congruence(F.T.copy(), N)
        dual = 0.0
        for i in range(d):
            for j in range(d):
                block[i, j] = sums[i, j] - C[i, j] - 0.5 * FN[i, j]
                dual = max(dual, abs(block[i, j] - Z[i, j]))
        value = _inner(C, Y)
        scale = max(1.0, abs(mu[0]))
        merit = (abs(mu[0] - value) + dual) / scale + primal
        below = mu[0] <= 0.98 and _cholesky(block, L)
        above = primal <= 1e-7 and dual <= 1e-5 * scale and value > 1.001 and mu[0] - value <= 0.02 * mu[0]
        if merit < best or below or above:
            best = merit
            kept_mu, kept_N, kept_Y = mu.copy(), N.copy(), Y.copy()
        if merit <= tolerance or below or above or merit > 1e3 * best or not merit < INFINITE:
            break
        if not (_cholesky(Y, LY) and _cholesky(Z, LZ)):
            break
        middle = _congruence(LZ.T.copy(), Y)
        _eigen(middle, U)
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
        Q = np.dot(VT, np.dot(D, V))
        _normal_matrix(A, Q, M)
        # Jacobi scaling, and a ridge that grows until the factorisation succeeds; refinement takes its effect back.
        for t in range(T):
            jacobi[t] = 1.0 / math.sqrt(M[t, t])
        for t in range(T):
            for q in range(T):
                scaled[t, q] = M[t, q] * jacobi[t] * jacobi[q]
        ridge = 1e-15
        done = False
        while not done and ridge < 1e-6:
            for t in range(T):
                scaled[t, t] = 1.0 + ridge
            done = _cholesky(scaled, LM)
            ridge *= 30.0
        if not done:
            break
        _solve(M, LM, jacobi, B, W)
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
        if not _cholesky(schur, LS):
            break
        aim = 0.0
        alpha = 1.0
        beta = 1.0
        for i in range(d):
            for j in range(d):
                curve[i, j] = 0.0
        for a in range(f):
            for b in range(f):
                bend[a, b] = 0.0
        for phase in range(2):
            for a in range(f):
                for b in range(f):
                    pull[a, b] = (aim / S[a, b] - D[a, b] * slack[a, b] - bend[a, b]) * allowed[a, b]
            for i in range(d):
                for j in range(d):
                    K[i, j] = ((aim if i == j else 0.0) - curve[i, j]) * 2.0 / (spectrum[i] + spectrum[j])
            K = _congruence(R.T.copy(), K)
            FP = _congruence(F.T.copy(), pull)
            for i in range(d):
                for j in range(d):
                    block[i, j] = C[i, j] - sums[i, j] + 0.5 * FP[i, j] + K[i, j]
            _svec(block, right[0])
            _solve(M, LM, jacobi, right, v)
            for e in range(E):
                s = -rb[e]
                for t in range(T):
                    s += B[e, t] * v[0, t]
                dmu[e] = s
            _forward(LS, dmu)
            _backward(LS, dmu)
            for t in range(T):
                s = v[0, t]
                for e in range(E):
                    s -= dmu[e] * W[e, t]
                y[t] = s
            _smat(y, dY)
            dS = _congruence(F, dY)
            dZ = _congruence(A, dY)
            for i in range(d):
                for j in range(d):
                    dZ[i, j] = K[i, j] - Z[i, j] - dZ[i, j]
            for a in range(f):
                for b in range(f):
                    dS[a, b] = (dS[a, b] + slack[a, b]) * allowed[a, b]
                    dN[a, b] = (aim / S[a, b] - N[a, b] - bend[a, b] - D[a, b] * dS[a, b]) * allowed[a, b]
            alpha = min(1.0, STEP * _room(LY, dY, none), STEP * _entry_room(S, dS, allowed))
            beta = min(1.0, STEP * _room(LZ, dZ, none), STEP * _entry_room(N, dN, allowed))
            if phase == 0:
                # The corrector's second-order terms; in the scaled space Y and Z are both diag(spectrum).
                after = 0.0
                for i in range(d):
                    for j in range(d):
                        after += (Y[i, j] + alpha * dY[i, j]) * (Z[i, j] + beta * dZ[i, j])
                for a in range(f):
                    for b in range(f):
                        after += 0.5 * (S[a, b] + alpha * dS[a, b]) * (N[a, b] + beta * dN[a, b]) * allowed[a, b]
                        bend[a, b] = dN[a, b] * dS[a, b] / S[a, b]
                aim = tau * min(1.0, max(after / gap, 1e-6)) ** 3
                move = _congruence(R, dY)
                product = np.dot(move, move)
                for i in range(d):
                    for j in range(d):
                        curve[i, j] = -product[i, j] - 0.5 * (spectrum[i] + spectrum[j]) * move[i, j]
        if not (alpha > 1e-8 and beta > 1e-8):
            break
        for i in range(d):
            for j in range(d):
                Y[i, j] += alpha * dY[i, j]
                Z[i, j] += beta * dZ[i, j]
        for a in range(f):
            for b in range(f):
                S[a, b] += alpha * dS[a, b]
                N[a, b] += beta * dN[a, b]
        for e in range(E):
            mu[e] += beta * dmu[e]
    return kept_mu[0], kept_mu[1:].copy(), kept_N, kept_Y
