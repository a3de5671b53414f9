"""Points that a data source has and an instance does not use: on them a trained network is tested, never trained.

    diabetes, digits, iris, file     the points that `points` left out
    mnist, fashion_mnist             all of the test files (of an instance with split: train)
    teacher                          as many fresh inputs, from a generator of their own, with the teacher's outputs, no noise

Standardisation uses the mean and variance of the instance's own points. The others sources have no such points.
"""

from __future__ import annotations

import math

import numpy as np

from cpcert.data.sources import (
    Arrays,
    Diabetes,
    Digits,
    FashionMnist,
    File,
    Iris,
    Mnist,
    Teacher,
    chosen_rows,
    generator,
)
from cpcert.instance import Instance


def held_out(instance: Instance) -> Arrays | None:
    """(X (N', n0), Y (N', m)), rows are points, Y in the encoding of the loss; None where there are none.

    Raises InputError when a file cannot be read.
    """
    source = instance.data
    if isinstance(source, Teacher):
        X, Y = _teacher(source)
    elif isinstance(source, Mnist | FashionMnist):
        if source.split != "train":
            return None
        raw, own = {"standardize": False}, instance.problem().X
        chosen = instance.read(source.model_copy(update=raw))[0]
        everything = source.model_copy(update={**raw, "points": None, "split": "test"})
        X, Y, _ = instance.read(everything)
        X = _like(X, chosen, own)
    elif isinstance(source, Diabetes | Digits | Iris | File):
        if source.points is None:
            return None
        raw = {"standardize": False}
        if isinstance(source, Diabetes | File):
            raw["standardize_targets"] = False
        every_x, every_y, _ = instance.read(source.model_copy(update={**raw, "points": None}))
        own_x, own_y, _ = instance.read(source)
        used = chosen_rows(len(every_x), source.points, source.seed, source.source)
        rest = np.setdiff1d(np.arange(len(every_x)), used)
        X = _like(every_x[rest], every_x[used], own_x)
        Y = _like(every_y[rest], every_y[used], own_y)
    else:
        return None
    return (X, instance.problem().loss.check_targets(Y)) if len(X) else None


def _like(A: np.ndarray, raw: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The columns of A under the shift and scale that make `raw` into `own`; 0 where `own` is 0 throughout."""
    if np.array_equal(raw, own):
        return A
    mean, size = raw.mean(axis=0), raw.std(axis=0)
    constant = ~own.any(axis=0)
    return np.where(constant, 0.0, (A - mean) / np.where(constant, 1.0, size))


def _teacher(source: Teacher) -> Arrays:
    rng = generator(source.seed)
    rng.standard_normal((source.points, source.features))
    W = rng.standard_normal((source.width, source.features + 1)) / math.sqrt(source.features + 1)
    V = rng.standard_normal((source.outputs, source.width)) / math.sqrt(source.width)
    fresh = np.random.Generator(np.random.PCG64(np.random.SeedSequence([source.seed, source.points])))
    X = fresh.standard_normal((source.points, source.features))
    return X, np.maximum(X @ W[:, :-1].T + W[:, -1], 0.0) @ V.T
