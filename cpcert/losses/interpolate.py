"""Interpolation: the constraint Z = Y.

C = 0 if Z = Y, else ∞,   C*(S) = ⟨S, Y⟩ on the whole space,   −C*(−G) = ⟨G, Y⟩.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from cpcert.losses.base import Loss, exact_scale, finite_targets, inner_product, with_error
from cpcert.rounding import exact_dot, round_down

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Interpolate(Loss):
    """The constraint Z = Y (module docstring)."""

    name = "interpolate"
    is_constraint = True
    degree = 0

    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        return finite_targets(Y)

    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        """0.0, the value on the feasible set. How far Z is from Y is asked separately (Network.residual)."""
        return 0.0

    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Raises ValueError: a constraint has multipliers, not a gradient."""
        raise ValueError("interpolate is the constraint Z = Y and has no gradient; use its multiplier as G")

    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Raises ValueError, like `gradient`."""
        raise ValueError("interpolate is the constraint Z = Y and has no second derivative")

    def tensor_value(self, Z: Tensor, Y: Tensor) -> Tensor:
        """0, the value on the feasible set."""
        return 0.0 * Z.sum((-2, -1))

    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        return float(np.sum(G * Y))

    def dual_ray(self, G: np.ndarray, Y: np.ndarray) -> tuple[float, float]:
        return inner_product(G, Y), 0.0

    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        return round_down(exact_scale(scale) * exact_dot(G, Y))

    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """0.0 when Z = Y is certain (Z equals Y bit for bit and Z_error is 0), else inf."""
        Z, E, Y = with_error(Z, Z_error, Y)
        return 0.0 if np.array_equal(Z, Y) and not np.any(E) else math.inf

    def value_lower(self, Z: Sequence[Sequence[int]], Y: Sequence[Sequence[int]], unit: Fraction) -> Fraction:
        """0, the value on the feasible set."""
        return Fraction(0)
