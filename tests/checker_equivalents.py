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
    r"^parse: len\(content\) >= 16 and size <= .* → size <= ": "size <= len(content) - 16 says the same, size being >= 0",
    r"^parse: len\(content\) >= 16 → len\(content\) > 16$": "a header of 0 bytes is no JSON: rejected with either",
    r"^parse: (kind == 'float64' → .*|10 → 11)$": "how much is decompressed at most: the length is checked again afterwards",
    r"^_decompress: (1 → 2|len\(raw\) <= most and .* → stream\.eof and .*)$": "how much is decompressed: checked again afterwards",
    r"^(power|shifted|log_bounds): (e >= 0 → e > 0|k >= 0 → k > 0|k > 0 → k >= 0|0 → 1)$": "both branches agree at 0",
    r"^_log_near_one: guess < 0 → guess <= 0$": "both branches agree at 0",
    r"^activate: z > 0 → z >= 0$": "both branches agree at 0",
    r"^semidefinite: 4 → 5$": "a limit: others would do",
    r"^exp_bounds: (1 → 0|high [+-]= 2 \* term_high.*)$": "the rest of the series is far below what rounding each term up adds",
    r"^_log_near_one: .* // \w+ \+ 1$": "one unit of 2**-160, below what the other roundings leave between bound and value",
    r"^Problem\._check_targets: Fraction\(1\) / ": "labels of ±1 alone are integers over 2**0, where both are 1",
    r"^loss_upper: 1 → 0$": "the other end of an enclosure, 2**-150 away: below the rounding of the value to float64",
    r"^loss_upper: (y > 0 → y >= 0|0 → 1)$": "labels are ±1 over a fine unit: no integer lies between",
    r"^loss_upper: max\(\(z for z": "any pivot gives the same sum; the largest keeps the exponentials small",
    r"^(_relation|check_repair): .*len\((entries|relations)\) <= problem\.N": "a limit: points must differ anyway",
    r"isinstance\(entry, list\) and .* → len\(entry\) == 2 and ": "else nothing has two entries, an int first",
    r"^conjugate_lower: 0 → 1$": "the other end of an enclosure, 2**-150 away: below the rounding of the value to float64",
    r"^(Forest\.__init__|check_tree): (4 → 5|8 → 9)$": "a limit: others would do",
    r"^Lanes\.__init__: .* [-+] 9$": "bits to spare between the numbers of a long integer",
    r"^norm_matrix: t\.denominator\.bit_length\(\) \+ 1$|bit_length\(\) - 1 → t\.": "a finer unit of the same matrix",
    r"^check_tree: (shifted\(room, -coarse\) - n|max\(-value \* bottom, \(FULL - value\) \* top\)) → ": (
        "below the rounding of the multipliers: 2**-52 of the chord, 2**-60 of the cap"
    ),
    r"^check_tree: (-value > low\[i\] → -value >= low\[i\]|bottom < 0 < top → bottom < 0 <= top)$": "both branches agree there",
    r"^check_(tree|cells): (len\(nodes\)|len\(path\) < N and).*OPEN": "a limit of memory that only files of a gigabyte reach",
    r"^_rational: len\(text\) <= DIGITS → ": "a limit: others would do",
    r"strict": "zip(strict=True) of lists of equal length",
    r": True → False$": "zip(strict=True) of lists of equal length",
}


def excuse(key: str) -> str | None:
    """The reason for which a mutant is left out; None if it must die."""
    return next((reason for pattern, reason in EQUIVALENT.items() if re.search(pattern, key)), None)
