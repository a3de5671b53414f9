"""Copositive matrices that separate A from the completely positive cone, or expose the face it lies on.

S is copositive if xᵀSx ≥ 0 for all x ≥ 0; these matrices are the dual of the completely positive cone. So

- ⟨S, A⟩ < 0 proves that A is not completely positive;
- ⟨S, A⟩ = 0 makes every atom of every factorisation of A a zero of S. If S has finitely many zeros q_k (up to scale),
  then A = Σ x_k q_k q_kᵀ with x ≥ 0, and the cp-rank is the least number of nonzeros of such x, exactly (Bomze,
  Schachinger and Ullrich 2014). With continua of zeros the same is said in terms of the minimal zeros.

S is found from A alone by a linear program with cuts, polished, and made an exact rational solution; whether it is
copositive, and what its zeros are, is decided exactly (`cpcert.certificate.rank_check`, "copositive"). Nothing found in
floating point counts. The search is in docs/mathematics/copositive.md.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations

import numpy as np

from cpcert.rank.copositive_zeros import copositive_zeros
from cpcert.rank.lifted import prove_node
from cpcert.rank.lifted_systems import zeros_system
from cpcert.rank.proofs import Atom, Atoms, CopositiveCut, Exposing, Matrix, Number

# All supports are visited in float, and once exactly.
LARGEST_ORDER = 16
LP_TOLERANCE = 1e-10
# A minimum above this is taken for the interior of the cone: no exposing matrix.
INTERIOR = 1e-7


@dataclass(frozen=True)
class Separation:
    """S in float for A scaled to unit diagonal; value = ⟨S, A⟩; zeros: (support, point) with xᵀSx ≈ 0."""

    S: np.ndarray
    value: float
    zeros: tuple[tuple[tuple[int, ...], np.ndarray], ...]


@cache
def _supports(n: int) -> tuple[np.ndarray, ...]:
    return tuple(np.array(list(combinations(range(n), size))) for size in range(1, n + 1))


def _stationary_points(S: np.ndarray, early: bool) -> list[tuple[float, tuple[int, ...], np.ndarray]]:
    """(λ, I, x_I) with S_I x_I = λ1, x_I > 0, 1ᵀx_I = 1, for all supports; in floating point.

    early: supports in the order of their size, up to the first size ≥ 4 where one has λ < 0.
    """
    points = []
    for supports in _supports(len(S)):
        size = supports.shape[1]
        bordered = np.zeros((len(supports), size + 1, size + 1))
        bordered[:, :size, :size] = S[supports[:, :, None], supports[:, None, :]]
        bordered[:, :size, size] = -1.0
        bordered[:, size, :size] = 1.0
        right = np.zeros((len(supports), size + 1, 1))
        right[:, size] = 1.0
        try:
            x = np.linalg.solve(bordered, right)[:, :, 0]
        except np.linalg.LinAlgError:  # at least one is singular; a stationary point of smaller support does as well
            x = np.array([np.linalg.lstsq(a, b, rcond=None)[0][:, 0] for a, b in zip(bordered, right, strict=True)])
        for row in np.flatnonzero((x[:, :size] > 1e-9).all(axis=1)):
            points.append((float(x[row, size]), tuple(int(i) for i in supports[row]), x[row, :size]))
        if early and size >= 4 and any(value < -LP_TOLERANCE for value, _, _ in points):
            break
    return points


def separate(A: np.ndarray, seconds: float = 30.0) -> Separation | None:
    """The copositive S with the least ⟨S, A⟩, in floating point. A (n, n) with unit diagonal. None: the interior.

    A heuristic as far as proofs go: what it says is a proposal for the exact functions below.
    """
    from scipy.optimize import linprog

    n = len(A)
    rows, columns = np.triu_indices(n)
    double = np.where(rows == columns, 1.0, 2.0)

    def flat(matrix: np.ndarray) -> np.ndarray:
        return matrix[rows, columns] * double

    cost = flat(A)
    diagonal = (rows == columns).astype(float)
    bounds = [(0.0, float(n)) if i == j else (-float(n), float(n)) for i, j in zip(rows, columns, strict=True)]
    pairs = np.eye(n)
    cuts = [flat(np.outer(pairs[i] + pairs[j], pairs[i] + pairs[j])) for i, j in combinations(range(n), 2)]
    stop = time.monotonic() + seconds
    last = -np.inf
    stalled = 0
    best: tuple[np.ndarray, float] | None = None
    while True:
        result = linprog(
            cost,
            A_ub=-np.array(cuts) if cuts else None,
            b_ub=np.zeros(len(cuts)) if cuts else None,
            A_eq=diagonal[None],
            b_eq=[float(n)],
            bounds=bounds,
            method="highs-ds",
            options={
                "primal_feasibility_tolerance": LP_TOLERANCE,
                "dual_feasibility_tolerance": LP_TOLERANCE,
                "time_limit": max(stop - time.monotonic(), 0.1),
            },
        )
        if result.x is None:
            break  # close to the end HiGHS may find that it cannot go on, or go round in a circle
        if result.fun > INTERIOR:
            return None
        S = np.zeros((n, n))
        S[rows, columns] = S[columns, rows] = result.x
        best = S, float(result.fun)
        points = _stationary_points(S, early=True)
        violated = sorted((p for p in points if p[0] < -LP_TOLERANCE), key=lambda p: p[0])
        stalled = stalled + 1 if result.fun < last + 1e-9 and (not violated or violated[0][0] > -1e-7) else 0
        last = max(last, result.fun)
        if not violated or stalled >= 3 or time.monotonic() > stop:
            break
        for _, support, x in violated[:200]:
            v = np.zeros(n)
            v[list(support)] = x / np.linalg.norm(x)
            cuts.append(flat(np.outer(v, v)))
    if best is None:
        return None
    zeros = [(support, x) for value, support, x in _stationary_points(best[0], early=False) if abs(value) < 1e-6]
    return Separation(*best, tuple(zeros))


# -- not completely positive -----------------------------------------------------------------------------------------


def copositive_cut(A: list[list[Number]], separation: Separation, scale: np.ndarray) -> CopositiveCut | None:
    """An exactly copositive S with ⟨S, A⟩ < 0, from the float one; A = diag(scale) · (unit diagonal) · diag(scale).

    S + ε11ᵀ is strictly copositive if S is nearly so; ε is raised until the exact check accepts.
    """
    S = separation.S / np.outer(scale, scale)
    size = abs(S).max()
    ones = np.outer(1.0 / scale, 1.0 / scale)
    for epsilon in (0.0, 1e-9, 1e-7, 1e-5, 1e-4, 1e-3, 1e-2):
        for denominator in (16, 2**20, 2**40):
            shifted = (S + epsilon * ones) / size
            exact = _rounded(shifted, denominator)
            if sum(s * a for row, other in zip(exact, A, strict=True) for s, a in zip(row, other, strict=True)) >= 0:
                continue
            if copositive_zeros(exact) is not None:
                return CopositiveCut(exact)
    return None


def _rounded(S: np.ndarray, denominator: int) -> Matrix:
    upper = [[Fraction(round(float(S[i, j]) * denominator), denominator) for j in range(len(S))] for i in range(len(S))]
    return tuple(tuple(upper[min(i, j)][max(i, j)] for j in range(len(S))) for i in range(len(S)))


# -- on the boundary -------------------------------------------------------------------------------------------------


def exposing_matrix(A: list[list[Number]], separation: Separation, scale: np.ndarray) -> Matrix | None:
    """An exact copositive S ≠ 0 with ⟨S, A⟩ = 0 near the float one, or None."""
    unit = np.array([[float(v) for v in row] for row in A]) / np.outer(scale, scale)
    S, atoms = _polished(separation, unit)
    points = [_recognised(atom * scale) for atom in atoms]
    known = [q for q in points if q is not None]
    if len(known) < len(points):
        return None
    exact = _nearest_solution(S / np.outer(scale, scale), known, A)
    if exact is None:
        return None
    raised = _raised(exact, A)
    return None if copositive_zeros(raised) is None else raised


def _raised(S: Matrix, A: list[list[Number]]) -> Matrix:
    """S with large entries where A is 0: they change neither ⟨S, A⟩ nor that S is copositive, and leave fewer zeros to look at."""
    top = max(math.ceil(v) for row in S for v in row) + 1
    return tuple(tuple(v if a else top for v, a in zip(row, of_A, strict=True)) for row, of_A in zip(S, A, strict=True))


def _polished(separation: Separation, A: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """S and atoms b_k at zeros of S that satisfy (S b_k)_I = 0, Σ b_k b_kᵀ = A and trace S = n to rounding, from nearby.

    Gauss-Newton with the least change. The equations of S alone leave a family of solutions; those of A fix it.
    """
    from scipy.optimize import nnls

    n = len(A)
    rows, columns = np.triu_indices(n)
    place = np.zeros((n, n), dtype=int)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    points = []
    for support, x in separation.zeros:
        q = np.zeros(n)
        q[list(support)] = x / np.linalg.norm(x)
        points.append(q)
    if not points:
        return separation.S, []
    weights, _ = nnls(np.array([np.outer(q, q)[rows, columns] for q in points]).T, A[rows, columns])
    S = separation.S.copy()
    atoms = [np.sqrt(w) * q for w, q in zip(weights, points, strict=True) if w > 1e-7]
    supports = [np.flatnonzero(b) for b in atoms]
    starts = np.cumsum([len(rows)] + [len(support) for support in supports])
    best = np.inf
    for _ in range(30):
        J = np.zeros((1 + len(rows) + starts[-1] - len(rows), starts[-1]))
        F = np.zeros(len(J))
        J[0, place.diagonal()] = 1.0
        equation = 1 + len(rows)
        F[1:equation] = sum(np.outer(b, b)[rows, columns] for b in atoms) - A[rows, columns]
        for b, index, start in zip(atoms, supports, starts, strict=False):
            for k, i in enumerate(index):
                J[equation + k, place[i, index]] = b[index]
                J[equation + k, start : start + len(index)] = S[i, index]
                change = np.zeros((n, n))
                change[i] += b
                change[:, i] += b
                J[1 : 1 + len(rows), start + k] = change[rows, columns]
            F[equation : equation + len(index)] = (S @ b)[index]
            equation += len(index)
        size = abs(F).max()
        if size < 1e-15 or size > 10 * best:
            break
        best = min(best, size)
        step = np.linalg.lstsq(J, -F, rcond=1e-12)[0]
        S = S.copy()
        S[rows, columns] += step[: len(rows)]
        S[columns, rows] = S[rows, columns]
        atoms = [b.copy() for b in atoms]
        for b, index, start in zip(atoms, supports, starts, strict=False):
            b[index] += step[start : start + len(index)]
    return S, atoms


def _recognised(q: np.ndarray) -> tuple[Fraction, ...] | None:
    """The rational vector with small denominators that q is up to scale and 1e-9, or None."""
    if q.max() <= 0 or q.min() < 0:
        return None
    q = q / q.max()
    for largest in (50, 500, 5000):
        exact = tuple(Fraction(float(v)).limit_denominator(largest) for v in q)
        if max(abs(float(e) - float(v)) for e, v in zip(exact, q, strict=True)) < 1e-9:
            return exact
    return None


def _nearest_solution(S: np.ndarray, zeros: list[tuple[Fraction, ...]], A: list[list[Number]]) -> Matrix | None:
    """An exact solution of (Sq_k)_I = 0 and ⟨S, A⟩ = 0 near S: elimination, then the free entries rounded."""
    n = len(A)
    pairs = [(i, j) for i in range(n) for j in range(i, n)]
    place = {pair: k for k, pair in enumerate(pairs)}
    equations: list[dict[int, Fraction]] = [
        {place[i, j]: Fraction(A[i][j]) * (1 if i == j else 2) for i, j in pairs if A[i][j]}
    ]
    for q in zeros:
        support = [i for i in range(n) if q[i]]
        equations += [{place[min(i, j), max(i, j)]: q[j] for j in support} for i in support]
    # The entries that matter least become pivots: free are the largest, which are rounded.
    order = sorted(range(len(pairs)), key=lambda k: abs(S[pairs[k]]))
    rank_in_order = {k: r for r, k in enumerate(order)}
    reduced: dict[int, dict[int, Fraction]] = {}
    for equation in equations:
        row = dict(equation)
        while row:
            pivot = min(row, key=rank_in_order.__getitem__)
            if pivot not in reduced:
                head = row[pivot]
                reduced[pivot] = {k: v / head for k, v in row.items()}
                break
            factor = row[pivot]
            for k, v in reduced[pivot].items():
                value = row.get(k, Fraction(0)) - factor * v
                if value:
                    row[k] = value
                else:
                    row.pop(k, None)
    free = [k for k in order if k not in reduced]
    if not free:
        return None
    largest = max(abs(float(S[pairs[k]])) for k in free)
    if largest == 0.0:
        return None
    values = {k: Fraction(float(S[pairs[k]]) / largest).limit_denominator(10**6) for k in free}
    for pivot in sorted(reduced, key=rank_in_order.__getitem__, reverse=True):
        values[pivot] = -sum((v * values[k] for k, v in reduced[pivot].items() if k != pivot), start=Fraction(0))
    return tuple(tuple(values[place[min(i, j), max(i, j)]] for j in range(n)) for i in range(n))


def exposed_bounds(A: list[list[Number]], S: Matrix) -> tuple[int | None, Exposing, Atoms | None]:
    """Lower bound with proof from an exposing S, and an exact factorisation in its minimal zeros if there is one.

    The factorisation uses minimal zeros only, as few as HiGHS can do with; the lower bound allows their sums as well.
    A lower bound of None means that A is not completely positive: no combination of zeros gives it.
    """
    zeros = copositive_zeros(S)
    if zeros is None:
        raise ValueError("S is not copositive")
    atoms = _combination_of(A, zeros)
    lower, node = prove_node(zeros_system(S, zeros, A), len(atoms.atoms) if atoms is not None else 10**6)
    return lower, Exposing(S, node), atoms


def _combination_of(A: list[list[Number]], zeros: list[list[int]]) -> Atoms | None:
    """A = Σ x_k q_k q_kᵀ exactly with x ≥ 0 and few nonzeros."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    n, count = len(A), len(zeros)
    if not count:
        return None
    pairs = [(i, j) for i in range(n) for j in range(i, n)]
    scale = np.array([1.0 / max(float(A[i][i] * A[j][j]) ** 0.5, 1e-300) for i, j in pairs])
    unit = [
        max(max(q[i] ** 2 / float(A[i][i]) if A[i][i] else np.inf for i in range(n) if q[i]), 1e-300) for q in zeros
    ]
    columns = np.array([[q[i] * q[j] / u for q, u in zip(zeros, unit, strict=True)] for i, j in pairs], dtype=float)
    columns *= scale[:, None]
    right = np.array([float(A[i][j]) for i, j in pairs]) * scale
    # 0 ≤ x_k ≤ 1 in these units, since x_k q_k q_kᵀ ≤ A on the diagonal; z_k = 1 where x_k may be positive.
    constraints = [
        LinearConstraint(np.hstack([columns, np.zeros_like(columns)]), right - 1e-9, right + 1e-9),
        LinearConstraint(np.hstack([np.eye(count), -np.eye(count)]), -np.inf, 0.0),
    ]
    result = milp(
        np.concatenate([np.zeros(count), np.ones(count)]),
        constraints=constraints,
        integrality=np.concatenate([np.zeros(count), np.ones(count)]),
        bounds=Bounds(0.0, 1.0),
        options={"time_limit": 10.0},
    )
    if result.x is None:
        return None
    used = [k for k in range(count) if result.x[count + k] > 0.5]
    return exact_weights(A, [zeros[k] for k in used])


def exact_weights(A: list[list[Number]], vectors: list[list[int]]) -> Atoms | None:
    """Weights x ≥ 0 with A = Σ x_k v_k v_kᵀ exactly, for linearly independent v_k v_kᵀ; None if there are none."""
    n, count = len(A), len(vectors)
    rows = [
        [Fraction(v[i] * v[j]) for v in vectors] + [Fraction(A[i][j])] for i in range(n) for j in range(i, n)
    ]  # fmt: skip
    r = 0
    for c in range(count):
        pivot = next((i for i in range(r, len(rows)) if rows[i][c]), None)
        if pivot is None:
            return None
        rows[r], rows[pivot] = rows[pivot], rows[r]
        head = rows[r][c]
        rows[r] = [v / head for v in rows[r]]
        for i in range(len(rows)):
            if i != r and rows[i][c]:
                factor = rows[i][c]
                rows[i] = [v - factor * w for v, w in zip(rows[i], rows[r], strict=True)]
        r += 1
    if any(row[-1] for row in rows[r:]) or any(rows[k][-1] < 0 for k in range(count)):
        return None
    return Atoms(tuple(
        Atom(rows[k][-1], tuple((i, Fraction(value)) for i, value in enumerate(v) if value))
        for k, v in enumerate(vectors) if rows[k][-1]
    ))  # fmt: skip
