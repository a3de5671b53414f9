"""Proofs for one output as the integers of SPEC.md, "Trees": branch and bound, and arrangements.

A replay of a branch and bound yields much that no leaf needs: trimming.py leaves it out. A tree that fails after trimming is tried
once more as the search left it.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from cpcert.certificate import trimming
from cpcert.certificate.arrangement_columns import arrangement_columns, arrangement_grid
from cpcert.certificate.branch_columns import branch_columns
from cpcert.certificate.clock import AFTER, NOT_TRIMMED, TRIMMING, Clock, Pace
from cpcert.certificate.file import varints
from cpcert.certificate.recorded_tree import Tree, needed
from cpcert.certificate.task import SLACKS, Attempt, Task
from cpcert.oracle.arrangement import ArrangementProof
from cpcert.oracle.branch import BranchProof, branch_and_bound
from cpcert.oracle.coordinates import unchanged
from cpcert.oracle.frame import Frame
from cpcert.oracle.one_output import SignedProof
from cpcert.oracle.tree_language import MU_GRID, RHO_GRID, Y_GRID, node_count, starts

# The columns of SPEC.md: structure, y, ρ, μ.
COLUMNS = ("proof", "y", "rho", "mu")


def signed(task: Task, proof: SignedProof) -> Iterator[Attempt]:
    """The writer of `SignedProof`: both trees."""

    def written(trim: bool) -> Writer:
        trees = [proof.positive, proof.negative]
        writer = Writer(task.frame, trees, trim, task.clock)
        for tree in trees:
            writer.write(tree)
        return writer

    for slack, writer in trimmed_or_whole(written):
        yield task.attempt(task.raised(slack), {"kind": "tree", "grid": writer.grid}, writer.arrays())


def trimmed_or_whole(written: Callable[[bool], Writer]) -> Iterator[tuple[float, Writer]]:
    """For each slack the trees trimmed, then whole; written (by the flag of trimming) once, when their turn comes."""
    writers: dict[bool, Writer] = {}
    for slack, trim in product(SLACKS, (True, False)):
        if trim not in writers:
            writers[trim] = written(trim)
        yield slack, writers[trim]


@functools.cache
def compile_writing_kernels() -> None:
    """Compile, or load from the cache, what writing a certificate runs on, so that no time limit pays for it."""
    points = np.array([[1.0, 0.5, -0.3], [0.2, -1.0, 0.7], [0.9, 0.3, 0.1], [1.0, -0.4, 0.6]])
    kappa = np.array([1.0, -1.0, 0.5, 0.3])
    proof = branch_and_bound(points, kappa, np.zeros(3), 4.0).proof
    if proof is not None:
        writer = Writer(Frame(unchanged(points.T), 0, 0), [proof], True)
        writer.write(proof)
        varints(writer.arrays()["proof"])


class Writer:
    """Writes the trees of one certificate, found in the numbers of a frame. exponents (N,): x̂_i = scaled·2**exponents.

    trim: shorten branch-and-bound trees at the expense of their room (trimming.py). clock: trimming is skipped, and noted there,
    when it would not end in time; `write` raises Late when the rest will not either.
    """

    def __init__(
        self, frame: Frame, proofs: Sequence[BranchProof | ArrangementProof], trim: bool, clock: Clock | None = None
    ) -> None:
        self.frame, self.trim, self.clock = frame, trim, clock or Clock()
        self.pace = Pace(sum(len(proof.tree) for proof in proofs), AFTER)
        live = np.any(frame.space.points != 0.0, axis=1)
        # The same for all trees, as they are about the same points.
        self.exponents = np.where(live, frame.x + proofs[0].rows.exponents, 0)
        self.grid, self._columns_of = LANGUAGES[type(proofs[0])](self, proofs)
        self._columns: tuple[list[np.ndarray], ...] = ([], [], [], [])

    def write(self, proof: BranchProof | ArrangementProof, *, same: bool = False) -> None:
        """Append one tree; same: it goes on with the scale of the one before."""
        if not same:
            self.append([self.frame.unit + proof.rows.unit])
        for column, values in zip(self._columns, self._columns_of(proof), strict=True):
            column.append(np.asarray(values, dtype=np.int64))

    def append(self, structure: Sequence[int] | np.ndarray) -> None:
        """Integers of the structure that belong to no tree."""
        self._columns[0].append(np.asarray(structure, dtype=np.int64))

    def arrays(self) -> dict[str, np.ndarray]:
        """What has been written: the columns and the exponents."""
        columns = {
            name: np.concatenate([np.zeros(0, np.int64), *c]) for name, c in zip(COLUMNS, self._columns, strict=True)
        }
        return {"exponents": self.exponents, **columns}


# The bits of t = y/κ, μ and ρ, and the columns of one tree.
Language = tuple[list[int], Callable[[Any], Sequence[Any]]]


def _branching(writer: Writer, proofs: Sequence[BranchProof]) -> Language:
    def columns(proof: BranchProof) -> Sequence[np.ndarray]:
        steps, offset, trim = _replay(proof, writer)
        depth = int((proof.kappa > 0.0).sum()) + 3
        start = proof.start
        tree = Tree(steps, offset, proof.points, proof.kappa, proof.linear, proof.cutoff, start.low, start.high)
        keep = trimming.trimmed(tree, depth) if trim else np.ones(len(offset) - 1, np.bool_)
        need = needed(tree, keep, depth)
        return branch_columns(steps, offset, need, proof.kappa, proof.rows.kept, depth)

    return [-int(math.log2(g)) for g in (Y_GRID, MU_GRID, RHO_GRID)], columns


def _arrangement(writer: Writer, proofs: Sequence[ArrangementProof]) -> Language:
    grid = arrangement_grid(proofs)
    return grid, lambda proof: arrangement_columns(proof, grid)


LANGUAGES: dict[type, Callable[[Writer, Any], Language]] = {BranchProof: _branching, ArrangementProof: _arrangement}


def _replay(proof: BranchProof, writer: Writer) -> tuple[np.ndarray, np.ndarray, bool]:
    """The steps of a branch and bound, where each of them starts, and whether there is time to trim them."""
    pace, trim, clock = writer.pace, writer.trim, writer.clock
    pieces = []
    last = time.monotonic()
    for piece in proof.steps():
        pieces.append(piece.copy())
        last, before = time.monotonic(), last
        pace.step(node_count(piece), last - before, clock)
    # Freed one by one: a large tree has a gigabyte of steps.
    steps = np.empty(sum(map(len, pieces)))
    at = len(steps)
    while pieces:
        piece = pieces.pop()
        at -= len(piece)
        steps[at : at + len(piece)] = piece
    left = pace.total - pace.done
    trims = TRIMMING * (left + len(proof.tree))
    if trim and pace.ahead(left + trims + AFTER * pace.total) > clock.left():
        trim = False
        if NOT_TRIMMED not in clock.skipped:
            clock.skipped.append(NOT_TRIMMED)
    return steps, starts(steps), trim
