"""Has a training ended at a local minimum of its width, or was it not finished? Hints in floating point, no proofs.

Minima lie on kinks: some pre-activations z = w_kᵀa_i are 0 there, and the gradient jumps. So, first order: for a pair
(k, i) with |z| ≤ NEAR·‖w_k‖‖a_i‖ the slope of σ may be any s between a₋ and a₊, chosen layer by layer to make the
gradient of the row w_k least,

    ‖c_k + Σ_i s_ki q_ki a_i‖,   q = W̄_{ℓ+1}ᵀ D_{ℓ+1},   c_k = 2λw_k + the points that are not near a kink.                 (1)

`residual` is the norm of what is left over all layers, divided by 2λ‖W‖. Second order: the smallest eigenvalue of the
second derivative on the piece, by Lanczos, in the directions that keep kinks; `escape` is the least loss found on that
line, when it is below the loss by more than GAIN. `dead` counts, for each hidden layer, neurons whose weights are
(almost) 0.

A network with a small residual and without such ways down is *called* a local minimum: a good guess and not more. That
a *further* neuron lowers its loss is another matter, and proven in networks/verdict.py by the losses with and without.
docs/mathematics/training.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cpcert.network import Network, layer_features
from cpcert.problem import Problem
from cpcert.training.batch import Data, Tensors, flatten, hessian_product, losses, split

NEAR = 1e-3
# A neuron is dead when the product of its norms is below this share of ‖W‖².
DEAD = 1e-7
# Above this residual a training is called unfinished; below, more training gains less than 4e-4 of the penalty or so.
LARGEST_RESIDUAL = 0.02
LANCZOS_STEPS = 40
# A Ritz value below −FLAT·2λ is negative; a share of the loss that an escape must gain.
FLAT, GAIN = 1e-3, 1e-6
# Steps tried along the direction of negative curvature, times ‖W‖.
STEPS = np.geomspace(1e-4, 1.0, 13)


@dataclass(frozen=True)
class Hint:
    """residual: first order, relative. kinks: pairs (neuron, point) near a kink. curvature: the smallest Ritz value over 2λ,
    None where the residual is large. escape: a lower loss near by, or None. dead: neurons of each hidden layer that are."""

    residual: float
    kinks: int
    curvature: float | None
    escape: float | None
    dead: tuple[int, ...]


def hint(problem: Problem, network: Network, seed: int = 0) -> Hint:
    """The hint about a network trained on this problem."""
    alive = network.without_dead_neurons(DEAD * network.norm_squared())
    dead = tuple(n - k for n, k in zip(network.widths[1:-1], alive.widths[1:-1], strict=True))
    residual, near = _first_order(problem, alive)
    kinks = int(sum(mask.sum() for mask in near))
    # Without a hidden neuron in some layer only biases are left, and their problem is convex.
    if residual > LARGEST_RESIDUAL or min(alive.widths[1:-1]) == 0:
        return Hint(residual, kinks, None, None, dead)
    curvature, direction = _smallest_curvature(problem, alive, near, seed)
    escape = None
    if curvature < -FLAT:
        loss, lowest = alive.loss(problem), _lowest_on_line(problem, alive, direction)
        escape = lowest if lowest < loss - GAIN * abs(loss) else None
    return Hint(residual, kinks, curvature, escape, dead)


def _layers(problem: Problem, network: Network) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(Z_1, …, Z_L) and the inputs (A_0, …, A_{L−1}) of the layers."""
    Z = network.forward(problem.X)
    return Z, [problem.X_tilde, *(layer_features(z, network.activation, network.beta) for z in Z[:-1])]


def _first_order(problem: Problem, network: Network) -> tuple[float, list[np.ndarray]]:
    """(1): the residual, and the pairs near a kink, (n_ℓ, N) for each hidden layer."""
    from scipy.optimize import lsq_linear

    sigma, lam = network.activation, problem.lam
    Z, A = _layers(problem, network)
    D = problem.loss.gradient(Z[-1], problem.targets)
    total = np.sum((D @ A[-1].T + 2.0 * lam * network.weights[-1]) ** 2)
    found = []
    for W, following, z, a in zip(network.weights[-2::-1], network.weights[:0:-1], Z[-2::-1], A[-2::-1], strict=True):
        q = following[:, : len(W)].T @ D
        slopes = sigma.slope_at(z > 0.0)
        near = np.abs(z) <= NEAR * np.linalg.norm(W, axis=1)[:, None] * np.linalg.norm(a, axis=0)
        near &= sigma.kink != 0.0
        slopes[near] = 0.0
        gradient = (slopes * q) @ a.T + 2.0 * lam * W
        for k in np.flatnonzero(near.any(axis=1)):
            points = near[k]
            columns = a[:, points] * q[k, points]
            ends = sorted((sigma.a_minus, sigma.a_plus))
            # Scaled: the solver's tolerances are absolute.
            scale = max(np.abs(columns).max(), np.abs(gradient[k]).max(), 1e-300)
            slopes[k, points] = lsq_linear(columns / scale, -gradient[k] / scale, bounds=ends).x
            gradient[k] += columns @ slopes[k, points]
        total += np.sum(gradient**2)
        found.append(near)
        D = slopes * q
    size = 2.0 * lam * np.sqrt(network.norm_squared())
    return float(np.sqrt(total) / size) if size > 0.0 else 0.0, found[::-1]


def _smallest_curvature(
    problem: Problem, network: Network, near: list[np.ndarray], seed: int
) -> tuple[float, np.ndarray]:
    """The smallest Ritz value over 2λ and its vector (P,), in the directions that keep the kinks."""
    data, lam, weights = _tensors(problem, network)
    shapes = [W.shape for W in network.weights]
    bases = []
    start = 0
    for (rows, columns), mask, a in zip(shapes[:-1], near, _layers(problem, network)[1], strict=False):
        for k in np.flatnonzero(mask.any(axis=1)):
            basis, sizes, _ = np.linalg.svd(a[:, mask[k]], full_matrices=False)
            bases.append((slice(start + k * columns, start + (k + 1) * columns), basis[:, sizes > 1e-9 * sizes[0]]))
        start += rows * columns

    def projected(v: np.ndarray) -> np.ndarray:
        for place, basis in bases:
            v[place] -= basis @ (basis.T @ v[place])
        return v

    rng = np.random.Generator(np.random.PCG64(seed))
    v = projected(rng.standard_normal(sum(rows * columns for rows, columns in shapes)))
    V, alphas, betas = [v / np.linalg.norm(v)], [], []
    for _ in range(min(LANCZOS_STEPS, len(v))):
        product = hessian_product(weights, split(torch.from_numpy(V[-1])[None], shapes), lam, data)
        w = projected(flatten(product)[0].numpy())
        alphas.append(float(V[-1] @ w))
        for _ in range(2):
            w -= np.array(V).T @ (np.array(V) @ w)
        size = float(np.linalg.norm(w))
        if size <= 1e-10 * max(map(abs, alphas)):
            break
        betas.append(size)
        V.append(w / size)
    T = np.diag(alphas) + np.diag(betas[: len(alphas) - 1], 1) + np.diag(betas[: len(alphas) - 1], -1)
    values, vectors = np.linalg.eigh(T)
    return float(values[0]) / (2.0 * problem.lam), vectors[:, 0] @ np.array(V[: len(alphas)])


def _lowest_on_line(problem: Problem, network: Network, direction: np.ndarray) -> float:
    """The least loss at W ± t·direction, t in STEPS·‖W‖."""
    data, lam, weights = _tensors(problem, network)
    steps = torch.from_numpy(np.concatenate([STEPS, -STEPS]) * np.sqrt(network.norm_squared()))
    x = flatten(weights) + steps[:, None] * torch.from_numpy(direction)
    return float(losses(split(x, [W.shape for W in network.weights]), lam.expand(len(steps)), data).min())


def _tensors(problem: Problem, network: Network) -> tuple[Data, torch.Tensor, Tensors]:
    """The network as a batch of one."""
    data = Data.of(problem, "cpu", torch.float64)
    return data, torch.tensor([problem.lam], dtype=torch.float64), [torch.tensor(W)[None] for W in network.weights]
