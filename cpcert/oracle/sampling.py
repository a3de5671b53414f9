"""Local search for neurons among many points: a heuristic that never proves anything.

With many points ‖Gσ(X̃ᵀw)‖ is nearly smooth in w, with a few broad maxima, each of them rough with the kinks of single
points, and a step of ascent.py over all points is expensive. So directions are sampled in plenty (one product of
matrices), those without a better neighbour climb together by quasi-Newton steps on the sphere, and only the best of them,
and neurons close by, land on the kinks where the maxima are (`ascend_near`, exact steps that see the kinks near w only).
What is missed otherwise is mostly close to neurons that are there already: their neighbourhoods are sampled, too.
"""

from __future__ import annotations

import numpy as np

from cpcert.activations import Activation
from cpcert.oracle.ascent import ascend_near

# Sampled directions are compared with each other in blocks; values of points are computed so many at a time.
BLOCK, CHUNK = 1000, 200_000
CLIMBS = 25
# Relative gain below which a climb has ended, and cosines from which two maxima, and two output directions, are one.
GAIN, SAME, SAME_OUTPUT = 1e-9, 1.0 - 1e-6, 0.9
# How far from the neurons that are there neighbours are sampled (radians), how many at most at each distance, and how far from a
# maximum kinks are seen first.
AROUND, NEIGHBOURS, SEEN = (0.3, 0.1, 0.03, 0.01), 4, 0.05


def sampled_maxima(
    points: np.ndarray, G: np.ndarray, activation: Activation, warm: np.ndarray, samples: int, most: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima of ‖Gσ(X̃ᵀw)‖ over unit w, best first, at most `most`: (W (k, r), values (k,)). Heuristic.

    points (N, r), G (m, N), warm (q, r): neurons that are there. samples: random directions; for each of the first
    blocks of them every neuron of `warm` gets a neighbour at each distance of AROUND.
    """
    rng = np.random.default_rng(seed)
    r = points.shape[1]

    landing_W, landing_U = [], []
    best_W, best_U, best_F = np.zeros((0, r)), np.zeros((0, len(G))), np.zeros(0)
    for first in range(0, max(samples, 1), BLOCK):
        W = unit_rows(rng.standard_normal((min(BLOCK, samples - first), r)))
        known = len(warm) if first == 0 else 0
        W = np.concatenate([warm[:known], W])
        values, U = evaluate(points, G, activation, W)
        start = peaks(W, U, values)
        start[:known] = True
        W, U, F = climb(points, G, activation, W[start], U[start])
        best_W, best_U, best_F = distinct(
            np.concatenate([best_W, W]), np.concatenate([best_U, U]), np.concatenate([best_F, F]), most
        )
        for angle in AROUND if len(warm) and first < NEIGHBOURS * BLOCK else ():
            W = unit_rows(warm + (angle / np.sqrt(r)) * rng.standard_normal(warm.shape))
            landing_W.append(W)
            landing_U.append(evaluate(points, G, activation, W)[1])
    W, U = np.concatenate([best_W, *landing_W]), np.concatenate([best_U, *landing_U])
    W, U, F = ascend_near(points, G, activation.a_plus, activation.a_minus, W, U, SEEN)
    W, _, F = distinct(W, U, F, most, same=1.0 - 1e-12)
    return W, F


def unit_rows(W: np.ndarray) -> np.ndarray:
    """The rows divided by their norms."""
    return W / np.maximum(np.linalg.norm(W, axis=1, keepdims=True), 1e-300)


def evaluate(points: np.ndarray, G: np.ndarray, activation: Activation, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """‖Gσ(X̃ᵀw)‖ (k,) and its direction U (k, m) for the rows of W (k, r)."""
    outputs = np.empty((len(W), len(G)))
    rows = max(1, CHUNK // len(points))
    for k in range(0, len(W), rows):
        outputs[k : k + rows] = activation(W[k : k + rows] @ points.T) @ G.T
    values = np.linalg.norm(outputs, axis=1)
    return values, outputs / np.maximum(values, 1e-300)[:, np.newaxis]


def peaks(W: np.ndarray, U: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which directions have no better one among their 2r nearest of about the same output direction; a mask (k,)."""
    count = min(2 * W.shape[1] + 1, len(W))
    closeness = np.where(U @ U.T > 0.5, W @ W.T, -2.0)
    near = np.argpartition(-closeness, count - 1, axis=1)[:, :count]
    alike = np.take_along_axis(closeness, near, axis=1) > -2.0
    return values >= np.where(alike, values[near], 0.0).max(axis=1)


def distinct(
    W: np.ndarray, U: np.ndarray, values: np.ndarray, most: int, same: float = SAME
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best, at most `most`, of which no two are the same."""
    chosen: list[int] = []
    for k in np.argsort(-values, kind="stable"):
        if len(chosen) == most or values[k] <= 0.0:
            break
        if not np.any((W[chosen] @ W[k] > same) & (U[chosen] @ U[k] > SAME_OUTPUT)):
            chosen.append(int(k))
    return W[chosen], U[chosen], values[chosen]


def climb(
    points: np.ndarray, G: np.ndarray, activation: Activation, W: np.ndarray, U: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All rows of W (k, r) at once uphill on the sphere, by BFGS steps that are halved where they fail: (W, U (k, m), values)."""

    def slopes(W: np.ndarray, U: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        C, rows = np.empty_like(W), max(1, CHUNK // len(points))
        U = U.copy()
        for k in range(0, len(W), rows):
            part = slice(k, k + rows)
            inner = W[part] @ points.T
            slope = activation.slope_at(inner > 0.0)
            if len(G) == 1:
                C[part] = U[part] * ((slope * G[0]) @ points)
            else:
                U[part] = unit_rows((slope * inner) @ G.T)
                C[part] = (slope * (U[part] @ G)) @ points
        values = np.einsum("kr,kr->k", C, W)
        return values, C - values[:, np.newaxis] * W, U

    W, r = W.copy(), W.shape[1]
    values, T, U = slopes(W, U)
    scale = 1.0 / np.maximum(np.linalg.norm(T, axis=1) + np.abs(values), 1e-300)
    H = scale[:, np.newaxis, np.newaxis] * np.eye(r)
    length = np.ones(len(W))
    live = np.arange(len(W))
    for _ in range(CLIMBS):
        D = np.einsum("kij,kj->ki", H[live], T[live])
        down = np.einsum("ki,ki->k", D, T[live]) <= 0.0
        D[down] = T[live[down]] * scale[live[down], np.newaxis]
        new = unit_rows(W[live] + length[live, np.newaxis] * D)
        value, slope, output = slopes(new, U[live])
        H[live] = _secant(H[live], new - W[live], T[live] - slope)
        better = value > values[live]
        length[live] = np.where(better, 1.0, 0.4 * length[live])
        going = np.where(better, value - values[live] > GAIN * np.abs(value), length[live] > 1e-3)
        up = live[better]
        W[up], T[up], U[up], values[up] = new[better], slope[better], output[better], value[better]
        live = live[going]
        if not len(live):
            break
    return W, U, values


def _secant(H: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The BFGS update of inverse Hessians H (k, r, r) where sᵀy > 0, for steps s and changes y of the slopes (k, r)."""
    product = np.einsum("ki,ki->k", s, y)
    good = product > 1e-10 * np.linalg.norm(s, axis=1) * np.linalg.norm(y, axis=1)
    rho = np.where(good, 1.0 / np.where(good, product, 1.0), 0.0)[:, np.newaxis, np.newaxis]
    Hy = np.einsum("kij,kj->ki", H, y)
    cross = s[:, :, np.newaxis] * Hy[:, np.newaxis, :]
    curve = np.einsum("ki,ki->k", y, Hy)[:, np.newaxis, np.newaxis]
    square = s[:, :, np.newaxis] * s[:, np.newaxis, :]
    return H - rho * (cross + cross.transpose(0, 2, 1)) + (rho * rho * curve + rho) * square
