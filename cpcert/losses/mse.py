"""The squared loss.

C = (1/N)‖Z − Y‖_F²,   ∇C = (2/N)(Z − Y),   C*(S) = ⟨S, Y⟩ + (N/4)‖S‖_F²,   −C*(−G) = ⟨G, Y⟩ − (N/4)‖G‖_F²;

with weights C = (1/N) Σ ω_i‖z_i − y_i‖² and −C*(−G) = ⟨G, Y⟩ − (N/4) Σ ‖g_i‖²/ω_i.
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

# Bits to which a quotient by a weight is kept.
DIGITS = 120


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """C = (1/N)‖Z − Y‖_F² (module docstring)."""

    name = "mse"
    degree = 2

    @property
    def is_squared_distance(self) -> bool:
        return self.weights is None

    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        return finite_targets(Y)

    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        return float(np.sum(self.by_weight((Z - Y) ** 2))) / Y.shape[1]

    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return self.by_weight((2.0 / Y.shape[1]) * (Z - Y))

    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        m, N = Y.shape
        return self.by_weight(np.tile((2.0 / N) * np.eye(m), (N, 1, 1)).T).T

    def tensor_value(self, Z: Tensor, Y: Tensor) -> Tensor:
        return self.tensor_by_weight((Z - Y).square()).sum((-2, -1)) / Y.shape[1]

    def tensor_gradient(self, Z: Tensor, Y: Tensor) -> Tensor:
        return self.tensor_by_weight((Z - Y).mul_(2.0 / Y.shape[1]))

    def tensor_hessian_product(self, Z: Tensor, Y: Tensor, direction: Tensor) -> Tensor:
        return self.tensor_by_weight(direction * (2.0 / Y.shape[1]))

    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        return float(np.sum(G * Y) - 0.25 * Y.shape[1] * np.sum(self.over_weight(G * G)))

    def dual_ray(self, G: np.ndarray, Y: np.ndarray) -> tuple[float, float]:
        return inner_product(G, Y), 0.25 * Y.shape[1] * float(np.sum(self.over_weight(G * G)))

    def conic_form(self, Y: np.ndarray) -> ConicForm:
        """A quadratic objective, without rows: (1/N)(‖Z‖² − 2⟨Z, Y⟩ + ‖Y‖²), each point by its weight."""
        N = Y.shape[1]
        return ConicForm(
            self.by_weight(np.full(Y.shape, 2.0 / N)).ravel(),
            -2.0 * self.by_weight(Y).ravel() / N,
            constant=float(np.sum(self.by_weight(Y * Y))) / N,
        )

    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        s = exact_scale(scale)
        return round_down(s * exact_dot(G, Y) - Fraction(Y.shape[1], 4) * s * s * self._squares_upper(G))

    def _squares_upper(self, G: np.ndarray) -> Fraction:
        """Proven: a rational ≥ Σ ‖g_i‖²/ω_i; equal without weights, else each term is rounded up by at most 2^−DIGITS of itself."""
        if self.weights is None:
            return exact_dot(G, G)
        N = len(self.weights)
        g, e = exact_integers(np.asarray(G, dtype=np.float64))
        w, f = self.exact_weights(N)
        digits = DIGITS + max(each.bit_length() for each in w)
        total = sum(-(-(sum(v * v for v in g[i::N]) << digits) // w[i]) for i in range(N))
        return dyadic(total, 2 * e - f - digits)

    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """(1/N) Σ ω(|z − y| + e)², exactly, then rounded up."""
        Z, E, Y = with_error(Z, Z_error, Y)
        if not all_finite(Z, E):
            return math.inf
        integers, exponent = exact_integers(np.stack([Z, Y, E]))
        size = Z.size
        z, y, e = integers[:size], integers[size : 2 * size], integers[2 * size :]
        w, f = self.exact_weights(Y.shape[1])
        total = sum(wi * (abs(zi - yi) + ei) ** 2 for wi, zi, yi, ei in zip(w * len(Y), z, y, e, strict=True))
        return round_up(dyadic(total, 2 * exponent + f) / Y.shape[1])

    def value_lower(self, Z: Sequence[Sequence[int]], Y: Sequence[Sequence[int]], unit: Fraction) -> Fraction:
        """C itself."""
        w, f = self.exact_weights(len(Z[0]))
        total = sum(
            each * (z - y) ** 2 for zs, ys in zip(Z, Y, strict=True) for each, z, y in zip(w, zs, ys, strict=True)
        )
        return dyadic(total, f) * unit * unit / len(Z[0])
