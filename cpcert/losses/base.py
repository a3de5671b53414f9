"""What a loss C has to know: the contract that one file per loss fulfils, with its formulas.

Z, Y, G, S are (m, N): columns are points. The dual of the depth-2 problem needs

    −C*(−G) = min_Z C(Z) + ⟨G, Z⟩,   −∞ outside the domain,

which is `dual_value`. Every loss is separable over points, C = (1/N) Σ ω_i c(z_i, y_i) with weights ω_i > 0 that are all 1 unless
they are given, and its conjugate has a closed form:  −C*(−G) = (1/N) Σ ω_i h(N g_i/ω_i, y_i),  h(g, y) = min_z c(z, y) + ⟨g, z⟩.

`value`, `gradient`, `hessian`, `conjugate`, `dual_value` are ordinary float64 evaluations. The *proven* ones are

    dual_value_lower(G, scale, Y)  ≤ −C*(−scale·G)     for the exact numbers in G, Y and scale,
    value_upper(Z, Z_error, Y)     ≥ C(Z′)             for every Z′ with |Z′ − Z| ≤ Z_error entry by entry,
    value_lower(Z, Y, unit)        ≤ C(unit·Z)         for integers Z and targets unit·Y,
    max_scale(G, Y)                                    scale·G lies in the domain for every 0 ≤ scale ≤ max_scale.

They use integers where the loss is rational, else enclosures.py. `tensor_…` are the float evaluations once more, for batches of
torch tensors on any device. Nobody outside this folder asks for the name of a loss but to print it: what a case depends on
is an attribute or a method here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cpcert.conic import Rows
from cpcert.errors import InputError
from cpcert.rounding import DIGITS_LOST, UNIT_ROUNDOFF, exact_dot, exact_integers, round_down

if TYPE_CHECKING:
    from scipy import sparse
    from torch import Tensor

# A float dual point may leave the domain by rounding; `dual_value` forgives this much of a probability.
DOMAIN_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class ConicForm:
    """C(Z) = constant + min over e of ½ zᵀ diag(quadratic) z + ⟨linear, (z, e)⟩ such that (z, e) satisfies `rows`.

    z = Z.ravel(), (m·N,), by output; e: as many further variables as `linear` is longer than z. quadratic: (m·N,).
    """

    quadratic: np.ndarray
    linear: np.ndarray
    rows: tuple[Rows, ...] = ()
    constant: float = 0.0


@dataclass(frozen=True)
class Loss(ABC):
    """A convex loss C ≥ 0 of the outputs Z (m, N).

    weights: ω_i > 0, one for each of the N points, exactly these float64; None: all are 1.
    """

    weights: tuple[float, ...] | None = None

    name: ClassVar[str]
    # C is 0 where Z = Y and ∞ elsewhere: then C has no gradient (G is the multiplier of Z = Y), no conic form (Z is Y), and the
    # problem no λ, which counts as 1.
    is_constraint: ClassVar[bool] = False
    # k with C(tZ; tY) = tᵏ C(Z; Y) for t > 0; None: targets have no scale.
    degree: ClassVar[int | None] = None
    # The last row of an exact dual point is minus the sum of the others, and what a float G has there is ignored.
    last_row_implied: ClassVar[bool] = False
    # Targets may be given as labels, which `encode_labels` turns into numbers.
    takes_labels: ClassVar[bool] = False
    # Last layers, by the names of other programs, that belong to the loss and not to the network.
    heads: ClassVar[tuple[str, ...]] = ()
    # The loss of this name in torch is the mean over points and outputs, C/m; else C.
    mean_over_outputs: ClassVar[bool] = True
    # What an entry of Z is called.
    output_name: ClassVar[str] = "output"

    @property
    def is_squared_distance(self) -> bool:
        """C = (1/N)‖Z − Y‖², for which there are closed forms: Newton's method in the plane, a bound by the rank of Y."""
        return False

    # -- weights -----------------------------------------------------------------------------------------------------

    def weighted(self, weights: Sequence[float] | None) -> Loss:
        """This loss with these weights instead of its own. Raises InputError for a constraint, which none can change."""
        if weights is not None and self.is_constraint:
            raise InputError(f"sample_weight: {self.name} is a constraint, which weights do not change; leave it out")
        return type(self)(None if weights is None else tuple(map(float, weights)))

    @cached_property
    def omega(self) -> np.ndarray | float:
        """The weights (N,); 1 where there are none."""
        return 1.0 if self.weights is None else np.array(self.weights)

    def by_weight(self, A: np.ndarray) -> np.ndarray:
        """ω_i times column i of A (…, N), in floating point."""
        return A if self.weights is None else A * self.omega

    def over_weight(self, A: np.ndarray) -> np.ndarray:
        """Column i of A (…, N) over ω_i, in floating point."""
        return A if self.weights is None else A / self.omega

    def tensor_by_weight(self, A: Tensor) -> Tensor:
        """`by_weight` for tensors (…, N)."""
        if self.weights is None:
            return A
        import torch

        return A * torch.as_tensor(self.omega, dtype=A.dtype, device=A.device)

    def exact_weights(self, N: int) -> tuple[list[int], int]:
        """(w, f) with integers w and ω_i = w_i·2^f, f ≤ 0."""
        if self.weights is None:
            return [1] * N, 0
        w, f = exact_integers(np.array(self.weights))
        return ([each << f for each in w], 0) if f > 0 else (w, f)

    # -- targets -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def check_targets(self, Y: np.ndarray) -> np.ndarray:
        """The targets as float64, mapped to the loss's own encoding. Y: (N, m), **rows are points**, as users give it.

        Raises InputError naming the entry that cannot be a target of this loss.
        """

    def encode_labels(
        self, labels: np.ndarray, classes: tuple[str, ...], name: str, place: str
    ) -> tuple[np.ndarray, str]:
        """Targets (N, m), rows are points, for labels (N,), indices into the classes; and a sentence that says how.

        name, place: the column, for the sentence and for errors. Raises InputError for a number of classes that does not fit.
        """
        raise ValueError(f"{self.name} takes numbers, not labels")

    def classes_of(self, Y: np.ndarray) -> tuple[np.ndarray, tuple[tuple[str, ...], ...]] | None:
        """(labels (N,), indices; by what names each class may be called) for targets Y (N, m); None if they are no single classes."""
        return None

    def target_unit(self, Y: np.ndarray) -> float:
        """The size of the targets where they have a scale, else 1."""
        return 1.0 if self.degree is None else float(np.abs(Y).max()) or 1.0

    # -- floating point ----------------------------------------------------------------------------------------------

    @abstractmethod
    def value(self, Z: np.ndarray, Y: np.ndarray) -> float:
        """C(Z) in floating point."""

    @abstractmethod
    def gradient(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """∇C(Z), (m, N), in floating point."""

    @abstractmethod
    def hessian(self, Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """∇²C(Z), (N, m, m), in floating point: block i is the second derivative in the outputs z_i of point i."""

    @abstractmethod
    def tensor_value(self, Z: Tensor, Y: Tensor) -> Tensor:
        """C of each of a batch, (…,), from Z (…, m, N); differentiable."""

    def tensor_gradient(self, Z: Tensor, Y: Tensor) -> Tensor:
        """∇C of each of a batch, (…, m, N). ValueError for a constraint, as `gradient`."""
        raise ValueError(f"{self.name} has no gradient")

    def tensor_hessian_product(self, Z: Tensor, Y: Tensor, direction: Tensor) -> Tensor:
        """∇²C(Z) applied to `direction` for each of a batch, (…, m, N). ValueError for a constraint, as `hessian`."""
        raise ValueError(f"{self.name} has no second derivative")

    @abstractmethod
    def dual_value(self, G: np.ndarray, Y: np.ndarray) -> float:
        """−C*(−G) in floating point; −inf outside the domain (up to DOMAIN_TOLERANCE). Heuristic: not a bound."""

    def conjugate(self, S: np.ndarray, Y: np.ndarray) -> float:
        """C*(S) = max_Z ⟨S, Z⟩ − C(Z) in floating point; inf outside the domain."""
        return -self.dual_value(-S, Y)

    def dual_ray(self, G: np.ndarray, Y: np.ndarray) -> tuple[float, float] | None:
        """(a, q) with −C*(−sG) = sa − s²q for all s ≥ 0, in floating point; None if the domain of C* is not everything."""
        return None

    def project_dual(self, G: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """A dual point near G, as float64, for which max_scale is not much below 1. Heuristic: nothing is claimed.

        The identity where the domain is everything. Multipliers from a conic solver leave the domain by its
        tolerance, gradients by rounding: both then have max_scale 0 and give no bound before this repair.
        """
        return np.array(G, dtype=np.float64)

    def conic_form(self, Y: np.ndarray) -> ConicForm | None:
        """C as part of a conic program; None for a constraint."""
        return None

    # -- proven ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def dual_value_lower(self, G: np.ndarray, scale: Fraction | float, Y: np.ndarray) -> float:
        """Proven: a float ≤ −C*(−scale·G) for the exact numbers given; −inf when scale·G is outside the domain.

        The domain is decided exactly. scale ≥ 0; G, Y finite.
        """

    @abstractmethod
    def value_upper(self, Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> float:
        """Proven: a float ≥ C(Z′) for every Z′ with |Z′ − Z| ≤ Z_error entry by entry (inf when nothing is known)."""

    @abstractmethod
    def value_lower(self, Z: Sequence[Sequence[int]], Y: Sequence[Sequence[int]], unit: Fraction) -> Fraction:
        """Proven: a rational ≤ C of the outputs unit·Z with targets unit·Y, m rows of N integers each; equal where C is rational."""

    def max_scale(self, G: np.ndarray, Y: np.ndarray) -> float:
        """Proven: the largest float s such that sG (exactly) lies in the domain of −C*(−·); inf if all do."""
        return math.inf

    def exact_dual(self, rows: list[Any]) -> list[Any]:
        """The exact dual point that stands for G, from the m rows of G as lists of exact numbers; or, as it is linear, from
        rows of linear functions of those rows."""
        if not self.last_row_implied:
            return rows
        return [*rows[:-1], [-sum(column) for column in zip(*rows[:-1], strict=True)]]

    def rounded_dual(self, G: np.ndarray) -> np.ndarray:
        """`exact_dual` in floating point."""
        return np.vstack([G[:-1], -G[:-1].sum(axis=0)]) if self.last_row_implied else G

    def exact_dual_defect(self, G: np.ndarray) -> float:
        """Proven: a float ≥ ‖G′ − G‖_F, G′ the exact dual point that stands for G. 0 where G′ = G."""
        return 0.0


def finite_targets(Y: np.ndarray) -> np.ndarray:
    """Y as float64. Raises InputError unless it is a matrix of finite numbers."""
    Y = np.array(Y, dtype=np.float64)
    if Y.ndim != 2:
        raise InputError(f"Y: has shape {Y.shape}; give one row per point and one column per output")
    if not np.all(np.isfinite(Y)):
        i, j = np.argwhere(~np.isfinite(Y))[0]
        raise InputError(f"Y: row {i}, column {j} is {Y[i, j]}; every target must be a finite number")
    return Y


def shown_classes(classes: tuple[str, ...]) -> str:
    """The names of the classes, the first twenty of many."""
    return ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")


def with_error(Z: np.ndarray, Z_error: np.ndarray | float, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(Z, Z_error as an array of its shape, Y). Raises ValueError for shapes that differ and for errors below 0."""
    Z = np.asarray(Z, dtype=np.float64)
    E = np.broadcast_to(np.asarray(Z_error, dtype=np.float64), Z.shape)
    if Z.shape != Y.shape:
        raise ValueError(f"Z has shape {Z.shape} but Y has shape {Y.shape}; both must be (m, N)")
    if np.any(E < 0):
        raise ValueError("Z_error must be >= 0: it bounds |Z - Z_exact|")
    return Z, E, Y


def all_finite(*arrays: np.ndarray) -> bool:
    """Whether no array holds NaN or infinity."""
    return all(bool(np.all(np.isfinite(A))) for A in arrays)


def exact_scale(scale: Fraction | float) -> Fraction:
    """The scale as a rational. Raises ValueError if it is below 0."""
    s = Fraction(scale)
    if s < 0:
        raise ValueError(f"scale is {float(s)}; a dual point may only be scaled by a number >= 0")
    return s


def inner_product(G: np.ndarray, Y: np.ndarray) -> float:
    """⟨G, Y⟩ in floating point where the sum keeps its digits, else from rationals, rounded down."""
    products = G * Y
    total = float(np.sum(products))
    if 2.0 * UNIT_ROUNDOFF * G.shape[1] * float(np.abs(products).sum()) > DIGITS_LOST * abs(total):
        return round_down(exact_dot(G, Y))
    return total


def sparse_rows(
    rows: Sequence[np.ndarray], columns: Sequence[np.ndarray], entries: Sequence[np.ndarray], height: int, width: int
) -> sparse.csc_matrix:
    """The matrix (height, width) with these entries, given in pieces."""
    from scipy import sparse

    places = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csc_matrix((np.concatenate(entries), places), shape=(height, width))
