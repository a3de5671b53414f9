"""What the search proved, its certificate proves too: nothing is lost between the two, and little is weaker.

D is concave along a ray and D(0) ≥ 0, so a bound of the oracle raised by the part η costs at most the part η of D(sG).
"""

from __future__ import annotations

import time
from functools import cache
from itertools import product

import numpy as np
import pytest

from cpcert import InputError, Problem, certify, solve
from cpcert.certificate import branch_columns, build, file, recorded_tree, trees, trimming
from cpcert.certificate.task import SLACKS
from cpcert.errors import ProofError
from cpcert.oracle.branch import BranchProof

LOSSES = ("mse", "logistic", "cross_entropy", "interpolate")
ACTIVATIONS = (("relu", None), ("leaky_relu", "random"), ("abs", None), ("linear", None), ("leaky_relu", -0.999999))
BETAS = (0.0, 1.0, -0.7, 1e-6, 1e6)
# λ in units of its size at which neurons appear, about: from none to many.
WEIGHTS = (0.0, 1.0, -1.0, -2.5, -4.0)
DATA = ("gaussian", "whole", "doubled", "nearly parallel", "rank 1", "far apart", "zeros", "small", "large", "flat")
KINDS = list(product(range(len(LOSSES)), range(len(ACTIVATIONS)), range(len(BETAS)), range(len(DATA))))
# Raising the bound of the oracle by more than this is for multipliers that 64 bits do not hold.
USUAL = SLACKS[4]


def points(data: str, N: int, n0: int, rng: np.random.Generator) -> np.ndarray:
    """Points of one of the kinds DATA, (N, n0)."""
    X = rng.standard_normal((N, n0))
    if data == "whole":
        return rng.integers(-2, 3, size=(N, n0)).astype(float)
    if data == "doubled":
        X[N // 2 :] = X[rng.integers(0, N // 2, size=N - N // 2)] * rng.choice([1.0, 2.0, -1.0])
    if data == "nearly parallel":
        X = np.outer(rng.standard_normal(N), X[0]) + 2.0 ** -rng.integers(20, 45) * X
    if data == "rank 1":
        X = np.outer(rng.standard_normal(N), X[0])
    if data == "far apart":
        X = X * 10.0 ** rng.uniform(-8, 8, size=(N, 1))
    if data == "zeros":
        X = X * (rng.random((N, n0)) < 0.5)
    if data == "flat":
        X[:, -1] = X[0, -1] + 2.0**-40 * X[:, -1]
    return X * {"small": 1e-9, "large": 1e9}.get(data, 1.0)


def instance(seed: int) -> Problem | None:
    """A small problem; the kinds are taken in an order that mixes them. None where the loss refuses it."""
    rng = np.random.default_rng([1822, seed])
    loss_at, activation_at, beta_at, data_at = KINDS[(seed * 617) % len(KINDS)]
    loss, (activation, slope), data = LOSSES[loss_at], ACTIVATIONS[activation_at], DATA[data_at]
    if slope == "random":
        slope = float(rng.uniform(-1.0, 1.0)) if rng.random() < 0.7 else float(rng.integers(-9, 10)) / 20.0
    N, n0, m = int(rng.integers(2, 9)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    unit = 10.0 ** float(rng.uniform(-25, 25)) if rng.random() < 0.3 else 1.0
    X, beta = points(data, N, n0, rng) * unit, BETAS[beta_at] * unit
    Y = rng.standard_normal((N, m))
    if rng.random() < 0.3:
        Y -= Y.mean(axis=0)
    if loss == "logistic":
        Y = np.where(Y < 0.0, -1.0, 1.0)
    if loss == "cross_entropy":
        m = max(m, 2)
        Y = np.eye(m)[rng.integers(0, m, size=N)]
    if rng.random() < 0.2 and loss in ("mse", "interpolate"):
        Y = Y * 10.0 ** float(rng.uniform(-6, 6))
    size = float(np.abs(X).max()) + abs(beta)
    lam = None if loss == "interpolate" else size * 10.0 ** float(rng.choice(WEIGHTS) + rng.uniform(-0.5, 0.5))
    try:
        return Problem(X, Y, lam=lam, loss=loss, activation=activation, slope=slope, beta=beta)
    except InputError:
        return None


def shortfall(problem: Problem) -> float | None:
    """How much weaker the certificate's lower bound is than the search's, relative; inf if it has none, None if neither has."""
    result = solve(problem, gap=1e-4, time_limit=2.0, node_limit=2000, max_iterations=25)
    certificate = certify(result)
    if result.lower is None:
        return None
    if certificate is None or certificate.lower is None:
        return float("inf")
    assert certificate.skipped == ()
    return (result.lower - certificate.lower) / max(abs(result.lower), 1e-300)


def check(seed: int) -> None:
    problem = instance(seed)
    if problem is not None:
        found = shortfall(problem)
        assert found is None or found <= USUAL, (seed, found, problem)


@pytest.mark.parametrize("seed", range(40))
def test_the_certificate_carries_what_the_search_proved(seed):
    check(seed)


@pytest.mark.campaign
@pytest.mark.parametrize("first", range(40, 1000, 60))
def test_many_certificates_carry_what_the_search_proved(first):
    for seed in range(first, first + 60):
        check(seed)


@pytest.mark.parametrize("slope", [0.05, 0.3, -0.85, 0.9, -0.999999])
def test_slopes_whose_difference_rounds(slope):
    """1 − slope is no float: the norms of spectral.py are multiplied by the difference itself, as the checker does."""
    X = np.array([[2.0, 1.0, -3.0], [1.0, 3.0, -1.0], [-1.0, 2.0, -2.0], [0.0, 1.0, 3.0], [2.0, -1.0, 0.0]])
    problem = Problem(X, [1.0, -2.0, -1.0, 3.0, 2.0], lam=30.0, activation="leaky_relu", slope=slope, beta=0.0)
    result = solve(problem)
    certificate = certify(result)
    assert result.dual.rung == "spectral" and certificate.lower == pytest.approx(3.8, rel=1e-12)
    assert certificate.gap <= 1e-6


def test_multipliers_far_apart():
    """Points that all but coincide (β = 1e6): multipliers of cells 1e14 apart still leave a bound of nearly the same value."""
    X = [[-0.5, 0.5], [0.75, 0.5], [-0.25, 0.25], [0.125, 0.75]]
    Y = [[2.0, 1.25], [1.75, 0.5], [-0.5, 0.0], [1.5, 0.0]]
    problem = Problem(X, Y, lam=1.0, activation="abs", beta=1e6)
    result = solve(problem)
    assert result.dual.rung == "cells"
    assert certify(result).lower == pytest.approx(result.lower, rel=1e-6)


@cache
def proven():
    """A result that a branch and bound proves."""
    rng = np.random.default_rng(11)
    return solve(Problem(rng.standard_normal((24, 5)), rng.standard_normal(24), lam=3e-3), gap=1e-4)


def test_a_deadline_decides_what_is_written():
    """In time: the whole certificate, to the byte. No time: nothing. In between: less, and it says what was skipped."""
    result = proven()
    whole = certify(result)
    assert result.dual.rung == "branch" and whole.skipped == ()
    assert certify(result, deadline=time.monotonic() + 1000.0).content == whole.content
    assert certify(result, deadline=time.monotonic() - 1.0) is None


def test_steps_that_do_not_fit_are_skipped(monkeypatch):
    """First trimming, then the proof of the search for the bound by norms, which is weaker and accepted all the same."""
    result = proven()
    whole = certify(result)
    clock_of = build.Clock

    def certified(room):
        monkeypatch.setattr(build, "Clock", lambda deadline: Sand(deadline, room))
        return certify(result, deadline=0.0)

    class Sand(clock_of):
        """A clock on which so many seconds are left for each step."""

        def __init__(self, deadline, room):
            super().__init__(deadline)
            self.room = room

        def left(self):
            return self.room

    monkeypatch.setattr(trees, "TRIMMING", 1e9)
    untrimmed = certified(1000.0)
    assert untrimmed.skipped == ("trimming the proof",)
    assert untrimmed.lower == whole.lower and len(untrimmed.content) > len(whole.content)
    monkeypatch.setattr(build, "check_seconds", lambda arrays, problem: 1e9 if "rho" in arrays else 0.0)
    weaker = certified(1000.0)
    assert "the proof of the lower bound that the search found" in weaker.skipped
    assert weaker.upper == whole.upper and 0.0 < weaker.lower < whole.lower
    monkeypatch.setattr(build, "check_seconds", lambda arrays, problem: 1e9)
    nothing = certified(1000.0)
    assert nothing.lower is None and nothing.upper == whole.upper and nothing.skipped[-1] == "the lower bound"


def test_a_replay_that_fails_leaves_the_bound_by_norms(monkeypatch):
    """A proof that does not hold what it should is not written, and costs no crash."""
    result = proven()

    def wrong(self):
        raise ProofError("the replay left the tree")
        yield

    monkeypatch.setattr(BranchProof, "steps", wrong)
    certificate = certify(result)
    assert certificate.upper is not None and 0.0 < certificate.lower < result.lower


def test_kernels_of_writing_are_compiled_in_advance():
    trees.compile_writing_kernels()
    kernels = (trimming.trimmed, recorded_tree.needed, branch_columns.branch_columns, file._varints)
    before = {f: len(f.signatures) for f in kernels}
    assert all(before.values())
    certify(proven())
    assert before == {f: len(f.signatures) for f in before}
