"""Tables of results: printed, and kept in benchmarks/results/ with a note on machine and versions."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """`AMD EPYC, 2 cores, Python 3.11.2, ...` as far as the system tells."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    threads = os.environ.get("OMP_NUM_THREADS", "any number of")
    packages = []
    for name in ("numpy", "scipy", "numba", "clarabel", "pyscipopt", "gurobipy"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    cores = f"{os.cpu_count()} shared cores, {threads} thread(s)"
    return f"{model}, {cores}, Python {platform.python_version()}, {', '.join(packages)}"


def markdown(headings: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns."""
    table = [headings, *rows]
    widths = [max(len(row[k]) for row in table) for k in range(len(headings))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def write(name: str, title: str, headings: list[str], rows: list[list[str]], data: Any, notes: str = "") -> None:
    """Print the table and write NAME.md and NAME.json into results/."""
    RESULTS.mkdir(exist_ok=True)
    date = datetime.now(UTC).date().isoformat()
    table = markdown(headings, rows)
    note = f"Measured {date} with `python benchmarks/{Path(sys.argv[0]).name}`: {machine()}."
    text = "\n\n".join(part for part in (f"# {title}", table, notes, note) if part) + "\n"
    (RESULTS / f"{name}.md").write_text(text)
    content = {"title": title, "date": date, "machine": machine(), "results": data}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    print("\n" + text, flush=True)
