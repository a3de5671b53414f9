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
from cpcert.deep.bound.boxes import Box
from cpcert.deep.bound.classes import Classes
from cpcert.deep.bound.cover import Cover
from cpcert.deep.bound.items import Item, Tops
from cpcert.deep.bound.ladders import Ladder
from cpcert.deep.bound.norms import NormItem
from cpcert.deep.bound.tree import GRID, Tree
from cpcert.network import Network
from cpcert.problem import Problem
from cpcert.rounding import round_up

# What the checker says of a proof that is too long for the size of its file.
COSTLY = "more time or memory"
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
    proof_of: Callable[[float], Ladder | Boxes | TopBoxes | None],
    basis: np.ndarray | None = None,
) -> DeepCertificate | None:
    """A certificate of the network's loss from above and of a number at most `target` (about) from below.

    proof_of(T): the ladders or the boxes for a target T, in floating point. basis: Q (n, r) if the points of the cover are
    coordinates. None if nothing can be certified.
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
        found = proof_of(T) if items and T > 0.0 else None
        if found is None:
            continue
        lower, proof = lower_side(problem, items, T, found, basis)
        content = write({**header, "upper": upper, "lower": lower}, {**arrays, **proof})
        reason = _refused(content)
        if reason is None:
            return DeepCertificate(content, T, None if upper is None else upper["value"])
        if COSTLY in reason:
            # A little less costs as much.
            break
    if upper is None:
        return None
    content = write({**header, "upper": upper, "lower": None}, arrays)
    return DeepCertificate(content, None, upper["value"]) if _refused(content) is None else None


def _refused(content: bytes) -> str | None:
    """Why the checker rejects it, if it does."""
    try:
        deep_check.check(content)
    except deep_check.Rejected as reason:
        return str(reason)
    return None


def write(header: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    """The bytes of a certificate."""
    content = file.write(header, arrays)
    return deep_check.MAGIC + content[len(check.MAGIC) :]


def as_arrays(arrays: dict[str, Any]) -> dict[str, Any]:
    """Arrays as the checker reads them."""
    return deep_check.parse(write({}, arrays))[1]


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes that prove a target, depth first: those with a bound of at least the target have no children."""

    boxes: list[Box]
    classes: Classes


@dataclass(frozen=True, eq=False)
class TopBoxes:
    """The same for boxes of masses of top neurons."""

    boxes: list[Box]
    cover: Cover


def lower_side(
    problem: Problem, items: list[Item], target: float, proof: Ladder | Boxes | TopBoxes, basis: np.ndarray | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of the lower bound."""
    if isinstance(proof, Boxes | TopBoxes):
        used = sorted({box.proof.item for box in proof.boxes if box.bound >= target and box.proof is not None}) or [0]
    else:
        used = sorted({k for k, _ in proof.rungs}) or [0]
    number = {k: place for place, k in enumerate(used)}
    chosen = [items[k] for k in used]
    names = {Tree: "tree", NormItem: "norm", Tops: "top"}
    kinds = [names[type(item.proof)] for item in chosen]
    lower: dict[str, Any] = {"value": target, "coordinates": False, "classes": 1, "items": kinds}
    arrays: dict[str, np.ndarray] = {"G": np.concatenate([item.G.ravel() for item in chosen])}
    if isinstance(proof, Boxes | TopBoxes):
        cover = proof.classes.cover if isinstance(proof, Boxes) else proof.cover
        if basis is not None:
            lower["coordinates"] = True
            arrays |= {"basis": basis.ravel(), "coordinates": cover.points.ravel()}
        arrays["cover"] = np.concatenate([[len(cover.bisections)], cover.bisections.ravel()]).astype(np.int64)
        trees = [item.proof for item in chosen if isinstance(item.proof, Tree | Tops)]
        arrays["trees"] = np.array([v for tree in trees for v in tree_stream(tree, problem)], dtype=np.int64)
        if isinstance(proof, TopBoxes):
            arrays["classes"] = np.zeros(len(cover.simplices), dtype=np.int64)
            return lower, arrays | _boxes(proof.boxes, target, number)
        members, group = atoms(proof)
        lower["classes"] = int(group.max(initial=0)) + 1
        arrays["classes"] = group.astype(np.int64)
        return lower, arrays | _boxes(proof.boxes, target, number, members)
    norms, factors = _norms(problem, [item.G for item in chosen])
    arrays |= {"norms": norms, "factors": factors}
    steps = [0, len(proof.rungs), *(number[k] for k, _ in proof.rungs)]
    arrays |= {
        "cells": np.array(steps, dtype=np.int64),
        "scales": np.array([s for _, s in proof.rungs], dtype=float),
        "splits": np.zeros(0),
    }
    return lower, arrays


def atoms(proof: Boxes) -> tuple[dict[int, int], np.ndarray]:
    """(bits, group): the coarsest classes of which all classes of the boxes are unions, as the bits of those, and (K,) by cone."""
    used = sorted({a for box in proof.boxes for a in box.sets})
    table = np.array([proof.classes.cones[a] for a in used])
    _, group = np.unique(table, axis=1, return_inverse=True)
    group = np.asarray(group).ravel()
    return {a: sum(1 << int(k) for k in np.unique(group[proof.classes.cones[a]])) for a in used}, group


def _boxes(
    boxes: list[Box], target: float, number: dict[int, int], members: dict[int, int] | None = None
) -> dict[str, np.ndarray]:
    """The steps depth first, scales, splits and masses. members: the bits of classes; None for top neurons."""
    steps: list[int] = []
    scales: list[float] = []
    splits: list[float] = []
    masses: list[float] = []
    for box in boxes:
        if box.bound >= target and box.proof is None:
            steps.append(3)
        elif box.bound >= target and box.proof is not None:
            steps += [0, number[box.proof.item]]
            scales.append(box.proof.scale)
            masses += box.proof.masses.tolist()
        else:
            assert box.step is not None
            kind, place, t = box.step
            if kind == "cut":
                steps += [1, place]
                splits.append(t)
            else:
                steps += [2, place, int(t) if members is None else members[box.children[0].sets[place]]]
    return {
        "boxes": np.array(steps, dtype=np.int64),
        "scales": np.array(scales, dtype=float),
        "splits": np.array(splits, dtype=float),
        "masses": np.array(masses, dtype=float),
    }


def tree_stream(tree: Tree | Tops, problem: Problem) -> list[int]:
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
