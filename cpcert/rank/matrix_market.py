"""Matrix Market files (NIST), every entry as it is written; scipy's reader can crash on damaged ones."""

from __future__ import annotations

import re

from cpcert.numbers import parse_float

# Matrices of a larger order are refused.
LARGEST_ORDER = 2000


def read_matrix_market(data: bytes, largest: int) -> tuple[int, str, dict[tuple[int, int], float | int]]:
    """The order n, "pattern", "integer" or "real", and the stored entries of a square matrix, both halves; from 0.

    Raises ValueError: not square, beyond `largest`, complex, skew, damaged, an entry twice.
    """
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", data.decode())]
    banner = lines[0].lower().split()
    if banner[:2] != ["%%matrixmarket", "matrix"] or len(banner) != 5:
        raise ValueError("its first line is not '%%MatrixMarket matrix ...'")
    form, kind, symmetry = banner[2:]
    if form not in ("coordinate", "array") or kind not in ("real", "integer", "pattern", "double"):
        raise ValueError(f"the kind {form} {kind} is not read; give real or integer numbers")
    if symmetry not in ("general", "symmetric"):
        raise ValueError(f"the matrix is {symmetry}; give a symmetric or general one")
    rows = [line.split() for line in lines[1:] if line and not line.startswith("%")]
    if not rows or len(rows[0]) != (3 if form == "coordinate" else 2):
        raise ValueError("the line of sizes is missing")
    n, columns, *count = (_count(word) for word in rows[0])
    if n != columns or n > largest:
        raise ValueError(f"it has {n} rows and {columns} columns; give a square matrix of order at most {largest}")
    places = _places(form, symmetry == "symmetric", n, rows[1:], kind == "pattern")
    if len(rows) - 1 != (count[0] if count else len(places)):
        raise ValueError(f"{count[0] if count else len(places)} entries are announced, and {len(rows) - 1} follow")
    entries: dict[tuple[int, int], float | int] = {}
    for (i, j), row in zip(places, rows[1:], strict=True):
        word = "1" if kind == "pattern" else row[-1]
        value = int(word) if re.fullmatch(r"[+-]?\d{1,400}", word, re.ASCII) else parse_float(word)
        for place in {(i, j), (j, i)} if symmetry == "symmetric" else {(i, j)}:
            if not (0 <= i < n and 0 <= j < n) or place in entries:
                raise ValueError(f"entry {i + 1} {j + 1} is outside the matrix or there twice")
            entries[place] = value
    return n, "real" if kind == "double" else kind, entries


def _places(form: str, half: bool, n: int, rows: list[list[str]], pattern: bool) -> list[tuple[int, int]]:
    if form == "array":
        if any(len(row) != 1 for row in rows) or pattern:
            raise ValueError("an array has one number on each line")
        return [(i, j) for j in range(n) for i in range(j if half else 0, n)]
    if any(len(row) != (2 if pattern else 3) for row in rows):
        raise ValueError("a line has another number of words than an entry")
    return [(_count(row[0]) - 1, _count(row[1]) - 1) for row in rows]


def _count(word: str) -> int:
    if not re.fullmatch(r"\d{1,18}", word, re.ASCII):
        raise ValueError(f"{word[:40]!r} is not a whole number")
    return int(word)
