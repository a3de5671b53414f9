"""One output: γ(g) is the larger of two maxima, of f(w) = cᵀw + Σ κ_i relu(x_iᵀw) over ‖w‖ ≤ 1 for g and for −g.

Both are always proven: by all cells of an arrangement (arrangement.py), or by branch and bound (branch.py).
κ = (a₊ − a₋)g and c = a₋X̃g are rounded when they are not exact (ReLU: exact); for ‖w‖ ≤ 1 this changes f by at most
(N + 6)ε Σ (|a₊ − a₋| + |a₋|)|g_i|‖x_i‖, the `allowance`, which is added to the bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cpcert.oracle.answer import OracleAnswer
from cpcert.oracle.arrangement import ArrangementProof, arrangement_oracle, cell_count
from cpcert.oracle.branch import BranchProof, BranchResult, branch_and_bound
from cpcert.oracle.rung import Limits, Question
from cpcert.rounding import EPS

# Nodes for the second sign, after the proof has failed with the first, to find more neurons.
MORE_NODES = 1000


@dataclass(frozen=True, eq=False)
class SignedProof:
    """γ(g) ≤ bound for one output: a tree for g and one for −g; allowance: what the rounding of κ and c can add."""

    positive: BranchProof | ArrangementProof
    negative: BranchProof | ArrangementProof
    allowance: float


def most_cells(question: Question) -> int:
    """The number of cells that matter, for the sign of g with more of them."""
    kappa = question.activation.kink * question.G[0]
    r = question.points.shape[1]
    return max(cell_count(int((sign * kappa > 0.0).sum()), r) for sign in (1.0, -1.0))


def _signs(question: Question) -> tuple[list[tuple[np.ndarray, np.ndarray]], float]:
    """(κ (N,), c (r,)) for g and for −g, and the allowance."""
    points, g = question.points, question.G[0]
    kink, slope = question.activation.kink, question.activation.a_minus
    allowance = 0.0
    if not (kink == 1.0 and slope == 0.0):
        norms = np.linalg.norm(points, axis=1)
        allowance = (len(g) + 8) * EPS * (abs(kink) + abs(slope)) * float(np.abs(g) @ norms)
    return [(kink * h, slope * (h @ points)) for h in (g, -g)], allowance


def prove_by_arrangement(question: Question, limits: Limits) -> OracleAnswer:
    """The rung `arrangement`: every cell, for a bound that is exact to rounding; it is for few cells and keeps no limits."""
    signs, allowance = _signs(question)
    bounds, atoms, values, proofs = zip(*(arrangement_oracle(question.points, *f) for f in signs), strict=True)
    bound = (max(bounds) + allowance) * (1.0 + EPS)
    above = np.array([value > question.aim for value in values])
    order = np.argsort(-np.array(values), kind="stable")
    order = order[above[order]]
    proof = SignedProof(proofs[0], proofs[1], allowance)
    nodes = 2 * most_cells(question)
    return OracleAnswer(np.array(atoms)[order], np.array(values)[order], bound, "arrangement", proof, nodes)


def prove_by_branching(question: Question, limits: Limits) -> OracleAnswer:
    """The rung `branch`."""
    signs, allowance = _signs(question)
    # What is added to the bound below must still leave it at most the aim.
    target = question.aim * (1.0 - 4.0 * EPS) - 2.0 * allowance
    nodes = 0
    results: list[BranchResult] = []
    for kappa, linear in signs:
        left = limits.left(nodes)
        if results and len(results[0].atoms):
            # The proof has failed already; the other sign is only asked for more neurons.
            left = left.at_most(min(results[0].nodes, MORE_NODES))
        elif not results and left.nodes is not None:
            left = replace(left, nodes=left.nodes - left.nodes // 2)
        result = branch_and_bound(question.points, kappa, linear, target, left)
        nodes += result.nodes
        results.append(result)
    W = np.concatenate([result.atoms for result in results])
    values = np.concatenate([result.values for result in results])
    order = np.argsort(-values, kind="stable")
    first, second = (result.proof for result in results)
    proof = SignedProof(first, second, allowance) if first is not None and second is not None else None
    bound = (max(result.upper_bound for result in results) + allowance) * (1.0 + EPS)
    return OracleAnswer(W[order], values[order], bound, "branch", proof, nodes)
