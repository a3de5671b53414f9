"""Covers by cells (oracle/cells.py) as the integers of SPEC.md, "Cells"."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from cpcert.certificate import check
from cpcert.certificate.clock import CHECK_PER_CELL, Pace
from cpcert.certificate.factors import MARGINS, cholesky
from cpcert.certificate.file import as_arrays
from cpcert.certificate.task import SLACKS, Attempt, Task
from cpcert.oracle.cells import CellLeaf, CellProof

# Bits of the multipliers of a cell; the more, where the fewer lose the bound.
CELL_BITS = (56, 62)


def cells(task: Task, proof: CellProof) -> Iterator[Attempt]:
    """The writer of `CellProof`; the multipliers of a leaf are raised a little until their exact matrix is semidefinite."""
    for slack in SLACKS:
        bound = task.raised(slack)
        arrays = _tree(task, proof, slack, task.inside(bound))
        if arrays is not None:
            yield task.attempt(bound, {"kind": "cells"}, arrays)


def _tree(task: Task, proof: CellProof, slack: float, bound: float) -> dict[str, np.ndarray] | None:
    """The tree of a cell cover. bound: what the leaves should stay below; None if one does not. Raises Late."""
    points, rows = task.points, proof.rows
    N, P = len(points), len(rows.kept)
    exponents = np.zeros(N, dtype=np.int64)
    exponents[rows.kept] = task.frame.x + rows.exponents[rows.kept]
    extra = proof.planes[P:]
    number = np.concatenate([rows.kept, N + np.arange(len(extra))]).astype(int)
    arrays: dict[str, np.ndarray] = {"exponents": exponents, "planes": extra.ravel()}
    given = as_arrays({**arrays, "points": points.ravel()})
    exact_points, x = check.matrix(given.pop("points"), N, points.shape[1], "points")
    cover = check.Cover(task.exact, check.Space(exact_points, x), *task.exact_G, given)
    unit = task.frame.unit + rows.unit
    stream: list[int] = []
    nodes = [check.Leaf(cover, [], {}, Fraction(0))]
    leaves = iter(proof.leaves)
    pace, last = Pace(len(proof.leaves), CHECK_PER_CELL), time.monotonic()
    for plane, implied in zip(proof.plane.tolist(), proof.implied, strict=True):
        node = nodes.pop()
        for one in implied:
            entry = [int(number[one.plane]), int(one.side < 0)]
            entry += _multipliers(node.path, number[one.index], one.weight)
            stream += [1, *entry]
            node = check.check_implied(node, check.Stream(iter(entry)))
        if plane >= 0:
            j = int(number[plane])
            stream += [2, j]
            for s in (-1, 1):
                decided = {**node.decided, j: s} if j < N else node.decided
                nodes.append(check.Leaf(cover, [*node.path, (j, s)], decided, node.slack))
            continue
        written = _leaf(node, next(leaves), number, unit, slack, bound)
        if written is None:
            return None
        last, before = time.monotonic(), last
        pace.step(1, last - before, task.clock)
        stream += [0, *written]
    arrays["proof"] = np.array(stream, dtype=np.int64)
    return arrays


def _multipliers(path: list[tuple[int, int]], planes: np.ndarray, weights: np.ndarray) -> list[int]:
    """count, then (gap, μ) of an implied sign: places on the path and multipliers over 2**−IMPLIED_GRID."""
    place = {j: (at, s) for at, (j, s) in enumerate(path)}
    found = []
    for j, weight in zip(planes.tolist(), weights.tolist(), strict=True):
        at, s = place[j]
        mu = round(math.ldexp(s * weight, check.IMPLIED_GRID))
        if mu > 0:
            found.append((at, mu))
    result = [len(found)]
    last = -1
    for at, mu in sorted(found):
        result += [at - last - 1, mu]
        last = at
    return result


def _leaf(
    node: check.Leaf, leaf: CellLeaf, number: np.ndarray, unit: int, slack: float, bound: float
) -> list[int] | None:
    """The integers of a leaf: scale, ρ, constraints, λ, pairs, factor; with more bits where the fewer exceed the bound."""
    place = {j: at for at, (j, _) in enumerate(node.path)}
    chosen = [place[int(number[j])] for j in leaf.constraints]
    F = node.forms(chosen)
    order = [int(number[i]) for i in leaf.undecided]
    if order != node.undecided:
        return None
    # Multipliers of the squares: 2**(2·unit) of those of the scaled problem.
    hint = leaf.multipliers
    largest = max(float(np.abs(part).max(initial=0.0)) for part in (hint.square, hint.linear, hint.weight))
    total = 1.0 + sum(
        float(np.sum(np.square([v / 2.0**node.cover.forest.p for v in node.cover.forest.points[i]]))) for i in order
    )
    written: list[int] | None = None
    for bits in CELL_BITS:
        scale = bits - math.frexp(largest)[1]
        power = 2.0**scale
        weights = [
            (int(i), int(j), round(w * power)) for i, j, w in zip(hint.first, hint.second, hint.weight, strict=True)
        ]
        pairs = [pair for pair in weights if pair[2] > 0]
        for margin in (0.0, *MARGINS):
            raised = margin * hint.square
            if raised * total > 0.5 * slack * hint.square and margin > 0.0:
                break
            square = math.ceil((hint.square + raised * total) * power)
            linear = [math.ceil((value + raised) * power) for value in hint.linear.tolist()]
            S, _ = node.matrix(scale - 2 * unit, square, linear, F, pairs)
            factor = cholesky(S)
            if factor is not None:
                flat: Sequence[int] = [v for pair in pairs for v in pair]
                written = [scale - 2 * unit, square, len(chosen), *chosen, *linear, len(pairs), *flat, *factor]
                if check.at_most(square * check.power(2 * unit - scale), Fraction(bound) - node.slack):
                    return written
                break
    return written
