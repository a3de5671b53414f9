"""Time for writing and checking a certificate: what has a deadline is begun only if its predicted end is before it.

Predictions are multiples of what has been measured: `Pace` extrapolates from the part that is done, and the pure Python of the
checker is measured against a loop of long integers, timed once (`slowness`). They may be wrong; nothing but time depends on
them.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import mul

import numpy as np

from cpcert.problem import Problem

# Seconds that the checker takes for an integer of a tree (in at most 10 dimensions), for a product of the sweep over the
# plane and for one of a network; the loop of `slowness` took LOOP seconds on the same machine.
PER_INTEGER, PER_ARC, PER_PRODUCT, LOOP = 1.2e-6, 3e-5, 4e-7, 1.6e-3
# For a node of a tree of cones, and for each of its points with each output (measured: 14 µs at 100 points, 31 at 1 000, 91 at 5 000;
# 141 at 1 000 with three outputs); for a matrix of moments, over its order to the third power.
PER_CONE, PER_LANE, PER_CUBE = 1.2e-5, 2e-8, 3e-8
FIXED = 0.02
# Trimming takes TRIMMING times as long as the replay of a branch and bound, what follows about AFTER times as long; checking
# a cell takes CHECK_PER_CELL times as long as writing it.
TRIMMING, AFTER, CHECK_PER_CELL = 1.1, 1.4, 1.0
# What `Clock.skipped` says where the time was short: of room in the file, and of the bound.
NOT_TRIMMED = "trimming the proof"
NO_PROOF = "the proof of the lower bound that the search found"
# No extrapolation from less than this many seconds.
ENOUGH = 0.05


class Late(Exception):
    """The next step would end after the deadline."""


@dataclass(eq=False)
class Clock:
    """A deadline, as a `time.monotonic()` (None: none), and what was skipped for it, in words."""

    deadline: float | None = None
    skipped: list[str] = field(default_factory=list)

    def left(self) -> float:
        """Seconds until the deadline."""
        return math.inf if self.deadline is None else self.deadline - time.monotonic()

    def require(self, seconds: float) -> None:
        """Raise Late if a step of so many seconds would not end in time."""
        if seconds > self.left():
            raise Late


@dataclass(eq=False)
class Pace:
    """How long `total` units of work and what follows them take, from the units done so far.

    after: the time of what follows, over that of the work.
    """

    total: int
    after: float
    done: int = 0
    seconds: float = 0.0

    def step(self, units: int, seconds: float, clock: Clock) -> None:
        """So many units more were done in so many seconds; raises Late when the rest will not end in time."""
        self.done += units
        self.seconds += seconds
        if self.seconds > ENOUGH:
            clock.require(self.ahead(self.total - self.done + self.after * self.total))

    def ahead(self, units: float) -> float:
        """The predicted seconds of so many units."""
        return units * self.seconds / max(self.done, 1)


@functools.cache
def slowness() -> float:
    """How much longer than on the machine of these constants Python's long integers take here."""
    numbers = [(1 << 60) - 7919 * k for k in range(10)]
    best = math.inf
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(2000):
            sum(map(mul, numbers, numbers))
        best = min(best, time.perf_counter() - start)
    return best / LOOP


def check_seconds(arrays: Mapping[str, np.ndarray], problem: Problem) -> float:
    """The predicted time to compress and to check a lower bound with these arrays."""
    integers = sum(len(arrays[name]) for name in ("proof", "y", "rho", "mu") if name in arrays)
    seconds = PER_INTEGER * integers * max(1.0, problem.n / 10.0)
    if "proof" not in arrays:  # the sweep over the arcs of the plane
        seconds += PER_ARC * problem.N * problem.m
    elif "theta" in arrays:
        lanes = problem.N if problem.m == 1 else 2 * problem.N * problem.m
        seconds = (PER_CONE + PER_LANE * lanes) * len(arrays["proof"])
    elif set(arrays) & {"y", "planes", "norms"} == set():
        seconds += PER_CUBE * 2.0 * (1.0 + problem.n + problem.N + problem.m) ** 3
    return slowness() * (FIXED + seconds)


def network_seconds(problem: Problem, width: int) -> float:
    """The predicted time to compute the loss of a network exactly, a repaired interpolation included."""
    products = width * problem.N * (problem.n + problem.m)
    if problem.loss.is_constraint:
        products += problem.N**3
    return slowness() * PER_PRODUCT * products
