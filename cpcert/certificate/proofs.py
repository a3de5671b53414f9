"""Which writer writes which proof.

To add a kind of proof: the dataclass of its rung in oracle/, a writer for it in a file here (task.py says what that is),
a line below, a section of SPEC.md, and a function of the checker (check.py) for the new `kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cpcert.certificate.cells import cells
from cpcert.certificate.directions import directions
from cpcert.certificate.moments import moments
from cpcert.certificate.plane import plane
from cpcert.certificate.spatial import spatial
from cpcert.certificate.spectral import spectral
from cpcert.certificate.task import Attempt, Task
from cpcert.certificate.trees import signed
from cpcert.moments.repair import MomentProof
from cpcert.oracle.cells import CellProof
from cpcert.oracle.directions import DirectionProof
from cpcert.oracle.one_output import SignedProof
from cpcert.oracle.plane import PlaneProof
from cpcert.oracle.spatial import SpatialProof
from cpcert.oracle.spectral import SpectralProof

WRITERS: dict[type, Callable[[Task, Any], Iterator[Attempt]]] = {
    PlaneProof: plane,
    SpectralProof: spectral,
    SpatialProof: spatial,
    SignedProof: signed,
    DirectionProof: directions,
    CellProof: cells,
    MomentProof: moments,
}
