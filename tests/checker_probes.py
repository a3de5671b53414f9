"""Numbers that functions of the checker must compute, for tests of mutants of the checker.

Each probe takes the module and raises if something is wrong.
"""

from __future__ import annotations

import io
import math
from array import array
from decimal import Context, Decimal
from fractions import Fraction
from itertools import chain, cycle, repeat
from types import SimpleNamespace

from kept_certificates import ANSWERS, FOLDER, spent

PRECISE = Context(prec=80)


def decimal(x):
    return PRECISE.divide(Decimal(x.numerator), Decimal(x.denominator))


def rejected(module, function, *arguments):
    try:
        function(*arguments)
    except module.Rejected:
        return True
    return False


def roots(m):
    for value in (0, 1, 2, 3, 4, 5, 8, 9, 10, 15, 16, 17, 10**40, 10**40 + 1, 10**41):
        root = m.root_up(value)
        assert root * root >= value and (root == 0 or (root - 1) ** 2 < value)
    assert m.norm_up([3, 4], 0) == 5 and m.norm_up([3, -4], -3) == Fraction(5, 8) and m.norm_up([3, 4], 2) == 20
    for vector, e in (([1, 1], 0), ([1, 2, 3], -5), ([10**50, 1], 3), ([10**30, 7], -200), ([0, 0], 4)):
        norm, square = m.norm_up(vector, e), sum(v * v for v in vector) * Fraction(2) ** (2 * e)
        assert square <= norm * norm <= square * (1 + Fraction(1, 10**20))
    for value in (Fraction(2), Fraction(1, 3), Fraction(10**60, 7), Fraction(7, 10**60), Fraction(0), Fraction(9, 4)):
        root = m.fraction_root_up(value)
        assert value <= root * root <= value * (1 + Fraction(1, 10**20))


def exact_numbers(m):
    assert m.dyadic([1.0, 0.5, -0.75]) == ([4, 2, -3], -2)
    assert m.dyadic([]) == ([], 0) and m.dyadic([3.0, -2.0]) == ([3, -2], 0)
    values, e = m.dyadic([5e-324, 1e308])
    assert [Fraction(v) * Fraction(2) ** e for v in values] == [Fraction(5e-324), Fraction(1e308)]
    assert m.matrix([1.0, 2.0, 3.0, 4.0, 5.0, 6.5], 2, 3, "") == ([[2, 4, 6], [8, 10, 13]], -1)
    assert rejected(m, m.matrix, [1.0, 2.0], 1, 3, "")
    assert m.power(3) == 8 and m.power(-2) == Fraction(1, 4) and m.power(0) == 1 and m.power(1) == 2
    assert m.shifted(5, 1) == 10 and m.shifted(5, -1) == 2 and m.shifted(-5, -1) == -3 and m.shifted(5, 0) == 5
    assert m.dot([1, 2], [3, 4]) == 11
    assert m.at_most(Fraction(4), Fraction(2)) and not m.at_most(Fraction(4), Fraction(-2))
    assert m.at_most(Fraction(0), Fraction(0)) and not m.at_most(Fraction(5), Fraction(2))
    assert not m.at_most(Fraction(0), Fraction(-1))


def _semidefinite(m, S, integers):
    take = iter(integers)
    answer = m.semidefinite(S, take.__next__)
    assert next(take, None) is None
    return answer


def factors(m):
    assert _semidefinite(m, [], [0])
    assert _semidefinite(m, [[1]], [0, 1]) and _semidefinite(m, [[1]], [0, 0]) and not _semidefinite(m, [[1]], [0, 2])
    assert not _semidefinite(m, [[-1]], [0, 0]) and _semidefinite(m, [[0]], [0, 0])
    assert _semidefinite(m, [[4, 2], [2, 1]], [0, 2, 1, 0]) and not _semidefinite(m, [[4, 2], [2, 0]], [0, 2, 1, 0])
    assert _semidefinite(m, [[4, 2], [2, 1]], [-2, 4, 2, 0]) and _semidefinite(m, [[16, 8], [8, 4]], [2, 2, 1, 0])
    assert not _semidefinite(m, [[4, 2], [2, 1]], [2, 2, 1, 0]) and not _semidefinite(
        m, [[4, 2], [2, 1]], [-2, 8, 4, 0]
    )
    # Not positive, and all that helps is the size of what is left off the diagonal, in either row.
    assert not _semidefinite(m, [[1, 2], [2, 5]], [0, 0, 0, 0]) and not _semidefinite(m, [[5, 2], [2, 1]], [0, 0, 0, 0])
    assert not _semidefinite(m, [[1, -2], [-2, 5]], [0, 0, 0, 0]) and _semidefinite(m, [[2, -2], [-2, 2]], [0, 0, 0, 0])
    assert not _semidefinite(m, [[2, 1, 1], [1, 1, 1], [1, 1, 3]], [0] * 7)
    assert not _semidefinite(m, [[3, 1, 1], [1, 2, 1], [1, 1, 1]], [0] * 7)
    assert not _semidefinite(m, [[1, 1, 1], [1, 2, 1], [1, 1, 2]], [0] * 7)
    assert _semidefinite(m, [[2, 1, 1], [1, 2, 1], [1, 1, 2]], [0] * 7)
    assert _semidefinite(m, [[1, 1, 1], [1, 2, 3], [1, 3, 6]], [0, 1, 1, 1, 1, 2, 1])
    for e in (10**4, -(10**4)):
        assert rejected(m, _semidefinite, m, [[1]], [e, 0])


def inner_products(m):
    """Few rows one by one and many in blocks, with the longest and shortest entries that a lane may hold, and what they cost."""
    seen = []
    for count, length, bits, ragged in (
        (0, 0, 1, False), (5, 7, 30, False), (63, 3, 20, True), (64, 1, 5, False), (150, 66, 52, True), (130, 2, 900, False),
        (66, 3, 4100, False), (100, 15, 7, False), (65, 16, 8, False), (64, 0, 9, False), (150, 255, 12, True), (69, 70, 0, True),
    ):  # fmt: skip
        largest = (1 << bits) - 1
        rows = [
            [(largest - (3 * i * j) % 7 * (largest >> 3)) * (-1) ** (i * j // 5) for j in range(length)]
            for i in range(count)
        ]
        if ragged:
            rows = [row[: i + 1] for i, row in enumerate(rows)]
        if count > 80:  # sums as large as they can be
            rows[3], rows[-1] = [largest] * len(rows[3]), [-largest] * len(rows[-1])
        budget = m.Budget(1 << 60, 1 << 60)
        token = m.BUDGET.set(budget)
        try:
            found, held = [[] for _ in rows], [0]
            for i, start, values in m.products(rows):
                assert start == len(found[i])
                found[i] += values
                held.append((1 << 60) - budget.memory)
        finally:
            m.BUDGET.reset(token)
        assert found == [
            [sum(a * b for a, b in zip(x, y, strict=False)) for y in rows[: i + 1]] for i, x in enumerate(rows)
        ]
        size = (2 * max((v.bit_length() for row in rows for v in row), default=0) + length.bit_length() + 8) // 8
        several = count >= 64
        lanes = max(1, 1024 // size)
        assert budget.memory == 1 << 60 and budget.work == (1 << 60) - several * 500 * sum(map(len, rows))
        assert max(held) == several * (max(map(len, rows), default=0) + 2) * (40 + 8 * size * lanes // 7)
        seen.append(len({start for _, start, _ in m.products(rows)}))
        assert seen[-1] == (-(-count // lanes) if several else min(count, 1))
    assert seen == [0, 1, 1, 1, 3, 33, 66, 1, 1, 1, 1, 1], seen
    budget = m.Budget(1000, 1000)
    token = m.BUDGET.set(budget)
    try:
        assert m.norm_matrix([[1000, 1]], 0, Fraction(1)) == [[-1000000]]
    finally:
        m.BUDGET.reset(token)
    assert (budget.work, budget.memory) == (1000 - 680, 1000 - 55)
    row = [1, -128, 127, 0]
    for size in (1, 2, 9):
        assert m.packed(row, size) == sum(v << (8 * size * k) for k, v in enumerate(row))
        assert m.unpacked(m.packed(row, size), 4, size) == row and m.unpacked(-1 << 8 * size, 2, size) == [0, -1]


def logarithms(m):
    for numerator, denominator in (
        (1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (10**30, 7), (7, 10**30), (2**60 + 1, 2**60), (2**60 - 1, 2**60), (4, 1),
        (1, 4), (3, 4), (4, 3), (5, 8), (8, 5), (2**200, 3), (3, 2**200), (1 << 300, 1),
    ):  # fmt: skip
        low, high = m.log_bounds(numerator, denominator)
        value = Fraction(PRECISE.ln(decimal(Fraction(numerator, denominator))))
        error = Fraction(1, 10**70)
        assert low <= value + error and value - error <= high
        assert 0 <= high - low <= Fraction(1, 10**30)
    two = m.LOG_TWO
    assert two[0] < two[1] and abs(float(two[0]) - math.log(2)) < 1e-15


def exponentials(m):
    for x in (0, -1, Fraction(-1, 3), -50, Fraction(-999, 10), -100, -101, -1000, Fraction(-1, 10**9), Fraction(-7, 2)):
        low, high = m.exp_bounds(Fraction(x))
        value = Fraction(PRECISE.exp(decimal(Fraction(x)))) * m.ONE
        error = Fraction(m.ONE, 10**75)
        assert low <= value + error and value - error <= high
        assert 0 <= high - low <= m.ONE >> 100 and low >= 0


def integers(m):
    assert list(m._integers(bytes([0, 1, 2, 3, 0x80, 1]), 5, "")) == [0, -1, 1, -2, 64]
    most = (1 << 64) - 1
    raw = bytes([(most >> 7 * k & 127) | 128 for k in range(9)] + [most >> 63])
    assert list(m._integers(raw, 1, "")) == [-(1 << 63)]
    assert list(m._integers(bytes([0xFE]) + raw[1:], 1, "")) == [(1 << 63) - 1]
    assert rejected(m, m._integers, raw[:-1] + bytes([2]), 1, "")
    assert rejected(m, m._integers, raw[:-1] + bytes([0x81, 0]), 1, "")
    for large in (raw[:-1] + bytes([2]), b"\xff" * 20):
        try:
            m._integers(large, 1, "")
        except m.Rejected as error:
            assert "64 bits" in str(error)
    assert rejected(m, m._integers, b"\x80", 0, "") and rejected(m, m._integers, b"\x00\x80", 1, "")
    assert rejected(m, m._integers, b"\x00", 2, "") and rejected(m, m._integers, b"\x00\x00", 1, "")
    assert rejected(m, m._integers, b"\x80" * 11 + b"\x00", 1, "")
    assert list(m._integers(b"", 0, "")) == []
    assert list(m._floats(array("d", [1.5, -2.0]).tobytes(), 2, "")) == [1.5, -2.0]
    for value in (math.nan, math.inf, -math.inf):
        assert rejected(m, m._floats, array("d", [1.0, value]).tobytes(), 2, "")
    assert rejected(m, m._floats, bytes(8), 2, "") and rejected(m, m._floats, bytes(9), 1, "")


def values_of_json(m):
    for value in (True, False, None, "1", [], 10**400, -(10**400), math.inf, math.nan):
        assert rejected(m, m._number, value, "")
    assert m._number(2, "") == 2.0 and m._number(-0.5, "") == -0.5
    assert m._is_int(3) and not m._is_int(True) and not m._is_int(1.0) and not m._is_int("1")
    for text in (
        1,
        None,
        "1.5",
        "1e3",
        " 1",
        "1/0",
        "1/-2",
        "--1",
        "1/2/3",
        "",
        "a",
        "1_0",
        "٣",
        "9" * 100001,
        "1/02",
        ["1"] * 3,
    ):
        assert rejected(m, m._rational, text), text
    assert m._rational("-12/7") == Fraction(-12, 7) and m._rational("0") == 0 and m._rational("9" * 4000) > 0
    # Longer than what Python's own conversion takes.
    assert m._rational("-" + "9" * 7001 + "/" + "7" * 5000) == -9 * Fraction(10**7001 - 1, 7 * (10**5000 - 1))
    assert m._rational("0" * 1999 + "12" + "0" * 600 + "5") == 12 * 10**601 + 5
    assert rejected(m, m._fields, {"a": 1}, ("a", "b"), "") and rejected(m, m._fields, {"a": 1, "c": 2}, ("a",), "")
    assert rejected(m, m._fields, [], (), "") and m._fields({"b": 2, "a": 1}, ("a", "b"), "") == [1, 2]


class _Numbers:
    """As much of a problem as a function needs."""

    def __init__(self, **values):
        self.__dict__.update(values)


def relations(m):
    problem = _Numbers(N=3)
    for entries in (
        None,
        {},
        "",
        [[0, "1"]] * 4,
        [[0]],
        [[0, "1", "2"]],
        [[True, "1"]],
        [["0", "1"]],
        [[3, "1"]],
        [[-1, "1"]],
    ):
        assert rejected(m, m._relation, problem, entries), entries
    for entries in ([[0, "1"], [0, "1"]], [(0, "1")], [5], [[0, 1]], ["01"]):
        assert rejected(m, m._relation, problem, entries), entries
    assert m._relation(problem, [[0, "1"], [2, "-1/2"], [1, "0"]]) == {0: 2, 2: -1, 1: 0}
    assert m._relation(problem, [[0, "1/6"], [2, "-3/4"], [1, "2"]]) == {0: 2, 2: -9, 1: 24}


def _relation_holds(m, X, relation, a=(1, 0), beta=1):
    a_plus, a_minus = map(Fraction, a)
    problem = _Numbers(
        X=[[*row, beta] if beta else row for row in X], a_plus=a_plus, a_minus=a_minus, kink=a_plus - a_minus,
        beta=Fraction(beta), n=len(X[0]) + bool(beta), m=1,
    )  # fmt: skip
    return not rejected(m, m.check_relation, problem, relation)


def relations_of_networks(m):
    same, opposite, double = [[1, 2], [1, 2]], [[1, 2], [-1, -2]], [[1, 2], [2, 4]]
    assert _relation_holds(m, same, {0: 1, 1: -1}) and not _relation_holds(m, same, {0: 1, 1: -2})
    assert _relation_holds(m, same, {}) and _relation_holds(m, same, {0: 0}) and not _relation_holds(m, same, {0: 1})
    assert not _relation_holds(m, same, {0: 1, 1: 1}, beta=0) and _relation_holds(m, same, {0: 1, 1: -1}, beta=0)
    assert _relation_holds(m, double, {0: 2, 1: -1}, beta=0) and not _relation_holds(m, double, {0: 2, 1: -1})
    assert not _relation_holds(m, double, {0: 1, 1: -2}, beta=0)
    # Opposite points: |s| is the same for both, s is not, so the relation holds for abs alone.
    assert _relation_holds(m, opposite, {0: 1, 1: -1}, a=(1, -1), beta=0)
    assert not _relation_holds(m, opposite, {0: 1, 1: -1}, beta=0)
    assert not _relation_holds(m, opposite, {0: 1, 1: 1}, beta=0) and not _relation_holds(
        m, opposite, {0: 1, 1: 1}, a=(1, -1)
    )
    assert _relation_holds(m, opposite, {0: 1, 1: 1}, a=(1, 1), beta=0)
    # The line of a point is that through 0, and its first coordinate may be 0.
    assert _relation_holds(m, [[0, 3], [0, -6]], {0: 2, 1: -1}, a=(1, -1), beta=0)
    assert not _relation_holds(m, [[0, 3], [0, -6]], {0: 2, 1: 1}, a=(1, -1), beta=0)
    # Three independent points on one line with a sum of 0 (linear networks), and not for relu.
    line = [[1, 0], [0, 1], [1, 1]]
    assert _relation_holds(m, line, {0: 1, 1: 1, 2: -1}, a=(1, 1), beta=0)
    assert not _relation_holds(m, line, {0: 1, 1: 1, 2: -1}, beta=0)
    assert not _relation_holds(m, line, {0: 1, 1: 1, 2: -1}, a=(1, 1))
    # Points that vanish obey every relation but that of the bias.
    zero = [[0, 0], [0, 0]]
    assert _relation_holds(m, zero, {0: 1}, beta=0) and not _relation_holds(m, [[0, 0], [1, 0]], {1: 1}, beta=0)
    # The constant network σ = 0 has its bias: only Σ c = 0 counts.
    assert _relation_holds(m, line, {0: 1, 1: -1}, a=(0, 0)) and not _relation_holds(m, line, {0: 1, 1: 1}, a=(0, 0))
    assert _relation_holds(m, [[3, 1], [1, 1], [2, 1]], {0: 1, 1: 1, 2: -2}, a=(1, 1))


def spreads(m):
    """‖Q‖ from its columns, and the matrices that prove norms."""
    assert m._stretch([[1, 0], [0, 1]], 0) == 1
    for columns, e in (
        ([[2, 0], [0, 2]], 0),
        ([[3, 4]], -1),
        ([[1, 0], [1, 0]], 0),
        ([[1, 1], [1, -1]], -1),
        ([[1, 0]], -3),
    ):
        k = len(columns)
        gram = [
            [sum(a * b for a, b in zip(p, q, strict=True)) * Fraction(4) ** e - (i == j) for j, q in enumerate(columns)]
            for i, p in enumerate(columns)
        ]
        square = sum(v * v for row in gram for v in row)
        value = 1 + math.sqrt(square)
        assert abs(float(m._stretch(columns, e)) - math.sqrt(value)) < 1e-12 * value, k
        assert m._stretch(columns, e) ** 2 - 1 >= 0 and (m._stretch(columns, e) ** 2 - 1) ** 2 >= square
    for A, e, t in (
        ([[1, 2], [3, 4]], 0, Fraction(6)),
        ([[1, 2, 3]], -2, Fraction(3, 8)),
        ([[1], [2]], 3, Fraction(1, 2)),
    ):
        rows = A if len(A) <= len(A[0]) else [list(c) for c in zip(*A, strict=True)]
        S = m.norm_matrix(A, e, t)
        assert len(S) == len(rows)
        unit = None
        for i, a in enumerate(rows):
            for j, b in enumerate(rows):
                value = t * t * (i == j) - sum(x * y for x, y in zip(a, b, strict=True)) * Fraction(4) ** e
                assert (value == 0) == (S[i][j] == 0)
                if value:
                    unit = unit or S[i][j] / value
                    assert S[i][j] / value == unit > 0
    assert m.norm_matrix([], 0, Fraction(1)) == []


def angles(m):
    rays = [
        (1, 0),
        (5, 1),
        (1, 1),
        (1, 5),
        (0, 1),
        (-1, 3),
        (-1, 1),
        (-3, 1),
        (-1, 0),
        (-2, -1),
        (-1, -2),
        (0, -1),
        (1, -2),
        (2, -1),
    ]
    for i, a in enumerate(rays):
        for j, b in enumerate(rays):
            assert m._by_angle(a, b) == (i > j) - (i < j)


def activations(m):
    for a_plus, a_minus, lipschitz in ((1, 0, 1), (-2, 1, 2), (1, -3, 3), (-1, -4, 4), (2, 2, 2)):
        slopes = _Numbers(a_plus=Fraction(a_plus), a_minus=Fraction(a_minus))
        assert m.Problem.lipschitz.fget(slopes) == lipschitz and m.Problem.kink.fget(slopes) == a_plus - a_minus
    # z = v σ(w x) + b β with a β of more bits than the rest.
    for beta in (0.1, 4.0, -0.375, 0.0):
        for a_plus, a_minus in ((1.0, 0.0), (1.0, -0.3)):
            problem = _Numbers(
                X=[[3], [-5]],
                x=-1,
                a_plus=Fraction(a_plus),
                a_minus=Fraction(a_minus),
                beta=Fraction(beta),
                N=2,
                n=1,
                m=1,
            )
            Z, e = m.network_outputs(problem, [[2]], -2, [[7, 3] if beta else [7]], -3)
            for z, x in zip(Z[0], (Fraction(3, 2), Fraction(-5, 2)), strict=True):
                s = x * Fraction(2, 4)
                hidden = (Fraction(a_plus) if s > 0 else Fraction(a_minus)) * s
                assert z * Fraction(2) ** e == Fraction(7, 8) * hidden + Fraction(3, 8) * Fraction(beta)
    # β of 3001 bits times v of 2000 is paid for.
    problem = _Numbers(X=[[1]], x=0, a_plus=Fraction(1), a_minus=Fraction(0), beta=Fraction(1), N=1, n=1, m=1)
    token = m.BUDGET.set(m.Budget(1 << 60, 1 << 60))
    m.network_outputs(problem, [[1]], -3000, [[1 << 1999, 1]], 0)
    assert (1 << 60) - m.BUDGET.get().work >= m.multiplications(2, 3001, 2000)
    m.BUDGET.reset(token)


def costs(m):
    """What is paid for the steps of each kind of proof, and that a budget ends a check as soon as it is spent."""
    for name, answer in ANSWERS.items():
        if name.endswith(".cpcert"):
            content = (FOLDER / name).read_bytes()
            assert spent(m, content) == answer["cost"], name
    for work, memory, good in ((7, 5, True), (6, 5, False), (7, 4, False)):
        token = m.BUDGET.set(m.Budget(work, memory))
        assert rejected(m, m.spend, 7, 5) == (not good)
        m.BUDGET.reset(token)
    assert m.BUDGET.get().work == m.BUDGET.get().memory == math.inf
    assert (m.multiplications(3, 2048, 1024), m.storage(3, 70), m.width([[1, -8], [3]])) == (3 * (64 + 2048), 150, 4)
    assert m.width([]) == m.width([[]]) == 0
    longest = "9" * 400
    assert m._short_integer(longest) == 10**400 - 1
    for text in (longest + "9", "1" * 5000):
        try:
            m._short_integer(text)
        except ValueError:
            continue
        raise AssertionError
    assert m._shown("é" * 70) == "'" + "\\xe9" * 60 + "'" and m._shown([]) == "(list)"


def _kept_problem(m):
    header, arrays = m.parse((FOLDER / "branch.cpcert").read_bytes())
    problem = m.Problem(header["problem"], arrays)
    return problem, m.Space(problem.X, problem.x), arrays["exponents"]


def gram_rows(m):
    """They are computed again when they have been dropped: what a tree costs in memory does not grow with the square of N."""
    problem, space, exponents = _kept_problem(m)
    whole = m.Forest(problem, space, exponents, [0, 0, 0])
    rows = [whole.row(i) for i in range(problem.N)]
    assert sum(map(bool, whole.gram)) == problem.N
    budget = m.Budget(math.inf, 20_000)
    token = m.BUDGET.set(budget)
    forest = m.Forest(problem, space, exponents, [0, 0, 0])
    room = budget.memory / 2
    for i in [*range(problem.N)] * 2:
        assert forest.row(i) == rows[i] and forest.gram[i] == rows[i]
        assert 20_000 >= budget.memory >= room and 0 < sum(map(bool, forest.gram)) < problem.N / 2
    m.BUDGET.reset(token)


def endless_nodes(m):
    """The steps of one node are paid for while it lasts."""
    problem, space, exponents = _kept_problem(m)
    for steps in ([2, 0, 0], [1, 0]):
        token = m.BUDGET.set(m.Budget(10**8, math.inf))
        forest = m.Forest(problem, space, exponents, [0, 0, 0])
        trees = m.Trees({name: array("q") for name in ("proof", "y", "rho", "mu")})
        trees.steps, trees.rho = m.Stream(chain([0], cycle(steps))), m.Stream(repeat(0))
        assert rejected(m, m.check_tree, forest, [1] * problem.N, 0, Fraction(1), trees)
        m.BUDGET.reset(token)


def reading(m):
    """A file that is too long is not opened; of one that is no certificate only the first bytes are read."""
    asked = []

    class Recorded(io.BytesIO):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    def read(content, size):
        path = SimpleNamespace(stat=lambda: SimpleNamespace(st_size=size), open=lambda mode: Recorded(content))
        return m.read(path)

    own = m.MAGIC + b"and more"
    assert read(own, 16) == read(own, m.FILE_BYTES - 1) == own and asked == [8, m.FILE_BYTES - 8] * 2
    assert read(b"no certificate", 14) == b"no certi" and asked[4:] == [8]
    assert rejected(m, read, own, m.FILE_BYTES) and len(asked) == 5


PROBES = [
    reading,
    costs, gram_rows, endless_nodes,
    activations,
    roots, exact_numbers, factors, inner_products, logarithms, exponentials, integers, values_of_json, relations,
    relations_of_networks, spreads, angles,
]  # fmt: skip
