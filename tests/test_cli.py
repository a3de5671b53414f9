"""What a user types, and what comes back: exit code, stdout, stderr, files."""

import csv
import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import cpcert
from cpcert.certificate import check
from cpcert.cli import main

ROOT = Path(__file__).parents[1]
INSTANCES = ROOT / "instances"
KEYS = {
    "instance", "status", "scope", "upper", "lower", "gap", "width", "rank_sigma",
    "iterations", "seconds", "certificate", "model",
}  # fmt: skip

# One output, 8 points, one feature: solved in an instant.
SMALL = """
name: small
data: {source: teacher, points: 8, features: 1, width: 2, noise: 0.1, seed: 0}
lambda: 1e-2
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def python(*arguments, **options):
    options = {"cwd": ROOT, **options}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False, **options
    )


# -- answers at once -------------------------------------------------------------------------------------------------


def test_help_imports_nothing_slow():
    run = python("-X", "importtime", "-m", "cpcert", "solve", "--help")
    assert run.returncode == 0
    assert "--time-limit" in run.stdout and "INSTANCE" in run.stdout
    imported = {line.split("|")[-1].strip() for line in run.stderr.splitlines() if "|" in line}
    assert "cpcert.cli" in imported
    slow = {"numpy", "scipy", "numba", "clarabel", "pydantic", "yaml", "sklearn", "matplotlib", "pyarrow", "torch"}
    assert not imported & slow


def test_importing_cpcert_imports_nothing():
    code = "import sys, cpcert; print({'numpy', 'numba', 'pydantic'} & set(sys.modules), cpcert.__version__)"
    assert python("-c", code).stdout.strip() == f"set() {cpcert.__version__}"


def test_the_names_of_the_package():
    assert {"Problem", "Network", "solve", "load_instance", "InputError"} <= set(dir(cpcert))
    from cpcert import InputError, Problem

    assert issubclass(InputError, ValueError)
    assert Problem.__name__ == "Problem"
    with pytest.raises(AttributeError, match="no attribute 'resolve'"):
        cpcert.resolve  # noqa: B018


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cpcert {cpcert.__version__}\n"


# -- bad input: exit code 2, one line on stderr, nothing on stdout ---------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["slove", "x.yaml"], 'Did you mean "solve"?'),
        (["solve"], "INSTANCE"),
        (["solve", "{small}", "another.yaml"], "another.yaml"),
        (["solve", "{small}", "--methd", "away"], "Did you mean --method?"),
        (["solve", "{small}", "--method", "fast"], "corrective"),
        (["solve", "{small}", "--gap", "small"], "--gap"),
        (["solve", "{small}", "--gap", "-1"], "--gap: is -1.0; give the relative gap to prove, a number >= 0"),
        (["solve", "{small}", "--gap", "nan"], "--gap: 'nan' is not a decimal number"),
        (["solve", "{small}", "--time-limit", "0"], "--time-limit: is 0.0; give a number of seconds > 0"),
        (["solve", "{small}", "--node-limit", "0"], "--node-limit: is 0; give a number of branch-and-bound nodes"),
        (["solve", "{small}", "--seed", "-1"], "--seed: is -1; give an integer >= 0"),
        (["train", "{small}", "--seeds", "1_0"], "--seeds: '1_0' is not an integer"),
        (["forces", "{small}", "--rcond", "1_0"], "--rcond: '1_0' is not a decimal number"),
        (["solve", "missing.yaml"], "missing.yaml: cannot be read (No such file or directory)"),
        (["solve", "missing.yaml", "--json"], "missing.yaml: cannot be read (No such file or directory)"),
        (["solve", str(INSTANCES)], "is a folder; give the path of an instance file"),
        (["solve", "{small}", "--out", "{small}"], "--out: cannot write into"),
        (["solve", "{small}", "--out", "{small}/below"], "--out: cannot write into"),
    ],
)
def test_wrong_usage(small, arguments, message, capsys):
    assert main([argument.format(small=small) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cpcert: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lambda: 1e-2", "lambda: 0", "lambda: is 0; give the weight of the penalty, a finite number > 0"),
        ("lambda:", "lamda:", "lamda: is not a key; did you mean lambda?"),
        ("lambda: 1e-2", "lambda: 1e-2\ndepth: 1", "depth: is 1; give the number of weight matrices, an integer >= 2"),
        ("lambda: 1e-2", "loss: interpolate\ndepth: 3", "interpolate needs depth 2"),
        ("lambda: 1e-2", "lambda: 1e-2\nloss: cross_entropy", "cross_entropy needs"),
        ("source: teacher", "source: techer", "did you mean teacher?"),
        ("{source", "{source: [", "is not valid YAML"),
        ("name: small", "name: small\nname: big", "name: is given twice"),
    ],
)
def test_wrong_instances(small, old, new, message, capsys):
    Path(small).write_text(SMALL.replace(old, new))
    assert main(["solve", small, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


# -- solving ---------------------------------------------------------------------------------------------------------


def test_the_closing_line_is_all_of_stdout(small, capsys):
    assert main(["solve", small]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("global minimum in [")
    assert captured.out.endswith(" s\n") and captured.out.count("\n") == 1
    assert "upper" in captured.err and "lower" in captured.err


def test_json_by_the_contract():
    run = python("-m", "cpcert", "solve", str(INSTANCES / "bipartite-8-interpolate.yaml"), "--json", cwd=Path.cwd())
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout, parse_constant=pytest.fail)
    assert set(result) >= KEYS
    assert result["instance"] == "bipartite-8-interpolate"
    assert (result["status"], result["scope"]) == ("optimal", "global")
    # Closed form: the representation cost is N² (Jacot et al. 2022, Section 4.2).
    assert 64 * (1 - 1e-9) <= result["lower"] <= 64 * (1 + 1e-15)
    assert 64 * (1 - 1e-15) <= result["upper"] <= 64 * (1 + 1e-9)
    assert result["gap"] == pytest.approx((result["upper"] - result["lower"]) / result["upper"], abs=1e-15)
    assert result["gap"] <= 1e-6
    # The optimal pair is K = K^σ = B_8 of rank 7; Rank_σ itself is 16.
    assert result["rank_sigma"] == {"lower": 7, "upper": result["width"], "tolerance": 1e-6}
    assert result["certificate"] == "bipartite-8-interpolate.cpcert" and result["model"] is None


def test_out_has_everything_and_says_where(small, tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    assert main(["solve", small, "--json", "--plot", "--out", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert json.loads((out / "small.json").read_text()) == printed
    assert {path.name for path in out.iterdir()} == {
        "small.json", "small.safetensors", "small.cpcert", "small-trace.csv",
        "small-trace.png", "small-function.png",
    }  # fmt: skip
    assert printed["model"] == str(out / "small.safetensors")
    assert printed["certificate"] == str(out / "small.cpcert")
    # The network that was saved attains the upper bound that was printed.
    problem = cpcert.load_instance(small).problem()
    network = cpcert.Network.load(out / "small.safetensors")
    assert network.loss(problem) == pytest.approx(printed["upper"], rel=1e-12)
    assert network.width == printed["width"]
    trace = list(csv.DictReader((out / "small-trace.csv").read_text().splitlines()))
    lowers = [float(record["lower"]) for record in trace if record["lower"]]
    assert lowers == sorted(lowers) and lowers[-1] <= printed["upper"]
    assert (out / "small-trace.png").read_bytes()[:4] == b"\x89PNG"


def test_the_command_line_overrides_the_file(small, capsys):
    Path(small).write_text(SMALL + "solve: {gap: 1e-9, time_limit: 30}\n")
    assert main(["solve", small, "--json", "--gap", "0.5"]) == 0
    loose = json.loads(capsys.readouterr().out)
    assert main(["solve", small, "--json"]) == 0
    tight = json.loads(capsys.readouterr().out)
    assert tight["gap"] <= 1e-9
    assert loose["lower"] <= tight["upper"] * (1 + 1e-15)
    assert tight["lower"] <= loose["upper"] * (1 + 1e-15)
    assert loose["iterations"] <= tight["iterations"]


def test_the_same_seed_gives_the_same_result(small, capsys):
    results = []
    for _ in range(2):
        assert main(["solve", small, "--json", "--seed", "5"]) == 0
        results.append(json.loads(capsys.readouterr().out))
    first, second = ({k: v for k, v in result.items() if k != "seconds"} for result in results)
    assert first == second


def test_infeasible_data_are_an_honest_no(capsys):
    assert main(["solve", str(INSTANCES / "infeasible-duplicates.yaml"), "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "infeasible"
    assert result["upper"] is None and result["model"] is None and result["message"]
    assert main(["solve", str(INSTANCES / "infeasible-duplicates.yaml")]) == 1
    assert capsys.readouterr().out.startswith("infeasible")


def test_a_gap_that_is_not_reached_is_an_honest_no(capsys):
    hard = str(INSTANCES / "gaussian-40-8.yaml")
    assert main(["solve", hard, "--json", "--gap", "0", "--time-limit", "2"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "time_limit"
    assert result["upper"] > 0
    if result["lower"] is not None:
        assert result["lower"] <= result["upper"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_control_c_keeps_what_is_proven(tmp_path):
    command = [sys.executable, "-m", "cpcert", "solve", str(INSTANCES / "gaussian-40-8.yaml"), "--json"]
    command += ["--gap", "0", "--time-limit", "100", "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # A job in the background of a shell ignores it, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        # The description, the heading, and the first iteration.
        seen = [process.stderr.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1, (seen, err)
    result = json.loads(out)
    assert result["status"] == "interrupted"
    assert json.loads((tmp_path / "gaussian-40-8.json").read_text()) == result
    assert "Traceback" not in err


def test_a_reader_that_leaves_gets_no_complaint(small):
    command = f"{sys.executable} -m cpcert solve {small} --json 2>errors | true; cat errors"
    run = subprocess.run(["bash", "-c", command], cwd=Path(small).parent, capture_output=True, text=True, check=True)
    assert "Traceback" not in run.stdout and "BrokenPipe" not in run.stdout


# -- reducing a network ------------------------------------------------------------------------------------------------

REDUCE_KEYS = {"width_before", "width_after", "bound", "norm_before", "norm_after", "max_output_change", "model"}


@pytest.fixture
def wide(tmp_path):
    """A network of 100 neurons for the instance of `small`."""
    rng = np.random.default_rng(0)
    network = cpcert.Network(
        (rng.standard_normal((100, 2)), rng.standard_normal((1, 101))),
        cpcert.Problem([[0.0]], [0.0], 1.0).activation,
        1.0,
    )
    network.save(tmp_path / "wide.safetensors")
    return str(tmp_path / "wide.safetensors")


def test_reduce_by_the_contract(small, wide, tmp_path, capsys):
    out = tmp_path / "reduced"
    assert main(["reduce", wide, small, "--json", "--plot", "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert set(result) >= REDUCE_KEYS
    assert result["width_before"] == 100 and result["width_after"] <= result["bound"] == 8
    assert result["stages"][0]["width_after"] <= 4 * 8
    assert result["norm_after"] <= result["norm_before"]
    assert result["merges"] == len((out / "small-merges.csv").read_text().splitlines()) - 1 >= 60
    assert json.loads((out / "small-reduction.json").read_text()) == result
    assert (out / "small-reduction.png").read_bytes()[:4] == b"\x89PNG"
    # The network that was written does what the one that was read did.
    problem = cpcert.load_instance(small).problem()
    before, after = (cpcert.Network.load(path) for path in (wide, result["model"]))
    assert after.width == result["width_after"]
    np.testing.assert_allclose(after.predict(problem.X), before.predict(problem.X), atol=1e-10)


def test_reduce_in_a_sentence(small, wide, capsys):
    assert main(["reduce", wide, small]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("100 → ") and captured.out.count("\n") == 1 and captured.err == ""
    assert main(["reduce", wide, small, "--keep", "covariances", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bound"] == 8 * 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{wide}"], "INSTANCE"),
        (["missing.safetensors", "{small}"], "missing.safetensors: no such file"),
        (["{small}", "{small}"], "is no model that is read"),
        (["{wide}", str(INSTANCES / "diabetes-2.yaml")], "maps 1 inputs to 1 outputs, the problem has 2 features"),
        (["{wide}", "{small}", "--keep", "weights"], "--keep"),
        (["{wide}", "{small}", "--out", "{small}"], "--out: cannot write into"),
    ],
)
def test_wrong_input_to_reduce(small, wide, arguments, message, capsys):
    assert main(["reduce", *(argument.format(small=small, wide=wide) for argument in arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and message in captured.err and captured.err.count("\n") == 1


# -- the path ----------------------------------------------------------------------------------------------------------


def test_a_path_of_proven_intervals(small, tmp_path, capsys):
    arguments = [
        "path",
        small,
        "--count",
        "3",
        "--smallest",
        "1e-3",
        "--largest",
        "1e-1",
        "--out",
        str(tmp_path / "path"),
    ]
    assert main([*arguments, "--plot", "--json"]) == 0
    written = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert written == json.loads((tmp_path / "path" / "small-path.json").read_text())
    results = written["results"]
    assert [result["lambda"] for result in results] == pytest.approx([1e-1, 1e-2, 1e-3])
    for more, less in pairwise(results):
        # The minimum grows with λ.
        assert less["lower"] <= less["upper"] < more["lower"] <= more["upper"]
        assert less["gap"] <= 1e-6 and less["status"] == "optimal"
    assert cpcert.Network.load(results[-1]["model"]).width == results[-1]["width"]
    for result in results:  # each bound is that of a certificate
        claim = check.check(Path(result["certificate"]).read_bytes())
        assert (claim["lower"], claim["upper"], claim["sha256"]) == tuple(
            result[k] for k in ("lower", "upper", "sha256")
        )
    assert (tmp_path / "path" / "small-path.png").read_bytes()[:4] == b"\x89PNG"
    assert main(arguments[:-2]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 4 and captured.err.count("\n") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "--count: is 0; give an integer >= 1"),
        (["--smallest", "1"], "0 < smallest <= largest"),
        (["--gap", "-1"], "--gap: is -1.0"),
    ],
)
def test_wrong_ranges_of_a_path(small, arguments, message, capsys):
    assert main(["path", small, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and message in captured.err and captured.err.count("\n") == 1


def test_interpolate_has_no_path(capsys):
    assert main(["path", str(INSTANCES / "bipartite-8-interpolate.yaml")]) == 2
    assert "interpolate has no lambda" in capsys.readouterr().err
