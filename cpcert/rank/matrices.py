"""Matrices with exact entries: files, and the arrays that stand for them.

`.json`: {"A": rows of integers, "p/q" strings or floats}; pairs {"K": …, "K_sigma": …, "beta": 0} with optionally
"activation" and "slope". `.csv`: rows of numbers, no header. `.npy`: a square array. A float means its nearest float64,
exactly; integers and "p/q" are what they say. A bound is a statement about the matrix exactly as given.
"""

from __future__ import annotations

import csv
import difflib
import json
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from cpcert.activations import Activation
from cpcert.activations import activation as named_activation
from cpcert.errors import InputError
from cpcert.rank.proofs import Number

Rows = list[list[Number]]
LARGEST_ORDER = 2000
_RATIONAL = re.compile(r"-?\d{1,400}(/\d{1,400})?", re.ASCII)


@dataclass(frozen=True)
class ExactMatrix:
    """A symmetric matrix with rational entries; `floats`: some of them were given as floating-point numbers."""

    name: str
    rows: Rows
    floats: bool


def load_matrix(path: str) -> ExactMatrix:
    """Read MATRIX. Raises InputError: not readable, not square, not symmetric, a negative diagonal, not a number."""
    file = Path(path)
    if file.suffix == ".json":
        content = _json(file)
        if not isinstance(content, dict) or "A" not in content:
            raise InputError(f'A: is missing in {path}; give {{"A": [[2, 1], [1, 2]]}}')
        _no_other_keys(content, ("A", "name", "source"), path)
        values = content["A"]
    elif file.suffix == ".csv":
        try:
            with file.open(newline="") as handle:
                values = [[_cell(text.strip()) for text in row] for row in csv.reader(handle) if row]
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(path, error) from None
    elif file.suffix == ".npy":
        try:
            array = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _unreadable(path, error) from None
        if array.ndim != 2 or array.dtype.kind not in "iuf":
            raise InputError(f"A: {path} does not hold a square array of numbers; save one with numpy.save")
        values = (array.astype(float) if array.dtype.kind == "f" else array).tolist()
    else:
        raise InputError(f"MATRIX: {path} is not .json, .csv or .npy; give one of these")
    rows, floats = exact_rows(values, "A")
    for i, row in enumerate(rows):
        if row[i] < 0:
            raise InputError(f"A: the diagonal entry {i} is negative; a Gram matrix has none")
    return ExactMatrix(file.stem, rows, floats)


@dataclass(frozen=True)
class ExactPair:
    """A covariance pair (K, K^σ), exactly."""

    name: str
    K: Rows
    K_sigma: Rows
    beta: Number
    activation: Activation
    floats: bool


def load_pair(path: str) -> ExactPair:
    """Read PAIR: {"K": …, "K_sigma": …, "beta": 0, "activation": "relu"}. Raises InputError."""
    content = _json(Path(path))
    if not isinstance(content, dict):
        raise InputError(f'PAIR: {path} is not an object; give {{"K": [[1]], "K_sigma": [[1]], "beta": 0}}')
    _no_other_keys(content, ("K", "K_sigma", "beta", "activation", "slope", "name", "source"), path)
    for key in ("K", "K_sigma"):
        if key not in content:
            raise InputError(f'{key}: is missing in {path}; give {{"K": [[1]], "K_sigma": [[1]], "beta": 0}}')
    K, floats = exact_rows(content["K"], "K")
    K_sigma, more = exact_rows(content["K_sigma"], "K_sigma")
    if len(K) != len(K_sigma):
        raise InputError(f"K_sigma: has order {len(K_sigma)}, and K has order {len(K)}; give two of the same order")
    beta = exact_number(content.get("beta", 0), "beta")
    activation = named_activation(content.get("activation", "relu"), content.get("slope"))
    inexact = floats or more or isinstance(content.get("beta", 0), float)
    return ExactPair(Path(path).stem, K, K_sigma, beta, activation, inexact)


def exact_rows(values: Any, name: str) -> tuple[Rows, bool]:
    """The rows of a symmetric matrix as exact numbers, and whether there were floats among them. Raises InputError."""
    if not isinstance(values, list) or not values or not all(isinstance(row, list) for row in values):
        raise InputError(f"{name}: is not a list of rows; give a square matrix like [[2, 1], [1, 2]]")
    n = len(values)
    if n > LARGEST_ORDER:
        raise InputError(f"{name}: has order {n}; give at most {LARGEST_ORDER}")
    for i, row in enumerate(values):
        if len(row) != n:
            raise InputError(f"{name}: row {i} has {len(row)} entries, and there are {n} rows; give a square matrix")
    rows = [[exact_number(v, f"{name}[{i}][{j}]") for j, v in enumerate(row)] for i, row in enumerate(values)]
    for i in range(n):
        for j in range(i):
            if rows[i][j] != rows[j][i]:
                raise InputError(
                    f"{name}: is not symmetric: entry [{i}][{j}] is {values[i][j]} and [{j}][{i}] is {values[j][i]}; "
                    "give a symmetric matrix"
                )
    return rows, any(isinstance(v, float) for row in values for v in row)


def exact_number(value: Any, name: str) -> Number:
    """An int, a "p/q" string or a finite float, exactly. Raises InputError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and math.isfinite(value):
        exact = Fraction(value)
        return exact.numerator if exact.denominator == 1 else exact
    if isinstance(value, str) and _RATIONAL.fullmatch(value) and not value.endswith("/0"):
        try:
            exact = Fraction(value)
            return exact.numerator if exact.denominator == 1 else exact
        except ZeroDivisionError:
            pass
    raise InputError(f'{name}: is {value!r}; give an integer, a fraction like "1/2", or a finite number')


def float_matrix(rows: Rows) -> np.ndarray:
    """The nearest floats (n, n)."""
    return np.array([[float(v) for v in row] for row in rows])


def _cell(text: str) -> Any:
    if _RATIONAL.fullmatch(text):
        return text
    try:
        return float(text)
    except ValueError:
        return text


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(str(file), error) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is not JSON ({error}); give an object") from None


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
