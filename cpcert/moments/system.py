"""The linear equations of a step of the interior-point method.

Every unknown but the costs stands at a product f_a f_b of two linear forms, so the Schur complement of a block is read off RXRᵀ and
RS⁻¹Rᵀ, R the rows of the forms; blocks meet in G only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import blas, cho_factor, cho_solve, lapack, solve_triangular

from cpcert.moments.blocks import Block, inverse_factor
from cpcert.moments.schur import mixed_complement, schur_complement

# The Schur complement is factored in single precision, shifted by the first of these, or in double, by the second.
SHIFT = (1e-6, 1e-12)
# So many refinements in double, until the residual is this small: what is left costs progress, S is feasible in any case.
REFINEMENTS, ACCURATE = 3, 1e-3


@dataclass(frozen=True, eq=False)
class Schur:
    """What a step knows of a block: the factor U, UᵀU the Schur complement of its own multipliers in their scale, and U⁻ᵀ of the
    columns of G over their sizes."""

    factor: np.ndarray
    scale: np.ndarray
    half: np.ndarray
    sizes: np.ndarray
    inverse: np.ndarray
    R: np.ndarray


@dataclass(frozen=True, eq=False)
class System:
    """The linear equations of a step of these blocks. fine: in double precision. slope (mN,), curvature (mN, mN): of −D at G;
    factor, diagonal: of the Schur complement of G."""

    blocks: list[Block]
    fine: bool
    slope: np.ndarray
    curvature: np.ndarray
    factor: tuple[np.ndarray, bool]
    diagonal: np.ndarray
    schurs: list[Schur]

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

    def direction(self, aims: list) -> tuple[np.ndarray, list, float]:
        """dG, and (dS, dX, dL, dλ, dc, dx) of each block, with X + dX = T − ½(X dS S⁻¹ + …) for the aims (T, t);
        the residual that is left, relative to the right side."""
        schurs, residual = self.schurs, 0.0
        pulled = [pull(b, schur, *aim) for b, schur, aim in zip(self.blocks, schurs, aims, strict=True)]
        right = [own for own, _ in pulled], self.slope + sum(outer for _, outer in pulled)
        ys, dG = self.solve(*right)
        first = math.inf
        for number in range(REFINEMENTS + 1):
            moves = [
                move(b, schur, y, dG, *aim) for b, schur, y, aim in zip(self.blocks, schurs, ys, aims, strict=True)
            ]
            if self.fine or number == REFINEMENTS:
                break
            pulled = [
                pull(b, schur, b.X + one[1], b.x + one[5])
                for b, schur, one in zip(self.blocks, schurs, moves, strict=True)
            ]
            left = [own for own, _ in pulled], self.slope - self.curvature @ dG + sum(outer for _, outer in pulled)
            size = residual = self.size(*left) / max(self.size(*right), 1e-300)
            if not ACCURATE < size < first:
                break
            first = size
            more, more_G = self.solve(*left)
            ys, dG = [y + change for y, change in zip(ys, more, strict=True)], dG + more_G
        return dG, moves, residual


def system_of(blocks: list[Block], slope: np.ndarray, curvature: np.ndarray, fine: bool) -> System | None:
    """The equations at these blocks, factored in double precision if `fine`; None if that fails."""
    total, schurs = curvature.copy(), []
    for b in blocks:
        found = complement(b, fine)
        if found is None:
            return None
        schurs.append(found[0])
        total += found[1]
    total[np.arange(len(total)), np.arange(len(total))] += 1e-14 * np.trace(total)
    diagonal = np.diagonal(total)
    if not diagonal.min() > 0.0:
        return None
    try:
        factor = cho_factor(total, check_finite=False)
    except np.linalg.LinAlgError:
        return None
    return System(blocks, fine, slope, curvature, factor, diagonal, schurs)


def complement(b: Block, fine: bool) -> tuple[Schur, np.ndarray] | None:
    """The block of the Schur complement of b, factored, and its part in G."""
    m, N = len(b.outputs), len(b.values)
    half = inverse_factor(b.S)
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
    H[np.arange(len(H)), np.arange(len(H))] += SHIFT[fine]
    outer = 0.25 * outer.reshape(m * N, m * N)
    sizes = np.sqrt(np.diagonal(outer))
    sizes[sizes == 0.0] = 1.0
    C *= scale
    C /= sizes[:, np.newaxis]
    # Rows of arrays in C order are columns of what LAPACK sees; only one triangle of H is there.
    if fine:
        factor, failed = lapack.dpotrf(H.T, lower=0, clean=0, overwrite_a=1)
        half = blas.dtrsm(1.0, factor, C.T, lower=0, trans_a=1, overwrite_b=1)
    else:
        factor, failed = lapack.spotrf(H.astype(np.float32).T, lower=0, clean=0, overwrite_a=1)
        half = blas.strsm(1.0, factor, C.astype(np.float32).T, lower=0, trans_a=1, overwrite_b=1)
    if failed:
        return None
    outer -= (half.T @ half) * sizes * sizes[:, np.newaxis]
    return Schur(factor, scale, half, sizes, inverse, R), outer


def pull(b: Block, schur: Schur, T: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The residuals of the multipliers of b, and of G, if X becomes T and x becomes t at once."""
    m, N = len(b.outputs), len(b.values)
    k = len(schur.R) - N - m
    RT = schur.R @ T
    products = np.einsum("ij,ij->i", RT[b.first], schur.R[b.second])
    pairs = np.einsum("ij,ij->i", RT[b.pair[0]], schur.R[b.pair[1]])
    trace = np.array([np.trace(T[rows, rows]) - T[0, 0] for rows in b.costs])
    return np.concatenate([t - products, 4.0 * pairs, trace]), -(RT[k + N :] @ schur.R[k : k + N].T).ravel()


def move(b: Block, schur: Schur, y: np.ndarray, dG: np.ndarray, T: np.ndarray, t: np.ndarray) -> tuple:
    """The changes of a block, from those of its multipliers and of G."""
    K, N = len(b.L), len(b.linear)
    dL, dlinear, dc = y[:K], y[K : K + N], y[K + N :]
    R = b.rows
    M = np.zeros((len(R), len(R)))
    M[b.first, b.second] = -dL
    M[b.pair] = 4.0 * dlinear
    dS = R.T @ (M @ R) - b.outputs.T @ (dG.reshape(len(b.outputs), -1) @ b.values)
    dS = 0.5 * (dS + dS.T) + np.diag(b.cost_diagonal(dc, 0.0))
    change = b.X @ dS @ schur.inverse
    return dS, T - b.X - 0.5 * (change + change.T), dL, dlinear, dc, t - b.x - b.x / b.L * dL
