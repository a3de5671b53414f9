"""The pictures of a certificate's page, as SVG in a string. They are drawn from floats and prove nothing."""

from __future__ import annotations

import io
import math
from collections import Counter
from typing import Any

import numpy as np

from cpcert.activations import Activation
from cpcert.plots.figure import GRID, LOWER, MARKERS, NEUTRAL, OUTPUTS, SMALL, STYLES, UPPER, new_figure, sober
from cpcert.plots.solving import dual_curve

MOST_OUTPUTS = len(MARKERS)


def svg(figure: Any) -> str:
    """The figure as an <svg> element: letters as paths, no date, no random names, so that the same figure gives the same text."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "cpcert", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()[stream.getvalue().index("<svg") :]


def one_feature(x: np.ndarray, Y: np.ndarray, W: np.ndarray, predict: Any, beta: float, output_name: str) -> str:
    """The function of a network of one feature, its data, and where its neurons bend it.

    x (N,), Y (N, m), W (k, n) the rows of the first layer, predict: (p, 1) to (p, m).
    """
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    left, right = _room(x)
    bent = W[W[:, 0] != 0.0]
    bends = np.sort(-beta * bent[:, 1] / bent[:, 0]) if beta else np.zeros(min(1, len(bent)))
    bends = bends[(bends >= left) & (bends <= right)]
    grid = np.sort(np.concatenate([np.linspace(left, right, 401), bends]))
    values = predict(grid[:, np.newaxis])
    for j in range(min(Y.shape[1], MOST_OUTPUTS)):
        which = f", output {j + 1}" if Y.shape[1] > 1 else ""
        axes.plot(
            x, Y[:, j], MARKERS[j], color=OUTPUTS[j] if which else "#8a8a8a", markersize=4.5, label=f"data{which}"
        )
        axes.plot(grid, values[:, j], linestyle=STYLES[j], color=OUTPUTS[j], label=f"network{which}")
    for bend in bends:
        axes.axvline(bend, color=GRID, linewidth=1.0, zorder=0)
    axes.set_xlim(left, right)
    axes.set_xlabel("feature (grey lines: where a neuron bends the function)")
    axes.set_ylabel(output_name)
    axes.legend(fontsize=SMALL, frameon=False)
    sober(axes)
    return svg(figure)


def two_features(X: np.ndarray, Y: np.ndarray, W: np.ndarray, predict: Any, beta: float, output_name: str) -> str:
    """The first output of a network of two features as a map, the points on it, and the line on which each neuron bends.

    X (N, 2), Y (N, m), W (k, n), predict: (p, 2) to (p, m).
    """
    figure = new_figure(6.0, 4.6)
    axes = figure.subplots()
    (left, right), (low, high) = _room(X[:, 0]), _room(X[:, 1])
    across, up = np.meshgrid(np.linspace(left, right, 121), np.linspace(low, high, 121))
    values = predict(np.column_stack([across.ravel(), up.ravel()]))[:, 0].reshape(across.shape)
    least, most = min(values.min(), Y[:, 0].min()), max(values.max(), Y[:, 0].max())
    drawn = axes.contourf(
        across, up, values, levels=np.linspace(least, most, 16) if most > least else 2, cmap="cividis"
    )
    axes.scatter(
        X[:, 0], X[:, 1], c=Y[:, 0], vmin=least, vmax=most, cmap="cividis", edgecolors="white", s=28, linewidths=0.8
    )
    ends = np.array([left, right])
    for w in W:
        bias = beta * w[2] if beta else 0.0
        if w[1] != 0.0:
            axes.plot(ends, -(w[0] * ends + bias) / w[1], color="white", linewidth=0.7, alpha=0.7)
        elif w[0] != 0.0:
            axes.axvline(-bias / w[0], color="white", linewidth=0.7, alpha=0.7)
    axes.set(xlim=(left, right), ylim=(low, high), xlabel="feature 1", ylabel="feature 2")
    figure.colorbar(drawn, ax=axes, label=f"{output_name}{', output 1' if Y.shape[1] > 1 else ''}; dots: data")
    return svg(figure)


def dual_at_angles(X_tilde: np.ndarray, G: np.ndarray, activation: Activation, W: np.ndarray, limit: float) -> str:
    """θ ↦ ‖Gσ(X̃ᵀw(θ))‖ / 2λ for points of two coordinates, and the neurons on it. X_tilde (2, N), G (m, N), W (k, 2)."""
    figure = new_figure(6.4, 3.4)
    axes = figure.subplots()
    angles = np.linspace(0.0, 2.0 * math.pi, 1441)
    curve = dual_curve(X_tilde, G, activation, np.column_stack([np.cos(angles), np.sin(angles)])) / limit
    axes.plot(np.degrees(angles), curve, color=LOWER, label="‖Gσ(X̃ᵀw)‖ / 2λ over unit w = (cos θ, sin θ)")
    axes.axhline(1.0, color=NEUTRAL, linewidth=1.0, linestyle="--", label="1: nothing may be above")
    norms = np.linalg.norm(W, axis=1)
    units = W[norms > 0.0] / norms[norms > 0.0, np.newaxis]
    if len(units):
        at = np.degrees(np.arctan2(units[:, 1], units[:, 0])) % 360.0
        axes.plot(
            at, dual_curve(X_tilde, G, activation, units) / limit, "D", color=UPPER, markersize=5, label="neurons"
        )
    axes.set(xlim=(0, 360), xlabel="θ in degrees", xticks=range(0, 361, 60))
    axes.set_ylim(0.0, 1.35 * max(1.0, float(curve.max())))
    axes.legend(fontsize=SMALL, frameon=False, loc="upper right")
    sober(axes)
    return svg(figure)


def dual_at_neurons(values: np.ndarray) -> str:
    """‖Gσ(X̃ᵀw)‖ / 2λ at the unit vector w of each neuron, largest first. values (k,)."""
    figure = new_figure(6.4, 2.8)
    axes = figure.subplots()
    axes.plot(
        np.arange(1, len(values) + 1),
        np.sort(values)[::-1],
        "D",
        color=UPPER,
        markersize=4.5,
        label="neurons of the network",
    )
    axes.axhline(1.0, color=NEUTRAL, linewidth=1.0, linestyle="--", label="1: no neuron whatsoever is above")
    axes.set(xlabel="neuron", ylabel="‖Gσ(X̃ᵀw)‖ / 2λ", xlim=(0, len(values) + 1))
    axes.set_ylim(min(0.9, 0.98 * float(values.min())), 1.04)
    axes.legend(fontsize=SMALL, frameon=False, loc="lower left")
    sober(axes)
    return svg(figure)


def leaves(depths: Counter[int]) -> str:
    """How many leaves of the proof are how deep."""
    figure = new_figure(6.4, 2.8)
    axes = figure.subplots()
    axes.bar(list(depths), list(depths.values()), color=LOWER, width=0.8)
    axes.set(xlabel="branchings above a leaf", ylabel="leaves")
    sober(axes)
    return svg(figure)


def _room(values: np.ndarray) -> tuple[float, float]:
    """The range of the values, and a little more on both sides."""
    margin = 0.06 * (float(values.max() - values.min()) or 1.0)
    return float(values.min()) - margin, float(values.max()) + margin
