"""The end of the relaxation: a primal-dual interior-point method on the few multipliers that matter.

The augmented Lagrangian of relaxation.py knows after seconds which products are active (some hundreds of 45 000 at N = 100), and
then converges slowly. On these alone the dual problem

    maximise D(G) = −C*(−G) − (β²/4λ)‖G1‖²  over G, λ, L ≥ 0, c_v, c_w  with  S_k(G, λ, L, c) ⪰ 0 for every block k     (1)

(S of repair.py, c_ν = 2λ − c_v − c_w) is a semidefinite program with coefficients of low rank: every unknown but the costs
stands at a product f_a f_b of two linear forms, so the Schur complement is read off RXRᵀ and RS⁻¹Rᵀ, R the rows of the forms.
Leaving multipliers out keeps (1) feasible: each iterate is a proof as it stands, and nothing is lost in its repair. Products
whose moment comes out negative join, those far from 0 leave; of ‖(FXFᵀ)_{a,w}‖ ≤ (FXFᵀ)_{a,ν} the product of f_a with ν − dᵀw
joins, d the direction that is violated.

The directions are those of Helmberg, Rendl, Vanderbei and Wolkowicz (1996), with Mehrotra's corrector. Nothing here is proven.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import blas, cho_factor, cho_solve, lapack, solve_triangular

from cpcert.moments.regions import Trees, leaves, split, whole
from cpcert.moments.relaxation import Candidate, Multipliers
from cpcert.moments.schur import mixed_complement, schur_complement
from cpcert.problem import Problem

# Multipliers of a block, and unknowns of G, beyond which a step takes too long.
MOST_PRODUCTS, MOST_DUALS = 6000, 4000
# The start: its share of 2λ as room for S, and the gap between X and S that it begins with, relative to the objective.
ROOM, FIRST_GAP = 0.02, 0.01
# The complementarity that is added there is at least this share of ⟨X, S⟩, for X of the moments alone.
CENTRED = 0.4
# Products of less weight than this, relative to the complementarity of the start, are left out there; tried in turn.
PRUNED = (1.0, 0.3, 0.1, 0.01, 0.0)
# Products that join at once, for a block, relative to its order; directions likewise. What counts as violated, relative to the sizes.
JOINING, DIRECTIONS, VIOLATED = 1.5, 0.3, 1e-2
# Joining takes at most this share of S.
JUMP = 0.3
# Products leave if their moment is above this share of the sizes, and their multiplier below this share of what is usual.
FAR, IDLE = 0.1, 30.0
# Regions are not split where what p_iq_i = 0 carries is below this share of the most.
LITTLE = 0.25
# Of the way to the boundary; products join and leave after steps of at least this length, and after every so many.
BOUNDARY, LONG, RARELY = 0.95, 0.3, 5
# Correctors of a step (Gondzio 1996): they aim so much further than the step goes, put complementarities between these multiples of
# the target, and are kept if both lengths together become longer by this.
CORRECTORS, FURTHER, BETWEEN, LONGER = 2, 0.3, (0.1, 10.0), 0.03
# The Schur complement is factored in single precision, shifted by the first of these, until that fails (by the second in double). So
# many refinements in double, until the residual is this small, and double from then on if it stays above the last: what is left
# costs progress, S is feasible in any case.
SHIFT, REFINEMENTS, ACCURATE, ROUGH = (1e-6, 1e-12), 3, 1e-3, 0.3
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


def _factor(S: np.ndarray) -> np.ndarray | None:
    """C⁻¹ for the Cholesky factor S = CCᵀ; None if S is not positive definite."""
    C, failed = lapack.dpotrf(S, lower=1, clean=1)
    if failed or not np.all(np.isfinite(C)):
        return None
    return np.asarray(solve_triangular(C, np.eye(len(S)), lower=True, check_finite=False))


def _length(inverse: np.ndarray, change: np.ndarray) -> float:
    """The largest t with CCᵀ + t·change ⪰ 0, for inverse = C⁻¹."""
    least = float(np.linalg.eigvalsh(inverse @ change @ inverse.T)[0])
    return BOUNDARY / -least if least < 0.0 else math.inf


def _ratio(values: np.ndarray, change: np.ndarray) -> float:
    worst = float(np.max(-change / values, initial=0.0))
    return BOUNDARY / worst if worst > 0.0 else math.inf


class _Block:
    """S of one sign of v (or of all v, sign 0) in a region, and its X, in the variables y = (ν, v, w, z), z of the k free points.

    signs (N,): those of x_iᵀw in the region, 0 at free points. Rows of `forms`: ν, p, q, s (1 + 3N). Rows of R: forms, directions
    ν + dᵀw, a₊p − a₋q (N), v (m). first, second: products f_a f_b with multipliers L and slacks x; linear (k,): λ, of
    z² − (x_iᵀw)² = 4p_iq_i.
    """

    def __init__(self, problem: Problem, points: np.ndarray, sign: float, signs: np.ndarray) -> None:
        N, r = points.shape
        inner = 0 if sign else problem.m
        self.free = np.flatnonzero(signs == 0)
        self.sign, self.signs, self.order = sign, signs, 1 + inner + r + len(self.free)
        self.v, self.w, z = slice(1, 1 + inner), slice(1 + inner, 1 + inner + r), slice(1 + inner + r, self.order)
        nu, Xw, Z = np.zeros((1, self.order)), np.zeros((N, self.order)), np.zeros((N, self.order))
        nu[0, 0], Xw[:, self.w], Z[:, z] = 1.0, points, np.eye(N)[:, self.free]
        Z += signs[:, np.newaxis] * Xw
        lengths = np.linalg.norm(points, axis=1)[:, np.newaxis]
        self.forms = np.concatenate([nu, 0.5 * (Z + Xw), 0.5 * (Z - Xw), lengths * nu - Z])
        sigma = problem.activation
        self.values = 0.5 * (sigma.a_plus * (Z + Xw) - sigma.a_minus * (Z - Xw))
        self.outputs = sign * nu if sign else np.eye(self.order)[self.v]
        self.costs = (self.w,) if sign else (self.v, self.w)
        self.pair = (1 + self.free, 1 + N + self.free)
        self.zero = np.flatnonzero(np.concatenate([[0.0], signs < 0.0, signs > 0.0, np.zeros(N)]))
        allowed = np.triu(np.ones((1 + 3 * N, 1 + 3 * N), dtype=bool))
        allowed[self.pair] = allowed[self.zero] = allowed[:, self.zero] = False
        self.allowed = allowed
        self.directions = np.zeros((0, self.order))
        self.first, self.second = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        self.L, self.x = np.zeros(0), np.zeros(0)
        self.linear, self.c = np.zeros(len(self.free)), np.zeros(len(self.costs))
        self.X, self.S = np.zeros((0, 0)), np.zeros((0, 0))

    @property
    def rows(self) -> np.ndarray:
        """The forms and the directions."""
        return np.concatenate([self.forms, self.directions])

    def matrix(self, G: np.ndarray, two_lam: float) -> np.ndarray:
        """S at the multipliers of now."""
        R = self.rows
        M = np.zeros((len(R), len(R)))
        M[self.first, self.second] = -self.L
        M[self.pair] = 4.0 * self.linear
        S = R.T @ (M @ R) - self.outputs.T @ (G @ self.values)
        return 0.5 * (S + S.T) + np.diag(self.cost_diagonal(self.c, two_lam))

    def cost_diagonal(self, c: np.ndarray, two_lam: float) -> np.ndarray:
        """The diagonal of c_νν² + c_v‖v‖² + c_w‖w‖²."""
        d = np.zeros(self.order)
        d[0] = two_lam - c.sum()
        for rows, value in zip(self.costs, c, strict=True):
            d[rows] = value
        return d

    def sizes(self) -> np.ndarray:
        """√ of the diagonal of RXRᵀ."""
        R = self.rows
        return np.sqrt(np.maximum(np.einsum("ij,ij->i", R @ self.X, R), 1e-300))

    def keep(self, kept: np.ndarray) -> None:
        """Only these products, and the directions that they use."""
        self.first, self.second, self.L, self.x = self.first[kept], self.second[kept], self.L[kept], self.x[kept]
        base = len(self.forms)
        used, place = np.unique(self.second[self.second >= base], return_inverse=True)
        self.second[self.second >= base] = base + place
        self.directions = self.directions[used - base]

    def join(self, first: np.ndarray, second: np.ndarray, L: np.ndarray, x: np.ndarray) -> None:
        """More products."""
        self.first, self.second = np.concatenate([self.first, first]), np.concatenate([self.second, second])
        self.L, self.x = np.concatenate([self.L, L]), np.concatenate([self.x, x])

    def center(self, mu: float, X: np.ndarray | None = None) -> None:
        """X and the slacks of complementarity μ: those that S and L alone say, or near them from a guess of X."""
        inverse = _factor(self.S)
        assert inverse is not None
        self.x, self.X = mu / self.L, mu * (inverse.T @ inverse)
        if X is not None:
            R = self.rows
            self.x += np.maximum(np.einsum("ij,ij->i", R[self.first] @ X, R[self.second]), 0.0)
            self.X += X

    def inherit(self, parent: _Block, two_lam: float, G: np.ndarray) -> np.ndarray:
        """The multipliers of the whole region in this part of it; a guess of X: half of its X, if this is a half."""
        coordinates = np.append(np.arange(self.w.stop), self.w.stop + np.searchsorted(parent.free, self.free))
        kept = ~np.isin(parent.first, self.zero) & ~np.isin(parent.second, self.zero)
        self.directions = parent.directions[:, coordinates]
        self.join(parent.first[kept], parent.second[kept], parent.L[kept], parent.x[kept])
        self.keep(np.ones(len(self.L), dtype=bool))
        self.linear, self.c = parent.linear[np.searchsorted(parent.free, self.free)], parent.c
        self.S = self.matrix(G, two_lam)
        share = 1.0 if len(self.free) == len(parent.free) else 0.5
        return share * parent.X[np.ix_(coordinates, coordinates)]

    def multipliers(self, two_lam: float) -> Multipliers:
        """As relaxation.py gives them."""
        base, r = len(self.forms), self.w.stop - self.w.start
        plain = self.second < base
        T = np.zeros((base, base))
        T[self.first[plain], self.second[plain]] = self.L[plain]
        T[self.pair] = -4.0 * self.linear
        alpha, beta = np.zeros(base), np.zeros((base, r))
        cone = None
        if not plain.all():
            rows = self.directions[self.second[~plain] - base, self.w]
            np.add.at(alpha, self.first[~plain], self.L[~plain])
            np.add.at(beta, self.first[~plain], self.L[~plain][:, np.newaxis] * rows)
            norms = np.linalg.norm(beta, axis=1)
            T[0, 1:] += np.maximum(alpha - norms, 0.0)[1:]
            cone = norms[1:], beta[1:]
        c_v, c_w = (0.0, *self.c) if self.sign else self.c
        return Multipliers((two_lam - c_v - c_w, c_v, c_w), 0.5 * (T + T.T), cone)


@dataclass(frozen=True, eq=False)
class _Schur:
    """What a step knows of a block: the factor U, UᵀU the Schur complement of its own multipliers in their scale, and U⁻ᵀ of the
    columns of G over their sizes."""

    factor: np.ndarray
    scale: np.ndarray
    half: np.ndarray
    sizes: np.ndarray
    inverse: np.ndarray
    R: np.ndarray


@dataclass(frozen=True, eq=False)
class _System:
    """The linear equations of a step. slope (mN,), curvature (mN, mN): of −D at G; factor, diagonal: of the Schur complement of G."""

    slope: np.ndarray
    curvature: np.ndarray
    factor: tuple[np.ndarray, bool]
    diagonal: np.ndarray
    schurs: list[_Schur]

    def solve(self, owns: list[np.ndarray], outer: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """The changes of the multipliers of each block, and of G, for these right sides."""
        kind = self.schurs[0].factor.dtype
        unit = max(self.size(owns, outer), 1e-300)  # single precision has no large numbers
        halves = [
            solve_triangular(s.factor, (s.scale / unit * own).astype(kind), trans=1, check_finite=False)
            for s, own in zip(self.schurs, owns, strict=True)
        ]
        total = outer / unit - sum(s.sizes * (s.half.T @ half) for s, half in zip(self.schurs, halves, strict=True))
        dG = cho_solve(self.factor, total, check_finite=False)
        ys = [
            unit * s.scale * solve_triangular(s.factor, half - s.half @ (s.sizes * dG).astype(kind), check_finite=False)
            for s, half in zip(self.schurs, halves, strict=True)
        ]
        return ys, unit * dG

    def size(self, owns: list[np.ndarray], outer: np.ndarray) -> float:
        """The norm of right sides, each in its scale."""
        scaled = sum(float(np.sum((s.scale * own) ** 2)) for s, own in zip(self.schurs, owns, strict=True))
        return math.sqrt(scaled + float(np.sum(outer**2 / self.diagonal)))


class Interior:
    """The state of one run: G (m, N) and one block for each leaf of the trees (regions.py)."""

    def __init__(self, problem: Problem, points: np.ndarray, trees: Trees | None = None) -> None:
        self.problem, self.points = problem, points
        self.two_lam = 2.0 * problem.lam
        self.trees = whole(problem.m) if trees is None else trees
        self.blocks = [_Block(problem, points, v, signs) for v, signs in leaves(self.trees, problem.N)]
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
        if not all(self._prune(block, X, mu) for block, X in zip(self.blocks, moments, strict=True)):
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

    def _prune(self, block: _Block, X: np.ndarray, mu: float) -> bool:
        """Leave out what hardly counts, as far as S ⪰ 0 allows it; whether so little is left that steps are quick."""
        block.X = X
        sizes = block.sizes()
        weight = block.L * sizes[block.first] * sizes[block.second]
        old = (block.first, block.second.copy(), block.L, block.x, block.directions)
        for least in PRUNED:
            block.first, block.second, block.L, block.x, block.directions = old
            block.second = old[1].copy()
            block.keep(weight >= least * mu)
            if len(block.L) > MOST_PRODUCTS:
                return False
            block.S = block.matrix(self.G, self.two_lam)
            if _factor(block.S) is not None:
                return True
        return False

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

    def _schur(self, b: _Block) -> tuple[_Schur, np.ndarray] | None:
        """The block of the Schur complement of b, factored, and its part in G."""
        m, N = self.G.shape
        half = _factor(b.S)
        if half is None:
            return None
        inverse = half.T @ half
        R = np.concatenate([b.rows, b.values, b.outputs])
        RS, RX = R @ inverse, R @ b.X
        P, Q = RS @ R.T, RX @ R.T
        k, K = len(b.rows), len(b.L)
        g, v = np.arange(k, k + N), np.arange(k + N, k + N + m)
        first, second = np.append(b.first, b.pair[0]), np.append(b.second, b.pair[1])
        weight = np.append(np.full(K, -1.0), np.full(len(b.linear), 4.0))
        count, own = len(b.costs), len(weight)
        H, C = np.zeros((own + count, own + count)), np.empty((m * N, own + count))
        schur_complement(P, Q, first, second, weight, H)
        mixed_complement(P, Q, v, g, first, second, weight, C)
        H[np.arange(K), np.arange(K)] += b.x / b.L
        outer = np.empty((m, N, m, N))
        for i in range(m):
            for j in range(m):
                outer[i, :, j] = Q[v[i], v[j]] * P[np.ix_(g, g)] + P[v[i], v[j]] * Q[np.ix_(g, g)]
                outer[i, :, j] += np.outer(Q[g, v[j]], P[v[i], g]) + np.outer(P[g, v[j]], Q[v[i], g])
        for i, rows in enumerate(b.costs):

            def between(a: np.ndarray, c: np.ndarray, rows: slice = rows) -> np.ndarray:
                return RX[a][:, rows] @ RS[c][:, rows].T - np.outer(RX[a, 0], RS[c, 0])

            along = np.einsum("ij,ij->i", RX[first][:, rows], RS[second][:, rows]) - RX[first, 0] * RS[second, 0]
            along += np.einsum("ij,ij->i", RS[first][:, rows], RX[second][:, rows]) - RS[first, 0] * RX[second, 0]
            H[own + i, :own] = 0.5 * weight * along
            C[:, own + i] = -0.5 * (between(v, g) + between(g, v).T).ravel()
            for j, others in enumerate(b.costs):
                corner = np.vdot(inverse[rows, others], b.X[rows, others]) + inverse[0, 0] * b.X[0, 0]
                H[own + i, own + j] = corner - inverse[rows, 0] @ b.X[rows, 0] - inverse[others, 0] @ b.X[others, 0]
        scale = 1.0 / np.sqrt(np.diagonal(H))
        H *= scale
        H *= scale[:, np.newaxis]
        H[np.arange(len(H)), np.arange(len(H))] += SHIFT[self.fine]
        outer = 0.25 * outer.reshape(m * N, m * N)
        sizes = np.sqrt(np.diagonal(outer))
        sizes[sizes == 0.0] = 1.0
        C *= scale
        C /= sizes[:, np.newaxis]
        # Rows of arrays in C order are columns of what LAPACK sees; only one triangle of H is there.
        if self.fine:
            factor, failed = lapack.dpotrf(H.T, lower=0, clean=0, overwrite_a=1)
            half = blas.dtrsm(1.0, factor, C.T, lower=0, trans_a=1, overwrite_b=1)
        else:
            factor, failed = lapack.spotrf(H.astype(np.float32).T, lower=0, clean=0, overwrite_a=1)
            half = blas.strsm(1.0, factor, C.astype(np.float32).T, lower=0, trans_a=1, overwrite_b=1)
        if failed:
            return None
        outer -= (half.T @ half) * sizes * sizes[:, np.newaxis]
        return _Schur(factor, scale, half, sizes, inverse, R), outer

    def _pull(self, b: _Block, schur: _Schur, T: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The residuals of the multipliers of b, and of G, if X becomes T and x becomes t at once."""
        m, N = self.G.shape
        k = len(schur.R) - N - m
        RT = schur.R @ T
        products = np.einsum("ij,ij->i", RT[b.first], schur.R[b.second])
        pairs = np.einsum("ij,ij->i", RT[b.pair[0]], schur.R[b.pair[1]])
        trace = np.array([np.trace(T[rows, rows]) - T[0, 0] for rows in b.costs])
        return np.concatenate([t - products, 4.0 * pairs, trace]), -(RT[k + N :] @ schur.R[k : k + N].T).ravel()

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
        complement, schurs = curvature.copy(), []
        for b in self.blocks:
            found = self._schur(b)
            if found is None:
                return None
            schurs.append(found[0])
            complement += found[1]
        complement[np.arange(len(complement)), np.arange(len(complement))] += 1e-14 * np.trace(complement)
        diagonal = np.diagonal(complement)
        if not diagonal.min() > 0.0:
            return None
        try:
            factor = cho_factor(complement, check_finite=False)
        except np.linalg.LinAlgError:
            return None
        system = _System(slope, curvature, factor, diagonal, schurs)
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

    def _direction(self, system: _System, aims: list) -> tuple[np.ndarray, list]:
        """dG, and (dS, dX, dL, dλ, dc, dx) of each block, with X + dX = T − ½(X dS S⁻¹ + …) for the aims (T, t)."""
        schurs = system.schurs
        pulled = [self._pull(b, schur, *aim) for b, schur, aim in zip(self.blocks, schurs, aims, strict=True)]
        right = [own for own, _ in pulled], system.slope + sum(outer for _, outer in pulled)
        ys, dG = system.solve(*right)
        first = math.inf
        for number in range(REFINEMENTS + 1):
            moves = [
                self._move(b, schur, y, dG, *aim)
                for b, schur, y, aim in zip(self.blocks, schurs, ys, aims, strict=True)
            ]
            if self.fine or number == REFINEMENTS:
                break
            pulled = [
                self._pull(b, schur, b.X + move[1], b.x + move[5])
                for b, schur, move in zip(self.blocks, schurs, moves, strict=True)
            ]
            left = [own for own, _ in pulled], system.slope - system.curvature @ dG + sum(outer for _, outer in pulled)
            size = self.residual = system.size(*left) / max(system.size(*right), 1e-300)
            if not ACCURATE < size < first:
                break
            first = size
            more, more_G = system.solve(*left)
            ys, dG = [y + change for y, change in zip(ys, more, strict=True)], dG + more_G
        return dG.reshape(self.G.shape), moves

    def _move(self, b: _Block, schur: _Schur, y: np.ndarray, dG: np.ndarray, T: np.ndarray, t: np.ndarray) -> tuple:
        """The changes of a block, from those of its multipliers and of G."""
        K, N = len(b.L), len(b.linear)
        dL, dlinear, dc = y[:K], y[K : K + N], y[K + N :]
        R = b.rows
        M = np.zeros((len(R), len(R)))
        M[b.first, b.second] = -dL
        M[b.pair] = 4.0 * dlinear
        dS = R.T @ (M @ R) - b.outputs.T @ (dG.reshape(self.G.shape) @ b.values)
        dS = 0.5 * (dS + dS.T) + np.diag(b.cost_diagonal(dc, 0.0))
        change = b.X @ dS @ schur.inverse
        return dS, T - b.X - 0.5 * (change + change.T), dL, dlinear, dc, t - b.x - b.x / b.L * dL

    def _lengths(self, schurs: list[_Schur], move: tuple[np.ndarray, list]) -> tuple[float, float]:
        """How far S and L, and X and x, may go; at most 1."""
        dual = primal = 1.0
        for b, (dS, dX, dL, _, _, dx) in zip(self.blocks, move[1], strict=True):
            dual, primal = min(dual, _ratio(b.L, dL)), min(primal, _ratio(b.x, dx))
            for now, change, which in ((b.S, dS, 0), (b.X, dX, 1)):
                inverse = _factor(now)
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

    # -- products --------------------------------------------------------------------------------------------------------

    def exchange(self) -> int:
        """Products whose moments are negative join, idle ones leave; how many joined."""
        mu = self.measure() / self.count
        joined = 0
        for b in self.blocks:
            sizes = b.sizes()
            scale = sizes[b.first] * sizes[b.second]
            kept = (b.x < FAR * scale) | (b.L * scale > IDLE * mu)
            old = (b.first, b.second.copy(), b.L, b.x, b.directions)
            b.keep(kept)
            S = b.matrix(self.G, self.two_lam)
            if _factor(S) is None:
                b.first, b.second, b.L, b.x, b.directions = old
            else:
                b.S = S
            joined += self._join(b, mu)
        return joined

    def _join(self, b: _Block, mu: float) -> int:
        base = len(b.forms)
        RX, sizes = b.forms @ b.X, b.sizes()[: len(b.forms)]
        share = np.where(b.allowed, (RX @ b.forms.T) / np.outer(sizes, sizes), 1.0)
        plain = b.second < base
        share[b.first[plain], b.second[plain]] = 1.0
        room = max(MOST_PRODUCTS - len(b.L), 0)
        most = min(int(JOINING * b.order), share.size - 1, room)
        chosen = np.argpartition(share, most, axis=None)[:most]
        first, second = np.unravel_index(chosen, share.shape)
        bad = share[first, second] < -VIOLATED
        first, second = first[bad], second[bad]
        norms = np.linalg.norm(RX[:, b.w], axis=1)
        excess = (norms - RX[:, 0]) / (sizes * sizes[0])
        excess[0] = -1.0
        rows = np.argsort(-excess)[: min(int(DIRECTIONS * b.order), room - len(first))]
        rows = rows[excess[rows] > VIOLATED]
        new = np.zeros((len(rows), b.order))
        new[:, 0] = 1.0
        new[:, b.w] = -RX[rows, b.w] / norms[rows, np.newaxis]
        first = np.append(first, rows)
        second = np.append(second, base + len(b.directions) + np.arange(len(rows)))
        b.directions = np.concatenate([b.directions, new])
        sizes = b.sizes()
        L = mu / (FAR * sizes[first] * sizes[second])
        R = b.rows
        M = np.zeros((len(R), len(R)))
        M[first, second] = L
        change = R.T @ (M @ R)
        inverse = _factor(b.S)
        if inverse is None or not len(first):
            return 0
        largest = float(np.linalg.eigvalsh(inverse @ (0.5 * (change + change.T)) @ inverse.T)[-1])
        L *= min(1.0, JUMP / max(largest, 1e-300))
        b.join(first, second, L, mu / L)
        b.S = b.matrix(self.G, self.two_lam)
        return len(first)

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
