"""Networks from ONNX files: a chain of linear layers (Gemm, or MatMul and Add), the instance's activation between.

Unlike a state dict the file says which activation it was made with, so another one is an error. The left slope of
LeakyRelu is a float32 there; what is read is the network with the slope of the instance, if that rounds to it.

The nodes are followed for a batch of K points. Every value on the way is a matrix of K points, one to a row or one to a
column, in some shape; a node that only rearranges is tried on distinct numbers, and must leave the points and their
entries in order. What does not depend on the inputs (shapes, constants) is evaluated. At the end what the file
computes, by onnx's reference evaluator, is compared with the network that was read. A softmax or sigmoid at the end is
the one inside the loss: the network is what precedes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cpcert.errors import InputError
from cpcert.models.layers import Layer, head_of, network_of, require_same_function
from cpcert.network import Network
from cpcert.problem import Problem

READ = "a chain of Gemm, or MatMul and Add, with the activation of the instance between"
# Operators that may rearrange a value without changing it, on the way of the data and on constants.
REARRANGING = {"Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose"}
# What computes shapes and constants. Broadcasting is not among it: a few bytes could become terabytes.
FOLDED = REARRANGING - {"Dropout"} | {"Constant", "Cast", "Concat", "Gather", "Shape", "Slice"}
FLOATS = {"float64", "float32", "float16", "bfloat16"}
# A constant, or what comes out of a layer for one batch, has at most so many entries: a damaged size must not take all memory.
LARGEST = 10**7
# What skl2onnx makes of probabilities; none of it computes new ones.
AFTER_HEAD = {
    "ArgMax", "ArrayFeatureExtractor", "Binarizer", "Cast", "Concat", "Constant", "Identity", "Reshape", "Squeeze", "Sub", "ZipMap",
}  # fmt: skip
# The batch where the file leaves its size open.
BATCH = 7


@dataclass
class _Chain:
    """The way of the data so far. value: its name. shape: its shape, K points of k entries. rows, columns: whether its entries, in C
    order, are those of a (K, k) or a (k, K) matrix. free: whether a linear layer may come next, no activation missing."""

    value: str
    shape: tuple[int, ...]
    points: int
    rows: bool = True
    columns: bool = False
    free: bool = True
    layers: list[Layer] = field(default_factory=list)
    head: str | None = None

    @property
    def entries(self) -> int:
        return math.prod(self.shape) // self.points

    def is_matrix(self, transposed: bool) -> bool:
        """Whether it is (K, k), or (k, K) if transposed."""
        if transposed:
            return self.columns and self.shape == (self.entries, self.points)
        return self.rows and self.shape == (self.points, self.entries)


def read_onnx(path: str, problem: Problem) -> Network:
    """The network of the file. Raises InputError, naming the node that does not fit."""
    model = _load(path)
    graph = model.graph
    if not all(node.output for node in graph.node):
        raise InputError(f"{path}: has a node without an output")
    constants = _initializers(graph, path)
    given = _input(graph, constants, problem, path)
    chain = _Chain(given.name, _shape(given, problem, path), 1)
    chain.points = math.prod(chain.shape) // problem.n0
    chain.columns = chain.points == 1 or chain.entries == 1
    shapes, last = {chain.value: chain.shape}, 0
    for index, node in enumerate(graph.node):
        names = [name for name in node.input if name]
        if node.op_type == "Shape" and len(names) == 1 and names[0] in shapes:
            # A constant, although of the data: the batch is fixed.
            constants[node.output[0]] = _evaluated(model, node, {names[0]: np.zeros(shapes[names[0]])}, path)[0]
        elif chain.head is not None:
            if node.op_type not in AFTER_HEAD or shapes.keys() & names:
                raise InputError(f"{path}: {_words(node)} comes after {chain.head}; end with it")
        elif all(name in constants for name in names):
            if node.op_type not in FOLDED:
                raise InputError(f"{path}: {_words(node)} acts on constants and is not read; give {READ}")
            values = _evaluated(model, node, {name: constants[name] for name in names}, path)
            constants.update(zip(node.output, values, strict=False))
        else:
            others = {name: constants[name] for name in names if name != chain.value and name in constants}
            if names.count(chain.value) != 1 or len(others) != len(names) - 1:
                raise InputError(f"{path}: {_words(node)} is not a step of {READ}")
            _step(model, node, chain, others, problem, path)
            if chain.head is None:
                chain.value, last = node.output[0], index
                shapes[chain.value] = chain.shape
    outputs = [value.name for value in graph.output]
    if chain.head is None and outputs != [chain.value]:
        raise InputError(f"{path}: does not end with a linear layer as its only output; give {READ}")
    if not chain.layers or chain.free:
        raise InputError(f"{path}: does not end with a linear layer; give {READ}")
    network = network_of(chain.layers, problem, path)
    function = _function(model, given, shapes[given.name], chain, last, path)
    require_same_function(network, function, problem, path, _unit_roundoff(model, given), chain.points)
    return network


# -- one node ----------------------------------------------------------------------------------------------------------


def _step(model: Any, node: Any, chain: _Chain, others: Mapping[str, np.ndarray], problem: Problem, path: str) -> None:
    """Follow the data through one node."""
    operator = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    if operator in ("Gemm", "MatMul"):
        _linear(node, chain, others, problem, path)
    elif operator == "Add" and others and chain.layers and not chain.free and chain.layers[-1].bias is None:
        name, W = chain.layers[-1].name, chain.layers[-1].W
        bias, chain.shape = _bias(node, next(iter(others.values())), chain, path)
        chain.layers[-1] = Layer(name, W, bias)
    elif operator in ("Relu", "LeakyRelu", "Abs"):
        _require_activation(node, problem, path)
        if chain.free:
            raise InputError(f"{path}: {_words(node)} comes before a linear layer; {READ}")
        chain.free = True
    elif operator == "Cast":
        if _options(node)["to"] not in _unit_roundoffs():
            raise InputError(f"{path}: {_words(node)} makes the values something else than floating point numbers")
    elif operator in REARRANGING:
        _rearrange(model, node, chain, others, path)
    elif operator in ("Softmax", "LogSoftmax", "Sigmoid") and chain.layers and not chain.free:
        axis = _options(node).get("axis", -1 if _opset(model) >= 13 else 1)
        along = axis in (-1, len(chain.shape) - 1) and chain.rows and chain.shape[-1] == chain.entries
        if operator != "Sigmoid" and not along:
            raise InputError(f"{path}: {_words(node)} acts along axis {axis}, not along the outputs of each point")
        head_of(operator, problem, path)
        chain.head = operator
    else:
        hint = "; save the network in floating point" if "uantize" in operator or "Integer" in operator else ""
        raise InputError(f"{path}: {operator} {node.name}".rstrip() + f" is not read{hint or f'; give {READ}'}")


def _linear(node: Any, chain: _Chain, others: Mapping[str, np.ndarray], problem: Problem, path: str) -> None:
    """Z = W·(the data), with a point in each row (data first, weights transposed) or in each column (weights first)."""
    options = _options(node) if node.op_type == "Gemm" else {}
    sigma = problem.activation
    if not chain.free and (sigma.a_plus, sigma.a_minus) != (1.0, 1.0):
        raise InputError(f"{path}: {_words(node)} follows a linear layer without an activation")
    first = node.input[0] == chain.value
    if chain.value not in list(node.input)[:2]:
        raise InputError(f"{path}: {_words(node)} is not a step of {READ}")
    weight = others[node.input[1 if first else 0]]
    if weight.ndim != 2 or weight.dtype.name not in FLOATS:
        raise InputError(
            f"{path}: {_words(node)} has weights of shape {weight.shape}, type {weight.dtype}; a matrix is needed, in floating point"
        )
    turned = bool(options.get("transA" if first else "transB", 0))
    W = _float64(weight) * options.get("alpha", 1.0)
    if options.get("transB" if first else "transA", 0):
        W = W.T
    W = W.T if first else W
    # A product of matrices takes the points in rows if they come first; MatMul also takes stacks of rows.
    stacked = first and node.op_type == "MatMul" and chain.rows and chain.shape[-1:] == (chain.entries,)
    # The data are transposed as they come: (k, K) if first in a Gemm with transA, or second without transB.
    if not (stacked or chain.is_matrix(transposed=turned == first)):
        raise InputError(f"{path}: {_words(node)} does not act on the {chain.entries} entries of each point")
    if W.shape[1] != chain.entries:
        raise InputError(f"{path}: {_words(node)} takes {W.shape[1]} numbers, and {chain.entries} come")
    out = len(W)
    if out * chain.points > LARGEST:
        raise InputError(
            f"{path}: {_words(node)} has {out} outputs for each of {chain.points} points, more than can be compared"
        )
    chain.shape = (*chain.shape[:-1], out) if stacked else ((chain.points, out) if first else (out, chain.points))
    chain.rows, chain.columns = first or 1 in (chain.points, out), not first or 1 in (chain.points, out)
    bias = None
    if len(node.input) == 3 and node.input[2] and options.get("beta", 1.0) != 0.0:
        bias, chain.shape = _bias(node, others[node.input[2]], chain, path)
        bias = bias * options.get("beta", 1.0)
    chain.layers.append(Layer(node.name or f"layer {len(chain.layers) + 1}", W, bias))
    chain.free = False


def _bias(node: Any, constant: np.ndarray, chain: _Chain, path: str) -> tuple[np.ndarray, tuple[int, ...]]:
    """What is added to every point, (k,), and the shape of the sum."""
    wrong = (
        f"{path}: {_words(node)} has a bias of shape {constant.shape} for {chain.entries} rows, or one for each point"
    )
    try:
        shape = np.broadcast_shapes(constant.shape, chain.shape)
    except ValueError:
        raise InputError(wrong) from None
    if math.prod(shape) != math.prod(chain.shape):
        raise InputError(wrong)
    full = np.broadcast_to(_float64(constant), shape)
    K = chain.points
    full = full.reshape(K, chain.entries) if chain.rows else full.reshape(chain.entries, K).T
    if not np.array_equal(full, np.broadcast_to(full[0], full.shape), equal_nan=True):
        raise InputError(wrong)
    return full[0].copy(), shape


def _rearrange(model: Any, node: Any, chain: _Chain, others: Mapping[str, np.ndarray], path: str) -> None:
    """A node that moves entries: tried on distinct numbers, it must leave those of each point together and in order."""
    K, k = chain.points, chain.entries
    distinct = np.arange(float(K * k)).reshape(K, k)
    before = (distinct if chain.rows else distinct.T).reshape(chain.shape)
    after = _evaluated(model, node, {chain.value: before, **others}, path)[0]
    rows, columns = (np.array_equal(after.ravel(), each.ravel()) for each in (distinct, distinct.T))
    if not rows and not columns:
        raise InputError(f"{path}: {_words(node)} mixes points or reorders their entries; give {READ}")
    chain.rows, chain.columns, chain.shape = rows, columns, after.shape


def _require_activation(node: Any, problem: Problem, path: str) -> None:
    activation = problem.activation
    if node.op_type == "LeakyRelu":
        read = np.float32(_options(node).get("alpha", 0.01))
    else:
        read = np.float32({"Relu": 0.0, "Abs": -1.0}[node.op_type])
    if activation.a_plus != 1.0 or read != np.float32(activation.a_minus):
        raise InputError(
            f"{path}: {_words(node)} has the left slope {read:g}, the activation of the instance {activation.a_minus:g}"
        )


def _words(node: Any) -> str:
    return f"{node.op_type} {node.name}".rstrip()


def _options(node: Any) -> dict[str, Any]:
    """The numbers among the attributes: integers and floats."""
    return {each.name: each.f if each.type == each.FLOAT else each.i for each in node.attribute}


# -- the file ----------------------------------------------------------------------------------------------------------


def _load(path: str) -> Any:
    """The model, data in other files included, functions put in place of their calls."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise InputError(f"{path}: reading an ONNX file needs onnx (pip install 'cpcert[onnx]')") from None
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except DecodeError:
        raise InputError(f"{path}: is not an ONNX file") from None
    if model.functions:
        from onnx.inliner import inline_local_functions

        try:
            model = inline_local_functions(model)
        except Exception as error:  # the inliner is C++ and raises what it likes
            raise InputError(f"{path}: has functions that cannot be put in place ({type(error).__name__})") from None
    graph = model.graph
    texts = [
        text
        for n in graph.node
        for text in (n.op_type, n.domain, n.name, *n.input, *n.output, *(a.name for a in n.attribute))
    ]
    texts += [each.name for each in (*graph.input, *graph.output, *graph.initializer)]
    if not all(isinstance(text, str) for text in texts):  # protobuf gives bytes where text is not UTF-8
        raise InputError(f"{path}: is a damaged ONNX file, with names that are no text")
    tensors = list(graph.initializer)
    tensors += [each.t for node in graph.node for each in node.attribute if each.type == each.TENSOR]
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _fetch(tensor, path)
    return model


def _fetch(tensor: Any, path: str) -> None:
    """Read the numbers of a tensor that are kept in another file, which has to lie in the folder of the model."""
    from onnx.external_data_helper import load_external_data_for_tensor

    location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
    folder = Path(path).resolve().parent
    try:
        file = (folder / location).resolve()
        if not location or not file.is_relative_to(folder) or Path(location).is_absolute():
            raise InputError(
                f"{path}: {tensor.name} is kept in {location!r}, outside the folder of the model; that is not read"
            )
        if not file.is_file():
            raise InputError(f"{path}: {tensor.name} is kept in {location}, which is missing; put it beside the model")
        load_external_data_for_tensor(tensor, str(folder))
    except InputError:
        raise
    except Exception as error:  # a damaged offset or length: ValueError, or onnx's own kinds
        raise InputError(f"{path}: {tensor.name} cannot be read from {location!r} ({type(error).__name__})") from None


def _initializers(graph: Any, path: str) -> dict[str, np.ndarray]:
    from onnx import numpy_helper

    if graph.sparse_initializer:
        raise InputError(f"{path}: has sparse tensors; save it with dense ones")
    found = {}
    for tensor in graph.initializer:
        try:
            array = numpy_helper.to_array(tensor)
        except Exception as error:  # ValueError, TypeError, KeyError (a type that is none), and onnx's own
            raise InputError(f"{path}: {tensor.name} cannot be read ({error})") from None
        found[tensor.name] = array
    return found


def _input(graph: Any, constants: Mapping[str, np.ndarray], problem: Problem, path: str) -> Any:
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or not graph.output:
        raise InputError(
            f"{path}: has {len(inputs)} inputs and {len(graph.output)} outputs; give a network with one of each"
        )
    if inputs[0].type.tensor_type.elem_type not in _unit_roundoffs():
        raise InputError(f"{path}: its input {inputs[0].name} holds no floating point numbers; give {READ}")
    return inputs[0]


def _shape(value: Any, problem: Problem, path: str) -> tuple[int, ...]:
    """The shape of the input for one batch: what the file says of it, BATCH points where that is open."""
    n0 = problem.n0
    declared = value.type.tensor_type
    if not declared.HasField("shape"):
        return BATCH, n0
    sizes = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in declared.shape.dim]
    if sizes == [n0] and n0 > 1:
        return (n0,)  # one point
    first, rest = (sizes[0] or BATCH, sizes[1:]) if sizes else (1, [])
    if rest.count(None) == 1:
        known = math.prod(size for size in rest if size is not None)
        rest = [max(1, n0 // known) if size is None else size for size in rest]
    if not sizes or None in rest or math.prod(size for size in rest if size is not None) != n0:
        shape = ", ".join("?" if size is None else str(size) for size in sizes)
        raise InputError(f"{path}: takes inputs of shape ({shape}), and the instance has {n0} features")
    if first * n0 > LARGEST:
        raise InputError(f"{path}: takes {first} points at once, more than can be compared; export it for fewer")
    return first, *(size for size in rest if size is not None)


# -- evaluation --------------------------------------------------------------------------------------------------------


def _evaluated(model: Any, node: Any, values: Mapping[str, np.ndarray], path: str) -> list[np.ndarray]:
    """The outputs of one node, by onnx's reference evaluator."""
    import onnx

    inputs = [onnx.ValueInfoProto(name=name) for name in values]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    single = onnx.helper.make_model(
        onnx.helper.make_graph([node], "node", inputs, outputs), opset_imports=model.opset_import
    )
    found = _run(_evaluator(single, path), dict(values), path, _words(node))
    if sum(each.size for each in found) > LARGEST:
        raise InputError(f"{path}: {_words(node)} makes more than {LARGEST} numbers")
    return found


def _function(
    model: Any, given: Any, batch: tuple[int, ...], chain: _Chain, last: int, path: str
) -> Callable[[np.ndarray], np.ndarray]:
    """X (K, n_0) -> (K, m): the file's own outputs, up to its node number `last`."""
    import onnx

    until = onnx.ModelProto()
    until.CopyFrom(model)
    del until.graph.node[last + 1 :]
    del until.graph.output[:]
    until.graph.output.append(onnx.ValueInfoProto(name=chain.value))
    evaluator = _evaluator(until, path)
    kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)

    def function(X: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(X), chain.points):
            rows = X[start : start + chain.points]
            (Z,) = _run(evaluator, {given.name: rows.reshape(batch).astype(kind)}, path, "the graph")
            Z = _float64(Z)
            parts.append(Z.reshape(chain.points, -1) if chain.rows else Z.reshape(-1, chain.points).T)
        return np.concatenate(parts)

    return function


def _evaluator(model: Any, path: str) -> Any:
    from onnx.reference import ReferenceEvaluator

    try:
        return ReferenceEvaluator(model)
    except Exception as error:  # an operator or an opset that onnx does not know
        raise InputError(f"{path}: cannot be evaluated ({_first_line(error)})") from None


def _run(evaluator: Any, values: dict[str, np.ndarray], path: str, what: str) -> list[np.ndarray]:
    try:
        with np.errstate(all="ignore"):
            return [np.asarray(each) for each in evaluator.run(None, values)]
    except Exception as error:  # whatever a damaged node makes of numpy
        raise InputError(f"{path}: {what} cannot be evaluated ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _float64(array: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # NaN: Network says where
        return array.astype(np.float64)


def _opset(model: Any) -> int:
    return max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=1)


def _unit_roundoffs() -> dict[int, float]:
    from onnx import TensorProto

    types = {TensorProto.DOUBLE: 52, TensorProto.FLOAT: 23, TensorProto.FLOAT16: 10, TensorProto.BFLOAT16: 7}
    return {kind: 2.0**-bits for kind, bits in types.items()}


def _unit_roundoff(model: Any, given: Any) -> float:
    """That of the coarsest type in which the file computes."""
    known = _unit_roundoffs()
    kinds = {given.type.tensor_type.elem_type, *(tensor.data_type for tensor in model.graph.initializer)}
    kinds |= {_options(node).get("to", 0) for node in model.graph.node if node.op_type == "Cast"}
    if any(node.op_type == "LeakyRelu" for node in model.graph.node):
        kinds.add(1)  # FLOAT: whatever the type of the data, the slope is one
    return max(known[kind] for kind in kinds if kind in known)
