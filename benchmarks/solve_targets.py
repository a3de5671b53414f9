"""`solve` on problems of the sizes it is made for, each beside a peer in the same run.

The peer is full enumeration (the convex program over all activation patterns, Clarabel) where it fits in memory, else
training by Adam and L-BFGS from many random starts for as long, and at least ten seconds; its loss is compared with the proven
lower bound.
"""

from __future__ import annotations

import time
from typing import Any

import peers
import tables

from cpcert import Problem, solve
from cpcert.instance import parse_instance

# name, data, rest of the instance, gap, seconds it may take
TARGETS: list[tuple[str, dict[str, Any], dict[str, Any], float, float]] = [
    ("gaussian N=20, r=4", {"source": "gaussian", "points": 20, "features": 3}, {"lambda": 1e-2}, 1e-6, 1.0),
    ("gaussian N=40, d=8", {"source": "gaussian", "points": 40, "features": 8}, {"lambda": 1e-3}, 1e-6, 10.0),
    ("diabetes N=100, 4 features", {"source": "diabetes", "points": 100, "features": 4}, {"lambda": 1e-2}, 1e-6, 30.0),
    ("gaussian N=100, d=3", {"source": "gaussian", "points": 100, "features": 3}, {"lambda": 1e-3}, 1e-6, 20.0),
    ("digits 3/8, N=40", {"source": "digits", "classes": [3, 8], "points": 40}, {"lambda": 1e-2}, 1e-6, 30.0),
    ("iris one-hot, N=12, 2 features", {"source": "iris", "points": 12, "features": 2}, {"lambda": 1e-2}, 1e-6, 30.0),
    ("iris one-hot, N=30, 2 features", {"source": "iris", "points": 30, "features": 2}, {"lambda": 1e-2}, 1e-3, 120.0),
    ("bipartite N=8, interpolate", {"source": "bipartite", "N": 8}, {"loss": "interpolate", "beta": 0}, 1e-9, 1.0),
]
WIDTH = 64
TRAINING_SECONDS = 10.0


def main() -> None:
    for source in ("gaussian", "iris"):  # compiles the kernels of one and of several outputs
        points = {"source": source, "points": 6, "features": 2}
        small = {"name": "warm-up", "data": points, "loss": "mse", "lambda": 1e-2}
        solve(parse_instance(small).problem(), time_limit=10.0)
    rows, data = [], []
    for name, source, rest, gap, target in TARGETS:
        problem = parse_instance({"name": "target", "data": source, "loss": "mse", **rest}).problem()
        started, cpu = time.perf_counter(), time.process_time()
        result = solve(problem, gap=gap, time_limit=4.0 * target)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        peer, comparison, record = against(problem, result.upper, result.lower, seconds)
        proven = "-" if result.gap is None else f"{result.gap:.1e}"
        figures = (f"{gap:g}", result.status, proven, f"{seconds:.2f}", f"{cpu:.2f}", f"{target:g}", str(result.width))
        rows.append([name, *figures, peer, comparison])
        data.append({
            "problem": name, "sha256": problem.sha256, "requested_gap": gap, "status": result.status,
            "upper": result.upper, "lower": result.lower, "gap": result.gap, "seconds": seconds, "cpu_seconds": cpu,
            "target_seconds": target, "width": result.width, "iterations": result.iterations, "peer": record,
        })  # fmt: skip
        print(" | ".join(rows[-1]), flush=True)
    headings = [
        "problem",
        "gap asked",
        "status",
        "gap proven",
        "seconds",
        "CPU s",
        "aim, s",
        "width",
        "peer",
        "peer against cpcert",
    ]
    notes = (
        "Enumeration: the convex program over all activation patterns with Clarabel, where memory allows. Training: "
        f"Adam, then L-BFGS, width {WIDTH}, from random starts, for the seconds of cpcert and at least {TRAINING_SECONDS:g}; "
        "excess = its best loss / the proven lower bound − 1. Training proves nothing: without the lower bound nobody "
        "knows the excess. β = 1 except for bipartite."
    )
    tables.write("solve_targets", "Proven minima: seconds to the gap asked for", headings, rows, data, notes)


def against(
    problem: Problem, upper: float | None, lower: float | None, seconds: float
) -> tuple[str, str, dict[str, Any]]:
    """The peer's name, the ratio, and its figures."""
    size = peers.enumeration_size(problem)
    if problem.m == 1 and problem.loss.name == "mse" and size * problem.N <= peers.LARGEST_ENUMERATION:
        started = time.perf_counter()
        value = peers.full_enumeration(problem)
        spent = time.perf_counter() - started
        error = value / upper - 1.0 if upper else float("nan")
        text = f"{spent / seconds:.1f} × the time ({spent:.1f} s), value {error:+.0e}"
        return f"enumeration, {size} patterns", text, {"name": "enumeration", "seconds": spent, "value": value}
    why = "several outputs" if problem.m > 1 else f"{size:.1e} patterns"
    exact = problem.loss.name == "interpolate"
    # An exact fit cannot be trained: a small penalty instead; its minimum / λ is at most the representation cost.
    trained = Problem(problem.X, problem.Y, lam=1e-3, beta=problem.beta) if exact else problem
    found = peers.training(trained, max(seconds, TRAINING_SECONDS), WIDTH)
    best = found.best / trained.lam if exact else found.best
    record = {"name": "training", "seconds": found.seconds, "restarts": found.restarts, "best": best, "why": why}
    if not lower or upper is None:
        return f"training ({why})", "no lower bound to compare with", record
    if exact:
        text = f"loss/λ = {best:.6f} after {found.restarts} starts: no proof, not exact"
        return f"training at λ = 1e-3 ({why})", text, record
    excess, ours = best / lower - 1.0, max(upper / lower - 1.0, 1e-300)
    text = f"excess {excess:.1e} after {found.restarts} starts: {excess / ours:.0f} × our gap"
    return f"training ({why})", text, record


if __name__ == "__main__":
    main()
