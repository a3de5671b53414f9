"""The nonnegative forms of a neuron, and the isometry that writes their moments.

A neuron (v, w) with ‖v‖ = ‖w‖ = ν has p = relu(X̂ᵀw), q = relu(−X̂ᵀw), s_i = ‖x_i‖ν − p_i − q_i; all of ν, p, q, s are ≥ 0 and
p_i q_i = 0. They are linear in y = (ν, v, w, z), z_i = p_i + q_i = |x_iᵀw|, and so is the vector of *rows*

    F y = (ν, v, w, p, q, s),   p = ½(z + Xw), q = ½(z − Xw), s = ρν − z, ρ_i = ‖x_i‖.

One output has two kinds of neurons, v = ν and v = −ν: v is then no coordinate of y, but still a row. Let T be the
triangular matrix with TᵀT = FᵀF: in the coordinates ŷ = Ty the map is an isometry, Y ↦ FT⁻¹YT⁻ᵀFᵀ, too, and the problem is
well scaled. FᵀF is an arrow (X is given by its singular vectors), so that F̂ = FT⁻¹ and its transpose cost N·r operations per column.

Arrays are those of numpy or of torch, whichever `points` is: both know the functions used here, by the same names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

# The share of ρν in z that makes ν and z orthogonal: F has ½ + ½ squares of z from p and q, and one from s.
SHARE = 2.0 / 3.0


def module_of(array: Any) -> ModuleType:
    """numpy, or torch for a tensor."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


@dataclass(frozen=True, eq=False)
class Forms:
    """points (N, r) with orthogonal columns. m: outputs. signed: one output, a matrix for each sign of v.

    Rows of F are numbered 0: ν, then v (m), w (r), p (N), q (N), s (N).
    """

    points: Any
    m: int
    signed: bool

    @property
    def N(self) -> int:
        """The number of points."""
        return self.points.shape[0]

    @property
    def r(self) -> int:
        """Their rank."""
        return self.points.shape[1]

    @property
    def order(self) -> int:
        """The number of coordinates ŷ."""
        return 1 + (0 if self.signed else self.m) + self.r + self.N

    @cached_property
    def v(self) -> slice:
        """The rows of v."""
        return slice(1, 1 + self.m)

    @cached_property
    def w(self) -> slice:
        """The rows of w."""
        return slice(self.v.stop, self.v.stop + self.r)

    @cached_property
    def p(self) -> slice:
        """The rows of p."""
        return slice(self.w.stop, self.w.stop + self.N)

    @cached_property
    def q(self) -> slice:
        """The rows of q."""
        return slice(self.p.stop, self.p.stop + self.N)

    @cached_property
    def s(self) -> slice:
        """The rows of s."""
        return slice(self.q.stop, self.q.stop + self.N)

    @cached_property
    def rows(self) -> int:
        """The number of rows of F."""
        return self.s.stop

    @cached_property
    def nonnegative(self) -> slice:
        """The rows p, q, s."""
        return slice(self.p.start, self.s.stop)

    @cached_property
    def places(self) -> tuple[slice, slice, slice]:
        """Where v (empty if signed), w and z stand in ŷ."""
        v = 1 + (0 if self.signed else self.m)
        return slice(1, v), slice(v, v + self.r), slice(v + self.r, self.order)

    @cached_property
    def lengths(self) -> Any:
        """ρ_i = ‖x_i‖, (N,)."""
        return (self.points * self.points).sum(1) ** 0.5

    @cached_property
    def _scales(self) -> tuple[float, Any, float]:
        """The diagonal of T for ν, w and z."""
        nu = math.sqrt(1.0 + self.signed + (1.0 - SHARE) * float(self.lengths @ self.lengths))
        w = (1.0 + 0.5 * (self.points * self.points).sum(0)) ** 0.5
        return nu, w, math.sqrt(1.5)

    @cached_property
    def _scaled_points(self) -> Any:
        return self.points / self._scales[1]

    def apply(self, Y: Any, sign: float) -> Any:
        """F̂ Y, (rows, k), for Y (order, k)."""
        nu_scale, w_scale, z_scale = self._scales
        v, w, z = self.places
        nu = Y[:1] / nu_scale
        values = 0.5 * (self._scaled_points @ Y[w])
        half = Y[z] * (0.5 / z_scale) + (0.5 * SHARE) * self.lengths[:, None] * nu
        parts = [nu, sign * nu if self.signed else Y[v], Y[w] / w_scale[:, None], half + values, half - values]
        return module_of(Y).concatenate([*parts, self.lengths[:, None] * nu - 2.0 * half])

    def transpose(self, M: Any, sign: float) -> Any:
        """F̂ᵀM, (order, k), for M (rows, k)."""
        nu_scale, w_scale, z_scale = self._scales
        along = 0.5 * (M[self.p] + M[self.q]) - M[self.s]
        nu = M[0] + self.lengths @ (M[self.s] + SHARE * along)
        if self.signed:
            nu = nu + sign * M[1]
        w = M[self.w] / w_scale[:, None] + 0.5 * (self._scaled_points.T @ (M[self.p] - M[self.q]))
        parts = [nu[None] / nu_scale, *([] if self.signed else [M[self.v]]), w, along / z_scale]
        return module_of(M).concatenate(parts)

    def coordinates(self, nu: Any, V: Any, W: Any) -> Any:
        """ŷ (order, k) of k neurons: ν (k,), V (m, k), W (k, r)."""
        nu_scale, w_scale, z_scale = self._scales
        z = abs(self.points @ W.T) - SHARE * self.lengths[:, None] * nu
        parts = [nu_scale * nu[None], *([] if self.signed else [V]), (W * w_scale).T, z_scale * z]
        return module_of(nu).concatenate(parts)
