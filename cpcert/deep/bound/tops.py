"""Boxes of masses of the top neurons, best first: the bound of boxes.py from the other side.

A class g of top neurons has a sign of v and signs of some z_i, and n_g = Σ v_j². With trees over the signs of z for G and −G
(certificate/DEEP.md, (6))

    L_λ ≥ λΣ(2n_g − n_g²/n'_g) + ψ_G(s) − (s²/4λ)Σ n'_gM_g(β1)²,   s²·max Σ n'_gM_g(σ(X̃ᵀw))² ≤ 4λ²,

M_g(φ) the largest |q·φ| + Σc_i|φ_i| of the leaves of the class. Good networks have few top neurons, so few classes are enough,
in any dimension and for any number of points. The best G and q at n' are a cone program with a constraint for every direction w
and leaf, found one after the other: w where the last solution is too large, leaves where a tree over the signs finds no q that
is small enough. Floating point: the exact checker does every box again.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field

import numpy as np

from cpcert.compiled import njit
from cpcert.deep.bound.boxes import Box, Proof
from cpcert.deep.bound.cover import Cover
from cpcert.deep.bound.items import ROOM, Item, Tops, item
from cpcert.deep.bound.kernels import face_maximum
from cpcert.deep.bound.tree import rounded
from cpcert.frank_wolfe.bounds import dual_value
from cpcert.network import Network
from cpcert.problem import Problem

MOST_BOXES, MOST_CLASSES, MOST_NODES = 20_000, 30, 3000
# Rounds of new constraints for one box, directions and leaves that each adds, items of the boxes above that a box is tried with,
# changes of n' for a box.
ROUNDS, NEW, NEW_LEAVES, NEAR, CHANGES = 20, 8, 6, 6, 2
# Of the cone programs; new directions are no nearer to each other than this (a cosine); what counts as used.
ACCURACY, APART, USED = 1e-6, 0.98, 1e-4
# A class is divided where this gains so many times as much as its intervals cost: a division makes them wide again.
DIVIDE = 15.0
# Of M, relative, at most, and what n'_gM_g(β1)² may cost, relative, all classes together.
EXCESS, BIAS = 2e-3, 1e-3

# A leaf of the cone program, its direction, a sign of q.
Row = tuple[int, int, float]


@dataclass(frozen=True, eq=False)
class Solved:
    """A solution of the cone program. leaves (S,): its leaves among the patterns; q, c (S, N); fits (C, S): the leaves of each class.

    rays (W,): its directions, weights (W,) their multipliers; amount (C, S, W): how much of each leaf is used there. bias (C,):
    M_g(β1). active: the rows that hold it. usage (C,): −∂/∂n'_g of the value is λ usage_g/n'_g.
    """

    G: np.ndarray
    leaves: np.ndarray
    q: np.ndarray
    c: np.ndarray
    fits: np.ndarray
    rays: np.ndarray
    weights: np.ndarray
    amount: np.ndarray
    bias: np.ndarray
    usage: np.ndarray
    active: list[Row]
    value: float


@dataclass(frozen=True, eq=False)
class Found:
    """What `solve` ends with: the last solution, the patterns of its leaves, and trees for it (None: the value is too little)."""

    solved: Solved
    decided: np.ndarray
    tops: Tops | None


@dataclass
class _Rows:
    """Rows of a sparse matrix, one after the other."""

    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)

    def add(self, entries: list[tuple[int, float]], right: float = 0.0) -> int:
        """A row, and its number."""
        number = len(self.right)
        for column, value in entries:
            self.rows.append(number)
            self.columns.append(column)
            self.values.append(value)
        self.right.append(right)
        return number


@njit(cache=True)
def minimax(A, b, low, high, y_out, tolerance, cutoff, far, most):
    """min over low ≤ y ≤ high of max(0, max_k A_k·y + b_k), by the dual
    simplex method; y_out (R,) the minimiser. Ends at a relative gap of `tolerance`, a value below `cutoff`, or above `far`."""
    m, R = A.shape
    cost = np.zeros(R + 1)
    inverse = np.zeros((R + 1, R + 1))
    x = np.empty(R + 1)
    y = np.empty(R)
    c = np.empty(R)
    step = np.empty(R + 1)
    size = 1e-300
    for k in range(m):
        for p in range(R):
            size = max(size, abs(A[k, p]))
    weight = 1e-300
    for p in range(R):
        if high[p] == np.inf:
            cost[p], inverse[p, p] = low[p], -1.0
            weight = max(weight, abs(low[p]))
            y_out[p] = low[p]
        else:
            cost[p], inverse[p, p] = -high[p], 1.0
            weight = max(weight, abs(high[p]))
            if low[p] > -np.inf:
                weight = max(weight, abs(low[p]))
            y_out[p] = high[p]
        x[p] = 1e-9 * size * (1.0 + ((p * 7919 + 13) % 101) / 101.0)
    inverse[R, R] = 1.0
    x[R] = 1.0
    best = np.inf
    for _ in range(most):
        t = 0.0
        for d in range(R + 1):
            t += cost[d] * inverse[d, R]
        worst = 1e-9 * weight
        entering = -1
        for p in range(R):
            s = 0.0
            for d in range(R + 1):
                s -= cost[d] * inverse[d, p]
            y[p] = s
            if low[p] - s > worst:
                worst = low[p] - s
                entering = p
            if s - high[p] > worst:
                worst = s - high[p]
                entering = R + p
        where = -1
        if entering >= 0:
            for d in range(R + 1):
                step[d] = -inverse[d, entering] if entering < R else inverse[d, entering - R]
        else:
            for p in range(R):
                c[p] = min(max(y[p], low[p]), high[p])
            h = 0.0
            for k in range(m):
                s = b[k]
                for p in range(R):
                    s += A[k, p] * c[p]
                if s > h:
                    h = s
                    where = k
            if h < best:
                best = h
                for p in range(R):
                    y_out[p] = c[p]
            if best <= cutoff or best - t <= tolerance * best or where < 0 or t > far:
                break
            for d in range(R + 1):
                s = inverse[d, R]
                for p in range(R):
                    s += inverse[d, p] * A[where, p]
                step[d] = s
        length = np.inf
        leaving = -1
        for d in range(R + 1):
            if step[d] > 1e-10:
                ratio = max(x[d], 0.0) / step[d]
                if ratio < length:
                    length = ratio
                    leaving = d
        if leaving < 0:
            break
        for d in range(R + 1):
            if d != leaving:
                x[d] -= length * step[d]
                factor = step[d] / step[leaving]
                for p in range(R + 1):
                    inverse[d, p] -= factor * inverse[leaving, p]
        x[leaving] = length
        for p in range(R + 1):
            inverse[leaving, p] /= step[leaving]
        if where >= 0:
            cost[leaving] = b[where]
        elif entering < R:
            cost[leaving] = low[entering]
        else:
            cost[leaving] = -high[entering - R]
    return best


@njit(cache=True)
def largest(values, simplices, grams, stretch):
    """The largest Σ t_j values_j with ‖Σ t_jr_j‖ ≤ 1 on the cones; values (M,) at the rays."""
    best = 0.0
    for value in values:
        best = max(best, value)
    K, r = simplices.shape
    here = np.empty(r)
    t = np.empty(r)
    for k in range(K):
        top = 0.0
        for a in range(r):
            here[a] = values[simplices[k, a]]
            top = max(top, here[a])
        if top * stretch[k] > best:
            best = max(best, face_maximum(grams[k], here, t))
    return best


def sides_of(bits: int, count: int) -> np.ndarray:
    """The signs of a class (count,), 0: both; bits 2i, 2i + 1: may z_i be ≥ 0, ≤ 0, v the last one."""
    return np.array([(0, 1, -1, 0)[bits >> 2 * i & 3] for i in range(count)])


def halves(bits: int, i: int) -> tuple[int, int]:
    """The class in two, by the sign of z_i: ≥ 0, ≤ 0."""
    return bits & ~(2 << 2 * i), bits & ~(1 << 2 * i)


class TopSearch:
    """The boxes (mse), for one goal after another. network: where to begin. gap: the least one that will be asked for."""

    def __init__(
        self, problem: Problem, cover: Cover, upper: float, network: Network, gap: float, deadline: float
    ) -> None:
        self.problem, self.cover, self.upper, self.deadline = problem, cover, upper, deadline
        rays = cover.rays[cover.simplices]
        self.grams = np.einsum("kar,kbr->kab", rays, rays)
        self.tolerance = min(EXCESS, gap / 8.0)
        self.layers = 3.0 if problem.beta == 0.0 else 2.0
        self.floor = dual_value(problem, np.zeros_like(problem.targets))
        self.items: list[Item] = []
        self.queue: list[tuple[float, int, Box]] = []
        self.done: list[Box] = []
        self.count, self.goal = 0, upper
        # Leaves of the cone programs, as (sign of v, signs of z), and their rows.
        self.patterns: list[tuple[int, np.ndarray]] = []
        self.rows: dict[Row, None] = {}
        kappa = -problem.activation.kink * problem.loss.gradient(network.forward(problem.X)[-1], problem.targets)[0]
        masses = network.weights[-1][0] ** 2
        for v, z in zip(network.weights[-1][0], network.forward(problem.X)[1], strict=False):
            if v * v > 1e-2 * masses.sum():
                side = 1 if v > 0.0 else -1
                self._pattern(side, np.where(side * kappa > 0.0, np.where(z > 0.0, 1, -1), 0))
        cap = (1.0 + 1e-9) * max(upper - self.floor, 0.0) / (self.layers * problem.lam)
        everything = (1 << 2 * problem.N + 2) - 1
        self.root = Box((everything,), np.zeros(1), np.array([cap]), ((everything, 0.0, cap),), [])
        self.root.bound = self.floor
        self._divide(self.root, 0, problem.N, self.floor)

    def _pattern(self, side: int, signs: np.ndarray) -> bool:
        """A new leaf for the cone programs; False if it is known."""
        if any(side == other and np.array_equal(signs, known) for other, known in self.patterns):
            return False
        self.patterns.append((side, signs))
        return True

    def compatible(self, bits: int, sides: np.ndarray, decided: np.ndarray) -> np.ndarray:
        """(l,): which leaves have neurons of the class; sides (l,), decided (l, N)."""
        signs = sides_of(bits, self.problem.N + 1)
        return np.asarray((signs[-1] * sides >= 0) & ~np.any(decided * signs[:-1] < 0, axis=1))

    def tops(self, q: np.ndarray, c: np.ndarray) -> np.ndarray:
        """M of leaves at the rays, and at β1 as the last column (l, M + 1)."""
        features = self.cover.features
        bias = abs(self.problem.beta) * (np.abs(q.sum(axis=1)) + c.sum(axis=1))
        return np.column_stack([np.abs(q @ features.T) + c @ np.abs(features).T, bias])

    def squares(self, k: int, bits: int) -> np.ndarray:
        """M_g² of item k at the rays, and at β1 (M + 1,)."""
        one = self.items[k].proof
        assert isinstance(one, Tops)
        if bits not in one.squares:
            one.squares[bits] = one.values[self.compatible(bits, one.sides, one.decided)].max(axis=0) ** 2
        return one.squares[bits]

    def try_item(self, box: Box, k: int, masses: np.ndarray) -> None:
        """(6) over the box for item k at n' = masses."""
        one, lam = self.items[k], self.problem.lam
        assert one.linear is not None and one.square is not None
        values = np.sqrt(masses @ np.array([self.squares(k, bits) for bits in box.sets]))
        gamma = largest(values[:-1], self.cover.simplices, self.grams, self.cover.stretch) * (1.0 + ROOM)
        square = one.square + values[-1] ** 2 / (4.0 * lam)
        s = min(2.0 * lam / max(gamma, 1e-290), 0.5 * max(one.linear, 0.0) / max(square, 1e-290))
        value = lam * box.paid(masses) + s * one.linear - s * s * square
        if value > box.bound:
            box.bound, box.proof = value, Proof(k, masses, s)

    # -- the cone program -----------------------------------------------------------------------------------------------

    def _program(self, sets: tuple[int, ...], masses: np.ndarray) -> Solved | None:
        """The best G and q at n' = masses for the leaves and rows at hand; None if the solver fails.

        Variables: G, y = q − a₋εG for each leaf, c for its undecided points, M_g for each direction and for β1.
        """
        import clarabel
        from scipy import sparse

        problem = self.problem
        N, C, lam, beta = problem.N, len(sets), problem.lam, problem.beta
        fits = np.array([self.compatible(bits, *self._leaves()) for bits in sets]).reshape(C, -1)
        leaves = np.flatnonzero(fits.any(axis=0))
        place = {int(k): p for p, k in enumerate(leaves)}
        rows = [row for row in self.rows if row[0] in place]
        rays = np.array(sorted({j for _, j, _ in rows}), dtype=int)
        W, S = len(rays), len(leaves)
        open_places = [(p, i) for p, k in enumerate(leaves) for i in range(N) if self.patterns[k][1][i] == 0]
        number = {pair: N + S * N + k for k, pair in enumerate(open_places)}
        at = N + S * N + len(open_places)
        table = _Rows()
        self._signs(table, leaves, number)
        where = {int(j): w for w, j in enumerate(rays)}
        links = []
        for row in rows:
            p, w = place[row[0]], where[row[1]]
            entries = self._form(leaves, number, p, self.cover.features[row[1]], row[2])
            for g in np.flatnonzero(fits[:, row[0]]).tolist():
                links.append((table.add([*entries, (at + w * C + g, -1.0)]), g, p, w, row))
        if beta:
            for g, k in np.argwhere(fits).tolist():
                for sign in (1.0, -1.0):
                    entries = self._form(leaves, number, place[k], np.full(N, beta), sign)
                    table.add([*entries, (at + W * C + g, -1.0)])
        linear = len(table.right)
        for w in range(W):
            table.add([], 2.0 * lam)
            for g in range(C):
                table.add([(at + w * C + g, -float(np.sqrt(masses[g])))])
        size = at + W * C + (C if beta else 0)
        P = sparse.lil_matrix((size, size))
        unit, targets = item(problem, np.ones((1, N))), problem.targets
        assert unit.square is not None
        plain = unit.square - beta**2 / (4.0 * lam) * N * N
        P[:N, :N] = np.triu(2.0 * plain / N * np.eye(N) + beta**2 / (2.0 * lam))
        for g in range(C if beta else 0):
            P[at + W * C + g, at + W * C + g] = masses[g] / (2.0 * lam)
        cost = np.zeros(size)
        cost[:N] = -targets[0]
        settings = clarabel.DefaultSettings()
        settings.verbose, settings.direct_solve_method = False, "qdldl"
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = ACCURACY
        A = sparse.csc_matrix((table.values, (table.rows, table.columns)), shape=(len(table.right), size))
        kinds = [clarabel.NonnegativeConeT(linear), *[clarabel.SecondOrderConeT(C + 1)] * W]
        solver = clarabel.DefaultSolver(sparse.csc_matrix(P), cost, A, np.array(table.right), kinds, settings)
        answer = solver.solve()
        x, dual = np.array(answer.x), np.array(answer.z)
        if not (np.all(np.isfinite(x)) and np.all(np.isfinite(dual))):
            return None
        sides = np.array([self.patterns[k][0] for k in leaves], dtype=float)
        c = np.zeros((S, N))
        for (p, i), k in number.items():
            c[p, i] = max(x[k], 0.0)
        Z = dual[linear:].reshape(W, C + 1)
        norms = np.maximum(np.linalg.norm(Z[:, 1:], axis=1), 1e-300)
        bias = x[at + W * C :] if beta else np.zeros(C)
        amount, least = np.zeros((C, S, W)), USED * max((dual[link[0]] for link in links), default=0.0)
        active: dict[Row, None] = {}
        for at_row, g, p, w, row in links:
            amount[g, p, w] += max(dual[at_row], 0.0)
            if dual[at_row] > least:
                active[row] = None
        return Solved(
            G=x[:N], leaves=leaves, q=problem.activation.a_minus * sides[:, None] * x[:N] + x[N : N + S * N].reshape(S, N), c=c,
            fits=fits[:, leaves], rays=rays, weights=Z[:, 0], amount=amount, bias=bias,
            usage=(Z[:, 1:] ** 2 / norms[:, None]).sum(axis=0) + (bias / (2.0 * lam)) ** 2 * masses, active=list(active),
            value=-answer.obj_val,
        )  # fmt: skip

    def _leaves(self) -> tuple[np.ndarray, np.ndarray]:
        """sides (l,) and decided (l, N) of the patterns."""
        sides = np.array([side for side, _ in self.patterns], dtype=np.int64)
        return sides, np.array([signs for _, signs in self.patterns], dtype=np.int64).reshape(-1, self.problem.N)

    def _signs(self, table: _Rows, leaves: np.ndarray, number: dict[tuple[int, int], int]) -> None:
        """y_i ≥ κ_i − c_i where z_i ≥ 0 is possible, y_i ≤ c_i where z_i ≤ 0 is."""
        N, kink = self.problem.N, float(self.problem.activation.kink)
        for p, k in enumerate(leaves):
            side, signs = self.patterns[k]
            for i in range(N):
                y, extra = N + p * N + i, number.get((p, i))
                more = [] if extra is None else [(extra, -1.0)]
                if signs[i] >= 0:
                    table.add([(i, kink * side), (y, -1.0), *more])
                if signs[i] <= 0:
                    table.add([(y, 1.0), *more])
                if extra is not None:
                    table.add(more)

    def _form(
        self, leaves: np.ndarray, number: dict[tuple[int, int], int], p: int, phi: np.ndarray, sign: float
    ) -> list[tuple[int, float]]:
        """sign·q·φ + Σc_i|φ_i| of leaf p, in the variables."""
        N, slope = self.problem.N, float(self.problem.activation.a_minus) * self.patterns[leaves[p]][0]
        found = []
        for i, value in enumerate(phi.tolist()):
            if value != 0.0:
                found.append((N + p * N + i, sign * value))
                if (p, i) in number:
                    found.append((number[p, i], abs(value)))
                if slope:
                    found.append((i, sign * slope * value))
        return found

    def solve(self, sets: tuple[int, ...], masses: np.ndarray, enough: float) -> Found | None:
        """The best G and its trees at n' = masses, about, or no trees where ψ cannot reach `enough`; None if the solver fails."""
        limit = 4.0 * self.problem.lam**2
        found, tops = None, None
        for _ in range(ROUNDS):
            solved = self._program(sets, masses)
            if solved is None:
                break
            found, tops = solved, None
            # With more constraints the value is less.
            if solved.value < enough:
                break
            M = self.tops(solved.q, solved.c)
            largest_of = np.array([M[fit].max(axis=0, initial=0.0) for fit in solved.fits])
            values = masses @ largest_of[:, :-1] ** 2
            fresh = self._new_rows(solved, M, values, limit)
            scale = max(float(values.max()) / limit, 1.0)
            if scale > 1.05 and fresh:
                continue
            # What is left where no row holds is for the other leaves.
            share = len(sets) * masses[:, None]
            reach = np.sqrt(largest_of[:, :-1] ** 2 + np.maximum(limit * scale - values, 0.0) / share)
            bias = np.sqrt(largest_of[:, -1:] ** 2 + BIAS * self.upper * 4.0 * self.problem.lam / share)
            tops, missing = self.trees(solved.G, sets, np.hstack([reach, bias]))
            if not self._new_leaves(solved, missing) and not fresh:
                break
        if found is None:
            return None
        result = Found(found, self._leaves()[1][found.leaves], tops)
        used = sorted({k for k, _, _ in found.active})
        number = {k: p for p, k in enumerate(used)}
        self.patterns = [self.patterns[k] for k in used]
        self.rows = {(number[k], j, sign): None for k, j, sign in found.active}
        return result

    def _new_rows(self, solved: Solved, M: np.ndarray, values: np.ndarray, limit: float) -> bool:
        """Rows for the directions where Σ n'_gM_g² is too large, no two near each other. False if there are none."""
        before, rays = len(self.rows), self.cover.rays
        new: list[int] = []
        for j in np.argsort(-values, kind="stable")[: 20 * NEW].tolist():
            if values[j] <= limit * (1.0 + self.tolerance) or len(new) == NEW:
                break
            if all(rays[j] @ rays[other] < APART for other in new):
                new.append(j)
        for j in new:
            for fit in solved.fits:
                if fit.any():
                    p = np.flatnonzero(fit)[int(M[fit, j].argmax())]
                    sign = 1.0 if solved.q[p] @ self.cover.features[j] >= 0.0 else -1.0
                    self.rows[int(solved.leaves[p]), j, sign] = None
        return len(self.rows) > before

    def _new_leaves(self, solved: Solved, missing: list[tuple[float, int, np.ndarray]]) -> bool:
        """The leaves that are missing most, with rows where a direction is used now. False if all are known."""
        used = solved.rays[solved.weights > 1e-3 * max(float(solved.weights.max(initial=0.0)), 1e-300)].tolist()
        added = 0
        for _, side, signs in missing:
            if added < NEW_LEAVES and self._pattern(side, signs):
                added += 1
                self.rows.update({(len(self.patterns) - 1, j, sign): None for j in used for sign in (1.0, -1.0)})
        return added > 0

    # -- trees ----------------------------------------------------------------------------------------------------------

    def trees(
        self, G: np.ndarray, sets: tuple[int, ...], reach: np.ndarray
    ) -> tuple[Tops, list[tuple[float, int, np.ndarray]]]:
        """Trees for G and −G with M_g ≤ reach_g (C, M + 1) of all classes, about, and the leaves where that cannot be: (ratio, side,
        signs).

        A leaf gets the q with the least ratio; where it is above 1, the undecided point that adds most to it is branched on.
        """
        sigma, beta = self.problem.activation, self.problem.beta
        N = len(G)
        features = self.cover.features
        phi = np.vstack([features, np.full((1, N), beta)]) if beta else features
        T_all: list[np.ndarray] = []
        q_all: list[np.ndarray] = []
        c_all: list[np.ndarray] = []
        decided: list[np.ndarray] = []
        sides: list[int] = []
        structures: list[np.ndarray] = []
        missing: list[tuple[float, int, np.ndarray]] = []
        for side in (1, -1):
            kappa, linear = float(sigma.kink) * side * G, float(sigma.a_minus) * side * G
            structure: list[int] = []
            stack = [np.zeros(N, dtype=np.int64)]
            while stack:
                signs = stack.pop()
                undecided = (kappa > 0.0) & (signs == 0)
                mine = [self.compatible(bits, np.array([side]), signs[None])[0] for bits in sets]
                ratio, T, weights = self._multipliers(kappa, linear, signs, phi, reach[mine][:, : len(phi)])
                if ratio > 1.0 + self.tolerance:
                    if undecided.any() and len(q_all) + len(stack) < MOST_NODES:
                        i = int(np.argmax(np.where(undecided, kappa * weights, -1.0)))
                        structure.append(i)
                        for sign in (-1, 1):
                            child = signs.copy()
                            child[i] = sign
                            stack.append(child)
                        continue
                    missing.append((ratio, side, signs))
                structure.append(-1)
                T = rounded(T, kappa, signs)
                T_all.append(T)
                decided.append(signs)
                sides.append(side)
                q_all.append(linear + kappa * T)
                c_all.append(np.where(undecided, 0.5 * kappa, 0.0))
            structures.append(np.array(structure, dtype=np.int64))
        found = Tops(
            G, (structures[0], structures[1]), np.array(T_all), np.array(decided), np.array(sides),
            self.tops(np.array(q_all), np.array(c_all)), {},
        )  # fmt: skip
        return found, sorted(missing, key=lambda one: -one[0])

    def _multipliers(
        self, kappa: np.ndarray, linear: np.ndarray, signs: np.ndarray, phi: np.ndarray, reach: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """(ratio, T, weights): the leaf with the least max M(φ)/reach over the directions, and |φ|/reach where that is."""
        undecided = (kappa > 0.0) & (signs == 0)
        T = np.where(undecided, 0.5, np.where(signs > 0, 1.0, 0.0))
        if not len(reach):
            return 0.0, T, np.zeros(len(T))
        scaled = phi / np.maximum(reach.min(axis=0), 1e-200)[:, None]
        free = np.flatnonzero((kappa != 0.0) & ~undecided)
        low = np.where(kappa < 0.0, kappa, np.where(signs > 0, kappa, -np.inf))[free]
        high = np.where(kappa < 0.0, 0.0, np.where(signs > 0, np.inf, 0.0))[free]
        half = np.where(undecided, 0.5 * kappa, 0.0)
        fixed, more = scaled @ (linear + half), np.abs(scaled) @ half
        A = np.vstack([scaled[:, free], -scaled[:, free]])
        y = np.empty(len(free))
        ratio = minimax(A, np.concatenate([more + fixed, more - fixed]), low, high, y, 1e-4, 1.0, 1e3, 400)
        T[free] = y / kappa[free]
        worst = int((np.abs(fixed + scaled[:, free] @ y) + more).argmax())
        return float(ratio), T, np.abs(scaled[worst])

    # -- the search -----------------------------------------------------------------------------------------------------

    def run(self, goal: float) -> float:
        """Improve the least bound until it reaches the goal or the time is up. Returns what is proven, about."""
        self.goal = goal
        done, self.done = self.done, []
        for box in done:
            self._wait(box, box.bound)
        while not self.exhausted and time.monotonic() < self.deadline:
            priority, _, box = heapq.heappop(self.queue)
            if box.bound >= goal:
                self.done.append(box)
            else:
                self._improve(box, priority)
        return proven(self.root)

    @property
    def exhausted(self) -> bool:
        """More time would change nothing."""
        return not self.queue or self.count >= MOST_BOXES

    def _wait(self, box: Box, priority: float) -> None:
        self.count += 1
        heapq.heappush(self.queue, (priority, self.count, box))

    def _push(self, box: Box, priority: float) -> None:
        """A new box into the queue; priority: what is known of it."""
        box.tighten(lambda a, whole: a & ~whole == 0)
        if np.any(box.low > box.high + 1e-9 * float(self.root.high[0])):
            box.bound, box.proof = np.inf, None
            return
        empty = self.floor + self.layers * self.problem.lam * float(box.low.sum())
        if empty > box.bound:
            box.bound, box.proof = empty, None
        for k in box.near:
            if box.bound >= self.goal:
                break
            self.try_item(box, k, box.middle)
        if box.bound >= self.goal:
            self.done.append(box)
        else:
            self._wait(box, max(priority, box.bound))

    def _improve(self, box: Box, priority: float) -> None:
        """A new item for the box, or cut it."""
        lam, masses = self.problem.lam, box.middle
        found, at, relaxed = None, masses, -np.inf
        for _ in range(CHANGES):
            one = self.solve(box.sets, masses, self.goal - lam * box.paid(masses))
            if one is None:
                break
            found, at = one, masses
            relaxed = max(relaxed, one.solved.value + lam * box.paid(masses))
            if one.tops is not None:
                self.items.append(item(self.problem, one.tops.g[np.newaxis], one.tops))
                box.near = [len(self.items) - 1, *box.near][:NEAR]
                self.try_item(box, len(self.items) - 1, masses)
                if box.bound >= self.goal:
                    self.done.append(box)
                    return
            usage = np.maximum(one.solved.usage, 1e-12 * max(float(one.solved.usage.max()), 1e-280))
            masses = box.better(masses, usage)
            if np.allclose(masses, at, rtol=0.05):
                break
        if found is None:
            self.done.append(box)
            return
        # Boxes are cut where the cone program says that they lie lowest.
        priority = max(priority, min(relaxed, self.goal))
        place, t, loss = box.best_cut(at, np.maximum(found.solved.usage, 1e-300))
        gain, g, i = self._best_division(at, found)
        if gain > DIVIDE * lam * loss and len(box.sets) < MOST_CLASSES:
            self._divide(box, g, i, priority)
        elif box.low[place] < t < box.high[place]:
            for child in box.cut(place, t):
                child.near = box.near
                self._push(child, priority)
        else:
            self.done.append(box)

    def _best_division(self, masses: np.ndarray, found: Found) -> tuple[float, int, int]:
        """(gain, class, point): the sign that raises the value at this solution most, the mass of the class shared in the best way.

        With Σ|a| for the leaves of each side, n_g in parts f and 1 − f, a direction costs (Σ_g a_g²/n_g)^½.
        """
        best, share = (0.0, 0, 0), np.linspace(0.05, 0.95, 19)[:, None]
        amount = found.solved.amount
        norms = np.sqrt(np.einsum("gsw,g->w", amount.sum(axis=1, keepdims=True) ** 2, 1.0 / masses))
        for g, a in enumerate(amount):
            used = a.sum(axis=1) > 1e-3 * max(float(a.sum()), 1e-300)
            signs, a = found.decided[used], a[used]
            for i in np.flatnonzero((signs > 0).any(axis=0) & (signs < 0).any(axis=0)).tolist():
                up, down = a[signs[:, i] > 0].sum(axis=0), a[signs[:, i] < 0].sum(axis=0)
                rest = a.sum(axis=0) - up - down
                up, down = (up + rest, down) if up.sum() >= down.sum() else (up, down + rest)
                more = (up**2 / share + down**2 / (1.0 - share) - (up + down) ** 2) / masses[g]
                gain = float((np.sqrt(norms**2 + np.maximum(more, 0.0)) - norms).sum(axis=1).min())
                best = max(best, (2.0 * self.problem.lam * gain, g, i), key=lambda one: one[0])
        return best

    def _divide(self, box: Box, place: int, i: int, priority: float) -> None:
        """Two classes for one: by the sign of z_i, or of v."""
        near = box.near
        child = box.divide(place, *halves(box.sets[place], i))
        child.near = near
        box.step = ("divide", place, float(i))
        self._push(child, priority)


def proven(root: Box) -> float:
    """The largest target that the boxes prove."""
    order = [root]
    for box in order:
        order += box.children
    value: dict[int, float] = {}
    for box in reversed(order):
        value[id(box)] = max(box.bound, min((value[id(child)] for child in box.children), default=-np.inf))
    return value[id(root)]
