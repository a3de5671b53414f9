"""Compiled pieces of the bound at depth 3: the support function of what one top neuron can reach, and a node of the
sign tree.

B(m) has the support function h_m(q)² = Σ_c m_cγ_c(q)² + β²(1·q)². A node fixes some signs of z and bounds, over z ∈
B(m),

    g·σ(z) ≤ ½ Σ_{i undecided} κ_iu_i + h_m(q),   q = a₋g + y,

by the best y in a box: a convex program of few variables. `solve_node` solves its dual, max over z ∈ B(m) of a
concave, piecewise linear function, by the simplex method with columns z that the support function generates. Floating
point: any y in the box is valid, so nothing here needs to be trusted.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cpcert.compiled import njit


class Cones(NamedTuple):
    """What the kernels need of a cover (cover.py), and the class of every cone."""

    rays: np.ndarray
    features: np.ndarray
    simplices: np.ndarray
    stretch: np.ndarray
    start: np.ndarray
    crossed: np.ndarray
    extra: np.ndarray
    group: np.ndarray
    kink: float


@njit(cache=True)
def face_maximum(gram, F, t):
    """max of F·t over t ≥ 0 with tᵀ gram t ≤ 1, by the faces; t becomes the maximiser (0 if the maximum is 0)."""
    r = F.shape[0]
    best = 0.0
    A = np.empty((r, r + 1))
    chosen = np.empty(r, np.int64)
    for k in range(r):
        t[k] = 0.0
    for mask in range(1, 1 << r):
        n = 0
        positive = False
        for k in range(r):
            if mask >> k & 1:
                chosen[n] = k
                n += 1
                positive = positive or F[k] > 0.0
        if not positive:
            continue
        for a in range(n):
            for b in range(n):
                A[a, b] = gram[chosen[a], chosen[b]]
            A[a, n] = F[chosen[a]]
        good = True
        for a in range(n):
            if A[a, a] <= 1e-14:
                good = False
                break
            for b in range(a + 1, n):
                factor = A[b, a] / A[a, a]
                for c in range(a, n + 1):
                    A[b, c] -= factor * A[a, c]
        if not good:
            continue
        value = 0.0
        for a in range(n - 1, -1, -1):
            s = A[a, n]
            for b in range(a + 1, n):
                s -= A[a, b] * A[b, n]
            A[a, n] = s / A[a, a]
            if A[a, n] < 0.0:
                good = False
                break
            value += A[a, n] * F[chosen[a]]
        if good and value > best * best:
            best = math.sqrt(value)
            for k in range(r):
                t[k] = 0.0
            for a in range(n):
                t[chosen[a]] = A[a, n] / best
    return best


@njit(cache=True)
def support(cones, q, value, columns, F):
    """γ_c(q) of every class into value (C,), and the points ±σ(X̃ᵀw) that attain it into columns (C, N). F (M,): scratch."""
    M, N = cones.features.shape
    K, r = cones.simplices.shape
    C = value.shape[0]
    where = np.full(C, -1, np.int64)
    turned = np.zeros(C)
    top = np.empty(K)
    here = np.empty(r)
    gram = np.empty((r, r))
    t = np.empty(r)
    best_t = np.zeros((C, r))
    for c in range(C):
        value[c] = 0.0
        for i in range(N):
            columns[c, i] = 0.0
    for j in range(M):
        s = 0.0
        for i in range(N):
            s += cones.features[j, i] * q[i]
        F[j] = s
    for side in range(2):
        sign = 1.0 - 2.0 * side
        for k in range(K):
            most = -1e300
            for a in range(r):
                here[a] = sign * F[cones.simplices[k, a]]
            for p in range(cones.start[k], cones.start[k + 1]):
                kappa = cones.kink * sign * q[cones.crossed[p]]
                if kappa < 0.0:
                    for a in range(r):
                        here[a] -= kappa * cones.extra[p, a]
            place = 0
            for a in range(r):
                if here[a] > most:
                    most = here[a]
                    place = a
            top[k] = most
            c = cones.group[k]
            if most > value[c]:
                value[c] = most
                where[c] = k
                turned[c] = sign
                for a in range(r):
                    best_t[c, a] = 1.0 if a == place else 0.0
        for k in range(K):
            c = cones.group[k]
            if top[k] * cones.stretch[k] > value[c]:
                for a in range(r):
                    here[a] = sign * F[cones.simplices[k, a]]
                    for b in range(r):
                        s = 0.0
                        for d in range(r):
                            s += cones.rays[cones.simplices[k, a], d] * cones.rays[cones.simplices[k, b], d]
                        gram[a, b] = s
                for p in range(cones.start[k], cones.start[k + 1]):
                    kappa = cones.kink * sign * q[cones.crossed[p]]
                    if kappa < 0.0:
                        for a in range(r):
                            here[a] -= kappa * cones.extra[p, a]
                found = face_maximum(gram, here, t)
                if found > value[c]:
                    value[c] = found
                    where[c] = k
                    turned[c] = sign
                    for a in range(r):
                        best_t[c, a] = t[a]
    for c in range(C):
        k = where[c]
        if k < 0:
            continue
        for a in range(r):
            if best_t[c, a] != 0.0:
                for i in range(N):
                    columns[c, i] += turned[c] * best_t[c, a] * cones.features[cones.simplices[k, a], i]
        for p in range(cones.start[k], cones.start[k + 1]):
            i = cones.crossed[p]
            if cones.kink * turned[c] * q[i] < 0.0:
                for a in range(r):
                    columns[c, i] -= turned[c] * cones.kink * best_t[c, a] * cones.extra[p, a]


@njit(cache=True)
def reach(cones, masses, beta, q, z, value, columns, F):
    """h_m(q), and the z ∈ B(m) that attains it. value, columns, F: scratch of `support`."""
    support(cones, q, value, columns, F)
    N = q.shape[0]
    total = 0.0
    for i in range(N):
        total += q[i]
    square = beta * beta * total * total
    for c in range(value.shape[0]):
        square += masses[c] * value[c] * value[c]
    h = math.sqrt(square)
    for i in range(N):
        s = beta * beta * total
        for c in range(value.shape[0]):
            s += masses[c] * value[c] * columns[c, i]
        z[i] = s / h if h > 0.0 else 0.0
    return h


@njit(cache=True)
def pivot(inverse, x, step):
    """A pivot of the simplex method on the inverse of the basis (R + 1, R + 1) and x (R + 1,), both in place; step: the entering
    column, in the basis. The place that leaves, −1 if none does."""
    length = np.inf
    leaving = -1
    for d in range(len(x)):
        if step[d] > 1e-10:
            ratio = max(x[d], 0.0) / step[d]
            if ratio < length:
                length = ratio
                leaving = d
    if leaving < 0:
        return leaving
    for d in range(len(x)):
        if d != leaving:
            x[d] -= length * step[d]
            factor = step[d] / step[leaving]
            for p in range(len(x)):
                inverse[d, p] -= factor * inverse[leaving, p]
    x[leaving] = length
    for p in range(len(x)):
        inverse[leaving, p] /= step[leaving]
    return leaving


@njit(cache=True)
def solve_node(cones, masses, beta, linear, kappa, sign, T, z_out, parts_out, shares_out, tolerance, cutoff, most):
    """The best bound h_m(a₋g + κ∘T) of a node, T (N,) its multipliers, z_out (N,) the point of B(m) that its dual is
    at: z = Σ √m_cζ_c + βb1, parts_out (C, N) its ζ_c, and shares_out (C,) ≥ their gauges squared.

    linear (N,): a₋g. sign (N,): ±1 where z_i is decided, else 0. Ends at a gap of `tolerance` (relative), a bound
    below `cutoff`, or `most` columns.
    """
    N = linear.shape[0]
    C = masses.shape[0]
    value = np.empty(C)
    columns = np.empty((C, N))
    F = np.empty(cones.rays.shape[0])
    free = np.empty(N, np.int64)
    R = 0
    q = np.empty(N)
    fixed = np.empty(N)
    for i in range(N):
        fixed[i] = linear[i]
        if kappa[i] > 0.0 and sign[i] == 0:
            fixed[i] += 0.5 * kappa[i]
        elif kappa[i] != 0.0:
            free[R] = i
            R += 1
    # Columns of the basis: kind 0 slack, 1 a_i, 2 b_i, 3 a generated z.
    kind = np.zeros(R + 1, np.int64)
    cost = np.zeros(R + 1)
    points = np.zeros((R + 1, N))
    parts = np.zeros((R + 1, C, N))
    shares = np.zeros((R + 1, C))
    inverse = np.zeros((R + 1, R + 1))
    x = np.empty(R + 1)
    low = np.empty(R)
    high = np.empty(R)
    y = np.empty(R)
    best_y = np.empty(R)
    column = np.empty(R + 1)
    step = np.empty(R + 1)
    z = np.empty(N)
    size = 0.0
    for i in range(N):
        for j in range(cones.rays.shape[0]):
            size = max(size, abs(cones.features[j, i]))
    scale = 0.0
    for c in range(C):
        scale += masses[c]
    epsilon = 1e-9 * (size * math.sqrt(scale) + abs(beta))
    weight = 0.0
    for i in range(N):
        weight = max(weight, abs(kappa[i]))
    for p in range(R):
        i = free[p]
        if kappa[i] < 0.0:
            low[p], high[p] = kappa[i], 0.0
        elif sign[i] > 0:
            low[p], high[p] = kappa[i], np.inf
        else:
            low[p], high[p] = -np.inf, 0.0
        if high[p] == np.inf:
            kind[p], cost[p], inverse[p, p] = 1, low[p], -1.0
        else:
            kind[p], cost[p], inverse[p, p] = 2, -high[p], 1.0
        x[p] = epsilon * (1.0 + ((p * 7919 + 13) % 101) / 101.0)
        best_y[p] = low[p] if high[p] == np.inf else high[p]
    inverse[R, R] = 1.0
    x[R] = 1.0
    best = np.inf
    for _ in range(most):
        t = 0.0
        for b in range(R + 1):
            t += cost[b] * inverse[b, R]
        worst = 1e-9 * weight
        entering = -1
        for p in range(R):
            s = 0.0
            for b in range(R + 1):
                s -= cost[b] * inverse[b, p]
            y[p] = s
            if low[p] - s > worst:
                worst = low[p] - s
                entering = p
            if s - high[p] > worst:
                worst = s - high[p]
                entering = R + p
        if entering >= 0:
            for b in range(R + 1):
                step[b] = -inverse[b, entering] if entering < R else inverse[b, entering - R]
        else:
            for i in range(N):
                q[i] = fixed[i]
            for p in range(R):
                q[free[p]] += min(max(y[p], low[p]), high[p])
            h = reach(cones, masses, beta, q, z, value, columns, F)
            if h < best:
                best = h
                for p in range(R):
                    best_y[p] = min(max(y[p], low[p]), high[p])
            if best <= cutoff or best - t <= tolerance * best:
                break
            for p in range(R):
                column[p] = z[free[p]]
            column[R] = 1.0
            for b in range(R + 1):
                s = 0.0
                for p in range(R + 1):
                    s += inverse[b, p] * column[p]
                step[b] = s
        leaving = pivot(inverse, x, step)
        if leaving < 0:
            break
        if entering < 0:
            kind[leaving] = 3
            s = 0.0
            for i in range(N):
                points[leaving, i] = z[i]
                s += fixed[i] * z[i]
            cost[leaving] = s
            for c in range(C):
                scale = math.sqrt(masses[c]) * value[c] / h if h > 0.0 else 0.0
                shares[leaving, c] = scale * scale
                for i in range(N):
                    parts[leaving, c, i] = scale * columns[c, i]
        elif entering < R:
            kind[leaving], cost[leaving] = 1, low[entering]
        else:
            kind[leaving], cost[leaving] = 2, -high[entering - R]
    parts_out[:] = 0.0
    shares_out[:] = 0.0
    for i in range(N):
        z_out[i] = 0.0
        T[i] = 0.5 if kappa[i] > 0.0 and sign[i] == 0 else 0.0
    for b in range(R + 1):
        if kind[b] == 3 and x[b] > 0.0:
            for i in range(N):
                z_out[i] += x[b] * points[b, i]
            for c in range(C):
                shares_out[c] += x[b] * shares[b, c]
                for i in range(N):
                    parts_out[c, i] += x[b] * parts[b, c, i]
    for p in range(R):
        T[free[p]] = best_y[p] / kappa[free[p]]
    return best
