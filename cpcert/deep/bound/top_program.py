"""The best dual point and its trees of signs at given masses of the classes of top neurons, about.

The best G and q at n' (tops.py) are a cone program with a constraint for every direction w and leaf, found one after the other:
w where the last solution is too large, leaves where a tree over the signs finds no q that is small enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cpcert.deep.bound.cover import Cover
from cpcert.deep.bound.items import Tops, item
from cpcert.deep.bound.maxima import minimax
from cpcert.deep.bound.tree import rounded
from cpcert.problem import Problem

# Rounds of new constraints for one box, directions and leaves that each adds; nodes of the trees.
ROUNDS, NEW, NEW_LEAVES, MOST_NODES = 20, 8, 6, 3000
# Of the cone programs; new directions are no nearer to each other than this (a cosine); what counts as used.
ACCURACY, APART, USED = 1e-6, 0.98, 1e-4
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


def sides_of(bits: int, count: int) -> np.ndarray:
    """The signs of a class (count,), 0: both; bits 2i, 2i + 1: may z_i be ≥ 0, ≤ 0, v the last one."""
    return np.array([(0, 1, -1, 0)[bits >> 2 * i & 3] for i in range(count)])


class TopProgram:
    """The leaves and rows at hand, for one box after another. gap: the least one that will be asked for."""

    def __init__(self, problem: Problem, cover: Cover, upper: float, gap: float) -> None:
        self.problem, self.cover, self.upper = problem, cover, upper
        self.tolerance = min(EXCESS, gap / 8.0)
        # Leaves of the cone programs, as (sign of v, signs of z), and their rows.
        self.patterns: list[tuple[int, np.ndarray]] = []
        self.rows: dict[Row, None] = {}

    def add_pattern(self, side: int, signs: np.ndarray) -> bool:
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
            if added < NEW_LEAVES and self.add_pattern(side, signs):
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
        A = np.ascontiguousarray(np.vstack([scaled[:, free], -scaled[:, free]]))
        y = np.empty(len(free))
        ratio = minimax(A, np.concatenate([more + fixed, more - fixed]), low, high, y, 1e-4, 1.0, 1e3, 400)
        T[free] = y / kappa[free]
        worst = int((np.abs(fixed + scaled[:, free] @ y) + more).argmax())
        return float(ratio), T, np.abs(scaled[worst])
