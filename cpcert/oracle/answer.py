"""What an oracle answers, and the proof objects it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpcert.oracle.frame import Frame


@dataclass(frozen=True, eq=False)
class OracleAnswer:
    """The answer to max over ‖w‖ ≤ 1 of ‖Gσ(X̃ᵀw)‖₂ = γ(G) (Eq. of the linear minimisation oracle on S).

    W: (k, n), unit rows, best first: the neurons found, a heuristic. values: (k,), ‖Gσ(X̃ᵀw)‖₂ at those, in floating
    point, never a bound.
    upper_bound: a float that is proven to be at least γ(G) for the exact numbers of G and X̃, rounding included; None
    when nothing was proven. rung: which oracle proved it. proof: the object that proves it, a dataclass of its rung;
    frame: in which numbers (None: in those that the oracle was given). nodes: how many nodes were visited. complete: whether
    upper_bound reached the cutoff that was asked for.
    """

    W: np.ndarray
    values: np.ndarray
    upper_bound: float | None
    rung: str
    proof: object = None
    nodes: int = 0
    complete: bool = False
    frame: Frame | None = None
