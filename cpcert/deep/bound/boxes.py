"""Boxes of masses, best first: the minimum over m of λΣm + max_G ψ_G(κ_G(m)) for several classes of directions.

The box with the least bound is improved: by a new dual point at its worst masses where the ones there are do badly at that very point, or
by cutting it in two. All dual points serve all boxes. With one class there is one box. Floating point; what comes out is written into ladders.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cpcert.deep.bound.ladders import Boxes, Item, ladder, lowest
from cpcert.frank_wolfe.bounds import dual_value
from cpcert.problem import Problem

# The part of what is missing to the target that the box, not the dual points, must cost to be cut.
CUT = 0.3
MOST_BOXES = 4000


@dataclass(frozen=True, eq=False)
class Part:
    """A box [low, high] of masses, its bound (the least λΣm + ψ), and where: total P, item. split: (class, value), parts: two Parts."""

    low: np.ndarray
    high: np.ndarray
    bound: float
    total: float
    item: int


class Search:
    """The boxes of one set of classes. generate(m): new items at masses m, and an upper bound of what items can reach there."""

    def __init__(
        self,
        problem: Problem,
        items: list[Item],
        upper: float,
        classes: int,
        generate: Callable[[np.ndarray], tuple[list[Item], float]],
        worst: Callable[[Item, np.ndarray, np.ndarray, float], np.ndarray],
    ) -> None:
        self.problem, self.items, self.upper, self.generate, self.worst = problem, items, upper, generate, worst
        self.classes = classes
        self.splits: dict[tuple[float, ...], tuple[int, float]] = {}
        self.queue: list[tuple[float, int, Part]] = []
        self.count = 0
        # The largest λΣm + max ψ that is possible at some masses: no bound with these classes is above it.
        self.ceiling = np.inf
        self._push(np.zeros(classes), np.full(classes, upper / problem.lam))

    @property
    def bound(self) -> float:
        """The least bound of a box."""
        return self.queue[0][0]

    def _evaluate(self, low: np.ndarray, high: np.ndarray) -> Part:
        bound, total, k = lowest(self.problem, self.items, low, high, self.upper)
        return Part(low, high, bound, total, k)

    def _push(self, low: np.ndarray, high: np.ndarray) -> None:
        part = self._evaluate(low, high)
        self.count += 1
        heapq.heappush(self.queue, (part.bound, self.count, part))

    def run(self, target: float, deadline: float) -> float:
        """Improve the least bound until it is at least the target, cannot rise, or the time is up. Returns it."""
        while self.bound < target and time.monotonic() < deadline and len(self.queue) < MOST_BOXES:
            _, _, part = heapq.heappop(self.queue)
            fresh = self._evaluate(part.low, part.high)
            if fresh.bound > part.bound * (1.0 + 1e-12):
                # Items found since then have raised it.
                heapq.heappush(self.queue, (fresh.bound, self.count, fresh))
                self.count += 1
                continue
            part = fresh
            masses = self.worst(self.items[part.item], part.low, part.high, part.total)
            at, _, _ = lowest(self.problem, self.items, masses, masses, np.inf)
            if self.classes > 1 and at > part.bound + CUT * (target - part.bound):
                self._cut(part, masses)
                continue
            new, reachable = self.generate(masses)
            self.ceiling = min(self.ceiling, reachable)
            before = len(self.items)
            self.items += new
            after, _, _ = lowest(self.problem, self.items, masses, masses, np.inf)
            if after > at + 0.05 * max(min(target, self.ceiling) - at, 1e-9 * abs(at)):
                part = self._evaluate(part.low, part.high)
                heapq.heappush(self.queue, (part.bound, self.count, part))
                self.count += 1
                continue
            del self.items[before:]
            if self.classes > 1 and at > part.bound * (1.0 + 1e-4):
                self._cut(part, masses)
                continue
            heapq.heappush(self.queue, (part.bound, self.count, part))
            break
        return self.bound

    def _cut(self, part: Part, masses: np.ndarray) -> None:
        low, high = part.low, np.minimum(part.high, part.low + max(part.total - float(part.low.sum()), 0.0))
        c = int((high - low).argmax())
        at = float(masses[c])
        if not low[c] + 0.2 * (high[c] - low[c]) < at < high[c] - 0.2 * (high[c] - low[c]):
            at = float(0.5 * (low[c] + high[c]))
        key = (*part.low.tolist(), *part.high.tolist())
        self.splits[key] = (c, at)
        upper, lower = part.low.copy(), part.high.copy()
        upper[c], lower[c] = at, at
        self._push(part.low, lower)
        self._push(upper, part.high)

    def ladders(self, target: float) -> Boxes | None:
        """The ladders of all boxes for a target (of the whole tree of boxes, from the masses (target − ψ(0))/λ on), or None."""
        return self._ladders(np.zeros(self.classes), np.full(self.classes, self.upper / self.problem.lam), target)

    def _ladders(self, low: np.ndarray, high: np.ndarray, target: float) -> Boxes | None:
        most = (target - dual_value(self.problem, 0.0 * self.items[0].G)) / self.problem.lam
        if float(low.sum()) >= most:
            return Boxes(None, (), ())
        split = self.splits.get((*low.tolist(), *high.tolist()))
        if split is not None:
            c, at = split
            upper, lower = low.copy(), high.copy()
            upper[c], lower[c] = at, at
            if at >= most:
                # The root of the certificate ends there: nothing lies beyond.
                return self._ladders(low, lower, target)
            parts = (self._ladders(low, lower, target), self._ladders(upper, high, target))
            if parts[0] is None or parts[1] is None:
                return None
            return Boxes(split, (parts[0], parts[1]), ())
        rungs = ladder(self.problem, self.items, low, np.minimum(high, most), target)
        return None if rungs is None else Boxes(None, (), tuple(rungs))
