"""Neurons for a covariance pair, Σ x xᵀ = K and Σ σ(x)σ(x)ᵀ = K^σ − β²11ᵀ with x in R^N: an upper bound of Rank_σ.

Search: min ‖XᵀX − K‖² + ‖σ(X)ᵀσ(X) − K^σ + β²11ᵀ‖² over X (k, N) from random starts, by Levenberg-Marquardt (L-BFGS for
large N) and Gauss-Newton steps. A small residual proves nothing. Exact neurons near those found exist where the Jacobian
has full rank (`nearby.py`). Two more ways to neurons that add up exactly (`cpcert.certificate.rank_check`, SIGMA_UPPER):

- Each x = √c·v with a rational weight c and a rational v: read off from the floats by continued fractions. It works for
  pairs of layers with few rational neurons, whose decomposition is isolated.
- Carathéodory (Lemma 10): weights c ≥ 0 of many given rational vectors with Σ c (vvᵀ, σ(v)σ(v)ᵀ) = (K, K^σ − β²11ᵀ), a
  linear program. A basic solution has at most N(N + 1) of them, and is computed exactly from its basis. It works inside
  S, when the vectors surround the pair; they are the neurons found in floating point, rounded, and random ones near
  them.

Both are heuristics until the checker has accepted the neurons.
"""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np

from cpcert.activations import Activation
from cpcert.rank.proofs import Atom, Atoms, Number

Rows = list[list[Number]]

FOUND = 1e-10
# An entry below this (in units of the root of the diagonal of K) is taken for 0.
ZERO = 1e-7
# Farther away a descent has ended elsewhere (K has unit diagonal).
NEAR = 1e-3
LARGEST_DENOMINATOR = 1000
# Up to so many equations a step of Levenberg-Marquardt is cheap.
LARGEST_JACOBIAN = 160
# Order up to which the linear program is tried, the vectors it gets for each equation, and the bits of their entries.
LARGEST_ORDER = 6
VECTORS = 12
BITS = 5


def find_neurons(
    K: np.ndarray, S: np.ndarray, activation: Activation, k: int, rng: np.random.Generator, starts: int, stop: float
) -> np.ndarray | None:
    """X (k, N) with XᵀX = K and σ(X)ᵀσ(X) = S to 1e-10 relative, or None; stop: a `time.monotonic()`. Heuristic."""
    scale = np.sqrt(np.maximum(np.diag(K), 0.0))
    inverse = np.where(scale > 0.0, 1.0 / np.where(scale > 0.0, scale, 1.0), 0.0)
    K, S = K * np.outer(inverse, inverse), S * np.outer(inverse, inverse)
    size = float(np.sqrt((K * K).sum() + (S * S).sum()))
    for _ in range(starts):
        if time.monotonic() > stop:
            return None
        X = _polished(_descend(K, S, activation, rng.standard_normal((k, len(K))) / np.sqrt(k)), K, S, activation)
        if _residual(X, K, S, activation) <= FOUND * max(size, 1e-300):
            return X * scale
    return None


def _residual(X: np.ndarray, K: np.ndarray, S: np.ndarray, activation: Activation) -> float:
    A = activation(X)
    return float(np.hypot(np.linalg.norm(X.T @ X - K), np.linalg.norm(A.T @ A - S)))


def _descend(K: np.ndarray, S: np.ndarray, activation: Activation, X: np.ndarray) -> np.ndarray:
    """Levenberg-Marquardt where the Jacobian is small, L-BFGS elsewhere."""
    if len(K) * (len(K) + 1) <= LARGEST_JACOBIAN:
        return _levenberg_marquardt(K, S, activation, X)
    from scipy.optimize import minimize

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        X = x.reshape(shape)
        A = activation(X)
        R, T = X.T @ X - K, A.T @ A - S
        gradient = X @ R + activation.slope_at(X > 0.0) * (A @ T)
        return 0.25 * float((R * R).sum() + (T * T).sum()), gradient.ravel()

    shape = X.shape
    options = {"maxiter": 2000, "ftol": 0.0, "gtol": 1e-12}
    return minimize(objective, X.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(shape)


def _levenberg_marquardt(K: np.ndarray, S: np.ndarray, activation: Activation, X: np.ndarray) -> np.ndarray:
    """Until the residual is that of rounding, or does not halve in 20 steps."""
    i, j = np.triu_indices(len(K))
    weight = np.tile(np.where(i == j, 1.0, np.sqrt(2.0)), 2)

    def residual(X: np.ndarray) -> np.ndarray:
        A = activation(X)
        return weight * np.concatenate([(X.T @ X - K)[i, j], (A.T @ A - S)[i, j]])

    small = 1e-26 * float((K * K).sum() + (S * S).sum())
    damping, r = 1e-2, residual(X)
    value = checkpoint = float(r @ r)
    for iteration in range(1, 401):
        A, slope = activation(X), activation.slope_at(X > 0.0)
        J = weight[:, np.newaxis] * _jacobian(X, A, np.ones_like(X), slope)
        # (JᵀJ + μ)⁻¹Jᵀ = Jᵀ(JJᵀ + μ)⁻¹, and the smaller of the two.
        wide = J.shape[0] < J.shape[1]
        gram = J @ J.T if wide else J.T @ J
        for _ in range(6):
            damped = gram + damping * np.eye(len(gram))
            step = -J.T @ np.linalg.solve(damped, r) if wide else -np.linalg.solve(damped, J.T @ r)
            moved = X + step.reshape(X.shape)
            r_moved = residual(moved)
            if r_moved @ r_moved < value:
                break
            damping *= 4.0
        else:
            break
        X, r, value = moved, r_moved, float(r_moved @ r_moved)
        damping = max(damping / 3.0, 1e-12)
        if value <= small:
            break
        if iteration % 20 == 0:
            if value > checkpoint / 2.0:
                break
            checkpoint = value
    return X


def _jacobian(X: np.ndarray, A: np.ndarray, free: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Of the upper triangles of XᵀX and AᵀA, A = σ(X), with respect to the entries of X (k, N); free: 0 where X is kept."""
    k, N = X.shape
    i, j = np.triu_indices(N)
    e = np.arange(len(i))
    J = np.zeros((2, len(i), k, N))
    J[0, e, :, i] += X.T[j] * free.T[i]
    J[0, e, :, j] += X.T[i] * free.T[j]
    J[1, e, :, i] += A.T[j] * slope.T[i]
    J[1, e, :, j] += A.T[i] * slope.T[j]
    return J.reshape(2 * len(i), k * N)


def _polished(X: np.ndarray, K: np.ndarray, S: np.ndarray, activation: Activation) -> np.ndarray:
    """Gauss-Newton steps of least change in the entries that are not 0, signs kept."""
    k, N = X.shape
    i, j = np.triu_indices(N)
    X = np.where(np.abs(X) > ZERO, X, 0.0)
    if not _residual(X, K, S, activation) < NEAR:
        return X
    for _ in range(20):
        A = activation(X)
        slope = activation.slope_at(X > 0.0) * (X != 0.0)
        right = np.concatenate([(K - X.T @ X)[i, j], (S - A.T @ A)[i, j]])
        if np.linalg.norm(right) < 1e-15 * max(float(np.linalg.norm(K)), 1e-300):
            break
        step = np.linalg.lstsq(_jacobian(X, A, X != 0.0, slope), right, rcond=1e-9)[0].reshape(k, N)
        moved = X + step
        moved = np.where(np.sign(moved) == np.sign(X), moved, 0.0)
        if not _residual(moved, K, S, activation) < _residual(X, K, S, activation):
            break
        X = moved
    return X


def rational_neurons(X: np.ndarray) -> Atoms:
    """The neurons √c·v with rational c and v that X (k, N) looks like; whether they add up is for the checker to say."""
    atoms = []
    for x in X:
        size = float(np.abs(x).max(initial=0.0))
        if size > 0.0:
            # The smallest entry as the unit gives the smallest denominators.
            unit = float(np.abs(x[np.abs(x) > 1e-5 * size]).min())
            entries = tuple((i, _nearest(v / unit)) for i, v in enumerate(x.tolist()) if abs(v) > 1e-5 * size)
            atoms.append(Atom(_nearest(unit * unit), entries))
    return Atoms(tuple(atoms))


def _nearest(value: float) -> Fraction:
    return Fraction(value).limit_denominator(LARGEST_DENOMINATOR)


def basic_neurons(K: Rows, S: Rows, activation: Activation, X: np.ndarray, rng: np.random.Generator) -> Atoms | None:
    """At most N(N + 1) rational neurons that add up to the pair exactly, by linear programming near X (k, N), or None."""
    from scipy.optimize import linprog

    N = len(K)
    if N > LARGEST_ORDER or not X.any():
        return None
    unit = np.exp2(np.round(np.log2(np.abs(X).max(axis=0, initial=1e-300))))
    many = np.repeat(X / unit, -(-VECTORS * N * (N + 1) // len(X)), axis=0)
    spread = np.repeat([0.0, 0.1, 0.3, 1.0], -(-len(many) // 4))[: len(many), np.newaxis]
    many = np.rint((many + spread * np.abs(many).mean() * rng.standard_normal(many.shape)) * 2**BITS).astype(int)
    many = np.unique(many[many.any(axis=1)], axis=0)
    exponents = np.log2(unit).astype(int) - BITS
    vectors = [[v * Fraction(2) ** int(e) for v, e in zip(row, exponents, strict=True)] for row in many.tolist()]
    columns = [_image(v, activation) for v in vectors]
    target = [M[i][j] for M in (K, S) for i in range(N) for j in range(i, N)]
    A, b = np.array(columns, dtype=float).T, np.array(target, dtype=float)
    size = np.maximum(np.abs(A).max(axis=1), 1e-300)
    found = linprog(
        rng.random(A.shape[1]), A_eq=A / size[:, np.newaxis], b_eq=b / size, bounds=(0.0, None), method="highs-ds"
    )
    if found.x is None:
        return None
    basis = [k for k, weight in enumerate(found.x) if weight > 0.0]
    weights = _solve([columns[k] for k in basis], target)
    if weights is None or min(weights, default=Fraction(0)) < 0:
        return None
    pairs = [(weight, vectors[k]) for weight, k in zip(weights, basis, strict=True) if weight]
    return Atoms(tuple(Atom(weight, tuple((i, v) for i, v in enumerate(vector) if v)) for weight, vector in pairs))


def _image(v: list[Fraction], activation: Activation) -> list[Fraction]:
    """(vvᵀ, σ(v)σ(v)ᵀ), the upper triangles one after the other."""
    a = [Fraction(activation.a_plus if x > 0 else activation.a_minus) * x for x in v]
    return [u[i] * u[j] for u in (v, a) for i in range(len(v)) for j in range(i, len(v))]


def _solve(columns: list[list[Fraction]], target: list[Number]) -> list[Fraction] | None:
    """The weights with Σ weight·column = target, exactly; None if there are none or many."""
    rows = [[*(Fraction(column[e]) for column in columns), Fraction(value)] for e, value in enumerate(target)]
    count = len(columns)
    for c in range(count):
        pivot = next((r for r in range(c, len(rows)) if rows[r][c]), None)
        if pivot is None:
            return None
        rows[c], rows[pivot] = rows[pivot], rows[c]
        head = rows[c][c]
        rows[c] = [v / head for v in rows[c]]
        for r in range(len(rows)):
            if r != c and rows[r][c]:
                factor = rows[r][c]
                rows[r] = [v - factor * w for v, w in zip(rows[r], rows[c], strict=True)]
    if any(row[count] for row in rows[count:]):
        return None
    return [rows[c][count] for c in range(count)]
