"""What a command or a search comes to: for people a sentence, for programs a JSON object. Each outcome knows both."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol


class Outcome(Protocol):
    """What a command found. Claims in its sentence are rounded outward or whole (printing.py)."""

    def sentence(self) -> str:
        """What was found, for people: one line or a few, or a table."""

    def as_json(self) -> dict[str, Any]:
        """The same for programs: finite numbers, and null for what is not known."""


class Spoken(StrEnum):
    """A choice among a few. A member equals its value, which is what JSON has; `sentence` says the same to people."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Spoken:
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member
