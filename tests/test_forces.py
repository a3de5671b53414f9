"""Attraction and repulsion: gradients, the identity of stationary points, where forces cancel, rays, linear networks, the command."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cpcert.cli import main
from cpcert.deep.descent import descend, random_network
from cpcert.errors import InputError
from cpcert.formulations.forces import ForcesOutcome, find_rays, layer_forces
from cpcert.formulations.linear import linear_covariances, linear_representation_cost
from cpcert.formulations.representations import RepresentationLoss
from cpcert.instance import load_instance
from cpcert.network import Network
from cpcert.plots.forces import principal_plane
from cpcert.problem import Problem

PRESET = Path(__file__).parents[1] / "instances" / "figure1-digits.yaml"


def problem_of(N=6, m=1, seed=1, **changes):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, 2))
    Y = np.abs(X[:, :1]) - X[:, 1:] ** 2 + 0.5 * rng.normal(size=(N, m)) * (m > 1)
    return Problem(X, Y, **({"lam": 0.01, "depth": 3} | changes))


# Networks that training has taken to a stationary point with entries on kinks, to rounding (the tests check it), of
# depth 3 or 4. The hidden layer 2 of the last one has the rank of its 4 points; in the one before it the slopes at the
# kinks of layer 2 are not determined by that layer alone.
STATIONARY = json.loads(Path(__file__).with_name("stationary_networks.json").read_text())


def stationary(index):
    """(problem, network) of an entry of STATIONARY."""
    entry = dict(STATIONARY[index])
    weights = entry.pop("weights")
    problem = Problem(entry.pop("X"), entry.pop("Y"), **entry)
    return problem, Network(tuple(np.array(W) for W in weights), problem.activation, problem.beta)


@pytest.mark.parametrize("tikhonov", [0.0, 0.2])
@pytest.mark.parametrize(
    ("N", "width", "changes"),
    [
        (4, 7, {}),
        (9, 3, {"beta": -2.0, "depth": 4}),
        (5, 4, {"activation": "leaky_relu", "slope": 0.3, "beta": 0.0}),
    ],
)
def test_forces_are_the_gradients_of_the_two_costs(N, width, changes, tikhonov):
    """Against torch, through the pseudo-inverse, at networks of any rank."""
    problem = problem_of(N, **changes)
    network = random_network(problem, width, np.random.default_rng(3))
    view = RepresentationLoss(problem, tikhonov=tikhonov)
    Z = view.tensors(network.forward(problem.X))
    for layer in layer_forces(problem, network, rcond=1e-12, tikhonov=tikhonov):
        i = layer.layer - 1
        Z_l = Z[i].clone().requires_grad_()
        before = view.layer_features(Z[i - 1]) if i > 0 else view.X_tilde()
        attraction, repulsion = (
            torch.autograd.grad(cost, Z_l)[0].numpy()
            for cost in (view.cost(Z_l, before), view.cost(Z[i + 1], view.layer_features(Z_l)))
        )
        np.testing.assert_allclose(layer.attraction, attraction, atol=1e-7 * np.abs(attraction).max())
        np.testing.assert_allclose(layer.repulsion, repulsion, atol=1e-7 * np.abs(repulsion).max())


@pytest.mark.parametrize("index", range(len(STATIONARY)))
def test_identity_holds_at_stationary_points_and_not_elsewhere(index):
    problem, network = stationary(index)
    for layer in layer_forces(problem, network, rcond=1e-6, kink_tolerance=1e-8):
        assert layer.stationarity_residual <= 1e-9
        assert layer.identity_residual <= 1e-8
    rng = np.random.default_rng(0)
    moved = Network(
        tuple(W + 0.1 * rng.normal(size=W.shape) for W in network.weights), network.activation, network.beta
    )
    assert min(layer.identity_residual for layer in layer_forces(problem, moved)) > 0.01


@pytest.mark.parametrize("index", range(len(STATIONARY)))
def test_truncation_leaves_the_identity_exact(index):
    """(3) holds for any spectral projection of K^σ: fewer directions, the same identity."""
    problem, network = stationary(index)
    layers = layer_forces(problem, network, rcond=0.3, kink_tolerance=1e-8)
    assert max(layer.identity_residual for layer in layers) <= 1e-8
    assert min(layer.rank for layer in layers) < problem.N


def test_kinks_hold_with_a_slope_of_their_own_only():
    """With a one-sided slope at its kinks the same network looks far from stationary: that is what is excepted."""
    for index in range(3):
        problem, network = stationary(index)
        excepted = layer_forces(problem, network, rcond=1e-6, kink_tolerance=1e-8)
        assert sum(layer.kinks for layer in excepted) > 0
        strict = layer_forces(problem, network, rcond=1e-6, kink_tolerance=0.0)
        assert max(layer.identity_residual for layer in strict) > 1e-3


@pytest.mark.parametrize(("slope", "holds"), [(0.5, True), (0.0, True), (1.0, True), (2.0, False), (-1.0, False)])
def test_the_slope_at_a_kink_stays_between_those_of_the_activation(slope, holds):
    """One neuron w = (t, 0), points (1, 1) and (0, 1), the second one on the kink: W_1 = Ĝ_1 Xᵀ asks for the slope −2λ/y_2."""
    t, lam = 0.8, 0.05
    second = -2.0 * lam / slope if slope != 0.0 else -1e9
    problem = Problem([[1.0, 1.0], [0.0, 1.0]], [[t * t + 2.0 * lam], [second]], lam=lam, beta=0.0)
    (layer,) = layer_forces(problem, Network((np.array([[t, 0.0]]), np.array([[t]])), problem.activation, 0.0))
    assert layer.kinks == 1
    assert layer.identity_residual <= 1e-8 if holds else layer.identity_residual > 0.1


def test_forces_cancel_where_a_layer_has_the_rank_of_the_points_and_not_elsewhere():
    problem, network = stationary(-1)
    first, second = layer_forces(problem, network, rcond=1e-6, kink_tolerance=1e-8)
    assert second.full and second.rank_before < problem.N
    # After projection on the image of the layer before only: without it they do not cancel.
    assert second.cancellation_residual <= 1e-8 < 1e-3 < np.linalg.norm(second.attraction + second.repulsion)
    assert not first.full and first.cancellation_residual > 0.01
    for tikhonov in (0.0, 1e-6, 1e-4, 1e-2):  # which repairs nothing
        layers = layer_forces(*stationary(0), rcond=1e-6, kink_tolerance=1e-8, tikhonov=tikhonov)
        assert not layers[1].full and layers[1].cancellation_residual > 0.1


def test_a_dead_layer_gives_finite_figures():
    problem = problem_of()
    network = Network((np.zeros((3, 3)), np.zeros((2, 4)), np.zeros((1, 3))), problem.activation, 1.0)
    written = ForcesOutcome(problem, network, tuple(layer_forces(problem, network))).as_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert [layer["rays"] for layer in written["layers"]] == [[], []]
    empty = Network((np.zeros((0, 3)), np.zeros((2, 1)), np.zeros((1, 3))), problem.activation, 1.0)
    assert layer_forces(problem, empty)[0].attraction.shape == (0, 6)


def test_wrong_parameters_are_named():
    problem = problem_of()
    network = random_network(problem, 3, np.random.default_rng(0))
    for changes in ({"rcond": 0.0}, {"tikhonov": -1.0}, {"kink_tolerance": 1.0}, {"tikhonov": np.nan}):
        with pytest.raises(InputError, match=f"{next(iter(changes))}: is"):
            layer_forces(problem, network, **changes)
    with pytest.raises(InputError, match="loss: interpolate has no gradient"):
        layer_forces(problem_of(loss="interpolate", lam=None), network)


def test_rays_are_the_directions_of_the_rows():
    directions = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [-1.0, 0.0, 0.0]])
    rows = np.concatenate([np.outer([3.0, 1.0, 2.0], directions[0]), [directions[1]], [5.0 * directions[2]]])
    rows = np.concatenate([rows, [[1e-9, 2e-9, 0.0]]])
    rows[1] += [0.0, 0.05, 0.0]
    rays, faint = find_rays(rows)
    assert [ray.neurons for ray in rays] == [(4,), (0, 2, 1), (3,)] and faint == 1
    assert rays[1].spread == pytest.approx(np.degrees(np.arctan(0.05)), rel=0.1)
    assert sum(ray.share for ray in rays) == pytest.approx(1.0)
    np.testing.assert_allclose(rays[0].direction, directions[2])
    assert find_rays(np.zeros((2, 3))) == ((), 2)


def test_the_principal_plane_keeps_what_lies_in_a_plane():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(9, 2)) @ rng.normal(size=(2, 5)) + 3.0
    plane = principal_plane(rows, centred=True)
    np.testing.assert_allclose(plane.places(rows) @ plane.axes + plane.origin, rows, atol=1e-12)
    assert principal_plane(np.zeros((1, 1)), centred=False).places(np.zeros((1, 1))).shape == (1, 2)


# -- linear networks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("N", "n0", "depth"), [(5, 5, 3), (4, 2, 4)])
def test_hidden_covariances_of_trained_linear_networks(N, n0, depth):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, n0))
    problem = Problem(X, X @ rng.normal(size=(n0, 3)) + 0.3 * rng.normal(size=(N, 3)), lam=0.02, activation="linear",
                      beta=0.0, depth=depth)  # fmt: skip
    network = descend(problem, random_network(problem, 4, rng), 3000)
    Z = network.forward(X)
    for K, Z_l in zip(linear_covariances(problem, Z[-1]), Z, strict=True):
        np.testing.assert_allclose(K, Z_l.T @ Z_l, atol=2e-5 * np.abs(Z_l.T @ Z_l).max())
    assert np.linalg.norm(Z[-1]) > 0.5
    assert network.norm_squared() == pytest.approx(linear_representation_cost(problem, Z[-1]), rel=1e-8)
    start = random_network(problem, 5, rng)
    outputs = start.forward(X)[-1]
    assert linear_representation_cost(problem, outputs) < start.norm_squared()


def test_closed_form_is_refused_where_it_does_not_hold():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))
    linear = Problem(X, Y, lam=0.1, activation="linear", beta=0.0)
    for problem, outputs, message in (
        (Problem(X, Y, lam=0.1, beta=0.0), Y.T, "that of linear networks without biases"),
        (Problem(X, Y, lam=0.1, activation="linear"), Y.T, "that of linear networks without biases"),
        (linear, Y, "outputs: have shape"),
        (linear, Y.T, "outputs: are no linear function of the points"),
    ):
        with pytest.raises(InputError, match=message):
            linear_covariances(problem, outputs)


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An instance file, its problem and two models: early and late."""
    tmp_path = tmp_path_factory.mktemp("small")
    path = tmp_path / "small.yaml"
    path.write_text(
        "data: {source: iris, points: 6, features: 2}\nloss: cross_entropy\ndepth: 3\nlambda: 0.02\n"
        "train: {widths: '2,4', epochs: 40, descent: 2}\n"
    )
    problem = load_instance(path).problem()
    models = [tmp_path / "models" / f"step-{k}.safetensors" for k in (9, 400)]
    models[0].parent.mkdir()
    for model, steps in zip(models, (9, 400), strict=True):
        descend(problem, random_network(problem, 4, np.random.default_rng(0)), steps).save(model)
    return path, problem, models


def test_the_command_draws_and_reports(small, tmp_path, capsys):
    path, _, models = small
    out = tmp_path / "out"
    arguments = [str(models[1]), str(path), "--plot", "--animate", "--out", str(out), "--json"]
    assert main(["forces", *arguments, "--checkpoints", str(models[0].parent)]) == 0
    written = json.loads(capsys.readouterr().out)
    assert [layer["layer"] for layer in written["layers"]] == [1, 2]
    for key in ("attraction", "repulsion", "identity_residual", "cancellation_residual", "kinks", "rank", "rays"):
        assert all(key in layer for layer in written["layers"])
    assert written == json.loads((out / "small-forces.json").read_text())
    with Image.open(written["animation"]) as animation:
        assert animation.n_frames == 2
    with Image.open(written["plot"]) as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 100
    assert sorted(file.name for file in out.iterdir()) == ["small-forces.gif", "small-forces.json", "small-forces.png"]


def test_the_command_trains_and_settles(small, capsys):
    path, problem, models = small
    assert main(["forces", str(path), "--out", "out", "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    network = Network.load(trained["model"], activation=problem.activation, beta=problem.beta)
    assert network.widths == (2, 4, 4, 3)
    assert network.loss(problem) == pytest.approx(trained["loss"], rel=1e-12)
    found = []
    for options in ([], ["--settle"]):
        assert main(["forces", str(models[1]), str(path), *options]) == 0
        lines = capsys.readouterr().out.splitlines()
        residuals = [float(re.search(r"identity to (\S+)", line)[1]) for line in lines[1:]]
        found.append((max(residuals), float(re.search("loss about (.*),", lines[0])[1])))
    assert found[1][0] < 0.1 * found[0][0] and found[1][1] <= found[0][1]


def test_wrong_commands(small, tmp_path, capsys):
    path, _, models = small
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ([str(models[0]), str(path), "--animate"], "--animate: a trained model has no history; give --checkpoints"),
        ([str(models[0]), str(path), "--checkpoints", "x"], "--checkpoints: are the frames of an animation"),
        ([str(models[0]), str(path), "--width", "3"], "--width: belongs to a network that is trained here"),
        ([str(path), "--width", "0"], "--width: is 0; give an integer >= 1"),
        ([str(path), "--animate", "--checkpoints", str(tmp_path / "empty")], "has no model in it; give files ending"),
        ([str(models[0]), str(path), "--rcond", "2"], "rcond: is 2; give a number between 0 and 1"),
        (["missing.safetensors", str(path)], "missing.safetensors: no such file"),
    ):
        assert main(["forces", *arguments]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.campaign
def test_figure_1(capsys):
    """The preset: after training, the identity to 1e-3 on both hidden layers of 50 neurons; three rays, one a class."""
    assert main(["forces", str(PRESET), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["points"], written["widths"]) == (42, [64, 50, 50, 3])
    assert max(layer["identity_residual"] for layer in written["layers"]) <= 1e-3
    assert len(written["layers"][1]["rays"]) == 3
    assert main(["forces", str(PRESET), "--json", "--settle", "--rcond", "1e-6"]) == 0
    settled = json.loads(capsys.readouterr().out)
    assert max(layer["identity_residual"] for layer in settled["layers"]) <= 1e-10
    assert settled["loss"] <= written["loss"]
