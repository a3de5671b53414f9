"""The command line. Exit codes: 0 done (the requested gap is proven), 1 an honest no, 2 bad input or usage.

Everything slow is imported inside the commands, so that `cpcert --help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from cpcert import __version__
from cpcert.errors import InputError

DONE, NO, BAD_INPUT, BUG = 0, 1, 2, 70

app = App(
    name="cpcert",
    help="Proven global minima of L2-regularised neural networks.",
    version=f"cpcert {__version__}",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)


@app.command
def solve(
    instance: str,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
    out: Path | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    node_limit: int | None = None,
    method: Literal["corrective", "vanilla", "away", "pairwise"] | None = None,
    seed: int | None = None,
    plot: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    certificate: Annotated[bool, Parameter(negative="--no-certificate", show_default=False)] = True,
) -> int:
    """Enclose the global minimum of a network's loss in a proven interval.

    The trace goes to stderr, the result to stdout, and the proof into the certificate NAME.cpcert. Exit codes:
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
    plot
        Draw the trace and, for one-dimensional data, the function, into the folder of --out or the current one.
    certificate
        Write the certificate into the folder of --out or the current one. --no-certificate: do not.
    """
    import json

    from cpcert import report
    from cpcert.instance import load_instance, override_settings

    loaded = load_instance(instance)
    changes: dict[str, Any] = {
        "gap": gap,
        "time_limit": time_limit,
        "node_limit": node_limit,
        "method": method,
        "seed": seed,
    }
    try:
        settings = override_settings(loaded.solve, changes)
    except InputError as error:
        setting, _, fault = str(error).partition(":")
        raise InputError(f"--{setting.replace('_', '-')}:{fault}") from None
    if out is not None or plot or certificate:
        report.prepare_folder(out or Path())
    problem = loaded.problem()

    # Imported only now: it compiles kernels, and wrong input need not wait for that.
    from cpcert.frank_wolfe.solve import solve as solve_problem
    from cpcert.oracle.ladder import kernels_are_compiled

    if not kernels_are_compiled():
        print("compiling the kernels (about a minute, once)", file=sys.stderr, flush=True)
    with report.running_trace(problem) as callback:
        result = solve_problem(problem, callback=callback, **settings.model_dump())
    proof = None
    if certificate:
        print("writing and checking the certificate (Ctrl-C: go without)", file=sys.stderr, flush=True)
        result, proof = report.certified(result, settings.gap)

    code = DONE if result.status == "optimal" else NO
    written = report.result_object(result, None)
    try:
        if out is not None or proof is not None:
            written = report.write_result(result, out or Path(), proof, everything=out is not None)
        if plot:
            from cpcert.plots import plot_one_dimensional, plot_trace

            folder = out or Path()
            plot_trace(result, folder / f"{problem.name}-trace.png")
            if problem.n0 == 1 and result.network is not None:
                plot_one_dimensional(result, folder / f"{problem.name}-function.png")
    except OSError as error:
        print(f"cpcert: --out: {error}; the result is on stdout only", file=sys.stderr)
        code = BAD_INPUT
    print(json.dumps(written, allow_nan=False) if as_json else report.closing_line(result, settings.gap), flush=True)
    return code


@app.command
def verify(
    certificate: Path,
    /,
    *,
    instance: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
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

    from cpcert.certificate import check, rank_check

    try:
        content = certificate.read_bytes()
    except OSError as error:
        raise InputError(f"{certificate}: cannot be read ({error.strerror or error})") from None
    expected = None
    if instance is not None:
        from cpcert.instance import load_instance

        expected = load_instance(instance).problem().sha256
    claim, reason = None, None
    try:
        claim = (check if content.startswith(check.MAGIC) else rank_check).check(content)
        if expected is not None and claim.get("sha256") != expected:
            claim, reason = None, f"it is about another problem than {instance}"
    except (check.Rejected, rank_check.Rejected) as error:
        reason = str(error)
    if as_json:
        print(json.dumps({"accepted": claim is not None, "claim": claim, "reason": reason}, allow_nan=False))
    else:
        from cpcert.report import claim_sentence

        print(f"rejected: {reason}" if claim is None else f"accepted: {claim_sentence(claim)}")
    return NO if claim is None else DONE


@app.command
def check(
    model: str,
    instance: str,
    /,
    *,
    certificate: Path | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    improve: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
) -> int:
    """Say whether a trained network is globally optimal, and how far it is from it at most and at least.

    Exit codes:
    0  optimal: its loss is within the gap of a proven lower bound
    1  suboptimal (proven: it exceeds the proven upper bound, or a neuron lowers its loss), or undecided
    2  the input is wrong

    Parameters
    ----------
    model
        The network: .safetensors with W1 and W2, bias column last, or a PyTorch state dict (.pt, .pth) of Linear layers.
    instance
        The instance file (YAML) with the data.
    certificate
        A certificate of this instance; without one the instance is solved first.
    gap
        The relative distance that counts as optimal (instead of solve.gap in the file; 1e-6 by default).
    time_limit
        Seconds to solve (instead of solve.time_limit in the file).
    improve
        Add neurons that lower the loss until it stops, and write the network there (.safetensors).
    as_json
        Print one JSON object instead of a sentence.
    """
    import json

    from cpcert import report
    from cpcert.instance import load_instance, override_settings

    loaded = load_instance(instance)
    settings = override_settings(loaded.solve, {"gap": gap, "time_limit": time_limit})
    problem = loaded.problem()
    if improve is not None:
        report.prepare_folder(improve.parent)

    from cpcert.training.check import check_network, neuron_table, require_checkable
    from cpcert.training.check import improve as improve_network
    from cpcert.training.models import load_model

    network = load_model(model, problem)
    require_checkable(problem, network)
    if certificate is not None:
        lower, upper = report.certified_interval(certificate, problem)
    else:
        from cpcert.frank_wolfe.solve import solve as solve_problem

        with report.running_trace(problem) as callback:
            result = solve_problem(problem, callback=callback, **settings.model_dump())
        lower, upper = result.lower, result.upper
    found = check_network(problem, network, lower, upper, settings.gap)
    written = report.check_object(found, neuron_table(problem, network))
    if improve is not None:
        better = improve_network(problem, network)
        after = check_network(problem, better, lower, upper, settings.gap)
        written["improved"] = {
            "model": str(improve),
            "loss": after.loss,
            "width": better.width,
            "verdict": after.verdict,
        }
        try:
            better.save(improve)
        except OSError as error:
            raise InputError(f"--improve: {error}") from None
    if as_json:
        print(json.dumps(written, allow_nan=False), flush=True)
    else:
        report.print_neurons(written["neurons"])
        print(report.check_line(written), flush=True)
    return DONE if found.verdict == "optimal" else NO


@app.command
def reduce(
    model: str,
    instance: str,
    /,
    *,
    keep: Literal["outputs", "covariances"] = "outputs",
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
    out: Path | None = None,
    plot: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
) -> int:
    """Make a trained network narrower without changing its outputs on the data or raising its norm.

    One input and one output: neurons whose cusps lie between the same points are merged, to at most 4N; then, for any
    network, Carathéodory's theorem leaves at most one neuron per point and output of the layer. Exit codes:
    0  done
    1  rounding changed outputs or norm by more than 1e-10 or 1e-12 of their sizes
    2  the input is wrong

    Parameters
    ----------
    model
        The network: a .safetensors file with W1, W2, …, bias column last.
    instance
        The instance file (YAML) with the data.
    keep
        What is kept: the outputs, or the covariances (K, K_sigma) of each layer, with at most N(N+1) neurons.
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result, the network and the log of merges into this folder.
    plot
        Draw the functions before and after (one input), into the folder of --out or the current one.
    """
    import json

    from cpcert import report
    from cpcert.instance import load_instance
    from cpcert.network import Network

    loaded = load_instance(instance)
    if out is not None or plot:
        report.prepare_folder(out or Path())
    problem = loaded.problem()
    network = Network.load(model, activation=problem.activation, beta=problem.beta)
    if plot and problem.n0 != 1:
        raise InputError(f"--plot: draws functions of one input, and the data have {problem.n0} features; leave it out")

    from cpcert.rank.reduction import reduce_network, reduction_line, reduction_object, write_reduction

    result = reduce_network(problem, network, keep)
    code = DONE if result.kept else NO
    written = reduction_object(result, problem.name, None)
    try:
        if out is not None:
            written = write_reduction(result, problem.name, out)
        if plot:
            from cpcert.plots import plot_reduction

            plot_reduction(problem, result, (out or Path()) / f"{problem.name}-reduction.png")
    except OSError as error:
        print(f"cpcert: --out: {error}; the result is on stdout only", file=sys.stderr)
        code = BAD_INPUT
    print(json.dumps(written, allow_nan=False) if as_json else reduction_line(result), flush=True)
    return code


@app.command
def path(
    instance: str,
    /,
    *,
    smallest: float | None = None,
    largest: float | None = None,
    count: int = 7,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
    out: Path | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    seed: int | None = None,
    plot: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
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
    import json

    from cpcert import report
    from cpcert.instance import load_instance, override_settings

    loaded = load_instance(instance)
    try:
        settings = override_settings(loaded.solve, {"gap": gap, "time_limit": time_limit, "seed": seed})
    except InputError as error:
        setting, _, fault = str(error).partition(":")
        raise InputError(f"--{setting.replace('_', '-')}:{fault}") from None
    if out is not None or plot:
        report.prepare_folder(out or Path())
    problem = loaded.problem()

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
    code = DONE if len(results) == count and all(result.status == "optimal" for result in results) else NO
    written = report.path_object(results, None)
    try:
        if out is not None:
            written = report.write_path(results, out)
        if plot:
            from cpcert.plots import plot_path

            plot_path(results, (out or Path()) / f"{problem.name}-path.png")
    except OSError as error:
        print(f"cpcert: --out: {error}; the result is on stdout only", file=sys.stderr)
        code = BAD_INPUT
    print(json.dumps(written, allow_nan=False) if as_json else report.path_table(results), flush=True)
    return code


@app.command
def cprank(
    matrix: str,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
    out: Path | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
    sdp: bool | None = None,
) -> int:
    """Is a matrix completely positive, and with how few terms? Proven bounds of its cp-rank.

    A = sum of b b' with entrywise nonnegative vectors b; the cp-rank is the least number of them. Exit codes:
    0  the cp-rank is proven
    1  it lies between two bounds, or the matrix is not completely positive (proven), or undecided
    2  the input is wrong

    Parameters
    ----------
    matrix
        .json {"A": rows of integers, "p/q" strings or floats}, .csv or .npy.
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result and the claim with its exact proof into this folder.
    time_limit
        Seconds to search.
    seed
        The seed of the searches.
    sdp
        Try semidefinite bounds too (needs cvxpy); by default where nothing else closes the gap and cvxpy is installed.
    """
    import json
    import time

    from cpcert.rank.matrices import load_matrix
    from cpcert.report import prepare_folder

    _positive_seconds(time_limit)
    loaded = load_matrix(matrix)
    if out is not None:
        prepare_folder(out)

    from cpcert.rank.answers import cp_rank_line, cp_rank_object, write_answer
    from cpcert.rank.bounds import cp_rank_bounds

    start = time.monotonic()
    bounds = cp_rank_bounds(loaded.rows, time_limit, seed, sdp)
    written = cp_rank_object(loaded, bounds, time.monotonic() - start)
    code = DONE if bounds.lower is not None and bounds.lower == bounds.upper else NO
    if out is not None:
        try:
            written = write_answer(written, bounds.claim(), out, loaded.name, "cprank")
        except OSError as error:
            print(f"cpcert: --out: {error}; the result is on stdout only", file=sys.stderr)
            code = BAD_INPUT
    print(json.dumps(written, allow_nan=False) if as_json else cp_rank_line(written), flush=True)
    return code


@app.command
def rank(
    pair: str,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
    out: Path | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
) -> int:
    """How many neurons does a layer with the covariances (K, K_sigma) need? Proven bounds of Rank_sigma.

    Exit codes:
    0  Rank_sigma is proven
    1  it lies between two bounds, or no layer has these covariances (proven)
    2  the input is wrong

    Parameters
    ----------
    pair
        .json {"K": rows, "K_sigma": rows, "beta": 0, "activation": "relu"}; activation and slope as in instance files.
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result and the claim with its exact proof into this folder.
    time_limit
        Seconds to search.
    seed
        The seed of the searches.
    """
    import json
    import time

    from cpcert.rank.matrices import load_pair
    from cpcert.report import prepare_folder

    _positive_seconds(time_limit)
    loaded = load_pair(pair)
    if out is not None:
        prepare_folder(out)

    from cpcert.rank.answers import rank_sigma_line, rank_sigma_object, write_answer
    from cpcert.rank.pair import rank_sigma_bounds

    start = time.monotonic()
    bounds = rank_sigma_bounds(loaded, time_limit, seed)
    written = rank_sigma_object(bounds, time.monotonic() - start)
    code = DONE if bounds.lower is not None and bounds.lower == bounds.upper else NO
    if out is not None:
        try:
            written = write_answer(written, bounds.claim(), out, loaded.name, "rank")
        except OSError as error:
            print(f"cpcert: --out: {error}; the result is on stdout only", file=sys.stderr)
            code = BAD_INPUT
    print(json.dumps(written, allow_nan=False) if as_json else rank_sigma_line(written), flush=True)
    return code


@app.command
def bipartite(
    *,
    N: Annotated[int | None, Parameter(name="--N")] = None,
    graph: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
    out: Path | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
    plot: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    path: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
) -> int:
    """Data whose optimal width is the cp-rank of a graph: X = I, Y = E'E, E the incidence matrix.

    Prints the edges, the cp-rank, the Rank_sigma of the optimum, the representation cost and where the plateau starts.
    Exit codes:
    0  the cp-rank is proven
    1  it lies between two bounds (with --path: at one lambda or more)
    2  the input is wrong

    Parameters
    ----------
    N
        The balanced complete bipartite graph on N vertices (N^2/4 edges for even N).
    graph
        Any other graph: petersen, heawood, groetzsch, clebsch, cycle-N, or a file with one edge "u v" per line.
    as_json
        Print one JSON object instead of lines.
    out
        Write the result, the claim with its exact proof, and the data as an instance file into this folder.
    time_limit
        Seconds to search.
    seed
        The seed of the searches.
    plot
        Draw the graph and the atoms, into the folder of --out or the current one.
    path
        With --N, even: the squared loss instead, and the Rank_sigma of its optimum from lambda = 0.0001 to 0.5.
    """
    import json
    import time

    if (N is None) == (graph is None):
        raise InputError("--N: give either --N (like --N 8) or --graph (like --graph petersen)")
    if N is not None and not 2 <= N <= 1000:
        raise InputError(f"--N: is {N}; give a number of vertices between 2 and 1000")
    _positive_seconds(time_limit)
    if path:
        if N is None or N % 2 or plot:
            raise InputError("--path: needs an even --N (like --N 6), and neither --graph nor --plot")
        return _bipartite_path(N, as_json, out, time_limit, seed)

    from cpcert.rank.graphs import complete_bipartite, load_graph
    from cpcert.report import prepare_folder, write_file

    chosen = load_graph(graph) if graph is not None else complete_bipartite(N or 0)
    name = Path(graph).stem if graph is not None else f"bipartite-{N}"
    if out is not None or plot:
        prepare_folder(out or Path())

    from cpcert.rank.answers import GraphAnswer, graph_bounds, graph_instance, graph_lines, graph_object, write_answer

    start = time.monotonic()
    bounds = graph_bounds(chosen, time_limit, seed)
    answer = GraphAnswer(name, chosen, bounds, time.monotonic() - start)
    written = graph_object(answer)
    code = DONE if bounds.lower == bounds.upper else NO
    try:
        if out is not None:
            write_file(out / f"{name}-interpolate.yaml", graph_instance(answer).encode())
            written = write_answer(written, bounds.claim(), out, name, "bipartite")
        if plot:
            from cpcert.plots import plot_graph

            plot_graph(chosen, name, (out or Path()) / f"{name}-graph.png")
    except OSError as error:
        print(f"cpcert: --out: {error}; the result is on stdout only", file=sys.stderr)
        code = BAD_INPUT
    print(json.dumps(written, allow_nan=False) if as_json else graph_lines(written), flush=True)
    return code


def _bipartite_path(N: int, as_json: bool, out: Path | None, time_limit: float, seed: int) -> int:
    import json
    import time

    from cpcert.report import prepare_folder, write_file

    if out is not None:
        prepare_folder(out)

    from cpcert.rank.bipartite_mse import LAMBDAS, path_lines, path_object, rank_along_path

    start = time.monotonic()
    # A semidefinite bound may take as long again as the search that it follows.
    steps = [rank_along_path(N, lam, time_limit / (2 * len(LAMBDAS)), seed) for lam in LAMBDAS]
    written = path_object(N, steps, time.monotonic() - start)
    code = DONE if all(step.lower == step.upper for step in steps) else NO
    if out is not None:
        try:
            content = json.dumps(written, indent=2, allow_nan=False) + "\n"
            write_file(out / f"bipartite-{N}-path.json", content.encode())
        except OSError as error:
            print(f"cpcert: --out: {error}; the result is on stdout only", file=sys.stderr)
            code = BAD_INPUT
    print(json.dumps(written, allow_nan=False) if as_json else path_lines(written), flush=True)
    return code


@app.command
def width(
    instance: str,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
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
    import json
    import time

    from cpcert import report
    from cpcert.instance import load_instance, override_settings

    loaded = load_instance(instance)
    try:
        changes = {"gap": min(loaded.solve.gap, 1e-9) if gap is None else gap, "time_limit": time_limit, "seed": seed}
        settings = override_settings(loaded.solve, changes)
    except InputError as error:
        setting, _, fault = str(error).partition(":")
        raise InputError(f"--{setting.replace('_', '-')}:{fault}") from None
    if out is not None:
        report.prepare_folder(out)
    problem = loaded.problem()

    from cpcert.frank_wolfe.solve import solve as solve_problem
    from cpcert.rank.plateau import plateau_bounds, plateau_line, plateau_object

    start = time.monotonic()
    with report.running_trace(problem) as callback:
        result = solve_problem(problem, callback=callback, **settings.model_dump())
    if result.network is None or result.lower is None:
        print(f"cpcert: {result.message}: nothing is proven about the width", file=sys.stderr)
        return NO
    bounds = plateau_bounds(problem, result, settings.time_limit)
    written = plateau_object(problem, bounds, time.monotonic() - start)
    code = DONE if bounds.lower == bounds.upper and result.status == "optimal" else NO
    if out is not None:
        try:
            model = out / f"{problem.name}.safetensors"
            result.network.save(model)
            written["model"] = str(model)
            content = json.dumps(written, indent=2, allow_nan=False) + "\n"
            report.write_file(out / f"{problem.name}-width.json", content.encode())
        except OSError as error:
            print(f"cpcert: --out: {error}; the result is on stdout only", file=sys.stderr)
            code = BAD_INPUT
    print(json.dumps(written, allow_nan=False) if as_json else plateau_line(written), flush=True)
    return code


def _positive_seconds(time_limit: float) -> None:
    if not time_limit > 0:
        raise InputError(f"--time-limit: is {time_limit:g}; give a number of seconds > 0")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` are those of the process by default."""
    try:
        code = app(
            sys.argv[1:] if arguments is None else arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except InputError as error:
        return _fail(str(error), BAD_INPUT)
    except CycloptsError as error:
        return _fail(f"{' '.join(str(error).split())} See cpcert --help.", BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted before anything was proven", NO)
    except MemoryError:
        return _fail("memory ran out before anything was proven; take fewer points", NO)
    except BrokenPipeError:
        # The reader of our output has left; without this Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO
    except Exception:
        traceback.print_exc()
        return _fail("this is a bug in cpcert, and nothing was proven; please report the lines above", BUG)


def _fail(message: str, code: int) -> int:
    print(f"cpcert: {message}", file=sys.stderr)
    return code
