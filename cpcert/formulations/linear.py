"""Linear networks: every hidden covariance in closed form.

σ(s) = s, β = 0, M = W_L ⋯ W_1, Z_L = MX (X: (n_0, N), columns are points). At a stationary point of L_λ neighbouring
layers are balanced, W_ℓ W_ℓᵀ = W_{ℓ+1}ᵀ W_{ℓ+1}, and W_1 = W_1 XX^+. Hence, with a positive semidefinite root,

    K_ℓ = Z_ℓᵀZ_ℓ = Xᵀ ((Z_L X^+)ᵀ (Z_L X^+))^{ℓ/L} X,    ℓ = 1, …, L,

the formula of the paper for any X. The smallest Σ‖W_ℓ‖² that produces given outputs (with Im Z_Lᵀ ⊂ Im Xᵀ, and hidden
widths of at least rank Z_L) is L Σ s_i^{2/L}, s_i the singular values of Z_L X^+.

Floating point: nothing here is a proven bound. docs/mathematics/representations.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cpcert.errors import InputError

if TYPE_CHECKING:
    from cpcert.problem import Problem

# Singular values of X and of Z_L X^+ below this, relative to the largest, count as 0.
RCOND = 1e-12


def linear_covariances(problem: Problem, outputs: np.ndarray, rcond: float = RCOND) -> list[np.ndarray]:
    """[K_1, …, K_L], each (N, N), of a stationary linear network with these outputs Z_L (m, N).

    Raises InputError unless σ is linear and β = 0, and for outputs of another shape or outside the image of X: no linear
    network has those.
    """
    X, M = _product(problem, outputs, rcond)
    _, s, Vt = np.linalg.svd(M, full_matrices=False)
    s = np.where(s > rcond * s.max(initial=0.0), s, 0.0)  # a small power of rounding noise is not small
    shared = Vt @ X
    L = problem.depth
    return [(shared.T * s ** (2.0 * layer / L)) @ shared for layer in range(1, L + 1)]


def linear_representation_cost(problem: Problem, outputs: np.ndarray, rcond: float = RCOND) -> float:
    """L Σ s_i(Z_L X^+)^{2/L}: the smallest Σ‖W_ℓ‖² of a linear network with these outputs (m, N), in floating point.

    Raises InputError as `linear_covariances` does.
    """
    _, M = _product(problem, outputs, rcond)
    s = np.linalg.svd(M, compute_uv=False)
    return float(problem.depth * np.sum(s[s > rcond * s.max(initial=0.0)] ** (2.0 / problem.depth)))


def _product(problem: Problem, outputs: np.ndarray, rcond: float) -> tuple[np.ndarray, np.ndarray]:
    """(X, M), columns are points, M = Z_L X^+."""
    if (problem.activation.a_plus, problem.activation.a_minus, problem.beta) != (1.0, 1.0, 0.0):
        raise InputError(
            f"activation: the closed form is that of linear networks without biases, and this problem has activation "
            f"{problem.activation.name} and beta {problem.beta:g}"
        )
    outputs = np.asarray(outputs, dtype=np.float64)
    if outputs.shape != (problem.m, problem.N):
        raise InputError(f"outputs: have shape {outputs.shape}; give one column per point, {(problem.m, problem.N)}")
    X = problem.X_tilde
    M = outputs @ np.linalg.pinv(X, rcond=rcond)
    if np.linalg.norm(M @ X - outputs) > 1e-6 * np.linalg.norm(outputs):
        raise InputError("outputs: are no linear function of the points; give those of a linear network")
    return X, M
