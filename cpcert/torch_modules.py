"""Networks as torch modules. Importing this imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from cpcert.activations import Activation
    from cpcert.network import Network


class Abs(torch.nn.Module):
    """|s|, which torch has as a function only."""

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        """The absolute values."""
        return s.abs()


def sequential(network: Network) -> torch.nn.Sequential:
    """Linear layers in float64 with the activation between: Linear(A, βb) for W = [A | b]; units go into the first and last."""
    matrices = [np.array(W[:, :-1] if network.beta else W) for W in network.weights]
    biases = [network.beta * W[:, -1] if network.beta else np.zeros(len(W)) for W in network.weights]
    units = network.units
    if units is not None:
        matrices[0] = matrices[0] / units.x_size
        biases[0] = biases[0] - matrices[0] @ units.x_mean
        matrices[-1] = matrices[-1] * units.y_size[:, np.newaxis]
        biases[-1] = biases[-1] * units.y_size + units.y_mean
    modules: list[torch.nn.Module] = []
    for A, b in zip(matrices, biases, strict=True):
        # Without initial weights, which would be drawn from torch's global generator.
        linear = torch.nn.utils.skip_init(torch.nn.Linear, A.shape[1], len(A), dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(A))
            linear.bias.copy_(torch.from_numpy(b))
        modules += [linear, _activation(network.activation)]
    return torch.nn.Sequential(*modules[:-1])


def _activation(sigma: Activation) -> torch.nn.Module:
    match sigma.a_plus, sigma.a_minus:
        case (1.0, 0.0):
            return torch.nn.ReLU()
        case (1.0, 1.0):
            return torch.nn.Identity()
        case (1.0, -1.0):
            return Abs()
    if sigma.a_plus != 1.0:
        raise ValueError(f"{sigma} is no activation of torch")
    return torch.nn.LeakyReLU(sigma.a_minus)
