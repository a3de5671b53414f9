"""Several outputs, any number of them: a tree over signs with the relaxation of relaxation.py in every node.

γ(G) = max over ‖w‖ ≤ 1 of ‖Gσ(X̃ᵀw)‖. A node is a cone {w : s_j h_jᵀw ≥ 0}, the h_j being points or other normals.
Signs of x_iᵀw that follow from these up to ε_i are found first, as in arrangement.py; then the multipliers of
relaxation.py prove

    ‖Gσ(X̃ᵀw)‖ ≤ √ρ + Σ |a₊ − a₋| ‖g_i‖ε_i   on the node and the unit ball.                                        (1)

A node that (1) does not close is split, on the sign that the relaxation leaves most undecided or, when every sign is
known, on a hyperplane through the cone. Both half-spaces of a split are children, so the tree covers the space by its
structure, whatever floating point did; there is no certificate of emptiness.

Where the relaxation is solved, the order of the search and the atoms found are heuristic; every bound is proven.
docs/mathematics/cells.md has this page and that of relaxation.py in full.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from cpcert.activations import Activation
from cpcert.compiled import njit
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.arrangement import IMPLIED, cell_count, implied_sign, scaled_points
from cpcert.oracle.ascent import ascend, starting_points
from cpcert.oracle.frame import Rows
from cpcert.oracle.least_norm import INFINITE, Workspace
from cpcert.oracle.relaxation import Multipliers, certify, relax, solve
from cpcert.oracle.rung import NO_LIMITS, Limits, Question
from cpcert.oracle.spectral import row_norms, spectral_bound
from cpcert.rounding import EPS

# Neurons above the cutoff to collect before the search stops, and nodes to visit for it at most.
MAX_ATOMS = 8
NODES_AFTER_ATOM = 20
STARTS = 100

# After a relaxation with excess x = bound/cutoff − 1 the next one waits until log2(x/CLOSING) more signs are known.
CLOSING = 0.02
# Relaxations of larger order than SIZE (entries of Y) are not tried; with few unknown signs they always are.
SIZE = 800
FEW = 8
# A node without unknown signs that exceeds the cutoff by less than this is at the limit of the arithmetic.
FINEST = 1e-9
# Cuts by hyperplanes other than points on one path of the tree.
CUTS = 100


@dataclass(frozen=True, eq=False)
class Implied:
    """The sign `side` of plane `plane` follows: ‖side·h_plane − Σ weight_j h_j‖ ≤ epsilon over j in index, weight_j = s_jμ_j."""

    plane: int
    side: int
    index: np.ndarray
    weight: np.ndarray
    epsilon: float


@dataclass(frozen=True, eq=False)
class CellLeaf:
    """Inequality (1) of relaxation.py on the cone of `constraints` (planes) with `signs`; `undecided` are the points of U."""

    constraints: np.ndarray
    signs: np.ndarray
    undecided: np.ndarray
    multipliers: Multipliers


@dataclass(frozen=True, eq=False)
class CellProof:
    """Why ‖Gσ(X̃ᵀw)‖ ≤ bound·2^unit on the unit ball, unit that of `rows`.

    points (N, r), G (m, N): the problem as searched, scaled as `rows` say, points that play no part left out. planes
    (P, r): the points, then other normals. The tree is listed depth first. plane: int32, −1 for a leaf, the plane split
    on otherwise (sign + first, then sign −). implied: for every node, the signs found to follow from those above it.
    leaves: in the order of the tree.
    """

    points: np.ndarray
    G: np.ndarray
    a_plus: float
    a_minus: float
    planes: np.ndarray
    plane: np.ndarray
    implied: tuple[tuple[Implied, ...], ...]
    leaves: tuple[CellLeaf, ...]
    bound: float
    rows: Rows


@dataclass(eq=False)
class _Node:
    """A node of the search. path, sign: its constraints that are not redundant; decided (N,): signs of x_iᵀw or 0."""

    path: np.ndarray
    sign: np.ndarray
    decided: np.ndarray
    witness: np.ndarray
    slack: float
    bound: float
    skip_above: int
    score: np.ndarray
    cuts: int = 0
    implied: tuple[Implied, ...] = ()
    leaf: CellLeaf | None = None
    split: int = -1
    children: tuple[_Node, ...] = ()


@njit(cache=True)
def _reduce(planes, norms, square, path, sign, witness, undecided, work):
    """Redundant constraints and implied signs of a cone. Returns which of path to keep, and for every undecided point the
    side (0: not implied), ε and the multipliers (rows, over the kept constraints)."""
    M, r = planes.shape
    lower = np.empty(M)
    upper = np.empty(M)
    mu = np.zeros(M)
    e = np.empty(r)
    for q in range(path.shape[0]):
        lower[path[q]] = 0.0 if sign[q] > 0 else -INFINITE
        upper[path[q]] = INFINITE if sign[q] > 0 else 0.0
    keep = np.ones(path.shape[0], np.bool_)
    others = np.empty(path.shape[0] + 1, np.int64)
    for q in range(path.shape[0]):
        n = np.int64(0)
        for p in range(path.shape[0]):
            if p != q and keep[p]:
                others[n] = path[p]
                n += 1
        i = path[q]
        side, small = implied_sign(
            planes, norms, square, planes[i], norms[i], witness, others, lower, upper, n, mu, e, False, work
        )
        keep[q] = not (small <= IMPLIED and side == sign[q])
    n = np.int64(0)
    for p in range(path.shape[0]):
        if keep[p]:
            others[n] = path[p]
            n += 1
    sides = np.zeros(undecided.shape[0], np.int8)
    epsilon = np.zeros(undecided.shape[0])
    multipliers = np.zeros((undecided.shape[0], n))
    for q in range(undecided.shape[0]):
        i = undecided[q]
        side, small = implied_sign(
            planes, norms, square, planes[i], norms[i], witness, others, lower, upper, n, mu, e, False, work
        )
        if small <= IMPLIED:
            sides[q] = 1 if side > 0.0 else -1
            epsilon[q] = small
            for p in range(n):
                multipliers[q, p] = mu[others[p]]
    return keep, sides, epsilon, multipliers


@njit(cache=True)
def _other_side(planes, norms, square, plane, path, sign, witness, work):
    """The witness's side of a plane, the ε by which the cone reaches to the other side, and a point of it there."""
    M, r = planes.shape
    lower = np.empty(M)
    upper = np.empty(M)
    mu = np.zeros(M)
    e = np.empty(r)
    for q in range(path.shape[0]):
        lower[path[q]] = 0.0 if sign[q] > 0 else -INFINITE
        upper[path[q]] = INFINITE if sign[q] > 0 else 0.0
    side, small = implied_sign(
        planes,
        norms,
        square,
        planes[plane],
        norms[plane],
        witness,
        path,
        lower,
        upper,
        path.shape[0],
        mu,
        e,
        True,
        work,
    )
    inside = 0.0
    length = 0.0
    for k in range(r):
        inside += side * planes[plane, k] * witness[k]
        length += e[k] * e[k]
    pull = 0.5 * length / inside if inside > 0.0 else 1.0
    e += pull * witness
    return side, small, e / math.sqrt(np.sum(e * e))


class _Search:
    """The planes, the open nodes and the neurons found; `run` visits nodes until all are closed or a limit is met."""

    def __init__(
        self,
        points: np.ndarray,
        G: np.ndarray,
        activation: Activation,
        cutoff: float,
        bound: float,
        cone: np.ndarray | None = None,
        witness: np.ndarray | None = None,
    ) -> None:
        N, r = points.shape
        self.points, self.G, self.activation, self.cutoff = points, G, activation, cutoff
        self.cone = np.zeros((0, r)) if cone is None else cone
        self.planes = points
        self.g_norms = row_norms(G.T)
        self._new_planes(np.concatenate([points, self.cone]))
        inside = np.random.default_rng(0).standard_normal(r) if witness is None else witness
        self.root = _Node(
            path=N + np.arange(len(self.cone)),
            sign=np.ones(len(self.cone), np.int64),
            decided=np.zeros(N, np.int8),
            witness=np.asarray(inside / np.linalg.norm(inside)),
            slack=0.0,
            bound=bound,
            skip_above=N,
            score=self.g_norms * self.norms[:N],
        )
        self.open: list[tuple[float, int, _Node]] = [(-bound, 0, self.root)]
        self.closed_bound = 0.0
        self.nodes = 0
        self.pushed = 0
        self.W = np.zeros((0, r))
        self.values = np.zeros(0)

    def _new_planes(self, planes: np.ndarray) -> None:
        self.planes = np.ascontiguousarray(planes)
        self.square = np.einsum("ij,ij->i", self.planes, self.planes)
        self.norms = row_norms(self.planes)
        size = max(self.planes.shape) + 2
        self.work = Workspace(np.zeros((size, size)), np.zeros(size), np.zeros(size), np.zeros(size, np.int64))

    def bound(self) -> float:
        """Proven: every leaf and every open node is below."""
        return max(self.closed_bound, -self.open[0][0] if self.open else 0.0)

    def add_atoms(self, W: np.ndarray, U: np.ndarray) -> None:
        """Keep what a local search from (W, U) finds above the cutoff."""
        W, U, values = ascend(self.points, self.G, self.activation.a_plus, self.activation.a_minus, W, U)
        for w, value in zip(W, values, strict=True):
            if value > self.cutoff and np.all(self.cone @ w >= 0.0) and not np.any(self.W @ w > 1.0 - 1e-9):
                self.W, self.values = np.vstack([self.W, w]), np.append(self.values, value)

    def run(self, limits: Limits) -> None:
        since = 0
        while self.open:
            if limits.left(self.nodes).spent():
                return
            if len(self.values):
                since += 1
                if since > NODES_AFTER_ATOM or len(self.values) >= MAX_ATOMS:
                    return
            _, _, node = heapq.heappop(self.open)
            if node.bound > self.cutoff:
                self._visit(node)

    def _visit(self, node: _Node) -> None:
        self.nodes += 1
        self._propagate(node)
        undecided = np.flatnonzero(node.decided == 0)
        Y = None
        if self._worth_solving(node, len(undecided)):
            constraints = self.planes[node.path] * node.sign[:, np.newaxis]
            relaxed = relax(self.points, self.G, self.activation, node.decided, constraints)
            hint, Y = solve(relaxed, node.witness, (self.cutoff - node.slack) ** 2)
            multipliers = certify(relaxed, hint)
            hopeless = multipliers is None or node.cuts > CUTS
            if multipliers is not None:
                # A slack is a sum over the path, each of whose terms may be rounded down.
                slack = node.slack * (1.0 + len(self.points) * EPS)
                bound = (math.sqrt(multipliers.square) + slack) * (1.0 + 4.0 * EPS)
                if bound < node.bound:
                    node.bound = bound
                    node.leaf = CellLeaf(node.path, node.sign, undecided, multipliers)
            if node.bound <= self.cutoff:
                self.closed_bound = max(self.closed_bound, node.bound)
                return
            excess = node.bound / self.cutoff - 1.0
            node.skip_above = len(undecided) - 1 - max(0, math.ceil(math.log2(max(excess / CLOSING, 1.0))))
            z = self.points.shape[1] + np.arange(len(undecided))
            known = np.abs(np.einsum("ij,ji->i", self.points[undecided], Y[: self.points.shape[1], z]))
            node.score = np.zeros(len(self.points))
            node.score[undecided] = self.g_norms[undecided] * (Y[z, z] - known)
            self._search_from(Y)
            if not len(undecided) and (hopeless or excess < FINEST):
                self.closed_bound = max(self.closed_bound, node.bound)
                return
        self._split(node, undecided, Y)

    def _propagate(self, node: _Node) -> None:
        """Redundant constraints and implied signs."""
        undecided = np.flatnonzero(node.decided == 0)
        keep, sides, epsilon, multipliers = _reduce(
            self.planes, self.norms, self.square, node.path, node.sign, node.witness, undecided, self.work
        )
        node.path, node.sign = node.path[keep], node.sign[keep]
        node.decided = node.decided.copy()
        implied = []
        for q in np.flatnonzero(sides):
            i = int(undecided[q])
            used = multipliers[q] != 0.0
            implied.append(Implied(i, int(sides[q]), node.path[used], multipliers[q][used], float(epsilon[q])))
            node.decided[i] = sides[q]
            node.slack += abs(self.activation.kink) * self.g_norms[i] * epsilon[q] * (1.0 + 8.0 * EPS)
        node.implied = tuple(implied)

    def _worth_solving(self, node: _Node, undecided: int) -> bool:
        """Whether the relaxation is likely to close the node, and cheaper than visiting the cells below it.

        cost: milliseconds, fitted to measurements. The cone is taken for an orthant's share of the space, a cell for 1 ms.
        """
        if undecided > max(node.skip_above, 2):
            return False
        r = self.points.shape[1]
        size = (undecided + r) * (undecided + r + 1) // 2
        cost = 1.0 + 0.08 * size + 0.001 * size**2
        return undecided <= FEW or (size <= SIZE and cost < cell_count(undecided, r) / 2**r)

    def _search_from(self, Y: np.ndarray) -> None:
        """Local searches from both ends of the main direction of Y."""
        r = self.points.shape[1]
        _, vectors = np.linalg.eigh(Y[:r, :r])
        W = np.vstack([vectors[:, -1], -vectors[:, -1]])
        U = self.activation(W @ self.points.T) @ self.G.T
        norms = np.linalg.norm(U, axis=1)
        if np.all(norms > 0.0):
            self.add_atoms(W, U / norms[:, np.newaxis])

    def _split(self, node: _Node, undecided: np.ndarray, Y: np.ndarray | None) -> None:
        if len(undecided):
            split = int(undecided[int(np.argmax(node.score[undecided]))])
        else:
            assert Y is not None
            r = self.points.shape[1]
            split = self._new_plane(node, Y[:r, :r])
            if split < 0:
                self.closed_bound = max(self.closed_bound, node.bound)
                return
        side, _, other = _other_side(
            self.planes, self.norms, self.square, split, node.path, node.sign, node.witness, self.work
        )
        children = []
        for sign in (1, -1):
            decided = node.decided.copy()
            if split < len(decided):
                decided[split] = sign
            child = _Node(
                path=np.append(node.path, split),
                sign=np.append(node.sign, sign),
                decided=decided,
                witness=node.witness if sign == side else other,
                slack=node.slack,
                bound=node.bound,
                skip_above=node.skip_above,
                score=node.score,
                cuts=node.cuts + (split >= len(decided)),
            )
            children.append(child)
            self.pushed += 1
            heapq.heappush(self.open, (-child.bound, -self.pushed, child))
        node.split, node.children = split, tuple(children)

    def _new_plane(self, node: _Node, Y: np.ndarray) -> int:
        """A hyperplane through the cone, orthogonal to the second eigenvector of Y if that one cuts it."""
        _, vectors = np.linalg.eigh(Y)
        for k in range(2, len(Y) + 1):
            for normal in (vectors[:, -k], vectors[:, -k] - (vectors[:, -k] @ node.witness) * node.witness):
                length = float(np.linalg.norm(normal))
                if length < 1e-6:
                    continue
                self._new_planes(np.vstack([self.planes, normal / length]))
                plane = len(self.planes) - 1
                _, small, _ = _other_side(
                    self.planes, self.norms, self.square, plane, node.path, node.sign, node.witness, self.work
                )
                if small > 1e-6:
                    return plane
                self._new_planes(self.planes[:-1])
        return -1

    def proof(self, bound: float, rows: Rows) -> CellProof | None:
        """The smallest part of the tree that proves the bound; None if the nodes alone do not."""
        planes: list[int] = []
        implied: list[tuple[Implied, ...]] = []
        leaves: list[CellLeaf] = []
        pending = [self.root]
        while pending:
            node = pending.pop()
            implied.append(node.implied)
            if node.leaf is not None and node.bound <= bound:
                planes.append(-1)
                leaves.append(node.leaf)
            elif node.children:
                planes.append(node.split)
                pending.extend(reversed(node.children))
            else:
                return None
        return CellProof(
            points=self.points,
            G=self.G,
            a_plus=self.activation.a_plus,
            a_minus=self.activation.a_minus,
            planes=self.planes,
            plane=np.array(planes, dtype=np.int32),
            implied=tuple(implied),
            leaves=tuple(leaves),
            bound=bound,
            rows=rows,
        )


def cell_cover(
    points: np.ndarray,
    G: np.ndarray,
    activation: Activation,
    cutoff: float,
    limits: Limits = NO_LIMITS,
    *,
    seed: int = 0,
    cone: np.ndarray | None = None,
    witness: np.ndarray | None = None,
) -> OracleAnswer:
    """Prove γ(G) ≤ cutoff by a tree over activation patterns, or find neurons above the cutoff.

    points (N, r), G (m, N): exact float64 numbers, any m. The deadline is passed by at most one relaxation. upper_bound is
    proven whatever stopped the search; W (k, r) are the neurons above the cutoff that were met. cone (k, r), with a point
    `witness` (r,) inside: only neurons w with cone·w ≥ 0 count, in the bound as in the search.
    """
    cheap, spectral = spectral_bound(points, G, activation)
    keep = np.any(G != 0.0, axis=0) & np.any(points != 0.0, axis=1)
    none = np.zeros((0, points.shape[1])), np.zeros(0)
    if cheap <= cutoff or cutoff <= 0.0 or activation.kink == 0.0 or not keep.any():
        return OracleAnswer(*none, cheap, "spectral", spectral, 0, bool(cheap <= cutoff))
    # Powers of two bring points and cutoff near 1, without any rounding.
    scaled, exponents = scaled_points(points)
    rows = Rows(np.flatnonzero(keep), exponents, math.frexp(cutoff)[1])
    scaled, unit = np.ascontiguousarray(scaled[keep]), rows.unit
    weights = np.ldexp(G[:, keep], exponents[keep] - unit)
    search = _Search(scaled, weights, activation, math.ldexp(cutoff, -unit), math.ldexp(cheap, -unit), cone, witness)
    W, U = starting_points(scaled, weights, STARTS, seed)
    search.add_atoms(W, U)
    if not len(search.values):
        search.run(limits)
    order = np.argsort(-search.values, kind="stable")[:MAX_ATOMS]
    found = search.W[order], np.ldexp(search.values[order], unit)
    bound = search.bound()
    proof = search.proof(bound, rows)
    if proof is None:
        return OracleAnswer(*found, cheap, "spectral", spectral, search.nodes, False)
    bound = math.ldexp(bound, unit)
    return OracleAnswer(*found, bound, "cells", proof, search.nodes, bool(bound <= cutoff))


def prove(question: Question, limits: Limits) -> OracleAnswer:
    """The rung `cells`."""
    points, G, activation, aim = question.points, question.G, question.activation, question.aim
    return cell_cover(points, G, activation, aim, limits, seed=question.seed)
