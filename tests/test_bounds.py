"""The best multiple of a dual point, and what is claimed of it."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpcert import Problem
from cpcert.errors import ProofError
from cpcert.frank_wolfe import bounds
from cpcert.frank_wolfe.bounds import best_scale, dual_lower_bound
from cpcert.losses import LOSSES
from cpcert.rounding import round_down


def exact_dual_value(problem, G, s):
    """D(sG) from below, with exact sums."""
    rows = [[Fraction(x) for x in row] for row in G.tolist()]
    sums = [sum(row) for row in rows]
    if problem.loss.name == "cross_entropy":
        sums[-1] = -sum(sums[:-1])
    bias = Fraction(problem.beta) ** 2 / (4 * Fraction(problem.lam)) * sum(x * x for x in sums) * Fraction(s) ** 2
    value = problem.loss.dual_value_lower(G, Fraction(s), problem.targets)
    return round_down(Fraction(value) - bias) if np.isfinite(value) else -np.inf


def dual_point(loss, seed, centred):
    """A problem's data and a dual point; centred: the rows of G cancel, up to rounding."""
    rng = np.random.default_rng([1769, seed])
    N, m = int(rng.integers(2, 6)), 1 + int(rng.integers(0, 3)) + (loss == "cross_entropy")
    Y = rng.standard_normal((N, m))
    G = rng.standard_normal((m, N)) * 10.0 ** rng.uniform(-3, 3)
    if loss == "logistic":
        Y = np.where(Y < 0.0, -1.0, 1.0)
        G = np.abs(G) * Y.T
    if loss == "cross_entropy":
        Y = np.eye(m)[rng.integers(0, m, size=N)] if seed % 2 else rng.dirichlet(np.ones(m), N)
        G = LOSSES[loss].project_dual(G / np.abs(G).max() / N, Y.T)
    if centred and N > 2:
        G[:, 0] = -G[:, 1:].sum(axis=1)
    return rng.standard_normal((N, 2)), Y, G


@pytest.mark.parametrize("loss", sorted(LOSSES))
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6), centred=st.booleans(), beta=st.sampled_from([0.0, 1.0, -1e-6, 1e6, 1e15, -1e30]),
    size=st.integers(-15, 15), top=st.sampled_from([1e-10, 1e-3, 1.0, 1.5, 1e300]),
)  # fmt: skip
def test_no_scale_is_better(loss, seed, centred, beta, size, top):
    """D at the scale that is chosen is at least D(0) and D on a grid of scales, up to rounding."""
    X, Y, G = dual_point(loss, seed, centred)
    problem = Problem(X, Y, lam=None if loss == "interpolate" else 10.0**size, loss=loss, activation="relu", beta=beta)
    scale = best_scale(problem, G, top)
    end = min(top, problem.loss.max_scale(G, problem.targets))
    assert 0.0 <= scale <= end
    value = exact_dual_value(problem, G, scale)
    room = 1e-12 * (1.0 + scale * float(np.abs(G * problem.targets).sum()))
    for other in [0.0, *(end * 10.0 ** -np.linspace(0.0, 40.0, 33))]:
        there = exact_dual_value(problem, G, float(other))
        assert value >= there - 1e-8 * abs(there) - room


def test_sums_that_cancel_do_not_make_the_scale():
    """A penalty of 5e26‖G1‖² with a sum of rounding errors: the best scale is small, and D there above D(0) = 0."""
    g = np.array([[0.085619592901, -0.057237654012, -0.056779579711, 1.55266151e-05, -0.057237562331, 0.0]])
    g[0, -1] = 6.1e-13 - g.sum()
    y = np.sign(g)
    problem = Problem(np.arange(12.0).reshape(6, 2), y.T, lam=4.9e32, loss="logistic", activation="linear", beta=-1e30)
    for limit in np.linspace(0.9, 1.0, 20):
        scale = best_scale(problem, g, float(limit))
        assert 0.0 < scale < 0.1 and exact_dual_value(problem, g, scale) > 0.0


def test_a_scale_that_is_not_feasible_is_refused(monkeypatch):
    """Not by an assert, which python -O would drop; and a bound worse than that of the scale 0 is replaced by it."""
    problem = Problem(np.eye(2), np.array([1.0, -2.0]), lam=0.1, beta=0.0)
    G = np.array([[0.5, -0.5]])
    monkeypatch.setattr(bounds, "best_scale", lambda *_: 1.0)
    with pytest.raises(ProofError):
        dual_lower_bound(problem, G, 0.5, "spectral", None, None)
    monkeypatch.setattr(bounds, "best_scale", lambda *_: 100.0)
    worse = dual_lower_bound(problem, G, 1e-9, "spectral", None, None)
    assert (worse.value, worse.dual_scale) == (0.0, 0.0)
