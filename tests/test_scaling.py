"""Data far from size 1: the same bits in other units, and problems that close although nobody standardized them."""

import json
from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest
from claims import check_claims
from exact import dot, rationals

from cpcert import Problem, solve
from cpcert.cli import main
from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.scaling import scaling
from cpcert.frank_wolfe.steps import objective
from cpcert.losses import LOSSES

GAP = 1e-6


def noisy_data(seed, N=15, n0=2, m=1):
    """Two neurons, an offset and noise: N points that a small λ fits almost exactly."""
    rng = np.random.default_rng(seed)
    X = rng.normal(0.3, 1.0, (N, n0))
    Y = np.maximum(X @ rng.normal(size=(n0, m)), 0.0) - 0.7 * np.maximum(X @ rng.normal(size=(n0, m)), 0.0) + 0.5
    return X, Y + 0.2 * rng.normal(size=(N, m))


def labels(Y, loss):
    if loss == "logistic":
        return np.where(np.median(Y) < Y, 1.0, -1.0)
    return np.eye(Y.shape[1])[np.argmax(Y, axis=1)]


def scaled(problem, x, y, lam, beta):
    """X·2^x, Y·2^y, λ·2^lam, β·2^beta."""
    weight = None if problem.loss.name == "interpolate" else np.ldexp(problem.lam, lam)
    return Problem(
        np.ldexp(problem.X, x), np.ldexp(problem.Y, y), weight, problem.loss, problem.activation, None,
        np.ldexp(problem.beta, beta),
    )  # fmt: skip


# Powers of two of (X, Y, λ, β), twice, and of the loss between the two. With biases inputs and targets share one unit.
UNITS = [
    ("mse", 1, 1.0, (10, 10, 20, 10), (23, 23, 46, 23), 26),
    ("mse", 2, 1.0, (-9, -9, -18, -9), (-20, -20, -40, -20), -22),
    ("mse", 1, 0.0, (10, 9, 19, 0), (-17, 24, 7, 0), 30),
    ("mse", 2, 0.0, (30, -31, -1, 0), (6, 5, 11, 0), 72),
    ("interpolate", 1, 0.5, (10, 10, 0, 10), (23, 23, 0, 23), 0),
    ("logistic", 1, 0.0, (10, 0, 10, 0), (-17, 0, -17, 0), 0),
]


@pytest.mark.parametrize(("loss", "m", "beta", "first", "second", "factor"), UNITS)
def test_units_of_powers_of_two_give_the_same_bits(loss, m, beta, first, second, factor):
    X, Y = noisy_data(1, N=8, m=m)
    Y = labels(Y, loss) if loss == "logistic" else Y
    problem = Problem(X, Y, None if loss == "interpolate" else 1e-2, loss, beta=beta)
    one, two = (solve(scaled(problem, *exponents), gap=GAP, time_limit=30) for exponents in (first, second))
    assert one.status == two.status == "optimal"
    assert (two.upper, two.lower) == (np.ldexp(one.upper, factor), np.ldexp(one.lower, factor))
    assert [record.nodes for record in one.trace] == [record.nodes for record in two.trace]


@pytest.mark.parametrize("loss", ["mse", "interpolate", "logistic"])
@pytest.mark.parametrize("beta", [0.0, -0.75])
def test_scaled_problem_has_the_same_objective_and_gradient(loss, beta):
    """Up to the factor 4^y (mse) or 2^{y−x} (interpolate), for any neurons; the dual point in the original units."""
    X, Y = noisy_data(2, m=2)
    Y = labels(Y, "logistic") if loss == "logistic" else np.ldexp(Y, 21)
    X = np.ldexp(X, 14)
    problem = Problem(X, Y, None if loss == "interpolate" else 3e-2, loss, beta=beta)
    points = problem.X_tilde.T
    change = scaling(problem, points)
    assert np.abs(change.points).max() < 2.0
    assert loss == "logistic" or np.abs(change.problem.Y).max() < 2.0
    rng = np.random.default_rng(3)
    W = rng.normal(size=(3, problem.n))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    b = rng.normal(size=2) if beta else np.zeros(2)
    inner = Neurons(W, rng.normal(size=(2, 3)), b, W @ points.T > 0.0)
    outer = change.outward(inner)
    factor = {"mse": 2 * change.y, "interpolate": change.y - change.x, "logistic": 0}[loss]
    value = objective(change.problem, change.points, inner)
    assert objective(problem, points, outer) == pytest.approx(np.ldexp(value, factor), rel=1e-14)
    Z, Z_inner = outer.outputs(problem, points), inner.outputs(change.problem, change.points)
    np.testing.assert_allclose(Z, np.ldexp(Z_inner, change.y), rtol=1e-13)
    if loss != "interpolate":
        gradient = problem.loss.gradient(Z, problem.targets)
        np.testing.assert_allclose(
            change.dual(change.problem.loss.gradient(Z_inner, change.problem.targets)), gradient, rtol=1e-12, atol=1e-18
        )


def test_data_near_size_1_are_left_alone():
    X, Y = noisy_data(4)
    problem = Problem(X, Y, 1e-2)
    assert scaling(problem, problem.X_tilde.T).problem is problem


# λ = 1e-2 for features and targets in their own units: relative to them, as small as 1e-18.
UNSCALED = [
    ("mse", 4, 5, 1.0, "relu"),
    ("mse", 4, 5, 0.0, "abs"),
    ("mse", 8, 3, 1.0, "relu"),
    ("mse", 2, 12, 1.0, "relu"),
    ("mse", -2, 5, 1.0, "relu"),
    ("logistic", 4, 0, 1.0, "relu"),
    ("logistic", 8, 0, 1.0, "relu"),
    ("interpolate", 4, 12, 1.0, "relu"),
]


@pytest.mark.parametrize(("loss", "features", "targets", "beta", "activation"), UNSCALED)
def test_unscaled_data_close(loss, features, targets, beta, activation):
    X, Y = noisy_data(0)
    Y = labels(Y, "logistic") if loss == "logistic" else Y * 10.0**targets
    lam = None if loss == "interpolate" else 1e-2
    result = solve(Problem(X * 10.0**features, Y, lam, loss, activation, beta=beta), gap=GAP, time_limit=30)
    assert result.status == "optimal"
    check_claims(result, GAP)


def exact_cross_entropy(network, problem):
    """L_λ of the network, ReLU, to 50 digits (Decimal)."""
    getcontext().prec = 50
    W1, W2 = (rationals(W) for W in network.weights)
    total = Decimal(0)
    for x, y in zip(rationals(problem.X), problem.Y.tolist(), strict=True):
        hidden = [max(dot(w, [*x, Fraction(1)]), Fraction(0)) for w in W1]
        Z = [dot(v, [*hidden, Fraction(1)]) for v in W2]
        Z = [Decimal(z.numerator) / z.denominator for z in Z]
        total += sum((z - Z[y.index(1.0)]).exp() for z in Z).ln()
    penalty = Fraction(problem.lam) * sum(dot(row, row) for row in W1 + W2)
    return total / problem.N + Decimal(penalty.numerator) / penalty.denominator


@pytest.mark.parametrize("seed", [1, 4])
def test_small_loss_of_several_classes_closes(seed):
    """Losses of 1e-5: the rounding of outputs near 15 must not count with the slope that the loss has at 0."""
    X, Y = noisy_data(seed, m=2)
    problem = Problem(X * 1e5, labels(Y, "cross_entropy"), 1e-2, "cross_entropy")
    result = solve(problem, gap=GAP, time_limit=30)
    assert result.status == "optimal"
    assert result.lower <= result.upper < 2e-5
    exact = exact_cross_entropy(result.network, problem)
    assert exact <= Decimal(result.upper) <= exact * (1 + Decimal("1e-9"))


@pytest.mark.parametrize(("name", "Z", "Y"), [
    ("logistic", [[20.0, 30.0]], [[1.0, 1.0]]),
    ("cross_entropy", [[20.0, 0.0], [0.0, 30.0]], [[1.0, 0.0], [0.0, 1.0]]),
])  # fmt: skip
def test_errors_of_confident_outputs_hardly_count(name, Z, Y):
    Z, Y = np.array(Z), np.array(Y)
    exact = LOSSES[name].value_upper(Z, 0.0, Y)
    assert exact < LOSSES[name].value_upper(Z, 1e-3, Y) < exact * (1.0 + 3e-3)


def test_an_error_that_may_turn_the_label_around_counts_in_full():
    """The label's output is not the largest, or two share the label: slope 1 for the difference of two outputs."""
    for Y in ([[1.0], [0.0]], [[0.5], [0.5]]):
        Z = np.array([[-30.0], [0.0]])
        C, Y = LOSSES["cross_entropy"], np.array(Y)
        worst = np.array([[-31.0], [1.0]])
        assert C.value_upper(Z, 1.0, Y) >= C.value(worst, Y)
    tied, halves = np.zeros((2, 1)), np.array([[0.5], [0.5]])
    assert C.value_upper(tied, 5.0, halves) >= C.value(np.array([[5.0], [-5.0]]), halves)


@pytest.fixture
def prices(tmp_path):
    X, Y = noisy_data(5, N=12)
    rows = np.column_stack([np.round(X * 3e4), np.round(Y * 2e5)])
    lines = ["area,income,price", *(",".join(f"{x:.0f}" for x in row) for row in rows)]
    (tmp_path / "prices.csv").write_text("\n".join(lines) + "\n")
    path = tmp_path / "prices.yaml"
    path.write_text("data: {source: file, path: prices.csv, targets: [price]}\nloss: mse\nlambda: 1.0e-2\n")
    return path


def test_solve_check_path_and_width_of_prices(prices, tmp_path, capsys):
    assert main(["solve", str(prices), "--json", "--out", str(tmp_path / "out")]) == 0
    solved = json.loads(capsys.readouterr().out)
    assert solved["status"] == "optimal"
    model = solved["model"]
    assert main(["check", model, str(prices), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["verdict"] == "optimal"
    assert checked["loss"] >= solved["lower"]
    assert main(["path", str(prices), "--smallest", "1e-2", "--largest", "1e8", "--count", "3", "--json"]) == 0
    assert [each["status"] for each in json.loads(capsys.readouterr().out)["results"]] == ["optimal"] * 3
    prices.write_text(prices.read_text().replace("1.0e-2", "1.0e+8"))
    assert main(["width", str(prices), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["upper"] > 0
