"""The upper side of the interval: the best network so far, its proven loss, and at the end one of fewer neurons."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.interpolation import Relations, interpolation_cost_upper
from cpcert.frank_wolfe.scaling import Scaling
from cpcert.frank_wolfe.steps import simpler_neurons
from cpcert.network import Network, loss_upper
from cpcert.oracle.coordinates import Coordinates
from cpcert.problem import Problem


@dataclass
class Incumbent:
    """upper: the proven loss of `network` (None: there is none yet). neurons: that network in the numbers of the steps (None: it
    was given). cost: how a network's loss is bounded instead of by its proven loss. known: the relations of interpolate.
    """

    problem: Problem
    seed: int
    cost: Callable[[Network], float] | None = None
    known: Relations | None = None
    space: Coordinates = field(init=False)
    scaling: Scaling = field(init=False)
    upper: float | None = None
    network: Network | None = None
    neurons: Neurons | None = None

    def improve(self, neurons: Neurons) -> None:
        """Take neurons of the scaled problem if they are better."""
        self.keep_if_better(self.lifted(neurons), neurons)

    def keep_if_better(self, network: Network, neurons: Neurons | None) -> None:
        """Take the network if its proven loss is below that of the best so far."""
        upper = self.bound(network)
        if math.isfinite(upper) and (self.upper is None or upper < self.upper):
            self.upper, self.network, self.neurons = upper, network, neurons

    def lifted(self, neurons: Neurons) -> Network:
        """The network of neurons of the scaled problem."""
        neurons = self.scaling.outward(neurons)
        W = self.space.lift(neurons.W) if len(neurons.W) else np.zeros((0, self.problem.n))
        V = neurons.V
        if len(W):
            # The lifted rows have norm 1, the functions must stay the same: undo the change of length.
            V = V * np.linalg.norm(neurons.W @ self.space.basis.T, axis=1)
        b = neurons.b if self.problem.beta != 0.0 else None
        return Network.from_neurons(W, V, b, self.problem.activation, self.problem.beta)

    def bound(self, network: Network) -> float:
        """The proven loss of a network (inf: nothing is proven)."""
        if self.cost is not None:
            return self.cost(network)
        if self.known is not None:
            return interpolation_cost_upper(self.problem, network, self.known, self.seed)
        return loss_upper(network, self.problem)

    def simplify(self, good: Callable[[float], bool], stop: Callable[[], bool]) -> None:
        """A network of fewer neurons whose loss is `good`, too (a conic solver returns mixtures).

        The candidates come boldest first; the first that will do is taken.
        """
        if self.neurons is None:  # the warm start is still the best
            return
        for neurons in simpler_neurons(self.scaling.problem, self.scaling.points, self.neurons):
            assert self.network is not None
            if stop():
                return
            if len(neurons.W) < self.network.width:
                network = self.lifted(neurons).merged().without_dead_neurons()
                upper = self.bound(network)
                if good(upper):
                    self.upper, self.network = upper, network
                    return
