"""Covers of the output directions (oracle/directions.py) as the integers of SPEC.md, "Directions"."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cpcert.certificate.task import Attempt, Task
from cpcert.certificate.trees import Writer, trimmed_or_whole
from cpcert.oracle.directions import DirectionProof


def directions(task: Task, proof: DirectionProof) -> Iterator[Attempt]:
    """The writer of `DirectionProof`."""

    def written(trim: bool) -> Writer:
        """The vertices with their trees and the bisections."""
        writer = Writer(task.frame, proof.proofs, trim, task.clock)
        given = 2 * len(proof.reduction.H)
        for number, tree in enumerate(proof.proofs):
            if number >= given:
                writer.append(proof.edges[number])
            writer.write(tree)
        writer.append([len(proof.splits), *proof.splits.ravel().tolist()])
        return writer

    for slack, writer in trimmed_or_whole(written):
        arrays = {**writer.arrays(), **_normals(task, proof, slack)}
        yield task.attempt(task.raised(slack), {"kind": "directions", "grid": writer.grid}, arrays)


def _normals(task: Task, proof: DirectionProof, slack: float) -> dict[str, np.ndarray]:
    """The values of the vertices, the normals of the cones and the reduction, in the numbers before the frame."""
    frame = task.frame
    values = np.ldexp(proof.values, frame.unit) * (1.0 + 0.25 * slack)
    normals = np.ldexp(proof.normals, frame.unit) * (1.0 + 0.5 * slack)
    order = sorted(range(len(proof.cones)), key=lambda c: tuple(proof.cones[c].tolist()))
    arrays = {"values": values, "normals": normals[order].ravel()}
    if len(proof.reduction.H) < len(task.G):
        H = np.ldexp(proof.reduction.H, frame.g)
        arrays |= {"output_basis": proof.reduction.basis.ravel(), "outputs": H.ravel()}
    return arrays
