"""Certificates of a network of depth ≥ 3: one for each hidden layer whose block has a proof.

The block of a hidden layer is an ordinary problem of depth 2 with float64 data (blocks.py), and its certificate an ordinary
one of this problem. The lower bound of a layer is what its certificate proves, moved from the float64 data to the exact weights
around the layer by the inequality in blocks.py.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from cpcert.certificate.downgrade import certify_in_time, weaker_ending
from cpcert.rounding import round_down
from cpcert.status import Status

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate
    from cpcert.deep.solve import DeepResult, LayerBound


def certified_layers(result: DeepResult, deadline: float | None = None) -> tuple[DeepResult, list[Certificate | None]]:
    """The result with the bounds that the certificates of its blocks prove, and these. An interruption, and a deadline (a
    `time.monotonic()`) that passes, leave the rest as the solver proved it, without certificates."""
    layers: list[LayerBound] = []
    certificates: list[Certificate | None] = []
    notes = result.notes
    for number, bound in enumerate(result.layers):
        found = None
        if bound.result is not None and bound.result.dual is not None and bound.block is not None:
            found, missing = certify_in_time(bound.result, deadline)
            if missing:
                rest = result.layers[number:]
                notes = (*notes, f"for layer {', '.join(str(other.layer) for other in rest)}: {missing}")
                layers += rest
                certificates += [None] * len(rest)
                break
            least = 0.0
            if found is not None and found.lower is not None:
                # What the certificate proves less than the solver counts in the units of the block.
                unit = Fraction(1) if bound.block.last else Fraction(result.problem.lam)
                less = max(Fraction(bound.result.dual.value) - Fraction(found.lower), Fraction(0)) * unit
                least = max(round_down(Fraction(bound.lower) - less), 0.0)
            bound = replace(bound, lower=least)
        layers.append(bound)
        certificates.append(found)
    status = result.status
    if status == Status.OPTIMAL and any(bound.gap > result.requested_gap for bound in layers):
        status, notes = weaker_ending(result.problem, deadline)
    return replace(result, status=status, layers=tuple(layers), notes=notes), certificates
