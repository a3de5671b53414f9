"""Rank_σ above the number of points: proofs that as many neurons as points are too few, and forgeries of them."""

import json
import time
from fractions import Fraction

import numpy as np
import pytest
from kept_certificates import FOLDER

from cpcert.activations import activation
from cpcert.certificate.rank_check import Rejected, check_rank_claim
from cpcert.rank.matrices import ExactPair, float_matrix
from cpcert.rank.pair import rank_sigma_bounds
from cpcert.rank.pair_square import no_square
from cpcert.rank.proofs import Square, SquareBranch, as_json

SLOPES = ((1, 0), (1, Fraction(1, 4)), (1, -1), (1, Fraction(-1, 2)), (2, 1))


def pair_of(Z, slopes):
    """(K, K^σ), exactly, of the neurons in the rows of Z."""
    Z = np.array([[Fraction(v) for v in row] for row in Z])
    S = np.where(Z > 0, Z * slopes[0], Z * slopes[1])
    return (Z.T @ Z).tolist(), (S.T @ S).tolist()


def claim_of(K, L, slopes, tree):
    claim = {"claim": "rank_sigma", "K": as_json(K), "K_sigma": as_json(L), "beta": 0, "lower": len(K) + 1}
    claim |= {"a_plus": as_json(slopes[0]), "a_minus": as_json(slopes[1]), "upper": None, "upper_proof": None}
    return claim | {"lower_proof": {"kind": "square", "tree": as_json(tree)}}


def proposed(K, L, slopes):
    return no_square(float_matrix(K), float_matrix(L), (float(slopes[0]), float(slopes[1])), time.monotonic() + 20.0)


def distance(K, L, slopes):
    """How near two neurons with the sum K come to L: all of them are rotations of one pair."""
    values, vectors = np.linalg.eigh(float_matrix(K))
    root = vectors * np.sqrt(values) @ vectors.T
    t = np.linspace(0.0, 2.0 * np.pi, 4001)
    Q = np.moveaxis(np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]), -1, 0)
    X = np.concatenate([Q, Q * np.array([1.0, -1.0])]) @ root
    S = np.where(X > 0, float(slopes[0]) * X, float(slopes[1]) * X)
    return abs(np.swapaxes(S, 1, 2) @ S - float_matrix(L)).max(axis=(1, 2)).min()


def test_what_is_accepted_is_true():
    rng = np.random.default_rng(0)
    accepted = 0
    for case in range(18):
        slopes = SLOPES[case % len(SLOPES)]
        K, L = pair_of(rng.integers(-6, 7, (2 + case % 3, 2)).tolist(), slopes)
        proof = proposed(K, L, slopes)
        if proof is None:
            continue
        claim = claim_of(K, L, slopes, proof.tree)
        check_rank_claim(claim)
        accepted += 1
        assert case % 3 and distance(K, L, slopes) > 1e-6
        with pytest.raises(Rejected):
            check_rank_claim(claim | {"lower": 4})
    assert accepted > 6


@pytest.mark.parametrize(("N", "k", "seed"), [(3, 6, 0), (3, 6, 4)])
def test_the_bounds_of_random_pairs_meet(N, k, seed):
    Z = np.random.default_rng(100 * seed + N).standard_normal((k, N))
    K, L = pair_of(Z.tolist(), (1, 0))
    proof = proposed(K, L, (1, 0))
    check_rank_claim(claim_of(K, L, (1, 0), proof.tree))
    # The proof of one pair says nothing about another: of N of these neurons.
    with pytest.raises(Rejected, match=r"too small|copositive|singular"):
        check_rank_claim(claim_of(*pair_of(Z[:N].tolist(), (1, 0)), (1, 0), proof.tree))


def test_both_ends_of_a_pair():
    K, L = pair_of([[3, -1], [-1, 2], [2, 2]], (1, 0))
    bounds = rank_sigma_bounds(ExactPair("pair", K, L, 0, activation("relu"), False), 20.0)
    assert (bounds.lower, bounds.upper) == (3, 3) and isinstance(bounds.lower_proof, Square)
    check_rank_claim(bounds.claim())


@pytest.mark.parametrize("exponents", [(-60, -60), (-200, -20), (-200, 200), (200, 200)])
def test_pairs_of_any_size(exponents):
    """The forms of small pairs are large, and those of large ones small."""
    scale = [Fraction(2) ** e for e in exponents]
    K, L = pair_of([[v * s for v, s in zip(row, scale, strict=True)] for row in ([3, -1], [-1, 2], [2, 2])], (1, 0))
    check_rank_claim(claim_of(K, L, (1, 0), proposed(K, L, (1, 0)).tree))


def one(K, L, *, slopes=(1, 0), **changes):
    """Order 1: x² = K, σ(x)² = L. With K = 1 and L = 1/2 none of the two signs fits: xᵀUx + γ(x² − 2σ(x)²) ≥ 0 and U = −1."""
    leaf = {"U": [[-1]], "V": [[0]], "gamma": [-1, 1], "shares": [0, 0], "bits": 0}
    return claim_of([[K]], [[L]], slopes, leaf | changes)


def rejects(reason, claim):
    with pytest.raises(Rejected, match=reason):
        check_rank_claim(claim)


def test_one_neuron_by_hand():
    half = Fraction(1, 2)
    check_rank_claim(one(1, half))
    for L in (1, 2):  # one neuron x = 1, and none: there L is too large
        rejects("not copositive", one(1, L)) if L == 1 else check_rank_claim(one(1, L, gamma=[2, 1]))
    rejects("not copositive", one(1, half, gamma=[0, 1]))
    rejects("not copositive", one(1, half, gamma=[-1, "1/2"]))
    rejects("not copositive", one(1, half, gamma=[-1, "9/10"], bits=0))
    rejects("too small", one(1, half, U=[[0]]))
    rejects("singular", one(1, 0))
    rejects("singular", one(0, 1))
    rejects("gamma", one(1, half, gamma=[-1]))
    rejects("shares", one(1, half, shares=[0, 0, 0]))
    rejects("bits", one(1, half, bits=-1))
    # Entries are rounded down: 1/3 − 1/3 is 0 over 3, and less over any power of two unless it is exact.
    check_rank_claim(one(1, half, U=[["-1/3"]], gamma=["-1/3", "1/3"], bits=0))
    rejects("not copositive", one(1, half, U=[["-1/3"]], gamma=["-1/3", "33/100"], bits=0))
    check_rank_claim(one(1, half, U=[["-1/3"]], gamma=["-1/3", "67/100"], bits=2))
    # A share that both forms have is nothing: it belongs to U.
    check_rank_claim(one(1, half, U=[[3]], shares=[4, 4]))
    rejects("too small", one(1, half, U=[[3]], shares=[4, 3]))
    rejects("too small", one(1, half, U=[[4]], shares=[4, 4]))


def test_trees_by_hand():
    half = Fraction(1, 2)
    leaf = {"U": [[-1]], "V": [[0]], "gamma": [-1, 1], "shares": [0, 0], "bits": 0}
    # With n = (0, 1) the form of + may be anything; with n = (1, 0) that of −.
    fewer, more = leaf | {"gamma": [9, 1]}, leaf | {"gamma": [-1, -9]}
    branch = {"pattern": 0, "most": 0, "fewer": fewer, "more": more}
    below = {"pattern": 1, "most": 0, "fewer": more, "more": None}

    def tree(value):
        return claim_of([[1]], [[half]], (1, 0), value)

    rejects("not copositive", tree(fewer))
    rejects("not copositive", tree(branch))
    check_rank_claim(tree(branch | {"more": below}))
    rejects("there are such", tree(None))
    rejects("there are such", tree(branch | {"more": None}))
    rejects("there are such", tree(branch | {"fewer": None, "more": below}))
    check_rank_claim(tree(branch | {"most": 1, "fewer": leaf, "more": None}))
    rejects("pattern", tree(branch | {"pattern": 2}))
    rejects("most", tree(branch | {"most": -1}))
    rejects("keys", tree(branch | {"least": 0}))
    for nothing in (["pattern"], "pattern", 0):
        rejects("keys U, V", tree(nothing))
    rejects("there are such", tree(branch | {"fewer": below, "more": fewer}))
    # Shares count for the numbers that are possible.
    rich = leaf | {"U": [[3]], "gamma": [9, 5], "shares": [0, 4]}
    rejects("too small", tree(rich))
    check_rank_claim(tree({"pattern": 0, "most": 0, "fewer": rich, "more": below}))
    # What cannot be below a bound and above another; and what must be there counts once.
    twice = {"pattern": 0, "most": 0, "fewer": fewer, "more": None}
    check_rank_claim(tree(branch | {"fewer": twice, "more": below}))
    one_of_plus = leaf | {"U": [[3]], "gamma": [-1, -4], "shares": [4, -1]}
    check_rank_claim(tree(branch | {"more": one_of_plus}))
    rejects("too small", tree(branch | {"fewer": one_of_plus, "more": below}))
    deep = below
    for depth in range(1, 62):
        if depth in (59, 60):
            (check_rank_claim if depth == 59 else lambda claim: rejects("too deeply", claim))(
                tree(branch | {"more": deep})
            )
        deep = {"pattern": 0, "most": 0, "fewer": None, "more": deep}
    deep = leaf
    for depth in range(62):
        if depth in (60, 61):
            (check_rank_claim if depth == 60 else lambda claim: rejects("too deeply", claim))(tree(deep))
        deep = {"pattern": 0, "most": 1, "fewer": deep, "more": None}


def test_two_neurons_by_hand():
    """K = 1, L = 2: σ(x)ᵀσ(x)/2 ≤ xᵀx/2 is not 1 as well. xᵀUx + γ(xᵀx − σ(x)ᵀσ(x)/2) ≥ 0 with U = −1, γ = 2."""
    K, L = [[1, 0], [0, 1]], [[2, 0], [0, 2]]
    leaf = {"U": [[-1, 0], [0, -1]], "V": [[0, 0], [0, 0]], "gamma": [2] * 4, "shares": [0] * 4, "bits": 0}
    check_rank_claim(claim_of(K, L, (1, 0), leaf))
    rejects("not copositive", claim_of(K, L, (1, 0), leaf | {"gamma": ["199/100", 2, 2, 2]}))
    rejects("not copositive", claim_of(K, L, (1, 0), leaf | {"gamma": [2, 2, 2, "99/100"]}))
    # Exactly one neuron of the first pattern: its share counts once, not twice.
    for share, good in ((-1, True), (-2, False)):
        once = {"pattern": 0, "most": 0, "fewer": leaf, "more": leaf | {"shares": [share, 0, 0, 0]}}
        claim = claim_of(K, L, (1, 0), {"pattern": 0, "most": 1, "fewer": once, "more": leaf})
        check_rank_claim(claim) if good else rejects("too small", claim)
    # σ(x) of a negative x is positive for a₋ < 0: then V = 1 off the diagonal is good for all signs.
    mixed = leaf | {"V": [[0, 1], [1, 0]], "bits": 4}
    check_rank_claim(claim_of(K, L, (1, "-1/2"), mixed))
    rejects("not copositive", claim_of(K, L, (1, "1/2"), mixed))


def test_orders_that_are_too_large_are_refused():
    identity = [[int(i == j) for j in range(9)] for i in range(9)]
    rejects("order 9", claim_of(identity, identity, (1, 0), None))


def test_a_kept_tree_and_what_it_stands_on():
    claim = json.loads((FOLDER / "rank_sigma-square.json").read_text())
    tree = claim["lower_proof"]["tree"]

    def changed(**changes):
        return claim | {"lower_proof": {"kind": "square", "tree": tree | changes}}

    check_rank_claim(claim)
    for change in (
        {"fewer": tree["more"]}, {"more": tree["fewer"]}, {"most": 1}, {"pattern": 0}, {"fewer": None}, {"more": None},
    ):  # fmt: skip
        rejects(r"copositive|too small|there are", changed(**change))
    for slopes in ((1, "1/100"), ("99/100", 0), (0, 1)):
        rejects("copositive", claim | {"a_plus": slopes[0], "a_minus": slopes[1]})
    assert isinstance(proposed(claim["K"], claim["K_sigma"], (1, 0)).tree, SquareBranch)
