"""Depth 3: the loss and the proven gap of every layer, beside the best of fifty trained networks.

The peer is L-BFGS from fifty random networks of width 20 with He's variance (up to 3000 steps each), in the same run. Training
proves nothing; its loss is the comparison.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tables

from cpcert.deep.descent import descend, random_network
from cpcert.deep.solve import solve_deep
from cpcert.instance import parse_instance

TEACHER = {"source": "teacher", "points": 20, "features": 3}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("teacher N=20, d=3, lambda 1e-2", {"data": TEACHER, "lambda": 1e-2}),
    ("the same, lambda 1e-3", {"data": TEACHER, "lambda": 1e-3}),
    ("the same, leaky_relu", {"data": TEACHER, "lambda": 1e-2, "activation": "leaky_relu", "slope": 0.1}),
    ("the same, abs", {"data": TEACHER, "lambda": 1e-2, "activation": "abs"}),
    ("the same, depth 4", {"data": TEACHER, "lambda": 1e-3, "depth": 4}),
    (
        "iris N=20, cross-entropy",
        {"data": {"source": "iris", "points": 20, "features": 2}, "loss": "cross_entropy", "lambda": 1e-2},
    ),
]
GAP, SECONDS = 1e-4, 120.0
TRAINED, WIDTH, STEPS = 50, 20, 3000


def main() -> None:
    rows, data = [], []
    for name, rest in CASES:
        problem = parse_instance({"name": "deep", "loss": "mse", "depth": 3, **rest}).problem()
        started, cpu = time.perf_counter(), time.process_time()
        result = solve_deep(problem, gap=GAP, time_limit=SECONDS)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        started = time.process_time()
        losses = []
        for seed in range(TRAINED):
            start = random_network(problem, WIDTH, np.random.default_rng((1, seed)))
            losses.append(descend(problem, start, STEPS).loss(problem))
        trained = time.process_time() - started
        assert result.upper is not None
        gaps = ", ".join(f"{bound.gap:.1e} ({bound.rung})" for bound in result.layers)
        shape = "-".join(str(bound.width) for bound in result.layers)
        rows.append([
            name, result.status, gaps, shape, f"{result.upper:.8g}", f"{min(losses):.8g}", f"{np.median(losses):.8g}",
            f"{min(losses) / result.upper - 1.0:+.1e}", f"{seconds:.1f}", f"{cpu:.1f}", f"{trained:.1f}",
        ])  # fmt: skip
        data.append({
            "problem": name, "sha256": problem.sha256, "status": result.status, "upper": result.upper,
            "gaps": [bound.gap for bound in result.layers], "widths": [bound.width for bound in result.layers],
            "seconds": seconds, "cpu_seconds": cpu, "trained": sorted(losses), "trained_cpu_seconds": trained,
        })  # fmt: skip
        print(" | ".join(rows[-1]), flush=True)
    headings = [
        "problem",
        "status",
        "proven gaps, layer by layer",
        "widths",
        "loss",
        f"best of {TRAINED} trained",
        "median",
        "trained above",
        "seconds",
        "CPU s",
        "CPU s of training",
    ]
    tables.write("deep", __doc__, headings, rows, data)


if __name__ == "__main__":
    main()
