"""The logistic loss of two classes, for each output.

C = (1/N) Σ log(1 + e^{−yz}) over all entries, y = ±1,   ∇C = −(1/N) y/(1 + e^{yz}),
−C*(−G) = (1/N) Σ h(p),   p = N y g ∈ [0, 1],   h(p) = −p log p − (1 − p) log(1 − p);

with weights −C*(−G) = (1/N) Σ ω h(p/ω) = (1/N) Σ [p log(ω/p) + (ω − p) log(ω/(ω − p))],   p ∈ [0, ω].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from cpcert.conic import Cone, Rows
from cpcert.errors import InputError
from cpcert.losses.base import (
    DOMAIN_TOLERANCE,
    ConicForm,
    Loss,
    all_finite,
    exact_scale,
    finite_targets,
    shown_classes,
    sparse_rows,
    with_error,
)
from cpcert.losses.enclosures import (
    DOWN,
    ONE,
    UP,
    ZERO,
    exp_lower,
    exp_upper,
    log_lower,
    log_one_plus_lower,
    log_upper,
)
from cpcert.rounding import dyadic, exact_integers, round_down, round_up

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Logistic(Loss):
    """C = (1/N) Σ log(1 + e^{−yz}) (module docstring)."""

    name = "logistic"
    takes_labels = True
    heads = ("Sigmoid",)
    output_name = "logit"

    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        Y = finite_targets(Y)
        if np.all((Y == 1.0) | (Y == -1.0)):
            return Y
        if np.all((Y == 1.0) | (Y == 0.0)):
            return 2.0 * Y - 1.0
        other = np.argwhere((Y != 1.0) & (Y != -1.0) & (Y != 0.0))
        if other.size:
            i, j = other[0]
            raise InputError(f"Y: row {i}, column {j} is {Y[i, j]}; logistic needs labels in {{-1, 1}} or {{0, 1}}")
        raise InputError("Y: the labels mix -1, 0 and 1; logistic needs labels in {-1, 1} or {0, 1}")

    def encode_labels(
        self, labels: np.ndarray, classes: tuple[str, ...], name: str, place: str
    ) -> tuple[np.ndarray, str]:
        """−1 for the first class and +1 for the second; a single class keeps its sign if its name is one."""
        if len(classes) == 1 and classes[0] in ("-1", "0", "1"):
            sign = 1.0 if classes[0] == "1" else -1.0
            return np.full((len(labels), 1), sign), f"{name} is {sign:+g}, for {classes[0]}, its only class"
        if len(classes) != 2:
            raise InputError(
                f"{place} has {len(classes)} classes ({shown_classes(classes)}), and logistic takes two; "
                "use the loss cross_entropy"
            )
        Y = np.where(labels == 1, 1.0, -1.0)[:, np.newaxis]
        return Y, f"{name} is -1 for {classes[0]} and +1 for {classes[1]}"

    def classes_of(self, Y: np.ndarray) -> tuple[np.ndarray, tuple[tuple[str, ...], ...]] | None:
        """−1 (or 0) and 1, of one output."""
        return ((Y[:, 0] > 0.0).astype(np.int64), (("-1", "0"), ("1",))) if Y.shape[1] == 1 else None

    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        return float(np.sum(self.by_weight(np.logaddexp(0.0, -Y * Z)))) / Y.shape[1]

    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        # 1/(1 + e^t) = e^{−log(1 + e^t)} without overflow.
        return self.by_weight(-Y * np.exp(-np.logaddexp(0.0, Y * Z)) / Y.shape[1])

    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """diag(q_i(1 − q_i))/N, q_i = 1/(1 + e^{−z_i})."""
        variance = self.by_weight(np.exp(-np.logaddexp(0.0, Z) - np.logaddexp(0.0, -Z)))
        return variance.T[:, :, np.newaxis] * np.eye(len(Y)) / Y.shape[1]

    def tensor_value(self, Z: Tensor, Y: Tensor) -> Tensor:
        import torch

        return self.tensor_by_weight(torch.nn.functional.softplus(-Y * Z, threshold=100.0)).sum((-2, -1)) / Y.shape[1]

    def tensor_gradient(self, Z: Tensor, Y: Tensor) -> Tensor:
        import torch

        return self.tensor_by_weight(torch.sigmoid(-Y * Z).mul_(-Y / Y.shape[1]))

    def tensor_hessian_product(self, Z: Tensor, Y: Tensor, direction: Tensor) -> Tensor:
        import torch

        return self.tensor_by_weight(torch.sigmoid(Z) * torch.sigmoid(-Z) * direction / Y.shape[1])

    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        N = Y.shape[1]
        p = self.over_weight(N * Y * G)
        if p.min() < -DOMAIN_TOLERANCE or p.max() > 1.0 + DOMAIN_TOLERANCE:
            return -math.inf
        total = 0.0
        for q in (p, 1.0 - p):
            positive = q > 0
            total -= float(np.sum(self.by_weight(q)[positive] * np.log(q[positive])))
        return total / N

    def conic_form(self, Y: np.ndarray) -> ConicForm:
        """t ≥ log(1 + e^{−yz}) as e^{−t} ≤ p, e^{−yz−t} ≤ q, p + q ≤ 1; variables (t, p, q) per entry of Z."""
        count = Y.size
        k, one = np.arange(count), np.ones(count)
        t, p, q = count + 3 * k, count + 3 * k + 1, count + 3 * k + 2
        linear = np.zeros(4 * count)
        linear[t] = self.by_weight(np.full(Y.shape, 1.0 / Y.shape[1])).ravel()
        sums = sparse_rows([k, k], [p, q], [one, one], count, 4 * count)
        # (x, y, z) with y e^{x/y} ≤ z, twice.
        x1, z1, x2, z2 = 6 * k, 6 * k + 2, 6 * k + 3, 6 * k + 5
        exponentials = sparse_rows(
            [x1, z1, x2, x2, z2], [t, p, k, t, q], [one, -one, Y.ravel(), one, -one], 6 * count, 4 * count
        )
        return ConicForm(
            np.zeros(count),
            linear,
            (
                Rows(sums, one, Cone.NONNEGATIVE),
                Rows(exponentials, np.tile([0.0, 1.0, 0.0, 0.0, 1.0, 0.0], count), Cone.EXPONENTIAL),
            ),
        )

    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        """(1/N) Σ ω h(p/ω) with exact p = N·scale·y·g."""
        s = exact_scale(scale)
        N = Y.shape[1]
        integers, exponent = exact_integers(np.asarray(G, dtype=np.float64) * Y)  # y = ±1: exact products
        factor, D = N * s.numerator, s.denominator
        if exponent >= 0:
            factor <<= exponent
        else:
            D <<= -exponent
        # p = P/D and ω = W/D with integers P, W over one denominator D.
        w, f = self.exact_weights(N)
        whole = [D * each for each in w]
        factor, D = factor << -f, D << -f
        total = ZERO
        for g, W in zip(integers, whole * len(Y), strict=True):
            P = factor * g
            if P < 0 or P > W:
                return -math.inf
            for part in (P, W - P):
                total = DOWN.add(total, DOWN.multiply(part, log_lower(W, part)))
        return round_down(DOWN.divide(total, N * D))

    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """(1/N) Σ ω log(1 + e^{e − yz}), rounded up: each term falls in yz."""
        Z, E, Y = with_error(Z, Z_error, Y)
        if not all_finite(Z, E):
            return math.inf
        total = ZERO
        omega = np.broadcast_to(self.omega, Y.shape).ravel().tolist()
        # y = ±1: exact products
        for t, e, weight in zip((Y * Z).ravel().tolist(), E.ravel().tolist(), omega, strict=True):
            # log(1 + e^{−t}) = max(−t, 0) + log(1 + e^{−|t|}), here at the least t that the error allows
            least = DOWN.subtract(Decimal(t), Decimal(e))
            log_term = log_upper(UP.add(ONE, exp_upper(least.copy_abs().copy_negate())))
            term = UP.add(log_term, max(least.copy_negate(), ZERO))
            total = UP.add(total, UP.multiply(Decimal(weight), term))
        return round_up(UP.divide(total, Decimal(Y.shape[1])))

    def value_lower(self, Z: Sequence[Sequence[int]], Y: Sequence[Sequence[int]], unit: Fraction) -> Fraction:
        """(1/N) Σ ω [max(−yz, 0) + log(1 + e^{−|yz|})]."""
        total = Fraction(0)
        w, f = self.exact_weights(len(Z[0]))
        for zs, ys in zip(Z, Y, strict=True):
            for weight, z, y in zip(w, zs, ys, strict=True):
                t = z if y > 0 else -z
                total += weight * (max(-t, 0) * unit + Fraction(log_one_plus_lower(exp_lower(-abs(t) * unit))))
        return dyadic(1, f) * total / len(Z[0])

    def max_scale(self, G: np.ndarray, Y: np.ndarray) -> float:
        """min ω/(N y g) over y g > 0, rounded down; 0 when some y g < 0, for then p leaves [0, 1] at once."""
        signed = np.asarray(G, dtype=np.float64) * Y
        if signed.min() < 0:
            return 0.0
        N = Y.shape[1]
        weights = [1.0] * N if self.weights is None else self.weights
        largest = zip(signed.max(axis=0).tolist(), weights, strict=True)
        ratios = [Fraction(weight) / (N * Fraction(g)) for g, weight in largest if g > 0]
        return round_down(min(ratios)) if ratios else math.inf

    def project_dual(self, G: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """p clipped to [0, ω]."""
        N = Y.shape[1]
        return np.clip(N * Y * np.asarray(G, dtype=np.float64), 0.0, self.omega) * Y / N
