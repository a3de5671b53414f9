"""Proofs by cones of directions as the arrays of SPEC.md, "Cones"."""

from __future__ import annotations

from typing import Any

import numpy as np

from cpcert.oracle.spatial import SpatialProof

# The bound is raised by at least this: the integers of the frame are those of rounded products in the search.
LEAST_SLACK = 2.0**-33


def cones(proof: SpatialProof, units: tuple[int, int], several: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The oracle and its arrays. units: the powers of two that G and the points were divided by."""
    p, q = proof.bits
    bits = [p, q - sum(units)] if several else [p - sum(units), 0]
    arrays = {"proof": proof.tree.astype(np.int64), "theta": proof.theta.astype(np.int64)}
    return {"kind": "spatial", "bits": bits}, arrays
