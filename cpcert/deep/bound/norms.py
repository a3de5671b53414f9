"""κ_G(a) by operator norms: any depth, any number of outputs, any size.

With a_ℓ = ‖W_ℓ‖², ‖Z_1‖ ≤ ..., R_1 = ‖X̃‖ and R_{ℓ+1}² = a_ℓ L² R_ℓ² + Nβ² (L = max(|a₊|, |a₋|)), every top neuron of
unit weights has ‖z‖ ≤ R_{L−1} for depth L, so ‖Gσ(z)‖ ≤ ‖G‖ L R_{L−1}. Only S = Σ a_ℓ is kept: by the inequality of
the means (certificate/DEEP.md, "Norms").

The best G where Σ a_ℓ = S: with μ = 2λ/κ for ‖G‖ = 1 the bound is the maximum of −C*(−G) − (β²/4λ)‖G1‖² over ‖G‖ ≤ μ,
which is the minimum of C(M + βb1ᵀ) + μ‖M‖_* + λ‖b‖² over M (m, N) and b, ‖·‖_* the sum of the singular values; G = −∇C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cpcert.problem import Problem

# Steps for a dual point.
STEPS = 300


@dataclass(frozen=True, eq=False)
class NormItem:
    """One G (m, N) with its operator norm, `size`, and that of X̃, in floating point."""

    problem: Problem
    G: np.ndarray
    points: float

    @cached_property
    def size(self) -> float:
        """‖G‖."""
        return float(np.linalg.norm(self.G, 2))

    def bound(self, total: float) -> float:
        """κ_G(a) wherever Σ a_ℓ ≤ total."""
        return self.size * self.stretch(total)

    def stretch(self, total: float) -> float:
        """κ_G(a)/‖G‖ wherever Σ a_ℓ ≤ total."""
        problem = self.problem
        k, slope = problem.depth - 2, problem.activation.lipschitz**2
        first, bias = self.points**2, problem.N * problem.beta**2
        terms = [bias * (slope * total / max(j, 1)) ** j for j in range(k)]
        square = sum(terms) + first * (slope * total / k) ** k
        if first > 0.0 and slope > 0.0:
            square = min(square, sum(terms[: k - 1]) + first * (slope * (total + bias / (slope * first)) / k) ** k)
        return math.sqrt(slope * square)


def norm_dual(problem: Problem, limit: float) -> np.ndarray:
    """G (m, N) about the best with ‖G‖ ≤ limit: accelerated proximal gradient steps (Beck and Teboulle 2009) for (M, c).

    c = βb√N, so that a step of M and one of c change the outputs M + c1ᵀ/√N as much.
    """
    loss, Y, beta, N = problem.loss, problem.targets, problem.beta, problem.N
    M, c, t = np.zeros_like(Y), np.zeros((problem.m, 1)), 1.0
    ahead, ahead_c = M, c
    step = 1.0 / max(float(np.linalg.norm(loss.hessian(M, Y), axis=(1, 2)).max()), 1e-300)
    for _ in range(STEPS):
        outputs = ahead + ahead_c / math.sqrt(N)
        value, gradient = loss.value(outputs, Y), loss.gradient(outputs, Y)
        pull = gradient.sum(axis=1, keepdims=True) / math.sqrt(N)
        for _ in range(60):
            moved = ahead - step * gradient
            squares, U = np.linalg.eigh(moved @ moved.T)
            kept = np.maximum(1.0 - step * limit / np.sqrt(np.maximum(squares, 1e-300)), 0.0)
            M_next, c_next = (U * kept) @ (U.T @ moved), c
            if beta > 0.0:
                c_next = (ahead_c - step * pull) / (1.0 + 2.0 * step * problem.lam / (N * beta**2))
            changes = ((M_next - ahead, gradient), (c_next - ahead_c, pull))
            model = sum(float(np.sum(d * g) + 0.5 * np.sum(d * d) / step) for d, g in changes)
            if loss.value(M_next + c_next / math.sqrt(N), Y) <= value + model + 1e-12 * abs(value):
                break
            step *= 0.5
        t_next = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * t * t))
        ahead, ahead_c = (new + (t - 1.0) / t_next * (new - old) for new, old in ((M_next, M), (c_next, c)))
        M, c, t = M_next, c_next, t_next
    return loss.project_dual(-loss.gradient(M + c / math.sqrt(N), Y), Y)
