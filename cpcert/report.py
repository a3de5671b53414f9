"""What people and programs read: the running trace, the closing line, the JSON object, the files.

Numbers that are claims are rounded outward, exactly (`decimal`): a printed lower bound is never above the proven one, a
printed upper bound or gap never below it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpcert.errors import InputError

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate
    from cpcert.frank_wolfe.solve import SolveResult
    from cpcert.frank_wolfe.trace import TraceRecord
    from cpcert.problem import Columns, Problem
    from cpcert.training.check import CheckResult
MATRIX_CLAIMS = {
    "completely_positive": "the matrix of order {order} in the file is completely positive",
    "not_completely_positive": "the matrix of order {order} in the file is not completely positive",
    "cp_rank": "the cp-rank of the matrix of order {order} in the file is",
    "rank_sigma": "Rank_σ of the pair of order {order} in the file is",
    "not_in_S": "the pair of order {order} in the file is not in S",
}
# What each status means, and what to do about it.
STATUS = {
    "optimal": "the requested gap is proven",
    "time_limit": "the time limit came first; raise --time-limit, or ask for a larger --gap",
    "node_limit": "the node limit came first; raise --node-limit, or ask for a larger --gap",
    "iteration_limit": "the iteration limit came first; raise max_iterations, or ask for a larger --gap",
    "interrupted": "stopped by hand; what is printed here is proven all the same",
    "infeasible": "no network of any width reaches these targets exactly, and that is proven; "
    "remove conflicting points, allow biases (beta), or use the loss mse",
    "memory_limit": "memory ran out; ask for a larger --gap, or take fewer points",
}

# -- the running trace -----------------------------------------------------------------------------------------------

_COLUMNS = (
    # heading, width, cell, also on a terminal of 80 columns
    ("iter", 4, lambda r: str(r.iteration), True),
    ("step", 10, lambda r: r.step, False),
    ("upper", 12, lambda r: _number(r.upper, ".9g"), True),
    ("lower", 12, lambda r: _number(r.lower, ".9g"), True),
    ("gap", 8, lambda r: _number(r.gap, ".1e"), True),
    ("oracle/2λ", 12, lambda r: _number(r.oracle_ratio, ".9g"), False),
    ("rung", 12, lambda r: r.rung or "-", True),
    ("nodes", 8, lambda r: str(r.nodes), True),
    ("active", 6, lambda r: str(r.active), False),
    ("seconds", 8, lambda r: f"{r.seconds:.2f}", True),
)
_GAP_BETWEEN_COLUMNS = 2


@contextmanager
def running_trace(problem: Problem) -> Iterator[Callable[[TraceRecord], None]]:
    """A callback for `solve` that shows each iteration on stderr: a live table on a terminal, else a line each.

    Nothing is printed before the first iteration, so that a problem which `solve` refuses gets one message only. The
    numbers are for orientation: rounded to nearest, not claims.
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
    full_width = sum(width + _GAP_BETWEEN_COLUMNS for _, width, *_ in _COLUMNS)

    def table() -> Table:
        columns = [c for c in _COLUMNS if c[3] or console.width >= full_width]
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


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def describe(problem: Problem) -> str:
    """One line: `diabetes-40: 40 points, 4 features, 1 output; mse, relu, depth 2, beta = 1, lambda = 0.01`."""
    slope = f" (slope {problem.activation.a_minus:g})" if problem.activation.name == "leaky_relu" else ""
    penalty = "" if problem.loss.name == "interpolate" else f", lambda = {problem.lam:g}"
    shape = ", ".join(
        f"{count} {_plural(count, noun)}"
        for count, noun in ((problem.N, "point"), (problem.n0, "feature"), (problem.m, "output"))
    )
    return (
        f"{problem.name}: {shape}; {problem.loss.name}, {problem.activation.name}{slope}, "
        f"depth {problem.depth}, beta = {problem.beta:g}{penalty}"
    )


def describe_columns(columns: Columns) -> list[str]:
    """What the columns of a table became, and how it was read, a line each."""
    roles = (("feature", columns.features), ("target", columns.targets))
    names = "; ".join(f"{_plural(len(names), role)} {_listed(names)}" for role, names in roles)
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


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


# -- the closing line ------------------------------------------------------------------------------------------------


def outward(lower: float, upper: float) -> tuple[str, str]:
    """Decimals with lower_text ≤ lower and upper ≤ upper_text, exactly, and digits enough to show the difference.

    At least 4 and at most 16 significant digits of the larger number; both sides have the same last place.
    """
    low, high = Decimal(lower), Decimal(upper)
    top = max(low.copy_abs(), high.copy_abs()).adjusted() if lower or upper else 0
    width = high - low
    place = width.adjusted() - 1 if width else top - 15
    place = min(max(place, top - 15), top - 3)
    low = low.quantize(Decimal(1).scaleb(place), rounding=ROUND_FLOOR)
    high = high.quantize(Decimal(1).scaleb(place), rounding=ROUND_CEILING)
    # 64.00000000000000 is just 64.
    while place < 0 and not any(int(d.scaleb(-place)) % 10 for d in (low, high)):
        place += 1
        low, high = (d.quantize(Decimal(1).scaleb(place)) for d in (low, high))
    form = "f" if -5 <= top < 16 else "e"
    return format(low, form), format(high, form)


def rounded_up(value: float) -> str:
    """Two significant digits, not less than `value` ≥ 0."""
    return _two_digits(value, ROUND_CEILING)


def _rounded_down(value: float) -> str:
    """Two significant digits, not more than `value` ≥ 0."""
    return _two_digits(value, ROUND_FLOOR)


def _two_digits(value: float, rounding: str) -> str:
    exact = Decimal(value)
    if not exact:
        return "0"
    place = Decimal(1).scaleb(exact.adjusted() - 1)
    return format(exact.quantize(place, rounding=rounding), ".1e")


def closing_line(result: SolveResult, requested_gap: float) -> str:
    """What was proven, in one line; after the deadline also why no more, and what to change."""
    effort = f"{result.seconds:.1f} s"
    reason = STATUS.get(result.status, result.status)
    if result.status == "infeasible":
        return f"infeasible, {effort}: {result.message or reason}"
    what = "global minimum" if result.scope == "global" else f"{result.scope} minimum"
    if result.lower is not None and result.upper is not None and math.isfinite(result.upper):
        claim = f"{what} in [{', '.join(outward(result.lower, result.upper))}]"
    elif result.lower is not None:
        claim = f"{what} at least {outward(result.lower, result.lower)[0]}"
    elif result.upper is not None and math.isfinite(result.upper):
        claim = f"{what} at most {outward(result.upper, result.upper)[1]}, no lower bound proven"
    else:
        claim = f"nothing proven about the {what}"
    neurons = "" if result.width is None else f", {result.width} {_plural(result.width, 'neuron')}"
    if result.status == "optimal":
        return f"{claim}{neurons}, {effort}"
    gap = "" if result.gap is None or not math.isfinite(result.gap) else f", gap {rounded_up(result.gap)}"
    return f"{claim}{gap} (asked for {requested_gap:g}){neurons}, {effort}: {reason}"


# -- for programs ----------------------------------------------------------------------------------------------------


def result_object(result: SolveResult, model: Path | None, certificate: Path | None = None) -> dict[str, Any]:
    """The JSON object of `cpcert solve`: finite numbers, and null for what is not known."""
    return {
        "instance": result.problem.name,
        "sha256": result.problem.sha256,
        **column_names(result.problem),
        "status": result.status,
        "scope": result.scope,
        "upper": _finite(result.upper),
        "lower": _finite(result.lower),
        "gap": _finite(result.gap),
        "width": result.width,
        "rank_sigma": _rank_sigma(result),
        "iterations": result.iterations,
        "seconds": _finite(result.seconds),
        "certificate": None if certificate is None else str(certificate),
        "model": None if model is None else str(model),
        "message": result.message or STATUS.get(result.status, ""),
    }


def _rank_sigma(result: SolveResult) -> dict[str, Any]:
    """Rank_σ near the covariance pair of the returned, balanced network; nulls without a network."""
    if result.network is None or result.network.depth != 2:
        return {"lower": None, "upper": result.width, "tolerance": None}
    import numpy as np

    from cpcert.rank.pair import network_rank_sigma

    W, V, _ = result.network.neurons()
    balanced = W * np.sqrt(np.linalg.norm(V, axis=0))[:, np.newaxis]
    return network_rank_sigma(balanced, result.problem.X_tilde, result.problem.activation)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def prepare_folder(folder: Path) -> None:
    """Make `folder` and see that files can be written there. Raises InputError: better before the work than after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".cpcert-{os.getpid()}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--out: cannot write into {folder} ({reason}); give a folder that can be written") from None


def certified(result: SolveResult, gap: float) -> tuple[SolveResult, Certificate | None]:
    """The result with the bounds that its certificate proves, and the certificate.

    The certificate decides: where it proves less than the solver claimed, the result claims less. An interruption leaves the
    solver's own proven bounds, without a certificate.
    """
    from cpcert.certificate.build import certify

    try:
        found = certify(result)
    except KeyboardInterrupt:
        return replace(result, message="interrupted while the certificate was written; the bounds are proven"), None
    if result.status == "infeasible":
        if found is not None:
            return result, found
        return replace(result, status="iteration_limit", message="the proof of infeasibility was not accepted"), None
    lower, upper = (None, None) if found is None else (found.lower, found.upper)
    proven = None if found is None else found.gap
    result = replace(result, lower=lower, upper=upper, gap=proven)
    if result.status == "optimal" and (proven is None or proven > gap):
        note = "the certificate proves less than the search found; ask for a smaller gap than you need"
        result = replace(result, status="iteration_limit", message=note)
    return result, found


def claim_sentence(claim: dict[str, Any]) -> str:
    """What an accepted certificate proves, in a sentence."""
    kind = claim["kind"]
    if kind in MATRIX_CLAIMS:
        sentence = MATRIX_CLAIMS[kind].format(order=claim["order"])
        if "lower" not in claim:
            return sentence
        return f"{sentence} at least {claim['lower']}" + (
            "" if claim["upper"] is None else f", at most {claim['upper']}"
        )
    about = f"problem {claim['sha256'][:16]}…"
    if kind == "infeasible":
        return f"no network of any width fits the targets of {about} exactly"
    lower, upper = claim["lower"], claim["upper"]
    if lower is None:
        return f"the global minimum of {about} is at most {upper!r}"
    if upper is None:
        return f"the global minimum of {about} is at least {lower!r}"
    return f"the global minimum of {about} lies in [{lower!r}, {upper!r}]"


def certified_interval(path: Path, problem: Problem) -> tuple[float | None, float | None]:
    """(lower, upper) of a certificate that the checker accepts and that is about this problem. Raises InputError."""
    from cpcert.certificate.check import Rejected
    from cpcert.certificate.reading import read_claim

    try:
        claim = read_claim(path)
    except Rejected as error:
        raise InputError(f"{path}: the certificate is rejected ({error})") from None
    if claim["kind"] != "minimum" or claim["sha256"] != problem.sha256:
        raise InputError(f"{path}: is about another problem; give the certificate of this instance")
    return claim["lower"], claim["upper"]


def check_object(result: CheckResult, neurons: list[dict[str, Any]]) -> dict[str, Any]:
    """The JSON object of `cpcert check`."""
    descent = None
    if result.descent is not None:
        found = result.descent
        descent = {
            "layer": found.layer, "w": found.w.tolist(), "v": found.v.tolist(), "ratio": found.ratio,
            "loss_before": found.loss_before, "loss_after": found.loss_after,
        }  # fmt: skip
    least, most = result.suboptimality
    return {
        "loss": result.loss,
        "lower": _finite(result.lower),
        "upper": _finite(result.upper),
        "suboptimality": {"lower": least, "upper": _finite(most)},
        "verdict": result.verdict,
        "scope": result.scope,
        "descent_neuron": descent,
        "layers": [{"layer": k, **asdict(layer)} for k, layer in enumerate(result.layers, start=1)],
        "neurons": neurons,
    }


def check_line(written: dict[str, Any]) -> str:
    """The verdict of `cpcert check` in a sentence."""
    least, most = written["suboptimality"]["lower"], written["suboptimality"]["upper"]
    line = f"{written['verdict']}: the loss {written['loss']:.10g} is "
    if least > 0.0:
        line += f"above the global minimum by at least {_rounded_down(least)}"
        line += ", proven" if most is None else f" and at most {rounded_up(most)}, proven"
    elif most is not None:
        line += f"within {rounded_up(max(most, 0.0))} of the global minimum, proven"
    else:
        line += "at an unknown distance from the global minimum: no neuron that lowers it was found in any layer"
    descent = written["descent_neuron"]
    if descent is not None and written["verdict"] != "optimal":
        where = f" in hidden layer {descent['layer']}" if len(written["layers"]) > 1 else ""
        line += f"; one more neuron{where} lowers it to {descent['loss_after']:.10g}"
    if "improved" in written:
        improved = written["improved"]
        line += f"; improved to {improved['loss']:.10g} ({improved['verdict']}), {improved['width']} neurons, in {improved['model']}"
    return line


def print_neurons(written: dict[str, Any]) -> None:
    """The table of neurons of `cpcert check`, and what was found in each layer of a deeper network, to stderr."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "layer", "neuron", "incoming", "outgoing", "in/out", "contact", "group", box=None, header_style="bold"
    )
    for entry in written["neurons"]:
        numbers = [entry["incoming"], entry["outgoing"], entry["balance"], entry["contact"]]
        cells = ["-" if v is None else f"{v:.6g}" for v in numbers]
        group = "dead" if entry["dead"] else str(entry["group"])
        table.add_row(str(entry["layer"]), str(entry["neuron"]), *cells, group)
    console = Console(stderr=True)
    console.print(table)
    if len(written["layers"]) > 1:
        for found in written["layers"]:
            line = f"hidden layer {found['layer']}: the largest contact value found is {found['contact']:.6g}"
            kinks = found["kinks"]
            if kinks:
                line += f" (one-sided: {kinks} {_plural(kinks, 'value')} of the next layer at a kink)"
            console.print(line, highlight=False, soft_wrap=True)


def write_result(
    result: SolveResult, folder: Path, certificate: Certificate | None = None, *, everything: bool = True
) -> dict[str, Any]:
    """Write NAME.cpcert (if there is a certificate) into `folder`, and if `everything` NAME.json, NAME.safetensors (if there
    is a network) and NAME-trace.csv.

    Each file appears complete or not at all. Returns the JSON object, its `model` and `certificate` the paths.
    Raises OSError when the disk refuses.
    """
    name = result.problem.name
    model = proof = None
    if certificate is not None:
        proof = folder / f"{name}.cpcert"
        write_file(proof, certificate.content)
    if everything and result.network is not None:
        model = folder / f"{name}.safetensors"
        result.network.save(model)
    written = result_object(result, model, proof)
    if everything:
        write_file(folder / f"{name}-trace.csv", _csv_bytes(_trace_columns(result.trace)))
        write_file(folder / f"{name}.json", (json.dumps(written, indent=2, allow_nan=False) + "\n").encode())
    return written


def path_object(results: Sequence[SolveResult], models: Sequence[Path] | None) -> dict[str, Any]:
    """The JSON object of `cpcert path`: one entry for each lambda."""
    entries = []
    for k, result in enumerate(results):
        entry = result_object(result, None if models is None else models[k])
        entries.append({"lambda": result.problem.lam, **entry})
    return {"instance": results[0].problem.name if results else None, "results": entries}


def path_table(results: Sequence[SolveResult]) -> str:
    """One line for each lambda: the interval, rounded outward, the gap, and the width."""
    lines = [f"{'lambda':>10}  {'lower':>18}  {'upper':>18}  {'gap':>8}  {'width':>5}"]
    for result in results:
        lower, upper = "-", "-"
        if result.lower is not None and result.upper is not None:
            lower, upper = outward(result.lower, result.upper)
        gap = "-" if result.gap is None else rounded_up(result.gap)
        lines.append(f"{result.problem.lam:>10.4g}  {lower:>18}  {upper:>18}  {gap:>8}  {result.width or 0:>5}")
    return "\n".join(lines)


def write_path(results: Sequence[SolveResult], folder: Path) -> dict[str, Any]:
    """Write NAME-path.json and the networks NAME-path-0.safetensors, … into `folder`; returns the JSON object."""
    models = []
    for k, result in enumerate(results):
        models.append(folder / f"{result.problem.name}-path-{k}.safetensors")
        if result.network is not None:
            result.network.save(models[-1])
    written = path_object(results, models)
    name = written["instance"]
    write_file(folder / f"{name}-path.json", (json.dumps(written, indent=2, allow_nan=False) + "\n").encode())
    return written


def write_file(path: Path, content: bytes) -> None:
    """Write a file that appears complete or not at all. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _trace_columns(trace: list[TraceRecord]) -> dict[str, list[Any]]:
    rows = [asdict(record) for record in trace]
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _csv_bytes(columns: dict[str, list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()
