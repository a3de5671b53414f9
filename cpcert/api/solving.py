"""solve, certify, path, least_width."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from cpcert.api.given import (
    Given,
    given,
    numbers_of,
    require_choice,
    require_depth_two,
    require_integer,
    require_numbers,
)
from cpcert.certificate import build
from cpcert.certificate.build import Certificate
from cpcert.certificate.downgrade import certified
from cpcert.deep.bound.certificate import DeepCertificate
from cpcert.deep.solve import DeepResult, solve_deep
from cpcert.errors import InputError
from cpcert.frank_wolfe import solve as depth_two
from cpcert.frank_wolfe.path import geometric_lambdas, lambda_path
from cpcert.frank_wolfe.result import SolveResult
from cpcert.frank_wolfe.trace import TraceRecord
from cpcert.models.read import read_model
from cpcert.network import Network
from cpcert.parallel import HERE, Workers
from cpcert.rank.pair import network_rank_sigma
from cpcert.report import PathOutcome, SolveOutcome
from cpcert.status import Status
from cpcert.width.answers import WidthOutcome
from cpcert.width.bounds import width_bounds
from cpcert.width.certificate import certified_width

# The gap from which the width is bounded, unless a smaller one is asked for.
WIDTH_GAP = 1e-9
# A certificate is given so much time at least, however short that of the search is.
LEAST_SECONDS = 10.0


def solve(
    X: Any,
    y: Any = None,
    *,
    gap: float | None = None,
    time_limit: float | None = None,
    node_limit: int | None = None,
    max_iterations: int | None = None,
    method: str | None = None,
    seed: int | None = None,
    warm_start: Any = None,
    workers: Workers | int = HERE,
    callback: Callable[[Any], bool | None] | None = None,
    scope: str = "global",
    certify_by: float | None = None,
    **problem: Any,
) -> SolveResult | DeepResult:
    """Enclose the global minimum of an L2-regularised network's loss in a proven interval, over networks of any width.

    X, y: arrays, lists or data frames, one row per point; then `problem` has lam or weight_decay, loss, activation, slope, beta,
    depth, name, as `Problem` does. Or X is a Problem, or an Instance, whose settings count where none are given here.
    gap: the relative gap to prove (1e-6). time_limit: seconds (60). node_limit: nodes of the oracle. max_iterations: steps (1000).
    method: corrective, vanilla, away, pairwise. seed: the same gives the same result, unless time ends the run. warm_start: a
    network to start from, anything that `read_model` takes. workers: processes, or Workers of cpcert.parallel. callback: called
    with each TraceRecord (from depth 3 on with each Progress); True ends a run of depth 2.
    scope: from depth 3 on global, or blockwise: a gap for each hidden layer given its neighbours.
    certify_by: a `time.monotonic()` by which a certificate is to be there, too.

    Returns a SolveResult, from depth 3 on a DeepResult: lower ≤ the minimum ≤ upper, both proven, in trust of IEEE arithmetic and of
    this code; `certify` removes that trust. Whatever ends the run, Ctrl-C too, what is in it is proven.
    Raises InputError, naming the argument, before any work.
    """
    what = given(X, y, problem)
    settings = what.settings(
        gap=gap, time_limit=time_limit, node_limit=node_limit, max_iterations=max_iterations, method=method, seed=seed
    )
    require_choice("scope", scope, ("global", "blockwise"))
    start = None if warm_start is None else _warm_start(warm_start, what)
    if what.problem.depth == 2:
        if scope == "blockwise":
            raise InputError(
                "scope: blockwise is for depth >= 3; at depth 2 there is one hidden layer, and its bounds are global"
            )
        return depth_two.solve(
            what.problem, warm_start=start, callback=callback, workers=workers, certificate_by=certify_by, **settings
        )
    if settings.pop("method") != "corrective":
        raise InputError("method: depth >= 3 has only corrective; leave it out")
    settings |= {"warm_start": start, "callback": callback, "workers": workers}
    if scope == "blockwise":
        return solve_deep(what.problem, **settings)
    from cpcert.deep.bound.solve import solve_global  # slow to import

    return solve_global(what.problem, deadline=certify_by, **settings)


def _warm_start(model: Any, what: Given) -> Network:
    try:
        return read_model(model, what.problem)
    except InputError as error:
        raise InputError(f"warm_start: {error}") from None


def certify(result: SolveResult | DeepResult, deadline: float | None = None) -> Certificate | DeepCertificate | None:
    """The certificate of what a result of `solve` claims, accepted by the checker; None if nothing can be certified.

    A side that cannot be certified is left out. deadline: a `time.monotonic()`; what would take longer is left out, too. A global
    result of depth ≥ 3 has its certificate already. Raises InputError for anything but a result, and for a blockwise one.
    """
    if isinstance(result, SolveResult):
        return build.certify(result, deadline)
    if not isinstance(result, DeepResult):
        raise InputError(f"result: is of type {type(result).__name__}; give what cpcert.solve returned")
    if result.scope != "global":
        raise InputError("result: is blockwise and says nothing about the global minimum; give one of scope='global'")
    return result.certificate


def path(
    X: Any,
    y: Any = None,
    *,
    lambdas: Sequence[float] | None = None,
    smallest: float | None = None,
    largest: float | None = None,
    count: int = 7,
    gap: float | None = None,
    time_limit: float | None = None,
    max_iterations: int | None = None,
    seed: int | None = None,
    certify: bool = False,
    callback: Callable[[SolveResult], object] | None = None,
    **problem: Any,
) -> PathOutcome:
    """Solve for one λ after another, each started from the network before: a proven interval, a gap and a width for each.

    lambdas: the values, in this order; by default `count` of them with a constant ratio from `largest` (ten times λ) down to
    `smallest` (a hundredth of it). certify: each result claims what its certificate proves, and `proofs` has these; writing and
    checking one takes at most as long again as time_limit. callback: called with each result. The rest as in `solve`; time_limit
    is for each λ. Ctrl-C ends the path with what there is. Raises InputError, also for `interpolate`, which has no λ, and for
    depth ≥ 3.
    """
    what = given(X, y, problem, needs_lambda=lambdas is None)
    require_depth_two(what.problem, "path")
    settings = what.settings(gap=gap, time_limit=time_limit, max_iterations=max_iterations, seed=seed)
    require_numbers(smallest=smallest or 0.0, largest=largest or 0.0)
    if lambdas is None:
        require_integer("count", count, 1)
        lam = what.problem.lam
        values = geometric_lambdas(
            lam / 100.0 if smallest is None else smallest, 10.0 * lam if largest is None else largest, count
        )
    elif smallest is not None or largest is not None:
        raise InputError("lambdas: are given, so smallest and largest say nothing; leave these out")
    else:
        values = numbers_of("lambdas", lambdas)
    results: list[SolveResult] = []
    proofs: list[Certificate | None] = []
    for found in lambda_path(what.problem, values, **settings):
        result, proof = (
            certified(found, time.monotonic() + max(settings["time_limit"], LEAST_SECONDS))
            if certify
            else (found, None)
        )
        results.append(result)
        proofs.append(proof)
        if callback is not None:
            callback(result)
        if result.status == Status.INTERRUPTED:
            break
    return PathOutcome(tuple(map(with_rank, results)), tuple(proofs))


def with_certificate(
    result: SolveResult | DeepResult, seconds: float
) -> tuple[SolveResult | DeepResult, Certificate | DeepCertificate | None]:
    """The result as its certificate proves it, and the certificate: written and checked in about that time, or in ten seconds."""
    if isinstance(result, DeepResult):  # a global one has it already
        return result, result.certificate
    return certified(result, time.monotonic() + max(seconds, LEAST_SECONDS))


def with_rank(result: SolveResult) -> SolveOutcome:
    """The result with Rank_σ near the covariance pair of its network."""
    rank = None
    # The bounds of the minimum are worth more than this: an interruption costs only this.
    with suppress(KeyboardInterrupt):
        rank = None if result.network is None else network_rank_sigma(result.network, result.problem)
    return SolveOutcome(result, rank)


def least_width(
    X: Any,
    y: Any = None,
    *,
    gap: float | None = None,
    time_limit: float | None = None,
    max_iterations: int | None = None,
    seed: int | None = None,
    tolerance: float | None = None,
    certify: bool = False,
    callback: Callable[[TraceRecord], bool | None] | None = None,
    **problem: Any,
) -> WidthOutcome:
    """How many neurons does an optimal network need? Proven bounds of the least width whose loss is at most the proven upper bound.

    Solves first, to `gap` (1e-9, or that of the instance if it is smaller), in at most time_limit seconds, and has as many for the
    width. tolerance: how far above the proven lower bound a loss may be, relatively, to count (the gap by default). certify: the
    bounds are those that a certificate proves, `proof` of the outcome, for which there is the same time again. The rest as in
    `solve`. lower and upper are None where the solution proves nothing. Raises InputError; depth 2 only.
    """
    what = given(X, y, problem)
    require_depth_two(what.problem, "least_width")
    require_numbers(tolerance=tolerance or 0.0)
    settings = what.settings(
        gap=min(what.solve.gap, WIDTH_GAP) if gap is None else gap,
        time_limit=time_limit, max_iterations=max_iterations, seed=seed,
    )  # fmt: skip
    start = time.monotonic()
    result = depth_two.solve(what.problem, callback=callback, **settings)
    if result.network is None or result.lower is None:
        return WidthOutcome(what.problem.name, None, time.monotonic() - start, result)
    bounds = width_bounds(
        what.problem, result, settings["time_limit"], settings["gap"] if tolerance is None else tolerance
    )
    proof = None
    if certify:
        bounds, proof = certified_width(what.problem, bounds, settings["time_limit"])
    return WidthOutcome(what.problem.name, bounds, time.monotonic() - start, result, proof)
