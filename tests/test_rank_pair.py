"""Rank_σ: golden pairs, pairs of random networks, pairs that no layer has."""

import json
from fractions import Fraction

import numpy as np
import pytest
from cp_matrices import rows

from cpcert.activations import activation
from cpcert.certificate.rank_check import Rejected, check_rank_claim
from cpcert.rank.graphs import complete_bipartite, edge_matrix
from cpcert.rank.matrices import ExactPair
from cpcert.rank.pair import TOLERANCE, NearbyRank, RankSigmaBounds, layer_rank_sigma, rank_sigma_bounds
from cpcert.rank.pair_atoms import basic_neurons
from cpcert.rank.proofs import Trivial

RELU = activation("relu")


def pair(K, K_sigma, beta=0, sigma=RELU):
    return ExactPair("case", K, K_sigma, beta, sigma, False)


def zeros(n):
    return [[0] * n for _ in range(n)]


def laplacian():
    """The signed K_{3,3}: K its Laplacian, K^σ = diag(3, 3, 3, 0, 0, 0); atoms e_i − e_j."""
    K = [[3 * (i == j) - int((i < 3) != (j < 3)) for j in range(6)] for i in range(6)]
    return K, [[3 * int(i == j < 3) for j in range(6)] for i in range(6)]


def accepted(bounds):
    check_rank_claim(json.loads(json.dumps(bounds.claim(), allow_nan=False)))
    return True


B = {N: edge_matrix(complete_bipartite(N)) for N in (4, 6, 8)}
GOLDEN = {
    "B_4": (pair(B[4], B[4]), 4),
    "B_6": (pair(B[6], B[6]), 9),
    "B_8": (pair(B[8], B[8]), 16),
    "(B_6, 0)": (pair(B[6], zeros(6)), 9),
    "signed": (pair(*laplacian()), 9),
    "leaky": (pair(B[6], B[6], sigma=activation("leaky_relu", 0.5)), 9),
    "negative leaky": (
        pair(B[6], [[Fraction(v, 4) for v in row] for row in B[6]], sigma=activation("leaky_relu", 0.5)),
        9,
    ),
    "biases": (pair(B[4], [[v + 4 for v in row] for row in B[4]], 2), 4),
    "(M7, 0)": (pair(rows("BSU_M7t"), zeros(7)), 14),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_pairs(name):
    given, truth = GOLDEN[name]
    bounds = rank_sigma_bounds(given)
    assert (bounds.lower, bounds.upper) == (truth, truth)
    assert accepted(bounds)
    with pytest.raises(Rejected):
        check_rank_claim(bounds.claim() | {"lower": truth + 1})
    with pytest.raises(Rejected):
        check_rank_claim(bounds.claim() | {"upper": truth - 1})


def of_network(Z, sigma):
    """The pair of integer pre-activations Z (k, N), exactly."""
    S = np.where(Z > 0, Fraction(sigma.a_plus), Fraction(sigma.a_minus)) * Z
    return pair((Z.T @ Z).tolist(), (S.T @ S).tolist(), 0, sigma)


@pytest.mark.parametrize("sigma", [RELU, activation("abs"), activation("leaky_relu", -0.5), activation("linear")])
@pytest.mark.parametrize("seed", [0, 3])
def test_never_more_than_the_neurons_of_a_network(sigma, seed):
    rng = np.random.default_rng(seed)
    k, N = int(rng.integers(1, 6)), int(rng.integers(2, 5))
    Z = np.array([[Fraction(int(v)) for v in row] for row in rng.integers(-2, 3, (k, N)) * (rng.random((k, N)) < 0.7)])
    Z = Z.reshape(k, N)
    bounds = rank_sigma_bounds(of_network(Z, sigma), seconds=0.3)
    assert bounds.not_in_S is None
    assert bounds.lower <= k
    assert bounds.upper is None or bounds.upper >= bounds.lower
    assert accepted(bounds)


def test_neurons_that_are_rational_are_found_exactly():
    Z = np.array([[Fraction(v) for v in row] for row in ([1, -2, 0, 1], [2, 1, -1, 0], [0, 1, 3, -2])])
    bounds = rank_sigma_bounds(of_network(Z, activation("leaky_relu", 0.1)), seconds=5)
    assert (bounds.lower, bounds.upper, bounds.upper_proof.kind) == (3, 3, "atoms")
    assert accepted(bounds)
    with pytest.raises(Rejected):
        check_rank_claim(bounds.claim() | {"upper": 2})


def test_inside_the_cone_at_most_as_many_neurons_as_equations_are_proven():
    """From neurons of a network of ours: the search for them is left to chance, what is made of them is not."""
    rng = np.random.default_rng(3)
    Z = np.array([[Fraction(int(v)) for v in row] for row in rng.integers(-4, 5, (30, 3))])
    given = of_network(Z, RELU)
    proof = basic_neurons(given.K, given.K_sigma, RELU, Z.astype(float), rng)
    assert proof is not None and len(proof.atoms) <= 12
    claim = RankSigmaBounds(given, 0, Trivial(), len(proof.atoms), proof).claim()
    check_rank_claim(json.loads(json.dumps(claim)))
    with pytest.raises(Rejected):
        check_rank_claim(claim | {"upper": len(proof.atoms) - 1})


def test_pairs_of_no_layer():
    hall = rows("neg_Hall_C5")
    larger = [[2 * v for v in row] for row in B[4]]
    for given in (
        pair(hall, hall),  # K^σ is not completely positive
        pair(hall, zeros(5)),  # nor is qq = K
        pair(zeros(4), B[4]),  # K = 0 and neurons that are not
        pair(B[4], larger),  # K^σ_ii ≤ K_ii for the ReLU
        pair([[1, 2], [2, 1]], zeros(2)),  # not positive semidefinite
    ):
        bounds = rank_sigma_bounds(given)
        assert bounds.not_in_S is not None and bounds.lower is None and bounds.upper is None
        assert accepted(bounds)
        with pytest.raises(Rejected):
            check_rank_claim(bounds.claim() | {"K": B[4], "K_sigma": B[4]})


def test_a_linear_network_needs_its_rank():
    bounds = rank_sigma_bounds(pair(B[6], B[6], sigma=activation("linear")), seconds=0.5)
    assert bounds.lower == 5


def test_propagation_is_needed():
    """Without the removal of vanishing entries K = K^σ = B_4 would allow cliques through q."""
    from cpcert.rank.lifted_systems import sigma_system
    from cpcert.rank.pair import _Propagation

    system = _Propagation(sigma_system(B[4], B[4], 1, 0), 4).system
    assert {u for u, v in system.columns if u == v} == {0, 1, 2, 3}
    assert (0, 1) not in system.columns and (0, 2) in system.columns


@pytest.mark.parametrize("seed", range(5))
def test_rank_near_a_network(seed):
    """All pairs within the tolerance: also those that make the smallest kept eigenvalue smaller still."""
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((6, 4)), rng.standard_normal((4, 20))
    assert layer_rank_sigma(W, X, RELU) == NearbyRank(6, 6, TOLERANCE)
    assert layer_rank_sigma(W, X, activation("linear")).lower == 4
    nearly = np.vstack([W, W[0] + 1e-7])
    assert layer_rank_sigma(nearly, X, activation("linear")).lower == 4
    assert layer_rank_sigma(np.vstack([W, W[:1] * 2.0]), X, RELU).lower == 6
    assert layer_rank_sigma(np.zeros((2, 4)), X, RELU).lower == 0
    # A rank that a perturbation within the tolerance takes away is not claimed.
    U = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    for eigenvalue, expected in ((2.1e-6, 5), (1.99e-6, 4)):
        # ‖K‖ = 2 but for the last digits.
        Z = np.diag([1.0, 1.0, 1.0, 1.0, np.sqrt(eigenvalue)]) @ U
        assert layer_rank_sigma(Z, np.eye(5), activation("linear")).lower == expected
        assert layer_rank_sigma(Z * 1e-30, 1e-25 * np.eye(5), activation("linear")).lower == expected
    # Nor one that lies within what rounding can hide: −1 + 1e-17 − 1 + 2.
    cancelled = np.array([[1.0, 1e-17, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 1.0]])
    X = np.array([[-1.0, 1.0, -1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1e-3]]).T
    assert layer_rank_sigma(cancelled, X, activation("linear")).lower <= 1
