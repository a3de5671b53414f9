"""Certificates as they were written once, one of each kind of proof, with what they claim and what their check costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cpcert.certificate.reading import CHECKERS

FOLDER = Path(__file__).parent / "files" / "certificates"
ANSWERS: dict[str, Any] = json.loads((FOLDER / "answers" / "claims.json").read_text())
# The same for networks of depth ≥ 3.
DEEP: dict[str, Any] = json.loads((FOLDER / "answers" / "deep.json").read_text())
# Least widths.
WIDTH: dict[str, Any] = json.loads((FOLDER / "answers" / "width.json").read_text())


def spent(module, content: bytes) -> list[int]:
    """What a check takes out of a budget without end: work, and memory that is not given back."""
    budget = module.Budget(1 << 60, 1 << 60)
    token = module.BUDGET.set(budget)
    try:
        if content[:8] in CHECKERS:
            module._claim(content)
        else:
            module.check_rank_claim(json.loads(content))
    finally:
        module.BUDGET.reset(token)
    return [(1 << 60) - budget.work, (1 << 60) - budget.memory]
