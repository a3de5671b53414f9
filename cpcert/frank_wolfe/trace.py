"""One record per iteration of the Frank-Wolfe loop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TraceRecord:
    """upper, lower: the best proven bounds so far (None: none yet); gap = (upper − lower)/|upper|, absolute if upper is 0.

    step: the step that led here. oracle_ratio: best oracle value found / 2λ (heuristic, 1 at the optimum). rung: the oracle
    that gave the last proven bound. nodes: its nodes, summed over the run. active: neurons in the active set.
    """

    iteration: int
    step: str
    upper: float | None
    lower: float | None
    gap: float | None
    oracle_ratio: float | None
    rung: str | None
    nodes: int
    active: int
    seconds: float
