"""Figure 1 and the representation view: how far training gets with the identity of stationary points; descent on Z and on W."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import tables
import torch

from cpcert import Network, Problem
from cpcert.deep.descent import descend, random_network
from cpcert.formulations.descent import local_descent, projected_descent
from cpcert.formulations.forces import LayerForces, layer_forces
from cpcert.formulations.representations import RepresentationLoss
from cpcert.instance import load_instance
from cpcert.training.single import settled, train_one

PRESET = Path(__file__).parents[1] / "instances" / "figure1-digits.yaml"
SEEDS = range(3)
STEPS = 300


def figure_1() -> None:
    """The preset from several first weights: trained, then settled on a stationary point."""
    loaded = load_instance(PRESET)
    problem = loaded.problem()
    rows = []
    for seed in SEEDS:
        start = time.perf_counter()
        frames, _ = train_one(problem, loaded.train, None, seed)
        network = frames[-1][1]
        rows.append(row(problem, f"trained, seed {seed}", network, 1e-2, time.perf_counter() - start))
        start = time.perf_counter()
        rows.append(row(problem, "settled", settled(problem, network), 1e-6, time.perf_counter() - start))
        print(" | ".join(rows[-2]), " | ".join(rows[-1]), sep="\n", flush=True)
    headings = ["network", "loss", "neurons", "rays", "kinks", "identity", "forces", "rcond", "seconds"]
    notes = (
        "42 digits 7, 8, 9, depth 3, width 50, cross-entropy, λ = 1e-2 (instances/figure1-digits.yaml); one entry for each "
        "hidden layer. identity: relative difference of the two sides of Z_ℓ (K_{ℓ−1}^σ)^+ = Ĝ_ℓ P_{ℓ−1}, slopes at kinks fitted, "
        "singular values above rcond. forces: what is left of attraction and repulsion, relative; they need not cancel, "
        "because no layer has the rank of the points. settled: neurons of one direction merged, then Newton's method."
    )
    tables.write("forces", "Figure 1: stationary points, seen by their forces", headings, rows, rows, notes)


def row(problem: Problem, what: str, network: Network, rcond: float, seconds: float) -> list[str]:
    """One line of the first table."""

    def each(form: str, values: list[float]) -> str:
        return ", ".join(form.format(value) for value in values)

    layers: list[LayerForces] = layer_forces(problem, network, rcond)
    return [
        what,
        f"{network.loss(problem):.8f}",
        each("{}", [len(layer.Z) for layer in layers]),
        each("{}", [len(layer.rays) for layer in layers]),
        each("{}", [layer.kinks for layer in layers]),
        each("{:.0e}", [layer.identity_residual for layer in layers]),
        each("{:.0e}", [layer.cancellation_residual for layer in layers]),
        f"{rcond:.0e}",
        f"{seconds:.1f}",
    ]


def descents() -> None:
    """The same number of steps from the same network on three views; L-BFGS on the weights is the peer."""
    rows = []
    for N, width in ((12, 20), (20, 6)):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(N, 4))
        Y = 0.5 * np.maximum(X @ rng.normal(size=(4, 6)), 0.0) @ rng.normal(size=(6, 2))
        problem = Problem(X, Y, lam=1e-2, depth=3)
        start = random_network(problem, width, rng)
        peer = descend(problem, start, STEPS).loss(problem)
        view, relaxed = RepresentationLoss(problem), RepresentationLoss(problem, tikhonov=1e-1)
        Z = view.forward(view.tensors(start.weights))
        for what, run in (
            ("projected", lambda view=view, Z=Z: projected_descent(view, Z, STEPS)),
            ("local, tikhonov 0.1", lambda view=relaxed, Z=Z: local_descent(view, Z, STEPS)),
        ):
            clock = time.perf_counter()
            found = run()
            rows.append([f"{N}, {width}", what, f"{found.losses[0]:.4f}", f"{found.losses[-1]:.4f}",
                         f"{found.attained:.4f}", f"{peer:.4f}", f"{time.perf_counter() - clock:.1f}"])  # fmt: skip
    headings = ["N, width", "descent", "start", "its loss", "attained", "L-BFGS on W", "seconds"]
    notes = (
        f"{STEPS} steps each, from the same random network of depth 3. attained: the loss of the network that the "
        "representations lead to. The views show what training does; they are no faster way to train."
    )
    tables.write("representation_descent", "Descent on representations", headings, rows, rows, notes)


if __name__ == "__main__":
    torch.set_num_threads(1)
    figure_1()
    descents()
