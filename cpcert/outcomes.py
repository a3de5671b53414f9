"""What a command or a search comes to: for people a sentence, for programs a JSON object. Each outcome knows both."""

from __future__ import annotations

import html
import json
from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Any

# What of a sentence stands in a `repr`.
SHORT = 200


class Outcome(ABC):
    """What a command found. Claims in its sentence are rounded outward or whole (printing.py)."""

    @abstractmethod
    def sentence(self) -> str:
        """What was found, for people: one line or a few, or a table."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """The same for programs: finite numbers, and None for what is not known."""

    def to_json(self) -> str:
        """`as_json` as text, as the command line prints it with --json."""
        return json.dumps(self.as_json(), allow_nan=False)

    def sketch(self) -> str:
        """A small picture for notebooks, an svg element; nothing by default."""
        return ""

    def __repr__(self) -> str:
        line = "; ".join(" ".join(line.split()) for line in self.sentence().splitlines())
        return f"<{type(self).__name__}: {line[:SHORT]}{' …' if len(line) > SHORT else ''}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the sentence, as it was written, and the sketch."""
        return f'<div class="cpcert"><pre style="white-space: pre-wrap">{html.escape(self.sentence())}</pre>{self.sketch()}</div>'


class Spoken(StrEnum):
    """A choice among a few. A member equals its value, which is what JSON has; `sentence` says the same to people."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Spoken:
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member
