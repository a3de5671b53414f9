"""check, reduce: what can be said about a network that somebody has trained."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
    stated,
)
from cpcert.commands.tracing import AS_USUAL, Trace, tracing, watching
from cpcert.errors import InputError
from cpcert.output import prepare_folder

if TYPE_CHECKING:
    from cpcert.networks.reduce import ReductionOutcome


def check(
    model: str,
    instance: str,
    /,
    *,
    certificate: Path | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    improve: Path | None = None,
    layers: str | None = None,
    as_json: AsJson = False,
    out: Path | None = None,
    trace: Trace = AS_USUAL,
) -> int:
    """Say whether a trained network is globally optimal, and how far it is from it at most and at least.

    At depth 3 and more the interval may be wide: then the verdict says how far from optimal the network is at most and at
    least, and a neuron that lowers the loss, in any layer, proves it suboptimal. Exit codes:
    0  optimal: its loss is within the gap of a proven lower bound
    1  suboptimal (proven: it exceeds the proven upper bound, or a neuron lowers its loss), or undecided
    2  the input is wrong

    Parameters
    ----------
    model
        The network: .safetensors (W1, W2, … with the bias column last, or PyTorch's names), a PyTorch state dict or
        checkpoint of Linear layers (.pt, .pth, .bin, .ckpt, .pth.tar), or .onnx (extra onnx).
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
    layers
        The names of the layers in the order in which they act, with commas: needed where a state dict leaves more than one.
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result into this folder, and without --certificate the certificate of the interval, NAME-check.cpcert, which
        the verdict then rests on.
    """
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    settings_from_options(loaded, gap=gap, time_limit=time_limit)  # says what is wrong with them
    problem = problem_of(loaded)
    if out is not None:
        prepare_folder(out)
    if improve is not None:
        prepare_folder(improve.parent, "--improve")

    from cpcert.api.networks import check as check_model
    from cpcert.networks.answers import print_neurons
    from cpcert.networks.verdict import Verdict, require_checkable

    network = read_and_say(model, problem, layers)
    require_checkable(problem, network)
    with ExitStack() as until_the_end:
        callback = None
        log = until_the_end.enter_context(tracing(trace))
        if certificate is None:
            if not trace.quiet:
                announce_compilation()
            callback = until_the_end.enter_context(watching(problem, trace, log))
        outcome = check_model(
            network, stated(loaded, problem), certificate=certificate, gap=gap, time_limit=time_limit,
            improve=improve is not None, certify=out is not None, callback=callback,
        )  # fmt: skip
    found = outcome.result
    if improve is not None and outcome.improved is not None:
        better = outcome.improved
        outcome = replace(outcome, improved=replace(better, model=improve))
        try:
            better.network.save(improve)
        except OSError as error:
            raise InputError(f"--improve: {error}") from None

    if not as_json and not trace.quiet:
        print_neurons(found, outcome.neurons)
    code = DONE if found.verdict is Verdict.OPTIMAL else NO
    return deliver(code, outcome, as_json, lambda: outcome if out is None else outcome.write(out))


def reduce(
    model: str,
    instance: str,
    /,
    *,
    keep: Literal["outputs", "covariances"] = "outputs",
    layers: str | None = None,
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
        The network: .safetensors (W1, W2, … with the bias column last, or PyTorch's names), a PyTorch state dict or
        checkpoint of Linear layers (.pt, .pth, .bin, .ckpt, .pth.tar), or .onnx (extra onnx).
    instance
        The instance file (YAML) with the data.
    keep
        What is kept: the outputs, or the covariances (K, K_sigma) of each layer, with at most N(N+1) neurons.
    layers
        The names of the layers in the order in which they act, with commas: needed where a state dict leaves more than one.
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result, the network and the log of merges into this folder.
    plot
        Draw the functions before and after (one input), into the folder of --out or the current one.
    """
    from cpcert.instance import load_instance

    loaded = load_instance(instance)
    if out is not None or plot:
        prepare_folder(out)
    problem = problem_of(loaded)
    network = read_and_say(model, problem, layers)
    if plot and problem.n0 != 1:
        raise InputError(f"--plot: draws functions of one input, and the data have {problem.n0} features; leave it out")

    from cpcert.api.networks import reduce as reduce_model

    outcome = reduce_model(network, problem, keep=keep)

    def save() -> ReductionOutcome:
        written = outcome if out is None else outcome.write(out)
        if plot:
            from cpcert.plots.figure import save_figure
            from cpcert.plots.solving import plot_reduction

            picture = plot_reduction(problem, outcome.reduction)
            save_figure(picture, (out or Path()) / f"{problem.name}-reduction.png")
        return written

    return deliver(DONE if outcome.reduction.kept else NO, outcome, as_json, save)
