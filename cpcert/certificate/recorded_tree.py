"""A recorded tree read as the checker reads it: inequalities (1) and (2) of branch.py, evaluated again in floating point.

`needed` finds the steps on which some leaf rests: it walks back from the leaves through the bound that gave the cap and the
tightenings that gave the intervals. Nothing of this is trusted: the certificate is checked when it has been written.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cpcert.compiled import njit
from cpcert.oracle.tree_language import (
    BOUND,
    BRANCH,
    EMPTY,
    FIRST,
    PAIRS,
    RHO,
    SIDE,
    TIGHTEN,
    ends_node,
    kind_of,
    plus_first,
    point_of,
    step_end,
)

# Leaves must close with this part of the cutoff to spare, which covers the rounding of `_closes`.
SPARE = 2.0**-38


class Tree(NamedTuple):
    """A recorded proof of f ≤ cutoff, as in BranchProof, where each of its steps starts, and the intervals of its first node."""

    steps: np.ndarray
    offset: np.ndarray
    points: np.ndarray  # (N, r)
    kappa: np.ndarray  # (N,)
    linear: np.ndarray  # (r,)
    cutoff: float
    low: np.ndarray  # (N,)
    high: np.ndarray


@njit(cache=True, counted=False)
def copy(values, target):
    """target[:] = values, which numba takes seconds to compile wherever it stands."""
    for i in range(values.shape[0]):
        target[i] = values[i]


@njit(cache=True, counted=False)
def slope(tree, at, low, high, i):
    """(t, fixed): y_i = κ_i t of the bound at `at`, as the checker reads it; fixed: a number, not the slope of the interval."""
    steps, kappa = tree.steps, tree.kappa
    if kappa[i] == 0.0:
        return 0.0, False
    t = steps[at + FIRST + i] / kappa[i]
    if kappa[i] < 0.0:
        return t, True
    if steps[at + FIRST + kappa.shape[0] + i] != 0.0:
        return t, True
    if high[i] <= 0.0:
        return 0.0, False
    if low[i] >= 0.0:
        return 1.0, False
    return high[i] / (high[i] - low[i]), False


@njit(cache=True, counted=False)
def bound(tree, at, low, high, c):
    """α of the bound at `at` on the intervals given; ĉ into c."""
    points, kappa = tree.points, tree.kappa
    alpha = 0.0
    copy(tree.linear, c)
    for i in range(kappa.shape[0]):
        t, _ = slope(tree, at, low, high, i)
        y = kappa[i] * t
        if kappa[i] > 0.0:
            below = ((1.0 if low[i] > 0.0 else 0.0) - t) * low[i]
            above = ((1.0 if high[i] > 0.0 else 0.0) - t) * high[i]
            alpha += kappa[i] * max(below, above)
        elif t < 0.0:
            alpha += max(0.0, -y * low[i])
        elif t > 1.0:
            alpha += max(0.0, (kappa[i] - y) * high[i])
        if y != 0.0:
            for k in range(c.shape[0]):
                c[k] += y * points[i, k]
    return alpha


@njit(cache=True, counted=False)
def tightened(tree, at, cap, c, z):
    """The end of an interval of the tightening at `at`: inequality (2) with ĉ = c, ς = cap."""
    steps, points = tree.steps, tree.points
    rho = steps[at + RHO]
    i = point_of(steps, at)
    r = c.shape[0]
    for k in range(r):
        z[k] = steps[at + SIDE] * points[i, k] + rho * c[k]
    for p in range(at + PAIRS, step_end(steps, at), 2):
        j = int(steps[p])
        for k in range(r):
            z[k] += steps[p + 1] * points[j, k]
    size = 0.0
    for k in range(r):
        size += z[k] * z[k]
    return math.sqrt(size) - rho * cap


@njit(cache=True, counted=False)
def shorten(steps, at, v, low, high):
    """The interval of the point of a tightening, with its end at v."""
    i = point_of(steps, at)
    if steps[at + SIDE] > 0.0:
        high[i] = min(high[i], v)
    else:
        low[i] = max(low[i], -v)


class _Ends(NamedTuple):
    """The intervals of the open nodes (D, N), and the steps that gave their ends; −1: a branching, or the ball."""

    low: np.ndarray
    high: np.ndarray
    low_from: np.ndarray
    high_from: np.ndarray


@njit(cache=True)
def _bound_sources(tree, at, ends, top, sources, used):
    """The tightenings on whose intervals the bound at `at` rests go to sources[used:]; returns the end of them.

    The flag of a slope that follows from the interval becomes 0.
    """
    kappa = tree.kappa
    N = kappa.shape[0]
    low, high, low_from, high_from = ends.low[top], ends.high[top], ends.low_from[top], ends.high_from[top]
    for i in range(N):
        t, fixed = slope(tree, at, low, high, i)
        if kappa[i] > 0.0:
            below, above = t > 0.0, t < 1.0
            # What the reader of the interval would take for t anyway, whatever it rounds.
            positive = low[i] > SPARE or (low[i] == 0.0 and low_from[i] < 0)
            negative = high[i] < -SPARE or (high[i] == 0.0 and high_from[i] < 0)
            if fixed and ((t == 1.0 and positive) or (t == 0.0 and negative)):
                tree.steps[at + FIRST + N + i] = 0.0
        else:
            below, above = t < 0.0, t > 1.0
        if below and low_from[i] >= 0:
            sources[used] = low_from[i]
            used += 1
        if above and high_from[i] >= 0:
            sources[used] = high_from[i]
            used += 1
    return used


@njit(cache=True)
def _branch_ends(steps, at, ends, top):
    """The rows of the two children: the row above is visited first, the other child stays below it."""
    i = point_of(steps, at)
    for values in (ends.low, ends.high):
        copy(values[top], values[top + 1])
    for origins in (ends.low_from, ends.high_from):
        copy(origins[top], origins[top + 1])
    plus, minus = (top + 1, top) if plus_first(steps, at) else (top, top + 1)
    if ends.low[plus, i] < 0.0:
        ends.low[plus, i] = 0.0
        ends.low_from[plus, i] = -1
    if ends.high[minus, i] > 0.0:
        ends.high[minus, i] = 0.0
        ends.high_from[minus, i] = -1


@njit(cache=True)
def _what_it_rests_on(tree, keep, depth):
    """(rests, first, sources): for each step the one step it rests on, or −1, and for bounds and empty nodes the steps
    sources[first[q] : first[q + 1]]. The flags of slopes that follow from the intervals become 0."""
    steps = tree.steps
    N, r = tree.points.shape
    total = tree.offset.shape[0] - 1
    rests = np.full(total, -1, np.int64)
    first = np.zeros(total + 1, np.int64)
    sources = np.empty(1024, np.int32)
    used = 0
    ends = _Ends(
        np.empty((depth, N)), np.empty((depth, N)), np.full((depth, N), -1, np.int64), np.full((depth, N), -1, np.int64)
    )
    c = np.empty(r)
    z = np.empty(r)
    copy(tree.low, ends.low[0])
    copy(tree.high, ends.high[0])
    top = 0
    last = -1
    alpha = 0.0
    for q in range(total):
        at = tree.offset[q]
        kind = kind_of(steps, at)
        first[q] = used
        if used + 2 * N + 2 > sources.shape[0]:
            larger = np.empty(2 * sources.shape[0] + 2 * N + 2, np.int32)
            copy(sources, larger)
            sources = larger
        if not keep[q]:
            continue
        if kind == BOUND:
            alpha = bound(tree, at, ends.low[top], ends.high[top], c)
            last = q
            used = _bound_sources(tree, at, ends, top, sources, used)
        elif kind == TIGHTEN:
            v = tightened(tree, at, tree.cutoff - alpha, c, z)
            i = point_of(steps, at)
            if steps[at + RHO] != 0.0:
                rests[q] = last
            if steps[at + SIDE] > 0.0:
                if v < ends.high[top, i]:
                    ends.high[top, i] = v
                    ends.high_from[top, i] = q
            elif -v > ends.low[top, i]:
                ends.low[top, i] = -v
                ends.low_from[top, i] = q
        elif kind == BRANCH:
            _branch_ends(steps, at, ends, top)
            top += 1
            last = -1
        else:
            if kind == EMPTY:
                i = point_of(steps, at)
                for source in (ends.low_from[top, i], ends.high_from[top, i]):
                    if source >= 0:
                        sources[used] = source
                        used += 1
            else:
                rests[q] = last
            top -= 1
            last = -1
    first[total] = used
    return rests, first, sources


@njit(cache=True)
def needed(tree, keep, depth):
    """The steps, of those kept, on which the leaves rest. The flags of slopes that follow from the intervals become 0."""
    rests, first, sources = _what_it_rests_on(tree, keep, depth)
    total = rests.shape[0]
    need = np.zeros(total, np.bool_)
    for q in range(total - 1, -1, -1):
        need[q] |= ends_node(tree.steps, tree.offset[q])
        if need[q]:
            if rests[q] >= 0:
                need[rests[q]] = True
            for p in range(first[q], first[q + 1]):
                need[sources[p]] = True
    return need
