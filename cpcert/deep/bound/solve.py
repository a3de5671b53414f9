"""`solve` at depth ≥ 3: a network, and a proven interval for the global minimum over networks of any widths.

The network comes from deep/solve.py; the lower bound from minimum.py, cheapest first, and it counts once the exact
checker has accepted its certificate (certificate.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cpcert.deep.bound.certificate import DeepCertificate, certify_deep
from cpcert.deep.bound.items import Item
from cpcert.deep.bound.minimum import Candidate, box_candidates, norms_candidate, top_candidates
from cpcert.deep.bound.tree import compile_kernels
from cpcert.deep.solve import DeepResult, solve_deep
from cpcert.frank_wolfe.result import relative_gap
from cpcert.network import Network, loss_upper
from cpcert.parallel import OutOfTime, out_of_time_at
from cpcert.problem import Problem
from cpcert.status import Status, notes_of

# The part of the time limit for the network and its layers.
NETWORK = 0.4
# What a target is below the least value found, as a part of the gap asked for, or where that is more, of the gap that is
# left, but not of more than a part of the value: it sets how many rungs a ladder has.
ROOM, LEFT, LOST = 0.1, 0.01, 0.02
# The part of the time for the search; the rest is for the certificate. Certificates on the way, for what is cut short,
# have this part of the time so far.
SEARCH, ON_THE_WAY = 0.7, 0.1
# Classes of directions and of top neurons take turns, each two so long, in parts of the search; the rest is for the kind
# that has proven more by then.
TURNS = (0.1, 0.1, 0.15, 0.15)
# What comes after the time limit, the last certificate, has this part of it and so many seconds.
LATER, SECONDS = 0.2, 2.0


@dataclass(frozen=True, eq=False)
class GlobalBound:
    """lower ≤ P*, proven by the certificate (None: nothing is). kind: norms, or the largest number of classes in a box
    (of directions, or "of top neurons"). ending: what ended the search, or the writing of certificates, before
    its end (None: nothing did)."""

    certificate: DeepCertificate | None
    kind: str | None
    seconds: float
    ending: Status | None = None

    @property
    def lower(self) -> float | None:
        """The proven bound."""
        return None if self.certificate is None else self.certificate.lower


def global_bound(
    problem: Problem, network: Network, *, gap: float = 1e-2, time_limit: float = 30.0, deadline: float | None = None
) -> GlobalBound:
    """The best lower bound of the minimum over all networks of this depth that the time allows, with its certificate.

    network: its loss is the upper side; good networks make good bounds. The search stops at a relative gap of `gap`. At
    the deadline, a `time.monotonic()`, everything stops, as with Ctrl-C: what has a certificate by then is returned.
    """
    compile_kernels()
    started = time.monotonic()
    upper = loss_upper(network, problem)

    def certified(one: Candidate) -> GlobalBound:
        room = max(ROOM * gap * abs(upper), min(LEFT * max(upper - one.value, 0.0), LOST * abs(one.value)))
        target = min(one.value * (1.0 - 1e-9), upper) - room
        found = None
        with suppress(ArithmeticError, np.linalg.LinAlgError):
            found = certify_deep(problem, network, one.items, max(target, 0.5 * one.value), one.proof, one.basis)
        return GlobalBound(found, one.kind, time.monotonic() - started)

    best, reached = GlobalBound(None, None, 0.0), -math.inf

    def raise_to(found: list[Candidate]) -> None:
        """The best of the candidates that gets a certificate, where it is better than what has one."""
        nonlocal best, reached
        failed: list[Item] | None = None
        for one in sorted(found, key=lambda one: -one.value):
            if one.value <= reached or (best.lower is not None and one.value <= best.lower):
                break
            # What the same search found before may cost as much in vain.
            if one.items is failed and time.monotonic() >= started + time_limit:
                continue
            better, failed = certified(one), one.items
            if better.lower is not None and (best.lower is None or better.lower > best.lower):
                best, reached = better, one.value
                break

    ending: Status | None = None
    try:
        with out_of_time_at(deadline):
            best = certified(norms_candidate(problem, network, upper))
            spent, found, end = 0.0, [], started + SEARCH * time_limit
            for one in candidates(problem, network, upper, gap, end):
                found.append(one)
                now = time.monotonic()
                if spent <= ON_THE_WAY * (now - started):
                    raise_to(found)
                    spent += time.monotonic() - now
            raise_to(found)
            if time.monotonic() >= end and found and all(one.value < (1.0 - gap) * upper for one in found):
                ending = Status.TIME_LIMIT
    except OutOfTime:
        ending = Status.TIME_LIMIT
    except KeyboardInterrupt:
        ending = Status.INTERRUPTED
    except MemoryError:
        ending = Status.MEMORY_LIMIT
    except (ArithmeticError, np.linalg.LinAlgError):
        ending = Status.NUMERICAL_FAILURE
    return replace(best, ending=ending)


def candidates(problem: Problem, network: Network, upper: float, gap: float, deadline: float) -> Iterator[Candidate]:
    """The bounds of both kinds of classes, until one is below `gap`, the time is up, or no more can be gained."""
    started = time.monotonic()
    end = deadline
    every = [search(problem, network, upper, gap, deadline, lambda: end) for search in (box_candidates, top_candidates)]
    searches = [search for search in every if search is not None]
    best = [-math.inf for _ in searches]
    left, turn = list(range(len(searches))), 0
    while left:
        if len(left) == 1 or turn >= len(TURNS):
            k, end = max(left, key=lambda k: best[k]), deadline
        else:
            k, end = turn % len(searches), started + sum(TURNS[: turn + 1]) * (deadline - started)
        one = next(searches[k], None)
        if one is None:
            left.remove(k)
            continue
        best[k] = max(best[k], one.value)
        yield one
        if one.value >= (1.0 - gap) * upper or time.monotonic() >= deadline:
            return
        if time.monotonic() >= end:
            turn += 1


def solve_global(
    problem: Problem,
    *,
    gap: float = 1e-2,
    time_limit: float = 60.0,
    deadline: float | None = None,
    callback: Callable[..., Any] | None = None,
    **options: Any,
) -> DeepResult:
    """A network of depth ≥ 3 with a low loss, and a proven interval for the global minimum; gap, status and scope are
    about it.

    The layers keep their gaps given their neighbours. deadline: a `time.monotonic()` at which also the certificate is
    cut short; 1.2 times the time limit and two seconds from now, if there is none. options: those of `solve_deep`.
    Raises InputError as it does.
    """
    compile_kernels()
    started = time.monotonic()
    if deadline is None:
        deadline = started + (1.0 + LATER) * time_limit + SECONDS
    found = solve_deep(problem, gap=gap, time_limit=NETWORK * time_limit, callback=callback, **options)
    result = replace(found, scope="global", notes=())
    if result.network is None or result.upper is None or result.status == Status.INTERRUPTED:
        return result
    if not math.isfinite(result.upper):
        return replace(result, status=Status.NUMERICAL_FAILURE, notes=notes_of(Status.NUMERICAL_FAILURE, problem))
    left = max(time_limit - (time.monotonic() - started), 0.0)
    # Large networks may have taken all the time; a bound has its own all the same.
    latest = max(deadline, time.monotonic() + LATER * time_limit + SECONDS)
    bound = global_bound(problem, result.network, gap=gap, time_limit=left, deadline=latest)
    upper, lower = result.upper, bound.lower
    if bound.certificate is not None and bound.certificate.upper is not None:
        upper = bound.certificate.upper
    reached = relative_gap(upper, lower)
    seconds = time.monotonic() - started
    if reached is not None and reached <= gap:
        status = Status.OPTIMAL
    else:
        status = bound.ending or Status.GAP_OPEN
    return replace(
        result, status=status, notes=notes_of(status, problem), upper=upper, lower=lower, gap=reached,
        seconds=seconds, certificate=bound.certificate, bound=bound.kind,
    )  # fmt: skip
