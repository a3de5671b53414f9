"""The conic program of the corrective step (corrective.py): its variables, its rows, and its solution read back.

Variables, in this order: Z by output (m·N; none for a constraint, whose Z is Y), the bias (m), then (u, t) per pattern column
and (v, t) per neuron column with the norms ‖u‖ ≤ t, ‖v‖ ≤ t, then what the conic form of the loss needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cpcert.conic import Cone, ConicSolution, Rows, solve_conic
from cpcert.frank_wolfe.active_set import Columns, Correction, Neurons
from cpcert.frank_wolfe.arcs import cone_sides
from cpcert.losses import ConicForm
from cpcert.problem import Problem

# Curvature of the penalty on the bias above which it gets a unit of its own.
HEAVY = 64.0


@dataclass(frozen=True, eq=False)
class Units:
    """The program is solved for X = points·back/x (N, r), Y/y and the objective divided by `objective`.

    back (r, r): the identity, or what makes the columns of X orthonormal where they are ill conditioned: unscaled
    features, or points that nearly coincide beside the bias. A neuron of the program is u = back·u′.
    """

    x: float
    y: float
    objective: float
    X: np.ndarray
    back: np.ndarray


@dataclass(frozen=True, eq=False)
class Quadratic:
    """C as ⟨gradient, d⟩ + ½ Σ_i d_iᵀ curvature_i d_i, in the units, with Z = origin + unit·d: gradient and origin (m, N),
    curvature (N, m, m). reach: how large an entry of d may be for the model to be trusted."""

    origin: np.ndarray
    unit: float
    gradient: np.ndarray
    curvature: np.ndarray
    reach: float = math.inf


@dataclass(frozen=True)
class _Places:
    """Where the variables of each kind begin, after those of Z; how many there are, and the unit of the bias: the variable is
    βb/(y·unit_b), whose penalty is not large."""

    bias: int
    patterns: int
    neurons: int
    loss: int
    total: int
    unit_b: float


def solve_columns(
    problem: Problem, points: np.ndarray, columns: Columns, units: Units, model: Quadratic | None, deadline: float
) -> Correction | None:
    """The solution of the program on the columns, points (N, r), with `model` in place of C (None: C itself).

    None when the solver returns nothing finite.
    """
    form = problem.loss.conic_form(problem.targets / units.y) if model is None else None
    at = _places(problem, points, columns, units, form)
    P, linear = _objective(problem, units, model, form, at)
    rows = [
        _outputs(problem, points, columns, units, model, at),
        *_cones(problem, points, columns, units, at),
        *_loss_rows(model, form, at),
    ]
    found = solve_conic(P, linear, rows, deadline)
    return None if found is None else _correction(problem, columns, units, at, found)


def _places(problem: Problem, points: np.ndarray, columns: Columns, units: Units, form: ConicForm | None) -> _Places:
    n_z = 0 if problem.loss.is_constraint else problem.m * problem.N
    bias = problem.m if problem.beta != 0.0 else 0
    patterns = n_z + bias
    neurons = patterns + len(columns.output) * (points.shape[1] + 1)
    loss = neurons + len(columns.W) * (problem.m + 1)
    total = loss + (0 if form is None else len(form.linear) - n_z)
    unit_b = 2.0 ** min(0, -math.ceil(0.5 * math.log2(_bias_weight(problem, units) / HEAVY))) if bias else 1.0
    return _Places(n_z, patterns, neurons, loss, total, unit_b)


def _bias_weight(problem: Problem, units: Units) -> float:
    """The curvature of the penalty in βb/y."""
    return 2.0 * problem.lam / problem.beta**2 * units.y**2 / units.objective


def _objective(
    problem: Problem, units: Units, model: Quadratic | None, form: ConicForm | None, at: _Places
) -> tuple[sparse.csc_matrix, np.ndarray]:
    """The upper triangle of the quadratic term, and the linear one."""
    N, m, n_z = problem.N, problem.m, at.bias
    quadratic, linear = np.zeros(at.total), np.zeros(at.total)
    price = 2.0 * problem.lam * units.y / units.x / units.objective
    for start, end, width in ((at.patterns, at.neurons, units.X.shape[1]), (at.neurons, at.loss, m)):
        linear[start + width : end : width + 1] = price
    if at.patterns > at.bias:
        quadratic[at.bias : at.patterns] = _bias_weight(problem, units) * at.unit_b**2
    if form is not None:
        quadratic[:n_z] = form.quadratic
        linear[:n_z], linear[at.loss :] = form.linear[:n_z], form.linear[n_z:]
    if model is None:
        return sparse.diags(quadratic, format="csc"), linear
    quadratic[:n_z] = np.einsum("njj->jn", model.curvature).ravel()
    linear[:n_z] = model.gradient.ravel()
    P = sparse.diags(quadratic, format="csc")
    j, k = np.triu_indices(m, 1)
    mixed = model.curvature[:, j, k].ravel()
    if mixed.any():
        i = np.arange(N)[:, np.newaxis]
        places = ((j * N + i).ravel(), (k * N + i).ravel())
        P = P + sparse.csc_matrix((mixed, places), shape=(at.total, at.total))
    return P, linear


def _outputs(
    problem: Problem, points: np.ndarray, columns: Columns, units: Units, model: Quadratic | None, at: _Places
) -> Rows:
    """Z − Σ … = 0, or −Σ … = −Y for a constraint, m·N rows."""
    p, q = len(columns.output), len(columns.W)
    N, m, r = problem.N, problem.m, points.shape[1]
    blocks, right = [], -(problem.targets / units.y).ravel()
    if not problem.loss.is_constraint:
        right = np.zeros(m * N) if model is None else -model.origin.ravel()
        blocks.append(sparse.diags(np.full(m * N, 1.0 if model is None else model.unit), format="csc"))
    if problem.beta != 0.0:
        blocks.append(sparse.kron(sparse.identity(m), np.full((N, 1), -at.unit_b)))
    if p:
        features = problem.activation.slope_at(columns.pattern)[:, :, np.newaxis] * units.X  # (p, N, r)
        dense = np.zeros((m, N, p, r + 1))
        dense[:, :, :, :r] = -np.einsum("pm,pnr->mnpr", columns.output, features)
        blocks.append(sparse.csc_matrix(dense.reshape(m * N, p * (r + 1))))
    if q:
        values = problem.activation.slope_at(columns.W_pattern) * (columns.W @ (points / units.x).T)  # (q, N)
        dense = np.zeros((m, N, q, m + 1))
        for j in range(m):
            dense[j, :, :, j] = -values.T
        blocks.append(sparse.csc_matrix(dense.reshape(m * N, q * (m + 1))))
    if not blocks:
        blocks.append(sparse.csc_matrix((m * N, 0)))
    return Rows(_pad(sparse.hstack(blocks), 0, at.total), right, Cone.ZERO)


def _cones(problem: Problem, points: np.ndarray, columns: Columns, units: Units, at: _Places) -> list[Rows]:
    """Each u in the cone of its pattern (not needed without a kink), and the norms ‖u‖ ≤ t, ‖v‖ ≤ t."""
    rows = []
    p, q, m, r = len(columns.output), len(columns.W), problem.m, points.shape[1]
    if p and problem.activation.kink != 0.0:
        if r <= 2 and points.any():
            sides = cone_sides(points, columns.pattern)
        else:
            norms = np.linalg.norm(units.X, axis=1, keepdims=True)
            unit_rows = units.X / np.where(norms > 0.0, norms, 1.0)
            sides = np.where(columns.pattern, 1.0, -1.0)[:, :, np.newaxis] * unit_rows
        height = sides.shape[1]
        inside = [sparse.csc_matrix(np.hstack([-rows_of_u, np.zeros((height, 1))])) for rows_of_u in sides]
        block = _pad(sparse.block_diag(inside), at.patterns, at.total)
        rows.append(Rows(block, np.zeros(p * height), Cone.NONNEGATIVE))
    for start, count, inner in ((at.patterns, p, units.back), (at.neurons, q, np.eye(m))):
        if count:
            width = len(inner)
            norm = np.zeros((width + 1, width + 1))
            norm[0, width] = -1.0
            norm[1:, :width] = -inner
            block = _pad(sparse.kron(sparse.identity(count), norm), start, at.total)
            rows.append(Rows(block, np.zeros(count * (width + 1)), Cone.SECOND_ORDER, width + 1))
    return rows


def _loss_rows(model: Quadratic | None, form: ConicForm | None, at: _Places) -> list[Rows]:
    """What is required of Z and of the further variables: |d| ≤ reach, or the rows of the conic form."""
    n_z = at.bias
    if model is not None and math.isfinite(model.reach):
        here = sparse.identity(n_z, format="csc")
        block = _pad(sparse.vstack([here, -here]), 0, at.total)
        return [Rows(block, np.full(2 * n_z, model.reach), Cone.NONNEGATIVE)]
    rows = []
    for each in form.rows if form is not None else ():
        # The columns between Z and the further variables are empty.
        starts = each.A.indptr
        between = np.full(at.loss - n_z, starts[n_z])
        starts = np.concatenate([starts[:n_z], between, starts[n_z:]])
        A = sparse.csc_matrix((each.A.data, each.A.indices, starts), shape=(len(each.b), at.total))
        rows.append(Rows(A, each.b, each.cone, each.size))
    return rows


def _correction(problem: Problem, columns: Columns, units: Units, at: _Places, found: ConicSolution) -> Correction:
    """The solution in the units of the problem, with all neurons, and the multiplier of Z."""
    m, N, r = problem.m, problem.N, len(units.back)
    u = found.x[at.patterns : at.neurons].reshape(-1, r + 1)[:, :r] @ units.back.T
    v = found.x[at.neurons : at.loss].reshape(-1, m + 1)[:, :m]
    norms = np.linalg.norm(u, axis=1)
    W = np.concatenate([u / np.where(norms > 0.0, norms, 1.0)[:, np.newaxis], columns.W])
    V = np.concatenate([columns.output * norms[:, np.newaxis], v]).T * (units.y / units.x)
    b = found.x[at.bias : at.patterns] * (units.y * at.unit_b) / problem.beta if problem.beta != 0.0 else np.zeros(m)
    patterns = np.concatenate([columns.pattern, columns.W_pattern])
    return Correction(Neurons(W, V, b, patterns), found.z[: m * N].reshape(m, N) * units.objective / units.y)


def _pad(block: sparse.spmatrix, start: int, total: int) -> sparse.csc_matrix:
    """`block` in the columns from `start` on, of `total` columns."""
    height, width = block.shape
    parts = [sparse.csc_matrix((height, start)), block, sparse.csc_matrix((height, total - start - width))]
    return sparse.hstack(parts, format="csc")
