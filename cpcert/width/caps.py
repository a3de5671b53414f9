"""Divisions of the directions of neurons into caps, and the oracle on the union of some of them (for bounds.py).

A division is a finite number of closed sets (caps) of directions that together are all directions. Whether they are,
and the bound of ‖Gσ(X̃ᵀw)‖ over the unit w in some of them, is proven; where the caps lie is a choice.

Arcs, for points of rank ≤ 2: the exact sweep `plane_oracle_outside`. Cones, for rank ≥ 3: with sites a_1, …, a_K,

    cap k = {w : (a_k − a_j)ᵀw ≥ 0 for all j},                                                                    (1)

integers times a power of two, so that the differences h_kj = a_k − a_j are exact. The oracle on a cone is the search of
oracle/branch.py (one output; the h_kj count as points with a tiny κ > 0) or the tree of oracle/cells.py, started from
the node where the signs of h_kjᵀw are known. Local maxima on a cap, which prove nothing, come from oracle/ascent.py on

    f(w) − Σ_j M_j relu(−h_kjᵀw),    M_j large.                                                                     (2)

docs/mathematics/width.md says more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import nnls

from cpcert.activations import Activation
from cpcert.oracle.ascent import ascend
from cpcert.oracle.branch import OpenNode, explore
from cpcert.oracle.branch_kernels import SMALLEST
from cpcert.oracle.cells import cell_cover
from cpcert.oracle.plane import between, cross_signs, plane_oracle_outside
from cpcert.oracle.rung import Limits
from cpcert.oracle.spectral import row_norms
from cpcert.rounding import EPS

# Directions closer than this (radians) share a cap; arcs and cones that are more than that are not made.
SAME_ANGLE = 1e-4
MOST_ARCS = 400
MOST_CONES = 60
# Caps whose middles are opposite within so much (radians) are tried together.
OPPOSITE = 0.2
# Arcs of an angle up to this (radians) are one step, longer ones several.
STEP = 1.5
# Sites are multiples of 2^−GRID; on the circle, where they may be close, of 2^−ARC_GRID.
GRID, ARC_GRID = 20, 40
# M_j‖h_j‖ of (2) as a multiple of Σ|κ_i|‖x_i‖ + ‖c‖, the largest slope of f.
PENALTY = 4.0
# Random starts of the local search in each cap, after a proof has failed, and the steps of each with several outputs.
FEW_STARTS = 20
MANY_STARTS = 300
STEPS = 6
# κ of the rows of a cone relative to the cutoff, and how nearly a half-space follows from others that is left out.
FAINT = 2.0**-50
REDUNDANT = 1e-9
# Nodes of a search on a cone after which it is looked at.
NODES_AT_ONCE = 1000
# A local maximum counts as inside a cap that it leaves by at most this.
INSIDE = 1e-7


@dataclass(frozen=True, eq=False)
class Peaks:
    """bound: proven ≥ ‖Gσ(X̃ᵀw)‖ for the unit w in the allowed caps, inf if none was proven. W (k, r), values (k,): local maxima
    there (heuristic)."""

    bound: float
    W: np.ndarray
    values: np.ndarray


# -- arcs --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Arcs:
    """A division of the circle: steps from cuts[j] to cuts[j + 1] (the last back to the first), counterclockwise, each less than
    a half turn, once around; arc[j] is the number of the arc that step j belongs to. The arcs are the caps (1) of the `sites`
    (K, 2), multiples of 2^−fine, and their ends have a_kᵀw = a_{k+1}ᵀw exactly."""

    points: np.ndarray
    activation: Activation
    cuts: np.ndarray
    arc: np.ndarray
    sites: np.ndarray
    fine: int = ARC_GRID

    @property
    def count(self) -> int:
        """The number of arcs."""
        return int(self.arc[-1]) + 1

    def steps(self, chosen: int) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends of the steps of the arcs in the bit set `chosen`."""
        mask = np.array([chosen >> int(k) & 1 for k in self.arc], bool)
        return self.cuts[mask], np.roll(self.cuts, -1, axis=0)[mask]

    def starts(self, allowed: int) -> np.ndarray:
        """Directions (k, 2) to start from: the ends and the middle of each allowed step."""
        first, last = self.steps(allowed)
        first, last = (ends / np.linalg.norm(ends, axis=1, keepdims=True) for ends in (first, last))
        W = np.concatenate([first, last, first + last])
        return W / np.linalg.norm(W, axis=1, keepdims=True)

    def middles(self) -> np.ndarray:
        """A unit vector in each arc, about its middle (count, 2)."""
        angles = np.array([[start, start + (end - start) % (2.0 * math.pi)] for start, end in self.angles()])
        middle = angles.mean(axis=1)
        return np.column_stack([np.cos(middle), np.sin(middle)])

    def inside(self, W: np.ndarray, allowed: int) -> np.ndarray:
        """Which of W (k, 2) lie in an allowed arc, exactly; a mask (k,)."""
        return between(*self.steps(allowed), W)

    def dual(self, G: np.ndarray) -> np.ndarray:
        """The dual point to be tried (m, N): G itself."""
        return G

    def oracle(self, G: np.ndarray, allowed: int, cutoff: float, limits: Limits) -> Peaks:
        """‖Gσ(X̃ᵀw)‖ on the allowed arcs, exact to rounding whatever the cutoff. G (m, N)."""
        return Peaks(*plane_oracle_outside(self.points, G, self.activation, *self.steps(~allowed)))

    def angles(self) -> tuple[tuple[float, float], ...]:
        """(start, end) of each arc in radians, rounded."""
        angle = np.arctan2(self.cuts[:, 1], self.cuts[:, 0])
        starts = np.flatnonzero(np.diff(self.arc, prepend=-1))
        first = angle[starts].tolist()
        return tuple(zip(first, first[1:] + first[:1], strict=True))

    def as_json(self) -> list[dict[str, float]]:
        """The arcs for people: start and end."""
        return [{"start": start, "end": end} for start, end in self.angles()]


def arcs(points: np.ndarray, activation: Activation, directions: np.ndarray) -> Arcs | None:
    """Arcs around the directions (k, r ≤ 2), cut half way; points (N, r). None for fewer than two directions, or for what
    rounding does not keep apart."""
    plane, ends = np.zeros((len(directions), 2)), np.zeros((len(points), 2))
    plane[:, : directions.shape[1]], ends[:, : points.shape[1]] = directions, points
    plane = plane[np.linalg.norm(plane, axis=1) > 0.0]
    angles = np.sort(np.arctan2(plane[:, 1], plane[:, 0]))
    if len(angles):
        angles = angles[np.concatenate([[True], np.diff(angles) > SAME_ANGLE])]
        if len(angles) > 1 and angles[0] + 2.0 * math.pi - angles[-1] <= SAME_ANGLE:
            angles = angles[:-1]
    return arcs_around(ends, activation, angles) if 2 <= len(angles) <= MOST_ARCS else None


def arcs_around(points: np.ndarray, activation: Activation, angles: np.ndarray) -> Arcs | None:
    """Arcs around two or more different sorted angles, cut half way; points (N, 2)."""
    sites = np.ldexp(np.rint(np.ldexp(np.column_stack([np.cos(angles), np.sin(angles)]), ARC_GRID)), -ARC_GRID)
    onward = np.roll(sites, -1, axis=0) - sites
    borders = np.column_stack([onward[:, 1], -onward[:, 0]])  # exact: from arc k to arc k + 1
    ends = 0.5 * (angles + np.append(angles[1:], angles[0] + 2.0 * math.pi))
    starts = np.append(ends[-1] - 2.0 * math.pi, ends[:-1])
    pieces, steps = [], []
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        count = max(1, math.ceil((end - start) / STEP))
        inner = start + (end - start) * np.arange(1, count) / count
        pieces += [borders[k - 1 : k] if k else borders[-1:], np.column_stack([np.cos(inner), np.sin(inner)])]
        steps.append(count)
    cuts = np.concatenate(pieces)
    following = np.roll(cuts, -1, axis=0)
    # Each step turns left by less than π, exactly; so they add up to a multiple of 2π, and by their computed sum to 2π itself.
    left = all(cross_signs(a, b[np.newaxis])[0] > 0 for a, b in zip(cuts, following, strict=True))
    cross = cuts[:, 0] * following[:, 1] - cuts[:, 1] * following[:, 0]
    turn = float(np.arctan2(cross, np.einsum("ck,ck->c", cuts, following)).sum())
    if not left or abs(turn - 2.0 * math.pi) > 0.1:
        return None
    return Arcs(points, activation, cuts, np.repeat(np.arange(len(angles)), steps), sites)


# -- cones -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Cones:
    """The caps (1) of the sites (K, r), multiples of GRID of size about 1; points (N, r)."""

    points: np.ndarray
    activation: Activation
    sites: np.ndarray
    fine: int = GRID
    _normals: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """K."""
        return len(self.sites)

    def middles(self) -> np.ndarray:
        """A unit vector about in the middle of each cap (K, r)."""
        return self.sites / np.linalg.norm(self.sites, axis=1, keepdims=True)

    def starts(self, allowed: int) -> np.ndarray:
        """Directions to start from: the sites of the allowed caps."""
        return self.middles()[[k for k in range(self.count) if allowed >> k & 1]]

    def inside(self, W: np.ndarray, allowed: int) -> np.ndarray:
        """Which of W (k, r) lie in an allowed cap, up to rounding; a mask (k,)."""
        mask = np.array([bool(allowed >> k & 1) for k in range(self.count)])
        heights = W @ self.sites.T
        return heights[:, mask].max(axis=1, initial=-math.inf) >= heights.max(axis=1, initial=-math.inf) - INSIDE

    def normals(self, k: int) -> np.ndarray:
        """h_kj = a_k − a_j, (l, r), exact, for the j whose half-spaces make a difference (about: a wrong guess enlarges the cap)."""
        if k not in self._normals:
            normals = np.delete(self.sites[k] - self.sites, k, axis=0)
            keep = list(range(len(normals)))
            for j in range(len(normals)):
                others = [i for i in keep if i != j]
                if others and nnls(normals[others].T, normals[j])[1] <= REDUNDANT * np.linalg.norm(normals[j]):
                    keep = others
            self._normals[k] = normals[keep]
        return self._normals[k]

    def dual(self, G: np.ndarray) -> np.ndarray:
        """The dual point to be tried (m, N): G itself."""
        return G

    def oracle(self, G: np.ndarray, allowed: int, cutoff: float, limits: Limits) -> Peaks:
        """Local maxima of ‖Gσ(X̃ᵀw)‖ on the allowed caps; a bound only where they leave hope for one below `cutoff`. G (m, N)."""
        chosen = [k for k in range(self.count) if allowed >> k & 1]
        found = self._search(G, chosen)
        W, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
        bound = 0.0
        if values.max(initial=0.0) >= cutoff:
            return Peaks(math.inf, W, values)
        # The caps that are most likely to fail first.
        for place in np.argsort([-part.max(initial=0.0) for _, part in found], kind="stable"):
            answer = self._prove(G, chosen[place], cutoff, limits)
            bound = max(bound, answer.bound)
            if len(answer.W):
                W, values = np.concatenate([W, answer.W]), np.concatenate([values, answer.values])
            if not bound <= cutoff:
                return Peaks(math.inf, W, values)
        return Peaks(bound, W, values)

    def _search(self, G: np.ndarray, chosen: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Local maxima of (2) and their values, for each of the caps `chosen`; proves nothing."""
        return [self._climb(G, k, self._projected(k, FEW_STARTS)) for k in chosen]

    def _projected(self, k: int, count: int) -> np.ndarray:
        """The site of cap k and the points of the cap closest to random ones: on faces of all dimensions, where maxima are."""
        random = np.random.default_rng(count).standard_normal((count, self.points.shape[1]))
        normals = self.normals(k).T
        # w less its projection on the polar cone {−Σμ_jh_j: μ ≥ 0} (Moreau).
        projected = np.array([w + normals @ nnls(normals, -w)[0] for w in random])
        return np.concatenate([self.sites[k : k + 1], projected[np.linalg.norm(projected, axis=1) > INSIDE]])

    def _climb(self, G: np.ndarray, k: int, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The different local maxima in cap k that the local search reaches from W, of any length."""
        W = W / np.linalg.norm(W, axis=1, keepdims=True)
        if len(G) == 1:
            both = [self._climb_for(sign * G[0], k, W) for sign in (1.0, -1.0)]
            W = np.concatenate(both)
        else:
            for _ in range(STEPS):
                images = self.activation(W @ self.points.T) @ G.T
                steps = [self._climb_for(u @ G, k, w[np.newaxis]) for u, w in zip(images, W, strict=True)]
                W = np.concatenate([np.zeros((0, W.shape[1])), *steps])
        normals = self.normals(k)
        depth = (W @ normals.T) / np.linalg.norm(normals, axis=1)
        W = W[np.all(depth >= -INSIDE, axis=1)]
        values = np.linalg.norm(self.activation(W @ self.points.T) @ G.T, axis=1)
        kept: list[int] = []
        for i in np.argsort(-values, kind="stable"):
            if not any(W[j] @ W[i] > 1.0 - 1e-9 for j in kept):
                kept.append(int(i))
        return W[kept], values[kept]

    def _climb_for(self, g: np.ndarray, k: int, W: np.ndarray) -> np.ndarray:
        points, kappa, linear = self._penalised(g, k)
        # cᵀw = relu(cᵀw) − relu(−cᵀw).
        rows, factors = np.vstack([points, linear, -linear]), np.append(kappa, [1.0, -1.0])
        keep = np.any(rows != 0.0, axis=1) & (factors != 0.0)
        return ascend(rows[keep], factors[keep][np.newaxis], 1.0, 0.0, W, np.ones((len(W), 1)))[0]

    def _penalised(self, g: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points, κ and c of (2) for one output g (N,)."""
        kappa, linear = self.activation.kink * g, self.activation.a_minus * (g @ self.points)
        normals = self.normals(k)
        slope = float(np.abs(kappa) @ row_norms(self.points)) + float(np.linalg.norm(linear))
        penalty = PENALTY * slope / np.linalg.norm(normals, axis=1)
        return np.concatenate([self.points, -normals]), np.append(kappa, -penalty), linear

    def _prove(self, G: np.ndarray, k: int, cutoff: float, limits: Limits) -> Peaks:
        """A proven bound on cap k if it is at most `cutoff`, else inf; neurons above the cutoff that were met there."""
        if len(G) > 1:
            found = cell_cover(
                self.points, G, self.activation, cutoff, limits, cone=self.normals(k), witness=self.sites[k],
            )  # fmt: skip
            assert found.upper_bound is not None
            return Peaks(found.upper_bound, found.W, found.values)
        none = np.zeros((0, self.points.shape[1])), np.zeros(0)
        kink, slope = self.activation.kink, self.activation.a_minus
        # What the rounding of κ and c can add.
        allowance = (len(self.points) + 8) * EPS * (abs(kink) + abs(slope))
        allowance *= float(np.abs(G[0]) @ row_norms(self.points))
        aim = cutoff * (1.0 - 4.0 * EPS) - 2.0 * allowance
        for g in (G[0], -G[0]):
            if not below_on_cone(self.points, kink * g, slope * (g @ self.points), aim, self.normals(k), limits):
                # A maximum that the first search has missed?
                W, values = self._climb(G, k, self._projected(k, MANY_STARTS))
                return Peaks(math.inf, W[values > cutoff], values[values > cutoff])
        return Peaks(cutoff, *none)

    def as_json(self) -> list[dict[str, list[float]]]:
        """The caps for people: their sites, in the coordinates of the points."""
        return [{"site": site} for site in self.sites.tolist()]


def below_on_cone(
    points: np.ndarray, kappa: np.ndarray, linear: np.ndarray, cutoff: float, cone: np.ndarray, limits: Limits
) -> bool:
    """Whether linearᵀw + Σ κ_i relu(x_iᵀw) ≤ cutoff is proven for all w with ‖w‖ ≤ 1 and cone·w ≥ 0; cone (k, r), rows of size 1.

    The search of oracle/branch.py, started from the node where the signs of cone·w are known. The rows of the cone count as points
    with κ = FAINT times the cutoff: that only raises f.
    """
    if not SMALLEST < cutoff < 1.0 / SMALLEST:
        return False
    keep = (kappa != 0.0) & np.any(points != 0.0, axis=1)
    exponents = np.frexp(np.abs(points[keep]).max(axis=1, initial=0.0))[1]
    scale = 2.0 ** -math.frexp(cutoff)[1]
    rows = np.concatenate([np.ldexp(points[keep], -exponents[:, np.newaxis]), cone])
    factors = np.append(np.ldexp(kappa[keep] * scale, exponents), np.full(len(cone), FAINT))
    count, given = int(keep.sum()), len(cone)
    norms = row_norms(rows)
    low, path = -norms, np.arange(count, count + given)
    low[count:] = 0.0
    pending = [OpenNode(low, norms, 0.5 * factors, path, np.ones(given), math.inf)]
    nodes = 0
    while pending:
        if limits.left(nodes).spent():
            return False
        found = explore(
            rows, factors, np.ascontiguousarray(linear * scale), cutoff * scale, 0, pending.pop(), NODES_AT_ONCE,
            limits.deadline,
        )  # fmt: skip
        if not found.worst <= cutoff * scale:
            return False
        nodes += len(found.tree)
        pending += found.open
    return True


def cones(points: np.ndarray, activation: Activation, directions: np.ndarray) -> Cones | None:
    """Cones around the directions (k, r); points (N, r). None for fewer than two or very many directions."""
    norms = np.linalg.norm(directions, axis=1, keepdims=True)
    units = directions[norms[:, 0] > 0.0] / norms[norms[:, 0] > 0.0]
    kept: list[np.ndarray] = []
    for w in units:
        if all(np.linalg.norm(w - site) > SAME_ANGLE for site in kept):
            kept.append(w)
    if not 2 <= len(kept) <= MOST_CONES:
        return None
    sites = np.ldexp(np.rint(np.ldexp(np.array(kept), GRID)), -GRID)
    return Cones(points, activation, sites)


def opposite_pairs(middles: np.ndarray) -> list[int]:
    """Disjoint bit sets of one or two caps: caps whose middles (k, r) are about opposite, and the others alone (heuristic)."""
    left, pairs = list(range(len(middles))), []
    while left:
        k = left.pop(0)
        cosines = [float(middles[j] @ middles[k]) for j in left]
        j = int(np.argmin(cosines)) if left else -1
        pairs.append(1 << k | (1 << left.pop(j) if left and cosines[j] < -math.cos(OPPOSITE) else 0))
    return pairs
