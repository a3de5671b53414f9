"""Compiled linear algebra for small dense matrices, in plain loops: what interior_point.py needs. Nothing here is proven."""

from __future__ import annotations

import math

import numpy as np

from cpcert.compiled import njit


@njit(cache=True)
def cholesky(A, L):
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


@njit(cache=True)
def forward(L, x):
    """x ← L⁻¹x."""
    for i in range(L.shape[0]):
        s = x[i]
        for k in range(i):
            s -= L[i, k] * x[k]
        x[i] = s / L[i, i]


@njit(cache=True)
def backward(L, x):
    """x ← L⁻ᵀx."""
    for i in range(L.shape[0] - 1, -1, -1):
        t = x[i] / L[i, i]
        x[i] = t
        for k in range(i):
            x[k] -= t * L[i, k]


@njit(cache=True)
def jacobi_eigen(A, U):
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


@njit(cache=True)
def room_in_cone(L, direction, none):
    """The largest α ≤ 10⁶ with LLᵀ + α·direction ⪰ 0."""
    n = L.shape[0]
    A = direction.copy()
    for i in range(n):
        forward(L, A[i])
    A = A.T.copy()
    for i in range(n):
        forward(L, A[i])
    jacobi_eigen(A, none)
    lowest = 0.0
    for i in range(n):
        lowest = min(lowest, A[i, i])
    return 1e6 if lowest > -1e-6 else -1.0 / lowest


@njit(cache=True)
def entry_room(values, direction, allowed):
    """The largest α ≤ 10⁶ with values + α·direction ≥ 0 on the pairs."""
    room = 1e6
    for a in range(values.shape[0]):
        for b in range(a):
            if allowed[a, b] != 0.0 and direction[a, b] < 0.0:
                room = min(room, -values[a, b] / direction[a, b])
    return room


@njit(cache=True)
def congruence(F, A):
    """FAFᵀ, exactly symmetric."""
    P = np.dot(np.dot(F, A), F.T)
    for i in range(P.shape[0]):
        for j in range(i):
            s = 0.5 * (P[i, j] + P[j, i])
            P[i, j] = s
            P[j, i] = s
    return P


@njit(cache=True)
def inner(A, B):
    s = 0.0
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            s += A[i, j] * B[i, j]
    return s


@njit(cache=True)
def svec(A, v):
    t = 0
    for i in range(A.shape[0]):
        for j in range(i):
            v[t] = (A[i, j] + A[j, i]) * math.sqrt(0.5)
            t += 1
        v[t] = A[i, i]
        t += 1


@njit(cache=True)
def smat(v, A):
    t = 0
    for i in range(A.shape[0]):
        for j in range(i):
            A[i, j] = v[t] * math.sqrt(0.5)
            A[j, i] = A[i, j]
            t += 1
        A[i, i] = v[t]
        t += 1


@njit(cache=True)
def refined_solve(M, L, jacobi, right, x):
    """Rows of x ← M⁻¹ rows of right, with LLᵀ ≈ diag(jacobi) M diag(jacobi) and one step of refinement."""
    T = M.shape[0]
    rest = np.empty(T)
    for row in range(right.shape[0]):
        for t in range(T):
            rest[t] = right[row, t] * jacobi[t]
        forward(L, rest)
        backward(L, rest)
        for t in range(T):
            x[row, t] = rest[t] * jacobi[t]
        for t in range(T):
            s = right[row, t]
            for q in range(T):
                s -= M[t, q] * x[row, q]
            rest[t] = s * jacobi[t]
        forward(L, rest)
        backward(L, rest)
        for t in range(T):
            x[row, t] += rest[t] * jacobi[t]
