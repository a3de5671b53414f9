"""Exact solutions near a float one of quadratic equations Σ_k (V_k t_k)_i (V_k t_k)_j = A_ij: Brouwer's fixed-point theorem.

Factorisations A = BBᵀ with B ≥ 0, b_k = V_k t_k, and neurons of a covariance pair are of this form. What is proven, and
how, is in `cpcert.certificate.rank_check` ("nearby", "face"): a right inverse R of the Jacobian J at the centers, and a ball
that t ↦ t − RF(t) sends into itself, on which the signs of all entries are those of the centers.

Zeros stay zeros: V_k spans the vectors with the right zeros in the range of A. On a face of the cone the equations are
dependent, and J cannot have full row rank; dependencies that hold identically in t are found exactly and left out.
All of it is a proposal to the checker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from cpcert.certificate.rank_check import LARGEST_EQUATIONS, Rejected, check_rank_claim
from cpcert.rank.cliques import maximal_cliques
from cpcert.rank.exact_linear import pivots_modulo, solve
from cpcert.rank.proofs import Column, Face, Matrix, Nearby, Number, Upper, as_json

Vectors = list[list[Number]]

# An entry of a factor below this (A scaled to unit diagonal) is taken for 0.
ZERO = 1e-6
# The exact check of an inverse of this order takes half a minute.
MANY_EQUATIONS = 320
# Bits of the centers below the largest of them.
CENTER_BITS = 110
# Numerical rank of a Jacobian: singular values relative to the largest.
SINGULAR = 1e-9
PRIME = 2**61 - 1
# Determined blocks that are looked at.
MANY_BLOCKS = 200


@dataclass(frozen=True)
class Family:
    """Equations Σ_k (S_k V_k t_k)_i (S_k V_k t_k)_j = A_ij for the pairs i ≤ j of `rows`, S_k = diag(slopes[k]); None: S_k = 1."""

    rows: list[int]
    A: Vectors
    slopes: list[list[Number]] | None = None

    def pairs(self) -> list[tuple[int, int]]:
        """In the order of the equations."""
        return [(i, j) for a, i in enumerate(self.rows) for j in self.rows[a:]]


@dataclass(frozen=True)
class FixedPoint:
    """What the checker needs besides the columns' bases: docstring of `rank_check`."""

    centers: list[tuple[Fraction, ...]]
    dependencies: tuple[tuple[tuple[int, Number], ...], ...]
    inverse: Matrix
    residual: float

    def columns(self, bases: list[Vectors]) -> tuple[Column, ...]:
        """The columns of the proof."""
        return tuple(
            Column(tuple(tuple(v) for v in basis), center) for basis, center in zip(bases, self.centers, strict=True)
        )

    def radii(self, size: float) -> Iterator[Fraction]:
        """ρ a few times the residual; the map is a contraction there if anything works at all."""
        for factor in (4.0, 64.0, 4096.0):
            yield Fraction(factor * max(self.residual, 2.0**-CENTER_BITS * size)).limit_denominator(2**160)


class _Equations:
    """All equations of some families in floating point and exactly, for given bases."""

    def __init__(self, families: list[Family], bases: list[Vectors]) -> None:
        self.families, self.bases = families, bases
        self.starts = np.cumsum([0] + [len(basis) for basis in bases])
        self.pairs = [(f, i, j) for f, family in enumerate(families) for i, j in family.pairs()]
        # V[f][k] (n, d_k), exactly and in float.
        self.exact = [
            [
                [
                    [v[i] * (1 if family.slopes is None else family.slopes[k][i]) for v in basis]
                    for i in range(len(family.A))
                ]
                for k, basis in enumerate(bases)
            ]
            for family in families
        ]
        self.V = [
            [np.array(V, dtype=float).reshape(len(V), len(basis)) for V, basis in zip(of_family, bases, strict=True)]
            for of_family in self.exact
        ]
        touched = [np.array([V.any(axis=1) for V in of_family]).astype(int) for of_family in self.V]
        self.reached = np.array([(touched[f][:, i] * touched[f][:, j]).any() for f, i, j in self.pairs])
        self.right = [families[f].A[i][j] for f, i, j in self.pairs]
        self.target = np.array([float(v) for v in self.right])
        diagonal = [
            np.sqrt(np.maximum([float(family.A[i][i]) for i in range(len(family.A))], 0.0)) for family in families
        ]
        for scale in diagonal:
            scale[scale == 0.0] = 1.0
        self.unit = np.array([1.0 / (diagonal[f][i] * diagonal[f][j]) for f, i, j in self.pairs])

    def residual_and_jacobian(self, t: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        F, J = -self.target, []
        blocks: list[list[np.ndarray]] = [[] for _ in t]
        position = 0
        for f, family in enumerate(self.families):
            pairs = family.pairs()
            ii, jj = (np.array([pair[s] for pair in pairs], dtype=int) for s in (0, 1))
            for k, (V, t_k) in enumerate(zip(self.V[f], t, strict=True)):
                b = V @ t_k
                F[position : position + len(pairs)] += b[ii] * b[jj]
                blocks[k].append(V[ii] * b[jj, None] + b[ii, None] * V[jj])
            position += len(pairs)
        J = [np.vstack(block) for block in blocks]
        return F, np.hstack(J) if J else np.zeros((len(F), 0))

    def exact_residual(self, t: list[list[Fraction]]) -> list[Fraction]:
        b = [
            [[sum((v * s for v, s in zip(row, t_k, strict=True) if v), start=Fraction(0)) for row in V]
             for V, t_k in zip(of_family, t, strict=True)]
            for of_family in self.exact
        ]  # fmt: skip
        return [
            sum((b_k[i] * b_k[j] for b_k in b[f]), start=Fraction(0)) - value
            for (f, i, j), value in zip(self.pairs, self.right, strict=True)
        ]


def fixed_point(families: list[Family], bases: list[Vectors], t: list[np.ndarray]) -> FixedPoint | None:
    """Centers near t, dependencies and the inverse for the proof that there is an exact solution near them; None: no hope."""
    equations = _Equations(families, bases)
    t = _gauss_newton(equations, t)
    _, J = equations.residual_and_jacobian(t)
    if not np.isfinite(J).all() or not J.size:
        return None
    scaled = J * equations.unit[:, None]
    kept = [int(e) for e in np.flatnonzero(equations.reached)]
    dependencies: tuple[tuple[tuple[int, Number], ...], ...] = ()
    rank = _rank(scaled[kept])
    if rank < len(kept):
        found = _dependencies(equations, scaled, kept, rank)
        if found is None:
            return None
        kept, dependencies = found
    if not kept or len(kept) > min(MANY_EQUATIONS, LARGEST_EQUATIONS):
        return None
    unit, gram = equations.unit[kept], scaled[kept] @ scaled[kept].T
    if np.linalg.cond(gram) > 1e13:
        return None
    inverse = np.linalg.inv(gram) * np.outer(unit, unit)
    M = _dyadic((inverse + inverse.T) / 2)
    centers = _refined(equations, t, J[kept], np.array([[float(v) for v in row] for row in M]), kept)
    F = equations.exact_residual(centers)
    residual = float(sum(F[e] * F[e] for e in kept)) ** 0.5
    return FixedPoint([tuple(c) for c in centers], dependencies, M, residual)


def fixed_point_on_face(
    families: list[Family], bases: list[Vectors], vectors: list[np.ndarray]
) -> tuple[FixedPoint, list[Vectors]] | None:
    """`fixed_point` near given vectors V_k t_k; if that fails, with the smaller bases of `_restricted`, which come with it."""
    for _ in range(3):
        if not all(bases):
            return None
        V = [np.array([[float(v) for v in vector] for vector in basis]).T for basis in bases]
        t = [np.linalg.lstsq(V_k, b, rcond=None)[0] for b, V_k in zip(vectors, V, strict=True)]
        found = fixed_point(families, bases, t)
        if found is not None:
            return found, bases
        smaller = _restricted(_Equations(families, bases))
        if smaller is None:
            return None
        bases = smaller
    return None


def _restricted(equations: _Equations) -> list[Vectors] | None:
    """Bases of fewer vectors; None: no column can be restricted.

    The columns of one basis V and the same slopes have M = Σ ttᵀ, and Σ VMVᵀ over the bases is A: linear equations. Where they
    determine a principal submatrix of an M and it is singular, t is orthogonal to its kernel.
    """
    kinds: list[int] = []  # for each column the first that is like it
    for k, basis in enumerate(equations.bases):
        likes = [m for m in range(k) if equations.bases[m] == basis and all(f[m] == f[k] for f in equations.exact)]
        kinds.append(likes[0] if likes else k)
    sizes = {k: len(equations.bases[k]) for k in kinds}
    unknowns = [(k, s, r) for k, size in sizes.items() for s in range(size) for r in range(s, size)]
    columns = [
        [
            of_family[k][i][s] * of_family[k][j][r] + (of_family[k][i][r] * of_family[k][j][s] if r != s else 0)
            for of_family, (f, i, j) in ((equations.exact[f], (f, i, j)) for f, i, j in equations.pairs)
        ]
        for k, s, r in unknowns
    ]
    values = _determined_values(np.array(columns, dtype=float).T * equations.unit[:, None], columns, equations.right)
    if values is None:
        return None
    known = {unknown: value for unknown, value in zip(unknowns, values, strict=True) if value is not None}
    orthogonal = {k: list(_kernels(known, k, len(equations.bases[k]))) for k in set(kinds)}
    if not any(orthogonal.values()):
        return None
    bases: list[Vectors] = []
    for k, basis in zip(kinds, equations.bases, strict=True):
        combinations = kernel_basis(orthogonal[k], len(basis))
        bases.append([
            [sum((w * v[i] for w, v in zip(t, basis, strict=True) if w), start=Fraction(0)) for i in range(len(basis[0]))]
            for t in combinations
        ])  # fmt: skip
    return bases


def _determined_values(G: np.ndarray, columns: list[list[Number]], right: list[Number]) -> list[Fraction | None] | None:
    """The unknowns of Σ x_u columns[u] = right that have one value; G: the columns in float, rows scaled. None: not solvable."""
    from scipy.linalg import qr

    _, singular, Vt = np.linalg.svd(G)
    rank = int((singular > SINGULAR * singular[0]).sum())
    free = np.linalg.norm(Vt[rank:], axis=0) > SINGULAR
    chosen = [int(u) for u in qr(G, mode="r", pivoting=True)[1][:rank]]
    rows = [int(e) for e in qr(G[:, chosen].T, mode="r", pivoting=True)[1][:rank]]
    solution = solve([[columns[u][e] for u in chosen] for e in rows], [[right[e]] for e in rows])
    if solution is None:
        return None
    x = {u: row[0] for u, row in zip(chosen, solution, strict=True)}
    return [None if free[u] else x.get(u) for u in range(len(columns))]


def _kernels(known: dict[tuple[int, int, int], Fraction], k: int, d: int) -> Iterator[list[Fraction]]:
    """Vectors of length d that are in the kernel of a determined principal submatrix of the M of basis k, and 0 elsewhere."""
    alive = [s for s in range(d) if (k, s, s) in known]
    graph = {s: {r for r in alive if r != s and (k, min(s, r), max(s, r)) in known} for s in alive}
    for block in maximal_cliques(graph, MANY_BLOCKS) or []:
        M = [[known[k, min(s, r), max(s, r)] for r in block] for s in block]
        for w in kernel_of(M):
            place = dict(zip(block, w, strict=True))
            yield [place.get(s, Fraction(0)) for s in range(d)]


def kernel_of(A: Vectors | list[list[Fraction]]) -> list[list[Fraction]]:
    """A rational basis of the kernel of a positive semidefinite matrix, [] if there is none in floating point."""
    approximate = np.array([[float(v) for v in row] for row in A])
    scale = np.sqrt(np.maximum(np.diag(approximate), 0.0))
    scale[scale == 0.0] = 1.0
    if len(independent_rows(approximate / np.outer(scale, scale))) == len(A):
        return []
    return kernel_basis(A, len(A))


def _gauss_newton(equations: _Equations, t: list[np.ndarray]) -> list[np.ndarray]:
    """Steps of least change."""
    last, best = np.inf, t
    for _ in range(30):
        F, J = equations.residual_and_jacobian(t)
        size = float(np.linalg.norm(F * equations.unit))
        if not np.isfinite(size) or size >= last:
            return best
        best = t
        if size >= last / 2:
            return best
        last = size
        step = np.linalg.lstsq(J * equations.unit[:, None], -F * equations.unit, rcond=1e-11)[0]
        t = np.split(np.concatenate(t) + step, equations.starts[1:-1])
    return best


def _rank(J: np.ndarray) -> int:
    values = np.linalg.svd(J, compute_uv=False)
    return int((values > SINGULAR * values[0]).sum()) if len(values) and values[0] > 0 else 0


def _dependencies(
    equations: _Equations, J: np.ndarray, reached: list[int], rank: int
) -> tuple[list[int], tuple[tuple[tuple[int, Number], ...], ...]] | None:
    """(equations that are kept, dependencies of the others on them), or None: there are fewer than the rank of J asks for.

    The values of the left sides at a few integer t span what they span at all t.
    """
    from scipy.linalg import qr

    points = _evaluations(equations, reached, rank + 1)
    if points is None or len(points) > rank:
        return None
    order = qr(J[reached].T, mode="r", pivoting=True)[1]
    chosen = sorted(int(a) for a in order[:rank])
    kept, others = [reached[a] for a in chosen], [a for a in range(len(reached)) if a not in set(chosen)]
    # Y[e] for each other equation: its values are Σ_kept Y · theirs.
    Y = solve([[point[a] for a in chosen] for point in points], [[point[a] for a in others] for point in points])
    if Y is None:
        return None
    dependencies = []
    for column, a in enumerate(others):
        terms = [(kept[row], -weights[column]) for row, weights in enumerate(Y) if weights[column]]
        e = reached[a]
        if equations.right[e] + sum((y * equations.right[f] for f, y in terms), start=Fraction(0)):
            return None
        dependencies.append(((e, 1), *((f, v.numerator if v.denominator == 1 else v) for f, v in terms)))
    return kept, tuple(dependencies)


def _evaluations(equations: _Equations, reached: list[int], most: int) -> list[list[Number]] | None:
    """Independent vectors ((V_k t)_i (V_k t)_j) over the reached equations, for integer t; all that there are, or `most`."""
    rng = np.random.default_rng(0)
    points: list[list[Number]] = []
    for k, basis in enumerate(equations.bases):
        d = len(basis)
        wanted = d * (d + 1) // 2
        batch = []
        for _ in range(wanted):
            t = [int(v) for v in rng.integers(1, 100, d)]
            b = [
                [sum(v * s for v, s in zip(row, t, strict=True)) for row in of_family[k]]
                for of_family in equations.exact
            ]
            batch.append([b[f][i] * b[f][j] for f, i, j in (equations.pairs[e] for e in reached)])
        together = points + batch
        points = [together[r] for r in pivots_modulo(together, PRIME)]
        if len(points) >= most:
            return points
    return points


def _refined(
    equations: _Equations, t: list[np.ndarray], J: np.ndarray, M: np.ndarray, kept: list[int]
) -> list[list[Fraction]]:
    """Centers with an exact residual far below rounding: Newton steps of the float inverse, residuals in rationals."""
    unit = Fraction(2) ** (
        int(np.floor(np.log2(max(float(abs(t_k).max(initial=0.0)) for t_k in t) or 1.0))) - CENTER_BITS
    )
    centers = [[round(Fraction(float(v)) / unit) * unit for v in t_k] for t_k in t]
    last = None
    for _ in range(4):
        F = [equations.exact_residual(centers)[e] for e in kept]
        size = max(abs(f) for f in F)
        if size == 0 or (last is not None and size >= last / 16):
            break
        last = size
        step = -J.T @ (M @ np.array([float(f / size) for f in F]))
        moved = iter([round(Fraction(float(s)) * size / unit) * unit for s in step])
        before, centers = centers, [[c + next(moved) for c in of_column] for of_column in centers]
        if max(abs(f) for f in (equations.exact_residual(centers)[e] for e in kept)) >= size:
            return before
    return centers


def _dyadic(M: np.ndarray) -> Matrix:
    """Rounded to 44 bits below the largest entry: short common denominators keep the check fast."""
    unit = 2.0 ** (np.floor(np.log2(abs(M).max())) - 44)
    factor = Fraction(unit)
    return tuple(tuple(round(float(v / unit)) * factor for v in row) for row in M)


# -- factorisations of a matrix --------------------------------------------------------------------------------------


def nearby_factorisation(A: Vectors, B: np.ndarray, zero: float = ZERO) -> Nearby | Face | None:
    """The proof that A has an exact factorisation near BBᵀ ≈ A with as many atoms, or None if it does not work out.

    zero: entries of B below it, relative to the root of the diagonal of A, are 0.
    """
    approximate = np.array([[float(v) for v in row] for row in A])
    scale = np.sqrt(np.maximum(np.diag(approximate), 0.0))
    scale[scale == 0.0] = 1.0
    rows = independent_rows(approximate / np.outer(scale, scale))
    r = len(rows)
    if r * (r + 1) // 2 > 2 * min(MANY_EQUATIONS, LARGEST_EQUATIONS):
        return None
    bases = bases_in_range(A, rows, scale[:, None] * zero >= B)
    on_face = None if bases is None else fixed_point_on_face([Family(rows, A)], bases, list(B.T))
    if on_face is None:
        return None
    found, bases = on_face
    columns = found.columns(bases)
    for rho in found.radii(float(abs(approximate).max())):
        proof: Nearby | Face = Nearby(tuple(rows), columns, found.inverse, rho)
        if found.dependencies:
            proof = Face(tuple(rows), columns, found.dependencies, found.inverse, rho)
        if accepted(A, proof):
            return proof
    return None


def independent_rows(A: np.ndarray) -> list[int]:
    """Rows of a principal submatrix of full rank: Cholesky with pivots, rows of A with zeros first.

    An equation of a zero A_ij says nothing when no column reaches it, and is left out; outside I it would still be there,
    as a linear dependence between the others.
    """
    R = A.copy()
    zeros = (A == 0.0).sum(axis=1)
    rows: list[int] = []
    for smallest in (1e-3, 1e-9):
        for _ in range(len(A)):
            candidates = np.flatnonzero(R.diagonal() > smallest)
            if not len(candidates):
                break
            i = int(max(candidates, key=lambda i: (zeros[i], R[i, i])))
            rows.append(i)
            R = R - np.outer(R[i], R[i]) / R[i, i]
    return sorted(rows)


def bases_in_range(A: Vectors, rows: list[int], zero: np.ndarray) -> list[Vectors] | None:
    """For each column of `zero` a rational basis of the vectors in the range of A that vanish where it is true."""
    n = len(A)
    if len(rows) == n:
        return [[[int(i == j) for j in range(n)] for i in range(n) if not column[i]] for column in zero.T]
    C = solve([[A[i][j] for j in rows] for i in rows], [A[i] for i in rows])
    if C is None:
        return None
    bases: list[Vectors] = []
    for column in zero.T:
        kernel = kernel_basis([[C[a][i] for a in range(len(rows))] for i in range(n) if column[i]], len(rows))
        bases.append([
            [sum((C[a][i] * w[a] for a in range(len(rows))), start=Fraction(0)) for i in range(n)] for w in kernel
        ])  # fmt: skip
    return bases


def kernel_basis(rows: Sequence[Sequence[Number]], width: int) -> list[list[Fraction]]:
    """A rational basis of the kernel."""
    reduced: dict[int, list[Fraction]] = {}
    for given in rows:
        row = [Fraction(v) for v in given]
        for pivot, other in reduced.items():
            if row[pivot]:
                row = [v - row[pivot] * w for v, w in zip(row, other, strict=True)]
        head = next((c for c, v in enumerate(row) if v), None)
        if head is None:
            continue
        row = [v / row[head] for v in row]
        for place, other in reduced.items():
            reduced[place] = [v - other[head] * w for v, w in zip(other, row, strict=True)]
        reduced[head] = row
    basis = []
    for free in range(width):
        if free not in reduced:
            vector = [Fraction(int(c == free)) for c in range(width)]
            for pivot, row in reduced.items():
                vector[pivot] = -row[free]
            basis.append(vector)
    return basis


def accepted(A: Vectors, proof: Upper) -> bool:
    """Whether the exact checker accepts the proof that A is completely positive."""
    try:
        check_rank_claim({"claim": "completely_positive", "A": as_json(A), "proof": as_json(proof)})
    except Rejected:
        return False
    return True
