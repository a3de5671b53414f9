"""Global bounds at depth 3 and more: upper, proven lower, gap and seconds of the bound, on small instances of every
kind.

    python benchmarks/deep_bound.py [FIRST LAST] [--seconds S] [--networks K]

One line an instance. The network is the best of K trained ones (50); the bound starts from it. Every lower bound is the
one of a certificate that the exact checker has accepted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from cpcert import Network, Problem
from cpcert.deep.bound.solve import global_bound
from cpcert.deep.bound.tree import compile_kernels
from cpcert.deep.descent import descend, random_network
from cpcert.network import loss_upper


def teacher(N: int, d: int, seed: int, **options: float) -> Problem:
    """Targets of three ReLU neurons."""
    rng = np.random.default_rng(seed)
    X, W, v = rng.standard_normal((N, d)), rng.standard_normal((3, d)), rng.standard_normal((3, 1))
    name = f"teacher N={N} d={d} seed={seed} " + " ".join(f"{k}={v:g}" for k, v in options.items())
    return Problem(X, np.maximum(X @ W.T, 0.0) @ v, depth=3, name=name, **options)


def gaussian(N: int, d: int, seed: int, **options: float) -> Problem:
    """Points and targets without relation."""
    rng = np.random.default_rng(seed)
    name = f"random N={N} d={d} seed={seed} " + " ".join(f"{k}={v:g}" for k, v in options.items())
    return Problem(rng.standard_normal((N, d)), rng.standard_normal((N, 1)), depth=3, name=name, **options)


def instances() -> Iterator[tuple[Problem, float, float]]:
    """(problem, gap to ask for, seconds)."""
    for beta in (0.0, 1.0):
        for lam in (1e-2, 1e-3):
            for seed in range(3):
                yield teacher(10, 2, seed, beta=beta, lam=lam), 3e-3, 10.0
    for N in (3, 5):
        for d in (1, 2):
            for beta in (0.0, 1.0):
                for lam in (1e-3, 1e-2, 1e-1):
                    yield gaussian(N, d, 5, beta=beta, lam=lam), 1e-2, 30.0
    yield teacher(20, 2, 1, beta=0.0, lam=0.1), 1.5e-2, 30.0
    for beta in (0.0, 1.0):
        yield teacher(20, 2, 1, beta=beta, lam=1e-2), 1e-2, 60.0


def trained(problem: Problem, count: int = 50) -> Network:
    """The best of `count` networks trained from random weights."""
    best, value = None, np.inf
    for k in range(count):
        width = (3, 6, 12)[k % 3]
        network = descend(problem, random_network(problem, width, np.random.default_rng((0, k))))
        loss = network.loss(problem)
        if loss < value:
            best, value = network, loss
    assert best is not None
    return best.balanced().without_dead_neurons(1e-6)


def main() -> None:
    """Run the instances FIRST to LAST − 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("range", type=int, nargs="*", default=[0, 1000])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--networks", type=int, default=50)
    arguments = parser.parse_args()
    compile_kernels()
    for problem, gap, seconds in list(instances())[arguments.range[0] : arguments.range[1]]:
        started = time.monotonic()
        network = trained(problem, arguments.networks)
        training = time.monotonic() - started
        upper = loss_upper(network, problem)
        started = time.monotonic()
        bound = global_bound(problem, network, gap=gap, time_limit=arguments.seconds or seconds)
        lower = bound.lower or 0.0
        certificate = 0 if bound.certificate is None else len(bound.certificate.content)
        print(
            f"{problem.name:48} upper {upper:.6g} lower {lower:.6g} gap {(upper - lower) / upper:7.2%} "
            f"({bound.kind}, cannot pass {(upper - bound.limit) / upper:7.2%}) {time.monotonic() - started:6.1f} s, "
            f"training {training:.1f} s, {certificate} bytes",
            flush=True,
        )


if __name__ == "__main__":
    main()
