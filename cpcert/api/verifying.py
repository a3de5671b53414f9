"""verify, with few imports: the checkers need nothing but Python."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpcert.certificate.check import Rejected
from cpcert.certificate.reading import Claim, claim_of, read_claim
from cpcert.errors import InputError
from cpcert.parallel import HERE, Workers, at_work


def verify(certificate: Any, X: Any = None, y: Any = None, *, workers: Workers | int = HERE, **problem: Any) -> Claim:
    """What a certificate or a proof about a matrix proves, by the checkers, in exact arithmetic.

    certificate: what `certify` returned, its bytes, the path of NAME.cpcert or of a proof in JSON, or the claim of an outcome of
    `cp_rank`, `rank_sigma` or `bipartite`. X, y, problem: what it has to be about, as `solve` takes them.
    workers: processes that share the check of a long proof, or Workers; the answer does not depend on them.
    Raises Rejected, with the reason, if it proves nothing or is about another problem, and InputError if it cannot be read.
    """
    if X is None and (y is not None or problem):
        raise InputError("X: is missing; give what the certificate has to be about, or neither y nor its keywords")
    wanted = None
    if X is not None:
        from cpcert.api.given import given

        wanted = given(X, y, problem).problem
    content = getattr(certificate, "content", certificate)  # what `certify` returned has its bytes there
    if isinstance(content, bytes):
        with at_work(workers) as crew:
            claim = claim_of(content, crew)
    elif isinstance(certificate, Mapping):
        from cpcert.rank.proofs import as_json

        claim = claim_of(json.dumps(as_json(certificate)).encode())
    elif isinstance(certificate, str | os.PathLike):
        with at_work(workers) as crew:
            claim = read_claim(Path(certificate), crew)
    else:
        kind = type(certificate).__name__
        raise InputError(
            f"certificate: is of type {kind}; give a path, bytes, a certificate or the claim of an outcome"
        )
    if wanted is not None and claim.sha256 != wanted.sha256:
        raise Rejected(f"it is about another problem than {wanted.name}")
    return claim
