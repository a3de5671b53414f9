"""From a solve result to a certificate: the numbers of SPEC.md, found in floating point, believed only after the check.

The builder uses the checker's own functions for everything exact, so the two cannot disagree on a formula; whatever it
writes is checked once more, from the bytes, before it is returned. The bound of the oracle is raised by the smallest of
`SLACKS` with which the check succeeds: multipliers are rounded to few bits, which costs a little. A tree that fails after
trimming is tried once more as the search left it.
"""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from cpcert import __version__
from cpcert.certificate import check, spatial, trees
from cpcert.frank_wolfe.bounds import DualBound, best_scale
from cpcert.frank_wolfe.interpolation import relations, repair_neurons
from cpcert.frank_wolfe.solve import SolveResult, relative_gap
from cpcert.network import Network
from cpcert.oracle.cells import CellProof
from cpcert.oracle.coordinates import Coordinates, coordinates
from cpcert.oracle.directions import DirectionProof
from cpcert.oracle.ladder import SignedProof
from cpcert.oracle.spatial import SpatialProof
from cpcert.oracle.spectral import SpectralProof, operator_norm
from cpcert.problem import Problem
from cpcert.rounding import round_down, round_up

# Relative amounts by which the bound of the oracle is raised until the check succeeds.
SLACKS = (2.0**-44, 2.0**-38, 2.0**-32, 2.0**-27, 2.0**-22)
# Margins of a positive semidefinite matrix, relative to its diagonal, tried in turn.
MARGINS = (1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8)
# Bits of the entries of a Cholesky factor and of the multipliers of a cell.
FACTOR_BITS, CELL_BITS = 52, 56


@dataclass(frozen=True, eq=False)
class Certificate:
    """A certificate that the checker accepts. content: the file. lower ≤ P* ≤ upper (None: not claimed); gap = relative_gap.

    claim: "minimum" or "infeasible".
    """

    content: bytes
    claim: str
    lower: float | None
    upper: float | None

    @property
    def gap(self) -> float | None:
        """(upper − lower)/|upper|, rounded up; absolute if upper is 0."""
        return relative_gap(self.upper, self.lower)


def certify(result: SolveResult) -> Certificate | None:
    """The certificate of what a result claims; None if it claims nothing that can be certified.

    A side that cannot be certified is left out, so that the certificate claims less rather than nothing.
    """
    problem = result.problem
    arrays: dict[str, Any] = {"X": problem.X.ravel(), "Y": problem.Y.ravel()}
    header: dict[str, Any] = {"created_by": f"cpcert {__version__}", "problem": _problem(problem)}
    if result.infeasibility is not None:
        relation = [[i, rational_text(c)] for i, c in enumerate(result.infeasibility.relation) if c]
        content = write({**header, "claim": "infeasible", "relation": relation}, arrays)
        return Certificate(content, "infeasible", None, None) if _accepted(content) else None
    exact = exact_problem(problem)
    upper, upper_arrays = (None, {}) if result.network is None else _upper(problem, exact, result.network)
    header |= {"claim": "minimum", "upper": upper}
    value = None if upper is None else upper["value"]
    if result.dual is not None:
        content = b""
        for slack, trim in product(SLACKS, (True, False)):
            found = _lower(problem, exact, result.dual, slack, trim)
            if found is None:
                continue
            lower, lower_arrays = found
            before, content = content, write({**header, "lower": lower}, {**arrays, **upper_arrays, **lower_arrays})
            if content != before and _accepted(content):
                return Certificate(content, "minimum", lower["value"], value)
    if upper is None:
        return None
    content = write({**header, "lower": None}, {**arrays, **upper_arrays})
    return Certificate(content, "minimum", None, value) if _accepted(content) else None


def _accepted(content: bytes) -> bool:
    try:
        check.check(content)
    except check.Rejected:
        return False
    return True


def exact_problem(problem: Problem) -> check.Problem:
    """The problem as the checker sees it: integers over powers of two."""
    return check.Problem(_problem(problem), _as_arrays({"X": problem.X.ravel(), "Y": problem.Y.ravel()}))


def _problem(problem: Problem) -> dict[str, Any]:
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


# -- the file ----------------------------------------------------------------------------------------------------------


def write(header: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    """The bytes of a certificate: float arrays and integer arrays by their dtype, compressed."""
    entries, blobs = [], []
    for name, values in arrays.items():
        array = np.asarray(values)
        real = array.dtype.kind == "f"
        raw = array.astype("<f8").tobytes() if real else trees.varints(array.astype(np.int64).ravel())
        blob = lzma.compress(raw, check=lzma.CHECK_CRC32, preset=3)
        kind = "float64" if real else "int"
        entries.append({"name": name, "type": kind, "count": int(array.size), "stored": len(blob)})
        blobs.append(blob)
    text = json.dumps({**header, "arrays": entries}, allow_nan=False, ensure_ascii=False).encode()
    return b"".join([check.MAGIC, len(text).to_bytes(8, "little"), text, *blobs])


def _as_arrays(arrays: dict[str, Any]) -> dict[str, Any]:
    """Arrays as the checker reads them."""
    _, read = check.parse(write({}, arrays))
    return read


# -- the upper side ----------------------------------------------------------------------------------------------------


def _upper(
    problem: Problem, exact: check.Problem, network: Network
) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """The header and the arrays of the upper bound; (None, {}) if it cannot be certified."""
    arrays = {"W1": network.weights[0].ravel(), "W2": network.weights[1].ravel()}
    kinds: list[tuple[str, list[Any], dict[str, np.ndarray]]] = [("network", [], arrays)]
    if problem.loss.name == "interpolate":
        repaired, fixed = _repair(problem)
        kinds.append(("repaired", fixed, {**arrays, **repaired}))
    for kind, fixed, given in kinds:
        try:
            value = round_up(check.network_loss(exact, kind, fixed, _as_arrays(given)))
        except check.Rejected:
            continue
        if math.isfinite(value):
            return {"value": value, "kind": kind, "relations": fixed}, given
    return None, {}


def _repair(problem: Problem) -> tuple[dict[str, np.ndarray], list[Any]]:
    """Neurons W, the approximate inverse B of their features at the points that the relations leave free, and those."""
    known = relations(problem)
    fixed = [[p, [[i, rational_text(c)] for i, c in v.items()]] for p, v in zip(known.pivots, known.basis, strict=True)]
    W, B = repair_neurons(problem, known)
    return {"repair_W": W.ravel(), "repair_B": B.ravel()}, fixed


# -- the lower side ----------------------------------------------------------------------------------------------------


def _lower(
    problem: Problem, exact: check.Problem, dual: DualBound, slack: float, trim: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """The header and the arrays of the lower bound with the oracle's bound raised by `slack`; None if nothing fits.

    trim: leave out of trees what their leaves do not need (trimming.py).
    """
    found = _oracle(problem, dual, slack, trim)
    if found is None:
        return None
    bound, oracle, arrays = found
    two_lam = 2 * Fraction(problem.lam)
    limit = 1e300 if bound == 0.0 else round_down(two_lam / Fraction(bound))
    scale = best_scale(problem, dual.G, limit)
    G, g = check.matrix(dual.G.ravel().tolist(), problem.m, problem.N, "G")
    if problem.loss.name == "cross_entropy":
        G[-1] = [-sum(column) for column in zip(*G[:-1], strict=True)]
    for factor in (1.0, 1.0 - 2.0**-50, 1.0 - 2.0**-40, 0.5):
        # Rounding may have put the scale a little outside the domain.
        try:
            value = round_down(check.dual_value(exact, G, g, Fraction(scale * factor)))
        except check.Rejected:
            continue
        header = {"value": value, "scale": scale * factor, "bound": bound, "oracle": oracle}
        return header, {"G": dual.G.ravel(), **arrays}
    return None


def _oracle(
    problem: Problem, dual: DualBound, slack: float, trim: bool
) -> tuple[float, dict[str, Any], dict[str, np.ndarray]] | None:
    """(bound, oracle, arrays): the bound that the proof is for, a little above the one of the result."""
    proof = dual.proof
    if isinstance(proof, SpectralProof):
        return _spectral(problem, dual.G, proof)
    if isinstance(proof, SpatialProof):
        slack = max(slack, spatial.LEAST_SLACK)
    bound = round_up(Fraction(dual.oracle_bound) * (1 + Fraction(slack)))
    if dual.rung == "plane" and problem.n <= 2:
        return dual.oracle_bound, {"kind": "plane"}, {}
    space = coordinates(problem.X_tilde)
    wrapped = space.points.shape[1] < problem.n
    inner = _inside(space, dual.G, problem.activation.lipschitz, bound) if wrapped else bound
    oracle: dict[str, Any] | None = None
    arrays: dict[str, np.ndarray] = {}
    if dual.rung == "plane":
        oracle = {"kind": "plane"}
    elif isinstance(proof, SignedProof):
        oracle, arrays = _signed(problem, space.points, dual.G, proof, trim)
    elif isinstance(proof, DirectionProof):
        oracle, arrays = _directions(problem, space.points, dual, proof, slack, trim)
    elif isinstance(proof, CellProof):
        oracle, arrays = _cells(problem, space.points, dual.G, proof, slack)
    elif isinstance(proof, SpatialProof):
        oracle, arrays = spatial.cones(proof, dual.units, problem.m > 1)
    if oracle is None:
        return None
    if wrapped:
        oracle = {"kind": "coordinates", "bound": inner, "inner": oracle}
        arrays = {**arrays, "basis": space.basis.ravel(), "coordinates": space.points.ravel()}
    return bound, oracle, arrays


def _inside(space: Coordinates, G: np.ndarray, lipschitz: float, bound: float) -> float:
    """The largest bound in the coordinates from which `bound` follows."""
    rest = float(np.linalg.norm(G, axis=0) @ space.residual) * lipschitz * (1.0 + 1e-9)
    return (bound - rest) / space.stretch * (1.0 - 2.0**-50)


def _spectral(
    problem: Problem, G: np.ndarray, proof: SpectralProof
) -> tuple[float, dict[str, Any], dict[str, np.ndarray]] | None:
    """The inequality of the proof with norms proven anew, in the original coordinates."""
    X, dual_G = problem.X_tilde.T, G
    if problem.loss.name == "cross_entropy":
        G = G.copy()
        G[-1] = -G[:-1].sum(axis=0)
    integers: list[int] = []
    norms: list[float] = []
    # The integers of the checker: a factor is one for the same power of two.
    exact_G = check.matrix(dual_G.ravel().tolist(), len(G), problem.N, "G")
    exact_X = check.matrix(X.ravel().tolist(), problem.N, problem.n, "X")
    if problem.loss.name == "cross_entropy":
        exact_G[0][-1] = [-sum(column) for column in zip(*exact_G[0][:-1], strict=True)]
    bound = _spectral_form(problem, X, G, proof, exact_X, exact_G, integers, norms)
    if bound is None:
        return None
    if problem.loss.name == "cross_entropy":  # the exact last row differs by rounding
        bound = bound * (1.0 + 2.0**-40)
    arrays = {"proof": np.array(integers, dtype=np.int64), "norms": np.array(norms, dtype=np.float64)}
    return bound, {"kind": "spectral"}, arrays


def _spectral_form(
    problem: Problem,
    X: np.ndarray,
    G: np.ndarray,
    proof: SpectralProof,
    exact_X: tuple[check.Matrix, int],
    exact_G: tuple[check.Matrix, int],
    integers: list[int],
    norms: list[float],
) -> float | None:
    sigma = problem.activation
    live = np.any(G != 0.0, axis=0) & np.any(X != 0.0, axis=1)
    if proof.kind == "signs":
        integers.append(2)
        halves = [[[max(sign * v, 0) for v in row] for row in exact_G[0]] for sign in (1, -1)]
        bounds = [
            _spectral_form(problem, X, np.maximum(sign * G, 0.0), part, exact_X, (half, exact_G[1]), integers, norms)
            for sign, part, half in zip((1, -1), proof.parts, halves, strict=True)
        ]
        return None if None in bounds else max(b for b in bounds if b is not None)
    if proof.kind == "triangle" or not live.any():
        integers.append(0)
        total = float(np.linalg.norm(G, axis=0) @ np.linalg.norm(X, axis=1)) * sigma.lipschitz
        return total * (1.0 + 1e-14 * (problem.N + 10))
    assert proof.exponents is not None
    e = proof.exponents[live]
    integers.append(1)
    integers += e.tolist()
    used = [G[:, live] @ X[live]]
    if sigma.kink:
        used += [np.ldexp(G[:, live], -e), np.ldexp(X[live], e[:, np.newaxis])]
    (x, xe), (g, ge) = exact_X, exact_G
    indices = np.flatnonzero(live).tolist()
    least, most = min(e.tolist(), default=0), max(e.tolist(), default=0)
    whole = [[check.dot([row[i] for i in indices], [x[i][k] for i in indices]) for k in range(problem.n)] for row in g]
    exact: list[tuple[check.Matrix, int]] = [(whole, ge + xe)]
    if sigma.kink:
        shifts = list(zip(indices, e.tolist(), strict=True))
        exact.append(([[row[i] << (most - shift) for i, shift in shifts] for row in g], ge - most))
        exact.append(([[v << (shift - least) for v in x[i]] for i, shift in shifts], xe + least))
    values = []
    for A, (rows, exponent) in zip(used, exact, strict=True):
        found = _norm(A, rows, exponent)
        if found is None:
            return None
        values.append(found[0])
        norms.append(found[0])
        integers += found[1]
    mean, half = abs(Fraction(sigma.a_plus) + Fraction(sigma.a_minus)) / 2, abs(Fraction(sigma.kink)) / 2
    product = Fraction(values[1]) * Fraction(values[2]) if sigma.kink else Fraction(0)
    return round_up(mean * Fraction(values[0]) + half * product)


def _norm(A: np.ndarray, rows: check.Matrix, exponent: int) -> tuple[float, list[int]] | None:
    """A float t ≥ ‖A‖ as small as can be proven, and the Cholesky factor that proves it."""
    top = float(np.linalg.norm(A, 2))
    for margin in (0.0, *MARGINS):
        t = top * (1.0 + margin) if margin else operator_norm(A)
        S = check.norm_matrix(rows, exponent, Fraction(t))
        if margin == 0.0 and t > top * (1.0 + 1e-13):
            continue
        factor = cholesky(S)
        if factor is not None:
            return t, factor
    return None


def cholesky(S: check.Matrix) -> list[int] | None:
    """The integers from which the checker accepts S ⪰ 0: the exponent and the lower triangle of a factor; None if none."""
    k = len(S)
    if k == 0:
        return [0]
    bits = max((max(S[i][i], 1)).bit_length() for i in range(k))
    bits += bits % 2
    shift = bits - 2 * FACTOR_BITS
    scale = Fraction(1, 1 << bits)
    floats = np.array([[float(v * scale) for v in row] for row in S])
    if not np.all(np.isfinite(floats)):
        return None
    values, vectors = np.linalg.eigh(0.5 * (floats + floats.T))
    for part in (4.0, 32.0, 256.0):
        margin = part * k * k * 2.0**-53
        root = vectors * np.sqrt(np.clip(values - margin, 0.0, None))
        L = np.asarray(np.linalg.qr(root.T, mode="r")).T
        entries = [[round(math.ldexp(float(v), FACTOR_BITS)) for v in L[i, : i + 1]] for i in range(k)]
        integers = [shift, *(v for row in entries for v in row)]
        if check.semidefinite(S, iter(integers).__next__):
            return integers
    return None


# -- trees, directions, cells --------------------------------------------------------------------------------------------


def _signed(
    problem: Problem, points: np.ndarray, G: np.ndarray, proof: SignedProof, trim: bool
) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """Both trees of a proof for one output."""
    writer = trees.Writer(points, [proof.positive, proof.negative], trim)
    for sign, tree in ((1.0, proof.positive), (-1.0, proof.negative)):
        g = sign * G[0]
        writer.write(tree, problem.activation.kink * g, problem.activation.a_minus * (g @ points))
    return {"kind": "tree", "grid": writer.grid}, writer.arrays()


def _directions(
    problem: Problem, points: np.ndarray, dual: DualBound, proof: DirectionProof, slack: float, trim: bool
) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """The vertices with their trees, the bisections and the normals, for the numbers as they were before scaling."""
    reduced = len(proof.reduction.H) < len(dual.G)
    H = np.ldexp(proof.reduction.H, dual.units[0])
    writer = trees.Writer(points, list(proof.proofs), trim)
    unit = sum(dual.units)
    values = np.ldexp(proof.values, unit) * (1.0 + 0.25 * slack)
    normals = np.ldexp(proof.normals, unit) * (1.0 + 0.5 * slack)
    k = len(H)
    sigma = problem.activation
    for number, (vertex, tree) in enumerate(zip(proof.vertices, proof.proofs, strict=True)):
        if number >= 2 * k:
            writer.append(proof.edges[number])
        weights = vertex @ H
        writer.write(tree, sigma.kink * weights, sigma.a_minus * (weights @ points))
    writer.append([len(proof.splits), *proof.splits.ravel().tolist()])
    order = sorted(range(len(proof.cones)), key=lambda c: tuple(proof.cones[c].tolist()))
    arrays = {**writer.arrays(), "values": values, "normals": normals[order].ravel()}
    if reduced:
        arrays |= {"output_basis": proof.reduction.basis.ravel(), "outputs": H.ravel()}
    return {"kind": "directions", "grid": writer.grid}, arrays


def _exponent(big: np.ndarray, small: np.ndarray) -> int:
    """e with big = small·2**e, up to rounding."""
    return round(math.log2(float(np.abs(big).max()) / float(np.abs(small).max())))


def _cells(
    problem: Problem, points: np.ndarray, G: np.ndarray, proof: CellProof, slack: float
) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """The tree of a cell cover; the multipliers of a leaf are raised a little until their exact matrix is semidefinite."""
    keep = np.flatnonzero(np.any(G != 0.0, axis=0) & np.any(points != 0.0, axis=1))
    assert len(keep) == len(proof.points)
    N, P = len(points), len(keep)
    exponents = np.zeros(N, dtype=np.int64)
    exponents[keep] = trees.row_exponents(points[keep]) - trees.row_exponents(proof.points)
    extra = proof.planes[P:]
    number = np.concatenate([keep, N + np.arange(len(extra))]).astype(int)
    arrays: dict[str, np.ndarray] = {"exponents": exponents, "planes": extra.ravel()}
    given = _as_arrays({**arrays, "G": G.ravel(), "points": points.ravel()})
    exact_points, x = check.matrix(given.pop("points"), N, points.shape[1], "points")
    exact_G, g = check.matrix(given.pop("G"), len(G), N, "G")
    exact = exact_problem(problem)
    cover = check.Cover(exact, check.Space(exact_points, x), exact_G, g, given)
    # ĝ of the proof is ĝ of the checker divided by a power of two.
    scaled = np.ldexp(G[:, keep], exponents[keep])
    unit = _exponent(scaled, proof.G)
    stream: list[int] = []
    nodes = [check.Leaf(cover, [], {}, Fraction(0))]
    leaves = iter(proof.leaves)
    for plane, implied in zip(proof.plane.tolist(), proof.implied, strict=True):
        node = nodes.pop()
        for one in implied:
            entry = [int(number[one.plane]), int(one.side < 0)]
            entry += _multipliers(node.path, number[one.index], one.weight)
            stream += [1, *entry]
            node = check.check_implied(node, check.Stream(iter(entry)))
        if plane >= 0:
            j = int(number[plane])
            stream += [2, j]
            for s in (-1, 1):
                decided = {**node.decided, j: s} if j < N else node.decided
                nodes.append(check.Leaf(cover, [*node.path, (j, s)], decided, node.slack))
            continue
        leaf = next(leaves)
        written = _leaf(node, leaf, number, unit, slack)
        if written is None:
            return None, {}
        stream += [0, *written]
    arrays["proof"] = np.array(stream, dtype=np.int64)
    return {"kind": "cells"}, arrays


def _multipliers(path: list[tuple[int, int]], planes: np.ndarray, weights: np.ndarray) -> list[int]:
    """count, then (gap, μ) of an implied sign: places on the path and multipliers over 2**−IMPLIED_GRID."""
    place = {j: (at, s) for at, (j, s) in enumerate(path)}
    found = []
    for j, weight in zip(planes.tolist(), weights.tolist(), strict=True):
        at, s = place[j]
        mu = round(math.ldexp(s * weight, check.IMPLIED_GRID))
        if mu > 0:
            found.append((at, mu))
    result = [len(found)]
    last = -1
    for at, mu in sorted(found):
        result += [at - last - 1, mu]
        last = at
    return result


def _leaf(node: check.Leaf, leaf: Any, number: np.ndarray, unit: int, slack: float) -> list[int] | None:
    """The integers of a leaf: scale, ρ, constraints, λ, pairs, factor."""
    place = {j: at for at, (j, _) in enumerate(node.path)}
    chosen = [place[int(number[j])] for j in leaf.constraints]
    F = node.forms(chosen)
    order = [int(number[i]) for i in leaf.undecided]
    if order != node.undecided:
        return None
    # Multipliers of the squares: 2**(2·unit) of those of the scaled problem.
    largest = max(leaf.multipliers.square, float(np.abs(leaf.multipliers.linear).max(initial=0.0)))
    largest = max(largest, float(leaf.multipliers.weight.max(initial=0.0)))
    scale = CELL_BITS - math.frexp(largest)[1]
    power = 2.0**scale
    pairs = [
        (int(i), int(j), round(w * power))
        for i, j, w in zip(leaf.multipliers.first, leaf.multipliers.second, leaf.multipliers.weight, strict=True)
        if round(w * power) > 0
    ]
    total = 1.0 + sum(
        float(np.sum(np.square([v / 2.0**node.cover.forest.p for v in node.cover.forest.points[i]]))) for i in order
    )
    for margin in (0.0, *MARGINS):
        raised = margin * leaf.multipliers.square
        if raised * total > 0.5 * slack * leaf.multipliers.square and margin > 0.0:
            break
        square = math.ceil((leaf.multipliers.square + raised * total) * power)
        linear = [math.ceil((value + raised) * power) for value in leaf.multipliers.linear.tolist()]
        S, _ = node.matrix(scale - 2 * unit, square, linear, F, pairs)
        factor = cholesky(S)
        if factor is not None:
            flat: Sequence[int] = [v for pair in pairs for v in pair]
            return [scale - 2 * unit, square, len(chosen), *chosen, *linear, len(pairs), *flat, *factor]
    return None
