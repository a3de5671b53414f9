"""The limits of a run of `solve`: until when steps and proofs may go on, and what time a certificate is left.

Of the time limit a share is kept for proofs (`RESERVED`), so that a run that ends in the middle of its steps still proves what it
can; with `certificate_by` proofs leave time for their certificates, which is predicted from their own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from cpcert.parallel import late

# Share of the time limit that is kept for a proof when none has ended yet.
RESERVED = 0.3
# A certificate and its check take about so many times as long as the search for the proof in it (measured: 1.5 to 6), and for each
# output of a proof by cones for several (measured: 16 for three).
CERTIFYING = 4.0


def _now() -> float:
    return time.monotonic()


@dataclass
class RunLimits:
    """Times are those of `time.monotonic()`. seconds: the time limit. nodes: of the oracle (None: any). certificate_by: when the
    certificate is to be there, too (None: no matter).

    certifying: how many times as long as the search for a proof its certificate takes. used: nodes visited so far. proof_seconds: what
    the search for the best proof so far took.
    """

    seconds: float
    nodes: int | None = None
    iterations: int = 1000
    certificate_by: float | None = None
    certifying: float = CERTIFYING
    started: float = field(default_factory=_now)
    used: int = 0
    proof_seconds: float = 0.0

    def passed(self) -> float:
        """Seconds since the run began."""
        return _now() - self.started

    def until(self, share: float) -> float:
        """When this share of the time limit is over."""
        return self.started + share * self.seconds

    @property
    def deadline(self) -> float:
        """When the time is over."""
        return self.until(1.0)

    @property
    def soft_deadline(self) -> float:
        """When what is left is kept for proofs."""
        return self.until(1.0 - RESERVED)

    @property
    def step_deadline(self) -> float:
        """A step may use up half of what is reserved for proofs, not more."""
        return self.until(1.0 - 0.5 * RESERVED)

    def over(self) -> bool:
        """Whether the time is over."""
        return late(self.deadline)

    def nodes_left(self) -> int | None:
        """Nodes that may still be visited (None: any number)."""
        return None if self.nodes is None else max(self.nodes - self.used, 0)

    def at_most(self, nodes: int) -> None:
        """From now on no more than so many nodes."""
        left = self.nodes_left()
        self.nodes = self.used + (nodes if left is None else min(nodes, left))

    def proof_deadline(self, deadline: float) -> float:
        """By when a proof that begins now has to end: by the deadline, and in time for its certificate, or for the certificate of
        the best proof so far."""
        if self.certificate_by is None:
            return deadline
        now = _now()
        own = now + (self.certificate_by - now) / (1.0 + self.certifying)
        return min(deadline, own, self.certificate_by - self.certifying * self.proof_seconds)
