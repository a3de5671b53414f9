"""Matrices from text, Matrix Market and NumPy files, every entry as it is written.

Text is a table of numbers, separated by blanks, tabs, semicolons or commas; a first line and a first column of names
are left out, and so are lines that begin with # or %. A comma is a decimal point only where it does not separate. A
text that can be read in two ways is refused.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from cpcert.errors import InputError
from cpcert.numbers import parse_float, parse_rational
from cpcert.rank.matrix_market import LARGEST_ORDER, read_matrix_market

Values = list[list[Any]]
# The entries; half a unit of the last place written; what was left out.
Content = tuple[Values, Fraction, tuple[str, ...]]
_KNOWN = ".json, .csv, .tsv, .txt, .mtx, .npy or .npz"
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)


def read_matrix(path: Path) -> Content:
    """The rows of a matrix: integers, "p/q" and floats. Raises InputError."""
    readers: dict[str, Callable[[bytes, Path], Content]] = {
        ".csv": _text, ".tsv": _text, ".txt": _text, ".dat": _text, ".mtx": _matrix_market, ".npy": _npy, ".npz": _npz,
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"MATRIX: {path} is not {_KNOWN}; give one of these")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror or error}); give a file that can be read") from None
    return reader(data, path)


# -- text ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """One way to read a text: the cells of a square table, and what stood around it."""

    cells: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def _text(data: bytes, path: Path) -> Content:
    lines = [line.strip(" \t") for line in re.split(r"\r\n|\r|\n", _decoded(data, path))]
    lines = [line for line in lines if line and not line.startswith(("#", "%"))]
    if not lines:
        raise InputError(f"A: {path} is empty; give a square matrix, one row per line")
    found: list[_Table] = []
    for mark in ("\t", ";", ",", ""):
        if mark and not all(mark in line for line in lines) and len(lines) > 1:
            continue
        rows = _rows(lines, mark)
        table = None if rows is None else _square(rows)
        if table is not None and table.cells not in [other.cells for other in found]:
            found.append(table)
    if not found:
        raise _no_matrix(lines, path)
    if len(found) > 1:
        raise InputError(
            f"A: {path} can be read with commas between entries or inside them; separate entries by semicolons"
        )
    cells = [[_entry(cell) for cell in row] for row in found[0].cells]
    # 0.5 among 0.25 may be exact; what counts is the finest entry.
    places = [place for row in found[0].cells for cell in row if (place := _last_place(cell))]
    last = min(places, default=Fraction(0))
    return cells, last, found[0].notes


def _decoded(data: bytes, path: Path) -> str:
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"cannot read {path} (it is not what its name says); give a file that can be read") from None


def _rows(lines: list[str], mark: str) -> list[list[str]] | None:
    if not mark:
        return [line.split() for line in lines]
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=mark, strict=True)]
    except csv.Error:
        return None
    # A separator after the last entry of every row.
    if len(rows) > 1 and all(len(row) > 1 and not row[-1] for row in rows):
        rows = [row[:-1] for row in rows]
    return rows


def _square(rows: list[list[str]]) -> _Table | None:
    """n rows of n numbers, once a line and a column of names are left out; None: it is something else."""
    notes = []
    width = len(rows[-1])
    if len(rows) == width + 1 > 2 and len(rows[0]) == width and (_names(rows[0]) or _counting(rows[0])):
        rows = rows[1:]
        notes.append("line 1 was read as names of the columns")
    elif len(rows) == width and len(rows) > 2 and _frame(rows):
        rows = [row[1:] for row in rows[1:]]
        notes.append("line 1 and column 1 were read as names")
    elif len(rows) + 1 == width > 2 and all(len(row) == width for row in rows) and _aside([row[0] for row in rows]):
        rows = [row[1:] for row in rows]
        notes.append("column 1 was read as names of the rows")
    if any(len(row) != len(rows) for row in rows) or not all(_number(cell) for row in rows for cell in row):
        return None
    with_comma = [cell for row in rows for cell in row if "," in cell]
    if with_comma:
        if (
            len(rows) == 1
            or all(_THOUSANDS.fullmatch(cell) for cell in with_comma)
            or any("." in cell for row in rows for cell in row)
        ):
            return None
        notes.append("commas were read as decimal points")
    return _Table(tuple(tuple(cell.replace(",", ".") for cell in row) for row in rows), tuple(notes))


def _frame(rows: list[list[str]]) -> bool:
    """Names above and beside the numbers: the corner is empty or a name, or the line above is one shorter (R)."""
    header, beside = rows[0], [row[0] for row in rows[1:]]
    if len(header) == len(rows[-1]) - 1:
        header = ["", *header]
    elif len(header) != len(rows[-1]) or not (header[0] == "" or _name(header[0])):
        return False
    return (_names(header[1:]) or _counting(header[1:])) and _aside(beside)


def _names(cells: list[str]) -> bool:
    return bool(cells) and all(map(_name, cells))


def _name(cell: str) -> bool:
    """It begins with a letter; "1+0j", "50%" and "nan" are numbers that cannot be read."""
    return cell[:1].isalpha() and cell.lower() not in ("nan", "na", "inf", "infinity", "none", "null")


def _aside(cells: list[str]) -> bool:
    return _names(cells) or _counting(cells)


def _counting(cells: list[str]) -> bool:
    """0, 1, 2, … or 1, 2, 3, …: how pandas names what has no name."""
    return [*cells] in ([str(k) for k in range(len(cells))], [str(k + 1) for k in range(len(cells))])


def _number(cell: str) -> bool:
    return _entry(cell) is not None or _DECIMAL_COMMA.fullmatch(cell) is not None


def _entry(cell: str) -> str | float | None:
    """An integer or p/q stays text, for exactness."""
    for parse in (parse_rational, parse_float):
        try:
            value = parse(cell)
        except ValueError:
            continue
        return cell if isinstance(value, Fraction) else value
    return None


def _last_place(cell: str) -> Fraction:
    """Half a unit in the last place of a decimal, 0 for integers and fractions."""
    match = re.fullmatch(r"[+-]?\d*\.?(\d*)(?:[eE]([+-]?\d{1,4}))?", cell, re.ASCII)
    if match is None or not re.search(r"[.eE]", cell):
        return Fraction(0)
    return Fraction(10) ** (int(match[2] or 0) - len(match[1])) / 2


def _no_matrix(lines: list[str], path: Path) -> InputError:
    """What is wrong, with the separator that the first line suggests."""
    mark = next((m for m in ("\t", ";", ",") if m in lines[-1]), "")
    rows = _rows(lines, mark) or [[]]
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            # Words alone may be names.
            if not _number(cell) and ((i and j) or not _name(cell) or any(map(_number, row))):
                right = 'give an integer, a fraction like "1/2", or a finite number'
                return InputError(f"A[{i}][{j}]: is {cell!r} in {path}; {right}")
    widths = sorted({len(row) for row in rows})
    return InputError(
        f"A: {path} has {len(rows)} rows of {' or '.join(map(str, widths))} entries; give a square matrix of numbers, "
        "separated by blanks, tabs, semicolons or commas, decimals like 0.5"
    )


# -- Matrix Market, NumPy -------------------------------------------------------------------------------------------------------


def _matrix_market(data: bytes, path: Path) -> Content:

    try:
        n, _, entries = read_matrix_market(data, LARGEST_ORDER)
    except ValueError as error:
        raise InputError(f"A: {path} is not a Matrix Market file ({error}); give one") from None
    return [[entries.get((i, j), 0) for j in range(n)] for i in range(n)], Fraction(0), ()


def _npy(data: bytes, path: Path) -> Content:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise InputError(f"cannot read {path} (it is not what its name says); give a file that can be read") from None
    return _array(array, path)


def _npz(data: bytes, path: Path) -> Content:
    import zipfile
    import zlib

    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            names = list(archive)
            name = "A" if "A" in names else names[0] if len(names) == 1 else None
            if name is None:
                raise InputError(f"A: {path} holds the arrays {', '.join(names)}; give one array, or one of the name A")
            array = archive[name]
    except InputError:
        raise
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error):
        raise InputError(f"cannot read {path} (it is not what its name says); give a file that can be read") from None
    return _array(array, path)


def _array(array: Any, path: Path) -> Content:
    if (
        not isinstance(array, np.ndarray)
        or array.ndim != 2
        or array.dtype.kind not in "iuf"
        or array.dtype.itemsize > 8
    ):
        form = f"shape {getattr(array, 'shape', '?')} and type {getattr(array, 'dtype', '?')}"
        raise InputError(
            f"A: {path} does not hold a square array of integers or float64 ({form}); save one with numpy.save"
        )
    return array.tolist(), Fraction(0), ()
