"""The squared loss.

C = (1/N)‖Z − Y‖_F²,   ∇C = (2/N)(Z − Y),   C*(S) = ⟨S, Y⟩ + (N/4)‖S‖_F²,   −C*(−G) = ⟨G, Y⟩ − (N/4)‖G‖_F².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from cpcert.losses.base import (
    ConicForm,
    Loss,
    all_finite,
    exact_scale,
    finite_targets,
    inner_product,
    with_error,
)
from cpcert.rounding import dyadic, exact_dot, exact_integers, round_down, round_up

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """C = (1/N)‖Z − Y‖_F² (module docstring)."""

    name = "mse"
    is_squared_distance = True
    degree = 2

    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        return finite_targets(Y)

    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        return float(np.sum((Z - Y) ** 2)) / Y.shape[1]

    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return (2.0 / Y.shape[1]) * (Z - Y)

    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        m, N = Y.shape
        return np.tile((2.0 / N) * np.eye(m), (N, 1, 1))

    def tensor_value(self, Z: Tensor, Y: Tensor) -> Tensor:
        return (Z - Y).square().sum((-2, -1)) / Y.shape[1]

    def tensor_gradient(self, Z: Tensor, Y: Tensor) -> Tensor:
        return (Z - Y).mul_(2.0 / Y.shape[1])

    def tensor_hessian_product(self, Z: Tensor, Y: Tensor, direction: Tensor) -> Tensor:
        return direction * (2.0 / Y.shape[1])

    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        return float(np.sum(G * Y) - 0.25 * Y.shape[1] * np.sum(G * G))

    def dual_ray(self, G: np.ndarray, Y: np.ndarray) -> tuple[float, float]:
        return inner_product(G, Y), 0.25 * Y.shape[1] * float(np.sum(G * G))

    def conic_form(self, Y: np.ndarray) -> ConicForm:
        """A quadratic objective, without rows: (1/N)(‖Z‖² − 2⟨Z, Y⟩ + ‖Y‖²)."""
        N = Y.shape[1]
        return ConicForm(np.full(Y.size, 2.0 / N), -2.0 * Y.ravel() / N, constant=float(np.sum(Y * Y)) / N)

    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        s = exact_scale(scale)
        return round_down(s * exact_dot(G, Y) - Fraction(Y.shape[1], 4) * s * s * exact_dot(G, G))

    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """(1/N) Σ (|z − y| + e)², exactly, then rounded up."""
        Z, E, Y = with_error(Z, Z_error, Y)
        if not all_finite(Z, E):
            return math.inf
        integers, exponent = exact_integers(np.stack([Z, Y, E]))
        size = Z.size
        z, y, e = integers[:size], integers[size : 2 * size], integers[2 * size :]
        total = sum((abs(zi - yi) + ei) ** 2 for zi, yi, ei in zip(z, y, e, strict=True))
        return round_up(dyadic(total, 2 * exponent) / Y.shape[1])

    def value_lower(self, Z: Sequence[Sequence[int]], Y: Sequence[Sequence[int]], unit: Fraction) -> Fraction:
        """C itself."""
        total = sum((z - y) ** 2 for zs, ys in zip(Z, Y, strict=True) for z, y in zip(zs, ys, strict=True))
        return total * unit * unit / len(Z[0])
