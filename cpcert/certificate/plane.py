"""The proof for points of rank ≤ 2: the checker sweeps over the arcs itself, and needs nothing but the bound."""

from __future__ import annotations

from collections.abc import Iterator

from cpcert.certificate.task import SLACKS, Attempt, Task
from cpcert.oracle.plane import PlaneProof


def plane(task: Task, proof: PlaneProof) -> Iterator[Attempt]:
    """The writer of `PlaneProof`."""
    for slack in SLACKS:
        # In the plane itself the search has computed what the checker computes.
        as_found = slack == SLACKS[0] and task.problem.n <= 2
        yield task.attempt(task.oracle_bound if as_found else task.raised(slack), {"kind": "plane"}, {})
