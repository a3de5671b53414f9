"""The checker of cpcert certificates: one file, the standard library, exact arithmetic. SPEC.md says what it checks.

    python check.py FILE          prints the claim; exit code 0 accepted, 1 rejected, 2 the file cannot be read

Every float64 is a dyadic rational, so all of this is computed with Python's integers; roots are rounded to the safe side, and
logarithms are enclosed between two rationals. Nothing is taken from the file but numbers: whatever is missing,
superfluous, not finite, too large or not proven raises `Rejected`. This file imports nothing of cpcert and can be copied.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import re
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from copy import copy
from fractions import Fraction
from functools import cached_property, cmp_to_key
from itertools import chain, compress, islice, product, repeat, zip_longest
from math import isqrt
from operator import add, mul, sub
from pathlib import Path
from struct import Struct
from typing import Any

MAGIC = b"cpcert\x00\x01"
# Limits: a file beyond them is rejected before its numbers are touched.
FILE_BYTES, HEADER_BYTES, FLOAT_BYTES, INT_BYTES, MEMORY_BYTES = 1 << 29, 1 << 26, 1 << 26, 1 << 29, 1 << 27
ARRAYS, EXPONENT, DIGITS, HEADER_DIGITS = 64, 1100, 100_000, 400
# What a file of s bytes may cost (SPEC.md, "Limits"): WORK + WORK_RATE·s² units of about a nanosecond, and
# MEMORY + MEMORY_RATE·s bytes, up to MEMORY_MOST.
WORK, WORK_RATE = 10**10, 8
MEMORY, MEMORY_RATE, MEMORY_MOST = 1 << 26, 1 << 13, 1 << 33
# Steps of a tree are paid for together, as soon as so much is due.
CHUNK = 10**6
# Open nodes of a tree times the numbers that each of them holds; vertices of the first cone of a cover of directions.
OPEN, RANK = 1 << 24, 12
# Python may be told to refuse decimal integers from 640 digits on.
PIECE = 600
# Further bits of a quotient by a weight.
QUOTIENT = 120

Vector = list[int]
Matrix = list[list[int]]


class Rejected(Exception):
    """The certificate proves nothing; the message says why."""


def require(condition: bool, reason: str) -> None:
    """Raise Rejected(reason) unless the condition holds."""
    if not condition:
        raise Rejected(reason)


# -- the budget (SPEC.md, "Limits") ------------------------------------------------------------------------------------


class Budget:
    """What may still be spent: units of work, bytes of memory."""

    def __init__(self, work: float, memory: float) -> None:
        self.work, self.memory = work, memory


# Functions that are called from elsewhere may take what they like.
WITHOUT_END = Budget(math.inf, math.inf)
BUDGET: ContextVar[Budget] = ContextVar("budget", default=WITHOUT_END)


def spend(work: float, memory: float = 0) -> None:
    """Take a step's cost out of the budget, before the step; what is given back counts as negative."""
    budget = BUDGET.get()
    budget.work -= work
    budget.memory -= memory
    require(budget.work >= 0 and budget.memory >= 0, "the proof takes more time or memory than a file of its size may")


def multiplications(count: int, a: int, b: int) -> int:
    """The work of so many products of integers with a and b bits, sums included."""
    return count * (64 + (a * b >> 10))


def storage(count: int, bits: int) -> int:
    """The memory of so many integers in a list."""
    return count * (40 + bits // 7)


def width(rows: Iterable[Iterable[int]]) -> int:
    """The bits of the largest entry."""
    return max(map(int.bit_length, chain.from_iterable(rows)), default=0)


# -- shares of a proof -------------------------------------------------------------------------------------------------

# Parts of a share, about: the more, the more evenly the work is divided.
PARTS = 16


class Share:
    """The parts of a proof that are looked into by one of `of` checks of the same file; `of` = 1: all of it.

    A part is a subtree. What lies above the parts all checks look into, so that nothing is left out by all of them.
    """

    def __init__(self, number: int, of: int) -> None:
        self.number, self.of = number, of
        self.loads = [0] * of

    def left_out(self, nodes: Iterable[tuple[int, Vector]], size: int) -> dict[int, Vector]:
        """The parts of a tree that other checks look into: the number of the first node → the counts of the part.

        nodes: of each, depth first, how many children it has and its counts, the first of which is 1; size: of the whole proof.
        """
        most = size // (PARTS * self.of)
        others = {}
        for first, counts in sorted(subtrees(nodes, most).items(), key=lambda item: (-sum(item[1]), item[0])):
            owner = self.loads.index(min(self.loads))
            self.loads[owner] += sum(counts)
            if owner != self.number:
                others[first] = counts
        return others


def subtrees(nodes: Iterable[tuple[int, Vector]], most: int) -> dict[int, Vector]:
    """The largest subtrees with at most so many counts: the number of the first node → the sums of the counts."""
    found: dict[int, Vector] = {}
    # Open nodes: number, sums so far, children to come, the small ones among the subtrees of the others.
    path: list[tuple[int, Vector, list[int], list[tuple[int, Vector]]]] = []
    for number, (children, counts) in enumerate(nodes):
        path.append((number, counts, [children], []))
        while path and not path[-1][2][0]:
            first, sums, _, below = path.pop()
            small = sum(sums) <= most
            if not small:
                found.update(below)
            elif not path:
                found[first] = sums
            if path:
                _, above, rest, siblings = path[-1]
                above[:] = [a + b for a, b in zip(above, sums, strict=True)]
                rest[0] -= 1
                if small:
                    siblings.append((first, sums))
    return found


WHOLE = Share(0, 1)
SHARE: ContextVar[Share] = ContextVar("share", default=WHOLE)


# -- the container (SPEC.md, "File") -----------------------------------------------------------------------------------


def parse(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the arrays of a certificate: array("d") for float64, array("q") for integers."""
    require(content[:8] == MAGIC, "this is not a cpcert certificate of version 1")
    require(len(content) < FILE_BYTES, "the file is too long")
    size = int.from_bytes(content[8:16], "little")
    require(len(content) >= 16 and size <= min(HEADER_BYTES, len(content) - 16), "the header is cut off or too long")
    try:
        header = json.loads(
            content[16 : 16 + size].decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_short_integer,
        )
    except (ValueError, RecursionError) as error:
        raise Rejected(f"the header is not valid JSON: {error}") from None
    require(isinstance(header, dict) and isinstance(header.get("arrays"), list), "the header has no list of arrays")
    require(len(header["arrays"]) <= ARRAYS, "too many arrays")
    arrays: dict[str, Any] = {}
    at = 16 + size
    room = {"float64": FLOAT_BYTES, "int": INT_BYTES}
    for entry in header.pop("arrays"):
        name, kind, count, stored = _fields(entry, ("name", "type", "count", "stored"), "an array")
        require(isinstance(name, str) and name not in arrays, f"two arrays are called {_shown(name)}")
        name, shown = str(name), _shown(name)
        require(isinstance(kind, str) and kind in room, f"array {shown}: the type {_shown(kind)} is unknown")
        require(_is_int(count) and _is_int(stored) and 0 <= stored <= len(content) - at, f"array {shown}: is cut off")
        require(0 <= 8 * count <= room[kind], f"array {shown}: too large")
        spend(64 * count, 20 * count)
        raw = _decompress(content[at : at + stored], (8 if kind == "float64" else 10) * count, shown)
        spend(64 * len(raw))
        arrays[name] = _floats(raw, count, shown) if kind == "float64" else _integers(raw, count, shown)
        at += stored
        room[kind] -= 8 * count
    require(at == len(content), "there are bytes after the last array")
    return header, arrays


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is given twice")
    return result


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


def _short_integer(text: str) -> int:
    """Python may be told to convert integers of any length, which takes long."""
    if len(text) > HEADER_DIGITS:
        raise ValueError("an integer is too long")
    return int(text)


def _shown(value: Any) -> str:
    """A value of the header for a message: of a text the beginning, else only what it is."""
    return ascii(value[:60]) if isinstance(value, str) else f"({type(value).__name__})"


def _decompress(data: bytes, most: int, name: str) -> bytes:
    try:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_BYTES)
        raw = stream.decompress(data, most + 1)
    except lzma.LZMAError as error:
        raise Rejected(f"array {name}: cannot be decompressed ({error})") from None
    require(len(raw) <= most and stream.eof and not stream.unused_data, f"array {name}: has the wrong length")
    return raw


def _floats(raw: bytes, count: int, name: str) -> array[float]:
    require(len(raw) == 8 * count, f"array {name}: has the wrong length")
    values = array("d")
    values.frombytes(raw)
    if sys.byteorder == "big":
        values.byteswap()
    require(all(map(math.isfinite, values)), f"array {name}: holds NaN or infinity")
    return values


def _integers(raw: bytes, count: int, name: str) -> array[int]:
    """Signed integers of 64 bits: zigzag, then seven bits a byte, the lowest first, bit 7 set on all but the last."""
    values = array("q")
    append = values.append
    value = shift = 0
    try:
        for byte in raw:
            if byte < 128:
                value |= byte << shift
                append((value >> 1) ^ -(value & 1))
                value = shift = 0
            else:
                value |= (byte & 127) << shift
                shift += 7
                if shift == 70:
                    raise OverflowError
    except OverflowError:
        raise Rejected(f"array {name}: an integer has more than 64 bits") from None
    require(shift == 0 and len(values) == count, f"array {name}: has the wrong length")
    return values


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fields(value: Any, names: Sequence[str], what: str) -> list[Any]:
    """The values of a JSON object that has exactly these keys."""
    require(isinstance(value, dict), f"{what}: is not an object")
    require(set(value) == set(names), f"{what}: must have the keys {', '.join(names)} and no others")
    return [value[name] for name in names]


def _number(value: Any, what: str) -> float:
    """A JSON number as the float64 next to it."""
    require(isinstance(value, (int, float)) and not isinstance(value, bool), f"{what}: is not a number")
    try:
        result = float(value)
    except OverflowError:
        raise Rejected(f"{what}: is too large") from None
    require(math.isfinite(result), f"{what}: is too large")
    return result


# -- exact numbers -----------------------------------------------------------------------------------------------------


def dyadic(values: Sequence[float]) -> tuple[Vector, int]:
    """(integers, e) with values[i] == integers[i]·2**e exactly."""
    e = max((value.as_integer_ratio()[1].bit_length() - 1 for value in values), default=0)
    largest = max(max(values), -min(values)) if values else 0.0
    bits = math.frexp(largest)[1] + e if largest else 0
    spend(1000 * len(values), 16 * len(values) + storage(len(values) - values.count(0.0), bits))
    ratios = map(float.as_integer_ratio, values)
    return [num << (e + 1 - den.bit_length()) for num, den in ratios], -e


def matrix(values: Sequence[float], rows: int, columns: int, what: str) -> tuple[Matrix, int]:
    """A row-major array as rows of integers over one power of two."""
    require(len(values) == rows * columns, f"{what}: has {len(values)} entries, not {rows} x {columns}")
    flat, e = dyadic(values)
    spend(0, 64 * rows + 8 * len(values))
    return [flat[i * columns : (i + 1) * columns] for i in range(rows)], e


def power(e: int) -> Fraction:
    """2**e."""
    return Fraction(1 << e) if e >= 0 else Fraction(1, 1 << -e)


def shifted(value: int, e: int) -> int:
    """⌊value·2**e⌋."""
    return value << e if e >= 0 else value >> -e


def dot(a: Sequence[int], b: Sequence[int]) -> int:
    """The inner product."""
    return sum(map(mul, a, b))


def root_up(value: int) -> int:
    """⌈√value⌉."""
    root = isqrt(value)
    return root + (root * root != value)


def norm_up(vector: Sequence[int], e: int, bits: int = 80) -> Fraction:
    """A rational ≥ the norm of vector·2**e, by at most one unit in `bits` bits."""
    size = width([vector])
    spend(5000 + multiplications(len(vector) + 8, size, size))
    square = dot(vector, vector)
    more = max(0, bits - square.bit_length() // 2)
    return root_up(square << 2 * more) * power(e - more)


def fraction_root_up(value: Fraction, bits: int = 80) -> Fraction:
    """A rational ≥ √value."""
    more = max(0, bits - (value.numerator.bit_length() - value.denominator.bit_length()) // 2)
    return root_up(-((-value.numerator << 2 * more) // value.denominator)) * power(-more)


def at_most(square: Fraction, bound: Fraction) -> bool:
    """√square ≤ bound."""
    return bound >= 0 and square <= bound * bound


def packed(row: Sequence[int], size: int) -> int:
    """Σ row_k 2**(8·size·k): sums of such integers add all entries at once."""
    middle = 1 << (8 * size - 1)
    lanes = b"".join((v + middle).to_bytes(size, "little") for v in row)
    return int.from_bytes(lanes, "little") - middle * _ones(len(row), size)


def unpacked(value: int, count: int, size: int) -> Vector:
    """The entries of a packed row, each below 2**(8·size − 1) in size."""
    middle = 1 << (8 * size - 1)
    raw = (value + middle * _ones(count, size)).to_bytes(size * count, "little")
    return [int.from_bytes(raw[d : d + size], "little") - middle for d in range(0, size * count, size)]


def _ones(count: int, size: int) -> int:
    return int.from_bytes((b"\x01" + bytes(size - 1)) * count, "little")


# Bits of the integers that hold a block of inner products, and the number of rows from which these pay.
LANES, ROWS = 1 << 13, 64


def products(rows: Matrix) -> Iterator[tuple[int, int, Vector]]:
    """(i, j, [a_i·a_j, a_i·a_{j+1}, …]), up to a_i·a_i: all inner products of rows; entries that one of two has not are 0.

    Of many rows in blocks, a multiplication by a_ik for all rows j of one: Σ_k a_ik Σ_j a_jk 2**(bj) = Σ_j (a_i·a_j) 2**(bj).
    """
    if len(rows) < ROWS:
        yield from ((i, 0, [dot(a, b) for b in rows[: i + 1]]) for i, a in enumerate(rows))
        return
    longest = max(map(len, rows))
    size = (2 * width(rows) + longest.bit_length() + 8) // 8
    count = max(1, LANES // (8 * size))
    held = storage(longest + 2, 8 * size * count)
    spend(500 * sum(map(len, rows)), held)
    for start in range(0, len(rows), count):
        block = rows[start : start + count]
        columns = [packed(column, size) for column in zip_longest(*block, fillvalue=0)]
        for i, row in enumerate(rows[start:], start):
            lanes = sum(map(mul, filter(None, row), compress(columns, row)))
            yield i, start, unpacked(lanes, len(block), size)[: i - start + 1]
    spend(0, -held)


def semidefinite(S: Matrix, take: Callable[[], int]) -> bool:
    """S ⪰ 0: S − 2**e LLᵀ, with e and the lower triangle of L from the file, is diagonally dominant."""
    k = len(S)
    e = take()
    require(abs(e) <= 4 * EXPONENT, "the scale of a Cholesky factor is too large")
    spend(multiplications(k**3 // 6, 64, 64) + k * k * (500 + width(S) + abs(e)), storage(k * k, 64))
    L = [[take() for _ in range(i + 1)] for i in range(k)]
    shift = max(-e, 0)
    off, diagonal = [0] * k, []
    for i, start, values in products(L):
        for j, value in enumerate(values, start):
            rest = (S[i][j] << shift) - shifted(value, max(e, 0))
            if i == j:
                diagonal.append(rest)
            else:
                for row in (i, j):
                    off[row] += abs(rest)
    return all(d >= o for d, o in zip(diagonal, off, strict=True))


# -- logarithms (SPEC.md, "Logarithms") --------------------------------------------------------------------------------

BITS = 160
ONE = 1 << BITS


def exp_bounds(x: Fraction) -> tuple[int, int]:
    """Integers (low, high) with low ≤ e**x·2**BITS ≤ high, for x ≤ 0."""
    if x < -100:
        return 0, 1 << (BITS - 144)  # e**-100 < 2**-144
    # e**x = (e**s)**-256 with 0 ≤ s = −x/256 < 0.4
    s = -x / 256
    s_low = (s.numerator << BITS) // s.denominator
    low = high = term_low = term_high = ONE
    for n in range(1, 60):
        term_low = (term_low * s_low >> BITS) // n
        term_high = -(-term_high * (s_low + 1) // (n << BITS))
        low, high = low + term_low, high + term_high
    high += 2 * term_high  # the rest is less than the last term
    for _ in range(8):
        low, high = low * low >> BITS, -(-(high * high) >> BITS)
    return ONE * ONE // high, -(-ONE * ONE // low)


def log_bounds(numerator: int, denominator: int) -> tuple[Fraction, Fraction]:
    """Rationals around log(numerator/denominator), both > 0.

    With x = m·2**k, ½ < m < 2, any guess L of log m and t = m·e**−L: L + 1 − 1/t ≤ log m ≤ L + t − 1.
    """
    k = numerator.bit_length() - denominator.bit_length()
    if k >= 0:
        denominator <<= k
    else:
        numerator <<= -k
    low, high = _log_near_one(numerator, denominator)
    if k:
        two_low, two_high = LOG_TWO
        low, high = low + k * (two_low if k > 0 else two_high), high + k * (two_high if k > 0 else two_low)
    return low, high


def _log_near_one(numerator: int, denominator: int) -> tuple[Fraction, Fraction]:
    guess = Fraction(math.log(numerator / denominator))
    low, high = exp_bounds(-abs(guess))
    if guess < 0:
        low, high = ONE * ONE // high, -(-ONE * ONE // low)
    t_low, t_high = numerator * low, -(-numerator * high)
    # t = m·e**−L lies between t_low and t_high over denominator·ONE.
    unit = denominator * ONE
    below = ((t_low - unit) << BITS) // t_low
    above = -((-(t_high - unit) << BITS) // unit)
    return guess + Fraction(below, ONE), guess + Fraction(above, ONE)


LOG_TWO = _log_near_one(2, 1)


def logarithm(bits: int) -> int:
    """The work of a logarithm and an exponential of rationals with so many bits, fractions reduced."""
    return 150_000 + (bits * bits >> 5)


# -- the problem (SPEC.md, "Problem") ----------------------------------------------------------------------------------

LOSSES = ("mse", "cross_entropy", "logistic", "interpolate")


class Problem:
    """The numbers of the instance. X: points as rows of X̃ over 2**x; Y: targets, a row an output, over 2**y; weights over 2**w."""

    def __init__(self, header: Any, arrays: dict[str, Any]) -> None:
        names = ("loss", "a_plus", "a_minus", "lambda", "beta", "depth", "N", "n0", "m", "sha256")
        self.loss, *numbers, depth, N, n0, m, digest = _fields(header, names, "problem")
        a_plus, a_minus, lam, beta = (_number(v, name) for v, name in zip(numbers, names[1:5], strict=True))
        require(self.loss in LOSSES, f"the loss {_shown(self.loss)} is unknown")
        require(all(_is_int(v) and v > 0 for v in (depth, N, n0, m)), "depth, N, n0 and m must be positive integers")
        require(depth == 2, "only problems of depth 2 can be certified")
        require(lam > 0.0, "lambda must be positive")
        require(self.loss != "interpolate" or lam == 1.0, "lambda counts as 1 for interpolate")
        self.N, self.m, self.n = N, m, n0 + (beta != 0.0)
        self.a_plus, self.a_minus = Fraction(a_plus), Fraction(a_minus)
        self.lam, self.beta = Fraction(lam), Fraction(beta)
        X, Y = _array(arrays, "X", float), _array(arrays, "Y", float)
        require(len(X) == N * n0 and len(Y) == N * m, "X or Y has the wrong number of entries")
        spend(4000 * N * (self.n + m + 1), 8 * N * (self.n + 1))
        given = [_array(arrays, "weights", float)] if "weights" in arrays else []
        require(not given or self.loss != "interpolate", "a constraint has no weights")
        require(all(len(values) == N and min(values) > 0.0 for values in given), "weights must be N numbers > 0")
        words = (
            f"cpcert-problem 1 loss={self.loss} a_plus={a_plus.hex()} a_minus={a_minus.hex()} "
            f"lambda={lam.hex()} beta={beta.hex()} depth={depth} N={N} n0={n0} m={m}"
        )
        words += f" weights={N}\n" if given else "\n"
        hashed = hashlib.sha256(words.encode("ascii") + b"".join(map(_little_endian, (X, Y, *given)))).hexdigest()
        require(digest == hashed, "the hash is not that of the problem's numbers")
        self.sha256 = hashed
        rows = (X[i * n0 : (i + 1) * n0] + array("d", [beta] * (beta != 0.0)) for i in range(N))
        self.X, self.x = matrix(array("d", chain.from_iterable(rows)), N, self.n, "X")
        columns, self.y = matrix(Y, N, m, "Y")
        self.Y = [list(row) for row in zip(*columns, strict=True)]
        self.weights, self.w = dyadic(given[0]) if given else ([1] * N, 0)
        self._check_targets()

    def _check_targets(self) -> None:
        if self.loss == "cross_entropy":
            require(
                self.m >= 2 and all(v >= 0 for row in self.Y for v in row), "labels must be >= 0, two classes or more"
            )
        if self.loss == "logistic":
            one = Fraction(1) / power(self.y)
            require(all(abs(v) == one for row in self.Y for v in row), "logistic labels must be 1 or -1")

    @property
    def kink(self) -> Fraction:
        """δ = a₊ − a₋."""
        return self.a_plus - self.a_minus

    @property
    def lipschitz(self) -> Fraction:
        """max(|a₊|, |a₋|)."""
        return max(abs(self.a_plus), abs(self.a_minus))


def _array(arrays: dict[str, Any], name: str, kind: type) -> Any:
    """Take the array called name out of the certificate."""
    require(name in arrays, f"the array {name!r} is missing")
    values = arrays.pop(name)
    require(values.typecode == ("d" if kind is float else "q"), f"array {name!r}: has the wrong type")
    return values


def _little_endian(values: array[float]) -> bytes:
    if sys.byteorder == "big":
        values = array("d", values)
        values.byteswap()
    return values.tobytes()


# -- upper bounds (SPEC.md, "Upper bound") -----------------------------------------------------------------------------


def _weights(problem: Problem, arrays: dict[str, Any]) -> tuple[Matrix, int, Matrix, int]:
    """W1 (k, n) and W2 (m, k + 1 if β ≠ 0) as integers over powers of two."""
    first, second = _array(arrays, "W1", float), _array(arrays, "W2", float)
    width = len(first) // problem.n
    W1, e1 = matrix(first, width, problem.n, "W1")
    W2, e2 = matrix(second, problem.m, width + (problem.beta != 0), "W2")
    return W1, e1, W2, e2


def activate(problem: Problem, Z: Matrix) -> tuple[Matrix, int]:
    """σ of each entry, over a further power of two: (values, e)."""
    (plus, minus), e = dyadic([float(problem.a_plus), float(problem.a_minus)])
    return [[(plus if z > 0 else minus) * z for z in row] for row in Z], e


def network_outputs(problem: Problem, W1: Matrix, e1: int, W2: Matrix, e2: int) -> tuple[Matrix, int]:
    """Z = W2 [σ(W1 X̃); β1ᵀ], exactly: (rows of integers, e)."""
    (plus, minus), a = dyadic([float(problem.a_plus), float(problem.a_minus)])
    (bias,), b = dyadic([float(problem.beta)])
    e = e1 + problem.x + a
    low = min(e, b) if problem.beta else e
    first, second, points = width(W1), width(W2), width(problem.X)
    inner = first + points + problem.n.bit_length()
    outer = max(inner + width([[plus, minus]]) + e - low, bias.bit_length() + b - low)
    total = outer + second + len(W1).bit_length() + 1
    spend(problem.N * multiplications(len(W1) * (problem.n + 2), max(first, inner), max(points, outer - inner)))
    spend(problem.N * multiplications(problem.m * (len(W1) + 1), outer, second), storage(problem.N * problem.m, total))
    columns = []
    for x in problem.X:  # one point at a time: all hidden values at once may be many
        values = (dot(w, x) for w in W1)
        hidden = [(plus if z > 0 else minus) * z << (e - low) for z in values]
        if problem.beta:
            hidden.append(bias << (b - low))
        columns.append([dot(w, hidden) for w in W2])
    return [list(row) for row in zip(*columns, strict=True)], e2 + low


def check_upper(problem: Problem, proof: Any, arrays: dict[str, Any]) -> float:
    """The proven upper bound: the loss of the network in the file is at most this."""
    value, kind, relations = _fields(proof, ("value", "kind", "relations"), "upper")
    value = _number(value, "upper")
    require(network_loss(problem, kind, relations, arrays) <= Fraction(value), "upper: the network's loss is larger")
    return value


def network_loss(problem: Problem, kind: Any, relations: Any, arrays: dict[str, Any]) -> Fraction:
    """A rational ≥ the loss of the network in the file, exact for mse; for interpolate the cost after its repair."""
    require(kind == "repaired" or relations == [], "upper: relations are for a repaired network")
    W1, e1, W2, e2 = _weights(problem, arrays)
    spend(
        multiplications(len(W1) * problem.n, width(W1), width(W1))
        + multiplications(len(W1) * problem.m, width(W2), width(W2))
    )
    cost = sum(dot(w, w) for w in W1) * power(2 * e1) + sum(dot(w, w) for w in W2) * power(2 * e2)
    Z, z = network_outputs(problem, W1, e1, W2, e2)
    # Z and Y over one power of two.
    e = min(z, problem.y)
    bits = max(width(Z) + z, width(problem.Y) + problem.y) - e
    spend(multiplications(4 * problem.N * problem.m, bits, bits), storage(2 * problem.N * problem.m, bits))
    Z = [[v << (z - e) for v in row] for row in Z]
    Y = [[v << (problem.y - e) for v in row] for row in problem.Y]
    if problem.loss == "interpolate":
        require(kind in ("network", "repaired"), f"upper: the kind {_shown(kind)} is unknown")
        loss = Fraction(0)
        square = sum((a - b) ** 2 for p, q in zip(Z, Y, strict=True) for a, b in zip(p, q, strict=True))
        if kind == "repaired":
            loss = check_repair(problem, fraction_root_up(square * power(2 * e)), relations, arrays)
        else:
            require(square == 0, "upper: the network does not interpolate")
    else:
        require(kind == "network", f"upper: the kind {_shown(kind)} is unknown")
        loss = loss_upper(problem, Z, Y, e)
    return loss + problem.lam * cost


def loss_upper(problem: Problem, Z: Matrix, Y: Matrix, e: int) -> Fraction:
    """A rational ≥ C(Z); exact for mse. Z and Y over 2**e."""
    N, unit = problem.N, power(e)
    bits, heavy = max(width(Z), width(Y)), width([problem.weights])
    spend(multiplications(N * problem.m, 2 * bits, heavy))
    pairs = [list(zip(p, q, problem.weights, strict=True)) for p, q in zip(Z, Y, strict=True)]
    scale = power(problem.w) / N
    if problem.loss == "mse":
        return sum(weight * (a - b) ** 2 for row in pairs for a, b, weight in row) * unit * unit * scale
    spend(N * problem.m * logarithm(bits + abs(e) + heavy))
    total = Fraction(0)
    if problem.loss == "logistic":
        for row in pairs:
            for z, y, weight in row:
                t = z if y > 0 else -z  # log(1 + e**−t) = max(−t, 0) + log(1 + e**−|t|)
                total += weight * (max(-t, 0) * unit + log_bounds(ONE + exp_bounds(-abs(t) * unit)[1], ONE)[1])
        return total * scale
    for column in zip(*pairs, strict=True):
        top = max(z for z, _, _ in column)
        labels = sum(weight * y for _, y, weight in column)
        exponentials = sum(exp_bounds((z - top) * unit)[1] for z, _, _ in column)
        total += labels * unit * log_bounds(exponentials, ONE)[1]
        total += sum(weight * y * (top - z) for z, y, weight in column) * unit * unit
    return total * scale


def check_relation(problem: Problem, relation: dict[int, int]) -> None:
    """Σ c_i z_i = 0 for the outputs of every network (SPEC.md, "Relations")."""
    support = [i for i, c in relation.items() if c]
    bits, entries = width([relation.values()]), len(support) * (problem.n + problem.m + 1)
    spend(
        100 * (problem.n + problem.m)
        + multiplications(4 * entries, max(bits, width(problem.X)), width(problem.X))
        + 3000 * entries
    )
    groups: dict[str, list[int]] = {}
    for i in support if problem.kink else ():
        divisor = math.gcd(*problem.X[i])
        if divisor:
            if next(v for v in problem.X[i] if v) < 0:
                divisor = -divisor
            # As a text: how numbers are hashed is known, so a file could choose many of one hash.
            groups.setdefault(",".join(f"{v // divisor:x}" for v in problem.X[i]), []).append(i)
    for line in groups.values():
        k = next(k for k, v in enumerate(problem.X[line[0]]) if v)
        require(sum(relation[i] * abs(problem.X[i][k]) for i in line) == 0, "a relation does not hold on a line")
    if problem.a_plus + problem.a_minus != 0:
        for k in range(problem.n):
            require(sum(relation[i] * problem.X[i][k] for i in support) == 0, "a relation does not hold for the points")
    if problem.beta:
        require(sum(relation[i] for i in support) == 0, "a relation does not hold for the bias")


def _rational(text: Any) -> Fraction:
    require(isinstance(text, str) and len(text) <= DIGITS, "a rational is not a string, or too long")
    match = re.fullmatch(r"(-?)([0-9]+)(?:/([1-9][0-9]*))?", text)
    if match is None:
        raise Rejected(f"{_shown(text)} is not a rational number")
    spend(1000 * len(text) + (len(text) ** 2 >> 6), len(text))
    sign, numerator, denominator = match.groups("1")
    value = Fraction(_decimal(numerator), _decimal(denominator))
    return -value if sign else value


def _decimal(digits: str) -> int:
    """The integer with these digits, in pieces: Python's own conversion refuses long ones."""
    value = 0
    for at in range(0, len(digits), PIECE):
        piece = digits[at : at + PIECE]
        value = value * 10 ** len(piece) + int(piece)
    return value


def _relation(problem: Problem, entries: Any) -> dict[int, int]:
    """The coefficients times their common denominator."""
    require(isinstance(entries, list) and len(entries) <= problem.N, "a relation is a list of pairs")
    relation: dict[int, Fraction] = {}
    for entry in entries:
        require(isinstance(entry, list) and len(entry) == 2 and _is_int(entry[0]), "a relation is a list of pairs")
        require(0 <= entry[0] < problem.N and entry[0] not in relation, "a relation names a wrong point")
        relation[entry[0]] = _rational(entry[1])
    scale = 1
    for c in relation.values():
        bits = scale.bit_length() + c.denominator.bit_length()
        spend(1000 + (bits * bits >> 6), bits // 7)
        scale = math.lcm(scale, c.denominator)
    bits = scale.bit_length() + width([[c.numerator for c in relation.values()]])
    spend(multiplications(2 * len(relation), bits, bits), storage(len(relation), bits))
    return {i: c.numerator * (scale // c.denominator) for i, c in relation.items()}


def check_repair(problem: Problem, residual: Fraction, relations: Any, arrays: dict[str, Any]) -> Fraction:
    """What interpolating exactly costs at most beyond the network (SPEC.md, "Repair"); residual ≥ ‖Z − Y‖_F."""
    require(isinstance(relations, list) and len(relations) <= problem.N, "repair: relations are a list of pairs")
    dropped: set[int] = set()
    fixed: list[tuple[int, dict[int, int]]] = []
    for entry in relations:
        require(
            isinstance(entry, list) and len(entry) == 2 and _is_int(entry[0]), "repair: relations are a list of pairs"
        )
        point, relation = entry[0], _relation(problem, entry[1])
        check_relation(problem, relation)
        for row in problem.Y:
            require(sum(c * row[i] for i, c in relation.items()) == 0, "repair: the targets break a relation")
        fixed.append((point, relation))
        dropped.add(point)
    for point, relation in fixed:
        others = any(c for i, c in relation.items() if i in dropped and i != point)
        require(relation.get(point, 0) != 0 and not others, "repair: a relation must fix one dropped point")
    kept = [i for i in range(problem.N) if i not in dropped]
    flat = _array(arrays, "repair_W", float)
    K = len(flat) // problem.n
    W, w = matrix(flat, K, problem.n, "repair_W")
    B, b = matrix(_array(arrays, "repair_B", float), K, len(kept), "repair_B")
    bits, small = max(width(W), width(problem.X)), width(B)
    large = 2 * bits + problem.n.bit_length()
    spend(multiplications(len(kept) * K * (problem.n + 2), bits, bits), storage(2 * len(kept) * K, 2 * large))
    A, a = activate(problem, [[dot(row, problem.X[i]) for row in W] for i in kept])
    large = width(A) + small + K.bit_length()
    spend(
        multiplications(len(kept) ** 2 * K, width(A), small)
        + multiplications(len(kept) ** 2 + K * len(kept), large, large)
    )
    e = w + problem.x + a + b
    columns = list(zip(*B, strict=True)) if K else [()] * len(kept)
    one = 1 << -e
    square = sum((dot(row, c) - one * (i == j)) ** 2 for i, row in enumerate(A) for j, c in enumerate(columns))
    delta = fraction_root_up(square * power(2 * e))
    require(delta < 1, "repair: B is no approximate inverse")
    longest = max((norm_up(row, w) for row in W), default=Fraction(0))
    size = fraction_root_up(sum(dot(row, row) for row in B) * power(2 * b))
    return 2 * fraction_root_up(Fraction(K)) * longest * size * residual / (1 - delta)


# -- lower bounds (SPEC.md, "Lower bound") -----------------------------------------------------------------------------


def check_lower(problem: Problem, proof: Any, arrays: dict[str, Any]) -> float:
    """The proven lower bound: D(sG) is at least this, and sG is dual feasible."""
    value, scale, bound, oracle = _fields(proof, ("value", "scale", "bound", "oracle"), "lower")
    value, s, u = _number(value, "lower"), Fraction(_number(scale, "scale")), Fraction(_number(bound, "bound"))
    G, g = matrix(_array(arrays, "G", float), problem.m, problem.N, "G")
    if problem.loss == "cross_entropy":
        G[-1] = [-sum(column) for column in zip(*G[:-1], strict=True)]
    require(s >= 0 and u >= 0 and s * u <= 2 * problem.lam, "lower: scale times bound exceeds 2 lambda")
    require(Fraction(value) <= dual_value(problem, G, g, s), "lower: the dual value is smaller")
    check_oracle(problem, Space(problem.X, problem.x), G, g, u, oracle, arrays)
    return value


def dual_value(problem: Problem, G: Matrix, g: int, s: Fraction) -> Fraction:
    """A rational ≤ D(sG) = −C*(−sG) − (β²/4λ)‖sG1‖²; exact for mse and interpolate."""
    sums = sum(sum(row) ** 2 for row in G) * power(2 * g)
    return conjugate_lower(problem, G, g, s) - problem.beta**2 / (4 * problem.lam) * sums * s * s


def conjugate_lower(problem: Problem, G: Matrix, g: int, s: Fraction) -> Fraction:
    """A rational ≤ −C*(−sG); exact for mse without weights and interpolate. Rejects an sG outside the domain."""
    N, unit = problem.N, power(g + problem.y)
    bits, heavy = max(width(G), width(problem.Y)), width([problem.weights])
    spend(multiplications(4 * N * problem.m, bits, bits) + multiplications(4 * N, 2 * bits + heavy + QUOTIENT, heavy))
    if problem.loss in ("mse", "interpolate"):
        linear = s * sum(dot(a, b) for a, b in zip(G, problem.Y, strict=True)) * unit
        if problem.loss == "interpolate":
            return linear
        shift = heavy + QUOTIENT  # ‖g_i‖²/ω_i, rounded up
        columns = zip(zip(*G, strict=True), problem.weights, strict=True)
        squares = sum(-(-(dot(a, a) << shift) // weight) for a, weight in columns)
        return linear - s * s * Fraction(N, 4) * squares * power(2 * g - problem.w - shift)
    bits += heavy + abs(problem.w) + abs(g) + abs(problem.y) + s.numerator.bit_length() + s.denominator.bit_length()
    spend(N * problem.m * logarithm(bits))
    total = Fraction(0)
    scale = N * s * power(g)
    omega = [weight * power(problem.w) for weight in problem.weights]
    if problem.loss == "logistic":
        for gs, ys in zip(G, problem.Y, strict=True):
            for v, y, whole in zip(gs, ys, omega, strict=True):
                p = scale * (v if y > 0 else -v)
                require(0 <= p <= whole, "lower: the dual point leaves the domain of the logistic loss")
                for q in (p, whole - p):
                    if 0 < q < whole:
                        ratio = whole / q
                        total += q * log_bounds(ratio.numerator, ratio.denominator)[0]
        return total / N
    for i in range(N):
        labels = [row[i] * power(problem.y) * omega[i] for row in problem.Y]
        mass = sum(labels)
        for y, row in zip(labels, G, strict=True):
            p = y - scale * row[i]
            require(p >= 0, "lower: the dual point leaves the domain of the cross-entropy")
            if p and p != mass:
                ratio = mass / p
                total += p * log_bounds(ratio.numerator, ratio.denominator)[0]
    return total / N


# -- bounds of the oracle: max over ‖w‖ ≤ 1 of ‖Gσ(X̃ᵀw)‖ ≤ u (SPEC.md, "Oracle") -----------------------------------------


class Space:
    """Points as rows of integers over 2**x."""

    def __init__(self, points: Matrix, x: int) -> None:
        self.points, self.x, self.n = points, x, len(points[0])


def check_oracle(
    problem: Problem, space: Space, G: Matrix, g: int, u: Fraction, oracle: Any, arrays: dict[str, Any]
) -> None:
    """γ(G) ≤ u by the proof `oracle`, or Rejected. G: m rows of integers over 2**g."""
    require(isinstance(oracle, dict), "oracle: is not an object")
    kind = oracle.get("kind")
    if kind == "coordinates":
        _, inner_bound, inner = _fields(oracle, ("kind", "bound", "inner"), "coordinates")
        inner_u = Fraction(_number(inner_bound, "bound"))
        require(isinstance(inner, dict) and inner.get("kind") != "coordinates", "coordinates: nested")
        check_coordinates(problem, space, G, g, u, inner_u, inner, arrays)
    elif kind == "spectral":
        _fields(oracle, ("kind",), "spectral")
        stream = Stream(_array(arrays, "proof", int))
        check_spectral(problem, space, G, g, u, stream, iter(_array(arrays, "norms", float)))
        stream.end()
    elif kind == "tree":
        _fields(oracle, ("kind", "grid"), "tree")
        require(problem.m == 1, "a tree proves bounds for one output")
        trees = Trees(arrays)
        forest = Forest(problem, space, _array(arrays, "exponents", int), oracle["grid"])
        for sign in (1, -1):
            check_tree(forest, [sign * v for v in G[0]], g, u, trees)
        trees.end()
    elif kind == "directions":
        _fields(oracle, ("kind", "grid"), "directions")
        check_directions(problem, space, G, g, u, oracle["grid"], arrays)
    elif kind == "cells":
        _fields(oracle, ("kind",), "cells")
        check_cells(problem, space, G, g, u, arrays)
    elif kind in ("moments", "regions"):
        _fields(oracle, ("kind",), "moments")
        check_moments(problem, space, G, g, u, kind != "moments", arrays)
    elif kind == "plane":
        _fields(oracle, ("kind",), "plane")
        check_plane(problem, space, G, g, u)
    elif kind == "spatial":
        _, bits = _fields(oracle, ("kind", "bits"), "spatial")
        check_spatial(problem, space, G, g, u, bits, arrays)
    else:
        raise Rejected(f"oracle: the kind {_shown(kind)} is unknown")


class Stream:
    """The integers of a proof, read in order; `take` gives the next, and StopIteration ends a proof that is cut off."""

    def __init__(self, values: Iterable[int]) -> None:
        self.values = iter(values)
        self.take: Callable[[], int] = self.values.__next__

    def skip(self, count: int) -> None:
        """Leave out so many integers."""
        next(islice(self.values, count, count), None)

    def index(self, size: int) -> int:
        """The next integer, which must be one of 0 … size − 1."""
        value = self.take()
        require(0 <= value < size, "the proof names something that does not exist")
        return value

    def end(self) -> None:
        """Nothing may be left."""
        try:
            self.take()
        except StopIteration:
            return
        raise Rejected("the proof goes on after its end")


def check_coordinates(
    problem: Problem,
    space: Space,
    G: Matrix,
    g: int,
    u: Fraction,
    inner_u: Fraction,
    inner: Any,
    arrays: dict[str, Any],
) -> None:
    """γ(G; X̃) ≤ ‖Q‖γ(G; X̂) + max(|a₊|, |a₋|) Σ‖g_i‖‖x_i − Qx̂_i‖, ‖Q‖² ≤ 1 + ‖QᵀQ − I‖_F."""
    basis = _array(arrays, "basis", float)
    r = len(basis) // space.n
    require(r > 0, "coordinates: no basis")
    Q, q = matrix(basis, space.n, r, "basis")
    points, x = matrix(_array(arrays, "coordinates", float), problem.N, r, "coordinates")
    stretch = _stretch(list(zip(*Q, strict=True)), q)
    low = min(q + x, space.x)
    spend(multiplications(problem.N * space.n * r, width(Q), width(points)))
    spend(problem.N * (space.n * (500 + width(space.points) + space.x - low + q + x - low) + 500 * problem.m))
    rest = Fraction(0)
    for i, (old, new) in enumerate(zip(space.points, points, strict=True)):
        error = [(a << (space.x - low)) - (dot(row, new) << (q + x - low)) for a, row in zip(old, Q, strict=True)]
        rest += norm_up([row[i] for row in G], g) * norm_up(error, low)
    require(stretch * inner_u + problem.lipschitz * rest <= u, "coordinates: the bound is too small")
    check_oracle(problem, Space(points, x), G, g, inner_u, inner, arrays)


def _stretch(columns: Sequence[Sequence[int]], e: int) -> Fraction:
    """A rational ≥ ‖Q‖ from ‖Q‖² ≤ 1 + ‖QᵀQ − I‖_F; the columns of Q over 2**e, e ≤ 0."""
    one = 1 << (-2 * e)
    bits, k = width(columns), len(columns)
    spend(
        multiplications(k * k * len(columns[0]), bits, bits)
        + multiplications(k * k, 2 * bits - 2 * e + 32, 2 * bits - 2 * e + 32)
    )
    square = sum((dot(a, b) - one * (i == j)) ** 2 for i, a in enumerate(columns) for j, b in enumerate(columns))
    return fraction_root_up(1 + fraction_root_up(square * power(4 * e)))


# -- spectral ----------------------------------------------------------------------------------------------------------


def check_spectral(
    problem: Problem,
    space: Space,
    G: Matrix,
    g: int,
    u: Fraction,
    stream: Stream,
    norms: Iterator[float],
    parts: bool = True,
) -> None:
    """Products of operator norms, the triangle inequality, or the two signs of g apart (spectral.py gives the equations)."""
    form = stream.take()
    used = [i for i in range(problem.N) if any(row[i] for row in G) and any(space.points[i])]
    if form == 0:
        total = sum((norm_up([row[i] for row in G], g) * norm_up(space.points[i], space.x) for i in used), Fraction(0))
        require(problem.lipschitz * total <= u, "spectral: the triangle inequality gives more")
    elif form == 1:
        exponents = [stream.take() for _ in used]
        require(all(abs(e) <= EXPONENT for e in exponents), "spectral: an exponent is too large")
        least = min(exponents, default=0)
        most = max(exponents, default=0)
        points, weights, many = width(space.points), width(G), len(used)
        spend(
            multiplications(2 * many * space.n * problem.m, points, weights)
            + many * (space.n + problem.m) * (500 + most - least)
        )
        spend(0, storage(many * space.n, points + most - least) + storage(many * problem.m, weights + most - least))
        spend(0, storage(problem.m * space.n, points + weights + many.bit_length()))
        X = [[v << (e - least) for v in space.points[i]] for i, e in zip(used, exponents, strict=True)]
        H = [[row[i] << (most - e) for i, e in zip(used, exponents, strict=True)] for row in G]
        product = [
            [dot([row[i] for i in used], [space.points[i][k] for i in used]) for k in range(space.n)] for row in G
        ]
        bound = abs(problem.a_plus + problem.a_minus) / 2 * _operator_norm(product, g + space.x, stream, norms)
        if problem.kink:
            size = _operator_norm(H, g - most, stream, norms) * _operator_norm(X, space.x + least, stream, norms)
            bound += abs(problem.kink) / 2 * size
        require(bound <= u, "spectral: the product of norms is larger")
    elif form == 2:
        require(parts and problem.m == 1, "spectral: signs only for one output")
        require(
            problem.a_plus >= 0 >= problem.a_minus, "spectral: signs only for an activation that is nowhere negative"
        )
        for sign in (1, -1):
            half = [[max(sign * v, 0) for v in G[0]]]
            check_spectral(problem, space, half, g, u, stream, norms, parts=False)
    else:
        raise Rejected("spectral: unknown form")
    require(not parts or next(norms, None) is None, "spectral: too many norms")


def _operator_norm(A: Matrix, e: int, stream: Stream, norms: Iterator[float]) -> Fraction:
    """The next norm t of the file, proven: t²I − AAᵀ (or AᵀA, the smaller) is positive semidefinite. A over 2**e."""
    value = next(norms, None)
    require(value is not None and value >= 0.0, "spectral: a norm is missing")
    t = Fraction(value)  # type: ignore[arg-type]
    require(semidefinite(norm_matrix(A, e, t), stream.take), "spectral: an operator norm is larger")
    return t


def norm_matrix(A: Matrix, e: int, t: Fraction) -> Matrix:
    """t²I − AAᵀ, or t²I − AᵀA if that is smaller, over a power of two; A over 2**e."""
    rows = A if len(A) <= (len(A[0]) if A else 0) else [list(column) for column in zip(*A, strict=True)]
    low = min(2 * e, -2 * (t.denominator.bit_length() - 1))
    k, bits = len(rows), width(rows)
    large = max(2 * bits + 2 * e, 2 * t.numerator.bit_length()) - low + 32
    spend(
        multiplications(k * k * (len(rows[0]) if rows else 0), bits, bits) + k * k * (500 + large),
        storage(k * k, large),
    )
    spend(0, 8 * len(A) * k)
    S = [[0] * k for _ in range(k)]
    for i, start, values in products(rows):
        for j, value in enumerate(values, start):
            S[i][j] = S[j][i] = -(value << (2 * e - low))
    square = int(t * t * power(-low))
    for i in range(k):
        S[i][i] += square
    return S


# -- trees: one output, one sign ---------------------------------------------------------------------------------------

# y = κt/2**T; caps are rounded to so many bits, about; the ends of intervals may have so many more than the norms of points.
T, CAP, BEYOND = 52, 60, 256
FULL = 1 << T


class Forest:
    """What all trees of a certificate share: the points x̂_i = x_i·2**−e_i over 2**−p, their norms and Gram matrix."""

    def __init__(self, problem: Problem, space: Space, exponents: array[int], grid: Any) -> None:
        require(isinstance(grid, list) and len(grid) == 3 and all(_is_int(v) and 0 <= v <= T for v in grid), "bad grid")
        require(len(exponents) == problem.N, "tree: one exponent a point")
        require(all(abs(e) <= 2 * EXPONENT for e in exponents), "tree: an exponent is too large")
        self.problem, self.space, self.grid = problem, space, grid
        self.exponents = list(exponents)
        # The fewest bits that keep all points integers, and enough for the intervals of x̂_iᵀw.
        free = [e - space.x - _trailing_zeros(row) for e, row in zip(exponents, space.points, strict=True) if any(row)]
        self.p = max([T, *free])
        require(self.p <= 4 * EXPONENT, "tree: the points differ too much in size")
        shifts = [self.p + space.x - e for e in exponents]
        bits = width(space.points) + max(0, *shifts)
        spend(problem.N * (space.n * (1000 + bits) + (bits * bits >> 8)), storage(problem.N * (space.n + 1), bits + 16))
        self.points = [[shifted(v, k) for v in row] for row, k in zip(space.points, shifts, strict=True)]
        self.used = [i for i, row in enumerate(self.points) if any(row)]
        self.radius = [root_up(dot(row, row)) for row in self.points]
        self.gram: list[Vector] = [[] for _ in self.points]
        self.bits = width(self.points)
        self.kept: float = 0
        self.room = BUDGET.get().memory / 2
        # One of several checks keeps other rows than a single one would: it pays for the room of all.
        self.rate = int(SHARE.get().of == 1)
        if not self.rate:
            spend(0, self.room)

    def row(self, i: int) -> Vector:
        """x̂_iᵀx̂_j over 2**−2p for all j, kept in `gram` as long as there is room."""
        size = storage(len(self.points), 2 * self.bits + 16)
        if self.kept + size > self.room:
            spend(0, -self.kept * self.rate)
            self.kept = 0
            self.gram[:] = [[] for _ in self.points]
        self.kept += size
        spend(multiplications(len(self.points) * (self.space.n + 4), self.bits, self.bits), size * self.rate)
        self.gram[i] = [dot(self.points[i], other) for other in self.points]
        return self.gram[i]


def _trailing_zeros(row: Sequence[int]) -> int:
    """How many times 2 divides every entry of a row that is not zero."""
    return min((v & -v).bit_length() - 1 for v in row if v)


class Lanes:
    """start + Σ t_i rows_i for |t_i| < 2**bits: a row is one long integer with a lane for each entry, which is quicker."""

    def __init__(self, rows: Matrix, start: Vector, bits: int) -> None:
        largest = max((abs(v) for row in (*rows, start) for v in row), default=0)
        # No lane can reach half of its size, so none spills into the next.
        self.bytes = (largest.bit_length() + bits + len(rows).bit_length() + 9) // 8
        self.n = len(start)
        shift = 8 * self.bytes
        self.middle = 1 << (shift - 1)
        # Through bytes: sums of shifted integers would take the square of their number.
        zero = self._joined([0] * self.n)
        self.rows = [self._joined(row) - zero for row in rows]
        self.start = self._joined(start)

    def _joined(self, row: Vector) -> int:
        lanes = b"".join((v + self.middle).to_bytes(self.bytes, "little") for v in row)
        return int.from_bytes(lanes, "little")

    def combine(self, t: Sequence[int]) -> Vector:
        """The entries of start + Σ t_i rows_i."""
        size, middle = self.bytes, self.middle
        raw = (self.start + sum(map(mul, t, self.rows))).to_bytes(size * self.n, "little")
        return [int.from_bytes(raw[d : d + size], "little") - middle for d in range(0, size * self.n, size)]


class Trees:
    """The columns of the trees: the structure, and the multipliers y, ρ and μ apart."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        columns = [_array(arrays, name, int) for name in ("proof", "y", "rho", "mu")]
        self.steps, self.y, self.rho, self.mu = map(Stream, columns)
        self.size = sum(map(len, columns))

    def left_out(self) -> dict[int, Vector]:
        """Of the tree that follows, the parts that other checks look into."""
        share = SHARE.get()
        return share.left_out(scan_tree(copy(self.steps.values)), self.size) if share.of > 1 else {}

    def skip(self, counts: Vector) -> None:
        """Leave out a part."""
        for stream, count in zip((self.steps, self.y, self.rho, self.mu), counts[1:], strict=True):
            stream.skip(count)

    def end(self) -> None:
        """Nothing may be left."""
        for stream in (self.steps, self.y, self.rho, self.mu):
            stream.end()


def scan_tree(steps: Iterator[int]) -> Iterator[tuple[int, Vector]]:
    """Of each node how many children it has, and its counts: 1, then its integers in each of the columns."""
    pending = 1
    while pending:
        integers = y = rho = mu = 0
        while True:
            op = next(steps)
            if op == 1:
                count = next(steps)
                require(count >= 0, "tree: more multipliers than points")
                y += sum([entry & 1 for entry in islice(steps, count)])
                integers += 2 + count
            elif op == 2:
                _, count = next(steps), next(steps)
                require(count >= 0, "tree: more multipliers than constraints")
                next(islice(steps, count, count), None)
                integers, rho, mu = integers + 3 + count, rho + 1, mu + count
            else:
                break
        if op in (3, 4):
            next(steps)
        children = 2 * (op == 4)
        pending += children - 1
        yield children, [1, integers + 1 + (op in (3, 4)), y, rho, mu]


def check_tree(forest: Forest, weights: Vector, e: int, u: Fraction, trees: Trees) -> None:
    """f(w) = Σ weights_i 2**e σ(x_iᵀw) ≤ u on the unit ball, by branch and bound (SPEC.md, "Trees")."""
    tree = Tree(forest, weights, e, u, trees)
    take = trees.steps.take
    nodes = [tree.root()]
    left_out = trees.left_out()
    number = 0
    while nodes:
        node = nodes.pop()
        tree.settle(-tree.node_size - 8 * len(node.path))  # its memory is given back
        if number in left_out:
            trees.skip(left_out[number])
            number += left_out[number][0]
            continue
        number += 1
        while True:
            op = take()
            if op == 2:
                node.tighten()
            elif op == 1:
                node.bound()
            elif op == 4:
                nodes += node.branch(len(nodes))
                break
            else:
                node.close(op)
                break
    tree.settle()


class Tree:
    """f(w) = cᵀw + Σ κ_i max(x̂_iᵀw, 0) ≤ u, over powers of two: what the nodes share.

    κ̂_i = κ_i 2**e_i lies over 2**−k, c, ĉ and U over 2**−(k + p + T). A cap (ĉ, ς) is rounded to 2**−(CAP − scale), and what is
    under the root of a tightening lies over 2**−2(p + q).
    """

    def __init__(self, forest: Forest, weights: Vector, e: int, u: Fraction, trees: Trees) -> None:
        problem, points, n, p, N = forest.problem, forest.points, forest.space.n, forest.p, forest.problem.N
        self.forest, self.gram, self.points, self.n, self.N = forest, forest.gram, points, n, N
        self.take, self.take_y, self.take_rho = trees.steps.take, trees.y.take, trees.rho.take
        self.take_mu = trees.mu.take
        y_grid, mu_grid, rho_grid = forest.grid
        (plus, minus), a = dyadic([float(problem.a_plus), float(problem.a_minus)])
        used = [i for i in forest.used if weights[i]] if plus != minus else []
        size = width([weights])
        spend(multiplications(N * (n + 4), max(size, forest.space.x), width(forest.space.points)) + 2000 * N, 200 * N)
        raw = [(plus - minus) * weights[i] for i in used]
        linear = [minus * dot(weights, column) for column in zip(*forest.space.points, strict=True)]
        shifts = [a + e + forest.exponents[i] for i in used]
        base = a + e + forest.space.x
        k = max([-base - p, *(-shift for shift in shifts)])
        require(abs(k) <= 8 * EXPONENT, "tree: the weights differ too much in size")
        unit = k + p + T
        bits = max((v.bit_length() + k + shift for v, shift in zip(raw, shifts, strict=True)), default=0)
        lane = max(bits + forest.bits, width([linear]) + unit + base) + 64 + T + N.bit_length() + 16
        spend(
            multiplications(len(used) * (n + 1), bits, forest.bits) + len(used) * n * lane,
            storage(3 * (len(used) + 2) * (n + 1), lane),
        )
        self.kappa = kappa = [0] * N
        for i, v, shift in zip(used, raw, shifts, strict=True):
            kappa[i] = v << (k + shift)
        self.kinks = [(i, kappa[i]) for i in used]
        start = [v << (unit + base) for v in linear]
        self.lanes = Lanes([[kappa[i] * v for v in points[i]] for i in used], start, 64 + T)
        self.U = math.floor(u * power(unit))
        scale = self.take()
        require(abs(scale) <= 4 * EXPONENT, "tree: the scale is too large")
        # ρ is a multiple of 2**−(rho_grid + scale).
        self.coarse = unit - CAP + scale
        self.q = q = max(mu_grid, rho_grid + CAP - p)
        self.y_shift, self.mu_shift, self.rho_shift = T - y_grid, q - mu_grid, q - (rho_grid + CAP - p)
        self._price(bits, lane)
        self.due = 0

    def _price(self, bits: int, lane: int) -> None:
        """What steps cost at most, from the lengths of the integers in them: ends, the cap, ĉ, multipliers, inner products."""
        forest, n, N, q, coarse = self.forest, self.n, self.N, self.q, self.coarse
        end = width([forest.radius]) + BEYOND
        room_bits = max(self.U.bit_length(), bits + end + 128 + N.bit_length()) + 1
        cap_bits, c_bits, weight_bits = max(room_bits - coarse, n.bit_length()) + 1, max(lane - coarse, 1), q + 64
        gram_bits = 2 * forest.bits + n.bit_length()
        total_bits = 2 * (weight_bits + max(forest.bits, c_bits) + N.bit_length() + n.bit_length())
        self.bound_cost = (
            2000
            + len(self.kinks) * (1500 + multiplications(4, bits, end + 128) + (n * lane >> 3))
            + multiplications(n + 1, lane, lane)
            + multiplications(1, room_bits, room_bits)
        )
        self.tighten_cost = (
            5000
            + multiplications(n + 1, c_bits, c_bits)
            + multiplications(4, total_bits, total_bits)
            + multiplications(2, weight_bits, max(cap_bits, 2 * c_bits + n.bit_length()))
            + n * (coarse.bit_length() + c_bits)
        )
        self.pair_cost = multiplications(2, weight_bits, gram_bits + weight_bits)
        self.term_cost = (
            1000 + multiplications(n + 1, forest.bits, c_bits) + multiplications(2, weight_bits, gram_bits + c_bits)
        )
        self.node_size = 2 * storage(N, end) + 500
        self.least = -(1 << end)

    def settle(self, memory: int = 0) -> None:
        """Pay for the steps so far."""
        spend(self.due, memory)
        self.due = 0

    def root(self) -> Node:
        """The whole ball."""
        spend(100 * self.N, self.node_size)
        radius = self.forest.radius
        return Node(self, [-v for v in radius], list(radius), [])


class Node:
    """The w of the ball with s·x̂_jᵀw ≥ 0 for the (j, s) of the path; where f(w) > u there, low_i ≤ x̂_iᵀw ≤ high_i.

    The last bound says f ≤ α + ĉᵀw here: C is ĉ, empty before the first one, and room is u − α.
    """

    __slots__ = ("C", "cap", "cap_square", "direction", "high", "low", "path", "products", "room", "tree")

    def __init__(self, tree: Tree, low: Vector, high: Vector, path: list[tuple[int, int]]) -> None:
        self.tree, self.low, self.high, self.path = tree, low, high, path
        self.C: Vector = []

    def bound(self) -> None:
        """f ≤ α + ĉᵀw, by Fenchel's inequality with the y_i = κ_i t_i of the file, or else the best known."""
        tree, low, high = self.tree, self.low, self.high
        given = self._slopes().get
        alpha = 0
        t = []
        for i, weight in tree.kinks:
            bottom, top = low[i], high[i]
            value = given(i)
            if value is None:
                if weight < 0 or top <= 0:
                    t.append(0)
                    continue
                if bottom >= 0:
                    t.append(FULL)
                    continue
                value = (top << T) // (top - bottom)  # the chord
            # max(s, 0) − ts is convex in s: largest at an end, least at an end or at its kink 0.
            first = (FULL - value if bottom > 0 else -value) * bottom
            second = (FULL - value if top > 0 else -value) * top
            if weight > 0:
                alpha += weight * max(first, second)
            else:
                alpha += weight * (min(first, second, 0) if bottom < 0 < top else min(first, second))
            t.append(value)
        self.C = tree.lanes.combine(t)
        self.room = tree.U - alpha
        self.direction: Vector = []
        self.products: dict[int, int] = {}

    def _slopes(self) -> dict[int, int]:
        """The t_i·2**T that the file gives."""
        tree = self.tree
        take, N = tree.take, tree.N
        slopes: dict[int, int] = {}
        at = -1
        count = take()
        require(0 <= count <= N, "tree: more multipliers than points")
        tree.due += tree.bound_cost + 500 * count
        if tree.due > CHUNK:
            tree.settle()
        for _ in range(count):
            entry = take()
            if entry < 0:
                raise Rejected("tree: a multiplier of no point")
            at += (entry >> 1) + 1
            slopes[at] = tree.take_y() << tree.y_shift if entry & 1 else FULL
        require(at < N, "tree: a multiplier of no point")
        return slopes

    def tighten(self) -> None:
        """side·x̂_iᵀw ≤ ‖side·x̂_i + ρĉ + Σ s_jμ_jx̂_j‖ − ρς: a new end of an interval."""
        tree, path, depth = self.tree, self.path, len(self.path)
        take, gram, q = tree.take, tree.gram, tree.q
        i = take()
        i, side = i >> 1, 1 - 2 * (i & 1)
        if not (0 <= i < tree.N and tree.kappa[i]):
            raise Rejected("tree: a tightening of nothing")
        own = gram[i] or tree.forest.row(i)
        total = own[i] << 2 * q
        terms = [(i, side << q)]
        at = -1
        count = take()
        if not 0 <= count <= depth:
            raise Rejected("tree: more multipliers than constraints")
        tree.due += tree.tighten_cost + (count + 1) * (tree.term_cost + count * tree.pair_cost)
        if tree.due > CHUNK:
            tree.settle()
        for _ in range(count):
            gap = take()
            at += gap + 1
            mu = tree.take_mu() << tree.mu_shift
            if gap < 0 or at >= depth or mu < 0:
                raise Rejected("tree: a negative multiplier, or one of no constraint")
            j, s = path[at]
            mu *= s
            row = gram[j] or tree.forest.row(j)
            inner = mu * row[j]
            for other, weight in terms:
                inner += 2 * weight * row[other]
            total += mu * inner
            terms.append((j, mu))
        rho = tree.take_rho() << tree.rho_shift
        gain = 0
        if rho:
            total += rho * self._with_cap(rho, terms)
            gain = rho * self.cap
        # ⌈(√total − ρς)/2**q⌉
        value = -((gain - isqrt(total) - 1) >> q)
        if value < tree.least:
            raise Rejected("tree: an interval ends beyond all points")
        if side > 0:
            if value < self.high[i]:
                self.high[i] = value
        elif -value > self.low[i]:
            self.low[i] = -value

    def _with_cap(self, rho: int, terms: list[tuple[int, int]]) -> int:
        """ρ‖ĉ‖² + 2ĉᵀz for z = Σ weight·x̂_j over the terms; ĉ and ς are rounded first, once for each bound."""
        tree = self.tree
        if not (rho > 0 and self.C):
            raise Rejected("tree: a negative multiplier, or a cap before a bound")
        if not self.direction:
            self.direction = [shifted(v, -tree.coarse) for v in self.C]
            self.cap_square = dot(self.direction, self.direction)
            self.cap = shifted(self.room, -tree.coarse) - tree.n
        products = self.products
        inner = rho * self.cap_square
        for j, weight in terms:
            value = products.get(j)
            if value is None:
                value = products[j] = sum(map(mul, tree.points[j], self.direction))
            inner += 2 * weight * value
        return inner

    def close(self, op: int) -> None:
        """f ≤ α + ‖ĉ‖ ≤ u here, or nothing is left of the node."""
        if op == 0:
            C = self.C
            below = bool(C) and self.room >= 0 and dot(C, C) <= self.room * self.room
            require(below, "tree: a leaf is not below the bound")
        elif op == 3:
            i = self.tree.take()
            moved = 0 <= i < self.tree.N and self.tree.kappa[i] != 0
            require(moved and self.low[i] > self.high[i], "tree: a node called empty is not")
        else:
            raise Rejected("tree: unknown step")

    def branch(self, others: int) -> list[Node]:
        """The two sides of x̂_iᵀw = 0, the one to be visited first at the end; `others` nodes are open beside them."""
        tree, depth = self.tree, len(self.path)
        i = tree.take()
        i, first = i >> 1, 1 - 2 * (i & 1)
        require(0 <= i < tree.N and tree.kappa[i] != 0, "tree: a branching on nothing")
        require(depth < tree.N and others * tree.N <= OPEN, "tree: too deep")
        spend(5000 + 100 * tree.N, 2 * (tree.node_size + 8 * depth + 8))
        children = []
        for s in (-first, first):
            low, high = self.low.copy(), self.high.copy()
            if s > 0:
                low[i] = max(low[i], 0)
            else:
                high[i] = min(high[i], 0)
            children.append(Node(tree, low, high, [*self.path, (i, s)]))
        return children


# -- directions: several outputs of small rank -------------------------------------------------------------------------


def check_directions(
    problem: Problem, space: Space, G: Matrix, g: int, u: Fraction, grid: Any, arrays: dict[str, Any]
) -> None:
    """A cover of the output directions by cones, the value of each vertex proven by a tree (SPEC.md, "Directions")."""
    stretch, rest = Fraction(1), Fraction(0)
    if "output_basis" in arrays:
        H, h, stretch, rest = _reduced_outputs(problem, space, G, g, arrays)
    else:
        H, h = G, g
    k = len(H)
    require(k <= RANK, "directions: too many outputs")
    size = width(H)
    room = (u - rest) / stretch
    forest = Forest(problem, space, _array(arrays, "exponents", int), grid)
    trees = Trees(arrays)
    stream = trees.steps
    values = [Fraction(v) for v in _array(arrays, "values", float)]
    columns = list(zip(*H, strict=True))
    vertices: list[tuple[Vector, int]] = []
    edges: list[tuple[int, int]] = []
    for number, value in enumerate(values):
        if number < 2 * k:
            vertex, e = [(1 - 2 * (number % 2)) * (number // 2 == i) for i in range(k)], 0
            edges.append((-1, -1))
        else:
            a, b = stream.index(number), stream.index(number)
            powers = stream.take() + vertices[a][1], stream.take() + vertices[b][1]
            e = min(powers)
            require(max(powers) - e <= 200, "directions: a vertex is too far off the middle")
            ends = (vertices[a][0], powers[0] - e), (vertices[b][0], powers[1] - e)
            vertex = [(x << ends[0][1]) + (y << ends[1][1]) for x, y in zip(ends[0][0], ends[1][0], strict=True)]
            edges.append((a, b))
        require(abs(e) <= EXPONENT, "directions: a vertex is too large")
        bits = width([vertex])
        spend(multiplications(problem.N * k, size, bits), storage(k + 1, bits) + 100)
        vertices.append((vertex, e))
        check_tree(forest, [dot(vertex, column) for column in columns], h + e, value, trees)
    require(len(vertices) >= 2 * k, "directions: vertices are missing")
    cones = {tuple(2 * i + s for i, s in enumerate(signs)) for signs in product((0, 1), repeat=k)}
    for _ in range(stream.take()):
        cone = tuple([stream.index(len(vertices)) for _ in range(k)])
        middle = stream.index(len(vertices))
        spend(2000 + 500 * k, 200 + 8 * k)
        require(cone in cones and set(edges[middle]) <= set(cone), "directions: a bisection of no cone")
        cones.remove(cone)
        cones |= {tuple([middle if j == old else j for j in cone]) for old in edges[middle]}
    trees.end()
    bits = max(width(vertex for vertex, _ in vertices), FULL.bit_length())
    spend(len(cones) * (20_000 + multiplications(8 * k * k, bits, bits)))
    normals, e = matrix(_array(arrays, "normals", float), len(cones), k, "normals")
    for cone, normal in zip(sorted(cones), normals, strict=True):
        require(at_most(dot(normal, normal) * power(2 * e), room), "directions: a cone is not below the bound")
        for j in cone:
            require(
                dot(normal, vertices[j][0]) * power(e + vertices[j][1]) >= values[j],
                "directions: a normal is too short",
            )


def _reduced_outputs(
    problem: Problem, space: Space, G: Matrix, g: int, arrays: dict[str, Any]
) -> tuple[Matrix, int, Fraction, Fraction]:
    """γ(G) ≤ ‖Q‖γ(H) + max(|a₊|, |a₋|) Σ‖g_i − Qh_i‖‖x_i‖: H over 2**h, and rationals above ‖Q‖ and the sum."""
    basis = _array(arrays, "output_basis", float)
    k = len(basis) // problem.m
    require(k > 0, "directions: no basis")
    require(k <= RANK, "directions: too many outputs")
    Q, q = matrix(basis, problem.m, k, "output_basis")
    H, h = matrix(_array(arrays, "outputs", float), k, problem.N, "outputs")
    low = min(g, q + h)
    bits = max(width(G) + g - low, width(Q) + width(H) + q + h - low)
    spend(multiplications(problem.m * problem.N * k, width(Q), width(H)) + problem.m * problem.N * (500 + bits))
    rest = Fraction(0)
    for i in range(problem.N):
        column = [row[i] for row in H]
        error = [(row[i] << (g - low)) - (dot(b, column) << (q + h - low)) for row, b in zip(G, Q, strict=True)]
        rest += norm_up(error, low) * norm_up(space.points[i], space.x)
    return H, h, _stretch(list(zip(*Q, strict=True)), q), problem.lipschitz * rest


# -- cells: several outputs, any number --------------------------------------------------------------------------------

IMPLIED_GRID = 52


class Cover:
    """What all leaves share: the points, the planes over 2**−q (the points first), and ĝ_i = g_i·2**e_i over 2**−k."""

    def __init__(self, problem: Problem, space: Space, G: Matrix, g: int, arrays: dict[str, Any]) -> None:
        self.problem = problem
        self.forest = Forest(problem, space, _array(arrays, "exponents", int), [0, 0, 0])
        extra = _array(arrays, "planes", float)
        normals, o = matrix(extra, len(extra) // space.n, space.n, "planes")
        p, exponents = self.forest.p, self.forest.exponents
        self.q = max(p, -o)
        self.bits = max(self.forest.bits + self.q - p, width(normals) + self.q + o)
        rows = problem.N + len(normals)
        spend(rows * space.n * (200 + self.bits >> 4), storage(rows * (space.n + 2), self.bits))
        self.planes = [[v << (self.q - p) for v in row] for row in self.forest.points]
        self.planes += [[v << (self.q + o) for v in row] for row in normals]
        self.used = [i for i in self.forest.used if any(row[i] for row in G)]
        self.k = max((-(g + exponents[i]) for i in self.used), default=0)
        self.wide = width(G) + max((self.k + g + exponents[i] for i in self.used), default=0)
        spend(len(self.used) * problem.m * (500 + self.wide), storage(len(self.used) * (problem.m + 8), self.wide))
        self.weights = {i: [row[i] << (self.k + g + exponents[i]) for row in G] for i in self.used}
        self.sizes = {i: norm_up(column, -self.k) for i, column in self.weights.items()}


def check_cells(problem: Problem, space: Space, G: Matrix, g: int, u: Fraction, arrays: dict[str, Any]) -> None:
    """A tree over activation patterns with a semidefinite proof in each leaf (SPEC.md, "Cells")."""
    cover = Cover(problem, space, G, g, arrays)
    stream = Stream(_array(arrays, "proof", int))
    size = len(cover.planes)
    spend(100 * problem.N, 200 * problem.N + 1000)
    nodes = [Leaf(cover, [], {}, Fraction(0))]
    while nodes:
        node = nodes.pop()
        spend(0, -1000 - 200 * problem.N - 8 * len(node.path))
        while True:
            op = stream.take()
            if op == 1:
                node = check_implied(node, stream)
            elif op == 0:
                node.check(u, stream)
                break
            elif op == 2:
                j = stream.index(len(cover.planes))
                require(j not in node.decided, "cells: a sign is decided twice")
                require(len(node.path) < size and len(nodes) * size <= OPEN, "cells: too deep")
                spend(10_000 + 200 * problem.N, 2 * (1000 + 200 * problem.N + 8 * len(node.path) + 8))
                for s in (-1, 1):  # the sign + is visited first
                    decided = {**node.decided, j: s} if j < problem.N else node.decided
                    nodes.append(Leaf(cover, [*node.path, (j, s)], decided, node.slack))
                break
            else:
                raise Rejected("cells: unknown step")
    stream.end()


def check_implied(node: Leaf, stream: Stream) -> Leaf:
    """The sign of one more point: side·x̂_i = Σ μ_j s_j h_j + e with μ ≥ 0, at the price |δ|‖ĝ_i‖‖e‖."""
    cover = node.cover
    i, side = stream.index(cover.problem.N), 1 - 2 * stream.index(2)
    require(i not in node.decided, "cells: a sign is decided twice")
    rest = [side * v << IMPLIED_GRID for v in cover.planes[i]]
    at = -1
    count = stream.take()
    require(0 <= count <= len(node.path), "cells: more multipliers than constraints")
    size = cover.bits + IMPLIED_GRID
    spend(20_000 + 100 * len(cover.used) + 200 * len(node.decided) + (size * size >> 5))
    spend(count * multiplications(2 * len(rest) + 8, size, 64))
    for _ in range(count):
        gap = stream.take()
        at += gap + 1
        require(gap >= 0 and at < len(node.path), "cells: a multiplier of no constraint")
        mu = stream.take()
        require(mu >= 0, "cells: a negative multiplier")
        j, s = node.path[at]
        rest = [a - s * mu * b for a, b in zip(rest, cover.planes[j], strict=True)]
    price = abs(cover.problem.kink) * cover.sizes.get(i, 0) * norm_up(rest, -cover.q - IMPLIED_GRID)
    return Leaf(cover, node.path, {**node.decided, i: side}, node.slack + price)


class Leaf:
    """A cone of the cover: constraints are its planes with signs, decided the signs of points, slack what those cost."""

    def __init__(self, cover: Cover, path: list[tuple[int, int]], decided: dict[int, int], slack: Fraction) -> None:
        self.cover, self.path, self.decided, self.slack = cover, path, decided, slack
        self.undecided = [i for i in cover.used if i not in decided]

    def forms(self, chosen: Sequence[int]) -> Matrix:
        """Rows of F over 2**−q: the constraints at these places of the path, then z_i ± x_iᵀw for each undecided point."""
        cover, extra = self.cover, len(self.undecided)
        n, rows = cover.forest.space.n, len(chosen) + 2 * extra
        spend(rows * (200 * (n + extra) + n * cover.bits), 8 * rows * extra + storage(rows * (n + 1), cover.bits))
        signed = [(cover.planes[j], s) for j, s in (self.path[place] for place in chosen)]
        F = [[s * v for v in plane] + [0] * extra for plane, s in signed]
        for c, i in enumerate(self.undecided):
            ones = [(1 << cover.q) * (c == e) for e in range(extra)]
            F += [[s * v for v in cover.planes[i]] + ones for s in (1, -1)]
        return F

    def matrix(
        self, scale: int, square: int, linear: Sequence[int], F: Matrix, pairs: Sequence[tuple[int, int, int]]
    ) -> tuple[Matrix, int]:
        """4S over 2**−unit, S of SPEC.md, equation (S); ρ, λ and the weights N of pairs of forms over 2**−scale."""
        cover, problem = self.cover, self.cover.problem
        p, q, k, n = cover.forest.p, cover.q, cover.k, cover.forest.space.n
        points = cover.forest.points
        (plus, minus), a = dyadic([float(problem.a_plus), float(problem.a_minus)])
        # 2K over 2**(a − k − p)
        d = n + len(self.undecided)
        factor_bits = cover.wide + width([[plus, minus]]) + 1
        spend(multiplications(len(cover.used) * problem.m * (n + 1), factor_bits, max(p, cover.forest.bits)))
        spend(0, storage(problem.m * d, factor_bits + max(p, cover.forest.bits) + problem.N.bit_length()))
        K = [[0] * d for _ in range(problem.m)]
        for i, column in cover.weights.items():
            sign = self.decided.get(i, 0)
            slope = plus + minus if sign == 0 else 2 * (plus if sign > 0 else minus)
            for row, weight in zip(K, column, strict=True):
                if weight:
                    factor = slope * weight
                    row[:n] = [x + factor * v for x, v in zip(row[:n], points[i], strict=True)]
        for c, i in enumerate(self.undecided):
            for row, weight in zip(K, cover.weights[i], strict=True):
                row[n + c] = ((plus - minus) * weight) << p
        unit = max(2 * (k + p - a), scale + 2 * q)
        fine = unit - scale - 2 * q
        columns = list(zip(*K, strict=True))
        bits, weight = width(columns), max(square.bit_length(), 64) + 2
        large = (
            max(2 * bits + unit - 2 * (k + p - a), weight + 2 * cover.bits + unit - scale) + len(pairs).bit_length() + 8
        )
        spend(
            multiplications(problem.m * d * d, bits, bits) + d * d * (500 + large),
            storage(d * d + problem.m * d, large),
        )
        spend(len(self.undecided) * multiplications(2 * n * n, cover.bits, weight + 2 * cover.bits + fine))
        spend(len(pairs) * (200 * d + (2 * n + 2) * multiplications(4 * d, cover.bits, weight + cover.bits + fine)))
        S = [[-dot(x, y) << (unit - 2 * (k + p - a)) for y in columns] for x in columns]
        for i in range(n):
            S[i][i] += 4 * square << (unit - scale)
        for c, (i, value) in enumerate(zip(self.undecided, linear, strict=True)):
            S[n + c][n + c] += 4 * value << (unit - scale)
            for r, x in enumerate(points[i]):
                factor = 4 * value * x << (unit - scale - 2 * p)
                S[r][:n] = [v - factor * y for v, y in zip(S[r][:n], points[i], strict=True)]
        for first, second, weight in pairs:
            for r, (x, y) in enumerate(zip(F[first], F[second], strict=True)):
                if x or y:
                    x, y = 4 * weight * x << fine, 4 * weight * y << fine
                    S[r] = [v - x * b - y * c for v, b, c in zip(S[r], F[second], F[first], strict=True)]
        return S, unit

    def check(self, u: Fraction, stream: Stream) -> None:
        """‖Gσ(X̃ᵀw)‖ ≤ u on the cone."""
        scale, square = stream.take(), stream.take()
        require(abs(scale) <= 4 * EXPONENT, "cells: the scale is too large")
        room = u - self.slack
        require(square >= 0 and at_most(square * power(-scale), room), "cells: a leaf is not below the bound")
        F = self.forms([stream.index(len(self.path)) for _ in range(stream.take())])
        linear = [stream.take() for _ in self.undecided]
        pairs = [(stream.index(len(F)), stream.index(len(F)), stream.take()) for _ in range(stream.take())]
        require(all(weight >= 0 for _, _, weight in pairs), "cells: a negative multiplier")
        S, _ = self.matrix(scale, square, linear, F, pairs)
        require(semidefinite(S, stream.take), "cells: the matrix of a leaf is not positive semidefinite")


# -- moments: one matrix for all neurons ---------------------------------------------------------------------------------


class Moments:
    """What the parts share: the points over 2**−p with R_i ≥ ‖x̂_i‖, and ĝ_i = g_i·2**e_i over 2**−k."""

    def __init__(self, problem: Problem, space: Space, G: Matrix, g: int, arrays: dict[str, Any]) -> None:
        self.problem, self.n, self.N = problem, space.n, problem.N
        forest = Forest(problem, space, _array(arrays, "exponents", int), [0, 0, 0])
        self.points, self.lengths, self.p, self.bits = forest.points, forest.radius, forest.p, forest.bits + 1
        exponents = forest.exponents
        self.k = max((-(g + exponents[i]) for i in range(self.N) if any(row[i] for row in G)), default=0)
        shifts = [self.k + g + e for e in exponents]
        self.wide = width(G) + max(0, *shifts)
        spend(self.N * problem.m * (500 + self.wide), storage(self.N * problem.m, self.wide))
        self.weights = [[v << shift if v else 0 for v, shift in zip(row, shifts, strict=True)] for row in G]

    def form(self, a: int, signs: Sequence[int]) -> tuple[int, int, int, int]:
        """(i, multiple of ν over 2**−p, of x̂_iᵀw, of z_i) of form a; z_i = ±x̂_iᵀw where there is a sign."""
        kind, i = divmod(a - 1, self.N)
        if a == 0:
            return 0, 1 << self.p, 0, 0
        x, z = (1, -1, 0)[kind], (1, 1, -1)[kind]
        if signs[i]:
            x, z = x + signs[i] * z, 0
        return i, self.lengths[i] if kind == 2 else 0, x, z


def check_moments(
    problem: Problem, space: Space, G: Matrix, g: int, u: Fraction, split: bool, arrays: dict[str, Any]
) -> None:
    """γ(G) ≤ u by a quadratic form in the moments of a neuron, or one for each region of w (SPEC.md, "Moments")."""
    shared = Moments(problem, space, G, g, arrays)
    stream = Stream(_array(arrays, "proof", int))
    for sign in (1, -1) if problem.m == 1 else (0,):
        regions = [[0] * shared.N]
        while regions:
            signs = regions.pop()
            number = stream.index(shared.N + 1) if split else 0
            if number == 0:
                check_moment_part(shared, sign, signs, u, stream)
                continue
            require(not signs[number - 1], "moments: a region is split twice at the same point")
            spend(100 * shared.N, 8 * shared.N)
            regions += [[s if i == number else old for i, old in enumerate(signs, 1)] for s in (-1, 1)]
    stream.end()


def check_moment_part(shared: Moments, sign: int, signs: Sequence[int], u: Fraction, stream: Stream) -> None:
    """One part; sign: that of v for one output, else 0. signs: those of x̂_iᵀw, 0 where it has both."""
    take = stream.take
    scale = take()
    require(abs(scale) <= 4 * EXPONENT, "moments: the scale is too large")
    c_nu = take()
    c_v = 0 if sign else take()
    c_w = take()
    require((c_nu + c_v + c_w) * power(-scale) <= u, "moments: the costs exceed the bound")
    linear = [0 if s else take() for s in signs]
    size = 3 * shared.N + 1
    products: list[tuple[int, int, int]] = []
    at = -1
    count = take()
    require(0 <= count <= size * size, "moments: more products than there are")
    # A product stands in up to six sparse rows.
    spend(3000 * count, 800 * count)
    for _ in range(count):
        gap, weight = take(), take()
        at += gap + 1
        require(gap >= 0 and at < size * size, "moments: a product of forms that do not exist")
        first, second = divmod(at, size)
        require(first <= second, "moments: a product is given twice")
        require(weight >= 0, "moments: a negative multiplier of a product")
        products.append((first, second, weight))
    cones: list[tuple[int, int, Vector]] = []
    at = -1
    count = take()
    require(0 <= count <= size, "moments: more cones than forms")
    spend(count * (3000 + 200 * shared.n), count * (200 + 48 * shared.n))
    for _ in range(count):
        gap, alpha = take(), take()
        at += gap + 1
        require(gap >= 0 and at < size, "moments: a cone of a form that does not exist")
        beta = [take() for _ in range(shared.n)]
        require(alpha >= 0 and dot(beta, beta) <= alpha * alpha, "moments: a multiplier outside the cone")
        cones.append((at, alpha, beta))
    S = moment_matrix(shared, sign, signs, scale, (c_nu, c_v, c_w), linear, products, cones)
    require(semidefinite(S, take), "moments: the matrix is not positive semidefinite")


def moment_matrix(
    shared: Moments,
    sign: int,
    signs: Sequence[int],
    scale: int,
    cost: tuple[int, int, int],
    linear: Sequence[int],
    products: Sequence[tuple[int, int, int]],
    cones: Sequence[tuple[int, int, Vector]],
) -> Matrix:
    """4S of SPEC.md, "Moments", in the variables (ν, v, w, z), over a power of two; the multipliers over 2**−scale."""
    N, n, p, points = shared.N, shared.n, shared.p, shared.points
    m = 0 if sign else shared.problem.m
    free = [i for i, s in enumerate(signs) if not s]
    order = 1 + m + n + len(free)
    (plus, minus), a = dyadic([float(shared.problem.a_plus), float(shared.problem.a_minus)])
    # Over 2**−scale times the units of the forms: νν, νz, ν·x̂, zz, z·x̂, x̂·x̂.
    nu_nu, nu_z, nu_x = 0, [0] * N, [0] * N
    z_z: list[dict[int, int]] = [{} for _ in range(N)]
    z_x: list[dict[int, int]] = [{} for _ in range(N)]
    x_x: list[dict[int, int]] = [{} for _ in range(N)]
    spend(2000 * N + order * order * 8, 400 * N + 8 * order * order)
    for i, value in enumerate(linear):
        z_z[i][i], x_x[i][i] = 4 * value, -4 * value
    for first, second, weight in products:
        i, nu_a, x_a, z_a = shared.form(first, signs)
        j, nu_b, x_b, z_b = shared.form(second, signs)
        weight *= -2
        nu_nu += 2 * weight * nu_a * nu_b
        nu_z[j] += weight * nu_a * z_b
        nu_z[i] += weight * nu_b * z_a
        nu_x[j] += weight * nu_a * x_b
        nu_x[i] += weight * nu_b * x_a
        for both, one, two in ((z_z, z_a, z_b), (x_x, x_a, x_b)):
            both[i][j] = both[i].get(j, 0) + weight * one * two
            both[j][i] = both[j].get(i, 0) + weight * one * two
        z_x[i][j] = z_x[i].get(j, 0) + weight * z_a * x_b
        z_x[j][i] = z_x[j].get(i, 0) + weight * z_b * x_a
    # All of S over 2**−unit; sums of the points over 2**−(scale + 2p) in lanes.
    unit = max(scale + 2 * p, shared.k + p - a)
    fine = unit - scale - 2 * p
    coefficients = max(width(row.values() for row in z_x), width(row.values() for row in x_x), width([nu_x]) - p, 66)
    lane = (coefficients + 2 * max(shared.bits, p) + 3 * N.bit_length() + len(cones).bit_length() + 24) // 8
    entries = sum(map(len, z_x)) + sum(map(len, x_x))
    # A product has a row of n lanes as one of its factors.
    spend((entries + 3 * N) * multiplications(n, coefficients, 8 * lane))
    spend((N * n + len(cones) * (2 * n + 4)) * multiplications(n, shared.bits + 64, 8 * lane))
    spend((2 * (N + n) + len(cones)) * multiplications(n, 8 * lane, 8 * lane))
    large = 8 * lane + fine
    spend(order * order * (500 + large), storage(order * order + N * n, large))
    rows = [packed(row, lane) for row in points]
    w_w, nu_w = [0] * n, sum(map(mul, nu_x, rows))
    z_w = [sum(value * rows[j] for j, value in table.items()) << p for table in z_x]
    for i, table in enumerate(x_x):
        image = sum(value * rows[j] for j, value in table.items())
        if image:
            for k, x in enumerate(points[i]):
                w_w[k] += x * image
    for number, alpha, beta in cones:
        i, nu_a, x_a, z_a = shared.form(number, signs)
        along = packed(beta, lane)
        nu_nu -= 4 * nu_a * alpha << p
        nu_z[i] -= 2 * z_a * alpha << p
        nu_w -= 2 * ((x_a * alpha * rows[i] << p) + (nu_a * along << p))
        z_w[i] -= 2 * z_a * along << 2 * p
        if x_a:
            for k, (x, b) in enumerate(zip(points[i], beta, strict=True)):
                w_w[k] -= 2 * x_a * (x * along + b * rows[i]) << p
    S = [[0] * order for _ in range(order)]
    w, z = 1 + m, 1 + m + n
    S[0][0] = (nu_nu << fine) + (4 * cost[0] << (fine + 2 * p))
    for j in range(1, w):
        S[j][j] = 4 * cost[1] << (fine + 2 * p)
    S[0][w:z] = [v << fine for v in unpacked(nu_w, n, lane)]
    for k, value in enumerate(w_w):
        S[w + k][w:z] = [v << fine for v in unpacked(value, n, lane)]
        S[w + k][w + k] += 4 * cost[2] << (fine + 2 * p)
    for k, i in enumerate(free):
        S[0][z + k] = nu_z[i] << (p + fine)
        for row, v in enumerate(unpacked(z_w[i], n, lane)):
            S[w + row][z + k] = v << fine
        S[z + k][z:] = [z_z[i].get(j, 0) << (2 * p + fine) for j in free]
    # The objective: over 2**(a − k) for z, over 2**(a − k − p) for w.
    shift = unit - shared.k + a
    factor = sign or 1
    for j, weights in enumerate(shared.weights):
        into = S[0] if sign else S[1 + j]
        for k, i in enumerate(free):
            into[z + k] -= factor * (plus - minus) * weights[i] << shift
        signed = [s * weight for s, weight in zip(signs, weights, strict=True)]
        spend((1 + any(signs)) * multiplications(N * (n + 1), shared.wide, shared.bits))
        for k, column in enumerate(zip(*points, strict=True)):
            value = (plus + minus) * dot(weights, column) + (plus - minus) * dot(signed, column)
            into[w + k] -= factor * value << (shift - p)
    for i in range(order):
        for j in range(i):
            S[i][j] = S[j][i]
    return S


# -- plane: one or two dimensions --------------------------------------------------------------------------------------

FINE = 64


def check_plane(problem: Problem, space: Space, G: Matrix, g: int, u: Fraction) -> None:
    """γ(G) ≤ u by visiting every arc of the circle (SPEC.md, "Plane"); nothing is needed from the file."""
    require(space.n <= 2, "plane: the points have more than two coordinates")
    require(u >= 0, "plane: the bound is negative")
    (plus, minus), a = dyadic([float(problem.a_plus), float(problem.a_minus)])
    points = [(row[0], row[1] if space.n == 2 else 0) for row in space.points]
    weights = list(zip(*G, strict=True))
    live = [i for i, (x, y) in enumerate(points) if (x or y) and any(weights[i])]
    # u² over the square of 2**-FINE units of Gσ(X̃ᵀw), rounded down.
    square = math.floor(u * u * power(2 * (FINE - a - g - space.x)))
    reach, large = width(points), width(weights) + width(points) + width([[plus, minus]]) + len(live).bit_length() + 2
    form = max(square.bit_length(), 2 * large + 2 * FINE + problem.m.bit_length()) + 2
    rays_at_most = 2 * len(live) + 4
    spend(rays_at_most * (20_000 + multiplications(30 * rays_at_most.bit_length() + 16, reach, reach)))
    spend(rays_at_most * (multiplications(8 * problem.m, large, large) + multiplications(16, form + reach, reach)))
    spend(rays_at_most * multiplications(4, form + 2 * reach, form + 2 * reach), storage(6 * rays_at_most, reach))
    events = [(axis, 0, 0) for axis in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    for i in live:
        x, y = points[i]
        size = math.gcd(x, y)
        x, y = x // size, y // size
        events += [((-y, x), i, -1), ((y, -x), i, 1)]
    angle = cmp_to_key(_by_angle)
    events.sort(key=lambda event: angle(event[0]))
    rays: list[tuple[int, int]] = []
    flips: list[list[tuple[int, int]]] = []
    for ray, i, sign in events:
        if not rays or ray != rays[-1]:
            rays.append(ray)
            flips.append([])
        if sign:
            flips[-1].append((i, sign))
    start = (rays[0][0] + rays[1][0], rays[0][1] + rays[1][1])
    M = [[0, 0] for _ in range(problem.m)]
    for i in live:
        x, y = points[i]
        slope = plus if x * start[0] + y * start[1] > 0 else minus
        for row, weight in zip(M, weights[i], strict=True):
            row[0] += slope * weight * x
            row[1] += slope * weight * y
    for number, first in enumerate(rays):
        if number:
            for i, sign in flips[number]:
                x, y = points[i]
                for row, weight in zip(M, weights[i], strict=True):
                    factor = sign * (plus - minus) * weight
                    row[0] += factor * x
                    row[1] += factor * y
        second = rays[(number + 1) % len(rays)]
        A = square - (sum(row[0] * row[0] for row in M) << 2 * FINE)
        B = -sum(row[0] * row[1] for row in M) << 2 * FINE
        C = square - (sum(row[1] * row[1] for row in M) << 2 * FINE)
        (x, y), (v, w) = first, second
        one = A * x * x + 2 * B * x * y + C * y * y
        two = A * v * v + 2 * B * v * w + C * w * w
        mixed = A * x * v + B * (x * w + y * v) + C * y * w
        require(
            one >= 0 and two >= 0 and (mixed >= 0 or mixed * mixed <= one * two), "plane: an arc is not below the bound"
        )


def _by_angle(a: tuple[int, int], b: tuple[int, int]) -> int:
    """Compare two rays by their angle in [0, 2π)."""
    upper_a, upper_b = (a[1] > 0 or (a[1] == 0 and a[0] > 0)), (b[1] > 0 or (b[1] == 0 and b[0] > 0))
    if upper_a != upper_b:
        return -1 if upper_a else 1
    cross = a[0] * b[1] - a[1] * b[0]
    return (cross < 0) - (cross > 0)


# -- cones of directions (SPEC.md, "Cones") ----------------------------------------------------------------------------

# Successive midpoints; and θ.
HALVINGS, THETA = 64, 255


def nearest(value: int, e: int) -> int:
    """The integer next to value·2**e, halves upwards."""
    return value << e if e >= 0 else (value + (1 << (-e - 1))) >> -e


class Frame:
    """The integers of a proof by cones. points x̂ (n rows), weights ĥ (n rows of m), linear L̂ (m rows); bound: û of SPEC.md.

    One output: ĥ_i = ±1.
    """

    def __init__(self, problem: Problem, space: Space, G: Matrix, g: int, u: Fraction, bits: Any) -> None:
        require(isinstance(bits, list) and len(bits) == 2 and all(map(_is_int, bits)), "spatial: bits are two integers")
        p, q = bits
        require(abs(p) <= 4 * EXPONENT and abs(q) <= 4 * EXPONENT, "spatial: bits are too many")
        require(problem.m > 1 or q == 0, "spatial: one output has q = 0")
        (plus, minus), a = dyadic([float(problem.a_plus), float(problem.a_minus)])
        kink, x, h = plus - minus, space.x, g + a
        size = width(G) + width(space.points) + kink.bit_length() + abs(x) + abs(h) + abs(p) + abs(q)
        spend(problem.N * (space.n + problem.m) * (2000 + size), storage(problem.N * (space.n + problem.m), size))
        columns = [[kink * v for v in column] for column in zip(*G, strict=True)]
        live = [i for i in range(problem.N) if any(columns[i]) and any(space.points[i])]
        self.n, self.m = space.n, problem.m
        self.points, self.weights = [], []
        # All errors in units of 2**-fine.
        fine = max(p + q, -(x + h), p, q, 0) + 40
        error = 0
        for i in live:
            row, column = space.points[i], columns[i]
            e = max(abs(v) for v in row).bit_length() + x
            if self.m == 1:
                row, column, unit = [abs(column[0]) * v for v in row], [1 if column[0] > 0 else -1], x + h
            else:
                unit = x - e
            points = [nearest(v, unit + p) for v in row]
            weights = column if self.m == 1 else [nearest(v, h + e + q) for v in column]
            self.points.append(points)
            self.weights.append(weights)
            error += _product_error(row, unit, points, -p, column, 0 if self.m == 1 else h + e, weights, -q, fine)
        self.linear = []
        square = Fraction(0)
        spend(multiplications(problem.N * space.n * problem.m, size, width(space.points)))
        for weights in G:
            row = [minus * dot(weights, axis) for axis in zip(*space.points, strict=True)]
            self.linear.append([nearest(v, x + h + p + q) for v in row])
            square += sum(
                (v * power(x + h) - rounded * power(-p - q)) ** 2
                for v, rounded in zip(row, self.linear[-1], strict=True)
            )
        total = error * power(-fine) + fraction_root_up(square)
        require(u >= total, "spatial: the bound is below the error of rounding")
        self.bound = (u - total) * power(p + q)


def _product_error(
    row: Vector, x: int, points: Vector, p: int, column: Vector, h: int, weights: Vector, q: int, fine: int
) -> int:
    """An integer over 2**−fine ≥ ‖h‖‖x − x̂‖ + ‖h − ĥ‖‖x̂‖; row, points, column, weights over 2**x, 2**p, 2**h, 2**q."""
    low = min(x, p)
    rest = norm_up([(v << (x - low)) - (w << (p - low)) for v, w in zip(row, points, strict=True)], low)
    error = norm_up(column, h) * rest
    if h or q:
        low = min(h, q)
        rest = norm_up([(v << (h - low)) - (w << (q - low)) for v, w in zip(column, weights, strict=True)], low)
        error += rest * norm_up(points, p)
    return math.ceil(error * power(fine))


def scan_cones(stream: Iterator[int], count: int, r: int) -> tuple[int, int]:
    """(most successive midpoints, most open nodes) of the tree of one orthant; `count` edges."""
    edges = [(a, b) for a in range(r) for b in range(a + 1, r)]
    stack = [(0,) * r]
    most, deepest = 0, 1
    while stack:
        halvings = stack.pop()
        code = next(stream)
        if code:
            require(0 < code <= count, "spatial: no such edge")
            a, b = edges[code - 1]
            e = max(halvings[a], halvings[b]) + 1
            require(e <= HALVINGS, "spatial: too many midpoints")
            stack.append((*halvings[:a], e, *halvings[a + 1 :]))
            stack.append((*halvings[:b], e, *halvings[b + 1 :]))
            most, deepest = max(most, e), max(deepest, len(stack))
    return most, deepest


def nodes_of_cones(stream: Iterator[int], r: int) -> Iterator[tuple[int, Vector]]:
    """Of each node of the tree of one orthant how many children it has, and its counts: itself, its θ."""
    pending = 1
    while pending:
        inner = next(stream) != 0
        pending += 1 if inner else -1
        yield 2 * inner, [1, r * (not inner)]


class Packed:
    """`count` signed integers in one: Σ s_i 2**(8·size·i), |s_i| < 2**(bits − 1).

    size: bytes of a lane; for `positive` and `chosen` with room for sums of all.
    """

    def __init__(self, count: int, bits: int, size: int) -> None:
        self.count, self.bits, self.size = count, bits, size
        ones = int.from_bytes((b"\x01" + bytes(size - 1)) * count, "little")
        self.top = ones << (bits - 1)
        self.work = 200 + (8 * size * count >> 5)  # of one operation
        self.folds = []
        while count > 1:
            count = (count + 1) // 2
            self.folds.append((8 * size * count, (1 << 8 * size * count) - 1))

    def pack(self, values: Iterable[int]) -> int:
        """The integer of these lanes."""
        half, size = 1 << (self.bits - 1), self.size
        return int.from_bytes(b"".join([(v + half).to_bytes(size, "little") for v in values]), "little") - self.top

    def signs(self, packed: int) -> int:
        """Bit bits − 1 of each lane with s ≥ 0."""
        return (packed + self.top) & self.top

    def total(self, lanes: int) -> int:
        """The sum of lanes that are all ≥ 0."""
        for shift, mask in self.folds:
            lanes = (lanes & mask) + (lanes >> shift)
        return lanes

    def positive(self, packed: int, signs: int) -> int:
        """Σ max(s_i, 0)."""
        return self.total((packed + self.top) & (signs - (signs >> (self.bits - 1))))

    def choice(self, signs: int) -> tuple[int, int]:
        """The bits of the lanes with a bit in `signs`, and what these lanes have too much."""
        mask = (signs << 1) - (signs >> (self.bits - 1))
        return mask, signs.bit_count() << (self.bits - 1)

    def chosen(self, packed: int, choice: tuple[int, int]) -> int:
        """Σ s_i over the lanes of a choice."""
        return self.total((packed + self.top) & choice[0]) - choice[1]

    def selectors(self, signs: int) -> bytes:
        """A byte for each lane, 0 where it has no bit in `signs`."""
        raw = signs.to_bytes(self.size * self.count, "little")
        return raw[(self.bits - 1) // 8 :: self.size]

    @cached_property
    def reader(self) -> Struct:
        """What reads all lanes; eight bytes are a number at once."""
        return Struct("<" + ("Q" if self.size == 8 else f"{self.size}s") * self.count)

    def numbers(self, packed: int, selectors: bytes) -> Iterable[int]:
        """The selected lanes, one by one."""
        raw = (packed + self.top).to_bytes(self.size * self.count, "little")
        read = compress(self.reader.unpack(raw), selectors)
        half = repeat(1 << (self.bits - 1))
        return map(sub, read if self.size == 8 else [int.from_bytes(v, "little") for v in read], half)

    def all(self, packed: int) -> Vector:
        """The lanes, one by one."""
        return list(self.numbers(packed, b"\x01" * self.count))

    def ordered(self, a: int, b: int) -> tuple[int, int]:
        """The larger and the smaller of two in each lane; |a_i − b_i| < 2**(bits − 1)."""
        rest = a - b + self.top
        signs = rest & self.top
        more = rest & (signs - (signs >> (self.bits - 1)))
        return b + more, a - more

    def extremes(self, packed: Sequence[int]) -> tuple[int, int]:
        """The largest and the smallest of the values of each lane in several integers."""
        largest = smallest = packed[0]
        for other in packed[1:]:
            largest, smallest = self.ordered(largest, other)[0], self.ordered(smallest, other)[1]
        return largest, smallest

    def taker(self, selectors: bytes) -> Struct:
        """What takes the selected lanes out of the bytes of all."""
        skipped, taken = f"{self.size}x", f"{self.size}s"
        return Struct("=" + "".join([taken if selected else skipped for selected in selectors]))

    def kept(self, packed: int, taker: Struct, lanes: Packed) -> int:
        """The lanes that are taken, packed into `lanes`."""
        raw = (packed + self.top).to_bytes(self.size * self.count, "little")
        return int.from_bytes(b"".join(taker.unpack(raw)), "little") - lanes.top


# A vertex 2**e·u: (coordinates, e, folded sums (m), sums with all convex points (m), its groups of lanes, their signs).
Vertex = tuple[Vector, int, Vector, Vector, list[int], list[int]]


class Cones:
    """The proof that ‖f̂‖ ≤ û‖w‖ for one sign.

    Points are in groups: one output: ĥ > 0, then ĥ < 0; several: all of them, whose weights are numbers of their own: (ĥ_i, ‖ĥ_i‖
    rounded up) in one, so that one sum over points is m + 1 of them.
    """

    def __init__(self, frame: Frame, sign: int, halvings: int) -> None:
        self.m, self.n, self.one = frame.m, frame.n, frame.m == 1
        self.weights: Vector = []
        self.each = 0
        if self.one:
            signed = [(x, h[0] * sign) for x, h in zip(frame.points, frame.weights, strict=True)]
            rows = [[x for x, h in signed if h > 0], [x for x, h in signed if h < 0]]
        else:
            rows = [frame.points]
        self.numerator, self.denominator = frame.bound.numerator, frame.bound.denominator
        self.edges = [(a, b) for a in range(self.n) for b in range(a + 1, self.n)]
        # At a vertex |2**e·u|₁ = 2**e. One output adds θ_j times the values there, and all lanes; several take differences.
        bits, count = width(frame.points) + halvings + 2, len(frame.points).bit_length()
        if self.one:
            bits += (self.n * THETA).bit_length()
            size = (bits + count + 8) // 8
        else:
            size = max(bits + 7, 64) // 8
            norms = [root_up(dot(h, h)) for h in frame.weights]
            wide = (bits + width([norms]) + count + 8) // 8
            self.sums = Packed(self.m + 1, 8 * wide, wide)
            self.weights = [self.sums.pack([*h, norm]) for h, norm in zip(frame.weights, norms, strict=True)]
            # What a lane costs that is read and multiplied by its weight.
            self.each = 100 + multiplications(1, bits, 8 * wide * (self.m + 1))
        # What a leaf costs besides its lanes: inequalities between products of a few integers, roots.
        long = max(self.numerator.bit_length(), self.denominator.bit_length()) + 2 * (bits + FINE)
        self.price = multiplications(4 * self.n * self.m, long, long) + 1000 * self.m
        self.lanes = [Packed(len(group), bits, size) for group in rows]
        # e_j as a vertex: its packed groups and L̂e_j.
        self.axes = [
            ([group.pack([x[j] for x in xs]) for group, xs in zip(self.lanes, rows, strict=True)],
             [sign * row[j] for row in frame.linear])
            for j in range(self.n)
        ]  # fmt: skip

    def root(self, signs: Sequence[int]) -> list[Vertex]:
        """The vertices of one orthant."""
        vertices = []
        for j, (s, (packed, fold)) in enumerate(zip(signs, self.axes, strict=True)):
            u = [s * (k == j) for k in range(self.n)]
            vertices.append(self.vertex(self.lanes, self.weights, u, 0, [s * v for v in fold], [s * p for p in packed]))
        return vertices

    def weighted(self, group: Packed, packed: int, signs: int, weights: Vector) -> Vector:
        """Σ ĥ_i s_i over the lanes with a bit in `signs`."""
        selectors = group.selectors(signs)
        return self.sums.all(sum(map(mul, group.numbers(packed, selectors), compress(weights, selectors))))[:-1]

    def vertex(
        self, lanes: list[Packed], weights: Vector, u: Vector, e: int, fold: Vector, packed: list[int]
    ) -> Vertex:
        """A vertex with its sums."""
        signs = [group.signs(p) for group, p in zip(lanes, packed, strict=True)]
        if self.one:
            value = [fold[0] + lanes[0].positive(packed[0], signs[0])]
        else:
            value = list(map(add, fold, self.weighted(lanes[0], packed[0], signs[0], weights)))
        return u, e, fold, value, packed, signs

    def middle(self, lanes: list[Packed], weights: Vector, one: Vertex, two: Vertex) -> Vertex:
        """The midpoint of an edge."""
        e = max(one[1], two[1]) + 1
        s, t = e - 1 - one[1], e - 1 - two[1]
        u, fold, packed = (
            [(v << s) + (w << t) for v, w in zip(one[part], two[part], strict=True)]  # type: ignore[arg-type]
            for part in (0, 2, 4)
        )
        return self.vertex(lanes, weights, u, e, fold, packed)

    def folded(
        self, lanes: list[Packed], vertices: list[Vertex], weights: Vector
    ) -> tuple[list[Packed], list[Vertex], Vector]:
        """The same cone without points that it decides, if at least half of the lanes hold such."""
        for group, old in enumerate(lanes):
            every = some = vertices[0][5][group]
            for vertex in vertices[1:]:
                every &= vertex[5][group]
                some |= vertex[5][group]
            open_lanes = some ^ every
            count = open_lanes.bit_count()
            if 2 * count > old.count or old.count < 8:
                continue
            spend((300 + self.each) * old.count * len(vertices))
            selectors = old.selectors(open_lanes)
            taker, choice = old.taker(selectors), old.choice(every)
            new = Packed(count, old.bits, old.size)
            changed: list[Vertex] = []
            for u, e, fold, value, packed, signs in vertices:
                if self.one:
                    on = old.chosen(packed[group], choice)
                    fold = [fold[0] + (on if group == 0 else -on)]
                    value = value if group == 0 else [value[0] - on]
                else:
                    fold = list(map(add, fold, self.weighted(old, packed[0], every, weights)))
                packed = [old.kept(p, taker, new) if k == group else p for k, p in enumerate(packed)]
                signs = [new.signs(packed[k]) if k == group else s for k, s in enumerate(signs)]
                changed.append((u, e, fold, value, packed, signs))
            vertices = changed
            lanes = [new if k == group else v for k, v in enumerate(lanes)]
            weights = list(compress(weights, selectors))
        return lanes, vertices, weights

    def leaf(self, lanes: list[Packed], vertices: list[Vertex], weights: Vector, theta: Sequence[int]) -> bool:
        """Whether ‖w‖F_j ≤ û wᵀu_j for all j."""
        top = max(vertex[1] for vertex in vertices)
        factors = [t << (top - vertex[1]) for t, vertex in zip(theta, vertices, strict=True)]
        w = [dot(factors, axis) for axis in zip(*(vertex[0] for vertex in vertices), strict=True)]
        size = root_up(dot(w, w) << 2 * FINE)
        F = self.concave(lanes[1], vertices, factors) if self.one else self.spread(lanes, vertices, weights, top)
        den, num = self.denominator, self.numerator
        return size > 0 and all(
            den * size * f <= num * dot(w, vertex[0]) << (e + FINE) for (f, e), vertex in zip(F, vertices, strict=True)
        )

    def concave(self, group: Packed, vertices: list[Vertex], factors: Sequence[int]) -> list[tuple[int, int]]:
        """(2**e·F_j, 0) with e that of the vertex, for one output."""
        if not group.count:
            return [(vertex[3][0], 0) for vertex in vertices]
        total = sum(t * vertex[4][1] for t, vertex in zip(factors, vertices, strict=True) if t)
        on = group.choice(group.signs(total - (group.top >> (group.bits - 1))))  # integers: s > 0 is s − 1 ≥ 0
        return [(vertex[3][0] - group.chosen(vertex[4][1], on), 0) for vertex in vertices]

    def spread(self, lanes: list[Packed], vertices: list[Vertex], weights: Vector, top: int) -> list[tuple[int, int]]:
        """(2**(top + 1)·F_j rounded up, top + 1 − e) with e that of the vertex, for several outputs."""
        group = lanes[0]
        every = some = vertices[0][5][0]
        for vertex in vertices[1:]:
            every &= vertex[5][0]
            some |= vertex[5][0]
        undecided = some ^ every
        count = undecided.bit_count()
        spend(self.each * (2 * group.count + count) + 500 * count)
        *shift, spread = [0] * (self.m + 1)
        if count:
            selectors = group.selectors(undecided)
            # The smallest is below 0, the largest is not.
            values = group.extremes([vertex[4][0] << (top - vertex[1]) for vertex in vertices])
            p, q = (group.numbers(each, selectors) for each in values)
            errors = [-(a * b // (a - b)) for a, b in zip(p, q, strict=True)]
            *shift, spread = self.sums.all(sum(map(mul, errors, compress(weights, selectors))))
        result = []
        for vertex in vertices:
            k = top + 1 - vertex[1]
            rest = [(v << k) - a for v, a in zip(vertex[3], shift, strict=True)]
            result.append((root_up(dot(rest, rest)) + spread, k))
        return result

    def check(self, signs: Sequence[int], tree: Stream, thetas: Stream, left_out: dict[int, Vector]) -> None:
        """The tree of one orthant, without the parts that are left out."""
        take, theta, number = tree.take, thetas.take, 0
        parts = len(self.lanes)
        spend(sum(group.work for group in self.lanes) * 12 * self.n)
        open_cones = [(self.lanes, self.root(signs), self.weights, 0)]
        while open_cones:
            lanes, vertices, weights, age = open_cones.pop()
            if number in left_out:
                nodes, numbers = left_out[number]
                tree.skip(nodes)
                thetas.skip(numbers)
                number += nodes
                continue
            number += 1
            code = take()
            work = 800 * self.m + sum(group.work for group in lanes)
            if not code:
                spend(4 * len(vertices) * work + self.price)
                given = [theta() for _ in vertices]
                require(all(0 <= t <= THETA for t in given), "spatial: theta is out of its range")
                require(self.leaf(lanes, vertices, weights, given), "spatial: a cone is not below the bound")
                continue
            spend((8 + 2 * parts) * work + self.each * lanes[0].count)
            a, b = self.edges[code - 1]
            if age >= 2:
                lanes, vertices, weights = self.folded(lanes, vertices, weights)
                age = 0
            middle = self.middle(lanes, weights, vertices[a], vertices[b])
            for out in (a, b):  # the cone without b is visited first
                open_cones.append((lanes, [*vertices[:out], middle, *vertices[out + 1 :]], weights, age + 1))


def check_spatial(
    problem: Problem, space: Space, G: Matrix, g: int, u: Fraction, bits: Any, arrays: dict[str, Any]
) -> None:
    """γ(G) ≤ u by cones of directions (SPEC.md, "Cones")."""
    r = space.n
    require(2 <= r <= RANK, "spatial: the points must have 2 to 12 coordinates")
    frame = Frame(problem, space, G, g, u, bits)
    tree, theta = _array(arrays, "proof", int), Stream(_array(arrays, "theta", int))
    stream, scanned = Stream(tree), iter(tree)
    spend(1000 * len(tree))
    edges, orthants = r * (r - 1) // 2, list(product((1, -1), repeat=r))
    share = SHARE.get()
    for sign in (1, -1) if problem.m == 1 else (1,):
        shapes = [scan_cones(scanned, edges, r) for _ in orthants]
        halvings, deepest = (max(numbers) for numbers in zip(*shapes, strict=True))
        bits = max(map(width, (frame.points, frame.weights))) * min(problem.m, 2) + halvings + 32
        lanes = len(frame.points)
        held = (deepest + 3 * r) * storage(2, 2 * lanes * bits) + (r + 1) * storage(lanes, bits * (1 + problem.m))
        spend(r * (1 + problem.m) * lanes * (500 + bits), held)
        cones = Cones(frame, sign, halvings)
        for signs in orthants:
            left_out = share.left_out(nodes_of_cones(copy(stream.values), r), len(tree)) if share.of > 1 else {}
            cones.check(signs, stream, theta, left_out)
        spend(0, -held)
    stream.end()
    theta.end()


# -- claims ------------------------------------------------------------------------------------------------------------


def check_minimum(header: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """lower ≤ P* ≤ upper for the minimum P* of L_λ over networks with one hidden layer of any width."""
    problem = Problem(header["problem"], arrays)
    upper = None if header["upper"] is None else check_upper(problem, header["upper"], arrays)
    lower = None if header["lower"] is None else check_lower(problem, header["lower"], arrays)
    require(upper is not None or lower is not None, "the certificate claims nothing")
    return {"kind": "minimum", "sha256": problem.sha256, "lower": lower, "upper": upper}


def check_infeasible(header: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """No network fits the targets exactly: Zc = 0 for every network, and Yc ≠ 0."""
    problem = Problem(header["problem"], arrays)
    require(problem.loss == "interpolate", "only interpolation can be infeasible")
    relation = _relation(problem, header["relation"])
    check_relation(problem, relation)
    violated = any(sum(c * row[i] for i, c in relation.items()) != 0 for row in problem.Y)
    require(violated, "the targets obey the relation")
    return {"kind": "infeasible", "sha256": problem.sha256}


CLAIMS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]]] = {
    "minimum": (("problem", "upper", "lower"), check_minimum),
    "infeasible": (("problem", "relation"), check_infeasible),
}


def check(content: bytes) -> dict[str, Any]:
    """The claim that the certificate proves, as a dictionary. Raises Rejected with the reason if it proves none."""
    return check_share(content, 0, 1)[0]


def work_of(size: int) -> int:
    """What a file of so many bytes may cost."""
    return WORK + WORK_RATE * size * size


def check_share(content: bytes, number: int, of: int) -> tuple[dict[str, Any], float]:
    """(the claim, the work) of a check that leaves out parts of the proof, which the others of `of` such checks look into.

    The claim is proven if it is that of all numbers 0 … of − 1, and if their works add up to no more than `work_of` allows. Raises
    Rejected.
    """
    size = len(content)
    memory = min(MEMORY + MEMORY_RATE * size, MEMORY_MOST)
    budget = Budget(work_of(size), memory)
    token, share = BUDGET.set(budget), SHARE.set(Share(number, of))
    try:
        return _claim(content), work_of(size) - budget.work
    except StopIteration:
        raise Rejected("the proof is cut off") from None
    except MemoryError:
        raise Rejected("memory ran out") from None
    except (ArithmeticError, ValueError, TypeError, LookupError, RuntimeError) as error:
        # Nothing of the kind is expected; whatever it is, it is no proof.
        raise Rejected(f"the numbers cannot be computed with ({type(error).__name__}: {str(error)[:60]})") from None
    finally:
        BUDGET.reset(token)
        SHARE.reset(share)


def _claim(content: bytes) -> dict[str, Any]:
    header, arrays = parse(content)
    claim = header.get("claim")
    require(isinstance(claim, str) and claim in CLAIMS, f"the claim {_shown(claim)} is unknown")
    keys, checker = CLAIMS[claim]  # type: ignore[index]
    _fields(header, ("claim", "created_by", *keys), "the header")
    require(isinstance(header["created_by"], str), "created_by is not a text")
    result = checker(header, arrays)
    require(not arrays, f"arrays that prove nothing: {', '.join(map(_shown, sorted(arrays)))}")
    return result


def read(path: Path) -> bytes:
    """The bytes of a file, only the first if it is no certificate; OSError if it cannot be read."""
    require(path.stat().st_size < FILE_BYTES, "the file is too long")
    with path.open("rb") as file:
        content = file.read(len(MAGIC))
        # Other files are rejected for their first bytes: no more is needed of them.
        return content + file.read(FILE_BYTES - len(content)) if content == MAGIC else content


def main(arguments: Sequence[str]) -> int:
    """Check one file; 0 accepted, 1 rejected, 2 not readable."""
    if len(arguments) != 1:
        print("usage: check.py FILE", file=sys.stderr)
        return 2
    try:
        print(f"accepted: {json.dumps(check(read(Path(arguments[0]))))}")
        return 0
    except OSError as error:
        print(f"{arguments[0]}: {error.strerror or error}", file=sys.stderr)
        return 2
    except Rejected as error:
        print(f"rejected: {error}")
    except MemoryError:
        print("rejected: memory ran out")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
