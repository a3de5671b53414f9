"""Many networks as one batch: losses, gradients and second derivatives of networks of different widths in a few kernels.

A batch holds B networks of depth L with hidden widths n_b ≤ n in padded tensors W_1 (B, n, n_0 + 1), W_ℓ (B, n, n + 1),
W_L (B, m, n + 1), bias column last (no such column when β = 0). Columns are points. With A_0 = X̃, slopes σ′, W̄_ℓ =
W_ℓ without its bias column and A_ℓ = [σ(Z_ℓ); β1ᵀ],

    Z_ℓ = W_ℓ A_{ℓ−1},   L_λ = C(Z_L) + λ Σ‖W_ℓ‖²,                                                                   (1)
    D_L = ∇C(Z_L),   ∂L_λ/∂W_ℓ = D_ℓ A_{ℓ−1}ᵀ + 2λW_ℓ,   D_{ℓ−1} = σ′(Z_{ℓ−1}) ∘ W̄_ℓᵀ D_ℓ,                             (2)

and second derivatives in a direction V likewise (3). At a kink, z = 0, the slope a₋ is taken, as torch does. Padding
stays zero by itself, so no masks are needed: docs/mathematics/training.md.

Everything here is floating point and proves nothing; networks leave through `networks`, and what is said about them is
computed again from their float64 weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from cpcert.errors import InputError
from cpcert.losses import Loss
from cpcert.network import Network
from cpcert.problem import Problem

Tensors = list[torch.Tensor]


@dataclass(frozen=True, order=True)
class Trial:
    """One network to train: its hidden width, the seed of its first weights, and λ."""

    width: int
    seed: int
    lam: float


@dataclass(frozen=True, eq=False)
class Data:
    """What the loss depends on besides the weights, on one device: X_tilde (n, N), Y (m, N)."""

    X_tilde: torch.Tensor
    Y: torch.Tensor
    loss: Loss
    a_plus: float
    a_minus: float
    beta: float

    @classmethod
    def of(cls, problem: Problem, device: str, dtype: torch.dtype) -> Data:
        """Raises InputError as `require_trainable` does."""
        require_trainable(problem)
        # By way of the cpu: mps cannot hold the float64 of the arrays.
        X_tilde, Y = (torch.tensor(A, dtype=dtype).to(device) for A in (problem.X_tilde, problem.targets))
        sigma = problem.activation
        return cls(X_tilde, Y, problem.loss, sigma.a_plus, sigma.a_minus, problem.beta)

    @property
    def N(self) -> int:
        """The number of points."""
        return self.Y.shape[1]

    def value(self, Z: torch.Tensor) -> torch.Tensor:
        """C, (B,), of the outputs Z (B, m, N)."""
        return self.loss.tensor_value(Z, self.Y)

    def gradient(self, Z: torch.Tensor) -> torch.Tensor:
        """∇C, (B, m, N)."""
        return self.loss.tensor_gradient(Z, self.Y)

    def hessian_product(self, Z: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """∇²C(Z) applied to a direction, both (B, m, N)."""
        return self.loss.tensor_hessian_product(Z, self.Y, direction)

    def slopes(self, Z: torch.Tensor) -> torch.Tensor:
        """σ′(Z), a₋ at 0."""
        # Z > 0 and where are several times slower on a CPU, and where rounds numbers to float32.
        positive = torch.relu(Z).sign_()
        if (self.a_plus, self.a_minus) == (1.0, 0.0):
            return positive
        return self.a_plus * positive + self.a_minus * (1.0 - positive)

    def layer_features(self, values: torch.Tensor) -> torch.Tensor:
        """[values; β1ᵀ] (B, n + 1, N), or the values themselves when β = 0."""
        if self.beta == 0.0:
            return values
        return torch.cat([values, values.new_full((values.shape[0], 1, values.shape[2]), self.beta)], 1)


def require_trainable(problem: Problem) -> None:
    """Raise InputError for `interpolate`: a constraint cannot be trained."""
    if problem.loss.is_constraint:
        raise InputError(f"loss: {problem.loss.name} is a constraint and cannot be trained; use mse and a small lambda")


def initial_weights(problem: Problem, trials: Sequence[Trial]) -> Tensors:
    """Padded float64 weights on the CPU, normal with variance 2/((a₊² + a₋²)(n_{ℓ−1} + β²)), biases too.

    So pre-activations start about as large as the inputs (He et al. 2015). A network's numbers are drawn from a generator of its
    own and depend on its width and seed only: not on λ, nor on the batch.
    """
    bias = int(problem.beta != 0.0)
    n = max(trial.width for trial in trials)
    sizes = [problem.n0, *[n] * (problem.depth - 1), problem.m]
    weights = [torch.zeros(len(trials), rows, cols + bias, dtype=torch.float64)
               for cols, rows in pairwise(sizes)]  # fmt: skip
    sigma = problem.activation
    for b, trial in enumerate(trials):
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([trial.seed, trial.width])))
        own = [problem.n0, *[trial.width] * (problem.depth - 1), problem.m]
        for W, cols, rows in zip(weights, own[:-1], own[1:], strict=True):
            scale = np.sqrt(2.0 / ((sigma.a_plus**2 + sigma.a_minus**2) * (cols + problem.beta**2)))
            drawn = torch.from_numpy(scale * generator.standard_normal((rows, cols + bias)))
            W[b, :rows, :cols] = drawn[:, :cols]
            if bias:
                W[b, :rows, -1] = drawn[:, -1]
    return weights


def networks(problem: Problem, trials: Sequence[Trial], weights: Tensors) -> list[Network]:
    """The networks of a batch, without the padding."""
    bias = int(problem.beta != 0.0)
    arrays = [W.detach().to("cpu", torch.float64).numpy() for W in weights]
    found = []
    for b, trial in enumerate(trials):
        own = [problem.n0, *[trial.width] * (problem.depth - 1), problem.m]
        parts = []
        for W, cols, rows in zip(arrays, own[:-1], own[1:], strict=True):
            part = W[b, :rows, :cols]
            parts.append(np.column_stack([part, W[b, :rows, -1]]) if bias else part)
        found.append(Network(tuple(parts), problem.activation, problem.beta, problem.units))
    return found


def flatten(weights: Tensors) -> torch.Tensor:
    """(B, P): all weights of a network in a row."""
    return torch.cat([W.flatten(1) for W in weights], 1)


def split(flat: torch.Tensor, shapes: Sequence[tuple[int, int]]) -> Tensors:
    """The tensors (B, rows, columns) of `shapes` whose `flatten` is `flat`; views of it."""
    parts = flat.split([rows * columns for rows, columns in shapes], 1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]


def _inner_columns(W: torch.Tensor, data: Data) -> torch.Tensor:
    """W̄: without the bias column."""
    return W if data.beta == 0.0 else W[:, :, :-1]


def _forward(weights: Tensors, data: Data) -> tuple[Tensors, Tensors, torch.Tensor]:
    """(slopes of the hidden layers, features A_1, …, outputs Z_L)."""
    Z = weights[0] @ data.X_tilde
    slopes, features = [], []
    for W in weights[1:]:
        slopes.append(data.slopes(Z))
        features.append(data.layer_features(Z * slopes[-1]))
        Z = torch.bmm(W, features[-1])
    return slopes, features, Z


def losses(weights: Tensors, lam: torch.Tensor, data: Data) -> torch.Tensor:
    """L_λ, (B,), of each network; lam (B,)."""
    return data.value(_forward(weights, data)[2]) + lam * inner(weights, weights)


def losses_and_gradients(weights: Tensors, lam: torch.Tensor, data: Data) -> tuple[torch.Tensor, Tensors]:
    """(1) and (2): L_λ (B,), and its gradient, tensors of the shapes of the weights."""
    slopes, features, Z = _forward(weights, data)
    value = data.value(Z) + lam * inner(weights, weights)
    return value, _backward(weights, lam, data, slopes, features, data.gradient(Z))


def gradients(weights: Tensors, lam: torch.Tensor, data: Data) -> Tensors:
    """(2) alone, for steps that do not look at the loss."""
    slopes, features, Z = _forward(weights, data)
    return _backward(weights, lam, data, slopes, features, data.gradient(Z))


def _backward(
    weights: Tensors, lam: torch.Tensor, data: Data, slopes: Tensors, features: Tensors, D: torch.Tensor
) -> Tensors:
    decay = 2.0 * lam[:, None, None]
    found: Tensors = []
    for layer in range(len(weights) - 1, 0, -1):
        W = weights[layer]
        found.append(torch.bmm(D, features[layer - 1].mT).addcmul_(W, decay))
        D = torch.bmm(_inner_columns(W, data).mT, D).mul_(slopes[layer - 1])
    found.append((D @ data.X_tilde.T).addcmul_(weights[0], decay))
    return found[::-1]


def hessian_product(weights: Tensors, direction: Tensors, lam: torch.Tensor, data: Data) -> Tensors:
    """(3): the second derivative of L_λ at the weights, applied to a direction of the same shapes."""
    slopes, features, Z = _forward(weights, data)
    moves: Tensors = []
    move = direction[0] @ data.X_tilde
    for layer in range(1, len(weights)):
        moves.append(move * slopes[layer - 1])
        move = torch.bmm(direction[layer], features[layer - 1])
        move += torch.bmm(_inner_columns(weights[layer], data), moves[-1])
    D, dot_D = data.gradient(Z), data.hessian_product(Z, move)
    decay = 2.0 * lam[:, None, None]
    found: Tensors = []
    for layer in range(len(weights) - 1, 0, -1):
        product = torch.bmm(dot_D, features[layer - 1].mT).addcmul_(direction[layer], decay)
        _inner_columns(product, data).add_(torch.bmm(D, moves[layer - 1].mT))
        found.append(product)
        W, V = _inner_columns(weights[layer], data), _inner_columns(direction[layer], data)
        dot_D = (torch.bmm(V.mT, D) + torch.bmm(W.mT, dot_D)) * slopes[layer - 1]
        D = torch.bmm(W.mT, D) * slopes[layer - 1]
    found.append((dot_D @ data.X_tilde.T).addcmul_(direction[0], decay))
    return found[::-1]


def inner(A: Tensors, B: Tensors) -> torch.Tensor:
    """⟨A, B⟩ of each network, (batch,)."""
    total = (A[0] * B[0]).sum((1, 2))
    for a, b in zip(A[1:], B[1:], strict=True):
        total = total + (a * b).sum((1, 2))
    return total
