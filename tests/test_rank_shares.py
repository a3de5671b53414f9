"""Bounds from the products of an atom: the semidefinite ones, in a context too, and the shares of entries."""

import math
import time
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from test_rank_soundness import made_of_atoms, sum_of_squares

from cpcert.certificate import rank_check
from cpcert.rank.bounds import cp_rank_bounds
from cpcert.rank.moments import MomentBounds, bounded_products
from cpcert.rank.proofs import Moments, Shares, as_json
from cpcert.rank.shares import shares

# Close to a triangle-free graph: there are 6 atoms, and 5 are not enough.
SIX = [
    [14340, 384, 3200, 9220, 6180], [384, 11268, 6176, 3488, 2272], [3200, 6176, 13313, 224, 225],
    [9220, 3488, 224, 18437, 164], [6180, 2272, 225, 164, 13318],
]  # fmt: skip
# Four cliques of three vertices: 6 atoms again.
CLIQUES = [
    [27, 4, 0, 15, 1],
    [4, 21, 7, 0, 8],
    [0, 7, 14, 15, 2],
    [15, 0, 15, 38, 8],
    [1, 8, 2, 8, 46],
]  # fmt: skip


def random_atoms(rng, n):
    """(atoms (k, n), Σ vvᵀ), connected or not."""
    k = int(rng.integers(2, n + 3))
    atoms = rng.integers(0, 6, (k, n)) * (rng.random((k, n)) < rng.choice([0.5, 0.8, 1.0]))
    atoms[0] = np.maximum(atoms[0], 1)
    return atoms, sum_of_squares(atoms, [1] * k)


def check_context(seed):
    """What the atoms satisfy leads to no bound above their number, and the checker computes the bound that is said."""
    rng = np.random.default_rng(seed)
    atoms, A = random_atoms(rng, int(rng.integers(2, 5)))
    n, context = len(A), []
    for _ in range(int(rng.integers(0, 3))):
        i, j = sorted(int(v) for v in rng.integers(n, size=2))
        if A[i][j]:
            context.append(((i, j), max(Fraction(int(v[i] * v[j])) / A[i][j] for v in atoms)))
    bounds = MomentBounds(A, tuple(context))
    found = bounds.plain()
    assert bounds.at_least(len(atoms) + 1) is None
    if found is None:
        return False
    lower, floating, proof = found
    most = bounded_products(A, tuple(context))
    assert rank_check._of_products(A, most, as_json(proof), 0) == lower <= len(atoms)
    assert lower <= math.ceil(floating + 1e-6)
    return True


def test_a_context_that_holds_proves_no_more_than_there_are():
    assert sum(check_context(seed) for seed in range(6)) >= 5


@pytest.mark.campaign
def test_many_contexts_that_hold():
    assert sum(check_context(seed) for seed in range(6, 600)) >= 500


@pytest.mark.campaign
def test_shares_prove_no_more_atoms_than_there_are():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        atoms, A = random_atoms(rng, int(rng.integers(3, 6)))
        assert shares(A, len(atoms) + 1, time.monotonic() + 5.0) is None
        A, k = made_of_atoms(rng)
        if len(A) <= 6:
            assert cp_rank_bounds(A, 5.0, sdp=True).lower <= k


def test_pairs_of_which_no_atom_has_so_much_of_two(monkeypatch):
    """Each proof is the best that the atoms themselves allow: their number, or no bound where one has more than the share."""
    rng = np.random.default_rng(0)
    reached = 0
    for _ in range(1000):
        n, k = int(rng.integers(2, 6)), int(rng.integers(1, 4))
        atoms = rng.integers(0, 6, (k, n)) * (rng.random((k, n)) < 0.7)
        A, most_of = (atoms.T @ atoms).tolist(), np.max(atoms[:, :, None] * atoms[:, None, :], axis=0).tolist()

        def oracle(A, most, proof, depth, most_of=most_of, k=k):
            if proof:
                return rank_check._shares(A, most, proof, depth)
            rows = zip(most_of, most, strict=True)
            return k if all(v <= w for row, other in rows for v, w in zip(row, other, strict=True)) else 10**6

        monkeypatch.setattr(rank_check, "_of_products", oracle)

        def parts(count, nested, A=A, most_of=most_of, n=n):
            found = []
            for i, j in rng.integers(n, size=(count, 2)).tolist():
                level = most_of[i][j] - Fraction(int(rng.integers(2)), 100)
                if level >= 0 and A[i][j]:
                    proof = parts(count, False) if nested and rng.random() < 0.3 else None
                    found.append({"pair": [i, j], "share": str(level / A[i][j]), "proof": proof})
            return found

        try:
            proven = rank_check._shares(A, A, parts(int(rng.integers(2, 6)), True), 0)
        except rank_check.Rejected:
            continue
        assert proven <= k
        reached += proven == k
    assert reached > 50


def test_all_numbers_of_atoms_with_a_sum(monkeypatch):
    rng = np.random.default_rng(1)
    answers = set()
    for _ in range(300):
        sets, lower = int(rng.integers(1, 5)), int(rng.integers(0, 6))
        cuts = [(Fraction(int(rng.integers(-2, 30)), 2), rng.integers(0, 9, sets).tolist()) for _ in range(3)]
        monkeypatch.setattr(rank_check, "_cut", lambda A, most, cut, sets, cuts=cuts: cuts[cut])
        one = np.eye(sets, dtype=int).tolist()
        fewer = [counts for counts in product(range(lower), repeat=sets) if sum(counts) < lower]
        refuted = all(any(np.dot(c, counts) < value for value, c in cuts) for counts in fewer)
        try:
            rank_check._moments(one, one, {"lower": lower, "sets": [[i] for i in range(sets)], "cuts": [0, 1, 2]})
            answers.add(True)
            assert refuted
        except rank_check.Rejected:
            answers.add(False)
            assert not refuted
    assert answers == {True, False}


def test_one_atom_more_than_the_semidefinite_bound():
    bounds = cp_rank_bounds(SIX, 20.0)
    assert bounds.lower == bounds.upper == 6 and isinstance(bounds.lower_proof, Shares)
    rank_check.check_rank_claim(bounds.claim())
    assert MomentBounds(SIX).plain()[0] == 5
    # One share less, and an atom may have so much of two entries, or a bound is too small.
    proof = as_json(bounds.lower_proof)
    for k in range(6):
        less = Fraction(proof["pairs"][k]["share"]) * Fraction(9, 10)
        claim = bounds.claim()
        claim["lower_proof"] = {"kind": "shares", "pairs": [dict(part) for part in proof["pairs"]]}
        claim["lower_proof"]["pairs"][k]["share"] = str(less)
        with pytest.raises(rank_check.Rejected):
            rank_check.check_rank_claim(claim)


def test_numbers_of_atoms_are_integers():
    """One inequality for the numbers of atoms in the cliques leaves 5 possible, several do not."""
    bounds = cp_rank_bounds(CLIQUES, 20.0)
    assert bounds.lower == bounds.upper == 6 and isinstance(bounds.lower_proof, Moments)
    moments = MomentBounds(CLIQUES)
    assert moments.plain()[0] == 5 and len(moments.sets) == 4 and moments.at_least(7) is None
    claim = bounds.claim()
    rank_check.check_rank_claim(claim)
    assert len(claim["lower_proof"]["cuts"]) > 1
    for k in range(len(claim["lower_proof"]["cuts"])):
        cuts = claim["lower_proof"]["cuts"]
        with pytest.raises(rank_check.Rejected, match="so few"):
            rank_check.check_rank_claim(
                claim | {"lower_proof": claim["lower_proof"] | {"cuts": [*cuts[:k], *cuts[k + 1 :]]}}
            )
