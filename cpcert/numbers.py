"""Text that means a number: decimals as people and programs write them, and nothing more.

Python's own float, int and Fraction also read "2020_01" as 202001, the digits of every script, "nan" and "infinity": a
code in a table would become a number without a word.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

# Of texts in these characters, `float` accepts exactly the decimals.
DECIMAL_CHARACTERS = "0123456789+-.eE"
_RATIONAL = re.compile(r"[+-]?\d{1,400}(/\d{1,400})?", re.ASCII)


def parse_float(text: str) -> float:
    """The float64 nearest to a decimal like -12, .5 or 1e-3, blanks around it allowed.

    Raises ValueError for any other text, and beyond the largest float64.
    """
    stripped = text.strip(" \t")
    try:
        value = math.nan if stripped.strip(DECIMAL_CHARACTERS) else float(stripped)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a decimal number" + (" of at most 1.8e308" if math.isinf(value) else ""))
    return value


def parse_integer(text: str) -> int:
    """The integer in decimal digits, with or without a sign. Raises ValueError for any other text."""
    if text.strip("0123456789+-"):
        raise ValueError(f"{text!r} is not an integer")
    return int(text)


def parse_rational(text: str) -> Fraction:
    """An integer or a fraction p/q, exactly, blanks around it allowed; at most 400 digits each.

    Raises ValueError for any other text, and for q = 0.
    """
    stripped = text.strip(" \t")
    if not _RATIONAL.fullmatch(stripped):
        raise ValueError(f"{text!r} is not an integer or a fraction p/q")
    numerator, _, denominator = stripped.partition("/")
    if denominator and not int(denominator):
        raise ValueError(f"{text!r} has the denominator 0")
    return Fraction(int(numerator), int(denominator or 1))
