"""Batched training: derivatives, padding, one network or many, resuming, and the trained loss against the proven minimum."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cpcert import InputError, Problem
from cpcert.cli import main

torch = pytest.importorskip("torch", reason="training needs torch (extra: train)")
torch.set_num_threads(1)

from cpcert.training.batch import (  # noqa: E402 (after the check that torch is there)
    Data,
    Trial,
    flatten,
    hessian_product,
    initial_weights,
    losses_and_gradients,
    networks,
    padding_is_zero,
    split,
)
from cpcert.training.optimiser import Settings, Training  # noqa: E402

TRIALS = [Trial(3, 0, 1e-2), Trial(1, 1, 1e-1), Trial(2, 2, 1e-3)]


def problem(loss="mse", activation="relu", beta=1.0, depth=2, N=7, n0=3, m=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, n0))
    Y = rng.standard_normal((N, m))
    if loss == "cross_entropy":
        Y = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
    if loss == "logistic":
        Y = np.sign(Y)
    slope = 0.3 if activation == "leaky_relu" else None
    return Problem(X, Y, lam=1e-2, loss=loss, activation=activation, slope=slope, beta=beta, depth=depth)


CASES = [
    ("mse", "relu", 1.0, 2),
    ("mse", "abs", 0.0, 3),
    ("cross_entropy", "leaky_relu", 0.5, 3),
    ("cross_entropy", "relu", 0.0, 4),
    ("logistic", "linear", -2.0, 2),
    ("logistic", "relu", 1.0, 4),
]


def train(problem, trials, settings):
    training = Training(problem, trials, settings, "cpu")
    while not training.done:
        training.advance()
    return training


@pytest.mark.parametrize(("loss", "activation", "beta", "depth"), CASES)
def test_loss_gradient_and_hessian(loss, activation, beta, depth):
    """The loss is Network's; gradient and Hessian are those of finite differences; padding has zero gradient."""
    given = problem(loss, activation, beta, depth)
    data = Data.of(given, "cpu", torch.float64)
    weights = initial_weights(given, TRIALS)
    shapes = [(W.shape[1], W.shape[2]) for W in weights]
    lam = torch.tensor([trial.lam for trial in TRIALS], dtype=torch.float64)
    x = flatten(weights)
    value, gradient = losses_and_gradients(weights, lam, data)
    expected = [n.loss(replace(given, lam=t.lam)) for n, t in zip(networks(given, TRIALS, weights), TRIALS, strict=True)]
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    assert padding_is_zero(given, TRIALS, gradient)

    # A direction inside the networks, small enough to stay on the piece.
    generator = torch.Generator().manual_seed(1)
    V = flatten(gradient) + flatten(weights) * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    h = 1e-6
    (above, up), (below, down) = (losses_and_gradients(split(x + s * V, shapes), lam, data) for s in (h, -h))
    torch.testing.assert_close((above - below) / (2 * h), (flatten(gradient) * V).sum(1), rtol=1e-7, atol=1e-8)
    product = hessian_product(weights, split(V, shapes), lam, data)
    torch.testing.assert_close((flatten(up) - flatten(down)) / (2 * h), flatten(product), rtol=1e-6, atol=1e-7)
    assert padding_is_zero(given, TRIALS, product)


@pytest.mark.parametrize(("loss", "activation", "beta", "depth"), [CASES[0], CASES[2], CASES[5]])
def test_a_network_does_not_depend_on_its_batch(loss, activation, beta, depth):
    """Adam, descent and L-BFGS: the padding stays exactly zero, and the others in the batch change nothing but rounding."""
    given = problem(loss, activation, beta, depth)
    settings = Settings(epochs=20, descent=10, polish=10)
    together = train(given, TRIALS, settings)
    assert padding_is_zero(given, TRIALS, split(together.final, together.shapes))
    for trial, network in zip(TRIALS, together.networks(), strict=True):
        alone = train(given, [trial], settings).networks()[0]
        assert network.widths == (given.n0, *[trial.width] * (depth - 1), given.m)
        for W, V in zip(network.weights, alone.weights, strict=True):
            np.testing.assert_allclose(W, V, rtol=0, atol=2e-5)  # Adam works in float32


def test_the_start_depends_on_width_and_seed_only():
    given = problem()
    a = networks(given, TRIALS, initial_weights(given, TRIALS))
    other = [Trial(9, 5, 1.0), *(replace(trial, lam=1.0) for trial in TRIALS[::-1])]
    b = networks(given, other, initial_weights(given, other))
    for mine, theirs in zip(a, b[:0:-1], strict=True):
        for W, V in zip(mine.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(W, V)
