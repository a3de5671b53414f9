"""What `cpcert check` prints and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cpcert.network import Network
from cpcert.networks.verdict import CheckResult, DescentNeuron, NeuronRow, Verdict
from cpcert.outcomes import Outcome
from cpcert.output import write_file, write_json
from cpcert.printing import about, at_most, finite, or_dash, plural, rounded_down, rounded_up


@dataclass(frozen=True)
class Improved:
    """A better network: the proven upper bound of its loss, what can be said of it, and its file, if it was written."""

    network: Network
    loss: float
    verdict: Verdict
    model: Path | None = None

    @property
    def width(self) -> int:
        """Its hidden neurons."""
        return self.network.width

    def as_json(self) -> dict[str, Any]:
        """The entry `improved` of the JSON object."""
        model = None if self.model is None else str(self.model)
        return {"model": model, "loss": self.loss, "width": self.width, "verdict": self.verdict}


@dataclass(frozen=True, eq=False, repr=False)
class CheckOutcome(Outcome):
    """The verdict about the network of an instance, the table of its neurons, and a better network, if that was asked for. notes:
    what had to be assumed, for people. proof: a new certificate of the interval that the verdict rests on; certificate: its file,
    or the one that was given."""

    instance: str
    result: CheckResult
    neurons: tuple[NeuronRow, ...]
    improved: Improved | None = None
    notes: tuple[str, ...] = ()
    proof: bytes | None = None
    certificate: Path | None = None

    @property
    def verdict(self) -> Verdict:
        """optimal or suboptimal, proven, or undecided."""
        return self.result.verdict

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert check`."""
        result, improved = self.result, self.improved
        least, most = result.suboptimality
        written = {
            "loss": result.loss,
            "lower": finite(result.lower),
            "upper": finite(result.upper),
            "suboptimality": {"lower": least, "upper": finite(most)},
            "verdict": result.verdict,
            "scope": result.scope,
            "descent_neuron": None if result.descent is None else _descent(result.descent),
            "layers": [{"layer": k, **asdict(layer)} for k, layer in enumerate(result.layers, start=1)],
            "neurons": [asdict(neuron) for neuron in self.neurons],
            "certificate": None if self.certificate is None else str(self.certificate),
        }
        return written if improved is None else written | {"improved": improved.as_json()}

    def sentence(self) -> str:
        """The verdict, with what it rests on."""
        result = self.result
        least, most = result.suboptimality[0], finite(result.suboptimality[1])
        line = f"{result.verdict}: the loss, at most {at_most(result.loss)}, is "
        if least > 0.0:
            line += f"above the global minimum by at least {rounded_down(least)}"
            line += ", proven" if most is None else f" and at most {rounded_up(most)}, proven"
        elif most is not None:
            line += f"within {rounded_up(max(most, 0.0))} of the global minimum, proven"
        else:
            line += "at an unknown distance from the global minimum"
            line += "" if result.descent else ": no neuron that lowers it was found in any layer"
        if result.descent is not None and result.verdict is not Verdict.OPTIMAL:
            where = f" in hidden layer {result.descent.layer}" if len(result.layers) > 1 else ""
            line += f"; one more neuron{where} lowers it to at most {at_most(result.descent.loss_after)}"
        if self.improved is not None:
            better = self.improved
            line += f"; improved to at most {at_most(better.loss)} ({better.verdict}), "
            line += f"{better.width} {plural(better.width, 'neuron')}"
            line += "" if better.model is None else f", in {better.model}"
        return "\n".join([line, *self.notes])

    def write(self, folder: Path) -> CheckOutcome:
        """Write NAME-check.json, and NAME-check.cpcert if there is a new certificate; returns the outcome with its path.

        Raises OSError when the disk refuses.
        """
        written = self
        if self.proof is not None:
            written = replace(self, certificate=folder / f"{self.instance}-check.cpcert")
            write_file(folder / f"{self.instance}-check.cpcert", self.proof)
        write_json(folder / f"{self.instance}-check.json", written.as_json())
        return written


def _descent(found: DescentNeuron) -> dict[str, Any]:
    return {
        "layer": found.layer, "w": found.w.tolist(), "v": found.v.tolist(), "ratio": found.ratio,
        "loss_before": found.loss_before, "loss_after": found.loss_after,
    }  # fmt: skip


def print_neurons(result: CheckResult, neurons: Sequence[NeuronRow]) -> None:
    """The table of neurons of `cpcert check`, and what was found in each layer of a deeper network, to stderr.

    Floating-point values, no claims; the heading says so.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "layer", "neuron", "incoming", "outgoing", "in/out", "contact", "group", box=None, header_style="bold"
    )
    for row in neurons:
        texts = [or_dash(value, about) for value in (row.incoming, row.outgoing, row.balance, row.contact)]
        table.add_row(str(row.layer), str(row.neuron), *texts, "dead" if row.dead else str(row.group))
    console = Console(stderr=True)
    console.print("floating-point values of the neurons", highlight=False, soft_wrap=True)
    console.print(table)
    if len(result.layers) > 1:
        for layer, found in enumerate(result.layers, start=1):
            line = f"hidden layer {layer}: the largest contact value found is about {about(found.contact)}"
            if found.kinks:
                line += f" (one-sided: {found.kinks} {plural(found.kinks, 'value')} of the next layer at a kink)"
            console.print(line, highlight=False, soft_wrap=True)
