"""Certificates of least widths that are false, or made to cost much, and one small enough to be read."""

from __future__ import annotations

import copy
from array import array
from collections.abc import Callable
from math import isqrt
from typing import Any

from hostile_files import LARGE, problem_of, written
from kept_certificates import FOLDER

from cpcert.certificate import width_check

MAGIC = width_check.MAGIC
KEPT = {
    name: (FOLDER / f"width-{name}.cpcert").read_bytes()
    for name in ("arcs", "coordinates", "cones", "outputs", "contacts")
}


def floats(*values: float) -> array[float]:
    return array("d", values)


def integers(*values: int) -> array[int]:
    return array("q", values)


class File:
    """A certificate as header and arrays, to be changed and written."""

    def __init__(self, header: dict[str, Any], arrays: dict[str, Any]) -> None:
        self.header, self.arrays = header, arrays

    def content(self) -> bytes:
        return written(self.header, self.arrays, MAGIC)


def kept(name: str) -> File:
    return File(*width_check.parse(KEPT[name]))


def by_hand() -> File:
    """WIDTH.md, "By hand": the point 1, the target 1, one neuron with w > 0."""
    header = {
        "claim": "least_width", "created_by": "hand", "loss": 0.75, "network": True, "coordinates": False,
        "problem": problem_of("mse", (1.0, 0.0), 0.0, (1, 1, 1), floats(1.0), floats(1.0)) | {"lambda": 0.4375},
        "needed": [{"caps": [0], "scale": 1.0, "bound": 0.875, "inner": 0.875, "bits": [4, 0]}],
    }  # fmt: skip
    header["problem"]["sha256"] = "e91f79e60cf28a14e9fdbc9e2cb4a6811878fbd7250e223ea572f9b9891e8018"
    arrays = {
        "X": floats(1.0), "Y": floats(1.0), "W1": floats(0.75), "W2": floats(0.75), "G": floats(1.5), "sites": integers(1, -1),
        "proof": integers(1, 0, 0, 0, 0), "theta": integers(1, 1, 1), "mu": integers(), "hitting": integers(1, 0, 1, 0),
    }  # fmt: skip
    return File(header, arrays)


def by_hand_with_centres() -> File:
    """WIDTH.md, "By hand", the second form: caps about 1 and −1."""
    file = by_hand()
    file.header |= {
        "loss": 0.7, "base": {"inner": 0.75, "grid": [0, 0, 2]},
        "needed": [{"caps": [0], "scale": 0.625, "bound": 1.375, "inner": 1.375}],
    }  # fmt: skip
    del file.arrays["theta"]
    file.arrays |= {
        "sites": integers(1 << 20, -1 << 20), "heights": integers(1 << 19, 1 << 19), "base": floats(0.875),
        "exponents": integers(0), "y": integers(), "rho": integers(9),
        "proof": integers(0, 1, 0, 2, 3, 0, 3, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0),
    }  # fmt: skip
    return file


def two_sites_more() -> File:
    """The same, with a cap around 1 twice: the second is not in S, and what is on both is in A."""
    file = by_hand()
    file.arrays["sites"] = integers(1, -1, 1)
    return file


# -- false claims ------------------------------------------------------------------------------------------------------


def _entry(number: int = 0, **changes: Any) -> Callable[[File], None]:
    def change(file: File) -> None:
        file.header["needed"][number] |= changes

    return change


def _array(name: str, change: Callable[[Any], Any]) -> Callable[[File], None]:
    def changed(file: File) -> None:
        file.arrays[name] = change(file.arrays[name])

    return changed


def _header(**changes: Any) -> Callable[[File], None]:
    return lambda file: file.header.update(changes)


def _put(name: str, at: int, value: Any) -> Callable[[File], None]:
    def changed(file: File) -> None:
        values = copy.copy(file.arrays[name])
        values[at] = value
        file.arrays[name] = values

    return changed


def _without_entry(file: File) -> None:
    file.header["needed"] = file.header["needed"][1:]
    file.arrays["G"] = file.arrays["G"][len(file.arrays["Y"]) :]


def _twice(file: File) -> None:
    """The needed set twice is no packing of two."""
    file.header["needed"] *= 2
    for name in ("G", "proof", "theta"):
        file.arrays[name] = file.arrays[name] * 2
    file.arrays["hitting"] = integers(2, 0, 2, 0, 0)


def _base(**changes: Any) -> Callable[[File], None]:
    def change(file: File) -> None:
        file.header["base"] |= changes

    return change


def _as_centres(file: File) -> None:
    """Caps about centres for several outputs."""
    file.header["base"] = {"inner": 1.0, "grid": [0, 0, 0]}


# (what, file, change, a part of the reason). What is "hand" is by_hand(), and "centres" the same with caps about centres.
FALSE: list[tuple[str, str, Callable[[File], None], str]] = [
    ("loss", "hand", _header(loss=0.9375), "dual value is not larger"),
    ("loss", "arcs", _header(loss=1.0), "dual value is not larger"),
    ("loss", "hand", _header(loss=0.68), "its loss is larger"),
    ("loss", "hand", _header(loss="1"), "not a number"),
    ("network", "hand", _header(network=1), "neither true nor false"),
    ("network", "hand", _put("W2", 0, 0.25), "its loss is larger"),
    ("network", "arcs", _put("W1", 0, 2.0), "its loss is larger"),
    ("network", "hand", _header(network=False), "prove nothing: 'W1', 'W2'"),
    ("coordinates", "hand", _header(coordinates=None), "neither true nor false"),
    ("coordinates", "arcs", _header(coordinates=True), "'basis' is missing"),
    ("coordinates", "coordinates", _put("basis", 0, 0.5), "the bound is too small"),
    ("coordinates", "coordinates", _put("coordinates", 0, 0.5), "the bound is too small"),
    ("coordinates", "coordinates", _array("basis", lambda v: v[:2]), "no basis"),
    ("coordinates", "coordinates", _array("basis", lambda v: v * 9), "no basis"),
    ("needed", "hand", _header(needed={}), "not a list"),
    ("needed", "arcs", _without_entry, "trees"),
    ("caps", "hand", _entry(caps=[]), "list of numbers"),
    ("caps", "hand", _entry(caps=0), "list of numbers"),
    ("caps", "hand", _entry(caps=[True]), "list of numbers"),
    ("caps", "hand", _entry(caps=[0, True]), "list of numbers"),
    ("caps", "hand", _entry(caps=[2]), "not in order, or not there"),
    ("theta", "arcs", _put("theta", 0, 256), "out of its range"),
    ("caps", "hand", _entry(caps=[0, 2]), "not in order, or not there"),
    ("caps", "hand", _entry(caps=[-1]), "not in order, or not there"),
    ("caps", "hand", _entry(caps=[0, 0]), "not in order, or not there"),
    ("caps", "hand", _entry(caps=[1]), "forgotten"),
    ("caps", "arcs", _entry(caps=[1]), "trees"),
    ("caps", "cones", _entry(caps=[2]), "trees"),
    ("caps", "outputs", _entry(caps=[3]), "trees"),
    ("scale", "hand", _entry(scale=1.0000001), "exceeds 2 lambda"),
    ("scale", "hand", _entry(scale=-1.0), "exceeds 2 lambda"),
    ("scale", "hand", _entry(scale=0.5), "dual value is not larger"),
    ("bound", "hand", _entry(bound=0.8, inner=0.8000000001), "the bound is too small"),
    ("bound", "hand", _entry(bound=-1.0, inner=-1.0), "exceeds 2 lambda"),
    ("bound", "coordinates", _entry(inner=100.0), "the bound is too small"),
    ("bound", "arcs", _entry(inner=0.001), "not below the bound"),
    ("bits", "hand", _entry(bits=[0]), "bits are two integers"),
    ("bits", "hand", _entry(bits=[0, 1]), "one output has q = 0"),
    ("bits", "cones", _entry(bits=[2, 0]), "below the error of rounding"),
    ("G", "arcs", _array("G", lambda v: floats(*(2.0 * x for x in v))), "not below the bound"),
    ("G", "outputs", _array("G", lambda v: floats(*(2.0 * x for x in v))), "not below the bound"),
    ("G", "hand", _put("G", 0, 1e-3), "dual value is not larger"),
    ("G", "hand", _array("G", lambda v: v * 2), "wrong number of entries"),
    ("sites", "hand", _put("sites", 0, -2), "trees"),
    ("sites", "hand", _array("sites", lambda v: integers()), "number of entries"),
    ("sites", "arcs", _array("sites", lambda v: v[:-1]), "number of entries"),
    ("sites", "hand", _array("sites", lambda v: v * 2049), "number of entries"),
    ("sites", "arcs", _put("sites", 0, 0), "trees"),
    ("sites", "cones", _array("sites", lambda v: v[-3:] + v[:-3]), "trees"),
    ("proof", "hand", _put("proof", 0, 0), "not below the bound"),
    ("proof", "hand", _put("proof", 0, 2), "names something"),
    ("proof", "hand", _array("proof", lambda v: v[:-1]), "cut off"),
    ("proof", "hand", _array("proof", lambda v: v + v), "goes on"),
    ("proof", "hand", _array("proof", lambda v: integers(1, 1, 0, 0, 0, 0, 0)), "cut off"),
    ("proof", "hand", _array("proof", lambda v: integers(1, 1, -1, 0, 0, 0, 0)), "no such cap"),
    ("proof", "hand", _array("proof", lambda v: integers(1, 1, 1, 0, 0, 0, 0)), "no such cap"),
    ("proof", "hand", _array("proof", lambda v: integers(1, 1, 0, 1, 0, 0, 0)), "names something"),
    ("proof", "hand", _array("proof", lambda v: integers(1, 0, 1, 0, 0, 0)), "forgotten"),
    ("theta", "hand", _put("theta", 0, 0), "theta is 0"),
    ("theta", "hand", _put("theta", 0, 256), "out of its range"),
    ("theta", "hand", _put("theta", 0, -1), "out of its range"),
    ("theta", "hand", _array("theta", lambda v: v[:-1]), "cut off"),
    ("theta", "hand", _array("theta", lambda v: v * 2), "goes on"),
    ("mu", "hand", _array("mu", lambda v: integers(1)), "goes on"),
    ("mu", "cones", _array("mu", lambda v: integers(*(-x - 1 for x in v))), "a multiplier is negative"),
    ("mu", "cones", _array("mu", lambda v: integers(*(0 for x in v))), "not below the bound"),
    ("mu", "cones", _array("mu", lambda v: integers(*(x // 2 for x in v))), "not below the bound"),
    ("mu", "outputs", _array("mu", lambda v: integers(*(x // 4 for x in v))), "not below the bound"),
    ("hitting", "hand", _put("hitting", 0, 2), "too few sets"),
    ("hitting", "arcs", _put("hitting", 0, 5), "too few sets"),
    ("hitting", "hand", _put("hitting", 0, -1), "a number is negative"),
    ("hitting", "hand", _put("hitting", 2, 0), "without a set"),
    ("hitting", "hand", _put("hitting", 3, 1), "no such set"),
    ("hitting", "hand", _put("hitting", 3, -1), "no such set"),
    ("hitting", "hand", _array("hitting", lambda v: v + v), "goes on"),
    ("hitting", "hand", _twice, "not disjoint"),
    ("base", "centres", _base(inner=0.6), "a node called empty is not"),
    ("base", "centres", _base(inner=-1.0), "a bound is negative"),
    ("base", "centres", _base(inner=0.76), "too far from the base"),
    ("base", "centres", _base(grid=[0, 0]), "bad grid"),
    ("base", "centres", _base(grid=[0, 0, -1]), "bad grid"),
    ("base", "centres", _base(grid=[0, 0, 53]), "bad grid"),
    ("base", "centres", _header(base=0.75), "is not an object"),
    ("base", "centres", _base(more=0), "no others"),
    ("base", "centres", _put("base", 0, 0.874), "too far from the base"),
    ("base", "centres", _put("base", 0, 1.0), "a node called empty is not"),
    ("base", "outputs", _as_centres, "is for one output"),
    ("base", "contacts", _put("base", 0, 9.0), "tree"),
    ("exponents", "centres", _array("exponents", lambda v: integers(0, 0)), "one exponent a point"),
    ("exponents", "centres", _put("exponents", 0, 2201), "an exponent is too large"),
    ("rho", "centres", _put("rho", 0, 8), "a node called empty is not"),
    ("rho", "centres", _put("rho", 0, -9), "a negative multiplier"),
    ("heights", "centres", _put("heights", 0, 0), "a cap is empty"),
    ("heights", "centres", _put("heights", 0, -1), "a cap is empty"),
    ("heights", "centres", _put("heights", 1, 1 << 20), "a cap is empty"),
    ("heights", "centres", _array("heights", lambda v: v[:1]), "one for each cap"),
    ("heights", "centres", _put("heights", 0, 730_000), "a node called empty is not"),
    ("heights", "contacts", _put("heights", 0, 1), "two caps are not disjoint"),
    ("heights", "contacts", _array("heights", lambda v: integers(*(1 << 19 for _ in v))), "two caps are not disjoint"),
    ("sites", "centres", _put("sites", 1, 1 << 20), "two caps are not disjoint"),
    ("sites", "centres", _put("sites", 1, 1 << 41), "too long"),
    ("sites", "contacts", _array("sites", lambda v: v[-3:] + v[:-3]), "tree"),
    ("scale", "centres", _entry(scale=0.64), "exceeds 2 lambda"),
    ("bound", "centres", _entry(inner=1.37), "too far from the base"),
    ("bits", "centres", _entry(bits=[0, 0]), "and no others"),
    ("caps", "centres", _entry(caps=[1]), "below the bound"),
    ("caps", "contacts", _entry(caps=[2]), "tree"),
    ("G", "contacts", _array("G", lambda v: v[::-1]), "not larger"),
    ("proof", "centres", _put("proof", 7, 2), "a node called empty is not"),
    ("proof", "centres", _put("proof", 7, 0), "a node called empty is not"),
    ("proof", "centres", _put("proof", 11, 5), "unknown step"),
    ("proof", "centres", _array("proof", lambda v: v + integers(0)), "goes on"),
    ("claim", "hand", _header(claim="minimum"), "is unknown"),
    ("claim", "hand", _header(created_by=1), "not a text"),
    ("claim", "hand", _header(more=1), "and no others"),
]  # fmt: skip


def false_files() -> list[tuple[str, bytes, str]]:
    """(what was changed, the file, a part of the reason) for each of FALSE; and the caps that touch."""
    found = []
    for what, name, change, reason in FALSE:
        own = {"hand": by_hand, "centres": by_hand_with_centres}
        file = own[name]() if name in own else kept(name)
        change(file)
        found.append((f"{what} of {name}", file.content(), reason))
    return [*found, ("a cap outside that touches", two_sites_more().content(), "forgotten")]


# -- files that are made to cost much ----------------------------------------------------------------------------------


def _problem(N: int, n: int, m: int = 1, value: float = 1.0) -> tuple[dict[str, Any], dict[str, Any]]:
    X, Y = floats(*[value, -value, 0.5][: min(3, N * n)]) * (N * n // 3 + 1), floats(0.0) * (N * m)
    X = X[: N * n]
    header = {
        "claim": "least_width", "created_by": "", "loss": -1.0, "network": False, "coordinates": False,
        "problem": problem_of("mse", (1.0, 0.0), 0.0, (N, n, m), X, Y), "needed": [],
    }  # fmt: skip
    return header, {"X": X, "Y": Y}


def costly(
    N: int, n: int, m: int, proof: array[int], *, sets: int = 1, sites: int = 2, bits: int = 8, G: float = 1e-9,
    theta: int = 0, more: Any = None,
) -> bytes:  # fmt: skip
    header, arrays = _problem(N, n, m)
    entry = {"caps": [0], "scale": 1.0, "bound": 2.0, "inner": 2.0, "bits": [bits, bits if m > 1 else 0]}
    header["needed"] = [entry] * sets
    arrays |= {
        "G": floats(G) * (N * m * sets), "sites": integers(1) * (n * sites), "proof": proof, "theta": integers(1) * theta,
        "mu": integers(1) * theta, "hitting": integers(0),
    }  # fmt: skip
    arrays |= more or {}
    return written(header, arrays, MAGIC)


def costly_trees(
    N: int, n: int, proof: array[int], *, caps: int = 1, sets: int = 1, exponent: int = 0, G: float = 1e-9
) -> bytes:
    """The second form: caps about the axes and between them."""
    header, arrays = _problem(N, n, 1)
    entry = {"caps": [0], "scale": 1.0, "bound": 2.0, "inner": 2.0}
    header |= {"needed": [entry] * sets, "base": {"inner": 1.0, "grid": [8, 8, 8]}}
    tilts = [(k << 37) // caps for k in range(caps)]
    sites = [entry for tilt in tilts for entry in (1 << 38, tilt, *[0] * (n - 2))]
    arrays |= {
        "G": floats(G) * (N * sets), "base": floats(G) * N, "sites": integers(*sites),
        "heights": integers(*(isqrt((1 << 76) + tilt**2) - 1 for tilt in tilts)), "exponents": integers(exponent) * N,
        "proof": proof, "hitting": integers(0),
        **{name: integers(value) * len(proof) for name, value in (("y", 1 << 60), ("rho", 1), ("mu", 1))},
    }  # fmt: skip
    return written(header, arrays, MAGIC)


def hostile_files() -> dict[str, bytes]:
    """A file for each step that may cost much."""
    edges = {2: 1, 3: 3, 8: 28}
    return {
        # Always the first edge: cones that get thin, to the limit of midpoints.
        "thin": costly(30, 2, 1, integers(2) * 64, more={}),
        "many_points": costly(60_000, 2, 1, integers(2) * 60),
        "many_sites": costly(3, 2, 1, integers(2) * 60, sites=4096),
        "wide": costly(2000, 8, 1, integers(*(2 + k % edges[8] for k in range(400)))),
        "many_outputs": costly(300, 3, 60, integers(0) * 8, theta=24),
        "long_bits": costly(2000, 2, 1, integers(2) * 60, bits=4000),
        "many_sets": costly(200, 2, 1, integers(0) * 8 * 300, sets=300, theta=16 * 300),
        "listed": costly(40, 2, 1, integers(1, 3000, *[0, 0] * 3000) * 8, sites=4096, theta=10**5),
        "hitting": costly(
            1, 1, 1, integers(0) * 4, theta=4, sites=4096,
            more={"hitting": integers(*([4097] + [1, 0] * 3000))},
        ),
        # Bounds, tightenings and branchings without end, many caps, long integers.
        "bounds": costly_trees(20_000, 3, integers(0, *[1, 0] * 20_000)),
        "tightenings": costly_trees(3000, 3, integers(0, 1, 0, *[2, 0, 0] * 30_000)),
        "branchings": costly_trees(2000, 3, integers(0, *(v for k in range(2000) for v in (4, 2 * k)))),
        "many_caps": costly_trees(60, 2, integers(0, 1, 0, 0, *[0, 1, 0, 0] * 2000), caps=1000),
        "many_sets_in_caps": costly_trees(500, 3, integers(*[0, 1, 0, 0] * 2, *[0, *[1, 0, 0] * 29] * 400), caps=30, sets=200),
        "disjoint_caps": costly_trees(3, 2, integers(0), caps=4096),
        "far_exponents": costly_trees(2000, 3, integers(0, *[1, 0] * 20_000), exponent=2000),
        "large": costly(3, 1, 1, integers(0) * 4, theta=4, more={"sites": integers(*LARGE[:2])}),
    }  # fmt: skip
