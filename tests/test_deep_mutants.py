"""The tests of the checker of deep certificates must notice when it is wrong: mutants of what it does not share with check.py.

A mutant dies when it rejects a good certificate, accepts a bad one or gives another claim, does not end, or computes other numbers
than the checker: γ_c, the leaves of a tree, both bounds of κ, the loss of a network.
"""

from __future__ import annotations

import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from checker_mutants import load, mutants
from deep_instances import random_problem
from kept_certificates import FOLDER as KEPT
from test_deep_bound import best_network, parts

from cpcert.certificate import deep_check
from cpcert.deep.bound import certificate
from cpcert.deep.bound.solve import global_bound

OWN = (
    "Directions", "Simplex", "TreeBound", "Leaf", "NormBound", "check_lower", "read_bounds", "check_upper", "network_loss",
    "_determinant", "_up", "_exponent", "check_minimum", "check_cells", "check_boxes", "Box",
)  # fmt: skip
SECONDS = 20
# The share of the mutants that must die here, of all and of a sample; test_deep_bound.py kills more of them. Those that
# live are limits, comparisons that decide only whether
# an equal number is taken, shortcuts that skip cones, and bits of rounding.
LEAST, LEAST_OF_SAMPLE = 0.6, 0.5


def numbers(module, cases):
    """What the functions of a checker compute, as one list."""
    found = []
    for header, arrays in cases:
        read = certificate.as_arrays(arrays)
        problem = module.Problem(header["problem"], read)
        weights = {name: read.pop(name) for name in [*read] if name[0] == "W"}
        found.append(module.network_loss(problem, header["upper"]["widths"], weights))
        lower = header["lower"]
        size = problem.m * problem.N
        duals = [
            module.matrix(read["G"][k * size : (k + 1) * size], problem.m, problem.N, "G")
            for k in range(len(lower["items"]))
        ]
        given = {"coordinates": lower["coordinates"], "classes": lower["classes"]}
        count = lower["classes"]
        vertices = [[Fraction(int(c == v)) for c in range(count)] for v in range(count)]
        for bound in module.read_bounds(problem, given, lower["items"], duals, read):
            leaves = getattr(bound, "leaves", [])
            found += [v for leaf in leaves for v in (*leaf.squares, leaf.bias, *(w for _, w in leaf.undecided))]
            for total in (Fraction(1, 7), Fraction(3), Fraction(50)):
                # Where the bound is, to a part in a thousand.
                low, high = Fraction(1, 1 << 20), Fraction(1 << 20)
                while high > low * Fraction(1001, 1000):
                    middle = Fraction(float(low * high) ** 0.5)
                    low, high = (low, middle) if bound.below(middle, vertices, total) else (middle, high)
                found.append(high)
                if hasattr(bound, "below_at"):
                    sets = [list(range(1, count)), [0]][count == 1 :]
                    masses = [total, total / 3][count == 1 :]
                    found += [bound.below_at(high * k / 16, sets, masses) for k in range(8, 32)]
    return found


def as_late(signum, frame):
    raise TimeoutError


def bad(header, arrays):
    """Files that prove nothing."""
    yield {**header, "lower": {**header["lower"], "value": header["lower"]["value"] * 1.02}}, arrays
    yield {**header, "upper": {**header["upper"], "value": header["upper"]["value"] * (1.0 - 1e-9)}}, arrays
    for name in ("cover", "trees", "scales", "cells", "boxes", "masses", "classes"):
        if name in arrays:
            yield header, {**arrays, name: np.append(arrays[name], arrays[name][-1:])}
            yield header, {**arrays, name: arrays[name][:-1]}
    yield {**header, "upper": {**header["upper"], "widths": header["upper"]["widths"][:-1]}}, arrays
    if "boxes" in arrays:
        for name in ("masses", "scales"):
            yield header, {**arrays, name: -arrays[name]}
        for steps in ([3], [1, 0, 3], [2, 0, 0], [2, 0, -1], [2, 0, 1 << 40], [4]):
            yield header, {**arrays, "boxes": np.concatenate([steps, arrays["boxes"]])}
            yield header, {**arrays, "boxes": np.array(steps), "splits": np.ones(1)}
    if len(arrays.get("cover", ())) > 6:
        # A cone that is not cut, or cut outside.
        for place, value in ((4, 0), (4, -1), (5, 0), (5, -1), (2, int(arrays["cover"][3])), (6, 1 << 20), (1, -1)):
            cover = arrays["cover"].copy()
            cover[place] = value
            yield header, {**arrays, "cover": cover}
    if "trees" in arrays:
        # Multipliers outside their intervals.
        for change in (1 << 30, -(1 << 30)):
            yield header, {**arrays, "trees": np.where(np.abs(arrays["trees"]) > 1 << 10, change, arrays["trees"])}


def survivors(step: int, start: int = 0) -> tuple[int, list[str]]:
    """(how many, keys of those that live) of every step-th mutant."""
    made = []
    for seed, depth, m, loss in ((0, 3, 1, "mse"), (5, 3, 1, "mse"), (6, 4, 2, "cross_entropy")):
        problem = random_problem(seed, depth=depth, m=m, loss=loss, most=4)
        made.append(global_bound(problem, best_network(problem, 3), gap=2e-2, time_limit=1.0).certificate.content)
    made.append((KEPT / "deep-boxes.cpcert").read_bytes())
    read = [parts(content) for content in made]
    files = made + [certificate.write(h, a) for header, arrays in read for h, a in bad(header, arrays)]

    def answer(module, content):
        try:
            return module.check(content)
        except module.Rejected as error:
            return str(error)

    expected = [answer(deep_check, content) for content in files]
    assert all(isinstance(one, dict) for one in expected[: len(made)])
    assert all(isinstance(one, str) for one in expected[len(made) :])
    values = numbers(deep_check, read)
    tree, found = mutants(Path(deep_check.__file__).read_text(encoding="utf-8"))
    # The budget of work has a test of its own.
    own = [one for one in found if one.function.startswith(OWN) and "spend" not in one.key][start::step]
    alive = []
    before = signal.signal(signal.SIGALRM, as_late)
    for one in own:
        undo = one.change()
        signal.alarm(SECONDS)
        try:
            module = load(tree)
            same = numbers(module, read) == values
            same = same and [answer(module, content) for content in files] == expected
        except Exception:
            same = False
        finally:
            signal.alarm(0)
            undo()
        if same:
            alive.append(one.key)
            print("alive", one.key, flush=True)
    signal.signal(signal.SIGALRM, before)
    return len(own), alive


def test_a_sample_of_mutants_dies():
    count, alive = survivors(160)
    assert len(alive) <= (1.0 - LEAST_OF_SAMPLE) * count, alive


@pytest.mark.campaign
def test_mutants_die():
    count, alive = survivors(1)
    assert len(alive) <= (1.0 - LEAST) * count, alive
