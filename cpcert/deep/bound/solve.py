"""`solve` at depth ≥ 3: a network, and a proven interval for the global minimum over networks of any widths.

The network comes from deep/solve.py; the lower bound from minimum.py, cheapest first, and it counts once the exact
checker has accepted its certificate (certificate.py).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cpcert.deep.bound.certificate import DeepCertificate, certify_deep
from cpcert.deep.bound.minimum import Candidate, norms_candidate, tree_candidates
from cpcert.deep.bound.tree import compile_kernels
from cpcert.deep.solve import DeepResult, solve_deep
from cpcert.frank_wolfe.solve import relative_gap
from cpcert.network import Network, loss_upper
from cpcert.problem import Problem

# The part of the time limit for the network and its layers.
NETWORK = 0.4
# What a target is below the least value found, as a part of the gap asked for.
ROOM = 0.1
# The part of the time for the search; the rest is for the certificate.
SEARCH = 0.7


@dataclass(frozen=True, eq=False)
class GlobalBound:
    """lower ≤ P*, proven by the certificate (None: nothing is). kind: norms, or the number of classes of directions.
    limit: what this kind of bound cannot exceed, in floating point (inf: not known)."""

    certificate: DeepCertificate | None
    kind: str | None
    limit: float
    seconds: float

    @property
    def lower(self) -> float | None:
        """The proven bound."""
        return None if self.certificate is None else self.certificate.lower


def global_bound(problem: Problem, network: Network, *, gap: float = 1e-2, time_limit: float = 30.0) -> GlobalBound:
    """The best lower bound of the minimum over all networks of this depth that the time allows, with its certificate.

    network: its loss is the upper side; good networks make good bounds. The search stops at a relative gap of `gap`.
    """
    compile_kernels()
    started = time.monotonic()
    upper = loss_upper(network, problem)
    candidates: list[Candidate] = [norms_candidate(problem, network, upper)]
    best: GlobalBound | None = None
    with contextlib.suppress(MemoryError):
        candidates += tree_candidates(problem, network, upper, gap, started + SEARCH * time_limit)
    for one in sorted(candidates, key=lambda one: -one.value):
        target = min(one.value * (1.0 - 1e-9), upper) - ROOM * gap * abs(upper)
        found = certify_deep(
            problem, network, one.items, max(target, 0.5 * one.value), one.ladders, one.cover, one.group, one.basis
        )
        seconds = time.monotonic() - started
        if best is None or (found is not None and found.lower is not None):
            best = GlobalBound(found, one.kind, one.limit, seconds)
        if found is not None and found.lower is not None:
            break
    assert best is not None
    return best


def solve_global(
    problem: Problem,
    *,
    gap: float = 1e-2,
    time_limit: float = 60.0,
    callback: Callable[..., Any] | None = None,
    **options: Any,
) -> DeepResult:
    """A network of depth ≥ 3 with a low loss, and a proven interval for the global minimum; gap, status and scope are
    about it.

    The layers keep their gaps given their neighbours. options: those of `solve_deep`. Raises InputError as it does.
    """
    started = time.monotonic()
    result = solve_deep(problem, gap=gap, time_limit=NETWORK * time_limit, callback=callback, **options)
    if result.network is None or result.upper is None or result.status == "interrupted":
        return replace(result, scope="global")
    left = max(time_limit - (time.monotonic() - started), 0.0)
    try:
        bound = global_bound(problem, result.network, gap=gap, time_limit=left)
    except KeyboardInterrupt:
        return replace(result, scope="global", status="interrupted", message="interrupted before a bound was proven")
    upper, lower = result.upper, bound.lower
    if bound.certificate is not None and bound.certificate.upper is not None:
        upper = bound.certificate.upper
    reached = relative_gap(upper, lower)
    if reached is not None and reached <= gap:
        status, message = "optimal", f"the gap of {gap:g} is proven for the global minimum"
    elif time.monotonic() - started >= time_limit:
        status, message = "time_limit", ""
    else:
        status, message = "stalled", "the bound for deep networks ends here; more time does not help"
    return replace(
        result, scope="global", status=status, message=message, upper=upper, lower=lower, gap=reached,
        seconds=time.monotonic() - started, certificate=bound.certificate, bound=bound.kind,
    )  # fmt: skip
