"""Proofs of moments/repair.py as the integers of SPEC.md, "Moments".

The multipliers are integers over a power of two already; what is added here is the Cholesky factor of the exact matrix, which the
checker's own function computes. The proof left room for a factor of FACTOR_BITS bits.
"""

from __future__ import annotations

from array import array

import numpy as np

from cpcert.certificate import check
from cpcert.moments.repair import MomentProof, Part
from cpcert.problem import Problem

# Bits of the entries of a factor, tried in turn.
FACTOR_BITS = (44, 52)


def written(
    exact: check.Problem, problem: Problem, points: np.ndarray, G: np.ndarray, proof: MomentProof
) -> dict[str, np.ndarray] | None:
    """The arrays of the oracle; None if a factor is not to be found. points (N, r) and G (m, N) of the proof."""
    flat_points, flat_G = points.ravel().tolist(), G.ravel().tolist()
    exact_points, x = check.matrix(flat_points, problem.N, points.shape[1], "points")
    exact_G, g = check.matrix(flat_G, len(G), problem.N, "G")
    if problem.loss.name == "cross_entropy":
        exact_G[-1] = [-sum(column) for column in zip(*exact_G[:-1], strict=True)]
    given = {"exponents": array("q", proof.exponents.tolist())}
    shared = check.Moments(exact, check.Space(exact_points, x), exact_G, g, given)
    stream: list[int] = []
    for part in proof.parts:
        numbers = _part(shared, part)
        if numbers is None:
            return None
        stream += numbers
    return {"exponents": proof.exponents, "proof": np.array(stream, dtype=np.int64)}


def _part(shared: check.Moments, part: Part) -> list[int] | None:
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
    stream += linear
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
    S = check.moment_matrix(shared, sign, part.scale, (c_nu, c_v, c_w), linear, products, cones)
    factor = _factor(S)
    return None if factor is None else stream + factor


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
