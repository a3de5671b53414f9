"""Regions of w: a tree for each quadratic form, whose nodes split at the sign of x_iᵀw.

A tree is written depth first: k ≥ 1 splits at point k − 1, and the tree of x_iᵀw ≥ 0 and that of x_iᵀw ≤ 0 follow; 0 is a leaf.
One output has two trees, for v = ν and for v = −ν; several outputs have one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Trees = tuple[tuple[int, ...], ...]


def whole(m: int) -> Trees:
    """No split, for m outputs."""
    return ((0,), (0,)) if m == 1 else ((0,),)


def leaves(trees: Trees, N: int) -> list[tuple[float, np.ndarray]]:
    """The sign of v (0 for several outputs) and the signs of x_iᵀw (N,), 0 where there are both, of each leaf in order."""
    found = []
    for v, tree in zip((1.0, -1.0) if len(trees) == 2 else (0.0,), trees, strict=True):
        open_regions = [np.zeros(N)]
        for k in tree:
            signs = open_regions.pop()
            if k == 0:
                found.append((v, signs))
                continue
            for sign in (-1.0, 1.0):
                child = signs.copy()
                child[k - 1] = sign
                open_regions.append(child)
    return found


def split(trees: Trees, points: Sequence[int | None]) -> Trees:
    """Every leaf split at its point, where there is one."""
    rest = iter(points)

    def codes(k: int) -> tuple[int, ...]:
        point = next(rest) if k == 0 else None
        return (k,) if point is None else (point + 1, 0, 0)

    return tuple(tuple(code for k in tree for code in codes(k)) for tree in trees)
