"""Instance files: YAML in, a validated `Instance` and its `Problem` out.

    name: diabetes-40            # default: the file's stem
    data: {source: diabetes, points: 40, seed: 0}
    loss: mse                    # mse | cross_entropy | logistic | interpolate
    activation: relu             # relu | leaky_relu (with slope in (−1, 1)) | abs | linear
    depth: 2
    beta: 1.0
    lambda: 1.0e-2               # required, except for interpolate, which has none
    sample_weight: [1, 2, …]     # how much each point counts, by default the same; or data.weights, a column of a table
    class_weight: balanced       # or {class: weight}; by default all the same
    solve: {gap: 1.0e-6, time_limit: 60}
    train: {widths: 1:64, seeds: 5}   # for the commands train and plateau

The data sources and their keys are in cpcert/data/sources.py. The file is read as YAML 1.2 (core schema): `1e-2` is a
number, `no` is text, and a number means its nearest float64. An unknown key, a key given twice and a value of the wrong
type are errors; nothing is guessed.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import numpy as np
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from cpcert.data.sources import AnySource, File, Source
from cpcert.errors import InputError
from cpcert.losses import LOSSES
from cpcert.numbers import parse_integer
from cpcert.problem import Columns, Problem, unchecked
from cpcert.units import Units

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SolveSettings(BaseModel):
    """How hard `cpcert solve` tries; the command line overrides each of these."""

    model_config = _STRICT

    gap: Annotated[float, Field(ge=0, description="give the relative gap to prove, a number >= 0 such as 1e-6")] = 1e-6
    time_limit: Annotated[float, Field(gt=0, description="give a number of seconds > 0")] = 60.0
    node_limit: Annotated[int | None, Field(ge=1, description="give a number of branch-and-bound nodes >= 1")] = None
    max_iterations: Annotated[int, Field(ge=1, description="give a number of Frank-Wolfe iterations >= 1")] = 1000
    method: Annotated[
        Literal["corrective", "vanilla", "away", "pairwise"],
        Field(description="use one of corrective, vanilla, away, pairwise"),
    ] = "corrective"
    seed: Annotated[int, Field(ge=0, description="give an integer >= 0")] = 0


class TrainSettings(BaseModel):
    """The networks that `cpcert train` and `cpcert plateau` train; the command line overrides each of these."""

    model_config = _STRICT

    widths: Annotated[str, Field(description="give widths like 1:64, or 1:8,10:50:10,100")] = "1:16"
    seeds: Annotated[int, Field(ge=1, description="give how many networks of each width, an integer >= 1")] = 3
    lambdas: Annotated[
        list[Annotated[float, Field(gt=0)]] | None,
        Field(min_length=1, description="give a list of weights of the penalty, finite numbers > 0"),
    ] = None
    epochs: Annotated[int, Field(ge=0, description="give a number of steps of Adam, an integer >= 0")] = 5000
    descent: Annotated[int, Field(ge=0, description="give a number of steps of gradient descent, an integer >= 0")] = (
        1000
    )
    polish: Annotated[int, Field(ge=0, description="give a number of steps of L-BFGS, an integer >= 0")] = 0
    rate: Annotated[float, Field(gt=0, description="give the first learning rate of Adam, a number > 0")] = 0.01


def _known_loss(name: str) -> str:
    if name not in LOSSES:
        raise InputError(f"loss: is {_shown(name)}; {_right(Instance, 'loss')}{_did_you_mean(name, list(LOSSES))}")
    return name


class Instance(BaseModel):
    """A problem as its file states it. `problem()` reads the data and makes the `Problem`."""

    model_config = _STRICT

    # It becomes part of file names, hence no separators; and it must not hide a file or climb out of a folder.
    name: Annotated[
        str, Field(pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$", description="give a text that can be a file name")
    ]
    data: Annotated[AnySource, Field(discriminator="source", description="give the data source and its keys")]
    loss: Annotated[str, Field(description=f"use one of {', '.join(LOSSES)}"), AfterValidator(_known_loss)] = "mse"
    activation: Annotated[
        Literal["relu", "leaky_relu", "abs", "linear"],
        Field(description="use one of relu, leaky_relu, abs, linear"),
    ] = "relu"
    slope: Annotated[float | None, Field(description="give the left slope of leaky_relu, a number in (-1, 1)")] = None
    depth: Annotated[int, Field(ge=2, description="give the number of weight matrices, an integer >= 2")] = 2
    beta: Annotated[float, Field(description="give a finite number; 0 means no biases")] = 1.0
    lam: Annotated[
        float | None, Field(alias="lambda", gt=0, description="give the weight of the penalty, a finite number > 0")
    ] = None
    sample_weight: Annotated[
        list[Annotated[float, Field(gt=0)]] | None,
        Field(description="give a list of one number > 0 for each point"),
    ] = None
    class_weight: Annotated[
        Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None,
        Field(description="use balanced, or give a weight > 0 for each class, such as {setosa: 2}"),
    ] = None
    solve: Annotated[SolveSettings, Field(description="give settings such as {gap: 1e-6, time_limit: 60}")] = (
        SolveSettings()
    )
    train: Annotated[TrainSettings, Field(description="give settings such as {widths: 1:64, seeds: 5}")] = (
        TrainSettings()
    )

    # The file it came from: error messages name it, and relative paths in `data` start at its folder.
    _file: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _combinations(self) -> Instance:
        """What no single key shows; the same rules as Problem's, but before any data is read."""
        constraint = LOSSES[self.loss].is_constraint
        if constraint and self.lam is not None:
            raise InputError(f"lambda: {self.loss} has no lambda (it counts as 1); leave it out")
        if not constraint and self.lam is None:
            raise InputError(f"lambda: is missing, and the loss {self.loss} needs it; {_right(Instance, 'lam')}")
        if self.activation == "leaky_relu" and (self.slope is None or not -1.0 < self.slope < 1.0):
            state = "is missing, and leaky_relu needs it" if self.slope is None else f"is {self.slope}"
            raise InputError(f"slope: {state}; {_right(Instance, 'slope')}")
        if self.activation != "leaky_relu" and self.slope is not None:
            raise InputError(f"slope: {self.activation} takes no slope; leave it out, or use leaky_relu")
        return self

    def problem(self) -> Problem:
        """The Problem of this instance. Reads the files it names; raises InputError naming the key."""
        try:
            X, Y, columns = self.read(self.data)
            column = self.data.sample_weight(self._folder) if isinstance(self.data, File) else None
            if column is not None and self.sample_weight is not None:
                raise InputError("sample_weight: data.weights says the same; leave one of them out")
            problem = Problem(
                X,
                Y,
                lam=self.lam,
                loss=self.loss,
                activation=self.activation,
                slope=self.slope,
                beta=self.beta,
                depth=self.depth,
                name=self.name,
                columns=columns,
                sample_weight=self.sample_weight if column is None else column,
                class_weight=self.class_weight,
            )
            units = self._units()
            return problem if units is None else unchecked(problem, units=units)
        except InputError as error:
            raise InputError(f"{self._file}: {error}" if self._file else str(error)) from None

    def read(self, source: Source) -> tuple[np.ndarray, np.ndarray, Columns | None]:
        """X, Y and what the columns are, of this instance's data or of a variant of them (other points, say)."""
        if isinstance(source, File):
            return source.read(self._folder, self.loss)
        return *source.arrays(self._folder), None

    def _units(self) -> Units | None:
        """Those of the data where they are standardized."""
        keys = ("standardize", "standardize_targets")
        wanted = {key: getattr(self.data, key, False) for key in keys}
        if not any(wanted.values()):
            return None
        raw = self.data.model_copy(update={key: False for key in keys if wanted[key]})
        X, Y, _ = self.read(raw)
        return Units.of(X, Y, wanted["standardize"], wanted["standardize_targets"])

    @property
    def _folder(self) -> Path:
        return self._file.parent if self._file else Path()


def load_instance(path: str | os.PathLike[str]) -> Instance:
    """The instance in the YAML file at `path`. Raises InputError: the file, the key, what is wrong, what is right."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = "is a folder" if path.is_dir() else f"cannot be read ({error.strerror})"
        raise InputError(f"{path}: {reason}; give the path of an instance file (.yaml)") from None
    except ValueError as error:  # a path with a null byte
        raise InputError(f"{str(path)!r}: {error}; give the path of an instance file (.yaml)") from None
    try:
        raw = _read_yaml(content)
        if not isinstance(raw, dict):
            found = "is empty" if raw is None else f"holds {_shown(raw)} at the top"
            raise InputError(f"{found}; give keys with values, such as `data: {{source: diabetes}}` and `lambda: 0.01`")
        instance = parse_instance({"name": path.stem, **raw})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    instance._file = path
    return instance


def shipped_instances() -> dict[str, Path]:
    """The instances that come with cpcert, by name. In a wheel they lie inside the package, in a checkout beside it."""
    package = Path(__file__).parent
    for folder in (package / "instances", package.parent / "instances"):
        if (folder / "diabetes-40.yaml").is_file():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}
    raise InputError("instances: this installation of cpcert has none; install it anew")


def parse_instance(raw: dict[str, Any]) -> Instance:
    """The instance with these keys and values (`name` included). Raises InputError naming the key."""
    return _validated(Instance, raw)


Settings = TypeVar("Settings", SolveSettings, TrainSettings)


def override_settings(settings: Settings, changes: dict[str, Any]) -> Settings:
    """`settings` with those of `changes` that are not None. Raises InputError naming the setting."""
    given = {key: value for key, value in changes.items() if value is not None}
    return _validated(type(settings), {**settings.model_dump(), **given})


def dump_instance(instance: Instance, path: str | os.PathLike[str]) -> None:
    """Write `instance` as YAML, all defaults spelled out: load_instance gives back the same keys and values.

    A relative `data.path` or `data.folder` is rewritten to start at the new file. Raises InputError if it cannot write.
    """
    path = Path(path)
    content = instance.model_dump(by_alias=True, exclude_none=True)
    key = "path" if isinstance(instance.data, File) else "folder"
    if content["data"].get(key) is not None:
        target = instance._folder / Path(content["data"][key]).expanduser()
        if not Path(content["data"][key]).expanduser().is_absolute():
            content["data"][key] = os.path.relpath(target, path.parent)
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); give a path in a writable folder") from None


# -- YAML ------------------------------------------------------------------------------------------------------------

_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# The core schema of YAML 1.2. PyYAML's own rules are those of YAML 1.1, where 1e-2 is text, no is false, 010 is 8 and
# 1:30 is 90.
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_NO_NUMBER = r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("float", _NO_NUMBER, list("-+.")),
)


class _Loader(_SafeLoader):  # type: ignore[valid-type,misc]
    """YAML 1.2 scalars; a key given twice is an error, and so is a key that is not text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's interface)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = key_node.value
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _TAG + "str":
                raise InputError(f"line {line}: {_node_text(key_node)} is not a key; keys are names such as lambda")
            if key in seen:
                raise InputError(f"{key}: is given twice, the second time in line {line}; keep one of them")
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes text so that `_Loader` (and a YAML 1.1 reader) reads it as text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_TAG = "tag:yaml.org,2002:"
for _kind, _pattern, _first in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"^(?:{_pattern})$"), _first)
    _Dumper.add_implicit_resolver(_TAG + _kind, re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor(_TAG + "int", lambda loader, node: parse_integer(loader.construct_scalar(node)))
_Loader.add_constructor(_TAG + "float", lambda loader, node: _yaml_float(loader.construct_scalar(node)))


def _yaml_float(text: str) -> float:
    """A number as the schema writes it, also under an explicit tag: `!!float 1_000` is an error."""
    if not re.fullmatch(f"{_FLOAT}|{_NO_NUMBER}", text):
        raise ValueError(f"{text!r} is not a number")
    return float(re.sub(r"\.(?=[inIN])", "", text))


def _node_text(node: yaml.Node) -> str:
    return repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or mapping"


def _read_yaml(content: bytes) -> Any:
    try:
        return yaml.load(content, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{where}is not valid YAML ({error.problem or error.context})") from None
    except InputError:
        raise
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"is not valid YAML ({reason}); give an instance file in UTF-8") from None


# -- validation errors -----------------------------------------------------------------------------------------------


Model = TypeVar("Model", bound=BaseModel)


def _validated(model: type[Model], raw: dict[str, Any]) -> Model:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        # An unknown key first: it is often the misspelling of a key that is then missing as well.
        first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
        raise InputError(_sentence(model, raw, first)) from None


def _sentence(model: type[BaseModel], raw: Any, error: Any) -> str:
    """One of pydantic's errors in the words of the file: the key, what it is, and what would be right."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return str(cause)
    current: type[BaseModel] | None = model
    where, right, value = "", "", raw
    parts = iter(error["loc"])
    for part in parts:
        if isinstance(part, int):
            where, value = f"{where}[{part}]", value[part]
        elif current is not None:
            value = value.get(part)
            fields = {field.alias or name: field for name, field in current.model_fields.items()}
            if part not in fields:
                return unknown_key(where, part, list(fields))
            where = f"{where}.{part}" if where else part
            right = fields[part].description or ""
            if current is Instance and part == "data":
                fault = _source_fault(value)
                if fault:
                    return fault
                current = _SOURCES[value["source"]]
                next(parts)  # pydantic names the branch of the union here
            else:
                annotation = fields[part].annotation
                current = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
        # Any other text is pydantic's name for a branch of a union of types.
    if error["type"] == "missing":
        return f"{where}: is missing; {right}"
    known = re.findall(r"'([^']*)'", error["ctx"]["expected"]) if error["type"] == "literal_error" else []
    return f"{where}: is {_shown(value)}; {right}{_did_you_mean(value, known)}"


# What other programs call the penalty, and what it is there.
_PENALTIES = {
    "weight_decay": "torch's optimisers add weight_decay·w to the gradient (AdamW does not), which penalises "
    "(weight_decay/2)‖w‖²: with cross_entropy, or with one output, give lambda = weight_decay/2; mse and logistic with "
    "torch's mean over m outputs: lambda = m·weight_decay/2",
    "alpha": "scikit-learn adds (alpha/2N)‖W‖² without the biases, and halves the squared error: with cross_entropy or "
    "logistic give lambda = alpha/(2N), with mse and m outputs lambda = m·alpha/N, N the number of points (sgd and adam: "
    "of a batch); here the biases count too",
}


# What asks for biases without a penalty: another loss, of which nothing would be proven.
_BIASES = ("penalise_bias", "penalize_bias", "penalise_biases", "penalize_biases")


def unknown_key(where: str, key: str, known: Sequence[str]) -> str:
    """What is wrong with a key that is none, and which was perhaps meant."""
    inside = f" of {where}" if where else ""
    if key in _PENALTIES:
        return f"{where}{'.' if where else ''}{key}: is not a key{inside}; the penalty is lambda. {_PENALTIES[key]}"
    if key in _BIASES:
        return f"{where}{'.' if where else ''}{key}: biases are always penalised here, at the output too; leave it out"
    closest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
    full = f"{where}.{key}" if where else key
    return f"{full}: is not a key{inside}; did you mean {closest}? (the keys are {', '.join(known)})"


def _source_fault(value: Any) -> str | None:
    if not isinstance(value, dict):
        return f"data: is {_shown(value)}; {_right(Instance, 'data')}, such as {{source: diabetes, points: 40}}"
    names = ", ".join(_SOURCES)
    if "source" not in value:
        return f"data.source: is missing; use one of {names}"
    source = value["source"]
    if not isinstance(source, str) or source not in _SOURCES:
        return f"data.source: is {_shown(source)}; use one of {names}{_did_you_mean(source, list(_SOURCES))}"
    return None


def _did_you_mean(given: Any, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1) if isinstance(given, str) else []
    return f"; did you mean {close[0]}?" if close else ""


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return str(value) if len(value) < 10 and len(str(value)) < 60 else "a long list"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    return str(value).lower() if isinstance(value, bool) else str(value)[:60]


def _right(model: type[BaseModel], key: str) -> str:
    return model.model_fields[key].description or ""


_SOURCES: dict[str, type[Source]] = {
    get_args(model.model_fields["source"].annotation)[0]: model for model in get_args(AnySource)
}
