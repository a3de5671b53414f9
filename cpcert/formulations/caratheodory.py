"""Fewer neurons by Carathéodory's theorem, keeping the outputs or the covariances of a layer.

If Σ_k a_k = t with a_k ∈ R^d and costs c_k ≥ 0, there are weights x ≥ 0, at most rank(a_1 … a_K) ≤ d of them not 0,
with Σ x_ka_k = t and Σ x_kc_k ≤ Σ c_k. Two uses for a layer ℓ with pre-activations z_k = w_kᵀZ_{ℓ−1}^σ on N points:

    outputs       a_k = v_k ⊗ σ(z_k), c_k = 2‖v_k‖‖w_k‖ (balanced): at most n_{ℓ+1}·N neurons.
    covariances   a_k = (z_kz_kᵀ, σ(z_k)σ(z_k)ᵀ), c_k = ‖w_k‖²: at most N(N+1) neurons (Lemma 10 of Jacot, Golikov, Hongler, Gabriel
                  2022); W_{ℓ+1} = Z_{ℓ+1}(Z_ℓ^σ)⁺ keeps Z_{ℓ+1} (Prop. 3).

The numbers of neurons are exact; that outputs and norm are kept holds in floating point, and is measured on the result.
docs/mathematics/reduction.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import qr

from cpcert.network import Network, layer_features

# Relative size of a diagonal entry of the pivoted QR factorisation that counts as 0.
DEPENDENT = 1e-13
# Columns added to an independent set at a time.
BATCH = 64


@dataclass(frozen=True)
class Stage:
    """One reduction of one hidden layer (1 is the first): neurons before and after, the bound that is guaranteed for the
    number after, and the argument for it."""

    layer: int
    width_before: int
    width_after: int
    bound: int
    argument: str


def caratheodory(columns: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Weights x ≥ 0 (K,), at most rank(columns) of them positive, with columns·x = columns·1 and costs·x ≤ costs·1.

    columns (d, K), costs (K,); a column of cost 0 gets no weight. Both (in)equalities hold up to rounding: the equation to about
    1e-14 of the sizes of the columns.
    """
    weights = np.zeros(len(costs))
    live = np.flatnonzero(columns.any(axis=0) & (costs > 0.0))
    if not len(live):
        return weights
    # In units of cost all prices are 1. That makes the moves safe: a null vector that does not raise the cost then has
    # negative entries of the size of its positive ones, and no weight can leave the total.
    priced = columns[:, live] / costs[live]
    x = costs[live].astype(np.float64)
    target, total = columns[:, live].sum(axis=1), x.sum()
    kept = np.zeros(0, np.int64)
    waiting = np.arange(len(live))
    batch = max(BATCH, len(columns) // 4)
    while len(waiting):
        pool, waiting = np.concatenate([kept, waiting[:batch]]), waiting[batch:]
        kept = pool[_eliminate(priced, x, pool)]
    for _ in range(2):  # what rounding moved
        better = x[kept] + np.linalg.lstsq(priced[:, kept], target - priced[:, kept] @ x[kept], rcond=1e-12)[0]
        if better.min() >= 0.0 and better.sum() + x[kept].sum() <= 2.0 * total:
            x[kept] = better
    weights[live[kept]] = x[kept] / costs[live[kept]]
    return weights


def _eliminate(priced: np.ndarray, x: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Bring weights x[pool] to 0 until the columns left are independent; a mask of those. Changes x in place."""
    A, y = priced[:, pool], x[pool]
    Q, R, _ = qr(A.T, mode="full" if len(pool) > len(A) else "economic", pivoting=True)
    diagonal = np.abs(R.diagonal())
    null = Q[:, int((diagonal > DEPENDENT * diagonal[0]).sum()) :]
    left = np.ones(len(pool), bool)
    while null.shape[1]:
        # The steepest descent of the cost Σx, or any null vector where it is constant.
        slopes = null.sum(axis=0)
        steepest = float(np.linalg.norm(slopes))
        z = -null @ (slopes / steepest) if steepest > 1e-14 else null[:, -1]
        ratio = np.where(left & (z < 0.0), y / np.where(z < 0.0, -z, 1.0), np.inf)
        i = int(np.argmin(ratio))
        y = np.where(left, np.maximum(y + ratio[i] * z, 0.0), 0.0)
        y[i], left[i] = 0.0, False
        # The null vectors with z_i = 0: a reflection brings row i to the first column, which goes.
        row = null[i].copy()
        row[0] += np.copysign(np.linalg.norm(row), row[0])
        null = (null - np.outer(null @ row, 2.0 / (row @ row) * row))[:, 1:]
        null[~left] = 0.0
    x[pool] = y
    return left & (y > 0.0)


def reduce_outputs(network: Network, X: np.ndarray, layer: int) -> tuple[Network, Stage]:
    """Hidden layer `layer` (1 is the first) with at most n_{ℓ+1}·N neurons, Z_{ℓ+1} kept, norm not raised. X (N, n_0)."""
    before = network.widths[layer]
    network = _balanced_layer(network, layer)
    W, following = network.weights[layer - 1], network.weights[layer]
    V = following[:, : len(W)]
    phi = network.activation(W @ _inputs(network, X, layer))  # (k, N)
    columns = np.einsum("mk,kn->mnk", V, phi).reshape(len(V) * phi.shape[1], len(W))
    bound = len(V) * len(_distinct(X))
    costs = 2.0 * np.linalg.norm(V, axis=0) * np.linalg.norm(W, axis=1)
    root = np.sqrt(caratheodory(columns, costs))
    alive = root > 0.0
    weights = list(network.weights)
    weights[layer - 1] = W[alive] * root[alive, np.newaxis]
    weights[layer] = np.column_stack([V[:, alive] * root[alive], following[:, len(W) :]])
    argument = "Carathéodory on the outputs: next layer's neurons × distinct points"
    return replace(network, weights=tuple(weights)), Stage(layer, before, int(alive.sum()), bound, argument)


def reduce_covariances(network: Network, X: np.ndarray, layer: int) -> tuple[Network, Stage]:
    """Hidden layer `layer` with at most N(N+1) neurons, (K_ℓ, K_ℓ^σ) and Z_{ℓ+1} kept, norm not raised. X (N, n_0)."""
    before = _inputs(network, X, layer)
    Z = network.weights[layer - 1] @ before
    following = network.weights[layer] @ layer_features(Z, network.activation, network.beta)
    # The smallest weights with these pre-activations, and the smallest next layer.
    W = np.linalg.lstsq(before.T, Z.T, rcond=1e-13)[0].T
    rows, cols = np.triu_indices(Z.shape[1])
    scale = np.where(rows == cols, 1.0, np.sqrt(2.0))
    phi = network.activation(Z)
    columns = np.concatenate([(A[:, rows] * A[:, cols] * scale).T for A in (Z, phi)])
    root = np.sqrt(caratheodory(columns, np.sum(W * W, axis=1)))
    alive = root > 0.0
    W = W[alive] * root[alive, np.newaxis]
    after = layer_features(Z[alive] * root[alive, np.newaxis], network.activation, network.beta)
    weights = list(network.weights)
    weights[layer - 1] = W
    weights[layer] = np.linalg.lstsq(after.T, following.T, rcond=1e-13)[0].T
    N = len(_distinct(X))
    argument = "Carathéodory on (K, K^σ): N(N+1) for N distinct points (Lemma 10)"
    return replace(network, weights=tuple(weights)), Stage(layer, len(Z), len(W), N * (N + 1), argument)


def _inputs(network: Network, X: np.ndarray, layer: int) -> np.ndarray:
    """Z_{ℓ−1}^σ, the features that hidden layer ℓ sees, (n_{ℓ−1} + 1, N)."""
    if layer == 1:
        return network.inputs(X)
    return layer_features(network.forward(X)[layer - 2], network.activation, network.beta)


def _distinct(X: np.ndarray) -> np.ndarray:
    return np.unique(X, axis=0)


def _balanced_layer(network: Network, layer: int) -> Network:
    """This layer's neurons balanced, and without its dead ones: no function changes."""
    pair = Network((network.weights[layer - 1], network.weights[layer]), network.activation, network.beta)
    weights = list(network.weights)
    weights[layer - 1 : layer + 1] = pair.balanced().without_dead_neurons().weights
    return replace(network, weights=tuple(weights))
