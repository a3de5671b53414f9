"""κ_G(m) = max over z ∈ B(m) of |g·σ(z)| for one output: a tree over the signs of z, best first, for g and for −g.

A node has the bound ½ Σ κ_iu_i(m) + h_m(a₋g + κ∘T) with multipliers T from kernels.solve_node; it is branched on the
undecided point whose chord is furthest from relu at the dual solution. What is kept are the leaves with their
multipliers: the bound they give is explicit in m, so one tree serves all masses. Floating point throughout: the exact
checker computes the bound of every leaf anew.
"""

from __future__ import annotations

import functools
import heapq
import time
from dataclasses import dataclass, field, replace

import numpy as np

from cpcert.activations import Activation
from cpcert.deep.bound.cover import Cover
from cpcert.deep.bound.kernels import Cones, solve_node, support
from cpcert.deep.bound.programs import kappa_at

# Fractions of bits of the multipliers T, as in the certificate.
GRID = 24
# Relative gap of a node's convex program, and columns it may take.
ACCURACY, COLUMNS = 3e-5, 600


@dataclass(frozen=True, eq=False)
class Space:
    """The cover with a class for each cone, and γ_c(e_i) (N, C)."""

    cover: Cover
    cones: Cones
    classes: int
    activation: Activation
    beta: float
    own: np.ndarray

    @functools.cached_property
    def own_squares(self) -> np.ndarray:
        """γ_c(e_i)²."""
        return self.own**2


def space_of(cover: Cover, group: np.ndarray, activation: Activation, beta: float, count: int | None = None) -> Space:
    """group (K,): the class of every cone, 0 … C − 1. count: C."""
    cones = Cones(
        cover.rays, cover.features, cover.simplices, cover.stretch, cover.start, cover.index, cover.extra,
        group.astype(np.int64), float(activation.kink),
    )  # fmt: skip
    N, C = cover.features.shape[1], count or int(group.max(initial=0)) + 1
    own = np.empty((N, C))
    columns, F = np.empty((C, N)), np.empty(len(cover.rays))
    for i in range(N):
        support(cones, np.eye(N)[i], own[i], columns, F)
    return Space(cover, cones, C, activation, beta, own)


@dataclass(frozen=True, eq=False)
class Tree:
    """Both trees of one g (N,). structure: the steps of the certificate, depth first: the points branched on, −1 for
    leaves.

    T (l, N): the multipliers of the leaves on the grid of the certificate (0.5 for undecided points). squares (l, C),
    bias (l,), weights (l, N): the leaf's bound is weights·u(m) + √(squares·m + bias). found: the largest |g·σ(z)| met
    at the masses of the search; points (k, N): such z, best first, their values |g·σ(z)|, normals
    (k, N): q with h_m(q) = q·z, about; parts (k, C, N) and shares (k, C): z = Σ √m_cζ_c + βb1, and the gauges of ζ_c, squared.
    """

    g: np.ndarray
    structure: tuple[np.ndarray, np.ndarray]
    T: np.ndarray
    decided: np.ndarray
    squares: np.ndarray
    bias: np.ndarray
    weights: np.ndarray
    found: float
    points: np.ndarray
    values: np.ndarray
    normals: np.ndarray
    parts: np.ndarray
    shares: np.ndarray

    def bound(self, space: Space, masses: np.ndarray) -> float:
        """The bound of κ_G(m)."""
        return float(kappa_at(self.squares, self.bias, self.weights, space.own_squares, masses, space.beta))

    def normals_of_leaves(self, space: Space, masses: np.ndarray, most: int, limit: float) -> np.ndarray:
        """q of the leaves with the largest bounds at masses m, at most so many, and only above the limit."""
        u = np.sqrt(space.own_squares @ masses + space.beta**2)
        values = self.weights @ u + np.sqrt(self.squares @ masses + self.bias)
        order = [k for k in np.argsort(-values)[:most] if values[k] > limit]
        sides = np.repeat([1.0, -1.0], [int((part < 0).sum()) for part in self.structure])[order]
        sigma = space.activation
        return (sides[:, None] * self.g) * (sigma.a_minus + sigma.kink * self.T[order])


@dataclass
class _Node:
    sign: np.ndarray
    bound: float
    T: np.ndarray
    z: np.ndarray
    branch: int = -1
    children: list[_Node] = field(default_factory=list)


def search(
    space: Space, g: np.ndarray, masses: np.ndarray, accuracy: float, nodes: int, deadline: float, enough: float = 0.0
) -> Tree:
    """The trees for g and −g at these masses, until the bound is within `accuracy` (relative) of a value found, or below `enough`."""
    sigma = space.activation
    u = np.sqrt(space.own**2 @ masses + space.beta**2)
    incumbents: list[tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    best = 0.0
    queue: list[tuple[float, int, int]] = []
    made: list[tuple[int, _Node]] = []
    kappas = [float(sigma.kink) * s * g for s in (1.0, -1.0)]
    linears = [float(sigma.a_minus) * s * g for s in (1.0, -1.0)]

    def visit(side: int, sign: np.ndarray) -> _Node:
        nonlocal best
        kappa = kappas[side]
        T, z = np.empty(len(g)), np.empty(len(g))
        parts, shares = np.empty((space.classes, len(g))), np.empty(space.classes)
        half = 0.5 * float(np.sum((kappa * u)[(kappa > 0.0) & (sign == 0)]))
        h = solve_node(
            space.cones,
            masses,
            space.beta,
            linears[side],
            kappa,
            sign,
            T,
            z,
            parts,
            shares,
            ACCURACY,
            max(best, enough) - half,
            COLUMNS,
        )
        value = abs(float(g @ sigma(z)))
        incumbents.append((value, z, linears[side] + kappa * T, parts, shares))
        best = max(best, value)
        node = _Node(sign, half + h, T, z)
        made.append((side, node))
        heapq.heappush(queue, (-node.bound, len(made) - 1, side))
        return node

    roots = [visit(side, np.zeros(len(g), np.int8)) for side in (0, 1)]
    while queue and len(made) < nodes and time.monotonic() < deadline:
        bound, number, side = queue[0]
        if -bound <= max(best * (1.0 + accuracy), enough):
            break
        heapq.heappop(queue)
        node = made[number][1]
        kappa = kappas[side]
        open_points = np.flatnonzero((kappa > 0.0) & (node.sign == 0))
        if not len(open_points):
            continue
        errors = 0.5 * kappa[open_points] * (u[open_points] - np.abs(node.z[open_points]))
        node.branch = int(open_points[errors.argmax()])
        for sign in (1, -1):
            child = node.sign.copy()
            child[node.branch] = sign
            node.children.append(visit(side, child))
    return _tree(space, g, roots, kappas, linears, best, incumbents)


def _tree(space, g, roots, kappas, linears, best, incumbents) -> Tree:
    structures, T, decided, squares, bias, weights = [], [], [], [], [], []
    C = space.classes
    value, columns, F = np.empty(C), np.empty((C, len(g))), np.empty(len(space.cones.rays))
    for side, root in enumerate(roots):
        kappa = kappas[side]
        structure: list[int] = []
        leaves: list[_Node] = []
        stack = [root]
        while stack:
            node = stack.pop()
            if node.children:
                structure.append(node.branch)
                stack += node.children[::-1]
                continue
            structure.append(-1)
            leaves.append(node)
        signs = np.array([node.sign for node in leaves])
        rows = np.where(kappa != 0.0, rounded(np.array([node.T for node in leaves]), kappa, signs), 0.0)
        Q = linears[side] + kappa * rows
        for q in Q:
            support(space.cones, q, value, columns, F)
            squares.append(value**2)
        T.append(rows)
        decided.append(signs)
        bias.append((space.beta * Q.sum(axis=1)) ** 2)
        weights.append(np.where((kappa > 0.0) & (signs == 0), 0.5 * kappa, 0.0))
        structures.append(np.array(structure, dtype=np.int64))
    order = sorted(range(len(incumbents)), key=lambda k: -incumbents[k][0])[:40]
    return Tree(
        g=g,
        structure=(structures[0], structures[1]),
        T=np.concatenate(T),
        decided=np.concatenate(decided),
        squares=np.array(squares),
        bias=np.concatenate(bias),
        weights=np.concatenate(weights),
        found=best,
        points=np.array([incumbents[k][1] for k in order]),
        values=np.array([incumbents[k][0] for k in order]),
        normals=np.array([incumbents[k][2] for k in order]),
        parts=np.array([incumbents[k][3] for k in order]),
        shares=np.array([incumbents[k][4] for k in order]),
    )


def regrouped(tree: Tree, space: Space) -> Tree:
    """The same trees for other classes of directions."""
    squares = np.empty((len(tree.T), space.classes))
    columns, F = np.empty((space.classes, len(tree.g))), np.empty(len(space.cones.rays))
    row = 0
    sigma = space.activation
    for side, structure in zip((1.0, -1.0), tree.structure, strict=True):
        for _ in range(int((structure < 0).sum())):
            q = side * tree.g * (sigma.a_minus + sigma.kink * tree.T[row])
            support(space.cones, q, squares[row], columns, F)
            row += 1
    return replace(tree, squares=squares**2)


def rounded(T: np.ndarray, kappa: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Multipliers on the grid of the certificate, inside their intervals."""
    unit = 2.0**GRID
    T = np.rint(np.clip(T, -(2.0**30), 2.0**30) * unit) / unit
    T = np.where(kappa < 0.0, np.clip(T, 0.0, 1.0), T)
    T = np.where((kappa > 0.0) & (sign > 0), np.maximum(T, 1.0), T)
    T = np.where((kappa > 0.0) & (sign < 0), np.minimum(T, 0.0), T)
    return np.where((kappa > 0.0) & (sign == 0), 0.5, T)


def compile_kernels() -> None:
    """Compile, or load from the cache, what the search runs on."""
    from cpcert.activations import activation
    from cpcert.deep.bound.cover import build_cover
    from cpcert.deep.bound.maxima import largest, minimax

    cover = build_cover(np.array([[1.0, 0.5], [-0.3, 1.0]]), activation("relu"), 16)
    space = space_of(cover, np.zeros(len(cover.simplices), np.int64), activation("relu"), 1.0)
    search(space, np.array([1.0, -0.5]), np.ones(1), 1e-2, 10, np.inf)
    rays = cover.rays[cover.simplices]
    largest(np.ones(len(cover.rays)), cover.simplices, rays @ rays.transpose(0, 2, 1), cover.stretch)
    minimax(np.eye(2), np.ones(2), np.zeros(2), np.ones(2), np.empty(2), 1e-4, 1.0, 1e3, 400)
