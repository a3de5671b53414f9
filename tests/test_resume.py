"""A solve that goes on from a certificate: nothing that was proven is lost, and what is written is accepted."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cpcert.certificate import check
from cpcert.certificate.build import certify
from cpcert.certificate.kept import Kept, joined, read_kept, until_closed
from cpcert.cli import main
from cpcert.errors import InputError
from cpcert.frank_wolfe.solve import solve
from cpcert.frank_wolfe.trace import TraceRecord
from cpcert.instance import load_instance
from cpcert.models.read import read_model
from cpcert.network import loss_upper

INSTANCE = """
name: small
data: {source: diabetes, points: 20, features: 2, seed: 0}
lambda: 1e-2
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(INSTANCE)
    return str(path)


def said(capsys):
    return json.loads(capsys.readouterr().out)


def test_a_run_goes_on_where_another_ended(small, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["solve", small, "--max-iterations", "2", "--out", str(first), "--json"]) == 1
    before = said(capsys)
    # The better lower bound is that of the file: this run has no time for one.
    resume = ["--max-iterations", "1", "--resume", str(first / "small.json"), "--out", str(second), "--json"]
    assert main(["solve", small, *resume]) == 1
    after = said(capsys)
    assert after["lower"] >= before["lower"] and after["upper"] < before["upper"]
    claim = check.check((second / "small.cpcert").read_bytes())
    assert (claim["lower"], claim["upper"]) == (after["lower"], after["upper"])
    network = read_model(second / "small.safetensors", load_instance(small).problem())
    assert loss_upper(network, load_instance(small).problem()) <= after["upper"] * (1.0 + 1e-12) < before["upper"]
    assert main(["solve", small, "--resume", str(second / "small.safetensors"), "--out", str(second), "--json"]) == 0
    assert said(capsys)["status"] == "optimal"
    # Nothing is left to do.
    content = (second / "small.cpcert").read_bytes()
    assert main(["solve", small, "--resume", str(second / "small.cpcert"), "--out", str(first), "--json"]) == 0
    assert said(capsys)["iterations"] == 0
    assert (first / "small.cpcert").read_bytes() == content


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """A problem, a certificate with a good lower bound and a bad upper one, and one the other way round."""
    path = tmp_path_factory.mktemp("halves") / "small.yaml"
    path.write_text(INSTANCE)
    problem = load_instance(str(path)).problem()
    good, early = solve(problem), solve(problem, max_iterations=0)
    return problem, certify(replace(good, network=early.network)), certify(replace(good, dual=early.dual))


def kept(path, certificate, problem):
    path.write_bytes(certificate.content)
    return read_kept(path, problem)


def test_the_better_bounds_end_the_search(halves, tmp_path):
    problem, low, high = halves
    old, seen = kept(tmp_path / "old.cpcert", low, problem), []
    step = until_closed(old, 1e-3, seen.append)
    record = TraceRecord(0, "C", low.upper, high.lower, 1.0, 1.0, "branch", 0, 1, 0.0)
    assert step(record) is False
    assert step(replace(record, upper=high.upper)) is True
    assert [(one.lower, one.upper) for one in seen] == [(low.lower, low.upper), (low.lower, high.upper)]


@pytest.mark.parametrize("turned", [False, True])
def test_the_better_sides_make_a_certificate(halves, turned, tmp_path):
    problem, low, high = halves
    old, new = (high, low) if turned else (low, high)
    both = joined(kept(tmp_path / "old.cpcert", old, problem), new)
    claim = check.check(both.content)
    assert (claim["lower"], claim["upper"]) == (low.lower, high.upper) == (both.lower, both.upper)
    assert low.lower > high.lower and high.upper < low.upper
    assert joined(kept(tmp_path / "old.cpcert", both, problem), new).content == both.content


def test_no_time_no_joint_file(halves, tmp_path):
    problem, low, high = halves
    old = replace(kept(tmp_path / "old.cpcert", low, problem), seconds=1.0)
    assert joined(old, high, deadline=time.monotonic() + 0.5) is None
    assert joined(old, None) is None


def test_sides_that_do_not_belong_together_are_no_certificate(halves, tmp_path):
    """The joint file is believed only after its check: a kept lower bound of another problem ends there."""
    problem, low, high = halves
    other = replace(problem, lam=2.0 * problem.lam)
    foreign = certify(solve(other, max_iterations=3))
    higher = replace(foreign, lower=low.upper, upper=None)
    assert joined(Kept(Path("x"), higher, None, 0.0), high) is None
    (tmp_path / "foreign.cpcert").write_bytes(foreign.content)
    with pytest.raises(InputError, match="not about the minimum of this problem"):
        read_kept(tmp_path / "foreign.cpcert", problem)


def test_a_weaker_file_never_takes_the_place_of_a_stronger(small, halves, tmp_path, monkeypatch, capsys):
    _, low, _ = halves
    path = tmp_path / "small.cpcert"
    path.write_bytes(low.content)
    monkeypatch.setattr("cpcert.certificate.kept.joined", lambda *arguments: None)
    for folder in (tmp_path, tmp_path / "other"):
        main(
            [
                "solve",
                small,
                "--resume",
                str(path),
                "--out",
                str(folder),
                "--max-iterations",
                "1",
                "--gap",
                "0",
                "--json",
            ]
        )
        result = said(capsys)
        assert path.read_bytes() == low.content and result["lower"] == low.lower and result["upper"] < low.upper
        assert str(path) in result["message"]
        assert (result["certificate"] is None) == (folder == tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--warm-start", "x"], "--resume: starts from the network of the certificate"),
        (["--check", "later"], "--check: later proves nothing now"),
        (["--resume", "{path}/missing.json"], "missing.cpcert: cannot be read"),
        (["--resume", "{path}/broken.cpcert"], "--resume: {path}/broken.cpcert: the certificate is rejected"),
    ],
)
def test_wrong_usage(small, halves, more, message, tmp_path, monkeypatch, capsys):
    shutil.copy(small, tmp_path / "x")
    content = bytearray(halves[1].content)
    content[-20] ^= 1
    (tmp_path / "broken.cpcert").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cpcert.commands.solving._warm_start", lambda *arguments: None)
    given = [word.format(path=tmp_path) for word in more]
    resume = [] if "--resume" in given else ["--resume", "x"]
    assert main(["solve", small, *resume, *given]) == 2
    assert message.format(path=tmp_path) in capsys.readouterr().err
