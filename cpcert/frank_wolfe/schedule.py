"""The lower side of the interval: which proof is tried when, and the best bound so far.

Searches of the loop find the neurons that a dual point G has to respect. What proof comes next follows from the largest value
found (`top`) and from what closes the gap (`needed`):

    top > needed     G is no optimum yet: a proof of a loose cutoff, so that the interval shrinks long before the end, when the
                     nodes for it are saved
    top ≤ needed     many more starts of the search, then the full proof, which ends the run or returns what was missed

At the end the most promising dual point gets what is left of the time, loose to tight (`tighten`). That the bounds hold depends
on none of this.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import numpy as np

from cpcert.frank_wolfe.bounds import DualBound, best_scale, dual_lower_bound, dual_value, needed_oracle_bound
from cpcert.frank_wolfe.incumbent import Incumbent
from cpcert.frank_wolfe.limits import RunLimits
from cpcert.frank_wolfe.result import relative_gap
from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.coordinates import Coordinates
from cpcert.oracle.ladder import cones_pay, find_neurons, prove, samples_pay
from cpcert.oracle.rung import Limits
from cpcert.parallel import Workers, late
from cpcert.problem import Problem

# Starts of the search in an iteration; from MANY_POINTS on fewer, as each takes longer. Where directions are sampled it is STARTS.
STARTS, FEWEST_STARTS, MANY_POINTS = 60, 12, 1000
# Starts of the search before a full proof: one that fails costs far more than a search that would have shown it. At most so many
# values of points are computed in a step of all. Where directions are sampled a start takes far less.
MANY_STARTS, MANY_VALUES = 1000, 300_000
MANY_VALUES_SAMPLED, LEAST_SAMPLED = 5_000_000, 180
# Proofs of loose cutoffs, so that the interval shrinks long before the end: each iteration saves up so many nodes, or this share of
# all nodes so far, for the next of these cutoffs (relative to the best value found), which is tried when AHEAD times the nodes of
# the last are there.
SAVED_NODES, SAVED_SHARE, AHEAD = 500, 0.05, 1.3
LOOSE = (4.0, 3.0, 2.5, 2.0, 1.75, 1.5, 1.35, 1.25, 1.18, 1.12, 1.08, 1.05, 1.03, 1.02, 1.01)
# Cones are small nodes: they are granted more (for 1000 points, and for more points, whose nodes take longer, in proportion to 1/√N),
# at first, in each iteration and as a share of all so far. The cutoff is the least, of these bounds relative to the best value found,
# that the saved nodes should do for, if it can be expected to shrink the interval by the share WORTH, the first by
# FIRST_WORTH.
FIRST_CONES, SAVED_CONES, SAVED_SHARE_OF_CONES = 60_000, 12_000, 0.25
LOOSEST, TIGHTEST, WORTH, FIRST_WORTH = 4.0, 1.01, 0.2, 0.05
# The nodes of a tree of cones, and its seconds, are about exp(GROWTH·(r − 1)·(2λ/cutoff)^(1/3)), up to a factor of the problem
# (docs/mathematics/spatial.md): deep nodes have fewer points.
GROWTH_OF_NODES, GROWTH_OF_SECONDS = 2.5, 2.1
# A full proof may take so many times as long as that: near the largest value the logarithm of what is left comes in addition.
FULL = 1.5
# As long as the values found are above so many times 2λ, a proof by cones would be about a dual point that is soon forgotten.
EARLY = 4.0
# Values found below so many times 2λ: more steps gain less than a tighter proof.
NEAR = 1.05
# A full proof by cones waits for dual points whose values exceed 2λ by at most this share of what it may, so many iterations in all.
WAITING, PATIENCE = 0.5, 3
# Cutoffs, relative to the best value found, of the proofs that use up the time that is left, and how often the step between
# the last that succeeds and the first that fails is halved.
STAGES = (*LOOSE[:4], 1.5, 1.25, 1.1, 1.05, 1.02, 1.01, 1.003, 1.001, 1.0003, *(1.0 + 10.0**-k for k in range(4, 15)))
HALVINGS = 4
# By cones: at most so many proofs, each meant to take the SPARE-th part of the time that is left, but at most MOST_TIMES what the last
# took, as long as they may gain LEAST_GAIN of the gap and their cutoffs are not below TIGHTEST_STAGE.
MOST_STAGES, SPARE, MOST_TIMES, LEAST_GAIN, TIGHTEST_STAGE = 6, 1.4, 10.0, 0.02, 1.001


@dataclass
class Proofs:
    """What is proven and how the proofs of a run went so far.

    best: the upper side. dual: the best lower bound. relaxed: it is one of the moment relaxation. promising: the dual point that a
    tight proof would get most from, as (the bound hoped for, G, the largest value found). saved: nodes for the next loose proof.
    loose, spent: the next of `LOOSE`, and the nodes of the last. measured: the cutoff of the last by cones, its nodes and
    seconds.
    """

    problem: Problem
    gap: float
    limits: RunLimits
    best: Incumbent
    workers: Workers
    seed: int
    space: Coordinates = field(init=False)
    dual: DualBound | None = None
    relaxed: bool = False
    loose: int = 0
    saved: float = 0.0
    spent: int = 0
    measured: tuple[float, int, float] | None = None
    waited: int = 0
    promising: tuple[float, np.ndarray, float] | None = None

    @property
    def lower(self) -> float | None:
        """The best proven lower bound."""
        return None if self.dual is None else self.dual.value

    def closed(self) -> bool:
        """Whether the gap that was asked for is proven."""
        gap = relative_gap(self.best.upper, self.lower)
        return gap is not None and gap <= self.gap

    def keep_if_better(self, found: DualBound) -> bool:
        """Keep a proven bound if it is the best so far; whether it is."""
        if not math.isfinite(found.value) or (self.dual is not None and found.value <= self.dual.value):
            return False
        self.dual = found
        return True

    # -- searches --------------------------------------------------------------------------------------------------------

    def search(self, G: np.ndarray, warm: np.ndarray, iteration: int) -> OracleAnswer:
        """The neurons found for G in an iteration, from the neurons `warm` (k, r) and random starts."""
        starts = STARTS
        if not samples_pay(self.space.points, self.problem.activation):
            starts = max(min(STARTS, STARTS * MANY_POINTS // self.problem.N), FEWEST_STARTS)
        return find_neurons(self.space, G, self.problem.activation, warm, starts, self.seed + 7919 * (iteration + 1))

    def _look_again(self, G: np.ndarray, neurons: np.ndarray, needed: float, iteration: int) -> OracleAnswer | None:
        """Neurons above the bound that a full proof would have to prove, from many more starts; None if there are none."""
        N, points = self.problem.N, self.space.points
        if samples_pay(points, self.problem.activation):
            starts, warm = max(min(MANY_STARTS, MANY_VALUES_SAMPLED // N), LEAST_SAMPLED), neurons
        else:
            starts, warm = min(MANY_STARTS, MANY_VALUES // N), neurons[:0]
        # Not where all local maxima are known, where norms prove γ(G), and where the search before has had as many starts.
        if points.shape[1] <= 2 or self.problem.activation.kink == 0.0 or starts <= STARTS:
            return None
        seed = self.seed + 15485863 * (iteration + 1)
        found = find_neurons(self.space, G, self.problem.activation, warm, starts, seed)
        above = found.values > needed
        return OracleAnswer(found.W[above], found.values[above], None, "ascent") if above.any() else None

    # -- proofs in the loop ----------------------------------------------------------------------------------------------

    def advance(
        self, G: np.ndarray, top: float, neurons: np.ndarray, iteration: int
    ) -> tuple[OracleAnswer, bool, bool]:
        """Prove as much as is useful now; the flags say whether it was the full proof that would end the run, and whether it
        had the time it wanted. G (m, N); neurons (k, r): those of the network."""
        needed = self._needed(G)
        if top <= needed and self._may_wait(top, needed):
            return self._loosely(G, top, iteration), False, True
        missed = self._look_again(G, neurons, needed, iteration) if top <= needed else None
        if missed is None and top > needed:
            return self._loosely(G, top, iteration), False, True
        if missed is not None:
            answer = self._loosely(G, float(missed.values[0]), iteration)
            W, values = np.concatenate([missed.W, answer.W]), np.concatenate([missed.values, answer.values])
            return replace(answer, W=W, values=values), False, True
        # By cones it is known what to expect: all of the time that is left is for a proof that should end in it; another is not begun.
        by_cones = needed > 0.0 and cones_pay(self.space.points, self.problem.m)
        expected = FULL * self._expected(needed) if by_cones else 0.0
        if expected > max(self._left(), 0.0):
            return self._loosely(G, top, iteration), True, False
        until = self.limits.deadline if expected > 0.0 else self.limits.soft_deadline
        limits = self._oracle_limits(self.limits.nodes_left(), until)
        answer = self._attempt(G, needed, limits, needed / max(top, 1e-300))
        return answer, True, answer.complete or not limits.late()

    def remember(self, G: np.ndarray, top: float) -> None:
        """Keep the dual point (with the largest value found for it) that a tight proof would get most from."""
        if top > 0.0:
            value = self._hoped_for(G, top)
            if self.promising is None or value > self.promising[0]:
                self.promising = (value, G, top)

    def _expected(self, cutoff: float) -> float:
        """Seconds that a proof of this cutoff should take, from the last by cones; 0 before the first."""
        if self.measured is None:
            return 0.0
        rate = self._rate(GROWTH_OF_SECONDS)
        more = rate * (self._tightness(cutoff) - self._tightness(self.measured[0]))
        return self.measured[2] * math.exp(min(more, 700.0))

    def _reachable(self, times: float, growth: float) -> float:
        """The cutoff for which a proof should take so many times as much as the last by cones; inf if that is not known."""
        if self.measured is None or not times > 0.0:
            return math.inf
        tightness = self._tightness(self.measured[0]) + math.log(times) / self._rate(growth)
        return 2.0 * self.problem.lam / tightness**3 if tightness > 0.0 else math.inf

    def _tightness(self, cutoff: float) -> float:
        return (2.0 * self.problem.lam / cutoff) ** (1.0 / 3.0)

    def _rate(self, growth: float) -> float:
        return growth * (self.space.points.shape[1] - 1)

    def _left(self) -> float:
        """Seconds until a proof that begins now has to end."""
        return self.limits.proof_deadline(self.limits.deadline) - time.monotonic()

    def _hoped_for(self, G: np.ndarray, bound: float) -> float:
        """D(sG) for the best s, in floating point, if γ(G) ≤ bound."""
        return dual_value(self.problem, best_scale(self.problem, G, 2.0 * self.problem.lam / bound) * G)

    def _needed(self, G: np.ndarray) -> float:
        """The bound of γ(G) that closes the gap."""
        upper = self.best.upper
        goal = upper - 0.9 * self.gap * abs(upper) if upper is not None else -math.inf
        return needed_oracle_bound(self.problem, G, goal)

    def _may_wait(self, top: float, needed: float) -> bool:
        """Whether a few more steps may be worth their time before a full proof by cones: what it has to prove is not far above the
        best value found, and the tree grows with the inverse."""
        two_lam, cones = 2.0 * self.problem.lam, cones_pay(self.space.points, self.problem.m)
        if not cones or top - two_lam <= WAITING * (needed - two_lam) or self.waited == PATIENCE:
            return False
        self.waited += 1
        return True

    def _loosely(self, G: np.ndarray, top: float, iteration: int) -> OracleAnswer:
        """A proof of a loose cutoff, if enough nodes are saved for it; else what norms prove."""
        if cones_pay(self.space.points, self.problem.m, LOOSEST):
            return self._loose_cones(G, top, iteration)
        self.saved += max(SAVED_NODES, SAVED_SHARE * self.limits.used)
        nodes = self._saved_nodes()
        # Covers of outputs are worth their time near the end only.
        if self.problem.m > 1 or nodes < AHEAD * self.spent:
            nodes = 0
        while self.relaxed and self.loose < len(LOOSE) - 1:  # nothing looser than what the relaxation has proven
            if self.lower is None or self._hoped_for(G, LOOSE[self.loose] * top) > self.lower:
                break
            self.loose += 1
        answer = self._attempt(
            G, LOOSE[self.loose] * top, self._oracle_limits(nodes, self.limits.soft_deadline), LOOSE[self.loose]
        )
        self.saved -= answer.nodes
        if answer.complete or not len(answer.W):  # what failed needs more than that
            self.spent = answer.nodes
        if nodes and answer.complete:
            self.loose = min(self.loose + 1, len(LOOSE) - 1)
        return answer

    def _loose_cones(self, G: np.ndarray, top: float, iteration: int) -> OracleAnswer:
        """The tightest cutoff that the saved nodes should do for."""
        size = math.sqrt(1000.0 / max(self.problem.N, 1000))
        self.saved += max(SAVED_CONES * size, SAVED_SHARE_OF_CONES * self.limits.used)
        self.saved += FIRST_CONES * size if iteration == 0 else 0.0
        nodes, cutoff = self._saved_nodes(), LOOSEST * top
        enough = True
        if self.measured is not None:
            reachable = self._reachable(nodes / (AHEAD * self.measured[1]), GROWTH_OF_NODES)
            enough, cutoff = reachable <= cutoff, min(cutoff, reachable)
        cutoff = max(cutoff, TIGHTEST * top)
        upper, lower = self.best.upper, self.lower
        worth = WORTH if self.measured is not None else FIRST_WORTH
        shrinks = True
        if upper is not None and lower is not None and top > 0.0:
            shrinks = self._hoped_for(G, cutoff) - lower >= worth * (upper - lower)
        if top > EARLY * 2.0 * self.problem.lam or not (shrinks and enough):
            nodes = 0
        elif late(self.limits.proof_deadline(self.limits.soft_deadline) - self._expected(cutoff)):
            # It would not end in time: the end, which chooses its own cutoff, may as well begin if steps have little left to gain.
            nodes = 0
            if top <= NEAR * 2.0 * self.problem.lam:
                self.remember(G, top)
                self.tighten()
        limits = self._oracle_limits(nodes, self.limits.soft_deadline)
        answer = self._attempt_by_cones(G, cutoff, limits)
        self.saved -= answer.nodes
        return answer

    def _attempt_by_cones(self, G: np.ndarray, cutoff: float, limits: Limits) -> OracleAnswer:
        """By cones, whatever the rung for a tight cutoff; what it took is remembered."""
        began = time.monotonic()
        answer = self._attempt(G, cutoff, limits, LOOSEST)
        seconds = time.monotonic() - began
        if answer.complete and answer.nodes:
            self.measured = cutoff, answer.nodes, seconds
        elif answer.nodes and not len(answer.W) and self._expected(cutoff) <= AHEAD * seconds:
            # What failed needs more than that; where more was expected it has said nothing.
            self.measured = cutoff, int(AHEAD * answer.nodes), AHEAD * seconds
        return answer

    def _saved_nodes(self) -> int:
        left = self.limits.nodes_left()
        return int(self.saved if left is None else min(self.saved, left))

    # -- one proof -------------------------------------------------------------------------------------------------------

    def _oracle_limits(self, nodes: int | None, deadline: float) -> Limits:
        return Limits(nodes, self.limits.proof_deadline(deadline), self.workers)

    def _attempt(self, G: np.ndarray, cutoff: float, limits: Limits, looseness: float) -> OracleAnswer:
        """The answer of the oracle, and its bound kept if it is the best so far."""
        began = time.monotonic()
        answer = prove(self.space, G, self.problem.activation, cutoff, limits, self.seed, looseness)
        if self._use(G, answer):
            self.limits.proof_seconds = time.monotonic() - began
        return answer

    def _use(self, G: np.ndarray, answer: OracleAnswer) -> bool:
        """Keep the bound of an answer if it is the best so far; whether it is."""
        self.limits.used += answer.nodes
        if answer.proof is None:
            # A search that was cut short has a bound and nothing to show for it: only what can be certified counts.
            answer = prove(self.space, G, self.problem.activation, 0.0, Limits(nodes=0), self.seed)
        bound = answer.upper_bound
        if bound is None or not math.isfinite(bound):
            return False
        defect = self.problem.loss.exact_dual_defect(G)
        if defect > 0.0:
            bound = (bound + defect * self.space.norm * self.problem.activation.lipschitz) * (1.0 + 2.0**-50)
        return self.keep_if_better(dual_lower_bound(self.problem, G, bound, answer.rung, answer.proof, answer.frame))

    # -- the end ---------------------------------------------------------------------------------------------------------

    def tighten(self, nodes: int | None = None) -> None:
        """Spend what is left of the time, and at most so many nodes, on proofs for the most promising dual point, loose to tight.

        So the bound at the end is as tight as floating point allows, however small a gap was asked for.
        """
        if self.promising is None:
            return
        _, G, top = self.promising
        needed = self._needed(G)
        if nodes is not None:
            self.limits.at_most(nodes)
        elif cones_pay(self.space.points, self.problem.m, LOOSEST):
            self._tighten_cones(G, top, needed)
            return
        proven = math.inf  # the tightest cutoff so far, relative to `top`
        failed = None
        for stage in STAGES:
            if self._hoped_for(G, stage * top) <= (-math.inf if self.lower is None else self.lower):
                continue
            if stage * top <= needed < proven * top:
                stage = needed / top
            if not self._stage(G, stage * top, stage):
                failed = stage
                break
            proven = stage
        if failed is None or self.limits.over():
            return
        looser = [stage for stage in STAGES if stage > failed]
        low, high = failed - 1.0, min(proven, min(looser, default=math.inf)) - 1.0
        for _ in range(HALVINGS):
            if not (0.0 < low < high < math.inf):
                return
            middle = math.sqrt(low * high)
            if self._stage(G, (1.0 + middle) * top, 1.0 + middle):
                high = middle
            elif self.closed() or self.limits.over():
                return
            else:
                low = middle

    def _tighten_cones(self, G: np.ndarray, top: float, needed: float) -> None:
        """The tightest cutoff that the time left should do for, as often as that gains something."""
        for _ in range(MOST_STAGES):
            if late(self.limits.proof_deadline(self.limits.deadline)) or self.closed():
                return
            times = 0.0 if self.measured is None else self._left() / (SPARE * self.measured[2])
            cutoff = min(LOOSEST * top, self._reachable(min(times, MOST_TIMES), GROWTH_OF_SECONDS))
            cutoff = max(cutoff, needed if needed >= top else TIGHTEST_STAGE * top)
            lower = -math.inf if self.lower is None else self.lower
            upper = math.inf if self.best.upper is None else self.best.upper
            if not self._hoped_for(G, cutoff) > lower + LEAST_GAIN * (upper - lower):
                return
            limits = self._oracle_limits(self.limits.nodes_left(), self.limits.deadline)
            if limits.spent() or not self._attempt_by_cones(G, cutoff, limits).complete:
                return

    def _stage(self, G: np.ndarray, cutoff: float, looseness: float) -> bool:
        """Whether γ(G) ≤ cutoff was proven, and there is reason to go on."""
        if self.limits.over() or self.limits.nodes_left() == 0 or self.closed():
            return False
        limits = self._oracle_limits(self.limits.nodes_left(), self.limits.deadline)
        return self._attempt(G, cutoff, limits, looseness).complete
