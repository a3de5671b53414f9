"""Linear equations of a nonnegative matrix M = Σ ttᵀ, for the searches of this folder; the checker of their proofs has its own.

The supports of the vectors t ≥ 0 are cliques of a graph, so M_uv = 0 outside its pairs u ≤ v (loops u = v are pairs).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from operator import mul

from cpcert.rank.cliques import Graph
from cpcert.rank.proofs import Combination, Number, Pair


@dataclass(frozen=True)
class System:
    """Σ_{u ≤ v} columns[u, v][e] M_uv = values[e] for all e, M ≥ 0; M_uv > 0 for the required pairs."""

    columns: dict[Pair, dict[int, Number]]
    values: tuple[Number, ...]
    required: frozenset[Pair] = frozenset()

    def combine(self, y: Combination) -> tuple[dict[Pair, Number], Number]:
        """The coefficients of all M_uv, and the right side, in the sum of the equations with the weights y."""
        total: dict[Pair, Number] = dict.fromkeys(self.columns, Fraction(0))
        right: Number = Fraction(0)
        for equation, weight in y:
            right += weight * self.values[equation]
            for pair, column in self.columns.items():
                if equation in column:
                    total[pair] += weight * column[equation]
        return total, right

    def without(self, pairs: Iterable[Pair]) -> System:
        """M vanishes at these pairs, and with M_uu all of its row."""
        gone = set(pairs)
        dead = {u for u, v in gone if u == v}
        kept = {p: column for p, column in self.columns.items() if p not in gone and dead.isdisjoint(p)}
        return replace(self, columns=kept)

    def requiring(self, pair: Pair) -> System:
        """M is positive at this pair."""
        return replace(self, required=self.required | {pair})

    def graph(self) -> Graph:
        """The vertices and edges that are left."""
        neighbours: Graph = {u: set() for u, v in self.columns if u == v}
        for u, v in self.columns:
            neighbours[u] |= {v} - {u}
            neighbours[v] |= {u} - {v}
        return neighbours


def zeros_system(
    S: Sequence[Sequence[Number]], zeros: Sequence[Sequence[int]], A: Sequence[Sequence[Number]]
) -> System:
    """QMQᵀ = A, Q the columns `zeros` of S, over the pairs with q_uᵀSq_v = 0: every atom of A is Σ t_u q_u (⟨S, A⟩ = 0).

    Equations: the upper triangle of A, row by row.
    """
    n = len(A)
    triangle = [(i, j) for i in range(n) for j in range(i, n)]
    columns: dict[Pair, dict[int, Number]] = {}
    for u, q in enumerate(zeros):
        image = [sum(map(mul, row, q)) for row in S]
        for v, p in enumerate(zeros[u:], start=u):
            if sum(map(mul, image, p)):
                continue
            # A pair u < v stands for M_uv and M_vu.
            both = [[q[i] * p[j] + (p[i] * q[j] if u < v else 0) for j in range(n)] for i in range(n)]
            columns[u, v] = {e: both[i][j] for e, (i, j) in enumerate(triangle) if both[i][j]}
    return System(columns, tuple(A[i][j] for i, j in triangle))


def sigma_system(
    K: Sequence[Sequence[Number]], K_sigma: Sequence[Sequence[Number]], a_plus: Number, a_minus: Number
) -> System:
    """The equations of M = Σ ttᵀ, t = (p, q), for x = p − q with p, q ≥ 0 and p_i q_i = 0; vertex i is p_i, vertex N + i is q_i.

    σ(x) = a₊p − a₋q. For each i ≤ j (upper triangles, row by row) Σ x_i x_j = K_ij and then Σ σ(x)_i σ(x)_j = K_σ,ij, in terms of
    the four products, or two squares if i = j.
    """
    N = len(K)
    triangle = [(i, j) for i in range(N) for j in range(i, N)]
    parts = ((0, 1, a_plus), (N, -1, -a_minus))  # of p and q: where they start, their signs in x, their factors in σ(x)
    columns: dict[Pair, dict[int, Number]] = {}
    for e, (i, j) in enumerate(triangle):
        for first, sign, slope in parts:
            for second, other_sign, other_slope in parts:
                if i == j and first != second:
                    continue
                u, v = sorted((first + i, second + j))
                columns[u, v] = {e: sign * other_sign}
                if slope * other_slope:
                    columns[u, v][len(triangle) + e] = slope * other_slope
    values = [L[i][j] for L in (K, K_sigma) for i, j in triangle]
    return System({pair: columns[pair] for pair in sorted(columns)}, tuple(values))
