"""The compiled part of branch.py, which has the mathematics: one node after another, its bound, its children.

It is a file of its own so that numba compiles it again only when it changes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cpcert.compiled import njit

EPS = 2.0**-52
INFINITE = 1e300

# Numbers of cycles and rounds: they change the speed, never the validity. Measured on gaussian and diabetes problems
# (N, r) = (40, 9), (60, 5), (100, 5) and on digits (40, 40).
CYCLES = 50
FINAL_CYCLES = 2000
ROUNDS = 10
STALL = 0.8
TIGHTEN_CYCLES = 5
TIGHTEN_FRACTION = 0.1
SEARCH_EVERY = 4
SEARCH_STEPS = 4
# A tightened bound must shorten the interval by this part; less is not worth its place in the proof.
GAIN = 0.04
# An interval below this is nearly a point.
SHORT = 1e-6
# A ‖ĉ‖ below this part of the cutoff counts as 0 when the point to branch on is chosen.
FAINT = 1e-6
# Multipliers are rounded to these grids (y relative to κ) before they prove anything, so that a proof is short when written.
Y_GRID, MU_GRID, RHO_GRID = 2.0**-24, 2.0**-14, 2.0**-18
# A cap that is nearly the whole ball says nothing; a direction below TINY has no square in floating point.
USEFUL, TINY = -0.999, 1e-140
# Cutoffs and multiples of it that are worked with; FLOOR covers what underflow can lose, far below any rounding.
SMALLEST, FLOOR = 1e-150, 1e-280

RUNNING, FINISHED, FOUND = 0, 1, 2


class Stack(NamedTuple):
    """The open nodes of a depth-first search, one row each, and its counters."""

    low: np.ndarray  # (D, N) l
    high: np.ndarray  # (D, N) u
    y: np.ndarray  # (D, N) multipliers of the parent, the start of the node's own
    path: np.ndarray  # (D, D) points whose sign was branched on
    sign: np.ndarray  # (D, D) and those signs
    bound: np.ndarray  # (D,) proven bound of the parent
    counts: np.ndarray  # (5,) open nodes, atoms, nodes after the first atom, nodes of this call, events
    worst: np.ndarray  # (1,) largest bound of a leaf that could not be closed


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


@njit(cache=True)
def _support(points, norms, square, i, side, path, sign, depth, c, norm_c, cap, rho, mu, lower, upper, z, work):
    """Inequality (2): a proven upper bound of side·x_iᵀw on the node's cap. mu holds the multipliers, returns (v, ρ)."""
    r = points.shape[1]
    for k in range(r):
        z[k] = side * points[i, k] + rho * c[k]
    for q in range(depth):
        mu[path[q]] = 0.0
    ratio = cap / norm_c
    best = 1e300
    for _ in range(TIGHTEN_CYCLES):
        v = min_norm(points, square, path, depth, lower, upper, mu, z, np.int64(2), 0.0, 1e-3, work) - rho * cap
        if v > best - 0.02 * norms[i] or v <= 0.0 or not USEFUL < ratio < 1.0 - 1e-12 or norm_c < TINY:
            break
        best = v
        dot = 0.0
        zz = 0.0
        for k in range(r):
            dot += z[k] * c[k]
            zz += z[k] * z[k]
        s = cap * math.sqrt(max(0.0, zz - dot * dot / (norm_c * norm_c)) / (1.0 - ratio * ratio))
        new = max(0.0, rho + (s - dot) / (norm_c * norm_c))
        if abs(new - rho) * norm_c < 1e-3 * norms[i]:
            break
        for k in range(r):
            z[k] += (new - rho) * c[k]
        rho = new
    # The proven value, from the rounded multipliers alone.
    rho = np.rint(rho / RHO_GRID) * RHO_GRID
    for q in range(depth):
        mu[path[q]] = np.rint(mu[path[q]] / MU_GRID) * MU_GRID
    size = norms[i] + rho * (norm_c + abs(cap))
    for k in range(r):
        z[k] = side * points[i, k] + rho * c[k]
    for q in range(depth):
        j = path[q]
        m = mu[j]
        if m != 0.0:
            size += abs(m) * norms[j]
            for k in range(r):
                z[k] += m * points[j, k]
    zz = 0.0
    for k in range(r):
        zz += z[k] * z[k]
    return math.sqrt(zz) * (1.0 + (r + 6) * EPS) + (depth + 6) * EPS * size + FLOOR - rho * cap, rho


@njit(cache=True)
def advance(points, norms, square, kappa, linear, cutoff, stack, work, atoms, values, tree, events, after):
    """Visit nodes until the stack is empty, the tree array is full, or enough atoms were found. Returns a status."""
    N, r = points.shape
    low, high, ys, paths, signs, bounds, count, worst = stack
    c = np.empty(r)
    direction = np.empty(r)
    given = np.zeros(N)
    z = np.empty(r)
    index = np.empty(N + 1, np.int64)
    lower = np.empty(N)
    upper = np.empty(N)
    mu = np.zeros(N)
    mu_lower = np.zeros(N)
    mu_upper = np.zeros(N)
    branched = np.zeros(N, np.int8)
    l = np.empty(N)  # noqa: E741 (the letter of the docstring)
    u = np.empty(N)
    y = np.empty(N)
    path = np.empty(paths.shape[1], np.int64)
    sign = np.empty(paths.shape[1])
    record = events.shape[0] > 0
    norm_linear = 0.0
    for k in range(r):
        norm_linear += linear[k] * linear[k]
    norm_linear = math.sqrt(norm_linear)
    count[3] = 0
    count[4] = 0
    # Recording stops a call early when the next node's events might not fit.
    reserve = (ROUNDS + 1) * (N + 2) + ROUNDS * N * 2 * (2 * N + 8) if record else 0
    while count[0] > 0:
        if count[3] == tree.shape[0] or (record and events.shape[0] - count[4] < reserve):
            return RUNNING
        if count[1] > 0:
            if count[1] >= atoms.shape[0] or count[2] >= after:
                return FOUND
            count[2] += 1
        count[0] -= 1
        top = count[0]
        depth = np.int64(0)
        branched[:] = 0
        for q in range(paths.shape[1]):
            if paths[top, q] < 0:
                break
            path[q] = paths[top, q]
            sign[q] = signs[top, q]
            branched[path[q]] = 1
            mu_lower[path[q]] = 0.0 if sign[q] > 0 else -INFINITE
            mu_upper[path[q]] = INFINITE if sign[q] > 0 else 0.0
            depth += 1
        for i in range(N):
            l[i] = low[top, i]
            u[i] = high[top, i]
            y[i] = ys[top, i]
        closed = False
        empty = -1
        excess = 0.0
        previous = 1e300
        bound = bounds[top]
        split = -1
        for turn in range(ROUNDS):
            n = np.int64(0)
            alpha = 0.0
            for k in range(r):
                c[k] = linear[k]
            undecided = 0
            for i in range(N):
                if kappa[i] > 0.0 and l[i] < 0.0 < u[i]:
                    undecided += 1
            # Signs that tightening decided follow from those branched on, the cap included; a last cell, which has no
            # cap of its own, needs their multipliers too.
            cell = undecided == 0
            for i in range(N):
                kap = kappa[i]
                given[i] = 0.0
                if kap > 0.0 and u[i] - l[i] < SHORT and not (branched[i] or cell):
                    # Any slope does, and no reader of the proof would compute the same one.
                    t = min(max(u[i] / (u[i] - l[i]), 0.0), 1.0) if u[i] > l[i] else 0.5
                    y[i] = np.rint(t / Y_GRID) * Y_GRID * kap
                    alpha += max(-y[i] * l[i], (kap - y[i]) * u[i], 0.0)
                    given[i] = 1.0
                elif l[i] >= 0.0:
                    if branched[i] or cell:
                        lower[i] = kap
                        upper[i] = INFINITE
                        index[n] = i
                        n += 1
                        y[i] = max(y[i], kap)
                    else:
                        y[i] = kap
                elif u[i] <= 0.0:
                    if branched[i] or cell:
                        lower[i] = -INFINITE
                        upper[i] = 0.0
                        index[n] = i
                        n += 1
                        y[i] = min(y[i], 0.0)
                    else:
                        y[i] = 0.0
                elif kap > 0.0:
                    y[i] = kap * u[i] / (u[i] - l[i])
                    alpha += max(-y[i] * l[i], (kap - y[i]) * u[i])
                else:
                    lower[i] = kap
                    upper[i] = 0.0
                    index[n] = i
                    n += 1
                    y[i] = min(max(y[i], kap), 0.0)
                for k in range(r):
                    c[k] += y[i] * points[i, k]
            cycles = np.int64(CYCLES) if undecided > 0 else np.int64(FINAL_CYCLES)
            tolerance = 1e-3 if undecided > 0 else 1e-9
            # Aim a little below the cutoff so that the rounding allowance fits.
            target = cutoff * (1.0 - 1e-13) - alpha
            min_norm(points, square, index, n, lower, upper, y, c, cycles, target, tolerance, work)
            for q in range(n):
                i = index[q]
                y[i] = np.rint(y[i] / kappa[i] / Y_GRID) * Y_GRID * kappa[i]
                given[i] = 1.0
            # The proven bound, from y alone.
            size = norm_linear
            for k in range(r):
                c[k] = linear[k]
            for i in range(N):
                if y[i] != 0.0:
                    size += abs(y[i]) * norms[i]
                    for k in range(r):
                        c[k] += y[i] * points[i, k]
            norm_c = 0.0
            for k in range(r):
                norm_c += c[k] * c[k]
            norm_c = math.sqrt(norm_c)
            allowance = (N + 4) * EPS * size + FLOOR
            proven = (alpha + norm_c) * (1.0 + (N + r + 8) * EPS) + allowance
            # Comparisons are written so that a NaN, should one ever arise, proves nothing.
            if proven < bound:
                bound = proven
            if record:
                at = count[4]
                events[at] = 1
                events[at + 1] = 2 * N
                for i in range(N):
                    events[at + 2 + i] = y[i]
                    events[at + 2 + N + i] = given[i]
                count[4] += 2 * N + 2
            excess = proven - cutoff
            if excess <= 0.0:
                closed = True
                break
            if not excess < INFINITE:
                split = -1
                break
            norm_c += 1e-300
            for k in range(r):
                direction[k] = c[k] / norm_c
            # The point to branch on: the largest chord error at the maximiser of the bound (a little of the largest error
            # on the interval is added, which decides when that maximiser is outside).
            # A ĉ that vanishes has no direction, only rounding: then the chord errors at the origin decide.
            faint = norm_c <= FAINT * cutoff
            error = -1.0
            split = -1
            for i in range(N):
                if kappa[i] > 0.0 and l[i] < 0.0 and u[i] > 0.0:
                    s = 0.0
                    for k in range(r):
                        s += points[i, k] * direction[k]
                    s = 0.0 if faint else min(max(s, l[i]), u[i])
                    e = kappa[i] * (u[i] * (s - l[i]) - 1e-3 * l[i] * u[i]) / (u[i] - l[i]) - kappa[i] * max(s, 0.0)
                    if e > error:
                        error = e
                        split = i
            if split < 0 or excess > STALL * previous or turn == ROUNDS - 1:
                break
            previous = excess
            # Tighten with the cap, then with cap and signs where the chord is bad.
            cap = cutoff - (alpha * (1.0 + (N + 8) * EPS) + allowance)
            cap -= 2.0 * EPS * (cutoff + abs(cap))
            ratio = cap / norm_c
            useful = USEFUL < ratio < 1.0 - 1e-12 and norm_c > TINY
            for i in range(N):
                if not (l[i] < 0.0 < u[i]):
                    continue
                s = 0.0
                for k in range(r):
                    s += points[i, k] * direction[k]
                bad = False
                if kappa[i] > 0.0 and depth > 0:
                    t = min(max(s, l[i]), u[i])
                    e = kappa[i] * (u[i] * (t - l[i]) / (u[i] - l[i]) - max(t, 0.0))
                    bad = e > TIGHTEN_FRACTION * error
                if not (bad or useful):
                    continue
                cross = math.sqrt(max(0.0, square[i] - s * s) / (1.0 - ratio * ratio)) if useful else 0.0
                for q in range(2):
                    side = 1.0 - 2.0 * q
                    rho = max(0.0, ratio * cross - side * s) / norm_c if useful else 0.0
                    if bad:
                        v, rho = _support(
                            points, norms, square, i, side, path, sign, depth, c, norm_c, cap, rho, mu, mu_lower,
                            mu_upper, z, work,
                        )  # fmt: skip
                    else:
                        v, rho = _support(
                            points, norms, square, i, side, path, sign, np.int64(0), c, norm_c, cap, rho, mu, mu_lower,
                            mu_upper, z, work,
                        ) if rho > 0.0 else (norms[i], 0.0)  # fmt: skip
                    gain = u[i] - v if side > 0.0 else -v - l[i]
                    if gain > GAIN * (u[i] - l[i]):
                        if side > 0.0:
                            u[i] = v
                        else:
                            l[i] = -v
                        if record:
                            at = count[4]
                            events[at] = 0
                            events[at + 2] = i
                            events[at + 3] = side
                            events[at + 4] = rho
                            events[at + 5] = v
                            m = 0
                            if bad:
                                for p in range(depth):
                                    if mu[path[p]] != 0.0:
                                        events[at + 6 + 2 * m] = path[p]
                                        events[at + 7 + 2 * m] = mu[path[p]]
                                        m += 1
                            events[at + 1] = 4 + 2 * m
                            count[4] += 6 + 2 * m
                        if side > 0.0 and u[i] <= 0.0:
                            break
                if l[i] > u[i]:
                    empty = i
                    break
            if empty >= 0:
                closed = True
                break
        tree[count[3]] = 0
        if not closed:
            v = evaluate(points, kappa, linear, direction)
            if atoms.shape[0] > 0 and count[3] % SEARCH_EVERY == 0:
                # A short local search from here finds most neurons above the cutoff long before the tree does.
                upper[:] = 0.0
                for _ in range(SEARCH_STEPS):
                    for i in range(N):
                        lower[i] = 0.5 * kappa[i]
                    norm = ascent_step(points, square, kappa, linear, direction, lower, z, index, upper, work)
                    if norm <= v or norm <= TINY:
                        break
                    v = norm
                    for k in range(r):
                        direction[k] = z[k] / norm
                v = evaluate(points, kappa, linear, direction)
            if v > cutoff and count[1] < atoms.shape[0]:
                for k in range(r):
                    atoms[count[1], k] = direction[k]
                values[count[1]] = v
                count[1] += 1
            if split < 0 or count[0] + 2 > low.shape[0]:
                if not bound <= worst[0]:
                    worst[0] = bound
            else:
                s = 0.0
                for k in range(r):
                    s += points[split, k] * c[k]
                first = 1 if s > 0.0 else -1
                tree[count[3]] = first * (split + 1)
                for q in range(2):
                    t = top + q
                    half = -first if q == 0 else first  # the row pushed last is visited first
                    for i in range(N):
                        low[t, i] = l[i]
                        high[t, i] = u[i]
                        ys[t, i] = y[i]
                    for p in range(depth):
                        paths[t, p] = path[p]
                        signs[t, p] = sign[p]
                    paths[t, depth] = split
                    signs[t, depth] = half
                    paths[t, depth + 1] = -1
                    bounds[t] = bound
                    if half > 0:
                        low[t, split] = 0.0
                        ys[t, split] = kappa[split]
                    else:
                        high[t, split] = 0.0
                        ys[t, split] = 0.0
                count[0] += 2
        if record:
            at = count[4]
            events[at] = 3 if tree[count[3]] == 0 else 2
            events[at + 1] = 0
            if tree[count[3]] != 0:
                events[at + 1] = 1
                events[at + 2] = tree[count[3]]
            elif empty >= 0:
                events[at + 1] = 1
                events[at + 2] = empty
            count[4] += 2 + int(events[at + 1])
        count[3] += 1
    return FOUND if count[1] > 0 else FINISHED
