"""Whether S is copositive, and its minimal zeros, exactly; for the searches of this folder (the checker has its own way).

Only positive definite principal submatrices are visited. Let i be the last index of a support I, J the others, S_J positive
definite. The vector z on I with z_i = 1, z_J = −S_J⁻¹S_Ji has (Sz)_J = 0 and (Sz)_i = zᵀSz = s, the Schur complement. S_I is
positive definite iff s > 0; if s = 0, z spans its kernel.

The minimal zeros are the z > 0 (on I) with s = 0. For a zero of least support I, S_I is positive semidefinite and its kernel is
one-dimensional with no entry 0, so its proper principal submatrices are positive definite: I is met.

S is copositive iff Sz ≥ 0 for each of them, and no z ≥ 0 is met that has s < 0. Otherwise zᵀSz < 0, or (z + εe_k)ᵀS(z + εe_k) =
2ε(Sz)_k + ε²S_kk < 0 for a small ε > 0. Conversely let I be least with S_I not copositive, q(x) = xᵀSx, and x > 0 on I with q(x) < 0.

    No y on I with a negative entry has xᵀSy ≤ 0 and yᵀSy ≤ 0,                                                          (*)

else q(x + ty) ≤ q(x) < 0 up to the t where x + ty loses an entry. So S_J is positive semidefinite for each J ⊊ I: if yᵀSy < 0
and xᵀSy ≤ 0 (else take −y), then y ≥ 0 by (*), and S_J were not copositive. If one is singular, take the least: y in its
kernel has no entry 0, and xᵀSy ≤ 0 for y or −y. By (*) y > 0, and xᵀSy < 0 (else −y breaks (*)): y is a minimal zero with a
(Sy)_k < 0. If none is singular, all are positive definite, so I is met; s < 0, and xᵀSz = s x_i < 0: by (*) z ≥ 0.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from math import gcd, lcm
from operator import mul

from cpcert.rank.proofs import Number

Rows = dict[int, list[int]]


def copositive_zeros(S: Sequence[Sequence[Number]]) -> list[list[int]] | None:
    """The minimal zeros of S (n, n), coprime integers, by size and then lexicographically by support; None: not copositive."""
    zeros, witness = zeros_or_witness(S)
    return zeros if witness is None else None


def zeros_or_witness(S: Sequence[Sequence[Number]], stop: float = math.inf) -> tuple[list[list[int]], list[int] | None]:
    """The minimal zeros of S, or some of them and x ≥ 0 with xᵀSx < 0. Raises TimeoutError after `stop`, a time.monotonic()."""
    scale = lcm(*(v.denominator for row in S for v in row))
    T = [[int(v * scale) for v in row] for row in S]
    n = len(T)
    zeros: list[list[int]] = []
    first = {i: [int(i == k) for k in range(n)] for i in range(n)}
    witness = _visit(T, 0, 1, first, dict(enumerate(T)), zeros, stop)
    return sorted(zeros, key=lambda zero: (sum(map(bool, zero)), [k for k, v in enumerate(zero) if v])), witness


def _visit(
    T: list[list[int]], size: int, minor: int, z: Rows, complement: Rows, zeros: list[list[int]], stop: float
) -> list[int] | None:
    """Add the minimal zeros on supports that start with J, |J| = size; x ≥ 0 with xᵀTx < 0 if one is met.

    minor: det T_J > 0. z: for each index i after J, det T_J times the z of J and i. complement: its row of det T_J times the
    Schur complement, of which only later columns count. All are minors of T, so divisions are exact.
    """
    if time.monotonic() > stop:
        raise TimeoutError
    for i, vector in z.items():
        s, row = complement[i][i], complement[i]
        if s > 0:
            later = [j for j in z if j > i]
            next_z = {j: [(s * a - row[j] * b) // minor for a, b in zip(z[j], vector, strict=True)] for j in later}
            next_complement = {
                j: [(s * a - row[j] * b) // minor for a, b in zip(complement[j], row, strict=True)] for j in later
            }
            witness = _visit(T, size + 1, s, next_z, next_complement, zeros, stop)
            if witness is not None:
                return witness
        elif min(vector) >= 0:
            if s < 0:
                return vector
            if sum(map(bool, vector)) == size + 1:
                divisor = gcd(*vector)
                zeros.append([v // divisor for v in vector])
                for k, of_k in enumerate(T):
                    slope = sum(map(mul, of_k, vector))
                    if slope < 0:  # (z + εe_k)ᵀT(z + εe_k) = 2ε slope + ε²T_kk
                        more = -slope if T[k][k] > 0 else 1
                        return [max(T[k][k], 1) * v + more * (j == k) for j, v in enumerate(vector)]
    return None
