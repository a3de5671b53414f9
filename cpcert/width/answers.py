"""What `cpcert width` prints and writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpcert.frank_wolfe.result import SolveResult
from cpcert.network import Network
from cpcert.outcomes import Outcome
from cpcert.output import write_file, write_json
from cpcert.printing import rounded_up, whole
from cpcert.width.bounds import WidthBounds, WidthProof

if TYPE_CHECKING:
    from cpcert.width.certificate import WidthCertificate


@dataclass(frozen=True, eq=False, repr=False)
class WidthOutcome(Outcome):
    """The bounds for an instance (None: nothing is proven about it), the result of `solve` that they start from, the certificate, and
    the files of the network that has `upper` neurons and of the certificate, if they were written."""

    instance: str
    bounds: WidthBounds | None
    seconds: float
    result: SolveResult
    proof: WidthCertificate | None = None
    model: Path | None = None
    certificate: Path | None = None

    @property
    def lower(self) -> int | None:
        """Proven: no narrower network has a loss as small."""
        return None if self.bounds is None else self.bounds.lower

    @property
    def upper(self) -> int | None:
        """Proven: the neurons of `network`."""
        return None if self.bounds is None else self.bounds.upper

    @property
    def network(self) -> Network | None:
        """A network of `upper` neurons whose loss is as small, in the units of the data."""
        return None if self.bounds is None else replace(self.bounds.network, units=self.result.problem.units)

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert width`."""
        bounds = self.bounds
        if bounds is None:
            return {
                "instance": self.instance, "lower": None, "upper": None, "status": self.result.status, "note": self.sentence(),
            }  # fmt: skip
        return {
            "instance": self.instance,
            "lower": bounds.lower,
            "upper": bounds.upper,
            "lower_proof": None if bounds.proof is WidthProof.NONE else bounds.proof,
            "loss": bounds.loss,
            "tolerance": bounds.tolerance,
            "caps": [] if bounds.caps is None else bounds.caps.as_json(),
            "needed": [{"caps": list(needed.caps), "loss_without": needed.lower} for needed in bounds.needed],
            "complete": bounds.complete,
            "note": bounds.note or None,
            "seconds": self.seconds,
            **({} if self.model is None else {"model": str(self.model)}),
            **({} if self.certificate is None else {"certificate": str(self.certificate)}),
        }

    def sentence(self) -> str:
        """The bounds and what the lower one rests on. U is whole: rounded up it would need fewer neurons, rounded down perhaps
        more."""
        bounds = self.bounds
        if bounds is None:
            return f"nothing is proven about the width: {self.result.message}"
        exact = bounds.lower == bounds.upper
        width = f"exactly {bounds.lower}" if exact else f"between {bounds.lower} and {bounds.upper}"
        sets = len(bounds.needed)
        proof = {
            WidthProof.CAPS: "one set of caps that needs a neuron"
            if sets == 1
            else f"{sets} sets of caps that each need a neuron",
            WidthProof.RANK: "rank",
            WidthProof.NONE: "no width is less than 0" if bounds.upper == 0 else "nothing proven",
        }[bounds.proof]
        kind = "a relative" if bounds.loss else "an absolute"
        above = f"the minimum to {kind} {rounded_up(bounds.tolerance)}" if bounds.tolerance else "the minimum"
        note = f"\n{bounds.note}" if bounds.note else ""
        return (
            f"least width with a loss of at most {whole(bounds.loss)} ({above}): {width}, {self.seconds:.1f} s; "
            f"lower: {proof}{note}"
        )

    def write(self, folder: Path, *, everything: bool = True) -> WidthOutcome:
        """Write NAME-width.cpcert (if there is a certificate), and if `everything` NAME.safetensors and NAME-width.json.

        Returns the outcome with the paths. Raises OSError when the disk refuses.
        """
        written = self
        if self.proof is not None:
            path = folder / f"{self.instance}-width.cpcert"
            write_file(path, self.proof.content)
            written = replace(written, certificate=path)
        if everything:
            if self.network is not None:
                model = folder / f"{self.instance}.safetensors"
                self.network.save(model)
                written = replace(written, model=model)
            write_json(folder / f"{self.instance}-width.json", written.as_json())
        return written
