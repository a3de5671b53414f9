"""Caps around contacts: the search on a region, the intervals of a cap, and what the division is."""

import time
from dataclasses import replace

import numpy as np

from cpcert import Problem, solve
from cpcert.certificate import width_check
from cpcert.network import Network, loss_upper
from cpcert.oracle.branch import branch_and_bound, inside, outside
from cpcert.oracle.rung import Limits
from cpcert.width import bounds as bounds_module
from cpcert.width.bounds import width_bounds
from cpcert.width.caps import Peaks
from cpcert.width.certificate import certify_width
from cpcert.width.contacts import Contacts, disjoint


def f(points, kappa, linear, W):
    return W @ linear + np.maximum(W @ points.T, 0.0) @ kappa


def test_what_is_proven_on_a_region_holds_there():
    """Below the largest value sampled there nothing is proven, just above it often is, though there is more elsewhere."""
    proven = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        r, N = 3 + seed % 2, 14
        points, kappa, linear = rng.standard_normal((N, r)), rng.standard_normal(N), 0.1 * rng.standard_normal(r)
        W = rng.standard_normal((40_000, r))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        values = f(points, kappa, linear, W)
        centre, heights = W[np.argmax(values)][np.newaxis], np.array([0.8])
        within = W @ centre[0] >= heights[0]
        for region, mask in ((outside(centre, heights), ~within), (inside(centre, heights, 0), within)):
            most = max(float(values[mask].max()), 0.1)
            found = branch_and_bound(points, kappa, linear, 1.02 * most, Limits(20_000, None), region=region)
            proven += found.closed
            assert not branch_and_bound(points, kappa, linear, 0.99 * most, Limits(20_000, None), region=region).closed
    assert proven >= 5


def test_intervals_of_a_cap_hold_and_are_tight():
    """Those of the search and those of the checker, which are inside, against samples."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = rng.integers(-40, 41, (8, 3))
        centre = rng.integers(-(1 << 20), 1 << 20, 3)
        height = int(rng.uniform(0.2, 0.99) * np.linalg.norm(centre))
        problem = type("Problem", (), {"N": 8, "a_plus": 1, "a_minus": 0})
        space = width_check.Space(points.tolist(), 0)
        forest = width_check.Forest(problem, space, [0] * 8, [0, 0, 0], [centre.tolist()], [height])
        low, high = (np.array(ends[:8], float) / 2.0**forest.p for ends in forest.in_cap(0))
        region = inside(np.ldexp(centre[np.newaxis].astype(float), -20), np.array([height * 2.0**-20]), 0)
        start = branch_and_bound(points.astype(float), np.ones(8), np.zeros(3), 1e6, region=region).proof.start
        scale = np.ldexp(1.0, -np.frexp(np.abs(points[np.any(points != 0, axis=1)]).max(axis=1))[1])
        kept = np.any(points != 0, axis=1)
        assert (start.low[:-1] <= low[kept] * scale).all() and (high[kept] * scale <= start.high[:-1]).all()
        assert np.allclose(start.low[:-1], low[kept] * scale, atol=1e-6)
        W = rng.standard_normal((20_000, 3)) + 3.0 * centre / np.linalg.norm(centre)
        W *= rng.uniform(0.0, 1.0, (len(W), 1)) ** 0.2 / np.linalg.norm(W, axis=1, keepdims=True)
        W = W[W @ centre >= height]
        z = W @ points.T
        assert (low <= z.min(axis=0)).all() and (z.max(axis=0) <= high).all()
        size = np.linalg.norm(points, axis=1) + 1e-9
        assert ((high - z.max(axis=0)) / size).max() < 0.15 and ((z.min(axis=0) - low) / size).max() < 0.15


def test_disjoint_caps_are_told_as_the_checker_tells_them():
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(200):
        sites = rng.integers(-9, 10, (3, 3))
        heights = rng.integers(0, 13, 3)
        try:
            width_check.read_caps(sites.tolist(), {"heights": width_check.array("q", heights.tolist())})
            said = True
        except width_check.Rejected:
            said = False
        assert disjoint(np.ldexp(sites.astype(float), -20), np.ldexp(heights.astype(float), -20)) == said
        seen.add(said)
    assert seen == {True, False}


def test_one_proof_serves_all_sets_and_finds_the_contacts_it_lacks(monkeypatch):
    """From a single direction the division grows to all contacts; the width is that of the large caps."""
    rng = np.random.default_rng(3)
    problem = Problem(rng.standard_normal((10, 3)), rng.standard_normal(10), lam=2e-2)
    result = solve(problem, gap=1e-9)
    whole = width_bounds(problem, result)
    assert isinstance(whole.caps, Contacts) and whole.lower == whole.upper >= 3
    directions = bounds_module._directions
    monkeypatch.setattr(bounds_module, "_directions", lambda *args: directions(*args)[:1])
    began = time.process_time()
    again = width_bounds(problem, result)
    assert again.caps.count >= whole.upper and again.lower == whole.lower and time.process_time() - began < 20.0
    proof = certify_width(problem, again)
    assert (proof.lower, proof.upper) == (whole.lower, whole.upper)
    # Further from the minimum each set takes a proof of its own.
    coarse = width_bounds(problem, result, tolerance=1e-3)
    assert not isinstance(coarse.caps, Contacts) and coarse.lower <= whole.lower


def test_a_set_too_far_from_the_base_is_left_out_of_the_certificate():
    """Its dual point is one that the tree of the base does not bound in no cap; what the other sets prove is claimed."""
    rng = np.random.default_rng(3)
    problem = Problem(rng.standard_normal((10, 3)), rng.standard_normal(10), lam=2e-2)
    bounds = width_bounds(problem, solve(problem, gap=1e-9))
    far, *others = bounds.needed
    far = replace(far, G=far.G + 20.0 * (far.G - bounds.caps.base))
    assert certify_width(problem, replace(bounds, needed=tuple(others))).lower >= 2
    left = certify_width(problem, replace(bounds, needed=(far, *others)))
    assert left.lower == certify_width(problem, replace(bounds, needed=tuple(others))).lower
    alone = certify_width(problem, replace(bounds, needed=(far,)))
    assert (alone.lower, alone.upper) == (0, bounds.upper)


def test_one_neuron_is_needed_however_close_the_loss_is_to_that_of_the_bias(monkeypatch):
    """Where no set of caps can be proven to be needed, that of no neuron at all still is."""
    rng = np.random.default_rng(3)
    problem = Problem(rng.standard_normal((10, 3)), rng.standard_normal(10), lam=2e-2)
    result = solve(problem, gap=1e-9)
    nothing = Peaks(np.inf, np.zeros((0, 4)), np.zeros(0))
    monkeypatch.setattr(Contacts, "oracle", lambda *_: nothing)
    bounds = width_bounds(problem, result)
    assert bounds.lower == 1 and bounds.caps is None and len(bounds.needed) == 1
    assert certify_width(problem, bounds).lower == 1


def test_without_the_only_contact_neurons_in_no_cap_remain():
    """A neuron just beside its cap is nearly as good: what the loss is without neurons in caps is not that of the bias alone."""
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((10, 3)), rng.standard_normal(3)
    problem = Problem(X, np.maximum(X @ w, 0.0), lam=2e-2, beta=0.0)
    bounds = width_bounds(problem, solve(problem, gap=1e-9))
    (needed,) = bounds.needed
    assert isinstance(bounds.caps, Contacts) and bounds.caps.count == 1 and bounds.complete
    W = bounds.network.weights[0]
    moved = W + 0.1 * np.linalg.norm(W) * np.array([[W[0, 1], -W[0, 0], 0.0]]) / np.hypot(W[0, 0], W[0, 1])
    assert not bounds.caps.inside(moved, 1)[0]
    beside = Network((moved, bounds.network.weights[1]), problem.activation, 0.0)
    assert bounds.loss < needed.lower < loss_upper(beside, problem) < 2.0 * bounds.loss
    proof = certify_width(problem, bounds)
    assert (proof.lower, proof.upper) == (1, 1)
