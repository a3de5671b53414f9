"""Is a trained network of depth 2 globally optimal? Its loss against the proven interval, and a neuron that lowers it.

With G = −∇C(Z) at the network's outputs, the neuron (w, v) = √t(ŵ, v̂), v̂ the direction of Gσ(X̃ᵀŵ), changes the loss by

    C(Z + t v̂σ(ŵᵀX̃)) − C(Z) + 2λt = −t(‖Gσ(X̃ᵀŵ)‖ − 2λ) + O(t²),

so ‖Gσ(X̃ᵀŵ)‖ > 2λ makes it a *descent neuron*: a certificate of non-optimality that anyone can add and measure. The search for
it is heuristic, its effect is not: both losses are enclosed in exact arithmetic. At a minimum every balanced neuron has the
contact value ‖Gσ(X̃ᵀŵ)‖ = 2λ, and b = βG1/2λ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from cpcert.certificate import check as exact
from cpcert.errors import InputError
from cpcert.network import Network
from cpcert.oracle.coordinates import coordinates
from cpcert.oracle.ladder import find_neurons
from cpcert.problem import Problem
from cpcert.rounding import round_down, round_up

STARTS = 200
# A neuron is called dead, and two neurons aligned, up to this; for the table only.
DEAD, ALIGNED = 1e-12, 1e-6
# Rounds of `improve`, and the part of the loss that a round must gain.
ROUNDS, GAIN = 1000, 1e-12


@dataclass(frozen=True, eq=False)
class DescentNeuron:
    """A neuron whose addition lowers the loss, proven: loss_after < loss_before, both rounded to the safe side.

    w (n,), v (m,): its weights, scaled; ratio: ‖Gσ(X̃ᵀŵ)‖/2λ in floating point. network: with the neuron.
    """

    w: np.ndarray
    v: np.ndarray
    ratio: float
    loss_before: float
    loss_after: float
    network: Network


@dataclass(frozen=True, eq=False)
class CheckResult:
    """loss: proven upper bound of the network's loss, loss_lower its proven lower bound. [lower, upper]: the proven interval of the
    global minimum. verdict: optimal, suboptimal (proven) or undecided. suboptimality: proven bounds of loss − P*."""

    loss: float
    loss_lower: float
    lower: float | None
    upper: float | None
    verdict: str
    suboptimality: tuple[float, float | None]
    descent: DescentNeuron | None


def exact_loss(problem: Problem, network: Network) -> tuple[Fraction, Fraction]:
    """Rationals around L_λ of the exact float64 weights; equal for mse. Depth 2, any loss but interpolate."""
    from cpcert.certificate.build import exact_problem

    numbers = exact_problem(problem)
    (W1, e1), (W2, e2) = (exact.matrix(W.ravel().tolist(), W.shape[0], W.shape[1], "W") for W in network.weights)
    cost = sum(exact.dot(w, w) for w in W1) * exact.power(2 * e1) + sum(exact.dot(w, w) for w in W2) * exact.power(
        2 * e2
    )
    Z, z = exact.network_outputs(numbers, W1, e1, W2, e2)
    e = min(z, numbers.y)
    Z = [[v << (z - e) for v in row] for row in Z]
    Y = [[v << (numbers.y - e) for v in row] for row in numbers.Y]
    high = exact.loss_upper(numbers, Z, Y, e)
    low = high if problem.loss.name == "mse" else _loss_lower(problem, Z, Y, exact.power(e))
    penalty = numbers.lam * cost
    return low + penalty, high + penalty


def _loss_lower(problem: Problem, Z: exact.Matrix, Y: exact.Matrix, unit: Fraction) -> Fraction:
    """The counterpart of the checker's `loss_upper`, from the lower ends of the same enclosures."""
    total = Fraction(0)
    one = exact.ONE
    if problem.loss.name == "logistic":
        for zs, ys in zip(Z, Y, strict=True):
            for z, y in zip(zs, ys, strict=True):
                t = z if y > 0 else -z
                total += max(-t, 0) * unit + exact.log_bounds(one + exact.exp_bounds(-abs(t) * unit)[0], one)[0]
        return total / problem.N
    for column in zip(*(zip(p, q, strict=True) for p, q in zip(Z, Y, strict=True)), strict=True):
        top = max(z for z, _ in column)
        exponentials = sum(exact.exp_bounds((z - top) * unit)[0] for z, _ in column)
        # exp(0) is enclosed too, so the sum may be a little below 1.
        total += sum(y for _, y in column) * unit * exact.log_bounds(max(exponentials, one), one)[0]
        total += sum(y * (top - z) for z, y in column) * unit * unit
    return total / problem.N


def check_network(
    problem: Problem, network: Network, lower: float | None, upper: float | None, gap: float, seed: int = 0
) -> CheckResult:
    """The verdict about a network, given a proven interval [lower, upper] of the global minimum (None: not known).

    optimal: (loss − lower)/|loss| ≤ gap, proven. suboptimal: the loss exceeds `upper`, or a descent neuron lowers it, by more
    than gap. Raises InputError for depth ≥ 3, `interpolate`, or a network that does not fit.
    """
    require_checkable(problem, network)
    low, high = exact_loss(problem, network)
    loss, loss_lower = round_up(high), round_down(low)
    descent = descent_neuron(problem, network, seed)
    least = 0.0
    if upper is not None:
        least = max(least, round_down(low - Fraction(upper)))
    if descent is not None:
        least = max(least, round_down(Fraction(descent.loss_before) - Fraction(descent.loss_after)))
    most = None if lower is None else round_up(high - Fraction(lower))
    if most is not None and Fraction(most) <= Fraction(gap) * abs(Fraction(loss)):
        verdict = "optimal"
    elif Fraction(least) > Fraction(gap) * abs(Fraction(loss)):
        verdict = "suboptimal"
    else:
        verdict = "undecided"
    return CheckResult(loss, loss_lower, lower, upper, verdict, (least, most), descent)


def require_checkable(problem: Problem, network: Network) -> None:
    """Raise InputError unless the network fits the problem, both of depth 2, with a loss that has a gradient."""
    network.check_fits(problem)
    if problem.depth != 2:
        raise InputError(f"depth: is {problem.depth}; check compares networks of depth 2 (one hidden layer)")
    if problem.loss.name == "interpolate":
        raise InputError(
            "loss: interpolate is a constraint that no float network meets; check it with loss mse and a lambda"
        )


def descent_neuron(problem: Problem, network: Network, seed: int = 0) -> DescentNeuron | None:
    """The best neuron found, scaled by a line search; None if none lowers the loss by a proven amount."""
    Z = network.forward(problem.X)[-1]
    G = -problem.loss.gradient(Z, problem.targets)
    space = coordinates(problem.X_tilde)
    warm, _, _ = network.neurons()
    found = find_neurons(space, G, problem.activation, warm @ space.basis, STARTS, seed)
    before = exact_loss(problem, network)[0]
    for w in space.lift(found.W[:3]):
        feature = problem.activation(w @ problem.X_tilde)
        push = G @ feature
        value = float(np.linalg.norm(push))
        if value <= 2.0 * problem.lam:
            break
        u = push / value
        t = _line_search(problem, Z, np.outer(u, feature), value)
        grown = _with_neuron(network, math.sqrt(t) * w, math.sqrt(t) * u)
        after = exact_loss(problem, grown)[1]
        if after < before:
            ratio = value / (2.0 * problem.lam)
            return DescentNeuron(math.sqrt(t) * w, math.sqrt(t) * u, ratio, round_down(before), round_up(after), grown)
    return None


def _line_search(problem: Problem, Z: np.ndarray, direction: np.ndarray, value: float) -> float:
    """t that about minimises C(Z + t·direction) + 2λt, a convex function of t with slope 2λ − value < 0 at 0."""

    def slope(t: float) -> float:
        return float(np.sum(problem.loss.gradient(Z + t * direction, problem.targets) * direction)) + 2.0 * problem.lam

    high = 1.0
    while slope(high) < 0.0 and high < 1e100:
        high *= 2.0
    low = 0.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if slope(middle) < 0.0 else (low, middle)
    return low if low > 0.0 else high


def _with_neuron(network: Network, w: np.ndarray, v: np.ndarray) -> Network:
    W1, W2 = network.weights
    return Network((np.vstack([W1, w]), np.insert(W2, len(W1), v, axis=1)), network.activation, network.beta)


def improve(problem: Problem, network: Network, seed: int = 0) -> Network:
    """Add descent neurons, merge aligned ones, again and again until the gain is lost in rounding: the loss only falls.

    Heuristic in where it stops: use `solve` with `warm_start` for a proven minimum.
    """
    for round_ in range(ROUNDS):
        found = descent_neuron(problem, network, seed + round_)
        if found is None:
            break
        merged = found.network.balanced().merged().without_dead_neurons()
        candidates = [merged, found.network]
        best = min(candidates, key=lambda candidate: exact_loss(problem, candidate)[1])
        gained = found.loss_before - round_up(exact_loss(problem, best)[1])
        network = best
        if gained <= GAIN * abs(found.loss_before):
            break
    return network


def neuron_table(problem: Problem, network: Network) -> list[dict[str, Any]]:
    """One entry a hidden neuron, in floating point: norms, balance, contact value over 2λ, dead, group of aligned neurons."""
    W1, W2 = network.weights
    Z = network.forward(problem.X)[-1]
    G = -problem.loss.gradient(Z, problem.targets)
    incoming, outgoing = np.linalg.norm(W1, axis=1), np.linalg.norm(W2[:, : len(W1)], axis=0)
    directions = W1 / np.maximum(incoming, 1e-300)[:, np.newaxis]
    contact = np.linalg.norm(problem.activation(directions @ problem.X_tilde) @ G.T, axis=1) / (2.0 * problem.lam)
    groups: list[int] = []
    table = []
    for k in range(len(W1)):
        dead = bool(incoming[k] * outgoing[k] <= DEAD * float((incoming * outgoing).max(initial=0.0)))
        same = [j for j in groups if np.linalg.norm(directions[j] - directions[k]) <= ALIGNED]
        if not dead and not same:
            groups.append(k)
        table.append({
            "neuron": k, "incoming": float(incoming[k]), "outgoing": float(outgoing[k]),
            "balance": None if dead else float(incoming[k] / outgoing[k]), "contact": None if dead else float(contact[k]),
            "dead": dead, "group": None if dead else (same[0] if same else k),
        })  # fmt: skip
    return table
