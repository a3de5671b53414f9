"""Rank_σ ≥ N + 1 for a pair of order N: N neurons would have xᵀK⁻¹x = σ(x)ᵀL⁻¹σ(x) = 1, L = K^σ − β²11ᵀ.

What is proposed here is SQUARE of `cpcert.certificate.rank_check`: a tree over the numbers n_s of neurons with the signs s.
A leaf has U, V and numbers γ_s, c_s such that, d the slopes times the signs,

    C_s = diag(s)(U + (γ_s − c_s)K⁻¹)diag(s) + diag(d)(V − γ_sL⁻¹)diag(d)

is copositive, so xᵀUx + σ(x)ᵀVσ(x) ≥ c_s for neurons with these signs, and ⟨U, K⟩ + ⟨V, L⟩ < min Σ c_s n_s over l ≤ n ≤ h,
Σ n_s = N. This is a linear program: with c = a − b, a, b ≥ 0 (a constant part of c belongs to U), the least sum is the
largest l·a − h·b. Copositivity is asked for by cuts yᵀC_s y ≥ ε at minimisers y ≥ 0 of the forms so far; orders are so small
that all supports can be tried. The multipliers of the cuts are a fractional n, of which one entry is branched on.
"""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np

from cpcert.certificate.rank_check import LARGEST_SQUARE_ORDER
from cpcert.rank.proofs import Matrix, Square, SquareBranch, SquareForms, SquareTree

# Nodes of a tree; linear programs of a node; cuts of each pattern after one of them.
NODES, ROUNDS, CUTS = 400, 40, 3
# How far inside the copositive cone the forms are asked to lie, of entries up to 1, and what a cut may miss of that.
INSIDE, MISSED = 1e-5, 0.3
# Below this share of the norm an eigenvalue counts as 0; a number of neurons is an integer up to WHOLE.
SINGULAR, WHOLE = 1e-9, 1e-3
BITS = 34


def no_square(K: np.ndarray, L: np.ndarray, slopes: tuple[float, float], stop: float) -> Square | None:
    """The proof, found in floating point, that N neurons do not add up to the pair (K, L), both (N, N); None if none is found.

    slopes: a₊, a₋. stop: a `time.monotonic()`.
    """
    N = len(K)
    if N > LARGEST_SQUARE_ORDER or np.diag(K).min() <= 0.0:
        return None
    scale = 2.0 ** np.round(-np.log2(np.diag(K)) / 2)
    K, L = K * np.outer(scale, scale), L * np.outer(scale, scale)
    if any(np.linalg.eigvalsh(A)[0] <= SINGULAR * np.linalg.norm(A) for A in (K, L)):
        return None
    search = _Search(K, L, slopes, scale, stop)
    patterns = len(search.signs)
    try:
        return Square(search.tree(np.zeros(patterns, int), np.full(patterns, N)))
    except _NotFound:
        return None


class _NotFound(Exception):
    """No proof in the time, or none of this kind."""


class _Search:
    """Cuts are rows for the variables: upper triangles of U and V, then γ, a, b of each pattern."""

    def __init__(self, K: np.ndarray, L: np.ndarray, slopes: tuple[float, float], scale: np.ndarray, stop: float):
        self.K, self.L, self.scale, self.stop = K, L, scale, stop
        self.N, self.nodes = len(K), 0
        self.P, self.Q = np.linalg.inv(K), np.linalg.inv(L)
        self.unit = 1.0 / max(np.linalg.norm(self.P), np.linalg.norm(self.Q))
        self.signs = np.array(list(product((1, -1), repeat=self.N)), float)
        self.d = np.where(self.signs > 0, slopes[0], -slopes[1])
        self.upper = np.triu_indices(self.N)
        self.twice = np.where(self.upper[0] == self.upper[1], 1.0, 2.0)
        self.supports = [support for size in range(1, self.N + 1) for support in combinations(range(self.N), size)]
        one = np.eye(self.N)
        first = [*one, *((one[i] + one[j]) / np.sqrt(2.0) for i, j in combinations(range(self.N), 2))]
        self.cuts = [(pattern, y) for pattern in range(len(self.signs)) for y in first]
        self.rows = [self.cut(pattern, y) for pattern, y in self.cuts]

    def tree(self, low: np.ndarray, high: np.ndarray) -> SquareTree:
        """A SQUARE for these bounds of the numbers of neurons. Raises _NotFound."""
        self.nodes += 1
        if self.nodes > NODES or time.monotonic() > self.stop:
            raise _NotFound
        if low.sum() > self.N or high.sum() < self.N or (low > high).any():
            return None
        variables, counts = self.program(low, high)
        if variables is not None:
            return self.leaf(variables)
        off = abs(counts - np.round(counts))
        off[(low == high) | (counts < low) | (counts > high)] = 0.0
        s = int(off.argmax())
        most = int(np.floor(counts[s]))
        if off[s] < WHOLE:  # an integer vector: without it, until it is alone
            counts = np.clip(np.round(counts), low, high).astype(int)
            free = np.flatnonzero(counts > low)
            if not len(free):
                raise _NotFound
            s = int(free[0])
            most = int(counts[s]) - 1
        fewer, more = high.copy(), low.copy()
        fewer[s], more[s] = most, most + 1
        # The side that is harder to refute comes first: there it ends if it must.
        return SquareBranch(s, most, self.tree(low, fewer), self.tree(more, high))

    def program(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """(variables of a leaf, or None; how many neurons of each pattern the linear program sees)."""
        from scipy.optimize import linprog

        patterns = len(self.signs)
        shares = [np.minimum(low, self.N) * -1.0, high * 1.0]
        cost = np.concatenate([
            self.twice * self.K[self.upper], self.twice * self.L[self.upper], np.zeros(patterns), *shares,
        ])  # fmt: skip
        bounds = [(-1.0, 1.0)] * (len(cost) - 2 * patterns) + [(0.0, 1.0)] * (2 * patterns)
        for _ in range(ROUNDS):
            used = [k for k, (pattern, _) in enumerate(self.cuts) if high[pattern]]
            A = np.array([self.rows[k] for k in used])
            solved = linprog(cost, A_ub=-A, b_ub=np.full(len(A), -INSIDE), bounds=bounds, method="highs")
            if solved.x is None or time.monotonic() > self.stop:
                raise _NotFound
            if solved.fun > -INSIDE:
                return None, self.counts(used, -solved.ineqlin.marginals)
            missed = self.minimisers(self.forms(solved.x) - MISSED * INSIDE * np.eye(self.N), high)
            if not missed:
                return solved.x, np.zeros(patterns)
            for pattern, found in missed.items():
                found.sort(key=lambda one: one[0])
                self.cuts += [(pattern, y) for _, y in found[:CUTS]]
                self.rows += [self.cut(pattern, y) for _, y in found[:CUTS]]
        raise _NotFound

    def counts(self, used: list[int], multipliers: np.ndarray) -> np.ndarray:
        """Σ xᵀK⁻¹x over the neurons of each pattern."""
        result = np.zeros(len(self.signs))
        for k, multiplier in zip(used, multipliers, strict=True):
            pattern, y = self.cuts[k]
            x = self.signs[pattern] * y
            result[pattern] += multiplier * (x @ self.P @ x)
        return result

    def parts(self, variables: np.ndarray) -> tuple[np.ndarray, ...]:
        """U, V (N, N), γ and c (2^N)."""
        count, patterns = len(self.twice), len(self.signs)
        matrices = []
        for part in (variables[:count], variables[count : 2 * count]):
            A = np.zeros((self.N, self.N))
            A[self.upper] = part
            matrices.append(A + np.triu(A, 1).T)
        gamma, a, b = variables[2 * count :].reshape(3, patterns)
        return matrices[0], matrices[1], gamma * self.unit, a - b

    def forms(self, variables: np.ndarray) -> np.ndarray:
        """C_s for all patterns, (2^N, N, N)."""
        U, V, gamma, shares = self.parts(variables)
        s, d, g, c = self.signs, self.d, gamma[:, None, None], shares[:, None, None]
        of_x, of_y = U + (g - c) * self.P, V - g * self.Q
        return s[:, :, None] * s[:, None, :] * of_x + d[:, :, None] * d[:, None, :] * of_y

    def cut(self, pattern: int, y: np.ndarray) -> np.ndarray:
        """yᵀC_s y as a function of the variables."""
        x, z = self.signs[pattern] * y, self.d[pattern] * y
        count, patterns = len(self.twice), len(self.signs)
        row = np.zeros(2 * count + 3 * patterns)
        for part, v in ((0, x), (1, z)):
            row[part * count : (part + 1) * count] = self.twice * v[self.upper[0]] * v[self.upper[1]]
        of_x = x @ self.P @ x
        row[2 * count + pattern] = self.unit * (of_x - z @ self.Q @ z)
        row[2 * count + patterns + pattern], row[2 * count + 2 * patterns + pattern] = -of_x, of_x
        return row

    def minimisers(self, C: np.ndarray, high: np.ndarray) -> dict[int, list[tuple[float, np.ndarray]]]:
        """For each pattern that is possible the unit vectors y ≥ 0 on a support where yᵀCy is least and negative."""
        found: dict[int, list[tuple[float, np.ndarray]]] = {}
        for support in self.supports:
            values, vectors = np.linalg.eigh(C[np.ix_(range(len(C)), support, support)])
            lowest = vectors[:, :, 0]
            lowest = lowest * np.where(lowest.sum(axis=1) < 0, -1.0, 1.0)[:, None]
            for pattern in np.flatnonzero((values[:, 0] < 0) & (lowest.min(axis=1) > -1e-12) & (high > 0)):
                y = np.zeros(self.N)
                y[list(support)] = np.maximum(lowest[pattern], 0.0)
                found.setdefault(int(pattern), []).append((float(values[pattern, 0]), y))
        return found

    def leaf(self, variables: np.ndarray) -> SquareForms:
        """In rationals; what is lost is far less than INSIDE."""
        U, V, gamma, shares = self.parts(variables)
        size = np.outer(self.scale, self.scale)
        bits = max(BITS - int(np.floor(np.log2(size.min()))), 0)
        exact_U, exact_V = (_exact(A * size, bits) for A in (U, V))
        return SquareForms(exact_U, exact_V, _rationals(gamma, BITS), _rationals(shares, BITS), bits)


def _rationals(values: Any, bits: int) -> tuple[Fraction, ...]:
    return tuple(Fraction(round(Fraction(float(v)) * 2**bits), 2**bits) for v in values)


def _exact(A: np.ndarray, bits: int) -> Matrix:
    return tuple(_rationals(row, bits) for row in (A + A.T) / 2)
