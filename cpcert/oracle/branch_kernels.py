"""The compiled part of branch.py, which has the mathematics: one node after another, its bound, its children.

`advance` is the loop over the stack; a node is bounded and tightened in turns (`_close`), then closed, or searched for
a neuron and branched. It is a file of its own so that numba compiles it again only when it changes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cpcert.compiled import njit
from cpcert.oracle.least_norm import FLOOR, INFINITE, TINY, Workspace, ascent_step, evaluate, min_norm
from cpcert.oracle.tightening import Directions, directions, farthest_outside, leaves_region, tighten
from cpcert.oracle.tree_language import BOUND, BRANCH, CLOSE, EMPTY, Y_GRID
from cpcert.rounding import EPS

# Numbers of cycles and rounds: they change the speed, never the validity. Measured on gaussian and diabetes problems
# (N, r) = (40, 9), (60, 5), (100, 5) and on digits (40, 40).
CYCLES = 50
FINAL_CYCLES = 2000
ROUNDS = 10
STALL = 0.8
SEARCH_EVERY = 4
SEARCH_STEPS = 4
# An interval below this is nearly a point.
SHORT = 1e-6
# A ‖ĉ‖ below this part of the cutoff counts as 0 when the point to branch on is chosen.
FAINT = 1e-6
# The least cutoff that is worked with; 1/SMALLEST is the largest.
SMALLEST = 1e-150

RUNNING, FINISHED, FOUND = 0, 1, 2


class Stack(NamedTuple):
    """The open nodes of a depth-first search, one row each, and its counters."""

    low: np.ndarray  # (D, N) l
    high: np.ndarray  # (D, N) u
    y: np.ndarray  # (D, N) multipliers of the parent, the start of the node's own
    path: np.ndarray  # (D, D) points whose sign was branched on
    sign: np.ndarray  # (D, D) and those signs
    bound: np.ndarray  # (D,) proven bound of the parent
    counts: np.ndarray  # (5,) open nodes, atoms, nodes after the first atom, nodes of this call, numbers of its steps
    worst: np.ndarray  # (1,) largest bound of a leaf that could not be closed


class Claim(NamedTuple):
    """What is to be proven: f(w) = linearᵀw + Σ κ_i relu(x_iᵀw) ≤ cutoff on the unit ball, or on a region of it.

    The points from number `own` on have κ = 0: their intervals at the first node are what defines the region.
    """

    points: np.ndarray  # (N, r)
    norms: np.ndarray  # (N,) proven ≥ ‖x_i‖
    square: np.ndarray  # (N,) ‖x_i‖²
    kappa: np.ndarray  # (N,)
    linear: np.ndarray  # (r,)
    cutoff: float
    own: int


class Found(NamedTuple):
    """Neurons above the cutoff: unit w in the rows of `atoms` (k, r), f(w) in `values` (k,)."""

    atoms: np.ndarray
    values: np.ndarray


class Node(NamedTuple):
    """The node that is being visited. depth is handed along beside it: the signs branched on are the first so many."""

    low: np.ndarray  # (N,) l
    high: np.ndarray  # (N,) u
    y: np.ndarray  # (N,)
    path: np.ndarray  # (D,) points whose sign was branched on
    sign: np.ndarray  # (D,) and those signs
    branched: np.ndarray  # (N,) whether the point is on the path


class Scratch(NamedTuple):
    """Room for vectors."""

    c: np.ndarray  # (r,) ĉ
    direction: np.ndarray  # (r,) ĉ/‖ĉ‖, later the neuron
    z: np.ndarray  # (r,)
    moving: np.ndarray  # (N + 1,) coordinates of y that move
    lower: np.ndarray  # (N,) their box
    upper: np.ndarray
    given: np.ndarray  # (N,) whether y_i is a number of its own


def rooms(N: int, r: int, depth: int) -> tuple[Node, Scratch, Directions, Workspace]:
    """What `advance` works with, for N points of rank r and nodes of at most this depth."""
    node = Node(np.zeros(N), np.zeros(N), np.zeros(N), np.zeros(depth, np.int64), np.zeros(depth), np.zeros(N, np.int8))
    scratch = Scratch(
        np.zeros(r), np.zeros(r), np.zeros(r), np.zeros(N + 1, np.int64), np.zeros(N), np.zeros(N), np.zeros(N)
    )
    size = max(N, r) + 2
    work = Workspace(np.zeros((size, size)), np.zeros(size), np.zeros(size), np.zeros(size, np.int64))
    return node, scratch, directions(depth, r), work


@njit(cache=True, counted=False)
def _load(stack, top, node):
    """The node of row `top`; returns its depth."""
    low, high, y, path, sign, branched = node
    depth = np.int64(0)
    branched[:] = 0
    for q in range(stack.path.shape[1]):
        if stack.path[top, q] < 0:
            break
        path[q] = stack.path[top, q]
        sign[q] = stack.sign[top, q]
        branched[path[q]] = 1
        depth += 1
    for i in range(low.shape[0]):
        low[i] = stack.low[top, i]
        high[i] = stack.high[top, i]
        y[i] = stack.y[top, i]
    return depth


@njit(cache=True, counted=False)
def _slopes(claim, node, scratch, cell):
    """Start (1): y within its box, ĉ for it, and which coordinates may move. cell: no sign is undecided. Returns (α, how many)."""
    points, kappa = claim.points, claim.kappa
    l, u, y, branched = node.low, node.high, node.y, node.branched  # noqa: E741 (the letter of the docstring)
    c, index, lower, upper, given = scratch.c, scratch.moving, scratch.lower, scratch.upper, scratch.given
    linear = claim.linear
    n = np.int64(0)
    alpha = 0.0
    for k in range(c.shape[0]):
        c[k] = linear[k]
    for i in range(kappa.shape[0]):
        kap = kappa[i]
        given[i] = 0.0
        if kap == 0.0:
            continue
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
        for k in range(c.shape[0]):
            c[k] += y[i] * points[i, k]
    return alpha, n


@njit(cache=True, counted=False)
def _bound(claim, node, scratch, work, norm_linear):
    """Inequality (1) with the best y found. Returns (proven bound, α, ‖ĉ‖, allowance for rounding); y and ĉ are in place."""
    points, kappa, cutoff, y = claim.points, claim.kappa, claim.cutoff, node.y
    c, index, given = scratch.c, scratch.moving, scratch.given
    norms, linear, l, u = claim.norms, claim.linear, node.low, node.high  # noqa: E741
    N, r = points.shape
    undecided = 0
    for i in range(N):
        if kappa[i] > 0.0 and l[i] < 0.0 < u[i]:
            undecided += 1
    # Signs that tightening decided follow from those branched on, the cap included; a last cell, which has no
    # cap of its own, needs their multipliers too.
    alpha, n = _slopes(claim, node, scratch, undecided == 0)
    cycles = np.int64(CYCLES) if undecided > 0 else np.int64(FINAL_CYCLES)
    tolerance = 1e-3 if undecided > 0 else 1e-9
    # Aim a little below the cutoff so that the rounding allowance fits.
    target = cutoff * (1.0 - 1e-13) - alpha
    min_norm(points, claim.square, index, n, scratch.lower, scratch.upper, y, c, cycles, target, tolerance, work)
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
    return proven, alpha, norm_c, allowance


@njit(cache=True, counted=False)
def _worst_chord(claim, node, direction, faint):
    """(point, error): the point to branch on, the largest chord error at the maximiser of the bound; −1 if no sign is undecided.

    A little of the largest error on the interval is added, which decides when that maximiser is outside. faint: ĉ vanishes and
    has no direction, only rounding: then the chord errors at the origin decide.
    """
    points, kappa, l, u = claim.points, claim.kappa, node.low, node.high  # noqa: E741
    error, split = -1.0, -1
    for i in range(kappa.shape[0]):
        if kappa[i] > 0.0 and l[i] < 0.0 and u[i] > 0.0:
            s = 0.0
            for k in range(direction.shape[0]):
                s += points[i, k] * direction[k]
            s = 0.0 if faint else min(max(s, l[i]), u[i])
            e = kappa[i] * (u[i] * (s - l[i]) - 1e-3 * l[i] * u[i]) / (u[i] - l[i]) - kappa[i] * max(s, 0.0)
            if e > error:
                error = e
                split = i
    return split, error


@njit(cache=True, counted=False)
def _record_bound(node, given, steps, count):
    N = given.shape[0]
    at = count[4]
    steps[at] = BOUND
    steps[at + 1] = 2 * N
    for i in range(N):
        steps[at + 2 + i] = node.y[i]
        steps[at + 2 + N + i] = given[i]
    count[4] += 2 * N + 2


@njit(cache=True, counted=False)
def _close(claim, node, depth, bound, scratch, room, work, norm_linear, steps, count):
    """Bound and tighten in turns. Returns (closed, the point that shows the node empty or −1, proven bound, point to branch on or −1).

    Comparisons are written so that a NaN, should one ever arise, proves nothing.
    """
    cutoff = claim.cutoff
    previous = 1e300
    split = -1
    for turn in range(ROUNDS):
        proven, alpha, norm_c, allowance = _bound(claim, node, scratch, work, norm_linear)
        if proven < bound:
            bound = proven
        if steps.shape[0] > 0:
            _record_bound(node, scratch.given, steps, count)
        excess = proven - cutoff
        if excess <= 0.0:
            return True, -1, bound, split
        if not excess < INFINITE:
            return False, -1, bound, -1
        norm_c += 1e-300
        for k in range(scratch.c.shape[0]):
            scratch.direction[k] = scratch.c[k] / norm_c
        split, error = _worst_chord(claim, node, scratch.direction, norm_c <= FAINT * cutoff)
        cap = cutoff - (alpha * (1.0 + (scratch.given.shape[0] + 8) * EPS) + allowance)
        cap -= 2.0 * EPS * (cutoff + abs(cap))
        out = farthest_outside(claim, node, scratch.direction)
        if out >= 0 and leaves_region(claim, node, depth, out, scratch, room, norm_c, cap, steps, count):
            return True, out, bound, split
        if split < 0 or excess > STALL * previous or turn == ROUNDS - 1:
            break
        previous = excess
        empty = tighten(claim, node, depth, scratch, room, norm_c, cap, error, steps, count)
        if empty >= 0:
            return True, empty, bound, split
    return False, -1, bound, split


@njit(cache=True, counted=False)
def _look_for_neuron(claim, node, scratch, work, found, count):
    """A neuron above the cutoff at the maximiser of the bound, or, now and then, where a short local search from there ends:
    it finds most of them long before the tree does."""
    atoms, direction, z, lower, upper = found.atoms, scratch.direction, scratch.z, scratch.lower, scratch.upper
    v = evaluate(claim.points, claim.kappa, claim.linear, direction)
    if atoms.shape[0] > 0 and count[3] % SEARCH_EVERY == 0:
        upper[:] = 0.0
        for _ in range(SEARCH_STEPS):
            for i in range(lower.shape[0]):
                lower[i] = 0.5 * claim.kappa[i]
            norm = ascent_step(
                claim.points, claim.square, claim.kappa, claim.linear, direction, lower, z, scratch.moving, upper, work
            )
            if norm <= v or norm <= TINY:
                break
            v = norm
            for k in range(z.shape[0]):
                direction[k] = z[k] / norm
        v = evaluate(claim.points, claim.kappa, claim.linear, direction)
    if v > claim.cutoff and count[1] < atoms.shape[0] and farthest_outside(claim, node, direction) < 0:
        for k in range(z.shape[0]):
            atoms[count[1], k] = direction[k]
        found.values[count[1]] = v
        count[1] += 1


@njit(cache=True, counted=False)
def _branch(claim, node, depth, bound, split, c, stack, top):
    """Push both children; returns ±(split + 1), the sign of the one that is visited first: where the maximiser of the bound is."""
    s = 0.0
    for k in range(c.shape[0]):
        s += claim.points[split, k] * c[k]
    first = 1 if s > 0.0 else -1
    for q in range(2):
        t = top + q
        half = -first if q == 0 else first  # the row pushed last is visited first
        for i in range(node.low.shape[0]):
            stack.low[t, i] = node.low[i]
            stack.high[t, i] = node.high[i]
            stack.y[t, i] = node.y[i]
        for p in range(depth):
            stack.path[t, p] = node.path[p]
            stack.sign[t, p] = node.sign[p]
        stack.path[t, depth] = split
        stack.sign[t, depth] = half
        stack.path[t, depth + 1] = -1
        stack.bound[t] = bound
        if half > 0:
            stack.low[t, split] = 0.0
            stack.y[t, split] = claim.kappa[split]
        else:
            stack.high[t, split] = 0.0
            stack.y[t, split] = 0.0
    stack.counts[0] += 2
    return first * (split + 1)


@njit(cache=True, counted=False)
def _record_end(entry, empty, steps, count):
    """How the node ends: entry of the tree, and the point that shows it empty, or −1."""
    at = count[4]
    steps[at + 1] = 1
    if entry != 0:
        steps[at] = BRANCH
        steps[at + 2] = entry
    elif empty >= 0:
        steps[at] = EMPTY
        steps[at + 2] = empty
    else:
        steps[at] = CLOSE
        steps[at + 1] = 0
    count[4] += 2 + int(steps[at + 1])


@njit(cache=True, nogil=True, counted=False)
def advance(claim, stack, node, scratch, room, work, found, tree, steps, after):
    """Visit nodes until the stack is empty, the tree array is full, or enough atoms were found. Returns a status.

    steps: takes the steps of the proof (tree_language.py); of length 0: they are not recorded.
    """
    N, r = claim.points.shape
    count, worst = stack.counts, stack.worst
    record = steps.shape[0] > 0
    norm_linear = 0.0
    for k in range(r):
        norm_linear += claim.linear[k] * claim.linear[k]
    norm_linear = math.sqrt(norm_linear)
    count[3] = 0
    count[4] = 0
    # Recording stops a call early when the next node's steps might not fit.
    reserve = (ROUNDS + 1) * (N + 2) + ROUNDS * N * 2 * (2 * N + 8) if record else 0
    while count[0] > 0:
        if count[3] == tree.shape[0] or (record and steps.shape[0] - count[4] < reserve):
            return RUNNING
        if count[1] > 0:
            if count[1] >= found.atoms.shape[0] or count[2] >= after:
                return FOUND
            count[2] += 1
        count[0] -= 1
        top = count[0]
        depth = _load(stack, top, node)
        closed, empty, bound, split = _close(
            claim, node, depth, stack.bound[top], scratch, room, work, norm_linear, steps, count
        )
        entry = 0
        if not closed:
            _look_for_neuron(claim, node, scratch, work, found, count)
            if split >= 0 and count[0] + 2 <= stack.low.shape[0]:
                entry = _branch(claim, node, depth, bound, split, scratch.c, stack, top)
            elif not bound <= worst[0]:
                worst[0] = bound
        tree[count[3]] = entry
        if record:
            _record_end(entry, empty, steps, count)
        count[3] += 1
    return FOUND if count[1] > 0 else FINISHED
