"""The tests of the checker must notice when the checker is wrong: every mutant of it must fail on some certificate.

A mutant (checker_mutants.py) dies when it rejects a good certificate, or proves another claim, or accepts a bad one or gives
another reason for its rejection, or does not end; or when a number that its functions compute is wrong (checker_probes.py),
or a bound that they prove (checker_bounds.py, checker_trees.py). Mutants that cannot die are listed in
checker_equivalents.py with the reason.
"""

from __future__ import annotations

import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import checker_bounds
import checker_cones
import checker_moments
import checker_probes
import checker_shares
import checker_trees
import numpy as np
import pytest
from bad_certificates import crafted
from certificates import certificates
from checker_equivalents import EQUIVALENT, excuse
from checker_mutants import Mutant, Pieces, load, mutants
from test_certificate_mutations import CHANGES, RAW, mutant

from cpcert.certificate import check

# No mutant gets more of the processor for a proof than this, or than so many times what the checker takes.
SECONDS, TIMES = 2.0, 20
# The share of the mutants, without the equivalent ones, that must die: of all of them on all cases, of a sample on some cases.
LEAST, LEAST_OF_SAMPLE = 0.99, 0.75
PROBES = [
    *checker_probes.PROBES, *checker_bounds.PROBES, *checker_trees.PROBES, *checker_cones.PROBES, *checker_moments.PROBES,
    *checker_shares.PROBES,
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Case:
    """A certificate with its answer (the claim, or the reason of the rejection), or a probe; the lines that it runs, and how long."""

    name: str
    content: bytes | Callable
    answer: dict | str | None
    lines: frozenset[int]
    seconds: float


def examine(name, content):
    """The case of a certificate or of a probe, from the checker as it is."""
    lines = set()

    def line(frame, event, _):
        if event == "line":
            lines.add(frame.f_lineno)
        return line

    def call(frame, event, _):
        return line if frame.f_code.co_filename == check.__file__ else None

    answer = _answer(check, content)  # probes keep what they compute once
    started = time.process_time()
    assert _answer(check, content) == answer
    seconds = time.process_time() - started
    before = sys.gettrace()
    sys.settrace(call)
    try:
        _answer(check, content)
    finally:
        sys.settrace(before)
    return Case(name, content, answer, frozenset(lines), seconds)


def _answer(module, content):
    if callable(content):
        return content(module)
    try:
        return module.check(content)
    except module.Rejected as error:
        return str(error)


def all_cases(step=1):
    """Good certificates and crafted bad ones, each step-th of those; if all, a mutant for each reason of rejection as well."""
    made = certificates()
    cases = [examine(name, one.content) for name, one in made.items()]
    assert all(isinstance(case.answer, dict) for case in cases), [
        (case.name, case.answer) for case in cases if not isinstance(case.answer, dict)
    ]
    for name, content in [*crafted(made)][::step]:
        cases.append(examine(name, content))
        good = name.startswith("good")
        assert isinstance(cases[-1].answer, dict) == good, (name, cases[-1].answer)
    if step == 1:
        cases += [examine(name, content) for name, content in quick_mutants(made)]
    return sorted(cases, key=lambda case: case.seconds)


def quick_mutants(made):
    """(name, content): the mutant of a small certificate that is rejected first, for each operator and reason."""
    found = {}
    for operator in [*CHANGES, *RAW]:
        for name, one in made.items():
            if len(one.content) >= 5500:
                continue
            content = mutant(one, operator, np.random.default_rng([7, *operator.encode(), *name.encode()]))
            if content is None:
                continue
            started = time.perf_counter()
            try:
                check.check(content)
                continue
            except check.Rejected as error:
                simple = not one.kinds & {"tree", "directions", "cells", "plane", "spectral"}
                key = operator, str(error)[:40], simple
                seconds = time.perf_counter() - started
            if key not in found or seconds < found[key][0]:
                found[key] = seconds, f"{operator} {name}", content
    return [(name, content) for _, name, content in found.values()]


@pytest.fixture(scope="module")
def cases():
    return all_cases(step=8)


class _Late(BaseException):  # not an error that the checker could take for one of its own
    pass


def _late(*_):
    raise _Late


def kills(module, case):
    """Whether the case tells the mutant from the checker."""
    signal.setitimer(signal.ITIMER_VIRTUAL, max(SECONDS, TIMES * case.seconds))
    try:
        return _answer(module, case.content) != case.answer
    except _Late:
        return True
    except Exception:
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)


def changed(tree, one: Mutant):
    """The module of a mutant; None if it cannot even be loaded."""
    undo = one.change()
    try:
        return load(tree)
    except (Exception, SystemExit):  # it may take itself for the program
        return None
    finally:
        undo()


def campaign(cases, stride, first=0):
    """(killed, survivors, excluded) over every stride-th mutant from `first` on. Excluded: survives the probes, has an excuse.

    Only what runs a line of its statement can tell a mutant; the quickest are asked first.
    """
    probes = sorted((examine(probe.__name__, probe) for probe in PROBES), key=lambda case: case.seconds)
    known = frozenset().union(*(case.lines for case in (*probes, *cases)))
    old = signal.signal(signal.SIGVTALRM, _late)
    tree, found = mutants()
    pieces = Pieces(tree)
    killed, survivors, excluded = 0, [], defaultdict(int)

    def dies(module, one, among):
        unknown = known.isdisjoint(one.lines)  # as it is loaded
        return any(kills(module, case) for case in among if unknown or not case.lines.isdisjoint(one.lines))

    try:
        for one in found[first::stride]:
            try:
                module = pieces.load(one)
            except (Exception, SystemExit):  # it may take itself for the program
                killed += 1
                continue
            if dies(module, one, probes):
                killed += 1
                continue
            reason = excuse(one.key)
            if reason:
                excluded[reason] += 1
            elif dies(module, one, cases):
                killed += 1
            else:
                survivors.append(one.key)
                print("survives:", one.key, flush=True)
    finally:
        signal.signal(signal.SIGVTALRM, old)
    return killed, survivors, excluded


def test_crafted_certificates_are_rejected(cases):
    """(And the few good ones among them accepted: asserted when they are made.)"""
    names = {case.name for case in cases}
    assert len(names) >= 120
    assert sum(isinstance(case.answer, str) for case in cases) >= 80


def test_equivalent_mutants_exist():
    """A line that has changed takes its excuse with it."""
    keys = [one.key for one in mutants()[1]]
    for pattern in EQUIVALENT:
        assert any(re.search(pattern, key) for key in keys), pattern


def test_the_checker_passes_the_probes():
    for probe in PROBES:
        probe(check)


def test_a_sample_of_the_mutants_dies(cases):
    killed, survivors, _ = campaign(cases, stride=101)
    assert killed + len(survivors) >= 12
    assert killed >= LEAST_OF_SAMPLE * (killed + len(survivors)), survivors


PARTS = 8


@pytest.fixture(scope="module")
def many_cases():
    return all_cases()


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(PARTS))
def test_mutants_die(many_cases, part):
    killed, survivors, excluded = campaign(many_cases, PARTS, part)
    print(f"{killed} of {killed + len(survivors)} mutants died; {sum(excluded.values())} are equivalent:")
    for reason, count in sorted(excluded.items()):
        print(f"  {count}: {reason}")
    assert killed >= LEAST * (killed + len(survivors))
