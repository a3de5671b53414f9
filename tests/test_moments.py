"""The moment relaxation: bounds below the optimum, exact certificates, and what `solve` makes of it."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from certificates import make, moment_bound
from checker_moments import in_region, quadratic_form, semidefinite
from enumeration import optimum
from kept_certificates import FOLDER as KEPT

from cpcert import Problem, solve
from cpcert.certificate import check
from cpcert.certificate.build import certify
from cpcert.data.sources import Digits
from cpcert.frank_wolfe import large
from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.bounds import dual_value
from cpcert.frank_wolfe.steps import interpolating_start, objective
from cpcert.frank_wolfe.training import MOVING_STEPS, train
from cpcert.moments.forms import Forms
from cpcert.moments.interior import finish
from cpcert.moments.relaxation import Relaxation, candidates, project_on_cone
from cpcert.moments.repair import estimate
from cpcert.oracle.coordinates import coordinates
from cpcert.training.batch import Trial, span_of_points
from cpcert.training.optimiser import Settings, Training

SIGMAS = (
    ("relu", None, 1.0, 0.0),
    ("leaky_relu", 0.3, 1.0, 0.3),
    ("leaky_relu", -0.4, 1.0, -0.4),
    ("abs", None, 1.0, -1.0),
)


def small(seed, outputs=1):
    """A small problem of any loss, activation and β; degenerate points and sizes far from 1 among them."""
    rng = np.random.default_rng([77, seed, outputs])
    N, n0 = int(rng.integers(3, 7)), int(rng.integers(1, 4))
    X = rng.standard_normal((N, n0)) * 10.0 ** rng.uniform(-2, 2)
    kind = rng.integers(0, 6)
    if kind == 0:
        X[1] = 2.0 * X[0]
    if kind == 1:
        X[0] = 0.0
    if kind == 2:
        X = np.round(2.0 * X / np.abs(X).max())
    if kind == 3:
        X = X * 10.0 ** rng.uniform(-3, 3, size=(N, 1))
    losses = ("mse", "logistic", "interpolate") if outputs == 1 else ("mse", "logistic", "interpolate", "cross_entropy")
    loss = losses[seed % len(losses)]
    name, slope, _, _ = SIGMAS[(seed // len(losses)) % 4]
    Y = rng.standard_normal((N, outputs))
    if loss == "logistic":
        Y = np.where(Y < 0.0, -1.0, 1.0)
    if loss == "cross_entropy":
        Y = np.eye(outputs)[rng.integers(0, outputs, N)] if seed % 3 else rng.dirichlet(np.ones(outputs), N)
    lam = None if loss == "interpolate" else float(10.0 ** rng.uniform(-3, -0.5))
    beta = float(rng.choice([0.0, 1.0, -0.5, 3.0]))
    return Problem(X, Y, lam=lam, loss=loss, activation=name, slope=slope, beta=beta)


def interval(problem):
    """The optimum of one output by enumeration."""
    a = problem.activation
    return optimum(
        problem.X, problem.Y[:, 0], loss=problem.loss.name, a_plus=a.a_plus, a_minus=a.a_minus, beta=problem.beta,
        lam=problem.lam,
    )  # fmt: skip


def one_output(seed):
    problem = small(seed)
    if not problem.X_tilde.any():
        return None
    dual, exact = moment_bound(problem, 30), interval(problem)
    assert dual is None or dual.value <= exact.upper * (1.0 + 1e-9) + 1e-12, (seed, dual.value, exact)
    return None if dual is None or not 0.0 < exact.upper < np.inf else 1.0 - dual.value / exact.upper


def several_outputs(seed):
    problem = small(seed, 2 + seed % 3)
    dual, result = moment_bound(problem, 30), solve(problem, gap=1e-2, time_limit=2, max_iterations=3)
    if dual is not None and result.upper is not None:
        assert dual.value <= result.upper, (seed, dual.value, result.upper)


def test_bounds_are_below_the_optimum_of_one_output():
    gaps = [gap for gap in map(one_output, range(8)) if gap is not None]
    # A bound that is always 0 would pass, too.
    assert sum(gap < 0.15 for gap in gaps) >= 4


def test_bounds_are_below_the_networks_of_several_outputs():
    for seed in range(4):
        several_outputs(seed)


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(8))
def test_five_hundred_bounds_are_below_the_optimum(part):
    for seed in range(8 + part, 524, 8):
        one_output(seed)
    for seed in range(4 + part, 104, 8):
        several_outputs(seed)


def test_the_map_of_the_forms_is_an_isometry():
    rng = np.random.default_rng(0)
    left, singular, _ = np.linalg.svd(rng.standard_normal((7, 3)), full_matrices=False)
    for m, signed, sign in ((1, True, 1.0), (1, True, -1.0), (2, False, 1.0)):
        forms = Forms(left * singular, m, signed)
        Y, M = rng.standard_normal((forms.order, 4)), rng.standard_normal((forms.rows, 4))
        assert np.sum(forms.apply(Y, sign) * M) == pytest.approx(np.sum(Y * forms.transpose(M, sign)), rel=1e-12)
        assert np.linalg.norm(forms.apply(Y, sign)) == pytest.approx(np.linalg.norm(Y), rel=1e-12)
        w = rng.standard_normal((4, 3))
        nu = np.linalg.norm(w, axis=1)
        v = rng.standard_normal((m, 4))
        v = sign * nu[np.newaxis] if signed else v * nu / np.linalg.norm(v, axis=0)
        rows = forms.apply(forms.coordinates(nu, v, w), sign)
        inner = forms.points @ w.T
        expected = [nu[np.newaxis], v, w.T, np.maximum(inner, 0), np.maximum(-inner, 0)]
        expected.append(np.outer(forms.lengths, nu) - np.abs(inner))
        assert np.allclose(rows, np.concatenate(expected), atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_slope_of_the_augmented_lagrangian(seed):
    problem = small(seed + 100, 1 + seed % 3)
    points = coordinates(problem.X_tilde).points
    rng = np.random.default_rng(seed)
    relaxation = Relaxation(
        problem, points, rng.standard_normal((5, points.shape[1])), rng.standard_normal((problem.m, 5)), seed
    )
    relaxation.with_cone = seed % 2 == 0
    relaxation.products += np.abs(rng.standard_normal())
    relaxation.cone[0][:], relaxation.cone[1][:] = 0.3, 0.1 * rng.standard_normal(relaxation.cone[1].shape)
    relaxation.targets_multiplier[:] = rng.standard_normal(relaxation.targets_multiplier.shape)
    dR, db = rng.standard_normal(relaxation.R.shape), rng.standard_normal(problem.m)
    found = relaxation.evaluate(relaxation.R, relaxation.b)
    step = 1e-6
    ahead = relaxation.evaluate(relaxation.R + step * dR, relaxation.b + step * db).value
    behind = relaxation.evaluate(relaxation.R - step * dR, relaxation.b - step * db).value
    slope = float(np.vdot(found.R_slope, dR) + found.b_slope @ db)
    assert (ahead - behind) / (2.0 * step) == pytest.approx(slope, rel=1e-3, abs=1e-6 * abs(found.value))


def test_projection_on_the_cone():
    rng = np.random.default_rng(1)
    along, across = 2.0 * rng.standard_normal(200), rng.standard_normal((200, 3))
    alpha, beta = project_on_cone(along, across)
    norms = np.linalg.norm(beta, axis=1)
    assert np.all(norms <= alpha * (1.0 + 1e-12) + 1e-12)
    # Moreau: the rest lies in the polar cone and is orthogonal to the projection.
    assert np.all(np.linalg.norm(across - beta, axis=1) <= alpha - along + 1e-12)
    assert np.allclose((along - alpha) * alpha + np.sum((across - beta) * beta, axis=1), 0.0, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 4, 5])
def test_numpy_and_torch_do_the_same(seed):
    """One code for both; only sums are taken in another order."""
    problem = small(seed, 1 + seed % 3)
    points = coordinates(problem.X_tilde).points
    rng = np.random.default_rng(seed)
    W, V = rng.standard_normal((5, points.shape[1])), rng.standard_normal((problem.m, 5))
    here, there = (Relaxation(problem, points, W, V, seed, device) for device in (None, "cpu"))
    for relaxation in (here, there):
        relaxation.update(relaxation.evaluate(relaxation.R, relaxation.b))
    one, other = (relaxation.evaluate(relaxation.R, relaxation.b) for relaxation in (here, there))
    assert one.value == pytest.approx(other.value, rel=1e-12)
    for a, b in ((one.R_slope, other.R_slope), (one.Z_slope, other.Z_slope), (one.b_slope, other.b_slope)):
        assert np.allclose(a, b.numpy(), rtol=1e-9, atol=1e-12 * np.abs(a).max())
    for (low, vector), (least, other_vector) in zip(here.curvature(one), there.curvature(other), strict=True):
        assert low == pytest.approx(least, rel=1e-9, abs=1e-12) and len(vector) == len(other_vector)
    here.adapt(0.1, 0.1, here.curvature(one))
    there.adapt(0.1, 0.1, there.curvature(other))
    ends = [relaxation.candidate(relaxation.step()) for relaxation in (here, there)]
    assert ends[0].objective == pytest.approx(ends[1].objective, rel=0.1)
    assert all(np.isfinite(part.products).all() for end in ends for part in end.parts)
    assert [m.shape for m in here.moments()] == [m.shape for m in there.moments()]


def test_the_relaxation_needs_numpy_alone():
    """It runs where torch is, and neither numba nor a conic solver."""
    code = "import sys, cpcert.moments.relaxation, cpcert.moments.repair; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numba", "clarabel", "cvxpy", "torch", "yaml"}.isdisjoint(loaded)


def interior_at(problem, steps):
    """The interior-point method after so many steps of the first-order method, and the dual value that it starts from."""
    points = coordinates(problem.X_tilde).points
    neurons = train(problem, points, 20, 0, np.inf)
    judge, count = large._Judge(problem, points), iter(range(steps))
    relaxation = Relaxation(problem, points, neurons.W, neurons.V)
    for candidate in candidates(relaxation, judge, lambda: next(count, None) is None):
        state = candidate, judge.draft, relaxation.moments()
    program = large._interior(problem, coordinates(problem.X_tilde), *state)
    return program, dual_value(problem, program.G), objective(problem, points, neurons)


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_interior_point_method_is_feasible_all_the_time_and_ends_at_the_optimum(outputs):
    rng = np.random.default_rng(outputs)
    problem = Problem(rng.standard_normal((16, 4)), rng.standard_normal((16, outputs)), lam=1e-2)
    program, first, trained = interior_at(problem, 20)
    candidate, left = None, np.inf
    for number, found in enumerate(finish(program, lambda: False)):
        candidate, left = found
        assert number < 80
        for block in program.blocks:
            assert np.linalg.eigvalsh(block.S)[0] > 0.0 and block.L.min() > 0.0
    value = dual_value(problem, program.G)
    assert first < value < trained and left < 2e-4 * value
    # Nothing is lost in the repair of what is feasible.
    draft = estimate(coordinates(problem.X_tilde).points, candidate, problem.activation)
    assert draft.bound < program.two_lam * (1.0 + 1e-3)


def test_certificates_hold_in_rationals():
    """S of kept files and of a new one, from SPEC.md, is semidefinite by elimination: the factor is not needed."""
    for name in ("moments", "moments-cone", "moments-two", "moments-regions", "moments-regions-two"):
        kept = KEPT / f"{name}.cpcert"
        header, arrays = check.parse(kept.read_bytes() if kept.exists() else make(name).content)
        problem = check.Problem(header["problem"], {key: arrays.pop(key) for key in ("X", "Y")})
        lower = header["lower"]
        split = "regions" in name
        assert lower["oracle"] == {"kind": "regions" if split else "moments"}
        G, g = check.matrix(arrays["G"], problem.m, problem.N, "G")
        exponents = list(arrays["exponents"])
        shared = check.Moments(problem, check.Space(problem.X, problem.x), G, g, {"exponents": arrays["exponents"]})
        lengths = [v * check.power(-shared.p) for v in shared.lengths]
        points = [[v * check.power(problem.x - e) for v in x] for x, e in zip(problem.X, exponents, strict=True)]
        weights = [[v * check.power(g + e) for v, e in zip(row, exponents, strict=True)] for row in G]
        stream = iter(arrays["proof"])
        size = 3 * problem.N + 1
        regions = [(sign, (0,) * problem.N) for sign in ((-1, 1) if problem.m == 1 else (0,))]
        while regions:
            sign, signs = regions.pop()
            k = next(stream) if split else 0
            if k:
                assert signs[k - 1] == 0
                regions += [(sign, (*signs[: k - 1], s, *signs[k:])) for s in (-1, 1)]
                continue
            unit = check.power(-next(stream))
            c_nu, c_v, c_w = next(stream), 0 if sign else next(stream), next(stream)
            assert (c_nu + c_v + c_w) * unit <= lower["bound"]
            linear = [0 if s else next(stream) * unit for s in signs]
            products, cones, at = [], [], -1
            for _ in range(next(stream)):
                at += next(stream) + 1
                products.append((*divmod(at, size), next(stream) * unit))
            at = -1
            for _ in range(next(stream)):
                at += next(stream) + 1
                cones.append((at, next(stream) * unit, [next(stream) * unit for _ in range(problem.n)]))
            assert all(v >= 0 for *_, v in products)
            assert all(sum(v * v for v in beta) <= alpha * alpha for _, alpha, beta in cones)
            S = quadratic_form(
                points, lengths, weights, (problem.a_plus, problem.a_minus), sign, (c_nu * unit, c_v * unit, c_w * unit),
                linear, products, cones,
            )  # fmt: skip
            S = in_region(S, points, signs)
            assert semidefinite(S), (name, sign)
            order = len(S)
            for _ in range(1 + order * (order + 1) // 2):
                next(stream)
        assert next(stream, None) is None


def test_solve_proves_an_interval_for_images():
    """Two classes of digits, 64 pixels: no search over signs or directions gets below a gap of one half here."""
    X, Y, *_ = Digits(source="digits", points=60).arrays(Path())
    problem = Problem(X, Y, lam=1e-2)
    assert large.suits(problem, coordinates(problem.X_tilde).points)
    lowers = []

    def enough(record):
        lowers.append(record.lower)
        return record.gap is not None and record.gap < 0.4

    result = solve(problem, time_limit=120, callback=enough)
    assert result.status == "interrupted" and result.gap < 0.4
    proven = [value for value in lowers if value is not None]
    assert proven == sorted(proven) and len(proven) > 3
    certificate = certify(result)
    assert certificate is not None and certificate.lower == pytest.approx(result.lower, rel=1e-6)


def test_networks_are_as_good_as_those_of_the_trainer():
    """As many networks, widths and steps for both, on a problem with many minima on kinks."""
    X, Y, *_ = Digits(source="digits", points=60).arrays(Path())
    problem = Problem(X, Y, lam=1e-2)
    points, steps, count, width = coordinates(problem.X_tilde).points, 2000, 2, 40
    ours = [objective(problem, points, train(problem, points, width, seed, np.inf, steps)) for seed in range(count)]
    inside, basis = span_of_points(problem)
    trials = [Trial(width, seed, problem.lam) for seed in range(count)]
    training = Training(inside, trials, Settings(epochs=steps, descent=0, polish=MOVING_STEPS), "cpu", basis)
    while not training.done:
        training.advance()
    assert min(ours) <= min(network.loss(problem) for network in training.networks()) * (1.0 + 1e-3)


def test_the_relaxation_leaves_time_for_its_certificate():
    X, Y, *_ = Digits(source="digits", points=60).arrays(Path())
    problem = Problem(X, Y, lam=1e-2)
    assert large.suits(problem, coordinates(problem.X_tilde).points)
    result = solve(problem, time_limit=3, certify_by=time.monotonic())
    assert "M" not in [record.step for record in result.trace]


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e200, np.inf, np.nan])
def test_numbers_that_floats_do_not_hold_end_the_relaxation_quietly(size):
    problem = small(0)
    space = coordinates(problem.X_tilde)
    W = np.eye(space.points.shape[1])
    start = Neurons(W, np.full((1, len(W)), size), np.zeros(1), W @ space.points.T > 0.0)
    calls = iter(range(6))
    with np.errstate(all="ignore"):
        found = list(large.moment_bounds(problem, space, start, lambda: 1.0, lambda _: next(calls, None) is None, 0))
    upper = interval(problem).upper
    assert all(bound.value <= upper * (1.0 + 1e-9) for bound in found)


@pytest.mark.parametrize("error", [np.linalg.LinAlgError, OverflowError, ValueError])
def test_a_failure_of_linear_algebra_costs_no_bound(monkeypatch, error):
    """`solve` goes on with the bounds so far, and with its searches."""
    estimate, calls = large.estimate, []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) > 8:
            raise error
        return estimate(*arguments)

    monkeypatch.setattr(large, "estimate", failing)
    assert moment_bound(small(0), 12) is not None and len(calls) == 9


def test_a_start_that_is_late_is_none():
    """Interpolation begins with a conic program that can take longer than there is time."""
    rng = np.random.default_rng(0)
    problem = Problem(rng.standard_normal((12, 4)), rng.standard_normal(12), loss="interpolate")
    points = coordinates(problem.X_tilde).points
    assert interpolating_start(problem, points, 0, -np.inf) is None
    assert interpolating_start(problem, points, 0) is not None
    assert solve(problem, time_limit=1e-9).status == "time_limit"
