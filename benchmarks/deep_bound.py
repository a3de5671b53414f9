"""Global bounds at depth 3 and more: the best known loss, the proven lower bound and the gap, on instances of every kind.

    python benchmarks/deep_bound.py [NAME …] [--processor] [--networks K] [--list]

NAME: rows whose name has this text in it; all by default. The network is the best of K (50) trained ones and of the tool's own, and
the bound starts from it. Every lower bound is the one of a certificate that the exact checker has accepted. --processor: the
limits are seconds of the processor, for a machine that is busy. Each row goes into results/deep_bound.json as it ends; rows
that were measured before stay there.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tables

from cpcert import Network, Problem
from cpcert.certificate import deep_check
from cpcert.deep.bound.solve import global_bound
from cpcert.deep.bound.tree import compile_kernels
from cpcert.deep.descent import descend, random_network
from cpcert.deep.solve import solve_deep
from cpcert.instance import load_instance, parse_instance
from cpcert.network import loss_upper

HEADINGS = [
    "problem", "upper", "proven lower", "ratio", "gap", "wanted", "met", "proof", "CPU s", "within", "check, CPU s", "bytes",
]  # fmt: skip
NOTES = (
    "upper: the best of the tool and 50 trained networks. within: seconds. proof: the most classes of directions of the first "
    "layer in a box of their masses, or of top neurons; norms: the bound by operator norms. Of the "
    "random rows two thirds are wanted within 1 %, all within 3 %. patterns: an earlier kind of classes of top neurons; rows "
    "stay as they were measured last."
)


@dataclass(frozen=True)
class Row:
    """A problem, the gap that is wanted (None: any positive bound) and in how many seconds."""

    name: str
    problem: Problem
    wanted: float | None
    seconds: float


def teacher(N: int, d: int, seed: int, **options: float) -> Problem:
    """Targets of three ReLU neurons."""
    rng = np.random.default_rng(seed)
    X, W, v = rng.standard_normal((N, d)), rng.standard_normal((3, d)), rng.standard_normal((3, 1))
    return Problem(X, np.maximum(X @ W.T, 0.0) @ v, depth=3, **options)


def gaussian(N: int, d: int, seed: int, **options: float) -> Problem:
    """Points and targets without relation."""
    rng = np.random.default_rng(seed)
    return Problem(rng.standard_normal((N, d)), rng.standard_normal((N, 1)), depth=3, **options)


def rows() -> Iterator[Row]:
    """The table."""
    for beta in (0.0, 1.0):
        for lam in (1e-2, 1e-3):
            for seed in range(3):
                # Of seed 0 and β = 0 all output weights have one sign at the optimum.
                wanted = 3e-3 if seed == 0 and beta == 0.0 else 3e-2
                name = f"teacher N=10 d=2 seed={seed} beta={beta:g} lambda={lam:g}"
                yield Row(name, teacher(10, 2, seed, beta=beta, lam=lam), wanted, 10.0)
    for N in (3, 5):
        for d in (1, 2):
            for beta in (0.0, 1.0):
                for lam in (1e-3, 1e-2, 1e-1):
                    name = f"random N={N} d={d} beta={beta:g} lambda={lam:g}"
                    yield Row(name, gaussian(N, d, 5, beta=beta, lam=lam), 1e-2, 30.0)
    for N in (3, 5):
        for lam in (1e-3, 1e-2, 1e-1):
            yield Row(f"rank one N={N} lambda={lam:g}", gaussian(N, 1, 5, beta=0.0, lam=lam), 1e-3, 5.0)
    yield Row("teacher N=20 d=2 beta=0 lambda=0.1", teacher(20, 2, 1, beta=0.0, lam=0.1), 1.5e-2, 30.0)
    for beta in (0.0, 1.0):
        yield Row(f"teacher N=20 d=2 beta={beta:g} lambda=0.01", teacher(20, 2, 1, beta=beta, lam=1e-2), 8e-2, 60.0)
    yield Row("teacher-deep", load_instance("instances/teacher-deep.yaml").problem(), 0.15, 120.0)
    digits = {"source": "digits", "classes": [3, 8], "points": 200}
    for depth in (3, 4):
        content = {"name": "digits", "data": digits, "loss": "mse", "lambda": 1e-2, "depth": depth}
        yield Row(f"digits N=200 depth={depth}", parse_instance(content).problem(), None, 60.0)
    content = {
        "name": "diabetes",
        "data": {"source": "diabetes", "points": 100},
        "loss": "mse",
        "lambda": 1e-2,
        "depth": 5,
    }
    yield Row("diabetes N=100 depth=5", parse_instance(content).problem(), None, 60.0)


def best_network(problem: Problem, count: int) -> Network:
    """The best of the tool's network and of `count` networks trained from random weights."""
    found = solve_deep(problem, gap=1e-2, time_limit=5.0).network
    assert found is not None
    best, value = found, found.loss(problem)
    for k in range(count if problem.N <= 64 else 2):
        width = (3, 6, 12)[k % 3]
        network = descend(problem, random_network(problem, width, np.random.default_rng((0, k))))
        loss = network.loss(problem)
        if loss < value:
            best, value = network, loss
    return best.balanced().without_dead_neurons(1e-6)


def shares(content: bytes) -> list[float]:
    """The parts of the work, and of the memory (but what is given back), that a file of this size may cost and this one does."""
    limits = deep_check.work_of(len(content)), deep_check.MEMORY + deep_check.MEMORY_RATE * len(content)
    budget = deep_check.Budget(*limits)
    token = deep_check.BUDGET.set(budget)
    deep_check.check_minimum(*deep_check.parse(content))
    deep_check.BUDGET.reset(token)
    return [1.0 - budget.work / limits[0], 1.0 - budget.memory / limits[1]]


def measured(row: Row, count: int) -> dict[str, Any]:
    """What one row comes to."""
    network = best_network(row.problem, count)
    upper = loss_upper(network, row.problem)
    started, wall = time.process_time(), time.perf_counter()
    asked = 1e-2 if row.wanted is None else 0.95 * min(row.wanted, 1e-2)
    bound = global_bound(row.problem, network, gap=asked, time_limit=row.seconds)
    seconds, wall = time.process_time() - started, time.perf_counter() - wall
    started = time.process_time()
    size = 0
    if bound.certificate is not None:
        size = len(bound.certificate.content)
        assert deep_check.check(bound.certificate.content)["lower"] == bound.lower
    check_seconds = time.process_time() - started
    lower = bound.lower or 0.0
    return {
        "name": row.name, "sha256": row.problem.sha256, "upper": upper, "lower": lower,
        "gap": (upper - lower) / upper if upper else 0.0,
        "wanted": row.wanted, "seconds": seconds, "wall": wall, "target_seconds": row.seconds, "kind": bound.kind,
        "bytes": size, "check_seconds": check_seconds,
        "shares": None if bound.certificate is None else shares(bound.certificate.content),
    }  # fmt: skip


def main() -> None:
    """Measure the rows asked for, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--processor", action="store_true")
    parser.add_argument("--networks", type=int, default=50)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    compile_kernels()
    if arguments.processor:
        time.monotonic = time.process_time
    table = list(rows())
    for row in table:
        if arguments.list:
            print(row.name)
        elif not arguments.names or any(name in row.name for name in arguments.names):
            one = measured(row, arguments.networks)
            print(f"{row.name}: gap {one['gap']:.2%} in {one['seconds']:.1f} CPU s", flush=True)
            store(one, [row.name for row in table])


def store(one: dict[str, Any], names: list[str]) -> None:
    """Put a row into the table, among those measured before: parts may run at the same time."""
    tables.RESULTS.mkdir(exist_ok=True)
    path = tables.RESULTS / "deep_bound.json"
    folder = os.open(tables.RESULTS, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    before = json.loads(path.read_text())["results"] if path.exists() else []
    known = {row["name"]: row for row in [*before, one]}
    data = [known[name] for name in names if name in known]
    tables.write("deep_bound", "Global bounds at depth 3 and more", HEADINGS, [line(row) for row in data], data, NOTES)
    os.close(folder)


def line(one: dict[str, Any]) -> list[str]:
    """A row as the table shows it."""
    wanted = "> 0" if one["wanted"] is None else f"{one['wanted']:.1%}"
    met = one["lower"] > 0.0 if one["wanted"] is None else one["gap"] <= one["wanted"]
    ratio = f"{one['upper'] / one['lower']:.3g}" if one["lower"] else "-"
    return [
        one["name"], f"{one['upper']:.6g}", f"{one['lower']:.6g}", ratio, f"{one['gap']:.2%}", wanted,
        "yes" if met else "no", one["kind"] or "-", f"{one['seconds']:.1f}", f"{one['target_seconds']:g}",
        f"{one['check_seconds']:.1f}", str(one["bytes"]),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
