"""The picture of an outcome, whichever it is."""

from __future__ import annotations

from typing import Any

from cpcert.errors import InputError
from cpcert.formulations.forces import ForcesOutcome
from cpcert.frank_wolfe.result import SolveResult
from cpcert.networks.reduce import ReductionOutcome
from cpcert.plots.forces import plot_forces
from cpcert.plots.solving import plot_graph, plot_one_dimensional, plot_path, plot_reduction, plot_trace
from cpcert.rank.answers import GraphOutcome
from cpcert.report import PathOutcome


def plot(outcome: Any, ax: Any = None, *, function: bool = False) -> Any:
    """Draw what `solve`, `path`, `train`, `plateau`, `forces`, `reduce` or `bipartite` found; returns the matplotlib figure.

    ax: matplotlib axes to draw on, as many as the picture has panels (the error says how many), instead of a new figure. function:
    of a result of `solve` for one feature, the function and its dual curve instead of the trace. Raises InputError for an outcome
    that has no picture.
    """
    if function and not isinstance(outcome, SolveResult):
        raise InputError("function: belongs to a result of solve; leave it out")
    match outcome:
        case SolveResult():
            return plot_one_dimensional(outcome, ax) if function else plot_trace(outcome, ax)
        case PathOutcome():
            return plot_path(outcome.results, ax)
        case ReductionOutcome():
            return plot_reduction(outcome.problem, outcome.reduction, ax)
        case ForcesOutcome():
            return plot_forces(outcome.problem, outcome.layers, ax=ax)
        case GraphOutcome():
            return plot_graph(outcome.read.graph, outcome.name, ax)
    if type(outcome).__module__.startswith("cpcert.training."):  # they need torch
        from cpcert.plots.training import plot_plateau, plot_sweep
        from cpcert.training.plateau import Plateau
        from cpcert.training.sweep import Sweep

        if isinstance(outcome, Sweep):
            return plot_sweep(outcome.problem, outcome.results, ax)
        if isinstance(outcome, Plateau):
            return plot_plateau(outcome.sweep.problem, outcome.curves, outcome.tolerance, ax)
    raise InputError(
        f"outcome: is of type {type(outcome).__name__}, of which there is no picture; give what solve or path returned"
    )
