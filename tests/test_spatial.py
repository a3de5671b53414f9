"""Cones of directions: proofs redone in rationals, bounds against exact maxima, the same bytes for any number of threads."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from enumeration import gamma, patterns_and_slopes
from exact import dot, rationals, root_up

from cpcert import Problem
from cpcert.activations import activation
from cpcert.certificate import check
from cpcert.certificate.clock import Clock
from cpcert.certificate.file import as_arrays, exact_problem
from cpcert.certificate.spatial import spatial
from cpcert.certificate.task import Task
from cpcert.oracle import ladder
from cpcert.oracle.cells import cell_cover
from cpcert.oracle.coordinates import coordinates, unchanged
from cpcert.oracle.frame import Frame
from cpcert.oracle.ladder import find_neurons, prove
from cpcert.oracle.plane import plane_oracle
from cpcert.oracle.rung import Limits
from cpcert.oracle.spatial import integer_frame, orthants, spatial_cover
from cpcert.oracle.spectral import spectral_bound
from cpcert.parallel import Workers

ACTIVATIONS = [("relu", None), ("leaky_relu", 0.25), ("leaky_relu", -0.5), ("abs", None)]
HALF = Fraction(1, 2)


def redo(proof, points, G, sigma):
    """The trees of a SpatialProof prove ‖f̂‖ ≤ aim, in rationals; returns the number of leaves. The frame's rounding is redone too."""
    r, m = points.shape[1], len(G)
    frame = integer_frame(points, G, sigma, proof.aim)
    unit = Fraction(2) ** sum(frame.bits)
    X, H, L = rationals(frame.points), rationals(frame.weights.T), rationals(frame.linear)
    aim = Fraction(proof.aim) * unit
    edges = list(combinations(range(r), 2))
    tree, theta = iter(proof.tree.tolist()), iter(proof.theta.tolist())
    leaves = 0
    for sign in (1, -1) if m == 1 else (1,):
        for orthant in orthants(r):
            pending = [rationals(orthant)]
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
                s = [[dot(x, u) for u in cone] for x in X]
                for j, u in enumerate(cone):
                    F = excess(X, H, L, s, j, u, w, sign)
                    assert root_up(dot(w, w)) * F <= aim * dot(w, u)
                leaves += 1
    assert next(tree, None) is None and next(theta, None) is None
    return leaves


def excess(X, H, L, s, j, u, w, sign):
    """F_j of (1) and (2), without the norm."""
    value = [sign * dot(row, u) for row in L]
    if len(L) == 1:
        for x, (h,), v in zip(X, H, s, strict=True):
            if sign * h > 0:
                value[0] += abs(h) * max(v[j], 0)
            elif dot(x, w) > 0:
                value[0] -= abs(h) * v[j]
        return value[0]
    spread = Fraction(0)
    for h, v in zip(H, s, strict=True):
        p, q = max(v), -min(v)
        e = p * q / (p + q) if p > 0 and q > 0 else Fraction(0)
        value = [a + b * (max(v[j], 0) - HALF * e) for a, b in zip(value, h, strict=True)]
        spread += HALF * root_up(dot(h, h)) * e
    return root_up(dot(value, value)) + spread


def frame_error_holds(points, G, sigma, frame):
    """(3) of spatial.py, in rationals: error ≥ what f can change by."""
    delta = Fraction(sigma.a_plus) - Fraction(sigma.a_minus)
    g, x = rationals(G.T), rationals(points)
    total = Fraction(0)
    unit = Fraction(2) ** sum(frame.bits)
    for i, point, weight in zip(frame.index.tolist(), rationals(frame.points), rationals(frame.weights.T), strict=True):
        rest = [
            delta * h * v - a * b / unit
            for h, a in zip(g[i], weight, strict=True)
            for v, b in zip(x[i], point, strict=True)
        ]
        total += root_up(dot(rest, rest))
    left = [
        Fraction(sigma.a_minus) * sum(row[k] * v for row, v in zip(x, h, strict=True)) - b / unit
        for h, line in zip(rationals(G), rationals(frame.linear), strict=True)
        for k, b in enumerate(line)
    ]
    return total + root_up(dot(left, left)) <= Fraction(frame.error)


def certified(problem, G, answer):
    """Whether the checker accepts the proof for the bound of the answer, a little raised."""
    exact = exact_problem(problem)
    frame = answer.frame or Frame(unchanged(problem.X_tilde), 0, 0)
    task = Task(problem, exact, G, answer.upper_bound, frame, Clock())
    attempt = next(spatial(task, answer.proof))
    flat, g = task.exact_G
    try:
        space, arrays = check.Space(exact.X, exact.x), as_arrays(attempt.arrays)
        check.check_oracle(exact, space, flat, g, Fraction(attempt.bound), attempt.oracle, arrays)
    except (check.Rejected, StopIteration):
        return False
    return True


def random_points(rng, kind, N, r):
    points = rng.standard_normal((N, r))
    if kind == "ties":
        points = rng.integers(-1, 2, size=(N, r)).astype(float)
    elif kind == "double":
        points[N // 2 :] = points[: N - N // 2] * rng.choice([1.0, -2.0], size=(N - N // 2, 1))
    elif kind == "zero":
        points[::2] = 0.0
    elif kind == "axes":
        points = np.eye(r)[rng.integers(0, r, size=N)] * rng.standard_normal((N, 1))
    elif kind == "scales":
        points = np.ldexp(points, rng.integers(-12, 12, size=(N, 1)))
    points[0] += np.eye(r)[0]  # of full rank with the next ones, mostly
    return points


KINDS = ("generic", "ties", "double", "zero", "axes", "scales")


def compare(seed, monkeypatch):
    """One random problem against its exact maximum; False if it is one for other rungs."""
    rng = np.random.default_rng([15, seed])
    kind, (name, slope) = KINDS[seed % 6], ACTIVATIONS[seed // 6 % 4]
    sigma = activation(name, slope)
    m = 1 if seed // 24 % 2 == 0 else int(rng.integers(2, 4))
    r = 3 if m == 1 else 2
    N = int(rng.integers(2, 8))
    points, G = random_points(rng, kind, N, r), rng.standard_normal((m, N))
    if seed % 5 == 0:
        G[:, rng.integers(0, N)] = 0.0
    if m == 1:
        exact = gamma(G[0], points, patterns_and_slopes(points, sigma.a_plus, sigma.a_minus))
    else:
        exact = plane_oracle(points, G, sigma, 0.0).upper_bound
    if exact <= 1e-9:
        return False
    exponent = int(rng.choice([0, 0, 330, -330])) if m == 1 else 0
    if m == 1 and np.linalg.matrix_rank(points) == 3:
        monkeypatch.setattr(ladder, "CONES_FROM", {3: 0})
        monkeypatch.setattr(ladder, "spectral_bound", lambda *given: (1e3 * spectral_bound(*given)[0], None))
        G, exact = np.ldexp(G, exponent), float(np.ldexp(exact, exponent))
        space = coordinates(points.T)
        search = lambda cutoff: prove(space, G, sigma, cutoff, Limits(nodes=200_000), 0)  # noqa: E731
    else:
        search = lambda cutoff: spatial_cover(points, G, sigma, cutoff)  # noqa: E731
    above = search(exact * (1.0 + 1e-6))
    assert above.rung == "spatial" and above.complete, (seed, above)
    assert above.upper_bound >= exact * (1.0 - 1e-12), seed
    below = search(exact * (1.0 - 1e-5))
    assert not below.complete, seed
    assert not len(below.values) or below.values[0] <= exact * (1.0 + 1e-9)
    problem = Problem(points, np.zeros((N, m)), lam=1.0, loss="mse", activation=name, slope=slope, beta=0.0)
    assert certified(problem, G, above), seed
    assert not certified(problem, G, replace(above, upper_bound=exact * (1.0 - 1e-9))), seed
    return True


@pytest.mark.parametrize("part", range(6))
def test_bounds_are_those_of_an_enumeration(part, monkeypatch):
    assert sum(compare(10 * part + k, monkeypatch) for k in range(10)) >= 5


@pytest.mark.campaign
def test_bounds_are_those_of_an_enumeration_at_length(monkeypatch):
    assert sum(compare(seed, monkeypatch) for seed in range(100, 2600)) >= 2000


@pytest.mark.parametrize("sigma", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("m", [1, 3])
def test_proofs_can_be_redone(sigma, m):
    rng = np.random.default_rng(m)
    points, G = rng.standard_normal((9, 3)), rng.standard_normal((m, 9))
    points[3] = -points[2]
    sigma = activation(*sigma)
    top = find_neurons(coordinates(points.T), G, sigma, np.zeros((0, 3)), 200, 0).values[0]
    answer = spatial_cover(points, G, sigma, 1.2 * top)
    assert answer.complete and redo(answer.proof, points, G, sigma) > 8
    assert frame_error_holds(points, G, sigma, integer_frame(points, G, sigma, 1.2 * top))
    flat = replace(answer.proof, aim=answer.proof.aim / 1.3)
    with pytest.raises(AssertionError):
        redo(flat, points, G, sigma)


def test_several_outputs_agree_with_cells():
    rng = np.random.default_rng(3)
    points, G = rng.standard_normal((8, 3)), rng.standard_normal((3, 8))
    relu = activation("relu")
    cells = cell_cover(points, G, relu, 0.0, Limits(nodes=3000))
    found = find_neurons(coordinates(points.T), G, relu, np.zeros((0, 3)), 300, 0).values[0]
    answer = spatial_cover(points, G, relu, found * (1.0 + 1e-4))
    assert answer.complete and found <= cells.upper_bound


def test_threads_do_not_change_a_byte():
    rng = np.random.default_rng(5)
    points, G = rng.standard_normal((60, 4)), rng.standard_normal((1, 60))
    relu = activation("relu")
    top = find_neurons(coordinates(points.T), G, relu, np.zeros((0, 4)), 100, 0).values[0]
    for cutoff in (1.1 * top, 0.9 * top):
        one, four = (spatial_cover(points, G, relu, cutoff, Limits(workers=Workers(count=count))) for count in (1, 4))
        assert one.complete == four.complete == (cutoff > top) and one.nodes == four.nodes
        assert one.W.tobytes() == four.W.tobytes()
        if one.complete:
            assert all(
                getattr(one.proof, part).tobytes() == getattr(four.proof, part).tobytes() for part in ("tree", "theta")
            )


def test_limits_end_the_search():
    rng = np.random.default_rng(6)
    points, G = rng.standard_normal((80, 5)), rng.standard_normal((1, 80))
    relu = activation("relu")
    top = find_neurons(coordinates(points.T), G, relu, np.zeros((0, 5)), 100, 0).values[0]
    for limits in (Limits(nodes=100), Limits(deadline=0.0)):
        answer = spatial_cover(points, G, relu, top * 1.01, limits)
        assert answer.proof is None and answer.upper_bound == np.inf


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.inf, np.nan])
def test_what_is_no_cutoff_is_not_proven(cutoff):
    answer = spatial_cover(np.eye(3), np.ones((1, 3)), activation("relu"), cutoff)
    assert answer.proof is None and answer.upper_bound == np.inf and not answer.complete


def small_cones(name="relu", slope=None, m=1):
    """A problem, G and an answer whose certificate is small."""
    rng = np.random.default_rng(7)
    points, G = rng.standard_normal((10, 3)), rng.standard_normal((m, 10))
    problem = Problem(points, np.zeros((10, m)), lam=1.0, loss="mse", activation=name, slope=slope, beta=0.0)
    space = coordinates(points.T)
    top = find_neurons(space, G, problem.activation, np.zeros((0, 3)), 200, 0).values[0]
    answer = spatial_cover(points, G, problem.activation, 1.01 * top)
    assert certified(problem, G, answer)
    return problem, G, answer


@pytest.mark.parametrize("m", [1, 2])
def test_wrong_certificates_are_rejected(m):
    problem, G, answer = small_cones(m=m)
    rng = np.random.default_rng(8)
    proof = answer.proof
    r = 3
    edges = r * (r - 1) // 2
    inner, leaves = np.flatnonzero(proof.tree > 0), np.flatnonzero(proof.tree == 0)
    wrong = []
    for at in rng.choice(leaves, 10):  # an entry more, one that is no edge
        wrong += [proof.tree.copy(), proof.tree.copy()]
        wrong[-2][at], wrong[-1][at] = 1, edges + 1
    for at in rng.choice(inner, 10):  # a subtree is gone
        wrong.append(proof.tree.copy())
        wrong[-1][at] = 0
    wrong += [proof.tree[:-1], np.append(proof.tree, 0), -proof.tree]
    for tree in wrong:
        assert not certified(problem, G, replace(answer, proof=replace(proof, tree=tree)))
    thetas = [
        proof.theta[:-1],
        np.append(proof.theta, 1),
        0 * proof.theta,
        -proof.theta,
        proof.theta.astype(int) * 1000,
    ]
    for theta in thetas:
        assert not certified(problem, G, replace(answer, proof=replace(proof, theta=theta)))
    p, q = proof.bits
    for bits in ((p - 34, q), (5000, q), *(() if m == 1 else ((p, q - 34), (p, 5000)))):
        assert not certified(problem, G, replace(answer, proof=replace(proof, bits=bits)))
    assert not certified(problem, G * (1.0 + 0.05), answer)
    exact = exact_problem(problem)
    flat, g = check.matrix(G.ravel().tolist(), m, problem.N, "G")
    for bits in ([p, 1] if m == 1 else [p], [p, q, 0], [p, 0.5], {"p": p}, [p, True]):
        with pytest.raises(check.Rejected):
            check.Frame(exact, check.Space(exact.X, exact.x), flat, g, Fraction(answer.upper_bound), bits)


def test_lanes_add_select_and_sum():
    rng = np.random.default_rng(9)
    for count in (0, 1, 2, 7, 8, 33):
        values = [int(v) for v in rng.integers(-(2**40), 2**40, size=count)]
        values[::3] = [0] * len(values[::3])
        lanes = check.Packed(count, 43, 7)
        packed = lanes.pack(values)
        signs = lanes.signs(packed)
        assert (
            lanes.positive(packed, signs) == lanes.chosen(packed, lanes.choice(signs)) == sum(max(v, 0) for v in values)
        )
        assert lanes.chosen(packed, lanes.choice(0)) == 0
        others = [int(v) for v in rng.integers(-5, 5, size=count)]
        assert packed + lanes.pack(others) == lanes.pack([a + b for a, b in zip(values, others, strict=True)])
        selectors = lanes.selectors(signs)
        assert [bool(byte) for byte in selectors] == [v >= 0 for v in values]
        largest, smallest = lanes.extremes([packed, lanes.pack(others)])
        for found, best in ((largest, max), (smallest, min)):
            pairs = [best(a, b) for a, b in zip(values, others, strict=True) if a >= 0]
            assert list(lanes.numbers(found, selectors)) == pairs


def test_orthants_cover_space():
    cones = orthants(3)
    assert len(cones) == 8 and {tuple(np.diag(cone)) for cone in cones} == set(product((1.0, -1.0), repeat=3))
