"""The checker of global bounds for networks of depth 3 and more: one file, the standard library, exact arithmetic.

    python deep_check.py FILE     prints the claim; exit code 0 accepted, 1 rejected, 2 the file cannot be read

The claim is lower <= P* <= upper, P* the infimum of C(Z_L) + λ Σ‖W_ℓ‖_F² over networks of one depth and any widths. DEEP.md beside
this file says what is checked and why it proves the claim. Nothing is taken from the file but numbers: whatever is missing,
superfluous, not finite, too large or not proven raises `Rejected`. This file imports nothing of cpcert and can be copied; the
container, the numbers and the losses are those of check.py.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from fractions import Fraction
from itertools import chain, combinations, compress, islice, product, zip_longest
from math import isqrt
from operator import add, mul
from pathlib import Path
from typing import Any

MAGIC = b"cpdeep\x00\x01"
# Limits: a file beyond them is rejected before its numbers are touched.
FILE_BYTES, HEADER_BYTES, FLOAT_BYTES, INT_BYTES, MEMORY_BYTES = 1 << 29, 1 << 26, 1 << 26, 1 << 29, 1 << 27
ARRAYS, EXPONENT, HEADER_DIGITS = 128, 1100, 400
# What a file of s bytes may cost (DEEP.md, "Limits"): WORK + WORK_RATE·s² units of about a nanosecond, and
# MEMORY + MEMORY_RATE·s bytes, up to MEMORY_MOST.
WORK, WORK_RATE = 5 * 10**10, 32
MEMORY, MEMORY_RATE, MEMORY_MOST = 1 << 26, 1 << 13, 1 << 33
# Coordinates of the points, bits of a ray and of a vertex of a cell, classes of directions, dual points, layers.
RANK, RAY_BITS, CLASSES, ITEMS, DEPTH = 8, 2048, 62, 4096, 64
# Points of a proof by patterns, and by classes of top neurons.
PATTERN_POINTS, TOP_POINTS = 10, 1024

Vector = list[int]
Matrix = list[list[int]]


class Rejected(Exception):
    """The certificate proves nothing; the message says why."""


def require(condition: bool, reason: str) -> None:
    """Raise Rejected(reason) unless the condition holds."""
    if not condition:
        raise Rejected(reason)


# -- the budget (DEEP.md, "Limits") ------------------------------------------------------------------------------------


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


# -- rationals, rounded up ---------------------------------------------------------------------------------------------

# Numbers that are rounded have so many bits.
WORD = 96


def length(value: Fraction) -> int:
    """The bits of numerator and denominator."""
    return value.numerator.bit_length() + value.denominator.bit_length()


def fraction(bits: int) -> int:
    """The work of a sum, a product or a quotient of fractions with so many bits, and of a greatest common divisor."""
    return 3000 + 8 * bits + (bits * bits >> 8)


def exponent(value: Fraction) -> int:
    """e with |value| < 2**e, at most 2 more than needed."""
    return value.numerator.bit_length() - value.denominator.bit_length() + 1


def up(value: Fraction, e: int) -> int:
    """⌈value/2**e⌉."""
    scaled = value / power(e)
    return -(-scaled.numerator // scaled.denominator)


def short(value: Fraction) -> Fraction:
    """A rational ≥ value of WORD bits over a power of two; 0 stays 0, and what is less does not become more than 0."""
    e = exponent(value) - WORD
    return up(value, e) * power(e)


# -- the problem (SPEC.md, "Problem") ----------------------------------------------------------------------------------

LOSSES = ("mse", "cross_entropy", "logistic")


class Problem:
    """The numbers of the instance. X: points as rows of X̃ over 2**x; Y: targets, a row an output, over 2**y."""

    def __init__(self, header: Any, arrays: dict[str, Any]) -> None:
        names = ("loss", "a_plus", "a_minus", "lambda", "beta", "depth", "N", "n0", "m", "sha256")
        self.loss, *numbers, depth, N, n0, m, digest = _fields(header, names, "problem")
        a_plus, a_minus, lam, beta = (_number(v, name) for v, name in zip(numbers, names[1:5], strict=True))
        require(self.loss in LOSSES, f"the loss {_shown(self.loss)} is unknown or only for depth 2")
        require(all(_is_int(v) and v > 0 for v in (depth, N, n0, m)), "depth, N, n0 and m must be positive integers")
        require(3 <= depth <= DEPTH, f"this claim is about networks of depth 3 to {DEPTH}")
        require(lam > 0.0, "lambda must be positive")
        self.depth, self.N, self.m, self.n0, self.n = depth, N, m, n0, n0 + (beta != 0.0)
        self.a_plus, self.a_minus = Fraction(a_plus), Fraction(a_minus)
        self.lam, self.beta = Fraction(lam), Fraction(beta)
        X, Y = _array(arrays, "X", float), _array(arrays, "Y", float)
        require(len(X) == N * n0 and len(Y) == N * m, "X or Y has the wrong number of entries")
        spend(4000 * N * (self.n + m), 8 * N * self.n)
        words = (
            f"cpcert-problem 1 loss={self.loss} a_plus={a_plus.hex()} a_minus={a_minus.hex()} "
            f"lambda={lam.hex()} beta={beta.hex()} depth={depth} N={N} n0={n0} m={m}\n"
        )
        hashed = hashlib.sha256(words.encode("ascii") + _little_endian(X) + _little_endian(Y)).hexdigest()
        require(digest == hashed, "the hash is not that of the problem's numbers")
        self.sha256 = hashed
        rows = (X[i * n0 : (i + 1) * n0] + array("d", [beta] * (beta != 0.0)) for i in range(N))
        self.X, self.x = matrix(array("d", chain.from_iterable(rows)), N, self.n, "X")
        columns, self.y = matrix(Y, N, m, "Y")
        self.Y = [list(row) for row in zip(*columns, strict=True)]
        self.weights, self.w = [1] * N, 0
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


# -- losses (SPEC.md, "Upper bound" and "Lower bound") -----------------------------------------------------------------


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


def dual_value(problem: Problem, G: Matrix, g: int, s: Fraction) -> Fraction:
    """A rational ≤ D(sG) = −C*(−sG) − (β²/4λ)‖sG1‖²; exact for mse."""
    bits = width(G) + width(problem.Y) + abs(g) + abs(problem.y)
    spend(8 * fraction(2 * (bits + length(s) + length(problem.lam) + length(problem.beta))))
    sums = sum(sum(row) ** 2 for row in G) * power(2 * g)
    return conjugate_lower(problem, G, g, s) - problem.beta**2 / (4 * problem.lam) * sums * s * s


def conjugate_lower(problem: Problem, G: Matrix, g: int, s: Fraction) -> Fraction:
    """A rational ≤ −C*(−sG); exact for mse. Rejects an sG outside the domain."""
    N, unit = problem.N, power(g + problem.y)
    bits = max(width(G), width(problem.Y))
    spend(multiplications(8 * N * problem.m, bits, bits))
    if problem.loss == "mse":
        linear = s * sum(dot(a, b) for a, b in zip(G, problem.Y, strict=True)) * unit
        return linear - s * s * Fraction(N, 4) * sum(dot(a, a) for a in G) * power(2 * g)
    bits += abs(g) + abs(problem.y) + length(s)
    spend(N * problem.m * logarithm(bits))
    total = Fraction(0)
    scale = N * s * power(g)
    if problem.loss == "logistic":
        for gs, ys in zip(G, problem.Y, strict=True):
            for v, y in zip(gs, ys, strict=True):
                p = scale * (v if y > 0 else -v)
                require(0 <= p <= 1, "lower: the dual point leaves the domain of the logistic loss")
                for q in (p, 1 - p):
                    if 0 < q < 1:
                        total += q * log_bounds(q.denominator, q.numerator)[0]
        return total / N
    for i in range(N):
        labels = [row[i] * power(problem.y) for row in problem.Y]
        mass = sum(labels)
        for y, row in zip(labels, G, strict=True):
            p = y - scale * row[i]
            require(p >= 0, "lower: the dual point leaves the domain of the cross-entropy")
            if p and p != mass:
                ratio = mass / p
                total += p * log_bounds(ratio.numerator, ratio.denominator)[0]
    return total / N


# -- proofs as streams of integers, and norms --------------------------------------------------------------------------


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


# -- the upper bound: a network (DEEP.md, "Upper bound") ---------------------------------------------------------------


def check_upper(problem: Problem, proof: Any, arrays: dict[str, Any]) -> float:
    """The proven upper bound: the loss of the network in the file is at most this."""
    value, widths = _fields(proof, ("value", "widths"), "upper")
    value = _number(value, "upper")
    require(network_loss(problem, widths, arrays) <= Fraction(value), "upper: the network's loss is larger")
    return value


def network_loss(problem: Problem, widths: Any, arrays: dict[str, Any]) -> Fraction:
    """A rational ≥ the loss of the network in the file, exact for mse. widths: of the hidden layers."""
    require(isinstance(widths, list) and all(_is_int(w) and w >= 0 for w in widths), "upper: the widths are no numbers")
    require(len(widths) == problem.depth - 1, "upper: a width for each hidden layer")
    layers = []
    cost = Fraction(0)
    columns = problem.n
    for layer, rows in enumerate([*widths, problem.m], start=1):
        W, w = matrix(_array(arrays, f"W{layer}", float), rows, columns, f"W{layer}")
        size = width(W)
        spend(multiplications(rows * (columns + 2), size, size))
        cost += sum(dot(row, row) for row in W) * power(2 * w)
        layers.append((W, w))
        columns = rows + (problem.beta != 0)
    Z, z = network_outputs(problem, layers)
    # Z and Y over one power of two.
    e = min(z, problem.y)
    bits = max(width(Z) + z, width(problem.Y) + problem.y) - e
    spend(multiplications(4 * problem.N * problem.m, bits, bits), storage(2 * problem.N * problem.m, bits))
    Z = [[v << (z - e) for v in row] for row in Z]
    Y = [[v << (problem.y - e) for v in row] for row in problem.Y]
    return loss_upper(problem, Z, Y, e) + problem.lam * cost


def network_outputs(problem: Problem, layers: Sequence[tuple[Matrix, int]]) -> tuple[Matrix, int]:
    """Z_L, exactly: (rows of integers, e). layers: W_1, …, W_L, each over a power of two."""
    (plus, minus), a = dyadic([float(problem.a_plus), float(problem.a_minus)])
    (bias,), b = dyadic([float(problem.beta)])
    # What enters a layer: integers of so many bits over 2**e, e ≤ b since β stands in X̃; β is shifted to that.
    e, bits, shifts = problem.x, width(problem.X), []
    for layer, (W, w) in enumerate(layers, start=1):
        size, columns = width(W), len(W[0]) if W else 0
        spend(problem.N * multiplications(len(W) * columns, size, bits))
        bits, e = size + bits + columns.bit_length(), e + w
        if layer < len(layers):
            e += a
            shifts.append(b - e if problem.beta else 0)
            bits = max(bits + width([[plus, minus]]), bias.bit_length() + shifts[-1])
        spend(problem.N * multiplications(4 * len(W) + 4, 64, bits), storage(2 * len(W) + 2, bits))
    spend(0, storage(problem.N * problem.m, bits))
    outputs = []
    for values in problem.X:  # one point at a time: all hidden values at once may be many
        for (W, _), shift in zip(layers, shifts, strict=False):
            sums = (dot(row, values) for row in W)
            values = [(plus if z > 0 else minus) * z for z in sums]
            if problem.beta:
                values.append(bias << shift)
        outputs.append([dot(row, values) for row in layers[-1][0]])
    return [list(row) for row in zip(*outputs, strict=True)], e


# -- directions of the first layer: γ_c(q) (DEEP.md, "Directions") -----------------------------------------------------

# Values of f are kept in units of 2**-FINE of the unit of the integers; stretches in units of 2**-STEP.
FINE, STEP = 32, 20


class Simplex:
    """A cone spanned by r rays (their numbers).

    crossing: the points whose sign changes in it; below[j]: how much their activation may be larger than the chosen linear
    piece, at ray j. stretch: Σ t_j‖r_j‖ ≤ stretch·‖Σ t_j r_j‖ on it, over 2**STEP. bits: of its rays.
    """

    def __init__(self, rays: tuple[int, ...]) -> None:
        self.rays = rays
        self.crossing: list[int] = []
        self.below: Matrix = []
        self.stretch = self.bits = self.group = 0


class Directions:
    """Upper bounds of γ_c(q) = max |Σ q_i σ(x_iᵀw)| over the unit ball and the directions of class c.

    The rays cut R^r into simplicial cones; on one of them f is bounded by a function that is linear there, and that one's
    maximum over the cone and the ball is attained inside a face: √(FᵀG⁻¹F), G the Gram matrix of the rays of the face, F the
    values at them, where G⁻¹F ≥ 0.
    """

    def __init__(self, problem: Problem, lower: dict[str, Any], arrays: dict[str, Any]) -> None:
        self.problem, self.count = problem, lower["classes"]
        require(_is_int(self.count) and 1 <= self.count <= CLASSES, "directions: the number of classes is wrong")
        self.points, self.x, self.stretch = problem.X, problem.x, Fraction(1)
        # How far the points lie from what the coordinates say: integers over 2**rest.
        self.residual, self.rest = [0] * problem.N, 0
        if lower["coordinates"] is True:
            self._coordinates(arrays)
        else:
            require(lower["coordinates"] is False, "directions: coordinates are given or not")
        self.r = len(self.points[0])
        require(self.r <= RANK, "directions: the points have too many coordinates")
        (self.plus, self.minus), self.a = dyadic([float(problem.a_plus), float(problem.a_minus)])
        self.rays: list[tuple[int, ...]] = [
            tuple(side * (j == k) for k in range(self.r)) for j in range(self.r) for side in (1, -1)
        ]
        self.squares: dict[int, list[Fraction]] = {}
        self.faces: dict[tuple[int, ...], tuple[Matrix, int]] = {}
        self.simplices = [
            Simplex(tuple(2 * j + s for j, s in enumerate(signs))) for signs in product((0, 1), repeat=self.r)
        ]
        self._bisect(Stream(_array(arrays, "cover", int)))
        groups = _array(arrays, "classes", int)
        require(len(groups) == len(self.simplices), "directions: a class for each cone")
        for simplex, group in zip(self.simplices, groups, strict=True):
            require(0 <= group < self.count, "directions: a class that does not exist")
            simplex.group = group
        self._values_at_rays()
        for simplex in self.simplices:
            self._prepare(simplex)
        self.crossings = sum(len(simplex.crossing) for simplex in self.simplices)

    def _coordinates(self, arrays: dict[str, Any]) -> None:
        """x_i ≈ Qx̂_i: γ(q; X̃) ≤ ‖Q‖γ(q; X̂) + max(|a₊|, |a₋|) Σ|q_i|‖x_i − Qx̂_i‖."""
        problem = self.problem
        basis = _array(arrays, "basis", float)
        r = len(basis) // problem.n
        require(0 < r <= RANK, "directions: no basis")
        Q, q = matrix(basis, problem.n, r, "basis")
        self.points, self.x = matrix(_array(arrays, "coordinates", float), problem.N, r, "coordinates")
        self.stretch = _stretch(list(zip(*Q, strict=True)), q)
        low = min(q + self.x, problem.x)
        spend(multiplications(problem.N * problem.n * r, width(Q), width(self.points)))
        spend(problem.N * problem.n * (500 + width(problem.X) + problem.x - low + q + self.x - low))
        distances = []
        for old, new in zip(problem.X, self.points, strict=True):
            error = [
                (v << (problem.x - low)) - (dot(row, new) << (q + self.x - low)) for v, row in zip(old, Q, strict=True)
            ]
            distances.append(norm_up(error, low))
        self.rest = exponent(max(distances)) - WORD
        self.residual = [up(distance, self.rest) for distance in distances]

    def _bisect(self, stream: Stream) -> None:
        """Cut cones in two at rays 2**p·s·r_a + t·r_b: the cover stays one whatever the numbers are."""
        # As texts: how integers are hashed is known, so a file could choose many rays of one hash.
        numbers = {",".join(f"{v:x}" for v in ray): number for number, ray in enumerate(self.rays)}
        for _ in range(stream.take()):
            simplex = self.simplices[stream.index(len(self.simplices))]
            a, b = stream.index(self.r), stream.index(self.r)
            s, t, shift = stream.take(), stream.take(), stream.take()
            require(a != b and s > 0 and t > 0 and abs(shift) <= RAY_BITS, "directions: a bisection of nothing")
            first, second = self.rays[simplex.rays[a]], self.rays[simplex.rays[b]]
            bits = width([first, second]) + 64 + abs(shift)
            spend(10_000 + self.r * fraction(bits), 1000 + storage(2 * self.r, bits))
            s, t = s << max(shift, 0), t << max(-shift, 0)
            ray = [s * u + t * v for u, v in zip(first, second, strict=True)]
            size = math.gcd(*ray)
            middle = tuple(v // size for v in ray)
            require(all(v.bit_length() <= RAY_BITS for v in middle), "directions: a ray with too many bits")
            number = numbers.setdefault(",".join(f"{v:x}" for v in middle), len(self.rays))
            if number == len(self.rays):
                self.rays.append(middle)
            old = simplex.rays
            simplex.rays = tuple(number if k == a else ray for k, ray in enumerate(old))
            self.simplices.append(Simplex(tuple(number if k == b else ray for k, ray in enumerate(old))))
        stream.end()

    def _values_at_rays(self) -> None:
        """x_iᵀr_j and σ(x_iᵀr_j), a row a ray, and ‖r_j‖ over 2**FINE from below; wide: the bits of the values."""
        N, span, slopes = self.problem.N, width(self.points), width([[self.plus, self.minus]])
        self.signs: Matrix = []
        self.features: Matrix = []
        self.sizes: Vector = []
        for ray in self.rays:
            bits = width([ray])
            spend(
                N * (400 + multiplications(self.r + 2, span + slopes, bits)) + fraction(2 * bits),
                storage(2 * N + 1, span + slopes + bits + 8),
            )
            row = [dot(point, ray) for point in self.points]
            self.signs.append(row)
            self.features.append([(self.plus if v > 0 else self.minus) * v for v in row])
            self.sizes.append(isqrt(dot(ray, ray) << 2 * FINE))
        self.wide = max(width(self.signs), width(self.features)) + 1

    def _prepare(self, simplex: Simplex) -> None:
        """Find the points that change their sign in a cone, and its stretch."""
        rows = [self.signs[ray] for ray in simplex.rays]
        spend(self.problem.N * (600 + 100 * self.r))
        simplex.bits = width([self.rays[ray] for ray in simplex.rays])
        simplex.crossing = [i for i, v in enumerate(zip(*rows, strict=True)) if min(v) < 0 < max(v)]
        count = len(simplex.crossing) * self.r
        spend(count * (500 + (self.wide**2 >> 9)), storage(count, self.wide) + 8 * count)
        simplex.below = [[] for _ in rows]
        for i in simplex.crossing:
            # The linear piece of the larger side; the rays differ much in length.
            pairs = [(row[i], self.sizes[ray]) for row, ray in zip(rows, simplex.rays, strict=True)]
            side = sum((v << 2 * FINE) // size for v, size in pairs) > 0
            for below, (v, _) in zip(simplex.below, pairs, strict=True):
                below.append(max(-v, 0) if side else max(v, 0))
        # The maximum of Σ t_j‖r_j‖ is that of the faces with these values, from above, at the rays.
        best = self._faces(simplex, [self.sizes[ray] + 1 for ray in simplex.rays], 0)
        simplex.stretch = (best >> (2 * FINE - STEP)) + 1

    def _faces(self, simplex: Simplex, F: Sequence[int], best: int) -> int:
        """max(best, √(FᵀG⁻¹F) over the faces with G⁻¹F ≥ 0), rounded up, over 2**FINE."""
        r, size, values = self.r, 2 * self.r * (simplex.bits + 4), width([F])
        spend(multiplications((r * (r + 1) << r) >> 2, size, values) + (4000 + (size + 2 * values) ** 2 // 512 << r))
        live = [k for k, value in enumerate(F) if value > 0]
        for dimension in range(1, r + 1):
            for chosen in combinations(range(r), dimension):
                if not any(k in live for k in chosen):
                    continue
                G, det = self._gram(tuple(simplex.rays[k] for k in chosen), simplex.bits)
                part = [F[k] for k in chosen]
                t = [dot(row, part) for row in G]
                if min(t) >= 0:
                    value = (dot(t, part) << 2 * FINE) // det + 1
                    if value > best * best:
                        best = isqrt(value) + 1
        return best

    def _gram(self, rays: tuple[int, ...], bits: int) -> tuple[Matrix, int]:
        """The adjugate of the Gram matrix of these rays, and its determinant, which is positive."""
        found = self.faces.get(rays)
        if found is None:
            vectors = [self.rays[ray] for ray in rays]
            k, size = len(vectors), 2 * len(vectors) * (bits + 4)
            spend(2000 + multiplications(6 * k**3, size, size), 500 + storage(k * k, size))
            found = self.faces[rays] = adjugate([[dot(a, b) for b in vectors] for a in vectors])
        return found

    def gamma(self, q: Sequence[int], e: int) -> list[Fraction]:
        """Rationals ≥ γ_c(q), c = 0, 1, …; q over 2**e."""
        size, rays, r = width([q]), len(self.rays), self.r
        held = storage(3 * rays + r * len(self.simplices), size + self.wide + 2 * FINE) + 100 * len(self.simplices)
        spend(
            rays * (multiplications(len(q), size, self.wide) + 1000 + ((size + self.wide) ** 2 >> 9))
            + len(self.simplices) * (2000 + 400 * r)
            + 2 * self.crossings * (100 + multiplications(r, size, self.wide)),
            held,
        )
        plain = [dot(row, q) for row in self.features]
        best = [0] * self.count
        for sign in (1, -1):
            F = plain if sign > 0 else [-v for v in plain]
            # κ_i = δ·sign·q_i; where it is negative, the linear piece stands in the place of the kink.
            less = [max(sign * (self.minus - self.plus) * v, 0) for v in q]
            ratios = [self._ratio(v, ray) for ray, v in enumerate(F)]
            waiting = []
            for simplex in self.simplices:
                values = None
                weights = [less[i] for i in simplex.crossing]
                if any(weights):
                    pairs = zip(simplex.rays, simplex.below, strict=True)
                    values = [F[ray] + dot(weights, below) for ray, below in pairs]
                    most = max(map(self._ratio, values, simplex.rays))
                else:
                    most = max([ratios[ray] for ray in simplex.rays])
                best[simplex.group] = max(best[simplex.group], most)
                waiting.append((most * simplex.stretch, simplex, values))
            for most, simplex, values in waiting:
                if most > best[simplex.group] << STEP:
                    here = values or [F[ray] for ray in simplex.rays]
                    best[simplex.group] = self._faces(simplex, here, best[simplex.group])
        spend(0, -held)
        return self._outward(best, q, e)

    def _ratio(self, value: int, ray: int) -> int:
        """max(value, 0) over the length of the ray, rounded up, over 2**FINE."""
        return (value << 2 * FINE) // self.sizes[ray] + 1 if value > 0 else 0

    def tops(self, q: Sequence[int], c: Sequence[int]) -> tuple[Vector, dict[int, Vector]]:
        """Σ|q_iσ(x_iᵀw)| + Σ c_i|σ(x_iᵀw)|, the sum of the first inside, at all rays, and upper bounds at those of crossed cones."""
        size, rays, r = width([q, c]), len(self.rays), self.r
        mixed = sum(1 for simplex in self.simplices if simplex.crossing)
        spend(
            rays * (2 * multiplications(len(q), size, self.wide) + 2000)
            + len(self.simplices) * 200
            + 3000 * mixed
            + self.crossings * (600 + 2 * multiplications(r, size, self.wide)),
            storage(rays + r * mixed, size + self.wide + 8) + 100 * mixed,
        )
        plain = [dot(row, q) for row in self.features]
        more = [dot(list(map(abs, row)), c) for row in self.features]
        crossed = {}
        for k, simplex in enumerate(self.simplices):
            if simplex.crossing:
                # As in `gamma`, for both signs of the sum; |σ| is convex.
                slopes = [(self.minus - self.plus) * q[i] for i in simplex.crossing]
                above, under = [max(v, 0) for v in slopes], [max(-v, 0) for v in slopes]
                crossed[k] = [
                    max(plain[ray] + dot(above, below), dot(under, below) - plain[ray]) + more[ray]
                    for ray, below in zip(simplex.rays, simplex.below, strict=True)
                ]
        return list(map(add, map(abs, plain), more)), crossed

    def _outward(self, best: Vector, q: Sequence[int], e: int) -> list[Fraction]:
        """The bounds for X̃ from those for the points of the cover, which are over 2**−FINE of the unit of f."""
        spend(4 * self.count * fraction(max(best).bit_length() + abs(self.x + self.a + e) + abs(self.rest) + 4 * WORD))
        unit = power(self.x + self.a + e - FINE)
        rest = self.problem.lipschitz * dot(list(map(abs, q)), self.residual) * power(e + self.rest)
        return [self.stretch * value * unit + rest for value in best]

    def own(self, i: int) -> list[Fraction]:
        """Rationals ≥ γ_c(e_i)², e_i the unit vector of point i."""
        if i not in self.squares:
            values = self.gamma([int(k == i) for k in range(self.problem.N)], 0)
            self.squares[i] = [value * value for value in values]
        return self.squares[i]


def adjugate(G: Matrix) -> tuple[Matrix, int]:
    """(det G·G⁻¹, det G) of a positive definite G, by an elimination in which all divisions are exact."""
    k = len(G)
    rows = [[*row, *(int(i == j) for j in range(k))] for i, row in enumerate(G)]
    last = 1
    for p, chosen in enumerate(rows):
        # The determinant of the first p + 1 rows and columns.
        pivot = chosen[p]
        require(pivot > 0, "directions: rays that depend on each other")
        for i, row in enumerate(rows):
            if i != p:
                factor = row[p]
                row[:] = [(pivot * u - factor * v) // last for u, v in zip(row, chosen, strict=True)]
        last = pivot
    return [row[k:] for row in rows], last


# -- κ_G(m) by a tree over the signs of z (DEEP.md, "Trees") -----------------------------------------------------------

# y_i = κ_i T_i/2**GRID.
GRID = 24


class Leaf:
    """g·σ(z) ≤ Σ_{i ∈ undecided} ½κ_i u_i(m) + √(Σ m_c squares_c + bias) for all z of the leaf."""

    def __init__(self, undecided: list[int], squares: list[Fraction], bias: Fraction) -> None:
        self.undecided, self.squares, self.bias = undecided, squares, bias


def read_leaves(
    directions: Directions, g: Vector, stream: Stream, leaf: Callable[[Vector, list[int], Vector], None]
) -> None:
    """leaf(signs of z, 0 for none; undecided points; q over 2**(a − GRID) of the unit of g) for every leaf of a tree for g.

    1, i branches on the sign of z_i (z_i ≥ 0 follows first); 0 is a leaf.
    """
    N, delta = len(g), directions.plus - directions.minus
    bits = width([g]) + width([[delta, directions.minus]]) + 64
    # 1, −1: the sign of z_i on the way to this node, 0: none; path: the points that it branched on.
    signs, path = [0] * N, []
    while True:
        op = stream.take()
        if op == 1:
            i = stream.index(N)
            require(delta * g[i] > 0 and signs[i] == 0, "tree: a branching on nothing")
            spend(1000, 50)
            signs[i] = 1
            path.append(i)
            continue
        require(op == 0, "tree: unknown step")
        spend(N * 1000 + multiplications(3 * N, bits, 64), 500 + storage(N, bits))
        leaf(signs, *multipliers(directions, g, signs, stream))
        spend(0, -storage(N, bits))
        while path and signs[path[-1]] < 0:
            signs[path.pop()] = 0
        if not path:
            return
        signs[path[-1]] = -1


def multipliers(directions: Directions, g: Vector, signs: Vector, stream: Stream) -> tuple[list[int], Vector]:
    """The undecided points of the next leaf, and its q."""
    delta = directions.plus - directions.minus
    q, undecided = [], []
    for i, (v, sign) in enumerate(zip(g, signs, strict=True)):
        kappa, T = delta * v, 0
        if kappa > 0 and not sign:
            T = 1 << (GRID - 1)
            undecided.append(i)
        elif kappa:
            T = stream.take()
            if kappa < 0:
                require(0 <= T <= 1 << GRID, "tree: a multiplier outside its interval")
            elif sign > 0:
                require(T >= 1 << GRID, "tree: a multiplier below its interval")
            else:
                require(T <= 0, "tree: a multiplier above its interval")
        q.append((directions.minus << GRID) * v + kappa * T)
    return undecided, q


# Of a leaf: squares, bias, undecided points.
Row = tuple[list[int], int, list[int]]


class TreeBound:
    """κ_G(m) for one output and depth 3 from a tree for g and one for −g. g over 2**e."""

    def __init__(self, directions: Directions, g: Vector, e: int, stream: Stream) -> None:
        self.directions, self.problem = directions, directions.problem
        # ½|κ_i|; a point is undecided only in the tree in which κ_i > 0.
        half = abs(directions.plus - directions.minus) * power(e + directions.a - 1)
        self.at = e + directions.a - GRID
        self.leaves: list[Leaf] = []
        for sign in (1, -1):
            read_leaves(directions, [sign * v for v in g], stream, self._leaf)
        points = sorted({i for leaf in self.leaves for i in leaf.undecided})
        self.weights = {i: abs(g[i]) * half for i in points}
        # Integers: squares and biases over 2**unit.
        sizes = [v for leaf in self.leaves for v in (*leaf.squares, leaf.bias)]
        self.unit = exponent(max([*sizes, *(v for i in points for v in directions.own(i))])) - WORD
        self.reach = [(i, [up(v, self.unit) for v in directions.own(i)]) for i in points]
        self.table = self._largest(
            [
                ([up(v, self.unit) for v in leaf.squares], up(leaf.bias, self.unit), leaf.undecided)
                for leaf in self.leaves
            ]
        )
        # The sets of classes last asked for, leaves and points with the largest square of each set, their memory.
        self.sets: list[int] = []
        self.joined: tuple[list[Row], list[tuple[int, list[int]]]] = [], []
        self.held = 0

    def _largest(self, rows: list[Row]) -> list[Row]:
        """The leaves without those that another one exceeds."""
        rows.sort(key=lambda row: (row[0], row[1]), reverse=True)
        kept: list[Row] = []
        for squares, bias, undecided in rows:
            spend(1000 + (0 if undecided else len(kept) * (500 + 100 * len(squares))))
            if undecided or not any(
                bias <= more and all(a <= b for a, b in zip(squares, other, strict=True)) for other, more, _ in kept
            ):
                kept.append((squares, bias, undecided))
        return kept

    def _leaf(self, _: Vector, undecided: list[int], q: Vector) -> None:
        """Bound a leaf; q over 2**at."""
        squares = [value * value for value in self.directions.gamma(q, self.at)]
        bias = (self.problem.beta * sum(q) * power(self.at)) ** 2
        # What is kept of this.
        spend(0, sum(100 + storage(2, length(value)) for value in (*squares, bias)) + 8 * len(undecided))
        self.leaves.append(Leaf(undecided, squares, bias))

    def below(self, limit: Fraction, vertices: Sequence[Sequence[Fraction]], total: Fraction) -> bool:
        """κ_G(m) ≤ limit for all m = Pθ with P ≤ total and θ in the convex hull of the vertices."""
        square = self.problem.beta**2
        e, masses = exponent(limit) - WORD, exponent(total) - WORD
        shift, unit = masses + self.unit - 2 * e, self.unit - 2 * e
        entries = sum(length(theta) for vertex in vertices for theta in vertex)
        points = len(vertices) * len(vertices[0])
        spend(
            1000 * points
            + 8 * entries
            + len(self.reach)
            * (100 * points + 4 * fraction(abs(masses + self.unit) + abs(e) + length(square) + 8 * WORD))
            + len(self.table) * (2000 + 100 * points + (abs(shift) + abs(unit) >> 3))
            + 200 * sum(len(undecided) for _, _, undecided in self.table)
        )
        bound, most = math.floor(limit / power(e)), up(total, masses)
        corners = [[-(-most * theta.numerator // theta.denominator) for theta in vertex] for vertex in vertices]
        parts = {}
        for i, squares in self.reach:
            own = max(dot(squares, corner) for corner in corners) * power(masses + self.unit)
            parts[i] = up(self.weights[i] * fraction_root_up(own + square), e)
        for squares, bias, undecided in self.table:
            rest = bound - sum(parts[i] for i in undecided)
            value = max(dot(squares, corner) for corner in corners)
            if rest < 0 or -shifted(-value, shift) - shifted(-bias, unit) > rest * rest:
                return False
        return True

    def below_at(self, limit: Fraction, sets: list[int], masses: Sequence[Fraction]) -> bool:
        """κ_G(m) ≤ limit where the classes of sets[k] (bits) have the mass masses[k] > 0 together."""
        if sets != self.sets:
            self._join(sets)
        rows, reach = self.joined
        square = self.problem.beta**2
        e, scale = exponent(limit) - WORD, exponent(max(masses)) - WORD
        shift, unit = scale + self.unit - 2 * e, self.unit - 2 * e
        spend(
            len(sets) * fraction(max(map(length, masses)) + abs(scale))
            + len(reach) * (100 * len(sets) + 4 * fraction(abs(scale + self.unit) + abs(e) + length(square) + 8 * WORD))
            + len(rows) * (2000 + 100 * len(sets) + (abs(shift) + abs(unit) >> 3))
            + 200 * sum(len(undecided) for _, _, undecided in rows)
        )
        bound, point = math.floor(limit / power(e)), [up(mass, scale) for mass in masses]
        parts = {}
        for i, squares in reach:
            own = dot(squares, point) * power(scale + self.unit)
            parts[i] = up(self.weights[i] * fraction_root_up(own + square), e)
        for squares, bias, undecided in rows:
            rest = bound - sum(parts[i] for i in undecided)
            if rest < 0 or -shifted(-dot(squares, point), shift) - shifted(-bias, unit) > rest * rest:
                return False
        return True

    def _join(self, sets: list[int]) -> None:
        """Take the largest square of each set in the place of those of its classes."""
        spend(0, -self.held)
        many = len(self.table) + len(self.reach)
        self.held = many * (300 + storage(len(sets), WORD))
        spend(many * (1000 + 100 * self.directions.count) + 100 * len(sets) * self.directions.count, self.held)
        parts = [[c for c in range(self.directions.count) if bits >> c & 1] for bits in sets]

        def largest(squares: Sequence[int]) -> list[int]:
            return [max([squares[c] for c in part]) for part in parts]

        rows = self._largest([(largest(squares), bias, undecided) for squares, bias, undecided in self.table])
        self.sets, self.joined = sets, (rows, [(i, largest(squares)) for i, squares in self.reach])


# -- classes of top neurons (DEEP.md, "Patterns") ----------------------------------------------------------------------


def pattern_mask(i: int, points: int) -> int:
    """The patterns, as bits, with z_i ≥ 0, or with v > 0 if i is the number of points."""
    block = ((1 << (1 << i)) - 1) << (1 << i)
    return sum(block << (k << (i + 1)) for k in range(1 << (points - i)))


class PatternBound:
    """Γ(n') and the excesses τ for one G (g over 2**e) and a q for each class of top neurons (rows over 2**f)."""

    def __init__(self, directions: Directions, g: Vector, e: int, rows: Matrix, f: int) -> None:
        self.directions, self.problem, self.rows, self.f = directions, directions.problem, rows, f
        problem, size = self.problem, width(rows)
        N, C = len(g), len(rows)
        mixed = sum(1 for simplex in directions.simplices if simplex.crossing)
        spend(
            mixed * directions.r * C * 700
            + len(directions.rays) * C * (1000 + multiplications(N, size, directions.wide))
            + C * directions.crossings * (500 + multiplications(directions.r, size, directions.wide)),
            storage(
                C * (len(directions.rays) + 2 * directions.r * len(directions.simplices)), size + directions.wide + 80
            ),
        )
        self.unit = directions.x + directions.a + f
        self.features = [[dot(row, q) for q in rows] for row in directions.features]
        delta = abs(directions.plus - directions.minus)
        self.errors = [
            [[delta * dot([abs(q[i]) for i in simplex.crossing], below) for q in rows] for below in simplex.below]
            if simplex.crossing
            else []
            for simplex in directions.simplices
        ]
        bits = 2 * (width([g]) + size + abs(e) + abs(f) + length(problem.a_plus) + length(problem.a_minus))
        spend(C * N * 8 * fraction(bits), storage(10 * C * N, bits) + 500 * C * (N + 1))
        # By class and point: εG_ia₊ − q and q − εG_ia₋, ε = 1, −1.
        slopes = [(problem.a_plus * v * power(e), problem.a_minus * v * power(e)) for v in g]
        exact = [[v * power(f) for v in q] for q in rows]
        self.gaps = [
            [[(eps * up - v, v - eps * down) for (up, down), v in zip(slopes, q, strict=True)] for eps in (1, -1)]
            for q in exact
        ]
        self.sums = [sum(q, Fraction(0)) ** 2 for q in exact]

    def excess(self, sets: Sequence[int], masks: Sequence[int], reach: Sequence[Fraction]) -> list[Fraction]:
        """τ_g for the classes `sets`; reach: û_i from above."""
        require(len(sets) == len(self.rows), "boxes: a q for each class")
        N = len(reach)
        size = max(map(length, chain(reach, *(pair for gaps in self.gaps for row in gaps for pair in row))))
        spend(len(sets) * N * (3 * fraction(2 * size) + (len(masks) << N >> 3)))
        found = []
        for bits, gaps in zip(sets, self.gaps, strict=True):
            signs = [row for row, here in zip(gaps, (bits & masks[N], bits & ~masks[N]), strict=True) if here]
            total = Fraction(0)
            for i, most in enumerate(reach):
                sides = [k for k, here in enumerate((bits & masks[i], bits & ~masks[i])) if here]
                total += most * max(Fraction(0), *(row[i][k] for row in signs for k in sides))
            found.append(short(total))
        return found

    def bias(self, point: Sequence[Fraction]) -> Fraction:
        """Σ n'_g(q_g·1)²."""
        spend(2 * len(point) * fraction(2 * max(map(length, chain(point, self.sums))) + 64))
        return sum((mass * value for mass, value in zip(point, self.sums, strict=True)), Fraction(0))

    def below_at(self, limit: Fraction, sets: list[int], masses: Sequence[Fraction]) -> bool:
        """Γ(n') ≤ limit where the classes, one for each q, have these masses n' (over powers of two)."""
        directions = self.directions
        p = -max(mass.denominator.bit_length() - 1 for mass in masses)
        spend(len(masses) * (1000 - p))
        whole = [(mass * power(-p)).numerator for mass in masses]
        rests = [dot(list(map(abs, q)), directions.residual) ** 2 for q in self.rows]
        far = dot(whole, rests) * power(p + 2 * (self.f + directions.rest)) * self.problem.lipschitz**2
        spend(8 * fraction(length(far) + length(limit) + length(directions.stretch) + abs(p + 2 * self.unit)))
        limit = (limit - fraction_root_up(far)) / directions.stretch
        if limit <= 0:
            return False
        ratio = limit * limit / power(p + 2 * self.unit)
        # More bits of n', so that the square has WORD of them as well.
        more = max(WORD - exponent(ratio), 0)
        square, whole = math.floor(ratio * power(more)), [v << more for v in whole]
        size, r, C = width(self.features) + 80, directions.r, len(whole)
        spend(
            len(directions.simplices)
            * (
                r * r * (500 + multiplications(2 * C, 2 * size + width([whole]), width([whole])))
                + 3 * r * r * multiplications(C, size, size)
                + multiplications(r**3, *[2 * r * (2 * size + width([whole]) + square.bit_length())] * 2)
            ),
            storage(2 * r * r, 2 * size + square.bit_length() + width([whole])),
        )
        # By Minkowski's inequality Σ t_j(Σ n'_gF_gj²)^½ is a bound, mostly enough.
        tops = [dot(whole, list(map(mul, F, F))) for F in self.features]
        lengths = [square * dot(ray, ray) << 2 * STEP for ray in directions.rays]
        for simplex, errors in zip(directions.simplices, self.errors, strict=True):
            stretch = simplex.stretch * simplex.stretch
            near = bool(errors) or any(tops[ray] * stretch > lengths[ray] for ray in simplex.rays)
            if near and not self._below_on(simplex, errors, whole, square):
                return False
        return True

    def _below_on(self, simplex: Simplex, errors: Matrix, masses: Vector, square: int) -> bool:
        """`below_at` on one cone."""
        rays = [self.directions.rays[ray] for ray in simplex.rays]
        F = [self.features[ray] for ray in simplex.rays]
        S = [[square * dot(a, b) - dot(masses, list(map(mul, u, v))) for b, v in zip(rays, F, strict=True)]
             for a, u in zip(rays, F, strict=True)]  # fmt: skip
        if errors:
            # |F| + E on both sides less |F|.
            more = [list(map(abs, u)) for u in F]
            most = [[a + b for a, b in zip(u, v, strict=True)] for u, v in zip(more, errors, strict=True)]
            for j, k in product(range(len(S)), repeat=2):
                S[j][k] -= dot(masses, list(map(mul, most[j], most[k]))) - dot(masses, list(map(mul, more[j], more[k])))
        return copositive(S)


def copositive(S: Matrix) -> bool:
    """tᵀSt ≥ 0 for all t ≥ 0, proven: rows without entries < 0 are left out, and what is left is positive semidefinite."""
    left = list(range(len(S)))
    while True:
        done = [j for j in left if min(S[j][k] for k in left) >= 0]
        if not done:
            break
        left.remove(done[0])
    rows = [[S[j][k] for k in left] for j in left]
    last = 1
    for p, chosen in enumerate(rows):
        pivot = chosen[p]
        if pivot < 0 or (pivot == 0 and any(chosen[p:])):
            return False
        if pivot:
            for row in rows[p + 1 :]:
                factor = row[p]
                row[:] = [(pivot * u - factor * v) // last for u, v in zip(row, chosen, strict=True)]
            last = pivot
    return True


# -- classes of top neurons by trees (DEEP.md, "Top neurons") ----------------------------------------------------------


def possible(side: int, signs: Sequence[int]) -> int:
    """Bits 2i, 2i + 1: may z_i be ≥ 0, ≤ 0? i = N: v. signs: 1, −1, 0 for both."""
    return sum({1: 1, -1: 2, 0: 3}[sign] << 2 * i for i, sign in enumerate([*signs, side]))


class Tops:
    """M of a leaf, or the largest M² of the leaves of a class: at the rays, at the rays of cones that are crossed (by cone), at β1,
    and at the residuals of the points."""

    def __init__(self, rays: Vector, crossed: dict[int, Vector], bias: Fraction, rest: int) -> None:
        self.rays, self.crossed, self.bias, self.rest = rays, crossed, bias, rest


def largest_squares(rows: Sequence[Vector]) -> Vector:
    """The squares of the largest of each column, all ≥ 0."""
    return [max(column) ** 2 for column in zip(*rows, strict=True)]


class TopBound:
    """Γ(n') of classes of top neurons for one output and depth 3, from a tree for g and one for −g. g over 2**e."""

    def __init__(self, directions: Directions, g: Vector, e: int, stream: Stream) -> None:
        self.directions, self.problem = directions, directions.problem
        # q and c are integers over 2**f.
        self.f = e + directions.a - GRID
        self.full = sum(1 << 2 * i for i in range(len(g) + 1))
        self.half = abs(directions.plus - directions.minus) << (GRID - 1)
        self.leaves: list[tuple[int, Tops]] = []
        for side in (1, -1):
            own = [side * v for v in g]
            read_leaves(directions, own, stream, lambda *leaf, own=own, side=side: self._leaf(side, own, *leaf))
        self.size = max(width([leaf.rays, *leaf.crossed.values()]) for _, leaf in self.leaves)
        # By text, as rays are: a file could choose many classes of one hash.
        self.classes: dict[str, Tops] = {}

    def _leaf(self, side: int, g: Vector, signs: Vector, undecided: list[int], q: Vector) -> None:
        """M(φ) = |q·φ| + Σ c_i|φ_i| of one leaf."""
        c = [0] * len(g)
        for i in undecided:
            c[i] = self.half * abs(g[i])
        bits, beta = width([q, c]) + len(q).bit_length() + 1 + abs(self.f), self.problem.beta
        spend(
            4 * fraction(2 * bits + 2 * length(beta)) + len(q) * 2000 + multiplications(2 * len(q), bits, WORD),
            1000 + 4 * bits + 80 * len(q),
        )
        bias = (beta * (abs(sum(q)) + sum(c)) * power(self.f)) ** 2
        rest = dot(list(map(add, map(abs, q), c)), self.directions.residual)
        self.leaves.append((possible(side, signs), Tops(*self.directions.tops(q, c), bias, rest)))

    def of(self, bits: int) -> Tops:
        """The largest M² of the leaves that a class has neurons in."""
        name = f"{bits:x}"
        if name not in self.classes:
            chosen = []
            for leaf, tops in self.leaves:
                both = leaf & bits
                if (both | both >> 1) & self.full == self.full:
                    chosen.append(tops)
            values = len(self.directions.rays) + self.directions.r * len(chosen[0].crossed)
            spend(
                len(self.leaves) * 3000
                + 2000 * len(chosen[0].crossed)
                + values * (len(chosen) * 200 + 500)
                + multiplications(values, self.size, self.size),
                1500 + storage(values, 2 * self.size) + 100 * len(chosen[0].crossed),
            )
            crossed = {k: largest_squares([tops.crossed[k] for tops in chosen]) for k in chosen[0].crossed}
            self.classes[name] = Tops(
                largest_squares([tops.rays for tops in chosen]),
                crossed,
                max(tops.bias for tops in chosen),
                max(tops.rest for tops in chosen) ** 2,
            )
        return self.classes[name]

    def bias(self, sets: list[int], point: Sequence[Fraction]) -> Fraction:
        """Σ n'_gM_g(β1)²."""
        parts = [self.of(bits).bias for bits in sets]
        spend(2 * len(point) * fraction(2 * max(map(length, chain(point, parts))) + 64))
        return sum((mass * value for mass, value in zip(point, parts, strict=True)), Fraction(0))

    def below_at(self, limit: Fraction, sets: list[int], masses: Sequence[Fraction]) -> bool:
        """Γ(n') ≤ limit where the classes have these masses n' (over powers of two)."""
        directions, parts = self.directions, [self.of(bits) for bits in sets]
        p = -max(mass.denominator.bit_length() - 1 for mass in masses)
        p -= p % 2
        spend(len(masses) * (1000 - p))
        whole = [(mass * power(-p)).numerator for mass in masses]
        far = dot(whole, [part.rest for part in parts]) * power(p + 2 * (self.f + directions.rest))
        unit = directions.x + directions.a + self.f + p // 2 - FINE
        spend(
            8
            * fraction(
                length(far)
                + length(limit)
                + length(directions.stretch)
                + 2 * length(self.problem.lipschitz)
                + abs(unit)
            )
        )
        limit = (limit - fraction_root_up(far * self.problem.lipschitz**2)) / directions.stretch
        if limit <= 0:
            return False
        best = math.floor(limit / power(unit - FINE))
        heavy, rays = width([whole]) + 2 * (self.size + FINE), len(directions.rays)
        values = rays + directions.r * len(parts[0].crossed)
        held = storage(2 * values, heavy)
        spend(
            values
            * (
                6000
                + 200 * len(sets)
                + multiplications(len(sets), width([whole]), 2 * self.size)
                + (heavy * heavy >> 8)
            )
            + len(directions.simplices) * (1500 + 300 * directions.r),
            held,
        )

        def norms(columns: Sequence[Vector]) -> Vector:
            return [root_up(dot(whole, column) << 2 * FINE) for column in zip(*columns, strict=True)]

        plain = norms([part.rays for part in parts])
        ratios = [directions._ratio(value, ray) for ray, value in enumerate(plain)]
        good = max(ratios) <= best
        for k, simplex in enumerate(directions.simplices if good else ()):
            if k in parts[0].crossed:
                here = norms([part.crossed[k] for part in parts])
            elif max([ratios[ray] for ray in simplex.rays]) * simplex.stretch <= best << STEP:
                continue
            else:
                here = [plain[ray] for ray in simplex.rays]
            if directions._faces(simplex, here, best) > best:
                good = False
                break
        spend(0, -held)
        return good


# -- κ_G(a) by norms (DEEP.md, "Norms") --------------------------------------------------------------------------------


class NormBound:
    """κ_G(a), any depth and any outputs; size ≥ ‖G‖, points ≥ ‖X̃‖ (operator norms)."""

    def __init__(self, problem: Problem, size: Fraction, points: Fraction) -> None:
        self.layers, self.slope = problem.depth - 2, short(problem.lipschitz**2)
        self.first, self.bias = short(points**2), short(problem.N * problem.beta**2)
        self.factor = short(size**2 * self.slope)

    def below(self, limit: Fraction, vertices: Sequence[Sequence[Fraction]], total: Fraction) -> bool:
        """κ_G(a) ≤ limit wherever Σ a_ℓ ≤ total."""
        k, slope, first, bias = self.layers, self.slope, self.first, self.bias
        bits = (k + 1) * (length(total) + length(slope) + length(first) + length(bias)) + length(limit)
        spend(4 * (k + 1) * fraction(bits))
        terms = [bias * (slope * total / j) ** j if j else bias for j in range(k)]
        square = sum(terms) + first * (slope * total / k) ** k
        if first and slope:
            together = first * (slope * (total + bias / (slope * first)) / k) ** k
            square = min(square, sum(terms[: k - 1]) + together)
        return at_most(self.factor * square, limit)


# -- the lower bound (DEEP.md, "Ladders", "Boxes") ---------------------------------------------------------------------

Bound = TreeBound | NormBound


def check_lower(problem: Problem, proof: Any, arrays: dict[str, Any]) -> float:
    """The proven lower bound, by ladders for all masses, or by boxes of masses of balanced networks."""
    value, coordinates, classes, items = _fields(proof, ("value", "coordinates", "classes", "items"), "lower")
    value = _number(value, "lower")
    require(isinstance(items, list) and 1 <= len(items) <= ITEMS, "lower: items are a list of one or more")
    kind = next((kind for kind in ("pattern", "top") if kind in items), "tree")
    kinds = ("norm", "tree") if kind == "tree" else (kind,)
    require(all(one in kinds for one in items), "lower: an item is a norm or a tree, or all are patterns, or tops")
    flat = _array(arrays, "G", float)
    size = problem.m * problem.N
    require(len(flat) == len(items) * size, "lower: a G for each item")
    duals = []
    for k in range(len(items)):
        G, g = matrix(flat[k * size : (k + 1) * size], problem.m, problem.N, "G")
        if problem.loss == "cross_entropy":
            G[-1] = [-sum(column) for column in zip(*G[:-1], strict=True)]
        duals.append((G, g))
    bounds = read_bounds(problem, {"coordinates": coordinates, "classes": classes}, items, duals, arrays)
    if "boxes" in arrays:
        require("norm" not in items, "boxes: for trees alone, or patterns, or tops")
        check_boxes(problem, Fraction(value), kind, classes, bounds, duals, arrays)  # type: ignore[arg-type]
    else:
        require(kind == "tree", "lower: patterns and tops are for boxes")
        check_ladders(problem, Fraction(value), classes if "tree" in items else 1, bounds, duals, arrays)  # type: ignore[arg-type]
    return value


def check_ladders(
    problem: Problem,
    target: Fraction,
    count: int,
    bounds: Sequence[Bound],
    duals: Sequence[tuple[Matrix, int]],
    arrays: dict[str, Any],
) -> None:
    """λΣm + ψ_G(s) ≥ target wherever sκ_G(m) ≤ 2λ, and the ladders cover all masses m."""
    scales = iter(_array(arrays, "scales", float))
    splits = iter(_array(arrays, "splits", float))
    stream = Stream(_array(arrays, "cells", int))

    def masses(k: int, s: Fraction) -> Fraction:
        """From here on λΣm + ψ_G(s) ≥ target; rounded up."""
        return short((target - dual_value(problem, *duals[k], s)) / problem.lam)

    most = max(masses(0, Fraction(0)), Fraction(0))
    for vertices in read_cells(count, stream, splits):
        total = most
        for _ in range(stream.take()):
            k, s = stream.index(len(bounds)), Fraction(next(scales))
            require(s >= 0 and total > 0, "ladder: a scale below 0, or a step after the last")
            require(s == 0 or bounds[k].below(2 * problem.lam / s, vertices, total), "ladder: the bound is too large")
            total = masses(k, s)
        require(total <= 0, "ladder: it ends too early")
    stream.end()
    require(next(scales, None) is None and next(splits, None) is None, "cells: numbers that prove nothing")


def read_cells(count: int, stream: Stream, splits: Iterator[float]) -> Iterator[list[list[Fraction]]]:
    """The vertices of the cells that are not cut, in order: simplices of fractions θ ≥ 0, Σθ = 1, with m = Pθ."""
    cells = [[[Fraction(int(c == v)) for c in range(count)] for v in range(count)]]
    while cells:
        vertices = cells.pop()
        op = stream.take()
        if op == 0:
            yield vertices
            continue
        require(op == 1, "cells: unknown step")
        a, b, t = stream.index(count), stream.index(count), Fraction(next(splits))
        require(a != b and 0 <= t <= 1, "cells: a split outside")
        bits = 2 * max(map(length, (*vertices[a], *vertices[b]))) + length(t)
        spend(4 * count * fraction(bits), 500 + 16 * count + storage(2 * count, bits) + 100 * count)
        middle = [(1 - t) * v + t * w for v, w in zip(vertices[a], vertices[b], strict=True)]
        require(all(v.denominator.bit_length() <= RAY_BITS for v in middle), "cells: a vertex with too many bits")
        cells.append([middle if v == b else vertex for v, vertex in enumerate(vertices)])
        cells.append([middle if v == a else vertex for v, vertex in enumerate(vertices)])


class Box:
    """An interval [low, high] for the mass of each set of classes (bits); sums: (bits, least, most) for the sets within."""

    def __init__(
        self, sets: list[int], low: list[Fraction], high: list[Fraction], sums: list[tuple[int, Fraction, Fraction]]
    ) -> None:
        self.sets, self.low, self.high, self.sums = sets, low, high, sums
        # What is given back when the box is done; numbers that other boxes hold as well count again.
        self.held = 500 + 120 * (len(sets) + len(sums)) + storage(4, sum(map(length, (*low, *high))))
        spend(2000 * len(sets) + 100 * len(sums), self.held)

    def tighten(self) -> None:
        """Make the intervals what the sums leave of them."""
        for _ in range(3):
            for bits, least, most in self.sums:
                spend(200 * len(self.sets))
                inside = [k for k, part in enumerate(self.sets) if part & ~bits == 0]
                ends = chain((least, most), (self.low[k] for k in inside), (self.high[k] for k in inside))
                size = 2 * max(map(length, ends)) + 16
                spend(8 * len(inside) * fraction(size), storage(4 * len(inside), size))
                rest = most - sum(self.low[k] for k in inside)
                for k in inside:
                    self.high[k] = min(self.high[k], rest + self.low[k])
                rest = least - sum(self.high[k] for k in inside)
                for k in inside:
                    self.low[k] = max(self.low[k], rest + self.high[k])
                spend(0, -storage(4 * len(inside), size))

    @property
    def empty(self) -> bool:
        """No masses are in it."""
        return any(a > b for a, b in zip(self.low, self.high, strict=True))

    def cut(self, a: int, low: Fraction, high: Fraction) -> Box:
        """The same box with another interval for set a."""
        lows, highs = list(self.low), list(self.high)
        lows[a], highs[a] = low, high
        return Box(self.sets, lows, highs, self.sums)

    def divided(self, a: int, part: int, other: int) -> Box:
        """The same masses, with set a in two: `part`, and `other`."""
        whole, least, most = self.sets[a], self.low[a], self.high[a]
        require(0 < part < whole and part & ~whole == 0, "boxes: a division of nothing")
        sets = [part if k == a else bits for k, bits in enumerate(self.sets)]
        lows = [Fraction(0) if k == a else low for k, low in enumerate(self.low)]
        return Box([*sets, other], [*lows, Fraction(0)], [*self.high, most], [*self.sums, (whole, least, most)])

    def pays(self, point: Sequence[Fraction], less: Sequence[Fraction]) -> Fraction:
        """A rational ≤ Σ((2 − less)m − m²/m') for all masses m in it, m' the point: the sum is concave in each m."""
        size = max(map(length, chain(self.low, self.high, point)))
        spend(8 * len(point) * fraction(4 * size + 2 * WORD))
        ends = zip(self.low, self.high, point, less, strict=True)
        return sum((min((2 - t) * v - short(v * v / at) for v in (a, b)) for a, b, at, t in ends), Fraction(0))


def check_boxes(
    problem: Problem,
    target: Fraction,
    kind: str,
    count: int,
    bounds: Sequence[TreeBound | PatternBound | TopBound],
    duals: Sequence[tuple[Matrix, int]],
    arrays: dict[str, Any],
) -> None:
    """(4), (5) or (6) with at least the target for all masses of balanced networks, box by box. count: of classes of directions."""
    scales = iter(_array(arrays, "scales", float))
    splits = iter(_array(arrays, "splits", float))
    masses = iter(_array(arrays, "masses", float))
    stream = Stream(_array(arrays, "boxes", int))
    # From this sum of masses on nothing is left to prove; over a power of two, as all ends of intervals are.
    layers = 3 if kind == "tree" or not problem.beta else 2
    cap = max(short((target - dual_value(problem, *duals[0], Fraction(0))) / (layers * problem.lam)), Fraction(0))
    masks = [pattern_mask(i, problem.N) for i in range(problem.N + 1)] if kind == "pattern" else []
    reach = reaches(problem, cap) if kind == "pattern" else []
    everything = (
        1 << {"tree": count, "pattern": 2 << min(problem.N, PATTERN_POINTS), "top": 2 * problem.N + 2}[kind]
    ) - 1
    boxes = [Box([everything], [Fraction(0)], [cap], [(everything, Fraction(0), cap)])]
    while boxes:
        box = boxes.pop()
        box.tighten()
        op = stream.take()
        if op == 1:
            a, t = stream.index(len(box.sets)), Fraction(next(splits))
            # Whatever t is, each mass lies on one of its sides.
            boxes += [box.cut(a, t, box.high[a]), box.cut(a, box.low[a], t)]
        elif op == 2:
            a = stream.index(len(box.sets))
            boxes.append(box.divided(a, *division(kind, box.sets[a], masks, problem.N, stream)))
        elif op == 3:
            require(box.empty or sum(box.low) >= cap, "boxes: a box that is not empty is left out")
        else:
            require(op == 0, "boxes: unknown step")
            k, s = stream.index(len(bounds)), Fraction(next(scales))
            point = [Fraction(next(masses)) for _ in box.sets]
            require(s >= 0 and min(point) > 0, "boxes: a scale below 0, or masses that are not above 0")
            if not box.empty:
                bound, less, bias = bounds[k], [Fraction(0)] * len(point), Fraction(0)
                if isinstance(bound, PatternBound):
                    size = max(map(length, (*box.low, *box.high, s, problem.lam, problem.beta)))
                    spend(16 * len(point) * fraction(2 * size + 2 * WORD))
                    less = [short(s * tau / problem.lam) for tau in bound.excess(box.sets, masks, reach)]
                    bias = s * s * problem.beta**2 / (4 * problem.lam) * bound.bias(point)
                if isinstance(bound, TopBound):
                    bias = s * s / (4 * problem.lam) * bound.bias(box.sets, point)
                require(s == 0 or bound.below_at(2 * problem.lam / s, box.sets, point), "boxes: the bound is too large")
                proven = problem.lam * box.pays(point, less) + dual_value(problem, *duals[k], s) - bias
                require(proven >= target, "boxes: too little is proven")
        spend(0, -box.held)
    stream.end()
    left = next(scales, None), next(splits, None), next(masses, None)
    require(left == (None, None, None), "boxes: numbers that prove nothing")


def division(kind: str, whole: int, masks: Sequence[int], points: int, stream: Stream) -> tuple[int, int]:
    """The two parts of a set: its classes of the next bits, and the others; or by the sign of a point, or of v."""
    if kind == "top":
        i = 2 * stream.index(points + 1)
        require(whole >> i & 3 == 3, "boxes: a division of nothing")
        return whole & ~(2 << i), whole & ~(1 << i)
    part = stream.take() if kind == "tree" else whole & masks[stream.index(len(masks))]
    return part, whole & ~part


def reaches(problem: Problem, total: Fraction) -> list[Fraction]:
    """û_i from above: √(R²‖x̃_i‖²·total + β²)."""
    found = []
    for row in problem.X:
        square = dot(row, row) * power(2 * problem.x)
        spend(8 * fraction(length(square) + length(total) + 2 * length(problem.lipschitz) + 2 * length(problem.beta)))
        found.append(short(fraction_root_up(problem.lipschitz**2 * square * total + problem.beta**2)))
    return found


def read_bounds(
    problem: Problem,
    lower: dict[str, Any],
    items: list[str],
    duals: Sequence[tuple[Matrix, int]],
    arrays: dict[str, Any],
) -> list[Bound] | list[PatternBound] | list[TopBound]:
    """The bounds of all items, in order."""
    bounds: list[Bound] = []
    directions = None
    if "norm" not in items or "tree" in items:
        require(problem.m == 1 and problem.depth == 3, "trees and patterns are for one output and depth 3")
        directions = Directions(problem, lower, arrays)
    if "pattern" in items:
        require(lower["classes"] == 1, "lower: classes are for trees")
        require(problem.N <= PATTERN_POINTS, "patterns: too many points")
        return read_patterns(directions, duals, arrays)  # type: ignore[arg-type]
    if "top" in items:
        require(lower["classes"] == 1, "lower: classes are for trees")
        require(problem.N <= TOP_POINTS, "tops: too many points")
        trees = Stream(_array(arrays, "trees", int))
        found = [TopBound(directions, G[0], g, trees) for G, g in duals]  # type: ignore[arg-type]
        trees.end()
        return found
    if "tree" in items:
        trees = Stream(_array(arrays, "trees", int))
    else:
        require(lower == {"coordinates": False, "classes": 1}, "lower: classes are for trees")
    if "norm" in items:
        norms = iter(_array(arrays, "norms", float))
        factors = Stream(_array(arrays, "factors", int))
        points = _operator_norm(problem.X, problem.x, factors, norms)
    for kind, (G, g) in zip(items, duals, strict=True):
        if kind == "tree":
            bounds.append(TreeBound(directions, G[0], g, trees))  # type: ignore[arg-type]
        else:
            bounds.append(NormBound(problem, _operator_norm(G, g, factors, norms), points))
    if "tree" in items:
        trees.end()
    if "norm" in items:
        factors.end()
        require(next(norms, None) is None, "norms: too many")
    return bounds


def read_patterns(
    directions: Directions, duals: Sequence[tuple[Matrix, int]], arrays: dict[str, Any]
) -> list[PatternBound]:
    """The bounds Γ of all items, in order."""
    counts, pulls = _array(arrays, "counts", int), _array(arrays, "pulls", float)
    require(len(counts) == len(duals) and all(1 <= C <= CLASSES for C in counts), "patterns: a count for each item")
    N = directions.problem.N
    require(len(pulls) == N * sum(counts), "patterns: a q for each class")
    bounds = []
    start = 0
    for C, (G, g) in zip(counts, duals, strict=True):
        rows, f = matrix(pulls[start : start + C * N], C, N, "pulls")
        start += C * N
        bounds.append(PatternBound(directions, G[0], g, rows, f))
    return bounds


# -- the claim ---------------------------------------------------------------------------------------------------------


def check_minimum(header: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """lower ≤ P* ≤ upper for the minimum P* of L_λ over networks of this depth and any widths."""
    problem = Problem(header["problem"], arrays)
    upper = None if header["upper"] is None else check_upper(problem, header["upper"], arrays)
    lower = None if header["lower"] is None else check_lower(problem, header["lower"], arrays)
    require(upper is not None or lower is not None, "the certificate claims nothing")
    return {"kind": "deep_minimum", "sha256": problem.sha256, "depth": problem.depth, "lower": lower, "upper": upper}


def work_of(size: int) -> int:
    """What a file of so many bytes may cost."""
    return WORK + WORK_RATE * size * size


def check(content: bytes) -> dict[str, Any]:
    """The claim that the certificate proves, as a dictionary. Raises Rejected with the reason if it proves none."""
    size = len(content)
    memory = min(MEMORY + MEMORY_RATE * size, MEMORY_MOST)
    token = BUDGET.set(Budget(work_of(size), memory))
    try:
        return _claim(content)
    except StopIteration:
        raise Rejected("the proof is cut off") from None
    except MemoryError:
        raise Rejected("memory ran out") from None
    except (ArithmeticError, ValueError, TypeError, LookupError, RuntimeError) as error:
        # Nothing of the kind is expected; whatever it is, it is no proof.
        raise Rejected(f"the numbers cannot be computed with ({type(error).__name__}: {str(error)[:60]})") from None
    finally:
        BUDGET.reset(token)


def _claim(content: bytes) -> dict[str, Any]:
    header, arrays = parse(content)
    require(header.get("claim") == "deep_minimum", f"the claim {_shown(header.get('claim'))} is unknown")
    _fields(header, ("claim", "created_by", "problem", "upper", "lower"), "the header")
    require(isinstance(header["created_by"], str), "created_by is not a text")
    result = check_minimum(header, arrays)
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
        print("usage: deep_check.py FILE", file=sys.stderr)
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
