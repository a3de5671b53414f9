"""Random instances of depth ≥ 3, networks for them, and exact bounds of κ_G for the tests of global bounds."""

from __future__ import annotations

import numpy as np

from cpcert import Network, Problem
from cpcert.certificate import deep_check, file
from cpcert.deep.bound import certificate
from cpcert.deep.bound.boxes import Box, Proof
from cpcert.deep.bound.classes import Classes
from cpcert.deep.bound.cover import build_cover
from cpcert.deep.bound.items import item
from cpcert.deep.bound.tree import Space, search, space_of
from cpcert.deep.descent import descend, random_network

ACTIVATIONS = (("relu", None), ("leaky_relu", 0.3), ("abs", None), ("linear", None), ("leaky_relu", -0.4))
BETAS = (0.0, 1.0, 0.5, -0.7)


def random_problem(seed: int, *, depth: int = 3, most: int = 6, m: int = 1, loss: str | None = None) -> Problem:
    """N ≤ `most` points of 1 to 3 features; activation, β, λ and loss go round with the seed."""
    rng = np.random.default_rng(seed)
    N, d = int(rng.integers(1, most + 1)), int(rng.integers(1, 4))
    activation, slope = ACTIVATIONS[seed % 5]
    loss = loss or ("logistic" if seed % 7 == 3 else "mse")
    Y = rng.standard_normal((N, m))
    if loss == "logistic":
        Y = np.where(Y > 0.0, 1.0, -1.0)
    elif loss == "cross_entropy":
        Y = np.eye(m)[rng.integers(0, m, N)]
    return Problem(
        rng.standard_normal((N, d)), Y, lam=float(10.0 ** -rng.uniform(1.0, 3.0)), loss=loss, activation=activation, slope=slope,
        beta=BETAS[seed % 4], depth=depth, name=f"random-{seed}",
    )  # fmt: skip


def networks(problem: Problem, seed: int, count: int) -> list[Network]:
    """Random networks and what descent makes of them after few and many steps."""
    found = []
    for k in range(count):
        rng = np.random.default_rng((seed, k))
        network = random_network(problem, int(rng.integers(1, 5)), rng)
        found += [network, descend(problem, network, 10), descend(problem, network, 200)]
    return found


def exact_tree(problem: Problem, g: np.ndarray, classes: int, seed: int, nodes: int = 40):
    """(space, the checker's bound of κ_g): a tree of few nodes with random classes of directions, read by the checker."""
    rng = np.random.default_rng(seed)
    cover = build_cover(problem.X_tilde.T.copy(), problem.activation, int(rng.integers(8, 60)))
    classes = min(classes, len(cover.simplices))
    group = rng.integers(0, classes, len(cover.simplices))
    group[:classes] = np.arange(classes)
    space = space_of(cover, group, problem.activation, problem.beta)
    tree = search(space, g, rng.random(classes) + 0.1, 1e-3, nodes, np.inf)
    parts = Classes(cover)
    sets = tuple(parts.number(group == c) for c in range(classes))
    ones = np.ones(classes)
    box = Box(sets, 0.0 * ones, ones, (), [], bound=2.0, proof=Proof(0, ones, 0.0))
    items = [item(problem, tree.g[None], tree)]
    lower, arrays = certificate.lower_side(problem, items, 1.0, certificate.Boxes([box], parts), None)
    arrays["classes"] = group  # in the order of `space`
    read = certificate.as_arrays({"X": problem.X.ravel(), "Y": problem.Y.ravel(), **arrays})
    exact = deep_check.Problem(file.problem_header(problem), read)
    directions = deep_check.Directions(exact, lower, read)
    G, e = deep_check.matrix(read["G"], 1, problem.N, "G")
    return space, deep_check.TreeBound(directions, G[0], e, deep_check.Stream(read["trees"]))


def masses_of(space: Space, W: np.ndarray) -> np.ndarray:
    """Σ‖w‖² of the rows of W (k, r) by the class of the cone that holds them (one of them)."""
    masses = np.zeros(space.classes)
    for group, norm in zip(homes(space, W), np.sum(W**2, axis=1), strict=True):
        masses[group] += norm
    return masses


def homes(space: Space, W: np.ndarray) -> list[int]:
    """The class of each row of W (k, r)."""
    rays = space.cover.rays[space.cover.simplices]
    found = []
    for w in W:
        t = np.linalg.solve(rays.transpose(0, 2, 1), np.broadcast_to(w[:, None], (len(rays), len(w), 1)))[:, :, 0]
        found.append(int(space.cones.group[int(t.min(axis=1).argmax())]))
    return found
