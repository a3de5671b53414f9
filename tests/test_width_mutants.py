"""The tests of the checker of least widths must notice when it is wrong: mutants of what it does not share with check.py.

A mutant dies when something false is not rejected for the reason it should be, when a step costs something else, or when the
numbers of a probe (width_probes.py) change. Mutants that cannot die are listed in EQUIVALENT with the reason.
"""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path

import pytest
from checker_mutants import SOURCE, Pieces, mutants
from test_checker_mutants import _Late, _late
from test_deep_mutants import pieces
from width_probes import PROBES

from cpcert.certificate import check, width_check

SECONDS = 10.0
# The share of the mutants, without the equivalent ones, that must die.
LEAST = 0.99

EQUIVALENT: dict[str, str] = {
    r": True → False in ": "zip(strict=True) of lists that have the same length by what is checked before",
    r"^check_(needed|contacts): 1 → 2 in sets\.append": "each cap has a bit of its own, whichever",
    r"^read_caps: (room > 0 → room >= 0|0 → 1) in require\(room": "rims are at least 1, and room² is more than their product",
    r"^Forest\.in_cap: own \* own >= .* → own \* own > ": (
        "on the rim ‖x̂‖ is a quotient of integers, hence an integer, and both branches give it"
    ),
    r"^Forest\.in_cap: (own > 0 → own >= 0|own < 0 → own <= 0|0 → 1) in (high|low)\.append": (
        "own = 0 is in the cap for x̂ = 0 only, own = 1 on the rim only: both branches agree"
    ),
    r"^tree_of: 0 → 1 in tree = ": "centres are not among the points whose weights are used",
    r"^tree_of: 1 → 2 in tree\.kappa": "of a centre only whether it is 0 is asked",
    r"^Outside\.settled: (low >= 0 and high > 0 → low >= 0|high > 0 → high >= 0) in on = ": "points that are 0 on the cone add 0",
    r"^Outside\.bounded: 0 → 1 in require\(size > 0": "in units of 2**-64, and w is of integers",
    r"^Outside\.one_output: dot\(theta, s\) > 0 → dot\(theta, s\) >= 0": "where x̂ᵀw = 0 both are bounds",
    r"^Outside\.one_output: h\[0\] > 0 → h\[0\] >= 0": "ĥ is 1 or −1",
    r"^: .* in (BITS|LOG_TWO|QUOTIENT) = ": "a line of check.py, whose mutants die in test_checker_mutants.py",
    r"^read_space: 0 → 1 in return \(Space\(problem\.X": "the exponent of errors that are 0",
    r", MEMORY_BYTES = ": "the memory of the decompressor",
    r" 1100 → 1101 in ARRAYS, EXPONENT": "a limit on exponents, there to keep integers short",
    r"^: .* in sys\.exit\(main": "the file as a program, which test_certificate_limits.py runs",
}

WIDTH_SOURCE = Path(width_check.__file__).read_text(encoding="utf-8")
THEIRS = pieces(SOURCE)
SHARED = {name for name, text in pieces(WIDTH_SOURCE).items() if THEIRS.get(name) == text}


def test_what_both_checkers_do_is_written_once():
    """Mutants of these functions are those of test_checker_mutants.py: their texts are the same."""
    of_its_own = {"network_loss", "_claim", "main", "Vertex", "check", "Forest", "Trees"}
    assert set(vars(check)) & set(pieces(WIDTH_SOURCE)) - SHARED <= of_its_own
    assert len(SHARED) > 45


def campaign(stride, first=0):
    """(what noticed how many, survivors, excused) over every stride-th mutant from `first` on."""
    tree, every = mutants(WIDTH_SOURCE)
    own = [one for one in every if one.function.split(".")[0] not in SHARED]
    compiled = Pieces(tree)
    expected = [probe(width_check) for probe in PROBES]
    old = signal.signal(signal.SIGALRM, _late)
    ends, survivors, excused = Counter(), [], 0
    try:
        for one in own[first::stride]:
            try:
                module = compiled.load(one)
            except (Exception, SystemExit):
                ends["loading"] += 1
                continue
            end = end_of(module, expected)
            if end is not None:
                ends[end] += 1
            elif any(re.search(pattern, one.key) for pattern in EQUIVALENT):
                excused += 1
            else:
                survivors.append(one.key)
                print("survives:", one.key, flush=True)
    finally:
        signal.signal(signal.SIGALRM, old)
    return ends, survivors, excused


def end_of(module, expected):
    """The probe that notices a mutant, or None."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        for probe, numbers in zip(PROBES, expected, strict=True):
            try:
                if probe(module) != numbers:
                    return probe.__name__
            except (_Late, Exception):
                return probe.__name__
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def test_equivalent_mutants_exist():
    keys = [one.key for one in mutants(WIDTH_SOURCE)[1]]
    for pattern in EQUIVALENT:
        assert any(re.search(pattern, key) for key in keys), pattern


def test_a_sample_of_the_mutants_dies():
    ends, survivors, _ = campaign(stride=157)
    assert ends.total() >= 3 and not survivors


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(4))
def test_mutants_die(part):
    ends, survivors, excused = campaign(4, part)
    print(f"{dict(ends)}, {excused} equivalent, {len(survivors)} survive")
    assert ends.total() >= LEAST * (ends.total() + len(survivors)), survivors
