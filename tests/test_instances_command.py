"""demo and instances: what comes with cpcert, from a checkout and from a wheel."""

import json
from pathlib import Path

import pytest

from cpcert.cli import main
from cpcert.instance import load_instance, shipped_instances

FOLDER = Path(__file__).parents[1] / "instances"


def test_all_instances_are_listed_with_their_purpose(capsys):
    assert main(["instances"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(path.stem for path in FOLDER.glob("*.yaml"))
    assert all(len(line.split()) > 4 for line in lines)
    assert main(["instances", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["instances"]) == set(shipped_instances())


@pytest.mark.parametrize("name", ["teacher", "teacher.yaml"])
def test_an_instance_is_printed_as_it_is(name, capsys):
    assert main(["instances", name]) == 0
    assert capsys.readouterr().out == (FOLDER / "teacher.yaml").read_text()


def test_instances_are_copied_and_nothing_is_overwritten(tmp_path, capsys):
    assert main(["instances", "teacher", "--out", str(tmp_path)]) == 0
    problem = load_instance(tmp_path / "teacher.yaml").problem()
    assert problem.sha256 == load_instance(FOLDER / "teacher.yaml").problem().sha256
    assert main(["instances", "--out", str(tmp_path)]) == 2
    assert "teacher.yaml is there already" in capsys.readouterr().err


def test_an_unknown_name(capsys):
    assert main(["instances", "tea"]) == 2
    assert "`cpcert instances` lists them" in capsys.readouterr().err


def test_the_demonstration_proves_its_gap(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--json"]) == 0
    outputs = capsys.readouterr()
    assert json.loads(outputs.out)["status"] == "optimal"
    assert f"cpcert verify {tmp_path / 'diabetes-40.cpcert'}" in outputs.err
    assert main(["verify", str(tmp_path / "diabetes-40.cpcert")]) == 0
