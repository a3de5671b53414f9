"""No claim above a known value: matrices and pairs that are constructed so that the answer, or a bound of it, is known."""

from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from cp_matrices import CASES, rows

from cpcert.activations import activation
from cpcert.certificate.rank_check import check_rank_claim
from cpcert.rank.bounds import cp_rank_bounds
from cpcert.rank.copositivity import copositive
from cpcert.rank.matrices import ExactPair
from cpcert.rank.pair import rank_sigma_bounds

ACTIVATIONS = (activation("relu"), activation("leaky_relu", 0.25), activation("abs"), activation("leaky_relu", -0.5))
SMALL = [name for name, case in CASES.items() if case["cp_rank"] and len(case["A"]) <= 7]


def sum_of_squares(atoms, weights):
    """Σ c vvᵀ, exactly; atoms (k, n) of integers."""
    n = atoms.shape[1]
    return [
        [sum((c * int(v[i]) * int(v[j]) for c, v in zip(weights, atoms, strict=True)), Fraction(0)) for j in range(n)]
        for i in range(n)
    ]


def weights(count, rng):
    return [Fraction(int(p), int(q)) for p, q in rng.integers(1, 8, (count, 2))]


def moved_about(A, rng):
    """PDADPᵀ, which changes no rank."""
    n = len(A)
    order, scale = rng.permutation(n), weights(n, rng)
    return [[A[i][j] * scale[i] * scale[j] for j in order] for i in order]


def direct_sum(*blocks):
    n = sum(map(len, blocks))
    total, start = [[Fraction(0)] * n for _ in range(n)], 0
    for block in blocks:
        for i, row in enumerate(block):
            total[start + i][start : start + len(block)] = row
        start += len(block)
    return total


def triangle_free(rng, n):
    """(A, cp-rank): one atom on each edge of a random graph without triangles, and no other."""
    graph = nx.empty_graph(n)
    for _ in range(4 * n):
        u, v = (int(i) for i in rng.integers(n, size=2))
        if u != v and not set(graph[u]) & set(graph[v]):
            graph.add_edge(u, v)
    atoms = np.zeros((graph.number_of_edges(), n), dtype=int)
    for k, (u, v) in enumerate(graph.edges):
        atoms[k, [u, v]] = rng.integers(1, 6, 2)
    return sum_of_squares(atoms, weights(len(atoms), rng)), len(atoms)


def known_matrix(rng):
    """(A, cp-rank)."""
    kind = int(rng.integers(4))
    if kind == 0:
        return triangle_free(rng, int(rng.integers(3, 13)))
    if kind == 1:
        names = [SMALL[int(i)] for i in rng.integers(len(SMALL), size=2)]
        return moved_about(direct_sum(*map(rows, names)), rng), sum(CASES[name]["cp_rank"] for name in names)
    if kind == 2:  # of rank 2, so the rank
        n = int(rng.integers(2, 8))
        atoms = rng.integers(1, 6, (int(rng.integers(2, 5)), 2)) @ rng.integers(1, 6, (2, n))
        A = sum_of_squares(atoms, [1] * len(atoms))
        return A, np.linalg.matrix_rank(np.array(A, float))
    A, first = triangle_free(rng, int(rng.integers(3, 7)))
    name = SMALL[int(rng.integers(len(SMALL)))]
    return moved_about(direct_sum(A, rows(name)), rng), first + CASES[name]["cp_rank"]


def made_of_atoms(rng):
    """(A, k): k atoms, with zeros or without; sparse, deficient or neither."""
    n, k = int(rng.integers(2, 9)), int(rng.integers(1, 10))
    atoms = rng.integers(0, 5, (k, n)) * (rng.random((k, n)) < rng.choice([0.4, 0.7, 1.0]))
    return sum_of_squares(atoms, weights(k, rng)), k


def made_of_neurons(rng):
    """(pair, k)."""
    N, k = int(rng.integers(1, 6)), int(rng.integers(1, 8))
    sigma = ACTIVATIONS[int(rng.integers(len(ACTIVATIONS)))]
    Z = rng.integers(-9, 10, (k, N)) * (rng.random((k, N)) < rng.choice([0.5, 1.0]))
    Z = np.array([[Fraction(int(v)) for v in row] for row in Z]).reshape(k, N)
    S = np.where(Z > 0, Fraction(sigma.a_plus), Fraction(sigma.a_minus)) * Z
    return ExactPair("pair", (Z.T @ Z).tolist(), (S.T @ S).tolist(), 0, sigma, False), k


def known_pair(rng):
    """(pair, Rank_σ): K = K^σ with nonnegative neurons, as many as the cp-rank, or K^σ = 0 with nonpositive ones."""
    A, k = known_matrix(rng)
    other = [[Fraction(0)] * len(A) for _ in A] if rng.random() < 0.3 else A
    return ExactPair("pair", A, other, 0, ACTIVATIONS[0], False), k


def check_matrix(A, lowest, highest, seed):
    bounds = cp_rank_bounds(A, seconds=1.0, seed=seed, sdp=False)
    check_rank_claim(bounds.claim())
    assert bounds.completely_positive is not False
    assert bounds.lower <= highest
    assert bounds.upper is None or bounds.upper >= lowest


def check_pair(pair, lowest, highest, seed):
    bounds = rank_sigma_bounds(pair, seconds=1.0, seed=seed)
    check_rank_claim(bounds.claim())
    assert bounds.not_in_S is None
    assert bounds.lower <= highest
    assert bounds.upper is None or bounds.upper >= lowest


def check_copositive(rng):
    """A sum N + P, or a matrix with a point where the form is negative."""
    n = int(rng.integers(1, 10))
    P = rng.integers(-3, 4, (n, int(rng.integers(1, n + 2))))
    N = np.triu(rng.integers(0, 4, (n, n)) * (rng.random((n, n)) < 0.5))
    A = P @ P.T + N + N.T
    assert copositive(A.tolist(), seconds=5.0).copositive is True
    x = rng.integers(0, 4, n)
    x[int(rng.integers(n))] += 1
    i = int(np.flatnonzero(x)[0])
    A[i, i] -= -(-(int(x @ A @ x) + 1) // int(x[i] ** 2))
    assert x @ A @ x < 0 and copositive(A.tolist(), seconds=5.0).copositive is False


def check_some(seed):
    rng = np.random.default_rng(seed)
    A, k = known_matrix(rng)
    check_matrix(A, k, k, seed)
    A, k = made_of_atoms(rng)
    check_matrix(A, 0, k, seed)
    pair, k = known_pair(rng)
    check_pair(pair, k, k, seed)
    pair, k = made_of_neurons(rng)
    check_pair(pair, 0, k, seed)
    check_copositive(rng)


@pytest.mark.parametrize("seed", range(4))
def test_no_claim_above_a_known_value(seed):
    check_some(seed)


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(10))
def test_no_claim_above_a_known_value_many(part):
    """600 of each kind in all."""
    for seed in range(10 + 60 * part, 10 + 60 * (part + 1)):
        check_some(seed)
