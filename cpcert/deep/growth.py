"""Neurons where they help: Frank-Wolfe on all hidden layers of a deep network at once. Heuristic: no proof.

A neuron ε(w, v), ‖w‖ = ‖v‖ = 1, added to hidden layer ℓ changes the loss by 2λε²(1 − ‖Ĝ_{ℓ+1}σ(Z_{ℓ−1}^σᵀw)‖) + o(ε²)
(formulations/duals.py), and Ĝ of newton.py is the one that counts at kinks. Neurons are added where the norm exceeds 1,
descent and Newton's method go on, until none is found: then every block is as good as the search can tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from cpcert.deep.descent import condense, descend
from cpcert.deep.newton import newton
from cpcert.network import Network, layer_features
from cpcert.oracle.coordinates import coordinates
from cpcert.oracle.ladder import find_neurons
from cpcert.problem import Problem

# Neurons added to a layer at a time, their size relative to the others, and the starts of the search.
ADDED, SIZE, STARTS = 3, 0.05, 40
ROUNDS = 20
# ‖Ĝσ‖ − 1 that is worth a neuron, and the relative fall of the loss that is worth another round.
ABOVE, PROGRESS = 1e-7, 1e-9


def grow(
    problem: Problem, network: Network, expired: Callable[[], bool], seed: int
) -> tuple[Network, list[np.ndarray]]:
    """(network, [Ĝ_1, …, Ĝ_L]): fewer neurons, Newton's method, then neurons and descent while the loss falls and not
    `expired()`."""
    network, duals = newton(problem, condense(problem, network), expired)
    value = network.loss(problem)
    for turn in range(ROUNDS):
        larger = None if expired() else with_new_neurons(problem, network, duals, seed + turn)
        if larger is None:
            break
        # Newton's method follows the negative curvature of a new neuron, L-BFGS makes its way faster when it is long.
        for start in (larger, descend(problem, larger)):
            found, found_duals = newton(problem, start, expired)
            fewer = condense(problem, found)
            if fewer.widths != found.widths:
                found, found_duals = newton(problem, fewer, expired)
            new = found.loss(problem)
            if new < value * (1.0 - PROGRESS):
                break
        if not new < value:
            break
        progress = new < value * (1.0 - PROGRESS)
        network, duals, value = found, found_duals, new
        if not progress:
            break
    return network, duals


def with_new_neurons(problem: Problem, network: Network, duals: Sequence[np.ndarray], seed: int) -> Network | None:
    """`network` with small new neurons in every hidden layer where ‖Ĝσ‖ > 1 was found; None if nowhere."""
    weights = [W.copy() for W in network.weights]
    outputs = network.forward(problem.X)
    inputs = [problem.X_tilde, *(layer_features(Z, problem.activation, problem.beta) for Z in outputs[:-1])]
    added = False
    for layer in range(problem.depth - 1):
        A, G = inputs[layer], duals[layer + 1]
        if not (A.size and G.size and np.any(G)):
            continue
        space = coordinates(A)
        found = find_neurons(space, G, problem.activation, np.zeros((0, space.points.shape[1])), STARTS, seed)
        W = space.lift(found.W[found.values > 1.0 + ABOVE][:ADDED])
        if not len(W):
            continue
        V = G @ problem.activation(W @ A).T
        norms = np.linalg.norm(V, axis=0)
        live = norms > 0.0
        size = SIZE * max(math.sqrt(float(np.sum(weights[layer] ** 2)) / max(len(weights[layer]), 1)), 1e-3)
        incoming, outgoing = size * W[live], size * V[:, live] / norms[live]
        # The layer below may have grown: the new neurons take nothing from its new ones.
        before, now = network.widths[layer], weights[layer].shape[1]
        nothing = np.zeros((len(incoming), now - A.shape[0]))
        weights[layer] = np.vstack([weights[layer], np.hstack([incoming[:, :before], nothing, incoming[:, before:]])])
        width = network.widths[layer + 1]
        following = weights[layer + 1]
        weights[layer + 1] = np.hstack([following[:, :width], outgoing, following[:, width:]])
        added = True
    return Network(tuple(weights), problem.activation, problem.beta) if added else None
