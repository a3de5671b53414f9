"""The numbers that a proof is about.

γ(G) is asked for the points x_i ∈ R^n and G. Proofs are about x̂_i·2^−x and G·2^−g: coordinates of the rank of the
points (coordinates.py), and powers of two that bring both near 1 without rounding, so that no square over- or
underflows. A `Frame` says which, once: it is made where a proof begins (ladder.py), the answer owns it, and who writes
the proof down reads it. A rung that scales points further, one by one, leaves its `Rows` in the proof.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace

import numpy as np

from cpcert.oracle.coordinates import Coordinates


@dataclass(frozen=True, eq=False)
class Frame:
    """space: the coordinates x̂_i, before any power of two. g, x: proofs are about G·2^−g and x̂_i·2^−x."""

    space: Coordinates
    g: int
    x: int

    @property
    def unit(self) -> int:
        """Values of ‖Gσ(X̂ᵀw)‖ are those of the proofs times 2^unit."""
        return self.g + self.x

    def outputs(self, G: np.ndarray) -> np.ndarray:
        """G (m, N) as in the proofs."""
        return np.ldexp(G, -self.g)

    def coordinates(self) -> Coordinates:
        """The coordinates as in the proofs."""
        points, residual = (np.ldexp(A, -self.x) for A in (self.space.points, self.space.residual))
        return replace(self.space, points=points, residual=residual)

    def value(self, value: float) -> float:
        """A number of the size of γ(G), like a cutoff, as in the proofs."""
        with np.errstate(over="ignore"):
            return float(np.ldexp(value, -self.unit))

    def bound(self, bound: float) -> float:
        """bound·2^unit of a proven bound: the next float where that underflows, inf where it overflows or is no number."""
        if not bound < math.inf:
            return math.inf
        try:
            result = math.ldexp(bound, self.unit)
        except OverflowError:
            return math.inf
        return result if abs(result) >= sys.float_info.min or bound == 0.0 else math.nextafter(result, math.inf)


def frame_of(space: Coordinates, G: np.ndarray) -> Frame:
    """The frame in which the largest entries of G (m, N) and of the points are near 1. G is finite."""
    exponents = [math.frexp(float(np.abs(A).max(initial=0.0)))[1] for A in (G, space.points)]
    return Frame(space, *exponents)


@dataclass(frozen=True, eq=False)
class Rows:
    """Points scaled one by one in a proof: x_i becomes x_i·2^−exponents_i, its weight κ_i or g_i is multiplied by
    2^exponents_i, and all values are divided by 2^unit. exponents (N,): 0 at the origin. kept (K,): the points that play
    a part, in order."""

    kept: np.ndarray
    exponents: np.ndarray
    unit: int
