"""Bounds are bounds: against full enumeration, along the trace, under every budget, and for every method."""

import math
from functools import cache

import numpy as np
import pytest
from claims import assert_contains, check_claims, settings_of
from descent import best_trained
from enumeration import Interval, cells, gamma, optimum, patterns_and_slopes, reduced_points

from cpcert import InputError, Network, Problem
from cpcert.frank_wolfe.solve import solve

# Slopes and biases are dyadic, so that integer teachers give exact targets.
ACTIVATIONS = [("relu", None), ("leaky_relu", 0.25), ("leaky_relu", -0.5), ("abs", None), ("linear", None)]
INSTANCES = range(200)


def random_problem(seed, losses=("mse", "logistic", "interpolate")):
    """One output, N ≤ 10, rank of X̃ ≤ 3: gaussian points or small integers with ties, doubles, ± pairs and zeros."""
    rng = np.random.default_rng([2022, seed])
    loss = losses[seed % len(losses)]
    activation, slope = ACTIVATIONS[rng.choice(5, p=[0.4, 0.15, 0.1, 0.25, 0.1])]
    beta = float(rng.choice([0.0, 1.0, -0.75, 3.0], p=[0.35, 0.3, 0.25, 0.1]))
    N = int(rng.choice(np.arange(1, 11), p=[0.05, 0.1, 0.15, 0.15, 0.15, 0.12, 0.1, 0.08, 0.05, 0.05]))
    rank = int(rng.integers(1, 4 - (beta != 0)))
    integers = rng.random() < 0.5
    if integers:
        # Integer products are exact, so ranks, ties and doubles are exact too.
        X = rng.integers(-2, 3, size=(N, rank)) @ rng.integers(-2, 3, size=(rank, rank + int(rng.integers(0, 3))))
        X = X.astype(float)
    else:
        X = rng.normal(size=(N, rank)) * rng.choice([0.3, 1.0, 4.0])
    if N > 1 and rng.random() < 0.3:
        X[-1] = rng.choice([1.0, -1.0, 0.0, 2.0]) * X[0]
    if loss == "interpolate" and integers and rng.random() < 0.7:
        # A teacher with integer weights: the targets can be reached exactly.
        bias = int(beta != 0)
        S = np.column_stack([X, np.full((N, bias), beta)]) @ rng.integers(-2, 3, size=(X.shape[1] + bias, 3))
        low = {"relu": 0.0, "abs": -1.0, "linear": 1.0}.get(activation, slope)
        y = np.where(S > 0, S, low * S) @ rng.integers(-2, 3, size=3)
    else:
        y = rng.normal(size=N) if rng.random() < 0.8 else np.full(N, rng.choice([0.0, 1.0]))
    if loss == "logistic":
        y = np.where(y > 0, 1.0, -1.0)
    lam = None if loss == "interpolate" else 10 ** rng.uniform(-4, 0)
    return Problem(X, y, lam=lam, loss=loss, activation=activation, slope=slope, beta=beta, name=f"random-{seed}")


def reference(problem) -> Interval:
    return optimum(problem.X, problem.Y[:, 0], **settings_of(problem))


@cache
def problem_and_reference(seed):
    problem = random_problem(seed)
    return problem, reference(problem)


# -- the reference itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("N", "r"), [(1, 1), (6, 1), (5, 2), (9, 2), (3, 3), (6, 3), (10, 3), (6, 4)])
def test_reference_generic_points_have_the_known_number_of_cells(N, r):
    points = np.random.default_rng(N).normal(size=(N, r))
    assert len(cells(points)) == 2 * sum(math.comb(N - 1, k) for k in range(r))


@pytest.mark.parametrize("seed", range(20))
def test_reference_finds_every_cell_that_random_directions_meet(seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(-2, 3, size=(7, 3)).astype(float)
    points, _ = reduced_points(points, 0.0)
    directions = rng.normal(size=(20000, points.shape[1]))
    met = np.unique(np.where(directions @ points.T >= 0, 1, -1), axis=0)
    assert {tuple(s) for s in met.tolist()} == {tuple(s) for s in cells(points).tolist()}


@pytest.mark.parametrize("seed", range(10))
def test_reference_oracle_is_the_maximum_over_the_sphere(seed):
    rng = np.random.default_rng(seed)
    points, g = rng.normal(size=(8, 3)), rng.normal(size=8)
    W = rng.normal(size=(100000, 3))
    S = W / np.linalg.norm(W, axis=1)[:, None] @ points.T
    for a_plus, a_minus in [(1, 0), (1, 0.3), (1, -1), (1, 1)]:
        values = np.abs(np.where(S > 0, a_plus * S, a_minus * S) @ g)
        bound = gamma(g, points, patterns_and_slopes(points, a_plus, a_minus))
        assert values.max() <= bound <= values.max() * 1.01


def test_reference_intervals_are_narrow():
    intervals = [problem_and_reference(seed)[1] for seed in INSTANCES]
    feasible = [i for i in intervals if np.isfinite(i.upper)]
    assert len(intervals) >= 200
    assert len(intervals) - len(feasible) >= 10, "some instances should be infeasible"
    for interval in feasible:
        assert interval.lower <= interval.upper * (1 + 1e-12) + 1e-15
    # How far the conic solver gets depends on the processor; the ends hold for whatever it returns.
    gaps = np.array([(i.upper - i.lower) / i.upper if i.upper > 0.0 else 0.0 for i in feasible])
    assert gaps.max() <= 1e-6 and np.mean(gaps <= 1e-8) >= 0.95


# -- solve against the reference -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", INSTANCES)
def test_the_enumerated_optimum_lies_in_the_proven_interval(seed):
    problem, expected = problem_and_reference(seed)
    result = solve(problem, gap=1e-6, time_limit=30)
    check_claims(result, 1e-6)
    if np.isinf(expected.upper):
        assert result.status == "infeasible"
        return
    assert result.status == "optimal"
    # The reference's ends are evaluated, not solved for: only rounding is allowed.
    assert_contains(result, expected.lower, expected.upper)


@pytest.mark.parametrize("seed", range(24))
def test_one_output_turned_into_several_has_the_same_optimum(seed):
    """Y = v yᵀ has the optimum of |v| y: turning v into the first output is an isometry, and the other targets are 0.

    v is integer, so that integer targets stay exact: whether `interpolate` is feasible depends on that.
    """
    problem = random_problem(1000 + seed, losses=("mse", "interpolate"))
    v, length = [((3, 4), 5), ((-7, 24), 25), ((2, 3, 6), 7)][seed % 3]
    expected = optimum(problem.X, length * problem.Y[:, 0], **settings_of(problem))
    lam = None if problem.loss.name == "interpolate" else problem.lam
    turned = Problem(problem.X, problem.Y * np.array(v), lam, problem.loss, problem.activation, beta=problem.beta)
    result = solve(turned, gap=1e-5, time_limit=60)
    check_claims(result, 1e-5)
    if np.isinf(expected.upper):
        assert result.status == "infeasible"
        return
    assert result.status == "optimal"
    assert_contains(result, expected.lower, expected.upper, slack=1e-10)


@pytest.mark.parametrize("method", ["vanilla", "away", "pairwise"])
@pytest.mark.parametrize("seed", [0, 4, 6])
def test_every_method_is_sound(method, seed):
    problem = random_problem(2000 + seed, losses=("mse", "logistic"))
    expected = reference(problem)
    result = solve(problem, method=method, max_iterations=12, time_limit=20)
    check_claims(result, 1e-6)
    assert result.status in {"optimal", "iteration_limit"}
    assert_contains(result, expected.lower, expected.upper)
    assert result.lower is not None
    assert result.lower >= 0.0


# -- budgets ---------------------------------------------------------------------------------------------------------

BUDGETS = {
    "no time": ({"time_limit": 1e-9}, "time_limit"),
    "little time": ({"time_limit": 0.02}, "time_limit"),
    "one iteration": ({"max_iterations": 1}, "iteration_limit"),
    "two iterations": ({"max_iterations": 2}, "iteration_limit"),
    "no nodes": ({"node_limit": 0}, "node_limit"),
    "one node": ({"node_limit": 1}, "node_limit"),
    "few nodes": ({"node_limit": 20}, "node_limit"),
}


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("seed", range(6))
def test_what_a_small_budget_proves_is_true(budget, seed):
    limits, status = BUDGETS[budget]
    problem = random_problem(3000 + seed, losses=("mse", "logistic"))
    expected = reference(problem)
    result = solve(problem, **{"time_limit": 20, **limits})
    check_claims(result, 1e-6)
    assert result.status in {"optimal", status}
    assert result.upper is not None, "the network without hidden neurons is always there"
    assert_contains(result, expected.lower, expected.upper)


@pytest.mark.parametrize("budget", ["no time", "one iteration", "no nodes"])
@pytest.mark.parametrize("seed", range(3))
def test_interpolation_on_a_small_budget(budget, seed):
    limits, _ = BUDGETS[budget]
    problem = random_problem(4000 + seed, losses=("interpolate",))
    expected = reference(problem)
    result = solve(problem, **{"time_limit": 20, **limits})
    check_claims(result, 1e-6)
    if np.isfinite(expected.upper):
        assert result.status != "infeasible"
        assert_contains(result, expected.lower, expected.upper)


@pytest.mark.parametrize("seed", range(3))
def test_several_outputs_on_a_small_budget(seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(12, 3)), rng.normal(size=(12, 3))
    problem = Problem(X, Y, lam=0.01)
    trained = best_trained(X, Y, **settings_of(problem), width=12, starts=2)
    for limits in ({"time_limit": 1e-9}, {"time_limit": 0.5}, {"max_iterations": 1}, {"node_limit": 5}):
        result = solve(problem, **{"time_limit": 5, **limits})
        check_claims(result, 1e-6)
        assert result.upper is not None
        assert result.lower is None or result.lower <= trained * (1 + 1e-12)


def test_a_gap_beyond_floating_point_is_not_claimed():
    """check_claims compares the status with the exact difference of the two numbers."""
    for seed in range(4):
        result = solve(random_problem(5000 + seed, losses=("mse",)), gap=1e-15, time_limit=5, max_iterations=30)
        check_claims(result, 1e-15)


# -- warm starts, callbacks, repetition ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_warm_start_is_used_and_does_no_harm(seed):
    problem = random_problem(6000 + seed, losses=("mse", "logistic"))
    expected = reference(problem)
    cold = solve(problem)
    warm = solve(problem, warm_start=cold.network, max_iterations=1, time_limit=20)
    check_claims(warm, 1e-6)
    assert warm.upper <= cold.upper * (1 + 1e-12)
    assert_contains(warm, expected.lower, expected.upper)


@pytest.mark.parametrize("seed", range(4))
def test_a_bad_warm_start_does_no_harm(seed):
    problem = random_problem(6000 + seed, losses=("mse", "logistic"))
    expected = reference(problem)
    rng = np.random.default_rng(seed)
    bias = int(problem.beta != 0)
    weights = (10 * rng.normal(size=(50, problem.n)), 10 * rng.normal(size=(1, 50 + bias)))
    result = solve(problem, warm_start=Network(weights, problem.activation, problem.beta), time_limit=20)
    check_claims(result, 1e-6)
    assert result.status == "optimal"
    assert_contains(result, expected.lower, expected.upper)


def test_a_warm_start_that_does_not_fit_is_refused():
    problem = Problem([[1.0], [2.0]], [1.0, -1.0], lam=0.1)
    other = Problem([[1.0, 0.0], [2.0, 1.0]], [1.0, -1.0], lam=0.1)
    with pytest.raises(InputError, match="features"):
        solve(problem, warm_start=solve(other).network)


def hard_problem():
    """Not solved in the first iterations."""
    rng = np.random.default_rng(5)
    return Problem(rng.normal(size=(10, 2)), rng.normal(size=10), lam=1e-3)


def test_a_callback_sees_every_record_and_can_stop():
    problem, seen = hard_problem(), []
    whole = solve(problem, callback=seen.append)
    assert [r.iteration for r in seen] == [r.iteration for r in whole.trace]
    assert len(seen) > 2, "the test needs a problem that takes a few iterations"
    stopped = solve(problem, callback=lambda record: record.iteration >= seen[1].iteration)
    check_claims(stopped, 1e-6)
    assert stopped.status == "interrupted"
    assert len(stopped.trace) == 2
    assert_contains(stopped, whole.lower, whole.upper)


def test_ctrl_c_keeps_what_is_proven():
    problem = hard_problem()
    whole = solve(problem)

    def press(record):
        if record.iteration >= whole.trace[1].iteration:
            raise KeyboardInterrupt

    result = solve(problem, callback=press)
    check_claims(result, 1e-6)
    assert result.status == "interrupted"
    assert_contains(result, whole.lower, whole.upper)


@pytest.mark.parametrize("seed", range(6))
def test_the_same_seed_gives_the_same_result(seed):
    rng = np.random.default_rng(seed)
    m = 1 + seed % 2
    problem = Problem(rng.normal(size=(7, 2)), rng.normal(size=(7, m)), lam=1e-2)
    first, second = (solve(problem, gap=1e-5, seed=seed) for _ in range(2))
    assert (first.lower, first.upper, first.status) == (second.lower, second.upper, second.status)
    for one, other in zip(first.network.weights, second.network.weights, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("seed", range(4))
def test_different_seeds_agree(seed):
    problem = random_problem(7000 + seed, losses=("mse", "logistic"))
    results = [solve(problem, seed=s) for s in (0, 1, 2)]
    assert max(r.lower for r in results) <= min(r.upper for r in results)
