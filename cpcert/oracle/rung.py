"""What a rung of the ladder is: the question it gets, the limits it keeps, and its entry in the ladder.

A new rung is a file in this folder with a function prove(question, limits) -> OracleAnswer and a dataclass for its
proof, one entry in `LADDER` (ladder.py), and a writer in certificate/ (certificate/proofs.py says how to add one).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cpcert.activations import Activation
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.coordinates import Coordinates
from cpcert.oracle.frame import Frame
from cpcert.parallel import HERE, Workers, late

# Singular values of G below this, relative to the largest, do not count for its rank.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True, eq=False)
class Limits:
    """nodes: at most so many nodes (None: any). deadline: a `time.monotonic()` (None: none). workers: who visits them."""

    nodes: int | None = None
    deadline: float | None = None
    workers: Workers = HERE

    def left(self, used: int, at_least: int = 0) -> Limits:
        """What remains after `used` nodes, and some in any case."""
        return replace(self, nodes=None if self.nodes is None else max(self.nodes - used, at_least))

    def at_most(self, nodes: int) -> Limits:
        """No more than so many nodes."""
        return replace(self, nodes=nodes if self.nodes is None else min(nodes, self.nodes))

    def late(self) -> bool:
        """Whether the time is over."""
        return late(self.deadline)

    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.late() or (self.nodes is not None and self.nodes <= 0)


NO_LIMITS = Limits()


@dataclass(frozen=True, eq=False)
class Question:
    """Is γ(G) ≤ cutoff? All in the numbers of `frame`: G (m, N), space.points (N, r) and the cutoff, which is the one
    for the original points. seed: of local searches. looseness: the cutoff over the largest value known."""

    frame: Frame
    space: Coordinates
    G: np.ndarray
    activation: Activation
    cutoff: float
    seed: int
    looseness: float = 1.0

    @property
    def points(self) -> np.ndarray:
        """x̂_i (N, r): what rungs work with."""
        return self.space.points

    def lifted(self, bound: float) -> float:
        """A proven bound for the original points from one for x̂_i."""
        return self.space.upper_bound(bound, self.G, self.activation.lipschitz)

    @cached_property
    def aim(self) -> float:
        """What to prove for x̂_i, so that the way back to the original points still ends at the cutoff."""
        return self.cutoff - (self.lifted(self.cutoff) - self.cutoff) * (1.0 + 1e-6)

    @cached_property
    def rank(self) -> int:
        """The rank of G, in floating point."""
        singular = np.linalg.svd(self.G, compute_uv=False)
        return int((singular > NEGLIGIBLE * singular[0]).sum())


@dataclass(frozen=True, eq=False)
class Rung:
    """One way to prove a bound of γ(G).

    applies: to which questions. prove: the answer, with a proven upper_bound for x̂_i in the numbers of the question,
    whatever ended it, and the neurons above the cutoff that it met. free: it visits no nodes and does not ask for
    limits. exact: its bound is γ(G) up to rounding, so that no other rung is tried after it. share: the nodes it gets at
    most while another rung follows (None: all).
    """

    name: str
    applies: Callable[[Question], bool]
    prove: Callable[[Question, Limits], OracleAnswer]
    free: bool = False
    exact: bool = False
    share: int | None = None
