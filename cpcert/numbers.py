"""Text to numbers, by one grammar everywhere.

Python's own float, int and Fraction also read "2020_01" as 202001, Arabic and full-width digits, "nan" and "infinity";
a code in a table would become a number without a word.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_RATIONAL = re.compile(r"[+-]?\d{1,400}(/\d{1,400})?", re.ASCII)


def parse_float(text: str) -> float:
    """The nearest float64 of a decimal number like -1, .5 or 1.5e-3, blanks around it allowed.

    Raises ValueError: anything else, and numbers beyond the largest float64.
    """
    stripped = text.strip(" \t")
    if not _DECIMAL.fullmatch(stripped) or not math.isfinite(value := float(stripped)):
        raise ValueError(f"{text!r} is not a decimal number")
    return value


def parse_rational(text: str) -> Fraction:
    """An integer or a fraction p/q, exactly, blanks around it allowed; at most 400 digits each.

    Raises ValueError: anything else, and q = 0.
    """
    stripped = text.strip(" \t")
    if not _RATIONAL.fullmatch(stripped):
        raise ValueError(f"{text!r} is not an integer or a fraction p/q")
    numerator, _, denominator = stripped.partition("/")
    if denominator and not int(denominator):
        raise ValueError(f"{text!r} has the denominator 0")
    return Fraction(int(numerator), int(denominator or 1))
