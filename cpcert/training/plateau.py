"""Figure 2 of Jacot et al. 2022 with what it could not draw: the proven floor, and why trainings above it ended there.

For each λ: the floor is the proven interval [lower, upper] of the global minimum (depth 2: `solve`; deeper: the proven
lower bound of deep/bound and the best training, which may be far apart). The *target* is upper + tolerance·|upper|, and

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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpcert.network import loss_upper
from cpcert.outcomes import Outcome, Spoken
from cpcert.output import write_file
from cpcert.printing import enclosure, whole
from cpcert.problem import Problem
from cpcert.status import Status
from cpcert.training.stationary import LARGEST_RESIDUAL, Hint, hint
from cpcert.training.sweep import Result, Sweep, best_per_width, device_name, result_row, write_tables

if TYPE_CHECKING:
    from cpcert.frank_wolfe.result import SolveResult
    from cpcert.networks.verdict import DescentNeuron


class TrialKind(Spoken):
    """What a training came to: it reached the target, or what the failed looks like, a hint; `sentence` comes after their number.

    A saddle is stationary, but the curvature or a dead neuron leads down. UNKNOWN: time was over.
    """

    FLOOR = "floor", "reach it"
    MINIMUM = "local_minimum", "look like local minima"
    SADDLE = "saddle", "like saddles"
    UNFINISHED = "unfinished", "unfinished"
    UNKNOWN = "not_examined", "not examined"


@dataclass(frozen=True)
class Verdict:
    """descent_loss: the proven loss after adding the best neuron found, below that of the trial; None if none was found, or not
    looked for (searched)."""

    kind: TrialKind
    hint: Hint | None
    descent_loss: float | None
    searched: bool


@dataclass(frozen=True, eq=False)
class Curve:
    """All about one λ. lower, upper: proven or None. floor: what the target is measured from. observed: a width or None.
    proven: (lower, upper) bounds of the least width that reaches the target, or None. proofs: the certificates of both
    ("floor", "width"), as far as there are any; certificates: their files, once they are written."""

    lam: float
    results: list[Result]
    verdicts: list[Verdict]
    lower: float | None
    upper: float | None
    target: float
    observed: int | None
    proven: tuple[int, int] | None
    note: str
    proofs: dict[str, bytes] = field(default_factory=dict)
    certificates: dict[str, str] = field(default_factory=dict)

    def count(self, kind: TrialKind) -> int:
        """How many trainings came to this."""
        return sum(verdict.kind is kind for verdict in self.verdicts)


def curve(
    problem: Problem,
    results: Sequence[Result],
    solved: SolveResult | None,
    tolerance: float,
    seconds: float,
    progress: Callable[[float, str], None],
    certificates: bool = False,
    floor_proof: bytes | None = None,
) -> Curve:
    """The curve of the results of one λ, which is that of `problem`. solved: of `solve`, None for depth ≥ 3: there the floor is
    the interval between the proven global bound and the best training (deep/bound/solve.py).

    With `certificates` the bounds of the width are those that a certificate proves. floor_proof: the certificate of `solved`.

    `seconds` each, about: to bound the width, to examine failed trials, and to add neurons to them, the best first.
    """
    results, proofs = list(results), {} if floor_proof is None else {"floor": floor_proof}
    if solved is None:
        lower, upper, proofs = _floor(problem, results, seconds, progress)
    else:
        lower, upper = solved.lower, solved.upper
    floor = min(result.loss for result in results) if upper is None or not math.isfinite(upper) else upper
    target = floor + tolerance * abs(floor)
    reached = [result for result in best_per_width(results) if result.loss <= target]
    observed = min((result.trial.width for result in reached), default=None)
    proven, note = None, "depth >= 3: nothing is proven about the width" if problem.depth > 2 else ""
    if solved is not None and solved.network is not None and lower is not None:
        from cpcert.width.bounds import width_bounds

        bounds = width_bounds(problem, replace(solved, upper=target), seconds)
        networks = [(result.trial.width, result.network) for result in reached]
        networks = [(width, network) for width, network in networks if loss_upper(network, problem) <= target]
        if bounds.loss <= target:
            networks.append((bounds.upper, bounds.network))
        if networks:
            narrowest, network = min(networks, key=lambda pair: pair[0])
            if certificates:
                from cpcert.width.certificate import certified_width

                bounds, width_proof = certified_width(
                    problem, replace(bounds, upper=narrowest, network=network, loss=target), seconds
                )
                proofs |= {} if width_proof is None else {"width": width_proof.content}
            proven = (bounds.lower, narrowest)
        note = bounds.note
    return Curve(problem.lam, results, _verdicts(problem, results, target, seconds, progress), lower, upper, target,
                 observed, proven, note, proofs)  # fmt: skip


def _floor(
    problem: Problem, results: list[Result], seconds: float, progress: Callable[[float, str], None]
) -> tuple[float | None, float | None, dict[str, bytes]]:
    """(lower, upper, the certificate of both as "floor") at depth ≥ 3: of the global minimum, proven from the best training."""
    from cpcert.deep.bound.solve import global_bound

    best = min(results, key=lambda result: result.loss).network
    upper = loss_upper(best, problem)
    if not math.isfinite(upper):
        return None, None, {}
    progress(0.0, "proving a lower bound")
    bound = global_bound(problem, best, time_limit=seconds, deadline=time.monotonic() + 1.2 * seconds)
    certificate = bound.certificate
    if certificate is None or certificate.lower is None:
        return None, upper, {}
    return certificate.lower, certificate.upper or upper, {"floor": certificate.content}


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
            kind = TrialKind.FLOOR
        elif found is None or (any(found.dead) and i not in descents):
            kind = TrialKind.UNKNOWN
        elif found.residual > LARGEST_RESIDUAL:
            kind = TrialKind.UNFINISHED
        elif found.escape is not None or (descent is not None and found.dead[descent.layer - 1]):
            kind = TrialKind.SADDLE
        else:
            kind = TrialKind.MINIMUM
        verdicts.append(Verdict(kind, found, after, result.loss > target and i in descents))
    return verdicts


# -- what is written -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Plateau(Outcome):
    """The sweep, a curve for each of its λ, and the relative tolerance of the targets; seconds: of all of it; endings: of the
    solutions that prove the floors."""

    sweep: Sweep
    curves: tuple[Curve, ...]
    tolerance: float
    seconds: float
    endings: tuple[Status, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether every floor is proven to the gap asked for (depth ≥ 3: as far as it goes)."""
        return all(ending == Status.OPTIMAL for ending in self.endings)

    def rows(self) -> list[dict[str, Any]]:
        """An entry for each training, for a table: pandas.DataFrame(plateau.rows())."""
        return [_trial_object(r, v) for one in self.curves for r, v in zip(one.results, one.verdicts, strict=True)]

    def sketch(self) -> str:
        """That of the sweep."""
        return self.sweep.sketch()

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert plateau`. `certified` and `plateau_start` are those of the first λ; `curves` has all."""
        problem = self.sweep.problem
        written = [_curve_object(one) for one in self.curves]
        return {
            "instance": problem.name,
            "device": device_name(self.sweep.device),
            "scope": "global",
            "complete": self.sweep.complete,
            "tolerance": self.tolerance,
            "certified": written[0]["certified"],
            "plateau_start": written[0]["plateau_start"],
            "curves": written,
            "results": self.rows(),
            "best": self.sweep.best_rows(),
            "seconds": self.seconds,
        }

    def sentence(self) -> str:
        """A paragraph for each λ."""
        lines = [line for one in self.curves for line in _paragraph(one, self.tolerance)]
        ended = "" if self.sweep.complete else ": interrupted"
        return "\n".join([*lines, f"{device_name(self.sweep.device)}, {self.seconds:.1f} s{ended}"])

    def write(self, folder: Path) -> Plateau:
        """Write the best network of each width, NAME-plateau.csv, NAME-plateau.json, and for each λ the certificates
        NAME-plateau-0-floor.cpcert and NAME-plateau-0-width.cpcert, …, that the JSON names. Raises OSError when the disk refuses.
        """
        stem = f"{self.sweep.problem.name}-plateau"
        curves = []
        for k, one in enumerate(self.curves):
            files = {what: folder / f"{stem}-{k}-{what}.cpcert" for what in one.proofs}
            for what, path in files.items():
                write_file(path, one.proofs[what])
            curves.append(replace(one, certificates={what: str(path) for what, path in files.items()}))
        written = replace(self, sweep=self.sweep.with_models(folder, stem), curves=tuple(curves))
        write_tables(written.as_json(), folder, stem)
        return written


def _curve_object(one: Curve) -> dict[str, Any]:
    certified = None if one.lower is None else {"lower": one.lower, "upper": one.upper}
    proven = None if one.proven is None else {"lower": one.proven[0], "upper": one.proven[1]}
    return {
        "lambda": one.lam,
        "certified": certified,
        "target": one.target,
        "plateau_start": {"observed": one.observed, "proven": proven},
        "trials": {kind: one.count(kind) for kind in TrialKind},
        "note": one.note or None,
        "certificates": one.certificates,
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


def _paragraph(one: Curve, tolerance: float) -> list[str]:
    floor = "no proven floor; the target is measured from the best trained loss"
    if one.lower is not None:
        floor = f"proven floor {enclosure(one.lower, one.upper)}"
    # λ and the target are whole: what is proven is about them.
    lines = [f"lambda = {whole(one.lam)}: {floor}; target {whole(one.target)} (+{whole(tolerance)})"]
    start = "not observed" if one.observed is None else f"observed from width {one.observed}"
    if one.proven is not None:
        least, most = one.proven
        width = f"{least}" if least == most else f"between {least} and {most}"
        start += f"; least width that reaches the target: {width} (proven)"
    lines.append(f"  plateau {start}")
    counts = {
        kind: f"{one.count(kind)} {kind.sentence}"
        for kind in TrialKind
        if one.count(kind) or kind is not TrialKind.UNKNOWN
    }
    reached = counts.pop(TrialKind.FLOOR)
    lines.append(f"  {len(one.verdicts)} trainings: {reached}; {', '.join(counts.values())}")
    searched = [verdict for verdict in one.verdicts if verdict.searched]
    if searched:
        lowered = sum(verdict.descent_loss is not None for verdict in searched)
        lines.append(
            f"  one more neuron lowers the loss, proven, of at least {lowered} of {len(searched)} above the target"
        )
    return [*lines, f"  {one.note}"] if one.note else lines
