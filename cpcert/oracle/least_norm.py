"""Compiled pieces that several searches share: f(w), least norms over a box, one step of the local search.

It is a file of its own so that numba compiles it again only when it changes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cpcert.compiled import njit

# A bound of this size is none.
INFINITE = 1e300
# A vector below TINY has no square in floating point; FLOOR covers what underflow can lose, far below any rounding.
TINY, FLOOR = 1e-140, 1e-280


class Workspace(NamedTuple):
    """Scratch arrays of `min_norm`."""

    S: np.ndarray
    g: np.ndarray
    step: np.ndarray
    free: np.ndarray


@njit(cache=True, counted=False)
def evaluate(points, kappa, linear, w):
    """f(w) in floating point."""
    total = 0.0
    for k in range(linear.shape[0]):
        total += linear[k] * w[k]
    for i in range(points.shape[0]):
        s = 0.0
        for k in range(linear.shape[0]):
            s += points[i, k] * w[k]
        if s > 0.0:
            total += kappa[i] * s
    return total


@njit(cache=True, counted=False)
def _normal_equations(points, square, c, m, free, step, S, g):
    """Least squares for ‖c + Σ d_ix_i‖ over m free coordinates: in d when there are fewer than dimensions, else in Σ d_ix_i.

    Fills the lower triangle of S and g, and step with 1/‖x_i‖ in the first case, 1/‖x_i‖² in the second; returns the size.
    """
    r = points.shape[1]
    if m < r:
        for a in range(m):
            i = free[a]
            step[a] = 1.0 / math.sqrt(square[i])
            for b in range(a + 1):
                j = free[b]
                s = 0.0
                for k in range(r):
                    s += points[i, k] * points[j, k]
                S[a, b] = s * step[a] * step[b]
            S[a, a] += 1e-10
            s = 0.0
            for k in range(r):
                s -= points[i, k] * c[k]
            g[a] = s * step[a]
        return m
    for a in range(r):
        for b in range(a + 1):
            S[a, b] = 0.0
    for q in range(m):
        i = free[q]
        step[q] = 1.0 / square[i]
        for a in range(r):
            s = points[i, a] * step[q]
            for b in range(a + 1):
                S[a, b] += s * points[i, b]
    for a in range(r):
        S[a, a] += 1e-10
        g[a] = -c[a]
    return r


@njit(cache=True, counted=False)
def min_norm(points, square, index, n, lower, upper, y, c, cycles, target, tolerance, work):
    """Move y[index[:n]] within its box to shrink ‖c‖, c = base + Σ y_i x_i, until it is at most target; returns ‖c‖.

    Coordinate descent finds which coordinates are at their bounds, a Newton step on the others (least squares on the
    span of their points, regularised, cut at the box) removes the slow tail of coordinate descent. Callers give n and cycles
    as np.int64: numba compiles a version of its own for each constant, three seconds each.
    """
    r = points.shape[1]
    S, g, step, free = work
    previous = 1e300
    norm = 0.0
    for cycle in range(cycles):
        for q in range(n):
            i = index[q]
            a = 0.0
            for k in range(r):
                a += c[k] * points[i, k]
            if y[i] <= lower[i] if a >= 0.0 else y[i] >= upper[i]:
                continue  # most coordinates are at a bound and stay there
            t = y[i] - a / square[i]
            if t < lower[i]:
                t = lower[i]
            elif t > upper[i]:
                t = upper[i]
            d = t - y[i]
            if d != 0.0:
                y[i] = t
                for k in range(r):
                    c[k] += d * points[i, k]
        norm = 0.0
        for k in range(r):
            norm += c[k] * c[k]
        norm = math.sqrt(norm)
        if norm <= target or (cycle > 0 and previous - norm < tolerance * (norm - target)):
            return norm
        previous = norm
        m = 0
        for q in range(n):
            i = index[q]
            if lower[i] < y[i] < upper[i]:
                free[m] = i
                m += 1
        for _ in range(4):
            if m == 0:
                break
            size = _normal_equations(points, square, c, m, free, step, S, g)
            for a_ in range(size):
                for b_ in range(a_ + 1):
                    s = S[a_, b_]
                    for k in range(b_):
                        s -= S[a_, k] * S[b_, k]
                    if a_ == b_:
                        S[a_, a_] = math.sqrt(max(s, 1e-14))
                    else:
                        S[a_, b_] = s / S[b_, b_]
            for a_ in range(size):
                s = g[a_]
                for k in range(a_):
                    s -= S[a_, k] * g[k]
                g[a_] = s / S[a_, a_]
            for a_ in range(size - 1, -1, -1):
                s = g[a_]
                for k in range(a_ + 1, size):
                    s -= S[k, a_] * g[k]
                g[a_] = s / S[a_, a_]
            length = 1.0
            hit = -1
            for q in range(m):
                i = free[q]
                if m < r:
                    d = g[q] * step[q]
                else:
                    d = 0.0
                    for k in range(r):
                        d += g[k] * points[i, k]
                    d *= step[q]
                step[q] = d
                room = 2.0
                if d > 0.0 and upper[i] < INFINITE:
                    room = (upper[i] - y[i]) / d
                elif d < 0.0 and lower[i] > -INFINITE:
                    room = (lower[i] - y[i]) / d
                if room < length:
                    length = room
                    hit = q
            left = 0
            for q in range(m):
                i = free[q]
                t = y[i] + length * step[q]
                if q == hit:
                    t = upper[i] if step[q] > 0.0 else lower[i]
                t = min(max(t, lower[i]), upper[i])
                d = t - y[i]
                y[i] = t
                for k in range(r):
                    c[k] += d * points[i, k]
                if lower[i] < t < upper[i]:
                    free[left] = i
                    left += 1
            m = left
            if hit < 0:
                break
        norm = 0.0
        for k in range(r):
            norm += c[k] * c[k]
        norm = math.sqrt(norm)
        if norm <= target:
            return norm
    return norm


@njit(cache=True, counted=False)
def ascent_step(points, square, kappa, linear, w, y, c, index, upper, work):
    """One step of the difference-of-convex iteration of ascent.py from w; c becomes the new w, unnormalised. Returns ‖c‖."""
    N, r = points.shape
    n = np.int64(0)
    for k in range(r):
        c[k] = linear[k]
    for i in range(N):
        if kappa[i] > 0.0:
            s = 0.0
            for k in range(r):
                s += points[i, k] * w[k]
            if s > 0.0:
                for k in range(r):
                    c[k] += kappa[i] * points[i, k]
        elif kappa[i] < 0.0 and square[i] > 0.0:
            index[n] = i
            n += 1
            y[i] = min(max(y[i], kappa[i]), 0.0)
            for k in range(r):
                c[k] += y[i] * points[i, k]
    return min_norm(points, square, index, n, kappa, upper, y, c, np.int64(40), 0.0, 1e-9, work)
