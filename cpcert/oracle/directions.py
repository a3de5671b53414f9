"""Several outputs of small rank: a cover of the output directions by simplicial cones.

h(u) = max over ‖w‖ ≤ 1 of uᵀGσ(X̃ᵀw) is convex and positively homogeneous in u ∈ R^m, and γ(G) = max over ‖u‖ = 1 of
h(u). For one u it is the problem of branch.py. G = QH + R with k = rank G columns in Q brings u into R^k, at the price
of R and of QᵀQ − I.

A cone with vertices u_1, …, u_k and proven γ_j ≥ h(u_j): if ℓ·u_j ≥ γ_j for all j, then for u = Σ t_j u_j, t ≥ 0,

    h(u) ≤ Σ t_j h(u_j) ≤ ℓ·u ≤ ‖ℓ‖ ‖u‖.                                                                        (1)

k inequalities and a norm are the whole proof of a cone. The cover starts with the 2^k orthants; the cone with the
largest bound is bisected at its longest edge until all bounds are below the cutoff. Vertices are exact: 2^p u_a + 2^q
u_b with integer entries below 2⁵³. Vertex values come from branch and bound, sharp near the active directions only.

docs/mathematics/directions.md has the reduction and the rounding.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from cpcert.activations import Activation
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.ascent import ascend, starting_points
from cpcert.oracle.branch import BranchProof, branch_and_bound
from cpcert.oracle.rung import NO_LIMITS, Limits, Question
from cpcert.oracle.spectral import TINY, row_norms, spectral_bound
from cpcert.parallel import HERE
from cpcert.rounding import EPS

# The part of the distance to the target by which a vertex value may exceed the best value known, and its floor.
SLACK = 0.01
FINEST = 2e-9
# Output directions that change γ(G) by less than this, relative to the cutoff, are left out.
NEGLIGIBLE = 1e-10
# ℓ·u_j must be at least so much of the terms it is the sum of.
STEEP = 1e-9
STARTS = 100
MAX_ATOMS = 8


@dataclass(frozen=True, eq=False)
class Reduction:
    """γ(G) ≤ stretch·γ(H) + rest, proven. basis Q (m, k), H (k, N)."""

    basis: np.ndarray
    H: np.ndarray
    stretch: float
    rest: float


@dataclass(frozen=True, eq=False)
class DirectionProof:
    """Why γ(G) ≤ bound.

    vertices (V, k): integers in float64, exact; the first 2k are ±e_j. values (V,): proven γ_j ≥ h(u_j), each by
    proofs[j] (a tree of branch.py for the cutoff γ_j less allowances[j]; None for h ≤ γ_j by other vertices never
    happens: every vertex has its own). edges (V, 4): vertex j = 2^p u_a + 2^q u_b as (a, b, p, q), −1 for the first 2k.
    cones (C, k): the leaves; normals (C, k): their ℓ. That the leaves cover the sphere follows from `splits` (S, k + 1):
    cone (k vertices) bisected at the new vertex, in order, starting with the orthants.
    """

    reduction: Reduction
    vertices: np.ndarray
    edges: np.ndarray
    values: np.ndarray
    allowances: np.ndarray
    proofs: tuple[BranchProof, ...]
    cones: np.ndarray
    normals: np.ndarray
    splits: np.ndarray
    bound: float


def reduce_outputs(points: np.ndarray, G: np.ndarray, lipschitz: float, allowed: float) -> Reduction:
    """G (m, N) in an orthonormal basis of its column space, with the price of the change proven.

    Directions that matter for γ(G) by about `allowed` at most are left out, into `rest`.
    """
    m, N = G.shape
    left, singular, _ = np.linalg.svd(G, full_matrices=False)
    tail = np.sqrt(np.cumsum(singular[::-1] ** 2))[::-1] * float(np.linalg.norm(points)) * lipschitz
    rank = max(int((tail > allowed).sum()), 1)
    if rank == m:
        return Reduction(np.eye(m), G, 1.0, 0.0)
    Q = np.ascontiguousarray(left[:, :rank])
    H = Q.T @ G
    error = (rank + 3) * EPS * (np.abs(Q) @ np.abs(H) + np.abs(G))
    residual = row_norms((np.abs(G - Q @ H) + error).T) * (1.0 + 2.0 * EPS)
    defect = np.abs(Q.T @ Q - np.eye(rank)) + (m + 3) * EPS * (np.abs(Q.T) @ np.abs(Q) + np.eye(rank))
    stretch = 1.0 + 0.5 * float(np.linalg.norm(defect)) * (1.0 + (rank * rank + 4) * EPS) + EPS
    rest = float(residual @ row_norms(points)) * lipschitz * (1.0 + (N + 4) * EPS) + TINY
    return Reduction(Q, H, stretch, rest)


def cone_bound(vertices: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray]:
    """The smallest ‖ℓ‖ of (1) and its ℓ, proven for the given numbers: (‖ℓ‖, ℓ (k,)); inf if none was found.

    vertices (k, k): rows u_j, independent; values (k,) > 0.
    """
    k = len(values)
    best, best_norm = None, math.inf
    for size in range(1, k + 1):
        for chosen in combinations(range(k), size):
            active = list(chosen)
            try:
                if size == k:
                    normal = np.linalg.solve(vertices, values)
                else:
                    U = vertices[active]
                    normal = np.linalg.solve(U @ U.T, values[active]) @ U
            except np.linalg.LinAlgError:
                continue
            reach = _reach(vertices, normal)
            # A positive value that is mostly rounding would be scaled up without end.
            if np.all(reach > STEEP * (np.abs(vertices) @ np.abs(normal))):
                normal = normal * (float((values / reach).max()) * (1.0 + 4.0 * EPS))
                norm = float(np.linalg.norm(normal))
                if norm < best_norm:
                    best, best_norm = normal, norm
    if best is None:
        return math.inf, np.zeros(k)
    step = 4.0 * EPS
    while np.any(_reach(vertices, best) < values):
        best = best * (1.0 + step)
        step *= 2.0
    return float(np.linalg.norm(best)) * (1.0 + (k + 4) * EPS), best


def _reach(vertices: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Proven lower bounds of ℓ·u_j."""
    return vertices @ normal - (len(normal) + 2) * EPS * (np.abs(vertices) @ np.abs(normal))


class _Cover:
    """The vertices with their proven values, the cones, and the neurons met. Works on the reduced outputs H."""

    def __init__(
        self,
        points: np.ndarray,
        H: np.ndarray,
        activation: Activation,
        cutoff: float,
        limits: Limits,
    ) -> None:
        self.points, self.H, self.activation, self.cutoff = points, H, activation, cutoff
        self.limits = limits
        self.norms = row_norms(points)
        self.pool = np.zeros((0, points.shape[1]))
        self.images = np.zeros((0, len(H)))
        self.vertices: list[np.ndarray] = []
        self.edges: list[tuple[int, int, int, int]] = []
        self.values: list[float] = []
        self.allowances: list[float] = []
        self.proofs: list[BranchProof] = []
        self.halves: dict[tuple[int, int], int] = {}
        self.cones: list[tuple[float, int, tuple[int, ...], np.ndarray]] = []
        self.splits: list[tuple[int, ...]] = []
        self.nodes = 0
        self.pushed = 0

    def add_atoms(self, W: np.ndarray) -> None:
        """Neurons into the pool, those already there aside."""
        for w in W:
            if not np.any(self.pool @ w > 1.0 - 1e-10):
                image = self.activation(self.points @ w) @ self.H.T
                self.pool, self.images = np.vstack([self.pool, w]), np.vstack([self.images, image])

    def above(self) -> tuple[np.ndarray, np.ndarray]:
        """The neurons of the pool above the cutoff, best first, and their values."""
        values = np.linalg.norm(self.images, axis=1)
        order = np.argsort(-values, kind="stable")
        order = order[values[order] > self.cutoff][:MAX_ATOMS]
        return self.pool[order], values[order]

    def run(self) -> bool:
        """Cover the sphere; False if a limit or a neuron above the cutoff came first."""
        k = len(self.H)
        for e, sign in product(np.eye(k), (1.0, -1.0)):
            if self.add_vertex(sign * e, (-1, -1, 0, 0)) is None:
                return False
        for signs in product((0, 1), repeat=k):
            self.add_cone(tuple(2 * j + sign for j, sign in enumerate(signs)))
        while -self.cones[0][0] > self.cutoff:
            if (
                len(self.above()[0])
                or self.limits.left(self.nodes).spent()
                or -self.cones[0][0] < self.cutoff * (1.0 + 5.0 * FINEST)
            ):
                return False
            _, _, cone, _ = self.cones[0]
            a, b = max(combinations(cone, 2), key=lambda pair: self.angle(*pair)) if k > 1 else (cone[0], cone[0])
            middle = self.middle(a, b)
            if middle is None:
                return False
            heapq.heappop(self.cones)
            self.splits.append((*cone, middle))
            for old in (a, b):
                self.add_cone(tuple(middle if j == old else j for j in cone))
        return True

    def angle(self, a: int, b: int) -> float:
        """A measure of the angle between two vertices, largest for the longest edge."""
        u, v = self.vertices[a], self.vertices[b]
        return -float(u @ v) / math.sqrt(float(u @ u) * float(v @ v))

    def add_cone(self, cone: tuple[int, ...]) -> None:
        values = np.array([max(self.values[j], TINY) for j in cone])
        bound, normal = cone_bound(np.array([self.vertices[j] for j in cone]), values)
        self.pushed += 1
        heapq.heappush(self.cones, (-bound, self.pushed, cone, normal))

    def middle(self, a: int, b: int) -> int | None:
        """The vertex on the edge from a to b; None if it is not exact or a limit was met."""
        key = (min(a, b), max(a, b))
        if a == b or key in self.halves:
            return self.halves.get(key)
        u, v = self.vertices[key[0]], self.vertices[key[1]]
        # Norms lie in [1, 2); double the shorter one if that balances the two better.
        ratio = float(v @ v) / float(u @ u)
        p, q = (1 if ratio > 2.0 else 0), (1 if ratio < 0.5 else 0)
        total = np.ldexp(u, p) + np.ldexp(v, q)
        if np.any(total - np.ldexp(u, p) != np.ldexp(v, q)) or np.any(total - np.ldexp(v, q) != np.ldexp(u, p)):
            return None
        scale = 1 - int(np.frexp(np.linalg.norm(total))[1])
        vertex = self.add_vertex(np.ldexp(total, scale), (*key, p + scale, q + scale))
        if vertex is not None:
            self.halves[key] = vertex
        return vertex

    def one_output(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """κ, c and what their rounding can add to h(u)."""
        N, k = len(self.points), len(u)
        g = u @ self.H
        kink, slope = self.activation.kink, self.activation.a_minus
        size = float((np.abs(u) @ np.abs(self.H)) @ self.norms)
        allowance = (N + k + 8) * EPS * (abs(kink) + abs(slope)) * size + TINY
        return kink * g, slope * (g @ self.points), allowance

    def climb(self, u: np.ndarray, W: np.ndarray) -> None:
        """Local search for h(u) from the neurons W, into the pool."""
        if len(W):
            g = (u @ self.H)[np.newaxis]
            W, _, _ = ascend(self.points, g, self.activation.a_plus, self.activation.a_minus, W, np.ones((len(W), 1)))
            self.add_atoms(W[:4])

    def add_vertex(self, u: np.ndarray, edge: tuple[int, int, int, int]) -> int | None:
        """Prove a value for the exact vector u, and number it; None if a limit was met."""
        length = float(np.linalg.norm(u))
        kappa, linear, allowance = self.one_output(u)
        self.climb(u, self.pool[np.argsort(-(self.images @ u), kind="stable")[:8]])
        while True:
            known = max(float((self.images @ u).max(initial=0.0)), 0.0)
            room = self.cutoff * length - known
            target = known + max(SLACK * room, FINEST * self.cutoff * length)
            # In this process: a vertex is too little work to be shared.
            limits = replace(self.limits.left(self.nodes, at_least=1), workers=HERE)
            result = branch_and_bound(self.points, kappa, linear, target, limits, max_atoms=4)
            self.nodes += result.nodes
            if result.closed and result.proof is not None:
                break
            before = len(self.pool)
            self.climb(u, result.atoms)
            if len(self.pool) == before:
                return None
        self.vertices.append(u)
        self.edges.append(edge)
        self.values.append((result.upper_bound + allowance) * (1.0 + 2.0 * EPS))
        self.allowances.append(allowance)
        self.proofs.append(result.proof)
        return len(self.vertices) - 1


def direction_cover(
    points: np.ndarray,
    G: np.ndarray,
    activation: Activation,
    cutoff: float,
    limits: Limits = NO_LIMITS,
    *,
    seed: int = 0,
) -> OracleAnswer:
    """Prove γ(G) ≤ cutoff by a cover of the output directions, or find neurons above the cutoff.

    points (N, r), G (m, N): exact float64 numbers; meant for rank G ≤ 3. The limit is on the nodes of branch and bound, in
    all. upper_bound is proven whatever stopped the search; W (k, r) are the neurons
    above the cutoff that were met (proof is None then, and after a limit).
    """
    cheap, spectral = spectral_bound(points, G, activation)
    none = np.zeros((0, points.shape[1])), np.zeros(0)
    if cheap <= cutoff or not np.any(G) or cutoff <= 0.0:
        return OracleAnswer(*none, cheap, "spectral", spectral, 0, bool(cheap <= cutoff))
    reduction = reduce_outputs(points, G, activation.lipschitz, NEGLIGIBLE * cutoff)
    aim = (cutoff * (1.0 - 8.0 * EPS) - reduction.rest) / reduction.stretch
    cover = _Cover(points, reduction.H, activation, max(aim, 0.5 * cutoff), limits)
    W, U = starting_points(points, reduction.H, STARTS, seed)
    W, _, _ = ascend(points, reduction.H, activation.a_plus, activation.a_minus, W, U)
    cover.add_atoms(W)
    found = cover.above()
    if len(found[0]):
        return OracleAnswer(*found, cheap, "spectral", spectral, 0, False)
    done = cover.run()
    bound = cheap
    if cover.cones:
        bound = (-cover.cones[0][0] * reduction.stretch + reduction.rest) * (1.0 + 4.0 * EPS)
    found = cover.above()
    if bound >= cheap:
        return OracleAnswer(*found, cheap, "spectral", spectral, cover.nodes, False)
    return OracleAnswer(
        *found, bound, "directions", _proof(cover, reduction, bound), cover.nodes, bool(done and bound <= cutoff)
    )


def prove(question: Question, limits: Limits) -> OracleAnswer:
    """The rung `directions`."""
    points, G, activation, aim = question.points, question.G, question.activation, question.aim
    return direction_cover(points, G, activation, aim, limits, seed=question.seed)


def _proof(cover: _Cover, reduction: Reduction, bound: float) -> DirectionProof:
    k = len(cover.H)
    return DirectionProof(
        reduction=reduction,
        vertices=np.array(cover.vertices),
        edges=np.array(cover.edges, dtype=np.int32),
        values=np.array(cover.values),
        allowances=np.array(cover.allowances),
        proofs=tuple(cover.proofs),
        splits=np.array(cover.splits, dtype=np.int32).reshape(-1, k + 1),
        cones=np.array([cone for _, _, cone, _ in cover.cones], dtype=np.int32),
        normals=np.array([normal for _, _, _, normal in cover.cones]),
        bound=bound,
    )
