"""One network: trained with its history, or brought to a stationary point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cpcert.deep.descent import condense, descend
from cpcert.deep.newton import newton
from cpcert.instance import TrainSettings
from cpcert.network import Network
from cpcert.problem import Problem
from cpcert.training.batch import Trial, require_trainable, span_of_points
from cpcert.training.optimiser import Settings, Training
from cpcert.training.sweep import parse_widths

# Angles at which neurons are merged before Newton's method, boldest first; times DYING the ‖w‖‖v‖, relative to the largest, at
# which they are dropped; the relative rise of a loss that is rounding.
MERGED, DYING, ROUNDING = (0.3, 0.1, 0.03, 0.01, 0.0), 1e-2, 1e-12


def train_one(
    problem: Problem, how: TrainSettings, width: int | None, seed: int, frames: int = 0
) -> tuple[list[tuple[str, Network]], bool]:
    """([(title, network), …], whether training came to its end): with `frames` also about so many networks on the way.

    width: of every hidden layer, the largest of how.widths by default. Ctrl-C ends it with the network of then.
    """
    require_trainable(problem)
    trial = Trial(max(parse_widths(how.widths)) if width is None else width, seed, problem.lam)
    settings = Settings(epochs=how.epochs, descent=how.descent, polish=how.polish, rate=how.rate)
    training = Training(problem, [trial], settings, "cpu")
    history: list[tuple[str, Network]] = []
    complete = False

    def keep(title: str) -> None:
        training.collect()
        history.append((title, training.networks()[0]))

    try:
        while not training.done:
            # Early steps move most.
            if frames and training.progress >= (len(history) / frames) ** 3:
                keep(f", {training.progress:.1%} of the training")
            training.advance()
        complete = True
    except KeyboardInterrupt:
        pass
    keep("")
    return history, complete


def settled(problem: Problem, network: Network) -> Network:
    """A stationary network near this one, as far as Newton's method gets; its loss is not higher but for rounding.

    In coordinates of the span of the points, where W_1 of a stationary network lies: with many features Newton's method
    could not carry the others.
    """
    inside, Q = span_of_points(problem)
    short, n0 = network, problem.n0
    if Q is not None:
        W = network.weights[0]
        short = replace(network, weights=(np.hstack([W[:, :n0] @ Q, W[:, n0:]]), *network.weights[1:]), units=None)
    start = condense(inside, short)
    found = start
    largest = max((float(np.sum(W * W, axis=1).max(initial=0.0)) for W in start.weights[:-1]), default=0.0)
    # Neurons that are still turning towards each other, or dying, make Newton's equations nearly singular: merge and drop
    # boldly, and see whether the loss comes back down.
    for angle in MERGED:
        fewer = start.merged(angle).without_dead_neurons(DYING * angle * largest)
        merged = descend(inside, fewer).balanced()
        found, _ = newton(inside, merged, lambda: False)
        if found.loss(inside) <= network.loss(problem) * (1.0 + ROUNDING):
            break
    first = found.weights[0]
    if Q is not None:
        r = Q.shape[1]
        first = np.hstack([first[:, :r] @ Q.T, first[:, r:]])
    return replace(network, weights=(first, *found.weights[1:]))
