"""The loss of trained networks against their width, beside what is proven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cpcert.plots.figure import LOWER, NEUTRAL, SMALL, TEXT, UPPER, look, note, panels, sober
from cpcert.printing import whole
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


def plot_plateau(problem: Problem, curves: Sequence[Curve], tolerance: float, ax: Any = None) -> Any:
    """Figure 2 of Jacot et al. 2022, a column for each λ: all trainings, the best and its test loss, and what is proven; below,
    where a floor is proven, the relative excess over it.

    ax: matplotlib axes, one for each λ or, with a proven floor, two, those below after those above. Returns the figure.
    """
    rows = 2 if any(one.lower for one in curves) else 1
    figure, grid, new = panels(ax, rows, len(curves), (8.6 * len(curves), 4.2 * rows), sharex="col")
    for column, one in enumerate(curves):
        axes = grid[0, column]
        _draw_best(axes, one.results, LOWER, "best of each width")
        _draw_trials(axes, one, 0.0, 1.0)
        _draw_proven(axes, one)
        axes.set_title(f"λ = {whole(one.lam)}", fontsize=TEXT, loc="left")
        axes.legend(fontsize=SMALL - 1, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        _width_axes(axes, one.results)
        if rows == 2:
            axes.set_xlabel("")
            _draw_excess(grid[1, column], one)
    floor = "the floor" if rows == 2 else "the best loss"
    what = describe(problem).split(", lambda")[0]
    if new:
        figure.suptitle(f"{what}; plateau: within {whole(tolerance)} of {floor}", fontsize=SMALL, x=0.01, ha="left")
    return figure


def _draw_trials(axes: Any, one: Curve, origin: float, unit: float) -> None:
    """Every training, a marker for each verdict, at (loss − origin)/unit."""
    for kind, (label, marker, filled) in KINDS.items():
        chosen = [r for r, v in zip(one.results, one.verdicts, strict=True) if v.kind == kind]
        if chosen:
            axes.plot([r.trial.width for r in chosen], [(r.loss - origin) / unit for r in chosen], marker, color=NEUTRAL,
                      zorder=4, markersize=4.5, markerfacecolor=None if filled else "white", markeredgewidth=1.0,
                      alpha=0.7, label=f"{label} ({len(chosen)})")  # fmt: skip


def _draw_excess(axes: Any, one: Curve) -> None:
    """The excess of every training over the proven lower bound, at most this far above the minimum."""
    if not one.lower:
        note(axes, "no proven floor")
        return
    unit = abs(one.lower)
    _draw_trials(axes, one, one.lower, unit)
    if one.upper is not None and one.upper > one.lower:
        axes.axhspan(1e-16, (one.upper - one.lower) / unit, color=UPPER, alpha=0.3, linewidth=0, zorder=1)
    axes.axhline((one.target - one.lower) / unit, color=UPPER, linewidth=1.0, linestyle="--", zorder=1)
    _width_axes(axes, one.results)
    least = min(result.loss for result in one.results)
    axes.set_ylim(bottom=max(0.3 * (least - one.lower) / unit, 1e-12))
    axes.set_ylabel("relative excess over the floor")


def _draw_proven(axes: Any, one: Curve) -> None:
    """The floor, and where the plateau starts."""
    if one.lower is not None and one.upper is not None:
        axes.axhspan(one.lower, one.upper, color=UPPER, alpha=0.3, linewidth=0, zorder=1)
        axes.axhline(one.lower, color=UPPER, linewidth=1.2, label="floor (proven)", zorder=1)
    if one.proven is not None:
        low, high = one.proven
        axes.axvspan(low - 0.15, high + 0.15, color=UPPER, alpha=0.13, linewidth=0, zorder=0,
                     label=f"least width on the plateau: {low}" + (f" to {high}" if high > low else "") + " (proven)")  # fmt: skip
    if one.observed is not None:
        axes.axvline(one.observed, color=LOWER, linewidth=1.0, linestyle=":", zorder=1,
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
    axes.set_yscale("log")
    axes.set_xlabel("width")
    axes.set_ylabel(r"loss $\mathcal{L}_\lambda$")
    sober(axes)
