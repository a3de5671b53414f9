"""The Schur complement of the interior-point method, entry by entry: its hot loop."""

from __future__ import annotations

from cpcert.compiled import njit


@njit(cache=True)
def schur_complement(P, Q, first, second, weight, H):
    """H_ij = ¼ w_i w_j (Q_ac P_bd + Q_bd P_ac + Q_ad P_bc + Q_bc P_ad) for j ≤ i; i is the product (a, b), j is (c, d)."""
    for i in range(len(first)):
        Pa, Pb, Qa, Qb = P[first[i]], P[second[i]], Q[first[i]], Q[second[i]]
        scale = 0.25 * weight[i]
        row = H[i]
        for j in range(i + 1):
            c, d = first[j], second[j]
            row[j] = scale * weight[j] * (Qa[c] * Pb[d] + Qb[d] * Pa[c] + Qa[d] * Pb[c] + Qb[c] * Pa[d])
