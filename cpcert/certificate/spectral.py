"""Bounds by norms (oracle/spectral.py) as the integers of SPEC.md, "Spectral"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from cpcert.activations import Activation
from cpcert.certificate import check
from cpcert.certificate.factors import MARGINS, cholesky
from cpcert.certificate.task import Attempt, Task
from cpcert.errors import ProofError
from cpcert.oracle.spectral import SpectralProof, operator_norm
from cpcert.rounding import round_up

# Rows or columns, the fewer of them, from which norms are proven with some room at once.
LARGE = 100


@dataclass(frozen=True, eq=False)
class _Numbers:
    """x_i and G of a norm bound in floating point and as the checker's integers: X (N, n), G (m, N)."""

    activation: Activation
    X: np.ndarray
    G: np.ndarray
    exact_X: tuple[check.Matrix, int]
    exact_G: tuple[check.Matrix, int]


def spectral(task: Task, proof: SpectralProof) -> Iterator[Attempt]:
    """The writer of `SpectralProof`: its inequality, with norms proven anew, in the original coordinates."""
    problem = task.problem
    X, G = problem.X_tilde.T, problem.loss.rounded_dual(task.G)
    # The integers of the checker: a factor is one for the same power of two.
    exact_X = check.matrix(X.ravel().tolist(), problem.N, problem.n, "X")
    integers: list[int] = []
    norms: list[float] = []
    bound = _form(_Numbers(problem.activation, X, G, exact_X, task.exact_G), proof, integers, norms)
    if bound is None:
        return
    if problem.loss.last_row_implied:  # the exact one differs by rounding
        bound = bound * (1.0 + 2.0**-40)
    arrays = {"proof": np.array(integers, dtype=np.int64), "norms": np.array(norms, dtype=np.float64)}
    yield Attempt(bound, {"kind": "spectral"}, arrays)


def _form(given: _Numbers, proof: SpectralProof, integers: list[int], norms: list[float]) -> float | None:
    """The bound, and its proof at the end of `integers` and `norms`; None if a norm cannot be proven."""
    X, G, sigma = given.X, given.G, given.activation
    live = np.any(G != 0.0, axis=0) & np.any(X != 0.0, axis=1)
    if proof.kind == "signs":
        integers.append(2)
        bounds = []
        rows, exponent = given.exact_G
        for sign, part in zip((1, -1), proof.parts, strict=True):
            half = [[max(sign * v, 0) for v in row] for row in rows]
            side = replace(given, G=np.maximum(sign * G, 0.0), exact_G=(half, exponent))
            bounds.append(_form(side, part, integers, norms))
        return None if None in bounds else max(b for b in bounds if b is not None)
    if proof.kind == "triangle" or not live.any():
        integers.append(0)
        total = float(np.linalg.norm(G, axis=0) @ np.linalg.norm(X, axis=1)) * sigma.lipschitz
        return total * (1.0 + 1e-14 * (len(X) + 10))
    if proof.exponents is None:
        raise ProofError(f"a spectral proof of the kind {proof.kind!r} has no exponents")
    e = proof.exponents[live]
    integers.append(1)
    integers += e.tolist()
    used = [G[:, live] @ X[live]]
    if sigma.kink:
        used += [np.ldexp(G[:, live], -e), np.ldexp(X[live], e[:, np.newaxis])]
    values = []
    for A, (rows, exponent) in zip(used, _exact_products(given, live, e.tolist()), strict=True):
        found = norm_with_factor(A, rows, exponent)
        if found is None:
            return None
        values.append(found[0])
        norms.append(found[0])
        integers += found[1]
    mean, half_kink = abs(Fraction(sigma.a_plus) + Fraction(sigma.a_minus)) / 2, abs(sigma.exact_kink) / 2
    product = Fraction(values[1]) * Fraction(values[2]) if sigma.kink else Fraction(0)
    return round_up(mean * Fraction(values[0]) + half_kink * product)


def _exact_products(given: _Numbers, live: np.ndarray, e: list[int]) -> list[tuple[check.Matrix, int]]:
    """GX, and where the activation has a kink GD⁻¹ and DX, over the points that are live; D = diag(2^e)."""
    (x, xe), (g, ge) = given.exact_X, given.exact_G
    indices = np.flatnonzero(live).tolist()
    least, most = min(e, default=0), max(e, default=0)
    columns = range(given.X.shape[1])
    whole = [[check.dot([row[i] for i in indices], [x[i][k] for i in indices]) for k in columns] for row in g]
    exact: list[tuple[check.Matrix, int]] = [(whole, ge + xe)]
    if given.activation.kink:
        shifts = list(zip(indices, e, strict=True))
        exact.append(([[row[i] << (most - shift) for i, shift in shifts] for row in g], ge - most))
        exact.append(([[v << (shift - least) for v in x[i]] for i, shift in shifts], xe + least))
    return exact


def norm_with_factor(A: np.ndarray, rows: check.Matrix, exponent: int) -> tuple[float, list[int]] | None:
    """A float t ≥ ‖A‖ about as small as can be proven, and the Cholesky factor that proves it."""
    top, k = float(np.linalg.norm(A, 2)), min(A.shape)
    # For a large matrix each try takes seconds, and the first of these is almost always enough.
    tries = MARGINS if k < LARGE else [part * k * k * 2.0**-49 for part in (1.0, 16.0, 256.0)]
    first = operator_norm(A) if k < LARGE else np.inf
    norms = [first] if first <= top * (1.0 + 1e-13) else []
    for t in [*norms, *(top * (1.0 + margin) for margin in tries)]:
        factor = cholesky(check.norm_matrix(rows, exponent, Fraction(t)))
        if factor is not None:
            return t, factor
    return None
