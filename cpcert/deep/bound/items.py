"""Dual points G with what bounds κ_G, and ψ_G(s) = −C*(−sG) − s²(β²/4λ)‖G1‖² for the best s with sκ_G ≤ 2λ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpcert.deep.bound.norms import NormItem
from cpcert.deep.bound.tree import Tree
from cpcert.frank_wolfe.bounds import best_scale, dual_value
from cpcert.problem import Problem

# Relative room for what floating point leaves out of κ: rounding, and rays that are rounded to their hyperplane.
ROOM = 2e-6


@dataclass(frozen=True, eq=False)
class Tops:
    """Trees for g and −g, for classes of top neurons (tops.py). structure, T, decided: as in tree.Tree; sides (l,): 1, −1.

    values (l, M + 1): M of the leaves at the rays of the cover, and at β1. squares: by class, its largest M².
    """

    g: np.ndarray
    structure: tuple[np.ndarray, np.ndarray]
    T: np.ndarray
    decided: np.ndarray
    sides: np.ndarray
    values: np.ndarray
    squares: dict[int, np.ndarray]


@dataclass(frozen=True, eq=False)
class Item:
    """A dual point G (m, N) and what bounds its κ_G.

    linear, square: ψ_G(s) = s·linear − s²·square for mse; None for losses without a closed form.
    """

    G: np.ndarray
    proof: Tree | NormItem | Tops | None
    linear: float | None = None
    square: float | None = None

    def at(self, problem: Problem, kappa: float) -> tuple[float, float]:
        """(ψ_G(s), s) for the best s with sκ ≤ 2λ, at least 0, in floating point."""
        limit = min(2.0 * problem.lam / max(kappa * (1.0 + ROOM), 1e-290), 1e290)
        if self.linear is not None and self.square is not None:
            s = min(limit, 0.5 * self.linear / self.square) if self.square > 0.0 else limit
            value = s * self.linear - s * s * self.square
        else:
            s = best_scale(problem, self.G, limit)
            value = dual_value(problem, s * self.G)
        return (value, s) if value > 0.0 else (0.0, 0.0)


def item(problem: Problem, G: np.ndarray, proof: Tree | NormItem | Tops | None = None) -> Item:
    """The item of a dual point G (m, N)."""
    ray = problem.loss.dual_ray(G, problem.targets)
    if ray is None:
        return Item(G, proof)
    bias = problem.beta**2 / (4.0 * problem.lam) * float(np.sum(G.sum(axis=1) ** 2))
    return Item(G, proof, ray[0], ray[1] + bias)
