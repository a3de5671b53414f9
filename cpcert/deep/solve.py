"""Depth ≥ 3: the best network found, and how close each of its hidden layers is, provably, to optimal given the others.

    starts: from a given network, spectral, random; descent in all weights (descent.py); to the best of them Newton's
    method and neurons where they help (newton.py, growth.py)
    repeat
        for each hidden layer, the last one first:
            its block, a problem of depth 2 (blocks.py), gets a proof from the dual point of Newton's method;
            if that does not close the gap, it is solved by frank_wolfe/solve.py from the weights it has
            the new weights are taken if the proven loss falls by enough; the other bounds are then void
    until every layer has a gap as small as asked for

Each change of the weights lowers the proven loss by a fixed part of what the gap allows, so the loop ends. The result
is blockwise: every layer optimal given its neighbours is necessary for a global minimum, not sufficient (without any
hidden neuron and with the best output bias, every layer is). The lower bound of the global
minimum is bound/solve.py's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cpcert.deep.blocks import Block, block, layer_cost
from cpcert.deep.descent import descend, random_network, spectral_network
from cpcert.deep.growth import grow
from cpcert.deep.report import DeepOutcome
from cpcert.errors import InputError
from cpcert.formulations.duals import backpropagated_duals
from cpcert.frank_wolfe.bounds import DualBound, dual_lower_bound, needed_oracle_bound
from cpcert.frank_wolfe.result import SolveResult, relative_gap
from cpcert.frank_wolfe.solve import solve
from cpcert.network import Network, attained, loss_upper
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.coordinates import Coordinates, coordinates
from cpcert.oracle.ladder import compile_kernels, find_neurons, prove
from cpcert.oracle.rung import Limits
from cpcert.outcomes import Outcome
from cpcert.parallel import HERE, Workers, at_work, late, out_of_time_at
from cpcert.printing import whole
from cpcert.problem import Problem
from cpcert.status import Status, message, notes_of

if TYPE_CHECKING:
    from cpcert.deep.bound.certificate import DeepCertificate

RESTARTS = 10
WIDTH = 20
# Steps of descent for each start; so many of the best are grown.
START_STEPS, GROWN = 500, 3
# Shares of the time limit: for the starts, for these and growth, and after which the network is left as it is and only
# proofs are tried.
STARTING, GROWING, FREEZING = 0.2, 0.4, 0.6
# What a step that looks at no clock may take beyond the time limit, as a part of it.
LATER = 0.1
# Seconds after the time limit in which layers that it did not suffice for get a bound by norms.
REST = 10.0
# A change must lower the loss by this part of gap times the cost of the layer; its block is solved to this part of the gap.
WORTHWHILE, FINER = 0.2, 0.5
# Parts of the gap: for the outputs that are left out of a block, and for its proof.
NEGLIGIBLE, AIM = 0.2, 0.7
# Losses that differ by less than this, relative, count as equal.
ROUNDING = 1e-12
# The search for neurons that a proof would meet, and the share of the time for a bound that cannot close the gap.
STARTS, LOST_CAUSE = 100, 0.2


@dataclass(frozen=True, eq=False)
class LayerBound:
    """Hidden layer `layer` (1 … L − 1) given its neighbours: lower ≤ the least cost of any such layer ≤ cost, both proven.

    cost: λ(‖W_ℓ‖² + ‖W_{ℓ+1}‖²), plus C at the last hidden layer. gap = (cost − lower)/cost, rounded up (absolute if cost is 0).
    block: what the bound is about; result: what proves it, for certificates; both None where lower is the trivial 0.
    """

    layer: int
    width: int
    cost: float
    lower: float
    block: Block | None = None
    result: SolveResult | None = None

    @property
    def gap(self) -> float:
        """(cost − lower)/cost, rounded up."""
        gap = relative_gap(self.cost, self.lower)
        return math.inf if gap is None else gap

    @property
    def rung(self) -> str | None:
        """Which rung of the oracle proved the bound."""
        return None if self.result is None or self.result.dual is None else self.result.dual.rung


@dataclass(frozen=True, eq=False, repr=False)
class DeepResult(Outcome):
    """What is proven about a network of depth ≥ 3.

    status: how the run ended (cpcert/status.py). scope blockwise: optimal if every layer has the requested gap; lower and
    gap are None, nothing is proven about the global minimum from below. scope global (bound/solve.py): lower ≤ the global
    minimum ≤ upper, status and gap are about that interval, and `certificate` proves it by a bound of the kind `bound`.
    upper: the proven loss of `network`. layers: a LayerBound for each hidden layer, in order. starts: (name, loss) of
    every start. notes: what there is to say besides the sentence of the status.
    """

    problem: Problem
    status: Status
    upper: float | None
    network: Network | None
    layers: tuple[LayerBound, ...]
    starts: tuple[tuple[str, float], ...]
    iterations: int
    seconds: float
    requested_gap: float
    notes: tuple[str, ...] = ()
    scope: str = "blockwise"
    lower: float | None = None
    gap: float | None = None
    certificate: DeepCertificate | None = None
    bound: str | None = None

    @property
    def message(self) -> str:
        """Why the run ended, and what else there is to say."""
        of = "the global minimum" if self.scope == "global" else "every layer given its neighbours"
        proven = f"the gap of {whole(self.requested_gap)} is proven for {of}"
        return message(self.status, proven, self.notes)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The outputs (N, m) of the network for points X (N, n0) in the units of the data. Raises InputError without a network."""
        return attained(self.network, self.status).predict(X)

    def sentence(self) -> str:
        """What was proven, in one line."""
        return DeepOutcome(self).sentence()

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert solve`, without files."""
        return DeepOutcome(self).as_json()


@dataclass(frozen=True)
class Progress:
    """One step of the run: a start (layer None) or a block. upper: the best proven loss so far."""

    step: str
    layer: int | None
    upper: float
    widths: tuple[int, ...]
    gap: float | None
    rung: str | None
    seconds: float


def solve_deep(
    problem: Problem,
    *,
    gap: float = 1e-3,
    time_limit: float = 60.0,
    node_limit: int | None = None,
    max_iterations: int = 1000,
    seed: int = 0,
    restarts: int = RESTARTS,
    width: int = WIDTH,
    warm_start: Network | None = None,
    callback: Callable[[Progress], bool | None] | None = None,
    workers: Workers | int = HERE,
) -> DeepResult:
    """A network of depth ≥ 3 with a low loss, and a proven gap for each of its hidden layers given its neighbours.

    gap: the relative gap to prove in every layer. time_limit: seconds, in all; node_limit: oracle nodes a block;
    max_iterations: blocks solved. restarts: random starts of hidden widths `width`, besides the spectral one and `warm_start`.
    seed: the same seed gives the same result, as far as the time limit cuts neither starts nor growth short. callback: called
    at every step; True ends the run. workers: as for `solve`. Whatever ends the run, Ctrl-C too,
    the result holds what was proven.

    Raises InputError for depth 2, the loss interpolate, impossible limits, or a warm start that does not fit.
    """
    if problem.depth < 3:
        raise InputError(f"depth: is {problem.depth}; solve_deep is for depth >= 3: use solve, whose bounds are global")
    if problem.loss.is_constraint:
        raise InputError(f"loss: {problem.loss.name} needs depth 2; at depth >= 3 use mse with a small lambda")
    for name, value, least in (
        ("gap", gap, 0),
        ("time_limit", time_limit, 0),
        ("restarts", restarts, 0),
        ("width", width, 1),
    ):
        if not value >= least or (math.isinf(value) and name != "time_limit"):
            raise InputError(f"{name}: is {value!r}; give a number >= {least}")
    if warm_start is not None:
        warm_start.check_fits(problem)
    with at_work(workers) as crew:
        for outputs in (1, 2):  # before the clock starts
            compile_kernels(problem.N, outputs)
        run = _Run(problem, gap, time_limit, node_limit, max_iterations, seed, restarts, width, callback, crew)
        latest = run.started + (1.0 + LATER) * time_limit
        try:
            # Starts on large data look at no clock.
            with out_of_time_at(latest):
                status = run.run(warm_start)
        except KeyboardInterrupt:
            # The alarm may ring within the solution of a layer, which takes it for Ctrl-C and says that it was interrupted.
            status = Status.TIME_LIMIT if late(latest) else Status.INTERRUPTED
        except MemoryError:
            status = Status.MEMORY_LIMIT
        except (np.linalg.LinAlgError, ArithmeticError):
            status = Status.NUMERICAL_FAILURE
        if status == Status.TIME_LIMIT and not run.stopped:
            failures = (KeyboardInterrupt, MemoryError, np.linalg.LinAlgError, ArithmeticError)
            with suppress(*failures), out_of_time_at(time.monotonic() + REST):
                run.bound_the_rest()
    return run.result(status)


@dataclass
class _Run:
    """The state of one run. bounds: those of the present network, by layer. ends: of the blocks solved in this round."""

    problem: Problem
    gap: float
    time_limit: float
    node_limit: int | None
    max_iterations: int
    seed: int
    restarts: int
    width: int
    callback: Callable[[Progress], bool | None] | None
    workers: Workers
    started: float = field(default_factory=time.monotonic)
    network: Network | None = None
    upper: float = math.inf
    duals: list[np.ndarray] | None = None
    bounds: dict[int, LayerBound] = field(default_factory=dict)
    starts: list[tuple[str, float]] = field(default_factory=list)
    iterations: int = 0
    stopped: bool = False
    ends: list[Status] = field(default_factory=list)

    def run(self, warm_start: Network | None) -> Status:
        candidates: list[tuple[float, int, str, Network]] = []
        for name, network in self._starts(warm_start):
            value = self._keep(network)
            candidates.append((value, len(candidates), name, network))
            self.starts.append((name, value))
            self._report(name, None)
            if self.stopped:
                return Status.INTERRUPTED
        for _, _, name, network in sorted(candidates)[:GROWN]:
            if self._elapsed() > GROWING * self.time_limit:
                break
            network, duals = self._grown(network, GROWING)
            self._keep(network, duals)
            self._report(f"{name}, grown", None)
            if self.stopped:
                return Status.INTERRUPTED
        layers = range(self.problem.depth - 1, 0, -1)
        while True:
            open_layers = [layer for layer in layers if not self._closed(layer)]
            if not open_layers:
                return Status.OPTIMAL
            if self._elapsed() >= self.time_limit:
                return Status.TIME_LIMIT
            self.ends = []
            before = (self.upper, {layer: bound.lower for layer, bound in self.bounds.items()})
            for place, layer in enumerate(open_layers):
                if self.iterations >= self.max_iterations:
                    return Status.ITERATION_LIMIT
                changed = self._visit(layer, (self.time_limit - self._elapsed()) / (len(open_layers) - place))
                if self.stopped:
                    return Status.INTERRUPTED
                if changed:
                    break
            if before == (self.upper, {layer: bound.lower for layer, bound in self.bounds.items()}):
                if self._elapsed() >= FREEZING * self.time_limit:
                    return Status.TIME_LIMIT
                # A round without any progress: what ended the blocks is the reason.
                return next((end for end in self.ends if end != Status.OPTIMAL), Status.STALLED)

    def _starts(self, warm_start: Network | None) -> Iterator[tuple[str, Network]]:
        """Networks to choose from; at least one, then as many as the time for starts allows."""
        problem = self.problem
        bias = int(problem.beta != 0.0)
        widths = [problem.n0, *[0] * (problem.depth - 1), problem.m]
        shapes = [(after, before + bias) for before, after in pairwise(widths)]
        empty = Network(tuple(np.zeros(shape) for shape in shapes), problem.activation, problem.beta)
        self._keep(empty)
        yield "bias only", descend(problem, empty)
        if warm_start is not None:
            self._keep(warm_start)
            yield "given", descend(problem, warm_start)
        spectral = spectral_network(problem)
        if spectral is not None:
            yield "spectral", descend(problem, spectral, START_STEPS)
        for k in range(self.restarts):
            if k > 0 and self._elapsed() > STARTING * self.time_limit:
                return
            start = random_network(problem, self.width, np.random.default_rng((self.seed, k)))
            yield f"random {k + 1}", descend(problem, start, START_STEPS)

    def _grown(self, network: Network, share: float) -> tuple[Network, list[np.ndarray]]:
        return grow(self.problem, network, lambda: self._elapsed() > share * self.time_limit, self.seed)

    def _keep(self, network: Network, duals: list[np.ndarray] | None = None) -> float:
        """The proven loss of `network`, which becomes the present one if it is the best so far; duals: its Ĝ_ℓ, if known."""
        value = loss_upper(network, self.problem)
        near = abs(value - self.upper) <= ROUNDING * abs(self.upper)
        if near and self.network is not None:
            # Of equal losses the one of fewer neurons, or the one with dual points.
            fewer = sum(self.network.widths) - sum(network.widths)
            better = fewer > 0 or (fewer == 0 and duals is not None and self.duals is None)
        else:
            better = value < self.upper
        if better:
            self.upper, self.network, self.duals = value, network, duals
            self.bounds = {}
        return value

    def _visit(self, layer: int, seconds: float) -> bool:
        """Solve the block of a layer: better weights (True), or a bound for those there are."""
        assert self.network is not None
        self.iterations += 1
        started = self._elapsed()
        dual = None if self.duals is None else self.duals[layer]
        now = block(self.problem, self.network, layer, dual, NEGLIGIBLE * self.gap)
        if dual is not None and layer not in self.bounds:
            hopeful = self._prove(now, dual, seconds)
            if hopeful or self._closed(layer):
                return False
        result = solve(
            now.instance,
            gap=FINER * self.gap,
            time_limit=max(seconds - (self._elapsed() - started), 0.1),
            node_limit=self.node_limit,
            seed=self.seed + self.iterations,
            warm_start=now.start,
            cost_upper=now.start_cost,
            workers=self.workers,
        )
        if result.status == Status.INTERRUPTED:
            raise KeyboardInterrupt
        self.ends.append(result.status)
        if self._elapsed() < FREEZING * self.time_limit and result.network is not None:
            candidate = now.replaced(result.network)
            value = loss_upper(candidate, self.problem)
            if value < self.upper - WORTHWHILE * self.gap * now.cost:
                self._keep(candidate)
                self._keep(*self._grown(descend(self.problem, candidate), FREEZING))
                self._report("improved", layer)
                return True
        self._bound(now, result)
        return False

    def _prove(self, now: Block, dual: np.ndarray, seconds: float) -> bool:
        """The bound of a block from Ĝ_{ℓ+1} (n_{ℓ+1}, N). False if a search shows that this G cannot close the gap."""
        started = time.monotonic()
        instance = now.instance
        G = instance.loss.project_dual(2.0 * instance.lam * (now.basis @ dual), instance.targets)
        cost = now.start_cost(now.start)
        needed = needed_oracle_bound(instance, G, cost - AIM * self.gap * abs(cost))
        space = coordinates(instance.X_tilde)
        found = find_neurons(space, G, instance.activation, np.zeros((0, space.points.shape[1])), STARTS, self.seed)
        top = float(found.values.max(initial=0.0))
        hopeful = top <= needed
        limits = Limits(self.node_limit, started + (seconds if hopeful else LOST_CAUSE * seconds), self.workers)
        cutoff = needed if hopeful else top * (1.0 + LOST_CAUSE * self.gap)
        answer = prove(space, G, instance.activation, cutoff, limits, self.seed)
        if answer.proof is None:
            answer = prove(space, G, instance.activation, 0.0, Limits(nodes=0), self.seed)
        proven = _proven(instance, space, G, answer)
        status = Status.OPTIMAL if hopeful and answer.complete else Status.STALLED
        self._bound(now, self._result_of(now, proven, status, started))
        return hopeful

    def bound_the_rest(self) -> None:
        """Bounds by norms alone, from the Ĝ of the present network, of layers that the time did not suffice for."""
        if self.network is None:
            return
        duals = backpropagated_duals(self.problem, self.network) if self.duals is None else self.duals
        for layer in range(self.problem.depth - 1, 0, -1):
            if layer not in self.bounds:
                started = time.monotonic()
                now = block(self.problem, self.network, layer, duals[layer], NEGLIGIBLE * self.gap)
                instance = now.instance
                G = instance.loss.project_dual(2.0 * instance.lam * (now.basis @ duals[layer]), instance.targets)
                space = coordinates(instance.X_tilde)
                answer = prove(space, G, instance.activation, 0.0, Limits(nodes=0), self.seed)
                self._bound(now, self._result_of(now, _proven(instance, space, G, answer), Status.STALLED, started))

    def _result_of(self, now: Block, proven: DualBound | None, status: Status, started: float) -> SolveResult:
        cost = now.start_cost(now.start)
        lower = None if proven is None else proven.value
        return SolveResult(
            problem=now.instance, status=status, upper=cost, lower=lower, gap=relative_gap(cost, lower),
            network=now.start, iterations=0, seconds=time.monotonic() - started, trace=[], requested_gap=self.gap,
            dual=proven,
        )  # fmt: skip

    def _bound(self, now: Block, result: SolveResult) -> None:
        """Keep what a result proves about the present network, if it is more than is known."""
        lower = 0.0 if result.dual is None else now.lower(result.dual)
        old = self.bounds.get(now.layer)
        if old is None or lower > old.lower:
            assert self.network is not None
            width = self.network.widths[now.layer]
            self.bounds[now.layer] = LayerBound(now.layer, width, now.cost, lower, now, result)
        self._report("proven", now.layer)

    def _closed(self, layer: int) -> bool:
        return layer in self.bounds and self.bounds[layer].gap <= self.gap

    def _elapsed(self) -> float:
        return time.monotonic() - self.started

    def _report(self, step: str, layer: int | None) -> None:
        assert self.network is not None
        bound = None if layer is None else self.bounds.get(layer)
        if self.callback is not None:
            gap, rung = (None, None) if bound is None else (bound.gap, bound.rung)
            progress = Progress(step, layer, self.upper, self.network.widths, gap, rung, self._elapsed())
            self.stopped = self.callback(progress) is True

    def _layers(self) -> tuple[LayerBound, ...]:
        if self.network is None:
            return ()
        network, problem = self.network, self.problem
        return tuple(
            self.bounds.get(layer) or LayerBound(layer, network.widths[layer], layer_cost(problem, network, layer), 0.0)
            for layer in range(1, problem.depth)
        )

    def result(self, status: Status) -> DeepResult:
        """What was proven when the run ended."""
        return DeepResult(
            problem=self.problem,
            status=status,
            upper=self.upper if self.network is not None else None,
            network=None if self.network is None else replace(self.network, units=self.problem.units),
            layers=self._layers(),
            starts=tuple(self.starts),
            iterations=self.iterations,
            seconds=self._elapsed(),
            requested_gap=self.gap,
            notes=notes_of(status, self.problem),
        )


def _proven(instance: Problem, space: Coordinates, G: np.ndarray, answer: OracleAnswer) -> DualBound | None:
    """The bound of an instance that G has by an oracle's answer; None if that bounds nothing."""
    bound = answer.upper_bound
    assert bound is not None
    defect = instance.loss.exact_dual_defect(G)
    if defect > 0.0:
        bound = (bound + defect * space.norm * instance.activation.lipschitz) * (1.0 + 2.0**-50)
    if not math.isfinite(bound):
        return None
    return dual_lower_bound(instance, G, bound, answer.rung, answer.proof, answer.frame)
