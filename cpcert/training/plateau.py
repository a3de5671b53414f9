"""Figure 2 of Jacot et al. 2022 with what it could not draw: the proven floor, and why trainings above it ended there.

For each λ: the floor is the proven interval [lower, upper] of the global minimum (depth 2: `solve`; deeper: none, and
the best trained loss stands in for it). The *target* is upper + tolerance·|upper|, and

- the plateau is **observed** to start at the first width whose best trained loss is at most the target;
- **proven** are bounds of the least width that reaches the target: from below by width/bounds.py (for that target
  instead of `upper`), from above by every network whose loss is proven to reach it, trained or of `solve`.

So proven lower ≤ proven upper ≤ observed, the last up to the rounding of trained losses. A trial above the target has
*failed*. What the failed look like is said by training/stationary.py, in floating point and without proof; that one
more neuron lowers the loss of a failed trial, by networks/verdict.py, with proof: then it is no minimum of the problem
with a neuron more, even if one of its own width.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cpcert.network import loss_upper
from cpcert.printing import enclosure, whole
from cpcert.problem import Problem
from cpcert.training.stationary import LARGEST_RESIDUAL, Hint, hint
from cpcert.training.sweep import Result, best_per_width, device_name, result_row

if TYPE_CHECKING:
    from cpcert.frank_wolfe.solve import SolveResult
    from cpcert.networks.verdict import DescentNeuron

FLOOR, MINIMUM, SADDLE, UNFINISHED, UNKNOWN = KINDS = (
    "floor",
    "local_minimum",
    "saddle",
    "unfinished",
    "not_examined",
)


@dataclass(frozen=True)
class Verdict:
    """kind: floor (the target is reached); hints: local_minimum, saddle (stationary, but the curvature or a dead neuron leads
    down), unfinished; not_examined (time was over).
    descent_loss: the proven loss after adding the best neuron found, below that of the trial; None if none was found, or not
    looked for (searched)."""

    kind: str
    hint: Hint | None
    descent_loss: float | None
    searched: bool


@dataclass(frozen=True, eq=False)
class Curve:
    """All about one λ. lower, upper: proven or None. floor: what the target is measured from. observed: a width or None.
    proven: (lower, upper) bounds of the least width that reaches the target, or None."""

    lam: float
    results: list[Result]
    verdicts: list[Verdict]
    lower: float | None
    upper: float | None
    target: float
    observed: int | None
    proven: tuple[int, int] | None
    note: str


def curve(
    problem: Problem,
    results: Sequence[Result],
    solved: SolveResult | None,
    tolerance: float,
    seconds: float,
    progress: Callable[[float, str], None],
) -> Curve:
    """The curve of the results of one λ, which is that of `problem`. solved: of `solve`, None for depth ≥ 3.

    `seconds` each, about: to bound the width, to examine failed trials, and to add neurons to them, the best first.
    """
    results = list(results)
    lower, upper = (None, None) if solved is None else (solved.lower, solved.upper)
    floor = min(result.loss for result in results) if upper is None or not math.isfinite(upper) else upper
    target = floor + tolerance * abs(floor)
    reached = [result for result in best_per_width(results) if result.loss <= target]
    observed = min((result.trial.width for result in reached), default=None)
    proven, note = None, "depth >= 3: nothing is proven about the minimum or the width" if problem.depth > 2 else ""
    if solved is not None and solved.network is not None and lower is not None:
        from cpcert.width.bounds import plateau_bounds

        bounds = plateau_bounds(problem, replace(solved, upper=target), seconds)
        widths = [result.trial.width for result in reached if loss_upper(result.network, problem) <= target]
        if bounds.loss <= target:
            widths.append(bounds.upper)
        if widths:
            proven = (bounds.lower, min(widths))
        note = bounds.note
    return Curve(problem.lam, results, _verdicts(problem, results, target, seconds, progress), lower, upper, target,
                 observed, proven, note)  # fmt: skip


def _verdicts(
    problem: Problem, results: list[Result], target: float, seconds: float, progress: Callable[[float, str], None]
) -> list[Verdict]:
    from cpcert.networks.verdict import descent_neuron

    failed = [i for _, i in sorted((r.loss, i) for i, r in enumerate(results) if r.loss > target)]
    hints: dict[int, Hint] = {}
    descents: dict[int, DescentNeuron | None] = {}
    with suppress(KeyboardInterrupt):  # what is examined so far is worth showing
        deadline = time.monotonic() + seconds
        for i in failed:
            if time.monotonic() > deadline:
                break
            progress(0.5 * len(hints) / len(failed), f"examining {len(failed)} trainings above the target")
            hints[i] = hint(problem, results[i].network)
        deadline = time.monotonic() + seconds
        for i in failed:
            if time.monotonic() > deadline:
                break
            progress(0.5 + 0.5 * len(descents) / len(failed), "adding a neuron to each of them")
            descents[i] = descent_neuron(problem, results[i].network)
    verdicts = []
    for i, result in enumerate(results):
        found, descent = hints.get(i), descents.get(i)
        after = None if descent is None else descent.loss_after
        if result.loss <= target:
            kind = FLOOR
        elif found is None or (any(found.dead) and i not in descents):
            kind = UNKNOWN
        elif found.residual > LARGEST_RESIDUAL:
            kind = UNFINISHED
        elif found.escape is not None or (descent is not None and found.dead[descent.layer - 1]):
            kind = SADDLE
        else:
            kind = MINIMUM
        verdicts.append(Verdict(kind, found, after, result.loss > target and i in descents))
    return verdicts


# -- what is written -------------------------------------------------------------------------------------------------


def plateau_object(
    problem: Problem, device: str, curves: Sequence[Curve], tolerance: float, complete: bool, seconds: float
) -> dict[str, Any]:
    """The JSON object of `cpcert plateau`. `certified` and `plateau_start` are those of the first λ; `curves` has all."""
    written = [_curve_object(one) for one in curves]
    best = [result_row(result) for one in curves for result in best_per_width(one.results)]
    return {
        "instance": problem.name,
        "device": device_name(device),
        "scope": "global" if problem.depth == 2 else "blockwise",
        "complete": complete,
        "tolerance": tolerance,
        "certified": written[0]["certified"],
        "plateau_start": written[0]["plateau_start"],
        "curves": written,
        "results": [_trial_object(r, v) for one in curves for r, v in zip(one.results, one.verdicts, strict=True)],
        "best": [{**row, "model": None} for row in best],
        "seconds": seconds,
    }


def _curve_object(one: Curve) -> dict[str, Any]:
    certified = None if one.lower is None else {"lower": one.lower, "upper": one.upper}
    proven = None if one.proven is None else {"lower": one.proven[0], "upper": one.proven[1]}
    kinds = [verdict.kind for verdict in one.verdicts]
    return {
        "lambda": one.lam,
        "certified": certified,
        "target": one.target,
        "plateau_start": {"observed": one.observed, "proven": proven},
        "trials": {kind: kinds.count(kind) for kind in KINDS},
        "note": one.note or None,
    }


def _trial_object(result: Result, verdict: Verdict) -> dict[str, Any]:
    found = verdict.hint
    return {
        **result_row(result),
        "verdict": verdict.kind,
        "residual": None if found is None else found.residual,
        "kinks": None if found is None else found.kinks,
        "curvature": None if found is None else found.curvature,
        "dead": None if found is None else sum(found.dead),
        "descent": "not_searched" if not verdict.searched else "none" if verdict.descent_loss is None else "found",
        "descent_loss": verdict.descent_loss,
    }


def plateau_lines(written: dict[str, Any]) -> str:
    """A paragraph for each λ."""
    lines = []
    for one in written["curves"]:
        start, trials = one["plateau_start"], one["trials"]
        if one["certified"] is None:
            floor = "no proven floor; the target is measured from the best trained loss"
        else:
            floor = f"proven floor {enclosure(one['certified']['lower'], one['certified']['upper'])}"
        observed = "not observed" if start["observed"] is None else f"observed from width {start['observed']}"
        # λ and the target are whole: what is proven is about them.
        target = f"target {whole(one['target'])} (+{whole(written['tolerance'])})"
        lines.append(f"lambda = {whole(one['lambda'])}: {floor}; {target}")
        proven = start["proven"]
        if proven is not None:
            exact = proven["lower"] == proven["upper"]
            width = f"{proven['lower']}" if exact else f"between {proven['lower']} and {proven['upper']}"
            observed += f"; least width that reaches the target: {width} (proven)"
        lines.append(f"  plateau {observed}")
        lines.append(
            f"  {sum(trials.values())} trainings: {trials[FLOOR]} reach it; {trials[MINIMUM]} look like local minima, "
            f"{trials[SADDLE]} like saddles, {trials[UNFINISHED]} unfinished"
            + (f", {trials[UNKNOWN]} not examined" if trials[UNKNOWN] else "")
        )
        rows = [row for row in written["results"] if row["lambda"] == one["lambda"] and row["verdict"] != FLOOR]
        searched = [row["descent"] for row in rows if row["descent"] != "not_searched"]
        if searched:
            lowered = searched.count("found")
            lines.append(
                f"  one more neuron lowers the loss, proven, of at least {lowered} of {len(searched)} above the target"
            )
        if one["note"]:
            lines.append(f"  {one['note']}")
    lines.append(f"{written['device']}, {written['seconds']:.1f} s" + ("" if written["complete"] else ": interrupted"))
    return "\n".join(lines)
