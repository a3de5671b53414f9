"""Checks that divide a proof among themselves, and what files cost, for tests of mutants of the checker.

Each probe takes the module and raises if something is wrong.
"""

from __future__ import annotations

import json
import math
from array import array
from contextlib import contextmanager
from functools import cache

import checker_cones
import checker_trees
import hostile_files
from checker_probes import rejected
from kept_certificates import ANSWERS, FOLDER

# What short files of all kinds cost that nobody wrote in good faith: number → work, memory, and what is said of them.
COSTS = FOLDER / "answers" / "costs.json"
MOST = 1.8


@contextmanager
def share(m, number, of, parts=1):
    """Within it checks are one of `of`; `parts`: as m.PARTS."""
    before, m.PARTS = m.PARTS, parts
    tokens = m.BUDGET.set(m.Budget(1 << 60, 1 << 40)), m.SHARE.set(m.Share(number, of))
    try:
        yield
    finally:
        m.BUDGET.reset(tokens[0])
        m.SHARE.reset(tokens[1])
        m.PARTS = before


def subtrees(m):
    """The largest ones below a size; a tree of nodes 0 (1 (2, 3), 4 (5, 6))."""

    def nodes():
        for children, more in ((2, 5), (2, 1), (0, 1), (0, 2), (2, 0), (0, 8), (0, 3)):
            yield children, [1, more]

    every = {0: [7, 20], 1: [3, 4], 2: [1, 1], 3: [1, 2], 4: [3, 11], 5: [1, 8], 6: [1, 3]}
    for most, found in (
        (100, [0]), (27, [0]), (26, [1, 4]), (14, [1, 4]), (13, [1, 5, 6]), (7, [1, 6]), (6, [2, 3, 6]), (3, [2, 3]), (2, [2]),
        (1, []), (0, []),
    ):  # fmt: skip
        assert m.subtrees(nodes(), most) == {number: every[number] for number in found}, most
    assert m.subtrees(iter([(0, [1, 1])]), 2) == {0: [1, 1]} and m.subtrees(iter([(0, [1, 2])]), 2) == {}
    # 26 counts at most: the larger part goes to the first check, the other to the second, and the third has none; then it is its turn.
    size = 26 * 3 * m.PARTS
    checks = [m.Share(k, 3) for k in range(3)]
    assert [one.left_out(nodes(), size) for one in checks] == [{1: every[1]}, {4: every[4]}, {1: every[1], 4: every[4]}]
    assert [one.loads for one in checks] == [[14, 7, 0]] * 3
    assert [sorted(one.left_out(nodes(), size)) for one in checks] == [[1, 4], [4], [1]]
    assert [one.loads for one in checks] == [[14, 14, 14]] * 3
    assert m.PARTS >= 4 and m.SHARE.get().of == 1 and m.SHARE.get().number == 0


def scans(m):
    """The nodes of trees, and what is left out of the columns."""
    steps = [1, 3, 0, 1, 5, 2, 7, 2, 0, 0, 1, 0, 4, 6, 3, 2, 2, 1, 0, 1, 1, 2, 0]
    nodes = [(2, [1, 14, 2, 1, 2]), (0, [1, 2, 0, 0, 0]), (0, [1, 7, 0, 1, 0])]
    following = iter([*steps, 99])
    assert list(m.scan_tree(following)) == nodes and next(following) == 99
    for wrong in ([1, -1, 0], [2, 0, -1, 0]):
        assert rejected(m, lambda given: list(m.scan_tree(iter(given))), wrong)
    following = iter([2, 0, 3, 0, 0, 99])
    assert list(m.nodes_of_cones(following, 4)) == [(2, [1, 0]), (0, [1, 4]), (2, [1, 0]), (0, [1, 4]), (0, [1, 4])]
    assert next(following) == 99
    stream = m.Stream(array("q", [1, 2, 3, 4]))
    stream.skip(0)
    assert stream.take() == 1
    stream.skip(2)
    assert stream.take() == 4
    stream.end()
    trees = m.Trees({name: array("q", range(5)) for name in ("proof", "y", "rho", "mu")})
    trees.skip([9, 4, 3, 2, 1])
    assert [column.take() for column in (trees.steps, trees.y, trees.rho, trees.mu)] == [4, 3, 2, 1]
    assert trees.size == 20 and trees.left_out() == {}


@cache
def divided():
    """(check, columns, (name, place) of leaves): proofs, and where a leaf of each can be spoiled."""
    found = []
    X, G, a, bits, tree, theta, u = checker_cones.examples()[1]

    def cones(m, thetas, u=u * 2):
        checker_cones.run(m, X, G, a, bits, tree, thetas, u)

    found.append((cones, theta, [(slice(k, k + 3), [0] * 3) for k in range(0, len(theta), 3)]))
    X2, G2, a2, bits2, tree2, theta2, u2 = checker_cones.examples()[3]

    def several(m, thetas, u=u2 * 2):
        checker_cones.run(m, X2, G2, a2, bits2, tree2, thetas, u)

    found.append((several, theta2, [(slice(k, k + 2), [0] * 2) for k in range(0, len(theta2), 2)]))
    number = 0
    for weights, columns, value in checker_trees.random_trees():
        if sum(op == 4 for op in columns[0]) < 3 or number == 3:
            continue
        number += 1

        def branches(m, proof, weights=weights, columns=columns, value=value):
            checker_trees.checks_tree(m, weights, (proof, *columns[1:]), value * (1 + 1e-6))

        found.append((branches, columns[0], [(slice(k, k + 1), [9]) for k in _ends(columns[0])]))
    return found


def _ends(proof):
    """Where the nodes of a tree end without children."""
    at, pending, ends = 1, 1, []
    while pending:
        op = proof[at]
        if op in (1, 2):
            at += 2 + proof[at + 1] if op == 1 else 3 + proof[at + 2]
            continue
        pending += 1 if op == 4 else -1
        if op != 4:
            ends.append(at)
        at += 2 if op in (3, 4) else 1
    return ends


def shares(m):
    """All accept a proof; whatever leaf is spoiled, one of them sees it, and not all have to."""
    for check, numbers, leaves in divided():
        check(m, numbers)
        for of in (2, 3):
            seen = 0
            for number in range(of):
                with share(m, number, of):
                    check(m, numbers)
            for place, wrong in leaves[:: max(1, len(leaves) // 12)]:
                spoiled = list(numbers)
                spoiled[place] = wrong
                sees = 0
                for number in range(of):
                    with share(m, number, of):
                        sees += rejected(m, check, m, spoiled)
                assert sees >= 1
                seen += of - sees
            assert seen > 0


def prices(m):
    """A share pays for all rows that it may keep, and the whole for those that it keeps."""
    for name in ("branch.cpcert", "spatial.cpcert", "spatial-several.cpcert"):
        content, answer = (FOLDER / name).read_bytes(), ANSWERS[name]
        assert m.check_share(content, 0, 1) == (answer["claim"], answer["cost"][0])
        assert m.work_of(len(content)) == m.WORK + m.WORK_RATE * len(content) ** 2
        works = [m.check_share(content, number, 3) for number in range(3)]
        assert all(claim == answer["claim"] and work < answer["cost"][0] for claim, work in works)
        assert sum(work for _, work in works) >= answer["cost"][0]
        assert m.BUDGET.get().work == math.inf and m.SHARE.get().of == 1
    header, arrays = m.parse((FOLDER / "branch.cpcert").read_bytes())
    problem = m.Problem(header["problem"], arrays)
    space = m.Space(problem.X, problem.x)
    for number, rest in ((1, 1 << 39), (2, 1 << 38)):
        with share(m, 0, number):
            forest = m.Forest(problem, space, arrays["exponents"], [0, 0, 0])
            before = m.BUDGET.get().memory
            assert abs(before - (1 << 40 if number == 1 else rest * 2)) < 1 << 20
            forest.row(0)
            assert (m.BUDGET.get().memory < before) == (number == 1)
            forest.room = 0
            forest.row(1)
            assert sum(map(bool, forest.gram)) == 1 and (number == 1 or m.BUDGET.get().memory == before)


def surprises(m):
    """Whatever an error may come from, it is no proof; and what a check may spend."""
    whole = m._claim
    try:
        for error in (MemoryError, StopIteration, ZeroDivisionError, ValueError, TypeError, KeyError, RecursionError):

            def fails(_, error=error):
                raise error

            m._claim = fails
            assert rejected(m, m.check, b"") and rejected(m, m.check_share, b"", 0, 2)
            assert m.SHARE.get().of == 1 and m.BUDGET.get().work == math.inf
        m._claim = lambda _: (m.SHARE.get().number, m.SHARE.get().of, m.BUDGET.get().work, m.BUDGET.get().memory)
        for size in (0, 1000, 1 << 21):
            room = min(m.MEMORY + m.MEMORY_RATE * size, m.MEMORY_MOST)
            assert m.check(bytes(size)) == (0, 1, m.work_of(size), room)
            assert m.check_share(bytes(size), 1, 2) == ((1, 2, m.work_of(size), room), 0)
        assert m.MEMORY + (m.MEMORY_RATE << 21) > m.MEMORY_MOST
    finally:
        m._claim = whole


def price(m, content):
    """Work and memory of a check, up to its end or to its rejection, and which."""
    budget = m.Budget(1 << 60, 1 << 60)
    token = m.BUDGET.set(budget)
    try:
        m._claim(content)
        said = "accepted"
    except m.Rejected as error:
        said = str(error)[:40]
    except StopIteration:
        said = "cut off"
    finally:
        m.BUDGET.reset(token)
    return [(1 << 60) - budget.work, (1 << 60) - budget.memory, said]


@cache
def files():
    return [(hostile_files.make(int(seed), MOST)[1], answer) for seed, answer in json.loads(COSTS.read_text()).items()]


def costs_of_files(m):
    for content, answer in files():
        assert price(m, content) == answer


PROBES = [subtrees, scans, shares, prices, surprises, costs_of_files]
