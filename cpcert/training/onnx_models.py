"""Reading a network from an ONNX file: a chain of linear layers (Gemm, or MatMul and Add) with the instance's activation between.

Unlike a state dict the file says which activation it was made with, so another one is an error. The left slope of LeakyRelu is a
float32 there; what is read is the network with the slope of the instance, if that rounds to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cpcert.activations import Activation
from cpcert.errors import InputError

# Operators that change nothing when a network is applied to rows of points.
NEUTRAL = {"Identity", "Dropout", "Flatten"}
READ = "a chain of Gemm, or MatMul and Add, with the activation of the instance between"


def read_onnx(path: str, activation: Activation) -> dict[str, np.ndarray]:
    """layer-K.weight (out, in) and layer-K.bias (out,) of the file, float64. Raises InputError, naming the node that does not fit."""
    model = _load(path)
    graph = model.graph
    if not all(node.output for node in graph.node):
        raise InputError(f"{path}: has a node without an output")
    tensors = _tensors(graph, path)
    inputs = [value.name for value in graph.input if value.name not in tensors]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(
            f"{path}: has {len(inputs)} inputs and {len(graph.output)} outputs; give a network with one of each"
        )
    current, state, layers, free = inputs[0], {}, 0, True
    for node in graph.node:
        if node.op_type == "Constant":
            continue
        given = [name for name in node.input if name and name != current]
        if current not in node.input or not all(name in tensors for name in given):
            raise InputError(f"{path}: {_words(node)} is not a step of {READ}")
        options = {each.name: each for each in node.attribute}
        weight = bias = None
        if node.op_type == "Gemm" and node.input[0] == current and given:
            ones = [options[key].f for key in ("alpha", "beta") if key in options]
            if any(value != 1.0 for value in ones) or ("transA" in options and options["transA"].i):
                raise InputError(f"{path}: {_words(node)} has alpha, beta or transA; only plain ones are read")
            weight = tensors[given[0]] if "transB" in options and options["transB"].i else tensors[given[0]].T
            bias = tensors[given[1]] if len(given) == 2 else None
        elif node.op_type == "MatMul" and node.input[0] == current and len(given) == 1:
            weight = tensors[given[0]].T
        elif node.op_type == "Add" and len(given) == 1 and layers and not free and f"layer-{layers}.bias" not in state:
            bias = tensors[given[0]]
        elif node.op_type in ("Relu", "LeakyRelu", "Abs"):
            _require_activation(node, options, activation, path)
            if free:
                raise InputError(f"{path}: {_words(node)} comes before a linear layer; {READ}")
            free = True
        elif node.op_type not in NEUTRAL:
            raise InputError(f"{path}: {_words(node)} is not read; give {READ}")
        if weight is not None:
            if not free and (activation.a_plus, activation.a_minus) != (1.0, 1.0):
                raise InputError(f"{path}: {_words(node)} follows a linear layer without an activation")
            layers, free = layers + 1, False
            if weight.ndim != 2:
                raise InputError(f"{path}: {_words(node)} has weights of shape {weight.shape}; a matrix is needed")
            state[f"layer-{layers}.weight"] = weight
        if bias is not None:
            rows = len(state[f"layer-{layers}.weight"])
            if bias.size != rows:
                raise InputError(f"{path}: {_words(node)} has a bias of shape {bias.shape} for {rows} rows")
            state[f"layer-{layers}.bias"] = bias.reshape(rows)
        current = node.output[0]
    if not layers or free or current != graph.output[0].name:
        raise InputError(f"{path}: does not end with a linear layer; give {READ}")
    return state


def _load(path: str) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise InputError(f"{path}: reading an ONNX file needs onnx (pip install 'cpcert[onnx]')") from None
    try:
        return onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except DecodeError:
        raise InputError(f"{path}: is not an ONNX file") from None


def _tensors(graph: Any, path: str) -> Mapping[str, np.ndarray]:
    """The numbers in the file: initializers and constants."""
    from onnx import TensorProto, numpy_helper

    named = [(tensor.name, tensor) for tensor in graph.initializer]
    for node in graph.node:
        if node.op_type == "Constant":
            named += [(node.output[0], each.t) for each in node.attribute if each.name == "value"]
    found = {}
    for name, tensor in named:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise InputError(f"{path}: {name} is kept in another file; save the model in one file")
        try:
            with np.errstate(invalid="ignore"):  # NaN: Network says where
                found[name] = numpy_helper.to_array(tensor).astype(np.float64)
        except (ValueError, TypeError, KeyError) as error:  # KeyError: a type that is none
            raise InputError(f"{path}: {name} cannot be read ({error})") from None
    return found


def _require_activation(node: Any, options: Mapping[str, Any], activation: Activation, path: str) -> None:
    slope = np.float32(activation.a_minus)
    if node.op_type == "LeakyRelu":
        read = np.float32(options["alpha"].f if "alpha" in options else 0.01)
    else:
        read = np.float32({"Relu": 0.0, "Abs": -1.0}[node.op_type])
    if activation.a_plus != 1.0 or read != slope:
        raise InputError(
            f"{path}: {_words(node)} has the left slope {read:g}, the activation of the instance {activation.a_minus:g}"
        )


def _words(node: Any) -> str:
    return f"{node.op_type} {node.name}".rstrip()
