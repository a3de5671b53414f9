"""Powers of two that bring inputs and targets to size 1 before any step is computed, exactly.

With X̃ = 2^x X̃′, Y = 2^y Y′, Z = 2^y Z′, v = 2^{y−x} v′ and the output offset d = βb = 2^y d′, for the squared loss

    C(Z) + 2λ Σ‖v_k‖ + (λ/β²)‖d‖² = 4^y [C′(Z′) + 2λ′ Σ‖v′_k‖ + (λ/β²)‖d′‖²],   λ′ = 2^{−x−y} λ,

the same problem with λ′, whose output bias has a weight of its own, β′² = 2^{−x−y} β². Nothing is rounded, so a
solution does not depend on the units of X̃ and Y together. Single features cannot be rescaled: λ‖W₁‖² would change.

Only where the steps compute is this seen; bounds are those of the original problem. The other losses and the
multipliers are in docs/mathematics/corrective.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cpcert.frank_wolfe.active_set import Neurons
from cpcert.problem import Problem, unchecked

# Sizes that are left as they are: 2^-NEAR to 2^NEAR.
NEAR = 3


@dataclass(frozen=True, eq=False)
class Scaling:
    """What the steps see, and the way back.

    problem: λ′, Y′ and the β′ of the output bias (no step reads its X). points: (N, r), of X̃′. x, y: exponents.
    """

    problem: Problem
    points: np.ndarray
    x: int
    y: int

    def outward(self, neurons: Neurons) -> Neurons:
        """Neurons of the scaled problem in the units of the original one."""
        exponent = self.y - self.x
        V, b = np.ldexp(neurons.V, exponent), np.ldexp(neurons.b, exponent // 2)  # b is 0 where the exponent is odd
        return Neurons(neurons.W, V, b, neurons.patterns)

    def dual(self, G: np.ndarray) -> np.ndarray:
        """The dual point (m, N) of the original problem that belongs to one of the scaled problem."""
        return np.ldexp(G, -self.x if self.problem.loss.is_constraint else self.y)


def scaling(problem: Problem, points: np.ndarray) -> Scaling:
    """The scaling of a problem of depth 2 with X̃ in coordinates, points (N, r); the identity for data of size near 1."""
    x = _exponent(points)
    y = 0 if problem.loss.degree is None else _exponent(problem.Y)
    if problem.beta != 0.0 and (x + y) % 2:
        x, y = (x + 1, y) if x else (x, y + 1)
    if x == y == 0:
        return Scaling(problem, points, 0, 0)
    lam = problem.lam if problem.loss.is_constraint else math.ldexp(problem.lam, -x - y)
    beta = math.ldexp(problem.beta, -(x + y) // 2)
    scaled = unchecked(problem, Y=np.ldexp(problem.Y, -y), lam=lam, beta=beta)
    return Scaling(scaled, np.ldexp(points, -x), x, y)


def _exponent(A: np.ndarray) -> int:
    """e with max|A| in [2^{e−1}, 2^e), or 0 where that is near 1 or A vanishes."""
    largest = float(np.abs(A).max(initial=0.0))
    e = math.frexp(largest)[1]
    return 0 if largest == 0.0 or -NEAR < e <= NEAR else e
