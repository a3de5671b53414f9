"""Matrices with known answers. cp_matrices.json names the source of each; what is null there is not known."""

import json
from fractions import Fraction
from pathlib import Path

CASES = {case["name"]: case for case in json.loads((Path(__file__).parent / "cp_matrices.json").read_text())}
POSITIVE = [name for name, case in CASES.items() if case["completely_positive"]]
NEGATIVE = [name for name, case in CASES.items() if not case["completely_positive"]]


def rows(name):
    """The exact entries."""
    return [[Fraction(v) for v in row] for row in CASES[name]["A"]]
