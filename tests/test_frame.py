"""A proof says what it is about: powers of two and rows, by which its numbers are those of G and X̃ themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from cpcert import Problem, certify, solve
from cpcert.activations import activation
from cpcert.certificate import proofs
from cpcert.certificate.check import parse
from cpcert.certificate.spectral import spectral
from cpcert.certificate.task import Attempt, Task
from cpcert.oracle import ladder
from cpcert.oracle.coordinates import coordinates
from cpcert.oracle.frame import Frame, frame_of
from cpcert.oracle.rung import Limits, Rung
from cpcert.oracle.spectral import SpectralProof, spectral_bound

# rung: outputs, points, slope of the activation below 0.
KINDS = {"arrangement": (1, 6, 0.0), "branch": (1, 50, 0.25), "directions": (2, 18, 0.0), "cells": (4, 7, 0.25)}


def asked(rung, seed=0):
    """Points of rank 3 far apart in size, with one at the origin, G with a column of zeros, and what the ladder answers."""
    m, N, slope = KINDS[rung]
    rng = np.random.default_rng([31, seed, m, N])
    X_tilde = rng.standard_normal((3, N)) * 2.0 ** rng.integers(-9, 10, N) * 2.0**70
    X_tilde[:, 1] = 0.0
    G = rng.standard_normal((m, N)) / np.linalg.norm(X_tilde + 2.0**60, axis=0) * 2.0**-40
    G[:, 2] = 0.0
    sigma, space = activation("leaky_relu", slope), coordinates(X_tilde)
    value = ladder.find_neurons(space, G, sigma, np.zeros((0, 3)), 60, 0).values.max()
    cutoff = value * (1 + 1e-4)
    answer = ladder.prove(space, G, sigma, cutoff, Limits(), 0)
    assert answer.complete and answer.rung == rung
    return space, G, sigma, cutoff, answer


def trees(proof):
    """(weights of the outputs, proof) of every part that scales points one by one."""
    if hasattr(proof, "positive"):
        return [((1.0,), proof.positive), ((-1.0,), proof.negative)]
    if hasattr(proof, "vertices"):
        return list(zip(proof.vertices, proof.proofs, strict=True))
    return [(None, proof)]


def same(numbers, factors, exponents):
    """Whether numbers = factors·2^exponents, exactly, in rationals."""
    powers = np.broadcast_to(exponents, factors.shape)
    return all(
        Fraction(a) == Fraction(b) * Fraction(2) ** int(e)
        for a, b, e in zip(numbers.ravel().tolist(), factors.ravel().tolist(), powers.ravel().tolist(), strict=True)
    )


@pytest.mark.parametrize("rung", KINDS)
def test_points_and_weights_are_those_of_the_frame_and_rows(rung):
    """x̂_i·2^−(x + exponent), and G or κ·2^(exponent − g − unit): no number has to be guessed from another."""
    space, G, sigma, _, answer = asked(rung)
    frame = answer.frame
    assert frame.space is space and frame.g < -40 and frame.x > 60
    for weights, proof in trees(answer.proof):
        rows = proof.rows
        assert not {1, 2} & set(rows.kept.tolist()) and len(rows.exponents) == len(space.points)
        down = rows.exponents[rows.kept]
        assert same(proof.points, space.points[rows.kept], -(frame.x + down)[:, np.newaxis])
        if weights is None:
            assert same(proof.G, G[:, rows.kept], down - frame.g - rows.unit)
        elif len(weights) == 1:
            kappa = sigma.kink * weights[0] * np.ldexp(G[0], -frame.g)
            assert same(proof.kappa, kappa[rows.kept], down - rows.unit)
        else:
            kappa = sigma.kink * (weights @ answer.proof.reduction.H)
            assert same(proof.kappa, kappa[rows.kept], down - rows.unit)
    bound = answer.proof.bound if hasattr(answer.proof, "bound") else None
    if rung == "cells":
        assert answer.upper_bound == np.ldexp(bound, frame.unit + answer.proof.rows.unit)
    if rung == "directions":
        assert answer.upper_bound == np.ldexp(bound, frame.unit)


@pytest.mark.parametrize("rung", KINDS)
def test_powers_of_two_change_the_frame_alone(rung):
    """The same search, tree and all, for G·2^−50 and X̃·2^30; only the frame knows."""
    space, G, sigma, cutoff, answer = asked(rung)
    other = coordinates(space.points.T * 2.0**30)
    again = ladder.prove(other, G * 2.0**-50, sigma, cutoff * 2.0**-20, Limits(), 0)
    assert (again.frame.g, again.frame.x) == (answer.frame.g - 50, answer.frame.x + 30)
    assert again.upper_bound == answer.upper_bound * 2.0**-20
    for (_, first), (_, second) in zip(trees(answer.proof), trees(again.proof), strict=True):
        np.testing.assert_array_equal(first.points, second.points)
        np.testing.assert_array_equal(first.rows.exponents, second.rows.exponents)
        assert first.rows.unit == second.rows.unit


def test_bounds_leave_the_frame_upwards():
    """A bound that underflows on the way out becomes the next float, one that overflows inf."""
    space = coordinates(np.eye(3))
    assert Frame(space, -1000, -70).bound(1.0) == 2.0**-1070 + 2.0**-1074
    assert Frame(space, 1000, 30).bound(1.0) == np.inf == Frame(space, 0, 0).bound(np.nan)
    assert Frame(space, 3, -1).bound(1.5) == 6.0
    frame = frame_of(space, np.array([[0.3, -5.0, 0.0]]))
    assert (frame.g, frame.x) == (3, 1)


def test_points_on_a_line_in_the_plane_need_no_coordinates():
    """The checker sweeps over the points themselves; in more dimensions it gets coordinates first."""
    x, y = np.array([[1.0], [-2.0], [0.5], [3.0]]), [1.0, 0.0, 2.0, -1.0]
    for columns, kind in ((2, "plane"), (3, "coordinates")):
        problem = Problem(x @ np.arange(1.0, columns + 1.0)[np.newaxis], y, lam=0.1, beta=0.0)
        header, _ = parse(certify(solve(problem)).content)
        assert header["lower"]["oracle"]["kind"] == kind


# -- a rung of one's own -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Noted:
    """A kind of proof that the project does not know."""

    norms: SpectralProof


def noted(question, limits):
    bound, proof = spectral_bound(question.points, question.G, question.activation)
    empty = np.zeros((0, question.points.shape[1])), np.zeros(0)
    return ladder.OracleAnswer(*empty, bound, "noted", Noted(proof))


def write_noted(task: Task, proof: Noted) -> Iterator[Attempt]:
    yield Attempt(task.raised(0.0), {"kind": "what no checker knows"}, {})
    yield from spectral(task, proof.norms)


def test_a_new_rung_is_an_entry_and_a_writer(monkeypatch):
    """The first attempt that the checker accepts is taken; a proof without a writer leaves the bound by norms."""
    rng = np.random.default_rng(8)
    problem = Problem(rng.standard_normal((6, 3)), rng.standard_normal((6, 2)), lam=0.5, activation="linear")
    plain = certify(solve(problem))
    first = ladder.LADDER[0]
    assert first.name == "plane"
    monkeypatch.setattr(ladder, "LADDER", (first, Rung("noted", lambda question: True, noted, free=True, exact=True)))
    result = solve(problem)
    assert result.dual.rung == "noted" and result.lower == pytest.approx(plain.lower, rel=1e-9)
    monkeypatch.setitem(proofs.WRITERS, Noted, write_noted)
    assert certify(result).content == plain.content
    monkeypatch.delitem(proofs.WRITERS, Noted)
    assert certify(result).lower == plain.lower
    assert certify(replace(result, dual=replace(result.dual, frame=None))).lower == plain.lower
