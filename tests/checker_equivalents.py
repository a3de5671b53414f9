"""Mutants of the checker that no certificate can tell from it, or that are as sound, each with the reason."""

from __future__ import annotations

import re

# A pattern of keys (checker_mutants.py) → why they are left out.
EQUIVALENT: dict[str, str] = {
    r"^: \d+ → \d+$": "a limit or a precision of the module: others would do",
    r"^Problem\.__init__: True → False$": "zip(strict=True) of lists that have the same length by what is checked before",
    r": values\.byteswap\(\) → pass$": "only machines that store the highest byte first come here",
    r"^(norm_up|fraction_root_up): (80 → 81|0 → 1|2 → 3|.*bit_length.*)$": "a root with more or fewer bits, still rounded up",
    r"(→|abs\(.*\)) (abs\()?[-\w.]+\)? (<|<=|>=) (\d \* )?EXPONENT$|EXPONENT": "a limit: others would do",
    r"^exp_bounds: (60 → 61|2 \* term_high → 2 \+ term_high|2 → 3)$": "another term of a series that has converged",
    r"^exp_bounds: (100 → 101|x < -100 → x <= -100)$": "where e**x is enclosed by a constant: e**-100 either way",
    r"^exp_bounds: .*144": "the enclosure of what is below e**-100: any power of two above it is as sound",
    r"^exp_bounds: (1 → 2|s_low \+ 1 → .*|low \* low >> BITS.*)$": "an enclosure wider by a unit in 2**-160",
    r"strict": "zip(strict=True) of lists of equal length",
    r": True → False$": "zip(strict=True) of lists of equal length",
}


def excuse(key: str) -> str | None:
    """The reason for which a mutant is left out; None if it must die."""
    return next((reason for pattern, reason in EQUIVALENT.items() if re.search(pattern, key)), None)
