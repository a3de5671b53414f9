"""The tests of the checker for matrices must notice when it is wrong: mutants of rank_check.py die on some claim.

The claims are those kept in files/certificates, those that tests/test_rank_check.py forges by hand, and small changes of the
kept ones. A mutant dies as in test_checker_mutants.py: by another answer, another reason, another price, or no end.
"""

from __future__ import annotations

import copy
import inspect
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import test_rank_check
from checker_mutants import mutants
from kept_certificates import ANSWERS, FOLDER, spent
from test_checker_mutants import SECONDS, _Late, _late, changed

from cpcert.certificate import rank_check

SOURCE = Path(rank_check.__file__).read_text(encoding="utf-8")
LEAST, LEAST_OF_SAMPLE = 0.85, 0.6


def kept():
    return {name: json.loads((FOLDER / name).read_text()) for name in ANSWERS if name.endswith(".json")}


def forged():
    """The claims that the tests of test_rank_check.py hand to the checker."""
    found = []

    def record(claim):
        found.append(copy.deepcopy(claim))
        rank_check.check_rank_claim(claim)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_rank_check, "check_rank_claim", record)
        for name, test in vars(test_rank_check).items():
            if name.startswith("test_") and not inspect.signature(test).parameters:
                test()
    return found


def leaves(value, path=()):
    """The places of the numbers, texts and lists in JSON data."""
    if isinstance(value, dict | list):
        if isinstance(value, list):
            yield path
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    else:
        yield path


def altered(claim, rng):
    """The claim with one number moved by 1 or with the other sign, or a list shorter or longer by one."""
    claim = copy.deepcopy(claim)
    places = [path for path in leaves(claim) if path]
    *way, last = places[int(rng.integers(len(places)))]
    holder = claim
    for key in way:
        holder = holder[key]
    value = holder[last]
    if isinstance(value, list):
        holder[last] = value[:-1] if rng.random() < 0.5 else [*value, *value[-1:]]
    elif isinstance(value, int):
        holder[last] = [value + 1, value - 1, -value][int(rng.integers(3))]
    elif isinstance(value, str) and "/" in value:
        p, q = value.split("/")
        holder[last] = [f"{int(p) + 1}/{q}", f"{-int(p)}/{q}", f"{p}/{int(q) + 1}"][int(rng.integers(3))]
    return claim


def answer(module, claim):
    try:
        module.check_rank_claim(claim)
        return None
    except module.Rejected as error:
        return str(error)


def all_cases(tries):
    """(claim, answer)."""
    rng = np.random.default_rng(3)
    small = [claim for claim in kept().values() if len(json.dumps(claim)) < 4000]
    claims = [*forged(), *kept().values(), *(altered(claim, rng) for claim in small for _ in range(tries))]
    return [(claim, answer(rank_check, claim)) for claim in claims]


def prices_hold(module):
    return all(spent(module, json.dumps(claim).encode()) == ANSWERS[name]["cost"] for name, claim in kept().items())


def survives(module, cases):
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        return all(answer(module, claim) == said for claim, said in cases) and prices_hold(module)
    except _Late:
        return False
    except Exception:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def campaign(cases, stride, first=0):
    """(number of mutants, survivors) over every stride-th mutant from `first` on."""
    tree, found = mutants(SOURCE)
    old = signal.signal(signal.SIGALRM, _late)
    survivors = []
    try:
        for one in found[first::stride]:
            module = changed(tree, one)
            if module is not None and survives(module, cases):
                survivors.append(one.key)
                print("survives:", one.key, flush=True)
    finally:
        signal.signal(signal.SIGALRM, old)
    return len(found[first::stride]), survivors


def test_a_sample_of_the_mutants_dies():
    cases = all_cases(tries=1)
    assert {said is None for _, said in cases} == {True, False}
    number, survivors = campaign(cases, stride=61)
    assert number - len(survivors) >= LEAST_OF_SAMPLE * number, survivors


@pytest.mark.campaign
def test_mutants_die():
    number, survivors = campaign(all_cases(tries=40), stride=1)
    print(f"{number - len(survivors)} of {number} mutants died")
    assert number - len(survivors) >= LEAST * number
