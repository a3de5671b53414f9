"""The file of a certificate (SPEC.md, "File"): a header in JSON, then arrays, compressed one by one; and the problem in it."""

from __future__ import annotations

import json
import lzma
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np

from cpcert.certificate import check
from cpcert.compiled import njit
from cpcert.problem import Problem

# Arrays of more bytes are compressed each in a thread of its own.
THREADS_FROM = 1 << 17


def write(header: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    """The bytes of a certificate: float arrays and integer arrays by their dtype, compressed."""
    entries, raws = [], []
    for name, values in arrays.items():
        array = np.asarray(values)
        real = array.dtype.kind == "f"
        raws.append(array.astype("<f8").tobytes() if real else varints(array.astype(np.int64).ravel()))
        entries.append({"name": name, "type": "float64" if real else "int", "count": int(array.size)})
    large = max(map(len, raws), default=0) > THREADS_FROM  # liblzma works without Python's lock
    with ThreadPoolExecutor(len(raws) if large else 1) as pool:
        blobs = list(pool.map(_compressed, raws)) if large else list(map(_compressed, raws))
    for entry, blob in zip(entries, blobs, strict=True):
        entry["stored"] = len(blob)
    text = json.dumps({**header, "arrays": entries}, allow_nan=False, ensure_ascii=False).encode()
    return b"".join([check.MAGIC, len(text).to_bytes(8, "little"), text, *blobs])


def _compressed(raw: bytes) -> bytes:
    return lzma.compress(raw, check=lzma.CHECK_CRC32, preset=3)


def as_arrays(arrays: dict[str, Any]) -> dict[str, Any]:
    """Arrays as the checker reads them."""
    _, read = check.parse(write({}, arrays))
    return read


def varints(values: np.ndarray) -> bytes:
    """Signed integers as zigzag, seven bits a byte, lowest first, bit 7 set on all but the last."""
    zigzag = (values << 1 ^ values >> 63).view(np.uint64)
    return bytes(_varints(zigzag))


@njit(cache=True)
def _varints(values):
    size = 0
    for value in values:
        size += 1
        while value >= 128:
            value >>= np.uint64(7)
            size += 1
    raw = np.empty(size, np.uint8)
    at = 0
    for value in values:
        while value >= 128:
            raw[at] = np.uint8(value & np.uint64(127)) | np.uint8(128)
            at += 1
            value >>= np.uint64(7)
        raw[at] = np.uint8(value)
        at += 1
    return raw


def problem_header(problem: Problem) -> dict[str, Any]:
    """The problem's entry of the header."""
    return {
        "loss": problem.loss.name,
        "a_plus": problem.activation.a_plus,
        "a_minus": problem.activation.a_minus,
        "lambda": problem.lam,
        "beta": problem.beta,
        "depth": problem.depth,
        "N": problem.N,
        "n0": problem.n0,
        "m": problem.m,
        "sha256": problem.sha256,
    }


def exact_problem(problem: Problem) -> check.Problem:
    """The problem as the checker sees it: integers over powers of two."""
    return check.Problem(problem_header(problem), as_arrays(problem_arrays(problem)))


def problem_arrays(problem: Problem) -> dict[str, np.ndarray]:
    """The problem's arrays."""
    weights = problem.loss.weights
    more = {} if weights is None else {"weights": np.array(weights)}
    return {"X": problem.X.ravel(), "Y": problem.Y.ravel(), **more}


def rational_text(value: Fraction) -> str:
    """`p` or `p/q` in decimal digits of any number; Python's own conversion refuses long integers."""
    sign = "-" if value < 0 else ""
    denominator = "" if value.denominator == 1 else f"/{_decimal(value.denominator)}"
    return f"{sign}{_decimal(abs(value.numerator))}{denominator}"


def _decimal(value: int) -> str:
    pieces = []
    while value:
        value, piece = divmod(value, 10**check.PIECE)
        pieces.append(f"{piece:0{check.PIECE}}")
    return "".join(reversed(pieces)).lstrip("0") or "0"
