"""Which steps of a branch and bound a written proof keeps, and how exactly: the search does more than its leaves need.

A subtree is a range of the recorded steps (tree_language.py). A leaf is closed by α + ‖ĉ‖ ≤ u with room to spare, and so is a node
called empty. `trimmed` spends that room, from the leaves up, in each node with at most LEAVES leaves below it. `_closes` evaluates
(1) and (2) of branch.py again, in floating point, without what is left out, and tells whether all these leaves still close:

1. `_coarsen`: the multipliers are rounded to coarser grids, which makes them shorter;
2. `_trim`: tightenings are left out, first those that matter least for what they cost by the derivative of the leaf's bound
   (`_weigh`), in groups that are halved when they cannot all go.

Nothing of this is trusted: the certificate is checked when it has been written.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cpcert.certificate.recorded_tree import SPARE, bound, copy, shorten, slope, tightened
from cpcert.compiled import njit
from cpcert.oracle.tree_language import (
    BOUND,
    BRANCH,
    CLOSE,
    COUNT,
    EMPTY,
    FIRST,
    PAIRS,
    RHO,
    SIDE,
    TIGHTEN,
    VALUE,
    ends_node,
    kind_of,
    plus_first,
    point_of,
    step_end,
)

# Nodes with more leaves below them are not trimmed: every trial evaluates all of these leaves.
LEAVES = 16
# Trials for one node.
TRIALS = 60
# Grids of y/κ, μ and ρ, the coarsest first; multiples of them in the units of the file end with zeros, which compress well.
GRIDS = (
    (2.0**-8, 2.0**-5, 2.0**-7),
    (2.0**-10, 2.0**-6, 2.0**-8),
    (2.0**-13, 2.0**-8, 2.0**-10),
    (2.0**-16, 2.0**-10, 2.0**-12),
)


class _Scratch(NamedTuple):
    """low, high (D, N): intervals of open nodes, D more than LEAVES. c, z (r,)."""

    low: np.ndarray
    high: np.ndarray
    c: np.ndarray
    z: np.ndarray


class _Visited(NamedTuple):
    """The node visited and those above it, a row each."""

    begin: np.ndarray  # its first step
    own_end: np.ndarray  # the end of its own steps
    low: np.ndarray  # its intervals when it starts
    high: np.ndarray
    next_low: np.ndarray  # those of its second child
    next_high: np.ndarray
    low_rate: np.ndarray  # the rates of `_weigh`
    high_rate: np.ndarray
    leaves: np.ndarray
    children: np.ndarray  # visited so far


@njit(cache=True, counted=False)
def _closes(tree, keep, begin, end, start_low, start_high, scratch):
    """Whether all leaves close in the subtree of the steps begin … end − 1, with the steps that are kept.

    start_low, start_high (N,): the intervals of its root. scratch has at least as many rows as it has leaves.
    """
    steps, cutoff = tree.steps, tree.cutoff
    low, high, c, z = scratch
    copy(start_low, low[0])
    copy(start_high, high[0])
    top = 0
    alpha = 0.0
    for q in range(begin, end):
        at = tree.offset[q]
        kind = kind_of(steps, at)
        if kind == BOUND and keep[q]:
            alpha = bound(tree, at, low[top], high[top], c)
        elif kind == TIGHTEN and keep[q]:
            shorten(steps, at, tightened(tree, at, cutoff - alpha, c, z), low[top], high[top])
        elif kind == BRANCH:
            i = point_of(steps, at)
            copy(low[top], low[top + 1])
            copy(high[top], high[top + 1])
            row = top + 1 if plus_first(steps, at) else top
            low[row, i] = max(low[row, i], 0.0)
            row = top if plus_first(steps, at) else top + 1
            high[row, i] = min(high[row, i], 0.0)
            top += 1
        elif ends_node(steps, at):
            if kind == EMPTY:
                i = point_of(steps, at)
                excess = high[top, i] - low[top, i] + SPARE
            else:
                size = 0.0
                for k in range(c.shape[0]):
                    size += c[k] * c[k]
                excess = alpha + math.sqrt(size) - cutoff * (1.0 - SPARE)
            if not excess <= 0.0:
                return False
            top -= 1
    return True


@njit(cache=True, counted=False)
def _leaf_rates(tree, at, room, low, high, norm, c, low_rate, high_rate):
    """The derivatives of α + ‖ĉ‖ of the last bound of a leaf, at `at`, by −l and u, over its room."""
    kappa = tree.kappa
    for i in range(kappa.shape[0]):
        t, fixed = slope(tree, at, low, high, i)
        if kappa[i] < 0.0:
            continue
        if fixed:
            low_rate[i] = kappa[i] * t / room
            high_rate[i] = kappa[i] * (1.0 - t) / room
        else:
            s = 0.0
            for k in range(c.shape[0]):
                s += tree.points[i, k] * c[k]
            s = min(max(s / norm, low[i]), high[i])
            width = max(high[i] - low[i], 1e-300)
            low_rate[i] = kappa[i] * abs(high[i] * (high[i] - s)) / (width * width) / room
            high_rate[i] = kappa[i] * abs(low[i] * (s - low[i])) / (width * width) / room


@njit(cache=True, counted=False)
def _cap_rates(tree, at, cap, low, high, low_rate, high_rate):
    """What the cap of the bound at `at` adds to the rates: by `cap` per unit of α."""
    kappa = tree.kappa
    for i in range(kappa.shape[0]):
        if kappa[i] < 0.0:
            continue
        t, fixed = slope(tree, at, low, high, i)
        if fixed:
            low_rate[i] += cap * kappa[i] * t
            high_rate[i] += cap * kappa[i] * (1.0 - t)
        else:
            low_rate[i] += cap * kappa[i] * t * t
            high_rate[i] += cap * kappa[i] * (1.0 - t) * (1.0 - t)


@njit(cache=True)
def _weigh(tree, begin, end, low, high, low_rate, high_rate, weight, c):
    """weight[q]: by how much of its room a leaf's bound grows when the tightening q of this node goes, to first order.

    begin … end − 1: the steps of one node. low, high (N,): its intervals at the start, at the end afterwards. low_rate, high_rate
    (N,): the derivatives of the excess of the leaves below by −l and u, each over the room of its leaf, at the end of an inner
    node; afterwards at its start. That ĉ moves with the intervals is left out, but at the last bound of a leaf.
    """
    steps, offset, cutoff = tree.steps, tree.offset, tree.cutoff
    N, r = tree.points.shape
    rounds = 0
    for q in range(begin, end):
        rounds += kind_of(steps, offset[q]) == BOUND
    lows = np.empty((rounds, N))
    highs = np.empty((rounds, N))
    before = np.empty(end - begin)
    turn = -1
    alpha = 0.0
    for q in range(begin, end):
        at = offset[q]
        kind = kind_of(steps, at)
        if kind == BOUND:
            turn += 1
            copy(low, lows[turn])
            copy(high, highs[turn])
            alpha = bound(tree, at, low, high, c)
        elif kind == TIGHTEN:
            i = point_of(steps, at)
            before[q - begin] = high[i] if steps[at + SIDE] > 0.0 else -low[i]
            shorten(steps, at, steps[at + VALUE], low, high)
    at = offset[end - 1]
    if kind_of(steps, at) == EMPTY:
        i = point_of(steps, at)
        low_rate[i] = high_rate[i] = 1.0 / max(low[i] - high[i], SPARE)
    elif kind_of(steps, at) == CLOSE:
        norm = 1e-300
        for k in range(r):
            norm += c[k] * c[k]
        norm = math.sqrt(norm)
        room = max(cutoff - alpha - norm, SPARE * cutoff)
        _leaf_rates(tree, offset[end - 2], room, low, high, norm, c, low_rate, high_rate)
    cap = 0.0
    for q in range(end - 2, begin - 1, -1):
        at = offset[q]
        if kind_of(steps, at) == BOUND:
            if cap > 0.0:
                _cap_rates(tree, at, cap, lows[turn], highs[turn], low_rate, high_rate)
            cap = 0.0
            turn -= 1
        elif kind_of(steps, at) == TIGHTEN:
            i = point_of(steps, at)
            gain = before[q - begin] - steps[at + VALUE]
            rate = high_rate if steps[at + SIDE] > 0.0 else low_rate
            weight[q] = rate[i] * max(gain, 0.0)
            if gain > 0.0:
                cap += rate[i] * steps[at + RHO]
                rate[i] = 0.0


@njit(cache=True)
def _trim(tree, keep, begin, own_end, end, start_low, start_high, weight, scratch):
    """Leave out tightenings of the node of the steps begin … own_end − 1, whose subtree ends before the step `end`."""
    steps, offset = tree.steps, tree.offset
    # The tightenings, the one of the least weight for its cost first.
    count = 0
    order = np.empty(own_end - begin, np.int64)
    ratio = np.empty(own_end - begin)
    for q in range(begin, own_end):
        if kind_of(steps, offset[q]) == TIGHTEN:
            own = weight[q] / (4.0 + steps[offset[q] + COUNT])
            at = count
            while at > 0 and ratio[at - 1] > own:
                ratio[at], order[at] = ratio[at - 1], order[at - 1]
                at -= 1
            ratio[at], order[at] = own, q
            count += 1
    at = 0
    step = count
    for _ in range(TRIALS):
        if at == count:
            break
        step = min(step, count - at)
        for p in range(at, at + step):
            keep[order[p]] = False
        if _closes(tree, keep, begin, end, start_low, start_high, scratch):
            at += step
            continue
        for p in range(at, at + step):
            keep[order[p]] = True
        if step == 1:
            at += 1
        else:
            step //= 2


@njit(cache=True)
def _coarsen(tree, keep, begin, own_end, end, start_low, start_high, scratch):
    """Round the multipliers of a node to the first of the grids with which its leaves still close."""
    steps, kappa = tree.steps, tree.kappa
    N = kappa.shape[0]
    first, last = tree.offset[begin], tree.offset[own_end]
    exact = steps[first:last].copy()
    for y_grid, mu_grid, rho_grid in GRIDS:
        for q in range(begin, own_end):
            at = tree.offset[q]
            if kind_of(steps, at) == BOUND:
                for i in range(N):
                    if kappa[i] < 0.0 or steps[at + FIRST + N + i] != 0.0:
                        t = exact[at - first + FIRST + i] / kappa[i]
                        steps[at + FIRST + i] = np.rint(t / y_grid) * y_grid * kappa[i]
            elif kind_of(steps, at) == TIGHTEN:
                steps[at + RHO] = np.rint(exact[at - first + RHO] / rho_grid) * rho_grid
                for p in range(at + PAIRS + 1, step_end(steps, at), 2):
                    steps[p] = np.rint(exact[p - first] / mu_grid) * mu_grid
        if _closes(tree, keep, begin, end, start_low, start_high, scratch):
            return
    copy(exact, steps[first:last])


@njit(cache=True, counted=False)
def _enter(tree, visited, top, q, end_low, end_high):
    """Note the node that starts with step q, and the intervals of its children, if it has any. Returns the end of its own steps."""
    steps, offset = tree.steps, tree.offset
    visited.begin[top] = q
    while not ends_node(steps, offset[q]):
        q += 1
    q += 1
    visited.own_end[top] = q
    visited.children[top] = 0
    visited.leaves[top] = 0
    for i in range(end_low.shape[0]):
        visited.low_rate[top, i] = visited.high_rate[top, i] = 0.0
    at = offset[q - 1]
    if kind_of(steps, at) != BRANCH:
        visited.leaves[top] = 1
        return q
    copy(visited.low[top], end_low)
    copy(visited.high[top], end_high)
    for p in range(visited.begin[top], q):
        if kind_of(steps, offset[p]) == TIGHTEN:
            shorten(steps, offset[p], steps[offset[p] + VALUE], end_low, end_high)
    i = point_of(steps, at)
    for ends in (visited.low[top + 1], visited.next_low[top]):
        copy(end_low, ends)
    for ends in (visited.high[top + 1], visited.next_high[top]):
        copy(end_high, ends)
    if plus_first(steps, at):
        visited.low[top + 1, i] = max(end_low[i], 0.0)
        visited.next_high[top, i] = min(end_high[i], 0.0)
    else:
        visited.high[top + 1, i] = min(end_high[i], 0.0)
        visited.next_low[top, i] = max(end_low[i], 0.0)
    return q


@njit(cache=True)
def _spend(tree, visited, top, q, keep, weight, end_low, end_high, scratch):
    """Spend the room of the leaves below a node on its own steps; then find the rates at its start. Its subtree ends before step q."""
    begin, own_end = visited.begin[top], visited.own_end[top]
    low, high = visited.low[top], visited.high[top]
    copy(low, end_low)
    copy(high, end_high)
    if visited.leaves[top] > LEAVES:
        return
    room = _closes(tree, keep, begin, q, low, high, scratch)
    if room:
        _coarsen(tree, keep, begin, own_end, q, low, high, scratch)
    _weigh(
        tree, begin, own_end, end_low, end_high, visited.low_rate[top], visited.high_rate[top], weight, scratch.c
    )  # fmt: skip
    if room:
        _trim(tree, keep, begin, own_end, q, low, high, weight, scratch)


@njit(cache=True)
def trimmed(tree, depth):
    """Whether each step is kept; the steps get the coarser multipliers. depth: more than the most branchings above a node."""
    N, r = tree.points.shape
    steps, offset = tree.steps, tree.offset
    total = offset.shape[0] - 1
    keep = np.ones(total, np.bool_)
    weight = np.zeros(total)
    scratch = _Scratch(np.empty((LEAVES + 2, N)), np.empty((LEAVES + 2, N)), np.empty(r), np.empty(r))
    visited = _Visited(
        np.zeros(depth, np.int64), np.zeros(depth, np.int64), np.empty((depth, N)), np.empty((depth, N)),
        np.empty((depth, N)), np.empty((depth, N)), np.zeros((depth, N)), np.zeros((depth, N)),
        np.zeros(depth, np.int64), np.zeros(depth, np.int64),
    )  # fmt: skip
    end_low = np.empty(N)
    end_high = np.empty(N)
    copy(tree.low, visited.low[0])
    copy(tree.high, visited.high[0])
    top = 0
    q = 0
    while True:
        q = _enter(tree, visited, top, q, end_low, end_high)
        if kind_of(steps, offset[q - 1]) == BRANCH:
            top += 1
            continue
        # Leave the nodes whose subtree ends here.
        while True:
            _spend(tree, visited, top, q, keep, weight, end_low, end_high, scratch)
            if top == 0:
                return keep
            top -= 1
            visited.leaves[top] += visited.leaves[top + 1]
            visited.children[top] += 1
            at = offset[visited.own_end[top] - 1]
            i = point_of(steps, at)
            if plus_first(steps, at) == (visited.children[top] == 1):
                visited.low_rate[top + 1, i] = 0.0
            else:
                visited.high_rate[top + 1, i] = 0.0
            for i in range(N):
                visited.low_rate[top, i] += visited.low_rate[top + 1, i]
                visited.high_rate[top, i] += visited.high_rate[top + 1, i]
            if visited.children[top] == 1:
                copy(visited.next_low[top], visited.low[top + 1])
                copy(visited.next_high[top], visited.high[top + 1])
                top += 1
                break
