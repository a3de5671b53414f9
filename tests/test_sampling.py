"""The search for neurons among many points: what it returns is what it says, and it misses little."""

from __future__ import annotations

import numpy as np
import pytest

from cpcert.activations import Activation
from cpcert.oracle.ascent import ascend, ascend_near, starting_points
from cpcert.oracle.sampling import climb, distinct, evaluate, peaks, sampled_maxima, unit_rows

RELU, LEAKY, ABS = Activation("relu", 1.0, 0.0), Activation("leaky_relu", 1.0, 0.2), Activation("abs", 1.0, -1.0)


def data(m, N=400, r=4):
    rng = np.random.default_rng(3)
    return rng.standard_normal((N, r)), rng.standard_normal((m, N)) / N, rng


@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("sigma", [RELU, LEAKY, ABS], ids=lambda sigma: sigma.name)
def test_sampling_finds_no_less_than_hundreds_of_ascents(sigma, m):
    points, G, _ = data(m)
    none = np.zeros((0, points.shape[1]))
    W, values = sampled_maxima(points, G, sigma, none, 1000, 60, 0)
    assert np.allclose(np.linalg.norm(W, axis=1), 1.0)
    assert np.allclose(np.linalg.norm(G @ sigma(W @ points.T).T, axis=0), values)
    assert np.all(np.diff(values) <= 0.0) and 0 < len(W) <= 60
    start, U = starting_points(points, G, 60, 1)
    assert values[0] >= ascend(points, G, sigma.a_plus, sigma.a_minus, start, U)[2][0] * (1.0 - 1e-9)


@pytest.mark.parametrize("m", [1, 2])
def test_climbs_and_landings_never_lose(m):
    points, G, rng = data(m)
    sigma = LEAKY
    W = unit_rows(rng.standard_normal((50, points.shape[1])))
    values, U = evaluate(points, G, sigma, W)
    W, U, higher = climb(points, G, sigma, W, U)
    assert np.all(higher >= values * (1.0 - 1e-12)) and higher.sum() > 1.1 * values.sum()
    for radius in (0.05, 1.0):
        landed = ascend_near(points, G, sigma.a_plus, sigma.a_minus, W, U, radius)[2]
        assert np.all(landed >= np.sort(higher)[::-1] * (1.0 - 1e-12))


def test_landings_near_maxima_are_those_that_see_all_kinks():
    points, G, rng = data(1)
    W, U, values = ascend(points, G, 1.0, 0.0, *starting_points(points, G, 20, 0))
    near = unit_rows(W[:5] + 1e-4 * rng.standard_normal((5, points.shape[1])))
    found = ascend_near(points, G, 1.0, 0.0, near, U[:5], 0.05)[2]
    assert np.all(found >= values[:5] * (1.0 - 1e-6))


def test_neighbours_of_known_neurons_are_searched():
    points, G, _ = data(1)
    best = sampled_maxima(points, G, RELU, np.zeros((0, 4)), 2000, 60, 0)
    again = sampled_maxima(points, G, RELU, best[0][:3] + 0.05, 1, 60, 1)
    assert again[1][0] >= best[1][2] * (1.0 - 1e-9)


def test_peaks_and_distinct():
    W = unit_rows(np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [1.0, 0.0]]))
    U = np.array([[1.0], [1.0], [1.0], [-1.0]])
    values = np.array([1.0, 2.0, 0.5, 0.7])
    assert list(peaks(W, U, values)) == [False, True, False, True]
    chosen = distinct(W, U, values, 2, same=0.999)
    assert np.array_equal(chosen[2], [2.0, 0.7])
    assert len(distinct(W, U, -values, 5)[2]) == 0
