"""One dimension: seconds to a proven gap with thousands of points, and where the plateau can start, against 4N."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import peers
import tables

from cpcert import Problem, solve
from cpcert.frank_wolfe.active_set import columns_for
from cpcert.frank_wolfe.arcs import correct_in_plane
from cpcert.frank_wolfe.corrective import correct
from cpcert.frank_wolfe.steps import bias_only
from cpcert.networks.one_dim import merge_neurons
from cpcert.oracle.plane import plane_oracle

# N, the gap asked for, the seconds aimed at.
TARGETS = ((1_000, 1e-6, 5.0), (10_000, 1e-4, 60.0))
LAMBDAS = (1e-2, 1e-3, 1e-4, 1e-5)
TRAINING_SECONDS = 5.0
# Beyond, one run of training alone takes minutes.
TRAINED = 1_000
COLUMNS = 20
PLATEAU_SIZES = (5, 10, 20, 40, 80, 160, 320)
PLATEAU_LAMBDAS = (1e-3, 1e-4, 1e-5)


def wave(N: int, lam: float, loss: str = "mse", seed: int = 0) -> Problem:
    """A sine with noise on uniform inputs; its sign for logistic."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-2.0, 2.0, N))
    y = np.sin(3.0 * x) + 0.3 * rng.standard_normal(N)
    return Problem(x[:, np.newaxis], np.sign(y) if loss == "logistic" else y, lam=lam, loss=loss)


def targets() -> None:
    """Seconds to the gaps asked for, beside the excess loss of training in at least as many seconds."""
    rows, records = [], []
    solve(wave(50, 1e-2))  # loads the kernels
    for N, gap, aim in TARGETS:
        for loss in ("mse", "logistic"):
            for lam in LAMBDAS if loss == "mse" else LAMBDAS[:2]:
                problem = wave(N, lam, loss)
                started, cpu = time.perf_counter(), time.process_time()
                result = solve(problem, gap=gap, time_limit=4.0 * aim)
                seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
                found = peers.training(problem, max(TRAINING_SECONDS, seconds), width=64) if N <= TRAINED else None
                excess = None if found is None else found.best / result.lower - 1.0
                rows.append([
                    loss, str(N), f"{lam:g}", f"{gap:g}", result.status, f"{result.gap:.1e}", f"{seconds:.2f}", f"{cpu:.2f}",
                    f"{aim:g}", str(result.iterations), str(result.width), "-" if excess is None else f"{excess:.1e}",
                ])  # fmt: skip
                records.append({
                    "loss": loss, "N": N, "lambda": lam, "requested_gap": gap, "status": result.status, "gap": result.gap,
                    "upper": result.upper, "lower": result.lower, "seconds": seconds, "cpu_seconds": cpu, "target_seconds": aim,
                    "iterations": result.iterations, "width": result.width, "training_excess": excess,
                    "training_seconds": None if found is None else found.seconds,
                })  # fmt: skip
                print(" | ".join(rows[-1]), flush=True)
    headings = ["loss", "N", "λ", "gap asked", "status", "gap proven", "seconds", "CPU s", "aim, s", "steps", "width",
                "excess of training"]  # fmt: skip
    notes = (
        "A sine with noise, β = 1. Training: Adam, then L-BFGS, width 64, from random starts, for the seconds of cpcert and "
        f"at least {TRAINING_SECONDS:g}; excess = its best loss / the proven lower bound − 1.\n\n" + parts(records)
    )
    tables.write("one_dimension", "One input, thousands of points", headings, rows, records, notes)


def parts(records: list[dict[str, Any]]) -> str:
    """One corrective step with prefix sums against the same program with a row per point, and one sweep of the oracle."""
    sentences = []
    for N in (300, 1_000, 10_000):
        problem = wave(N, 1e-3)
        points = np.ascontiguousarray(problem.X_tilde.T)
        rng = np.random.default_rng(1)
        W = rng.standard_normal((COLUMNS, 2))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        U = np.where(rng.random((COLUMNS, 1)) < 0.5, -1.0, 1.0)
        columns = columns_for(problem, bias_only(problem, 2).neurons, W, U, points)
        started = time.perf_counter()
        correct_in_plane(problem, points, columns)
        fast = time.perf_counter() - started
        G = np.asarray(problem.targets) * (2.0 / N)
        started = time.perf_counter()
        plane_oracle(points, G, problem.activation, 0.0)
        sweep = time.perf_counter() - started
        record = {"N": N, "columns": COLUMNS, "corrective_seconds": fast, "oracle_seconds": sweep}
        text = f"N = {N}: the oracle takes {1e3 * sweep:.1f} ms, a corrective step on {COLUMNS} columns {1e3 * fast:.0f} ms"
        if N <= 1_000:  # a third coordinate that is 0 keeps the program out of the plane
            solid = np.column_stack([points, np.zeros(N)])
            columns = columns_for(
                problem, bias_only(problem, 3).neurons, np.column_stack([W, np.zeros(COLUMNS)]), U, solid
            )
            started = time.perf_counter()
            correct(problem, solid, columns)
            record["general_seconds"] = time.perf_counter() - started
            text += f", the program with a row per point {record['general_seconds'] / fast:.0f} times as long"
        records.append(record)
        sentences.append(text)
    return ". ".join(sentences) + "."


def plateau() -> None:
    """The width of a network whose loss is proven minimal to 1e-6: the plateau of the loss against the width starts there
    at the latest."""
    rows, records = [], []
    for N in PLATEAU_SIZES:
        row = [str(N)]
        for lam in PLATEAU_LAMBDAS:
            rng = np.random.default_rng(N)
            problem = Problem(rng.uniform(-2.0, 2.0, (N, 1)), rng.standard_normal(N), lam=lam)
            result = solve(problem, gap=1e-6, time_limit=60.0)
            merged = None if result.network is None else merge_neurons(result.network, problem.X)[1].bound
            width = str(result.width) if result.status == "optimal" else f"({result.width}, gap {result.gap:.0e})"
            row.append(width)
            records.append({
                "N": N, "lambda": lam, "status": result.status, "gap": result.gap, "width": result.width,
                "seconds": result.seconds, "bound_prop_15": merged, "bound_caratheodory": N,
            })  # fmt: skip
        rows.append([*row, str(N), str(4 * N)])
        print(" | ".join(rows[-1]), flush=True)
    headings = ["N", *(f"width, λ = {lam:g}" for lam in PLATEAU_LAMBDAS), "N (Carathéodory)", "4N (Prop. 15)"]
    notes = (
        "Targets of pure noise, the hardest of a given size; β = 1, mse. Each width is that of a network whose loss is "
        "proven to be within a relative 1e-6 of the minimum over all widths, so the plateau starts there at the latest."
    )
    tables.write(
        "plateau_one_dimension", "The plateau of the loss against N, one input", headings, rows, records, notes
    )


if __name__ == "__main__":
    targets()
    plateau()
