"""Text that means a number: decimals as people and programs write them, and nothing more.

`float` and `int` also accept 1_000, infinity, nan and the digits of every script; in a data file those are text.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

# Of texts in these characters, `float` accepts exactly the decimals.
DECIMAL_CHARACTERS = "0123456789+-.eE"
_RATIO = re.compile(r"[-+]?[0-9]+/[0-9]+")


def parse_float(text: str) -> float:
    """The float64 nearest to a decimal like -12, .5 or 1e-3. Raises ValueError for any other text, and beyond 1.8e308."""
    if text.strip(DECIMAL_CHARACTERS):
        raise ValueError(f"{text!r} is not a decimal number")
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text!r} is larger than every float64")
    return value


def parse_integer(text: str) -> int:
    """The integer in decimal digits, with or without a sign. Raises ValueError for any other text."""
    if text.strip("0123456789+-"):
        raise ValueError(f"{text!r} is not an integer")
    return int(text)


def parse_rational(text: str) -> Fraction:
    """The exact value of an integer, a decimal or a fraction p/q. Raises ValueError for any other text, and for q = 0."""
    if _RATIO.fullmatch(text):
        p, q = text.split("/")
        if int(q) == 0:
            raise ValueError(f"{text!r} divides by 0")
        return Fraction(int(p), int(q))
    # A decimal that float64 can hold is not too long to write out; 1e-999999999 is.
    if parse_float(text) == 0.0 and text.lower().partition("e")[0].strip("+-.0"):
        raise ValueError(f"{text!r} is smaller than every float64")
    return Fraction(text)
