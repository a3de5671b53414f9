"""The steps of the Frank-Wolfe loop: how new neurons change the network.

`corrective` solves the conic program on the active set (corrective.py) and, with several outputs, polishes the result;
for many points it moves a dictionary of directions (dictionary.py). It is the one to use. The other three are the
classical steps, for comparison and teaching. The cone S is unbounded, so they run on {Σ‖v_k‖‖w_k‖ ≤ T} with
T = L_0/2λ, L_0 the loss of the bias-only network: no better network is larger. Its extreme points are 0 and the single
neurons of mass T; the penalty is linear there, and

    F(Z, t) = min over b of C(Z + βb1ᵀ) + λ‖b‖² + 2λt

is convex with gradient −G in Z, so that a neuron (ŵ, v̂) of mass T has the slope T(2λ − ‖Gσ(X̃ᵀŵ)‖) (Jaggi 2013):

    vanilla    towards the best neuron (or 0)
    away       towards it, or away from the worst active one, whichever is steeper (Guélat and Marcotte 1986)
    pairwise   mass moves from the worst active to the best (Lacoste-Julien and Jaggi 2015)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cpcert.errors import InputError
from cpcert.formulations.caratheodory import caratheodory
from cpcert.frank_wolfe.active_set import Columns, Neurons, columns_for
from cpcert.frank_wolfe.arc_newton import polish_in_plane
from cpcert.frank_wolfe.arcs import arc_middles
from cpcert.frank_wolfe.corrective import correct
from cpcert.frank_wolfe.interpolation import kinked_neurons
from cpcert.frank_wolfe.polish import polish, polish_interpolation
from cpcert.parallel import late
from cpcert.problem import Problem

# So many points make the conic program slower than a dictionary of directions.
MANY_POINTS = 300
# A step is far from the optimum as long as a new neuron is worth more than so many times its price.
FAR = 1.05
METHODS = ("corrective", "vanilla", "away", "pairwise")
MERGE_ANGLES = (0.3, 0.1, 0.03, 1e-3)
# Numbers in a network beyond which Newton steps on all of them cost more than they are worth at the end.
POLISHED_SIZE = 300
# Relative difference of the two dual points from which a conic solution counts as inaccurate.
ROUGH = 1e-7
# Relative decrease of the objective that counts as progress.
PROGRESS = 1e-9


@dataclass(frozen=True, eq=False)
class Iterate:
    """neurons, candidate dual points G (m, N) (best guess first), and the name of the step that led here.

    idle: (W (k, r), U (k, m)), columns that no neuron uses but that the dual points have to respect: those added since
    the objective last fell. Dropping them could lead back to a dual point that was there before.
    refine: the objective has failed to fall once: accuracy is short, and conic programs get finer units (corrective.py).
    """

    neurons: Neurons
    duals: tuple[np.ndarray, ...]
    step: str
    idle: tuple[np.ndarray, np.ndarray] | None = None
    refine: bool = False


def objective(problem: Problem, points: np.ndarray, neurons: Neurons) -> float:
    """C(Z) + 2λΣ‖v_k‖‖w_k‖ + λ‖b‖² in floating point (C = 0 for interpolate)."""
    return neurons.objective(problem, points)


def corrective_step(
    problem: Problem, points: np.ndarray, now: Iterate, W: np.ndarray, U: np.ndarray, deadline: float = math.inf
) -> Iterate | None:
    """The best network on the active set and new neurons W (k, r) with output directions U (k, m): by a conic program, or on a
    dictionary of directions where there are many points.

    None if the conic solver fails. deadline: a `time.monotonic()`, after which the solver and Newton's method stop where
    they are.
    """
    if many_points(problem, points):
        return dictionary_step(problem, points, now, W, U, deadline)
    if now.idle is not None:
        W, U = np.concatenate([W, now.idle[0]]), np.concatenate([U, now.idle[1]])
    refine = now.refine or now.idle is not None
    active = now.neurons.kept(_active(problem, points, now))
    if len(active.W) > problem.m * problem.N:
        active = fewer_neurons(problem, points, active)
    columns = columns_for(problem, active, W, U, points)
    found = correct(problem, points, columns, now.neurons, refine, deadline)
    if found is None:
        return None
    neurons, duals, name = found.neurons, [found.G], "C"
    value = objective(problem, points, neurons)
    idle = None if value < objective(problem, points, now.neurons) * (1.0 - PROGRESS) else (W, U)
    if problem.loss.is_constraint:
        # Far from the optimum neurons that belong together are still far apart, and most tries fail.
        angles = MERGE_ANGLES[:1] if _far(problem, points, now, W) else MERGE_ANGLES
        for angle in angles if problem.m > 1 else ():
            better = polish_interpolation(problem, points, neurons, found.G, angle, deadline)
            if better is not None and objective(problem, points, better[0]) <= value * (1.0 + 1e-9):
                return Iterate(better[0], (better[1], found.G), "C+P", idle, refine)
        return Iterate(neurons, tuple(duals), name, idle, refine)
    if _has_newton_in_plane(problem, points):
        polished = polish_in_plane(problem, points, neurons)
        if polished is not None and objective(problem, points, polished) <= value * (1.0 + 1e-12):
            neurons, name = polished, "C+P"
    else:
        gradient = -problem.loss.gradient(neurons.outputs(problem, points), problem.targets)
        # With one output the conic program is exact on its columns, and Newton steps only mend its accuracy.
        rough = np.abs(gradient - found.G).max() > ROUGH * np.abs(gradient).max()
        size = neurons.W.size + neurons.V.size
        if problem.m > 1 or size <= (POLISHED_SIZE if rough else POLISHED_SIZE // 5):
            for angle in MERGE_ANGLES if problem.m > 1 else MERGE_ANGLES[-1:]:
                polished = polish(problem, points, neurons, angle, deadline=deadline)
                if polished is not None and objective(problem, points, polished) <= value * (1.0 + 1e-12):
                    neurons, name = polished, "C+P"
                    break
    duals.append(-problem.loss.gradient(neurons.outputs(problem, points), problem.targets))
    if name == "C+P":
        duals.reverse()
    return Iterate(neurons, tuple(duals), name, idle, refine)


def many_points(problem: Problem, points: np.ndarray) -> bool:
    """Whether a dictionary of directions (dictionary.py) takes the place of the conic program."""
    return not problem.loss.is_constraint and points.shape[1] > 2 and problem.N >= MANY_POINTS


def compile_step(N: int) -> None:
    """Compile, or load from the cache, what a step for N points runs on."""
    if N >= MANY_POINTS:
        from cpcert.frank_wolfe import dictionary

        dictionary.descend(np.eye(2), np.zeros((2, 1)), np.zeros((2, 1)), 1.0, -1.0, 1, 1.0)


def _far(problem: Problem, points: np.ndarray, now: Iterate, W: np.ndarray) -> bool:
    """Whether a new neuron of W (k, r) is worth much more than its price, at the best guess of a dual point."""
    worth = np.linalg.norm(now.duals[0] @ problem.activation(W @ points.T).T, axis=0)
    return bool(worth.max(initial=0.0) > FAR * 2.0 * problem.lam)


def dictionary_step(
    problem: Problem, points: np.ndarray, now: Iterate, W: np.ndarray, U: np.ndarray, deadline: float
) -> Iterate:
    """The best network on the directions of now, of its idle ones and of new neurons W (k, r), improved (dictionary.py)."""
    from cpcert.frank_wolfe import dictionary

    neurons = now.neurons
    if not len(neurons.W):
        start = dictionary.trained(problem, points, 0, deadline)
        neurons = dictionary.best_on(problem, points, neurons, start.W, deadline)
    new = W if now.idle is None else np.concatenate([W, now.idle[0]])
    value = objective(problem, points, now.neurons)
    far = _far(problem, points, now, W)
    neurons, name = dictionary.improved(problem, points, neurons, new, far, deadline)
    idle = None if objective(problem, points, neurons) < value * (1.0 - PROGRESS) else (W, U)
    G = -problem.loss.gradient(neurons.outputs(problem, points), problem.targets)
    return Iterate(neurons, (G,), name, idle, now.refine)


def fewer_neurons(problem: Problem, points: np.ndarray, neurons: Neurons) -> Neurons:
    """As many of the neurons as are independent, at most m·N, reweighted: the same outputs at no larger cost (Carathéodory),
    up to rounding."""
    masses = neurons.masses
    features = problem.activation(neurons.W @ points.T)
    columns = np.einsum("mk,kn->mnk", neurons.V, features).reshape(problem.m * problem.N, len(masses))
    reduced = Neurons(neurons.W, neurons.V * caratheodory(columns, masses), neurons.b, neurons.patterns)
    return reduced.kept(reduced.masses > 1e-12 * masses.sum())


def _active(problem: Problem, points: np.ndarray, now: Iterate) -> np.ndarray:
    """Which neurons stay in the active set, a mask (k,): all but the light ones with clear slack ‖Gσ(X̃ᵀŵ)‖ < 2λ, which an
    interior-point solution never drops by itself."""
    masses = now.neurons.masses
    values = np.linalg.norm(now.duals[0] @ problem.activation(now.neurons.W @ points.T).T, axis=0)
    return (masses > 1e-4 * masses.sum()) | (values > 2.0 * problem.lam * (1.0 - 1e-4))


def _has_newton_in_plane(problem: Problem, points: np.ndarray) -> bool:
    return points.shape[1] <= 2 and bool(points.any()) and problem.m == 1 and problem.loss.is_squared_distance


def simpler_neurons(problem: Problem, points: np.ndarray, neurons: Neurons) -> Iterator[Neurons]:
    """Candidates with fewer neurons than `neurons`: the heavy ones, corrected again, merged and polished."""
    if not len(neurons.W):
        return
    if many_points(problem, points):
        from cpcert.frank_wolfe import dictionary

        yield from dictionary.simpler(problem, points, neurons)
        return
    neurons = fewer_neurons(problem, points, neurons)
    if not len(neurons.W):
        yield neurons
        return
    for share in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 0.0):
        kept = neurons.kept(neurons.masses > share * neurons.masses.max())
        found = correct(problem, points, columns_for(problem, kept, kept.W[:0], kept.V.T[:0], points), neurons)
        if found is None:
            continue
        in_plane = _has_newton_in_plane(problem, points)
        small = POLISHED_SIZE // 5 if in_plane else POLISHED_SIZE
        if not problem.loss.is_constraint and kept.W.size + kept.V.size <= small:
            for angle in MERGE_ANGLES:
                better = polish(problem, points, found.neurons, angle)
                if better is not None:
                    yield better
        better = polish_in_plane(problem, points, found.neurons) if in_plane else None
        if better is not None:
            yield fewer_neurons(problem, points, better)
        yield fewer_neurons(problem, points, found.neurons.without_dust(1e-7))
    yield neurons


def interpolating_start(problem: Problem, points: np.ndarray, seed: int, deadline: float = math.inf) -> Iterate | None:
    """A network that fits Y: the conic program on neurons of the data, random ones, and ones with kinks at data points
    (what points that nearly coincide need), more and more of them. In the plane: on all patterns."""
    rng = np.random.default_rng(seed)
    N, m, r = problem.N, problem.m, points.shape[1]
    if not problem.targets.any():
        return Iterate(Neurons.none(problem, r), (np.zeros((m, N)),), "start")
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    data = points[norms[:, 0] > 0.0] / norms[norms[:, 0] > 0.0]
    for count in (2 * N, 8 * N):
        if late(deadline):
            return None
        random = rng.standard_normal((count, r))
        kinked = kinked_neurons(points, np.arange(count) % N, rng)
        W = np.concatenate([data, -data, random / np.linalg.norm(random, axis=1, keepdims=True), kinked, -kinked])
        if r == 2:  # every pattern there is
            W = arc_middles(points)
        patterns = W @ points.T > 0.0
        if m == 1:
            output = np.repeat([[1.0], [-1.0]], len(W), axis=0)
            columns = Columns(output, np.concatenate([patterns, patterns]), W[:0], patterns[:0]).unique()
        else:
            columns = Columns(np.zeros((0, m)), patterns[:0], W, patterns).unique()
        found = correct(problem, points, columns, deadline=deadline)
        if found is not None:
            residual = np.abs(found.neurons.outputs(problem, points) - problem.targets).max()
            if residual <= 1e-6 * np.abs(problem.targets).max(initial=0.0):
                # Exact for X = I and Y with (YᵀY)^{1/2} completely positive (Prop. 14): the polar factor of Y.
                left, singular, right = np.linalg.svd(problem.targets, full_matrices=False)
                rank = int((singular > 1e-12 * singular[0]).sum())
                return Iterate(found.neurons, (found.G, left[:, :rank] @ right[:rank]), "start")
    return None


def fit_bias(problem: Problem, Z: np.ndarray, b: np.ndarray) -> np.ndarray:
    """argmin over b of C(Z + βb1ᵀ) + λ‖b‖², (m,), by Newton's method; 0 without biases. Z (m, N): without the bias."""
    if problem.beta == 0.0:
        return np.zeros(problem.m)
    value = lambda b: problem.loss.value(Z + problem.beta * b[:, None], problem.targets) + problem.lam * b @ b  # noqa: E731
    for _ in range(50):
        outputs = Z + problem.beta * b[:, np.newaxis]
        slope = problem.beta * problem.loss.gradient(outputs, problem.targets).sum(axis=1) + 2.0 * problem.lam * b
        curve = problem.beta**2 * problem.loss.hessian(outputs, problem.targets).sum(axis=0)
        step = _newton_step(curve, 2.0 * problem.lam, slope)
        length = 1.0
        while length > 1e-10 and value(b + length * step) > value(b) + 1e-4 * length * float(slope @ step):
            length *= 0.5
        b = b + length * step
        if np.abs(step).max() <= 1e-15 * (1.0 + np.abs(b).max()):
            break
    return b


def _newton_step(curve: np.ndarray, ridge: float, slope: np.ndarray) -> np.ndarray:
    """−(curve + ridge·1)⁻¹ slope for curve ⪰ 0 (m, m), also where `ridge` is lost in rounding."""
    try:
        return np.linalg.solve(curve + ridge * np.eye(len(slope)), -slope)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(0.5 * (curve + curve.T))
        return -vectors @ ((vectors.T @ slope) / (np.maximum(values, 0.0) + ridge))


def bias_only(problem: Problem, r: int) -> Iterate:
    """The best network without hidden neurons."""
    b = fit_bias(problem, np.zeros((problem.m, problem.N)), np.zeros(problem.m))
    none = Neurons.none(problem, r)
    neurons = Neurons(none.W, none.V, b, none.patterns)
    Z = np.zeros((problem.m, problem.N)) + problem.beta * b[:, np.newaxis]
    return Iterate(neurons, (-problem.loss.gradient(Z, problem.targets),), "start")


def classical_step(method: str, budget: float) -> Callable[..., Iterate]:
    """The step of `vanilla`, `away` or `pairwise` on the set of mass `budget` = T; see the module's docstring."""

    def step(
        problem: Problem, points: np.ndarray, now: Iterate, W: np.ndarray, U: np.ndarray, deadline: float = math.inf
    ) -> Iterate:
        lam, T = problem.lam, budget
        neurons, G = now.neurons, now.duals[0]
        features = problem.activation(neurons.W @ points.T)  # (k, N)
        masses = neurons.masses
        directions = neurons.V / np.where(masses > 0.0, masses, 1.0)
        # Slopes of F per unit of weight at the extreme points: T(2λ − v̂ᵀGσ), and 0 at the origin.
        slopes = T * (2.0 * lam - np.einsum("mk,mn,kn->k", directions, G, features))
        new_w, new_v = W[:1], U[:1]
        new_feature = problem.activation(new_w @ points.T)
        new_slope = T * (2.0 * lam - float(new_v[0] @ G @ new_feature[0])) if len(W) else 0.0
        if new_slope >= 0.0:  # the best extreme point is the origin
            new_w, new_v, new_feature, new_slope = W[:0], U[:0], features[:0], 0.0
        weights = masses / T
        now_slope = float(weights @ slopes)
        rest = max(0.0, 1.0 - float(weights.sum()))
        worst = int(np.argmax(slopes)) if len(slopes) else -1
        at_origin = rest > 0.0 and (worst < 0 or slopes[worst] < 0.0)
        worst_weight = rest if at_origin else (float(weights[worst]) if worst >= 0 else 0.0)
        worst_slope = 0.0 if at_origin or worst < 0 else float(slopes[worst])
        # A direction in the weights: (change of the active weights, weight of the new neuron, largest step, name).
        towards = (-weights, 1.0, 1.0, "FW")
        change = np.zeros_like(weights)
        if method == "pairwise":
            if not at_origin and worst >= 0:
                change[worst] = -1.0
            chosen = (change, 1.0, worst_weight, "PW")
        elif method == "away" and worst_slope - now_slope > now_slope - new_slope and worst_weight < 1.0:
            change = weights.copy()
            if not at_origin:
                change[worst] -= 1.0
            chosen = (change, 0.0, worst_weight / (1.0 - worst_weight), "AW")
        else:
            chosen = towards
        change, gain, longest, name = chosen
        old = T * (directions * weights) @ features
        move = T * (directions * change) @ features
        if len(new_w):
            move = move + gain * T * np.outer(new_v[0], new_feature[0])
        price = 2.0 * lam * T * (float(change.sum()) + (gain if len(new_w) else 0.0))
        length = _line_search(problem, old, move, price, neurons.b, longest)
        weights = np.maximum(weights + length * change, 0.0)
        V = directions * (T * weights)
        W_all, patterns = neurons.W, neurons.patterns
        if len(new_w) and gain * length > 0.0:
            same = np.flatnonzero(np.all(np.abs(W_all - new_w[0]) < 1e-12, axis=1))
            if len(same) == 1 and directions[:, same[0]] @ new_v[0] > 1.0 - 1e-12:
                V[:, same[0]] += T * length * gain * new_v[0]
            else:
                W_all = np.concatenate([W_all, new_w])
                V = np.column_stack([V, T * length * gain * new_v[0]])
                patterns = np.concatenate([patterns, new_w @ points.T > 0.0])
        Z = V @ problem.activation(W_all @ points.T)
        b = fit_bias(problem, Z, neurons.b)
        result = Neurons(W_all, V, b, patterns).without_dust(1e-15)
        G = -problem.loss.gradient(result.outputs(problem, points), problem.targets)
        return Iterate(result, (G,), name)

    return step


def _line_search(
    problem: Problem, Z: np.ndarray, move: np.ndarray, price: float, b: np.ndarray, longest: float
) -> float:
    """argmin over 0 ≤ s ≤ longest of F(Z + s·move) + s·price, by bisection on the derivative (F is convex)."""

    def derivative(s: float) -> float:
        at = Z + s * move
        outputs = at + problem.beta * fit_bias(problem, at, b)[:, np.newaxis]
        return float(np.sum(problem.loss.gradient(outputs, problem.targets) * move)) + price

    if longest <= 0.0 or derivative(longest) <= 0.0:
        return longest
    low, high = 0.0, longest
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if derivative(middle) > 0.0 else (middle, high)
    return low


def require_method(problem: Problem, method: str) -> None:
    """Raises InputError for an unknown method or one that cannot run on this loss."""
    if method not in METHODS:
        raise InputError(f"method: {method!r} is not one of {', '.join(METHODS)}")
    if method != "corrective" and problem.loss.is_constraint:
        raise InputError(
            f"method: {method} needs a smooth loss, and {problem.loss.name} is a constraint; use corrective"
        )
