"""Boxes of masses of the top neurons, best first: the bound of boxes.py from the other side, for few points.

A class g of top neurons has a sign of v and signs of some z_i (the others are open), and n_g = Σ v_j². With a vector q_g for
each class (certificate/DEEP.md, (5))

    L_λ ≥ λΣ(2n_g − n_g²/n'_g) − Σ n_gτ_g + ψ_G(1) − (β²/4λ)Σ n'_g(q_g·1)²,   Γ² = max Σ n'_g(q_g·σ(X̃ᵀw))² ≤ 4λ².

At n = n' and with all signs decided the best G and q reach the minimum for these n: nothing is lost inside of a class, in
any dimension, and the number of classes grows with that of the points. The best G and q are a cone program with a
constraint for every w, found one after the other. Floating point: the exact checker does every box again.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass

import numpy as np

from cpcert.compiled import njit
from cpcert.deep.bound.boxes import Box, Proof
from cpcert.deep.bound.cover import Cover
from cpcert.deep.bound.items import ROOM, Item, Pulls, item
from cpcert.frank_wolfe.bounds import dual_value
from cpcert.problem import Problem

MOST_BOXES, MOST_CLASSES = 20_000, 60
# Rounds of new constraints for one box, how many each adds, solutions of the boxes above that a box is tried with.
ROUNDS, NEW, NEAR = 6, 6, 6
# Changes of n' for a box, directions to begin with.
CHANGES, FIRST = 2, 40
# Of the cone programs.
ACCURACY = 1e-6


@dataclass(frozen=True, eq=False)
class Solved:
    """The best G and q at n' that were found. usage (C,): −∂/∂n'_g of the bound is λ usage_g/n'_g. open (C, N): how much z_i is used
    with both signs."""

    G: np.ndarray
    rows: np.ndarray
    usage: np.ndarray
    open: np.ndarray


@njit(cache=True)
def _copositive(S, left):
    """The sufficient test of the checker, for the rows `left`."""
    r = S.shape[0]
    changed = True
    while changed:
        changed = False
        for j in range(r):
            if left[j]:
                done = True
                for k in range(r):
                    if left[k] and S[j, k] < 0.0:
                        done = False
                        break
                if done:
                    left[j] = False
                    changed = True
    for p in range(r):
        if left[p]:
            if S[p, p] <= 0.0:
                return False
            for j in range(p + 1, r):
                if left[j]:
                    factor = S[j, p] / S[p, p]
                    for k in range(r):
                        S[j, k] -= factor * S[p, k]
    return True


@njit(cache=True)
def gamma_square(values, simplices, grams, stretch, masses, tops, directions):
    """Γ(n')² from above; tops (K,) and directions (K, r): for each cone a value that is attained, and where."""
    K, r = simplices.shape
    C = masses.shape[0]
    B = np.empty((r, r))
    S = np.empty((r, r))
    left = np.empty(r, np.bool_)
    t = np.empty(r)
    M = values.shape[0]
    rays = np.empty(M)
    best = 0.0
    for j in range(M):
        rays[j] = 0.0
        for g in range(C):
            rays[j] += masses[g] * values[j, g] * values[j, g]
    for k in range(K):
        for a in range(r):
            best = max(best, rays[simplices[k, a]])
    for k in range(K):
        # Σ t_j√B_jj bounds (tᵀBt)^½, so most cones need no more than this.
        place = 0
        for a in range(r):
            directions[k, a] = 0.0
            if rays[simplices[k, a]] > rays[simplices[k, place]]:
                place = a
        tops[k] = rays[simplices[k, place]]
        directions[k, place] = 1.0
        if tops[k] * stretch[k] * stretch[k] <= best:
            continue
        for a in range(r):
            for b in range(r):
                s = 0.0
                for g in range(C):
                    s += masses[g] * values[simplices[k, a], g] * values[simplices[k, b], g]
                B[a, b] = s
        tops[k] = -1.0
        for start in range(r + 1):
            for a in range(r):
                t[a] = 1.0 if start == r or a == start else 0.0
            # Steps t ← G⁻¹Bt raise tᵀBt/tᵀGt; here by its gradient, kept in the cone.
            value = 0.0
            for _ in range(60 if start == r else 1):
                up = 0.0
                down = 0.0
                for a in range(r):
                    for b in range(r):
                        up += t[a] * B[a, b] * t[b]
                        down += t[a] * grams[k, a, b] * t[b]
                value = up / down
                if start < r:
                    break
                size = 0.0
                for a in range(r):
                    s = 0.0
                    for b in range(r):
                        s += (B[a, b] - value * grams[k, a, b]) * t[b]
                    t[a] = max(t[a] + s / max(value, 1e-300), 0.0)
                    size = max(size, t[a])
                for a in range(r):
                    t[a] /= max(size, 1e-300)
            if value > tops[k]:
                tops[k] = value
                for a in range(r):
                    directions[k, a] = t[a]
        mu = max(best, tops[k], 1e-290)
        low = mu
        high = mu
        for _ in range(200):
            for a in range(r):
                left[a] = True
                for b in range(r):
                    S[a, b] = high * (1.0 + 1e-9) * grams[k, a, b] - B[a, b]
            if _copositive(S, left):
                break
            low = high
            high += mu * 1e-3 if high < 1.01 * mu else high
        if high > mu:
            for _ in range(30):
                middle = 0.5 * (low + high)
                for a in range(r):
                    left[a] = True
                    for b in range(r):
                        S[a, b] = middle * (1.0 + 1e-9) * grams[k, a, b] - B[a, b]
                if _copositive(S, left):
                    high = middle
                else:
                    low = middle
        best = max(best, high * (1.0 + 1e-9))
    return best


class PatternSearch:
    """The boxes for one goal (mse). gradient: |∇C| of a good network, which says what open signs cost."""

    def __init__(self, problem: Problem, cover: Cover, upper: float, gradient: np.ndarray, deadline: float) -> None:
        self.problem, self.cover, self.upper, self.deadline = problem, cover, upper, deadline
        self.gradient = gradient
        rays = cover.rays[cover.simplices]
        self.grams = np.einsum("kar,kbr->kab", rays, rays)
        N = problem.N
        self.masks = [
            sum((((1 << (1 << i)) - 1) << (1 << i)) << (k << (i + 1)) for k in range(1 << (N - i)))
            for i in range(N + 1)
        ]
        self.points = np.linalg.norm(problem.X_tilde, axis=0)
        self.pool = cover.features.copy()
        self.active = np.arange(min(len(self.pool), FIRST))
        self.items: list[Item] = []
        self.floor = dual_value(problem, np.zeros_like(problem.targets))
        self.layers = 3.0 if problem.beta == 0.0 else 2.0
        self.queue: list[tuple[float, int, Box]] = []
        self.count, self.least, self.goal = 0, np.inf, upper
        self.root: Box | None = None
        self.reach = np.zeros(N)

    def signs(self, sets: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The sign of v of every class, and those of z (C, N); 0: both."""

        def side(bits: int, mask: int) -> int:
            return 1 if bits & ~mask == 0 else -1 if bits & mask == 0 else 0

        table = np.array([[side(bits, mask) for mask in self.masks] for bits in sets])
        return table[:, -1], table[:, :-1]

    def excess(self, sets: tuple[int, ...], G: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """τ_g (C,)."""
        v, z = self.signs(sets)
        sigma = self.problem.activation
        most = np.zeros(rows.shape)
        for eps in (1.0, -1.0):
            over = np.maximum(
                np.where(z >= 0, eps * sigma.a_plus * G - rows, 0.0),
                np.where(z <= 0, rows - eps * sigma.a_minus * G, 0.0),
            )
            most = np.where((v * eps >= 0.0)[:, None], np.maximum(most, over), most)
        return np.asarray(most @ self.reach)

    def square(self, values: np.ndarray, masses: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Γ(n')² from above, and for each cone a value that is attained, and its σ(X̃ᵀw)."""
        K, r = self.cover.simplices.shape
        tops, t = np.empty(K), np.empty((K, r))
        best = gamma_square(values, self.cover.simplices, self.grams, self.cover.stretch, masses, tops, t)
        return float(best), tops, t

    def bound(self, box: Box, k: int, masses: np.ndarray) -> tuple[float, float]:
        """(value, s): (5) over the box for item k at n' = masses."""
        one, lam, beta = self.items[k], self.problem.lam, self.problem.beta
        assert isinstance(one.proof, Pulls) and one.linear is not None and one.square is not None
        rows = one.proof.rows
        gamma = np.sqrt(self.square(one.proof.values, masses)[0]) * (1.0 + ROOM)
        tau = self.excess(box.sets, one.G[0], rows)
        square = one.square + beta**2 / (4.0 * lam) * float(masses @ rows.sum(axis=1) ** 2)
        s = min(2.0 * lam / max(gamma, 1e-290), 0.5 * max(one.linear - float(tau @ masses), 0.0) / max(square, 1e-290))
        low = lam * (2.0 * box.low - box.low**2 / masses) - s * tau * box.low
        high = lam * (2.0 * box.high - box.high**2 / masses) - s * tau * box.high
        return float(np.minimum(low, high).sum()) + s * one.linear - s * s * square, s

    def try_item(self, box: Box, k: int, masses: np.ndarray) -> None:
        """Item k for the box."""
        value, s = self.bound(box, k, masses)
        if value > box.bound:
            box.bound, box.proof = value, Proof(k, masses, s)

    # -- the cone program -----------------------------------------------------------------------------------------------

    def _rows(
        self, sets: tuple[int, ...], masses: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[int, int]]]:
        """(P, cost, A, open): minimise ½xᵀPx + cost·x with Ax ≤ 0, x = (G, q, excesses of open signs)."""
        problem, sigma = self.problem, self.problem.activation
        N, C, lam, beta = problem.N, len(sets), problem.lam, problem.beta
        v, z = self.signs(sets)
        places = [(g, i) for g in range(C) for i in range(N) if z[g, i] == 0]
        size = N + C * N + len(places)
        P, cost = np.zeros((size, size)), np.zeros(size)
        unit = item(problem, np.ones((1, N)), Pulls(np.zeros((0, N)), np.zeros((0, 0))))
        assert unit.square is not None
        plain = unit.square - beta**2 / (4.0 * lam) * N * N
        P[:N, :N] = 2.0 * plain / N * np.eye(N) + beta**2 / (2.0 * lam)
        cost[:N] = -problem.targets[0]
        for g in range(C):
            at = N + g * N
            P[at : at + N, at : at + N] = beta**2 / (2.0 * lam) * masses[g]
        number = {place: N + C * N + k for k, place in enumerate(places)}
        A = []
        for g in range(C):
            for i in range(N):
                extra = number.get((g, i))
                for side, slope in ((1, sigma.a_plus), (-1, sigma.a_minus)):
                    if z[g, i] == -side:
                        continue
                    row = np.zeros(size)
                    row[i], row[N + g * N + i] = side * v[g] * slope, -side
                    if extra is not None:
                        row[extra] = -1.0
                    A.append(row)
                if extra is not None:
                    row = np.zeros(size)
                    row[extra] = -1.0
                    A.append(row)
                    cost[extra] = masses[g] * self.reach[i]
        return P, cost, np.array(A), places

    def solve(self, sets: tuple[int, ...], masses: np.ndarray, enough: float) -> Solved | None:
        """The best G and q at n' = masses, about, or where ψ cannot reach `enough` less exact ones; None if the solver fails."""
        import clarabel
        from scipy import sparse

        problem = self.problem
        N, C, lam, beta = problem.N, len(sets), problem.lam, problem.beta
        P, cost, A, places = self._rows(sets, masses)
        upper_half = sparse.csc_matrix(np.triu(P))
        roots = np.sqrt(masses)
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = ACCURACY
        current = self.active
        found = None
        for k in range(ROUNDS):
            m = len(current)
            cones = np.zeros((m, C + 1, len(cost)))
            for g in range(C):
                cones[:, g + 1, N + g * N : N + g * N + N] = -roots[g] * self.pool[current]
            b = np.zeros((m, C + 1))
            b[:, 0] = 2.0 * lam
            rows = sparse.csc_matrix(np.vstack([A, cones.reshape(-1, len(cost))]))
            kinds = [clarabel.NonnegativeConeT(len(A)), *[clarabel.SecondOrderConeT(C + 1)] * m]
            offset = np.concatenate([np.zeros(len(A)), b.ravel()])
            answer = clarabel.DefaultSolver(upper_half, cost, rows, offset, kinds, settings).solve()
            x, dual = np.array(answer.x), np.array(answer.z)
            if not (np.all(np.isfinite(x)) and np.all(np.isfinite(dual))):
                return found
            G, Q = x[:N], x[N : N + C * N].reshape(C, N)
            Z = dual[len(A) :].reshape(m, C + 1)
            norms = np.maximum(np.linalg.norm(Z[:, 1:], axis=1), 1e-300)
            usage = (Z[:, 1:] ** 2 / norms[:, None]).sum(axis=0) + (beta / (2.0 * lam) * Q.sum(axis=1)) ** 2 * masses
            found = Solved(G, Q, usage, self._open(A, dual, C, places))
            self.active = current[Z[:, 0] > 1e-7 * Z[:, 0].max()]
            # Without the constraints that are left out, the optimum would be at least this small.
            if k and -answer.obj_val < enough:
                break
            _, tops, t = self.square(self.cover.features @ Q.T, masses)
            here = np.argsort(-tops, kind="stable")[:NEW]
            here = here[tops[here] > (2.0 * lam) ** 2 * (1.0 + 1e-4)]
            if not len(here):
                break
            sizes = np.sqrt(np.einsum("ka,kab,kb->k", t[here], self.grams[here], t[here]))
            fresh = np.einsum("ka,kan->kn", t[here] / sizes[:, None], self.cover.features[self.cover.simplices[here]])
            current = np.concatenate([current, len(self.pool) + np.arange(len(here))])
            self.pool = np.vstack([self.pool, fresh])
        return found

    def _open(self, A: np.ndarray, dual: np.ndarray, C: int, places: list[tuple[int, int]]) -> np.ndarray:
        """By how much z_i is used with the wrong sign, from the multipliers of the rows of A."""
        N = self.problem.N
        used = np.zeros((C, N))
        for k, (g, i) in enumerate(places):
            rows = np.flatnonzero(A[:, N + C * N + k] < 0.0)[:2]
            used[g, i] = max(float(dual[rows].min()), 0.0)
        return used

    # -- the search -----------------------------------------------------------------------------------------------------

    def run(self, goal: float) -> float:
        """Improve the least bound until it reaches the goal or the time is up. Returns it."""
        problem = self.problem
        self.goal = goal
        # For any target up to the loss of the network.
        cap = (1.0 + 1e-9) * max(self.upper - self.floor, 0.0) / (self.layers * problem.lam)
        self.reach = np.sqrt(problem.activation.lipschitz**2 * self.points**2 * cap + problem.beta**2) * (1.0 + 1e-9)
        everything = (1 << (2 << problem.N)) - 1
        self.root = Box((everything,), np.zeros(1), np.array([cap]), ((everything, 0.0, cap),), [])
        self.root.bound = self.floor
        self._divide(self.root, 0, problem.N, self.floor)
        while self.queue and time.monotonic() < self.deadline and self.count < MOST_BOXES:
            priority, _, box = heapq.heappop(self.queue)
            self._improve(box, priority)
        return min([self.least, *(self.queue[0][:1] if self.queue else ())])

    def _push(self, box: Box, priority: float) -> None:
        """A new box into the queue; priority: what is known of it."""
        assert self.root is not None
        cap = float(self.root.high[0])
        box.tighten(lambda a, whole: a & ~whole == 0)
        if np.any(box.low > box.high + 1e-9 * cap):
            box.bound = np.inf
            return
        empty = self.floor + self.layers * self.problem.lam * float(box.low.sum())
        if empty > box.bound:
            box.bound, box.proof = empty, None
        for k in box.near:
            if box.bound >= self.goal:
                break
            self.try_item(box, k, box.middle)
        if box.bound >= self.goal:
            self.least = min(self.least, box.bound)
            return
        self.count += 1
        heapq.heappush(self.queue, (max(priority, box.bound), self.count, box))

    def _improve(self, box: Box, priority: float) -> None:
        lam, masses = self.problem.lam, box.middle
        near = box.near
        solved = None
        for _ in range(CHANGES):
            found = self.solve(box.sets, masses, self.goal - lam * box.paid(masses))
            if found is None:
                break
            solved, at = found, masses
            pulls = Pulls(found.rows, self.cover.features @ found.rows.T)
            self.items.append(item(self.problem, found.G[np.newaxis], pulls))
            near = [len(self.items) - 1, *near][:NEAR]
            self.try_item(box, len(self.items) - 1, masses)
            if box.bound >= self.goal:
                self.least = min(self.least, box.bound)
                return
            better = box.better(masses, np.maximum(found.usage, 1e-12 * float(found.usage.max())))
            if np.allclose(better, masses, rtol=0.05):
                break
            masses = better
        if solved is None:
            self.least = min(self.least, max(priority, box.bound))
            return
        place, t, loss = box.best_cut(at, solved.usage)
        costs = solved.open * self.gradient
        g, i = divmod(int(costs.argmax()), self.problem.N)
        if costs[g].sum() > lam * loss and costs[g, i] > 0.0 and len(box.sets) < MOST_CLASSES:
            self._divide(box, g, i, priority)
            return
        if not box.low[place] < t < box.high[place]:
            self.least = min(self.least, max(priority, box.bound))
            return
        for child in box.cut(place, t):
            child.near = near
            self._push(child, priority)

    def _divide(self, box: Box, place: int, i: int, priority: float) -> None:
        """Two classes for one: by the sign of z_i, or of v."""
        whole = box.sets[place]
        first = whole & self.masks[i]
        child = box.divide(place, first, whole & ~first)
        box.step = ("divide", place, float(i))
        self._push(child, priority)
