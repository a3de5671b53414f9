"""Cells of masses, best first: the minimum over m of λΣm + max_G ψ_G(κ_G(m)) for several classes of directions.

m = Pθ; cells are simplices of θ (one class: one cell, one point). The cell with the least bound is improved: by a new
dual point at its worst vertex where those there are do badly at that very point, or by cutting it in two. All dual
points serve all cells. Floating point; what comes out is written into ladders.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cpcert.deep.bound.ladders import Cells, Item, halves, ladder, lowest, point_value
from cpcert.problem import Problem

# A cell is cut where its bound is this part below the value at its worst vertex, of what is missing to the target.
CUT = 0.25
MOST_CELLS = 4000


@dataclass(frozen=True, eq=False)
class Part:
    """A cell with its bound (the least λΣm + ψ), and where: total P, item."""

    vertices: np.ndarray
    bound: float
    total: float
    item: int


class Search:
    """The cells of one set of classes. generate(m): new items at masses m, and an upper bound of what items can reach there."""

    def __init__(
        self,
        problem: Problem,
        items: list[Item],
        upper: float,
        classes: int,
        generate: Callable[[np.ndarray], tuple[list[Item], float]],
        worst: Callable[[Item, np.ndarray, float], int],
    ) -> None:
        self.problem, self.items, self.upper, self.generate, self.worst = problem, items, upper, generate, worst
        self.classes = classes
        self.splits: dict[bytes, tuple[int, int, float]] = {}
        self.queue: list[tuple[float, int, Part]] = []
        self.count = 0
        # The least value that is possible at some masses: no bound with these classes is above it.
        self.ceiling = np.inf
        self._push(self._evaluate(np.eye(classes)))

    @property
    def bound(self) -> float:
        """The least bound of a cell."""
        return self.queue[0][0]

    def _evaluate(self, vertices: np.ndarray) -> Part:
        bound, total, k = lowest(self.problem, self.items, vertices, self.upper)
        return Part(vertices, bound, total, k)

    def _push(self, part: Part) -> None:
        self.count += 1
        heapq.heappush(self.queue, (part.bound, self.count, part))

    def run(self, target: float, deadline: float) -> float:
        """Improve the least bound until it is at least the target, cannot rise, or the time is up. Returns it."""
        while self.bound < target and time.monotonic() < deadline and len(self.queue) < MOST_CELLS:
            part = heapq.heappop(self.queue)[2]
            fresh = self._evaluate(part.vertices)
            if fresh.bound > part.bound + 1e-9 * abs(part.bound):
                self._push(fresh)  # items found since then have raised it
                continue
            part = fresh
            vertex = self.worst(self.items[part.item], part.vertices, part.total)
            masses = part.total * part.vertices[vertex]
            at = point_value(self.problem, self.items, masses)
            if self.classes > 1 and at > part.bound + CUT * (target - part.bound):
                self._cut(part)
                continue
            new, reachable = self.generate(masses)
            self.ceiling = min(self.ceiling, reachable)
            before = len(self.items)
            self.items += new
            after = point_value(self.problem, self.items, masses)
            if after > at + max(0.05 * (min(target, self.ceiling) - at), 1e-7 * abs(at)):
                self._push(self._evaluate(part.vertices))
                continue
            del self.items[before:]
            if self.classes > 1 and at > part.bound * (1.0 + 1e-5):
                self._cut(part)
                continue
            self._push(part)
            break
        return self.bound

    def _cut(self, part: Part) -> None:
        """In two halves of its longest edge."""
        V = part.vertices
        lengths = np.linalg.norm(V[:, None] - V[None, :], axis=2)
        a, b = divmod(int(lengths.argmax()), len(V))
        split = (a, b, 0.5)
        self.splits[V.tobytes()] = split
        for vertices in halves(V, split):
            self._push(self._evaluate(vertices))

    def ladders(self, target: float) -> Cells | None:
        """The ladders of all cells for a target, or None."""
        return self._ladders(np.eye(self.classes), target)

    def _ladders(self, vertices: np.ndarray, target: float) -> Cells | None:
        split = self.splits.get(vertices.tobytes())
        if split is None:
            rungs = ladder(self.problem, self.items, vertices, target)
            return None if rungs is None else Cells(None, (), tuple(rungs))
        parts = []
        for half in halves(vertices, split):
            found = self._ladders(half, target)
            if found is None:
                return None
            parts.append(found)
        return Cells(split, tuple(parts), ())
