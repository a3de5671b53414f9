"""Proofs about cp-rank, Rank_σ and copositivity as frozen dataclasses with exact fields.

What each one means and how it is checked is stated in `cpcert.certificate.rank_check`, whose names are used here: a
proof is written out by `as_json` and counts only after `check_rank_claim` has accepted it. Matrices are tuples of rows
of Fractions (or ints), indices count from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from typing import Any, ClassVar

Number = int | Fraction
Vector = tuple[Number, ...]
Matrix = tuple[Vector, ...]
Pair = tuple[int, int]
# A linear combination of the equations of a lifted system: (equation, weight).
Combination = tuple[tuple[int, Number], ...]


# -- upper bounds: completely positive factorisations ------------------------------------------------------------------


@dataclass(frozen=True)
class Atom:
    """weight · vvᵀ, v given by its nonzero entries (index, value)."""

    weight: Number
    entries: tuple[tuple[int, Number], ...]


@dataclass(frozen=True)
class Atoms:
    """A − Σ weight · vvᵀ is nonnegative and diagonally dominant (0 when the factorisation is exact)."""

    kind: ClassVar[str] = "atoms"
    atoms: tuple[Atom, ...]


@dataclass(frozen=True)
class Column:
    """An atom Vt with t near `center`; `basis` holds the columns of V."""

    basis: Matrix
    center: Vector


@dataclass(frozen=True)
class Nearby:
    """There is an exact factorisation near a float one: Brouwer's theorem on a ball of radius rho."""

    kind: ClassVar[str] = "nearby"
    rows: tuple[int, ...]
    columns: tuple[Column, ...]
    inverse: Matrix
    rho: Number


@dataclass(frozen=True)
class Face:
    """The same where the equations are dependent: those that follow from others are left out."""

    kind: ClassVar[str] = "face"
    rows: tuple[int, ...]
    columns: tuple[Column, ...]
    dependencies: tuple[Combination, ...]
    inverse: Matrix
    rho: Number


@dataclass(frozen=True)
class UpperPart:
    indices: tuple[int, ...]
    proof: Upper


@dataclass(frozen=True)
class UpperComponents:
    """A factorisation of each diagonal block."""

    kind: ClassVar[str] = "components"
    parts: tuple[UpperPart, ...]


Upper = Atoms | Nearby | Face | UpperComponents


# -- not completely positive -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NegativeEntry:
    kind: ClassVar[str] = "negative_entry"
    i: int
    j: int


@dataclass(frozen=True)
class NotPsd:
    kind: ClassVar[str] = "not_psd"
    v: Vector


@dataclass(frozen=True)
class TriangleFreeForm:
    kind: ClassVar[str] = "triangle_free"
    v: Vector


@dataclass(frozen=True)
class CopositiveCut:
    """S copositive with ⟨S, A⟩ < 0."""

    kind: ClassVar[str] = "copositive"
    S: Matrix


@dataclass(frozen=True)
class Principal:
    kind: ClassVar[str] = "principal"
    indices: tuple[int, ...]
    proof: NotCompletelyPositive


NotCompletelyPositive = NegativeEntry | NotPsd | TriangleFreeForm | CopositiveCut | Principal


# -- lower bounds ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trivial:
    kind: ClassVar[str] = "trivial"


@dataclass(frozen=True)
class Rank:
    kind: ClassVar[str] = "rank"
    prime: int


@dataclass(frozen=True)
class LowerPart:
    indices: tuple[int, ...]
    lower: int
    proof: Lower


@dataclass(frozen=True)
class LowerComponents:
    kind: ClassVar[str] = "components"
    parts: tuple[LowerPart, ...]


@dataclass(frozen=True)
class TriangleFree:
    kind: ClassVar[str] = "triangle_free"


@dataclass(frozen=True)
class FoolingSet:
    kind: ClassVar[str] = "fooling"
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class CoverWeights:
    kind: ClassVar[str] = "weights"
    weights: tuple[tuple[int, int, Number], ...]


@dataclass(frozen=True)
class CoverSearch:
    kind: ClassVar[str] = "search"
    lower: int


Cover = TriangleFree | FoolingSet | CoverWeights | CoverSearch


@dataclass(frozen=True)
class EdgeCliqueCover:
    """The support graph of A needs as many cliques as `cover` shows."""

    kind: ClassVar[str] = "cover"
    cover: Cover


@dataclass(frozen=True)
class ZeroStep:
    zero: Combination


@dataclass(frozen=True)
class PositiveStep:
    positive: Pair
    by: Combination


@dataclass(frozen=True)
class Infeasible:
    infeasible: Combination


@dataclass(frozen=True)
class Covered:
    cover: Cover


@dataclass(frozen=True)
class Branch:
    branch: Pair
    zero: Node
    positive: Node


@dataclass(frozen=True)
class Block:
    """A principal submatrix of M that the equations determine, and a lower bound of its cp-rank."""

    block: tuple[int, ...]
    values: tuple[tuple[int, int, Combination], ...]
    proof: Lower


@dataclass(frozen=True)
class RefutedBlock:
    """A principal submatrix of M that the equations determine and that is not completely positive."""

    block: tuple[int, ...]
    values: tuple[tuple[int, int, Combination], ...]
    refutation: NotCompletelyPositive


@dataclass(frozen=True)
class Node:
    steps: tuple[ZeroStep | PositiveStep, ...]
    end: Infeasible | Covered | Branch | Block | RefutedBlock


@dataclass(frozen=True)
class Exposing:
    """S copositive with ⟨S, A⟩ = 0: every atom is a zero of S."""

    kind: ClassVar[str] = "copositive"
    S: Matrix
    node: Node


@dataclass(frozen=True)
class CutPart:
    """What an atom with its support in one of the sets counts, and a sum of squares."""

    c: Number
    W: Matrix


@dataclass(frozen=True)
class Cut:
    """Moments of degree 4: a linear inequality for the numbers of atoms with supports in each of some sets."""

    l: Vector  # noqa: E741  the name in the format
    D: Vector
    Omega: Matrix
    Z: Matrix | None
    parts: tuple[CutPart, ...]


@dataclass(frozen=True)
class Moments:
    """No numbers of atoms with a sum below `lower` satisfy the cuts."""

    kind: ClassVar[str] = "moments"
    lower: int
    sets: tuple[tuple[int, ...], ...]
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Share:
    """A bound for atoms with x_i x_j ≤ share·A_ij."""

    pair: Pair
    share: Number
    proof: Products


@dataclass(frozen=True)
class Shares:
    """Pairs of which no atom has more than their shares of two; with fewer atoms than `proof` says one has more of each."""

    kind: ClassVar[str] = "shares"
    pairs: tuple[Share, ...]


Products = Moments | Shares


@dataclass(frozen=True)
class CliqueCertificate:
    vertices: tuple[int, ...]
    s: Vector
    d: Matrix
    Omega: Matrix


@dataclass(frozen=True)
class IdealSparse:
    """A dual point of the ideal-sparse bound of level 1 (Korda, Laurent, Magron, Steenkamp 2024)."""

    kind: ClassVar[str] = "ideal_sparse"
    Y: Matrix
    u: Vector
    cliques: tuple[CliqueCertificate, ...]


Lower = Trivial | Rank | LowerComponents | EdgeCliqueCover | Exposing | Products | IdealSparse


# -- Rank_σ ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairRank:
    kind: ClassVar[str] = "rank"
    of: str
    prime: int


@dataclass(frozen=True)
class CpRankOfSigma:
    """The cp-rank of K^σ − β²11ᵀ, for σ ≥ 0."""

    kind: ClassVar[str] = "cp_rank"
    proof: Lower


@dataclass(frozen=True)
class Lifted:
    """The matrix M = Σ ttᵀ over t = (p, q), x = p − q."""

    kind: ClassVar[str] = "lifted"
    node: Node


@dataclass(frozen=True)
class SquareForms:
    """A leaf of a SQUARE: forms that are copositive on each orthant, with multipliers γ of K⁻¹ and (K^σ − β²11ᵀ)⁻¹."""

    U: Matrix
    V: Matrix
    gamma: tuple[Number, ...]
    shares: tuple[Number, ...]
    bits: int


@dataclass(frozen=True)
class SquareBranch:
    """A pattern of signs has at most so many neurons, or more."""

    pattern: int
    most: int
    fewer: SquareTree
    more: SquareTree


SquareTree = SquareForms | SquareBranch | None


@dataclass(frozen=True)
class Square:
    """N neurons are too few."""

    kind: ClassVar[str] = "square"
    tree: SquareTree


@dataclass(frozen=True)
class LiftedFactors:
    """A matrix M that satisfies the lifted equations, with a completely positive factorisation."""

    kind: ClassVar[str] = "lifted"
    M: Matrix
    proof: Upper


@dataclass(frozen=True)
class NearbyNeurons:
    """There are exact neurons near float ones, with the same signs and zeros."""

    kind: ClassVar[str] = "nearby"
    columns: tuple[Column, ...]
    dependencies: tuple[Combination, ...]
    inverse: Matrix
    rho: Number


@dataclass(frozen=True)
class SigmaNotCp:
    """K^σ − β²11ᵀ is not completely positive, for σ ≥ 0."""

    kind: ClassVar[str] = "not_cp"
    proof: NotCompletelyPositive


@dataclass(frozen=True)
class PairNotPsd:
    kind: ClassVar[str] = "not_psd"
    of: str
    v: Vector


NotInS = SigmaNotCp | PairNotPsd | Lifted
SigmaLower = Trivial | PairRank | CpRankOfSigma | Lifted | Square
SigmaUpper = Atoms | LiftedFactors | NearbyNeurons


# -- copositive --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Supports:
    """All supports of minimisers over the simplex are visited."""

    kind: ClassVar[str] = "supports"


@dataclass(frozen=True)
class Semidefinite:
    kind: ClassVar[str] = "semidefinite"


@dataclass(frozen=True)
class Sum:
    """The matrix is N ≥ 0 plus a copositive one."""

    kind: ClassVar[str] = "sum"
    N: Matrix
    rest: Copositive


@dataclass(frozen=True)
class BlockPart:
    indices: tuple[int, ...]
    proof: Copositive


@dataclass(frozen=True)
class Blocks:
    """Copositive blocks; entries outside them are nonnegative."""

    kind: ClassVar[str] = "blocks"
    parts: tuple[BlockPart, ...]


Copositive = Supports | Semidefinite | Sum | Blocks


def as_json(value: Any) -> Any:
    """Plain JSON data: integers, "p/q" strings, lists, objects."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
    if isinstance(value, tuple | list):
        return [as_json(entry) for entry in value]
    if is_dataclass(value):
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return kind | {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    return value
