"""The recorded steps of a branch and bound (oracle/tree_language.py) in the columns of SPEC.md, "Trees"."""

from __future__ import annotations

import numpy as np

from cpcert.compiled import njit
from cpcert.oracle.tree_language import (
    BOUND,
    BRANCH,
    COUNT,
    EMPTY,
    FIRST,
    MU_GRID,
    PAIRS,
    RHO,
    RHO_GRID,
    SIDE,
    TIGHTEN,
    Y_GRID,
    kind_of,
    plus_first,
    point_of,
    step_end,
)


@njit(cache=True)
def _write_bound(steps, at, kappa, index, structure, n, ys, n_y):
    """A BOUND: the count of its entries, then a gap for each, with a flag where y/κ follows in its own column. Returns (n, n_y)."""
    N = kappa.shape[0]
    structure[n] = BOUND
    count_at = n + 1
    count = 0
    n += 2
    before = -1
    for i in range(N):
        if kappa[i] == 0.0:
            continue
        t = steps[at + FIRST + i] / kappa[i]
        grid = np.int64(np.rint(t / Y_GRID))
        if grid == 0 if kappa[i] < 0.0 else steps[at + FIRST + N + i] == 0.0:
            continue
        explicit = t != 1.0
        structure[n] = 2 * (index[i] - before - 1) + (1 if explicit else 0)
        n += 1
        if explicit:
            ys[n_y] = grid
            n_y += 1
        before = index[i]
        count += 1
    structure[count_at] = count
    return n, n_y


@njit(cache=True)
def _write_tightening(steps, at, index, path, structure, n, mus, n_mu):
    """A TIGHTEN but for ρ: the point and its side, the count of signs, then a gap along the path for each. Returns (n, n_mu)."""
    structure[n] = TIGHTEN
    structure[n + 1] = 2 * index[point_of(steps, at)] + (1 if steps[at + SIDE] < 0.0 else 0)
    count_at = n + 2
    count = 0
    n += 3
    place = -1
    before = -1
    for p in range(at + PAIRS, step_end(steps, at), 2):  # the steps list them along the path
        mu = np.int64(np.rint(abs(steps[p + 1]) / MU_GRID))
        j = int(steps[p])
        place += 1
        while path[place] != j:
            place += 1
        if mu == 0:
            continue
        structure[n] = place - before - 1
        mus[n_mu] = mu
        before = place
        n += 1
        n_mu += 1
        count += 1
    structure[count_at] = count
    return n, n_mu


@njit(cache=True)
def branch_columns(steps, offset, need, kappa, index, depth):
    """The columns of a branch-and-bound tree from its steps (tree_language.py), of which `need` are written."""
    total = offset.shape[0] - 1
    size = 0
    for q in range(total):
        if need[q]:
            size += int(steps[offset[q] + COUNT]) + 6
    structure, n = np.empty(size, np.int64), 0
    ys, n_y = np.empty(size, np.int64), 0
    rhos, n_rho = np.empty(total, np.int64), 0
    mus, n_mu = np.empty(size, np.int64), 0
    path = np.empty((depth + 1, depth + 1), np.int64)
    length = np.zeros(depth + 1, np.int64)
    top = 0
    for q in range(total):
        if not need[q]:
            continue
        at = offset[q]
        kind = kind_of(steps, at)
        if kind == BOUND:
            n, n_y = _write_bound(steps, at, kappa, index, structure, n, ys, n_y)
        elif kind == TIGHTEN:
            rhos[n_rho] = np.int64(np.rint(steps[at + RHO] / RHO_GRID))
            n_rho += 1
            n, n_mu = _write_tightening(steps, at, index, path[top], structure, n, mus, n_mu)
        elif kind == BRANCH:
            i = point_of(steps, at)
            structure[n] = BRANCH
            structure[n + 1] = 2 * index[i] + (0 if plus_first(steps, at) else 1)
            n += 2
            path[top, length[top]] = i
            length[top] += 1
            path[top + 1] = path[top]
            length[top + 1] = length[top]
            top += 1
        else:
            structure[n] = kind
            n += 1
            if kind == EMPTY:
                structure[n] = index[point_of(steps, at)]
                n += 1
            top -= 1
    return structure[:n].copy(), ys[:n_y].copy(), rhos[:n_rho].copy(), mus[:n_mu].copy()
