"""A bound of the minimum from bounds of κ_G by norms: λS + max_G ψ_G(s), sκ_G(S) ≤ 2λ, over all sums S of masses.

For a target T a ladder descends in S:

    P_0 = (T − ψ(0))/λ,   P_{i+1} = (T − ψ_{G_i}(s_i))/λ   where s_i κ_{G_i}(S) ≤ 2λ for all S ≤ P_i:

networks with P_{i+1} ≤ S ≤ P_i have λS + ψ ≥ T. A ladder that reaches 0 proves T.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cpcert.deep.bound.items import Item
from cpcert.deep.bound.norms import NormItem
from cpcert.frank_wolfe.bounds import dual_value
from cpcert.problem import Problem

RUNGS = 4000


@dataclass(frozen=True)
class Ladder:
    """(number of the dual point, s), from above."""

    rungs: tuple[tuple[int, float], ...]


def best_rung(problem: Problem, items: Sequence[Item], total: float) -> tuple[float, int, float]:
    """(ψ, number, s) of the dual point that gives most where S ≤ total."""
    found = []
    for k, one in enumerate(items):
        assert isinstance(one.proof, NormItem)
        value, s = one.at(problem, one.proof.bound(total))
        found.append((value, -k, s))
    value, k, s = max(found)
    return value, -k, s


def lowest(problem: Problem, items: Sequence[Item], upper: float) -> tuple[float, float]:
    """(the least λS + max ψ on a grid, its S): about the largest T. upper: an upper bound of what is asked for."""
    last = upper / problem.lam
    grid = last * np.concatenate([[0.0], np.geomspace(1e-4, 1.0, 60)])
    best = (np.inf, 0.0)
    for _ in range(3):
        values = np.array([problem.lam * S + best_rung(problem, items, S)[0] for S in grid.tolist()])
        j = int(values.argmin())
        best = min(best, (float(values[j]), float(grid[j])))
        grid = np.linspace(grid[max(j - 1, 0)], grid[min(j + 1, len(grid) - 1)], 21)
    return best


def ladder(problem: Problem, items: Sequence[Item], target: float) -> Ladder | None:
    """The ladder that proves the target, in floating point; None if it does not reach 0."""
    lam = problem.lam
    total = (target - dual_value(problem, 0.0 * items[0].G)) / lam
    rungs: list[tuple[int, float]] = []
    while total > 0.0:
        psi, k, s = best_rung(problem, items, total)
        # What is lost to rounding here must not cost the check.
        following = (target - psi) / lam
        following += 1e-12 * (abs(following) + abs(target) / lam)
        if (following >= total * (1.0 - 1e-9) and following > 0.0) or len(rungs) == RUNGS:
            return None
        rungs.append((k, s))
        total = following
    return Ladder(tuple(rungs))
