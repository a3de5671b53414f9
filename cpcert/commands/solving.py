"""solve, verify, path, width: the global minimum, its proof, its path along lambda and the neurons it needs."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cpcert.commands import (
    DONE,
    NO,
    AsJson,
    Flag,
    announce_compilation,
    deliver,
    problem_of,
    read_and_say,
    settings_from_options,
    solve_and_show,
)  # fmt: skip
from cpcert.errors import InputError
from cpcert.output import prepare_folder
from cpcert.status import Status

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate
    from cpcert.deep.report import DeepOutcome
    from cpcert.frank_wolfe.solve import SolveResult
    from cpcert.instance import SolveSettings
    from cpcert.network import Network
    from cpcert.parallel import Workers
    from cpcert.problem import Problem
    from cpcert.report import PathOutcome, SolveOutcome
    from cpcert.width.answers import WidthOutcome


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
    """
    entered = time.monotonic()
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    settings = settings_from_options(loaded, **asdict(options))
    if out is not None or plot or certificate:
        prepare_folder(out or Path())
    problem = problem_of(loaded)
    if problem.depth == 2 and scope == "blockwise":
        raise InputError(
            "--scope: blockwise is for depth >= 3; at depth 2 there is one hidden layer, and its bounds are global"
        )
    if problem.depth > 2 and plot:
        raise InputError("--plot: draws the result of depth 2 only; leave it out")
    start = None if warm_start is None else _warm_start(warm_start, problem)

    from cpcert.parallel import workers as start_workers

    with start_workers(workers, dask) as crew:
        deadline = _deadline(problem, settings.time_limit, entered, certificate)
        if problem.depth > 2:
            return _solve_deep(problem, settings, crew, start, scope, as_json, out, certificate, deadline)
        by = deadline if certificate else None
        result = solve_and_show(problem, settings, workers=crew, warm_start=start, certificate_by=by)
    proof = None
    if certificate:
        from cpcert.certificate.downgrade import certified

        print("writing and checking the certificate (Ctrl-C: go without)", file=sys.stderr, flush=True)
        result, proof = certified(result, deadline)
    outcome, folder = _outcome(result), out or Path()

    def save() -> SolveOutcome:
        written = outcome
        if out is not None or proof is not None:
            written = outcome.write(folder, proof, everything=out is not None)
        if plot:
            from cpcert.plots.solving import plot_one_dimensional, plot_trace

            plot_trace(result, folder / f"{problem.name}-trace.png")
            if problem.n0 == 1 and result.network is not None:
                plot_one_dimensional(result, folder / f"{problem.name}-function.png")
        return written

    return deliver(DONE if result.status == Status.OPTIMAL else NO, outcome, as_json, save)


def _outcome(result: SolveResult) -> SolveOutcome:
    """The result with Rank_σ near the covariance pair of its network."""
    from cpcert.rank.pair import network_rank_sigma
    from cpcert.report import SolveOutcome

    rank = None
    # The bounds of the minimum are worth more than this: an interruption costs only this.
    with suppress(KeyboardInterrupt):
        rank = None if result.network is None else network_rank_sigma(result.network, result.problem)
    return SolveOutcome(result, rank)


def _warm_start(model: str, problem: Problem) -> Network:
    """The network of --warm-start. Raises InputError, naming the option and what does not fit."""
    try:
        return read_and_say(model, problem, None)
    except InputError as error:
        raise InputError(f"--warm-start: {error}") from None


def _deadline(problem: Problem, time_limit: float, entered: float, certificate: bool) -> float:
    """The `time.monotonic()` by which a `solve` that began at `entered` ends, its certificate included.

    1.2 times the limit and two seconds after the beginning, which is now if kernels had to be compiled. A start that took long
    (imports on a busy machine) does not eat up the time of the certificate.
    """
    from cpcert.oracle.ladder import compile_kernels, kernels_are_compiled

    compiled = kernels_are_compiled()
    announce_compilation()
    compile_kernels(problem.m > 1 or problem.depth > 2)
    if certificate:
        from cpcert.certificate.trees import compile_writing_kernels

        compile_writing_kernels()
    now = time.monotonic()
    return max((entered if compiled else now) + 1.2 * time_limit + 2.0, now + 1.2 * time_limit + 0.5)


def _solve_deep(
    problem: Problem,
    settings: SolveSettings,
    crew: Workers,
    start: Network | None,
    scope: str,
    as_json: bool,
    out: Path | None,
    certificate: bool,
    deadline: float,
) -> int:
    """`solve` for depth ≥ 3."""
    from cpcert.deep.report import DeepOutcome, show_progress
    from cpcert.deep.solve import solve_deep

    if settings.method != "corrective":
        raise InputError(f"solve.method: is {settings.method}; depth >= 3 has only corrective")
    given = settings.model_dump(exclude={"method"})
    given |= {"callback": show_progress(problem), "workers": crew, "warm_start": start}
    if scope == "global":
        from cpcert.deep.bound.solve import solve_global

        result = solve_global(problem, deadline=deadline, **given)
    else:
        result = solve_deep(problem, **given)
    interval = result.certificate if certificate else None
    proofs: list[Certificate | None] = [None] * len(result.layers)
    if certificate and scope == "blockwise":
        from cpcert.deep.certificates import certified_layers

        print("writing and checking the certificates (Ctrl-C: go without)", file=sys.stderr, flush=True)
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
        The certificate: NAME.cpcert of `solve`, NAME-width.cpcert of `width`, or the proof (JSON) of `cprank`, `rank` or `bipartite`.
    instance
        An instance file: reject the certificate unless it is about exactly this problem.
    as_json
        Print one JSON object instead of a sentence.
    """
    import json

    from cpcert.certificate.check import Rejected
    from cpcert.certificate.reading import read_claim

    expected = None
    if instance is not None:
        from cpcert.instance import load_instance

        expected = load_instance(instance).problem().sha256
    claim, reason = None, None
    try:
        claim = read_claim(certificate)
        if expected is not None and claim.sha256 != expected:
            claim, reason = None, f"it is about another problem than {instance}"
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
    from cpcert import report
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    settings = settings_from_options(loaded, gap=gap, time_limit=time_limit, max_iterations=max_iterations, seed=seed)
    if out is not None or plot:
        prepare_folder(out or Path())
    problem = problem_of(loaded)

    from cpcert.frank_wolfe.path import geometric_lambdas, lambda_path
    from cpcert.printing import whole

    first = 10.0 * problem.lam if largest is None else largest
    last = problem.lam / 100.0 if smallest is None else smallest
    try:
        lambdas = geometric_lambdas(last, first, count)
    except InputError as error:
        raise InputError(f"--{error}") from None
    results: list[SolveResult] = []
    proofs: list[Certificate | None] = []
    for found in lambda_path(problem, lambdas, **settings.model_dump()):
        result, proof = found, None
        if out is not None:
            from cpcert.certificate.downgrade import certified

            result, proof = certified(found, time.monotonic() + max(settings.time_limit, 10.0))
        results.append(result)
        proofs.append(proof)
        line = f"lambda = {whole(result.problem.lam)}: {report.closing_line(result)}"
        print(line, file=sys.stderr, flush=True)
        if result.status == Status.INTERRUPTED:
            break
    outcome = report.PathOutcome(tuple(map(_outcome, results)))

    def save() -> PathOutcome:
        written = outcome if out is None else outcome.write(out, proofs)
        if plot:
            from cpcert.plots.solving import plot_path

            plot_path(results, (out or Path()) / f"{problem.name}-path.png")
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
    smallest_gap = min(loaded.solve.gap, 1e-9) if gap is None else gap
    settings = settings_from_options(
        loaded, gap=smallest_gap, time_limit=time_limit, max_iterations=max_iterations, seed=seed
    )
    if out is not None or certificate:
        prepare_folder(out or Path())
    problem = problem_of(loaded)

    from cpcert.width.answers import WidthOutcome
    from cpcert.width.bounds import width_bounds

    start = time.monotonic()
    result = solve_and_show(problem, settings)
    if result.network is None or result.lower is None:
        message = f"nothing is proven about the width: {result.message}"
        print(f"cpcert: {message}", file=sys.stderr)
        if as_json:
            nothing = {"instance": problem.name, "lower": None, "upper": None, "status": result.status, "note": message}
            print(json.dumps(nothing))
        return NO
    bounds = width_bounds(problem, result, settings.time_limit, settings.gap)
    proof = None
    if certificate:
        from cpcert.width.certificate import certified_width

        print("writing and checking the certificate (Ctrl-C: go without)", file=sys.stderr, flush=True)
        bounds, proof = certified_width(problem, bounds, settings.time_limit)
    outcome = WidthOutcome(problem.name, bounds, time.monotonic() - start)

    def save() -> WidthOutcome:
        return outcome.write(out or Path(), proof, everything=out is not None)

    code = DONE if bounds.lower == bounds.upper and result.status == Status.OPTIMAL else NO
    return deliver(code, outcome, as_json, save)
