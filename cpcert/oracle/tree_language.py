"""The steps of a branch-and-bound proof as recorded: one stream of numbers for search, writer and trimming.

A step is its kind, the count of its numbers, and these numbers. The kinds are the codes of SPEC.md, "Trees":

    CLOSE     –                            the last bound is at most the cutoff
    BOUND     y (N), given (N)             inequality (1) of branch.py
    TIGHTEN   i, side, ρ, v, (j, μ_j), …   inequality (2): side·x_iᵀw ≤ v, with ĉ and ς of the last BOUND
    EMPTY     i                            l_i > u_i: nothing is left of the node
    BRANCH    ±(i + 1)                     on the sign of x_iᵀw; the node that comes next is the one where that sign is ±1

given is 1 where y_i is a number of its own, 0 where it is the slope that the interval decides: κ where l ≥ 0, else 0
where u ≤ 0, else the chord; 0 for κ < 0. Nodes come depth first, so that a subtree is a range of steps; each ends with
CLOSE, EMPTY or BRANCH. `at` is where a step starts.
"""

from __future__ import annotations

import numpy as np

from cpcert.compiled import njit

CLOSE, BOUND, TIGHTEN, EMPTY, BRANCH = range(5)
# Multipliers are rounded to these grids (y relative to κ) before they prove anything, so that a proof is short when written.
Y_GRID, MU_GRID, RHO_GRID = 2.0**-24, 2.0**-14, 2.0**-18
# Places after `at`: the count, the first number; and those of a TIGHTEN, whose pairs (j, μ_j) start at PAIRS.
COUNT, FIRST = 1, 2
POINT, SIDE, RHO, VALUE, PAIRS = range(2, 7)


@njit(cache=True)
def starts(steps):
    """Where each step starts, and the end of the last."""
    total = 0
    at = 0
    while at < steps.shape[0]:
        at += FIRST + int(steps[at + COUNT])
        total += 1
    found = np.empty(total + 1, np.int64)
    at = 0
    for q in range(total):
        found[q] = at
        at += FIRST + int(steps[at + COUNT])
    found[total] = at
    return found


@njit(cache=True)
def kind_of(steps, at):
    """One of the five kinds."""
    return int(steps[at])


@njit(cache=True)
def ends_node(steps, at):
    """Whether the step is the last of its node."""
    kind = int(steps[at])
    return kind != BOUND and kind != TIGHTEN


@njit(cache=True)
def node_count(steps):
    """How many nodes these steps end."""
    count = 0
    at = 0
    while at < steps.shape[0]:
        count += ends_node(steps, at)
        at += FIRST + int(steps[at + COUNT])
    return count


@njit(cache=True)
def step_end(steps, at):
    """Where the numbers of the step end."""
    return at + FIRST + int(steps[at + COUNT])


@njit(cache=True)
def point_of(steps, at):
    """i, of TIGHTEN, EMPTY and BRANCH."""
    if steps[at] == BRANCH:
        return int(abs(steps[at + FIRST])) - 1
    return int(steps[at + FIRST])


@njit(cache=True)
def plus_first(steps, at):
    """Of BRANCH: whether the node with x_iᵀw ≥ 0 comes first."""
    return steps[at + FIRST] > 0.0
