"""What must not change the optimum, or change it by a known factor."""

import numpy as np
import pytest
from claims import check_claims

from cpcert import Problem, solve

GAP = 1e-6
ONE_OUTPUT = [
    ("mse", "relu"),
    ("logistic", "relu"),
    ("interpolate", "relu"),
    ("mse", "abs"),
    ("logistic", "leaky_relu"),
]
BETAS = [0.0, 1.0, -0.5]


def random_data(seed, N=6, n0=2, m=1, loss="mse"):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(N, n0)), rng.normal(size=(N, m))
    if loss == "logistic":
        Y = np.where(Y > 0, 1.0, -1.0)
    if loss == "cross_entropy":
        Y = np.eye(m)[np.argmax(Y, axis=1)]
    return X, Y


def make(X, Y, loss="mse", activation="relu", lam=1e-2, beta=0.0):
    slope = 0.25 if activation == "leaky_relu" else None
    return Problem(X, Y, None if loss == "interpolate" else lam, loss, activation, slope, beta)


def assert_same(problem, other, factor=1.0, gap=GAP, slack=1e-9):
    """optimum(other) = factor · optimum(problem). Both intervals are proven to `gap`, so they must overlap.

    slack (relative): how far the rounding of the transformed data can move the optimum.
    """
    first, second = solve(problem, gap=gap, time_limit=30), solve(other, gap=gap, time_limit=30)
    for result in (first, second):
        check_claims(result, gap)
        assert result.status == "optimal"
    assert second.lower <= factor * first.upper * (1 + slack)
    assert factor * first.lower <= second.upper * (1 + slack)


def rotation(n, seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]


@pytest.mark.parametrize(("loss", "activation"), ONE_OUTPUT)
@pytest.mark.parametrize("beta", BETAS)
def test_order_of_points(loss, activation, beta):
    # Interpolation is feasible: without parallel points each relu(x_iᵀw) has its own kink, so features have rank N.
    X, Y = random_data(1, loss=loss)
    order = np.random.default_rng(2).permutation(len(X))
    assert_same(make(X, Y, loss, activation, beta=beta), make(X[order], Y[order], loss, activation, beta=beta))


@pytest.mark.parametrize(("loss", "activation"), ONE_OUTPUT)
@pytest.mark.parametrize("beta", BETAS)
def test_rotated_inputs(loss, activation, beta):
    """The bias row of X̃ stays where it is, so this holds for every β."""
    X, Y = random_data(3, loss=loss)
    turned = X @ rotation(2, seed=4)
    assert_same(make(X, Y, loss, activation, beta=beta), make(turned, Y, loss, activation, beta=beta), slack=1e-8)


@pytest.mark.parametrize("beta", BETAS)
def test_rotated_inputs_in_more_dimensions(beta):
    """Isometric copies of the plane in R^5: new features without new information."""
    X, Y = random_data(5)
    assert_same(make(X, Y, beta=beta), make(X @ rotation(5, seed=6)[:2], Y, beta=beta))


@pytest.mark.parametrize("loss", ["mse", "interpolate"])
@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("beta", [0.0, -0.5])
def test_rotated_outputs(loss, m, beta):
    X, Y = random_data(7, N=5, m=m)
    assert_same(make(X, Y, loss, beta=beta), make(X, Y @ rotation(m, seed=8), loss, beta=beta), gap=1e-5)


@pytest.mark.parametrize("loss", ["logistic", "cross_entropy"])
def test_order_of_outputs(loss):
    X, Y = random_data(9, N=5, m=3, loss=loss)
    assert_same(make(X, Y, loss, beta=1.0), make(X, Y[:, [2, 0, 1]], loss, beta=1.0), gap=1e-5)


@pytest.mark.parametrize("beta", BETAS)
def test_outputs_that_are_always_zero(beta):
    """Projecting a network onto the other outputs costs nothing."""
    X, Y = random_data(10, N=5)
    assert_same(make(X, Y, beta=beta), make(X, np.hstack([Y, np.zeros_like(Y)]), beta=beta), gap=1e-5)


@pytest.mark.parametrize("loss", ["mse", "interpolate"])
def test_sign_of_targets(loss):
    X, Y = random_data(11)
    assert_same(make(X, Y, loss, beta=1.0), make(X, -Y, loss, beta=1.0))


@pytest.mark.parametrize(("loss", "activation"), ONE_OUTPUT)
def test_sign_of_beta(loss, activation):
    """Flip the bias columns of both layers."""
    X, Y = random_data(12, loss=loss)
    assert_same(make(X, Y, loss, activation, beta=0.75), make(X, Y, loss, activation, beta=-0.75))


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("c", [0.25, 8.0, 1.7])
def test_scaled_data(beta, c):
    """The same weights map (cX, cβ) to c times the outputs: P(cX, cβ, cY, c²λ) = c² P(X, β, Y, λ) for mse."""
    X, Y = random_data(13)
    assert_same(
        make(X, Y, lam=0.01, beta=beta), make(c * X, c * Y, lam=0.01 * c**2, beta=c * beta), factor=c**2, slack=1e-8
    )


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("c", [0.25, 1.7])
def test_scaled_data_interpolate(beta, c):
    X, Y = random_data(14)
    assert_same(make(X, Y, "interpolate", beta=beta), make(c * X, c * Y, "interpolate", beta=c * beta), slack=1e-8)


@pytest.mark.parametrize("c", [0.25, 8.0, 1.7])
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_scaled_without_biases(c, activation):
    """β = 0: the weights of both layers may take the factor. P(cX, cλ) = P(X, λ) and P(cY, cλ) = c² P(Y, λ) for mse;
    R(X, cY) = c R(X, Y) = R(X/c, Y)."""
    X, Y = random_data(15, N=5)
    problem = make(X, Y, activation=activation, lam=0.01)
    assert_same(problem, make(c * X, Y, activation=activation, lam=0.01 * c), slack=1e-8)
    assert_same(problem, make(X, c * Y, activation=activation, lam=0.01 * c), factor=c**2, slack=1e-8)
    interpolation = make(X, Y, "interpolate", activation)
    assert_same(interpolation, make(X, c * Y, "interpolate", activation), factor=c, slack=1e-8)
    assert_same(interpolation, make(X / c, Y, "interpolate", activation), factor=c, slack=1e-8)


@pytest.mark.parametrize("loss", ["mse", "logistic"])
def test_abs_does_not_see_the_sign_of_a_point(loss):
    X, Y = random_data(16, loss=loss)
    signs = np.array([1, -1, -1, 1, 1, -1.0])[:, None]
    assert_same(make(X, Y, loss, "abs"), make(signs * X, Y, loss, "abs"))


def test_linear_is_odd():
    """σ(−s) = −σ(s): the sign of a point is the sign of its target."""
    X, Y = random_data(17)
    signs = np.array([1, -1, -1, 1, 1, -1.0])[:, None]
    assert_same(make(X, Y, activation="linear"), make(signs * X, signs * Y, activation="linear"))


@pytest.mark.parametrize("loss", ["mse", "logistic", "interpolate"])
@pytest.mark.parametrize("beta", BETAS)
def test_every_point_twice(loss, beta):
    """C is a mean, so doubling all points changes nothing; interpolation does not count points at all."""
    X, Y = random_data(18, N=4, loss=loss)
    assert_same(make(X, Y, loss, beta=beta), make(np.vstack([X, X]), np.vstack([Y, Y]), loss, beta=beta))


def test_doubled_points_interpolate():
    """One point more, no new constraint."""
    X, Y = random_data(19, N=5)
    doubled = make(np.vstack([X, X[[2]]]), np.vstack([Y, Y[[2]]]), "interpolate", beta=1.0)
    assert_same(make(X, Y, "interpolate", beta=1.0), doubled)


def test_doubled_points_of_different_targets_act_as_their_mean():
    """(z − a)² + (z − b)² = 2 (z − (a + b)/2)² + (a − b)²/2: the optimum moves by a known constant."""
    X, Y = random_data(20, N=4)
    shift = np.array([[0.5], [-0.25], [1.0], [0.0]])
    problem = make(X, Y, beta=1.0, lam=0.02)
    split = make(np.vstack([X, X]), np.vstack([Y + shift, Y - shift]), beta=1.0, lam=0.02)
    first, second = (solve(p, gap=GAP, time_limit=30) for p in (problem, split))
    for result in (first, second):
        check_claims(result, GAP)
        assert result.status == "optimal"
    constant = float(np.sum(shift**2)) / 4
    assert second.lower <= first.upper + constant + 1e-12
    assert first.lower + constant <= second.upper + 1e-12


@pytest.mark.parametrize("beta", BETAS)
def test_a_feature_that_is_always_zero(beta):
    X, Y = random_data(21)
    assert_same(make(X, Y, beta=beta), make(np.insert(X, 1, 0.0, axis=1), Y, beta=beta))


def test_a_constant_feature_is_a_bias_of_the_hidden_layer():
    """[X, 3/4] with β = 1 has x̃ of norm² |x|² + (3/4)² + 1: by rotation, a hidden bias of 5/4 and an output bias of 1.
    The same holds for [X, 0.6, 0.45]."""
    X, Y = random_data(22)
    one = np.hstack([X, np.full((len(X), 1), 0.75)])
    two = np.hstack([X, np.full((len(X), 1), 0.6), np.full((len(X), 1), 0.45)])
    assert_same(make(one, Y, beta=1.0), make(two, Y, beta=1.0))


def test_monotone_in_lambda_and_in_features():
    """More penalty costs more, and a further feature can be ignored: both as proven inequalities."""
    X, Y = random_data(23, N=6, n0=3)
    previous = 0.0
    for lam in (1e-3, 1e-2, 1e-1):
        with_two = solve(make(X[:, :2], Y, beta=1.0, lam=lam), gap=GAP, time_limit=30)
        with_three = solve(make(X, Y, beta=1.0, lam=lam), gap=GAP, time_limit=30)
        assert with_three.lower <= with_two.upper
        assert previous <= with_two.upper
        previous = with_two.lower
