"""Proofs about a nonnegative matrix M of which linear equations are known: which entries vanish, which are positive.

Two lifted problems have this form (`cpcert.certificate.rank_check`, NODE): the atoms of A written in the minimal zeros
of an exposing copositive matrix, and the atoms x = p − q of a covariance pair. In both, k atoms give k nonnegative
vectors t whose supports are cliques of a graph H, and M = Σ ttᵀ. So every pair of H with a proven M_uv > 0 lies in the
support of some t, and the number of cliques of H that cover these pairs is a lower bound of k.

Farkas' lemma: M_uv > 0 on {M ≥ 0 : equations} iff the equations have a combination with coefficients ≥ 0 on all other
pairs of H and a negative value. HiGHS finds it in floating point; it is rounded to rationals, pushed inside by a
combination whose coefficients are all positive where there is one, and checked exactly.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from cpcert.rank.graphs import clique_cover_bound
from cpcert.rank.lifted_systems import System
from cpcert.rank.proofs import (
    Branch,
    Combination,
    Covered,
    Infeasible,
    Node,
    Pair,
    PositiveStep,
)

LARGEST_TREE = 60
ROUNDING = 2**30


class FarkasSearch:
    """Combinations of the equations of one system by linear programs in float; what it returns is checked exactly."""

    def __init__(self, system: System):
        from scipy.sparse import csc_array

        self.system = system
        self.pairs = list(system.columns)
        entries = [(k, e, float(a)) for k, pair in enumerate(self.pairs) for e, a in system.columns[pair].items()]
        rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
        matrix = csc_array((values, (rows, columns)), shape=(len(self.pairs), len(system.values)))
        # Equal weight for equations of different size.
        right = np.array([float(v) for v in system.values])
        self.scale = np.maximum(abs(right), abs(matrix).max(axis=0).toarray().ravel() if self.pairs else 1.0)
        self.scale[self.scale == 0.0] = 1.0
        self.matrix, self.right = (matrix / self.scale[None, :]).tocsr(), right / self.scale
        # All ones: positive coefficients on all pairs, if the system has it (the zeros of a copositive matrix do).
        ones: Combination = tuple((e, 1) for e in range(len(system.values)))
        coefficients, value = system.combine(ones)
        self.inside = (ones, coefficients, value) if all(c > 0 for c in coefficients.values()) else None

    def find(self, without: Pair | None = None) -> Combination | None:
        """y with ⟨y, r⟩ < 0 and coefficients ≥ 0 on H without one pair; None if none was found."""
        from scipy.optimize import linprog

        keep = np.array([pair != without for pair in self.pairs], dtype=bool)
        result = linprog(
            self.right, A_ub=-self.matrix[keep], b_ub=np.zeros(int(keep.sum())), bounds=(-1.0, 1.0), method="highs"
        )
        if result.x is None or result.fun > -1e-9:
            return None
        for y in self._rationals(result.x / self.scale):
            coefficients, value = self.system.combine(y)
            worst = min((c for pair, c in coefficients.items() if pair != without), default=Fraction(0))
            if worst < 0 and self.inside is not None:
                ones, margin, shift = self.inside
                step = max(-c / Fraction(margin[p]) for p, c in coefficients.items() if c < 0 and p != without)
                total = {e: Fraction(v) for e, v in y}
                for e, v in ones:
                    total[e] = total.get(e, Fraction(0)) + step * v
                y, value, worst = tuple(total.items()), value + step * shift, Fraction(0)
            if worst >= 0 and value < 0:
                return y
        return None

    def _rationals(self, y: np.ndarray) -> list[Combination]:
        largest = float(abs(y).max())
        small = [(e, Fraction(float(v / largest)).limit_denominator(100)) for e, v in enumerate(y)]
        fine = [(e, Fraction(round(float(v / largest) * ROUNDING), ROUNDING)) for e, v in enumerate(y)]
        return [tuple((e, v) for e, v in rounded if v) for rounded in (small, fine)]


def prove_node(system: System, target: int) -> tuple[int | None, Node]:
    """A lower bound of the number of vectors t, at most about `target`, with its proof. None: there is no M at all."""
    budget = [LARGEST_TREE]
    return _prove(system, target, budget, 0)


def _prove(system: System, target: int, budget: list[int], depth: int) -> tuple[int | None, Node]:
    search = FarkasSearch(system)
    nothing = search.find()
    if nothing is not None:
        return None, Node((), Infeasible(nothing))
    steps = []
    for pair in search.pairs:
        if pair not in system.required:
            by = search.find(pair)
            if by is not None:
                steps.append(PositiveStep(pair, by))
                system = system.requiring(pair)
    lower, cover = clique_cover_bound(system.graph(), set(system.required), target)
    node = Node(tuple(steps), Covered(cover))
    open_loops = [pair for pair in search.pairs if pair[0] == pair[1] and pair not in system.required]
    if lower >= target or not open_loops or budget[0] <= 0 or depth > 40:
        return lower, node
    # Is a loop without which fewer vectors might do really needed? Branch on the one with the largest upper bound.
    pair = max(open_loops, key=lambda pair: _largest(search, pair))
    budget[0] -= 1
    low, zero = _prove(system.without({pair}), target, budget, depth + 1)
    high, positive = _prove(system.requiring(pair), target, budget, depth + 1)
    both = high if low is None else low if high is None else min(low, high)
    if both is not None and both <= lower:
        return lower, node
    return both, Node(tuple(steps), Branch(pair, zero, positive))


def _largest(search: FarkasSearch, pair: Pair) -> float:
    """max M_uv, in float; a hint."""
    from scipy.optimize import linprog

    cost = np.zeros(len(search.pairs))
    cost[search.pairs.index(pair)] = -1.0
    result = linprog(cost, A_eq=search.matrix.T, b_eq=search.right, bounds=(0.0, None), method="highs")
    return -float(result.fun) if result.x is not None else 0.0
