"""The linear minimisation oracle on S: max over ‖w‖ ≤ 1 of ‖Gσ(X̃ᵀw)‖₂ = γ(G), by a ladder of methods.

`find_neurons` searches (heuristic); `prove` proves γ(G) ≤ cutoff or returns neurons above it, cheapest rung first:

    plane          points of rank ≤ 2: γ(G) itself, for any number of outputs and points
    spectral       any G: products of norms; exact for linear networks and for the data of Prop. 14
    arrangement    one output, few cells: the maximum itself; γ(g) is the larger of the maxima for g and −g
    spatial        rank ≤ 7, any number of points and outputs: a cover of the neurons' directions by cones
    branch         one output: a proof for g and one for −g, always both
    directions     several outputs, rank G ≤ 3: a cover of the output directions
    cells          several outputs, any rank: a tree over activation patterns

κ = (a₊ − a₋)g and c = a₋X̃g are rounded when they are not exact (ReLU: exact); for ‖w‖ ≤ 1 this changes f by at most
(N + 6)ε Σ (|a₊ − a₋| + |a₋|)|g_i|‖x_i‖, which is added to the bound.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cpcert.activations import Activation
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.arrangement import ArrangementProof, arrangement_oracle, cell_count
from cpcert.oracle.ascent import ascend, starting_points
from cpcert.oracle.branch import BranchProof, BranchResult, branch_and_bound
from cpcert.oracle.branch_kernels import advance
from cpcert.oracle.coordinates import EPS, Coordinates, coordinates
from cpcert.oracle.plane import plane_oracle
from cpcert.oracle.spatial import spatial_cover
from cpcert.oracle.spectral import spectral_bound
from cpcert.parallel import HERE, Workers, late

MORE_NODES = 1000
# Cones are the rung for points of rank r from so many on (benchmarks/points.py).
CONES_FROM = {3: 60, 4: 50, 5: 60, 6: 200, 7: 1000}
# One output: up to so many cells (some milliseconds) all of them are visited, for a bound exact to rounding.
FEW_CELLS = 300
# Several outputs: up to so many points cells come first, and so many nodes the first of two covers gets.
FEW_POINTS = 16
FIRST_CELLS = 500
FIRST_DIRECTIONS = 20000


@dataclass(frozen=True, eq=False)
class Limits:
    """nodes: at most so many nodes (None: any). deadline: a `time.monotonic()` (None: none). workers: who visits them."""

    nodes: int | None = None
    deadline: float | None = None
    workers: Workers = HERE

    def left(self, used: int) -> Limits:
        """What remains after `used` nodes."""
        return replace(self, nodes=None if self.nodes is None else max(self.nodes - used, 0))

    def spent(self) -> bool:
        """Whether nothing is left."""
        return late(self.deadline) or (self.nodes is not None and self.nodes <= 0)


def kernels_are_compiled() -> bool:
    """Whether the cache holds compiled kernels; compiling them takes about half a minute, once."""
    folder = advance.stats.cache_path
    return folder is not None and any(Path(folder).glob("branch_kernels.advance-*.nbi"))


@functools.cache
def compile_kernels(several_outputs: bool) -> None:
    """Compile, or load from the cache, what the rungs run on: on a tiny problem, so that no time limit pays for it."""
    relu = Activation("relu", 1.0, 0.0)
    space = coordinates(np.array([[1.0, 0.5, -0.3, 0.2], [0.2, -1.0, 0.7, 0.9], [0.3, 0.1, 1.0, -0.4]]))
    for m in (1, 2, 4) if several_outputs else (1,):
        G = np.eye(m, 4) - 0.3
        find_neurons(space, G, relu, np.zeros((0, 3)), 4, 0)
        prove(space, G, relu, 0.9 * spectral_bound(space.points, G, relu)[0], Limits(nodes=20), 0)
    branch_and_bound(space.points, np.array([1.0, -1.0, 0.5, 0.3]), np.zeros(3), 0.1)
    spatial_cover(space.points, np.ones((1, 4)), relu, 10.0)


@dataclass(frozen=True, eq=False)
class SignedProof:
    """γ(g) ≤ bound for one output: a tree for g and one for −g; allowance: what the rounding of κ and c can add."""

    positive: BranchProof | ArrangementProof
    negative: BranchProof | ArrangementProof
    allowance: float


def find_neurons(
    space: Coordinates, G: np.ndarray, activation: Activation, warm: np.ndarray, starts: int, seed: int
) -> OracleAnswer:
    """Local maxima of ‖Gσ(X̃ᵀw)‖ from `starts` random starts and the neurons `warm` (k, r). Proves nothing.

    G (m, N). Returns W in the coordinates (k, r), best first. Points of rank ≤ 2 need no search: all local maxima.
    """
    points = space.points
    if points.shape[1] <= 2:
        found = plane_oracle(points, G, activation, 0.0)
        return OracleAnswer(found.W, found.values, None, "plane")
    W, U = starting_points(points, G, starts, seed)
    if len(warm):
        value = activation(warm @ points.T) @ G.T
        norms = np.linalg.norm(value, axis=1, keepdims=True)
        W = np.concatenate([warm, W])
        default = np.zeros(len(G))
        default[0] = 1.0
        U = np.concatenate([np.where(norms > 0.0, value / np.maximum(norms, 1e-300), default), U])
    W, _, values = ascend(points, G, activation.a_plus, activation.a_minus, W, U)
    return OracleAnswer(W, values, None, "ascent")


def prove(
    space: Coordinates, G: np.ndarray, activation: Activation, cutoff: float, limits: Limits, seed: int
) -> OracleAnswer:
    """Prove γ(G) ≤ cutoff, or find neurons above it, or give the best bound that the limits allow.

    G (m, N); upper_bound of the answer holds for the original points (see coordinates.py). W is in the coordinates (k, r).
    """
    none = np.zeros((0, space.points.shape[1]))
    size_G, size_X = float(np.abs(G).max(initial=0.0)), float(np.abs(space.points).max(initial=0.0))
    if not math.isfinite(size_G):
        return OracleAnswer(none, np.zeros(0), math.inf, "spectral")
    # Powers of two bring both near 1 without rounding, so that no square over- or underflows below.
    scale = math.frexp(size_G)[1], math.frexp(size_X)[1]
    G, unit = np.ldexp(G, -scale[0]), sum(scale)
    space = replace(space, points=np.ldexp(space.points, -scale[1]), residual=np.ldexp(space.residual, -scale[1]))
    with np.errstate(over="ignore"):
        scaled_cutoff = float(np.ldexp(cutoff, -unit))
    if space.points.shape[1] <= 2:
        found = plane_oracle(space.points, G, activation, scaled_cutoff)
        assert found.upper_bound is not None
        bound = _scaled_up(space.upper_bound(found.upper_bound, G, activation.lipschitz), unit)
        values = np.ldexp(found.values, unit)
        return replace(found, values=values, upper_bound=bound, complete=bound <= cutoff, scale=scale)
    bound, proof = spectral_bound(space.points, G, activation)
    cheap = space.upper_bound(bound, G, activation.lipschitz)
    # No cutoff far below the cheap bound can be proven, and none is tried.
    cutoff = max(scaled_cutoff, 1e-30 * cheap)
    answer = OracleAnswer(none, np.zeros(0), cheap, "spectral", proof, 0, cheap <= cutoff)
    if not (answer.complete or activation.kink == 0.0 or limits.spent()):
        # The rungs work in the coordinates: aim so that the way back still ends at the cutoff.
        aim = cutoff - (space.upper_bound(cutoff, G, activation.lipschitz) - cutoff) * (1.0 + 1e-6)
        if len(G) == 1:
            found = _one_output(space.points, G[0], activation, aim, limits)
        else:
            found = _several_outputs(space.points, G, activation, aim, limits, seed)
        assert found.upper_bound is not None
        bound = space.upper_bound(found.upper_bound, G, activation.lipschitz)
        if bound < cheap:
            answer = replace(found, upper_bound=bound, complete=bound <= cutoff)
        else:
            answer = replace(found, upper_bound=cheap, rung="spectral", proof=proof, complete=False)
    assert answer.upper_bound is not None
    values = np.ldexp(answer.values, unit)
    return replace(answer, values=values, upper_bound=_scaled_up(answer.upper_bound, unit), scale=scale)


def _scaled_up(bound: float, exponent: int) -> float:
    """bound·2**exponent, or the next float where that underflows; inf for what is no number."""
    if not bound < math.inf:
        return math.inf
    try:
        result = math.ldexp(bound, exponent)
    except OverflowError:
        return math.inf
    return result if abs(result) >= sys.float_info.min or bound == 0.0 else math.nextafter(result, math.inf)


def _several_outputs(
    points: np.ndarray, G: np.ndarray, activation: Activation, cutoff: float, limits: Limits, seed: int
) -> OracleAnswer:
    """Directions or cells, whichever suits; the other one when the first spends its nodes in vain.

    Cells cost more a node and need few of them when there are few points, whatever the rank of G; a cover of the
    sphere of output directions is thrifty for rank 2 and bearable for rank 3, whatever the number of points.
    """
    from cpcert.oracle.cells import cell_cover
    from cpcert.oracle.directions import direction_cover

    singular = np.linalg.svd(G, compute_uv=False)
    rank = int((singular > 1e-9 * singular[0]).sum())
    found = _cones(points, G, activation, cutoff, limits)
    if found is not None:
        return found
    cells: tuple[Callable[..., OracleAnswer], int] = (cell_cover, FIRST_CELLS)
    directions: tuple[Callable[..., OracleAnswer], int] = (direction_cover, FIRST_DIRECTIONS)
    if rank > 3:
        order = [cells]
    elif rank <= 2 or len(points) > FEW_POINTS:
        order = [directions, cells]
    else:
        order = [cells, directions]
    best: OracleAnswer | None = None
    used = 0
    for place, (cover, share) in enumerate(order):
        left = limits.left(used)
        if place > 0 and left.spent():
            break
        last = place == len(order) - 1
        nodes = left.nodes if last else min(share, share if left.nodes is None else left.nodes)
        answer = cover(points, G, activation, cutoff, node_limit=nodes, deadline=limits.deadline, seed=seed)
        used += answer.nodes
        assert answer.upper_bound is not None
        if best is None or best.upper_bound is None or answer.upper_bound < best.upper_bound:
            best = answer
        if answer.complete or len(answer.W):
            best = answer
            break
    assert best is not None
    return OracleAnswer(best.W, best.values, best.upper_bound, best.rung, best.proof, used, best.complete)


def cones_pay(points: np.ndarray) -> bool:
    """Whether the rung `spatial` is the one for points (N, r)."""
    N, r = points.shape
    return CONES_FROM.get(r, math.inf) <= N


def _cones(
    points: np.ndarray, G: np.ndarray, activation: Activation, cutoff: float, limits: Limits
) -> OracleAnswer | None:
    """The answer of the rung `spatial`; None where another one is better, or has to go on."""
    if not cones_pay(points):
        return None
    answer = spatial_cover(
        points, G, activation, cutoff,
        node_limit=limits.nodes, deadline=limits.deadline, threads=max(limits.workers.count, 1),
    )  # fmt: skip
    return answer if answer.complete or len(answer.W) or limits.left(answer.nodes).spent() else None


def _one_output(
    points: np.ndarray, g: np.ndarray, activation: Activation, cutoff: float, limits: Limits
) -> OracleAnswer:
    """Both signs of g, always: γ(g) is the larger of the two maxima."""
    kink, slope = activation.kink, activation.a_minus
    norms = np.linalg.norm(points, axis=1)
    allowance = 0.0
    if not (kink == 1.0 and slope == 0.0):
        allowance = (len(g) + 8) * EPS * (abs(kink) + abs(slope)) * float(np.abs(g) @ norms)
    answer = _cones(points, g[np.newaxis], activation, cutoff, limits)
    if answer is not None:
        return answer
    cells = max(cell_count(int((kink * sign * g > 0.0).sum()), points.shape[1]) for sign in (1.0, -1.0))
    if cells <= FEW_CELLS:
        bounds, atoms, found, proofs = zip(
            *(arrangement_oracle(points, kink * h, slope * (h @ points)) for h in (g, -g)), strict=True
        )
        bound = (max(bounds) + allowance) * (1.0 + EPS)
        above = np.array([value > cutoff for value in found])
        order = np.argsort(-np.array(found), kind="stable")
        order = order[above[order]]
        return OracleAnswer(
            np.array(atoms)[order], np.array(found)[order], bound, "arrangement", SignedProof(proofs[0], proofs[1], allowance),
            2 * cells, bound <= cutoff,
        )  # fmt: skip
    # What is added to the bound below must still leave it at most the cutoff.
    aim = cutoff * (1.0 - 4.0 * EPS) - 2.0 * allowance
    nodes = 0
    results: list[BranchResult] = []
    for sign in (1.0, -1.0):
        h = sign * g
        left = limits.left(nodes).nodes
        if results and len(results[0].atoms):
            # The proof has failed already; the other sign is only asked for more neurons.
            left = min(results[0].nodes, MORE_NODES) if left is None else min(results[0].nodes, MORE_NODES, left)
        elif not results and left is not None:
            left -= left // 2
        result = branch_and_bound(
            points, kink * h, slope * (h @ points), aim,
            node_limit=left, deadline=limits.deadline, workers=limits.workers,
        )  # fmt: skip
        nodes += result.nodes
        results.append(result)
    W = np.concatenate([result.atoms for result in results])
    values = np.concatenate([result.values for result in results])
    order = np.argsort(-values, kind="stable")
    first, second = (result.proof for result in results)
    proof = SignedProof(first, second, allowance) if first is not None and second is not None else None
    bound = (max(result.upper_bound for result in results) + allowance) * (1.0 + EPS)
    return OracleAnswer(W[order], values[order], bound, "branch", proof, nodes, proof is not None)
