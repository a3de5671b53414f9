"""The one loop: totally corrective Frank-Wolfe on S, in neurons, until the *proven* gap closes.

    repeat
        upper   ← the proven loss of the current network, if better
        G       ← a dual point of the current network
        search  for neurons with ‖Gσ(X̃ᵀw)‖ > 2λ (heuristic: ascent)
        if none matters, prove γ(G) ≤ the value that closes the gap (oracle ladder): the proof ends the run, or returns the
                neurons that the search missed
        lower   ← D(sG), s·γ-bound ≤ 2λ, if better
        step    with the new neurons (steps.py)

Depth 2: P* = min over networks of any width (Prop. 3 and Section 4 of the paper; Pilanci and Ergen 2020 for the convex
program). Nothing a search finds is ever reported as a bound; see bounds.py for both sides of the interval.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from cpcert.errors import InputError
from cpcert.frank_wolfe.bounds import DualBound, best_scale, dual_lower_bound, dual_value, needed_oracle_bound
from cpcert.frank_wolfe.corrective import Neurons
from cpcert.frank_wolfe.interpolation import (
    InfeasibilityProof,
    Relations,
    infeasibility,
    interpolation_cost_upper,
    relations,
)
from cpcert.frank_wolfe.steps import (
    Iterate,
    bias_only,
    classical_step,
    corrective_step,
    dictionary_step,
    interpolating_start,
    many_points,
    objective,
    require_method,
    simpler_neurons,
)
from cpcert.frank_wolfe.trace import TraceRecord
from cpcert.network import Network, loss_upper
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.coordinates import Coordinates, coordinates
from cpcert.oracle.ladder import Limits, compile_kernels, cones_pay, find_neurons, prove
from cpcert.parallel import HERE, Workers
from cpcert.problem import Problem

# Starts of the search in an iteration; from MANY_POINTS on fewer, as each takes longer.
STARTS, FEWEST_STARTS, MANY_POINTS = 60, 12, 1000
NEW_NEURONS = 20
# Nodes that the bound of an iteration far from the end may cost, so that the trace has a proven `lower` early.
EARLY_NODES = 300
# Share of the time limit that is kept for a proof when none has ended yet.
RESERVED = 0.3
# Cutoffs, relative to the best value found, of the proofs that use up the reserved time.
STAGES = (4.0, 2.0, 1.5, 1.25, 1.1, 1.05, 1.02, 1.01, 1.003, 1.001, 1.0003, 1.0001, 1.00001, 1.000001)
STALLED_ROUNDS = 4
# Starts of the search before a full proof: at most so many, and at most so many values of points.
MORE_STARTS, MORE_VALUES = 1000, 300_000
# As EARLY_NODES, for cones, or a quarter of the nodes so far.
EARLY_CONES = 5000


@dataclass(frozen=True, eq=False)
class SolveResult:
    """What is proven about P* = min L_λ over depth-2 networks of any width.

    status: optimal (the requested gap is proven), time_limit, node_limit, iteration_limit, interrupted, infeasible,
    memory_limit. lower ≤ P* ≤ upper, both proven, rounding included; upper is attained by `network` (interpolate:
    by a network within rounding of it, whose cost is proven). lower is None when nothing was proven, upper when there is
    no network. gap = (upper − lower)/|upper|, absolute if upper is 0. width: hidden neurons of `network`. trace: one
    record per iteration. dual: the dual point of `lower` with the proof of its oracle bound. infeasibility: the proof
    that no network fits, for status infeasible. message: a sentence a user can act on.
    """

    problem: Problem
    status: str
    upper: float | None
    lower: float | None
    gap: float | None
    network: Network | None
    iterations: int
    seconds: float
    trace: list[TraceRecord]
    message: str
    dual: DualBound | None = None
    infeasibility: InfeasibilityProof | None = None
    scope: str = "global"

    @property
    def width(self) -> int | None:
        """Hidden neurons of the network."""
        return None if self.network is None else self.network.width


def relative_gap(upper: float | None, lower: float | None) -> float | None:
    """(upper − lower)/|upper|, rounded up; absolute if upper is 0; None if a side is missing."""
    if upper is None or lower is None:
        return None
    gap = upper - lower if upper == 0.0 else (upper - lower) / abs(upper)
    return max(math.nextafter(gap * (1.0 + 2.0**-50), math.inf), 0.0) if gap > 0.0 else 0.0


def solve(
    problem: Problem,
    *,
    gap: float = 1e-6,
    time_limit: float = 60.0,
    node_limit: int | None = None,
    max_iterations: int = 1000,
    method: str = "corrective",
    seed: int = 0,
    warm_start: Network | None = None,
    callback: Callable[[TraceRecord], bool | None] | None = None,
    workers: Workers = HERE,
    cost_upper: Callable[[Network], float] | None = None,
) -> SolveResult:
    """Prove the global minimum of a two-layer network, to the relative `gap`.

    time_limit: seconds; node_limit: oracle nodes; max_iterations: steps. Whatever ends the run, its result holds
    what was proven; Ctrl-C is one such end. method: corrective, or vanilla, away, pairwise (slow, for comparison). seed:
    the same seed gives the same result, unless the time limit ends the run. warm_start: a depth-2 network to start from.
    callback: called with each TraceRecord; True ends the run. workers: who does the long searches of the branch and bound
    (see cpcert/parallel.py); the result does not depend on it.
    cost_upper: how a network's loss is bounded from above, instead of by its proven loss: `upper` is then what this
    function says. It is for the blocks of a deeper network (cpcert/deep/), where the warm start is known to fit.

    Raises InputError for a problem of depth ≥ 3, an unknown method, impossible limits or a warm start that does not fit.
    """
    if problem.depth != 2:
        raise InputError(f"depth: is {problem.depth}; this solve proves depth 2 (one hidden layer); use solve_deep")
    require_method(problem, method)
    for name, value, least in (
        ("gap", gap, 0.0),
        ("time_limit", time_limit, 0.0),
        ("max_iterations", max_iterations, 0),
    ):
        if not value >= least or (math.isinf(value) and name == "gap"):
            raise InputError(f"{name}: is {value!r}; give a number >= 0")
    if node_limit is not None and node_limit < 0:
        raise InputError(f"node_limit: is {node_limit!r}; give an integer >= 0, or none")
    if warm_start is not None:
        warm_start.check_fits(problem)
    compile_kernels(problem.m > 1)  # before the clock starts
    run = _Run(problem, gap, time_limit, node_limit, max_iterations, method, seed, callback, workers, cost_upper)
    try:
        status = run.run(warm_start)
    except KeyboardInterrupt:
        status = "interrupted"
    except MemoryError:
        status = "memory_limit"
    return run.result(status)


@dataclass
class _Run:
    """The state of one run."""

    problem: Problem
    gap: float
    time_limit: float
    node_limit: int | None
    max_iterations: int
    method: str
    seed: int
    callback: Callable[[TraceRecord], bool | None] | None
    workers: Workers
    cost_upper: Callable[[Network], float] | None = None
    started: float = field(default_factory=time.monotonic)
    known: Relations | None = None
    upper: float | None = None
    network: Network | None = None
    neurons: Neurons | None = None
    dual: DualBound | None = None
    infeasible: InfeasibilityProof | None = None
    nodes: int = 0
    iteration: int = 0
    early_ratio: float = 4.0
    note: str = ""
    trace: list[TraceRecord] = field(default_factory=list)

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self, warm_start: Network | None) -> str:
        problem = self.problem
        if problem.loss.name == "interpolate" and self.cost_upper is None:
            self.known = relations(problem)
            self.infeasible = infeasibility(problem, self.known)
            if self.infeasible is not None:
                return "infeasible"
        space = coordinates(problem.X_tilde)
        now = self._start(space, warm_start)
        if now is None:
            self.note = "no network that fits the data was found, though one exists: the data are too ill conditioned"
            return "iteration_limit"
        step = dictionary_step if many_points(problem, space.points) else corrective_step
        if self.method != "corrective":
            step = classical_step(self.method, objective(problem, space.points, now.neurons) / (2.0 * problem.lam))
        stalled = 0
        while True:
            before = (self.upper, self.lower)
            self._improve_upper(space, now.neurons)
            G, found = self._best_dual(space, now)
            top = float(found.values[0]) if len(found.values) else 0.0
            goal = self.upper - 0.9 * self.gap * abs(self.upper) if self.upper is not None else -math.inf
            needed = needed_oracle_bound(problem, G, goal)
            answer, full = self._prove(space, G, top, needed)
            stopped = self._record(now, answer, top, G)
            if self._closed():
                self._simplify(space)
                return "optimal"
            limit = "interrupted" if stopped else self._limit()
            if limit is not None:
                if limit == "time_limit":
                    self._use_reserve(space, G, top)
                return "optimal" if self._closed() else limit
            W, U = self._new_neurons(space, G, found, answer)
            progress = self.upper != before[0] or self.lower != before[1] or len(answer.values) > 0
            stalled = 0 if progress else stalled + 1
            if stalled >= STALLED_ROUNDS or (full and not len(W)):
                self._use_reserve(space, G, top)
                if self._closed():
                    return "optimal"
                self.note = "floating-point accuracy was reached before the gap closed; ask for a larger --gap"
                return "iteration_limit"
            self.iteration += 1
            new = step(problem, space.points, now, W, U)
            if new is None:
                self.note = "the conic solver failed on the active set; ask for a larger --gap, or rescale the data"
                return "iteration_limit"
            now = new

    def _start(self, space: Coordinates, warm_start: Network | None) -> Iterate | None:
        problem, points = self.problem, space.points
        start: Iterate | None
        if problem.loss.name == "interpolate" and self.cost_upper is not None and warm_start is not None:
            start = Iterate(Neurons.none(problem, points.shape[1]), (np.zeros((problem.m, problem.N)),), "start")
        elif problem.loss.name == "interpolate":
            start = interpolating_start(problem, points, self.seed)
        else:
            start = bias_only(problem, points.shape[1])
        if warm_start is None or start is None:
            return start
        W, V, _ = warm_start.balanced().neurons()
        W = W @ space.basis
        lengths = np.linalg.norm(W, axis=1)
        keep = lengths > 0.0
        W, V = W[keep] / lengths[keep, np.newaxis], V[:, keep] * lengths[keep]
        U = (V / np.linalg.norm(V, axis=0)).T
        if problem.loss.name != "interpolate" or self.cost_upper is not None:
            self._keep_if_better(warm_start, None)
        return corrective_step(problem, points, start, W, U) if len(W) else start

    # -- the two sides of the interval ----------------------------------------------------------------------------------

    @property
    def lower(self) -> float | None:
        return None if self.dual is None else self.dual.value

    def _improve_upper(self, space: Coordinates, neurons: Neurons) -> None:
        self._keep_if_better(self._network(space, neurons), neurons)

    def _network(self, space: Coordinates, neurons: Neurons) -> Network:
        W = space.lift(neurons.W) if len(neurons.W) else np.zeros((0, self.problem.n))
        V = neurons.V
        if len(W):
            # The lifted rows have norm 1, the functions must stay the same: undo the change of length.
            V = V * np.linalg.norm(neurons.W @ space.basis.T, axis=1)
        b = neurons.b if self.problem.beta != 0.0 else None
        return Network.from_neurons(W, V, b, self.problem.activation, self.problem.beta)

    def _upper(self, network: Network) -> float:
        if self.cost_upper is not None:
            return self.cost_upper(network)
        if self.known is not None:
            return interpolation_cost_upper(self.problem, network, self.known, self.seed)
        return loss_upper(network, self.problem)

    def _keep_if_better(self, network: Network, neurons: Neurons | None) -> None:
        upper = self._upper(network)
        if math.isfinite(upper) and (self.upper is None or upper < self.upper):
            self.upper, self.network, self.neurons = upper, network, neurons

    def _simplify(self, space: Coordinates) -> None:
        """Once the gap is closed: a network of fewer neurons that closes it too (a conic solver returns mixtures).

        The candidates come boldest first; the first that closes the gap is taken.
        """
        if self.neurons is None:  # the warm start is still the best
            return
        for neurons in simpler_neurons(self.problem, space.points, self.neurons):
            assert self.network is not None
            if len(neurons.W) < self.network.width:
                network = self._network(space, neurons).merged().without_dead_neurons()
                upper = self._upper(network)
                gap = relative_gap(upper, self.lower)
                if gap is not None and gap <= self.gap:
                    self.upper, self.network = upper, network
                    return

    def _best_dual(self, space: Coordinates, now: Iterate) -> tuple[np.ndarray, OracleAnswer]:
        """The candidate G with the best estimated bound, and the neurons found for it."""
        problem = self.problem
        best: tuple[float, np.ndarray, OracleAnswer] | None = None
        for candidate in now.duals:
            G = problem.loss.project_dual(candidate, problem.targets)
            starts = max(min(STARTS, STARTS * MANY_POINTS // problem.N), FEWEST_STARTS)
            found = find_neurons(
                space, G, problem.activation, now.neurons.W, starts, self.seed + 7919 * (self.iteration + 1)
            )
            top = float(found.values[0]) if len(found.values) else 0.0
            scale = best_scale(problem, G, 2.0 * problem.lam / top if top > 0.0 else math.inf)
            value = dual_value(problem, scale * G)
            if best is None or value > best[0]:
                best = (value, G, found)
        assert best is not None
        return best[1], best[2]

    def _prove(self, space: Coordinates, G: np.ndarray, top: float, needed: float) -> tuple[OracleAnswer, bool]:
        """Prove as much as is useful now; the flag says whether it was the full proof that would end the run."""
        full = top <= needed
        cones = cones_pay(space.points)
        if full:
            missed = self._search_once_more(space, G, needed)
            if missed is not None:
                return missed, False
            limits = Limits(self._nodes_left(), self._soft_deadline(), self.workers)
            cutoff = needed
        else:
            nodes, left = EARLY_NODES, self._nodes_left()
            if cones:
                nodes = max(EARLY_CONES, self.nodes // 4)
            limits = Limits(nodes if left is None else min(nodes, left), self._soft_deadline())
            cutoff = self.early_ratio * top
            if self.problem.m > 1 and not cones:
                limits = Limits(0)  # only the spectral rung: covers are worth their time near the end
        answer = prove(space, G, self.problem.activation, cutoff, limits, self.seed)
        self._use(space, G, answer)
        if not full:
            # As tight a cutoff as the few nodes allow.
            self.early_ratio = math.sqrt(self.early_ratio) if answer.complete else self.early_ratio**1.5
        return answer, full

    def _search_once_more(self, space: Coordinates, G: np.ndarray, needed: float) -> OracleAnswer | None:
        """Neurons above `needed` from many more starts, which cost less than a full proof that fails; None if there are none."""
        if space.points.shape[1] <= 2 or self.problem.activation.kink == 0.0:
            return None
        starts = min(MORE_STARTS, MORE_VALUES // self.problem.N)
        if starts <= STARTS:
            return None
        none = np.zeros((0, space.points.shape[1]))
        found = find_neurons(space, G, self.problem.activation, none, starts, self.seed + 104729 * (self.iteration + 1))
        above = found.values > needed
        return replace(found, W=found.W[above], values=found.values[above]) if above.any() else None

    def _use(self, space: Coordinates, G: np.ndarray, answer: OracleAnswer) -> None:
        self.nodes += answer.nodes
        if answer.proof is None:
            # A search that was cut short has a bound and nothing to show for it: only what can be certified counts.
            answer = prove(space, G, self.problem.activation, 0.0, Limits(nodes=0), self.seed)
        bound = answer.upper_bound
        if bound is None or not math.isfinite(bound):
            return
        defect = self.problem.loss.exact_dual_defect(G)
        if defect > 0.0:
            bound = (bound + defect * space.norm * self.problem.activation.lipschitz) * (1.0 + 2.0**-50)
        found = dual_lower_bound(self.problem, G, bound, answer.rung, answer.proof, answer.scale)
        if math.isfinite(found.value) and (self.dual is None or found.value > self.dual.value):
            self.dual = found

    def _use_reserve(self, space: Coordinates, G: np.ndarray, top: float) -> None:
        """Spend what is left of the time on proofs of this G, from loose to tight."""
        deadline = self.started + self.time_limit
        if top <= 0.0:  # nothing was found that a cutoff could be measured by
            return
        for stage in STAGES:
            if time.monotonic() > deadline or self._nodes_left() == 0 or self._closed():
                return
            answer = prove(
                space,
                G,
                self.problem.activation,
                stage * top,
                Limits(self._nodes_left(), deadline, self.workers),
                self.seed,
            )
            self._use(space, G, answer)
            if not answer.complete:
                return

    def _new_neurons(
        self, space: Coordinates, G: np.ndarray, found: OracleAnswer, answer: OracleAnswer
    ) -> tuple[np.ndarray, np.ndarray]:
        """Neurons worth adding: above 2λ, one per activation pattern and output direction, best first."""
        problem, points = self.problem, space.points
        W = found.W
        if len(answer.W):
            W = np.concatenate([find_neurons(space, G, problem.activation, answer.W, 4, self.seed).W, answer.W, W])
        features = problem.activation(W @ points.T) @ G.T  # (k, m)
        values = np.linalg.norm(features, axis=1)
        order = np.argsort(-values, kind="stable")
        order = order[values[order] > 2.0 * problem.lam * (1.0 + 1e-12)]
        chosen: list[int] = []
        seen: set[bytes] = set()
        for k in order:
            key = (W[k] @ points.T > 0.0).tobytes() + np.round(features[k] / values[k], 2).tobytes()
            if key not in seen:
                seen.add(key)
                chosen.append(int(k))
            if len(chosen) == NEW_NEURONS:
                break
        return W[chosen], features[chosen] / values[chosen, np.newaxis]

    # -- limits, trace, result -----------------------------------------------------------------------------------------

    def _nodes_left(self) -> int | None:
        return None if self.node_limit is None else max(self.node_limit - self.nodes, 0)

    def _soft_deadline(self) -> float:
        share = 1.0 - RESERVED
        return self.started + share * self.time_limit

    def _limit(self) -> str | None:
        if time.monotonic() > self._soft_deadline():
            return "time_limit"
        if self._nodes_left() == 0:
            return "node_limit"
        return "iteration_limit" if self.iteration >= self.max_iterations else None

    def _closed(self) -> bool:
        gap = relative_gap(self.upper, self.lower)
        return gap is not None and gap <= self.gap

    def _record(self, now: Iterate, answer: OracleAnswer, top: float, G: np.ndarray) -> bool:
        record = TraceRecord(
            iteration=self.iteration,
            step=now.step,
            upper=self.upper,
            lower=self.lower,
            gap=relative_gap(self.upper, self.lower),
            oracle_ratio=max(top, float(answer.values.max(initial=0.0))) / (2.0 * self.problem.lam),
            rung=answer.rung if answer.upper_bound is not None else None,
            nodes=self.nodes,
            active=len(now.neurons.W),
            seconds=time.monotonic() - self.started,
        )
        self.trace.append(record)
        return self.callback is not None and self.callback(record) is True

    def result(self, status: str) -> SolveResult:
        gap = relative_gap(self.upper, self.lower)
        if status == "optimal":
            message = f"the gap of {self.gap:g} is proven"
        elif status == "infeasible":
            message = "no network of any width reaches these targets exactly, and that is proven"
        else:
            reason = "hand" if status == "interrupted" else f"the {status.replace('_', ' ')}"
            message = self.note or f"stopped by {reason}; what is reported is proven"
        return SolveResult(
            problem=self.problem,
            status=status,
            upper=self.upper,
            lower=self.lower,
            gap=gap,
            network=self.network,
            iterations=self.iteration,
            seconds=time.monotonic() - self.started,
            trace=self.trace,
            message=message,
            dual=self.dual,
            infeasibility=self.infeasible,
        )
