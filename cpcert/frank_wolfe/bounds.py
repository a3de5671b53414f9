"""Proven bounds from both sides, rounding included.

Upper: the loss of an explicit network (`network.loss_upper`). Lower: weak duality. For any G ∈ R^{m×N} with γ(G) ≤ 2λ
and every network of every width

    L_λ ≥ D(G) = −C*(−G) − (β²/4λ)‖G1‖².

From a G with a proven u ≥ γ(G), sG is feasible for 0 ≤ s ≤ 2λ/u as far as it stays in the domain of C*. D(sG) is
concave in s; the best s is found in floating point, then D(sG) is evaluated exactly (rationals) or with directed
rounding (logarithms), and s ≤ 2λ/u is decided exactly. docs/mathematics/bounds.md has the three lines of the proof.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from cpcert.errors import ProofError
from cpcert.oracle.frame import Frame
from cpcert.problem import Problem
from cpcert.rounding import DIGITS_LOST, EPS, exact_sum, round_down, round_up


@dataclass(frozen=True, eq=False)
class DualBound:
    """A proven lower bound of P*: value ≤ D(sG), and γ(G) ≤ oracle_bound with s·oracle_bound ≤ 2λ exactly, s = dual_scale.

    G: (m, N) float64; it stands for the exact dual point `Loss.exact_dual`. proof: what proves oracle_bound, by `rung`, in the
    numbers of `frame`; both None for a bound that no certificate is written of.
    """

    value: float
    G: np.ndarray
    dual_scale: float
    oracle_bound: float
    rung: str
    proof: object
    frame: Frame | None


def dual_value(problem: Problem, G: np.ndarray) -> float:
    """D(G) = −C*(−G) − (β²/4λ)‖G1‖² in floating point (−inf outside the domain). G: (m, N)."""
    bias = problem.beta**2 / (4.0 * problem.lam) * float(np.sum(G.sum(axis=1) ** 2))
    return problem.loss.dual_value(G, problem.targets) - bias


def best_scale(problem: Problem, G: np.ndarray, limit: float, end: float | None = None) -> float:
    """The maximiser of D(sG) over 0 ≤ s ≤ limit, in floating point: D is concave in s. G: (m, N).

    In closed form where D(sG) = sa − s²q (`Loss.dual_ray`); else the domain is bounded. 0 where no other s is better, up to the
    rounding of −C*. end: `Loss.max_scale` of G, which is exact and takes as long as all the rest, if it is known.
    """
    limit = min(limit, problem.loss.max_scale(G, problem.targets) if end is None else end)
    slope, square = _ray(problem, G)
    if slope is not None:
        if slope <= 0.0:
            return 0.0
        best = slope / (2.0 * square) if square > 1e-300 * slope else math.inf
        return min(limit, best, 1e300)
    if not math.isfinite(limit):
        return 1.0

    def value(s: float) -> float:
        # The penalty from its own coefficient: the sums of a rounded sG are noise where those of G cancel.
        return problem.loss.dual_value(s * G, problem.targets) - square * s * s

    # The usual case: the penalty binds and D still grows at the limit.
    if value(limit) >= max(value(limit * (1.0 - 1e-9)), value(0.0)) and math.isfinite(value(limit)):
        return limit
    high = limit
    while True:
        best = _ternary_search(value, high)
        if best > 1e-6 * high or high <= sys.float_info.min:
            break
        high = 1e-5 * high  # the maximum is nearer to 0 than the search can see
    return max(best, limit, 0.0, key=value)


def _ternary_search(value: Callable[[float], float], high: float) -> float:
    """The maximiser of a concave function over [0, high], to 1e-15 of `high`."""
    low, top = 0.0, high
    for _ in range(120):
        a, b = low + (top - low) / 3.0, top - (top - low) / 3.0
        if value(a) < value(b):
            low = a
        else:
            top = b
        if top - low <= 1e-15 * high:
            break
    return 0.5 * (low + top)


def _ray(problem: Problem, G: np.ndarray) -> tuple[float | None, float]:
    """(a, q) of D(sG) = sa − s²q; or (None, q) with q = (β²/4λ)‖G1‖², and −C* stands for the rest. G: (m, N).

    Floating point where the sums keep their digits, rationals where their terms cancel.
    """
    slope, quadratic = problem.loss.dual_ray(G, problem.targets) or (None, 0.0)
    weight = problem.beta**2 / (4.0 * problem.lam)
    sums = G.sum(axis=1)
    square = weight * float(np.sum(sums**2))
    error = EPS * problem.N * np.abs(G).sum(axis=1)
    if weight * float(np.sum(error * (np.abs(sums) + error))) > DIGITS_LOST * (square + quadratic):
        square = round_up(_bias_penalty(problem, G))
    return slope, square + quadratic


def _bias_penalty(problem: Problem, G: np.ndarray) -> Fraction:
    """(β²/4λ)‖G1‖² of the exact dual point."""
    sums = problem.loss.exact_dual([[exact_sum(row)] for row in G])
    square = sum((s * s for (s,) in sums), Fraction(0))
    return Fraction(problem.beta) ** 2 / (4 * Fraction(problem.lam)) * square


def dual_lower_bound(
    problem: Problem, G: np.ndarray, oracle_bound: float, rung: str, proof: object, frame: Frame | None
) -> DualBound:
    """The proven bound from G (m, N) and a proven oracle_bound ≥ γ(G), and at least D(0).

    Raises ProofError if the scale should ever exceed 2λ/oracle_bound.
    """
    two_lam = 2 * Fraction(problem.lam)
    limit = 1e300 if oracle_bound == 0.0 else round_down(two_lam / Fraction(oracle_bound))
    dual_scale = best_scale(problem, G, limit)
    if not 0 <= Fraction(dual_scale) * Fraction(oracle_bound) <= two_lam:
        raise ProofError(
            f"the dual point scaled by {dual_scale!r} is not feasible: its oracle bound is {oracle_bound!r}"
        )
    value = _dual_value_lower(problem, G, dual_scale)
    if value < 0.0 < dual_scale:  # D(0) ≥ 0, as C ≥ 0
        dual_scale, value = 0.0, _dual_value_lower(problem, G, 0.0)
    return DualBound(value, G, dual_scale, oracle_bound, rung, proof, frame)


def _dual_value_lower(problem: Problem, G: np.ndarray, scale: float) -> float:
    """D(scale·G), rounded down: proven; −inf outside the domain."""
    exact = Fraction(scale)
    value = problem.loss.dual_value_lower(G, exact, problem.targets)
    if problem.beta == 0.0 or not math.isfinite(value):
        return value
    return round_down(Fraction(value) - _bias_penalty(problem, G) * exact * exact)


def needed_oracle_bound(problem: Problem, G: np.ndarray, goal: float) -> float:
    """The largest u, in floating point, with D(sG) ≥ goal for s = 2λ/u: how good a proof must be. 0 if none is. (m, N)"""
    end = problem.loss.max_scale(G, problem.targets)

    def enough(ratio: float) -> bool:
        return dual_value(problem, best_scale(problem, G, 1.0 / ratio, end) * G) >= goal

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
