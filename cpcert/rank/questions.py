"""The questions about matrices and pairs from Python: numbers, Fractions, "p/q", floats (exactly), arrays, sympy matrices."""

from __future__ import annotations

from typing import Any

from cpcert.activations import activation as named_activation
from cpcert.rank.bounds import CpRankBounds, cp_rank_bounds
from cpcert.rank.copositivity import CopositiveBounds
from cpcert.rank.copositivity import copositive as copositive_bounds
from cpcert.rank.matrices import ExactPair, exact_number, exact_rows
from cpcert.rank.pair import RankSigmaBounds, rank_sigma_bounds


def cp_rank(A: Any, *, time_limit: float = 60.0, seed: int = 0, sdp: bool | None = None) -> CpRankBounds:
    """Proven bounds lower ≤ cp-rank(A) ≤ upper of a symmetric A (n, n), as `cpcert cprank` (`CpRankBounds`). Raises InputError."""
    return cp_rank_bounds(A, time_limit, seed, sdp)


def completely_positive(A: Any, *, time_limit: float = 60.0, seed: int = 0) -> CpRankBounds:
    """Is A = Σ bbᵀ with b ≥ 0? The answer is `.completely_positive`: True and False are proven, None is open. Raises InputError."""
    return cp_rank_bounds(A, time_limit, seed, sdp=False, any_factors=True)


def copositive(A: Any, *, time_limit: float = 60.0, seed: int = 0) -> CopositiveBounds:
    """Is xᵀAx ≥ 0 for all x ≥ 0? `.copositive` and `.strictly`: True and False are proven, None is open. Raises InputError."""
    return copositive_bounds(A, time_limit, seed)


def rank_sigma(
    K: Any,
    K_sigma: Any,
    *,
    beta: Any = 0,
    activation: str = "relu",
    slope: float | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
) -> RankSigmaBounds:
    """Proven bounds of Rank_σ(K, K^σ), both (N, N), as `cpcert rank` (`RankSigmaBounds`). Raises InputError."""
    rows, floats, _ = exact_rows(K, "K")
    rows_sigma, more, _ = exact_rows(K_sigma, "K_sigma")
    pair = ExactPair(
        "pair", rows, rows_sigma, exact_number(beta, "beta"), named_activation(activation, slope), floats or more
    )
    return rank_sigma_bounds(pair, time_limit, seed)
