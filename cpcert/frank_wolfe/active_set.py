"""The active set: neurons in the coordinates of the points, and the columns of the corrective program that they span."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpcert.problem import Problem

# |ŵᵀx| relative to ‖x‖ below which its sign is rounding.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Neurons:
    """The function Σ_k v_k σ(w_kᵀx) + βb in the coordinates of the points.

    W: (k, r), unit rows. V: (m, k). b: (m,). patterns: (k, N) bool, on which side of its kinks each neuron counts (what
    a sign of w_kᵀx_i near 0 cannot tell).
    """

    W: np.ndarray
    V: np.ndarray
    b: np.ndarray
    patterns: np.ndarray

    @classmethod
    def none(cls, problem: Problem, r: int) -> Neurons:
        """No neuron and no bias."""
        return cls(np.zeros((0, r)), np.zeros((problem.m, 0)), np.zeros(problem.m), np.zeros((0, problem.N), bool))

    @property
    def masses(self) -> np.ndarray:
        """‖v_k‖‖w_k‖, (k,)."""
        return np.linalg.norm(self.V, axis=0)

    def outputs(self, problem: Problem, points: np.ndarray) -> np.ndarray:
        """Z, (m, N)."""
        return self.V @ problem.activation(self.W @ points.T) + problem.beta * self.b[:, np.newaxis]

    @property
    def penalty(self) -> float:
        """2 Σ‖v_k‖‖w_k‖ + ‖b‖²."""
        return 2.0 * float(self.masses.sum()) + float(self.b @ self.b)

    def objective(self, problem: Problem, points: np.ndarray) -> float:
        """C(Z) + λ·penalty in floating point (C = 0 for interpolate)."""
        return problem.loss.value(self.outputs(problem, points), problem.targets) + problem.lam * self.penalty

    def kept(self, keep: np.ndarray) -> Neurons:
        """The neurons of a mask (k,)."""
        return Neurons(self.W[keep], self.V[:, keep], self.b, self.patterns[keep])

    def without_dust(self, relative: float = 1e-9) -> Neurons:
        """Without neurons whose mass is below `relative` times the total."""
        return self.kept(self.masses > relative * self.masses.sum())


@dataclass(frozen=True, eq=False)
class Correction:
    """The solution of the conic program: the neurons and G (m, N), the multiplier of the equation for Z."""

    neurons: Neurons
    G: np.ndarray


@dataclass(frozen=True, eq=False)
class Columns:
    """The active set. output (p, m), pattern (p, N): pattern columns. W (q, r), W_pattern (q, N): neuron columns."""

    output: np.ndarray
    pattern: np.ndarray
    W: np.ndarray
    W_pattern: np.ndarray

    def unique(self) -> Columns:
        """Without repeated columns."""
        on = _first_of_each(np.concatenate([self.pattern, np.round(self.output, 12) + 0.0], axis=1))
        two = _first_of_each(np.round(self.W, 12) + 0.0)
        return Columns(self.output[on], self.pattern[on], self.W[two], self.W_pattern[two])


def _first_of_each(rows: np.ndarray) -> np.ndarray:
    if not len(rows):
        return np.zeros(0, int)
    return np.sort(np.unique(rows, axis=0, return_index=True)[1])


def columns_for(problem: Problem, neurons: Neurons, W: np.ndarray, U: np.ndarray, points: np.ndarray) -> Columns:
    """The columns of the active neurons and of new ones W (k, r) with output directions U (k, m)."""
    patterns = W @ points.T > 0.0
    masses = neurons.masses
    output = np.concatenate([(neurons.V / np.where(masses > 0.0, masses, 1.0)).T, U])
    pattern = np.concatenate([neurons.patterns, patterns])
    if problem.m == 1:
        return Columns(
            np.sign(output), pattern, np.zeros((0, points.shape[1])), np.zeros((0, problem.N), bool)
        ).unique()
    W = np.concatenate([neurons.W, W])
    # A neuron whose mass is rounding has a direction that is rounding, perhaps outside of its pattern's cone: with its old
    # pattern it would be a column of a function that is no neuron.
    z = W @ points.T
    settled = np.abs(z) > ROUNDING * np.linalg.norm(points, axis=1)
    return Columns(output, pattern, W, np.where(settled, z > 0.0, pattern)).unique()
