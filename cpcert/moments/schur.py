"""The Schur complement of the interior-point method, entry by entry: its hot loops."""

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


@njit(cache=True)
def mixed_complement(P, Q, outputs, points, first, second, weight, C):
    """The same for all pairs of an unknown of G, the product −(v, g), and a product of the block: C (mN, K)."""
    for k in range(len(outputs)):
        Pv, Qv = P[outputs[k]], Q[outputs[k]]
        for n in range(len(points)):
            Pg, Qg = P[points[n]], Q[points[n]]
            row = C[k * len(points) + n]
            for j in range(len(first)):
                a, b = first[j], second[j]
                row[j] = -0.25 * weight[j] * (Qv[a] * Pg[b] + Qg[b] * Pv[a] + Qv[b] * Pg[a] + Qg[a] * Pv[b])
