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

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cpcert import report, sketch
from cpcert.errors import InputError
from cpcert.frank_wolfe import large
from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.bounds import DualBound, best_scale, dual_lower_bound, dual_value, needed_oracle_bound
from cpcert.frank_wolfe.interpolation import (
    InfeasibilityProof,
    Relations,
    infeasibility,
    interpolation_cost_upper,
    relations,
)
from cpcert.frank_wolfe.scaling import Scaling, scaling
from cpcert.frank_wolfe.steps import (
    Iterate,
    bias_only,
    classical_step,
    corrective_step,
    interpolating_start,
    many_points,
    objective,
    require_method,
    simpler_neurons,
)
from cpcert.frank_wolfe.trace import TraceRecord
from cpcert.network import Network, attained, loss_upper
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.coordinates import Coordinates, coordinates
from cpcert.oracle.ladder import compile_kernels, cones_pay, find_neurons, prove, samples_pay
from cpcert.oracle.rung import Limits
from cpcert.outcomes import Outcome
from cpcert.parallel import HERE, Workers, at_work, late
from cpcert.printing import whole
from cpcert.problem import Problem
from cpcert.rounding import round_up
from cpcert.status import Status, message, notes_of

log = logging.getLogger(__name__)

# Starts of the search in an iteration; from MANY_POINTS on fewer, as each takes longer. Where directions are sampled it is STARTS.
STARTS, FEWEST_STARTS, MANY_POINTS = 60, 12, 1000
# The most neurons that are added to a conic program, and to a dictionary.
NEW_NEURONS, NEW_DIRECTIONS = 20, 60
# Starts of the search before a full proof: one that fails costs far more than a search that would have shown it. At most so many
# values of points are computed in a step of all. Where directions are sampled a start takes far less.
MANY_STARTS, MANY_VALUES = 1000, 300_000
MANY_VALUES_SAMPLED, LEAST_SAMPLED = 5_000_000, 180
# Proofs of loose cutoffs, so that the interval shrinks long before the end: each iteration saves up so many nodes, or this share of
# all nodes so far, for the next of these cutoffs (relative to the best value found), which is tried when AHEAD times the nodes of
# the last are there.
SAVED_NODES, SAVED_SHARE, AHEAD = 500, 0.05, 1.3
# Cones are small nodes, and their trees grow slowly with tighter cutoffs: they are granted more (for 1000 points, and for more points,
# whose nodes take longer, in proportion to 1/√N), at first, in each iteration and as a share. A tree grows by less than this from one
# cutoff to the next.
FIRST_CONES, SAVED_CONES, SAVED_SHARE_OF_CONES, GROWTH_OF_CONES = 60_000, 20_000, 0.25, 1.6
# As long as the values found are above so many times 2λ, a proof by cones would be about a dual point that is soon forgotten.
EARLY = 1.5
LOOSE = (4.0, 3.0, 2.5, 2.0, 1.75, 1.5, 1.35, 1.25, 1.18, 1.12, 1.08, 1.05, 1.03, 1.02, 1.01)
# A full proof by cones waits for dual points whose values exceed 2λ by at most this share of what it may, so many iterations in all.
WAITING, PATIENCE = 0.5, 3
# Nodes of a search when the iteration limit has come.
EARLY_NODES = 300
# Share of the time limit that is kept for a proof when none has ended yet.
RESERVED = 0.3
# Cutoffs, relative to the best value found, of the proofs that use up the time that is left, and how often the step between
# the last that succeeds and the first that fails is halved.
STAGES = (4.0, 2.0, 1.5, 1.25, 1.1, 1.05, 1.02, 1.01, 1.003, 1.001, 1.0003, *(1.0 + 10.0**-k for k in range(4, 15)))
HALVINGS = 4
STALLED_ROUNDS = 4
# A certificate and its check take about so many times as long as the search for the proof in it (measured: 1.5 to 4).
CERTIFYING = 4.0


@dataclass(frozen=True, eq=False, repr=False)
class SolveResult(Outcome):
    """What is proven about P* = min L_λ over depth-2 networks of any width.

    status: how the run ended (cpcert/status.py); optimal: the requested gap is proven. lower ≤ P* ≤ upper, both proven,
    rounding included; upper is attained by `network` (interpolate: by a network within rounding of it, whose cost is
    proven). lower is None when nothing was proven, upper when there is no network. gap = (upper − lower)/|upper|, absolute
    if upper is 0. width: hidden neurons of `network`. trace: one record per iteration. dual: the dual point of `lower`
    with the proof of its oracle bound. infeasibility: the proof that no network fits, for status infeasible.
    requested_gap: the gap that was asked for. notes: what there is to say besides the sentence of the status.
    """

    problem: Problem
    status: Status
    upper: float | None
    lower: float | None
    gap: float | None
    network: Network | None
    iterations: int
    seconds: float
    trace: list[TraceRecord]
    requested_gap: float
    notes: tuple[str, ...] = ()
    dual: DualBound | None = None
    infeasibility: InfeasibilityProof | None = None
    scope: str = "global"

    @property
    def width(self) -> int | None:
        """Hidden neurons of the network."""
        return None if self.network is None else self.network.width

    @property
    def message(self) -> str:
        """Why the run ended, and what else there is to say."""
        return message(self.status, f"the gap of {whole(self.requested_gap)} is proven", self.notes)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The outputs (N, m) of the network for points X (N, n0) in the units of the data. Raises InputError without a network."""
        return attained(self.network, self.status).predict(X)

    def sentence(self) -> str:
        """What was proven, in one line."""
        return report.closing_line(self)

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert solve`, without files."""
        return report.SolveOutcome(self, None).as_json()

    def sketch(self) -> str:
        """The proven bounds of each iteration."""
        upper, lower = ([getattr(record, side) for record in self.trace] for side in ("upper", "lower"))
        return sketch.bounds([record.seconds for record in self.trace], upper, lower, "seconds")


def relative_gap(upper: float | None, lower: float | None) -> float | None:
    """(upper − lower)/|upper|, rounded up once; absolute if upper is 0; None if a side is missing or infinite."""
    if upper is None or lower is None or not (math.isfinite(upper) and math.isfinite(lower)):
        return None
    difference = max(Fraction(upper) - Fraction(lower), Fraction(0))
    return round_up(difference / (abs(Fraction(upper)) or 1))


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
        compile_kernels(problem.m > 1)  # before the clock starts
        run = _Run(
            problem, gap, time_limit, node_limit, max_iterations, method, seed, callback, crew, cost_upper, certificate_by
        )  # fmt: skip
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
    time_limit: float
    node_limit: int | None
    max_iterations: int
    method: str
    seed: int
    callback: Callable[[TraceRecord], bool | None] | None
    workers: Workers
    cost_upper: Callable[[Network], float] | None = None
    certificate_by: float | None = None
    started: float = field(default_factory=time.monotonic)
    known: Relations | None = None
    scaling: Scaling = field(init=False)
    upper: float | None = None
    network: Network | None = None
    neurons: Neurons | None = None
    dual: DualBound | None = None
    infeasible: InfeasibilityProof | None = None
    nodes: int = 0
    iteration: int = 0
    loose: int = 0
    saved: float = 0.0
    spent: int = 0
    waited: int = 0
    promising: tuple[float, np.ndarray, float] | None = None
    relaxed: bool = False
    step_seconds: float = 0.0
    proof_seconds: float = 0.0
    trace: list[TraceRecord] = field(default_factory=list)

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self, warm_start: Network | None) -> Status:
        problem = self.problem
        if problem.loss.is_constraint and self.cost_upper is None:
            self.known = relations(problem)
            self.infeasible = infeasibility(problem, self.known)
            if self.infeasible is not None:
                return Status.INFEASIBLE
        space = coordinates(problem.X_tilde)
        self.scaling = scaling(problem, space.points)
        inner, points = self.scaling.problem, self.scaling.points
        now = self._start(space, warm_start)
        if now is None:
            return Status.TIME_LIMIT if late(self._step_deadline()) else Status.NO_NETWORK_FOUND
        now = self._relax(space, now)
        step: Callable[..., Iterate | None] = corrective_step
        if self.method != "corrective":
            step = classical_step(self.method, objective(inner, points, now.neurons) / (2.0 * inner.lam))
        stalled = 0
        began = time.monotonic()
        while True:
            before = (self.upper, self.lower)
            self._improve_upper(space, now.neurons)
            G, found = self._best_dual(space, now)
            top = float(found.values[0]) if len(found.values) else 0.0
            self.step_seconds = time.monotonic() - began
            log.debug("step %s and search: %.3f s", now.step, self.step_seconds)
            answer, full, in_time = self._prove(space, now, G, top)
            self._remember(G, max(top, float(answer.values.max(initial=0.0))))
            stopped = self._record(now, answer, top)
            if self._closed():
                self._simplify(space)
                return Status.OPTIMAL
            limit = Status.INTERRUPTED if stopped else self._limit()
            if limit is not None:
                if limit == Status.TIME_LIMIT:
                    self._tighten(space)
                elif limit == Status.ITERATION_LIMIT:  # a few iterations are meant to be quick
                    self._tighten(space, self.nodes + EARLY_NODES)
                return limit
            W, U = self._new_neurons(space, G, found, answer)
            progress = self.upper != before[0] or self.lower != before[1] or len(answer.values) > 0
            stalled = 0 if progress else stalled + 1
            if stalled >= STALLED_ROUNDS or (full and not len(W)):
                self._tighten(space)
                return Status.STALLED if in_time else Status.TIME_LIMIT
            self.iteration += 1
            began = time.monotonic()
            new = step(inner, points, now, W, U, self._step_deadline())
            if new is None:
                self._tighten(space)
                return Status.SOLVER_FAILED
            now = new

    def _start(self, space: Coordinates, warm_start: Network | None) -> Iterate | None:
        problem, points = self.scaling.problem, self.scaling.points
        start: Iterate | None
        if problem.loss.is_constraint and self.cost_upper is not None and warm_start is not None:
            start = Iterate(Neurons.none(problem, points.shape[1]), (np.zeros((problem.m, problem.N)),), "start")
        elif problem.loss.is_constraint:
            start = interpolating_start(problem, points, self.seed, self._step_deadline())
        else:
            start = bias_only(problem, points.shape[1])
        if warm_start is None or start is None:
            return start
        W, V, _ = warm_start.balanced().neurons()
        W = W @ space.basis
        lengths = np.linalg.norm(W, axis=1)
        keep = lengths > 0.0
        W, V = W[keep] / lengths[keep, np.newaxis], V[:, keep] * lengths[keep]
        masses = np.linalg.norm(V, axis=0)
        W, U = W[masses > 0.0], (V[:, masses > 0.0] / masses[masses > 0.0]).T
        if not problem.loss.is_constraint or self.cost_upper is not None:
            self._keep_if_better(warm_start, None)
        return (corrective_step(problem, points, start, W, U, self._step_deadline()) if len(W) else None) or start

    def _relax(self, space: Coordinates, start: Iterate) -> Iterate:
        """Where searches are hopeless: trained networks and the moment relaxation first (large.py); the better start."""
        if self.cost_upper is not None or self.method != "corrective" or self.max_iterations == 0:
            return start
        if not large.suits(self.problem, space.points):
            return start
        deadline, certifying = self.started + large.RELAXING * self.time_limit, 0.0
        if self.certificate_by is not None:
            certifying = large.certificate_seconds(self.problem, space.points)
            deadline = min(deadline, self.certificate_by - certifying)
        now = self._train(space, start, self.seed, large.TRAINING, large.VAIN)

        def gap_left() -> float:
            return math.inf if self.upper is None or self.lower is None else self.upper - self.lower

        def too_late(seconds: float) -> bool:
            return late(deadline - seconds)

        neurons = self.scaling.outward(now.neurons)
        for found in large.moment_bounds(self.problem, space, neurons, gap_left, too_late, self.seed):
            if self.lower is None or found.value > self.lower:
                self.dual, self.relaxed = found, True
                self.proof_seconds = (
                    large.certificate_seconds(self.problem, space.points, large.forms_of(found)) / CERTIFYING
                )
                answer = OracleAnswer(space.points[:0], np.zeros(0), found.oracle_bound, found.rung)
                if self._record(replace(now, step="M"), answer, None) or self._closed():
                    break
        return now

    def _train(self, space: Coordinates, start: Iterate, seed: int, share: float, patience: int) -> Iterate:
        """Networks until this share of the time is over; the best of them, if it is better than the start."""
        problem, points, now = self.scaling.problem, self.scaling.points, start
        for neurons in large.trained(problem, points, seed, self.started + share * self.time_limit, patience):
            if objective(problem, points, neurons) < objective(problem, points, now.neurons):
                gradient = -problem.loss.gradient(neurons.outputs(problem, points), problem.targets)
                now = Iterate(neurons, (gradient,), "T")
        self._improve_upper(space, now.neurons)
        return now

    # -- the two sides of the interval ----------------------------------------------------------------------------------

    @property
    def lower(self) -> float | None:
        return None if self.dual is None else self.dual.value

    def _improve_upper(self, space: Coordinates, neurons: Neurons) -> None:
        self._keep_if_better(self._network(space, neurons), neurons)

    def _network(self, space: Coordinates, neurons: Neurons) -> Network:
        neurons = self.scaling.outward(neurons)
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
        for neurons in simpler_neurons(self.scaling.problem, self.scaling.points, self.neurons):
            assert self.network is not None
            if self._time_is_over():
                return
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
            G = problem.loss.project_dual(self.scaling.dual(candidate), problem.targets)
            starts = STARTS
            if not samples_pay(space.points, problem.activation):
                starts = max(min(STARTS, STARTS * MANY_POINTS // problem.N), FEWEST_STARTS)
            seed = self.seed + 7919 * (self.iteration + 1)
            found = find_neurons(space, G, problem.activation, now.neurons.W, starts, seed)
            top = float(found.values[0]) if len(found.values) else 0.0
            scale = best_scale(problem, G, 2.0 * problem.lam / top if top > 0.0 else math.inf)
            value = dual_value(problem, scale * G)
            if best is None or value > best[0]:
                best = (value, G, found)
        assert best is not None
        return best[1], best[2]

    def _remember(self, G: np.ndarray, top: float) -> None:
        """Keep the dual point (with the largest value found for it) that a tight proof would get most from."""
        if top > 0.0:
            value = self._hoped_for(G, top)
            if self.promising is None or value > self.promising[0]:
                self.promising = (value, G, top)

    def _hoped_for(self, G: np.ndarray, bound: float) -> float:
        """D(sG) for the best s, in floating point, if γ(G) ≤ bound."""
        return dual_value(self.problem, best_scale(self.problem, G, 2.0 * self.problem.lam / bound) * G)

    def _needed(self, G: np.ndarray) -> float:
        """The bound of γ(G) that closes the gap."""
        goal = self.upper - 0.9 * self.gap * abs(self.upper) if self.upper is not None else -math.inf
        return needed_oracle_bound(self.problem, G, goal)

    def _prove(self, space: Coordinates, now: Iterate, G: np.ndarray, top: float) -> tuple[OracleAnswer, bool, bool]:
        """Prove as much as is useful now; the flags say whether it was the full proof that would end the run, and whether it
        had the time it wanted."""
        needed = self._needed(G)
        if top <= needed and self._may_wait(space, top, needed):
            return self._prove_loosely(space, G, top), False, True
        missed = self._look_again(space, now, G, needed) if top <= needed else None
        if missed is None and top > needed:
            return self._prove_loosely(space, G, top), False, True
        if missed is not None:
            answer = self._prove_loosely(space, G, float(missed.values[0]))
            W, values = np.concatenate([missed.W, answer.W]), np.concatenate([missed.values, answer.values])
            return replace(answer, W=W, values=values), False, True
        limits = Limits(self._nodes_left(), self._proof_deadline(self._soft_deadline()), self.workers)
        answer = self._attempt(space, G, needed, limits)
        return answer, True, answer.complete or not late(limits.deadline)

    def _may_wait(self, space: Coordinates, top: float, needed: float) -> bool:
        """Whether a few more steps may be worth their time before a full proof by cones: what it has to prove is not far above the
        best value found, and the tree grows with the inverse."""
        two_lam = 2.0 * self.problem.lam
        if not cones_pay(space.points) or top - two_lam <= WAITING * (needed - two_lam) or self.waited == PATIENCE:
            return False
        self.waited += 1
        return True

    def _look_again(self, space: Coordinates, now: Iterate, G: np.ndarray, needed: float) -> OracleAnswer | None:
        """Neurons above the bound that a full proof would have to prove, from many more starts; None if there are none."""
        N, points = self.problem.N, space.points
        if samples_pay(points, self.problem.activation):
            starts, warm = max(min(MANY_STARTS, MANY_VALUES_SAMPLED // N), LEAST_SAMPLED), now.neurons.W
        else:
            starts, warm = min(MANY_STARTS, MANY_VALUES // N), now.neurons.W[:0]
        # Not where all local maxima are known, where norms prove γ(G), and where the search before has had as many starts.
        if points.shape[1] <= 2 or self.problem.activation.kink == 0.0 or starts <= STARTS:
            return None
        seed = self.seed + 15485863 * (self.iteration + 1)
        found = find_neurons(space, G, self.problem.activation, warm, starts, seed)
        above = found.values > needed
        return OracleAnswer(found.W[above], found.values[above], None, "ascent") if above.any() else None

    def _prove_loosely(self, space: Coordinates, G: np.ndarray, top: float) -> OracleAnswer:
        """The next loose cutoff, if enough nodes are saved for it; else what norms prove."""
        cones = cones_pay(space.points)
        size = math.sqrt(1000.0 / max(self.problem.N, 1000))
        least, share = (SAVED_CONES * size, SAVED_SHARE_OF_CONES) if cones else (SAVED_NODES, SAVED_SHARE)
        self.saved += max(least, share * self.nodes) + (FIRST_CONES * size if cones and self.iteration == 0 else 0.0)
        left = self._nodes_left()
        nodes = int(self.saved if left is None else min(self.saved, left))
        covers = self.problem.m > 1 and not cones  # of outputs: worth their time near the end only
        early = cones and top > EARLY * 2.0 * self.problem.lam
        if covers or early or nodes < AHEAD * self.spent:
            nodes = 0
        elif cones and self.spent:  # as many cutoffs further as are saved for
            ahead = int(math.log(nodes / self.spent) / math.log(GROWTH_OF_CONES))
            self.loose = min(self.loose + max(ahead - 1, 0), len(LOOSE) - 1)
        while self.relaxed and self.loose < len(LOOSE) - 1:  # nothing looser than what the relaxation has proven
            if self.lower is None or self._hoped_for(G, LOOSE[self.loose] * top) > self.lower:
                break
            self.loose += 1
        limits = Limits(nodes, self._proof_deadline(self._soft_deadline()), self.workers)
        answer = self._attempt(space, G, LOOSE[self.loose] * top, limits)
        self.saved -= answer.nodes
        if answer.complete or not len(answer.W):  # what failed needs more than that
            self.spent = answer.nodes
        if nodes and answer.complete:
            self.loose = min(self.loose + 1, len(LOOSE) - 1)
        return answer

    def _attempt(self, space: Coordinates, G: np.ndarray, cutoff: float, limits: Limits) -> OracleAnswer:
        """The answer of the oracle, and its bound kept if it is the best so far."""
        began = time.monotonic()
        answer = prove(space, G, self.problem.activation, cutoff, limits, self.seed)
        best = self.dual
        self._use(space, G, answer)
        if self.dual is not best:
            self.proof_seconds = time.monotonic() - began
        return answer

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
        found = dual_lower_bound(self.problem, G, bound, answer.rung, answer.proof, answer.frame)
        if math.isfinite(found.value) and (self.dual is None or found.value > self.dual.value):
            self.dual = found

    def _tighten(self, space: Coordinates, nodes: int | None = None) -> None:
        """Spend what is left of the time, and at most so many nodes, on proofs for the most promising dual point, loose to tight.

        So the bound at the end is as tight as floating point allows, however small a gap was asked for.
        """
        if self.relaxed:  # too large for a search: more networks
            if nodes is None and self.neurons is not None:
                self._train(space, Iterate(self.neurons, (), "T"), self.seed + 1, large.FINISHING, large.NETWORKS)
            return
        if self.promising is None:
            return
        _, G, top = self.promising
        needed = self._needed(G)
        if nodes is not None:
            self.node_limit = self.nodes + (
                nodes if self.node_limit is None else min(nodes, self.node_limit - self.nodes)
            )
        proven = math.inf  # the tightest cutoff so far, relative to `top`
        failed = None
        for stage in STAGES:
            if self._hoped_for(G, stage * top) <= (-math.inf if self.lower is None else self.lower):
                continue
            if stage * top <= needed < proven * top:
                stage = needed / top
            if not self._stage(space, G, stage * top):
                failed = stage
                break
            proven = stage
        if failed is None or self._time_is_over():
            return
        looser = [stage for stage in STAGES if stage > failed]
        low, high = failed - 1.0, min(proven, min(looser, default=math.inf)) - 1.0
        for _ in range(HALVINGS):
            if not (0.0 < low < high < math.inf):
                return
            middle = math.sqrt(low * high)
            if self._stage(space, G, (1.0 + middle) * top):
                high = middle
            elif self._closed() or self._time_is_over():
                return
            else:
                low = middle

    def _stage(self, space: Coordinates, G: np.ndarray, cutoff: float) -> bool:
        """Whether γ(G) ≤ cutoff was proven, and there is reason to go on."""
        if self._time_is_over() or self._nodes_left() == 0 or self._closed():
            return False
        limits = Limits(self._nodes_left(), self._proof_deadline(self._deadline()), self.workers)
        return self._attempt(space, G, cutoff, limits).complete

    def _new_neurons(
        self, space: Coordinates, G: np.ndarray, found: OracleAnswer, answer: OracleAnswer
    ) -> tuple[np.ndarray, np.ndarray]:
        """Neurons worth adding: above 2λ, one per activation pattern and output direction, best first."""
        problem, points = self.problem, space.points
        most = NEW_DIRECTIONS if many_points(problem, points) else NEW_NEURONS
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
            if len(chosen) == most:
                break
        return W[chosen], features[chosen] / values[chosen, np.newaxis]

    # -- limits, trace, result -----------------------------------------------------------------------------------------

    def _nodes_left(self) -> int | None:
        return None if self.node_limit is None else max(self.node_limit - self.nodes, 0)

    def _soft_deadline(self) -> float:
        share = 1.0 - RESERVED
        return self.started + share * self.time_limit

    def _proof_deadline(self, deadline: float) -> float:
        """By when a proof that begins now has to end: by the deadline, and in time for its certificate, or for the certificate of
        the best proof so far."""
        if self.certificate_by is None:
            return deadline
        now = time.monotonic()
        own = now + (self.certificate_by - now) / (1.0 + CERTIFYING)
        return min(deadline, own, self.certificate_by - CERTIFYING * self.proof_seconds)

    def _deadline(self) -> float:
        return self.started + self.time_limit

    def _time_is_over(self) -> bool:
        return late(self._deadline())

    def _step_deadline(self) -> float:
        # A step may use up half of what is reserved for proofs, not more.
        return self.started + (1.0 - 0.5 * RESERVED) * self.time_limit

    def _limit(self) -> Status | None:
        if late(min(self._soft_deadline(), self._step_deadline() - self.step_seconds)):
            return Status.TIME_LIMIT
        if self._nodes_left() == 0:
            return Status.NODE_LIMIT
        return Status.ITERATION_LIMIT if self.iteration >= self.max_iterations else None

    def _closed(self) -> bool:
        gap = relative_gap(self.upper, self.lower)
        return gap is not None and gap <= self.gap

    def _record(self, now: Iterate, answer: OracleAnswer, top: float | None) -> bool:
        values = [*answer.values.tolist(), *([] if top is None else [top])]
        record = TraceRecord(
            iteration=self.iteration,
            step=now.step,
            upper=self.upper,
            lower=self.lower,
            gap=relative_gap(self.upper, self.lower),
            oracle_ratio=max(values) / (2.0 * self.problem.lam) if values else None,
            rung=answer.rung if answer.upper_bound is not None else None,
            nodes=self.nodes,
            active=len(now.neurons.W),
            seconds=time.monotonic() - self.started,
        )
        self.trace.append(record)
        return self.callback is not None and self.callback(record) is True

    def result(self, status: Status) -> SolveResult:
        """What was proven when the run ended; optimal if the gap has closed, whatever ended the run."""
        if status != Status.INFEASIBLE and self._closed():
            status = Status.OPTIMAL
        return SolveResult(
            problem=self.problem,
            status=status,
            upper=self.upper,
            lower=self.lower,
            gap=relative_gap(self.upper, self.lower),
            network=None if self.network is None else replace(self.network, units=self.problem.units),
            iterations=self.iteration,
            seconds=time.monotonic() - self.started,
            trace=self.trace,
            requested_gap=self.gap,
            notes=notes_of(status, self.problem),
            dual=self.dual,
            infeasibility=self.infeasible,
        )
