"""Descent on representations instead of weights (section 3.3): projected, or local and parallel over layers.

Projected: with Π the sequential projection of representations.py on the feasible set of L^r, a step is

    Z ← Π(Z + ηD),    D_ℓ = −∂(L^r ∘ Π)/∂Z_ℓ · K_{ℓ−1}^σ / 2λ,

η by backtracking on L^r ∘ Π (Armijo), so the loss only falls. The derivative is that of L^r ∘ Π, because −∇L^r need not
lower it where a Z_ℓ^σ has not the rank N; the factor K_{ℓ−1}^σ/2λ makes it the gradient in the metric of the
attraction.

Local: with the Tikhonov cost nothing has to be projected, and Z_ℓ appears in two terms. A sweep updates all odd layers,
then all even ones; layers of one parity share no term. The step of layer ℓ is the gradient in the metric Tr[D(K_{ℓ−1}^σ
+ εI)⁻¹Dᵀ] with its own η. What comes out minimises a relaxed loss; `attained` is the loss L_λ of the network with its
ridge weights.

Floating point, local descent: nothing here is a proven bound. docs/mathematics/representations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cpcert.errors import InputError
from cpcert.formulations.representations import RepresentationLoss

if TYPE_CHECKING:
    from torch import Tensor

# Armijo's condition: a step must gain this share of what its slope promises.
SUFFICIENT = 1e-4
HALVINGS = 60


@dataclass(frozen=True, eq=False)
class Descent:
    """Z: [Z_1, …, Z_L] at the end; weights: those of Z; losses: the value before the first step and after each one;
    attained: L_λ of the weights; message: why it ended."""

    Z: list[Tensor]
    weights: list[Tensor]
    losses: list[float]
    attained: float
    message: str


def projected_descent(view: RepresentationLoss, Z: Sequence[Tensor], steps: int, tolerance: float = 1e-12) -> Descent:
    """At most `steps` steps of projected gradient descent from Π(Z); ends when a step gains less than `tolerance`, relative.

    Z: [Z_1, …, Z_L], need not be feasible; any depth, β and activation. Ctrl-C keeps what was reached. Raises InputError
    for tikhonov > 0 (use `local_descent`), for `interpolate`, and for a Z where the loss is not finite.
    """
    import torch

    if view.tikhonov != 0.0:
        raise InputError(f"tikhonov: is {view.tikhonov:g}; projected descent uses the pseudo-inverse, give 0")
    _require_gradient(view)
    Z = [Z_l.detach() for Z_l in view.project(Z)]
    losses = [_finite(view.value(Z))]
    step, message = 1.0, f"{steps} steps"
    try:
        for _ in range(steps):
            variables = [Z_l.clone().requires_grad_() for Z_l in Z]
            gradient = torch.autograd.grad(view.value(view.project(variables)), variables, materialize_grads=True)
            direction, slope = _in_metric(view, Z, gradient)
            for _ in range(HALVINGS):
                moved = view.project([Z_l + step * D for Z_l, D in zip(Z, direction, strict=True)])
                value = float(view.value(moved))
                if value <= losses[-1] + SUFFICIENT * step * slope:
                    break
                step *= 0.5
            else:
                message = "no step lowers the loss any more"
                break
            Z, step = moved, 2.0 * step
            losses.append(value)
            if losses[-2] - value <= tolerance * abs(value):
                message = "converged"
                break
    except KeyboardInterrupt:
        message = "interrupted"
    return _descent(view, Z, losses, message)


def local_descent(view: RepresentationLoss, Z: Sequence[Tensor], sweeps: int, tolerance: float = 1e-12) -> Descent:
    """At most `sweeps` sweeps of local descent from Z on the Tikhonov loss: odd layers, then even layers.

    Z: [Z_1, …, Z_L], any. Ctrl-C keeps what was reached. Raises InputError for tikhonov = 0, for `interpolate`, and for a Z
    where the loss is not finite.
    """
    if view.tikhonov == 0.0:
        raise InputError("tikhonov: is 0; local descent needs a positive one, the layers are free of constraints then")
    _require_gradient(view)
    Z = [Z_l.detach() for Z_l in view.tensors(Z)]
    losses = [_finite(view.value(Z))]
    steps, message = [1.0] * len(Z), f"{sweeps} sweeps"
    try:
        for _ in range(sweeps):
            for parity in (0, 1):
                # What one parity reads, the other one wrote: this loop could run in parallel.
                for index in range(parity, len(Z), 2):
                    Z[index], steps[index] = _local_step(view, Z, index, steps[index])
            losses.append(float(view.value(Z)))
            if losses[-2] - losses[-1] <= tolerance * abs(losses[-1]):
                message = "converged"
                break
    except KeyboardInterrupt:
        message = "interrupted"
    return _descent(view, Z, losses, message)


def local_loss(view: RepresentationLoss, Z: Sequence[Tensor], index: int) -> Tensor:
    """The terms of L^r in which Z_ℓ appears, ℓ = index + 1: they read Z_{ℓ−1}, Z_ℓ and Z_{ℓ+1} only."""
    lam = view.problem.lam
    before = view.layer_features(Z[index - 1]) if index > 0 else view.X_tilde()
    attraction = lam * view.cost(Z[index], before)
    if index == len(Z) - 1:
        return view.data_term(Z[index]) + attraction
    return attraction + lam * view.cost(Z[index + 1], view.layer_features(Z[index]))


def _local_step(view: RepresentationLoss, Z: Sequence[Tensor], index: int, step: float) -> tuple[Tensor, float]:
    """(Z_ℓ after a step that lowers its local loss, the next step size); Z_ℓ itself if no step does."""
    import torch

    near = list(Z)
    near[index] = Z[index].clone().requires_grad_()
    before = local_loss(view, near, index)
    (gradient,) = torch.autograd.grad(before, near[index])
    A = view.layer_features(Z[index - 1]) if index > 0 else view.X_tilde()
    direction = -((gradient @ A.T) @ A + view.tikhonov * gradient) / (2.0 * view.problem.lam)
    slope = float((gradient * direction).sum())
    for _ in range(HALVINGS):
        near[index] = Z[index] + step * direction
        if float(local_loss(view, near, index)) <= float(before.detach()) + SUFFICIENT * step * slope:
            return near[index], 2.0 * step
        step *= 0.5
    return Z[index], 1.0


def _in_metric(view: RepresentationLoss, Z: Sequence[Tensor], gradient: Sequence[Tensor]) -> tuple[list[Tensor], float]:
    """([D_1, …, D_L], the slope Σ⟨gradient, D⟩ ≤ 0)."""
    inputs = [view.X_tilde(), *(view.layer_features(Z_l) for Z_l in Z[:-1])]
    direction = [-((g @ A.T) @ A) / (2.0 * view.problem.lam) for g, A in zip(gradient, inputs, strict=True)]
    return direction, float(sum((g * D).sum() for g, D in zip(gradient, direction, strict=True)))


def _descent(view: RepresentationLoss, Z: Sequence[Tensor], losses: list[float], message: str) -> Descent:
    weights = view.weights(Z)
    norm = sum(float((W * W).sum()) for W in weights)
    attained = float(view.data_term(view.forward(weights)[-1])) + view.problem.lam * norm
    return Descent(list(Z), weights, losses, attained, message)


def _require_gradient(view: RepresentationLoss) -> None:
    if view.problem.loss.is_constraint:
        raise InputError(
            f"loss: {view.problem.loss.name} is a constraint and cannot be descended; use mse and a small lambda"
        )


def _finite(value: Tensor) -> float:
    import math

    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"Z: its loss is {number}; start from finite representations of moderate size")
    return number
