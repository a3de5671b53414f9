"""`solve` on many points of small rank: gaps, seconds of the processor, nodes, and the certificate's check beside them.

Teacher: 5 random neurons, outputs standardised, noise .3. The peer in the same run is the solver without cones of directions and
without the dictionary (the rungs and the step for fewer points), for as long.

    python benchmarks/points.py [NAME …]
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import tables

from cpcert import Problem, solve
from cpcert.certificate import check
from cpcert.certificate.build import certify
from cpcert.frank_wolfe import steps
from cpcert.instance import parse_instance
from cpcert.oracle import ladder

# name, kind, N, features, outputs, λ, gap, seconds of the processor it may take
TARGETS: list[tuple[str, str, int, int, int, float, float, float]] = [
    ("diabetes-4", "diabetes", 100, 4, 1, 1e-2, 1e-6, 5.0),
    ("gaussian-100-3", "gaussian", 100, 3, 1, 1e-2, 1e-6, 4.0),
    ("gaussian-100-5", "gaussian", 100, 5, 1, 1e-2, 1e-6, 15.0),
    ("teacher-1000-4", "teacher", 1000, 4, 1, 1e-2, 1e-4, 10.0),
    ("teacher-1000-4-fine", "teacher", 1000, 4, 1, 1e-2, 1e-6, 40.0),
    ("teacher-1000-4-small", "teacher", 1000, 4, 1, 1e-3, 1e-2, 60.0),
    ("teacher-5000-3", "teacher", 5000, 3, 1, 1e-2, 1e-6, 20.0),
    ("teacher-5000-3-small", "teacher", 5000, 3, 1, 1e-3, 1e-4, 30.0),
    ("teacher-20000-3-small", "teacher", 20000, 3, 1, 1e-3, 1e-3, 60.0),
    ("teacher-2000-5", "teacher", 2000, 5, 1, 1e-2, 1e-2, 180.0),
    ("outputs-1000-3", "teacher", 1000, 3, 3, 1e-2, 1e-3, 60.0),
]


def problem_of(kind: str, N: int, features: int, outputs: int, lam: float) -> Problem:
    """The problem of a line of TARGETS."""
    if kind == "diabetes":
        data = {"source": "diabetes", "points": N, "features": features}
        return parse_instance({"name": "points", "data": data, "loss": "mse", "lambda": lam}).problem()
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, features))
    if kind == "gaussian":
        return Problem(X, rng.standard_normal((N, outputs)), lam=lam)
    W, V = rng.standard_normal((5, features + 1)), rng.standard_normal((outputs, 5))
    Y = np.maximum(np.column_stack([X, np.ones(N)]) @ W.T, 0.0) @ V.T
    Y = (Y - Y.mean(axis=0)) / Y.std(axis=0) + 0.3 * rng.standard_normal((N, outputs))
    return Problem(X, Y, lam=lam)


def before(problem: Problem, gap: float, seconds: float) -> float | None:
    """The gap without cones and without the dictionary, after as many seconds."""
    kept = dict(ladder.CONES_FROM), steps.MANY_POINTS
    ladder.CONES_FROM.clear()
    steps.MANY_POINTS = sys.maxsize
    try:
        return solve(problem, gap=gap, time_limit=seconds).gap
    finally:
        ladder.CONES_FROM.update(kept[0])
        steps.MANY_POINTS = kept[1]


def main() -> None:
    for outputs in (1, 2):  # compiles the kernels
        solve(problem_of("gaussian", 8, 2, outputs, 1e-1), time_limit=10.0)
    rows, data = [], []
    for name, kind, N, features, outputs, lam, gap, target in TARGETS:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        problem = problem_of(kind, N, features, outputs, lam)
        started, cpu = time.perf_counter(), time.process_time()
        result = solve(problem, gap=gap, time_limit=6.0 * target)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        certificate = certify(result)
        checking = time.process_time()
        assert certificate is not None
        check.check(certificate.content)
        checking = time.process_time() - checking
        peer = before(problem, gap, max(seconds, 10.0))
        nodes = result.trace[-1].nodes
        record: dict[str, Any] = {
            "problem": name, "sha256": problem.sha256, "status": result.status, "gap": result.gap, "certified_gap": certificate.gap,
            "seconds": seconds, "cpu_seconds": cpu, "target_seconds": target, "nodes": nodes, "check_seconds": checking,
            "bytes": len(certificate.content), "gap_before": peer,
        }  # fmt: skip
        data.append(record)
        shown = ["-" if value is None else f"{value:.1e}" for value in (certificate.gap, peer)]
        figures = [f"{cpu:.1f}", f"{target:g}", str(nodes), f"{checking:.1f}", str(len(certificate.content))]
        rows.append([name, f"{gap:g}", shown[0], *figures, shown[1]])
        print(" | ".join(rows[-1]), flush=True)
    headings = ["problem", "gap asked", "gap proven", "CPU s", "target", "nodes", "check, CPU s", "bytes", "gap before"]
    tables.write("points", "Many points of small rank", headings, rows, data)


if __name__ == "__main__":
    main()
