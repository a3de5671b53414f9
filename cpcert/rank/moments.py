"""Semidefinite bounds of the number of atoms from their moments of degree 4, solved by cvxpy, rounded to rationals.

For the products v(x) = (x_i x_j)_{i ≤ j} of an atom, a = (A_ij) and T = A ⊗ A on symmetric tensors:

    max 2⟨l, a⟩ − Σ D a² − ⟨Ω, T⟩ − ⟨Z, A⟩   subject to   D ≥ 0, Ω ⪰ 0, Z ≥ 0, and for each maximal clique V of the support
    [[1, −lᵀ], [−l, W_V]] ⪰ 0,  vᵀW_Vv ≤ Σ D_ij (x_i x_j)² + vᵀΩv + (xᵀA⁻¹x)(xᵀZx) on V, coefficient by coefficient.

With = instead of ≤, Z = 0 and one set of all indices this is τ_cp^sos (Fawzi and Parrilo, *Self-scaled bounds for atomic cone
ranks*, 2016). With c_V instead of 1 it is an inequality Σ c_V n_V ≥ B for the numbers of atoms with supports in V, and against
each possible (n_V) there may be another: a bound that sees that they are integers. The inequalities are derived in the format of
`cpcert.certificate.rank_check`, which decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise, product
from typing import Any

import numpy as np

from cpcert.rank.cliques import maximal_cliques
from cpcert.rank.dual_points import BITS, SHIFTS, accepted, exact, power_scaling, solved, tuples, value_of
from cpcert.rank.exact_linear import solve
from cpcert.rank.graphs import adjacency
from cpcert.rank.matrices import Rows, float_matrix
from cpcert.rank.proofs import Cut, CutPart, Moments, Number, Pair, Products, Share, Shares

# More cliques than these are one set of all indices, and more counts than these are not tried.
MANY_CLIQUES, MANY_COUNTS = 12, 3000
# From here on A⁻¹ is too large to be of use.
LARGEST_CONDITION = 1e6
# By how much a cut found in floating point must hold, its shares adding up to 1.
CLEAR = 1e-6

# Pairs with the share θ of A_ij that no atom exceeds.
Context = tuple[tuple[Pair, Number], ...]
Monomial = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Duals:
    """l and D (m,), Ω (m, m), Z (n, n) or None; c (sets,) and W of each set. Floats, or Fractions."""

    linear: np.ndarray
    D: np.ndarray
    Omega: np.ndarray
    Z: np.ndarray | None
    c: np.ndarray
    W: list[np.ndarray]


class MomentBounds:
    """Bounds of the number of atoms with x_i x_j ≤ θ A_ij for each (i, j), θ of the context; of cp-rank(A) without one.

    A ≥ 0 (n, n), connected. Everything is in units in which A has a diagonal near 1, but for the proofs.
    """

    def __init__(self, A: Rows, context: Context = ()) -> None:
        self.A, self.context, self.n = A, context, len(A)
        n = self.n
        cliques = maximal_cliques(adjacency(A), MANY_CLIQUES) if n > 1 else None
        self.sets = [tuple(range(n))] if cliques is None else [tuple(sorted(V)) for V in cliques]
        self.d = power_scaling(A)
        self.scaled: Rows = [[Fraction(A[i][j]) * self.d[i] * self.d[j] for j in range(n)] for i in range(n)]
        self.most = bounded_products(self.scaled, context)
        self.pairs = [(i, j) for i in range(n) for j in range(i, n)]
        regular = np.linalg.cond(float_matrix(self.scaled)) < LARGEST_CONDITION
        self.inverse = solve(self.scaled, [[int(i == j) for j in range(n)] for i in range(n)]) if regular else None
        self.own = [[s for s, (i, j) in enumerate(self.pairs) if i in V and j in V] for V in self.sets]
        self.monomials = [self._places(own) for own in self.own]
        self.program: Any = None

    def _places(self, own: list[int]) -> dict[Monomial, list[Pair]]:
        """For each monomial of a set that does not vanish where it stands in vᵀWv."""
        places: dict[Monomial, list[Pair]] = {}
        for s, first in enumerate(own):
            for t, second in enumerate(own):
                monomial = tuple(sorted((*self.pairs[first], *self.pairs[second])))
                if all(self.A[i][j] for i in monomial for j in monomial):
                    places.setdefault(monomial, []).append((s, t))
        return places

    def plain(self) -> tuple[int, float, Moments] | None:
        """(a lower end, the value of the solver, the proof), from one cut with all c_V = 1."""
        found = self._solve(None)
        if found is None:
            return None
        for cut, value, shares in self._rounded(found, fixed=True):
            lower = max(math.ceil(value / max(shares)), 0)
            proof = Moments(lower, self.sets_of_file(), (cut,))
            if lower and self._holds(proof, lower):
                return lower, self._value(found), proof
        return None

    def at_least(self, least: int) -> Moments | None:
        """The proof that there are so many atoms: cuts against all numbers of atoms with the sum least − 1."""
        if len(self.sets) == 1 or math.comb(least + len(self.sets) - 2, len(self.sets) - 1) > MANY_COUNTS:
            return None
        cuts: list[tuple[Cut, Fraction, list[Number]]] = []
        for counts in numbers_of_atoms(least - 1, len(self.sets)):
            if any(sum(c * k for c, k in zip(shares, counts, strict=True)) < value for _, value, shares in cuts):
                continue
            found = self._solve(np.array(counts, float))
            if found is None or self._value(found) - found.c @ counts < CLEAR:
                return None
            for cut, value, shares in self._rounded(found):
                against = sum(c * k for c, k in zip(shares, counts, strict=True)) < value
                if against and self._holds(Moments(1, self.sets_of_file(), (cut,)), 1):
                    cuts.append((cut, value, shares))
                    break
            else:
                return None
        proof = Moments(least, self.sets_of_file(), tuple(cut for cut, _, _ in cuts))
        return proof if self._holds(proof, least) else None

    def sets_of_file(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self.sets)

    def _holds(self, proof: Moments, lower: int) -> bool:
        """Whether the checker accepts it; in a context only that the cuts are valid."""
        return accepted(self.A, min(lower, 1) if self.context else lower, within(self.context, proof))

    # -- in floating point -------------------------------------------------------------------------------------------

    def _solve(self, counts: np.ndarray | None) -> _Duals | None:
        """The best dual point: with all c = 1, or against these numbers of atoms, Σ c ≤ 1."""
        import cvxpy as cp

        if self.program is None:
            self.program = self._built()
        variables, value, constraints = self.program
        c = variables["c"]
        if counts is None:
            problem: Any = cp.Problem(cp.Maximize(value), [*constraints, c == 1])
        else:
            problem = cp.Problem(cp.Maximize(value - counts @ c), [*constraints, cp.sum(c) <= 1])
        if not solved(problem):
            return None
        linear, D, Omega, shares = (value_of(variables[name]) for name in ("l", "D", "Omega", "c"))
        Z = None if variables["Z"] is None else np.maximum(value_of(variables["Z"]), 0.0)
        W = [value_of(P)[1:, 1:] for P in variables["P"]]
        return _Duals(linear, np.maximum(D, 0.0), Omega, Z, np.atleast_1d(shares), W)

    def _built(self) -> tuple[dict[str, Any], Any, list[Any]]:
        """The variables, the value B, and the constraints of a cut."""
        import cvxpy as cp

        n, m, F = self.n, len(self.pairs), float_matrix(self.scaled)
        a, T = self._moments_of_A()
        most = np.array([float(self.most[i][j]) for i, j in self.pairs])
        l, D, c = cp.Variable(m), cp.Variable(m, nonneg=True), cp.Variable(len(self.sets))  # noqa: E741
        Omega = cp.Variable((m, m), PSD=True)
        value = 2 * a @ l - (a * most) @ D - cp.sum(cp.multiply(T, Omega))
        rows: dict[Monomial, int] = {}
        for s, t in product(range(m), repeat=2):
            rows.setdefault(tuple(sorted((*self.pairs[s], *self.pairs[t]))), len(rows))
        collect = np.zeros((len(rows), m * m))
        for s, t in product(range(m), repeat=2):
            collect[rows[tuple(sorted((*self.pairs[s], *self.pairs[t])))], s * m + t] = 1.0
        above = collect @ cp.vec(Omega + cp.diag(D), order="C")
        Z = None
        if self.inverse is not None:
            Z = cp.Variable((n, n), symmetric=True)
            products = np.zeros((len(rows), n * n))
            for i, j, g, h in product(range(n), repeat=4):
                products[rows[tuple(sorted((i, j, g, h)))], g * n + h] += float(self.inverse[i][j])
            above = above + products @ cp.vec(Z, order="C")
            value = value - cp.sum(cp.multiply(F, Z))
        constraints = [] if Z is None else [Z >= 0]
        squares = []
        for k, (own, places) in enumerate(zip(self.own, self.monomials, strict=True)):
            size = len(own)
            P = cp.Variable((size + 1, size + 1), PSD=True)
            of_set = np.zeros((len(places), size * size))
            for row, where in enumerate(places.values()):
                for s, t in where:
                    of_set[row, s * size + t] = 1.0
            kept = [rows[monomial] for monomial in places]
            constraints += [P[0, 0] == c[k], P[0, 1:] == -l[own]]
            constraints.append(of_set @ cp.vec(P[1:, 1:], order="C") <= above[kept])
            squares.append(P)
        return {"l": l, "D": D, "Omega": Omega, "Z": Z, "c": c, "P": squares}, value, constraints

    def _moments_of_A(self) -> tuple[np.ndarray, np.ndarray]:
        F = float_matrix(self.scaled)
        a = np.array([F[i, j] for i, j in self.pairs])
        return a, np.array([
            [(F[i, k] * F[j, h] + F[i, h] * F[j, k]) / 2 for k, h in self.pairs] for i, j in self.pairs
        ])  # fmt: skip

    def _value(self, duals: _Duals) -> float:
        """B, in floating point."""
        a, T = self._moments_of_A()
        most = np.array([float(self.most[i][j]) for i, j in self.pairs])
        value = 2 * a @ duals.linear - (a * most) @ duals.D - (T * duals.Omega).sum()
        return float(value - (0.0 if duals.Z is None else (float_matrix(self.scaled) * duals.Z).sum()))

    # -- exactly -----------------------------------------------------------------------------------------------------

    def _rounded(self, found: _Duals, fixed: bool = False) -> Iterator[tuple[Cut, Fraction, list[Number]]]:
        """(cut, B, c), further and further inside; `fixed`: c = 1."""
        weight = np.array(self.d, dtype=object)
        of_pairs = np.array([self.d[i] * self.d[j] for i, j in self.pairs], dtype=object)
        for epsilon in SHIFTS:
            point = self._inside(found, epsilon, fixed)
            # Back to A: x_i of the scaled matrix is d_i times that of A.
            parts = tuple(
                CutPart(c, tuples(W * np.outer(of_pairs[own], of_pairs[own])))
                for c, W, own in zip(point.c, point.W, self.own, strict=True)
            )
            cut = Cut(
                tuple(point.linear * of_pairs), tuple(point.D * of_pairs**2), tuples(point.Omega * np.outer(of_pairs, of_pairs)),
                None if point.Z is None else tuples(point.Z * np.outer(weight, weight)), parts,
            )  # fmt: skip
            yield cut, self._exact_value(point), list(point.c)

    def _inside(self, found: _Duals, epsilon: float, fixed: bool) -> _Duals:
        """In multiples of 2^−BITS, a little further inside; W is lowered where a monomial is too large."""
        shift = Fraction(round(epsilon * 2**BITS), 2**BITS)
        # W and D, and W and Ω, grow together.
        D, Omega = exact(found.D) + shift, exact(found.Omega)
        Omega[np.diag_indices(len(Omega))] += shift
        Z = None if found.Z is None else exact(found.Z)
        above: dict[Monomial, Fraction] = {}
        for s, t in product(range(len(D)), repeat=2):
            monomial = tuple(sorted((*self.pairs[s], *self.pairs[t])))
            above[monomial] = above.get(monomial, Fraction(0)) + Omega[s, t] + (D[s] if s == t else 0)
        if Z is not None and self.inverse is not None:
            for i, j, k, h in product(range(self.n), repeat=4):
                above[tuple(sorted((i, j, k, h)))] += self.inverse[i][j] * Z[k, h]
        squares = []
        for W0, places in zip(found.W, self.monomials, strict=True):
            W = exact(W0)
            W[np.diag_indices(len(W))] += 2 * shift
            for monomial, where in places.items():
                rest = sum(W[s, t] for s, t in where) - above[monomial]
                if rest > 0:
                    s, t = where[0]
                    less = Fraction(math.ceil(rest * 2**BITS), 2**BITS) / (1 if s == t else 2)
                    for place in {(s, t), (t, s)}:
                        W[place] -= less
            squares.append(W)
        c = exact(np.ones(len(self.sets))) if fixed else exact(np.maximum(found.c, 0.0)) + shift
        return _Duals(exact(found.linear * (1 - epsilon)), D, Omega, Z, c, squares)

    def _exact_value(self, point: _Duals) -> Fraction:
        A, most = self.scaled, self.most
        value = Fraction(0)
        for s, (i, j) in enumerate(self.pairs):
            value += (2 * point.linear[s] - point.D[s] * most[i][j]) * A[i][j]
            for t, (k, h) in enumerate(self.pairs):
                value -= point.Omega[s, t] * (A[i][k] * A[j][h] + A[i][h] * A[j][k]) / 2
        if point.Z is not None:
            value -= sum((point.Z[i, j] * A[i][j] for i, j in product(range(self.n), repeat=2)), start=Fraction(0))
        return value


def numbers_of_atoms(total: int, sets: int) -> Iterator[list[int]]:
    """All vectors of `sets` integers ≥ 0 with this sum, the most even ones first."""
    ends = total + sets - 1
    every = [[b - a - 1 for a, b in pairwise((-1, *bars, ends))] for bars in combinations(range(ends), sets - 1)]
    yield from sorted(every, key=lambda counts: sum(k * k for k in counts))


def bounded_products(A: Rows, context: Context) -> Rows:
    """What x_i x_j is at most in the context, A_ij without."""
    most = [list(row) for row in A]
    for (i, j), share in context:
        most[i][j] = most[j][i] = min(share * A[i][j], most[i][j])
    return most


def within(context: Context, proof: Products) -> Products:
    """A proof about atoms in a context as one about all: that there is an atom, if it proves so much."""
    for pair, share in reversed(context):
        proof = Shares((Share(pair, share, proof),))
    return proof
