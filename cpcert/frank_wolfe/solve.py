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
program). Nothing a search finds is ever reported as a bound; see bounds.py for both sides of the interval. Which proof is tried
when is decided in schedule.py; the best network is kept in incumbent.py, the limits in limits.py.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from cpcert.errors import InputError
from cpcert.frank_wolfe import large
from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.bounds import best_scale, dual_value
from cpcert.frank_wolfe.incumbent import Incumbent
from cpcert.frank_wolfe.interpolation import InfeasibilityProof, infeasibility, relations
from cpcert.frank_wolfe.limits import CERTIFYING, RunLimits
from cpcert.frank_wolfe.result import SolveResult, relative_gap
from cpcert.frank_wolfe.scaling import Scaling, scaling
from cpcert.frank_wolfe.schedule import Proofs
from cpcert.frank_wolfe.steps import (
    Iterate,
    bias_only,
    classical_step,
    compile_step,
    corrective_step,
    interpolating_start,
    many_points,
    objective,
    require_method,
)
from cpcert.frank_wolfe.trace import TraceRecord
from cpcert.network import Network
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.coordinates import Coordinates, coordinates
from cpcert.oracle.ladder import compile_kernels, cones_pay, find_neurons
from cpcert.parallel import HERE, Workers, at_work, late
from cpcert.problem import Problem
from cpcert.status import Status, notes_of

log = logging.getLogger(__name__)

# The most neurons that are added to a conic program, and to a dictionary.
NEW_NEURONS, NEW_DIRECTIONS = 20, 60
# Nodes of a search when the iteration limit has come.
EARLY_NODES = 300
STALLED_ROUNDS = 4


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
    workers: Workers | int = HERE,
    cost_upper: Callable[[Network], float] | None = None,
    certificate_by: float | None = None,
) -> SolveResult:
    """Prove the global minimum of a two-layer network, to the relative `gap`.

    time_limit: seconds; node_limit: oracle nodes; max_iterations: steps. Whatever ends the run, its result holds
    what was proven; Ctrl-C is one such end. method: corrective, or vanilla, away, pairwise (slow, for comparison). seed:
    the same seed gives the same result, unless the time limit ends the run. warm_start: a depth-2 network to start from.
    callback: called with each TraceRecord; True ends the run. workers: who does the long searches of the branch and bound, Workers
    (cpcert/parallel.py) or a number of processes (1: this one); the result does not depend on it.
    cost_upper: how a network's loss is bounded from above, instead of by its proven loss: `upper` is then what this
    function says. It is for the blocks of a deeper network (cpcert/deep/), where the warm start is known to fit.
    certificate_by: a `time.monotonic()` by which the certificate is to be there, too: proofs leave time for theirs.

    Raises InputError for a problem of depth ≥ 3, an unknown method, impossible limits, impossible workers or a warm start that
    does not fit; nothing else.
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
    with at_work(workers) as crew:
        compile_kernels(problem.N, problem.m)  # before the clock starts
        compile_step(problem.N)
        limits = RunLimits(time_limit, node_limit, max_iterations, certificate_by)
        run = _Run(problem, gap, limits, method, seed, callback, crew, cost_upper)
        try:
            with np.errstate(all="ignore"):  # candidates may overflow; what is proven minds it
                status = run.run(warm_start)
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        except MemoryError:
            status = Status.MEMORY_LIMIT
        except (np.linalg.LinAlgError, ArithmeticError):
            status = Status.NUMERICAL_FAILURE
    return run.result(status)


@dataclass
class _Run:
    """The state of one run."""

    problem: Problem
    gap: float
    limits: RunLimits
    method: str
    seed: int
    callback: Callable[[TraceRecord], bool | None] | None
    workers: Workers
    cost_upper: Callable[[Network], float] | None = None
    best: Incumbent = field(init=False)
    proofs: Proofs = field(init=False)
    space: Coordinates = field(init=False)
    scaling: Scaling = field(init=False)
    infeasible: InfeasibilityProof | None = None
    iteration: int = 0
    step_seconds: float = 0.0
    trace: list[TraceRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.best = Incumbent(self.problem, self.seed, self.cost_upper)
        self.proofs = Proofs(self.problem, self.gap, self.limits, self.best, self.workers, self.seed)

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self, warm_start: Network | None) -> Status:
        problem = self.problem
        if problem.loss.is_constraint and self.cost_upper is None:
            self.best.known = relations(problem)
            self.infeasible = infeasibility(problem, self.best.known)
            if self.infeasible is not None:
                return Status.INFEASIBLE
        self.space = self.best.space = self.proofs.space = coordinates(problem.X_tilde)
        self.scaling = self.best.scaling = scaling(problem, self.space.points)
        inner, points = self.scaling.problem, self.scaling.points
        if problem.m > 1 and cones_pay(self.space.points, problem.m):
            self.limits.certifying = problem.m * CERTIFYING
        now = self._start(warm_start)
        if now is None:
            return Status.TIME_LIMIT if late(self.limits.step_deadline) else Status.NO_NETWORK_FOUND
        now = self._relax(now)
        step: Callable[..., Iterate | None] = corrective_step
        if self.method != "corrective":
            step = classical_step(self.method, objective(inner, points, now.neurons) / (2.0 * inner.lam))
        stalled = 0
        began = time.monotonic()
        while True:
            before = (self.best.upper, self.proofs.lower)
            self.best.improve(now.neurons)
            G, found = self._best_dual(now)
            top = float(found.values[0]) if len(found.values) else 0.0
            self.step_seconds = time.monotonic() - began
            log.debug("step %s and search: %.3f s", now.step, self.step_seconds)
            answer, full, in_time = self.proofs.advance(G, top, now.neurons.W, self.iteration)
            self.proofs.remember(G, max(top, float(answer.values.max(initial=0.0))))
            stopped = self._record(now, answer, top)
            if self.proofs.closed():
                self.best.simplify(self._closes, self.limits.over)
                return Status.OPTIMAL
            limit = Status.INTERRUPTED if stopped else self._limit()
            if limit is not None:
                if limit == Status.TIME_LIMIT:
                    self._finish()
                elif limit == Status.ITERATION_LIMIT:  # a few iterations are meant to be quick
                    self._finish(EARLY_NODES)
                return limit
            W, U = self._new_neurons(G, found, answer)
            progress = (self.best.upper, self.proofs.lower) != before or len(answer.values) > 0
            stalled = 0 if progress else stalled + 1
            if stalled >= STALLED_ROUNDS or (full and not (len(W) and in_time)):
                self._finish()
                return Status.STALLED if in_time else Status.TIME_LIMIT
            self.iteration += 1
            began = time.monotonic()
            new = step(inner, points, now, W, U, self.limits.step_deadline)
            if new is None:
                self._finish()
                return Status.SOLVER_FAILED
            now = new

    def _start(self, warm_start: Network | None) -> Iterate | None:
        problem, points = self.scaling.problem, self.scaling.points
        start: Iterate | None
        if problem.loss.is_constraint and self.cost_upper is not None and warm_start is not None:
            start = Iterate(Neurons.none(problem, points.shape[1]), (np.zeros((problem.m, problem.N)),), "start")
        elif problem.loss.is_constraint:
            start = interpolating_start(problem, points, self.seed, self.limits.step_deadline)
        else:
            start = bias_only(problem, points.shape[1])
        if warm_start is None or start is None:
            return start
        W, V, _ = warm_start.balanced().neurons()
        W = W @ self.space.basis
        lengths = np.linalg.norm(W, axis=1)
        keep = lengths > 0.0
        W, V = W[keep] / lengths[keep, np.newaxis], V[:, keep] * lengths[keep]
        masses = np.linalg.norm(V, axis=0)
        W, U = W[masses > 0.0], (V[:, masses > 0.0] / masses[masses > 0.0]).T
        if not problem.loss.is_constraint or self.cost_upper is not None:
            self.best.keep_if_better(warm_start, None)
        return (corrective_step(problem, points, start, W, U, self.limits.step_deadline) if len(W) else None) or start

    def _relax(self, start: Iterate) -> Iterate:
        """Where searches are hopeless: trained networks and the moment relaxation first (large.py); the better start."""
        if self.cost_upper is not None or self.method != "corrective" or self.limits.iterations == 0:
            return start
        if not large.suits(self.problem, self.space.points):
            return start
        deadline, certifying = self.limits.until(large.RELAXING), 0.0
        if self.limits.certificate_by is not None:
            certifying = large.certificate_seconds(self.problem, self.space.points)
            deadline = min(deadline, self.limits.certificate_by - certifying)
        now = self._train(start, self.seed, large.TRAINING, large.VAIN)

        def gap_left() -> float:
            upper, lower = self.best.upper, self.proofs.lower
            return math.inf if upper is None or lower is None else upper - lower

        def too_late(seconds: float) -> bool:
            return late(deadline - seconds)

        neurons = self.scaling.outward(now.neurons)
        for found in large.moment_bounds(self.problem, self.space, neurons, gap_left, too_late, self.seed):
            if self.proofs.keep_if_better(found):
                seconds = large.certificate_seconds(self.problem, self.space.points, large.forms_of(found))
                self.proofs.relaxed, self.limits.proof_seconds = True, seconds / self.limits.certifying
                answer = OracleAnswer(self.space.points[:0], np.zeros(0), found.oracle_bound, found.rung)
                if self._record(replace(now, step="M"), answer, None) or self.proofs.closed():
                    break
        return now

    def _train(self, start: Iterate, seed: int, share: float, patience: int) -> Iterate:
        """Networks until this share of the time is over; the best of them, if it is better than the start."""
        problem, points, now = self.scaling.problem, self.scaling.points, start
        for neurons in large.trained(problem, points, seed, self.limits.until(share), patience):
            if objective(problem, points, neurons) < objective(problem, points, now.neurons):
                gradient = -problem.loss.gradient(neurons.outputs(problem, points), problem.targets)
                now = Iterate(neurons, (gradient,), "T")
        self.best.improve(now.neurons)
        return now

    def _best_dual(self, now: Iterate) -> tuple[np.ndarray, OracleAnswer]:
        """The candidate G with the best estimated bound, and the neurons found for it."""
        problem = self.problem
        best: tuple[float, np.ndarray, OracleAnswer] | None = None
        for candidate in now.duals:
            G = problem.loss.project_dual(self.scaling.dual(candidate), problem.targets)
            found = self.proofs.search(G, now.neurons.W, self.iteration)
            top = float(found.values[0]) if len(found.values) else 0.0
            scale = best_scale(problem, G, 2.0 * problem.lam / top if top > 0.0 else math.inf)
            value = dual_value(problem, scale * G)
            if best is None or value > best[0]:
                best = (value, G, found)
        assert best is not None
        return best[1], best[2]

    def _closes(self, upper: float) -> bool:
        gap = relative_gap(upper, self.proofs.lower)
        return gap is not None and gap <= self.gap

    def _finish(self, nodes: int | None = None) -> None:
        """Spend what is left of the time, and at most so many nodes: on proofs, or on networks where the problem is too large for
        a search."""
        if not self.proofs.relaxed:
            self.proofs.tighten(nodes)
        elif nodes is None and self.best.neurons is not None:
            self._train(Iterate(self.best.neurons, (), "T"), self.seed + 1, large.FINISHING, large.NETWORKS)

    def _new_neurons(self, G: np.ndarray, found: OracleAnswer, answer: OracleAnswer) -> tuple[np.ndarray, np.ndarray]:
        """Neurons worth adding: above 2λ, one per activation pattern and output direction, best first."""
        problem, points = self.problem, self.space.points
        most = NEW_DIRECTIONS if many_points(problem, points) else NEW_NEURONS
        W = found.W
        if len(answer.W):
            W = np.concatenate([find_neurons(self.space, G, problem.activation, answer.W, 4, self.seed).W, answer.W, W])
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
            if len(chosen) == most:
                break
        return W[chosen], features[chosen] / values[chosen, np.newaxis]

    # -- limits, trace, result -----------------------------------------------------------------------------------------

    def _limit(self) -> Status | None:
        if late(min(self.limits.soft_deadline, self.limits.step_deadline - self.step_seconds)):
            return Status.TIME_LIMIT
        if self.limits.nodes_left() == 0:
            return Status.NODE_LIMIT
        return Status.ITERATION_LIMIT if self.iteration >= self.limits.iterations else None

    def _record(self, now: Iterate, answer: OracleAnswer, top: float | None) -> bool:
        values = [*answer.values.tolist(), *([] if top is None else [top])]
        record = TraceRecord(
            iteration=self.iteration,
            step=now.step,
            upper=self.best.upper,
            lower=self.proofs.lower,
            gap=relative_gap(self.best.upper, self.proofs.lower),
            oracle_ratio=max(values) / (2.0 * self.problem.lam) if values else None,
            rung=answer.rung if answer.upper_bound is not None else None,
            nodes=self.limits.used,
            active=len(now.neurons.W),
            seconds=self.limits.passed(),
        )
        self.trace.append(record)
        return self.callback is not None and self.callback(record) is True

    def result(self, status: Status) -> SolveResult:
        """What was proven when the run ended; optimal if the gap has closed, whatever ended the run."""
        if status != Status.INFEASIBLE and self.proofs.closed():
            status = Status.OPTIMAL
        network, upper, lower = self.best.network, self.best.upper, self.proofs.lower
        return SolveResult(
            problem=self.problem,
            status=status,
            upper=upper,
            lower=lower,
            gap=relative_gap(upper, lower),
            network=None if network is None else replace(network, units=self.problem.units),
            iterations=self.iteration,
            seconds=self.limits.passed(),
            trace=self.trace,
            requested_gap=self.gap,
            notes=notes_of(status, self.problem),
            dual=self.proofs.dual,
            infeasibility=self.infeasible,
        )
