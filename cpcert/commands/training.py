"""train, plateau: networks of many widths, seeds and lambdas trained together, and what is proven beside them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from cpcert.commands import (
    DONE,
    NO,
    AsJson,
    Flag,
    announce_compilation,
    deliver,
    naming_options,
    problem_of,
    settings_from_options,
    stated,
)
from cpcert.commands.tracing import AS_USUAL, Trace, tracing, watching
from cpcert.errors import InputError
from cpcert.numbers import parse_float
from cpcert.output import prepare_folder

if TYPE_CHECKING:
    from cpcert.instance import Instance
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
    certificate: Path | None = None,
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
    certificate
        A certificate of the instance, with one of the lambdas: --plot draws its proven floor below the losses.
    """
    from cpcert.parallel import workers as start_workers

    loaded = _load(instance)
    floors = _floors(loaded, options, certificate, plot)
    with start_workers(workers, dask) as crew:
        sweep = _sweep(loaded, options, resume, crew, out, plot, tested=False)
    if not sweep.results:
        print("cpcert: interrupted before a network was trained", file=sys.stderr)
        return NO

    def save() -> Sweep:
        written = sweep if out is None else sweep.write(out)
        if plot:
            from cpcert.plots.figure import save_figure
            from cpcert.plots.training import plot_sweep

            picture = plot_sweep(sweep.problem, sweep.results, floors=floors)
            save_figure(picture, (out or Path()) / f"{sweep.problem.name}-train.png")
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
    trace: Trace = AS_USUAL,
) -> int:
    """Where does the loss stop falling with the width? Trained losses beside the proven floor, and why some are above it.

    Trains as `train` does. Depth 2: solves the instance for each lambda and bounds the least width that reaches the floor
    up to the tolerance. Depth >= 3: the floor is a proven interval too, which may be wide. Trainings above that look like
    local minima or unfinished (a guess); whether one more neuron lowers the loss is proven. Exit codes:
    0  done (depth 2: with a floor proven to the gap for each lambda)
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
        Write a table (CSV), the best network of each width, checkpoints, and the certificates of the floors and of the least
        widths into this folder. What is printed is then what the certificates prove.
    plot
        Draw the figure, into the folder of --out or the current one.
    """
    loaded = _load(instance)
    settings = settings_from_options(loaded, gap=gap, time_limit=time_limit)

    from cpcert.api.training import plateau_of, require_tolerance
    from cpcert.parallel import workers as start_workers

    with naming_options("tolerance"):
        require_tolerance(tolerance)
    with tracing(trace) as log, start_workers(workers, dask) as crew:

        def watched(problem: Problem) -> AbstractContextManager[Callable[[Any], None]]:
            return watching(problem, trace, log, **{"lambda": problem.lam})

        progress = nullcontext(lambda share, words: None) if trace.quiet else None
        sweep = _sweep(loaded, options, resume, crew, out, plot, tested=True, progress=progress)
        if not sweep.results:
            print("cpcert: interrupted before a network was trained", file=sys.stderr)
            return NO
        if sweep.problem.depth == 2 and not trace.quiet:
            announce_compilation()
        outcome = plateau_of(
            sweep,
            settings.model_dump(),
            tolerance,
            crew,
            watched,
            lambda: progress or _progress(),
            certify=out is not None,
        )

    def save() -> Plateau:
        written = outcome if out is None else outcome.write(out)
        if plot:
            from cpcert.plots.figure import save_figure
            from cpcert.plots.training import plot_plateau

            picture = plot_plateau(sweep.problem, outcome.curves, tolerance)
            save_figure(picture, (out or Path()) / f"{sweep.problem.name}-plateau.png")
        return written

    return deliver(DONE if sweep.complete and outcome.proven else NO, outcome, as_json, save)


def _load(instance: str) -> Instance:
    from cpcert.api.networks import require_torch
    from cpcert.instance import load_instance

    require_torch()
    return load_instance(instance)


def _sweep(
    loaded: Instance,
    options: TrainingOptions,
    resume: bool,
    workers: Workers,
    out: Path | None,
    plot: bool,
    *,
    tested: bool,
    progress: AbstractContextManager[Callable[[float, str], None]] | None = None,
) -> Sweep:
    """Train what the instance and the options say. Raises InputError, naming the option, before any work.

    tested: also report the loss on the held-out points of the instance. progress: what shows it, a bar by default.
    """
    from cpcert.api.training import sweep_of
    from cpcert.instance import override_settings
    from cpcert.training.sweep import choose_device, parse_widths

    if resume and out is None:
        raise InputError("--resume: goes on from the checkpoints in --out; give --out as well")
    try:
        given = asdict(options) | {"lambdas": _numbers(options.lambdas)}
        del given["device"]
        parse_widths(override_settings(loaded.train, given).widths)
    except InputError as error:
        # Without the option it is the file that is wrong; of its section only the widths are not checked there.
        known = "train." if str(error).startswith("widths") and options.widths is None else "--"
        raise InputError(f"{known}{error}") from None
    with naming_options("device"):
        choose_device(options.device)
    problem = _problem(loaded)
    if out is not None or plot:
        prepare_folder(out)
    folder = None if out is None else out / f"{problem.name}-checkpoints"
    widths, lambdas = given.pop("widths"), given.pop("lambdas")
    with progress or _progress() as show:
        return sweep_of(
            stated(loaded, problem),
            widths,
            lambdas,
            given,
            options.device,
            folder,
            resume,
            workers,
            show,
            tested=tested,
        )


def _floors(loaded: Instance, options: TrainingOptions, certificate: Path | None, plot: bool) -> dict[float, float]:
    """The proven floor of the certificate by its λ; none without one. Raises InputError if it is about none of the problems."""
    if certificate is None:
        return {}
    if not plot:
        raise InputError("--certificate: is only drawn; give --plot as well")
    from dataclasses import replace

    from cpcert.certificate.reading import certified_interval

    problem = _problem(loaded)
    lambdas = _numbers(options.lambdas) or loaded.train.lambdas or [problem.lam]
    failure: InputError | None = None
    for lam in lambdas:
        try:
            lower, _ = certified_interval(certificate, replace(problem, lam=lam))
        except InputError as error:
            failure = error
            continue
        return {} if lower is None else {lam: lower}
    raise InputError(f"--certificate: {failure}")


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


def _left(seconds: float) -> str:
    return f"about {seconds:.0f} s left" if seconds < 100.0 else f"about {seconds / 60.0:.0f} min left"


@contextmanager
def _progress() -> Iterator[Callable[[float, str], None]]:
    """A bar on stderr when that is a terminal, else a line for every tenth, both with the time left."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TaskProgressColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=1.0)
            yield lambda share, words: bar.update(task, completed=share, description=words)
        return
    reached, first, began = -1, 0.0, time.monotonic()

    def show(share: float, words: str) -> None:
        nonlocal reached, first
        if reached < 0:
            first = share  # a training that goes on
        if int(10.0 * share) > reached:
            reached = int(10.0 * share)
            spent = time.monotonic() - began
            left = f", {_left((1.0 - share) / (share - first) * spent)}" if first < share < 1.0 else ""
            print(f"{share:4.0%} {words}{left}", file=sys.stderr, flush=True)

    yield show
