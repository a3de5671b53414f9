"""Trimming of branch-and-bound proofs: shorter, still proofs, and the proof of the search where it fails."""

import numpy as np
import pytest

from cpcert import Problem, certify, solve
from cpcert.certificate import check, trimming
from cpcert.certificate.recorded_tree import Tree, needed
from cpcert.oracle.branch import branch_and_bound
from cpcert.oracle.tree_language import BRANCH, CLOSE, EMPTY, TIGHTEN, starts


def search(seed=0, N=20, r=6):
    """A closed search with its events; the cutoff a little above the maximum."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((N, r))
    points /= 1.01 * np.linalg.norm(points, axis=1, keepdims=True)
    kappa = rng.standard_normal(N)
    linear = np.zeros(r)
    cutoff = 1e-3
    while True:
        result = branch_and_bound(points, kappa, linear, cutoff)
        if result.closed:
            break
        cutoff = 1.02 * max(result.values.max(), cutoff)
    proof = result.proof
    assert proof is not None
    steps = np.concatenate([piece.copy() for piece in proof.steps()])
    first = proof.start
    tree = Tree(steps, starts(steps), proof.points, proof.kappa, proof.linear, proof.cutoff, first.low, first.high)
    return tree, int((kappa > 0).sum()) + 3


def closes(tree, keep):
    N, r = tree.points.shape
    norms = np.linalg.norm(tree.points, axis=1)
    D, end = len(tree.offset), len(tree.offset) - 1
    scratch = trimming._Scratch(np.zeros((D, N)), np.zeros((D, N)), np.zeros(r), np.zeros(r))
    return trimming._closes(tree, keep, 0, end, -norms, norms, scratch)


@pytest.mark.parametrize("seed", range(4))
def test_trimmed_proofs_close(seed):
    """What is kept is closed at every leaf, also without the steps that no leaf rests on, and it is less."""
    tree, depth = search(seed)
    kinds = tree.steps[tree.offset[:-1]]
    every = np.ones(len(kinds), bool)
    assert closes(tree, every)
    full = needed(tree, every, depth)
    assert closes(tree, full)
    coarse = tree._replace(steps=tree.steps.copy())
    keep = trimming.trimmed(coarse, depth)
    assert closes(coarse, keep)
    need = needed(coarse, keep, depth)
    assert closes(coarse, need)
    tightenings = kinds == TIGHTEN
    assert need[tightenings].sum() < full[tightenings].sum()
    assert need[np.isin(kinds, (CLOSE, EMPTY, BRANCH))].all()


def test_a_leaf_without_room_is_noticed():
    """The simulation is no rubber stamp: with all tightenings gone, or a smaller cutoff, a leaf stays open."""
    tree, _ = search()
    kinds = tree.steps[tree.offset[:-1]]
    assert not closes(tree, kinds != TIGHTEN)
    assert not closes(tree._replace(cutoff=0.9 * tree.cutoff), np.ones(len(kinds), bool))


def gaussian():
    rng = np.random.default_rng(3)
    return Problem(rng.standard_normal((20, 5)), rng.standard_normal(20), lam=1e-3)


def test_a_proof_that_does_not_survive_trimming_is_written_whole(monkeypatch):
    result = solve(gaussian(), gap=1e-5)
    good = certify(result)
    monkeypatch.setattr(trimming, "trimmed", lambda tree, *_: tree.steps[tree.offset[:-1]] != TIGHTEN)
    whole = certify(result)
    assert whole.lower == good.lower and check.check(whole.content) == check.check(good.content)
    assert len(good.content) < 0.8 * len(whole.content)
