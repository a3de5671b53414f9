"""Boxes of masses of the top neurons, best first: the bound of boxes.py from the other side.

A class g of top neurons has a sign of v and signs of some z_i, and n_g = Σ v_j². With trees over the signs of z for G and −G
(certificate/DEEP.md, (6))

    L_λ ≥ λΣ(2n_g − n_g²/n'_g) + ψ_G(s) − (s²/4λ)Σ n'_gM_g(β1)²,   s²·max Σ n'_gM_g(σ(X̃ᵀw))² ≤ 4λ²,

M_g(φ) the largest |q·φ| + Σc_i|φ_i| of the leaves of the class. Good networks have few top neurons, so few classes are enough,
in any dimension and for any number of points. The best G and q at n' come from top_program.py. Floating point: the exact
checker does every box again.
"""

from __future__ import annotations

import heapq
import time

import numpy as np

from cpcert.deep.bound.boxes import Box, Proof
from cpcert.deep.bound.cover import Cover
from cpcert.deep.bound.items import ROOM, Item, Tops, item
from cpcert.deep.bound.maxima import largest
from cpcert.deep.bound.top_program import Found, TopProgram
from cpcert.frank_wolfe.bounds import dual_value
from cpcert.network import Network
from cpcert.problem import Problem

MOST_BOXES, MOST_CLASSES = 20_000, 30
# Items of the boxes above that a box is tried with, changes of n' for a box.
NEAR, CHANGES = 6, 2
# A class is divided where this gains so many times as much as its intervals cost: a division makes them wide again.
DIVIDE = 15.0


def halves(bits: int, i: int) -> tuple[int, int]:
    """The class in two, by the sign of z_i: ≥ 0, ≤ 0."""
    return bits & ~(2 << 2 * i), bits & ~(1 << 2 * i)


class TopSearch:
    """The boxes (mse), for one goal after another. network: where to begin. gap: the least one that will be asked for."""

    def __init__(
        self, problem: Problem, cover: Cover, upper: float, network: Network, gap: float, deadline: float
    ) -> None:
        self.problem, self.cover, self.upper, self.deadline = problem, cover, upper, deadline
        rays = cover.rays[cover.simplices]
        self.grams = np.einsum("kar,kbr->kab", rays, rays)
        self.program = TopProgram(problem, cover, upper, gap)
        self.layers = 3.0 if problem.beta == 0.0 else 2.0
        self.floor = dual_value(problem, np.zeros_like(problem.targets))
        self.items: list[Item] = []
        self.queue: list[tuple[float, int, Box]] = []
        self.done: list[Box] = []
        self.count, self.goal = 0, upper
        kappa = -problem.activation.kink * problem.loss.gradient(network.forward(problem.X)[-1], problem.targets)[0]
        masses = network.weights[-1][0] ** 2
        for v, z in zip(network.weights[-1][0], network.forward(problem.X)[1], strict=False):
            if v * v > 1e-2 * masses.sum():
                side = 1 if v > 0.0 else -1
                self.program.add_pattern(side, np.where(side * kappa > 0.0, np.where(z > 0.0, 1, -1), 0))
        cap = (1.0 + 1e-9) * max(upper - self.floor, 0.0) / (self.layers * problem.lam)
        everything = (1 << 2 * problem.N + 2) - 1
        self.root = Box((everything,), np.zeros(1), np.array([cap]), ((everything, 0.0, cap),), [])
        self.root.bound = self.floor
        self._divide(self.root, 0, problem.N, self.floor)

    def squares(self, k: int, bits: int) -> np.ndarray:
        """M_g² of item k at the rays, and at β1 (M + 1,)."""
        one = self.items[k].proof
        assert isinstance(one, Tops)
        if bits not in one.squares:
            one.squares[bits] = one.values[self.program.compatible(bits, one.sides, one.decided)].max(axis=0) ** 2
        return one.squares[bits]

    def try_item(self, box: Box, k: int, masses: np.ndarray) -> None:
        """(6) over the box for item k at n' = masses."""
        one, lam = self.items[k], self.problem.lam
        assert one.linear is not None and one.square is not None
        values = np.sqrt(masses @ np.array([self.squares(k, bits) for bits in box.sets]))
        gamma = largest(values[:-1], self.cover.simplices, self.grams, self.cover.stretch) * (1.0 + ROOM)
        square = one.square + values[-1] ** 2 / (4.0 * lam)
        s = min(2.0 * lam / max(gamma, 1e-290), 0.5 * max(one.linear, 0.0) / max(square, 1e-290))
        value = lam * box.paid(masses) + s * one.linear - s * s * square
        if value > box.bound:
            box.bound, box.proof = value, Proof(k, masses, s)

    # -- the search -----------------------------------------------------------------------------------------------------

    def run(self, goal: float) -> float:
        """Improve the least bound until it reaches the goal or the time is up. Returns what is proven, about."""
        self.goal = goal
        done, self.done = self.done, []
        for box in done:
            self._wait(box, box.bound)
        while not self.exhausted and time.monotonic() < self.deadline:
            priority, _, box = heapq.heappop(self.queue)
            if box.bound >= goal:
                self.done.append(box)
            else:
                self._improve(box, priority)
        return proven(self.root)

    @property
    def exhausted(self) -> bool:
        """More time would change nothing."""
        return not self.queue or self.count >= MOST_BOXES

    def _wait(self, box: Box, priority: float) -> None:
        self.count += 1
        heapq.heappush(self.queue, (priority, self.count, box))

    def _push(self, box: Box, priority: float) -> None:
        """A new box into the queue; priority: what is known of it."""
        box.tighten(lambda a, whole: a & ~whole == 0)
        if np.any(box.low > box.high + 1e-9 * float(self.root.high[0])):
            box.bound, box.proof = np.inf, None
            return
        empty = self.floor + self.layers * self.problem.lam * float(box.low.sum())
        if empty > box.bound:
            box.bound, box.proof = empty, None
        for k in box.near:
            if box.bound >= self.goal:
                break
            self.try_item(box, k, box.middle)
        if box.bound >= self.goal:
            self.done.append(box)
        else:
            self._wait(box, max(priority, box.bound))

    def _improve(self, box: Box, priority: float) -> None:
        """A new item for the box, or cut it."""
        lam, masses = self.problem.lam, box.middle
        found, at, relaxed = None, masses, -np.inf
        for _ in range(CHANGES):
            one = self.program.solve(box.sets, masses, self.goal - lam * box.paid(masses))
            if one is None:
                break
            found, at = one, masses
            relaxed = max(relaxed, one.solved.value + lam * box.paid(masses))
            if one.tops is not None:
                self.items.append(item(self.problem, one.tops.g[np.newaxis], one.tops))
                box.near = [len(self.items) - 1, *box.near][:NEAR]
                self.try_item(box, len(self.items) - 1, masses)
                if box.bound >= self.goal:
                    self.done.append(box)
                    return
            usage = np.maximum(one.solved.usage, 1e-12 * max(float(one.solved.usage.max()), 1e-280))
            masses = box.better(masses, usage)
            if np.allclose(masses, at, rtol=0.05):
                break
        if found is None:
            self.done.append(box)
            return
        # Boxes are cut where the cone program says that they lie lowest.
        priority = max(priority, min(relaxed, self.goal))
        place, t, loss = box.best_cut(at, np.maximum(found.solved.usage, 1e-300))
        gain, g, i = self._best_division(at, found)
        if gain > DIVIDE * lam * loss and len(box.sets) < MOST_CLASSES:
            self._divide(box, g, i, priority)
        elif box.low[place] < t < box.high[place]:
            for child in box.cut(place, t):
                child.near = box.near
                self._push(child, priority)
        else:
            self.done.append(box)

    def _best_division(self, masses: np.ndarray, found: Found) -> tuple[float, int, int]:
        """(gain, class, point): the sign that raises the value at this solution most, the mass of the class shared in the best way.

        With Σ|a| for the leaves of each side, n_g in parts f and 1 − f, a direction costs (Σ_g a_g²/n_g)^½.
        """
        best, share = (0.0, 0, 0), np.linspace(0.05, 0.95, 19)[:, None]
        amount = found.solved.amount
        norms = np.sqrt(np.einsum("gsw,g->w", amount.sum(axis=1, keepdims=True) ** 2, 1.0 / masses))
        for g, a in enumerate(amount):
            used = a.sum(axis=1) > 1e-3 * max(float(a.sum()), 1e-300)
            signs, a = found.decided[used], a[used]
            for i in np.flatnonzero((signs > 0).any(axis=0) & (signs < 0).any(axis=0)).tolist():
                up, down = a[signs[:, i] > 0].sum(axis=0), a[signs[:, i] < 0].sum(axis=0)
                rest = a.sum(axis=0) - up - down
                up, down = (up + rest, down) if up.sum() >= down.sum() else (up, down + rest)
                more = (up**2 / share + down**2 / (1.0 - share) - (up + down) ** 2) / masses[g]
                gain = float((np.sqrt(norms**2 + np.maximum(more, 0.0)) - norms).sum(axis=1).min())
                best = max(best, (2.0 * self.problem.lam * gain, g, i), key=lambda one: one[0])
        return best

    def _divide(self, box: Box, place: int, i: int, priority: float) -> None:
        """Two classes for one: by the sign of z_i, or of v."""
        near = box.near
        child = box.divide(place, *halves(box.sets[place], i))
        child.near = near
        box.step = ("divide", place, float(i))
        self._push(child, priority)


def proven(root: Box) -> float:
    """The largest target that the boxes prove."""
    order = [root]
    for box in order:
        order += box.children
    value: dict[int, float] = {}
    for box in reversed(order):
        value[id(box)] = max(box.bound, min((value[id(child)] for child in box.children), default=-np.inf))
    return value[id(root)]
