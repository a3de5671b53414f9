"""Branch and bound: every step of a replayed proof is checked in exact rationals, and bounds against brute force."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from cpcert.errors import ProofError
from cpcert.oracle.ascent import ascend, starting_points
from cpcert.oracle.branch import branch_and_bound
from cpcert.oracle.lanes import WIDTH
from cpcert.oracle.least_norm import evaluate
from cpcert.oracle.rung import Limits
from cpcert.oracle.tree_language import BOUND, BRANCH, EMPTY, FIRST, TIGHTEN, kind_of, starts


def exact(values):
    return [Fraction(float(x)) for x in values]


def at_most(square, bound):
    """√square ≤ bound, exactly."""
    return bound >= 0 and square <= bound * bound


def recorded(proof):
    """(kind, numbers) of each step of the replay."""
    for steps in proof.steps():
        ends = starts(steps)
        for at, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            yield kind_of(steps, at), steps[at + FIRST : end].copy()


def check_proof(proof):
    """Redo a BranchProof in rationals; returns the number of nodes. Raises AssertionError at the first false step."""
    points = [exact(row) for row in proof.points]
    kappa, linear, cutoff = exact(proof.kappa), exact(proof.linear), Fraction(proof.cutoff)
    N, r = len(points), len(linear)
    # The starting intervals of the search, checked below to be no shorter than the norms.
    norms = np.sqrt(np.einsum("ij,ij->i", proof.points, proof.points)) * (1.0 + (r + 6) * 2.0**-52)
    radius = exact(norms)
    for row, bound in zip(points, radius, strict=True):
        assert at_most(sum(x * x for x in row), bound)

    def h(i, y, low, high):
        ends = [low[i], high[i]] + ([Fraction(0)] if low[i] < 0 < high[i] else [])
        return max(kappa[i] * max(s, 0) - y * s for s in ends)

    stack = [([-x for x in radius], list(radius), {})]
    nodes = 0
    low = high = signs = None
    alpha = c = None
    for kind, data in recorded(proof):
        if low is None:
            low, high, signs = stack.pop()
            nodes += 1
        if kind == BOUND:
            y = exact(data[:N])
            alpha = sum((h(i, y[i], low, high) for i in range(N)), Fraction(0))
            c = [linear[k] + sum(y[i] * points[i][k] for i in range(N)) for k in range(r)]
        elif kind == TIGHTEN:
            i, side, rho, value = int(data[0]), int(data[1]), Fraction(float(data[2])), Fraction(float(data[3]))
            assert rho >= 0
            z = [side * points[i][k] + rho * c[k] for k in range(r)]
            for j, mu in zip(data[4::2].astype(int), exact(data[5::2]), strict=True):
                assert signs[j] * mu >= 0, "a multiplier has the wrong sign"
                z = [z[k] + mu * points[j][k] for k in range(r)]
            assert at_most(sum(x * x for x in z), value + rho * (cutoff - alpha)), "a tightened interval is not implied"
            if side > 0:
                high[i] = min(high[i], value)
            else:
                low[i] = max(low[i], -value)
        elif kind == BRANCH:
            first, i = int(np.sign(data[0])), abs(int(data[0])) - 1
            for sign in (-first, first):  # the one pushed last is visited first
                child_low, child_high = list(low), list(high)
                if sign > 0:
                    child_low[i] = max(child_low[i], Fraction(0))
                else:
                    child_high[i] = min(child_high[i], Fraction(0))
                stack.append((child_low, child_high, {**signs, i: sign}))
            low = None
        else:
            if kind == EMPTY:
                i = int(data[0])
                assert low[i] > high[i], "a node called empty is not"
            else:
                assert at_most(sum(x * x for x in c), cutoff - alpha), "a leaf is above the cutoff"
            low = None
    assert not stack, "nodes are missing"
    return nodes


def random_problem(seed, N=None, r=None):
    rng = np.random.default_rng(seed)
    N, r = N or int(rng.integers(2, 12)), r or int(rng.integers(1, 5))
    points = rng.standard_normal((N, r))
    kappa = rng.standard_normal(N)
    linear = rng.standard_normal(r) * (0.0 if seed % 2 else 0.3)
    if seed % 5 == 0:
        points[-1] = points[0] * 2.0  # parallel
    if seed % 7 == 0:
        points[0] = -points[-1]
    return points, kappa, linear


def best_of(points, kappa, linear, seed=0):
    """The best of many local searches and samples: a lower estimate of the maximum."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((4000, points.shape[1]))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    values = W @ linear + np.maximum(W @ points.T, 0.0) @ kappa
    return max(0.0, float(values.max()))


@pytest.mark.parametrize("seed", range(40))
def test_every_step_of_the_proof_holds_exactly(seed):
    points, kappa, linear = random_problem(seed)
    estimate = max(best_of(points, kappa, linear), 1e-3)
    result = branch_and_bound(points, kappa, linear, 1.01 * estimate)
    if not result.closed:  # the samples missed the maximum: ask for more
        assert len(result.values)
        result = branch_and_bound(points, kappa, linear, 1.3 * float(result.values.max()))
    assert result.closed and result.proof is not None
    assert check_proof(result.proof) == result.nodes == len(result.proof.tree)


def awkward_problem(seed):
    """Ties and zero points, duplicates and opposites, extreme scales of all and of each point, nearly parallel points, a bias; with
    the κ and c of four activations."""
    rng = np.random.default_rng(seed)
    N, r = int(rng.integers(1, 16)), int(rng.integers(1, 8))
    points, g = rng.standard_normal((N, r)), rng.standard_normal(N)
    kind = seed % 7
    if kind == 0:
        points = rng.integers(-2, 3, (N, r)).astype(float)
    elif kind == 1 and N > 2:
        points[N // 2 :] = points[: N - N // 2] * rng.choice([-1.0, 1.0, 2.0, 0.5], (N - N // 2, 1))
    elif kind == 2:
        points, g = points * 10.0 ** rng.integers(-100, 101), g * 10.0 ** rng.integers(-30, 31)
    elif kind == 3:
        points *= 10.0 ** rng.uniform(-6, 6, (N, 1))
    elif kind == 4:
        points[rng.random(N) < 0.3], g = 0.0, np.sign(g)
    elif kind == 5:
        points = points[:, :1] + 1e-7 * points
    else:
        points[:, -1] = 1.0
    slope = (0.0, 0.3, -0.4, -1.0)[seed // 7 % 4]
    return points, (1.0 - slope) * g, slope * (g @ points)


def awkward(seeds):
    """How many trees of these problems were checked, step by step."""
    checked = 0
    for seed in seeds:
        points, kappa, linear = awkward_problem(seed)
        rows, factors = np.vstack([points, linear, -linear]), np.append(kappa, [1.0, -1.0])
        W, _ = starting_points(rows, factors[np.newaxis], 20, 0)
        values = ascend(rows, factors[np.newaxis], 1.0, 0.0, W, np.ones((len(W), 1)))[2]
        best = float(values[0]) if len(values) else 0.0
        for ratio in (1.0 + 1e-6, 1.1, 1.7, 0.9):
            result = branch_and_bound(points, kappa, linear, ratio * best)
            assert result.upper_bound >= best * (1.0 - 1e-12)
            assert not (result.closed and ratio < 1.0)
            if result.closed and result.nodes < 400:
                assert check_proof(result.proof) == result.nodes
                checked += 1
    return checked


def test_every_step_holds_for_awkward_problems():
    assert awkward(range(28)) > 50


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(8))
def test_every_step_holds_for_many_awkward_problems(part):
    assert awkward(range(100 + 300 * part, 400 + 300 * part)) > 500


def test_more_directions_than_lanes():
    """A tree whose nodes tighten more directions with signs than fit in one batch."""
    rng = np.random.default_rng(2)
    points, kappa = rng.standard_normal((40, 4)), rng.standard_normal(40)
    result = branch_and_bound(points, kappa, np.zeros(4), 1.1 * best_of(points, kappa, np.zeros(4)))
    assert result.closed
    most, count = 0, 0
    for kind, data in recorded(result.proof):
        count = count + (len(data) > 4) if kind == TIGHTEN else 0
        most = max(most, count)
    assert most > WIDTH
    assert check_proof(result.proof) == result.nodes


def test_a_false_proof_is_noticed():
    """With a lower cutoff the same tree proves nothing: the replay refuses it, and not by an assert, which -O would drop."""
    points, kappa, linear = random_problem(3, N=8, r=3)
    result = branch_and_bound(points, kappa, linear, 1.2 * best_of(points, kappa, linear))
    assert result.closed
    lower = replace(result.proof, cutoff=0.5 * result.proof.cutoff)
    with pytest.raises(ProofError):
        check_proof(lower)
    cut = replace(result.proof, tree=result.proof.tree[:-1])
    with pytest.raises(ProofError):
        check_proof(cut)


@pytest.mark.parametrize("seed", range(30))
def test_bounds_are_never_below_a_value(seed):
    points, kappa, linear = random_problem(100 + seed)
    estimate = best_of(points, kappa, linear)
    for ratio in (0.3, 0.9, 1.0 + 1e-6, 1.5):
        for limit in (1, 5, None):
            result = branch_and_bound(points, kappa, linear, max(ratio * estimate, 1e-9), Limits(limit))
            assert result.upper_bound >= estimate
            if result.closed:
                assert len(result.atoms) == 0
            for w, value in zip(result.atoms, result.values, strict=True):
                assert abs(np.linalg.norm(w) - 1.0) < 1e-12
                assert value == pytest.approx(evaluate(points, kappa, linear, w), rel=1e-9)
                assert value > ratio * estimate


@pytest.mark.parametrize("seed", range(20))
def test_the_maximum_is_found_and_proven(seed):
    """Cutoffs just above and below the maximum: a proof there, a neuron here."""
    points, kappa, linear = random_problem(200 + seed)
    cutoff = 0.5 * max(best_of(points, kappa, linear), 1e-3)
    for _ in range(50):
        result = branch_and_bound(points, kappa, linear, cutoff)
        if result.closed:
            break
        assert len(result.values), "neither a proof nor a neuron"
        cutoff = float(result.values.max()) * (1.0 + 1e-9)
    assert result.closed
    if cutoff > 0.5:
        assert not branch_and_bound(points, kappa, linear, cutoff * (1.0 - 1e-6)).closed


@pytest.mark.parametrize("exponent", [-150, 0, 150])
def test_scales(exponent):
    points, kappa, linear = random_problem(11, N=9, r=3)
    scale = 2.0**exponent
    cutoff = 1.1 * best_of(points, kappa, linear)
    small = branch_and_bound(points * scale, kappa, linear * scale, cutoff * scale)
    plain = branch_and_bound(points, kappa, linear, cutoff)
    assert small.nodes == plain.nodes and small.upper_bound == plain.upper_bound * scale


def test_ascent_reaches_the_maximum_of_a_single_point():
    W, U, values = ascend(
        np.array([[3.0, 4.0]]), np.array([[-2.0]]), 1.0, 0.0, np.array([[0.0, 1.0]]), np.array([[-1.0]])
    )
    np.testing.assert_allclose(W[0], [0.6, 0.8])
    assert values[0] == pytest.approx(10.0) and U[0, 0] == -1.0
