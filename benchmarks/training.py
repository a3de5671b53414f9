"""Training a whole sweep in batches, beside training its networks one after another with torch.nn, on one thread each.

    python benchmarks/training.py                             digits 3 and 8, 250 networks of depth 2, and how far from the minimum
    python benchmarks/training.py instances/figure2-mnist.yaml    the networks of an instance, for a few hundred steps

The peer trains a sample of the same networks: torch.nn, Adam with the same rates and number of steps in float32, then gradient
descent in float64 with as many steps as ours took on average; its time is scaled up to the whole sweep. On graphics cards: gpu.py.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import tables
import torch

from cpcert.problem import Problem
from cpcert.training.batch import Trial
from cpcert.training.optimiser import Settings
from cpcert.training.sweep import Result, best_per_width, device_name, parse_widths, train_sweep, trials_of

INSTANCES = Path(__file__).parents[1] / "instances"
WIDTHS, SEEDS = range(1, 51), 5
SAMPLE = 8
# For the times of the networks of an instance: steps of Adam and of gradient descent.
STEPS = Settings(epochs=200, descent=50)
# A best loss this close to the proven minimum, relatively, counts as having found it.
FOUND = 1e-3


@dataclass
class Timed:
    """results of the sweep; seconds, cpu: of ours and of the peer, the latter scaled up from `sample` networks."""

    results: list[Result]
    seconds: float
    cpu: float
    sample: int
    peer_seconds: float
    peer_cpu: float

    def sentence(self) -> str:
        return (
            f"Batched: {self.seconds:.1f} s ({self.cpu:.1f} s of CPU). One after another with torch.nn, the time of "
            f"{self.sample} networks scaled up: {self.peer_seconds:.0f} s ({self.peer_cpu:.0f} s of CPU). Ratio: "
            f"{self.peer_seconds / self.seconds:.1f} ({self.peer_cpu / self.cpu:.1f} in CPU time)."
        )

    def record(self, device: str) -> dict[str, object]:
        trials = [
            {"width": r.trial.width, "seed": r.trial.seed, "lambda": r.trial.lam, "loss": r.loss} for r in self.results
        ]
        return {
            "device": device_name(device), "torch": torch.__version__, "networks": len(self.results),
            "seconds": self.seconds, "cpu_seconds": self.cpu, "peer_sample": self.sample,
            "peer_seconds": self.peer_seconds, "peer_cpu_seconds": self.peer_cpu, "trials": trials,
        }  # fmt: skip


def measure(problem: Problem, trials: list[Trial], settings: Settings, device: str, sample: int = SAMPLE) -> Timed:
    warm_up = Settings(epochs=20, descent=20)
    train_sweep(problem, trials[:10], warm_up, device)
    synchronise(device)
    start, cpu = time.perf_counter(), time.process_time()
    results, _ = train_sweep(problem, trials, settings, device)
    synchronise(device)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    # The middle one of every k networks: the sample has the widths of the sweep in proportion.
    every = max(1, len(results) // sample)
    chosen = results[every // 2 :: every]
    steps = round(float(np.mean([result.steps for result in results])))
    one_by_one(problem, chosen[0].trial, 20, 20, settings.rate, device)
    synchronise(device)
    start, peer_cpu = time.perf_counter(), time.process_time()
    for result in chosen:
        one_by_one(problem, result.trial, settings.epochs, max(steps - settings.epochs, 0), settings.rate, device)
    synchronise(device)
    scale = len(results) / len(chosen)
    peer_seconds, peer_cpu = time.perf_counter() - start, time.process_time() - peer_cpu
    return Timed(results, seconds, cpu, len(chosen), scale * peer_seconds, scale * peer_cpu)


def one_by_one(problem: Problem, trial: Trial, epochs: int, descent: int, rate: float, device: str) -> float:
    """Train one network with torch.nn (relu, β = 1) and return its last loss without the penalty."""
    torch.manual_seed(trial.seed)
    sizes = [problem.n0, *[trial.width] * (problem.depth - 1), problem.m]
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1]).to(device)
    loss = torch.zeros(())
    for dtype, steps in ((torch.float32, epochs), (torch.float64, descent)):
        model = model.to(dtype)
        X, Y = (torch.tensor(A, dtype=dtype, device=device) for A in (problem.X, problem.Y))
        decay = 2.0 * trial.lam
        if dtype == torch.float32:
            optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
        else:
            optimizer = torch.optim.SGD(model.parameters(), lr=rate, weight_decay=decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
        for _ in range(steps):
            optimizer.zero_grad()
            Z = model(X)
            if problem.loss.name == "mse":
                loss = (Z - Y).square().sum() / len(X)
            else:
                loss = torch.nn.functional.cross_entropy(Z, Y)
            loss.backward()
            optimizer.step()
            if dtype == torch.float32:
                schedule.step()
    return loss.item()


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def digits() -> None:
    from cpcert import load_instance, solve

    problem = load_instance(INSTANCES / "digits-3-8.yaml").problem()
    solved = solve(problem)
    lower, upper = solved.lower, solved.upper
    assert lower is not None and upper is not None
    timed = measure(problem, trials_of(list(WIDTHS), SEEDS, [problem.lam]), Settings(), "cpu")
    rows = []
    for best in best_per_width(timed.results):
        losses = [r.loss for r in timed.results if r.trial.width == best.trial.width]
        found = sum(loss <= (1.0 + FOUND) * upper for loss in losses)
        excess = [loss / lower - 1.0 for loss in (best.loss, float(np.median(losses)), max(losses))]
        rows.append([str(best.trial.width), *(f"{value:.1e}" for value in excess), f"{found}/{SEEDS}"])
    headings = ["width", "best of the seeds", "median", "worst", f"within {FOUND:g} of the minimum"]
    notes = (
        f"digits-3-8 (N = {problem.N}, λ = {problem.lam:g}, depth 2), {len(timed.results)} networks. Columns: relative excess of "
        f"the trained loss over the proven lower bound {lower:.10f} (proven upper bound: {upper:.10f}, by a network of "
        f"{solved.width} neurons, {solved.seconds:.1f} s).\n\n" + timed.sentence()
    )
    tables.write("training", "Training a sweep on a CPU", headings, rows, timed.record("cpu"), notes)


def times(path: Path) -> None:
    """Times of the networks of an instance for STEPS, all of them and up to each width."""
    from cpcert import load_instance

    instance = load_instance(path)
    problem, train = instance.problem(), instance.train
    rows, records = [], []
    for low, high in ((1, 4), (5, 16), (17, 50), (51, 10**5)):
        widths = [width for width in parse_widths(train.widths) if low <= width <= high]
        if not widths:
            continue
        timed = measure(problem, trials_of(widths, train.seeds, train.lambdas or [problem.lam]), STEPS, "cpu", sample=4)
        each = (1e3 * timed.cpu / len(timed.results), 1e3 * timed.peer_cpu / len(timed.results))
        rows.append([f"{widths[0]} to {widths[-1]}", str(len(timed.results)), *(f"{ms:.0f} ms" for ms in each),
                     f"{each[1] / each[0]:.1f}"])  # fmt: skip
        records.append({"widths": widths, **timed.record("cpu")})
    headings = ["widths", "networks", "each, batched", "each, torch.nn", "ratio"]
    notes = (
        f"{problem.name}: N = {problem.N}, {problem.n0} features, depth {problem.depth}, {STEPS.epochs} steps of Adam in float32 and "
        f"up to {STEPS.descent} of gradient descent in float64; seconds of CPU on one thread, of the peer for four networks of a row."
    )
    tables.write(f"training_{problem.name}", f"Training {problem.name} on a CPU", headings, rows, records, notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "instance", nargs="?", type=Path, help="measure the times of its networks instead of the digits"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.instance is not None:
        times(given.instance)
    else:
        digits()


if __name__ == "__main__":
    main()
