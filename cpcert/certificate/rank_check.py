"""Check claims about complete positivity, cp-rank, Rank_σ and copositivity. Standard library only; exact integers and rationals.

`check_rank_claim(claim)` takes plain JSON data and returns None, or raises `Rejected(reason)`. An integer stands for
itself, a string "p/q" or "p" for a rational number; floats are refused. Every object has exactly the keys stated here.
Indices count from 0. A symmetric matrix is a list of its rows. Below, "A is completely positive" means A = Σ b_k b_kᵀ
with entrywise nonnegative vectors b_k, its *atoms*; cp-rank(A) is the least number of them, ∞ if there are none.

CLAIMS
    {"claim": "completely_positive", "A", "proof": CP}
    {"claim": "not_completely_positive", "A", "proof": NOT_CP}
    {"claim": "cp_rank", "A", "lower", "lower_proof": LOWER, "upper", "upper_proof": CP}
        lower ≤ cp-rank(A) ≤ upper; upper and upper_proof may both be null.
    {"claim": "rank_sigma", "K", "K_sigma", "beta", "a_plus", "a_minus", "lower", "lower_proof": SIGMA_LOWER,
     "upper", "upper_proof": SIGMA_UPPER}
        Rank_σ(K, K^σ) is the least number of vectors x_k with Σ x_k x_kᵀ = K and Σ σ(x_k)σ(x_k)ᵀ = K^σ − β²11ᵀ, where
        σ(s) = a_plus max(s, 0) − a_minus max(−s, 0). It is ∞ if there are none.
    {"claim": "not_in_S", "K", "K_sigma", "beta", "a_plus", "a_minus", "proof": NOT_IN_S}: there are none.
    {"claim": "copositive", "A", "strictly": b, "minimal_zeros": Z, "proof": COP}: xᵀAx ≥ 0 for all x ≥ 0, if b is true > 0
        for x ≠ 0. Z is null, or the list of all minimal zeros (COPOSITIVE below), vectors of coprime integers in their order.
    {"claim": "not_copositive", "A", "x"}: x ≥ 0 and xᵀAx < 0.

COP: a matrix is copositive, perhaps strictly
    {"kind": "supports"}: all supports are visited (COPOSITIVE below). Strictly if there are no minimal zeros.
    {"kind": "semidefinite"}: it is positive semidefinite. Strictly if it is positive definite.
    {"kind": "sum", "N", "rest": COP}: N ≥ 0, and A − N is copositive; strictly if A − N is.
    {"kind": "blocks", "parts": [{"indices", "proof": COP}, …]}: disjoint blocks are copositive, and entries outside them are
        nonnegative. Strictly if each block is, and the diagonal is positive outside them.

CP: an upper bound of the cp-rank
    {"kind": "atoms", "atoms": [{"weight": c, "entries": [[i, v], …]}, …]}: c, v > 0. The rest R = A − Σ c vvᵀ is
        entrywise nonnegative and diagonally dominant,
        R = Σ_{i<j} R_ij (e_i + e_j)(e_i + e_j)ᵀ + Σ_i (R_ii − Σ_{j≠i} R_ij) e_i e_iᵀ; each nonzero term is one atom more.
    {"kind": "nearby", "rows": I, "columns": [{"basis": [[…], …], "center": […]}, …], "inverse": M, "rho": ρ}: there is
        an exact factorisation with one atom b_k = V_k t_k for each column, V_k the matrix with the columns `basis`, of which
        there is one or more, t_k near `center` (Brouwer's fixed-point theorem). With C = A_{·I} A_II⁻¹ it is checked that
        A = C A_{I·} and V_k = C V_k[I]: so only the equations F_ij(t) = Σ_k (V_k t_k)_i (V_k t_k)_j − A_ij = 0, i ≤ j in I,
        matter. An equation where no column has both i and j in its support must be 0 = A_ij. For the others let J be the
        Jacobian of F at the centers, in the order of I, and R = JᵀM. With t = center + Ry, the map y ↦ y − F(t)
        sends the ball ‖y‖ ≤ ρ into itself if
            ‖F(center)‖ + ‖1 − JR‖ ρ + max_k ‖V_k[I]‖² ‖R‖² ρ² ≤ ρ        (Frobenius norms),
        and a fixed point is a zero of F. Each entry of V_k t is identically 0, or nonnegative on the ball.
    {"kind": "face", "rows", "columns", "dependencies": [[[e, y_e], …], …], "inverse", "rho"}: as "nearby", where the equations
        F_e, e = 0, 1, … numbering the pairs i ≤ j in I in their order, are dependent, as on a face of the cone. A dependency
        says that Σ y_e F_e(t) is identically 0: Σ y_e A_e = 0, and Σ y_e (V_k t)_i (V_k t)_j ≡ 0 for each k. Its first
        equation is in no other dependency; it follows from the others and is left out of F.
    {"kind": "components", "parts": [{"indices": [...], "proof": CP}, …]}: A is zero outside these disjoint blocks.

NOT_CP
    {"kind": "negative_entry", "i", "j"}: A_ij < 0.
    {"kind": "not_psd", "v"}: vᵀAv < 0.
    {"kind": "triangle_free", "v"}: v ≥ 0; the graph of the off-diagonal nonzeros of A has no triangle, so an atom is
        supported on a vertex or an edge, and adds (v_i b_i − v_j b_j)² to Σ_i A_ii v_i² − Σ_{i≠j} A_ij v_i v_j, which is
        negative here.
    {"kind": "copositive", "S"}: S is copositive (below) and ⟨S, A⟩ < 0.
    {"kind": "principal", "indices", "proof": NOT_CP}: a principal submatrix is not completely positive.

LOWER: a lower bound of the cp-rank
    {"kind": "trivial"}: 0.
    {"kind": "rank", "prime": p}: the rank of A modulo the prime p, after multiplication by the common denominator: at
        most the rank of A. (Elimination needs no more than that the pivots are invertible, and stops if one is not.)
    {"kind": "components", "parts": [{"indices", "lower", "proof": LOWER}, …]}: A is zero between these disjoint blocks
        and an atom has its support in at most one, so the bounds add up. One part alone is a principal submatrix.
    {"kind": "cover", "cover": COVER}: an atom has its support in a clique of the support graph of A, and the cliques
        cover all pairs with A_ij > 0, loops i = j included.
    {"kind": "copositive", "S", "node": NODE}: S is copositive and ⟨S, A⟩ = 0, so each atom is a zero of S. Let
        q_1, …, q_m be the minimal zeros of S (below). A zero of S is Σ t_u q_u with t ≥ 0 and q_uᵀSq_v = 0 for all u, v in
        the support of t. So k atoms give k vectors t with M = Σ ttᵀ ≥ 0 and QMQᵀ = A, whose supports are cliques of the
        graph of the pairs with q_uᵀSq_v = 0. The zeros are numbered as `minimal_zeros` finds them: by size, then
        lexicographically by support.
    {"kind": "tau_sos", "l", "D", "Omega", "W"}: ⌈B⌉ of the cut (MOMENTS) of one set of all indices with c = 1 and this W, Z = 0.
    {"kind": "moments", "lower": s, "sets": [[i, …], …], "cuts": [CUT, …]}: each clique of the support graph is in one of the sets.
        Let n_V of the atoms be counted for V, which holds their supports. For all integers n_V ≥ 0 with the sum s − 1 a cut says
        that Σ c_V n_V is too small. (So it is for fewer atoms, since c_V ≥ 0.)
    {"kind": "shares", "pairs": [{"pair": [i, j], "share": θ, "proof": LOWER}, …]}: of m pairs e = ij, each with a "tau_sos",
        "moments" or "shares" that proves a bound for atoms with x_i x_j ≤ θ_e A_e only: if there are fewer atoms than it says, one
        has x_i x_j > θ_e A_e. No atom x has that for two pairs e = ij and f = kl: θ_e A_e θ_f A_f is at least one of A_ik A_jl and
        A_il A_jk (x_a x_b ≤ A_ab, and (x_i x_j)(x_k x_l) is (x_i x_k)(x_j x_l) and (x_i x_l)(x_j x_k)). So there are m atoms, or as
        many as the least of the bounds. Within another one, C, the upper bounds of x_a x_b known there, stands for these A_ab.
    {"kind": "ideal_sparse", "Y", "u", "cliques": [{"vertices", "s", "d", "Omega"}, …]}: see `_ideal_sparse`.

MOMENTS: Indices of v(x) = (x_i x_j) are pairs i ≤ j in their order, a = (A_ij), T_(ij)(kl) = (A_ik A_jl + A_il A_jk)/2, C ≤ A are the
    upper bounds of x_i x_j known, A itself outside of "shares".
    CUT {"l", "D", "Omega", "Z", "parts": [{"c": c_V, "W": W_V}, …]}, Z a matrix or null (0): Σ c_V n_V ≥ B =
        2⟨l, a⟩ − Σ D_ij C_ij A_ij − ⟨Ω, T⟩ − ⟨Z, A⟩. Checked: D ≥ 0, Z ≥ 0, Ω ⪰ 0, for each V P_V = [[c_V, −lᵀ], [−l, W_V]] ⪰ 0, l
        restricted to pairs in V, and that no coefficient of the polynomial vᵀW_Vv is larger than that of
        Σ D_ij (x_i x_j)² + vᵀΩv + (xᵀA⁻¹x)(xᵀZx), but for monomials with two indices between which A is 0: they vanish for atoms.
        An atom x ≥ 0 counted for V has 0 ≤ c_V − 2⟨l, v⟩ + vᵀW_Vv ≤ c_V − 2⟨l, v⟩ + Σ D_ij (x_i x_j)² + vᵀΩv + (xᵀA⁻¹x)(xᵀZx).
        In the sum over all atoms, Σ_k (x_i x_j)² ≤ C_ij A_ij since every term is at most C_ij x_i x_j; for a square vᵀΩv = (xᵀLx)²,
        Σ_k (x_kᵀLx_k)² ≤ Σ_{k,l} (x_kᵀLx_l)² = Tr LALA = ⟨Ω, T⟩; and xᵀA⁻¹x ≤ 1 since xxᵀ ⪯ A. With one set, c = 1 and Z = 0 B is
        a dual value of τ_cp^sos (Fawzi and Parrilo 2016) if the polynomials are the same.

SIGMA_LOWER
    {"kind": "trivial"}
    {"kind": "rank", "of": "K" or "K_sigma", "prime": p}: of K, or of K^σ − β²11ᵀ.
    {"kind": "cp_rank", "proof": LOWER}: of K^σ − β²11ᵀ; σ ≥ 0 is checked.
    {"kind": "lifted", "node": NODE}: x = p − q with p, q ≥ 0 and p_i q_i = 0. The vector t = (p, q) of order 2N is supported
        on a clique of the graph of all pairs but {p_i, q_i}, and M = Σ ttᵀ ≥ 0 satisfies the linear equations
        M_pp − M_pq − M_qp + M_qq = K and a₊²M_pp − a₊a₋(M_pq + M_qp) + a₋²M_qq = K^σ − β²11ᵀ.
    {"kind": "square", "tree": SQUARE}: N + 1, N the order, if K and L = K^σ − β²11ᵀ are regular. Fewer than N vectors have a
        sum of lower rank than K. N of them are the rows of a regular X with XᵀX = K, so XK⁻¹Xᵀ = 1: x_kᵀK⁻¹x_k = 1, and
        σ(x_k)ᵀL⁻¹σ(x_k) = 1 likewise. Let n_s be the number of the x_k with the signs s ∈ {1, −1}^N (an entry 0 has either sign).
        SQUARE shows that no n_s ≥ 0 with the sum N are possible.
SIGMA_UPPER
    {"kind": "atoms", "atoms": [{"weight": c, "entries": [[i, v], …]}, …]}: c > 0, and the two sums hold exactly.
    {"kind": "lifted", "M", "proof": CP}: M of order 2N satisfies the equations above and M_{p_i q_i} = 0.
    {"kind": "nearby", "columns", "dependencies", "inverse", "rho"}: as "face" with I everything, but for two things. Entry i
        of V_k t may have either sign, that of V_k center (+ if it is 0), which it keeps on the ball. With the slope s_ki,
        a₊ or a₋ by that sign, S_k = diag(s_ki), and W_k = S_k V_k, the equations are those of K, upper triangle row by row,
        Σ_k (V_k t_k)_i (V_k t_k)_j = K_ij, and then Σ_k (W_k t_k)_i (W_k t_k)_j = K^σ_ij − β²; ‖V_k[I]‖² is ‖V_k‖² + ‖W_k‖².

NOT_IN_S
    {"kind": "not_cp", "proof": NOT_CP}: K^σ − β²11ᵀ is not completely positive; σ ≥ 0 is checked.
    {"kind": "not_psd", "of": "K" or "K_sigma", "v"}: vᵀKv < 0, or vᵀ(K^σ − β²11ᵀ)v < 0.
    {"kind": "lifted", "node": NODE}: as for SIGMA_LOWER, and there is no M.

SQUARE: nothing is possible with l_s ≤ n_s ≤ h_s, Σ n_s = N; at the root l = 0 and h = N. Patterns s are numbered from 0 in the
    order +…+, +…+−, …, −…−.
    null: there are no such numbers n_s.
    {"pattern": s, "most": m, "fewer": SQUARE, "more": SQUARE}: n_s ≤ m, or n_s ≥ m + 1.
    {"U", "V", "gamma": [γ_s, …], "shares": [c_s, …], "bits": q}: for each s with h_s > 0, d_i = a₊ where s_i = 1, d_i = −a₋ elsewhere,
        diag(s)(U + (γ_s − c_s)K⁻¹)diag(s) + diag(d)(V − γ_sL⁻¹)diag(d), its entries rounded down to multiples of 2^−q, is copositive.
        With x = s∘y, σ(x) = d∘y, y ≥ 0, this says xᵀUx + σ(x)ᵀVσ(x) ≥ c_s for each x_k. But the sum over k, ⟨U, K⟩ + ⟨V, L⟩, is
        less than Σ c_s n_s for all numbers n_s.

NODE: k vectors t ≥ 0 with supports in cliques of a graph H have M = Σ ttᵀ that satisfies linear equations
    Σ_{uv} a_e,uv M_uv = r_e in the pairs u ≤ v of H (loops uu are pairs). Equations: the upper triangle row by row; for
    "lifted" first K, then K^σ. A combination y = [[e, y_e], …] has the coefficients c_uv = Σ_e y_e a_e,uv and the
    value ⟨y, r⟩.
    {"steps": [STEP, …], "end": END}
    STEP {"zero": y}: ⟨y, r⟩ = 0 and c ≥ 0 on H, so M_uv = 0 where c_uv > 0, and these pairs leave H (with uu all pairs of u).
         {"positive": [u, v], "by": y}: ⟨y, r⟩ < 0 and c ≥ 0 on H but for the pair uv. So M_uv > 0: uv is required.
    END  {"infeasible": y}: ⟨y, r⟩ < 0 and c ≥ 0 on H: there is no M at all. Proves any bound.
         {"cover": COVER}: of the required pairs by cliques of H.
         {"branch": [u, v], "zero": NODE, "positive": NODE}: M_uv = 0 or M_uv > 0.
         {"block": [u, …], "values": [[u, v, y], …], "proof": LOWER}: c is 1 at uv and 0 elsewhere on H, for every pair
         u ≤ v of H among these vertices (other pairs are 0): that principal submatrix of M is known, and the bound is
         one of its cp-rank.
         {"block": [u, …], "values": [[u, v, y], …], "refutation": NOT_CP}: that submatrix is not completely positive.

COVER: a number of cliques of H that are needed to cover the required pairs
    {"kind": "triangle_free"}: H has no triangle; the required edges, and the required loops at isolated vertices.
    {"kind": "fooling", "pairs": [[u, v], …]}: required pairs, no two in one clique.
    {"kind": "weights", "weights": [[u, v, w], …]}: w ≥ 0 on required pairs, at most 1 in sum on each maximal clique; ⌈Σ w⌉.
    {"kind": "search", "lower": s}: the checker searches for a cover with s − 1 cliques and finds none.

COPOSITIVE. Let −μ < 0 be the minimum of xᵀSx over the simplex and x a minimiser of least support I. Then S_I x_I = −μ1. If
    S_I z = 0 with z ≠ 0, then −μ1ᵀz = zᵀS_I x_I = 0, and x + sz stays a minimiser up to the boundary: a smaller support. So S is
    copositive iff there is no I with S_I nonsingular and S_I x = −1 solved by some x ≥ 0 (if there is one, then
    xᵀS_I x = −1ᵀx < 0). MINIMAL ZEROS are the zeros of least support; their supports are the I where S_I has a one-dimensional
    kernel spanned by a positive vector: S_I is positive semidefinite when it has a positive zero, so another kernel vector
    would lead to a zero of smaller support. Peeling minimal zeros off a zero x, all within the kernel of the same S_I, gives
    the decomposition used above. All I are visited that the negative S_ij connect. Others are not needed: let I be in two
    parts with S_ij ≥ 0 between them, with the sums t and 1 − t of x; then xᵀSx ≥ −μt² − μ(1 − t)² > −μ, so x is no minimiser;
    and if x is a zero of a copositive S, then its parts are, so it is not minimal.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from fractions import Fraction
from itertools import chain, combinations, pairwise, product
from math import comb, gcd, inf, isqrt, lcm
from pathlib import Path
from typing import Any

LARGEST_ORDER = 2000
LARGEST_COPOSITIVE_ORDER = 18
LARGEST_SQUARE_ORDER = 8
LARGEST_EQUATIONS = 500
LARGEST_DIGITS = 2000
LARGEST_SEARCH = 200_000
LARGEST_DEPTH = 60
LARGEST_FILE = 1 << 28
# Bits of the determinants that S leads to: its order times the bits of its entries over their common denominator.
LARGEST_MINOR = 1 << 17
# What a file of s bytes may cost: WORK + WORK_RATE·s² units of about a nanosecond, and MEMORY + MEMORY_RATE·s bytes,
# up to MEMORY_MOST. Each step is paid for before it is done.
WORK, WORK_RATE = 5 * 10**10, 8
MEMORY, MEMORY_RATE, MEMORY_MOST = 1 << 27, 1 << 13, 1 << 33

Number = int | Fraction
Matrix = list[list[Number]]
Pair = tuple[int, int]
Graph = dict[int, set[int]]

_RATIONAL = re.compile(rf"(-?\d{{1,{LARGEST_DIGITS}}})(?:/(\d{{1,{LARGEST_DIGITS}}}))?", re.ASCII)


class Rejected(Exception):
    """The claim is not proven by what was given; the message says where."""


class Budget:
    """What may still be spent: units of work, bytes of memory."""

    def __init__(self, work: float, memory: float) -> None:
        self.work, self.memory = work, memory


# `check` sets it; whoever calls another function may take what it likes.
WITHOUT_END = Budget(inf, inf)
BUDGET: ContextVar[Budget] = ContextVar("budget", default=WITHOUT_END)


def _spend(work: float, memory: float = 0) -> None:
    budget = BUDGET.get()
    budget.work -= work
    budget.memory -= memory
    if budget.work < 0 or budget.memory < 0:
        raise Rejected("the proof takes more time or memory than a file of its size may")


def _fractions(count: int, bits: int) -> int:
    """The work of so many operations with rationals of so many bits, reductions included."""
    return count * (2000 + (bits * bits >> 7))


def _multiplications(count: int, a: int, b: int) -> int:
    return count * (64 + (a * b >> 10))


def _storage(count: int, bits: int) -> int:
    return count * (40 + bits // 7)


def check_rank_claim(claim: Any) -> None:
    """Return None if the claim is proven, else raise Rejected(reason)."""
    kind = claim.get("claim") if isinstance(claim, dict) else None
    if kind == "completely_positive":
        _keys(claim, "claim", "A", "proof")
        _upper(_matrix(claim["A"], "A"), claim["proof"])
    elif kind == "not_completely_positive":
        _keys(claim, "claim", "A", "proof")
        _not_completely_positive(_matrix(claim["A"], "A"), claim["proof"])
    elif kind == "cp_rank":
        _keys(claim, "claim", "A", "lower", "lower_proof", "upper", "upper_proof")
        A = _matrix(claim["A"], "A")
        _both(claim, lambda proof: _lower(A, proof), lambda proof: _upper(A, proof))
    elif kind == "rank_sigma":
        proofs = ("lower", "lower_proof", "upper", "upper_proof")
        _keys(claim, "claim", "K", "K_sigma", "beta", "a_plus", "a_minus", *proofs)
        pair = _pair(claim)
        _both(claim, lambda proof: _sigma_lower(*pair, proof), lambda proof: _sigma_upper(*pair, proof))
    elif kind == "not_in_S":
        _keys(claim, "claim", "K", "K_sigma", "beta", "a_plus", "a_minus", "proof")
        _not_in_S(*_pair(claim), claim["proof"])
    elif kind == "copositive":
        _keys(claim, "claim", "A", "strictly", "minimal_zeros", "proof")
        _copositive_claim(_matrix(claim["A"], "A"), claim)
    elif kind == "not_copositive":
        _keys(claim, "claim", "A", "x")
        A = _matrix(claim["A"], "A")
        x = _vector(claim["x"], "x", len(A))
        if any(v < 0 for v in x) or _form(A, x) >= 0:
            raise Rejected("x: an entry is negative, or the form is not")
    else:
        raise Rejected("claim: not an object with a known claim")


def _both(claim: dict[str, Any], lower: Callable[[Any], int | None], upper: Callable[[Any], int]) -> None:
    stated = _index(claim["lower"], "lower")
    at_least = lower(claim["lower_proof"])
    if at_least is not None and at_least < stated:
        raise Rejected(f"lower: {stated} is stated and {at_least} proven")
    if (claim["upper"] is None) != (claim["upper_proof"] is None):
        raise Rejected("upper: null with a proof, or a number without one")
    if claim["upper"] is not None:
        stated, at_most = _index(claim["upper"], "upper"), upper(claim["upper_proof"])
        if at_most > stated:
            raise Rejected(f"upper: {stated} is stated and {at_most} proven")


# -- reading ---------------------------------------------------------------------------------------------------------


def _keys(thing: Any, *names: str) -> None:
    if not isinstance(thing, dict) or set(thing) != set(names):
        raise Rejected(f"expected an object with the keys {', '.join(names)}")


def _list(value: Any, name: str, length: int | None = None) -> list[Any]:
    if not isinstance(value, list):
        raise Rejected(f"{name}: not a list")
    if length is not None and len(value) != length:
        raise Rejected(f"{name}: {len(value)} entries instead of {length}")
    return value


def _rational(value: Any, name: str) -> Number:
    if isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() > 3 * LARGEST_DIGITS:
            raise Rejected(f"{name}: too many digits")
        return value
    match = _RATIONAL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Rejected(f"{name}: not an integer or a string p/q")
    if match[2] is None:
        return int(match[1])
    if int(match[2]) == 0:
        raise Rejected(f"{name}: denominator 0")
    return Fraction(int(match[1]), int(match[2]))


def _vector(value: Any, name: str, length: int | None = None) -> list[Number]:
    return [_rational(entry, name) for entry in _list(value, name, length)]


def _matrix(value: Any, name: str, order: int | None = None) -> Matrix:
    n = len(_list(value, name, order))
    if not 0 < n <= LARGEST_ORDER:
        raise Rejected(f"{name}: order {n} is not between 1 and {LARGEST_ORDER}")
    A = [_vector(row, name, n) for row in value]
    if any(A[i][j] != A[j][i] for i in range(n) for j in range(i)):
        raise Rejected(f"{name}: not symmetric")
    return A


def _index(value: Any, name: str, bound: int = 1 << 3 * LARGEST_DIGITS) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < bound:
        raise Rejected(f"{name}: not an integer in range")
    return value


def _indices(value: Any, name: str, bound: int) -> list[int]:
    found = [_index(i, name, bound) for i in _list(value, name)]
    if len(set(found)) != len(found) or not found:
        raise Rejected(f"{name}: empty, or an index twice")
    return found


def _vertices(value: Any, name: str) -> Pair:
    u, v = (_index(i, name, LARGEST_ORDER**2) for i in _list(value, name, 2))
    return (u, v) if u <= v else (v, u)


def _kind(proof: Any, **kinds: tuple[str, ...]) -> str:
    kind = proof.get("kind") if isinstance(proof, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise Rejected(f"kind: not one of {', '.join(kinds)}")
    _keys(proof, "kind", *kinds[kind])
    return kind


def _entries(value: Any, n: int) -> list[tuple[int, Number]]:
    pairs = [_list(entry, "entries", 2) for entry in _list(value, "entries")]
    entries = [(_index(i, "entries", n), _rational(v, "entries")) for i, v in pairs]
    if len({i for i, _ in entries}) != len(entries) or not entries:
        raise Rejected("entries: empty, or an index twice")
    return entries


# -- arithmetic ------------------------------------------------------------------------------------------------------


def _submatrix(A: Matrix, indices: Sequence[int]) -> Matrix:
    _spend(100 * len(indices) ** 2, 8 * len(indices) ** 2)
    return [[A[i][j] for j in indices] for i in indices]


def _dot(x: Iterable[Number], y: Iterable[Number]) -> Number:
    return sum((a * b for a, b in zip(x, y, strict=True) if a and b), start=0)


def _inner(S: Matrix, A: Matrix) -> Number:
    _spend(_fractions(len(A) ** 2, _bits(chain.from_iterable(A)) + _bits(chain.from_iterable(S))))
    return sum((_dot(s, a) for s, a in zip(S, A, strict=True)), start=0)


def _common_denominator(values: Iterable[Number]) -> int:
    scale = 1
    for v in values:
        denominator = v.denominator
        _spend(_multiplications(4, scale.bit_length(), denominator.bit_length()))
        if scale % denominator:
            bits = scale.bit_length() + denominator.bit_length()
            _spend(_fractions(1, bits))
            scale = lcm(scale, denominator)
    return scale


def _bits(values: Iterable[Number]) -> int:
    """The bits that sums of these numbers need: of the common denominator, and of the largest numerator over it."""
    numbers = list(values)
    scale = _common_denominator(numbers).bit_length()
    return 2 * scale + max((v.numerator.bit_length() for v in numbers), default=0) + len(numbers).bit_length()


def _integers(A: Matrix) -> tuple[list[list[int]], int]:
    """A times the common denominator of its entries, and that."""
    scale = _common_denominator(chain.from_iterable(A))
    bits = scale.bit_length() + max((v.numerator.bit_length() for row in A for v in row), default=0)
    count = sum(map(len, A))
    _spend(_multiplications(8 * count, scale.bit_length(), bits), _storage(count, bits))
    return [[v.numerator * (scale // v.denominator) for v in row] for row in A], scale


def _form(A: Matrix, x: Sequence[Number]) -> Number:
    """xᵀAx."""
    _spend(_fractions(len(x) ** 2, _bits(chain.from_iterable(A)) + 2 * _bits(x)))
    return _dot(x, [_dot(row, x) for row in A])


def _root_above(value: Number) -> Fraction:
    """A rational r ≥ √value."""
    scale = 1 << 200
    exact = Fraction(value)
    return Fraction(isqrt(exact.numerator * scale * scale // exact.denominator) + 1, scale)


def inverse_times(A: Matrix, B: Matrix) -> list[list[Fraction]] | None:
    """A⁻¹B by Gauss-Jordan elimination, or None if A is singular."""
    n = len(A)
    columns = n + (len(B[0]) if B else 0)
    bits = n * _bits(chain.from_iterable((*A, *B)))
    _spend(_fractions(n * n * columns, bits), _storage(n * columns, bits))
    T = [[Fraction(v) for v in (*A[i], *B[i])] for i in range(n)]
    for c in range(n):
        pivot = next((i for i in range(c, n) if T[i][c]), None)
        if pivot is None:
            return None
        T[c], T[pivot] = T[pivot], T[c]
        head = T[c][c]
        T[c] = [v / head for v in T[c]]
        for i in range(n):
            factor = T[i][c]
            if i != c and factor:
                T[i] = [v - factor * w for v, w in zip(T[i], T[c], strict=True)]
    return [row[n:] for row in T]


def positive_semidefinite(A: Matrix, definite: bool = False) -> bool:
    """By elimination: each pivot is positive, or 0 with a row of zeros. Fraction-free (Bareiss). definite: no pivot is 0."""
    T, _ = _integers(A)
    n = len(T)
    bits = n * (max((v.bit_length() for row in T for v in row), default=0) + n.bit_length())
    _spend(_multiplications(n**3, bits // 2, bits // 2), _storage(n * n, bits))
    last = 1
    for c in range(len(T)):
        head = T[c][c]
        if head < 0:
            return False
        if head == 0:
            if definite or any(T[c][c:]):
                return False
            continue
        top = T[c]
        for i in range(c + 1, len(T)):
            factor = T[i][c]
            row = T[i]
            for j in range(c + 1, len(T)):
                row[j] = (head * row[j] - factor * top[j]) // last
            row[c] = 0
        last = head
    return True


# -- upper bounds ----------------------------------------------------------------------------------------------------


def _upper(A: Matrix, proof: Any, depth: int = 0) -> int:
    near = ("rows", "columns", "inverse", "rho")
    kind = _kind(proof, atoms=("atoms",), nearby=near, face=(*near, "dependencies"), components=("parts",))
    if kind == "atoms":
        return _atoms(A, proof["atoms"])
    if kind in ("nearby", "face"):
        return _nearby(A, proof)
    if depth > LARGEST_DEPTH:
        raise Rejected("components: nested too deeply")
    count, parts = 0, []
    for part in _list(proof["parts"], "parts"):
        _keys(part, "indices", "proof")
        parts.append(_indices(part["indices"], "indices", len(A)))
        count += _upper(_submatrix(A, parts[-1]), part["proof"], depth + 1)
    block = _blocks(A, parts)
    if any(any(row) for row, number in zip(A, block, strict=True) if number is None):
        raise Rejected("components: A is not zero outside the blocks")
    return count


def _blocks(A: Matrix, parts: list[list[int]]) -> list[int | None]:
    """The block of each index, after checking that blocks are disjoint and that A is zero between them."""
    block: list[int | None] = [None] * len(A)
    for number, part in enumerate(parts):
        for i in part:
            if block[i] is not None:
                raise Rejected("components: an index in two blocks")
            block[i] = number
    for i, row in enumerate(A):
        if block[i] is not None and any(v and block[j] not in (None, block[i]) for j, v in enumerate(row)):
            raise Rejected("components: A is not zero between the blocks")
    return block


def _atoms(A: Matrix, atoms: Any) -> int:
    rest: list[dict[int, Number]] = [{j: v for j, v in enumerate(row) if v} for row in A]
    length = _Rest(A)
    for atom in _list(atoms, "atoms"):
        _keys(atom, "weight", "entries")
        weight, entries = _rational(atom["weight"], "weight"), _entries(atom["entries"], len(A))
        length.pay(weight, entries)
        if weight <= 0 or any(v <= 0 for _, v in entries):
            raise Rejected("atoms: a weight or an entry is not positive")
        for i, v in entries:
            row = rest[i]
            for j, w in entries:
                row[j] = row.get(j, 0) - weight * v * w
    count = len(atoms)
    for i, row in enumerate(rest):
        off = [v for j, v in row.items() if j != i and v]
        slack = row.get(i, 0) - sum(off)
        if slack < 0 or any(v < 0 for v in off):
            raise Rejected(f"atoms: row {i} of what is left is not nonnegative and diagonally dominant")
        count += sum(1 for j, v in row.items() if j > i and v) + (1 if slack else 0)
    return count


class _Rest:
    """The length of the numbers in A − Σ c vvᵀ, atom after atom, to pay for each."""

    def __init__(self, *matrices: Matrix) -> None:
        numbers = [v for A in matrices for row in A for v in row]
        self.scale = _common_denominator(numbers)
        self.largest = max(v.numerator.bit_length() for v in numbers) + 32

    def pay(self, weight: Number, entries: list[tuple[int, Number]]) -> None:
        """Before weight·vvᵀ is subtracted."""
        values = [v for _, v in entries]
        of_atom = weight.denominator * _common_denominator(values) ** 2
        self.scale = _common_denominator([Fraction(1, self.scale), Fraction(1, of_atom)])
        size = weight.numerator.bit_length() + 2 * max(v.numerator.bit_length() for v in values)
        self.largest = max(self.largest, size)
        bits = 2 * self.scale.bit_length() + self.largest
        _spend(_fractions(4 * len(entries) ** 2, bits), _storage(len(entries) ** 2, bits))


class _Forms:
    """The vectors V_k t_k of some columns, and one equation Σ_k (V_k t_k)_i (V_k t_k)_j = value for each pair i ≤ j of `rows`."""

    def __init__(self, V: list[Matrix], center: list[list[Number]], rows: list[int], A: Matrix) -> None:
        self.V, self.rows = V, rows
        self.b = [[_dot(row, t) for row in V_k] for V_k, t in zip(V, center, strict=True)]
        self.touches = [[any(row) for row in V_k] for V_k in V]
        self.pairs = [(i, j, A[i][j]) for a, i in enumerate(rows) for j in rows[a:]]
        self.norms = [sum((v * v for i in rows for v in V_k[i]), start=0) for V_k in V]

    def both(self, i: int, j: int) -> list[int]:
        """The columns that have both entries."""
        return [k for k, touched in enumerate(self.touches) if touched[i] and touched[j]]


def _nearby(A: Matrix, proof: dict[str, Any]) -> int:
    n = len(A)
    rows = _indices(proof["rows"], "rows", n)
    V, center, bits = _columns(proof["columns"], n, A)
    if len(rows) < n:
        unknowns, entries = sum(map(len, center)), _bits(v for V_k in V for row in V_k for v in row)
        _spend(_fractions(n * len(rows) * (n + unknowns), len(rows) * _bits(chain.from_iterable(A)) + entries))
        _spanned_by(A, rows, V)
    _pay_for_forms(V, n, rows, bits)
    forms = _Forms(V, center, rows, A)
    reach = _ball([forms], proof.get("dependencies", []), proof, bits)
    for k, V_k in enumerate(V):
        for i in range(n):
            b = forms.b[k][i]
            if b < 0 or b**2 < sum(v * v for v in V_k[i]) * reach[k]:
                raise Rejected(f"nearby: entry {i} of column {k} may be negative")
    return len(V)


def _columns(value: Any, n: int, *matrices: Matrix) -> tuple[list[Matrix], list[list[Number]], int]:
    """V_k by rows, the centers, and the bits of the residuals."""
    V: list[Matrix] = []  # V[k][i] is the i-th row of V_k
    center: list[list[Number]] = []
    for column in _list(value, "columns"):
        _keys(column, "basis", "center")
        basis = [_vector(v, "basis", n) for v in _list(column["basis"], "basis")]
        if not basis:  # n rows of V_k all the same, for a few bytes of the file
            raise Rejected("basis: no vector")
        center.append(_vector(column["center"], "center", len(basis)))
        V.append([[v[i] for v in basis] for i in range(n)])
    bits = 2 * (_bits(v for V_k in V for row in V_k for v in row) + _bits(chain.from_iterable(center)))
    return V, center, bits + sum(_bits(chain.from_iterable(A)) for A in matrices)


def _pay_for_forms(V: list[Matrix], n: int, rows: list[int], bits: int) -> None:
    unknowns = sum(len(V_k[0]) for V_k in V)
    _spend(_fractions(3 * n * unknowns + len(rows) ** 2 * (unknowns + len(V)), bits), _storage(n * len(V), bits))
    _spend(0, len(rows) ** 2 // 2 * (unknowns * (200 + bits // 7) + 500))


def _ball(families: list[_Forms], dependencies: Any, proof: dict[str, Any], bits: int) -> list[Fraction]:
    """For each column the square of how far t_k can be from its center, if y ↦ y − F(t) sends the ball into itself."""
    left_out = _dependent(families, dependencies, bits)
    J: list[dict[Pair, Number]] = []
    F: list[Number] = []
    e = 0
    for forms in families:
        for i, j, value in forms.pairs:
            if e not in left_out:
                _equation(forms, i, j, value, J, F)
            e += 1
    if len(F) > LARGEST_EQUATIONS:
        raise Rejected(f"nearby: {len(F)} equations; up to {LARGEST_EQUATIONS} can be checked")
    M = [_vector(row, "inverse", len(F)) for row in _list(proof["inverse"], "inverse", len(F))]
    rho = _rational(proof["rho"], "rho")
    if rho < 0:
        raise Rejected("rho: negative")
    defect, R_squared = _right_inverse(J, M)
    V_squared = max((sum(norms) for norms in zip(*(forms.norms for forms in families), strict=True)), default=0)
    V = families[0].V
    lengths = (v.numerator.bit_length() + v.denominator.bit_length() for v in R_squared.values())
    bits += 2 * max(lengths, default=0)
    _spend(_fractions(2 * sum(len(row) for V_k in V for row in V_k) + len(F) + 8, bits + _bits([rho])))
    moved = _root_above(sum(f * f for f in F)) + _root_above(defect) * rho
    if moved + V_squared * sum(R_squared.values()) * rho * rho > rho:
        raise Rejected("nearby: the map does not send the ball into itself")
    reach = [Fraction(0) for _ in V]
    for (k, _), square in R_squared.items():
        reach[k] += square * rho * rho
    return reach


def _dependent(families: list[_Forms], dependencies: Any, bits: int) -> set[int]:
    """The first equations of the dependencies, each of which is checked."""
    equations = [(forms, *pair) for forms in families for pair in forms.pairs]
    found = []
    for dependency in _list(dependencies, "dependencies"):
        terms = [_list(term, "dependency", 2) for term in _list(dependency, "dependency")]
        found.append({_index(e, "dependency", len(equations)): _rational(y, "dependency") for e, y in terms})
        if not terms or len(found[-1]) < len(terms) or not all(found[-1].values()):
            raise Rejected("dependency: empty, an equation twice, or with the weight 0")
    first = {next(iter(y)) for y in found}
    if len(first) < len(found) or any(e in first for y in found for e in list(y)[1:]):
        raise Rejected("dependency: the first equation of one is in another")
    for y in found:
        longest = bits + _bits(y.values())
        _spend(sum(_fractions(1 + len(equations[e][0].V), longest) for e in y))
        if sum((weight * equations[e][3] for e, weight in y.items()), start=0):
            raise Rejected("dependency: it does not hold for the matrix")
        for k in range(len(families[0].V)):
            _spend(1000 + 1500 * len(y))
            total: dict[Pair, Number] = {}
            for e, weight in y.items():
                forms, i, j, _ = equations[e]
                left, right = forms.V[k][i], forms.V[k][j]
                terms_of_form = [(s, v) for s, v in enumerate(left) if v], [(s, w) for s, w in enumerate(right) if w]
                count = len(terms_of_form[0]) * len(terms_of_form[1])
                _spend(_fractions(count, bits + _bits([weight])), _storage(count, bits))
                for s, v in terms_of_form[0]:
                    for t, w in terms_of_form[1]:
                        pair = min(s, t), max(s, t)
                        total[pair] = total.get(pair, 0) + weight * v * w
            if any(total.values()):
                raise Rejected("dependency: it does not hold for a column")
    return first


def _spanned_by(A: Matrix, rows: list[int], V: list[Matrix]) -> None:
    """A = C A_{I·} and V_k = C V_k[I] with C = A_{·I} A_II⁻¹: A and the columns are determined by their rows I."""
    n = len(A)
    # Column i of this solves A_II c = A_Ii, which is row i of C.
    C = inverse_times(_submatrix(A, rows), [A[a] for a in rows])
    if C is None:
        raise Rejected("rows: a singular principal submatrix")
    for i in range(n):
        c = [row[i] for row in C]
        if any(_dot(c, [A[a][j] for a in rows]) != A[i][j] for j in range(n)):
            raise Rejected("rows: A has a larger rank")
        for V_k in V:
            if any(_dot(c, [V_k[a][s] for a in rows]) != value for s, value in enumerate(V_k[i])):
                raise Rejected("basis: a vector outside the range of A")


def _equation(forms: _Forms, i: int, j: int, value: Number, J: list[dict[Pair, Number]], F: list[Number]) -> None:
    """Add the row {(k, s): ∂F/∂t_ks} of the Jacobian, and the residual F, at the centers."""
    both = forms.both(i, j)
    if not both:
        if value:
            raise Rejected("nearby: a nonzero entry that no column can reach")
        return
    V, b = forms.V, forms.b
    J.append({
        (k, s): v * b[k][j] + b[k][i] * w
        for k in both
        for s, (v, w) in enumerate(zip(V[k][i], V[k][j], strict=True))
    })  # fmt: skip
    F.append(sum((b[k][i] * b[k][j] for k in both), start=0) - value)


def _right_inverse(J: list[dict[Pair, Number]], M: Matrix) -> tuple[Fraction, dict[Pair, Fraction]]:
    """‖1 − JR‖² and the squared norm of each row of R = JᵀM. In integers: this is the longest computation here."""
    flat, scale_J = _integers([list(row.values()) for row in J])
    integer_J = [dict(zip(row, values, strict=True)) for row, values in zip(J, flat, strict=True)]
    transposed, scale_M = _integers(M)
    columns = [list(column) for column in zip(*transposed, strict=True)]
    J_bits, M_bits = (max((v.bit_length() for row in rows for v in row), default=0) + 16 for rows in (flat, columns))
    size, entries = len(J), sum(map(len, J))
    _spend(_multiplications(2 * size * entries, J_bits, max(J_bits, M_bits)), _storage(3 * size * size, 2 * J_bits))
    gram: list[dict[int, int]] = [{} for _ in J]
    for e, row in enumerate(integer_J):
        for f in range(e, len(J)):
            small, large = sorted((row, integer_J[f]), key=len)
            value = sum(v * large[s] for s, v in small.items() if s in large)
            if value:
                gram[e][f] = gram[f][e] = value
    unit = scale_J * scale_J * scale_M
    defect_bits = 2 * J_bits + M_bits
    _spend(
        _multiplications(size * sum(map(len, gram)), 2 * J_bits, M_bits)
        + _multiplications(size * size, defect_bits, defect_bits)
    )
    _spend(_multiplications(size * len({s for row in J for s in row}), J_bits + M_bits, J_bits + M_bits))
    defect = 0
    for e, row_e in enumerate(gram):
        for f, column in enumerate(columns):
            defect += (sum(v * column[g] for g, v in row_e.items()) - (unit if e == f else 0)) ** 2
    by_unknown: dict[Pair, dict[int, int]] = {}
    for e, row in enumerate(integer_J):
        for s, v in row.items():
            by_unknown.setdefault(s, {})[e] = v
    R_squared = {
        s: Fraction(
            sum(sum(v * column[e] for e, v in entries.items()) ** 2 for column in columns), (scale_J * scale_M) ** 2
        )
        for s, entries in by_unknown.items()
    }
    return Fraction(defect, unit * unit), R_squared


# -- not completely positive -----------------------------------------------------------------------------------------


def _not_completely_positive(A: Matrix, proof: Any, depth: int = 0) -> None:
    n = len(A)
    kind = _kind(
        proof,
        negative_entry=("i", "j"),
        not_psd=("v",),
        triangle_free=("v",),
        copositive=("S",),
        principal=("indices", "proof"),
    )
    if kind == "negative_entry":
        if A[_index(proof["i"], "i", n)][_index(proof["j"], "j", n)] >= 0:
            raise Rejected("negative_entry: it is not negative")
    elif kind == "not_psd":
        v = _vector(proof["v"], "v", n)
        if _form(A, v) >= 0:
            raise Rejected("not_psd: the form is not negative")
    elif kind == "triangle_free":
        v = _vector(proof["v"], "v", n)
        if any(entry < 0 for entry in v) or any(entry < 0 for row in A for entry in row):
            raise Rejected("triangle_free: a negative number")
        if not triangle_free(support_graph(A)):
            raise Rejected("triangle_free: there is a triangle")
        if _form([[x if i == j else -x for j, x in enumerate(row)] for i, row in enumerate(A)], v) >= 0:
            raise Rejected("triangle_free: the form is not negative")
    elif kind == "copositive":
        S = _matrix(proof["S"], "S", n)
        minimal_zeros(S)
        if _inner(S, A) >= 0:
            raise Rejected("copositive: <S, A> is not negative")
    else:
        if depth > LARGEST_DEPTH:
            raise Rejected("principal: nested too deeply")
        _not_completely_positive(_submatrix(A, _indices(proof["indices"], "indices", n)), proof["proof"], depth + 1)


def minimal_zeros(S: Matrix) -> list[list[int]]:
    """The minimal zeros of S, as vectors of coprime integers, by size of the support; Rejected if S is not copositive."""
    n = len(S)
    if n > LARGEST_COPOSITIVE_ORDER:
        raise Rejected(f"S: order {n}; up to {LARGEST_COPOSITIVE_ORDER} can be checked")
    T, _ = _integers(S)
    bits = max(v.bit_length() for row in T for v in row) + n.bit_length()
    if n * bits > LARGEST_MINOR:
        raise Rejected(f"S: its minors have {n * bits} bits; up to {LARGEST_MINOR} can be checked")
    _spend(
        sum(
            comb(n, k) * (5000 + _multiplications(k * k * (k + 1), k * bits // 2, k * bits // 2))
            for k in range(1, n + 1)
        )
    )
    zeros = []
    negative = [sum(1 << j for j, v in enumerate(row) if v < 0) for row in T]
    for size in range(n):
        for support in combinations(range(n), size + 1):
            if not _connected(support, negative):
                continue
            singular, x = _principal_solution(T, support)
            if x is None:
                continue
            if not singular:
                raise Rejected("S: not copositive")
            zero, divisor = [0] * n, gcd(*x)
            for i, value in zip(support, x, strict=True):
                zero[i] = value // divisor
            zeros.append(zero)
    return zeros


def _connected(support: tuple[int, ...], neighbours: list[int]) -> bool:
    """Whether the edges to these neighbours, as bits, connect the support."""
    inside = sum(1 << i for i in support)
    reached, waiting = 0, 1 << support[0]
    while waiting:
        one = waiting & -waiting
        reached |= one
        waiting = (waiting | neighbours[one.bit_length() - 1]) & inside & ~reached
    return reached == inside


def _principal_solution(T: list[list[int]], support: tuple[int, ...]) -> tuple[bool, list[int] | None]:
    """(False, x): T_I is nonsingular, T_I x = −d1 with d > 0, x ≥ 0. (True, x): x > 0 spans the kernel of T_I. Else x is None.

    Fraction-free Gauss-Jordan elimination (Bareiss): after each step every entry is a minor, so divisions are exact.
    """
    size = len(support)
    rows = [[T[i][j] for j in support] + [-1] for i in support]
    free: int | None = None
    last, r = 1, 0
    for c in range(size):
        pivot = next((i for i in range(r, size) if rows[i][c]), None)
        if pivot is None:
            if free is not None:
                return True, None  # the kernel has more than one dimension
            free = c
            continue
        rows[r], rows[pivot] = rows[pivot], rows[r]
        top = rows[r]
        head = top[c]
        for i in range(size):
            if i != r:
                factor = rows[i][c]
                rows[i] = [(head * v - factor * w) // last for v, w in zip(rows[i], top, strict=True)]
        last, r = head, r + 1
    # Each pivot column is now `last` times a unit vector.
    sign = 1 if last > 0 else -1
    if free is None:
        x = [sign * row[-1] for row in rows]
        return False, x if min(x) >= 0 else None
    pivots = iter(rows)
    x = [sign * last if c == free else -sign * next(pivots)[free] for c in range(size)]
    return True, x if min(x) > 0 else None


# -- copositive ------------------------------------------------------------------------------------------------------


def _copositive_claim(A: Matrix, claim: dict[str, Any]) -> None:
    strictly, stated = claim["strictly"], claim["minimal_zeros"]
    if not isinstance(strictly, bool):
        raise Rejected("strictly: neither true nor false")
    if stated is not None:
        _kind(claim["proof"], supports=())
        zeros = minimal_zeros(A)
        if [_vector(zero, "minimal_zeros", len(A)) for zero in _list(stated, "minimal_zeros")] != zeros:
            raise Rejected("minimal_zeros: they are others")
        if strictly and zeros:
            raise Rejected("strictly: there are zeros")
        return
    _copositive(A, claim["proof"], strictly, 0)


def _copositive(A: Matrix, proof: Any, strictly: bool, depth: int) -> None:
    """Rejected unless A is proven to be copositive, or strictly so."""
    kind = _kind(proof, supports=(), semidefinite=(), sum=("N", "rest"), blocks=("parts",))
    if depth > LARGEST_DEPTH:
        raise Rejected("proof: nested too deeply")
    n = len(A)
    if kind == "supports":
        if minimal_zeros(A) and strictly:
            raise Rejected("strictly: there are zeros")
    elif kind == "semidefinite":
        if not positive_semidefinite(A, strictly):
            raise Rejected("semidefinite: it is not")
    elif kind == "sum":
        N = _matrix(proof["N"], "N", n)
        if any(v < 0 for row in N for v in row):
            raise Rejected("N: a negative entry")
        _spend(_fractions(n * n, _bits(chain.from_iterable(A)) + _bits(chain.from_iterable(N))))
        rest = [[a - b for a, b in zip(row, other, strict=True)] for row, other in zip(A, N, strict=True)]
        _copositive(rest, proof["rest"], strictly, depth + 1)
    else:
        block: list[int | None] = [None] * n
        _spend(100 * n * n)
        for number, part in enumerate(_list(proof["parts"], "parts")):
            _keys(part, "indices", "proof")
            indices = _indices(part["indices"], "indices", n)
            for i in indices:
                if block[i] is not None:
                    raise Rejected("blocks: an index in two blocks")
                block[i] = number
            _copositive(_submatrix(A, indices), part["proof"], strictly, depth + 1)
        for i, row in enumerate(A):
            outside = [v for j, v in enumerate(row) if block[i] is None or block[j] != block[i]]
            if any(v < 0 for v in outside) or (strictly and not row[i]):
                raise Rejected("blocks: an entry outside them is negative, or 0 on the diagonal")


# -- lower bounds ----------------------------------------------------------------------------------------------------


def _lower(A: Matrix, proof: Any, depth: int = 0) -> int | None:
    """The proven lower bound of cp-rank(A); None stands for ∞."""
    kind = _kind(
        proof,
        trivial=(),
        rank=("prime",),
        components=("parts",),
        cover=("cover",),
        copositive=("S", "node"),
        tau_sos=("l", "D", "Omega", "W"),
        moments=("lower", "sets", "cuts"),
        shares=("pairs",),
        ideal_sparse=("Y", "u", "cliques"),
    )
    if depth > LARGEST_DEPTH:
        raise Rejected("proof: nested too deeply")
    if kind == "trivial":
        return 0
    if kind == "rank":
        return rank_modulo(A, _index(proof["prime"], "prime"))
    if kind == "components":
        total, parts = 0, []
        for part in _list(proof["parts"], "parts"):
            _keys(part, "indices", "lower", "proof")
            parts.append(_indices(part["indices"], "indices", len(A)))
            lower = _index(part["lower"], "lower")
            proven = _lower(_submatrix(A, parts[-1]), part["proof"], depth + 1)
            if proven is not None and proven < lower:
                raise Rejected(f"components: {lower} is stated and {proven} proven")
            total += lower
        _blocks(A, parts)
        return total
    if any(v < 0 for row in A for v in row):
        raise Rejected("A: a negative entry")
    if kind == "cover":
        graph = support_graph(A)
        required = {(i, j) for i, neighbours in graph.items() for j in neighbours if i < j}
        if any(not A[i][i] for pair in required for i in pair):
            raise Rejected("A: a zero on the diagonal of a row that is not zero")
        return _cover(graph, required | {(i, i) for i in graph if A[i][i]}, proof["cover"])
    if kind == "copositive":
        S = _matrix(proof["S"], "S", len(A))
        if _inner(S, A) != 0:
            raise Rejected("copositive: <S, A> is not 0")
        return _node(zeros_system(S, A), proof["node"], depth)
    return _ideal_sparse(A, proof) if kind == "ideal_sparse" else _of_products(A, A, proof, depth)


def rank_modulo(A: Matrix, p: int) -> int:
    """The rank of dA modulo p, d the common denominator: at most the rank of A over the rationals."""
    if p < 2 or p.bit_length() > 64:
        raise Rejected("prime: not between 2 and 2^64")
    whole, _ = _integers(A)
    _spend(100 * len(A) ** 3)
    rows = [[v % p for v in row] for row in whole]
    rank = 0
    for c in range(len(A)):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][c]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        try:
            inverse = pow(rows[rank][c], -1, p)
        except ValueError:
            raise Rejected("prime: not a prime") from None
        top = rows[rank][c:]
        for i in range(rank + 1, len(rows)):
            if rows[i][c]:
                factor = rows[i][c] * inverse % p
                rows[i][c:] = [(v - factor * w) % p for v, w in zip(rows[i][c:], top, strict=True)]
        rank += 1
    return rank


# -- lifted systems --------------------------------------------------------------------------------------------------


class System:
    """Linear equations in M_uv ≥ 0 over the pairs of a graph; see NODE in the module's docstring."""

    def __init__(
        self, columns: dict[Pair, dict[int, Number]], values: list[Number], required: frozenset[Pair], bits: int
    ):
        """bits: the most that a value or a coefficient has, over a common denominator."""
        self.columns, self.values, self.required, self.bits = columns, values, required, bits
        self.terms = sum(map(len, columns.values()))

    def combine(self, y: Any) -> tuple[dict[Pair, Number], Number]:
        """The coefficients c_uv and the value of a combination of the equations."""
        weights: dict[int, Number] = {}
        for term in _list(y, "combination"):
            e, weight = _list(term, "combination", 2)
            if _index(e, "combination", len(self.values)) in weights:
                raise Rejected("combination: an equation twice")
            weights[e] = _rational(weight, "combination")
        bits = _bits(weights.values()) + self.bits
        _spend(100 * self.terms + _fractions(len(weights), bits), 200 * len(self.columns))
        coefficients: dict[Pair, Number] = {}
        for pair, column in self.columns.items():
            met = [(weights[e], a) for e, a in column.items() if e in weights]
            _spend(1000 + _fractions(len(met), bits))
            coefficients[pair] = sum((weight * a for weight, a in met), start=0)
        _spend(0, -200 * len(self.columns))
        return coefficients, sum((weight * self.values[e] for e, weight in weights.items()), start=0)

    def without(self, pairs: set[Pair]) -> System:
        gone = {u for u, v in pairs if u == v}
        _spend(500 * len(self.columns))
        columns = {
            (u, v): column
            for (u, v), column in self.columns.items()
            if (u, v) not in pairs and u not in gone and v not in gone
        }
        return System(columns, self.values, self.required, self.bits)

    def requiring(self, pair: Pair) -> System:
        _spend(100 * len(self.required))
        return System(self.columns, self.values, self.required | {pair}, self.bits)

    def graph(self) -> Graph:
        graph: Graph = {u: set() for u, v in self.columns if u == v}
        for u, v in self.columns:
            if u != v:
                graph[u].add(v)
                graph[v].add(u)
        return graph


def zeros_system(S: Matrix, A: Matrix) -> System:
    """QMQᵀ = A over the pairs of minimal zeros q_u of S with q_uᵀSq_v = 0."""
    zeros = minimal_zeros(S)
    images = [[_dot(row, q) for row in S] for q in zeros]
    upper_triangle = [(i, j) for i in range(len(A)) for j in range(i, len(A))]
    columns: dict[Pair, dict[int, Number]] = {}
    of_zeros = max((value.bit_length() for q in zeros for value in q), default=0)
    bits = max(_bits(chain.from_iterable(A)), 2 * of_zeros + 2)
    _spend(_fractions((len(A) + len(zeros)) * len(zeros) * len(A), _bits(chain.from_iterable(S)) + 2 * of_zeros))
    for u, q in enumerate(zeros):
        for v in range(u, len(zeros)):
            p = zeros[v]
            if _dot(images[u], p) == 0:
                _spend(
                    len(upper_triangle) * (500 + bits), len(upper_triangle) * 100 + _storage(len(upper_triangle), bits)
                )
                entries = (q[i] * q[j] if u == v else q[i] * p[j] + q[j] * p[i] for i, j in upper_triangle)
                columns[u, v] = {e: value for e, value in enumerate(entries) if value}
    return System(columns, [A[i][j] for i, j in upper_triangle], frozenset(), bits)


def _node(system: System, node: Any, depth: int) -> int | None:
    if depth > LARGEST_DEPTH:
        raise Rejected("node: nested too deeply")
    _keys(node, "steps", "end")
    for step in _list(node["steps"], "steps"):
        if isinstance(step, dict) and "zero" in step:
            _keys(step, "zero")
            coefficients, value = system.combine(step["zero"])
            if value != 0 or any(c < 0 for c in coefficients.values()):
                raise Rejected("zero: a negative coefficient, or a value that is not 0")
            system = system.without({pair for pair, c in coefficients.items() if c > 0})
        else:
            _keys(step, "positive", "by")
            pair = _vertices(step["positive"], "positive")
            coefficients, value = system.combine(step["by"])
            if value >= 0 or any(c < 0 for other, c in coefficients.items() if other != pair):
                raise Rejected("positive: not implied")
            system = system.requiring(pair)
    if not system.required <= set(system.columns):
        return None  # M_uv > 0 for a pair that has M_uv = 0: there is no M
    end = node["end"]
    if isinstance(end, dict) and "infeasible" in end:
        _keys(end, "infeasible")
        coefficients, value = system.combine(end["infeasible"])
        if value >= 0 or any(c < 0 for c in coefficients.values()):
            raise Rejected("infeasible: not shown")
        return None
    if isinstance(end, dict) and "cover" in end:
        _keys(end, "cover")
        return _cover(system.graph(), set(system.required), end["cover"])
    if isinstance(end, dict) and "branch" in end:
        _keys(end, "branch", "zero", "positive")
        pair = _vertices(end["branch"], "branch")
        low = _node(system.without({pair}), end["zero"], depth + 1)
        high = _node(system.requiring(pair), end["positive"], depth + 1)
        return high if low is None else low if high is None else min(low, high)
    refuted = isinstance(end, dict) and "refutation" in end
    _keys(end, "block", "values", "refutation" if refuted else "proof")
    block = _determined_block(system, end)
    if not refuted:
        return _lower(block, end["proof"], depth + 1)
    _not_completely_positive(block, end["refutation"])
    return None


def _determined_block(system: System, end: dict[str, Any]) -> Matrix:
    """A principal submatrix of M that the equations determine."""
    place = {u: a for a, u in enumerate(_indices(end["block"], "block", LARGEST_ORDER**2))}
    known: dict[Pair, Number] = {}
    _spend(20 * len(place) ** 2 + 500 * len(system.columns), 8 * len(place) ** 2)
    for entry in _list(end["values"], "values"):
        u, v, y = _list(entry, "values", 3)
        pair = _vertices([u, v], "values")
        coefficients, value = system.combine(y)
        if pair not in coefficients or any(c != (pair == other) for other, c in coefficients.items()):
            raise Rejected("values: the equations do not determine this pair")
        known[pair] = value
    block: Matrix = [[0] * len(place) for _ in place]
    for u, v in system.columns:
        if u in place and v in place:
            if (u, v) not in known:
                raise Rejected("values: a pair is missing")
            block[place[u]][place[v]] = block[place[v]][place[u]] = known[u, v]
    return block


# -- covers by cliques -----------------------------------------------------------------------------------------------


def support_graph(A: Matrix) -> Graph:
    return {i: {j for j, v in enumerate(row) if v and j != i} for i, row in enumerate(A)}


def triangle_free(graph: Graph) -> bool:
    for u, neighbours in graph.items():
        _spend(sum(200 + 20 * min(len(neighbours), len(graph[v])) for v in neighbours))
        if any(neighbours & graph[v] for v in neighbours if u < v):
            return False
    return True


def _cover(graph: Graph, required: set[Pair], proof: Any) -> int:
    kind = _kind(proof, triangle_free=(), fooling=("pairs",), weights=("weights",), search=("lower",))
    edges = sum(map(len, graph.values()))
    _spend(500 * (edges + len(required)), 100 * (edges + len(required)))
    if kind == "triangle_free":
        if not triangle_free(graph):
            raise Rejected("triangle_free: there is a triangle")
        return sum(1 for u, v in required if u != v or not graph[u])
    if kind == "fooling":
        pairs = [_required(pair, required) for pair in _list(proof["pairs"], "pairs")]
        _spend(500 * len(pairs) ** 2)
        for a, first in enumerate(pairs):
            if any(in_one_clique(graph, first, second) for second in pairs[:a]):
                raise Rejected("fooling: two pairs in one clique")
        return len(pairs)
    if kind == "weights":
        weights: dict[Pair, Number] = {}
        for entry in _list(proof["weights"], "weights"):
            u, v, weight = _list(entry, "weights", 3)
            pair = _required([u, v], required)
            weights[pair] = _rational(weight, "weights")
            if weights[pair] < 0:
                raise Rejected("weights: a negative weight")
        cost = _fractions(len(weights), _bits(weights.values()))
        for clique in maximal_cliques(graph):
            _spend(cost)
            if sum(weight for (u, v), weight in weights.items() if u in clique and v in clique) > 1:
                raise Rejected("weights: more than 1 on a clique")
        return int(-(-sum(weights.values(), start=Fraction(0)) // 1))
    lower = _index(proof["lower"], "lower")
    cliques = list(maximal_cliques(graph))
    _spend(200 * len(required) * len(cliques), 9 * len(required) * len(cliques))
    covers = {pair: [c for c in cliques if pair[0] in c and pair[1] in c] for pair in required}
    if lower and _coverable(graph, covers, required, lower - 1, [LARGEST_SEARCH]):
        raise Rejected("search: fewer cliques suffice")
    return lower


def _required(value: Any, required: set[Pair]) -> Pair:
    pair = _vertices(value, "pair")
    if pair not in required:
        raise Rejected("pair: not required")
    return pair


def in_one_clique(graph: Graph, first: Pair, second: Pair) -> bool:
    """Whether one clique holds both pairs, each of which is in the graph."""
    return all(u == v or v in graph[u] for u in first for v in second)


def maximal_cliques(graph: Graph) -> Iterator[frozenset[int]]:
    """Bron and Kerbosch with a pivot."""
    stack: list[tuple[frozenset[int], set[int], set[int]]] = [(frozenset(), set(graph), set())]
    visited = 0
    while stack:
        clique, candidates, done = stack.pop()
        visited += 1
        met, size = len(candidates) + len(done), 60 * (len(clique) + len(candidates) + len(done)) + 700
        # Of a set that is given to the caller, and may be kept, the memory is not given back.
        _spend(2000 + met * (200 + 20 * len(candidates)), -size if candidates else 0)
        if visited > LARGEST_SEARCH:
            raise Rejected("cover: too many cliques")
        if not candidates:
            if not done:
                yield clique
            continue
        pivot = max(candidates | done, key=lambda u: len(graph[u] & candidates))
        for u in list(candidates - graph[pivot]):
            kept = len(clique) + 1 + min(len(candidates), len(graph[u])) + min(len(done), len(graph[u]))
            _spend(1000 + 50 * kept, 60 * kept + 700)
            stack.append((clique | {u}, candidates & graph[u], done & graph[u]))
            candidates.remove(u)
            done.add(u)


def _coverable(
    graph: Graph, covers: dict[Pair, list[frozenset[int]]], open_pairs: set[Pair], number: int, budget: list[int]
) -> bool:
    """Whether `number` cliques can cover the open pairs."""
    if not open_pairs:
        return True
    budget[0] -= 1
    if budget[0] < 0:
        raise Rejected("search: too long")
    fooling: list[Pair] = []
    _spend(5000 + 2000 * len(open_pairs))
    for pair in sorted(open_pairs, key=lambda pair: (len(covers[pair]), pair)):
        _spend(1000 + 500 * len(fooling))
        if not any(in_one_clique(graph, pair, other) for other in fooling):
            fooling.append(pair)
            if len(fooling) > number:
                return False
    for clique in covers[fooling[0]]:
        _spend(500 * len(open_pairs))
        rest = {(u, v) for u, v in open_pairs if u not in clique or v not in clique}
        if _coverable(graph, covers, rest, number - 1, budget):
            return True
    return False


# -- semidefinite bounds ---------------------------------------------------------------------------------------------


def _of_products(A: Matrix, most: Matrix, proof: Any, depth: int) -> int:
    """A lower bound of the number of atoms of A whose products x_i x_j are at most `most`, a matrix below A."""
    tau = ("l", "D", "Omega", "W")
    kind = _kind(proof, tau_sos=tau, moments=("lower", "sets", "cuts"), shares=("pairs",))
    if depth > LARGEST_DEPTH:
        raise Rejected("proof: nested too deeply")
    if kind == "shares":
        return _shares(A, most, proof["pairs"], depth)
    if kind == "moments":
        return _moments(A, most, proof)
    cut = {"l": proof["l"], "D": proof["D"], "Omega": proof["Omega"], "Z": None, "parts": [{"c": 1, "W": proof["W"]}]}
    value, _ = _cut(A, most, cut, [list(range(len(A)))])
    return max(int(-(-value // 1)), 0)


def _shares(A: Matrix, most: Matrix, pairs: Any, depth: int) -> int:
    n = len(A)
    levels: list[tuple[int, int, Number]] = []
    bounds = []
    bits = _bits(chain.from_iterable((*A, *most)))
    for part in _list(pairs, "pairs"):
        _keys(part, "pair", "share", "proof")
        i, j = (_index(v, "pair", n) for v in _list(part["pair"], "pair", 2))
        share = _rational(part["share"], "share")
        if share < 0:
            raise Rejected("share: negative")
        longest = 2 * (bits + _bits([share]))
        _spend(_fractions(4 + 4 * len(levels), longest) + 100 * n * n, 100 * n * n + _storage(2, longest))
        level = share * A[i][j]
        for k, h, other in levels:
            if level * other < min(most[i][k] * most[j][h], most[i][h] * most[j][k]):
                raise Rejected("shares: one atom may have so much of two pairs")
        levels.append((i, j, level))
        inside = [list(row) for row in most]
        inside[i][j] = inside[j][i] = min(level, most[i][j])
        bounds.append(_of_products(A, inside, part["proof"], depth + 1))
        _spend(0, -100 * n * n)
    return min([len(levels), *bounds])


def _moments(A: Matrix, most: Matrix, proof: dict[str, Any]) -> int:
    """The bound that is stated, if no fewer atoms are possible: counts of all sets with that sum, one cut against each."""
    sets = [sorted(_indices(V, "sets", len(A))) for V in _list(proof["sets"], "sets")]
    for clique in maximal_cliques(support_graph(A)):
        _spend(sum(300 + 20 * len(V) for V in sets))
        if not any(clique <= set(V) for V in sets):
            raise Rejected("sets: a clique is missing")
    cuts = [_cut(A, most, cut, sets) for cut in _list(proof["cuts"], "cuts")]
    lower = _index(proof["lower"], "lower", LARGEST_ORDER**2)
    if not lower:
        return lower
    ends = lower + len(sets) - 2
    bits = max((_bits([value, *shares]) for value, shares in cuts), default=0)
    _spend(100 * ends, 40 * ends)
    for bars in combinations(range(ends), len(sets) - 1):
        _spend(1000 + _fractions(len(cuts) * len(sets), bits + ends.bit_length()))
        counts = [b - a - 1 for a, b in pairwise((-1, *bars, ends))]
        if not any(_dot(shares, counts) < value for value, shares in cuts):
            raise Rejected("moments: no cut is against so few atoms")
    return lower


def _cut(A: Matrix, most: Matrix, cut: Any, sets: list[list[int]]) -> tuple[Fraction, list[Number]]:
    """(B, c_V for each set V): the numbers n_V of atoms with supports in V have Σ c_V n_V ≥ B. See MOMENTS."""
    _keys(cut, "l", "D", "Omega", "Z", "parts")
    n = len(A)
    pairs = [(i, j) for i in range(n) for j in range(i, n)]
    m = len(pairs)
    linear, D = _vector(cut["l"], "l", m), _vector(cut["D"], "D", m)
    Omega = _matrix(cut["Omega"], "Omega", m)
    Z = None if cut["Z"] is None else _matrix(cut["Z"], "Z", n)
    if any(d < 0 for d in D) or any(z < 0 for row in Z or () for z in row):
        raise Rejected("D, Z: a negative entry")
    bits = _bits(chain(chain.from_iterable(Omega), D)) + _bits(linear)
    bits += _bits(chain.from_iterable(A)) + _bits(chain.from_iterable(most))
    _spend(_fractions(8 * m * m, bits), 400 * m * m + _storage(m * m, bits))
    if not positive_semidefinite(Omega):
        raise Rejected("Omega: not positive semidefinite")
    above: dict[tuple[int, ...], Number] = {}
    for s, first in enumerate(pairs):
        for t, second in enumerate(pairs):
            monomial = tuple(sorted((*first, *second)))
            above[monomial] = above.get(monomial, 0) + Omega[s][t] + (D[s] if s == t else 0)
    value = Fraction(2 * _dot(linear, [A[i][j] for i, j in pairs]))
    value -= sum(d * most[i][j] * A[i][j] for d, (i, j) in zip(D, pairs, strict=True))
    value -= sum(
        Omega[s][t] * Fraction(A[i][k] * A[j][h] + A[i][h] * A[j][k]) / 2
        for s, (i, j) in enumerate(pairs)
        for t, (k, h) in enumerate(pairs)
        if Omega[s][t]
    )
    if Z is not None:
        bits += _add_product(above, A, Z)
        value -= _inner(Z, A)
    shares = []
    for V, part in zip(sets, _list(cut["parts"], "parts", len(sets)), strict=True):
        _keys(part, "c", "W")
        _spend(m * (200 + 20 * len(V)))
        shares.append(_rational(part["c"], "c"))
        own = {pair: linear[s] for s, pair in enumerate(pairs) if pair[0] in V and pair[1] in V}
        _squares_below(A, shares[-1], own, _matrix(part["W"], "W", len(own)), above, bits)
    return value, shares


def _squares_below(
    A: Matrix, c: Number, linear: dict[Pair, Number], W: Matrix, above: dict[tuple[int, ...], Number], bits: int
) -> None:
    """Rejected unless c − 2⟨l, v⟩ + vᵀWv is a sum of squares, and vᵀWv ≤ `above` for atoms; v: the products that l names."""
    size = len(W)
    bits += _bits(chain.from_iterable(W))
    _spend(_fractions(4 * size * size, bits), 400 * size * size + _storage(size * size, bits))
    quartic: dict[tuple[int, ...], Number] = {}
    for first, row in zip(linear, W, strict=True):
        for second, entry in zip(linear, row, strict=True):
            monomial = tuple(sorted((*first, *second)))
            quartic[monomial] = quartic.get(monomial, 0) + entry
    for monomial, coefficient in quartic.items():
        if coefficient > above[monomial] and all(A[i][j] for i in monomial for j in monomial):
            raise Rejected("W: a monomial is not below D, Omega and Z")
    minus = [-v for v in linear.values()]
    if not positive_semidefinite([[c, *minus], *([v, *row] for v, row in zip(minus, W, strict=True))]):
        raise Rejected("W: [[c, -l], [-l, W]] is not positive semidefinite")
    _spend(0, -400 * size * size - _storage(size * size, bits))


def _add_product(quartic: dict[tuple[int, ...], Number], A: Matrix, Z: Matrix) -> int:
    """Add (xᵀA⁻¹x)(xᵀZx), monomial after monomial; the bits of it."""
    n = len(A)
    inverse = inverse_times(A, [[int(i == j) for j in range(n)] for i in range(n)])
    if inverse is None:
        raise Rejected("Z: A is singular")
    bits = _bits(chain.from_iterable(inverse)) + _bits(chain.from_iterable(Z))
    _spend(_fractions(2 * n**4, bits), _storage(n**4, bits))
    for i, j, k, h in product(range(n), repeat=4):
        if Z[k][h]:
            quartic[tuple(sorted((i, j, k, h)))] += inverse[i][j] * Z[k][h]
    return bits


def _ideal_sparse(A: Matrix, proof: dict[str, Any]) -> int:
    """⌈⟨Y, A⟩⌉ if xᵀYx ≤ 1 for every atom x: the bound of Gribling, de Laat and Laurent, one certificate for each clique.

    An atom has 0 ≤ x_i ≤ u_i (u_i² ≥ A_ii), x_i x_j ≤ A_ij, xxᵀ ⪯ A, and its support in a maximal clique, so in some of the
    sets V listed. For each V, with s, d ≥ 0 and Ω ⪰ 0 (s, d on V; Ω of the order of A), the quadratic polynomial
        1 − xᵀYx − Σ s_i x_i (u_i − x_i) − Σ d_ij (A_ij − x_i x_j) − ⟨Ω, A − xxᵀ⟩
    in the x_i, i in V, is a sum of squares: its matrix is positive semidefinite.
    """
    n = len(A)
    Y, u = _matrix(proof["Y"], "Y", n), _vector(proof["u"], "u", n)
    shared = _bits(chain(chain.from_iterable(A), chain.from_iterable(Y), u))
    if any(u[i] < 0 or u[i] * u[i] < A[i][i] for i in range(n)):
        raise Rejected("u: below the root of the diagonal")
    sets = []
    for part in _list(proof["cliques"], "cliques"):
        _keys(part, "vertices", "s", "d", "Omega")
        V = _indices(part["vertices"], "vertices", n)
        sets.append(set(V))
        s, d, Omega = (
            _vector(part["s"], "s", len(V)),
            _matrix(part["d"], "d", len(V)),
            _matrix(part["Omega"], "Omega", n),
        )
        bits = 2 * (shared + _bits(chain(s, chain.from_iterable(d), chain.from_iterable(Omega))))
        _spend(_fractions(4 * n * n, bits), _storage(2 * n * n, bits))
        if any(v < 0 for v in s) or any(v < 0 for row in d for v in row):
            raise Rejected("ideal_sparse: a negative multiplier")
        if not positive_semidefinite(Omega):
            raise Rejected("Omega: not positive semidefinite")
        linear = [-Fraction(s[a] * u[i]) / 2 for a, i in enumerate(V)]
        square: Matrix = [
            [d[a][b] + Omega[i][j] - Y[i][j] + (s[a] if a == b else 0) for b, j in enumerate(V)]
            for a, i in enumerate(V)
        ]
        constant = 1 - _inner(d, _submatrix(A, V)) - _inner(Omega, A)
        if not positive_semidefinite(
            [[constant, *linear], *([v, *row] for v, row in zip(linear, square, strict=True))]
        ):
            raise Rejected("ideal_sparse: not a sum of squares")
    for clique in maximal_cliques(support_graph(A)):
        _spend(sum(300 + 20 * len(clique) for _ in sets))
        if not any(clique <= V for V in sets):
            raise Rejected("ideal_sparse: a clique is missing")
    return max(int(-(-Fraction(_inner(Y, A)) // 1)), 0)


# -- Rank_σ ----------------------------------------------------------------------------------------------------------


def _pair(claim: dict[str, Any]) -> tuple[Matrix, Matrix, Number, Number]:
    """K, K^σ − β²11ᵀ, a₊, a₋."""
    K = _matrix(claim["K"], "K")
    K_sigma = _matrix(claim["K_sigma"], "K_sigma", len(K))
    beta, a_plus, a_minus = (_rational(claim[name], name) for name in ("beta", "a_plus", "a_minus"))
    bits = _bits(chain.from_iterable(K_sigma)) + 2 * _bits([beta])
    _spend(_fractions(len(K) ** 2, bits), _storage(len(K) ** 2, bits))
    return K, [[v - beta * beta for v in row] for row in K_sigma], a_plus, a_minus


def _sigma_lower(K: Matrix, K_sigma: Matrix, a_plus: Number, a_minus: Number, proof: Any) -> int | None:
    kind = _kind(proof, trivial=(), rank=("of", "prime"), cp_rank=("proof",), lifted=("node",), square=("tree",))
    if kind == "trivial":
        return 0
    if kind == "square":
        square = _Square(K, K_sigma, a_plus, a_minus)
        square.check(proof["tree"], [0] * len(square.patterns), [len(K)] * len(square.patterns), 0)
        return len(K) + 1
    if kind == "rank":
        if proof["of"] not in ("K", "K_sigma"):
            raise Rejected("of: neither K nor K_sigma")
        return rank_modulo(K if proof["of"] == "K" else K_sigma, _index(proof["prime"], "prime"))
    if kind == "cp_rank":
        if a_plus < 0 or a_minus > 0:
            raise Rejected("cp_rank: the activation is not nonnegative")
        return _lower(K_sigma, proof["proof"])
    return _node(sigma_system(K, K_sigma, a_plus, a_minus), proof["node"], 0)


class _Square:
    """N vectors that add up to a pair of order N; see SQUARE in the module's docstring."""

    def __init__(self, K: Matrix, L: Matrix, a_plus: Number, a_minus: Number) -> None:
        self.K, self.L, self.N = K, L, len(K)
        if self.N > LARGEST_SQUARE_ORDER:
            raise Rejected(f"square: order {self.N}; up to {LARGEST_SQUARE_ORDER} can be checked")
        one: Matrix = [[int(i == j) for j in range(self.N)] for i in range(self.N)]
        of_K, of_L = inverse_times(K, one), inverse_times(L, one)
        if of_K is None or of_L is None:
            raise Rejected("square: a singular matrix")
        self.of_K, self.of_L = of_K, of_L
        self.patterns = [(s, [a_plus if sign > 0 else -a_minus for sign in s]) for s in product((1, -1), repeat=self.N)]
        self.bits = _bits(chain.from_iterable((*of_K, *of_L))) + 4 * _bits([a_plus, a_minus])

    def check(self, tree: Any, low: list[int], high: list[int], depth: int) -> None:
        """Rejected unless no numbers between `low` and `high` are possible."""
        if depth > LARGEST_DEPTH:
            raise Rejected("square: nested too deeply")
        _spend(1000 * len(low), 100 * len(low))
        if tree is None:
            if sum(low) <= self.N <= sum(high) and all(a <= b for a, b in zip(low, high, strict=True)):
                raise Rejected("square: there are such numbers")
        elif isinstance(tree, dict) and "pattern" in tree:
            _keys(tree, "pattern", "most", "fewer", "more")
            s, most = _index(tree["pattern"], "pattern", len(low)), _index(tree["most"], "most")
            self.check(tree["fewer"], low, [*high[:s], min(high[s], most), *high[s + 1 :]], depth + 1)
            self.check(tree["more"], [*low[:s], max(low[s], most + 1), *low[s + 1 :]], high, depth + 1)
        else:
            self.leaf(tree, low, high)
        _spend(0, -100 * len(low))

    def leaf(self, leaf: Any, low: list[int], high: list[int]) -> None:
        """Forms with a sum that is too small."""
        _keys(leaf, "U", "V", "gamma", "shares", "bits")
        N = self.N
        U, V = _matrix(leaf["U"], "U", N), _matrix(leaf["V"], "V", N)
        gamma, shares = (_vector(leaf[name], name, len(low)) for name in ("gamma", "shares"))
        q = _index(leaf["bits"], "bits", LARGEST_MINOR)
        bits = self.bits + _bits(chain(chain.from_iterable((*U, *V)), gamma, shares))
        _spend(_fractions(4 * len(low), bits))
        rest, least = N - sum(low), sum((c * a for c, a in zip(shares, low, strict=True)), start=0)
        for c, room in sorted(zip(shares, (b - a for a, b in zip(low, high, strict=True)), strict=True)):
            least += c * min(rest, room)
            rest -= min(rest, room)
        if _inner(U, self.K) + _inner(V, self.L) >= least:
            raise Rejected("square: the sum is not too small")
        for (s, d), g, c, most in zip(self.patterns, gamma, shares, high, strict=True):
            if not most:
                continue
            _spend(_fractions(8 * N * N, bits + q), _storage(N * N, bits + q))
            form = [
                [
                    s[i] * s[j] * (U[i][j] + (g - c) * self.of_K[i][j]) + d[i] * d[j] * (V[i][j] - g * self.of_L[i][j])
                    for j in range(N)
                ]
                for i in range(N)
            ]
            minimal_zeros([[(v.numerator << q) // v.denominator for v in row] for row in form])
            _spend(0, -_storage(N * N, bits + q))


def _not_in_S(K: Matrix, K_sigma: Matrix, a_plus: Number, a_minus: Number, proof: Any) -> None:
    kind = _kind(proof, not_cp=("proof",), not_psd=("of", "v"), lifted=("node",))
    if kind == "not_cp":
        if a_plus < 0 or a_minus > 0:
            raise Rejected("not_cp: the activation is not nonnegative")
        _not_completely_positive(K_sigma, proof["proof"])
    elif kind == "not_psd":
        if proof["of"] not in ("K", "K_sigma"):
            raise Rejected("of: neither K nor K_sigma")
        matrix = K if proof["of"] == "K" else K_sigma
        v = _vector(proof["v"], "v", len(K))
        if _form(matrix, v) >= 0:
            raise Rejected("not_psd: the form is not negative")
    elif _node(sigma_system(K, K_sigma, a_plus, a_minus), proof["node"], 0) is not None:
        raise Rejected("lifted: there may be such a matrix")


def sigma_system(K: Matrix, K_sigma: Matrix, a_plus: Number, a_minus: Number) -> System:
    """The equations of M = Σ ttᵀ, t = (p, q); vertex i is p_i, vertex N + i is q_i."""
    N = len(K)
    upper_triangle = [(i, j) for i in range(N) for j in range(i, N)]
    equation = {pair: e for e, pair in enumerate(upper_triangle)}
    columns: dict[Pair, dict[int, Number]] = {}
    _spend(10_000 * N * N, 1000 * N * N)
    for u in range(2 * N):
        for v in range(u, 2 * N):
            i, j = u % N, v % N
            if i == j and u != v:
                continue  # p_i q_i = 0
            # The diagonal of K holds M_uu once; a pair u < v stands for M_uv and M_vu, of which K_ij, i < j, holds one.
            sign = -1 if (u < N) != (v < N) else 1
            slope = (a_plus if u < N else -a_minus) * (a_plus if v < N else -a_minus)
            e = equation[min(i, j), max(i, j)]
            columns[u, v] = {e: sign, len(upper_triangle) + e: slope} if slope else {e: sign}
    values = [K[i][j] for i, j in upper_triangle] + [K_sigma[i][j] for i, j in upper_triangle]
    return System(columns, values, frozenset(), _bits([*values, a_plus * a_plus, a_plus * a_minus, a_minus * a_minus]))


def _sigma_upper(K: Matrix, K_sigma: Matrix, a_plus: Number, a_minus: Number, proof: Any) -> int:
    near = ("columns", "dependencies", "inverse", "rho")
    kind = _kind(proof, atoms=("atoms",), lifted=("M", "proof"), nearby=near)
    N = len(K)
    if kind == "nearby":
        return _nearby_pair(K, K_sigma, a_plus, a_minus, proof)
    if kind == "lifted":
        M = _matrix(proof["M"], "M", 2 * N)
        _spend(_fractions(16 * N * N, _bits(chain.from_iterable(M)) + 2 * _bits([a_plus, a_minus])))
        for i in range(N):
            for j in range(N):
                pp, pq, qp, qq = M[i][j], M[i][N + j], M[N + i][j], M[N + i][N + j]
                if i == j and pq:
                    raise Rejected("M: p and q are not complementary")
                square = a_plus * a_plus * pp - a_plus * a_minus * (pq + qp) + a_minus * a_minus * qq
                if pp - pq - qp + qq != K[i][j] or square != K_sigma[i][j]:
                    raise Rejected("M: does not satisfy the equations")
        return _upper(M, proof["proof"])
    rest, rest_sigma = [list(row) for row in K], [list(row) for row in K_sigma]
    length = _Rest(K, K_sigma, [[a_plus * a_plus, a_plus * a_minus, a_minus * a_minus]])
    for atom in _list(proof["atoms"], "atoms"):
        _keys(atom, "weight", "entries")
        weight, entries = _rational(atom["weight"], "weight"), _entries(atom["entries"], N)
        length.pay(weight, entries)
        if weight <= 0:
            raise Rejected("atoms: a weight is not positive")
        for i, v in entries:
            for j, w in entries:
                slopes = (a_plus if v > 0 else a_minus) * (a_plus if w > 0 else a_minus)
                rest[i][j] -= weight * v * w
                rest_sigma[i][j] -= weight * slopes * v * w
    if any(v for row in (*rest, *rest_sigma) for v in row):
        raise Rejected("atoms: their sums are not the pair")
    return len(proof["atoms"])


def _nearby_pair(K: Matrix, K_sigma: Matrix, a_plus: Number, a_minus: Number, proof: dict[str, Any]) -> int:
    N = len(K)
    V, center, bits = _columns(proof["columns"], N, K, K_sigma)
    bits += 4 * _bits([a_plus, a_minus])
    for _ in range(2):
        _pay_for_forms(V, N, list(range(N)), bits)
    forms = _Forms(V, center, list(range(N)), K)
    slopes = [[a_plus if b >= 0 else a_minus for b in entries] for entries in forms.b]
    W = [
        [[slope * v for v in row] for row, slope in zip(V_k, of_column, strict=True)]
        for V_k, of_column in zip(V, slopes, strict=True)
    ]
    reach = _ball([forms, _Forms(W, center, list(range(N)), K_sigma)], proof["dependencies"], proof, bits)
    for k, V_k in enumerate(V):
        for i, row in enumerate(V_k):
            if forms.b[k][i] ** 2 < sum(v * v for v in row) * reach[k]:
                raise Rejected(f"nearby: entry {i} of neuron {k} may change its sign")
    return len(V)


# -- files -----------------------------------------------------------------------------------------------------------


def check(content: bytes) -> dict[str, Any]:
    """What the claim in this file says, as a dictionary without its proof; Rejected if it is not proven."""
    size = len(content)
    if size >= LARGEST_FILE:
        raise Rejected("the file is too large")
    memory = min(MEMORY + MEMORY_RATE * size, MEMORY_MOST)
    token = BUDGET.set(Budget(WORK + WORK_RATE * size * size, memory))
    try:
        claim = _read(content)
        check_rank_claim(claim)
    except MemoryError:
        raise Rejected("memory ran out") from None
    except (ArithmeticError, ValueError, TypeError, LookupError, RuntimeError) as error:
        # Nothing of the kind is expected; whatever it is, it is no proof.
        raise Rejected(f"the numbers cannot be computed with ({type(error).__name__}: {str(error)[:60]})") from None
    finally:
        BUDGET.reset(token)
    bounds = {key: claim[key] for key in ("lower", "upper", "strictly") if key in claim}
    return {"kind": claim["claim"], "order": len(claim["A"] if "A" in claim else claim["K"]), **bounds}


def _read(content: bytes) -> Any:
    try:
        return json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_short_integer,
            parse_float=_no_float,
        )
    except (ValueError, RecursionError) as error:
        raise Rejected(f"the file is not valid JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is given twice")
    return result


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


def _no_float(text: str) -> None:
    raise ValueError(f"{text[:40]} is no integer; rational numbers are texts p/q")


def _short_integer(text: str) -> int:
    """Python may be told to convert integers of any length, which takes long."""
    if len(text) > LARGEST_DIGITS:
        raise ValueError("an integer is too long")
    return int(text)


def read(path: Path) -> bytes:
    """The bytes of a file, only the first if it is no JSON object; OSError if it cannot be read."""
    if path.stat().st_size >= LARGEST_FILE:
        raise Rejected("the file is too large")
    with path.open("rb") as file:
        content = file.read(1 << 12)
        return content + file.read(LARGEST_FILE - len(content)) if content.lstrip().startswith(b"{") else content


def main(arguments: Sequence[str]) -> int:
    """Check one file; 0 accepted, 1 rejected, 2 not readable."""
    if len(arguments) != 1:
        print("usage: rank_check.py FILE", file=sys.stderr)
        return 2
    try:
        print(f"accepted: {json.dumps(check(read(Path(arguments[0]))))}")
        return 0
    except OSError as error:
        print(f"{arguments[0]}: {error.strerror or error}", file=sys.stderr)
        return 2
    except Rejected as error:
        print(f"rejected: {error}")
    except MemoryError:
        print("rejected: memory ran out")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
