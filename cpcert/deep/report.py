"""What people and programs read about a network of depth ≥ 3: progress, the closing sentence, the JSON object, the files.

Certificates: the block of every hidden layer is an ordinary problem of depth 2 with float64 data (blocks.py), and
NAME-layer1.cpcert, … are ordinary certificates of these problems. The lower bound of a layer is what its certificate proves,
moved from the float64 data to the exact weights around the layer by the inequality in blocks.py.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpcert.printing import at_most, rounded_up, whole
from cpcert.report import STATUS, column_names, describe, write_file
from cpcert.rounding import round_down

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate
    from cpcert.deep.solve import DeepResult, LayerBound, Progress
    from cpcert.problem import Problem


def show_progress(problem: Problem) -> Any:
    """A callback for `solve_deep`: a line on stderr for every step."""
    shown = False

    def show(progress: Progress) -> None:
        nonlocal shown
        if not shown:
            print(describe(problem), file=sys.stderr)
            shown = True
        what = progress.step if progress.layer is None else f"layer {progress.layer} {progress.step}"
        gap = "" if progress.gap is None else f"  gap {rounded_up(progress.gap)} ({progress.rung or 'trivial'})"
        shape = "-".join(map(str, progress.widths))
        line = f"{progress.seconds:8.2f} s  {what:24}  best loss {at_most(progress.upper, 9)}  {shape}{gap}"
        print(line, file=sys.stderr, flush=True)

    return show


def certified_layers(result: DeepResult, gap: float) -> tuple[DeepResult, list[Certificate | None]]:
    """The result with the bounds that the certificates of its blocks prove, and these. An interruption leaves the rest as
    the solver proved it, without certificates."""
    from cpcert.certificate.build import certify

    layers: list[LayerBound] = []
    certificates: list[Certificate | None] = []
    for bound in result.layers:
        found = None
        if bound.result is not None and bound.result.dual is not None and bound.block is not None:
            try:
                found = certify(bound.result)
            except KeyboardInterrupt:
                note = "interrupted while the certificates were written; the bounds are proven"
                layers += result.layers[len(layers) :]
                certificates += [None] * (len(layers) - len(certificates))
                return replace(result, layers=tuple(layers), message=note), certificates
            least = 0.0
            if found is not None and found.lower is not None:
                # What the certificate proves less than the solver counts in the units of the block.
                unit = Fraction(1) if bound.block.last else Fraction(result.problem.lam)
                less = max(Fraction(bound.result.dual.value) - Fraction(found.lower), Fraction(0)) * unit
                least = max(round_down(Fraction(bound.lower) - less), 0.0)
            bound = replace(bound, lower=least)
        layers.append(bound)
        certificates.append(found)
    result = replace(result, layers=tuple(layers))
    if result.status == "optimal" and any(bound.gap > gap for bound in layers):
        note = "the certificates prove less than the search found; ask for a smaller gap than you need"
        result = replace(result, status="iteration_limit", message=note)
    return result, certificates


def deep_object(
    result: DeepResult,
    model: Path | None,
    certificates: list[Path | None] | None = None,
    certificate: Path | None = None,
) -> dict[str, Any]:
    """The JSON object of `cpcert solve` for depth ≥ 3: finite numbers, and null for what is not known.

    certificates: of the layers (scope blockwise); certificate: of the interval (scope global).
    """
    files = certificates or [None] * len(result.layers)
    written = [str(path) for path in files if path is not None]
    return {
        "instance": result.problem.name,
        "sha256": result.problem.sha256,
        **column_names(result.problem),
        "status": result.status,
        "scope": result.scope,
        "upper": result.upper if result.upper is not None and math.isfinite(result.upper) else None,
        "lower": result.lower,
        "gap": result.gap,
        "width": None if result.network is None else list(result.network.widths[1:-1]),
        "rank_sigma": None,
        "layers": [
            {
                "layer": bound.layer, "width": bound.width, "cost": bound.cost, "lower": bound.lower, "gap": bound.gap,
                "proof": bound.rung, "certificate": None if path is None else str(path),
            }
            for bound, path in zip(result.layers, files, strict=True)
        ],
        "starts": [{"start": name, "loss": value if math.isfinite(value) else None} for name, value in result.starts],
        "iterations": result.iterations,
        "seconds": result.seconds,
        "certificate": (written or None) if certificate is None else str(certificate),
        "model": None if model is None else str(model),
        "message": result.message or STATUS.get(result.status, ""),
    }  # fmt: skip


def deep_line(result: DeepResult, requested_gap: float) -> str:
    """What was proven, in a sentence that says what it does not mean."""
    if result.scope == "global":
        return _global_line(result, requested_gap)
    if result.network is None or result.upper is None:
        return f"nothing found, {result.seconds:.1f} s: {STATUS.get(result.status, result.status)}"
    shape = "-".join(map(str, result.network.widths))
    gaps = ", ".join(f"layer {bound.layer}: {rounded_up(bound.gap)}" for bound in result.layers)
    found = f"loss at most {at_most(result.upper, 16)} by a network {shape}, {result.seconds:.1f} s; "
    if result.status == "optimal":
        return (
            f"{found}each hidden layer is proven optimal given its neighbours, within the gap of {whole(requested_gap)} ({gaps}); "
            "this is necessary for a global minimum, not sufficient"
        )
    return (
        f"{found}gaps proven for each hidden layer given its neighbours ({gaps}; asked for {whole(requested_gap)}): "
        f"{STATUS.get(result.status, result.status)}"
    )


def _global_line(result: DeepResult, requested_gap: float) -> str:
    """The closing sentence of a run whose gap is that of the global minimum."""
    if result.network is None or result.upper is None:
        return f"nothing found, {result.seconds:.1f} s: {STATUS.get(result.status, result.status)}"
    shape = "-".join(map(str, result.network.widths))
    found = f"loss at most {at_most(result.upper, 16)} by a network {shape}"
    if result.lower is None or result.gap is None:
        reason = STATUS.get(result.status, result.status)
        return f"{found}, {result.seconds:.1f} s; nothing is proven about the global minimum from below: {reason}"
    interval = (
        f"the global minimum of depth {result.problem.depth} lies in [{whole(result.lower)}, {whole(result.upper)}]"
    )
    closing = f"{interval}, gap {rounded_up(result.gap)}, by a network {shape}, {result.seconds:.1f} s"
    if result.status == "optimal":
        return f"optimal: {closing}"
    return f"{closing} (asked for {whole(requested_gap)}): {result.message or STATUS.get(result.status, result.status)}"


def write_deep(
    result: DeepResult,
    folder: Path,
    certificates: list[Certificate | None],
    *,
    everything: bool = True,
    interval: bool = True,
) -> dict[str, Any]:
    """Write NAME.cpcert (scope global) or NAME-layer1.cpcert, … into `folder`; if `everything`, NAME.json and the network.

    interval: whether to write the certificate of the interval. Returns the JSON object with the paths in it. Raises
    OSError when the disk refuses.
    """
    name = result.problem.name
    paths: list[Path | None] = []
    for bound, certificate in zip(result.layers, certificates, strict=True):
        path = None if certificate is None else folder / f"{name}-layer{bound.layer}.cpcert"
        if path is not None and certificate is not None:
            write_file(path, certificate.content)
        paths.append(path)
    model = None
    if everything and result.network is not None:
        model = folder / f"{name}.safetensors"
        result.network.save(model)
    proof = None
    if interval and result.certificate is not None:
        proof = folder / f"{name}.cpcert"
        write_file(proof, result.certificate.content)
    written = deep_object(result, model, paths, proof)
    if everything:
        write_file(folder / f"{name}.json", (json.dumps(written, indent=2, allow_nan=False) + "\n").encode())
    return written
