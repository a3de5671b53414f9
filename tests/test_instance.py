"""Instance files: what they mean, and what a user reads when one is wrong."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cpcert import InputError, dump_instance, load_instance
from cpcert.instance import SolveSettings, override_settings, parse_instance

# MNIST is not on every machine; tests/test_training.py reads that file.
INSTANCES = [
    path
    for path in sorted((Path(__file__).parents[1] / "instances").glob("*.yaml"))
    if not path.stem.endswith("-mnist")
]
GOOD = "data: {source: diabetes, points: 5, features: 2}\nlambda: 1e-2\n"


@pytest.fixture
def write(tmp_path):
    def _write(content, name="case.yaml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


def test_every_key_of_the_contract(write):
    instance = load_instance(
        write("""
name: everything
data: {source: inline, X: [[0.1], [-2]], Y: [[1], [0]]}
loss: logistic
activation: leaky_relu
slope: -0.5
depth: 2
beta: -1
lambda: 0.1
solve: {gap: 1e-4, time_limit: 5, node_limit: 1000, max_iterations: 7, method: away, seed: 3}
""")
    )
    problem = instance.problem()
    assert problem.name == instance.name == "everything"
    assert (problem.loss.name, problem.activation.name, problem.activation.a_minus) == ("logistic", "leaky_relu", -0.5)
    assert (problem.beta, problem.lam, problem.depth) == (-1.0, 0.1, 2)
    np.testing.assert_array_equal(problem.X, [[0.1], [-2.0]])
    np.testing.assert_array_equal(problem.Y, [[1.0], [-1.0]])
    assert instance.solve == SolveSettings(
        gap=1e-4, time_limit=5.0, node_limit=1000, max_iterations=7, method="away", seed=3
    )


def test_defaults(write):
    instance = load_instance(write(GOOD, "some.name.yaml"))
    assert instance.name == "some.name"
    assert (instance.loss, instance.activation, instance.depth, instance.beta) == ("mse", "relu", 2, 1.0)
    assert instance.solve == SolveSettings(gap=1e-6, time_limit=60.0, method="corrective", seed=0)
    assert instance.solve.node_limit is None


def test_interpolate_needs_no_lambda(write):
    path = write("data: {source: bipartite, N: 4}\nloss: interpolate\nbeta: 0\n")
    assert load_instance(path).problem().lam == 1.0


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-2", 0.01), ("1.0e-2", 0.01), ("1", 1.0), (".5", 0.5), ("+3E+0", 3.0), ("010", 10.0), ("1e-2 # no", 0.01)],
)
def test_a_number_is_its_nearest_float_in_every_notation(write, text, value):
    assert load_instance(write(f"data: {{source: diabetes}}\nlambda: {text}\n")).lam == value


@given(st.floats(min_value=1e-60, max_value=1e60))
def test_a_float_survives_the_file(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("float") / "x.yaml"
    instance = parse_instance({"name": "x", "data": {"source": "bipartite", "N": 2}, "lambda": value})
    dump_instance(instance, path)
    assert load_instance(path).lam == value


@pytest.mark.parametrize("path", INSTANCES, ids=lambda path: path.stem)
def test_the_instances_of_the_repository(path, tmp_path):
    assert path.read_text().startswith("# "), "an instance begins with a comment that says what it shows"
    instance = load_instance(path)
    problem = instance.problem()
    assert problem.name == path.stem
    copy = tmp_path / path.name
    dump_instance(instance, copy)
    again = load_instance(copy)
    assert again.model_dump() == instance.model_dump()
    assert again.problem().sha256 == problem.sha256


def test_a_copy_elsewhere_still_finds_its_data(tmp_path):
    np.savez(tmp_path / "numbers.npz", X=[[1.0], [2.0]], Y=[0.5, 0.25])
    original = tmp_path / "a.yaml"
    original.write_text("data: {source: file, path: numbers.npz}\nlambda: 0.1\n")
    (tmp_path / "sub").mkdir()
    instance = load_instance(original)
    dump_instance(instance, tmp_path / "sub" / "b.yaml")
    assert load_instance(tmp_path / "sub" / "b.yaml").problem().sha256 == instance.problem().sha256


def test_text_that_looks_like_a_number_stays_text(tmp_path):
    for name in ("1e-2", "true", "010", "null", "no"):
        instance = parse_instance({"name": name, "data": {"source": "bipartite", "N": 2}, "lambda": 1.0})
        dump_instance(instance, tmp_path / "x.yaml")
        assert load_instance(tmp_path / "x.yaml").name == name
        assert yaml.safe_load((tmp_path / "x.yaml").read_text())["name"] == name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lamda: 1\n" + GOOD, r"lamda: is not a key; did you mean lambda\?"),
        (GOOD.replace("points", "pionts"), r"data\.pionts: is not a key of data; did you mean points\?"),
        (GOOD + "solve: {tme_limit: 3}", r"solve\.tme_limit: is not a key of solve; did you mean time_limit\?"),
        (GOOD + "lambda: 2\n", "lambda: is given twice, the second time in line 3"),
        (GOOD + "solve: {gap: 1, gap: 2}\n", "gap: is given twice"),
        (GOOD + "1: 2\n", "line 3: '1' is not a key"),
        (GOOD + "[a]: 2\n", "line 3: a list or mapping is not a key"),
        ("", "is empty; give keys with values"),
        ("- 1\n- 2\n", r"holds \[1, 2\] at the top"),
        ("a: [", "line .*, column .*: is not valid YAML"),
        (GOOD + "---\na: 1", "line 3, column 1: is not valid YAML"),
        (GOOD + "name: !!python/object/apply:os.getcwd []", "is not valid YAML"),
        (b"\xff\xfe\x00", "is not valid YAML"),
        (b"name: \x00", "is not valid YAML"),
        ("[" * 5000, "is not valid YAML"),
        ("lambda: 1", "data: is empty; give the data source"),
        ("data: 3\nlambda: 1", "data: is 3; give the data source"),
        ("data: {points: 3}\nlambda: 1", "data.source: is missing; use one of diabetes, digits"),
        ("data: {source: diabetis}\nlambda: 1", r"data.source: is the text 'diabetis'; .* did you mean diabetes\?"),
        (GOOD.replace("5", "'5'"), r"data\.points: is the text '5'; give how many points"),
        (GOOD.replace("5", "5.0"), r"data\.points: is 5\.0; give how many points"),
        (GOOD.replace("5", "0"), r"data\.points: is 0; give how many points to draw, an integer >= 1"),
        (GOOD.replace("5", "yes"), r"data\.points: is the text 'yes'"),
        (GOOD.replace("5", "true"), r"data\.points: is true"),
        ("data: {source: gaussian, points: 3}\nlambda: 1", r"data\.features: is missing; give an integer >= 1"),
        ("data: {source: inline, X: [[1], [a]], Y: [[1], [2]]}\nlambda: 1", r"data\.X\[1\]\[0\]: is the text 'a'"),
        ("data: {source: inline, X: [[1], [.nan]], Y: [[1], [2]]}\nlambda: 1", r"data\.X\[1\]\[0\]: is nan"),
        ("data: {source: inline, X: [[1]], Y: [2]}\nlambda: 1", r"data\.Y\[0\]: is 2; give a list of rows"),
        ("data: {source: diabetes}", "lambda: is missing, and the loss mse needs it; give the weight"),
        (GOOD.replace("1e-2", "0"), "lambda: is 0; give the weight of the penalty, a finite number > 0"),
        (GOOD.replace("1e-2", "1e400"), "lambda: is inf"),
        (GOOD.replace("1e-2", "1e-400"), r"lambda: is 0\.0"),
        (GOOD.replace("1e-2", "1" + 400 * "0"), "lambda: is 1000"),
        (GOOD.replace("1e-2", "1" + 5000 * "0"), "is not valid YAML"),
        (GOOD + "loss: interpolate", "lambda: interpolate has no lambda"),
        (GOOD + "loss: mes", r"loss: is the text 'mes'; use one of mse, .*; did you mean mse\?"),
        (GOOD + "activation: tanh", "activation: is the text 'tanh'; use one of relu, leaky_relu, abs, linear"),
        (GOOD + "activation: leaky_relu", "slope: is missing, and leaky_relu needs it"),
        (GOOD + "activation: leaky_relu\nslope: 1", r"slope: is 1\.0; give .* in \(-1, 1\)"),
        (GOOD + "slope: 0.5", "slope: relu takes no slope"),
        (GOOD + "depth: 1", "depth: is 1; give the number of weight matrices, an integer >= 2"),
        (GOOD + "beta: .inf", "beta: is inf; give a finite number"),
        (GOOD + "beta:", "beta: is empty; give a finite number"),
        (GOOD + "name: a/b", "name: is the text 'a/b'; give a text that can be a file name"),
        (GOOD + "name: ..", r"name: is the text '\.\.'"),
        (GOOD + "solve: {gap: -1}", r"solve\.gap: is -1; give the relative gap"),
        (GOOD + "solve: {method: fast}", r"solve\.method: is the text 'fast'; use one of corrective"),
        (GOOD + "solve: 3", "solve: is 3; give settings"),
    ],
)
def test_a_wrong_file_is_one_sentence_with_the_file_and_the_key(write, content, message):
    path = write(content)
    with pytest.raises(InputError, match=message) as caught:
        load_instance(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD.replace("points: 5", "points: 500"), "data.points: is 500, but diabetes has only 442"),
        (GOOD + "loss: logistic", "Y: .* logistic needs labels"),
        (GOOD + "loss: cross_entropy", "Y: cross_entropy needs"),
        (GOOD + "beta: 1e-300", "beta: is 1e-300; its size must lie between"),
        ("data: {source: inline, X: [], Y: []}\nlambda: 1", "X: has shape"),
        ("data: {source: inline, X: [[1], [2]], Y: [[1]]}\nlambda: 1", "Y: has shape"),
    ],
)
def test_wrong_data_names_the_file_too(write, content, message):
    path = write(content)
    with pytest.raises(InputError, match=message) as caught:
        load_instance(path).problem()
    assert str(caught.value).startswith(f"{path}: ")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"no\.yaml: cannot be read \(No such file"):
        load_instance(tmp_path / "no.yaml")
    with pytest.raises(InputError, match="is a folder; give the path of an instance file"):
        load_instance(tmp_path)
    with pytest.raises(InputError, match="null byte"):
        load_instance("a\0b")


def test_the_command_line_overrides_settings_and_is_checked_too():
    settings = SolveSettings(gap=1e-3, seed=4)
    assert override_settings(settings, {"gap": None, "seed": 5}) == SolveSettings(gap=1e-3, seed=5)
    with pytest.raises(InputError, match=r"time_limit: is 0\.0; give a number of seconds > 0"):
        override_settings(settings, {"time_limit": 0.0})
    with pytest.raises(InputError, match="gap: is nan"):
        override_settings(settings, {"gap": float("nan")})
