"""Data at the edge: doubles, zeros, one point, missing rank, targets without content, and targets nobody can reach."""

import math

import numpy as np
import pytest
from claims import assert_contains, check_claims, settings_of
from descent import best_trained
from enumeration import optimum, reachable

from cpcert import Problem, solve

ACTIVATIONS = {"relu": None, "leaky_relu": 0.25, "abs": None, "linear": None}
BETAS = [0.0, 1.0, -0.5]


def make(X, Y, loss="mse", activation="relu", beta=1.0, lam=1e-2):
    return Problem(X, Y, None if loss == "interpolate" else lam, loss, activation, ACTIVATIONS[activation], beta)


def solved(problem, gap=1e-6, time_limit=60):
    result = solve(problem, gap=gap, time_limit=time_limit)
    check_claims(result, gap)
    assert result.status == "optimal"
    return result


def assert_enumerated(problem, gap=1e-6):
    """One output: the proven interval contains the enumerated optimum."""
    result = solved(problem, gap)
    assert_contains_enumerated(result)
    return result


def assert_contains_enumerated(result):
    problem = result.problem
    expected = optimum(problem.X, problem.Y[:, 0], **settings_of(problem))
    assert expected.upper - expected.lower <= 1e-6 * expected.upper, "the reference should be narrow"
    assert_contains(result, expected.lower, expected.upper)


def targets(rng, N, m, loss):
    if loss == "cross_entropy":
        return np.eye(m)[rng.integers(0, m, size=N)]
    if loss == "logistic":
        return rng.choice([-1.0, 1.0], size=(N, m))
    return rng.normal(size=(N, m))


# -- every combination -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ["mse", "logistic", "interpolate"])
def test_one_output(loss, activation, beta):
    rng = np.random.default_rng(1)
    # A linear network reaches as many targets as X̃ has dimensions.
    N = 2 if (loss, activation) == ("interpolate", "linear") else 7
    assert_enumerated(make(rng.normal(size=(N, 2)), targets(rng, N, 1, loss), loss, activation, beta))


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ["mse", "logistic", "interpolate", "cross_entropy"])
@pytest.mark.parametrize("m", [2, pytest.param(3, marks=pytest.mark.campaign)])
def test_several_outputs(m, loss, activation, beta):
    """Above: the network evaluated by the test (check_claims). Below: training, and what each output costs alone."""
    rng = np.random.default_rng(10 * m)
    N = 2 if (loss, activation) == ("interpolate", "linear") else 5
    problem = make(rng.normal(size=(N, 2)), targets(rng, N, m, loss), loss, activation, beta, lam=2e-2)
    result = solved(problem, gap=1e-4)
    if loss != "interpolate":
        trained = best_trained(problem.X, problem.Y, **settings_of(problem), starts=6)
        assert result.lower <= trained * (1 + 1e-12)
    if loss != "cross_entropy":
        # Separate networks side by side are one network; leaving outputs out of a network leaves a network.
        alone = [optimum(problem.X, y, **settings_of(problem)) for y in problem.Y.T]
        assert_contains(result, max(a.lower for a in alone), sum(a.upper for a in alone))


@pytest.mark.parametrize("loss", ["mse", "logistic", "cross_entropy"])
@pytest.mark.parametrize("lam", [1e-3, 0.2])
@pytest.mark.parametrize("seed", range(1))
def test_several_outputs_in_one_dimension(loss, lam, seed):
    rng = np.random.default_rng(seed)
    problem = make(rng.normal(size=(8, 1)), targets(rng, 8, 2, loss), loss, beta=1.0, lam=lam)
    trained = best_trained(problem.X, problem.Y, **settings_of(problem), starts=6, seed=seed)
    result = solved(problem, gap=1e-4)
    assert result.lower <= trained * (1 + 1e-12)


def test_two_class_cross_entropy_is_logistic_with_half_the_price():
    """Only z_1 − z_2 matters, and (t/2, −t/2) makes it t at the norm |t|/√2: P_ce(λ, β = 0) = P_logistic(λ/√2)."""
    rng = np.random.default_rng(3)
    X, labels = rng.normal(size=(6, 2)), rng.choice([-1.0, 1.0], size=6)
    one_hot = np.column_stack([labels > 0, labels < 0]).astype(float)
    lam = 0.02
    expected = optimum(X, labels, loss="logistic", lam=lam / math.sqrt(2), a_plus=1.0, a_minus=0.0, beta=0.0)
    result = solved(make(X, one_hot, "cross_entropy", beta=0.0, lam=lam), gap=1e-5)
    assert_contains(result, expected.lower, expected.upper)


@pytest.mark.parametrize("beta", BETAS)
def test_soft_labels(beta):
    rng = np.random.default_rng(4)
    Y = rng.dirichlet(np.ones(3), size=5)
    problem = make(rng.normal(size=(5, 2)), Y, "cross_entropy", beta=beta, lam=5e-3)
    trained = best_trained(problem.X, problem.Y, **settings_of(problem), starts=6)
    assert solved(problem, gap=1e-4).lower <= trained * (1 + 1e-12)


# -- points ----------------------------------------------------------------------------------------------------------

PLANE = [[1.0, 0.5], [-0.5, 1.0], [0.25, -1.5], [2.0, 0.1], [-1.0, -1.0]]
POINT_SETS = {
    "doubled points": [*PLANE, PLANE[0], PLANE[3]],
    "all points equal": [[1.0, -2.0]] * 4,
    "opposite points": [*PLANE[:3], *(np.negative(PLANE[:3])).tolist()],
    "points on a ray": [[0.5, 1.0], [1.0, 2.0], [2.0, 4.0], [-1.0, -2.0]],
    "a point at the origin": [*PLANE, [0.0, 0.0]],
    "all points at the origin": [[0.0, 0.0]] * 3,
    "one point": [[0.3, -0.7]],
    "one point at the origin": [[0.0, 0.0]],
    "collinear, not through the origin": [[1.0, t] for t in (-1.0, 0.0, 0.5, 2.0)],
    "missing rank": [[a, b, a + b, 2 * a] for a, b in PLANE],
    "a zero feature": [[a, 0.0, b] for a, b in PLANE],
    "equal features": [[a, a, b] for a, b in PLANE],
    "tiny points": [[1e-6 * a, 1e-6 * b] for a, b in PLANE],
    "large points": [[1e4 * a, 1e4 * b] for a, b in PLANE],
    "points of different sizes": [
        [a * 10.0**k, b * 10.0**k] for k, (a, b) in zip((-4, -2, 0, 2, 3), PLANE, strict=True)
    ],
    "nearly doubled points": [*PLANE, [1.0 + 1e-9, 0.5], [2.0, 0.1 - 1e-13]],
}


@pytest.mark.parametrize("points", POINT_SETS)
@pytest.mark.parametrize("loss", ["mse", "logistic"])
@pytest.mark.parametrize("beta", BETAS)
def test_points_in_special_position(points, loss, beta):
    X = np.array(POINT_SETS[points])
    Y = targets(np.random.default_rng(len(X)), len(X), 1, loss)
    result = solved(make(X, Y, loss, beta=beta))
    if points != "nearly doubled points":  # the reference counts such points as equal
        assert_contains_enumerated(result)


@pytest.mark.parametrize("points", ["doubled points", "opposite points", "a point at the origin", "missing rank"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_points_in_special_position_several_outputs(points, loss):
    X = np.array(POINT_SETS[points])
    Y = targets(np.random.default_rng(len(X)), len(X), 2, loss)
    problem = make(X, Y, loss, beta=0.0, lam=2e-2)
    trained = best_trained(X, Y, **settings_of(problem), starts=6)
    assert solved(problem, gap=1e-4).lower <= trained * (1 + 1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ["mse", "logistic"])
def test_more_features_than_points(activation, loss):
    """3 points in R^20: rank 3, so the reference enumerates it."""
    rng = np.random.default_rng(6)
    assert_enumerated(make(rng.normal(size=(3, 20)), targets(rng, 3, 1, loss), loss, activation, beta=0.0))


def test_more_features_than_points_with_bias():
    rng = np.random.default_rng(7)
    assert_enumerated(make(rng.normal(size=(3, 20)), rng.normal(size=3), beta=1.0, lam=1e-3))


# -- targets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("loss", ["mse", "interpolate"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("beta", BETAS)
def test_targets_zero(m, loss, activation, beta):
    """The zero network is optimal, both bounds are 0, and the gap is absolute."""
    result = solved(make(PLANE, np.zeros((5, m)), loss, activation, beta))
    assert result.upper == 0.0
    assert result.lower == 0.0
    assert result.gap == 0.0
    assert result.width == 0


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("loss", ["mse", "interpolate"])
@pytest.mark.parametrize("value", [1.0, -2.5])
def test_targets_constant(beta, loss, value):
    assert_enumerated(make(PLANE, np.full(5, value), loss, beta=beta))


@pytest.mark.parametrize("beta", BETAS)
def test_one_label_only(beta):
    assert_enumerated(make(PLANE, np.ones(5), "logistic", beta=beta))
    result = solved(make(PLANE, np.eye(2)[[0] * 5], "cross_entropy", beta=beta), gap=1e-5)
    trained = best_trained(result.problem.X, result.problem.Y, **settings_of(result.problem), starts=6)
    assert result.lower <= trained * (1 + 1e-12)


@pytest.mark.parametrize("scale", [1e-5, 1e5])
@pytest.mark.parametrize("loss", ["mse", "interpolate"])
def test_targets_tiny_and_large(scale, loss):
    rng = np.random.default_rng(8)
    y = scale * rng.normal(size=5)
    assert_enumerated(make(PLANE, y, loss, lam=1e-2 * scale))


@pytest.mark.parametrize("lam", [1e-7, 1e-5, 10.0])
@pytest.mark.parametrize("loss", ["mse", "logistic"])
def test_lambda_tiny_and_large(lam, loss):
    rng = np.random.default_rng(9)
    assert_enumerated(make(PLANE, targets(rng, 5, 1, loss), loss, lam=lam))


# -- interpolation ---------------------------------------------------------------------------------------------------

THREE_PAIRS = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [-1.0, -1.0]]
INFEASIBLE = {
    "conflicting doubles": ([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]], [1.0, 2.0, 0.0], "relu", 1.0),
    "conflicting doubles, decimal fractions": ([[0.1, 0.3], [0.7, 0.2], [0.1, 0.3]], [0.1, 0.5, 0.2], "relu", 0.3),
    "conflicting doubles, barely": ([[0.5], [0.5], [1.0]], [1.0, 1.0 + 2**-40, 0.0], "relu", 1.0),
    "conflicting doubles, negative beta": ([[3.0], [3.0], [1.0]], [1.0, -1.0, 0.0], "abs", -0.5),
    "conflicting doubles in one of three outputs": (
        [[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]],
        [[1.0, 0.0, 0.5], [1.0, 0.25, 0.5], [0.0, 0.0, 2.0]],
        "relu",
        1.0,
    ),
    "the origin without bias": ([[0.0, 0.0], [1.0, 1.0]], [1.0, 1.0], "relu", 0.0),
    "only the origin without bias": ([[0.0]], [1.0], "abs", 0.0),
    "linear, more points than dimensions": ([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [1.0, 1.0, 0.0], "linear", 0.0),
    "linear with bias, decimal fractions": ([[0.1], [0.2], [0.3]], [0.0, 1.0, 0.0], "linear", 1.0),
    "linear with bias, two outputs": ([[0.1], [0.2], [0.7]], [[0.1, 0.0], [0.2, 1.0], [0.7, 0.0]], "linear", -0.5),
    "abs cannot tell x from -x": ([[1.0, 2.0], [-1.0, -2.0]], [1.0, 0.5], "abs", 0.0),
    "relu, points on one ray": ([[1.0], [2.0], [3.0]], [1.0, 1.0, 1.0], "relu", 0.0),
    "relu, points on one ray, decimal fractions": ([[0.1, 0.3], [0.2, 0.6]], [1.0, 1.0], "relu", 0.0),
    "relu, three opposite pairs in the plane": (THREE_PAIRS, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0], "relu", 0.0),
    "leaky relu, three opposite pairs in the plane": (THREE_PAIRS, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0], "leaky_relu", 0.0),
    "relu, three opposite pairs, decimal fractions": (
        [[0.1, 0.7], [0.3, -0.2], [1.1, 0.9], [-0.1, -0.7], [-0.3, 0.2], [-1.1, -0.9]],
        [0.3, 0.1, 0.2, 0.7, 0.0, -0.4],
        "relu",
        0.0,
    ),
}


@pytest.mark.parametrize("case", INFEASIBLE)
def test_unreachable_targets_are_proven_unreachable(case):
    """check_claims redoes the proof in exact arithmetic."""
    X, Y, activation, beta = INFEASIBLE[case]
    problem = make(X, Y, "interpolate", activation, beta)
    result = solve(problem, time_limit=20)
    assert result.status == "infeasible"
    assert result.infeasibility is not None
    assert result.message
    check_claims(result, 1e-6)


def test_unreachable_cases_are_unreachable():
    """The table above, by the reference (all but the difference of 2⁻⁴⁰, which is below its tolerance)."""
    for case, (X, Y, activation, beta) in INFEASIBLE.items():
        problem = make(X, Y, "interpolate", activation, beta)
        settings = {k: v for k, v in settings_of(problem).items() if k not in ("loss", "lam")}
        assert not reachable(problem.X, problem.Y, **settings) or case == "conflicting doubles, barely"


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "abs"])
def test_agreeing_doubles_can_be_interpolated(activation, beta):
    """Doubles with equal targets are no conflict, and the optimum is that of the single points."""
    y = np.array([0.3, -1.2, 0.7, 0.1, 2.0])
    result = assert_enumerated(make([*PLANE, PLANE[1]], [*y, y[1]], "interpolate", activation, beta))
    expected = optimum(np.array(PLANE), y, **settings_of(result.problem))
    assert_contains(result, expected.lower, expected.upper)


FEASIBLE = {
    "the origin without bias, target zero": ([[0.0, 0.0], [1.0, 1.0]], [0.0, 1.0], "relu", 0.0),
    "the origin with bias": ([[0.0, 0.0], [1.0, 1.0]], [1.0, -1.0], "relu", 0.5),
    "points on one ray, proportional targets": ([[1.0], [2.0], [-3.0]], [2.0, 4.0, -1.0], "relu", 0.0),
    "three opposite pairs, odd part linear": (THREE_PAIRS, [1.5, 2.0, 3.0, 0.5, 0.0, 0.0], "relu", 0.0),
    "abs, equal targets at x and -x": ([[1.0, 2.0], [-1.0, -2.0], [0.0, 1.0]], [1.0, 1.0, -2.0], "abs", 0.0),
    "abs with bias tells x from -x": ([[1.0, 2.0], [-1.0, -2.0]], [1.0, 0.5], "abs", 1.0),
    "linear with bias, collinear": ([[1.0], [2.0], [4.0]], [1.0, 3.0, 7.0], "linear", 1.0),
    "close points": ([[0.5], [0.5 + 2**-10], [1.0]], [0.0, 1.0, 0.0], "relu", 1.0),
}


@pytest.mark.parametrize("case", FEASIBLE)
def test_targets_that_are_just_reachable(case):
    X, Y, activation, beta = FEASIBLE[case]
    assert_enumerated(make(X, Y, "interpolate", activation, beta))


def test_very_close_points_are_not_called_infeasible():
    """They can be told apart, at an enormous cost: a difference of 2⁻³⁰ in x against 1 in y."""
    problem = make([[0.5], [0.5 + 2**-30], [1.0]], [0.0, 1.0, 0.0], "interpolate")
    result = solve(problem, gap=1e-3, time_limit=10)
    check_claims(result, 1e-3)
    assert result.status != "infeasible"
    # One kink between the two points rises by 1 over 2⁻³⁰.
    assert result.upper is None or result.upper >= 2**30
