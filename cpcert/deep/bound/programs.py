"""Compiled pieces of boxes.py and duals.py: bounds of κ_G at masses m, and a small quadratic program."""

from __future__ import annotations

import math

import numpy as np

from cpcert.compiled import njit


@njit(cache=True)
def kappa_at(squares, bias, weights, own, masses, beta):
    """κ(m) at one m (C,): the largest weights·u + √(squares·m + bias) of the leaves.

    squares (l, C), bias (l,), weights (l, N); own (N, C): γ_c(e_i)².
    """
    N, C = own.shape
    u = np.empty(N)
    for i in range(N):
        s = beta * beta
        for c in range(C):
            s += own[i, c] * masses[c]
        u[i] = math.sqrt(s)
    most = 0.0
    for k in range(squares.shape[0]):
        s = bias[k]
        for c in range(C):
            s += squares[k, c] * masses[c]
        s = math.sqrt(s)
        for i in range(N):
            if weights[k, i] != 0.0:
                s += weights[k, i] * u[i]
        most = max(most, s)
    return most


@njit(cache=True)
def _value_at(squares, bias, weights, own, low, high, lam, beta, linear, square, masses):
    """λ Σ min(2x − x²/m' at the ends) + max over sκ(m') ≤ 2λ of s·linear − s²·square."""
    paid = 0.0
    for c in range(masses.shape[0]):
        a = 2.0 * low[c] - low[c] * low[c] / masses[c]
        b = 2.0 * high[c] - high[c] * high[c] / masses[c]
        paid += min(a, b)
    if linear <= 0.0:
        return lam * paid
    kappa = kappa_at(squares, bias, weights, own, masses, beta)
    s = 2.0 * lam / max(kappa, 1e-290)
    if square > 0.0:
        s = min(s, 0.5 * linear / square)
    return lam * paid + s * linear - s * s * square


@njit(cache=True)
def best_masses(squares, bias, weights, own, low, high, lam, beta, linear, square, masses):
    """Change `masses` (C,) for a larger value over the box [low, high], one at a time, by factors."""
    best = _value_at(squares, bias, weights, own, low, high, lam, beta, linear, square, masses)
    factor = 1.6
    for _ in range(4):
        for c in range(masses.shape[0]):
            for side in range(2):
                old = masses[c]
                masses[c] = old * factor if side == 0 else old / factor
                value = _value_at(squares, bias, weights, own, low, high, lam, beta, linear, square, masses)
                if value > best:
                    best = value
                    break
                masses[c] = old
        factor = math.sqrt(factor)
    return best


@njit(cache=True)
def nonnegative_quadratic(H, c, x, most):
    """Minimise ½xᵀHx + cᵀx over x ≥ 0 (the last entry free), by active sets from x; H (n, n) positive definite."""
    n = c.shape[0]
    passive = np.zeros(n, np.bool_)
    for i in range(n):
        passive[i] = x[i] > 0.0 or i == n - 1
    L = np.empty((n, n))
    s = np.empty(n)
    index = np.empty(n, np.int64)
    size = 0.0
    for i in range(n):
        size = max(size, abs(c[i]))
    for _ in range(most):
        while True:
            k = 0
            for i in range(n):
                if passive[i]:
                    index[k] = i
                    k += 1
            for a in range(k):
                for b in range(a + 1):
                    t = H[index[a], index[b]]
                    for d in range(b):
                        t -= L[a, d] * L[b, d]
                    if a == b:
                        L[a, a] = math.sqrt(max(t, 1e-14 * H[index[a], index[a]] + 1e-300))
                    else:
                        L[a, b] = t / L[b, b]
            for a in range(k):
                t = -c[index[a]]
                for d in range(a):
                    t -= L[a, d] * s[d]
                s[a] = t / L[a, a]
            for a in range(k - 1, -1, -1):
                t = s[a]
                for d in range(a + 1, k):
                    t -= L[d, a] * s[d]
                s[a] = t / L[a, a]
            step = 1.0
            hit = -1
            for a in range(k):
                i = index[a]
                if i < n - 1 and s[a] <= 0.0:
                    room = x[i] / max(x[i] - s[a], 1e-300)
                    if room < step or hit < 0:
                        step = min(room, step)
                        hit = i
            for a in range(k):
                x[index[a]] += step * (s[a] - x[index[a]])
            if hit < 0:
                break
            x[hit] = 0.0
            passive[hit] = False
        worst = -1e-11 * size
        entering = -1
        for i in range(n - 1):
            if not passive[i]:
                t = c[i]
                for j in range(n):
                    t += H[i, j] * x[j]
                if t < worst:
                    worst = t
                    entering = i
        if entering < 0:
            return
        passive[entering] = True
