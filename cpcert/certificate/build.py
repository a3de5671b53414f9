"""From a solve result to a certificate: the numbers of SPEC.md, found in floating point, believed only after the check.

The builder uses the checker's own functions for everything exact, so the two cannot disagree on a formula; whatever it
writes is checked once more, from the bytes, before it is returned. The proof of the lower bound is written by the
writer of its kind (proofs.py), whose attempts are tried in turn. Where no proof of the search survives, or none can be
written and checked before a deadline, the norms of spectral.py, which cost next to nothing, prove what they can.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from cpcert import __version__
from cpcert.certificate import check
from cpcert.certificate.clock import NO_PROOF, NOT_TRIMMED, Clock, Late, check_seconds, network_seconds
from cpcert.certificate.file import as_arrays, exact_problem, problem_arrays, problem_header, rational_text, write
from cpcert.certificate.proofs import WRITERS
from cpcert.certificate.shares import checked
from cpcert.certificate.stored import Stored
from cpcert.certificate.task import Attempt, Task
from cpcert.errors import ProofError
from cpcert.frank_wolfe.bounds import DualBound, best_scale
from cpcert.frank_wolfe.interpolation import relations, repair_neurons
from cpcert.frank_wolfe.result import SolveResult, relative_gap
from cpcert.network import Network
from cpcert.oracle.coordinates import unchanged
from cpcert.oracle.frame import frame_of
from cpcert.oracle.spectral import SpectralProof, spectral_bound
from cpcert.parallel import HERE, Workers
from cpcert.problem import Problem
from cpcert.rounding import round_down, round_up

log = logging.getLogger(__name__)

# Parts of the best scale that are tried: rounding may have put it a little outside the domain; D(0) ≥ 0 is always there.
PARTS = (1.0, 1.0 - 2.0**-50, 1.0 - 2.0**-40, 0.5, 0.0)
# A file that is not checked here gets the first attempt with at least this slack: the tightest ones may fail.
UNCHECKED_SLACK = 2.0**-27


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Stored):
    """A certificate that the checker accepts. content: the file. lower ≤ P* ≤ upper (None: not claimed); gap = relative_gap.

    claim: "minimum" or "infeasible". skipped: what a deadline left out, each a phrase like "trimming the proof"; without
    one, it is empty. checked: False if the checker was not asked: then all of this is only what the file says.
    """

    content: bytes
    claim: str
    lower: float | None
    upper: float | None
    skipped: tuple[str, ...] = ()
    checked: bool = True

    @property
    def weakened(self) -> bool:
        """Whether the deadline cost a bound, not only room in the file."""
        return any(what != NOT_TRIMMED for what in self.skipped)

    @property
    def gap(self) -> float | None:
        """(upper − lower)/|upper|, rounded up; absolute if upper is 0."""
        return relative_gap(self.upper, self.lower)


@dataclass(frozen=True, eq=False)
class Checking:
    """How certificates are checked. workers: who does it. later: not now, if there is a proof of a lower bound to check.

    announce: called with the predicted seconds of a check before it begins.
    """

    workers: Workers = HERE
    later: bool = False
    announce: Callable[[float], None] | None = None


NOW = Checking()


def certify(result: SolveResult, deadline: float | None = None, checking: Checking = NOW) -> Certificate | None:
    """The certificate of what a result claims; None if it claims nothing that can be certified.

    A side that cannot be certified is left out, so that the certificate claims less rather than nothing. deadline: a
    `time.monotonic()`. A step is begun only if its predicted end is before it: first trimming is skipped, then further tries
    with a larger slack, then the proof of the search in favour of the spectral bound, then that side. `skipped` of the certificate
    says which; None, too, where nothing could be done in time. checking: by whom, and whether now.
    """
    problem = result.problem
    clock = Clock(deadline)
    arrays: dict[str, Any] = problem_arrays(problem)
    header: dict[str, Any] = {"created_by": f"cpcert {__version__}", "problem": problem_header(problem)}
    if result.infeasibility is not None:
        relation = [[i, rational_text(c)] for i, c in enumerate(result.infeasibility.relation) if c]
        content = write({**header, "claim": "infeasible", "relation": relation}, arrays)
        return Certificate(content, "infeasible", None, None) if _accepted(content) else None
    exact = exact_problem(problem)
    upper: dict[str, Any] | None = None
    upper_arrays: dict[str, np.ndarray] = {}
    if result.network is not None:
        try:
            upper, upper_arrays = _upper(problem, exact, result.network, clock)
        except Late:
            clock.skipped.append("the upper bound")
    header |= {"claim": "minimum", "upper": upper}
    value = None if upper is None else upper["value"]
    if result.dual is not None:
        accepted = _accepted_lower(problem, exact, result.dual, header, {**arrays, **upper_arrays}, clock, checking)
        if accepted is not None:
            return Certificate(accepted[0], "minimum", accepted[1], value, tuple(clock.skipped), not checking.later)
    if (
        upper is None
        or result.network is None
        or clock.left() < network_seconds(problem, len(result.network.weights[0]))
    ):
        return None
    content = write({**header, "lower": None}, {**arrays, **upper_arrays})
    return Certificate(content, "minimum", None, value, tuple(clock.skipped)) if _accepted(content) else None


def _accepted_lower(
    problem: Problem,
    exact: check.Problem,
    dual: DualBound,
    header: dict[str, Any],
    arrays: dict[str, Any],
    clock: Clock,
    checking: Checking,
) -> tuple[bytes, float] | None:
    """The file with a lower bound that the checker accepts, and that bound; None if there is none, or none in time."""
    for source, what in _sources(problem, dual):
        writer = WRITERS.get(type(source.proof))
        if writer is None or source.frame is None:
            continue
        task = Task(problem, exact, source.G, source.oracle_bound, source.frame, clock)
        content = b""
        try:
            for attempt in writer(task, source.proof):
                lower = _lower(task, attempt)
                if lower is None or (checking.later and attempt.bound < task.raised(UNCHECKED_SLACK)):
                    continue
                lower_arrays = {"G": source.G.ravel(), **attempt.arrays}
                seconds = (
                    0.0 if checking.later else check_seconds(lower_arrays, problem) / max(checking.workers.count, 1)
                )
                clock.require(seconds)
                before, content = content, write({**header, "lower": lower}, {**arrays, **lower_arrays})
                if checking.announce is not None and not checking.later:
                    checking.announce(seconds)
                if content != before and (checking.later or _accepted(content, checking.workers)):
                    return content, lower["value"]
        except ProofError:
            pass  # nothing may be claimed from this proof
        except Late:
            clock.skipped.append(what)
    return None


def _sources(problem: Problem, dual: DualBound) -> Iterator[tuple[DualBound, str]]:
    """The dual bound of the search, then the same G with a bound by norms, which is weaker and written in no time, unless
    the search has that one already; and what is skipped where the time is too short for it."""
    yield dual, NO_PROOF
    if not isinstance(dual.proof, SpectralProof):
        frame = frame_of(unchanged(problem.X_tilde), dual.G)
        bound, proof = spectral_bound(frame.coordinates().points, frame.outputs(dual.G), problem.activation)
        yield (
            replace(dual, rung="spectral", proof=proof, frame=frame, oracle_bound=frame.bound(bound)),
            "the lower bound",
        )


def _lower(task: Task, attempt: Attempt) -> dict[str, Any] | None:
    """The header of the lower bound D(sG) with the best s that the bound of γ(G) allows; None if no s fits."""
    problem, bound = task.problem, attempt.bound
    limit = 1e300 if bound == 0.0 else round_down(2 * Fraction(problem.lam) / Fraction(bound))
    dual_scale = best_scale(problem, task.G, limit)
    for part in PARTS:
        try:
            value = round_down(check.dual_value(task.exact, *task.exact_G, Fraction(dual_scale * part)))
        except check.Rejected:
            continue
        if value >= 0.0 or part == 0.0:
            return {"value": value, "scale": dual_scale * part, "bound": bound, "oracle": attempt.oracle}
    return None


def _accepted(content: bytes, workers: Workers = HERE) -> bool:
    began, why = time.monotonic(), None
    try:
        checked(content, workers)
    except check.Rejected as error:
        why = error
    answer = "accepted" if why is None else f"rejected ({why})"
    log.debug("certificate of %d bytes %s, %.3f s", len(content), answer, time.monotonic() - began)
    return why is None


def _upper(
    problem: Problem, exact: check.Problem, network: Network, clock: Clock
) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """The header and the arrays of the upper bound; (None, {}) if it cannot be certified. Raises Late."""
    clock.require(2.0 * network_seconds(problem, len(network.weights[0])))
    arrays = {"W1": network.weights[0].ravel(), "W2": network.weights[1].ravel()}
    kinds: list[tuple[str, list[Any], dict[str, np.ndarray]]] = [("network", [], arrays)]
    if problem.loss.is_constraint:
        repaired, fixed = _repair(problem)
        kinds.append(("repaired", fixed, {**arrays, **repaired}))
    for kind, fixed, given in kinds:
        try:
            value = round_up(check.network_loss(exact, kind, fixed, as_arrays(given)))
        except check.Rejected:
            continue
        if math.isfinite(value):
            return {"value": value, "kind": kind, "relations": fixed}, given
    return None, {}


def _repair(problem: Problem) -> tuple[dict[str, np.ndarray], list[Any]]:
    """Neurons W, the approximate inverse B of their features at the points that the relations leave free, and those."""
    known = relations(problem)
    fixed = [[p, [[i, rational_text(c)] for i, c in v.items()]] for p, v in zip(known.pivots, known.basis, strict=True)]
    W, B = repair_neurons(problem, known)
    return {"repair_W": W.ravel(), "repair_B": B.ravel()}, fixed
