"""What people and programs read about a network of depth ≥ 3: progress, the closing sentence, the JSON object, the files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpcert.outcomes import Outcome
from cpcert.output import write_file, write_json
from cpcert.printing import at_most, enclosure, finite, rounded_up, whole
from cpcert.report import column_names, describe
from cpcert.status import Status

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate
    from cpcert.deep.bound.certificate import DeepCertificate
    from cpcert.deep.solve import DeepResult, Progress
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


@dataclass(frozen=True, eq=False, repr=False)
class DeepOutcome(Outcome):
    """A result, and the files that were written: the network, and the certificates of the interval and of the layers."""

    result: DeepResult
    model: Path | None = None
    certificate: Path | None = None
    certificates: tuple[Path | None, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert solve` for depth ≥ 3."""
        result = self.result
        files = self.certificates or (None,) * len(result.layers)
        layers = [str(path) for path in files if path is not None] or None
        return {
            "instance": result.problem.name,
            "sha256": result.problem.sha256,
            **column_names(result.problem),
            "status": result.status,
            "scope": result.scope,
            "upper": finite(result.upper),
            "lower": finite(result.lower),
            "gap": finite(result.gap),
            "width": None if result.network is None else list(result.network.widths[1:-1]),
            "rank_sigma": None,
            "layers": [
                {
                    "layer": bound.layer, "width": bound.width, "cost": bound.cost, "lower": bound.lower, "gap": bound.gap,
                    "proof": bound.rung, "certificate": None if path is None else str(path),
                }
                for bound, path in zip(result.layers, files, strict=True)
            ],
            "starts": [{"start": name, "loss": finite(value)} for name, value in result.starts],
            "iterations": result.iterations,
            "seconds": result.seconds,
            "certificate": layers if self.certificate is None else str(self.certificate),
            "model": None if self.model is None else str(self.model),
            "message": result.message,
        }  # fmt: skip

    def sentence(self) -> str:
        """What was proven, in a sentence that says what it does not mean."""
        result = self.result
        if result.network is None or result.upper is None:
            return f"nothing found, {result.seconds:.1f} s: {result.message}"
        shape = "-".join(map(str, result.network.widths))
        gaps = ", ".join(f"layer {bound.layer}: {rounded_up(bound.gap)}" for bound in result.layers)
        if result.scope == "global":
            return self._global_sentence(shape)
        found = f"loss at most {at_most(result.upper, 16)} by a network {shape}, {result.seconds:.1f} s; "
        asked = whole(result.requested_gap)
        if result.status == Status.OPTIMAL:
            necessary = "this is necessary for a global minimum, not sufficient"
            return (
                f"{found}each hidden layer is proven optimal given its neighbours, within the gap of {asked} ({gaps}); "
                + "; ".join([necessary, *result.notes])
            )
        return f"{found}gaps proven for each hidden layer given its neighbours ({gaps}; asked for {asked}): {result.message}"

    def _global_sentence(self, shape: str) -> str:
        """What is proven about the global minimum."""
        result = self.result
        claim = f"global minimum of depth {result.problem.depth} {enclosure(result.lower, result.upper)}"
        if result.lower is None:
            claim += ", no lower bound proven"
        found = f"network {shape}, {result.seconds:.1f} s"
        if result.status == Status.OPTIMAL:
            return "; ".join([f"{claim}, {found}", *result.notes])
        gap = "" if finite(result.gap) is None else f", gap {rounded_up(result.gap or 0.0)}"
        return f"{claim}{gap} (asked for {whole(result.requested_gap)}), {found}: {result.message}"

    def write(
        self,
        folder: Path,
        certificates: Sequence[Certificate | None],
        interval: DeepCertificate | None = None,
        *,
        everything: bool = True,
    ) -> DeepOutcome:
        """Write NAME-layer1.cpcert, … and for the interval NAME.cpcert into `folder`, those that there are, and if
        `everything` NAME.json and NAME.safetensors.

        Returns the outcome with their paths. Raises OSError when the disk refuses.
        """
        name = self.result.problem.name
        paths: list[Path | None] = []
        for bound, certificate in zip(self.result.layers, certificates, strict=True):
            path = None if certificate is None else folder / f"{name}-layer{bound.layer}.cpcert"
            if path is not None and certificate is not None:
                write_file(path, certificate.content)
            paths.append(path)
        model = None
        if everything and self.result.network is not None:
            model = folder / f"{name}.safetensors"
            self.result.network.save(model)
        proof = None if interval is None else folder / f"{name}.cpcert"
        if proof is not None and interval is not None:
            write_file(proof, interval.content)
        written = replace(self, model=model, certificate=proof, certificates=tuple(paths))
        if everything:
            write_json(folder / f"{name}.json", written.as_json())
        return written
