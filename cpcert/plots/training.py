"""The loss of trained networks against their width, beside what is proven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cpcert.plots.figure import NEUTRAL, SMALL, look, panels, sober
from cpcert.printing import at_least, whole
from cpcert.report import describe

if TYPE_CHECKING:
    from cpcert.problem import Problem
    from cpcert.training.plateau import Curve
    from cpcert.training.sweep import Result


def plot_sweep(
    problem: Problem, results: Sequence[Result], ax: Any = None, floors: Mapping[float, float] | None = None
) -> Any:
    """Draw every network as a dot and the best of each width as a line, a colour and a line style for each λ.

    ax: the matplotlib axes to draw on. floors: proven lower bounds of the global minimum by λ, drawn beside the losses. Returns
    the figure.
    """
    figure, ((axes,),), _ = panels(ax, 1, 1, (7.5, 4.8))
    for number, lam in enumerate(dict.fromkeys(result.trial.lam for result in results)):
        chosen = [result for result in results if result.trial.lam == lam]
        style = look(number)
        axes.plot([r.trial.width for r in chosen], [r.loss for r in chosen], style["marker"], color=style["color"],
                  markersize=3.5, markeredgewidth=0, alpha=0.35, zorder=2)  # fmt: skip
        _draw_best(axes, chosen, style["color"], f"best of each width, λ = {whole(lam)}")
        if floors is not None and lam in floors:
            axes.axhline(floors[lam], color=style["color"], linewidth=1.2, linestyle=":", zorder=1,
                         label=f"floor, λ = {whole(lam)} (proven)")  # fmt: skip
    _width_axes(axes, results)
    axes.set_title(describe(problem), fontsize=SMALL, loc="left")
    axes.legend(fontsize=SMALL, frameon=False)
    return figure


# How the trainings of each kind look: their label, marker, and whether the marker is filled.
KINDS = {
    "floor": ("on the plateau", "o", True),
    "local_minimum": ("looks like a local minimum", "v", False),
    "saddle": ("looks like a saddle", "D", False),
    "unfinished": ("unfinished", "x", True),
    "not_examined": ("not examined", ".", True),
}
# A floor lower than the least loss by this factor would flatten the picture: it is a line of the legend only.
FARTHEST_FLOOR = 30.0


def plot_plateau(problem: Problem, curves: Sequence[Curve], tolerance: float, ax: Any = None) -> Any:
    """Figure 2 of Jacot et al. 2022, a colour for each λ: all trainings, the best of each width (solid) and its test loss (dashed),
    and what is proven; below, the excess of the trainings over the proven floor, or over the best of them.

    ax: two matplotlib axes, the second below the first. Returns the figure.
    """
    figure, ((above,), (below,)), new = panels(ax, 2, 1, (9.0, 7.6), sharex=True)
    # Were the floor farther off than the plateau is high, the line of the plateau would lie below it.
    tight = all(
        one.lower and one.upper is not None and one.upper - one.lower <= tolerance * one.lower for one in curves
    )
    for number, one in enumerate(curves):
        color = look(number)["color"]
        _draw_best(above, one.results, color, f"λ = {whole(one.lam)}: best of each width")
        _draw_trials(above, one, color, 0.0, 1.0)
        _draw_proven(above, one, color)
        # Dots of one plateau between those of another: lines at the same width both show.
        _draw_observed(above, one, color, (2.5 * number, (1.0, 2.5 * len(curves) - 1.0)))
        _draw_excess(below, one, color, tight)
    for axes in (above, below):
        _width_axes(axes, [result for one in curves for result in one.results])
    least = min(result.loss for one in curves for result in one.results)
    bottom, top = above.get_ylim()
    above.set_ylim(max(bottom, least / FARTHEST_FLOOR), top)
    _draw_kinds(above, curves)
    above.set_xlabel("")
    above.set_ylabel("loss")
    below.set_ylabel(f"relative excess over the {'proven floor' if tight else 'best training'}")
    for axes in (above, below):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=SMALL - 1, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    what = describe(problem).split(", lambda")[0]
    if new:
        figure.suptitle(what, fontsize=SMALL, x=0.01, ha="left")
    below.axhline(tolerance, color=NEUTRAL, linewidth=0.8, linestyle=(0, (1, 1)), zorder=1)
    below.annotate(f"plateau: within {whole(tolerance)}", (1.0, tolerance), xycoords=("axes fraction", "data"),
                   xytext=(4, 0), textcoords="offset points", fontsize=SMALL - 1, va="center", color=NEUTRAL)  # fmt: skip
    return figure


def _draw_trials(axes: Any, one: Curve, color: str, origin: float, unit: float) -> None:
    """Every training, a marker for each verdict, at (loss − origin)/unit."""
    for kind, (_, marker, filled) in KINDS.items():
        chosen = [r for r, v in zip(one.results, one.verdicts, strict=True) if v.kind == kind and r.loss > origin]
        axes.plot([r.trial.width for r in chosen], [(r.loss - origin) / unit for r in chosen], marker, color=color, zorder=4,
                  markersize=4.0, markerfacecolor=None if filled else "white", markeredgewidth=0.9, alpha=0.7)  # fmt: skip


def _draw_kinds(axes: Any, curves: Sequence[Curve]) -> None:
    """The markers in the legend, whatever their colour."""
    for kind, (label, marker, filled) in KINDS.items():
        count = sum(verdict.kind == kind for one in curves for verdict in one.verdicts)
        if count:
            axes.plot([], [], marker, color=NEUTRAL, markersize=4.0, markerfacecolor=None if filled else "white",
                      label=f"{label} ({count})")  # fmt: skip


def _draw_excess(axes: Any, one: Curve, color: str, tight: bool) -> None:
    """The relative excess of every training, and of the best of each width, over the proven lower bound or the best training."""
    from cpcert.training.sweep import best_per_width

    origin = one.lower if tight and one.lower is not None else min(result.loss for result in one.results)
    best = sorted(best_per_width(one.results), key=lambda result: result.trial.width)
    best = [result for result in best if result.loss > origin]
    unit = abs(origin)
    axes.plot(
        [r.trial.width for r in best], [(r.loss - origin) / unit for r in best], color=color, linewidth=1.2, zorder=3
    )
    _draw_trials(axes, one, color, origin, unit)
    if tight and one.upper is not None and one.upper > origin:
        axes.axhline((one.upper - origin) / unit, color=color, linewidth=1.0, linestyle=":", zorder=1,
                     label=f"λ = {whole(one.lam)}: the minimum is at most here (proven)")  # fmt: skip


def _draw_proven(axes: Any, one: Curve, color: str) -> None:
    """The floor, and the widths between which the plateau starts."""
    if one.lower:
        least = min(result.loss for result in one.results)
        far = " (below the picture)" if least > FARTHEST_FLOOR * one.lower else ""
        label = f"global minimum ≥ {at_least(one.lower, 4)} (proven){far}"
        axes.axhline(one.lower, color=color, linewidth=1.2, linestyle="-.", zorder=1, label=label)
    if one.proven is not None:
        low, high = one.proven
        axes.axvspan(low - 0.15, high + 0.15, color=color, alpha=0.13, linewidth=0, zorder=0,
                     label=f"least width on the plateau: {low}" + (f" to {high}" if high > low else "") + " (proven)")  # fmt: skip


def _draw_observed(axes: Any, one: Curve, color: str, dots: tuple[float, tuple[float, float]]) -> None:
    """The width at which the plateau was seen to start."""
    if one.observed is not None:
        axes.axvline(one.observed, color=color, linewidth=1.2, linestyle=dots, zorder=1,
                     label=f"plateau observed from {one.observed}")  # fmt: skip


def _draw_best(axes: Any, results: Sequence[Result], color: str, label: str) -> None:
    """The best of each width of one λ as a line, the test loss of that network dashed."""
    from cpcert.training.sweep import best_per_width

    best = sorted(best_per_width(results), key=lambda result: result.trial.width)
    axes.plot([r.trial.width for r in best], [r.loss for r in best], color=color, linewidth=1.7, label=label, zorder=3)
    tested = [r for r in best if r.test_loss is not None]
    if tested:
        axes.plot([r.trial.width for r in tested], [r.test_loss for r in tested], "--", color=color, linewidth=1.2,
                  label="its test loss (C on other points)", zorder=3)  # fmt: skip


def _width_axes(axes: Any, results: Sequence[Result]) -> None:
    widths = [result.trial.width for result in results]
    if max(widths) >= 50 * min(widths):
        axes.set_xscale("log")
        marks = [step * 10**k for k in range(6) for step in (1, 2, 5) if min(widths) <= step * 10**k <= max(widths)]
        axes.set_xticks(marks, [f"{mark}" for mark in marks])
        axes.set_xticks([], minor=True)
    else:
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_yscale("log")
    axes.set_xlabel("width")
    axes.set_ylabel(r"loss $\mathcal{L}_\lambda$")
    sober(axes)
