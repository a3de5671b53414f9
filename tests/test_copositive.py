"""Copositivity and zeros, decided exactly, against float minimisation and by the definition."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from cpcert.certificate.rank_check import Rejected, check_rank_claim, minimal_zeros
from cpcert.rank.copositive import copositive_cut, exposing_matrix, separate
from cpcert.rank.copositive_zeros import copositive_zeros
from cpcert.rank.lifted import prove_node
from cpcert.rank.lifted_systems import zeros_system
from cpcert.rank.proofs import Exposing, as_json

HORN = [[1, -1, 1, 1, -1], [-1, 1, -1, 1, 1], [1, -1, 1, -1, 1], [1, 1, -1, 1, -1], [-1, 1, 1, -1, 1]]


def zeros_of(S):
    """The minimal zeros, as the search and as the checker find them; None if S is not copositive."""
    try:
        zeros = minimal_zeros(S)
    except Rejected:
        zeros = None
    assert copositive_zeros(S) == zeros
    return zeros


def is_copositive(S):
    return zeros_of(S) is not None


def simplex_minimum(S, rng):
    """The minimum of xᵀSx over the simplex: replicator dynamics from many starts, float."""
    S = np.array(S, float)
    best = min(S.diagonal())
    shift = abs(S).max() + 1.0
    for _ in range(40):
        x = rng.dirichlet(np.ones(len(S)))
        for _ in range(400):
            y = x * ((shift - S) @ x)
            x = y / y.sum()
        best = min(best, float(x @ S @ x))
    return best


@pytest.mark.parametrize("seed", range(60))
def test_copositivity_agrees_with_minimisation(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    S = rng.integers(-2, 4, (n, n))
    S = S + S.T + np.diag(rng.integers(0, 4, n))
    minimum = simplex_minimum(S.tolist(), rng)
    if minimum < -1e-6:
        assert not is_copositive(S.tolist())
    elif minimum > 1e-6:
        assert is_copositive(S.tolist())


def test_horn_matrix():
    zeros = zeros_of(HORN)
    assert sorted(tuple(np.flatnonzero(q)) for q in zeros) == [(0, 1), (0, 4), (1, 2), (2, 3), (3, 4)]
    shifted = [[v - (i == j) * Fraction(1, 10**12) for j, v in enumerate(row)] for i, row in enumerate(HORN)]
    assert not is_copositive(shifted)


@pytest.mark.parametrize("seed", range(20))
def test_minimal_zeros_by_the_definition(seed):
    """Of S = Σ vvᵀ with small integer v plus a nonnegative matrix, degenerate kernels included."""
    rng = np.random.default_rng(seed)
    n = 5
    S = sum(np.outer(v, v) for v in rng.integers(-1, 2, (int(rng.integers(1, 4)), n)))
    S = S + (rng.random((n, n)) < 0.2) * 0
    mask = np.triu(rng.random((n, n)) < 0.3)
    S = S + mask + mask.T
    zeros = [np.array(q) for q in zeros_of(S.tolist())]
    for q in zeros:
        assert q.min() >= 0 and q.any() and q @ S @ q == 0
    supports = [set(np.flatnonzero(q)) for q in zeros]
    assert not any(a < b or (a == b and i != j) for i, a in enumerate(supports) for j, b in enumerate(supports))
    # Every zero found by a search over a grid has the support of a minimal zero inside its own.
    grid = [np.array(x) for x in np.ndindex(*(4,) * n) if any(x)]
    for x in grid:
        if x @ S @ x == 0:
            assert any(support <= set(np.flatnonzero(x)) for support in supports)


@pytest.mark.parametrize("seed", range(12))
def test_degenerate_zeros_never_overcount(seed):
    """A made of k zeros of S, also sums of compatible minimal ones: the bound is at most k."""
    rng = np.random.default_rng(100 + seed)
    n = 5
    S = sum(np.outer(v, v) for v in rng.integers(-1, 2, (2, n)))
    zeros = [np.array(q) for q in zeros_of(S.tolist())]
    assert zeros  # so these seeds were chosen
    atoms = []
    for _ in range(int(rng.integers(1, 6))):
        b = zeros[int(rng.integers(len(zeros)))].copy()
        for q in zeros:
            if b @ S @ q == 0 and rng.random() < 0.5:
                b = b + int(rng.integers(1, 4)) * q
        assert b @ S @ b == 0
        atoms.append(b)
    A = sum(np.outer(b, b) for b in atoms).tolist()
    lower, node = prove_node(zeros_system(S.tolist(), zeros_of(S.tolist()), A), len(atoms))
    assert lower is not None and lower <= len(atoms)
    proof = as_json(Exposing(tuple(map(tuple, S.tolist())), node))
    claim = {"claim": "cp_rank", "A": A, "lower": lower, "lower_proof": proof, "upper": None, "upper_proof": None}
    check_rank_claim(claim)
    with pytest.raises(Rejected):
        check_rank_claim(claim | {"lower": lower + 1})


def test_interior_has_no_exposing_matrix():
    A = np.eye(5) + np.ones((5, 5))
    assert separate(A / 2) is None


def test_separation_of_a_five_cycle():
    """[[17, 10, …]] on C_5 is doubly nonnegative and not completely positive."""
    n = 5
    A = [[17 if i == j else 10 if (i - j) % n in (1, 4) else 0 for j in range(n)] for i in range(n)]
    scale = np.sqrt(np.full(n, 17.0))
    separation = separate(np.array(A) / 17.0)
    cut = copositive_cut(A, separation, scale)
    assert sum(cut.S[i][j] * A[i][j] for i in range(n) for j in range(n)) < 0
    assert is_copositive([list(row) for row in cut.S])


def test_no_cut_for_a_completely_positive_matrix():
    A = [[2 if i == j else int((i - j) % 5 in (1, 4)) for j in range(5)] for i in range(5)]
    scale = np.sqrt(np.full(5, 2.0))
    separation = separate(np.array(A) / 2.0)
    assert copositive_cut(A, separation, scale) is None
    S = exposing_matrix(A, separation, scale)
    assert S is not None and is_copositive([list(row) for row in S])
    assert sum(S[i][j] * A[i][j] for i, j in combinations(range(5), 2)) * 2 == -sum(S[i][i] * 2 for i in range(5))
