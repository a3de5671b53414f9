"""The corrective step for many points: a dictionary of directions w_k, its best outputs, and moves of the directions.

    minimise C(Σ_k v_k ⊗ φ_k + βb1ᵀ) + 2λΣ‖v_k‖ + λ‖b‖²,   φ_k = σ(X̃ᵀw_k), ‖w_k‖ = 1,                                    (1)

over v_k ∈ R^m with the directions fixed: a group lasso, solved on its Gram matrix, whose order is the number of directions. It
takes the place of the conic program (corrective.py, conic_program.py), which leaves the neurons free in their cones but has as many
constraints as points. Directions come from training (`trained`), from the oracle's local maxima, and from moving all neurons at
once (`polish` and L-BFGS on the network itself). Everything here is a candidate; bounds are proven elsewhere from the result.

**The lasso.** C is replaced by its expansion with the curvature h_i of point i (the largest eigenvalue of its Hessian: exact
for mse, so that one round is enough; a line search otherwise). Blocks are minimised in turn,

    v_k ← (1 − 2λ/‖c_k‖)₊ c_k/A_kk,   A = ΦᵀHΦ,   c_k = B_k − Σ_{l≠k} A_klv_l,                                              (2)

with Newton steps on the support between the cycles, as near-parallel columns converge slowly otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize

from cpcert.compiled import njit
from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.polish import polish
from cpcert.parallel import late
from cpcert.problem import Problem, unchecked

# Neurons and steps of the training that fills the dictionary first, the relative decrease in a step that ends it, and steps of a
# move of all neurons.
WIDTH, TRAINING_STEPS, TRAINED, MOVING_STEPS = 50, 1500, 1e-6, 60
# The directions of a network that was trained on so many points are as good as any to begin with.
TRAINED_ON = 2000
ROUNDS, CYCLES, NEWTON = 100, 60, 12
# Relative decreases of the objective in a round that end a lasso: far from the optimum, as long as a step lowers it by SLOW; and then.
ROUGH, SLOW, FINE = 1e-4, 1e-3, 1e-15
# Operations of a Newton step on all neurons that are worth their time.
POLISHED = 4e7
# Up to this rank new directions alone, when nearly all local maxima are among them, are faster than moves of all.
SMALL_RANK = 7
MERGE_ANGLES = (0.1, 0.01, 1e-4)


@njit(cache=True)
def descend(A, B, V, penalty, ridge, cycles, tolerance):
    """Cycles of (2) in place, until a cycle changes nothing by more than `tolerance` of the largest block.

    A (K, K), B and V (K, m). ridge ≥ 0: the last block is a bias, with ridge·‖v‖² in the place of penalty·‖v‖; < 0: it is not.
    """
    K, m = V.shape
    Q = A @ V
    c = np.empty(m)
    for _ in range(cycles):
        change = 0.0
        largest = 0.0
        for k in range(K):
            a = A[k, k]
            if a <= 0.0:
                continue
            size = 0.0
            for o in range(m):
                c[o] = B[k, o] - Q[k, o] + a * V[k, o]
                size += c[o] * c[o]
            size = np.sqrt(size)
            if k == K - 1 and ridge >= 0.0:
                factor = 1.0 / (a + 2.0 * ridge)
            else:
                factor = (1.0 - penalty / size) / a if size > penalty else 0.0
            moved = 0.0
            for o in range(m):
                d = factor * c[o] - V[k, o]
                if d != 0.0:
                    V[k, o] += d
                    moved += d * d
                    for q in range(K):
                        Q[q, o] += d * A[q, k]
            change = max(change, a * moved)
            largest = max(largest, a * (factor * size) ** 2)
        if change <= tolerance * tolerance * largest:
            return True
    return False


def _newton(A: np.ndarray, B: np.ndarray, V: np.ndarray, penalty: float, ridge: float) -> np.ndarray:
    """The better of two Newton steps of (1) on the blocks that are not 0: whole, the blocks that would turn around 0, or cut where the
    first of them would."""
    K, m = V.shape
    norms = np.linalg.norm(V, axis=1)
    bias = np.arange(K) == K - 1 if ridge >= 0.0 else np.zeros(K, bool)
    on = np.flatnonzero((norms > 0.0) | bias)
    v, size = V[on], np.where(bias[on], 1.0, norms[on])
    pull = np.where(bias[on], 2.0 * ridge, penalty / size)
    gradient = A[np.ix_(on, on)] @ v - B[on] + pull[:, np.newaxis] * v
    hessian = np.einsum("kl,op->kolp", A[np.ix_(on, on)], np.eye(m))
    for k in range(len(on)):
        hessian[k, :, k, :] += pull[k] * np.eye(m)
        if not bias[on[k]]:
            hessian[k, :, k, :] -= pull[k] * np.outer(v[k], v[k]) / size[k] ** 2
    flat = hessian.reshape(len(on) * m, -1)
    flat[np.diag_indices(len(flat))] += 1e-13 * np.trace(flat) / len(flat)
    try:
        step = np.linalg.solve(flat, -gradient.ravel()).reshape(v.shape)
    except np.linalg.LinAlgError:
        return V
    along = np.einsum("ko,ko->k", v, step) / size**2
    room = np.where((along < 0.0) & ~bias[on], -1.0 / np.minimum(along, -1e-300), np.inf)
    steps = []
    for length in {1.0, min(1.0, float(room.min(initial=np.inf)))}:
        moved = v + length * step
        moved[room <= length] = 0.0
        result = V.copy()
        result[on] = moved
        steps.append(result)
    return min(steps, key=lambda V: _model(A, B, V, penalty, ridge))


def _model(A: np.ndarray, B: np.ndarray, V: np.ndarray, penalty: float, ridge: float) -> float:
    last = float(V[-1] @ V[-1]) * ridge if ridge >= 0.0 else 0.0
    norms = np.linalg.norm(V[:-1] if ridge >= 0.0 else V, axis=1)
    return float(0.5 * np.sum(V * (A @ V)) - np.sum(B * V)) + penalty * float(norms.sum()) + last


def lasso(
    problem: Problem,
    features: np.ndarray,
    V: np.ndarray,
    b: np.ndarray,
    deadline: float = math.inf,
    decrease: float = FINE,
) -> tuple[np.ndarray, np.ndarray]:
    """The minimiser (V (m, K), b (m,)) of (1) for fixed features (K, N), from a start; or the last iterate by the deadline, or when
    a round of cycles and Newton steps lowers it by less than `decrease`, relative."""
    lam, beta, loss, Y = problem.lam, problem.beta, problem.loss, problem.targets
    with_bias = beta != 0.0
    rows = np.concatenate([features, np.full((1, problem.N), beta)]) if with_bias else features
    now = np.concatenate([V.T, b[np.newaxis]]) if with_bias else np.ascontiguousarray(V.T)
    ridge, penalty = lam if with_bias else -1.0, 2.0 * lam

    def objective(v: np.ndarray) -> float:
        size = float(np.linalg.norm(v[:-1] if with_bias else v, axis=1).sum())
        last = float(v[-1] @ v[-1]) if with_bias else 0.0
        return loss.value(v.T @ rows, Y) + penalty * size + lam * last

    value = objective(now)
    exact = loss.is_squared_distance
    for _ in range(1 if exact else ROUNDS):
        Z = now.T @ rows
        curve = np.maximum(np.linalg.eigvalsh(loss.hessian(Z, Y))[:, -1], 1e-12)
        A = (rows * curve) @ rows.T
        B = A @ now - rows @ loss.gradient(Z, Y).T
        new = _minimised(A, B, now.copy(), penalty, ridge, decrease * value)
        length = 1.0
        while length > 1e-6 and objective(now + length * (new - now)) > value:
            length *= 0.5
        now = now + length * (new - now) if length > 1e-6 else now
        before, value = value, objective(now)
        if before - value <= 1e-13 * abs(before) or late(deadline):
            break
    return (now[:-1].T, now[-1]) if with_bias else (now.T, np.zeros(problem.m))


def _minimised(A: np.ndarray, B: np.ndarray, V: np.ndarray, penalty: float, ridge: float, least: float) -> np.ndarray:
    """Cycles of (2) and Newton steps in turn, as long as they lower the objective by `least`."""
    value = np.inf
    for _ in range(NEWTON):
        if descend(A, B, V, penalty, ridge, CYCLES, 1e-12):
            return V
        before, value = value, _model(A, B, V, penalty, ridge)
        for _ in range(NEWTON):
            other = _newton(A, B, V, penalty, ridge)
            new = _model(A, B, other, penalty, ridge)
            if not new < value:
                break
            gone = (other == 0.0).all(axis=1).sum() > (V == 0.0).all(axis=1).sum()
            V, value = other, new
            if not gone:
                break
        if before - value <= least:
            return V
    return V


def moved(
    problem: Problem,
    points: np.ndarray,
    w: np.ndarray,
    v: np.ndarray,
    b: np.ndarray,
    steps: int,
    deadline: float = math.inf,
    decrease: float = 1e-13,
) -> Neurons:
    """L-BFGS on C + λ(Σ‖w_k‖² + ‖v_k‖² + ‖b‖²) from w (K, r), v (K, m), b (m,); neurons with unit rows."""
    K, r = w.shape
    m, lam, beta = problem.m, problem.lam, problem.beta
    sigma, loss, Y = problem.activation, problem.loss, problem.targets

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        w, v, b = x[: K * r].reshape(K, r), x[K * r : K * (r + m)].reshape(K, m), x[K * (r + m) :]
        s = w @ points.T
        phi = sigma(s)
        Z = v.T @ phi + beta * b[:, np.newaxis]
        R = loss.gradient(Z, Y)
        inner = (v @ R) * sigma.slope_at(s > 0.0)
        slope = np.concatenate([(inner @ points).ravel(), (phi @ R.T).ravel(), beta * R.sum(axis=1)])
        return loss.value(Z, Y) + lam * float(x @ x), slope + 2.0 * lam * x

    def stop(x: np.ndarray) -> None:
        if late(deadline):
            raise StopIteration

    x = np.concatenate([w.ravel(), v.ravel(), b])
    options = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 20, "ftol": decrease, "gtol": 1e-12}
    x = minimize(value, x, jac=True, method="L-BFGS-B", options=options, callback=stop).x
    w, v, b = x[: K * r].reshape(K, r), x[K * r : K * (r + m)].reshape(K, m), x[K * (r + m) :]
    return as_neurons(points, w, v, b if beta != 0.0 else np.zeros(m))


def as_neurons(points: np.ndarray, w: np.ndarray, v: np.ndarray, b: np.ndarray) -> Neurons:
    """Neurons with unit rows; those that are 0 left out."""
    sizes = np.linalg.norm(w, axis=1)
    keep = (sizes > 0.0) & v.any(axis=1)
    W = w[keep] / sizes[keep, np.newaxis]
    return Neurons(W, (v[keep] * sizes[keep, np.newaxis]).T, b, W @ points.T > 0.0)


def trained(problem: Problem, points: np.ndarray, seed: int, deadline: float = math.inf) -> Neurons:
    """A network of WIDTH neurons trained from random directions, on at most TRAINED_ON of the points."""
    rng = np.random.default_rng(seed)
    if problem.N > TRAINED_ON:
        some = rng.permutation(problem.N)[:TRAINED_ON]
        problem, points = unchecked(problem, X=problem.X[some], Y=problem.Y[some]), points[some]
    size = max(float(np.sqrt(np.mean(np.sum(points * points, axis=1)))), 1e-300)
    w = rng.standard_normal((WIDTH, points.shape[1])) / np.sqrt(points.shape[1])
    v = rng.standard_normal((WIDTH, problem.m)) * float(np.abs(problem.targets).mean()) / (size * np.sqrt(WIDTH))
    return moved(problem, points, w, v, np.zeros(problem.m), TRAINING_STEPS, deadline, TRAINED)


def best_on(
    problem: Problem,
    points: np.ndarray,
    neurons: Neurons,
    W: np.ndarray,
    deadline: float = math.inf,
    decrease: float = FINE,
) -> Neurons:
    """The best network on the directions of `neurons` and W (k, r); see `lasso`."""
    directions = np.concatenate([neurons.W, W])
    V = np.concatenate([neurons.V, np.zeros((problem.m, len(W)))], axis=1)
    V, b = lasso(problem, problem.activation(directions @ points.T), V, neurons.b, deadline, decrease)
    found = Neurons(directions, V, b, directions @ points.T > 0.0)
    return found.kept(found.masses > 0.0)


def simpler(problem: Problem, points: np.ndarray, neurons: Neurons) -> Iterator[Neurons]:
    """Candidates with fewer neurons: the heavy ones with their best outputs, merged and polished where that is cheap."""
    size = len(neurons.W) * (points.shape[1] + problem.m)
    if problem.N * problem.m * size * size <= POLISHED:
        for angle in MERGE_ANGLES:
            polished = polish(problem, points, neurons, angle)
            if polished is not None:
                yield polished
    for share in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        yield best_on(problem, points, neurons.kept(neurons.masses > share * neurons.masses.max()), neurons.W[:0])


def improved(
    problem: Problem, points: np.ndarray, neurons: Neurons, W: np.ndarray, far: bool, deadline: float = math.inf
) -> tuple[Neurons, str]:
    """`best_on`, roughly where that is `far` from the optimum, then, where the rank is large, moves of all its neurons that lower
    the objective; and which steps helped."""
    before, name = neurons.objective(problem, points), "D"
    neurons = best_on(problem, points, neurons, W, deadline, ROUGH if far else FINE)
    if far and neurons.objective(problem, points) > before * (1.0 - SLOW):
        neurons = best_on(problem, points, neurons, W[:0], deadline, FINE)
    value = neurons.objective(problem, points)
    if not len(neurons.W) or points.shape[1] <= SMALL_RANK or late(deadline):
        return neurons, name
    extra = []
    roots = np.sqrt(neurons.masses)[:, np.newaxis]
    other = moved(problem, points, neurons.W * roots, neurons.V.T / roots, neurons.b, MOVING_STEPS, deadline)
    extra.append(other)
    for angle in MERGE_ANGLES:
        size = len(neurons.W) * (points.shape[1] + problem.m)
        if problem.N * problem.m * size * size > POLISHED or late(deadline):
            break
        polished = polish(problem, points, other, angle, deadline=deadline)
        if polished is not None and len(polished.W):
            extra.append(polished)
            if polished.objective(problem, points) <= value:
                break
    # All directions that were found compete.
    for each in extra:
        new = best_on(problem, points, neurons, each.W, deadline)
        if (better := new.objective(problem, points)) < value:
            neurons, value, name = new, better, "D+P"
    return neurons, name
