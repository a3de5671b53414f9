"""Where a proof spends its leaves: their depths, read off the arrays of a certificate (SPEC.md, Trees, Directions, Cones).

Nothing here proves anything: the checker has accepted the file before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

END, BOUND, TIGHTEN, EMPTY, BRANCH = range(5)


def leaf_depths(oracle: dict[str, Any], arrays: dict[str, Any], k: int) -> Counter[int]:
    """How many leaves there are at each depth, over all trees of the proof; empty for proofs without trees.

    k: rows of the dual point G in the array `outputs`, or of G itself.
    """
    kind = oracle["kind"]
    if kind == "coordinates":
        return leaf_depths(oracle["inner"], arrays, k)
    structure = iter(arrays.get("proof", ()))
    if kind == "tree":
        return _signs(structure) + _signs(structure)
    if kind == "spatial":
        return _cones(structure)
    if kind == "directions":
        depths: Counter[int] = Counter()
        for vertex in range(len(arrays["values"])):
            if vertex >= 2 * k:
                _skip(structure, 4)  # how the vertex comes from two others
            depths += _signs(structure)
        return depths
    return Counter()


def _signs(structure: Iterator[int]) -> Counter[int]:
    """One tree over the signs of points."""
    _skip(structure, 1)  # its scale
    depths: Counter[int] = Counter()
    open_nodes = [0]
    while open_nodes:
        depth = open_nodes.pop()
        while True:
            step = next(structure)
            if step == BOUND:
                _skip(structure, next(structure))
            elif step == TIGHTEN:
                _skip(structure, 1)
                _skip(structure, next(structure))
            else:
                break
        if step == BRANCH:
            _skip(structure, 1)
            open_nodes += [depth + 1, depth + 1]
        else:
            _skip(structure, step == EMPTY)
            depths[depth] += 1
    return depths


def _cones(structure: Iterator[int]) -> Counter[int]:
    """All trees of bisected cones, one after another."""
    depths: Counter[int] = Counter()
    open_nodes: list[int] = []
    for node in structure:
        depth = open_nodes.pop() if open_nodes else 0
        if node:
            open_nodes += [depth + 1, depth + 1]
        else:
            depths[depth] += 1
    return depths


def _skip(structure: Iterator[int], count: int) -> None:
    for _ in range(count):
        next(structure)
