"""Images and other data of large rank: the proven gap, when it was reached, the certificate and its check.

Seconds of the clock and of the processor are both given: on a machine with other work the second is the fair one, and with
`--cpu` the limits are in these. `--names a,b` runs some rows only, `--limits f` multiplies all limits by f. The upper end is
compared with the best of NETWORKS networks trained in the same run.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tables

from cpcert import Problem, certify, solve
from cpcert.certificate import check
from cpcert.data.sources import Digits
from cpcert.frank_wolfe import large
from cpcert.frank_wolfe.steps import objective
from cpcert.oracle.coordinates import coordinates

DATA = Path(__file__).parent / "data"
NETWORKS = 50
ALL = list(range(10))


def digits(points: int, classes: list[int], loss: str = "mse") -> Problem:
    targets = "signs" if len(classes) == 2 else "one_hot"
    X, Y, *_ = Digits(source="digits", classes=classes, points=points, targets=targets).arrays(Path())
    return Problem(X, Y, lam=1e-2, loss=loss)


def noise(points: int, features: int) -> Problem:
    rng = np.random.default_rng(0)
    return Problem(rng.standard_normal((points, features)), rng.standard_normal(points), lam=1e-2)


def ionosphere() -> Problem:
    with np.load(DATA / "ionosphere.npz") as arrays:
        X, Y = arrays["X"], arrays["Y"]
    return Problem(X, Y, lam=0.1 / len(X), beta=0.0)


# name: problem, seconds, the gap to reach
ROWS: dict[str, tuple[Callable[[], Problem], float, float]] = {
    "digits-100": (lambda: digits(100, [3, 8]), 60.0, 0.05),
    "digits-200": (lambda: digits(200, [3, 8]), 240.0, 0.09),
    "ten-100": (lambda: digits(100, ALL), 60.0, 0.10),
    "ten-100-entropy": (lambda: digits(100, ALL, "cross_entropy"), 120.0, 0.15),
    "gaussian-100": (lambda: noise(100, 10), 120.0, 0.36),
    "ionosphere": (ionosphere, 300.0, 0.35),
}


def best_network(problem: Problem, count: int, seconds: float) -> tuple[float, int]:
    """The least loss of so many trained networks, in floating point, and how many there was time for."""
    points = coordinates(problem.X_tilde).points
    deadline = time.monotonic() + seconds
    values = []
    for seed in range(count):
        values.append(objective(problem, points, large.train(problem, points, large.WIDTH, 10_000 + seed, deadline)))
        if time.monotonic() > deadline:
            break
    return min(values), len(values)


def measure(name: str, factor: float) -> list[str]:
    """The row of the table."""
    make, seconds, aim = ROWS[name]
    problem = make()
    started = time.process_time()
    reached: list[float] = []

    def note(record: object) -> bool:
        gap = getattr(record, "gap", None)
        if gap is not None and gap <= aim and not reached:
            reached.append(time.process_time() - started)
        return False

    result = solve(problem, time_limit=factor * seconds, callback=note)
    used = time.process_time() - started
    certificate = certify(result)
    assert certificate is not None
    started = time.process_time()
    check.check(certificate.content)
    checked = time.process_time() - started
    network, count = best_network(problem, NETWORKS, factor * seconds)
    assert certificate.upper is not None and certificate.lower is not None
    return [
        name, f"{problem.N} x {problem.n0}, {problem.m}", f"[{certificate.lower:.5g}, {certificate.upper:.5g}]",
        f"{math.ceil(1e4 * (certificate.gap or 0.0)) / 1e4:.4f}", f"{aim:g}", f"{reached[0]:.0f}" if reached else "-",
        f"{result.seconds:.0f}", f"{used:.0f}", f"{network:.5g} ({count})", f"{len(certificate.content) / 1e3:.0f}", f"{checked:.2f}",
    ]  # fmt: skip


HEADINGS = [
    "problem", "points, outputs", "interval", "gap", "aim", "aim reached, CPU s", "s", "CPU s", "trained (networks)",
    "certificate, kB", "check, CPU s",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", default=",".join(ROWS))
    parser.add_argument("--limits", type=float, default=1.0)
    parser.add_argument("--cpu", action="store_true", help="limits are seconds of the processor")
    given = parser.parse_args()
    if given.cpu:
        time.monotonic = time.process_time
    rows = []
    for name in given.names.split(","):
        rows.append(measure(name, given.limits))
        print(*rows[-1], sep=" | ", flush=True)
    data = [dict(zip(HEADINGS, row, strict=True)) for row in rows]
    tables.write("images", "Images and other data of large rank", HEADINGS, rows, data)


if __name__ == "__main__":
    main()
