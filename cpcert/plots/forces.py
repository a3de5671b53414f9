"""Figure 1 of the paper: the hidden representations as points and as neurons, with the two forces and the rays.

For each hidden layer, left the data points (columns of Z_ℓ) and right the neurons (its rows), each in the plane of
their two leading principal components. Points are centred first; neurons are not, because neurons of one ray differ by
a factor and a ray starts at 0. Arrows are the forces, minus the gradients of forces.py, projected on the same plane;
both forces of a panel have one scale, so they can be compared.

matplotlib is imported when a picture is drawn, and only its Agg canvas.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cpcert.formulations.forces import LayerForces
from cpcert.plots.figure import GRID, MARKERS, NEUTRAL, SMALL, TEXT, panels

if TYPE_CHECKING:
    from cpcert.problem import Problem

# Colours of Okabe and Ito (2008), which do not depend on red against green; classes differ by their markers as well.
ATTRACTION, REPULSION, RAY = "#0072b2", "#d55e00", "#a8a8a8"
CLASSES = ("#009e73", "#cc79a7", "#f0e442", "#56b4e9", "#000000", "#e69f00")
# The longest arrow of a panel, as a share of its width.
LONGEST_ARROW = 0.16
FRAMES_PER_SECOND = 6
FEW_RAYS = 15
ANIMATION_DOTS_PER_INCH = 70
Window = tuple[float, float, float]
Windows = tuple[Window, Window]


@dataclass(frozen=True, eq=False)
class Plane:
    """An origin (d,) and two orthonormal axes (2, d)."""

    origin: np.ndarray
    axes: np.ndarray

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Coordinates (k, 2) of the rows (k, d)."""
        return (rows - self.origin) @ self.axes.T

    def directions(self, rows: np.ndarray) -> np.ndarray:
        """Coordinates (k, 2) of vectors (k, d), which do not move with the origin."""
        return rows @ self.axes.T


def principal_plane(rows: np.ndarray, centred: bool) -> Plane:
    """The plane of the two leading principal components of the rows (k, d), through their mean or through 0.

    The axes point to where the rows' sum of cubes is positive: an SVD gives them only up to sign.
    """
    origin = rows.mean(axis=0) if centred and len(rows) else np.zeros(rows.shape[1])
    _, _, Vt = np.linalg.svd(rows - origin, full_matrices=False)
    axes = np.zeros((2, rows.shape[1]))
    axes[: len(Vt)] = Vt[:2]
    skew = np.sum(((rows - origin) @ axes.T) ** 3, axis=0)
    return Plane(origin, axes * np.where(skew < 0.0, -1.0, 1.0)[:, np.newaxis])


def plot_forces(problem: Problem, layers: Sequence[LayerForces], classes: Sequence[str] = (), ax: Any = None) -> Any:
    """Draw every hidden layer. classes: names of the classes, in the order of the outputs.

    ax: two matplotlib axes for each layer. Returns the figure.
    """
    planes = [_planes(layer) for layer in layers]
    windows = _windows([layers], planes)
    figure, grid, new = panels(ax, len(layers), 2, _size(len(layers)))
    if new:
        _surround(figure, problem, classes)
    _draw(grid, problem, layers, planes, windows)
    return figure


def animate_forces(
    problem: Problem,
    frames: Sequence[tuple[str, Sequence[LayerForces]]],
    path: str | os.PathLike[str],
    classes: Sequence[str] = (),
) -> None:
    """A GIF of the same picture, one frame for each (title, layers), in the planes and the ranges of the last frame.

    Raises OSError when the file cannot be written.
    """
    from matplotlib.animation import PillowWriter

    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.gif")
    last = frames[-1][1]
    planes = [_planes(layer) for layer in last]
    windows = _windows([layers for _, layers in frames], planes)
    figure, grid, _ = panels(None, len(last), 2, _size(len(last)))
    _surround(figure, problem, classes)
    name = figure.get_suptitle()
    writer = PillowWriter(fps=FRAMES_PER_SECOND)
    try:
        with writer.saving(figure, temporary, dpi=ANIMATION_DOTS_PER_INCH):
            for title, layers in frames:
                for axes in grid.flat:
                    axes.clear()
                figure.suptitle(name + title, fontsize=TEXT + 1, x=0.01, ha="left")
                _draw(grid, problem, layers, planes, windows)
                writer.grab_frame()
                # The first frame has placed the panels; to do so again would only cost time and make them jump.
                figure.set_layout_engine("none")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _planes(layer: LayerForces) -> tuple[Plane, Plane]:
    """The planes of the points and of the neurons."""
    return principal_plane(layer.Z.T, centred=True), principal_plane(layer.Z, centred=False)


def _windows(history: Sequence[Sequence[LayerForces]], planes: Sequence[tuple[Plane, Plane]]) -> list[Windows]:
    """For every layer the squares that hold the points and the neurons of all of the history."""
    return [
        (
            _window(np.concatenate([points.places(layers[i].Z.T) for layers in history])),
            _window(np.concatenate([neurons.places(layers[i].Z) for layers in history] + [np.zeros((1, 2))])),
        )
        for i, (points, neurons) in enumerate(planes)
    ]


def _size(layers: int) -> tuple[float, float]:
    return 12.4, 0.6 + 4.8 * layers


def _surround(figure: Any, problem: Problem, classes: Sequence[str]) -> None:
    """The title and the legend of the figure."""
    title = f"{problem.name}: {problem.N} points, depth {problem.depth}"
    figure.suptitle(title, fontsize=TEXT + 1, x=0.01, ha="left")
    handles = [
        *(_marker(CLASSES[k], name, MARKERS[k]) for k, name in enumerate(_classes(problem, classes)[1])),
        _marker(NEUTRAL, "neuron", "X"),
        _line(ATTRACTION, "attraction"),
        _line(REPULSION, "repulsion"),
        _line(RAY, "ray of aligned neurons"),
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=SMALL, frameon=False)


def _draw(
    grid: np.ndarray,
    problem: Problem,
    layers: Sequence[LayerForces],
    planes: Sequence[tuple[Plane, Plane]],
    windows: Sequence[Windows],
) -> None:
    labels, _ = _classes(problem, ())
    for layer, (points, neurons), window, (left, right) in zip(layers, planes, windows, grid, strict=True):
        _draw_points(left, layer, points, labels, window[0])
        _draw_neurons(right, layer, neurons, window[1])


def _draw_points(axes: Any, layer: LayerForces, plane: Plane, labels: np.ndarray, window: Window) -> None:
    places = plane.places(layer.Z.T)
    forces = [plane.directions(-force.T) for force in (layer.attraction, layer.repulsion)]
    _frame(axes, window)
    _arrows(axes, places, forces, window[2])
    for k in range(int(labels.max()) + 1):
        x, y = places[labels == k].T
        axes.scatter(x, y, s=34, marker=MARKERS[k], c=CLASSES[k], edgecolors=NEUTRAL, linewidths=0.5, zorder=4)
    axes.set_title(f"layer {layer.layer}: points, columns of $Z_{layer.layer}$", fontsize=TEXT, loc="left")


def _draw_neurons(axes: Any, layer: LayerForces, plane: Plane, window: Window) -> None:
    places = plane.places(layer.Z)
    forces = [plane.directions(-force) for force in (layer.attraction, layer.repulsion)]
    _frame(axes, window)
    # Many rays are early ones, of neurons that have not found each other yet: thin lines do not bury the rest.
    width = 1.4 if len(layer.rays) <= FEW_RAYS else 0.5
    for ray in layer.rays:
        end = plane.directions(ray.direction[np.newaxis])[0]
        end *= 6.0 * window[2] / max(float(np.linalg.norm(end)), 1e-300)
        axes.plot([0.0, end[0]], [0.0, end[1]], color=RAY, linewidth=width, zorder=1, scalex=False, scaley=False)
    _arrows(axes, places, forces, window[2])
    axes.scatter(places[:, 0], places[:, 1], s=30, marker="X", c=NEUTRAL, edgecolors="white", linewidths=0.5, zorder=4)
    axes.plot(0.0, 0.0, "+", color=NEUTRAL, markersize=9, zorder=5)
    rays = len(layer.rays)
    axes.set_title(
        f"{len(layer.Z)} neurons, rows of $Z_{layer.layer}$, on {rays} {'ray' if rays == 1 else 'rays'}",
        fontsize=TEXT,
        loc="left",
    )


def _window(places: np.ndarray) -> Window:
    """The square (x, y, half its width) around the places (k, 2), with a margin for the arrows."""
    low, high = places.min(axis=0), places.max(axis=0)
    half = 0.5 * float((high - low).max()) * (1.0 + 3.0 * LONGEST_ARROW)
    x, y = (0.5 * (low + high)).tolist()
    return x, y, half or 1.0


def _frame(axes: Any, window: Window) -> None:
    x, y, half = window
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y - half, y + half)
    axes.set_aspect("equal")
    axes.set_xlabel("first principal component", fontsize=SMALL)
    axes.set_ylabel("second principal component", fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    axes.grid(color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _arrows(axes: Any, places: np.ndarray, forces: Sequence[np.ndarray], half: float) -> None:
    longest = max(float(np.linalg.norm(force, axis=1).max(initial=0.0)) for force in forces)
    if longest == 0.0:
        return
    scale = longest / (LONGEST_ARROW * 2.0 * half)
    for force, color in zip(forces, (ATTRACTION, REPULSION), strict=True):
        axes.quiver(
            places[:, 0], places[:, 1], force[:, 0], force[:, 1],
            color=color, angles="xy", scale_units="xy", scale=scale, width=0.0042, headwidth=4.5, alpha=0.8, zorder=3,
        )  # fmt: skip


def _classes(problem: Problem, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The class of each point (N,), and what the classes are called; where Y encodes none, all points are of one."""
    Y = problem.Y
    if problem.m > 1 and problem.m <= len(CLASSES):
        labels = Y.argmax(axis=1)
    elif problem.m == 1 and set(np.unique(Y)) <= {-1.0, 1.0}:
        labels = (Y[:, 0] > 0.0).astype(int)
    else:
        return np.zeros(problem.N, int), ["point"]
    count = int(labels.max()) + 1
    return labels, list(names) if len(names) >= count else [f"class {k + 1}" for k in range(count)]


def _marker(color: str, label: str, marker: str = "o") -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, marker=marker, linestyle="none", markersize=6, label=label)


def _line(color: str, label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, linewidth=1.8, label=label)
