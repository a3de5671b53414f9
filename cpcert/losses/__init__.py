"""Losses C: value, gradient, convex conjugate, their proven counterparts, and all that depends on which loss it is.

The contract is `Loss` (base.py). A loss is a file with a subclass, and a place in LOSSES.
"""

from __future__ import annotations

import difflib

from cpcert.errors import InputError
from cpcert.losses.base import ConicForm, Loss
from cpcert.losses.cross_entropy import CrossEntropy
from cpcert.losses.interpolate import Interpolate
from cpcert.losses.logistic import Logistic
from cpcert.losses.mse import MeanSquaredError

__all__ = ["LOSSES", "ConicForm", "CrossEntropy", "Interpolate", "Logistic", "Loss", "MeanSquaredError", "loss"]

LOSSES: dict[str, Loss] = {each.name: each for each in (MeanSquaredError(), CrossEntropy(), Logistic(), Interpolate())}


def loss(name: str) -> Loss:
    """The loss called `name`, one of LOSSES. Raises InputError for any other name."""
    if not isinstance(name, str) or name not in LOSSES:
        close = difflib.get_close_matches(str(name), LOSSES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"loss: {name!r} is unknown; use one of {', '.join(LOSSES)}{hint}")
    return LOSSES[name]
