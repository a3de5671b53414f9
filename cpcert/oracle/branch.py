"""Branch and bound for one output and one sign: a proven upper bound of a difference of convex functions.

    maximise f(w) = cᵀw + Σ_i κ_i relu(x_iᵀw)   over ‖w‖ ≤ 1.

For one output g, σ(s) = a₋s + (a₊ − a₋) relu(s) gives κ = (a₊ − a₋)g and c = a₋X̃g; the oracle runs this for g and −g.

A node knows intervals l_i ≤ x_iᵀw ≤ u_i. With h_i(y) = max over s ∈ [l_i, u_i] of κ_i relu(s) − ys, for *any* y ∈ R^N

    f(w) ≤ α + ĉᵀw ≤ α + ‖ĉ‖,    α = Σ h_i(y_i),   ĉ = c + Σ y_i x_i                                       (1)

(Fenchel), so that minimising ‖ĉ‖ is least squares over a box. Only w with ĉᵀw ≥ ς := u − α matter when f ≤ u is to be
proven: with the signs s_j x_jᵀw ≥ 0 of the branching, any ρ ≥ 0, s_jμ_j ≥ 0 and d = ±x_i,

    dᵀw ≤ ‖d + ρĉ + Σ μ_j x_j‖ − ρς                                                                        (2)

tightens l_i, u_i. Branching on the sign of x_iᵀw covers a node by two closed half-spaces, so the tree covers the ball
by its structure; leaves are closed by (1) or by l_i > u_i. `BranchProof` keeps the tree; `steps` replays it.

What the search does below a node depends on that node alone, and work is cut by node counts: neither limits, nor
bounds, nor the neurons found depend on the number of workers. A node is closed only when (1) and (2), inflated by their
rounding, are at most the cutoff. docs/mathematics/branch.md has the cases of h, the subtrees and the rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cpcert.errors import ProofError
from cpcert.oracle.branch_kernels import FINISHED, ROUNDS, RUNNING, SMALLEST, Claim, Found, Stack, advance, rooms
from cpcert.oracle.frame import Rows
from cpcert.oracle.rung import NO_LIMITS, Limits
from cpcert.parallel import Task, Workers, late, wait
from cpcert.rounding import EPS

NODES_PER_CALL = 500
# Nodes of the first call of a search with a deadline, and the seconds that a call should stay below.
FIRST_CALL, SECONDS_PER_CALL = 8, 0.1
# Nodes before a search is cut into tasks, and nodes of a task. They are a part of the search: another number, another result.
FIRST_NODES, TASK_NODES = 250, 250
# Tasks given to the workers in advance.
TASKS_PER_WORKER = 2
STEP_BUFFER = 8 * 10**6
NODES_AFTER_ATOM = 200


@dataclass(frozen=True, eq=False)
class OpenNode:
    """A node whose subtree is to be searched. low, high, y (N,): its intervals, and the multipliers it starts from. path, sign (d,):
    the points whose sign was branched on, and those signs. bound: proven for it."""

    low: np.ndarray
    high: np.ndarray
    y: np.ndarray
    path: np.ndarray
    sign: np.ndarray
    bound: float


@dataclass(frozen=True, eq=False)
class Region:
    """Some of the unit ball: the w with low_k ≤ a_kᵀw ≤ high_k for the rows of directions (K, r), low and high (K,). numbers (K,): of
    these rows in a proof, counted from the first after the points. cap: low_0 > 0 leaves little of the ball."""

    directions: np.ndarray
    low: np.ndarray
    high: np.ndarray
    numbers: np.ndarray
    cap: bool = False


def outside(directions: np.ndarray, heights: np.ndarray) -> Region:
    """The ball without the caps a_kᵀw > height_k."""
    return Region(directions, -_sizes(directions)[1], heights, np.arange(len(heights)))


def inside(directions: np.ndarray, heights: np.ndarray, k: int) -> Region:
    """The cap a_kᵀw ≥ height_k > 0."""
    direction = directions[k : k + 1]
    return Region(direction, heights[k : k + 1], _sizes(direction)[1], np.array([k]), cap=True)


@dataclass(frozen=True, eq=False)
class BranchProof:
    """The tree that proves f ≤ cutoff on the unit ball, or on a region.

    points (N, r), kappa (N,), linear (r,), cutoff: the problem as searched, scaled as `rows` say; the last points, with κ = 0, are the
    directions of the region. start: the first node. tree: int32, one entry
    per node in the order of the search (depth first): 0 for a closed leaf, ±(i + 1) for a branching on the sign of x_iᵀw whose
    first child, the next entry, is the one where that sign is ±1. The multipliers are those of a deterministic
    replay: see `steps`.
    """

    points: np.ndarray
    kappa: np.ndarray
    linear: np.ndarray
    cutoff: float
    tree: np.ndarray
    rows: Rows
    start: OpenNode

    def steps(self) -> Iterator[np.ndarray]:
        """Replay the search and yield its steps (tree_language.py), those of some nodes at a time.

        The arrays are overwritten by the next. Raises ProofError if the replay visits another tree.
        """
        search = _Search(self.points, self.kappa, self.linear, self.cutoff, max_atoms=0, record=True, start=self.start)
        N, depth = len(self.kappa), len(search.stack.low)
        nodes = max(1, min(NODES_PER_CALL, len(search.steps) // (ROUNDS * (2 * N + 2 + 2 * N * (6 + 2 * depth)) + 4)))
        at = 0
        while True:
            status, tree, steps = search.advance(nodes)
            if not np.array_equal(tree, self.tree[at : at + len(tree)]):
                raise ProofError("the replay of a branch and bound left the recorded tree")
            at += len(tree)
            yield steps
            if status != RUNNING:
                break
        if status != FINISHED or at != len(self.tree) or search.stack.worst[0] > 0.0:
            raise ProofError("the replay of a branch and bound did not close the recorded tree")


@dataclass(frozen=True, eq=False)
class BranchResult:
    """upper_bound: proven, f ≤ upper_bound on the unit ball; equal to the cutoff when closed. atoms (k, r): unit w with
    f(w) > cutoff (values (k,), floating point) met on the way. proof: None unless closed."""

    upper_bound: float
    closed: bool
    atoms: np.ndarray
    values: np.ndarray
    nodes: int
    proof: BranchProof | None = field(default=None)


@dataclass(frozen=True, eq=False)
class Explored:
    """What a search below a node did, depth first: tree entries, then the nodes that it left open, the next one last.

    worst: the largest proven bound of a leaf that could not be closed, or 0. atoms (k, r), values (k,): as in BranchResult.
    """

    tree: np.ndarray
    open: list[OpenNode]
    worst: float
    atoms: np.ndarray
    values: np.ndarray


def _sizes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """‖x_i‖² rounded, and proven bounds of ‖x_i‖."""
    square = np.einsum("ij,ij->i", points, points)
    return square, np.sqrt(square) * (1.0 + (points.shape[1] + 6) * EPS)


def _first_node(points: np.ndarray, kappa: np.ndarray, region: Region) -> OpenNode:
    """The node of the whole region, with the intervals of the points (n, r) and of its directions.

    In a cap aᵀw ≥ h, with cos θ = h/‖a‖, p = x_iᵀa/‖a‖ and q² = ‖x_i‖² − p²: x_iᵀw ≤ p cos θ + q sin θ, or ‖x_i‖ if p ≥ ‖x_i‖ cos θ.
    """
    high = _sizes(points)[1]
    low = -high
    if region.cap:
        a, length = region.directions[0], math.sqrt(region.directions[0] @ region.directions[0])
        more = 16.0 * (len(a) + 8) * EPS  # for the rounding of all that follows, also under the roots
        p, cosine = points @ a / length, float(region.low[0]) / length
        q = np.sqrt(np.maximum(high * high - p * p, 0.0) + more * high * high)
        rim = q * math.sqrt(max(1.0 - cosine * cosine, 0.0) + more) * (1.0 + more) + more * high
        low, high = (
            np.where(-p >= (cosine - more) * high, low, np.maximum(low, p * cosine - rim)),
            np.where(p >= (cosine - more) * high, high, np.minimum(high, p * cosine + rim)),
        )
    none = np.zeros(0)
    return OpenNode(
        np.append(low, region.low), np.append(high, region.high), np.append(0.5 * kappa, 0.0 * region.low), none, none, math.inf
    )  # fmt: skip


class _Search:
    """The arrays of one search below `start`; `advance` visits at most so many nodes."""

    def __init__(
        self,
        points: np.ndarray,
        kappa: np.ndarray,
        linear: np.ndarray,
        cutoff: float,
        *,
        max_atoms: int,
        start: OpenNode,
        record: bool = False,
    ) -> None:
        N, r = points.shape
        square, norms = _sizes(points)
        self.claim = Claim(points, norms, square, kappa, linear, cutoff, int(np.count_nonzero(kappa)))
        depth = int((kappa > 0.0).sum()) + 3
        self.stack = Stack(
            low=np.zeros((depth, N)),
            high=np.zeros((depth, N)),
            y=np.zeros((depth, N)),
            path=np.full((depth, depth), -1, np.int64),
            sign=np.zeros((depth, depth)),
            bound=np.full(depth, np.inf),
            counts=np.zeros(5, np.int64),
            worst=np.array([0.0]),
        )
        self.stack.low[0], self.stack.high[0], self.stack.y[0] = start.low, start.high, start.y
        signs = len(start.path)
        self.stack.path[0, :signs], self.stack.sign[0, :signs] = start.path, start.sign
        self.stack.bound[0] = start.bound
        self.stack.counts[0] = 1
        self.rooms = rooms(N, r, depth)
        self.found = Found(np.zeros((max_atoms, r)), np.zeros(max_atoms))
        worst = ROUNDS * (2 * N + 2 + 2 * N * (6 + 2 * depth)) + 4  # of one node
        self.steps = np.zeros(max(STEP_BUFFER, worst) if record else 0)

    def advance(self, nodes: int) -> tuple[int, np.ndarray, np.ndarray]:
        """Returns the status, the tree entries of this call, and its steps."""
        tree = np.zeros(nodes, np.int32)
        status = advance(self.claim, self.stack, *self.rooms, self.found, tree, self.steps, NODES_AFTER_ATOM)
        count = self.stack.counts
        return status, tree[: count[3]], self.steps[: count[4]]

    def open_nodes(self) -> list[OpenNode]:
        """The nodes that are still open, the next one last."""
        low, high, y, path, sign, bound, counts, _ = self.stack
        nodes = []
        for row in range(counts[0]):
            signs = int((path[row] < 0).argmax())
            nodes.append(OpenNode(
                low[row].copy(), high[row].copy(), y[row].copy(), path[row, :signs].copy(), sign[row, :signs].copy(),
                float(bound[row]),
            ))  # fmt: skip
        return nodes

    def open_bound(self) -> float:
        """The largest proven bound of what is not closed, or 0."""
        still = self.stack.bound[: self.stack.counts[0]]
        return max(float(self.stack.worst[0]), float(still.max(initial=0.0)))


def explore(
    points: np.ndarray,
    kappa: np.ndarray,
    linear: np.ndarray,
    cutoff: float,
    max_atoms: int,
    start: OpenNode,
    nodes: int,
    deadline: float | None = None,
) -> Explored:
    """Search below `start` until at most so many nodes are visited, or atoms found, or the deadline."""
    search = _Search(points, kappa, linear, cutoff, max_atoms=max_atoms, start=start)
    pieces = [np.zeros(0, np.int32)]
    visited, status = 0, RUNNING
    call = NODES_PER_CALL if deadline is None else FIRST_CALL
    while status == RUNNING and visited < nodes:
        if visited and late(deadline):
            break
        began = time.monotonic()
        status, tree, _ = search.advance(min(call, nodes - visited))
        visited += len(tree)
        pieces.append(tree)
        if deadline is not None:
            quick = time.monotonic() - began < 0.5 * SECONDS_PER_CALL
            call = min(2 * call, NODES_PER_CALL) if quick else max(call // 2, 1)
    found = int(search.stack.counts[1])
    return Explored(
        np.concatenate(pieces), search.open_nodes(), float(search.stack.worst[0]),
        search.found.atoms[:found], search.found.values[:found],
    )  # fmt: skip


@dataclass(eq=False)
class _Subtree:
    """An open node, and the task that explores it. unfolded: the nodes that the task left open have their place in the list."""

    node: OpenNode
    task: Task[Explored] | None = None
    unfolded: bool = False


class _Subtrees:
    """The subtrees that are open, or explored before their turn, in depth-first order, the next one last."""

    def __init__(
        self, problem: tuple[np.ndarray, np.ndarray, np.ndarray, float, int], nodes: list[OpenNode], workers: Workers
    ) -> None:
        self.problem, self.workers = problem, workers
        self.pending = [_Subtree(node) for node in nodes]

    def next(self, nodes: float, deadline: float | None) -> Explored | None:
        """What the task whose turn it is has done, with at most so many nodes; None after the deadline."""
        first = self.pending[-1]
        task = self._submit(deadline)
        while not task.done():
            wait([other.task for other in self.pending if other.task and not other.unfolded], deadline)
            if late(deadline):
                return None
            for other in self.pending[:-1]:
                if other.task and not other.unfolded and other.task.done():
                    self._unfold(other, other.task.result())
            self._submit(deadline)
        found = task.result()
        if len(found.tree) > nodes:
            found = explore(*self.problem, first.node, int(nodes), deadline)
            first.unfolded = False
        if not first.unfolded:
            self._unfold(first, found)
        self.pending.pop()
        return found

    def _submit(self, deadline: float | None) -> Task[Explored]:
        """Keep the workers busy with the subtrees next in order, at least with the first, whose task is returned."""
        # A task elsewhere is not waited for after the deadline; and another machine has another clock.
        limits = (TASK_NODES, None if self.workers.elsewhere else deadline)
        busy = sum(subtree.task is not None and not subtree.unfolded for subtree in self.pending)
        for subtree in reversed(self.pending):
            if subtree.task is None and (subtree is self.pending[-1] or busy < TASKS_PER_WORKER * self.workers.count):
                subtree.task = self.workers.submit(explore, *self.problem, subtree.node, *limits)
                busy += 1
        task = self.pending[-1].task
        assert task is not None
        return task

    def _unfold(self, subtree: _Subtree, found: Explored) -> None:
        at = self.pending.index(subtree)
        self.pending[at:at] = [_Subtree(node) for node in found.open]
        subtree.unfolded = True

    def open_bound(self) -> float:
        """The largest proven bound of a subtree whose turn has not come, or 0."""
        return max((subtree.node.bound for subtree in self.pending), default=0.0)

    def cancel(self) -> None:
        """Begin no other task."""
        for subtree in self.pending:
            if subtree.task is not None:
                subtree.task.cancel()


def branch_and_bound(
    points: np.ndarray,
    kappa: np.ndarray,
    linear: np.ndarray,
    cutoff: float,
    limits: Limits = NO_LIMITS,
    *,
    max_atoms: int = 8,
    region: Region | None = None,
) -> BranchResult:
    """Prove f(w) = linearᵀw + Σ κ_i relu(points_iᵀw) ≤ cutoff on the unit ball, or a region of it, or find w with f(w) > cutoff.

    points (N, r), kappa (N,), linear (r,), cutoff > 0: exact float64 numbers. What is returned as `upper_bound` is proven
    whatever stopped the search; it does not depend on the workers, who search the subtrees of a long one.
    """
    points = np.ascontiguousarray(points, dtype=np.float64)
    nothing = BranchResult(math.inf, False, np.zeros((0, points.shape[1])), np.zeros(0), 0)
    if not SMALLEST < cutoff < 1.0 / SMALLEST:
        return nothing
    # Powers of two bring every point and the cutoff near 1, without any rounding: κ_i relu(x_iᵀw) stays the same when
    # x_i is halved and κ_i doubled.
    keep = (kappa != 0.0) & np.any(points != 0.0, axis=1)
    exponents = np.frexp(np.abs(points).max(axis=1, initial=0.0))[1].astype(np.int64)
    numbers = np.zeros(0, np.int64) if region is None else len(keep) + region.numbers
    rows = Rows(np.append(np.flatnonzero(keep), numbers), exponents, math.frexp(cutoff)[1])
    scale_f = 2.0**-rows.unit
    points = np.ascontiguousarray(np.ldexp(points[keep], -exponents[keep, np.newaxis]))
    kappa = np.ascontiguousarray(np.ldexp(kappa[keep] * scale_f, exponents[keep]))
    linear = np.ascontiguousarray(linear * scale_f)
    if not max(np.abs(kappa).max(initial=0.0), np.abs(linear).max(initial=0.0)) < 1.0 / SMALLEST:
        return nothing
    region = region or outside(np.zeros((0, points.shape[1])), np.zeros(0))
    start = _first_node(points, kappa, region)
    points = np.concatenate([points, region.directions])
    kappa = np.append(kappa, np.zeros(len(region.directions)))
    problem = (points, kappa, linear, cutoff * scale_f, max_atoms)
    limit = math.inf if limits.nodes is None else limits.nodes
    deadline = limits.deadline
    parts = [explore(*problem, start, int(min(FIRST_NODES, limit)), deadline)]
    nodes = len(parts[0].tree)
    subtrees = _Subtrees(problem, parts[0].open, limits.workers.in_threads())
    try:
        while subtrees.pending and nodes < limit and not len(parts[-1].atoms):
            found = None if late(deadline) else subtrees.next(limit - nodes, deadline)
            if found is None:
                break
            parts.append(found)
            nodes += len(found.tree)
    finally:
        subtrees.cancel()
    atoms, values = (
        np.concatenate(arrays) for arrays in zip(*((part.atoms, part.values) for part in parts), strict=True)
    )
    order = np.argsort(-values, kind="stable")
    bound = max(cutoff * scale_f, subtrees.open_bound(), *(part.worst for part in parts))
    closed = not subtrees.pending and not len(atoms) and bound <= cutoff * scale_f
    tree = np.concatenate([part.tree for part in parts])
    return BranchResult(
        upper_bound=bound / scale_f,
        closed=closed,
        atoms=atoms[order],
        values=values[order] / scale_f,
        nodes=nodes,
        proof=BranchProof(points, kappa, linear, cutoff * scale_f, tree, rows, start) if closed else None,
    )
