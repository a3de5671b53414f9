"""Quadratic forms of moments, computed here a second time from SPEC.md in rationals, for tests of mutants of the checker.

Each probe takes the module and raises if something is wrong.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
from checker_bounds import dual, exact, integers, problem_of, says, space_of


def power(e):
    return Fraction(2) ** e


def forms(points, lengths):
    """The rows of f in (ν, w, z), as rationals: ν, z + Xw, z − Xw, Rν − z."""
    N, n = len(points), len(points[0])
    rows = [[Fraction(1), *[Fraction(0)] * (n + N)]]
    for nu, x, z in ((0, 1, 1), (0, -1, 1), (1, 0, -1)):
        for i in range(N):
            row = [nu * lengths[i], *(x * v for v in points[i]), *[Fraction(0)] * N]
            row[1 + n + i] = Fraction(z)
            rows.append(row)
    return rows


def outer(S, a, b, weight):
    """S += weight·½(abᵀ + baᵀ)"""
    for i, j in product(range(len(S)), repeat=2):
        if (a[i] and b[j]) or (a[j] and b[i]):
            S[i][j] += weight * (a[i] * b[j] + a[j] * b[i]) / 2


def quadratic_form(points, lengths, weights, slopes, sign, cost, linear, products, cones):
    """S of SPEC.md, "Moments", as a dense matrix of rationals; weights (m, N)."""
    N, n = len(points), len(points[0])
    m = 0 if sign else len(weights)
    order = 1 + m + n + N
    plus, minus = slopes
    unit = [[Fraction(int(i == j)) for j in range(order)] for i in range(order)]

    def wide(row):
        return [row[0], *[Fraction(0)] * m, *row[1:]]

    f = [wide(row) for row in forms(points, lengths)]
    S = [[Fraction(0)] * order for _ in range(order)]
    for k in range(order):
        c = cost[0] if k == 0 else cost[1] if k <= m else cost[2] if k <= m + n else 0
        S[k][k] += c
    for j, row in enumerate(weights):
        v = [sign * e for e in unit[0]] if sign else unit[1 + j]
        for i, g in enumerate(row):
            value = [(plus + minus) / 2 * x for x in points[i]]
            h = [Fraction(0)] * (1 + m) + value + [(plus - minus) / 2 * int(k == i) for k in range(N)]
            outer(S, v, h, -g)
    for i, value in enumerate(linear):
        x = [Fraction(0)] * (1 + m) + list(points[i]) + [Fraction(0)] * N
        outer(S, unit[1 + m + n + i], unit[1 + m + n + i], value)
        outer(S, x, x, -value)
    for a, b, value in products:
        outer(S, f[a], f[b], -value)
    for a, alpha, beta in cones:
        outer(S, f[a], [alpha] + [Fraction(0)] * m + list(beta) + [Fraction(0)] * N, -1)
    return S


def in_region(S, points, signs):
    """S with z_i = s_i x_iᵀw put in where there is a sign: EᵀSE."""
    N, n = len(points), len(points[0])
    first = len(S) - N
    kept = [*range(first), *(first + i for i, s in enumerate(signs) if not s)]
    E = [[Fraction(int(row == column)) for column in kept] for row in range(len(S))]
    for i, s in enumerate(signs):
        if s:
            E[first + i] = [s * points[i][k - first + n] if first - n <= k < first else Fraction(0) for k in kept]
    image = [[sum(a * E[t][k] for t, a in enumerate(row) if a) for k in range(len(kept))] for row in S]
    return [
        [sum(E[t][j] * image[t][k] for t in range(len(S)) if E[t][j]) for k in range(len(kept))]
        for j in range(len(kept))
    ]


def semidefinite(S):
    """S ⪰ 0 by elimination in rationals."""
    S = [row[:] for row in S]
    for k in range(len(S)):
        if S[k][k] < 0 or (S[k][k] == 0 and any(S[k][k:])):
            return False
        for i in range(k + 1, len(S)):
            if S[i][k]:
                factor = S[i][k] / S[k][k]
                S[i][k:] = [a - factor * b for a, b in zip(S[i][k:], S[k][k:], strict=True)]
    return True


# -- probes ------------------------------------------------------------------------------------------------------------

POINTS = [[1.5, -0.25], [0.0, 3.0], [-40.0, 0.5], [0.0, 0.0]]


def shared_of(m, G, slopes=(1.0, -0.25), exponents=(0, 1, 5, 0)):
    problem = problem_of(m, POINTS, np.zeros((len(POINTS), len(G))), a=slopes)
    return problem, m.Moments(problem, space_of(m, problem), *dual(m, G), {"exponents": integers(exponents)})


def lanes(m):
    """Rows in one integer, and their sums."""
    rng = np.random.default_rng(5)
    for size, n in product((1, 3, 9), (1, 2, 5)):
        top = 1 << (8 * size - 1)
        rows = [[int(v * (top - 1)) // 4 for v in rng.uniform(-1, 1, n)] for _ in range(3)]
        rows.append([(top - 1) * (1 - 2 * (k % 2)) // 4 for k in range(n)])
        assert m.unpacked(sum(m.packed(row, size) for row in rows), n, size) == [
            sum(c) for c in zip(*rows, strict=True)
        ]
        for row in ([top - 1] * n, [-top] * n, [0] * n):
            assert m.unpacked(m.packed(row, size), n, size) == row
        assert m.packed([3] + [0] * (n - 1), size) == 3


def matrices(m):
    """4S over its unit, for one output of either sign and for two."""
    rng = np.random.default_rng(6)
    for G, slopes in (
        ([[0.5, -3.0, 0.125, 7.0]], (1.0, -0.25)),
        ([[1.0, 0.5, -2.0, 0.0], [0.0, -4.0, 0.3, 1.0]], (1.0, 0.0)),
    ):
        problem, shared = shared_of(m, G, slopes)
        p, k = shared.p, shared.k
        points = [[v * power(-p) for v in row] for row in shared.points]
        lengths = [v * power(-p) for v in shared.lengths]
        for x, row, e, R in zip(POINTS, points, (0, 1, 5, 0), lengths, strict=True):
            assert [Fraction(v) * power(-e) for v in x] == row
            square = sum(v * v for v in row)
            assert square <= R * R and (R == 0 or (R - power(-p)) ** 2 < square)
        weights = [[v * power(-k) for v in row] for row in shared.weights]
        for row, given in zip(weights, G, strict=True):
            assert row == [Fraction(v) * power(e) for v, e in zip(given, (0, 1, 5, 0), strict=True)]
        size = 3 * len(POINTS) + 1
        regions = ((0, 0, 0, 0), (1, 0, -1, 0), (-1, 1, 1, -1))
        for scale, sign, signs in product((-60, 20, 90), (1, -1) if len(G) == 1 else (0,), regions):
            cost = tuple(int(v) for v in rng.integers(1, 1000, 3))
            linear = [int(v) for v in rng.integers(-50, 50, len(POINTS))]
            products = [
                (a, b, int(rng.integers(1, 90)))
                for a in range(size)
                for b in range(a, size)
                if rng.random() < (0.03 if scale == 20 else 0.5)
            ]
            cones = [(a, int(rng.integers(1, 99)), [int(v) for v in rng.integers(-9, 9, 2)]) for a in range(0, size, 2)]
            linear = [0 if s else value for s, value in zip(signs, linear, strict=True)]
            given = m.moment_matrix(shared, sign, signs, scale, cost, linear, products, cones)
            low = power(-scale)
            S = quadratic_form(
                points, lengths, weights, [Fraction(v) for v in slopes], sign, [c * low for c in cost],
                [v * low for v in linear], [(a, b, v * low) for a, b, v in products],
                [(a, alpha * low, [v * low for v in beta]) for a, alpha, beta in cones],
            )  # fmt: skip
            S = in_region(S, points, signs)
            a = -2 if slopes[1] else 0
            unit = power(-max(scale + 2 * p, k + p - a))
            assert [[v * unit for v in row] for row in given] == [[4 * v for v in row] for row in S], (
                scale,
                sign,
                signs,
            )
        assert problem.N == shared.N


def parts(m):
    """One point on a line, abs: γ(g) = 3|g|. S = c_νν² + c_ww² ∓ g·νz + λ(z² − 9w²) with x̂ = 3 is enough."""
    problem = problem_of(m, [[3.0]], [[0.0]], a=(1.0, -1.0))
    space = space_of(m, problem)
    G = dual(m, [[2.0]])

    def check(u, *numbers, exponents=(0,), split=False):
        stream = [v for part in numbers for v in part]
        m.check_moments(
            problem, space, *G, Fraction(u), split, {"exponents": integers(exponents), "proof": integers(stream)}
        )

    def part(c_nu=1, c_w=9, lam=1, products=(), cones=(), scale=0):
        """A part with the factor 0: 4S = (4c_ν, 4c_w − 36λ, 4λ) on the diagonal, ∓4 for νz, must be diagonally dominant."""
        body = [len(products), *[v for one in products for v in one], len(cones), *[v for one in cones for v in one]]
        return [scale, c_nu, c_w, lam, *body, 0, *[0] * 6]

    good = part()
    exact(m, 10, lambda u: check(u, good, good))
    says(m, "exceed the bound", check, 9, good, good)
    for spoiled in (part(c_nu=0), part(c_w=8), part(lam=0), part(lam=2)):
        for order in ((spoiled, good), (good, spoiled)):
            says(m, "not positive semidefinite", check, 10, *order)
    says(m, "goes on after its end", check, 10, good, good, [0])
    for scale in (4401, -4401):
        says(m, "scale is too large", check, 10, part(scale=scale), good)
    says(m, "exceed the bound", check, 10, part(scale=-4400), good)
    says(m, "not positive semidefinite", check, 10, part(scale=4400), good)
    exact(m, 10, lambda u: check(u, part(products=[(5, 0)]), part(products=[(0, 0), (5, 0)])))
    fine = part(2, 18, 2, scale=1)
    exact(m, 10, lambda u: check(u, fine, fine))
    # The free product of z + 3w and z − 3w (place 4·1 + 2) undoes λ. A negative weight is refused, whatever it would do.
    undone = part(lam=2, products=[(6, 1)])
    exact(m, 10, lambda u: check(u, undone, good))
    for place in (0, 1, 2, 3, 5, 6, 7, 10, 11, 15):
        says(m, "negative multiplier", check, 99, part(9, 90, 9, products=[(place, -1)]), good)
    for place in (4, 8, 9, 12, 13, 14):
        says(m, "given twice", check, 99, part(products=[(place, 1)]), good)
    says(m, "do not exist", check, 99, part(products=[(16, 1)]), good)
    says(m, "do not exist", check, 99, part(products=[(3, 1), (-1, 1)]), good)
    for count in (17, -1):
        says(m, "more products", check, 99, [0, 1, 9, 1, count], good)
    # Cones: ν(αν + βw) with |β| ≤ α.
    cone = part(4, 10, 1, cones=[(0, 2, 2)])
    exact(m, 14, lambda u: check(u, cone, good))
    exact(m, 10, lambda u: check(u, part(cones=[(0, 0, 0)] * 4), good))
    for alpha, beta in ((1, 2), (2, -3), (-2, 2), (0, 1)):
        says(m, "outside the cone", check, 99, part(9, 90, 9, cones=[(0, alpha, beta)]), good)
    says(m, "does not exist", check, 99, part(cones=[(4, 0, 0)]), good)
    says(m, "does not exist", check, 99, part(cones=[(1, 0, 0), (-1, 0, 0)]), good)
    for count in (5, -1):
        says(m, "more cones", check, 99, [0, 1, 9, 1, 0, count], good)
    two = problem_of(m, [[3.0]], [[0.0, 0.0]], a=(1.0, -1.0))

    def check_two(u, *numbers):
        arrays = {"exponents": integers([0]), "proof": integers([0, *numbers, 0, 0, 0, *[0] * 15])}
        m.check_moments(two, space_of(m, two), *dual(m, [[2.0], [1.0]]), Fraction(u), False, arrays)

    # 4S = (4c_ν, 4c_v, 4c_v, 4c_w − 36λ, 4λ) with −4 and −2 for v_1z and v_2z.
    exact(m, 19, lambda u: check_two(u, 0, 1, 18, 2))
    says(m, "exceed the bound", check_two, 18, 0, 1, 18, 2)
    for numbers in ((-1, 1, 18, 2), (0, 0, 18, 2), (0, 1, 17, 2), (0, 1, 18, 1)):
        says(m, "not positive semidefinite", check_two, 19, *numbers)


def regions(m):
    """One point 3 on a line, abs, g = 2: f(w) = ±6|w|. In a region z = 3sw, s = ±1, and S = c_νν² + c_ww² ∓ 6s·νw."""
    problem = problem_of(m, [[3.0]], [[0.0]], a=(1.0, -1.0))
    space = space_of(m, problem)
    G = dual(m, [[2.0]])

    def check(u, *numbers):
        stream = integers([v for part in numbers for v in part])
        m.check_moments(problem, space, *G, Fraction(u), True, {"exponents": integers((0,)), "proof": stream})

    def region(c_nu=3, c_w=3, products=(), cones=()):
        """4S = (4c_ν, 4c_w) with ∓12s for νw."""
        body = [len(products), *[v for one in products for v in one], len(cones), *[v for one in cones for v in one]]
        return [0, 0, c_nu, c_w, *body, 0, 0, 0, 0]

    whole = [0, 0, 1, 9, 1, 0, 0, 0, *[0] * 6]
    good = region()
    exact(m, 6, lambda u: check(u, [1], good, good, [1], good, good))
    exact(m, 10, lambda u: check(u, whole, [1], good, good))
    exact(m, 10, lambda u: check(u, [1], good, good, whole))
    for k in range(4):
        parts = [region(2, 3) if i == k else good for i in range(4)]
        says(m, "not positive semidefinite", check, 6, [1], *parts[:2], [1], *parts[2:])
    # More regions, splits that there are not.
    says(m, "goes on after its end", check, 99, [1], good, good, [1], good, good, good)
    for k in (2, -1):
        says(m, "does not exist", check, 99, [k], good, good, [1], good, good)
    says(m, "split twice", check, 99, [1], [1], good, good, good, [1], good, good)
    says(m, "split twice", check, 99, [1], good, [1], good, good, [1], good, good)


# Work and memory of the check in `halves`.
SPENT = (42467, 4316)


def halves(m):
    """The same for relu and u = 6: 6w where w ≥ 0, nothing where w ≤ 0. What a split costs, too."""
    problem = problem_of(m, [[3.0]], [[0.0]], a=(1.0, 0.0))
    space = space_of(m, problem)
    G = dual(m, [[2.0]])
    good, nothing = [0, 0, 3, 3, *[0] * 6], [0, 0, 0, 0, *[0] * 6]

    def check(u, *numbers):
        stream = integers([v for part in numbers for v in part])
        m.check_moments(problem, space, *G, Fraction(u), True, {"exponents": integers((0,)), "proof": stream})

    exact(m, 6, lambda u: check(u, [1], good, nothing, [1], good, nothing))
    says(m, "not positive semidefinite", check, 6, [1], nothing, good, [1], good, nothing)
    says(m, "not positive semidefinite", check, 6, [1], good, nothing, [1], nothing, good)
    budget = m.Budget(1 << 60, 1 << 60)
    token = m.BUDGET.set(budget)
    try:
        check(6, [1], good, nothing, [1], good, nothing)
    finally:
        m.BUDGET.reset(token)
    assert ((1 << 60) - budget.work, (1 << 60) - budget.memory) == SPENT


PROBES = [lanes, matrices, parts, regions, halves]
