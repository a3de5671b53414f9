"""Proofs by an arrangement (oracle/arrangement.py) in the columns of SPEC.md, "Trees"."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cpcert.oracle.arrangement import IMPLIED_NODE, LEAF, ArrangementProof
from cpcert.oracle.tree_language import BOUND, BRANCH, CLOSE, TIGHTEN

# Multipliers of an arrangement are written with so many bits: its bound is exact to rounding.
FINE = 50


def arrangement_grid(proofs: Sequence[ArrangementProof]) -> list[int]:
    """The bits of t = y/κ and μ in the proofs, fewer where the largest of them would not fit into an integer."""
    largest_t = largest_mu = 1.0
    for proof in proofs:
        ends = np.cumsum(proof.count)
        lists = [entry for entry in proof.tree.tolist() if entry == LEAF or abs(entry) == IMPLIED_NODE]
        for entry, count, end in zip(lists, proof.count.tolist(), ends.tolist(), strict=True):
            weights = np.abs(proof.weight[end - count : end])
            if entry == LEAF:
                t = weights / np.abs(proof.kappa[proof.index[end - count : end]])
                largest_t = max(largest_t, float(t.max(initial=0.0)))
            else:
                largest_mu = max(largest_mu, float(weights.max(initial=0.0)))
    return [max(0, min(FINE, 62 - math.frexp(largest)[1])) for largest in (largest_t, largest_mu)] + [0]


def arrangement_columns(
    proof: ArrangementProof, grid: Sequence[int]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """The columns of an arrangement: implied signs are tightenings without a cap, each leaf one bound."""
    index = proof.rows.kept
    steps: list[int] = []
    ys: list[int] = []
    rhos: list[int] = []
    mus: list[int] = []
    lists = iter(zip(proof.count.tolist(), (np.cumsum(proof.count) - proof.count).tolist(), strict=True))
    # An open node: the next entry of `order`, and its path (point, sign).
    nodes: list[tuple[int, list[tuple[int, int]]]] = [(0, [])]
    tree = iter(proof.tree.tolist())
    while nodes:
        at, path = nodes.pop()
        for entry in tree:
            if entry == LEAF:
                count, start = next(lists)
                found = []
                for j in range(start, start + count):
                    i = int(proof.index[j])
                    found.append((int(index[i]), round(math.ldexp(float(proof.weight[j] / proof.kappa[i]), grid[0]))))
                steps += [BOUND, count]
                last = -1
                for i, t in sorted(found):
                    full = t == 1 << grid[0]
                    steps.append(2 * (i - last - 1) + (not full))
                    ys += [] if full else [t]
                    last = i
                steps.append(CLOSE)
                break
            i = int(proof.order[at])
            at += 1
            if abs(entry) == IMPLIED_NODE:
                count, start = next(lists)
                place = {j: (p, s) for p, (j, s) in enumerate(path)}
                found = []
                for j in range(start, start + count):
                    p, s = place[int(proof.index[j])]
                    mu = round(math.ldexp(s * float(proof.weight[j]), grid[1]))
                    found += [(p, mu)] if mu > 0 else []
                # entry·x_iᵀw ≥ −ε is −entry·x_iᵀw ≤ ε.
                steps += [TIGHTEN, 2 * int(index[i]) + (entry > 0), len(found)]
                rhos.append(0)
                last = -1
                for p, mu in sorted(found):
                    steps.append(p - last - 1)
                    mus.append(mu)
                    last = p
            else:
                first = 1 if entry > 0 else -1
                steps += [BRANCH, 2 * int(index[i]) + (first < 0)]
                nodes += [(at, [*path, (i, -first)]), (at, [*path, (i, first)])]
                break
    return steps, ys, rhos, mus
