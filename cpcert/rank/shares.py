"""More atoms than the semidefinite bound says: which atom may have how much of an entry.

Let k atoms be assumed. For pairs e = ij and numbers θ_e < 1 either no atom has x_i x_j > θ_e A_e, and then the atoms share
the entry A_e more evenly, which raises the semidefinite bound for their number, above k; or one has. If there are k + 1 pairs
of which no atom can have so much of two, then there are k + 1 atoms:

    (x_i x_j)(x_k x_l) = (x_i x_k)(x_j x_l) ≤ A_ik A_jl   for atoms x and e = ij, f = kl, so θ_e θ_f A_e A_f ≥ A_ik A_jl will do.

Fooling sets of the support (graphs.py) are the case A_ik A_jl = 0, where all θ may be 0. The checker's format has the details.
"""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import combinations, combinations_with_replacement

import numpy as np

from cpcert.rank.matrices import Rows, float_matrix
from cpcert.rank.moments import Context, MomentBounds, bounded_products
from cpcert.rank.proofs import Moments, Pair, Products, Share, Shares

LARGEST_ORDER = 7
# Shares are multiples of 2^−BITS, and this much larger than they need to be; none is smaller than LEAST.
BITS, ROOM, LEAST = 24, 1e-5, 1e-2
# How often the argument is used within itself.
NESTED = 1


def shares(A: Rows, least: int, stop: float, context: Context = ()) -> Shares | None:
    """The proof that there are at least `least` atoms (with products that the context bounds), None if none is found.

    A ≥ 0, connected. stop: a `time.monotonic()`.
    """
    parts = []
    # Large shares say least: the first to fail.
    for pair, share in sorted(_thresholds(A, context, least), key=lambda part: -part[1]):
        if time.monotonic() > stop:
            return None
        inside = (*context, (pair, share))
        proof: Products | None = moments_at_least(A, least, inside)
        if proof is None and len(context) < NESTED:
            proof = shares(A, least, stop, inside)
        if proof is None:
            return None
        parts.append(Share(pair, share, proof))
    return Shares(tuple(parts)) if parts else None


def moments_at_least(A: Rows, least: int, context: Context = ()) -> Moments | None:
    """The proof by moments that there are so many atoms, from one cut or from more of them."""
    bounds = MomentBounds(A, context)
    plain = bounds.plain()
    return plain[2] if plain is not None and plain[0] >= least else bounds.at_least(least)


def _thresholds(A: Rows, context: Context, least: int) -> list[tuple[Pair, Fraction]]:
    """So many pairs with shares of which no atom has more of two; empty if there are none below 1.

    The largest share is as small as it can be, and then their product.
    """
    import networkx as nx
    from scipy.optimize import linprog

    F, most = float_matrix(A), float_matrix(bounded_products(A, context))
    pairs = [pair for pair in combinations_with_replacement(range(len(A)), 2) if A[pair[0]][pair[1]]]
    both = {}
    for e, f in combinations(pairs, 2):
        (i, j), (k, h) = e, f
        both[e, f] = min(most[i, k] * most[j, h], most[i, h] * most[j, k]) / (F[e] * F[f])
    levels = sorted(set(both.values()))
    low, high, chosen = 0, len(levels), []
    while low < high:
        middle = (low + high) // 2
        graph = nx.Graph()
        graph.add_nodes_from(pairs)
        graph.add_edges_from(two for two, level in both.items() if level <= levels[middle])
        clique, _ = nx.max_weight_clique(graph, None)
        if len(clique) >= least:
            high, chosen = middle, sorted(clique)
        else:
            low = middle + 1
    if not chosen or levels[high] >= 1.0:
        return []
    while len(chosen) > least:
        chosen.remove(max(chosen, key=lambda e: max(both[min(e, f), max(e, f)] for f in chosen if f != e)))
    two = list(combinations(range(least), 2))
    logs = np.log([max(both[chosen[s], chosen[t]] * (1.0 + ROOM), LEAST**2) for s, t in two])
    pick = np.zeros((len(two), least))
    for row, ends in enumerate(two):
        pick[row, list(ends)] = -1.0
    top = min(logs.max() / 2, 0.0)
    solved = linprog(np.ones(least), A_ub=pick, b_ub=-logs, bounds=(np.log(LEAST), top), method="highs")
    if solved.x is None:
        return []
    shares = [Fraction(int(np.ceil(value * (1.0 + ROOM) * 2**BITS)), 2**BITS) for value in np.exp(solved.x)]
    return list(zip(chosen, shares, strict=True))
