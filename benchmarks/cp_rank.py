"""cp-rank: golden matrices, triangle-free graphs, matrices and pairs that are constructed, copositive matrices, and
factorisations beside plain projected gradients.

`copositive` measures beside pycoposit (PyPI) where it is installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import tables

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from cp_matrices import CASES, rows

from cpcert.activations import activation
from cpcert.certificate.rank_check import check_rank_claim
from cpcert.rank.answers import describe
from cpcert.rank.bounds import cp_rank_bounds
from cpcert.rank.copositivity import copositive
from cpcert.rank.factorize import find_factors, relative_residual
from cpcert.rank.graphs import complete_bipartite, edge_matrix, find_graph
from cpcert.rank.matrices import ExactPair
from cpcert.rank.pair import rank_sigma_bounds
from cpcert.rank.semidefinite import semidefinite_bounds

# How many random matrices of each order.
MATRICES = {20: 10, 40: 10, 100: 10}
# And how many of them the baseline gets, which takes five times as long.
BASELINE = {20: 10, 40: 10, 100: 3}


def golden() -> None:
    records, lines = [], []
    for name, case in CASES.items():
        start = time.perf_counter()
        bounds = cp_rank_bounds(rows(name), sdp=False)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        check_rank_claim(bounds.claim())
        check = time.perf_counter() - start
        sdp = max((b.lower for b in semidefinite_bounds(rows(name))), default=0) if bounds.lower else 0
        records.append({
            "matrix": name, "order": len(case["A"]), "truth": case["cp_rank"], "lower": bounds.lower,
            "upper": bounds.upper, "completely_positive": bounds.completely_positive, "seconds": seconds,
            "check_seconds": check, "semidefinite": sdp,
        })  # fmt: skip
        found = "not completely positive" if bounds.lower is None else f"{bounds.lower} to {bounds.upper}"
        truth = "no" if not case["completely_positive"] else str(case["cp_rank"] or "not known")
        lines.append([name, str(len(case["A"])), truth, found, str(sdp or "-"), f"{seconds:.2f}", f"{check:.2f}"])
        print(" | ".join(lines[-1]), flush=True)
    headings = ["matrix", "order", "cp-rank", "proven", "proven by SDP", "seconds", "check, s"]
    notes = "proven: bounds of `cpcert cprank`. proven by SDP: the better of τ_cp^sos and ideal-sparse, Clarabel, dual checked."
    tables.write("cp_rank", "cp-rank of known matrices", headings, lines, records, notes)


def graphs() -> None:
    cases = [(f"B_{N}", complete_bipartite(N)) for N in (4, 8, 16, 40, 100)]
    cases += [(name, find_graph(name).graph) for name in ("petersen", "groetzsch", "heawood", "clebsch", "cycle-100")]
    for vertices, edges in ((100, 300), (300, 1000), (1000, 5000)):
        rng = np.random.default_rng(vertices)
        graph = nx.empty_graph(vertices)
        while graph.number_of_edges() < edges:
            u, v = (int(i) for i in rng.integers(vertices, size=2))
            if u != v and not set(graph[u]) & set(graph[v]):
                graph.add_edge(u, v)
        cases.append((f"random {vertices}", graph))
    records, lines = [], []
    for name, graph in cases:
        A = edge_matrix(graph)
        start = time.perf_counter()
        bounds = cp_rank_bounds(A, sdp=False)
        seconds = time.perf_counter() - start
        records.append({
            "graph": name, "vertices": len(graph), "edges": graph.number_of_edges(), "lower": bounds.lower,
            "upper": bounds.upper, "seconds": seconds,
        })  # fmt: skip
        lines.append([name, str(len(graph)), str(graph.number_of_edges()), f"{bounds.lower} to {bounds.upper}",
                      f"{seconds:.2f}"])  # fmt: skip
        print(" | ".join(lines[-1]), flush=True)
    headings = ["graph", "vertices", "edges", "cp-rank proven", "seconds"]
    tables.write("cp_rank_graphs", "cp-rank of triangle-free graphs", headings, lines, records, "A = EᵀE.")


# -- constructed -----------------------------------------------------------------------------------------------------

# Matrices of each order, or pairs of each N.
CONSTRUCTED = 10
SMALL = 100
Rows = list[list[Any]]


def moved_about(A: Rows, rng: np.random.Generator) -> Rows:
    """PDADPᵀ: rows in another order, scaled."""
    n = len(A)
    order, scale = rng.permutation(n), [Fraction(int(p), int(q)) for p, q in rng.integers(1, 9, (n, 2))]
    return [[A[i][j] * scale[i] * scale[j] for j in order] for i in order]


def exposed_matrix(n: int, rng: np.random.Generator) -> tuple[Rows, int]:
    """(A, cp-rank) of order n: a triangle-free graph with an atom on each edge, or blocks of Bomze, Schachinger and Ullrich.

    Every second sum of two blocks has a link: an atom on one more edge between them, which is one atom more.
    """
    kind = int(rng.integers(3))
    A: Rows = [[Fraction(0)] * n for _ in range(n)]
    if kind == 0:
        graph = nx.empty_graph(n)
        for _ in range(6 * n):
            u, v = (int(i) for i in rng.integers(n, size=2))
            if u != v and not set(graph[u]) & set(graph[v]):
                graph.add_edge(u, v)
        for u, v in graph.edges:
            p, q, c = (int(value) for value in rng.integers(1, 7, 3))
            for i, x in ((u, p), (v, q)):
                for j, y in ((u, p), (v, q)):
                    A[i][j] += Fraction(c * x * y)
        return moved_about(A, rng), graph.number_of_edges()
    blocks = {14: ("BSU_M7t", "BSU_M7t"), 16: ("BSU_M7t", "BSU_M9t") if rng.random() < 0.5 else ("BSU_M8t", "BSU_M8t")}[
        n
    ]
    start = 0
    for name in blocks:
        block = rows(name)
        for i, row in enumerate(block):
            A[start + i][start : start + len(block)] = row
        start += len(block)
    if kind == 2:
        second, weight = len(rows(blocks[0])), A[0][0] / 2
        for i in (0, second):
            for j in (0, second):
                A[i][j] += weight
    return moved_about(A, rng), sum(CASES[name]["cp_rank"] for name in blocks) + (kind == 2)


def exposed() -> None:
    records, lines = [], []
    for n in (14, 16):
        exact, seconds, checks, ranks = 0, [], [], []
        for seed in range(CONSTRUCTED):
            A, truth = exposed_matrix(n, np.random.default_rng(100 * n + seed))
            start = time.process_time()
            bounds = cp_rank_bounds(A, 120.0, sdp=False)
            seconds.append(time.process_time() - start)
            start = time.process_time()
            check_rank_claim(bounds.claim())
            checks.append(time.process_time() - start)
            exact += bounds.lower == bounds.upper == truth
            ranks.append(truth)
            records.append({"order": n, "seed": seed, "truth": truth, "lower": bounds.lower, "upper": bounds.upper,
                            "seconds": seconds[-1], "check_seconds": checks[-1]})  # fmt: skip
        lines.append([str(n), f"{min(ranks)} to {max(ranks)}", f"{exact}/{CONSTRUCTED}", f"{np.median(seconds):.1f}",
                      f"{max(seconds):.1f}", f"{max(checks):.1f}"])  # fmt: skip
        print(" | ".join(lines[-1]), flush=True)
    headings = ["order", "cp-ranks", "exact", "median CPU s", "longest", "longest check"]
    notes = exposed_matrix.__doc__ or ""
    tables.write(
        "cp_rank_exposed", "cp-rank of constructed matrices", headings, lines, records, " ".join(notes.split())
    )


def nearly_triangle_free(n: int, seed: int) -> Rows:
    """Of order n: an atom for each edge of a random graph without triangles; each with small other entries, or one or two
    triangles or a dense atom beside them. The cp-rank is not known, but often more than n."""
    rng = np.random.default_rng(10**6 + 1000 * n + seed)
    graph = nx.empty_graph(n)
    for _ in range(6 * n):
        u, v = (int(i) for i in rng.integers(n, size=2))
        if u != v and not set(graph[u]) & set(graph[v]):
            graph.add_edge(u, v)
    atoms = []
    size = int(rng.choice([4, 8, 16, 32, 64])) if seed % 3 == 0 else 1
    for u, v in graph.edges:
        atom = rng.integers(0, 3, n) * (rng.random(n) < 0.7) if seed % 3 == 0 else np.zeros(n, int)
        atom[[u, v]] = size * rng.integers(1, 7, 2)
        atoms.append(atom)
    if seed % 3 == 1:
        for _ in range(int(rng.integers(1, 3))):
            atoms.append(np.isin(np.arange(n), rng.choice(n, 3, replace=False)) * rng.integers(1, 3, n))
    elif seed % 3 == 2:
        atoms.append(rng.integers(0, 2, n))
    B = np.array(atoms).T
    B[~B.any(axis=1), 0] = 1
    return (B @ B.T).tolist()


def small() -> None:
    """Which bounds close the interval, for matrices where the rank often does not."""
    records, lines = [], []
    for n in (5, 6):
        proofs: dict[str, int] = {}
        exact, seconds, checks = 0, [], []
        for seed in range(SMALL):
            start = time.process_time()
            bounds = cp_rank_bounds(nearly_triangle_free(n, seed), 20.0)
            seconds.append(time.process_time() - start)
            start = time.process_time()
            check_rank_claim(bounds.claim())
            checks.append(time.process_time() - start)
            exact += bounds.lower == bounds.upper
            by = describe(bounds.lower_proof) or "none"
            proofs[by] = proofs.get(by, 0) + 1
            records.append({"order": n, "seed": seed, "lower": bounds.lower, "upper": bounds.upper, "by": by,
                            "seconds": seconds[-1], "check_seconds": checks[-1]})  # fmt: skip
        of_each = ", ".join(f"{count} {by}" for by, count in sorted(proofs.items(), key=lambda item: -item[1]))
        lines.append([str(n), f"{exact}/{SMALL}", of_each, f"{np.median(seconds):.2f}", f"{max(seconds):.1f}",
                      f"{max(checks):.2f}"])  # fmt: skip
        print(" | ".join(lines[-1]), flush=True)
    headings = ["order", "exact", "lower ends by", "median CPU s", "longest", "longest check"]
    notes = " ".join((nearly_triangle_free.__doc__ or "").split())
    tables.write(
        "cp_rank_small", "cp-rank of small matrices near triangle-free graphs", headings, lines, records, notes
    )


def deficient_matrix(n: int, seed: int) -> Rows:
    """Of order n, rank r < n and made of irrational atoms, r of them (dense, or with zeros), more, or a ± b√2 in pairs."""
    rng = np.random.default_rng(1000 * n + seed)
    r = int(rng.integers(max(2, n // 2), n))
    kind = seed % 4
    if kind == 3:
        a, b = rng.integers(2, 8, (n, max(1, r // 2))), rng.integers(-1, 2, (n, max(1, r // 2)))
        return [[int(v) for v in row] for row in 2 * (a @ a.T + 2 * b @ b.T)]
    if kind == 2:
        V = (rng.integers(0, 4, (n, r)) + np.eye(n, r, dtype=int)) @ rng.integers(
            0, 4, (r, r + int(rng.integers(1, 4)))
        )
    else:
        V = rng.integers(0, 6, (n, r)) * (rng.random((n, r)) < (0.6 if kind else 1.0))
    V[V.sum(axis=1) == 0, 0] = 1
    c = [Fraction(int(p), int(q)) for p, q in zip(*rng.integers((2, 1), (12, 7), (V.shape[1], 2)).T, strict=True)]
    return [[sum(w * int(x) * int(y) for w, x, y in zip(c, u, v, strict=True)) for v in V] for u in V]


def deficient() -> None:
    records, lines = [], []
    for n in range(6, 11):
        proven, exact, seconds, checks = 0, 0, [], []
        for seed in range(CONSTRUCTED):
            A = deficient_matrix(n, seed)
            start = time.process_time()
            bounds = cp_rank_bounds(A, 30.0, sdp=False)
            seconds.append(time.process_time() - start)
            start = time.process_time()
            check_rank_claim(bounds.claim())
            checks.append(time.process_time() - start)
            proven += bounds.completely_positive is True
            exact += bounds.lower == bounds.upper
            records.append({"order": n, "seed": seed, "completely_positive": bounds.completely_positive,
                            "lower": bounds.lower, "upper": bounds.upper, "seconds": seconds[-1]})  # fmt: skip
        lines.append([str(n), f"{proven}/{CONSTRUCTED}", f"{exact}/{CONSTRUCTED}", f"{np.median(seconds):.2f}",
                      f"{max(seconds):.1f}", f"{max(checks):.2f}"])  # fmt: skip
        print(" | ".join(lines[-1]), flush=True)
    headings = ["order", "proven completely positive", "cp-rank exact", "median CPU s", "longest", "longest check"]
    notes = deficient_matrix.__doc__ or ""
    title = "Rank-deficient completely positive matrices with irrational factors"
    tables.write("cp_rank_deficient", title, headings, lines, records, " ".join(notes.split()))


def random_pair(N: int, k: int, seed: int) -> ExactPair:
    """The exact pair of k gaussian neurons on N points."""
    Z = np.array(
        [[Fraction(float(v)) for v in row] for row in np.random.default_rng(100 * seed + N).standard_normal((k, N))]
    )
    S = np.where(Z > 0, Z, Fraction(0))
    return ExactPair("pair", (Z.T @ Z).tolist(), (S.T @ S).tolist(), 0, activation("relu"), False)


def pairs() -> None:
    records, lines = [], []
    for N in range(3, 7):
        for k in (N + 1, 2 * N):
            proven, exact, seconds, gaps = 0, 0, [], []
            for seed in range(CONSTRUCTED):
                start = time.process_time()
                bounds = rank_sigma_bounds(random_pair(N, k, seed), 30.0)
                seconds.append(time.process_time() - start)
                check_rank_claim(bounds.claim())
                proven += bounds.upper is not None and bounds.upper <= k
                exact += bounds.lower == bounds.upper
                gaps.append(f"{bounds.lower} to {bounds.upper}")
                records.append({"N": N, "k": k, "seed": seed, "lower": bounds.lower, "upper": bounds.upper,
                                "seconds": seconds[-1]})  # fmt: skip
            common = max(set(gaps), key=gaps.count)
            lines.append([str(N), str(k), f"{proven}/{CONSTRUCTED}", f"{exact}/{CONSTRUCTED}", common,
                          f"{np.median(seconds):.1f}", f"{max(seconds):.1f}"])  # fmt: skip
            print(" | ".join(lines[-1]), flush=True)
    headings = ["N", "neurons k", "at most k proven", "exact", "most often", "median CPU s", "longest"]
    notes = "Rank_σ of the exact pairs of k gaussian neurons on N points, ReLU."
    tables.write("rank_sigma", "Rank_σ of random pairs", headings, lines, records, notes)


# -- copositive ------------------------------------------------------------------------------------------------------


def copositive_matrices() -> Iterator[tuple[str, Rows]]:
    """(kind and order, S): semidefinite plus nonnegative, on the boundary, and just outside; Horn blocks; random signs."""
    horn = [[1 if i == j or (i - j) % 5 in (2, 3) else -1 for j in range(5)] for i in range(5)]
    for n in (10, 15, 20):
        rng = np.random.default_rng(n)
        P, N = rng.integers(-3, 4, (n, n)), np.triu(rng.integers(0, 40, (n, n)), 1)
        low = rng.integers(-3, 4, (n, n // 2))
        blocks = np.abs(rng.integers(0, 3, (n, n)))
        blocks = blocks + blocks.T
        for k in range(n // 5):
            blocks[5 * k : 5 * k + 5, 5 * k : 5 * k + 5] = horn
        signs = rng.integers(-3, 4, (n, n))
        for kind, S in (
            ("N + P", P @ P.T + N + N.T),
            ("boundary", low @ low.T + (N + N.T) // 20),
            ("outside", low @ low.T - np.eye(n, dtype=int)),
            ("Horn blocks", blocks),
            ("random", signs + signs.T + 8 * np.eye(n, dtype=int)),
        ):
            yield f"{kind} {n}", S.tolist()


def decided_by_pycoposit(S: Rows) -> tuple[str, float] | None:
    """(answer, seconds), None if it is not installed."""
    try:
        from pycoposit import Matrix, check
    except ImportError:
        return None
    text = f"{len(S)}#" + ",".join(str(v) for i, row in enumerate(S) for v in row[i:])
    said = check(Matrix(text))
    strictly, plain = (bool(said[key]) for key in ("is_strictly_copositive", "is_copositive"))
    return "strictly" if strictly else "yes" if plain else "no", said["elapsed_ns"] / 1e9


def copositivity() -> None:
    records, lines = [], []
    for name, S in copositive_matrices():
        start = time.process_time()
        bounds = copositive(S, 60.0)
        seconds = time.process_time() - start
        claim = bounds.claim()
        start = time.process_time()
        if claim is not None:
            check_rank_claim(claim)
        check = time.process_time() - start
        found = {True: "yes", False: "no", None: "open"}[bounds.copositive]
        found = "strictly" if bounds.strictly else found
        peer = decided_by_pycoposit(S)
        if peer is not None and claim is not None:
            assert peer[0] == found or (found == "yes" and bounds.strictly is None), name
        zeros = None if bounds.minimal_zeros is None else len(bounds.minimal_zeros)
        records.append({"matrix": name, "answer": found, "minimal_zeros": zeros, "seconds": seconds, "check_seconds": check,
                        "peer": peer})  # fmt: skip
        lines.append([name, found, "-" if zeros is None else str(zeros), f"{seconds:.2f}", f"{check:.2f}",
                      *(("-", "-") if peer is None else (peer[0], f"{peer[1]:.3f}"))])  # fmt: skip
        print(" | ".join(lines[-1]), flush=True)
    headings = ["matrix", "copositive", "minimal zeros", "CPU s with proof", "check, s", "pycoposit", "its seconds"]
    notes = "pycoposit decides, exactly and without a proof."
    tables.write("copositive", "Copositive matrices", headings, lines, records, notes)


def projected_gradient(A: np.ndarray, k: int, rng: np.random.Generator, seconds: float) -> np.ndarray:
    """min ‖A − BBᵀ‖² over B ≥ 0 by plain projected gradient steps of length 1/L. The baseline."""
    scale = np.sqrt(np.diag(A))
    unit = A / np.outer(scale, scale)
    B = abs(rng.standard_normal((len(A), k)))
    B /= np.linalg.norm(B, axis=1, keepdims=True)
    step = 1.0 / (3.0 * np.linalg.norm(unit, 2))
    # A little less than asked, since this is the residual of the scaled matrix.
    goal = 3e-11 * np.linalg.norm(unit)
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        R = B @ B.T - unit
        if np.linalg.norm(R) <= goal:
            break
        B = np.maximum(B - step * R @ B, 0.0)
    return B * scale[:, None]


def factorisations() -> None:
    records, lines = [], []
    for n, number in MATRICES.items():
        for factor in (1.5, 3.0):
            k = int(factor * n)
            ours, theirs, residuals, reached, reached_there = [], [], [], 0, 0
            for seed in range(number):
                B = abs(np.random.default_rng(seed).standard_normal((2 * n, n)))
                A = B.T @ B
                start = time.perf_counter()
                found = find_factors(A, k, np.random.default_rng(seed), seconds=60.0)
                ours.append(time.perf_counter() - start)
                reached += found is not None and relative_residual(A, found) <= 1e-10
                if seed >= BASELINE[n]:
                    continue
                start = time.perf_counter()
                other = projected_gradient(A, k, np.random.default_rng(seed), max(5.0 * ours[-1], 5.0))
                theirs.append(time.perf_counter() - start)
                residuals.append(relative_residual(A, other))
                reached_there += residuals[-1] <= 1e-10
            records.append({
                "n": n, "k": k, "success": reached / number, "seconds": float(np.median(ours)),
                "peer_success": reached_there / BASELINE[n], "peer_seconds": float(np.median(theirs)),
                "peer_residual": float(np.median(residuals)),
            })  # fmt: skip
            lines.append([
                str(n), str(k), f"{reached}/{number}", f"{np.median(ours):.2f}", f"{max(ours):.2f}",
                f"{reached_there}/{BASELINE[n]}", f"{np.median(theirs):.2f}", f"{np.median(residuals):.0e}",
                f"{np.median(theirs) / np.median(ours[: BASELINE[n]]):.1f}",
            ])  # fmt: skip
            print(" | ".join(lines[-1]), flush=True)
    headings = [
        "n",
        "atoms",
        "reached",
        "median s",
        "longest s",
        "gradient reached",
        "gradient median s",
        "its residual",
        "ratio",
    ]
    notes = (
        "A = BᵀB, B = |gaussian| of shape (2n, n), seeds from 0, to a relative residual of 1e-10. gradient: plain "
        "projected gradient steps of length 1/L from the same start, for up to 5 times as long (at least 5 s). "
        "ratio: of the medians over the matrices that both got."
    )
    tables.write("cp_factorisations", "Completely positive factorisations", headings, lines, records, notes)


PARTS = {
    "golden": golden,
    "graphs": graphs,
    "exposed": exposed,
    "small": small,
    "deficient": deficient,
    "pairs": pairs,
    "copositive": copositivity,
    "factorisations": factorisations,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
