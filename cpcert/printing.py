"""Numbers as text. A claim is rounded outward, exactly, or printed whole; what is only measured is `about`.

    at_most, rounded_up        of a proven upper bound: the decimal printed is not below it
    at_least, rounded_down     of a proven lower bound: not above it
    outward, enclosure         of a proven interval: what is printed contains it
    whole                      of a number that a claim is about (λ, a target, the gap asked for): its shortest decimal, which
                               read as a float64 is that number; `decimal` of a rational
    about                      of a number that nobody has proven: rounded to nearest, and named as such where it stands

A number that a claim is about must be whole: rounded to any side, the claim would be about another number.
Roundings are those of `decimal`, from the exact value of the float or rational, once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction

Number = Fraction | float | int

# Significant digits of a bound in a sentence.
DIGITS = 10


def at_most(value: Number, digits: int = DIGITS) -> str:
    """A decimal of at most `digits` significant digits that is ≥ value, exactly."""
    return _short(value, digits, ROUND_CEILING)


def at_least(value: Number, digits: int = DIGITS) -> str:
    """A decimal of at most `digits` significant digits that is ≤ value, exactly."""
    return _short(value, digits, ROUND_FLOOR)


def rounded_up(value: Number) -> str:
    """Two significant digits, not less than `value`: for gaps and distances."""
    return _two_digits(value, ROUND_CEILING)


def rounded_down(value: Number) -> str:
    """Two significant digits, not more than `value`."""
    return _two_digits(value, ROUND_FLOOR)


def whole(value: float) -> str:
    """The shortest decimal that means this float64 and no other."""
    return repr(float(value)).removesuffix(".0")


def decimal(value: Fraction) -> str:
    """The rational as a finite decimal if it has one, else as p/q: exactly `value`."""
    twos = (value.denominator & -value.denominator).bit_length() - 1
    fives, rest = 0, value.denominator >> twos
    while rest % 5 == 0:
        fives, rest = fives + 1, rest // 5
    if rest != 1:
        return str(value)
    places = max(twos, fives)
    sign, digits = "-" if value < 0 else "", str(abs(value.numerator) * 10**places // value.denominator)
    digits = digits.rjust(places + 1, "0")
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def about(value: float, digits: int = 6) -> str:
    """Rounded to nearest: for floating-point values that nothing is proven about."""
    return f"{value:.{digits}g}"


def outward(lower: float, upper: float) -> tuple[str, str]:
    """Decimals with lower_text ≤ lower and upper ≤ upper_text, exactly, and digits enough to show the difference.

    At least 4 and at most 16 significant digits of the larger number; both sides have the same last place.
    """
    low, high = Decimal(lower), Decimal(upper)
    top = max(low.copy_abs(), high.copy_abs()).adjusted() if lower or upper else 0
    width = high - low
    place = width.adjusted() - 1 if width else top - 15
    place = min(max(place, top - 15), top - 3)
    low = low.quantize(Decimal(1).scaleb(place), rounding=ROUND_FLOOR)
    high = high.quantize(Decimal(1).scaleb(place), rounding=ROUND_CEILING)
    # 64.00000000000000 is just 64.
    while place < 0 and not any(int(d.scaleb(-place)) % 10 for d in (low, high)):
        place += 1
        low, high = (d.quantize(Decimal(1).scaleb(place)) for d in (low, high))
    form = "f" if -5 <= top < 16 else "e"
    return format(low, form), format(high, form)


def enclosure(lower: float | None, upper: float | None) -> str | None:
    """Where a number is proven to be: `in [a, b]`, `at least a` or `at most b`; None if nowhere (None or infinite: no bound)."""
    if upper is None or not math.isfinite(upper):
        return None if lower is None or not math.isfinite(lower) else f"at least {outward(lower, lower)[0]}"
    if lower is None or not math.isfinite(lower):
        return f"at most {outward(upper, upper)[1]}"
    return f"in [{', '.join(outward(lower, upper))}]"


def finite(value: float | None) -> float | None:
    """For JSON: the float itself, and None (null) for what is unknown, infinite or NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def or_dash(value: float | None, text: Callable[..., str], *digits: int) -> str:
    """For tables: the number as `text` writes it, and - for what is unknown, infinite or NaN."""
    return "-" if value is None or not math.isfinite(value) else text(value, *digits)


def plural(count: int, noun: str) -> str:
    """The noun as it stands after the count."""
    return noun if count == 1 else f"{noun}s"


def _short(value: Number, digits: int, rounding: str) -> str:
    rounded = _rounded(value, digits, rounding)
    if rounded is None:
        return str(float(value))
    place = rounded.adjusted()
    if -5 <= place < max(digits, 6):
        text = format(rounded, "f")
        return text.rstrip("0").removesuffix(".") if "." in text else text
    mantissa, _, exponent = format(rounded, "e").partition("e")
    return f"{mantissa.rstrip('0').removesuffix('.') if '.' in mantissa else mantissa}e{exponent}"


def _two_digits(value: Number, rounding: str) -> str:
    rounded = _rounded(value, 2, rounding)
    if rounded is None:
        return str(float(value))
    return format(rounded, ".1e") if rounded else "0"


def _rounded(value: Number, digits: int, rounding: str) -> Decimal | None:
    """value to so many digits, rounded once from its exact value; None for infinities and NaN."""
    if not isinstance(value, Fraction):
        if not math.isfinite(value):
            return None
        value = Fraction(value)
    # Operands of a decimal division are not rounded, only its result is.
    return Context(prec=digits, rounding=rounding).divide(Decimal(value.numerator), Decimal(value.denominator))
