"""From named arrays to a network: which are Linear layers, in what order they act, if the function is the same.

A state dict has no order that can be trusted: PyTorch lists layers as they were declared, not as they are called. What
can be trusted is the chain of shapes, from the features of the problem to its outputs, and the numbers that containers
give their members. Where these leave more than one order, or contradict each other, the user has to say it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cpcert.errors import InputError
from cpcert.losses import LOSSES
from cpcert.network import Network
from cpcert.problem import Problem

# All orders of at most so many layers are tried; longer networks are ordered by their numbers alone.
MOST_TRIED = 8
# So many points, at least, at which two functions are compared; the same every time.
COMPARED, SEED = 48, 0
# From this unit roundoff on (half precision), points much larger than the data would overflow.
HALF = 2.0**-11


@dataclass(frozen=True, eq=False)
class Layer:
    """z = Wx + bias. W: (n_out, n_in), bias: (n_out,) or None, float64. tensor: equal for layers that share one tensor."""

    name: str
    W: np.ndarray
    bias: np.ndarray | None = None
    tensor: Hashable = field(default_factory=object)

    def __str__(self) -> str:
        return f"{self.name} ({self.W.shape[1]} → {self.W.shape[0]})"


def network_of(layers: Sequence[Layer], problem: Problem, source: str) -> Network:
    """The network of these layers in this order: W_ℓ = [W | bias/β]. It fits the problem, or InputError names what does not."""
    weights = []
    for layer in layers:
        W, bias = layer.W, layer.bias
        if bias is not None and bias.shape != (len(W),):
            raise InputError(f"{source}: {layer.name} has {len(W)} rows and a bias of shape {bias.shape}")
        if problem.beta != 0.0:
            W = np.column_stack([W, np.zeros(len(W)) if bias is None else bias / problem.beta])
        elif bias is not None and np.any(bias):
            raise InputError(
                f"{source}: {layer.name}.bias is not zero, and the instance has beta = 0; train with bias=False"
            )
        weights.append(W)
    try:
        network = Network(tuple(weights), problem.activation, problem.beta)
        network.check_fits(problem)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    return network


# -- what the arrays are -----------------------------------------------------------------------------------------------


def linear_layers(
    state: Mapping[str, np.ndarray], source: str, tensors: Mapping[str, Hashable] | None = None
) -> list[Layer]:
    """The Linear layers NAME.weight (out, in), NAME.bias (out,), in the order of the mapping.

    tensors: for each key something equal where the memory is the same. Raises InputError for arrays that are anything else, saying
    what they look like.
    """
    modules: dict[str, dict[str, np.ndarray]] = {}
    for key, value in state.items():
        name, _, kind = key.rpartition(".")
        modules.setdefault(name, {})[kind] = value
    layers = []
    # A parametrized layer has its bias where it always is, and its weights elsewhere: say the latter first.
    for name, parts in sorted(modules.items(), key=lambda item: "parametrizations" not in item[0].split(".")):
        if parts.keys() == {"bias"} and parts["bias"].ndim == 1:
            raise InputError(f"{source}: {name} has a bias but no weight")
        linear = "weight" in parts and parts.keys() <= {"weight", "bias"} and parts["weight"].ndim == 2
        if not linear or ("bias" in parts and parts["bias"].ndim != 1):
            raise InputError(f"{source}: {_others(name, parts)}")
        bias = np.asarray(parts["bias"], dtype=np.float64) if "bias" in parts else None
        key = f"{name}.weight" if name else "weight"
        tensor = object() if tensors is None else tensors[key]
        layers.append(Layer(name or "weight", np.asarray(parts["weight"], dtype=np.float64), bias, tensor))
    if not layers:
        raise InputError(f"{source}: holds no tensors; give a network of Linear layers")
    return layers


def _others(name: str, parts: Mapping[str, np.ndarray]) -> str:
    """What a group of arrays that is no Linear layer looks like, and what to do."""
    shape = parts["weight"].shape if "weight" in parts else ()
    entry = f"{name}.{next(iter(parts))}" if name else next(iter(parts))
    right = "only Linear layers are read"
    if {"running_mean", "running_var", "num_batches_tracked"} & parts.keys():
        return f"{name} is a BatchNorm layer (it has running means); {right}: fold it into the layer before it"
    if "parametrizations" in name.split(".") or {"weight_g", "weight_orig", "weight_mask"} & parts.keys():
        what = "weight_norm, spectral_norm, a parametrization or pruning"
        return f"{entry} comes from {what}; remove it (remove_parametrizations, remove_weight_norm, prune.remove) and save again"
    if "in_proj_weight" in parts:
        return f"{name} is an attention layer; {right}"
    if any(re.fullmatch("(weight|bias)_(ih|hh).*", key) for key in parts):
        return f"{name} is a recurrent layer; {right}"
    if {"scale", "zero_point"} <= parts.keys():
        return f"{name} is a quantized layer; {right}: save the network in floating point"
    if len(shape) in (3, 4, 5):
        return f"{entry} has shape {shape}, as in Conv{len(shape) - 2}d: it is not part of a Linear layer; {right}"
    if len(shape) == 1:
        kind = "a normalization (LayerNorm, BatchNorm without running means) or PReLU"
        return f"{entry} of shape {shape} is not part of a Linear layer, but perhaps of {kind}; {right}"
    odd = next(key for key, value in parts.items() if (key, value.ndim) not in (("weight", 2), ("bias", 1)))
    return f"{f'{name}.{odd}' if name else odd} of shape {parts[odd].shape} is not part of a Linear layer; {right}"


# -- their order -------------------------------------------------------------------------------------------------------


def ordered(
    layers: Sequence[Layer], problem: Problem, source: str, order: Sequence[str] | None = None, declared: bool = True
) -> list[Layer]:
    """The layers in the order in which they act: as `order` says, or as shapes and numbers decide it.

    An order fits if it chains: n_0 features, equal widths between neighbours, m outputs. Of two layers whose names first differ in
    a number (0 and 2, fc1 and fc2) the smaller comes first. One order that fits, and no number against it: that one. Several: the
    one that the numbers leave, provided that the layers are also declared so (declared: the sequence is that of a declaration).
    Anything else raises InputError with the names: a wrong guess would be a verdict about another network.

    order: names of the layers, whole or without what all names begin with. Layers not named there are left out.
    """
    if order is not None:
        return _chosen(layers, problem, source, order)
    names = ", ".join(map(str, layers))
    advice = "name the layers in the order in which they act: --layers NAME,NAME (in Python layers=[NAME, NAME])"
    twice = [(a, b) for i, a in enumerate(layers) for b in layers[:i] if a.tensor == b.tensor]
    if twice:
        a, b = twice[0][1].name, twice[0][0].name
        raise InputError(
            f"{source}: {a} and {b} are the same tensor (one layer under two names, or tied weights); {advice}"
        )
    for layer in layers:
        if layer.bias is None and re.search("emb", layer.name, re.IGNORECASE):
            raise InputError(
                f"{source}: {layer} is an embedding by its name; only Linear layers are read, and if this is one, {advice}"
            )
    if len(layers) != problem.depth:
        raise InputError(
            f"{source}: has depth {len(layers)}, with the layers {names}; the instance has depth {problem.depth}"
        )
    _require_activations(layers, problem, source, advice)
    against = {(b, a) for a in layers for b in layers if _before(a, b)}
    if len(layers) > MOST_TRIED:
        by_number = _by_number(layers)
        if by_number is None:
            raise InputError(f"{source}: the numbers in the names {names} do not order all layers; {advice}")
        fitting, several = [by_number] if _chains(by_number, problem) else [], True
    else:
        every = list(_chained(list(layers), problem.n0, problem.m))
        fitting = [each for each in every if against.isdisjoint(itertools.combinations(each, 2))]
        several = len(every) > 1
        if not every:
            raise InputError(
                f"{source}: no order of the layers {names} leads from {problem.n0} features to {problem.m} outputs"
            )
    contradicted = declared and not against.isdisjoint(itertools.combinations(layers, 2))
    if len(fitting) == 1 and not (several and contradicted):
        return fitting[0]
    if not fitting:
        raise InputError(
            f"{source}: the shapes of {names} do not chain in the order of the numbers in the names; {advice}"
        )
    raise InputError(
        f"{source}: the layers {names} chain in more than one order, and neither shapes nor numbers decide; {advice}"
    )


def _chosen(layers: Sequence[Layer], problem: Problem, source: str, order: Sequence[str]) -> list[Layer]:
    common = _common_prefix([layer.name for layer in layers])
    by_name = {layer.name.removeprefix(common): layer for layer in layers} | {layer.name: layer for layer in layers}
    for name in order:
        if name not in by_name:
            raise InputError(f"layers: {name!r} is not a layer of {source}; it has {', '.join(map(str, layers))}")
    found = [by_name[name] for name in order]
    if len({layer.tensor for layer in found}) < len(found):
        raise InputError(f"layers: {', '.join(order)} names a layer, or one tensor, twice; a layer acts once")
    if len(found) != problem.depth:
        raise InputError(f"layers: names {len(found)} layers; the instance has depth {problem.depth}")
    if not _chains(found, problem):
        raise InputError(
            f"layers: {', '.join(map(str, found))} do not lead from {problem.n0} features to {problem.m} outputs"
        )
    return found


def _common_prefix(names: Sequence[str]) -> str:
    """The modules that all names begin with: 'net.' for net.0 and net.2."""
    parts = [name.split(".")[:-1] for name in names]
    common = 0
    while all(len(each) > common and each[common] == parts[0][common] for each in parts):
        common += 1
    return "".join(f"{part}." for part in parts[0][:common])


def _require_activations(layers: Sequence[Layer], problem: Problem, source: str, advice: str) -> None:
    """Raise InputError where numbers say that two layers follow each other in a Sequential with nothing between.

    0 and 1 without a prefix are the names of a Sequential. net.0 and net.1 may be those of a ModuleList, whose members are all
    layers; where net.3 comes next they are not.
    """
    if (problem.activation.a_plus, problem.activation.a_minus) == (1.0, 1.0):
        return
    numbers: dict[str, set[int]] = {}
    for layer in layers:
        prefix, _, last = layer.name.rpartition(".")
        if re.fullmatch("[0-9]{1,9}", last):
            numbers.setdefault(prefix, set()).add(int(last))
    for prefix, found in numbers.items():
        neighbours = [k for k in sorted(found) if k + 1 in found]
        if neighbours and (prefix == "" or len(neighbours) < len(found) - 1):
            first, second = (f"{prefix}.{k}".lstrip(".") for k in (neighbours[0], neighbours[0] + 1))
            raise InputError(
                f"{source}: {first} and {second} are neighbours in a Sequential, with no activation between; "
                f"if there is one, {advice}"
            )


def _chains(layers: Sequence[Layer], problem: Problem) -> bool:
    widths = [problem.n0, *(layer.W.shape[0] for layer in layers)]
    return widths[-1] == problem.m and all(layer.W.shape[1] == n for layer, n in zip(layers, widths, strict=False))


def _chained(layers: list[Layer], n: int, m: int) -> Iterator[list[Layer]]:
    """All orders of all layers that lead from n numbers to m."""
    if not layers:
        if n == m:
            yield []
        return
    for index, layer in enumerate(layers):
        if layer.W.shape[1] == n:
            for rest in _chained(layers[:index] + layers[index + 1 :], layer.W.shape[0], m):
                yield [layer, *rest]


def _before(a: Layer, b: Layer) -> bool:
    """Whether the names say that a comes before b: where they first differ, both have the same stem and a the smaller number."""
    for mine, other in zip(a.name.split("."), b.name.split("."), strict=False):
        if mine != other:
            stems = [re.fullmatch("(.*?)([0-9]+)", part) for part in (mine, other)]
            if stems[0] is None or stems[1] is None or stems[0][1] != stems[1][1]:
                return False
            first, second = (stem[2].lstrip("0") for stem in stems if stem is not None)
            return (len(first), first) < (len(second), second)
    return False


def _by_number(layers: Sequence[Layer]) -> list[Layer] | None:
    """The layers in the order of their numbers; None if the names do not say of every two which is the first."""
    by_rank = {sum(_before(b, a) for b in layers): a for a in layers}
    return [by_rank[k] for k in range(len(layers))] if len(by_rank) == len(layers) else None


# -- the same function -------------------------------------------------------------------------------------------------


def require_same_function(
    network: Network,
    function: Callable[[np.ndarray], np.ndarray],
    problem: Problem,
    source: str,
    unit_roundoff: float,
    batch: int = 1,
    head: Callable[[np.ndarray], np.ndarray] | None = None,
) -> None:
    """Compare head(network(X)) with function(X) at points of the data and at random ones up to 100 times their size.

    function: (K, n_0) -> (K, m), K a multiple of `batch`, computed with the given unit roundoff. head: a softmax or sigmoid, which
    does not magnify errors. What the two may differ by is relative to the outputs with absolute values everywhere. Raises InputError
    where they differ by more: another function was read.
    """
    rng = np.random.default_rng(SEED)
    count = -(-COMPARED // batch) * batch
    X = problem.X[rng.permutation(problem.N)[np.arange(count) % problem.N]]
    scales = np.resize([0.0, 1.0] if unit_roundoff >= HALF else [0.0, 1.0, 10.0, 100.0], (count, 1))
    random = scales * (np.abs(X).max() + 1.0) * rng.standard_normal(X.shape)
    X = np.where(scales > 0.0, random, X).astype(np.float32).astype(np.float64)
    found = np.asarray(function(X), dtype=np.float64)
    expected = network.outputs(X) if head is None else head(network.outputs(X))
    if found.size != expected.size:
        raise InputError(
            f"{source}: has outputs of shape {found.shape} at {count} points; {problem.m} at each are needed"
        )
    size = np.abs(network.inputs(X))
    for index, W in enumerate(network.weights):
        size = np.abs(W) @ size
        if index < network.depth - 1:
            size = network.activation.lipschitz * size
            size = np.vstack([size, np.full((1, count), abs(network.beta))]) if network.beta != 0.0 else size
    steps = 32.0 * network.depth * np.sqrt(max(network.widths) + 1.0)
    difference = np.abs(found.reshape(expected.shape) - expected)
    least = 1e-30 if head is None else 1.0
    if not np.all(difference <= steps * unit_roundoff * (least + size.T)):
        worst = float(np.nanmax(difference)) if not np.all(np.isnan(difference)) else np.nan
        raise InputError(
            f"{source}: computes another function than its Linear layers with {network.activation.name} between "
            f"(outputs differ by {worst:.3g}); nothing else may act, and a softmax or sigmoid at the end belongs to the loss"
        )


def head_of(name: str, problem: Problem, source: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function (K, m) -> (K, m) that turns outputs into probabilities, if the loss of the problem has the same inside.

    The network is what it is applied to. Raises InputError for another loss and another name than these.
    """
    owner = next((each for each in LOSSES.values() if name in each.heads), None)
    if owner is None:
        raise InputError(f"{source}: has {name}, which is not read; end with the last linear layer")
    if name not in problem.loss.heads:
        raise InputError(
            f"{source}: has {name}, which may end a network with the loss {owner.name}; "
            f"the instance has the loss {problem.loss.name}"
        )
    return {"Softmax": lambda Z: np.exp(_log_softmax(Z)), "LogSoftmax": _log_softmax, "Sigmoid": _sigmoid}[name]


def _log_softmax(Z: np.ndarray) -> np.ndarray:
    shifted = Z - Z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _sigmoid(Z: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * Z))
