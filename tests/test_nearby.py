"""Exact factorisations and neurons near float ones: on faces, with irrational entries, of pairs of a few neurons."""

from fractions import Fraction

import numpy as np
import pytest

import cpcert
from cpcert.activations import activation
from cpcert.certificate.rank_check import Rejected, check_rank_claim
from cpcert.rank.bounds import cp_rank_bounds
from cpcert.rank.factorize import find_factors
from cpcert.rank.graphs import edge_factors
from cpcert.rank.matrices import ExactPair, float_matrix
from cpcert.rank.nearby import nearby_factorisation
from cpcert.rank.pair import rank_sigma_bounds

RELU = activation("relu")


def deficient(n, r, seed, density):
    """Σ c vvᵀ with r sparse integer v and rational c: rank r, factors √c v."""
    rng = np.random.default_rng(seed)
    V = rng.integers(0, 6, (n, r)) * (rng.random((n, r)) < density)
    V[V.sum(axis=1) == 0, 0] = 1
    c = [Fraction(int(p), int(q)) for p, q in zip(rng.integers(2, 12, r), rng.integers(1, 7, r), strict=True)]
    return [[sum(w * int(x) * int(y) for w, x, y in zip(c, u, v, strict=True)) for v in V] for u in V]


@pytest.mark.parametrize(
    ("n", "r", "seed", "density"), [(6, 4, 0, 1.0), (8, 5, 1, 0.6), (9, 5, 2, 0.5), (10, 4, 3, 0.5)]
)
def test_rank_deficient_matrices(n, r, seed, density):
    A = deficient(n, r, seed, density)
    bounds = cp_rank_bounds(A, 120.0, sdp=False, any_factors=True)
    assert bounds.completely_positive is True and bounds.lower == np.linalg.matrix_rank(float_matrix(A))
    check_rank_claim(bounds.claim())
    moved = [[v - (i == j == 0) * Fraction(1, 10**9) for j, v in enumerate(row)] for i, row in enumerate(A)]
    assert cpcert.completely_positive(moved, time_limit=1) is not True


def test_zeros_that_an_exposing_matrix_forces():
    """Five sparse atoms of rank five: no Jacobian has full rank, dependencies and a singular Gram matrix are needed."""
    A = [
        ["56/3", 0, "28/3", 0, "70/3"], [0, "449/2", 153, 80, 0], ["28/3", 153, "533/3", 48, "50/3"],
        [0, 80, 48, 32, 0], ["70/3", 0, "50/3", 0, "125/3"],
    ]  # fmt: skip
    bounds = cpcert.cp_rank(A, time_limit=120)
    assert bounds.completely_positive is True
    check_rank_claim(bounds.claim())


def test_a_face_is_proven_with_its_dependencies():
    rng = np.random.default_rng(0)
    for seed in range(60):
        A = deficient(6, 4, seed, 0.5)
        B = find_factors(float_matrix(A), 4, rng)
        proof = None if B is None else nearby_factorisation(A, B)
        if proof is not None and proof.kind == "face":
            return
    raise AssertionError("no face among sixty matrices")


def test_one_atom_for_each_edge_of_a_cycle():
    """C_5 with other atoms than those of a singular comparison matrix: irrational ones, as many as there are edges."""
    edges = [(0, 1, 1, 2), (1, 2, 3, 1), (2, 3, 1, 1), (3, 4, 2, 5), (4, 0, 1, 3)]
    A = [[0] * 5 for _ in range(5)]
    for i, j, p, q in edges:
        A[i][i], A[j][j], A[i][j], A[j][i] = A[i][i] + p * p, A[j][j] + q * q, p * q, p * q
    bounds = cpcert.cp_rank(A)
    assert (bounds.lower, bounds.upper, bounds.bounds.upper_proof.kind) == (5, 5, "nearby")


def test_factors_on_edges_that_would_overflow():
    """A step of the search goes to e^700 and beyond; warnings are errors here."""
    A = [[86, 18, 0, 0, 10], [18, 25, 20, 0, 0], [0, 20, 70, 45, 0], [0, 0, 45, 95, 10], [10, 0, 0, 10, 4]]
    B = edge_factors(A)
    assert B is not None and abs(B @ B.T - np.array(A)).max() < 1e-6


def random_pair(N, k, seed):
    """The exact pair of k gaussian neurons."""
    Z = np.array([[Fraction(float(v)) for v in row] for row in np.random.default_rng(seed).standard_normal((k, N))])
    S = np.where(Z > 0, Z, Fraction(0))
    return ExactPair("pair", (Z.T @ Z).tolist(), (S.T @ S).tolist(), 0, RELU, False)


@pytest.mark.parametrize(("N", "seed"), [(3, 0), (3, 2), (3, 4), (4, 1)])
def test_pairs_of_one_neuron_more_than_points(N, seed):
    bounds = rank_sigma_bounds(random_pair(N, N + 1, seed), 120.0)
    assert N <= bounds.lower <= bounds.upper <= N + 1
    check_rank_claim(bounds.claim())
    with pytest.raises(Rejected):
        check_rank_claim(bounds.claim() | {"upper": bounds.upper - 1})


def test_a_pair_of_floats_as_it_is_given():
    """Rounded, the pair has still that many neurons: the argument is about the pair as given."""
    Z = np.random.default_rng(5).standard_normal((7, 4))
    S = np.maximum(Z, 0.0)
    K, K_sigma = Z.T @ Z, S.T @ S
    bounds = cpcert.rank_sigma((K + K.T) / 2, (K_sigma + K_sigma.T) / 2, time_limit=120)
    assert bounds.upper is not None and bounds.upper <= 7
    assert bounds.bounds.pair.floats


def test_the_search_reaches_the_boundary():
    """Of the triangle-free support of C_5 the atoms are edges; the search finds their zeros by itself."""
    A = np.array([[2 if i == j else int((i - j) % 5 in (1, 4)) for j in range(5)] for i in range(5)], float)
    B = find_factors(A, 5, np.random.default_rng(0))
    assert B is not None and (B > 1e-6).sum() == 10
    assert cp_rank_bounds(A, sdp=False).upper == 5
