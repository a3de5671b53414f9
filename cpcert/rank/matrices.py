"""Matrices with exact entries: files, and the arrays that stand for them.

`.json`: {"A": rows of integers, "p/q" strings or floats}; pairs {"K": …, "K_sigma": …, "beta": 0} with optionally
"activation" and "slope". Text and arrays: `matrix_files.py`. A float means its nearest float64, exactly; integers and
"p/q" are what they say. A bound is a statement about the matrix exactly as given.

Entries that were rounded before: a Gram matrix of floats may have the eigenvalue −1e−16, and then it is not completely
positive, exactly. A refutation is a matrix S with ⟨S, A⟩ < 0 ≤ ⟨S, C⟩ for all completely positive C. With r the
rounding of an entry, no matrix within it is refuted by S unless ⟨S, A⟩ + r Σ|S_ij| < 0; otherwise the answer comes with
that hint.
"""

from __future__ import annotations

import difflib
import json
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction
from numbers import Rational
from pathlib import Path
from typing import Any

import numpy as np

from cpcert.activations import Activation
from cpcert.activations import activation as named_activation
from cpcert.errors import InputError
from cpcert.numbers import parse_rational
from cpcert.rank.matrix_market import LARGEST_ORDER
from cpcert.rank.proofs import Number

Rows = list[list[Number]]
# Searches work in float64, with products of entries.
LARGEST, SMALLEST = 10**150, Fraction(1, 10**150)
# Entries [i][j] and [j][i] that differ by more than this, relative to the largest entry, differ by more than rounding.
ROUNDED = Fraction(1, 10**6)


@dataclass(frozen=True)
class ExactMatrix:
    """A symmetric matrix with rational entries; `floats`: some of them were given as floating-point numbers.

    rounding: how far an entry may be from what it was before it was written down; 0 if all entries are exact.
    """

    name: str
    rows: Rows
    floats: bool
    rounding: Fraction = Fraction(0)
    notes: tuple[str, ...] = ()


def load_matrix(path: str, symmetrise: bool = False, gram: bool = True) -> ExactMatrix:
    """Read MATRIX. `symmetrise`: take (A + Aᵀ)/2 of a matrix that is symmetric but for rounding. `gram`: it should be A = BᵀB.

    Raises InputError: not readable, not square, not symmetric, a negative diagonal, not a number.
    """
    file = Path(path)
    last_place = Fraction(0)
    notes: tuple[str, ...] = ()
    if file.suffix.lower() == ".json":
        content = _json(file)
        if not isinstance(content, dict) or "A" not in content:
            raise InputError(f'A: is missing in {path}; give {{"A": [[2, 1], [1, 2]]}}')
        _no_other_keys(content, ("A", "name", "source"), path)
        values = content["A"]
    else:
        from cpcert.rank.matrix_files import read_matrix

        values, last_place, notes = read_matrix(file)
    read = exact_matrix(values, file.stem, symmetrise, gram)
    return replace(
        read, rounding=max(last_place, read.rounding) if read.floats else Fraction(0), notes=(*notes, *read.notes)
    )


def exact_matrix(values: Any, name: str, symmetrise: bool = False, gram: bool = True) -> ExactMatrix:
    """The matrix of the numbers in `values`, a list of rows, an array, a data frame or a sympy matrix (n, n).

    symmetrise, gram, and the errors: as in `load_matrix`.
    """
    rows, floats, moved = exact_rows(_bounded(values, "A"), "A", symmetrise)
    for i, row in enumerate(rows):
        if gram and row[i] < 0:
            raise InputError(f"A: the diagonal entry {i} is negative; a Gram matrix has none")
    return ExactMatrix(name, rows, floats, float_rounding(rows) if floats else Fraction(0), symmetrised("A", moved))


def _bounded(values: Any, name: str) -> Any:
    rows = isinstance(values, list | tuple) or bool(getattr(values, "ndim", 0))
    if rows and not hasattr(values, "toarray") and len(values) > LARGEST_ORDER:
        raise InputError(f"{name}: has order {len(values)}; give at most {LARGEST_ORDER}")
    return values


def float_rounding(rows: Rows) -> Fraction:
    """2⁻⁴⁰ max|A_ij|, some thousand units in the last place: what computations in float64 may have lost."""
    return max((abs(Fraction(v)) for row in rows for v in row), default=Fraction(0)) / 2**40


def symmetrised(name: str, moved: Number) -> tuple[str, ...]:
    """The sentence about what `symmetrise` has changed, if anything."""
    if not moved:
        return ()
    return (f"{name} was not symmetric: ({name} + {name}')/2 was taken, entries moved by at most {rounded_up(moved)}",)


def rounded_up(value: Number) -> str:
    """Two digits, not less than `value` > 0."""
    exact = Fraction(value)
    with localcontext(rounding=ROUND_CEILING, prec=2):
        return f"{Decimal(exact.numerator) / Decimal(exact.denominator):.1e}"


@dataclass(frozen=True)
class ExactPair:
    """A covariance pair (K, K^σ), exactly."""

    name: str
    K: Rows
    K_sigma: Rows
    beta: Number
    activation: Activation
    floats: bool
    notes: tuple[str, ...] = ()


def load_pair(path: str, symmetrise: bool = False) -> ExactPair:
    """Read PAIR: {"K": …, "K_sigma": …, "beta": 0, "activation": "relu"}. Raises InputError."""
    if Path(path).suffix.lower() != ".json":
        raise InputError(f'PAIR: {path} is not .json; give {{"K": [[1]], "K_sigma": [[1]], "beta": 0}} in one')
    content = _json(Path(path))
    if not isinstance(content, dict):
        raise InputError(f'PAIR: {path} is not an object; give {{"K": [[1]], "K_sigma": [[1]], "beta": 0}}')
    _no_other_keys(content, ("K", "K_sigma", "beta", "activation", "slope", "name", "source"), path)
    for key in ("K", "K_sigma"):
        if key not in content:
            raise InputError(f'{key}: is missing in {path}; give {{"K": [[1]], "K_sigma": [[1]], "beta": 0}}')
    chosen = content.get("beta", 0), content.get("activation", "relu"), content.get("slope")
    return exact_pair(content["K"], content["K_sigma"], *chosen, Path(path).stem, symmetrise)


def exact_pair(
    K: Any,
    K_sigma: Any,
    beta: Any = 0,
    activation: str | Activation = "relu",
    slope: float | None = None,
    name: str = "pair",
    symmetrise: bool = False,
) -> ExactPair:
    """The pair of the numbers in K and K_sigma, lists of rows, arrays or data frames (N, N). Raises InputError as `load_pair`."""
    rows, floats, moved = exact_rows(_bounded(K, "K"), "K", symmetrise)
    rows_sigma, more, moved_sigma = exact_rows(_bounded(K_sigma, "K_sigma"), "K_sigma", symmetrise)
    if len(rows) != len(rows_sigma):
        raise InputError(
            f"K_sigma: has order {len(rows_sigma)}, and K has order {len(rows)}; give two of the same order"
        )
    weight = beta.item() if isinstance(beta, np.integer | np.floating) else beta
    sigma = activation if isinstance(activation, Activation) else named_activation(activation, slope)
    inexact = floats or more or isinstance(weight, float)
    notes = (*symmetrised("K", moved), *symmetrised("K_sigma", moved_sigma))
    return ExactPair(name, rows, rows_sigma, exact_number(weight, "beta"), sigma, inexact, notes)


def exact_rows(values: Any, name: str, symmetrise: bool = False) -> tuple[Rows, bool, Number]:
    """The rows of a symmetric matrix as exact numbers; were there floats; how far `symmetrise` moved an entry.

    `values`: a list of rows or an array (n, n). Raises InputError.
    """
    values = _lists(values, name)
    if not isinstance(values, list) or not values or not all(isinstance(row, list) for row in values):
        raise InputError(f"{name}: is not a list of rows; give a square matrix like [[2, 1], [1, 2]]")
    n = len(values)
    for i, row in enumerate(values):
        if len(row) != n:
            raise InputError(f"{name}: row {i} has {len(row)} entries, and there are {n} rows; give a square matrix")
    rows = [_exact_row(row, f"{name}[{i}]") for i, row in enumerate(values)]
    moved = _asymmetry(rows, values, name, symmetrise)
    if moved:
        rows = [[exact_number((Fraction(rows[i][j]) + rows[j][i]) / 2, name) for j in range(n)] for i in range(n)]
    return rows, any(isinstance(v, float) for row in values for v in row), moved


def _exact_row(row: list[Any], name: str) -> list[Number]:
    exact = row if set(map(type, row)) == {int} else [exact_number(v, f"{name}[{j}]") for j, v in enumerate(row)]
    for j, v in enumerate(exact):
        if v and (not -LARGEST < v < LARGEST or (type(v) is not int and -SMALLEST < v < SMALLEST)):
            raise InputError(
                f"{name}[{j}]: is too small or too large for the searches; multiply the matrix by a number > 0, "
                "which changes no rank, until all entries are between 1e-150 and 1e150"
            )
    return exact


def _asymmetry(rows: Rows, values: list[list[Any]], name: str, symmetrise: bool) -> Number:
    """max |A_ij − A_ji|/2, 0 if symmetric. Raises InputError unless it is 0, or small and `symmetrise` is asked for."""
    if all(row == list(column) for row, column in zip(rows, zip(*rows, strict=True), strict=True)):
        return 0
    difference, largest, i, j = Fraction(0), Fraction(0), 0, 0
    for k, row in enumerate(rows):
        for m, value in enumerate(row):
            largest = max(largest, abs(Fraction(value)))
            apart = abs(Fraction(value) - Fraction(rows[m][k]))
            if apart > difference:
                difference, i, j = apart, m, k
    small = difference <= ROUNDED * largest
    if small and symmetrise:
        return difference / 2
    what = f"{name}: is not symmetric: entry [{i}][{j}] is {values[i][j]} and [{j}][{i}] is {values[j][i]}; "
    if small:
        raise InputError(what + f"--symmetrise takes ({name} + {name}')/2, if that is rounding")
    raise InputError(what + "give a symmetric matrix" + (" (that is more than rounding)" if symmetrise else ""))


def _lists(values: Any, name: str) -> Any:
    """Arrays, data frames, tuples and matrices of sympy as lists of rows of Python's numbers, exactly."""
    if hasattr(values, "toarray"):
        raise InputError(f"{name}: is a sparse matrix; give {name}.toarray()")
    if np.ma.is_masked(values):
        raise InputError(f"{name}: is a masked array with masked entries; fill or drop them")
    if hasattr(values, "to_numpy"):  # a data frame
        values = values.to_numpy()
    if isinstance(values, np.ndarray):
        small = values.dtype.kind == "O" or (values.dtype.kind in "iuf" and values.dtype.itemsize <= 8)
        if values.ndim != 2 or not small:
            form = f"an array of shape {values.shape} and type {values.dtype}"
            raise InputError(f"{name}: is {form}; give a square one of integers, fractions or float64")
        return _lists(values.tolist(), name)
    if callable(getattr(values, "tolist", None)):  # sympy
        values = values.tolist()
    if isinstance(values, list | tuple):
        return [_list(row) if isinstance(row, list | tuple | np.ndarray) else row for row in values]
    return values


def _list(row: Any) -> list[Any]:
    if set(map(type, row)) <= {int, float, str, Fraction}:
        return list(row)
    return [_entry(v) for v in row]


def _entry(v: Any) -> Any:
    if isinstance(v, np.integer | np.floating) and v.itemsize <= 8:
        return v.item()
    if isinstance(v, Rational) and not isinstance(v, int | Fraction):  # sympy's, for one
        return Fraction(int(v.numerator), int(v.denominator))
    return v


def exact_number(value: Any, name: str) -> Number:
    """An int, a Fraction, a "p/q" string or a finite float, exactly. Raises InputError."""
    exact = None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Fraction) or (isinstance(value, float) and math.isfinite(value)):
        exact = Fraction(value)
    elif isinstance(value, str):
        with suppress(ValueError):
            exact = parse_rational(value)
    if exact is None:
        raise InputError(f'{name}: is {value!r}; give an integer, a fraction like "1/2", or a finite number')
    return exact.numerator if exact.denominator == 1 else exact


def float_matrix(rows: Rows) -> np.ndarray:
    """The nearest floats (n, n)."""
    return np.array([[float(v) for v in row] for row in rows])


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_key_twice)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(str(file), error) from None
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is not JSON ({error}); give an object") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise InputError(
            f"{max(pairs, key=lambda p: [k for k, _ in pairs].count(p[0]))[0]}: is there twice; give it once"
        )
    return dict(pairs)


def _unreadable(path: str, error: Exception) -> InputError:
    reason = (error.strerror if isinstance(error, OSError) else None) or "it is not what its name says"
    return InputError(f"cannot read {path} ({reason}); give a file that can be read")


def _no_other_keys(content: dict[str, Any], known: tuple[str, ...], path: str) -> None:
    for key in content:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            raise InputError(
                f"{key}: is not known in {path}; {f'did you mean {close[0]}' if close else f'give {known}'}?"
            )
