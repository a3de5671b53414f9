"""How many neurons does an optimal network need? Where the plateau of the loss against the width starts, proven.

Let U be a proven upper bound of P* = min L_λ, and w(U) the least width with a loss ≤ U. The network that attains U
gives w(U) ≤ its width. Two lower ends:

**Caps.** Networks whose neurons all have directions in a closed set A of the sphere have the dual

    max over G of D(G) = −C*(−G) − (β²/4λ)‖G1‖²   subject to   ‖Gσ(X̃ᵀw)‖ ≤ 2λ for unit w in A.                    (1)

If it is proven to exceed U, a neuron of every network with a loss ≤ U lies outside A. Divide all directions into caps
(caps.py), and let A be the union of all but a set S of caps: S is *needed*, and

    w(U) ≥ the least number of caps that hit every needed set.                                                        (2)

**Rank** (mse). With A = Y without what the bias can do, s_1 ≥ s_2 ≥ … its singular values, c = 2λ/(ℓ‖X̃‖_op), |σ(s)| ≤
ℓ|s|, a network of width k has

    L_λ ≥ Σ_{i≤k} h(s_i) + Σ_{i>k} s_i²/N,    h(s) = cs − c²N/4 for s ≥ cN/2, else s²/N.                               (3)

Heuristic: where the caps lie, which sets are tried, and G. Proven: that the caps are all directions, the oracle on A,
D(sG), U, and (2) by a complete search. The derivations are in docs/mathematics/width.md.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from cpcert.errors import InputError
from cpcert.frank_wolfe.active_set import Columns, Neurons
from cpcert.frank_wolfe.bounds import dual_lower_bound, needed_oracle_bound
from cpcert.frank_wolfe.corrective import correct
from cpcert.frank_wolfe.result import SolveResult, relative_gap
from cpcert.frank_wolfe.steps import bias_only, objective, simpler_neurons
from cpcert.network import Network, loss_upper, residual_bound
from cpcert.oracle.coordinates import Coordinates, coordinates
from cpcert.oracle.ladder import find_neurons
from cpcert.oracle.rung import Limits
from cpcert.oracle.spectral import operator_norm
from cpcert.problem import Problem
from cpcert.rounding import EPS
from cpcert.width.caps import Arcs, Cones, Peaks, arcs, cones, opposite_pairs
from cpcert.width.contacts import Contacts, contacts
from cpcert.width.hitting import smallest_hitting_set

ROUNDS = 20
# Relative excess of the best loss on the allowed arcs over U below which no proof is expected, and its growth by round.
HOPELESS = 1e-8
IMPATIENCE = 1.5
# How far above U, relatively, the bound of a proof is aimed.
AIM = 1e-10
# Local maxima of the oracle from this share of 2λ on get a cap.
CONTACT = 1.0 - 1e-4
STARTS = 200
# The caps are those around contacts when D comes as close as this to U, relatively.
CLOSE = 1e-6
# Nodes that the oracle on one cap may cost.
CAP_NODES = 50_000
# Of (3) and of the products it is computed from, relative; far above their rounding.
RANK_ALLOWANCE = 1e-11


class WidthProof(StrEnum):
    """What a lower end of the width rests on: needed sets of caps (2), the rank (3), or nothing."""

    CAPS, RANK, NONE = "caps", "rank", "none"


@dataclass(frozen=True, eq=False)
class Needed:
    """Every network with a loss ≤ U has a neuron in one of these caps (numbers); without, the loss is at least lower > U, by the
    dual point G (m, N)."""

    caps: tuple[int, ...]
    lower: float
    G: np.ndarray


@dataclass(frozen=True)
class WidthBounds:
    """lower ≤ w(U) ≤ upper for the least width w(U) with a loss ≤ U; an exact optimum has at least `lower` neurons.

    loss: U. network: of `upper` neurons and a proven loss ≤ U (interpolate: it fits up to rounding only, and `upper` may be more).
    tolerance: (U − L)/U for the proven lower bound L of P*, how far U may be from P*. proof: of `lower`. caps: the
    division, if there is one; needed: the needed sets. complete: the search ended by itself. note: what was left out, and why.
    """

    lower: int
    upper: int
    loss: float
    tolerance: float
    network: Network
    proof: WidthProof
    caps: Arcs | Cones | Contacts | None
    needed: tuple[Needed, ...]
    complete: bool
    note: str


def width_bounds(problem: Problem, result: SolveResult, seconds: float = 30.0, tolerance: float = 0.0) -> WidthBounds:
    """Proven bounds of the least width with a loss ≤ U (module docstring); result: of solve(problem).

    U is result.upper, or what is within the relative `tolerance` of result.lower, if that is more: networks that are narrower
    and a little worse count too.
    Caps for any loss but `interpolate`, for about `seconds`; the rank bound for mse. Raises InputError when the result has no
    network or no lower bound.
    """
    if result.network is None or result.upper is None or result.lower is None or result.gap is None:
        raise InputError(f"width: nothing is proven about this problem ({result.status}), so neither about its width")
    deadline = time.monotonic() + seconds
    space, network = coordinates(problem.X_tilde), result.network
    upper = max(result.upper, result.lower + tolerance * abs(result.upper))
    gap = relative_gap(upper, result.lower)
    assert gap is not None
    caps, lower, complete, note = None, 0, False, ""
    needed: tuple[Needed, ...] = ()
    most = network.width
    if problem.loss.is_constraint:
        note = f"{problem.loss.name}: no lower end but 0"
        most = _exact_width(problem, network)
        if most > network.width:
            note += f"; the network found, of width {network.width}, fits up to rounding only"
    else:
        caps = _division(problem, space, result, gap, deadline)
        search = _Search(problem, space, caps, upper, deadline)
        lower, needed = search.run()
        complete = search.complete
        if not lower and caps is not None:  # of no neuron at all the loss is known, however close U is to it
            caps = None
            lower, needed = _Search(problem, space, caps, upper, math.inf).run()
        if not complete:
            note = "the search for sets of caps was stopped by its limits"
        if search.best is not None and caps is not None:
            narrower = _narrower(problem, space, caps.points, search.best, upper)
            if narrower is not None and narrower.width < network.width:
                network, most = narrower, narrower.width
    proof = WidthProof.CAPS if lower else WidthProof.NONE
    rank = rank_bound(problem, upper)
    if rank > lower:
        lower, proof = rank, WidthProof.RANK
    return WidthBounds(lower, most, upper, gap, network, proof, caps, needed, complete, note)


def _division(
    problem: Problem, space: Coordinates, result: SolveResult, gap: float, deadline: float
) -> Arcs | Cones | Contacts | None:
    """Caps of the directions: arcs, or around the contacts (one output, and D close to U), or cones."""
    directions = _directions(problem, space, result)
    if space.points.shape[1] <= 2:
        return arcs(space.points, problem.activation, directions)
    if problem.m == 1 and result.dual is not None and gap <= CLOSE:
        G = problem.loss.project_dual(result.dual.G * result.dual.dual_scale, problem.targets)
        most = Limits(None, time.monotonic() + 0.7 * (deadline - time.monotonic()))
        found = contacts(space.points, problem.activation, G, 2.0 * problem.lam, directions, most)
        if found is not None:
            return found
    return cones(space.points, problem.activation, directions)


def _exact_width(problem: Problem, network: Network) -> int:
    """Proven: as many neurons as a network needs at most that fits Y exactly at a cost ≤ that proven with `network`.

    The proof repairs what `network` misses by at most N neurons more (frank_wolfe/interpolation.py), and mN neurons are always
    enough (Carathéodory on the outputs).
    """
    residual, error = residual_bound(network, problem)
    if not residual.any() and not error.any():
        return network.width
    return min(network.width + problem.N, problem.m * problem.N)


def _directions(problem: Problem, space: Coordinates, result: SolveResult) -> np.ndarray:
    """Directions (k, r) of the network's neurons, and of the local maxima near 2λ."""
    assert result.network is not None
    W = [result.network.neurons()[0] @ space.basis]
    if result.dual is not None:
        G = result.dual.G * result.dual.dual_scale
        found = find_neurons(space, G, problem.activation, W[0], STARTS, 0)
        W.append(found.W[found.values >= CONTACT * 2.0 * problem.lam])
    return np.concatenate(W)


def _narrower(
    problem: Problem, space: Coordinates, points: np.ndarray, neurons: Neurons, upper: float
) -> Network | None:
    """A network near `neurons` with few neurons and a proven loss ≤ upper, or None; points (N, k) as in the caps."""
    for candidate in simpler_neurons(problem, points, neurons):
        W = candidate.W[:, : space.points.shape[1]] @ space.basis.T
        bias = candidate.b if problem.beta != 0.0 else None
        network = Network.from_neurons(W, candidate.V, bias, problem.activation, problem.beta)
        network = network.merged().without_dead_neurons()
        if loss_upper(network, problem) <= upper:
            return network
    return None


# -- needed sets of caps -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Without:
    """A proven lower bound > U of the loss of networks without neurons in some caps, and its dual point G (m, N)."""

    lower: float
    G: np.ndarray


class _Search:
    """The search for needed sets of caps (bit sets); run() returns the bound (2) and the sets.

    best: the neurons of the best network in the caps of a smallest hitting set, if it did not lose to U. pool (k, r): neurons
    met so far, columns for all conic programs.
    """

    def __init__(
        self, problem: Problem, space: Coordinates, caps: Arcs | Cones | Contacts | None, upper: float, deadline: float
    ) -> None:
        self.problem, self.space, self.caps, self.upper, self.deadline = problem, space, caps, upper, deadline
        self.needed: list[tuple[int, Without]] = []
        self.complete = False
        self.best: Neurons | None = None
        self.pool = np.zeros((0, space.points.shape[1] if caps is None else caps.points.shape[1]))

    def run(self) -> tuple[int, tuple[Needed, ...]]:
        count = 1 if self.caps is None else self.caps.count
        try:
            self._collect(count)
        except KeyboardInterrupt:
            self.complete = False
        sets = [(tuple(k for k in range(count) if s >> k & 1), without) for s, without in self.needed]
        return smallest_hitting_set(self._sets())[0], tuple(Needed(caps, one.lower, one.G) for caps, one in sets)

    def _sets(self) -> list[int]:
        return [s for s, _ in self.needed]

    def _late(self) -> bool:
        return time.monotonic() >= self.deadline

    def _collect(self, count: int) -> None:
        every, lower = (1 << count) - 1, 0
        for pair in [1] if self.caps is None else opposite_pairs(self.caps.middles()):
            if not self._late():
                loss, _ = self.lower_within(every & ~pair)
                if loss is not None:
                    self.needed.append((pair, loss))
        while not self._late():
            lower, hitting = smallest_hitting_set(self._sets(), lower)
            if hitting is None:
                return
            loss, self.best = self.lower_within(hitting, 1.0)
            if loss is None:
                self.complete = not self._late()
                return
            allowed = hitting
            waiting = [1 << k for k in range(count) if not hitting >> k & 1]
            # Allow half of the others, a quarter of those, …: what can be allowed and still leaves the loss above U.
            groups = [waiting[: len(waiting) // 2], waiting[len(waiting) // 2 :]] if len(waiting) > 1 else []
            while groups and not self._late():
                group = groups.pop()
                more = allowed | sum(group)
                better = self.lower_within(more)[0] if group and more != every else None
                if better is not None:
                    allowed, loss = more, better
                elif len(group) > 1:
                    groups += [group[: len(group) // 2], group[len(group) // 2 :]]
            self.needed.append((every & ~allowed, loss))

    def lower_within(self, allowed: int, impatience: float = IMPATIENCE) -> tuple[Without | None, Neurons | None]:
        """(a proven lower bound > U of the loss of networks with neurons in the caps of the bit set `allowed` only, or None;
        the neurons of the best network found there, or None)."""
        problem, caps = self.problem, self.caps
        if not allowed:
            none = bias_only(problem, self.space.points.shape[1])
            if isinstance(caps, Contacts):  # neurons in no cap are left
                G, peaks = self._peaks(caps, none.duals[0], 0)
                return self._bound(G, peaks.bound), none.neurons
            return self._bound(none.duals[0], 0.0), none.neurons
        if caps is None:
            return None, None
        two_lam = 2.0 * problem.lam
        best: Neurons | None = None
        W = np.concatenate([caps.starts(allowed), self.pool[caps.inside(self.pool, allowed)]])
        for turn in range(ROUNDS):
            columns = Columns(np.zeros((0, problem.m)), np.zeros((0, problem.N), bool), W, W @ caps.points.T > 0.0)
            found = correct(problem, caps.points, columns)
            if found is None or self._late():
                return None, best
            best = found.neurons
            if objective(problem, caps.points, best) <= self.upper * (1.0 + HOPELESS * impatience**turn):
                return None, best
            G, peaks = self._peaks(caps, found.G, allowed)
            loss = self._bound(G, peaks.bound)
            if loss is not None:
                return loss, best
            new = peaks.W[peaks.values > two_lam * (1.0 + 1e-12)]
            if not len(new):
                return None, best
            W, self.pool = np.concatenate([W, new]), np.concatenate([self.pool, new])
        return None, best

    def _peaks(self, caps: Arcs | Cones | Contacts, G: np.ndarray, allowed: int) -> tuple[np.ndarray, Peaks]:
        """(the dual point to be tried for G, the local maxima of it and perhaps a bound where neurons are allowed)."""
        problem = self.problem
        G = caps.dual(problem.loss.project_dual(G, problem.targets))
        cutoff = needed_oracle_bound(problem, G, self.upper + AIM * abs(self.upper))
        # The way back from the coordinates must still end below.
        cutoff -= (self.space.upper_bound(cutoff, G, problem.activation.lipschitz) - cutoff) * (1.0 + 1e-6)
        return G, caps.oracle(G, allowed, cutoff, Limits(CAP_NODES, self.deadline))

    def _bound(self, G: np.ndarray, bound: float) -> Without | None:
        """D(sG) of (1) if it exceeds U; bound: of ‖Gσ(X̂ᵀw)‖ for the unit w in the coordinates that are allowed."""
        problem, space = self.problem, self.space
        bound = space.upper_bound(bound, G, problem.activation.lipschitz)
        defect = problem.loss.exact_dual_defect(G)
        if defect > 0.0:
            bound = (bound + defect * space.norm * problem.activation.lipschitz) * (1.0 + 2.0**-50)
        if not math.isfinite(bound):
            return None
        value = dual_lower_bound(problem, G, bound, "caps", None, None).value
        return Without(value, G) if value > self.upper else None


# -- rank --------------------------------------------------------------------------------------------------------------


def rank_bound(problem: Problem, upper: float) -> int:
    """The least width that (3) leaves for a loss ≤ upper; 0 for other losses than mse. At most the number of outputs."""
    lipschitz, N = problem.activation.lipschitz, problem.N
    if not problem.loss.is_squared_distance or lipschitz == 0.0:
        return 0
    size = float(np.abs(problem.targets).max(initial=0.0))
    if size == 0.0 or not 1e-100 < size < 1e100:
        return 0
    A = problem.targets - (problem.targets.mean(axis=1, keepdims=True) if problem.beta != 0.0 else 0.0)
    left, singular, right = np.linalg.svd(A, full_matrices=False)
    k = len(singular)
    total = float(np.linalg.norm(np.abs(problem.targets)))
    # ‖E‖ with what the mean and the products are off by, and ‖UᵀU − I‖, ‖VᵀV − I‖.
    rest = float(np.linalg.norm(A - (left * singular) @ right)) + (2 * N + 8 * k + 16) * EPS * k * total
    skew = max(float(np.linalg.norm(Q - np.eye(k))) for Q in (left.T @ left, right @ right.T))
    skew += (2 * N + 16) * EPS * k
    if skew > 1e-6:
        return 0
    s = np.maximum(singular * (1.0 - skew) * (1.0 - 8.0 * EPS) - rest * (1.0 + 8.0 * EPS), 0.0)
    norm = operator_norm(problem.X_tilde)
    if norm == 0.0:  # all points are 0, so Z = βb1ᵀ and a neuron changes nothing
        return 0
    c = 2.0 * problem.lam / (lipschitz * norm) * (1.0 - 8.0 * EPS)
    with np.errstate(over="ignore", invalid="ignore"):  # c is infinite for points near 0
        free = s * s / N
        paid = np.where(s >= 0.5 * c * N, c * s - 0.25 * c * c * N, free)
    # A difference in `paid` is off by little of c·s, which is at most 2·paid where it is used.
    width = 0
    while width < k and float(paid[:width].sum() + free[width:].sum()) * (1.0 - RANK_ALLOWANCE) > upper:
        width += 1
    return width
