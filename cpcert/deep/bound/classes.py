"""Classes of directions of the first layer, cut in two where top neurons use different directions of one of them.

One mass for a class lets every top neuron put all of it where it likes. A cut between two directions that are used
takes that away; which cut does most is found by trying (`candidates` proposes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from cpcert.deep.bound.cover import Cover
from cpcert.deep.bound.duals import Relaxed
from cpcert.deep.bound.kernels import face_maximum
from cpcert.deep.bound.tree import Space

# Directions that are nearer than this (a cosine) are one; maxima so little (relative) below the largest are used as well.
SAME, TIE = 0.997, 0.03


@dataclass(eq=False)
class Classes:
    """Sets of cones, by number; number 0 holds all. made: for each class the parts that have been cut off it."""

    cover: Cover
    cones: list[np.ndarray] = field(default_factory=list)
    made: dict[int, list[int]] = field(default_factory=dict)
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _within: dict[tuple[int, int], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.number(np.ones(len(self.cover.simplices), bool))
        middle = self.cover.rays[self.cover.simplices].sum(axis=1)
        self.middle = middle / np.linalg.norm(middle, axis=1)[:, None]

    def number(self, cones: np.ndarray) -> int:
        """The number of the class of these cones (K,) bool."""
        found = self._numbers.setdefault(cones.tobytes(), len(self.cones))
        if found == len(self.cones):
            self.cones.append(cones)
        return found

    def within(self, a: int, b: int) -> bool:
        """Is class a a part of class b, or b itself?"""
        found = self._within.get((a, b))
        if found is None:
            found = self._within[a, b] = not np.any(self.cones[a] & ~self.cones[b])
        return found

    def group(self, sets: tuple[int, ...]) -> np.ndarray:
        """(K,): the place in `sets` of the class of each cone."""
        group = np.zeros(len(self.middle), np.int64)
        for place, a in enumerate(sets):
            group[self.cones[a]] = place
        return group

    def part(self, a: int, first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
        """The cones of class a that are nearer to the second direction; None if that is no cut."""
        part = self.cones[a] & (self.middle @ second > self.middle @ first)
        return part if part.any() and np.any(self.cones[a] & ~part) else None

    def cut(self, a: int, part: np.ndarray) -> tuple[int, int]:
        """Class a without `part`, and `part`."""
        pair = self.number(self.cones[a] & ~part), self.number(part)
        if pair[1] not in self.made.setdefault(a, []):
            self.made[a].append(pair[1])
        return pair


def maxima(space: Space, q: np.ndarray) -> list[list[tuple[float, np.ndarray]]]:
    """For each class the maxima of |q·σ(X̃ᵀw)| over unit w, the largest first: (value, w), down to a part TIE below it."""
    cones, C = space.cones, space.classes
    F = cones.features @ q
    found: list[list[tuple[float, np.ndarray]]] = [[] for _ in range(C)]
    t = np.empty(cones.rays.shape[1])
    extra = np.zeros((len(cones.simplices), len(t)))
    for side in (1.0, -1.0):
        extra[:] = 0.0
        weights = np.maximum(-cones.kink * side * q[cones.crossed], 0.0)
        owner = np.repeat(np.arange(len(cones.simplices)), np.diff(cones.start))
        np.add.at(extra, owner, weights[:, None] * cones.extra)
        values = side * F[cones.simplices] + extra
        tops = values.max(axis=1) * cones.stretch
        for c in range(C):
            mine = np.flatnonzero((cones.group == c) & (tops > 0.0))
            best = found[c][0][0] if found[c] else 0.0
            for k in mine[np.argsort(-tops[mine], kind="stable")]:
                if tops[k] < best * (1.0 - TIE):
                    break
                rays = cones.rays[cones.simplices[k]]
                value = float(face_maximum(rays @ rays.T, values[k], t))
                if value > 0.0:
                    found[c].append((value, t @ rays))
                    best = max(best, value)
    for c in range(C):
        kept: list[tuple[float, np.ndarray]] = []
        for value, w in sorted(found[c], key=lambda pair: -pair[0]):
            if value >= found_top(kept, value) * (1.0 - TIE) and all(w @ other < SAME for _, other in kept):
                kept.append((value, w))
        found[c] = kept
    return found


def found_top(kept: list[tuple[float, np.ndarray]], value: float) -> float:
    """The largest value so far."""
    return kept[0][0] if kept else value


def candidates(
    space: Space, masses: np.ndarray, relaxed: Relaxed, beta: float
) -> list[tuple[float, int, np.ndarray, np.ndarray]]:
    """(weight, class, direction, direction): pairs of directions used in one class, what matters most first."""
    used: list[list[tuple[float, np.ndarray]]] = [[] for _ in range(space.classes)]
    for q, weight in zip(relaxed.columns.normals, relaxed.weights, strict=True):
        if weight <= 1e-6 * relaxed.weights.max():
            continue
        tops = maxima(space, q)
        values = np.array([top[0][0] if top else 0.0 for top in tops])
        square = float(masses @ values**2) + (beta * float(q.sum())) ** 2
        for c, top in enumerate(tops):
            for value, w in top:
                share = float(weight * masses[c] * value**2 / max(square, 1e-300))
                for k, (old, direction) in enumerate(used[c]):
                    if direction @ w > SAME:
                        used[c][k] = (old + share, direction)
                        break
                else:
                    used[c].append((share, w))
    found = []
    for c, directions in enumerate(used):
        for i, (a, v) in enumerate(directions):
            for b, w in directions[:i]:
                found.append((math.sqrt(a * b) * (1.0 - float(v @ w)), c, v, w))
    return sorted(found, key=lambda one: -one[0])
