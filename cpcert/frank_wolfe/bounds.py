"""Proven bounds from both sides, rounding included.

Upper: the loss of an explicit network (`network.loss_upper`). Lower: weak duality. For any G ∈ R^{m×N}, any network of
any width, with Z = Σ v_k σ(w_kᵀX̃) + βb1ᵀ, balanced so that its penalty is at least 2λ Σ‖v_k‖‖w_k‖ + λ‖b‖²:

    C(Z) ≥ −C*(−G) − ⟨G, Z⟩                                   (Fenchel)
    ⟨G, Σ v_kσ(w_kᵀX̃)⟩ ≤ γ(G) Σ‖v_k‖‖w_k‖ ≤ 2λ Σ‖v_k‖‖w_k‖      if γ(G) ≤ 2λ
    ⟨G, βb1ᵀ⟩ = β bᵀG1 ≤ λ‖b‖² + (β²/4λ)‖G1‖²

and adding up, L_λ ≥ D(G) = −C*(−G) − (β²/4λ)‖G1‖². From a G with a proven u ≥ γ(G), sG is feasible for 0 ≤ s ≤ 2λ/u as far
as it stays in the domain of C*. D(sG) is concave in s; the best s is found in floating point, then D(sG) is evaluated
exactly (rationals) or with directed rounding (logarithms), and s ≤ 2λ/u is decided exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from cpcert.problem import Problem
from cpcert.rounding import exact_sum, round_down


@dataclass(frozen=True, eq=False)
class DualBound:
    """A proven lower bound of P*: value ≤ D(scale·G), and γ(G) ≤ oracle_bound with scale·oracle_bound ≤ 2λ exactly.

    G: (m, N) float64; for cross-entropy its last row stands for minus the exact sum of the others. proof: what
    proves oracle_bound, by `rung`; units (g, x): the proof is one for G·2^−g and X̃·2^−x.
    """

    value: float
    G: np.ndarray
    scale: float
    oracle_bound: float
    rung: str
    proof: object
    units: tuple[int, int] = (0, 0)


def dual_value(problem: Problem, G: np.ndarray) -> float:
    """D(G) = −C*(−G) − (β²/4λ)‖G1‖² in floating point (−inf outside the domain). G: (m, N)."""
    bias = problem.beta**2 / (4.0 * problem.lam) * float(np.sum(G.sum(axis=1) ** 2))
    return problem.loss.dual_value(G, problem.targets) - bias


def best_scale(problem: Problem, G: np.ndarray, limit: float) -> float:
    """The maximiser of D(sG) over 0 ≤ s ≤ limit, in floating point: D is concave in s. G: (m, N).

    mse and interpolate: D(sG) = s⟨G, Y⟩ − s²Q in closed form. The others have a bounded domain.
    """
    limit = min(limit, problem.loss.max_scale(G, problem.targets))
    if problem.loss.name in ("mse", "interpolate"):
        slope = float(np.sum(G * problem.targets))
        square = problem.beta**2 / (4.0 * problem.lam) * float(np.sum(G.sum(axis=1) ** 2))
        if problem.loss.name == "mse":
            square += 0.25 * problem.N * float(np.sum(G * G))
        if slope <= 0.0:
            return 0.0
        best = slope / (2.0 * square) if square > 1e-300 * slope else math.inf
        return min(limit, best, 1e300)
    if not math.isfinite(limit):
        return 1.0

    def value(s: float) -> float:
        return dual_value(problem, s * G)

    # The usual case: the penalty binds and D still grows at the limit.
    if value(limit) >= value(limit * (1.0 - 1e-9)) and math.isfinite(value(limit)):
        return limit
    low, high = 0.0, limit
    for _ in range(120):
        a, b = low + (high - low) / 3.0, high - (high - low) / 3.0
        if value(a) < value(b):
            low = a
        else:
            high = b
        if high - low <= 1e-15 * limit:
            break
    return 0.5 * (low + high)


def dual_lower_bound(
    problem: Problem, G: np.ndarray, oracle_bound: float, rung: str, proof: object, units: tuple[int, int] = (0, 0)
) -> DualBound:
    """The proven bound from G (m, N) and a proven oracle_bound ≥ γ(G)."""
    two_lam = 2 * Fraction(problem.lam)
    limit = 1e300 if oracle_bound == 0.0 else round_down(two_lam / Fraction(oracle_bound))
    scale = best_scale(problem, G, limit)
    assert Fraction(scale) * Fraction(oracle_bound) <= two_lam
    exact = Fraction(scale)
    value = problem.loss.dual_value_lower(G, exact, problem.targets)
    if problem.beta != 0.0 and math.isfinite(value):
        sums = [exact_sum(row) for row in G]
        if problem.loss.name == "cross_entropy":
            sums[-1] = -sum(sums[:-1], Fraction(0))
        bias = Fraction(problem.beta) ** 2 / (4 * Fraction(problem.lam)) * sum(s * s for s in sums) * exact * exact
        value = round_down(Fraction(value) - bias)
    return DualBound(value, G, scale, oracle_bound, rung, proof, units)


def needed_oracle_bound(problem: Problem, G: np.ndarray, goal: float) -> float:
    """The largest u, in floating point, with D(sG) ≥ goal for s = 2λ/u: how good a proof must be. 0 if none is. (m, N)"""

    def enough(ratio: float) -> bool:
        return dual_value(problem, best_scale(problem, G, 1.0 / ratio) * G) >= goal

    low, high = 1e-9, 1.0
    if enough(1.0):
        while enough(high * 2.0) and high < 1e6:
            high *= 2.0
        low, high = high, high * 2.0
    elif enough(1.0 - 1e-3):
        low = 1.0 - 1e-3
    else:
        return 0.0
    for _ in range(60):
        middle = math.sqrt(low * high)
        if enough(middle):
            low = middle
        else:
            high = middle
    return 2.0 * problem.lam * low
