"""The end of the relaxation: a primal-dual interior-point method on the few multipliers that matter.

The augmented Lagrangian of relaxation.py knows after seconds which products are active (some hundreds of 45 000 at N = 100), and
then converges slowly. On these alone the dual problem

    maximise D(G) = −C*(−G) − (β²/4λ)‖G1‖²  over G, λ, L ≥ 0, c_v, c_w  with  S_k(G, λ, L, c) ⪰ 0 for every block k     (1)

(S of repair.py, c_ν = 2λ − c_v − c_w) is a semidefinite program with coefficients of low rank: every unknown but the costs
stands at a product f_a f_b of two linear forms (system.py). Leaving multipliers out keeps (1) feasible: each iterate is a proof as
it stands, and nothing is lost in its repair; products join and leave between steps (blocks.py).

The directions are those of Helmberg, Rendl, Vanderbei and Wolkowicz (1996), with Mehrotra's corrector. Nothing here is proven.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy.linalg import lapack, solve_triangular

from cpcert.moments.blocks import Block, inverse_factor
from cpcert.moments.regions import Trees, leaves, split, whole
from cpcert.moments.relaxation import Candidate
from cpcert.moments.system import Schur, System, system_of
from cpcert.problem import Problem

# Unknowns of G beyond which a step takes too long.
MOST_DUALS = 4000
# The start: its share of 2λ as room for S, and the gap between X and S that it begins with, relative to the objective.
ROOM, FIRST_GAP = 0.02, 0.01
# The complementarity that is added there is at least this share of ⟨X, S⟩, for X of the moments alone.
CENTRED = 0.4
# Regions are not split where what p_iq_i = 0 carries is below this share of the most.
LITTLE = 0.25
# Of the way to the boundary; products join and leave after steps of at least this length, and after every so many.
BOUNDARY, LONG, RARELY = 0.95, 0.3, 5
# Correctors of a step (Gondzio 1996): they aim so much further than the step goes, put complementarities between these multiples of
# the target, and are kept if both lengths together become longer by this.
CORRECTORS, FURTHER, BETWEEN, LONGER = 2, 0.3, (0.1, 10.0), 0.03
# The Schur complement is factored in double precision from the step on after which single precision leaves this residual, or fails.
ROUGH = 0.3
# Eigenvalues of XS and products xL stay above this part of their mean: steps are shortened by this factor until they do.
CENTRAL, SHORTER = 0.01, 0.8
# Seconds for an entry of the Schur complement, and for a multiplication in its factor and with that.
PER_ENTRY, PER_FLOP = 2e-8, 2e-11
# The end: the gap between X and S, relative to the objective.
CLOSED = 1e-4


def suits(problem: Problem) -> bool:
    """Whether D is quadratic (or linear) on everything, and small enough."""
    loss = problem.loss
    return (loss.is_squared_distance or loss.is_constraint) and problem.m * problem.N <= MOST_DUALS


def _length(inverse: np.ndarray, change: np.ndarray) -> float:
    """The largest t with CCᵀ + t·change ⪰ 0, for inverse = C⁻¹."""
    least = float(np.linalg.eigvalsh(inverse @ change @ inverse.T)[0])
    return BOUNDARY / -least if least < 0.0 else math.inf


def _ratio(values: np.ndarray, change: np.ndarray) -> float:
    worst = float(np.max(-change / values, initial=0.0))
    return BOUNDARY / worst if worst > 0.0 else math.inf


class Interior:
    """The state of one run: G (m, N) and one block for each leaf of the trees (regions.py)."""

    def __init__(self, problem: Problem, points: np.ndarray, trees: Trees | None = None) -> None:
        self.problem, self.points = problem, points
        self.two_lam = 2.0 * problem.lam
        self.trees = whole(problem.m) if trees is None else trees
        self.blocks = [Block(problem, points, v, signs) for v, signs in leaves(self.trees, problem.N)]
        self.G = np.zeros((problem.m, problem.N))
        self.fine, self.residual = False, 0.0

    def start(
        self,
        candidate: Candidate,
        repaired: list[tuple[tuple[float, float, float], np.ndarray]],
        moments: list[np.ndarray],
    ) -> bool:
        """Begin at a repaired candidate; whether that worked.

        repaired: (cost, λ) of each block, with S ⪰ 0. moments: X of each block in (ν, v, w, z), of any rank.
        """
        bound = max(sum(cost) for cost, _ in repaired)
        scale = (1.0 - ROOM) * self.two_lam / bound
        self.G = scale * candidate.G
        for block, part, (cost, linear) in zip(self.blocks, candidate.parts, repaired, strict=True):
            T = scale * part.products
            T[block.pair] = T[block.pair[::-1]] = 0.0
            T = np.where(block.allowed, T * (2.0 - np.eye(len(T))), 0.0)
            first, second = np.nonzero(1e-7 * T.max() < T)
            L = T[first, second]
            if part.cone is not None:
                beta = part.cone[1]
                norms = scale * np.linalg.norm(beta, axis=1)
                live = np.flatnonzero(norms > 1e-6 * max(float(norms.max()), 1e-300))
                block.directions = np.zeros((len(live), block.order))
                block.directions[:, 0] = 1.0
                block.directions[:, block.w] = scale * beta[live] / norms[live, np.newaxis]
                first, second = np.append(first, 1 + live), np.append(second, len(block.forms) + np.arange(len(live)))
                L = np.append(L, norms[live])
            block.join(first, second, L, np.zeros(len(L)))
            block.linear = scale * linear
            c = scale * np.array(cost)
            block.c = (c[1:] if block.sign == 0.0 else c[2:]) + (self.two_lam - c.sum()) / (1 + len(block.costs))
        mu = FIRST_GAP * abs(candidate.objective) / sum(block.order for block in self.blocks)
        if not all(block.prune(X, mu, self.G, self.two_lam) for block, X in zip(self.blocks, moments, strict=True)):
            return False
        self._center(moments, FIRST_GAP * abs(candidate.objective) / self.count)
        return True

    def doubtful(self) -> list[int | None]:
        """For each block the free point whose complementarity p_iq_i = 0 carries most; None where that is little."""
        weights = [np.abs(b.linear) * np.diagonal(b.X)[b.w.stop :] for b in self.blocks]
        most = max(float(weight.max(initial=0.0)) for weight in weights)
        return [
            int(block.free[np.argmax(weight)]) if weight.max(initial=0.0) > LITTLE * most else None
            for block, weight in zip(self.blocks, weights, strict=True)
        ]

    def divided(self, points: list[int | None], mu: float | None = None) -> Interior:
        """The state with the leaves split at these points: S is feasible in both halves as it is. X is μS⁻¹, or near half of the X
        before where no μ is given: far from complementary to S, as its z_i are not |x_iᵀw|, but of the right size."""
        result = Interior(self.problem, self.points, split(self.trees, points))
        result.G, result.fine = self.G, self.fine
        parents = [b for b, point in zip(self.blocks, points, strict=True) for _ in range(1 if point is None else 2)]
        guesses = [
            block.inherit(parent, self.two_lam, self.G) for block, parent in zip(result.blocks, parents, strict=True)
        ]
        if mu is None:
            result._center(guesses, self.measure() / self.count)
        else:
            for block in result.blocks:
                block.center(mu)
        return result

    def _center(self, guesses: list[np.ndarray], mu: float) -> None:
        """X from these guesses, and the slacks, near those of complementarity μ, or more if the guesses are far from S."""
        total = sum(float(np.vdot(X, block.S)) for block, X in zip(self.blocks, guesses, strict=True))
        for block, X in zip(self.blocks, guesses, strict=True):
            block.center(max(mu, CENTRED * total / self.count), X)

    def measure(self) -> float:
        """⟨X, S⟩ + ⟨x, L⟩: the duality gap where both are feasible."""
        return sum(float(np.vdot(b.X, b.S)) + float(b.x @ b.L) for b in self.blocks)

    @property
    def count(self) -> int:
        """The parameter of the barrier."""
        return sum(block.order + len(block.L) for block in self.blocks)

    @property
    def seconds(self) -> float:
        """What a step takes, about."""
        d, sizes = self.G.size, [len(block.L) + len(block.linear) for block in self.blocks]
        return sum(PER_ENTRY * k**2 + PER_FLOP * (k**3 / 3.0 + d * k**2 + d**2 * k) for k in sizes)

    @property
    def memory(self) -> float:
        """The bytes of the factors of a step, about, with as many products again."""
        return sum(4.0 * k * (k + self.G.size) for k in (2 * len(block.L) for block in self.blocks))

    # -- a step --------------------------------------------------------------------------------------------------------

    def _objective(self) -> tuple[np.ndarray, np.ndarray]:
        """The gradient of D at G (mN,), and −its second derivative (mN, mN)."""
        p, (m, N) = self.problem, self.G.shape
        curve = 0.5 * N if p.loss.is_squared_distance else 0.0
        bias = p.beta**2 / (2.0 * p.lam)
        slope = p.targets - curve * self.G - bias * self.G.sum(axis=1, keepdims=True)
        return slope.ravel(), np.kron(np.eye(m), curve * np.eye(N) + bias * np.ones((N, N)))

    def step(self) -> tuple[float, float] | None:
        """One step; its lengths in S and X. None if the linear algebra fails, in double precision, too."""
        lengths = self._step()
        if lengths is None and not self.fine:
            self.fine = True
            lengths = self._step()
        self.fine = self.fine or not self.residual < ROUGH
        return lengths

    def _step(self) -> tuple[float, float] | None:
        mu = self.measure() / self.count
        slope, curvature = self._objective()
        system = system_of(self.blocks, slope, curvature, self.fine)
        if system is None:
            return None
        schurs = system.schurs
        aims = [(np.zeros_like(b.X), np.zeros(len(b.L))) for b in self.blocks]
        guess = self._direction(system, aims)
        dual, primal = self._lengths(schurs, guess)
        after = sum(
            float(np.vdot(b.X + primal * dX, b.S + dual * dS)) + float((b.x + primal * dx) @ (b.L + dual * dL))
            for b, (dS, dX, dL, _, _, dx) in zip(self.blocks, guess[1], strict=True)
        )
        share = max(after / (mu * self.count), 0.0)
        target = mu * min(max(share**2, 1e-3), 0.9 if min(dual, primal) < LONG else 0.5)
        aims = []
        for b, schur, (dS, dX, dL, _, _, dx) in zip(self.blocks, schurs, guess[1], strict=True):
            second = dX @ dS @ schur.inverse
            aims.append((target * schur.inverse - 0.5 * (second + second.T), (target - dx * dL) / b.L))
        move = self._direction(system, aims)
        dual, primal = self._lengths(schurs, move)
        for _ in range(CORRECTORS):
            if min(dual, primal) > 1.0 - FURTHER:
                break
            aims = self._corrected(aims, move, min(1.0, dual + FURTHER), min(1.0, primal + FURTHER), target)
            other = self._direction(system, aims)
            lengths = self._lengths(schurs, other)
            if sum(lengths) < dual + primal + LONGER:
                break
            move, (dual, primal) = other, lengths
        while min(dual, primal) > 1e-3 and not self._is_central(move[1], dual, primal):
            dual, primal = SHORTER * dual, SHORTER * primal
        self.G = self.G + dual * move[0]
        for b, (_, dX, dL, dlinear, dc, dx) in zip(self.blocks, move[1], strict=True):
            b.L, b.linear, b.c = b.L + dual * dL, b.linear + dual * dlinear, b.c + dual * dc
            b.X, b.x = b.X + primal * dX, b.x + primal * dx
            b.S = b.matrix(self.G, self.two_lam)
        return dual, primal

    def _corrected(self, aims: list, move: tuple[np.ndarray, list], dual: float, primal: float, mu: float) -> list:
        """Aims whose complementarities, that far along the move, lie between multiples of μ."""
        low, high = BETWEEN[0] * mu, BETWEEN[1] * mu
        result = []
        for b, (T, t), (dS, dX, dL, _, _, dx) in zip(self.blocks, aims, move[1], strict=True):
            C = np.linalg.cholesky(b.S)
            inverse = solve_triangular(C, np.eye(len(C)), lower=True, check_finite=False)
            there = (C.T @ (b.X + primal * dX) @ C) @ (inverse @ (b.S + dual * dS) @ inverse.T)
            values, vectors = np.linalg.eigh(0.5 * (there + there.T))
            change = inverse.T @ vectors
            more = np.maximum(np.clip(values, low, high) - values, -high)
            product = (b.x + primal * dx) * (b.L + dual * dL)
            less = np.maximum(np.clip(product, low, high) - product, -high)
            result.append((T + (change * more) @ change.T, t + less / b.L))
        return result

    def _direction(self, system: System, aims: list) -> tuple[np.ndarray, list]:
        """The changes of G and of the blocks, see System.direction."""
        dG, moves, self.residual = system.direction(aims)
        return dG.reshape(self.G.shape), moves

    def _lengths(self, schurs: list[Schur], move: tuple[np.ndarray, list]) -> tuple[float, float]:
        """How far S and L, and X and x, may go; at most 1."""
        dual = primal = 1.0
        for b, (dS, dX, dL, _, _, dx) in zip(self.blocks, move[1], strict=True):
            dual, primal = min(dual, _ratio(b.L, dL)), min(primal, _ratio(b.x, dx))
            for now, change, which in ((b.S, dS, 0), (b.X, dX, 1)):
                inverse = inverse_factor(now)
                length = 0.0 if inverse is None else _length(inverse, change)
                dual, primal = (min(dual, length), primal) if which == 0 else (dual, min(primal, length))
        return dual, primal

    def _is_central(self, moves: list, dual: float, primal: float) -> bool:
        """Whether no eigenvalue of XS and no product xL is far below their mean, that far along the moves."""
        total, least = 0.0, math.inf
        for b, (dS, dX, dL, _, _, dx) in zip(self.blocks, moves, strict=True):
            S, X, L, x = b.S + dual * dS, b.X + primal * dX, b.L + dual * dL, b.x + primal * dx
            C, failed = lapack.dpotrf(S, lower=1, clean=1)
            if failed:
                return False
            total += float(np.vdot(X, S)) + float(x @ L)
            least = min(least, float(np.linalg.eigvalsh(C.T @ X @ C)[0]), float((x * L).min(initial=math.inf)))
        return least >= CENTRAL * total / self.count

    def exchange(self) -> int:
        """Products whose moments are negative join, idle ones leave; how many joined."""
        mu = self.measure() / self.count
        return sum(b.exchange(mu, self.G, self.two_lam) for b in self.blocks)

    def candidate(self) -> Candidate:
        """G and the multipliers of now, feasible up to rounding."""
        parts = tuple(b.multipliers(self.two_lam) for b in self.blocks)
        return Candidate(self.problem.loss.project_dual(self.G, self.problem.targets), self.trees, parts, 0.0)


def finish(interior: Interior, stop: Callable[[], bool]) -> Iterator[tuple[Candidate, float]]:
    """Candidates and the gap that is left between X and S, until `stop`, or until that gap is nothing."""
    number = 0
    while not stop():
        lengths = interior.step()
        if lengths is None or max(lengths) < 1e-4:
            return
        left = interior.measure()
        yield interior.candidate(), left
        number += 1
        joined = interior.exchange() if min(lengths) > LONG or number % RARELY == 0 else 1
        if not math.isfinite(left) or (joined == 0 and left < CLOSED * abs(_height(interior))):
            return


def _height(interior: Interior) -> float:
    """⟨∇D(0), G⟩, the size of the objective."""
    return float(np.vdot(interior.problem.targets, interior.G))
