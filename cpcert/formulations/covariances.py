"""The loss as a function of the covariances of the hidden layers (Prop. 3).

With K_ℓ = Z_ℓᵀZ_ℓ and K_ℓ^σ = (Z_ℓ^σ)ᵀZ_ℓ^σ = σ(Z_ℓ)ᵀσ(Z_ℓ) + β²11ᵀ, all N × N,

    L_λ(K) = C(Z_L) + λ Σ_ℓ Tr[K_ℓ (K_{ℓ−1}^σ)^+],    K_0^σ = X̃ᵀX̃,

over pairs (K_ℓ, K_ℓ^σ) in S = cone{(xxᵀ, σ(x)σ(x)ᵀ)} + (0, β²11ᵀ) with Im K_ℓ ⊂ Im K_{ℓ−1}^σ. A hidden neuron is one
atom: the row x of its pre-activations on the N points. As a function of the outputs,

    L^k(K, Z_L) = C(Z_L) + λ Σ_{ℓ<L} Tr[K_ℓ (K_{ℓ−1}^σ)^+] + λ Tr[Z_L (K_{L−1}^σ)^+ Z_Lᵀ]

is convex in one pair (K_ℓ, K_ℓ^σ) and in Z_L with every other block fixed (Prop. 5), with the derivatives

    ∂/∂K_ℓ = λ (K_{ℓ−1}^σ)^+,    ∂/∂K_ℓ^σ = −λ (K_ℓ^σ)^+ K_{ℓ+1} (K_ℓ^σ)^+,    ∂/∂Z_L = ∇C + 2λ Z_L (K_{L−1}^σ)^+,

K_L = Z_LᵀZ_L. With tikhonov = ε every (K^σ)^+ becomes (K^σ + εI)⁻¹. K has the squared condition number of Z: these are
views and checks computed from neurons; nothing here is a proven bound. Eigenvalues below `rcond` times the largest one
count as zero in a pseudo-inverse. docs/mathematics/representations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cpcert.activations import Activation
from cpcert.formulations.representations import relative_residual, weights_from_representations
from cpcert.network import Network, layer_features

if TYPE_CHECKING:
    from cpcert.problem import Problem

# Rounding leaves noise of about N·1e-16 times the largest eigenvalue in the kernel of Z^T Z.
RCOND = 1e-12


@dataclass(frozen=True, eq=False)
class Covariances:
    """K: (K_1, …, K_L); K_sigma: (K_1^σ, …, K_{L−1}^σ), all (N, N); outputs: Z_L (m, N), which C needs."""

    K: tuple[np.ndarray, ...]
    K_sigma: tuple[np.ndarray, ...]
    outputs: np.ndarray


def covariances(Z: Sequence[np.ndarray], activation: Activation, beta: float) -> Covariances:
    """The covariances of the representations Z = [Z_1, …, Z_L] (Prop. 3)."""
    hidden = [atoms_covariances(Z_l, activation, beta) for Z_l in Z[:-1]]
    K = (*(pair[0] for pair in hidden), Z[-1].T @ Z[-1])
    return Covariances(K, tuple(pair[1] for pair in hidden), np.asarray(Z[-1]))


def atoms_covariances(atoms: np.ndarray, activation: Activation, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """(Σ xxᵀ, Σ σ(x)σ(x)ᵀ + β²11ᵀ) over the rows x of atoms: (k, N). In S by construction."""
    A = layer_features(atoms, activation, beta)
    return atoms.T @ atoms, A.T @ A


def covariance_loss(view: Covariances, problem: Problem, rcond: float = RCOND, tikhonov: float = 0.0) -> float:
    """L^k = C(Z_L) + λ Σ Tr[K_ℓ (K_{ℓ−1}^σ)^+] (Prop. 3). Meaningful only where the membership residuals vanish.

    tikhonov: the ε >= 0 in (K^σ + εI)⁻¹, finite for every K; 0: the pseudo-inverse, truncated at rcond.
    """
    cost = sum(
        float(np.sum(K * _inverse(K_sigma, rcond, tikhonov)))
        for K, K_sigma in zip(view.K, _layer_inputs(view, problem), strict=True)
    )
    return problem.loss.value(view.outputs, problem.targets) + problem.lam * cost


def covariance_gradient(
    view: Covariances, problem: Problem, rcond: float = RCOND, tikhonov: float = 0.0
) -> Covariances:
    """The partial derivatives of L^k(K, Z_L), in the places of their variables (module docstring).

    K: (∂/∂K_1, …, ∂/∂K_{L−1}), one less than in `view`, because K_L is Z_LᵀZ_L; K_sigma: (∂/∂K_1^σ, …); outputs: ∂/∂Z_L.
    Without Tikhonov they are derivatives along changes that keep Im K_ℓ^σ.
    """
    inverses = [_inverse(K_sigma, rcond, tikhonov) for K_sigma in _layer_inputs(view, problem)]
    lam, Z_L = problem.lam, view.outputs
    following = [*view.K[1:-1], Z_L.T @ Z_L]
    return Covariances(
        tuple(lam * inverse for inverse in inverses[:-1]),
        tuple(-lam * inverse @ K @ inverse for inverse, K in zip(inverses[1:], following, strict=True)),
        problem.loss.gradient(Z_L, problem.targets) + 2.0 * lam * Z_L @ inverses[-1],
    )


def network_from_atoms(atoms: np.ndarray, outputs: np.ndarray, problem: Problem) -> Network:
    """The depth-2 network with hidden rows `atoms` and the given outputs (the construction of Prop. 8).

    atoms: (k, N), one row of pre-activations per neuron, that is a decomposition of (K_1, K_1^σ); outputs: Z_2 (m, N).
    W_1 = Z_1 X̃^+ and W_2 = Z_2 (Z_1^σ)^+: as many neurons as atoms. It has these covariances and outputs as far as the
    membership residuals of [atoms, outputs] are 0.
    """
    weights = weights_from_representations([atoms, outputs], problem.X_tilde, problem.activation, problem.beta)
    return Network(weights, problem.activation, problem.beta)


def image_residuals(view: Covariances, problem: Problem, rcond: float = RCOND) -> list[float]:
    """‖K_ℓ − P K_ℓ P‖_F / ‖K_ℓ‖_F, P the projection on Im K_{ℓ−1}^σ, for ℓ = 1 … L: 0 iff Im K_ℓ ⊂ Im K_{ℓ−1}^σ."""
    residuals = []
    for K, K_sigma in zip(view.K, _layer_inputs(view, problem), strict=True):
        P = K_sigma @ np.linalg.pinv(K_sigma, rcond=rcond, hermitian=True)
        residuals.append(relative_residual(K - P @ K @ P.T, K))
    return residuals


def atoms_residuals(
    K: np.ndarray, K_sigma: np.ndarray, atoms: np.ndarray, activation: Activation, beta: float
) -> tuple[float, float]:
    """Relative distances of (K, K^σ) from the covariances of the atoms (k, N).

    Both 0 iff the atoms show that (K, K^σ) is in S.
    """
    from_atoms = atoms_covariances(atoms, activation, beta)
    return relative_residual(K - from_atoms[0], K), relative_residual(K_sigma - from_atoms[1], K_sigma)


def psd_residual(K: np.ndarray) -> float:
    """max(0, −λ_min)/‖K‖_op of the symmetric part: 0 iff K ⪰ 0, necessary for both members of a pair in S."""
    eigenvalues = np.linalg.eigvalsh((K + K.T) / 2)
    size = float(np.max(np.abs(eigenvalues)))
    return max(0.0, -float(eigenvalues[0])) / size if size > 0 else 0.0


def cone_residual(K: np.ndarray, K_sigma: np.ndarray, activation: Activation, beta: float) -> float:
    """How far (K, K^σ) is from conditions that every pair in S meets, relative to its size; 0 does not put it into S.

    K ⪰ 0; K^σ − β²11ᵀ ⪰ 0; min(a₊², a₋²) K_ii ≤ (K^σ − β²11ᵀ)_ii ≤ max(a₊², a₋²) K_ii; entries of K^σ − β²11ᵀ ≥ 0 when σ ≥ 0.
    """
    S = K_sigma - beta * beta
    squares = activation.a_plus**2, activation.a_minus**2
    excess = np.concatenate([np.diag(S) - max(squares) * np.diag(K), min(squares) * np.diag(K) - np.diag(S)])
    size = max(float(np.max(np.abs(K))), float(np.max(np.abs(S)))) or 1.0
    outside = [float(excess.max()) / size, psd_residual(K), psd_residual(S)]
    if activation.a_plus >= 0.0 >= activation.a_minus:
        outside.append(-float(S.min()) / size)
    return max(0.0, *outside)


def _inverse(K_sigma: np.ndarray, rcond: float, tikhonov: float) -> np.ndarray:
    if tikhonov > 0.0:
        return np.linalg.inv(K_sigma + tikhonov * np.eye(len(K_sigma)))
    return np.linalg.pinv(K_sigma, rcond=rcond, hermitian=True)


def _layer_inputs(view: Covariances, problem: Problem) -> list[np.ndarray]:
    """[K_0^σ, …, K_{L−1}^σ]."""
    return [problem.X_tilde.T @ problem.X_tilde, *view.K_sigma]
