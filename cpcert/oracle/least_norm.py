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


class Workspace(NamedTuple):
    """Scratch arrays of `min_norm`."""

    S: np.ndarray
    g: np.ndarray
    step: np.ndarray
    free: np.ndarray


@njit(cache=True)
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


@njit(cache=True)
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
        for _ in range(4):
            m = 0
            for q in range(n):
                i = index[q]
                if lower[i] < y[i] < upper[i]:
                    free[m] = i
                    m += 1
            if m == 0:
                break
            if m < r:
                size = m
                for a_ in range(m):
                    i = free[a_]
                    for b_ in range(a_ + 1):
                        j = free[b_]
                        s = 0.0
                        for k in range(r):
                            s += points[i, k] * points[j, k]
                        S[a_, b_] = s / (math.sqrt(square[i]) * math.sqrt(square[j]))
                    S[a_, a_] += 1e-10
                    s = 0.0
                    for k in range(r):
                        s -= points[i, k] * c[k]
                    g[a_] = s / math.sqrt(square[i])
            else:
                size = r
                for a_ in range(r):
                    for b_ in range(a_ + 1):
                        s = 0.0
                        for q in range(m):
                            i = free[q]
                            s += points[i, a_] * points[i, b_] / square[i]
                        S[a_, b_] = s
                    S[a_, a_] += 1e-10
                    g[a_] = -c[a_]
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
                    d = g[q] / math.sqrt(square[i])
                else:
                    d = 0.0
                    for k in range(r):
                        d += g[k] * points[i, k]
                    d /= square[i]
                step[q] = d
                room = 2.0
                if d > 0.0 and upper[i] < INFINITE:
                    room = (upper[i] - y[i]) / d
                elif d < 0.0 and lower[i] > -INFINITE:
                    room = (lower[i] - y[i]) / d
                if room < length:
                    length = room
                    hit = q
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
            if hit < 0:
                break
        norm = 0.0
        for k in range(r):
            norm += c[k] * c[k]
        norm = math.sqrt(norm)
        if norm <= target:
            return norm
    return norm


@njit(cache=True)
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
