"""What `solve` does first where the rank is large: train a network, then the moment relaxation.

With rank above about ten, or many points, a search over signs or directions proves nothing in any time one has. There the
moment relaxation (cpcert/moments/) chooses G and its proof together: a first-order method from a trained network, which is
also the upper side of the interval until Frank-Wolfe steps mend its kinks; then an interior-point method from there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.bounds import DualBound, best_scale, dual_lower_bound, dual_value
from cpcert.frank_wolfe.steps import objective
from cpcert.frank_wolfe.training import train
from cpcert.moments import interior
from cpcert.moments.relaxation import Candidate, Relaxation, candidates
from cpcert.moments.repair import Draft, MomentProof, estimate, prove
from cpcert.oracle.coordinates import Coordinates
from cpcert.oracle.frame import Frame
from cpcert.problem import Problem

# Sizes from which the relaxation comes before the searches: rank; points; rank times points; and outputs at a smaller rank.
RANK, LEAST_RANK, POINTS, SIZE, OUTPUTS = 13, 7, 50, 800, 4
# Beyond so many points its matrices do not fit.
MOST_POINTS = 1000
# Shares of the time limit: for training, until when the relaxation may go on, and until when training goes on after it.
TRAINING, RELAXING, FINISHING = 0.2, 0.8, 0.95
# It stops when so many candidates together have not raised the bound by this share of the gap.
PATIENCE, PROGRESS = 100, 0.01
# The interior-point method begins where there are at most so many products for each coordinate, or half of the time is over, not
# before so many candidates; it is tried again after some more; for so many of its steps there has to be time.
PRODUCTS, EARLY, AGAIN, LEAST_STEPS = 8.0, 15, 5, 12
# It proves what raises the bound by this share of the gap; the gap between X and S, as a share of it, where regions are split, and
# where it ends; a smaller gap is no good start for the parts.
WORTH, ENOUGH, LEAST_START = 0.03, (0.2, 0.003), 0.15
# The other start of the regions is taken where this gap falls below this share of the bound, and no region begins before: X is far
# from everything until then. It is used if the bound is lower after so many steps from the first.
DIVIDING, TRIED = 0.15, 3
# So many splits one after another at once, if there is time for so many of the first steps (they become slower), in so many bytes.
SPLITS, STEPS_OF_REGIONS, MEMORY = 3, 16, 1.5e9
# Seconds for the certificate of one quadratic form and its check, over its order to the third power (measured: 6e-8).
CERTIFYING = 1.5e-7
# Neurons of a trained network, the most networks, and the most in a row without a better one.
WIDTH, NETWORKS, VAIN = 150, 50, 5


def suits(problem: Problem, points: np.ndarray) -> bool:
    """Whether the relaxation is the rung for points (N, r)."""
    N, r = points.shape
    if not POINTS <= N <= MOST_POINTS or problem.activation.kink == 0.0:
        return False
    return r >= RANK or (r >= LEAST_RANK and (N * r >= SIZE or problem.m >= OUTPUTS))


def certificate_seconds(problem: Problem, points: np.ndarray, parts: int | None = None) -> float:
    """A generous prediction of the time for the certificate of a proof of so many quadratic forms, and its check."""
    N, r = points.shape
    order = 1 + N + r + (problem.m if problem.m > 1 else 0)
    return CERTIFYING * (1 + (problem.m == 1) if parts is None else parts) * order**3


def forms_of(found: DualBound) -> int:
    """The number of quadratic forms in a proof of this rung."""
    assert isinstance(found.proof, MomentProof)
    return len(found.proof.parts)


# -- the upper side ----------------------------------------------------------------------------------------------------


def trained(
    problem: Problem, points: np.ndarray, seed: int, deadline: float, patience: int = VAIN
) -> Iterator[Neurons]:
    """Trained networks until the deadline, at least one; none for interpolate, which no training reaches.

    patience: so many in a row without a better one are enough.
    """
    if problem.loss.is_constraint:
        return
    best, vain = math.inf, 0
    for number in range(NETWORKS):
        neurons = train(problem, points, min(WIDTH, max(problem.m * problem.N, 1)), seed + 7919 * number, deadline)
        value = objective(problem, points, neurons)
        vain = 0 if value < best * (1.0 - 1e-4) else vain + 1
        best = min(best, value)
        yield neurons
        if time.monotonic() > deadline or vain >= patience:
            return


# -- the lower side ----------------------------------------------------------------------------------------------------


@dataclass
class _Judge:
    """Repairs candidates and remembers the last draft."""

    problem: Problem
    points: np.ndarray
    draft: Draft | None = None

    def __call__(self, candidate: Candidate) -> tuple[float, float]:
        self.draft = estimate(self.points, candidate, self.problem.activation)
        if self.draft is None or not candidate.objective > 0.0:
            return math.inf, 0.0
        excess = self.draft.bound / (2.0 * self.problem.lam) - 1.0
        return excess, abs(1.0 - dual_value(self.problem, candidate.G) / candidate.objective)


def moment_bounds(
    problem: Problem,
    space: Coordinates,
    neurons: Neurons,
    gap_left: Callable[[], float],
    stop: Callable[[float], bool],
    seed: int,
    early: int = EARLY,
) -> Iterator[DualBound]:
    """Proven lower bounds, each better than those before, until `stop` or until they no longer rise.

    neurons: a network to start from, in the coordinates of `space`. gap_left: upper − lower at this moment. stop: whether it is too
    late for what takes so many seconds. early: candidates of the first-order method before the interior-point method. Numbers that
    floating point does not hold end it, too: what was proven stays.
    """
    try:
        yield from _bounds(problem, space, neurons, gap_left, stop, seed, early)
    except (np.linalg.LinAlgError, ArithmeticError, ValueError):
        return


def _bounds(
    problem: Problem,
    space: Coordinates,
    neurons: Neurons,
    gap_left: Callable[[], float],
    stop: Callable[[float], bool],
    seed: int,
    early: int,
) -> Iterator[DualBound]:
    if not len(neurons.W):
        return
    judge = _Judge(problem, space.points)
    relaxation = Relaxation(problem, space.points, neurons.W, neurons.V, seed)
    best, idle, reference = -math.inf, 0, -math.inf
    began, count, good = time.monotonic(), 0, None
    for candidate in candidates(relaxation, judge, lambda: stop(0.0)):
        draft = judge.draft
        idle, count = idle + 1, count + 1
        if draft is not None and math.isfinite(draft.bound) and draft.bound > 0.0:
            limit = 2.0 * problem.lam / draft.bound
            if dual_value(problem, best_scale(problem, candidate.G, limit) * candidate.G) > best:
                good = candidate, draft, relaxation.moments()
                found = _proven(problem, space, candidate, draft)
                if found is not None and found.value > best:
                    best = found.value
                    yield found
        if not best - reference <= PROGRESS * gap_left():
            reference, idle = best, 0
        few = (draft is not None and _products(draft) <= PRODUCTS) or stop(time.monotonic() - began)
        if good is not None and few and count >= early and (count - early) % AGAIN == 0:
            program = _interior(problem, space, *good)
            if program is not None and not stop(LEAST_STEPS * program.seconds):
                yield from _finish(problem, space, program, best, gap_left, stop)
                return
        if idle >= PATIENCE:
            return


def _products(draft: Draft) -> float:
    """Products with a multiplier, for each coordinate of the quadratic forms."""
    return sum(len(part.first) for part in draft.parts) / sum(len(S) for S in draft.matrices)


def _interior(
    problem: Problem, space: Coordinates, candidate: Candidate, draft: Draft, moments: list[np.ndarray]
) -> interior.Interior | None:
    """The interior-point method at a repaired candidate; None if this is not for it."""
    if not interior.suits(problem):
        return None
    lengths = np.ldexp(1.0, -2 * draft.at.exponents)
    program = interior.Interior(problem, space.points)
    repaired = [(part.cost, lengths * part.linear) for part in draft.parts]
    return program if program.start(candidate, repaired, moments) else None


def _finish(
    problem: Problem,
    space: Coordinates,
    program: interior.Interior,
    best: float,
    gap_left: Callable[[], float],
    stop: Callable[[float], bool],
) -> Iterator[DualBound]:
    """The bounds of the interior-point method, then of regions of w, as many of them as there is time for."""
    following: interior.Interior | None = program
    gentle: interior.Interior | None = None
    jumps, start = True, -math.inf
    while following is not None:
        program, following = following, None
        # Regions that begin at a centre of their own either rise from the first steps on, or fall for long: then the other start.
        watched, other, gentle = (TRIED if start > -math.inf else 0), gentle, None
        last: tuple[float, Candidate] | None = None
        proven = -math.inf
        late, divides = False, True

        def is_late(program: interior.Interior = program) -> bool:
            nonlocal late
            late = stop(program.seconds + _certifying(problem, space, len(program.blocks)))
            return late

        for number, (candidate, left) in enumerate(interior.finish(program, is_late), 1):
            value = dual_value(problem, candidate.G)
            if last is None or value > last[0]:
                last = value, candidate
            if last[0] > best + WORTH * gap_left():
                proven = last[0]
                found = _attempt(problem, space, last[1], best)
                if found is not None:
                    best = found.value
                    yield found
            if number == watched and value < start and other is not None and _fits(problem, space, other, stop):
                following, jumps = other, False
                break
            if gentle is None and left < DIVIDING * abs(value) and any(k is not None for k in program.doubtful()):
                gentle = program.divided(program.doubtful())
            if divides and gentle is not None and left < ENOUGH[0] * gap_left():
                divides = False
                if jumps:
                    following = _divided(problem, space, program, max(left, LEAST_START * gap_left()), stop)
                elif _fits(problem, space, gentle, stop):
                    following, gentle = gentle, None
            if following is not None or left < ENOUGH[1] * gap_left():
                break
        start = value if following is not None and jumps else -math.inf
        if last is not None and last[0] > max(best, proven):
            found = _attempt(problem, space, last[1], best)
            if found is not None:
                best = found.value
                yield found
        if late:
            return


def _fits(problem: Problem, space: Coordinates, program: interior.Interior, stop: Callable[[float], bool]) -> bool:
    """Whether there is room, and time for the steps and for the certificate."""
    seconds = STEPS_OF_REGIONS * program.seconds + _certifying(problem, space, len(program.blocks))
    return program.memory <= MEMORY and not stop(seconds)


def _divided(
    problem: Problem, space: Coordinates, program: interior.Interior, left: float, stop: Callable[[float], bool]
) -> interior.Interior | None:
    """All regions split, and split again, as often as there is time for the steps and the certificate: every solve takes as many
    steps, however many regions there were before. left: the gap between X and S that the complementarity stands for."""
    found, now, mu = None, program, left / program.count
    for _ in range(SPLITS):
        points = now.doubtful()
        if all(point is None for point in points):
            break
        now = now.divided(points, mu)
        if not _fits(problem, space, now, stop):
            break
        found = now
    return found


def _certifying(problem: Problem, space: Coordinates, parts: int) -> float:
    """The seconds that the certificate of so many forms takes more than is kept for it."""
    return certificate_seconds(problem, space.points, parts) - certificate_seconds(problem, space.points)


def _attempt(problem: Problem, space: Coordinates, candidate: Candidate, best: float) -> DualBound | None:
    """The proven bound of a candidate, if it is better."""
    draft = estimate(space.points, candidate, problem.activation)
    found = None if draft is None else _proven(problem, space, candidate, draft)
    return found if found is not None and found.value > best else None


def _proven(problem: Problem, space: Coordinates, candidate: Candidate, draft: Draft) -> DualBound | None:
    proof = prove(draft)
    if proof is None:
        return None
    lipschitz = problem.activation.lipschitz
    bound = space.upper_bound(proof.bound, candidate.G, lipschitz)
    defect = problem.loss.exact_dual_defect(candidate.G)
    if defect > 0.0:
        bound = (bound + defect * space.norm * lipschitz) * (1.0 + 2.0**-50)
    found = dual_lower_bound(problem, candidate.G, bound, "moments", proof, Frame(space, 0, 0))
    return found if math.isfinite(found.value) else None
