"""From the columns of a table to X and Y, with the names of features, targets and classes.

    header       numbers alone are no names (except 0, 1, 2, …): they look like the first point
    an index     a first column without a name that numbers the rows, or holds texts that all differ, is the index that
                 pandas and R write: left out; one called id or index that numbers the rows is refused
    decimals     points or commas, one of the two in the whole table; a table in which every 1,234 may also be a thousand
                 is refused until the instance says `decimal`
    missing      an empty cell, NA, NaN, ? and their like are errors, with row and column

A number is a decimal (cpcert/numbers.py): 2020_01, 0x1F, infinity and 1 000 are text. Labels become targets by the
loss: one column per class for cross_entropy, −1 and +1 for logistic, classes in the order of their numbers or of the
alphabet.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from cpcert.data.tables import Cell, Table
from cpcert.errors import InputError
from cpcert.losses import loss as loss_by_name
from cpcert.numbers import DECIMAL_CHARACTERS, parse_float
from cpcert.problem import Columns

_MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "nat", "null", "none", "nil", "?", "-", "."))
_UNNAMED = re.compile(r"(Unnamed: \d+(\.\d+)*|__index_level_\d+__)?", re.ASCII)
_INDEX_NAMES = frozenset(("id", "index", "idx", "row", "rowid", "row_id", "rownames", "no", "nr", "#"))
_NUMBER_LIKE = re.compile(r"[-+]?[0-9.,]*[0-9][0-9.,]*([eE][-+]?[0-9]+)?")
_THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2}([.,][0-9]{3})+")


def arrays_of(
    table: Table,
    targets: list[str],
    features: int | list[int] | list[str] | None,
    decimal: str | None,
    loss: str,
    weights: str | None = None,
) -> tuple[np.ndarray, np.ndarray, Columns]:
    """X (N, n0), Y (N, m) and what the columns are. Columns not in use may hold anything.

    features: names, or indices (or a number of columns) among those that are neither targets nor an index.
    decimal: "point" or "comma"; None: as the table shows. loss: decides what labels become.
    weights: a column that is no feature.
    """
    names = [name for name in features or () if isinstance(name, str)] if isinstance(features, list) else []
    _check_names(table, targets, names)
    apart = {weights} if weights is not None else set()
    left_out, notes = _index(table, {*targets, *names, *apart})
    rest = [name for name in table.names if name not in targets and name not in left_out and name not in apart]
    if not names and not rest:
        raise InputError(f"data.targets: takes every column of {table.path}; leave at least one as a feature")
    chosen = names or [rest[j] for j in chosen_features(len(rest), features)]
    if not names:
        _check_header(table, [name for name in table.names if name not in left_out], targets)
    mark = _decimal_mark(table, [*chosen, *targets], decimal)
    X = np.column_stack([_numbers(table, name, mark) for name in chosen])
    Y, classes, encoding = _targets(table, targets, mark, loss)
    for name, x in zip(chosen, X.T, strict=True):
        if not names and len(chosen) > 1 and _counts(x):
            if name.lower() in _INDEX_NAMES:
                raise InputError(
                    f"data.features: column {name!r} of {table.path} only numbers the rows; list the columns to use"
                )
            notes.append(f"the feature {name!r} only numbers the rows; if it is an index, list the others as features")
    if mark == ",":
        notes.append("numbers have decimal commas")
    return X, Y, Columns(tuple(chosen), tuple(targets), classes, (*table.notes, *notes, *encoding))


def weights_of(table: Table, name: str, decimal: str | None) -> np.ndarray:
    """The column called name as numbers (N,). Raises InputError."""
    if name not in table.names:
        raise InputError(f"data.weights: {table.path} has no column {name!r}; its columns are {', '.join(table.names)}")
    return _numbers(table, name, _decimal_mark(table, [name], decimal))


def chosen_features(available: int, features: int | list[int] | list[str] | None) -> list[int]:
    """The indices of the features: all, the first k, or those listed. Raises InputError."""
    if features is None:
        return list(range(available))
    if isinstance(features, int):
        if not 1 <= features <= available:
            raise InputError(f"data.features: is {features}; give a number from 1 to {available}, or a list of indices")
        return list(range(features))
    if not features:
        raise InputError("data.features: is an empty list; give at least one index, or leave it out for all")
    indices = [index for index in features if isinstance(index, int)]
    for index in indices:
        if not 0 <= index < available:
            raise InputError(f"data.features: {index} is not an index; give indices from 0 to {available - 1}")
    if len(set(indices)) < len(indices):
        raise InputError(f"data.features: {features} names a feature twice; give each index once")
    return indices


def _check_names(table: Table, targets: list[str], features: list[str]) -> None:
    named = [name for name in table.names if name]
    if len(set(named)) < len(named):
        raise InputError(f"data.path: {table.path} has two columns of the same name in {named}; rename one")
    for key, columns in (("targets", targets), ("features", features)):
        for column in columns:
            if not column or column not in named:
                comments = next((f" ({note})" for note in table.notes if "#" in note), "")
                raise InputError(
                    f"data.{key}: {table.path} has no column {column!r}; its columns are {table.names}{comments}"
                )
        if len(set(columns)) < len(columns):
            raise InputError(f"data.{key}: {columns} names a column twice; give each column once")
    for name in features:
        if name in targets:
            raise InputError(f"data.features: {name!r} is also one of data.targets; give a column to one of them")


def _index(table: Table, used: set[str]) -> tuple[set[str], list[str]]:
    """The columns that are no features because they are an index or empty, and what to say about them.

    pandas writes the index as a first column without a name (several of them, for several levels), reads it back as
    "Unnamed: 0", and notes its name in Parquet; R writes the names of the rows in the same way. Raises InputError for a
    column without a name of which that cannot be said.
    """
    left_out: set[str] = set()
    notes = []
    leading = True
    for j, name in enumerate(table.names):
        stated = name in table.index
        leading = leading and (stated or _UNNAMED.fullmatch(name) is not None)
        if name in used or not (stated or _UNNAMED.fullmatch(name)):
            continue
        cells = [row[j].strip() if isinstance(row[j], str) else row[j] for row in table.rows]
        called = f"column {j} has no name" if not name else f"column {j} is called {name!r}"
        if all(cell in ("", None) for cell in cells):
            notes.append(f"{called} and no values: left out")
        elif stated:
            notes.append(f"column {j}, {name!r}, is the index of the table, not a feature, left out")
        elif leading and _is_index(cells):
            notes.append(f"{called} and numbers or names the rows: an index, not a feature, left out")
        else:
            raise InputError(
                f"data.path: {called} in {table.path}; if it is an index, delete it (pandas: to_csv(..., index=False)), "
                "if it is a feature, name it"
            )
        left_out.add(name)
    return left_out, notes


def _is_index(cells: list[Cell]) -> bool:
    """Whether the cells are what an index holds: 0, 1, 2, … or 1, 2, 3, … in any order, or texts that all differ."""
    texts = [str(cell) for cell in cells]
    if all(text.isascii() and text.isdigit() for text in texts):
        return _counts(np.sort(np.array([float(text) for text in texts])))
    return len(set(texts)) == len(texts) and not any(_NUMBER_LIKE.fullmatch(text) for text in texts)


def _check_header(table: Table, names: list[str], targets: list[str]) -> None:
    """Raises InputError when the header looks like the first point: numbers, and among the targets numbers or labels."""
    values = {name for name in targets if name in {str(cell).strip() for cell in table.column(name)}}
    if table.lines is None or not all(_NUMBER_LIKE.fullmatch(name) or name in values for name in names):
        return
    if not all(name.isdecimal() for name in names) or not _counts(np.array([float(name) for name in names])):
        raise InputError(
            f"data.path: the header line of {table.path} holds numbers ({', '.join(names[:3])}); if it is the first "
            "point, add a line with the names of the columns above it; if these are names, list them in data.features"
        )


def _counts(x: np.ndarray) -> bool:
    """Whether x is 0, 1, 2, … or 1, 2, 3, …; a single number counts if it is 0."""
    return len(x) > 0 and x[0] in (0.0, 1.0) and bool(np.all(np.diff(x) == 1.0)) and (len(x) > 1 or x[0] == 0.0)


def _decimal_mark(table: Table, used: list[str], decimal: str | None) -> str:
    """The decimal mark, a point or a comma. Raises InputError when the numbers of the table do not decide."""
    if decimal is not None:
        return "," if decimal == "comma" else "."
    positions = [table.names.index(name) for name in used]

    def numbers_with(mark: str) -> Iterator[str]:
        found = (row[j].strip() for row in table.rows for j in positions if isinstance(row[j], str) and mark in row[j])
        return (cell for cell in found if _NUMBER_LIKE.fullmatch(cell))

    comma, point = next(numbers_with(","), None), next(numbers_with("."), None)
    if comma and point:
        raise InputError(
            f"data.path: some numbers of {table.path} have a comma ({comma!r}) and some a point ({point!r}); write all with "
            "one decimal mark and without thousands separators"
        )
    # Where commas do not separate, the table may come from a place where 1.234 is a thousand.
    doubtful = comma or (point if table.separator in (";", "\t", "|") else None)
    if doubtful and all(_THOUSANDS.fullmatch(cell) for cell in numbers_with("," if comma else ".")):
        raise InputError(
            f"data.decimal: is missing: {doubtful!r} in {table.path} may have a decimal mark or one for thousands; give "
            "point or comma, whichever is the decimal mark, and write the numbers without thousands separators"
        )
    return "," if comma else "."


def _number(cell: Cell, mark: str) -> float:
    """The float64 nearest to a cell that holds a finite number. Raises ValueError."""
    if isinstance(cell, str):
        text = cell.strip()
        if mark == ",":
            text = text.replace(".", "x").replace(",", ".")
        return parse_float(text)
    if isinstance(cell, bool | int | float | Decimal | np.floating):
        value = float(cell)
        if math.isfinite(value):
            return value
    raise ValueError("no finite number")


def _missing(cell: Cell) -> bool:
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip().lower() in _MISSING)


def _numbers(table: Table, name: str, mark: str) -> np.ndarray:
    """The column (N,) as numbers. Raises InputError naming the first cell that holds none."""
    cells = table.column(name)
    values = _plain_numbers(cells) if mark == "." else None
    if values is not None:
        return values
    values = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            values[i] = _number(cell, mark)
        except (ValueError, OverflowError):
            raise InputError(f"data.path: {table.place(name, i)} {_not_a_number(cell)}") from None
    return values


def _plain_numbers(cells: list[Cell]) -> np.ndarray | None:
    """The column when it is text and all of it decimals, in a fraction of the time that single cells take; else None."""
    if not all(isinstance(cell, str) for cell in cells) or "".join(cells).strip(DECIMAL_CHARACTERS):
        return None
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def _not_a_number(cell: Cell) -> str:
    if _missing(cell):
        return f"is missing ({cell!r}); fill it in, or leave the row or the column out"
    shown = repr(cell)[:60]
    if isinstance(cell, str) and cell.strip().lower() in ("true", "false"):
        return f"holds {shown}; give a number there (1 and 0)"
    return f"holds {shown}; give a number there, or list the columns to use in data.features"


def _targets(
    table: Table, targets: list[str], mark: str, loss: str
) -> tuple[np.ndarray, tuple[str, ...] | None, tuple[str, ...]]:
    """Y (N, m); the classes, if the targets are labels; and how they are encoded, in words."""
    targets_of = loss_by_name(loss)
    if not (targets_of.takes_labels and len(targets) == 1):
        for name in targets:
            fix = "give a number there; labels need the loss cross_entropy, or logistic for two classes"
            if targets_of.takes_labels:
                fix = "give labels in one column"
            for i, cell in enumerate(table.column(name)):
                if isinstance(cell, str) and not _missing(cell) and not _NUMBER_LIKE.fullmatch(cell.strip()):
                    raise InputError(
                        f"data.targets: {table.place(name, i)} holds {cell!r}, and the loss is {loss}; {fix}"
                    )
        return np.column_stack([_numbers(table, name, mark) for name in targets]), None, ()
    (name,) = targets
    labels, classes = _labels(table, name, mark)
    Y, sentence = targets_of.encode_labels(labels, classes, name, f"data.targets: column {name!r} of {table.path}")
    return Y, classes, (sentence,)


def _labels(table: Table, name: str, mark: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class (N,) of each row, as an index into the names of the classes, which come in order. Raises InputError."""
    cells = table.column(name)
    values: list[int | str] = []
    for i, cell in enumerate(cells):
        place = f"data.path: {table.place(name, i)}"
        if _missing(cell):
            raise InputError(f"{place} is missing ({cell!r}); fill it in, or leave the row out")
        try:
            number = _number(str(cell) if isinstance(cell, bool) else cell, mark)
        except (ValueError, OverflowError):
            if not isinstance(cell, str | bool):
                raise InputError(f"{place} holds {cell!r}; give labels as text or integers") from None
            values.append(str(cell).strip())
            continue
        if number != int(number) or abs(number) >= 2**53:
            raise InputError(f"{place} holds {cell!r}; class numbers are integers (for other numbers use the loss mse)")
        values.append(int(number))
    texts = [value for value in values if isinstance(value, str)]
    if texts and len(texts) < len(values):
        number = next(value for value in values if not isinstance(value, str))
        raise InputError(
            f"data.targets: column {name!r} of {table.path} mixes text ({texts[0]!r}) and numbers ({number}); give one kind"
        )
    if len({text.casefold() for text in texts}) < len(set(texts)):
        raise InputError(
            f"data.targets: two labels in column {name!r} of {table.path} differ in case only; write them alike"
        )
    classes = sorted(set(values))
    place_of = {value: k for k, value in enumerate(classes)}
    return np.array([place_of[value] for value in values]), tuple(map(str, classes))
