"""What needs a graphics card: `python benchmarks/gpu.py moments --device cuda`.

moments: the moment relaxation of ten classes of MNIST (`--mnist FOLDER`, its test split) or of the digits, with N points, in
torch on the device; numpy repairs the candidates on the processor, which is what is printed (floating point, no certificate: its
matrix of order N + 800 is beyond the checker). Needs numpy, scipy and torch.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from cpcert import Problem
from cpcert.frank_wolfe import large
from cpcert.frank_wolfe.bounds import best_scale, dual_value
from cpcert.frank_wolfe.steps import objective
from cpcert.moments.relaxation import Relaxation
from cpcert.moments.repair import estimate
from cpcert.oracle.coordinates import coordinates


def images(points: int, mnist: str | None) -> Problem:
    """Ten classes, one-hot, mse, λ = 1e-2."""
    from cpcert.data.sources import Digits, Mnist

    classes = list(range(10))
    if mnist is None:
        X, Y, *_ = Digits(source="digits", classes=classes, points=points, targets="one_hot").arrays(Path())
    else:
        source = Mnist(
            source="mnist", classes=classes, points=points, targets="one_hot", split="test", folder=str(Path(mnist).resolve())
        )  # fmt: skip
        X, Y, *_ = source.arrays(Path())
    return Problem(X, Y, lam=1e-2)


def moments(problem: Problem, device: str, seconds: float, every: int) -> None:
    """A line for every so many candidates: the bound after repair, and its distance from a trained network."""
    points = coordinates(problem.X_tilde).points
    deadline = time.monotonic() + 0.2 * seconds
    networks = list(large.trained(problem, points, 0, deadline))
    neurons = min(networks, key=lambda each: objective(problem, points, each))
    upper = objective(problem, points, neurons)
    print(f"N = {problem.N}, rank {points.shape[1]}, {problem.m} outputs, {device}: trained {upper:.6g}", flush=True)
    relaxation = Relaxation(problem, points, neurons.W, neurons.V, device=device)
    began, best, number = time.monotonic(), 0.0, 0
    while time.monotonic() - began < seconds:
        found = relaxation.step()
        number += 1
        if number % every == 0:
            candidate = relaxation.candidate(found)
            draft = estimate(points, candidate, problem.activation)
            excess, lack = np.inf, 0.0
            if draft is not None and draft.bound > 0.0:
                scale = best_scale(problem, candidate.G, 2.0 * problem.lam / draft.bound)
                best = max(best, dual_value(problem, scale * candidate.G))
                excess = draft.bound / (2.0 * problem.lam) - 1.0
                lack = abs(1.0 - dual_value(problem, candidate.G) / candidate.objective)
            spent = time.monotonic() - began
            print(f"{spent:7.1f} s, {number} steps: lower {best:.6g}, gap {1.0 - best / upper:.4f}", flush=True)
            relaxation.update(found)
            relaxation.adapt(excess, lack, relaxation.curvature(found))
        else:
            relaxation.update(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    part = commands.add_parser("moments", help="the moment relaxation at N = 1000")
    part.add_argument("--device", default="cpu")
    part.add_argument("--points", type=int, default=1000)
    part.add_argument("--seconds", type=float, default=180.0)
    part.add_argument("--every", type=int, default=10, help="steps between repairs")
    part.add_argument("--mnist", help="the folder of MNIST's IDX files")
    given = parser.parse_args()
    moments(images(given.points, given.mnist), given.device, given.seconds, given.every)


if __name__ == "__main__":
    main()
