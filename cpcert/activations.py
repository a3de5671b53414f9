"""Positively homogeneous activations.

Every activation with σ(cs) = cσ(s) for c ≥ 0 has the form σ(s) = a₊ max(s, 0) − a₋ max(−s, 0), so a pair
(a₊, a₋) says everything: relu (1, 0), leaky_relu (1, slope), abs (1, −1), linear (1, 1).
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from cpcert.errors import InputError

_PAIRS = {"relu": (1.0, 0.0), "abs": (1.0, -1.0), "linear": (1.0, 1.0)}
ACTIVATION_NAMES = ("relu", "leaky_relu", "abs", "linear")


@dataclass(frozen=True)
class Activation:
    """σ(s) = a₊ max(s, 0) − a₋ max(−s, 0): slope a₊ right of the origin, slope a₋ left of it.

    Raises InputError when a slope is not a finite number.
    """

    name: str
    a_plus: float
    a_minus: float

    def __post_init__(self) -> None:
        for field in ("a_plus", "a_minus"):
            value = getattr(self, field)
            if not math.isfinite(value):
                raise InputError(f"{field}: {value} is not a slope; give a finite number")

    def __call__(self, S: np.ndarray) -> np.ndarray:
        """σ entry by entry, any shape. Each entry carries at most one rounding."""
        S = np.asarray(S, dtype=np.float64)
        # max(s, 0) and max(-s, 0) are never both non-zero: the subtraction is exact, each product rounds once.
        # The added 0.0 turns -0.0 into 0.0.
        return self.a_plus * np.maximum(S, 0.0) - self.a_minus * np.maximum(-S, 0.0) + 0.0

    @property
    def lipschitz(self) -> float:
        """max(|a₊|, |a₋|), the Lipschitz constant: |σ(s)| ≤ lipschitz·|s|."""
        return max(abs(self.a_plus), abs(self.a_minus))

    @property
    def kink(self) -> float:
        """a₊ − a₋, the jump of the slope at 0: σ(s) = a₋ s + kink·relu(s). Rounded to nearest, and 0 only where it is 0.

        Bounds computed with it include that rounding; `exact_kink` is the number itself.
        """
        return self.a_plus - self.a_minus

    @property
    def exact_kink(self) -> Fraction:
        """a₊ − a₋ without rounding."""
        return Fraction(self.a_plus) - Fraction(self.a_minus)

    @property
    def is_even(self) -> bool:
        """σ(−s) = σ(s): neurons w and −w are the same neuron (abs)."""
        return self.a_minus == -self.a_plus

    @property
    def is_odd(self) -> bool:
        """σ(−s) = −σ(s): σ is linear and has no kink."""
        return self.a_minus == self.a_plus

    def slope_at(self, pattern: np.ndarray) -> np.ndarray:
        """The slopes on an activation pattern: a₊ where `pattern` is True, a₋ elsewhere (same shape)."""
        return np.where(pattern, self.a_plus, self.a_minus)


def activation(name: str, slope: float | None = None) -> Activation:
    """The activation called `name`: relu, leaky_relu, abs or linear.

    `slope` is the left slope of leaky_relu, in (−1, 1), and belongs to no other activation.
    Raises InputError for an unknown name, and for a missing, superfluous or out-of-range slope.
    """
    if not isinstance(name, str) or name not in ACTIVATION_NAMES:
        close = difflib.get_close_matches(str(name), ACTIVATION_NAMES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"activation: {name!r} is unknown; use one of {', '.join(ACTIVATION_NAMES)}{hint}")
    if name != "leaky_relu":
        if slope is not None:
            raise InputError(f"slope: {name} takes no slope; leave it out, or use activation leaky_relu")
        return Activation(name, *_PAIRS[name])
    if slope is None:
        raise InputError("slope: leaky_relu needs its left slope, a number in (-1, 1), for example 0.01")
    if isinstance(slope, bool) or not isinstance(slope, (int, float, np.integer, np.floating)):
        raise InputError(f"slope: {slope!r} is not a number; leaky_relu takes a number in (-1, 1)")
    if not -1.0 < slope < 1.0:
        raise InputError(f"slope: {slope} is out of range; leaky_relu takes a number in (-1, 1)")
    return Activation(name, 1.0, float(slope))
