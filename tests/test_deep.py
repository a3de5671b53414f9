"""Depth ≥ 3: what a block proves about its layer, Newton's method at kinks, and whole runs."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from cpcert import InputError, Network, Problem
from cpcert.activations import activation
from cpcert.certificate.check import check
from cpcert.cli import main
from cpcert.deep.blocks import block
from cpcert.deep.certificates import certified_layers
from cpcert.deep.descent import condense, descend, random_network, spectral_network
from cpcert.deep.growth import grow, with_new_neurons
from cpcert.deep.newton import newton
from cpcert.deep.report import DeepOutcome
from cpcert.deep.solve import solve_deep
from cpcert.frank_wolfe.bounds import dual_lower_bound
from cpcert.network import layer_features
from cpcert.oracle.spectral import spectral_bound
from cpcert.status import Status


def small_problem(seed: int = 0, N: int = 8, m: int = 1, lam: float = 1e-2, depth: int = 3, **options) -> Problem:
    """Targets of a random network with three hidden neurons, two features."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, 2))
    Y = np.maximum(X @ rng.standard_normal((2, 3)) + rng.standard_normal(3), 0.0) @ rng.standard_normal((3, m))
    return Problem(X, Y, lam=lam, depth=depth, name="small", **options)


def never() -> bool:
    return False


def exact_representations(problem: Problem, network: Network) -> list[list[list[Fraction]]]:
    """[Z_0^σ, Z_1, Z_1^σ, …, Z_L] in rationals (ReLU), columns are points."""
    beta = Fraction(problem.beta)
    A = [[Fraction(float(v)) for v in row] for row in problem.X_tilde]
    found = [A]
    for W in network.weights:
        rows = [[Fraction(float(v)) for v in row] for row in W]
        columns = list(zip(*A, strict=True))
        Z = [[sum((w * a for w, a in zip(row, c, strict=True)), Fraction(0)) for c in columns] for row in rows]
        A = [[max(z, Fraction(0)) for z in row] for row in Z] + ([[beta] * problem.N] if beta else [])
        found += [Z, A]
    return found[:-1]


@pytest.mark.parametrize("beta", [1.0, 0.0])
def test_the_instance_of_a_block_is_within_its_proven_errors(beta):
    problem = small_problem(N=5, depth=4, beta=beta)
    network = random_network(problem, 4, np.random.default_rng(1))
    # Fewer outputs than the next layer has neurons: two rows of W_2 say the same.
    W = [np.array(w) for w in network.weights]
    W[1][3] = 2.0 * W[1][2]
    network = Network(tuple(W), problem.activation, beta)
    exact = exact_representations(problem, network)
    for layer in (1, 2):
        now = block(problem, network, layer)
        for i in range(problem.N):
            square = sum(
                (exact[2 * layer - 2][k][i] - Fraction(float(x))) ** 2 for k, x in enumerate(now.instance.X[i])
            )
            assert square <= Fraction(now.input_error[i]) ** 2
        Z = exact[2 * layer + 1]
        for j, q in enumerate(now.basis):
            for i in range(problem.N):
                value = sum((Fraction(float(v)) * Z[k][i] for k, v in enumerate(q)), Fraction(0))
                assert abs(value - Fraction(float(now.instance.Y[i, j]))) <= Fraction(now.output_error[j, i])
        norm = np.linalg.norm(now.basis, 2)
        assert norm <= now.stretch <= 1.0 + 1e-10
    assert block(problem, network, 1).instance.m == 3
    assert block(problem, network, 3).instance.m == 1


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_points_that_nearly_coincide_stay_as_they_are(beta):
    X = [[1.0], [1.0 + 2.0**-50], [2.0]]
    problem = Problem(X, [1.0, 2.0, -1.0], lam=0.1, depth=3, beta=beta)
    network = random_network(problem, 2, np.random.default_rng(0))
    now = block(problem, network, 1)
    assert now.instance.X.tolist() == X and not now.input_error.any()
    assert now.instance.Y[0].tolist() == now.instance.Y[1].tolist(), "outputs are made equal, and the error says so"
    assert (now.output_error[:, 1] > 0.0).all()


@pytest.mark.parametrize("x", [0.0, 1.5])
def test_one_point_many_times(x):
    """Without biases all outputs are one number, and with x = 0 it is 0."""
    problem = Problem([[x]] * 3, [1.0, 2.0, 3.0], lam=1e-3, depth=3, beta=0.0)
    result = solve_deep(problem, gap=1e-6, time_limit=20.0)
    assert result.status == "optimal" and result.upper is not None
    spread = 2.0 / 3.0
    assert result.upper >= (spread + 4.0 if x == 0.0 else spread) * (1.0 - 1e-12)
    whole = replace(result, requested_gap=1.0000000000000002e-06)
    assert "within the gap of 1.0000000000000002e-06" in DeepOutcome(whole).sentence()


@pytest.mark.parametrize("name", ["relu", "abs", "leaky_relu"])
def test_no_dual_point_proves_more_than_a_layer_costs(name):
    sigma = activation(name, 0.2 if name == "leaky_relu" else None)
    problem = small_problem(seed=3, depth=4, activation=sigma)
    rng = np.random.default_rng(5)
    for trial in range(4):
        network = random_network(problem, 3, rng)
        for layer in (1, 2, 3):
            now = block(problem, network, layer)
            # The best G there is for a generic network: what its own weights would be multipliers of.
            for G in (now.instance.targets, rng.standard_normal(now.instance.targets.shape)):
                bound, proof = spectral_bound(now.instance.X_tilde.T, np.ascontiguousarray(G), sigma)
                dual = dual_lower_bound(now.instance, np.ascontiguousarray(G), bound, "spectral", proof, None)
                assert 0.0 <= now.lower(dual) <= now.cost, trial


def test_errors_of_the_instance_lower_the_bound():
    problem = small_problem(seed=2)
    network, duals = grow(problem, descend(problem, random_network(problem, 6, np.random.default_rng(0))), never, 0)
    now = block(problem, network, 1)
    G = 2.0 * (now.basis @ duals[1])
    bound, proof = spectral_bound(now.instance.X_tilde.T, G, problem.activation)
    dual = dual_lower_bound(now.instance, G, bound, "spectral", proof, None)
    lower = now.lower(dual)
    assert lower > 0.0
    for worse in (
        replace(now, stretch=1.1),
        replace(now, input_error=now.input_error + 0.1),
        replace(now, output_error=now.output_error + 0.01),
    ):
        assert worse.lower(dual) < 0.999 * lower


def test_newton_makes_networks_stationary_at_kinks():
    problem = small_problem(N=10)
    residuals, kinks = [], 0
    for seed in (0, 3, 5, 6):
        start = descend(problem, random_network(problem, 10, np.random.default_rng(seed)), 300)
        start = start.balanced().merged(1e-2).without_dead_neurons(1e-5)
        network, duals = newton(problem, start, never)
        assert network.loss(problem) <= start.loss(problem) * (1.0 + 1e-9)
        Z = network.forward(problem.X)
        inputs = [problem.X_tilde, *(layer_features(H, problem.activation, problem.beta) for H in Z[:-1])]
        residuals.append(max(np.abs(G @ A.T - W).max() for W, G, A in zip(network.weights, duals, inputs, strict=True)))
        kinks += sum(int((np.abs(H) < 1e-12).sum()) for H in Z[:-1])
    # Where it stalls depends on the last bits, which differ between processors.
    assert max(residuals) <= 1e-5 and np.median(residuals) <= 1e-9
    assert kinks > 0


def test_growth_leaves_no_neuron_to_add():
    problem = small_problem(N=8, m=2)
    start = descend(problem, random_network(problem, 2, np.random.default_rng(1)))
    network, duals = grow(problem, start, never, 0)
    assert network.loss(problem) < 0.99 * start.loss(problem)
    assert with_new_neurons(problem, network, duals, 99) is None


def test_the_spectral_start_is_the_ridge_fit():
    problem = small_problem(m=2, depth=4)
    network = spectral_network(problem)
    X, N = problem.X_tilde, problem.N
    fit = problem.targets @ X.T @ np.linalg.inv(X @ X.T + N * problem.lam * np.eye(problem.n)) @ X
    np.testing.assert_allclose(network.forward(problem.X)[-1], fit, atol=1e-10)
    assert spectral_network(small_problem(activation="abs")) is None


@pytest.mark.parametrize(
    "options",
    [{"depth": 4, "beta": 0.5}, {"activation": "leaky_relu", "slope": 0.2, "beta": 0.0}, {"m": 2, "N": 5}],
    ids=["depth 4", "leaky", "two outputs"],
)
def test_every_layer_is_proven_and_its_certificate_holds(options):
    problem = small_problem(**{"N": 6, **options})
    result = solve_deep(problem, gap=1e-4, restarts=1, width=6)
    assert (result.status, result.scope, result.lower, result.gap) == ("optimal", "blockwise", None, None)
    for bound in result.layers:
        assert bound.cost * (1.0 - 1e-4) <= bound.lower <= bound.cost
    certified, certificates = certified_layers(result)
    assert certified.status == "optimal"
    for before, bound, certificate in zip(result.layers, certified.layers, certificates, strict=True):
        assert bound.lower <= before.lower
        claim = check(certificate.content)
        # The certificate is about the block itself.
        assert claim["sha256"] == bound.block.instance.sha256
        unit = 1.0 if bound.layer == problem.depth - 1 else problem.lam
        assert abs(unit * claim["lower"] - bound.lower) <= 1e-9 * bound.cost
    # No training of the same problem does better: the network is a good one.
    trained = [descend(problem, random_network(problem, 6, np.random.default_rng(k)), 500) for k in range(3)]
    assert result.upper <= min(network.loss(problem) for network in trained) * (1.0 + 1e-12)
    assert result.upper >= result.network.loss(problem) * (1.0 - 1e-12)


def test_the_same_seed_gives_the_same_network_and_a_given_one_is_never_spoilt():
    problem = small_problem(seed=6, N=4)
    first, second = (solve_deep(problem, gap=1e-3, restarts=1, width=3, seed=3) for _ in range(2))
    for a, b in zip(first.network.weights, second.network.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    third = solve_deep(problem, gap=1e-3, restarts=0, warm_start=first.network)
    assert third.upper <= first.upper * (1.0 + 1e-12)
    assert [name for name, _ in third.starts] == ["bias only", "given", "spectral"]


def test_a_large_penalty_leaves_no_neuron():
    result = solve_deep(small_problem(lam=100.0), restarts=1, width=4)
    assert result.status == "optimal"
    assert result.network.widths[1:-1] == (0, 0)


def test_limits_and_interruptions_keep_what_was_proven():
    problem = small_problem(m=2, N=5)
    result = solve_deep(problem, gap=1e-9, restarts=1, width=4, time_limit=0.0)
    assert result.status == "time_limit"
    # Norms take no time worth mentioning.
    assert all(0.0 <= bound.lower <= bound.cost for bound in result.layers) and result.layers[1].lower > 0.0
    stopped = solve_deep(problem, restarts=1, width=4, callback=lambda progress: progress.step == "random 1")
    assert stopped.status == "interrupted"
    assert stopped.upper < np.inf
    interrupted = solve_deep(problem, restarts=1, width=4, callback=_interrupt)
    assert interrupted.status == "interrupted"
    assert "not sufficient" not in DeepOutcome(interrupted).sentence()
    text = json.dumps(DeepOutcome(interrupted).as_json(), allow_nan=False)
    assert json.loads(text)["layers"][0]["lower"] == 0.0


def _interrupt(progress) -> None:
    if progress.step.endswith("grown"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("problem", "options", "message"),
    [
        (small_problem(depth=2), {}, "depth: is 2"),
        (Problem(np.eye(2), np.eye(2), loss="interpolate", depth=3), {}, "interpolate needs depth 2"),
        (small_problem(), {"restarts": -1}, "restarts: is -1"),
        (small_problem(), {"width": 0}, "width: is 0"),
        (small_problem(), {"time_limit": float("nan")}, "time_limit: is nan"),
    ],
)
def test_wrong_input_is_named(problem, options, message):
    with pytest.raises(InputError, match=message):
        solve_deep(problem, **options)


def test_the_command_says_what_is_proven_and_writes_the_certificates(tmp_path, capsys):
    instance = tmp_path / "tiny.yaml"
    instance.write_text("data: {source: teacher, points: 6, features: 1}\ndepth: 3\nlambda: 1e-2\nsolve: {gap: 1e-3}\n")
    assert main(["solve", str(instance), "--scope", "blockwise", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "necessary for a global minimum, not sufficient" in printed.out
    assert "layer 1 proven" in printed.err
    answer = json.loads((tmp_path / "out" / "tiny.json").read_text())
    assert (answer["scope"], answer["lower"], answer["gap"], answer["rank_sigma"]) == ("blockwise", None, None, None)
    assert [layer["layer"] for layer in answer["layers"]] == [1, 2]
    assert answer["width"] == [layer["width"] for layer in answer["layers"]]
    assert main(["verify", answer["layers"][0]["certificate"], "--json"]) == 0
    claim = json.loads(capsys.readouterr().out)["claim"]
    assert claim["lower"] * 1e-2 >= answer["layers"][0]["lower"] * (1.0 - 1e-9)
    assert main(["solve", str(instance), "--plot"]) == 2
    assert "--plot" in capsys.readouterr().err


@pytest.mark.parametrize("N", [2, pytest.param(3, marks=pytest.mark.campaign)])
def test_propositions_6_and_7_on_the_width(N):
    """The least loss does not rise with the width (Prop. 6) and stays the same beyond N(N + 1) (Prop. 7)."""
    X, Y = ([[-1.0], [1.0]], [[2.0, 0.0], [0.0, 2.0]]) if N == 2 else ([[-1.0], [0.0], [1.0]], [2.0, -1.0, 2.0])
    problem = Problem(X, Y, lam=0.02, depth=3)
    widths = [1, 2, N * (N + 1), N * (N + 1) + 1]
    best = []
    for width in widths:
        starts = (random_network(problem, width, np.random.default_rng((width, k))) for k in range(4))
        trained = min((descend(problem, start, 300) for start in starts), key=lambda network: network.loss(problem))
        # Merging keeps the width below the one of the start.
        best.append(newton(problem, condense(problem, trained), never)[0].loss(problem))
    assert best[0] > best[2] * (1.0 + 1e-3)
    assert all(later <= earlier * (1.0 + 1e-6) for earlier, later in pairwise(best))
    assert best[-1] >= best[-2] * (1.0 - 1e-6)


def test_a_start_that_looks_at_no_clock_is_cut_short(monkeypatch):
    """Descent on large data takes as long as it takes; the network at hand by then is the answer."""

    def endless(problem, network, *_):
        while True:
            time.sleep(0.01)

    monkeypatch.setattr("cpcert.deep.solve.descend", endless)
    problem = Problem(np.ones((3, 1)), np.ones((3, 1)), lam=0.1, depth=3)
    started = time.monotonic()
    result = solve_deep(problem, time_limit=0.5)
    assert time.monotonic() - started < 5.0
    assert result.status is Status.TIME_LIMIT and result.network is not None and result.upper == 1.0
