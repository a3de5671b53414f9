"""cp-rank: golden matrices, triangle-free graphs, and factorisations beside plain projected gradients."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import networkx as nx
import numpy as np
import tables

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from cp_matrices import CASES, rows

from cpcert.certificate.rank_check import check_rank_claim
from cpcert.rank.bounds import cp_rank_bounds
from cpcert.rank.factorize import find_factors, relative_residual
from cpcert.rank.graphs import complete_bipartite, edge_matrix, find_graph
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


PARTS = {"golden": golden, "graphs": graphs, "factorisations": factorisations}

if __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
