"""The loss as a function of the hidden representations (Prop. 1).

Over the representations Z_1, …, Z_L (Z_ℓ: (n_ℓ, N), columns are points) with Im Z_ℓᵀ ⊂ Im (Z_{ℓ−1}^σ)ᵀ,

    L^r(Z) = C(Z_L) + λ Σ_ℓ ‖Z_ℓ (Z_{ℓ−1}^σ)^+‖_F²,    Z_ℓ^σ = [σ(Z_ℓ); β1ᵀ],  Z_0^σ = X̃.

W → Z is the forward pass; Z → W is W_ℓ = Z_ℓ (Z_{ℓ−1}^σ)^+, the weights of smallest norm that produce Z. Where A_ℓ =
Z_ℓ^σ is rank deficient there are two ways to invert it:

- truncation (tikhonov = 0): singular values of at most `rcond` times the largest count as zero; what a projection on
  the image removed is what `membership_residuals` measures;
- Tikhonov (tikhonov = ε > 0): ‖Z A^+‖² becomes Tr[Z (AᵀA + εI)⁻¹ Zᵀ], smooth, finite for every Z, and below it.

Floating point throughout: nothing here is a proven bound. The functions take a Network (numpy, positively homogeneous
σ); `RepresentationLoss` is the same in torch, with gradients and for more activations.
docs/mathematics/representations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cpcert.activations import Activation
from cpcert.errors import InputError
from cpcert.network import Network, layer_features

if TYPE_CHECKING:
    from torch import Tensor

    from cpcert.problem import Problem

# Z has full float64 accuracy (unlike Z^T Z), so only rounding noise is cut off.
RCOND = 1e-12
# Activations that are not positively homogeneous, by their names in torch.nn.functional: only this view can take them.
SMOOTH_ACTIVATIONS = ("tanh", "gelu", "softplus")


def representations(network: Network, X: np.ndarray) -> list[np.ndarray]:
    """[Z_1, …, Z_L] of the points X: (N, n_0), rows are points: the forward pass."""
    return network.forward(X)


def weights_from_representations(
    Z: Sequence[np.ndarray], X_tilde: np.ndarray, activation: Activation, beta: float, rcond: float = RCOND
) -> tuple[np.ndarray, ...]:
    """W_ℓ = Z_ℓ (Z_{ℓ−1}^σ)^+ (Prop. 1): the smallest weights whose forward pass gives Z, if any do.

    Z: [Z_1, …, Z_L]; X_tilde: (n, N). They reproduce Z exactly as far as `membership_residuals` are 0.
    """
    return tuple(
        Z_l @ np.linalg.pinv(A, rcond=rcond)
        for Z_l, A in zip(Z, _layer_inputs(Z, X_tilde, activation, beta), strict=True)
    )


def representation_loss(Z: Sequence[np.ndarray], problem: Problem, rcond: float = RCOND) -> float:
    """C(Z_L) + λ Σ ‖Z_ℓ (Z_{ℓ−1}^σ)^+‖_F² (Prop. 1). Meaningful only where the membership residuals vanish."""
    weights = weights_from_representations(Z, problem.X_tilde, problem.activation, problem.beta, rcond)
    return problem.loss.value(Z[-1], problem.targets) + problem.lam * float(sum(np.sum(W * W) for W in weights))


def membership_residuals(Z: Sequence[np.ndarray], problem: Problem, rcond: float = RCOND) -> list[float]:
    """‖Z_ℓ − Z_ℓ A^+ A‖_F / ‖Z_ℓ‖_F with A = Z_{ℓ−1}^σ, for ℓ = 1 … L: how far Im Z_ℓᵀ ⊂ Im Aᵀ is from holding.

    0 (up to rounding) iff the representations are those of some weights; 0 by definition where Z_ℓ = 0.
    """
    inputs = _layer_inputs(Z, problem.X_tilde, problem.activation, problem.beta)
    return [
        relative_residual(Z_l - (Z_l @ np.linalg.pinv(A, rcond=rcond)) @ A, Z_l)
        for Z_l, A in zip(Z, inputs, strict=True)
    ]


def relative_residual(difference: np.ndarray, reference: np.ndarray) -> float:
    """‖difference‖_F / ‖reference‖_F; the absolute norm where the reference vanishes."""
    size = float(np.linalg.norm(reference))
    return float(np.linalg.norm(difference)) / (size if size > 0 else 1.0)


def _layer_inputs(
    Z: Sequence[np.ndarray], X_tilde: np.ndarray, activation: Activation, beta: float
) -> list[np.ndarray]:
    return [X_tilde, *(layer_features(Z_l, activation, beta) for Z_l in Z[:-1])]


@dataclass(frozen=True, eq=False)
class RepresentationLoss:
    """L^r(Z) of a problem in torch (float64), differentiable, for any depth, β and loss.

    problem: data, loss, λ, β, depth. activation: one of `SMOOTH_ACTIVATIONS` instead of the problem's own.
    tikhonov: the ε ≥ 0 added to K^σ, in its units; 0 means the pseudo-inverse, truncated at `rcond`. device: of torch.
    Representations are lists [Z_1, …, Z_L] of tensors or arrays (n_ℓ, N); weights are [W_1, …, W_L], bias column last.
    For `interpolate` C counts as 0 and Z_L = Y is the caller's. Raises InputError for what is not one of these.
    """

    problem: Problem
    activation: str | None = None
    tikhonov: float = 0.0
    rcond: float = RCOND
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.activation is not None and self.activation not in SMOOTH_ACTIVATIONS:
            raise InputError(
                f"activation: {self.activation!r} is unknown here; use one of {', '.join(SMOOTH_ACTIVATIONS)}, "
                "or leave it out for the activation of the problem"
            )
        if not 0.0 <= self.tikhonov < np.inf:
            raise InputError(f"tikhonov: is {self.tikhonov}; give a finite number >= 0 (0: pseudo-inverse)")
        if not 0.0 <= self.rcond < 1.0:
            raise InputError(f"rcond: is {self.rcond}; give a number in [0, 1)")

    def value(self, Z: Sequence[Tensor]) -> Tensor:
        """L^r(Z), or its Tikhonov version: a scalar that torch can differentiate."""
        Z = self.tensors(Z)
        cost = sum(self.cost(Z_l, A) for Z_l, A in zip(Z, self._inputs(Z), strict=True))
        return self.data_term(Z[-1]) + self.problem.lam * cost

    def gradient(self, Z: Sequence[Tensor]) -> list[Tensor]:
        """[∂L^r/∂Z_1, …, ∂L^r/∂Z_L], each of the shape of its Z_ℓ."""
        import torch

        Z = [Z_l.detach().requires_grad_() for Z_l in self.tensors(Z)]
        return list(torch.autograd.grad(self.value(Z), Z, materialize_grads=True))

    def cost(self, Z: Tensor, A: Tensor) -> Tensor:
        """‖Z A^+‖_F², or Tr[Z (AᵀA + εI)⁻¹ Zᵀ]: what the weights between A (n, N) and Z (k, N) cost."""
        if self.tikhonov == 0.0:
            return ((Z @ self._inverse(A)) ** 2).sum()
        import torch

        L = self._cholesky(A)
        return (torch.linalg.solve_triangular(L, Z.T, upper=False) ** 2).sum()

    def weights(self, Z: Sequence[Tensor]) -> list[Tensor]:
        """W_ℓ = Z_ℓ A_{ℓ−1}^+ (Prop. 1); with Tikhonov the ridge weights Z (AᵀA + εI)⁻¹ Aᵀ."""
        import torch

        Z = self.tensors(Z)
        layers = zip(Z, self._inputs(Z), strict=True)
        if self.tikhonov == 0.0:
            return [Z_l @ self._inverse(A) for Z_l, A in layers]
        return [torch.cholesky_solve(Z_l.T, self._cholesky(A)).T @ A.T for Z_l, A in layers]

    def forward(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """[Z_1, …, Z_L] of the weights."""
        A, Z = self.X_tilde(), []
        for W in self.tensors(weights):
            Z.append(W @ A)
            A = self.layer_features(Z[-1])
        return Z

    def residual_weights(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """[W̃_1, …, W̃_L], W̃_ℓ = W_ℓ (I − A_{ℓ−1} A_{ℓ−1}^+): the part without effect, 0 at stationary points."""
        W = self.tensors(weights)
        inputs = self._inputs(self.forward(W))
        return [W_l - (W_l @ A) @ self._inverse(A) for W_l, A in zip(W, inputs, strict=True)]

    def project(self, Z: Sequence[Tensor]) -> list[Tensor]:
        """The sequential projection of section 3.3: for ℓ = 1, …, L, Z_ℓ ← Z_ℓ A⁺A with A = Z_{ℓ−1}^σ already projected.

        Afterwards the truncated images hold Z exactly; a Z that they held is not changed. Differentiable in Z.
        """
        A, projected = self.X_tilde(), []
        for Z_l in self.tensors(Z):
            projected.append((Z_l @ self._inverse(A)) @ A)
            A = self.layer_features(projected[-1])
        return projected

    def layer_features(self, Z: Tensor) -> Tensor:
        """Z^σ = [σ(Z); β1ᵀ] (without the last row if β = 0)."""
        import torch

        if self.activation is None:
            sigma = self.problem.activation
            # torch gives the slope 0 to relu at 0; the formulas take a₋ there, and so does this.
            A = sigma.a_minus * Z + sigma.kink * torch.relu(Z)
        else:
            A = getattr(torch.nn.functional, self.activation)(Z)
        if self.problem.beta == 0.0:
            return A
        return torch.cat([A, A.new_full((1, A.shape[1]), self.problem.beta)])

    def data_term(self, outputs: Tensor) -> Tensor:
        """C(Z_L) of the outputs (m, N)."""
        import torch

        return self.problem.loss.tensor_value(outputs, torch.tensor(self.problem.targets, device=self.device))

    def X_tilde(self) -> Tensor:
        """X̃ as a tensor (n, N)."""
        import torch

        return torch.tensor(self.problem.X_tilde, device=self.device)

    def tensors(self, arrays: Sequence[Tensor | np.ndarray]) -> list[Tensor]:
        """Float64 tensors on the device, one for each layer. Raises InputError for another number of layers."""
        import torch

        if len(arrays) != self.problem.depth:
            raise InputError(f"Z: {len(arrays)} layers; the problem has depth {self.problem.depth}")
        copied = (array if isinstance(array, torch.Tensor) else np.array(array) for array in arrays)
        return [torch.as_tensor(array, dtype=torch.float64, device=self.device) for array in copied]

    def _inputs(self, Z: Sequence[Tensor]) -> list[Tensor]:
        """[A_0, …, A_{L−1}]."""
        return [self.X_tilde(), *(self.layer_features(Z_l) for Z_l in Z[:-1])]

    def _inverse(self, A: Tensor) -> Tensor:
        import torch

        return torch.linalg.pinv(A, rtol=self.rcond)

    def _cholesky(self, A: Tensor) -> Tensor:
        """The lower Cholesky factor of AᵀA + εI. Raises InputError where ε drowns in rounding."""
        import torch

        N = A.shape[1]
        noise = 4.0 * N * torch.finfo(A.dtype).eps * float((A.detach() ** 2).sum())
        if not self.tikhonov > noise:
            raise InputError(
                f"tikhonov: {self.tikhonov:g} is lost in the rounding of K_sigma; give more than {noise:.1g}, "
                "or 0 for the pseudo-inverse"
            )
        return torch.linalg.cholesky(A.T @ A + self.tikhonov * torch.eye(N, dtype=A.dtype, device=A.device))
