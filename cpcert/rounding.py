"""Exact numbers and their rounding to float64 in a chosen direction.

A float64 is a dyadic rational, so a sum of products of floats is an exact rational: `exact_integers` writes an array
as integers over one power of two, and `exact_dot` adds up with plain integers (no greatest common divisors). The
`round_*` and `sqrt_*` functions return the neighbouring float on the stated side, whatever the size of the number.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from operator import mul

import numpy as np

Exact = Fraction | Decimal | int | float

# The relative error of one float64 operation (to nearest), and the smallest normal number, which bounds the absolute
# error of an operation that underflows even where a library has switched gradual underflow off.
UNIT_ROUNDOFF = 2.0**-53
# Twice that: the ε of the docstrings that bound the rounding of a computation.
EPS = 2.0**-52
SMALLEST_NORMAL = 2.0**-1022
# Sums whose rounding could be more than this part of what they decide are done in rationals.
DIGITS_LOST = 1e-9


def exact_integers(A: np.ndarray) -> tuple[list[int], int]:
    """The entries of A, flattened in C order, as integers over one power of two: A.flat[i] == ints[i]·2**exponent.

    A: finite float64, any shape. Raises ValueError for NaN or infinity, which have no exact value.
    """
    A = np.asarray(A, dtype=np.float64).ravel()
    if not np.all(np.isfinite(A)):
        raise ValueError("exact arithmetic needs finite numbers; got NaN or infinity")
    mantissa, exponent = np.frexp(A)
    integers = np.ldexp(mantissa, 53).astype(np.int64)
    exponents = exponent.astype(np.int64) - 53
    nonzero = integers != 0
    if not nonzero.any():
        return [0] * A.size, 0
    lowest = int(exponents[nonzero].min())
    shifts = np.where(nonzero, exponents - lowest, 0)
    return [i << s for i, s in zip(integers.tolist(), shifts.tolist(), strict=True)], lowest


def dyadic(integer: int, exponent: int) -> Fraction:
    """integer·2**exponent as a Fraction."""
    return Fraction(integer << exponent) if exponent >= 0 else Fraction(integer, 1 << -exponent)


def exact_sum(A: np.ndarray) -> Fraction:
    """The exact sum of the entries of A."""
    integers, exponent = exact_integers(A)
    return dyadic(sum(integers), exponent)


def exact_dot(A: np.ndarray, B: np.ndarray) -> Fraction:
    """The exact ⟨A, B⟩ = Σ A_ij B_ij of two arrays of one shape; exact_dot(A, A) is the exact ‖A‖_F²."""
    if np.shape(A) != np.shape(B):
        raise ValueError(f"exact_dot: shapes {np.shape(A)} and {np.shape(B)} differ")
    a, a_exponent = exact_integers(A)
    b, b_exponent = (a, a_exponent) if B is A else exact_integers(B)
    return dyadic(sum(map(mul, a, b)), a_exponent + b_exponent)


def round_down(value: Exact) -> float:
    """The largest float64 ≤ value (−inf below the range of float64)."""
    nearest = _nearest(value)
    return math.nextafter(nearest, -math.inf) if nearest > value else nearest


def round_up(value: Exact) -> float:
    """The smallest float64 ≥ value (inf above the range of float64)."""
    nearest = _nearest(value)
    return math.nextafter(nearest, math.inf) if nearest < value else nearest


def sqrt_up(value: Fraction) -> float:
    """A float64 ≥ √value, at most one float above the smallest such. Raises ValueError when value < 0."""
    return round_up(_sqrt_interval(value)[1])


def _nearest(value: Exact) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _sqrt_interval(value: Fraction) -> tuple[Fraction, Fraction]:
    """Rationals around √value that agree to at least 64 bits, equal when √value is rational and found."""
    value = Fraction(value)
    if value < 0:
        raise ValueError(f"square root of the negative number {float(value)}")
    # ⌊√(value·4**k)⌋ has at least 64 bits for this k.
    k = max(0, (130 - value.numerator.bit_length() + value.denominator.bit_length()) // 2)
    scaled, remainder = divmod(value.numerator << 2 * k, value.denominator)
    root = math.isqrt(scaled)
    low = Fraction(root, 1 << k)
    exact = remainder == 0 and root * root == scaled
    return low, low if exact else Fraction(root + 1, 1 << k)
