"""Small certificates of every kind, made in a few seconds, for the tests that attack the checker."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from pytest import MonkeyPatch

from cpcert import Network, Problem
from cpcert.certificate import check
from cpcert.certificate.build import Certificate, certify
from cpcert.frank_wolfe import large
from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.bounds import DualBound
from cpcert.frank_wolfe.solve import solve
from cpcert.frank_wolfe.training import train
from cpcert.moments.interior import finish
from cpcert.moments.relaxation import Relaxation, candidates
from cpcert.oracle import ladder
from cpcert.oracle.coordinates import coordinates

# loss, activation, slope, β, N, n0, m, what the points are, seed; names say what each is there for.
SETTINGS: dict[str, tuple[Any, ...]] = {
    "plane": ("mse", "relu", None, 1.0, 5, 1, 1, "gaussian", 0),
    "plane-two": ("mse", "abs", None, 0.0, 6, 2, 2, "gaussian", 1),
    "plane-logistic": ("logistic", "relu", None, -0.5, 5, 1, 1, "gaussian", 2),
    "plane-entropy": ("cross_entropy", "leaky_relu", 0.25, 1.0, 5, 1, 3, "gaussian", 3),
    "plane-line": ("mse", "leaky_relu", -0.5, 0.0, 4, 1, 1, "gaussian", 4),
    "plane-interpolate": ("interpolate", "relu", None, 1.0, 4, 1, 1, "gaussian", 5),
    "coordinates-plane": ("mse", "relu", None, 0.0, 6, 4, 1, "rank 2", 6),
    "coordinates-plane-two": ("logistic", "abs", None, 0.0, 5, 5, 2, "rank 2", 7),
    "coordinates-tree": ("mse", "relu", None, 1.0, 6, 4, 1, "rank 2", 8),
    "coordinates-cells": ("mse", "relu", None, 0.0, 6, 4, 3, "rank 3", 9),
    "coordinates-directions": ("mse", "abs", None, 0.0, 6, 4, 2, "rank 3", 10),
    "linear": ("mse", "linear", None, 1.0, 6, 3, 2, "gaussian", 11),
    "linear-entropy": ("cross_entropy", "linear", None, 1.0, 6, 3, 3, "gaussian", 12),
    "linear-logistic": ("logistic", "linear", None, -1.0, 6, 3, 2, "gaussian", 13),
    "linear-one": ("mse", "linear", None, 0.0, 5, 3, 1, "gaussian", 14),
    "orthogonal": ("mse", "relu", None, 0.0, 4, 4, 1, "identity", 15),
    "orthogonal-interpolate": ("interpolate", "relu", None, 0.0, 4, 4, 2, "identity", 16),
    "arrangement": ("mse", "relu", None, 1.0, 8, 2, 1, "gaussian", 17),
    "arrangement-leaky": ("mse", "leaky_relu", 0.3, 0.0, 6, 3, 1, "gaussian", 18),
    "arrangement-abs": ("logistic", "abs", None, 0.5, 6, 2, 1, "gaussian", 19),
    "arrangement-ties": ("mse", "relu", None, 1.0, 8, 2, 1, "grid", 20),
    "arrangement-interpolate": ("interpolate", "leaky_relu", -0.25, 1.0, 6, 2, 1, "gaussian", 21),
    "branch": ("mse", "relu", None, 1.0, 24, 3, 1, "gaussian", 22),
    "branch-logistic": ("logistic", "relu", None, -2.0, 22, 3, 1, "gaussian", 23),
    "branch-leaky": ("mse", "leaky_relu", 0.2, 0.0, 24, 4, 1, "gaussian", 24),
    "branch-abs": ("mse", "abs", None, 1.0, 20, 3, 1, "gaussian", 25),
    "directions": ("mse", "relu", None, 1.0, 7, 2, 2, "gaussian", 26),
    "directions-entropy": ("cross_entropy", "relu", None, 1.0, 6, 2, 2, "gaussian", 27),
    "directions-reduced": ("cross_entropy", "abs", None, 1.0, 6, 2, 3, "gaussian", 28),
    "directions-interpolate": ("interpolate", "abs", None, 0.0, 5, 3, 2, "gaussian", 29),
    "cells": ("mse", "relu", None, 1.0, 6, 2, 3, "gaussian", 30),
    "cells-leaky": ("mse", "leaky_relu", 0.3, 1.0, 5, 2, 4, "gaussian", 31),
    "cells-logistic": ("logistic", "relu", None, 0.0, 6, 3, 3, "gaussian", 32),
    "cells-abs": ("mse", "abs", None, 0.0, 6, 3, 4, "gaussian", 33),
    "moments": ("mse", "relu", None, 1.0, 5, 3, 1, "gaussian", 40),
    "moments-cone": ("logistic", "abs", None, 0.0, 9, 2, 1, "gaussian", 41),
    "moments-two": ("mse", "leaky_relu", 0.3, 1.0, 4, 3, 2, "gaussian", 42),
    "moments-entropy": ("cross_entropy", "relu", None, 0.0, 5, 5, 3, "rank 3", 43),
    "moments-interpolate": ("interpolate", "relu", None, 1.0, 4, 3, 1, "gaussian", 44),
    "moments-regions": ("mse", "leaky_relu", 0.3, 1.0, 6, 3, 1, "gaussian", 45),
    "moments-regions-two": ("mse", "relu", None, 0.0, 5, 4, 2, "gaussian", 46),
    "spatial": ("mse", "relu", None, 1.0, 10, 2, 1, "gaussian", 40),
    "spatial-ties": ("logistic", "leaky_relu", 0.3, 1.0, 10, 2, 1, "grid", 41),
    "spatial-several": ("cross_entropy", "abs", None, 1.0, 7, 2, 3, "gaussian", 42),
    "spatial-coordinates": ("mse", "relu", None, 0.0, 8, 5, 2, "rank 3", 43),
    "zero": ("mse", "relu", None, 1.0, 4, 2, 1, "zero", 34),
    "large-lambda": ("mse", "relu", None, 1.0, 5, 2, 2, "large lambda", 35),
    "huge": ("mse", "relu", None, 1.0, 5, 2, 1, "huge", 36),
    "infeasible": ("interpolate", "relu", None, 1.0, 5, 2, 1, "double", 37),
    "infeasible-linear": ("interpolate", "linear", None, 1.0, 6, 2, 2, "gaussian", 38),
    "related": ("interpolate", "relu", None, 0.0, 5, 2, 1, "tripled", 39),
}


@dataclass(frozen=True, eq=False)
class Made:
    """A certificate with what it was made from."""

    name: str
    problem: Problem
    certificate: Certificate
    rung: str | None

    @property
    def content(self) -> bytes:
        return self.certificate.content

    def read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A fresh header and fresh arrays (NumPy), to be changed at will."""
        header, arrays = check.parse(self.content)
        kinds = {"d": np.float64, "q": np.int64}
        return header, {name: np.array(values, dtype=kinds[values.typecode]) for name, values in arrays.items()}

    @property
    def kinds(self) -> set[str]:
        """What the certificate contains, in the words of its header and of these tests."""
        header, arrays = self.read()
        if header["claim"] == "infeasible":
            return {"infeasible"}
        found = set()
        if header["upper"] is not None:
            found.add(f"upper {header['upper']['kind']}")
            if header["upper"]["relations"]:
                found.add("relations")
        if header["lower"] is not None:
            oracle = header["lower"]["oracle"]
            if oracle["kind"] == "coordinates":
                found.add("coordinates")
                oracle = oracle["inner"]
            kind = oracle["kind"]
            found.add(kind)
            if kind == "spectral":
                found.add(f"spectral {arrays['proof'][0]}")
            if kind == "tree":
                found.add(f"tree {self.rung}")
            if "output_basis" in arrays:
                found.add("output_basis")
            if len(arrays.get("planes", ())):
                found.add("planes")
        return found


def make_problem(name: str) -> Problem:
    """The problem that SETTINGS describe."""
    loss, activation, slope, beta, N, n0, m, points, seed = SETTINGS[name]
    rng = np.random.default_rng([1789, seed])
    X = rng.standard_normal((N, n0))
    if points.startswith("rank"):
        rank = int(points[-1])
        X = rng.standard_normal((N, rank)) @ rng.standard_normal((rank, n0))
    if points == "identity":
        X = np.eye(N)
    if points == "grid":
        X = rng.integers(-1, 2, size=(N, n0)).astype(float)
    if points == "huge":
        X = X * 1e12
    if points == "double":
        X[1] = X[0]
    if points == "tripled":
        X[1], X[2] = 2.0 * X[0], -X[0]
    if loss == "logistic":
        Y = np.where(rng.random((N, m)) < 0.5, 1.0, -1.0)
    elif loss == "cross_entropy":
        Y = np.eye(m)[rng.integers(0, m, size=N)]
    else:
        Y = rng.standard_normal((N, m))
    if points == "zero":
        Y = np.zeros((N, m))
    if points == "tripled":
        Y[1] = 2.0 * Y[0]
    lam = None if loss == "interpolate" else 100.0 if points == "large lambda" else 0.03
    return Problem(X, Y, lam=lam, loss=loss, activation=activation, slope=slope, beta=beta, name=name)


def moment_start(problem: Problem) -> Neurons:
    """A trained network, or a random one where none fits."""
    points = coordinates(problem.X_tilde).points
    if problem.loss.name != "interpolate":
        return train(problem, points, 20, 0, math.inf, 500)
    rng = np.random.default_rng(0)
    W = rng.standard_normal((6, points.shape[1]))
    return Neurons(W, rng.standard_normal((problem.m, 6)), np.zeros(problem.m), W @ points.T > 0.0)


def moment_bound(problem: Problem, count: int = 45, early: int = 8) -> DualBound | None:
    """The best bound of the moment relaxation, which `solve` keeps for larger problems, while `stop` is asked so often."""
    calls = iter(range(count))
    bounds = large.moment_bounds(
        problem, coordinates(problem.X_tilde), moment_start(problem), lambda: 1.0, lambda _: next(calls, None) is None, 0,
        early,
    )  # fmt: skip
    return max(bounds, key=lambda bound: bound.value, default=None)


def region_bound(problem: Problem, levels: int = 2) -> DualBound | None:
    """The bound of the relaxation in regions of w, split so often; a few steps of each method."""
    space, start = coordinates(problem.X_tilde), moment_start(problem)
    judge, calls = large._Judge(problem, space.points), iter(range(12))
    relaxation = Relaxation(problem, space.points, start.W, start.V)
    for candidate in candidates(relaxation, judge, lambda: next(calls, None) is None):
        state = candidate, judge.draft, relaxation.moments()
    program = large._interior(problem, space, *state)
    for level in range(levels + 1):
        for _ in finish(program, iter([False] * 6 + [True]).__next__):
            pass
        if level < levels:
            program = program.divided(program.doubtful(), program.measure() / program.count)
    return large._attempt(problem, space, program.candidate(), -math.inf)


def make(name: str) -> Made:
    """Solve and certify."""
    problem = make_problem(name)
    if name.startswith("moments"):
        several = problem.loss.name in ("mse", "interpolate")
        dual = region_bound(problem, 2 * ("regions" in name)) if several else moment_bound(problem)
        assert dual is not None
        result = replace(solve(problem, max_iterations=0, time_limit=1), dual=dual, lower=dual.value)
    else:
        with MonkeyPatch.context() as patch:
            if name.startswith("spatial"):  # they pay from many more points on
                for choice in ("CONES_FROM", "CONES_FROM_LOOSE", "CONES_FROM_SEVERAL"):
                    patch.setattr(ladder, choice, {3: 0})
                patch.setattr(ladder, "FEW_CELLS", 0)
            result = solve(problem, gap=1e-2, time_limit=20)
    certificate = certify(result)
    assert certificate is not None, name
    return Made(name, problem, certificate, None if result.dual is None else result.dual.rung)


@cache
def certificates() -> dict[str, Made]:
    """All of them, made once."""
    return {name: make(name) for name in SETTINGS}


def network_only(problem: Problem, network: Network) -> Certificate:
    """A certificate that claims nothing but an upper bound."""
    result = replace(solve(problem, max_iterations=0, warm_start=network), dual=None, lower=None)
    certificate = certify(result)
    assert certificate is not None
    return certificate
