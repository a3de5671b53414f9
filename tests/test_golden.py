"""Optima that can be written down."""

import math

import numpy as np
import pytest
from claims import assert_contains, check_claims, settings_of
from descent import best_trained
from enumeration import gamma, optimum, patterns_and_slopes, reduced_points

from cpcert import Problem, solve


def assert_optimum(problem, expected, gap=1e-6, slack=1e-11, time_limit=30):
    """`solve` proves `gap` around the closed form, and the enumeration that other tests rely on contains it too."""
    result = solve(problem, gap=gap, time_limit=time_limit)
    check_claims(result, gap)
    assert result.status == "optimal"
    assert_contains(result, expected, slack=slack)
    if problem.m == 1 and problem.n <= 3 and problem.loss.name != "cross_entropy":
        interval = optimum(problem.X, problem.Y[:, 0], **settings_of(problem))
        assert interval.lower * (1 - slack) <= expected <= interval.upper * (1 + slack)
    return result


def shrunk(size, threshold):
    """min over a ≥ 0 of (a − size)² + 2·threshold·a."""
    return size**2 if size <= threshold else 2 * threshold * size - threshold**2


# -- bipartite graphs: X = I, Y = B_N --------------------------------------------------------------------------------


def bipartite(N):
    """B_N: N/2 on the diagonal, 1 between the two halves; singular values N, N/2 (N − 2 times) and 0."""
    half, one = N // 2 * np.eye(N // 2), np.ones((N // 2, N // 2))
    return np.block([[half, one], [one, half]])


@pytest.mark.parametrize("N", [2, 4, 6, 8])
def test_bipartite_representation_cost(N):
    """R(I, B_N) = N²: B_N is completely positive, and the trace bound is attained."""
    result = assert_optimum(Problem(np.eye(N), bipartite(N), loss="interpolate", beta=0.0), N**2, gap=1e-9)
    assert abs(result.lower - N**2) <= 1e-9 * N**2
    assert abs(result.upper - N**2) <= 1e-9 * N**2


@pytest.mark.parametrize("N", [2, 4, 6])
@pytest.mark.parametrize("lam", [1e-3, 0.05, 0.5])
def test_bipartite_with_mse(N, lam):
    """P* = 2λ Σ s_i − λ² N rank(B_N) while λ ≤ 1/2: all nonzero singular values are at least λN then."""
    s = np.array([N, *[N / 2] * (N - 2)])
    assert np.allclose(np.sort(np.linalg.svd(bipartite(N))[1])[::-1], [*s, 0.0], atol=1e-12)
    expected = 2 * lam * s.sum() - lam**2 * N * len(s)
    assert_optimum(Problem(np.eye(N), bipartite(N), lam=lam, beta=0.0), expected)


def test_the_five_cycle_is_not_shrunk_singular_values():
    """Y = 2I + A(C_5) = EᵀE is completely positive, but with shrunk singular values it is not: these give 0.39,
    the optimum is above 0.390243 (and training finds 0.3902445)."""
    ring = np.roll(np.eye(5), 1, axis=0)
    Y, lam = 2 * np.eye(5) + ring + ring.T, 0.02
    formula = sum(shrunk(s, 5 * lam) / 5 for s in np.linalg.svd(Y)[1])
    assert formula == pytest.approx(0.39, abs=1e-12)
    problem = Problem(np.eye(5), Y, lam=lam, beta=0.0)
    trained = best_trained(problem.X, problem.Y, **settings_of(problem), width=20, starts=4)
    assert trained < 0.39026
    result = solve(problem, gap=1e-4, time_limit=60)
    check_claims(result, 1e-4)
    assert result.upper >= 0.390243
    assert result.lower <= trained * (1 + 1e-12)
    assert result.lower > formula, "the spectral bound alone proves nothing beyond the formula"


# -- orthonormal points ----------------------------------------------------------------------------------------------


def orthonormal(N, n0, seed):
    """N points in R^n0, orthonormal up to rounding."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(n0, n0)))[0][:N]


def parts(y, activation):
    """The sizes that the penalty sees: of the positive and negative part for relu and abs (σ(w) is any vector ≥ 0 of
    norm ‖w‖, one neuron for each part is best), of the whole for linear."""
    if activation == "linear":
        return [np.linalg.norm(y)]
    return [np.linalg.norm(np.maximum(y, 0)), np.linalg.norm(np.maximum(-y, 0))]


@pytest.mark.parametrize("activation", ["relu", "abs", "linear"])
@pytest.mark.parametrize("N", [1, 2, 3, 6])
@pytest.mark.parametrize("lam", [1e-3, 0.2, 0.6])
def test_orthonormal_points_mse(activation, N, lam):
    """(1/N)‖f − y‖² + 2λ(‖f₊‖ + ‖f₋‖) splits into the parts of y, each shrunk in norm by λN."""
    y = np.random.default_rng(N).normal(size=N)
    expected = sum(shrunk(size, lam * N) / N for size in parts(y, activation))
    problem = Problem(orthonormal(N, max(N, 2), seed=N), y, lam=lam, activation=activation, beta=0.0)
    result = assert_optimum(problem, expected)
    assert result.width <= N + 1


@pytest.mark.parametrize("activation", ["relu", "abs", "linear"])
@pytest.mark.parametrize("N", [1, 3, 5])
def test_orthonormal_points_interpolate(activation, N):
    y = np.random.default_rng(10 + N).normal(size=N)
    problem = Problem(orthonormal(N, N + 1, seed=N), y, loss="interpolate", activation=activation, beta=0.0)
    assert_optimum(problem, 2 * sum(parts(y, activation)))


@pytest.mark.parametrize("lam", [1e-3, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("positive", [0, 1, 3])
def test_orthonormal_points_logistic(positive, lam):
    """The n points of one label get one output t: (n/N) log(1 + e^{−t}) + 2λ√n t, so 1 + e^t = √n/(2λN), or t = 0."""
    N = 4
    expected = 0.0
    for n in (positive, N - positive):
        ratio = 2 * lam * N / math.sqrt(n) if n else 1.0
        t = math.log(1 / ratio - 1) if ratio < 0.5 else 0.0
        expected += n / N * math.log1p(math.exp(-t)) + 2 * lam * math.sqrt(n) * t
    y = np.where(np.arange(N) < positive, 1.0, -1.0)
    assert_optimum(Problem(orthonormal(N, N, seed=0), y, lam=lam, loss="logistic", beta=0.0), expected)


@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("lam", [1e-2, 0.1, 0.3])
def test_linear_networks_shrink_singular_values(m, lam):
    """σ linear, orthonormal points: the penalty is 2λ‖Z‖_*, so every singular value of Y is shrunk by λN."""
    N = 5
    Y = np.random.default_rng(m).normal(size=(N, m))
    expected = sum(shrunk(s, lam * N) / N for s in np.linalg.svd(Y)[1])
    problem = Problem(orthonormal(N, N + 2, seed=m), Y, lam=lam, activation="linear", beta=0.0)
    assert_optimum(problem, expected)


@pytest.mark.parametrize("m", [1, 2, 4])
def test_linear_interpolation_is_a_nuclear_norm(m):
    """σ linear, X invertible: Z = AX = Y leaves A = YX⁻¹ only, whose cheapest factorisation costs 2‖A‖_*."""
    rng = np.random.default_rng(m)
    X, Y = rng.normal(size=(4, 4)), rng.normal(size=(4, m))
    expected = 2 * np.linalg.svd(np.linalg.solve(X, Y))[1].sum()
    problem = Problem(X, Y, loss="interpolate", activation="linear", beta=0.0)
    assert_optimum(problem, expected)


def test_two_opposite_points():
    """Prop. 19 of Jacot et al. (2022): x = ±1, y = 1, 1. Networks with one live neuron are local minima with loss
    1/2 + 2λ − 2λ²; two neurons reach 4λ − 4λ². |x| does both at once."""
    X, y = [[1.0], [-1.0]], [1.0, 1.0]
    for lam in (1e-3, 0.1, 0.3):
        result = assert_optimum(Problem(X, y, lam=lam, beta=0.0), 4 * lam - 4 * lam**2)
        assert result.width == 2
        assert result.upper < 0.5 + 2 * lam - 2 * lam**2
        result = assert_optimum(Problem(X, y, lam=lam, beta=0.0, activation="abs"), 2 * lam - lam**2)
        assert result.width == 1


# -- one point -------------------------------------------------------------------------------------------------------

SLOPES = {"relu": (None, 1.0), "leaky_relu": (-0.75, 1.0), "abs": (None, 1.0), "linear": (None, 1.0)}
POINTS = [[2.0], [0.3, -0.4], [1.0, 2.0, -1.0]]


def price(x, beta):
    """What hidden neurons cost (divided by λ) for one unit of output at the only point: 2/‖x̃‖, slopes at most 1."""
    return 2 / math.sqrt(np.dot(x, x) + beta**2)


@pytest.mark.parametrize("activation", SLOPES)
@pytest.mark.parametrize("x", POINTS)
@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5])
@pytest.mark.parametrize("lam", [1e-3, 0.4])
def test_one_point_mse(activation, x, beta, lam):
    """q from hidden neurons, βb from the bias: (q + βb − y)² + λ·price·|q| + λb². Without b: κ(y − q)² + λ·price·|q|,
    κ = λ/(λ + β²)."""
    y, kappa = 1.5, lam / (lam + beta**2)
    expected = kappa * shrunk(y, lam * price(x, beta) / (2 * kappa))
    problem = Problem([x], [y], lam=lam, activation=activation, slope=SLOPES[activation][0], beta=beta)
    assert_optimum(problem, expected)


@pytest.mark.parametrize("x", POINTS)
@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5])
def test_one_point_several_outputs(x, beta):
    """By rotating the outputs, one point with targets y ∈ R^m is one point with target ‖y‖."""
    y, lam = np.array([2.0, -1.0, 0.5]), 0.05
    kappa = lam / (lam + beta**2)
    expected = kappa * shrunk(np.linalg.norm(y), lam * price(x, beta) / (2 * kappa))
    assert_optimum(Problem([x], [y], lam=lam, beta=beta), expected)


@pytest.mark.parametrize("x", POINTS)
@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5, 3.0])
@pytest.mark.parametrize("y", [1.5, -0.01])
def test_one_point_interpolate(x, beta, y):
    """|y − βb|·price + b²: marginal costs agree at |b| = |β|·price/2, unless the bias alone reaches y first."""
    by_bias = min(abs(y), beta**2 * price(x, beta) / 2)
    expected = (abs(y) - by_bias) * price(x, beta) + (by_bias**2 / beta**2 if beta else 0.0)
    assert_optimum(Problem([x], [y], loss="interpolate", beta=beta), expected)


@pytest.mark.parametrize("x", POINTS)
@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5])
@pytest.mark.parametrize("lam", [1e-3, 0.1, 2.0])
@pytest.mark.parametrize("y", [1.0, -1.0])
def test_one_point_logistic(x, beta, lam, y):
    """With p = 1/(1 + e^z) the slope of the loss at the signed output z, the bias gives β²p/2λ; neurons are used once p
    exceeds their price, and then keep p at it. Otherwise z = β²p/2λ, solved by bisection."""
    low, high = 0.0, 0.5 * beta**2 / (2 * lam) + 1.0
    for _ in range(200):
        z = (low + high) / 2
        low, high = (z, high) if z < beta**2 / (2 * lam) / (1 + math.exp(z)) else (low, z)
    p = 1 / (1 + math.exp(z))
    if p > lam * price(x, beta):
        p = lam * price(x, beta)
        z = math.log(1 / p - 1)
    bias = abs(beta) * p / (2 * lam)
    hidden = max(z - abs(beta) * bias, 0.0)
    expected = math.log1p(math.exp(-z)) + lam * price(x, beta) * hidden + lam * bias**2
    assert_optimum(Problem([x], [y], lam=lam, loss="logistic", beta=beta), expected)


# -- λ so large that no hidden neuron is needed -----------------------------------------------------------------------


@pytest.mark.parametrize("activation", [(1.0, 0.0, "relu"), (1.0, -1.0, "abs"), (1.0, 1.0, "linear")])
@pytest.mark.parametrize("seed", range(3))
def test_the_largest_useful_lambda(activation, seed):
    """β = 0, mse: no neuron is worth its price iff λ ≥ γ(Y)/N, and then P* = ‖Y‖²/N."""
    a_plus, a_minus, name = activation
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(6, 3)), rng.normal(size=6)
    points, _ = reduced_points(X, 0.0)
    lam_max = gamma(y, points, patterns_and_slopes(points, a_plus, a_minus)) / 6
    result = assert_optimum(Problem(X, y, lam=lam_max * (1 + 1e-9), activation=name, beta=0.0), y @ y / 6)
    assert result.width == 0
    below = solve(Problem(X, y, lam=0.9 * lam_max, activation=name, beta=0.0))
    check_claims(below, 1e-6)
    assert below.width >= 1
    assert below.upper < y @ y / 6


@pytest.mark.parametrize("loss", ["mse", "logistic"])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_huge_lambda_leaves_the_zero_network(loss, m):
    rng = np.random.default_rng(m)
    X, Y = rng.normal(size=(7, 4)), rng.choice([-1.0, 1.0], size=(7, m))
    result = assert_optimum(
        Problem(X, Y, lam=1e3, loss=loss, beta=0.0), np.sum(Y**2) / 7 if loss == "mse" else m * math.log(2), slack=1e-12
    )
    assert result.width == 0
    assert result.upper - result.lower <= 1e-12 * result.upper


@pytest.mark.parametrize("beta", [1.0, -0.5])
@pytest.mark.parametrize("m", [1, 2])
def test_a_huge_lambda_leaves_the_bias(beta, m):
    """Ridge regression on the constant: b = β mean(y)/(β² + λ), P* = ‖Y‖²/N − β²‖mean(y)‖²/(β² + λ)."""
    rng = np.random.default_rng(m)
    X, Y = rng.normal(size=(7, 3)), rng.normal(size=(7, m)) + 1.0
    for lam in (20.0, 1e3):
        mean = Y.mean(axis=0)
        expected = np.sum(Y**2) / 7 - beta**2 * (mean @ mean) / (beta**2 + lam)
        assert assert_optimum(Problem(X, Y, lam=lam, beta=beta), expected).width == 0


@pytest.mark.parametrize("classes", [2, 3])
def test_a_huge_lambda_leaves_the_uniform_distribution(classes):
    rng = np.random.default_rng(classes)
    Y = np.eye(classes)[rng.integers(0, classes, size=6)]
    problem = Problem(rng.normal(size=(6, 3)), Y, lam=1e3, loss="cross_entropy", beta=0.0)
    assert assert_optimum(problem, math.log(classes)).width == 0
