"""Proofs of moments/repair.py as the integers of SPEC.md, "Moments".

The multipliers are integers over a power of two already; what is added here is the Cholesky factor of the exact matrix, which the
checker's own function computes. The proof left room for a factor of FACTOR_BITS bits.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np

from cpcert.certificate import check
from cpcert.certificate.clock import Clock, slowness
from cpcert.certificate.task import SLACKS, Attempt, Task
from cpcert.errors import ProofError
from cpcert.moments.repair import MomentProof, Part

# Bits of the entries of a factor, tried in turn.
FACTOR_BITS = (44, 52)
# Seconds for the exact matrix and its factor, over the order to the third power (measured: 3e-8, see clock.py).
PER_CUBE = 6e-8


def moments(task: Task, proof: MomentProof) -> Iterator[Attempt]:
    """The bound of the search with ever more slack, by the same multipliers. Raises ProofError, Late."""
    N, r = task.points.shape
    exact_points = check.matrix(task.points.ravel().tolist(), N, r, "points")
    exponents = proof.exponents + task.frame.x
    shared = check.Moments(
        task.exact, check.Space(*exact_points), *task.exact_G, {"exponents": array("q", exponents.tolist())}
    )
    stream: list[int] = []
    parts = iter(proof.parts)
    is_split = any(len(tree) > 1 for tree in proof.trees)
    for k in (k for tree in proof.trees for k in tree):
        stream += [k] * is_split
        if k == 0:
            stream += _part(shared, next(parts), task.clock)
    arrays = {"exponents": exponents, "proof": np.array(stream, dtype=np.int64)}
    for slack in SLACKS:
        yield task.attempt(task.raised(slack), {"kind": "regions" if is_split else "moments"}, arrays)


def _part(shared: check.Moments, part: Part, clock: Clock) -> list[int]:
    def integers(values: np.ndarray) -> list[int]:
        return [int(v) for v in np.ldexp(values, part.scale).ravel()]

    size = 3 * shared.N + 1
    c_nu, c_v, c_w = integers(np.array(part.cost))
    linear, weight, alpha = integers(part.linear), integers(part.weight), integers(part.alpha)
    products = list(zip(part.first.tolist(), part.second.tolist(), weight, strict=True))
    betas = [integers(row) for row in part.beta]
    cones = list(zip(part.rows.tolist(), alpha, betas, strict=True))
    sign = int(part.sign)
    stream = [part.scale, c_nu, c_w] if sign else [part.scale, c_nu, c_v, c_w]
    signs = part.signs.astype(int).tolist()
    stream += [value for value, s in zip(linear, signs, strict=True) if not s]
    last = -1
    stream.append(len(products))
    for first, second, value in products:
        stream += [first * size + second - last - 1, value]
        last = first * size + second
    last = -1
    stream.append(len(cones))
    for row, along, beta in cones:
        stream += [row - last - 1, along, *beta]
        last = row
    order = 1 + shared.n + signs.count(0) + (0 if sign else len(shared.weights))
    clock.require(slowness() * PER_CUBE * order**3)
    S = check.moment_matrix(shared, sign, signs, part.scale, (c_nu, c_v, c_w), linear, products, cones)
    factor = _factor(S)
    if factor is None:
        raise ProofError("no Cholesky factor of the quadratic form was found")
    return stream + factor


def _factor(S: check.Matrix) -> list[int] | None:
    """The exponent and the lower triangle of a factor of S that the checker accepts."""
    k = len(S)
    bits = max(max(S[i][i], 1).bit_length() for i in range(k))
    bits += bits % 2
    unit = 1 << bits
    floats = np.array([[v / unit for v in row] for row in S])
    for precision in FACTOR_BITS:
        for part in (1.0, 8.0, 64.0):
            margin = part * k**1.5 * 2.0**-precision
            try:
                L = np.linalg.cholesky(floats - margin * np.eye(k))
            except np.linalg.LinAlgError:
                break
            entries = np.rint(np.ldexp(L, precision)).astype(np.int64)
            integers = [bits - 2 * precision, *entries[np.tril_indices(k)].tolist()]
            if check.semidefinite(S, iter(integers).__next__):
                return integers
    return None
