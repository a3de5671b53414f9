"""Newton's method on the neurons themselves: merge what belongs together, then converge quadratically. A heuristic.

The conic program splits a neuron into several when its columns are approximations of one optimal direction. `polish`
merges neurons that are nearly parallel in w and in v and minimises, with the activation patterns fixed,

    Φ(w, v, b) = C(Σ v_k ⊗ D_k X̃ᵀw_k + b ⊗ β1) + λ Σ (‖w_k‖² + ‖v_k‖²) + λ‖b‖²

by damped Newton steps. Optimal neurons lie exactly on kinks x_iᵀw_k = 0, where gradient methods zigzag; here a kink
that a neuron sits on is an equation (w_k moves in its null space), and a step stops at the first new kink, which then
becomes an equation too. Only the oracle can say whether leaving a kink would pay. The result is a candidate: the caller
compares losses.

For `interpolate` the constraint Z = Y is met by the method of multipliers: C(Z) = −⟨G, Z − Y⟩ + (ρ/2)‖Z − Y‖² in the
place of C, then G ← G − ρ(Z − Y), which also converges to a dual point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from cpcert.frank_wolfe.active_set import Neurons
from cpcert.frank_wolfe.corrective import small_unit
from cpcert.parallel import late
from cpcert.problem import Problem

STEPS = 60
# Times that the damping of one step is raised tenfold.
DAMPINGS = 30
MULTIPLIER_ROUNDS = 12
# |ŵᵀx| relative to ‖x‖ below which a neuron sits on the kink.
ON_KINK = 1e-6


class Smooth(NamedTuple):
    """C and its derivatives as functions of Z (m, N): value, gradient (m, N), hessian (N, m, m)."""

    value: Callable[[np.ndarray], float]
    gradient: Callable[[np.ndarray], np.ndarray]
    hessian: Callable[[np.ndarray], np.ndarray]

    @classmethod
    def loss(cls, problem: Problem) -> Smooth:
        """The loss of the problem."""
        Y, loss = problem.targets, problem.loss
        return cls(lambda Z: loss.value(Z, Y), lambda Z: loss.gradient(Z, Y), lambda Z: loss.hessian(Z, Y))

    @classmethod
    def multipliers(cls, problem: Problem, G: np.ndarray, rho: float) -> Smooth:
        """−⟨G, Z − Y⟩ + (ρ/2)‖Z − Y‖²."""
        Y = problem.targets
        curve = np.tile(rho * np.eye(problem.m), (problem.N, 1, 1))
        return cls(
            lambda Z: float(np.sum((0.5 * rho * (Z - Y) - G) * (Z - Y))), lambda Z: rho * (Z - Y) - G, lambda Z: curve
        )


def merge(problem: Problem, neurons: Neurons, points: np.ndarray, angle: float) -> tuple[Neurons, np.ndarray]:
    """Add up neurons that are within `angle` of a heavier one in w and in v, and say which kinks each one sits on.

    Returns the neurons and a mask (k, N): points on whose kink the neuron sits, by value or because merged patterns
    differ there.
    """
    masses = neurons.masses
    directions = neurons.V / np.where(masses > 0.0, masses, 1.0)
    free = masses > 0.0
    groups = []
    even, odd = problem.activation.is_even, problem.activation.is_odd
    W_all, V_all, pattern_all = neurons.W.copy(), neurons.V.copy(), neurons.patterns.copy()
    for k in np.argsort(-masses, kind="stable"):
        if free[k]:
            if even or odd:  # (−w, v) or (−w, −v) is the same neuron
                flip = free & (W_all @ W_all[k] < 0.0)
                W_all[flip] *= -1.0
                pattern_all[flip] = ~pattern_all[flip]
                if odd:
                    V_all[:, flip] *= -1.0
                    directions[:, flip] *= -1.0
            close = free & (W_all @ W_all[k] > np.cos(angle)) & (directions.T @ directions[:, k] > np.cos(angle))
            close[k] = True
            free &= ~close
            groups.append(np.flatnonzero(close))
    neurons = Neurons(W_all, V_all, neurons.b, pattern_all)
    W = np.array([masses[g] @ neurons.W[g] for g in groups]).reshape(len(groups), points.shape[1])
    norms = np.linalg.norm(W, axis=1, keepdims=True)
    W /= norms
    V = np.array([neurons.V[:, g].sum(axis=1) for g in groups]).reshape(len(groups), problem.m).T
    majority = np.array([masses[g] @ np.where(neurons.patterns[g], 1.0, -1.0) for g in groups])
    patterns = majority.reshape(len(groups), problem.N) > 0.0
    size = np.linalg.norm(points, axis=1)
    kinks = np.abs(W @ points.T) <= ON_KINK * size
    if problem.activation.kink != 0.0:
        for row, g in zip(kinks, groups, strict=True):
            row |= neurons.patterns[g].any(axis=0) & ~neurons.patterns[g].all(axis=0)
    else:
        kinks[:] = False
    return Neurons(W, V, neurons.b, patterns), kinks


@dataclass(frozen=True, eq=False)
class _Point:
    """Neurons of which both halves count: w (k, r), v (k, m), b (m,)."""

    w: np.ndarray
    v: np.ndarray
    b: np.ndarray


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Φ on the pieces that the activation patterns fix: slopes (k, N), side (k, N) = ±1, points (N, r)."""

    problem: Problem
    smooth: Smooth
    points: np.ndarray
    slopes: np.ndarray
    side: np.ndarray

    def outputs(self, at: _Point) -> np.ndarray:
        """Z, (m, N)."""
        return at.v.T @ (self.slopes * (at.w @ self.points.T)) + self.problem.beta * at.b[:, np.newaxis]

    def objective(self, at: _Point) -> float:
        """Φ(w, v, b)."""
        bias = at.b @ at.b if self.problem.beta != 0.0 else 0.0
        penalty = float(np.sum(at.w * at.w) + np.sum(at.v * at.v) + bias)
        return self.smooth.value(self.outputs(at)) + self.problem.lam * penalty

    def derivatives(self, at: _Point, bases: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The gradient (t,) and the Hessian (t, t) in the reduced variables: per neuron z_k (in the null space of its kinks, with
        the basis bases[k]) and v_k, then b."""
        lam, beta = self.problem.lam, self.problem.beta
        k, m = at.v.shape
        n_b = m if beta != 0.0 else 0
        Z = self.outputs(at)
        R = self.smooth.gradient(Z)
        H = self.smooth.hessian(Z)  # (N, m, m)
        total = sum(Q.shape[1] for Q in bases) + k * m + n_b
        J = np.zeros((len(self.points), m, total))  # of Z
        gradient = np.zeros(total)
        curvature = np.zeros((total, total))
        begin = 0
        for j, basis in enumerate(bases):
            features = self.slopes[j][:, np.newaxis] * self.points  # (N, r)
            reduced = features @ basis
            middle = begin + basis.shape[1]
            end = middle + m
            J[:, :, begin:middle] = at.v[j][np.newaxis, :, np.newaxis] * reduced[:, np.newaxis, :]
            phi = features @ at.w[j]
            for o in range(m):
                J[:, o, middle + o] = phi
            gradient[begin:middle] = 2.0 * lam * (basis.T @ at.w[j])
            gradient[middle:end] = 2.0 * lam * at.v[j]
            cross = reduced.T @ R.T  # (d, m)
            curvature[begin:middle, middle:end] = cross
            curvature[middle:end, begin:middle] = cross.T
            begin = end
        if n_b:
            for o in range(m):
                J[:, o, begin + o] = beta
            gradient[begin:] = 2.0 * lam * at.b
        gradient += np.einsum("not,on->t", J, R)
        curvature += np.einsum("nos,nop,npt->st", J, H, J, optimize=True) + 2.0 * lam * np.eye(total)
        return gradient, curvature

    def change(self, at: _Point, bases: list[np.ndarray], step: np.ndarray) -> _Point:
        """A step in the reduced variables as one in w, v and b."""
        m = at.v.shape[1]
        dw, dv = np.zeros_like(at.w), np.zeros_like(at.v)
        begin = 0
        for j, basis in enumerate(bases):
            middle = begin + basis.shape[1]
            dw[j] = basis @ step[begin:middle]
            dv[j] = step[middle : middle + m]
            begin = middle + m
        return _Point(dw, dv, step[begin:] if self.problem.beta != 0.0 else np.zeros(m))

    def room(self, w: np.ndarray, dw: np.ndarray, kinks: np.ndarray) -> tuple[float, tuple[int, int] | None]:
        """How far (at most 1) w + t·dw keeps its activation patterns, and the (neuron, point) that stops it."""
        if self.problem.activation.kink == 0.0:
            return 1.0, None
        now, change = self.side * (w @ self.points.T), self.side * (dw @ self.points.T)
        falling = (change < 0.0) & ~kinks
        room = np.where(falling, np.maximum(now, 0.0) / np.where(falling, -change, 1.0), np.inf)
        if room.size == 0 or room.min() >= 1.0:
            return 1.0, None
        j, i = np.unravel_index(int(np.argmin(room)), room.shape)
        return float(room[j, i]), (int(j), int(i))


def polish(
    problem: Problem,
    points: np.ndarray,
    neurons: Neurons,
    angle: float,
    smooth: Smooth | None = None,
    deadline: float = math.inf,
) -> Neurons | None:
    """The merged and polished neurons, or None when the Newton iteration breaks down.

    points (N, r). smooth: what to minimise in place of the loss. deadline: a `time.monotonic()`, after which the iteration
    stops where it is. The result is not guaranteed to be better: compare.
    """
    neurons, kinks = merge(problem, neurons, points, angle)
    side = np.where(neurons.patterns, 1.0, -1.0)
    slopes = problem.activation.slope_at(neurons.patterns)
    pieces = _Pieces(problem, smooth or Smooth.loss(problem), points, slopes, side)
    at = _newton(pieces, _balanced(neurons), kinks, deadline)
    if at is None or not np.all(np.isfinite(np.linalg.norm(at.w, axis=1) * np.linalg.norm(at.v, axis=1))):
        return None
    norms = np.linalg.norm(at.w, axis=1)
    W = at.w / np.where(norms > 0.0, norms, 1.0)[:, np.newaxis]
    on = np.abs(W @ points.T) > ON_KINK * np.linalg.norm(points, axis=1)
    patterns = np.where(on, W @ points.T > 0.0, neurons.patterns)
    return Neurons(W, (at.v * norms[:, np.newaxis]).T, at.b, patterns).without_dust()


def _balanced(neurons: Neurons) -> _Point:
    """‖w_k‖ = ‖v_k‖."""
    root = np.sqrt(neurons.masses)
    return _Point(neurons.W * root[:, np.newaxis], (neurons.V / np.where(root > 0.0, root, 1.0)).T, neurons.b.copy())


def _newton(pieces: _Pieces, at: _Point, kinks: np.ndarray, deadline: float) -> _Point | None:
    """Damped Newton steps from a point whose neurons sit on `kinks` (k, N); None where the equations have no solution."""
    r = at.w.shape[1]
    bases = [_null_space(pieces.points[row], r) for row in kinks]
    w = np.array([Q @ (Q.T @ row) for Q, row in zip(bases, at.w, strict=True)]).reshape(at.w.shape)
    at = replace(at, w=w)
    value = pieces.objective(at)
    unit = small_unit(value)
    damping = 1e-6 * unit
    for _ in range(STEPS):
        if late(deadline):
            break
        gradient, curvature = pieces.derivatives(at, bases)
        if float(np.linalg.norm(gradient)) <= 1e-14 * (unit + abs(value)):
            break
        moved = False
        for _ in range(DAMPINGS):
            try:
                step = np.linalg.solve(curvature + damping * np.eye(len(gradient)), -gradient)
            except np.linalg.LinAlgError:
                return None
            slope = float(gradient @ step)
            if slope < 0.0:
                by = pieces.change(at, bases, step)
                length, hit = pieces.room(at.w, by.w, kinks)
                trial = _Point(at.w + length * by.w, at.v + length * by.v, at.b + length * by.b)
                new = pieces.objective(trial)
                if new <= value + 1e-4 * length * slope or (abs(slope) < 1e-13 * abs(value) and new <= value):
                    moved = new < value or hit is not None
                    at, value = trial, new
                    if hit is not None:
                        at = _onto_kink(pieces, at, kinks, bases, hit)
                        value = pieces.objective(at)
                    damping = max(damping * 0.1, 1e-14 * unit)
                    break
            damping *= 10.0
        if not moved:
            break
    return at


def _onto_kink(pieces: _Pieces, at: _Point, kinks: np.ndarray, bases: list[np.ndarray], hit: tuple[int, int]) -> _Point:
    """The (neuron, point) of `hit` becomes an equation, in `kinks` and `bases` too."""
    j, _ = hit
    kinks[hit] = True
    bases[j] = _null_space(pieces.points[kinks[j]], at.w.shape[1])
    w = at.w.copy()
    w[j] = bases[j] @ (bases[j].T @ w[j])
    return replace(at, w=w)


def polish_interpolation(
    problem: Problem, points: np.ndarray, neurons: Neurons, G: np.ndarray, angle: float, deadline: float = math.inf
) -> tuple[Neurons, np.ndarray] | None:
    """`polish` for Z = Y: the neurons and the multiplier G (m, N) they converged with, or None when they do not fit."""
    size = float(np.abs(problem.targets).max())
    rho = 100.0 * float(np.abs(G).max()) / size
    now, least, without_gain = neurons, math.inf, 0
    for turn in range(MULTIPLIER_ROUNDS):
        better = polish(
            problem, points, now, angle if turn == 0 else 1e-9, Smooth.multipliers(problem, G, rho), deadline
        )
        if better is None or not len(better.W):
            return None
        fewer, now = len(better.W) < len(now.W), better
        residual = now.outputs(problem, points) - problem.targets
        error = float(np.abs(residual).max())
        if error > 0.3 * size:
            return None
        without_gain = 0 if fewer or error < 0.2 * least else without_gain + 1
        if error <= 1e-14 * size or without_gain == 2:
            break
        least = min(error, least)
        G = G - rho * residual
    return (now, G) if error <= 1e-9 * size else None


def _null_space(rows: np.ndarray, r: int) -> np.ndarray:
    """An orthonormal basis (r, d) of {w : rows·w = 0}."""
    if not len(rows):
        return np.eye(r)
    _, singular, right = np.linalg.svd(rows, full_matrices=True)
    rank = int((singular > 1e-10 * singular[0]).sum()) if singular[0] > 0.0 else 0
    return right[rank:].T
