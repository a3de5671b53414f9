"""Claims about matrices that nobody made in good faith: short files for each step of rank_check.py that may cost much.

    python -I rank_hostile_files.py FOLDER WORK [FIRST COUNT MOST]

checks one file for each step, or the random files FIRST … with matrices of up to 10^MOST entries, with the rank_check.py in
FOLDER; WORK is what a file may cost whatever its size, 0 the limits of SPEC.md. Each file has a process of its own, and a line
of JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from deep_hostile_files import Located
from hostile_files import Maker, ordeal

Claim = dict[str, Any]
Rows = list[list[Any]]
LONG = "1" + "7" * 1990


def identity(n: int, diagonal: Any = 1, other: Any = 0) -> Rows:
    return [[diagonal if i == j else other for j in range(n)] for i in range(n)]


def bipartite(n: int, diagonal: int = 1, inside: int = 1, across: int = 0) -> Rows:
    """One number in two diagonal blocks, another outside them."""
    return [
        [diagonal if i == j else inside if (i < n // 2) == (j < n // 2) else across for j in range(n)] for i in range(n)
    ]


def positive(A: Rows, **proof: Any) -> Claim:
    return {"claim": "completely_positive", "A": A, "proof": proof}


def negative(A: Rows, **proof: Any) -> Claim:
    return {"claim": "not_completely_positive", "A": A, "proof": proof}


def lower(A: Rows, **proof: Any) -> Claim:
    return {"claim": "cp_rank", "A": A, "lower": 0, "lower_proof": proof, "upper": None, "upper_proof": None}


def copositive(A: Rows, zeros: Any = None, **proof: Any) -> Claim:
    return {"claim": "copositive", "A": A, "strictly": False, "minimal_zeros": zeros, "proof": proof}


def pair(K: Rows, **more: Any) -> Claim:
    claim = {"claim": "rank_sigma", "K": K, "K_sigma": K, "beta": 0, "a_plus": 1, "a_minus": "1/3", "lower": 0}
    return claim | {"lower_proof": {"kind": "trivial"}, "upper": None, "upper_proof": None} | more


def lifted(K: Rows, node: Any) -> Claim:
    return pair(K, lower_proof={"kind": "lifted", "node": node})


def near(n: int, columns: int, unknowns: int = 1, size: int = 0, value: Any = 1, **more: Any) -> dict[str, Any]:
    """Columns of so many unknowns for a matrix of order n, and an inverse of order `size`."""
    basis = [[value] * n] * unknowns
    proof = {
        "kind": "nearby",
        "rows": list(range(n)),
        "columns": [{"basis": basis, "center": [value] * unknowns}] * columns,
    }
    return proof | {"inverse": identity(size, value, value), "rho": 1} | more


def neurons(n: int, columns: int, dependencies: Any = (), **more: Any) -> dict[str, Any]:
    proof = near(n, columns, **more) | {"dependencies": list(dependencies)}
    del proof["rows"]
    return proof


def face(n: int, columns: int, dependencies: Any, **more: Any) -> dict[str, Any]:
    return near(n, columns, **more) | {"kind": "face", "dependencies": dependencies}


def nested(depth: int, inner: dict[str, Any], n: int, N: Any = 0) -> dict[str, Any]:
    """Sums in sums."""
    return {"kind": "sum", "N": identity(n, N, N), "rest": nested(depth - 1, inner, n, N)} if depth else inner


def blocks(depth: int, n: int) -> dict[str, Any]:
    """Blocks of everything in blocks of everything."""
    part = {"indices": list(range(n)), "proof": blocks(depth - 1, n)} if depth else None
    return {"kind": "blocks", "parts": [part] if part else []}


def principal(depth: int, n: int) -> dict[str, Any]:
    if not depth:
        return {"kind": "negative_entry", "i": 0, "j": 0}
    return {"kind": "principal", "indices": list(range(n)), "proof": principal(depth - 1, n)}


def parts(depth: int, n: int) -> dict[str, Any]:
    if not depth:
        return {"kind": "trivial"}
    part = {"indices": list(range(n)), "lower": 0, "proof": parts(depth - 1, n)}
    return {"kind": "components", "parts": [part]}


def branches(depth: int, end: dict[str, Any]) -> dict[str, Any]:
    """One branch after the other on the pair 0, 0, of which one side ends at once."""
    closed = {"steps": [], "end": {"infeasible": []}}
    for _ in range(depth):
        end = {"branch": [0, 0], "zero": {"steps": [], "end": end}, "positive": closed}
    return {"steps": [], "end": end}


def multipartite(k: int, size: int = 3) -> Rows:
    """The graph with all edges between k sets of so many vertices, and none inside them: size^k maximal cliques."""
    return [[int(i == j or i // size != j // size) for j in range(size * k)] for i in range(size * k)]


def pairs(n: int) -> list[list[int]]:
    return [[i, j] for i in range(n) for j in range(i + 1, n)]


def two_and_three(n: int) -> Rows:
    return identity(n, 3, 2)


def moments(n: int, sets: Any = None, number: int = 1, Z: Any = None) -> dict[str, Any]:
    """A cut that says 0 ≥ 0, with W of so many products as each set has."""
    m, sets = n * (n + 1) // 2, sets or [list(range(n))]
    parts = [{"c": 1, "W": identity(len(V) * (len(V) + 1) // 2, 0)} for V in sets]
    cut = {"l": [0] * m, "D": [0] * m, "Omega": identity(m, 0), "Z": Z, "parts": parts}
    return {"lower": number, "sets": sets, "cuts": [cut]}


def of_diagonal(n: int) -> dict[str, Any]:
    """That the identity has n atoms, by one cut against all numbers of atoms with the sum n − 1."""
    ones = [int(i == j) for i in range(n) for j in range(i, n)]
    cut = {"l": ones, "D": ones, "Omega": identity(len(ones), 0), "Z": None, "parts": [{"c": 1, "W": [[1]]}] * n}
    return {"lower": n, "sets": [[i] for i in range(n)], "cuts": [cut]}


ZERO = {"zero": []}
# name → (the claim, the function of the checker in which a small budget ends)
STEPS: dict[str, tuple[Callable[[], Claim], str]] = {
    "denominators": (
        lambda: positive(identity(30), kind="atoms", atoms=[
            {"weight": f"1/{10**1900 + 2 * k + 1}", "entries": [[i, 1] for i in range(30)]} for k in range(150)
        ]),
        "pay",
    ),
    "long_rows": (lambda: positive(identity(30, LONG), **near(30, 1, value=LONG) | {"rows": list(range(29))}), "_nearby"),
    "many_columns": (lambda: positive(identity(40), **near(40, 2000)), "_pay_for_forms"),
    "many_equations": (lambda: positive(identity(31, 1, 1), **near(31, 1, 20, 496)), "_integers"),
    "long_dependency": (
        lambda: positive(identity(60, 1, 1), **face(60, 1, [[[e, f"1/{10**100 + e}"] for e in range(1800)]])),
        "_common_denominator",
    ),
    "dependency_of_forms": (
        lambda: positive(identity(30, 0), **face(30, 1, [[[e, 1] for e in range(465)]], unknowns=30)), "_dependent",
    ),
    "many_neurons": (lambda: pair(identity(40), upper=9, upper_proof=neurons(40, 2000)), "_pay_for_forms"),
    "equations_of_neurons": (
        lambda: pair(identity(21, 1, 1), upper=9, upper_proof=neurons(21, 1, unknowns=20, size=462)), "_integers",
    ),
    "supports": (lambda: copositive(identity(18, 9, 1), kind="supports"), "minimal_zeros"),
    "zeros_that_are_stated": (lambda: copositive(identity(18, 9, 1), [[1] * 18] * 999, kind="supports"), "minimal_zeros"),
    "supports_of_long_numbers": (lambda: copositive(identity(12, 10**1790, 1), kind="supports"), "minimal_zeros"),
    "semidefinite": (lambda: copositive(identity(300, 999, 1), kind="semidefinite"), "positive_semidefinite"),
    "sums": (lambda: copositive(identity(30, LONG), **nested(60, {"kind": "semidefinite"}, 30, "1/3")), "_copositive"),
    "supports_under_sums": (lambda: copositive(identity(15), **nested(60, {"kind": "supports"}, 15)), "minimal_zeros"),
    "blocks": (lambda: copositive(identity(300), **blocks(60, 300)), "_copositive"),
    "principal": (lambda: negative(identity(300), **principal(60, 300)), "_submatrix"),
    "components": (lambda: lower(identity(300), **parts(60, 300)), "_submatrix"),
    "rank": (lambda: lower(identity(230), kind="rank", prime=7), "rank_modulo"),
    "form": (lambda: negative(identity(40, LONG), kind="not_psd", v=[LONG] * 40), "_form"),
    "zeros": (
        lambda: lower(bipartite(16), kind="copositive", S=bipartite(16, 0, 0, 1), node={"steps": [ZERO] * 9, "end": {}}),
        "minimal_zeros",
    ),
    "steps": (lambda: lifted(identity(60), {"steps": [ZERO] * 2000, "end": {"infeasible": []}}), "combine"),
    "long_steps": (lambda: lifted(identity(40, 0), {"steps": [{"zero": [[0, LONG]]}] * 499, "end": {}}), "combine"),
    "branches": (lambda: lifted(identity(100), branches(60, {"infeasible": []})), "without"),
    "block": (
        lambda: lifted(identity(2), {"steps": [], "end": {
            "block": list(range(20000)), "values": [], "proof": {"kind": "trivial"},
        }}),
        "_determined_block",
    ),
    "values": (
        lambda: lifted(identity(60), {"steps": [], "end": {
            "block": [0, 1], "values": [[0, 0, [[0, "-1/8"], [1830, "9/8"]]]] * 2000, "proof": {"kind": "trivial"},
        }}),
        "combine",
    ),
    "square": (
        lambda: pair(identity(7), K_sigma=identity(7, 2), lower_proof={"kind": "square", "tree": {
            "U": identity(7, -1), "V": identity(7, 0), "gamma": [2] * 128, "shares": [0] * 128, "bits": 0,
        }}),
        "minimal_zeros",
    ),
    "square_of_long_numbers": (
        lambda: pair(identity(8, LONG[:1500], 1), lower_proof={"kind": "square", "tree": None}), "inverse_times",
    ),
    "cliques": (lambda: lower(multipartite(13), kind="cover", cover={"kind": "search", "lower": 9}), "maximal_cliques"),
    "weights": (
        lambda: lower(multipartite(9), kind="cover", cover={
            "kind": "weights", "weights": [[i, j, 0] for i, j in pairs(27) if i // 3 != j // 3],
        }),
        "_cover",
    ),
    "search": (
        lambda: lower(multipartite(8), kind="cover", cover={"kind": "search", "lower": 40}), "_cover",
    ),
    "long_search": (
        lambda: lower(multipartite(6, 2), kind="cover", cover={"kind": "search", "lower": 6}), "_coverable",
    ),
    "fooling": (
        lambda: lower(identity(90, 1, 1), kind="cover", cover={"kind": "fooling", "pairs": pairs(90)}), "_cover",
    ),
    "triangles": (lambda: lower(bipartite(360, 1, 0, 1), kind="cover", cover={"kind": "triangle_free"}), "triangle_free"),
    "tau_sos": (
        lambda: lower(identity(12, LONG), kind="tau_sos", l=[0] * 78, D=[0] * 78, Omega=identity(78, 0), W=identity(78, 0)),
        "_cut",
    ),
    "moments": (lambda: lower(two_and_three(20), kind="moments", **moments(20, Z=identity(20, LONG))), "_cut"),
    "long_products": (lambda: lower(two_and_three(12), kind="moments", **moments(12, Z=identity(12, LONG))), "_add_product"),
    "many_counts": (lambda: lower(identity(9), kind="moments", **of_diagonal(9)), "_moments"),
    "many_sets": (lambda: lower(identity(30), kind="moments", **moments(30, [[i % 30] for i in range(900)], 0)), "_cut"),
    "shares": (
        lambda: lower(identity(3), kind="shares", pairs=[
            {"pair": [0, 0], "share": 1, "proof": {"kind": "shares", "pairs": []}}
        ] * 600),
        "_shares",
    ),
    "ideal_sparse": (
        lambda: lower(identity(12), kind="ideal_sparse", Y=identity(12, 0), u=[1] * 12, cliques=[
            {"vertices": list(range(12)), "s": [0] * 12, "d": identity(12, 0), "Omega": identity(12, LONG)}
        ] * 30),
        "_ideal_sparse",
    ),
    "lifted": (
        lambda: pair(identity(200), upper=9, upper_proof={"kind": "lifted", "M": identity(400), "proof": {}}), "_sigma_upper",
    ),
}  # fmt: skip


def files(arguments: list[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    if not arguments:
        for name, (made, _) in STEPS.items():
            yield name, lambda made=made: json.dumps(made()).encode()
        return
    first, count, most = arguments
    for seed in range(int(first), int(first) + int(count)):
        yield str(seed), lambda seed=seed: Maker(seed, float(most)).make_claim()[1]


def main() -> None:
    folder, work, *which = sys.argv[1:]
    sys.path.insert(0, folder)
    import rank_check

    if int(work):
        rank_check.WORK, rank_check.WORK_RATE = int(work), 0
    for name, made in files(which):
        print(json.dumps(ordeal(Located(rank_check), name, made())), flush=True)


if __name__ == "__main__":
    main()
