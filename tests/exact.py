"""Rational arithmetic for tests that redo proofs: nothing here, and nothing in those tests, rounds."""

from fractions import Fraction
from math import isqrt

import numpy as np


def rationals(A):
    """The exact entries of an array, as nested lists of Fractions."""
    A = np.asarray(A, dtype=np.float64)
    return Fraction(float(A)) if A.ndim == 0 else [rationals(row) for row in A]


def dot(a, b):
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def root_up(value):
    """A rational ≥ √value, within a relative 1e-18."""
    shift = 2 ** max(0, 64 - (value.numerator.bit_length() - value.denominator.bit_length()) // 2)
    return Fraction(isqrt(int(value * shift * shift)) + 1, shift) if value else Fraction(0)


def norm_at_most(vector, bound):
    """‖vector‖ ≤ bound."""
    return bound >= 0 and dot(vector, vector) <= bound * bound


def combination(weights, rows, r):
    """Σ weights_j rows_j in R^r."""
    return [sum((w * row[k] for w, row in zip(weights, rows, strict=True)), Fraction(0)) for k in range(r)]


def gram(A):
    """AAᵀ."""
    return [[dot(row, other) for other in A] for row in A]


def is_semidefinite(S):
    """S ⪰ 0 for a symmetric rational matrix, by symmetric elimination."""
    S = [row[:] for row in S]
    n = len(S)
    assert all(S[i][j] == S[j][i] for i in range(n) for j in range(i))
    for k in range(n):
        pivot = S[k][k]
        if pivot < 0 or (pivot == 0 and any(S[i][k] for i in range(k + 1, n))):
            return False
        for i in range(k + 1, n):
            if pivot and S[i][k]:
                factor = S[i][k] / pivot
                for j in range(k + 1, n):
                    S[i][j] -= factor * S[k][j]
    return True
