"""Certificates: leaves, size, seconds to write and to check, beside the seconds to solve, all in the same run.

The checker runs as a program of its own (`python -I check.py FILE`), so its seconds contain the start of Python and its memory is
that of the process. `--large` measures one tree of more than 10⁵ leaves instead, which takes minutes to solve.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tables

from cpcert import certify, solve
from cpcert.certificate import check
from cpcert.instance import parse_instance

# name, data, lambda, gap, seconds at most
PROBLEMS: list[tuple[str, dict[str, Any], float, float, float]] = [
    ("gaussian N=40, d=8", {"source": "gaussian", "points": 40, "features": 8}, 1e-3, 1e-6, 60.0),
    ("digits 3/8, N=40, 64 pixels", {"source": "digits", "classes": [3, 8], "points": 40}, 1e-2, 1e-6, 60.0),
    ("diabetes N=100, 4 features", {"source": "diabetes", "points": 100, "features": 4}, 1e-2, 1e-6, 120.0),
    ("gaussian N=100, d=3", {"source": "gaussian", "points": 100, "features": 3}, 1e-3, 1e-6, 120.0),
    ("gaussian N=100, d=4", {"source": "gaussian", "points": 100, "features": 4}, 1e-3, 1e-6, 600.0),
]
LARGE = [("gaussian N=120, d=5", {"source": "gaussian", "points": 120, "features": 5}, 1e-3, 1e-6, 3600.0)]
CHECKER = Path(check.__file__)
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3))
"""


def checked(content: bytes) -> tuple[float, float]:
    """CPU seconds and peak megabytes of the checker as a program."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proof.cpcert"
        path.write_bytes(content)
        # By a small process in between: a child's peak counts what its parent held when it was forked.
        command = [sys.executable, "-I", "-c", MEASURE, sys.executable, "-I", str(CHECKER), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="one tree of more than 10⁵ leaves, in a table of its own")
    large = parser.parse_args().large
    small = {
        "name": "warm-up",
        "data": {"source": "gaussian", "points": 30, "features": 4},
        "loss": "mse",
        "lambda": 1e-3,
    }
    certify(solve(parse_instance(small).problem(), time_limit=30.0))
    rows, data = [], []
    for name, source, lam, gap, limit in LARGE if large else PROBLEMS:
        problem = parse_instance({"name": "target", "data": source, "loss": "mse", "lambda": lam}).problem()
        started = time.process_time()
        result = solve(problem, gap=gap, time_limit=limit)
        solving = time.process_time() - started
        started = time.process_time()
        certificate = certify(result)
        writing = time.process_time() - started
        assert certificate is not None and result.dual is not None
        proof: Any = result.dual.proof
        leaves = sum(int((tree.tree == 0).sum()) for tree in (proof.positive, proof.negative))
        checking, memory = checked(certificate.content)
        size = len(certificate.content)
        record = {
            "problem": name, "sha256": problem.sha256, "gap": certificate.gap, "leaves": leaves, "bytes": size,
            "solve_cpu_seconds": solving, "write_cpu_seconds": writing, "check_cpu_seconds": checking, "check_megabytes": memory,
        }  # fmt: skip
        data.append(record)
        gap_proven = "-" if certificate.gap is None else f"{certificate.gap:.1e}"
        rows.append([
            name, gap_proven, str(leaves), f"{size / 1e6:.2f}", f"{size / leaves:.0f}", f"{solving:.1f}", f"{writing:.1f}",
            f"{checking:.1f}", f"{checking / solving:.2f}", f"{memory:.0f}",
        ])  # fmt: skip
        print(" | ".join(rows[-1]), flush=True)
    headings = [
        "problem", "gap proven", "leaves", "MB", "bytes a leaf", "solve, CPU s", "write and check, CPU s", "check alone, CPU s",
        "check / solve", "check, MB of memory",
    ]  # fmt: skip
    notes = "Leaves: of both trees. Writing contains one check. The checker is pure Python; the solver runs compiled kernels."
    name, title = "certificates", "Certificates: size and seconds to check"
    if large:
        name, title = "certificates_large", "A certificate of more than 10⁵ leaves"
    tables.write(name, title, headings, rows, data, notes)


if __name__ == "__main__":
    main()
