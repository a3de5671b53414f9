"""The certificate decides: a result claims what its certificate proves, and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cpcert.certificate import build
from cpcert.certificate.build import NOW, Checking
from cpcert.parallel import OutOfTime, late, out_of_time_at
from cpcert.printing import enclosure, rounded_up
from cpcert.status import Status, notes_of

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate
    from cpcert.frank_wolfe.result import SolveResult
    from cpcert.problem import Problem

# A gap larger by this factor than that of the search is worth a word, if it is above the one asked for.
WEAKER = 1.01


def certified(
    result: SolveResult, deadline: float | None = None, checking: Checking = NOW
) -> tuple[SolveResult, Certificate | None]:
    """The result with the bounds that its certificate proves, and the certificate.

    Where it proves less than the solver claimed, the result claims less. An interruption, and a deadline (a
    `time.monotonic()`) that passes, leave the solver's own proven bounds, without a certificate.
    """
    found, missing = certify_in_time(result, deadline, checking)
    if found is not None and not found.checked:
        return unchecked(result, found), found
    if missing:
        return replace(result, notes=(*result.notes, missing)), None
    if result.status == Status.INFEASIBLE:
        if found is not None:
            return result, found
        return replace(result, status=Status.INFEASIBILITY_UNPROVEN, notes=(), infeasibility=None), None
    lower, upper, gap = (None, None, None) if found is None else (found.lower, found.upper, found.gap)
    proven = replace(result, lower=lower, upper=upper, gap=gap)
    if result.status == Status.OPTIMAL and (gap is None or gap > result.requested_gap):
        status, notes = weaker_ending(result.problem, deadline)
        proven = replace(proven, status=status, notes=notes)
    elif result.gap is not None and (gap is None or gap > max(WEAKER * result.gap, result.requested_gap)):
        less = f"the search proved a gap of {rounded_up(result.gap)}, the certificate proves less"
        proven = replace(proven, notes=(*result.notes, less))
    return proven, found


def unchecked(result: SolveResult, found: Certificate) -> SolveResult:
    """The result of a run whose certificate nobody has checked: it claims nothing, and says what the file does."""
    claims = f"the file claims that the global minimum is {enclosure(found.lower, found.upper)}"
    return replace(result, status=Status.UNCHECKED, lower=None, upper=None, gap=None, notes=(claims,))


def certify_in_time(
    result: SolveResult, deadline: float | None, checking: Checking = NOW
) -> tuple[Certificate | None, str]:
    """(the certificate, nothing to say), or (None, why there is none although there may be one, and what the bounds rest on).

    (None, "") where the certificate claims nothing. One that claims less for want of time is not taken.
    """
    try:
        with out_of_time_at(deadline):
            found = build.certify(result, deadline, checking)
    except KeyboardInterrupt as cut:
        return None, _without_certificate(cut)
    if late(deadline) if found is None else found.weakened:
        return None, _without_certificate(OutOfTime())
    return found, ""


def weaker_ending(problem: Problem, deadline: float | None) -> tuple[Status, tuple[str, ...]]:
    """The ending, and its notes, of a run whose certificates prove less than the gap that was asked for."""
    status = Status.CERTIFICATE_WEAKER
    hurry = ("the time limit left no time for more: raise --time-limit",) if late(deadline) else ()
    return status, (*notes_of(status, problem), *hurry)


def _without_certificate(cut: KeyboardInterrupt) -> str:
    why = "the time limit came first; raise --time-limit" if isinstance(cut, OutOfTime) else "interrupted"
    return f"no certificate was written ({why}), the bounds are proven by the search alone"
