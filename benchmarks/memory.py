"""Peak memory of the branch and bound at a million nodes, beside SCIP on the same problem.

The cutoff lies below the maximum, so that no proof ends the search early. Each runs in a process of its own, whose peak
resident memory is taken before and after the search.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
import tables

from cpcert import solve
from cpcert.instance import parse_instance
from cpcert.oracle.ascent import ascend, starting_points
from cpcert.oracle.branch import branch_and_bound
from cpcert.oracle.rung import Limits

NODES = 10**6
SCIP_SECONDS = 60.0
# Below the maximum, so that no proof ends the search early: every node above it is split until all signs are fixed.
CUTOFF = 0.3


def peak_megabytes() -> float:
    # Kilobytes on Linux, bytes on macOS.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def problem_and_value() -> tuple[np.ndarray, np.ndarray, float]:
    """points (60, 12), the gradient g after some steps of `solve` on pure noise, and the best value found for it."""
    data = {"source": "gaussian", "points": 60, "features": 11}
    problem = parse_instance({"name": "noise", "data": data, "loss": "mse", "lambda": 1e-3}).problem()
    result = solve(problem, max_iterations=12, node_limit=5000, time_limit=60.0)
    assert result.dual is not None and result.network is not None
    g = (problem.targets - result.network.predict(problem.X).T)[0]
    points = np.ascontiguousarray(problem.X_tilde.T)
    W, U = starting_points(points, g[np.newaxis], 3000, 0)
    return points, g, float(ascend(points, g[np.newaxis], 1.0, 0.0, W, U)[2][0])


def measure(which: str) -> dict[str, float]:
    points, g, best = problem_and_value()
    before, started = peak_megabytes(), time.process_time()
    if which == "cpcert":
        result = branch_and_bound(points, g, np.zeros(points.shape[1]), CUTOFF * best, Limits(NODES), max_atoms=0)
        nodes, ratio = result.nodes, result.upper_bound / best
    else:
        import peers

        found = peers.scip_maximum(points, g, best, CUTOFF, SCIP_SECONDS)
        nodes, ratio = found.nodes, found.bound
    seconds = time.process_time() - started
    return {"nodes": nodes, "before": before, "peak": peak_megabytes(), "seconds": seconds, "bound": ratio}


def main() -> None:
    if len(sys.argv) == 2:
        print(json.dumps(measure(sys.argv[1])))
        return
    records = {}
    for which in ("cpcert", "SCIP"):
        done = subprocess.run([sys.executable, __file__, which], capture_output=True, text=True, check=True)
        records[which] = json.loads(done.stdout.splitlines()[-1])
        print(which, records[which], flush=True)
    # The tree alone is four bytes a node; less can only mean that it found room in memory that was free before.
    per_node = {name: max(1e6 * (r["peak"] - r["before"]) / r["nodes"], 4.0) for name, r in records.items()}
    rows = []
    for name, r in records.items():
        times = per_node[name] / per_node["cpcert"]
        cells = (r["nodes"], r["seconds"], r["before"], r["peak"], per_node[name])
        rows.append([name, *(f"{cell:.0f}" for cell in cells), f"{r['bound']:.4f}", f"{times:.0f}"])
    headings = [
        "solver",
        "nodes",
        "CPU s",
        "MB before",
        "MB at the peak",
        "bytes per node",
        "bound / best value",
        "ratio",
    ]
    notes = (
        f"gaussian, N = 60, r = 12; cutoff {CUTOFF} × the best value found, so that the search goes on. cpcert stops at "
        f"{NODES} nodes, SCIP after {SCIP_SECONDS:g} s. ratio: bytes per node / those of cpcert."
    )
    tables.write("memory", "Memory of the branch and bound", headings, rows, records, notes)


if __name__ == "__main__":
    main()
