"""Is a trained network globally optimal? Its loss against the proven interval, and a neuron that lowers it.

With Ĝ_ℓ = −(1/2λ) ∂C/∂Z_ℓ (formulations/duals.py; at the outputs −∇C/2λ) and A = Z_{ℓ−1}^σ the inputs of hidden layer
ℓ, the neuron (w, v) = √t(ŵ, v̂), v̂ the direction of Ĝ_{ℓ+1}σ(Aᵀŵ), ‖ŵ‖ = 1, changes the loss by

    C(… Z_{ℓ+1} + t v̂σ(ŵᵀA) …) − C + 2λt = 2λt(1 − ‖Ĝ_{ℓ+1}σ(Aᵀŵ)‖) + o(t),

so a *contact value* ‖Ĝ_{ℓ+1}σ(Aᵀŵ)‖ > 1 makes it a **descent neuron**: a certificate of non-optimality that anyone can
add and measure. The search for it is heuristic, its effect is not: both losses are enclosed in exact arithmetic. At a
stationary point every active balanced neuron has the contact value 1.

Depth 2: γ(Ĝ_2) ≤ 1 with b = βĜ_2 1 is also enough for a global minimum, and the interval of a certificate decides.
Depth ≥ 3: no descent neuron in any layer is necessary only. A contact value above 1 has to be that of this Ĝ, which is
the derivative; the dual Z_{ℓ+1}(K_ℓ^σ)^+ (pseudo-inverse) is only its projection where rank Z_ℓ^σ < N, and proves
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np

from cpcert.certificate import check as exact
from cpcert.errors import InputError
from cpcert.formulations.duals import backpropagated_duals
from cpcert.network import Network, layer_features
from cpcert.oracle.coordinates import coordinates
from cpcert.oracle.ladder import find_neurons
from cpcert.problem import Problem
from cpcert.rounding import round_down, round_up

STARTS = 200
# So many of the neurons found are tried in each layer.
TRIED = 3
# A neuron is called dead, and two neurons aligned, up to this; for the table only.
DEAD, ALIGNED = 1e-12, 1e-6
# An entry of Z counts as lying at the kink up to this part of the largest.
AT_KINK = 1e-6
# The line search looks for t between its inverse and this.
SEARCHED = 1e100
# Losses from here on may have a gradient that overflows.
LARGEST = 1e150
# Rounds of `improve`, its gradient steps in each, and the part of the loss that a round must gain.
ROUNDS, SETTLING, GAIN = 1000, 300, 1e-5


class Verdict(StrEnum):
    """Whether the loss is within the gap of the proven lower bound of the minimum, above it by more, proven too, or neither."""

    OPTIMAL, SUBOPTIMAL, UNDECIDED = "optimal", "suboptimal", "undecided"


@dataclass(frozen=True, eq=False)
class DescentNeuron:
    """A neuron whose addition lowers the loss, proven: loss_after < loss_before, both rounded to the safe side.

    layer: the hidden layer it is added to, from 1. w (n_{ℓ−1} + 1,), v (n_{ℓ+1},): its weights, scaled. ratio: its contact
    value, in floating point. network: with the neuron.
    """

    layer: int
    w: np.ndarray
    v: np.ndarray
    ratio: float
    loss_before: float
    loss_after: float
    network: Network


@dataclass(frozen=True)
class LayerContact:
    """contact: the largest contact value found for a neuron added to the layer, in floating point. kinks: how many entries of
    Z_{ℓ+1} lie at the kink of σ (up to 1e-6 of the largest); there the contact value is a one-sided derivative and may be above
    1 although no neuron lowers the loss."""

    contact: float
    kinks: int


@dataclass(frozen=True, eq=False)
class CheckResult:
    """loss: proven upper bound of the network's loss, loss_lower its proven lower bound. [lower, upper]: the proven interval of the
    global minimum. suboptimality: proven bounds of loss − P*. scope: global,
    or blockwise at depth ≥ 3 without a lower bound, where only one layer at a time was looked at. layers: one entry a
    hidden layer, a heuristic."""

    loss: float
    loss_lower: float
    lower: float | None
    upper: float | None
    verdict: Verdict
    scope: str
    suboptimality: tuple[float, float | None]
    layers: tuple[LayerContact, ...]
    descent: DescentNeuron | None


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A neuron found in a layer (from 1): its contact value, the network with it, that network's loss; all floating point."""

    layer: int
    w: np.ndarray
    v: np.ndarray
    ratio: float
    network: Network
    loss: float


# -- the loss, exactly -------------------------------------------------------------------------------------------------


def exact_loss(problem: Problem, network: Network) -> tuple[Fraction, Fraction]:
    """Rationals around L_λ of the exact float64 weights; equal for mse. Any depth, any loss but interpolate."""
    from cpcert.certificate.file import exact_problem

    # The checker's numbers are the same at every depth; it takes problems of depth 2 only.
    numbers = exact_problem(problem if problem.depth == 2 else _of_depth_two(problem))
    cost = Fraction(0)
    columns: list[Any] = numbers.X
    e = numbers.x
    for layer, weights in enumerate(network.weights, start=1):
        W, w = exact.matrix(weights.ravel().tolist(), len(weights), weights.shape[1], f"W{layer}")
        cost += sum(exact.dot(row, row) for row in W) * exact.power(2 * w)
        Z = [[exact.dot(row, column) for column in columns] for row in W]
        e += w
        if layer < network.depth:
            hidden, a = exact.activate(numbers, Z)
            e += a
            if problem.beta:
                (bias,), b = exact.dyadic([problem.beta])
                low = min(e, b)
                hidden = [[h << (e - low) for h in row] for row in hidden] + [[bias << (b - low)] * numbers.N]
                e = low
            columns = list(zip(*hidden, strict=True)) if hidden else [()] * numbers.N
    low = min(e, numbers.y)
    Z = [[v << (e - low) for v in row] for row in Z]
    Y = [[v << (numbers.y - low) for v in row] for row in numbers.Y]
    most = exact.loss_upper(numbers, Z, Y, low)
    least = problem.loss.value_lower(Z, Y, exact.power(low))
    penalty = numbers.lam * cost
    return least + penalty, most + penalty


def _of_depth_two(problem: Problem) -> Problem:
    return Problem(
        problem.X, problem.Y, lam=problem.lam, loss=problem.loss, activation=problem.activation, beta=problem.beta
    )


# -- the verdict -------------------------------------------------------------------------------------------------------


def check_network(
    problem: Problem, network: Network, lower: float | None, upper: float | None, gap: float, seed: int = 0
) -> CheckResult:
    """The verdict about a network, given a proven interval [lower, upper] of the global minimum (None: not known).

    optimal: (loss − lower)/|loss| ≤ gap, proven. suboptimal: the loss exceeds `upper`, or a descent neuron lowers it, by more
    than gap. Raises InputError for `interpolate`, or a network that does not fit.
    """
    require_checkable(problem, network)
    low, high = exact_loss(problem, network)
    loss, loss_lower = round_up(high), round_down(low)
    candidates, layers = _candidates(problem, network, seed)
    descent = _proven_descent(problem, low, candidates)
    least = 0.0
    if upper is not None:
        least = max(least, round_down(low - Fraction(upper)))
    if descent is not None:
        least = max(least, round_down(Fraction(descent.loss_before) - Fraction(descent.loss_after)))
    most = None if lower is None else round_up(high - Fraction(lower))
    if most is not None and Fraction(most) <= Fraction(gap) * abs(Fraction(loss)):
        verdict = Verdict.OPTIMAL
    elif Fraction(least) > Fraction(gap) * abs(Fraction(loss)):
        verdict = Verdict.SUBOPTIMAL
    else:
        verdict = Verdict.UNDECIDED
    scope = "global" if problem.depth == 2 or lower is not None else "blockwise"
    return CheckResult(loss, loss_lower, lower, upper, verdict, scope, (least, most), layers, descent)


def require_checkable(problem: Problem, network: Network) -> None:
    """Raise InputError unless the network fits the problem, whose loss has a gradient, and has a loss below 1e150."""
    network.check_fits(problem)
    if problem.loss.is_constraint:
        raise InputError(
            f"loss: {problem.loss.name} is a constraint that no float network meets; check it with loss mse and a lambda"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        loss = network.loss(problem)
    if not loss < LARGEST:
        raise InputError(f"network: its loss is {loss:.3g}; the weights are too large to be checked")


# -- descent neurons ---------------------------------------------------------------------------------------------------


def descent_neuron(problem: Problem, network: Network, seed: int = 0) -> DescentNeuron | None:
    """Of the neurons found in all hidden layers, each scaled by a line search, the one that lowers the loss most.

    None if none lowers it by a proven amount.
    """
    candidates, _ = _candidates(problem, network, seed)
    return _proven_descent(problem, exact_loss(problem, network)[0], candidates)


def _proven_descent(problem: Problem, before: Fraction, candidates: list[_Candidate]) -> DescentNeuron | None:
    for found in candidates:
        after = exact_loss(problem, found.network)[1]
        if after < before:
            return DescentNeuron(
                found.layer, found.w, found.v, found.ratio, round_down(before), round_up(after), found.network
            )
    return None


def _candidates(problem: Problem, network: Network, seed: int) -> tuple[list[_Candidate], tuple[LayerContact, ...]]:
    """Neurons of contact value above 1, scaled, by the loss with them; and what was found in each layer."""
    found, layers = [], []
    Z = network.forward(problem.X)
    for layer, A, G in _layers(problem, network):
        if len(A) == 0:  # no neurons before it, and no bias
            layers.append(LayerContact(0.0, 0))
            continue
        space = coordinates(A)
        incoming = network.weights[layer - 1]
        lengths = np.linalg.norm(incoming, axis=1)
        alive = lengths > 0.0  # not of the weights: their squares may underflow
        warm = (incoming[alive] / lengths[alive, np.newaxis]) @ space.basis
        lifted = space.lift(find_neurons(space, G, problem.activation, warm, STARTS, seed).W[:TRIED])
        pushes = problem.activation(lifted @ A) @ G.T
        ratios = np.linalg.norm(pushes, axis=1)
        after = np.abs(Z[layer])
        kinked = layer + 1 < problem.depth and problem.activation.kink != 0.0
        kinks = int((after <= AT_KINK * after.max(initial=0.0)).sum()) if kinked else 0
        layers.append(LayerContact(float(ratios.max(initial=0.0)), kinks))
        for w, push, ratio in zip(lifted, pushes, ratios, strict=True):
            if ratio > 1.0:
                found.append(_scaled(problem, network, layer, w, push / ratio, float(ratio)))
    return sorted(found, key=lambda candidate: candidate.loss), tuple(layers)


def _layers(problem: Problem, network: Network) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(ℓ, Z_{ℓ−1}^σ, Ĝ_{ℓ+1}) of each hidden layer ℓ = 1, …, L − 1."""
    inputs, duals = _inputs(problem, network)[:-1], backpropagated_duals(problem, network)[1:]
    yield from zip(range(1, problem.depth), inputs, duals, strict=True)


def _inputs(problem: Problem, network: Network) -> list[np.ndarray]:
    """[Z_0^σ, …, Z_{L−1}^σ]: what W_1, …, W_L are applied to."""
    hidden = network.forward(problem.X)[:-1]
    return [problem.X_tilde, *(layer_features(Z, problem.activation, problem.beta) for Z in hidden)]


def _scaled(problem: Problem, network: Network, layer: int, w: np.ndarray, v: np.ndarray, ratio: float) -> _Candidate:
    """The network with √t(w, v), ‖w‖ = ‖v‖ = 1, where t > 0 about minimises the loss, or is a local minimum of it.

    The slope of the loss in t is 2λ(1 − vᵀĜ_{ℓ+1}σ(Aᵀw)), Ĝ_{ℓ+1} that of the network with the neuron. In the last hidden layer
    it increases with t.
    """
    A = next(inputs for number, inputs, _ in _layers(problem, network) if number == layer)
    feature = problem.activation(w @ A)

    def grown(t: float) -> Network:
        weights = list(network.weights)
        weights[layer - 1] = np.vstack([weights[layer - 1], math.sqrt(t) * w])
        weights[layer] = np.insert(weights[layer], len(network.weights[layer - 1]), math.sqrt(t) * v, axis=1)
        return replace(network, weights=tuple(weights))

    def falls(t: float) -> bool:
        return float(v @ backpropagated_duals(problem, grown(t))[layer] @ feature) > 1.0

    low, high = 0.0, 1.0
    while high < SEARCHED and falls(high):
        low, high = high, 2.0 * high
    while low == 0.0 and high > 1.0 / SEARCHED and not falls(0.5 * high):
        high *= 0.5
    # The loss is flat around its minimum: half the digits of t are enough.
    while high - low > 1e-8 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if falls(middle) else (low, middle)
    t = low if low > 0.0 else high
    found = grown(t)
    return _Candidate(layer, math.sqrt(t) * w, math.sqrt(t) * v, ratio, found, found.loss(problem))


def improve(problem: Problem, network: Network, seed: int = 0) -> Network:
    """Add the descent neuron that gains most, follow the gradient of all weights, rescale neurons, until nothing is gained.

    (New neurons alone stop early: they cannot take back what is too large in others.) The loss of what is returned is not above that
    of `network`, proven. Where it stops is heuristic: for a proven minimum at depth 2, use `solve` with `warm_start`.
    """
    best, loss = network, network.loss(problem)
    for round_ in range(ROUNDS):
        candidates, _ = _candidates(problem, best, seed + round_)
        grown = candidates[0].network if candidates else best
        settled = _settled(problem, grown)
        for layer in range(1, problem.depth):
            settled = _rescaled(problem, settled, layer)
        merged = settled.balanced().merged().without_dead_neurons()
        choice = min((merged, settled, grown), key=lambda candidate: candidate.loss(problem))
        after = choice.loss(problem)
        if after < loss:
            best = choice
        if not loss - after > GAIN * abs(loss):
            break
        loss = after
    return best if exact_loss(problem, best)[1] <= exact_loss(problem, network)[0] else network


def _settled(problem: Problem, network: Network) -> Network:
    """L-BFGS from the network on all its weights; ∂L_λ/∂W_ℓ = 2λ(W_ℓ − Ĝ_ℓ(Z_{ℓ−1}^σ)ᵀ)."""
    from scipy.optimize import minimize

    ends = np.cumsum([W.size for W in network.weights])[:-1]

    def at(flat: np.ndarray) -> Network:
        parts = zip(np.split(flat, ends), network.weights, strict=True)
        return replace(network, weights=tuple(part.reshape(W.shape) for part, W in parts))

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        here = at(flat)
        parts = zip(here.weights, backpropagated_duals(problem, here), _inputs(problem, here), strict=True)
        gradient = [2.0 * problem.lam * (W - G @ A.T) for W, G, A in parts]
        return here.loss(problem), np.concatenate([part.ravel() for part in gradient])

    start = np.concatenate([W.ravel() for W in network.weights])
    options = {"maxiter": SETTLING, "maxfun": 2 * SETTLING, "ftol": 0.0, "gtol": 0.0}
    return at(minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options=options).x)


def _rescaled(problem: Problem, network: Network, layer: int) -> Network:
    """Each neuron of a hidden layer times √t in and out, the numbers t ≥ 0 about the best there are.

    L-BFGS on t: ∂L_λ/∂t = λ(‖w‖² + ‖v‖²) − 2λ vᵀĜ_{ℓ+1}σ(Aᵀw). This moves no kink of the layer, so that neurons which lie on
    kinks, where a gradient step fails, still shrink and vanish.
    """
    from scipy.optimize import minimize

    W, outgoing = network.weights[layer - 1 : layer + 1]
    V = outgoing[:, : len(W)]
    feature = problem.activation(W @ _inputs(problem, network)[layer - 1])
    sizes = problem.lam * (np.sum(W * W, axis=1) + np.sum(V * V, axis=0))
    if len(W) == 0:
        return network

    def at(t: np.ndarray) -> Network:
        weights = list(network.weights)
        weights[layer - 1] = np.sqrt(t)[:, np.newaxis] * W
        weights[layer] = np.column_stack([V * np.sqrt(t), outgoing[:, len(W) :]])
        return replace(network, weights=tuple(weights))

    def loss_and_gradient(t: np.ndarray) -> tuple[float, np.ndarray]:
        here = at(t)
        G = backpropagated_duals(problem, here)[layer]
        return here.loss(problem), sizes - 2.0 * problem.lam * np.sum(V * (G @ feature.T), axis=0)

    options = {"maxiter": SETTLING, "maxfun": 2 * SETTLING, "ftol": 0.0, "gtol": 0.0}
    bounds = [(0.0, None)] * len(W)
    start = np.ones(len(W))
    return at(minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x)


# -- the table ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NeuronRow:
    """A hidden neuron, in floating point: its norms and their ratio, its contact value (None: dead), and the first of the neurons
    of its layer that point the same way."""

    layer: int
    neuron: int
    incoming: float
    outgoing: float
    balance: float | None
    contact: float | None
    dead: bool
    group: int | None


def neuron_table(problem: Problem, network: Network) -> list[NeuronRow]:
    """An entry for each hidden neuron, layer by layer."""
    table = []
    for layer, A, G in _layers(problem, network):
        W, outgoing_weights = network.weights[layer - 1 : layer + 1]
        incoming, outgoing = np.linalg.norm(W, axis=1), np.linalg.norm(outgoing_weights[:, : len(W)], axis=0)
        directions = W / np.maximum(incoming, 1e-300)[:, np.newaxis]
        contact = np.linalg.norm(problem.activation(directions @ A) @ G.T, axis=1)
        groups: list[int] = []
        for k in range(len(W)):
            dead = bool(incoming[k] * outgoing[k] <= DEAD * float((incoming * outgoing).max(initial=0.0)))
            same = [j for j in groups if np.linalg.norm(directions[j] - directions[k]) <= ALIGNED]
            if not dead and not same:
                groups.append(k)
            balance = None if dead else float(incoming[k] / outgoing[k])
            group = None if dead else same[0] if same else k
            reached = None if dead else float(contact[k])
            row = NeuronRow(layer, k, float(incoming[k]), float(outgoing[k]), balance, reached, dead, group)
            table.append(row)
    return table
