"""Networks of depth ≥ 3 with a low loss: starts, and descent in all weights at once. Heuristic: no proof.

L-BFGS on L_λ(W) converges to the accuracy that kinks allow; newton.py does the rest, growth.py adds neurons.

Starts: random weights (He's variance), and for a₊ + a₋ ≠ 0 the linear network that fits the data best with a ridge,
Ŷ = U diag(s) Vᵀ X̃, each singular direction passed through the layers as the pair σ(z), σ(−z) (spectral).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from cpcert.network import Network, layer_features
from cpcert.problem import Problem

STEPS = 2000
# How far unit neurons that are merged may be apart, and what part of the loss that may cost. L-BFGS leaves copies of neurons.
MERGED, LOST = (0.3, 0.1, 0.03, 0.01, 1e-3), 1e-7
DEAD = 1e-6


def loss_and_gradient(problem: Problem, widths: tuple[int, ...]) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """x ↦ (L_λ, ∇L_λ) for the weights of `widths` = (n_0, …, n_L) in one vector x (see `unpack`), in floating point."""
    bias = int(problem.beta != 0.0)
    sigma, Y = problem.activation, problem.targets

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        weights = unpack(x, widths, bias)
        inputs, outputs = [problem.X_tilde], []
        for W in weights:
            outputs.append(W @ inputs[-1])
            inputs.append(layer_features(outputs[-1], sigma, problem.beta))
        value = problem.loss.value(outputs[-1], Y) + problem.lam * float(x @ x)
        back = problem.loss.gradient(outputs[-1], Y)
        gradients = []
        for layer in range(len(weights) - 1, -1, -1):
            gradients.append((back @ inputs[layer].T).ravel())
            if layer:
                W = weights[layer]
                back = sigma.slope_at(outputs[layer - 1] > 0.0) * (W[:, : widths[layer]].T @ back)
        return value, np.concatenate(gradients[::-1]) + 2.0 * problem.lam * x

    return function


def unpack(x: np.ndarray, widths: tuple[int, ...], bias: int) -> list[np.ndarray]:
    """[W_1, …, W_L] of a vector x (..., n) of all weights, layer by layer, row by row; each (..., n_ℓ, n_{ℓ−1} + bias)."""
    shapes = [(after, before + bias) for before, after in pairwise(widths)]
    ends = np.cumsum([a * b for a, b in shapes])[:-1]
    parts = np.split(x, ends, axis=-1)
    return [part.reshape(*x.shape[:-1], *shape) for part, shape in zip(parts, shapes, strict=True)]


def descend(problem: Problem, network: Network, steps: int = STEPS) -> Network:
    """L-BFGS from the weights of `network`; never a higher loss. Not for `interpolate`, which has no gradient."""
    from scipy.optimize import minimize

    start = np.concatenate([W.ravel() for W in network.weights])
    if not start.size:
        return network
    function = loss_and_gradient(problem, network.widths)
    options = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 30, "ftol": 1e-15, "gtol": 1e-12}
    found = minimize(function, start, jac=True, method="L-BFGS-B", options=options)
    if not (np.all(np.isfinite(found.x)) and found.fun < function(start)[0]):
        return network
    return _network(problem, unpack(found.x, network.widths, int(problem.beta != 0.0)))


def condense(problem: Problem, network: Network) -> Network:
    """`network` with fewer neurons where that does not raise the loss: balanced, nearly parallel ones merged (bold attempts
    first), negligible ones dropped, and descent again."""
    network = network.balanced().without_dead_neurons(DEAD)
    value = network.loss(problem)
    for angle in MERGED:
        merged = network.merged(angle)
        if merged.widths != network.widths:
            merged = descend(problem, merged).balanced().without_dead_neurons(DEAD)
            new = merged.loss(problem)
            if new <= value * (1.0 + LOST):
                network, value = merged, min(new, value)
    return network


def random_network(problem: Problem, width: int, rng: np.random.Generator) -> Network:
    """Weights with He's variance, hidden layers of `width`."""
    bias = int(problem.beta != 0.0)
    widths = [problem.n0, *[width] * (problem.depth - 1), problem.m]
    shapes = [(after, before + bias) for before, after in pairwise(widths)]
    return _network(problem, [rng.standard_normal(shape) * math.sqrt(2.0 / shape[1]) for shape in shapes])


def spectral_network(problem: Problem) -> Network | None:
    """The linear ridge fit as pairs σ(z), σ(−z); None where the activation cannot express it (abs)."""
    total = problem.activation.a_plus + problem.activation.a_minus
    if total == 0.0:
        return None
    X, N = problem.X_tilde, problem.N
    ridge = X @ X.T / N + problem.lam * np.eye(problem.n)
    left, singular, right = np.linalg.svd(problem.targets @ X.T / N @ np.linalg.inv(ridge), full_matrices=False)
    keep = singular > 1e-6 * max(float(singular[0]), 1e-300)
    root = singular[keep] ** (1.0 / problem.depth)
    k = len(root)
    bias = int(problem.beta != 0.0)
    # σ(z) − σ(−z) = (a₊ + a₋)z for both signs of z.
    first = root[:, np.newaxis] * right[keep]
    middle = np.kron(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.diag(root)) / total
    last = left[:, keep] * root / total
    weights = [np.vstack([first, -first])]
    weights += [np.hstack([middle, np.zeros((2 * k, bias))])] * (problem.depth - 2)
    weights.append(np.hstack([last, -last, np.zeros((problem.m, bias))]))
    return _network(problem, weights)


def _network(problem: Problem, weights: list[np.ndarray]) -> Network:
    return Network(tuple(weights), problem.activation, problem.beta)
