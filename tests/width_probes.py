"""Numbers that the functions of width_check.py compute, for mutants of it: each probe takes the module and gives what it saw.

What they must be is tested in test_width_certificate.py; here they are compared with those of the module itself.
"""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction
from math import isqrt
from types import SimpleNamespace
from typing import Any

from hostile_files import problem_of
from width_files import KEPT, by_hand, by_hand_with_centres, false_files, floats, hostile_files, integers
from width_files import costly as costly_file

# Where a file is only made to cost much, the first steps are enough.
WORK = 2 * 10**8


def _with_budget(m, step, work: int = 1 << 60, memory: int = 1 << 60) -> tuple[Any, ...]:
    """What a step gives, or why it does not, and what is left of a budget."""
    budget = m.Budget(work, memory)
    token = m.BUDGET.set(budget)
    try:
        said: Any = step()
    except m.Rejected as error:
        said = str(error)
    except StopIteration:
        said = "cut off"
    finally:
        m.BUDGET.reset(token)
    return said, budget.work, budget.memory


def answer(m, content: bytes, work: int = 1 << 60) -> tuple[Any, ...]:
    """What a check says, and what is left of a budget."""
    return _with_budget(m, lambda: m._claim(content), work, 1 << 40)


def limits(m):
    assert (m.WORK, m.WORK_RATE, m.MEMORY, m.MEMORY_RATE, m.MEMORY_MOST) == (2 * 10**10, 8, 1 << 26, 1 << 13, 1 << 33)
    assert (m.FILE_BYTES, m.HEADER_BYTES, m.FLOAT_BYTES, m.INT_BYTES) == (1 << 29, 1 << 26, 1 << 26, 1 << 29)
    assert (m.ARRAYS, m.HEADER_DIGITS, m.RANK, m.SITES, m.HALVINGS, m.THETA) == (64, 400, 8, 4096, 64, 255)
    assert (m.GRID, m.T, m.FULL, m.CAP, m.BEYOND, m.OPEN, m.CHUNK) == (20, 52, 1 << 52, 60, 256, 1 << 24, 10**6)
    assert (m.FINE, m.SCALE, m.LOSSES) == (64, 24, ("mse", "cross_entropy", "logistic"))


def budgets(m):
    """Which budget a file has, whatever became of the one before it; nine coordinates are one too many."""
    found = [m.work_of(size) for size in (0, 1, 10**5)]
    given, Budget = [], m.Budget

    def recording(work, memory):
        given.append((work, memory))
        return Budget(work, memory)

    m.Budget = recording
    try:
        for content in (by_hand().content(), costly_file(1, 9, 1, integers(0))):
            try:
                found.append(m.check(content)["lower"])
            except m.Rejected as error:
                found.append(str(error))
            found.append(m.BUDGET.get().work == m.BUDGET.get().memory == math.inf)
    finally:
        m.Budget = Budget
    assert found[-2] == "the points have too many coordinates"
    return found, given


def endings(m):
    """What `check` makes of whatever may be raised on the way: always a rejection."""
    found, claim = [], m._claim
    for error in (StopIteration, MemoryError, ZeroDivisionError, ValueError, TypeError, KeyError, RecursionError):

        def fails(content, error=error):
            raise error("by itself")

        m._claim = fails
        try:
            found.append(m.check(b""))
        except m.Rejected as rejection:
            found.append(str(rejection))
        finally:
            m._claim = claim
    return found


def kept_files(m):
    return [answer(m, content) for content in KEPT.values()]


def false(m):
    return [answer(m, content) for _, content, _ in false_files()]


def costly(m):
    return [answer(m, content, WORK) for content in hostile_files().values()]


def variants(m):
    """What is at the edge of being true."""
    found = []
    for header in (
        {"loss": 0.9375}, {"loss": 0.9374999999999999}, {"loss": 0.68359375}, {"loss": 0.6835937499999999},
    ):  # fmt: skip
        file = by_hand()
        file.header |= header
        found.append(answer(m, file.content()))
    for entry in (
        {"scale": 1.0000000000000002}, {"bound": 0.8750000000000001}, {"bound": 0.0, "inner": 0.0, "scale": 1.0},
        {"bound": 0.8750000000000001, "inner": 0.8750000000000001, "scale": 0.9999999999999998}, {"inner": -1.0},
        {"bound": 0.5, "inner": 0.5000000000000001}, {"bound": 0.5, "inner": 0.5}, {"scale": 0.0},
    ):  # fmt: skip
        file = by_hand()
        file.header["needed"][0] |= entry
        found.append(answer(m, file.content()))
    for arrays in (
        {"theta": integers(255, 255, 255)}, {"theta": integers(1, 0, 1)}, {"sites": integers(1, 0)}, {"sites": integers(0, 0)},
        {"sites": integers(1, 1)}, {"sites": integers(3, 1)}, {"hitting": integers(0)}, {"hitting": integers(1, 1, 0, 0, 1, 0)},
        {"hitting": integers(1, 1, 0)}, {"sites": integers(1, -1) * 2048}, {"sites": integers(1, -1) * 2049},
        {"proof": integers(1, 1, 0, 0, 0, 0, 0), "theta": integers(1, 1, 1, 1), "mu": integers(1 << 24)},
        {"proof": integers(1, 1, 0, 0, 0, 0, 0), "theta": integers(1, 1, 1, 1), "mu": integers(1 << 23)},
        # 2F = 3 must be at most û·2(1 + 2M/2^24): 1.5 = 0.875 + 0.625, so M ≥ 0.3571…·2^24.
        {"proof": integers(1, 1, 0, 0, 0, 0, 0), "theta": integers(1, 1, 1, 1), "mu": integers(5991863)},
        {"proof": integers(1, 1, 0, 0, 0, 0, 0), "theta": integers(1, 1, 1, 1), "mu": integers(5991862)},
        {"X": floats(1.0), "W1": floats(), "W2": floats()},
    ):  # fmt: skip
        file = by_hand()
        file.arrays |= arrays
        found.append(answer(m, file.content()))
    # A leaf that is just below the bound, for all w.
    file = by_hand()
    file.header |= {"loss": 0.5, "network": False}
    file.header["needed"][0] |= {"scale": 0.5, "bound": 1.5, "inner": 1.5}
    file.arrays = {name: values for name, values in file.arrays.items() if name not in ("W1", "W2")}
    file.arrays |= {"proof": integers(0, 0, 0, 0), "theta": integers(1, 1, 1, 1)}
    found.append(answer(m, file.content()))
    assert found[-1][0]["lower"] == 1
    # One cap of all directions.
    file = by_hand()
    file.arrays |= {"sites": integers(1), "proof": integers(1, 0) * 4, "theta": integers()}
    found.append(answer(m, file.content()))
    assert found[-1][0]["lower"] == 1
    # Targets finer than the outputs.
    file = by_hand()
    fine = floats(1.0000000000000002)
    file.header["problem"] = problem_of("mse", (1.0, 0.0), 0.0, (1, 1, 1), floats(1.0), fine)
    file.header["loss"] = 2.0000000000000004
    file.arrays |= {"Y": fine, "W1": floats(1.0), "W2": floats(1.0)}
    found.append(answer(m, file.content()))
    return found


def _cones(m, rng, n, outputs, count, sites, sign=1, bound=Fraction(10**4)):
    points = [[rng.randrange(-9, 10) for _ in range(n)] for _ in range(count)]
    weights = [[rng.choice((1, -1)) if outputs == 1 else rng.randrange(-9, 10) for _ in range(outputs)] for _ in points]
    linear = [[rng.randrange(-9, 10) for _ in range(n)] for _ in range(outputs)]
    frame = SimpleNamespace(n=n, m=outputs, points=points, weights=weights, linear=linear, bound=bound)
    places = [[rng.randrange(-5, 6) for _ in range(n)] for _ in range(sites)]
    return m.Outside(frame, sign, places, [0], [m.Stream([]) for _ in range(3)])


def cones(m):
    """Vertices, open points, F and what a node is said to hold."""
    rng = random.Random(0)
    found: list[Any] = []
    for n, outputs in itertools.product((1, 2, 4), (1, 3)):
        for sign in (1, -1):
            outside = _cones(m, rng, n, outputs, 7, 3, sign)
            signs = [rng.choice((1, -1)) for _ in range(n)]
            vertices = outside.root(signs)
            found += [outside.edges, outside.bits, outside.price, outside.others, outside.held(5), vertices]
            for _ in range(3 if n > 1 else 0):
                a, b = rng.sample(range(n), 2)
                vertices[a] = outside.middle(vertices[a], vertices[b])
            weights, vertices = outside.settled(outside.weights, vertices)
            corners = m.scaled(vertices)
            theta = [rng.randrange(1, 9) for _ in vertices]
            found += [
                weights,
                vertices,
                outside.outputs(weights, corners) if outputs > 1 else outside.one_output(weights, corners, theta),
            ]
    # Points that are 0 at a vertex, and that θ puts just on either side.
    outside = _cones(m, rng, 2, 1, 1, 3)
    for values, weight, theta in itertools.product(((0, 2), (3, -1), (-1, 2)), ((1,), (-1,)), ([1, 1], [1, 2], [1, 4])):
        corners = [([1, 0], [5], [v], []) for v in values]
        found.append(outside.one_output([list(weight)], corners, theta))
    return found


def tight(m):
    """The least bound at which a leaf is accepted, in steps, with and without a multiplier."""
    rng = random.Random(1)
    found = []
    for n, outputs, M in itertools.product((2, 3), (1, 2), (0, 3 << 22)):
        outside = _cones(m, rng, n, outputs, 5, 2)
        weights, vertices = outside.settled(outside.weights, outside.root([1] * n))
        least = None
        for tenths in range(1, 4000):
            outside.frame.bound = Fraction(tenths, 7)
            outside.theta = m.Stream([3, 2, 1][:n])
            try:
                outside.bounded(weights, m.scaled(vertices), [M * (v[4][1] - v[4][0]) for v in vertices])
            except m.Rejected:
                continue
            least = tenths
            break
        found.append(least)
    return found


def roots(m):
    """‖w‖ is rounded up: 2**64·√2 units, of which the integer below would do for a bound that is too small."""
    frame = SimpleNamespace(n=2, m=1, points=[], weights=[], linear=[[1, 1]], bound=Fraction(1))
    outside = m.Outside(frame, 1, [[1, 1]], [0], [m.Stream([]) for _ in range(3)])
    corners = m.scaled(outside.root([1, 1]))
    for more in (0, 1):
        outside.frame.bound = Fraction(isqrt(2 << 128) + more, 1 << 64)
        outside.theta = m.Stream([1, 1])
        try:
            outside.bounded([], corners, [0, 0])
            assert more
        except m.Rejected:
            assert not more


def leaves(m):
    """A leaf whose caps outside are away, or touch, or are listed."""
    found = []
    for sites, proof in itertools.product(([[1, 1], [0, 0]], [[1, 0], [0, 0]], [[1, 1], [0, 0], [2, 0]], [[1, 1], [-1, 2]]), (
        [0], [1, 0, 0], [1, 1, 0], [2, 0, 0, 0, 0], [1, 2, 0],
    )):  # fmt: skip
        outside = _cones(m, random.Random(2), 2, 1, 3, 2)
        outside.sites, outside.others = sites, list(range(1, len(sites)))
        outside.proof, outside.theta, outside.mu = m.Stream(proof), m.Stream([1] * 8), m.Stream([1] * 4)
        found.append(_with_budget(m, lambda o=outside: o.leaf(o.weights, o.root([1, 1]), True)))
    # Away from one of two caps chosen.
    outside = _cones(m, random.Random(2), 2, 1, 3, 2)
    outside.sites, outside.chosen, outside.others, outside.proof = [[2, 2], [0, 0], [1, 1]], [0, 1], [2], m.Stream([0])
    outside.leaf(outside.weights, outside.root([1, 1]), True)
    return found


def hitting(m):
    """Trees of all kinds, right and wrong."""
    rng = random.Random(3)
    found = []
    sets = [0b011, 0b101, 0b110, 0b1000, 0b11000]
    streams = [
        [3, 1, 0, 0, 2, 2, 0, 0, 2, 1, 0],
        [2, 1, 0, 0, 1, 2, 0, 1, 1],
        [2, 0, 2, 0, 2],
        [3, 1, 1, 0, 2, 1, 0, 0, 2, 0, 1],
    ]
    streams += [[rng.randrange(0, 4) for _ in range(12)] for _ in range(400)]
    streams += [
        [least, 1, a, 0, q, *gaps] * 3
        for least in (1, 2, 3)
        for a in range(4)
        for q in (1, 2)
        for gaps in ([0, 0], [1, 1], [2, 0])
    ]
    # Nothing hits the second set where cap 0 is banned.
    empty = [3, 1, 0, 0, 2, 2, 0, 0, 1, 1], [0b11, 0b1, 0b100, 0b1000]
    for stream, among in [*((stream, sets) for stream in streams), ([1, 0, 1, 0], [1 << 4000]), empty]:

        def number(stream=stream, among=among):
            read = m.Stream(stream)
            return m.hitting_number(among, read), next(iter(read.take, None), None)

        found.append(_with_budget(m, number))
    return found


def _read_space(m, basis, coordinates, X, n):
    problem = SimpleNamespace(X=X, x=-2, N=len(X), n=n)
    return m.read_space(problem, True, {"basis": floats(*basis), "coordinates": floats(*coordinates)})


def spaces(m):
    """Coordinates that fit exactly, and that do not."""
    found = []
    for basis, coordinates in (((1.0, 0.0), (2.0, 3.0)), ((1.0, 0.5), (2.0, 3.25)), ((0.6, 0.8), (1e-3, 1e3))):
        space, stretch, errors, low = _read_space(m, basis, coordinates, [[8, 0], [12, 1]], 2)
        found.append((space.points, space.x, stretch, errors, low))
    for r in (0, 1, 8, 9):
        found.append(_with_budget(m, lambda r=r: _read_space(m, [1.0] * r, [0.5] * r, [[8]], 1)[2:]))
    for X in ([[8, 0], [12, 1]], [[1 << 3000, 0], [12, 1]]):
        budget = m.Budget(1 << 60, 1 << 60)
        token = m.BUDGET.set(budget)
        try:
            _read_space(m, (0.6, 0.8), (1e-3, 1e3), X, 2)
        finally:
            m.BUDGET.reset(token)
        found.append((budget.work, budget.memory))
    return found


def caps(m):
    """Caps that just touch, that just do not, and that are too large or nothing."""
    found = []
    # Two caps of 30° and 60° about perpendicular centres touch: h = (√3/2, 1/2)·size.
    for centres, heights in (
        ([[4, 0], [0, 4]], (3, 3)), ([[4, 0], [0, 4]], (3, 2)), ([[5, 0], [0, 5]], (4, 3)), ([[5, 0], [0, 5]], (4, 4)),
        ([[5, 0], [0, 5]], (3, 4)), ([[10, 0], [0, 10]], (8, 6)), ([[10, 1], [0, 10]], (9, 7)), ([[1, 0]], (1,)), ([[1, 0]], (0,)),
        ([[2, 0]], (1,)), ([[2, 0]], (-1,)), ([[2, 0], [2, 0]], (1, 1)), ([[2, 0]], (1, 1)), ([[3, 4], [-3, 4]], (4, 4)),
        ([[3, 4], [-4, 3], [4, -3]], (4, 4, 4)), ([[3, 4], [-4, 3], [4, 3]], (4, 4, 4)), ([[5, 0], [-5, 0]], (1, 1)),
        ([[1 << 39, 0]], (1,)), ([[1 << 40, 0]], (1,)), ([[25, 0], [7, 24]], (24, 24)), ([[25, 0], [7, 24]], (24, 20)),
        ([[25, 0], [7, 24]], (20, 20)), ([[25, 0], [-25, 0]], (24, 24)), ([[2, 0], [-2, 0]], (1, 0)), ([[2, 0], [-2, 0]], (1, 2)),
        ([[1, 1]], (1,)), ([[5, 0], [5, 0]], (1, 4)),
    ):  # fmt: skip
        centres = [list(row) for row in centres]
        found.append(_with_budget(m, lambda c=centres, h=heights: list(m.read_caps(c, {"heights": integers(*h)}))))
    return found


def _forest(
    m,
    centres,
    heights,
    points=((8, 0), (3, 5), (-7, 2), (0, 0), (-8, 0), (1, -9)),
    exponents=None,
    x=-1,
    grid=(3, 4, 5),
):
    problem = SimpleNamespace(N=len(points), a_plus=Fraction(1), a_minus=Fraction(0))
    given = integers(*(exponents or [4] * len(points)))
    space = m.Space([list(row) for row in points], x)
    return m.Forest(problem, space, given, grid if grid is None else list(grid), centres, heights)


def forests(m):
    """What trees share, and the intervals of a cap."""
    found: list[Any] = []
    for centres, heights in (([[1 << 20, 0], [5, 1 << 19]], [1 << 19, 1 << 18]), ([[3 << 18, 1 << 20]], [1 << 20])):

        def every(centres=centres, heights=heights):
            forest = _forest(m, centres, heights)
            ends = [forest.in_cap(k) for k in (*range(len(centres)), 0)]
            ends[0][0][0] = 0  # a copy
            shared = forest.points, forest.heights, forest.radius, forest.p, forest.used, forest.bits, forest.exponents
            again = forest.in_cap(0)
            return shared, ends, again, forest.first, forest.problem.N, forest.gram

        found.append(_with_budget(m, every))
    for exponents in (
        [0] * 6, [60, 0, 0, 9, 0, 0], [2200] + [0] * 5, [2201] + [0] * 5, [-2200] + [0] * 5, [-2201] + [0] * 5, [0] * 5,
        [4, 90, 0, 0, 0, 0],
    ):  # fmt: skip
        found.append(_with_budget(m, lambda e=exponents: _forest(m, [[1 << 20, 0]], [1 << 19], exponents=e).points))
    for grid in (
        None,
        [],
        [0, 0],
        [0] * 4,
        [52, 52, 52],
        [53, 0, 0],
        [0, 53, 0],
        [0, 0, -1],
        [True, 0, 0],
        [0, 1.0, 0],
    ):
        found.append(_with_budget(m, lambda g=grid: _forest(m, [[1 << 20, 0]], [1 << 19], grid=g).grid))
    # As far apart as they may be, and a bit more; Gram matrices of integers of all lengths.
    for exponent, x in ((2200, -2200), (2200, -2201), *((k, 0) for k in range(53, 60))):

        def row(exponent=exponent, x=x):
            forest = _forest(m, [[1 << 20, 0]], [1 << 19], ((1, 0), (0, 3)), [exponent, 0], x)
            return forest.p, forest.row(0) if exponent < 60 else None

        found.append(_with_budget(m, row))
    # Integers so small that a unit more is seen.
    rng = random.Random(4)
    for _ in range(60):
        points = [[rng.randrange(-4, 5), rng.randrange(-4, 5)] for _ in range(6)]
        centre = [rng.randrange(1, 5), rng.randrange(0, 5)]
        forest = SimpleNamespace(
            ends={},
            points=[*points, centre],
            bits=3,
            first=6,
            gram=[[]] * 7,
            heights=[rng.randrange(1, sum(centre) + 1)],
        )
        forest.radius = [m.root_up(m.dot(row, row)) for row in forest.points]
        forest.row = lambda at, every=forest.points: [m.dot(every[at], other) for other in every]
        if forest.heights[0] ** 2 < m.dot(centre, centre):
            found.append(m.Forest.in_cap(forest, 0))
    return found


def needed(m):
    """Needed sets that are ones, and what only looks like them; a point may lie where its coordinates do not say."""
    found = []

    def sets(change, error=0, places=1, U=0.75, arrays=None):
        file = by_hand()
        given = file.arrays | (arrays or {})
        problem = m.Problem(file.header["problem"], given)
        file.header["needed"][0] |= change if isinstance(change, dict) else {}
        header = {"needed": file.header["needed"] * places if isinstance(change, dict) else change}
        space = m.Space(problem.X, problem.x)
        return list(m.needed_sets(problem, U, header, 2, (space, Fraction(1), [error], -4), given)), header

    for caps in (
        [0, 1],
        [1],
        [],
        0,
        {0: 1},
        {},
        "0",
        [True],
        [0, True],
        [0.0],
        [2],
        [1, 2],
        [-1],
        [-1, 1],
        [0, 0],
        [1, 0],
    ):
        found.append(_with_budget(m, lambda c=caps: sets({"caps": c})))
    for change in (
        {},
        {"inner": 0.75},
        {"inner": 0.0, "bound": 0.0, "scale": 0.0},
        {"scale": -1.0},
        {"inner": -1.0},
        None,
        (),
        "a",
    ):
        for error in (0, 1, 2):
            found.append(_with_budget(m, lambda c=change, e=error: sets(c, e)))
    for places, values in ((1, (1.5, 1.5)), (2, (1.5, 1.5)), (2, (1.5,)), (0, ()), (1, ())):
        found.append(_with_budget(m, lambda p=places, v=values: sets({}, places=p, arrays={"G": floats(*v)})))
    # The dual value is 1.5 − 1.5²/4.
    for U in (0.9375, 0.9374999999999999):
        found.append(_with_budget(m, lambda u=U: sets({}, U=u)))
    return found


def about_centres(m):
    """What is at the edge of being true."""
    found = []
    for change in (
        {}, {"inner": 1.3749999999999998}, {"scale": 0.6363636363636364}, {"scale": 0.6363636363636365}, {"scale": -0.5},
        {"bound": 1.38}, {"bound": 1.3749999999999998}, {"inner": 0.0, "bound": 0.0}, {"inner": -1.0, "bound": -1.0},
    ):  # fmt: skip
        file = by_hand_with_centres()
        file.header["needed"][0] |= change
        found.append(answer(m, file.content()))
    for base in (
        {"inner": 0.0},
        {"inner": 0.65625},
        {"inner": 0.75},
        {"grid": [52, 52, 2]},
        {"grid": [53, 0, 2]},
        {"grid": 1},
    ):
        file = by_hand_with_centres()
        file.header["base"] |= base
        found.append(answer(m, file.content()))
    for arrays in (
        {"G": floats(0.25)}, {"G": floats(1.0)}, {"heights": integers(11 << 16, 1 << 19)}, {"base": floats(-0.875)},
        {"heights": integers((11 << 16) - 1, 1 << 19)}, {"exponents": integers(3)}, {"exponents": integers(-3)},
        {"proof": integers(0, 1, 0, 2, 3, 0, 3, 1, 0, 1, 0, 4, 2, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)},
        # Caps in the other order; two neurons are not needed.
        {"sites": integers(-1 << 20, 1 << 20)}, {"hitting": integers(2, 0, 1, 0)},
        {"proof": integers(0, 1, 0, 2, 3, 0, 3, 1, 0, 1, 0, 4, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)},
    ):  # fmt: skip
        file = by_hand_with_centres()
        file.arrays |= arrays
        found.append(answer(m, file.content()))
    for hitting in ((1, 0, 1, 0), (2, 0, 1, 0)):
        file = by_hand_with_centres()
        file.header["needed"][0] |= {"caps": [1]}
        file.arrays |= {"sites": integers(-1 << 20, 1 << 20), "hitting": integers(*hitting)}
        file.arrays["proof"][4], file.arrays["proof"][7] = 5, 2
        found.append(answer(m, file.content()))
    assert found[-2][0]["lower"] == 1
    # The base is larger than G; it is twice as large as by hand, so ρ is half as large.
    file = by_hand_with_centres()
    file.header["base"] |= {"inner": 1.5}
    file.arrays |= {"base": floats(1.75)}
    file.arrays["proof"][0] = 1
    found.append(answer(m, file.content()))
    assert "too far" in found[-1][0]
    # The base is coarser than G.
    file = by_hand_with_centres()
    file.header |= {"network": False, "loss": 0.5}
    for name in ("W1", "W2"):
        del file.arrays[name]
    file.arrays |= {"base": floats(0.5), "G": floats(1.125), "proof": integers(*[0, 1, 0, 0] * 4), "rho": integers()}
    found.append(answer(m, file.content()))
    assert found[-1][0]["lower"] == 1
    return found


# The quickest first.
PROBES = (
    limits,
    endings,
    roots,
    caps,
    forests,
    needed,
    leaves,
    spaces,
    cones,
    hitting,
    budgets,
    kept_files,
    variants,
    about_centres,
    tight,
    false,
    costly,
)
