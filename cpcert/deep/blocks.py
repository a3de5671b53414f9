"""One hidden layer of a deep network with its neighbours fixed: a problem of depth 2, and what its bounds prove.

Fix the weights of a network of depth L but W_ℓ and W_{ℓ+1}, the ones around hidden layer ℓ, and let layer ℓ have any
width. For ℓ < L − 1 fix Z_{ℓ+1} too. With A = Z_{ℓ−1}^σ this is the problem of depth 2 with X̃ = A, and for ℓ < L − 1
`interpolate` with X̃ = A, Y = Z_{ℓ+1} times λ (Prop. 5). The network attains `cost`, so lower ≤ minimum ≤ cost, and
cost − lower bounds what any change of this layer alone can gain. Small gaps in all layers are necessary for a global
minimum, not sufficient.

A and Z_{ℓ+1} are what the exact weights produce; the instance has float64 numbers X, Y with proven ‖a_i − x_i‖ ≤ e_i,
|QZ_{ℓ+1} − Y| ≤ E entry by entry, ‖Q‖ ≤ s, Q (k × m) for the row space of the outputs. A dual point G of the instance
with γ(G) ≤ u has u' = u + max(|a₊|, |a₋|) Σ_i ‖g_i‖ e_i for the exact weights, and if t s u' ≤ 2

    Σ‖v_j‖² + ‖w_j‖² + ‖b‖² ≥ t⟨G, Y⟩ − t⟨|G|, E⟩ − t²s²β²‖G1‖²/4,

the bound for ℓ < L − 1 (times λ). For ℓ = L − 1 it is that of frank_wolfe/bounds.py with u' in the place of u. Nothing
here asks the instance to be feasible. docs/mathematics/deep.md has the derivation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from cpcert.frank_wolfe.bounds import DualBound, dual_lower_bound
from cpcert.network import Network, forward_with_error, loss_upper, representation_cost_upper
from cpcert.oracle.spectral import row_norms
from cpcert.problem import Problem
from cpcert.rounding import EPS, exact_dot, exact_sum, round_down, round_up

# Inputs of two points, or outputs, that differ by less than this (relative to the largest) are made equal, and smaller
# ones zero, so that rounding does not separate what is the same. The bounds of the error know.
SNAP = 1e-13
# Singular values of the outputs below this (relative) are left to the bound of the error.
NEGLIGIBLE = 1e-9
# Misfit (relative) up to which weights count as a solution of a block with fixed outputs.
MISFIT = 1e-7


@dataclass(frozen=True, eq=False)
class Block:
    """Hidden layer `layer` (1 … L − 1) of `network` as a problem of depth 2.

    instance: the float64 problem (X, Y as above; λ counts as 1 unless `last`). start: (W_ℓ, QW_{ℓ+1}), a network of the
    instance. basis: Q (k, m). stretch: s. input_error: e (N,). output_error: E (k, N). cost: proven ≥ the cost of the
    layer in the network, in the units of L_λ.
    """

    problem: Problem
    network: Network
    layer: int
    instance: Problem
    start: Network
    basis: np.ndarray
    stretch: float
    input_error: np.ndarray
    output_error: np.ndarray
    cost: float

    @property
    def last(self) -> bool:
        """Whether this is the last hidden layer."""
        return self.layer == self.problem.depth - 1

    def lower(self, dual: DualBound) -> float:
        """Proven: a lower bound of the cost of this layer given its neighbours (≥ 0), from a dual bound of the instance."""
        sizes = row_norms(dual.G.T)
        rest = float(sizes @ self.input_error) * self.problem.activation.lipschitz
        rest *= 1.0 + (len(sizes) + 4) * EPS
        bound = round_up(Fraction(self.stretch) * (Fraction(dual.oracle_bound) + Fraction(rest)))
        if not math.isfinite(bound):
            return 0.0
        moved = dual_lower_bound(self.instance, dual.G, bound, dual.rung, dual.proof, dual.frame)
        if self.last:
            return max(moved.value, 0.0)
        if not math.isfinite(moved.value):
            return 0.0
        t = Fraction(moved.dual_scale)
        value = Fraction(moved.value) - t * exact_dot(np.abs(dual.G), self.output_error)
        sums = sum(exact_sum(row) ** 2 for row in dual.G)
        value -= t * t * (Fraction(self.stretch) ** 2 - 1) * Fraction(self.problem.beta) ** 2 / 4 * sums
        return max(round_down(Fraction(self.problem.lam) * value), 0.0)

    def start_cost(self, network: Network) -> float:
        """The cost of a network of the instance, in its units: what the search lowers. inf if it does not fit Y."""
        if self.last:
            return loss_upper(network, self.instance)
        misfit = network.residual(self.instance)
        fits = misfit <= MISFIT * float(np.abs(self.instance.targets).max(initial=0.0))
        return representation_cost_upper(network) if fits else math.inf

    def replaced(self, network: Network) -> Network:
        """The deep network with this layer from a network of the instance: W_ℓ, and QᵀW_{ℓ+1}."""
        weights = list(self.network.weights)
        inputs = weights[self.layer - 1].shape[1]
        incoming, outgoing = network.weights
        # An instance without inputs has a column of zeros in their place.
        weights[self.layer - 1] = incoming[:, incoming.shape[1] - inputs :] if inputs < incoming.shape[1] else incoming
        weights[self.layer] = self.basis.T @ outgoing
        return Network(tuple(weights), self.problem.activation, self.problem.beta)


def block(
    problem: Problem, network: Network, layer: int, dual: np.ndarray | None = None, negligible: float = 0.0
) -> Block:
    """The block of hidden layer `layer` (1 … L − 1).

    dual: Ĝ_{ℓ+1} (n_{ℓ+1}, N). The directions q of the outputs whose parts 2λ⟨qᵀĜ, qᵀZ⟩ of a bound add up to at most
    `negligible` times the cost are left out of Y: fewer outputs, and a bound that is lower by so much.
    """
    cost = layer_cost(problem, network, layer)
    passes = forward_with_error(network, problem.X)
    A, A_error = passes[2 * layer - 2]
    X = np.zeros((1, problem.N))
    input_error = np.zeros(problem.N)
    width = network.widths[layer - 1]
    if width:
        X = _snapped(A[:width]) if layer > 1 else A[:width]
        error = (A_error[:width] + np.abs(A[:width] - X)) * (1.0 + 4.0 * EPS)
        input_error = row_norms(error.T)
    name, sigma, beta = f"{problem.name}-layer{layer}", problem.activation, problem.beta
    incoming, outgoing = network.weights[layer - 1], network.weights[layer]
    if not width:
        incoming = np.hstack([np.zeros((len(incoming), 1)), incoming])
    if layer == problem.depth - 1:
        instance = Problem(X.T, problem.Y, lam=problem.lam, loss=problem.loss, activation=sigma, beta=beta, name=name)
        basis, stretch, output_error = np.eye(problem.m), 1.0, np.zeros((problem.m, problem.N))
    else:
        Z, Z_error = passes[2 * layer + 1]
        basis, stretch = _row_space(Z, dual, negligible * cost / (2.0 * problem.lam))
        Y = basis @ Z
        output_error = np.abs(basis) @ Z_error + (len(Z) + 2) * EPS * (np.abs(basis) @ np.abs(Z))
        snapped = _snapped(Y, X)
        output_error = (output_error + np.abs(Y - snapped)) * (1.0 + (len(Z) + 8) * EPS)
        instance = Problem(X.T, snapped.T, loss="interpolate", activation=sigma, beta=beta, name=name)
        outgoing = basis @ outgoing
    start = Network((incoming, outgoing), problem.activation, problem.beta)
    return Block(
        problem, network, layer, instance, start, basis, stretch, input_error, output_error,
        cost,
    )  # fmt: skip


def layer_cost(problem: Problem, network: Network, layer: int) -> float:
    """Proven ≥ λ(‖W_ℓ‖² + ‖W_{ℓ+1}‖²), plus C(Z_L) at the last hidden layer."""
    lam = Fraction(problem.lam)
    norms = [exact_dot(W, W) for W in network.weights]
    own = norms[layer - 1] + norms[layer]
    if layer < problem.depth - 1:
        return round_up(lam * own)
    upper = loss_upper(network, problem)
    return round_up(Fraction(upper) - lam * (sum(norms, Fraction(0)) - own)) if math.isfinite(upper) else math.inf


def _row_space(Z: np.ndarray, dual: np.ndarray | None, allowed: float) -> tuple[np.ndarray, float]:
    """(Q, s): the directions that the outputs Z (m, N) take, as rows of Q (k, m), and a proven s ≥ ‖Q‖, s ≥ 1."""
    m = len(Z)
    if not Z.any():
        return np.eye(max(m, 1), m)[:1], 1.0
    left, singular, right = np.linalg.svd(Z, full_matrices=False)
    k = int((singular > NEGLIGIBLE * singular[0]).sum())
    if dual is not None:
        parts = np.abs(singular * np.einsum("mk,mn,kn->k", left, dual, right))
        k = min(k, max(int((np.cumsum(parts[::-1])[::-1] > allowed).sum()), 1))
    if k == m:
        return np.eye(m), 1.0
    Q = np.ascontiguousarray(left[:, :k].T)
    defect = np.abs(Q @ Q.T - np.eye(k)) + (m + 3) * EPS * (np.abs(Q) @ np.abs(Q.T) + np.eye(k))
    return Q, 1.0 + 0.5 * float(np.linalg.norm(defect)) * (1.0 + (k * k + 4) * EPS) + EPS


def _snapped(A: np.ndarray, key: np.ndarray | None = None) -> np.ndarray:
    """A (n, N) with entries near 0 set to 0 and nearly equal columns made equal: those of A, or where those of `key` are.

    Neither argument changes: `key` may be the points of the problem, or inputs whose error is already bounded.
    """
    size = float(np.abs(A).max(initial=0.0))
    A = np.where(np.abs(A) <= SNAP * size, 0.0, A)
    key = A if key is None else key.copy()
    close = SNAP * float(np.abs(key).max(initial=0.0))
    for j in range(1, A.shape[1]):
        same = np.flatnonzero(np.all(np.abs(key[:, :j] - key[:, j : j + 1]) <= close, axis=0))
        if len(same):
            A[:, j] = A[:, same[0]]
            key[:, j] = key[:, same[0]]
    return A
