"""Networks by training in numpy: Adam (Kingma and Ba 2015) on all weights, then L-BFGS. Heuristics; nothing is proven here.

The objective has kinks wherever a point changes sides of a neuron: L-BFGS alone ends at the first minimum that lies on some. Adam
jumps over them while its rate is large, and its rate falls along half a cosine.
"""

from __future__ import annotations

import math
import time

import numpy as np

from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.dictionary import moved
from cpcert.problem import Problem

# Steps of Adam and of L-BFGS; Adam's first rate, the last over the first, its averages, and what keeps the quotient finite.
STEPS, MOVING_STEPS, RATE, LAST_RATE = 3000, 30, 0.03, 1e-3
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
# After so many steps each, neurons are left out whose ‖w_k‖‖v_k‖ is below this share of the largest; and the clock is looked at.
CHECK, DEAD = 50, 1e-6


def train(problem: Problem, points: np.ndarray, width: int, seed: int, deadline: float, steps: int = STEPS) -> Neurons:
    """A network of at most `width` neurons after so many steps of Adam, fewer where the deadline is near, and of L-BFGS.

    points (N, r), of size near 1: rates are absolute. deadline: a `time.monotonic()`; where it leaves no time for all steps, the rate
    falls with the time instead.
    """
    rng = np.random.default_rng(seed)
    sigma = problem.activation
    gain = math.sqrt(2.0 / (sigma.a_plus**2 + sigma.a_minus**2))  # He et al. 2015
    size = math.sqrt(float(np.mean(np.sum(points**2, axis=1))) + 1e-300)
    w = 0.3 * gain / size * rng.standard_normal((width, points.shape[1]))
    v = 0.3 * gain / math.sqrt(width) * rng.standard_normal((width, problem.m))
    start = np.vstack([np.hstack([w, v]), np.zeros(w.shape[1] + v.shape[1])])
    with np.errstate(all="ignore"):  # of data far from 1, whose networks are of no use here
        x = _adam(problem, points, start, steps, deadline)
        if not np.isfinite(x).all():
            x = start
        r = w.shape[1]
        return moved(problem, points, x[:-1, :r], x[:-1, r:], x[-1, r:], MOVING_STEPS, deadline)


def _adam(problem: Problem, points: np.ndarray, start: np.ndarray, steps: int, deadline: float) -> np.ndarray:
    """Rows are (w_k, v_k), the last one (0, b); in float32, as nothing here is finer than its rate."""
    r, number = points.shape[1], np.float32
    X, Y, x = points.astype(number), problem.targets.astype(number), start.astype(number)
    sigma, beta, decay = problem.activation, number(problem.beta), number(2.0 * problem.lam)
    mean, square = np.zeros_like(x), np.zeros_like(x)
    began = time.monotonic()
    done = 0.0
    for step in range(steps):
        if step % CHECK == 0:
            passed = (time.monotonic() - began) / max(deadline - began, 1e-300)
            sizes = np.linalg.norm(x[:-1, :r], axis=1) * np.linalg.norm(x[:-1, r:], axis=1)
            live = np.append(sizes > DEAD * sizes.max(initial=0.0), True)
            x, mean, square = x[live], mean[live], square[live]
        done = max(step / steps, passed)
        if done >= 1.0:
            break
        w, v = x[:-1, :r], x[:-1, r:]
        inner = w @ X.T
        slopes = sigma.slope_at(inner > 0.0).astype(number)
        hidden = slopes * inner
        R = problem.loss.gradient(v.T @ hidden + beta * x[-1, r:, np.newaxis], Y).astype(number)
        g = decay * x
        g[:-1, :r] += (slopes * (v @ R)) @ X
        g[:-1, r:] += hidden @ R.T
        g[-1, r:] += beta * R.sum(axis=1)
        mean += (1.0 - BETA_1) * (g - mean)
        square += (1.0 - BETA_2) * (g * g - square)
        # The corrections of the start (Kingma and Ba, Section 3) go into the rate and into ε.
        root = math.sqrt(1.0 - BETA_2 ** (step + 1))
        rate = RATE * (LAST_RATE + (1.0 - LAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * done)))
        x -= rate * root / (1.0 - BETA_1 ** (step + 1)) * mean / (np.sqrt(square) + EPSILON * root)
    return x.astype(float)
