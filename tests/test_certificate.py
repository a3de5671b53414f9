"""Certificates of the instances, the checker as a file of its own, the command line, and what an interrupted run leaves."""

import ast
import json
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from math import log
from pathlib import Path

import numpy as np
import pytest
from kept_certificates import FOLDER as KEPT

import cpcert
from cpcert import Problem, certify, solve
from cpcert.certificate import check
from cpcert.certificate.file import rational_text
from cpcert.certificate.reading import ClaimKind, read_claim
from cpcert.cli import main
from cpcert.instance import load_instance

FOLDER = Path(cpcert.__file__).parent
# Of depth 2: the others have certificates of their blocks (tests/test_deep.py).
INSTANCES = sorted(path for path in (FOLDER.parent / "instances").glob("*.yaml") if "depth: 3" not in path.read_text())
SLOW = {
    "diabetes-10",
    "diabetes-2",
    "diabetes-4",
    "diabetes-40",
    "digits-3-8",
    "gaussian-100-3",
    "gaussian-40-8",
    "iris-one-feature",
}
SLOW |= {"one-dimensional-10000"}


def accepted(path):
    """The claim of a certificate, by the checker run as a program without the package."""
    command = [sys.executable, "-I", str(FOLDER / "certificate" / "check.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.removeprefix("accepted: "))


def parameters():
    for path in INSTANCES:
        marks = [pytest.mark.campaign] if path.stem in SLOW else []
        yield pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("path", list(parameters()))
def test_every_instance_has_a_certificate(path, tmp_path, capsys):
    """`solve --json` claims what the certificate claims, and the checker accepts it."""
    code = main(["solve", str(path), "--json", "--out", str(tmp_path)])
    written = json.loads(capsys.readouterr().out)
    claim = accepted(written["certificate"])
    assert claim["sha256"] == written["sha256"] == load_instance(path).problem().sha256
    if written["status"] == "infeasible":
        assert code == 1 and claim["kind"] == "infeasible"
    else:
        assert code == 0 and (claim["lower"], claim["upper"]) == (written["lower"], written["upper"])
        assert written["gap"] <= load_instance(path).solve.gap
    assert main(["verify", written["certificate"], "--instance", str(path)]) == 0
    assert capsys.readouterr().out.startswith("accepted: ")


def small_problem():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((9, 2))
    return Problem(X, np.abs(X[:, 0]) - X[:, 1], lam=1e-2, name="small")


@pytest.fixture(scope="module")
def certificate():
    return certify(solve(small_problem()))


def test_the_checker_stands_alone():
    """It imports the standard library only."""
    for name in ("check.py", "deep_check.py", "rank_check.py", "width_check.py"):
        tree = ast.parse((FOLDER / "certificate" / name).read_text())
        imported = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(node.module.split(".")[0])
        assert imported <= sys.stdlib_module_names


def test_bounds_are_those_of_the_solver_up_to_rounding(certificate):
    result = solve(small_problem())
    assert certificate.upper <= result.upper * (1 + 1e-12)
    assert certificate.upper == pytest.approx(result.upper, rel=1e-12)
    assert certificate.lower == pytest.approx(result.lower, rel=1e-9)
    assert certificate.gap <= 1e-6


def test_the_same_result_gives_the_same_bytes(certificate):
    assert certify(solve(small_problem())).content == certificate.content


def test_verify(certificate, tmp_path, capsys):
    path = tmp_path / "small.cpcert"
    path.write_bytes(certificate.content)
    assert main(["verify", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["accepted"] and answer["claim"]["upper"] == certificate.upper and answer["reason"] is None
    assert main(["verify", str(path), "--instance", str(INSTANCES[0]), "--json"]) == 1
    assert "another problem" in json.loads(capsys.readouterr().out)["reason"]
    path.write_bytes(certificate.content[:-1])
    assert main(["verify", str(path)]) == 1
    assert capsys.readouterr().out.startswith("rejected: ")
    assert main(["verify", str(tmp_path / "nothing.cpcert")]) == 2
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["bipartite", "--N", "4"], "the cp-rank of the matrix of order 4 in the file is at least 4, at most 4"),
        (["cprank", "no.json"], "the matrix of order 2 in the file is not completely positive"),
        (["cprank", "yes.json"], "the cp-rank of the matrix of order 2 in the file is at least 2, at most 2"),
    ],
)
def test_verify_of_matrices(command, sentence, tmp_path, capsys):
    Path("no.json").write_text('{"A": [[1, 2], [2, 1]]}')
    Path("yes.json").write_text('{"A": [[2, "1/2"], ["1/2", 1]]}')
    main([*command, "--json", "--out", str(tmp_path)])
    path = Path(json.loads(capsys.readouterr().out)["certificate"])
    assert main(["verify", str(path)]) == 0
    assert capsys.readouterr().out == f"accepted: {sentence}\n"
    command = [sys.executable, "-I", str(FOLDER / "certificate" / "rank_check.py"), str(path)]
    assert subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0
    text = path.read_text()
    for broken in (
        text[:-3],
        text.replace("{", '{"claim": 1, ', 1),
        text.replace('"A": [[', '"A": [[NaN, '),
        "[" * 10**5,
        "",
    ):
        path.write_text(broken)
        assert main(["verify", str(path)]) == 1
        assert capsys.readouterr().out.startswith("rejected: ")


def test_every_kind_of_claim_has_a_sentence():
    claims = [read_claim(path) for path in KEPT.iterdir() if path.is_file()]
    assert {claim.kind for claim in claims} == {*ClaimKind} >= {*check.CLAIMS}
    for claim in claims:
        sentence = claim.sentence()
        assert "{" not in sentence and "None" not in sentence
        for bound in (claim.lower, claim.upper):
            assert bound is None or sentence.count(repr(bound))


def test_a_result_that_claims_too_much_is_cut_down():
    """certify believes nothing: bounds of a result that are not true do not come back."""
    result = solve(small_problem())
    boast = replace(result, lower=result.upper, upper=0.5 * result.upper)
    found = certify(boast)
    assert found.upper == pytest.approx(result.upper) and found.lower <= result.lower * (1 + 1e-9)
    # A proof for a bound below the truth is no proof: the lower side is left out.
    assert result.dual is not None
    false = replace(result, dual=replace(result.dual, oracle_bound=0.9 * result.dual.oracle_bound))
    found = certify(false)
    assert found.lower is None or found.lower <= result.upper


def test_without_a_lower_bound_the_upper_is_certified():
    result = replace(solve(small_problem()), dual=None)
    found = certify(result)
    assert found.lower is None and found.gap is None
    assert check.check(found.content)["lower"] is None


def test_coefficients_of_any_length():
    """Relations with more digits than Python's own conversion of integers takes are written and read."""
    n = 40
    rng = np.random.default_rng(1)
    X = np.zeros((n + 1, n))
    X[np.arange(n), np.arange(n)] = rng.standard_normal(n) * 1e-50
    X[np.arange(1, n + 1), np.arange(n)] = rng.standard_normal(n) * 1e50
    problem = Problem(X, rng.standard_normal((n + 1, 1)), loss="interpolate", activation="linear", beta=0.0)
    found = certify(solve(problem))
    header, _ = check.parse(found.content)
    assert max(len(c) for _, c in header["relation"]) > sys.get_int_max_str_digits() > 0
    assert found.claim == check.check(found.content)["kind"] == "infeasible"
    for value in (Fraction(0), Fraction(-7), Fraction(10**600), Fraction(-(10**1201) - 5, 3 * 10**599 + 1)):
        assert check._rational(rational_text(value)) == value
        assert rational_text(value) == str(value)


def test_logarithms_are_enclosed():
    """Against math.log, and against each other at the ends where they cancel."""
    rng = random.Random(0)
    for _ in range(300):
        a, b = rng.randint(1, 10 ** rng.randint(1, 60)), rng.randint(1, 10 ** rng.randint(1, 60))
        low, high = check.log_bounds(a, b)
        assert low <= high < low + Fraction(1, 10**25)
        assert float(low) == pytest.approx(log(a) - log(b), rel=1e-12, abs=1e-12)
        more_low, more_high = check.log_bounds(a * a, b * b)
        assert more_low <= 2 * high and 2 * low <= more_high
    for x in (Fraction(0), Fraction(-1, 10**9), Fraction(-7, 3), Fraction(-99), Fraction(-101), Fraction(-(10**6))):
        low, high = check.exp_bounds(x)
        assert 0 <= low <= high and (high - low) <= max(high >> 60, 1 << 20)
        if low:
            inverse_low, inverse_high = check.log_bounds(low, check.ONE)[0], check.log_bounds(high, check.ONE)[1]
            assert inverse_low <= x <= inverse_high


def run(arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "cpcert", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def kill_at_random(times, folder, seed):
    """Kill `solve --out` at random moments; returns how many certificates were complete."""
    rng = random.Random(seed)
    instance = FOLDER.parent / "instances" / "teacher.yaml"
    start = time.monotonic()
    first = run(["solve", str(instance), "--out", str(folder / "whole"), "--json"])
    first.communicate()
    assert first.returncode == 0
    whole = time.monotonic() - start
    complete = 0
    for number in range(times):
        out = folder / str(number)
        process = run(["solve", str(instance), "--out", str(out), "--json"])
        time.sleep(rng.uniform(0.4, 1.1) * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for path in out.glob("*") if out.exists() else ():
            if path.suffix == ".cpcert":
                assert check.check(path.read_bytes())["upper"] is not None
                complete += 1
            elif path.suffix == ".json":
                assert json.loads(path.read_text())["status"] == "optimal"
            else:
                assert path.suffix in (".safetensors", ".csv", ".tmp")
    return complete


def test_a_killed_run_leaves_nothing_false(tmp_path):
    kill_at_random(1, tmp_path, 0)


@pytest.mark.campaign
def test_two_hundred_killed_runs(tmp_path):
    complete = kill_at_random(200, tmp_path, 1)
    assert 0 < complete < 200  # the moments reached both sides of the write


def test_a_full_disk_is_an_error_of_its_own(tmp_path):
    """Files may grow to 4 kB only: the certificate of diabetes-2 does not fit."""
    process = run(
        ["solve", str(FOLDER.parent / "instances" / "diabetes-2.yaml"), "--out", str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    out, err = process.communicate()
    assert process.returncode == 2 and "the result is on stdout only" in err and "Traceback" not in err
    assert out.startswith("global minimum in ")
    assert not list(tmp_path.glob("*.cpcert")) and not list(tmp_path.glob(".*"))


def test_the_folder_must_be_writable(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["solve", str(INSTANCES[0]), "--out", str(tmp_path / "file" / "below")]) == 2
    assert "cannot write into" in capsys.readouterr().err


def test_no_certificate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    instance = str(FOLDER.parent / "instances" / "diabetes-1.yaml")
    assert main(["solve", instance, "--no-certificate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["certificate"] is None and not list(tmp_path.iterdir())
    assert main(["solve", instance, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["certificate"] == "diabetes-1.cpcert"
    assert [path.name for path in tmp_path.iterdir()] == ["diabetes-1.cpcert"]
