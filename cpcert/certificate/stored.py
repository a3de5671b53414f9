"""What all certificates of a global minimum have: bytes, and bounds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cpcert.outcomes import Outcome
from cpcert.output import write_file
from cpcert.printing import enclosure


class Stored(Outcome):
    """The bytes of a file that proves something about the global minimum. lower ≤ P* ≤ upper (None: not claimed)."""

    content: bytes
    claim: str
    lower: float | None
    upper: float | None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, by custom NAME.cpcert; it appears complete or not at all. Raises OSError when the disk refuses."""
        write_file(Path(path), self.content)

    def sentence(self) -> str:
        """What the file proves."""
        if self.claim == "infeasible":
            what = "no network of any width fits the targets exactly"
        else:
            what = f"global minimum {enclosure(self.lower, self.upper)}"
        return f"{what}, proven by a file of {len(self.content)} bytes"

    def as_json(self) -> dict[str, Any]:
        """What the file proves, and its length."""
        return {"claim": self.claim, "lower": self.lower, "upper": self.upper, "bytes": len(self.content)}
