"""The certificate of an earlier run as the beginning of another: its network to start from, its bounds to keep.

The sides of a certificate are independent of each other: each has its entry in the header and its arrays. So the better sides of
two certificates of one problem make a certificate, which is checked like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cpcert.certificate import check
from cpcert.certificate.build import Certificate
from cpcert.certificate.clock import Clock
from cpcert.certificate.file import write
from cpcert.certificate.reading import ClaimKind, certificate_bytes, claim_of
from cpcert.certificate.shares import checked
from cpcert.errors import InputError
from cpcert.frank_wolfe.result import SolveResult, relative_gap
from cpcert.frank_wolfe.trace import TraceRecord
from cpcert.network import Network
from cpcert.parallel import HERE, Workers
from cpcert.problem import Problem
from cpcert.status import Status

# The arrays of the upper bound and those of the problem; all others belong to the lower bound.
OF_UPPER, OF_PROBLEM = ("W1", "W2", "repair_W", "repair_B"), ("X", "Y", "weights")


@dataclass(frozen=True, eq=False)
class Kept:
    """A certificate of depth 2 that the checker has accepted. network: that of the upper bound. seconds: what the check took."""

    path: Path
    certificate: Certificate
    network: Network | None
    seconds: float


def read_kept(path: Path, problem: Problem, workers: Workers = HERE) -> Kept:
    """Check the certificate in `path`, or the one beside the result (.json) or the network (.safetensors) of that path.

    Raises InputError if it is not there, is rejected, or is not about the minimum of this problem.
    """
    if path.suffix in (".json", ".safetensors"):
        path = path.with_suffix(".cpcert")
    began = time.monotonic()
    try:
        content = certificate_bytes(path)
        claim = claim_of(content, workers)
    except check.Rejected as error:
        raise InputError(f"{path}: the certificate is rejected ({error})") from None
    seconds = time.monotonic() - began
    if claim.kind is not ClaimKind.MINIMUM or claim.sha256 != problem.sha256:
        raise InputError(f"{path}: is not about the minimum of this problem; give the certificate of this instance")
    _, arrays = check.parse(content)
    network = None
    if claim.upper is not None:
        bias = int(problem.beta != 0.0)
        first = np.asarray(arrays["W1"], dtype=float).reshape(-1, problem.n0 + bias)
        second = np.asarray(arrays["W2"], dtype=float).reshape(problem.m, len(first) + bias)
        network = Network((first, second), problem.activation, problem.beta, problem.units)
    return Kept(path, Certificate(content, "minimum", claim.lower, claim.upper), network, seconds)


def already(kept: Kept, problem: Problem, gap: float) -> SolveResult | None:
    """The result of a run that has nothing to do, as the certificate proves the gap; None if it does not."""
    found = kept.certificate
    if kept.network is None or found.gap is None or found.gap > gap:
        return None
    seconds, width = kept.seconds, kept.network.width or 0
    record = TraceRecord(0, "resumed", found.upper, found.lower, found.gap, None, None, 0, width, seconds)
    notes = (f"{kept.path} proves it",)
    return SolveResult(
        problem, Status.OPTIMAL, found.upper, found.lower, found.gap, kept.network, 0, seconds, [record], gap, notes
    )


def until_closed(
    kept: Kept, gap: float, callback: Callable[[TraceRecord], object]
) -> Callable[[TraceRecord], bool | None]:
    """A callback for `solve` that passes the better bounds on and ends the run when they are within the gap."""

    def step(record: TraceRecord) -> bool:
        better = better_record(kept, record)
        callback(better)
        return better.gap is not None and better.gap <= gap

    return step


def better_record(kept: Kept, record: TraceRecord) -> TraceRecord:
    """The record with the better of its bounds and those of the certificate."""
    lower, upper = _better(record, kept.certificate)
    return replace(record, lower=lower, upper=upper, gap=relative_gap(upper, lower))


def _better(one: Any, other: Any) -> tuple[float | None, float | None]:
    """(lower, upper): the better side of two intervals, of which sides may be None."""
    lowers = [side.lower for side in (one, other) if side.lower is not None]
    uppers = [side.upper for side in (one, other) if side.upper is not None]
    return max(lowers, default=None), min(uppers, default=None)


def joined(
    kept: Kept, found: Certificate | None, workers: Workers = HERE, deadline: float | None = None
) -> Certificate | None:
    """The certificate of the better sides of both, which the checker accepts; None if it does not, or not in time, or if nothing
    was found."""
    old = kept.certificate
    if found is None:
        return None
    bounds = _better(found, old)
    for one in (found, old):
        if (one.lower, one.upper) == bounds:
            return one
    if Clock(deadline).left() < kept.seconds:
        return None
    sides = (found, old) if found.lower == bounds[0] else (old, found)
    (below, lower), (above, upper) = (check.parse(side.content) for side in sides)
    arrays = {name: values for name, values in upper.items() if name in (*OF_PROBLEM, *OF_UPPER)}
    arrays |= {name: values for name, values in lower.items() if name not in arrays and name not in OF_UPPER}
    content = write({**above, "lower": below["lower"]}, {name: np.asarray(values) for name, values in arrays.items()})
    try:
        claim = checked(content, workers)
    except check.Rejected:
        return None
    return Certificate(content, "minimum", claim["lower"], claim["upper"])


def continued(result: SolveResult, kept: Kept, proof: Certificate | None, note: str = "") -> SolveResult:
    """The result with the better of its bounds and those kept, or, where there is one, with those that `proof` proves."""
    lower, upper = (proof.lower, proof.upper) if proof is not None else _better(result, kept.certificate)
    gap = relative_gap(upper, lower)
    closed = gap is not None and gap <= result.requested_gap
    notes = () if closed and result.status != Status.OPTIMAL else result.notes
    return replace(
        result,
        status=Status.OPTIMAL if closed else result.status,
        lower=lower,
        upper=upper,
        gap=gap,
        network=result.network if result.upper == upper else kept.network,
        notes=(*notes, note) if note else notes,
        trace=[better_record(kept, record) for record in result.trace],
    )
