"""Claims and calls for mutants of rank_check.py: what stands at a limit, has one part too many, or needs a whole search.

`CLAIMS` are handed to the checker; each of `PROBES` takes the module and gives what it saw.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, product
from typing import Any

from rank_hostile_files import (
    copositive,
    face,
    identity,
    lifted,
    lower,
    multipartite,
    near,
    negative,
    neurons,
    pair,
    pairs,
    positive,
)

ONE = [[1]]
NOTHING = [[0]]
TRIVIAL = {"kind": "trivial"}
CLOSED = {"steps": [], "end": {"infeasible": []}}
# Of a sum of squares that is negative.
REFUTED = {"steps": [], "end": {"infeasible": [[0, 1]]}}


def chained(depth: int, link: Callable[[Any], dict[str, Any]], inner: dict[str, Any]) -> dict[str, Any]:
    for _ in range(depth):
        inner = link(inner)
    return inner


def at_the_limit() -> list[Any]:
    """Each kind of nesting, as deep as it may be and one step deeper."""
    links: list[tuple[Callable[[Any], dict[str, Any]], dict[str, Any], Callable[[Any], Any]]] = [
        (
            lambda inner: {"kind": "principal", "indices": [0], "proof": inner},
            {"kind": "negative_entry", "i": 0, "j": 0},
            lambda proof: negative([[-1]], **proof),
        ),
        (
            lambda inner: {"kind": "components", "parts": [{"indices": [0], "proof": inner}]},
            {"kind": "atoms", "atoms": []},
            lambda proof: positive(ONE, **proof),
        ),
        (
            lambda inner: {"kind": "components", "parts": [{"indices": [0], "lower": 0, "proof": inner}]},
            TRIVIAL,
            lambda proof: lower(ONE, **proof),
        ),
        (
            lambda inner: {"kind": "sum", "N": NOTHING, "rest": inner},
            {"kind": "supports"},
            lambda proof: copositive(ONE, **proof),
        ),
        (
            lambda inner: {"kind": "blocks", "parts": [{"indices": [0], "proof": inner}]},
            {"kind": "supports"},
            lambda proof: copositive(ONE, **proof),
        ),
        (
            lambda inner: {"steps": [], "end": {"branch": [0, 0], "zero": REFUTED, "positive": inner}},
            REFUTED,
            lambda node: lifted([[-1]], node),
        ),
        (
            lambda inner: {"steps": [], "end": {"branch": [0, 0], "zero": inner, "positive": REFUTED}},
            REFUTED,
            lambda node: lifted([[-1]], node),
        ),
        (
            lambda inner: {"steps": [], "end": {"branch": [0, 0], "zero": inner, "positive": REFUTED}},
            REFUTED,
            lambda node: {
                "claim": "not_in_S", "K": [[-1]], "K_sigma": [[-1]], "beta": 0, "a_plus": 1, "a_minus": 0,
                "proof": {"kind": "lifted", "node": node},
            },
        ),
        (
            lambda inner: {"kind": "copositive", "S": NOTHING, "node": {"steps": [], "end": {
                "block": [0], "values": [[0, 0, [[0, 1]]]], "proof": inner,
            }}},
            TRIVIAL,
            lambda proof: lower(NOTHING, **proof),
        ),
        (
            lambda inner: {"kind": "shares", "pairs": [{"pair": [0, 0], "share": 1, "proof": inner}]},
            {"kind": "shares", "pairs": []},
            lambda proof: lower(ONE, **proof),
        ),
    ]  # fmt: skip
    return [claim(chained(depth, link, inner)) for link, inner, claim in links for depth in (60, 61, 62, 80)]


def ideal_sparse(Y: Any, s: Any, d: Any, Omega: Any, u: Any = 1, A: Any = 1) -> dict[str, Any]:
    part = {"vertices": [0], "s": [s], "d": [[d]], "Omega": [[Omega]]}
    return lower([[A]], kind="ideal_sparse", Y=[[Y]], u=[u], cliques=[part]) | {"lower": 1}


def covers() -> list[Any]:
    """Of the edges of graphs where no fooling set is as large as a least cover, and of others."""
    found = []
    for A in (multipartite(3, 2), multipartite(4, 2), multipartite(2, 3), identity(4), identity(3, 1, 1)):
        for number in range(8):
            found.append(lower(A, kind="cover", cover={"kind": "search", "lower": number}) | {"lower": number})
    for weight in (0, "1/2", 1, "3/2"):
        cover = {"kind": "weights", "weights": [[0, 1, weight], [2, 3, weight], [0, 2, "1/2"]]}
        found.append(lower(multipartite(4, 1), kind="cover", cover=cover) | {"lower": 1})
        found.append(lower(multipartite(2, 2), kind="cover", cover=cover) | {"lower": 2})
    found.append(lower(multipartite(3, 3), kind="cover", cover={"kind": "fooling", "pairs": pairs(2)}))
    found.append(lower([[0, 1], [1, 0]], kind="cover", cover={"kind": "triangle_free"}))
    found.append(lower([[0, 0], [0, 1]], kind="cover", cover={"kind": "triangle_free"}) | {"lower": 1})
    return found


def nodes() -> list[Any]:
    """Ends that are no objects, branches with other keys, blocks with other pairs; branches whose sides prove different bounds."""
    ends: list[Any] = ["infeasible", "cover", "branch", "refutation", "block"]
    ends += [[name] for name in ends] + [None]
    ends += [{"branch": [0, 0], "zero": CLOSED, "positive": CLOSED, "more": 0}, {"infeasible": [], "more": 0}]
    ends += [{"cover": {"kind": "fooling", "pairs": []}, "more": 0}]
    one = [[0, 0, [[0, "-1/8"], [1, "9/8"]]]]
    ends += [
        {"block": block, "values": values, "proof": TRIVIAL}
        for block in ([0], [1], [0, 1], [7])
        for values in (one, [], [[0, 1, []]], [[5, 5, []]], [*one, *one])
    ]
    found = [lifted(ONE, {"steps": [], "end": end}) for end in ends]
    found += [lifted([[1, 1], [1, 1]], {"steps": [], "end": end}) for end in ends]
    first, second, both = ([[i, j, [[e, "-1/8"], [e + 3, "9/8"]]]] for i, j, e in ((0, 0, 0), (1, 1, 2), (0, 1, 1)))
    for block in ([0], [1], [0, 1], [1, 0], [2]):
        for values in (first, second, [*first, *second], [*first, *second, *both], []):
            end = {"block": block, "values": values, "proof": TRIVIAL}
            found.append(lifted([[1, 1], [1, 1]], {"steps": [], "end": end}))
    # Atoms of the identity: each is one of two, if one takes both away nothing is left.
    for first in ([[0, 0]], [[0, 0], [1, 1]], []):
        for second in ([[0, 0]], [[1, 1]], []):
            sides = [
                {"steps": [], "end": {"cover": {"kind": "fooling", "pairs": chosen}}} for chosen in (first, second)
            ]
            required = [{"positive": [i, i], "by": [[2 * i, -1]]} for i in (0, 1)]
            for way in ((0, 1), (1, 0)):
                end = {"branch": [1, 0], "zero": sides[way[0]], "positive": sides[way[1]]}
                proof = {"kind": "copositive", "S": identity(2, 0), "node": {"steps": required, "end": end}}
                found += [lower(identity(2), **proof) | {"lower": number} for number in (0, 1, 2)]
    for side in ("zero", "positive"):
        other = {"zero": "positive", "positive": "zero"}[side]
        good = {"steps": [], "end": {"cover": {"kind": "fooling", "pairs": []}}}
        closed = {"steps": [], "end": {"infeasible": [[0, 1]]}}
        end = {"branch": [0, 0], side: closed, other: good}
        found += [lower([[1]], kind="copositive", S=NOTHING, node={"steps": [], "end": end})]
        found += [lifted([[-1]], {"steps": [], "end": end})]
    found.append(
        lower(
            NOTHING,
            kind="copositive",
            S=ONE,
            node={"steps": [{"zero": [[0, 1]]}], "end": {"cover": {"kind": "triangle_free"}}},
        )
    )
    return found


def others() -> list[Any]:
    half = [["3/4", "1/2"], ["1/2", "3/4"]]
    found: list[Any] = [positive(half, kind="atoms", atoms=[])]
    found += [
        positive(
            NOTHING,
            **near(1, 0),
        ),
        positive(NOTHING, **face(1, 0, [])),
    ]
    found += [pair(NOTHING, upper=0, upper_proof=neurons(1, 0)), pair(ONE, upper=0, upper_proof=neurons(1, 0))]
    for weight, value in ((1, 10**40), (f"{10**40}/3", 1), ("1/7", f"{10**40}/{10**20 + 1}")):
        found.append(
            positive(identity(2), kind="atoms", atoms=[{"weight": weight, "entries": [[0, value], [1, 1]]}] * 2)
        )
    found += [lower(ONE, kind="rank", prime=p) for p in (0, 1, 2, 1 << 64, (1 << 64) - 1, (1 << 63) - 25)]
    found += [positive([[1 << bits]], kind="atoms", atoms=[]) for bits in (5999, 6000, 6500)]
    # Of no atoms at all any bound holds that can be printed.
    found += [lifted([[-1]], REFUTED) | {"lower": number} for number in ((1 << 6000) - 1, 1 << 6000, 1 << 20000, -1)]
    # Minors too long to be computed, of a matrix that a look at its first entry rejects.
    long = identity(11, 0)
    long[0][0], long[1][1], long[2][2] = -1, f"1/{10**1990}", f"1/{10**1990 + 1}"
    found += [copositive(long, kind="supports"), copositive(identity(19, -1), kind="supports")]
    tiny = {"a_plus": "1/1009", "a_minus": "1/1013"}
    found.append(
        pair(ONE, upper=1, upper_proof={"kind": "atoms", "atoms": [{"weight": 1, "entries": [[0, 1]]}]}) | tiny
    )
    found += [
        ideal_sparse(1, 0, 1, 0), ideal_sparse("3/4", 1, 0, 0), ideal_sparse("4/5", 1, 0, 0), ideal_sparse(1, 0, -1, 2),
        ideal_sparse(1, -1, 1, 1), ideal_sparse(1, 0, 0, 1), ideal_sparse(1, 0, 2, -1), ideal_sparse(1, 0, 1, 0, "1/2"),
        ideal_sparse(1, 0, 1, 0, -1), ideal_sparse("1/4", 0, "1/4", 0, 2, 4), ideal_sparse("1/5", 0, "1/4", 0, 2, 4),
        ideal_sparse("3/16", 1, 0, 0, 2, 4), ideal_sparse(0, 0, 0, 0), ideal_sparse("1/2", "1/2", "1/3", "1/5"),
        ideal_sparse(0, 0, 0, 0, 0, 0),
    ]  # fmt: skip
    two = {"vertices": [0, 1], "s": [0, 0], "d": identity(2, 0), "Omega": identity(2, 0)}
    found.append(lower(identity(2), kind="ideal_sparse", Y=identity(2, "-1/2"), u=[1, 1], cliques=[two]))
    square = [[1, 0, 1], [0, 0, 0], [1, 0, 1]]
    middle = [[0, 0, 0], [0, 2, 0], [0, 0, 0]]
    for A in (
        identity(2),
        identity(2, "1/2"),
        identity(2, 2),
        [[1, "1/2"], ["1/2", 1]],
        [[2, 1], [1, 2]],
        [["3/2", "1/2"], ["1/2", 1]],
    ):
        for D, Omega in (
            ([1, 2, 1], identity(3, 0)),
            ([1, 0, 1], middle),
            ([1, 0, 1], identity(3, 0)),
            ([1, 3, 1], identity(3, 0)),
            ([1, 1, 1], [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
        ):
            tau = {"kind": "tau_sos", "l": [1, 0, 1], "D": D, "Omega": Omega, "W": square}
            found += [lower(A, **tau) | {"lower": number} for number in (1, 2, 3)]
    found.append(ideal_sparse(2, 0, 4, 0, "1/2", "1/4"))
    found.append(lower(ONE, kind="tau_sos", l=[1], D=[2], Omega=[[-1]], W=[[1]]) | {"lower": 1})
    # A path of four, each part of which is positive definite, numbered in another order.
    path = [[3, -2, -2, 0], [-2, 3, 0, -2], [-2, 0, 3, 0], [0, -2, 0, 3]]
    found.append(copositive(path, kind="supports"))
    each = [{"vertices": [i], "s": [0], "d": [[1]], "Omega": identity(2, 0)} for i in (0, 1)]
    for cliques in (each, each[:1]):
        found.append(lower(identity(2), kind="ideal_sparse", Y=identity(2), u=[1, 1], cliques=cliques) | {"lower": 2})
    for d in ([[1, -1], [-1, 1]], [[1, 0], [0, -1]]):
        found.append(lower(identity(2), kind="ideal_sparse", Y=identity(2, 0), u=[1, 1], cliques=[two | {"d": d}]))
    # Atoms would be multiples of (1, 1): there are none, and any bound holds.
    zeros = {
        "kind": "copositive",
        "S": [[1, -1], [-1, 1]],
        "node": {"steps": [], "end": {"infeasible": [[0, 1], [1, -1]]}},
    }
    endless = {"kind": "components", "parts": [{"indices": [0, 1], "lower": 99, "proof": zeros}]}
    found.append(lower([[1, 2], [2, 3]], **endless) | {"lower": 99})
    found.append(positive(ONE, kind="atoms", atoms=[{"weight": 0, "entries": [[0, 1]]}]))
    for K, L in ((identity(2), [[1, 1], [1, 1]]), ([[1, 1], [1, 1]], identity(2))):
        for of in ("K", "K_sigma"):
            for number in (1, 2, 3):
                claim = pair(K, lower_proof={"kind": "rank", "of": of, "prime": 7}, lower=number)
                found.append(claim | {"K_sigma": L})
    for i, j in ((0, 1), (0, 0), (1, 0)):
        found += [
            negative([[x, y], [y, 1]], kind="negative_entry", i=i, j=j)
            for x in (1, 0, "1/2", -1)
            for y in (0, "1/2", -1)
        ]
    for of in ("K", "K_sigma", "L", None):
        found.append(pair(ONE, lower_proof={"kind": "rank", "of": of, "prime": 7}, lower=1))
        known = {"a_plus": 1, "a_minus": 0, "beta": 0, "K": [[-1]], "K_sigma": [[-1]]}
        found.append({"claim": "not_in_S", "proof": {"kind": "not_psd", "of": of, "v": [1]}} | known)
    slopes = [(1, 1), (-1, -1), (-1, 1), (0, 0), ("1/2", "1/2"), ("1/2", "-1/2"), (1, 0), ("-1/2", 0)]
    not_psd = {"kind": "not_cp", "proof": {"kind": "not_psd", "v": [1]}}
    for plus, minus in slopes:
        of = {"a_plus": plus, "a_minus": minus, "beta": 0, "K": ONE}
        found.append({"claim": "not_in_S", "K_sigma": [[-1]], "proof": not_psd} | of)
        found.append(pair(ONE, lower_proof={"kind": "cp_rank", "proof": {"kind": "rank", "prime": 7}}, lower=1) | of)
    found += [positive([[1, 1], [1, 1]], **near(2, 1, 1, 0) | {"rows": rows}) for rows in ([0], [1], [0, 1], [])]
    for A in (half, [[1, 0], [0, 1]], [[1, 0], [0, 0]], [[1, "1/2"], ["1/2", 1]]):
        for parts in ([[0]], [[0], [1]], [[0, 1]], [[1], [1]], []):
            atoms = [{"indices": part, "proof": {"kind": "atoms", "atoms": []}} for part in parts]
            found.append(positive(A, kind="components", parts=atoms))
            ranks = [{"indices": part, "lower": 1, "proof": {"kind": "rank", "prime": 7}} for part in parts]
            found.append(lower(A, kind="components", parts=ranks) | {"lower": len(parts)})
    return found


def one_square(at: int, t: Any, D: Any, c: Any = 1, Z: Any = None) -> dict[str, Any]:
    """A cut for matrices of order 2 and one set, by c − 2tv + (t²/c)v², v the product number `at`."""
    W = [[str(Fraction(t) ** 2 / Fraction(c)) if i == j == at else 0 for j in range(3)] for i in range(3)]
    linear, squares = ([value if i == at else 0 for i in range(3)] for value in (t, D))
    return {"l": linear, "D": squares, "Omega": identity(3, 0), "Z": Z, "parts": [{"c": c, "W": W}]}


def tau(at: int, t: Any, D: Any, c: Any = 1) -> dict[str, Any]:
    """Wrong unless c is 1."""
    cut = one_square(at, t, D, c)
    return {"kind": "tau_sos", "l": cut["l"], "D": cut["D"], "Omega": cut["Omega"], "W": cut["parts"][0]["W"]}


def products() -> list[Any]:
    """Shares of the diagonal of matrices of order 2, and moments with A⁻¹, or of several sets."""
    found: list[Any] = []
    for off in (0, "1/4", "1/2", 1):
        A = [[1, off], [off, 1]]
        for share in (0, "1/8", "1/4", "1/2", 1, 2, -1):
            parts = [{"pair": [i, i], "share": share, "proof": tau(2 * i, 1, 1)} for i in (0, 1)]
            inner = [{"pair": [0, 1], "share": share, "proof": tau(1, 2, 4)}]
            nested = [parts[0], {"pair": [1, 1], "share": share, "proof": {"kind": "shares", "pairs": inner}}]
            for pairs_ in (parts, parts[:1], parts[::-1], [parts[0], parts[0]], inner, [*parts, *inner], nested, []):
                for number in (1, 2, 3):
                    found.append(lower(A, kind="shares", pairs=pairs_) | {"lower": number})
    # How products of other pairs bound those of two pairs, and what is known of them inside.
    A = [[4, 1, 2, 1], [1, 4, 1, 3], [2, 1, 4, 1], [1, 3, 1, 4]]
    empty = {"kind": "shares", "pairs": []}
    for first, second, third in (
        ((0, 2), (1, 3), (0, 1)),
        ((2, 0), (3, 1), (0, 0)),
        ((0, 2), (0, 3), (2, 3)),
        ((0, 0), (1, 3), (0, 1)),
    ):
        for x in (1, "1/2", "1/3", "1/4", "1/6"):
            two = [{"pair": list(pair), "share": x, "proof": empty} for pair in (first, second)]
            found.append(lower(A, kind="shares", pairs=two))
            for y in (1, "1/2", "1/4"):
                around = [{"pair": list(third), "share": y, "proof": {"kind": "shares", "pairs": two}}]
                found.append(lower(A, kind="shares", pairs=around))
    for A in (identity(2), [[2, 1], [1, 1]], [[1, 1], [1, 1]], [[2, "-1/2"], ["-1/2", 2]], [[2, "1/2"], ["1/2", 3]]):
        for Z in ([[1, 0], [0, 0]], [[0, 1], [1, 0]], [["1/3", "1/5"], ["1/5", 2]], [[0, -1], [-1, 0]], None):
            for at, t, D in ((0, 1, 0), (0, "1/2", 0), (1, 1, 1), (1, "1/2", "1/8"), (2, 1, 0), (2, "3/2", "5/4")):
                for c, number in ((1, 1), (1, 2), ("1/2", 2), (2, 1)):
                    cuts = [one_square(at, t, D, c, Z)]
                    found.append(lower(A, kind="moments", lower=number, sets=[[0, 1]], cuts=cuts) | {"lower": number})
    for at, t, D, c in ((1, 1, 0, 1), (0, 1, 0, 1), (1, 1, -1, 1), (0, 1, 1, 1), (0, 1, 1, 2), (0, 1, 1, "9/8")):
        found.append(lower(identity(2), **tau(at, t, D, c)) | {"lower": 1})
    # Nothing is wrong but a sign.
    minus = one_square(0, 1, -1) | {"Omega": [[2, 0, 0], [0, 0, 0], [0, 0, 0]]}
    for cut in (minus, minus | {"D": [1, 0, 0]}, one_square(0, 1, 1, 1, [[1, -1], [-1, 1]])):
        found.append(lower(identity(2), kind="moments", lower=0, sets=[[0, 1]], cuts=[cut]))
    part = {"pair": [0, 0], "share": 0, "proof": tau(0, 1, 1)}
    for change in ({"pair": [0, 2]}, {"pair": [0]}, {"pair": 0}, {"share": 0.5}, {"more": 0}, {"proof": TRIVIAL}):
        found.append(lower(identity(2), kind="shares", pairs=[part | change]))
    found.append(lower(identity(2), kind="shares", pairs=part))
    return found + sets_of_atoms()


def sets_of_atoms() -> list[Any]:
    """Atoms of the identity and of a path, counted for one or two sets."""
    found: list[Any] = []
    for first, second in ((1, 0), (0, 1), (1, 1), ("1/2", "1/2"), (1, "1/2"), (0, 0), (-1, 1)):
        sides = [{"c": c, "W": [[c]]} for c in (first, second)]
        cut = {"l": [first, 0, second], "D": [first, 0, second], "Omega": identity(3, 0), "Z": None, "parts": sides}
        other = cut | {"l": [second, 0, first], "D": [second, 0, first], "parts": sides[::-1]}
        for cuts in ([cut], [cut, other], []):
            for sets in ([[0], [1]], [[1], [0]], [[0], [0]], [[0]], [[0], [1], [1]], []):
                for number in range(4):
                    claim = lower(identity(2), kind="moments", lower=number, sets=sets, cuts=cuts)
                    found.append(claim | {"lower": number})
    path = [[1, 1, 0], [1, 2, 1], [0, 1, 1]]
    for x, y in ((1, 1), (1, 0), ("1/2", 1), (1, "1/3")):
        # x_0 x_1 and x_1 x_2 are 1 in sum, and at most 1 each.
        squares = [[[0, 0, 0], [0, v, 0], [0, 0, 0]] for v in (x, y)]
        parts = [{"c": v, "W": W} for v, W in zip((x, y), squares, strict=True)]
        cut = {"l": [0, x, 0, 0, y, 0], "D": [0, x, 0, 0, y, 0], "Omega": identity(6, 0), "Z": None, "parts": parts}
        for sets in ([[0, 1], [1, 2]], [[1, 0], [2, 1]], [[0, 1], [2, 1, 0]], [[0, 1], [1]]):
            for number in (1, 2, 3):
                claim = lower(path, kind="moments", lower=number, sets=sets, cuts=[cut])
                found.append(claim | {"lower": number})
        long = cut | {"parts": [part | {"c": f"{10**30 + 1}/{10**30}"} for part in parts]}
        for cuts in ([cut, long], [long, cut]):
            found.append(lower(path, kind="moments", lower=2, sets=[[0, 1], [1, 2]], cuts=cuts) | {"lower": 2})
        for change in (
            {"more": 0},
            {"parts": [part | {"more": 0} for part in parts]},
            {"parts": parts[:1]},
            {"Z": 0},
            {"l": [0] * 5},
            {"D": [0] * 7},
            {"Omega": identity(5)},
        ):
            found.append(lower(path, kind="moments", lower=1, sets=[[0, 1], [1, 2]], cuts=[cut | change]))
    found.append(lower(path, kind="moments", lower=0, sets=[[0, 1, 2]], cuts=[]) | {"lower": 1})
    for number in (-1, True, 10**6, 10**7, 4 * 10**6):
        found.append(lower(path, kind="moments", lower=number, sets=[[0, 1, 2]], cuts=[]))
    return found


CLAIMS: list[Any] = [*at_the_limit(), *covers(), *nodes(), *others(), *products()]


def in_budget(m: Any, call: Callable[[], Any]) -> tuple[Any, ...]:
    """What a call gives, and what it cost."""
    budget = m.Budget(1 << 60, 1 << 60)
    token = m.BUDGET.set(budget)
    try:
        said = call()
    except m.Rejected as error:
        said = str(error)
    finally:
        m.BUDGET.reset(token)
    return said, budget.work, budget.memory


def searches(m: Any) -> list[Any]:
    """Covers of random graphs with any number of cliques, and limits of the searches."""
    rng = random.Random(0)
    found = []
    largest = m.LARGEST_SEARCH
    for case in range(40):
        n = rng.randrange(2, 7 if case < 30 else 11)
        graph: dict[int, set[int]] = {u: set() for u in range(n)}
        for u, v in pairs(n):
            if rng.random() < 0.7:
                graph[u].add(v)
                graph[v].add(u)
        required = {(u, v) for u in graph for v in graph[u] if u < v} | {(u, u) for u in graph}
        m.LARGEST_SEARCH = (largest, case // 2)[case % 2]
        try:
            found.append(in_budget(m, lambda graph=graph: sorted(map(sorted, m.maximal_cliques(graph)))))
            for number in range(5):
                proof = {"kind": "search", "lower": number}
                found.append(in_budget(m, lambda g=graph, r=required, p=proof: m._cover(g, r, p)))
        finally:
            m.LARGEST_SEARCH = largest
        if case < 10:
            cliques = list(m.maximal_cliques(graph))
            covers = {pair: [c for c in cliques if {*pair} <= c] for pair in required}
            for number, most in product(range(3), range(4)):
                found.append(in_budget(m, lambda a=(graph, covers, required, number, [most]): m._coverable(*a)))
    return found


def eliminations(m: Any) -> list[Any]:
    """Semidefinite or not, solutions of principal systems, inverses, ranks: of small matrices, many of them singular."""
    rng = random.Random(1)
    found = []
    for _ in range(60):
        n, r = rng.randrange(1, 5), rng.randrange(1, 5)
        V = [[Fraction(rng.randrange(-3, 4), rng.choice((1, 1, 2, 6))) for _ in range(r)] for _ in range(n)]
        A = [[sum((a * b for a, b in zip(v, w, strict=True)), Fraction(0)) for w in V] for v in V]
        A[0][0] += rng.choice((0, 0, 1, -1))
        found += [in_budget(m, lambda A=A, d=d: m.positive_semidefinite(A, d)) for d in (False, True)]
        found.append(in_budget(m, lambda A=A: m.minimal_zeros(A)))
        found.append(in_budget(m, lambda A=A, V=V: m.inverse_times(A, V)))
        found += [in_budget(m, lambda A=A, p=p: m.rank_modulo(A, p)) for p in (2, 3, 101)]
    return found


def right_inverses(m: Any) -> list[Any]:
    """‖1 − JR‖² and the rows of R, for J with any zeros."""
    rng = random.Random(2)
    found = []
    for _ in range(20):
        size = rng.randrange(1, 5)
        J: list[dict[tuple[int, int], Fraction]] = [{} for _ in range(size)]
        for row in J:
            for s in range(5):
                if rng.random() < 0.7:
                    row[0, s] = Fraction(rng.randrange(-3, 4), rng.choice((1, 2, 3)))
        M = [[Fraction(rng.randrange(-3, 4), rng.choice((1, 5))) for _ in range(size)] for _ in range(size)]
        found.append(in_budget(m, lambda J=J, M=M: m._right_inverse(J, M)))
    return found


def connections(m: Any) -> list[Any]:
    """Which supports a graph connects; and long minors."""
    rng = random.Random(3)
    found: list[Any] = []
    for _ in range(30):
        neighbours = [0] * 6
        for u, v in pairs(6):
            if rng.random() < 0.3:
                neighbours[u] |= 1 << v
                neighbours[v] |= 1 << u
        found += [m._connected(support, neighbours) for size in range(1, 7) for support in combinations(range(6), size)]
    found.append(in_budget(m, lambda: m.minimal_zeros([[1 << 1998, -1], [-1, 1 << 1998]])))
    return found


PROBES = (searches, eliminations, right_inverses, connections)
