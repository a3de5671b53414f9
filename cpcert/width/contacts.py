"""Small caps around the directions in which the dual of the minimum is tight, for bounds.py; one output.

Near an optimal network nearly all neurons lie in caps C_k = {w : a_kᵀw ≥ h_k‖w‖} around the contacts of the optimal dual point
G_0, the unit w where |G_0σ(X̃ᵀw)| is 2λ. One tree proves

    |G_0σ(X̃ᵀw)| ≤ v < 2λ for the unit w in no cap.                                                                    (1)

For a set S of caps take any G with |Gσ| ≤ 2λ in all caps but S (the optimal dual point of networks with neurons there only), and

    G_t = G_0 + t(G − G_0),   t max over w of |(G − G_0)σ(X̃ᵀw)| ≤ 2λ − v.                                              (2)

D is concave, so D(G_t) ≥ (1 − t)D(G_0) + tD(G): above U already for a small t, since D(G_0) is. (1) and (2) bound G_t in no cap, for
all S with the one tree; in a cap the signs of nearly all x_iᵀw are known, and a tree of a few nodes does.
docs/mathematics/width.md says more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cpcert.activations import Activation
from cpcert.oracle.ascent import ascend
from cpcert.oracle.branch import BranchProof, Region, branch_and_bound, inside, outside
from cpcert.oracle.rung import Limits
from cpcert.oracle.spectral import row_norms
from cpcert.rounding import EPS
from cpcert.width.caps import Peaks

# Centres and heights are multiples of 2^−GRID.
GRID = 20
# The radius of a cap (radians), at most this, and this part of the way to the next centre.
RADIUS, PART = math.radians(4.0), 0.45
# Directions closer than this share a cap.
SAME = 0.01
MOST_CAPS = 200
# How far below 2λ, relatively, (1) is tried, and the caps that may be added for each.
DEPTHS = (1e-4, 1e-5, 1e-6)
TURNS = 30
# The part of 2λ − v that (2) uses.
SHARE = 0.9
NODES, CAP_NODES = 400_000, 5_000


@dataclass(frozen=True, eq=False)
class Contacts:
    """Disjoint caps about `sites` (K, r) with their heights (K,), multiples of 2^−GRID; points (N, r).

    base (1, N): G_0 of (1), bound: v, as the trees (for G_0 and −G_0) prove it for the points. limit: 2λ.
    """

    points: np.ndarray
    activation: Activation
    sites: np.ndarray
    heights: np.ndarray
    base: np.ndarray
    bound: float
    limit: float
    trees: tuple[BranchProof, ...]
    fine: int = GRID

    @property
    def count(self) -> int:
        """K."""
        return len(self.sites)

    def middles(self) -> np.ndarray:
        """The centres as unit vectors (K, r)."""
        return self.sites / np.linalg.norm(self.sites, axis=1, keepdims=True)

    def starts(self, allowed: int) -> np.ndarray:
        """Directions to start from: the centres of the allowed caps."""
        return self.middles()[_members(allowed, self.count)]

    def inside(self, W: np.ndarray, allowed: int) -> np.ndarray:
        """Which of W (k, r), of any length, lie in an allowed cap, up to rounding; a mask (k,)."""
        chosen = _members(allowed, self.count)
        depth = W @ self.sites[chosen].T - np.linalg.norm(W, axis=1, keepdims=True) * self.heights[chosen]
        return np.any(depth >= 0.0, axis=1)

    def dual(self, G: np.ndarray) -> np.ndarray:
        """G_t of (2) with the largest t ≤ 1."""
        reach = self._reach(G)
        room = SHARE * (self.limit - self.bound)
        return G if reach <= room else self.base + room / reach * (G - self.base)

    def _reach(self, G: np.ndarray) -> float:
        """A bound of |(G − G_0)σ(X̂ᵀw)| over unit w."""
        more = 1.0 + (len(self.points) + 16) * EPS
        return float(np.abs(G - self.base)[0] @ row_norms(self.points)) * self.activation.lipschitz * more

    def oracle(self, G: np.ndarray, allowed: int, cutoff: float, limits: Limits) -> Peaks:
        """|Gσ(X̂ᵀw)| in the allowed caps and in no cap: a bound, if it is at most the cutoff, and local maxima in the caps."""
        W, values = climb(self.points, self.activation, G, self.starts(allowed))
        keep = self.inside(W, allowed)
        W, values = W[keep], values[keep]
        if values.max(initial=0.0) >= cutoff or (self.bound + self._reach(G)) * (1.0 + 4.0 * EPS) > cutoff:
            return Peaks(math.inf, W, values)
        found = self._in_caps(G, allowed, cutoff, limits)
        if isinstance(found, np.ndarray):
            return Peaks(math.inf, np.concatenate([W, found]), np.append(values, np.full(len(found), math.inf)))
        return Peaks(cutoff, W, values)

    def trees_in(
        self, G: np.ndarray, allowed: int, cutoff: float, limits: Limits
    ) -> tuple[list[BranchProof], list[BranchProof]] | None:
        """The proofs, for G and −G, of |Gσ(X̂ᵀw)| ≤ cutoff in each of the allowed caps; None if one is not found."""
        found = self._in_caps(G, allowed, cutoff, limits)
        return None if isinstance(found, np.ndarray) else found

    def _in_caps(
        self, G: np.ndarray, allowed: int, cutoff: float, limits: Limits
    ) -> tuple[list[BranchProof], list[BranchProof]] | np.ndarray:
        trees: tuple[list[BranchProof], list[BranchProof]] = ([], [])
        for k in _members(allowed, self.count):
            region = inside(self.sites, self.heights, k)
            for sign, own in zip((1.0, -1.0), trees, strict=True):
                found = below(self.points, self.activation, sign * G, cutoff, region, limits)
                if isinstance(found, np.ndarray):
                    return found
                own.append(found)
        return trees

    def as_json(self) -> list[dict[str, object]]:
        """The caps for people: centre and height, in the coordinates of the points."""
        return [
            {"site": site, "height": height}
            for site, height in zip(self.sites.tolist(), self.heights.tolist(), strict=True)
        ]


def _members(chosen: int, count: int) -> list[int]:
    return [k for k in range(count) if chosen >> k & 1]


def climb(points: np.ndarray, activation: Activation, G: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima of |Gσ(X̂ᵀw)| from W, for both signs: (W (k, r), values (k,)). Heuristic."""
    signs = np.concatenate([np.ones((len(W), 1)), -np.ones((len(W), 1))])
    W, _, values = ascend(points, G, activation.a_plus, activation.a_minus, np.concatenate([W, W]), signs)
    return W, values


def below(
    points: np.ndarray, activation: Activation, G: np.ndarray, cutoff: float, region: Region, limits: Limits
) -> BranchProof | np.ndarray:
    """The proof of Gσ(X̂ᵀw) ≤ cutoff in a region, or the unit w above it that were met (k, r)."""
    kink, slope, g = activation.kink, activation.a_minus, G[0]
    # What the rounding of κ and c can add.
    allowance = (len(points) + 8) * EPS * (abs(kink) + abs(slope)) * float(np.abs(g) @ row_norms(points))
    aim = cutoff * (1.0 - 4.0 * EPS) - 2.0 * allowance
    limits = limits.at_most(NODES if len(region.numbers) > 1 else CAP_NODES)
    found = branch_and_bound(points, kink * g, slope * (g @ points), aim, limits, region=region)
    return found.proof if found.proof is not None else found.atoms


def contacts(
    points: np.ndarray, activation: Activation, G: np.ndarray, limit: float, directions: np.ndarray, limits: Limits
) -> Contacts | None:
    """Caps around the directions (k, r) and what else (1) needs, or None if it is not proven. G (1, N): G_0; limit: 2λ."""
    sites = _apart(np.zeros((0, points.shape[1])), directions)
    for depth in DEPTHS:
        bound = limit * (1.0 - depth)
        for _ in range(TURNS):
            if not 1 <= len(sites) <= MOST_CAPS or limits.spent():
                return None
            grid = np.ldexp(np.rint(np.ldexp(sites, GRID)), -GRID)
            heights = _heights(grid)
            if not disjoint(grid, heights):
                return None
            trees: list[BranchProof] = []
            above = np.zeros((0, points.shape[1]))
            for sign in (1.0, -1.0):
                found = below(points, activation, sign * G, bound, outside(grid, heights), limits)
                if isinstance(found, np.ndarray):
                    above = np.concatenate([above, found])
                else:
                    trees.append(found)
            if len(trees) == 2:
                return Contacts(points, activation, grid, heights, G, bound, limit, tuple(trees))
            tops, values = climb(points, activation, G, above) if len(above) else (above, np.zeros(0))
            more = _apart(_apart(sites, tops[values > bound]), above, RADIUS)
            if len(more) == len(sites):
                break  # a cap is too small for this depth, or the limits ended the tree
            sites = more
    return None


def _apart(sites: np.ndarray, directions: np.ndarray, distance: float = SAME) -> np.ndarray:
    """sites (unit rows), and those of the directions that are not so close to any before."""
    kept = list(sites)
    for w in directions:
        size = np.linalg.norm(w)
        if size > 0.0 and all(np.linalg.norm(w / size - site) > distance for site in kept):
            kept.append(w / size)
    return np.array(kept).reshape(-1, directions.shape[1])


def _heights(sites: np.ndarray) -> np.ndarray:
    """Heights of disjoint caps about the centres (K, r)."""
    norms = np.linalg.norm(sites, axis=1)
    cosines = (sites @ sites.T) / np.outer(norms, norms)
    np.fill_diagonal(cosines, -1.0)
    nearest = np.arccos(np.clip(cosines.max(axis=1), -1.0, 1.0))
    return np.ldexp(np.ceil(np.ldexp(norms * np.cos(np.minimum(RADIUS, PART * nearest)), GRID)), -GRID)


def disjoint(sites: np.ndarray, heights: np.ndarray) -> bool:
    """Whether the caps are disjoint, exactly, and each less than half of all directions."""
    centres = [[int(v) for v in row] for row in np.ldexp(sites, GRID)]
    levels = [int(v) for v in np.ldexp(heights, GRID)]
    squares = [sum(v * v for v in a) for a in centres]
    for k, (a, h) in enumerate(zip(centres, levels, strict=True)):
        if not 0 < h * h < squares[k] or h < 0:
            return False
        for j in range(k):
            room = h * levels[j] - sum(v * w for v, w in zip(a, centres[j], strict=True))
            if not (room > 0 and (squares[k] - h * h) * (squares[j] - levels[j] ** 2) < room * room):
                return False
    return True
