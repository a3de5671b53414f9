"""train, plateau: networks of many widths, seeds and lambdas trained together, and what is proven beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cpcert.api.given import Given, given, is_number, numbers_of, plain
from cpcert.api.solving import LEAST_SECONDS
from cpcert.certificate.downgrade import certified
from cpcert.errors import InputError
from cpcert.frank_wolfe.solve import solve
from cpcert.instance import override_settings
from cpcert.parallel import HERE, Workers, at_work
from cpcert.problem import Problem
from cpcert.training.batch import require_trainable
from cpcert.training.held_out import held_out
from cpcert.training.optimiser import Settings
from cpcert.training.plateau import Plateau, curve
from cpcert.training.sweep import Sweep, choose_device, parse_widths, train_sweep, trials_of

Progress = Callable[[float, str], None]


def silent(share: float, words: str) -> None:
    """No progress is shown."""


def train(
    X: Any,
    y: Any = None,
    *,
    widths: str | int | Sequence[int] | None = None,
    seeds: int | None = None,
    lambdas: Sequence[float] | None = None,
    epochs: int | None = None,
    descent: int | None = None,
    polish: int | None = None,
    rate: float | None = None,
    device: str = "auto",
    folder: Path | str | None = None,
    resume: bool = False,
    workers: Workers | int = HERE,
    progress: Progress = silent,
    **problem: Any,
) -> Sweep:
    """Train networks of many widths, seeds and λ together; the least loss of each λ is a proven upper bound of the minimum.

    X, y, problem: as in `solve`. widths: hidden widths, numbers or a text like 1:8,10:50:10 (1:16). seeds: networks of each width (3).
    lambdas: by default that of the problem. epochs of Adam (5000) with the first learning rate `rate` (0.01), then at most so many
    steps of gradient descent (1000) and of L-BFGS, `polish` (0). device: cuda, mps, cpu, or auto. folder: for checkpoints, from which
    `resume` goes on. workers: processes, or Workers. progress: called with the share done and words. Ctrl-C ends it with the
    networks that there are. Raises InputError.
    """
    options = {"seeds": seeds, "epochs": epochs, "descent": descent, "polish": polish, "rate": rate}
    what = given(X, y, problem, needs_lambda=lambdas is None)
    with at_work(workers) as crew:
        return sweep_of(what, widths, lambdas, options, device, folder, resume, crew, progress, tested=False)


def plateau(
    X: Any,
    y: Any = None,
    *,
    widths: str | int | Sequence[int] | None = None,
    seeds: int | None = None,
    lambdas: Sequence[float] | None = None,
    epochs: int | None = None,
    descent: int | None = None,
    polish: int | None = None,
    rate: float | None = None,
    device: str = "auto",
    tolerance: float = 1e-3,
    gap: float | None = None,
    time_limit: float | None = None,
    folder: Path | str | None = None,
    resume: bool = False,
    workers: Workers | int = HERE,
    callback: Callable[[Any], bool | None] | None = None,
    progress: Progress = silent,
    **problem: Any,
) -> Plateau:
    """Where does the loss stop falling with the width? Trained losses beside the proven floor, and why some are above it.

    Trains as `train` does. At depth 2 it solves for each λ, to `gap` in time_limit seconds, and bounds the least width whose loss is
    within the relative `tolerance` of the floor; has as much time for that, for examining trainings, and for adding neurons
    to them. At depth ≥ 3 the floor is a proven interval too, which may be wide. callback: as in `solve`. Floors and widths are
    proven, what kind of point a training sits at is a guess. Raises InputError.
    """
    require_tolerance(tolerance)
    options = {"seeds": seeds, "epochs": epochs, "descent": descent, "polish": polish, "rate": rate}
    what = given(X, y, problem, needs_lambda=lambdas is None)
    settings = what.settings(gap=gap, time_limit=time_limit)
    with at_work(workers) as crew:
        sweep = sweep_of(what, widths, lambdas, options, device, folder, resume, crew, progress, tested=True)
        return plateau_of(
            sweep, settings, tolerance, crew, lambda _: nullcontext(callback), lambda: nullcontext(progress)
        )


def require_tolerance(tolerance: Any) -> None:
    """Raise InputError unless it is a finite number >= 0."""
    if not is_number(tolerance) or not 0.0 <= tolerance < float("inf"):
        raise InputError(f"tolerance: is {tolerance!r}; give a number >= 0 such as 1e-3")


def sweep_of(
    what: Given,
    widths: str | int | Sequence[int] | None,
    lambdas: Sequence[float] | None,
    options: dict[str, Any],
    device: str,
    folder: Path | str | None,
    resume: bool,
    workers: Workers,
    progress: Progress,
    *,
    tested: bool,
) -> Sweep:
    """`train` of what was given; tested: also on the held-out points of an instance. Raises InputError before any work."""
    if resume and folder is None:
        raise InputError("resume: goes on from the checkpoints in a folder; give folder as well")
    chosen_widths = (
        widths if widths is None or isinstance(widths, str) else ",".join(map(str, np.ravel(widths).tolist()))
    )
    given_lambdas = None if lambdas is None else numbers_of("lambdas", lambdas)
    changes = plain({**options, "widths": chosen_widths, "lambdas": given_lambdas})
    settings = override_settings(what.train, changes)
    numbers = parse_widths(settings.widths)
    place = choose_device(device)
    problem = what.problem
    require_trainable(problem)
    chosen = settings.lambdas or [problem.lam]
    for lam in chosen:
        replace(problem, lam=lam)  # says what is wrong with it, if something is
    trials = trials_of(numbers, settings.seeds, chosen)
    how = Settings(epochs=settings.epochs, descent=settings.descent, polish=settings.polish, rate=settings.rate)
    points = held_out(what.instance) if tested and what.instance is not None else None
    start = time.monotonic()
    results, complete = train_sweep(
        problem, trials, how, place, folder=None if folder is None else Path(folder), resume=resume, test=points,
        workers=workers, progress=progress,
    )  # fmt: skip
    return Sweep(problem, place, tuple(results), complete, time.monotonic() - start)


def plateau_of(
    sweep: Sweep,
    settings: dict[str, Any],
    tolerance: float,
    workers: Workers,
    watching: Callable[[Problem], AbstractContextManager[Any]],
    progress: Callable[[], AbstractContextManager[Progress]],
    certify: bool = False,
) -> Plateau:
    """The curve of each λ of the sweep. watching, progress: with blocks that give the callback of `solve` for the problem with that
    λ, and what shows how the rest goes on."""
    start, curves, endings = time.monotonic(), [], []
    for lam in sweep.lambdas:
        problem, solved, proof = replace(sweep.problem, lam=lam), None, None
        if problem.depth == 2:
            with watching(problem) as callback:
                solved = solve(problem, callback=callback, workers=workers, **settings)
            if certify:
                solved, proof = certified(solved, time.monotonic() + max(settings["time_limit"], LEAST_SECONDS))
            endings.append(solved.status)
        with progress() as show:
            floor = None if proof is None else proof.content
            curves.append(
                curve(problem, sweep.of(lam), solved, tolerance, settings["time_limit"], show, certify, floor)
            )
    return Plateau(sweep, tuple(curves), tolerance, sweep.seconds + time.monotonic() - start, tuple(endings))
