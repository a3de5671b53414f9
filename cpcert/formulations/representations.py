"""The loss as a function of the hidden representations (Prop. 1).

Over the representations Z_1, …, Z_L (Z_ℓ: (n_ℓ, N), columns are points) with Im Z_ℓᵀ ⊂ Im (Z_{ℓ−1}^σ)ᵀ,

    L_λ(Z) = C(Z_L) + λ Σ_ℓ ‖Z_ℓ (Z_{ℓ−1}^σ)^+‖_F²,    Z_ℓ^σ = [σ(Z_ℓ); β1ᵀ],  Z_0^σ = X̃.

W → Z is the forward pass; Z → W is W_ℓ = Z_ℓ (Z_{ℓ−1}^σ)^+, the weights of smallest norm that produce Z. So
L_λ(Z(W)) ≤ L_λ(W) for every W, with equality for the weights that come back. Floating point throughout: nothing here is
a proven bound. Singular values below `rcond` times the largest one count as zero in a pseudo-inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cpcert.activations import Activation
from cpcert.network import Network, features

if TYPE_CHECKING:
    from cpcert.problem import Problem

# Z has full float64 accuracy (unlike Z^T Z), so only rounding noise is cut off.
RCOND = 1e-12


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
    return [X_tilde, *(features(Z_l, activation, beta) for Z_l in Z[:-1])]
