"""The tests of the checker for matrices must notice when it is wrong: mutants of rank_check.py die on some claim.

The claims are those kept in files/certificates, those that tests/test_rank_check.py forges by hand, and small changes of the
kept ones. Beside them
random hostile ones (hostile_files.py). A mutant dies as in test_checker_mutants.py: by another answer, another reason, another
price, or no end.
"""

from __future__ import annotations

import copy
import inspect
import json
import re
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import test_pair_square
import test_rank_check
import test_rank_searches
from checker_equivalents import RANK_EQUIVALENT
from checker_mutants import mutants
from hostile_files import Maker
from kept_certificates import ANSWERS, FOLDER, spent
from rank_probes import CLAIMS, PROBES
from test_checker_mutants import _Late, _late, changed

from cpcert.certificate import rank_check

SOURCE = Path(rank_check.__file__).read_text(encoding="utf-8")
SECONDS = 10.0
# The share that must die of those that are not equivalent; of the sample, which has fewer claims.
LEAST, LEAST_OF_SAMPLE = 0.99, 0.6
# The file around a claim (tests/test_certificate_limits.py), and limits that others would do for.
FILE = {"check", "read", "_read", "_unique", "_no_constant", "_no_float", "_short_integer"}
LIMIT = re.compile(r" in (LARGEST_\w+ =|WORK, |MEMORY, )|sys\.exit| LARGEST_\w+ → |LARGEST_ORDER \*\* 2")
# What a hostile claim may cost here, and another.
WORK, WITHOUT_END = 10**7, 1 << 60
STRANGE = (None, True, -1, 1.5, "", "x", "1/0", "1_0", "-", [], {}, [[]], 10**6000, 10**7000, "9" * 3000)


def kept():
    return {name: json.loads((FOLDER / name).read_text()) for name in ANSWERS if name.endswith(".json")}


def forged():
    """The claims that the tests of test_rank_check.py and, by hand, test_pair_square.py give to the checker."""
    found = []

    def record(claim):
        found.append(copy.deepcopy(claim))
        rank_check.check_rank_claim(claim)

    with pytest.MonkeyPatch.context() as patch:
        for module, names in ((test_rank_check, "test_"), (test_pair_square, r"test_.*(by_hand|kept|orders)")):
            patch.setattr(module, "check_rank_claim", record)
            for name, test in vars(module).items():
                if re.match(names, name) and not inspect.signature(test).parameters:
                    test()
    return found


def places(value, path=()):
    """The places of all values in JSON data."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def altered(claim, rng):
    """The claim with one number moved by 1 or with the other sign, one list or object longer or shorter, or a strange value."""
    claim = copy.deepcopy(claim)
    found = [path for path in places(claim) if path]
    *way, last = found[int(rng.integers(len(found)))]
    holder = claim
    for key in way:
        holder = holder[key]
    value = holder[last]
    if rng.random() < 0.2:
        holder[last] = STRANGE[int(rng.integers(len(STRANGE)))]
    elif isinstance(value, list):
        holder[last] = value[:-1] if rng.random() < 0.5 else [*value, *value[-1:]]
    elif isinstance(value, dict):
        key = list(value)[int(rng.integers(len(value)))]
        holder[last] = {**value, "more": 0} if rng.random() < 0.5 else {k: v for k, v in value.items() if k != key}
    elif isinstance(value, int):
        holder[last] = [value + 1, value - 1, -value][int(rng.integers(3))]
    elif isinstance(value, str) and "/" in value:
        p, q = value.split("/")
        holder[last] = [f"{int(p) + 1}/{q}", f"{-int(p)}/{q}", f"{p}/{int(q) + 1}"][int(rng.integers(3))]
    return {**claim, "more": 0} if rng.random() < 0.02 else claim


def answer(module, claim, work=WITHOUT_END):
    """(None if it is accepted, what is left of the work and of the memory that a claim may cost)."""
    budget = module.Budget(work, WITHOUT_END)
    token = module.BUDGET.set(budget)
    try:
        module.check_rank_claim(claim)
        said = None
    except module.Rejected as error:
        said = str(error)
    except Exception as error:  # `check` would reject it
        said = type(error).__name__
    finally:
        module.BUDGET.reset(token)
    return said, budget.work, budget.memory


def all_cases(tries):
    """[(claim, what it may cost, answer)], and what the probes see."""
    rng = np.random.default_rng(3)
    small = [claim for claim in kept().values() if len(json.dumps(claim)) < 4000]
    bold = [{**claim, "lower": claim["lower"] + 1} for claim in kept().values() if "lower" in claim]
    bold += [{**claim, "upper": claim["upper"] - 1} for claim in kept().values() if claim.get("upper")]
    claims = [
        *forged(),
        *CLAIMS,
        *kept().values(),
        *bold,
        *(altered(claim, rng) for claim in small for _ in range(tries)),
    ]
    costly = [json.loads(Maker(seed, 1.5).make_claim()[1]) for seed in range(10 * tries)]
    cases = [*((claim, WITHOUT_END) for claim in claims), *((claim, WORK) for claim in costly)]
    return [(claim, work, answer(rank_check, claim, work)) for claim, work in cases], [
        probe(rank_check) for probe in PROBES
    ]


def budget_ends(module, work, memory):
    token = module.BUDGET.set(module.Budget(work, memory))
    try:
        module._spend(7, 5)
        return False
    except module.Rejected:
        return True
    finally:
        module.BUDGET.reset(token)


def prices_hold(module):
    if [budget_ends(module, 7, 5), budget_ends(module, 6, 5), budget_ends(module, 7, 4)] != [False, True, True]:
        return False
    return all(spent(module, json.dumps(claim).encode()) == ANSWERS[name]["cost"] for name, claim in kept().items())


def agrees(module):
    """With what the searches compute in ways of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_rank_searches, "rank_check", module)
        for k in range(4):
            test_rank_searches.test_copositive_matrices_and_their_zeros(k)
        for seed in range(10):
            test_rank_searches.test_graphs(seed)
            test_rank_searches.test_linear_algebra(seed)
            test_rank_searches.test_systems_of_zeros(seed)
        for slopes in ((1, 0), (Fraction(1), Fraction(1, 4)), (2, 3)):
            test_rank_searches.test_systems_of_pairs(slopes)
    return True


def survives(module, cases):
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        if not all(answer(module, claim, work) == said for claim, work, said in cases[0]):
            return False
        if [probe(module) for probe in PROBES] != cases[1]:
            return False
        return prices_hold(module) and agrees(module)
    except _Late:
        return False
    except Exception:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def campaign(cases, stride, first=0):
    """(number of mutants, survivors, excused) over every stride-th mutant from `first` on."""
    tree, every = mutants(SOURCE)
    found = [one for one in every if one.function not in FILE and not LIMIT.search(one.key)]
    old = signal.signal(signal.SIGALRM, _late)
    survivors, excused = [], 0
    try:
        for one in found[first::stride]:
            module = changed(tree, one)
            if module is None or not survives(module, cases):
                continue
            if any(re.search(pattern, one.key) for pattern in RANK_EQUIVALENT):
                excused += 1
            else:
                survivors.append(one.key)
                print("survives:", one.key, flush=True)
    finally:
        signal.signal(signal.SIGALRM, old)
    return len(found[first::stride]), survivors, excused


def test_a_sample_of_the_mutants_dies():
    cases = all_cases(tries=1)
    assert {said is None for _, _, (said, _, _) in cases[0]} == {True, False}
    number, survivors, _ = campaign(cases, stride=197)
    assert number - len(survivors) >= LEAST_OF_SAMPLE * number, survivors


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(8))
def test_mutants_die(part):
    number, survivors, excused = campaign(all_cases(tries=40), 8, part)
    died = number - len(survivors) - excused
    print(f"{died} of {number} mutants died, {excused} are equivalent")
    assert died >= LEAST * (number - excused), survivors


def test_equivalent_mutants_exist():
    keys = [one.key for one in mutants(SOURCE)[1]]
    for pattern in RANK_EQUIVALENT:
        assert any(re.search(pattern, key) for key in keys), pattern
