"""The adapter to Clarabel: every cone, every ending, and what a breakdown of the solver leaves of the caller."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from cpcert import Problem
from cpcert.conic import ENDINGS, Cone, Ending, Rows, solve_conic
from cpcert.frank_wolfe.active_set import Neurons, columns_for
from cpcert.frank_wolfe.corrective import correct


def rows(A, b, cone, size=None):
    return Rows(sparse.csc_matrix(np.atleast_2d(np.asarray(A, float))), np.asarray(b, float), cone, size)


def nothing(n):
    return sparse.csc_matrix((n, n))


def test_a_projection_onto_a_line():
    # min ½‖x‖² − ⟨(3, 1), x⟩ on x_0 = x_1: x = (2, 2), and the multiplier is (3, 1) − x = (1, −1) on the row x_0 − x_1.
    found = solve_conic(sparse.identity(2, format="csc"), np.array([-3.0, -1.0]), [rows([[1, -1]], [0], Cone.ZERO)])
    assert found.ending is Ending.OPTIMAL
    np.testing.assert_allclose(found.x, [2.0, 2.0], atol=1e-8)
    np.testing.assert_allclose(found.z, [1.0], atol=1e-8)


def test_only_the_upper_triangle_counts():
    P = sparse.csc_matrix(np.array([[2.0, 1.0], [0.0, 2.0]]))
    found = solve_conic(P, np.array([-3.0, -3.0]), [rows(-np.eye(2), [0, 0], Cone.NONNEGATIVE)])
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=1e-8)


def test_second_order_cones_share_one_block():
    # min t_0 + t_1 with ‖(3, 4)‖ ≤ t_0 and ‖(5, 12)‖ ≤ t_1.
    A = np.zeros((6, 2))
    A[0, 0] = A[3, 1] = -1.0
    found = solve_conic(nothing(2), np.ones(2), [rows(A, [0, 3, 4, 0, 5, 12], Cone.SECOND_ORDER, 3)])
    np.testing.assert_allclose(found.x, [5.0, 13.0], atol=1e-8)


def test_exponential_cones_share_one_block():
    # min p + q with e^1 ≤ p, e^−2 ≤ q.
    A = np.zeros((6, 2))
    A[2, 0] = A[5, 1] = -1.0
    found = solve_conic(nothing(2), np.ones(2), [rows(A, [1, 1, 0, -2, 1, 0], Cone.EXPONENTIAL)])
    np.testing.assert_allclose(found.x, np.exp([1.0, -2.0]), atol=1e-8)


def test_no_answer_is_not_passed_off_as_one():
    # x ≤ −1 and x ≥ 1; then min x without an end.
    empty = solve_conic(nothing(1), np.ones(1), [rows([[1.0], [-1.0]], [-1.0, -1.0], Cone.NONNEGATIVE)])
    endless = solve_conic(nothing(1), np.ones(1), [rows([[1.0]], [1.0], Cone.NONNEGATIVE)])
    assert empty is None or empty.ending is Ending.INFEASIBLE
    assert endless is None or endless.ending is Ending.UNBOUNDED


def test_a_deadline_stops_the_solver_where_it_is():
    late = solve_conic(nothing(1), np.ones(1), [rows([[-1.0]], [0.0], Cone.NONNEGATIVE)], time.monotonic() - 1.0)
    assert late is None or late.ending is Ending.STOPPED


@pytest.mark.parametrize("fatal", [False, True])
def test_a_panic_of_the_solver_is_no_solution_and_a_keyboard_interrupt_is_one_to_be_raised(monkeypatch, fatal):
    import clarabel

    class PanicException(BaseException):
        pass

    def broken(*arguments):
        raise KeyboardInterrupt if fatal else PanicException

    monkeypatch.setattr(clarabel, "DefaultSolver", broken)
    program = (nothing(1), np.ones(1), [rows([[-1.0]], [0.0], Cone.NONNEGATIVE)])
    if fatal:
        with pytest.raises(KeyboardInterrupt):
            solve_conic(*program)
    else:
        assert solve_conic(*program) is None


@pytest.mark.parametrize("x, z", [([np.nan], [1.0]), ([0.0], [np.inf])])
def test_a_number_that_is_not_finite_is_no_solution(monkeypatch, x, z):
    import clarabel

    found = SimpleNamespace(solve=lambda: SimpleNamespace(x=x, z=z, status="Solved"))
    monkeypatch.setattr(clarabel, "DefaultSolver", lambda *arguments: found)
    assert solve_conic(nothing(1), np.ones(1), [rows([[-1.0]], [0.0], Cone.NONNEGATIVE)]) is None


def test_every_status_of_the_solver_is_known():
    import clarabel

    statuses = {name for name in dir(clarabel.SolverStatus) if name[0] != "_"}
    assert set(ENDINGS) == statuses - {"CallbackTerminated", "InsufficientProgress", "NumericalError", "Unsolved"}


def test_an_exact_fit_uses_only_functions_of_neurons():
    # Neurons of no mass whose directions left the cones of their patterns: with the old patterns the fit would be false.
    rng = np.random.default_rng(0)
    problem = Problem(rng.standard_normal((6, 2)), rng.standard_normal((6, 2)), None, "interpolate", "abs")
    points = problem.X_tilde.T
    W = rng.standard_normal((30, points.shape[1]))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    dust = Neurons(W, np.full((2, 30), 1e-20), np.zeros(2), rng.random((30, 6)) < 0.5)
    found = correct(problem, points, columns_for(problem, dust, W[:0], np.zeros((0, 2)), points))
    np.testing.assert_allclose(found.neurons.outputs(problem, points), problem.targets, atol=1e-9)
