"""Exact linear algebra for the searches of this folder; the checker of their proofs has its own.

Matrices are lists of rows of integers and Fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

from cpcert.rank.proofs import Number


def solve(A: Sequence[Sequence[Number]], B: Sequence[Sequence[Number]]) -> list[list[Fraction]] | None:
    """X with AX = B for a square A (n, n) and B (n, k), or None if A is singular.

    Each row times its common denominator, then elimination downwards in integers (Bareiss: every entry stays a minor, so
    the divisions are exact), then substitution upwards.
    """
    n = len(A)
    rows = []
    for left, right in zip(A, B, strict=True):
        row = [*left, *right]
        scale = lcm(*(v.denominator for v in row))
        rows.append([int(v * scale) for v in row])
    previous = 1
    for c in range(n):
        nonzero = [r for r in range(c, n) if rows[r][c]]
        if not nonzero:
            return None
        shortest = min(nonzero, key=lambda r: abs(rows[r][c]))
        rows[c], rows[shortest] = rows[shortest], rows[c]
        pivot = rows[c][c]
        for r in range(c + 1, n):
            head = rows[r][c]
            rows[r] = [(pivot * v - head * w) // previous for v, w in zip(rows[r], rows[c], strict=True)]
        previous = pivot
    solution: list[list[Fraction]] = []
    for c in reversed(range(n)):
        known = rows[c][c + 1 : n]
        solution.insert(0, [
            (value - sum((a * x[k] for a, x in zip(known, solution, strict=True) if a), start=Fraction(0))) / rows[c][c]
            for k, value in enumerate(rows[c][n:])
        ])  # fmt: skip
    return solution


def rank_modulo(A: Sequence[Sequence[Number]], prime: int) -> int:
    """The rank of A modulo a prime, after multiplication by the common denominator: at most the rank of A."""
    return len(pivots_modulo(A, prime))


def pivots_modulo(A: Sequence[Sequence[Number]], prime: int) -> list[int]:
    """The rows of A that are not combinations of those before, modulo a prime, after multiplication by the common denominator.

    Row by row: what is left of a row after subtracting multiples of those before is new, or nothing.
    """
    scale = lcm(*(v.denominator for row in A for v in row))
    basis: dict[int, list[int]] = {}  # by the first column that is not 0, where the row is 1
    pivots = []
    for number, row in enumerate(A):
        rest = [int(v * scale) % prime for v in row]
        for c in range(len(rest)):
            if not rest[c]:
                continue
            if c not in basis:
                inverse = pow(rest[c], -1, prime)
                basis[c] = [v * inverse % prime for v in rest]
                pivots.append(number)
                break
            head = rest[c]
            rest = [(v - head * w) % prime for v, w in zip(rest, basis[c], strict=True)]
    return pivots
