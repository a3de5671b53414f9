"""Proofs by cones of directions that prove what was computed here a second time, for tests of mutants of the checker.

Each probe takes the module and raises if something is wrong. The least û that a tree proves is computed in rationals, with roots to
80 bits, straight from SPEC.md: the checker must accept a little more and nothing less.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from itertools import combinations, product
from types import SimpleNamespace

import numpy as np
from checker_bounds import SLOPES, accepted, dual, integers, problem_of, rejected, says, space_of
from exact import dot, rationals, root_up

HALF = Fraction(1, 2)


def nearest(value):
    return (value + HALF).__floor__()


def frame(X, G, a, bits):
    """x̂, ĥ (rows for points), L̂ as integers, and the error of SPEC.md, all exact but for roots."""
    p, q = bits
    X, G, plus, minus = rationals(X), rationals(np.array(G).T), Fraction(a[0]), Fraction(a[1])
    points, weights, error = [], [], Fraction(0)
    for x, g in zip(X, G, strict=True):
        h = [(plus - minus) * v for v in g]
        if not any(h) or not any(x):
            continue
        if len(h) == 1:
            x, h = [abs(h[0]) * v for v in x], [Fraction(1 if h[0] > 0 else -1)]
            point, weight = [nearest(v * Fraction(2) ** p) for v in x], [int(h[0])]
        else:
            e = 0
            while max(map(abs, x)) >= Fraction(2) ** e:
                e += 1
            while max(map(abs, x)) < Fraction(2) ** (e - 1):
                e -= 1
            x, h = [v / Fraction(2) ** e for v in x], [v * Fraction(2) ** e for v in h]
            point = [nearest(v * Fraction(2) ** p) for v in x]
            weight = [nearest(v * Fraction(2) ** q) for v in h]
        points.append(point)
        weights.append(weight)
        rest = [v - w / Fraction(2) ** p for v, w in zip(x, point, strict=True)]
        error += root(h) * root(rest)
        rest = [v - w / Fraction(2) ** q for v, w in zip(h, weight, strict=True)]
        error += root(rest) * root([v / Fraction(2) ** p for v in point])
    linear = [
        [minus * sum(g[k] * x[i] for g, x in zip(G, X, strict=True)) for i in range(len(X[0]))]
        for k in range(len(G[0]))
    ]
    whole = [[nearest(v * Fraction(2) ** (p + q)) for v in row] for row in linear]
    rest = [
        v - w / Fraction(2) ** (p + q) for r, s in zip(linear, whole, strict=True) for v, w in zip(r, s, strict=True)
    ]
    return points, weights, whole, error + root(rest)


def root(vector):
    return root_up(dot(vector, vector))


def least(points, weights, linear, trees, thetas):
    """The least û for which every leaf is proven. trees: for each sign and orthant, a list in the order of SPEC.md."""
    r, m = len(points[0]), len(linear)
    edges = list(combinations(range(r), 2))
    tree, theta = iter(trees), iter(thetas)
    worst = Fraction(0)
    for sign in (1, -1) if m == 1 else (1,):
        for signs in product((1, -1), repeat=r):
            pending = [[[Fraction(s * (j == k)) for k in range(r)] for j, s in enumerate(signs)]]
            while pending:
                cone = pending.pop()
                entry = next(tree)
                if entry:
                    a, b = edges[entry - 1]
                    middle = [HALF * (x + y) for x, y in zip(cone[a], cone[b], strict=True)]
                    pending += [[middle if j == out else u for j, u in enumerate(cone)] for out in (a, b)]
                    continue
                t = [next(theta) for _ in range(r)]
                w = [sum(x * u[k] for x, u in zip(t, cone, strict=True)) for k in range(r)]
                values = [[dot(x, u) for u in cone] for x in points]
                for j, u in enumerate(cone):
                    F = excess(
                        weights, [sign * dot(row, u) for row in linear], values, j, [dot(x, w) for x in points], sign
                    )
                    if F > 0:
                        assert dot(w, u) > 0, "θ does not fit"
                        worst = max(worst, root(w) * F / dot(w, u))
    return worst


def excess(weights, value, values, j, at_w, sign):
    if len(value) == 1:
        for (h,), s, t in zip(weights, values, at_w, strict=True):
            value[0] += max(s[j], 0) if sign * h > 0 else -s[j] if t > 0 else 0
        return value[0]
    spread = Fraction(0)
    for h, s in zip(weights, values, strict=True):
        p, q = max(s), -min(s)
        e = p * q / (p + q) if p > 0 and q > 0 else Fraction(0)
        value = [v + w * (max(s[j], 0) - HALF * e) for v, w in zip(value, h, strict=True)]
        spread += HALF * root(h) * e
    return root(value) + spread


def trees_of(rng, r, count, depth):
    """`count` random trees, and how many leaves they have."""
    entries, leaves = [], 0
    for _ in range(count):
        pending = [0]
        while pending:
            level = pending.pop()
            if level < depth - 1 or (level < depth and rng.random() < 0.5):
                entries.append(int(rng.integers(1, r * (r - 1) // 2 + 1)))
                pending += [level + 1, level + 1]
            else:
                entries.append(0)
                leaves += 1
    return entries, leaves


@cache
def examples():
    """(X, G, a, bits, tree, θ, least u) of a few problems."""
    found = []
    for number, (m, r, N) in enumerate(
        [(1, 2, 5), (1, 3, 21), (1, 2, 60), (2, 2, 6), (3, 3, 20), (2, 2, 33), (1, 2, 60), (1, 3, 9), (2, 2, 5)]
    ):
        rng = np.random.default_rng([31, number])
        X, G = rng.standard_normal((N, r)), rng.standard_normal((m, N))
        if number == 6:  # many ties
            X, G = rng.integers(-3, 4, size=(N, r)).astype(float), rng.choice([-1.0, 1.0, -2.0], size=(m, N))
        X[0], G[:, 1] = 0.0, 0.0
        if m > 1:
            G[0, 3] = 0.0
        X[2] = np.eye(r)[0]
        a = SLOPES[(0, 4, 1, 3, 0, 1, 0, 0, 0)[number]]
        bits = [28, 0] if m == 1 else [24, 26]
        entries, leaves = trees_of(rng, r, 2**r * (2 if m == 1 else 1), (6 if r == 2 else 4) if N > 20 else 3)
        if number >= 7:  # as many midpoints as there may be
            trees = 2**r * (2 if m == 1 else 1)
            entries, leaves = ([1] * 64 + [0] * 65 + [0]) * (trees // 2), 66 * (trees // 2)
        theta = [int(v) for v in rng.integers(1, 30 if number != 6 else 2, size=r * leaves)]
        points, weights, linear, error = frame(X, G, a, bits)
        u = least(points, weights, linear, entries, theta) / Fraction(2) ** sum(bits) + error
        found.append((X, G, a, bits, entries, theta, u))
    return found


def run(m, X, G, a, bits, tree, theta, u):
    problem = problem_of(m, X, np.zeros((len(X), len(G))), a=a)
    weights, g = dual(m, G)
    m.check_spatial(
        problem, space_of(m, problem), weights, g, u, bits, {"proof": integers(tree), "theta": integers(theta)}
    )


def cones(m):
    for X, G, a, bits, tree, theta, u in examples():
        part = Fraction(1, 10**6) if len(G) > 1 else Fraction(1, 10**9)
        arguments = m, X, G, a, bits, tree, theta
        assert accepted(m, run, *arguments, u * (1 + part)) and rejected(m, run, *arguments, u * (1 - part))


def frames(m):
    """Integers and errors, and what is refused."""
    for X, G, a, bits, tree, theta, _ in examples():
        problem = problem_of(m, X, np.zeros((len(X), len(G))), a=a)
        weights, g = dual(m, G)
        points, h, linear, error = frame(X, G, a, bits)
        made = m.Frame(problem, space_of(m, problem), weights, g, Fraction(100), bits)
        assert (made.points, made.weights, made.linear) == (points, h, linear)
        assert abs(Fraction(100) - made.bound / Fraction(2) ** sum(bits) - error) <= error / 10**12
        for wrong in (
            [bits[0]],
            [*bits, 0],
            [bits[0], 0.5],
            [True, 0],
            None,
            [5000, 0],
            [-5000, 0],
            [0, 5000],
            [0, -5000],
        ):
            assert rejected(m, m.Frame, problem, space_of(m, problem), weights, g, Fraction(100), wrong)
        if len(G) == 1:
            says(m, "q = 0", m.Frame, problem, space_of(m, problem), weights, g, Fraction(100), [bits[0], 1])
        if error:
            says(m, "error of rounding", m.Frame, problem, space_of(m, problem), weights, g, error / 2, bits)
        big = Fraction(10**6)
        assert accepted(m, run, m, X, G, a, bits, tree, theta, big)
        for other in (tree[:-1], [*tree, 0], [-1, *tree[1:]], [99, *tree[1:]]):
            assert rejected_or_cut(m, X, G, a, bits, other, theta, big)
        for other in (theta[:-1], [*theta, 1], [-1, *theta[1:]], [256, *theta[1:]], [0] * len(theta)):
            assert rejected_or_cut(m, X, G, a, bits, tree, other, big)
        assert accepted(m, run, m, X, G, a, bits, tree, [255, *theta[1:]], big)


def roots(m):
    """Roots are rounded up where nothing else is rounded: ‖w‖ = √2 to 64 bits, and √8 to an integer for two outputs."""
    tree, X, low = [0] * 8, [[1.0, 1.0]], Fraction(math.isqrt(2 << 128), 1 << 64)
    for u, good in ((low, False), (low + Fraction(1, 1 << 64), True)):
        assert accepted(m, run, m, X, [[1.0]], (1, 0), [0, 0], tree, [1] * 16, u) == good
    # F = (√32 rounded up)/2 = 3, and û = 2u ≥ √2 F.
    for u, good in ((Fraction(212, 100), False), (Fraction(213, 100), True)):
        assert accepted(m, run, m, X, [[1.0], [1.0]], (1, 0), [1, 0], tree[:4], [1] * 8, u) == good

    # Where the sign is open, ē = 1, and F = (√20 + √20)/2, both rounded up: 5, and û = 2u ≥ √2 F.
    for u, good in ((Fraction(353, 100), False), (Fraction(354, 100), True)):
        assert accepted(m, run, m, X, [[1.0], [2.0]], (1, 0), [1, 0], tree[:4], [1] * 8, u) == good


def errors(m):
    """Of rounding: none where nothing is rounded, and then no room is needed; of points and of weights, in each unit."""
    problem = problem_of(m, [[1.0, 1.0]], [[0.0]])
    assert m.Frame(problem, space_of(m, problem), *dual(m, [[1.0]]), Fraction(0), [0, 0]).bound == 0
    for row, x, points, p, column, h, weights, q, error in (
        ([4], 0, [4], 0, [3], 0, [1], 1, 4), ([4], 0, [4], 0, [1], 1, [3], 0, 4), ([4], 0, [3], 0, [3, 4], 0, [3, 4], 0, 5),
        ([4], -1, [4], 0, [3], 0, [3], 0, 6), ([1], 1, [3], 0, [1], 1, [1], 0, 5), ([6, 8], 0, [3, 4], 1, [1], 0, [1], -1, 5),
    ):  # fmt: skip
        assert m._product_error(row, x, points, p, column, h, weights, q, 3) == 8 * error


def ties(m):
    """x = (1, −1) is concave and xᵀw = 0 at θ = (1, 1): τ = 0, so that F = (2, 2) there, and not (1, 3)."""
    X, G = [[1.0, -1.0], [1.0, 1.0]], [[-1.0, 2.0]]
    assert accepted(m, run, m, X, G, (1, 0), [0, 0], [0] * 8, [1] * 16, Fraction(29, 10))
    assert rejected(m, run, m, X, G, (1, 0), [0, 0], [0] * 8, [1] * 16, Fraction(28, 10))
    # At x = (2, −1) it is 1: τ = 1, F = (0, 3), and û ≥ √2·3; with τ = 0 it would be √2·2.
    X = [[2.0, -1.0], [1.0, 1.0]]
    assert accepted(m, run, m, X, G, (1, 0), [0, 0], [0] * 8, [1] * 16, Fraction(425, 100))
    assert rejected(m, run, m, X, G, (1, 0), [0, 0], [0] * 8, [1] * 16, Fraction(424, 100))


def rejected_or_cut(m, *arguments):
    try:
        return rejected(m, run, m, *arguments)
    except StopIteration:
        return True


def shape(entries, r):
    """The most successive midpoints, and the most open nodes, of the tree of one orthant."""
    edges, pending, most, deepest, at = list(combinations(range(r), 2)), [{}], 0, 1, 0
    while pending:
        counts = pending.pop()
        entry, at = entries[at], at + 1
        if entry:
            a, b = edges[entry - 1]
            e = max(counts.get(a, 0), counts.get(b, 0)) + 1
            pending += [{**counts, a: e}, {**counts, b: e}]
            most, deepest = max(most, e), max(deepest, len(pending))
    return most, deepest


def midpoints(m):
    """64 successive ones and no more; the points need 2 to 12 coordinates."""
    X, G = [[1.0, 0.0], [0.0, -1.0]], [[1.0, 1.0]]
    for depth, good in ((64, True), (65, False)):
        chain = [1] * depth + [0] * (depth + 1)
        tree = chain + [0] * 7
        theta = [1] * (2 * tree.count(0))
        assert rejected_or_cut(m, X, G, (1, 0), [10, 0], tree, theta, Fraction(10**6)) != good
    for tree in ([2, 0, 0], [1, 2, 0, 0, 0]):  # the plane has one edge
        arguments = m, X, G, (1, 0), [10, 0], [*tree, *[0] * 7], [1] * 20, Fraction(10**6)
        says(m, "no such edge", run, *arguments)
    for r, good in ((1, False), (2, True), (12, True), (13, False)):
        problem, arrays = problem_of(m, [[1.0] * r], [[0.0]]), {"proof": integers([]), "theta": integers([])}
        arguments = problem, space_of(m, problem), [[1]], 0, Fraction(9), [9, 0], arrays
        try:
            says(m, "coordinates", m.check_spatial, *arguments)
        except StopIteration:  # the tree is missing
            assert good
        else:
            assert not good
    assert m.scan_cones(iter([1, 0, 1, 0, 0]), 1, 2) == (2, 2) and m.scan_cones(iter([0]), 1, 2) == (0, 1)
    for seed in range(6):
        rng = np.random.default_rng([4, seed])
        entries, _ = trees_of(rng, 4, 1, 7)
        assert m.scan_cones(iter(entries), 6, 4) == shape(entries, 4)
    assert [m.nearest(*pair) for pair in ((5, -1), (-5, -1), (5, 1), (3, -2), (1, -2), (0, -1))] == [3, -2, 10, 1, 0, 0]


def entries(packed_in, packed):
    """The lanes of an integer, one by one."""
    half, lane = 1 << (packed_in.bits - 1), 1 << 8 * packed_in.size
    total = packed + packed_in.top
    return [(total >> 8 * packed_in.size * i) % lane - half for i in range(packed_in.count)]


def lanes(m):
    rng = np.random.default_rng(9)
    for count in (0, 1, 2, 7, 8, 33):
        values = [int(v) for v in rng.integers(-(2**40), 2**40, size=count)]
        values[::3] = [0] * len(values[::3])
        bits, size = (43, 7) if count % 2 else (64, 8) if count == 8 else (49, 7)
        packed_in = m.Packed(count, bits, size)
        packed = packed_in.pack(values)
        signs = packed_in.signs(packed)
        assert entries(packed_in, packed) == values
        selected = packed_in.selectors(signs)
        assert [v for v, c in zip(values, selected, strict=True) if c] == [v for v in values if v >= 0]
        assert [*packed_in.numbers(packed, selected)] == [v for v in values if v >= 0]
        fewer = m.Packed(signs.bit_count(), bits, size)
        assert entries(fewer, packed_in.kept(packed, packed_in.taker(selected), fewer)) == [v for v in values if v >= 0]
        others = [values[::-1], [1 - v for v in values], [-5] * count]
        largest, smallest = packed_in.extremes([packed, *map(packed_in.pack, others)])
        for found, best in ((largest, max), (smallest, min)):
            assert entries(packed_in, found) == [best(row) for row in zip(values, *others, strict=True)]
        least = [-(2 ** (bits - 1))] * count
        low = packed_in.pack(least)
        assert entries(packed_in, low) == least
        if size == 7:  # there is room for sums
            assert packed_in.positive(packed, signs) == sum(max(v, 0) for v in values)
            assert packed_in.chosen(packed, packed_in.choice(signs)) == sum(max(v, 0) for v in values)
            assert packed_in.chosen(packed, packed_in.choice(0)) == 0
            assert packed_in.chosen(low, packed_in.choice(packed_in.top)) == sum(least)


def shapes(m):
    """Lanes of several outputs: of eight bytes as long as the numbers fit, and sums of products that fill their room."""
    for bits, halvings, size in ((40, 22, 8), (40, 23, 9), (8, 3, 8), (65, 6, 10)):
        x, h = (1 << bits) - 1, (1 << 5) - 1
        frame = SimpleNamespace(
            n=2, m=2, points=[[-x, x]] * 7, weights=[[h, -h]] * 7, linear=[[0, 0]] * 2, bound=Fraction(1)
        )
        made = m.Cones(frame, 1, halvings)
        assert made.lanes[0].size == size and made.sums.all(made.weights[6]) == [h, -h, m.root_up(2 * h * h)]
        vertices = made.root((1, 1))
        for _ in range(halvings):  # towards e_2
            vertices[0] = made.middle(made.lanes, made.weights, *vertices)
        u, e, fold, value, packed, signs = vertices[0]
        s = -x + ((1 << halvings) - 1) * x
        assert (u, e, fold) == ([1, (1 << halvings) - 1], halvings, [0, 0]) and entries(made.lanes[0], packed[0]) == [
            s
        ] * 7
        assert value == [7 * h * s, -7 * h * s] and signs == [made.lanes[0].top]
        top = made.lanes[0].pack([(x << halvings) * (-1) ** k for k in range(7)])
        assert made.weighted(made.lanes[0], top, made.lanes[0].signs(top), made.weights) == [
            4 * h * x << halvings, -4 * h * x << halvings
        ]  # fmt: skip


def folds(m):
    """What leaving out decided points costs: all eight of them, for one output and for two."""
    for outputs in (1, 2):
        frame = SimpleNamespace(
            n=2, m=outputs, points=[[1, k] for k in range(1, 9)], weights=[[1] * outputs] * 8, linear=[[0, 0]] * outputs,
            bound=Fraction(1),
        )  # fmt: skip
        made = m.Cones(frame, 1, 4)
        vertices = made.root((1, 1))
        token = m.BUDGET.set(m.Budget(1 << 60, 1 << 60))
        folded, (first, second), _ = made.folded(made.lanes, vertices, made.weights)
        assert (1 << 60) - m.BUDGET.get().work == (300 + made.each) * 8 * 2 and bool(made.each) == (outputs == 2)
        m.BUDGET.reset(token)
        assert folded[0].count == 0 and first[2] == [8] * outputs and second[2] == [36] * outputs


def generations(m):
    """Points are left out where at least half of eight or more are decided, in every second generation."""
    token = m.BUDGET.set(m.Budget(1 << 60, 1 << 60))
    for count, undecided, good in ((8, 4, True), (8, 5, False), (9, 0, True), (7, 0, False)):
        points = [[1, -1]] * undecided + [[1, 1]] * (count - undecided)
        frame = SimpleNamespace(n=2, m=1, points=points, weights=[[1]] * count, linear=[[0, 0]], bound=Fraction(10**9))
        made = m.Cones(frame, 1, 5)
        left = made.folded(made.lanes, made.root((1, 1)), made.weights)[0]
        assert left[0].count == (undecided if good else count)
    called = []
    made.folded = lambda *cone: called.append(cone) or cone
    tree = full_tree(5)
    made.check((1, 1), m.Stream(tree), m.Stream([1] * (2 * tree.count(0))), {})
    assert len(called) == 2**2 + 2**4
    m.BUDGET.reset(token)


def full_tree(depth):
    """The entries of the tree in which all leaves have this depth."""
    return [1, *full_tree(depth - 1), *full_tree(depth - 1)] if depth else [0]


PROBES = [cones, frames, roots, errors, ties, midpoints, lanes, shapes, folds, generations]
