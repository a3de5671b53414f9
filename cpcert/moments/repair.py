"""From approximate multipliers to a proof of γ(G) ≤ u, rounding included.

Points are scaled by powers of two, x̂_i = x_i2^{−e_i} of size about 1, ĝ_i = g_i2^{e_i}; R_i ≥ ‖x̂_i‖. In the variables
y = (ν, v, w, z), for one output and a sign ± without v (v = ±ν),

    S = c_νν² + c_v‖v‖² + c_w‖w‖² − vᵀΣ_i ĝ_i(½(a₊ + a₋)x̂_iᵀw + ½(a₊ − a₋)z_i) + Σ_i λ_i(z_i² − (x̂_iᵀw)²)
        − Σ_ab L_ab f_a f_b − Σ_a f_a(α_aν + β_aᵀw),     f = (ν, z + X̂w, z − X̂w, Rν − z).                                      (S)

At y = (1, v, w, |X̂w|) with unit v and w the first three terms add up to u = c_ν + c_v + c_w, the fourth is −vᵀGσ(X̃ᵀw), that of λ is 0,
and all f ≥ 0: so S ⪰ 0 with L ≥ 0 and ‖β_a‖ ≤ α_a proves vᵀGσ(X̃ᵀw) ≤ u for *any* λ. (f_{z+Xw}f_{z−Xw} = z² − (X̂w)²: that is why the
multiplier of p_iq_i is free for one i, and only there.)

**Regions.** (S) may be proven for each region of a partition of the w, by the signs s_i of x̂_iᵀw at some of the points: there z_i is
no variable, but s_i x̂_iᵀw. `Region` has the rows of (S) for that.

**Repair.** L, α, β come from relaxation.py and are put on a grid of 2^−scale. λ is raised by one t for all points, several are tried.
For each, Schur complements eliminate z and v, and c_ν + c_w is minimised over c_w on the rest (one eigenvalue problem of order r).
**Rounding.** S is computed with an error of norm at most η, the norm of `terms`·ε times the same formula with absolute values. Adding
κ to λ and κ(1 + ‖X̂‖_F²) to the c's adds at least κI to S; κ grows until fl(S − θI), θ = η + (d + 6)ε tr |S|, has a Cholesky factor in
floating point, which proves S ⪰ 0 (the theorem quoted in oracle/spectral.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from cpcert.activations import Activation
from cpcert.moments.regions import Trees, leaves
from cpcert.moments.relaxation import Candidate, Multipliers
from cpcert.rounding import EPS

# Bits of the largest multiplier; products below this share of it are dropped.
GRID_BITS = 40
DUST = 2.0**-26
# How much λ is raised: relative to u, and beyond what z needs; c_v against that of the candidate, and against u.
RAISES = (1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
MORE_RAISES = (1e-2, 0.1, 1.0)
STRETCHES, SHARES = (1.0, 1.05), (0.5, 0.75)
# Least shift of S, relative to its largest diagonal entry: room for a Cholesky factor of few bits.
ROOM = 2.0**-38
HUGE = 1e100


@dataclass(frozen=True, eq=False)
class Part:
    """(S) of one sign of v (one output), or of all, in one region. Numbers are integers times 2**−scale, exactly.

    signs (N,): those of the region, 0 where it has both. cost: c_ν, c_v, c_w. linear: λ (N,), 0 where there is a sign.
    first ≤ second, weight: L, forms numbered ν, z + Xw, z − Xw, Rν − z. rows, alpha, beta: the forms a with α_a, β_a (empty if
    there are none).
    """

    sign: float
    signs: np.ndarray
    scale: int
    cost: tuple[float, float, float]
    linear: np.ndarray
    first: np.ndarray
    second: np.ndarray
    weight: np.ndarray
    rows: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray


@dataclass(frozen=True, eq=False)
class MomentProof:
    """γ(G) ≤ bound in the coordinates of the points, and why. exponents (N,): x̂_i = x_i2^{−e_i}. trees: see regions.py."""

    bound: float
    exponents: np.ndarray
    trees: Trees
    parts: tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class Scaled:
    """points x̂ (N, r), G ĝ (m, N), exponents; forms F (1 + 3N, 1 + r + N) in (ν, w, z)."""

    points: np.ndarray
    G: np.ndarray
    exponents: np.ndarray
    forms: np.ndarray


def scaled(points: np.ndarray, G: np.ndarray) -> Scaled:
    """x̂, ĝ and the forms; exact but for the norms in them."""
    N, r = points.shape
    exponents = np.frexp(np.abs(points).max(axis=1, initial=0.0))[1].astype(np.int64)
    X = np.ldexp(points, -exponents[:, np.newaxis])
    F = np.zeros((1 + 3 * N, 1 + r + N))
    F[0, 0] = 1.0
    i = np.arange(N)
    for start, sign in ((1, 1.0), (1 + N, -1.0)):
        F[start : start + N, 1 : 1 + r] = sign * X
        F[start + i, 1 + r + i] = 1.0
    F[1 + 2 * N :, 0] = np.linalg.norm(X, axis=1)
    F[1 + 2 * N + i, 1 + r + i] = -1.0
    return Scaled(X, np.ldexp(G, exponents), exponents, F)


@dataclass(frozen=True, eq=False)
class Region:
    """What (S) needs in a region: forms F (1 + 3N, 1 + r + k) and values a₊p − a₋q (N, r + k) in (ν, w, z), z of the k free points.

    sizes: the absolute values of the terms of `values`.
    """

    free: np.ndarray
    points: np.ndarray
    forms: np.ndarray
    values: np.ndarray
    sizes: np.ndarray


def region(at: Scaled, signs: np.ndarray, activation: Activation) -> Region:
    """Forms and values with z_i = s_i x̂_iᵀw put in where there is a sign (exact but for the norms, and one rounding of the values)."""
    N, r = at.points.shape
    free = np.flatnonzero(signs == 0)
    z = at.forms[:, 1 + r :]
    forms = np.concatenate([at.forms[:, :1], at.forms[:, 1 : 1 + r] + (z * signs) @ at.points, z[:, free]], axis=1)
    mean, half = 0.5 * (activation.a_plus + activation.a_minus), 0.5 * (activation.a_plus - activation.a_minus)
    most = 0.5 * (abs(activation.a_plus) + abs(activation.a_minus))
    unit = np.eye(N)[:, free]
    values = np.hstack([(mean + half * signs)[:, np.newaxis] * at.points, half * unit])
    sizes = np.hstack([(1.0 + np.abs(signs))[:, np.newaxis] * most * np.abs(at.points), most * unit])
    return Region(free, at.points[free], forms, values, sizes)


def _on_grid(given: Multipliers, at: Scaled, sign: float, signs: np.ndarray) -> Part | None:
    """The multipliers in the units of (S), rounded so that L ≥ 0 and ‖β‖ ≤ α hold exactly; c and λ are not final."""
    N, r = at.points.shape
    size = np.ldexp(1.0, at.exponents)
    d = np.concatenate([[1.0], 0.5 * size, 0.5 * size, size])
    T = given.products * d * d[:, np.newaxis]
    pairs = np.arange(N)
    linear = -2.0 * T[1 + pairs, 1 + N + pairs]
    T[1 + pairs, 1 + N + pairs] = T[1 + N + pairs, 1 + pairs] = 0.0
    alpha, beta = np.zeros(0), np.zeros((0, r))
    rows = np.zeros(0, dtype=np.int64)
    if given.cone is not None:
        rows = np.flatnonzero(given.cone[0] > 0.0) + 1
        alpha, beta = given.cone[0][rows - 1] * d[rows], given.cone[1][rows - 1] * d[rows, np.newaxis]
    every = np.concatenate([T.ravel(), linear, alpha, beta.ravel(), given.cost, at.G.ravel()])
    largest = float(np.abs(every[: every.size - at.G.size]).max()) if np.all(np.isfinite(every)) else math.inf
    if not 1.0 / HUGE < largest < HUGE:
        return None
    scale = GRID_BITS - math.frexp(largest)[1]
    unit = math.ldexp(1.0, -scale)
    T = np.triu(T) * (2.0 - np.eye(len(T)))
    first, second = np.nonzero(DUST * largest < T)
    weight = np.rint(T[first, second] / unit) * unit
    keep = alpha > DUST * largest
    rows, beta = rows[keep], np.rint(beta[keep] / unit) * unit
    # Two units cover the rounding of the norm: its relative error is far below 2**-GRID_BITS.
    alpha = (np.ceil(np.linalg.norm(beta, axis=1) / unit) + 2.0) * unit
    linear = np.where(signs == 0, np.rint(linear / unit) * unit, 0.0)
    return Part(sign, signs, scale, given.cost, linear, first, second, weight, rows, alpha, beta)


def _matrix(part: Part, at: Scaled, where: Region, absolute: bool = False) -> np.ndarray:
    """(S) without c and λ, in the variables (ν, v, w, z); or the sum of the absolute values of all its terms."""
    r = at.points.shape[1]
    size = np.abs if absolute else np.asarray
    F, sign = size(where.forms), 1.0 if absolute else -1.0
    L = np.zeros((len(F), len(F)))
    L[part.first, part.second] += 0.5 * part.weight
    L[part.second, part.first] += 0.5 * part.weight
    small = sign * (F.T @ (L @ F))
    if len(part.rows):
        chosen = F[part.rows]
        mixed = np.zeros_like(small)
        mixed[:, 0] = chosen.T @ part.alpha
        mixed[:, 1 : 1 + r] = chosen.T @ size(part.beta)
        small += 0.5 * sign * (mixed + mixed.T)
    values = size(at.G) @ (where.sizes if absolute else where.values)
    if part.sign:
        row = 0.5 * (values[0] if absolute else -part.sign * values[0])
        small[0, 1:] += row
        small[1:, 0] += row
        return small
    m = len(values)
    S = np.zeros((m + len(small), m + len(small)))
    others = np.concatenate([[0], np.arange(1 + m, len(S))])
    S[np.ix_(others, others)] = small
    S[1 : 1 + m, 1 + m :] = 0.5 * sign * values
    S[1 + m :, 1 : 1 + m] = S[1 : 1 + m, 1 + m :].T
    return S


def _with_linear(S: np.ndarray, linear: np.ndarray, where: Region, absolute: bool = False) -> np.ndarray:
    """S + Σ λ_i (z_i² − (x̂_iᵀw)²) over the free points, or the sum of absolute values; linear (N,)."""
    k, r = where.points.shape
    linear = linear[where.free]
    S = S.copy()
    z = np.arange(len(S) - k, len(S))
    w = slice(len(S) - k - r, len(S) - k)
    X = np.abs(where.points) if absolute else where.points
    S[z, z] += np.abs(linear) if absolute else linear
    S[w, w] += (X * (np.abs(linear) if absolute else -linear)[:, np.newaxis]).T @ X
    return S


def _least_cost(S: np.ndarray, c_v: float, m: int, r: int) -> tuple[float, float] | None:
    """(c_ν, c_w) of smallest sum with S + c_νν² + c_v‖v‖² + c_w‖w‖² ⪰ 0, in floating point; None if there is none."""
    order = len(S)
    kept = np.concatenate([[0], np.arange(1 + m, 1 + m + r)])
    out = np.concatenate([np.arange(1, 1 + m), np.arange(1 + m + r, order)])
    block = S[np.ix_(out, out)].copy()
    block[np.arange(m), np.arange(m)] += c_v
    try:
        factor = cho_factor(block, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    mixed = S[np.ix_(out, kept)]
    rest = S[np.ix_(kept, kept)] - mixed.T @ cho_solve(factor, mixed, check_finite=False)
    values, vectors = np.linalg.eigh(0.5 * (rest[1:, 1:] + rest[1:, 1:].T))
    squares = (vectors.T @ rest[1:, 0]) ** 2
    # 1 = Σ h_k/(τ_k + c)²: between the least c with a positive first term above 1 and the one where the sum must be below.
    low, high = -values[0], -values[0] + math.sqrt(float(squares.sum())) + 1e-300
    for _ in range(60):
        middle = 0.5 * (low + high)
        if float(np.sum(squares / np.maximum(values + middle, 1e-150) ** 2)) > 1.0:
            low = middle
        else:
            high = middle
    c_w = high
    c_nu = float(np.sum(squares / np.maximum(values + c_w, 1e-150))) - float(rest[0, 0])
    return (c_nu, c_w) if math.isfinite(c_nu) and math.isfinite(c_w) else None


@dataclass(frozen=True, eq=False)
class Draft:
    """What `estimate` found and `prove` makes rigorous. bound: in floating point, unproven."""

    bound: float
    at: Scaled
    trees: Trees
    parts: tuple[Part, ...]
    regions: tuple[Region, ...]
    matrices: tuple[np.ndarray, ...]


def estimate(points: np.ndarray, candidate: Candidate, activation: Activation) -> Draft | None:
    """The repaired multipliers of a candidate with their bound of γ(G) in floating point; None if nothing repairs them.

    points (N, r). Nothing is proven yet.
    """
    at = scaled(points, candidate.G)
    N, r = points.shape
    m = len(candidate.G)
    parts, places, matrices, bound = [], [], [], -math.inf
    for given, (sign, signs) in zip(candidate.parts, leaves(candidate.trees, N), strict=True):
        part = _on_grid(given, at, sign, signs)
        if part is None:
            return None
        unit = math.ldexp(1.0, -part.scale)
        where = region(at, signs, activation)
        plain = _matrix(part, at, where)
        inner = 0 if sign else m
        z = slice(len(plain) - len(where.free), len(plain))
        total = max(sum(given.cost), unit)
        base = _with_linear(plain, part.linear, where)
        need = max(-float(np.linalg.eigvalsh(base[z, z])[0]), 0.0) if len(where.free) else 0.0
        best: tuple[float, float, tuple[float, float, float]] | None = None
        raises = [need * (1.0 + 1e-9) + raised * total for raised in RAISES]
        raises += [need * (1.0 + raised) for raised in MORE_RAISES if need > 0.0]
        costs = (
            [stretch * given.cost[1] for stretch in STRETCHES] + [share * total for share in SHARES] if inner else [0.0]
        )
        for raised in raises:
            t = math.ceil(raised / unit) * unit
            S = _with_linear(base, np.full(N, t), where)
            for c_v in costs:
                found = _least_cost(S, c_v, inner, r)
                if found is not None and (best is None or sum(found) + c_v < best[0]):
                    best = (sum(found) + c_v, t, (found[0], c_v, found[1]))
        if best is None:
            return None
        bound = max(bound, best[0])
        linear = part.linear + np.where(signs == 0, best[1], 0.0)
        parts.append(replace(part, cost=best[2], linear=linear))
        places.append(where)
        matrices.append(plain)
    return Draft(bound, at, candidate.trees, tuple(parts), tuple(places), tuple(matrices))


def prove(draft: Draft) -> MomentProof | None:
    """The proof of a bound a little above the draft's; None if rounding leaves no room."""
    from cpcert.oracle.spectral import cholesky  # compiled; what is above needs numpy and scipy only

    at = draft.at
    N, r = at.points.shape
    m = len(at.G)
    total = float(np.sum(at.points**2)) * (1.0 + (at.points.size + 2) * EPS)
    parts = []
    for part, where, plain in zip(draft.parts, draft.regions, draft.matrices, strict=True):
        unit = math.ldexp(1.0, -part.scale)
        inner = 0 if part.sign else m
        diagonal = np.concatenate([[0], np.full(inner, 1), np.full(r, 2), np.full(len(where.free), 3)])
        size = _matrix(part, at, where, absolute=True)
        d = len(plain)
        terms = 4 * (3 * N + r + m) + 64
        shift, done = 0.0, None
        for _ in range(40):
            # The grid keeps all numbers exact: fewer than 52 bits each.
            steps = math.ceil(shift / unit)
            linear = part.linear + np.where(part.signs == 0, steps * unit, 0.0)
            more = math.ceil(steps * (1.0 + total)) * unit
            cost = [
                math.ceil(c / unit) * unit + e
                for c, e in zip(part.cost, (steps * unit, steps * unit, more), strict=True)
            ]
            if inner == 0:
                cost[1] = 0.0
            S = _with_linear(plain, linear, where)
            S[np.arange(d), np.arange(d)] += np.array([*cost, 0.0])[diagonal]
            bound = _with_linear(size, linear, where, absolute=True)
            bound[np.arange(d), np.arange(d)] += np.abs([*cost, 0.0])[diagonal]
            norm = float(np.linalg.norm(bound)) * (1.0 + (d * d + 2 * terms) * EPS)
            theta = terms * EPS * norm + (d + 6) * EPS * float(np.trace(bound)) * (1.0 + d * EPS)
            if not (theta < HUGE and max(np.abs(linear).max(initial=0.0), *np.abs(cost)) < 2.0**52 * unit):
                return None
            S = 0.5 * (S + S.T)
            room = ROOM * d * float(np.abs(np.diagonal(S)).max())
            if cholesky(S - max(theta, room) * np.eye(d)):
                done = (tuple(cost), linear)
                break
            shift = max(4.0 * shift, 4.0 * max(theta, room), unit)
        if done is None:
            return None
        (c_nu, c_v, c_w), linear = done
        parts.append(replace(part, cost=(c_nu, c_v, c_w), linear=linear))
    bound_u = max(sum(part.cost) for part in parts)
    bound_u = bound_u * (1.0 + 4.0 * EPS) if bound_u > 0.0 else 0.0
    return MomentProof(bound_u, at.exponents, draft.trees, tuple(parts))
