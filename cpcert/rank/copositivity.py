"""Is a matrix copositive, xᵀAx ≥ 0 for all x ≥ 0? Proofs either way; deciding it is NP-hard in general.

- Up to order LARGEST_ORDER: all supports, exactly (`copositive_zeros.py`). Either the minimal zeros are known (strictly
  copositive: there are none), or an x ≥ 0 with xᵀAx < 0.
- Beyond: x from a search in floating point. For a proof, entries ≥ 0 between the components of the graph of negative
  entries can be left out; a component is small, or positive semidefinite, or N + P with N ≥ 0 and P ⪰ 0, found by
  Dykstra's projections and rounded. This decides many matrices and not all: what is open is None.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np

from cpcert.certificate.rank_check import Rejected, check_rank_claim
from cpcert.rank.copositive_zeros import zeros_or_witness
from cpcert.rank.matrices import Rows, exact_rows, float_matrix
from cpcert.rank.proofs import BlockPart, Blocks, Copositive, Number, Semidefinite, Sum, Supports, as_json

LARGEST_ORDER = 16
# Starts of the search for x, and steps of the projections.
STARTS, STEPS = 60, 2000


@dataclass(frozen=True)
class CopositiveBounds:
    """What is proven: copositive and strictly are True, False or None (open).

    minimal_zeros: all of them, as integer vectors, in the order of the size of their supports; None: not known.
    witness: x ≥ 0 with xᵀAx < 0.
    """

    A: Rows
    copositive: bool | None
    strictly: bool | None
    minimal_zeros: tuple[tuple[int, ...], ...] | None = None
    proof: Copositive | None = None
    witness: tuple[Number, ...] | None = None
    notes: tuple[str, ...] = ()

    def claim(self) -> dict[str, Any] | None:
        """As JSON data for `check_rank_claim`; None: nothing is proven."""
        if self.witness is not None:
            return {"claim": "not_copositive", "A": as_json(self.A), "x": as_json(self.witness)}
        if self.proof is None:
            return None
        return {
            "claim": "copositive",
            "A": as_json(self.A),
            "strictly": bool(self.strictly),
            "minimal_zeros": as_json(self.minimal_zeros),
            "proof": as_json(self.proof),
        }


def copositive(A: Rows | np.ndarray, seconds: float = 60.0, seed: int = 0) -> CopositiveBounds:
    """Whether a symmetric A (n, n) is copositive: ints, Fractions, "p/q", floats (exactly), an array or a sympy matrix of them.

    Every answer has been accepted by the exact checker. Raises InputError if A is anything else, or not symmetric.
    """
    rows, _, _ = exact_rows(A, "A")
    stop = time.monotonic() + seconds
    rng = np.random.default_rng(seed)
    witness: list[Number] | None = None
    if len(rows) <= LARGEST_ORDER:
        try:
            zeros, exact = zeros_or_witness(rows, stop)
        except TimeoutError:
            return _by_blocks(rows, stop)
        if exact is None:
            found = CopositiveBounds(rows, True, not zeros, tuple(map(tuple, zeros)), Supports())
            return found if _accepted(found) else CopositiveBounds(rows, None, None)
        witness = list(exact)
    else:
        witness = _negative_point(rows, rng, stop)
    if witness is not None:
        refuted = CopositiveBounds(rows, False, False, witness=tuple(witness))
        if _accepted(refuted):
            return refuted
    return _by_blocks(rows, stop)


def _accepted(bounds: CopositiveBounds) -> bool:
    try:
        check_rank_claim(bounds.claim())
    except Rejected:
        return False
    return True


def _negative_point(A: Rows, rng: np.random.Generator, stop: float) -> list[Number] | None:
    """x ≥ 0 with xᵀAx < 0: descent by coordinates for A scaled to the diagonal 1, 0 or −1, from random starts."""
    n = len(A)
    F = float_matrix(A)
    diagonal = np.abs(F.diagonal())
    scale = np.where(diagonal > 0.0, np.sqrt(diagonal), np.sqrt(np.maximum(np.abs(F).max(axis=1), 1e-300)))
    F = F / np.outer(scale, scale)
    for _ in range(STARTS):
        x = rng.random(n) * (rng.random(n) < 0.5)
        for _ in range(200):
            before = x.copy()
            for i in rng.permutation(n):
                rest = float(F[i] @ x - F[i, i] * x[i])
                x[i] = max(-rest / F[i, i], 0.0) if F[i, i] > 1e-12 else float(rest < 0.0)
            norm = float(np.linalg.norm(x))
            if norm == 0.0 or float(x @ F @ x) < -1e-12 * norm * norm or np.abs(x - before).max() < 1e-9 * norm:
                break
            if norm > 1e6:
                x /= norm
        if float(x @ F @ x) < 0.0:
            exact = [Fraction(round(float(v) * 2**40), 2**40) for v in x / x.max() / scale * scale.min()]
            if sum((v * sum((a * w for a, w in zip(row, exact, strict=True) if w), start=Fraction(0))
                    for v, row in zip(exact, A, strict=True) if v), start=Fraction(0)) < 0:  # fmt: skip
                return list(exact)
        if time.monotonic() > stop:
            break
    return None


def _by_blocks(A: Rows, stop: float) -> CopositiveBounds:
    """A proof from the components of the graph of negative entries, without the minimal zeros."""
    n = len(A)
    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from((i, j) for i in range(n) for j in range(i) if A[i][j] < 0)
    blocks = sorted(sorted(c) for c in nx.connected_components(graph) if len(c) > 1)
    alone = sorted(set(range(n)) - {i for block in blocks for i in block})
    strictly = all(A[i][i] > 0 for i in alone)
    parts = []
    for indices in blocks:
        B = [[A[i][j] for j in indices] for i in indices]
        proven = _block(B, stop)
        if proven is None:
            note = f"a block of order {len(indices)} is neither small nor shown to be a sum N + P with N ≥ 0 and P ⪰ 0"
            return CopositiveBounds(A, None, None, notes=(note,))
        proof, of_block = proven
        strictly = strictly and of_block
        parts.append(BlockPart(tuple(indices), proof))
    whole = len(parts) == 1 and len(parts[0].indices) == n
    found = CopositiveBounds(A, True, strictly or None, None, parts[0].proof if whole else Blocks(tuple(parts)))
    return found if _accepted(found) else CopositiveBounds(A, None, None)


def _block(B: Rows, stop: float) -> tuple[Copositive, bool] | None:
    """(proof, strictly), or None."""
    if len(B) <= LARGEST_ORDER:
        try:
            zeros, witness = zeros_or_witness(B, stop)
        except TimeoutError:
            return None
        return None if witness is not None else (Supports(), not zeros)
    for proof in (Semidefinite(), _sum(B)):
        for strictly in (True, False):
            if proof is not None and _accepted(CopositiveBounds(B, True, strictly, None, proof)):
                return proof, strictly
    return None


def _sum(B: Rows) -> Sum | None:
    """N ≥ 0 such that B − N may be positive definite: Dykstra's projections between X ⪰ δ and X ≤ B, B scaled."""
    F = float_matrix(B)
    diagonal = F.diagonal()
    if (diagonal <= 0.0).any():
        return None
    scale = np.sqrt(diagonal)
    F = F / np.outer(scale, scale)
    for delta in (1e-2, 1e-4, 1e-6):
        X, correction = np.minimum(F, 1.0), np.zeros_like(F)
        for _ in range(STEPS):
            values, vectors = np.linalg.eigh(X + correction)
            if values[0] >= delta / 2 and not correction.any():
                break
            inside = (vectors * np.maximum(values, delta)) @ vectors.T
            correction = X + correction - inside
            X = np.minimum(inside, F)
            if np.linalg.eigvalsh(X)[0] >= delta / 2:
                N = np.maximum(F - X, 0.0) * np.outer(scale, scale)
                return Sum(tuple(tuple(_below(float(v)) for v in row) for row in (N + N.T) / 2), Semidefinite())
    return None


def _below(value: float) -> Fraction:
    """A rational with few bits, ≥ 0 and at most about the value."""
    mantissa, exponent = np.frexp(value)
    return Fraction(int(mantissa * 2**20), 2**20) * Fraction(2) ** int(exponent)
