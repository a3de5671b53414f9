"""Several outputs of small rank: a cover of the output directions by simplicial cones.

h(u) = max over ‖w‖ ≤ 1 of uᵀGσ(X̃ᵀw) is convex and positively homogeneous in u ∈ R^m, and γ(G) = max over ‖u‖ = 1 of h(u). For
one u it is the problem of branch.py: κ = (a₊ − a₋)Gᵀu, c = a₋X̃Gᵀu.

**Reduction.** G = QH + R with k = rank G columns in Q (m, k), QᵀQ ≈ I in floating point. For ‖w‖ ≤ 1

    γ(G) ≤ ‖Q‖ γ(H) + max(|a₊|, |a₋|) Σ_i ‖r_i‖ ‖x_i‖,   ‖Q‖² ≤ 1 + ‖QᵀQ − I‖_F,

so u runs over R^k. For k = m nothing is changed.

**A cone** with vertices u_1, …, u_k and proven γ_j ≥ h(u_j). If ℓ·u_j ≥ γ_j for all j, then for u = Σ t_j u_j, t ≥ 0,

    h(u) ≤ Σ t_j h(u_j) ≤ ℓ·u ≤ ‖ℓ‖ ‖u‖.                                                                        (1)

The smallest ‖ℓ‖ is the maximum of the interpolant of the γ_j on the cone and the unit sphere, second order in the size of
the cone. k inequalities and a norm are the whole proof of a cone. The cover starts with the 2^k orthants; the cone
with the largest bound is bisected at its longest edge until all bounds are below the cutoff.

**Vertices are exact.** The new vertex of an edge is 2^p u_a + 2^q u_b, with p, q such that both terms have about the same norm.
All entries are integers below 2⁵³ in size, hence exact in float64, and the two halves cover the cone exactly. After 51
generations there are no bits left and the cone keeps its bound.

**Vertex values** come from branch and bound, each with a cutoff of its own: a little above the best value known there, the
little being a fraction of the distance to the target, so that cheap proofs serve far from the active directions and sharp
ones near them. A neuron above the target ends the search: γ(G) > cutoff.

**Rounding**, ε = 2⁻⁵², twice the unit roundoff. κ and c are off by at most (N + k + 6)ε times the same sums of absolute values; for
‖w‖ ≤ 1 this changes h(u) by at most (N + k + 6)ε(|a₊ − a₋| + |a₋|) Σ_i (|H|ᵀ|u|)_i ‖x_i‖, which γ_j contains. ℓ is scaled up until
ℓ·u_j − (k + 2)ε|ℓ|·|u_j| ≥ γ_j in floating point, and ‖ℓ‖ is inflated by 1 + (k + 4)ε.
"""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from cpcert.activations import Activation
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.ascent import ascend, starting_points
from cpcert.oracle.branch import BranchProof, branch_and_bound
from cpcert.oracle.spectral import EPS, TINY, operator_norm, row_norms, spectral_bound

# The part of the distance to the target by which a vertex value may exceed the best value known, and its floor.
SLACK = 0.15
FINEST = 2e-9
STARTS = 100
MAX_ATOMS = 8
BITS = 52


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


def reduce_outputs(points: np.ndarray, G: np.ndarray, lipschitz: float) -> Reduction:
    """G (m, N) in an orthonormal basis of its column space, with the price of the change proven."""
    m, N = G.shape
    left, singular, _ = np.linalg.svd(G, full_matrices=False)
    rank = max(int((singular > 1e-13 * singular[0]).sum()), 1)
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


def cone_bound(vertices: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The bound ‖ℓ‖ of (1), proven for the given numbers; (‖ℓ‖, ℓ, t), t ≥ 0 the weights of the maximiser of ℓ·u.

    vertices (k, k): rows u_j, independent; values (k,) > 0.
    """
    k = len(values)
    best = None
    for size in range(1, k + 1):
        for active in combinations(range(k), size):
            U = vertices[list(active)]
            t = np.linalg.solve(U @ U.T, values[list(active)])
            if size < k and np.any(t <= 0.0):
                continue
            normal = t @ U
            reach = vertices @ normal - (k + 2) * EPS * (np.abs(vertices) @ np.abs(normal))
            if np.any(reach <= 0.0):
                continue
            scale = max(float((values / reach).max()) * (1.0 + 4.0 * EPS), 0.0)
            norm = float(np.linalg.norm(normal)) * scale
            if best is None or norm < best[0]:
                weights = np.zeros(k)
                weights[list(active)] = np.maximum(t, 0.0)
                best = norm, normal * scale, weights
    if best is None:
        return math.inf, np.zeros(k), np.ones(k)
    normal = best[1]
    while np.any(vertices @ normal - (k + 2) * EPS * (np.abs(vertices) @ np.abs(normal)) < values):
        normal = normal * (1.0 + 4.0 * EPS)
    return float(np.linalg.norm(normal)) * (1.0 + (k + 4) * EPS), normal, best[2]


class _Cover:
    """Vertices, their values, and the open cones."""

    def __init__(
        self, points: np.ndarray, H: np.ndarray, activation: Activation, cutoff: float, deadline: float | None
    ) -> None:
        self.points, self.H, self.activation, self.cutoff, self.deadline = points, H, activation, cutoff, deadline
        self.norms = row_norms(points)
        self.pool = np.zeros((0, points.shape[1]))
        self.images = np.zeros((0, len(H)))
        self.vertices: list[np.ndarray] = []
        self.edges: list[tuple[int, int, int, int]] = []
        self.values: list[float] = []
        self.allowances: list[float] = []
        self.proofs: list[BranchProof] = []
        self.halves: dict[tuple[int, int], int] = {}
        self.nodes = 0

    def add_atoms(self, W: np.ndarray) -> None:
        """Neurons into the pool, those already there aside."""
        for w in W:
            if not np.any(self.pool @ w > 1.0 - 1e-10):
                image = self.activation(self.points @ w) @ self.H.T
                self.pool, self.images = np.vstack([self.pool, w]), np.vstack([self.images, image])

    def one_output(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """κ, c and what their rounding can add to h(u)."""
        N, k = len(self.points), len(u)
        g = u @ self.H
        kink, slope = self.activation.kink, self.activation.a_minus
        size = float((np.abs(u) @ np.abs(self.H)) @ self.norms)
        allowance = (N + k + 8) * EPS * (abs(kink) + abs(slope)) * size + TINY
        return kink * g, slope * (g @ self.points), allowance

    def add_vertex(self, u: np.ndarray, edge: tuple[int, int, int, int], node_limit: int | None) -> int | None:
        """Prove a value for u and number it. None if a limit was met."""
        length = float(np.linalg.norm(u))
        kappa, linear, allowance = self.one_output(u)
        starts = self.pool[np.argsort(-(self.images @ u))[:8]]
        W, _, _ = ascend(
            self.points, (u @ self.H)[np.newaxis], self.activation.a_plus, self.activation.a_minus,
            starts, np.ones((len(starts), 1)),
        )  # fmt: skip
        self.add_atoms(W[:2])
        while True:
            known = max(float((self.images @ u).max(initial=0.0)), 0.0)
            room = self.cutoff * length - known
            target = known + max(SLACK * room, FINEST * self.cutoff * length) + 2.0 * allowance
            result = branch_and_bound(
                self.points, kappa, linear, target - 2.0 * allowance,
                node_limit=None if node_limit is None else node_limit - self.nodes, deadline=self.deadline, max_atoms=4,
            )  # fmt: skip
            self.nodes += result.nodes
            if result.closed and result.proof is not None:
                break
            if not len(result.atoms):
                return None
            W, _, _ = ascend(
                self.points, (u @ self.H)[np.newaxis], self.activation.a_plus, self.activation.a_minus,
                result.atoms, np.ones((len(result.atoms), 1)),
            )  # fmt: skip
            self.add_atoms(W)
        self.vertices.append(u)
        self.edges.append(edge)
        self.values.append((result.upper_bound + allowance) * (1.0 + 2.0 * EPS))
        self.allowances.append(allowance)
        self.proofs.append(result.proof)
        return len(self.vertices) - 1
