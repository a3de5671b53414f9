"""What a writer of proofs gets and gives.

A *writer* turns the proof object of a rung into the numbers of SPEC.md: a function (task, proof) -> Iterator[Attempt] in
a file of its own, listed in proofs.py. It yields attempts, the best first; the builder (build.py) puts each into a file,
has it checked, and takes the first that the checker accepts. The bound of an attempt is that of the search, raised by the
smallest of `SLACKS` that does: multipliers are rounded to few bits, which costs a little. A writer raises ProofError when
the proof does not hold what it should, and Late (by `task.clock`) when the rest will not end in time; the norms of
spectral.py then prove what they can.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from cpcert.certificate import check
from cpcert.certificate.clock import Clock
from cpcert.oracle.frame import Frame
from cpcert.problem import Problem
from cpcert.rounding import round_up

# Relative amounts by which the bound of the oracle is raised until the check succeeds. Those above the fifth are for
# multipliers so far apart that 64 bits do not hold them all: a weaker bound, where there would be none.
SLACKS = (2.0**-44, 2.0**-38, 2.0**-32, 2.0**-27, 2.0**-22, 2.0**-17, 2.0**-12, 2.0**-8, 2.0**-4)


@dataclass(frozen=True, eq=False)
class Attempt:
    """γ(G) ≤ bound as `oracle` of the header and its arrays say it."""

    bound: float
    oracle: dict[str, Any]
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Task:
    """Write the proof of γ(G) ≤ oracle_bound, G (m, N), found in the numbers of `frame`.

    exact: the problem as the checker sees it. clock: what is left of the time.
    """

    problem: Problem
    exact: check.Problem
    G: np.ndarray
    oracle_bound: float
    frame: Frame
    clock: Clock

    @cached_property
    def exact_G(self) -> tuple[check.Matrix, int]:
        """G as the checker sees it: integers over a power of two, of the exact dual point that stands for G."""
        rows, exponent = check.matrix(self.G.ravel().tolist(), self.problem.m, self.problem.N, "G")
        return self.problem.loss.exact_dual(rows), exponent

    @property
    def points(self) -> np.ndarray:
        """The coordinates x̂_i (N, r), before any power of two."""
        return self.frame.space.points

    @property
    def wrapped(self) -> bool:
        """Whether proofs are about fewer coordinates than the points have."""
        return self.points.shape[1] < self.problem.n

    def raised(self, slack: float) -> float:
        """The bound to write: that of the oracle, raised by the part `slack`."""
        return round_up(Fraction(self.oracle_bound) * (1 + Fraction(slack)))

    def inside(self, bound: float) -> float:
        """The largest bound for x̂_i from which `bound` follows for the points themselves."""
        if not self.wrapped:
            return bound
        space = self.frame.space
        rest = float(np.linalg.norm(self.G, axis=0) @ space.residual) * self.problem.activation.lipschitz * (1.0 + 1e-9)
        return (bound - rest) / space.stretch * (1.0 - 2.0**-50)

    def attempt(self, bound: float, oracle: dict[str, Any], arrays: dict[str, np.ndarray]) -> Attempt:
        """γ(G) ≤ bound from a proof of γ(G) ≤ inside(bound) for x̂_i."""
        if not self.wrapped:
            return Attempt(bound, oracle, arrays)
        space = self.frame.space
        around = {"kind": "coordinates", "bound": self.inside(bound), "inner": oracle}
        return Attempt(bound, around, {**arrays, "basis": space.basis.ravel(), "coordinates": space.points.ravel()})
