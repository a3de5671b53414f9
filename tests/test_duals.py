"""The back-propagated duals: gradients of the loss, and what adding a neuron does to it."""

import itertools

import numpy as np
import pytest

from cpcert.formulations.duals import backpropagated_duals
from cpcert.network import Network, layer_features
from cpcert.problem import Problem


def _case(activation, loss, beta, depth=4, seed=0):
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(7, 2))
    if loss == "cross_entropy":
        Y = np.eye(2)[rng.integers(0, 2, 7)]
    slope = 0.2 if activation == "leaky_relu" else None
    problem = Problem(
        rng.normal(size=(7, 3)), Y, lam=0.1, loss=loss, depth=depth, beta=beta, activation=activation, slope=slope
    )
    widths = [3, 5, 3, 4][:depth] + [2]
    weights = tuple(rng.normal(size=(b, a + (beta != 0.0))) for a, b in itertools.pairwise(widths))
    return problem, Network(weights, problem.activation, beta)


def _loss(problem, network):
    penalty = sum(float(np.sum(W * W)) for W in network.weights)
    return problem.loss.value(network.forward(problem.X)[-1], problem.targets) + problem.lam * penalty


@pytest.mark.parametrize(("activation", "loss", "beta"), [("leaky_relu", "mse", 0.7), ("relu", "cross_entropy", 0.0)])
def test_they_are_the_gradients_of_the_loss(activation, loss, beta):
    problem, network = _case(activation, loss, beta)
    Z = network.forward(problem.X)
    inputs = [problem.X_tilde, *(layer_features(hidden, problem.activation, beta) for hidden in Z[:-1])]
    for layer, (G, A) in enumerate(zip(backpropagated_duals(problem, network), inputs, strict=True)):
        gradient = 2.0 * problem.lam * (network.weights[layer] - G @ A.T)
        for entry in np.ndindex(*gradient.shape):
            losses = []
            for step in (1e-6, -1e-6):
                weights = [W.copy() for W in network.weights]
                weights[layer][entry] += step
                losses.append(_loss(problem, Network(tuple(weights), problem.activation, beta)))
            assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(gradient[entry], abs=1e-7)


def test_a_new_neuron_changes_the_loss_as_the_dual_says():
    """2λε²(1 − vᵀĜ_{ℓ+1}σ(Z_{ℓ−1}^σᵀw)) + o(ε²), in every hidden layer."""
    problem, network = _case("relu", "mse", 1.0)
    rng = np.random.default_rng(1)
    Z = network.forward(problem.X)
    duals = backpropagated_duals(problem, network)
    inputs = [problem.X_tilde, *(layer_features(hidden, problem.activation, 1.0) for hidden in Z[:-1])]
    for layer in range(3):
        w, v = rng.normal(size=len(inputs[layer])), rng.normal(size=len(Z[layer + 1]))
        w, v = w / np.linalg.norm(w), v / np.linalg.norm(v)
        predicted = 2.0 * problem.lam * (1.0 - v @ duals[layer + 1] @ problem.activation(inputs[layer].T @ w))
        epsilon = 1e-4
        weights = list(network.weights)
        weights[layer] = np.vstack([weights[layer], epsilon * w])
        weights[layer + 1] = np.insert(weights[layer + 1], len(Z[layer]), epsilon * v, axis=1)
        change = _loss(problem, Network(tuple(weights), problem.activation, 1.0)) - _loss(problem, network)
        assert change / epsilon**2 == pytest.approx(predicted, rel=1e-4)


def test_interpolate_has_none():
    problem = Problem([[1.0], [2.0]], [1.0, 0.0], loss="interpolate")
    with pytest.raises(ValueError, match="no gradient"):
        backpropagated_duals(problem, Network((np.ones((1, 2)), np.ones((1, 2))), problem.activation, 1.0))
