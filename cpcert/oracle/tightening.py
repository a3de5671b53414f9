"""Inequality (2) of branch.py for the undecided points of a node: new ends of their intervals.

    side·x_iᵀw ≤ ‖z + ρĉ‖ − ρς,   z = side·x_i + Σ μ_jx_j,   for any ρ ≥ 0 and s_jμ_j ≥ 0 on the path.

Let p be the part of z along ĉ/‖ĉ‖, q the length of the rest, ς̂ = ς/‖ĉ‖, τ = √(1 − ς̂²). The best ρ is max(0, ς̂q/τ − p)/‖ĉ‖, and gives
ς̂p + τq where it is positive. Without signs that is a closed form. With them, sixteen directions at a time in float32 (lanes.py):
projected successive over-relaxation on μ ≥ 0 for ½(q² + z_c²), z_c = p + ρ‖ĉ‖, with ρ made the best before each sweep.
Nothing of this is trusted: the multipliers are rounded to their grids, ρ is made the best for them, and (2) is evaluated in
float64 with its rounding. docs/mathematics/branch.md has the derivation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cpcert.compiled import njit
from cpcert.oracle.lanes import WIDTH, any_larger, array, load, root, spread, store, where_larger
from cpcert.oracle.least_norm import FLOOR, TINY
from cpcert.oracle.tree_language import MU_GRID, RHO_GRID, TIGHTEN
from cpcert.rounding import EPS

# They change the speed, never the validity. In few dimensions μ converges more slowly.
SWEEPS = 48
RELAXATION = 1.3
# Sweeps go on while one of them gains this part of an interval for one of the directions.
PROGRESS = 0.002
TIGHTEN_FRACTION = 0.1
# A tightened bound must shorten the interval by this part; less is not worth its place in the proof.
GAIN = 0.04
# A cap that is nearly the whole ball says nothing.
USEFUL = -0.999


class Directions(NamedTuple):
    """Up to WIDTH directions ±x_i and what they share, for nodes of depth D. Unit vectors, float32 where not said otherwise."""

    z: np.ndarray  # (r, WIDTH) z without its part along ĉ
    mu: np.ndarray  # (D, WIDTH) multipliers of s_jx_j/‖x_j‖
    ends: np.ndarray  # (2, WIDTH) p and the bound on side·x_iᵀw
    least: np.ndarray  # (1, WIDTH) progress that is worth a sweep
    signed: np.ndarray  # (D, r) s_jx_j/‖x_j‖ without its part along ĉ
    along: np.ndarray  # (D,) that part
    inverse: np.ndarray  # (D,) 1/‖rest‖²
    point: np.ndarray  # (WIDTH,) int64
    side: np.ndarray  # (WIDTH,) float64
    multipliers: np.ndarray  # (D,) float64: those of one direction


def directions(depth: int, r: int) -> Directions:
    """Room for them."""
    single = np.float32
    return Directions(
        array(r), array(depth), array(2), array(1), np.zeros((depth, r), single), np.zeros(depth, single), np.zeros(depth, single),
        np.zeros(WIDTH, np.int64), np.zeros(WIDTH), np.zeros(depth),
    )  # fmt: skip


@njit(cache=True, counted=False)
def _share(claim, node, depth, direction, useful, room):
    """The signs of the path, split along ĉ; without a useful cap there is no such part."""
    points = claim.points
    r = points.shape[1]
    for q in range(depth):
        j = node.path[q]
        scale = node.sign[q] / claim.norms[j]
        p = 0.0
        if useful:
            for k in range(r):
                p += points[j, k] * direction[k]
            p *= scale
        for k in range(r):
            room.signed[q, k] = points[j, k] * scale - p * direction[k]
        room.along[q] = p
        room.inverse[q] = 1.0 / max(1.0 - p * p, 1e-6)


@njit(cache=True, counted=False)
def _put(claim, i, side, s, direction, room, n):
    """±x_i, with x_iᵀĉ/‖ĉ‖ = s (0 without a useful cap), at place n."""
    room.point[n] = i
    room.side[n] = side
    room.ends[0, n] = side * s
    for k in range(direction.shape[0]):
        room.z[k, n] = side * (claim.points[i, k] - s * direction[k])


@njit(cache=True, counted=False)
def _relax(room, depth, ratio, tau):
    """Sweeps over μ; leaves the bounds that it ends with. ratio, tau: ς̂ and τ, 0 and 1 without a useful cap."""
    z, mu = room.z, room.mu
    r = z.shape[0]
    zero, one = spread(np.float32(0.0)), spread(np.float32(1.0))
    factor, slope = spread(np.float32(RELAXATION)), spread(np.float32(ratio / tau))
    cosine, sine = spread(np.float32(ratio)), spread(np.float32(tau))
    least = load(room.least, 0)
    p = load(room.ends, 0)
    for j in range(depth):
        store(mu, j, zero)
    before = spread(np.float32(1e30))
    for sweep in range(SWEEPS + 1):
        square = zero
        for k in range(r):
            v = load(z, k)
            square = square + v * v
        q = root(square)
        best = slope * q
        # Where ρ = 0, z_c = p moves with μ; elsewhere ρ makes up for what p does.
        moves = where_larger(p, best, one, zero)
        z_c = where_larger(p, best, p, best)
        now = where_larger(p, best, root(p * p + square), cosine * p + sine * q)
        if sweep == SWEEPS or not any_larger(before - now, least):
            store(room.ends, 1, now)
            return
        before = now
        for j in range(depth - 1, -1, -1):  # the last signs are the news
            along, inverse = spread(room.along[j]), spread(room.inverse[j])
            slant = along * z_c
            for k in range(r):
                slant = slant + load(z, k) * spread(room.signed[j, k])
            old = load(mu, j)
            new = old - factor * slant * (inverse + moves * (one - inverse))
            new = where_larger(new, zero, new, zero)
            store(mu, j, new)
            step = new - old
            p = p + step * along
            z_c = z_c + moves * step * along
            for k in range(r):
                store(z, k, load(z, k) + step * spread(room.signed[j, k]))


@njit(cache=True, counted=False)
def _proven(claim, node, signs, i, side, mu, scratch, norm_c, cap, useful):
    """(v, ρ): side·x_iᵀw ≤ v on the node's cap, from the rounded multipliers mu of so many signs and the best ρ for them, rounded."""
    points, norms, c, z = claim.points, claim.norms, scratch.c, scratch.z
    r = c.shape[0]
    size = norms[i]
    for k in range(r):
        z[k] = side * points[i, k]
    for q in range(signs):
        m = mu[q]
        if m != 0.0:
            j = node.path[q]
            size += abs(m) * norms[j]
            for k in range(r):
                z[k] += m * points[j, k]
    rho = 0.0
    if useful:
        p = 0.0
        for k in range(r):
            p += z[k] * scratch.direction[k]
        square = 0.0
        for k in range(r):
            rest = z[k] - p * scratch.direction[k]
            square += rest * rest
        ratio = cap / norm_c
        rho = max(0.0, ratio * math.sqrt(square / (1.0 - ratio * ratio)) - p) / norm_c
        rho = np.rint(rho / RHO_GRID) * RHO_GRID
        for k in range(r):
            z[k] += rho * c[k]
        size += rho * (norm_c + abs(cap))
    square = 0.0
    for k in range(r):
        square += z[k] * z[k]
    return math.sqrt(square) * (1.0 + (r + 6) * EPS) + (signs + 6) * EPS * size + FLOOR - rho * cap, rho


@njit(cache=True, counted=False)
def _gain(node, i, side, v):
    """By how much side·x_iᵀw ≤ v shortens the interval."""
    return node.high[i] - v if side > 0.0 else -v - node.low[i]


@njit(cache=True, counted=False)
def _certify(claim, node, signs, i, side, v, mu, scratch, norm_c, cap, useful, steps, count):
    """Prove and take side·x_iᵀw ≤ v, v in floating point, if it gains enough."""
    least = GAIN * (node.high[i] - node.low[i])
    if not _gain(node, i, side, v) > least:
        return
    v, rho = _proven(claim, node, signs, i, side, mu, scratch, norm_c, cap, useful)
    if not _gain(node, i, side, v) > least:
        return
    if side > 0.0:
        node.high[i] = v
    else:
        node.low[i] = -v
    if steps.shape[0] > 0:
        _record(node, signs, i, side, rho, v, mu, steps, count)


@njit(cache=True, counted=False)
def _record(node, signs, i, side, rho, v, mu, steps, count):
    at = count[4]
    steps[at] = TIGHTEN
    steps[at + 2] = i
    steps[at + 3] = side
    steps[at + 4] = rho
    steps[at + 5] = v
    m = 0
    for q in range(signs):
        if mu[q] != 0.0:
            steps[at + 6 + 2 * m] = node.path[q]
            steps[at + 7 + 2 * m] = mu[q]
            m += 1
    steps[at + 1] = 4 + 2 * m
    count[4] += 6 + 2 * m


@njit(cache=True, counted=False)
def _round_multipliers(claim, node, depth, t, room):
    """The multipliers of the direction at place t, on their grid."""
    for j in range(depth):
        m = node.sign[j] * float(room.mu[j, t]) / claim.norms[node.path[j]]
        room.multipliers[j] = np.rint(m / MU_GRID) * MU_GRID


@njit(cache=True, counted=False)
def _with_signs(claim, node, depth, room, n, scratch, norm_c, cap, useful, steps, count):
    """(2) with signs for the n directions that were put. Returns a point with l > u, or −1."""
    ratio = cap / norm_c if useful else 0.0
    tau = math.sqrt(1.0 - ratio * ratio)
    for t in range(n):
        i = room.point[t]
        room.least[0, t] = PROGRESS * (node.high[i] - node.low[i])
    for t in range(n, WIDTH):
        room.least[0, t] = 1e30
    _relax(room, depth, ratio, tau)
    for t in range(n):
        i, side = room.point[t], room.side[t]
        if not (node.low[i] < 0.0 < node.high[i]):
            continue
        v = np.float64(room.ends[1, t])
        if not _gain(node, i, side, v) > GAIN * (node.high[i] - node.low[i]):
            continue
        _round_multipliers(claim, node, depth, t, room)
        _certify(
            claim, node, depth, i, side, v, room.multipliers, scratch, norm_c, cap, useful, steps, count
        )  # fmt: skip
        if node.low[i] > node.high[i]:
            return i
    return -1


@njit(cache=True, counted=False)
def tighten(claim, node, depth, scratch, room, norm_c, cap, error, steps, count):
    """(2) for every undecided point of f, with the signs too where its chord is bad. Returns a point with l > u, or −1.

    error: the largest chord error at the maximiser of the bound.
    """
    kappa, l, u = claim.kappa, node.low, node.high  # noqa: E741
    direction = scratch.direction
    r = direction.shape[0]
    ratio = cap / norm_c
    useful = USEFUL < ratio < 1.0 - 1e-12 and norm_c > TINY
    tau = math.sqrt(1.0 - ratio * ratio) if useful else 0.0
    n, none = np.int64(0), np.int64(0)
    shared = False
    for i in range(claim.own):
        if not (l[i] < 0.0 < u[i]):
            continue
        s = 0.0
        for k in range(r):
            s += claim.points[i, k] * direction[k]
        bad = False
        if kappa[i] > 0.0 and depth > 0:
            t = min(max(s, l[i]), u[i])
            e = kappa[i] * (u[i] * (t - l[i]) / (u[i] - l[i]) - max(t, 0.0))
            bad = e > TIGHTEN_FRACTION * error
        if bad:
            if not shared:
                _share(claim, node, depth, direction, useful, room)
                shared = True
            for side in (1.0, -1.0):
                _put(claim, i, side, s if useful else 0.0, direction, room, n)
                n += 1
            if n == WIDTH:
                empty = _with_signs(claim, node, depth, room, n, scratch, norm_c, cap, useful, steps, count)
                if empty >= 0:
                    return empty
                n = np.int64(0)
        elif useful:
            q = math.sqrt(max(0.0, claim.square[i] - s * s))
            for side in (1.0, -1.0):
                p = side * s
                if p * tau < ratio * q and l[i] < 0.0 < u[i]:
                    v = ratio * p + tau * q
                    _certify(
                        claim, node, none, i, side, v, room.multipliers, scratch, norm_c, cap, useful, steps, count
                    )  # fmt: skip
            if l[i] > u[i]:
                return i
    if n > 0:
        return _with_signs(claim, node, depth, room, n, scratch, norm_c, cap, useful, steps, count)
    return -1


@njit(cache=True, counted=False)
def farthest_outside(claim, node, direction):
    """The point from number `own` on whose interval the unit vector `direction` is farthest outside; −1: none, it is in the region."""
    best, most = -1, 0.0
    for i in range(claim.own, claim.kappa.shape[0]):
        s = 0.0
        for k in range(direction.shape[0]):
            s += claim.points[i, k] * direction[k]
        beyond = max(s - node.high[i], node.low[i] - s)
        if beyond > most:
            best, most = i, beyond
    return best


@njit(cache=True, counted=False)
def leaves_region(claim, node, depth, i, scratch, room, norm_c, cap, steps, count):
    """Whether (2) shows that the cap of the node lies beyond the interval of point i, on the side where ĉ does; l_i > u_i then."""
    direction = scratch.direction
    ratio = cap / norm_c
    if not (USEFUL < ratio < 1.0 - 1e-12 and norm_c > TINY):
        return False
    s = 0.0
    for k in range(direction.shape[0]):
        s += claim.points[i, k] * direction[k]
    side = -1.0 if s > node.high[i] else 1.0
    end = -node.high[i] if side < 0.0 else node.low[i]
    _share(claim, node, depth, direction, True, room)
    _put(claim, i, side, s, direction, room, 0)
    room.least[0, 0] = PROGRESS * max(end - side * s, 0.0)
    for t in range(1, WIDTH):
        room.least[0, t] = 1e30
    _relax(room, depth, ratio, math.sqrt(1.0 - ratio * ratio))
    if not room.ends[1, 0] < end:
        return False
    _round_multipliers(claim, node, depth, 0, room)
    v, rho = _proven(claim, node, depth, i, side, room.multipliers, scratch, norm_c, cap, True)
    if not v < end:
        return False
    if side > 0.0:
        node.high[i] = v
    else:
        node.low[i] = -v
    if steps.shape[0] > 0:
        _record(node, depth, i, side, rho, v, room.multipliers, steps, count)
    return True
