"""What a file may cost the checkers, and files of all kinds that must get one sentence: an answer, never an error."""

import gzip
import json
import math
import os
import subprocess
import sys
import tracemalloc
from array import array
from fractions import Fraction
from pathlib import Path

import hostile_files
import pytest
import rank_hostile_files
from kept_certificates import ANSWERS, DEEP, WIDTH, spent
from kept_certificates import FOLDER as KEPT

from cpcert.certificate import check, deep_check, rank_check, width_check
from cpcert.certificate.reading import CHECKERS
from cpcert.cli import main

HERE = Path(__file__).parent
FOLDER = Path(check.__file__).parent


def checker_of(content):
    return CHECKERS.get(content[:8], rank_check)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_files_of_earlier_versions(name):
    """One of each kind of proof, as it was written once: it proves the same claim for ever."""
    content = (KEPT / name).read_bytes()
    assert checker_of(content).check(content) == ANSWERS[name]["claim"]


@pytest.mark.parametrize("name", sorted(DEEP | WIDTH))
def test_files_of_earlier_versions_of_other_claims(name):
    content = (KEPT / name).read_bytes()
    assert checker_of(content).check(content) == (DEEP | WIDTH)[name]["claim"]


def test_nothing_that_was_kept_is_forgotten():
    assert {path.name for path in KEPT.glob("*.*")} == {*ANSWERS, *DEEP, *WIDTH}


@pytest.mark.parametrize("name", sorted(ANSWERS | DEEP | WIDTH))
def test_costs_are_as_recorded(name):
    """A step that is no longer paid for, or counted wrongly, changes them; proofs that are meant stay far below the limits."""
    content = (KEPT / name).read_bytes()
    checker = checker_of(content)
    work, memory = spent(checker, content)
    assert [work, memory] == (ANSWERS | DEEP | WIDTH)[name]["cost"]
    size = len(content)
    assert work < 0.02 * (checker.WORK + checker.WORK_RATE * size**2)
    assert 0 <= memory < 0.02 * (checker.MEMORY + checker.MEMORY_RATE * size)


def hostile(first, count, most):
    command = [sys.executable, "-I", str(HERE / "hostile_files.py"), str(FOLDER), str(first), str(count), str(most)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def within_limits(row):
    """The limits of SPEC.md, with as much again for slow machines, and what Python needs itself."""
    assert row["answer"].startswith(("accepted", "rejected: ")), row
    assert "cannot be computed" not in row["answer"], row
    checker = rank_check if row["seed"] % 5 == 4 else check
    size = row["size"]
    assert row["seconds"] < 2e-9 * (checker.WORK + checker.WORK_RATE * size**2), row
    assert row["megabytes"] * 2**20 < 48 * 2**20 + checker.MEMORY + checker.MEMORY_RATE * size, row


def test_hostile_files_cost_what_their_size_allows():
    rows = hostile(0, 40, 2.7)
    assert len(rows) == 40
    for row in rows:
        within_limits(row)


@pytest.mark.campaign
@pytest.mark.parametrize("most", [3.3, 4.3, 5.5])
def test_many_hostile_files(most):
    rows = hostile(10_000, {3.3: 2000, 4.3: 400, 5.5: 100}[most], most)
    for row in rows:
        within_limits(row)
    print(max(row["seconds"] for row in rows), max(row["megabytes"] for row in rows))


# The step of each file of deep_hostile_files.py that a budget of 10^9 units (a part of what a file may have) does not allow.
STEPS = {
    "long_layers": "dyadic", "long_weights": "network_loss", "loss_of_many_points": "network_loss",
    "loss_of_many_classes": "loss_upper", "endless_cover": "_bisect", "long_rays": "_bisect", "rays_of_one_hash": "_faces",
    "crossings": "_prepare", "faces": "_gram", "deep_tree": "__init__", "leaves": "read_leaves", "full_tree": "gamma",
    "many_trees": "gamma", "coordinates": "norm_up", "endless_ladder": "conjugate_lower",
    "ladder_of_logarithms": "conjugate_lower", "ladder_of_trees": "below", "deep_norms": "below",
    "endless_cells": "read_cells", "endless_boxes": "tighten", "boxes_of_many_sets": "tighten", "long_boxes": "tighten",
    "waiting_boxes": "tighten", "boxes_of_logarithms": "conjugate_lower", "boxes_of_trees": "below_at",
    "long_factors": "__init__", "many_pulls": "__init__", "long_pulls": "__init__", "boxes_of_patterns": "tighten",
    "excesses": "bias", "forms_on_cones": "below_at", "tops_on_cones": "below_at", "classes_of_tops": "tighten",
    "leaves_of_tops": "tops", "crossed_leaves_of_tops": "tops",
}  # fmt: skip


def ordeals(checker, program, work, *which):
    """The rows of deep_hostile_files.py or rank_hostile_files.py, each within the limits."""
    command = [sys.executable, "-I", str(HERE / program), str(FOLDER), str(work), *map(str, which)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        row = json.loads(line)
        assert row["answer"].startswith(("accepted", "rejected: ")) and "cannot be computed" not in row["answer"], row
        # As above: twice the time, and what Python and the file before it need.
        assert row["seconds"] < 0.5 + 2e-9 * (work or checker.WORK + checker.WORK_RATE * row["size"] ** 2), row
        assert row["megabytes"] * 2**20 < (48 << 20) + checker.MEMORY + checker.MEMORY_RATE * row["size"], row
        yield row


def test_each_step_for_depth_three_and_more_is_paid_for():
    rows = {row["what"]: row["answer"] for row in ordeals(deep_check, "deep_hostile_files.py", 10**9)}
    assert rows.keys() == STEPS.keys()
    for name, answer in rows.items():
        reason = "a ray with too many bits" if name == "long_rays" else "more time or memory"
        assert reason in answer and answer.endswith(f" [{STEPS[name]}]"), (name, answer)


@pytest.mark.campaign
@pytest.mark.parametrize("which", [(), (0, 300, 4.0), (1000, 100, 5.0)])
def test_hostile_files_for_depth_three_and_more(which):
    rows = [*ordeals(deep_check, "deep_hostile_files.py", 0, *which)]
    print(max(row["seconds"] for row in rows), max(row["megabytes"] for row in rows))


def test_each_step_for_matrices_is_paid_for():
    rows = {row["what"]: row["answer"] for row in ordeals(rank_check, "rank_hostile_files.py", 2 * 10**8)}
    assert rows.keys() == rank_hostile_files.STEPS.keys()
    for name, (_, place) in rank_hostile_files.STEPS.items():
        answer = rows[name]
        assert "more time or memory" in answer and answer.endswith(f" [{place}]"), (name, answer)


@pytest.mark.campaign
@pytest.mark.parametrize("which", [(), (0, 400, 3.3), (1000, 200, 4.3), (2000, 50, 5.5)])
def test_hostile_files_for_matrices(which):
    rows = [*ordeals(rank_check, "rank_hostile_files.py", 0, *which)]
    print(max(row["seconds"] for row in rows), max(row["megabytes"] for row in rows))


# -- files made for one step each ------------------------------------------------------------------------------------------


def small(oracle, arrays, m=1, X=(1.0,), G=(1.0,), bound=10.0, value=0.0):
    """A lower bound of 0 for one point with mse, by this proof."""
    X, Y, G = array("d", X), array("d", [0.0] * m), array("d", G)
    problem = hostile_files.problem_of("mse", (1.0, 0.0), 0.0, (1, len(X), m), X, Y)
    lower = {"value": value, "scale": 0.0, "bound": bound, "oracle": oracle}
    header = {"claim": "minimum", "created_by": "", "problem": problem, "upper": None, "lower": lower}
    return hostile_files.written(header, {"X": X, "Y": Y, "G": G, **arrays})


def columns(proof, y=(), rho=(), mu=(), **more):
    found = {"exponents": [0], "proof": proof, "y": y, "rho": rho, "mu": mu}
    return {name: array("q", values) for name, values in found.items()} | {k: array("d", v) for k, v in more.items()}


TREE = {"kind": "tree", "grid": [0, 0, 0]}
CLOSED = [1, 0, 0]


def says(reason, content):
    with pytest.raises(check.Rejected, match=reason):
        check.check(content)


def test_a_proof_that_ends_anywhere_is_cut_off():
    """Inside a cone as well, where a generator would turn the end of the stream into an error of its own."""
    directions = {"kind": "directions", "grid": [0, 0, 0]}
    proof = [0, *CLOSED] * 4 + [1, 0, 2, 4]
    values = {"values": [10.0] * 4, "normals": [10.0, 10.0] * 4}
    for length in range(16, len(proof)):
        says("cut off", small(directions, columns(proof[:length], **values), m=2, G=(1.0, 0.0), bound=100.0))
    assert check.check(small(TREE, columns([0, *CLOSED] * 2)))["lower"] == 0.0
    for length in range(1, 8):
        says("cut off", small(TREE, columns(([0, *CLOSED] * 2)[:length])))


def test_places_of_a_tightening_come_once():
    """With gaps of −1 one constraint could be named again and again, at a cost that is the square of their number."""
    branched = [0, 4, 0]
    good = [2, 0, 1, 0, *CLOSED]
    assert check.check(small(TREE, columns([*branched, *good, *CLOSED, 0, *CLOSED], rho=[0], mu=[1])))["lower"] == 0.0
    for step in ([2, 0, 1, -1], [2, 0, 1, 1]):
        says("no constraint", small(TREE, columns([*branched, *step, *CLOSED, *CLOSED, 0, *CLOSED], rho=[0], mu=[1])))
    for count in (2, 10**5, -1):
        proof = [*branched, 2, 0, count, *([0, *[-1] * (count - 1)] if count > 0 else ()), *CLOSED]
        says("more multipliers than constraints", small(TREE, columns(proof, rho=[0], mu=[1] * abs(count))))
    says("no point", small(TREE, columns([0, 1, 1, -1, 0, 0, *CLOSED])))
    says("no point", small(TREE, columns([0, 1, 1, 2, 0, 0, *CLOSED])))
    for count in (2, -1):
        says("more multipliers than points", small(TREE, columns([0, 1, count, 0, 0, 0, 0, *CLOSED])))


def test_intervals_end_near_the_points():
    """Ends that grow from step to step would be integers of any length."""
    steps = [1, 0, 2, 0, 0, 3, 0]  # 0.5 w + 0.5 bounds max(w, 0), so ŵ ≤ ‖1 + ρ/2‖ − 9.5 ρ, with ρ = 2^−scale
    assert check.check(small(TREE, columns([-200, *steps, 0, *CLOSED], rho=[1])))["lower"] == 0.0
    says("beyond all points", small(TREE, columns([-400, *steps, 0, *CLOSED], rho=[1])))


@pytest.mark.parametrize("oracle", [{"kind": "spectral"}, TREE, {"kind": "cells"}])
def test_numbers_of_all_sizes_are_paid_for(oracle):
    """One subnormal number among large ones makes all of them integers of two thousand bits."""
    X = [1e308] * 500_000 + [5e-324]
    content = small(oracle, {}, X=X)
    assert len(content) < 2000
    says("more time or memory", content)


def test_products_of_forms_cost_the_memory_that_they_take():
    """Each product of z_i + x_iᵀw and z_j + x_jᵀw makes up to six entries of sparse rows."""
    N = 60
    X, Y = array("d", [1.0]) * N, array("d", [0.0]) * N
    header = hostile_files.problem_of("mse", (1.0, 0.0), 0.0, (N, 1, 1), X, Y)
    problem = check.Problem(header, {"X": X, "Y": Y})
    proof, last = array("q", [0] * (3 + N)), -1
    proof.append(N * (N - 1) // 2)
    for i in range(N):
        for j in range(i + 1, N):
            place = (1 + i) * (3 * N + 1) + 1 + j
            proof.extend([place - last - 1, (1 << 62) + 1])
            last = place
    proof.append(0)
    arrays = {"exponents": array("q", [0]) * N, "proof": proof}
    G, g = check.matrix(X, 1, N, "G")
    budget = check.Budget(1 << 60, 1 << 60)
    token = check.BUDGET.set(budget)
    tracemalloc.start()
    try:
        # All but the factor is there.
        with pytest.raises(StopIteration):
            check.check_moments(problem, check.Space(problem.X, problem.x), G, g, Fraction(1), False, arrays)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        check.BUDGET.reset(token)
    assert most < (1 << 60) - budget.memory < 4 * most


def test_the_budget_follows_the_size(monkeypatch):
    content = (KEPT / "branch.cpcert").read_bytes()
    work, _ = spent(check, content)
    size = len(content)
    for rate, good in ((math.ceil(work / size**2), True), (work // size**2 - 1, False)):
        monkeypatch.setattr(check, "WORK", 0)
        monkeypatch.setattr(check, "WORK_RATE", rate)
        if good:
            assert check.check(content)
        else:
            says("more time or memory", content)
    monkeypatch.undo()
    for name in ("MEMORY", "MEMORY_RATE", "MEMORY_MOST"):
        monkeypatch.setattr(check, name, 0 if name != "MEMORY_RATE" else 10)
    says("more time or memory", content)
    # What was left of one budget is nothing to the next, and outside of `check` there is none.
    monkeypatch.undo()
    assert check.check(content)
    assert check.BUDGET.get().work == math.inf


def test_common_denominators_are_limited(monkeypatch):
    """Each number is short, but over a common denominator all are long."""
    n = 6
    S = [[f"1/{10**600 + 7 + 2 * (i * j + i + j)}" for j in range(n)] for i in range(n)]
    A = [[int(i == j) for j in range(n)] for i in range(n)]
    claim = {"claim": "not_completely_positive", "A": A, "proof": {"kind": "copositive", "S": S}}
    with pytest.raises(rank_check.Rejected, match="minors have"):
        rank_check.check(json.dumps(claim).encode())
    atoms = [{"weight": f"1/{10**1900 + 2 * k + 1}", "entries": [[i, 1] for i in range(30)]} for k in range(150)]
    A = [[1] * 30 for _ in range(30)]
    claim = {"claim": "completely_positive", "A": A, "proof": {"kind": "atoms", "atoms": atoms}}
    monkeypatch.setattr(rank_check, "WORK", 10**9)
    monkeypatch.setattr(rank_check, "WORK_RATE", 0)
    with pytest.raises(rank_check.Rejected, match="more time or memory"):
        rank_check.check(json.dumps(claim).encode())


def test_floats_and_long_integers_are_refused():
    for number, reason in (
        ("1.0", "no integer"),
        ("1e5", "no integer"),
        ("9" * 2001, "too long"),
        ("Infinity", "not a"),
    ):
        text = f'{{"claim": "completely_positive", "A": [[{number}]], "proof": {{"kind": "atoms", "atoms": []}}}}'
        with pytest.raises(rank_check.Rejected, match=reason):
            rank_check.check(text.encode())


# -- files that are no certificates ----------------------------------------------------------------------------------------


def sparse(path, beginning):
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(1 << 30)


def strange_files(folder):
    """(name, a part of the sentence)."""
    neither = "neither a certificate"
    contents = {
        "empty": (b"", neither), "text": (b"hello\n", neither), "list": (b"[1, 2]", neither),
        "number": (b"{}", "not an object with a known claim"), "other.json": (b'{"loss": 1}', "known claim"),
        "deep": (b'{"a":' * 10**5, "not valid JSON"), "latin1": ('{"claim": "é"}'.encode("latin-1"), "not valid JSON"),
        "surrogate": (b'{"claim": "\\ud800"}', "known claim"), "utf16": ('{"claim": 1}'.encode("utf-16"), neither),
        "packed.gz": (gzip.compress((KEPT / "plane.cpcert").read_bytes()), neither), "magic": (check.MAGIC, "header"),
        "version": (b"cpcert\x00\x02" + bytes(100), neither), "twice": (b'{"claim": 1, "claim": 2}', "given twice"),
        "upper": (b'{"claim": ["cp_rank"]}', "known claim"), "header": (check.MAGIC + b"\xff" * 8, "header"),
        "three": (deep_check.MAGIC, "header"), "four": (deep_check.MAGIC + b"\xff" * 8, "header"),
        "six": (width_check.MAGIC + b"\x02" + bytes(7) + b"{}", "no list of arrays"),
        "five": (deep_check.MAGIC + b"\x02" + bytes(7) + b"{}", "no list of arrays"),
    }  # fmt: skip
    for name, (content, sentence) in contents.items():
        (folder / name).write_bytes(content)
        yield folder / name, sentence
    for name, beginning, sentence in (
        ("sparse", b"", "too long"), ("sparse.cpcert", check.MAGIC, "too long"), ("sparse.json", b"{", "too long"),
        ("sparse.deep", deep_check.MAGIC, "too long"),
    ):  # fmt: skip
        sparse(folder / name, beginning)
        yield folder / name, sentence


def test_every_other_file_gets_one_sentence(tmp_path, capsys):
    """The same for both commands, and the checkers as programs say no more."""
    for path, sentence in strange_files(tmp_path):
        assert main(["verify", str(path)]) == 1, path
        said = capsys.readouterr().out
        assert said.startswith("rejected: ") and sentence in said and said.count("\n") == 1, (path, said)
        assert main(["verify", str(path), "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["accepted"] is False
        for program in (check, deep_check, rank_check, width_check):
            assert program.main([str(path)]) == 1, path
            said = capsys.readouterr()
            assert said.out.startswith("rejected: ") and said.out.count("\n") == 1 and not said.err
    (tmp_path / "folder").mkdir()
    for command in (["verify"], ["verify", "--json"]):
        assert main([*command, str(tmp_path / "folder")]) == 2
        assert "cannot be read (Is a directory)" in "".join(capsys.readouterr())
    for program in (check, deep_check, rank_check, width_check):
        assert program.main([str(tmp_path / "folder")]) == 2
        assert "Is a directory" in capsys.readouterr().err
    for kept in ("plane.cpcert", "cp_rank-rank.json"):
        assert main(["verify", str(KEPT / kept)]) == 0
        assert (check if kept.endswith("cpcert") else rank_check).main([str(KEPT / kept)]) == 0
    capsys.readouterr()


def test_check_says_the_same_of_its_certificate(tmp_path, capsys):
    Path("one.yaml").write_text(
        "data: {source: inline, X: [[1.0], [2.0]], Y: [[1.0], [3.0]]}\nloss: mse\nlambda: 0.1\n"
    )
    assert main(["solve", "one.yaml", "--out", str(tmp_path)]) == 0
    model = next(tmp_path.glob("*.safetensors"))
    capsys.readouterr()
    for path, sentence in [*strange_files(tmp_path)][::4]:
        assert main(["check", str(model), "one.yaml", "--certificate", str(path)]) == 2
        said = capsys.readouterr().err
        assert sentence in said and "Traceback" not in said, (path, said)
    assert main(["check", str(model), "one.yaml", "--certificate", str(KEPT / "cp_rank-rank.json")]) == 2
    assert "another problem" in capsys.readouterr().err
    for path in (tmp_path, Path("nothing")):
        assert main(["check", str(model), "one.yaml", "--certificate", str(path)]) == 2
        assert "cannot be read" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_read_once(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "cpcert", "verify", "/dev/stdin"],
        input=(KEPT / "plane.cpcert").read_bytes(),
        capture_output=True,
    )
    assert done.returncode == 0 and done.stdout.startswith(b"accepted")
