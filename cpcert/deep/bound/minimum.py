"""A lower bound of the global minimum at depth ≥ 3, in floating point, with all that certificate.py needs
to prove it.

    norms        any depth, size, loss: κ_G by operator norms; always something, at once
    one class    depth 3, one output: κ_G(m) by sign trees, the total mass m = ‖W_1‖² alone
    classes      the same with the mass of each class of directions of the first layer apart; more classes as long as
    that helps

Nothing in here is a proof: a bound is one when the exact checker has accepted its certificate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cpcert.deep.bound.cells import Search
from cpcert.deep.bound.cover import Cover, build_cover
from cpcert.deep.bound.duals import column_generation
from cpcert.deep.bound.ladders import Cells, Item, item, tree_item
from cpcert.deep.bound.norms import norm_item
from cpcert.deep.bound.tree import Space, Tree, regrouped, space_of
from cpcert.network import Network
from cpcert.oracle.coordinates import coordinates
from cpcert.problem import Problem

# Coordinates and points up to which trees are tried, and cones of the cover (fewer where each of them costs more).
RANK, POINTS = 4, 64
CONES = {1: 2, 2: 1000, 3: 4000, 4: 1500}
# Cones wider than this (a cosine) are halved where there are several classes.
WIDEST = {1: -1.0, 2: 0.97, 3: 0.85, 4: -1.0}
NODES = 4000
# Room left between the least value found and the target that is written down: it sets how many rungs a ladder has.
SHARE = 0.1
CLASSES = (2, 3, 4)
# A cover that cannot hold all cells is refined for the leading leaves of the trees, so many rounds, with trees of so many nodes.
FOCUS_ROUNDS, FOCUS_LEAVES, FOCUS_NODES = 4, 12, 200


@dataclass(frozen=True, eq=False)
class Candidate:
    """A bound in floating point, and its parts. kind: norms, or the number of classes. limit: an upper bound of what
    this kind can reach."""

    kind: str
    value: float
    limit: float
    items: list[Item]
    ladders: Callable[[float], Cells | None]
    cover: Cover | None = None
    group: np.ndarray | None = None
    basis: np.ndarray | None = None
    leaves: int = 0
    cells: int = 1


def norms_candidate(problem: Problem, network: Network, upper: float) -> Candidate:
    """The bound by norms with the dual points of the network, of no network, and of the targets."""
    zero = np.zeros_like(problem.targets)
    outputs = [network.forward(problem.X)[-1], zero]
    items = []
    for Z in outputs:
        G = problem.loss.project_dual(-problem.loss.gradient(Z, problem.targets), problem.targets)
        one = norm_item(problem, G)
        items.append(item(problem, G, one.bound, one))

    def nothing(masses: np.ndarray) -> tuple[list[Item], float]:
        return [], np.inf

    search = Search(problem, items, upper, 1, nothing, lambda *_: 0)
    return Candidate("norms", search.bound, np.inf, items, search.ladders)


def tree_candidates(problem: Problem, network: Network, upper: float, gap: float, deadline: float) -> list[Candidate]:
    """Bounds with one class and with more, until the gap is below `gap` or the time is up; [] where trees are not for this problem."""
    place = coordinates(problem.X_tilde)
    r = place.points.shape[1]
    if problem.depth != 3 or problem.m != 1 or r > RANK or problem.N > POINTS:
        return []
    basis = None if r == problem.n else place.basis
    found: list[Candidate] = []
    known: list[Tree] = []
    goal = upper * (1.0 - (1.0 - 2.0 * SHARE) * gap)
    cover = build_cover(place.points, problem.activation, CONES[r], WIDEST[r])
    W = network.weights[0] if basis is None else network.weights[0] @ basis
    if cover.depth > 0.0:
        cover = _focused(
            problem, network, place.points, cover, upper, time.monotonic() + 0.3 * (deadline - time.monotonic())
        )
    groups = [np.zeros(len(cover.simplices), np.int64)]
    groups += [group for count in CLASSES if r > 0 and (group := classes(cover, W, count)) is not None]
    for number, group in enumerate(groups):
        if number and (found[-1].value >= goal or time.monotonic() >= deadline):
            break
        now = time.monotonic()
        end = deadline if number == len(groups) - 1 else now + (deadline - now) / (len(groups) - number)
        one = _classes(problem, network, W, cover, group, known, upper, goal, end, basis)
        found.append(one)
        known = [kept.proof for kept in one.items if isinstance(kept.proof, Tree)][:40]
    return found


def _focused(
    problem: Problem, network: Network, points: np.ndarray, cover: Cover, upper: float, deadline: float
) -> Cover:
    """The cover refined where the trees of the network's own masses need it: a cover of all cells has too many cones."""
    focus: list[np.ndarray] = []
    sigma, r = problem.activation, points.shape[1]
    Z = network.forward(problem.X)[1]
    sizes = np.linalg.norm(network.weights[1], axis=1)
    rows = Z[sizes > 0.0] / sizes[sizes > 0.0][:, None]
    masses = np.array([float(np.sum(network.weights[0] ** 2))])
    for _ in range(FOCUS_ROUNDS):
        space = space_of(cover, np.zeros(len(cover.simplices), np.int64), sigma, problem.beta)
        trees, _, _ = column_generation(problem, space, masses, rows, 1e-3, FOCUS_NODES, deadline)
        tree = trees[0]
        u = np.sqrt(space.own_squares @ masses + problem.beta**2)
        values = tree.weights @ u + np.sqrt(tree.squares @ masses + tree.bias)
        sides = np.repeat([1.0, -1.0], [int((part < 0).sum()) for part in tree.structure])
        for k in np.argsort(-values)[:FOCUS_LEAVES]:
            focus.append(sides[k] * tree.g * (sigma.a_minus + sigma.kink * tree.T[k]))
        cover = build_cover(points, sigma, CONES[r], WIDEST[r], focus, CONES[r])
        if time.monotonic() >= deadline:
            break
    return cover


def classes(cover: Cover, W: np.ndarray, count: int) -> np.ndarray | None:
    """The class of every cone: the nearest of the `count` heaviest directions of W (k, r), or None if there are not as many."""
    sizes = np.linalg.norm(W, axis=1)
    if cover.points.shape[1] == 1:
        return np.arange(2) if count == 2 else None
    centres: list[np.ndarray] = []
    for i in np.argsort(-sizes):
        if sizes[i] <= 1e-6 * sizes.max():
            break
        direction = W[i] / sizes[i]
        if all(direction @ other < 0.95 for other in centres):
            centres.append(direction)
        if len(centres) == count:
            middle = cover.rays[cover.simplices].sum(axis=1)
            return np.argmax(middle @ np.array(centres).T, axis=1)
    return None


def masses_of(space: Space, W: np.ndarray) -> np.ndarray:
    """Σ‖w‖² of the rows of W (k, r) by the class of the cone that holds them (one of them)."""
    masses = np.zeros(space.classes)
    rays = space.cover.rays[space.cover.simplices]
    for w in W:
        t = np.linalg.solve(rays.transpose(0, 2, 1), np.broadcast_to(w[:, None], (len(rays), len(w), 1)))[:, :, 0]
        masses[space.cones.group[int(t.min(axis=1).argmax())]] += float(w @ w)
    return masses


def _classes(
    problem: Problem,
    network: Network,
    W: np.ndarray,
    cover: Cover,
    group: np.ndarray,
    known: list[Tree],
    upper: float,
    goal: float,
    deadline: float,
    basis: np.ndarray | None,
) -> Candidate:
    """The bound with these classes of directions."""
    space = space_of(cover, group, problem.activation, problem.beta)
    Z = network.forward(problem.X)[1]
    sizes = np.linalg.norm(network.weights[1], axis=1)
    rows = Z[sizes > 0.0] / sizes[sizes > 0.0][:, None]
    own = masses_of(space, W)
    accuracy = max(SHARE * (upper - goal) / abs(upper) if upper else 0.0, 1e-6)

    def generate(masses: np.ndarray) -> tuple[list[Item], float]:
        # Points of the network's own set that lie in the present one: only where no mass is smaller.
        points = rows if np.all(masses >= own * (1.0 - 1e-9)) else np.zeros((0, problem.N))
        trees, _, reachable = column_generation(problem, space, masses, points, accuracy, NODES, deadline)
        return [tree_item(problem, space, tree) for tree in trees[:1]], reachable

    items = [tree_item(problem, space, regrouped(tree, space)) for tree in known]
    items += generate(own)[0]

    def worst(one: Item, vertices: np.ndarray, total: float) -> int:
        assert isinstance(one.proof, Tree)
        return one.proof.worst_vertex(space, vertices, total)

    search = Search(problem, items, upper, space.classes, generate, worst)
    value = search.run(goal, deadline)
    leaves = sum(len(one.proof.T) for one in search.items if isinstance(one.proof, Tree))
    return Candidate(
        str(space.classes),
        value,
        search.ceiling,
        search.items,
        search.ladders,
        cover,
        group,
        basis,
        leaves,
        len(search.queue),
    )
