"""Verdicts about trained networks: proven optimal, proven suboptimal, undecided; reading other people's files."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cpcert import InputError, Network, Problem, solve
from cpcert.cli import main
from cpcert.network import loss_upper
from cpcert.training.check import check_network, descent_neuron, exact_loss, improve, neuron_table
from cpcert.training.models import load_model, network_from_state_dict

LOSSES = ["mse", "logistic", "cross_entropy"]


def problem(loss="mse", beta=1.0, lam=1e-2):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((12, 2))
    Y = np.abs(X[:, :1]) - 0.5 * X[:, 1:]
    if loss == "logistic":
        Y = np.where(Y > 0.3, 1.0, -1.0)
    if loss == "cross_entropy":
        Y = np.eye(2)[(Y[:, 0] > 0.3).astype(int)]
    return Problem(X, Y, lam=lam, loss=loss, beta=beta, name="small")


def worse(network, seed=0, size=0.05):
    rng = np.random.default_rng(seed)
    weights = tuple(W + size * rng.standard_normal(W.shape) for W in network.weights)
    return Network(weights, network.activation, network.beta)


@pytest.fixture(scope="module", params=LOSSES)
def solved(request):
    return solve(problem(request.param), gap=1e-6)


def test_the_optimal_network_is_optimal(solved):
    found = check_network(solved.problem, solved.network, solved.lower, solved.upper, 1e-6)
    assert found.verdict == "optimal"
    assert found.loss_lower <= found.loss <= solved.upper * (1 + 1e-12)
    least, most = found.suboptimality
    assert 0.0 <= least <= most <= 1e-6 * found.loss
    contacts = [entry["contact"] for entry in neuron_table(solved.problem, solved.network)]
    np.testing.assert_allclose(contacts, 1.0, atol=1e-2)


def test_a_worse_network_is_suboptimal(solved):
    network = worse(solved.network)
    found = check_network(solved.problem, network, solved.lower, solved.upper, 1e-6)
    assert found.verdict == "suboptimal"
    least, most = found.suboptimality
    excess = network.loss(solved.problem) - solved.upper
    assert 0.0 < least <= excess * (1 + 1e-6) + 1e-9 and excess <= most
    # Nothing is known about the minimum: only a neuron that lowers the loss can show it.
    alone = check_network(solved.problem, network, None, None, 1e-6)
    assert (alone.verdict == "suboptimal") == (alone.descent is not None) and alone.suboptimality[1] is None


def test_a_descent_neuron_lowers_the_loss_as_stated(solved):
    """The empty network: its descent neuron is added by hand, and the loss is what was said."""
    p = solved.problem
    empty = Network((np.zeros((0, p.n)), np.zeros((p.m, int(p.beta != 0)))), p.activation, p.beta)
    found = descent_neuron(p, empty)
    assert found.ratio > 1.0 and found.loss_after < found.loss_before
    W2 = np.column_stack([found.v, empty.weights[1]])
    by_hand = Network((found.w[np.newaxis], W2), p.activation, p.beta)
    assert by_hand.loss(p) == pytest.approx(found.loss_after, rel=1e-12)
    assert empty.loss(p) == pytest.approx(found.loss_before, rel=1e-12)
    better = improve(p, empty)
    assert solved.lower <= better.loss(p) < found.loss_after


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("beta", [0.0, -2.0])
def test_exact_loss_encloses_the_loss(loss, beta):
    p = problem(loss, beta)
    rng = np.random.default_rng(1)
    network = Network((rng.standard_normal((5, p.n)), rng.standard_normal((p.m, 5 + (beta != 0)))), p.activation, beta)
    low, high = exact_loss(p, network)
    assert low <= high <= low * (1 + Fraction(1, 10**20))
    assert float(high) == pytest.approx(network.loss(p), rel=1e-12)
    assert high <= Fraction(loss_upper(network, p))


def test_the_table_names_dead_and_aligned_neurons():
    p = problem()
    W = np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    table = neuron_table(p, Network((W, np.array([[1.0, 1.0, 0.5, 3.0, 0.1]])), p.activation, p.beta))
    assert [entry["group"] for entry in table] == [0, 0, 2, None]
    assert [entry["dead"] for entry in table] == [False, False, False, True]
    assert table[1]["balance"] == 2.0 and table[2]["balance"] == 2.0


def test_state_dicts():
    p = problem(beta=2.0)
    rng = np.random.default_rng(0)
    A, a, B, b = (
        rng.standard_normal((4, 2)),
        rng.standard_normal(4),
        rng.standard_normal((1, 4)),
        rng.standard_normal(1),
    )
    network = network_from_state_dict({"0.weight": A, "0.bias": a, "2.weight": B, "2.bias": b}, p)
    by_hand = np.maximum(p.X @ A.T + a, 0.0) @ B.T + b
    np.testing.assert_allclose(network.predict(p.X), by_hand, rtol=1e-12)
    assert network.norm_squared() == pytest.approx(sum(np.sum(W**2) for W in (A, B, a / 2.0, b / 2.0)))
    free = problem(beta=0.0)
    assert network_from_state_dict({"a.weight": A, "b.weight": B}, free).weights[0].shape == (4, 2)
    for state, message in [
        ({"0.weight": A, "0.bias": a, "2.weight": B}, "beta = 0"),
        ({"conv.weight": np.zeros((2, 2, 3, 3))}, "not part of a Linear layer"),
        ({"0.weight": A, "1.running_mean": a}, "not part of a Linear layer"),
    ]:
        with pytest.raises(InputError, match=message):
            network_from_state_dict(state, free)
    with pytest.raises(InputError, match="has a bias but no weight"):
        network_from_state_dict({"0.weight": A, "2.weight": B, "5.bias": b}, p)


@pytest.mark.parametrize("damage", ["shape", "nan", "missing", "interpolate"])
def test_models_that_cannot_be_checked(damage, tmp_path, capsys):
    p = problem()
    path, instance = tmp_path / "model.safetensors", tmp_path / "small.yaml"
    loss = "interpolate" if damage == "interpolate" else "mse"
    lam = "" if damage == "interpolate" else "lambda: 0.01\n"
    instance.write_text(f"data: {{source: inline, X: {p.X.tolist()}, Y: {p.Y.tolist()}}}\nloss: {loss}\n{lam}")
    n = 5 if damage == "shape" else p.n
    Network((np.ones((2, n)), np.ones((1, 3))), p.activation, p.beta).save(path)
    if damage == "nan":
        from safetensors.numpy import save_file

        save_file({"W1": np.full((2, 3), np.nan), "W2": np.ones((1, 3))}, path)
    if damage == "missing":
        path.unlink()
    assert main(["check", str(path), str(instance)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("cpcert: ") and captured.err.count("\n") == 1 and captured.out == ""


def test_command(tmp_path, capsys):
    p = problem()
    instance = tmp_path / "small.yaml"
    instance.write_text(f"data: {{source: inline, X: {p.X.tolist()}, Y: {p.Y.tolist()}}}\nloss: mse\nlambda: 0.01\n")
    assert main(["solve", str(instance), "--out", str(tmp_path), "--json"]) == 0
    solved = json.loads(capsys.readouterr().out)
    assert main(["check", solved["model"], str(instance), "--certificate", solved["certificate"], "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert {"loss", "lower", "upper", "suboptimality", "verdict", "descent_neuron"} <= set(written)
    assert written["verdict"] == "optimal" and written["lower"] == solved["lower"]
    poor = tmp_path / "poor.safetensors"
    worse(load_model(solved["model"], p)).save(poor)
    better = tmp_path / "new" / "better.safetensors"
    assert main(["check", str(poor), str(instance), "--json", "--improve", str(better)]) == 1
    written = json.loads(capsys.readouterr().out)
    assert written["verdict"] == "suboptimal"
    assert solved["lower"] <= written["improved"]["loss"] < written["loss"]
    assert Network.load(better).loss(p) == pytest.approx(written["improved"]["loss"], rel=1e-12)
    # A certificate of another problem says nothing about this one.
    other = Path(solved["certificate"])
    instance.write_text(instance.read_text().replace("0.01", "0.02"))
    assert main(["check", str(poor), str(instance), "--certificate", str(other)]) == 2
    assert "another problem" in capsys.readouterr().err
