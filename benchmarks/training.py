"""Training a whole sweep as one batch, beside training its networks one after another with torch.nn.

    python benchmarks/training.py                                digits, 160 networks of depth 2, and how far from the minimum
    python benchmarks/training.py --figure2 [--device cuda]      Figure 2: depth 3, N = 1000, widths 1 … 50 and some larger
    python benchmarks/training.py --save FILE.npz                the data of Figure 2, for a machine with numpy and torch only
    python benchmarks/training.py --figure2 --data FILE.npz      … there

The peer trains a sample of the same networks: torch.nn, Adam with the same rates and number of steps in float32, then gradient
descent in float64 with as many steps as ours took on average; its time is scaled up to the whole sweep.
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
from cpcert.training.sweep import Result, best_per_width, choose_device, device_name, train_sweep, trials_of

INSTANCES = Path(__file__).parents[1] / "instances"
WIDTHS, SEEDS = range(1, 33), 5
SAMPLE = 8
FIGURE2_WIDTHS = [*range(1, 51), 60, 80, 100]
FIGURE2_LAMBDAS = [1e-3, 1e-4]
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


def measure(problem: Problem, trials: list[Trial], settings: Settings, device: str) -> Timed:
    warm_up = Settings(epochs=20, descent=20)
    train_sweep(problem, trials[:10], warm_up, device)
    _synchronise(device)
    start, cpu = time.perf_counter(), time.process_time()
    results, _ = train_sweep(problem, trials, settings, device)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    # Every k-th network: the sample has the widths of the sweep in proportion.
    chosen = results[:: max(1, len(results) // SAMPLE)]
    steps = round(float(np.mean([result.steps for result in results])))
    one_by_one(problem, chosen[0].trial, 20, 20, settings.rate, device)
    _synchronise(device)
    start, peer_cpu = time.perf_counter(), time.process_time()
    for result in chosen:
        one_by_one(problem, result.trial, settings.epochs, max(steps - settings.epochs, 0), settings.rate, device)
    _synchronise(device)
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


def _synchronise(device: str) -> None:
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
        f"{solved.width} neurons, {solved.seconds:.1f} s).\n\n" + _times(timed)
    )
    tables.write("training", "Training a sweep on a CPU", headings, rows, _record(timed, "cpu"), notes)


def figure2(device: str, data: Path | None) -> None:
    if data is None:
        from cpcert import load_instance

        problem = load_instance(INSTANCES / "figure2-digits.yaml").problem()
    else:
        with np.load(data, allow_pickle=False) as arrays:
            problem = Problem(arrays["X"], arrays["Y"], lam=1e-3, loss="cross_entropy", depth=3, name=data.stem)
    settings = Settings(epochs=10_000)
    timed = measure(problem, trials_of(FIGURE2_WIDTHS, 3, FIGURE2_LAMBDAS), settings, device)
    rows = []
    for best in best_per_width(timed.results):
        losses = [r.loss for r in timed.results if (r.trial.width, r.trial.lam) == (best.trial.width, best.trial.lam)]
        rows.append([f"{best.trial.lam:g}", str(best.trial.width), f"{best.loss:.6f}", f"{max(losses):.6f}"])
    notes = (
        f"{problem.name}: N = {problem.N}, {problem.n0} features, {problem.m} classes, depth 3, cross-entropy, "
        f"{len(timed.results)} networks, {settings.epochs} steps of Adam, on {device_name(device)}, torch {torch.__version__}. "
        "No bound is proven at depth 3.\n\n" + _times(timed)
    )
    headings = ["λ", "width", "best loss", "worst loss"]
    name = f"training_figure2_{device}"
    tables.write(name, f"The sweep of Figure 2 on {device}", headings, rows, _record(timed, device), notes)


def _times(timed: Timed) -> str:
    return (
        f"Batched: {timed.seconds:.1f} s ({timed.cpu:.1f} s of CPU). One after another with torch.nn, the time of "
        f"{timed.sample} networks scaled up: {timed.peer_seconds:.0f} s ({timed.peer_cpu:.0f} s of CPU). Ratio: "
        f"{timed.peer_seconds / timed.seconds:.0f} ({timed.peer_cpu / timed.cpu:.0f} in CPU time)."
    )


def _record(timed: Timed, device: str) -> dict[str, object]:
    trials = [
        {"width": r.trial.width, "seed": r.trial.seed, "lambda": r.trial.lam, "loss": r.loss} for r in timed.results
    ]
    return {
        "device": device_name(device), "torch": torch.__version__, "threads": torch.get_num_threads(),
        "networks": len(timed.results), "seconds": timed.seconds, "cpu_seconds": timed.cpu, "peer_sample": timed.sample,
        "peer_seconds": timed.peer_seconds, "peer_cpu_seconds": timed.peer_cpu, "trials": trials,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure2", action="store_true", help="the sweep of Figure 2 instead of the digits")
    parser.add_argument("--device", default="auto", help="of Figure 2: auto, cuda, mps or cpu")
    parser.add_argument("--data", type=Path, help="of Figure 2: an .npz with X (N, n0) and one-hot Y (N, m)")
    parser.add_argument("--save", type=Path, help="write the data of figure2-mnist.yaml there, and stop")
    given = parser.parse_args()
    if given.save is not None:
        from cpcert import load_instance

        problem = load_instance(INSTANCES / "figure2-mnist.yaml").problem()
        np.savez_compressed(given.save, X=problem.X, Y=problem.Y)
    elif given.figure2:
        figure2(choose_device(given.device), given.data)
    else:
        digits()


if __name__ == "__main__":
    main()
