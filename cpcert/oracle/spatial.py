"""Branch and bound over cones of directions w: γ(G) ≤ u for points of small rank r, however many they are.

    f(w) = Lw + Σ_i h_i relu(x_iᵀw),   h_i = (a₊ − a₋)g_i,  L = a₋GX̃ᵀ,   so Gσ(X̃ᵀw) = f(w);   claim ‖f(w)‖ ≤ u‖w‖ for all w.

The 2^r orthants are bisected along edges. On the cone of vertices u_1 … u_r only points whose x_iᵀu_j have both signs are
undecided; for the others relu(x_iᵀw) is linear. A leaf has θ ≥ 0, ŵ = Uθ/‖Uθ‖, and is closed when F_j ≤ u ŵᵀu_j for all
vertices: F_j is f(u_j) with relu(s) ≥ τs, τ ∈ {0, 1}, in the place of concave kinks (one output), or the norm of f(u_j)
moved to the middle of what undecided kinks can differ by, and half of that (several).

Proofs are about integers next to the points and weights, which the certificate repeats; what they change is added to the
bound. The tree is cut into about `TASKS` tasks, whatever the number of threads; each depends on its cone alone, so the
answer does not depend on threads.

docs/mathematics/spatial.md has the inequalities (1) to (3), the choice of θ and the rounding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

import numpy as np

from cpcert.activations import Activation
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.rung import NO_LIMITS, Limits, Question
from cpcert.oracle.spatial_kernels import CLOSED, DEEPEST, explore
from cpcert.oracle.spectral import TINY
from cpcert.parallel import late
from cpcert.rounding import EPS

# About so many cones, bisected orthants, are tasks.
TASKS = 64
# The rounding to integers may add 2^−FRAME of the bound; integers have at most FRAME_BITS bits.
FRAME, FRAME_BITS = 33, 50
MOST_NEURONS = 8
SECONDS_PER_LOOK = 0.05


@dataclass(frozen=True, eq=False)
class IntegerFrame:
    """The integers of one problem, as float64: f̂ = 2^{p+q}f up to `error`, in the units of f.

    points (n, r), weights (m, n), linear (m, r). index (n,): the points that take part; one output: those with h_i > 0 first,
    `convex` of them. bits: (p, q).
    """

    points: np.ndarray
    weights: np.ndarray
    linear: np.ndarray
    index: np.ndarray
    convex: int
    bits: tuple[int, int]
    error: float

    @property
    def size(self) -> float:
        """M of docs/mathematics/spatial.md, rounded up."""
        norms = np.linalg.norm(self.weights, axis=0) * np.linalg.norm(self.points, axis=1)
        total = float(norms.sum()) + float(np.linalg.norm(self.linear))
        return total * (1.0 + 2.0 * (len(self.points) + 64) * EPS)


@dataclass(frozen=True, eq=False)
class SpatialProof:
    """Why ‖f̂‖ ≤ aim·‖w‖ for the numbers of the frame, aim in the units of f.

    bits: (p, q) of the frame. tree (int8): the orthants' trees, depth first, for g and then for −g if there is one output: edge + 1,
    or 0 for a leaf. theta (int8): r numbers for each leaf.
    """

    bits: tuple[int, int]
    tree: np.ndarray
    theta: np.ndarray
    aim: float


def orthants(r: int) -> list[np.ndarray]:
    """The first cones: (r, r) with rows ±e_j, the sign + before −, the last coordinate fastest."""
    return [np.diag(np.array(signs)) for signs in itertools.product((1.0, -1.0), repeat=r)]


def integer_frame(points: np.ndarray, G: np.ndarray, activation: Activation, bound: float) -> IntegerFrame:
    """The integers of the proof of γ(G) ≤ bound; points (N, r), G (m, N), both scaled to size 1."""
    m, r = len(G), points.shape[1]
    kink, slope = activation.kink, activation.a_minus
    weights = kink * G
    live = np.flatnonzero(np.any(weights != 0.0, axis=0) & np.any(points != 0.0, axis=1))
    count = max(len(live), 1)
    norms = np.linalg.norm(points, axis=1) * np.linalg.norm(weights, axis=0)
    if m == 1:
        live = np.concatenate([live[weights[0, live] > 0.0], live[weights[0, live] < 0.0]])
        h = np.sign(weights[:, live])
        x = np.abs(weights[0, live])[:, np.newaxis] * points[live]
        p = FRAME + _exponent(count * math.sqrt(r) / bound)
        p, q = min(p, FRAME_BITS - _exponent(float(np.abs(x).max(initial=0.0)))), 0
        h_error = 2.0 * EPS * float(norms.sum())
    else:
        e = np.frexp(np.abs(points[live]).max(axis=1, initial=0.0))[1]
        h = np.ldexp(weights[:, live], e)
        x = np.ldexp(points[live], -e[:, np.newaxis])
        p = min(FRAME + _exponent(float(norms.sum()) * math.sqrt(r) / bound), FRAME_BITS)
        q = FRAME + _exponent(count * math.sqrt(r * m) / bound)
        q = min(q, FRAME_BITS - _exponent(float(np.abs(h).max(initial=0.0))))
        h_error = EPS * float(norms.sum())
    X, H = np.floor(np.ldexp(x, p) + 0.5), np.floor(np.ldexp(h, q) + 0.5)
    L = slope * (G @ points)
    linear = np.floor(np.ldexp(L, p + q) + 0.5)
    # (3); h and x are off by a rounding each, and so is L after a sum of N products.
    h_norm, X_norm = np.linalg.norm(h, axis=0), np.linalg.norm(np.ldexp(X, -p), axis=1)
    error = float(h_norm @ np.linalg.norm(x - np.ldexp(X, -p), axis=1))
    error += float(np.linalg.norm(h - np.ldexp(H, -q), axis=0) @ X_norm) + h_error
    error += float(np.linalg.norm(L - np.ldexp(linear, -p - q)))
    error += (len(points) + 4) * EPS * abs(slope) * float(np.linalg.norm(np.abs(G) @ np.abs(points)))
    error = error * (1.0 + 4.0 * (len(points) + r + m) * EPS) + TINY
    convex = int((h > 0.0).sum()) if m == 1 else len(live)
    X, H, linear = (np.ascontiguousarray(part) for part in (X, H, linear))
    return IntegerFrame(X, H, linear, live, convex, (int(p), int(q)), error)


def _exponent(value: float) -> int:
    return math.frexp(value)[1] if 0.0 < value < math.inf else 0


def negated(frame: IntegerFrame) -> IntegerFrame:
    """The frame of −g, for one output."""
    order = np.concatenate([np.arange(frame.convex, len(frame.index)), np.arange(frame.convex)])
    return IntegerFrame(
        frame.points[order], np.ascontiguousarray(-frame.weights[:, order]), -frame.linear, frame.index[order],
        len(frame.index) - frame.convex, frame.bits, frame.error,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cone:
    """A task: its frame's number, vertices (r, r) and halvings (r,); or None: the entry of a bisection above tasks."""

    frame: int
    vertices: np.ndarray
    halvings: np.ndarray


def _cuts(frames: Sequence[IntegerFrame], r: int) -> tuple[list[Cone], list[int]]:
    """The tasks in order, and how the tree above them goes: −1 for a task, else an entry of the tree."""
    tasks: list[Cone] = []
    plan: list[int] = []
    edges = list(itertools.combinations(range(r), 2))
    cut = max(int(math.log2(TASKS)) - r, 0)
    for number in range(len(frames)):
        stack = [(cone, np.zeros(r, np.int64), 0) for cone in reversed(orthants(r))]
        while stack:
            vertices, halvings, depth = stack.pop()
            if depth == cut:
                tasks.append(Cone(number, vertices, halvings))
                plan.append(-1)
                continue
            lengths = [float(np.linalg.norm(vertices[a] - vertices[b])) for a, b in edges]
            e = int(np.argmax(lengths))
            plan.append(e + 1)
            a, b = edges[e]
            for out in (a, b):  # the child without b comes first
                child, counts = vertices.copy(), halvings.copy()
                child[out] = 0.5 * (vertices[a] + vertices[b])
                counts[out] = max(halvings[a], halvings[b]) + 1
                stack.append((child, counts, depth + 1))
    return tasks, plan


def prove(question: Question, limits: Limits) -> OracleAnswer:
    """The rung `spatial`."""
    return spatial_cover(question.points, question.G, question.activation, question.aim, limits)


def spatial_cover(
    points: np.ndarray, G: np.ndarray, activation: Activation, cutoff: float, limits: Limits = NO_LIMITS
) -> OracleAnswer:
    """Prove γ(G) ≤ cutoff by cones of directions, or find neurons above the cutoff.

    points (N, r), G (m, N), both scaled to size near 1. The limit is on the nodes in all; as many cones as there are workers
    are searched at the same time, by threads; the answer depends on none of it unless the deadline ends the search.
    upper_bound is the cutoff, proven, or inf; W (k, r) are neurons above it (proof is None then).
    """
    r = points.shape[1]
    none = np.zeros((0, r))
    if not 0.0 < cutoff < math.inf:
        return OracleAnswer(none, np.zeros(0), math.inf, "spatial")
    frame = integer_frame(points, G, activation, cutoff)
    unit = math.ldexp(1.0, sum(frame.bits))
    aim = (cutoff * (1.0 - 4.0 * EPS) - frame.error) * (1.0 - 4.0 * EPS)
    margin = (4.0 * len(points) + 8.0 * (DEEPEST + r + len(G)) + 64.0) * EPS * frame.size
    if not (aim > 0.0 and aim * unit < math.inf):
        return OracleAnswer(none, np.zeros(0), math.inf, "spatial")
    frames = [frame, negated(frame)] if len(G) == 1 else [frame]
    tasks, plan = _cuts(frames, r)
    search = partial(_search, frames, aim * unit, margin, limits.nodes, np.zeros(1, np.int64))
    found = _run(search, tasks, limits, max(limits.workers.count, 1))
    nodes = sum(len(part.tree) for part in found) + len(plan) - len(tasks)
    neurons = np.concatenate([none, *(part.neurons[:, :r] for part in found)])
    values = np.concatenate([np.zeros(0), *(part.neurons[:, r] for part in found)]) / unit
    order = np.argsort(-values, kind="stable")
    whole = len(found) == len(tasks) and all(part.status == CLOSED for part in found)
    if not whole or len(values) or (limits.nodes is not None and nodes > limits.nodes):
        return OracleAnswer(neurons[order], values[order], math.inf, "spatial", None, nodes)
    parts = iter(found)
    tree = [np.array([entry], np.int8) if entry >= 0 else next(parts).tree for entry in plan]
    theta = np.concatenate([part.theta for part in found])
    proof = SpatialProof(frame.bits, np.concatenate(tree), theta, aim)
    return OracleAnswer(none, values, cutoff, "spatial", proof, nodes, True)


@dataclass(frozen=True, eq=False)
class _Searched:
    status: int
    tree: np.ndarray
    theta: np.ndarray
    neurons: np.ndarray


def _search(
    frames: Sequence[IntegerFrame], bound: float, margin: float, nodes: int | None, stop: np.ndarray, cone: Cone | None
) -> _Searched | None:
    """Search one cone; None: tell all searches to end."""
    if cone is None:
        stop[0] = 1
        return None
    frame = frames[cone.frame]
    r = frame.points.shape[1]
    neurons = np.zeros((MOST_NEURONS, r + 1))
    sizes = np.linalg.norm(frame.weights, axis=0) * (1.0 + (len(frame.weights) + 4) * EPS)
    status, tree, _, theta, _, found = explore(
        frame.points, frame.weights, frame.linear, sizes, frame.convex, bound, margin,
        cone.vertices, cone.halvings, 2**62 if nodes is None else nodes, stop, neurons,
    )  # fmt: skip
    return _Searched(status, tree, theta, neurons[:found])


def _run(search: partial[_Searched | None], tasks: list[Cone], limits: Limits, threads: int) -> list[_Searched]:
    """What the searches found, in the order of the tasks, up to the first that did not close its cone or spent the last node."""
    results: list[_Searched] = []
    nodes = 0
    pool = ThreadPoolExecutor(threads)
    pending: list[Future[_Searched | None]] = []
    try:
        remaining = iter(tasks)
        while len(results) < len(tasks):
            while len(pending) < 2 * threads and (task := next(remaining, None)) is not None:
                pending.append(pool.submit(search, task))
            while not pending[0].done():
                wait(pending[:1], SECONDS_PER_LOOK, FIRST_COMPLETED)
                if late(limits.deadline):
                    search(None)
            result = pending.pop(0).result()
            assert result is not None
            results.append(result)
            nodes += len(result.tree)
            if result.status != CLOSED or len(result.neurons) or (limits.nodes is not None and nodes > limits.nodes):
                break
    finally:
        search(None)
        pool.shutdown(wait=True, cancel_futures=True)
    return results
