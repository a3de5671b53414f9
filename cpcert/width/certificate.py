"""From needed sets of caps (bounds.py) to a certificate of the least width: the numbers of WIDTH.md, believed only after the check.

Everything exact is computed by the checker's own functions, and the whole file is checked before it is returned. A set whose tree
is not found, or not accepted, is left out; what the others prove is claimed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from cpcert import __version__
from cpcert.certificate import check, file, width_check
from cpcert.certificate.file import problem_arrays, problem_header
from cpcert.certificate.trees import Writer
from cpcert.frank_wolfe.bounds import best_scale, needed_oracle_bound
from cpcert.oracle.branch import BranchProof
from cpcert.oracle.coordinates import Coordinates, coordinates
from cpcert.oracle.frame import Frame
from cpcert.oracle.rung import Limits
from cpcert.problem import Problem
from cpcert.rounding import round_down
from cpcert.width.bounds import Needed, WidthBounds, WidthProof
from cpcert.width.caps import Arcs, Cones
from cpcert.width.contacts import GRID, Contacts
from cpcert.width.cover import COVERED, cover
from cpcert.width.hitting import refutation, smallest_hitting_set

# How far above U, relatively, the dual value of a set is aimed, the bound of the oracle being as large as that allows.
AIMS = (1e-12, 1e-10, 1e-8, 1e-6)
# The frame's rounding to integers may add 2^−FRAME of the bound.
FRAME = 36
# Trees must hold with this relative room, for what the file rounds; the base has more.
ROOM, BASE_ROOM = 2.0**-38, 2.0**-30
# Cones of one tree at most, and how many of them a second allows for.
CONES, CONES_PER_SECOND = 300_000, 10_000


@dataclass(frozen=True, eq=False)
class WidthCertificate:
    """A certificate that the checker accepts. content: the file; lower ≤ w(U) ≤ upper (None: not claimed)."""

    content: bytes
    lower: int
    upper: int | None


@dataclass(frozen=True, eq=False)
class _Proof:
    """A needed set as the file has it: by cones, their streams, or by trees, those of each sign."""

    caps: tuple[int, ...]
    entry: dict[str, Any]
    G: np.ndarray
    streams: tuple[np.ndarray, ...] = ()
    trees: tuple[list[BranchProof], ...] = ()


@dataclass(frozen=True, eq=False)
class _Question:
    """What the proofs of all sets share; exact: the problem as the checker sees it."""

    problem: Problem
    exact: width_check.Problem
    space: Coordinates
    U: float
    sites: np.ndarray
    deadline: float


def certify_width(problem: Problem, bounds: WidthBounds, seconds: float = math.inf) -> WidthCertificate | None:
    """The certificate of what bounds.needed and bounds.network prove about w(U), U = bounds.loss.

    Of the sets, those that a refutation of fewer neurons needs; where one cannot be proven in time, the bound of the others. None for
    `interpolate`, or if nothing can be certified.
    """
    if problem.loss.is_constraint:
        return None
    deadline = time.monotonic() + seconds
    space = coordinates(problem.X_tilde)
    arrays: dict[str, Any] = problem_arrays(problem)
    header = {
        "claim": "least_width",
        "created_by": f"cpcert {__version__}",
        "problem": problem_header(problem),
        "loss": bounds.loss,
    }
    exact = width_check.Problem(header["problem"], as_arrays(arrays))
    weights = {"W1": bounds.network.weights[0].ravel(), "W2": bounds.network.weights[1].ravel()}
    try:
        upper = width_check.network_loss(exact, as_arrays(weights))[0] <= Fraction(bounds.loss)
    except width_check.Rejected:
        upper = False
    arrays |= weights if upper else {}
    wrapped = space.points.shape[1] < problem.n
    if wrapped:
        arrays |= {"basis": space.basis.ravel(), "coordinates": space.points.ravel()}
    sites = _sites(bounds, space.points.shape[1])
    question = _Question(problem, exact, space, bounds.loss, sites, deadline)
    proofs: dict[tuple[int, ...], _Proof] = {}
    usable = list(bounds.needed)
    while True:
        sets = [sum(1 << k for k in needed.caps) for needed in usable]
        least = smallest_hitting_set(sets)[0]
        used, stream = refutation(sets, least)
        failed = []
        for place in used:
            needed = usable[place]
            if needed.caps not in proofs:
                proof = _prove(question, needed, bounds.caps)
                if proof is None:
                    failed.append(needed)
                else:
                    proofs[needed.caps] = proof
        if not failed:
            break
        usable = [needed for needed in usable if needed not in failed]
    chosen = [proofs[usable[place].caps] for place in used]
    arrays |= {
        "sites": sites.ravel(),
        "G": np.concatenate([np.zeros(0), *(proof.G.ravel() for proof in chosen)]),
        "hitting": np.array([least, *stream], np.int64),
    }
    header |= {"network": upper, "coordinates": wrapped, "needed": [proof.entry for proof in chosen]}
    forms: Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]
    if isinstance(bounds.caps, Contacts) and chosen:
        division = bounds.caps
        forms = (_written(space, division, chosen, trim) for trim in (True, False))
    else:
        forms = iter([({}, _cones(chosen))])
    for more, columns in forms:
        content = write(header | more, arrays | columns)
        try:
            said = width_check.check(content)
        except width_check.Rejected:
            continue
        return WidthCertificate(content, said["lower"], said["upper"])
    return None


def _cones(chosen: list[_Proof]) -> dict[str, np.ndarray]:
    """The arrays of sets that are proven by cones."""
    columns = zip(*(proof.streams for proof in chosen), strict=True) if chosen else ([], [], [])
    return {
        name: np.concatenate([np.zeros(0, np.int64), *parts])
        for name, parts in zip(("proof", "theta", "mu"), columns, strict=True)
    }


def _written(
    space: Coordinates, caps: Contacts, chosen: list[_Proof], trim: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What stands in the header and the arrays for sets that are proven by trees, and for the tree of the base."""
    pairs = [[tree] for tree in caps.trees] + [trees for proof in chosen for trees in proof.trees]
    writer = Writer(Frame(space, 0, 0), [tree for trees in pairs for tree in trees], trim)
    for trees in pairs:
        for place, tree in enumerate(trees):
            writer.write(tree, same=place > 0)
    return {"base": {"inner": _base_bound(caps), "grid": writer.grid}}, {
        **writer.arrays(),
        "base": caps.base.ravel(),
        "heights": np.ldexp(caps.heights, GRID).astype(np.int64),
    }


def certified_width(
    problem: Problem, bounds: WidthBounds, seconds: float = math.inf
) -> tuple[WidthBounds, WidthCertificate | None]:
    """The bounds that the certificate proves, and the certificate; without one, those of the search, which say so.

    A bound by rank (bounds.py, (3)) is not in the certificate; it stays, and that is said, as it is of `interpolate`, which has none.
    """
    if problem.loss.is_constraint:
        return replace(bounds, note=f"{bounds.note}; not certified, the search alone proves it"), None
    try:
        found = certify_width(problem, bounds, seconds)
    except KeyboardInterrupt:
        found = None
    notes = [bounds.note] if bounds.note else []
    if found is None:
        notes.append("no certificate was written, the bounds are proven by the search alone")
        return replace(bounds, note="; ".join(notes)), None
    lower = bounds.lower
    if found.lower < lower and bounds.proof is WidthProof.RANK:
        notes.append(f"the certificate proves a width of at least {found.lower}, the search alone the bound by rank")
    elif found.lower < lower:
        notes.append(f"the search proved a width of at least {lower}, the certificate proves less")
        lower = found.lower
    proof = bounds.proof if lower else WidthProof.NONE
    return replace(bounds, lower=lower, proof=proof, note="; ".join(notes)), found


def write(header: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    """The bytes of a certificate."""
    content = file.write(header, arrays)
    return width_check.MAGIC + content[len(check.MAGIC) :]


def as_arrays(arrays: dict[str, Any]) -> dict[str, Any]:
    """Arrays as the checker reads them."""
    return width_check.parse(write({}, arrays))[1]


def _sites(bounds: WidthBounds, r: int) -> np.ndarray:
    """The sites as integers (K, r); one cap of all directions without a division."""
    if bounds.caps is None:
        return np.ones((1, r), np.int64)
    return np.ldexp(bounds.caps.sites[:, :r], bounds.caps.fine).astype(np.int64)


def _prove(question: _Question, needed: Needed, caps: Arcs | Cones | Contacts | None) -> _Proof | None:
    """The trees of one needed set; None if there are none."""
    problem, exact, space, U = question.problem, question.exact, question.space, question.U
    flat = needed.G.ravel()
    G, g = width_check.matrix(flat.tolist(), problem.m, problem.N, "G")
    G = problem.loss.exact_dual(G)
    for aim in AIMS:
        bound = needed_oracle_bound(problem, needed.G, U + aim * abs(U))
        if bound == 0.0:
            return None
        scale = best_scale(problem, needed.G, round_down(2 * Fraction(problem.lam) / Fraction(bound)))
        try:
            if width_check.dual_value(exact, G, g, Fraction(scale)) > Fraction(U):
                break
        except width_check.Rejected:
            continue
    else:
        return None
    wrapped = space.points.shape[1] < problem.n
    inner = _inside(problem, space, needed.G, bound) if wrapped else bound
    if inner <= 0.0:
        return None
    entry = {"caps": list(needed.caps), "scale": scale, "bound": bound, "inner": inner}
    if isinstance(caps, Contacts):
        if not _near_base(question, caps, G[0], g, inner):
            return None
        outside = ((1 << caps.count) - 1) & ~sum(1 << k for k in needed.caps)
        trees = caps.trees_in(needed.G, outside, inner * (1.0 - ROOM), Limits(None, question.deadline))
        return None if trees is None else _Proof(needed.caps, entry, needed.G, trees=trees)
    return _by_cones(question, needed, (G, g), entry)


def _base_bound(caps: Contacts) -> float:
    """What the tree of the base is claimed to prove."""
    return math.nextafter(caps.bound * (1.0 + BASE_ROOM), math.inf)


def _near_base(question: _Question, caps: Contacts, G: width_check.Vector, g: int, inner: float) -> bool:
    """Whether the tree of the base bounds the dual point G·2^g in no cap: (7) of docs/mathematics/width.md, exactly."""
    (base,), e = width_check.matrix(caps.base.ravel().tolist(), 1, question.problem.N, "base")
    points, x = _points(question)
    one, other = width_check.power(g), width_check.power(e)
    change = [abs(a * one - b * other) for a, b in zip(G, base, strict=True)]
    moved = sum(c * width_check.norm_up(row, x) for c, row in zip(change, points, strict=True))
    return Fraction(_base_bound(caps)) + question.exact.lipschitz * moved <= Fraction(inner)


def _points(question: _Question) -> tuple[width_check.Matrix, int]:
    """The points x̂_i as the checker sees them."""
    problem, space, exact = question.problem, question.space, question.exact
    if space.points.shape[1] == problem.n:
        return exact.X, exact.x
    points = as_arrays({"points": space.points.ravel()})["points"]
    return width_check.matrix(points, problem.N, space.points.shape[1], "points")


def _by_cones(
    question: _Question, needed: Needed, dual: tuple[width_check.Matrix, int], entry: dict[str, Any]
) -> _Proof | None:
    """The tree of cones of one needed set; None if there is none."""
    problem, exact, space, sites = question.problem, question.exact, question.space, question.sites
    inner = entry["inner"]
    bits = _bits(problem, space.points, needed.G, inner)
    entry |= {"bits": bits}
    try:
        frame = width_check.Frame(exact, width_check.Space(*_points(question)), *dual, Fraction(inner), bits)
    except width_check.Rejected:
        return None
    chosen = np.zeros(len(sites), bool)
    chosen[list(needed.caps)] = True
    numbers = _floats(frame, space.points.shape[1])
    parts = []
    for sign in (1.0, -1.0) if problem.m == 1 else (1.0,):
        left = min(CONES / CONES_PER_SECOND, question.deadline - time.monotonic())
        if left <= 0.0:
            return None
        x_hat, h_hat, L_hat, u_hat = numbers
        ended, *streams = cover(
            x_hat, sign * h_hat, sign * L_hat, u_hat, sites.astype(float), chosen, int(left * CONES_PER_SECOND)
        )
        if ended != COVERED:
            return None
        parts.append(streams)
    proof, theta, mu = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Proof(needed.caps, entry, needed.G, (proof, theta, mu))


def _inside(problem: Problem, space: Coordinates, G: np.ndarray, bound: float) -> float:
    """The largest bound for x̂_i from which `bound` follows for the points themselves."""
    rest = float(np.linalg.norm(G, axis=0) @ space.residual) * problem.activation.lipschitz * (1.0 + 1e-9)
    return (bound - rest) / space.stretch * (1.0 - 2.0**-48)


def _bits(problem: Problem, points: np.ndarray, G: np.ndarray, bound: float) -> list[int]:
    """[p, q] of a frame whose rounding adds about 2^−FRAME of the bound."""
    N, r = points.shape
    m = len(G)
    h = np.linalg.norm(problem.activation.kink * G, axis=0)
    if m == 1:
        return [FRAME + _exponent(N * math.sqrt(r) / bound), 0]
    sizes = np.ldexp(h, np.frexp(np.abs(points).max(axis=1))[1])
    return [
        FRAME + _exponent(float(sizes.sum()) * math.sqrt(r) / bound),
        FRAME + _exponent(N * math.sqrt(r * m) / bound),
    ]


def _exponent(value: float) -> int:
    return math.frexp(value)[1] if 0.0 < value < math.inf else 0


def _floats(frame: width_check.Frame, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The frame's points (n, r), weights (n, m), linear part (m, r) and bound as floats, the bound being 1."""
    unit = max(math.frexp(float(frame.bound))[1], 1)
    points = np.array([[float(v) for v in row] for row in frame.points], float).reshape(-1, r)
    weights = np.array([[float(v) for v in row] for row in frame.weights], float).reshape(-1, frame.m)
    linear = np.array([[float(v) for v in row] for row in frame.linear], float)
    return np.ldexp(points, -unit), weights, np.ldexp(linear, -unit), math.ldexp(float(frame.bound), -unit)
