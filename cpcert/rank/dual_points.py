"""Dual points of semidefinite programs: cvxpy solves them in floating point, what is rounded to rationals the checker decides.

What a conic solver calls optimal is close to feasible, no more: its values were seen below rank A, where theory forbids
it. So a dual point is rounded, moved inside by a little, and counts only as the exact check accepts it. The solver is Clarabel.
"""

from __future__ import annotations

import importlib.util
import warnings
from fractions import Fraction
from typing import Any

import numpy as np

from cpcert.certificate.rank_check import Rejected, check_rank_claim
from cpcert.rank.matrices import Rows
from cpcert.rank.proofs import Lower, as_json

MISSING = "semidefinite bounds need cvxpy, which is not installed; pip install 'cpcert[sdp]'"
BITS = 34
# How far a dual point is moved inside, relative to 1.
SHIFTS = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)


def available() -> bool:
    """Whether cvxpy is installed (it is not imported here: that takes seconds)."""
    return importlib.util.find_spec("cvxpy") is not None


def power_scaling(A: Rows) -> list[Fraction]:
    """Powers of 2 near A_ii^(−1/2): with D = diag of them DAD has a diagonal between 1/2 and 2."""
    return [Fraction(2) ** round(-np.log2(float(row[i])) / 2) for i, row in enumerate(A)]


def solved(problem: Any) -> bool:
    import cvxpy as cp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            problem.solve(solver="CLARABEL")
        except (cp.SolverError, ArithmeticError, ValueError):
            return False
    return problem.status in ("optimal", "optimal_inaccurate") and problem.value is not None


def value_of(variable: Any) -> np.ndarray:
    """The value of a cvxpy variable; a square one is made symmetric."""
    value = np.asarray(variable.value, dtype=float)
    return (value + value.T) / 2 if value.ndim == 2 else value


def exact(values: np.ndarray) -> np.ndarray:
    """Rounded to multiples of 2^−BITS, as an array of Fractions."""
    unit = 2**BITS
    flat = [Fraction(round(float(v) * unit), unit) for v in np.asarray(values).ravel()]
    return np.array(flat, dtype=object).reshape(np.shape(values))


def tuples(M: np.ndarray) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(tuple(row) for row in M)


def accepted(A: Rows, lower: int, proof: Lower) -> bool:
    claim = {"claim": "cp_rank", "A": as_json(A), "lower": lower, "lower_proof": as_json(proof)}
    try:
        check_rank_claim(claim | {"upper": None, "upper_proof": None})
    except Rejected:
        return False
    return True
