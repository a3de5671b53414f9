"""Numbers that the functions of deep_check.py must compute, for mutants of it: from the formulas of DEEP.md, in other ways.

Each probe takes the module, raises if something is wrong, and gives the numbers it saw. What is expected is computed once.
"""

from __future__ import annotations

import functools
import random
from array import array
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from itertools import combinations, product
from types import SimpleNamespace

from checker_probes import rejected
from deep_hostile_files import MAGIC, File, floats, integers
from hostile_files import problem_of, written

PRECISE = Context(prec=60)
TINY = Fraction(1, 10**15)


def decimal(x) -> Decimal:
    x = Fraction(x)
    return PRECISE.divide(Decimal(x.numerator), Decimal(x.denominator))


def root(x) -> Decimal:
    return PRECISE.sqrt(decimal(x))


def near(bound, value, more=Decimal("1e-9")) -> bool:
    """value ≤ bound ≤ value(1 + more), about."""
    value = PRECISE.multiply(value, Decimal(1) - Decimal("1e-50")) if isinstance(value, Decimal) else decimal(value)
    return value <= decimal(bound) <= value + abs(value) * more


def problem(m, X, Y, loss="mse", slopes=(1.0, 0.0), beta=0.0, depth=3, lam=1.0):
    """X: rows are points; Y: rows are points."""
    flat = array("d", [v for row in X for v in row]), array("d", [v for row in Y for v in row])
    header = problem_of(loss, slopes, beta, (len(X), len(X[0]), len(Y[0])), *flat, depth)
    made = m.Problem(header, dict(zip("XY", flat, strict=True)))
    made.lam = Fraction(lam)
    return made


def sigma(slopes, z):
    plus, minus = map(Fraction, slopes)
    return plus * z if z > 0 else minus * z


# -- rationals, the problem --------------------------------------------------------------------------------------------


def rationals(m):
    assert m.WORD == 96 and m.GRID == 24 and (m.FINE, m.STEP) == (32, 20)
    assert m.length(Fraction(5, 8)) == 7 and m.length(Fraction(-1)) == 2
    assert [m.fraction(b) for b in (0, 1, 1000)] == [3000, 3008, 14906]
    assert [m.exponent(Fraction(x)) for x in (5, Fraction(1, 3), 0, -8)] == [3, 0, 0, 4]
    assert [m.up(Fraction(7, 2), 0), m.up(Fraction(-7, 2), 0), m.up(Fraction(3), 1), m.up(Fraction(3), -2)] == [
        4,
        -3,
        2,
        12,
    ]
    for x in (Fraction(1, 3), Fraction(10**50, 7), Fraction(5), Fraction(1, 10**60)):
        short = m.short(x)
        odd = short.numerator // (short.numerator & -short.numerator)
        assert x <= short <= x * (1 + Fraction(1, 2**94)) and odd.bit_length() <= 97
        assert -x <= m.short(-x) < 0
    assert m.short(Fraction(0)) == 0


def limits(m):
    """What DEEP.md and SPEC.md say."""
    assert (m.WORK, m.WORK_RATE, m.MEMORY, m.MEMORY_RATE, m.MEMORY_MOST) == (5 * 10**10, 32, 1 << 26, 1 << 13, 1 << 33)
    assert (m.FILE_BYTES, m.HEADER_BYTES, m.FLOAT_BYTES, m.INT_BYTES) == (1 << 29, 1 << 26, 1 << 26, 1 << 29)
    assert (m.ARRAYS, m.HEADER_DIGITS, m.RANK, m.RAY_BITS, m.CLASSES, m.ITEMS, m.DEPTH) == (
        128,
        400,
        8,
        2048,
        62,
        4096,
        64,
    )
    assert (m.MAGIC, m.LOSSES) == (b"cpdeep\x00\x01", ("mse", "cross_entropy", "logistic"))


def problems(m):
    made = problem(m, [[1.0, 2.5], [3.0, 4.0]], [[1.0], [-2.0]], slopes=(1.0, -2.0), beta=0.5, depth=64)
    assert (made.depth, made.N, made.n0, made.n, made.m, made.loss) == (64, 2, 2, 3, 1, "mse")
    assert made.X == [[2, 5, 1], [6, 8, 1]] and made.x == -1 and made.Y == [[1, -2]] and made.y == 0
    assert (made.lipschitz, made.a_plus, made.a_minus, made.beta) == (2, 1, -2, Fraction(1, 2)) and len(
        made.sha256
    ) == 64
    assert problem(m, [[1.0]], [[1.0]], slopes=(-3.0, 1.0)).lipschitz == 3
    X, Y = array("d", [1.0, 2.0]), array("d", [1.0, -1.0])
    good = problem_of("mse", (1.0, 0.0), 0.0, (2, 1, 1), X, Y, 3)
    assert m.Problem(good, {"X": X, "Y": Y}).n == 1
    for change in (
        {"loss": "interpolate"}, {"loss": ["mse"]}, {"depth": 2}, {"depth": 65}, {"depth": True}, {"N": 0}, {"N": 3}, {"N": True},
        {"n0": 2}, {"n0": 0}, {"n0": -1}, {"m": 0}, {"m": 2}, {"m": 1.0}, {"lambda": 0.0}, {"lambda": -1.0}, {"beta": "0"},
        {"a_plus": None}, {"sha256": "0"}, {"sha256": None}, {"more": 1}, {"depth": 4}, {"lambda": 2.0},
    ):  # fmt: skip
        assert rejected(m, m.Problem, good | change, {"X": X, "Y": Y}), change
    for arrays in ({"X": X}, {"X": X, "Y": array("q", [1, 1])}, {"X": X[:1], "Y": Y}, {"X": X, "Y": Y[:1]}):
        assert rejected(m, m.Problem, good, dict(arrays)), arrays
    nothing = array("d")
    assert rejected(
        m, m.Problem, problem_of("mse", (1.0, 0.0), 0.0, (0, 1, 1), nothing, nothing, 3), {"X": nothing, "Y": nothing}
    )
    for loss, targets, right in (
        ("logistic", [[1.0], [-1.0]], True), ("logistic", [[1.0], [0.5]], False), ("logistic", [[1.0], [2.0]], False),
        ("logistic", [[0.25], [1.0]], False), ("cross_entropy", [[1.0, 0.0]], True), ("cross_entropy", [[0.5, 2.5]], True),
        ("cross_entropy", [[1.0]], False), ("cross_entropy", [[1.0, -0.5]], False), ("cross_entropy", [[0.0, 0.0]], True),
        ("mse", [[-1.5, 0.25]], True), ("logistic", [[1.0], [0.0]], False),
    ):  # fmt: skip
        assert rejected(m, problem, m, [[1.0]] * len(targets), targets, loss) == (not right), (loss, targets)
    wrong = {"depth": 2}
    try:
        m.Problem(problem_of("mse", (1.0, 0.0), 0.0, (2, 1, 1), X, Y, 2) | wrong, {"X": X, "Y": Y})
    except m.Rejected as error:
        assert "3 to 64" in str(error)


# -- networks, dual values ---------------------------------------------------------------------------------------------


@functools.cache
def some_networks():
    """(problem as arguments, widths, weights, Z by hand)."""
    rng = random.Random(0)
    found = []
    for depth, widths, slopes, beta, m in (
        (3, [2, 3], (1.0, 0.0), 0.0, 1), (3, [3, 1], (1.0, -0.375), 0.75, 2), (4, [1, 2, 2], (0.5, 1.5), -0.0625, 1),
        (3, [0, 0], (1.0, 0.0), 3.0, 2), (3, [2, 0], (1.0, 0.0), 0.0, 1), (3, [2, 2], (0.5, -0.25), 0.0, 1),
        (5, [1, 1, 1, 1], (1.0, 0.0), 2.0**-40, 1),
        (3, [1, 1], (3.0, 2.0**-30), 2.0**40, 1),
    ):  # fmt: skip
        N, d = 3, 2
        X = [[rng.choice((-1, 1)) * rng.randrange(1, 40) / 8 for _ in range(d)] for _ in range(N)]
        Y = [[rng.randrange(-30, 30) / 4 for _ in range(m)] for _ in range(N)]
        sizes = [d, *widths, m]
        weights = [
            [[rng.randrange(-60, 60) / 16 for _ in range(sizes[k] + (beta != 0))] for _ in range(sizes[k + 1])]
            for k in range(depth)
        ]
        A = [[Fraction(v) for v in x] + [Fraction(beta)] * (beta != 0) for x in X]
        for k, W in enumerate(weights):
            A = [[sum((Fraction(u) * v for u, v in zip(w, a, strict=True)), Fraction(0)) for w in W] for a in A]
            if k + 1 < depth:
                A = [[sigma(slopes, z) for z in a] + [Fraction(beta)] * (beta != 0) for a in A]
        found.append(({"X": X, "Y": Y, "slopes": slopes, "beta": beta, "depth": depth}, widths, weights, A))
    return found


def networks(m):
    seen = []
    for given, widths, weights, Z in some_networks():
        arrays = {f"W{k}": array("d", [v for row in W for v in row]) for k, W in enumerate(weights, start=1)}
        cost = sum(Fraction(v) ** 2 for W in weights for row in W for v in row)
        made = problem(m, **given, lam=Fraction(1, 8))
        layers = [
            m.matrix(W, *shape, "")
            for W, shape in zip(arrays.values(), [(len(W), len(W[0]) if W else 0) for W in weights], strict=True)
        ]
        if all(widths):
            outputs, e = m.network_outputs(made, layers)
            assert [[v * Fraction(2) ** e for v in row] for row in outputs] == [
                list(row) for row in zip(*Z, strict=True)
            ]
        square = sum(
            (z - Fraction(y)) ** 2 for zs, ys in zip(Z, given["Y"], strict=True) for z, y in zip(zs, ys, strict=True)
        )
        loss = square / made.N + cost / 8
        assert m.network_loss(made, widths, dict(arrays)) == loss
        taken = dict(arrays) | {"W9": 1}
        m.network_loss(made, widths, taken)
        assert list(taken) == ["W9"]
        for wrong in (
            None,
            widths[:-1],
            [*widths, 1],
            [True, *widths[1:]],
            [-1, *widths[1:]],
            [1.0, *widths[1:]],
            "12",
        ):
            assert rejected(m, m.network_loss, made, wrong, dict(arrays))
        proof = {"value": float(loss), "widths": widths}
        value = m.check_upper(made, proof | {"value": float(loss) * (1 + 1e-12)}, dict(arrays))
        assert value == float(loss) * (1 + 1e-12)
        assert rejected(m, m.check_upper, made, proof | {"value": float(loss) * (1 - 1e-12)}, dict(arrays))
        assert rejected(m, m.check_upper, made, proof | {"kind": 0}, dict(arrays))
        seen.append(value)
    # A width below 0 between two that are 0 fits empty weights.
    empty = {f"W{k}": array("d") for k in (1, 2, 3, 4)}
    assert m.network_loss(problem(m, [[1.0]], [[1.0]], depth=4), [0, 0, 0], dict(empty)) == 1
    assert rejected(m, m.network_loss, problem(m, [[1.0]], [[1.0]], depth=4), [0, -1, 0], empty)
    exact = problem(m, [[1.0]], [[1.0]])
    ones = {f"W{k}": array("d", [1.0]) for k in (1, 2, 3)}
    assert m.check_upper(exact, {"value": 3.0, "widths": [1, 1]}, ones) == 3.0
    for loss, Y, value in (
        ("logistic", [[1.0], [-1.0]], lambda z: sum(_log(1 + _exp(-y * v)) for v, y in zip(z, (1, -1), strict=True))),
        ("cross_entropy", [[0.5, 1.25], [0.0, 1.0]],
         lambda z: sum(s * _log(_exp(v) + _exp(2 * v)) - a * v - b * 2 * v
                       for v, a, b, s in ((z[0], Decimal("0.5"), Decimal("1.25"), Decimal("1.75")), (z[1], 0, 1, 1)))),
    ):  # fmt: skip
        made = problem(m, [[1.0], [-3.0]], Y, loss, slopes=(1.0, 1.0))
        last = array("d", [1.0] if loss == "logistic" else [1.0, 2.0])
        arrays = {"W1": array("d", [1.0]), "W2": array("d", [1.0]), "W3": last}
        bound = m.network_loss(made, [1, 1], arrays)
        assert near(bound, value([Decimal(1), Decimal(-3)]) / 2 + 2 + sum(int(v) ** 2 for v in last), Decimal("1e-25"))
        seen.append(bound)
    return seen


def _exp(x) -> Decimal:
    return PRECISE.exp(Decimal(x))


def _log(x) -> Decimal:
    return PRECISE.ln(Decimal(x))


def dual_values(m):
    seen = []
    for beta, lam, s in (
        (0.0, 1.0, Fraction(3, 2)),
        (0.5, 0.125, Fraction(1, 4)),
        (-2.0, 3.0, Fraction(2)),
        (1.0, 1.0, Fraction(0)),
    ):
        made = problem(m, [[1.0], [2.0]], [[1.5, -1.0], [0.25, 3.0]], beta=beta, lam=lam)
        G, g = [[3, -1], [2, 5]], -2
        exact = [[Fraction(v, 4) for v in row] for row in G]
        Y = [[Fraction(3, 2), Fraction(1, 4)], [-1, 3]]
        inner = sum(a * b for x, y in zip(exact, Y, strict=True) for a, b in zip(x, y, strict=True))
        squares = sum(a * a for row in exact for a in row)
        sums = sum(sum(row) ** 2 for row in exact)
        assert m.conjugate_lower(made, G, g, s) == s * inner - s * s * squares * Fraction(2, 4)
        assert (
            m.dual_value(made, G, g, s)
            == s * inner - s * s * squares / 2 - Fraction(beta) ** 2 / (4 * Fraction(lam)) * sums * s**2
        )
        seen.append(m.dual_value(made, G, g, s))
    # Binary entropy: p = 2·s·y·g of two points, in [0, 1].
    made = problem(m, [[1.0], [2.0]], [[1.0], [-1.0]], "logistic", beta=1.0, lam=0.5)
    for G, p in (([[1, -1]], (1, 1)), ([[2, -3]], (2, 3)), ([[0, -4]], (0, 4)), ([[1, 0]], (1, 0))):
        s = Fraction(1, 2)  # over 2**-2, times N = 2: p/4
        value = sum(
            -decimal(Fraction(v, 4)) * _log(decimal(Fraction(v, 4))) for q in p for v in (q, 4 - q) if 0 < v < 4
        ) / 2 or Decimal(0)
        found = m.conjugate_lower(made, G, -2, s)
        assert value - Decimal("1e-25") <= decimal(found) <= value
        assert m.dual_value(made, G, -2, s) == found - Fraction(1, 2) * (Fraction(sum(G[0]), 4) * s) ** 2
        seen.append(found)
    for G in ([[5, 0]], [[-1, 0]], [[0, 1]], [[0, -5]]):
        assert rejected(m, m.conjugate_lower, made, G, -2, Fraction(1, 2)), G
    # Σ p log(S/p), p = y − 2·s·g.
    made = problem(m, [[1.0], [2.0]], [[0.5, 1.5], [0.0, 1.0]], "cross_entropy")
    for G in (
        [[1, 0], [-1, 0]],
        [[-3, -2], [3, 2]],
        [[1, -1], [-1, 1]],
        [[2, 0], [-2, 0]],
        [[-6, 0], [6, 0]],
        [[0, -4], [0, 4]],
    ):
        value = Decimal(0)
        for i, labels in enumerate(((2, 6), (0, 4))):
            total = sum(labels)
            for y, row in zip(labels, G, strict=True):
                p = y - row[i]
                value += decimal(Fraction(p, 4)) * _log(decimal(Fraction(total, p))) if p else 0
        found = m.conjugate_lower(made, G, -2, Fraction(1, 2))
        assert value / 2 - Decimal("1e-25") <= decimal(found) <= value / 2
        seen.append(found)
    for G in ([[3, 0], [-3, 0]], [[-7, 0], [7, 0]], [[0, 1], [0, -1]], [[0, -5], [0, 5]]):
        assert rejected(m, m.conjugate_lower, made, G, -2, Fraction(1, 2)), G
    return seen


# -- directions --------------------------------------------------------------------------------------------------------


def solved(A, b):
    """x with Ax = b in rationals, by Gauss and Jordan; None if A is singular."""
    k = len(A)
    rows = [[Fraction(v) for v in row] + [Fraction(w)] for row, w in zip(A, b, strict=True)]
    for p in range(k):
        pivot = next((i for i in range(p, k) if rows[i][p]), None)
        if pivot is None:
            return None
        rows[p], rows[pivot] = rows[pivot], rows[p]
        rows[p] = [v / rows[p][p] for v in rows[p]]
        rows = [
            row if i == p else [u - row[p] * v for u, v in zip(row, rows[p], strict=True)] for i, row in enumerate(rows)
        ]
    return [row[k] for row in rows]


def inner(a, b):
    return sum((Fraction(u) * v for u, v in zip(a, b, strict=True)), Fraction(0))


def linear_maximum(rays, F):
    """max of Σ t_jF_j over t ≥ 0 with ‖Σ t_jr_j‖ ≤ 1, squared (exact)."""
    best = Fraction(0)
    for size in range(1, len(rays) + 1):
        for J in combinations(range(len(rays)), size):
            t = solved([[inner(rays[i], rays[j]) for j in J] for i in J], [F[j] for j in J])
            value = sum((F[j] * v for j, v in zip(J, t, strict=True)), Fraction(0))
            if min(t) >= 0 and value > 0:
                best = max(best, value)
    return best


def adjugates(m):
    assert m.adjugate([[7]]) == ([[1]], 7) and m.adjugate([[2, 1], [1, 3]]) == ([[3, -1], [-1, 2]], 5)
    A = [[6, 2, 1], [2, 5, 2], [1, 2, 4]]
    found, det = m.adjugate(A)
    assert det == 83 and [[inner(row, column) for column in zip(*A, strict=True)] for row in found] == [
        [83 * (i == j) for j in range(3)] for i in range(3)
    ]
    B = [[sum(u * v for u, v in zip(a, b, strict=True)) for b in ROWS] for a in ROWS]
    found, det = m.adjugate(B)
    assert all(inner(found[i], B[j]) == det * (i == j) for i in range(4) for j in range(4)) and det > 0
    for singular in ([[1, 1], [1, 1]], [[0]], [[1, 2], [2, 4]]):
        assert rejected(m, m.adjugate, singular)


ROWS = ((3, 1, 4, 1), (5, 9, 2, 6), (5, 3, 5, 8), (9, 7, 9, 4))

# X, the bisections (cone, a, b, s, t, shift), β, slopes, classes of the cones, weights q.
COVERS = (
    {"X": [[1.0, 2.0], [-1.0, 1.0], [2.0, -3.0], [-1.0, -1.0]], "cuts": [(0, 0, 1, 1, 1, 0), (3, 1, 0, 2, 1, 0), (4, 0, 1, 1, 3, 1)],
         "groups": [0, 1, 1, 0, 2, 0, 1], "count": 4, "qs": [(1, -2, 3, 1), (-3, 1, 1, -2), (0, 0, 0, 5), (-1, -1, -1, -1)]},
    {"X": [[0.5, 1.0], [2.0, -1.0], [-1.5, 0.25]], "beta": 0.5, "slopes": (1.0, -0.375),
         "cuts": [(0, 0, 2, 3, 1, -2), (0, 1, 2, 1, 1, 0), (7, 2, 0, 1, 2, 0), (9, 1, 0, 5, 4, 0)],
         "groups": [0] * 12, "count": 1, "qs": [(1, 1, 1), (2, -3, 1), (-1, 2, 2)]},
    {"X": [[1.0, 1.0], [3.0, -1.0], [-2.0, 1.0]], "slopes": (0.0, 1.0),
         "cuts": [(1, 0, 1, 1, 2, 3), (0, 0, 1, 1, 1, -3), (2, 1, 0, 1, 1, 0)],
         "groups": [0, 0, 0, 1, 0, 0, 1], "count": 2, "qs": [(1, 2, -1), (-2, 1, 1), (1, 1, 1)]},
    {"X": [[1.5], [-2.0]], "cuts": [], "groups": [0, 1], "count": 2, "qs": [(2, 1), (-1, 3), (0, 0)]},
    {"X": [[1.0, 1.0], [1.0, -2.0]], "slopes": (1.0, 1.0), "cuts": [(0, 0, 1, 1, 1, 0)],
         "groups": [0] * 5, "count": 1, "qs": [(1, 1), (1, -3)]},
    {"X": [[1.0, 2.0, 2.0], [2.0, 0.0, 1.0], [0.0, 1.0, -2.0]], "slopes": (1.0, -0.75), "cuts": [(0, 0, 1, 1, 1, 0)],
         "basis": [1.0, 0.0, 0.0, 1.0, 0.5, 0.25], "coordinates": [1.0, 2.0, 2.0, 0.0, 0.0, 1.0],
         "groups": [0, 0, 0, 1, 1], "count": 2, "qs": [(1, -1, 2), (-3, 1, 1)]},
    {"X": [[1.0009765625, 2.0, 1.0], [2.0, -0.0001220703125, 0.0], [0.0, 1.0, -2.0]], "cuts": [],
     "basis": [1.0, 0.0, 0.0, 1.0, 0.5, 0.5], "coordinates": [1.0, 2.0, 2.0, 0.5, 0.0, 1.0],
     "slopes": (2.0, 0.5), "groups": [0] * 4, "count": 1, "qs": [(1, -1, 2), (-3, 1, 1)]},
    {"X": [[1.0, 0.0]], "cuts": [], "groups": [0] * 4, "count": 1, "qs": [(1,), (-2,)]},
)  # fmt: skip


def directions(m, given):
    made = problem(
        m, given["X"], [[0.0]] * len(given["X"]), slopes=given.get("slopes", (1.0, 0.0)), beta=given.get("beta", 0.0)
    )
    cover = array("q", [len(given["cuts"]), *(v for cut in given["cuts"] for v in cut)])
    arrays = {"cover": cover, "classes": array("q", given["groups"])}
    if "basis" in given:
        arrays |= {"basis": array("d", given["basis"]), "coordinates": array("d", given["coordinates"])}
    found = m.Directions(made, {"classes": given["count"], "coordinates": "basis" in given}, arrays)
    assert not arrays
    return found


@functools.cache
def by_hand(number):
    """(points, stretch, residuals, cones as rays, γ_c(q) of the cover for each q and class as a square)."""
    given = COVERS[number]
    slopes, beta = given.get("slopes", (1.0, 0.0)), given.get("beta", 0.0)
    X = [[Fraction(v) for v in row] + [Fraction(beta)] * (beta != 0) for row in given["X"]]
    points = X
    stretch, residuals = Decimal(1), [Decimal(0)] * len(X)
    if "basis" in given:
        Q = [[Fraction(v) for v in given["basis"][2 * k : 2 * k + 2]] for k in range(3)]
        points = [[Fraction(v) for v in given["coordinates"][2 * k : 2 * k + 2]] for k in range(3)]
        gram = sum(
            (inner([row[i] for row in Q], [row[j] for row in Q]) - (i == j)) ** 2 for i in range(2) for j in range(2)
        )
        stretch = PRECISE.sqrt(1 + root(gram))
        residuals = [
            root(sum((v - inner(row, p)) ** 2 for v, row in zip(x, Q, strict=True)))
            for x, p in zip(X, points, strict=True)
        ]
    r = len(points[0])
    axes = [[tuple(side * (j == k) for k in range(r)) for side in (1, -1)] for j in range(r)]
    cones = [list(rays) for rays in product(*axes)]
    for cone, a, b, s, t, shift in given["cuts"]:
        ray = [
            Fraction(s) * Fraction(2) ** shift * u + t * v for u, v in zip(cones[cone][a], cones[cone][b], strict=True)
        ]
        scale = next(k for k in range(1, 10**4) if all((v * k).denominator == 1 for v in ray))
        size = max(k for k in range(1, 10**3) if all((v * scale / k).denominator == 1 for v in ray))
        ray = tuple(int(v * scale / size) for v in ray)
        copy = list(cones[cone])
        cones[cone][a] = ray
        copy[b] = ray
        cones.append(copy)
    delta = Fraction(slopes[0]) - Fraction(slopes[1])
    squares = []
    for q in given["qs"]:
        best = [Fraction(0)] * given["count"]
        for sign in (1, -1):
            for rays, group in zip(cones, given["groups"], strict=True):
                F = [Fraction(0)] * r
                for x, weight in zip(points, q, strict=True):
                    z = [inner(x, ray) for ray in rays]
                    side = (
                        sum((decimal(v) / root(inner(ray, ray)) for v, ray in zip(z, rays, strict=True)), Decimal(0))
                        > 0
                    )
                    for j, v in enumerate(z):
                        relu = max(v, Fraction(0))
                        if delta * sign * weight < 0 and min(z) < 0 < max(z):
                            relu = v if side else Fraction(0)
                        F[j] += sign * weight * (Fraction(slopes[1]) * v + delta * relu)
                best[group] = max(best[group], linear_maximum(rays, F))
        squares.append(best)
    return points, stretch, residuals, cones, squares


def covers(m):
    seen = []
    for number, given in enumerate(COVERS):
        found = directions(m, given)
        points, stretch, residuals, cones, squares = by_hand(number)
        assert [[found.rays[ray] for ray in simplex.rays] for simplex in found.simplices] == cones
        assert [simplex.group for simplex in found.simplices] == given["groups"] and len(set(found.rays)) == len(
            found.rays
        )
        assert found.points == [[v / Fraction(2) ** found.x for v in p] for p in points]
        assert near(found.stretch, stretch)
        for simplex, rays in zip(found.simplices, cones, strict=True):
            z = [[inner(x, ray) for ray in rays] for x in points]
            assert simplex.crossing == [i for i, v in enumerate(z) if min(v) < 0 < max(v)]
            # The largest Σ t_j‖r_j‖, by the values ‖r_j‖ to forty digits.
            sizes = [Fraction(int(root(inner(ray, ray)) * 10**40), 10**40) for ray in rays]
            assert near(Fraction(simplex.stretch, 1 << m.STEP), root(linear_maximum(rays, sizes)), Decimal("1e-5"))
        lipschitz = max(map(abs, given.get("slopes", (1.0, 0.0))))
        for q, best in zip(given["qs"], squares, strict=True):
            rest = sum((abs(v) * size for v, size in zip(q, residuals, strict=True)), Decimal(0)) * Decimal(lipschitz)
            for e in (0, -3, 5):
                bounds = found.gamma(list(q), e)
                unit = Decimal(2) ** e
                assert len(bounds) == given["count"]
                for bound, square in zip(bounds, best, strict=True):
                    assert near(bound, (root(square) * stretch + rest) * unit, Decimal("1e-8")), (number, q)
                seen += bounds
        for i in (0, len(points) - 1):
            unit = found.gamma([int(k == i) for k in range(len(points))], 0)
            assert found.own(i) == [v * v for v in unit] == found.own(i)
    return seen


def wrong_covers(m):
    good = {"X": [[1.0, 0.0]], "cuts": [(0, 0, 1, 1, 1, 0)], "groups": [0] * 5, "count": 1, "qs": []}
    assert len(directions(m, good).simplices) == 5
    most = m.RAY_BITS
    for cut, right in (
        ((3, 1, 0, 1, 1, 0), True), ((4, 0, 1, 1, 1, 0), False), ((-1, 0, 1, 1, 1, 0), False), ((0, 0, 0, 1, 1, 0), False),
        ((0, 1, 1, 1, 1, 0), False), ((0, 2, 1, 1, 1, 0), False), ((0, 0, 2, 1, 1, 0), False), ((0, -1, 1, 1, 1, 0), False),
        ((0, 0, 1, 0, 1, 0), False), ((0, 0, 1, 1, 0, 0), False), ((0, 0, 1, -1, 1, 0), False), ((0, 0, 1, 1, -1, 0), False),
        ((0, 0, 1, 1, 1, most - 1), True), ((0, 0, 1, 1, 1, most), False), ((0, 0, 1, 1, 1, 1 - most), True),
        ((0, 0, 1, 1, 1, -most), False), ((0, 0, 1, 2, 1, -most), True), ((0, 0, 1, 1, 2, most), True),
        ((0, 0, 1, 4, 1, -most - 1), False), ((0, 0, 1, 1, 4, most + 1), False),
    ):  # fmt: skip
        assert rejected(m, directions, m, good | {"cuts": [cut]}) == (not right), cut
    for change in (
        {"count": 0}, {"count": 63, "groups": [0] * 5}, {"count": True}, {"count": 1.0}, {"groups": [0] * 4}, {"groups": [0] * 6},
        {"groups": [0, 0, 0, 0, 1]}, {"groups": [0, -1, 0, 0, 0]}, {"X": [[1.0] * 9], "cuts": [], "groups": [0] * 512},
    ):  # fmt: skip
        assert rejected(m, directions, m, good | change), change
    assert directions(m, good | {"count": 62, "groups": [0, 61, 3, 3, 3]}).count == 62
    made = problem(m, [[1.0, 0.0]], [[0.0]])
    for flag in (0, 1, None, "True"):
        arrays = {"cover": array("q", [0]), "classes": array("q", [0] * 4)}
        assert rejected(m, m.Directions, made, {"classes": 1, "coordinates": flag}, arrays), flag
    for cover in ([0, 0], []):
        arrays = {"cover": array("q", cover), "classes": array("q", [0] * 4)}
        try:
            m.Directions(made, {"classes": 1, "coordinates": False}, arrays)
            raise AssertionError(cover)
        except (m.Rejected, StopIteration):
            pass
    for basis, coordinates, right in (
        ([1.0, 0.0, 0.0, 1.0], [1.0, 0.0], True), ([], [], False), ([1.0], [], False), ([1.0, 0.0, 0.0], [1.0], False),
        ([1.0] * 18, [1.0] * 9, False), ([1.0, 0.0, 0.0, 1.0], [1.0], False), ([1.0, 0.5], [1.0], True),
    ):  # fmt: skip
        r = max(len(basis) // 2, 1)
        given = {
            "X": [[1.0, 0.0]],
            "cuts": [],
            "groups": [0] * 2**r,
            "count": 1,
            "basis": basis,
            "coordinates": coordinates,
        }
        assert rejected(m, directions, m, given) == (not right), basis
    # One ray for both sides of an edge: looked up, not counted twice.
    shared = directions(
        m, good | {"cuts": [(0, 0, 1, 1, 2, 0), (1, 0, 1, 1, 2, 0), (0, 1, 0, 1, 1, 0)], "groups": [0] * 7}
    )
    assert len(shared.rays) == 7 and (1, 2) in shared.rays and (1, -2) in shared.rays and (1, 3) in shared.rays


# -- trees -------------------------------------------------------------------------------------------------------------


class Stub:
    """Directions whose γ_c(q) are simple functions of q."""

    def __init__(self, N, slopes, beta, count=2):
        self.problem = SimpleNamespace(N=N, beta=Fraction(beta))
        self.plus, self.minus, self.a = 4 * slopes[0], 4 * slopes[1], -2
        self.count, self.calls = count, []

    def gamma(self, q, e):
        self.calls.append([v * Fraction(2) ** e for v in q])
        size = sum(map(abs, self.calls[-1]), Fraction(0))
        return [size * Fraction(c + 1, 3) + c for c in range(self.count)]

    def own(self, i):
        return [Fraction(i + 1 + c, 7) for c in range(self.count)]


ONE = 1 << 24
# g, slopes, β, the stream of both trees, and (T, undecided) of the leaves.
TREES = (
    ((1, -1, 2, 0), (1, 0), 0.5, [1, 2, 0, ONE // 3, ONE + 5, 1, 0, 0, 7, ONE, -9, 0, 11, -3, -1, 0, 5, 6],
     [((ONE // 2, ONE // 3, ONE + 5, 0), [0]), ((ONE, 7, -9, 0), []), ((-3, 11, -1, 0), []), ((5, ONE // 2, 6, 0), [1])]),
    ((3, -2), (-1, 1), 0.0, [0, 1, 1, 0, 1, 0, ONE, 8, 0, ONE + 1, 0, 0, 0, 0, 0, 5],
     None),
    ((0, 0), (1, 0), 1.0, [0, 0], [((0, 0), []), ((0, 0), [])]),
    ((2,), (2, 2), 1.0, [0, 0], [((0,), []), ((0,), [])]),
)  # fmt: skip


def trees(m):
    seen = []
    # Undecided points with δ < 0, and the smallest κ there is.
    tree = m.TreeBound(Stub(2, (-1, 2), 0.5), [3, -5], 0, m.Stream([0, 7, 0, 9]))
    assert tree.weights == {0: Fraction(9, 2), 1: Fraction(15, 2)}
    assert [leaf.undecided for leaf in tree.leaves] == [[1], [0]]
    stub = Stub(1, (1, 0), 0)
    stub.plus, stub.a = 1, 0
    assert len(m.TreeBound(stub, [1], 0, m.Stream([1, 0, 0, ONE, 0, 0, 0, 0])).leaves) == 3
    assert [leaf.undecided for leaf in m.TreeBound(stub, [1], 0, m.Stream([0, 0, 0])).leaves] == [[0], []]
    for number, (g, slopes, beta, stream, leaves) in enumerate(TREES):
        if leaves is None:
            # δ = −2: κ = (−6, 4) and then (6, −4).
            stream = [1, 1, 0, ONE, ONE + 8, 0, 1, -1, 1, 0, 0, ONE, 3, 0, 0, 4]
            leaves = [((ONE, ONE + 8), []), ((1, -1), []), ((ONE, 3), []), ((0, 4), [])]
        e = -3
        if number == 0:
            # The order of the stream: z_2 ≥ 0, then z_0 ≥ 0 and z_0 ≤ 0 on the other side, then −g.
            stream = [
                1,
                2,
                0,
                ONE // 3,
                ONE + 5,
                1,
                0,
                0,
                ONE,
                7,
                -9,
                0,
                -3,
                11,
                -1,
                1,
                1,
                0,
                5,
                ONE + 1,
                6,
                0,
                4,
                -2,
                3,
            ]
            leaves = [*leaves[:3], ((5, ONE + 1, 6, 0), []), ((4, -2, 3, 0), [])]
        stub = Stub(len(g), slopes, beta)
        steps = m.Stream(stream)
        tree = m.TreeBound(stub, list(g), e, steps)
        steps.end()
        delta = slopes[0] - slopes[1]
        first = next(k for k in range(len(leaves) + 1) if number or k == 3)
        signs = {0: [1] * 3 + [-1] * 2, 1: [1, 1, -1, -1], 2: [1, -1], 3: [1, -1]}[number]
        assert len(tree.leaves) == len(leaves) == len(signs) and first >= 0
        for leaf, (T, undecided), sign, call in zip(tree.leaves, leaves, signs, stub.calls, strict=False):
            q = [sign * Fraction(v, 8) * (slopes[1] + delta * Fraction(t, ONE)) for v, t in zip(g, T, strict=True)]
            assert call == q and leaf.undecided == undecided, (number, call, q)
            size = sum(map(abs, q), Fraction(0))
            assert leaf.squares == [(size * Fraction(c + 1, 3) + c) ** 2 for c in range(2)]
            assert leaf.bias == (Fraction(beta) * sum(q)) ** 2
        for i, weight in tree.weights.items():
            assert weight == abs(delta * Fraction(g[i], 8)) / 2
        seen += [*tree.weights.items(), tree.unit, tree.reach, tree.table]
        for change in range(len(stream)):
            for value in (stream[change] + 1, stream[change] - 1, -1 - stream[change], 1 << 30, 2):
                again = m.Stream([*stream[:change], value, *stream[change + 1 :]])
                try:
                    other = m.TreeBound(Stub(len(g), slopes, beta), list(g), e, again)
                    again.end()
                    seen.append(len(other.leaves))
                except m.Rejected as error:
                    seen.append(str(error))
                except StopIteration:
                    seen.append("cut")
    return seen


def wrong_trees(m):
    """Multipliers at the ends of their intervals and beyond; g = (1, −1, 1), of which z_0 is decided and z_2 is not."""
    for sign, T, right in (
        (1, (ONE, 0), True), (1, (ONE - 1, 0), False), (1, (ONE, ONE), True), (1, (ONE, ONE + 1), False), (1, (ONE, -1), False),
        (-1, (0, 0), True), (-1, (1, 0), False), (-1, (-5, 0), True), (-1, (-5, ONE), True), (-1, (-5, ONE + 1), False),
        (-1, (-5, -1), False), (1, (5 * ONE, 3), True),
    ):  # fmt: skip
        first, second = (T, (0, 0)) if sign > 0 else ((ONE, 0), T)
        stream = m.Stream([1, 0, 0, *first, 0, *second, 0, 0, 0])
        assert rejected(m, m.TreeBound, Stub(3, (1, 0), 0), [1, -1, 1], 0, stream) == (not right), (sign, T)
    for steps in ([1, 1], [1, 0, 1, 0], [1, 3], [1, -1], [2], [-1], [1, 0, 0, ONE, 0, 1, 0]):
        assert rejected(m, m.TreeBound, Stub(3, (1, 0), 0), [1, -1, 1], 0, m.Stream([*steps, *[0] * 9])), steps
    # With δ = 0 there is nothing to branch on, and no multiplier.
    assert rejected(m, m.TreeBound, Stub(1, (1, 1), 0), [1], 0, m.Stream([1, 0, 0, 0, 0]))
    # After a subtree its points are free again.
    stream = [1, 0, 1, 2, 0, ONE, 0, ONE, 0, ONE, 0, 0, 1, 2, 0, 0, 0, ONE, 0, 0, 0, 0, 0, 0, 0]
    steps = m.Stream(stream)
    assert len(m.TreeBound(Stub(3, (1, 0), 0), [1, -1, 1], 0, steps).leaves) == 5
    return


def tree_bounds(m):
    """κ(m) of leaves that are given, over cells of masses, against the sum in decimals."""
    seen = []
    for g, slopes, beta, stream in (
        ((1, -1, 2, 0), (1, 0), 0.5, [1, 2, 0, 5, ONE + 5, 1, 0, 0, ONE, 7, -9, 0, -3, 11, -1, 0, 5, 6]),
        ((3, 2), (1, 0), 0.0, [0, 0, 0, 0]), ((1, 5), (1, -1), 2.0, [0, 0, 9, ONE]),
        ((1, 0), (1, 0), 0.0, [1, 0, 0, ONE, 0, -ONE, 0, 0]), ((0, 0), (1, 0), 1.0, [0, 0]),
        ((3, -5), (-1, 2), 0.5, [0, 7, 0, 9]),
    ):  # fmt: skip
        for count in (1, 2):
            stub = Stub(len(g), slopes, beta, count)
            tree = m.TreeBound(stub, list(g), -3, m.Stream(stream))
            delta = abs(slopes[0] - slopes[1])
            cells = [[[Fraction(int(c == v)) for c in range(count)] for v in range(count)]]
            if count == 2:
                cells.append([[Fraction(1, 4), Fraction(3, 4)], [Fraction(2, 3), Fraction(1, 3)]])
            for vertices in cells:
                for total in (Fraction(1, 7), Fraction(10**9), Fraction(1, 10**12)):
                    ends = [[total * v for v in vertex] for vertex in vertices]
                    value = Decimal(0)
                    for leaf in tree.leaves:
                        bound = root(max(inner(leaf.squares, end) for end in ends) + leaf.bias)
                        for i in leaf.undecided:
                            own = max(inner(stub.own(i), end) for end in ends)
                            bound += decimal(delta * Fraction(abs(g[i]), 16)) * root(own + Fraction(beta) ** 2)
                        value = max(value, bound)
                    exact = Fraction(int(value * 10**50), 10**50)
                    if not exact:
                        assert tree.below(Fraction(1, 10**20), vertices, total)
                        continue
                    assert tree.below(exact * (1 + TINY), vertices, total), (g, count)
                    assert not tree.below(exact * (1 - TINY), vertices, total), (g, count)
                    for limit in (Fraction(1, 10**9), Fraction(10**9), Fraction(1, 10**70), Fraction(10**70)):
                        assert tree.below(limit, vertices, total) == (exact < limit)
    for leaves, limit in (
        ([([], 4, 0)], 2), ([([], 4, 5)], 3), ([([0], 0, 1)], 2), ([([], 1, 0), ([], 9, 0), ([], 4, 3)], 3),
        ([([], 4, 0), ([], 0, 9)], 3), ([([0], 0, 0)], 1), ([([], 4, 3), ([], 4, 5), ([], 4, 4)], 3),
        ([([], 5, 4), ([], 4, 5)], 3), ([([0], 4, 0), ([], 4, 0)], 3),
    ):  # fmt: skip
        # Equality: κ = limit for m = 1, with u = 1.
        tree = m.TreeBound.__new__(m.TreeBound)
        tree.directions = SimpleNamespace(own=lambda i: [Fraction(1)])
        tree.problem = SimpleNamespace(beta=Fraction(0))
        tree.leaves = [m.Leaf(undecided, [Fraction(square)], Fraction(bias)) for undecided, square, bias in leaves]
        tree.weights, tree.unit, tree.reach = {0: Fraction(1)}, -90, [(0, [1 << 90])]
        rows = [([m.up(v, -90) for v in one.squares], m.up(one.bias, -90), one.undecided) for one in tree.leaves]
        tree.table = tree._largest(rows)
        seen.append(tree.table)
        tree.sets, tree.joined = [1], (tree.table, tree.reach)
        one = [[Fraction(1)]]
        assert tree.below(Fraction(limit), one, Fraction(1)) and tree.below_at(Fraction(limit), [1], one[0])
        for less in (80, 120):
            assert not tree.below(Fraction(limit) - Fraction(1, 2**less), one, Fraction(1))
            assert not tree.below_at(Fraction(limit) - Fraction(1, 2**less), [1], one[0])
    return seen


def tree_bounds_of_sets(m):
    """κ(m) where classes share a mass, against the sum in decimals."""
    seen = []
    for g, slopes, beta, stream in (
        ((1, -1, 2, 0), (1, 0), 0.5, [1, 2, 0, 5, ONE + 5, 1, 0, 0, ONE, 7, -9, 0, -3, 11, -1, 0, 5, 6]),
        ((3, 2), (1, 0), 0.0, [0, 0, 0, 0]), ((1, 5), (1, -1), 3.0, [0, 0, 9, ONE]),
        ((1, 0), (1, 0), 1.0, [1, 0, 0, ONE, 0, -ONE, 0, 0]),
    ):  # fmt: skip
        stub = Stub(len(g), slopes, beta, 3)
        # Not in the order of the classes.
        stub.own = lambda i: [Fraction(2 + i * c + (c != 1), 7) for c in range(3)]
        gamma = stub.gamma
        stub.gamma = lambda q, e, gamma=gamma: [gamma(q, e)[c] for c in (1, 2, 0)]
        tree = m.TreeBound(stub, list(g), -3, m.Stream(stream))
        delta = abs(slopes[0] - slopes[1])
        for sets in ([0b111], [0b101, 0b010], [0b010, 0b101], [0b100, 0b001, 0b010], [0b011, 0b100], [0b110, 0b001]):
            parts = [[c for c in range(3) if bits >> c & 1] for bits in sets]
            for scale in (Fraction(1, 7), Fraction(10**9), Fraction(1, 10**12)):
                masses = [scale * (k + 1) ** 3 for k in range(len(sets))]

                def most(squares, parts=parts, masses=masses):
                    return sum(mass * max(squares[c] for c in part) for mass, part in zip(masses, parts, strict=True))

                value = Decimal(0)
                for leaf in tree.leaves:
                    bound = root(most(leaf.squares) + leaf.bias)
                    for i in leaf.undecided:
                        own = most(stub.own(i)) + Fraction(beta) ** 2
                        bound += decimal(delta * Fraction(abs(g[i]), 16)) * root(own)
                    value = max(value, bound)
                exact = Fraction(int(value * 10**50), 10**50)
                assert tree.below_at(exact * (1 + TINY), sets, masses), (g, sets)
                assert not tree.below_at(exact * (1 - TINY), sets, masses), (g, sets)
                for limit in (Fraction(1, 10**9), Fraction(10**9), Fraction(1, 10**70), Fraction(10**70)):
                    assert tree.below_at(limit, sets, masses) == (exact < limit)
                seen += [*tree.joined, tree.held]
    return seen


# -- norms, ladders ----------------------------------------------------------------------------------------------------


def norms(m):
    for depth, slopes, beta, size, points in (
        (3, (1.0, 0.0), 0.0, 2, 3), (3, (1.0, -2.0), 0.5, Fraction(1, 3), 1), (4, (1.0, 0.0), 1.0, 1, Fraction(5, 2)),
        (5, (-0.5, 0.25), 2.0, 1, 1), (6, (1.0, 1.0), 0.25, 3, Fraction(1, 8)), (4, (1.0, 0.0), 2.0, 1, 0), (4, (0.0, 0.0), 1.0, 1, 1),
        (3, (1.0, 0.0), 1.0, 0, 1), (4, (1.0, 0.0), 1.0, 1, Fraction(1, 100)),
    ):  # fmt: skip
        made = problem(m, [[1.0]] * 3, [[0.0]] * 3, slopes=slopes, beta=beta, depth=depth)
        bound = m.NormBound(made, Fraction(size), Fraction(points))
        R, k, first, bias = max(map(abs, slopes)), depth - 2, Fraction(points) ** 2, 3 * Fraction(beta) ** 2
        R = Fraction(R)
        for S in (Fraction(1, 9), Fraction(2), Fraction(10**6)):
            tail = sum(((R * R * S / j) ** j if j else Fraction(1)) for j in range(k)) * bias
            value = tail + R ** (2 * k) * first * (S / k) ** k
            if first and R:
                shorter = sum(((R * R * S / j) ** j if j else Fraction(1)) for j in range(k - 1)) * bias
                value = min(value, shorter + R ** (2 * k) * first * ((S + bias / (R * R * first)) / k) ** k)
            value *= R * R * Fraction(size) ** 2
            exact = Fraction(int(root(value) * 10**50), 10**50)
            assert bound.below(exact * (1 + TINY) + Fraction(1, 10**40), [], S), (depth, slopes, beta, S)
            if exact:
                assert not bound.below(exact * (1 - TINY), [], S), (depth, slopes, beta, S)
            # No network does more: the recursion at equal and at unequal layers.
            for parts in (
                [S / k] * k,
                [S * 2 * (j + 1) / (k * (k + 1)) for j in range(k)],
                [S * 2 * (k - j) / (k * (k + 1)) for j in range(k)],
            ):
                square = first
                for a in parts:
                    square = a * R * R * square + bias
                assert square * R * R * Fraction(size) ** 2 <= value * (1 + TINY)
    return


def cells(m):
    def read(count, steps, splits=()):
        stream, rest = m.Stream(steps), iter(splits)
        found = list(m.read_cells(count, stream, rest))
        stream.end()
        assert next(rest, None) is None
        return found

    half, quarter = Fraction(1, 2), Fraction(1, 4)
    assert read(1, [0]) == [[[1]]] and read(2, [0]) == [[[1, 0], [0, 1]]]
    assert read(2, [1, 0, 1, 0, 0], [0.25]) == [
        [[Fraction(3, 4), quarter], [0, 1]],
        [[1, 0], [Fraction(3, 4), quarter]],
    ]
    assert read(2, [1, 1, 0, 0, 0], [0.25]) == [
        [[1, 0], [quarter, Fraction(3, 4)]],
        [[quarter, Fraction(3, 4)], [0, 1]],
    ]
    assert read(3, [1, 0, 2, 1, 0, 1, 0, 0, 0], [0.5, 0.25]) == [
        [[Fraction(3, 8), quarter, Fraction(3, 8)], [0, 1, 0], [0, 0, 1]],
        [[half, 0, half], [Fraction(3, 8), quarter, Fraction(3, 8)], [0, 0, 1]],
        [[1, 0, 0], [0, 1, 0], [half, 0, half]],
    ]
    assert read(2, [1, 0, 1, 0, 0], [0.0]) and read(2, [1, 0, 1, 0, 0], [1.0])
    for count, steps, splits in (
        (2, [1, 0, 0, 0, 0], [0.5]), (1, [1, 0, 0, 0, 0], [0.5]), (2, [1, 2, 0, 0, 0], [0.5]), (2, [1, 0, 2, 0, 0], [0.5]),
        (2, [1, 0, -1, 0, 0], [0.5]), (2, [1, 0, 1, 0, 0], [1.5]), (2, [1, 0, 1, 0, 0], [-0.5]), (2, [2], []), (2, [-1], []),
        (2, [1, 0, 1, 0, 0], [1.0000000001]), (2, [1, 0, 1, 0, 0], [-5e-324]),
    ):  # fmt: skip
        assert rejected(m, read, count, steps, splits), (steps, splits)
    tiny = 2.0**-1023
    deep = [1, 0, 1] * 2 + [0] * 3
    assert len(read(2, deep, [tiny, tiny])) == 3
    for count in (2, 3):  # of three fractions one is 0
        assert rejected(m, read, count, [1, 0, 1] * 3 + [0] * 4, [tiny, tiny, 2.0**-2])
    # The first vertex has the denominator 2^2047, which is the longest.
    assert len(read(2, [1, 0, 1] * 3 + [0] * 4, [tiny, tiny, 0.5])) == 4


class Bound:
    """A bound of κ that says yes, and writes down what it is asked for."""

    def __init__(self, answer=True):
        self.asked, self.answer = [], answer

    def below(self, limit, vertices, total):
        self.asked.append((limit, vertices, total))
        return self.answer


def ladders(m):
    """check_lower with bounds that are given: one point with the target 2, ψ_G(s) = 2sg − s²g²/4 − s²β²g²/(4λ)."""
    seen = []
    kept, made = m.read_bounds, problem(m, [[1.0]], [[2.0]], beta=1.0, lam=Fraction(1, 8))
    G = (1.0, 0.5)

    def psi(k, s):
        g = Fraction(G[k])
        return 2 * s * g - s * s * g * g / 4 - s * s * g * g * 2

    def claim(steps, scales, splits=(), value=1.0, bounds=None, items=("tree", "tree"), classes=2, G=G, rest=None):
        bounds = bounds or [Bound(), Bound()]
        given = []

        def stub(problem, lower, items, duals, arrays):
            given.append((lower, items, duals))
            return bounds

        m.read_bounds = stub
        try:
            arrays = {
                "G": array("d", G),
                "cells": array("q", steps),
                "scales": array("d", scales),
                "splits": array("d", splits),
            }
            proof = {
                "value": value,
                "coordinates": False,
                "classes": classes,
                "items": list(items) if isinstance(items, tuple) else items,
            }
            found = m.check_lower(rest or made, proof, arrays)
            assert not arrays
            return found, bounds, given
        finally:
            m.read_bounds = kept

    s = [0.25, 0.4]
    value = float(psi(0, Fraction(0.25)))
    found, bounds, given = claim([0, 2, 1, 0], [s[1], s[0]], value=value * 0.999)
    assert found == value * 0.999
    assert given == [({"coordinates": False, "classes": 2}, ["tree", "tree"], [([[1]], 0), ([[1]], -1)])]
    totals = [8 * Fraction(found), 8 * (Fraction(found) - psi(1, Fraction(s[1])))]
    for bound, total, scale in ((bounds[1], totals[0], s[1]), (bounds[0], totals[1], s[0])):
        ((limit, vertices, most),) = bound.asked
        assert limit == Fraction(1, 4) / Fraction(scale) and vertices == [[1, 0], [0, 1]]
        assert total <= most <= total * (1 + Fraction(1, 2**90))
    # Equality at the last step; a unit more is too early.
    assert claim([0, 1, 0], [0.25], value=value)[0] == value
    assert rejected(m, claim, [0, 1, 0], [0.25], (), value * (1 + 2.0**-50))
    assert rejected(m, claim, [0, 1, 0], [0.25], (), value, [Bound(False), Bound()])
    assert rejected(m, claim, [0, 2, 0, 1], [0.25, 0.0], (), value)  # a step after the last
    assert rejected(m, claim, [0, 2, 0, 0], [-0.25, 0.25], (), value) and rejected(
        m, claim, [0, 1, 2], [0.25], (), value
    )
    assert rejected(m, claim, [0, 1, -1], [0.25], (), value) and rejected(m, claim, [0, 1, 0], [0.25, 0.25], (), value)
    assert rejected(m, claim, [0, 1, 0, 0], [0.25], (), value) and rejected(m, claim, [0, 1, 0], [0.25], (0.5,), value)
    assert rejected(m, claim, [0, 0], [], (), value) and rejected(m, claim, [0, -1], [], (), value)
    # The scale 0 asks for nothing and gains nothing.
    silent = [Bound(False), Bound()]
    found = claim([0, 3, 0, 1, 1], [0.0, 0.0, 0.4], (), float(psi(1, Fraction(0.4))) * 0.5, silent)
    assert found[0] and not silent[0].asked and len(silent[1].asked) == 1
    for low in (0.0, -3.0):
        assert claim([0, 0], [], value=low)[0] == low
        assert rejected(m, claim, [0, 1, 0], [0.25], (), low)
    # Two cells: both from the top.
    found, bounds, _ = claim([1, 0, 1, 0, 1, 0, 0, 1, 0], [0.25, 0.25], [0.5], value)
    assert [vertices for _, vertices, _ in bounds[0].asked] == [
        [[Fraction(1, 2)] * 2, [0, 1]],
        [[1, 0], [Fraction(1, 2)] * 2],
    ]
    assert bounds[0].asked[0][2] == bounds[0].asked[1][2]
    assert rejected(m, claim, [1, 0, 1, 0, 1, 0, 0, 0], [0.25], [0.5], value)
    # Without trees there is one mass.
    assert claim([0, 1, 0], [0.25], (), value, None, ("norm", "norm"), 1)[1][0].asked[0][1] == [[1]]
    assert rejected(m, claim, [1, 0, 1, 0, 1, 0, 0, 1, 0], [0.25, 0.25], [0.5], value, None, ("norm", "norm"), 1)
    for items in ("tree", ("norm",), ("norm",) * 3, ("norm", "other"), ("norm", ["tree"]), {"norm": 0, "tree": 0}):
        assert rejected(m, claim, [0, 1, 0], [0.25], (), value, None, items), items
    for count in (0, 4097):
        assert rejected(m, claim, [0, 1, 0], [0.25], (), value, [Bound()] * count, ("norm",) * count, 1, (1.0,) * count)
    many = [Bound()] * 4096
    assert claim([0, 1, 0], [0.25], (), value, many, ("norm",) * 4096, 1, (1.0,) * 4096)[0] == value
    assert rejected(m, claim, [0, 1, 0], [0.25], (), "1") and m.read_bounds is kept
    # For the cross-entropy the last row of G is what makes columns 0.
    three = problem(m, [[1.0]], [[1.0, 0.0, 1.0]], "cross_entropy")
    given = claim([0, 0], [], (), -1.0, None, ("norm",), 1, (0.5, 1.0, 9.0), three)[2]
    assert given[0][2] == [([[1], [2], [-3]], -1)]
    return seen


class AtPoint(Bound):
    """The same for masses of sets."""

    def below_at(self, limit, sets, masses):
        self.asked.append((limit, sets, masses))
        return self.answer


def boxes(m):
    """check_boxes with bounds that are given: one point with the target 2, ψ_G(s) = 2sg − s²g²/4 − s²β²g²/(4λ), λ = 1/8."""
    made = problem(m, [[1.0]], [[2.0]], beta=1.0, lam=Fraction(1, 8))
    duals = [([[1]], 0), ([[1]], -1)]

    def psi(k, s):
        g = Fraction(1, 1 + k)
        return 2 * s * g - s * s * g * g / 4 - s * s * g * g * 2

    def claim(target, steps, scales=(), splits=(), masses=(), count=3, answers=(True, True)):
        bounds = [AtPoint(answer) for answer in answers]
        arrays = {"boxes": array("q", steps), "scales": array("d", scales), "splits": array("d", splits)}
        arrays["masses"] = array("d", masses)
        m.check_boxes(made, Fraction(target), "tree", count, bounds, duals, arrays)
        assert not arrays
        return [one.asked for one in bounds]

    # λ·min(0, 2h − h²/m') + ψ(s) ≥ T, h = 8T/3; with m' = h/2 both ends give 0.
    s = Fraction(1, 4)
    target = psi(0, s)
    h = 8 * target / 3
    (asked, _) = claim(target, [0, 0], [s], (), [1.0])
    assert asked == [(Fraction(1), [7], [1])] and h / 2 < 1
    assert claim(target, [0, 0], [s], (), [float(h) * 0.5 * (1 + 2.0**-40)])[0]
    assert rejected(m, claim, target, [0, 0], [s], (), [float(h) * 0.5 * (1 - 2.0**-40)])
    assert rejected(m, claim, target + Fraction(1, 2**60), [0, 0], [s], (), [1.0])
    assert rejected(m, claim, target, [0, 0], [s], (), [1.0], 3, (False, True))
    assert rejected(m, claim, target, [0, 1], [s], (), [1.0]) and rejected(m, claim, target, [0, 2], [s], (), [1.0])
    assert rejected(m, claim, target, [0, 0], [-s], (), [1.0]) and rejected(m, claim, target, [0, 0], [s], (), [0.0])
    assert (
        rejected(m, claim, target, [0, 0], [s], (), [-1.0])
        and rejected(m, claim, target, [4])
        and rejected(m, claim, target, [3])
    )
    # A scale of 0 asks for nothing; at a target of 0 nothing is left.
    assert claim(0, [0, 0], [0.0], (), [1.0], 3, (False, False)) == [[], []] and claim(0, [3]) == claim(-1, [3])
    # In an empty box, numbers need not prove anything, but are read.
    assert claim(0, [1, 0, 0, 1, 3], [s], [-1.0], [1.0], 3, (False, False)) == [[], []]
    assert claim(target, [1, 0, 3, 0, 0], [s], [-1.0], [1.0])[0]
    assert rejected(m, claim, target, [2, 0, 5, 0, 0], [s], (), [1.0, -1.0])
    # inf C is not 0 with labels ½, ½.
    soft, no = problem(m, [[1.0]], [[0.5, 0.5]], "cross_entropy"), array("d")
    for value, right in ((0.693, True), (0.694, False)):
        arrays = {"boxes": array("q", [3]), "scales": no, "splits": no, "masses": no}
        assert rejected(m, m.check_boxes, soft, Fraction(value), "tree", 1, [], [([[1], [-1]], 0)], arrays) == (
            not right
        )
    # What is left over.
    for more in ({"steps": [0, 0, 3]}, {"scales": [s, s]}, {"splits": [1.0]}, {"masses": [1.0, 1.0]}):
        assert rejected(m, lambda more=more: claim(target, **{"steps": [0, 0], "scales": [s], "masses": [1.0], **more}))
    # Beyond h nothing is left to prove: the lower part first.
    t = float(h) * (1 + 2.0**-40)
    assert claim(target, [1, 0, 0, 0, 3], [s], [t], [1.0])[0]
    assert rejected(m, claim, target, [1, 0, 3, 0, 0], [s], [t], [1.0])
    assert rejected(m, claim, target, [1, 0, 0, 0, 3], [s], [float(h) * (1 - 2.0**-40)], [1.0])
    assert rejected(m, claim, target, [1, 1, 0, 0, 3], [s], [t], [1.0])
    # Divisions, and which set is where.
    asked = claim(target, [2, 0, 5, 2, 0, 4, 0, 0], [s], (), [1.0, 2.0, 3.0])[0]
    assert asked == [(Fraction(1), [4, 2, 1], [1, 2, 3])]
    box = m.Box([5, 8], [Fraction(1), Fraction(2)], [Fraction(3), Fraction(4)], [(13, Fraction(3), Fraction(7))])
    for a, part, sets, low, high, last in (
        (0, 1, [1, 8, 4], [0, 2, 0], [3, 4, 3], (5, 1, 3)), (0, 4, [4, 8, 1], [0, 2, 0], [3, 4, 3], (5, 1, 3)),
    ):  # fmt: skip
        parts = box.divided(a, part, box.sets[a] & ~part)
        assert (parts.sets, parts.low, parts.high, parts.sums) == (sets, low, high, [(13, 3, 7), last])
    for a, part in ((0, 0), (0, 2), (0, 3), (0, 5), (0, -1), (1, 8), (1, 1)):
        assert rejected(m, box.divided, a, part, 1), part
    for part in (0, 7, 8, -1, 15, 1 << 40):
        assert rejected(m, claim, target, [2, 0, part, 0, 0], [s], (), [1.0, 1.0])
    assert rejected(m, claim, target, [2, 0, 5, 2, 1, 2, 0, 0], [s], (), [1.0] * 3) and rejected(
        m, claim, target, [2, 1, 1, 0, 0]
    )
    assert (
        claim(target, [2, 0, 5, 1, 1, 0, 0, 0, 0], [s, s], [0.1], [1.0] * 4)[0] == [(Fraction(1), [5, 2], [1, 1])] * 2
    )
    seen = []
    F = Fraction
    for sets, low, high, sums in (
        ([1, 2, 4], [0, 1, 0], [9, 2, 3], [(7, F(4), F(5)), (3, F(3), F(8))]),
        ([1, 2, 4], [0, 0, 0], [9, 9, 9], [(7, F(20), F(21)), (5, F(1), F(3))]),
        ([4, 3], [2, 3], [9, 9], [(7, F(0), F(4))]), ([8], [0], [1], [(8, F(1, 3), F(2, 3))]),
        ([1, 2], [0, 0], [2**-1000, 1], [(3, F(1), F(1))]),
        ([1, 2, 4, 8], [0, 1, 0, 2], [4, 5, 6, 7], [(15, F(9), F(10)), (6, F(2), F(3)), (9, F(3), F(4)), (14, F(5), F(6))]),
    ):  # fmt: skip
        box = m.Box(sets, [F(v) for v in low], [F(v) for v in high], sums)
        old = list(box.low), list(box.high)
        box.tighten()
        grid = [[F(k, 2) for k in range(int(2 * a), int(2 * b) + 1)] for a, b in zip(*old, strict=True)]
        inside = [
            x for x in product(*grid)
            if all(least <= sum(v for v, part in zip(x, sets, strict=True) if part & ~bits == 0) <= most for bits, least, most in sums)
        ] if len(sets) < 4 else []  # fmt: skip
        assert all(a <= v <= b for x in inside for v, a, b in zip(x, box.low, box.high, strict=True))
        point = [F(k + 2, 3) for k in range(len(sets))]
        exact = sum(
            min(2 * a - a * a / at, 2 * b - b * b / at) for a, b, at in zip(box.low, box.high, point, strict=True)
        )
        assert exact - abs(exact) / 2**80 - F(1, 2**80) <= box.pays(point, [F(0)] * len(point)) <= exact
        seen += [box.low, box.high, box.empty, box.held, box.pays(point, [F(0)] * len(point))]
    assert seen[:3] == [[1, 1, 0], [4, 2, 3], False]
    assert m.Box([1], [F(1)], [F(1)], []).empty is False and m.Box([1, 2], [F(0), F(2)], [F(1), F(1)], []).empty is True
    return seen


def reading(m):
    """read_bounds: in which order things are read, and who may use trees."""
    names = ("Directions", "TreeBound", "NormBound", "_operator_norm")
    kept = {name: getattr(m, name) for name in names}

    def read(depth, width, items, lower, **arrays):
        calls = []

        def norm(A, e, stream, norms):
            calls.append(("norm", A, e, stream.take()))
            return next(norms)

        m.Directions = lambda problem, lower, arrays: calls.append(("directions", lower)) or "directions"
        m.TreeBound = lambda directions, g, e, stream: calls.append(("tree", directions, g, e, stream.take())) or "tree"
        m.NormBound = lambda problem, size, points: ("norm", size, points)
        m._operator_norm = norm
        try:
            made = problem(m, [[3.0], [5.0]], [[0.0] * width] * 2, depth=depth)
            duals = [([[10 * k + 1, 10 * k + 2]] * width, -k) for k in range(len(items))]
            found = m.read_bounds(made, lower, items, duals, arrays)
            assert not arrays
            return found, calls
        finally:
            for name, value in kept.items():
                setattr(m, name, value)

    plain = {"coordinates": False, "classes": 1}
    q, d = functools.partial(array, "q"), functools.partial(array, "d")
    found, calls = read(
        3,
        1,
        ["norm", "tree", "norm", "tree"],
        {"x": 1},
        trees=q([7, 8]),
        norms=d([1.0, 2.0, 3.0]),
        factors=q([4, 5, 6]),
    )
    assert found == [("norm", 2.0, 1.0), "tree", ("norm", 3.0, 1.0), "tree"]
    assert calls == [
        ("directions", {"x": 1}), ("norm", [[3], [5]], 0, 4), ("norm", [[1, 2]], 0, 5), ("tree", "directions", [11, 12], -1, 7),
        ("norm", [[21, 22]], -2, 6), ("tree", "directions", [31, 32], -3, 8),
    ]  # fmt: skip
    assert read(3, 1, ["tree"], plain, trees=q([1]))[0] == ["tree"] and read(
        4, 2, ["norm"], plain, norms=d([1, 1]), factors=q([1, 1])
    )
    for depth, width in ((4, 1), (3, 2)):
        assert rejected(m, lambda depth=depth, width=width: read(depth, width, ["tree"], plain, trees=q([1])))
    for lower in ({"coordinates": True, "classes": 1}, {"coordinates": False, "classes": 2}):
        assert rejected(m, lambda lower=lower: read(3, 1, ["norm"], lower, norms=d([1, 1]), factors=q([1, 1])))
    assert rejected(m, lambda: read(3, 1, ["tree"], plain, trees=q([1, 1])))
    assert rejected(m, lambda: read(3, 1, ["norm"], plain, norms=d([1, 1, 1]), factors=q([1, 1])))
    assert rejected(m, lambda: read(3, 1, ["norm"], plain, norms=d([1, 1]), factors=q([1, 1, 1])))


# -- patterns ----------------------------------------------------------------------------------------------------------


def largest_ratio(B, G) -> Decimal:
    """max tᵀBt/tᵀGt over t ≥ 0 for one or two rays: at an end or a stationary point."""
    ends = [decimal(Fraction(B[k][k]) / G[k][k]) for k in range(len(B))]
    if len(B) == 2:
        # Roots of det(B − μG), with an eigenvector of positive entries.
        a = G[0][0] * G[1][1] - G[0][1] ** 2
        b = B[0][0] * G[1][1] + B[1][1] * G[0][0] - 2 * B[0][1] * G[0][1]
        c = B[0][0] * B[1][1] - B[0][1] ** 2
        mu = (decimal(b) + root(max(b * b - 4 * a * c, 0))) / decimal(2 * a)
        # (B₀₀ − μG₀₀)t₀ + (B₀₁ − μG₀₁)t₁ = 0 with B₀₀ ≤ μG₀₀.
        if decimal(B[0][1]) > mu * decimal(G[0][1]):
            ends.append(mu)
    return max(ends)


def gammas(m):
    """Γ(n') of q's that are given, against the largest ratio of quadratic forms on each cone."""
    seen = []
    for number, given in enumerate(COVERS):
        points, stretch, residuals, cones, _ = by_hand(number)
        slopes = [Fraction(v) for v in given.get("slopes", (1.0, 0.0))]
        delta, lipschitz = abs(slopes[0] - slopes[1]), max(map(abs, slopes))
        for rows, e, f in ((given["qs"][:1], 2, 0), (given["qs"], -1, -3), ([(0,) * len(points)], 0, 1)):
            found = directions(m, given)
            G = [3 * k - 2 for k in range(len(points))]
            bound = m.PatternBound(found, G, e, [list(q) for q in rows], f)
            unit = Fraction(2) ** f
            masses = [Fraction(k + 1, 4) for k in range(len(rows))]
            best = Decimal(0)
            for rays, simplex in zip(cones, found.simplices, strict=True):
                r = len(rays)
                F, E = [], []
                for place, ray in enumerate(rays):
                    z = [inner(x, ray) for x in points]
                    F.append([unit * sum(w * sigma(slopes, v) for w, v in zip(q, z, strict=True)) for q in rows])
                    # How far the linear piece lies below relu, as `covers` has checked it.
                    off = {
                        i: v * Fraction(2) ** found.x
                        for i, v in zip(simplex.crossing, simplex.below[place], strict=True)
                    }
                    E.append([unit * delta * sum((abs(q[i]) * v for i, v in off.items()), Fraction(0)) for q in rows])
                form = [[sum((n * (u * v + abs(u) * b + a * abs(v) + a * b)
                              for n, u, v, a, b in zip(masses, F[j], F[k], E[j], E[k], strict=True)), Fraction(0))
                         for k in range(r)] for j in range(r)]  # fmt: skip
                gram = [[inner(a, b) for b in rays] for a in rays]
                if r < 3:
                    best = max(best, largest_ratio(form, gram))
            off = [sum((abs(v) * size for v, size in zip(q, residuals, strict=True)), Decimal(0)) for q in rows]
            far = sum((decimal(n) * (v * decimal(unit)) ** 2 for n, v in zip(masses, off, strict=True)), Decimal(0))
            value = PRECISE.sqrt(best) * stretch + PRECISE.sqrt(far) * decimal(lipschitz)
            exact = Fraction(int(value * 10**50), 10**50)
            sets = [1] * len(rows)
            if exact and len(cones[0]) < 3:
                assert bound.below_at(exact * (1 + TINY), sets, masses), number
                assert not bound.below_at(exact * (1 - TINY), sets, masses), number
            else:
                low, high = Fraction(0), Fraction(1000)
                for _ in range(30):
                    middle = (low + high) / 2
                    low, high = (low, middle) if bound.below_at(middle, sets, masses) else (middle, high)
                seen.append(high)
            assert bound.below_at(Fraction(10**40), sets, masses) and not bound.below_at(Fraction(0), sets, masses)
            assert bound.bias(masses) == sum(n * (unit * sum(q)) ** 2 for n, q in zip(masses, rows, strict=True))
            N, few = len(points), [Fraction(k + 1, 7) for k in range(len(points))]
            masks = [m.pattern_mask(i, N) for i in range(N + 1)]
            for start in range(4):
                whole = (1 << (2 << N)) - 1
                side = ~masks[N] & whole if start > 1 else masks[N]
                cut = masks[0] if start & 2 else ~masks[1 % N]
                sets = [(side if k + start & 1 else whole) & cut for k in range(len(rows))]
                taus = []
                for bits, q in zip(sets, rows, strict=True):
                    tau = Fraction(0)
                    for i, v in enumerate(q):
                        over = Fraction(0)
                        for pattern in range(2 << N):
                            if bits >> pattern & 1:
                                g = Fraction(2) ** e * G[i] * (1 if pattern >> N & 1 else -1)
                                up = pattern >> i & 1
                                over = max(over, g * slopes[0] - v * unit if up else v * unit - g * slopes[1])
                        tau += over * few[i]
                    taus.append(tau)
                got = bound.excess(sets, masks, few)
                assert all(a <= b <= a * (1 + TINY) for a, b in zip(taus, got, strict=True)) and len(got) == len(taus)
            assert rejected(m, bound.excess, sets * 2, masks, few) and rejected(m, bound.excess, [], masks, few)
            seen += [bound.features, bound.errors, bound.unit, bound.sums, bound.gaps]
    return seen


def forms(m):
    """What is copositive by the rule of DEEP.md."""
    for S, right in (
        ([[0]], True), ([[-1]], False), ([[3]], True), ([[0, -1], [-1, 5]], False), ([[5, -1], [-1, 0]], False),
        ([[1, -1], [-1, 1]], True), ([[1, -2], [-2, 1]], False), ([[0, 0], [0, 0]], True), ([[0, 7], [7, 0]], True),
        ([[4, -2, 3], [-2, 1, 0], [3, 0, 0]], True), ([[1, -1, 0], [-1, 1, -1], [0, -1, 1]], False),
        ([[2, -1, -1], [-1, 2, -1], [-1, -1, 2]], True), ([[2, -1, -1], [-1, 2, -1], [-1, -1, 1]], False),
        ([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]], True), ([[1, -1, -1], [-1, 1, -5], [-1, -5, 1]], False),
        ([[3, 1, -1], [1, 3, -1], [-1, -1, 1]], True), ([[3, -1, 2], [-1, 1, -1], [2, -1, 0]], False),
        ([[-1, 5, 5], [5, 1, 5], [5, 5, 1]], False), ([[5, -3, 1, -1], [-3, 2, 4, 1], [1, 4, -1, 3], [-1, 1, 3, 9]], False),
        ([[4, -2, -2, -2], [-2, 2, 0, 0], [-2, 0, 3, 1], [-2, 0, 1, 9]], True),
        ([[9, -6, -3, -6], [-6, 5, 1, 3], [-3, 1, 3, 2], [-6, 3, 2, 6]], True),
        ([[9, -6, -3, -6], [-6, 5, 1, 3], [-3, 1, 3, 2], [-6, 3, 2, 5]], False),
        ([[9, -6, -3, -6], [-6, 5, 1, 3], [-3, 1, 2, 2], [-6, 3, 2, 6]], False),
        ([[9, -6, -3, -6], [-6, 4, -1, 3], [-3, -1, 3, 2], [-6, 3, 2, 5]], False),
    ):  # fmt: skip
        assert m.copositive(S) is right, S
    for N in (1, 2, 3):
        for i in range(N + 1):
            mask = m.pattern_mask(i, N)
            assert [mask >> p & 1 for p in range(4 << N)] == [p >> i & 1 and p < 2 << N for p in range(4 << N)]


def pattern_boxes(m):
    """check_boxes by patterns, with bounds that are given: one point x = 1.5 with the target 2, λ = 1/8."""
    return [pattern_boxes_of(m, beta, layers) for beta, layers in ((0.0, 3), (1.0, 2), (-0.5, 2))]


def pattern_boxes_of(m, beta, layers):
    made = problem(m, [[1.5]], [[2.0]], beta=beta, lam=Fraction(1, 8), slopes=(1.0, -2.0))
    square = Fraction(beta) ** 2
    asked = []

    class Given(m.PatternBound):
        def __init__(self, answer, taus, sums):
            self.answer, self.taus, self.total, self.rows = answer, taus, sums, [[0]] * len(taus)

        def excess(self, sets, masks, reach):
            asked.append((sets, masks, reach))
            return self.taus

        def bias(self, point):
            return self.total

        def below_at(self, limit, sets, masses):
            asked.append((limit, sets, masses))
            return self.answer

    def psi(s, total):
        return 2 * s - s * s / 4 - s * s * square * 2 - s * s * square * 2 * total

    def claim(target, steps, bounds, scales=(), splits=(), masses=()):
        arrays = {"boxes": array("q", steps), "scales": array("d", scales), "splits": array("d", splits)}
        arrays["masses"] = array("d", masses)
        m.check_boxes(made, Fraction(target), "pattern", 1, bounds, [([[1]], 0)] * len(bounds), arrays)
        assert not arrays
        return list(asked)

    s, total = Fraction(1, 8), Fraction(3)
    T = psi(s, total)
    cap = 8 * T / layers
    # n ≤ cap with m' = cap/2 pays nothing at both ends.
    half, free = float(cap) * 0.5 * (1 + 2.0**-40), [Fraction(0)]
    ok, no = Given(True, free, total), Given(False, free, total)
    calls = claim(T, [0, 0], [ok], [s], (), [half])
    sets, masks, reach = calls[-2]
    assert sets == [15] and masks == [10, 12] and calls[-1] == (2, [15], [Fraction(half)])
    assert len(reach) == 1 and near(reach[0], root(4 * (Fraction(9, 4) + square) * cap + square), Decimal("1e-20"))
    assert rejected(m, claim, T, [0, 0], [no], [s], (), [half])
    assert rejected(m, claim, T + Fraction(1, 2**60), [0, 0], [ok], [s], (), [half])
    assert rejected(m, claim, T, [0, 0], [ok], [s], (), [float(cap) * 0.5 * (1 - 2.0**-40)])
    assert rejected(m, claim, T, [0, 0], [Given(True, [Fraction(1, 10**6)], total)], [s], (), [half])
    assert rejected(m, claim, T, [0, 0], [Given(True, free, total + Fraction(1, 10**6))], [s], (), [half]) == (
        beta != 0
    )
    assert claim(0, [0, 0], [no], [0.0], (), [1.0]) and rejected(m, claim, T, [0, 0], [ok], [-s], (), [half])
    # λ(2n − n²/m') − s·τ·n: with n in [t, cap] and m' large the lower end t pays λ(2t − t²/m') − sτt.
    t, tau, far = Fraction(1, 4), Fraction(1, 8), float(2**20)
    paid = (2 * t - t * t / Fraction(far)) / 8 - s * tau * t
    lower = psi(s, total) + paid
    end, given = [1, 0, 3, 0, 0], [Given(True, [tau], total)]
    assert rejected(m, claim, lower, end, given, [s], [float(t)], [far])
    assert rejected(m, claim, lower, [1, 0, 0, 0, 0, 0], [*given], [s, s], [float(t)], [far, far])
    whole = [1, 0, 0, 0, 0, 1]
    pair = [Given(True, [Fraction(0)], Fraction(0)), Given(True, [tau], total)]
    near_zero, first = float(t) * 0.5 * (1 + 2.0**-40), Fraction(1, 4)
    low = min(psi(first, 0), lower)
    assert low == lower
    assert claim(lower * (1 - TINY), whole, pair, [first, s], [float(t)], [near_zero, far])
    assert rejected(m, claim, lower * (1 + TINY), whole, pair, [first, s], [float(t)], [near_zero, far])
    # Divisions: by z_0 and by v.
    two = [Given(True, free * 2, total)]
    assert claim(T * (1 - TINY), [2, 0, 0, 0, 0], two, [s], (), [half, half])[-1][1] == [10, 5]
    assert claim(T * (1 - TINY), [2, 0, 1, 0, 0], two, [s], (), [half, half])[-1][1] == [12, 3]
    three = [Given(True, free * 3, total)]
    assert claim(T * (1 - TINY), [2, 0, 1, 2, 1, 0, 0, 0], three, [s], (), [half] * 3)[-1][1] == [12, 2, 1]
    for steps in ([2, 0, 2, 0, 0], [2, 0, -1, 0, 0], [2, 1, 0, 0, 0], [2, 0, 1, 2, 0, 1, 0, 0]):
        assert rejected(
            m, claim, 0.5 * T, steps, two if len(steps) < 6 else three, [s], (), [half] * (2 + (len(steps) > 5))
        )
    return asked


def pattern_files(m):
    """read_bounds and check_lower for patterns: which numbers go where, and what is asked first."""
    made = problem(m, [[1.0, 2.0], [-1.0, 1.0]], [[1.0], [2.0]])
    kept = m.check_boxes

    def read(items=("pattern", "pattern"), problem=made, classes=1, G=(1.0, 2.0, 3.0, 4.0), more=(), **arrays):
        given = {"G": array("d", G), "cover": array("q", [0]), "classes": array("q", [0] * 4), "counts": array("q", [1, 2]),
                 "pulls": array("d", [0.5, 1.0, 2.0, 3.0, -4.0, 5.0]), "boxes": array("q")}  # fmt: skip
        given |= arrays
        calls = []
        m.check_boxes = lambda *call: calls.append(call)
        try:
            proof = {"value": 0.5, "coordinates": False, "classes": classes, "items": list(items)}
            m.check_lower(problem, proof, {k: v for k, v in given.items() if v is not None})
        finally:
            m.check_boxes = kept
        return calls[0]

    _, value, kind, count, bounds, duals, _ = read()
    assert (value, kind, count) == (Fraction(1, 2), "pattern", 1) and duals == [([[1, 2]], 0), ([[3, 4]], 0)]
    assert [[[v * Fraction(2) ** one.f for v in q] for q in one.rows] for one in bounds] == [
        [[Fraction(1, 2), 1]],
        [[2, 3], [-4, 5]],
    ]
    q, d = functools.partial(array, "q"), functools.partial(array, "d")
    for wrong in (
        {"items": ("pattern", "tree")}, {"items": ("norm", "pattern")}, {"classes": 2, "classes_": 0}, {"boxes": None},
        {"counts": q([3])},
        {"counts": q([1])}, {"counts": q([1, 2, 1])}, {"counts": q([0, 3])}, {"counts": q([2, 2])}, {"counts": q([3, -1])},
        {"pulls": d([1.0] * 5)}, {"pulls": d([1.0] * 7)}, {"counts": q([1, 63]), "pulls": d([1.0] * 128)},
    ):  # fmt: skip
        wrong.pop("classes_", None)
        assert rejected(m, lambda wrong=wrong: read(**wrong)), wrong
    assert read(counts=q([1, 62]), pulls=d([1.0] * 126))
    for N, right in ((m.PATTERN_POINTS, True), (m.PATTERN_POINTS + 1, False)):
        many = problem(m, [[1.0, 0.0]] * N, [[1.0]] * N)
        arrays = {"G": [1.0] * N, "counts": q([1]), "pulls": d([1.0] * N)}
        assert rejected(m, lambda many=many, arrays=arrays: read(("pattern",), many, **arrays)) == (not right)
    assert m.PATTERN_POINTS == 10
    for depth, Y in ((4, [[1.0]]), (3, [[1.0, 1.0]])):
        other = problem(m, [[1.0, 2.0]], Y, depth=depth)
        G = [1.0] * len(Y[0])
        assert rejected(m, lambda other=other, G=G: read(("pattern",), other, G=G, counts=q([1]), pulls=d([1.0])))
    return [[one.features, one.f, one.gaps] for one in bounds]


# -- classes of top neurons --------------------------------------------------------------------------------------------


def two_trees(G, slopes, branch):
    """(stream, leaves): trees for G and −G that branch on the first point they can, if `branch`; leaves: (side, signs, q, c)."""
    stream, leaves = [], []
    delta = Fraction(slopes[0]) - Fraction(slopes[1])
    for side in (1, -1):
        kappa = [delta * side * v for v in G]
        first = next((i for i, v in enumerate(kappa) if v > 0), None) if branch else None
        for sign in (0,) if first is None else (1, -1):
            stream += [1, first] * (sign > 0) + [0]
            q, c, signs = [], [], [0] * len(G)
            for i, (v, k) in enumerate(zip(G, kappa, strict=True)):
                T, more = Fraction(0), Fraction(0)
                if i == first:
                    signs[i] = sign
                if k > 0 and i != first:
                    T, more = Fraction(1, 2), k / 2
                elif k:
                    step = {0: ONE // 3 + i, 1: ONE + 7 * i + 5, -1: -3 - i}[sign if i == first else 0]
                    stream.append(step)
                    T = Fraction(step, ONE)
                q.append(Fraction(slopes[1]) * side * v + k * T)
                c.append(more)
            leaves.append((side, signs, q, c))
    return stream, leaves


@functools.cache
def tops_by_hand(number, e, branch):
    """(stream, leaves, cases): the trees of G = (−2, 1, 4, …)·2**e, and (sets, masses, Γ, Σ of the biases) of classes."""
    given = COVERS[number]
    points, stretch, residuals, cones, _ = by_hand(number)
    slopes, beta = [Fraction(v) for v in given.get("slopes", (1.0, 0.0))], Fraction(given.get("beta", 0.0))
    N, delta, lipschitz = len(points), slopes[0] - slopes[1], max(map(abs, slopes))
    G = [(3 * k - 2) * Fraction(2) ** e for k in range(N)]
    stream, leaves = two_trees(G, slopes, branch)
    whole = (4 << 2 * N) - 1
    first = next((i for i in range(N) if delta * G[i] > 0), 0)
    found = []
    for sets in ([whole], [whole & ~(2 << 2 * N), whole & ~(1 << 2 * N)],
                 [whole & ~(2 << 2 * first), whole & ~(1 << 2 * first) & ~(1 << 2 * N)]):  # fmt: skip
        masses = [Fraction(2 * k + 3, 8) for k in range(len(sets))]
        mine = [
            [(q, c) for side, signs, q, c in leaves
             if bits >> 2 * N & (1 if side > 0 else 2)
             and all(not v or bits >> 2 * i & (1 if v > 0 else 2) for i, v in enumerate(signs))]
            for bits in sets
        ]  # fmt: skip
        best, far = Fraction(0), Decimal(0)
        for rays in cones:
            z = [[inner(x, ray) for ray in rays] for x in points]
            F = []
            for j in range(len(rays)):
                tops = [max(at_ray(q, c, z, j, rays, slopes) for q, c in chosen) for chosen in mine]
                square = sum((mass * top * top for mass, top in zip(masses, tops, strict=True)), Fraction(0))
                F.append(Fraction(int(root(square) * 10**45), 10**45))
            best = max(best, linear_maximum(rays, F))
        for mass, chosen in zip(masses, mine, strict=True):
            off = [
                sum((decimal(abs(u) + v) * size for u, v, size in zip(q, c, residuals, strict=True)), Decimal(0))
                for q, c in chosen
            ]
            far += decimal(mass) * max(off) ** 2
        value = root(best) * stretch + PRECISE.sqrt(far) * decimal(lipschitz)
        biases = [max((beta * (abs(sum(q)) + sum(c))) ** 2 for q, c in chosen) for chosen in mine]
        bias = sum((mass * one for mass, one in zip(masses, biases, strict=True)), Fraction(0))
        found.append((sets, masses, Fraction(int(value * 10**45), 10**45), bias))
    return stream, leaves, found


def top_bounds(m):
    """Γ(n') of trees, against the largest sums Σ t_jF_j on each cone."""
    seen, more = [], Fraction(1, 10**8)
    for number, given in enumerate(COVERS):
        for e, branch in ((2, True), (-3, True), (0, False)):
            steps, leaves, cases = tops_by_hand(number, e, branch)
            stream = m.Stream(steps)
            bound = m.TopBound(directions(m, given), [3 * k - 2 for k in range(len(given["X"]))], e, stream)
            stream.end()
            assert [bits for bits, _ in bound.leaves] == [m.possible(side, signs) for side, signs, _, _ in leaves]
            for sets, masses, limit, bias in cases:
                if limit:
                    assert bound.below_at(limit * (1 + more), sets, masses), (number, sets)
                    assert not bound.below_at(limit * (1 - Fraction(1, 10**15)), sets, masses), (number, sets)
                assert bound.below_at(Fraction(10**30), sets, masses) and not bound.below_at(Fraction(0), sets, masses)
                assert bound.bias(sets, masses) == bias
            seen += [[tops.rays, tops.crossed, tops.bias, tops.rest] for _, tops in bound.leaves]
    # |Σq| + Σc = 4½ + ½ where Σq < 0.
    shared = directions(m, {"X": [[1.0], [2.0]], "beta": 0.5, "cuts": [], "groups": [0] * 4, "count": 1})
    bound = m.TopBound(shared, [-5, 1], 0, m.Stream([0, ONE, 0, 0]))
    assert [tops.bias for _, tops in bound.leaves] == [Fraction(25, 4)] * 2
    # The second leaf has the larger residual: points of a₋ alone, and open ones, (δ/2 + a₋ + δ/2)/a₋ = 4 times as large.
    bound = m.TopBound(directions(m, COVERS[6]), [-1] * 3, 0, m.Stream([0] * 5))
    low, high = (tops.rest for _, tops in bound.leaves)
    assert bound.of(255).rest == high * high == 16 * low * low > 0
    # Γ = 1, proven up to a unit.
    single = directions(m, {"X": [[1.0]], "cuts": [], "groups": [0, 0], "count": 1})
    bound, unit = m.TopBound(single, [1], 0, m.Stream([0, 0, ONE])), Fraction(1, 2**88)
    assert bound.below_at(1 + unit, [15], [Fraction(1)]) and not bound.below_at(1 + unit / 2, [15], [Fraction(1)])
    # Γ = √2, and a number just below it.
    less = Fraction(int(root(Fraction(2)) * 2**56), 2**56) + Fraction(1, 2**80)
    assert less**2 < 2 and not bound.below_at(less, [15], [Fraction(2)])
    return seen


def at_ray(q, c, z, j, rays, slopes):
    """M at ray j of a cone: relu replaced by a linear piece below where that makes the sum larger."""
    values = []
    for sign in (1, -1):
        value = Fraction(0)
        for weight, extra, row in zip(q, c, z, strict=True):
            relu = max(row[j], Fraction(0))
            if (slopes[0] - slopes[1]) * sign * weight < 0 and min(row) < 0 < max(row):
                side = (
                    sum((decimal(v) / root(inner(ray, ray)) for v, ray in zip(row, rays, strict=True)), Decimal(0)) > 0
                )
                relu = row[j] if side else Fraction(0)
            value += sign * weight * (slopes[1] * row[j] + (slopes[0] - slopes[1]) * relu)
            value += extra * abs(sigma(slopes, row[j]))
        values.append(value)
    return max(values)


def top_boxes(m):
    """check_boxes by classes of top neurons, with bounds that are given: one point x = 1.5 with the target 2, λ = 1/8."""
    return [top_boxes_of(m, beta, layers) for beta, layers in ((0.0, 3), (1.0, 2), (-0.5, 2))]


def top_boxes_of(m, beta, layers):
    made = problem(m, [[1.5]], [[2.0]], beta=beta, lam=Fraction(1, 8))
    square = Fraction(beta) ** 2
    asked = []

    class Given(m.TopBound):
        def __init__(self, answer, total):
            self.answer, self.total = answer, total

        def bias(self, sets, point):
            asked.append((sets, point))
            return self.total

        def below_at(self, limit, sets, masses):
            asked.append((limit, sets, masses))
            return self.answer

    def claim(target, steps, bounds, scales=(), splits=(), masses=()):
        arrays = {"boxes": array("q", steps), "scales": array("d", scales), "splits": array("d", splits)}
        arrays["masses"] = array("d", masses)
        m.check_boxes(made, Fraction(target), "top", 1, bounds, [([[1]], 0)] * len(bounds), arrays)
        assert not arrays
        return list(asked)

    s, total = Fraction(1, 8), Fraction(3)
    T = 2 * s - s * s / 4 - 2 * s * s * square - 2 * s * s * total
    cap = 8 * T / layers
    half = float(cap) * 0.5 * (1 + 2.0**-40)
    ok, no = Given(True, total), Given(False, total)
    calls = claim(T, [0, 0], [ok], [s], (), [half])
    assert calls == [([15], [Fraction(half)]), (2, [15], [Fraction(half)])]
    assert rejected(m, claim, T, [0, 0], [no], [s], (), [half])
    assert rejected(m, claim, T + Fraction(1, 2**60), [0, 0], [ok], [s], (), [half])
    assert rejected(m, claim, T, [0, 0], [ok], [s], (), [float(cap) * 0.5 * (1 - 2.0**-40)])
    assert rejected(m, claim, T, [0, 0], [Given(True, total + Fraction(1, 10**6))], [s], (), [half])
    assert claim(0, [0, 0], [no], [0.0], (), [1.0]) and rejected(m, claim, T, [0, 0], [ok], [-s], (), [half])
    # Divisions: by z_0 and by v, each once.
    for steps, sets in (([0], [13, 14]), ([1], [7, 11])):
        assert claim(T * (1 - TINY), [2, 0, *steps, 0, 0], [ok], [s], (), [half] * 2)[-1][1] == sets
    calls = claim(T * (1 - TINY), [2, 0, 1, 2, 1, 0, 0, 0], [ok], [s], (), [half] * 3)
    assert calls[-1][1] == [7, 9, 10]
    for steps in (
        [2, 0, 2, 0, 0],
        [2, 0, -1, 0, 0],
        [2, 1, 0, 0, 0],
        [2, 0, 1, 2, 0, 1, 0, 0],
        [2, 0, 0, 2, 1, 0, 0, 0],
    ):
        assert rejected(m, claim, 0.5 * T, steps, [ok], [s], (), [half] * (2 + (len(steps) > 5)))
    return asked


def top_files(m):
    """read_bounds and check_lower for classes of top neurons: which numbers go where, and what is asked first."""
    made, kept = problem(m, [[1.0, 2.0], [-1.0, 1.0]], [[1.0], [2.0]]), m.check_boxes
    trees = [0, ONE, 0, ONE // 2, 0, 0, 5]

    def read(items=("top",), problem=made, classes=1, G=(1.0, -2.0), **arrays):
        given = {"G": array("d", G), "cover": array("q", [0]), "classes": array("q", [0] * 4), "boxes": array("q"),
                 "trees": array("q", [0, 7, 0, 9] * len(items))} | arrays  # fmt: skip
        calls = []
        m.check_boxes = lambda *call: calls.append(call)
        try:
            proof = {"value": 0.5, "coordinates": False, "classes": classes, "items": list(items)}
            m.check_lower(problem, proof, {k: v for k, v in given.items() if v is not None})
        finally:
            m.check_boxes = kept
        return calls[0]

    _, value, kind, count, bounds, duals, _ = read(("top", "top"), G=(1.0, -2.0, 3.0, -1.0))
    assert (value, kind, count) == (Fraction(1, 2), "top", 1) and duals == [([[1, -2]], 0), ([[3, -1]], 0)]
    assert [one.leaves[0][1].rays for one in bounds] and all(isinstance(one, m.TopBound) for one in bounds)
    q = functools.partial(array, "q")
    for wrong in (
        {"items": ("top", "tree"), "G": (1.0, -2.0) * 2}, {"items": ("norm", "top"), "G": (1.0, -2.0) * 2},
        {"items": ("top", "pattern"), "G": (1.0, -2.0) * 2}, {"classes": 2}, {"boxes": None}, {"trees": q([0, 7, 0, 9, 0])},
        {"trees": q([0, -1, 0, 9])}, {"trees": q(trees)},
    ):  # fmt: skip
        assert rejected(m, lambda wrong=wrong: read(**wrong)), wrong
    # Two points at most, one at most.
    for most in (2, 1):
        kept_points, m.TOP_POINTS = m.TOP_POINTS, most
        assert rejected(m, read) == (most < 2)
        m.TOP_POINTS = kept_points
    # Ladders, even of no steps: the loss is above −1.
    proof = {"value": -1.0, "coordinates": False, "classes": 1, "items": ["top"]}
    arrays = {"G": array("d", [1.0, -2.0]), "cover": q([0]), "classes": q([0] * 4), "trees": q([0, 7, 0, 9])}
    arrays |= {"cells": q([0, 0]), "scales": array("d"), "splits": array("d")}
    assert rejected(m, m.check_lower, made, proof, arrays)
    for depth, Y in ((4, [[1.0]]), (3, [[1.0, 1.0]])):
        other = problem(m, [[1.0, 2.0]], Y, depth=depth)
        G = [1.0] * len(Y[0])
        assert rejected(m, lambda other=other, G=G: read(("top",), other, G=G, trees=q([0, 0, 7])))
    assert [m.possible(1, [0, 1, -1]), m.possible(-1, []), m.possible(0, [1])] == [3 + 4 + 32 + 64, 2, 1 + 12]
    assert m.largest_squares([[1, 5, 0], [3, 2, 0]]) == [9, 25, 0]
    return [[one.f, one.full] for one in bounds]


# -- whole files -------------------------------------------------------------------------------------------------------


def by_norms() -> File:
    """One point x = 1 with the target 1 by a bound of norms: κ = √P, s = 2λ/√P = 2/√P; ψ(s) = 2·s·½ − s²/16."""
    file = File((1, 1, 1), Y=array("d", [1.0])).network([1, 1], (0.0,))
    file.header["upper"]["value"] = 1.0
    file.bound(["norm"], value=0.75, G=(0.5,)).norms(integers(0, 0, 0, 0), (1.0, 0.5))
    return file.ladder(integers(0, 1, 0), (1.0,))


def files(m):
    def says(header=None, arrays=None, change=lambda header: None):
        file = by_norms()
        file.header |= header or {}
        file.arrays |= arrays or {}
        change(file.header)
        content = written(file.header, {k: v for k, v in file.arrays.items() if v is not None}, MAGIC)
        try:
            return m.check(content)
        except m.Rejected as error:
            return str(error)

    def value(v):
        return lambda header: header["lower"].update(value=v)

    # κ(P) = ½√P ≤ 2/s: with s = 1, P_0 = 0.4375 gives κ < 2, ψ = ½ − 1/16.
    psi = 0.5 - 1 / 16
    good = says(change=value(psi))
    assert good["lower"] == psi and good["upper"] == 1.0 and good["kind"] == "deep_minimum" and good["depth"] == 3
    assert good["sha256"] == by_norms().header["problem"]["sha256"] and len(good) == 5
    assert "too early" in says(change=value(psi * (1 + 1e-15)))
    assert "cut off" in says({}, {"cells": integers(0)}, value(psi))
    assert says({"upper": None}, {"W1": None, "W2": None, "W3": None}, value(psi))["upper"] is None
    arrays = ("G", "norms", "factors", "cells", "scales", "splits")
    assert says({"lower": None}, dict.fromkeys(arrays))["lower"] is None
    weights = dict.fromkeys(("W1", "W2", "W3"))
    assert "claims nothing" in says({"lower": None, "upper": None}, dict.fromkeys(arrays) | weights)
    assert "prove nothing" in says({}, {"more": floats(1)}, value(psi)) and "unknown" in says({"claim": "minimum"})
    assert (
        "keys" in says({"more": 1})
        and "not a text" in says({"created_by": 1})
        and "unknown" in says({"claim": ["deep_minimum"]})
    )
    assert "trees alone" in says({}, {"cells": None, "boxes": integers(3), "masses": floats(0)}, value(0.0))
    assert "missing" in says({"lower": None}, weights | dict.fromkeys(arrays))
    return


def precisely(probe):
    """With as many digits as the probes ask for."""

    @functools.wraps(probe)
    def run(m):
        with localcontext(PRECISE):
            return probe(m)

    return run


PROBES = tuple(map(precisely, (
    limits, rationals, problems, networks, dual_values, adjugates, covers, wrong_covers, trees, wrong_trees, tree_bounds,
    tree_bounds_of_sets, norms, cells, ladders, boxes, reading, gammas, forms, pattern_boxes, pattern_files, top_bounds, top_boxes,
    top_files, files,
)))  # fmt: skip
