"""Reading a trained network: safetensors with W1, W2, …, a PyTorch state dict of Linear layers, or ONNX (onnx_models.py).

A PyTorch layer computes Wx + bias; here the same layer is [W | bias/β] applied to [x; β], and the penalty of the instance counts
‖bias/β‖². A state dict is read with `weights_only`, so nothing in the file is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cpcert.errors import InputError
from cpcert.network import Network
from cpcert.problem import Problem

STATE_DICT_SUFFIXES = (".pt", ".pth")


def load_model(path: str, problem: Problem) -> Network:
    """The network in the file, checked to fit the problem. Raises InputError, naming what does not fit."""
    if Path(path).suffix in STATE_DICT_SUFFIXES:
        network = network_from_state_dict(_read_state_dict(path), problem, path)
    elif Path(path).suffix == ".onnx":
        from cpcert.training.onnx_models import read_onnx

        network = network_from_state_dict(read_onnx(path, problem.activation), problem, path)
    else:
        network = Network.load(path, activation=problem.activation, beta=problem.beta)
    try:
        network.check_fits(problem)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return network


def _read_state_dict(path: str) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError:
        raise InputError(f"{path}: reading a PyTorch file needs torch (pip install 'cpcert[train]')") from None
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:
        # Damaged files were seen to raise a dozen types, IndexError, KeyError and UnicodeDecodeError among them; whatever the type,
        # the file cannot be read.
        raise InputError(
            f"{path}: is not a state dict that can be read safely ({type(error).__name__}); save model.state_dict()"
        ) from None
    if not isinstance(loaded, Mapping) or not all(isinstance(v, torch.Tensor) for v in loaded.values()):
        raise InputError(f"{path}: is not a state dict; save model.state_dict()")
    for key, value in loaded.items():
        if not value.is_floating_point() or value.layout != torch.strided or value.is_meta:
            raise InputError(f"{path}: {key} has type {value.dtype}; weights must be dense floating point numbers")
    return {str(key): value.detach().to(torch.float64).numpy() for key, value in loaded.items()}


def network_from_state_dict(state: Mapping[str, np.ndarray], problem: Problem, path: str = "state dict") -> Network:
    """The network of alternating Linear layers NAME.weight (out, in), NAME.bias (out,), in the order of the dict.

    Raises InputError for anything else than such layers, and for biases where the instance has β = 0.
    """
    layers: list[tuple[str, np.ndarray]] = []
    biases: dict[str, np.ndarray] = {}
    for key, value in state.items():
        name, _, kind = key.rpartition(".")
        if kind == "weight" and value.ndim == 2:
            layers.append((name, np.asarray(value, dtype=np.float64)))
        elif kind == "bias" and value.ndim == 1:
            biases[name] = np.asarray(value, dtype=np.float64)
        else:
            raise InputError(
                f"{path}: {key} of shape {value.shape} is not part of a Linear layer; use Linear layers only"
            )
    weights = []
    for name, W in layers:
        bias = biases.pop(name, None)
        if problem.beta == 0.0:
            if bias is not None and np.any(bias):
                raise InputError(
                    f"{path}: {name}.bias is not zero, and the instance has beta = 0; train with bias=False"
                )
            weights.append(W)
        else:
            column = np.zeros(len(W)) if bias is None else bias / problem.beta
            if column.shape != (len(W),):
                raise InputError(f"{path}: {name} has {len(W)} rows and a bias of shape {column.shape}")
            weights.append(np.column_stack([W, column]))
    if biases:
        raise InputError(f"{path}: {', '.join(biases)} has a bias but no weight")
    try:
        return Network(tuple(weights), problem.activation, problem.beta)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
