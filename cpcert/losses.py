"""Losses C: value, gradient, convex conjugate, and their proven counterparts.

Z, Y, G, S are (m, N): columns are points. The dual of the depth-2 problem needs

    −C*(−G) = min_Z C(Z) + ⟨G, Z⟩,   −∞ outside the domain,

which is `dual_value`. Every loss is separable over points, and its conjugate has a closed form:

    mse            C = (1/N) ‖Z − Y‖²                  −C*(−G) = ⟨G, Y⟩ − (N/4) ‖G‖²
    cross_entropy  C = −(1/N) Σ_ji y_ji log softmax(z_i)_j
                                                       −C*(−G) = (1/N) Σ_ji p_ji log(S_i / p_ji)
                   p_i = y_i − N g_i ≥ 0, 1ᵀg_i = 0, S_i = 1ᵀy_i (labels are kept as they are: S_i may differ from 1
                   by rounding)
    logistic       C = (1/N) Σ log(1 + e^{−yz})        −C*(−G) = (1/N) Σ h(p),  p = N y g ∈ [0, 1],
                   y ∈ {−1, 1}                         h(p) = −p log p − (1 − p) log(1 − p)
    interpolate    C = 0 if Z = Y, else ∞              −C*(−G) = ⟨G, Y⟩

`value`, `gradient`, `conjugate`, `dual_value` are ordinary float64 evaluations. The *proven* ones are

    dual_value_lower(G, scale, Y)  ≤ −C*(−scale·G)     for the exact numbers in G, Y and scale,
    value_upper(Z, Z_error, Y)     ≥ C(Z′)             for every Z′ with |Z′ − Z| ≤ Z_error entry by entry,
    max_scale(G, Y)                                    scale·G lies in the domain for every 0 ≤ scale ≤ max_scale.

They use integers where the loss is rational. Elsewhere the only transcendental operation is the exponential of
`decimal`, which is correctly rounded to the working precision of 34 digits (Python library reference, `Decimal.exp`)
and is moved one further unit in the last place to the safe side, twice what that guarantee asks for. Logarithms are
one Newton step from any guess L, with x e^{−L} = t:

    L + 1 − 1/t  ≤  log x = L + log t  ≤  L + t − 1,

which holds whatever L is; all other operations round to the safe side. (This is three times faster than `Decimal.ln`.)

The constraint 1ᵀg_i = 0 of cross_entropy cannot hold for floats. Its exact dual point is *defined* by the first m − 1
rows of G; the last row is minus their exact sum, and the stored last row is ignored. `exact_dual_defect` bounds the
difference.
"""

from __future__ import annotations

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import ClassVar

import numpy as np

from cpcert.errors import InputError
from cpcert.rounding import dyadic, exact_dot, exact_integers, round_down, round_up, sqrt_up

# A float dual point may leave the domain by rounding; `dual_value` forgives this much of a probability.
DOMAIN_TOLERANCE = 1e-12
# Soft labels of a point may sum to 1 up to this much.
LABEL_SUM_TOLERANCE = 1e-9

_DOWN = Context(prec=34, rounding=ROUND_FLOOR, Emin=-999_999, Emax=999_999, traps=[])
_UP = Context(prec=34, rounding=ROUND_CEILING, Emin=-999_999, Emax=999_999, traps=[])
_ZERO, _ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True)
class Loss(ABC):
    """A convex loss C of the outputs Z (m, N). The formulas of each loss are in the module's docstring."""

    name: ClassVar[str]

    @abstractmethod
    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        """The targets as float64, mapped to the loss's own encoding. Y: (N, m), **rows are points**, as users give it.

        Raises InputError naming the entry that cannot be a target of this loss.
        """

    @abstractmethod
    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        """C(Z) in floating point."""

    @abstractmethod
    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """∇C(Z), (m, N), in floating point."""

    @abstractmethod
    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """∇²C(Z), (N, m, m), in floating point: block i is the second derivative in the outputs z_i of point i."""

    @abstractmethod
    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        """−C*(−G) in floating point; −inf outside the domain (up to DOMAIN_TOLERANCE). Heuristic: not a bound."""

    def conjugate(self, S: np.ndarray, Y: np.ndarray) -> float:
        """C*(S) = max_Z ⟨S, Z⟩ − C(Z) in floating point; inf outside the domain."""
        return -self.dual_value(-S, Y)

    @abstractmethod
    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        """Proven: a float ≤ −C*(−scale·G) for the exact numbers given; −inf when scale·G is outside the domain.

        The domain is decided exactly. scale ≥ 0; G, Y finite.
        """

    @abstractmethod
    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """Proven: a float ≥ C(Z′) for every Z′ with |Z′ − Z| ≤ Z_error entry by entry (inf when nothing is known)."""

    def max_scale(self, G: np.ndarray, Y: np.ndarray) -> float:
        """Proven: the largest float s such that sG (exactly) lies in the domain of −C*(−·); inf if all do."""
        return math.inf

    def exact_dual_defect(self, G: np.ndarray) -> float:
        """Proven: a float ≥ ‖G′ − G‖_F, G′ the exact dual point that stands for G. 0 where G′ = G."""
        return 0.0

    def project_dual(self, G: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """A dual point near G, as float64, for which max_scale is not much below 1. Heuristic: nothing is claimed.

        The identity where the domain is everything. Multipliers from a conic solver leave the domain by its
        tolerance, gradients by rounding: both then have max_scale 0 and give no bound before this repair.
        """
        return np.array(G, dtype=np.float64)


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """C = (1/N)‖Z − Y‖_F², ∇C = (2/N)(Z − Y), C*(S) = ⟨S, Y⟩ + (N/4)‖S‖_F²."""

    name = "mse"

    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        return _finite_targets(Y)

    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        return float(np.sum((Z - Y) ** 2)) / Y.shape[1]

    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return (2.0 / Y.shape[1]) * (Z - Y)

    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        m, N = Y.shape
        return np.tile((2.0 / N) * np.eye(m), (N, 1, 1))

    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        return float(np.sum(G * Y) - 0.25 * Y.shape[1] * np.sum(G * G))

    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        s = _exact_scale(scale)
        return round_down(s * exact_dot(G, Y) - Fraction(Y.shape[1], 4) * s * s * exact_dot(G, G))

    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """(1/N) Σ (|z − y| + e)², exactly, then rounded up."""
        Z, E, Y = _with_error(Z, Z_error, Y)
        if not _all_finite(Z, E):
            return math.inf
        integers, exponent = exact_integers(np.stack([Z, Y, E]))
        size = Z.size
        z, y, e = integers[:size], integers[size : 2 * size], integers[2 * size :]
        total = sum((abs(zi - yi) + ei) ** 2 for zi, yi, ei in zip(z, y, e, strict=True))
        return round_up(dyadic(total, 2 * exponent) / Y.shape[1])


@dataclass(frozen=True)
class Interpolate(Loss):
    """The constraint Z = Y. Its value on the feasible set is 0; C*(S) = ⟨S, Y⟩, with the whole space as domain."""

    name = "interpolate"

    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        return _finite_targets(Y)

    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        """0.0, the value on the feasible set. How far Z is from Y is asked separately (Network.residual)."""
        return 0.0

    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Raises ValueError: a constraint has multipliers, not a gradient."""
        raise ValueError("interpolate is the constraint Z = Y and has no gradient; use its multiplier as G")

    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Raises ValueError, like `gradient`."""
        raise ValueError("interpolate is the constraint Z = Y and has no second derivative")

    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        return float(np.sum(G * Y))

    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        return round_down(_exact_scale(scale) * exact_dot(G, Y))

    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """0.0 when Z = Y is certain (Z equals Y bit for bit and Z_error is 0), else inf."""
        Z, E, Y = _with_error(Z, Z_error, Y)
        return 0.0 if np.array_equal(Z, Y) and not np.any(E) else math.inf


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Mean softmax cross-entropy of labels y_i ≥ 0 with sum S_i (1 up to rounding).

    C = (1/N) Σ_i [S_i log Σ_j exp z_ji − Σ_j y_ji z_ji], ∇C_i = (S_i softmax(z_i) − y_i)/N, C*(S) = Σ p log(p/S_i)/N
    with p_i = y_i + N s_i in the simplex of sum S_i.
    """

    name = "cross_entropy"

    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        Y = _finite_targets(Y)
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

    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        # S_i(log Σ exp(z − top)) + Σ y (top − z): every term is ≥ 0, so nothing cancels.
        top = Z.max(axis=0)
        log_sum = np.log(np.exp(Z - top).sum(axis=0))
        return float(np.sum(Y.sum(axis=0) * log_sum) + np.sum(Y * (top - Z))) / Y.shape[1]

    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        weights = np.exp(Z - Z.max(axis=0))
        softmax = weights / weights.sum(axis=0)
        return (Y.sum(axis=0) * softmax - Y) / Y.shape[1]

    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """(1/N) S_i (diag p_i − p_ip_iᵀ), p_i the softmax of z_i."""
        weights = np.exp(Z - Z.max(axis=0))
        p = (weights / weights.sum(axis=0)).T
        blocks = p[:, :, np.newaxis] * np.eye(len(Y)) - p[:, :, np.newaxis] * p[:, np.newaxis, :]
        return (Y.sum(axis=0) / Y.shape[1])[:, np.newaxis, np.newaxis] * blocks

    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        N = Y.shape[1]
        column_sums = G.sum(axis=0)
        if np.any(np.abs(N * column_sums) > 1e-9 * (1.0 + N * np.abs(G).sum(axis=0))):
            return -math.inf
        p = Y - N * np.vstack([G[:-1], -G[:-1].sum(axis=0)])
        if p.min() < -DOMAIN_TOLERANCE:
            return -math.inf
        positive = p > 0
        sums = np.broadcast_to(Y.sum(axis=0), p.shape)[positive]
        return float(np.sum(p[positive] * np.log(sums / np.maximum(p[positive], 1e-300)))) / N

    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        """The entropies (1/N) Σ p log(S_i/p) with exact p = y − N·scale·g; the last row of G is ignored."""
        s = _exact_scale(scale)
        m, N = Y.shape
        g, y, g_exponent = self._exact_columns(G, Y)
        # p = P/D and S_i = T/D with integers P, T over one denominator D.
        sG, D = N * s.numerator, s.denominator
        total = _ZERO
        for i in range(N):
            T = sum(y[j][i] for j in range(m)) * D
            for j in range(m):
                P = y[j][i] * D - sG * g[j][i]
                if P < 0:
                    return -math.inf
                total = _DOWN.add(total, _DOWN.multiply(P, _log_lower(T, P)))
        return round_down(_times_power_of_two(_DOWN, _DOWN.divide(total, N * D), g_exponent))

    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """C(Z) rounded up, plus (1/N) Σ_i 2 S_i q_i e_i, e_i = max_j e_ji.

        ∇C_i = (S_i p − y_i)/N, p = softmax(z), has 1-norm at most 2 S_i/N, and 2 S_i(1 − p_j)/N where class j has the whole
        label: so the Lipschitz constant of point i in the maximum norm. There 1 − p_j ≤ Σ_{k≠j} exp(z_k − z_j + 2e_i) within the
        errors, which is q_i when z_j is the largest output; else q_i = 1.
        """
        Z, E, Y = _with_error(Z, Z_error, Y)
        if not _all_finite(Z, E):
            return math.inf
        total = _ZERO
        for z_column, e_column, y_column in zip(Z.T.tolist(), E.T.tolist(), Y.T.tolist(), strict=True):
            top = max(z_column)
            exact_top = Decimal(top)
            sum_exp, label_sum, others = _ZERO, _ZERO, _ZERO
            for z, y in zip(z_column, y_column, strict=True):
                term = _exp_upper(_UP.subtract(Decimal(z), exact_top))
                sum_exp = _UP.add(sum_exp, term)
                others = others if y else _UP.add(others, term)
                if y:
                    label_sum = _UP.add(label_sum, Decimal(y))
                    total = _UP.add(total, _UP.multiply(Decimal(y), _UP.subtract(exact_top, Decimal(z))))
            log_sum = _log_upper(sum_exp)
            slack = _UP.multiply(Decimal(2), Decimal(max(e_column)))
            if slack and [z for z, y in zip(z_column, y_column, strict=True) if y] == [top]:
                slack = _UP.multiply(slack, min(_ONE, _UP.multiply(others, _exp_upper(slack))))
            total = _UP.add(total, _UP.multiply(label_sum, _UP.add(log_sum, slack)))
        return round_up(_UP.divide(total, Decimal(Y.shape[1])))

    def max_scale(self, G: np.ndarray, Y: np.ndarray) -> float:
        """min over exact g_ji > 0 of y_ji/(N g_ji), rounded down: the domain is p ≥ 0 (1ᵀp_i = S_i by definition)."""
        m, N = Y.shape
        g, y, _ = self._exact_columns(G, Y)
        return _smallest_ratio((y[j][i], N * g[j][i]) for j in range(m) for i in range(N))

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
        sums = Y.sum(axis=0)
        p = np.clip(Y - N * np.asarray(G, dtype=np.float64), 0.0, None)
        totals = p.sum(axis=0)
        p = np.where(totals > 0, p * (sums / np.where(totals > 0, totals, 1.0)), sums / m)
        G = (Y - p) / N
        for i in range(N):
            largest = int(np.argmax(p[:-1, i]))
            for _ in range(100):
                last = -sum((Fraction(g) for g in G[:-1, i].tolist()), Fraction(0))
                excess = N * last - Fraction(float(Y[-1, i]))
                if excess <= 0:
                    break
                # Raising g at the largest probability lowers both that probability and the last entry of g.
                raised = G[largest, i] + 2.0 * float(excess) / N
                G[largest, i] = max(raised, math.nextafter(G[largest, i], math.inf))
        G[-1] = -G[:-1].sum(axis=0)
        return G

    def _exact_columns(self, G: np.ndarray, Y: np.ndarray) -> tuple[list[list[int]], list[list[int]], int]:
        """(g, y, exponent): rows of integers with G = g·2**exponent (the last row is the sum) and Y = y·2**exponent."""
        m, N = Y.shape
        integers, exponent = exact_integers(np.concatenate([np.asarray(G, dtype=np.float64)[:-1].ravel(), Y.ravel()]))
        rows = [integers[k * N : (k + 1) * N] for k in range(2 * m - 1)]
        g, y = rows[: m - 1], rows[m - 1 :]
        g.append([-sum(column) for column in zip(*g, strict=True)])
        return g, y, exponent


@dataclass(frozen=True)
class Logistic(Loss):
    """C = (1/N) Σ log(1 + e^{−yz}) over all entries, y = ±1; ∇C = −(1/N) y/(1 + e^{yz}); C*(S) = −(1/N) Σ h(p),
    p = −N y s ∈ [0, 1]."""

    name = "logistic"

    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        Y = _finite_targets(Y)
        if np.all((Y == 1.0) | (Y == -1.0)):
            return Y
        if np.all((Y == 1.0) | (Y == 0.0)):
            return 2.0 * Y - 1.0
        other = np.argwhere((Y != 1.0) & (Y != -1.0) & (Y != 0.0))
        if other.size:
            i, j = other[0]
            raise InputError(f"Y: row {i}, column {j} is {Y[i, j]}; logistic needs labels in {{-1, 1}} or {{0, 1}}")
        raise InputError("Y: the labels mix -1, 0 and 1; logistic needs labels in {-1, 1} or {0, 1}")

    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        return float(np.sum(np.logaddexp(0.0, -Y * Z))) / Y.shape[1]

    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        # 1/(1 + e^t) = e^{−log(1 + e^t)} without overflow.
        return -Y * np.exp(-np.logaddexp(0.0, Y * Z)) / Y.shape[1]

    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """diag(q_i(1 − q_i))/N, q_i = 1/(1 + e^{−z_i})."""
        variance = np.exp(-np.logaddexp(0.0, Z) - np.logaddexp(0.0, -Z))
        return variance.T[:, :, np.newaxis] * np.eye(len(Y)) / Y.shape[1]

    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        N = Y.shape[1]
        p = N * Y * G
        if p.min() < -DOMAIN_TOLERANCE or p.max() > 1.0 + DOMAIN_TOLERANCE:
            return -math.inf
        total = 0.0
        for q in (p, 1.0 - p):
            q = q[q > 0]
            total -= float(np.sum(q * np.log(q)))
        return total / N

    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        """(1/N) Σ h(p) with exact p = N·scale·y·g."""
        s = _exact_scale(scale)
        N = Y.shape[1]
        integers, exponent = exact_integers(np.asarray(G, dtype=np.float64) * Y)  # y = ±1: exact products
        factor, D = N * s.numerator, s.denominator
        if exponent >= 0:
            factor <<= exponent
        else:
            D <<= -exponent
        total = _ZERO
        for g in integers:
            P = factor * g
            if P < 0 or P > D:
                return -math.inf
            for part in (P, D - P):
                total = _DOWN.add(total, _DOWN.multiply(part, _log_lower(D, part)))
        return round_down(_DOWN.divide(total, N * D))

    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """(1/N) Σ log(1 + e^{e − yz}), rounded up: each term falls in yz."""
        Z, E, Y = _with_error(Z, Z_error, Y)
        if not _all_finite(Z, E):
            return math.inf
        total = _ZERO
        for t, e in zip((Y * Z).ravel().tolist(), E.ravel().tolist(), strict=True):  # y = ±1: exact products
            # log(1 + e^{−t}) = max(−t, 0) + log(1 + e^{−|t|}), here at the least t that the error allows
            least = _DOWN.subtract(Decimal(t), Decimal(e))
            log_term = _log_upper(_UP.add(_ONE, _exp_upper(least.copy_abs().copy_negate())))
            total = _UP.add(total, _UP.add(log_term, max(least.copy_negate(), _ZERO)))
        return round_up(_UP.divide(total, Decimal(Y.shape[1])))

    def max_scale(self, G: np.ndarray, Y: np.ndarray) -> float:
        """1/(N max y g), rounded down; 0 when some y g < 0, for then p leaves [0, 1] at once."""
        signed = np.asarray(G, dtype=np.float64) * Y
        if signed.min() < 0:
            return 0.0
        largest = Fraction(float(signed.max()))
        return round_down(1 / (Y.shape[1] * largest)) if largest > 0 else math.inf

    def project_dual(self, G: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """p clipped to [0, 1]."""
        N = Y.shape[1]
        return np.clip(N * Y * np.asarray(G, dtype=np.float64), 0.0, 1.0) * Y / N


LOSSES: dict[str, Loss] = {each.name: each for each in (MeanSquaredError(), CrossEntropy(), Logistic(), Interpolate())}


def loss(name: str) -> Loss:
    """The loss called `name`: mse, cross_entropy, logistic or interpolate. Raises InputError for any other name."""
    if not isinstance(name, str) or name not in LOSSES:
        close = difflib.get_close_matches(str(name), LOSSES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"loss: {name!r} is unknown; use one of {', '.join(LOSSES)}{hint}")
    return LOSSES[name]


def _finite_targets(Y: np.ndarray) -> np.ndarray:
    Y = np.array(Y, dtype=np.float64)
    if Y.ndim != 2:
        raise InputError(f"Y: has shape {Y.shape}; give one row per point and one column per output")
    if not np.all(np.isfinite(Y)):
        i, j = np.argwhere(~np.isfinite(Y))[0]
        raise InputError(f"Y: row {i}, column {j} is {Y[i, j]}; every target must be a finite number")
    return Y


def _with_error(Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    Z = np.asarray(Z, dtype=np.float64)
    E = np.broadcast_to(np.asarray(Z_error, dtype=np.float64), Z.shape)
    if Z.shape != Y.shape:
        raise ValueError(f"Z has shape {Z.shape} but Y has shape {Y.shape}; both must be (m, N)")
    if np.any(E < 0):
        raise ValueError("Z_error must be >= 0: it bounds |Z - Z_exact|")
    return Z, E, Y


def _all_finite(*arrays: np.ndarray) -> bool:
    return all(bool(np.all(np.isfinite(A))) for A in arrays)


def _exact_scale(scale: Fraction | float) -> Fraction:
    s = Fraction(scale)
    if s < 0:
        raise ValueError(f"scale is {float(s)}; a dual point may only be scaled by a number >= 0")
    return s


def _exp_upper(x: Decimal) -> Decimal:
    return _ONE if x == 0 else _UP.next_plus(_UP.exp(_UP.plus(x)))


def _log_upper(x: Decimal) -> Decimal:
    """An upper bound of log x, x ≥ 1."""
    guess = _log_guess(x)
    t = _UP.multiply(x, _exp_upper(guess.copy_negate()))
    return _UP.add(guess, _UP.subtract(t, _ONE))


def _log_lower(numerator: int, denominator: int) -> Decimal:
    """A lower bound of log(numerator/denominator) for 0 ≤ denominator ≤ numerator; 0 when denominator = 0."""
    if denominator == 0 or denominator == numerator:
        return _ZERO
    x = _DOWN.divide(Decimal(numerator), Decimal(denominator))
    guess = _log_guess(x)
    t = _DOWN.multiply(x, _DOWN.next_minus(_DOWN.exp(guess.copy_negate())))
    return max(_ZERO, _DOWN.add(guess, _DOWN.subtract(_ONE, _UP.divide(_ONE, t))))


def _log_guess(x: Decimal) -> Decimal:
    """A number near log x, short enough to be exact in every context (which its negation must be)."""
    nearest = float(x)
    return Decimal(repr(math.log(nearest))) if 0.0 < nearest < math.inf else _DOWN.ln(x)


def _times_power_of_two(context: Context, value: Decimal, exponent: int) -> Decimal:
    power = Decimal(1 << abs(exponent))
    return context.multiply(value, power) if exponent >= 0 else context.divide(value, power)


def _smallest_ratio(pairs: Iterable[tuple[int, int]]) -> float:
    """min a/b over the pairs (a, b) with b > 0, rounded down; inf when there is none."""
    best: tuple[int, int] | None = None
    for a, b in pairs:
        if b > 0 and (best is None or a * best[1] < best[0] * b):
            best = (a, b)
    return math.inf if best is None else round_down(Fraction(*best))
