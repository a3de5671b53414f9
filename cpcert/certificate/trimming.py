"""Which steps of a branch and bound a written proof keeps, and how exactly: the search does more than its leaves need.

`events` are the steps of a replay (BranchProof.events), one after another; node by node, depth first, so that a subtree is a
range of them. A leaf is closed by α + ‖ĉ‖ ≤ u with room to spare, and so is a node called empty. `trimmed` spends that room, from
the leaves up, in each node with at most LEAVES leaves below it. `_closes` evaluates (1) and (2) of branch.py again, in floating
point, without what is left out, and tells whether all these leaves still close:

1. `_coarsen`: the multipliers are rounded to coarser grids, which makes them shorter;
2. `_trim`: tightenings are left out, first those that matter least for what they cost by the derivative of the leaf's bound
   (`_weigh`), in groups that are halved when they cannot all go.

`needed` finds, of what is left, the steps on which some leaf rests: it walks back from the leaves through the bound that gave
the cap and the tightenings that gave the intervals.

Nothing of this is trusted: the certificate is checked when it has been written.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# Nodes with more leaves below them are not trimmed: every trial evaluates all of these leaves.
LEAVES = 16
# Trials for one node.
TRIALS = 60
# Leaves must close with this part of the cutoff to spare, which covers the rounding of `_closes`.
SPARE = 2.0**-38
# Grids of y/κ, μ and ρ, the coarsest first; multiples of them in the units of the file end with zeros, which compress well.
GRIDS = (
    (2.0**-8, 2.0**-5, 2.0**-7),
    (2.0**-10, 2.0**-6, 2.0**-8),
    (2.0**-13, 2.0**-8, 2.0**-10),
    (2.0**-16, 2.0**-10, 2.0**-12),
)
TIGHTEN, BOUND, BRANCH, CLOSE = range(4)  # places in branch.EVENTS


@njit(cache=True)
def offsets(events):
    """Where each step starts, and the end of the last."""
    total = 0
    at = 0
    while at < events.shape[0]:
        at += 2 + int(events[at + 1])
        total += 1
    found = np.empty(total + 1, np.int64)
    at = 0
    for q in range(total):
        found[q] = at
        at += 2 + int(events[at + 1])
    found[total] = at
    return found


@njit(cache=True)
def nodes(events):
    """How many nodes these steps end: each ends with a branching or a close."""
    count = 0
    at = 0
    while at < events.shape[0]:
        count += events[at] >= BRANCH
        at += 2 + int(events[at + 1])
    return count


@njit(cache=True)
def _copy(values, target):
    """target[:] = values, which numba takes seconds to compile wherever it stands."""
    for i in range(values.shape[0]):
        target[i] = values[i]


@njit(cache=True)
def _ball(points, low, high):
    """The intervals of x_iᵀw over the unit ball."""
    for i in range(points.shape[0]):
        size = 0.0
        for k in range(points.shape[1]):
            size += points[i, k] * points[i, k]
        high[i] = math.sqrt(size)
        low[i] = -high[i]


@njit(cache=True)
def _slope(events, at, kappa, low, high, i):
    """(t, fixed): y_i = κ_i t of the bound at `at`, as the checker reads it; fixed: a number, not the slope of the interval."""
    t = events[at + 2 + i] / kappa[i]
    if kappa[i] < 0.0:
        return t, True
    if events[at + 2 + kappa.shape[0] + i] != 0.0:
        return t, True
    if high[i] <= 0.0:
        return 0.0, False
    if low[i] >= 0.0:
        return 1.0, False
    return high[i] / (high[i] - low[i]), False


@njit(cache=True)
def _bound(events, at, points, kappa, linear, low, high, c):
    """α of the bound at `at` on the intervals given; ĉ into c."""
    alpha = 0.0
    r = linear.shape[0]
    _copy(linear, c)
    for i in range(kappa.shape[0]):
        t, _ = _slope(events, at, kappa, low, high, i)
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
            for k in range(r):
                c[k] += y * points[i, k]
    return alpha


@njit(cache=True)
def _tightened(events, at, points, cap, c, z):
    """The end of an interval of the tightening at `at`: inequality (2) with ĉ = c, ς = cap."""
    rho = events[at + 4]
    i = int(events[at + 2])
    r = c.shape[0]
    for k in range(r):
        z[k] = events[at + 3] * points[i, k] + rho * c[k]
    for p in range(at + 6, at + 2 + int(events[at + 1]), 2):
        j = int(events[p])
        for k in range(r):
            z[k] += events[p + 1] * points[j, k]
    size = 0.0
    for k in range(r):
        size += z[k] * z[k]
    return math.sqrt(size) - rho * cap


@njit(cache=True)
def _closes(events, offset, keep, begin, end, points, kappa, linear, cutoff, start_low, start_high, rows, c, z):
    """Whether all leaves close in the subtree of the steps begin … end − 1, with the steps that are kept.

    start_low, start_high (N,): the intervals of its root. rows: two arrays (D, N), D at least its number of leaves; overwritten.
    """
    low, high = rows
    _copy(start_low, low[0])
    _copy(start_high, high[0])
    top = 0
    alpha = 0.0
    for q in range(begin, end):
        at = offset[q]
        kind = int(events[at])
        if kind == BOUND and keep[q]:
            alpha = _bound(events, at, points, kappa, linear, low[top], high[top], c)
        elif kind == TIGHTEN and keep[q]:
            i = int(events[at + 2])
            v = _tightened(events, at, points, cutoff - alpha, c, z)
            if events[at + 3] > 0.0:
                high[top, i] = min(high[top, i], v)
            else:
                low[top, i] = max(low[top, i], -v)
        elif kind == BRANCH:
            i = int(abs(events[at + 2])) - 1
            _copy(low[top], low[top + 1])
            _copy(high[top], high[top + 1])
            row = top + 1 if events[at + 2] > 0.0 else top
            low[row, i] = max(low[row, i], 0.0)
            row = top if events[at + 2] > 0.0 else top + 1
            high[row, i] = min(high[row, i], 0.0)
            top += 1
        elif kind == CLOSE:
            if events[at + 1] > 0.0:
                i = int(events[at + 2])
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


@njit(cache=True)
def _weigh(events, offset, begin, end, points, kappa, linear, cutoff, low, high, low_rate, high_rate, weight, c, z):
    """weight[q]: by how much of its room a leaf's bound grows when the tightening q of this node goes, to first order.

    begin … end − 1: the steps of one node. low, high (N,): its intervals at the start, at the end afterwards. low_rate, high_rate
    (N,): the derivatives of the excess of the leaves below by −l and u, each over the room of its leaf, at the end of an inner
    node; afterwards at its start. That ĉ moves with the intervals is left out, but at the last bound of a leaf.
    """
    N, r = points.shape
    rounds = 0
    for q in range(begin, end):
        rounds += events[offset[q]] == BOUND
    lows = np.empty((rounds, N))
    highs = np.empty((rounds, N))
    before = np.empty(end - begin)
    turn = -1
    alpha = 0.0
    for q in range(begin, end):
        at = offset[q]
        kind = int(events[at])
        if kind == BOUND:
            turn += 1
            _copy(low, lows[turn])
            _copy(high, highs[turn])
            alpha = _bound(events, at, points, kappa, linear, low, high, c)
        elif kind == TIGHTEN:
            i = int(events[at + 2])
            v = events[at + 5]
            if events[at + 3] > 0.0:
                before[q - begin] = high[i]
                high[i] = min(high[i], v)
            else:
                before[q - begin] = -low[i]
                low[i] = max(low[i], -v)
    at = offset[end - 1]
    if events[at] == CLOSE and events[at + 1] > 0.0:
        i = int(events[at + 2])
        low_rate[i] = high_rate[i] = 1.0 / max(low[i] - high[i], SPARE)
    elif events[at] == CLOSE:
        norm = 1e-300
        for k in range(r):
            norm += c[k] * c[k]
        norm = math.sqrt(norm)
        room = max(cutoff - alpha - norm, SPARE * cutoff)
        at = offset[end - 2]
        for i in range(N):
            t, fixed = _slope(events, at, kappa, low, high, i)
            if kappa[i] < 0.0:
                continue
            if fixed:
                low_rate[i] = kappa[i] * t / room
                high_rate[i] = kappa[i] * (1.0 - t) / room
            else:
                s = 0.0
                for k in range(r):
                    s += points[i, k] * c[k]
                s = min(max(s / norm, low[i]), high[i])
                width = max(high[i] - low[i], 1e-300)
                low_rate[i] = kappa[i] * abs(high[i] * (high[i] - s)) / (width * width) / room
                high_rate[i] = kappa[i] * abs(low[i] * (s - low[i])) / (width * width) / room
    cap = 0.0
    for q in range(end - 2, begin - 1, -1):
        at = offset[q]
        if events[at] == BOUND:
            if cap > 0.0:
                for i in range(N):
                    if kappa[i] < 0.0:
                        continue
                    t, fixed = _slope(events, at, kappa, lows[turn], highs[turn], i)
                    if fixed:
                        low_rate[i] += cap * kappa[i] * t
                        high_rate[i] += cap * kappa[i] * (1.0 - t)
                    else:
                        low_rate[i] += cap * kappa[i] * t * t
                        high_rate[i] += cap * kappa[i] * (1.0 - t) * (1.0 - t)
            cap = 0.0
            turn -= 1
        elif events[at] == TIGHTEN:
            i = int(events[at + 2])
            gain = before[q - begin] - events[at + 5]
            rate = high_rate if events[at + 3] > 0.0 else low_rate
            weight[q] = rate[i] * max(gain, 0.0)
            if gain > 0.0:
                cap += rate[i] * events[at + 4]
                rate[i] = 0.0


@njit(cache=True)
def _trim(
    events, offset, keep, begin, own_end, end, points, kappa, linear, cutoff, start_low, start_high, weight, rows, c, z
):
    """Leave out tightenings of the node of the steps begin … own_end − 1, whose subtree ends before the step `end`."""
    # The tightenings, the one of the least weight for its cost first.
    count = 0
    order = np.empty(own_end - begin, np.int64)
    ratio = np.empty(own_end - begin)
    for q in range(begin, own_end):
        if events[offset[q]] == TIGHTEN:
            own = weight[q] / (4.0 + events[offset[q] + 1])
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
        if _closes(events, offset, keep, begin, end, points, kappa, linear, cutoff, start_low, start_high, rows, c, z):
            at += step
            continue
        for p in range(at, at + step):
            keep[order[p]] = True
        if step == 1:
            at += 1
        else:
            step //= 2


@njit(cache=True)
def _coarsen(
    events, offset, keep, begin, own_end, end, points, kappa, linear, cutoff, start_low, start_high, rows, c, z
):
    """Round the multipliers of a node to the first of the grids with which its leaves still close."""
    N = kappa.shape[0]
    first, last = offset[begin], offset[own_end]
    exact = events[first:last].copy()
    for y_grid, mu_grid, rho_grid in GRIDS:
        for q in range(begin, own_end):
            at = offset[q]
            if events[at] == BOUND:
                for i in range(N):
                    if kappa[i] < 0.0 or events[at + 2 + N + i] != 0.0:
                        t = exact[at - first + 2 + i] / kappa[i]
                        events[at + 2 + i] = np.rint(t / y_grid) * y_grid * kappa[i]
            elif events[at] == TIGHTEN:
                events[at + 4] = np.rint(exact[at - first + 4] / rho_grid) * rho_grid
                for p in range(at + 7, at + 2 + int(events[at + 1]), 2):
                    events[p] = np.rint(exact[p - first] / mu_grid) * mu_grid
        if _closes(events, offset, keep, begin, end, points, kappa, linear, cutoff, start_low, start_high, rows, c, z):
            return
    _copy(exact, events[first:last])


@njit(cache=True)
def trimmed(events, offset, points, kappa, linear, cutoff, depth):
    """Whether each step is kept; events: gets the coarser multipliers. depth: more than the most branchings above a node."""
    N, r = points.shape
    total = offset.shape[0] - 1
    keep = np.ones(total, np.bool_)
    weight = np.zeros(total)
    c = np.empty(r)
    z = np.empty(r)
    rows = np.empty((LEAVES + 2, N)), np.empty((LEAVES + 2, N))
    # Of the node visited and those above it: where it starts, the end of its own steps, its intervals, rates and leaves.
    begin = np.zeros(depth, np.int64)
    own_end = np.zeros(depth, np.int64)
    low = np.empty((depth, N))
    high = np.empty((depth, N))
    next_low = np.empty((depth, N))  # of the second child
    next_high = np.empty((depth, N))
    low_rate = np.zeros((depth, N))
    high_rate = np.zeros((depth, N))
    leaves = np.zeros(depth, np.int64)
    visited = np.zeros(depth, np.int64)  # children
    end_low = np.empty(N)
    end_high = np.empty(N)
    _ball(points, low[0], high[0])
    top = 0
    q = 0
    while True:
        # Visit the node that starts at q.
        begin[top] = q
        while events[offset[q]] < BRANCH:
            q += 1
        q += 1
        own_end[top] = q
        visited[top] = 0
        leaves[top] = 0
        for i in range(N):
            low_rate[top, i] = high_rate[top, i] = 0.0
        at = offset[q - 1]
        if events[at] == BRANCH:
            _copy(low[top], end_low)
            _copy(high[top], end_high)
            for p in range(begin[top], q):
                if events[offset[p]] == TIGHTEN:
                    i = int(events[offset[p] + 2])
                    if events[offset[p] + 3] > 0.0:
                        end_high[i] = min(end_high[i], events[offset[p] + 5])
                    else:
                        end_low[i] = max(end_low[i], -events[offset[p] + 5])
            i = int(abs(events[at + 2])) - 1
            for ends in (low[top + 1], next_low[top]):
                _copy(end_low, ends)
            for ends in (high[top + 1], next_high[top]):
                _copy(end_high, ends)
            if events[at + 2] > 0.0:
                low[top + 1, i] = max(end_low[i], 0.0)
                next_high[top, i] = min(end_high[i], 0.0)
            else:
                high[top + 1, i] = min(end_high[i], 0.0)
                next_low[top, i] = max(end_low[i], 0.0)
            top += 1
            continue
        leaves[top] = 1
        # Leave the nodes whose subtree ends here.
        while True:
            _copy(low[top], end_low)
            _copy(high[top], end_high)
            if leaves[top] <= LEAVES:
                room = _closes(
                    events, offset, keep, begin[top], q, points, kappa, linear, cutoff, low[top], high[top], rows, c, z
                )
                if room:
                    _coarsen(
                        events, offset, keep, begin[top], own_end[top], q, points, kappa, linear, cutoff, low[top],
                        high[top], rows, c, z,
                    )  # fmt: skip
                _weigh(
                    events, offset, begin[top], own_end[top], points, kappa, linear, cutoff, end_low, end_high,
                    low_rate[top], high_rate[top], weight, c, z,
                )  # fmt: skip
                if room:
                    _trim(
                        events, offset, keep, begin[top], own_end[top], q, points, kappa, linear, cutoff, low[top],
                        high[top], weight, rows, c, z,
                    )  # fmt: skip
            if top == 0:
                return keep
            top -= 1
            leaves[top] += leaves[top + 1]
            visited[top] += 1
            i = int(abs(events[offset[own_end[top] - 1] + 2])) - 1
            up = (events[offset[own_end[top] - 1] + 2] > 0.0) == (visited[top] == 1)
            if up:
                low_rate[top + 1, i] = 0.0
            else:
                high_rate[top + 1, i] = 0.0
            for i in range(N):
                low_rate[top, i] += low_rate[top + 1, i]
                high_rate[top, i] += high_rate[top + 1, i]
            if visited[top] == 1:
                _copy(next_low[top], low[top + 1])
                _copy(next_high[top], high[top + 1])
                top += 1
                break


@njit(cache=True)
def needed(events, offset, keep, points, kappa, linear, cutoff, depth):
    """The steps, of those kept, on which the leaves rest. The flags of slopes that follow from the intervals become 0."""
    N, r = points.shape
    total = offset.shape[0] - 1
    # What each step rests on: one step (`rests`), and for bounds and empty nodes a list (`first`, `sources`).
    rests = np.full(total, -1, np.int64)
    first = np.zeros(total + 1, np.int64)
    sources = np.empty(1024, np.int32)
    used = 0
    # The intervals of the open nodes, and the steps that gave their ends; −1: a branching, or the ball.
    low = np.empty((depth, N))
    high = np.empty((depth, N))
    low_from = np.full((depth, N), -1, np.int64)
    high_from = np.full((depth, N), -1, np.int64)
    c = np.empty(r)
    z = np.empty(r)
    _ball(points, low[0], high[0])
    top = 0
    last = -1
    alpha = 0.0
    for q in range(total):
        at = offset[q]
        kind = int(events[at])
        first[q] = used
        if used + 2 * N + 2 > sources.shape[0]:
            larger = np.empty(2 * sources.shape[0] + 2 * N + 2, np.int32)
            _copy(sources, larger)
            sources = larger
        if not keep[q]:
            continue
        if kind == BOUND:
            alpha = _bound(events, at, points, kappa, linear, low[top], high[top], c)
            last = q
            for i in range(N):
                t, fixed = _slope(events, at, kappa, low[top], high[top], i)
                if kappa[i] > 0.0:
                    below, above = t > 0.0, t < 1.0
                    # What the reader of the interval would take for t anyway, whatever it rounds.
                    positive = low[top, i] > SPARE or (low[top, i] == 0.0 and low_from[top, i] < 0)
                    negative = high[top, i] < -SPARE or (high[top, i] == 0.0 and high_from[top, i] < 0)
                    if fixed and ((t == 1.0 and positive) or (t == 0.0 and negative)):
                        events[at + 2 + N + i] = 0.0
                else:
                    below, above = t < 0.0, t > 1.0
                if below and low_from[top, i] >= 0:
                    sources[used] = low_from[top, i]
                    used += 1
                if above and high_from[top, i] >= 0:
                    sources[used] = high_from[top, i]
                    used += 1
        elif kind == TIGHTEN:
            v = _tightened(events, at, points, cutoff - alpha, c, z)
            i = int(events[at + 2])
            if events[at + 4] != 0.0:
                rests[q] = last
            if events[at + 3] > 0.0:
                if v < high[top, i]:
                    high[top, i] = v
                    high_from[top, i] = q
            elif -v > low[top, i]:
                low[top, i] = -v
                low_from[top, i] = q
        elif kind == BRANCH:
            i = int(abs(events[at + 2])) - 1
            for ends in (low, high):
                _copy(ends[top], ends[top + 1])
            for origins in (low_from, high_from):
                _copy(origins[top], origins[top + 1])
            # The row above is visited first; the other child stays below it.
            plus, minus = (top + 1, top) if events[at + 2] > 0.0 else (top, top + 1)
            if low[plus, i] < 0.0:
                low[plus, i] = 0.0
                low_from[plus, i] = -1
            if high[minus, i] > 0.0:
                high[minus, i] = 0.0
                high_from[minus, i] = -1
            top += 1
            last = -1
        else:
            if events[at + 1] > 0.0:
                i = int(events[at + 2])
                for source in (low_from[top, i], high_from[top, i]):
                    if source >= 0:
                        sources[used] = source
                        used += 1
            else:
                rests[q] = last
            top -= 1
            last = -1
    first[total] = used
    need = np.zeros(total, np.bool_)
    for q in range(total - 1, -1, -1):
        need[q] |= events[offset[q]] >= BRANCH
        if need[q]:
            if rests[q] >= 0:
                need[rests[q]] = True
            for p in range(first[q], first[q + 1]):
                need[sources[p]] = True
    return need
