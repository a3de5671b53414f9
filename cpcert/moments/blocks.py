"""A quadratic form of the interior-point method: its multipliers and its moments, and which products it has.

Products whose moment comes out negative join, those far from 0 leave; of ‖(FXFᵀ)_{a,w}‖ ≤ (FXFᵀ)_{a,ν} the product of f_a with
ν − dᵀw joins, d the direction that is violated.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack, solve_triangular

from cpcert.moments.relaxation import Multipliers
from cpcert.problem import Problem

# Multipliers of a block beyond which a step takes too long.
MOST_PRODUCTS = 6000
# Products of less weight than this, relative to the complementarity of the start, are left out there; tried in turn.
PRUNED = (1.0, 0.3, 0.1, 0.01, 0.0)
# Products that join at once, for a block, relative to its order; directions likewise. What counts as violated, relative to the sizes.
JOINING, DIRECTIONS, VIOLATED = 1.5, 0.3, 1e-2
# Joining takes at most this share of S.
JUMP = 0.3
# Products leave if their moment is above this share of the sizes, and their multiplier below this share of what is usual.
FAR, IDLE = 0.1, 30.0


def inverse_factor(S: np.ndarray) -> np.ndarray | None:
    """C⁻¹ for the Cholesky factor S = CCᵀ; None if S is not positive definite."""
    C, failed = lapack.dpotrf(S, lower=1, clean=1)
    if failed or not np.all(np.isfinite(C)):
        return None
    return np.asarray(solve_triangular(C, np.eye(len(S)), lower=True, check_finite=False))


class Block:
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
        inverse = inverse_factor(self.S)
        assert inverse is not None
        self.x, self.X = mu / self.L, mu * (inverse.T @ inverse)
        if X is not None:
            R = self.rows
            self.x += np.maximum(np.einsum("ij,ij->i", R[self.first] @ X, R[self.second]), 0.0)
            self.X += X

    def inherit(self, parent: Block, two_lam: float, G: np.ndarray) -> np.ndarray:
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

    # -- products --------------------------------------------------------------------------------------------------------

    def prune(self, X: np.ndarray, mu: float, G: np.ndarray, two_lam: float) -> bool:
        """Leave out what hardly counts, as far as S ⪰ 0 allows it; whether so little is left that steps are quick."""
        self.X = X
        sizes = self.sizes()
        weight = self.L * sizes[self.first] * sizes[self.second]
        old = (self.first, self.second.copy(), self.L, self.x, self.directions)
        for least in PRUNED:
            self.first, self.second, self.L, self.x, self.directions = old
            self.second = old[1].copy()
            self.keep(weight >= least * mu)
            if len(self.L) > MOST_PRODUCTS:
                return False
            self.S = self.matrix(G, two_lam)
            if inverse_factor(self.S) is not None:
                return True
        return False

    def exchange(self, mu: float, G: np.ndarray, two_lam: float) -> int:
        """Products whose moments are negative join, idle ones leave; how many joined."""
        sizes = self.sizes()
        scale = sizes[self.first] * sizes[self.second]
        kept = (self.x < FAR * scale) | (self.L * scale > IDLE * mu)
        old = (self.first, self.second.copy(), self.L, self.x, self.directions)
        self.keep(kept)
        S = self.matrix(G, two_lam)
        if inverse_factor(S) is None:
            self.first, self.second, self.L, self.x, self.directions = old
        else:
            self.S = S
        return self._join_violated(mu, G, two_lam)

    def _join_violated(self, mu: float, G: np.ndarray, two_lam: float) -> int:
        """Products whose moments are negative, and directions in which a cone is violated, join; how many."""
        base = len(self.forms)
        RX, sizes = self.forms @ self.X, self.sizes()[: len(self.forms)]
        share = np.where(self.allowed, (RX @ self.forms.T) / np.outer(sizes, sizes), 1.0)
        plain = self.second < base
        share[self.first[plain], self.second[plain]] = 1.0
        room = max(MOST_PRODUCTS - len(self.L), 0)
        most = min(int(JOINING * self.order), share.size - 1, room)
        chosen = np.argpartition(share, most, axis=None)[:most]
        first, second = np.unravel_index(chosen, share.shape)
        bad = share[first, second] < -VIOLATED
        first, second = first[bad], second[bad]
        norms = np.linalg.norm(RX[:, self.w], axis=1)
        excess = (norms - RX[:, 0]) / (sizes * sizes[0])
        excess[0] = -1.0
        rows = np.argsort(-excess)[: min(int(DIRECTIONS * self.order), room - len(first))]
        rows = rows[excess[rows] > VIOLATED]
        new = np.zeros((len(rows), self.order))
        new[:, 0] = 1.0
        new[:, self.w] = -RX[rows, self.w] / norms[rows, np.newaxis]
        first = np.append(first, rows)
        second = np.append(second, base + len(self.directions) + np.arange(len(rows)))
        self.directions = np.concatenate([self.directions, new])
        sizes = self.sizes()
        L = mu / (FAR * sizes[first] * sizes[second])
        R = self.rows
        M = np.zeros((len(R), len(R)))
        M[first, second] = L
        change = R.T @ (M @ R)
        inverse = inverse_factor(self.S)
        if inverse is None or not len(first):
            return 0
        largest = float(np.linalg.eigvalsh(inverse @ (0.5 * (change + change.T)) @ inverse.T)[-1])
        L *= min(1.0, JUMP / max(largest, 1e-300))
        self.join(first, second, L, mu / L)
        self.S = self.matrix(G, two_lam)
        return len(first)
