"""From trees, norms and ladders (deep/bound) to a certificate of a global bound: the numbers of DEEP.md, believed only
after the check.

The search works in floating point and is not trusted: what it found is written down, and the exact checker
(deep_check.py) decides. A target that fails by rounding is lowered a little and tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cpcert import __version__
from cpcert.certificate import check, deep_check, file
from cpcert.certificate.file import problem_header
from cpcert.certificate.spectral import norm_with_factor
from cpcert.certificate.stored import Stored
from cpcert.deep.bound.cover import Cover
from cpcert.deep.bound.ladders import Cells, Item
from cpcert.deep.bound.norms import NormItem
from cpcert.deep.bound.tree import GRID, Tree
from cpcert.network import Network
from cpcert.problem import Problem
from cpcert.rounding import round_up

# What a target is lowered by, relative, until the check succeeds.
LOWER = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)


@dataclass(frozen=True, eq=False, repr=False)
class DeepCertificate(Stored):
    """A certificate that the checker accepts. content: the file; lower ≤ P* ≤ upper (None: not claimed)."""

    content: bytes
    lower: float | None
    upper: float | None
    claim: str = "deep_minimum"


def certify_deep(
    problem: Problem,
    network: Network | None,
    items: list[Item],
    target: float,
    cells_for: Callable[[float], Cells | None],
    cover: Cover | None = None,
    group: np.ndarray | None = None,
    basis: np.ndarray | None = None,
) -> DeepCertificate | None:
    """A certificate of the network's loss from above and of a number at most `target` (about) from below.

    cells_for(T): the ladders for a target T, in floating point. cover, group: the directions and their classes, if
    there are trees; basis: Q (n, r) if the points of the cover are coordinates. None if nothing can be certified.
    """
    arrays: dict[str, Any] = {"X": problem.X.ravel(), "Y": problem.Y.ravel()}
    header: dict[str, Any] = {
        "claim": "deep_minimum",
        "created_by": f"cpcert {__version__}",
        "problem": problem_header(problem),
    }
    upper: dict[str, Any] | None = None
    if network is not None:
        widths = list(network.widths[1:-1])
        weights = {f"W{k}": W.ravel() for k, W in enumerate(network.weights, start=1)}
        exact = deep_check.Problem(header["problem"], as_arrays(arrays))
        try:
            value = round_up(deep_check.network_loss(exact, widths, as_arrays(weights)))
            upper = {"value": value, "widths": widths}
            arrays |= weights
        except deep_check.Rejected:
            upper = None
    for less in LOWER:
        T = target * (1.0 - less)
        cells = cells_for(T) if items and T > 0.0 else None
        if cells is None:
            continue
        lower, proof = lower_side(problem, items, T, cells, cover, group, basis)
        content = write({**header, "upper": upper, "lower": lower}, {**arrays, **proof})
        if _accepted(content):
            return DeepCertificate(content, T, None if upper is None else upper["value"])
    if upper is None:
        return None
    content = write({**header, "upper": upper, "lower": None}, arrays)
    return DeepCertificate(content, None, upper["value"]) if _accepted(content) else None


def _accepted(content: bytes) -> bool:
    try:
        deep_check.check(content)
    except deep_check.Rejected:
        return False
    return True


def write(header: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    """The bytes of a certificate."""
    content = file.write(header, arrays)
    return deep_check.MAGIC + content[len(check.MAGIC) :]


def as_arrays(arrays: dict[str, Any]) -> dict[str, Any]:
    """Arrays as the checker reads them."""
    return deep_check.parse(write({}, arrays))[1]


def lower_side(
    problem: Problem,
    items: list[Item],
    target: float,
    cells: Cells,
    cover: Cover | None,
    group: np.ndarray | None,
    basis: np.ndarray | None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of the lower bound."""
    used = sorted(_used(cells)) or [0]
    number = {k: place for place, k in enumerate(used)}
    chosen = [items[k] for k in used]
    kinds = ["tree" if isinstance(item.proof, Tree) else "norm" for item in chosen]
    lower: dict[str, Any] = {"value": target, "coordinates": False, "classes": 1, "items": kinds}
    arrays: dict[str, np.ndarray] = {"G": np.concatenate([item.G.ravel() for item in chosen])}
    if "tree" in kinds:
        assert cover is not None and group is not None
        lower["classes"] = int(group.max(initial=0)) + 1
        if basis is not None:
            lower["coordinates"] = True
            arrays |= {"basis": basis.ravel(), "coordinates": cover.points.ravel()}
        arrays["cover"] = np.concatenate([[len(cover.bisections)], cover.bisections.ravel()]).astype(np.int64)
        arrays["classes"] = group.astype(np.int64)
        stream = [v for item in chosen if isinstance(item.proof, Tree) for v in tree_stream(item.proof, problem)]
        arrays["trees"] = np.array(stream, dtype=np.int64)
    if "norm" in kinds:
        norms, factors = _norms(problem, [item.G for item in chosen if isinstance(item.proof, NormItem)])
        arrays |= {"norms": norms, "factors": factors}
    stream, scales, splits = _cells(cells, number)
    arrays |= {
        "cells": np.array(stream, dtype=np.int64),
        "scales": np.array(scales, dtype=float),
        "splits": np.array(splits, dtype=float),
    }
    return lower, arrays


def _used(cells: Cells) -> set[int]:
    found = {k for k, _ in cells.rungs}
    return found.union(*(_used(part) for part in cells.parts))


def _cells(cells: Cells, number: dict[int, int]) -> tuple[list[int], list[float], list[float]]:
    """The steps depth first, the scales and the splits."""
    if cells.split is None:
        return [0, len(cells.rungs), *(number[k] for k, _ in cells.rungs)], [s for _, s in cells.rungs], []
    a, b, t = cells.split
    stream, scales, splits = [1, a, b], [], [t]
    for part in cells.parts:
        steps, more, cuts = _cells(part, number)
        stream += steps
        scales += more
        splits += cuts
    return stream, scales, splits


def tree_stream(tree: Tree, problem: Problem) -> list[int]:
    """The steps of both trees, each leaf followed by its multipliers."""
    stream: list[int] = []
    row = 0
    kink = problem.activation.kink
    for side, structure in zip((1.0, -1.0), tree.structure, strict=True):
        kappa = side * kink * tree.g
        for i in structure.tolist():
            if i >= 0:
                stream += [1, i]
                continue
            stream.append(0)
            free = (kappa < 0.0) | ((kappa > 0.0) & (tree.decided[row] != 0))
            stream += np.rint(np.ldexp(tree.T[row][free], GRID)).astype(np.int64).tolist()
            row += 1
    return stream


def _norms(problem: Problem, duals: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Operator norms of X̃ and of the dual points, and the factors that prove them."""
    matrices = [check.matrix(problem.X_tilde.T.ravel().tolist(), problem.N, problem.n, "X")]
    floats = [problem.X_tilde.T]
    for G in duals:
        exact, g = check.matrix(G.ravel().tolist(), problem.m, problem.N, "G")
        matrices.append((problem.loss.exact_dual(exact), g))
        floats.append(problem.loss.rounded_dual(G))
    norms, factors = [], []
    for (rows, e), A in zip(matrices, floats, strict=True):
        found = norm_with_factor(A, rows, e)
        if found is None:
            raise ArithmeticError("an operator norm could not be proven")
        norms.append(found[0])
        factors += found[1]
    return np.array(norms), np.array(factors, dtype=np.int64)
