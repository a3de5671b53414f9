"""PyTorch: state dicts in files, alone or in a checkpoint, and live modules.

Files are read with `weights_only`, so nothing in them is executed. What that unpickler does not know (a numpy scalar,
the options of a training run) is replaced by an inert object; a network is then whatever tensors are left.
"""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from cpcert.errors import InputError
from cpcert.models.layers import Layer, linear_layers, network_of, ordered, require_same_function
from cpcert.network import Network
from cpcert.problem import Problem

# Checkpoints are searched so deep: {"model": {"state_dict": {...}}}.
DEEPEST = 3
# What numpy scalars and arrays need. Files of the older format do not list what they need.
NUMPY = {
    f"numpy.{name}"
    for name in (
        "core.multiarray.scalar", "_core.multiarray.scalar", "core.multiarray._reconstruct", "_core.multiarray._reconstruct",
        "dtype", "ndarray",
    )
}  # fmt: skip
SAVE = "save model.state_dict()"


class _Unknown:
    """Stands for an object of a kind that is not read: takes any arguments and does nothing with them."""

    def __new__(cls, *args: Any, **options: Any) -> _Unknown:
        return object.__new__(cls)

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_torch(path: str, problem: Problem, order: Sequence[str] | None) -> tuple[Network, list[Layer]]:
    """The network in the file, and its layers. Raises InputError, naming what was found instead."""
    state = _state_dict_in(_load(path), path)
    layers = ordered(torch_layers(state, path), problem, path, order)
    return network_of(layers, problem, path), layers


def torch_layers(state: Mapping[str, Any], source: str) -> list[Layer]:
    """The Linear layers of a mapping of tensors, in its order; float16, bfloat16 and float32 become float64 exactly."""
    import torch

    arrays: dict[str, np.ndarray] = {}
    tensors: dict[str, Hashable] = {}
    for key, value in state.items():
        if not isinstance(value, torch.Tensor):
            hint = "a quantized layer" if "_packed_params" in str(key) else f"{_kind(value)}, not a tensor"
            raise InputError(f"{source}: {key} is {hint}; only Linear layers are read")
        if value.is_quantized:
            raise InputError(f"{source}: {key} is quantized ({value.dtype}); save the network in floating point")
        if value.is_meta or value.layout != torch.strided:
            raise InputError(
                f"{source}: {key} is not a dense tensor with values; weights must be dense floating point numbers"
            )
        if value.is_complex() or not (value.is_floating_point() or str(key).endswith("num_batches_tracked")):
            raise InputError(f"{source}: {key} has type {value.dtype}; weights must be dense floating point numbers")
        shared = value.numel() > 0
        tensors[str(key)] = (value.untyped_storage().data_ptr(), value.storage_offset()) if shared else object()
        arrays[str(key)] = value.detach().to("cpu", torch.float64).numpy()
    return linear_layers(arrays, source, tensors)


# -- files -------------------------------------------------------------------------------------------------------------


def _load(path: str) -> Any:
    try:
        import torch
    except ImportError:
        raise InputError(f"{path}: reading a PyTorch file needs torch (pip install 'cpcert[train]')") from None
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.rpartition("/")[2] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        names = []  # an older format, or torch.load says what is wrong
    if "constants.pkl" in names:
        raise InputError(f"{path}: is a TorchScript archive, a program; {SAVE} of the network before torch.jit")
    if "archive_format" in names or "serialized_exported_program.json" in names:
        raise InputError(f"{path}: is an exported program (torch.export); {SAVE} of the network before it")
    try:
        unknown = NUMPY.union(torch.serialization.get_unsafe_globals_in_checkpoint(path) if names else [])
        inert = [(type(name.rpartition(".")[2], (_Unknown,), {"kind": name}), name) for name in sorted(unknown)]
        with torch.serialization.safe_globals(inert):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:
        # Damaged files were seen to raise a dozen types, IndexError, KeyError and UnicodeDecodeError among them; whatever the type,
        # the file cannot be read.
        text = str(error)
        named = text.partition("GLOBAL ")[2].split()[:1]
        said = text.partition("WeightsUnpickler error: ")[2].strip().splitlines()[:1]
        found = f"it holds {named[0]}" if named else f"{type(error).__name__}{': ' if said else ''}{''.join(said)}"
        raise InputError(f"{path}: is not a state dict that can be read safely ({found}); {SAVE}") from None


def _state_dict_in(loaded: Any, path: str) -> Mapping[str, Any]:
    """The one mapping with matrices in what was loaded, which may be a checkpoint around it."""
    if isinstance(loaded, _Unknown):
        raise InputError(
            f"{path}: is a whole {_kind(loaded)}, which is a program; {SAVE}, or give the module in Python"
        )
    if not isinstance(loaded, Mapping):
        raise InputError(f"{path}: is {_kind(loaded)}, not a state dict; {SAVE}")
    if _is_optimizer(loaded):
        raise InputError(f"{path}: is the state of an optimizer, without the network; {SAVE}")
    found = list(_with_matrices(loaded, "", DEEPEST))
    whole = any(_kind(value).startswith("torch.nn.") for value in loaded.values())
    if len(found) == 1 and not whole:
        return found[0][1]
    if found and not whole:
        names = ", ".join(name for name, _ in found)
        raise InputError(f"{path}: holds several state dicts, {names}; save the one you mean by itself")
    if len(loaded) and all(_is_tensor(value) for value in loaded.values()):
        return loaded  # tensors, but no matrix: `linear_layers` says what they are
    entries = [f"{key} ({_kind(value)})" for key, value in loaded.items()]
    packed = [str(key) for key in loaded if "_packed_params" in str(key)]
    if packed:
        raise InputError(f"{path}: {packed[0]} is a quantized layer; save the network in floating point")
    what = "a whole module" if whole else "no state dict"
    raise InputError(f"{path}: holds {what}: {', '.join(entries[:8]) or 'nothing'}; {SAVE}")


def _with_matrices(mapping: Mapping[Any, Any], name: str, deepest: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, mapping) for each mapping inside this one, itself included, that has a matrix or another weight among its values."""
    if _is_optimizer(mapping) or deepest == 0:
        return
    if any(_is_tensor(value) and (value.dim() > 1 or str(key).endswith("weight")) for key, value in mapping.items()):
        yield name or "the file itself", mapping
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _with_matrices(value, f"{name}.{key}" if name else str(key), deepest - 1)


def _is_optimizer(mapping: Mapping[Any, Any]) -> bool:
    return "param_groups" in mapping and "state" in mapping


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _kind(value: Any) -> str:
    """What an object is, for a message."""
    if isinstance(value, _Unknown):
        return str(getattr(value, "kind", "object"))
    return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")


# -- live modules ------------------------------------------------------------------------------------------------------


def read_module(module: Any, problem: Problem, order: Sequence[str] | None) -> tuple[Network, list[Layer]]:
    """The network that a torch.nn.Module computes in evaluation mode, and its layers in the order of its forward pass.

    A copy of the module is run, in float64 if it can be, so the order of the calls is seen and the outputs are compared. Raises
    InputError for layers other than Linear, for a layer that is used twice or not at all, and where the outputs differ.
    """
    import torch

    module = getattr(module, "_orig_mod", module)  # torch.compile
    source = type(module).__name__
    names = {name for name, _ in module.named_modules()}  # a module that is registered twice is named once
    state = {key: value for key, value in module.state_dict().items() if key.rpartition(".")[0] in names}
    layers = torch_layers(state, source)
    failure = ""
    for dtype in (torch.float64, torch.float32):
        try:
            inner = copy.deepcopy(module).to("cpu", dtype).eval()
            calls = _calls(inner, problem, dtype)
        except Exception as error:  # whatever the user's forward raises
            failure = failure or f"{type(error).__name__}: {error}"
            continue
        network, found = _by_calls(layers, calls, problem, source, order)
        function = partial(_outputs, inner, dtype)
        require_same_function(network, function, problem, source, torch.finfo(dtype).eps)
        return network, found
    raise InputError(f"{source}: its forward pass fails on {problem.n0} features ({failure.splitlines()[0]})")


def _by_calls(
    layers: list[Layer], calls: list[str], problem: Problem, source: str, order: Sequence[str] | None
) -> tuple[Network, list[Layer]]:
    by_name = {layer.name: layer for layer in layers}
    if order is None and calls:
        twice = [name for name in by_name if calls.count(name) > 1]
        if twice:
            raise InputError(f"{source}: {twice[0]} is used {calls.count(twice[0])} times; every layer may act once")
        unused = [name for name in by_name if name not in calls]
        if unused:
            raise InputError(
                f"{source}: {', '.join(unused)} is no part of the forward pass; remove it, or name the others: layers=[NAME, NAME]"
            )
        order = calls
    chosen = ordered(layers, problem, source, order)
    return network_of(chosen, problem, source), chosen


def _calls(module: Any, problem: Problem, dtype: Any) -> list[str]:
    """The names of the Linear modules in the order in which a forward pass calls them."""
    import torch

    calls: list[str] = []
    for name, each in module.named_modules():
        if isinstance(each, torch.nn.Linear):
            each.register_forward_hook(lambda *_, name=name: calls.append(name or "weight"))
    _outputs(module, dtype, problem.X[:2])
    return calls


def _outputs(module: Any, dtype: Any, X: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        outputs = module(torch.from_numpy(np.array(X)).to(dtype))
    if not isinstance(outputs, torch.Tensor):
        raise TypeError(f"it returns {type(outputs).__name__}, not one tensor")
    return outputs.to(torch.float64).numpy()
