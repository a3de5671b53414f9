"""What the searches for proofs about matrices compute exactly, beside the checker's own ways to the same."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from cpcert.certificate import rank_check
from cpcert.rank import cliques, exact_linear, lifted_systems
from cpcert.rank.copositive_zeros import copositive_zeros
from cpcert.rank.proofs import as_json


def random_symmetric(rng, kind, n):
    """Matrices of four kinds with few or many zeros in the cone xᵀSx ≥ 0, x ≥ 0, and on its boundary."""
    if kind == 0:
        S = rng.integers(-2, 4, (n, n))
        S = S + S.T + np.diag(rng.integers(0, 4, n))
    elif kind == 1:  # sums of squares with nonnegative entries added: zeros, degenerate ones too
        S = sum(np.outer(v, v) for v in rng.integers(-1, 2, (int(rng.integers(1, 4)), n)))
        more = np.triu(rng.random((n, n)) < 0.3)
        S = S + more + more.T
    else:  # with zeros on the diagonal, and negative ones off it
        S = np.triu(rng.integers(-1, 2 if kind == 2 else 1, (n, n)), 1)
        S = S + S.T + np.diag(rng.integers(kind - 2, kind, n))
    return S.tolist()


@pytest.mark.parametrize("kind", range(4))
def test_copositive_matrices_and_their_zeros(kind):
    rng = np.random.default_rng([kind, 5])
    answers = set()
    for _ in range(250):
        S = random_symmetric(rng, kind, int(rng.integers(1, 7)))
        try:
            zeros = rank_check.minimal_zeros(S)
        except rank_check.Rejected:
            zeros = None
        assert copositive_zeros(S) == zeros, S
        answers.add(zeros is None)
    assert answers == ({False} if kind == 1 else {False, True})
    halves = [[Fraction(v, 6) for v in row] for row in S]
    assert copositive_zeros(halves) == copositive_zeros(S)


def random_graph(rng, n, density):
    edges = {(u, v) for u, v in combinations(range(n), 2) if rng.random() < density}
    return {u: {v for v in range(n) if (min(u, v), max(u, v)) in edges} for u in range(n)}


@pytest.mark.parametrize("seed", range(30))
def test_graphs(seed):
    rng = np.random.default_rng([seed, 6])
    graph = random_graph(rng, int(rng.integers(1, 11)), rng.choice([0.2, 0.5, 0.8]))
    assert cliques.triangle_free(graph) == rank_check.triangle_free(graph)
    found = cliques.maximal_cliques(graph, 1000)
    assert found == sorted(tuple(sorted(c)) for c in rank_check.maximal_cliques(graph))
    assert (
        cliques.maximal_cliques(graph, len(found)) == found and cliques.maximal_cliques(graph, len(found) - 1) is None
    )
    pairs = [(u, v) for u in graph for v in [u, *graph[u]] if u <= v]
    for first in pairs:
        for second in pairs:
            together = cliques.in_one_clique(graph, first, second)
            assert together == rank_check.in_one_clique(graph, first, second)
            assert together == any({*first, *second} <= set(c) for c in found)


@pytest.mark.parametrize("seed", range(20))
def test_linear_algebra(seed):
    rng = np.random.default_rng([seed, 7])
    n, k = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    A = [[Fraction(int(v), int(w)) for v, w in zip(*rows, strict=True)] for rows in
         zip(rng.integers(-3, 4, (n, n)), rng.integers(1, 5, (n, n)), strict=True)]  # fmt: skip
    B = rng.integers(-4, 5, (n, k)).tolist()
    if n > 1 and seed % 3 == 0:
        A[-1] = [2 * v for v in A[0]]
    X = exact_linear.solve(A, B)
    assert rank_check.inverse_times(A, B) == X
    if X is not None:
        product = [[sum(a * row[c] for a, row in zip(line, X, strict=True)) for c in range(k)] for line in A]
        assert product == B
    for prime in (2, 3, 2**61 - 1):
        assert exact_linear.rank_modulo(A, prime) == rank_check.rank_modulo(A, prime)


def same_system(system, checked, rng):
    """Columns, values, and the sum of a few equations before and after pairs have left the graph."""
    pairs = list(system.columns)
    assert pairs == list(checked.columns) and list(system.values) == list(checked.values)
    assert system.columns == checked.columns and system.graph() == checked.graph()
    y = tuple((int(e), Fraction(int(rng.integers(-3, 4)), 2)) for e in rng.permutation(len(system.values))[:3])
    assert system.combine(y) == checked.combine(as_json(y))
    gone = {pairs[int(k)] for k in rng.integers(0, len(pairs), 2)}
    system, checked = system.without(gone), checked.without(gone)
    assert list(system.columns) == list(checked.columns) and system.graph() == checked.graph()
    assert system.combine(y) == checked.combine(as_json(y))
    assert system.requiring(pairs[0]).required == checked.requiring(pairs[0]).required == {pairs[0]}


@pytest.mark.parametrize("seed", range(12))
def test_systems_of_zeros(seed):
    rng = np.random.default_rng([seed, 8])
    S = sum(np.outer(v, v) for v in (rng.permutation([1, -1, 0, 0]), rng.permutation([2, -1, -1, 0])))
    zeros = copositive_zeros(S.tolist())
    assert zeros  # one of them below (1, 1, 1, 1)
    b = [np.array(zeros[int(k)]) for k in rng.integers(0, len(zeros), 2)]
    A = sum(np.outer(v, v) for v in b).tolist()
    same_system(lifted_systems.zeros_system(S.tolist(), zeros, A), rank_check.zeros_system(S.tolist(), A), rng)


@pytest.mark.parametrize("slopes", [(1, 0), (1, -1), (Fraction(1), Fraction(1, 4)), (2, 3), (0, 0)])
def test_systems_of_pairs(slopes):
    """Also by the definition: M = Σ ttᵀ of some x = p − q obeys the equations of Σ xxᵀ and Σ σ(x)σ(x)ᵀ."""
    rng = np.random.default_rng(9)
    X = rng.integers(-2, 3, (3, 4))
    sigma = [[slopes[0] * max(x, 0) - slopes[1] * max(-x, 0) for x in row] for row in X.tolist()]
    K, K_sigma = (
        [[sum(a * b for a, b in zip(r, s, strict=True)) for s in rows] for r in rows] for rows in (X.tolist(), sigma)
    )
    system = lifted_systems.sigma_system(K, K_sigma, *slopes)
    same_system(system, rank_check.sigma_system(K, K_sigma, *slopes), rng)
    t = np.vstack([np.maximum(X, 0), np.maximum(-X, 0)])
    M = (t @ t.T).tolist()
    for e, value in enumerate(system.values):
        assert value == sum(column.get(e, 0) * M[u][v] for (u, v), column in system.columns.items())
