"""The λ-path: the same data for one λ after another, each interval proven, each run started from the network before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cpcert.errors import InputError
from cpcert.frank_wolfe.result import SolveResult
from cpcert.frank_wolfe.solve import solve
from cpcert.problem import Problem


def geometric_lambdas(smallest: float, largest: float, count: int) -> list[float]:
    """`count` values from `largest` down to `smallest`, with a constant ratio. Raises InputError for an impossible range."""
    if not 0.0 < smallest <= largest < float("inf"):
        raise InputError(f"smallest: is {smallest!r}, and largest {largest!r}; give 0 < smallest <= largest")
    if count < 1:
        raise InputError(f"count: is {count!r}; give an integer >= 1")
    return [float(lam) for lam in np.geomspace(largest, smallest, count)]


def lambda_path(problem: Problem, lambdas: Sequence[float], **settings: Any) -> Iterator[SolveResult]:
    """Solve `problem` for each λ in turn; `settings` are those of `solve`. Raises InputError for `interpolate`, which has no λ."""
    if problem.loss.is_constraint:
        raise InputError(f"loss: {problem.loss.name} has no lambda, so there is no path; use mse")
    warm = None
    for lam in lambdas:
        result = solve(replace(problem, lam=lam), warm_start=warm, **settings)
        warm = result.network
        yield result
