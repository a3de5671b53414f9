"""Exact neurons of a covariance pair near float ones, with the same signs and zeros (`nearby.py`; "nearby" of SIGMA_UPPER).

Σ xxᵀ = K and Σ σ(x)σ(x)ᵀ = S are N(N + 1) equations, and k neurons have kN unknowns. Neurons with the same signs can be
rotated among each other, so k = N + 1 need not be enough for a Jacobian of full rank: then the pair lies on a surface
where matrices that are sums of fewer squares than their order are singular. Their kernels say so linearly:

    Kw = 0 ⇒ wᵀx = 0,    Sw = 0 ⇒ wᵀσ(x) = 0,    Gw = 0 ⇒ wᵀz_U = 0

for each neuron, where z = (max(x, 0), min(x, 0)) and G is a principal submatrix of Σ zzᵀ, on U, that the equations
determine. With signs given they determine Σ z_u z_v for the entries u, v of z that come from i and j if no neuron has
another pair of signs there, or if those of the others have one slope product, another one. Unknowns are then
restricted to the kernels, and equations that become dependent are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from cpcert.activations import Activation
from cpcert.rank.cliques import maximal_cliques
from cpcert.rank.nearby import MANY_BLOCKS, ZERO, Family, Vectors, fixed_point_on_face, kernel_basis, kernel_of
from cpcert.rank.proofs import NearbyNeurons, Number


def nearby_neurons(K: Vectors, S: Vectors, activation: Activation, X: np.ndarray) -> Iterator[NearbyNeurons]:
    """Proofs that there are exact neurons near X (k, N); they differ in the size of the ball. The checker decides."""
    N = len(K)
    scale = np.sqrt(np.maximum([float(K[i][i]) for i in range(N)], 0.0))
    scale[scale == 0.0] = 1.0
    signs = np.where(np.abs(X) <= ZERO * scale, 0, np.sign(X)).astype(int)
    slopes: list[list[Number]] = [
        [Fraction(activation.a_plus if s >= 0 else activation.a_minus) for s in x] for x in signs
    ]
    of_K, of_S, of_blocks = kernel_of(K), kernel_of(S), _kernels_of_blocks(K, S, activation, signs)
    bases: list[Vectors] = []
    for x, of_column in zip(signs, slopes, strict=True):
        zeros = [[int(i == j) for j in range(N)] for i in np.flatnonzero(x == 0)]
        sloped = [[v * slope for v, slope in zip(w, of_column, strict=True)] for w in of_S]
        blocks = [[w.get((i, int(s)), 0) for i, s in enumerate(x)] for w in of_blocks]
        bases.append([list(v) for v in kernel_basis([*zeros, *of_K, *sloped, *blocks], N)])
    everything = list(range(N))
    on_face = fixed_point_on_face([Family(everything, K), Family(everything, S, slopes)], bases, list(X))
    if on_face is not None:
        found, bases = on_face
        for rho in found.radii(max(float(K[i][i]) for i in range(N))):
            yield NearbyNeurons(found.columns(bases), found.dependencies, found.inverse, rho)


def _kernels_of_blocks(
    K: Vectors, S: Vectors, activation: Activation, signs: np.ndarray
) -> list[dict[tuple[int, int], Number]]:
    """Vectors w, by (i, sign), in the kernels of the principal submatrices of Σ zzᵀ that are determined."""
    parts = sorted({(i, int(s)) for x in signs for i, s in enumerate(x) if s})
    slope = {1: Fraction(activation.a_plus), -1: Fraction(activation.a_minus)}
    known: dict[tuple[int, int], Number] = {}
    for a, (i, s) in enumerate(parts):
        for b, (j, t) in enumerate(parts[a:], start=a):
            value = _determined(
                K[i][j], S[i][j], slope, {(int(x[i]), int(x[j])) for x in signs if x[i] and x[j]}, (s, t)
            )
            if value is not None:
                known[a, b] = known[b, a] = value
    alive = [a for a in range(len(parts)) if (a, a) in known]
    graph = {a: {b for b in alive if b != a and (a, b) in known} for a in alive}
    kernels: list[dict[tuple[int, int], Number]] = []
    for block in maximal_cliques(graph, MANY_BLOCKS) or []:
        G = [[known[a, b] for b in block] for a in block]
        kernels += [{parts[a]: v for a, v in zip(block, w, strict=True)} for w in kernel_of(G)]
    return kernels


def _determined(
    K: Number, S: Number, slope: dict[int, Fraction], reached: set[tuple[int, int]], wanted: tuple[int, int]
) -> Number | None:
    """Σ x_i x_j over the neurons with the signs `wanted` there, if the sums over all, without and with slopes, say what it is."""
    if wanted not in reached:
        return 0
    others = reached - {wanted}
    own = slope[wanted[0]] * slope[wanted[1]]
    products = {slope[s] * slope[t] for s, t in others}
    if not products:
        return K
    if len(products) > 1 or own in products:
        return None
    (other,) = products
    # K = own sum + other sum, S = own · own sum + other · other sum.
    return (S - other * K) / (own - other)
