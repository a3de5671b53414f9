"""solve, verify, path, width: the global minimum, its proof, its path along lambda and the neurons it needs."""

from __future__ import annotations

import json
import sys
import time
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
    read_and_say,
    settings_from_options,
    stated,
)  # fmt: skip
from cpcert.commands.tracing import AS_USUAL, Log, Trace, TraceOptions, tracing, watching
from cpcert.errors import InputError
from cpcert.output import prepare_folder
from cpcert.printing import about
from cpcert.status import Status

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate
    from cpcert.deep.report import DeepOutcome
    from cpcert.frank_wolfe.result import SolveResult
    from cpcert.instance import SolveSettings
    from cpcert.network import Network
    from cpcert.parallel import Workers
    from cpcert.problem import Problem
    from cpcert.report import PathOutcome, SolveOutcome
    from cpcert.width.answers import WidthOutcome


# Seconds of a check that are worth a word before it begins.
LONG_CHECK = 10.0


@dataclass(frozen=True)
class SolveOptions:
    """What `solve` takes instead of the section `solve` of the instance.

    Parameters
    ----------
    gap
        The relative gap to prove (instead of solve.gap in the file; 1e-6 by default).
    time_limit
        Seconds to try (instead of solve.time_limit; 60 by default). What comes after the search, the certificate and its check,
        ends at most a fifth of it and two seconds later.
    node_limit
        Branch-and-bound nodes to try (instead of solve.node_limit; unlimited by default).
    max_iterations
        Frank-Wolfe iterations to try, from depth 3 on blocks (instead of solve.max_iterations; 1000 by default).
    method
        The Frank-Wolfe variant (instead of solve.method; corrective by default).
    seed
        The seed of the heuristics (instead of solve.seed; 0 by default).
    """

    gap: float | None = None
    time_limit: float | None = None
    node_limit: int | None = None
    max_iterations: int | None = None
    method: Literal["corrective", "vanilla", "away", "pairwise"] | None = None
    seed: int | None = None


def solve(
    instance: str,
    /,
    *,
    as_json: AsJson = False,
    out: Path | None = None,
    options: Annotated[SolveOptions, Parameter(name="*")] = SolveOptions(),
    warm_start: str | None = None,
    workers: int = 1,
    dask: str | None = None,
    scope: Literal["global", "blockwise"] = "global",
    plot: Flag = False,
    certificate: Annotated[bool, Parameter(negative="--no-certificate", show_default=False)] = True,
    check: Literal["now", "later"] = "now",
    trace: Trace = AS_USUAL,
    resume: Path | None = None,
) -> int:
    """Enclose the global minimum of a network's loss in a proven interval.

    The trace goes to stderr, the result to stdout, and the proof into the certificate NAME.cpcert. From depth 3 on, the
    bound is proven by other means and the gap may stay open; the layers have gaps of their own, given their neighbours.
    Exit codes:
    0  the requested gap is proven
    1  it is not (what was proven is printed all the same), or the data are infeasible
    2  the input is wrong

    Parameters
    ----------
    instance
        The instance file (YAML).
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result, the network, the trace and the certificate into this folder.
    warm_start
        A trained network to start from, any file that `check` reads.
    workers
        Processes for long searches, on top of this one (1: none); the result does not depend on it.
    dask
        The address of a dask scheduler, like tcp://host:8786, whose workers do the long searches instead.
    scope
        From depth 3 on: global, or blockwise: a gap for each hidden layer given its neighbours, which a global minimum
        needs but which does not make one, with the certificates NAME-layer1.cpcert, ….
    plot
        Draw the trace and, for one-dimensional data, the function, into the folder of --out or the current one.
    certificate
        Write the certificate into the folder of --out or the current one. --no-certificate: do not.
    check
        now, or later: write the certificate unchecked. Nothing is proven then until `cpcert verify` accepts it, and the exit
        code is 1.
    resume
        The certificate of an earlier run of this instance (or its .json or .safetensors, with the certificate beside it): it is
        checked, the search starts from its network, and what it proves stays proven. Depth 2.
    """
    entered = time.monotonic()
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    settings = settings_from_options(loaded, **asdict(options))
    if out is not None or plot or certificate:
        prepare_folder(out, instead="--out FOLDER" if plot else "--out FOLDER, or --no-certificate")
    problem, folder = problem_of(loaded), out or Path()
    _refuse_what_does_not_go_together(problem, scope, check, certificate, plot)
    if resume is not None:
        _require_resumable(problem, warm_start, check)
    start = None if warm_start is None else _warm_start(warm_start, problem)

    from cpcert.parallel import workers as start_workers

    with tracing(trace) as log, start_workers(workers, dask) as crew:
        deadline = _deadline(problem, settings.time_limit, entered, certificate, trace)
        more: dict[str, Any] = {"workers": crew, "warm_start": start}
        if problem.depth > 2:
            with watching(problem, trace, log) as callback:
                more["callback"] = callback
                return _solve_deep(problem, settings, more, scope, as_json, out, certificate, deadline, trace)
        if resume is not None:
            target = folder / f"{problem.name}.cpcert" if certificate else None
            result, proof = _resume(resume, problem, settings, more, trace, log, deadline, target)
        else:
            by = deadline if certificate and check == "now" else None
            result, proof = _solve_and_show(problem, settings, trace, log, certify_by=by, **more), None
            if certificate:
                result, proof = _certified(result, deadline, crew, trace, check == "later")
    from cpcert.api.solving import with_rank

    outcome = with_rank(result)

    def save() -> SolveOutcome:
        written = outcome
        if out is not None or proof is not None:
            written = outcome.write(folder, proof, everything=out is not None)
        if plot:
            from cpcert.plots.figure import save_figure
            from cpcert.plots.solving import plot_one_dimensional, plot_trace

            save_figure(plot_trace(result), folder / f"{problem.name}-trace.png")
            if problem.n0 == 1 and result.network is not None:
                save_figure(plot_one_dimensional(result), folder / f"{problem.name}-function.png")
        return written

    return deliver(DONE if result.status == Status.OPTIMAL else NO, outcome, as_json, save)


def _solve_and_show(
    problem: Problem, settings: SolveSettings, trace: TraceOptions, log: Log, **more: Any
) -> SolveResult:
    """What `solve` finds at depth 2, its trace shown and logged."""
    from cpcert.frank_wolfe.solve import solve as solve_problem

    by = more.pop("certify_by")
    with watching(problem, trace, log) as callback:
        return solve_problem(problem, callback=callback, certificate_by=by, **settings.model_dump(), **more)


def _certified(
    result: SolveResult, deadline: float, crew: Workers, trace: TraceOptions, later: bool = False
) -> tuple[SolveResult, Certificate | None]:
    """The result as its certificate proves it, and the certificate."""
    from cpcert.certificate.build import Checking
    from cpcert.certificate.downgrade import certified

    trace.say(f"{'writing' if later else 'writing and checking'} the certificate (Ctrl-C: go without)")
    return certified(result, deadline, Checking(crew, later, None if trace.quiet else _announce_check))


def _refuse_what_does_not_go_together(problem: Problem, scope: str, check: str, certificate: bool, plot: bool) -> None:
    """Raise InputError for options that the depth or the others leave without a meaning."""
    if problem.depth == 2 and scope == "blockwise":
        raise InputError(
            "--scope: blockwise is for depth >= 3; at depth 2 there is one hidden layer, and its bounds are global"
        )
    if problem.depth > 2 and check == "later":
        raise InputError(
            "--check: later is for depth 2; the certificates of deeper networks take no time, leave it out"
        )
    if check == "later" and not certificate:
        raise InputError("--check: later writes a certificate; leave out --no-certificate")
    if problem.depth > 2 and plot:
        raise InputError("--plot: draws the result of depth 2 only; leave it out")


def _require_resumable(problem: Problem, warm_start: str | None, check: str) -> None:
    if problem.depth > 2:
        raise InputError("--resume: is for depth 2; give the network of the earlier run with --warm-start")
    if warm_start is not None:
        raise InputError("--resume: starts from the network of the certificate; leave out --warm-start")
    if check == "later":
        raise InputError("--check: later proves nothing now, and --resume keeps what is proven; leave one of them out")


def _resume(
    path: Path,
    problem: Problem,
    settings: SolveSettings,
    more: dict[str, Any],
    trace: TraceOptions,
    log: Log,
    deadline: float,
    target: Path | None,
) -> tuple[SolveResult, Certificate | None]:
    """`solve` with the certificate of an earlier run: the better sides of both, in one certificate where that can be checked in time.

    target: where the certificate is going to be written (None: nowhere). A file that proves more is never replaced by one that
    proves less: else what is returned is no certificate, and the message of the result says what rests on which.
    """
    from cpcert.certificate import kept as earlier
    from cpcert.frank_wolfe.solve import solve as solve_problem
    from cpcert.printing import enclosure

    crew = more["workers"]
    try:
        kept = earlier.read_kept(path, problem, crew)
    except InputError as error:
        raise InputError(f"--resume: {error}") from None
    old = kept.certificate
    trace.say(f"{kept.path}: accepted, the global minimum is {enclosure(old.lower, old.upper)}")
    done = earlier.already(kept, problem, settings.gap)
    if done is not None:
        return done, None if target is None else old
    # The check was part of the time that was given.
    settings = settings.model_copy(
        update={"time_limit": max(settings.time_limit - kept.seconds, 0.1 * settings.time_limit)}
    )
    with watching(problem, trace, log) as shown:
        callback = earlier.until_closed(kept, settings.gap, shown)
        by = None if target is None else deadline
        start = more | {"warm_start": kept.network}
        result = solve_problem(problem, callback=callback, certificate_by=by, **settings.model_dump(), **start)
    if target is None:
        return earlier.continued(result, kept, None), None
    result, found = _certified(result, deadline, crew, trace)
    try:
        proof = earlier.joined(kept, found, crew, deadline)
    except KeyboardInterrupt:
        proof = None
    if proof is not None:
        return earlier.continued(result, kept, proof), proof
    if found is None or target.resolve() == kept.path.resolve():
        note = f"{kept.path} is kept; what is better than in it is proven by the search alone"
        return earlier.continued(result, kept, None, note), None
    note = f"{kept.path} proves one side and {target} the other; there was no time to check both in one file"
    return earlier.continued(result, kept, None, note), found


def _announce_check(seconds: float) -> None:
    """Say how long a check takes, if it is long."""
    if seconds >= LONG_CHECK:
        how = "more --workers are quicker, --check later writes the certificate unchecked"
        print(f"the check takes about {about(seconds, 2)} s ({how})", file=sys.stderr, flush=True)


def _warm_start(model: str, problem: Problem) -> Network:
    """The network of --warm-start. Raises InputError, naming the option and what does not fit."""
    try:
        return read_and_say(model, problem, None)
    except InputError as error:
        raise InputError(f"--warm-start: {error}") from None


def _deadline(problem: Problem, time_limit: float, entered: float, certificate: bool, trace: TraceOptions) -> float:
    """The `time.monotonic()` by which a `solve` that began at `entered` ends, its certificate included.

    1.2 times the limit and two seconds after the beginning, which is now if kernels had to be compiled. A start that took long
    (imports on a busy machine) does not eat up the time of the certificate.
    """
    from cpcert.oracle.ladder import compile_kernels, kernels_are_compiled

    outputs = (problem.m,) if problem.depth == 2 else (1, 2)
    compiled = all(kernels_are_compiled(problem.N, m) for m in outputs)
    if not trace.quiet:
        announce_compilation(problem.N, outputs[-1])
    for m in outputs:
        compile_kernels(problem.N, m)
    if certificate:
        from cpcert.certificate.trees import compile_writing_kernels

        compile_writing_kernels()
    now = time.monotonic()
    return max((entered if compiled else now) + 1.2 * time_limit + 2.0, now + 1.2 * time_limit + 0.5)


def _solve_deep(
    problem: Problem,
    settings: SolveSettings,
    more: dict[str, Any],
    scope: str,
    as_json: bool,
    out: Path | None,
    certificate: bool,
    deadline: float,
    trace: TraceOptions,
) -> int:
    """`solve` for depth ≥ 3."""
    from cpcert.api.solving import solve as solve_problem
    from cpcert.deep.report import DeepOutcome
    from cpcert.deep.solve import DeepResult

    if settings.method != "corrective":
        raise InputError(f"solve.method: is {settings.method}; depth >= 3 has only corrective")
    given = settings.model_dump() | more | {"scope": scope}
    result = solve_problem(problem, certify_by=deadline, **given)
    assert isinstance(result, DeepResult)
    interval = result.certificate if certificate else None
    proofs: list[Certificate | None] = [None] * len(result.layers)
    if certificate and scope == "blockwise":
        from cpcert.deep.certificates import certified_layers

        trace.say("writing and checking the certificates (Ctrl-C: go without)")
        result, proofs = certified_layers(result, deadline)
    outcome = DeepOutcome(result)

    def save() -> DeepOutcome:
        if out is None and interval is None and not any(proofs):
            return outcome
        return outcome.write(out or Path(), proofs, interval, everything=out is not None)

    return deliver(DONE if result.status == Status.OPTIMAL else NO, outcome, as_json, save)


def verify(
    certificate: Path,
    /,
    *,
    instance: str | None = None,
    workers: int = 1,
    as_json: AsJson = False,
) -> int:
    """Check a certificate in exact arithmetic and say what it proves.

    The checkers are cpcert/certificate/check.py, deep_check.py for networks of depth 3 and more, width_check.py for least
    widths, and rank_check.py for claims about matrices: each is one file that needs nothing but Python. Exit codes:
    0  accepted: the claim is true
    1  rejected: the file proves nothing, and why
    2  the file cannot be read

    Parameters
    ----------
    certificate
        The certificate: NAME.cpcert of `solve`, NAME-width.cpcert of `width`, or the proof (JSON) of `cprank`, `copositive`,
        `rank` or `bipartite`.
    instance
        An instance file: reject the certificate unless it is about exactly this problem.
    workers
        Processes for the trees of long proofs; the answer does not depend on it.
    as_json
        Print one JSON object instead of a sentence.
    """
    from cpcert.api.verifying import verify as verify_file
    from cpcert.certificate.check import Rejected
    from cpcert.parallel import workers as start_workers

    expected = None
    if instance is not None:
        from cpcert.instance import load_instance

        expected = load_instance(instance).problem()
    claim, reason = None, None
    try:
        with start_workers(workers) as crew:
            claim = verify_file(certificate, expected, workers=crew)
    except Rejected as error:
        reason = str(error)
    if as_json:
        said = None if claim is None else claim.as_json()
        print(json.dumps({"accepted": claim is not None, "claim": said, "reason": reason}, allow_nan=False))
    else:
        print(f"rejected: {reason}" if claim is None else f"accepted: {claim.sentence()}")
    return NO if claim is None else DONE


def path(
    instance: str,
    /,
    *,
    smallest: float | None = None,
    largest: float | None = None,
    count: int = 7,
    as_json: AsJson = False,
    out: Path | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    max_iterations: int | None = None,
    seed: int | None = None,
    plot: Flag = False,
    trace: Trace = AS_USUAL,
) -> int:
    """Solve an instance for a range of lambda: a proven interval, a gap and a width for each.

    Exit codes:
    0  every requested gap is proven
    1  one is not (what was proven is printed all the same)
    2  the input is wrong

    Parameters
    ----------
    instance
        The instance file (YAML).
    smallest
        The last lambda (a hundredth of that of the file by default).
    largest
        The first lambda (ten times that of the file by default).
    count
        How many, with a constant ratio.
    as_json
        Print one JSON object instead of a table.
    out
        Write the result, and the network and the certificate of each lambda, into this folder. What is printed is then what
        the certificates prove.
    gap
        The relative gap to prove (instead of solve.gap in the file).
    time_limit
        Seconds to try for each lambda (instead of solve.time_limit).
    max_iterations
        Frank-Wolfe iterations to try for each lambda (instead of solve.max_iterations).
    seed
        The seed of the heuristics (instead of solve.seed).
    plot
        Draw the functions (one input), the widths and the bounds, into the folder of --out or the current one.
    """
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    settings = settings_from_options(loaded, gap=gap, time_limit=time_limit, max_iterations=max_iterations, seed=seed)
    if out is not None or plot:
        prepare_folder(out)
    problem = problem_of(loaded)

    from cpcert.api.solving import path as solve_path
    from cpcert.printing import whole

    given = settings.model_dump(include={"gap", "time_limit", "max_iterations", "seed"})
    with tracing(trace) as log, naming_options("smallest", "largest", "count"):

        def show(result: SolveResult) -> None:
            trace.say(f"lambda = {whole(result.problem.lam)}: {result.sentence()}")
            log.write({"lambda": result.problem.lam, **result.as_json()})

        outcome = solve_path(
            stated(loaded, problem), smallest=smallest, largest=largest, count=count, certify=out is not None, callback=show,
            **given,
        )  # fmt: skip
    results = outcome.results

    def save() -> PathOutcome:
        written = outcome if out is None else outcome.write(out)
        if plot:
            from cpcert.plots.figure import save_figure
            from cpcert.plots.solving import plot_path

            save_figure(plot_path(results), (out or Path()) / f"{problem.name}-path.png")
        return written

    code = DONE if len(results) == count and all(result.status == Status.OPTIMAL for result in results) else NO
    return deliver(code, outcome, as_json, save)


def width(
    instance: str,
    /,
    *,
    as_json: AsJson = False,
    out: Path | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    max_iterations: int | None = None,
    seed: int | None = None,
    certificate: Annotated[bool, Parameter(negative="--no-certificate", show_default=False)] = True,
    trace: Trace = AS_USUAL,
) -> int:
    """How many neurons does an optimal network need? Proven bounds of the least width that reaches the minimum.

    Solves the instance first. What is proven goes into the certificate NAME-width.cpcert. Exit codes:
    0  the least width with a loss of at most the proven upper bound is known
    1  it lies between two bounds, or the gap is not proven
    2  the input is wrong

    Parameters
    ----------
    instance
        The instance file (YAML).
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result, the network and the certificate into this folder.
    gap
        The relative gap to prove first (1e-9, or solve.gap in the file if that is smaller).
    time_limit
        Seconds to try for the solution, as many for the width, and as many for the certificate (instead of
        solve.time_limit; 60 by default).
    max_iterations
        Frank-Wolfe iterations to try for the solution (instead of solve.max_iterations; 1000 by default).
    seed
        The seed of the heuristics (instead of solve.seed; 0 by default).
    certificate
        Write the certificate into the folder of --out or the current one. --no-certificate: do not.
    """
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    options: dict[str, Any] = {"gap": gap, "time_limit": time_limit, "max_iterations": max_iterations, "seed": seed}
    settings_from_options(loaded, **options)  # says what is wrong with them
    if out is not None or certificate:
        prepare_folder(out or Path())
    problem = problem_of(loaded)

    from cpcert.api.solving import least_width

    if not trace.quiet:
        announce_compilation()
    with tracing(trace) as log, watching(problem, trace, log) as callback:
        outcome = least_width(stated(loaded, problem), certify=certificate, callback=callback, **options)
    if outcome.bounds is None:
        print(f"cpcert: {outcome.sentence()}", file=sys.stderr)
        if as_json:
            print(outcome.to_json())
        return NO

    def save() -> WidthOutcome:
        return outcome.write(out or Path(), everything=out is not None)

    exact = outcome.lower == outcome.upper and outcome.result.status == Status.OPTIMAL
    return deliver(DONE if exact else NO, outcome, as_json, save)
