"""What people give: a Problem, an Instance, or arrays with the keywords of Problem; and the settings that go with it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from cpcert.errors import InputError
from cpcert.instance import Instance, SolveSettings, TrainSettings, override_settings, unknown_key
from cpcert.losses import loss as loss_by_name
from cpcert.problem import Columns, Problem

# The keywords that stand for the instance where arrays are given.
OPTIONS = (
    "lam",
    "weight_decay",
    "loss",
    "activation",
    "slope",
    "beta",
    "depth",
    "name",
    "sample_weight",
    "class_weight",
)
RIGHT = "give arrays X and y, a Problem, or what cpcert.load_instance returns"


@dataclass(frozen=True, eq=False)
class Given:
    """The problem, its settings where it came from an instance, else the defaults, and that instance."""

    problem: Problem
    solve: SolveSettings
    train: TrainSettings
    instance: Instance | None = None
    # What weight_decay was taken to mean; "" where λ was given.
    conversion: str = ""

    def settings(self, **changes: Any) -> dict[str, Any]:
        """The settings of `solve`, with those changes that are not None. Raises InputError naming the setting."""
        return override_settings(self.solve, plain(changes)).model_dump()


def given(X: Any, y: Any, options: Mapping[str, Any], *, needs_lambda: bool = True) -> Given:
    """The problem that X, y and the keywords `options` state.

    X: a Problem or an Instance, then without y and options; or points, one a row: an array, a list of rows, a data frame. y: targets
    as Problem takes them, or, for losses of classes, one label for each point: numbers, texts, whatever can be sorted.
    needs_lambda: whether λ matters to what is asked; if not, it may be missing. Raises InputError, naming the argument.
    """
    for key in options:
        if key not in OPTIONS:
            raise InputError(unknown_key("", key, OPTIONS).replace("a key", "an argument").replace("keys", "arguments"))
    if isinstance(X, Given):  # from the command line, which has read the data already
        return X
    if isinstance(X, Problem | Instance):
        more = ["y"] * (y is not None) + list(options)
        if more:
            what = type(X).__name__
            raise InputError(
                f"{more[0]}: belongs to arrays, and a{'n' * (what == 'Instance')} {what} has its own; leave it out"
            )
        if isinstance(X, Instance):
            return Given(X.problem(), X.solve, X.train, X)
        return Given(X, SolveSettings(), TrainSettings())
    if isinstance(X, str | os.PathLike):
        raise InputError(f"X: is {os.fspath(X)!r}; of an instance file give cpcert.load_instance(path), else {RIGHT}")
    if y is None:
        raise InputError(f"y: is missing; {RIGHT}")
    chosen = dict(options)
    if not needs_lambda and not {"lam", "weight_decay"} & chosen.keys():
        chosen["lam"] = None if loss_by_name(chosen.get("loss", "mse")).is_constraint else 1.0
    problem = Problem(X, *_targets(X, y, chosen), **chosen)
    return Given(problem, SolveSettings(), TrainSettings(), conversion=_conversion(problem, chosen.get("weight_decay")))


def _targets(X: Any, y: Any, options: dict[str, Any]) -> tuple[Any]:
    """y, or the targets that its labels stand for; then `options` get the columns, with the names of the classes."""
    name = options.get("loss", "mse")
    loss = loss_by_name(name) if isinstance(name, str) else name
    labels = np.asarray(y)
    if not getattr(loss, "takes_labels", False) or labels.ndim != 1 or not len(labels) or np.ma.isMaskedArray(y):
        return (y,)
    try:
        loss.check_targets(np.asarray(labels, np.float64)[:, np.newaxis])
        return (y,)  # numbers that mean themselves
    except (TypeError, ValueError):
        pass
    try:
        classes, numbers = np.unique(labels, return_inverse=True)
    except TypeError:
        raise InputError("y: holds labels of several types; give labels of one type, or targets as numbers") from None
    if labels.dtype.kind == "f" and not np.all(labels == np.round(labels)):
        raise InputError(f"y: holds {labels.dtype} numbers that are no labels; {name} takes integers or texts")
    texts = tuple(str(each) for each in classes)
    Y, sentence = loss.encode_labels(numbers, texts, "y", "y")
    features = getattr(X, "columns", None)
    named = range(np.shape(X)[-1]) if features is None else features
    options["columns"] = Columns(tuple(map(str, named)), ("y",), texts, (sentence,))
    return (Y,)


def _conversion(problem: Problem, weight_decay: float | None) -> str:
    if weight_decay is None:
        return ""
    factor = "m*weight_decay/2" if problem.loss.mean_over_outputs else "weight_decay/2"
    return (
        f"weight_decay = {weight_decay!r} of torch.optim.SGD or Adam, on weights and biases alike, and torch's mean loss are "
        f"lambda = {problem.lam!r} ({factor}, m = {problem.m})"
    )


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """NumPy's scalars as Python's."""
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in values.items()}


def require_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise InputError unless the value is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name}: is {value!r}; use one of {', '.join(choices)}")


def require_seconds(time_limit: Any) -> None:
    """Raise InputError unless it is a number > 0."""
    if not is_number(time_limit) or not time_limit > 0:
        raise InputError(f"time_limit: is {time_limit!r}; give a number of seconds > 0")


def require_numbers(**values: Any) -> None:
    """Raise InputError, naming the argument, unless each value is a finite number >= 0."""
    for name, value in values.items():
        if not is_number(value) or not 0.0 <= value < math.inf:
            raise InputError(f"{name}: is {value!r}; give a finite number >= 0")


def numbers_of(name: str, values: Any) -> list[float]:
    """A sequence of numbers > 0 as a list, in its order. Raises InputError."""
    right = "give a sequence of finite numbers > 0, like [1e-1, 1e-2]"
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise InputError(f"{name}: is {values!r}; {right}")
    found = list(values)
    for value in found:
        if not is_number(value) or not 0.0 < value < math.inf:
            raise InputError(f"{name}: holds {value!r}; {right}")
    if not found:
        raise InputError(f"{name}: is empty; {right}")
    return [float(value) for value in found]


def is_number(value: Any) -> bool:
    """Whether it is a real number, and no truth value."""
    return isinstance(value, Real | np.number) and not isinstance(value, bool | complex | np.complexfloating)


def require_depth_two(problem: Problem, what: str) -> None:
    """Raise InputError for networks of more than one hidden layer."""
    if problem.depth != 2:
        raise InputError(f"depth: is {problem.depth}; {what} is for depth 2 (one hidden layer)")


def require_integer(name: str, value: Any, least: int = 0) -> None:
    """Raise InputError unless it is an integer >= least."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name}: is {value!r}; give an integer >= {least}")
