"""A sweep: networks of every width, seed and λ asked for, trained together, and what is written about them.

Networks of similar width share a batch: padding wastes work, many small batches waste what a kernel costs to start. They
are trained in coordinates of the span of the points: pictures have fewer dimensions than pixels. The result of a network
depends on its width, seed and λ; on its batch only as far as the order of floating-point sums does. The same sweep on the
same machine gives the same bits, interrupted and resumed or not.

With a folder, every batch has a file `bucket-K.npz` in NAME-checkpoints, written now and then and at its end, each time
under a temporary name first; `resume` goes on from these files. They hold arrays, so reading them executes nothing.

Losses, gradients and test losses of the results are computed again in float64 on the CPU, the losses by `Network.loss`.
They are floating-point values: no bound is claimed, except by `proven_upper`.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cpcert.errors import InputError
from cpcert.network import Network, loss_upper
from cpcert.outcomes import Outcome
from cpcert.output import csv_bytes, write_file, write_json
from cpcert.parallel import HERE, Task, Workers, wait
from cpcert.printing import about, at_most, finite, whole
from cpcert.problem import Problem
from cpcert.sketch import LOWER, NEUTRAL, UPPER, Series, drawn
from cpcert.training.batch import Data, Trial, flatten, losses_and_gradients, span_of_points, split
from cpcert.training.optimiser import STATUSES, Settings, Training

# What the kernels of a step cost to start, in multiplications and additions.
START_OF_KERNELS = {"cpu": 2e7, "card": 2e10}
# Numbers of one layer of a batch that stay in a CPU's cache.
CACHED_NUMBERS = 2**17
# float64 numbers that a batch may hold, about: a gigabyte.
MOST_NUMBERS = 2**27
SECONDS_BETWEEN_CHECKPOINTS = 20.0
LARGEST_WIDTH = 100_000

SECONDS_OF_TASK = 10.0

Arrays = tuple[np.ndarray, np.ndarray]
Snapshot = dict[str, np.ndarray]
# What span_of_points returns.
Inside = tuple[Problem, np.ndarray | None]


@dataclass(frozen=True, eq=False)
class Result:
    """A trained network. loss: L_λ; fit: C alone; test_loss: C on held-out points, or None; gradient_norm: ‖∇L_λ‖_F with the
    slope a₋ at kinks, where it need not be small. status: one of STATUSES. steps: taken."""

    trial: Trial
    network: Network
    loss: float
    fit: float
    test_loss: float | None
    gradient_norm: float
    status: str
    steps: int


def choose_device(name: str) -> str:
    """cuda, mps or cpu; `auto` takes the first that is there. Raises InputError for one that is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, found in there.items() if found)
    if name not in there:
        raise InputError(f"device: {name!r} is unknown; use auto, cuda, mps or cpu")
    if not there[name]:
        found = ", ".join(device for device, found in there.items() if found)
        raise InputError(f"device: {name} was asked for, and torch {torch.__version__} finds only {found} here")
    return name


def device_name(device: str) -> str:
    """The device in words: `cuda (NVIDIA H100)`."""
    return f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else device


def parse_widths(text: str) -> list[int]:
    """`1:8` is 1 … 8, `10:50:10` is 10, 20, …, 50, and commas put several together. Sorted, each once. Raises InputError."""
    right = "give widths like 1:64, or 1:8,10:50:10,100"
    widths: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?::(\d{1,9})(?::(\d{1,9}))?)?\s*", part, re.ASCII)
        if found is None:
            raise InputError(f"widths: {part!r} is not a width or a range; {right}")
        first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
        if not 1 <= first <= last <= LARGEST_WIDTH or step < 1:
            raise InputError(f"widths: {part!r} is not a range of widths between 1 and {LARGEST_WIDTH}; {right}")
        widths.update(range(first, last + 1, step))
    return sorted(widths)


def trials_of(widths: Sequence[int], seeds: int, lambdas: Sequence[float]) -> list[Trial]:
    """Every combination, λ by λ, width by width."""
    return [Trial(width, seed, lam) for lam in dict.fromkeys(lambdas) for width in widths for seed in range(seeds)]


def buckets(problem: Problem, trials: Sequence[Trial], settings: Settings, device: str = "cpu") -> list[list[Trial]]:
    """The trials, widest first, in batches: narrower networks join one while padding them costs less than starting kernels for a
    batch more, as far as the batch fits into the cache of a CPU or the memory of a card."""
    on_cpu = device == "cpu"
    free = START_OF_KERNELS["cpu" if on_cpu else "card"]
    found: list[list[Trial]] = []
    limit, padding = 0, 0.0
    for trial in sorted(trials, key=lambda trial: (-trial.width, trial.lam, trial.seed)):
        waste = 0.0
        if found:
            waste = _work(problem, found[-1][0].width) - _work(problem, trial.width)
        if not found or padding + waste > free or len(found[-1]) == limit:
            n, hidden = trial.width, problem.depth - 1
            weights = n * (problem.n0 + 1) + (hidden - 1) * n * (n + 1) + problem.m * (n + 1)
            memory = 2 * settings.memory if settings.polish else 0
            limit = MOST_NUMBERS // (weights * (8 + memory) + 4 * hidden * n * problem.N)
            if on_cpu:
                limit = min(limit, CACHED_NUMBERS // (n * problem.N))
            limit, padding, waste = max(1, limit), 0.0, 0.0
            found.append([])
        padding += waste
        found[-1].append(trial)
    return found


def _work(problem: Problem, n: int) -> float:
    """Multiplications and additions of the gradient of a network of width n."""
    return problem.N * (4.0 * n * problem.n0 + 6.0 * (problem.depth - 2) * n * n + 6.0 * problem.m * n)


def train_sweep(
    problem: Problem,
    trials: Sequence[Trial],
    settings: Settings,
    device: str,
    *,
    folder: Path | None = None,
    resume: bool = False,
    test: Arrays | None = None,
    workers: Workers = HERE,
    progress: Callable[[float, str], None] = lambda share, text: None,
) -> tuple[list[Result], bool]:
    """(results in the order of the trials, whether all training came to its end). Ctrl-C ends it early, with what there is.

    folder: for the checkpoints. test: (X, Y) of held-out points, rows are points. workers: who trains; every batch is trained
    by one of them at a time, for SECONDS_OF_TASK, and goes on from where the last one left it. progress: share done, words.
    Raises InputError for `interpolate`, and for checkpoints of another sweep or files that are none.
    """
    batches = buckets(problem, trials, settings, device)
    inside, basis = span_of_points(problem)
    work = [START_OF_KERNELS["cpu"] + len(batch) * _work(inside, batch[0].width) for batch in batches]
    sizes = [each / sum(work) for each in work]
    marks = [_fingerprint(problem, batch, settings, device) for batch in batches]
    files: list[Path | None] = [None] * len(batches)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"bucket-{number}.npz" for number in range(len(batches))]
    saved = [
        _read_checkpoint(file, mark) if resume and file and file.exists() else None
        for file, mark in zip(files, marks, strict=True)
    ]
    runs: list[Training] = []
    complete = False
    try:
        if workers.count:
            _train_there((inside, basis), batches, sizes, settings, device, files, marks, saved, workers, progress)
        else:
            done = 0.0
            for batch, size, file, mark, start in zip(batches, sizes, files, marks, saved, strict=True):
                runs.append(_training((inside, basis), batch, settings, device, start))
                for share, phase in _run(runs[-1], file, mark):
                    progress(min(done + share * size, 1.0), f"{_words(batch)}, {phase}")
                done += size
        complete = True
    except KeyboardInterrupt:
        pass
    except RuntimeError as error:  # what torch raises when memory runs out has no type of its own on the cpu
        if "memory" not in str(error):
            raise
        raise InputError(f"widths: memory ran out ({error}); give smaller widths") from None
    if workers.count:
        begun = [(batch, start) for batch, start in zip(batches, saved, strict=True) if start is not None]
        runs = [_training((inside, basis), batch, settings, device, start) for batch, start in begun]
    found: dict[Trial, Result] = {}
    with _one_thread():
        for run in runs:
            # Only now: an interruption must not cost what was trained before.
            found |= {result.trial: result for result in _results(problem, run, test)}
    return [found[trial] for trial in trials if trial in found], complete


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order, however many cores there are: those train other batches, as `workers`."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _tiny_numbers_are_zero() -> Iterator[None]:
    """Numbers below 1e-38 (float32) count as 0 in this thread: a CPU takes many times longer for them, and Adam makes them of
    neurons that have died."""
    smallest = torch.tensor([1e-310], dtype=torch.float64)
    before = bool((smallest * 1.0 == 0.0).all())
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _run(training: Training, file: Path | None, mark: str) -> Iterator[tuple[float, str]]:
    """Train to the end; yields the share done and the phase now and then."""
    saved = time.monotonic()
    changed = not training.done
    while not training.done:
        yield training.progress, training.words
        with _one_thread(), _tiny_numbers_are_zero():
            training.advance()
        if file is not None and time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
            _write_checkpoint(file, training.snapshot(), mark)
            saved = time.monotonic()
    if file is not None and changed:
        _write_checkpoint(file, training.snapshot(), mark)
    yield 1.0, "done"


def _training(
    inside: Inside, batch: Sequence[Trial], settings: Settings, device: str, start: Snapshot | None
) -> Training:
    with _one_thread():
        training = Training(inside[0], batch, settings, device, inside[1])
        if start is not None:
            training.restore(start)
    return training


def _words(batch: Sequence[Trial]) -> str:
    least, most = batch[-1].width, batch[0].width
    count = f"{len(batch)} networks" if len(batch) > 1 else "a network"
    return f"{count} of width {most}" if least == most else f"{count} of widths {least} to {most}"


def _train_there(
    inside: Inside,
    batches: Sequence[Sequence[Trial]],
    sizes: Sequence[float],
    settings: Settings,
    device: str,
    files: Sequence[Path | None],
    marks: Sequence[str],
    saved: list[Snapshot | None],
    workers: Workers,
    progress: Callable[[float, str], None],
) -> None:
    """Train all batches at the same time, as tasks of the workers; `saved` always has how far each has come."""

    def submit(number: int) -> Task[tuple[Snapshot, float, str]]:
        return workers.submit(_advance, inside, batches[number], settings, device, saved[number])

    tasks = {number: submit(number) for number in range(len(batches))}
    shares = [0.0] * len(batches)
    try:
        while tasks:
            wait(list(tasks.values()), None)
            for number, task in [(number, task) for number, task in tasks.items() if task.done()]:
                reached, shares[number], phase = task.result()
                saved[number], file, batch = reached, files[number], batches[number]
                if file is not None:
                    _write_checkpoint(file, reached, marks[number])
                if shares[number] < 1.0:
                    tasks[number] = submit(number)
                else:
                    del tasks[number]
                total = sum(share * size for share, size in zip(shares, sizes, strict=True))
                progress(min(total, 1.0), f"{_words(batch)}, {phase}")
    finally:
        for task in tasks.values():
            task.cancel()


def _advance(
    inside: Inside, batch: Sequence[Trial], settings: Settings, device: str, start: Snapshot | None
) -> tuple[Snapshot, float, str]:
    """Train a batch for SECONDS_OF_TASK: where it is then, the share done (1.0: all), the phase."""
    training = _training(inside, batch, settings, device, start)
    began = time.monotonic()
    with _one_thread(), _tiny_numbers_are_zero():
        while not training.done and time.monotonic() - began < SECONDS_OF_TASK:
            training.advance()
    return training.snapshot(), 1.0 if training.done else min(training.progress, 0.999), training.words


def _results(problem: Problem, training: Training, test: Arrays | None) -> list[Result]:
    training.collect()
    trials = training.trials
    # The gradient lies in the span: its norm there is its norm.
    data = Data.of(training.problem, "cpu", torch.float64)
    lam = torch.tensor([trial.lam for trial in trials], dtype=torch.float64)
    _, gradient = losses_and_gradients(split(training.final, training.shapes), lam, data)
    norms = flatten(gradient).norm(dim=1).tolist()
    found = []
    for trial, network, norm, status, steps in zip(
        trials, training.networks(), norms, training.status.tolist(), training.steps.tolist(), strict=True
    ):
        Z = network.forward(problem.X)[-1]
        fit = problem.loss.value(Z, problem.targets)
        loss = network.loss(replace(problem, lam=trial.lam))
        tested = None if test is None else problem.loss.weighted(None).value(network.outputs(test[0]).T, test[1].T)
        found.append(Result(trial, network, loss, fit, tested, norm, STATUSES[status], steps))
    return found


def best_per_width(results: Sequence[Result]) -> list[Result]:
    """The result with the least loss for every λ and width, in the order of the results."""
    best: dict[tuple[float, int], Result] = {}
    for result in results:
        key = result.trial.lam, result.trial.width
        if key not in best or result.loss < best[key].loss:
            best[key] = result
    return list(best.values())


def proven_upper(problem: Problem, result: Result) -> float:
    """Proven: a float ≥ L_λ of the network, hence ≥ the global minimum for this λ and depth."""
    return loss_upper(result.network, replace(problem, lam=result.trial.lam))


# -- checkpoints -----------------------------------------------------------------------------------------------------


def _fingerprint(problem: Problem, trials: Sequence[Trial], settings: Settings, device: str) -> str:
    """Of one batch: a sweep with the same trials may cut them into others."""
    parts = [problem.sha256, device, asdict(settings), [(t.width, t.seed, t.lam.hex()) for t in trials]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _write_checkpoint(file: Path, snapshot: Snapshot, mark: str) -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, mark=np.array(mark), **snapshot)
    write_file(file, content.getvalue())


def _read_checkpoint(file: Path, mark: str) -> Snapshot:
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"--resume: {file} cannot be read ({error}); remove it, or leave --resume out") from None
    if str(arrays.pop("mark", "")) != mark:
        raise InputError(
            f"--resume: {file} is of another sweep (instance, widths, seeds, lambdas, settings or device); "
            "leave --resume out to start again, or take another --out"
        )
    return arrays


# -- what is written -------------------------------------------------------------------------------------------------


def result_row(result: Result) -> dict[str, Any]:
    """The entry of a network in the JSON object and in the tables."""
    return {
        "width": result.trial.width,
        "seed": result.trial.seed,
        "lambda": result.trial.lam,
        "loss": finite(result.loss),
        "fit": finite(result.fit),
        "test_loss": finite(result.test_loss),
        "gradient_norm": finite(result.gradient_norm),
        "status": result.status,
        "steps": result.steps,
    }


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Outcome):
    """What a sweep came to: its results in the order of the trials, whether all training came to its end, and the seconds.

    models: the files of the best networks of each width and λ, if they were written.
    """

    problem: Problem
    device: str
    results: tuple[Result, ...]
    complete: bool
    seconds: float
    models: tuple[Path, ...] | None = None

    @property
    def lambdas(self) -> list[float]:
        """Every λ, in the order of the results."""
        return list(dict.fromkeys(result.trial.lam for result in self.results))

    def of(self, lam: float) -> list[Result]:
        """The results of one λ."""
        return [result for result in self.results if result.trial.lam == lam]

    def minimum(self) -> list[tuple[Result, float]]:
        """For every λ the result with the least loss, and the proven bound of the global minimum that it is."""
        least = [min(best_per_width(self.of(lam)), key=lambda result: result.loss) for lam in self.lambdas]
        return [(result, proven_upper(self.problem, result)) for result in least]

    def best_rows(self) -> list[dict[str, Any]]:
        """The entries of the best networks of each width and λ, with their files."""
        best = best_per_width(self.results)
        models = (None,) * len(best) if self.models is None else map(str, self.models)
        return [{**result_row(result), "model": model} for result, model in zip(best, models, strict=True)]

    def rows(self) -> list[dict[str, Any]]:
        """An entry for each network, for a table: pandas.DataFrame(sweep.rows())."""
        return [result_row(result) for result in self.results]

    def sketch(self) -> str:
        """The loss of every network against its width, a colour for each λ."""
        colors = (LOWER, UPPER, NEUTRAL)
        return drawn(
            [
                Series(
                    f"lambda {about(lam, 3)}", [r.trial.width for r in self.of(lam)], [r.loss for r in self.of(lam)],
                    colors[k % len(colors)], "dots",
                )
                for k, lam in enumerate(self.lambdas)
            ],
            "width", "loss",
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert train`; `upper` of each λ is proven, the other losses are floating-point values."""
        return {
            "instance": self.problem.name,
            "device": device_name(self.device),
            "complete": self.complete,
            "results": self.rows(),
            "best": self.best_rows(),
            "minimum": [
                {"lambda": result.trial.lam, "width": result.trial.width, "upper": finite(upper)}
                for result, upper in self.minimum()
            ],
            "seconds": self.seconds,
        }

    def sentence(self) -> str:
        """The best network of every λ and width, a line each: floating-point values; then what is proven, rounded outward."""
        best = best_per_width(self.results)
        space = max(10, *(len(whole(result.trial.lam)) for result in best))
        lines = [
            f"{'lambda':>{space}}  {'width':>5}  {'seed':>4}  {'loss (about)':>16}  {'gradient':>8}  {'steps':>6}  status"
        ]
        for result in best:
            trial = result.trial
            loss, norm = (value if math.isfinite(value) else math.inf for value in (result.loss, result.gradient_norm))
            lines.append(
                f"{whole(trial.lam):>{space}}  {trial.width:>5}  {trial.seed:>4}  {about(loss, 10):>16}  "
                f"{about(norm, 2):>8}  {result.steps:>6}  {result.status}"
            )
        for result, upper in self.minimum():
            if math.isfinite(upper):
                least = f"global minimum at most {at_most(upper, 16)} (proven)"
                lines.append(f"lambda = {whole(result.trial.lam)}: {least}")
        ended = "" if self.complete else ": interrupted"
        lines.append(f"{len(self.results)} networks on {device_name(self.device)}, {self.seconds:.1f} s{ended}")
        return "\n".join(lines)

    def with_models(self, folder: Path, stem: str) -> Sweep:
        """Write the best network of each width, STEM-WIDTH.safetensors (with several λ: STEM-WIDTH-lambda-K)."""
        models = []
        for result in best_per_width(self.results):
            number = f"-lambda-{self.lambdas.index(result.trial.lam)}" if len(self.lambdas) > 1 else ""
            models.append(folder / f"{stem}-{result.trial.width}{number}.safetensors")
            result.network.save(models[-1])
        return replace(self, models=tuple(models))

    def write(self, folder: Path) -> Sweep:
        """Write the best networks, NAME-train.csv and NAME-train.json. Raises OSError when the disk refuses."""
        stem = f"{self.problem.name}-train"
        written = self.with_models(folder, stem)
        write_tables(written.as_json(), folder, stem)
        return written


def write_tables(written: dict[str, Any], folder: Path, stem: str) -> None:
    """Write STEM.csv, the `results` of a JSON object, and STEM.json, all of it."""
    rows = written["results"]
    columns = {key: [row[key] for row in rows] for key in rows[0]} if rows else {}
    write_file(folder / f"{stem}.csv", csv_bytes(columns))
    write_json(folder / f"{stem}.json", written)
