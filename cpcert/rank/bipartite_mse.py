"""B_N with the squared loss: how Rank_σ of the optimum changes with λ.

X = I, Y = B = EᵀE for the balanced complete bipartite graph on N = 2n vertices, β = 0, ReLU, C = (1/N)‖Z − Y‖². From
‖W_1‖² + ‖W_2‖² ≥ 2‖Z‖_* (nuclear norm) the optimum is known: for λ ≤ 1/2

    Z* = (1 − 2λ)B + λ11ᵀ,      minimum λN² − λ²N(N − 1),                                                              (1)

K = K^σ = Z* is the only optimal pair, and Rank_σ of the optimum is the cp-rank of Z*, a rational matrix where λ is
rational. It is at most n² = N²/4 for every λ, by n² atoms p(e_i + e_j) + q1, and

    cp-rank > K   for each K < n² with (1 − λ)² > K²λZ*_ii,   Z*_ii = (1 − 2λ)n + λ.                                         (2)

For λ below about (2/N)⁵ that is N²/4: "λ small enough" with a number. Above it the bounds of bounds.py for Z* often do
better; they need not meet. docs/mathematics/graphs.md derives both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from cpcert.outcomes import Outcome
from cpcert.output import write_json
from cpcert.printing import decimal
from cpcert.rank.answers import describe
from cpcert.rank.bounds import cp_rank_bounds
from cpcert.rank.matrices import Rows

LAMBDAS = tuple(Fraction(text) for text in ("0.0001", "0.001", "0.01", "0.05", "0.1", "0.2", "0.3", "0.4", "0.5"))


@dataclass(frozen=True)
class PathStep:
    """lower ≤ Rank_σ of the mse optimum of B_N at lam ≤ upper, proven; minimum: the loss there, exactly."""

    lam: Fraction
    minimum: Fraction
    lower: int
    upper: int
    lower_proof: str
    upper_proof: str


def optimal_matrix(N: int, lam: Fraction) -> Rows:
    """Z* of (1), N even, 0 < lam ≤ 1/2."""
    n = N // 2

    def entry(i: int, j: int) -> int | Fraction:
        B = n if i == j else int((i < n) != (j < n))
        return (1 - 2 * lam) * B + lam

    return [[entry(i, j) for j in range(N)] for i in range(N)]


def pigeonhole_bound(N: int, lam: Fraction) -> int:
    """1 + the largest K of (2), at most N²/4; exactly decided. N even, 0 < lam ≤ 1/2."""
    n = N // 2
    square = (1 - lam) ** 2 / (lam * ((1 - 2 * lam) * n + lam))
    root = math.isqrt(math.ceil(square) - 1)  # the largest integer with root² < square
    return min(root, n * n - 1) + 1


def rank_along_path(N: int, lam: Fraction, seconds: float, seed: int = 0) -> PathStep:
    """The bounds at one lam, 0 < lam ≤ 1/2, N even; at most about `seconds` for what (2) and n² atoms leave open."""
    n = N // 2
    lower, lower_proof = pigeonhole_bound(N, lam), "edges that share an atom"
    upper, upper_proof = n * n, "one atom for each edge"
    if lower < upper:
        found = cp_rank_bounds(optimal_matrix(N, lam), seconds, seed)
        if found.lower is not None and found.lower > lower:
            lower, lower_proof = found.lower, str(describe(found.lower_proof))
        if found.upper is not None and found.upper < upper:
            upper, upper_proof = found.upper, str(describe(found.upper_proof))
    return PathStep(lam, lam * N * N - lam**2 * N * (N - 1), lower, upper, lower_proof, upper_proof)


@dataclass(frozen=True, repr=False)
class MsePathOutcome(Outcome):
    """The bounds for B_N at every λ."""

    N: int
    steps: tuple[PathStep, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert bipartite --path`; `exact` has λ and the minimum as decimals without rounding."""
        return {
            "graph": f"bipartite-{self.N}",
            "N": self.N,
            "loss": "mse",
            "path": [
                {
                    "lambda": float(step.lam),
                    "minimum": float(step.minimum),
                    "exact": {"lambda": decimal(step.lam), "minimum": decimal(step.minimum)},
                    "rank_sigma": {"lower": step.lower, "upper": step.upper},
                    "lower_proof": step.lower_proof,
                    "upper_proof": step.upper_proof,
                }
                for step in self.steps
            ],
            "seconds": self.seconds,
        }

    def sentence(self) -> str:
        """The same as a table, every number exact."""
        rows = [("lambda", "minimum", "Rank_sigma", "lower bound", "upper bound")]
        for step in self.steps:
            rank = str(step.lower) if step.lower == step.upper else f"{step.lower} to {step.upper}"
            rows.append((decimal(step.lam), decimal(step.minimum), rank, step.lower_proof, step.upper_proof))
        widths = [max(len(row[k]) for row in rows) for k in range(5)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def write(self, folder: Path) -> MsePathOutcome:
        """Write bipartite-N-path.json. Raises OSError when the disk refuses."""
        write_json(folder / f"bipartite-{self.N}-path.json", self.as_json())
        return self
