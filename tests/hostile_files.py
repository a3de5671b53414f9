"""Certificates that nobody wrote in good faith: short files that ask for much time or memory, for every kind of proof.

A file names a problem of up to a million numbers that compress to nothing, has the right hash, and claims next to nothing
(so that no bound ends the check early); its proof is a stream of steps that are allowed, long, and hold extreme integers.

    python hostile_files.py FOLDER FIRST COUNT MOST

checks the files FIRST … with the checkers in FOLDER, each in a process of its own (one that is hurt by none before it),
and prints a line of JSON for each: what it is, its size, the answer, seconds of the processor, and megabytes.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import random
import sys
import time
from array import array
from itertools import pairwise
from typing import Any

MAGIC = b"cpcert\x00\x01"
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


def written(header: dict[str, Any], arrays: dict[str, Any], magic: bytes = MAGIC) -> bytes:
    """The file; an array is of integers or of floats as Python's arrays are."""
    blobs, entries = [], []
    for name, values in arrays.items():
        whole = values.typecode == "q"
        blobs.append(lzma.compress(varints(values) if whole else values.tobytes(), check=lzma.CHECK_CRC32, preset=1))
        entries.append(
            {"name": name, "type": "int" if whole else "float64", "count": len(values), "stored": len(blobs[-1])}
        )
    text = json.dumps({**header, "arrays": entries}).encode()
    return b"".join([magic, len(text).to_bytes(8, "little"), text, *blobs])


def problem_of(
    loss: str, slopes: tuple[float, float], beta: float, shape: tuple[int, int, int], X, Y, depth: int = 2
) -> dict[str, Any]:
    """The problem with its hash."""
    N, n0, m = shape
    words = (
        f"cpcert-problem 1 loss={loss} a_plus={slopes[0].hex()} a_minus={slopes[1].hex()} lambda={(1.0).hex()} "
        f"beta={beta.hex()} depth={depth} N={N} n0={n0} m={m}\n"
    )
    digest = hashlib.sha256(words.encode() + X.tobytes() + Y.tobytes()).hexdigest()
    return {
        "loss": loss, "a_plus": slopes[0], "a_minus": slopes[1], "lambda": 1.0, "beta": beta, "depth": depth,
        "N": N, "n0": n0, "m": m, "sha256": digest,
    }  # fmt: skip


RECORDED = 5000


class Maker:
    """Draws one file."""

    def __init__(self, seed: int, most: float = 6.0) -> None:
        self.rng = random.Random(seed)
        self.most = most
        # What these cost is written down (checker_shares.py): they stay as they are.
        self.recorded = seed < RECORDED
        # Half of the files have numbers of one size, so that bounds hold and the check goes on to the end.
        self.numbers = self.rng.choice((FLOATS, FLOATS[1:8]))

    def size(self, most: float | None = None) -> int:
        """A number of any order of magnitude."""
        return max(1, int(10 ** self.rng.uniform(0, self.most if most is None else most)))

    def floats(self, count: int) -> array[float]:
        """Numbers that compress well: a few values again and again, one of another size among them."""
        rng = self.rng
        values = array("d", [rng.choice(self.numbers) for _ in range(rng.choice((1, 1, 2, 3, 7)))])
        if rng.random() < 0.2:
            values = array("d", [rng.gauss(0, 1) for _ in range(rng.choice((1, 5, 200)))])
        result = (values * (count // len(values) + 1))[:count]
        if count and rng.random() < 0.5:
            result[rng.randrange(count)] = rng.choice(self.numbers)
        return result

    def integer(self, small: int = 3) -> int:
        return self.rng.choice(LARGE) if self.rng.random() < 0.02 else self.rng.randrange(small)

    def make(self) -> tuple[str, bytes]:
        """(what it is, the file)."""
        rng = self.rng
        kind = rng.choice(
            (
                "plane", "spectral", "tree", "tree", "directions", "cells", "moments", "spatial", "spatial", "network", "repaired",
                "infeasible",
            )
        )  # fmt: skip
        if kind == "moments" and not self.recorded and rng.random() < 0.5:
            kind = "regions"
        loss = rng.choice(("mse", "mse", "logistic", "cross_entropy", "interpolate"))
        if kind in ("repaired", "infeasible"):
            loss = "interpolate"
        slopes = rng.choice(((1.0, 0.0), (1.0, -1.0), (1.0, 0.1), (1.0, 1.0), (5e-324, 1e308)))
        beta = rng.choice((0.0, 0.0, 1.0, 1e-300))
        if self.numbers is not FLOATS:
            slopes, beta = (1.0, 0.0), rng.choice((0.0, 1.0))
        total = self.size()
        N = max(1, int(total ** rng.choice((0, 0.5, 0.5, 0.9, 1))))
        n0 = max(1, min(total // N, 2 - (beta != 0)) if kind == "plane" else total // N)
        if kind == "spatial":  # 2 to 12 coordinates, and 2 orthants to the power of their number
            n0 = rng.choice((2, 2, 3, 3, 4, 6, 12)) - (beta != 0)
            N = max(1, total // n0)
        m = 1 if kind == "tree" else rng.choice((1, 2, 3, self.size(1.5), max(1, total // N)))
        if loss == "cross_entropy":
            loss, m = ("mse", 1) if kind == "tree" else (loss, max(m, 2))
        shape = N, n0, m
        X, Y = self.floats(N * n0), self.floats(N * m)
        if loss == "logistic":  # (with G = 0 the dual point lies in the domain)
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
            [i, rng.choice((ones, "-1", "0", f"1/{ones[: -i % digits + 1]}", f"{ones}/{2 * i + 3}"))]
            for i in range(count)
        ]

    def network(self, header, arrays, kind, shape, beta) -> None:
        N, n0, m = shape
        n = n0 + (beta != 0)
        k = self.size() // max(n, m) if self.rng.random() < 0.9 else 0
        header["upper"] = {"value": 1e308, "kind": "network", "relations": []}
        arrays["W1"], arrays["W2"] = self.floats(k * n), self.floats(m * (k + (beta != 0)))
        if kind == "repaired":
            dropped = min(N, self.rng.choice((0, 1, 3)))
            relations = [
                [i, [[i, "1"], *([[j, "-1"] for j in range(dropped, min(N, dropped + 1))])]] for i in range(dropped)
            ]
            header["upper"] |= {"kind": "repaired", "relations": relations}
            K = self.size() // max(n, N)
            arrays["repair_W"], arrays["repair_B"] = self.floats(K * n), self.floats(K * (N - dropped))

    def lower(self, header, arrays, kind, shape, n) -> None:
        N, _, m = shape
        rng = self.rng
        oracle: dict[str, Any] = {"kind": kind}
        header["lower"] = {"value": -1e308, "scale": rng.choice((0.0, 0.0, 5e-324)), "bound": 1e308, "oracle": oracle}
        arrays["G"] = self.floats(N * m)
        if header["problem"]["loss"] in ("logistic", "cross_entropy"):
            header["lower"]["scale"] = 0.0
        if rng.random() < 0.1 and kind != "plane":
            r = max(1, min(self.size(), 10**self.most // max(N, n)))
            header["lower"]["oracle"] = {"kind": "coordinates", "bound": 1e290, "inner": oracle}
            arrays["basis"], arrays["coordinates"] = self.floats(int(n * r)), self.floats(int(N * r))
        if kind == "spectral":
            proof = [rng.choice((0, 1, 1, 2)), *([rng.choice((0, 0, 1100, -1100))] * N)]
            arrays["proof"] = array("q", proof) + array("q", [rng.choice((0, 0, 1))]) * self.size()
            arrays["norms"] = self.floats(rng.choice((0, 3, 6)))
        if kind in ("tree", "directions", "cells", "moments", "regions"):
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
        if kind in ("moments", "regions"):
            depth = min(N, rng.choice((0, 1, 3, N))) if kind == "regions" else None
            arrays["proof"] = self.moments(N, m, n, depth)
        if kind == "spatial":
            p = rng.choice((0, 20, 50, 1100, -1100, 4400, -4400, 4401))
            oracle["bits"] = [p, 0 if m == 1 and rng.random() < 0.95 else rng.choice((0, 26, -50, 4400, -4400))]
            arrays["proof"], arrays["theta"] = self.cones(n, (1 + (m == 1)) << min(n, 12))

    def cones(self, r: int, trees: int) -> tuple[array[int], array[int]]:
        """The trees of all orthants: long chains of midpoints, or full trees; θ of any kind."""
        rng = self.rng
        edges, steps = r * (r - 1) // 2, self.size()
        proof = array("q")
        for _ in range(trees):
            room = min(rng.choice((0, 0, steps // trees, steps // 2)), 2 * steps - len(proof))
            edge, chain = rng.randrange(max(edges, 1)) + 1, rng.random() < 0.5
            open_depths = [0]
            while open_depths:
                depth = open_depths.pop()
                if room > 0 and depth < 64:
                    room -= 1
                    proof.append(edge if chain else rng.randrange(max(edges, 1)) + 1)
                    open_depths += [depth + 1 if not chain else 64, depth + 1]
                else:
                    proof.append(0)
        leaves = proof.count(0)
        few = array("q", [rng.choice((1, 1, 0, 128, 255)) for _ in range(rng.choice((1, r, 7)))])
        return proof, (few * (r * leaves // len(few) + 1))[: r * leaves]

    def moments(self, N: int, m: int, n: int, depth: int | None) -> array[int]:
        """Parts with many products and cones, of extreme numbers; depth: a chain of so many regions, and the last one twice."""
        proof = array("q")
        for _ in range(1 if m > 1 else 2):
            for level in range(0 if depth is None else depth):
                proof.extend([level + 1, 0])
                self.part(proof, N, m, n, level + 1)
            if depth is not None:
                proof.append(0)
            self.part(proof, N, m, n, depth or 0)
        return proof

    def part(self, proof: array[int], N: int, m: int, n: int, signs: int) -> None:
        """One of them, with so many signs."""
        rng = self.rng
        size = 3 * N + 1
        proof.extend([rng.choice((0, 0, 40, 4400, -4400)), *([rng.choice((0, 1, 1 << 62))] * (3 if m > 1 else 2))])
        proof.extend([rng.choice((0, 1, -1, 1 << 62))] * (N - signs))
        products = min(self.size(), size * (size + 1) // 2)
        if signs > 1:
            products = min(products, 100)
        gap, weight = rng.choice((0, 1, size)), rng.choice((0, 1, 1 << 62))
        proof.append(products)
        # One row of the upper triangle after another: a place below the diagonal would end the check.
        place, row = 0, 0
        last = -1
        for _ in range(products):
            place += 1 + gap if place else 0
            while row < size and place >= (row + 1) * size:
                row += 1
            place = max(place, row * size + row)
            if row >= size:
                break
            proof.extend([place - last - 1, weight])
            last = place
            place += not last
        cones = rng.choice((0, 1, min(size, self.size() // (n + 2)))) if signs < 2 else 0
        proof.extend([cones, *([0, 1 << 62, *([rng.choice((0, 1, 1 << 30))] * n)] * cones)])
        entries = min(10**6, (1 + m + n + N - signs) ** 2 // 2)
        proof.extend([0, *([rng.choice((0, 1))] * (entries if signs < 2 else min(entries, 10**4)))])

    def tree(self, arrays, N: int, steps: int) -> None:
        """Steps until they are spent, then the ends that are due."""
        rng = self.rng
        proof, y, rho, mu = (arrays[name] for name in ("proof", "y", "rho", "mu"))
        proof.append(rng.choice((0, 0, 0, 60, 4400, -4400)))
        depth, due = 0, 1
        i = rng.randrange(N)
        weights = [rng.random() + 0.01 for _ in range(3)]
        bounded = False
        while due:
            steps -= 1
            op = rng.choices((1, 2, 4), weights)[0] if steps > 0 else 0
            if op == 1:
                k = min(self.integer(4), N) if rng.random() < 0.9 else min(N, steps)
                proof.extend([1, k, *([rng.choice((0, 1))] * max(0, k))])
                y.extend([rng.choice((0, 1, -1, *LARGE))] * max(0, k))
                steps -= max(0, k)
                bounded = True
            elif op == 2:
                k = depth if rng.random() < 0.8 else self.integer()
                proof.extend([2, 2 * i + rng.randrange(2), k, *([0] * max(0, min(k, 10**6)))])
                mu.extend([rng.choice((0, 1, 1 << 62))] * max(0, min(k, 10**6)))
                rho.append(rng.choice((0, 0, 1, 1 << 20, (1 << 63) - 1)) if bounded else 0)
                steps -= max(0, k)
            elif op == 4 and depth < N:
                proof.extend([4, 2 * i + rng.randrange(2)])
                depth += 1
                due += 1
                i = (i + 1) % N
                bounded = False
            else:
                proof.extend([1, 0, 0])
                due -= 1
                depth = due - 1
                bounded = False
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
                proof.extend(
                    [1, rng.randrange(N), rng.randrange(2), k, *([0, rng.choice((1, 1 << 62))] * max(0, min(k, 1000)))]
                )
            elif op == 2:
                proof.extend([2, j])
                j = (j + 1) % (N + extra)
                depth += 1
            else:
                chosen, pairs = rng.choice((0, 1, self.size(4))) if depth else 0, rng.choice((0, 1, self.size(4)))
                proof.extend(
                    [0, rng.choice((0, 52, 4400, -4400)), rng.choice((0, 1, 1 << 62)), chosen, *([0] * chosen)]
                )
                proof.extend([rng.choice((0, 1))] * min(N, 10**5))
                proof.extend(
                    [pairs, *([0, 1, rng.choice((0, 1, 1 << 62))] * pairs), 0, *([0] * min(10**5, (n + N) ** 2 // 2))]
                )
                leaves += 1
                if not depth:
                    break
        return proof

    # -- claims about matrices -----------------------------------------------------------------------------------------

    def rational(self) -> int | str:
        rng = self.rng
        if rng.random() < 0.7:
            return rng.choice((0, 1, 1, 2, -1))
        digits = self.digits
        return (
            rng.choice((1, -1)) * rng.randrange(10**digits)
            if rng.random() < 0.3
            else (f"{rng.randrange(10**digits)}/{rng.randrange(1, 10 ** rng.choice((1, digits)))}")
        )

    def vector(self, n: int) -> list[int | str]:
        few = [self.rational() for _ in range(self.rng.choice((1, 2, n)))]
        return [few[i % len(few)] for i in range(n)]

    def symmetric(self, n: int) -> list[list[int | str]]:
        few = self.vector(self.rng.choice((1, 3, n * n)))
        ones = self.rng.random() < 0.5
        return [
            [2 if ones and i == j else few[(min(i, j) * n + max(i, j)) % len(few)] for j in range(n)] for i in range(n)
        ]

    def make_claim(self) -> tuple[str, bytes]:
        """(what it is, the JSON of a claim about a matrix)."""
        rng = self.rng
        self.digits = rng.choice((1, 2, 20, 300, 1990))
        n = min(self.size(2), 1 + int((3e5 / self.digits) ** 0.5))
        A = self.symmetric(n)
        kinds = ("atoms", "nearby", "face", "not_psd", "copositive", "lower", "lower", "lower", "sigma", "sigma")
        kind = rng.choice((*kinds, "is_copositive", "is_copositive"))
        if kind == "is_copositive":
            zeros = rng.choice((None, None, [self.vector(n) for _ in range(self.size(2))]))
            proof = {"kind": "supports"} if zeros else self.copositive(n, 3)
            claim = {
                "claim": "copositive",
                "A": A,
                "strictly": rng.random() < 0.5,
                "minimal_zeros": zeros,
                "proof": proof,
            }
        elif kind in ("atoms", "nearby", "face"):
            claim = {"claim": "completely_positive", "A": A, "proof": self.upper(A, kind)}
        elif kind in ("not_psd", "copositive"):
            size = min(n, 16)
            proof = (
                {"kind": kind, "v": self.vector(n)} if kind == "not_psd" else {"kind": kind, "S": self.symmetric(size)}
            )
            if n > size:
                proof = {"kind": "principal", "indices": list(range(size)), "proof": proof}
            claim = {"claim": "not_completely_positive", "A": A, "proof": proof}
        elif kind == "lower":
            claim = {
                "claim": "cp_rank",
                "A": A,
                "lower": 0,
                "lower_proof": self.below(n),
                "upper": None,
                "upper_proof": None,
            }
        else:
            numbers = {name: self.rational() for name in ("beta", "a_plus", "a_minus")}
            proof = {"kind": "lifted", "node": self.node(2 * n, n * (n + 1), 4)}
            claim = {
                "claim": "rank_sigma",
                "K": A,
                "K_sigma": self.symmetric(n),
                **numbers,
                "lower": 0,
                "lower_proof": proof,
            }
            claim |= (
                {"upper": n, "upper_proof": self.upper(A, rng.choice(("atoms", "neurons", "neurons")))}
                if rng.random() < 0.6
                else ({"upper": None, "upper_proof": None})
            )
        return f"{kind} of order {n} with {self.digits} digits", json.dumps(claim).encode()

    def upper(self, A: list[list[int | str]], kind: str) -> dict[str, Any]:
        n, count = len(A), self.size(2)
        if kind == "atoms":
            atoms = [
                {"weight": f"1/{i * i + self.rng.randrange(1, 10**self.digits)}", "entries": [[j, 1] for j in range(n)]}
                for i in range(count)
            ]
            return {"kind": "atoms", "atoms": atoms}
        n = min(n, 8)
        columns = [
            {"basis": [self.vector(len(A)) for _ in range(n)], "center": self.vector(n)} for _ in range(min(count, 20))
        ]
        equations = n * (n + 1) // 2
        inverse = [self.vector(equations) for _ in range(equations)]
        rows = self.rng.choice((list(range(n)), list(range(len(A)))[:30]))
        proof = {"kind": "nearby", "rows": rows, "columns": columns, "inverse": inverse, "rho": f"1/{10**30}"}
        if kind != "nearby":
            place, count = 0, len(rows if kind == "face" else A)
            proof |= {"kind": kind, "dependencies": []}
            for _ in range(self.rng.choice((0, 1, self.size(2)))):
                length = min(self.size(3), count * (count + 1) // 2 - place)
                proof["dependencies"].append([[place + e, self.rational()] for e in range(length)])
                place += max(length, 0)
        if kind == "neurons":
            del proof["rows"]
            proof["kind"] = "nearby"
        return proof

    def copositive(self, n: int, depth: int) -> dict[str, Any]:
        kind = self.rng.choice(
            ("supports", "semidefinite", "sum", "sum", "blocks", "blocks") if depth else ("supports",)
        )
        if kind == "sum":
            N = [[str(v).lstrip("-") for v in row] for row in self.symmetric(n)]
            return {"kind": kind, "N": N, "rest": self.copositive(n, depth - 1)}
        if kind == "blocks":
            cuts = sorted({0, n, *(self.rng.randrange(n + 1) for _ in range(3))})
            return {"kind": kind, "parts": [
                {"indices": list(range(a, b)), "proof": self.copositive(b - a, depth - 1)}
                for a, b in pairwise(cuts)
            ]}  # fmt: skip
        return {"kind": kind}

    def below(self, n: int) -> dict[str, Any]:
        rng = self.rng
        kind = rng.choice(("rank", "cover", "copositive", "tau_sos", "moments", "shares", "ideal_sparse"))
        if kind == "rank":
            return {"kind": kind, "prime": (1 << 61) - 1}
        if kind == "cover":
            pairs = [[i, (i + 1) % n] for i in range(n)] * rng.choice((1, 1, 50))
            return {"kind": kind, "cover": self.cover(pairs)}
        if kind == "copositive":
            return {"kind": kind, "S": self.symmetric(n), "node": self.node(n, n * (n + 1) // 2, 4)}
        if kind in ("tau_sos", "moments", "shares") and n < 12:
            return self.products(n, kind, 3)
        part = {"vertices": list(range(n)), "s": self.vector(n), "d": self.symmetric(n), "Omega": self.symmetric(n)}
        return {
            "kind": "ideal_sparse",
            "Y": self.symmetric(n),
            "u": ["99999999999999999999"] * n,
            "cliques": [part] * self.size(1),
        }

    def products(self, n: int, kind: str, depth: int) -> dict[str, Any]:
        rng = self.rng
        if kind == "shares":
            kinds = ("tau_sos", "moments", "shares") if depth else ("tau_sos",)
            return {"kind": kind, "pairs": [
                {"pair": [rng.randrange(n), k % n], "share": self.rational(), "proof": self.products(n, rng.choice(kinds), depth - 1)}
                for k in range(rng.randrange(4))
            ]}  # fmt: skip
        m = n * (n + 1) // 2
        forms = {"l": self.vector(m), "D": self.vector(m), "Omega": self.symmetric(m)}
        if kind == "tau_sos":
            return {"kind": kind, **forms, "W": self.symmetric(m)}
        sets = [list(range(n)), *([k] for k in range(rng.randrange(3)))]
        parts = [{"c": self.rational(), "W": self.symmetric(len(V) * (len(V) + 1) // 2)} for V in sets]
        cut = forms | {"Z": rng.choice((None, self.symmetric(n))), "parts": parts}
        return {"kind": kind, "lower": self.size(2), "sets": sets, "cuts": [cut] * rng.randrange(3)}

    def cover(self, pairs: list[list[int]]) -> dict[str, Any]:
        return self.rng.choice((
            {"kind": "fooling", "pairs": pairs}, {"kind": "triangle_free"}, {"kind": "search", "lower": self.size(3)},
            {"kind": "weights", "weights": [[u, v, self.rational()] for u, v in pairs]},
        ))  # fmt: skip

    def node(self, n: int, equations: int, depth: int) -> dict[str, Any]:
        rng = self.rng
        e = rng.randrange(equations)
        y = rng.choice(([], [[e, 1]], [[i, self.rational()] for i in range(equations)]))
        step = rng.choice(({"zero": y}, {"positive": [e % n, e % n], "by": y}, {"zero": []}))
        ends = [{"infeasible": y}, {"cover": self.cover([[0, 0]])}]
        ends.append({"block": list(range(self.size(4))), "values": [], "proof": {"kind": "trivial"}})
        if depth:
            below = [self.node(n, equations, depth - 1) for _ in range(2)]
            ends.append({"branch": [e % n, e % n], "zero": below[0], "positive": below[1]})
        return {"steps": [step] * self.size(3 if depth == 4 else 1), "end": rng.choice(ends)}


def make(seed: int, most: float) -> tuple[str, bytes]:
    """(what it is, the bytes) of file number `seed`; most: the order of magnitude of its longest arrays."""
    maker = Maker(seed, most)
    return maker.make_claim() if seed % 5 == 4 else maker.make()


def answer(check, content: bytes) -> str:
    """What the checker says; whatever else comes out of it is an error of the checker."""
    try:
        check.check(content)
    except check.Rejected as error:
        return f"rejected: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


def ordeal(check, what: str, content: bytes) -> dict[str, Any]:
    """Check a file in a process of its own."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        started = time.process_time()
        said = answer(check, content)
        os.write(send, json.dumps([said[:200], time.process_time() - started]).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        text = pipe.read()
    _, status, usage = os.wait4(child, 0)
    said, seconds = json.loads(text) if text else (f"died of {status}", usage.ru_utime)
    return {"what": what, "size": len(content), "answer": said, "seconds": seconds, "megabytes": usage.ru_maxrss / 1024}


def main() -> None:
    folder, first, count, most = sys.argv[1:]
    sys.path.insert(0, folder)
    import check
    import rank_check

    for seed in range(int(first), int(first) + int(count)):
        what, content = make(seed, float(most))
        checker = check if content.startswith(MAGIC) else rank_check
        print(json.dumps({"seed": seed, **ordeal(checker, what, content)}), flush=True)


if __name__ == "__main__":
    main()
