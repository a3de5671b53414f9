"""What people and programs read about depth 2: the running trace, the closing line, the JSON object, the files.

Numbers that are claims are rounded outward or printed whole (printing.py): a printed lower bound is never above the proven
one, a printed upper bound or gap never below it.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpcert.outcomes import Outcome
from cpcert.output import csv_bytes, write_file, write_json
from cpcert.printing import about, at_least, at_most, enclosure, finite, or_dash, outward, plural, rounded_up, whole
from cpcert.sketch import LOWER, UPPER, Series, drawn
from cpcert.status import Status

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate
    from cpcert.certificate.stored import Stored
    from cpcert.frank_wolfe.result import SolveResult
    from cpcert.frank_wolfe.trace import TraceRecord
    from cpcert.problem import Columns, Problem
    from cpcert.rank.pair import NearbyRank

# -- the running trace -----------------------------------------------------------------------------------------------

_COLUMNS = (
    # heading, width, cell, the width of the terminal from which it is shown
    ("iter", 4, lambda r: str(r.iteration), 0),
    ("step", 10, lambda r: r.step, 112),
    ("upper", 12, lambda r: or_dash(r.upper, at_most, 9), 0),
    ("lower", 12, lambda r: or_dash(r.lower, at_least, 9), 0),
    ("gap", 8, lambda r: or_dash(r.gap, rounded_up), 0),
    ("oracle/2λ", 12, lambda r: or_dash(r.oracle_ratio, about, 9), 112),
    ("rung", 12, lambda r: r.rung or "-", 78),
    ("nodes", 8, lambda r: str(r.nodes), 78),
    ("active", 6, lambda r: str(r.active), 112),
    ("seconds", 8, lambda r: f"{r.seconds:.2f}", 0),
)
_GAP_BETWEEN_COLUMNS = 2


@contextmanager
def running_trace(problem: Problem) -> Iterator[Callable[[TraceRecord], None]]:
    """A callback for `solve` that shows each iteration on stderr: a live table on a terminal, else a line each.

    Nothing is printed before the first iteration, so that a problem which `solve` refuses gets one message only.
    """
    terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    with ExitStack() as until_the_end:
        show: Callable[[TraceRecord], None] | None = None

        def first_or_next(record: TraceRecord) -> None:
            nonlocal show
            if show is None:
                print(describe(problem), file=sys.stderr)
                show = until_the_end.enter_context(_live_table()) if terminal else _plain_lines()
            show(record)

        yield first_or_next


def _plain_lines() -> Callable[[TraceRecord], None]:
    _print_cells([heading for heading, *_ in _COLUMNS])
    return lambda record: _print_cells([cell(record) for _, _, cell, _ in _COLUMNS])


def _print_cells(cells: list[str]) -> None:
    widths = [width for _, width, *_ in _COLUMNS]
    line = (" " * _GAP_BETWEEN_COLUMNS).join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _live_table() -> Iterator[Callable[[TraceRecord], None]]:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    console = Console(file=sys.stderr)
    records: list[TraceRecord] = []

    def table() -> Table:
        columns = [c for c in _COLUMNS if console.width >= c[3]]
        grid = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP_BETWEEN_COLUMNS, 0, 0))
        for heading, width, *_ in columns:
            grid.add_column(heading, justify="right", min_width=width, no_wrap=True)
        for record in records[-max(console.height - 3, 1) :]:
            grid.add_row(*(cell(record) for _, _, cell, _ in columns))
        return grid

    with Live(table(), console=console, auto_refresh=False) as live:

        def show(record: TraceRecord) -> None:
            records.append(record)
            live.update(table(), refresh=True)

        yield show


def describe(problem: Problem) -> str:
    """One line: `diabetes-40: 40 points, 4 features, 1 output; mse, relu, depth 2, beta = 1, lambda = 0.01`."""
    slope = f" (slope {whole(problem.activation.a_minus)})" if problem.activation.name == "leaky_relu" else ""
    penalty = "" if problem.loss.is_constraint else f", lambda = {whole(problem.lam)}"
    shape = ", ".join(
        f"{count} {plural(count, noun)}"
        for count, noun in (
            (problem.N, "point" if problem.loss.weights is None else "weighted point"),
            (problem.n0, "feature"),
            (problem.m, "output"),
        )
    )
    return (
        f"{problem.name}: {shape}; {problem.loss.name}, {problem.activation.name}{slope}, "
        f"depth {problem.depth}, beta = {whole(problem.beta)}{penalty}"
    )


def describe_columns(columns: Columns) -> list[str]:
    """What the columns of a table became, and how it was read, a line each."""
    roles = (("feature", columns.features), ("target", columns.targets))
    names = "; ".join(f"{plural(len(names), role)} {_listed(names)}" for role, names in roles)
    return [names, *columns.notes]


def _listed(names: Sequence[str]) -> str:
    if len(names) <= 20:
        return ", ".join(names)
    return f"{', '.join(names[:10])}, … {names[-1]} ({len(names)} of them)"


def column_names(problem: Problem) -> dict[str, list[str] | None]:
    """For the JSON objects: the names of features, targets and classes; null where the data have none."""
    columns = problem.columns
    if columns is None:
        return {"features": None, "targets": None, "classes": None}
    classes = None if columns.classes is None else list(columns.classes)
    return {"features": list(columns.features), "targets": list(columns.targets), "classes": classes}


# -- the outcomes ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class SolveOutcome(Outcome):
    """A result; Rank_σ near the covariance pair of its network, if that was asked for; the files that were written."""

    result: SolveResult
    rank_sigma: NearbyRank | None
    model: Path | None = None
    certificate: Path | None = None

    def sentence(self) -> str:
        """The closing line."""
        verify = f"; to prove it: cpcert verify {self.certificate}" if self.checked is False else ""
        return closing_line(self.result) + verify

    @property
    def checked(self) -> bool | None:
        """Whether the checker has accepted the certificate; None without one."""
        return None if self.certificate is None else self.result.status != Status.UNCHECKED

    def sketch(self) -> str:
        """That of the result."""
        return self.result.sketch()

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert solve`."""
        result, rank = self.result, self.rank_sigma
        return {
            "instance": result.problem.name,
            "sha256": result.problem.sha256,
            **column_names(result.problem),
            "status": result.status,
            "scope": result.scope,
            "upper": finite(result.upper),
            "lower": finite(result.lower),
            "gap": finite(result.gap),
            "width": result.width,
            "rank_sigma": {"lower": None, "upper": result.width, "tolerance": None} if rank is None else asdict(rank),
            "iterations": result.iterations,
            "seconds": finite(result.seconds),
            "certificate": None if self.certificate is None else str(self.certificate),
            "checked": self.checked,
            "model": None if self.model is None else str(self.model),
            "message": result.message,
        }

    def write(self, folder: Path, certificate: Certificate | None = None, *, everything: bool = True) -> SolveOutcome:
        """Write NAME.cpcert (if there is a certificate) into `folder`, and if `everything` NAME.json, NAME.safetensors (if
        there is a network) and NAME-trace.csv.

        Each file appears complete or not at all. Returns the outcome with the paths of model and certificate.
        Raises OSError when the disk refuses.
        """
        name = self.result.problem.name
        model = proof = None
        if certificate is not None:
            proof = folder / f"{name}.cpcert"
            write_file(proof, certificate.content)
        if everything and self.result.network is not None:
            model = folder / f"{name}.safetensors"
            self.result.network.save(model)
        written = replace(self, model=model, certificate=proof)
        if everything:
            write_file(folder / f"{name}-trace.csv", csv_bytes(_trace_columns(self.result.trace)))
            write_json(folder / f"{name}.json", written.as_json())
        return written


def closing_line(result: SolveResult) -> str:
    """What was proven, in one line; short of the requested gap also why no more, and what to change: the message."""
    effort = f"{result.seconds:.1f} s"
    if result.status == Status.INFEASIBLE:
        return f"{result.status}, {effort}: {result.message}"
    where = enclosure(result.lower, result.upper)
    claim = "nothing proven about the global minimum" if where is None else f"global minimum {where}"
    if where is not None and result.lower is None:
        claim += ", no lower bound proven"
    neurons = "" if result.width is None else f", {result.width} {plural(result.width, 'neuron')}"
    if result.status == Status.OPTIMAL:
        return "; ".join([f"{claim}{neurons}, {effort}", *result.notes])
    gap = "" if result.gap is None or not math.isfinite(result.gap) else f", gap {rounded_up(result.gap)}"
    return f"{claim}{gap} (asked for {whole(result.requested_gap)}){neurons}, {effort}: {result.message}"


@dataclass(frozen=True, eq=False, repr=False)
class PathOutcome(Outcome):
    """The outcome for each λ of a path; proofs: the certificate of each, if they were asked for."""

    steps: tuple[SolveOutcome, ...]
    proofs: tuple[Stored | None, ...] = ()

    @property
    def results(self) -> list[SolveResult]:
        """The result for each λ, in the order of the path."""
        return [step.result for step in self.steps]

    def sketch(self) -> str:
        """The proven bounds against λ."""
        x = [result.problem.lam for result in self.results]
        upper, lower = ([getattr(result, side) for result in self.results] for side in ("upper", "lower"))
        return drawn([Series("upper", x, upper, UPPER), Series("lower", x, lower, LOWER, dash="5 3")], "lambda", "loss")

    def as_json(self) -> dict[str, Any]:
        """The JSON object of `cpcert path`: one entry for each lambda."""
        entries = [{"lambda": step.result.problem.lam, **step.as_json()} for step in self.steps]
        return {"instance": self.steps[0].result.problem.name if self.steps else None, "results": entries}

    def sentence(self) -> str:
        """A table, one line for each lambda, which is whole: the interval, rounded outward, the gap, and the width."""
        rows = [("lambda", "lower", "upper", "gap", "width")]
        for result in (step.result for step in self.steps):
            lower, upper = or_dash(result.lower, at_least), or_dash(result.upper, at_most)
            if "-" not in (lower, upper) and result.lower is not None and result.upper is not None:
                lower, upper = outward(result.lower, result.upper)
            gap, width = or_dash(result.gap, rounded_up), "-" if result.width is None else str(result.width)
            rows.append((whole(result.problem.lam), lower, upper, gap, width))
        widths = [max(least, *(len(row[k]) for row in rows)) for k, least in enumerate((10, 18, 18, 8, 5))]
        return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)

    def write(self, folder: Path) -> PathOutcome:
        """Write NAME-path.json, which names for each λ what is proven and the files, into `folder`, and these: the networks
        NAME-path-0.safetensors, …, the certificates NAME-path-0.cpcert, …; returns the outcome with their paths."""
        steps = []
        for k, (step, proof) in enumerate(zip_longest(self.steps, self.proofs)):
            model = certificate = None
            if step.result.network is not None:
                model = folder / f"{step.result.problem.name}-path-{k}.safetensors"
                step.result.network.save(model)
            if proof is not None:
                certificate = folder / f"{step.result.problem.name}-path-{k}.cpcert"
                write_file(certificate, proof.content)
            steps.append(replace(step, model=model, certificate=certificate))
        written = replace(self, steps=tuple(steps))
        write_json(folder / f"{self.steps[0].result.problem.name}-path.json", written.as_json())
        return written


def _trace_columns(trace: list[TraceRecord]) -> dict[str, list[Any]]:
    rows = [asdict(record) for record in trace]
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
