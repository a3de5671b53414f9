"""train, plateau: networks of many widths, seeds and lambdas trained together, and what is proven beside them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cpcert.commands import DONE, NO, AsJson, Flag, deliver, problem_of, settings_from_options, solve_and_show
from cpcert.errors import InputError
from cpcert.numbers import parse_float
from cpcert.output import prepare_folder
from cpcert.status import Status

if TYPE_CHECKING:
    import numpy as np

    from cpcert.instance import Instance, SolveSettings
    from cpcert.parallel import Workers
    from cpcert.problem import Problem
    from cpcert.training.plateau import Plateau
    from cpcert.training.sweep import Sweep

Device = Literal["auto", "cuda", "mps", "cpu"]


@dataclass(frozen=True)
class TrainingOptions:
    """What both commands take instead of the section `train` of the instance, and where they train.

    Parameters
    ----------
    widths
        Hidden widths: 1:64, or 1:8,10:50:10,100.
    seeds
        Networks of each width, with the seeds 0, 1, ...
    lambdas
        Weights of the penalty, with commas (by default that of the instance).
    epochs
        Steps of Adam.
    descent
        Steps of gradient descent at most.
    polish
        Steps of L-BFGS at most, after that.
    rate
        The first learning rate of Adam.
    device
        cuda, mps or cpu (mps has no float64: gradient descent then runs on the CPU). auto takes the first there is.
    """

    widths: str | None = None
    seeds: int | None = None
    lambdas: str | None = None
    epochs: int | None = None
    descent: int | None = None
    polish: int | None = None
    rate: float | None = None
    device: Device = "auto"


Options = Annotated[TrainingOptions, Parameter(name="*")]


def train(
    instance: str,
    /,
    *,
    options: Options = TrainingOptions(),
    resume: Flag = False,
    workers: int = 1,
    dask: str | None = None,
    as_json: AsJson = False,
    out: Path | None = None,
    plot: Flag = False,
) -> int:
    """Train networks of many widths, seeds and lambdas together, and report the loss of each.

    Full batch: Adam in float32, then gradient descent in float64. The least loss of each lambda is a proven upper bound of
    the global minimum; that training has found it is not. Exit codes:
    0  all networks were trained
    1  interrupted: those trained so far are reported
    2  the input is wrong

    Parameters
    ----------
    instance
        The instance file (YAML); options replace its section `train`.
    resume
        Go on from the checkpoints that an earlier run of the same sweep left in --out.
    workers
        Processes that train batches of networks at the same time; the result does not depend on it.
    dask
        The address of a dask scheduler, like tcp://host:8786, whose workers train instead.
    as_json
        Print one JSON object instead of a table.
    out
        Write a table (CSV), the best network of each width and checkpoints into this folder.
    plot
        Draw the losses against the width, into the folder of --out or the current one.
    """
    from cpcert.parallel import workers as start_workers

    loaded = _load(instance)
    with start_workers(workers, dask) as crew:
        sweep = _sweep(loaded, options, None, resume, crew, out, plot)
    if not sweep.results:
        print("cpcert: interrupted before a network was trained", file=sys.stderr)
        return NO

    def save() -> Sweep:
        written = sweep if out is None else sweep.write(out)
        if plot:
            from cpcert.plots.training import plot_sweep

            plot_sweep(sweep.problem, sweep.results, (out or Path()) / f"{sweep.problem.name}-train.png")
        return written

    return deliver(DONE if sweep.complete else NO, sweep, as_json, save)


def plateau(
    instance: str,
    /,
    *,
    options: Options = TrainingOptions(),
    resume: Flag = False,
    workers: int = 1,
    dask: str | None = None,
    tolerance: float = 1e-3,
    gap: float | None = None,
    time_limit: float | None = None,
    as_json: AsJson = False,
    out: Path | None = None,
    plot: Flag = False,
) -> int:
    """Where does the loss stop falling with the width? Trained losses beside the proven floor, and why some are above it.

    Trains as `train` does. Depth 2: solves the instance for each lambda and bounds the least width that reaches the floor
    up to the tolerance. Trainings above that look like local minima or unfinished (a guess); whether one more neuron lowers
    the loss is proven. Exit codes:
    0  done (depth 2: with a proven floor for each lambda)
    1  interrupted, or a floor is not proven to the gap asked for
    2  the input is wrong

    Parameters
    ----------
    instance
        The instance file (YAML); options replace its sections `train` and `solve`.
    resume
        Go on from the checkpoints that an earlier run of the same sweep (or `train`) left in --out.
    workers
        Processes that train batches of networks, and prove the floors, at the same time; the result does not depend on it.
    dask
        The address of a dask scheduler, like tcp://host:8786, whose workers do this instead.
    tolerance
        How far above the floor a loss may be, relatively, to count as being on the plateau.
    gap
        The relative gap to prove (instead of solve.gap in the file; 1e-6 by default).
    time_limit
        Seconds for each lambda to solve, to bound the width, to examine trainings, and to add neurons to them (instead of
        solve.time_limit).
    as_json
        Print one JSON object instead of a table.
    out
        Write a table (CSV), the best network of each width and checkpoints into this folder.
    plot
        Draw the figure, into the folder of --out or the current one.
    """
    if not 0.0 <= tolerance < float("inf"):
        raise InputError(f"--tolerance: is {tolerance:g}; give a number >= 0 such as 1e-3")
    loaded = _load(instance)
    settings = settings_from_options(loaded, gap=gap, time_limit=time_limit)

    from cpcert.parallel import workers as start_workers
    from cpcert.training.held_out import held_out

    with start_workers(workers, dask) as crew:
        sweep = _sweep(loaded, options, held_out, resume, crew, out, plot)
        if not sweep.results:
            print("cpcert: interrupted before a network was trained", file=sys.stderr)
            return NO
        outcome, proven = _plateau(sweep, settings, tolerance, crew)

    def save() -> Plateau:
        written = outcome if out is None else outcome.write(out)
        if plot:
            from cpcert.plots.training import plot_plateau

            picture = (out or Path()) / f"{sweep.problem.name}-plateau.png"
            plot_plateau(sweep.problem, outcome.curves, tolerance, picture)
        return written

    return deliver(DONE if sweep.complete and proven else NO, outcome, as_json, save)


def _plateau(sweep: Sweep, settings: SolveSettings, tolerance: float, crew: Workers) -> tuple[Plateau, bool]:
    """The curve of each λ of the sweep, and whether every floor is proven to the gap asked for (depth ≥ 3: as far as it goes)."""
    from cpcert.training.plateau import Plateau, curve

    start, proven, curves = time.monotonic(), True, []
    for lam in sweep.lambdas:
        problem, solved = replace(sweep.problem, lam=lam), None
        if problem.depth == 2:
            solved = solve_and_show(problem, settings, workers=crew)
            proven &= solved.status == Status.OPTIMAL
        with _progress() as show:
            curves.append(curve(problem, sweep.of(lam), solved, tolerance, settings.time_limit, show))
    seconds = sweep.seconds + time.monotonic() - start
    return Plateau(sweep, tuple(curves), tolerance, seconds), proven


def _load(instance: str) -> Instance:
    from cpcert.instance import load_instance

    try:
        import torch  # noqa: F401
    except ImportError:
        raise InputError("torch: is not installed, and training needs it: pip install 'cpcert[train]'") from None
    return load_instance(instance)


def _sweep(
    loaded: Instance,
    options: TrainingOptions,
    test: Callable[[Instance], tuple[np.ndarray, np.ndarray] | None] | None,
    resume: bool,
    workers: Workers,
    out: Path | None,
    plot: bool,
) -> Sweep:
    """Train what the instance and the options say. Raises InputError, naming the option, before any work.

    test: gives the held-out points of the instance, or None.
    """
    from cpcert.instance import override_settings
    from cpcert.training.batch import require_trainable
    from cpcert.training.optimiser import Settings
    from cpcert.training.sweep import Sweep, choose_device, parse_widths, train_sweep, trials_of

    if resume and out is None:
        raise InputError("--resume: goes on from the checkpoints in --out; give --out as well")
    try:
        given = asdict(options) | {"lambdas": _numbers(options.lambdas)}
        settings = override_settings(loaded.train, {name: value for name, value in given.items() if name != "device"})
        widths = parse_widths(settings.widths)
    except InputError as error:
        # Without the option it is the file that is wrong; of its section only the widths are not checked there.
        known = "train." if str(error).startswith("widths") and options.widths is None else "--"
        raise InputError(f"{known}{error}") from None

    place = choose_device(options.device)
    problem = _problem(loaded)
    require_trainable(problem)
    chosen = settings.lambdas or [problem.lam]
    for lam in chosen:
        replace(problem, lam=lam)  # says what is wrong with it, if something is
    if out is not None or plot:
        prepare_folder(out or Path())
    trials = trials_of(widths, settings.seeds, chosen)
    how = Settings(epochs=settings.epochs, descent=settings.descent, polish=settings.polish, rate=settings.rate)
    points = None if test is None else test(loaded)
    start = time.monotonic()
    with _progress() as show:
        folder = None if out is None else out / f"{problem.name}-checkpoints"
        results, complete = train_sweep(
            problem, trials, how, place, folder=folder, resume=resume, test=points, workers=workers, progress=show
        )
    return Sweep(problem, place, tuple(results), complete, time.monotonic() - start)


def _problem(loaded: Instance) -> Problem:
    """The problem of the instance; for MNIST that is not there, the error also says what else there is."""
    try:
        return problem_of(loaded)
    except InputError as error:
        if loaded.data.source != "mnist" or "data.folder" not in str(error):
            raise
        raise InputError(f"{error}; or take figure2-digits.yaml: the digits that come with cpcert") from None


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [parse_float(part.strip()) for part in text.split(",")]
    except ValueError:
        raise InputError(f"lambdas: {text!r} is no list of numbers; give numbers > 0 like 1e-2,1e-3") from None


@contextmanager
def _progress() -> Iterator[Callable[[float, str], None]]:
    """A bar on stderr when that is a terminal, else a line for every tenth."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TaskProgressColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=1.0)
            yield lambda share, words: bar.update(task, completed=share, description=words)
        return
    reached = -1

    def show(share: float, words: str) -> None:
        nonlocal reached
        if int(10.0 * share) > reached:
            reached = int(10.0 * share)
            print(f"{share:4.0%} {words}", file=sys.stderr, flush=True)

    yield show
