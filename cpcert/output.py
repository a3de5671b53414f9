"""Files and folders that results are written to."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from cpcert.errors import InputError


def prepare_folder(folder: Path | None, option: str = "--out", instead: str = "--out FOLDER") -> None:
    """Make `folder` (None: the current one) and see that files can be written there: better before the work than after.

    Raises InputError: about `option`, or, for the current folder, which nobody named, with what to give `instead`.
    """
    where = Path() if folder is None else folder
    try:
        where.mkdir(parents=True, exist_ok=True)
        probe = where / f".cpcert-{os.getpid()}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        if folder is None:
            raise InputError(f"cannot write into the current folder ({reason}); give {instead}") from None
        raise InputError(
            f"{option}: cannot write into {folder} ({reason}); give a folder that can be written"
        ) from None


def write_file(path: Path, content: bytes) -> None:
    """Write a file that appears complete or not at all. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, written: dict[str, Any]) -> None:
    """Write a JSON object, indented, that appears complete or not at all. Raises OSError."""
    write_file(path, (json.dumps(written, indent=2, allow_nan=False) + "\n").encode())


def csv_bytes(columns: dict[str, list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()
