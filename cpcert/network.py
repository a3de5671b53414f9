"""Networks: weights, forward pass, the changes that keep the outputs, proven losses, files.

Inside formulas columns are points: Z_ℓ = W_ℓ Z_{ℓ−1}^σ with Z_ℓ^σ = [σ(Z_ℓ); β1ᵀ] and Z_0^σ = X̃ = [X; β1ᵀ]. When β = 0
there is no bias row and no bias column. L_λ(W) = C(Z_L) + λ Σ‖W_ℓ‖_F² (bias columns are penalised like the rest).

σ is positively homogeneous, so a hidden neuron may be rescaled (incoming row times c > 0, outgoing column divided by
c), and neurons with aligned incoming rows may be added up; `balanced` and `merged` use that to lower the norm.

`loss_upper`, `representation_cost_upper` and `residual_bound` are proven for the exact float64 weights, rounding
included. The forward pass is followed by the standard a-priori bound (Higham, Accuracy and Stability of Numerical
Algorithms, section 3.5): a float product of W (·×k) and A has |fl(WA) − WA| ≤ γ_k |W||A|, γ_k = ku/(1 − ku), in any
order of summation and with or without fused multiply-add.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cpcert.activations import Activation
from cpcert.errors import InputError
from cpcert.problem import Problem, real_array
from cpcert.rounding import SMALLEST_NORMAL, UNIT_ROUNDOFF, exact_dot, round_up
from cpcert.units import Units


@dataclass(frozen=True, eq=False)
class Network:
    """Weights W_1, …, W_L of a network with activation σ between the layers.

    weights: W_ℓ is (n_ℓ, n_{ℓ−1} + 1), bias column last, or (n_ℓ, n_{ℓ−1}) when beta = 0; stored as read-only float64
    copies. Hidden layers may be empty. units: those of the data, where they were standardized: only `predict`, `to_torch` and
    files mind them. Raises InputError for fewer than two layers, NaN, or shapes that do not chain.
    """

    weights: tuple[np.ndarray, ...]
    activation: Activation
    beta: float
    units: Units | None = None

    def __post_init__(self) -> None:
        beta = float(self.beta)
        if not math.isfinite(beta):
            raise InputError(f"beta: {beta} is not a bias scale; give a finite number")
        weights = tuple(np.array(W, dtype=np.float64) for W in self.weights)
        if len(weights) < 2:
            raise InputError(f"weights: {len(weights)} layer(s); a network needs W1 and W2 at least")
        bias = int(beta != 0.0)
        for index, W in enumerate(weights, start=1):
            if W.ndim != 2:
                raise InputError(f"W{index}: has shape {W.shape}; give a matrix, one row per neuron")
            if not np.all(np.isfinite(W)):
                i, j = np.argwhere(~np.isfinite(W))[0]
                raise InputError(f"W{index}: row {i}, column {j} is {W[i, j]}; every weight must be a finite number")
            if index > 1 and W.shape[1] != weights[index - 2].shape[0] + bias:
                raise InputError(
                    f"W{index}: has {W.shape[1]} columns; W{index - 1} has {weights[index - 2].shape[0]} rows, "
                    f"so with beta = {beta} it must have {weights[index - 2].shape[0] + bias}"
                )
            W.setflags(write=False)
        if weights[0].shape[1] < bias:
            raise InputError(f"W1: has no columns; with beta = {beta} it needs at least the bias column")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "beta", beta)
        if self.units is not None and (len(self.units.x_mean), len(self.units.y_mean)) != (
            self.widths[0],
            self.widths[-1],
        ):
            raise InputError(f"units: are not those of {self.widths[0]} inputs and {self.widths[-1]} outputs")

    def __repr__(self) -> str:
        shape = "-".join(map(str, self.widths))
        return f"Network({shape}, {self.activation.name}, beta={self.beta!r})"

    @classmethod
    def from_neurons(
        cls, W: np.ndarray, V: np.ndarray, b: np.ndarray | None, activation: Activation, beta: float
    ) -> Network:
        """The depth-2 network computing Σ_k V_k σ(w_kᵀx̃) + βb, each neuron balanced: its incoming and outgoing
        weights get the norm √(‖w_k‖‖V_k‖). W: (k, n); V: (m, k); b: (m,) or None for 0 (and always when beta = 0)."""
        W, V = np.asarray(W, dtype=np.float64), np.asarray(V, dtype=np.float64)
        if W.ndim != 2 or V.ndim != 2 or V.shape[1] != W.shape[0]:
            raise InputError(f"neurons: W has shape {W.shape} and V {V.shape}; give (k, n) and (m, k)")
        if beta == 0.0:
            if b is not None and np.any(b):
                raise InputError("b: a network with beta = 0 has no output bias; pass None")
            return cls((W, V), activation, beta).balanced()
        bias = np.zeros(V.shape[0]) if b is None else np.asarray(b, dtype=np.float64)
        if bias.shape != (V.shape[0],):
            raise InputError(f"b: has shape {bias.shape}; give one number per output, shape ({V.shape[0]},)")
        return cls((W, np.column_stack([V, bias])), activation, beta).balanced()

    @property
    def depth(self) -> int:
        """L, the number of weight matrices."""
        return len(self.weights)

    @property
    def widths(self) -> tuple[int, ...]:
        """(n_0, n_1, …, n_L)."""
        return (self.weights[0].shape[1] - int(self.beta != 0.0), *(W.shape[0] for W in self.weights))

    @property
    def width(self) -> int:
        """The number of hidden neurons of a depth-2 network; the largest hidden width of a deeper one."""
        return max(self.widths[1:-1])

    def forward(self, X: np.ndarray) -> list[np.ndarray]:
        """[Z_1, …, Z_L], Z_ℓ: (n_ℓ, N), of the points X: (N, n_0), rows are points.

        Raises InputError on a wrong shape.
        """
        A = self.inputs(X)
        Z = []
        for W in self.weights:
            Z.append(W @ A)
            A = layer_features(Z[-1], self.activation, self.beta)
        return Z

    def outputs(self, X: np.ndarray) -> np.ndarray:
        """The outputs, (N, m), for points X (N, n_0) in the units of the problem: rows are points."""
        return self.forward(X)[-1].T

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The outputs, (N, m), for points X (N, n_0) in the units in which the data were given: standardizing is undone."""
        points = points_of(X, self.widths[0])
        if self.units is None:
            return self.outputs(points)
        return self.units.outputs(self.outputs(self.units.inputs(points)))

    def to_torch(self) -> Any:
        """The same function as a torch.nn.Sequential of Linear layers in float64, with what `predict` does about units.

        A layer W = [A | b] becomes Linear(A, bias βb). Float64 rounding aside the outputs are those of `predict`. Raises InputError
        when torch is not installed.
        """
        try:
            from cpcert.torch_modules import sequential
        except ImportError:
            raise InputError("torch: is not installed, and to_torch needs it: pip install 'cpcert[train]'") from None
        return sequential(self)

    def norm_squared(self) -> float:
        """Σ‖W_ℓ‖_F² in floating point."""
        return float(sum(np.sum(W * W) for W in self.weights))

    def loss(self, problem: Problem) -> float:
        """L_λ(W) in floating point (see `loss_upper` for a bound). For `interpolate`, λ = 1 and C counts as 0."""
        Z = self._outputs(problem)
        return problem.loss.value(Z, problem.targets) + problem.lam * self.norm_squared()

    def residual(self, problem: Problem) -> float:
        """max |Z − Y| over all outputs, in floating point."""
        return float(np.max(np.abs(self._outputs(problem) - problem.targets)))

    def balanced(self) -> Network:
        """Rescale hidden neurons so that incoming and outgoing norms agree: the smallest norm among rescalings.

        Up to rounding, outputs are unchanged and the norm is never larger. A neuron without incoming or without
        outgoing weights contributes nothing and becomes zero. For depth > 2 the rescalings of neighbouring layers
        interact: sweeps over the layers, each lowering the norm, until nothing moves.
        """
        weights = [W.copy() for W in self.weights]
        for _ in range(1 if self.depth == 2 else 1000):
            if max(_balance_layer(weights[i], weights[i + 1]) for i in range(self.depth - 1)) <= 1e-14:
                break
        return replace(self, weights=tuple(weights))

    def without_dead_neurons(self, tol: float = 0.0) -> Network:
        """Remove hidden neurons with ‖incoming‖·‖outgoing‖ ≤ tol, repeatedly. With tol = 0 no output changes."""
        weights = list(self.weights)
        removed = True
        while removed:
            removed = False
            for i in range(self.depth - 1):
                dead = _dead(weights[i], weights[i + 1], tol)
                if dead.any():
                    weights[i], weights[i + 1] = weights[i][~dead], np.delete(weights[i + 1], np.flatnonzero(dead), 1)
                    removed = True
        return replace(self, weights=tuple(weights))

    def merged(self, rtol: float = 1e-9) -> Network:
        """Add up hidden neurons of one layer whose unit incoming rows differ by at most rtol in norm.

        With v_k the outgoing weights times ‖w_k‖, the group acts as (Σ v_k) σ(ŵᵀ·) and costs 2‖Σ v_k‖ when balanced,
        at most what its members cost: the norm does not grow (up to rounding). ŵ is the row of the member with
        the largest ‖v_k‖; in depth 2 the outputs at x̃ change by at most rtol·lipschitz·‖x̃‖·Σ‖v_k‖ plus rounding. For an
        even or odd activation (abs, linear) −ŵ counts as aligned with ŵ. Groups that cancel exactly disappear.
        """
        weights = list(self.weights)
        for i in range(self.depth - 1):
            weights[i], weights[i + 1] = _merge_layer(weights[i], weights[i + 1], self.activation, rtol)
        return replace(self, weights=tuple(weights))

    def neurons(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """(Ŵ, V, b) of a depth-2 network that computes Σ_k V_k σ(ŵ_kᵀx̃) + βb, dead neurons dropped.

        Ŵ: (k, n) unit rows; V: (m, k); b: (m,), None when beta = 0. Raises InputError for deeper networks.
        """
        if self.depth != 2:
            raise InputError(f"depth: neurons are those of a network of depth 2; this one has depth {self.depth}")
        W, out = self.weights
        alive = ~_dead(W, out, 0.0)
        W, V = W[alive], out[:, : self.width][:, alive]
        norms = _norms(W)
        return W / norms[:, None], V * norms, out[:, -1].copy() if self.beta != 0.0 else None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file: tensors W1, W2, …; activation, slopes, beta and units as metadata.

        The file appears under its name only when complete. Raises OSError when it cannot be written.
        """
        from safetensors.numpy import save

        path = Path(path)
        metadata = {
            "activation": self.activation.name,
            "a_plus": repr(self.activation.a_plus),
            "a_minus": repr(self.activation.a_minus),
            "beta": repr(self.beta),
            **({} if self.units is None else {"units": self.units.text()}),
        }
        tensors = {f"W{i}": np.ascontiguousarray(W) for i, W in enumerate(self.weights, start=1)}
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(save(tensors, metadata))
            temporary.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, activation: Activation | None = None, beta: float | None = None
    ) -> Network:
        """Read a safetensors file with tensors W1, W2, …, of any float type (float64 keeps every bit).

        activation, beta: for files without this metadata. Raises InputError for a file that is missing, is no
        safetensors file, lacks a tensor or says something else than the arguments, and for NaN or wrong shapes.
        """
        tensors, metadata = read_safetensors(Path(path))
        names = [f"W{i}" for i in range(1, len(tensors) + 1)]
        if not tensors or set(tensors) != set(names):
            found = ", ".join(sorted(tensors)) or "nothing"
            raise InputError(f"{path}: holds {found}; a model holds the tensors W1, W2, … and no others")
        try:
            stored = _metadata_network(metadata)
            units = Units.from_text(metadata["units"]) if "units" in metadata else None
        except (KeyError, ValueError) as error:
            raise InputError(
                f"{path}: unreadable metadata ({error}); give activation and beta as save writes them"
            ) from None
        if stored is None and (activation is None or beta is None):
            raise InputError(f"{path}: the file does not say its activation and beta; they must be given")
        if stored is not None:
            same = activation is None or (activation.a_plus, activation.a_minus) == (
                stored[0].a_plus,
                stored[0].a_minus,
            )
            if not same or (beta is not None and beta != stored[1]):
                raise InputError(
                    f"{path}: is a network with {stored[0].name}, beta = {stored[1]}, not the one asked for"
                )
            activation, beta = stored
        assert activation is not None and beta is not None
        try:
            return cls(tuple(tensors[name] for name in names), activation, beta, units)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def check_fits(self, problem: Problem) -> None:
        """Raise InputError unless inputs, outputs, depth, activation and beta are those of the problem."""
        mine, theirs = self.activation, problem.activation
        if self.beta != problem.beta:
            raise InputError(f"beta: the network has beta = {self.beta}, the problem beta = {problem.beta}")
        if (mine.a_plus, mine.a_minus) != (theirs.a_plus, theirs.a_minus):
            raise InputError(f"activation: the network has {mine}, the problem {theirs}")
        if self.depth != problem.depth:
            raise InputError(f"depth: the network has depth {self.depth}, the problem depth {problem.depth}")
        if (self.widths[0], self.widths[-1]) != (problem.n0, problem.m):
            raise InputError(
                f"network: maps {self.widths[0]} inputs to {self.widths[-1]} outputs, "
                f"the problem has {problem.n0} features and {problem.m} targets"
            )

    def inputs(self, X: np.ndarray) -> np.ndarray:
        """X̃ = [X; β1ᵀ], (n, N), of the points X (N, n_0). Raises InputError on a wrong shape."""
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.widths[0]:
            raise InputError(f"X: has shape {X.shape}; the network takes (N, {self.widths[0]}), rows are points")
        return _with_bias(X.T, self.beta)

    def _outputs(self, problem: Problem) -> np.ndarray:
        self.check_fits(problem)
        return self.forward(problem.X)[-1]


def attained(network: Network | None, status: str) -> Network:
    """The network. Raises InputError where there is none."""
    if network is None:
        raise InputError(f"result: holds no network (status {status}); solve again with a larger time_limit")
    return network


def points_of(X: ArrayLike, features: int) -> np.ndarray:
    """X (N, n_0) as finite float64: arrays, lists, data frames. Raises InputError for anything else, naming it."""
    A = real_array("X", X)
    if A.ndim != 2 or A.shape[1] != features:
        raise InputError(f"X: has shape {A.shape}; the network takes (N, {features}), rows are points")
    if not np.all(np.isfinite(A)):
        i, j = np.argwhere(~np.isfinite(A))[0]
        raise InputError(f"X: row {i}, column {j} is {A[i, j]}; every entry must be a finite number")
    return A


def layer_features(Z: np.ndarray, activation: Activation, beta: float) -> np.ndarray:
    """Z^σ = [σ(Z); β1ᵀ], (k + 1, N); just σ(Z) when β = 0."""
    return _with_bias(activation(Z), beta)


def forward_with_error(network: Network, X: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """[(A_0, E_0), (Z_1, E), (A_1, E), …, (A_{L−1}, E), (Z_L, E)]: the forward pass in floating point, A_ℓ = Z_ℓ^σ, each with
    a proven entrywise bound E of its distance to the exact value for the exact float64 weights.

    Per layer, with Â the float features and e_A their error bound: e_Z = γ_k |W||Â| + |W| e_A, and
    e_A = lipschitz·e_Z + u|Â| for the one rounding in σ. E is inf where the pass overflows.
    """
    A = network.inputs(X)
    A_error = np.zeros_like(A)
    layers = [(A, A_error)]
    with np.errstate(over="ignore", invalid="ignore"):
        for W in network.weights:
            k = W.shape[1]
            Z = W @ A
            # (k + 2)u ≥ γ_k for every k below 10^7.
            Z_error = _outward((k + 2) * UNIT_ROUNDOFF * (np.abs(W) @ np.abs(A)) + np.abs(W) @ A_error, k)
            # Where every product is 0, so is the output, exactly.
            used = (W != 0.0).astype(float) @ ((A != 0.0) | (A_error != 0.0)).astype(float)
            Z_error = np.where(used == 0.0, 0.0, Z_error)
            A = layer_features(Z, network.activation, network.beta)
            A_error = np.zeros_like(A)
            A_error[: Z.shape[0]] = _outward(
                network.activation.lipschitz * Z_error + 2 * UNIT_ROUNDOFF * np.abs(A[: Z.shape[0]]), 1
            )
            layers += [(Z, Z_error), (A, A_error)]
    layers.pop()
    return [(value, np.where(np.isfinite(value) & np.isfinite(error), error, np.inf)) for value, error in layers]


def outputs_with_error(network: Network, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Z, E): float outputs (m, N) and a proven entrywise bound E ≥ |Z − Z_exact| for the exact float64 weights."""
    return forward_with_error(network, X)[-1]


def loss_upper(network: Network, problem: Problem) -> float:
    """Proven: a float ≥ L_λ(W) = C(Z_L) + λ Σ‖W_ℓ‖_F² for the exact float64 weights and data.

    The norm is exact; C is bounded over the whole error interval of the outputs. inf for `interpolate` (unless Z = Y
    were exact without any rounding): use `representation_cost_upper` and `residual_bound` there.
    """
    network.check_fits(problem)
    Z, error = outputs_with_error(network, problem.X)
    fit = problem.loss.value_upper(Z, error, problem.targets)
    return (
        round_up(Fraction(fit) + Fraction(problem.lam) * _norm_squared_exact(network)) if fit < math.inf else math.inf
    )


def representation_cost_upper(network: Network) -> float:
    """Proven: the exact Σ‖W_ℓ‖_F², rounded up. Bounds the representation cost of the network's *own* outputs."""
    return round_up(_norm_squared_exact(network))


def residual_bound(network: Network, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Proven: (R, E), both (m, N), with |(Z_exact − Y) − R| ≤ E entry by entry, so |Z_exact − Y| ≤ |R| + E."""
    network.check_fits(problem)
    Z, error = outputs_with_error(network, problem.X)
    R = Z - problem.targets
    return R, _outward(error + 2 * UNIT_ROUNDOFF * np.abs(R), 1)


def _norm_squared_exact(network: Network) -> Fraction:
    return sum((exact_dot(W, W) for W in network.weights), Fraction(0))


def _with_bias(A: np.ndarray, beta: float) -> np.ndarray:
    return np.vstack([A, np.full((1, A.shape[1]), beta)]) if beta != 0.0 else A


def _outward(bound: np.ndarray, k: int) -> np.ndarray:
    """An upper bound of the exact value of a non-negative expression that was evaluated as `bound`.

    Allows for inner products of length k and up to eight further operations: each float operation on non-negative
    numbers loses at most a factor 1 − u, or SMALLEST_NORMAL where it underflows, and (4k + 16)u exceeds what they
    and the two operations here can lose together.
    """
    return bound * (1.0 + (4 * k + 16) * UNIT_ROUNDOFF) + (4 * k + 16) * SMALLEST_NORMAL


def _norms(rows: np.ndarray) -> np.ndarray:
    """Euclidean norms of the rows, without underflow or overflow of the squares."""
    if rows.shape[1] == 0:
        return np.zeros(rows.shape[0])
    scale = np.abs(rows).max(axis=1, initial=0.0)
    safe = np.where(scale > 0, scale, 1.0)
    return scale * np.linalg.norm(rows / safe[:, None], axis=1)


def _dead(W: np.ndarray, following: np.ndarray, tol: float) -> np.ndarray:
    incoming, outgoing = _norms(W), _norms(following[:, : W.shape[0]].T)
    # A product of two positive norms may underflow to 0; such a neuron is small, not dead.
    return (incoming == 0) | (outgoing == 0) | ((incoming * outgoing <= tol) if tol > 0 else False)


def _balance_layer(W: np.ndarray, following: np.ndarray) -> float:
    """Balance the neurons of one layer in place; returns the largest |log-scale| of a live neuron."""
    k = W.shape[0]
    incoming, outgoing = _norms(W), _norms(following[:, :k].T)
    alive = (incoming > 0) & (outgoing > 0)
    factor = np.zeros(k)
    factor[alive] = np.sqrt(outgoing[alive]) / np.sqrt(incoming[alive])
    inverse = np.zeros(k)
    inverse[alive] = np.sqrt(incoming[alive]) / np.sqrt(outgoing[alive])
    W *= factor[:, None]
    following[:, :k] *= inverse
    return float(np.max(np.abs(np.log(factor[alive])), initial=0.0))


def _merge_layer(
    W: np.ndarray, following: np.ndarray, activation: Activation, rtol: float
) -> tuple[np.ndarray, np.ndarray]:
    k = W.shape[0]
    norms = _norms(W)
    V = following[:, :k] * norms
    sizes = _norms(V.T)
    alive = np.flatnonzero((norms > 0) & (sizes > 0))
    directions = np.zeros_like(W)
    directions[alive] = W[alive] / norms[alive, None]
    W, following = W.copy(), following.copy()
    keep = np.ones(k, dtype=bool)
    waiting = list(alive[np.argsort(-sizes[alive], kind="stable")])
    while waiting:
        leader, rest = waiting[0], np.array(waiting[1:], dtype=int)
        aligned = np.linalg.norm(directions[rest] - directions[leader], axis=1) <= rtol
        opposite = np.zeros_like(aligned)
        if activation.is_even or activation.is_odd:
            opposite = ~aligned & (np.linalg.norm(directions[rest] + directions[leader], axis=1) <= rtol)
        group = aligned | opposite
        if group.any():
            # σ(−s) = σ(s) keeps the outgoing weights of −ŵ, σ(−s) = −σ(s) turns them around.
            signs = np.where(opposite & (not activation.is_even), -1.0, 1.0)[group]
            total = V[:, leader] + V[:, rest[group]] @ signs
            size = float(_norms(total[None, :])[0])
            W[leader] = directions[leader] * math.sqrt(size)
            following[:, leader] = total / math.sqrt(size) if size > 0 else 0.0
            keep[leader] = size > 0
            keep[rest[group]] = False
        waiting = list(rest[~group])
    return W[keep], np.delete(following, np.flatnonzero(~keep), axis=1)


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a file, and its metadata. float16, float32 and bfloat16 keep their values exactly (bfloat16 as float32).

    Raises InputError for a file that is none, and for tensors of any other type than these and float64.
    """
    from safetensors import SafetensorError, deserialize, safe_open

    if not path.is_file():
        raise InputError(f"{path}: no such file; give a model in .safetensors format")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        entries = deserialize(path.read_bytes())
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a readable safetensors model ({error})") from None
    tensors = {}
    for name, entry in entries:
        kind, raw = entry["dtype"], entry["data"]
        if kind == "BF16":  # the upper half of a float32
            flat = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        elif kind in ("F16", "F32", "F64"):
            flat = np.frombuffer(raw, f"<f{int(kind[1:]) // 8}")
        else:
            raise InputError(
                f"{path}: {name} has type {kind}; weights must be floating point numbers (F64, F32, F16, BF16)"
            )
        tensors[name] = flat.reshape(entry["shape"])
    return tensors, metadata


def _metadata_network(metadata: dict[str, str]) -> tuple[Activation, float] | None:
    """The activation and beta a file names; None when it names neither. Raises KeyError or ValueError on nonsense."""
    if not re.search("activation|beta|a_plus|a_minus", " ".join(metadata)):
        return None
    sigma = Activation(metadata["activation"], float(metadata["a_plus"]), float(metadata["a_minus"]))
    return sigma, float(metadata["beta"])
