"""Reading a trained network: from a file, a PyTorch module or a fitted scikit-learn model.

A PyTorch layer computes Wx + bias; here the same layer is [W | bias/β] applied to [x; β], and the penalty of the
instance counts ‖bias/β‖².
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cpcert.errors import InputError
from cpcert.models.layers import Layer, head_of, linear_layers, network_of, ordered, require_same_function
from cpcert.network import Network, read_safetensors
from cpcert.problem import Problem

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".tar")
SUFFIXES = (".safetensors", *TORCH_SUFFIXES, ".onnx")
READ = "a .safetensors file, a PyTorch state dict (.pt, .pth, .bin, .ckpt, .pth.tar) or .onnx"


@dataclass(frozen=True, eq=False)
class Reading:
    """network: what was read. assumed: what the source does not say and the network rests on, a sentence; "" if nothing."""

    network: Network
    assumed: str = ""


def read_model(model: Any, problem: Problem, layers: Sequence[str] | str | None = None) -> Network:
    """The trained network, as a network for the problem: Linear layers with the problem's activation between, nothing after the last.

    model: the path of a .safetensors file (W1, W2, … with the bias column last, or PyTorch's names), of a PyTorch state dict or
    checkpoint, or of an .onnx file; a torch.nn.Module; a fitted scikit-learn MLPRegressor or MLPClassifier; a mapping of names to
    arrays or tensors.
    layers: the names of the layers in the order in which they act, also as one text with commas. Needed where a state dict leaves
    more than one order.

    float16, bfloat16 and float32 weights become float64 exactly; biases are divided by β, rounded. The functions of modules, ONNX
    files and scikit-learn models are compared with that of the network read; a state dict does not say what happens between its
    layers. scikit-learn does not penalise biases, so the minimum that it looks for is not that of the problem.

    Raises InputError, which names what was found, for anything that is not such a network or does not fit the problem.
    """
    return read(model, problem, layers).network


def read(model: Any, problem: Problem, layers: Sequence[str] | str | None = None) -> Reading:
    """`read_model`, with what had to be assumed."""
    reading = _read(model, problem, layers)
    if reading.network.units is None and problem.units is not None:
        # What was trained on the points of the problem predicts in the units of its data.
        return replace(reading, network=replace(reading.network, units=problem.units))
    return reading


def _read(model: Any, problem: Problem, layers: Sequence[str] | str | None) -> Reading:
    order = _names(layers)
    if isinstance(model, str | os.PathLike):
        return _read_file(os.fspath(model), problem, order)
    if isinstance(model, Network):
        _refuse_order(order, "a Network")
        model.check_fits(problem)
        return Reading(model)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        from cpcert.models.torch_files import read_module

        return Reading(read_module(model, problem, order)[0])
    if isinstance(model, Mapping):
        return _read_mapping(model, problem, order)
    if type(model).__module__.startswith("sklearn."):
        _refuse_order(order, "a scikit-learn model")
        return Reading(_read_sklearn(model, problem), _unpenalised(model, problem))
    raise InputError(f"model: is of type {type(model).__name__}; give {READ}, a torch.nn.Module or a scikit-learn MLP")


def _names(layers: Sequence[str] | str | None) -> list[str] | None:
    if layers is None:
        return None
    names = [name.strip() for name in layers.split(",")] if isinstance(layers, str) else list(layers)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(
            f"layers: {layers!r} is no list of names; give them in the order in which the layers act: first,second"
        )
    return names


def _refuse_order(order: list[str] | None, source: str) -> None:
    if order is not None:
        raise InputError(f"layers: {source} says itself in what order its layers act; leave it out")


def _read_file(path: str, problem: Problem, order: list[str] | None) -> Reading:
    kind = _suffix(path)
    if kind == ".onnx":
        from cpcert.models.onnx_files import read_onnx

        _refuse_order(order, path)
        return Reading(read_onnx(path, problem))
    if kind in TORCH_SUFFIXES:
        from cpcert.models.torch_files import read_torch

        network, layers = read_torch(path, problem, order)
        return Reading(network, _assumed(layers, problem, path))
    tensors, _ = read_safetensors(Path(path))
    if all(re.fullmatch("W[0-9]+", name) for name in tensors):
        _refuse_order(order, path)
        network = Network.load(path, activation=problem.activation, beta=problem.beta)
        try:
            network.check_fits(problem)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return Reading(network)
    # The file sorts its tensors: their order is that of no declaration.
    layers = ordered(linear_layers(tensors, path), problem, path, order, declared=False)
    return Reading(network_of(layers, problem, path), _assumed(layers, problem, path))


def _suffix(path: str) -> str:
    """The kind of the file by its name or, where that says nothing, by how it begins."""
    suffix = Path(path).suffix.lower()
    if suffix in SUFFIXES:
        return suffix
    try:
        with Path(path).open("rb") as file:
            start = file.read(10)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if suffix in (".pkl", ".pickle", ".joblib"):
        raise InputError(
            f"{path}: is a pickle, which is a program; load it in Python and give the model to cpcert.read_model"
        )
    if start[8:9] == b"{":
        return ".safetensors"
    if start[:2] in (b"PK", b"\x80\x02"):
        return ".pt"
    raise InputError(f"{path}: is no model that is read; give {READ}")


def _read_mapping(state: Mapping[str, Any], problem: Problem, order: list[str] | None) -> Reading:
    if any(type(value).__module__.startswith("torch") for value in state.values()):
        from cpcert.models.torch_files import torch_layers

        layers = torch_layers(state, "state dict")
    else:
        layers = linear_layers({key: np.asarray(value) for key, value in state.items()}, "state dict")
    layers = ordered(layers, problem, "state dict", order)
    return Reading(network_of(layers, problem, "state dict"), _assumed(layers, problem, "state dict"))


def _assumed(layers: Sequence[Layer], problem: Problem, source: str) -> str:
    return (
        f"{source}: read as {', '.join(map(str, layers))} with {problem.activation.name} between and nothing else "
        "(a state dict does not say what is between its layers)"
    )


# -- scikit-learn ------------------------------------------------------------------------------------------------------


def _unpenalised(model: Any, problem: Problem) -> str:
    if not problem.beta:
        return ""
    kind = type(model).__name__
    return f"{kind}: scikit-learn does not penalise biases, and this problem does: the two have different minima"


def _read_sklearn(model: Any, problem: Problem) -> Network:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    source = type(model).__name__
    if not isinstance(model, MLPClassifier | MLPRegressor):
        raise InputError(
            f"model: is a {source} of scikit-learn; give a fitted MLPRegressor or MLPClassifier (the last step of a pipeline, "
            "with the data as the other steps leave them)"
        )
    if not hasattr(model, "coefs_"):
        raise InputError(f"{source}: is not fitted; call fit first")
    sigma = problem.activation
    if {"relu": (1.0, 0.0), "identity": (1.0, 1.0)}.get(model.activation) != (sigma.a_plus, sigma.a_minus):
        raise InputError(f"{source}: has the activation {model.activation}, the instance {sigma.name}")
    end = {"softmax": "Softmax", "logistic": "Sigmoid"}.get(model.out_activation_, model.out_activation_)
    head = None if end == "identity" else head_of(end, problem, source)
    pairs = zip(model.coefs_, model.intercepts_, strict=True)
    layers = [
        Layer(f"coefs_[{k}]", np.asarray(W, np.float64).T, np.asarray(b, np.float64)) for k, (W, b) in enumerate(pairs)
    ]
    network = network_of(layers, problem, source)
    unit_roundoff = float(np.finfo(model.coefs_[0].dtype).eps)
    require_same_function(network, lambda X: _sklearn_outputs(model, X), problem, source, unit_roundoff, head=head)
    return network


def _sklearn_outputs(model: Any, X: np.ndarray) -> np.ndarray:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may have been fitted with names of features
        if model.out_activation_ == "identity":
            return model.predict(X)
        # Of two classes the second has the logit; several labels have one each.
        found = model.predict_proba(X)
        return found[:, 1:] if len(model.coefs_[-1].T) == 1 and found.shape[1] == 2 else found
