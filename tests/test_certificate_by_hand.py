"""The certificate that SPEC.md works out by hand, written from that page by what the page says of files."""

import hashlib
import json
import lzma
import re
import struct
import textwrap
from pathlib import Path

import pytest

from cpcert.certificate import check

SPEC = Path(check.__file__).with_name("SPEC.md").read_text(encoding="utf-8")


def blocks():
    """The indented blocks of the section: the header, the arrays, the line that is hashed."""
    section = SPEC.split("\n## By hand\n")[1].split("\n## ")[0]
    indented = re.findall(r"(?:^    .*\n)+", section, flags=re.MULTILINE)
    return [textwrap.dedent(block).rstrip("\n") for block in indented]


def written(header, arrays):
    """The file: eight bytes, the length of the header, the header, the arrays."""
    entries, streams = [], []
    for line in arrays.splitlines():
        name, kind, *numbers = line.split()
        if kind == "float64":
            raw = struct.pack(f"<{len(numbers)}d", *map(float, numbers))
        else:
            raw = bytes(2 * int(v) for v in numbers)  # small numbers that are not negative
        streams.append(lzma.compress(raw))
        entries.append({"name": name, "type": kind, "count": len(numbers), "stored": len(streams[-1])})
    text = json.dumps({**header, "arrays": entries}).encode()
    return b"cpcert\0\1" + struct.pack("<Q", len(text)) + text + b"".join(streams)


def test_the_certificate_by_hand():
    header, arrays, hashed = blocks()
    header = json.loads(header)
    digest = header["problem"]["sha256"]
    assert hashlib.sha256(hashed.encode() + b"\n" + struct.pack("<3d", 3, 4, 126)).hexdigest() == digest
    claim = check.check(written(header, arrays))
    assert claim == {"kind": "minimum", "sha256": digest, "lower": 251.0, "upper": 251.0}


@pytest.mark.parametrize(
    ("side", "name", "value", "reason"),
    [
        ("upper", "value", 250.5, "loss is larger"),
        ("lower", "value", 251.5, "dual value is smaller"),
        ("lower", "scale", 2.5, "exceeds 2 lambda"),
        ("lower", "scale", 1.5, "dual value is smaller"),
        ("lower", "bound", 4.5, "triangle inequality gives more"),
    ],
)
def test_no_number_of_it_can_be_better(side, name, value, reason):
    header, arrays, _ = blocks()
    header = json.loads(header)
    header[side][name] = value
    with pytest.raises(check.Rejected, match=reason):
        check.check(written(header, arrays))
