"""The doubly nonnegative relaxation of the whole training problem, by an augmented Lagrangian in low-rank factors.

With all neurons balanced and Y = Σ yyᵀ over them (forms.py), the problem of depth 2 relaxes to

    minimise  C(Z(Y) + βb1ᵀ) + λ‖b‖² + 2λ Y_νν   over Y ⪰ 0, b
    such that  tr Y_ww = tr Y_vv = Y_νν,   F_pq(Y) = 0 for p_i and q_i of one point,   FYFᵀ ≥ 0 for all products of ν, p, q, s,
               ‖(FYFᵀ)_{f,w}‖ ≤ (FYFᵀ)_{f,ν} for f among p, q, s               (*)

where Z_ji(Y) = a₊(FYFᵀ)_{v_j,p_i} − a₋(FYFᵀ)_{v_j,q_i}; one output: one Y for each sign of v. (*) is fwᵀ as a vector no
longer than fν; it is left out where the rank is near N. The multipliers of these conditions
are a dual point G = −∇C(Z) with a proof of γ(G) ≤ 2λ, as far as the quadratic form S of repair.py is positive semidefinite.

**Method.** Y has small rank at the optimum (6 for two classes of digits, N = 100), and few products are active (4 %). So
Y = RRᵀ with few columns (Burer and Monteiro 2003), and the inequalities go into an augmented Lagrangian: a multiplier is
L = max(L₀ − σ·product, 0), likewise for (*) by projection on the cone. The minimiser over R is followed by L-BFGS, whose memory
outlives the multipliers' updates; a direction of negative curvature of S, if there is one, joins R. No step needs an
eigenvalue but that one. Whatever the accuracy, the multipliers are feasible but for S ⪰ 0, which repair.py mends and proves.

σ follows what limits the bound: it grows while D(G) lacks more than the repair costs, and falls when it is the other way round.
Nothing here is proven.

The state is in arrays of numpy, or in tensors of torch in float64 on any device (`device`): the same code for both. Candidates
are arrays of numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cpcert.moments.forms import Forms, module_of
from cpcert.moments.regions import Trees, whole
from cpcert.problem import Problem

# ‖X‖ of the scaled points: how much weight p, q and s have against ν and w in the metric of R.
SIZE = 4.0
# Steps of L-BFGS between two updates of the multipliers, and its memory.
STEPS, MEMORY = 30, 20
# σ to begin with, where it stays, and the factor of a change.
PENALTY, LEAST_PENALTY, LARGEST_PENALTY, CHANGE = 300.0, 1.0, 1e5, 1.2
# It does not fall before so many updates: the first candidates are far from everything.
YOUNG = 12
# σ is left alone while the excess of the repaired bound over 2λ is between these multiples of what D(G) lacks.
CLOSE, FAR = 0.5, 2.0
# Columns of R for one output and for several; more are added when all are used.
COLUMNS, MORE_COLUMNS = (16, 32), 8
# (*) from so many points per dimension on.
POINTS_PER_DIMENSION = 1.5


@dataclass(frozen=True, eq=False)
class Multipliers:
    """Multipliers of one matrix Y, for the points as they were given (coordinates of Coordinates.points).

    cost: (c_ν, c_v, c_w). products T (1 + 3N, 1 + 3N): symmetric, ≥ 0 but for the pairs (p_i, q_i), which are free; forms
    are numbered ν, p, q, s. cone: None, or (alpha (3N,), beta (3N, r)) with ‖β‖ ≤ α. They stand for the form

        c_νν² + c_v‖v‖² + c_w‖w‖² − vᵀG(a₊p − a₋q) − fᵀTf − Σ_a f_a(α_aν + β_aᵀw).
    """

    cost: tuple[float, float, float]
    products: np.ndarray
    cone: tuple[np.ndarray, np.ndarray] | None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A dual point G (m, N) with multipliers, one for each leaf of the trees. objective: that of Y, which is nearly feasible."""

    G: np.ndarray
    trees: Trees
    parts: tuple[Multipliers, ...]
    objective: float


@dataclass(frozen=True, eq=False)
class _Evaluation:
    value: float
    objective: float
    R_slope: Any
    b_slope: Any
    Z_slope: Any
    parts: tuple[tuple[Any, tuple[Any, Any] | None, tuple[float, float, float]], ...]


def _host(array: Any) -> np.ndarray:
    """As an array of numpy."""
    return np.asarray(array if isinstance(array, np.ndarray) else array.detach().cpu().numpy())


class Relaxation:
    """The state of one run. neurons: W (k, r), V (m, k), of a trained network, in the coordinates of `points` (N, r).

    device: None for numpy, or where torch computes ("cpu", "cuda", …).
    """

    def __init__(
        self,
        problem: Problem,
        points: np.ndarray,
        W: np.ndarray,
        V: np.ndarray,
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        self.device = device
        self.problem, self.m = problem, problem.m
        _, singular, right = np.linalg.svd(points, full_matrices=False)
        self.turn, self.unit = right.T, float(singular[0]) / SIZE
        self.forms = Forms(self._array(points @ self.turn / self.unit), self.m, self.m == 1)
        self.targets = self._array(problem.targets)
        self.signs = (1.0, -1.0) if self.m == 1 else (1.0,)
        self.rng = np.random.default_rng(seed)
        F, blocks = self.forms, len(self.signs)
        masses = np.linalg.norm(W, axis=1) * np.linalg.norm(V, axis=0)
        self.mass = max(float(masses.sum()), 1e-12)
        self.objective_unit = 1.0 / (2.0 * problem.lam * self.mass)
        self.output_unit = self.mass * self.unit
        self.with_cone = POINTS_PER_DIMENSION * F.r <= F.N
        self.penalty, self.updates = PENALTY, 0
        self.products = self._array(np.zeros((blocks, 1 + 3 * F.N, 1 + 3 * F.N)))
        self.cone = self._array(np.zeros((blocks, 3 * F.N))), self._array(np.zeros((blocks, 3 * F.N, F.r)))
        self.costs = np.full((blocks, 2), 0.5 if self.m == 1 else 1.0 / 3.0)
        self.targets_multiplier = self._array(np.zeros((self.m, F.N)))
        self.R, self.b = self._array(self._start(W, V, masses)), self._array(np.zeros(self.m))
        self.memory = _Memory()

    def _array(self, values: np.ndarray) -> Any:
        """Where the state is."""
        if self.device is None:
            return np.ascontiguousarray(values)
        import torch

        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def _start(self, W: np.ndarray, V: np.ndarray, masses: np.ndarray) -> np.ndarray:
        """The leading part of the network's own Y, with a little noise."""
        F = self.forms
        k = min(F.order, COLUMNS[self.m > 1])
        R = np.zeros((len(self.signs), F.order, k))
        for block, sign in enumerate(self.signs):
            live = masses > 1e-9 * masses.sum()
            if self.m == 1:
                live &= sign * V[0] > 0.0
            nu = np.sqrt(masses[live] / self.mass)
            w = W[live] / np.linalg.norm(W[live], axis=1, keepdims=True) * nu[:, np.newaxis]
            v = V[:, live] / np.linalg.norm(V[:, live], axis=0) * nu
            Y = _host(F.coordinates(*map(self._array, (nu, v, w @ self.turn))))
            left, singular, _ = np.linalg.svd(Y, full_matrices=False)
            count = min(k, len(singular))
            R[block, :, :count] = left[:, :count] * singular[:count]
        return R + 1e-3 * self.rng.standard_normal(R.shape)

    # -- the augmented Lagrangian ------------------------------------------------------------------------------------

    def evaluate(self, R: Any, b: Any) -> _Evaluation:
        """Value and slopes at R (blocks, order, k) and b (m,), and the multipliers that an update would take."""
        problem, F, sigma = self.problem, self.forms, self.problem.activation
        rows = [F.apply(R[i], sign) for i, sign in enumerate(self.signs)]
        Z = self.output_unit * sum(f[F.v] @ (sigma.a_plus * f[F.p] - sigma.a_minus * f[F.q]).T for f in rows)
        value, Z_slope = self._fit(Z + problem.beta * b[:, None])
        value += problem.lam * float(b @ b) * self.objective_unit
        objective = value + sum(float(f[0] @ f[0]) for f in rows)
        b_slope = problem.beta * Z_slope.sum(1) + 2.0 * problem.lam * self.objective_unit * b
        half = 0.5 * self.output_unit * Z_slope
        slopes, parts = [], []
        for i, f in enumerate(rows):
            more, slope, part = self._constraints(i, f)
            value += more
            slope[F.v] += half @ (sigma.a_plus * f[F.p] - sigma.a_minus * f[F.q])
            back = half.T @ f[F.v]
            slope[F.p] += sigma.a_plus * back
            slope[F.q] -= sigma.a_minus * back
            slopes.append(2.0 * F.transpose(slope, self.signs[i]))
            parts.append(part)
        R_slope = module_of(R).stack(slopes)
        return _Evaluation(value, objective / self.objective_unit, R_slope, b_slope, Z_slope, tuple(parts))

    def _fit(self, Z: Any) -> tuple[float, Any]:
        """The loss and its slope over the unit of the objective; for interpolate the augmented Lagrangian of Z = Y."""
        loss, Y = self.problem.loss, self.targets
        if self.device is not None and not loss.is_constraint:
            return float(loss.tensor_value(Z, Y)) * self.objective_unit, loss.tensor_gradient(
                Z, Y
            ) * self.objective_unit
        if not loss.is_constraint:
            return loss.value(Z, Y) * self.objective_unit, loss.gradient(Z, Y) * self.objective_unit
        # In units of the outputs, so that σ means the same.
        rest = (Z - Y) / self.output_unit
        slope = (self.penalty * rest - self.targets_multiplier * self.output_unit) / self.output_unit
        value = float((0.5 * self.penalty * rest**2).sum()) - float((self.targets_multiplier * (Z - Y)).sum())
        return value, slope

    def _constraints(self, i: int, f: Any) -> tuple[float, Any, tuple]:
        """Value, half the slope in the rows f (rows, k), and the multipliers of block i."""
        F, sigma, N = self.forms, self.penalty, self.forms.N
        points = f[F.nonnegative]
        xp = module_of(f)
        A = xp.concatenate([f[:1], points])
        T = self.products[i] - sigma * (A @ A.T)
        one = 1 + np.arange(N)
        free = T[one, one + N]
        T = T.clip(0.0)
        T[one, one + N] = free
        T[one + N, one] = free
        slope = xp.zeros_like(f)
        value = 0.0
        cone = None
        if self.with_cone:
            along = self.cone[0][i] - 2.0 * sigma * (points @ f[0])
            across = self.cone[1][i] - 2.0 * sigma * (points @ f[F.w].T)
            cone = project_on_cone(along, across)
            T[0, 1:] = 0.0
            T[1:, 0] = 0.0
            value += (float(cone[0] @ cone[0]) + float((cone[1] * cone[1]).sum())) / (4.0 * sigma)
            slope[0] -= 0.5 * (cone[0] @ points)
            slope[F.w] -= 0.5 * (cone[1].T @ points)
            slope[F.nonnegative] -= 0.5 * (cone[0][:, None] * f[0] + cone[1] @ f[F.w])
        value += float((T * T).sum()) / (2.0 * sigma)
        image = T @ A
        slope[0] -= image[0]
        slope[F.nonnegative] -= image[1:]
        nu, w = float(f[0] @ f[0]), float((f[F.w] * f[F.w]).sum())
        c_w = self.costs[i, 0] + sigma * (w - nu)
        value += nu + self.costs[i, 0] * (w - nu) + 0.5 * sigma * (w - nu) ** 2
        slope[F.w] += c_w * f[F.w]
        c_v = 0.0
        if self.m > 1:
            v = float((f[F.v] * f[F.v]).sum())
            c_v = self.costs[i, 1] + sigma * (v - nu)
            value += self.costs[i, 1] * (v - nu) + 0.5 * sigma * (v - nu) ** 2
            slope[F.v] += c_v * f[F.v]
        slope[0] += (1.0 - c_w - c_v) * f[0]
        return value, slope, (T, cone, (1.0 - c_w - c_v, c_v, c_w))

    # -- steps ---------------------------------------------------------------------------------------------------------

    def step(self) -> _Evaluation:
        """STEPS of L-BFGS on (R, b); the evaluation where they end."""
        shape, size, xp = self.R.shape, math.prod(self.R.shape), module_of(self.R)

        def at(x: Any) -> tuple[_Evaluation, Any]:
            found = self.evaluate(x[:size].reshape(shape), x[size:])
            return found, xp.concatenate([found.R_slope.ravel(), found.b_slope])

        x = xp.concatenate([self.R.ravel(), self.b])
        found, slope = at(x)
        for _ in range(STEPS):
            direction = self.memory.direction(slope)
            descent = float(direction @ slope)
            if not descent < 0.0:
                self.memory.forget()
                direction = -slope
                descent = float(direction @ slope)
                if not descent < 0.0:
                    break
            length = 1.0
            if self.memory.empty:
                length = 1e-2 * math.sqrt(float(x @ x)) / math.sqrt(-descent)
            while True:
                new, new_slope = at(x + length * direction)
                if new.value <= found.value + 1e-4 * length * descent + 1e-13 * abs(found.value):
                    break
                if length < 1e-9:
                    self.memory.forget()
                    break
                rise = new.value - found.value - length * descent
                factor = -0.5 * descent * length / rise if math.isfinite(rise) and rise > 0.0 else 0.1
                length *= max(0.1, min(0.5, factor))
            if length < 1e-9:
                break
            self.memory.add(length * direction, new_slope - slope)
            x, found, slope = x + length * direction, new, new_slope
        self.R, self.b = x[:size].reshape(shape), x[size:]
        return found

    def update(self, found: _Evaluation) -> None:
        """Take the multipliers of an evaluation."""
        for i, (T, cone, cost) in enumerate(found.parts):
            self.products[i] = T
            if cone is not None:
                self.cone[0][i], self.cone[1][i] = cone
            self.costs[i] = cost[2], cost[1]
        if self.problem.loss.is_constraint:
            self.targets_multiplier = -found.Z_slope

    def candidate(self, found: _Evaluation) -> Candidate:
        """The dual point and the multipliers of an evaluation, in the units of the problem."""
        two_lam = 2.0 * self.problem.lam
        G = self.problem.loss.project_dual(-_host(found.Z_slope) / self.objective_unit, self.problem.targets)
        scale = np.concatenate([[1.0], np.full(3 * self.forms.N, 1.0 / self.unit)])
        parts = []
        for T, cone, cost in found.parts:
            if cone is not None:
                along, across = map(_host, cone)
                cone = (two_lam * along / self.unit, two_lam * (across @ self.turn.T) / self.unit)
            parts.append(
                Multipliers(
                    (two_lam * cost[0], two_lam * cost[1], two_lam * cost[2]),
                    two_lam * _host(T) * scale * scale[:, np.newaxis],
                    cone,
                )
            )
        return Candidate(G, whole(self.m), tuple(parts), found.objective)

    def moments(self) -> list[np.ndarray]:
        """Y for each block in the variables (ν, v, w, z) of repair.py, in the units of the problem."""
        F, result = self.forms, []
        for R, sign in zip(self.R, self.signs, strict=True):
            f = _host(F.apply(R, sign))
            v = f[:0] if F.signed else f[F.v]
            y = np.concatenate([f[:1], v, self.turn @ f[F.w], (f[F.p] + f[F.q]) * self.unit])
            result.append(self.mass * (y @ y.T))
        return result

    def curvature(self, found: _Evaluation) -> list[tuple[float, Any]]:
        """For each block the least eigenvalue of S in the coordinates of R, and its vector."""
        F, sigma = self.forms, self.problem.activation
        half = 0.5 * self.output_unit * found.Z_slope
        result = []
        for (T, cone, cost), sign in zip(found.parts, self.signs, strict=True):
            D = self._array(np.zeros((F.rows, F.rows)))
            D[0, 0], D[F.nonnegative, F.nonnegative] = -T[0, 0], -T[1:, 1:]
            D[0, F.nonnegative], D[F.nonnegative, 0] = -T[0, 1:], -T[1:, 0]
            if cone is not None:
                D[0, F.nonnegative] -= 0.5 * cone[0]
                D[F.w, F.nonnegative] -= 0.5 * cone[1].T
                D[F.nonnegative, 0] = D[0, F.nonnegative]
                D[F.nonnegative, F.w] = D[F.w, F.nonnegative].T
            D[0, 0] += cost[0]
            for rows, c in ((F.v, cost[1]), (F.w, cost[2])):
                k = np.arange(rows.start, rows.stop)
                D[k, k] += c
            for rows, a in ((F.p, sigma.a_plus), (F.q, -sigma.a_minus)):
                D[F.v, rows] += a * half
                D[rows, F.v] += a * half.T
            S = F.transpose(F.transpose(D, sign).T, sign)
            values, vectors = module_of(S).linalg.eigh(0.5 * (S + S.T))
            result.append((float(values[0]), vectors[:, 0]))
        return result

    def adapt(self, excess: float, lack: float, curvature: list[tuple[float, Any]]) -> None:
        """σ, directions of negative curvature and the number of columns for the next step.

        excess: u/2λ − 1 of the repair. lack: |1 − D(G)/objective| before G is scaled for it.
        """
        self.updates += 1
        if excess > FAR * max(lack, 0.01) and self.updates > YOUNG:
            self.penalty = max(self.penalty / CHANGE, LEAST_PENALTY)
        elif excess < CLOSE * lack:
            self.penalty = min(self.penalty * CHANGE, LARGEST_PENALTY)
        sizes = [np.linalg.svd(_host(R), compute_uv=False) for R in self.R]
        if all(s[-1] > 1e-3 * s[0] for s in sizes) and self.R.shape[2] < self.forms.order:
            more = min(MORE_COLUMNS, self.forms.order - self.R.shape[2])
            noise = 1e-3 * sizes[0][0] / math.sqrt(self.forms.order)
            extra = noise * self.rng.standard_normal((*self.R.shape[:2], more))
            self.R = self._array(np.concatenate([_host(self.R), extra], axis=2))
            self.memory.forget()
        for R, (value, vector) in zip(self.R, curvature, strict=True):
            if value < -1e-6:
                norms = np.linalg.norm(_host(R), axis=0)
                R[:, int(np.argmin(norms))] += 1e-2 * float(np.linalg.norm(norms)) * vector


def project_on_cone(along: Any, across: Any) -> tuple[Any, Any]:
    """The nearest (α, β) with ‖β_a‖ ≤ α_a to (along (k,), across (k, r)), row by row."""
    xp = module_of(across)
    norms = xp.einsum("ij,ij->i", across, across) ** 0.5
    middle = (0.5 * (along + norms)).clip(0.0)
    inside = norms <= along
    alpha = xp.where(inside, along, middle)
    factor = xp.where(inside, 1.0, middle / norms.clip(1e-300))
    return alpha, across * factor[:, None]


class _Memory:
    """The pairs of L-BFGS (Nocedal and Wright, Algorithm 7.4)."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Any, Any, float]] = []

    @property
    def empty(self) -> bool:
        return not self.pairs

    def forget(self) -> None:
        self.pairs.clear()

    def add(self, step: Any, change: Any) -> None:
        curve = float(step @ change)
        if curve > 1e-12 * math.sqrt(float(step @ step) * float(change @ change)):
            self.pairs.append((step, change, curve))
            del self.pairs[:-MEMORY]

    def direction(self, slope: Any) -> Any:
        d = -slope
        weights = []
        for step, change, curve in reversed(self.pairs):
            weight = float(step @ d) / curve
            weights.append(weight)
            d = d - weight * change
        if self.pairs:
            _, change, curve = self.pairs[-1]
            d = d * (curve / float(change @ change))
        for (step, change, curve), weight in zip(self.pairs, reversed(weights), strict=True):
            d = d + (weight - float(change @ d) / curve) * step
        return d


def candidates(
    relaxation: Relaxation, judge: Callable[[Candidate], tuple[float, float]], stop: Callable[[], bool]
) -> Iterator[Candidate]:
    """One candidate after another until `stop`. judge: (excess, lack) of a candidate, see `Relaxation.adapt`."""
    while not stop():
        found = relaxation.step()
        if not math.isfinite(found.value):
            return
        candidate = relaxation.candidate(found)
        excess, lack = judge(candidate)
        yield candidate
        relaxation.update(found)
        relaxation.adapt(excess, lack, relaxation.curvature(found))
