"""From bounds of κ_G(m) to a bound of the minimum: λΣm + max_G ψ_G(s), sκ_G(m) ≤ 2λ, over all masses m.

ψ_G(s) = −C*(−sG) − s²(β²/4λ)‖G1‖². Masses are m = Pθ, θ ≥ 0, Σθ = 1; a cell
is a simplex of such θ, given by its vertices. For a target T and a cell, a ladder descends in P:

    P_0 = (T − ψ(0))/λ,   P_{i+1} = (T − ψ_{G_i}(s_i))/λ   where s_i κ_{G_i}(m) ≤ 2λ for all m of the cell with Σm ≤
    P_i:

masses with P_{i+1} ≤ Σm ≤ P_i have λΣm + ψ ≥ T. A ladder that reaches 0 proves T for the cell.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cpcert.deep.bound.norms import NormItem
from cpcert.deep.bound.tree import Space, Tree
from cpcert.frank_wolfe.bounds import best_scale, dual_value
from cpcert.problem import Problem

# Relative room for what floating point leaves out of κ: rounding, and rays that are rounded to their hyperplane.
ROOM = 2e-6
RUNGS = 4000


@dataclass(frozen=True, eq=False)
class Item:
    """A dual point G (m, N) and a bound of κ_G: bound(vertices, totals) for the masses of a cell with Σm ≤ total.

    linear, square: ψ_G(s) = s·linear − s²·square for mse; None for losses without a closed form.
    """

    G: np.ndarray
    bound: Callable[[np.ndarray, np.ndarray], np.ndarray]
    proof: Tree | NormItem
    linear: float | None = None
    square: float | None = None

    def best(self, problem: Problem, vertices: np.ndarray, totals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(ψ_G(s), s) for the best s with sκ_G ≤ 2λ, at each of `totals`, in floating point."""
        return self._best(problem, self.bound(vertices, totals))

    def at(self, problem: Problem, kappa: float) -> tuple[float, float]:
        """(ψ_G(s), s) for the best s with sκ ≤ 2λ, at least 0."""
        value, s = self._best(problem, np.array([kappa]))
        return (float(value[0]), float(s[0])) if value[0] > 0.0 else (0.0, 0.0)

    def _best(self, problem: Problem, kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kappa = kappa * (1.0 + ROOM)
        limits = np.minimum(2.0 * problem.lam / np.maximum(kappa, 1e-290), 1e290)
        if self.linear is not None and self.square is not None:
            s = np.minimum(limits, 0.5 * self.linear / self.square) if self.square > 0.0 else limits
            s = s if self.linear > 0.0 else 0.0 * s
            return s * self.linear - s * s * self.square, s
        scales = np.array([best_scale(problem, self.G, limit) for limit in limits.tolist()])
        return np.array([dual_value(problem, s * self.G) for s in scales.tolist()]), scales


def item(problem: Problem, G: np.ndarray, bound: Callable[..., np.ndarray], proof: Tree | NormItem) -> Item:
    """The item of a dual point G (m, N)."""
    ray = problem.loss.dual_ray(G, problem.targets)
    if ray is None:
        return Item(G, bound, proof)
    bias = problem.beta**2 / (4.0 * problem.lam) * float(np.sum(G.sum(axis=1) ** 2))
    return Item(G, bound, proof, ray[0], ray[1] + bias)


def tree_item(problem: Problem, space: Space, tree: Tree) -> Item:
    """The item of a tree."""
    return item(problem, tree.g[np.newaxis], functools.partial(tree.bound, space), tree)


def best_rungs(
    problem: Problem, items: Sequence[Item], vertices: np.ndarray, totals: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ψ, number of the item, s) of the item that gives most, at each of `totals`."""
    found = [one.best(problem, vertices, totals) for one in items]
    values, scales = np.array([value for value, _ in found]), np.array([s for _, s in found])
    k = values.argmax(axis=0)
    columns = np.arange(len(totals))
    return np.maximum(values[k, columns], 0.0), k, np.where(values[k, columns] > 0.0, scales[k, columns], 0.0)


def lowest(problem: Problem, items: Sequence[Item], vertices: np.ndarray, upper: float) -> tuple[float, float, int]:
    """(min over P of λP + max ψ at Σm ≤ P, P, the item there): about the largest T of a cell, in floating point.

    upper: an upper bound of what is asked for; λP beyond it needs no item.
    """
    last = upper / problem.lam
    grid = last * np.concatenate([[0.0], np.geomspace(1e-4, 1.0, 60)])
    best, at, number = np.inf, 0.0, 0
    for _ in range(3):
        psi, k, _ = best_rungs(problem, items, vertices, grid)
        values = problem.lam * grid + psi
        j = int(values.argmin())
        if values[j] < best:
            best, at, number = float(values[j]), float(grid[j]), int(k[j])
        grid = np.linspace(grid[max(j - 1, 0)], grid[min(j + 1, len(grid) - 1)], 21)
    return best, at, number


def point_value(problem: Problem, items: Sequence[Item], masses: np.ndarray) -> float:
    """λΣm + max ψ at one m."""
    psi, _, _ = best_rungs(problem, items, masses[None, :], np.ones(1))
    return problem.lam * float(masses.sum()) + float(psi[0])


@dataclass(frozen=True)
class Cells:
    """A tree over cells: split (a, b, t): vertices a and b are replaced in turn by (1 − t)θ_a + tθ_b; or a ladder [(item, s), …]."""

    split: tuple[int, int, float] | None
    parts: tuple[Cells, ...]
    rungs: tuple[tuple[int, float], ...]


def halves(vertices: np.ndarray, split: tuple[int, int, float]) -> tuple[np.ndarray, np.ndarray]:
    """The two parts of a cell: with the new vertex in the place of a, and of b."""
    a, b, t = split
    middle = (1.0 - t) * vertices[a] + t * vertices[b]
    first, second = vertices.copy(), vertices.copy()
    first[a], second[b] = middle, middle
    return first, second


def ladder(
    problem: Problem, items: Sequence[Item], vertices: np.ndarray, target: float
) -> list[tuple[int, float]] | None:
    """The rungs (item, s) that prove the target for a cell, in floating point; None if they do not reach 0."""
    lam = problem.lam
    total = (target - dual_value(problem, 0.0 * items[0].G)) / lam
    rungs: list[tuple[int, float]] = []
    while total > 0.0:
        psi, k, s = best_rungs(problem, items, vertices, np.array([total]))
        # What is lost to rounding here must not cost the check.
        following = (target - float(psi[0])) / lam
        following += 1e-12 * (abs(following) + abs(target) / lam)
        if following >= total * (1.0 - 1e-9) and following > 0.0:
            return None
        rungs.append((int(k[0]), float(s[0])))
        total = following
        if len(rungs) > RUNGS:
            return None
    return rungs
