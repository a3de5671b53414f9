"""Carathéodory: as few columns as the rank, the same sum, no larger cost; the same for the layers of networks."""

import numpy as np
import pytest

from cpcert import Network, Problem
from cpcert.activations import activation
from cpcert.formulations.caratheodory import caratheodory, reduce_covariances, reduce_outputs
from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.steps import fewer_neurons
from cpcert.networks.reduce import reduce_network

NAMES = [("relu", None), ("leaky_relu", -0.3), ("abs", None), ("linear", None)]


@pytest.mark.parametrize("d, K", [(1, 1), (1, 40), (3, 200), (10, 11), (10, 10), (12, 5), (40, 300)])
def test_same_sum_fewer_columns_no_larger_cost(d, K):
    rng = np.random.default_rng(d + K)
    for rank in {1, min(d, K), max(min(d, K) // 2, 1)}:
        columns = rng.standard_normal((d, rank)) @ rng.standard_normal((rank, K)) * np.exp(3 * rng.standard_normal(K))
        columns[:, rng.random(K) < 0.1] = 0.0
        costs = np.exp(rng.standard_normal(K))
        weights = caratheodory(columns, costs)
        assert weights.min(initial=0.0) >= 0.0
        assert (weights > 0.0).sum() <= np.linalg.matrix_rank(columns)
        size = np.abs(columns).sum()
        np.testing.assert_allclose(columns @ weights, columns.sum(axis=1), atol=1e-13 * size)
        assert costs @ weights <= costs.sum() * (1 + 1e-13)
        assert not weights[~columns.any(axis=0)].any()


def test_independent_columns_stay_as_they_are():
    columns = np.random.default_rng(0).standard_normal((6, 4))
    np.testing.assert_allclose(caratheodory(columns, np.ones(4)), 1.0, rtol=1e-12)


def test_the_cost_falls_where_it_can():
    """Columns 1 and 2 add up to column 3, which is cheaper: it takes over."""
    weights = caratheodory(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), np.array([1.0, 1.0, 0.5]))
    np.testing.assert_allclose(weights, [0.0, 0.0, 2.0], atol=1e-14)


def random_network(seed, depth=2):
    rng = np.random.default_rng(seed)
    beta, (name, slope) = (1.0, 0.0, -0.5)[seed % 3], NAMES[seed % 4]
    n0, m, N = int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, 7))
    widths = [n0, *(int(rng.integers(1, 150)) for _ in range(depth - 1)), m]
    weights = tuple(rng.standard_normal((widths[k + 1], widths[k] + (beta != 0.0))) for k in range(depth))
    X = rng.standard_normal((N, n0))
    X[-1] = X[0] if seed % 5 == 0 else X[-1]
    return Network(weights, activation(name, slope), beta), X


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("depth", [2, 3])
def test_layers_keep_the_outputs(seed, depth):
    network, X = random_network(seed, depth)
    D = len(np.unique(X, axis=0))
    for layer in range(1, depth):
        reduced, stage = reduce_outputs(network, X, layer)
        assert reduced.widths[layer] == stage.width_after <= stage.bound == network.widths[layer + 1] * D
        for before, after in zip(network.forward(X)[layer:], reduced.forward(X)[layer:], strict=True):
            np.testing.assert_allclose(after, before, rtol=0, atol=1e-10 * np.abs(before).max())
        assert reduced.norm_squared() <= network.norm_squared() * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("depth", [2, 3])
def test_layers_keep_the_covariances(seed, depth):
    network, X = random_network(100 + seed, depth)
    D, sigma = len(np.unique(X, axis=0)), network.activation
    for layer in range(1, depth):
        reduced, stage = reduce_covariances(network, X, layer)
        assert reduced.widths[layer] == stage.width_after <= stage.bound == D * (D + 1)
        old, new = network.forward(X), reduced.forward(X)
        for f in (lambda Z: Z, sigma):
            K, L = (f(Z[layer - 1]).T @ f(Z[layer - 1]) for Z in (old, new))
            np.testing.assert_allclose(L, K, rtol=0, atol=1e-11 * np.abs(K).max())
        np.testing.assert_allclose(new[-1], old[-1], rtol=0, atol=1e-9 * np.abs(old[-1]).max())
        assert reduced.norm_squared() <= network.norm_squared() * (1 + 1e-12)


@pytest.mark.parametrize("keep", ["outputs", "covariances"])
def test_a_whole_network(keep):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((4, 2))
    network = Network(tuple(rng.standard_normal(s) for s in ((90, 3), (80, 91), (2, 81))), activation("relu"), 1.0)
    problem = Problem(X, rng.standard_normal((4, 2)), lam=1e-2, depth=3)
    reduction = reduce_network(problem, network, keep)
    assert reduction.kept and not reduction.merges
    assert [stage.layer for stage in reduction.stages] == [2, 1]
    final = reduction.networks[-1]
    assert final.width <= reduction.bound == (32 if keep == "outputs" else 20)
    assert reduction.max_output_change <= 1e-10 * np.abs(network.predict(X)).max()


def test_the_solver_uses_it():
    """More neurons than outputs × points, as the corrective step meets them."""
    rng = np.random.default_rng(4)
    problem = Problem(rng.standard_normal((5, 3)), rng.standard_normal((5, 2)), lam=1e-2)
    W = rng.standard_normal((60, 4))
    neurons = Neurons(
        W / np.linalg.norm(W, axis=1, keepdims=True), rng.standard_normal((2, 60)), np.ones(2), W @ problem.X_tilde > 0
    )
    points = np.ascontiguousarray(problem.X_tilde.T)
    fewer = fewer_neurons(problem, points, neurons)
    assert len(fewer.W) <= 10
    np.testing.assert_allclose(fewer.outputs(problem, points), neurons.outputs(problem, points), atol=1e-12)
    assert fewer.masses.sum() < neurons.masses.sum()
