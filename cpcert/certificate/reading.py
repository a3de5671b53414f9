"""Certificates and proofs from files that anyone may have written: one sentence for each that proves nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cpcert.certificate import check, rank_check
from cpcert.errors import InputError


def read_claim(path: Path) -> dict[str, Any]:
    """What a certificate of `solve` (check.py) or a proof about a matrix (rank_check.py) proves, as its checker says it.

    Raises check.Rejected with the reason if it proves nothing, and InputError if the file cannot be read. No more of a
    file is read than its first bytes, if they are those of neither kind.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size >= check.FILE_BYTES:
                raise check.Rejected("the file is too long")
            content = file.read(1 << 12)
            certificate = content.startswith(check.MAGIC)
            if not certificate and not content.lstrip().startswith(b"{"):
                raise check.Rejected("it is neither a certificate of `solve` nor a proof in JSON")
            content += file.read(check.FILE_BYTES - len(content))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except MemoryError:
        raise check.Rejected("memory ran out") from None
    if certificate:
        return check.check(content)
    try:
        return rank_check.check(content)
    except rank_check.Rejected as error:
        raise check.Rejected(str(error)) from None
