"""What cpcert is measured against: full enumeration with a conic solver, plain training, SCIP.

None of them is tuned down: each gets its problem in its best form, and what it reports is taken on trust.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import clarabel
import numpy as np
from scipy import sparse
from scipy.optimize import minimize

from cpcert import Problem
from cpcert.oracle.arrangement import cell_count, cells
from cpcert.oracle.coordinates import coordinates

# Patterns times points beyond which the conic program does not fit in the memory of a small machine.
LARGEST_ENUMERATION = 250_000


# -- full enumeration (Pilanci and Ergen, ICML 2020) -----------------------------------------------------------------


def enumeration_size(problem: Problem) -> int:
    """The number of activation patterns of points in general position."""
    points = coordinates(problem.X_tilde).points
    return cell_count(*points.shape)


def full_enumeration(problem: Problem) -> float:
    """The optimal value of the convex program over all activation patterns, as Clarabel reports it. One output, mse.

    min (1/N)‖Σ_D D X̃ᵀ(u_D − u'_D) + βb1 − y‖² + 2λ Σ (‖u_D‖ + ‖u'_D‖) + λb²,   (2D − I)X̃ᵀu ≥ 0 for each u.
    """
    points = coordinates(problem.X_tilde).points
    N, r = points.shape
    signs, _ = cells(points)
    blocks = [(sign, pattern) for pattern in signs for sign in (1.0, -1.0)]
    k, bias = len(blocks), problem.beta != 0.0
    # Variables: residual (N), b, and (t, u) for each block with ‖u‖ ≤ t.
    first = N + bias
    total = first + k * (r + 1)
    quadratic = np.zeros(total)
    quadratic[:N] = 2.0 / N
    linear = np.zeros(total)
    linear[first :: r + 1] = 2.0 * problem.lam
    features = [np.column_stack([np.zeros(N), s * np.where(p[:, None] > 0, points, 0.0)]) for s, p in blocks]
    columns: list[object] = [-sparse.eye(N)]
    if bias:
        quadratic[N] = 2.0 * problem.lam
        columns.append(sparse.csc_matrix(np.full((N, 1), problem.beta)))
    fit = sparse.hstack([*columns, sparse.csc_matrix(np.hstack(features))])
    inside = sparse.block_diag([np.column_stack([np.zeros(N), -p[:, None] * points]) for _, p in blocks])
    inside = sparse.hstack([sparse.csc_matrix((k * N, first)), inside])
    norms = sparse.hstack([sparse.csc_matrix((k * (r + 1), first)), -sparse.eye(k * (r + 1))])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    solver = clarabel.DefaultSolver(
        sparse.diags(quadratic, format="csc"),
        linear,
        sparse.csc_matrix(sparse.vstack([fit, inside, norms])),
        np.concatenate([problem.Y[:, 0], np.zeros(k * (N + r + 1))]),
        [clarabel.ZeroConeT(N), clarabel.NonnegativeConeT(k * N), *([clarabel.SecondOrderConeT(r + 1)] * k)],
        settings,
    )
    return float(solver.solve().obj_val)


# -- training --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """The lowest loss of all restarts, and how many there were."""

    best: float
    restarts: int
    seconds: float


def training(problem: Problem, seconds: float, width: int, seed: int = 0) -> Training:
    """Adam, then L-BFGS, on L_λ with `width` hidden neurons from random starts, one after the other until `seconds` are over."""
    rng = np.random.default_rng(seed)
    n, m, N = problem.n, problem.m, problem.N
    X_tilde, targets, sigma = problem.X_tilde, problem.targets, problem.activation
    bias = int(problem.beta != 0.0)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        W = flat[: width * n].reshape(width, n)
        V = flat[width * n :].reshape(m, width + bias)
        S = W @ X_tilde
        hidden = sigma(S)
        full = np.vstack([hidden, np.full((bias, N), problem.beta)])
        Z = V @ full
        G = problem.loss.gradient(Z, targets)
        slopes = np.where(S > 0.0, sigma.a_plus, sigma.a_minus)
        of_W = ((V[:, :width].T @ G) * slopes) @ X_tilde.T
        gradient = np.concatenate([of_W.ravel(), (G @ full.T).ravel()]) + 2.0 * problem.lam * flat
        return problem.loss.value(Z, targets) + problem.lam * float(flat @ flat), gradient

    best, restarts, started = math.inf, 0, time.perf_counter()
    while restarts == 0 or time.perf_counter() - started < seconds:
        start = np.concatenate(
            [rng.standard_normal(width * n) / math.sqrt(n), rng.standard_normal(m * (width + bias)) / math.sqrt(width)]
        )
        start = adam(loss, start)
        # Kinks end a run of L-BFGS early; one that starts again where it ended gets further.
        previous = math.inf
        while True:
            found = minimize(
                loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 10000, "ftol": 1e-14}
            )
            start = found.x
            if found.fun > previous * (1.0 - 1e-7) or time.perf_counter() - started > 2.0 * seconds:
                break
            previous = found.fun
        best = min(best, float(found.fun))
        restarts += 1
    return Training(best, restarts, time.perf_counter() - started)


def adam(
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]], flat: np.ndarray, steps: int = 4000, rate: float = 1e-2
) -> np.ndarray:
    """Full-batch Adam (Kingma and Ba 2015) with a cosine schedule."""
    first, second = np.zeros_like(flat), np.zeros_like(flat)
    for k in range(steps):
        _, gradient = loss(flat)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        size = 0.5 * rate * (1.0 + math.cos(math.pi * k / steps))
        step = first / (1.0 - 0.9 ** (k + 1)) / (np.sqrt(second / (1.0 - 0.999 ** (k + 1))) + 1e-8)
        flat = flat - size * step
    return flat


# -- SCIP ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MixedInteger:
    """SCIP's answer: whether it finished, its bound (in units of the target), nodes, and CPU seconds."""

    proven: bool
    bound: float
    nodes: int
    seconds: float


def scip_maximum(points: np.ndarray, g: np.ndarray, target: float, limit: float, seconds: float) -> MixedInteger:
    """max Σ g_i relu(x_iᵀw) over ‖w‖ ≤ 1 as a mixed-integer program, one thread.

    For g_i > 0 a binary z_i: h_i ≤ u z_i, h_i ≤ s_i − l(1 − z_i), s_i = x_iᵀw ∈ [l, u] = [−‖x_i‖, ‖x_i‖]; for g_i < 0,
    h_i ≥ s_i and h_i ≥ 0 suffice. Values are divided by `target`, for SCIP's tolerances. SCIP only has to prove that nothing
    exceeds `limit` (in these units), which it is told as its objective limit; it need not find the maximum.
    """
    from pyscipopt import Model, quicksum

    model = Model()
    model.hideOutput()
    model.setParam("parallel/maxnthreads", 1)
    model.setParam("lp/threads", 1)
    model.setParam("timing/clocktype", 1)  # CPU seconds
    model.setParam("limits/time", seconds)
    model.setParam("limits/gap", 1e-6)
    N, r = points.shape
    w = [model.addVar(lb=-1.0, ub=1.0) for _ in range(r)]
    model.addCons(quicksum(v * v for v in w) <= 1.0)
    terms = []
    for i in range(N):
        norm = float(np.linalg.norm(points[i]))
        if g[i] == 0.0 or norm == 0.0:
            continue
        s = model.addVar(lb=-norm, ub=norm)
        model.addCons(s == quicksum(float(points[i, k]) * w[k] for k in range(r)))
        h = model.addVar(lb=0.0, ub=norm)
        if g[i] > 0.0:
            z = model.addVar(vtype="B")
            model.addCons(h <= norm * z)
            model.addCons(h <= s + norm * (1 - z))
        else:
            model.addCons(h >= s)
        terms.append(float(g[i] / target) * h)
    model.setObjective(quicksum(terms), "maximize")
    model.setObjlimit(limit)
    started = time.process_time()
    model.optimize()
    spent = time.process_time() - started
    # Infeasible: nothing exceeds the limit.
    proven = model.getStatus() == "infeasible" or float(model.getDualbound()) <= limit
    bound = limit if proven else float(model.getDualbound())
    return MixedInteger(proven, bound, int(model.getNTotalNodes()), spent)


def gurobi_maximum(
    points: np.ndarray, g: np.ndarray, target: float, limit: float, seconds: float
) -> MixedInteger | None:
    """The same program for Gurobi, one thread; None where gurobipy is not installed. It stops once its bound is at most `limit`.

    The licence that comes with gurobipy is enough: at most 200 variables with a quadratic constraint.
    """
    try:
        import gurobipy
    except ImportError:
        return None
    with gurobipy.Env(params={"OutputFlag": 0}) as environment, gurobipy.Model(env=environment) as model:
        for name, value in {
            "Threads": 1, "TimeLimit": seconds, "MIPGap": 1e-9, "BestBdStop": limit, "Cutoff": limit
        }.items():  # fmt: skip
            model.setParam(name, value)
        N, r = points.shape
        w = [model.addVar(lb=-1.0, ub=1.0) for _ in range(r)]
        model.addConstr(gurobipy.quicksum(v * v for v in w) <= 1.0)
        terms = []
        for i in range(N):
            norm = float(np.linalg.norm(points[i]))
            if g[i] == 0.0 or norm == 0.0:
                continue
            s = model.addVar(lb=-norm, ub=norm)
            model.addConstr(s == gurobipy.quicksum(float(points[i, k]) * w[k] for k in range(r)))
            h = model.addVar(lb=0.0, ub=norm)
            if g[i] > 0.0:
                z = model.addVar(vtype=gurobipy.GRB.BINARY)
                model.addConstr(h <= norm * z)
                model.addConstr(h <= s + norm * (1 - z))
            else:
                model.addConstr(h >= s)
            terms.append(float(g[i] / target) * h)
        model.setObjective(gurobipy.quicksum(terms), gurobipy.GRB.MAXIMIZE)
        started = time.process_time()
        model.optimize()
        spent = time.process_time() - started
        # Cut off: nothing exceeds the limit.
        proven = model.Status == gurobipy.GRB.CUTOFF or model.ObjBound <= limit
        return MixedInteger(proven, limit if proven else model.ObjBound, int(model.NodeCount), spent)
