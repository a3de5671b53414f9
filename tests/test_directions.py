"""The cover of the output directions: cones and vertices redone in rationals, values against an exact sweep."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from exact import dot, norm_at_most, rationals
from test_cells import ACTIVATIONS, exact_in_the_plane, hard_problem, name, value

from cpcert.activations import activation
from cpcert.oracle.cells import cell_cover
from cpcert.oracle.directions import DirectionProof, cone_bound, direction_cover, reduce_outputs
from cpcert.oracle.rung import Limits


def check(proof, G):
    """The cones of a DirectionProof cover the sphere and obey (1), in rationals; returns their number.

    The values at the vertices rest on trees of branch.py, which tests/test_branch.py redoes.
    """
    H, Q = rationals(proof.reduction.H), rationals(proof.reduction.basis)
    vertices, k = rationals(proof.vertices), len(proof.reduction.H)
    for vertex, (a, b, p, q) in zip(vertices, proof.edges.tolist(), strict=True):
        if a >= 0:
            pairs = zip(vertices[a], vertices[b], strict=True)
            assert vertex == [Fraction(2) ** p * x + Fraction(2) ** q * y for x, y in pairs]
    corners = [[Fraction(s * (i == j)) for i in range(k)] for j in range(k) for s in (1, -1)]
    assert vertices[: 2 * k] == corners
    cones = {tuple(2 * j + s for j, s in enumerate(signs)) for signs in product((0, 1), repeat=k)}
    for *cone, middle in proof.splits.tolist():
        a, b = proof.edges[middle, :2]
        assert a in cone and b in cone
        cones.remove(tuple(cone))
        cones |= {tuple(middle if j == old else j for j in cone) for old in (a, b)}
    assert cones == {tuple(cone) for cone in proof.cones.tolist()} and len(cones) == len(proof.cones)
    # ‖ℓ‖ times the stretch of the reduction, plus what it leaves out, is within the bound.
    room = (Fraction(proof.bound) - Fraction(proof.reduction.rest)) / Fraction(proof.reduction.stretch)
    for cone, normal in zip(proof.cones.tolist(), rationals(proof.normals), strict=True):
        assert norm_at_most(normal, room)
        assert all(dot(normal, vertices[j]) >= Fraction(proof.values[j]) for j in cone)
    for tree, gamma, allowance in zip(proof.proofs, proof.values, proof.allowances, strict=True):
        assert tree is not None and gamma >= allowance >= 0.0
    # G = QH + R, and Q is as good as orthonormal.
    assert len(H) == k and np.allclose(proof.reduction.basis @ proof.reduction.H, G, atol=1e-9 * np.abs(G).max())
    assert len(Q[0]) == k
    return len(proof.cones)


@pytest.mark.parametrize("sigma", ACTIVATIONS, ids=name)
@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_exact_in_the_plane(sigma, m):
    rng = np.random.default_rng(m)
    points, G = rng.standard_normal((7, 2)), rng.standard_normal((m, 7))
    if m == 5:
        G[2:] = rng.standard_normal((3, 2)) @ G[:2]
    exact = exact_in_the_plane(points, G, sigma)
    answer = direction_cover(points, G, sigma, exact * (1 + 1e-5))
    assert answer.complete and exact * (1 - 1e-12) <= answer.upper_bound <= exact * (1 + 1e-5)
    if answer.rung == "directions":
        assert len(answer.proof.reduction.H) == min(m, 3 if m == 3 else 2)
        assert check(answer.proof, G) >= 2
    below = direction_cover(points, G, sigma, exact * (1 - 1e-6))
    assert not below.complete and below.upper_bound >= exact * (1 - 1e-12)
    assert len(below.W) and np.all(below.values > exact * (1 - 1e-6))


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_cells(seed):
    points, G = hard_problem(9, 3, 3, seed)
    relu = activation("relu")
    best = value(points, G, relu, starts=300)
    directions = direction_cover(points, G, relu, best * (1 + 1e-5))
    cells = cell_cover(points, G, relu, best * (1 + 1e-5))
    assert directions.complete and cells.complete
    assert best <= min(directions.upper_bound, cells.upper_bound)
    assert check(directions.proof, G) > 8


def test_values_at_the_vertices_hold():
    """γ_j is at least uⱼᵀGσ(X̃ᵀw) for every w that sampling finds."""
    points, G = hard_problem(8, 3, 2)
    relu = activation("relu")
    proof = direction_cover(points, G, relu, value(points, G, relu) * (1 + 1e-4)).proof
    W = np.random.default_rng(0).standard_normal((5000, 3))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    images = relu(W @ points.T) @ proof.reduction.H.T
    assert np.all(proof.values >= (images @ proof.vertices.T).max(axis=0))


def test_the_bound_of_a_cone():
    eye = np.eye(3)
    bound, normal = cone_bound(eye, np.ones(3))
    assert bound == pytest.approx(np.sqrt(3.0)) and bound >= np.sqrt(3.0) * (1 - 1e-15)
    # One large value: ℓ = (5, 1, 1) meets all three; a vertex far below leaves the maximum at another one.
    assert cone_bound(eye, np.array([5.0, 1e-9, 1e-9]))[0] == pytest.approx(5.0)
    near = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert cone_bound(near, np.array([2.0, 0.1]))[0] == pytest.approx(2.0)
    rng = np.random.default_rng(0)
    for _ in range(200):
        U, gamma = rng.standard_normal((3, 3)), rng.uniform(1e-3, 1.0, 3)
        bound, normal = cone_bound(U, gamma)
        for u, g in zip(rationals(U), rationals(gamma), strict=True):
            assert dot(rationals(normal), u) >= g
        assert norm_at_most(rationals(normal), Fraction(bound))
        if np.linalg.cond(U) > 20.0:  # sampling would miss the maximum
            continue
        # It is the maximum of the interpolant Σ t_j γ_j over unit vectors Σ t_j u_j of the cone.
        T = rng.dirichlet(np.full(3, 0.5), 3000)
        found = float((T @ gamma / np.linalg.norm(T @ U, axis=1)).max())
        assert found <= bound * (1 + 1e-12) and bound <= found * 1.2


def test_outputs_are_reduced_to_the_rank():
    rng = np.random.default_rng(0)
    G = rng.standard_normal((6, 2)) @ rng.standard_normal((2, 9))
    points = rng.standard_normal((9, 3))
    reduction = reduce_outputs(points, G, 1.0, 1e-10)
    assert reduction.H.shape == (2, 9) and 1.0 <= reduction.stretch < 1 + 1e-13 and 0.0 < reduction.rest < 1e-12
    assert np.allclose(reduction.basis @ reduction.H, G)
    full = reduce_outputs(points, G[:2], 1.0, 1e-10)
    assert full.H is not None and np.array_equal(full.H, G[:2]) and (full.stretch, full.rest) == (1.0, 0.0)
    # A direction that is small, but allowed to be left out, is paid for.
    G[5] += 1e-6 * rng.standard_normal(9)
    reduction = reduce_outputs(points, G, 1.0, 1e-3)
    left = np.linalg.norm(G - reduction.basis @ reduction.H, axis=0) @ np.linalg.norm(points, axis=1)
    assert reduction.H.shape == (2, 9) and left <= reduction.rest <= left * (1 + 1e-6)


@pytest.mark.parametrize("limit", [0, 1, 60, 150])
def test_limits_keep_a_proven_bound(limit):
    points, G = hard_problem(8, 3, 3)
    relu = activation("relu")
    best = value(points, G, relu)
    answer = direction_cover(points, G, relu, best * (1 + 1e-6), Limits(limit))
    assert not answer.complete and best <= answer.upper_bound < np.inf
    if answer.rung == "directions":
        assert check(answer.proof, G)
    late = direction_cover(points, G, relu, best * (1 + 1e-6), Limits(deadline=0.0))
    assert not late.complete and late.upper_bound >= best


def test_wrong_proofs_are_noticed():
    points, G = hard_problem(7, 3, 2)
    relu = activation("relu")
    proof = direction_cover(points, G, relu, value(points, G, relu) * (1 + 1e-4)).proof
    assert isinstance(proof, DirectionProof) and check(proof, G) > 4
    values, vertices = proof.values.copy(), proof.vertices.copy()
    values[proof.cones[0, 0]] *= 1.01
    vertices[-1, 0] *= 1 + 1e-15
    damaged = [
        replace(proof, bound=proof.bound * (1 - 1e-3)),
        replace(proof, values=values),
        replace(proof, vertices=vertices),
        replace(proof, cones=proof.cones[1:], normals=proof.normals[1:]),
        replace(proof, splits=proof.splits[:-1]),
    ]
    for other in damaged:
        with pytest.raises((AssertionError, KeyError)):
            check(other, G)


def test_degenerate_problems():
    relu = activation("relu")
    rng = np.random.default_rng(2)
    points, G = rng.standard_normal((6, 3)), rng.standard_normal((2, 6))
    assert direction_cover(points, np.zeros((2, 6)), relu, 1e-6).upper_bound == 0.0
    best = value(points, G, relu)
    more = np.vstack([points, np.zeros((1, 3)), points[:2]])
    weights = np.hstack([G, np.ones((2, 3))])
    weights[:, 7:] = 0.0
    answer = direction_cover(more, weights, relu, best * (1 + 1e-5))
    assert answer.complete and answer.upper_bound >= best
    # Rank one: the two directions ±1, each a proof for one output.
    flat = np.outer([3.0, 4.0], G[0])
    best = 5.0 * value(points, G[:1], relu)
    answer = direction_cover(points, flat, relu, best * (1 + 1e-6))
    assert answer.complete and best * (1 - 1e-12) <= answer.upper_bound
    assert len(answer.proof.cones) == 2 and check(answer.proof, flat) == 2
    # One point.
    one = direction_cover(points[:1], G[:, :1], relu, 1e9)
    assert one.complete and one.upper_bound == pytest.approx(np.linalg.norm(points[0]) * np.linalg.norm(G[:, 0]))


@pytest.mark.parametrize("sigma", ACTIVATIONS, ids=name)
def test_every_activation_in_three_outputs(sigma):
    rng = np.random.default_rng(12)
    points, G = rng.standard_normal((9, 3)), rng.standard_normal((3, 9))
    best = value(points, G, sigma)
    answer = direction_cover(points, G, sigma, best * (1 + 1e-3))
    assert answer.complete and best <= answer.upper_bound <= best * (1 + 1e-3)
    assert check(answer.proof, G) >= 8
