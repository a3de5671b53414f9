"""
A local minimum that covariances do not have (Prop. 19)
=======================================================

    python examples/prop19.py [λ]          0 < λ < 1/2, 0.1 by default

Two points x = 1, −1 with targets 1, 1, a ReLU network 1-2-1 without biases, mean squared error. The weights

    W_1 = (a, b)ᵀ, W_2 = (a, b),  a, b > 0,  a² + b² = 1 − 2λ,

have both neurons on the first point and the loss 1/2 + 2λ − 2λ². No neuron can be moved to the second point without
first undoing its work, so they are local minima of L_λ. Their covariances depend on a² + b² alone: they are also those
of b = 0, where one neuron is free. Turning it to the second point, (w, v) = (−ε, ε), changes the loss by
−ε² + 2λε² + ε⁴/2 < 0. The covariances move continuously with ε, so they are no local minimum of L^k.
"""

from __future__ import annotations

import sys

import numpy as np

from cpcert import Network, Problem
from cpcert.formulations.covariances import Covariances, covariance_loss, covariances
from cpcert.formulations.duals import backpropagated_duals


def problem_of(lam: float) -> Problem:
    """The data of the proposition. λ ≥ 1/2 has no such minimum: 1 − 2λ must be positive."""
    if not 0.0 < lam < 0.5:
        raise SystemExit(f"lambda: is {lam:g}; give a number between 0 and 1/2")
    return Problem([[1.0], [-1.0]], [[1.0], [1.0]], lam=lam, beta=0.0, name="prop-19")


def network_of(problem: Problem, w: tuple[float, float], v: tuple[float, float]) -> Network:
    """Hidden weights w, output weights v."""
    return Network((np.array(w)[:, np.newaxis], np.array([v])), problem.activation, 0.0)


def view_of(problem: Problem, network: Network) -> Covariances:
    """The covariances of a network."""
    return covariances(network.forward(problem.X), problem.activation, 0.0)


def distance_between(one: Covariances, other: Covariances) -> float:
    """The largest difference of an entry of K or K^σ."""
    pairs = zip((*one.K, *one.K_sigma), (*other.K, *other.K_sigma), strict=True)
    return max(float(np.abs(mine - theirs).max()) for mine, theirs in pairs)


def hessian(problem: Problem, network: Network) -> np.ndarray:
    """∇²L_λ (4, 4) by central differences: no pre-activation is 0, so L_λ is a polynomial near these weights."""
    x = np.concatenate([W.ravel() for W in network.weights])

    def loss(y: np.ndarray) -> float:
        return network_of(problem, (y[0], y[1]), (y[2], y[3])).loss(problem)

    h, E = 1e-4, np.eye(4)
    return np.array([
        [
            (loss(x + h * (p + q)) - loss(x + h * (p - q)) - loss(x - h * (p - q)) + loss(x - h * (p + q))) / (4.0 * h * h)
            for q in E
        ]
        for p in E
    ])  # fmt: skip


def main(lam: float = 0.1) -> dict[str, object]:
    """Print the argument step by step, every number computed; return the numbers."""
    problem = problem_of(lam)
    size = np.sqrt(1.0 - 2.0 * lam)
    a, b = 0.8 * size, 0.6 * size
    trained, twin = network_of(problem, (a, b), (a, b)), network_of(problem, (size, 0.0), (size, 0.0))

    print(f"lambda = {lam:g}, weights a = {a:.6f}, b = {b:.6f}")
    print(f"1. loss {trained.loss(problem):.12f}, by the formula {0.5 + 2 * lam - 2 * lam**2:.12f}")

    eigenvalues = np.linalg.eigvalsh(hessian(problem, trained))
    print(f"   eigenvalues of the second derivative {np.round(eigenvalues, 6) + 0.0}: one is 0, along the circle of")
    print("   equally good weights a² + b² = 1 − 2λ, the others are positive: a local minimum")

    views = view_of(problem, trained), view_of(problem, twin)
    distance = distance_between(*views)
    print(f"2. b = 0 has the same covariances: they differ by {distance:.1e}")

    dual = backpropagated_duals(problem, twin)[-1]
    contact = float(np.linalg.norm(dual @ problem.activation(np.array([-1.0]) @ problem.X_tilde)))
    print(f"3. a new neuron w = −1 there has ‖Gσ(w)‖ = {contact:.6f} = 1/2λ > 1: it lowers the loss")

    print("4. turn the idle neuron to the second point, (w, v) = (−ε, ε):")
    print("      ε        L_λ of the weights   L^k of the covariances   distance of the covariances")
    rows = []
    for epsilon in (0.0, 0.01, 0.03, 0.1, 0.3):
        moved = network_of(problem, (size, -epsilon), (size, epsilon))
        view = view_of(problem, moved)
        away = distance_between(view, views[1])
        rows.append((epsilon, moved.loss(problem), covariance_loss(view, problem), away))
        print("   {:6.2f}   {:20.12f}   {:20.12f}   {:20.1e}".format(*rows[-1]))
    print("   The covariances of the local minimum of L_λ are no local minimum of L^k.")
    return {
        "loss": trained.loss(problem),
        "eigenvalues": eigenvalues,
        "distance": distance,
        "contact": contact,
        "rows": rows,
    }


if __name__ == "__main__":
    main(*(float(argument) for argument in sys.argv[1:2]))
