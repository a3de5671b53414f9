"""The softmax cross-entropy.

Labels y_i ≥ 0 have the sum S_i = 1ᵀy_i, which is 1 up to rounding: they are kept as they are. With p_i = y_i − N g_i,

    C = −(1/N) Σ_ji y_ji log softmax(z_i)_j = (1/N) Σ_i [S_i log Σ_j exp z_ji − Σ_j y_ji z_ji],
    ∇C_i = (S_i softmax(z_i) − y_i)/N,   −C*(−G) = (1/N) Σ_ji p_ji log(S_i / p_ji)   where p_i ≥ 0 and 1ᵀg_i = 0.

A weight of a point multiplies its labels: ω_i y_i, with the sum ω_i S_i, are in the place of y_i and S_i everywhere.

The constraint 1ᵀg_i = 0 cannot hold for floats. The exact dual point is *defined* by the first m − 1 rows of G; the last row is
minus their exact sum, and the stored last row is ignored. `exact_dual_defect` bounds the difference.
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
    TWO,
    UP,
    ZERO,
    exp_lower,
    exp_upper,
    log_lower,
    log_one_plus_lower,
    log_upper,
    smallest_ratio,
    times_power_of_two,
)
from cpcert.rounding import dyadic, exact_integers, round_down, round_up, sqrt_up

if TYPE_CHECKING:
    from torch import Tensor

# Soft labels of a point may sum to 1 up to this much.
LABEL_SUM_TOLERANCE = 1e-9


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Mean softmax cross-entropy (module docstring)."""

    name = "cross_entropy"
    last_row_implied = True
    takes_labels = True
    heads = ("Softmax", "LogSoftmax")
    mean_over_outputs = False
    output_name = "logit"

    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        Y = finite_targets(Y)
        if Y.shape[1] < 2:
            raise InputError(
                "Y: cross_entropy needs one column per class, two or more; "
                "got 1 column (one-hot encode class numbers, or use loss logistic for two classes)"
            )
        if np.any(Y < 0):
            i, j = np.argwhere(Y < 0)[0]
            raise InputError(f"Y: row {i}, column {j} is {Y[i, j]}; cross_entropy needs label probabilities >= 0")
        sums = Y.sum(axis=1)
        wrong = np.flatnonzero(np.abs(sums - 1.0) > LABEL_SUM_TOLERANCE)
        if wrong.size:
            i = wrong[0]
            raise InputError(
                f"Y: row {i} sums to {sums[i]:.12g}; cross_entropy needs label probabilities that sum to 1"
            )
        return Y

    def encode_labels(
        self, labels: np.ndarray, classes: tuple[str, ...], name: str, place: str
    ) -> tuple[np.ndarray, str]:
        """One output for each class, one-hot."""
        if len(classes) < 2:
            raise InputError(f"{place} has one class ({shown_classes(classes)}); give two or more")
        Y = (labels[:, np.newaxis] == np.arange(len(classes))).astype(np.float64)
        return Y, f"{name} has {len(classes)} classes, one output each: {shown_classes(classes)}"

    def classes_of(self, Y: np.ndarray) -> tuple[np.ndarray, tuple[tuple[str, ...], ...]] | None:
        """One class for each output, by its number, unless labels are soft."""
        single = np.all(np.count_nonzero(Y, axis=1) == 1)
        return (Y.argmax(axis=1), tuple((str(j),) for j in range(Y.shape[1]))) if single else None

    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        # S_i(log Σ exp(z − top)) + Σ y (top − z): every term is ≥ 0, so nothing cancels.
        Y = self.by_weight(Y)
        top = Z.max(axis=0)
        log_sum = np.log(np.exp(Z - top).sum(axis=0))
        return float(np.sum(Y.sum(axis=0) * log_sum) + np.sum(Y * (top - Z))) / Y.shape[1]

    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        Y = self.by_weight(Y)
        weights = np.exp(Z - Z.max(axis=0))
        softmax = weights / weights.sum(axis=0)
        return (Y.sum(axis=0) * softmax - Y) / Y.shape[1]

    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """(1/N) S_i (diag p_i − p_ip_iᵀ), p_i the softmax of z_i."""
        weights = np.exp(Z - Z.max(axis=0))
        p = (weights / weights.sum(axis=0)).T
        blocks = p[:, :, np.newaxis] * np.eye(len(Y)) - p[:, :, np.newaxis] * p[:, np.newaxis, :]
        return (self.by_weight(Y).sum(axis=0) / Y.shape[1])[:, np.newaxis, np.newaxis] * blocks

    def tensor_value(self, Z: Tensor, Y: Tensor) -> Tensor:
        # As in `value`: shifted by the largest z, every term is ≥ 0.
        Y = self.tensor_by_weight(Y)
        top = Z.amax(-2, keepdim=True)
        log_sums = (Z - top).exp().sum(-2).log()
        return ((Y.sum(0) * log_sums).sum(-1) + (Y * (top - Z)).sum((-2, -1))) / Y.shape[1]

    def tensor_gradient(self, Z: Tensor, Y: Tensor) -> Tensor:
        Y = self.tensor_by_weight(Y)
        return (Y.sum(0) * Z.softmax(-2)).sub_(Y).div_(Y.shape[1])

    def tensor_hessian_product(self, Z: Tensor, Y: Tensor, direction: Tensor) -> Tensor:
        p = Z.softmax(-2)
        return self.tensor_by_weight(Y).sum(0) / Y.shape[1] * p * (direction - (p * direction).sum(-2, keepdim=True))

    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        N = Y.shape[1]
        column_sums = G.sum(axis=0)
        if np.any(np.abs(N * column_sums) > 1e-9 * (1.0 + N * np.abs(G).sum(axis=0))):
            return -math.inf
        Y = self.by_weight(Y)
        p = Y - N * self.rounded_dual(G)
        if p.min() < -DOMAIN_TOLERANCE:
            return -math.inf
        positive = p > 0
        sums = np.broadcast_to(Y.sum(axis=0), p.shape)[positive]
        return float(np.sum(p[positive] * np.log(sums / np.maximum(p[positive], 1e-300)))) / N

    def conic_form(self, Y: np.ndarray) -> ConicForm:
        """t_i ≥ log Σ_j e^{z_ji} as e^{z_ji − t_i} ≤ p_ji, Σ_j p_ji ≤ 1; variables (t_i, p_1i, …, p_mi) per point."""
        Y = self.by_weight(Y)
        m, N = Y.shape
        i, one = np.arange(N), np.ones(N)
        t = m * N + (m + 1) * i
        total = m * N + (m + 1) * N
        linear = np.zeros(total)
        linear[: m * N] = -Y.ravel() / N
        linear[t] = Y.sum(axis=0) / N
        sums = sparse_rows([i] * m, [t + 1 + j for j in range(m)], [one] * m, N, total)
        rows, columns, entries = [], [], []
        for j in range(m):  # (x, y, z) with y e^{x/y} ≤ z
            first = 3 * (j * N + i)
            rows += [first, first, first + 2]
            columns += [j * N + i, t, t + 1 + j]
            entries += [-one, one, -one]
        exponentials = sparse_rows(rows, columns, entries, 3 * m * N, total)
        return ConicForm(
            np.zeros(m * N),
            linear,
            (
                Rows(sums, one, Cone.NONNEGATIVE),
                Rows(exponentials, np.tile([0.0, 1.0, 0.0], m * N), Cone.EXPONENTIAL),
            ),
        )

    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        """The entropies (1/N) Σ p log(S_i/p) with exact p = y − N·scale·g; the last row of G is ignored."""
        s = exact_scale(scale)
        m, N = Y.shape
        g, y, g_exponent = self._exact_columns(G, Y)
        # p = P/D and S_i = T/D with integers P, T over one denominator D.
        sG, D = N * s.numerator, s.denominator
        total = ZERO
        for i in range(N):
            T = sum(y[j][i] for j in range(m)) * D
            for j in range(m):
                P = y[j][i] * D - sG * g[j][i]
                if P < 0:
                    return -math.inf
                total = DOWN.add(total, DOWN.multiply(P, log_lower(T, P)))
        return round_down(times_power_of_two(DOWN, DOWN.divide(total, N * D), g_exponent))

    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """C(Z) rounded up, plus (1/N) Σ_i 2 S_i q_i e_i, e_i = max_j e_ji.

        ∇C_i = (S_i p − y_i)/N, p = softmax(z), has 1-norm at most 2 S_i/N, and 2 S_i(1 − p_j)/N where class j has the whole
        label: so the Lipschitz constant of point i in the maximum norm. There 1 − p_j ≤ Σ_{k≠j} exp(z_k − z_j + 2e_i) within the
        errors, which is q_i when z_j is the largest output; else q_i = 1.
        """
        Z, E, Y = with_error(Z, Z_error, Y)
        if not all_finite(Z, E):
            return math.inf
        total = ZERO
        omega = np.broadcast_to(self.omega, Y.shape[1:]).tolist()
        for weight, z_column, e_column, y_column in zip(omega, Z.T.tolist(), E.T.tolist(), Y.T.tolist(), strict=True):
            top = max(z_column)
            exact_top = Decimal(top)
            sum_exp, label_sum, others = ZERO, ZERO, ZERO
            for z, y in zip(z_column, y_column, strict=True):
                term = exp_upper(UP.subtract(Decimal(z), exact_top))
                sum_exp = UP.add(sum_exp, term)
                others = others if y else UP.add(others, term)
                if y:
                    label = UP.multiply(Decimal(weight), Decimal(y))
                    label_sum = UP.add(label_sum, label)
                    total = UP.add(total, UP.multiply(label, UP.subtract(exact_top, Decimal(z))))
            log_sum = log_upper(sum_exp)
            slack = UP.multiply(TWO, Decimal(max(e_column)))
            if slack and [z for z, y in zip(z_column, y_column, strict=True) if y] == [top]:
                slack = UP.multiply(slack, min(ONE, UP.multiply(others, exp_upper(slack))))
            total = UP.add(total, UP.multiply(label_sum, UP.add(log_sum, slack)))
        return round_up(UP.divide(total, Decimal(Y.shape[1])))

    def value_lower(self, Z: Sequence[Sequence[int]], Y: Sequence[Sequence[int]], unit: Fraction) -> Fraction:
        """(1/N) Σ_i [S_i log(1 + Σ exp(z − top)) + Σ_j y_ji (top − z_ji)], the inner sum over all outputs but one at the top."""
        total = Fraction(0)
        w, f = self.exact_weights(len(Z[0]))
        for weight, zs, ys in zip(w, zip(*Z, strict=True), zip(*Y, strict=True), strict=True):
            top = max(zs)
            first = zs.index(top)
            others = ZERO
            for j, z in enumerate(zs):
                if j != first:
                    others = DOWN.add(others, exp_lower((z - top) * unit))
            total += weight * sum(ys) * unit * Fraction(log_one_plus_lower(others))
            total += weight * sum(y * (top - z) for z, y in zip(zs, ys, strict=True)) * unit * unit
        return dyadic(1, f) * total / len(Z[0])

    def max_scale(self, G: np.ndarray, Y: np.ndarray) -> float:
        """min over exact g_ji > 0 of y_ji/(N g_ji), rounded down: the domain is p ≥ 0 (1ᵀp_i = S_i by definition)."""
        m, N = Y.shape
        g, y, _ = self._exact_columns(G, Y)
        return smallest_ratio((y[j][i], N * g[j][i]) for j in range(m) for i in range(N))

    def exact_dual_defect(self, G: np.ndarray) -> float:
        """‖1ᵀG‖₂, rounded up: only the last row differs, by the column sums."""
        integers, exponent = exact_integers(G)
        N = G.shape[1]
        column_sums = (sum(integers[i::N]) for i in range(N))
        return sqrt_up(dyadic(sum(c * c for c in column_sums), 2 * exponent))

    def project_dual(self, G: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Clip p to the simplex of sum S_i, then shift single entries by units in the last place until max_scale
        is about 1: y_ji = 0 needs g_ji ≤ 0 exactly, also in the last row, which is a sum of the others."""
        m, N = Y.shape
        last_labels = [
            Fraction(w) * Fraction(y)
            for w, y in zip(np.broadcast_to(self.omega, N).tolist(), Y[-1].tolist(), strict=True)
        ]
        Y = self.by_weight(Y)
        sums = Y.sum(axis=0)
        p = np.clip(Y - N * np.asarray(G, dtype=np.float64), 0.0, None)
        totals = p.sum(axis=0)
        p = np.where(totals > 0, p * (sums / np.where(totals > 0, totals, 1.0)), sums / m)
        G = (Y - p) / N
        for i in range(N):
            largest = int(np.argmax(p[:-1, i]))
            for _ in range(100):
                last = -sum((Fraction(g) for g in G[:-1, i].tolist()), Fraction(0))
                excess = N * last - last_labels[i]
                if excess <= 0:
                    break
                # Raising g at the largest probability lowers both that probability and the last entry of g.
                raised = G[largest, i] + 2.0 * float(excess) / N
                G[largest, i] = max(raised, math.nextafter(G[largest, i], math.inf))
        G[-1] = -G[:-1].sum(axis=0)
        return G

    def _exact_columns(self, G: np.ndarray, Y: np.ndarray) -> tuple[list[list[int]], list[list[int]], int]:
        """(g, y, exponent): rows of integers with G = g·2**exponent (the last row is the sum) and ωY = y·2**exponent."""
        m, N = Y.shape
        integers, exponent = exact_integers(np.concatenate([np.asarray(G, dtype=np.float64)[:-1].ravel(), Y.ravel()]))
        rows = [integers[k * N : (k + 1) * N] for k in range(2 * m - 1)]
        w, f = self.exact_weights(N)
        g = [[v << -f for v in row] for row in rows[: m - 1]]
        y = [[weight * v for weight, v in zip(w, row, strict=True)] for row in rows[m - 1 :]]
        return self.exact_dual([*g, []]), y, exponent + f
