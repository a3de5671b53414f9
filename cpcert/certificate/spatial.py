"""Proofs by cones of directions (oracle/spatial.py) as the arrays of SPEC.md, "Cones"."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cpcert.certificate.task import SLACKS, Attempt, Task
from cpcert.oracle.spatial import SpatialProof

# The bound is raised by at least this: the integers of the frame are those of rounded products in the search.
LEAST_SLACK = 2.0**-33


def spatial(task: Task, proof: SpatialProof) -> Iterator[Attempt]:
    """The writer of `SpatialProof`."""
    (p, q), unit = proof.bits, task.frame.unit
    oracle = {"kind": "spatial", "bits": [p, q - unit] if len(task.G) > 1 else [p - unit, 0]}
    arrays = {"proof": proof.tree.astype(np.int64), "theta": proof.theta.astype(np.int64)}
    for slack in sorted({max(slack, LEAST_SLACK) for slack in SLACKS}):
        yield task.attempt(task.raised(slack), oracle, arrays)
