"""κ_G(a) by operator norms: any depth, any number of outputs, any size.

With a_ℓ = ‖W_ℓ‖², ‖Z_1‖ ≤ ..., R_1 = ‖X̃‖ and R_{ℓ+1}² = a_ℓ L² R_ℓ² + Nβ² (L = max(|a₊|, |a₋|)), every top neuron of
unit weights has ‖z‖ ≤ R_{L−1} for depth L, so ‖Gσ(z)‖ ≤ ‖G‖ L R_{L−1}. Only S = Σ a_ℓ is kept: by the inequality of
the means (certificate/DEEP.md, "Norms").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cpcert.problem import Problem


@dataclass(frozen=True, eq=False)
class NormItem:
    """One G (m, N) with its operator norm and that of X̃, in floating point."""

    problem: Problem
    G: np.ndarray
    size: float
    points: float

    def bound(self, total: float) -> float:
        """κ_G(a) wherever Σ a_ℓ ≤ total."""
        problem = self.problem
        k, slope = problem.depth - 2, problem.activation.lipschitz**2
        first, bias = self.points**2, problem.N * problem.beta**2
        terms = [bias * (slope * total / max(j, 1)) ** j for j in range(k)]
        square = sum(terms) + first * (slope * total / k) ** k
        if first > 0.0 and slope > 0.0:
            square = min(square, sum(terms[: k - 1]) + first * (slope * (total + bias / (slope * first)) / k) ** k)
        return self.size * math.sqrt(slope * square)


def norm_item(problem: Problem, G: np.ndarray) -> NormItem:
    """The item of a dual point G (m, N)."""
    return NormItem(problem, G, float(np.linalg.norm(G, 2)), float(np.linalg.norm(problem.X_tilde, 2)))
