"""A certificate checked by several processes: each takes a share of the subtrees (check.py, "shares of a proof").

The verdict is that of the check in one process, for any number of them. What all shares accept, with all their work within the
limit of the file's size, a single check accepts: it does no more than all of them. Anything else is left to a single check, whose
answer counts.
"""

from __future__ import annotations

import json
from typing import Any

from cpcert.certificate import check
from cpcert.parallel import HERE, Workers

# Shorter files are not worth a process; proofs of other kinds are not divided.
LEAST_BYTES = 1 << 16
DIVIDED = ("tree", "directions", "spatial")


def checked(content: bytes, workers: Workers = HERE) -> dict[str, Any]:
    """What `check.check` says of a file, by as many processes as there are workers. Raises check.Rejected as it does."""
    if workers.count > 1 and len(content) >= LEAST_BYTES and kind_of(content) in DIVIDED:
        shares = list(workers.map(share, [(content, number, workers.count) for number in range(workers.count)]))
        claims = [one[0] for one in shares if one is not None]
        work = sum(one[1] for one in shares if one is not None)
        agreed = len(claims) == len(shares) and all(claim == claims[0] for claim in claims)
        if agreed and work <= check.work_of(len(content)):
            return claims[0]
    return check.check(content)


def share(content: bytes, number: int, of: int) -> tuple[dict[str, Any], float] | None:
    """One of the checks: its claim and its work; None if it rejects the file."""
    try:
        return check.check_share(content, number, of)
    except check.Rejected:
        return None


def kind_of(content: bytes) -> str | None:
    """The kind of the oracle's proof, read without care: it decides only who does the work."""
    try:
        oracle = json.loads(content[16 : 16 + int.from_bytes(content[8:16], "little")])["lower"]["oracle"]
        return oracle.get("inner", oracle)["kind"]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
