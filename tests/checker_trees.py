"""Trees and covers of directions that prove what was computed here a second time, for tests of mutants of the checker.

Each probe takes the module and raises if something is wrong.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from types import SimpleNamespace

import numpy as np
from checker_bounds import SLOPES, accepted, dual, exact, floats, integers, problem_of, says, space_of, tight
from checker_probes import rejected

# A node: (steps, end). Steps: ("bound", {i: t}), with t = None for the entry that says 1, and ("tighten", i, side, ρ, [(place,
# μ)]). Ends: ("close",), ("empty", i), ("branch", i, sign of the first child, first child, second child).
Y_BITS, MU_BITS, RHO_BITS = 6, 4, 7


class Weights:
    """f(w) = Σ g_i σ(x_iᵀw) with points scaled by 2**−exponents, in floating point."""

    def __init__(self, X, g, a, exponents):
        self.X, self.g, self.a, self.exponents = np.array(X, dtype=float), np.array(g, dtype=float), a, list(exponents)
        self.scaled = np.ldexp(self.X, -np.array(exponents)[:, None])
        self.norms = np.linalg.norm(self.scaled, axis=1)
        self.kappa = np.ldexp((a[0] - a[1]) * self.g, exponents) * (self.norms > 0)
        self.linear = a[1] * self.g @ self.X
        self.used = np.flatnonzero(self.kappa).tolist()

    def start(self):
        return -self.norms, self.norms.copy(), []

    def bound(self, low, high, given):
        """α and ĉ."""
        alpha, c = 0.0, self.linear.copy()
        for i in self.used:
            kappa, bottom, top = self.kappa[i], low[i], high[i]
            if i in given:
                t = 1.0 if given[i] is None else given[i]
            elif kappa < 0 or top <= 0:
                t = 0.0
            else:
                t = 1.0 if bottom >= 0 else top / (top - bottom)
            if i in given or (kappa > 0 and bottom < 0 < top):
                ends = [bottom, top, *([0.0] if bottom < 0 < top else [])]
                alpha += max(kappa * max(s, 0.0) - kappa * t * s for s in ends)
            c += kappa * t * self.scaled[i]
        return alpha, c

    def tightened(self, i, side, rho, terms, path, c, cap):
        d = side * self.scaled[i] + (rho * c if rho else 0.0)
        for place, mu in terms:
            j, s = path[place]
            d = d + s * mu * self.scaled[j]
        return float(np.linalg.norm(d)) - (rho * cap if rho else 0.0)

    def step(self, step, state, low, high, path, u):
        """The state (α, ĉ) after a step, which moves the intervals in place."""
        if step[0] == "bound":
            return self.bound(low, high, step[1])
        _, i, side, rho, terms = step
        alpha, c = state if state else (0.0, self.linear)
        value = self.tightened(i, side, rho, terms, path, c, u - alpha)
        if side > 0:
            high[i] = min(high[i], value)
        else:
            low[i] = max(low[i], -value)
        return state

    def holds(self, node, u, state=None):
        """Whether the tree proves f ≤ u."""
        low, high, path = state or self.start()
        steps, end = node
        now = None
        for step in steps:
            now = self.step(step, now, low, high, path, u)
        if end[0] == "close":
            return now is not None and now[0] + np.linalg.norm(now[1]) <= u
        if end[0] == "empty":
            return low[end[1]] > high[end[1]]
        _, i, first, *children = end
        for s, child in zip((first, -first), children, strict=True):
            child_low, child_high = low.copy(), high.copy()
            if s > 0:
                child_low[i] = max(low[i], 0.0)
            else:
                child_high[i] = min(high[i], 0.0)
            if not self.holds(child, u, (child_low, child_high, [*path, (i, s)])):
                return False
        return True

    def written(self, node, scale):
        """The columns of the tree."""
        columns = ([scale], [], [], [])
        self._write(node, scale, *columns)
        return columns

    def _write(self, node, scale, proof, ys, rhos, mus):
        steps, end = node
        for step in steps:
            if step[0] == "bound":
                proof += [1, len(step[1])]
                before = -1
                for i, t in sorted(step[1].items()):
                    proof.append(2 * (i - before - 1) + (t is not None))
                    ys += [] if t is None else [round(t * 2**Y_BITS)]
                    before = i
            else:
                _, i, side, rho, terms = step
                proof += [2, 2 * i + (side < 0), len(terms)]
                rhos.append(round(rho * 2.0 ** (RHO_BITS + scale)))
                before = -1
                for place, mu in terms:
                    proof.append(place - before - 1)
                    mus.append(round(mu * 2**MU_BITS))
                    before = place
        if end[0] == "close":
            proof.append(0)
        elif end[0] == "empty":
            proof += [3, end[1]]
        else:
            proof += [4, 2 * end[1] + (end[2] < 0)]
            for child in end[3:]:
                self._write(child, scale, proof, ys, rhos, mus)


def checks_tree(m, weights, columns, u, grid=(Y_BITS, MU_BITS, RHO_BITS)):
    """Run the checker's tree on what `written` gave, for one output and one sign."""
    problem = problem_of(m, weights.X, np.zeros((len(weights.X), 1)), a=weights.a)
    forest = m.Forest(problem, space_of(m, problem), integers(weights.exponents), list(grid))
    trees = m.Trees({name: integers(c) for name, c in zip(("proof", "y", "rho", "mu"), columns, strict=True)})
    (row,), g = dual(m, [weights.g])
    m.check_tree(forest, row, g, u, trees)
    trees.end()


def _grown(rng, weights, scale, u, depth, state=None):
    """A random tree whose tightenings are the best of some."""
    low, high, path = state or weights.start()
    steps, now = [], None
    for _ in range(rng.integers(1, 3)):
        given = {}
        for i in range(len(weights.g)):
            if rng.random() < 0.5:
                t = float(rng.choice([-0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25]))
                given[i] = None if t == 1.0 else t
        steps.append(("bound", given))
        now = weights.step(steps[-1], now, low, high, path, u)
        for _ in range(rng.integers(0, 4)):
            found = []
            for _ in range(30):
                i, side = int(rng.choice(weights.used)), int(rng.choice([-1, 1]))
                rho = float(rng.integers(0, 40) * 2.0 ** -(RHO_BITS + scale - rng.integers(0, 6))) * (
                    rng.random() < 0.7
                )
                places = [p for p in range(len(path)) if rng.random() < 0.6]
                terms = [(p, float(rng.integers(0, 24) / 2**MU_BITS)) for p in places]
                value = weights.tightened(i, side, rho, terms, path, now[1], u - now[0])
                found.append(((high[i] if side > 0 else -low[i]) - value, i, side, rho, terms))
            best = max(found)
            steps.append(("tighten", *best[1:]))
            now = weights.step(steps[-1], now, low, high, path, u)
    empty = [i for i in weights.used if low[i] > high[i]]
    if empty:
        return steps, ("empty", empty[0])
    if depth == 0:
        return steps, ("close",)
    i, first = int(rng.choice(weights.used)), int(rng.choice([-1, 1]))
    children = []
    for s in (first, -first):
        child_low, child_high = low.copy(), high.copy()
        if s > 0:
            child_low[i] = max(low[i], 0.0)
        else:
            child_high[i] = min(high[i], 0.0)
        children.append(_grown(rng, weights, scale, u, depth - 1, (child_low, child_high, [*path, (i, s)])))
    return steps, ("branch", i, first, *children)


@cache
def random_trees(number=40):
    """(weights, columns, u): the tree proves f ≤ u and no less."""
    rng = np.random.default_rng(17)
    found = []
    while len(found) < number:
        N, n = 4, int(rng.integers(1, 4))
        X = rng.standard_normal((N, n)) * 2.0 ** rng.integers(-3, 4, size=(N, 1))
        g = rng.standard_normal(N) * 2.0 ** rng.integers(-2, 3)
        if rng.random() < 0.3:
            X[rng.integers(N)] = 0.0
        if rng.random() < 0.3:
            g[rng.integers(N)] = 0.0
        if rng.random() < 0.3:
            X[rng.integers(N), 0] = 0.0
        a = SLOPES[rng.integers(5)]
        weights = Weights(X, g, (float(a[0]), float(a[1])), rng.integers(-3, 4, size=N).tolist())
        scale = int(rng.integers(-3, 4))
        high = 3 * max(map(abs, a)) * float(np.abs(g) @ np.linalg.norm(X, axis=1))
        tree = _grown(rng, weights, scale, high * rng.uniform(0.05, 0.3), int(rng.integers(0, 4)))
        low = 0.0
        if not weights.holds(tree, high):
            continue
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if weights.holds(tree, middle) else (middle, high)
        if high > 0 and weights.holds(tree, high * (1 + 1e-9)) and not weights.holds(tree, high * (1 - 1e-9)):
            found.append((weights, weights.written(tree, scale), high))
    return found


def trees(m):
    for weights, columns, u in random_trees():
        tight(m, u, lambda v: checks_tree(m, weights, columns, v))  # noqa: B023


def bounds_of_nodes(m):
    """α of one kink, in units as small as they are: κ·max(s, 0) ≤ α + κts on low ≤ s ≤ high, and for a less."""
    full = m.FULL

    class Node(m.Node):
        __slots__ = ()

        def _slopes(self):
            return self.tree.given

    for kappa, low in ((kappa, low) for kappa in (3, -2) for low in range(-3, 4)):
        for high, t in ((high, t) for high in range(low, 4) for t in (None, 0, full, full // 3)):
            tree = SimpleNamespace(
                kinks=[(0, kappa)], given={} if t is None else {0: t}, lanes=SimpleNamespace(combine=list), U=0
            )
            node = Node(tree, [low], [high], [])
            node.bound()
            if t is None:  # none for κ < 0, else the chord
                t = 0 if kappa < 0 or high <= 0 else full if low >= 0 else (high << m.T) // (high - low)
                ends = [] if kappa < 0 else [low, high]
            else:
                ends = [low, high] + [0] * (low < 0 < high)
            assert [t] == node.C
            assert -node.room == max((kappa * (max(s, 0) * full - t * s) for s in ends), default=0)


def steps_of_trees(m):
    """Steps that a proof must not have, each in a proof that is complete without it; what is rounded, to the last unit."""
    # max(w, 0) ≤ 1 on [−1, 1], by the chord ½ + ½w; the second point has no weight, the third is 0.
    X, a = [[1.0], [1.0], [0.0]], (1.0, 0.0)
    weights = Weights(X, [1.0, 0.0, 1.0], a, [0, 0, 0])
    bound = [1, 0]

    def proof(*steps, y=(), rho=(), mu=(), g=weights):
        return lambda u: checks_tree(m, g, ([0, *steps], y, rho, mu), u)

    exact(m, 1, proof(*bound, 0))
    for i in (0, 2, 4):  # entries for any point
        assert accepted(m, proof(1, 1, i, 0), Fraction(3))
    for text, check in {
        "a leaf is not below": proof(0), "unknown step": proof(5), "a tightening of nothing": proof(*bound, 2, 2, 0, 0, rho=[0]),
        "a multiplier of no point": proof(1, 1, 6, 0), "called empty is not": proof(*bound, 3, 0),
        "a branching on nothing": proof(*bound, 4, 2, *bound, 0, *bound, 0),
    }.items():  # fmt: skip
        says(m, text, check, Fraction(3))
    for i in (-1, 1, 2, 3):
        says(m, "a tightening of nothing", proof(*bound, 2, 2 * i, 0, 0, rho=[0]), Fraction(3))
        says(m, "a branching on nothing", proof(*bound, 4, 2 * i, *bound, 0, *bound, 0), Fraction(3))
        says(m, "called empty is not", proof(*bound, 3, i), Fraction(3))
    says(m, "unknown step", proof(-1), Fraction(3))
    assert accepted(m, proof(*bound, 2, 0, 0, 0, rho=[0]), Fraction(3))
    least = [0, *bound, 2, 0, 0, 0], (), [1], ()  # the least ρ, where nothing is finer
    assert accepted(m, lambda u: checks_tree(m, weights, least, u, (Y_BITS, 0, RHO_BITS)), Fraction(3))
    says(m, "a cap before a bound", proof(2, 0, 0, *bound, 0, rho=[1]), Fraction(3))
    says(m, "a negative multiplier", proof(*bound, 2, 0, 0, 0, rho=[-1]), Fraction(3))
    assert accepted(m, proof(*bound, 4, 0, *bound, 0, *bound, 0), Fraction(3))
    branched = proof(*bound, 4, 0, *bound, 2, 0, 1, 0, 0, *bound, 0, rho=[0], mu=[0])
    assert accepted(m, branched, Fraction(3))
    for place, mu in ((0, -1), (1, 1), (-1, 1), (-2, 1)):
        check = proof(*bound, 4, 0, *bound, 2, 0, 1, place, 0, *bound, 0, rho=[0], mu=[mu])
        says(m, "a negative multiplier, or one of no constraint", check, Fraction(3))
    # w ≥ 0 and w ≤ 0 is the point 0, which is not empty; a path is no longer than there are points.
    says(m, "called empty is not", proof(4, 0, 4, 0, *bound, 0, 3, 0, *bound, 0), Fraction(3))
    longest = proof(*[4, 0] * 3, *[*bound, 0] * 4)
    assert accepted(m, longest, Fraction(3))
    says(m, "too deep", proof(*[4, 0] * 4, *[*bound, 0] * 5), Fraction(3))

    # The cap ½w ≥ u − ½ is rounded to 2**−40 for the scale 20, so w ≥ 2u − 1 − 2**−39: more than 1 from u = 1 + 2**−40 on.
    def capped(u):
        checks_tree(m, weights, ([20, *bound, 2, 1, 0, 3, 0], [], [1 << 28], []), u)

    assert accepted(m, capped, 1 + Fraction(1, 1 << 38))
    assert rejected(m, capped, 1 - Fraction(1, 1 << 42)) and rejected(m, capped, 1 + Fraction(1, 1 << 41))
    # w ≥ 0, then w ≤ ½ + ½w − ρ(u − ½ − ½w) < 0 for u > 1: empty, and only above 1.
    empty = proof(4, 1, *bound, 0, *bound, 2, 0, 0, 3, 0, rho=[1 << 16])
    assert accepted(m, empty, Fraction(5, 4)) and rejected(m, empty, Fraction(3, 4))
    # α and ĉ at their limits: t = 0 gives max(w, 0) ≤ 1 with ĉ = 0, t = 1 gives 1 + w.
    exact(m, 1, proof(1, 1, 1, 0, y=[0]))
    exact(m, 2, proof(1, 1, 0, 0))
    assert rejected(m, proof(1, 1, 1, 0, y=[0]), Fraction(-5))
    concave = Weights([[1.0]], [-1.0], a, [0])
    exact(m, 0, proof(*bound, 0, g=concave))
    for t, value in ((16, Fraction(1, 4)), (0, 0), (64, 1), (-32, 1), (96, 2)):
        exact(m, value, proof(1, 1, 1, 0, y=[t], g=concave))
    # Rounded outward: √2, and √(25/16) where the root is exact but not known to be; then 1/4 of a third coordinate.
    unit = Fraction(1, 1 << 52)
    root = Weights([[1.0, 1.0]], [1.0], a, [0])
    exact(m, (math.isqrt(2 << 104) + 1) * unit, proof(1, 1, 1, 0, y=[0], g=root))
    pair = Weights([[1.0, 1.0], [1.0, 0.0]], [1.0, -1.0], a, [0, 0])
    halves = [4, 2, 1, 1, 3, 0]  # the half w₁ ≥ 0: the chord, and half of the second point
    for i, side, mu, first in ((0, 1, 4, 0), (0, -1, 20, 1)):
        steps = [*halves, 2, 2 * i + (side < 0), 1, 0, 1, 1, 1, 0]
        check = proof(*steps, y=[32, 0], rho=[0], mu=[mu], g=pair)
        if first == 0:
            exact(m, Fraction(5, 4) + unit, check)
        else:
            assert accepted(m, check, Fraction(3))
    # w ≤ 0 known to one unit only: the chord of max(w, 0) costs that unit; and so does max(w, 0) = w for w ≥ 0.
    same = Weights([[1.0], [1.0]], [1.0, -1.0], a, [0, 0])
    negative, positive = [2, 0, 1, 0, 1, 0, 0], [2, 1, 1, 0, 1, 2, 0, 0, 0]
    exact(m, unit, proof(4, 3, *negative, *positive, rho=[0, 0], mu=[16, 16], g=same))
    # And so does t = 0.
    flat = [2, 0, 1, 0, 1, 1, 1, 0]
    exact(m, unit, proof(4, 3, *flat, *positive, y=[0], rho=[0, 0], mu=[16, 16], g=same))
    low = Weights([[1.0, 1.0], [1.0, 0.0]], [1.0, -1.0], (0.0, -1.0), [0, 0])
    lower = [4, 3, 1, 1, 3, 0]
    steps = [*lower, 2, 1, 1, 0, 1, 1, 0, 0]
    assert accepted(m, proof(*steps, y=[32], rho=[0], mu=[4], g=low), Fraction(3))
    for scale in (10**5, -(10**5)):
        says(m, "the scale is too large", lambda u: checks_tree(m, weights, ([scale, 1, 0, 0], [], [], []), u), 3)  # noqa: B023


def forests(m):
    """Points x_i·2**−e_i exactly, rounded norms above the true ones, products; what is refused."""
    X = [[0.1, 3.0], [1e-9, 0.0], [0.0, 0.0], [2.0, 0.0], [0.0, 1e12], [1.0, 1.0]]
    problem = problem_of(m, X, [[0.0]] * 6)
    space = space_of(m, problem)
    for exponents in ([0] * 6, [2, -29, 0, 2, 40, 1], [-5, 3, 7, 0, -2, 60]):
        forest = m.Forest(problem, space, integers(exponents), [24, 14, 18])
        assert forest.p >= 52 and forest.used == [0, 1, 3, 4, 5]
        unit = Fraction(1, 1 << forest.p)
        for i, (x, e) in enumerate(zip(X, exponents, strict=True)):
            scaled = [Fraction(v) / Fraction(2) ** e for v in x]
            assert [v * unit for v in forest.points[i]] == scaled
            square, r = sum(v * v for v in scaled), forest.radius[i] * unit
            assert square <= r * r and (r == 0 or (r - unit) ** 2 < square)
            row = forest.row(i)
            assert forest.gram[i] == row
            for j, f in enumerate(exponents):
                other = sum(v * Fraction(w) / Fraction(2) ** f for v, w in zip(scaled, X[j], strict=True))
                assert row[j] * unit * unit == other
    few = problem_of(m, [[3.0], [0.5]], [[0.0]] * 2)
    assert m.Forest(few, space_of(m, few), integers([0, 0]), [0, 0, 0]).p == 52
    assert m.Forest(few, space_of(m, few), integers([60, 0]), [52, 52, 52]).p == 60
    for grid in (None, 5, {}, [0, 0], [0] * 4, [-1, 0, 0], [0, 53, 0], [0, 0, 1.0], [0, True, 0], (0, 0, 0), "000"):
        assert rejected(m, m.Forest, few, space_of(m, few), integers([0, 0]), grid)
    for exponents in ([0], [0, 0, 0], [2201, 0], [0, -2201]):
        assert rejected(m, m.Forest, few, space_of(m, few), integers(exponents), [0, 0, 0])
    assert rejected(m, m.Forest, few, space_of(m, few), integers([2200, -2200]), [0, 0, 0]) is False
    tiny = problem_of(m, [[3e-308], [0.5]], [[0.0]] * 2)
    assert rejected(m, m.Forest, tiny, space_of(m, tiny), integers([2200, -2200]), [0, 0, 0]) is False
    assert [m._trailing_zeros(row) for row in ([8], [0, -12], [5, 64], [-(1 << 70)])] == [3, 2, 0, 70]
    assert m.Space([[1, 2]], -1).n == 2


def lanes(m):
    """Sums of long rows at the ends of what their lanes hold."""
    for bits in (3, 64):
        most = (1 << bits) - 1
        for rows, start in (
            ([[127, -127]] * 1000, [127, -127]), ([[-128, 5]] * 3, [0, -1]), ([], [3, -4]), ([[0, 0]], [0, 0]), ([[1]], [-9]),
        ):  # fmt: skip
            packed = m.Lanes(rows, start, bits)
            for t in ([most] * len(rows), [-most] * len(rows), [k % 3 - 1 for k in range(len(rows))]):
                expected = [s + sum(v * row[d] for v, row in zip(t, rows, strict=True)) for d, s in enumerate(start)]
                assert packed.combine(t) == expected


# -- directions ---------------------------------------------------------------------------------------------------------


def _cover(k, edges, splits):
    """Vertices and cones of a cover: edges (a, b, p, q), splits (cone, middle)."""
    vertices = [np.array([(1.0 - 2.0 * s) * (i == d) for d in range(k)]) for i in range(k) for s in (0, 1)]
    for a, b, p, q in edges:
        vertices.append(2.0**p * vertices[a] + 2.0**q * vertices[b])
    cones = [()]
    for i in range(k):
        cones = [(*cone, 2 * i + s) for cone in cones for s in (0, 1)]
    for cone, middle in splits:
        cones.remove(cone)
        cones += [tuple(middle if j == old else j for j in cone) for old in edges[middle - 2 * k][:2]]
    return vertices, sorted(cones)


def cover(seed, k, edges, splits, reduced):
    """(X, G, slopes, arrays, u, vertices of the cones): a proof of γ(G) ≤ u for random numbers, and of no smaller u."""
    rng = np.random.default_rng([5, seed])
    N, n = 4, 3
    X, H = rng.standard_normal((N, n)), rng.standard_normal((k, N))
    a = SLOPES[int(rng.integers(6))]
    arrays, G, stretch, rest = {}, H, 1.0, 0.0
    if reduced:
        Q = np.round(np.linalg.qr(rng.standard_normal((k + 1, k)))[0], 2)
        G = Q @ H + 0.01 * rng.standard_normal((k + 1, N))
        stretch = math.sqrt(1 + np.linalg.norm(Q.T @ Q - np.eye(k)))
        rest = max(map(abs, a)) * float(np.linalg.norm(G - Q @ H, axis=0) @ np.linalg.norm(X, axis=1))
        arrays = {"output_basis": floats(Q), "outputs": floats(H)}
    vertices, cones = _cover(k, edges, splits)
    proof, values = [], []
    for number, vertex in enumerate(vertices):
        weights = Weights(X, vertex @ H, a, [0] * N)
        alpha, c = weights.bound(-weights.norms, weights.norms, {})
        values.append((alpha + float(np.linalg.norm(c))) * (1 + 1e-12))
        proof += [*(edges[number - 2 * k] if number >= 2 * k else ()), 0, 1, 0, 0]
    proof += [len(splits), *(j for cone, middle in splits for j in (*cone, middle))]
    normals = [np.linalg.solve([vertices[j] for j in c], [values[j] for j in c]) * (1 + 1e-12) for c in cones]
    arrays |= {"exponents": integers([0] * N), "values": floats(values), "normals": floats(normals)}
    arrays |= {"proof": integers(proof), "y": integers([]), "rho": integers([]), "mu": integers([])}
    return X, G, a, arrays, stretch * max(map(np.linalg.norm, normals)) + rest, set().union(*cones)


@cache
def covers():
    """Covers in one to three dimensions, each with the outputs as they are and reduced; last one with a wrong bisection."""
    found = []
    for k, edges, splits in (
        (1, [], []), (1, [(0, 0, 1, -1)], []), (2, [], []), (2, [(0, 2, 2, 1), (2, 4, 0, -1)], [((0, 2), 4), ((4, 2), 5)]),
        (2, [(1, 3, 0, 0)], [((1, 3), 4)]), (3, [], []),
        (3, [(0, 2, 2, 1), (6, 4, -1, 0), (2, 5, 0, 0)],
         [((0, 2, 4), 6), ((6, 2, 4), 7), ((0, 2, 5), 6), ((1, 2, 5), 8), ((0, 6, 4), 7)]),
    ):  # fmt: skip
        found += [cover(len(found) + reduced, k, edges, splits, reduced) for reduced in (False, True)]
    # The middle of e₁ and −e₂ does not lie in the cone of e₁ and e₂.
    return found, cover(len(found), 2, [(0, 3, 0, 0)], [((0, 2), 4)], False)


def checks_directions(m, X, G, a, arrays, u):
    problem = problem_of(m, X, np.zeros((len(X), len(G))), a=a)
    given = dict(arrays)
    m.check_directions(problem, space_of(m, problem), *dual(m, G), Fraction(u), [0, 0, 0], given)
    assert not given


def directions(m):
    for X, G, a, arrays, u, _ in covers()[0]:
        tight(m, u, lambda v: checks_directions(m, X, G, a, arrays, v))  # noqa: B023
    for X, G, a, arrays, u, used in (covers()[0][1], covers()[0][-2]):
        high = 10 * u
        for j in range(len(arrays["values"])):  # each value is needed, and each is used
            for more in (-1e-9, 1e-9):
                values = floats([v + more if i == j else v for i, v in enumerate(arrays["values"])])
                given = {**arrays, "values": values}
                if more < 0 or j in used:
                    assert rejected(m, checks_directions, m, X, G, a, given, high)
                else:
                    assert accepted(m, checks_directions, m, X, G, a, given, high)
        k = len(arrays["outputs"]) // len(X) if "outputs" in arrays else len(G)
        for j in range(0, len(arrays["normals"]), k):
            normals = floats([v * (1 - 1e-9 * (j <= i < j + k)) for i, v in enumerate(arrays["normals"])])
            assert rejected(m, checks_directions, m, X, G, a, {**arrays, "normals": normals}, high)
        assert rejected(m, checks_directions, m, X, G, a, {**arrays, "normals": arrays["normals"][:-k]}, high)
        for column in ("proof", "y", "rho", "mu"):
            longer = integers([*arrays[column], 0])
            says(m, "goes on", checks_directions, m, X, G, a, {**arrays, column: longer}, high)
    X, G, a, arrays, *_ = covers()[1]
    says(m, "a bisection of no cone", checks_directions, m, X, G, a, arrays, 1e9)
    X, G, a, arrays, *_ = covers()[0][-2]
    proof = arrays["proof"].tolist()
    vertex, splits = 6 * 4, 6 * 4 + 3 * 8
    high = 1e9

    def wrong(reason, *entries, base=proof):
        changed = list(base)
        for at, value in entries:
            changed[at] = value
        says(m, reason, checks_directions, m, X, G, a, {**arrays, "proof": integers(changed)}, high)

    # Vertices of vertices that are not there yet; too far from the middle; too large.
    wrong("does not exist", (vertex, 6))
    wrong("does not exist", (vertex, -1))
    wrong("does not exist", (vertex + 1, 6))
    wrong("does not exist", (vertex + 1, -1))
    wrong("too far off the middle", (vertex + 2, 202))
    wrong("too far off the middle", (vertex + 3, -199))
    wrong("too large", (vertex + 2, 1101), (vertex + 3, 1101))
    wrong("too large", (vertex + 2, -1101), (vertex + 3, -1101))
    # Bisections: a cone that is not there (any more), a middle of another edge, of one with one end in the cone, of none.
    wrong("a bisection of no cone", (splits + 1, 1))
    wrong("a bisection of no cone", (splits + 4, 7))
    wrong("a bisection of no cone", (splits + 4, 8))
    wrong("a bisection of no cone", (splits + 4, 0))
    wrong("a bisection of no cone", (splits + 9, 0), (splits + 10, 2), (splits + 11, 4))
    wrong("does not exist", (splits + 4, 9))
    wrong("does not exist", (splits + 4, -1))
    wrong("does not exist", (splits + 1, 9))
    wrong("does not exist", (splits + 1, -1))
    fewer = {"proof": integers([*[0, 1, 0, 0] * 5, 0]), "values": arrays["values"][:5]}
    says(m, "vertices are missing", checks_directions, m, X, G, a, {**arrays, **fewer}, high)
    # One dimension, all of it rational: γ = 5·‖(3, 4)‖ for abs, both ways; then H = 2, stretched by 2, with errors 2·(1/2).
    line = [[3.0, 4.0]]
    simple = {
        "exponents": integers([0]), "values": floats([5.0, 5.0]), "normals": floats([5.0, -5.0]), "y": integers([]),
        "proof": integers([0, 1, 0, 0, 0, 1, 1, 0, 0, 0]), "rho": integers([]), "mu": integers([]),
    }  # fmt: skip
    exact(m, 5, lambda u: checks_directions(m, line, [[1.0]], (1, 0), simple, u))
    reduced = {**simple, "output_basis": floats([2.0, 0.0]), "outputs": floats([1.0])}
    for errors, length in (((3.0, 4.0), 5), ((0.5, 0.0), Fraction(1, 2)), ((0.0, 0.0), 0)):
        G = [[2.0 + errors[0]], [errors[1]]]
        exact(m, 10 + 5 * length, lambda u: checks_directions(m, line, G, (1, 0), reduced, u))  # noqa: B023
    finer = {**reduced, "outputs": floats([1.0 + 2.0**-40])}
    assert rejected(m, checks_directions, m, line, [[2.0], [0.0]], (1, 0), finer, 10)
    for powers, value in (((200, 0), 5 * 2.0**200), ((-200, 0), 5.0), ((-1100, -1100), 1e-300)):
        more = {
            "proof": integers([*simple["proof"][:-1], 0, 0, *powers, 0, 1, 0, 0, 0]),
            "values": floats([5.0, 5.0, value * (1 + 1e-12)]),
        }
        assert accepted(m, checks_directions, m, line, [[1.0]], (1, 0), {**simple, **more}, 5)
    empty = {name: integers([]) for name in ("proof", "y", "rho", "mu")} | {"values": floats([]), "normals": floats([])}
    wide = {**empty, "exponents": integers([0]), "output_basis": floats(np.zeros(13)), "outputs": floats(np.zeros(13))}
    says(m, "too many outputs", checks_directions, m, line, [[1.0]], (1, 0), wide, 1)
    none = {**empty, "exponents": integers([0]), "output_basis": floats([]), "outputs": floats([])}
    says(m, "no basis", checks_directions, m, line, [[1.0]], (1, 0), none, 1)


PROBES = [forests, lanes, bounds_of_nodes, steps_of_trees, trees, directions]
