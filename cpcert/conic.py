"""Conic programs for Clarabel: arrays in, a solution or None out.

    minimise ½ xᵀPx + qᵀx   subject to   b − Ax ∈ K,

K a product of cones in the order of the rows (Goulart and Chen 2024). What comes back is a floating-point candidate, whatever
its ending says: nothing is proven here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

# Absolute and relative: of the gap, and of feasibility.
TOLERANCE = 1e-11


class Cone(Enum):
    """Where a slack s = b − Ax lies."""

    ZERO = "s = 0"
    NONNEGATIVE = "s ≥ 0"
    SECOND_ORDER = "s_0 ≥ ‖(s_1, …)‖"
    EXPONENTIAL = "s_1 e^{s_0/s_1} ≤ s_2, s_1 > 0"


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows b − Ax, A (h, n) and b (h,), in a product of cones of one kind with `size` rows each, by default one of h."""

    A: sparse.csc_matrix
    b: np.ndarray
    cone: Cone
    size: int | None = None


class Ending(Enum):
    """How the solver ended."""

    OPTIMAL = "optimal to the tolerances"
    NEARLY = "optimal to looser tolerances"
    INFEASIBLE = "no x satisfies the constraints"
    UNBOUNDED = "the objective has no minimum"
    STOPPED = "stopped by the time or the number of its steps"
    FAILED = "no progress in floating point"


# Clarabel's statuses.
ENDINGS = {
    "Solved": Ending.OPTIMAL,
    "AlmostSolved": Ending.NEARLY,
    "PrimalInfeasible": Ending.INFEASIBLE,
    "AlmostPrimalInfeasible": Ending.INFEASIBLE,
    "DualInfeasible": Ending.UNBOUNDED,
    "AlmostDualInfeasible": Ending.UNBOUNDED,
    "MaxIterations": Ending.STOPPED,
    "MaxTime": Ending.STOPPED,
}


@dataclass(frozen=True, eq=False)
class ConicSolution:
    """x (n,) and the multipliers z of the rows (h,), both finite, where the solver ended."""

    x: np.ndarray
    z: np.ndarray
    ending: Ending


def solve_conic(
    P: sparse.csc_matrix, q: np.ndarray, rows: Sequence[Rows], deadline: float = math.inf
) -> ConicSolution | None:
    """A solution of the program, or None when the solver breaks down or returns a number that is not finite.

    P: (n, n), its upper triangle (with the diagonal) and zeros below. q: (n,). deadline: a `time.monotonic()`, after which
    the solver stops where it is.
    """
    import clarabel
    from scipy import sparse

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.time_limit = max(deadline - time.monotonic(), 0.0)
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = TOLERANCE
    A = sparse.vstack([each.A for each in rows], format="csc")
    b = np.concatenate([each.b for each in rows])
    cones = [cone for each in rows for cone in _cones(each)]
    try:
        found = clarabel.DefaultSolver(P, q, A, b, cones, settings).solve()
    except BaseException as failure:
        # A panic of the solver is no Exception; whoever asked can go on without this solution.
        if type(failure).__name__ != "PanicException":
            raise
        return None
    x, z = np.array(found.x), np.array(found.z)
    if not (np.all(np.isfinite(x)) and np.all(np.isfinite(z))):
        return None
    return ConicSolution(x, z, ENDINGS.get(str(found.status), Ending.FAILED))


def _cones(rows: Rows) -> list[Any]:
    import clarabel

    height = len(rows.b)
    match rows.cone:
        case Cone.ZERO:
            return [clarabel.ZeroConeT(height)]
        case Cone.NONNEGATIVE:
            return [clarabel.NonnegativeConeT(height)]
        case Cone.SECOND_ORDER:
            size = rows.size or height
            return [clarabel.SecondOrderConeT(size)] * (height // size)
        case Cone.EXPONENTIAL:
            return [clarabel.ExponentialConeT()] * (height // 3)
