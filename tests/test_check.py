"""Verdicts about trained networks: proven optimal, proven suboptimal, undecided; reading other people's files."""

import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cpcert import InputError, Network, Problem, read_model, solve
from cpcert.certificate.reading import read_claim
from cpcert.cli import main
from cpcert.formulations.duals import backpropagated_duals
from cpcert.network import layer_features, loss_upper
from cpcert.networks.verdict import _rescaled, check_network, descent_neuron, exact_loss, improve, neuron_table

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
    contacts = [entry.contact for entry in neuron_table(solved.problem, solved.network)]
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


def deep(loss="mse", activation="leaky_relu", beta=0.5):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((10, 2))
    Y = np.stack([np.abs(X[:, 0]) - X[:, 1], np.sin(2.0 * X[:, 0])], axis=1)
    Y = np.eye(2)[(Y[:, 0] > 0.3).astype(int)] if loss == "cross_entropy" else Y
    slope = 0.25 if activation == "leaky_relu" else None
    return Problem(X, Y, lam=1e-3, loss=loss, activation=activation, slope=slope, beta=beta, depth=3, name="deep")


def random_network(p, widths, seed=0):
    rng = np.random.default_rng(seed)
    widths = [p.n0, *widths, p.m]
    weights = (rng.standard_normal((b, a + (p.beta != 0.0))) for a, b in itertools.pairwise(widths))
    return Network(tuple(weights), p.activation, p.beta)


@pytest.mark.parametrize(("loss", "beta"), [("mse", 0.0), ("mse", 0.5), ("cross_entropy", 0.5)])
def test_exact_loss_at_depth_three(loss, beta):
    """In fractions, step by step as it is defined."""
    p = deep(loss, beta=beta)
    network = random_network(p, [3, 2])
    low, high = exact_loss(p, network)
    assert low <= high <= low * (1 + Fraction(1, 10**20))
    bias = [Fraction(beta)] if beta else []
    points = [[Fraction(v) for v in x] + bias for x in p.X.tolist()]
    norm = Fraction(0)
    for layer, W in enumerate(network.weights, start=1):
        rows = [[Fraction(v) for v in row] for row in W.tolist()]
        norm += sum(v * v for row in rows for v in row)
        points = [[sum(a * b for a, b in zip(row, x, strict=True)) for row in rows] for x in points]
        if layer < network.depth:
            points = [[max(v, v / 4) for v in x] + bias for x in points]
    if loss == "mse":
        square = sum(
            (a - Fraction(b)) ** 2 for x, y in zip(points, p.Y.tolist(), strict=True) for a, b in zip(x, y, strict=True)
        )
        assert low == high == square / p.N + Fraction(p.lam) * norm
    else:
        assert float(high) == pytest.approx(network.loss(p), rel=1e-13)


def test_check_at_depth_three(monkeypatch):
    """A random network has neurons that lower its loss; after improving it, its active neurons have contact value 1."""
    p = deep()
    network = random_network(p, [2, 2])
    found = check_network(p, network, None, None, 1e-6)
    assert (found.verdict, found.scope, found.suboptimality[1]) == ("suboptimal", "blockwise", None)
    assert found.descent.layer in (1, 2) and len(found.layers) == 2
    # The neuron, added by hand.
    weights = list(network.weights)
    k = found.descent.layer
    weights[k - 1] = np.vstack([weights[k - 1], found.descent.w])
    weights[k] = np.insert(weights[k], 2, found.descent.v, axis=1)
    after = Network(tuple(weights), p.activation, p.beta).loss(p)
    assert after == pytest.approx(found.descent.loss_after, rel=1e-12)
    assert found.descent.loss_after < found.descent.loss_before == pytest.approx(network.loss(p), rel=1e-12)
    best = found.descent.loss_after
    monkeypatch.setattr("cpcert.networks.verdict.ROUNDS", 2)
    better = improve(p, network)
    assert better.loss(p) < 0.1 * best
    table = neuron_table(p, better)
    assert {entry.layer for entry in table} == {1, 2}
    assert len(table) == sum(better.widths[1:-1])
    np.testing.assert_allclose([row.balance for row in table if not row.dead], 1.0, rtol=1e-2)


@pytest.mark.parametrize("layer", [1, 2])
def test_rescaled_neurons_are_worth_their_norm(layer):
    """After it (‖w‖² + ‖v‖²)/2 = vᵀĜσ(Aᵀw) for every neuron of the layer that is left, and ≥ for those that vanished."""
    p = deep("cross_entropy", activation="linear")  # no kinks in the layer after it
    network = random_network(p, [4, 5])
    found = _rescaled(p, network, layer)
    assert found.loss(p) < network.loss(p)
    A = [p.X_tilde, *(layer_features(Z, p.activation, p.beta) for Z in found.forward(p.X)[:-1])][layer - 1]
    W, V = found.weights[layer - 1], found.weights[layer][:, :-1]
    worth = np.sum(V * (backpropagated_duals(p, found)[layer] @ p.activation(W @ A).T), axis=0)
    norm = 0.5 * (np.sum(W * W, axis=1) + np.sum(V * V, axis=0))
    np.testing.assert_allclose(worth, norm, atol=1e-4 * norm.max())
    assert norm.max() > 0.1


def test_where_nothing_grows_nothing_is_claimed():
    """The empty network of depth 3 is a stationary point: one neuron alone, in either layer, changes no output."""
    p = deep(beta=0.0)
    empty = Network((np.zeros((0, 2)), np.zeros((0, 0)), np.zeros((2, 0))), p.activation, 0.0)
    found = check_network(p, empty, None, None, 1e-6)
    assert found.verdict == "undecided" and found.descent is None
    assert [layer.contact for layer in found.layers] == [0.0, 0.0]


def test_weights_too_large_to_check():
    p = deep()
    huge = Network(tuple(1e60 * W for W in random_network(p, [2, 2]).weights), p.activation, p.beta)
    with pytest.raises(InputError, match="too large to be checked"):
        check_network(p, huge, None, None, 1e-6)


def test_the_table_names_dead_and_aligned_neurons():
    p = problem()
    W = np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    table = neuron_table(p, Network((W, np.array([[1.0, 1.0, 0.5, 3.0, 0.1]])), p.activation, p.beta))
    assert [entry.group for entry in table] == [0, 0, 2, None]
    assert [entry.dead for entry in table] == [False, False, False, True]
    assert table[1].balance == 2.0 and table[2].balance == 2.0


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
    worse(read_model(solved["model"], p)).save(poor)
    better = tmp_path / "new" / "better.safetensors"
    resting = tmp_path / "resting"
    assert main(["check", str(poor), str(instance), "--json", "--improve", str(better), "--out", str(resting)]) == 1
    written = json.loads(capsys.readouterr().out)
    # The verdict rests on a certificate with both sides: "suboptimal by at least δ" is true of the network given.
    assert written == json.loads((resting / "small-check.json").read_text())
    claim = read_claim(Path(written["certificate"]))
    assert (claim.lower, claim.upper, claim.sha256) == (written["lower"], written["upper"], p.sha256)
    assert claim.upper + written["suboptimality"]["lower"] <= exact_loss(p, read_model(poor, p))[0]
    assert written["verdict"] == "suboptimal"
    assert solved["lower"] <= written["improved"]["loss"] < written["loss"]
    assert Network.load(better).loss(p) == pytest.approx(written["improved"]["loss"], rel=1e-12)
    least = written["suboptimality"]["lower"]
    assert (
        main(["check", str(poor), str(instance), "--certificate", solved["certificate"], "--out", str(tmp_path)]) == 1
    )
    assert json.loads((tmp_path / "small-check.json").read_text())["suboptimality"]["lower"] == pytest.approx(
        least, rel=1e-6
    )
    line = capsys.readouterr().out
    assert "suboptimal: the loss" in line and "above the global minimum by at least" in line
    # At depth 3 the interval is wide, and says how far from optimal the network is at most.
    q = deep(beta=1.0)
    random_network(q, [2, 2]).save(tmp_path / "deep.safetensors")
    three = tmp_path / "deep.yaml"
    data = f"data: {{source: inline, X: {q.X.tolist()}, Y: {q.Y.tolist()}}}\n"
    three.write_text(data + "loss: mse\nlambda: 0.001\ndepth: 3\nactivation: leaky_relu\nslope: 0.25\n")
    command = ["check", str(tmp_path / "deep.safetensors"), str(three), "--time-limit", "2"]
    assert main([*command, "--json"]) == 1
    written = json.loads(capsys.readouterr().out)
    assert (written["scope"], written["verdict"]) == ("global", "suboptimal")
    assert 0.0 < written["lower"] <= written["upper"] < written["loss"]
    # The loss printed is rounded up, the difference is not made from it.
    assert written["suboptimality"]["upper"] >= (written["loss"] - written["lower"]) * (1.0 - 1e-15)
    assert main(command) == 1
    captured = capsys.readouterr()
    assert "hidden layer 2: the largest contact value found is" in captured.err
    assert "one more neuron in hidden layer" in captured.out
    # A certificate of another problem says nothing about this one.
    other = Path(solved["certificate"])
    instance.write_text(instance.read_text().replace("0.01", "0.02"))
    assert main(["check", str(poor), str(instance), "--certificate", str(other)]) == 2
    assert "another problem" in capsys.readouterr().err
