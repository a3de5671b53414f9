"""A tree of cones that covers all directions outside some caps (WIDTH.md, "Trees"), found in floating point.

‖f(w)‖ ≤ u‖w‖ on the caps k ∉ S, f(w) = Lw + Σ h_i max(x_iᵀw, 0) in the integers of the checker's frame. A cone with the
vertices u_i has F_i with ‖f(t)‖ ≤ Σ t_iF_i for t = Σ t_iu_i, t ≥ 0; a linear function aᵀt with aᵀu_i = F_i. On its part in a cap
k, where hᵀt ≥ 0 for h = a_k − a_j,

    max aᵀt/‖t‖ = ‖p‖,   p the projection of a on {t = Σ t_iu_i : t ≥ 0, hᵀt ≥ 0},   p = a + Σ z_in_i + μh,  z, μ ≥ 0,   (1)

with n_i the normals of the facets. Any z, μ ≥ 0 give a bound, so a few sweeps of Hildreth's method over them will do; p then
gives θ, and μ gives M. Where that is above u the longest edge is bisected.

Nothing here is proven: the checker decides (certificate.py).
"""

from __future__ import annotations

import numpy as np

from cpcert.compiled import njit

# What a search ends with: all is covered; a direction outside S where ‖f‖ > u, or cones that get too thin; no nodes left.
COVERED, ABOVE, ENDED = 0, 1, 2
# Sweeps of Hildreth's method; changes of the concave kinks that count as active; caps outside S that a leaf may list.
SWEEPS, TURNS, LISTED = 60, 4, 6
# The bound is aimed at this part below u, and a cap is away by at least this.
AIM, CLEAR = 1e-10, 1e-9
HALVINGS = 60
# Bits of M after the point, and its largest value.
SCALE, MOST = 24, 2.0**61


@njit(cache=True)
def _values(s, weights, base, on, m):
    """F (r,) of a cone; s (n, r), base (r, m) = L·u. on (n,): the concave kinks that count (one output)."""
    n, r = s.shape
    F = np.zeros(r)
    if m == 1:
        for v in range(r):
            F[v] = base[v, 0]
        for i in range(n):
            convex = weights[i, 0] > 0.0
            for v in range(r):
                if convex:
                    F[v] += max(s[i, v], 0.0)
                elif on[i]:
                    F[v] -= s[i, v]
        return F
    shift, spread = np.zeros(m), 0.0
    total = base.copy()
    for i in range(n):
        high, low = s[i].max(), -s[i].min()
        if high > 0.0 and low > 0.0:
            e = high * low / (high + low)
            size = 0.0
            for k in range(m):
                shift[k] += e * weights[i, k]
                size += weights[i, k] ** 2
            spread += e * np.sqrt(size)
        for v in range(r):
            if s[i, v] > 0.0:
                for k in range(m):
                    total[v, k] += weights[i, k] * s[i, v]
    for v in range(r):
        square = 0.0
        for k in range(m):
            square += (total[v, k] - 0.5 * shift[k]) ** 2
        F[v] = np.sqrt(square) + 0.5 * spread
    return F


@njit(cache=True)
def _active(s, theta, on):
    """Which points are > 0 at Σ θ_vu_v."""
    n, r = s.shape
    for i in range(n):
        value = 0.0
        for v in range(r):
            value += theta[v] * s[i, v]
        on[i] = value > 0.0


@njit(cache=True)
def _attempt(U, normals, s, weights, base, m, bound, with_cap, h, theta):
    """(whether the cone (its part with hᵀt ≥ 0) is below the bound, M, p), by (1); theta (r,) is written."""
    r = len(U)
    on = np.zeros(len(s), np.bool_)
    theta[:] = 1.0
    pull = U @ h
    M = 0.0
    p = np.zeros(r)
    for _ in range(TURNS if m == 1 else 1):
        _active(s, theta, on)
        F = _values(s, weights, base, on, m)
        p[:] = 0.0
        for v in range(r):
            p += F[v] * normals[v]
        z, mu = np.zeros(r), 0.0
        hh = h @ h
        for sweep in range(SWEEPS):
            for v in range(r):
                d = max(-(normals[v] @ p) / (normals[v] @ normals[v]), -z[v])
                z[v] += d
                p += d * normals[v]
            if with_cap:
                d = max(-(h @ p) / hh, -mu)
                mu += d
                p += d * h
            if sweep >= 4 and np.sqrt(p @ p) <= bound * (1.0 - 1e-3):
                break
        c = normals @ p
        if not c.max() > 0.0:
            c[:] = 1.0
        for v in range(r):
            theta[v] = np.rint(255.0 * max(c[v], 0.0) / c.max())
        M = np.ceil(mu / bound * 2.0**SCALE)
        if M > MOST:
            return False, 0.0, p
        _active(s, theta, on)
        F = _values(s, weights, base, on, m)
        w = theta @ U
        size = np.sqrt(w @ w)
        below = True
        for v in range(r):
            if not F[v] <= bound * ((w @ U[v]) / size - M * 2.0**-SCALE * pull[v]):
                below = False
        if below:
            return True, M, p
    return False, M, p


@njit(cache=True)
def _listed(U, sites, chosen, listed, partner):
    """How many caps outside S are not clearly away from the cone, with the cap of S to compare each with; −1: all of S is far."""
    heights = sites @ U.T
    K, r = heights.shape
    outside = np.full(r, -np.inf)
    for k in range(K):
        if not chosen[k]:
            for v in range(r):
                outside[v] = max(outside[v], heights[k, v])
    near, best, most = False, -1, -np.inf
    for j in range(K):
        if chosen[j]:
            total = heights[j].sum()
            if total > most:
                best, most = j, total
            for v in range(r):
                near = near or heights[j, v] >= outside[v]
    if not near:
        return -1
    count = 0
    for k in range(K):
        if chosen[k]:
            continue
        away = False
        for j in range(K):
            if chosen[j] and not away:
                worst = -np.inf
                for v in range(r):
                    scale = np.abs(U[v]).max() * (np.abs(sites[k]).max() + np.abs(sites[j]).max())
                    worst = max(worst, (heights[k, v] - heights[j, v]) / scale)
                away = worst < -CLEAR
        if not away:
            if count == LISTED:
                return -1
            listed[count], partner[count] = k, best
            count += 1
    return count


@njit(cache=True)
def _grown(values):
    more = np.zeros(2 * len(values), values.dtype)
    more[: len(values)] = values
    return more


@njit(cache=True)
def cover(points, weights, linear, bound, sites, chosen, most):
    """(how it ended, proof, theta, mu) for one sign; points (n, r), weights (n, m), linear (m, r), sites (K, r), chosen (K,).

    `most`: nodes. proof, theta, mu: as WIDTH.md has them.
    """
    n, r = points.shape
    m = len(linear)
    aim = bound * (1.0 - AIM)
    proof, theta, mu = np.zeros(1 << 12, np.int64), np.zeros(1 << 12, np.int64), np.zeros(1 << 10, np.int64)
    at, theta_at, mu_at = 0, 0, 0
    none = (proof[:0], theta[:0], mu[:0])
    depth = 70 * r * r + 8
    cones, halvings = np.zeros((depth, r, r)), np.zeros((depth, r), np.int64)
    listed, partner = np.zeros(LISTED, np.int64), np.zeros(LISTED, np.int64)
    place = np.cumsum(chosen) - 1  # of a cap in S
    order = np.cumsum(~chosen) - 1  # of a cap outside
    found, multipliers = np.zeros((LISTED, r)), np.zeros(LISTED)
    one = np.zeros(r)
    nodes = 0
    for orthant in range(1 << r):
        count = 1
        cones[0] = 0.0
        halvings[0] = 0
        for j in range(r):
            cones[0, j, j] = -1.0 if orthant >> (r - 1 - j) & 1 else 1.0
        while count:
            count -= 1
            nodes += 1
            if nodes > most:
                return (ENDED, *none)
            U, halved = cones[count].copy(), halvings[count].copy()
            normals = np.ascontiguousarray(np.linalg.inv(U).T)
            s = points @ U.T
            base = U @ linear.T
            while at + 8 + 2 * LISTED > len(proof):
                proof = _grown(proof)
            while theta_at + r * (LISTED + 1) > len(theta):
                theta = _grown(theta)
            while mu_at + LISTED > len(mu):
                mu = _grown(mu)
            below, _, p = _attempt(U, normals, s, weights, base, m, aim, False, np.zeros(r), one)
            if below:
                proof[at] = 0
                at += 1
                for v in range(r):
                    theta[theta_at + v] = np.int64(one[v])
                theta_at += r
                continue
            size = _listed(U, sites, chosen, listed, partner)
            closed = size >= 0
            for number in range(size):
                if closed:
                    h = sites[listed[number]] - sites[partner[number]]
                    closed, multipliers[number], _ = _attempt(
                        U, normals, s, weights, base, m, aim, True, h, found[number]
                    )
            if closed:
                proof[at], proof[at + 1] = 1, size
                at += 2
                last = -1
                for number in range(size):
                    k = order[listed[number]]
                    proof[at], proof[at + 1] = k - last - 1, place[partner[number]]
                    at += 2
                    last = k
                    mu[mu_at] = np.int64(multipliers[number])
                    mu_at += 1
                    for v in range(r):
                        theta[theta_at + v] = np.int64(found[number, v])
                    theta_at += r
                continue
            # A direction outside S with a value above the bound?
            length = np.sqrt(p @ p)
            if length > 0.0:
                w = p / length
                heights = sites @ w
                top = np.argmax(heights)
                if not chosen[top]:
                    value = linear @ w
                    for i in range(n):
                        value += weights[i] * max(points[i] @ w, 0.0)
                    if np.sqrt(value @ value) * (1.0 if m > 1 else np.sign(value[0])) > bound:
                        return (ABOVE, *none)
            a, b, least = -1, -1, 2.0
            edge = 0
            chosen_edge = 0
            for i in range(r):
                for j in range(i + 1, r):
                    cosine = (U[i] @ U[j]) / np.sqrt((U[i] @ U[i]) * (U[j] @ U[j]))
                    if cosine < least:
                        a, b, least, chosen_edge = i, j, cosine, edge
                    edge += 1
            if a < 0 or max(halved[a], halved[b]) >= HALVINGS:
                return (ABOVE, *none)
            proof[at] = 2 + chosen_edge
            at += 1
            middle = 0.5 * (U[a] + U[b])
            e = max(halved[a], halved[b]) + 1
            # The cone without b is visited first: it is on top.
            cones[count], halvings[count] = U, halved
            cones[count, a], halvings[count, a] = middle, e
            count += 1
            cones[count], halvings[count] = U, halved
            cones[count, b], halvings[count, b] = middle, e
            count += 1
    return COVERED, proof[:at], theta[:theta_at], mu[:mu_at]
