"""solve, verify, path, width: the global minimum, its proof, its path along lambda and the neurons it needs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from cpcert.commands import DONE, NO, AsJson, Flag, announce_compilation, deliver, problem_of, settings_from_options
from cpcert.errors import InputError

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate
    from cpcert.instance import SolveSettings
    from cpcert.parallel import Workers
    from cpcert.problem import Problem


def solve(
    instance: str,
    /,
    *,
    as_json: AsJson = False,
    out: Path | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    node_limit: int | None = None,
    method: Literal["corrective", "vanilla", "away", "pairwise"] | None = None,
    seed: int | None = None,
    workers: int = 1,
    dask: str | None = None,
    plot: Flag = False,
    certificate: Annotated[bool, Parameter(negative="--no-certificate", show_default=False)] = True,
) -> int:
    """Enclose the global minimum of a network's loss in a proven interval.

    The trace goes to stderr, the result to stdout, and the proof into the certificate NAME.cpcert. From depth 3 on, the
    gaps are those of each hidden layer given its neighbours (scope: blockwise), which a global minimum needs but which do
    not make one; the certificates are NAME-layer1.cpcert, …. Exit codes:
    0  the requested gap is proven (depth >= 3: in every layer)
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
    gap
        The relative gap to prove (instead of solve.gap in the file; 1e-6 by default).
    time_limit
        Seconds to try (instead of solve.time_limit; 60 by default).
    node_limit
        Branch-and-bound nodes to try (instead of solve.node_limit; unlimited by default).
    method
        The Frank-Wolfe variant (instead of solve.method; corrective by default).
    seed
        The seed of the heuristics (instead of solve.seed; 0 by default).
    workers
        Processes for long searches, on top of this one (1: none); the result does not depend on it.
    dask
        The address of a dask scheduler, like tcp://host:8786, whose workers do the long searches instead.
    plot
        Draw the trace and, for one-dimensional data, the function, into the folder of --out or the current one.
    certificate
        Write the certificate into the folder of --out or the current one. --no-certificate: do not.
    """

    from cpcert import report
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    settings = settings_from_options(
        loaded, gap=gap, time_limit=time_limit, node_limit=node_limit, method=method, seed=seed
    )
    if out is not None or plot or certificate:
        report.prepare_folder(out or Path())
    problem = problem_of(loaded)
    if problem.depth > 2 and plot:
        raise InputError("--plot: draws the result of depth 2 only; leave it out")

    # Imported only now: it compiles kernels, and wrong input need not wait for that.
    from cpcert.frank_wolfe.solve import solve as solve_problem
    from cpcert.parallel import workers as start_workers

    with start_workers(workers, dask) as crew:
        announce_compilation()
        if problem.depth > 2:
            return _solve_deep(problem, settings, crew, as_json, out, certificate)
        with report.running_trace(problem) as callback:
            result = solve_problem(problem, callback=callback, workers=crew, **settings.model_dump())
    proof = None
    if certificate:
        print("writing and checking the certificate (Ctrl-C: go without)", file=sys.stderr, flush=True)
        result, proof = report.certified(result, settings.gap)

    answer = report.result_object(result, None)
    folder = out or Path()

    def save() -> dict[str, Any]:
        written = answer
        if out is not None or proof is not None:
            written = report.write_result(result, folder, proof, everything=out is not None)
        if plot:
            from cpcert.plots import plot_one_dimensional, plot_trace

            plot_trace(result, folder / f"{problem.name}-trace.png")
            if problem.n0 == 1 and result.network is not None:
                plot_one_dimensional(result, folder / f"{problem.name}-function.png")
        return written

    code = DONE if result.status == "optimal" else NO
    return deliver(code, answer, lambda _: report.closing_line(result, settings.gap), as_json, save)


def _solve_deep(
    problem: Problem, settings: SolveSettings, crew: Workers, as_json: bool, out: Path | None, certificate: bool
) -> int:
    """`solve` for depth ≥ 3."""
    from cpcert.deep.report import certified_layers, deep_line, deep_object, show_progress, write_deep
    from cpcert.deep.solve import solve_deep

    if settings.method != "corrective":
        raise InputError(f"solve.method: is {settings.method}; depth >= 3 has only corrective")
    given = settings.model_dump(exclude={"method"})
    result = solve_deep(problem, callback=show_progress(problem), workers=crew, **given)
    proofs: list[Certificate | None] = [None] * len(result.layers)
    if certificate:
        print("writing and checking the certificates (Ctrl-C: go without)", file=sys.stderr, flush=True)
        result, proofs = certified_layers(result, settings.gap)

    def save() -> dict[str, Any]:
        if out is None and not any(proofs):
            return deep_object(result, None)
        return write_deep(result, out or Path(), proofs, everything=out is not None)

    code = DONE if result.status == "optimal" else NO
    return deliver(code, deep_object(result, None), lambda _: deep_line(result, settings.gap), as_json, save)


def verify(
    certificate: Path,
    /,
    *,
    instance: str | None = None,
    as_json: AsJson = False,
) -> int:
    """Check a certificate in exact arithmetic and say what it proves.

    The checkers are cpcert/certificate/check.py, and rank_check.py for claims about matrices: each is one file that
    needs nothing but Python. Exit codes:
    0  accepted: the claim is true
    1  rejected: the file proves nothing, and why
    2  the file cannot be read

    Parameters
    ----------
    certificate
        The certificate: NAME.cpcert of `solve`, or the proof (JSON) of `cprank`, `rank` or `bipartite`.
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
        if expected is not None and claim.get("sha256") != expected:
            claim, reason = None, f"it is about another problem than {instance}"
    except Rejected as error:
        reason = str(error)
    if as_json:
        print(json.dumps({"accepted": claim is not None, "claim": claim, "reason": reason}, allow_nan=False))
    else:
        from cpcert.report import claim_sentence

        print(f"rejected: {reason}" if claim is None else f"accepted: {claim_sentence(claim)}")
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
        Write the result and the networks into this folder.
    gap
        The relative gap to prove (instead of solve.gap in the file).
    time_limit
        Seconds to try for each lambda (instead of solve.time_limit).
    seed
        The seed of the heuristics (instead of solve.seed).
    plot
        Draw the functions (one input), the widths and the bounds, into the folder of --out or the current one.
    """
    from cpcert import report
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    settings = settings_from_options(loaded, gap=gap, time_limit=time_limit, seed=seed)
    if out is not None or plot:
        report.prepare_folder(out or Path())
    problem = problem_of(loaded)

    from cpcert.frank_wolfe.path import geometric_lambdas, lambda_path

    first = 10.0 * problem.lam if largest is None else largest
    last = problem.lam / 100.0 if smallest is None else smallest
    try:
        lambdas = geometric_lambdas(last, first, count)
    except InputError as error:
        raise InputError(f"--{error}") from None
    results = []
    for result in lambda_path(problem, lambdas, **settings.model_dump()):
        results.append(result)
        print(
            f"lambda = {result.problem.lam:.4g}: {report.closing_line(result, settings.gap)}",
            file=sys.stderr,
            flush=True,
        )
        if result.status == "interrupted":
            break
    answer = report.path_object(results, None)

    def save() -> dict[str, Any]:
        written = answer if out is None else report.write_path(results, out)
        if plot:
            from cpcert.plots import plot_path

            plot_path(results, (out or Path()) / f"{problem.name}-path.png")
        return written

    code = DONE if len(results) == count and all(result.status == "optimal" for result in results) else NO
    return deliver(code, answer, lambda _: report.path_table(results), as_json, save)


def width(
    instance: str,
    /,
    *,
    as_json: AsJson = False,
    out: Path | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    seed: int | None = None,
) -> int:
    """How many neurons does an optimal network need? Proven bounds of the least width that reaches the minimum.

    Solves the instance first. Exit codes:
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
        Write the result and the network into this folder.
    gap
        The relative gap to prove first (1e-9, or solve.gap in the file if that is smaller).
    time_limit
        Seconds to try for the solution, and as many for the width (instead of solve.time_limit; 60 by default).
    seed
        The seed of the heuristics (instead of solve.seed; 0 by default).
    """
    import time

    from cpcert import report
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    smallest_gap = min(loaded.solve.gap, 1e-9) if gap is None else gap
    settings = settings_from_options(loaded, gap=smallest_gap, time_limit=time_limit, seed=seed)
    if out is not None:
        report.prepare_folder(out)
    problem = problem_of(loaded)

    from cpcert.frank_wolfe.solve import solve as solve_problem
    from cpcert.rank.plateau import plateau_bounds, plateau_line, plateau_object

    announce_compilation()
    start = time.monotonic()
    with report.running_trace(problem) as callback:
        result = solve_problem(problem, callback=callback, **settings.model_dump())
    if result.network is None or result.lower is None:
        print(f"cpcert: {result.message}: nothing is proven about the width", file=sys.stderr)
        return NO
    bounds = plateau_bounds(problem, result, settings.time_limit, settings.gap)
    answer = plateau_object(problem, bounds, time.monotonic() - start)
    network = bounds.network

    def save() -> dict[str, Any]:
        if out is None:
            return answer
        model = out / f"{problem.name}.safetensors"
        network.save(model)
        written = {**answer, "model": str(model)}
        report.write_file(out / f"{problem.name}-width.json", (json.dumps(written, indent=2) + "\n").encode())
        return written

    code = DONE if bounds.lower == bounds.upper and result.status == "optimal" else NO
    return deliver(code, answer, plateau_line, as_json, save)
