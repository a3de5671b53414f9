"""Newton's method on the neurons of one output in the plane, squared loss: what a conic solver leaves open. Heuristic.

Each neuron u = |v|w either lies inside the cone of its arc, two numbers, or on one of its sides, where optimal neurons
bend the function exactly at a data point, one number. On these the objective

    (1/N)‖Σ s_kD_kX̃ᵀu_k + βb1 − y‖² + 2λ Σ‖u_k‖ + λb²

is smooth, and its Newton step is a least-squares problem: the curvature of ‖u‖ is one row more, (2λ/‖u‖)^½ u⊥ᵀ/‖u‖. It
is solved by a QR factorisation, because many points make neighbouring neurons nearly parallel and normal equations
useless; where neurons are dependent, it first moves along a null vector on which the penalty falls. A step ends where a
neuron vanishes or reaches a side, and goes on without it, or on the side. Whether leaving a side would pay, only the
oracle can say. The result is a candidate: the caller compares objectives.
"""

from __future__ import annotations

import numpy as np

from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.arcs import arcs_of
from cpcert.problem import Problem

STEPS = 100
# Relative size of a singular value that counts as 0.
DEPENDENT = 1e-13
# A neuron closer to a side of its cone, relative to the width of the cone, counts as on it.
ON_SIDE = 1e-4
# Points times squared unknowns up to which a factorisation costs nothing; and points per neuron beyond which the conic program
# is accurate enough without one.
CHEAP = 2e7
POINTS_PER_NEURON = 40


def polish_in_plane(problem: Problem, points: np.ndarray, neurons: Neurons) -> Neurons | None:
    """The neurons where Newton's method ends, or None where it breaks down or is not needed; one output, mse, points (N, r), r ≤ 2."""
    K, N, r = len(neurons.W), len(points), points.shape[1]
    if not K or problem.activation.kink == 0.0 or (4.0 * N * K * K > CHEAP and POINTS_PER_NEURON * K < N):
        return None
    plane = np.zeros((N, 2))
    plane[:, :r] = points
    arc, circle = arcs_of(plane, neurons.patterns)
    start, end = circle[arc], circle[(arc + 1) % len(circle)]
    W = np.zeros((K, 2))
    W[:, :r] = neurons.W
    sign, mass = np.sign(neurons.V[0]), np.abs(neurons.V[0])
    # Where each neuron is: its cut (an index of the circle) if on a side, else −1.
    after, before = _cross(start, W), _cross(W, end)
    width = np.maximum(np.abs(after) + np.abs(before), 1e-300)
    cut = np.where(after <= ON_SIDE * width, arc, np.where(before <= ON_SIDE * width, (arc + 1) % len(circle), -1))
    U = mass[:, np.newaxis] * np.where((cut >= 0)[:, np.newaxis], circle[cut], W)
    slopes = problem.activation.slope_at(neurons.patterns)  # (K, N)
    features = sign[:, np.newaxis, np.newaxis] * slopes[:, :, np.newaxis] * plane  # (K, N, 2)
    b = float(neurons.b[0])
    alive = np.ones(K, bool)
    for _ in range(STEPS):
        U, alive = _joined(U, alive, cut, sign)
        inner, outer = np.flatnonzero(alive & (cut < 0)), np.flatnonzero(alive & (cut >= 0))
        sides = circle[cut[outer]]
        J = np.column_stack(
            [
                features[inner].transpose(1, 0, 2).reshape(N, 2 * len(inner)),
                np.einsum("knj,kj->nk", features[outer], sides),
            ]
        )
        step = _newton_step(problem, J, U[inner], np.linalg.norm(U[outer], axis=1), b)
        if step is None:
            return None
        change = np.zeros_like(U)
        change[inner] = step[: 2 * len(inner)].reshape(-1, 2)
        change[outer] = step[2 * len(inner) : J.shape[1], np.newaxis] * sides
        length, k, where = _room(U, change, inner, outer, start, end)
        U = U + length * change
        if problem.beta != 0.0:
            b += length * float(step[-1])
        if k is None:
            if float(np.abs(change).max()) <= 1e-13 * float(np.abs(U).max()):
                break
        elif where == 0:
            alive[k] = False
        else:
            cut[k] = arc[k] if where == 1 else (arc[k] + 1) % len(circle)
            U[k] = circle[cut[k]] * max(float(U[k] @ circle[cut[k]]), 0.0)
            alive[k] = bool(U[k].any())
    sizes = np.linalg.norm(U, axis=1)
    alive &= sizes > 0.0
    if not np.all(np.isfinite(U)):
        return None
    W = U[alive, :r] / sizes[alive, np.newaxis]
    V = (sign * sizes)[np.newaxis, alive]
    return Neurons(W, V, np.array([b]), neurons.patterns[alive]).without_dust(1e-14)


def _newton_step(problem: Problem, J: np.ndarray, inner: np.ndarray, outer: np.ndarray, b: float) -> np.ndarray | None:
    """The step of the neurons inside (two numbers each), of those on sides (one each), and of b unless β = 0.

    J (N, 2k + l): the derivatives of the outputs; inner (k, 2), outer (l,). None when a number overflows.
    """
    N, k = len(J), len(inner)
    bias = np.full((N, int(problem.beta != 0.0)), problem.beta)
    J = np.column_stack([J, bias])
    theta = np.concatenate([inner.ravel(), outer, np.full(bias.shape[1], b)])
    with np.errstate(all="ignore"):
        sizes = np.linalg.norm(inner, axis=1, keepdims=True)
        curved = np.zeros((k, k, 2))
        curved[range(k), range(k)] = (
            np.sqrt(2.0 * problem.lam / sizes) * np.column_stack([-inner[:, 1], inner[:, 0]]) / sizes
        )
        rest = np.zeros((k + bias.shape[1], J.shape[1]))
        rest[:k, : 2 * k] = curved.reshape(k, 2 * k)
        rest[k:, J.shape[1] - 1 :] = np.sqrt(2.0 * problem.lam)
        A = np.concatenate([np.sqrt(2.0 / N) * J, rest])
        a = np.concatenate([np.sqrt(2.0 / N) * (J @ theta - problem.targets[0]), np.zeros(k), rest[k:, -1] * b])
        price = (
            2.0 * problem.lam * np.concatenate([(inner / sizes).ravel(), np.ones(len(outer)), np.zeros(bias.shape[1])])
        )
        if not (np.all(np.isfinite(A)) and np.all(np.isfinite(a)) and np.all(np.isfinite(price))):
            return None
        Q, R = np.linalg.qr(A)
        return _least(R, Q.T @ a, price)


def _least(R: np.ndarray, a: np.ndarray, price: np.ndarray) -> np.ndarray:
    """argmin ½‖Rδ + a‖² + priceᵀδ; where there is none, a direction in which it falls for ever."""
    left, singular, right = np.linalg.svd(R)
    rank = int((singular > DEPENDENT * singular[0]).sum())
    free = price - right[:rank].T @ (right[:rank] @ price)
    if float(np.linalg.norm(free)) > 1e-9 * float(np.linalg.norm(price)):
        return free * (-1e30 / float(np.linalg.norm(free)))
    return -right[:rank].T @ ((left.T @ a)[:rank] / singular[:rank] + (right[:rank] @ price) / singular[:rank] ** 2)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _joined(U: np.ndarray, alive: np.ndarray, cut: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neurons of one sign on one cut are one neuron."""
    U, alive = U.copy(), alive.copy()
    first: dict[tuple[int, float], int] = {}
    for k in np.flatnonzero(alive & (cut >= 0)):
        leader = first.setdefault((int(cut[k]), float(sign[k])), int(k))
        if leader != k:
            U[leader] += U[k]
            U[k], alive[k] = 0.0, False
    return U, alive


def _room(U, change, inner, outer, start, end):
    """(length, neuron, what): how far of the step to go, and what stops it: 0 a neuron vanishes, 1 or 2 it reaches a side."""
    best: tuple[float, int | None, int] = (1.0, None, 0)
    for k in outer:
        size, slope = float(np.linalg.norm(U[k])), float(U[k] @ change[k])
        if slope < 0.0 and size * size < -slope * best[0]:
            best = (size * size / -slope, int(k), 0)
    for k in inner:
        for where, a, b in ((1, start[k], U[k]), (2, U[k], end[k])):
            now = a[0] * b[1] - a[1] * b[0]
            a_new, b_new = (start[k], change[k]) if where == 1 else (change[k], end[k])
            fall = -(a_new[0] * b_new[1] - a_new[1] * b_new[0])
            if fall > 0.0 and now < fall * best[0]:
                best = (max(now / fall, 0.0), int(k), where)
    return best
