"""The problem: data, loss, activation and penalty of an L2-regularised network.

    L_λ(W) = C(Z_L) + λ Σ_ℓ ‖W_ℓ‖_F²,   Z_ℓ = W_ℓ Z_{ℓ−1}^σ,   Z_ℓ^σ = [σ(Z_ℓ); β1ᵀ],   Z_0^σ = X̃ = [X; β1ᵀ]

(Jacot, Golikov, Hongler, Gabriel 2022, Section 2). With β = 0 there is no bias and no extra row. Users give one row
per point; inside formulas columns are points, and the one transposition between the two happens here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cpcert.activations import Activation
from cpcert.activations import activation as activation_by_name
from cpcert.errors import InputError
from cpcert.losses import Loss
from cpcert.losses import loss as loss_by_name
from cpcert.units import Units

__all__ = ["InputError", "Problem"]

# Nonzero numbers outside this range are refused: the square of a product of two of them would overflow or, worse,
# underflow to 0, and a norm that underflows is no upper bound.
SMALLEST_NUMBER = 1e-60
LARGEST_NUMBER = 1e60
# Of a weight relative to the mean: with a smaller one, a slope of the loss is lost in the rounding of the others.
SMALLEST_WEIGHT = 1e-12


@dataclass(frozen=True)
class Columns:
    """What the columns of a table became: names for people, of which the mathematics knows nothing.

    classes: the names of the classes, if the targets are labels (cross_entropy: one output each; logistic: -1, +1).
    notes: sentences about how the table was read.
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Problem:
    """An immutable, validated problem: `Problem(X, Y, lam=1e-2)`.

    X: (N, n0), one row per point. Y: (N, m), or (N,) for one output. Both become read-only float64 copies, Y in the
    encoding of the loss (logistic: ±1). Data frames give their names to `columns`.
    lam: the weight λ > 0 of the penalty. `interpolate` (the constraint Z = Y) has none: leave it out, it counts as 1.
    weight_decay: instead of lam, that of torch.optim.SGD and Adam, which add it times w to the gradient of torch's mean loss,
    for all weights and biases: λ = m·weight_decay/2 for mse and logistic, weight_decay/2 for cross_entropy (docs/losses.md).
    loss: "mse", "cross_entropy", "logistic", "interpolate", or a Loss; afterwards a Loss.
    activation: "relu", "leaky_relu" (with `slope` in (−1, 1)), "abs", "linear", or an Activation; afterwards an
    Activation.
    beta: the weight β of the biases, of any sign; 0 means no biases.
    sample_weight: (N,), numbers > 0, one for each point: C = (1/N) Σ ω_i c(z_i, y_i) with ω = N·sample_weight/Σ sample_weight in
    float64, so that an integer k means k copies of its point; the loss keeps ω. Only for depth 2. Biases are always penalised.
    class_weight: "balanced", or weights by class (1 where there is none), times sample_weight: for targets that are single classes.
    depth: the number L ≥ 2 of weight matrices. name: what reports call the problem.
    columns: the names of the features and targets, for reports. units: those of the data, if they were standardized; predictions
    are in them.

    Raises InputError, naming the argument, what is wrong with it and what would be right.
    """

    X: np.ndarray
    Y: np.ndarray
    lam: float
    loss: Loss
    activation: Activation
    beta: float
    depth: int
    name: str
    columns: Columns | None
    units: Units | None

    def __init__(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        lam: float | None = None,
        loss: str | Loss = "mse",
        activation: str | Activation = "relu",
        slope: float | None = None,
        beta: float = 1.0,
        depth: int = 2,
        name: str = "problem",
        columns: Columns | None = None,
        units: Units | None = None,
        *,
        weight_decay: float | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
    ) -> None:
        values: dict[str, Any] = {
            "loss": loss if isinstance(loss, Loss) else loss_by_name(loss),
            "activation": _activation(activation, slope),
            "X": _matrix("X", X),
            "beta": _number("beta", beta, "give a finite number; 0 means no biases"),
            "depth": _depth(depth),
            "name": _name(name),
            "columns": _frame_names(X, Y) if columns is None else columns,
            "units": units,
        }
        values["Y"] = _targets(Y, values["X"], values["loss"])
        if class_weight is not None:
            names = values["columns"].classes if values["columns"] is not None else None
            sample_weight = by_class(class_weight, values["Y"], values["loss"], names, sample_weight)
        values["loss"] = _weighted(values["loss"], sample_weight, len(values["X"]), values["depth"])
        values["lam"] = _lam(lam, weight_decay, values["loss"], values["Y"].shape[1])
        for field, value in values.items():
            object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        return (
            f"Problem(name={self.name!r}, N={self.N}, n0={self.n0}, m={self.m}, loss={self.loss.name!r}, "
            f"activation={self.activation.name!r}, lam={self.lam!r}, beta={self.beta!r}, depth={self.depth})"
        )

    @property
    def N(self) -> int:
        """The number of points."""
        return self.X.shape[0]

    @property
    def n0(self) -> int:
        """The number of features."""
        return self.X.shape[1]

    @property
    def m(self) -> int:
        """The number of outputs."""
        return self.Y.shape[1]

    @property
    def n(self) -> int:
        """The number of rows of X̃: n0 + 1, or n0 if β = 0."""
        return self.n0 + (self.beta != 0.0)

    @cached_property
    def X_tilde(self) -> np.ndarray:
        """X̃ = [X; β1ᵀ] (just X if β = 0), (n, N), read-only: columns are points."""
        rows = [self.X.T] if self.beta == 0.0 else [self.X.T, np.full((1, self.N), self.beta)]
        return _read_only(np.concatenate(rows))

    @cached_property
    def targets(self) -> np.ndarray:
        """Y in the orientation of the formulas, (m, N), read-only: columns are points."""
        return _read_only(self.Y.T.copy())

    @cached_property
    def sha256(self) -> str:
        """The SHA-256, in hex, of everything that defines the mathematical problem (all but the names).

        The bytes hashed are the words below in ASCII with one space between them, then a newline, then the entries of
        X and of Y as little-endian float64, row by row. <hex> is the exact notation of `float.hex`. Where the points have weights
        ω_i, the word weights=N stands last, and the ω_i follow Y.

            cpcert-problem 1 loss=<name> a_plus=<hex> a_minus=<hex> lambda=<hex> beta=<hex>
            depth=<integer> N=<integer> n0=<integer> m=<integer>
        """
        header = (
            f"cpcert-problem 1 loss={self.loss.name} "
            f"a_plus={self.activation.a_plus.hex()} a_minus={self.activation.a_minus.hex()} "
            f"lambda={self.lam.hex()} beta={self.beta.hex()} depth={self.depth} N={self.N} n0={self.n0} m={self.m}"
        )
        weights = self.loss.weights
        header += "\n" if weights is None else f" weights={len(weights)}\n"
        digest = hashlib.sha256(header.encode("ascii"))
        digest.update(self.X.astype("<f8").tobytes())
        digest.update(self.Y.astype("<f8").tobytes())
        if weights is not None:
            digest.update(np.array(weights, dtype="<f8").tobytes())
        return digest.hexdigest()


def unchecked(problem: Problem, **changes: Any) -> Problem:
    """The problem with some fields changed and nothing checked: for problems inside a solver, whose numbers may leave the range
    of inputs."""
    changed = object.__new__(Problem)
    for field in fields(Problem):
        object.__setattr__(changed, field.name, changes.get(field.name, getattr(problem, field.name)))
    return changed


def _read_only(A: np.ndarray) -> np.ndarray:
    A = np.ascontiguousarray(A, dtype=np.float64)
    A.flags.writeable = False
    return A


def _activation(given: str | Activation, slope: float | None) -> Activation:
    if not isinstance(given, Activation):
        return activation_by_name(given, slope)
    if slope is not None:
        raise InputError("slope: an Activation already has its slopes; leave slope out")
    return given


def _lam(lam: float | None, weight_decay: float | None, loss: Loss, m: int) -> float:
    if weight_decay is not None:
        if lam is not None or loss.is_constraint:
            why = f"{loss.name} has no penalty" if loss.is_constraint else "it says the same as lam"
            raise InputError(f"weight_decay: is {weight_decay!r}, and {why}; leave it out")
        lam = 0.5 * _number("weight_decay", weight_decay, "give torch's weight_decay, a finite number > 0")
        lam *= m if loss.mean_over_outputs else 1
        if lam <= 0.0:
            raise InputError(f"weight_decay: is {weight_decay!r}; give torch's weight_decay, a finite number > 0")
    if loss.is_constraint:
        # 1.0 is accepted because dataclasses.replace hands back the value stored here.
        if lam is not None and lam != 1.0:
            raise InputError(f"lambda: is {lam!r}, but {loss.name} has no lambda (it counts as 1); leave it out")
        return 1.0
    right = "give the weight of the penalty, a finite number > 0"
    if lam is None:
        raise InputError(f"lambda: is missing, and the loss {loss.name} needs it; {right}")
    value = _number("lambda", lam, right)
    if value <= 0.0:
        raise InputError(f"lambda: is {value!r}; {right}")
    return value


def positive_weights(given: ArrayLike, N: int) -> np.ndarray:
    """The weights given, float64 (N,). Raises InputError unless there are N numbers > 0."""
    right = "give one number > 0 for each point"
    weights = _finite_array("sample_weight", given)
    if weights.shape != (N,):
        raise InputError(f"sample_weight: has shape {weights.shape}, and X has {N} points; {right}")
    wrong = np.flatnonzero(weights <= 0.0)
    if wrong.size:
        value = float(weights[wrong[0]])
        hint = "leave out a point of weight 0" if value == 0.0 else right
        raise InputError(f"sample_weight: entry {wrong[0]} is {value!r}; {hint}")
    return weights


def by_class(
    given: str | Mapping[Any, float],
    Y: np.ndarray,
    loss: Loss,
    classes: tuple[str, ...] | None,
    sample_weight: ArrayLike | None,
) -> np.ndarray:
    """sample_weight (N,), or 1, times the weight of the point's class; balanced: all classes get the same sum."""
    found = loss.classes_of(Y)
    if found is None:
        raise InputError(
            f"class_weight: is for one class at each point, and {loss.name} has other targets here; leave it out"
        )
    labels, own = found
    names = own if classes is None else tuple((name,) for name in classes)
    weights = np.ones(len(Y)) if sample_weight is None else positive_weights(sample_weight, len(Y))
    if isinstance(given, str):
        if given != "balanced":
            raise InputError(f"class_weight: is {given!r}; use balanced, or give a weight > 0 for each class")
        sums = np.bincount(labels, weights, len(names))
        return weights * (weights.sum() / np.count_nonzero(sums) / sums[labels])
    if not isinstance(given, Mapping):
        raise InputError(f"class_weight: is {_kind(given)}; use balanced, or give a weight > 0 for each class")
    factors = np.ones(len(names))
    for key, value in given.items():
        whole = isinstance(key, (float, np.floating)) and float(key).is_integer()
        text = str(int(key)) if whole else str(key)
        places = [k for k, each in enumerate(names) if text in each]
        if not places:
            known = ", ".join(each[0] for each in names)
            raise InputError(f"class_weight: {text!r} is no class; the classes are {known}")
        factor = _number(f"class_weight.{text}", value, "give a number > 0")
        if factor <= 0.0:
            raise InputError(f"class_weight.{text}: is {factor!r}; give a number > 0")
        factors[places[0]] = factor
    return weights * factors[labels]


def _weights_of(given: ArrayLike | None, N: int) -> np.ndarray | None:
    """ω = N·given/Σ given, float64 (N,); None where all are the same. Raises InputError unless there are N numbers > 0."""
    if given is None:
        return None
    weights = positive_weights(given, N)
    if np.all(weights == weights[0]):
        return None
    scaled = weights * (N / math.fsum(weights))
    if scaled.min() < SMALLEST_WEIGHT:
        entry = int(np.argmin(scaled))
        raise InputError(
            f"sample_weight: entry {entry} is {float(weights[entry])!r}, less than {SMALLEST_WEIGHT} of the mean; "
            "leave out a point that counts so little"
        )
    return scaled


def _weighted(loss: Loss, given: ArrayLike | None, N: int, depth: int) -> Loss:
    """The loss with the weights given, or else with its own."""
    if given is not None:
        if loss.weights is not None:
            raise InputError("sample_weight: the loss has weights already; leave one of them out")
        weights = _weights_of(given, N)
        loss.weighted([1.0] * N)  # says if weights mean nothing here
        loss = loss if weights is None else loss.weighted(weights.tolist())
    if loss.weights is not None:
        if depth != 2:
            raise InputError(f"sample_weight: is for depth 2, and depth is {depth}; leave it out")
        given_weights = np.array(loss.weights)
        if given_weights.shape != (N,) or not np.all((given_weights >= SMALLEST_WEIGHT) & (given_weights <= N * 1.001)):
            raise InputError(f"loss: its weights do not fit {N} points; give sample_weight instead")
    return loss


def _depth(depth: int) -> int:
    right = "give the number of weight matrices, an integer >= 2 (2 means one hidden layer)"
    if isinstance(depth, bool) or not isinstance(depth, (int, np.integer)):
        raise InputError(f"depth: {depth!r} is not an integer; {right}")
    if depth < 2:
        raise InputError(f"depth: is {depth}; {right}")
    return int(depth)


def _name(name: str) -> str:
    if not isinstance(name, str) or not name:
        raise InputError(f"name: {name!r} is not a name; give a text that is not empty")
    return name


def _frame_names(X: Any, Y: Any) -> Columns | None:
    """The names of the columns of a data frame X (pandas, polars, …), and of Y, a frame or a series; None for other arrays."""
    features = getattr(X, "columns", None)
    if features is None or not hasattr(X, "to_numpy"):
        return None
    targets = getattr(Y, "columns", None)
    if targets is None:
        name = getattr(Y, "name", None)
        targets = [f"y{k + 1}" for k in range(np.shape(Y)[1])] if np.ndim(Y) == 2 else ["y" if name is None else name]
    return Columns(tuple(map(str, features)), tuple(map(str, targets)))


def _number(field: str, given: Any, right: str) -> float:
    if isinstance(given, (bool, np.bool_, str, bytes)):
        raise InputError(f"{field}: {given!r} is not a number; {right}")
    try:
        value = float(given)
    except OverflowError:
        value = math.inf
    except (TypeError, ValueError):
        raise InputError(f"{field}: {given!r} is not a number; {right}") from None
    if not math.isfinite(value):
        raise InputError(f"{field}: is {given!r}; {right}")
    if value != 0.0 and not SMALLEST_NUMBER <= abs(value) <= LARGEST_NUMBER:
        raise InputError(f"{field}: is {value!r}; its size must lie between {SMALLEST_NUMBER} and {LARGEST_NUMBER}")
    return value + 0.0  # -0.0 becomes 0.0


def real_array(field: str, given: ArrayLike) -> np.ndarray:
    """Arrays, lists, data frames and tensors as float64, of any shape. Raises InputError for what is no array of real numbers."""
    if hasattr(given, "toarray"):
        raise InputError(f"{field}: is a sparse matrix; give {field}.toarray()")
    if np.ma.is_masked(given):
        raise InputError(f"{field}: is a masked array with masked entries; fill or drop them")
    if given is None or isinstance(given, (str, bytes, dict, set)):
        raise InputError(f"{field}: is {_kind(given)}; give an array of numbers, one row per point")
    try:
        raw = np.asarray(given)
    except ValueError:
        raise InputError(f"{field}: rows differ in length; give every point the same number of entries") from None
    except (TypeError, RuntimeError) as error:  # a tensor that needs a gradient, or is on another device
        raise InputError(f"{field}: is {_kind(given)} that is no array ({error}); give one of numbers") from None
    if raw.ndim == 0 and raw.dtype.kind == "O":
        raise InputError(f"{field}: is {_kind(given)}; give an array of numbers, one row per point")
    if raw.dtype.kind == "O" and any(isinstance(entry, (str, bytes)) for entry in raw.flat):
        raise InputError(f"{field}: holds text; every entry must be a number: convert the columns, or leave them out")
    if raw.dtype.kind not in "biufO":
        raise InputError(f"{field}: holds entries of type {raw.dtype}; every entry must be a real number")
    try:
        return raw.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{field}: holds an entry that is not a real number; every entry must be one") from None


def _finite_array(field: str, given: ArrayLike) -> np.ndarray:
    """A float64 array of any shape with finite entries, none of them extremely small or large; -0.0 turned into 0.0."""
    A = real_array(field, given)
    size = np.abs(A)
    wrong = ~np.isfinite(A) | (size > LARGEST_NUMBER) | ((size < SMALLEST_NUMBER) & (A != 0.0))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        value = float(A[where])
        place = f"row {where[0]}, column {where[1]}" if A.ndim == 2 else f"entry {', '.join(map(str, where))}"
        entry = f"{field}: {place} is {value!r}"
        if not math.isfinite(value):
            raise InputError(f"{entry}; every entry must be a finite number")
        if abs(value) < SMALLEST_NUMBER:
            raise InputError(f"{entry}; a nonzero entry must be at least {SMALLEST_NUMBER} in size: use 0, or rescale")
        raise InputError(f"{entry}; an entry must be at most {LARGEST_NUMBER} in size: rescale")
    return A + 0.0


def _kind(given: Any) -> str:
    if given is None:
        return "None"
    name = type(given).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _matrix(field: str, given: ArrayLike) -> np.ndarray:
    A = _finite_array(field, given)
    if A.ndim == 1 and A.size:
        raise InputError(f"{field}: has shape {A.shape}; rows are points, so one feature is {field}.reshape(-1, 1)")
    if A.ndim != 2 or A.size == 0:
        raise InputError(f"{field}: has shape {A.shape}; give at least one row (point) and one column (feature)")
    return _read_only(A)


def _targets(given: ArrayLike, X: np.ndarray, loss: Loss) -> np.ndarray:
    Y = _finite_array("Y", given)
    N = X.shape[0]
    if Y.ndim == 1:
        Y = Y[:, np.newaxis]
    if Y.ndim != 2 or Y.shape[0] != N or Y.shape[1] == 0:
        shape = np.shape(given)
        hint = "; it looks transposed: rows are points" if Y.ndim == 2 and Y.shape[1] == N else ""
        raise InputError(f"Y: has shape {shape}, and X has {N} points; give Y {N} rows, one per point{hint}")
    return _read_only(loss.check_targets(Y) + 0.0)
