"""Columns brought to mean 0 and variance 1, and the way back: the units in which the data were given."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, eq=False)
class Units:
    """The units of the data of a standardized problem: X = (raw − x_mean)/x_size, Y = (raw − y_mean)/y_size, column by column.

    x_mean, x_size: (n0,); y_mean, y_size: (m,). Where a column was left alone, the mean is 0 and the size 1.
    """

    x_mean: np.ndarray
    x_size: np.ndarray
    y_mean: np.ndarray
    y_size: np.ndarray

    @classmethod
    def of(
        cls, X: np.ndarray, Y: np.ndarray, features: bool, targets: bool, weights: np.ndarray | None = None
    ) -> Units:
        """The units of X (N, n0), where the `features` are standardized, and of Y (N, m), where the `targets` are.

        weights: (N,), > 0, if points count that often in means and variances.
        """
        X, Y = np.asarray(X, np.float64), np.asarray(Y, np.float64)
        return cls(*_mean_and_size(X, features, weights), *_mean_and_size(Y, targets, weights))

    def inputs(self, X: np.ndarray) -> np.ndarray:
        """Raw points (N, n0) as the problem has them."""
        return (np.asarray(X, np.float64) - self.x_mean) / self.x_size

    def outputs(self, Z: np.ndarray) -> np.ndarray:
        """Outputs (N, m) of a network in the units of the raw targets."""
        return Z * self.y_size + self.y_mean

    def text(self) -> str:
        """For files; `from_text` gives back the same numbers, bit by bit."""
        return json.dumps({field.name: getattr(self, field.name).tolist() for field in fields(self)})

    @classmethod
    def from_text(cls, text: str) -> Units:
        """Raises ValueError or KeyError for any other text."""
        stored = json.loads(text)
        if not isinstance(stored, dict):
            raise ValueError("units are not an object")
        arrays = [np.array(stored[field.name], np.float64) for field in fields(cls)]
        if not all(array.ndim == 1 and np.all(np.isfinite(array)) for array in arrays):
            raise ValueError("units are not finite numbers")
        if not (arrays[1].all() and arrays[3].all()):
            raise ValueError("units have a size 0")
        return cls(*arrays)


def standardized(A: np.ndarray) -> np.ndarray:
    """Each column of A (N, k) shifted to mean 0 and scaled to variance 1; a constant column becomes 0."""
    return np.column_stack([_column(column)[0] for column in A.T]) if A.size else A


def _mean_and_size(A: np.ndarray, wanted: bool, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """What `standardized` subtracts and divides by; 0 and 1 where nothing is standardized."""
    if not wanted:
        return np.zeros(A.shape[1]), np.ones(A.shape[1])
    columns = [_column(column, weights) for column in A.T]
    return np.array([mean for _, mean, _ in columns]), np.array([size for _, _, size in columns])


def _column(column: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, float, float]:
    """The column with mean 0 and variance 1 (with 1/N), its mean and its deviation; a constant one is 0 with the size 1."""
    # Compared, not computed: the rounded mean of equal numbers may differ from them.
    if np.all(column == column[0]):
        return np.zeros(len(column)), float(column[0]), 1.0
    shares = np.ones(len(column)) if weights is None else weights * (len(column) / math.fsum(weights))
    mean = math.fsum(shares * column) / len(column)
    centered = column - mean
    largest = float(np.abs(centered).max())
    centered /= largest  # squares of tiny differences would underflow
    deviation = math.sqrt(math.fsum(shares * (centered * centered)) / len(column))
    return centered / deviation, mean, largest * deviation
