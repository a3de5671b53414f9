"""The tests of the checker of deep certificates must notice when it is wrong: mutants of what it does not share with check.py.

A mutant dies when a number is not the one that DEEP.md's formulas give in another way, or something false is not rejected
(deep_probes.py); when a kept certificate gets another answer; or when the probes cost something else, or make it compute other
numbers, even if those are bounds as well. Mutants that cannot die are listed in EQUIVALENT with the reason.
"""

from __future__ import annotations

import ast
import re
import signal
from collections import Counter
from pathlib import Path

import pytest
from checker_mutants import SOURCE, load, mutants
from deep_probes import PROBES
from kept_certificates import DEEP, FOLDER
from test_checker_mutants import _Late, _late

from cpcert.certificate import check, deep_check

SECONDS = 10.0
# The share of the mutants, without the equivalent ones, that must die.
LEAST = 0.99
KEPT = {name: (FOLDER / name).read_bytes() for name in sorted(DEEP)}

EQUIVALENT: dict[str, str] = {
    r" 1100 → 1101 in ARRAYS, EXPONENT": "a limit on exponents, there to keep integers short",
    r", MEMORY_BYTES = ": "the memory of the decompressor",
    r"^: .* in sys\.exit\(main": "the file as a program, which test_certificate_limits.py runs",
    r": True → False in ": "zip(strict=True) of lists that have the same length by what is checked before",
    r"self\.r <= RANK → self\.r < RANK|r <= RANK → (0 < )?r < RANK": "a limit: others would do",
    # Comparisons that cannot be equalities, or where both sides give the same.
    r"^conjugate_lower: (y > 0 → y >= 0|0 → 1) in p = ": "labels are ±1 over a fine unit: no integer lies between",
    r"^conjugate_lower: 0 → 1 in total \+= ": "the other end of an enclosure, 2**-100 away: below the rounding to float64",
    r"^Problem\._check_targets: Fraction\(1\) / ": "labels of ±1 alone are integers over 2**0, where both are 1",
    r"^network_outputs: (z > 0 → z >= 0|0 → 1) in values = |^Directions\._values_at_rays: v > 0 → v >= 0 ": "σ(0) = 0 by both slopes",
    r"^read_leaves: .* in (while path and signs|signs\[path\[-1\]\] = -1|signs\[i\] = 1)": (
        "on the path signs are not 0, and only their sign matters"
    ),
    r"^multipliers: (kappa < 0 → kappa <= 0|sign > 0 → sign >= 0|0 → 1 in if (kappa <|sign >)) ?": "integers, not 0 here",
    r"^multipliers: 0 → 1 in kappa, T = ": "the multiplier of κ = 0",
    r"^Directions\.gamma: (sign > 0 → sign >= 0|0 → 1) in F = ": "signs are 1 and −1",
    r"^Simplex\.__init__: 0 → 1 in self\.stretch = ": "they are set before they are used",
    # Faces.
    r"^Directions\._prepare: .* in side = ": "which of two linear pieces is taken",
    r"^Directions\._prepare: (1 → 0|0 → 1) in best = self\._faces": (
        "2**-32 of the length of a ray, where stretches are rounded up to 2**-20"
    ),
    r"^Directions\._faces: (value > 0 → value >= 0|0 → 1) in live = ": "faces on which no value is positive have no positive maximum",
    r"^Directions\._faces: 1 → [02] in for dimension ": "the face of no rays, and faces of more rays than there are",
    r"^Directions\._prepare: 1 → 2 in (best = self\._faces|simplex\.stretch = )": "a unit more: rounded up",
    r"^network_outputs: 1 → 0 in bits = max": "what a step is said to cost, where β is longer than all that it stands beside",
    r"^Directions\._faces: (0 → 1|min\(t\) >= 0 → min\(t\) > 0) in if min\(t\)": "a face where t_j = 0 has the value of a smaller one",
    r"^Directions\._faces: value > best \* best → value >= ": "a unit more: rounded up",
    r"^Directions\._faces: any\(.*→ all\(.* in if not any": (
        "rays of one orthant have angles of at most 90 degrees, so F = Gt ≥ 0 where t ≥ 0, and t_j = 0 where F_j = 0"
    ),
    r"^PatternBound\.below_at: math\.floor\(ratio": "a unit of the last of WORD bits of a rounded number",
    r"^PatternBound\.below_at: (square \* dot|2 \* STEP → 2 \+ STEP).* in lengths = ": "fewer cones skip the test",
    r"^TopBound\.below_at: max\(\[ratios.* <= best << STEP → .* < best << STEP in if ": "fewer cones skip the test that decides",
    r"^division: 1 → 2 in i = ": "a set has no bits beyond those of v: a division of nothing",
    r"^PatternBound\.below_at: (tops.* → .* >= |near and )": ("fewer cones skip the test that decides"),
    r"^Directions\._faces: .* in value = \(dot\(t, part\) << 2 \* FINE\) // det \+ 1": (
        "⌊√⌊v⌋⌋ + 1 ≥ √v with or without what is added to ⌊v⌋"
    ),
}


def pieces(source: str) -> dict[str, str]:
    """Name → text of the functions, classes and assignments of a module."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = ast.unparse(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found[ast.unparse(node).split("=")[0]] = ast.unparse(node)
    return found


DEEP_SOURCE = Path(deep_check.__file__).read_text(encoding="utf-8")
THEIRS = pieces(SOURCE)
SHARED = {name for name, text in pieces(DEEP_SOURCE).items() if THEIRS.get(name) == text}


def test_what_both_checkers_do_is_written_once():
    """Mutants of these functions are those of test_checker_mutants.py: their texts are the same."""
    of_its_own = {
        "Problem", "conjugate_lower", "dual_value", "check_upper", "network_loss", "network_outputs", "Directions", "check_lower",
        "check_minimum", "_claim", "main", "Leaf", "check",
    }  # fmt: skip
    assert set(vars(check)) & set(pieces(DEEP_SOURCE)) - SHARED <= of_its_own
    assert len(SHARED) > 45


def observed(module):
    """What each probe sees, and what it pays, step by step."""
    found = []
    pay = module.spend
    try:
        for probe in PROBES:
            paid = []

            def spend(*cost, paid=paid):
                paid.append(cost)

            module.spend = spend
            found.append((probe(module), paid))
    finally:
        module.spend = pay
    return found


def answers(module):
    """The claim of each kept certificate, and what is left of a budget."""
    found = []
    for content in KEPT.values():
        budget = module.Budget(1 << 60, 1 << 60)
        token = module.BUDGET.set(budget)
        try:
            found += [module.check(content), module._claim(content), budget.work, budget.memory]
        finally:
            module.BUDGET.reset(token)
    return found


def end_of(module, expected):
    """What notices a mutant: 'probes', 'numbers', 'costs', 'certificates'; None if nothing does."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        seen = observed(module)
        if [numbers for numbers, _ in seen] != [numbers for numbers, _ in expected[0]]:
            return "numbers"
        if seen != expected[0]:
            return "costs"
        return None if answers(module) == expected[1] else "certificates"
    except (_Late, Exception):
        return "probes"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def campaign(stride, first=0):
    """(what noticed how many, survivors, excused) over every stride-th mutant from `first` on."""
    tree, every = mutants(DEEP_SOURCE)
    own = [one for one in every if one.function.split(".")[0] not in SHARED]
    expected = observed(deep_check), answers(deep_check)
    old = signal.signal(signal.SIGALRM, _late)
    ends, survivors, excused = Counter(), [], 0
    try:
        for one in own[first::stride]:
            undo = one.change()
            try:
                module = load(tree)
            except (Exception, SystemExit):
                ends["loading"] += 1
                continue
            finally:
                undo()
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


def test_the_checker_passes_the_probes():
    for probe in PROBES:
        probe(deep_check)


def test_equivalent_mutants_exist():
    keys = [one.key for one in mutants(DEEP_SOURCE)[1]]
    for pattern in EQUIVALENT:
        assert any(re.search(pattern, key) for key in keys), pattern


def test_a_sample_of_the_mutants_dies():
    ends, survivors, _ = campaign(stride=61)
    assert ends.total() >= 15 and not survivors


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(4))
def test_mutants_die(part):
    ends, survivors, excused = campaign(4, part)
    print(f"{dict(ends)}, {excused} equivalent, {len(survivors)} survive")
    assert ends.total() >= LEAST * (ends.total() + len(survivors)), survivors
