"""Directed rounding and exact sums: everything a proven bound rests on."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cpcert.rounding import dyadic, exact_dot, exact_integers, exact_sum, round_down, round_up, sqrt_up

any_float = st.floats(allow_nan=False, allow_infinity=False)
float_arrays = arrays(np.float64, st.integers(1, 6), elements=any_float)
rationals = st.builds(Fraction, st.integers(-(10**40), 10**40), st.integers(1, 10**40))


@given(q=rationals)
@example(q=Fraction(1, 3))
@example(q=Fraction(-1, 3))
@example(q=Fraction(3, 4))
@example(q=Fraction(1, 10**400))
@example(q=Fraction(-1, 10**400))
@example(q=Fraction(10**400))
@example(q=Fraction(-(10**400)))
def test_rounding_gives_the_neighbouring_floats(q):
    low, high = round_down(q), round_up(q)
    assert low == -math.inf or Fraction(low) <= q
    assert high == math.inf or Fraction(high) >= q
    exact = math.isfinite(low) and Fraction(low) == q
    assert high == (low if exact else math.nextafter(low, math.inf))


@given(x=any_float, digits=st.integers(-(10**30), 10**30))
def test_decimals_round_like_rationals(x, digits):
    value = Decimal(x) + Decimal(digits).scaleb(-45)
    assert round_down(value) == round_down(Fraction(value))
    assert round_up(value) == round_up(Fraction(value))


@given(q=rationals.map(abs))
@example(q=Fraction(0))
@example(q=Fraction(2))
@example(q=1 + Fraction(2) ** -200)
@example(q=1 - Fraction(2) ** -200)
@example(q=Fraction(2) ** -2000)
@example(q=Fraction(2) ** 2001)
@example(q=Fraction(5e-324))
@example(q=Fraction(1.7976931348623157e308))
def test_square_roots_are_rounded_up(q):
    root = sqrt_up(q)
    below = Fraction(math.nextafter(math.nextafter(root, 0.0), 0.0))
    assert below**2 < q <= Fraction(root) ** 2 or root == q == 0


def test_square_roots_of_squares_are_exact_and_of_negative_numbers_refused():
    for x in (0.0, 0.1, 3.0, 1e-300, 1e300):
        assert sqrt_up(Fraction(x) ** 2) == x
    with pytest.raises(ValueError, match="negative"):
        sqrt_up(Fraction(-1))


@given(A=float_arrays)
@example(A=np.array([5e-324, -1.7976931348623157e308, 0.0, -0.0]))
def test_integers_represent_floats_exactly(A):
    integers, exponent = exact_integers(A)
    assert [dyadic(i, exponent) for i in integers] == [Fraction(a) for a in A.tolist()]
    assert exact_sum(A) == sum(map(Fraction, A.tolist()))


@given(data=st.data(), n=st.integers(1, 5))
def test_dot_products_are_exact(data, n):
    A = data.draw(arrays(np.float64, n, elements=any_float))
    B = data.draw(arrays(np.float64, n, elements=any_float))
    pairs = zip(A.tolist(), B.tolist(), strict=True)
    assert exact_dot(A, B) == sum(Fraction(a) * Fraction(b) for a, b in pairs)
    assert exact_dot(A, A) == sum(Fraction(a) ** 2 for a in A.tolist())


def test_exact_arithmetic_refuses_what_has_no_value():
    with pytest.raises(ValueError, match="finite"):
        exact_integers(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="shapes"):
        exact_dot(np.ones(2), np.ones((1, 2)))
