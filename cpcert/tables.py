"""Tables that people bring: text with separators (.csv, .tsv, also compressed) and Parquet, as X and Y with their names.

Text is read the way it was written, when that is certain, and refused in one sentence when it is not:

    compression  gzip, bzip2 or xz, by content
    encoding     a byte order mark decides; else UTF-8, UTF-16 where every other byte is 0, and last Windows-1252 (noted)
    separator    the one of comma, semicolon, tab and | that gives every line as many cells as the header; the names that
                 the instance asks for decide between two. A first line `sep=;` is obeyed
    header       the first line, after lines that start with #; numbers alone are no header (except 0, 1, 2, …)
    decimals     points or commas, one of the two in the whole table; a table in which every 1,234 may also be a thousand
                 is refused until the instance says `decimal`
    an index     a first column without a name that numbers the rows, or holds texts that all differ, is the index that
                 pandas and R write: left out; one called id or index that numbers the rows is refused
    missing      an empty cell, NA, NaN, ? and their like are errors, with row and column

A number is a decimal (cpcert/numbers.py): 2020_01, 0x1F, infinity and 1 000 are text. Labels become targets by the loss:
one column per class for cross_entropy, −1 and +1 for logistic, classes in the order of their numbers or of the alphabet.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from cpcert.errors import InputError
from cpcert.numbers import DECIMAL_CHARACTERS, parse_float
from cpcert.problem import Columns

Cell = Any  # text, or what Parquet holds: int, float, bool, Decimal, None, ...

TEXT = (".csv", ".tsv")
PARQUET = (".parquet", ".pq")
COMPRESSED = (".gz", ".bz2", ".xz")
_MAGIC: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
}
# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "nat", "null", "none", "nil", "?", "-", "."))
_UNNAMED = re.compile(r"(Unnamed: \d+(\.\d+)*|__index_level_\d+__)?", re.ASCII)
_INDEX_NAMES = frozenset(("id", "index", "idx", "row", "rowid", "row_id", "rownames", "no", "nr", "#"))
_NUMBER_LIKE = re.compile(r"[-+]?[0-9.,]*[0-9][0-9.,]*([eE][-+]?[0-9]+)?")
_THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2}([.,][0-9]{3})+")


@dataclass(frozen=True)
class Table:
    """Named columns of cells. `lines`: the line in the file at which each row ends, None where there are no lines."""

    path: Path
    names: list[str]
    rows: list[list[Cell]]
    lines: list[int] | None
    separator: str | None
    index: tuple[str, ...]  # columns that the file itself calls an index
    notes: tuple[str, ...]

    def place(self, name: str, i: int) -> str:
        line = "" if self.lines is None else f" (line {self.lines[i]})"
        return f"column {name!r} of data row {i}{line} of {self.path}"

    def column(self, name: str) -> list[Cell]:
        j = self.names.index(name)
        return [row[j] for row in self.rows]


def suffix_of(path: Path) -> str:
    """The suffix that says what a file is, in lower case, without that of a compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def read_table(path: Path, wanted: Sequence[str]) -> Table:
    """The table in the file; `wanted`: names of columns that it should have. Raises InputError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"data.path: cannot read {path} ({error.strerror or error}); give a readable file") from None
    for magic, decompress in _MAGIC.items():
        if content.startswith(magic):
            try:
                content = decompress(content)
            except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
                raise InputError(f"data.path: {path} is damaged ({error}); get it anew") from None
            break
    if content.startswith(b"PAR1"):
        return _parquet(path, content)
    if content.startswith(b"PK\x03\x04") or content.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(f"data.path: {path} is an archive or a workbook of Excel; save the table as .csv")
    if suffix_of(path) in PARQUET:
        raise InputError(f"data.path: {path} is not Parquet; give a file that pandas.DataFrame.to_parquet wrote")
    text, notes = _decoded(path, content)
    return _parsed(path, text, wanted, notes)


def _parquet(path: Path, content: bytes) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f"data.path: {path} is Parquet, which needs pyarrow; pip install 'cpcert[parquet]', or save it as .csv"
        ) from None
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
        columns = [column.to_pylist() for column in table.columns]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"data.path: {path} is not Parquet that pyarrow reads ({reason}); write it anew") from None
    pandas = table.schema.pandas_metadata or {}
    index = tuple(name for name in pandas.get("index_columns", ()) if isinstance(name, str))
    rows = [list(row) for row in zip(*columns, strict=True)]
    if not rows:
        raise InputError(f"data.path: {path} has no data; give at least one row of numbers")
    return Table(path, [str(name) for name in table.column_names], rows, None, None, index, ())


def _encoding(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    # In UTF-16 the letters, digits and separators of a table have a zero byte, all on the same side.
    for side, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if content and not any(content[side:200:2]) and all(content[1 - side : 200 : 2]):
            return encoding
    return "utf-8"


def _decoded(path: Path, content: bytes) -> tuple[str, tuple[str, ...]]:
    encoding = _encoding(content)
    notes: tuple[str, ...] = ()
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise InputError(
                f"data.path: {path} is not text in {encoding} ({error.reason}); save it in UTF-8"
            ) from None
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
        notes = ("the text is not UTF-8 and was read as Windows-1252: see whether the names are right",)
    if "\0" in text:
        raise InputError(f"data.path: {path} holds zero bytes and is no text; save the table as .csv in UTF-8")
    return text, notes


@dataclass(frozen=True)
class _Split:
    """The lines of a text under one separator: the rows that hold something, the line at which each ends, what is wrong."""

    separator: str
    rows: list[list[str]]
    ends: list[int]
    blank: int  # lines that hold separators only
    fault: str | None

    @property
    def header(self) -> list[str]:
        return [name.strip() for name in self.rows[0]] if self.rows else []


def _parsed(path: Path, text: str, wanted: Sequence[str], notes: tuple[str, ...]) -> Table:
    """The table in `text`, under the one separator that fits."""
    lines = list(io.StringIO(text, newline=""))
    separators = [separator for separator in _SEPARATORS if separator in text]
    start = 0
    stated = re.fullmatch(r'"?sep=(.)"?\s*', lines[0], re.IGNORECASE) if lines else None
    if stated and stated[1] in _SEPARATORS:
        separators, start = [stated[1]], 1
    while start < len(lines) and (lines[start].startswith("#") or not lines[start].strip()):
        start += 1
    if any(line.startswith("#") for line in lines[:start]):
        notes = (*notes, "lines that start with # above the header were left out")
    found = [_split(lines, start, separator) for separator in separators]
    tables = [split for split in found if len(split.header) > 1]
    if not tables:
        if start == len(lines):
            raise InputError(f"data.path: {path} has no data; give a header line and at least one line of numbers")
        raise InputError(
            f"data.path: {path} is no table: its header line {lines[start].strip()[:60]!r} has one column; separate the "
            "columns by comma, semicolon, tab or |"
        )
    named = [split for split in tables if set(wanted) <= set(split.header)]
    fitting = [split for split in named or tables if split.fault is None]
    if len(fitting) > 1:
        marks = " or ".join(_SEPARATORS[split.separator] for split in fitting)
        raise InputError(f"data.path: {path} is a table under more than one separator ({marks}); write it with one")
    split = fitting[0] if fitting else max(named or tables, key=lambda split: len(split.header))
    if split.fault is not None:
        raise InputError(f"data.path: {path}, separated by {_SEPARATORS[split.separator]}: {split.fault}")
    if len(split.rows) < 2:
        raise InputError(f"data.path: {path} has no data; give a header line and at least one line of numbers")
    if split.blank:
        notes = (*notes, f"lines without any value were left out ({split.blank})")
    return Table(path, split.header, split.rows[1:], split.ends[1:], split.separator, (), notes)


def _split(lines: list[str], start: int, separator: str) -> _Split:
    reader = csv.reader(lines[start:], delimiter=separator, skipinitialspace=True, strict=True)
    rows: list[list[str]] = []
    ends: list[int] = []
    blank, fault = 0, None
    try:
        for row in reader:
            if not any(cell and not cell.isspace() for cell in row):
                blank += len(row) > 1
                continue
            rows.append(row)
            ends.append(start + reader.line_num)
    except csv.Error as error:
        fault = (
            f'line {start + reader.line_num} cannot be read ({error}); quote a cell with " on both sides or not at all'
        )
    for row, end in zip(rows[1:], ends[1:], strict=True):
        if fault is None and len(row) != len(rows[0]):
            counts = f"line {end} has {len(row)} cells, the header {len(rows[0])}"
            fault = f"{counts}; give every line as many, and quote a cell that contains the separator"
    marked = [row[0].startswith("#") for row in rows[1:]]
    if any(marked) and not all(marked):
        end = ends[1 + marked.index(True)]
        fault = f"line {end} starts with #, and others do not; a comment may stand above the header only"
    return _Split(separator, rows, ends, blank, fault)


# -- from cells to X and Y -------------------------------------------------------------------------------------------


def arrays_of(
    table: Table,
    targets: list[str],
    features: int | list[int] | list[str] | None,
    decimal: str | None,
    loss: str,
) -> tuple[np.ndarray, np.ndarray, Columns]:
    """X (N, n0), Y (N, m) and what the columns are. Columns not in use may hold anything.

    features: names, or indices (or a number of columns) among those that are neither targets nor an index.
    decimal: "point" or "comma"; None: as the table shows. loss: decides what labels become.
    """
    names = [name for name in features or () if isinstance(name, str)] if isinstance(features, list) else []
    _check_names(table, targets, names)
    left_out, notes = _index(table, {*targets, *names})
    rest = [name for name in table.names if name not in targets and name not in left_out]
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
    wants_labels = loss in ("cross_entropy", "logistic") and len(targets) == 1
    if not wants_labels:
        for name in targets:
            fix = "give a number there; labels need the loss cross_entropy, or logistic for two classes"
            if loss in ("cross_entropy", "logistic"):
                fix = "give labels in one column"
            for i, cell in enumerate(table.column(name)):
                if isinstance(cell, str) and not _missing(cell) and not _NUMBER_LIKE.fullmatch(cell.strip()):
                    raise InputError(
                        f"data.targets: {table.place(name, i)} holds {cell!r}, and the loss is {loss}; {fix}"
                    )
        return np.column_stack([_numbers(table, name, mark) for name in targets]), None, ()
    (name,) = targets
    labels, classes = _labels(table, name, mark)
    shown = ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")
    if loss == "logistic":
        if len(classes) == 1 and classes[0] in ("-1", "0", "1"):
            sign = 1.0 if classes[0] == "1" else -1.0
            return np.full((len(labels), 1), sign), classes, (f"{name} is {sign:+g}, for {classes[0]}, its only class",)
        if len(classes) != 2:
            raise InputError(
                f"data.targets: column {name!r} of {table.path} has {len(classes)} classes ({shown}), and logistic takes "
                "two; use the loss cross_entropy"
            )
        Y = np.where(labels == 1, 1.0, -1.0)[:, np.newaxis]
        return Y, classes, (f"{name} is -1 for {classes[0]} and +1 for {classes[1]}",)
    if len(classes) < 2:
        raise InputError(f"data.targets: column {name!r} of {table.path} has one class ({shown}); give two or more")
    Y = (labels[:, np.newaxis] == np.arange(len(classes))).astype(np.float64)
    return Y, classes, (f"{name} has {len(classes)} classes, one output each: {shown}",)


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
