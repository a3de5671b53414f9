"""A cover of the directions of the first layer by simplicial cones on which σ(X̃ᵀw) is linear, as far as the budget
goes.

The cones are cut in two, at a ray s·r_a + t·r_b with positive integers s, t, where an edge (a, b) crosses a hyperplane
x_iᵀw = 0: so they cover R^r whatever the numbers are, and the exact checker can follow (certificate/DEEP.md,
"Directions"). A cone that a hyperplane still crosses is bounded by the convex hull of relu, with the chord above and
one linear piece below.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from cpcert.activations import Activation

# A hyperplane that cuts a cone no deeper than this (a ray of length 1, a point of length 1) is left: rays are rounded
# to it.
SHALLOW = 1e-10
# Significant bits of the weights s and t of a new ray, and the entries of a ray at most.
WEIGHT_BITS, RAY_BITS = 40, 2048


# Where a cover is refined for given q: how near (relative) the bound must be to a value of f, and visits to cones for each q.
NEAR, CUTS = 1e-3, 2000


@dataclass(frozen=True, eq=False)
class Cover:
    """The cones as numbers.

    points (N, r). bisections (B, 6): the cone, the places a and b of its rays, and s, t, p for
    the new ray s·2^p·r_a + t·r_b (times 2^−p if p < 0); the cone keeps b's side, a new one follows.
    rays (M, r): of length 1. features (M, N): σ(X̃ᵀr). simplices (K, r): their rays. stretch (K,): the largest Σ t_j
    for ‖Σ t_jr_j‖ ≤ 1. start (K + 1,), index, extra (n, r): the points that change sign in a cone, and how far the
    linear piece lies below relu at each ray. depth: the deepest cut left.
    """

    points: np.ndarray
    bisections: np.ndarray
    rays: np.ndarray
    features: np.ndarray
    simplices: np.ndarray
    stretch: np.ndarray
    start: np.ndarray
    index: np.ndarray
    extra: np.ndarray
    depth: float


def build_cover(
    points: np.ndarray,
    activation: Activation,
    most: int,
    widest: float = -1.0,
    focus: Sequence[np.ndarray] = (),
    more: int = 0,
) -> Cover:
    """The cover of at most about `most` cones, the deepest cuts first. points (N, r), r ≤ 8.

    widest: cones whose rays are further apart than this (a cosine) are halved after that, for classes of directions.
    focus: vectors q for which γ(q) must be good: where its bound is attained in a cone that hyperplanes cross, that one
    is cut, until there are `more` cones more.
    """
    _, r = points.shape
    sizes = np.linalg.norm(points, axis=1)
    unit_points = points / np.where(sizes > 0.0, sizes, 1.0)[:, None]
    exact = [tuple(side * (j == k) for k in range(r)) for j in range(r) for side in (1, -1)]
    numbers = {ray: number for number, ray in enumerate(exact)}
    units = [np.array(ray, dtype=float) for ray in exact]
    values = [unit_points @ unit for unit in units]
    simplices = [tuple(2 * j + s for j, s in enumerate(signs)) for signs in product((0, 1), repeat=r)]
    bisections: list[tuple[int, int, int, int, int, int]] = []
    queue: list[tuple[float, int, int]] = []

    def cut(simplex: tuple[int, ...]) -> tuple[float, int]:
        z = np.array([values[ray] for ray in simplex])
        depths = np.minimum(z.max(axis=0), -z.min(axis=0))
        i = int(depths.argmax())
        return float(depths[i]), i

    def push(k: int) -> None:
        depth, i = cut(simplices[k])
        if depth > SHALLOW:
            heapq.heappush(queue, (-depth, k, i))

    if activation.kink != 0.0:
        for k in range(len(simplices)):
            push(k)

    def bisect(k: int, a: int, b: int, near: float, far: float) -> bool:
        """Cut cone k at the point of its edge (a, b) where a function with the values near > 0 and far < 0 vanishes."""
        first, second = exact[simplices[k][a]], exact[simplices[k][b]]
        # Weights of the integer rays: their lengths are a power of two apart, about, which `shift` makes good.
        shift = _log_size(second) - _log_size(first)
        whole = round(shift)
        s, t = -far * math.exp2(shift - whole), near
        unit = 2.0**WEIGHT_BITS / min(s, t)
        s, t = round(s * unit), round(t * unit)
        ray = [(s * u << max(whole, 0)) + (t * v << max(-whole, 0)) for u, v in zip(first, second, strict=True)]
        size = math.gcd(*ray)
        middle = tuple(v // size for v in ray)
        if max(abs(v).bit_length() for v in middle) > RAY_BITS:
            return False
        number = numbers.setdefault(middle, len(exact))
        if number == len(exact):
            exact.append(middle)
            units.append(_unit(middle))
            values.append(unit_points @ units[-1])
        bisections.append((k, a, b, s, t, whole))
        old = simplices[k]
        simplices[k] = tuple(number if place == a else ray for place, ray in enumerate(old))
        simplices.append(tuple(number if place == b else ray for place, ray in enumerate(old)))
        return True

    while queue and len(simplices) < most:
        _, k, i = heapq.heappop(queue)
        z = [values[ray][i] for ray in simplices[k]]
        a, b = int(np.argmax(z)), int(np.argmin(z))
        if bisect(k, a, b, z[a], z[b]):
            push(k)
            push(len(simplices) - 1)
    left = -queue[0][0] if queue else 0.0
    waiting = list(range(len(simplices)))
    while r > 1 and waiting and len(simplices) < most:
        k = waiting.pop()
        rays = np.array([units[ray] for ray in simplices[k]])
        cosines = rays @ rays.T
        a, b = divmod(int(cosines.argmin()), r)
        if cosines[a, b] < widest and bisect(k, a, b, 1.0, -1.0):
            waiting += [k, len(simplices) - 1]
    if focus and left > 0.0:
        _focus(points, activation, focus, simplices, units, bisect, len(simplices) + more)
    return _arrays(points, activation, bisections, np.array(units), simplices, left)


def _focus(
    points: np.ndarray,
    activation: Activation,
    focus: Sequence[np.ndarray],
    simplices: list[tuple[int, ...]],
    units: list[np.ndarray],
    bisect: Callable[[int, int, int, float, float], bool],
    most: int,
) -> None:
    """Cut the cones in which the bounds of f(w) = ±Σ q_iσ(x_iᵀw) are attained, until each is nearly attained by f."""
    from cpcert.deep.bound.kernels import face_maximum

    def bounds(z: np.ndarray, q: np.ndarray) -> np.ndarray:
        """The linear majorants at the rays of cones, z (…, r, N) → (…, r)."""
        side = z.sum(axis=-2, keepdims=True) > 0.0
        below = np.where(side, np.maximum(-z, 0.0), np.maximum(z, 0.0))
        return activation(z) @ q + below @ np.maximum(-activation.kink * q, 0.0)

    for q in (sign * one for one in focus for sign in (1.0, -1.0)):
        Z = np.array(units) @ points.T
        F = bounds(Z[np.array(simplices)], q)
        queue = [(-2.0 * float(top), k, False) for k, top in enumerate(F.max(axis=1))]
        heapq.heapify(queue)
        t = np.empty(points.shape[1])
        for _ in range(CUTS):
            if len(simplices) >= most:
                return
            _, k, exact = heapq.heappop(queue)
            rays = np.array([units[ray] for ray in simplices[k]])
            z = rays @ points.T
            F_here = bounds(z, q)
            value = float(face_maximum(rays @ rays.T, F_here, t))
            if not exact:
                heapq.heappush(queue, (-value, k, True))
                continue
            w = t @ rays
            errors = np.abs(q) * np.abs(t @ np.maximum(z, 0.0) - np.maximum(points @ w, 0.0))
            side = z.sum(axis=0) > 0.0
            lower = np.abs(q) * np.abs(np.where(side, points @ w, 0.0) - np.maximum(points @ w, 0.0))
            errors = np.where(activation.kink * q > 0.0, errors, lower)
            errors = np.where((z.max(axis=0) > SHALLOW) & (z.min(axis=0) < -SHALLOW), errors, 0.0)
            if value - float(activation(points @ w) @ q) <= NEAR * value or not errors.any():
                break
            i = int(errors.argmax())
            a, b = int(z[:, i].argmax()), int(z[:, i].argmin())
            if not bisect(k, a, b, float(z[a, i]), float(z[b, i])):
                break
            heapq.heappush(queue, (-value, k, False))
            heapq.heappush(queue, (-value, len(simplices) - 1, False))


def _log_size(ray: tuple[int, ...]) -> float:
    """log₂‖ray‖ for integers of any length."""
    shift = max(max(abs(v).bit_length() for v in ray) - 60, 0)
    return shift + math.log2(math.hypot(*(v >> shift for v in ray)))


def _unit(ray: tuple[int, ...]) -> np.ndarray:
    shift = max(max(abs(v).bit_length() for v in ray) - 900, 0)
    values = np.array([float(v >> shift) for v in ray])
    values /= np.abs(values).max()
    return values / np.linalg.norm(values)


def _arrays(
    points: np.ndarray,
    activation: Activation,
    bisections: list[tuple[int, int, int, int, int, int]],
    rays: np.ndarray,
    simplices: list[tuple[int, ...]],
    depth: float,
) -> Cover:
    from cpcert.deep.bound.kernels import face_maximum

    r = points.shape[1]
    table = np.array(simplices, dtype=np.int64).reshape(len(simplices), r)
    z = rays @ points.T
    start, index, extra = [0], [], []
    stretch = np.empty(len(table))
    t = np.empty(r)
    # What rounding of the rays left to cross is too little to see here; the exact checker sees it.
    small = SHALLOW * np.linalg.norm(points, axis=1)
    for k, simplex in enumerate(table):
        here = z[simplex]
        for i in np.flatnonzero((here.max(axis=0) > small) & (here.min(axis=0) < -small)):
            side = here[:, i].sum() > 0.0
            index.append(i)
            extra.append(np.maximum(-here[:, i], 0.0) if side else np.maximum(here[:, i], 0.0))
        start.append(len(index))
        stretch[k] = face_maximum(rays[simplex] @ rays[simplex].T, np.ones(r), t)
    return Cover(
        points=points,
        bisections=np.array(bisections, dtype=np.int64).reshape(-1, 6),
        rays=rays,
        features=activation(z),
        simplices=table,
        stretch=stretch * (1.0 + 1e-12),
        start=np.array(start, dtype=np.int64),
        index=np.array(index, dtype=np.int64),
        extra=np.array(extra, dtype=float).reshape(-1, r),
        depth=depth,
    )
