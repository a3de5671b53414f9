"""The dictionary step: optimality conditions of its lasso, and problems of hundreds of points solved with it."""

from __future__ import annotations

import numpy as np
import pytest

from cpcert import Problem, solve
from cpcert.certificate import check
from cpcert.certificate.build import certify
from cpcert.frank_wolfe import dictionary, steps

TARGETS = {"mse": (1, 3), "logistic": (1, 2), "cross_entropy": (3,)}
CASES = [(loss, m, beta) for loss, ms in TARGETS.items() for m in ms for beta in (0.0, 1.0)]


def problem_of(loss, m, beta, N=60, lam=1e-2):
    rng = np.random.default_rng(4)
    X = rng.standard_normal((N, 3))
    Y = np.maximum(X @ rng.standard_normal((3, m)), 0.0) + 0.2 * rng.standard_normal((N, m))
    if loss == "logistic":
        Y = np.where(Y.mean(axis=0) < Y, 1.0, -1.0)
    if loss == "cross_entropy":
        Y = np.eye(m)[Y.argmax(axis=1)]
    return Problem(X, Y, lam=lam, loss=loss, beta=beta)


@pytest.mark.parametrize("loss, m, beta", CASES)
def test_the_lasso_is_solved(loss, m, beta):
    problem = problem_of(loss, m, beta)
    rng = np.random.default_rng(5)
    W = rng.standard_normal((30, problem.n))
    W[5] = W[4] + 1e-3 * rng.standard_normal(problem.n)
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    features = problem.activation(W @ problem.X_tilde)
    V, b = dictionary.lasso(problem, features, np.zeros((m, 30)), np.zeros(m))
    R = problem.loss.gradient(V @ features + beta * b[:, np.newaxis], problem.targets)
    pull = -features @ R.T  # (30, m)
    size, two_lam = np.linalg.norm(V, axis=0), 2.0 * problem.lam
    near = 1e-3 if m > 1 and loss != "mse" else 1e-5  # where the curvature is only bounded
    assert 0 < (size > 0.0).sum() < 30
    assert np.linalg.norm(pull, axis=1).max() <= two_lam * (1.0 + near)
    on = size > 1e-6 * size.max()
    assert np.allclose(pull[on], two_lam * (V / np.where(size > 0.0, size, 1.0)).T[on], atol=near * two_lam)
    assert np.allclose(beta * R.sum(axis=1) + two_lam * b, 0.0, atol=near * two_lam)


def test_a_step_after_the_deadline_is_cut_short(monkeypatch):
    problem = problem_of("logistic", 1, 1.0, N=steps.MANY_POINTS)
    points, none = problem.X_tilde.T, np.zeros((0, problem.n))
    counts = []
    monkeypatch.setattr(dictionary, "SMALL_RANK", 0)
    monkeypatch.setattr(dictionary, "polish", lambda *given, **more: counts.append(1))
    start = steps.bias_only(problem, problem.n)
    now = steps.corrective_step(problem, points, start, none, np.zeros((0, 1)), deadline=0.0)
    assert now.step == "D" and not counts
    assert steps.objective(problem, points, now.neurons) <= steps.objective(problem, points, start.neurons)


@pytest.mark.parametrize("loss, m", [("mse", 1), ("logistic", 1), ("cross_entropy", 3)])
def test_hundreds_of_points_are_solved_and_certified(loss, m):
    problem = problem_of(loss, m, 0.0, N=320, lam=2e-2)
    result = solve(problem, gap=2e-2, time_limit=100.0)
    assert result.status == "optimal" and result.dual.rung == "spatial"
    assert "D" in {record.step[0] for record in result.trace}
    certificate = certify(result)
    assert check.check(certificate.content)["lower"] == certificate.lower
    assert certificate.gap <= 2.1e-2
