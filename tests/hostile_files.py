"""Certificates that nobody wrote in good faith: short files that ask for much time or memory, for every kind of proof.

A file names a problem of up to a million numbers that compress to nothing, has the right hash, and claims next to nothing
(so that no bound ends the check early); its proof is a stream of steps that are allowed, long, and hold extreme integers.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import random
from array import array
from typing import Any

from cpcert.certificate import check

LARGE = (1 << 62, -(1 << 62), (1 << 63) - 1, -(1 << 63), 1 << 40, 1100, -1100, 4400, -4400)
FLOATS = (0.0, 1.0, -1.0, 0.5, 3.0, -7.25, 1e-3, 1e16, 1e308, -1e308, 5e-324, 2.5e-308, 1e-160, 0.1, -0.3)


def varints(values: array[int]) -> bytes:
    """As an `int` array is stored, before compression."""
    raw = bytearray()
    for value in values:
        number = (value << 1 ^ value >> 63) & ((1 << 64) - 1)
        while number >= 128:
            raw.append(number & 127 | 128)
            number >>= 7
        raw.append(number)
    return bytes(raw)


def written(header: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    """The file; an array is of integers or of floats as Python's arrays are."""
    blobs, entries = [], []
    for name, values in arrays.items():
        whole = values.typecode == "q"
        blobs.append(lzma.compress(varints(values) if whole else values.tobytes(), check=lzma.CHECK_CRC32, preset=1))
        entries.append(
            {"name": name, "type": "int" if whole else "float64", "count": len(values), "stored": len(blobs[-1])}
        )
    text = json.dumps({**header, "arrays": entries}).encode()
    return b"".join([check.MAGIC, len(text).to_bytes(8, "little"), text, *blobs])


def problem_of(loss: str, slopes: tuple[float, float], beta: float, shape: tuple[int, int, int], X, Y) -> dict[str, Any]:
    """The problem with its hash."""
    N, n0, m = shape
    words = (
        f"cpcert-problem 1 loss={loss} a_plus={slopes[0].hex()} a_minus={slopes[1].hex()} lambda={(1.0).hex()} "
        f"beta={beta.hex()} depth=2 N={N} n0={n0} m={m}\n"
    )
    digest = hashlib.sha256(words.encode() + X.tobytes() + Y.tobytes()).hexdigest()
    return {
        "loss": loss, "a_plus": slopes[0], "a_minus": slopes[1], "lambda": 1.0, "beta": beta, "depth": 2,
        "N": N, "n0": n0, "m": m, "sha256": digest,
    }  # fmt: skip


class Maker:
    """Draws one file."""

    def __init__(self, seed: int, most: float = 6.0) -> None:
        self.rng = random.Random(seed)
        self.most = most

    def size(self, most: float | None = None) -> int:
        """A number of any order of magnitude."""
        return max(1, int(10 ** self.rng.uniform(0, self.most if most is None else most)))

    def floats(self, count: int, few: bool = True) -> array[float]:
        """Numbers that compress well: a few values again and again, one of another size among them."""
        rng = self.rng
        values = array("d", [rng.choice(FLOATS) for _ in range(rng.choice((1, 1, 2, 3, 7)))])
        if rng.random() < 0.2:
            values = array("d", [rng.gauss(0, 1) for _ in range(rng.choice((1, 5, 200)))])
        result = (values * (count // len(values) + 1))[:count]
        if count and rng.random() < 0.5:
            result[rng.randrange(count)] = rng.choice(FLOATS)
        return result

    def integer(self, small: int = 3) -> int:
        return self.rng.choice(LARGE) if self.rng.random() < 0.02 else self.rng.randrange(small)

    def make(self) -> tuple[str, bytes]:
        """(what it is, the file)."""
        rng = self.rng
        kind = rng.choice(("plane", "spectral", "tree", "tree", "directions", "cells", "network", "repaired", "infeasible"))
        loss = rng.choice(("mse", "mse", "logistic", "cross_entropy", "interpolate"))
        if kind in ("repaired", "infeasible"):
            loss = "interpolate"
        slopes = rng.choice(((1.0, 0.0), (1.0, -1.0), (1.0, 0.1), (1.0, 1.0), (5e-324, 1e308)))
        beta = rng.choice((0.0, 0.0, 1.0, 1e-300))
        total = self.size()
        N = max(1, int(total ** rng.choice((0, 0.5, 0.5, 0.9, 1))))
        n0 = max(1, min(total // N, 2 - (beta != 0)) if kind == "plane" else total // N)
        m = 1 if kind == "tree" else rng.choice((1, 2, 3, self.size(1.5), max(1, total // N)))
        if loss == "cross_entropy":
            m = max(m, 2)
        shape = N, n0, m
        X, Y = self.floats(N * n0), self.floats(N * m)
        if loss == "logistic":
            Y = array("d", [rng.choice((1.0, -1.0))]) * (N * m)
        if loss == "cross_entropy":
            Y = array("d", map(abs, Y))
        if kind == "repaired" or (loss == "interpolate" and kind == "network" and rng.random() < 0.8):
            Y = array("d", bytes(8 * N * m))
        header: dict[str, Any] = {"claim": "minimum", "created_by": "", "problem": None, "upper": None, "lower": None}
        header["problem"] = problem_of(loss, slopes, beta, shape, X, Y)
        arrays: dict[str, Any] = {"X": X, "Y": Y}
        if kind == "infeasible":
            del header["upper"], header["lower"]
            header |= {"claim": "infeasible", "relation": self.relation(N)}
        elif kind in ("network", "repaired"):
            self.network(header, arrays, kind, shape, beta)
        else:
            self.lower(header, arrays, kind, shape, n0 + (beta != 0))
        return f"{kind} {loss} {shape}", written(header, arrays)

    def relation(self, N: int) -> list[list[Any]]:
        digits = self.size(5)
        count = min(N, self.size(min(self.most, 3.0)))
        ones, rng = "1" * digits, self.rng
        return [
            [i, rng.choice((ones, "-1", "0", f"1/{ones[: -i % digits + 1]}", f"{ones}/{2 * i + 3}"))] for i in range(count)
        ]

    def network(self, header, arrays, kind, shape, beta) -> None:
        N, n0, m = shape
        n = n0 + (beta != 0)
        k = self.size() // max(n, m) if self.rng.random() < 0.9 else 0
        header["upper"] = {"value": 1e308, "kind": "network", "relations": []}
        arrays["W1"], arrays["W2"] = self.floats(k * n), self.floats(m * (k + (beta != 0)))
        if kind == "repaired":
            dropped = min(N, self.rng.choice((0, 1, 3)))
            relations = [[i, [[i, "1"], *([[j, "-1"] for j in range(dropped, min(N, dropped + 1))])]] for i in range(dropped)]
            header["upper"] |= {"kind": "repaired", "relations": relations}
            K = self.size() // max(n, N)
            arrays["repair_W"], arrays["repair_B"] = self.floats(K * n), self.floats(K * (N - dropped))

    def lower(self, header, arrays, kind, shape, n) -> None:
        N, _, m = shape
        rng = self.rng
        oracle: dict[str, Any] = {"kind": kind}
        header["lower"] = {"value": -1e308, "scale": rng.choice((0.0, 0.0, 5e-324)), "bound": 1e308, "oracle": oracle}
        arrays["G"] = self.floats(N * m)
        if rng.random() < 0.2 and kind != "plane":
            r = max(1, min(self.size(), 10**self.most // max(N, n)))
            header["lower"]["oracle"] = {"kind": "coordinates", "bound": 1e300, "inner": oracle}
            arrays["basis"], arrays["coordinates"] = self.floats(int(n * r)), self.floats(int(N * r))
        if kind == "spectral":
            proof = [rng.choice((0, 1, 1, 2)), *([rng.choice((0, 0, 1100, -1100))] * N)]
            arrays["proof"] = array("q", proof) + array("q", [rng.choice((0, 0, 1))]) * self.size()
            arrays["norms"] = self.floats(rng.choice((0, 3, 6)))
        if kind in ("tree", "directions", "cells"):
            exponents = array("q", [rng.choice((0, 0, 1, -1100, 2200, -2200))]) * N
            if rng.random() < 0.3:
                exponents[rng.randrange(N)] = rng.choice((0, 1100, -2200))
            arrays["exponents"] = exponents
        if kind in ("tree", "directions"):
            oracle["grid"] = [rng.randrange(53) for _ in range(3)]
            arrays |= {"proof": array("q"), "y": array("q"), "rho": array("q"), "mu": array("q")}
            trees = 2
            if kind == "directions":
                k = m
                if rng.random() < 0.4:
                    k = rng.choice((1, 2, 3, 12))
                    arrays["output_basis"], arrays["outputs"] = self.floats(m * k), self.floats(k * N)
                trees = 2 * k + rng.choice((0, 0, 5, self.size(4)))
                trees = min(trees, 20000)
                arrays["values"] = array("d", [1e307]) * trees
            for number in range(trees):
                if kind == "directions" and number >= 2 * k:
                    last = number - 1
                    arrays["proof"].extend([rng.choice((last, 0)), rng.choice((last, 1)), rng.choice((0, 200)), 0])
                self.tree(arrays, N, self.size() // trees)
            if kind == "directions":
                splits = self.size(4)
                arrays["proof"].extend([splits, *([rng.randrange(4) for _ in range(min(splits, 2000) * (k + 1))])])
                arrays["normals"] = self.floats(k * 2 ** min(k, 12))
        if kind == "cells":
            extra = self.size() // n if rng.random() < 0.5 else 0
            arrays["planes"] = self.floats(extra * n)
            arrays["proof"] = self.cells(N, extra, n)

    def tree(self, arrays, N: int, steps: int) -> None:
        """Steps until they are spent, then the ends that are due."""
        rng = self.rng
        proof, y, rho, mu = (arrays[name] for name in ("proof", "y", "rho", "mu"))
        proof.append(rng.choice((0, 0, 0, 60, 4400, -4400)))
        depth, due = 0, 1
        i = rng.randrange(N)
        weights = [rng.random() + 0.01 for _ in range(3)]
        while due:
            steps -= 1
            op = rng.choices((1, 2, 4), weights)[0] if steps > 0 else 0
            if op == 1:
                k = min(self.integer(4), N) if rng.random() < 0.9 else min(N, steps)
                proof.extend([1, k, *([rng.choice((0, 1))] * max(0, k))])
                y.extend([rng.choice((0, 1, -1, *LARGE))] * max(0, k))
                steps -= max(0, k)
            elif op == 2:
                k = depth if rng.random() < 0.8 else self.integer()
                proof.extend([2, 2 * i + rng.randrange(2), k, *([0] * max(0, min(k, 10**6)))])
                mu.extend([rng.choice((0, 1, 1 << 62))] * max(0, min(k, 10**6)))
                rho.append(rng.choice((0, 0, 1, 1 << 20, (1 << 63) - 1)))
                steps -= max(0, k)
            elif op == 4 and depth < N:
                proof.extend([4, 2 * i + rng.randrange(2)])
                depth += 1
                due += 1
                i = (i + 1) % N
            else:
                proof.extend([1, 0, 0])
                due -= 1
                depth = max(0, depth - 1) if rng.random() < 0.5 else depth
                if steps < -3 * N - 1000:
                    return

    def cells(self, N: int, extra: int, n: int) -> array[int]:
        """Branches, implied signs and leaves with many forms and pairs."""
        rng = self.rng
        proof = array("q")
        depth, steps, j = 0, self.size(), rng.randrange(N + extra)
        weights = [rng.random() + 0.01 for _ in range(3)]
        leaves = 0
        while len(proof) < steps and leaves < 100_000:
            op = rng.choices((1, 2, 0), weights)[0]
            if op == 1:
                k = rng.choice((0, depth, self.integer()))
                proof.extend([1, rng.randrange(N), rng.randrange(2), k, *([0, rng.choice((1, 1 << 62))] * max(0, min(k, 1000)))])
            elif op == 2:
                proof.extend([2, j])
                j = (j + 1) % (N + extra)
                depth += 1
            else:
                chosen, pairs = rng.choice((0, 1, self.size(4))) if depth else 0, rng.choice((0, 1, self.size(4)))
                proof.extend([0, rng.choice((0, 52, 4400, -4400)), rng.choice((0, 1, 1 << 62)), chosen, *([0] * chosen)])
                proof.extend([rng.choice((0, 1))] * min(N, 10**5))
                proof.extend([pairs, *([0, 1, rng.choice((0, 1, 1 << 62))] * pairs), 0, *([0] * min(10**5, (n + N) ** 2 // 2))])
                leaves += 1
                if not depth:
                    break
        return proof


def make(seed: int, most: float = 6.0) -> tuple[str, bytes]:
    """(what it is, the bytes) of file number `seed`; most: the order of magnitude of its longest arrays."""
    return Maker(seed, most).make()
