"""Certificates and proofs from files that anyone may have written: a claim for each that is accepted, and one sentence for each
that proves nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpcert.certificate import check, deep_check, rank_check
from cpcert.certificate.shares import checked
from cpcert.certificate.stored import Stored
from cpcert.errors import InputError
from cpcert.outcomes import Outcome, Spoken
from cpcert.parallel import HERE, Workers

if TYPE_CHECKING:
    from cpcert.problem import Problem


class ClaimKind(Spoken):
    """What a file can prove, in the words of its checker; `sentence` lacks what the claim is about, and its bounds."""

    MINIMUM = "minimum", "the global minimum of {problem}"
    DEEP_MINIMUM = "deep_minimum", "the global minimum of {problem} (depth {depth})"
    INFEASIBLE = "infeasible", "no network of any width fits the targets of {problem} exactly"
    COMPLETELY_POSITIVE = "completely_positive", "the {matrix} is completely positive"
    NOT_COMPLETELY_POSITIVE = "not_completely_positive", "the {matrix} is not completely positive"
    CP_RANK = "cp_rank", "the cp-rank of the {matrix} is"
    RANK_SIGMA = "rank_sigma", "Rank_σ of the {pair} is"
    NOT_IN_S = "not_in_S", "the {pair} is not in S"
    COPOSITIVE = "copositive", "the {matrix} is {strictly}copositive"
    NOT_COPOSITIVE = "not_copositive", "the {matrix} is not copositive"


MINIMA = (ClaimKind.MINIMUM, ClaimKind.DEEP_MINIMUM)


@dataclass(frozen=True, repr=False)
class Claim(Outcome):
    """What an accepted file proves. said: by its checker. lower, upper: of a minimum or a rank; None: not claimed."""

    kind: ClaimKind
    said: dict[str, Any]
    lower: float | None
    upper: float | None

    @classmethod
    def of(cls, said: dict[str, Any]) -> Claim:
        """The claim in the dictionary that a checker returns."""
        kinds = {kind.value: kind for kind in ClaimKind}
        return cls(kinds[said["kind"]], said, said.get("lower"), said.get("upper"))

    @property
    def sha256(self) -> str | None:
        """Of the problem that the claim is about, if it is about one."""
        return self.said.get("sha256")

    def as_json(self) -> dict[str, Any]:
        """What the checker says."""
        return self.said

    def sentence(self) -> str:
        """What is proven, in a sentence; numbers are whole."""
        order = self.said.get("order")
        about = self.kind.sentence.format(
            problem=f"problem {(self.sha256 or '')[:16]}…",
            depth=self.said.get("depth"),
            matrix=f"matrix of order {order} in the file",
            pair=f"pair of order {order} in the file",
            strictly="strictly " if self.said.get("strictly") else "",
        )
        if self.kind in (ClaimKind.CP_RANK, ClaimKind.RANK_SIGMA):
            return f"{about} at least {self.lower}" + ("" if self.upper is None else f", at most {self.upper}")
        if self.kind not in MINIMA:
            return about
        if self.lower is None:
            return f"{about} is at most {self.upper!r}"
        if self.upper is None:
            return f"{about} is at least {self.lower!r}"
        return f"{about} lies in [{self.lower!r}, {self.upper!r}]"


def read_claim(path: Path, workers: Workers = HERE) -> Claim:
    """What a certificate of `solve` (check.py, deep_check.py) or a proof about a matrix (rank_check.py) proves, as its
    checker says it. workers: for the trees of check.py; the answer does not depend on them.

    Raises check.Rejected with the reason if it proves nothing, and InputError if the file cannot be read. No more of a
    file is read than its first bytes, if they are those of no kind.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size >= check.FILE_BYTES:
                raise check.Rejected("the file is too long")
            content = file.read(1 << 12)
            certificate = content.startswith((check.MAGIC, deep_check.MAGIC))
            if not certificate and not content.lstrip().startswith(b"{"):
                raise check.Rejected("it is neither a certificate of `solve` nor a proof in JSON")
            content += file.read(check.FILE_BYTES - len(content))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except MemoryError:
        raise check.Rejected("memory ran out") from None
    return claim_of(content, workers)


def claim_of(content: bytes, workers: Workers = HERE) -> Claim:
    """`read_claim` of the bytes of a file."""
    if len(content) >= check.FILE_BYTES:
        raise check.Rejected("the file is too long")
    try:
        if content.startswith(deep_check.MAGIC):
            return Claim.of(deep_check.check(content))
        if content.startswith(check.MAGIC):
            return Claim.of(checked(content, workers))
        return Claim.of(rank_check.check(content))
    except (deep_check.Rejected, rank_check.Rejected) as error:
        raise check.Rejected(str(error)) from None


def certified_interval(source: Path | Stored, problem: Problem) -> tuple[float | None, float | None]:
    """(lower, upper) of a certificate that the checker accepts and that is about this problem. Raises InputError."""
    if not isinstance(source, Path | Stored):
        raise InputError(
            f"certificate: is of type {type(source).__name__}; give a path, or what cpcert.certify returned"
        )
    named = source if isinstance(source, Path) else "certificate"
    try:
        claim = read_claim(source) if isinstance(source, Path) else claim_of(source.content)
    except check.Rejected as error:
        raise InputError(f"{named}: the certificate is rejected ({error})") from None
    if claim.kind not in MINIMA or claim.sha256 != problem.sha256:
        raise InputError(f"{named}: is about another problem; give the certificate of this instance")
    return claim.lower, claim.upper
