"""Integers from which the checker accepts that a matrix of integers is positive semidefinite."""

from __future__ import annotations

import math

import numpy as np

from cpcert.certificate import check

# Bits of the entries of a Cholesky factor.
FACTOR_BITS = 52
# Margins of a positive semidefinite matrix, relative to its diagonal, tried in turn.
MARGINS = (1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8)


def cholesky(S: check.Matrix) -> list[int] | None:
    """The integers from which the checker accepts S ⪰ 0: the exponent and the lower triangle of a factor; None if none."""
    k = len(S)
    if k == 0:
        return [0]
    bits = max((max(S[i][i], 1)).bit_length() for i in range(k))
    bits += bits % 2
    shift = bits - 2 * FACTOR_BITS
    unit = 1 << bits
    floats = np.array([[v / unit for v in row] for row in S])
    if not np.all(np.isfinite(floats)):
        return None
    values, vectors = np.linalg.eigh(0.5 * (floats + floats.T))
    for part in (4.0, 32.0, 256.0):
        margin = part * k * k * 2.0**-53
        root = vectors * np.sqrt(np.clip(values - margin, 0.0, None))
        L = np.asarray(np.linalg.qr(root.T, mode="r")).T
        entries = [[round(math.ldexp(float(v), FACTOR_BITS)) for v in L[i, : i + 1]] for i in range(k)]
        integers = [shift, *(v for row in entries for v in row)]
        if check.semidefinite(S, iter(integers).__next__):
            return integers
    return None
