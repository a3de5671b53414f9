"""Lines, words and vertices of graphs that are written as plain lists (`graph_lists.py`)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from cpcert.numbers import parse_float

Label = str | int
Table = list[list[str]]


class NotThis(ValueError):
    """The text is not in this format; the message says which line and why."""


# -- lines and words -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lines:
    """The lines that are not comments, blank ones included, with their numbers; and the comments before the first."""

    numbered: list[tuple[int, str]]
    head: list[str] = field(default_factory=list)

    @property
    def filled(self) -> list[tuple[int, str]]:
        return [(number, line) for number, line in self.numbered if line]


def split_lines(text: str) -> Lines:
    """Lines without comments. Raises NotThis where a line may be a comment or not."""
    numbered: list[tuple[int, str]] = []
    head: list[str] = []
    data = False
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = line.strip(" \t")
        strange = re.search(r"[^\S \t]|[\u200b-\u200f\u2060\ufeff]", line)
        if strange:
            raise NotThis(f"line {number} holds the invisible character U+{ord(strange[0]):04X}; remove it")
        if line.startswith(("#", "%", "//")):
            if not data:
                head.append(line)
            elif re.fullmatch(r"#|%|//", line):
                raise NotThis(
                    f"line {number} is a lone {line} after data, as in the Trivial Graph Format, which is not read"
                )
            elif not re.match(r"(#+|%+|//+)[ \t]", line):
                raise NotThis(f"line {number} ({shortened(line)}) may be a comment or not; put a blank after its mark")
            continue
        inline = re.search(r"[ \t]#", line)
        if inline:
            if not re.match(r"[ \t]#+([ \t]|$)", line[inline.start() :]):
                raise NotThis(f"line {number} ({shortened(line)}) may end in a comment or not; put blanks around #")
            line = line[: inline.start()].rstrip(" \t")
        data = data or bool(line)
        numbered.append((number, line))
    return Lines(numbered, head)


def shortened(line: str) -> str:
    return line if len(line) <= 40 else line[:37] + "..."


_WORD = re.compile(r'"[^"]*"|[^\s"]+')
ATTRIBUTES = re.compile(r"\{[^{}]*\}$")


def _words(line: str) -> list[str]:
    """Words between blanks; one in quotes, and attributes in braces at the end, are one each."""
    attributes = ATTRIBUTES.search(line)
    last = [] if attributes is None else [attributes[0]]
    line = line if attributes is None else line[: attributes.start()]
    words = _WORD.findall(line)
    if line.count('"') % 2:
        raise NotThis(f"{shortened(line)}: the quotes do not match")
    return [word.strip('"') for word in words] + last


def tables(lines: Lines) -> Iterator[Table]:
    """The cells of the lines for each separator that can be meant."""
    texts = [line for _, line in lines.filled]
    seen: list[Table] = []
    for split in (by_blanks, _by("\t"), _by(";"), _by(","), _by_blanks_and_commas):
        try:
            table = split(texts)
        except (NotThis, csv.Error):
            continue
        if table not in seen:
            seen.append(table)
            yield table


def by_blanks(texts: list[str]) -> Table:
    return [_words(text) for text in texts]


def _by_blanks_and_commas(texts: list[str]) -> Table:
    """For lines like "a, b" among lines like "a b"; an empty cell between commas is something else."""
    if not any("," in text for text in texts) or any(re.search(r"^,|,\s*,|,$|\{", text) for text in texts):
        raise NotThis("no commas")
    return [_words(text.replace(",", " ")) for text in texts]


def _by(mark: str) -> Callable[[list[str]], Table]:
    def split(texts: list[str]) -> Table:
        if not all(mark in text for text in texts):
            raise NotThis(f"no {mark!r}")
        rows = csv.reader([text + "\n" for text in texts], delimiter=mark, strict=True, skipinitialspace=True)
        table = [[cell.strip(" \t\n") for cell in row] for row in rows]
        # A separator after the last cell of every row.
        return [row[:-1] for row in table] if not any(row[-1] for row in table) else table

    return split


# -- what can be a vertex --------------------------------------------------------------------------------------------------

_MISSING = {"nan", "none", "null", "na", "n/a", "inf", "-inf"}
_OPENS, _CLOSES = "-:=>|&,;{[<+*", "-:=>|&,;({[<"


def number_in(text: str) -> float | None:
    try:
        return parse_float(text)
    except ValueError:
        return None


def decimal_in(text: str) -> float | None:
    """A number, with a decimal comma too."""
    return number_in(text.replace(",", ".") if re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", text, re.ASCII) else text)


def is_number_of_vertex(label: str) -> bool:
    return (value := number_in(label)) is not None and value >= 0 and value == int(value)


def whole(label: Label) -> int:
    return int(Decimal(label))


def is_count(word: str) -> bool:
    return re.fullmatch(r"\d{1,18}", word, re.ASCII) is not None


def require_labels(labels: list[str], told: bool = False) -> None:
    """Raises NotThis unless they look like names or numbers of vertices, all of them alike (unless the user has said so)."""
    for label in set(labels):
        strange = (
            not label
            or label[0] in _OPENS
            or label[-1] in _CLOSES
            or any(label.count(a) != label.count(b) for a, b in ("()", "[]", "{}"))
            or (label[0] == "'") != (label[-1] == "'")
            or re.search(r"[\t;]", label)
        )
        # "0 1" or "1,5" in one cell: another separator is meant.
        parts = re.split(r"[ ,]+", label)
        if strange or (len(parts) > 1 and all(number_in(part) is not None for part in parts)):
            raise NotThis(f"{shortened(label)!r} is no vertex")
        if not told and (
            label.lower() in _MISSING or (number_in(label) is not None and not is_number_of_vertex(label))
        ):
            raise NotThis(f"{label!r} is no vertex; vertices are names or numbers 0, 1, ...")
    if not told and len({is_number_of_vertex(label) for label in labels}) > 1:
        number, word = (next(v for v in labels if is_number_of_vertex(v) is kind) for kind in (True, False))
        raise NotThis(f"some vertices are numbers ({number}) and others are not ({shortened(word)})")


def require_one_spelling(labels: set[str]) -> None:
    """Raises NotThis if 1 and 1.0 are both there: pandas writes the column with a missing value as floats."""
    spelled: dict[Decimal, str] = {}
    for label in sorted(labels):
        if not label.isdecimal() and (number_in(label) or 0) > 2**53:
            raise NotThis(f"the vertex {label} has lost digits; write whole numbers")
        if number_in(label) is not None and spelled.setdefault(value := Decimal(label), label) != label:
            raise NotThis(f"the vertices {spelled[value]!r} and {label!r} are the same number; write each in one way")
