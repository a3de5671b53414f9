"""The proof for points of rank ≤ 2: the checker sweeps over the arcs itself, and needs nothing but the bound."""

from __future__ import annotations

from collections.abc import Iterator

from cpcert.certificate.task import SLACKS, Attempt, Task
from cpcert.oracle.plane import PlaneProof


def plane(task: Task, proof: PlaneProof) -> Iterator[Attempt]:
    """The writer of `PlaneProof`."""
    oracle = {"kind": "plane"}
    for slack in SLACKS:
        if task.problem.n > 2:
            yield task.attempt(task.raised(slack), oracle, {})
        else:  # of the points themselves, whatever their rank; and the search has computed what the checker computes
            yield Attempt(task.oracle_bound if slack == SLACKS[0] else task.raised(slack), oracle, {})
