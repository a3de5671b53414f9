"""Reports never claim more than was proven: printed bounds are rounded outward."""

import csv
import io
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cpcert import report
from cpcert.errors import InputError
from cpcert.output import prepare_folder
from cpcert.problem import Problem
from cpcert.status import Status


@dataclass(frozen=True)
class Record:
    iteration: int = 1
    step: str = "corrective"
    upper: float | None = 0.5
    lower: float | None = None
    gap: float | None = None
    oracle_ratio: float | None = 1.25
    rung: str | None = "branch"
    nodes: int = 7
    active: int = 3
    seconds: float = 0.125


def result(status="optimal", **changes):
    values = {
        "problem": Problem([[1.0], [2.0]], [1.0, -1.0], lam=0.1, name="case"),
        "status": Status(status),
        "scope": "global",
        "upper": 0.3120441502,
        "lower": 0.3120441199,
        "gap": 9.61e-8,
        "network": None,
        "width": 7,
        "iterations": 3,
        "seconds": 2.06,
        "trace": [Record(), Record(iteration=2, lower=0.25, gap=1.0)],
        "infeasibility": None,
        "requested_gap": 1e-6,
        "notes": (),
        "message": Status(status).sentence,
    }
    return SimpleNamespace(**{**values, **changes})


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, finite)
@example(64.0, 64.0)
@example(0.0, 0.0)
@example(0.1, 0.1)
@example(-1.0, 0.0)
@example(5e-324, 1.7e308)
def test_printed_bounds_contain_the_proven_interval(a, b):
    lower, upper = min(a, b), max(a, b)
    low, high = report.outward(lower, upper)
    assert Fraction(low) <= Fraction(lower)
    assert Fraction(high) >= Fraction(upper)


@given(finite, st.floats(min_value=1e-12, max_value=1.0))
def test_printed_bounds_are_not_much_wider(upper, relative):
    lower = upper - relative * abs(upper)
    assume(math.isfinite(lower))
    low, high = report.outward(lower, upper)
    slack = Fraction(high) - Fraction(upper) + Fraction(lower) - Fraction(low)
    scale = max(abs(Fraction(lower)), abs(Fraction(upper)))
    assert slack <= (Fraction(upper) - Fraction(lower)) / 2 + scale / 10**13


def test_numbers_as_a_reader_wants_them():
    assert report.outward(64.0, 64.0) == ("64", "64")
    assert report.outward(0.3120441243, 0.3120441472) == ("0.312044124", "0.312044148")
    assert report.outward(0.1234567, 0.4) == ("0.1234", "0.4001")
    assert report.outward(0.0, 0.0) == ("0", "0")
    assert report.outward(1.25e-9, 1.25e-9)[0] == "1.250000000000000e-9"


@given(st.floats(min_value=0, max_value=1e300))
def test_a_printed_gap_is_not_smaller(gap):
    printed = Fraction(report.rounded_up(gap))
    assert Fraction(gap) <= printed <= Fraction(gap) * Fraction(11, 10)


def test_closing_lines():
    line = report.closing_line
    assert line(result()) == "global minimum in [0.312044119, 0.312044151], 7 neurons, 2.1 s"
    assert line(result(width=1)).endswith(", 1 neuron, 2.1 s")
    late = line(result(status="time_limit", lower=0.25, gap=0.2484))
    assert late.startswith("global minimum in [0.25")
    assert "gap 2.5e-1 (asked for 1e-06)" in late and "raise --time-limit" in late
    assert "at most 0.3120441" in line(result(status="interrupted", lower=None, gap=None))
    assert "no lower bound proven" in line(result(status="interrupted", lower=None, gap=None))
    assert "at least 0.3120441" in line(result(status="time_limit", upper=None, gap=None))
    nothing = result(status="time_limit", upper=math.inf, lower=None, gap=math.nan, width=None)
    assert line(nothing).startswith("nothing proven about the global minimum")
    infeasible = result(status="infeasible", upper=None, lower=None, gap=None, width=None, message="points 0, 1 clash")
    assert line(infeasible) == "infeasible, 2.1 s: points 0, 1 clash"


@pytest.mark.parametrize("status", Status)
def test_every_status_is_a_sentence(status):
    assert json.loads(json.dumps(status)) == status == str(status)
    assert len(status.sentence.split()) >= 5
    assert len({other.sentence for other in Status}) == len(Status)
    assert status is Status.OPTIMAL or status.sentence in report.closing_line(result(status=status))


def test_json_is_finite():
    unknown = result(upper=math.inf, lower=-math.inf, gap=math.nan, width=None)
    text = json.dumps(report.SolveOutcome(unknown, None).as_json(), allow_nan=False)
    assert [json.loads(text)[key] for key in ("upper", "lower", "gap", "width")] == [None] * 4
    numpy_scalars = result(upper=np.float64(0.1), width=3)
    assert json.loads(json.dumps(report.SolveOutcome(numpy_scalars, None).as_json()))["upper"] == 0.1


def test_the_files(tmp_path):
    written = report.SolveOutcome(result(), None).write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case-trace.csv", "case.json"]
    assert json.loads((tmp_path / "case.json").read_text()) == written.as_json()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "case-trace.csv").read_text())))
    assert rows[0]["lower"] == "" and float(rows[1]["lower"]) == 0.25
    assert [row["step"] for row in rows] == ["corrective"] * 2


def test_a_trace_that_ended_at_once_can_be_written(tmp_path):
    report.SolveOutcome(result(trace=[]), None).write(tmp_path)
    report.SolveOutcome(result(trace=[Record(rung=None, gap=None)]), None).write(tmp_path)
    (row,) = csv.DictReader(io.StringIO((tmp_path / "case-trace.csv").read_text()))
    assert row["gap"] == row["rung"] == ""


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    report.SolveOutcome(result(), None).write(tmp_path)
    before = (tmp_path / "case.json").read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        report.SolveOutcome(result(upper=9.0), None).write(tmp_path)
    assert (tmp_path / "case.json").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_folder_is_made_or_refused_before_the_work(tmp_path):
    prepare_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="--out: cannot write into"):
            prepare_folder(place)


def test_the_plain_trace_is_one_line_per_iteration_on_stderr(capsys):
    with report.running_trace(result().problem) as show:
        show(Record(lower=0.25, gap=0.5))
        show(Record(iteration=2, upper=math.inf))
    captured = capsys.readouterr()
    assert captured.out == ""
    about, heading, first, second = captured.err.splitlines()
    assert about == "case: 2 points, 1 feature, 1 output; mse, relu, depth 2, beta = 1, lambda = 0.1"
    assert heading.split() == [
        "iter", "step", "upper", "lower", "gap", "oracle/2λ", "rung", "nodes", "active", "seconds",
    ]  # fmt: skip
    assert first.split() == ["1", "corrective", "0.5", "0.25", "5.0e-1", "1.25", "branch", "7", "3", "0.12"]
    assert second.split()[2:5] == ["-", "-", "-"]
    assert len(heading) == len(first) == len(second)


def test_the_live_table_fits_a_narrow_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for columns, shown in (
        ("60", {"seconds"}),
        ("80", {"seconds", "nodes"}),
        ("140", {"seconds", "nodes", "active"}),
    ):
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("LINES", "24")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr("sys.stderr", Terminal())
        with report.running_trace(result().problem) as show:
            show(Record(upper=0.1234567891, lower=0.1234567891, gap=1e-9))
        text = report.sys.stderr.getvalue()
        assert "0.123456790" not in text and "0.12345679 " in text and "0.123456789" in text and "…" not in text
        assert {name for name in ("seconds", "nodes", "active") if name in text} == shown
