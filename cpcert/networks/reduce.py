"""Reduce a trained network: the same outputs on the data (or the same covariances) with fewer neurons, norm not larger."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cpcert.formulations.caratheodory import Stage, reduce_covariances, reduce_outputs
from cpcert.network import Network
from cpcert.networks.one_dim import Merge, merge_neurons
from cpcert.outcomes import Outcome
from cpcert.output import csv_bytes, write_file, write_json
from cpcert.printing import about
from cpcert.problem import Problem

# What a reduction may change by rounding: outputs relative to the size of the sums behind them, the norm relative to itself.
OUTPUT_TOLERANCE, NORM_TOLERANCE = 1e-10, 1e-12


@dataclass(frozen=True, eq=False)
class Reduction:
    """networks: the original and the network after each stage, so one more than stages. merges: the log of the 4N reduction.

    max_output_change: max |Z_after − Z_before| on the data, output_size: max of |V|σ(|W||X̃|) there (what rounding is relative
    to), both measured in floating point.
    """

    networks: tuple[Network, ...]
    stages: tuple[Stage, ...]
    merges: tuple[Merge, ...]
    max_output_change: float
    output_size: float

    @property
    def bound(self) -> int:
        """What the arguments guarantee for the width: per layer the smallest bound of its stages, then the largest layer."""
        layers = {stage.layer for stage in self.stages}
        return max(min(stage.bound for stage in self.stages if stage.layer == layer) for layer in layers)

    @property
    def kept(self) -> bool:
        """Whether outputs and norm are what they were, up to rounding."""
        before, after = (self.networks[k].norm_squared() for k in (0, -1))
        outputs = self.max_output_change <= OUTPUT_TOLERANCE * self.output_size
        return outputs and after <= before * (1.0 + NORM_TOLERANCE)


def reduce_network(problem: Problem, network: Network, keep: str = "outputs") -> Reduction:
    """Reduce every hidden layer, the last one first.

    keep "outputs": for one input and one output first the 4N reduction (one_dim.py), then Carathéodory: n_{ℓ+1} neurons for each
    distinct point. keep "covariances": N(N+1) neurons with the same (K_ℓ, K_ℓ^σ). Raises InputError when the network does
    not fit the problem.
    """
    network.check_fits(problem)
    networks: list[Network] = [network]
    stages: list[Stage] = []
    merges: tuple[Merge, ...] = ()
    if keep == "outputs" and (network.depth, problem.n0, problem.m) == (2, 1, 1):
        merged, stage, merges = merge_neurons(network, problem.X)
        networks.append(merged)
        stages.append(stage)
    reduce_layer = reduce_outputs if keep == "outputs" else reduce_covariances
    for layer in range(network.depth - 1, 0, -1):
        reduced, stage = reduce_layer(networks[-1], problem.X, layer)
        networks.append(reduced)
        stages.append(stage)
    change = np.abs(networks[-1].outputs(problem.X) - network.outputs(problem.X)).max()
    return Reduction(tuple(networks), tuple(stages), merges, float(change), _output_size(network, problem.X))


def _output_size(network: Network, X: np.ndarray) -> float:
    """The largest output of the network with absolute values everywhere."""
    A = np.abs(network.inputs(X))
    for W in network.weights[:-1]:
        A = network.activation.lipschitz * (np.abs(W) @ A)
        A = np.vstack([A, np.full((1, A.shape[1]), abs(network.beta))]) if network.beta != 0.0 else A
    return float((np.abs(network.weights[-1]) @ A).max())


@dataclass(frozen=True, eq=False, repr=False)
class ReductionOutcome(Outcome):
    """The reduction of a network of the problem, and the file of the reduced one, if it was written."""

    problem: Problem
    reduction: Reduction
    model: Path | None = None

    @property
    def network(self) -> Network:
        """The reduced one."""
        return self.reduction.networks[-1]

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert reduce`."""
        reduction = self.reduction
        before, after = reduction.networks[0], reduction.networks[-1]
        return {
            "instance": self.problem.name,
            "width_before": before.width,
            "width_after": after.width,
            "bound": reduction.bound,
            "norm_before": before.norm_squared(),
            "norm_after": after.norm_squared(),
            "max_output_change": reduction.max_output_change,
            "kept": reduction.kept,
            "stages": [asdict(stage) for stage in reduction.stages],
            "merges": len(reduction.merges),
            "model": None if self.model is None else str(self.model),
        }

    def sentence(self) -> str:
        """What was done, in one line. Norms and outputs are measured in floating point; only the number of neurons is proven."""
        reduction = self.reduction
        before, after = reduction.networks[0], reduction.networks[-1]
        widths = " → ".join(str(network.width) for network in reduction.networks)
        line = (
            f"{widths} neurons (at most {reduction.bound} by proof); in floating point: squared norm "
            f"{about(before.norm_squared(), 9)} → {about(after.norm_squared(), 9)}, "
            f"outputs changed by {about(reduction.max_output_change, 2)}"
        )
        if not reduction.kept:
            line += ": outputs or norm changed more than rounding should; the weights are too ill conditioned"
        return line

    def write(self, folder: Path) -> ReductionOutcome:
        """Write NAME-reduced.safetensors, NAME-reduction.json and, if neurons were merged, NAME-merges.csv; returns the outcome
        with the path of the network. Raises OSError when the disk refuses."""
        model = folder / f"{self.problem.name}-reduced.safetensors"
        self.reduction.networks[-1].save(model)
        merges = self.reduction.merges
        if merges:
            fields = ("kept", "absorbed", "gap", "saved")
            columns = {field: [getattr(merge, field) for merge in merges] for field in fields}
            write_file(folder / f"{self.problem.name}-merges.csv", csv_bytes(columns))
        written = replace(self, model=model)
        write_json(folder / f"{self.problem.name}-reduction.json", written.as_json())
        return written
