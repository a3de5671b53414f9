"""The checker of bounds of the least width: one file, the standard library, exact arithmetic.

    python width_check.py FILE    prints the claim; exit code 0 accepted, 1 rejected, 2 the file cannot be read

The claim is lower <= w(U) <= upper, w(U) the least number of neurons of a network with one hidden layer and a loss of at most
U. WIDTH.md beside this file says what is checked and why it proves the claim. Nothing is taken from the file but numbers:
whatever is missing, superfluous, not finite, too large or not proven raises `Rejected`. This file imports nothing of cpcert and
can be copied; the container, the numbers, the losses and the frame of the cones are those of check.py.
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
from itertools import chain, islice, pairwise, product
from math import isqrt
from operator import mul
from pathlib import Path
from typing import Any

MAGIC = b"cpwdth\x00\x01"
# Limits: a file beyond them is rejected before its numbers are touched.
FILE_BYTES, HEADER_BYTES, FLOAT_BYTES, INT_BYTES, MEMORY_BYTES = 1 << 29, 1 << 26, 1 << 26, 1 << 29, 1 << 27
ARRAYS, EXPONENT, HEADER_DIGITS = 64, 1100, 400
# What a file of s bytes may cost (WIDTH.md, "Limits"): WORK + WORK_RATE·s² units of about a nanosecond, and
# MEMORY + MEMORY_RATE·s bytes, up to MEMORY_MOST.
WORK, WORK_RATE = 2 * 10**10, 8
MEMORY, MEMORY_RATE, MEMORY_MOST = 1 << 26, 1 << 13, 1 << 33
# Coordinates of the points; sites.
RANK, SITES = 8, 4096
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


# -- the budget (WIDTH.md, "Limits") -----------------------------------------------------------------------------------


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

LOSSES = ("mse", "cross_entropy", "logistic")


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


# -- the upper end (WIDTH.md, "Upper end") -----------------------------------------------------------------------------


def _weights(problem: Problem, arrays: dict[str, Any]) -> tuple[Matrix, int, Matrix, int]:
    """W1 (k, n) and W2 (m, k + 1 if β ≠ 0) as integers over powers of two."""
    first, second = _array(arrays, "W1", float), _array(arrays, "W2", float)
    width = len(first) // problem.n
    W1, e1 = matrix(first, width, problem.n, "W1")
    W2, e2 = matrix(second, problem.m, width + (problem.beta != 0), "W2")
    return W1, e1, W2, e2


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


def network_loss(problem: Problem, arrays: dict[str, Any]) -> tuple[Fraction, int]:
    """(a rational ≥ the loss of the network in the file, exact for mse; its width)."""
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
    return loss_upper(problem, Z, Y, e) + problem.lam * cost, len(W1)


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


# -- dual points (SPEC.md, "Lower bound") ------------------------------------------------------------------------------


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


class Space:
    """Points as rows of integers over 2**x."""

    def __init__(self, points: Matrix, x: int) -> None:
        self.points, self.x, self.n = points, x, len(points[0])


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


# -- the frame of the cones (SPEC.md, "Cones") -------------------------------------------------------------------------

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


# -- trees: one output, one sign (SPEC.md, "Trees") --------------------------------------------------------------------

# y = κt/2**T; caps are rounded to so many bits, about; the ends of intervals may have so many more than the norms of points.
T, CAP, BEYOND = 52, 60, 256
FULL = 1 << T
# Intervals that the open nodes of one tree may hold, and units of work that may be due.
OPEN, CHUNK = 1 << 24, 10**6
# Bits after the point of centres and heights.
GRID = 20


class Trees:
    """The columns of the trees: the structure, and the multipliers y, ρ and μ apart."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        columns = [_array(arrays, name, int) for name in ("proof", "y", "rho", "mu")]
        self.steps, self.y, self.rho, self.mu = map(Stream, columns)

    def end(self) -> None:
        """Nothing may be left."""
        for stream in (self.steps, self.y, self.rho, self.mu):
            stream.end()


class Forest:
    """What all trees share: the points x̂_i = x_i·2**−e_i, then the centres of the caps, over 2**−p, their norms and Gram matrix.

    heights: those of the caps, over 2**−p.
    """

    def __init__(
        self, problem: Problem, space: Space, exponents: array[int], grid: Any, centres: Matrix, heights: Sequence[int]
    ) -> None:
        require(isinstance(grid, list) and len(grid) == 3 and all(_is_int(v) and 0 <= v <= T for v in grid), "bad grid")
        require(len(exponents) == problem.N, "tree: one exponent a point")
        require(all(abs(e) <= 2 * EXPONENT for e in exponents), "tree: an exponent is too large")
        self.space, self.grid, self.first = space, grid, problem.N
        self.problem = Slopes(problem, problem.N + len(centres))
        self.exponents = [*exponents, *([0] * len(centres))]
        # The fewest bits that keep all points integers, and enough for the intervals of x̂_iᵀw.
        free = [e - space.x - _trailing_zeros(row) for e, row in zip(exponents, space.points, strict=True) if any(row)]
        self.p = max([T, *free])
        require(self.p <= 4 * EXPONENT, "tree: the points differ too much in size")
        shifts = [self.p + space.x - e for e in exponents]
        bits = width(space.points) + max(0, *shifts)
        spend(problem.N * (space.n * (1000 + bits) + (bits * bits >> 8)), storage(problem.N * (space.n + 1), bits + 16))
        self.points = [[shifted(v, k) for v in row] for row, k in zip(space.points, shifts, strict=True)]
        self.used = [i for i, row in enumerate(self.points) if any(row)]
        up = self.p - GRID
        spend(
            len(centres) * (space.n * (1000 + up) + (up * up >> 8)),
            storage(len(centres) * (space.n + 2), width(centres) + up),
        )
        self.points += [[v << up for v in row] for row in centres]
        self.heights = [v << up for v in heights]
        self.radius = [root_up(dot(row, row)) for row in self.points]
        self.gram: list[Vector] = [[] for _ in self.points]
        self.bits = width(self.points)
        self.ends: dict[int, tuple[Vector, Vector]] = {}

    def row(self, i: int) -> Vector:
        """x̂_iᵀx̂_j over 2**−2p for all j, kept in `gram`."""
        count = len(self.points)
        spend(multiplications(count * (self.space.n + 4), self.bits, self.bits), storage(count, 2 * self.bits + 16))
        self.gram[i] = [dot(self.points[i], other) for other in self.points]
        return self.gram[i]

    def in_cap(self, k: int) -> tuple[Vector, Vector]:
        """The intervals of x̂_iᵀw over the w of the unit ball in cap k."""
        if k not in self.ends:
            count, bits = len(self.points), 3 * self.bits
            spend(count * (2000 + (bits * bits >> 3)), storage(2 * count, self.bits))
            at = self.first + k
            inner = self.gram[at] or self.row(at)
            height, A = self.heights[k], inner[at]
            rim = A - height * height
            low, high = [], []
            for own, row, radius in zip(inner, self.points, self.radius, strict=True):
                square = dot(row, row)
                sine = root_up((square * A - own * own) * rim)
                # Inside the cap is x̂_i itself, or −x̂_i, if its own product with the centre is at least height·‖x̂_i‖.
                within = own * own >= height * height * square
                high.append(radius if own > 0 and within else -((-own * height - sine) // A))
                low.append(-radius if own < 0 and within else (own * height - sine) // A)
            low[at] = height
            self.ends[k] = low, high
        low, high = self.ends[k]
        return low.copy(), high.copy()


class Slopes:
    """What a tree wants to know of the problem; N counts the centres of the caps too."""

    def __init__(self, problem: Problem, N: int) -> None:
        self.N, self.a_plus, self.a_minus = N, problem.a_plus, problem.a_minus


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


def tree_of(forest: Forest, weights: Vector, e: int, u: Fraction, trees: Trees) -> Tree:
    """What the nodes share for f(w) = Σ weights_i 2**e σ(x_iᵀw); the centres of the caps have no weight, but intervals."""
    caps = len(forest.heights)
    tree = Tree(forest, weights + [0] * caps, e, u, trees)
    tree.kappa[forest.first :] = [1] * caps
    return tree


def check_nodes(tree: Tree, trees: Trees, node: Node) -> None:
    """f ≤ u on a node, by a tree below it."""
    take = trees.steps.take
    nodes = [node]
    while nodes:
        node = nodes.pop()
        tree.settle(-tree.node_size - 8 * len(node.path))  # its memory is given back
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


def check_outside(forest: Forest, weights: Vector, e: int, u: Fraction, trees: Trees) -> None:
    """f(w) ≤ u for the unit w in no cap."""
    tree = tree_of(forest, weights, e, u, trees)
    node = tree.root()
    for k, height in enumerate(forest.heights):
        node.high[forest.first + k] = height
    check_nodes(tree, trees, node)


def check_inside(forest: Forest, weights: Vector, e: int, u: Fraction, trees: Trees, caps: Sequence[int]) -> None:
    """f(w) ≤ u for the unit w in these caps."""
    if not caps:
        return
    tree = tree_of(forest, weights, e, u, trees)
    for k in caps:
        spend(100 * tree.N, tree.node_size)
        check_nodes(tree, trees, Node(tree, *forest.in_cap(k), []))


# -- cones outside caps (WIDTH.md, "Trees") ----------------------------------------------------------------------------

# Bits after the point of ‖w‖ and of M.
FINE, SCALE = 64, 24
# A vertex 2**e·u of a cone: (2**e·u, e, L̂u with the points that are > 0 on the cone, x̂_iᵀu of the open points, a_kᵀu of the
# sites), all but e times 2**e.
Vertex = tuple[Vector, int, Vector, Vector, Vector]


# The same for all vertices of a cone times one power of two: (u, the linear part, x̂_iᵀu, a_kᵀu).
Corner = tuple[Vector, Vector, Vector, Vector]


def scaled(vertices: list[Vertex]) -> list[Corner]:
    """The vertices over one power of two."""
    top = max(vertex[1] for vertex in vertices)
    return [
        (
            [v << (top - e) for v in u],
            [v << (top - e) for v in fold],
            [v << (top - e) for v in values],
            [v << (top - e) for v in heights],
        )
        for u, e, fold, values, heights in vertices
    ]


class Outside:
    """The proof that ‖f̂‖ ≤ û‖w‖ for the w in caps that are not `chosen`, for one sign."""

    def __init__(
        self, frame: Frame, sign: int, sites: Matrix, chosen: Sequence[int], streams: Sequence[Stream]
    ) -> None:
        self.frame, self.sign, self.sites, self.chosen = frame, sign, sites, list(chosen)
        self.proof, self.theta, self.mu = streams
        self.others = sorted(set(range(len(sites))) - set(chosen))
        self.weights = [[sign * v for v in row] for row in frame.weights]
        self.edges = [(a, b) for a in range(frame.n) for b in range(a + 1, frame.n)]
        self.bits = max(map(width, (frame.points, frame.linear, sites))) + HALVINGS + 8
        # What a leaf costs besides its lists: products of a few integers, roots.
        long = width([[frame.bound.numerator, frame.bound.denominator]]) + 2 * (self.bits + FINE)
        self.price = multiplications(8 * frame.n * (frame.n + frame.m), long, long) + 10_000 + (self.bits**2 >> 6)

    def held(self, count: int) -> int:
        """The memory of a node with so many open points."""
        numbers = self.frame.n * (count + len(self.sites) + self.frame.n + self.frame.m)
        return storage(numbers, self.bits) + 8 * count + 1000

    def root(self, signs: Sequence[int]) -> list[Vertex]:
        """The vertices of one orthant."""
        return [
            (
                [s * (k == j) for k in range(self.frame.n)],
                0,
                [s * self.sign * row[j] for row in self.frame.linear],
                [s * x[j] for x in self.frame.points],
                [s * a[j] for a in self.sites],
            )
            for j, s in enumerate(signs)
        ]

    def settled(self, weights: Matrix, vertices: list[Vertex]) -> tuple[Matrix, list[Vertex]]:
        """The same cone with only the points that change sign on it as open ones."""
        signs = [(min(s), max(s)) for s in zip(*(vertex[3] for vertex in vertices), strict=True)]
        kept = [i for i, (low, high) in enumerate(signs) if low < 0 < high]
        on = [i for i, (low, high) in enumerate(signs) if low >= 0 and high > 0]
        result = [
            (
                u,
                e,
                [f + sum(weights[i][k] * s[i] for i in on) for k, f in enumerate(fold)],
                [s[i] for i in kept],
                heights,
            )
            for u, e, fold, s, heights in vertices
        ]
        return [weights[i] for i in kept], result

    def middle(self, one: Vertex, two: Vertex) -> Vertex:
        """The midpoint of an edge."""
        e = max(one[1], two[1]) + 1
        require(e <= HALVINGS, "trees: too many midpoints")
        s, t = e - 1 - one[1], e - 1 - two[1]
        u, fold, values, heights = (
            [(v << s) + (w << t) for v, w in zip(one[part], two[part], strict=True)]  # type: ignore[arg-type]
            for part in (0, 2, 3, 4)
        )
        return u, e, fold, values, heights

    def check(self, signs: Sequence[int]) -> None:
        """The tree of one orthant."""
        spend(self.held(len(self.weights)), self.held(len(self.weights)))
        nodes = [(self.weights, self.root(signs))]
        while nodes:
            weights, vertices = nodes.pop()
            count, numbers = len(weights), self.held(len(weights))
            spend(len(vertices) * (1 + self.frame.m) * count * (400 + (self.bits >> 3)) + 5 * numbers)
            weights, vertices = self.settled(weights, vertices)
            code = self.proof.index(2 + len(self.edges))
            if code < 2:
                spend(self.price + (1 + self.frame.m) * numbers)
                self.leaf(weights, vertices, code == 1)
            else:
                a, b = self.edges[code - 2]
                spend(0, 2 * self.held(len(weights)))
                middle = self.middle(vertices[a], vertices[b])
                for out in (a, b):  # the cone without b is visited first
                    nodes.append((weights, [*vertices[:out], middle, *vertices[out + 1 :]]))
            spend(0, -numbers)

    def leaf(self, weights: Matrix, vertices: list[Vertex], caps: bool) -> None:
        """A leaf: for all w, or with caps = True for those in the caps outside."""
        corners = scaled(vertices)
        if not caps:
            self.bounded(weights, corners, [0] * len(corners))
            return
        heights = [corner[3] for corner in corners]
        spend(len(self.others) * (len(self.chosen) * len(vertices) * 200 + 500))
        listed: dict[int, int] = {}
        at = -1
        for _ in range(self.proof.take()):
            gap = self.proof.take()
            at += gap + 1
            require(gap >= 0 and at < len(self.others), "trees: no such cap")
            listed[self.others[at]] = self.chosen[self.proof.index(len(self.chosen))]
        for k in self.others:
            if k not in listed:
                away = any(all(h[k] < h[j] for h in heights) for j in self.chosen)
                require(away, "trees: a cap outside is forgotten")
        for k, j in listed.items():
            spend(self.price + (1 + self.frame.m) * self.held(len(weights)))
            M = self.mu.take()
            require(M >= 0, "trees: a multiplier is negative")
            self.bounded(weights, corners, [M * (h[k] - h[j]) for h in heights])

    def bounded(self, weights: Matrix, corners: list[Corner], pull: Vector) -> None:
        """‖w‖F_i ≤ û(wᵀu_i − ‖w‖pull_i/2**SCALE) for all i."""
        theta = [self.theta.take() for _ in corners]
        require(all(0 <= t <= THETA for t in theta), "trees: theta is out of its range")
        w = [dot(theta, axis) for axis in zip(*(corner[0] for corner in corners), strict=True)]
        size = root_up(dot(w, w) << 2 * FINE)
        require(size > 0, "trees: theta is 0")
        F = self.one_output(weights, corners, theta) if self.frame.m == 1 else self.outputs(weights, corners)
        num, den = self.frame.bound.numerator, self.frame.bound.denominator
        for f, p, corner in zip(F, pull, corners, strict=True):
            room = 2 * num * ((dot(w, corner[0]) << (FINE + SCALE)) - p * size)
            require(den * size * f << SCALE <= room, "trees: a cone is not below the bound")

    def one_output(self, weights: Matrix, corners: list[Corner], theta: Vector) -> Vector:
        """2F_i."""
        values = [corner[2] for corner in corners]
        on = [dot(theta, s) > 0 for s in zip(*values, strict=True)]
        return [
            2
            * (fold[0] + sum((max(v, 0) if h[0] > 0 else -v * live) for h, v, live in zip(weights, s, on, strict=True)))
            for _, fold, s, _ in corners
        ]

    def outputs(self, weights: Matrix, corners: list[Corner]) -> Vector:
        """2F_i, rounded up."""
        shift, spread = [0] * self.frame.m, 0
        for h, values in zip(weights, zip(*(corner[2] for corner in corners), strict=True), strict=True):
            p, q = max(values), -min(values)
            e = -(-p * q // (p + q))
            shift = [a + e * b for a, b in zip(shift, h, strict=True)]
            spread += e * root_up(dot(h, h))
        F: Vector = []
        for _, fold, s, _ in corners:
            on = [max(v, 0) for v in s]
            rest = [
                2 * (f + sum(h[k] * v for h, v in zip(weights, on, strict=True))) - shift[k] for k, f in enumerate(fold)
            ]
            F.append(root_up(dot(rest, rest)) + spread)
        return F


# -- needed sets (WIDTH.md, "Needed sets") -----------------------------------------------------------------------------


def read_space(problem: Problem, wrapped: Any, arrays: dict[str, Any]) -> tuple[Space, Fraction, Vector, int]:
    """(the points x̂_i, a rational ≥ ‖Q‖, the ‖x_i − Qx̂_i‖ over a power of two, rounded up, the exponent of that)."""
    require(isinstance(wrapped, bool), "coordinates: neither true nor false")
    if not wrapped:
        return Space(problem.X, problem.x), Fraction(1), [0] * problem.N, 0
    basis = _array(arrays, "basis", float)
    r = len(basis) // problem.n
    require(0 < r <= RANK, "coordinates: no basis, or one of too many vectors")
    Q, q = matrix(basis, problem.n, r, "basis")
    points, x = matrix(_array(arrays, "coordinates", float), problem.N, r, "coordinates")
    low = min(q + x, problem.x)
    size = max(width(problem.X) + problem.x - low, width(Q) + width(points) + q + x - low + r.bit_length())
    spend(multiplications(problem.N * problem.n * r, width(Q), width(points)))
    spend(problem.N * (problem.n * (500 + size) + 5000 + multiplications(2 * problem.n, size, size)))
    errors = []
    for old, new in zip(problem.X, points, strict=True):
        error = [(a << (problem.x - low)) - (dot(row, new) << (q + x - low)) for a, row in zip(old, Q, strict=True)]
        errors.append(root_up(dot(error, error)))
    return Space(points, x), _stretch(list(zip(*Q, strict=True)), q), errors, low


def needed_sets(
    problem: Problem,
    U: float,
    header: dict[str, Any],
    count: int,
    places: tuple[Space, Fraction, Vector, int],
    arrays: dict[str, Any],
) -> Iterator[tuple[list[int], Matrix, int, Fraction, Any]]:
    """(caps, G, its power of two, the bound v of ‖Gσ(X̂ᵀŵ)‖ to be shown outside the caps, bits) of each set; all else is checked.

    count: of caps. bits: None for caps of centres. places: of read_space.
    """
    _, stretch, errors, low = places
    needed = header["needed"]
    require(isinstance(needed, list), "needed: is not a list")
    flat = _array(arrays, "G", float)
    each = problem.m * problem.N
    require(len(flat) == each * len(needed), "G: has the wrong number of entries")
    names = ("caps", "scale", "bound", "inner", "bits")[: 5 - ("base" in header)]
    for number, entry in enumerate(needed):
        caps, scale, bound, inner, *bits = _fields(entry, names, "needed")
        require(
            isinstance(caps, list) and all(map(_is_int, caps)) and len(caps) > 0, "needed: caps are a list of numbers"
        )
        ordered = all(a < b for a, b in pairwise(caps))
        require(ordered and caps[0] >= 0 and caps[-1] < count, "needed: caps are not in order, or not there")
        s, u, inside = (Fraction(_number(v, "needed")) for v in (scale, bound, inner))
        G, g = matrix(flat[number * each : (number + 1) * each], problem.m, problem.N, "G")
        if problem.loss == "cross_entropy":
            G[-1] = [-sum(column) for column in zip(*G[:-1], strict=True)]
        require(s >= 0 and inside >= 0 and s * u <= 2 * problem.lam, "needed: scale times bound exceeds 2 lambda")
        require(Fraction(U) < dual_value(problem, G, g, s), "needed: the dual value is not larger than the loss")
        rest = Fraction(0)
        for column, error in zip(zip(*G, strict=True), errors, strict=True):
            spend(500 * problem.m)
            if error:
                rest += norm_up(column, g) * error * power(low)
        require(stretch * inside + problem.lipschitz * rest <= u, "needed: the bound is too small")
        yield caps, G, g, inside, bits[0] if bits else None


def check_needed(
    problem: Problem,
    U: float,
    header: dict[str, Any],
    sites: Matrix,
    places: tuple[Space, Fraction, Vector, int],
    arrays: dict[str, Any],
) -> Vector:
    """The needed sets, as bits; each is proven to be one by cones. places: of read_space."""
    space = places[0]
    streams = [Stream(_array(arrays, name, int)) for name in ("proof", "theta", "mu")]
    sets = []
    for caps, G, g, inside, bits in needed_sets(problem, U, header, len(sites), places, arrays):
        frame = Frame(problem, space, G, g, inside, bits)
        spend(len(sites) * 500, len(sites) * 40)
        for sign in (1, -1) if problem.m == 1 else (1,):
            outside = Outside(frame, sign, sites, caps, streams)
            for signs in product((1, -1), repeat=space.n):
                outside.check(signs)
        sets.append(sum(1 << k for k in caps))
    for stream in streams:
        stream.end()
    return sets


def read_caps(centres: Matrix, arrays: dict[str, Any]) -> array[int]:
    """The heights of the caps a_kᵀw ≥ h_k‖w‖, which are disjoint and each less than half of all directions."""
    heights: array[int] = _array(arrays, "heights", int)
    require(len(heights) == len(centres), "heights: one for each cap")
    size = width([*centres, heights])
    require(size <= 2 * GRID, "the centres are too long")
    spend(multiplications(len(centres) ** 2 * (len(centres[0]) + 8), 4 * size, 4 * size))
    rims = [dot(a, a) - h * h for a, h in zip(centres, heights, strict=True)]
    require(min(heights) > 0 and min(rims) > 0, "heights: a cap is empty, or half of all directions")
    for k, (a, h, rim) in enumerate(zip(centres, heights, rims, strict=True)):
        for b, other, edge in zip(centres[:k], heights, rims, strict=False):
            # cos of the angle between the centres < cos of the sum of the angles of the caps
            room = h * other - dot(a, b)
            require(room > 0 and rim * edge < room * room, "two caps are not disjoint")
    return heights


def check_contacts(
    problem: Problem,
    U: float,
    header: dict[str, Any],
    centres: Matrix,
    places: tuple[Space, Fraction, Vector, int],
    arrays: dict[str, Any],
) -> Vector:
    """The needed sets, as bits; each is proven to be one by trees, one pair of them for all directions in no cap."""
    require(problem.m == 1, "base: is for one output")
    space = places[0]
    inner, grid = _fields(header["base"], ("inner", "grid"), "base")
    v = Fraction(_number(inner, "base"))
    require(v >= 0, "base: a bound is negative")
    rows, e = matrix(_array(arrays, "base", float), 1, problem.N, "base")
    heights = read_caps(centres, arrays)
    trees = Trees(arrays)
    forest = Forest(problem, space, _array(arrays, "exponents", int), grid, centres, heights)
    for sign in (1, -1):
        check_outside(forest, [sign * value for value in rows[0]], e, v, trees)
    norms = [norm_up(row, space.x) for row in space.points]
    sets = []
    for caps, G, g, inside, _ in needed_sets(problem, U, header, len(centres), places, arrays):
        low = min(g, e)
        change = [abs((a << (g - low)) - (b << (e - low))) for a, b in zip(G[0], rows[0], strict=True)]
        spend(problem.N * 5000)
        moved = sum(value * norm for value, norm in zip(change, norms, strict=True)) * power(low)
        require(v + problem.lipschitz * moved <= inside, "needed: too far from the base")
        spend(500 * len(centres))
        others = sorted(set(range(len(centres))) - set(caps))
        for sign in (1, -1):
            check_inside(forest, [sign * value for value in G[0]], g, inside, trees, others)
        sets.append(sum(1 << k for k in caps))
    trees.end()
    return sets


def hitting_number(sets: Vector, stream: Stream) -> int:
    """k: fewer caps do not hit all sets (WIDTH.md, "Hitting sets")."""
    least = stream.take()
    require(least >= 0, "hitting: a number is negative")
    size = 200 + (width([sets]) >> 3)
    nodes = [(0, 0)] if least else []
    while nodes:
        chosen, banned = nodes.pop()
        spend(20 * size, -2 * size)
        if stream.index(2):
            at = stream.index(len(sets))
            require(not sets[at] & chosen, "hitting: a set is hit already")
            rest = sets[at] & ~banned
            spend(20 * size * rest.bit_count(), 2 * size * rest.bit_count())
            children = []
            while rest:
                bit = rest & -rest
                children.append((chosen | bit, banned))
                rest, banned = rest ^ bit, banned | bit
            nodes += reversed(children)
            continue
        count = stream.take()
        require(count >= 1, "hitting: a node without a set")
        at, apart = -1, 0
        for _ in range(count):
            spend(20 * size)
            gap = stream.take()
            at += gap + 1
            require(gap >= 0 and at < len(sets), "hitting: no such set")
            rest = sets[at] & ~banned
            require(not sets[at] & chosen and not rest & apart, "hitting: the sets are hit already, or not disjoint")
            apart |= rest
        require(chosen.bit_count() + count >= least or not apart, "hitting: too few sets")
    return least


# -- the claim ---------------------------------------------------------------------------------------------------------


def check_width(header: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """lower ≤ w(U) ≤ upper for the least width w(U) of a network with a loss of at most U."""
    problem = Problem(header["problem"], arrays)
    U = _number(header["loss"], "loss")
    upper = None
    require(isinstance(header["network"], bool), "network: neither true nor false")
    if header["network"]:
        loss, upper = network_loss(problem, arrays)
        require(loss <= Fraction(U), "network: its loss is larger")
    places = read_space(problem, header["coordinates"], arrays)
    r = places[0].n
    require(r <= RANK, "the points have too many coordinates")
    flat = _array(arrays, "sites", int)
    require(0 < len(flat) <= r * SITES and len(flat) % r == 0, "sites: the number of entries is wrong")
    sites = [list(flat[k : k + r]) for k in range(0, len(flat), r)]
    prove = check_contacts if "base" in header else check_needed
    sets = prove(problem, U, header, sites, places, arrays)
    stream = Stream(_array(arrays, "hitting", int))
    lower = hitting_number(sets, stream)
    stream.end()
    return {"kind": "least_width", "sha256": problem.sha256, "loss": U, "lower": lower, "upper": upper}


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
    require(header.get("claim") == "least_width", f"the claim {_shown(header.get('claim'))} is unknown")
    keys = ("claim", "created_by", "problem", "loss", "network", "coordinates", "needed", "base")
    _fields(header, keys[: 7 + ("base" in header)], "the header")
    require(isinstance(header["created_by"], str), "created_by is not a text")
    result = check_width(header, arrays)
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
        print("usage: width_check.py FILE", file=sys.stderr)
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
