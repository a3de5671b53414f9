"""A Problem is validated, immutable, and the same mathematics gives the same hash."""

import dataclasses
import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpcert.activations import Activation
from cpcert.problem import InputError, Problem

X = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.25]])
Y = np.array([1.0, -1.0, 0.5])


def test_rows_are_points_outside_and_columns_inside():
    problem = Problem(X, Y, lam=0.1, beta=-2.0)
    assert (problem.N, problem.n0, problem.m, problem.n) == (3, 2, 1, 3)
    np.testing.assert_array_equal(problem.X_tilde, [[0.0, 2.0, 0.5], [1.0, -1.0, 0.25], [-2.0, -2.0, -2.0]])
    np.testing.assert_array_equal(problem.targets, [[1.0, -1.0, 0.5]])


def test_without_bias_there_is_no_extra_row():
    problem = Problem(X, Y, lam=0.1, beta=0)
    assert problem.n == problem.n0 == 2
    np.testing.assert_array_equal(problem.X_tilde, X.T)


def test_names_become_objects():
    problem = Problem(X, Y, lam=1, activation="leaky_relu", slope=0.25)
    assert problem.activation == Activation("leaky_relu", 1.0, 0.25)
    assert problem.loss.name == "mse"
    assert isinstance(problem.lam, float)


def test_nothing_changes_a_problem():
    mine = X.copy()
    problem = Problem(mine, Y, lam=0.1)
    before = problem.sha256
    mine[0, 0] = 99.0
    assert problem.X[0, 0] == 0.0
    for array in (problem.X, problem.Y, problem.X_tilde, problem.targets):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.lam = 2.0
    assert Problem(problem.X, problem.Y, lam=0.1).sha256 == before


def test_replace_makes_a_valid_variation():
    problem = Problem(X, Y, lam=0.1, activation="leaky_relu", slope=0.25, beta=0)
    other = dataclasses.replace(problem, lam=0.2)
    assert other.lam == 0.2
    assert other.activation == problem.activation
    assert other.sha256 != problem.sha256
    fitted = dataclasses.replace(Problem(X, Y, loss="interpolate"), beta=2.0)
    assert fitted.lam == 1.0


def test_logistic_targets_are_mapped_to_signs():
    problem = Problem(X, [0, 1, 1], lam=0.1, loss="logistic")
    np.testing.assert_array_equal(problem.Y, [[-1.0], [1.0], [1.0]])


def test_the_hash_is_the_documented_one():
    problem = Problem([[1.0, 2.0]], [[0.5]], lam=0.25, beta=0.0)
    header = (
        b"cpcert-problem 1 loss=mse a_plus=0x1.0000000000000p+0 a_minus=0x0.0p+0 "
        b"lambda=0x1.0000000000000p-2 beta=0x0.0p+0 depth=2 N=1 n0=2 m=1\n"
    )
    assert problem.sha256 == hashlib.sha256(header + struct.pack("<3d", 1.0, 2.0, 0.5)).hexdigest()


def test_the_hash_ignores_the_name_and_the_sign_of_zero_and_nothing_else():
    base = {"X": X, "Y": Y, "lam": 0.1}
    reference = Problem(**base).sha256
    assert Problem(**base, name="other").sha256 == reference
    assert Problem(np.where(X == 0, -0.0, X), Y, lam=0.1).sha256 == reference
    assert Problem(np.asfortranarray(X), Y.reshape(3, 1), lam=np.float32(0.5)).lam == 0.5
    changed = [
        {**base, "X": np.where(X == 0.25, np.nextafter(0.25, 1), X)},
        {**base, "Y": -Y},
        {**base, "lam": np.nextafter(0.1, 1)},
        {**base, "beta": -1.0},
        {**base, "beta": 0},
        {**base, "depth": 3},
        {**base, "activation": "abs"},
        {**base, "activation": "leaky_relu", "slope": 0.5},
        {"X": X, "Y": Y, "loss": "interpolate"},
    ]
    hashes = [Problem(**arguments).sha256 for arguments in changed]
    assert len({reference, *hashes}) == len(changed) + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lam": 0}, r"lambda: is 0\.0; give the weight"),
        ({"lam": -1.0}, r"lambda: is -1\.0"),
        ({"lam": np.nan}, "lambda: is nan"),
        ({"lam": "0.1"}, "lambda: '0.1' is not a number"),
        ({"lam": None}, "lambda: is missing, and the loss mse needs it"),
        ({"lam": 0.1, "loss": "interpolate"}, "lambda: is 0.1, but interpolate has no lambda"),
        ({"lam": True}, "lambda: True is not a number"),
        ({"lam": 1e-300}, "lambda: is 1e-300; its size must lie between"),
        ({"beta": np.inf}, "beta: is inf"),
        ({"beta": None}, "beta: None is not a number"),
        ({"depth": 1}, r"depth: is 1; give the number of weight matrices, an integer >= 2"),
        ({"depth": 2.0}, "depth: 2.0 is not an integer"),
        ({"name": ""}, "name: '' is not a name"),
        ({"loss": "mae"}, "loss: 'mae' is unknown"),
        ({"activation": "tanh"}, "activation: 'tanh' is unknown"),
        ({"activation": "leaky_relu"}, "slope: leaky_relu needs"),
        ({"slope": 0.1}, "slope: relu takes no slope"),
        ({"activation": Activation("relu", 1.0, 0.0), "slope": 0.1}, "slope: an Activation already has its slopes"),
        ({"X": [[1.0, 2.0], [3.0, np.nan], [0.0, 0.0]]}, "X: row 1, column 1 is nan; every entry must be a finite"),
        ({"X": [[1.0, 2.0], [3.0, 4.0], [-np.inf, 0.0]]}, "X: row 2, column 0 is -inf"),
        ({"X": [[1.0, 2.0], [3.0, 4.0], [1e99, 0.0]]}, "X: row 2, column 0 is 1e\\+99; an entry must be at most"),
        (
            {"X": [[1.0, 2.0], [3.0, 4.0], [1e-99, 0.0]]},
            "X: row 2, column 0 is 1e-99; a nonzero entry must be at least",
        ),
        ({"X": [1.0, 2.0, 3.0]}, r"X: has shape \(3,\); rows are points, so one feature is X.reshape"),
        ({"X": np.zeros((3, 0))}, r"X: has shape \(3, 0\); give at least one row"),
        ({"X": [], "Y": []}, "X: has shape"),
        ({"X": np.zeros((2, 2, 2))}, r"X: has shape \(2, 2, 2\)"),
        ({"X": [[1.0], [2.0, 3.0], [4.0]]}, "X: rows differ in length"),
        ({"X": [["a"], ["b"], ["c"]]}, "X: holds entries of type"),
        ({"X": [[1j], [2], [3]]}, "X: holds entries of type complex128"),
        ({"X": [[None], [2], [3]]}, "X: holds an entry that is not a real number|X: row 0, column 0 is nan"),
        ({"X": np.ma.masked_array([[1.0], [2.0], [3.0]], [[True], [False], [False]])}, "X: is a masked array"),
        ({"Y": [1.0, 2.0]}, r"Y: has shape \(2,\), and X has 3 points; give Y 3 rows"),
        ({"Y": [[1.0, 2.0, 3.0]]}, "Y: has shape .* it looks transposed"),
        ({"Y": [1.0, np.nan, 2.0]}, "Y: entry 1 is nan"),
        ({"Y": np.zeros((3, 0))}, r"Y: has shape \(3, 0\)"),
        ({"Y": 3.0}, r"Y: has shape \(\)"),
        ({"loss": "logistic", "Y": [1.0, 2.0, 0.0]}, "Y: .*2.0"),
        ({"loss": "cross_entropy", "Y": [[0.5, 0.5], [1.0, 0.0], [0.5, 0.4]]}, "Y: "),
        ({"loss": "cross_entropy"}, "Y: cross_entropy needs"),
    ],
)
def test_a_wrong_argument_is_named_with_what_would_be_right(arguments, message):
    with pytest.raises(InputError, match=message):
        Problem(**{"X": X, "Y": Y, "lam": 0.1, **arguments})


def test_a_sparse_matrix_is_named():
    from scipy.sparse import csr_array

    with pytest.raises(InputError, match=r"X: is a sparse matrix; give X.toarray\(\)"):
        Problem(csr_array(X), Y, lam=0.1)


@given(st.lists(st.floats(width=64), min_size=1, max_size=4), st.floats(), st.floats())
def test_every_number_is_accepted_as_it_is_or_refused(column, lam, beta):
    entries = np.array(column)[:, np.newaxis]
    fits = [v == 0 or 1e-60 <= abs(v) <= 1e60 for v in (*column, beta)]
    try:
        problem = Problem(entries, column, lam=lam, beta=beta)
    except InputError:
        assert not (all(fits) and 1e-60 <= lam <= 1e60)
    else:
        assert all(fits)
        np.testing.assert_array_equal(problem.X, entries)
        assert (problem.lam, problem.beta) == (lam, beta)
        assert np.all(np.isfinite(problem.X_tilde))
