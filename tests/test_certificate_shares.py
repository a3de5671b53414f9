"""Proofs checked by several processes, now or later: the same verdict for any number of them, and no claim before it."""

import json
from pathlib import Path

import numpy as np
import pytest
from kept_certificates import ANSWERS, FOLDER
from test_endings import INSTANCE, noise

from cpcert import solve
from cpcert.certificate import check, clock, shares
from cpcert.certificate.build import Checking, certify
from cpcert.certificate.file import write
from cpcert.cli import main
from cpcert.parallel import Workers

DIVIDED = (
    "branch",
    "arrangement",
    "coordinates-tree",
    "directions",
    "spatial",
    "spatial-several",
    "spatial-coordinates",
)
OTHERS = ("cells", "plane", "moments", "linear", "infeasible")


@pytest.fixture(autouse=True)
def every_file_is_long(monkeypatch):
    monkeypatch.setattr(shares, "LEAST_BYTES", 0)
    monkeypatch.setattr(check, "PARTS", 2)


def kept(name):
    return (FOLDER / f"{name}.cpcert").read_bytes()


class Counted(Workers):
    """Workers in this process, and the tasks that they were given."""

    def __init__(self, count):
        super().__init__(None, count)
        self.tasks = []

    def submit(self, function, *arguments):
        self.tasks.append(arguments[1:])
        return super().submit(function, *arguments)


@pytest.mark.parametrize("name", [*DIVIDED, *OTHERS])
def test_any_number_of_processes_says_the_same(name, monkeypatch):
    content, claim = kept(name), ANSWERS[f"{name}.cpcert"]["claim"]
    single = []
    monkeypatch.setattr(shares.check, "check", lambda content: single.append(content) or claim)
    for count in (0, 1, 2, 5):
        crew = Counted(count)
        single.clear()
        assert shares.checked(content, crew) == claim
        divided = name in DIVIDED and count > 1
        assert crew.tasks == ([(number, count) for number in range(count)] if divided else [])
        assert single == ([] if divided else [content])


@pytest.mark.parametrize("name", DIVIDED)
def test_what_one_check_rejects_all_reject_for_the_same_reason(name):
    """An integer of the proof changed: most are no proof any more, the others the same proof for any number."""
    header, arrays = check.parse(kept(name))
    rng = np.random.default_rng([3, len(arrays["proof"])])
    rejected = 0
    for _ in range(8):
        column = str(rng.choice([one for one in ("proof", "y", "mu", "theta") if len(arrays.get(one, ()))]))
        values = np.array(arrays[column])
        values[rng.integers(len(values))] += rng.choice([1, 1 << 12, -(1 << 12)])
        content = write(header, {**{key: np.array(one) for key, one in arrays.items()}, column: values})
        answers = []
        for count in (1, 2, 3):
            try:
                answers.append(shares.checked(content, Workers(None, count)))
            except check.Rejected as error:
                answers.append(str(error))
        assert answers[0] == answers[1] == answers[2]
        rejected += isinstance(answers[0], str)
    assert rejected >= 2


def test_a_single_check_decides_whatever_is_not_clear(monkeypatch):
    """A worker that fails, another claim, more work than the file may cost: the shares are no proof, and the answer is the same."""
    content, claim = kept("spatial"), ANSWERS["spatial.cpcert"]["claim"]
    honest = [shares.share(content, number, 2) for number in range(2)]
    assert all(one is not None and one[0] == claim for one in honest)
    most = check.work_of(len(content))
    for wrong in (None, ({**claim, "lower": 9.0}, 1.0), (claim, float(most))):
        calls = []
        monkeypatch.setattr(shares, "share", lambda _, number, of, wrong=wrong: wrong if number else honest[0])
        monkeypatch.setattr(check, "check", lambda content, calls=calls: calls.append(content) or claim)
        assert shares.checked(content, Workers(None, 2)) == claim and calls == [content]
    assert shares.kind_of(content) == "spatial" and shares.kind_of(kept("coordinates-tree")) == "tree"
    for nothing in (
        b"",
        b"cpcert",
        kept("infeasible"),
        check.MAGIC + b"\x02" + bytes(7) + b"{}",
        check.MAGIC + b"\xff" * 8,
    ):
        assert shares.kind_of(nothing) is None


def test_verify_with_processes(capsys):
    path = FOLDER / "spatial.cpcert"
    assert main(["verify", str(path), "--workers", "2"]) == 0
    two = capsys.readouterr().out
    assert main(["verify", str(path)]) == 0 and capsys.readouterr().out == two
    assert main(["verify", str(path), "--workers", "0"]) == 2
    assert "--workers: is 0" in capsys.readouterr().err


# -- later -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(INSTANCE)
    return "small.yaml"


def test_an_unchecked_certificate_claims_nothing(instance, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(check, "check_share", lambda *_: pytest.fail("the checker was asked"))
        assert main(["solve", instance, "--check", "later", "--json"]) == 1
        said = json.loads(capsys.readouterr().out)
        assert main(["solve", instance, "--check", "later"]) == 1
        sentence = capsys.readouterr().out
    assert said["checked"] is False and said["status"] == "unchecked" and Path(said["certificate"]).exists()
    assert said["lower"] is said["upper"] is said["gap"] is None
    assert "the file claims that the global minimum is in [" in said["message"]
    assert sentence.startswith("nothing proven about the global minimum") and "written and not checked" in sentence
    assert sentence.rstrip().endswith("to prove it: cpcert verify small.cpcert")
    assert main(["verify", said["certificate"], "--instance", instance]) == 0
    capsys.readouterr()
    assert main(["solve", instance, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checked"] is True
    assert main(["solve", instance, "--json", "--no-certificate"]) == 0
    assert json.loads(capsys.readouterr().out)["checked"] is None


def test_later_is_for_certificates_of_depth_two(instance, capsys):
    assert main(["solve", instance, "--check", "later", "--no-certificate"]) == 2
    assert "--check: later writes a certificate" in capsys.readouterr().err
    Path("deep.yaml").write_text(INSTANCE + "depth: 3\n")
    assert main(["solve", "deep.yaml", "--check", "later"]) == 2
    assert "--check: later is for depth 2" in capsys.readouterr().err


def test_a_file_for_later_proves_as_much(tmp_path):
    """But for its slack; no worse than 2^-26 of the bound of the oracle."""
    result = solve(noise(N=14, n=4), gap=1e-4)
    now, later = certify(result), certify(result, checking=Checking(later=True))
    assert now.checked and not later.checked
    assert check.check(later.content)["lower"] == later.lower
    assert now.lower - 1e-7 * abs(now.lower) <= later.lower <= now.lower


# -- before it begins --------------------------------------------------------------------------------------------------


def test_long_checks_are_announced(instance, capsys, monkeypatch):
    from cpcert.commands import solving

    foretold = []
    result = solve(noise(N=14, n=4), gap=1e-4)
    certify(result, checking=Checking(announce=foretold.append))
    certify(result, checking=Checking(Workers(None, 2), announce=foretold.append))
    assert len(foretold) == 2 and 0.0 < foretold[1] == foretold[0] / 2
    monkeypatch.setattr(solving, "LONG_CHECK", 0.0)
    assert main(["solve", instance]) == 0
    assert "the check takes about" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["spatial", "spatial-several", "moments", "branch"])
def test_predictions_follow_the_kind_of_the_proof(name):
    """Twice as long a proof takes longer, and so do more points."""
    _, arrays = check.parse(kept(name))
    problem = noise(N=20, n=4, m=2)
    larger = noise(N=4000, n=4, m=2)
    twice = {**arrays, "proof": np.tile(arrays["proof"], 1000)}
    assert clock.check_seconds(arrays, problem) < clock.check_seconds(twice, problem)
    if name != "branch":
        assert clock.check_seconds(arrays, problem) < 0.1 * clock.check_seconds(twice, larger)
