"""Cells of an arrangement, and the exact one-output oracle: proofs redone in rationals, values by brute force."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from exact import combination, dot, norm_at_most, rationals, root_up
from scipy.optimize import linprog, lsq_linear

from cpcert.oracle.arrangement import arrangement_oracle, cell_count, cells
from cpcert.oracle.branch import branch_and_bound
from cpcert.oracle.least_norm import evaluate


def check(proof):
    """Redo an ArrangementProof in rationals; returns the number of leaves. Raises AssertionError where it is wrong."""
    points, kappa, linear = rationals(proof.points), rationals(proof.kappa), rationals(proof.linear)
    r = len(linear)
    assert sorted(proof.order.tolist()) == [i for i, k in enumerate(kappa) if k > 0]
    tree, counts = iter(proof.tree.tolist()), iter(proof.count.tolist())
    pairs = iter(zip(proof.index.tolist(), proof.weight.tolist(), strict=True))
    bound = Fraction(proof.bound)
    # Nodes: level, signs of the points split on, signs of all points so far, Σ κ_i ε_i.
    pending = [(0, {}, {}, Fraction(0))]
    leaves = 0
    while pending:
        level, split, sign, alpha = pending.pop()
        while (kind := next(tree)) != 0:
            i = int(proof.order[level])
            level += 1
            side = 1 if kind > 0 else -1
            if abs(kind) == 2:
                pending.append((level, split | {i: -side}, sign | {i: -side}, alpha))
                split = split | {i: side}
            else:
                chosen = [next(pairs) for _ in range(next(counts))]
                weights = [Fraction(y) for _, y in chosen]
                assert all(split[j] * y >= 0 for (j, _), y in zip(chosen, weights, strict=True))
                e = combination(weights, [points[j] for j, _ in chosen], r)
                rest = [x - side * p for x, p in zip(e, points[i], strict=True)]
                alpha += kappa[i] * root_up(dot(rest, rest))
            sign = sign | {i: side}
        assert level == len(proof.order)
        y = {i: kappa[i] if sign.get(i) == 1 else Fraction(0) for i in range(len(points))}
        y |= {i: Fraction(value) for i, value in (next(pairs) for _ in range(next(counts)))}
        for i, value in y.items():
            if kappa[i] > 0:
                side = split.get(i, 0)
                assert value >= kappa[i] if side == 1 else value <= 0 if side == -1 else value in (0, kappa[i])
                assert side or (value > 0) == (sign[i] == 1)
            else:
                assert kappa[i] <= value <= 0
        c = [x + s for x, s in zip(linear, combination(list(y.values()), points, r), strict=True)]
        assert norm_at_most(c, bound - alpha)
        leaves += 1
    assert next(tree, None) is None and next(counts, None) is None and next(pairs, None) is None
    return leaves


def brute_force(points, kappa, linear):
    """max f over the ball: the largest dual value of a cell, over all sign vectors (an empty cone has value 0)."""
    positive = np.flatnonzero(kappa > 0)
    negative = np.flatnonzero(kappa < 0)
    best = 0.0
    for signs in product((True, False), repeat=len(positive)):
        low = np.concatenate([np.where(signs, kappa[positive], -np.inf), kappa[negative]])
        high = np.concatenate([np.where(signs, np.inf, 0.0), np.zeros(len(negative))])
        A = points[np.concatenate([positive, negative])].T
        best = max(best, np.sqrt(2.0 * lsq_linear(A, -linear, (low, high), method="bvls").cost))
    return best


def sampled(points, kappa, linear, count=3000):
    W = np.random.default_rng(1).standard_normal((count, points.shape[1]))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    return max(evaluate(points, kappa, linear, w) for w in W)


def consistent(points, signs):
    """Is the cone of these signs full-dimensional? By linear programming."""
    norms = np.linalg.norm(points, axis=1)
    A = -(signs[:, np.newaxis] * points)[norms > 0]
    A /= norms[norms > 0, np.newaxis]
    r = points.shape[1]
    result = linprog(
        np.append(np.zeros(r), -1.0),
        np.column_stack([A, np.ones(len(A))]),
        np.zeros(len(A)),
        bounds=[(-1, 1)] * (r + 1),
    )
    return -result.fun > 1e-9


@pytest.mark.parametrize("N, r", [(1, 1), (1, 3), (6, 1), (7, 2), (3, 5), (8, 3), (9, 4), (12, 3)])
def test_points_in_general_position_make_the_known_number_of_cells(N, r):
    points = np.random.default_rng(N + r).standard_normal((N, r))
    signs, witnesses = cells(points)
    assert len(signs) == cell_count(N, r) == len(np.unique(signs, axis=0))
    assert np.array_equal(np.sign(witnesses @ points.T), signs)


def test_the_count_is_the_formula():
    assert (cell_count(100, 4), cell_count(12, 3)) == (323_600, 134)
    assert [cell_count(N, 2) for N in range(5)] == [1, 2, 4, 6, 8]
    assert cell_count(5, 9) == 2**5


@pytest.mark.parametrize("seed", range(6))
def test_cells_of_degenerate_points(seed):
    """Small integers: many ties, duplicates, opposite points, points at the origin, dependent triples."""
    rng = np.random.default_rng(seed)
    points = rng.integers(-1, 2, (6, 3)).astype(float)
    points[0] = 0.0
    points[1] = -2.0 * points[2]
    expected = {
        signs
        for signs in product((1, -1), repeat=6)
        if all(signs[i] == 1 for i in range(6) if not points[i].any()) and consistent(points, np.array(signs))
    }
    signs, _ = cells(points)
    assert {tuple(row) for row in signs.tolist()} == expected


@pytest.mark.parametrize("seed", range(12))
def test_the_maximum_is_exact(seed):
    rng = np.random.default_rng(seed)
    N, r = rng.integers(1, 9), rng.integers(1, 5)
    points, kappa = rng.standard_normal((N, r)), rng.standard_normal(N)
    linear = rng.standard_normal(r) * (seed % 2)
    if seed % 3 == 0:
        points = np.rint(points)
        kappa = np.rint(2 * kappa)
    bound, atom, value, proof = arrangement_oracle(points, kappa, linear)
    exact = brute_force(points, kappa, linear)
    size = np.linalg.norm(linear) + np.abs(kappa) @ np.linalg.norm(points, axis=1)
    assert bound == pytest.approx(exact, abs=1e-9 * size)
    assert value <= bound <= value + 1e-12 * size
    assert bound >= sampled(points, kappa, linear)
    if atom.any():
        assert np.linalg.norm(atom) == pytest.approx(1.0)
        assert evaluate(points, kappa, linear, atom) == pytest.approx(value, rel=1e-14, abs=1e-300)
    assert check(proof) == proof.cells


def test_wrong_proofs_are_noticed():
    """The checker of these tests is worth something: every kind of damage is found."""
    rng = np.random.default_rng(5)
    points, kappa = rng.standard_normal((8, 3)), rng.standard_normal(8)
    *_, proof = arrangement_oracle(points, kappa, np.zeros(3))
    assert check(proof) == proof.cells > 5
    weight = proof.weight.copy()
    weight[np.argmax(np.abs(weight))] *= -1.0
    damaged = [
        replace(proof, bound=proof.bound * (1 - 1e-9)),
        replace(proof, weight=weight),
        replace(proof, tree=np.sign(proof.tree)),
        replace(proof, kappa=proof.kappa * (1 + 1e-9)),
    ]
    for other in damaged:
        with pytest.raises((AssertionError, KeyError, StopIteration)):
            check(other)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_branch_and_bound(seed):
    rng = np.random.default_rng(100 + seed)
    points, kappa, linear = rng.standard_normal((25, 4)), rng.standard_normal(25), rng.standard_normal(4)
    bound, _, value, _ = arrangement_oracle(points, kappa, linear)
    assert branch_and_bound(points, kappa, linear, bound * (1 + 1e-9)).closed
    assert not branch_and_bound(points, kappa, linear, value * (1 - 1e-6)).closed


def test_scales_do_not_matter():
    rng = np.random.default_rng(9)
    points, kappa = rng.standard_normal((8, 3)), rng.standard_normal(8)
    reference = arrangement_oracle(points, kappa, np.zeros(3))[0]
    for size, weight in ((1e-60, 1e60), (1e60, 1e60), (1e-60, 1e-60)):
        bound = arrangement_oracle(points * size, kappa * weight, np.zeros(3))[0]
        assert bound == pytest.approx(reference * size * weight, rel=1e-11)
    row = np.logspace(-8, 8, 8)
    assert arrangement_oracle(points * row[:, np.newaxis], kappa / row, np.zeros(3))[0] == pytest.approx(
        reference, rel=1e-11
    )


def test_degenerate_problems():
    zero = np.zeros(2)
    e = np.array([[1.0, 0.0]])
    # One point: the maximum of κ relu(x·w) is κ‖x‖ or 0.
    assert arrangement_oracle(3 * e, np.array([2.0]), zero)[0] == pytest.approx(6.0, rel=1e-14)
    bound, atom, value, proof = arrangement_oracle(3 * e, np.array([-2.0]), zero)
    assert 0.0 <= bound < 1e-200 and value == 0.0 and proof.cells == 1 and not atom.any()
    # x and −x with weight 1 each: |w_1|; duplicates add up; points at the origin and weights 0 play no part.
    assert arrangement_oracle(np.vstack([e, -e]), np.ones(2), zero)[0] == pytest.approx(1.0, rel=1e-14)
    assert arrangement_oracle(np.vstack([e] * 5), np.ones(5), zero)[0] == pytest.approx(5.0, rel=1e-14)
    points = np.vstack([e, np.zeros((2, 2)), [[0.0, 7.0]]])
    bound, _, _, proof = arrangement_oracle(points, np.array([1.0, 5.0, -5.0, 0.0]), zero)
    assert bound == pytest.approx(1.0, rel=1e-14) and check(proof) == 2
    # No kinks: f = linear·w. Nothing at all.
    assert arrangement_oracle(e, np.zeros(1), np.array([3.0, 4.0]))[0] == pytest.approx(5.0, rel=1e-14)
    assert arrangement_oracle(e, np.zeros(1), zero)[0] < 1e-200
    # All points in a plane of R^3.
    flat = np.column_stack([np.random.default_rng(0).standard_normal((6, 2)), np.zeros(6)])
    kappa = np.array([1.0, 1.0, 1.0, -1.0, 0.5, -0.5])
    bound, *_, proof = arrangement_oracle(flat, kappa, np.zeros(3))
    assert bound == pytest.approx(arrangement_oracle(flat[:, :2], kappa, zero)[0], rel=1e-12)
    assert check(proof) == cell_count(4, 2)
