"""The loss of trained networks against their width, beside what is proven."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cpcert.plots import OUTPUTS, SMALL, _figure, _save, _sober
from cpcert.report import describe

if TYPE_CHECKING:
    from cpcert.problem import Problem
    from cpcert.training.sweep import Result


def plot_sweep(problem: Problem, results: Sequence[Result], path: str | os.PathLike[str]) -> None:
    """Draw every network as a dot and the best of each width as a line, a colour for each λ.

    `path` ends in .png (or .pdf, .svg). Raises OSError when the file cannot be written.
    """
    figure = _figure(7.5, 4.8)
    axes = figure.subplots()
    for number, lam in enumerate(dict.fromkeys(result.trial.lam for result in results)):
        chosen = [result for result in results if result.trial.lam == lam]
        draw_losses(axes, chosen, OUTPUTS[number % len(OUTPUTS)], f"best, λ = {lam:g}")
    _width_axes(axes, results)
    axes.set_title(describe(problem), fontsize=SMALL, loc="left")
    axes.legend(fontsize=SMALL, frameon=False)
    _save(figure, path)


def draw_losses(axes: Any, results: Sequence[Result], color: str, label: str) -> None:
    """All networks of one λ as dots, the best of each width as a line, the test loss of that one dashed."""
    from cpcert.training.sweep import best_per_width

    best = best_per_width(results)
    axes.plot([r.trial.width for r in results], [r.loss for r in results], "o", color=color, markersize=3.5,
              markeredgewidth=0, alpha=0.35, zorder=2)  # fmt: skip
    axes.plot([r.trial.width for r in best], [r.loss for r in best], color=color, linewidth=1.7, label=label, zorder=3)
    tested = [r for r in best if r.test_loss is not None]
    if tested:
        axes.plot([r.trial.width for r in tested], [r.test_loss for r in tested], "--", color=color, linewidth=1.2,
                  label="C of the best on held-out points", zorder=3)  # fmt: skip


def _width_axes(axes: Any, results: Sequence[Result]) -> None:
    widths = [result.trial.width for result in results]
    if max(widths) >= 50 * min(widths):
        axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("width")
    axes.set_ylabel(r"loss $\mathcal{L}_\lambda$")
    _sober(axes)
