"""check, reduce: what can be said about a network that somebody has trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cpcert.commands import DONE, NO, AsJson, Flag, announce_compilation, deliver, problem_of, settings_from_options
from cpcert.errors import InputError

if TYPE_CHECKING:
    from cpcert.instance import SolveSettings
    from cpcert.network import Network
    from cpcert.problem import Problem


def check(
    model: str,
    instance: str,
    /,
    *,
    certificate: Path | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    improve: Path | None = None,
    as_json: AsJson = False,
    out: Path | None = None,
) -> int:
    """Say whether a trained network is globally optimal, and how far it is from it at most and at least.

    At depth 3 and more the interval may be wide: then the verdict says how far from optimal the network is at most and at least, and
    a neuron that lowers the loss, in any layer, proves it suboptimal. Exit codes:
    0  optimal: its loss is within the gap of a proven lower bound
    1  suboptimal (proven: it exceeds the proven upper bound, or a neuron lowers its loss), or undecided
    2  the input is wrong

    Parameters
    ----------
    model
        The network: .safetensors with W1, W2, …, bias column last, a PyTorch state dict (.pt, .pth) of Linear layers,
        or .onnx (extra onnx).
    instance
        The instance file (YAML) with the data.
    certificate
        A certificate of this instance; without one the instance is solved first.
    gap
        The relative distance that counts as optimal (instead of solve.gap in the file; 1e-6 by default).
    time_limit
        Seconds to solve (instead of solve.time_limit in the file).
    improve
        Add neurons that lower the loss and train on until it stops, and write the network there (.safetensors).
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result into this folder.
    """
    import json

    from cpcert import report
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    settings = settings_from_options(loaded, gap=gap, time_limit=time_limit)
    problem = problem_of(loaded)
    if out is not None:
        report.prepare_folder(out)
    if improve is not None:
        report.prepare_folder(improve.parent)

    from cpcert.training.check import check_network, neuron_table, require_checkable
    from cpcert.training.check import improve as improve_network
    from cpcert.training.models import load_model

    network = load_model(model, problem)
    require_checkable(problem, network)
    lower, upper = None, None
    if certificate is not None:
        lower, upper = report.certified_interval(certificate, problem)
    elif problem.depth == 2:
        from cpcert.frank_wolfe.solve import solve as solve_problem

        announce_compilation()
        with report.running_trace(problem) as callback:
            result = solve_problem(problem, callback=callback, **settings.model_dump())
        lower, upper = result.lower, result.upper
    else:
        lower, upper = _deep_interval(problem, network, settings)
    found = check_network(problem, network, lower, upper, settings.gap)
    answer = report.check_object(found, neuron_table(problem, network))
    if improve is not None:
        better = improve_network(problem, network)
        after = check_network(problem, better, lower, upper, settings.gap)
        answer["improved"] = {
            "model": str(improve),
            "loss": after.loss,
            "width": better.width,
            "verdict": after.verdict,
        }
        try:
            better.save(improve)
        except OSError as error:
            raise InputError(f"--improve: {error}") from None

    def save() -> dict[str, Any]:
        if out is not None:
            content = json.dumps(answer, indent=2, allow_nan=False) + "\n"
            report.write_file(out / f"{problem.name}-check.json", content.encode())
        return answer

    if not as_json:
        report.print_neurons(answer)
    return deliver(DONE if found.verdict == "optimal" else NO, answer, report.check_line, as_json, save)


def _deep_interval(problem: Problem, network: Network, settings: SolveSettings) -> tuple[float | None, float | None]:
    """The proven interval of the global minimum at depth ≥ 3; the network is one of the starts."""
    from cpcert.deep.bound.solve import solve_global
    from cpcert.deep.report import show_progress

    announce_compilation()
    given = settings.model_dump(exclude={"method"})
    result = solve_global(problem, warm_start=network, callback=show_progress(problem), **given)
    return result.lower, result.upper


def reduce(
    model: str,
    instance: str,
    /,
    *,
    keep: Literal["outputs", "covariances"] = "outputs",
    as_json: AsJson = False,
    out: Path | None = None,
    plot: Flag = False,
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
    from cpcert import report
    from cpcert.instance import load_instance
    from cpcert.network import Network

    loaded = load_instance(instance)
    if out is not None or plot:
        report.prepare_folder(out or Path())
    problem = problem_of(loaded)
    network = Network.load(model, activation=problem.activation, beta=problem.beta)
    if plot and problem.n0 != 1:
        raise InputError(f"--plot: draws functions of one input, and the data have {problem.n0} features; leave it out")

    from cpcert.rank.reduction import reduce_network, reduction_line, reduction_object, write_reduction

    result = reduce_network(problem, network, keep)
    answer = reduction_object(result, problem.name, None)

    def save() -> dict[str, Any]:
        written = answer if out is None else write_reduction(result, problem.name, out)
        if plot:
            from cpcert.plots import plot_reduction

            plot_reduction(problem, result, (out or Path()) / f"{problem.name}-reduction.png")
        return written

    return deliver(DONE if result.kept else NO, answer, lambda _: reduction_line(result), as_json, save)
