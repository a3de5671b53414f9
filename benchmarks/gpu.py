"""What a graphics card is good for, in parts of at most four minutes that need only numpy, scipy, torch and a file.

    python benchmarks/gpu.py data instances/figure2-mnist.yaml mnist.npz    where all of cpcert is installed: the file
    python benchmarks/gpu.py sweep mnist.npz --device cuda                  Figure 2: widths 1 to 50, 60, 80 and 100
    python benchmarks/gpu.py ratio mnist.npz --device cuda                  the same networks in batches and one after another
    python benchmarks/gpu.py moments mnist.npz --device cuda                the moment relaxation (depth 2, mse, one-hot targets)
    python benchmarks/gpu.py oracle mnist.npz --device cuda                 the oracle's ascent from thousands of starts

Each writes its table, with the name of the device, when it ends; --seconds ends it earlier, with what there is then. All numbers are
floating point: what is trained or repaired on a card is proven afterwards, on a processor.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tables
import torch
from training import measure, synchronise

from cpcert.problem import Problem
from cpcert.training.batch import span_of_points
from cpcert.training.optimiser import Settings
from cpcert.training.sweep import best_per_width, device_name, parse_widths, train_sweep, trials_of

FIGURE2 = "1:50,60:100:20"
# λ of the relaxation and of the oracle's dual point, whose problem is mse with one-hot targets.
LAMBDA = 1e-2


@dataclass(frozen=True)
class Given:
    """What a file of `data` has: the problem, and how its networks are trained."""

    problem: Problem
    lambdas: list[float]
    seeds: int
    settings: Settings

    def shorter(self, factor: float) -> Given:
        """With so many times fewer steps."""
        s = self.settings
        steps = (round(steps / factor) for steps in (s.epochs, s.descent, s.polish))
        return replace(self, settings=Settings(*steps, s.rate))


def write_data(instance: Path, file: Path) -> None:
    from cpcert import load_instance

    loaded = load_instance(instance)
    problem, how = loaded.problem(), loaded.train
    X = problem.X
    # Pictures are whole numbers over 255: a tenth of the size.
    whole = np.rint(255.0 * X)
    if np.array_equal(whole / 255.0, X):
        X = whole.astype(np.uint8)
    np.savez_compressed(
        file, X=X, Y=problem.Y, depth=problem.depth, loss=problem.loss.name, name=problem.name, seeds=how.seeds,
        lambdas=how.lambdas or [problem.lam], steps=[how.epochs, how.descent, how.polish], rate=how.rate,
    )  # fmt: skip


def read_data(file: Path, points: int | None) -> Given:
    with np.load(file, allow_pickle=False) as stored:
        a = {name: stored[name] for name in stored.files}
    X = a["X"] / 255.0 if a["X"].dtype == np.uint8 else a["X"]
    lambdas = [float(lam) for lam in a["lambdas"]]
    problem = Problem(
        X[:points], a["Y"][:points], lambdas[0], loss=str(a["loss"]), depth=int(a["depth"]), name=str(a["name"])
    )
    epochs, descent, polish = (int(steps) for steps in a["steps"])
    return Given(problem, lambdas, int(a["seeds"]), Settings(epochs, descent, polish, float(a["rate"])))


class _Clock:
    """Ends a training after so many seconds, as Ctrl-C does; prints how far it is now and then."""

    def __init__(self, seconds: float) -> None:
        self.end, self.said = time.monotonic() + seconds, -1.0

    def __call__(self, share: float, words: str) -> None:
        if share >= self.said + 0.05:
            self.said = share
            print(f"{share:4.0%} {words}", flush=True)
        if time.monotonic() > self.end:
            raise KeyboardInterrupt


def sweep(given: Given, device: str, seconds: float, widths: str) -> None:
    trials = trials_of(parse_widths(widths), given.seeds, given.lambdas)
    train_sweep(given.problem, trials[:4], Settings(epochs=20, descent=20, polish=20), device)
    synchronise(device)
    began = time.perf_counter()
    results, complete = train_sweep(given.problem, trials, given.settings, device, progress=_Clock(seconds))
    synchronise(device)
    spent = time.perf_counter() - began
    rows = []
    for best in best_per_width(results):
        same = [r for r in results if (r.trial.width, r.trial.lam) == (best.trial.width, best.trial.lam)]
        rows.append([f"{best.trial.lam:g}", str(best.trial.width), f"{best.loss:.8f}", f"{max(r.loss for r in same):.8f}",
                     f"{best.gradient_norm:.1e}", str(best.steps), best.status])  # fmt: skip
    s = given.settings
    notes = (
        f"{_described(given.problem)}; {len(results)} of {len(trials)} networks, {s.epochs} steps of Adam, {s.descent} of gradient "
        f"descent and {s.polish} of L-BFGS at most: {spent:.1f} s on {device_name(device)}{'' if complete else ', ended early'}."
    )
    headings = ["λ", "width", "best loss", "worst loss", "gradient of the best", "its steps", "ended"]
    _write(f"sweep_{given.problem.name}", "The sweep of Figure 2", device, headings, rows, notes, {"seconds": spent})


def ratio(given: Given, device: str, widths: str, sample: int) -> None:
    settings = Settings(epochs=300, descent=50)
    trials = trials_of(parse_widths(widths), given.seeds, given.lambdas)
    timed = measure(given.problem, trials, settings, device, sample)
    rows = [[f"{widths} × {given.seeds} × {len(given.lambdas)}", str(len(trials)), f"{timed.seconds:.2f} s",
             f"{timed.peer_seconds:.1f} s", f"{timed.peer_seconds / timed.seconds:.1f}"]]  # fmt: skip
    notes = (
        f"{_described(given.problem)}; {settings.epochs} steps of Adam, at most {settings.descent} of gradient descent, both on the "
        f"same device. {timed.sentence()}"
    )
    headings = ["networks", "of them", "batched", "one after another", "ratio"]
    _write(f"ratio_{given.problem.name}", "Batched and sequential training", device, headings, rows, notes,
           timed.record(device))  # fmt: skip


@dataclass(frozen=True)
class _Flat:
    """A problem of depth 2 (mse), its points with their 1 in coordinates of their span (N, r), and a trained network: its loss,
    W (k, r), V (m, k) and the dual point G = −∇C (m, N)."""

    problem: Problem
    points: np.ndarray
    loss: float
    W: np.ndarray
    V: np.ndarray
    G: np.ndarray


def _flat(given: Given, device: str, seconds: float) -> _Flat:
    problem = Problem(given.problem.X, given.problem.Y, LAMBDA, name=given.problem.name)
    with_one = Problem(problem.X_tilde.T, problem.Y, LAMBDA, beta=0.0)
    inside, basis = span_of_points(with_one)
    settings = Settings(epochs=3000, descent=0, polish=500)
    found, _ = train_sweep(problem, trials_of([40], 4, [LAMBDA]), settings, device, progress=_Clock(seconds))
    best = min(found, key=lambda result: result.loss)
    W, V = best.network.weights
    G = -problem.loss.gradient(best.network.forward(problem.X)[-1], problem.targets)
    upper = f"N = {problem.N}, rank {inside.n0}, {problem.m} outputs, λ = {LAMBDA:g}, {device}: trained {best.loss:.6g}"
    print(upper, flush=True)
    return _Flat(problem, inside.X, best.loss, W if basis is None else W @ basis, V[:, :-1], G)


def _dual_ray(problem: Problem, G: np.ndarray) -> tuple[float, float]:
    """(a, q) of D(sG) = sa − s²q, for mse."""
    ray = problem.loss.dual_ray(G, problem.targets)
    assert ray is not None
    return ray[0], ray[1] + problem.beta**2 / (4.0 * problem.lam) * float(np.sum(G.sum(axis=1) ** 2))


def moments(given: Given, device: str, seconds: float, every: int) -> None:
    """A row for every so many steps: the bound after repair, and its distance from a trained network."""
    from cpcert.moments.relaxation import Relaxation
    from cpcert.moments.repair import estimate

    flat = _flat(given, device, 0.3 * seconds)
    problem = flat.problem
    relaxation = Relaxation(problem, flat.points, flat.W, flat.V, device=device)
    began, best, number = time.monotonic(), 0.0, 0
    rows = []
    while time.monotonic() - began < 0.7 * seconds:
        found = relaxation.step()
        number += 1
        if number % every:
            relaxation.update(found)
            continue
        candidate = relaxation.candidate(found)
        draft = estimate(flat.points, candidate, problem.activation)
        excess, lack = np.inf, 0.0
        a, q = _dual_ray(problem, candidate.G)
        if draft is not None and draft.bound > 0.0:
            s = min(2.0 * problem.lam / draft.bound, a / (2.0 * q))
            best = max(best, s * a - s * s * q)
            excess = draft.bound / (2.0 * problem.lam) - 1.0
            lack = abs(1.0 - (a - q) / candidate.objective)
        rows.append([f"{time.monotonic() - began:.1f}", str(number), f"{best:.6g}", f"{1.0 - best / flat.loss:.4f}"])
        print(" s, ".join(rows[-1][:2]), "steps: lower", rows[-1][2], "gap", rows[-1][3], flush=True)
        relaxation.update(found)
        relaxation.adapt(excess, lack, relaxation.curvature(found))
    notes = (
        f"{_described(problem)}, depth 2, mse, λ = {LAMBDA:g}; rank {flat.points.shape[1]}; a trained network has {flat.loss:.6g}. "
        "Floating point, repaired on the processor."
    )
    _write(f"moments_{problem.name}", "The moment relaxation", device, ["seconds", "steps", "lower bound", "gap"],
           _thinned(rows), notes, {"upper": flat.loss})  # fmt: skip


def climb(points: torch.Tensor, G: torch.Tensor, W: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(neurons (S, r), ‖Gσ(X̃ᵀw)‖ (S,)) of ascent on the sphere from W (S, r), every start with a step of its own. relu."""

    def at(W: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        A = torch.relu(W @ points.T)
        Z = A @ G.T
        value = Z.norm(dim=1)
        slope = ((Z / value.clamp_min(1e-30)[:, None]) @ G) * (A > 0.0)
        return value, slope @ points

    W = W / W.norm(dim=1, keepdim=True)
    value, slope = at(W)
    length = torch.full_like(value, 0.5)
    for _ in range(steps):
        tangent = slope - (slope * W).sum(1, keepdim=True) * W
        size = tangent.norm(dim=1, keepdim=True).clamp_min(1e-30)
        moved = W + length[:, None] * tangent / size
        moved = moved / moved.norm(dim=1, keepdim=True)
        new, new_slope = at(moved)
        better = new > value
        W = torch.where(better[:, None], moved, W)
        slope = torch.where(better[:, None], new_slope, slope)
        value = torch.where(better, new, value)
        length = torch.where(better, (1.5 * length).clamp_max(1.0), 0.5 * length)
    return W, value


def oracle(given: Given, device: str, seconds: float, starts: int) -> None:
    """Starts from random directions and from points, on the device and, for its time, a few of them on the processor."""
    flat = _flat(given, device, 0.3 * seconds)
    rng = np.random.default_rng(0)
    N, r = flat.points.shape
    W = np.concatenate([flat.points, -flat.points, rng.standard_normal((max(starts - 2 * N, 1), r))])[:starts]
    rows = []
    sample = W[:: max(1, len(W) // 64)]
    for place, chosen in dict.fromkeys([(device, True), ("cpu", False)]):
        first = torch.tensor(W if chosen else sample, dtype=torch.float32, device=place)
        points, G = (
            torch.tensor(A / np.abs(A).max(), dtype=torch.float32, device=place) for A in (flat.points, flat.G)
        )
        unit = float(np.abs(flat.points).max() * np.abs(flat.G).max()) / (2.0 * LAMBDA)
        climb(points, G, first[:64], 3)
        synchronise(place)
        began = time.perf_counter()
        found, _ = climb(points, G, first, 200)
        _, value = climb(points.double(), G.double(), found.double(), 50)
        synchronise(place)
        spent = time.perf_counter() - began
        contact = value.cpu().numpy() * unit
        near = int(np.sum(contact >= contact.max() * (1.0 - 1e-4)))
        rows.append([place, str(len(first)), f"{spent:.2f}", f"{1e3 * spent / len(first):.3f}", f"{contact.max():.8f}",
                     str(near)])  # fmt: skip
    notes = (
        f"{_described(flat.problem)}; rank {r}; G of a trained network of depth 2 (mse, λ = {LAMBDA:g}); 200 steps in float32, 50 in "
        "float64. A contact value above 1 is a neuron that lowers the loss; the largest one found is no bound."
    )
    headings = ["on", "starts", "seconds", "ms a start", "largest contact value", "starts within 1e-4 of it"]
    _write(f"oracle_{flat.problem.name}", "The oracle's ascent", device, headings, rows, notes, {})


def _described(problem: Problem) -> str:
    return f"{problem.name}: N = {problem.N}, {problem.n0} features, {problem.m} outputs"


def _thinned(rows: list[list[str]]) -> list[list[str]]:
    """About ten of them, the last among these."""
    return rows[:: -max(1, len(rows) // 10)][::-1]


def _write(
    name: str,
    title: str,
    device: str,
    headings: list[str],
    rows: list[list[str]],
    notes: str,
    record: dict[str, object],
) -> None:
    notes += f"\n\ntorch {torch.__version__} on {device_name(device)}."
    where = {"device": device_name(device), "torch": torch.__version__, **record}
    tables.write(
        f"gpu_{name}_{device}", f"{title} on {device_name(device)}", headings, rows, {**where, "rows": rows}, notes
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="part", required=True)
    part = commands.add_parser("data", help="write the file of the other parts")
    part.add_argument("instance", type=Path)
    part.add_argument("file", type=Path)
    for name in ("sweep", "ratio", "moments", "oracle"):
        part = commands.add_parser(name)
        part.add_argument("file", type=Path, help="of `data`")
        part.add_argument("--device", default="cuda")
        part.add_argument("--points", type=int, help="the first so many only")
        part.add_argument("--seconds", type=float, default=200.0, help="about how long it may take")
        if name in ("sweep", "ratio"):
            part.add_argument("--widths", default=FIGURE2)
        if name == "sweep":
            part.add_argument("--shorter", type=float, default=1.0, help="so many times fewer steps")
        if name == "ratio":
            part.add_argument("--sample", type=int, default=8, help="networks that are trained alone")
        if name == "moments":
            part.add_argument("--every", type=int, default=10, help="steps between repairs")
        if name == "oracle":
            part.add_argument("--starts", type=int, default=8192)
    asked = parser.parse_args()
    if asked.part == "data":
        write_data(asked.instance, asked.file)
        return
    given = read_data(asked.file, asked.points)
    if asked.part == "sweep":
        sweep(given.shorter(asked.shorter), asked.device, asked.seconds, asked.widths)
    elif asked.part == "ratio":
        ratio(given, asked.device, asked.widths, asked.sample)
    elif asked.part == "moments":
        moments(given, asked.device, asked.seconds, asked.every)
    else:
        oracle(given, asked.device, asked.seconds, asked.starts)


if __name__ == "__main__":
    main()
