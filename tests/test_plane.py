"""The sweep in the plane: never below a value computed in rationals, tight to rounding, whatever the points look like."""

from dataclasses import replace
from fractions import Fraction
from functools import cmp_to_key

import numpy as np
import pytest
from claims import check_claims
from exact import rationals

from cpcert import Problem, solve
from cpcert.activations import Activation, activation
from cpcert.frank_wolfe.active_set import columns_for
from cpcert.frank_wolfe.arc_newton import polish_in_plane
from cpcert.frank_wolfe.arcs import correct_in_plane
from cpcert.frank_wolfe.corrective import correct
from cpcert.frank_wolfe.steps import bias_only, objective
from cpcert.oracle.arrangement import arrangement_oracle
from cpcert.oracle.coordinates import coordinates
from cpcert.oracle.ladder import find_neurons, prove
from cpcert.oracle.plane import PlaneProof, lines_of, plane_oracle
from cpcert.oracle.rung import Limits
from cpcert.plots.solving import kinks

ACTIVATIONS = [
    activation("relu"), activation("leaky_relu", 0.3), activation("leaky_relu", -0.4), activation("abs"),
    activation("linear"), Activation("steep", 0.2, -1.3),
]  # fmt: skip
TINY = np.nextafter(1.0, 2.0)


def cross(a, b):
    return a[0] * b[1] - a[1] * b[0]


def value_squared(points, G, sigma, w):
    """‖Gσ(X̃ᵀw)‖² of rationals, exactly."""
    a_plus, a_minus = Fraction(sigma.a_plus), Fraction(sigma.a_minus)
    s = [x[0] * w[0] + x[1] * w[1] for x in points]
    s = [(a_plus if t > 0 else a_minus) * t for t in s]
    return sum(sum((g * t for g, t in zip(row, s, strict=True)), Fraction(0)) ** 2 for row in G)


def cuts_of(points):
    """Directions ± perpendicular to the points ≠ 0, and the axes, sorted by angle from 0: exact, each once."""
    lines = [(-x[1], x[0]) for x in points if any(x)] + [(Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))]
    directions = lines + [(-a, -b) for a, b in lines]

    def compare(a, b):
        half_a, half_b = ((d[1] < 0 or (d[1] == 0 and d[0] < 0)) for d in (a, b))
        turn = cross(a, b)
        return (half_a > half_b) - (half_a < half_b) or (turn < 0) - (turn > 0)

    ordered = sorted(directions, key=cmp_to_key(compare))
    return [d for k, d in enumerate(ordered) if k == 0 or compare(ordered[k - 1], d)]


def reference(points, G, sigma):
    """γ(G) from patterns found in rationals: each arc's M is exact, its maximum evaluated in float64 once."""
    a_plus, a_minus = Fraction(sigma.a_plus), Fraction(sigma.a_minus)
    cuts, best = cuts_of(points), 0.0
    for p, q in zip(cuts, cuts[1:] + cuts[:1], strict=True):
        inside = (p[0] + q[0], p[1] + q[1])
        on = [x[0] * inside[0] + x[1] * inside[1] > 0 for x in points]
        M = np.array([
            [float(sum((g * (a_plus if i else a_minus) * x[k] for g, i, x in zip(row, on, points, strict=True)), Fraction(0)))
             for k in (0, 1)] for row in G
        ])  # fmt: skip
        ends = [np.array([float(c / max(map(abs, d))) for c in d]) for d in (p, q)]
        best = max(best, *(np.linalg.norm(M @ d) / np.linalg.norm(d) for d in ends))
        top = np.linalg.svd(M)[2][0]
        for v in (top, -top):
            if cross(ends[0], v) >= 0 and cross(v, ends[1]) >= 0:
                best = max(best, float(np.linalg.norm(M @ v)))
    return best


def assert_sound_and_tight(X, G, sigma, slack=1e-12):
    """X (N, r), G (m, N): the bound holds exactly at every cut and at random directions, and is tight."""
    answer = plane_oracle(X, G, sigma, 0.0)
    plane = np.column_stack([X, np.zeros(len(X))]) if X.shape[1] == 1 else X
    points, rows = rationals(plane), rationals(G)
    bound = Fraction(answer.upper_bound) ** 2
    rng = np.random.default_rng(0)
    found = [tuple(row) for row in rationals(np.column_stack([answer.W, np.zeros(len(answer.W))])[:, :2])]
    random = [tuple(row) for row in rationals(rng.standard_normal((20, 2)))]
    for w in cuts_of(points) + found + random:
        assert value_squared(points, rows, sigma, w) <= bound * (w[0] ** 2 + w[1] ** 2)
    exact = reference(points, rows, sigma)
    # Sums that cancel keep the rounding of what was added up.
    size = float(np.linalg.norm(G, axis=0) @ np.linalg.norm(X, axis=1))
    assert answer.upper_bound <= exact * (1 + slack) + 1e-14 * sigma.lipschitz * size
    assert exact * (1 - 1e-13) <= answer.values.max(initial=0.0) <= answer.upper_bound
    assert answer.rung == "plane" and isinstance(answer.proof, PlaneProof)
    return answer


@pytest.mark.parametrize("sigma", ACTIVATIONS, ids=lambda sigma: f"{sigma.name}{sigma.a_minus:g}")
@pytest.mark.parametrize("m", [1, 2, 3])
def test_random_points(sigma, m):
    rng = np.random.default_rng(m)
    for N in (1, 2, 3, 7, 15):
        assert_sound_and_tight(rng.standard_normal((N, 2)), rng.standard_normal((m, N)), sigma)


@pytest.mark.parametrize("sigma", ACTIVATIONS, ids=lambda sigma: f"{sigma.name}{sigma.a_minus:g}")
def test_integer_points_with_zeros_ties_multiples_and_opposites(sigma):
    rng = np.random.default_rng(1)
    for seed in range(12):
        N, m, r = int(rng.integers(1, 9)), int(rng.integers(1, 3)), 1 + seed % 2
        X = rng.integers(-2, 3, (N, r)).astype(float)
        assert_sound_and_tight(X, rng.integers(-3, 4, (m, N)).astype(float), sigma)


def test_points_that_nearly_coincide():
    """Lines whose quotients round to the same float, or to neighbours: the order must be the exact one."""
    X = np.array(
        [[1.0, 3.0], [TINY, 3.0 * TINY], [1.0, 3.0 + 2**-51], [TINY, 3.0], [1e-30, 3e-30], [-1.0, -3.0], [1.0, 3.0]]
    )
    rng = np.random.default_rng(3)
    for m in (1, 2):
        for _ in range(5):
            assert_sound_and_tight(X, rng.standard_normal((m, len(X))), activation("relu"), slack=1e-11)


def test_the_order_of_lines_is_exact():
    rng = np.random.default_rng(4)
    base = rng.standard_normal((6, 2))
    X = np.concatenate(
        [base, base * TINY, -2.0 * base, base * [1.0, TINY], [[0.0, 0.0], [1.0, 0.0], [-3.0, 0.0], [1e60, 1e-60]]]
    )
    lines = lines_of(X)
    assert sorted(lines.order.tolist()) == [i for i in range(len(X)) if X[i].any()]
    d = [[Fraction(s) * c for c in row] for s, row in zip(lines.side.tolist(), rationals(X[lines.order]), strict=True)]
    ends = lines.ends.tolist()
    line = [sum(i >= end for end in ends) for i in range(len(d))]
    for i in range(len(d)):
        assert d[i][1] > 0 or (d[i][1] == 0 and d[i][0] > 0)
        for j in range(i + 1, len(d)):
            turn = cross(d[i], d[j])
            assert turn == 0 if line[i] == line[j] else turn > 0


@pytest.mark.parametrize("sizes", [(1e-50, 1e50), (1e55, 1e-55), (1e-60, 1e-60)])
def test_any_size_of_numbers(sizes):
    rng = np.random.default_rng(5)
    X, G = sizes[0] * rng.standard_normal((2, 6)), sizes[1] * rng.standard_normal((1, 6))
    X[:, 0] *= 1e-3
    answer = prove(coordinates(X), G, activation("relu"), 1e300, Limits(), 0)
    exact = reference(rationals(X.T), rationals(G), activation("relu"))
    assert exact * (1 - 1e-14) <= answer.upper_bound <= exact * (1 + 1e-12)
    mixed = np.array([[1e-60, 1.0], [1e60, 1.0], [-1e60, 1e-60], [1.0, 1.0]])
    assert_sound_and_tight(mixed, np.array([[1e50, -1e-50, 2e-50, 1.0]]), activation("relu"))
    assert prove(coordinates(X), G, activation("relu"), 0.0, Limits(), 0).upper_bound == answer.upper_bound


def test_nothing_to_see():
    for X, G in (([[0.0, 0.0]], [[3.0]]), ([[1.0, 2.0]], [[0.0]]), ([[0.0], [0.0]], [[1.0, -1.0]])):
        answer = plane_oracle(np.array(X), np.array(G), activation("relu"), 0.0)
        assert answer.upper_bound == 0.0 and answer.complete and not len(answer.W)
    assert plane_oracle(np.eye(2), np.ones((1, 2)), Activation("none", 0.0, 0.0), 0.0).upper_bound == 0.0


@pytest.mark.parametrize("beta", [1.0, -0.5, 0.0])
@pytest.mark.parametrize("sigma", ACTIVATIONS[:4], ids=lambda sigma: f"{sigma.name}{sigma.a_minus:g}")
def test_the_general_oracle_says_the_same(sigma, beta):
    """One output, scalar inputs: the arrangement of cells, both signs of g, to 1e-12."""
    rng = np.random.default_rng(6)
    for _ in range(4):
        x, g = np.round(rng.standard_normal(12), 1), rng.standard_normal(12)
        points = x[:, np.newaxis] if beta == 0.0 else np.column_stack([x, np.full(12, beta)])
        general = max(arrangement_oracle(points, sigma.kink * h, sigma.a_minus * (h @ points))[0] for h in (g, -g))
        answer = plane_oracle(points, g[np.newaxis], sigma, 0.0)
        assert answer.upper_bound == pytest.approx(general, rel=1e-12)


def test_ten_thousand_points_and_rank_two_in_many_dimensions():
    rng = np.random.default_rng(7)
    N, sigma = 10_000, activation("relu")
    G = rng.standard_normal((1, N)) / N
    X_tilde = np.stack([np.sort(rng.standard_normal(N)), np.ones(N)])
    answer = prove(coordinates(X_tilde), G, sigma, 0.0, Limits(nodes=0), 0)
    best = np.abs(sigma(answer.W @ X_tilde) @ G.T).max()
    assert best <= answer.upper_bound <= best * (1 + 1e-10)
    frame = np.linalg.qr(rng.standard_normal((30, 2)))[0]
    space = coordinates(frame @ X_tilde[:, :500])
    assert space.points.shape == (500, 2)
    lifted = prove(space, G[:, :500], sigma, 0.0, Limits(), 0)
    plain = prove(coordinates(X_tilde[:, :500]), G[:, :500], sigma, 0.0, Limits(), 0)
    assert lifted.rung == "plane" and lifted.upper_bound == pytest.approx(plain.upper_bound, rel=1e-9)
    # The proof is one for the exact arrays it holds.
    again = plane_oracle(lifted.proof.points, lifted.proof.G, sigma, 0.0)
    assert again.upper_bound == lifted.proof.bound <= np.ldexp(lifted.upper_bound, -lifted.frame.unit)


def test_neurons_are_the_local_maxima():
    rng = np.random.default_rng(8)
    x, G, sigma = rng.standard_normal(30), rng.standard_normal((1, 30)), activation("relu")
    X_tilde = np.stack([x, np.ones(30)])
    found = find_neurons(coordinates(X_tilde), G, sigma, np.zeros((0, 2)), 5, 0)
    assert found.upper_bound is None
    angles = np.linspace(0.0, 2.0 * np.pi, 400_001)
    curve = np.abs(G @ sigma(X_tilde.T @ np.stack([np.cos(angles), np.sin(angles)])))[0]
    peaks = np.sort(curve[1:-1][(curve[1:-1] > curve[:-2]) & (curve[1:-1] >= curve[2:])])[::-1]
    np.testing.assert_allclose(found.values, peaks, rtol=1e-4)


# -- the corrective step -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss, m", [("mse", 1), ("mse", 2), ("logistic", 1), ("logistic", 2), ("cross_entropy", 3)])
@pytest.mark.parametrize("sigma", ACTIVATIONS[:5], ids=lambda sigma: f"{sigma.name}{sigma.a_minus:g}")
def test_prefix_sums_solve_the_program_with_a_row_per_point(loss, m, sigma):
    """The same program through the general code: a third coordinate that is 0 keeps it out of the plane."""
    rng = np.random.default_rng(m)
    for beta in (1.0, -0.7, 0.0):
        N = 11
        X = np.round(rng.standard_normal((N, 1 if beta else 2)), 1)
        X[0] = 0.0
        Y = rng.standard_normal((N, m))
        Y = {"mse": Y, "logistic": np.sign(Y), "cross_entropy": np.eye(m)[np.argmax(Y, axis=1)] if m > 1 else Y}[loss]
        problem = Problem(X, Y, lam=1e-2, loss=loss, activation=sigma, beta=beta)
        points = np.ascontiguousarray(problem.X_tilde.T)
        W = rng.standard_normal((6, 2))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        U = np.linalg.qr(rng.standard_normal((m, m)))[0][rng.integers(0, m, 6)]
        start = bias_only(problem, 2).neurons
        flat = correct_in_plane(problem, points, columns_for(problem, start, W, U, points))
        solid = np.column_stack([points, np.zeros(N)])
        start3 = bias_only(problem, 3).neurons
        general = correct(problem, solid, columns_for(problem, start3, np.column_stack([W, np.zeros(6)]), U, solid))
        values = objective(problem, points, flat.neurons), objective(problem, solid, general.neurons)
        assert values[0] <= values[1] * (1 + 1e-9)
        assert values[0] == pytest.approx(values[1], rel=1e-5)
        np.testing.assert_allclose(flat.G, general.G, atol=1e-4 * np.abs(general.G).max())


@pytest.mark.parametrize("loss", ["mse", "logistic"])
def test_a_thousand_points(loss):
    rng = np.random.default_rng(9)
    x = rng.uniform(-2.0, 2.0, 1000)
    y = np.sin(3.0 * x) + 0.3 * rng.standard_normal(1000)
    result = solve(Problem(x[:, np.newaxis], y if loss == "mse" else np.sign(y), lam=1e-3, loss=loss), gap=1e-6)
    check_claims(result, 1e-6)
    assert result.status == "optimal" and result.dual.rung == "plane"
    # relu(s) − relu(−s) is linear: of the neurons at one cusp all but two in all can be had from the others.
    cusps = np.round(kinks(result.network), 9)
    assert result.width <= len(set(cusps.tolist())) + 2 <= 40
    angles = np.linspace(0.0, 2.0 * np.pi, 20_001)
    W = np.column_stack([np.cos(angles), np.sin(angles)])
    heights = np.abs(result.dual.dual_scale * result.dual.G @ result.problem.activation(W @ result.problem.X_tilde).T)
    assert 2e-3 * (1 - 1e-4) <= heights.max() <= 2e-3


def test_noise_with_as_many_neurons_as_it_takes():
    """Nearly parallel and dependent neurons: what the conic solver leaves open, Newton's method closes."""
    rng = np.random.default_rng(60)
    x, y = rng.uniform(-2.0, 2.0, 40), rng.standard_normal(40)
    result = solve(Problem(x[:, np.newaxis], y, lam=1e-5), gap=1e-7)
    check_claims(result, 1e-7)
    assert result.status == "optimal" and 15 <= result.width <= 40


def test_newton_keeps_functions_feasible_and_lowers_the_objective():
    rng = np.random.default_rng(11)
    x, y = rng.uniform(-2.0, 2.0, 40), rng.standard_normal(40)
    for sigma in ACTIVATIONS[:4]:
        problem = Problem(x[:, np.newaxis], y, lam=1e-3, activation=sigma, beta=-0.8)
        points = np.ascontiguousarray(problem.X_tilde.T)
        W = rng.standard_normal((12, 2))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        U = np.where(rng.random((12, 1)) < 0.5, -1.0, 1.0)
        found = correct(problem, points, columns_for(problem, bias_only(problem, 2).neurons, W, U, points)).neurons
        polished = polish_in_plane(problem, points, found)
        assert objective(problem, points, polished) <= objective(problem, points, found) * (1 + 1e-12)
        # Each neuron keeps its pattern, up to the points on its kink, and has a slope of the objective of 0 along itself.
        heights = points @ polished.W.T
        clear = np.abs(heights) > 1e-9
        assert np.array_equal((heights > 0)[clear], polished.patterns.T[clear])
        G = -problem.loss.gradient(polished.outputs(problem, points), problem.targets)
        values = np.sign(polished.V[0]) * (sigma(heights.T) @ G[0])
        np.testing.assert_allclose(values, 2 * problem.lam, rtol=1e-7)


@pytest.mark.parametrize("N", [3, 50])
def test_interpolation_of_noise(N):
    rng = np.random.default_rng(N)
    result = solve(Problem(rng.uniform(-2.0, 2.0, (N, 1)), rng.standard_normal(N), loss="interpolate"), gap=1e-6)
    check_claims(result, 1e-6)
    assert result.status == "optimal" and result.width <= N


def test_no_proof_without_the_last_digit():
    """The bound of a proof is the one that its arrays have: a smaller claim would not be proven."""
    rng = np.random.default_rng(10)
    answer = plane_oracle(rng.standard_normal((9, 2)), rng.standard_normal((2, 9)), activation("abs"), 0.0)
    fake = replace(answer.proof, bound=answer.proof.bound * (1 - 1e-9))
    assert plane_oracle(fake.points, fake.G, activation("abs"), 0.0).upper_bound > fake.bound
