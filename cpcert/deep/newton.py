"""Newton's method in all weights at once, kinks as equations: stationary networks and their dual points. A heuristic.

Optimal neurons of hidden layers sit exactly on kinks, z_{ℓki} = 0, where L-BFGS zigzags. With the slopes S of all other
entries fixed, L_λ is a polynomial of the weights x (C aside), and the kinks are equations c(x) = z = 0. A step solves

    [H + δ, Aᵀ; A, 0] (dx, μ) = (−∇L_λ, −c),   A = ∂c/∂x,   H the Hessian of L_λ + μᵀc,

bent along the curved kinks and followed by a line search on the true loss. Where that ends at kinks, these become
equations; once steps are small, a kink is released if the loss falls on one of its sides.

At the end Ĝ_ℓ = −(1/2λ)(S ⊙ W_{ℓ+1}ᵀ ∂C/∂Z_{ℓ+1} + μ) is the back-propagated dual with the one slope at each kink that
makes the network stationary: for the layer below, the G of a block that is optimal (blocks.py). See
docs/mathematics/deep.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cpcert.deep.descent import loss_and_gradient, unpack
from cpcert.network import Network
from cpcert.problem import Problem

STEPS = 150
# Entries of Z this near 0, relative to ‖w‖‖a_i‖, start as kinks.
NEAR = 1e-3
# Entries of Z further from 0 than this, relative to the largest, stop being kinks after a short step.
FAR = 1e-6
# Step of the differences that stand for the Hessian, and the size of the gradient that ends the iteration (relative).
DIFFERENCE, STATIONARY = 1e-5, 1e-11
# Length, relative to x, of the step that measures how kinks bend.
BENDING = 1e-2
# Singular values below which equations are dependent (relative), and the least curvature, relative to λ.
DEPENDENT, FLAT = 1e-9, 1e-3
# Rise of the loss that counts as rounding.
ROUNDING = 1e-13
# Line search: halvings, steps that refine the best length, and how near a kink is where it ends (relative).
HALVINGS = 40
GOLDEN_STEPS, CROSSING = 45, 1e-7
# So many short steps in a row that lower the loss by less than SLOW (relative) end the iteration.
SHORT_STEPS, SLOW = 10, 1e-7
# More weights than this make the Hessian too large.
LARGEST = 700


class _Pass(NamedTuple):
    """inputs: A_0 … A_{L−1}; outputs: Z_1 … Z_L."""

    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


class _Piece:
    """L_λ with the slopes held: `on` says for every entry of the hidden Z_ℓ (n_ℓ, N) on which side of its kink it counts, `kinks`
    which entries are held at 0."""

    def __init__(
        self, problem: Problem, widths: tuple[int, ...], on: list[np.ndarray], kinks: list[np.ndarray]
    ) -> None:
        self.problem, self.widths, self.on, self.kinks = problem, widths, on, kinks
        self.bias = int(problem.beta != 0.0)

    @property
    def count(self) -> int:
        """The number of equations."""
        return int(sum(kink.sum() for kink in self.kinks))

    def forward(self, x: np.ndarray) -> _Pass:
        """The pass of weights x (..., n), any number of them at once."""
        inputs, outputs = [self.problem.X_tilde], []
        weights = unpack(x, self.widths, self.bias)
        for layer, W in enumerate(weights):
            outputs.append(W @ inputs[-1])
            if layer < len(self.on):
                A = self.problem.activation.slope_at(self.on[layer]) * outputs[-1]
                ones = np.full((*A.shape[:-2], self.bias, A.shape[-1]), self.problem.beta)
                inputs.append(np.concatenate([A, ones], axis=-2))
        return _Pass(inputs, outputs)

    def constraint(self, now: _Pass) -> np.ndarray:
        """c: the entries of Z at the kinks."""
        return np.concatenate([Z[kink] for Z, kink in zip(now.outputs, self.kinks, strict=False)])

    def back(self, x: np.ndarray, now: _Pass, mu: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
        """For x (..., n) and μ (..., count): the gradient of L_λ + μᵀc in x; ∂/∂Z_ℓ for all ℓ; τ = ∂/∂σ(Z_ℓ) for the hidden ones."""
        weights = unpack(x, self.widths, self.bias)
        Z, Y, loss = now.outputs[-1], self.problem.targets, self.problem.loss
        D = loss.gradient(Z, Y) if Z.ndim == 2 else np.array([loss.gradient(each, Y) for each in Z]).reshape(Z.shape)
        gradients, derivatives, taus = [], [D], []
        ends = np.cumsum([kink.sum() for kink in self.kinks])
        for layer in range(len(weights) - 1, -1, -1):
            gradients.append((D @ np.swapaxes(now.inputs[layer], -1, -2)).reshape(*x.shape[:-1], -1))
            if layer:
                tau = np.swapaxes(weights[layer][..., : self.widths[layer]], -1, -2) @ D
                kink = self.kinks[layer - 1]
                D = self.problem.activation.slope_at(self.on[layer - 1]) * tau
                D[..., kink] += mu[..., ends[layer - 1] - kink.sum() : ends[layer - 1]]
                derivatives.append(D)
                taus.append(tau)
        gradient = np.concatenate(gradients[::-1], axis=-1) + 2.0 * self.problem.lam * x
        return gradient, derivatives[::-1], taus[::-1]

    def gradient(self, x: np.ndarray, mu: np.ndarray) -> np.ndarray:
        """The gradient of L_λ + μᵀc."""
        return self.back(x, self.forward(x), mu)[0]

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """A (count, n): the gradient is affine in μ, so a row is a difference of two gradients."""
        unit = np.eye(self.count)
        return self.gradient(np.tile(x, (self.count, 1)), unit) - self.gradient(x, np.zeros(self.count))

    def hessian(self, x: np.ndarray, mu: np.ndarray) -> np.ndarray:
        """By central differences of the gradient; (n, n)."""
        step = DIFFERENCE * max(float(np.abs(x).max()), 1e-3)
        moved = step * np.eye(len(x))
        H = (self.gradient(x + moved, mu) - self.gradient(x - moved, mu)) / (2.0 * step)
        return 0.5 * (H + H.T)


def newton(problem: Problem, network: Network, expired: Callable[[], bool]) -> tuple[Network, list[np.ndarray]]:
    """(network, [Ĝ_1, …, Ĝ_L]): stationary as far as it got, of a loss that is not higher but for rounding; Ĝ_ℓ (n_ℓ, N).

    Balance and merge the network first: copies of a neuron make H singular. The weights of larger networks stay.
    """
    widths, sigma, bias = network.widths, problem.activation, int(problem.beta != 0.0)
    x = np.concatenate([W.ravel() for W in network.weights])
    hidden = network.forward(problem.X)[:-1]
    sizes = [np.abs(Z).max(axis=1, initial=0.0, keepdims=True) for Z in hidden]
    kinks = [
        (np.abs(Z) <= NEAR * size) & (size > 0.0) & (sigma.kink != 0.0) for Z, size in zip(hidden, sizes, strict=True)
    ]
    piece = _Piece(problem, widths, [Z > 0.0 for Z in hidden], kinks)

    def at(x: np.ndarray) -> Network:
        return Network(tuple(unpack(x, widths, bias)), sigma, problem.beta)

    loss = loss_and_gradient(problem, widths)
    value, short = loss(x)[0], 0
    for _ in range(STEPS if 0 < len(x) <= LARGEST else 0):
        if expired():
            break
        path, stationary = _step(piece, x)
        if stationary:
            if not _release(piece, x):
                break
            path, _ = _step(piece, x)
        length, new = _line_search(loss, path, value)
        short = short + 1 if length < 1.0 and new > value * (1.0 - SLOW) else 0
        if short == SHORT_STEPS or not new <= value * (1.0 + ROUNDING):
            break
        crossed = _crossed(piece, path, length)
        x, value = path(length), new
        outputs = at(x).forward(problem.X)
        for kink, Z in zip(piece.kinks, outputs, strict=False):
            if length < 1.0:
                # A kink that is far and cannot be reached in one step was none.
                kink &= np.abs(Z) <= FAR * np.abs(Z).max(initial=0.0)
        for layer, entry in crossed:
            piece.kinks[layer][entry] = True
        for on, kink, Z in zip(piece.on, piece.kinks, outputs, strict=False):
            on[~kink] = Z[~kink] > 0.0
    mu = _multipliers(piece, x)[0]
    derivatives = piece.back(x, piece.forward(x), mu)[1]
    return at(x), [-D / (2.0 * problem.lam) for D in derivatives]


def _line_search(
    function: Callable[[np.ndarray], tuple[float, np.ndarray]], path: Callable[[float], np.ndarray], start: float
) -> tuple[float, float]:
    """(t, L_λ at path(t)): t = 1, 1/2, … while that lowers the loss, or until it is at most `start`, its value at 0; then, unless
    t = 1, the smallest value near, to the last bits: it may be at a kink."""

    def loss(t: float) -> float:
        return function(path(t))[0]

    best, value = 1.0, loss(1.0)
    for k in range(1, HALVINGS):
        trial = loss(0.5**k)
        if trial < value * (1.0 - ROUNDING):
            best, value = 0.5**k, trial
        elif value <= start * (1.0 + ROUNDING):
            break
    if best == 1.0:
        return best, value
    low, high = 0.5 * best, 2.0 * best
    for _ in range(GOLDEN_STEPS):
        a, b = high - 0.618 * (high - low), low + 0.618 * (high - low)
        low, high = (low, b) if loss(a) <= loss(b) else (a, high)
    t = 0.5 * (low + high)
    return (t, trial) if (trial := loss(t)) <= value else (best, value)


def _multipliers(piece: _Piece, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(μ, dx, null): the μ of smallest ‖∇L_λ + Aᵀμ‖, the shortest dx with A dx = −c, a basis of the null space of A (n, d)."""
    if not piece.count:
        return np.zeros(0), np.zeros(len(x)), np.eye(len(x))
    A = piece.jacobian(x)
    left, singular, right = np.linalg.svd(A, full_matrices=True)
    rank = int((singular > DEPENDENT * max(float(singular[0]), 1e-300)).sum())
    left, singular, rows, null = left[:, :rank], singular[:rank], right[:rank], right[rank:].T
    mu = -left @ ((rows @ piece.gradient(x, np.zeros(piece.count))) / singular)
    return mu, -rows.T @ ((left.T @ piece.constraint(piece.forward(x))) / singular), null


def _step(piece: _Piece, x: np.ndarray) -> tuple[Callable[[float], np.ndarray], bool]:
    """The path x(t) = x + t·step + t²·bend along the Newton step, and whether x is stationary already."""
    mu, back, null = _multipliers(piece, x)
    gradient = piece.gradient(x, mu)
    size = 2.0 * piece.problem.lam * float(np.linalg.norm(x))
    stationary = (
        float(np.linalg.norm(null.T @ gradient)) <= STATIONARY * size and np.abs(back).max(initial=0.0) <= STATIONARY
    )
    H = piece.hessian(x, mu)
    values, vectors = np.linalg.eigh(null.T @ H @ null)
    curve = np.maximum(np.abs(values), FLAT * piece.problem.lam)
    slope = vectors.T @ (null.T @ (gradient + H @ back))
    step = back - null @ (vectors @ (slope / curve))
    bend = np.zeros(len(x))
    if piece.count:
        # Kinks are curved surfaces: c(x + h·step) − c − h·A step = h²q + …, and a bend of −A⁺q stays on them.
        A = piece.jacobian(x)
        h = BENDING * float(np.linalg.norm(x)) / max(float(np.linalg.norm(step)), 1e-300)
        c, moved = (piece.constraint(piece.forward(at)) for at in (x, x + h * step))
        bend = -np.linalg.lstsq(A, (moved - c - h * (A @ step)) / h**2, rcond=DEPENDENT)[0]
    return lambda t: x + t * step + t * t * bend, bool(stationary)


def _crossed(piece: _Piece, path: Callable[[float], np.ndarray], length: float) -> list[tuple[int, tuple[int, ...]]]:
    """The entries of Z that change sides right where a step ends: it ends at their kinks."""
    before, after = (piece.forward(path(length * (1.0 + side))).outputs for side in (-CROSSING, CROSSING))
    return [
        (layer, tuple(entry))
        for layer, kink in enumerate(piece.kinks)
        for entry in np.argwhere(((before[layer] > 0.0) != (after[layer] > 0.0)) & ~kink)
    ]


def _release(piece: _Piece, x: np.ndarray) -> bool:
    """Release the kinks on one of whose sides the loss falls; whether there are any."""
    sigma = piece.problem.activation
    mu = _multipliers(piece, x)[0]
    _, _, taus = piece.back(x, piece.forward(x), mu)
    released = False
    at = 0
    for on, kink, tau in zip(piece.on, piece.kinks, taus, strict=True):
        s, t, m = sigma.slope_at(on[kink]), tau[kink], mu[at : at + kink.sum()]
        at += kink.sum()
        up, down = (sigma.a_plus - s) * t - m, m - (sigma.a_minus - s) * t
        free = np.minimum(up, down) < -1e-8 * (np.abs(t) + np.abs(m))
        entries = np.argwhere(kink)[free]
        on[tuple(entries.T)] = up[free] < down[free]
        kink[tuple(entries.T)] = False
        released = released or bool(free.any())
    return released
