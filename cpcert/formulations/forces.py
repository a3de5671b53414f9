"""Attraction and repulsion: the two forces that hold a hidden representation in place, and where they cancel.

With A_ℓ = Z_ℓ^σ, K_ℓ^σ = A_ℓᵀA_ℓ and W̄ = W without its bias column, W_{ℓ+1} = Z_{ℓ+1} A_ℓ^+ (Prop. 1, section 3.1 of
the paper),

    attraction_ℓ = ∂/∂Z_ℓ ‖Z_ℓ A_{ℓ−1}^+‖²     =  2 Z_ℓ (K_{ℓ−1}^σ)^+,                                                  (1)
    repulsion_ℓ  = ∂/∂Z_ℓ ‖Z_{ℓ+1} A_ℓ^+‖²     = −2 σ'(Z_ℓ) ⊙ (W̄_{ℓ+1}ᵀ Z_{ℓ+1} (K_ℓ^σ)^+).                              (2)

At every stationary point of L_λ, with the back-propagated duals Ĝ (duals.py) and P_{ℓ−1} the projection on Im
K_{ℓ−1}^σ,

    Z_ℓ (K_{ℓ−1}^σ)^+ = Ĝ_ℓ P_{ℓ−1},    Ĝ_ℓ = σ'(Z_ℓ) ⊙ (W̄_{ℓ+1}ᵀ Ĝ_{ℓ+1}).                                             (3)

`identity_residual` is the relative difference of its sides, with K^σ truncated at `rcond` (1e-2: what training
resolves); `stationarity_residual` is ‖W_ℓ − Ĝ_ℓ A_{ℓ−1}ᵀ‖/‖W_ℓ‖. Entries within `kink_tolerance` of 0 are kinks: their
slopes are chosen to make (3) hold best, over all hidden layers together. (1) + (2) = 0 holds where Z_ℓ^σ has rank N,
after projection by P_{ℓ−1}: `cancellation_residual` is ‖(attraction + repulsion) P_{ℓ−1}‖/‖attraction‖, `rank` says
whether to expect 0. With tikhonov = ε > 0 the forces are those of the regularised cost. Rays: neurons (rows of Z_ℓ)
that point in the same direction.

Floating point throughout: nothing here is a proven bound. docs/mathematics/representations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cpcert.errors import InputError
from cpcert.formulations.representations import relative_residual
from cpcert.network import Network, layer_features
from cpcert.outcomes import Outcome
from cpcert.output import write_json
from cpcert.printing import about, plural

if TYPE_CHECKING:
    from cpcert.problem import Problem

RCOND = 1e-2
KINK_TOLERANCE = 1e-3
# Neurons within this angle of the strongest of them are one ray; those below this share of the largest norm are on none.
RAY_DEGREES = 10.0
FAINT = 1e-2


@dataclass(frozen=True, eq=False)
class Ray:
    """Neurons of one direction: their indices, strongest first; the share of ‖Z_ℓ‖² they carry; their mean direction
    (N,), of norm 1; the largest angle to it, in degrees."""

    neurons: tuple[int, ...]
    share: float
    direction: np.ndarray
    spread: float


@dataclass(frozen=True, eq=False)
class LayerForces:
    """One hidden layer. Z, attraction, repulsion: (n_ℓ, N), the gradients (1), (2) of the module; the forces are minus these.

    rank_before, rank: of Z_{ℓ−1}^σ and Z_ℓ^σ at `rcond`; full: whether Z_ℓ^σ has rank N, so that the forces should cancel.
    kinks: how many entries of Z_ℓ are on a kink. faint: how many neurons are too small to have a direction.
    """

    layer: int
    Z: np.ndarray
    attraction: np.ndarray
    repulsion: np.ndarray
    stationarity_residual: float
    identity_residual: float
    cancellation_residual: float
    kinks: int
    rank_before: int
    rank: int
    rays: tuple[Ray, ...]
    faint: int

    @property
    def full(self) -> bool:
        """Z_ℓ^σ has rank N."""
        return self.rank == self.Z.shape[1]


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """A = Z^σ by its singular values above rcond·s_1: V (N, k) orthonormal, s (k,)."""

    A: np.ndarray
    V: np.ndarray
    s: np.ndarray

    @classmethod
    def of(cls, A: np.ndarray, rcond: float) -> _Spectrum:
        _, s, Vt = np.linalg.svd(A, full_matrices=False)
        k = int(np.sum(s > rcond * s.max(initial=0.0)))
        return cls(A, Vt[:k].T, s[:k])

    def times_inverse(self, Z: np.ndarray, tikhonov: float) -> np.ndarray:
        """Z (AᵀA)^+, truncated, or Z (AᵀA + εI)⁻¹."""
        if tikhonov == 0.0:
            return (Z @ self.V / self.s**2) @ self.V.T
        return np.linalg.solve(self.A.T @ self.A + tikhonov * np.eye(self.A.shape[1]), Z.T).T


def layer_forces(
    problem: Problem,
    network: Network,
    rcond: float = RCOND,
    tikhonov: float = 0.0,
    kink_tolerance: float = KINK_TOLERANCE,
) -> list[LayerForces]:
    """The forces at every hidden layer of any network of the problem, first layer first, with both residuals.

    rcond: singular values of Z^σ up to this fraction of the largest count as 0. tikhonov: ε, in units of K^σ; 0: truncation alone.
    Raises InputError when the network does not fit, for `interpolate` (no gradient, hence no duals), and for parameters out of range.
    """
    network.check_fits(problem)
    check_parameters(problem, rcond, tikhonov, kink_tolerance)
    sigma, beta = problem.activation, problem.beta
    Z = network.forward(problem.X)
    spectra = [_Spectrum.of(A, rcond) for A in (problem.X_tilde, *(layer_features(Z_l, sigma, beta) for Z_l in Z[:-1]))]
    slopes, kinks = _slopes(problem, network, Z, spectra, kink_tolerance)
    duals = _duals(problem, network, Z[-1], slopes)
    found = []
    for index, dual in enumerate(duals):
        before, after = spectra[index], spectra[index + 1]
        W, width = network.weights[index], len(Z[index])
        pull = before.times_inverse(Z[index], tikhonov)
        ahead = after.times_inverse(Z[index + 1], tikhonov)
        push = -2.0 * (after.A @ ahead.T)[:width] @ ahead
        sum_of_forces = 2.0 * pull + slopes[index] * push
        exact = before.times_inverse(Z[index], 0.0)
        rays, faint = find_rays(Z[index])
        found.append(
            LayerForces(
                layer=index + 1,
                Z=Z[index],
                attraction=2.0 * pull,
                repulsion=sigma.slope_at(Z[index] > 0.0) * push,
                stationarity_residual=relative_residual(W - dual @ before.A.T, W),
                identity_residual=relative_residual(exact - dual @ before.V @ before.V.T, exact),
                cancellation_residual=relative_residual(sum_of_forces @ before.V @ before.V.T, 2.0 * pull),
                kinks=int(kinks[index].sum()),
                rank_before=len(before.s),
                rank=len(after.s),
                rays=rays,
                faint=faint,
            )
        )
    return found


def check_parameters(problem: Problem, rcond: float, tikhonov: float, kink_tolerance: float) -> None:
    """Raise InputError for `interpolate` and for parameters out of range."""
    if problem.loss.is_constraint:
        raise InputError(f"loss: {problem.loss.name} has no gradient, and forces need one; use mse and a small lambda")
    if not 0.0 < rcond < 1.0:
        raise InputError(f"rcond: is {rcond:g}; give a number between 0 and 1, like {RCOND:g}")
    if not 0.0 <= tikhonov < np.inf:
        raise InputError(f"tikhonov: is {tikhonov:g}; give a finite number >= 0 (0: the truncated pseudo-inverse)")
    if not 0.0 <= kink_tolerance < 1.0:
        raise InputError(f"kink_tolerance: is {kink_tolerance:g}; give a number in [0, 1), like {KINK_TOLERANCE:g}")


def _duals(problem: Problem, network: Network, outputs: np.ndarray, slopes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """[Ĝ_1, …, Ĝ_{L−1}] with these slopes [(n_1, N), …]: (3)."""
    dual = -problem.loss.gradient(outputs, problem.targets) / (2.0 * problem.lam)
    duals = []
    for slope, W in zip(slopes[::-1], network.weights[:0:-1], strict=True):
        dual = slope * (W[:, : len(slope)].T @ dual)
        duals.append(dual)
    return duals[::-1]


def _slopes(
    problem: Problem, network: Network, Z: Sequence[np.ndarray], spectra: Sequence[_Spectrum], tolerance: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(slopes, which entries are on a kink), each a list of (n_ℓ, N), ℓ < L: σ'(Z), at kinks the slopes that fit (3) best.

    First layer by layer from the outputs down, each neuron by itself: least squares with bounds. Where Z_{ℓ−1}^σ has fewer
    directions than a neuron has kinks, that leaves a choice, on which the layers below depend. So then all slopes together.
    """
    from scipy.optimize import least_squares, lsq_linear

    sigma, hidden = problem.activation, Z[:-1]
    low, high = sorted((sigma.a_minus, sigma.a_plus))
    slopes = [sigma.slope_at(Z_l > 0.0) for Z_l in hidden]
    kinks = [_on_kink(Z_l, tolerance) & (low < high) for Z_l in hidden]
    targets = [Z_l @ before.V / before.s**2 for Z_l, before in zip(hidden, spectra, strict=False)]
    for index in range(len(hidden) - 1, -1, -1):
        V, on_kink = spectra[index].V, kinks[index]
        ones = [*slopes[:index], np.ones_like(slopes[index]), *slopes[index + 1 :]]
        backward = _duals(problem, network, Z[-1], ones)[index]
        for i in np.flatnonzero(on_kink.any(axis=1)):
            free = np.flatnonzero(on_kink[i] & (backward[i] != 0.0))
            if len(free) == 0:
                continue
            fixed = slopes[index][i] * backward[i]
            fixed[free] = 0.0
            columns = (V[free] * backward[i, free, np.newaxis]).T
            fit = lsq_linear(columns, targets[index][i] - fixed @ V, bounds=(low, high), method="bvls")
            slopes[index][i, free] = fit.x
    if len(hidden) == 1 or not any(on_kink.any() for on_kink in kinks[1:]):
        return slopes, kinks

    sizes = [float(np.linalg.norm(target)) or 1.0 for target in targets]

    def with_values(x: np.ndarray) -> list[np.ndarray]:
        changed = [slope.copy() for slope in slopes]
        parts = np.split(x, np.cumsum([on_kink.sum() for on_kink in kinks])[:-1])
        for slope, on_kink, part in zip(changed, kinks, parts, strict=True):
            slope[on_kink] = part
        return changed

    def residual(x: np.ndarray) -> np.ndarray:
        duals = _duals(problem, network, Z[-1], with_values(x))
        layers = zip(targets, duals, spectra, sizes, strict=False)
        return np.concatenate([((target - dual @ before.V) / size).ravel() for target, dual, before, size in layers])

    start = np.concatenate([slope[on_kink] for slope, on_kink in zip(slopes, kinks, strict=True)])
    start = np.clip(start, low, high)  # the bounded fits end outside by rounding
    fit = least_squares(residual, start, bounds=(low, high), xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=30)
    return (with_values(fit.x) if 2.0 * fit.cost < np.sum(residual(start) ** 2) else slopes), kinks


def _on_kink(Z: np.ndarray, tolerance: float) -> np.ndarray:
    """Entries of at most `tolerance` times the largest of their row, where that is not itself negligible, (n_ℓ, N)."""
    size = np.abs(Z).max(axis=1, initial=0.0)[:, np.newaxis]
    # A neuron that is 0 on every point has no kinks to speak of: nothing flows through it, whatever its slopes.
    return (np.abs(Z) <= tolerance * size) & (size > FAINT**2 * size.max(initial=0.0))


def find_rays(Z: np.ndarray, degrees: float = RAY_DEGREES) -> tuple[tuple[Ray, ...], int]:
    """(rays, faint): groups of rows of Z (n, N) that point in the same direction, the largest share of ‖Z‖² first.

    Greedy: the strongest row that is left takes all rows within `degrees` of it. Rows with a norm of at most FAINT times the
    largest are on no ray; `faint` counts them.
    """
    norms = np.linalg.norm(Z, axis=1)
    clear = norms > FAINT * norms.max(initial=0.0)
    unit = Z / np.where(norms > 0.0, norms, 1.0)[:, np.newaxis]
    rays = []
    left = clear.copy()
    for leader in np.argsort(-norms, kind="stable"):
        if not left[leader]:
            continue
        members = np.flatnonzero(left & (unit @ unit[leader] >= np.cos(np.radians(degrees))))
        left[members] = False
        members = members[np.argsort(-norms[members], kind="stable")]
        direction = norms[members] @ Z[members]
        direction /= np.linalg.norm(direction)
        cosine = float(np.min(unit[members] @ direction))
        share = float(np.sum(norms[members] ** 2) / np.sum(norms**2))
        spread = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
        rays.append(Ray(tuple(int(k) for k in members), share, direction, spread))
    return tuple(sorted(rays, key=lambda ray: -ray.share)), int(np.sum(~clear))


@dataclass(frozen=True, eq=False, repr=False)
class ForcesOutcome(Outcome):
    """The forces at every hidden layer of a network of the problem, all floating-point values, and the files that were written.

    seed: of its first weights, if it was trained here; complete: whether that training came to its end.
    """

    problem: Problem
    network: Network
    layers: tuple[LayerForces, ...]
    seed: int | None = None
    complete: bool = True
    plot: Path | None = None
    animation: Path | None = None
    model: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert forces`; files that were not written are left out."""
        files = {"plot": self.plot, "animation": self.animation, "model": self.model}
        return {
            "instance": self.problem.name,
            "loss": self.network.loss(self.problem),
            "points": self.problem.N,
            "widths": list(self.network.widths),
            "layers": [_layer_object(layer) for layer in self.layers],
            "seed": self.seed,
            "complete": self.complete,
            **{name: str(path) for name, path in files.items() if path is not None},
        }

    def sentence(self) -> str:
        """A line for the network and one for each hidden layer."""
        problem = self.problem
        loss = about(self.network.loss(problem), 8)
        lines = [f"{problem.name}: loss about {loss}, {problem.N} {plural(problem.N, 'point')}"]
        for layer in self.layers:
            rays, size = len(layer.rays), np.linalg.norm
            cancel = "should cancel" if layer.full else f"need not cancel, rank {layer.rank} < points"
            lines.append(
                f"layer {layer.layer}: {len(layer.Z)} neurons on {rays} {plural(rays, 'ray')}; "
                f"attraction {about(float(size(layer.attraction)), 4)}, repulsion {about(float(size(layer.repulsion)), 4)}; "
                f"identity to {about(layer.identity_residual, 2)} ({layer.kinks} kinks); "
                f"forces to {about(layer.cancellation_residual, 2)} ({cancel})"
            )
        return "\n".join(lines)

    def write(self, folder: Path, with_network: bool) -> ForcesOutcome:
        """Write NAME-forces.json, and `with_network` NAME-forces.safetensors; returns the outcome with its path. Raises OSError when
        the disk refuses."""
        written, stem = self, f"{self.problem.name}-forces"
        if with_network:
            written = replace(self, model=folder / f"{stem}.safetensors")
            self.network.save(folder / f"{stem}.safetensors")
        write_json(folder / f"{stem}.json", written.as_json())
        return written


def _layer_object(layer: LayerForces) -> dict[str, Any]:
    return {
        "layer": layer.layer,
        "neurons": len(layer.Z),
        "attraction": float(np.linalg.norm(layer.attraction)),
        "repulsion": float(np.linalg.norm(layer.repulsion)),
        "stationarity_residual": layer.stationarity_residual,
        "identity_residual": layer.identity_residual,
        "cancellation_residual": layer.cancellation_residual,
        "forces_should_cancel": layer.full,
        "kinks": layer.kinks,
        "rank_before": layer.rank_before,
        "rank": layer.rank,
        "faint": layer.faint,
        "rays": [
            {"neurons": list(ray.neurons), "share": ray.share, "spread_degrees": ray.spread} for ray in layer.rays
        ],
    }
