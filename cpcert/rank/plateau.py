"""How many neurons does an optimal network need? Where the plateau of the loss against the width starts, proven.

Let U be a proven upper bound of P* = min L_λ over depth-2 networks of every width, and w(U) the least width with a loss ≤ U. The
plateau to within U − P* starts at w(U), and an exact optimum has at least w(U) neurons. The network that attains U gives
w(U) ≤ its width. Two lower ends:

**Caps.** Networks whose neurons all have directions in a closed set A of the sphere have the dual

    max over G of D(G) = −C*(−G) − (β²/4λ)‖G1‖²   subject to   ‖Gσ(X̃ᵀw)‖ ≤ 2λ for unit w in A,                    (1)

by the same three lines as in frank_wolfe/bounds.py, which use the constraint only for the w of the network. So one G with a
proven bound of ‖Gσ(X̃ᵀw)‖ *on A* and D(sG) > U shows that every network with a loss ≤ U has a neuron outside A. Divide all directions
into caps, and let A be the union of all but some of them, a set S of caps: one of S has a neuron, S is *needed*. If many sets are
needed, the caps that have a neuron hit each of them, so

    w(U) ≥ the least number of caps that hit every needed set.                                                        (2)

This takes no G close to the optimal one and no contact set {w: ‖Gσ(X̃ᵀw)‖ = 2λ}; where the contact set is a continuum, small
sets of caps are just not needed. Often a neuron w can be replaced by −w (σ(s) = s + σ(−s) for the ReLU, and others make up for s):
then neither of two opposite caps is needed alone, but both together are.

The search for needed sets: first such pairs, then a smallest set of caps that hits all known ones is allowed, and nothing
else; if (1) exceeds U, the other caps are needed, and are made as few as possible by allowing more. If that is not proven, the
search ends.

The circle (points of rank ≤ 2, any number of outputs): caps are arcs around the neurons of the solution and the local maxima of
‖Gσ(X̃ᵀw)‖ for its G, cut half way between neighbours; `plane_oracle_outside` bounds ‖Gσ(X̃ᵀw)‖ on A. G comes from the best network in A,
found by columns: the conic program of corrective.py on some neurons, then the maxima on A as new ones. Coordinates change
the bound as in oracle/coordinates.py: ŵ = Qᵀw has its direction in A, so ‖Gσ(X̂ᵀŵ)‖ ≤ ‖ŵ‖ times the bound on A.
In more dimensions there is one cap, all directions: A is empty and (1) asks whether the bias alone will do.

**Rank** (mse). Z = M + βb1ᵀ with M = Σ_{j≤k} v_jσ(w_jᵀX̃) of rank ≤ k and nuclear norm ‖M‖_* ≤ ℓ‖X̃‖_op Σ‖v_j‖‖w_j‖, |σ(s)| ≤ ℓ|s|.
With A = Y and P = I for β = 0, A = YP and P = I − 11ᵀ/N otherwise (P removes the bias and raises neither rank nor norm), and
c = 2λ/(ℓ‖X̃‖_op), von Neumann's inequality for the singular values s_1 ≥ s_2 ≥ … of A gives for each network of width k

    L_λ ≥ min over rank M ≤ k of (1/N)‖M − A‖² + c‖M‖_* = Σ_{i≤k} h(s_i) + Σ_{i>k} s_i²/N,
    h(s) = min over t ≥ 0 of (s − t)²/N + ct = cs − c²N/4 for s ≥ cN/2, else s²/N.                                    (3)

As long as (3) exceeds U, width k is too small. That is at most the number of outputs. h and s² grow with s, so lower bounds of s_i
will do: A = UΣVᵀ + E in floating point has s_i ≥ Σ_i (1 − ‖UᵀU − I‖)^½ (1 − ‖VᵀV − I‖)^½ − ‖E‖ (Weyl).

Heuristic: where arcs are cut, which sets are tried, and G. Proven: that the arcs go once around the circle (exact signs),
the oracle on A, D(sG), U, and (2) by a complete search.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from cpcert.errors import InputError
from cpcert.frank_wolfe.bounds import dual_lower_bound
from cpcert.frank_wolfe.corrective import Columns, correct
from cpcert.frank_wolfe.solve import SolveResult
from cpcert.frank_wolfe.steps import bias_only, objective
from cpcert.oracle.coordinates import Coordinates, coordinates
from cpcert.oracle.plane import cross_signs, plane_oracle, plane_oracle_outside
from cpcert.oracle.spectral import EPS, operator_norm
from cpcert.problem import Problem

ROUNDS = 20
# Relative excess of the best loss on the allowed arcs over U below which no proof is expected, and its growth by round.
HOPELESS = 1e-8
IMPATIENCE = 1.5
# Local maxima of the oracle from this share of 2λ on get an arc, and directions closer than this (radians) share one.
CONTACT = 1.0 - 1e-4
SAME_ANGLE = 1e-4
# Arcs whose middles are opposite within so much (radians) are tried together.
OPPOSITE = 0.2
# Arcs of an angle up to this (radians) are one step, longer ones several.
STEP = 1.5
MOST_ARCS = 400
# Nodes of one search for a hitting set.
HITTING_NODES = 100_000
# Of (3) and of the products it is computed from, relative; far above their rounding.
RANK_ALLOWANCE = 1e-11


@dataclass(frozen=True)
class Needed:
    """Every network with a loss ≤ U has a neuron in one of these caps (numbers); without, the loss is at least lower > U."""

    caps: tuple[int, ...]
    lower: float


@dataclass(frozen=True)
class PlateauBounds:
    """lower ≤ w(U) ≤ upper for the least width w(U) with a loss ≤ U; an exact optimum has at least `lower` neurons.

    loss: U, attained by a network of `upper` neurons. tolerance: the relative gap of the solution, how far U may be from P*.
    proof: "caps", "rank" or "none". caps: (start, end) of each arc in radians, rounded, when there are arcs; needed: the needed
    sets. complete: the search ended by itself. note: what was left out, and why.
    """

    lower: int
    upper: int
    loss: float
    tolerance: float
    proof: str
    caps: tuple[tuple[float, float], ...]
    needed: tuple[Needed, ...]
    complete: bool
    note: str


def plateau_bounds(problem: Problem, result: SolveResult, seconds: float = 30.0) -> PlateauBounds:
    """Proven bounds of the least width with a loss ≤ result.upper (module docstring); result: of solve(problem).

    Arcs for points of rank ≤ 2 and any loss but `interpolate`, for at most about `seconds`; otherwise whether any neuron is
    needed. The rank bound for mse. Raises InputError when the result has no network or no lower bound.
    """
    if result.network is None or result.upper is None or result.lower is None or result.gap is None:
        raise InputError(f"width: nothing is proven about this problem ({result.status}), so neither about its width")
    deadline = time.monotonic() + seconds
    space, upper = coordinates(problem.X_tilde), result.upper
    arcs, lower, complete, note = _Arcs.none(), 0, False, ""
    needed: tuple[Needed, ...] = ()
    if problem.loss.name == "interpolate":
        note = "interpolate: no lower end but 0"
    else:
        if space.points.shape[1] <= 2:
            arcs = _arcs(_directions(problem, space, result))
        else:
            note = f"points of rank {space.points.shape[1]}: no caps but that of all directions"
        lower, needed, complete = _needed_sets(problem, space, arcs, upper, deadline)
    proof = "caps" if lower else "none"
    rank = rank_bound(problem, upper)
    if rank > lower:
        lower, proof = rank, "rank"
    return PlateauBounds(
        lower, result.network.width, upper, result.gap, proof, arcs.angles(), needed, complete, note
    )  # fmt: skip


def _directions(problem: Problem, space: Coordinates, result: SolveResult) -> np.ndarray:
    """Angles (k,), sorted, of the network's neurons and of the local maxima near 2λ."""
    assert result.network is not None
    W = [result.network.neurons()[0] @ space.basis]
    if result.dual is not None:
        found = plane_oracle(space.points, result.dual.G * result.dual.scale, problem.activation, 0.0)
        W.append(found.W[found.values >= CONTACT * 2.0 * problem.lam])
    every = np.concatenate(W)
    plane = np.zeros((len(every), 2))
    plane[:, : every.shape[1]] = every
    plane = plane[np.linalg.norm(plane, axis=1) > 0.0]
    return np.sort(np.arctan2(plane[:, 1], plane[:, 0]))


# -- arcs --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Arcs:
    """A division of the circle: steps from cuts[j] to cuts[j + 1] (the last back to the first), counterclockwise, each less than
    a half turn, once around; arc[j] is the number of the arc that step j belongs to. No cuts: one arc, the whole sphere."""

    cuts: np.ndarray
    arc: np.ndarray

    @classmethod
    def none(cls) -> _Arcs:
        return cls(np.zeros((0, 2)), np.zeros(0, np.int64))

    @property
    def count(self) -> int:
        return int(self.arc[-1]) + 1 if len(self.arc) else 1

    def steps(self, chosen: int) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends of the steps of the arcs in the bit set `chosen`."""
        mask = np.array([chosen >> int(k) & 1 for k in self.arc], bool)
        return self.cuts[mask], np.roll(self.cuts, -1, axis=0)[mask]

    def opposite_pairs(self) -> list[int]:
        """Disjoint bit sets of one or two arcs: arcs whose middles are about opposite, and the others alone (heuristic)."""
        angles = np.array([[start, start + (end - start) % (2.0 * math.pi)] for start, end in self.angles()])
        middles, left, pairs = angles.mean(axis=1) if len(angles) else angles, list(range(len(angles))), []
        while left:
            k = left.pop(0)
            apart = [abs((middles[j] - middles[k]) % (2.0 * math.pi) - math.pi) for j in left]
            j = int(np.argmin(apart)) if left else -1
            pairs.append(1 << k | (1 << left.pop(j) if left and apart[j] < OPPOSITE else 0))
        return pairs

    def angles(self) -> tuple[tuple[float, float], ...]:
        angle = np.arctan2(self.cuts[:, 1], self.cuts[:, 0])
        starts = np.flatnonzero(np.diff(self.arc, prepend=-1))
        first = angle[starts].tolist()
        return tuple(zip(first, first[1:] + first[:1], strict=True))


def _arcs(angles: np.ndarray) -> _Arcs:
    """Arcs around the sorted angles, cut half way; none for fewer than two, or for what rounding does not keep apart."""
    if len(angles):
        angles = angles[np.concatenate([[True], np.diff(angles) > SAME_ANGLE])]
        if len(angles) > 1 and angles[0] + 2.0 * math.pi - angles[-1] <= SAME_ANGLE:
            angles = angles[:-1]
    if not 2 <= len(angles) <= MOST_ARCS:
        return _Arcs.none()
    ends = 0.5 * (angles + np.append(angles[1:], angles[0] + 2.0 * math.pi))
    starts = np.append(ends[-1] - 2.0 * math.pi, ends[:-1])
    steps = [max(1, math.ceil((end - start) / STEP)) for start, end in zip(starts, ends, strict=True)]
    angle = np.concatenate([np.linspace(a, b, k, endpoint=False) for a, b, k in zip(starts, ends, steps, strict=True)])
    cuts = np.column_stack([np.cos(angle), np.sin(angle)])
    following = np.roll(cuts, -1, axis=0)
    # Each step turns left by less than π, exactly; so they add up to a multiple of 2π, and by their computed sum to 2π itself.
    left = all(cross_signs(a, b[np.newaxis])[0] > 0 for a, b in zip(cuts, following, strict=True))
    cross = cuts[:, 0] * following[:, 1] - cuts[:, 1] * following[:, 0]
    turn = float(np.arctan2(cross, np.einsum("ck,ck->c", cuts, following)).sum())
    if not left or abs(turn - 2.0 * math.pi) > 0.1:
        return _Arcs.none()
    return _Arcs(cuts, np.repeat(np.arange(len(angles)), steps))


def _needed_sets(
    problem: Problem, space: Coordinates, arcs: _Arcs, upper: float, deadline: float
) -> tuple[int, tuple[Needed, ...], bool]:
    """(lower, needed sets, complete): the bound (2), and whether the search ended by itself."""
    every = (1 << arcs.count) - 1
    needed: list[int] = []
    losses: list[float] = []
    lower, complete = 0, False

    def result() -> tuple[int, tuple[Needed, ...], bool]:
        sets = [tuple(k for k in range(arcs.count) if s >> k & 1) for s in needed]
        return lower, tuple(Needed(s, loss) for s, loss in zip(sets, losses, strict=True)), complete

    for pair in arcs.opposite_pairs():
        if time.monotonic() < deadline:
            loss = _lower_within(problem, space, arcs, every & ~pair, upper)
            if loss is not None:
                needed.append(pair)
                losses.append(loss)
    while time.monotonic() < deadline:
        lower, hitting = smallest_hitting_set(needed, lower)
        if hitting is None:
            return result()
        loss = _lower_within(problem, space, arcs, hitting, upper, 1.0)
        if loss is None:
            complete = True
            return result()
        allowed = hitting
        waiting = [1 << k for k in range(arcs.count) if not hitting >> k & 1]
        # Allow half of the others, a quarter of those, …: what can be allowed and still leaves the loss above U.
        groups = [waiting[: len(waiting) // 2], waiting[len(waiting) // 2 :]] if len(waiting) > 1 else []
        while groups and time.monotonic() < deadline:
            group = groups.pop()
            more = allowed | sum(group)
            better = _lower_within(problem, space, arcs, more, upper) if group and more != every else None
            if better is not None:
                allowed, loss = more, better
            elif len(group) > 1:
                groups += [group[: len(group) // 2], group[len(group) // 2 :]]
        needed.append(every & ~allowed)
        losses.append(loss)
    lower, _ = smallest_hitting_set(needed, lower)
    return result()


def smallest_hitting_set(sets: list[int], at_least: int = 0) -> tuple[int, int | None]:
    """(size, hitting): a smallest bit set that meets every one of `sets`, none of them empty, whose size is at least `at_least`.

    By iterated deepening, complete; when nodes run out, (a proven lower bound of the size, None).
    """
    nodes = HITTING_NODES

    def search(chosen: int, banned: int, left: int) -> int | None:
        nonlocal nodes
        nodes -= 1
        rest = sorted((s & ~banned for s in sets if not s & chosen), key=int.bit_count)
        if not rest:
            return chosen
        apart, count = 0, 0
        for s in rest:
            if not s & apart:
                apart |= s
                count += 1
        if count > left or not rest[0] or nodes < 0:
            return None
        first = rest[0]
        while first:
            bit = first & -first
            first ^= bit
            found = search(chosen | bit, banned, left - 1)
            if found is not None:
                return found
            banned |= bit  # from here on sets without it
        return None

    size = at_least
    while True:
        found = search(0, 0, size)
        if nodes < 0:
            return size, found
        if found is not None:
            return size, found
        size += 1


def _lower_within(
    problem: Problem, space: Coordinates, arcs: _Arcs, allowed: int, upper: float, impatience: float = IMPATIENCE
) -> float | None:
    """A proven lower bound > upper of the loss of networks with neurons in the arcs of the bit set `allowed` only, or None."""
    r = space.points.shape[1]
    if not allowed:
        return _bound_of(problem, space, bias_only(problem, r).duals[0], 0.0, upper)
    if not len(arcs.cuts):
        return None
    points = np.zeros((problem.N, 2))
    points[:, :r] = space.points
    # Columns to start from: the ends and the middle of each allowed step.
    first, last = arcs.steps(allowed)
    W = np.concatenate([first, last, first + last])
    W = W / np.linalg.norm(W, axis=1, keepdims=True)
    starts, ends = arcs.steps(~allowed)
    for turn in range(ROUNDS):
        columns = Columns(np.zeros((0, problem.m)), np.zeros((0, problem.N), bool), W, W @ points.T > 0.0)
        found = correct(problem, points, columns)
        hopeless = upper * (1.0 + HOPELESS * impatience**turn)
        if found is None or objective(problem, points, found.neurons) <= hopeless:
            return None
        new = [W]
        gradient = -problem.loss.gradient(found.neurons.outputs(problem, points), problem.targets)
        for candidate in (found.G, gradient):
            G = problem.loss.project_dual(candidate, problem.targets)
            bound, peaks, values = plane_oracle_outside(points, G, problem.activation, starts, ends)
            loss = _bound_of(problem, space, G, bound, upper)
            if loss is not None:
                return loss
            new.append(peaks[values > 2.0 * problem.lam * (1.0 + 1e-12)])
        if not any(len(part) for part in new[1:]):
            return None
        W = np.concatenate(new)
    return None


def _bound_of(problem: Problem, space: Coordinates, G: np.ndarray, bound: float, upper: float) -> float | None:
    """D(sG) of (1) if it exceeds `upper`; bound: of ‖Gσ(X̂ᵀw)‖ for the unit w in the coordinates that are allowed."""
    bound = space.upper_bound(bound, G, problem.activation.lipschitz)
    defect = problem.loss.exact_dual_defect(G)
    if defect > 0.0:
        bound = (bound + defect * space.norm * problem.activation.lipschitz) * (1.0 + 2.0**-50)
    if not math.isfinite(bound):
        return None
    value = dual_lower_bound(problem, G, bound, "plane", None).value
    return value if value > upper else None


# -- rank --------------------------------------------------------------------------------------------------------------


def rank_bound(problem: Problem, upper: float) -> int:
    """The least width that (3) leaves for a loss ≤ upper; 0 for other losses than mse. At most the number of outputs."""
    lipschitz, N = problem.activation.lipschitz, problem.N
    if problem.loss.name != "mse" or lipschitz == 0.0:
        return 0
    size = float(np.abs(problem.targets).max(initial=0.0))
    if size == 0.0 or not 1e-100 < size < 1e100:
        return 0
    A = problem.targets - (problem.targets.mean(axis=1, keepdims=True) if problem.beta != 0.0 else 0.0)
    left, singular, right = np.linalg.svd(A, full_matrices=False)
    k = len(singular)
    total = float(np.linalg.norm(np.abs(problem.targets)))
    # ‖E‖ with what the mean and the products are off by, and ‖UᵀU − I‖, ‖VᵀV − I‖.
    rest = float(np.linalg.norm(A - (left * singular) @ right)) + (2 * N + 8 * k + 16) * EPS * k * total
    skew = max(float(np.linalg.norm(Q - np.eye(k))) for Q in (left.T @ left, right @ right.T))
    skew += (2 * N + 16) * EPS * k
    if skew > 1e-6:
        return 0
    s = np.maximum(singular * (1.0 - skew) * (1.0 - 8.0 * EPS) - rest * (1.0 + 8.0 * EPS), 0.0)
    c = 2.0 * problem.lam / (lipschitz * operator_norm(problem.X_tilde)) * (1.0 - 8.0 * EPS)
    with np.errstate(over="ignore"):
        free = s * s / N
        paid = np.where(s >= 0.5 * c * N, c * s - 0.25 * c * c * N, free)
    # A difference in `paid` is off by little of c·s, which is at most 2·paid where it is used.
    width = 0
    while width < k and float(paid[:width].sum() + free[width:].sum()) * (1.0 - RANK_ALLOWANCE) > upper:
        width += 1
    return width


# -- what the command prints ---------------------------------------------------------------------------------------------


def plateau_object(problem: Problem, bounds: PlateauBounds, seconds: float) -> dict[str, Any]:
    """The JSON object of `cpcert width`."""
    return {
        "instance": problem.name,
        "lower": bounds.lower,
        "upper": bounds.upper,
        "lower_proof": None if bounds.proof == "none" else bounds.proof,
        "loss": bounds.loss,
        "tolerance": bounds.tolerance,
        "caps": [{"start": start, "end": end} for start, end in bounds.caps],
        "needed": [{"caps": list(needed.caps), "loss_without": needed.lower} for needed in bounds.needed],
        "complete": bounds.complete,
        "note": bounds.note or None,
        "seconds": seconds,
    }


def plateau_line(written: dict[str, Any]) -> str:
    """The same in a sentence."""
    lower, upper = written["lower"], written["upper"]
    width = f"exactly {lower}" if lower == upper else f"between {lower} and {upper}"
    proof = {
        "caps": f"{len(written['needed'])} sets of caps that each need a neuron",
        "rank": "rank",
        None: "nothing proven",
    }
    note = f"\n{written['note']}" if written["note"] else ""
    return (
        f"least width with a loss of at most {written['loss']:.9g} (the minimum to a relative {written['tolerance']:.1e}): {width}, "
        f"{written['seconds']:.1f} s; lower: {proof[written['lower_proof']]}{note}"
    )
