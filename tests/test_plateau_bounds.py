"""The least width of an optimal network: bounds that must hold, and closed forms that must be met."""

import itertools
import json
import math
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from cpcert import Problem, load_instance, solve
from cpcert.activations import activation
from cpcert.cli import main
from cpcert.errors import InputError
from cpcert.frank_wolfe.active_set import Columns
from cpcert.frank_wolfe.corrective import correct
from cpcert.frank_wolfe.steps import objective
from cpcert.network import Network
from cpcert.oracle.coordinates import coordinates
from cpcert.oracle.plane import between, plane_oracle_outside
from cpcert.oracle.rung import Limits
from cpcert.rank.bipartite_mse import LAMBDAS, optimal_matrix, pigeonhole_bound, rank_along_path
from cpcert.rank.bounds import cp_rank_bounds
from cpcert.rank.graphs import complete_bipartite, edge_matrix
from cpcert.width.bounds import _Search, rank_bound, width_bounds
from cpcert.width.caps import arcs_around, below_on_cone, cones
from cpcert.width.hitting import smallest_hitting_set

INSTANCES = Path(__file__).parents[1] / "instances"


def one_feature(seed: int, N: int = 8, **others) -> Problem:
    rng = np.random.default_rng(seed)
    return Problem(rng.standard_normal((N, 1)), rng.standard_normal(N), **({"lam": 1e-2} | others))


# -- the oracle outside arcs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "abs", "linear"])
@pytest.mark.parametrize("m", [1, 3])
def test_the_oracle_outside_is_above_all_samples_and_close_to_the_best(name, m):
    rng = np.random.default_rng(m)
    sigma = activation(name, 0.3 if name == "leaky_relu" else None)
    for trial in range(15):
        points = rng.standard_normal((int(rng.integers(1, 12)), 2))
        if trial % 3 == 0:
            points = np.round(points)  # ties, zeros, opposite points
        G = rng.standard_normal((m, len(points)))
        angles = np.sort(rng.uniform(0.0, 2.0 * math.pi, 6))
        if np.diff(angles, append=angles[0] + 2.0 * math.pi).max() > 3.0:
            continue
        cuts = np.column_stack([np.cos(angles), np.sin(angles)])
        if trial % 3 == 1:  # cuts at a kink of the curve
            turned = np.array([-points[0, 1], points[0, 0]])
            cuts = np.concatenate([cuts, turned[np.newaxis]])
            cuts = cuts[np.argsort(np.arctan2(cuts[:, 1], cuts[:, 0]))]
        following = np.roll(cuts, -1, axis=0)
        forbidden = rng.permutation(len(cuts))[: int(rng.integers(1, len(cuts)))]
        bound, W, _ = plane_oracle_outside(points, G, sigma, cuts[forbidden], following[forbidden])
        theta = np.linspace(0.0, 2.0 * math.pi, 20_001)
        circle = np.column_stack([np.cos(theta), np.sin(theta)])
        unit = np.concatenate([cuts, following]) / np.linalg.norm(np.concatenate([cuts, following]), axis=1)[:, None]
        kinks = np.column_stack([-points[:, 1], points[:, 0]])[points.any(axis=1)]
        kinks = kinks / np.linalg.norm(kinks, axis=1, keepdims=True)
        samples = np.concatenate([circle, kinks, -kinks, W])
        samples = samples[~between(cuts[forbidden], following[forbidden], samples)]
        ends = np.setdiff1d(np.arange(len(cuts)), forbidden)  # allowed arcs are closed
        samples = np.concatenate([samples, unit[ends], unit[len(cuts) + ends]])
        values = np.linalg.norm(sigma(samples @ points.T) @ G.T, axis=1)
        assert bound >= values.max() * (1.0 - 1e-14)
        assert bound <= values.max() * (1.0 + 1e-6) + 1e-12


def test_arcs_are_told_apart_exactly():
    start, end = np.array([[1.0, 1e-30]]), np.array([[1.0, 3e-30]])
    W = np.array([[1.0, 0.0], [1.0, 1e-30], [1.0, 2e-30], [1.0, 3e-30], [-1.0, -2e-30]])
    assert between(start, end, W).tolist() == [False, True, True, False, False]


# -- the oracle on cones -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "m", "r"), [("relu", 1, 3), ("leaky_relu", 1, 4), ("abs", 1, 3), ("relu", 2, 3)])
def test_the_oracle_on_cones_is_above_all_samples_and_close_to_the_best(name, m, r):
    rng = np.random.default_rng(r + m)
    sigma = activation(name, 0.3 if name == "leaky_relu" else None)
    samples = rng.standard_normal((20_000, r))
    samples /= np.linalg.norm(samples, axis=1, keepdims=True)
    for _ in range(3 if m == 1 else 1):
        points, G = rng.standard_normal((8, r)), rng.standard_normal((m, 8))
        caps = cones(points, sigma, rng.standard_normal((5, r)))
        values = np.linalg.norm(sigma(samples @ points.T) @ G.T, axis=1)
        for allowed in (0b1, 0b01010, 0b10111):
            best = values[caps.inside(samples, allowed)].max()
            peaks = caps.oracle(G, allowed, best * 1.05, Limits(10_000))
            assert peaks.values.max() >= best * (1.0 - 1e-12)  # the search starts from fewer points, and climbs
            assert caps.inside(peaks.W, allowed).all()
            assert best <= peaks.values.max() * (1.0 + 1e-12) <= peaks.bound <= best * 1.05
            assert caps.oracle(G, allowed, best * 0.999, Limits(10_000)).bound == math.inf


def test_the_proof_on_a_cone_alone_finds_what_is_above():
    """No local search before: the branch and bound must not close a cone in which a sample is above."""
    rng = np.random.default_rng(8)
    samples = rng.standard_normal((20_000, 3))
    samples /= np.linalg.norm(samples, axis=1, keepdims=True)
    for _ in range(40):
        points, kappa, linear = rng.standard_normal((8, 3)), rng.standard_normal(8), rng.standard_normal(3)
        cone = rng.standard_normal((3, 3))
        inside = samples[np.all(samples @ cone.T >= 0.0, axis=1)]
        best = (np.maximum(inside @ points.T, 0.0) @ kappa + inside @ linear).max(initial=0.0)
        if best > 0.1:
            assert not below_on_cone(points, kappa, linear, best * (1.0 - 1e-9), cone, Limits(5_000))
            assert below_on_cone(points, kappa, linear, best * 1.3, cone, Limits(5_000))


def test_cones_are_all_directions_exactly():
    rng = np.random.default_rng(0)
    caps = cones(np.eye(3), activation("relu"), rng.standard_normal((12, 3)))
    scaled = [[Fraction(a) for a in site] for site in caps.sites.tolist()]
    for k in range(caps.count):
        differences = [[a - b for a, b in zip(scaled[k], other, strict=True)] for other in scaled]
        # What is used are some of these, with no rounding: each w is in the cap of a site of the largest product with it.
        assert all([Fraction(a) for a in row] in differences for row in caps.normals(k).tolist())
    assert cones(np.eye(3), activation("relu"), np.array([[1.0, 0, 0], [2.0, 0, 0]])) is None


# -- hitting sets ------------------------------------------------------------------------------------------------------


def test_smallest_hitting_sets_against_enumeration():
    rng = np.random.default_rng(0)
    for _ in range(100):
        n = int(rng.integers(1, 8))
        sets = [int(s) for s in rng.integers(1, 1 << n, int(rng.integers(0, 9)))]
        truth = min(t.bit_count() for t in range(1 << n) if all(s & t for s in sets))
        size, hitting = smallest_hitting_set(sets)
        assert hitting is not None
        assert (size, hitting.bit_count()) == (truth, truth)
        assert all(s & hitting for s in sets)


def test_a_search_that_runs_out_of_nodes_still_bounds(monkeypatch):
    monkeypatch.setattr("cpcert.width.hitting.HITTING_NODES", 30)
    sets = [(1 << a) | (1 << b) for a, b in itertools.combinations(range(12), 2)]
    size, hitting = smallest_hitting_set(sets)
    assert hitting is None
    assert 6 <= size <= 11  # the truth is 11


# -- widths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("diabetes-1", 3),
        ("teacher-leaky", 3),
        ("iris-logistic", 4),
        *(
            pytest.param(*known, marks=pytest.mark.campaign)
            for known in (("one-dimensional", 5), ("diabetes-2", 9), ("teacher", 8), ("iris-onehot", 9))
        ),
        pytest.param("iris-cross-entropy", 4, marks=pytest.mark.campaign),
    ],
)
def test_known_widths(name, width):
    problem = load_instance(f"{INSTANCES}/{name}.yaml").problem()
    bounds = width_bounds(problem, solve(problem, gap=1e-9))
    assert (bounds.lower, bounds.upper, bounds.proof) == (width, width, "caps")
    assert all(needed.lower > bounds.loss for needed in bounds.needed)


def test_several_outputs_in_three_dimensions():
    rng = np.random.default_rng(5)
    problem = Problem(rng.standard_normal((5, 2)), rng.standard_normal((5, 2)), lam=5e-2)
    bounds = width_bounds(problem, solve(problem, gap=1e-9))
    assert (bounds.lower, bounds.upper, bounds.proof) == (3, 3, "caps")


def test_a_network_of_more_neurons_than_needed_is_made_narrower():
    problem = load_instance(f"{INSTANCES}/teacher-leaky.yaml").problem()
    result = solve(problem, gap=1e-9)
    W, V, b = result.network.neurons()
    halves = Network.from_neurons(
        np.repeat(W, 2, axis=0), np.repeat(V, 2, axis=1) / 2, b, problem.activation, problem.beta
    )
    assert halves.width == 6
    split = replace(result, network=halves, upper=result.upper * (1.0 + 1e-12))
    bounds = width_bounds(problem, split)
    assert (bounds.lower, bounds.upper, bounds.network.width) == (3, 3, 3)
    assert bounds.network.loss(problem) <= bounds.loss


def test_without_time_nothing_is_claimed_but_that_the_bias_alone_is_too_poor():
    problem = one_feature(0)
    bounds = width_bounds(problem, solve(problem), seconds=0.0)
    (everything,) = bounds.needed
    assert (everything.caps, bounds.complete) == ((0,), False) and everything.lower > bounds.loss
    assert bounds.lower >= 1
    assert "stopped" in bounds.note


@pytest.mark.parametrize("seed", range(3))
def test_no_narrower_network_that_a_search_finds_reaches_the_loss(seed):
    beta = [1.0, -0.5, 0.0][seed]
    problem = one_feature(
        seed, N=6, beta=beta, activation=["relu", "leaky_relu", "relu"][seed], slope=[None, 0.2, None][seed]
    )
    bounds = width_bounds(problem, solve(problem, gap=1e-9))
    assert 1 <= bounds.lower <= bounds.upper
    k, n = bounds.lower - 1, problem.n
    rng = np.random.default_rng(seed)

    def loss(theta):
        W, V, b = theta[: k * n].reshape(k, n), theta[k * n : k * n + k].reshape(1, k), theta[k * n + k :]
        Z = V @ problem.activation(W @ problem.X_tilde) + (beta * b[:, None] if beta else 0.0)
        return (
            problem.loss.value(Z, problem.targets)
            + problem.lam * (W**2).sum()
            + problem.lam * ((V**2).sum() + (b**2).sum())
        )

    best = min(minimize(loss, rng.standard_normal(k * n + k + (beta != 0.0))).fun for _ in range(4))
    assert best > bounds.loss


def test_a_range_of_penalties_and_losses():
    for lam, others in (
        (1e-1, {}),
        (1e-2, {"beta": 0.0}),
        (1e-2, {"activation": "abs"}),
        (1e-1, {"activation": "linear"}),
    ):
        problem = one_feature(10, N=6, lam=lam, **others)
        bounds = width_bounds(problem, solve(problem, gap=1e-9), seconds=1.0)
        assert 0 <= bounds.lower <= bounds.upper
        if others.get("activation") == "linear":
            assert bounds.lower <= 1
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((8, 1)), np.sign(rng.standard_normal(8))
    for loss, Y in (("logistic", labels), ("cross_entropy", np.column_stack([labels > 0, labels < 0]).astype(float))):
        problem = Problem(X, Y, lam=1e-2, loss=loss)
        bounds = width_bounds(problem, solve(problem, gap=1e-8), seconds=1.0)
        assert 0 <= bounds.lower <= bounds.upper


def test_no_neuron_is_needed():
    problem = Problem(np.arange(4.0)[:, None], np.zeros(4), lam=1e-2)
    bounds = width_bounds(problem, solve(problem))
    assert (bounds.lower, bounds.upper, bounds.proof) == (0, 0, "none")
    heavy = one_feature(0, lam=100.0)
    assert width_bounds(heavy, solve(heavy)).lower == 0


def test_interpolate_says_what_is_missing():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((6, 3)), rng.standard_normal(6)
    fit = Problem(X, y, loss="interpolate")
    bounds = width_bounds(fit, solve(fit))
    assert (bounds.lower, bounds.proof) == (0, "none")
    assert "interpolate" in bounds.note


def test_nothing_proven_is_an_error():
    problem = Problem([[1.0], [1.0]], [0.0, 1.0], loss="interpolate")
    with pytest.raises(InputError, match="infeasible"):
        width_bounds(problem, solve(problem))


@pytest.mark.parametrize(
    ("loss", "beta", "r"),
    [("mse", 1.0, 2), ("logistic", 0.0, 2), ("cross_entropy", 1.0, 2), ("mse", 0.0, 3), ("logistic", 1.0, 3)],
)
def test_bounds_on_caps_never_cross_networks_in_those_caps(loss, beta, r):
    rng = np.random.default_rng(5)
    X, labels = rng.standard_normal((7, r - (beta != 0.0))), np.sign(rng.standard_normal(7))
    Y = np.column_stack([labels > 0, labels < 0]).astype(float) if loss == "cross_entropy" else labels
    problem = Problem(X, Y, lam=1e-2, loss=loss, beta=beta)
    space = coordinates(problem.X_tilde)
    if r == 2:
        caps = arcs_around(space.points, problem.activation, np.sort(rng.uniform(-math.pi, math.pi, 6)))
    else:
        caps = cones(space.points, problem.activation, rng.standard_normal((6, 3)))
    sphere = rng.standard_normal((500 if r == 2 else 3000, r))
    for allowed in (0b1, 0b101, 0b10011):
        every = np.concatenate([sphere, caps.starts(allowed)])
        W = every[caps.inside(every, allowed)]
        W = W / np.linalg.norm(W, axis=1, keepdims=True)
        none = Columns(np.zeros((0, problem.m)), np.zeros((0, 7), bool), W, W @ space.points.T > 0.0)
        best = objective(problem, space.points, correct(problem, space.points, none).neurons)
        # The first proven bound there is, and a close one: the samples miss kinks, so their best network is above the optimum.
        for goal in (1e-6, (0.98 if r == 2 else 0.6) * best):
            without, _ = _Search(problem, space, caps, goal, time.monotonic() + 60.0).lower_within(allowed)
            assert without is not None
            assert goal < without.lower <= best * (1.0 + 1e-9)


# -- rank --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_the_rank_bound_against_exact_fits_of_each_width(beta):
    rng = np.random.default_rng(3)
    N, m, lam = 10, 4, 1e-3
    # With σ linear and X = I, β = 0 each width reaches (3) exactly; with a bias it can only be larger.
    Y = rng.standard_normal((N, m))
    problem = Problem(np.eye(N), Y, lam=lam, activation="linear", beta=beta)
    A = Y.T if beta == 0.0 else Y.T - Y.T.mean(axis=1, keepdims=True)
    s = np.linalg.svd(A, compute_uv=False)
    c = 2.0 * lam / np.sqrt(1.0 + N * beta**2)
    for k in range(m + 1):
        value = sum(c * t - c * c * N / 4.0 if t > c * N / 2.0 else t * t / N for t in s[:k]) + sum(s[k:] ** 2) / N
        assert rank_bound(problem, value * (1.0 - 1e-9)) == min(k + 1, m)
        assert rank_bound(problem, value * (1.0 + 1e-9)) <= k


def test_the_rank_bound_of_bipartite_data():
    problem = Problem(np.eye(4), np.array(edge_matrix(complete_bipartite(4)), float), lam=1e-3, beta=0.0)
    result = solve(problem, gap=1e-5)
    bounds = width_bounds(problem, result, seconds=0.0)
    assert (bounds.lower, bounds.proof) == (3, "rank")
    assert result.width >= 4


# -- bipartite graphs along λ --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("N", [4, 6, 8])
def test_the_optimal_matrix_of_bipartite_data(N):
    n, B = N // 2, np.array(edge_matrix(complete_bipartite(N)), float)
    for lam in LAMBDAS:
        Z = np.array(optimal_matrix(N, lam), float)
        values, vectors = np.linalg.eigh(B)
        assert np.allclose(Z, (vectors * np.maximum(values - float(lam) * N, 0.0)) @ vectors.T)
        p = math.sqrt(1 - 2 * lam)
        q = (-p * n + math.sqrt(p * p * n * n + float(lam) * n * n)) / (n * n)
        edges = [np.eye(N)[i] + np.eye(N)[n + j] for i in range(n) for j in range(n)]
        assert np.allclose(sum(np.outer(p * e + q, p * e + q) for e in edges), Z)
        assert q >= 0.0


@pytest.mark.parametrize("lam", [1e-3, 0.45])
def test_its_minimum_is_what_the_solver_proves(lam):
    problem = Problem(np.eye(4), np.array(edge_matrix(complete_bipartite(4)), float), lam=lam, beta=0.0)
    result = solve(problem, gap=1e-6)
    step = rank_along_path(4, Fraction(lam), 0.1)
    assert result.status == "optimal"
    assert result.lower <= float(step.minimum) * (1.0 + 1e-12)
    assert result.upper >= float(step.minimum) * (1.0 - 1e-12)


def test_ranks_along_the_path():
    assert [pigeonhole_bound(N, Fraction(1, 10_000)) for N in (4, 6, 8)] == [4, 9, 16]
    assert [pigeonhole_bound(N, Fraction(1, 2)) for N in (2, 4, 6)] == [1, 1, 1]
    # Exactly at equality in (2) nothing is claimed: (1 − λ)² = λ((1 − 2λ) + λ) for N = 2, K = 1 is λ = 1/2.
    step = rank_along_path(4, Fraction(2, 5), 0.3)
    assert (step.lower, step.upper) == (3, 3)
    for lam in LAMBDAS[3::4]:
        found = cp_rank_bounds(optimal_matrix(4, lam), 0.2, 0, False)
        assert found.upper is None or pigeonhole_bound(4, lam) <= found.upper


# -- commands ----------------------------------------------------------------------------------------------------------


def test_width_command(capsys, tmp_path):
    assert main(["width", f"{INSTANCES}/diabetes-1.yaml", "--json", "--out", str(tmp_path)]) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["lower"], written["upper"], written["lower_proof"]) == (3, 3, "caps")
    assert len(written["caps"]) == 3
    assert json.loads((tmp_path / "diabetes-1-width.json").read_text())["lower"] == 3
    assert (tmp_path / "diabetes-1.safetensors").exists()
    assert main(["width", f"{INSTANCES}/diabetes-2.yaml", "--time-limit", "1e-3"]) == 1
    assert "the minimum to a relative 9.6e-1): exactly 0" in capsys.readouterr().out
    assert main(["width", f"{INSTANCES}/infeasible-duplicates.yaml"]) == 1
    assert "nothing is proven" in capsys.readouterr().err
    assert main(["width", f"{INSTANCES}/infeasible-duplicates.yaml", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["status"] == "infeasible"
    assert main(["width", f"{INSTANCES}/diabetes-1.yaml", "--gap", "-1"]) == 2


def test_bipartite_path_command(capsys, tmp_path):
    assert main(["bipartite", "--N", "2", "--path", "--json", "--out", str(tmp_path)]) == 0
    written = json.loads(capsys.readouterr().out)
    assert [step["rank_sigma"] for step in written["path"]] == [{"lower": 1, "upper": 1}] * len(LAMBDAS)
    assert (tmp_path / "bipartite-2-path.json").exists()
    for wrong in (["--N", "5", "--path"], ["--graph", "petersen", "--path"], ["--N", "4", "--path", "--plot"]):
        assert main(["bipartite", *wrong]) == 2
        assert "--path" in capsys.readouterr().err
