"""A lower bound of the global minimum at depth ≥ 3, in floating point, with all that certificate.py needs
to prove it.

    norms    any depth, size, loss: κ_G by operator norms; always something, at once
    tops     depth 3, one output, mse, points of low rank: boxes of the masses of classes of top neurons
    boxes    depth 3, one output, points of low rank: κ_G(m) by sign trees, boxes of the masses m of classes of directions

Nothing in here is a proof: a bound is one when the exact checker has accepted its certificate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cpcert.deep.bound.boxes import Box, Search, proving
from cpcert.deep.bound.certificate import Boxes, TopBoxes
from cpcert.deep.bound.classes import Classes
from cpcert.deep.bound.cover import Cover, build_cover
from cpcert.deep.bound.duals import column_generation, support_columns
from cpcert.deep.bound.items import Item, item
from cpcert.deep.bound.ladders import Ladder, ladder, lowest
from cpcert.deep.bound.norms import NormItem, norm_dual
from cpcert.deep.bound.tops import TopSearch
from cpcert.deep.bound.tree import space_of
from cpcert.network import Network
from cpcert.oracle.coordinates import coordinates
from cpcert.problem import Problem

# Coordinates and points up to which trees are tried, and cones of the cover (fewer where each of them costs more).
RANK, POINTS = 4, 64
CONES = {1: 2, 2: 1000, 3: 4000, 4: 1500}
# Rounds of better dual points for the bound by norms, where N·m² is at most so much.
NORM_ROUNDS, NORM_SIZE = 2, 10**7
# Cones wider than this (a cosine) are halved, for classes of directions.
WIDEST = {1: -1.0, 2: 0.999, 3: 0.85, 4: -1.0}
NODES = 4000
# For classes of top neurons: cones, and their WIDEST (a chord between two rays stands for what lies between them).
CELLS = {1: 2, 2: 1000, 3: 4000, 4: 8000}
NARROW = {1: -1.0, 2: 0.9986, 3: 0.96, 4: -1.0}
# Gaps that are proven one after the other: the first, and each as a part of the one before; the part of the time in which
# classes are cut before the boxes; room left below the goal.
FIRST, NEXT, PREPARE, SHARE = 0.16, 0.4, 0.3, 0.15
# A cover that cannot hold all cells is refined for the leading leaves of the trees, so many rounds, with trees of so many nodes.
FOCUS_ROUNDS, FOCUS_LEAVES, FOCUS_NODES = 4, 12, 200


@dataclass(frozen=True, eq=False)
class Candidate:
    """A bound in floating point, and its parts. kind: norms, or the largest number of classes in a box."""

    kind: str
    value: float
    items: list[Item]
    proof: Callable[[float], Ladder | Boxes | TopBoxes | None]
    basis: np.ndarray | None = None


def norms_candidate(problem: Problem, network: Network, upper: float) -> Candidate:
    """The bound by norms with the dual points of the network, of no network, and the best ones where those prove least."""
    zero = np.zeros_like(problem.targets)
    outputs = [network.forward(problem.X)[-1], zero]
    points = float(np.linalg.norm(problem.X_tilde, 2))
    proofs = [
        NormItem(
            problem, problem.loss.project_dual(-problem.loss.gradient(Z, problem.targets), problem.targets), points
        )
        for Z in outputs
    ]
    items = [item(problem, proof.G, proof) for proof in proofs]
    value, total = lowest(problem, items, upper)
    for _ in range(NORM_ROUNDS if problem.N * problem.m**2 <= NORM_SIZE else 0):
        G = norm_dual(problem, 2.0 * problem.lam / max(proofs[0].stretch(total), 1e-290))
        items.append(item(problem, G, NormItem(problem, G, points)))
        value, total = lowest(problem, items, upper)
    return Candidate("norms", value, items, lambda T: ladder(problem, items, T))


def box_candidates(
    problem: Problem,
    network: Network,
    upper: float,
    gap: float,
    deadline: float,
    turn: Callable[[], float] | None = None,
) -> Iterator[Candidate]:
    """Bounds for smaller and smaller gaps, until one is below `gap` or the time is up; none where trees are not for this problem.

    turn: when the next candidate is due, good or not; the search goes on from there when it is asked again.
    """
    place = coordinates(problem.X_tilde)
    r = place.points.shape[1]
    if problem.depth != 3 or problem.m != 1 or r > RANK or problem.N > POINTS or upper <= 0.0:
        return
    started = time.monotonic()
    basis = None if r == problem.n else place.basis
    cover = build_cover(place.points, problem.activation, CONES[r], WIDEST[r])
    if cover.depth > 0.0:
        cover = _focused(problem, network, place.points, cover, started + 0.3 * (deadline - started))
    classes = Classes(cover)
    search = Search(problem, classes, upper, NODES, deadline)
    total = float(np.sum(network.weights[0] ** 2)) + 1e-3
    asked, prepared = max(FIRST, gap), False
    while True:
        search.deadline = deadline if turn is None else turn()
        if not prepared:
            now = time.monotonic()
            end = min(now + PREPARE * (deadline - now), search.deadline)
            search.prepare(total, upper * (1.0 - 0.5 * asked), end)
            prepared = time.monotonic() < search.deadline
        value = min(search.run(upper * (1.0 - (1.0 - SHARE) * asked)), search.reach)
        root = search.root
        assert root is not None
        kind = str(max(len(box.sets) for box in proving(root, value)))

        def proof(target: float, root: Box = root) -> Boxes | None:
            return Boxes(list(proving(root, target)), classes)

        yield Candidate(kind, value, search.items, proof, basis)
        if value >= search.goal:
            if asked <= gap:
                return
            asked, prepared = max(NEXT * asked, gap), False
        elif search.exhausted or time.monotonic() >= deadline:
            return


def top_candidates(
    problem: Problem,
    network: Network,
    upper: float,
    gap: float,
    deadline: float,
    turn: Callable[[], float] | None = None,
) -> Iterator[Candidate] | None:
    """The same by classes of top neurons; None, at once, where the cover would be too large."""
    if problem.depth != 3 or problem.m != 1 or not problem.loss.is_squared_distance or upper <= 0.0:
        return None
    place = coordinates(problem.X_tilde)
    r = place.points.shape[1]
    if r > RANK or problem.N > POINTS:
        return None
    cover = build_cover(place.points, problem.activation, CELLS[r], NARROW[r])
    if cover.depth > 0.0:
        return None
    basis = None if r == problem.n else place.basis
    search = TopSearch(problem, cover, upper, network, gap, deadline)

    def rounds() -> Iterator[Candidate]:
        asked = max(FIRST, gap)
        while True:
            search.deadline = deadline if turn is None else turn()
            value = search.run(upper * (1.0 - (1.0 - SHARE) * asked))
            kind = f"{max(len(box.sets) for box in proving(search.root, value))} of top neurons"
            yield Candidate(
                kind, value, search.items, lambda target: TopBoxes(list(proving(search.root, target)), cover), basis
            )
            if value >= search.goal:
                if asked <= gap:
                    return
                asked = max(NEXT * asked, gap)
            elif search.exhausted or time.monotonic() >= deadline:
                return

    return rounds()


def _focused(problem: Problem, network: Network, points: np.ndarray, cover: Cover, deadline: float) -> Cover:
    """The cover refined where the trees of the network's own masses need it: a cover of all cells has too many cones."""
    focus: list[np.ndarray] = []
    sigma, r = problem.activation, points.shape[1]
    masses = np.array([float(np.sum(network.weights[0] ** 2)) + 1e-3])
    normals = np.zeros((0, problem.N))
    for _ in range(FOCUS_ROUNDS):
        space = space_of(cover, np.zeros(len(cover.simplices), np.int64), sigma, problem.beta)
        columns = support_columns(problem, space, masses, normals)
        relaxed = column_generation(problem, space, masses, columns, 1e-3, FOCUS_NODES, deadline)
        if relaxed.tree is None:
            break
        normals = relaxed.columns.normals
        focus += list(relaxed.tree.normals_of_leaves(space, masses, FOCUS_LEAVES, 0.0))
        cover = build_cover(points, sigma, CONES[r], WIDEST[r], focus, CONES[r])
        if time.monotonic() >= deadline:
            break
    return cover
