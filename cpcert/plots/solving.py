"""Pictures of a result: the proven interval against time, and for one feature the function beside its dual curve.

With one feature and biases, neurons are angles: w(θ) = (cos θ, sin θ) in the plane of (x, β). A dual point G with
γ(G) ≤ 2λ is a curve θ ↦ ‖Gσ(X̃ᵀw(θ))‖₂ below 2λ, and the neurons of an optimal network lie where it touches 2λ
(complementary slackness). The neuron w = (w_x, w_b) bends the function at x = −βw_b/w_x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from cpcert.activations import Activation
from cpcert.errors import InputError
from cpcert.plots.figure import (
    GRID,
    LOWER,
    NEUTRAL,
    OUTPUTS,
    SMALL,
    TEXT,
    UPPER,
    look,
    note,
    panels,
    sober,
)
from cpcert.printing import about, enclosure, whole
from cpcert.report import describe
from cpcert.status import Status

if TYPE_CHECKING:
    from cpcert.frank_wolfe.result import SolveResult
    from cpcert.network import Network
    from cpcert.networks.reduce import Reduction
    from cpcert.problem import Problem

ANGLES = 1440
# Gaps below this are drawn there: a proven gap of 0 has no logarithm.
SMALLEST_GAP = 1e-16


# -- what is drawn, as numbers ---------------------------------------------------------------------------------------


def dual_curve(X_tilde: np.ndarray, G: np.ndarray, activation: Activation, directions: np.ndarray) -> np.ndarray:
    """‖Gσ(X̃ᵀw)‖₂ for each row w of `directions` (k, n): (k,). X_tilde (n, N), G (m, N). Floating point, no bound."""
    return np.linalg.norm(activation(directions @ X_tilde) @ G.T, axis=1)


def kinks(network: Network) -> np.ndarray:
    """The inputs x where a depth-2 network of one feature bends, sorted: x = −βw_b/w_x for each neuron with w_x ≠ 0.

    Empty for a linear network.
    """
    if network.activation.kink == 0.0:
        return np.zeros(0)
    W, _, _ = network.neurons()
    W = W[W[:, 0] != 0.0]
    if network.beta == 0.0:
        return np.zeros(min(len(W), 1))
    return np.sort(-network.beta * W[:, 1] / W[:, 0])


def _angles(problem: Problem) -> np.ndarray:
    """Angles enough for a smooth curve, among them those where a point changes sign: the curve bends there."""
    even = np.linspace(0.0, 2.0 * math.pi, ANGLES + 1)
    zeros = np.arctan2(problem.beta, problem.X[:, 0]) + 0.5 * math.pi
    return np.sort(np.concatenate([even, zeros % (2.0 * math.pi), (zeros + math.pi) % (2.0 * math.pi)]))


# -- the trace -------------------------------------------------------------------------------------------------------


def plot_trace(result: SolveResult, ax: Any = None) -> Any:
    """Draw the proven bounds against the seconds, and below them the relative gap on a logarithmic axis; returns the figure.

    ax: two matplotlib axes to draw on instead of a new figure.
    """
    figure, ((bounds,), (gaps,)), _ = panels(ax, 2, 1, (7.5, 5.6), sharex=True, height_ratios=[3, 2])
    seconds = np.array([record.seconds for record in result.trace])
    upper, lower, gap = (
        np.array([math.nan if getattr(r, key) is None else getattr(r, key) for r in result.trace])
        for key in ("upper", "lower", "gap")
    )
    if len(seconds) and result.seconds > seconds[-1]:  # what the run proved after its last record
        last = (math.nan if value is None else value for value in (result.upper, result.lower, result.gap))
        seconds = np.append(seconds, result.seconds)
        upper, lower, gap = (np.append(column, value) for column, value in zip((upper, lower, gap), last, strict=True))
    dot: dict[str, Any] = {"where": "post", "marker": "o", "markersize": 3.5, "linewidth": 1.6}
    bounds.fill_between(seconds, lower, upper, step="post", color=GRID, alpha=0.6, linewidth=0)
    bounds.step(seconds, upper, color=UPPER, label="upper: a network attains it", **dot)
    bounds.step(seconds, lower, color=LOWER, label="lower: proven for every width", **dot)
    _bound_axis(bounds, upper, lower)
    bounds.set_ylabel("representation cost" if result.problem.loss.is_constraint else "loss")
    bounds.legend(fontsize=SMALL, frameon=False, loc="best")
    bounds.set_title(_interval_title(result), fontsize=TEXT + 1, loc="left")
    known = np.maximum(gap[np.isfinite(gap)], SMALLEST_GAP)
    if len(known):
        gaps.step(seconds, np.maximum(gap, SMALLEST_GAP), color=NEUTRAL, **dot)
        gaps.set_yscale("log")
        gaps.set_ylim(known.min() / 5.0, max(known.max() * 3.0, 100.0 * known.min()))
    else:
        note(gaps, "no gap was proven")
        gaps.set_yticks([])
    gaps.set_ylabel("absolute gap" if result.upper == 0.0 else "relative gap")
    gaps.set_xlabel("seconds")
    gaps.set_xlim(0.0, 1.03 * max(result.seconds, 1e-3))
    for axes in (bounds, gaps):
        sober(axes)
    return figure


def _bound_axis(axes: Any, upper: np.ndarray, lower: np.ndarray) -> None:
    """A range that shows where the bounds meet: early lower bounds may be far away, early upper bounds far above."""
    finite_upper, finite_lower = upper[np.isfinite(upper)], lower[np.isfinite(lower)]
    if not len(finite_upper):
        note(axes, "no network was found")
        axes.set_yticks([])
        return
    top, end = finite_upper.max(), finite_upper.min()
    if end > 0.0 and top > 20.0 * end:
        axes.set_yscale("log")
        lowest = finite_lower[finite_lower > 0.0].min(initial=end)
        axes.set_ylim(max(lowest, 0.01 * end) / 1.5, top * 1.5)
    elif top > 0.0:
        bottom = max(finite_lower.min(initial=end), min(0.0, finite_lower.max(initial=0.0)))
        margin = 0.06 * max(top - bottom, 0.1 * top)
        axes.set_ylim(bottom - margin, top + margin)
        axes.ticklabel_format(axis="y", useOffset=False)


def _interval_title(result: SolveResult) -> str:
    name = result.problem.name
    if result.status == Status.INFEASIBLE:
        return f"{name}: no network fits these targets (proven)"
    where = enclosure(result.lower, result.upper)
    return f"{name}: nothing proven" if where is None else f"{name}: global minimum {where}"


# -- one feature -----------------------------------------------------------------------------------------------------


def plot_one_dimensional(result: SolveResult, ax: Any = None) -> Any:
    """Left the function with the data and its kinks, right the dual curve that touches 2λ at the neurons.

    The curve is that of the dual point whose bound was proven. For several outputs the left side has one function each.
    ax: two matplotlib axes. Returns the figure. Raises InputError for data of more than one feature.
    """
    if result.problem.n0 != 1:
        raise InputError(f"plot_one_dimensional: the data have {result.problem.n0} features; use plot_trace")
    figure, ((function, dual),), new = panels(ax, 1, 2, (11.0, 4.8))
    if new:
        what = describe(result.problem).removeprefix(result.problem.name + ": ")
        figure.suptitle(f"{_interval_title(result)}\n{what}", fontsize=TEXT, x=0.01, ha="left")
    _draw_function(function, result)
    _draw_dual(dual, result)
    for axes in (function, dual):
        sober(axes)
    return figure


def _draw_function(axes: Any, result: SolveResult) -> None:
    problem, network = result.problem, result.network
    x, (left, right) = problem.X[:, 0], _range(problem)
    names = _output_names(problem)
    if network is not None:
        bends = kinks(network)
        inside = bends[(bends >= left) & (bends <= right)]
        grid = np.sort(np.concatenate([np.linspace(left, right, 401), inside]))
        values, at_bends = (network.outputs(points[:, np.newaxis]) for points in (grid, inside))
        for j in range(problem.m):
            style = look(j) | {"marker": None}
            axes.plot(grid, values[:, j], linewidth=1.8, label=f"network{names[j]}", zorder=3, **style)
            axes.plot(inside, at_bends[:, j], "D", color="white", markeredgecolor=NEUTRAL, markersize=5.5,
                      markeredgewidth=1.2, label="cusps" if j == problem.m - 1 and len(inside) else None, zorder=4)  # fmt: skip
    else:
        note(axes, "no network was found")
    classes = _classes(problem)
    if classes is None:
        for j in range(problem.m):
            style = look(j) | {"linestyle": "none"}
            style |= {} if problem.m > 1 else {"color": "#8a8a8a"}
            axes.plot(
                x,
                problem.Y[:, j],
                markersize=4.5,
                markeredgewidth=0,
                alpha=0.75,
                label=f"data{names[j]}",
                zorder=2,
                **style,
            )
    else:
        _draw_classes(axes, x, classes, _class_names(problem, int(classes.max()) + 1))
    axes.set_xlim(left, right)
    axes.set_xlabel(_feature_name(problem))
    axes.set_ylabel(problem.loss.output_name)
    axes.set_title("the fitted function", fontsize=TEXT, loc="left")
    axes.legend(fontsize=SMALL, frameon=False, loc="best")


def _draw_classes(axes: Any, x: np.ndarray, classes: np.ndarray, names: Sequence[str]) -> None:
    """Points whose targets are classes, which are no values on the axis of the outputs: a row of marks for each, below."""
    low, high = axes.get_ylim()
    step = 0.05 * (high - low)
    for k, name in enumerate(names):
        these = classes == k
        axes.plot(x[these], np.full(these.sum(), low - (len(names) - k) * step), "|", color=look(k)["color"], markersize=7,
                  markeredgewidth=1.2, zorder=2)  # fmt: skip
        axes.annotate(name, (1.0, low - (len(names) - k) * step), xycoords=("axes fraction", "data"), fontsize=SMALL - 1.0,
                      color=look(k)["color"], ha="right", va="center", zorder=5,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    axes.axhline(low - 0.4 * step, color=GRID, linewidth=0.8)
    axes.set_ylim(low - (len(names) + 0.8) * step, high)


def _classes(problem: Problem) -> np.ndarray | None:
    """The class (N,) of each point, if the targets are classes with certainty."""
    Y = problem.Y
    if problem.loss.output_name != "logit":
        return None
    if problem.m == 1:
        return (Y[:, 0] > 0.0).astype(int)
    return Y.argmax(axis=1) if bool(np.all((Y > 0.0).sum(axis=1) == 1)) else None


def _class_names(problem: Problem, count: int) -> list[str]:
    given = problem.columns.classes if problem.columns is not None else None
    if given is not None and len(given) >= count:
        return list(given)
    return ["−1", "+1"] if problem.m == 1 else [f"class {k + 1}" for k in range(count)]


def _output_names(problem: Problem) -> list[str]:
    """What is added to a label of each output: nothing if there is one."""
    if problem.m == 1:
        return [""]
    if _classes(problem) is not None:
        return [f", {name}" for name in _class_names(problem, problem.m)]
    targets = problem.columns.targets if problem.columns is not None else ()
    if len(targets) == problem.m:
        return [f", {name}" for name in targets]
    return [f", output {j + 1}" for j in range(problem.m)]


def _feature_name(problem: Problem) -> str:
    features = problem.columns.features if problem.columns is not None else ()
    return features[0] if len(features) == 1 else "x"


def _draw_dual(axes: Any, result: SolveResult) -> None:
    problem = result.problem
    axes.set_title("the dual curve and the neurons of the network", fontsize=TEXT, loc="left")
    limit = 2.0 * problem.lam
    axes.axhline(limit, color=UPPER, linestyle="--", linewidth=1.2, label=rf"$2\lambda$ = {whole(limit)}", zorder=1)
    axes.set_ylabel(r"$\|G\,\sigma(\tilde{X}^{\top} w)\|$")
    axes.set_ylim(0.0, 1.3 * limit)
    if result.dual is None:
        note(axes, "no dual point was proven")
        axes.set_xticks([])
        axes.legend(fontsize=SMALL, frameon=False, loc="upper right")
        return
    G = result.dual.dual_scale * result.dual.G
    neurons = np.zeros((0, problem.n))
    V = np.zeros((problem.m, 0))
    if result.network is not None:
        neurons, V, _ = result.network.neurons()
    heights = dual_curve(problem.X_tilde, G, problem.activation, neurons)
    if problem.beta == 0.0:
        # The unit sphere is two points: no curve.
        both = np.array([[-1.0], [1.0]])
        axes.vlines(both[:, 0], 0.0, dual_curve(problem.X_tilde, G, problem.activation, both), color=LOWER, linewidth=3)
        axes.set_xticks([-1, 1], ["$w = -1$", "$w = 1$"])
        axes.set_xlim(-2.0, 2.0)
        places = neurons[:, 0]
    else:
        angles = _angles(problem)
        plane = np.column_stack([np.cos(angles), np.sin(angles)])
        axes.plot(angles / math.pi, dual_curve(problem.X_tilde, G, problem.activation, plane), color=LOWER,
                  linewidth=1.6, label=r"$w = (\cos\theta, \sin\theta)$", zorder=2)  # fmt: skip
        axes.set_xlim(0.0, 2.0)
        axes.set_xticks([0, 0.5, 1, 1.5, 2], ["0", "π/2", "π", "3π/2", "2π"])
        axes.set_xlabel(r"$\theta$, the direction of a neuron in the plane of $(x, \beta)$")
        places = np.arctan2(neurons[:, 1], neurons[:, 0]) % (2.0 * math.pi) / math.pi
    ring: dict[str, Any] = {"markersize": 6.5, "markeredgewidth": 1.3, "markeredgecolor": NEUTRAL, "zorder": 4}
    if problem.m == 1:
        for sign, face, label in ((1.0, NEUTRAL, "neurons, $v > 0$"), (-1.0, "white", "neurons, $v < 0$")):
            these = sign * V[0] > 0.0
            if these.any():
                axes.plot(places[these], heights[these], "o", markerfacecolor=face, label=label, **ring)
    elif len(places):
        axes.plot(places, heights, "o", markerfacecolor="white", label="neurons", **ring)
    # Above the line there is room: nothing is drawn there.
    axes.legend(fontsize=SMALL, frameon=False, loc="upper center", ncols=2, columnspacing=2.0)


# -- reductions and paths --------------------------------------------------------------------------------------------


def plot_reduction(problem: Problem, reduction: Reduction, ax: Any = None) -> Any:
    """The function of a network of one feature before and after each stage of its reduction, with its cusps.

    Between the data the functions may differ, at the data they do not. ax: one matplotlib axes for each network. Returns
    the figure. Raises InputError for data of more than one feature.
    """
    if problem.n0 != 1:
        raise InputError(f"plot_reduction: the data have {problem.n0} features; it draws functions of one")
    titles = ["before", *(stage.argument.split(":")[0] for stage in reduction.stages)]
    figure, (row,), new = panels(ax, 1, len(titles), (4.6 * len(titles), 4.4), sharey=True)
    if new:
        kept = "same outputs on the data" if reduction.kept else "outputs or norm have changed"
        figure.suptitle(f"{problem.name}: {kept} (in floating point)", fontsize=TEXT, x=0.01, ha="left")
    left, right = _range(problem)
    for axes, network, title in zip(row, reduction.networks, titles, strict=True):
        bends = kinks(network)
        inside = bends[(bends >= left) & (bends <= right)]
        grid = np.sort(np.concatenate([np.linspace(left, right, 401), inside]))
        values, at_data = network.outputs(grid[:, np.newaxis]), network.outputs(problem.X)
        for j in range(problem.m):
            style = look(j)
            axes.plot(grid, values[:, j], linewidth=1.6, zorder=2, **(style | {"marker": None}))
            axes.plot(problem.X[:, 0], at_data[:, j], style["marker"], color=NEUTRAL, markersize=4.5, zorder=3)
        for bend in inside:
            axes.axvline(bend, ymax=0.04, color=UPPER, linewidth=0.8, zorder=4)
        neurons = "neuron" if network.width == 1 else "neurons"
        line = f"{network.width} {neurons}, squared norm about {about(network.norm_squared())}"
        axes.set_title(f"{title}\n{line}", fontsize=TEXT, loc="left")
        axes.set_xlim(left, right)
        axes.set_xlabel("x (ticks: cusps)")
        sober(axes)
    row[0].set_ylabel("output")
    return figure


def plot_path(results: Sequence[SolveResult], ax: Any = None) -> Any:
    """The λ-path: the functions (one feature), the widths, and the proven bounds with their gaps.

    ax: two matplotlib axes, three for one feature. Returns the figure.
    """
    problem = results[0].problem
    figure, (row,), new = panels(ax, 1, 3 if problem.n0 == 1 else 2, (14.5 if problem.n0 == 1 else 8.6, 4.6))
    if new:
        figure.suptitle(f"{problem.name}: {len(results)} values of λ", fontsize=TEXT, x=0.01, ha="left")
    from matplotlib import colormaps

    colors = colormaps["viridis"](np.linspace(0.0, 0.92, len(results)))
    if problem.n0 == 1:
        axes = row[0]
        left, right = _range(problem)
        axes.plot(problem.X[:, 0], problem.Y[:, 0], "o", color="#8a8a8a", markersize=4.0, markeredgewidth=0,
                  alpha=0.7, zorder=4)  # fmt: skip
        for result, color in zip(results, colors, strict=True):
            if result.network is not None:
                bends = kinks(result.network)
                grid = np.sort(np.concatenate([np.linspace(left, right, 401), bends[(bends > left) & (bends < right)]]))
                axes.plot(grid, result.network.outputs(grid[:, np.newaxis])[:, 0], color=color, linewidth=1.5,
                          label=f"{about(result.problem.lam, 2)}: {result.width}")  # fmt: skip
        axes.set_xlabel("x")
        axes.set_ylabel("output" if problem.m == 1 else "output 1")
        axes.set_title("the function", fontsize=TEXT, loc="left")
        axes.legend(title="λ (about): neurons", title_fontsize=SMALL, fontsize=SMALL - 1.0, frameon=False,
                    loc="upper left", bbox_to_anchor=(1.0, 1.0))  # fmt: skip
    bounds, gaps = row[-2:]
    lams = np.array([result.problem.lam for result in results])
    values = {
        key: np.array([math.nan if getattr(r, key) is None else getattr(r, key) for r in results], float)
        for key in ("upper", "lower", "gap", "width")
    }
    bounds.plot(lams, values["upper"], "o-", color=UPPER, markersize=4.0, label="upper: a network attains it")
    bounds.plot(lams, values["lower"], "s--", color=LOWER, markersize=3.0, label="lower: proven for every width")
    bounds.set_ylabel("loss")
    if values["upper"][np.isfinite(values["upper"])].min(initial=1.0) > 0.0:
        bounds.set_yscale("log")
    bounds.set_title("the proven bounds", fontsize=TEXT, loc="left")
    bounds.legend(fontsize=SMALL, frameon=False)
    gaps.plot(lams, np.maximum(values["gap"], SMALLEST_GAP), "o-", color=NEUTRAL, markersize=4.0)
    asked = max(max(result.requested_gap for result in results), SMALLEST_GAP)
    gaps.axhline(asked, color=NEUTRAL, linewidth=1.0, linestyle="--")
    gaps.set_yscale("log")
    # Gaps a little below the one asked for all say the same: an axis that shows them apart would show noise.
    known = np.maximum(values["gap"][np.isfinite(values["gap"])], SMALLEST_GAP)
    gaps.set_ylim(min(known.min(initial=asked), asked) / 10.0, max(known.max(initial=asked), asked) * 100.0)
    gaps.set_ylabel("proven relative gap")
    widths = gaps.twinx()
    widths.plot(lams, values["width"], "D-", color=OUTPUTS[2], markersize=4.0)
    widths.set_ylabel("neurons of the network", color=OUTPUTS[2], fontsize=TEXT)
    widths.set_ylim(bottom=0.0)
    widths.yaxis.get_major_locator().set_params(integer=True)
    widths.tick_params(labelsize=SMALL)
    gaps.set_title(f"gap (dashed: {about(asked, 2)} was asked for) and width", fontsize=TEXT, loc="left")
    for axes in (bounds, gaps):
        axes.set_xscale("log")
        axes.set_xlabel("λ")
    for axes in row:
        sober(axes)
    return figure


def plot_graph(graph: Any, name: str, ax: Any = None) -> Any:
    """Draw a graph (networkx), and beside it the atoms e_i + e_j of EᵀE, one row for each edge.

    ax: two matplotlib axes. Returns the figure.
    """

    figure, ((picture, atoms),), _ = panels(ax, 1, 2, (9.0, 4.2))
    place = _places(graph, name)
    for u, v in graph.edges:
        picture.plot(*zip(place[u], place[v], strict=True), color="#7d8a99", linewidth=1.1, zorder=1)
    points = np.array([place[u] for u in graph.nodes])
    picture.scatter(points[:, 0], points[:, 1], s=60, color=LOWER, zorder=2)
    for u in graph.nodes if len(graph) <= 40 else ():
        picture.annotate(str(u), place[u], color="white", fontsize=6, ha="center", va="center", zorder=3)
    picture.set_axis_off()
    picture.set_title(f"{name}: {len(graph)} vertices", fontsize=TEXT + 1, loc="left")
    rows = np.zeros((graph.number_of_edges(), len(graph)))
    for k, (u, v) in enumerate(graph.edges):
        rows[k, u] = rows[k, v] = 1.0
    atoms.imshow(rows, cmap="Blues", aspect="auto", interpolation="nearest", vmin=0.0, vmax=1.3)
    for axis in (atoms.xaxis, atoms.yaxis):
        axis.get_major_locator().set_params(integer=True)
    atoms.set_xlabel("vertex")
    atoms.set_ylabel("atom (edge)")
    atoms.set_title(f"{len(rows)} atoms", fontsize=TEXT + 1, loc="left")
    return figure


# Graphs that everybody draws in the same way: rings of vertices, from the middle.
RINGS = {
    "petersen": [[5, 6, 7, 8, 9], [0, 1, 2, 3, 4]],
    "heawood": [[*range(14)]],
    "groetzsch": [[10], [5, 6, 7, 9, 8], [0, 1, 2, 4, 3]],
}


def _places(graph: Any, name: str) -> Any:
    """Where the vertices are drawn: known graphs as usual, bipartite ones in two columns, others on a circle."""
    import networkx as nx

    if name in RINGS and sorted(graph.nodes) == sorted(chain(*RINGS[name])):
        rings = nx.shell_layout(graph, RINGS[name], rotate=0.0)
        return {vertex: np.array([-y, x]) for vertex, (x, y) in rings.items()}  # the first of each ring on top
    try:
        left, _ = nx.bipartite.sets(graph)
        return nx.bipartite_layout(graph, sorted(left))
    except nx.NetworkXException:
        return nx.circular_layout(graph)


def _range(problem: Problem) -> tuple[float, float]:
    """The inputs, with a margin."""
    x = problem.X[:, 0]
    margin = 0.08 * (x.max() - x.min()) or 1.0
    return float(x.min() - margin), float(x.max() + margin)


# -- the look --------------------------------------------------------------------------------------------------------
