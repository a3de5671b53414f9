"""What `solve` returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cpcert import report, sketch
from cpcert.frank_wolfe.bounds import DualBound
from cpcert.frank_wolfe.interpolation import InfeasibilityProof
from cpcert.frank_wolfe.trace import TraceRecord
from cpcert.network import Network, attained
from cpcert.outcomes import Outcome
from cpcert.printing import whole
from cpcert.problem import Problem
from cpcert.rounding import round_up
from cpcert.status import Status, message


@dataclass(frozen=True, eq=False, repr=False)
class SolveResult(Outcome):
    """What is proven about P* = min L_λ over depth-2 networks of any width.

    status: how the run ended (cpcert/status.py); optimal: the requested gap is proven. lower ≤ P* ≤ upper, both proven,
    rounding included; upper is attained by `network` (interpolate: by a network within rounding of it, whose cost is
    proven). lower is None when nothing was proven, upper when there is no network. gap = (upper − lower)/|upper|, absolute
    if upper is 0. width: hidden neurons of `network`. trace: one record per iteration. dual: the dual point of `lower`
    with the proof of its oracle bound. infeasibility: the proof that no network fits, for status infeasible.
    requested_gap: the gap that was asked for. notes: what there is to say besides the sentence of the status.
    """

    problem: Problem
    status: Status
    upper: float | None
    lower: float | None
    gap: float | None
    network: Network | None
    iterations: int
    seconds: float
    trace: list[TraceRecord]
    requested_gap: float
    notes: tuple[str, ...] = ()
    dual: DualBound | None = None
    infeasibility: InfeasibilityProof | None = None
    scope: str = "global"

    @property
    def width(self) -> int | None:
        """Hidden neurons of the network."""
        return None if self.network is None else self.network.width

    @property
    def message(self) -> str:
        """Why the run ended, and what else there is to say."""
        return message(self.status, f"the gap of {whole(self.requested_gap)} is proven", self.notes)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The outputs (N, m) of the network for points X (N, n0) in the units of the data. Raises InputError without a network."""
        return attained(self.network, self.status).predict(X)

    def sentence(self) -> str:
        """What was proven, in one line."""
        return report.closing_line(self)

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert solve`, without files."""
        return report.SolveOutcome(self, None).as_json()

    def sketch(self) -> str:
        """The proven bounds of each iteration."""
        upper, lower = ([getattr(record, side) for record in self.trace] for side in ("upper", "lower"))
        return sketch.bounds([record.seconds for record in self.trace], upper, lower, "seconds")


def relative_gap(upper: float | None, lower: float | None) -> float | None:
    """(upper − lower)/|upper|, rounded up once; absolute if upper is 0; None if a side is missing or infinite."""
    if upper is None or lower is None or not (math.isfinite(upper) and math.isfinite(lower)):
        return None
    difference = max(Fraction(upper) - Fraction(lower), Fraction(0))
    return round_up(difference / (abs(Fraction(upper)) or 1))
