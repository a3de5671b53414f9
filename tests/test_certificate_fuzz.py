"""Malformed files: always an answer, in bounded time, and never an acceptance of what the original does not claim."""

from __future__ import annotations

import json
import lzma
import struct
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from certificates import certificates
from hypothesis import given, settings
from hypothesis import strategies as st
from test_certificate_mutations import joined, parts, rehash, still_true

from cpcert.certificate import check

# Of one small file; the slowest of the originals takes a tenth of a second.
SECONDS = 20.0
WORDS = [
    b"null", b"true", b"-1", b"0", b"1e308", b"1e999", b"NaN", b"[]", b"{}", b'""', b'"\\ud800"', b"9" * 400, b"9" * 5000,
    b"0.5", b'"claim"', b"-0.0", b"[[[[", b"}", b",", b'"\\u0000"', b"18446744073709551616",
]  # fmt: skip


@pytest.fixture(scope="session")
def small():
    """The certificates that are checked fastest, one and more of each oracle."""
    made = certificates()
    return sorted((one for one in made.values()), key=lambda one: len(one.content))[:32]


def packed(integers):
    """Bytes as an `int` array is stored."""
    return lzma.compress(bytes(integers), check=lzma.CHECK_CRC32)


def with_array(one, rng, raw):
    """The certificate with the bytes of one array replaced by `raw`, compressed as it should be."""
    text, blobs = parts(one.content)
    header = json.loads(text)
    entries = header["arrays"]
    k = int(rng.integers(len(entries)))
    before = sum(entry["stored"] for entry in entries[:k])
    blob = packed(raw)
    after = blobs[before + entries[k]["stored"] :]
    entries[k]["stored"] = len(blob)
    if rng.random() < 0.5:
        entries[k]["count"] = int(rng.integers(0, len(raw) + 1))
    return joined(json.dumps(header).encode(), blobs[:before] + blob + after)


def flipped(one, other, rng):
    content = bytearray(one.content)
    for at in rng.integers(len(content), size=rng.integers(1, 6)):
        content[at] ^= 1 << int(rng.integers(8))
    return bytes(content)


def flipped_header(one, other, rng):
    text, blobs = parts(one.content)
    text = bytearray(text)
    for at in rng.integers(len(text), size=rng.integers(1, 4)):
        text[at] = int(rng.choice(np.frombuffer(b'0123456789-+eE.,:"{}[] antruls', np.uint8)))
    return joined(bytes(text), blobs)


def truncated(one, other, rng):
    return one.content[: rng.integers(len(one.content))]


def spliced(one, other, rng):
    a, b = int(rng.integers(len(one.content))), int(rng.integers(len(other.content)))
    return one.content[:a] + other.content[b:]


def block_moved(one, other, rng):
    content = one.content
    a, b = sorted(int(i) for i in rng.integers(len(content), size=2))
    c = int(rng.integers(len(content)))
    return content[:c] + content[a:b] + content[c:] if rng.random() < 0.5 else content[:a] + content[b:]


def header_and_arrays_exchanged(one, other, rng):
    return joined(parts(one.content)[0], parts(other.content)[1])


def random_bytes(one, other, rng):
    tail = rng.bytes(int(rng.integers(200)))
    return [tail, check.MAGIC + tail, check.MAGIC + struct.pack("<Q", len(tail) // 2) + tail][rng.integers(3)]


def words_in_the_header(one, other, rng):
    text, blobs = parts(one.content)
    word = WORDS[rng.integers(len(WORDS))]
    colons = [i for i, c in enumerate(text) if c in b":[,"]
    at = colons[rng.integers(len(colons))] + 1
    end = at + int(rng.integers(0, 12))
    return joined(text[:at] + word + text[end:], blobs)


def deep_header(one, other, rng):
    text, blobs = parts(one.content)
    depth = int(10 ** rng.uniform(1, 5.5))
    deep = b"[" * depth if rng.random() < 0.3 else b"[" * depth + b"]" * depth
    if rng.random() < 0.3:
        deep = b'{"a":' * depth + b"1" + b"}" * depth
    return joined(text.replace(b'"created_by": ', b'"created_by": ' + deep + b', "x": ', 1), blobs)


def random_varints(one, other, rng):
    raw = rng.integers(0, 256, size=rng.integers(0, 300), dtype=np.uint8)
    return with_array(one, rng, raw.tobytes())


def varints_without_end(one, other, rng):
    size = int(10 ** rng.uniform(0, 6))
    return with_array(one, rng, bytes([int(rng.choice([0x80, 0xFF]))]) * size + b"\x01" * int(rng.integers(2)))


def small_varints(one, other, rng):
    """Small integers: they pass for steps of a proof."""
    raw = rng.integers(0, 12, size=rng.integers(0, 2000), dtype=np.uint8)
    return with_array(one, rng, raw.tobytes())


def repeated_varints(one, other, rng):
    """A few small integers again and again: branches without end."""
    raw = rng.integers(0, 12, size=rng.integers(1, 5), dtype=np.uint8).tobytes()
    return with_array(one, rng, raw * int(10 ** rng.uniform(0, 4.5)))


def random_floats(one, other, rng):
    raw = rng.bytes(8 * int(rng.integers(0, 40)))
    return with_array(one, rng, raw)


def bomb(one, other, rng):
    return with_array(one, rng, bytes(int(10 ** rng.uniform(5, 7.3))))


def giant_counts(one, other, rng):
    text, blobs = parts(one.content)
    header = json.loads(text)
    giant = int(rng.choice([2**31, 2**53, 2**63 - 1])) * int(rng.choice([1, -1, 10]))
    if rng.random() < 0.5:
        entry = header["arrays"][rng.integers(len(header["arrays"]))]
        entry[str(rng.choice(["count", "stored"]))] = giant
    else:
        header["problem"][str(rng.choice(["N", "n0", "m", "depth"]))] = giant
    return joined(json.dumps(header).encode(), blobs)


def giant_proof_numbers(one, other, rng):
    raw = bytearray(rng.integers(0, 6, size=50, dtype=np.uint8).tobytes())
    for _ in range(3):
        at = int(rng.integers(len(raw)))
        raw[at:at] = b"\xff" * int(rng.integers(1, 9)) + b"\x01"
    return with_array(one, rng, bytes(raw))


def broken_xz(one, other, rng):
    text, blobs = parts(one.content)
    header = json.loads(text)
    entry = header["arrays"][0]
    other_format = rng.choice([lzma.FORMAT_ALONE, lzma.FORMAT_XZ])
    raw = lzma.decompress(blobs[: entry["stored"]])
    blob = lzma.compress(raw, format=int(other_format)) + bytes(int(rng.integers(0, 5)))
    if rng.random() < 0.3:
        blob = blob + blob
    blobs = blob + blobs[entry["stored"] :]
    entry["stored"] = len(blob)
    return joined(json.dumps(header).encode(), blobs)


MAKERS = [
    flipped, flipped_header, truncated, spliced, block_moved, header_and_arrays_exchanged, random_bytes,
    words_in_the_header, deep_header, random_varints, varints_without_end, small_varints, repeated_varints, random_floats,
    bomb, giant_counts, giant_proof_numbers, broken_xz,
]  # fmt: skip


def answer(one, content):
    """accepted or rejected; anything else, and a false acceptance, fails."""
    started = time.perf_counter()
    try:
        claim = check.check(content)
    except check.Rejected as error:
        assert str(error)
        outcome = "rejected"
    else:
        assert still_true(one, content, claim)
        outcome = "accepted"
    assert time.perf_counter() - started < SECONDS
    return outcome


def fuzz(small, seeds):
    counts = Counter()
    for seed in seeds:
        rng = np.random.default_rng([4, seed])
        one, other = (small[int(i)] for i in rng.integers(len(small), size=2))
        maker = MAKERS[seed % len(MAKERS)]
        content = maker(one, other, rng)
        try:
            outcome = answer(one, content)
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {maker.__name__} of {one.name} and {other.name}") from error
        counts[maker.__name__, outcome] += 1
    return counts


def test_malformed_files(small):
    counts = fuzz(small, range(198))
    assert sum(count for (_, outcome), count in counts.items() if outcome == "rejected") > 165


@pytest.mark.campaign
def test_many_malformed_files(small):
    for key, count in sorted(fuzz(small, range(1000, 11000)).items()):
        print(*key, count)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["float64", "int", "X"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["claim", "created_by", "problem", "upper", "lower", "relation", "arrays", "name"])
HEADERS = st.dictionaries(KEYS, JSON, max_size=8) | st.fixed_dictionaries(
    {
        "claim": st.sampled_from(["minimum", "infeasible"]),
        "created_by": st.text(max_size=3),
        "problem": JSON,
        "upper": JSON,
        "lower": JSON,
        "arrays": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["X", "Y", "G"]) | st.text(max_size=2),
                    "type": st.sampled_from(["float64", "int"]),
                    "count": st.integers(-2, 40),
                    "stored": st.integers(-2, 90),
                }
            ),
            max_size=3,
        ),
    }
)


@settings(max_examples=50)
@given(HEADERS, st.binary(max_size=200))
def test_headers_of_any_kind(header, blobs):
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    with pytest.raises(check.Rejected):
        check.check(joined(text, blobs))


@settings(max_examples=50)
@given(st.binary(max_size=60))
def test_any_bytes(content):
    for whole in (content, check.MAGIC + content):
        with pytest.raises(check.Rejected):
            check.check(whole)


# -- time and memory, in a process of their own ----------------------------------------------------------------------------


def bytes_of(arrays, **changes):
    """A file with these arrays (name, type, count, raw bytes) and a header for the smallest of problems."""
    blobs, entries = b"", []
    for name, kind, count, raw in arrays:
        blob = lzma.compress(raw, preset=0)
        entries.append({"name": name, "type": kind, "count": count, "stored": len(blob)})
        blobs += blob
    header = {
        "claim": "minimum",
        "created_by": "",
        "problem": {},
        "upper": None,
        "lower": None,
        "arrays": entries,
        **changes,
    }
    return joined(json.dumps(header).encode(), blobs)


def many_zeros():
    """A problem of the largest size, all of it 0, with the right hash."""
    n0 = (1 << 23) - 8
    numbers = {
        "loss": "mse",
        "a_plus": 1.0,
        "a_minus": 0.0,
        "lambda": 1.0,
        "beta": 0.0,
        "depth": 2,
        "N": 1,
        "n0": n0,
        "m": 1,
    }
    arrays = {"X": np.zeros(n0), "Y": np.zeros(1)}
    header = {"problem": numbers}
    rehash(header, arrays)
    return bytes_of([(name, "float64", v.size, v.tobytes()) for name, v in arrays.items()], **header)


HEAVY = {
    "zeros as floats": many_zeros,
    "zeros beyond the limit": lambda: bytes_of([("X", "float64", 1 << 24, bytes(1 << 27))]),
    "zeros as integers": lambda: bytes_of([("proof", "int", 1 << 22, bytes(1 << 22))]),
    "one integer without end": lambda: bytes_of([("proof", "int", 1 << 20, b"\xff" * (1 << 23))]),
    "more than announced": lambda: bytes_of([("X", "float64", 1, bytes(1 << 27))]),
    "deep lists": lambda: joined(b'{"arrays": [], "claim": ' + b"[" * (1 << 20), b""),
    "a name that cannot be printed": lambda: bytes_of([("\ud800", "int", 1, b"")]),
}


LONG = pytest.param("zeros as floats", marks=pytest.mark.campaign)


@pytest.mark.parametrize("name", [LONG if name == LONG.values[0] else name for name in HEAVY])
def test_time_and_memory_are_bounded(name, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(HEAVY[name]())
    assert path.stat().st_size < 1 << 22
    program = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({1 << 30}, {1 << 30}))
sys.path.insert(0, {str(check.__file__).rsplit("/", 1)[0]!r})
import check
sys.exit(check.main(sys.argv[1:]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("rejected: ") and "memory ran out" not in done.stdout
    assert done.stderr == ""
