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

# Inputs larger or smaller than this, or its reciprocal, are left in their coordinates; smaller entries are rounding.
SMALLEST_SCALE = 1e-40


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

    def activate(self, Z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(σ(Z), what `through` needs of Z); Z may be overwritten."""
        if self._is_relu:
            A = Z.relu_()
            return A, A
        # Z > 0 and where are several times slower on a CPU, and where rounds numbers to float32.
        positive = torch.relu(Z).sign_()
        slopes = self.a_plus * positive + self.a_minus * (1.0 - positive)
        return Z.mul_(slopes), slopes

    def through(self, D: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """σ′(Z) ∘ D, a₋ at 0."""
        if self._is_relu:
            # One pass where a product with slopes takes three.
            return torch.ops.aten.threshold_backward(D, kept, 0.0)
        return D * kept

    @property
    def _is_relu(self) -> bool:
        return (self.a_plus, self.a_minus) == (1.0, 0.0)

    def affine(self, W: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
        """W [A; β1ᵀ]; without copying A for the sake of a row of β."""
        if self.beta == 0.0:
            return torch.bmm(W, A)
        return torch.baddbmm(W[:, :, -1:], W[:, :, :-1], A, beta=self.beta)

    def outer(self, D: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
        """D [A; β1ᵀ]ᵀ."""
        if self.beta == 0.0:
            return torch.bmm(D, A.mT)
        return torch.cat([torch.bmm(D, A.mT), self.beta * D.sum(2, keepdim=True)], 2)


def require_trainable(problem: Problem) -> None:
    """Raise InputError for `interpolate`: a constraint cannot be trained."""
    if problem.loss.is_constraint:
        raise InputError(f"loss: {problem.loss.name} is a constraint and cannot be trained; use mse and a small lambda")


def span_of_points(problem: Problem) -> tuple[Problem, np.ndarray | None]:
    """(the problem in an orthonormal basis Q (n0, r) of the span of its points, Q), or (the problem, None) if the points span R^n0.

    L_λ of (W_1, …) there is that of (W_1Qᵀ, …) here, and a part of W_1 outside the span does nothing but cost λ times its
    square: nothing is lost, up to the rounding of X Q.
    """
    _, s, Vt = np.linalg.svd(problem.X, full_matrices=False)
    rank = max(1, int(np.sum(s > 1e-12 * s.max(initial=0.0))))
    if rank == problem.n0 or not SMALLEST_SCALE < s[0] < 1.0 / SMALLEST_SCALE:
        return problem, None
    Q = np.ascontiguousarray(Vt[:rank].T)
    X = problem.X @ Q
    X[np.abs(X) < SMALLEST_SCALE * s[0]] = 0.0
    inside = Problem(
        X, problem.Y, problem.lam, problem.loss, problem.activation, beta=problem.beta, depth=problem.depth,
        name=problem.name,
    )  # fmt: skip
    return inside, Q


def initial_weights(problem: Problem, trials: Sequence[Trial], basis: np.ndarray | None = None) -> Tensors:
    """Padded float64 weights on the CPU, normal with variance 2/((a₊² + a₋²)(n_{ℓ−1} + β²)), biases too.

    So pre-activations start about as large as the inputs (He et al. 2015). A network's numbers are drawn from a generator of its
    own and depend on its width and seed only: not on λ, nor on the batch. basis: of `span_of_points`, if the problem is in
    one; it is the same network then, without what lies outside the span.
    """
    n0 = problem.n0 if basis is None else len(basis)
    bias = int(problem.beta != 0.0)
    n = max(trial.width for trial in trials)
    sizes = [problem.n0, *[n] * (problem.depth - 1), problem.m]
    weights = [torch.zeros(len(trials), rows, cols + bias, dtype=torch.float64)
               for cols, rows in pairwise(sizes)]  # fmt: skip
    sigma = problem.activation
    for b, trial in enumerate(trials):
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([trial.seed, trial.width])))
        own = [n0, *[trial.width] * (problem.depth - 1), problem.m]
        for layer, (W, cols, rows) in enumerate(zip(weights, own[:-1], own[1:], strict=True)):
            scale = np.sqrt(2.0 / ((sigma.a_plus**2 + sigma.a_minus**2) * (cols + problem.beta**2)))
            drawn = scale * generator.standard_normal((rows, cols + bias))
            inner_part = drawn[:, :cols] if layer or basis is None else drawn[:, :cols] @ basis
            W[b, :rows, : inner_part.shape[1]] = torch.from_numpy(inner_part)
            if bias:
                W[b, :rows, -1] = torch.from_numpy(drawn[:, -1])
    return weights


def networks(
    problem: Problem, trials: Sequence[Trial], weights: Tensors, basis: np.ndarray | None = None
) -> list[Network]:
    """The networks of a batch, without the padding, on the features themselves."""
    bias = int(problem.beta != 0.0)
    arrays = [W.detach().to("cpu", torch.float64).numpy() for W in weights]
    found = []
    for b, trial in enumerate(trials):
        own = [problem.n0, *[trial.width] * (problem.depth - 1), problem.m]
        parts = []
        for layer, (W, cols, rows) in enumerate(zip(arrays, own[:-1], own[1:], strict=True)):
            part = W[b, :rows, :cols] if layer or basis is None else W[b, :rows, :cols] @ basis.T
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


def _rows_times(A: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """A X for A (B, n, k), X (k, l), as one product of matrices; torch makes B of it where A is a view of longer rows."""
    return (A.flatten(0, 1) @ X).unflatten(0, A.shape[:2])


def _forward(weights: Tensors, data: Data) -> tuple[Tensors, Tensors, torch.Tensor]:
    """(what `through` needs, features A_1, … without the row of β, outputs Z_L)."""
    Z = _rows_times(weights[0], data.X_tilde)
    kept, features = [], []
    for W in weights[1:]:
        A, slopes = data.activate(Z)
        kept.append(slopes)
        features.append(A)
        Z = data.affine(W, A)
    return kept, features, Z


def losses(weights: Tensors, lam: torch.Tensor, data: Data) -> torch.Tensor:
    """L_λ, (B,), of each network; lam (B,)."""
    return data.value(_forward(weights, data)[2]) + lam * _square(weights)


def losses_and_gradients(weights: Tensors, lam: torch.Tensor, data: Data) -> tuple[torch.Tensor, Tensors]:
    """(1) and (2): L_λ (B,), and its gradient, tensors of the shapes of the weights."""
    kept, features, Z = _forward(weights, data)
    value = data.value(Z) + lam * _square(weights)
    return value, _backward(weights, lam, data, kept, features, data.gradient(Z))


def gradients(weights: Tensors, lam: torch.Tensor, data: Data) -> Tensors:
    """(2) alone, for steps that do not look at the loss."""
    kept, features, Z = _forward(weights, data)
    return _backward(weights, lam, data, kept, features, data.gradient(Z))


def _backward(
    weights: Tensors, lam: torch.Tensor, data: Data, kept: Tensors, features: Tensors, D: torch.Tensor
) -> Tensors:
    decay = 2.0 * lam[:, None, None]
    found: Tensors = []
    for layer in range(len(weights) - 1, 0, -1):
        W = weights[layer]
        found.append(data.outer(D, features[layer - 1]).addcmul_(W, decay))
        D = data.through(torch.bmm(_inner_columns(W, data).mT, D), kept[layer - 1])
    found.append(_rows_times(D, data.X_tilde.T).addcmul_(weights[0], decay))
    return found[::-1]


def hessian_product(weights: Tensors, direction: Tensors, lam: torch.Tensor, data: Data) -> Tensors:
    """(3): the second derivative of L_λ at the weights, applied to a direction of the same shapes."""
    kept, features, Z = _forward(weights, data)
    moves: Tensors = []
    move = _rows_times(direction[0], data.X_tilde)
    for layer in range(1, len(weights)):
        moves.append(data.through(move, kept[layer - 1]))
        move = data.affine(direction[layer], features[layer - 1])
        move += torch.bmm(_inner_columns(weights[layer], data), moves[-1])
    D, dot_D = data.gradient(Z), data.hessian_product(Z, move)
    decay = 2.0 * lam[:, None, None]
    found: Tensors = []
    for layer in range(len(weights) - 1, 0, -1):
        product = data.outer(dot_D, features[layer - 1]).addcmul_(direction[layer], decay)
        _inner_columns(product, data).add_(torch.bmm(D, moves[layer - 1].mT))
        found.append(product)
        W, V = _inner_columns(weights[layer], data), _inner_columns(direction[layer], data)
        dot_D = data.through(torch.bmm(V.mT, D) + torch.bmm(W.mT, dot_D), kept[layer - 1])
        D = data.through(torch.bmm(W.mT, D), kept[layer - 1])
    found.append(_rows_times(dot_D, data.X_tilde.T).addcmul_(direction[0], decay))
    return found[::-1]


def _square(weights: Tensors) -> torch.Tensor:
    """Σ‖W_ℓ‖² of each network, (batch,); a norm takes a fraction of a product and a sum."""
    return torch.stack([torch.linalg.vector_norm(W, dim=(1, 2)) for W in weights]).square().sum(0)
