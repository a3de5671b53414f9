"""Which texts are numbers."""

from fractions import Fraction

import pytest

from cpcert.numbers import parse_float, parse_rational

NEVER = [
    "",
    " ",
    "2020_01",
    "1_0",
    "٣",
    "３",
    "²",
    "½",
    "1 2",
    "1,5",
    "0x10",
    "x",
    "--1",
    "1.2.3",
    "−1",
    "\ufeff1",
    "1\n",
    "1\xa0",
]


@pytest.mark.parametrize("text", [*NEVER, "nan", "inf", "-Infinity", "1e", "e5", ".", "1e999", "1/2"])
def test_not_a_decimal(text):
    with pytest.raises(ValueError, match="decimal number"):
        parse_float(text)


@pytest.mark.parametrize("text", [*NEVER, "1/0", "1/00", "1/-2", "1/2/3", "1.5", "1e3", "/2", "1/", "9" * 401])
def test_not_a_rational(text):
    with pytest.raises(ValueError, match=r"fraction|denominator"):
        parse_rational(text)


def test_numbers():
    for text in ("1", "-1.5", "+.5", "5.", "1e-3", "2.5E+10", "007", "1e-999"):
        assert parse_float(f" {text}\t") == float(text)
    for text in ("1", "-3/4", "+6/4", "007", "9" * 400):
        assert parse_rational(f"\t{text} ") == Fraction(text)
