"""Tables that people bring: text with separators (.csv, .tsv, also compressed) and Parquet, as named columns.

Text is read the way it was written, when that is certain, and refused in one sentence when it is not:

    compression  gzip, bzip2 or xz, by content
    encoding     a byte order mark decides; else UTF-8, UTF-16 where every other byte is 0, and last Windows-1252 (noted)
    separator    the one of comma, semicolon, tab and | that gives every line as many cells as the header; the names that
                 the instance asks for decide between two. A first line `sep=;` is obeyed
    header       the first line, after lines that start with #

What the columns mean is decided in columns.py.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpcert.errors import InputError

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
