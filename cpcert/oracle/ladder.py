"""The linear minimisation oracle on S: max over ‖w‖ ≤ 1 of ‖Gσ(X̃ᵀw)‖₂ = γ(G), by a ladder of methods.

`find_neurons` searches (heuristic); `prove` proves γ(G) ≤ cutoff or returns neurons above it, cheapest rung first:

    plane          points of rank ≤ 2: γ(G) itself, for any number of outputs and points
    spectral       any G: products of norms; exact for linear networks and for the data of Prop. 14
    spatial        rank ≤ 7, any number of points and outputs: a cover of the neurons' directions by cones
    arrangement    one output, few cells: the maximum itself; γ(g) is the larger of the maxima for g and −g
    branch         one output: a proof for g and one for −g, always both
    directions     several outputs, rank G ≤ 3: a cover of the output directions
    cells          several outputs, any rank: a tree over activation patterns

`LADDER` says which rung is for what, and in which order; each has a file of its own.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cpcert.activations import Activation
from cpcert.oracle import one_output, plane
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.ascent import ascend, starting_points
from cpcert.oracle.branch import branch_and_bound
from cpcert.oracle.branch_kernels import advance
from cpcert.oracle.coordinates import Coordinates, coordinates
from cpcert.oracle.frame import frame_of
from cpcert.oracle.rung import Limits, Question, Rung
from cpcert.oracle.sampling import sampled_maxima
from cpcert.oracle.spectral import spectral_bound

log = logging.getLogger(__name__)

# Cones are the rung for points of rank r from so many on (measured): for one output where the cutoff is close to the largest value
# known, for one output where it is CLOSE times that or more, and for several outputs. (Cones grow with the logarithm of the
# tightness, trees over signs do not; covers of output directions are dear.)
CONES_FROM = {3: 60, 4: 80, 5: 130, 6: 150, 7: 1000}
CONES_FROM_LOOSE = {3: 60, 4: 60, 5: 80, 6: 120, 7: 1000}
CONES_FROM_SEVERAL = {3: 20, 4: 20, 5: 40, 6: 100, 7: 1000}
CLOSE = 1.01
# From so many points on, of at most such a rank, neurons are searched by sampling (sampling.py): directions for each start, and the
# most that are returned. At larger rank random directions are too far from everything.
SAMPLED_FROM, SAMPLED_RANK, SAMPLES, MOST_SAMPLED = 300, 8, 16, 60
# One output: up to so many cells (some milliseconds) all of them are visited, for a bound exact to rounding.
FEW_CELLS = 300
# Several outputs: up to so many points cells come first, and so many nodes the first of two covers gets.
FEW_POINTS = 16
FIRST_CELLS = 500
FIRST_DIRECTIONS = 20000
# A cutoff further below a proven bound than this cannot be proven, and is not tried.
HOPELESS = 1e-30


def _spectral(question: Question, limits: Limits) -> OracleAnswer:
    bound, proof = spectral_bound(question.points, question.G, question.activation)
    return OracleAnswer(np.zeros((0, question.points.shape[1])), np.zeros(0), bound, "spectral", proof)


def _spatial(question: Question, limits: Limits) -> OracleAnswer:
    from cpcert.oracle.spatial import prove  # imported where it is needed, like all rungs with kernels of their own

    return prove(question, limits)


def _directions(question: Question, limits: Limits) -> OracleAnswer:
    from cpcert.oracle.directions import prove

    return prove(question, limits)


def _cells(question: Question, limits: Limits) -> OracleAnswer:
    from cpcert.oracle.cells import prove

    return prove(question, limits)


def cones_pay(points: np.ndarray, outputs: int, looseness: float = 1.0) -> bool:
    """Whether the rung `spatial` is for points (N, r), and cutoffs of so many times the largest value known."""
    N, r = points.shape
    one = CONES_FROM_LOOSE if looseness >= CLOSE else CONES_FROM
    return (one if outputs == 1 else CONES_FROM_SEVERAL).get(r, math.inf) <= N


def samples_pay(points: np.ndarray, activation: Activation) -> bool:
    """Whether `find_neurons` samples directions."""
    return len(points) >= SAMPLED_FROM and 2 < points.shape[1] <= SAMPLED_RANK and activation.kink != 0.0


def _one(question: Question) -> bool:
    return question.activation.kink != 0.0 and len(question.G) == 1


def _several(question: Question) -> bool:
    return question.activation.kink != 0.0 and len(question.G) > 1


def _cells_first(question: Question) -> bool:
    """Cells cost more a node than directions and need few of them when there are few points, whatever the rank of G; a cover of
    the sphere of output directions is thrifty for rank 2 and bearable for rank 3, whatever the number of points."""
    return len(question.points) <= FEW_POINTS and question.rank == 3


# In this order; one that does not close the gap leaves it to the next.
LADDER = (
    Rung("plane", lambda q: q.points.shape[1] <= 2, plane.prove, free=True, exact=True),
    Rung("spectral", lambda q: True, _spectral, free=True),
    Rung("spatial", lambda q: q.activation.kink != 0.0 and cones_pay(q.points, len(q.G), q.looseness), _spatial),
    Rung(
        "arrangement",
        lambda q: _one(q) and one_output.most_cells(q) <= FEW_CELLS,
        one_output.prove_by_arrangement,
        exact=True,
    ),
    Rung("branch", _one, one_output.prove_by_branching),
    Rung("cells", lambda q: _several(q) and _cells_first(q), _cells, share=FIRST_CELLS),
    Rung("directions", lambda q: _several(q) and q.rank <= 3, _directions, share=FIRST_DIRECTIONS),
    Rung("cells", lambda q: _several(q) and not _cells_first(q), _cells),
)


# A part of the kernels: the last function of it that is compiled, for how many points and outputs a run can reach it, and what runs
# all of it on a tiny problem.
Part = tuple[str, Callable[[int, int], bool], Callable[[], None]]


def compile_kernels(points: int, outputs: int) -> None:
    """Compile, or load from the cache, what the rungs for so many points and outputs run on, so that no time limit pays for it."""
    log.disabled = True  # these proofs are about nothing
    try:
        for _, reached, compiled in PARTS:
            if reached(points, outputs):
                compiled()
    finally:
        log.disabled = False


def kernels_are_compiled(points: int = 0, outputs: int = 1) -> bool:
    """Whether the cache holds what `compile_kernels` compiles; that takes about half a minute, once."""
    folder = advance.stats.cache_path
    names = [name for name, reached, _ in PARTS if reached(points, outputs)]
    return folder is not None and all(any(Path(folder).glob(f"{name}-*.nbi")) for name in names)


def _fewest_for_cones(outputs: int) -> float:
    tables = (CONES_FROM, CONES_FROM_LOOSE) if outputs == 1 else (CONES_FROM_SEVERAL,)
    return min((N for table in tables for N in table.values()), default=math.inf)


def _tiny() -> Coordinates:
    return coordinates(np.array([[1.0, 0.5, -0.3, 0.2], [0.2, -1.0, 0.7, 0.9], [0.3, 0.1, 1.0, -0.4]]))


RELU = Activation("relu", 1.0, 0.0)


@functools.cache
def _compile_branching() -> None:
    """The search, and the branch and bound, which serves any number of outputs."""
    space = _tiny()
    find_neurons(space, np.eye(1, 4) - 0.3, RELU, np.zeros((0, 3)), 4, 0)
    branch_and_bound(space.points, np.array([1.0, -1.0, 0.5, 0.3]), np.zeros(3), 0.1)


@functools.cache
def _compile_sampling() -> None:
    space = coordinates(np.tile(_tiny().points.T, SAMPLED_FROM // 4 + 1))
    find_neurons(space, np.ones((1, len(space.points))), RELU, np.zeros((0, 3)), 1, 0)


@functools.cache
def _compile_cones() -> None:
    space, g = _tiny(), np.ones((1, 4))
    _spatial(Question(frame_of(space, g), space, g, RELU, 10.0, 0), Limits(nodes=1000))


@functools.cache
def _compile_cells(outputs: int) -> None:
    """All cells for one output; covers and cells for several, the second of which has to cut."""
    space = _tiny()
    for m in (1,) if outputs == 1 else (2, 4):
        G = np.eye(m, 4) - 0.3
        prove(space, G, RELU, 0.9 * spectral_bound(space.points, G, RELU)[0], Limits(nodes=20), 0)
    if outputs > 1:
        rng = np.random.default_rng(0)
        space, G = coordinates(rng.standard_normal((4, 10))), rng.standard_normal((4, 10))
        best = float(find_neurons(space, G, RELU, np.zeros((0, 4)), 4, 0).values[0])
        prove(space, G, RELU, best * (1.0 + 1e-9), Limits(nodes=20), 0)


PARTS: tuple[Part, ...] = (
    ("branch_kernels.advance", lambda N, m: True, _compile_branching),
    ("ascent._ascend_near", lambda N, m: N >= SAMPLED_FROM, _compile_sampling),
    ("spatial_kernels.explore", lambda N, m: _fewest_for_cones(m) <= N, _compile_cones),
    ("arrangement._enumerate", lambda N, m: m == 1, functools.partial(_compile_cells, 1)),
    ("cells._other_side", lambda N, m: m > 1, functools.partial(_compile_cells, 2)),
)


def find_neurons(
    space: Coordinates, G: np.ndarray, activation: Activation, warm: np.ndarray, starts: int, seed: int
) -> OracleAnswer:
    """Local maxima of ‖Gσ(X̃ᵀw)‖ from `starts` random starts and the neurons `warm` (k, r). Proves nothing.

    G (m, N). Returns W in the coordinates (k, r), best first. Points of rank ≤ 2 need no search: all local maxima.
    """
    points = space.points
    if points.shape[1] <= 2:
        found = plane.plane_oracle(points, G, activation, 0.0)
        return OracleAnswer(found.W, found.values, None, "plane")
    if samples_pay(points, activation):
        W, values = sampled_maxima(points, G, activation, warm, SAMPLES * starts, MOST_SAMPLED, seed)
        return OracleAnswer(W, values, None, "ascent")
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
    space: Coordinates,
    G: np.ndarray,
    activation: Activation,
    cutoff: float,
    limits: Limits,
    seed: int,
    looseness: float = 1.0,
) -> OracleAnswer:
    """Prove γ(G) ≤ cutoff, or find neurons above it, or give the best bound that the limits allow.

    G (m, N); upper_bound of the answer holds for the original points (see coordinates.py), its proof is one in the numbers of its
    frame. W is in the coordinates (k, r): the neurons of the last rung that was tried. looseness: the cutoff over the largest value
    known (1: close to it), for the choice of the rung.
    """
    best = OracleAnswer(np.zeros((0, space.points.shape[1])), np.zeros(0), math.inf, "spectral")
    if not np.all(np.isfinite(G)):
        return best
    frame = frame_of(space, G)
    question = Question(frame, frame.coordinates(), frame.outputs(G), activation, frame.value(cutoff), seed, looseness)
    used, best_bound = 0, math.inf
    for place, rung in enumerate(LADDER):
        left = limits.left(used)
        if (not rung.free and left.spent()) or not rung.applies(question):
            continue
        if rung.share is not None and any(other.applies(question) for other in LADDER[place + 1 :]):
            left = left.at_most(rung.share)
        began = time.monotonic()
        found = rung.prove(question, left)
        used += found.nodes
        bound = math.inf if found.upper_bound is None else question.lifted(found.upper_bound)
        wanted = bound / question.cutoff if question.cutoff > 0.0 else math.inf
        seconds = time.monotonic() - began
        log.debug("%s: a bound %.9g times the one wanted, %d nodes, %.3f s", rung.name, wanted, found.nodes, seconds)
        if not bound < best_bound:
            found = replace(found, rung=best.rung, proof=best.proof)
            bound = best_bound
        best, best_bound = found, bound
        if question.cutoff < HOPELESS * bound < math.inf:
            question = replace(question, cutoff=HOPELESS * bound)
        if bound <= question.cutoff or len(found.W) or rung.exact:
            break
    return replace(
        best,
        values=np.ldexp(best.values, frame.unit),
        upper_bound=frame.bound(best_bound),
        nodes=used,
        complete=best_bound <= question.cutoff,
        frame=frame,
    )
