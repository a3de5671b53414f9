"""Completely positive factorisations: found in floating point, then proven; and not proven where there is none."""

from fractions import Fraction

import numpy as np
import pytest
from cp_matrices import rows

from cpcert.rank.factorize import factors_and_rest, find_factors, relative_residual
from cpcert.rank.nearby import accepted, nearby_factorisation


def random_matrix(n, seed):
    """A = BᵀB, B = |gaussian| of shape (2n, n)."""
    B = abs(np.random.default_rng(seed).standard_normal((2 * n, n)))
    return B.T @ B


def exact(A):
    return [[Fraction(float(v)) for v in row] for row in (A + A.T) / 2]


@pytest.mark.parametrize("k", [30, 60])
def test_search_reaches_the_residual(k):
    A = random_matrix(20, 0)
    B = find_factors(A, k, np.random.default_rng(1))
    assert B is not None and B.shape == (20, k) and B.min() >= 0
    assert relative_residual(A, B) <= 1e-10


def test_search_keeps_a_floor():
    A = random_matrix(6, 1)
    B = find_factors(A, 12, np.random.default_rng(1), floor=1e-2)
    assert B is not None and (B / np.sqrt(np.diag(A))[:, None]).min() >= 0.99e-2


@pytest.mark.parametrize(("n", "k"), [(3, 3), (5, 8), (8, 12)])
def test_an_exact_factorisation_is_nearby(n, k):
    A = exact(random_matrix(n, n))
    B = find_factors(np.array(A, float), k, np.random.default_rng(0), floor=1e-2)
    proof = nearby_factorisation(A, B)
    assert proof is not None and len(proof.columns) == k
    # The proof is about A, and the ball is small: a matrix that is a little different is another matter.
    moved = [[v + (i == j) * Fraction(1, 10**4) for j, v in enumerate(row)] for i, row in enumerate(A)]
    assert accepted(A, proof) and not accepted(moved, proof)


def test_singular_matrices():
    """Rank 3, order 5: the five columns of the factor lie in the range of A."""
    A = rows("lit_SoXu_rank3")
    B = find_factors(np.array(A, float), 3, np.random.default_rng(0), floor=1e-2)
    proof = nearby_factorisation(A, B)
    assert proof is not None and len(proof.rows) == 3


def test_nothing_is_proven_outside_the_cone():
    """A good factor of a matrix on the boundary, offered for one outside: refused, whatever its residual."""
    A = rows("BSU_M7t")
    B = find_factors(np.array(A, float), 20, np.random.default_rng(0), starts=1)
    step = Fraction(1, 10**9)
    outside = [[v - (i == j) * step for j, v in enumerate(row)] for i, row in enumerate(A)]
    if B is not None:
        assert nearby_factorisation(outside, B) is None
    assert factors_and_rest(outside, 20, np.random.default_rng(0), seconds=1) is None


def test_rounded_factors_leave_a_dominant_rest():
    A = exact(random_matrix(15, 4))
    found = factors_and_rest(A, 45, np.random.default_rng(0))
    assert found is not None
    count, proof = found
    assert 45 <= count <= 45 + 15 * 16 // 2
    assert accepted(A, proof)
    # By the definition, independently of the checker.
    rest = [row[:] for row in A]
    for atom in proof.atoms:
        v = dict(atom.entries)
        assert atom.weight > 0 and min(v.values()) > 0
        for i in v:
            for j in v:
                rest[i][j] -= atom.weight * v[i] * v[j]
    assert all(v >= 0 for row in rest for v in row)
    assert all(2 * rest[i][i] >= sum(rest[i]) for i in range(15))


@pytest.mark.campaign
@pytest.mark.parametrize("n", [20, 40])
@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_random_matrices_of_the_benchmark(n, factor):
    for seed in range(10):
        A = random_matrix(n, seed)
        B = find_factors(A, int(factor * n), np.random.default_rng(seed), seconds=60.0)
        assert B is not None and relative_residual(A, B) <= 1e-10
