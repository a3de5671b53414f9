"""The doubly nonnegative relaxation of max ‖Gσ(X̃ᵀw)‖ on a cone, and the multipliers that make it a proof.

On a cone {w : c_jᵀw ≥ 0} the sign of x_iᵀw is known for some points and unknown for those in U. With z_i = |x_iᵀw| for
i ∈ U the value Gσ(X̃ᵀw) = K(w, z) is linear in (w, z), the forms c_jᵀw, z_i + x_iᵀw, z_i − x_iᵀw (rows of F) are
nonnegative, and z_i² = (x_iᵀw)². So any ρ, any λ ∈ R^U and any symmetric N ≥ 0 with

    S = ρ I_w − KᵀK + Σ_{i∈U} λ_i (e_i e_iᵀ − x_i x_iᵀ) − FᵀNF ⪰ 0                                               (1)

(a quadratic form in (w, z): I_w is ‖w‖², e_i picks z_i) prove ‖Gσ(X̃ᵀw)‖² ≤ ρ on the cone and the unit ball, for any
number of outputs. The smallest ρ is the value of the relaxation. When all signs are known, (1) bounds ‖M_D w‖ on a
cone, exactly on simplicial cones of dimension at most 4; N = 0 is the top singular value.

The solver's multipliers are only a hint: λ and ρ are raised until S less its rounding has a Cholesky factor in floating
point. docs/mathematics/cells.md has the relaxation, (1) as (S), and the allowance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpcert.activations import Activation
from cpcert.oracle.interior_point import maximise
from cpcert.oracle.spectral import cholesky
from cpcert.rounding import EPS

# Accuracy asked of the interior-point method: it decides how tight the bound is, not whether it holds.
TOLERANCE = 1e-9
# Problems are scaled to about 1: multipliers beyond this prove nothing, and their squares overflow.
HUGE = 1e100
# Amounts by which λ is raised, relative to ρ, to mend what the solver left indefinite.
MENDS = tuple(10.0**k for k in range(-14, -1))


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A cone in the form (1). K (m, r + |U|); size: |K| entry by entry with all sums of absolute values.

    forms F (f, r + |U|): the constraints, then z_i + x_iᵀw and z_i − x_iᵀw for each i of U in turn. points (|U|, r): those
    of U. terms: how many products an entry of S adds up.
    """

    K: np.ndarray
    size: np.ndarray
    forms: np.ndarray
    points: np.ndarray
    terms: int


@dataclass(frozen=True, eq=False)
class Multipliers:
    """(1) holds with ρ = square. linear: λ (|U|,). N has `weight` at (first, second) and (second, first), else 0."""

    square: float
    linear: np.ndarray
    first: np.ndarray
    second: np.ndarray
    weight: np.ndarray


def relax(
    points: np.ndarray, G: np.ndarray, activation: Activation, decided: np.ndarray, constraints: np.ndarray
) -> Relaxed:
    """points (N, r), G (m, N), decided (N,): the sign of x_iᵀw or 0, constraints (k, r): rows c_j."""
    r = points.shape[1]
    mean, half = 0.5 * (activation.a_plus + activation.a_minus), 0.5 * activation.kink
    slopes = np.where(decided > 0, activation.a_plus, np.where(decided < 0, activation.a_minus, mean))
    U = np.flatnonzero(decided == 0)
    K = np.hstack([(G * slopes) @ points, half * G[:, U]])
    largest = np.where(decided != 0, np.abs(slopes), 0.5 * (abs(activation.a_plus) + abs(activation.a_minus)))
    size = np.hstack([(np.abs(G) * largest) @ np.abs(points), abs(half) * np.abs(G[:, U])])
    k, u = len(constraints), len(U)
    forms = np.zeros((k + 2 * u, r + u))
    forms[:k, :r] = constraints
    forms[k::2, :r], forms[k + 1 :: 2, :r] = points[U], -points[U]
    forms[k + 2 * np.arange(u), r + np.arange(u)] = 1.0
    forms[k + 2 * np.arange(u) + 1, r + np.arange(u)] = 1.0
    return Relaxed(K, size, forms, points[U], len(G) + 2 * len(points) + 2 * len(forms) + 24)


def useful_pairs(relaxed: Relaxed) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of forms whose products say something: not twice the same, not z_i + x_iᵀw with z_i − x_iᵀw."""
    f, u = len(relaxed.forms), len(relaxed.points)
    first, second = np.triu_indices(f, 1)
    owner = np.concatenate([-1 - np.arange(f - 2 * u), np.repeat(np.arange(u), 2)])
    keep = owner[first] != owner[second]
    return first[keep], second[keep]


def solve(relaxed: Relaxed, witness: np.ndarray, target: float) -> tuple[Multipliers, np.ndarray]:
    """Approximate multipliers and Y (d, d) by interior_point.py, precise where ρ is near `target`. Nothing is proven here.

    witness (r,): a point inside the cone.
    """
    norms = np.sqrt(np.einsum("ij,ij->i", relaxed.forms, relaxed.forms))
    first, second = useful_pairs(relaxed)
    allowed = np.zeros((len(norms), len(norms)))
    allowed[first, second] = allowed[second, first] = 1.0
    objective = (relaxed.K.T @ relaxed.K) / target
    forms = np.ascontiguousarray(relaxed.forms / norms[:, np.newaxis])
    rho, linear, N, Y = maximise(objective, forms, allowed, np.ascontiguousarray(relaxed.points), witness, TOLERANCE)
    weight = 0.5 * target * N[first, second] / (norms[first] * norms[second])
    return Multipliers(rho * target, linear * target, first, second, weight), Y


def certify(relaxed: Relaxed, hint: Multipliers) -> Multipliers | None:
    """Multipliers near the hint that satisfy (1) for the exact numbers, with the smallest ρ found; None if none is."""
    d = relaxed.forms.shape[1]
    u = len(relaxed.points)
    r = d - u
    keep = hint.weight > 1e-13 * max(float(hint.weight.max(initial=0.0)), 1e-300)
    first, second, weight = hint.first[keep], hint.second[keep], hint.weight[keep]
    # Written so that a NaN is refused, too.
    if not np.all(np.abs([*weight, *hint.linear, hint.square]) < HUGE):
        return None
    f = len(relaxed.forms)
    N = np.zeros((f, f))
    N[first, second] = N[second, first] = weight
    forms, points = relaxed.forms, relaxed.points
    total = float(np.sum(points * points)) * (1.0 + (points.size + 2) * EPS)
    fixed = relaxed.K.T @ relaxed.K + forms.T @ N @ forms
    size = relaxed.size.T @ relaxed.size + np.abs(forms).T @ N @ np.abs(forms)
    linear = hint.linear.copy()

    def matrix(linear: np.ndarray, square: float) -> np.ndarray:
        S = -fixed
        S[:r, :r] += square * np.eye(r) - (points * linear[:, np.newaxis]).T @ points
        S[r:, r:] += np.diag(linear)
        return 0.5 * (S + S.T)

    def allowance(linear: np.ndarray, square: float) -> float:
        bound = size.copy()
        bound[:r, :r] += square * np.eye(r) + (np.abs(points) * np.abs(linear)[:, np.newaxis]).T @ np.abs(points)
        bound[r:, r:] += np.diag(np.abs(linear))
        norm = float(np.linalg.norm(bound)) * (1.0 + (d * d + 2 * f + 8) * EPS)
        return relaxed.terms * EPS * norm + (d + 6) * EPS * max(float(np.trace(bound)), 0.0)

    # The solver leaves S a little indefinite. Raise λ to mend the block of z; a Schur complement gives the smallest ρ.
    square = -1.0
    best = linear
    for mend in MENDS if u else (0.0,):
        raised = linear + mend * max(abs(hint.square), 1e-300)
        S = matrix(raised, 0.0)
        schur = S[:r, :r]
        if u:
            if not cholesky(S[r:, r:].copy()):
                continue
            schur = schur - S[:r, r:] @ np.linalg.solve(S[r:, r:], S[r:, :r])
        needed = max(-float(np.linalg.eigvalsh(0.5 * (schur + schur.T))[0]), 0.0)
        if 0.0 <= square <= needed:
            break
        square, best = needed, raised
    if not 0.0 <= square < HUGE:
        return None
    linear = best
    shift = 4.0 * allowance(linear, square)
    for _ in range(40):
        linear_now, square_now = linear + shift, square + shift * (1.0 + total)
        S = matrix(linear_now, square_now)
        theta = allowance(linear_now, square_now)
        if cholesky(S - theta * np.eye(d)):
            return Multipliers(square_now, linear_now, first, second, weight)
        shift *= 4.0
    return None
