"""Cells with several outputs: every proof redone in rationals, values against an exact sweep and sampling."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from exact import combination, dot, is_semidefinite, rationals, root_up

from cpcert.activations import Activation, activation
from cpcert.oracle.ascent import ascend, starting_points
from cpcert.oracle.cells import CellProof, cell_cover
from cpcert.oracle.interior_point import maximise
from cpcert.oracle.relaxation import Multipliers, certify, relax, solve
from cpcert.oracle.rung import Limits

ACTIVATIONS = [
    activation("relu"),
    activation("leaky_relu", 0.2),
    activation("leaky_relu", -0.7),
    activation("abs"),
    Activation("steep", 0.3, -2.5),
]


def name(sigma):
    return f"{sigma.a_plus},{sigma.a_minus}"


def check_leaf(points, G, slopes, undecided, constraints, multipliers, mean, half, square):
    """Inequality (1) of relaxation.py with ρ = square, exactly. slopes: {i: a_i} for the known signs."""
    r, U = len(points[0]), list(undecided)
    d = r + len(U)
    K = [
        [sum((slopes.get(i, mean) * g[i] * points[i][k] for i in range(len(points))), Fraction(0)) for k in range(r)]
        + [half * g[i] for i in U]
        for g in G
    ]
    forms = [[*row, *[0] * len(U)] for row in constraints]
    for q, i in enumerate(U):
        for sign in (1, -1):
            forms.append([sign * x for x in points[i]] + [int(p == q) for p in range(len(U))])
    S = [[-dot([k[a] for k in K], [k[b] for k in K]) for b in range(d)] for a in range(d)]
    for a in range(r):
        S[a][a] += square
    for q, (i, value) in enumerate(zip(U, rationals(multipliers.linear), strict=True)):
        S[r + q][r + q] += value
        for a in range(r):
            for b in range(r):
                S[a][b] -= value * points[i][a] * points[i][b]
    for first, second, weight in zip(multipliers.first, multipliers.second, rationals(multipliers.weight), strict=True):
        assert weight >= 0
        p, q = forms[first], forms[second]
        for a in range(d):
            for b in range(d):
                S[a][b] -= weight * (p[a] * q[b] + q[a] * p[b])
    assert is_semidefinite(S)


def check(proof):
    """Redo a CellProof in rationals; returns the number of leaves. Raises AssertionError where it is wrong."""
    points, G, planes = rationals(proof.points), rationals(proof.G), rationals(proof.planes)
    a_plus, a_minus, bound = Fraction(proof.a_plus), Fraction(proof.a_minus), Fraction(proof.bound)
    N, r = len(points), len(points[0])
    assert planes[:N] == points
    columns = list(zip(*G, strict=True))
    leaves, pending, at = iter(proof.leaves), [({}, {}, Fraction(0))], 0
    while pending:
        split, sign, slack = pending.pop()
        for step in proof.implied[at]:
            weights = rationals(step.weight)
            assert all(split[j] * y >= 0 for j, y in zip(step.index.tolist(), weights, strict=True))
            e = combination(weights, [planes[j] for j in step.index], r)
            rest = [x - step.side * p for x, p in zip(e, planes[step.plane], strict=True)]
            slack += abs(a_plus - a_minus) * root_up(dot(columns[step.plane], columns[step.plane]) * dot(rest, rest))
            sign = sign | {step.plane: step.side}
        plane = int(proof.plane[at])
        at += 1
        if plane >= 0:
            for side in (-1, 1):
                pending.append((split | {plane: side}, sign | ({plane: side} if plane < N else {}), slack))
            continue
        leaf = next(leaves)
        assert set(leaf.undecided.tolist()) == set(range(N)) - set(sign)
        assert all(split[int(j)] == s for j, s in zip(leaf.constraints, leaf.signs, strict=True))
        constraints = [[int(s) * x for x in planes[j]] for j, s in zip(leaf.constraints, leaf.signs, strict=True)]
        slopes = {i: a_plus if s > 0 else a_minus for i, s in sign.items()}
        square = Fraction(leaf.multipliers.square)
        assert slack <= bound and square <= (bound - slack) ** 2
        check_leaf(
            points, G, slopes, leaf.undecided.tolist(), constraints, leaf.multipliers,
            (a_plus + a_minus) / 2, (a_plus - a_minus) / 2, square,
        )  # fmt: skip
    assert at == len(proof.plane) == len(proof.implied) and next(leaves, None) is None
    return len(proof.leaves)


def value(points, G, sigma, seed=0, starts=300):
    """A lower estimate of γ(G): local search and sampling."""
    W, U = starting_points(points, G, starts, seed)
    found = ascend(points, G, sigma.a_plus, sigma.a_minus, W, U)[2]
    W = np.random.default_rng(seed).standard_normal((2000, points.shape[1]))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    return max(found.max(initial=0.0), float(np.linalg.norm(sigma(W @ points.T) @ G.T, axis=1).max()))


def hard_problem(N, r, m, seed=1):
    """(points, G) like the optimal multiplier of a training problem: many neurons at once attain γ(G), on kinks."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.standard_normal((N, r - 1)), np.ones(N)])
    G, relu = rng.standard_normal((m, N)), activation("relu")
    for _ in range(150):
        W, _, values = ascend(points, G, 1.0, 0.0, *starting_points(points, G, 40, 0))
        for w, v in zip(W[:20], values[:20], strict=True):
            # A subgradient step lowers the largest values until many are equal.
            image = relu(points @ w)
            if v > 0.98 * values[0]:
                G = G - 0.01 * v * np.outer(G @ image / v, image) / (image @ image)
    return points, G


def exact_in_the_plane(points, G, sigma):
    """γ(G) for r = 2: on each arc of directions ‖M_D w‖ is largest at an end or at the top singular vector."""
    kinks = np.arctan2(points[:, 1], points[:, 0])[:, np.newaxis] + np.array([-0.5, 0.5]) * np.pi
    angles = np.unique(np.mod(kinks.ravel(), 2 * np.pi))
    best = 0.0
    for start, end in zip(angles, np.append(angles[1:], angles[0] + 2 * np.pi), strict=True):
        middle = 0.5 * (start + end)
        pattern = points @ [np.cos(middle), np.sin(middle)] > 0
        M = (G * sigma.slope_at(pattern)) @ points
        top = np.linalg.svd(M)[2][0]
        turns = np.mod(np.arctan2(top[1], top[0]) - start + np.array([0.0, np.pi]), 2 * np.pi)
        for angle in [start, end, *(start + t for t in turns if t <= end - start)]:
            best = max(best, float(np.linalg.norm(M @ [np.cos(angle), np.sin(angle)])))
    return best


@pytest.mark.parametrize("sigma", ACTIVATIONS, ids=name)
@pytest.mark.parametrize("seed", range(4))
def test_exact_in_the_plane(sigma, seed):
    rng = np.random.default_rng(seed)
    points, G = rng.standard_normal((7, 2)), rng.standard_normal((rng.integers(1, 6), 7))
    exact = exact_in_the_plane(points, G, sigma)
    answer = cell_cover(points, G, sigma, exact * (1 + 1e-7))
    assert answer.complete and exact * (1 - 1e-12) <= answer.upper_bound <= exact * (1 + 1e-7)
    below = cell_cover(points, G, sigma, exact * (1 - 1e-7))
    assert not below.complete and below.upper_bound >= exact * (1 - 1e-12)
    assert len(below.W) and np.all(below.values > exact * (1 - 1e-7))


@pytest.mark.parametrize("sigma", ACTIVATIONS, ids=name)
@pytest.mark.parametrize("N, r, m", [(6, 3, 2), (5, 4, 6)])
def test_proofs_can_be_redone(sigma, N, r, m):
    rng = np.random.default_rng(N)
    points, G = rng.standard_normal((N, r)), rng.standard_normal((m, N))
    best = value(points, G, sigma)
    answer = cell_cover(points, G, sigma, best * (1 + 1e-5))
    assert answer.complete and answer.rung == "cells" and best <= answer.upper_bound <= best * (1 + 1e-5)
    assert answer.upper_bound == np.ldexp(answer.proof.bound, answer.proof.rows.unit)
    assert check(answer.proof) == len(answer.proof.leaves)


@pytest.mark.parametrize("seed", range(6))
def test_bounds_hold_and_are_tight(seed):
    rng = np.random.default_rng(50 + seed)
    sigma = ACTIVATIONS[seed % len(ACTIVATIONS)]
    N, r, m = [(12, 3, 3), (9, 4, 8), (14, 3, 5), (6, 6, 4), (20, 2, 12), (10, 3, 1)][seed]
    points, G = rng.standard_normal((N, r)), rng.standard_normal((m, N))
    best = value(points, G, sigma)
    answer = cell_cover(points, G, sigma, best * (1 + 1e-6))
    assert answer.complete and best <= answer.upper_bound <= best * (1 + 1e-6)
    assert answer.upper_bound >= value(points, G, sigma, seed=9)


def test_where_many_neurons_are_active():
    points, G = hard_problem(7, 3, 2)
    best = value(points, G, activation("relu"), starts=300)
    answer = cell_cover(points, G, activation("relu"), best * (1 + 1e-6))
    assert answer.complete and best <= answer.upper_bound and answer.nodes > 10


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_limits_keep_a_proven_bound(limit):
    rng = np.random.default_rng(8)
    points, G = rng.standard_normal((10, 4)), rng.standard_normal((4, 10))
    sigma = activation("relu")
    best = value(points, G, sigma)
    answer = cell_cover(points, G, sigma, best * (1 + 1e-6), Limits(limit))
    assert not answer.complete and answer.nodes <= limit and best <= answer.upper_bound < np.inf
    late = cell_cover(points, G, sigma, best * (1 + 1e-6), Limits(deadline=0.0))
    assert not late.complete and late.upper_bound >= best


def test_a_partial_proof_is_a_proof():
    points, G = hard_problem(7, 3, 3)
    best = value(points, G, activation("relu"))
    answer = cell_cover(points, G, activation("relu"), best * (1 + 1e-6), Limits(6))
    assert isinstance(answer.proof, CellProof) and best * (1 + 1e-6) < answer.upper_bound
    assert check(answer.proof) >= 1


def test_wrong_proofs_are_noticed():
    points, G = hard_problem(7, 3, 3)
    best = value(points, G, activation("relu"))
    proof = cell_cover(points, G, activation("relu"), best * (1 + 1e-6)).proof
    assert check(proof) > 4
    used = next(k for k, leaf in enumerate(proof.leaves) if len(leaf.multipliers.weight))
    leaf = proof.leaves[used]
    negative = replace(leaf, multipliers=replace(leaf.multipliers, weight=-leaf.multipliers.weight))
    flipped = replace(leaf, signs=-leaf.signs)
    damaged = [
        replace(proof, bound=best * 2.0**-proof.rows.unit * (1 - 1e-9)),
        replace(proof, G=proof.G * (1 + 1e-3)),
        replace(proof, leaves=(*proof.leaves[:used], negative, *proof.leaves[used + 1 :])),
        replace(proof, leaves=(*proof.leaves[:used], flipped, *proof.leaves[used + 1 :])),
        replace(proof, leaves=proof.leaves[:-1]),
    ]
    for other in damaged:
        with pytest.raises((AssertionError, StopIteration)):
            check(other)


def test_degenerate_problems():
    relu = activation("relu")
    rng = np.random.default_rng(2)
    points, G = rng.standard_normal((5, 3)), rng.standard_normal((2, 5))
    best = value(points, G, relu)
    assert cell_cover(points, np.zeros((2, 5)), relu, 1e-6).upper_bound == 0.0
    # Points at the origin and points that G ignores change nothing.
    more = np.vstack([points, np.zeros((1, 3)), rng.standard_normal((1, 3))])
    answer = cell_cover(more, np.hstack([G, np.ones((2, 1)), np.zeros((2, 1))]), relu, best * (1 + 1e-6))
    assert answer.complete and len(answer.proof.points) == 5 and answer.upper_bound >= best
    # Ties: every point twice, and its opposite with weight 0.5.
    tied, weights = np.vstack([points, points, -points]), np.hstack([G, G, 0.5 * G])
    best = value(tied, weights, relu)
    answer = cell_cover(tied, weights, relu, best * (1 + 1e-6))
    assert answer.complete and answer.upper_bound >= best and check(answer.proof)
    # Points in a plane of R^4; one point; one dimension.
    flat = points[:, :2] @ rng.standard_normal((2, 4))
    best = value(flat, G, relu)
    assert cell_cover(flat, G, relu, best * (1 + 1e-6)).complete
    one = cell_cover(points[:1], G[:, :1], relu, 1e9)
    assert one.complete and one.upper_bound == pytest.approx(np.linalg.norm(points[0]) * np.linalg.norm(G[:, 0]))
    line = rng.standard_normal((6, 1))
    for sigma in ACTIVATIONS:
        weights = rng.standard_normal((3, 6))
        exact = max(np.linalg.norm(weights @ sigma(sign * line[:, 0])) for sign in (1, -1))
        answer = cell_cover(line, weights, sigma, exact * (1 + 1e-9))
        assert answer.complete and answer.upper_bound >= exact * (1 - 1e-14)


def test_scales_do_not_matter():
    rng = np.random.default_rng(6)
    points, G = rng.standard_normal((6, 3)), rng.standard_normal((2, 6))
    row = np.logspace(-6, 6, 6)
    best = value(points, G, activation("relu"))
    for size in (1e-40, 1e40):
        answer = cell_cover(points * row[:, np.newaxis] * size, G / row, activation("relu"), best * size * (1 + 1e-6))
        assert answer.complete and answer.upper_bound >= best * size * (1 - 1e-12)


def test_same_seed_same_answer():
    rng = np.random.default_rng(0)
    points, G = rng.standard_normal((8, 3)), rng.standard_normal((3, 8))
    first, second = (cell_cover(points, G, activation("abs"), 0.9 * value(points, G, activation("abs"))) for _ in "ab")
    assert np.array_equal(first.W, second.W) and first.upper_bound == second.upper_bound


# -- the relaxation of one node ----------------------------------------------------------------------------------------


def test_the_relaxation_is_exact_on_a_simplicial_cone():
    """All signs known, three constraints in R^3: a copositive matrix of order 3 is a sum of the two simple kinds."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        cone, M = rng.standard_normal((3, 3)), rng.standard_normal((4, 3))
        rays = np.linalg.inv(cone)
        rays /= np.linalg.norm(rays, axis=0)
        T = rng.dirichlet(np.full(3, 0.3), 40000)
        W = T @ rays.T
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        best = float((np.linalg.norm(W @ M.T, axis=1) ** 2).max())
        # M as the map of four points with linear slope: K = M.
        relaxed = replace(relax(np.eye(3), M, activation("linear"), np.ones(3), cone), K=M)
        hint, Y = solve(relaxed, rays.sum(axis=1), best)  # the method is precise near its target
        proven = certify(relaxed, hint)
        assert best <= proven.square <= best * (1 + 2e-3)
        assert np.trace(Y) == pytest.approx(1.0, abs=1e-6) and np.all(cone @ Y @ cone.T >= -1e-6)


def test_bad_hints_are_mended_or_refused():
    rng = np.random.default_rng(5)
    points, G = rng.standard_normal((4, 3)), rng.standard_normal((2, 4))
    relaxed = relax(points, G, activation("relu"), np.zeros(4), np.zeros((0, 3)))
    best = value(points, G, activation("relu")) ** 2
    pair = np.array([0]), np.array([2])
    for linear, weight in ((np.zeros(4), [0.0]), (np.ones(4), [3.0]), (-np.ones(4), [1e6]), (np.full(4, 1e9), [1.0])):
        proven = certify(relaxed, Multipliers(0.1, linear, *pair, np.array(weight)))
        assert proven is None or proven.square >= best
    assert certify(relaxed, Multipliers(1.0, np.full(4, np.nan), *pair, np.ones(1))) is None
    assert certify(relaxed, Multipliers(1.0, np.ones(4), *pair, np.array([np.inf]))) is None
    # No overflow either, which would be a warning, hence an error here.
    for huge in (1e160, 1e300):
        assert certify(relaxed, Multipliers(1.0, np.full(4, huge), *pair, np.ones(1))) is None
        assert certify(relaxed, Multipliers(1.0, np.ones(4), *pair, np.array([huge]))) is None


def test_the_interior_point_method_solves_both_problems():
    rng = np.random.default_rng(7)
    points, G = rng.standard_normal((5, 3)), rng.standard_normal((3, 5))
    relaxed = relax(points, G, activation("relu"), np.array([1, 0, 0, -1, 0]), np.array([points[0], -points[3]]))
    witness = np.linalg.solve(np.vstack([points[0], -points[3], rng.standard_normal(3)]), np.ones(3))
    C = relaxed.K.T @ relaxed.K
    hint, _ = solve(relaxed, witness, 1e-9)
    scale = hint.square
    hint, Y = solve(relaxed, witness, scale)
    assert np.sum(C * Y) == pytest.approx(hint.square, rel=1e-6)
    assert np.linalg.eigvalsh(Y)[0] >= -1e-9 and np.trace(Y[:3, :3]) == pytest.approx(1.0, abs=1e-7)
    assert np.all(hint.weight >= 0.0)
    products = relaxed.forms @ Y @ relaxed.forms.T
    assert np.all(products[hint.first, hint.second] >= -1e-6)
    assert certify(relaxed, hint).square == pytest.approx(hint.square, rel=1e-5)
    # An empty cone: the dual is unbounded, and the method stops with a negative value.
    empty = np.vstack([np.eye(3), -np.ones((1, 3))])
    allowed = np.ones((4, 4)) - np.eye(4)
    rho, *_ = maximise(
        np.eye(3), empty / np.linalg.norm(empty, axis=1)[:, None], allowed, np.zeros((0, 3)), np.ones(3), 1e-9
    )
    assert rho < 1.0
