"""One input, one output: any two-layer network of any width has an equal of at most 4N neurons on N points (Prop. 15).

Let the D ≤ N distinct inputs be sorted. With β ≠ 0 a neuron w = (w_x, w_b) of mass v bends at the cusp x = −βw_b/w_x,
and on the data only the gap of its cusp and the sign of w_x count. Two neurons u = |v|w of one such pattern and one
sign of v act on the data like their sum, which costs no more:

    2‖u_1 + u_2‖ ≤ 2‖u_1‖ + 2‖u_2‖.

A neuron that is on at every point, or off, is linear on the data; both outer arcs become one. So 2·2(D − 1) + 2 ≤ 4N
neurons remain: 2D for abs, one for linear networks, 2 for β = 0 (1 for abs and linear).

That outputs and norm are kept holds up to rounding: sums of vectors in a cone of less than π do not cancel.
docs/mathematics/reduction.md has the cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpcert.activations import Activation
from cpcert.errors import InputError
from cpcert.formulations.caratheodory import Stage
from cpcert.network import Network
from cpcert.oracle.plane import lines_of

ARGUMENTS = {
    "linear": "linear network: one neuron",
    "no bias": "β = 0: one neuron for each sign of its weight",
    "even": "abs: one neuron for each pair of opposite patterns and each sign (Prop. 15)",
    "gaps": "one neuron for each gap, slope and sign, two outside: 4(D − 1) + 2 for D distinct points (Prop. 15)",
}


@dataclass(frozen=True)
class Merge:
    """Neuron `absorbed` was added to neuron `kept` (numbers of the original network).

    kept = −1: it had no effect on the data. kept = absorbed: it was exchanged for one of the other outer arc. gap: their
    cusps lie between the sorted distinct inputs gap − 1 and gap; 0 and D are outside, −1 is for neurons without such a
    cusp (β = 0, linear). saved ≥ 0: what the squared norm of the balanced network lost.
    """

    kept: int
    absorbed: int
    gap: int
    saved: float


def merge_neurons(network: Network, X: np.ndarray) -> tuple[Network, Stage, tuple[Merge, ...]]:
    """The network with one neuron per pattern and sign: the same outputs on X (N, 1), norm not larger, at most 4N neurons.

    Dead neurons go without a word. Raises InputError unless the network has depth 2, one input and one output.
    """
    if (network.depth, network.widths[0], network.widths[-1]) != (2, 1, 1):
        raise InputError(
            f"network: has the widths {network.widths}; merging needs one input, one hidden layer, one output"
        )
    sigma, k = network.activation, network.width
    W, v = network.weights[0], network.weights[1][0, :k]
    U, sign = W * np.abs(v)[:, np.newaxis], np.where(v < 0.0, -1.0, 1.0)
    alive = W.any(axis=1) & (v != 0.0)
    x = np.unique(X[:, 0])
    name, bound = _case(sigma, network.beta, len(x))
    gap, saved = np.full(k, -1), np.zeros(k)
    # What is added up, and in which group; −1 is none.
    if name == "linear":
        parts, label = U * sign[:, np.newaxis], np.zeros(k, int)
    elif name == "no bias":
        # Multiples of one neuron for each side (abs: of one neuron), so signed masses.
        parts, label = np.abs(U) * sign[:, np.newaxis], np.where((U[:, 0] > 0.0) | sigma.is_even, 1, 0)
    else:
        parts, sign, arc, saved = _patterns(U, sign, network.inputs(x[:, np.newaxis]).T, sigma)
        label = np.where(parts.any(axis=1), 2 * arc + (sign > 0.0), -1)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            cusp = np.where(W[:, 0] != 0.0, -network.beta * W[:, 1] / W[:, 0], -np.inf)
        gap = np.searchsorted(x, cusp)
    sums, labels, merges = _add_up(parts, np.where(alive, label, -2), gap, saved)
    if name == "linear":
        rows, masses = sums, np.ones(len(sums))
    elif name == "no bias":
        rows, masses = np.abs(sums) * np.where(labels == 1, 1.0, -1.0)[:, np.newaxis], np.sign(sums[:, 0])
    else:
        rows, masses = sums, np.where(labels % 2 == 1, 1.0, -1.0)
    b = network.weights[1][:, -1] if network.beta != 0.0 else None
    reduced = Network.from_neurons(rows, masses[np.newaxis], b, sigma, network.beta)
    return reduced, Stage(1, k, reduced.width, bound, ARGUMENTS[name]), merges


def _case(sigma: Activation, beta: float, D: int) -> tuple[str, int]:
    if sigma.is_odd:
        return "linear", 1
    if beta == 0.0:
        return "no bias", 1 if sigma.is_even else 2
    return ("even", 2 * D) if sigma.is_even else ("gaps", 4 * (D - 1) + 2)


def _patterns(
    U: np.ndarray, sign: np.ndarray, points: np.ndarray, sigma: Activation
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(U, sign, arc, saved) for points (D, 2) with β ≠ 0: the arc of each neuron, the weaker outer arc moved to the other;
    saved: what that took from the squared norm."""
    lines = lines_of(points)
    L, cuts = lines.count, lines.cuts
    # Cuts have angles in [π/2, 3π/2): turn each neuron there, and compare slopes, which grow with the angle.
    flip = (U[:, 0] > 0.0) | ((U[:, 0] == 0.0) & (U[:, 1] < 0.0))
    turned = np.where(flip[:, np.newaxis], -U, U)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        slopes, cut_slopes = (np.where(A[:, 0] < 0.0, A[:, 1] / A[:, 0], -np.inf) for A in (turned, cuts))
    arc = (np.searchsorted(cut_slopes, slopes, side="right") - 1 + L * flip) % (2 * L)
    if sigma.is_even:
        opposite = arc >= L
        return np.where(opposite[:, np.newaxis], -U, U), sign, arc % L, np.zeros(len(U))
    # All dᵀw < 0 on arc L − 1, all dᵀw > 0 on arc 2L − 1, and all points are on one side of their lines.
    on = 2 * L - 1 if lines.side[0] > 0.0 else L - 1
    off = (on + L) % (2 * L)
    strong, weak = (on, off) if abs(sigma.a_plus) >= abs(sigma.a_minus) else (off, on)
    ratio = min(sigma.a_plus, sigma.a_minus, key=abs) / max(sigma.a_plus, sigma.a_minus, key=abs)
    moved = arc == weak
    saved = np.where(moved, 2.0 * np.linalg.norm(U, axis=1) * (1.0 - abs(ratio)), 0.0)
    U = np.where(moved[:, np.newaxis], -abs(ratio) * U, U)
    return U, np.where(moved, -np.sign(ratio) * sign, sign), np.where(moved, strong, arc), saved


def _add_up(
    parts: np.ndarray, label: np.ndarray, gap: np.ndarray, saved: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[Merge, ...]]:
    """The sum of each group of equal labels ≥ 0 (no zero sums), its label, and the log; −1 had no effect, −2 was dead."""
    norms = np.linalg.norm(parts, axis=1)
    merges = [Merge(-1, int(k), int(gap[k]), float(saved[k])) for k in np.flatnonzero(label == -1)]
    members = np.argsort(label, kind="stable")
    members = members[label[members] >= 0]
    sums, labels = [], []
    for group in np.split(members, np.flatnonzero(np.diff(label[members])) + 1) if len(members) else []:
        first = np.argmax(norms[group])
        leader, others = group[first], np.delete(group, first)
        running = np.cumsum(parts[np.concatenate([[leader], others])], axis=0)
        sizes = np.linalg.norm(running, axis=1)
        gains = np.maximum(2.0 * (sizes[:-1] + norms[others] - sizes[1:]), 0.0) + saved[others]
        merges += [
            Merge(int(leader), int(k), int(gap[leader]), float(gain)) for k, gain in zip(others, gains, strict=True)
        ]
        if saved[leader] > 0.0:
            merges.append(Merge(int(leader), int(leader), int(gap[leader]), float(saved[leader])))
        if sizes[-1] > 0.0:
            sums.append(running[-1])
            labels.append(label[leader])
    return np.array(sums).reshape(len(sums), parts.shape[1]), np.array(labels, int), tuple(merges)
