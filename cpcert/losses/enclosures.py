"""Logarithms and exponentials on a chosen side, from `decimal` with 34 digits.

The only transcendental operation is the exponential of `decimal`, which is correctly rounded (Python library reference,
`Decimal.exp`) and is moved one further unit in the last place to the safe side, twice what that guarantee asks for. Logarithms
are one Newton step from any guess L, with x e^{−L} = t:

    L + 1 − 1/t  ≤  log x = L + log t  ≤  L + t − 1,

which holds whatever L is; all other operations round to the safe side. (This is three times faster than `Decimal.ln`.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction

from cpcert.rounding import round_down

DOWN = Context(prec=34, rounding=ROUND_FLOOR, Emin=-999_999, Emax=999_999, traps=[])
UP = Context(prec=34, rounding=ROUND_CEILING, Emin=-999_999, Emax=999_999, traps=[])
ZERO, ONE, TWO = Decimal(0), Decimal(1), Decimal(2)


def exp_upper(x: Decimal) -> Decimal:
    """An upper bound of e^x."""
    return ONE if x == 0 else UP.next_plus(UP.exp(UP.plus(x)))


def exp_lower(x: Fraction) -> Decimal:
    """A lower bound of e^x, x ≤ 0."""
    if x == 0:
        return ONE
    below = DOWN.divide(Decimal(x.numerator), Decimal(x.denominator))
    return max(ZERO, DOWN.next_minus(DOWN.exp(below)))


def log_upper(x: Decimal) -> Decimal:
    """An upper bound of log x, x ≥ 1."""
    guess = _log_guess(x)
    t = UP.multiply(x, exp_upper(guess.copy_negate()))
    return UP.add(guess, UP.subtract(t, ONE))


def log_lower(numerator: int, denominator: int) -> Decimal:
    """A lower bound of log(numerator/denominator) for 0 ≤ denominator ≤ numerator; 0 when denominator = 0."""
    if denominator == 0 or denominator == numerator:
        return ZERO
    return _log_lower(DOWN.divide(Decimal(numerator), Decimal(denominator)))


def log_one_plus_lower(t: Decimal) -> Decimal:
    """A lower bound of log(1 + t), t ≥ 0; for small t by t − t²/2, which keeps the digits that 1 + t would lose."""
    return max(_log_lower(DOWN.add(ONE, t)), DOWN.subtract(t, UP.divide(UP.multiply(t, t), TWO)))


def _log_lower(x: Decimal) -> Decimal:
    """A lower bound of log x, x ≥ 1."""
    guess = _log_guess(x)
    t = DOWN.multiply(x, DOWN.next_minus(DOWN.exp(guess.copy_negate())))
    return max(ZERO, DOWN.add(guess, DOWN.subtract(ONE, UP.divide(ONE, t))))


def _log_guess(x: Decimal) -> Decimal:
    """A number near log x, short enough to be exact in every context (which its negation must be)."""
    nearest = float(x)
    return Decimal(repr(math.log(nearest))) if 0.0 < nearest < math.inf else DOWN.ln(x)


def times_power_of_two(context: Context, value: Decimal, exponent: int) -> Decimal:
    """value·2^exponent, rounded as `context` says."""
    power = Decimal(1 << abs(exponent))
    return context.multiply(value, power) if exponent >= 0 else context.divide(value, power)


def smallest_ratio(pairs: Iterable[tuple[int, int]]) -> float:
    """min a/b over the pairs (a, b) with b > 0, rounded down; inf when there is none."""
    best: tuple[int, int] | None = None
    for a, b in pairs:
        if b > 0 and (best is None or a * best[1] < best[0] * b):
            best = (a, b)
    return math.inf if best is None else round_down(Fraction(*best))
