"""The back-propagated duals Ĝ_ℓ of a network: what its loss says about adding a neuron to a hidden layer.

With the weights fixed, C(Z_L) is a function of any Z_ℓ through the layers after it. Put

    Ĝ_ℓ = −(1/2λ) ∂C/∂Z_ℓ,    ∂C/∂Z_ℓ = σ'(Z_ℓ) ⊙ (W_{ℓ+1}ᵀ ∂C/∂Z_{ℓ+1})   (W_{ℓ+1} without its bias column).

A neuron ε(w, v), ‖w‖ = ‖v‖ = 1, added to hidden layer ℓ adds ε² v σ(wᵀZ_{ℓ−1}^σ) to Z_{ℓ+1} and 2ε² to Σ‖W‖², so L_λ
changes by

    2λε² (1 − vᵀ Ĝ_{ℓ+1} σ(Z_{ℓ−1}^σᵀ w)) + o(ε²),

and by 2λε²(1 − ‖Ĝ_{ℓ+1} σ(Z_{ℓ−1}^σᵀ w)‖) + o(ε²) with the best v: above 1 it is a descent neuron. At a stationary
point λ‖W_ℓ‖² has the gradient −∂C/∂W_ℓ, that is W_ℓ = Ĝ_ℓ (Z_{ℓ−1}^σ)ᵀ: every active balanced neuron has Ĝ_{ℓ+1}σ =
v/‖v‖.

At a kink (an entry of a hidden Z_ℓ that is 0) C need not have a derivative; the slope taken there is a₋, as for Z_ℓ <
0. Floating point throughout: nothing here is a proven bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cpcert.network import Network
    from cpcert.problem import Problem


def backpropagated_duals(problem: Problem, network: Network) -> list[np.ndarray]:
    """[Ĝ_1, …, Ĝ_L], each (n_ℓ, N) like Z_ℓ. Raises ValueError for `interpolate`, which has no gradient."""
    Z = network.forward(problem.X)
    G = -problem.loss.gradient(Z[-1], problem.targets) / (2.0 * problem.lam)
    duals = [G]
    for Z_hidden, W in zip(Z[-2::-1], network.weights[:0:-1], strict=True):
        G = network.activation.slope_at(Z_hidden > 0.0) * (W[:, : len(Z_hidden)].T @ G)
        duals.append(G)
    return duals[::-1]
