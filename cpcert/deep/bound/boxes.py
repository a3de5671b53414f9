"""Boxes of masses, best first: a lower bound of L_λ over all balanced networks of depth 3 with one output.

A dual point G with κ_G(m') bounded gives for every balanced network with masses m (certificate/DEEP.md, (4))

    L_λ ≥ λΣ(2m_c − m_c²/m'_c) + ψ_G(s),   sκ_G(m') ≤ 2λ,

concave in each m_c, so its least value over a box is at ends of intervals; m' = (l + h)/2 makes both ends equal, and
loses only λΣ(h − l)²/(2(l + h)). The box with the least bound is improved: by a new dual point at the middle, by cutting
one interval, or, where the relaxed problem at the middle lies below the goal, by cutting a class of directions in two
(classes.py). Floating point: every box keeps the proof of its bound, which the exact checker does again.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from cpcert.deep.bound.classes import Classes, candidates
from cpcert.deep.bound.duals import Columns, Relaxed, column_generation, support_columns, with_columns
from cpcert.deep.bound.items import Item, item
from cpcert.deep.bound.programs import best_masses, kappa_at
from cpcert.deep.bound.tree import Space, Tree, regrouped, space_of
from cpcert.frank_wolfe.bounds import dual_value
from cpcert.problem import Problem

MOST_BOXES, MOST_CLASSES = 200_000, 60
# Dual points of the parent, and of the newest, that a box is tried with.
NEAR, NEWEST = 16, 12
# Cuts of classes that are tried before one is made (in a box, before all boxes), how many of them were made elsewhere,
# accuracy of the trials, steps towards balanced masses.
TRIES, FREE, MADE, ROUGH, STEPS = 4, 8, 2, 1e-3, 3
# A class is cut where the relaxed problem is less than this part of the gap above the goal.
MARGIN = 0.25
# Tables of squares of γ that are kept.
TABLES = 20_000


@dataclass(frozen=True, eq=False)
class Proof:
    """Number of the dual point, m' and s."""

    item: int
    masses: np.ndarray
    scale: float


@dataclass(eq=False)
class Box:
    """Intervals of the masses of `sets`, disjoint classes that hold all directions.

    sums: (class, l, h): the masses within that class have a sum in [l, h]. bound: proven by `proof`, or by 3λΣl + ψ(0) if that
    is None. near: the best dual points, seen: how many there were. step: how it was cut: ("cut", place, t), ("divide", place).
    """

    sets: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray
    sums: tuple[tuple[int, float, float], ...]
    near: list[int]
    bound: float = -np.inf
    proof: Proof | None = None
    seen: int = 0
    step: tuple[str, int, float] | None = None
    children: list[Box] = field(default_factory=list)

    @property
    def middle(self) -> np.ndarray:
        """m' of the arithmetic means, above 0."""
        return np.maximum(0.5 * (self.low + self.high), 1e-12 * max(float(self.high.max()), 1e-280))

    def better(self, masses: np.ndarray, usage: np.ndarray) -> np.ndarray:
        """m' where the box would gain more: dψ/dm' is about −λ usage/m', and the end that is paid has the slope λl²/m'² or λh²/m'²."""
        middle = self.middle
        more = np.clip(self.low**2 / np.maximum(usage, 1e-300), middle, 4.0 * middle)
        less = np.clip(self.high**2 / np.maximum(usage, 1e-300), 0.25 * middle, middle)
        found = np.where(usage * masses < self.low**2, more, np.where(usage * masses > self.high**2, less, middle))
        return np.asarray(found)

    def best_cut(self, masses: np.ndarray, usage: np.ndarray) -> tuple[int, float, float]:
        """(place, t, loss): the interval to cut, where, and what it costs to have it uncut, over λ.

        In one mass F is about λ(m + a²/m), a² = usage·m': the best m' proves its minimum if a lies outside of the interval,
        and λ2(a − l)(h − a)/(l + h) less if inside.
        """
        at = np.clip(np.sqrt(usage * masses), self.low, self.high)
        loss = ((at - self.low) * (self.high - at) + 5e-4 * (self.high - self.low) ** 2) / self.middle
        place = int(loss.argmax())
        low, high = float(self.low[place]), float(self.high[place])
        t = 0.5 * (float(at[place]) + max(float(np.sqrt(low * high)), low + 0.25 * (high - low)))
        return place, min(max(t, low + 0.2 * (high - low)), low + 0.8 * (high - low)), float(loss[place])

    def cut(self, place: int, t: float) -> list[Box]:
        """The two boxes on both sides of t, which become children."""
        self.step = ("cut", place, t)
        low, high = float(self.low[place]), float(self.high[place])
        for ends in ((low, t), (t, high)):
            child = Box(self.sets, self.low.copy(), self.high.copy(), self.sums, self.near, self.bound, self.proof)
            child.low[place], child.high[place] = ends
            self.children.append(child)
        return self.children

    def divide(self, place: int, first: int, second: int) -> Box:
        """The child with two classes for one."""
        self.step = ("divide", place, 0.0)
        low = np.append(self.low, 0.0)
        low[place] = 0.0
        child = Box(
            (*self.sets[:place], first, *self.sets[place + 1 :], second),
            low,
            np.append(self.high, self.high[place]),
            (*self.sums, (self.sets[place], float(self.low[place]), float(self.high[place]))),
            [],
        )
        self.children.append(child)
        return child

    def tighten(self, within: Callable[[int, int], bool]) -> None:
        """The intervals that the sums leave, as the checker finds them (DEEP.md)."""
        for _ in range(3):
            for whole, least, most in self.sums:
                inside = [k for k, a in enumerate(self.sets) if within(a, whole)]
                self.high[inside] = np.minimum(
                    self.high[inside], most - float(self.low[inside].sum()) + self.low[inside]
                )
                self.low[inside] = np.maximum(
                    self.low[inside], least - float(self.high[inside].sum()) + self.high[inside]
                )

    def paid(self, masses: np.ndarray) -> float:
        """The least Σ(2m − m²/m') over the box."""
        low, high = 2.0 * self.low - self.low**2 / masses, 2.0 * self.high - self.high**2 / masses
        return float(np.minimum(low, high).sum())


class Search:
    """Boxes for one goal after another, with the same dual points and classes. most: classes in a box."""

    def __init__(
        self, problem: Problem, classes: Classes, upper: float, nodes: int, deadline: float, most: int = MOST_CLASSES
    ) -> None:
        self.problem, self.classes, self.upper, self.most = problem, classes, upper, most
        self.nodes, self.deadline = nodes, deadline
        self.items: list[Item] = []
        # Columns of the last relaxed problem, and the classes that they are for.
        self.columns: tuple[tuple[int, ...] | None, Columns | None] = None, None
        self.spaces: dict[tuple[int, ...], Space] = {}
        self.tables: dict[tuple[int, tuple[int, ...]], np.ndarray] = {}
        self.floor = dual_value(problem, np.zeros_like(problem.targets))
        # The relaxed problem at balanced masses where the classes of `prepare` are cut.
        self.sets: tuple[int, ...] = (0,)
        self.masses: np.ndarray | None = None
        self.root: Box | None = None
        self._reset(upper)

    def _reset(self, goal: float) -> None:
        # Networks of larger masses than the first box has lose `reach` at least, which is what can be claimed at most.
        self.goal, self.reach = goal, goal + 0.5 * max(self.upper - goal, 0.0)
        self.accuracy = max(0.1 * (self.upper - goal) / abs(self.upper), 1e-6) if self.upper else 1e-6
        self.least = np.inf
        self.queue: list[tuple[float, int, Box]] = []
        self.count = 0

    # -- bounds ---------------------------------------------------------------------------------------------------------

    def space(self, sets: tuple[int, ...]) -> Space:
        """The space with these classes."""
        if sets not in self.spaces:
            problem = self.problem
            self.spaces[sets] = space_of(
                self.classes.cover, self.classes.group(sets), problem.activation, problem.beta, len(sets)
            )
        return self.spaces[sets]

    def table(self, k: int, sets: tuple[int, ...]) -> np.ndarray:
        """γ_c(q)² of the leaves of dual point k (l, C)."""
        found = self.tables.get((k, sets))
        if found is None:
            if len(self.tables) > TABLES:
                self.tables.clear()
            tree = self.items[k].proof
            assert isinstance(tree, Tree)
            found = self.tables[k, sets] = regrouped(tree, self.space(sets)).squares
        return found

    def kappa(self, k: int, sets: tuple[int, ...], masses: np.ndarray) -> float:
        """The bound of κ_G(m') of dual point k."""
        tree, space = self.items[k].proof, self.space(sets)
        assert isinstance(tree, Tree)
        squares = self.table(k, sets)
        return float(kappa_at(squares, tree.bias, tree.weights, space.own_squares, masses, self.problem.beta))

    def evaluate(self, box: Box, masses: np.ndarray | None = None) -> None:
        """The best bound of the box by dual points at hand; masses: where the last one was made."""
        problem, lam = self.problem, self.problem.lam
        new = range(max(box.seen, len(self.items) - NEWEST), len(self.items))
        box.seen = len(self.items)
        empty = self.floor + 3.0 * lam * float(box.low.sum())
        if empty > box.bound:
            box.bound, box.proof = empty, None
        middle = box.middle
        paid = lam * box.paid(middle)
        tried = []
        for k in dict.fromkeys([*box.near, *new]):
            value, scale = self.items[k].at(problem, self.kappa(k, box.sets, middle))
            tried.append((paid + value, k))
            if paid + value > box.bound:
                box.bound, box.proof = paid + value, Proof(k, middle, scale)
        if masses is not None:
            k = len(self.items) - 1
            value, scale = self.items[k].at(problem, self.kappa(k, box.sets, masses))
            value += lam * box.paid(masses)
            tried.append((value, k))
            if value > box.bound:
                box.bound, box.proof = value, Proof(k, masses, scale)
        tried.sort(key=lambda pair: -pair[0])
        box.near = [k for _, k in tried[:NEAR]]
        for k in box.near[:2]:
            if box.bound >= self.goal:
                return
            self._other_masses(box, k)

    def _other_masses(self, box: Box, k: int) -> None:
        """Better m' than the middle for one dual point (losses with a closed form)."""
        one = self.items[k]
        if one.linear is None or one.square is None:
            return
        tree, space = one.proof, self.space(box.sets)
        assert isinstance(tree, Tree)
        masses = box.middle
        best_masses(
            self.table(k, box.sets), tree.bias, tree.weights, space.own_squares, box.low, box.high,
            self.problem.lam, self.problem.beta, one.linear, one.square, masses,
        )  # fmt: skip
        value, scale = one.at(self.problem, self.kappa(k, box.sets, masses))
        value += self.problem.lam * box.paid(masses)
        if value > box.bound:
            box.bound, box.proof = value, Proof(k, masses, scale)

    def add(self, sets: tuple[int, ...], relaxed: Relaxed) -> None:
        """A new dual point."""
        assert relaxed.tree is not None
        self.items.append(item(self.problem, relaxed.tree.g[np.newaxis], relaxed.tree))
        self.columns = sets, relaxed.columns

    def columns_for(self, sets: tuple[int, ...] | None, space: Space, masses: np.ndarray) -> Columns:
        """The columns at hand, for these classes."""
        known, columns = self.columns
        if columns is not None and known == sets:
            return columns
        normals = np.zeros((0, self.problem.N)) if columns is None else columns.normals
        return support_columns(self.problem, space, masses, normals)

    # -- the search -----------------------------------------------------------------------------------------------------

    def run(self, goal: float) -> float:
        """Improve the least bound until it reaches the goal or the time is up. Returns it. The same goal again: go on."""
        if self.root is None or goal != self.goal:
            used = self.used(self.goal)
            self._reset(goal)
            cap = max(self.reach - self.floor, 0.0) / (3.0 * self.problem.lam)
            newest = range(max(len(self.items) - NEWEST, 0), len(self.items))
            self.root = Box((0,), np.zeros(1), np.array([cap]), ((0, 0.0, cap),), list(dict.fromkeys([*newest, *used])))
            self.root.seen = len(self.items)
            self._push(self.root, -np.inf)
        while not self.exhausted and time.monotonic() < self.deadline:
            priority, _, box = heapq.heappop(self.queue)
            before = box.bound
            if box.seen < len(self.items):
                self.evaluate(box)
            if box.bound >= self.goal:
                self.least = min(self.least, box.bound)
            elif box.bound > before + 1e-9 * abs(before) and box.bound > priority:
                self._wait(box, box.bound)
            else:
                self._improve(box, max(priority, box.bound))
        return min([self.least, *(self.queue[0][:1] if self.queue else ())])

    @property
    def exhausted(self) -> bool:
        """More time would change nothing."""
        return not self.queue or self.count >= MOST_BOXES

    def _wait(self, box: Box, priority: float) -> None:
        self.count += 1
        heapq.heappush(self.queue, (priority, self.count, box))

    def _push(self, box: Box, priority: float) -> None:
        """A new box into the queue; priority: what is known of it."""
        assert self.root is not None
        box.tighten(self.classes.within)
        if np.any(box.low > box.high + 1e-9 * float(self.root.high[0])):
            box.bound = np.inf
            return
        self.evaluate(box)
        if box.bound >= self.goal:
            self.least = min(self.least, box.bound)
        else:
            self._wait(box, max(priority, box.bound))

    def _improve(self, box: Box, priority: float) -> None:
        lam, middle = self.problem.lam, box.middle
        space = self.space(box.sets)
        columns = self.columns_for(box.sets, space, middle)
        relaxed = with_columns(self.problem, space, middle, columns)
        masses, there = middle, relaxed
        for _ in range(2):
            masses = box.better(masses, there.usage)
            there = with_columns(self.problem, space, masses, columns)
        loss = lam * (float(masses.sum()) - box.paid(masses))
        if there.upper - loss >= self.goal:
            enough = (self.goal + loss) * (1.0 + 1e-5)
            there = column_generation(
                self.problem, space, masses, columns, self.accuracy, self.nodes, self.deadline, enough
            )
            if there.tree is not None:
                self.add(box.sets, there)
                self.evaluate(box, masses)
                if box.bound >= self.goal:
                    self.least = min(self.least, box.bound)
                    return
                relaxed = with_columns(self.problem, space, middle, there.columns)
        # Boxes must be tiny where the relaxed problem is little above the goal.
        room = MARGIN * (self.upper - self.goal)
        small = lam * (float(middle.sum()) - box.paid(middle)) < room
        if relaxed.upper < self.goal + (room if small else 0.0) and self._divide(box, middle, relaxed, priority):
            return
        a = int((0.5 * (box.high - box.low) ** 2 / middle).argmax())
        low, high = float(box.low[a]), float(box.high[a])
        t = max(float(np.sqrt(low * high)), low + 0.25 * (high - low))
        if not low < t < high:
            self.least = min(self.least, max(priority, box.bound))
            return
        for child in box.cut(a, t):
            child.seen = 0 if box.seen <= NEWEST else box.seen
            self._push(child, priority)

    # -- classes --------------------------------------------------------------------------------------------------------

    def _divide(self, box: Box, masses: np.ndarray, relaxed: Relaxed, priority: float) -> bool:
        """Cut a class of the box in two, the one whose cut raises the relaxed problem most; False if there is none."""
        found = self._best_cut(box.sets, masses, relaxed) if len(box.sets) < self.most else None
        if found is None:
            return False
        place, first, second = found
        child = box.divide(place, first, second)
        child.near = box.near
        self._push(child, priority)
        return True

    def _best_cut(
        self, sets: tuple[int, ...], masses: np.ndarray, relaxed: Relaxed, free: bool = False
    ) -> tuple[int, int, int] | None:
        """(place, class, class): the cut into two classes that raises the relaxed problem most; None if there is none.

        free: at masses balanced in all classes, with more trials.
        """
        best: tuple[float, int, np.ndarray] | None = None
        tried: set[bytes] = set()
        pairs = candidates(self.space(sets), masses, relaxed, self.problem.beta)
        parts: list[tuple[int, np.ndarray | None]] = []
        for place in dict.fromkeys(place for _, place, _, _ in pairs):
            parts += [(place, self.classes.cones[k]) for k in self.classes.made.get(sets[place], [])[:MADE]]
        if len(self.classes.cones) < MOST_CLASSES:
            parts += [(place, self.classes.part(sets[place], v, w)) for _, place, v, w in pairs]
        for place, part in parts:
            if part is None or part.tobytes() in tried:
                continue
            tried.add(part.tobytes())
            value = self._with_cut(sets, place, part, masses, free)
            if best is None or value > best[0] + 1e-4 * abs(best[0]):
                best = value, place, part
            if (
                len(tried) >= (FREE if free else TRIES)
                or value >= self.goal + MARGIN * (self.upper - self.goal)
                or time.monotonic() >= self.deadline
            ):
                break
        if best is None:
            return None
        return best[1], *self.classes.cut(sets[best[1]], best[2])

    def _with_cut(self, sets: tuple[int, ...], place: int, part: np.ndarray, masses: np.ndarray, free: bool) -> float:
        """The relaxed problem with one class in two, at masses that are balanced in these (free: in all)."""
        problem = self.problem
        group = self.classes.group(sets)
        group[part] = len(sets)
        space = space_of(self.classes.cover, group, problem.activation, problem.beta, len(sets) + 1)
        at = np.append(masses, 0.5 * masses[place])
        at[place] *= 0.5
        return self.balanced(space, at, None if free else [place, len(sets)], 3 * STEPS if free else STEPS)[0].lower

    def balanced(
        self, space: Space, masses: np.ndarray, places: list[int] | None, steps: int = STEPS
    ) -> tuple[Relaxed, np.ndarray]:
        """The relaxed problem after some steps towards m = usage, which lower it.

        places: in these classes alone, with their sum kept.
        """
        columns = self.columns_for(None, space, masses)
        for _ in range(steps):
            relaxed = column_generation(
                self.problem, space, masses, columns, max(ROUGH, self.accuracy), self.nodes, self.deadline
            )
            columns = relaxed.columns
            usage, last = np.maximum(relaxed.usage, 1e-9 * masses.max()), masses
            # The geometric mean is the best step for the solution at hand; unused classes go at once.
            usage = np.where(usage > 0.1 * last, np.sqrt(usage * last), usage)
            if places is None:
                masses = usage
            else:
                masses = masses.copy()
                masses[places] = usage[places] * (last[places].sum() / usage[places].sum())
            if np.allclose(masses, last, rtol=1e-2, atol=1e-3 * last.max()) or time.monotonic() >= self.deadline:
                break
        return relaxed, last

    def prepare(self, total: float, wanted: float, end: float) -> None:
        """Classes cut at balanced masses of the relaxed problem until it reaches `wanted`; total: of the masses, to begin with."""
        self.accuracy = max(0.1 * (self.upper - wanted) / abs(self.upper), 1e-6) if self.upper else 1e-6
        if self.masses is None:
            self.masses = np.array([total])
        while True:
            relaxed, self.masses = self.balanced(self.space(self.sets), self.masses, None, 4 * STEPS)
            if relaxed.tree is None:
                return
            self.add(self.sets, relaxed)
            if relaxed.lower >= wanted or time.monotonic() >= end or len(self.sets) >= self.most:
                return
            found = self._best_cut(self.sets, self.masses, relaxed, free=True)
            if found is None:
                return
            place, first, second = found
            self.sets = (*self.sets[:place], first, *self.sets[place + 1 :], second)
            self.masses[place] *= 0.5
            self.masses = np.append(self.masses, self.masses[place])

    def used(self, target: float) -> list[int]:
        """The dual points of the boxes that prove the target."""
        boxes = proving(self.root, target) if self.root else ()
        return list(dict.fromkeys(box.proof.item for box in boxes if box.bound >= target and box.proof is not None))


def proving(root: Box, target: float) -> Iterator[Box]:
    """The boxes that prove the target and those above them, depth first: what has a bound of its own ends there."""
    stack = [root]
    while stack:
        box = stack.pop()
        yield box
        if box.bound < target:
            stack += box.children[::-1]
