"""Bounds that functions of the checker must prove, and no smaller ones, for tests of mutants of the checker.

Each probe takes the module and raises if something is wrong. The bounds are computed here a second time, from SPEC.md: as
rationals where the roots are rational, else in floating point. (Trees and directions: checker_trees.py.)
"""

from __future__ import annotations

import math
from array import array
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

import numpy as np
from checker_probes import PRECISE, decimal, rejected
from test_certificate_mutations import rehash

from cpcert.certificate.factors import cholesky

TINY = Fraction(1, 1 << 300)
# (a₊, a₋)
SLOPES = ((1, 0), (1, -1), (-1, 0), (-3, -1), (1, 0.25), (0, -1), (2, 2))


def problem_of(m, X, Y, loss="mse", lam=1.0, a=(1.0, 0.0), beta=0.0, weights=None):
    """The checker's problem with these rows of points and of targets."""
    X, Y = np.array(X, dtype=float), np.array(Y, dtype=float)
    header = {
        "loss": loss, "a_plus": float(a[0]), "a_minus": float(a[1]), "lambda": lam, "beta": beta, "depth": 2,
        "N": len(X), "n0": X.shape[1], "m": Y.shape[1],
    }  # fmt: skip
    arrays = {"X": X, "Y": Y, **({} if weights is None else {"weights": np.array(weights)})}
    rehash({"problem": header}, arrays)
    return m.Problem(header, {name: floats(values) for name, values in arrays.items()})


def floats(values):
    return array("d", np.ravel(values).tolist())


def integers(values):
    return array("q", values)


def space_of(m, problem):
    return m.Space(problem.X, problem.x)


def dual(m, G):
    G = np.array(G, dtype=float)
    return m.matrix(G.ravel().tolist(), *G.shape, "G")


def accepted(m, function, *arguments):
    return not rejected(m, function, *arguments)


def tight(m, u, function, part=Fraction(1, 10**9)):
    """function(u) is accepted a little above u and rejected a little below."""
    u = Fraction(u)
    assert accepted(m, function, u * (1 + part)) and rejected(m, function, u * (1 - part)), float(u)


def exact(m, u, function):
    """function(u) is accepted at u and rejected below."""
    assert accepted(m, function, Fraction(u)) and rejected(m, function, Fraction(u) - TINY), float(u)


def says(m, reason, function, *arguments):
    """function rejects with this reason."""
    try:
        function(*arguments)
    except m.Rejected as error:
        assert reason in str(error), (reason, str(error))
    else:
        raise AssertionError(reason)


# -- losses and dual values --------------------------------------------------------------------------------------------


def _near(value, true):
    """A rational within 1e-30 of a Decimal of 80 digits, relative to 1."""
    return abs(decimal(value) - true) < Decimal("1e-30") * (1 + abs(true))


def _log(x):
    return PRECISE.ln(decimal(x))


def _exp(x):
    return PRECISE.exp(decimal(x))


def with_logarithms(m):
    with localcontext(PRECISE):
        dual_values(m)
        losses(m)


def dual_values(m):
    """D(sG) in rationals, with the logarithms in decimals of 80 digits; and the domain."""
    X, G = [[1.0], [2.0], [-0.1]], [[0.3, -1.25, 0.7], [2.0, 0.1, -3.0]]
    Y = [[0.1, 2.0], [3.0, -1.5], [0.25, 7.0]]
    s = Fraction(3, 7)
    for loss, lam, beta in (("mse", 0.3, 0.5), ("mse", 0.3, 0.0), ("interpolate", 1.0, -2.0)):
        problem = problem_of(m, X, Y, loss, lam, beta=beta)
        rows = [[Fraction(v) for v in row] for row in G]
        value = s * sum(
            g * Fraction(y)
            for row, c in zip(rows, zip(*Y, strict=True), strict=True)
            for g, y in zip(row, c, strict=True)
        )
        if loss == "mse":
            value -= s * s * Fraction(3, 4) * sum(g * g for row in rows for g in row)
        value -= Fraction(beta) ** 2 / (4 * Fraction(lam)) * s * s * sum(sum(row) ** 2 for row in rows)
        assert m.dual_value(problem, *dual(m, G), s) == value
    # Logistic: p = Nsyg in [0, 1], both ends included.
    Y = [[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]
    G = [[0.25, -0.5, 0.0], [-1.0, 0.125, 0.75]]
    problem = problem_of(m, X, Y, "logistic", 0.3, beta=0.5)
    s = Fraction(1, 3)
    total = Decimal(0)
    for row, labels in zip(G, zip(*Y, strict=True), strict=True):
        for g, y in zip(row, labels, strict=True):
            p = 3 * s * Fraction(g) * int(y)
            total -= sum((decimal(q) * _log(q) for q in (p, 1 - p) if q), Decimal(0))
    bias = Fraction(1, 4) / (4 * Fraction(0.3)) * s * s * sum(Fraction(sum(row)) ** 2 for row in G)
    value = m.dual_value(problem, *dual(m, G), s)
    assert _near(value, total / 3 - decimal(bias)) and decimal(value) <= total / 3 - decimal(bias)
    assert rejected(m, m.dual_value, problem, *dual(m, G), s + TINY)
    assert rejected(m, m.dual_value, problem, *dual(m, [[-0.25, 0.0, 0.0], [0.0, 0.0, 0.0]]), s)
    # Cross-entropy: p = y − Nsg ≥ 0, labels of any mass.
    Y = [[0.5, 0.25, 0.25], [0.0, 3.0, 1.0], [1.0, 0.0, 0.0]]
    G = [[0.5, 0.0, -0.125], [0.25, 1.0, -0.5], [-0.75, -1.0, 0.625]]
    problem = problem_of(m, X, Y, "cross_entropy", 0.3, beta=0.5)
    assert rejected(m, m.dual_value, problem, *dual(m, G), s)
    G[2], G[0] = [-0.75, -1.0, -0.125], [0.5, 0.0, 0.625]
    G[0][2], G[1][2], G[2][2] = 0.5, -0.25, -0.25
    total = Decimal(0)
    for i in range(3):
        mass = sum(Fraction(v) for v in Y[i])
        for j in range(3):
            p = Fraction(Y[i][j]) - 3 * s * Fraction(G[j][i])
            assert p >= 0
            if p:
                total += decimal(p) * _log(mass / p)
    bias = Fraction(1, 4) / (4 * Fraction(0.3)) * s * s * sum(sum(Fraction(v) for v in row) ** 2 for row in G)
    value = m.dual_value(problem, *dual(m, G), s)
    assert _near(value, total / 3 - decimal(bias)) and decimal(value) <= total / 3 - decimal(bias)
    assert rejected(m, m.dual_value, problem, *dual(m, G), s + TINY)


def losses(m):
    """The loss of a network on three points, with targets and outputs in units of their own."""
    X = [[1.0, -0.5], [0.1, 2.0], [-3.0, 0.25]]
    W1, W2 = [[0.5, 1.0, -0.25], [-1.0, 0.75, 0.125]], [[1.5, -2.0, 0.5], [0.1, 1.0, -1.0]]
    for loss, Y, beta, lam in (
        ("mse", [[0.1, 1.0], [2.0, -3.0], [0.0, 0.7]], 0.5, 0.01),
        ("mse", [[1.0, 1.0], [2.0, -3.0], [0.0, 5.0]], 0.0, 0.01),
        ("logistic", [[1.0, -1.0], [-1.0, -1.0], [1.0, 1.0]], 0.5, 0.01),
        ("cross_entropy", [[0.5, 0.25], [0.0, 3.0], [1.0, 0.0]], -0.5, 0.01),
    ):
        problem = problem_of(m, X, Y, loss, lam, (1.0, -0.25), beta)
        first = [row[: 2 + (beta != 0)] for row in W1]
        second = [row[: 2 + (beta != 0)] for row in W2]
        cost = Fraction(lam) * sum(Fraction(v) ** 2 for row in first + second for v in row)
        total = Decimal(0)
        for x, y in zip(X, Y, strict=True):
            point = [Fraction(v) for v in (*x, beta)]
            S = [sum(Fraction(w) * v for w, v in zip(row, point, strict=False)) for row in first]
            hidden = [*((v if v > 0 else -v / 4) for v in S), Fraction(beta)]
            z = [sum(Fraction(w) * v for w, v in zip(row, hidden, strict=False)) for row in second]
            labels = [Fraction(v) for v in y]
            if loss == "mse":
                total += decimal(sum((p - q) ** 2 for p, q in zip(z, labels, strict=True)))
            elif loss == "logistic":
                total += sum((PRECISE.ln(1 + _exp(-p * q)) for p, q in zip(z, labels, strict=True)), Decimal(0))
            else:
                total += decimal(sum(labels)) * PRECISE.ln(sum((_exp(p) for p in z), Decimal(0)))
                total -= decimal(sum(p * q for p, q in zip(z, labels, strict=True)))
        true = total / 3 + decimal(cost)
        value = m.network_loss(problem, "network", [], {"W1": floats(first), "W2": floats(second)})
        assert _near(value, true) and decimal(value) >= true - abs(true) * Decimal("1e-75")


def weighted(m):
    """What weights change: values of losses and of duals, domains, the hash; and what cannot be weights."""
    X, W = [[1.0, -0.5], [0.1, 2.0], [-3.0, 0.25]], [0.75, 3.0, 0.1]
    omega = [Fraction(w) for w in W]
    G, s = [[0.3, -1.25, 0.0625], [2.0, 0.125, -3.0]], Fraction(3, 7)
    Y = [[0.1, 2.0], [3.0, -1.5], [0.25, 7.0]]
    problem = problem_of(m, X, Y, weights=W)
    assert [w * m.power(problem.w) for w in problem.weights] == omega
    parts = []
    for i, w in enumerate(omega):
        g = [Fraction(row[i]) for row in G]
        parts.append(s * sum(a * Fraction(y) for a, y in zip(g, Y[i], strict=True)))
        parts.append(-s * s * Fraction(3, 4) * sum(a * a for a in g) / w)
    value = m.conjugate_lower(problem, *dual(m, G), s)
    assert 0 < sum(parts) - value < Fraction(1, 2**100)
    network = {"W1": [1.0, 0.5], "W2": [2.0, -1.0]}
    pre = [max(Fraction(x[0]) + Fraction(x[1]) / 2, Fraction(0)) for x in X]
    outputs = [[2 * v, -v] for v in pre]
    with localcontext(PRECISE):
        _weighted_losses(m, X, W, network, outputs)
        # Logistic: p in [0, ω], both ends included.
        Y, s = [[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]], Fraction(1, 3)
        G = [[0.75, -3.0, 0.0], [-0.25, 0.125, 0.0625]]
        problem = problem_of(m, X, Y, "logistic", weights=W)
        total = Decimal(0)
        for row, labels in zip(G, zip(*Y, strict=True), strict=True):
            for g, y, w in zip(row, labels, omega, strict=True):
                p = 3 * s * Fraction(g) * int(y)
                total += sum((decimal(q) * _log(w / q) for q in (p, w - p) if q), Decimal(0))
        value = m.conjugate_lower(problem, *dual(m, G), s)
        assert _near(value, total / 3) and decimal(value) <= total / 3
        assert rejected(m, m.conjugate_lower, problem, *dual(m, G), s + TINY)
        # Cross-entropy: the labels count ω times.
        Y, G = [[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]], [[0.25, -2.0, 0.0625], [-0.25, 2.0, -0.0625]]
        problem = problem_of(m, X, Y, "cross_entropy", weights=W)
        total = Decimal(0)
        for i, w in enumerate(omega):
            for j in range(2):
                p = w * Fraction(Y[i][j]) - Fraction(G[j][i])
                assert p >= 0
                total += decimal(p) * _log(w / p) if p else 0
        value = m.conjugate_lower(problem, *dual(m, G), s)
        assert _near(value, total / 3) and decimal(value) <= total / 3
        assert rejected(m, m.conjugate_lower, problem, *dual(m, [[0.25, -3.5, 0.0], [-0.25, 3.5, 0.0]]), s)
    for wrong in ([1.0, 0.0, 1.0], [1.0, 2.0, -1.0], [1.0, 2.0], [1.0, 2.0, 3.0, 4.0]):
        says(m, "weights must be N numbers > 0", lambda: problem_of(m, X, Y, weights=wrong))  # noqa: B023
    says(m, "no weights", lambda: problem_of(m, X, Y, "interpolate", weights=W))
    arrays = {"X": np.array(X), "Y": np.array(Y)}
    header = {
        "loss": "mse",
        "a_plus": 1.0,
        "a_minus": 0.0,
        "lambda": 1.0,
        "beta": 0.0,
        "depth": 2,
        "N": 3,
        "n0": 2,
        "m": 2,
    }
    rehash({"problem": header}, {**arrays, "weights": np.array(W)})
    for other in ([0.75, 3.0, 0.125], None):  # other weights, or none, under the hash of these
        given = arrays if other is None else {**arrays, "weights": np.array(other)}
        says(m, "the hash", lambda: m.Problem(header, {name: floats(v) for name, v in given.items()}))  # noqa: B023


def _weighted_losses(m, X, W, network, outputs):
    """A point counts by its weight, in all losses."""
    weights = {name: floats(values) for name, values in network.items()}
    cost = 1 + Fraction(1, 4) + 4 + 1
    for loss, Y in (
        ("mse", [[0.1, 1.0], [2.0, -3.0], [0.0, 0.7]]),
        ("logistic", [[1.0, -1.0], [-1.0, -1.0], [1.0, 1.0]]),
        ("cross_entropy", [[0.5, 0.25], [0.0, 3.0], [1.0, 0.0]]),
    ):
        problem, total = problem_of(m, X, Y, loss, weights=W), Decimal(0)
        for w, z, y in zip(W, outputs, Y, strict=True):
            labels = [Fraction(v) for v in y]
            if loss == "mse":
                own = decimal(sum((p - q) ** 2 for p, q in zip(z, labels, strict=True)))
            elif loss == "logistic":
                own = sum((PRECISE.ln(1 + _exp(-p * q)) for p, q in zip(z, labels, strict=True)), Decimal(0))
            else:
                own = decimal(sum(labels)) * PRECISE.ln(sum((_exp(p) for p in z), Decimal(0)))
                own -= decimal(sum(p * q for p, q in zip(z, labels, strict=True)))
            total += decimal(Fraction(w)) * own
        true = total / 3 + decimal(cost)
        value = m.network_loss(problem, "network", [], dict(weights))
        assert _near(value, true) and decimal(value) >= true - abs(true) * Decimal("1e-75")


def interpolating(m):
    """A network that fits exactly costs its norm; one that does not is refused."""
    problem = problem_of(m, [[1.0], [2.0]], [[2.0], [4.25]], "interpolate")
    weights = {"W1": floats([2.0]), "W2": floats([1.0])}
    assert rejected(m, m.network_loss, problem, "network", [], dict(weights))
    # (The targets in a finer unit than the outputs.)
    finer = problem_of(m, [[1.0]], [[0.1]], "mse", 0.5)
    assert (
        m.network_loss(finer, "network", [], {"W1": floats([1.0]), "W2": floats([1.0])}) == (1 - Fraction(0.1)) ** 2 + 1
    )
    problem = problem_of(m, [[1.0], [2.0]], [[0.5], [1.0]], "interpolate")
    assert m.network_loss(problem, "network", [], {"W1": floats([2.0]), "W2": floats([0.25])}) == Fraction(65, 16)
    assert rejected(m, m.network_loss, problem, "network", [], {"W1": floats([2.0]), "W2": floats([0.25 + 2.0**-40])})
    assert rejected(m, m.network_loss, problem, "best", [], {"W1": floats([2.0]), "W2": floats([0.25])})


def repairs(m):
    """2√K max‖w‖ ‖B‖ ‖E‖/(1 − Δ), for one point where all is rational, and for three."""
    problem = problem_of(m, [[1.0, 0.0]], [[1.0]], "interpolate")
    given = {
        "repair_W": floats([[3.0, 4.0], [1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]),
        "repair_B": floats([0.25, 0.125, 0.0, 0.0]),
    }
    # A = (3, 1, 2, 0), AB = 7/8, Δ = 1/8, ‖B‖² = 5/64; √K = 2, max‖w‖ = 5.
    value = m.check_repair(problem, Fraction(7), [], dict(given))
    assert abs(float(value) - 2 * 2 * 5 * math.sqrt(5 / 64) * 7 / (7 / 8)) < 1e-12
    square = (value * Fraction(7, 8) / 140) ** 2
    assert Fraction(5, 64) <= square <= Fraction(5, 64) * (1 + Fraction(1, 10**20))
    for B in (0.0, -1.0, 2.0):  # Δ = 1, 4, 5
        assert rejected(
            m, m.check_repair, problem, Fraction(0), [], {"repair_W": floats([3.0, 0.0]), "repair_B": floats([B])}
        )
    assert rejected(m, m.check_repair, problem, Fraction(0), [], {"repair_W": floats([]), "repair_B": floats([])})
    rng = np.random.default_rng(0)
    X, W = rng.standard_normal((3, 2)), rng.standard_normal((5, 2))
    problem = problem_of(m, X, rng.standard_normal((3, 2)), "interpolate", a=(1.0, -0.5))
    A = np.where(X @ W.T > 0, X @ W.T, -0.5 * (X @ W.T))
    change = rng.standard_normal((5, 3))
    B = np.linalg.pinv(A) + 0.25 * change / np.linalg.norm(A @ change)
    delta = np.linalg.norm(A @ B - np.eye(3))
    expected = 2 * math.sqrt(5) * np.linalg.norm(W, axis=1).max() * np.linalg.norm(B) * 0.3 / (1 - delta)
    value = m.check_repair(problem, Fraction(0.3), [], {"repair_W": floats(W), "repair_B": floats(B)})
    assert abs(float(value) / expected - 1) < 1e-12
    # A point that is 0 is fixed by its relation, and nothing is left to repair.
    problem = problem_of(m, [[0.0, 0.0]], [[0.0]], "interpolate")
    assert (
        m.check_repair(problem, Fraction(1), [[0, [[0, "1"]]]], {"repair_W": floats([]), "repair_B": floats([])}) == 0
    )


# -- spectral and coordinates ------------------------------------------------------------------------------------------


def spectral(m):
    def check(problem, G, u, stream, norms, parts=True):
        reader = m.Stream(stream)
        m.check_spectral(problem, space_of(m, problem), *dual(m, G), u, reader, iter(norms), parts)
        reader.end()

    for a in [tuple(map(Fraction, a)) for a in SLOPES]:
        lipschitz, total, kink = max(map(abs, a)), abs(a[0] + a[1]), abs(a[0] - a[1])
        # The triangle inequality, with a point that is 0 and lengths of 5/2, 13/2.
        problem = problem_of(m, [[1.5, 2.0], [0.0, 0.0], [2.5, 6.0]], [[0.0]] * 3, a=a)
        for G, value in (([[2, 7, -0.25]], Fraction(53, 8)), ([[3, 1, 0], [4, 0, 0.5]], Fraction(63, 4))):
            exact(m, lipschitz * value, lambda u: check(problem, G, u, [0], []))  # noqa: B023
            assert rejected(m, check, problem, G, Fraction(10**6), [0], [0.0])
        # (A point with one coordinate that is 0 counts.)
        problem = problem_of(m, [[3, 4], [0, 7]], [[0.0]] * 2, a=a)
        exact(m, lipschitz * 24, lambda u: check(problem, [[2, -2]], u, [0], []))  # noqa: B023
        irrational = problem_of(m, [[1.0, 1.0], [1.0, 2.0]], [[0.0, 0.0]] * 2, a=a)
        value = float(lipschitz) * (math.sqrt(2 * 2) + math.sqrt(5 * 10))
        tight(m, value, lambda u: check(irrational, [[1, 3], [-1, 1]], u, [0], []))  # noqa: B023
        # Products of norms: all of them 5, the product of the first kind 24 or 25; points without part in between.
        for X, G, exponents, whole in (
            ([[3], [0], [2], [5]], [[3, 1, 8, 0]], [0, 1], 25), ([[8], [7], [0], [3]], [[1.5, 0, 1, 4]], [-1, 0], 24),
            ([[16], [0], [0.375], [9]], [[0.75, 1, 32, 0]], [-2, 3], 24),
        ):  # fmt: skip
            problem = problem_of(m, X, [[0.0]] * 4, a=a)
            norms = [float(whole)] + [5.0, 5.0] * (kink != 0)
            stream = [1, *exponents, *([0, 0] * len(norms))]
            value = (total * whole + kink * 25) / 2
            exact(m, value, lambda u: check(problem, G, u, stream, norms))  # noqa: B023
            for k in range(len(norms)):
                less = [v * (1 - 2.0**-50) if i == k else v for i, v in enumerate(norms)]
                assert rejected(m, check, problem, G, value, stream, less)
                assert rejected(m, check, problem, G, value, stream, [-v for v in norms])
            assert rejected(m, check, problem, G, value, stream, norms[:-1])
            assert rejected(m, check, problem, G, value, stream, [*norms, 0.0])
        # Two outputs, each with one of the points: GD⁻¹ = diag(3, 4), DX̃ᵀ = (3, 4)ᵀ, GX̃ᵀ = (9, 16)ᵀ.
        problem = problem_of(m, [[3], [2]], [[0.0, 0.0]] * 2, a=a)
        norms = [18.5] + [4.0, 5.0] * (kink != 0)
        stream = [1, 0, 1, 0, 0] + [0, 0, 0, 0, 0, 0] * (kink != 0)
        value = total * Fraction(37, 4) + kink * 10
        exact(m, value, lambda u: check(problem, [[3, 0], [0, 8]], u, stream, norms))  # noqa: B023
        assert rejected(m, check, problem, [[3, 0], [0, 8]], Fraction(10**6), [2, 0, 0], [])
        # The two signs apart.
        problem = problem_of(m, [[3, 4], [5, 12]], [[0.0]] * 2, a=a)
        for sign in (1, -1):
            G = [[2 * sign, -3 * sign]]
            if a[0] >= 0 >= a[1]:
                exact(m, 39 * lipschitz, lambda u: check(problem, G, u, [2, 0, 0], []))  # noqa: B023
                assert rejected(m, check, problem, G, Fraction(10**6), [2, 0, 0], [0.0])
                assert rejected(m, check, problem, G, Fraction(10**6), [2, 2, 0, 0, 0], [])
                halves = [1, 0, 0, 0, 0, 0, 0, 0], [0]
                norms = [[26.0, 2.0, 13.0], [39.0, 3.0, 13.0]]
                for order, given in (
                    (halves, norms[0 if sign > 0 else 1]),
                    (halves[::-1], norms[1 if sign > 0 else 0]),
                ):
                    assert accepted(
                        m, check, problem, G, Fraction(100), [2, *order[0], *order[1]], given[: 1 + 2 * (kink != 0)]
                    )
            else:
                assert rejected(m, check, problem, G, Fraction(10**6), [2, 0, 0], [])
    # Nothing takes part.
    problem = problem_of(m, [[1]], [[0.0]])
    assert accepted(m, check, problem, [[0]], Fraction(0), [1, 0, 0, 0, 0], [0.0, 0.0, 0.0])
    for e in (1101, -1101):
        assert rejected(m, check, problem, [[1]], Fraction(10**6), [1, e, 0, 0, 0, 0, 0, 0], [1.0, 1.0, 1.0])


def coordinates(m):
    """stretch·bound + Lipschitz·Σ‖g_i‖‖x_i − Qx̂_i‖ with rational numbers in three units."""
    inner = {"kind": "spectral"}
    for a in SLOPES:
        lipschitz = max(map(abs, a))
        for stretch, unit in ((1, 1), (2, 1), (1, 0.25), (2, 0.125)):
            X = np.array([[3, 0.5], [5, 0], [4, -3]]) * unit
            problem = problem_of(m, X, [[0.0, 0.0]] * 3, a=a)
            G = np.array([[2, 0.6, 0], [0, 0.8, 3]])
            G[:, 1] = [3, 4]
            # ‖g‖ = 2, 5, 3; the errors are (0, 1/2), 0, (4, −3); the inner bound 2·3 + 5·5.
            arrays = {"basis": floats([stretch, 0]), "coordinates": floats(np.array([3, 5, 0]) * unit / stretch)}
            bound = Fraction(lipschitz) * 31 * Fraction(unit) / stretch
            rest = Fraction(lipschitz) * 16 * Fraction(unit)

            def check(u, bound=bound, arrays=arrays, problem=problem, G=G):
                given = {**arrays, "proof": integers([0]), "norms": floats([])}
                m.check_coordinates(problem, space_of(m, problem), *dual(m, G), u, bound, inner, given)

            exact(m, stretch * bound + rest, check)
            assert rejected(m, check, stretch * bound + rest, bound - TINY)
    # Irrational lengths, a basis that is not orthogonal, coordinates in a finer unit than the points.
    rng = np.random.default_rng(1)
    Q = np.round(np.linalg.qr(rng.standard_normal((3, 2)))[0], 3)
    points = rng.standard_normal((4, 2))
    X = np.round(points @ Q.T, 2)
    G = rng.standard_normal((2, 4))
    problem = problem_of(m, X, np.zeros((4, 2)), a=(1.0, -0.5))
    bound = float(np.linalg.norm(G, axis=0) @ np.linalg.norm(points, axis=1))
    rest = float(np.linalg.norm(G, axis=0) @ np.linalg.norm(X - points @ Q.T, axis=1))
    stretch = math.sqrt(1 + np.linalg.norm(Q.T @ Q - np.eye(2)))
    bound *= 1 + 1e-12

    def check_irrational(u):
        given = {"basis": floats(Q), "coordinates": floats(points), "proof": integers([0]), "norms": floats([])}
        m.check_coordinates(problem, space_of(m, problem), *dual(m, G), u, Fraction(bound), inner, given)

    tight(m, stretch * bound + rest, check_irrational)


# -- plane and cells ---------------------------------------------------------------------------------------------------


def _gamma_in_the_plane(X, G, a):
    """max over the circle of ‖Gσ(X̃ᵀw)‖: the best of each arc, from its 2 × 2 matrix."""
    X = np.c_[X, np.zeros(len(X))] if X.shape[1] == 1 else X
    angles = np.sort(
        np.concatenate([np.arctan2(X[:, 1], X[:, 0]) + q for q in (np.pi / 2, -np.pi / 2)] + [[0.0]]) % (2 * np.pi)
    )
    best = 0.0
    for first, second in zip(angles, [*angles[1:], angles[0] + 2 * np.pi], strict=True):
        S = X @ [np.cos((first + second) / 2), np.sin((first + second) / 2)]
        M = (G * np.where(S > 0, a[0], a[1])) @ X
        _, vectors = np.linalg.eigh(M.T @ M)
        top = np.arctan2(vectors[1, 1], vectors[0, 1])
        inside = [t for t in (top + k * np.pi for k in range(-3, 6)) if first <= t <= second]
        for t in (first, second, *inside):
            best = max(best, float(np.linalg.norm(M @ [np.cos(t), np.sin(t)])))
    return best


@cache
def planes():
    """(X, G, slopes, γ)."""
    rng = np.random.default_rng(8)
    found = []
    for number in range(40):
        N, n, outputs = int(rng.integers(1, 6)), int(rng.choice([1, 2, 2])), int(rng.integers(1, 4))
        X = rng.standard_normal((N, n)) if number % 3 else rng.integers(-2, 3, size=(N, n)).astype(float)
        if number % 4 == 0:
            X[0, -1] = 0.0
        if number % 5 == 0:
            X[-1] = -2.0 * X[0]
        if number == 0:  # the first ray after (1, 0) is steep, and a point lies behind both
            X = np.array([[5.0, -1.0], [-1.0, -1.0]])
            N = 2
        G = rng.standard_normal((outputs, N)) * 2.0 ** rng.integers(-30, 3)
        G[rng.random(G.shape) < 0.15] = 0.0
        a = SLOPES[number % len(SLOPES)]
        found.append((X, G, a, _gamma_in_the_plane(X, G, a)))
    return found


def arcs(m):
    for X, G, a, gamma in planes():
        problem = problem_of(m, X, np.zeros((len(X), len(G))), a=a)

        def check(u, problem=problem, G=G):
            m.check_plane(problem, space_of(m, problem), *dual(m, G), u)

        if gamma > 0:
            tight(m, gamma, check)
        assert rejected(m, check, Fraction(-1))
    # The value 5 is taken at an end of two arcs, and inside one: 3-4-5. Nothing takes part: 0.
    for X, G, a, value in (
        ([[3.0, 4.0]], [[1.0]], (1, 0), 5), ([[5.0, 0.0], [0.0, 7.0]], [[1.0, -1.0]], (1, 0), 7), ([[2.0]], [[-3.0]], (0, 1), 6),
        ([[0.0, 0.0]], [[1.0]], (1, 0), 0), ([[1.0, 0.0]], [[0.0]], (1, 0), 0), ([[3.0, 4.0]], [[3.0], [4.0]], (1, -1), 25),
    ):  # fmt: skip
        problem = problem_of(m, X, np.zeros((len(X), len(G))), a=a)

        def check_exact(u, problem=problem, G=G):
            m.check_plane(problem, space_of(m, problem), *dual(m, G), u)

        exact(m, value, check_exact)
    problem = problem_of(m, [[1.0, 2.0, 3.0]], [[0.0]])
    assert rejected(m, m.check_plane, problem, space_of(m, problem), *dual(m, [[1.0]]), Fraction(100))


@cache
def cells_of_leaves():
    """(X, G, slopes, exponents, planes, path, decided, chosen, linear, pairs, S): random leaves and S of SPEC.md, equation (S)."""
    rng = np.random.default_rng(23)
    found = []
    for number in range(12):
        N, n, outputs = 4, int(rng.integers(1, 4)), int(rng.integers(1, 4))
        X, G = rng.standard_normal((N, n)), rng.standard_normal((outputs, N))
        G[0, 1] = 0.0
        if number % 2:
            X[0], G[:, 3] = 0.0, 0.0
        a, exponents = SLOPES[number % 5], rng.integers(-2, 3, size=N).tolist()
        planes = rng.standard_normal((2, n)) * 2.0 ** (-20 * (number % 2))
        scaled = np.ldexp(X, -np.array(exponents)[:, None])
        weights = np.ldexp(G, exponents)
        path = [(1, 1), (5, -1), (2, -1)]
        decided = {1: 1, 2: -1}
        undecided = [i for i in (0, 3) if scaled[i].any() and weights[:, i].any()]
        chosen = [2, 0, 1][: 1 + number % 3]
        normals = np.vstack([scaled, planes])
        mean, half = (a[0] + a[1]) / 2, (a[0] - a[1]) / 2
        K = np.zeros((outputs, n + len(undecided)))
        for i in range(N):
            slope = mean if i not in decided else a[0] if decided[i] > 0 else a[1]
            K[:, :n] += slope * np.outer(weights[:, i], scaled[i])
        for c, i in enumerate(undecided):
            K[:, n + c] = half * weights[:, i]
        F = [np.r_[path[place][1] * normals[path[place][0]], np.zeros(len(undecided))] for place in chosen]
        for c, i in enumerate(undecided):
            F += [np.r_[s * scaled[i], np.eye(len(undecided))[c]] for s in (1, -1)]
        square, linear = 7.25, [float(v) for v in rng.integers(-4, 5, size=len(undecided)) / 4]
        pairs = [(int(i), int(j), float(w)) for i, j, w in rng.integers(0, len(F), size=(3, 3))]
        S = np.diag([square] * n + [0.0] * len(undecided)) - K.T @ K
        for c, (i, value) in enumerate(zip(undecided, linear, strict=True)):
            S[n + c, n + c] += value
            S[:n, :n] -= value * np.outer(scaled[i], scaled[i])
        for i, j, w in pairs:
            S -= w * (np.outer(F[i], F[j]) + np.outer(F[j], F[i]))
        found.append((X, G, a, exponents, planes, path, decided, chosen, (square, linear, pairs), S))
    return found


def _cover_of(m, X, G, a, exponents, planes):
    problem = problem_of(m, X, np.zeros((len(X), len(G))), a=a)
    arrays = {"exponents": integers(exponents), "planes": floats(planes)}
    return problem, m.Cover(problem, space_of(m, problem), *dual(m, G), arrays)


def cells(m):
    for X, G, a, exponents, planes, path, decided, chosen, (square, linear, pairs), S in cells_of_leaves():
        _, cover = _cover_of(m, X, G, a, exponents, planes)
        leaf = m.Leaf(cover, path, decided, Fraction(0))
        assert not any(any(row[len(X[0]) :]) for row in leaf.forms(chosen)[: len(chosen)])
        for scale in (2, 6, 200):  # all numbers are multiples of 1/4
            given = [round(v * 2**scale) for v in (square, *linear)]
            scaled = [(i, j, round(w * 2**scale)) for i, j, w in pairs]
            rows, unit = leaf.matrix(scale, given[0], given[1:], leaf.forms(chosen), scaled)
            value = np.array([[float(Fraction(v, 4) / Fraction(2) ** unit) for v in row] for row in rows])
            assert np.abs(value - S).max() <= 1e-12 * np.abs(S).max()
            assert all(rows[i][j] == rows[j][i] for i in range(len(S)) for j in range(i))
    # An implied sign costs |δ|‖ĝ‖‖e‖ with e = side·x̂ − Σ μ s h; here ‖ĝ‖ = 5/2, ‖x̂‖ = 5, and e = 0 with a multiplier of 2.
    X, G = [[3.0, 4.0], [1.5, 2.0], [0.0, 1.0]], [[1.5, 1.0, 0.0], [2.0, 0.0, 0.0]]
    for a in SLOPES:
        delta = Fraction(abs(a[0] - a[1]))
        _, cover = _cover_of(m, X, G, a, [0, 0, 0], [[1.0, 0.0]])
        start = m.Leaf(cover, [], {}, Fraction(1, 3))
        for side in (0, 1):
            node = m.check_implied(start, m.Stream([0, side, 0]))
            assert (
                node.slack == Fraction(1, 3) + 25 * delta / 2 and node.decided == {0: 1 - 2 * side} and node.path == []
            )
        for s in (1, -1):
            node = m.Leaf(cover, [(3, 1), (1, s)], {1: s}, Fraction(0))
            one = 1 << m.IMPLIED_GRID
            for mu, length in ((2 * one, 0), (one, Fraction(5, 2)), (0, 5), (4 * one, 5)):
                given = m.Stream([0, int(s < 0), 1, 1, mu])
                assert m.check_implied(node, given).slack == 5 * delta * length / 2
            # (3, 4) − 3·(1, 0) = (0, 4)
            assert m.check_implied(node, m.Stream([0, 0, 2, 0, 3 * one, 0, 0])).slack == 10 * delta
            for stream in (
                [0, 0, 1, 2, 0],
                [0, 0, 1, -1, one],
                [0, 0, 1, 0, -1],
                [1, 0, 0],
                [3, 0, 0],
                [-1, 0, 0],
                [0, 2, 0],
            ):
                assert rejected(m, m.check_implied, node, m.Stream(stream))
        assert m.check_implied(start, m.Stream([2, 0, 0])).slack == Fraction(1, 3)
    # max ‖Gσ(3w)‖ = 15 for |w| ≤ 1: a branch and two leaves, or one leaf of unknown sign; all of it rational.
    problem = problem_of(m, [[3.0]], [[0.0, 0.0]])
    G = [[3.0], [4.0]]

    def check(u, *proof, planes=()):
        arrays = {"exponents": integers([0]), "planes": floats(planes), "proof": integers(proof)}
        m.check_cells(problem, space_of(m, problem), *dual(m, G), Fraction(u), arrays)

    above, below = [0, 0, 225, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]
    exact(m, 15, lambda u: check(u, 2, 0, *above, *below))
    assert rejected(m, check, 15, 2, 0, *below, *above) and rejected(m, check, -15, 2, 0, *above, *below)
    assert rejected(m, check, 15, 2, 0, 0, 0, 224, 0, 0, 0, 0, *below)
    exact(m, 15, lambda u: check(u, 2, 0, 0, 1, 450, 0, 0, 0, 0, 0, -2, 0, 0, 0, 0, 0))
    # 4S = [[225, −75], [−75, 25]] for ρ = 225, λ = 25/2 = (15, −5)ᵀ(15, −5).
    unknown = [0, 1, 450, 0, 25, 0, 0, 15, -5, 0]
    _, cover = _cover_of(m, [[3.0]], G, (1.0, 0.0), [0], [])
    leaf = m.Leaf(cover, [], {}, Fraction(0))
    factor = cholesky(leaf.matrix(1, 451, [25], leaf.forms([]), [])[0])
    assert factor is not None
    tight(m, math.sqrt(225.5), lambda u: check(u, 0, 1, 451, 0, 25, 0, *factor))
    assert rejected(m, check, 16, *unknown[:3], 0, 25, 0, *factor)
    for proof, reason in (
        ([0, 1, 451, 0, 25, 1, 0, 0, -1, *factor], "negative multiplier"), ([0, 1, 451, 0, 25, 1, 0, 2, 0, *factor], "not exist"),
        ([0, 1, 451, 0, 25, 1, 2, 0, 0, *factor], "not exist"), ([0, 1, 451, 1, 0, 25, 0, *factor], "not exist"),
        ([0, 5000, 451, 0, 25, 0, *factor], "scale"), ([0, -5000, 451, 0, 25, 0, *factor], "scale"),
        ([0, 1, 451, 0, 24, 0, *factor], "semidefinite"), ([0, 1, 451, 0, 26, 0, *factor], "semidefinite"),
        ([0, 1, -451, 0, 25, 0, *factor], "below the bound"), ([0, 1, 513, 0, 25, 0, *factor], "below the bound"),
        ([0, 1, 451, 0, 25, 0, *factor, 0], "goes on"), ([3], "unknown step"), ([-1], "unknown step"),
        ([2, 0, 2, 0, *above, *above, *below], "decided twice"), ([2, 1], "not exist"), ([2, -1], "not exist"),
        ([2, 0, 1, 0, 0, 0], "decided twice"),
    ):  # fmt: skip
        says(m, reason, check, 16, *proof)
    assert accepted(m, check, 16, 0, 1, 451, 0, 25, 1, 0, 1, 0, *factor)
    # Slack adds to √ρ: the sign is taken for granted at the price of 75 = 5·15 (δ = 1, ‖ĝ‖ = 5, ‖x̂‖ = 3).
    exact(m, 15 + 15, lambda u: check(u, 1, 0, 0, 0, *above))
    # Further planes may be decided many times, as long as the path is no longer than there are planes.
    ends = [2, 0, *above, *below]
    for number, good in ((1, False), (2, True)):
        assert accepted(m, lambda: check(15, 2, 1, 2, 1, *ends, *ends, *ends, planes=[2.0] * number)) == good  # noqa: B023


PROBES = [weighted, interpolating, repairs, cells, arcs, spectral, coordinates, with_logarithms]
