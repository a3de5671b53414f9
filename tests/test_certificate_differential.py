"""Certificates against an exact enumeration that knows nothing of trees, cones or multipliers.

One output, G = vgᵀ. With signs D and a set S of points fixed, f(w) = Σ g_i σ(x_iᵀw) is linear on the face where S vanishes
and the others have the signs D, so a maximiser in that face is the projection of that linear form on S^⊥. f(w)/‖w‖ at any
w is at most γ, so γ² is the largest f(w)²/‖w‖² over all D and S: an exact rational, whether the patterns exist or not.
From it, dual feasibility (scale²γ² ≤ 4λ²) and D(scale·G) are decided in rationals (logarithms: `decimal`, 60 digits), and the
loss of the network likewise. Where floating point can solve the problem, the optimum lies in the claimed interval, too.
"""

from __future__ import annotations

import math
from collections import Counter
from decimal import Context, Decimal
from fractions import Fraction
from itertools import combinations, product
from operator import mul

import numpy as np
import pytest
from enumeration import optimum
from exact import dot, rationals

from cpcert import Network, Problem, solve
from cpcert.certificate import check
from cpcert.certificate.build import certify
from cpcert.frank_wolfe.bounds import dual_lower_bound
from cpcert.frank_wolfe.result import SolveResult
from cpcert.oracle import ladder
from cpcert.oracle.coordinates import coordinates

ACTIVATIONS = [("relu", None), ("leaky_relu", 0.25), ("leaky_relu", -0.5), ("abs", None), ("linear", None)]
KINDS = (
    "generic", "ties", "nearly parallel", "near a hyperplane", "generic", "scales", "threshold", "generic", "mixed",
    "generic",
)  # fmt: skip
HALF = Fraction(1, 2)
DECIMAL = Context(prec=60)


# -- the reference -----------------------------------------------------------------------------------------------------


def inner(a, b):
    """The inner product of integer vectors."""
    return sum(map(mul, a, b))


def orthogonal(points):
    """An orthogonal basis of the span of integer points; None if they are dependent."""
    basis = []
    for point in points:
        rest = project(point, basis)
        if not any(rest):
            return None
        basis.append(rest)
    return basis


def project(vector, basis):
    """The direction of what is left of a vector orthogonal to an orthogonal basis: integers without a common factor."""
    for b in basis:
        size, along = inner(b, b), inner(vector, b)
        vector = [size * x - along * y for x, y in zip(vector, b, strict=True)]
    common = math.gcd(*vector) or 1
    return [x // common for x in vector]


def whole(values):
    """Rationals times the least common denominator, and that."""
    common = math.lcm(*(x.denominator for x in values))
    return [int(x * common) for x in values], common


def gamma_squared(points, g, slopes):
    """max over ‖w‖ ≤ 1 of |Σ g_i σ(x_iᵀw)|, squared; everything rational, slopes = (a₋, a₊)."""
    live = [i for i, point in enumerate(points) if any(point) and g[i]]
    if not live:
        return Fraction(0)
    n = len(points[0])
    flat, unit = whole([x for i in live for x in points[i]])
    points = [flat[k : k + n] for k in range(0, len(flat), n)]
    (g, g_unit), (slopes, slope_unit) = whole([g[i] for i in live]), whole(slopes)
    faces = [[]] + [b for k in range(1, n) for s in combinations(points, k) if (b := orthogonal(s)) is not None]
    best = Fraction(0)
    seen = set()
    for signs in product((0, 1), repeat=len(points)):
        c = [sum(slopes[s] * w * p[k] for s, w, p in zip(signs, g, points, strict=True)) for k in range(n)]
        for face in faces:
            w = project(c, face)
            if not any(w) or tuple(w) in seen:
                continue
            seen.add(tuple(w))
            S = [inner(p, w) for p in points]
            value = sum(slopes[s > 0] * s * v for s, v in zip(S, g, strict=True))
            best = max(best, Fraction(value * value, inner(w, w)))
    return best / (unit * g_unit * slope_unit) ** 2


def logarithm(x):
    """log x, within 1e-50."""
    return DECIMAL.ln(DECIMAL.divide(Decimal(x.numerator), Decimal(x.denominator)))


def dual_value(problem, G, s):
    """D(sG) for G = m rows of rationals: a rational, or a Decimal for logistic."""
    N, lam, beta = problem.N, Fraction(problem.lam), Fraction(problem.beta)
    Y = rationals(problem.targets)
    bias = beta * beta / (4 * lam) * sum(sum(row) ** 2 for row in G) * s * s
    linear = s * sum(dot(a, b) for a, b in zip(G, Y, strict=True))
    if problem.loss.name == "interpolate":
        return linear - bias
    if problem.loss.name == "mse":
        return linear - s * s * Fraction(N, 4) * sum(dot(a, a) for a in G) - bias
    total = Decimal(0)
    for row, labels in zip(G, Y, strict=True):
        for v, y in zip(row, labels, strict=True):
            p = N * s * v * y
            assert 0 <= p <= 1, "outside the domain"
            for q in (p, 1 - p):
                if q:
                    total = DECIMAL.subtract(total, DECIMAL.multiply(_decimal(q), logarithm(q)))
    return DECIMAL.subtract(DECIMAL.divide(total, Decimal(N)), _decimal(bias))


def _decimal(x):
    return DECIMAL.divide(Decimal(x.numerator), Decimal(x.denominator))


def loss(problem, network):
    """L_λ of a network: a rational, or a Decimal for logistic; None if it does not interpolate."""
    W1, W2 = (rationals(W) for W in network.weights)
    slopes = Fraction(problem.activation.a_minus), Fraction(problem.activation.a_plus)
    beta = Fraction(problem.beta)
    Z = []
    for x in rationals(problem.X_tilde.T):
        S = [dot(w, x) for w in W1]
        hidden = [slopes[s > 0] * s for s in S] + [beta] * bool(beta)
        Z.append([dot(w, hidden) for w in W2])
    cost = Fraction(problem.lam) * sum(dot(w, w) for w in W1 + W2)
    pairs = [
        (z, y) for row, labels in zip(Z, rationals(problem.Y), strict=True) for z, y in zip(row, labels, strict=True)
    ]
    if problem.loss.name == "interpolate":
        return cost if all(z == y for z, y in pairs) else None
    if problem.loss.name == "mse":
        return sum((z - y) ** 2 for z, y in pairs) / problem.N + cost
    total = Decimal(0)
    for z, y in pairs:
        t = _decimal(-z * y)
        if t > 150:
            total = DECIMAL.add(total, t)
        elif t > -150:
            total = DECIMAL.add(total, DECIMAL.ln(DECIMAL.add(Decimal(1), DECIMAL.exp(t))))
    return DECIMAL.add(DECIMAL.divide(total, Decimal(problem.N)), _decimal(cost))


def at_most(claimed, value):
    """claimed ≤ value, exactly; within 1e-40 where logarithms are in it."""
    if isinstance(value, Decimal):
        return Fraction(claimed) <= Fraction(value) * (1 + Fraction(1 if value > 0 else -1, 10**40)) + Fraction(
            1, 10**40
        )
    return Fraction(claimed) <= value


# -- the instances -------------------------------------------------------------------------------------------------------


def instance(seed):
    """(problem, v, kind): Y = y vᵀ with integers v, so that one output is enumerated for several."""
    rng = np.random.default_rng([1871, seed])
    kind = KINDS[seed % len(KINDS)]
    name = ("mse", "logistic", "interpolate")[int(rng.choice(3, p=[0.5, 0.25, 0.25]))]
    activation, slope = ACTIVATIONS[rng.choice(5, p=[0.4, 0.2, 0.1, 0.2, 0.1])]
    beta = float(rng.choice([0.0, 1.0, -0.5]))
    N, n = int(rng.integers(2, 6)), int(rng.choice([1, 2, 3], p=[0.1, 0.25, 0.65]))
    n0 = max(n - (beta != 0.0), 1)
    X = rng.standard_normal((N, n0))
    y = rng.standard_normal(N)
    if kind == "ties":
        X = rng.integers(-2, 3, size=(N, n0)).astype(float)
        y = rng.integers(-1, 2, size=N).astype(float)
    if kind in ("nearly parallel", "mixed"):
        X[-1] = X[0] * rng.choice([1.0, -1.0, 2.0]) * (1.0 + 1e-13 * rng.standard_normal(n0))
    if kind == "near a hyperplane":
        w = rng.standard_normal(n0)
        w /= np.linalg.norm(w)
        X -= np.outer(X @ w, w) - 1e-12 * np.outer(rng.standard_normal(N), w)
    if kind in ("scales", "mixed"):
        X *= 10.0 ** rng.integers(-12, 13)
        y *= 10.0 ** rng.integers(-8, 9)
    if kind == "mixed":
        X *= 10.0 ** rng.integers(-5, 6, size=(N, 1))
    v = np.array([1.0]) if rng.random() < 0.6 else np.array([(3.0, 4.0), (1.0, -2.0), (2.0, 3.0, 6.0)][rng.integers(3)])
    if name == "logistic":
        y, v = np.where(y > 0, 1.0, -1.0), np.sign(v)
    lam = None if name == "interpolate" else float(10 ** rng.uniform(-4, 0))
    if kind in ("scales", "mixed") and name != "interpolate":
        lam = float(lam * np.abs(X).max() * max(np.abs(y).max(), 1e-3))
    if kind == "threshold" and name == "mse":
        # Without neurons the bias fits alone; a neuron appears when 2λ falls below γ of what is left.
        first = Problem(X, y, lam=1.0, activation=activation, slope=slope, beta=beta)
        for _ in range(3):
            lam = max(lam, 1e-6)
            left = y - beta * beta * y.mean() / (beta * beta + lam) if beta else y
            lam = math.sqrt(float(exact_gamma(first, 2.0 / N * left))) / 2.0
        lam = float(max(lam, 1e-6) * rng.choice([1 - 1e-9, 1.0, 1 + 1e-9]))
    problem = Problem(X, np.outer(y, v), lam=lam, loss=name, activation=activation, slope=slope, beta=beta)
    return problem, v, kind


def exact_gamma(problem, g):
    slopes = Fraction(problem.activation.a_minus), Fraction(problem.activation.a_plus)
    return gamma_squared(rationals(problem.X_tilde.T), rationals(g), slopes)


def claimed_by_solve(problem):
    return solve(problem, gap=1e-3, time_limit=5, max_iterations=40)


def claimed_for_a_dual_point(problem, v, seed, monkeypatch):
    """A result made by hand: G = v gᵀ for a random g, its oracle bound by a rung of the ladder, a random network."""
    rng = np.random.default_rng([1848, seed])
    g = rng.standard_normal(problem.N) * rng.choice([1.0, 1e-9, 1e9])
    if rng.random() < 0.3:
        g[rng.integers(problem.N)] = 0.0
    if rng.random() < 0.3:
        g = np.round(g / np.abs(g).max() * 4)
    G = np.outer(v, g)
    if problem.loss.name == "logistic":
        G = np.abs(G) * problem.targets
    else:
        G = G * (np.sign(np.sum(G * problem.targets)) or 1.0)
    if rng.random() < 0.5:
        monkeypatch.setattr(ladder, "FEW_CELLS", 0)
    if rng.random() < 0.5:
        cells_only = tuple(rung for rung in ladder.LADDER if rung.name != "directions")
        monkeypatch.setattr(ladder, "LADDER", cells_only)
    space = coordinates(problem.X_tilde)
    found = ladder.find_neurons(space, G, problem.activation, np.zeros((0, space.points.shape[1])), 20, 0)
    best = float(found.values.max(initial=0.0))
    answer = ladder.prove(space, G, problem.activation, best * (1 + 1e-6), ladder.Limits(nodes=2000), 0)
    dual = dual_lower_bound(problem, G, answer.upper_bound, answer.rung, answer.proof, answer.frame)
    k = int(rng.integers(0, 3))
    size = 10.0 ** rng.integers(-2, 2)
    weights = (
        rng.standard_normal((k, problem.n)) * size,
        rng.standard_normal((problem.m, k + (problem.beta != 0.0))) * size,
    )
    network = Network(weights, problem.activation, problem.beta)
    upper = loss(problem, network)
    return SolveResult(
        problem,
        "iteration_limit",
        None if upper is None else float(upper),
        dual.value,
        None,
        network,
        0,
        0.0,
        [],
        0.0,
        dual=dual,
    )


# -- the test --------------------------------------------------------------------------------------------------------------


def examine(seed, monkeypatch, counts):
    """Every claim of the certificate of one instance; what happened goes into `counts`."""
    problem, v, kind = instance(seed)
    with monkeypatch.context() as patch:
        by_hand = seed // len(KINDS) % 2 == 1
        result = claimed_for_a_dual_point(problem, v, seed, patch) if by_hand else claimed_by_solve(problem)
    rung = None if result.dual is None else result.dual.rung
    if result.infeasibility is not None:
        rung = "infeasible"
    counts[kind] += 1
    certificate = certify(result)
    if certificate is None:
        counts["none"] += 1
        if result.lower is not None and math.isfinite(result.lower):
            counts[lost(result)] += 1
            print(f"seed {seed} ({kind}, {problem!r}, {rung}): nothing was certified")
        return
    claim = check.check(certificate.content)
    counts[rung] += 1
    if claim["kind"] == "infeasible":
        assert result.status == "infeasible"
        return
    header, arrays = check.parse(certificate.content)
    if claim["lower"] is None:
        if result.lower is not None and math.isfinite(result.lower):
            counts[lost(result)] += 1
            print(f"seed {seed} ({kind}, {problem!r}, {rung}): the lower bound {result.lower} was not certified")
    else:
        G = np.array(arrays["G"]).reshape(problem.m, problem.N)
        check_lower(problem, G, v, header["lower"])
        counts["lower"] += 1
        if result.lower is not None and claim["lower"] < result.lower - 1e-6 * abs(result.lower):
            counts["weaker"] += 1
    if claim["upper"] is not None:
        value = loss(problem, result.network)
        if value is not None:
            assert at_most(-claim["upper"], value.copy_negate() if isinstance(value, Decimal) else -value), (
                "the network's loss is larger"
            )
        counts["upper"] += 1
    if claim["lower"] is not None and claim["upper"] is not None:
        assert claim["lower"] <= claim["upper"]
    if kind in ("generic", "ties") and seed % 3 == 0:
        check_optimum(problem, v, claim)
        counts["optimum"] += 1


def lost(result):
    """A bound of a search that was stopped has no proof that could be written down; any other should be certified."""
    return "unproved" if result.dual.proof is None and result.dual.rung != "plane" else "lost"


def check_lower(problem, G, v, lower):
    """scale²γ² ≤ 4λ² and value ≤ D(scale·G). For several outputs along v and the axes: all there is for G = v gᵀ."""
    s, two = Fraction(lower["scale"]), 2 * Fraction(problem.lam)
    exact = rationals(G)
    assert at_most(lower["value"], dual_value(problem, exact, s)), "the dual value is smaller"
    if len(v) == 1:
        gamma = exact_gamma(problem, G[0])
        assert s * s * gamma <= two * two, "not dual feasible"
        assert gamma <= Fraction(lower["bound"]) ** 2, "the bound of the oracle is too small"
        return
    for t in (v, *np.eye(len(v))):
        row = [sum(a * b for a, b in zip(rationals(t), column, strict=True)) for column in zip(*exact, strict=True)]
        slopes = Fraction(problem.activation.a_minus), Fraction(problem.activation.a_plus)
        value = gamma_squared(rationals(problem.X_tilde.T), row, slopes) / sum(Fraction(x) ** 2 for x in t.tolist())
        assert s * s * value <= two * two, "not dual feasible"
        assert value <= Fraction(lower["bound"]) ** 2


def check_optimum(problem, v, claim):
    """The optimum, enumerated in floating point, lies in the claimed interval. (Logistic: signs do not turn.)"""
    if len(v) > 1 and problem.loss.name == "logistic":
        return
    sigma = problem.activation
    length = float(np.linalg.norm(v))
    y = problem.Y[:, 0] / v[0] * length
    settings = {"loss": problem.loss.name, "lam": problem.lam, "beta": problem.beta}
    expected = optimum(problem.X, y, a_plus=sigma.a_plus, a_minus=sigma.a_minus, **settings)
    if not math.isfinite(expected.upper):
        assert claim["upper"] is None
        return
    slack = 1e-9 * abs(expected.upper)
    if claim["lower"] is not None:
        assert claim["lower"] <= expected.upper + slack
    if claim["upper"] is not None:
        assert claim["upper"] >= expected.lower - slack


def run(seeds, monkeypatch):
    counts = Counter()
    for seed in seeds:
        try:
            examine(seed, monkeypatch, counts)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {instance(seed)}") from error
    print(dict(counts))
    return counts


def test_the_reference_is_the_maximum_over_the_sphere():
    rng = np.random.default_rng(3)
    for n, N in ((1, 3), (2, 4), (3, 5)):
        points, g = rng.standard_normal((N, n)), rng.standard_normal(N)
        value = math.sqrt(gamma_squared(rationals(points), rationals(g), (Fraction(-1, 4), Fraction(1))))
        W = rng.standard_normal((200000, n))
        S = W / np.linalg.norm(W, axis=1)[:, None] @ points.T
        sampled = np.abs(np.where(S > 0, S, -0.25 * S) @ g).max()
        assert sampled <= value * (1 + 1e-12) and value <= sampled * 1.001


def test_claims_agree_with_exact_enumeration(monkeypatch):
    counts = run(range(200), monkeypatch)
    assert counts["lower"] >= 150 and counts["upper"] >= 100
    assert all(counts[rung] >= 3 for rung in ("plane", "spectral", "arrangement", "branch", "directions", "cells"))
    assert counts["lost"] == 0


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(14))
def test_many_claims_agree_with_exact_enumeration(part, monkeypatch):
    counts = run(range(1000 + 700 * part, 1700 + 700 * part), monkeypatch)
    assert counts["lower"] >= 600
