"""What all pictures share: colours, sizes, axes, and files that appear complete or not at all.

matplotlib is imported when a picture is drawn, and only its Agg canvas: no window, no pyplot, no global state.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from cpcert.errors import InputError

UPPER, LOWER, NEUTRAL, GRID = "#b5482a", "#1f5a94", "#3d3d3d", "#dddddd"
OUTPUTS = ("#1f5a94", "#b5482a", "#3f7f4c", "#7a5195", "#8a6d1d", "#4f8a8b")
# With the colours, so that no two outputs differ by colour alone.
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1)), (0, (1, 1)))
TEXT, SMALL = 10.0, 9.0
DOTS_PER_INCH = 150


def new_figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def panels(ax: Any, rows: int, columns: int, size: tuple[float, float], **shape: Any) -> tuple[Any, np.ndarray, bool]:
    """(figure, axes (rows, columns), whether the figure is new): the axes in `ax`, or those of a new figure of this size.

    ax: one Axes, or as many as the picture has panels, in any nesting, row by row. Raises InputError for another number.
    """
    if ax is None:
        figure = new_figure(*size)
        return figure, figure.subplots(rows, columns, squeeze=False, **shape), True
    given = np.array(ax, dtype=object).ravel()
    if len(given) != rows * columns or not all(hasattr(one, "plot") for one in given):
        raise InputError(
            f"ax: the picture has {rows * columns} panels; give as many matplotlib axes, pyplot.subplots({rows}, {columns})[1]"
        )
    return given[0].figure, given.reshape(rows, columns), False


def sober(axes: Any) -> None:
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(TEXT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def look(j: int) -> dict[str, Any]:
    """Colour, line and marker of output j."""
    k = j % len(OUTPUTS)
    return {"color": OUTPUTS[k], "linestyle": STYLES[k], "marker": MARKERS[k]}


def note(axes: Any, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=TEXT, color=NEUTRAL)


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """The file appears complete or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        figure.savefig(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
