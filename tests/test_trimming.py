"""Trimming of branch-and-bound proofs: shorter, still proofs, and the proof of the search where it fails."""

import numpy as np
import pytest

from cpcert import Problem, certify, solve
from cpcert.certificate import check, trimming
from cpcert.oracle.branch import branch_and_bound


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
    events = np.concatenate([piece.copy() for piece in proof.events()])
    depth = int((kappa > 0).sum()) + 3
    return events, trimming.offsets(events), (proof.points, proof.kappa, proof.linear, proof.cutoff), depth


def closes(events, offset, keep, problem):
    points = problem[0]
    N, r = points.shape
    norms = np.linalg.norm(points, axis=1)
    rows = np.zeros((len(offset), N)), np.zeros((len(offset), N))
    end = len(offset) - 1
    return trimming._closes(events, offset, keep, 0, end, *problem, -norms, norms, rows, np.zeros(r), np.zeros(r))


@pytest.mark.parametrize("seed", range(4))
def test_trimmed_proofs_close(seed):
    """What is kept is closed at every leaf, also without the steps that no leaf rests on, and it is less."""
    events, offset, problem, depth = search(seed)
    kinds = events[offset[:-1]]
    every = np.ones(len(kinds), bool)
    assert closes(events, offset, every, problem)
    full = trimming.needed(events, offset, every, *problem, depth)
    assert closes(events, offset, full, problem)
    coarse = events.copy()
    keep = trimming.trimmed(coarse, offset, *problem, depth)
    assert closes(coarse, offset, keep, problem)
    need = trimming.needed(coarse, offset, keep, *problem, depth)
    assert closes(coarse, offset, need, problem)
    tightenings = kinds == trimming.TIGHTEN
    assert need[tightenings].sum() < full[tightenings].sum()
    assert need[kinds >= trimming.BRANCH].all()


def test_a_leaf_without_room_is_noticed():
    """The simulation is no rubber stamp: with all tightenings gone, or a smaller cutoff, a leaf stays open."""
    events, offset, problem, _ = search()
    kinds = events[offset[:-1]]
    assert not closes(events, offset, kinds != trimming.TIGHTEN, problem)
    points, kappa, linear, cutoff = problem
    assert not closes(events, offset, np.ones(len(kinds), bool), (points, kappa, linear, 0.9 * cutoff))


def gaussian():
    rng = np.random.default_rng(3)
    return Problem(rng.standard_normal((20, 5)), rng.standard_normal(20), lam=1e-3)


def test_a_proof_that_does_not_survive_trimming_is_written_whole(monkeypatch):
    result = solve(gaussian(), gap=1e-5)
    good = certify(result)
    monkeypatch.setattr(trimming, "trimmed", lambda events, offset, *_: events[offset[:-1]] != trimming.TIGHTEN)
    whole = certify(result)
    assert whole.lower == good.lower and check.check(whole.content) == check.check(good.content)
    assert len(good.content) < 0.8 * len(whole.content)
