"""The ladder as a whole: coordinates of lower rank, both signs, limits, every activation, never below a value."""

import time

import numpy as np
import pytest

from cpcert.activations import activation
from cpcert.oracle.coordinates import coordinates
from cpcert.oracle.ladder import find_neurons, prove
from cpcert.oracle.rung import Limits

ACTIVATIONS = [("relu", None), ("leaky_relu", 0.3), ("leaky_relu", -0.4), ("abs", None), ("linear", None)]


def sampled(X_tilde, G, sigma, count=20000, seed=0):
    """max ‖Gσ(X̃ᵀw)‖ over random unit w: a lower estimate of γ(G)."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((count, len(X_tilde)))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    return float(np.linalg.norm(sigma(W @ X_tilde) @ G.T, axis=1).max())


@pytest.mark.parametrize("name, slope", ACTIVATIONS)
@pytest.mark.parametrize("m", [1, 2, 3])
def test_bounds_hold_and_are_tight(name, slope, m):
    sigma = activation(name, slope)
    rng = np.random.default_rng(m)
    X_tilde, G = rng.standard_normal((3, 7)), rng.standard_normal((m, 7))
    space = coordinates(X_tilde)
    value = max(find_neurons(space, G, sigma, np.zeros((0, 3)), 60, 0).values.max(), sampled(X_tilde, G, sigma))
    answer = prove(space, G, sigma, value * (1 + 1e-5), Limits(), 0)
    assert answer.complete and answer.upper_bound <= value * (1 + 1e-5)
    assert answer.upper_bound >= sampled(X_tilde, G, sigma, seed=1)
    below = prove(space, G, sigma, value * (1 - 1e-3), Limits(), 0)
    assert not below.complete and below.upper_bound >= value


@pytest.mark.parametrize("name, slope", ACTIVATIONS)
def test_both_signs_count(name, slope):
    """γ(g) = γ(−g), whichever sign attains it: for g ≤ 0 and relu the maximum is on the side of −g."""
    sigma = activation(name, slope)
    X_tilde = np.array([[1.0, 2.0, 0.5], [1.0, 1.0, 1.0]])
    g = -np.array([[1.0, 0.5, 2.0]])
    space = coordinates(X_tilde)
    value = sampled(X_tilde, g, sigma)
    for G in (g, -g):
        answer = prove(space, G, sigma, value * 1.001, Limits(), 0)
        assert answer.complete and value <= answer.upper_bound <= value * 1.001


@pytest.mark.parametrize("m", [1, 3])
def test_points_of_low_rank_in_many_dimensions(m):
    """7 points of rank 3 in R^40: the bound holds in R^40, and costs next to nothing more than in R^3."""
    rng = np.random.default_rng(5)
    low = rng.standard_normal((3, 7))
    frame = np.linalg.qr(rng.standard_normal((40, 3)))[0]
    G, sigma = rng.standard_normal((m, 7)), activation("relu")
    space = coordinates(frame @ low)
    assert space.points.shape == (7, 3) and space.stretch < 1.0 + 1e-13
    value = find_neurons(space, G, sigma, np.zeros((0, 3)), 60, 0).values.max()
    answer = prove(space, G, sigma, value * (1 + 1e-6), Limits(), 0)
    assert answer.complete and answer.upper_bound <= value * (1 + 1e-6)
    assert answer.upper_bound >= sampled(frame @ low, G, sigma)
    W = space.lift(find_neurons(space, G, sigma, np.zeros((0, 3)), 10, 0).W)
    np.testing.assert_allclose(np.linalg.norm(W, axis=1), 1.0)


def test_residuals_of_nearly_dependent_points_are_paid_for():
    """A singular value that is cut off changes γ, and the bound knows it."""
    X_tilde = np.array([[1.0, 2.0, -1.0], [1e-12, -1e-12, 1e-12]])
    G = np.array([[1e12, -1e12, 1e12]])
    sigma = activation("linear")
    space = coordinates(X_tilde)
    assert space.points.shape[1] == 1
    answer = prove(space, G, sigma, 1.0, Limits(), 0)
    assert answer.upper_bound >= np.linalg.norm(G @ X_tilde.T)


@pytest.mark.parametrize("limits", [Limits(0), Limits(1), Limits(20), Limits(deadline=time.monotonic() - 1.0)])
@pytest.mark.parametrize("m", [1, 2, 5])
def test_limits_leave_a_proven_bound(limits, m):
    rng = np.random.default_rng(m)
    X_tilde, G = rng.standard_normal((4, 12)), rng.standard_normal((m, 12))
    space, sigma = coordinates(X_tilde), activation("relu")
    answer = prove(space, G, sigma, 1.0001 * sampled(X_tilde, G, sigma), limits, 0)
    assert answer.upper_bound >= sampled(X_tilde, G, sigma)


@pytest.mark.parametrize("m", [1, 2])
def test_nothing_to_prove(m):
    sigma = activation("relu")
    for X_tilde, G in ((np.zeros((2, 3)), np.ones((m, 3))), (np.ones((2, 3)), np.zeros((m, 3)))):
        answer = prove(coordinates(X_tilde), G, sigma, 1e-6, Limits(), 0)
        assert answer.complete and answer.upper_bound <= 1e-15


def test_the_rung_depends_on_how_tight_the_cutoff_is():
    rng = np.random.default_rng(6)
    relu = activation("relu")
    space, G = coordinates(rng.normal(size=(4, 64))), rng.normal(size=(2, 64))
    none = np.zeros((0, 4))
    top = 1.2 * float(find_neurons(space, G[:1], relu, none, 40, 0).values[0])
    answers = [prove(space, G[:1], relu, top, Limits(), 0, looseness) for looseness in (1.0, 1.2)]
    assert [(answer.rung, answer.complete) for answer in answers] == [("branch", True), ("spatial", True)]
    # Several outputs: cones from a third of as many points on.
    few = coordinates(space.points[:22].T)
    top = 1.1 * float(find_neurons(few, G[:, :22], relu, none, 40, 0).values[0])
    assert prove(few, G[:, :22], relu, top, Limits(), 0).rung == "spatial"
