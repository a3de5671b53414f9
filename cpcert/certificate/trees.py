"""Branch-and-bound and arrangement proofs as the integers of SPEC.md, "Trees".

A replay of a branch and bound yields much that no leaf needs: trimming.py leaves it out.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Sequence

import numpy as np

from cpcert.certificate import trimming
from cpcert.certificate.clock import AFTER, TRIMMING, Clock, Pace
from cpcert.certificate.recorded_tree import Tree, needed
from cpcert.compiled import njit
from cpcert.errors import ProofError
from cpcert.oracle.arrangement import IMPLIED_NODE, LEAF, ArrangementProof
from cpcert.oracle.branch import BranchProof, branch_and_bound
from cpcert.oracle.branch_kernels import MU_GRID, RHO_GRID, Y_GRID
from cpcert.oracle.tree_language import (
    BOUND,
    BRANCH,
    CLOSE,
    COUNT,
    EMPTY,
    FIRST,
    PAIRS,
    RHO,
    SIDE,
    TIGHTEN,
    kind_of,
    node_count,
    plus_first,
    point_of,
    starts,
    step_end,
)

# What `clock.skipped` says when the time is short.
NOT_TRIMMED = "trimming the proof"
# The columns of SPEC.md: structure, y, ρ, μ.
COLUMNS = ("proof", "y", "rho", "mu")
# Multipliers of an arrangement are written with so many bits: its bound is exact to rounding.
FINE = 50


def varints(values: np.ndarray) -> bytes:
    """Signed integers as zigzag, seven bits a byte, lowest first, bit 7 set on all but the last."""
    zigzag = (values << 1 ^ values >> 63).view(np.uint64)
    return bytes(_varints(zigzag))


@njit(cache=True)
def _varints(values):
    size = 0
    for value in values:
        size += 1
        while value >= 128:
            value >>= np.uint64(7)
            size += 1
    raw = np.empty(size, np.uint8)
    at = 0
    for value in values:
        while value >= 128:
            raw[at] = np.uint8(value & np.uint64(127)) | np.uint8(128)
            at += 1
            value >>= np.uint64(7)
        raw[at] = np.uint8(value)
        at += 1
    return raw


def row_exponents(A: np.ndarray) -> np.ndarray:
    """The binary exponent of the largest entry of each row, in size."""
    return np.frexp(np.abs(A).max(axis=1, initial=0.0))[1].astype(np.int64)


@functools.cache
def compile_writing_kernels() -> None:
    """Compile, or load from the cache, what writing a certificate runs on, so that no time limit pays for it."""
    points = np.array([[1.0, 0.5, -0.3], [0.2, -1.0, 0.7], [0.9, 0.3, 0.1], [1.0, -0.4, 0.6]])
    kappa = np.array([1.0, -1.0, 0.5, 0.3])
    proof = branch_and_bound(points, kappa, np.zeros(3), 4.0).proof
    if proof is not None:
        writer = Writer(points, [proof], True)
        writer.write(proof, kappa, np.zeros(3))
        varints(writer.arrays()["proof"])


class Writer:
    """Writes the trees of one certificate. points (N, r): before any scaling. exponents (N,): points = scaled·2**exponents.

    trim: shorten branch-and-bound trees at the expense of their room (trimming.py). clock: trimming is skipped, and noted there,
    when it would not end in time; `write` raises Late when the rest will not either.
    """

    def __init__(
        self,
        points: np.ndarray,
        proofs: Sequence[BranchProof | ArrangementProof],
        trim: bool,
        clock: Clock | None = None,
    ) -> None:
        self.points, self.trim, self.clock = points, trim, clock or Clock()
        self._pace = Pace(sum(len(proof.tree) for proof in proofs), AFTER)
        self._columns: tuple[list[np.ndarray], ...] = ([], [], [], [])
        self.sizes = row_exponents(points)
        live = np.any(points != 0.0, axis=1)
        arrangement = isinstance(proofs[0], ArrangementProof)
        if arrangement:
            from cpcert.oracle.arrangement import scaled_points

            self.exponents = np.where(live, scaled_points(points)[1], 0)
            self.grid = _fine_grid([proof for proof in proofs if isinstance(proof, ArrangementProof)])
        else:
            self.exponents = np.where(live, self.sizes, 0)
            self.grid = [-int(math.log2(g)) for g in (Y_GRID, MU_GRID, RHO_GRID)]

    def write(self, proof: BranchProof | ArrangementProof, kappa: np.ndarray, linear: np.ndarray) -> None:
        """Append one tree. kappa (N,), linear (r,): of the problem before scaling."""
        index = np.flatnonzero((kappa != 0.0) & np.any(self.points != 0.0, axis=1))
        if len(index) != len(proof.kappa):
            raise ProofError("a proof by a tree is one for other points")
        if len(index):
            j = int(np.argmax(np.abs(proof.kappa)))
            i = index[j]
            scale = (
                math.frexp(abs(float(kappa[i])))[1] + int(self.sizes[i])
                - math.frexp(abs(float(proof.kappa[j])))[1] - int(row_exponents(proof.points[j : j + 1])[0])
            )  # fmt: skip
        else:
            scale = _ratio_exponent(linear, proof.linear)
        self.append([scale])
        if isinstance(proof, ArrangementProof):
            for column, values in zip(self._columns, _arrangement(proof, index, self.grid), strict=True):
                column.append(np.array(values, dtype=np.int64))
            return
        steps, offset, trim = self._replay(proof)
        depth = int((proof.kappa > 0.0).sum()) + 3
        tree = Tree(steps, offset, proof.points, proof.kappa, proof.linear, proof.cutoff)
        keep = trimming.trimmed(tree, depth) if trim else np.ones(len(offset) - 1, np.bool_)
        need = needed(tree, keep, depth)
        found = _branch(steps, offset, need, proof.kappa, index, depth)
        for column, values in zip(self._columns, found, strict=True):
            column.append(values)

    def _replay(self, proof: BranchProof) -> tuple[np.ndarray, np.ndarray, bool]:
        """The steps of a branch and bound, where each of them starts, and whether there is time to trim them."""
        pieces = []
        last = time.monotonic()
        for piece in proof.steps():
            pieces.append(piece.copy())
            last, before = time.monotonic(), last
            self._pace.step(node_count(piece), last - before, self.clock)
        # Freed one by one: a large tree has a gigabyte of steps.
        steps = np.empty(sum(map(len, pieces)))
        at = len(steps)
        while pieces:
            piece = pieces.pop()
            at -= len(piece)
            steps[at : at + len(piece)] = piece
        pace, trim = self._pace, self.trim
        left = pace.total - pace.done
        trims = TRIMMING * (left + len(proof.tree))
        if trim and pace.ahead(left + trims + AFTER * pace.total) > self.clock.left():
            trim = False
            if NOT_TRIMMED not in self.clock.skipped:
                self.clock.skipped.append(NOT_TRIMMED)
        return steps, starts(steps), trim

    def append(self, structure: Sequence[int] | np.ndarray) -> None:
        """Integers of the structure that belong to no tree."""
        self._columns[0].append(np.asarray(structure, dtype=np.int64))

    def arrays(self) -> dict[str, np.ndarray]:
        """What has been written: the columns and the exponents."""
        columns = {
            name: np.concatenate([np.zeros(0, np.int64), *c]) for name, c in zip(COLUMNS, self._columns, strict=True)
        }
        return {"exponents": self.exponents, **columns}


def _ratio_exponent(big: np.ndarray, small: np.ndarray) -> int:
    """e with big = small·2**e; 0 if both vanish."""
    top, bottom = float(np.abs(big).max(initial=0.0)), float(np.abs(small).max(initial=0.0))
    return 0 if top == 0.0 or bottom == 0.0 else math.frexp(top)[1] - math.frexp(bottom)[1]


def _fine_grid(proofs: Sequence[ArrangementProof]) -> list[int]:
    """The bits of t = y/κ and μ in the proofs, fewer where the largest of them would not fit into an integer."""
    largest_t = largest_mu = 1.0
    for proof in proofs:
        ends = np.cumsum(proof.count)
        lists = [entry for entry in proof.tree.tolist() if entry == LEAF or abs(entry) == IMPLIED_NODE]
        for entry, count, end in zip(lists, proof.count.tolist(), ends.tolist(), strict=True):
            weights = np.abs(proof.weight[end - count : end])
            if entry == LEAF:
                t = weights / np.abs(proof.kappa[proof.index[end - count : end]])
                largest_t = max(largest_t, float(t.max(initial=0.0)))
            else:
                largest_mu = max(largest_mu, float(weights.max(initial=0.0)))
    return [max(0, min(FINE, 62 - math.frexp(largest)[1])) for largest in (largest_t, largest_mu)] + [0]


def _arrangement(
    proof: ArrangementProof, index: np.ndarray, grid: Sequence[int]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """The columns of an arrangement: implied signs are tightenings without a cap, each leaf one bound."""
    steps: list[int] = []
    ys: list[int] = []
    rhos: list[int] = []
    mus: list[int] = []
    lists = iter(zip(proof.count.tolist(), (np.cumsum(proof.count) - proof.count).tolist(), strict=True))
    # An open node: the next entry of `order`, and its path (point, sign).
    nodes: list[tuple[int, list[tuple[int, int]]]] = [(0, [])]
    tree = iter(proof.tree.tolist())
    while nodes:
        at, path = nodes.pop()
        for entry in tree:
            if entry == LEAF:
                count, start = next(lists)
                found = []
                for j in range(start, start + count):
                    i = int(proof.index[j])
                    found.append((int(index[i]), round(math.ldexp(float(proof.weight[j] / proof.kappa[i]), grid[0]))))
                steps += [BOUND, count]
                last = -1
                for i, t in sorted(found):
                    full = t == 1 << grid[0]
                    steps.append(2 * (i - last - 1) + (not full))
                    ys += [] if full else [t]
                    last = i
                steps.append(CLOSE)
                break
            i = int(proof.order[at])
            at += 1
            if abs(entry) == IMPLIED_NODE:
                count, start = next(lists)
                place = {j: (p, s) for p, (j, s) in enumerate(path)}
                found = []
                for j in range(start, start + count):
                    p, s = place[int(proof.index[j])]
                    mu = round(math.ldexp(s * float(proof.weight[j]), grid[1]))
                    found += [(p, mu)] if mu > 0 else []
                # entry·x_iᵀw ≥ −ε is −entry·x_iᵀw ≤ ε.
                steps += [TIGHTEN, 2 * int(index[i]) + (entry > 0), len(found)]
                rhos.append(0)
                last = -1
                for p, mu in sorted(found):
                    steps.append(p - last - 1)
                    mus.append(mu)
                    last = p
            else:
                first = 1 if entry > 0 else -1
                steps += [BRANCH, 2 * int(index[i]) + (first < 0)]
                nodes += [(at, [*path, (i, -first)]), (at, [*path, (i, first)])]
                break
    return steps, ys, rhos, mus


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
def _branch(steps, offset, need, kappa, index, depth):
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
