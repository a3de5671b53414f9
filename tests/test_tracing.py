"""What a run shows while it goes on: -v, -q, --log."""

import csv
import json

import pytest

from cpcert.cli import main
from cpcert.frank_wolfe import solve as loop

SMALL = """
name: small
data: {source: teacher, points: 8, features: 2, width: 2, noise: 0.1, seed: 0}
lambda: 1e-2
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def logged(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_log_has_the_columns_of_the_trace(small, tmp_path, capsys):
    log = tmp_path / "trace.jsonl"
    assert main(["solve", small, "--log", str(log), "--out", str(tmp_path)]) == 0
    rows = list(csv.DictReader((tmp_path / "small-trace.csv").read_text().splitlines()))
    lines = logged(log)
    assert [list(line) for line in lines] == [list(row) for row in rows]
    assert [line["lower"] for line in lines] == [float(row["lower"]) for row in rows]
    assert len(lines) > 1


def test_lines_are_there_before_the_run_ends(small, tmp_path, monkeypatch, capsys):
    """Each iteration is in the file when the next begins."""
    log, seen = tmp_path / "trace.jsonl", []
    record = loop._Run._record

    def recorded(self, *arguments):
        seen.append(len(logged(log)))
        return record(self, *arguments)

    monkeypatch.setattr(loop._Run, "_record", recorded)
    assert main(["solve", small, "--log", str(log), "--no-certificate"]) == 0
    assert seen == list(range(len(seen))) and len(seen) > 1


def test_quiet_is_silent_and_verbose_says_more(small, capsys):
    said = {}
    for option in ("-q", "-v", None):
        assert main(["solve", small, "--no-certificate", *([option] if option else [])]) == 0
        output = capsys.readouterr()
        assert output.out.startswith("global minimum in [")
        said[option] = output.err
    assert said["-q"] == ""
    assert "times the one wanted" in said["-v"] and "times the one wanted" not in said[None]
    assert main(["solve", small, "-q", "-v"]) == 2


def test_a_path_logs_each_lambda(small, tmp_path, capsys):
    log = tmp_path / "path.jsonl"
    assert main(["path", small, "--count", "2", "-q", "--log", str(log)]) == 0
    assert capsys.readouterr().err == ""
    lines = logged(log)
    assert [line["lambda"] for line in lines] == [0.1, 1e-4]
    assert all(line["status"] == "optimal" for line in lines)


def test_a_log_that_cannot_be_written(small, tmp_path, capsys):
    assert main(["solve", small, "--log", str(tmp_path)]) == 2
    assert "--log: cannot write" in capsys.readouterr().err
