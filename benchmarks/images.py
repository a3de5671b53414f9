"""Images and other data of large rank: the proven gap, when it was reached, the certificate and its check.

Seconds of the clock and of the processor are both given: on a machine with other work the second is the fair one, and with
`--cpu` the limits are in these. `--names a,b` runs some rows only (the others stay in the table as they were measured last),
`--limits f` multiplies all limits by f. `--parts` says what is measured, the other columns stay as they are: `solve`; `trained`, the
best of 50 networks of `cpcert train`, and the best of those that were ready when `solve` ended in its last run; `searches`, the gap
of the searches that the relaxation replaces, in as much time as that run took; `peer`, on the ionosphere data, the relaxation of
Prakhya, Birdal and Yurtsever by SCS. The row of MNIST needs `--mnist FOLDER` with the IDX files of its test split.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tables

from cpcert import Problem, certify, solve
from cpcert.certificate import check
from cpcert.data.sources import Digits, Mnist
from cpcert.frank_wolfe import large
from cpcert.oracle.coordinates import coordinates
from cpcert.training.batch import Trial, span_of_points
from cpcert.training.optimiser import Settings, Training

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


def mnist(folder: str | None) -> Problem:
    if folder is None:
        raise SystemExit("mnist-200: give --mnist FOLDER with t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz")
    source = Mnist(source="mnist", points=200, targets="signs", split="test", folder=folder)
    X, Y, *_ = source.arrays(Path())
    return Problem(X, Y, lam=1e-2)


# name: problem, seconds, the gap to reach
ROWS: dict[str, tuple[Callable[[], Problem], float, float]] = {
    "digits-100": (lambda: digits(100, [3, 8]), 60.0, 0.05),
    "digits-200": (lambda: digits(200, [3, 8]), 240.0, 0.09),
    "ten-100": (lambda: digits(100, ALL), 60.0, 0.10),
    "ten-100-entropy": (lambda: digits(100, ALL, "cross_entropy"), 120.0, 0.15),
    "gaussian-100": (lambda: noise(100, 10), 120.0, 0.36),
    "ionosphere": (ionosphere, 300.0, 0.35),
    "mnist-200": (lambda: mnist(None), 300.0, 0.12),
}


def best_networks(problem: Problem, seconds: float, same: float) -> tuple[float, int, float, int]:
    """The least loss of up to NETWORKS networks of `cpcert train` and how many there was time for; likewise of those that were ready
    after `same` seconds. A network that is still in training does not count, but the first."""
    inside, basis = span_of_points(problem)
    began, values, ready = time.process_time(), [], 0
    for seed in range(NETWORKS):
        training = Training(inside, [Trial(large.WIDTH, seed, problem.lam)], Settings(), "cpu", basis)
        while not training.done:
            training.advance()
        values.append(training.networks()[0].loss(problem))
        spent = time.process_time() - began
        ready = len(values) if spent <= same or ready == 0 else ready
        if spent > seconds:
            break
    return min(values), len(values), min(values[:ready]), ready


def searches_only(problem: Problem, seconds: float) -> float | None:
    """The gap of `solve` without the relaxation in the same time."""
    suits = large.suits
    large.suits = lambda *_: False
    try:
        return solve(problem, time_limit=seconds).gap
    finally:
        large.suits = suits


def peers_relaxation(problem: Problem, seconds: float) -> tuple[float, str, float]:
    """Their doubly nonnegative relaxation of a problem without biases, in the units of our loss: value, status, seconds.

    minimise C(Z) + λ(tr Y_vv + tr Y_ww) over the moments Y of (v, w, z), p = ½(z + Xw), q = ½(z − Xw): moments of (p, q) ≥ 0, those
    of p_i q_i = 0, Z = moments of v and p. A number of SCS, not a bound.
    """
    import cvxpy as cp

    points = coordinates(problem.X_tilde).points
    (N, r), m = points.shape, problem.m
    forms = np.zeros((2 * N, m + r + N))
    forms[:, m : m + r] = 0.5 * np.concatenate([points, -points])
    forms[:, m + r :] = 0.5 * np.concatenate([np.eye(N), np.eye(N)])
    Y = cp.Variable((m + r + N, m + r + N), PSD=True)
    products = forms @ Y @ forms.T
    Z = Y[:m] @ forms[:N].T
    one = np.arange(N)
    conditions = [products >= 0, products[one, one + N] == 0]
    cost = cp.sum_squares(Z - problem.targets) / N + problem.lam * cp.trace(Y[: m + r, : m + r])
    program = cp.Problem(cp.Minimize(cost), conditions)
    began = time.process_time()
    program.solve(solver="SCS", time_limit_secs=seconds, eps=1e-4)
    value = program.value
    return (math.nan if value is None else float(value)), str(program.status), time.process_time() - began


def measure_solve(problem: Problem, seconds: float, aim: float) -> dict[str, str]:
    """The columns of `solve` and of its certificate."""
    started = time.process_time()
    reached: list[float] = []

    def note(record: object) -> bool:
        gap = getattr(record, "gap", None)
        if gap is not None and gap <= aim and not reached:
            reached.append(time.process_time() - started)
        return False

    result = solve(problem, time_limit=seconds, callback=note)
    used = time.process_time() - started
    certificate = certify(result)
    assert certificate is not None and certificate.upper is not None and certificate.lower is not None
    started = time.process_time()
    check.check(certificate.content)
    checked = time.process_time() - started
    return {
        "points, outputs": f"{problem.N} x {problem.n0}, {problem.m}",
        "interval": f"[{certificate.lower:.5g}, {certificate.upper:.5g}]",
        "gap": f"{math.ceil(1e4 * (certificate.gap or 0.0)) / 1e4:.4f}", "aim": f"{aim:g}",
        "aim reached, CPU s": f"{reached[0]:.0f}" if reached else "-",
        "s": f"{result.seconds:.0f}", "CPU s": f"{used:.0f}",
        "certificate, kB": f"{len(certificate.content) / 1e3:.0f}", "check, CPU s": f"{checked:.2f}",
    }  # fmt: skip


def measure(name: str, factor: float, parts: list[str], known: dict[str, str]) -> dict[str, str]:
    """The measured columns of a row of the table; known: the row as it was."""
    make, limit, aim = ROWS[name]
    problem, seconds = make(), factor * limit
    row = {"problem": name}
    if "solve" in parts:
        row |= measure_solve(problem, seconds, aim)
    same = (known | row).get("CPU s", "-")
    spent = seconds if same == "-" else float(same)
    if "trained" in parts:
        best, count, then, ready = best_networks(problem, seconds, spent)
        row |= {"best of 50 networks": f"{best:.5g} ({count})", "in the time of solve": f"{then:.5g} ({ready})"}
    if "searches" in parts:
        gap = searches_only(problem, spent)
        row["searches only"] = "-" if gap is None else f"{gap:.3f}"
    if "peer" in parts and problem.beta == 0.0:
        value, status, took = peers_relaxation(problem, seconds)
        row["peer's relaxation"] = f"{value:.5g} ({status}, {took:.0f} s)"
    return row


HEADINGS = [
    "problem", "points, outputs", "interval", "gap", "aim", "aim reached, CPU s", "s", "CPU s", "best of 50 networks",
    "in the time of solve", "searches only", "peer's relaxation", "certificate, kB", "check, CPU s",
]  # fmt: skip
NOTES = (
    "In brackets: how many networks there was time for. mnist-200: the first file of the test split (10 000 images). The "
    "peer's number is SCS's value of the objective, no bound; none of its iterates is proven."
)


def stored() -> dict[str, dict[str, str]]:
    """The rows as they were measured last."""
    place = tables.RESULTS / "images.json"
    if not place.exists():
        return {}
    rows: list[dict[str, Any]] = json.loads(place.read_text())["results"]
    return {row["problem"]: {heading: row.get(heading, "-") for heading in HEADINGS} for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", default=",".join(name for name in ROWS if name != "mnist-200"))
    parser.add_argument("--limits", type=float, default=1.0)
    parser.add_argument("--cpu", action="store_true", help="limits are seconds of the processor")
    parser.add_argument("--parts", default="solve", help="solve, trained, searches, peer; separated by commas")
    parser.add_argument("--mnist", help="the folder of MNIST's IDX files")
    given = parser.parse_args()
    if given.cpu:
        time.monotonic = time.process_time
    _, *rest = ROWS["mnist-200"]
    ROWS["mnist-200"] = (lambda: mnist(given.mnist), *rest)  # type: ignore[assignment]
    for name in given.names.split(","):
        row = measure(name, given.limits, given.parts.split(","), stored().get(name, {}))
        known = stored()  # now: another run may have added rows
        known[name] = dict.fromkeys(HEADINGS, "-") | known.get(name, {}) | row
        print(*known[name].values(), sep=" | ", flush=True)
        data = [known[each] for each in ROWS if each in known]
        rows = [[each[heading] for heading in HEADINGS] for each in data]
        tables.write("images", "Images and other data of large rank", HEADINGS, rows, data, NOTES)


if __name__ == "__main__":
    main()
