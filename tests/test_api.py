"""The public functions: what they take, what they refuse, how their outcomes show themselves, and that the commands agree."""

import csv
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

import cpcert
from cpcert import InputError, Network, Problem, load_instance
from cpcert.cli import main
from cpcert.units import Units, standardized

INSTANCES = Path(__file__).parents[1] / "instances"
X = [[-1.0, 0.2], [0.3, 1.0], [0.8, -0.5], [0.1, 0.4], [-0.7, -0.9]]
Y = [0.4, -0.3, 1.1, 0.2, -0.8]


class Frame:
    """As much of a data frame as is looked at: columns, and the array."""

    def __init__(self, values, columns):
        self.values, self.columns = np.array(values), columns

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def to_numpy(self):
        return self.values


@pytest.fixture(scope="module")
def result():
    return cpcert.solve(X, Y, lam=1e-2)


# -- what is given ------------------------------------------------------------------------------------------------------


def test_arrays_frames_problems_and_instances_are_the_same_problem(result, tmp_path):
    frame = Frame(X, ["a", "b"])
    for same in (
        cpcert.solve(np.array(X), np.array(Y), lam=1e-2),
        cpcert.solve(Problem(X, Y, lam=1e-2)),
        cpcert.solve(frame, Frame(np.array(Y)[:, None], ["z"]), lam=1e-2),
        cpcert.solve(X, Y, weight_decay=2e-2),
    ):
        assert same.problem.sha256 == result.problem.sha256 and (same.lower, same.upper) == (result.lower, result.upper)
    columns = cpcert.solve(frame, Frame(np.array(Y)[:, None], ["z"]), lam=1.0).problem.columns
    assert (columns.features, columns.targets) == (("a", "b"), ("z",))
    file = tmp_path / "same.yaml"
    file.write_text(
        f"data: {{source: inline, X: {X}, Y: {[[value] for value in Y]}}}\nlambda: 1.0e-2\nsolve: {{gap: 0.5}}\n"
    )
    loaded = load_instance(file)
    assert cpcert.solve(loaded).requested_gap == 0.5  # the settings of the file, unless others are given
    assert cpcert.solve(loaded, gap=1e-3).requested_gap == 1e-3


@pytest.mark.parametrize(
    ("loss", "m", "factor"), [("mse", 1, 0.5), ("mse", 2, 1.0), ("logistic", 2, 1.0), ("cross_entropy", 2, 0.5)]
)
def test_weight_decay_is_that_of_torch(loss, m, factor):
    """Gradients of torch's loss plus weight_decay·w, times what the losses differ by, are those of C + λ‖w‖²."""
    torch = pytest.importorskip("torch")
    Y = torch.eye(2, dtype=torch.float64)[[0, 1, 0, 1, 1]][:, :m]
    problem = Problem(X, Y.numpy(), loss=loss, weight_decay=0.2)
    assert problem.lam == pytest.approx(0.2 * factor)
    Z = torch.randn(5, m, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    of_torch = {
        "mse": torch.nn.MSELoss(), "logistic": torch.nn.BCEWithLogitsLoss(), "cross_entropy": torch.nn.CrossEntropyLoss()
    }[loss](Z, Y)  # fmt: skip
    ratio = problem.loss.value(Z.detach().numpy().T, problem.targets) / of_torch.item()
    # ratio·(torch's loss + weight_decay/2 ‖w‖²) = C + λ‖w‖²
    assert ratio * 0.2 / 2 == pytest.approx(problem.lam)


def test_labels_are_encoded_and_named():
    made = cpcert.solve(X, ["b", "a", "c", "a", "b"], lam=1.0, loss="cross_entropy", gap=0.5).problem
    assert made.columns.classes == ("a", "b", "c") and made.Y.argmax(axis=1).tolist() == [1, 0, 2, 0, 1]
    made = cpcert.solve(X, ["no", "yes", "no", "no", "yes"], lam=1.0, loss="logistic", gap=0.5).problem
    assert made.Y[:, 0].tolist() == [-1, 1, -1, -1, 1] and made.columns.classes == ("no", "yes")
    made = cpcert.solve(X, [0, 1, 2, 0, 1], lam=1.0, loss="cross_entropy", gap=0.5).problem
    assert made.m == 3


@pytest.mark.parametrize(
    ("points", "targets", "message"),
    [
        (None, Y, "X: is None"),
        ("diabetes.yaml", None, "X: is 'diabetes.yaml'; of an instance file give cpcert.load_instance"),
        (X, None, "y: is missing"),
        (scipy.sparse.csr_array(X), Y, r"X: is a sparse matrix; give X\.toarray"),
        (np.ma.masked_less(X, 0.0), Y, "X: is a masked array"),
        (Frame(np.array([["1", "2"]] * 5, dtype=object), ["a", "b"]), Y, "X: holds text"),
        (np.array([["1", "2"]] * 5), Y, "X: holds entries of type"),
        ({"a": 1}, Y, "X: is a dict"),
        ([[1, 2], [3]], [1, 2], "X: rows differ in length"),
        (np.array(X).T, Y, "Y: has shape"),
        (Y, Y, r"X: has shape \(5,\); rows are points"),
        ([[1.0, float("nan")]] * 5, Y, "X: row 0, column 1 is nan"),
        (np.array(X) + 1j, Y, "X: holds entries of type complex"),
        (X, ["1"] * 5, "Y: holds entries of type"),
        (Problem(X, Y, lam=1.0), Y, "y: belongs to arrays"),
    ],
)
def test_what_are_no_data_is_refused_by_name(points, targets, message):
    options = {} if isinstance(points, Problem) else {"lam": 1e-2}
    for function in (cpcert.solve, cpcert.path, cpcert.least_width, cpcert.train):
        with pytest.raises(InputError, match=message):
            function(points, targets, **options)
    with pytest.raises(InputError, match=message):
        cpcert.check({}, points, targets, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "lambda: is missing"),
        ({"lam": -1.0}, "lambda: is -1.0"),
        ({"lam": True}, "lambda: True is not a number"),
        ({"lam": np.bool_(True)}, "lambda: .*True.* is not a number"),
        ({"lam": "1"}, "lambda: '1' is not a number"),
        ({"lam": 1.0, "weight_decay": 1.0}, "weight_decay: is 1.0, and it says the same as lam"),
        ({"weight_decay": 1.0, "loss": "interpolate"}, "weight_decay: is 1.0, and interpolate has no penalty"),
        ({"weight_decay": 0.0}, "weight_decay: is 0.0"),
        ({"lam": 1.0, "alpha": 1.0}, "alpha: is not an argument; .*scikit-learn"),
        ({"lam": 1.0, "aktivation": "relu"}, "did you mean activation"),
        ({"lam": 1.0, "gap": "small"}, "gap: is the text 'small'"),
        ({"lam": 1.0, "gap": -1.0}, "gap: is -1"),
        ({"lam": 1.0, "time_limit": True}, "time_limit: is true"),
        ({"lam": 1.0, "seed": 1.5}, "seed: is 1.5"),
        ({"lam": 1.0, "scope": "all"}, "scope: is 'all'"),
        ({"lam": 1.0, "scope": "blockwise"}, "scope: blockwise is for depth >= 3"),
        ({"lam": 1.0, "warm_start": 3}, "warm_start: model: is of type int"),
        ({"lam": 1.0, "workers": 0}, "workers: is 0"),
    ],
)
def test_wrong_arguments_are_refused_by_name(options, message):
    with pytest.raises(InputError, match=message):
        cpcert.solve(X, Y, **options)


@pytest.mark.parametrize("wrong", [None, "A", 3, [], [[1, 2]], [[1, 2], [0, 1]], [[None]], [[1j]], {"A": [[1]]},
                                   scipy.sparse.eye_array(2), np.zeros((2, 3)), np.full((2, 2), np.nan),
                                   np.array([["1"]]), Frame([["x"]], ["a"])])  # fmt: skip
def test_what_are_no_matrices_is_refused(wrong):
    for function in (cpcert.cp_rank, cpcert.completely_positive):
        with pytest.raises(InputError, match="A"):
            function(wrong)
    with pytest.raises(InputError, match="K"):
        cpcert.rank_sigma([[1]], wrong)
    with pytest.raises(InputError, match="time_limit"):
        cpcert.cp_rank([[1]], time_limit="1")


def test_matrices_from_arrays_frames_and_fractions():
    A = [[2, 1], [1, 2]]
    for same in (A, np.array(A), np.array(A, float), Frame(A, ["a", "b"]), np.array([[Fraction(2), 1], [1, 2]])):
        outcome = cpcert.cp_rank(same)
        assert (outcome.completely_positive, outcome.lower, outcome.upper) == (True, 2, 2)
        assert cpcert.completely_positive(same)
    assert cpcert.verify(outcome.claim()).lower == 2
    assert cpcert.completely_positive([[1, 2], [2, 1]]) is False
    pair = cpcert.rank_sigma(A, A)
    assert (pair.lower, pair.upper) == (2, 2) and cpcert.verify(pair.claim()).kind == "rank_sigma"
    for wrong in (None, True, 1.5, 1, "no-such-graph"):
        with pytest.raises(InputError, match=r"graph|N:"):
            cpcert.bipartite(wrong)


# -- what comes out -----------------------------------------------------------------------------------------------------


def test_outcomes_show_themselves(result):
    steps = cpcert.path(X, Y, lambdas=[1e-1, 1e-2], gap=1e-2)
    certificate = cpcert.certify(result)
    named = cpcert.solve(X, Y, lam=1e-1, name="<b>&")
    for outcome in (
        result, steps, named, certificate, cpcert.least_width(X, Y, lam=1e-1), cpcert.check(result.network, X, Y, lam=1e-2),
        cpcert.reduce(result.network, X, Y), cpcert.forces(result.network, X, Y, lam=1e-2), cpcert.cp_rank([[1]]),
        cpcert.bipartite(4), cpcert.verify(certificate), cpcert.solve(X, Y, lam=1e-1, depth=3, gap=0.9, time_limit=5),
    ):  # fmt: skip
        assert len(repr(outcome)) < 260 and "\n" not in repr(outcome)
        assert json.loads(outcome.to_json()) == json.loads(json.dumps(outcome.as_json()))
        shown = ElementTree.fromstring(outcome._repr_html_())  # well formed
        assert "".join(shown.find("pre").itertext()) == outcome.sentence()
    assert result._repr_html_().count("<path") == 2 and steps._repr_html_().count("<path") == 2
    assert len(repr(certificate)) < 200 and len(repr(result.network)) < 60


def test_certificates_are_saved_and_verified(result, tmp_path):
    certificate = cpcert.certify(result)
    certificate.save(tmp_path / "c.cpcert")
    for source in (certificate, certificate.content, tmp_path / "c.cpcert", str(tmp_path / "c.cpcert")):
        claim = cpcert.verify(source, X, Y, lam=1e-2)
        assert (claim.lower, claim.upper) == (certificate.lower, certificate.upper)
    for source in (certificate, tmp_path / "c.cpcert"):
        assert cpcert.check(result.network, X, Y, lam=1e-2, certificate=source).verdict == "optimal"
    with pytest.raises(cpcert.Rejected, match="another problem"):
        cpcert.verify(certificate, X, Y, lam=2e-2)
    with pytest.raises(cpcert.Rejected):
        cpcert.verify(certificate.content[:-1])
    for wrong in (None, 3, [certificate]):
        with pytest.raises(InputError, match="certificate: is of type"):
            cpcert.verify(wrong)
    for wrong in (None, certificate, result.network):
        with pytest.raises(InputError, match="result: is of type"):
            cpcert.certify(wrong)


def test_a_module_is_checked_with_its_weight_decay():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    outcome = cpcert.check(module, X, Y, weight_decay=2e-2, improve=True, gap=1e-3)
    assert outcome.verdict == "suboptimal" and "lambda = 0.01 (m*weight_decay/2, m = 1)" in outcome.sentence()
    better = outcome.improved.network.to_torch()
    assert cpcert.check(better, X, Y, weight_decay=2e-2, gap=1e-3).verdict == outcome.improved.verdict == "optimal"


@pytest.mark.parametrize("activation, slope", [("relu", None), ("leaky_relu", -0.3), ("abs", None), ("linear", None)])
@pytest.mark.parametrize("beta", [0.0, -2.0])
def test_modules_are_the_same_function(activation, slope, beta):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    points = rng.standard_normal((9, 2)) * [3.0, 1e-3] + [100.0, 0.0]
    targets = rng.standard_normal((9, 2)) + 50.0
    units = Units.of(points, targets, True, True)
    problem = Problem(
        standardized(points), standardized(targets), 1e-3, activation=activation, slope=slope, beta=beta, units=units
    )
    for network in (cpcert.solve(problem, gap=0.5).network, cpcert.solve(problem, max_iterations=1, gap=0.99).network):
        before = torch.random.get_rng_state()
        outputs = network.to_torch()(torch.from_numpy(points)).detach().numpy()
        assert torch.equal(before, torch.random.get_rng_state())
        np.testing.assert_allclose(outputs, network.predict(points), rtol=1e-9)
        np.testing.assert_allclose(
            network.predict(points), network.outputs(problem.X) @ np.diag(units.y_size) + units.y_mean
        )


def test_instances_that_are_standardized_predict_in_the_units_of_their_data(tmp_path):
    table = tmp_path / "t.csv"
    rows = [[1000.0 + 50 * a, 3.0, 0.01 * b, 7.0 + 20.0 * abs(a)] for a, b in X]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["u", "constant", "v", "z"], *rows])
    (tmp_path / "t.yaml").write_text(
        "data: {source: file, path: t.csv, targets: [z], standardize: true, standardize_targets: true}\nlambda: 1.0e-3\n"
    )
    loaded = load_instance(tmp_path / "t.yaml")
    plain = loaded.problem()
    result = cpcert.solve(loaded, gap=1e-3)
    raw, z = np.array(rows)[:, :3], np.array(rows)[:, 3:]
    assert np.abs(result.predict(raw) - z).max() < 0.1 * z.std()
    np.testing.assert_allclose(result.predict(raw), result.network.outputs(plain.X) * z.std() + z.mean(), rtol=1e-12)
    # The file of the command line: the weights are those of the problem, its predictions in the units of the data.
    assert main(["solve", str(tmp_path / "t.yaml"), "--out", str(tmp_path), "--gap", "1e-3"]) == 0
    saved = Network.load(tmp_path / "t.safetensors")
    np.testing.assert_allclose(saved.predict(raw), result.predict(raw), rtol=1e-12)
    assert cpcert.check(tmp_path / "t.safetensors", loaded, gap=1e-3).verdict == "optimal"
    # The same problem, whatever its units: certificates are about the numbers.
    assert Problem(plain.X, plain.Y, lam=1e-3).sha256 == plain.sha256
    damaged = saved.units.text().replace("x_size", "x")
    with pytest.raises(KeyError):
        Units.from_text(damaged)


def test_pictures_on_given_axes(result):
    from matplotlib.figure import Figure

    mine = Figure()
    axes = mine.subplots(2, 1)
    assert cpcert.plot(result, ax=axes) is mine and all(each.lines for each in axes)
    assert mine.get_suptitle() == ""
    assert cpcert.plot(result) is not cpcert.plot(result)
    with pytest.raises(InputError, match="ax: the picture has 2 panels"):
        cpcert.plot(result, ax=axes[0])
    steps = cpcert.path([[-1.0], [0.0], [1.0]], [1.0, 0.0, 1.0], lambdas=[0.1, 0.01], gap=0.1)
    three = Figure().subplots(1, 3)
    assert cpcert.plot(steps, ax=three) is three[0].figure
    reduced = cpcert.reduce(steps.results[-1].network, [[-1.0], [0.0], [1.0]], [1.0, 0.0, 1.0])
    for outcome in (reduced, cpcert.forces(result.network, X, Y, lam=1e-2), cpcert.bipartite(4)):
        assert cpcert.plot(outcome).axes
    for wrong in (None, result.network, cpcert.cp_rank([[1]])):
        with pytest.raises(InputError, match="outcome: is of type"):
            cpcert.plot(wrong)


# -- the commands say the same ------------------------------------------------------------------------------------------


def test_commands_and_functions_agree(tmp_path, capsys):
    instance = str(INSTANCES / "diabetes-1.yaml")
    loaded = load_instance(instance)
    for words, outcome, timed in (
        (["solve", instance, "--no-certificate"], cpcert.solve(loaded), {"seconds", "rank_sigma"}),
        (["path", instance, "--count", "2", "--gap", "0.1"], cpcert.path(loaded, count=2, gap=0.1), {"results"}),
        (["width", instance, "--no-certificate"], cpcert.least_width(loaded), {"seconds"}),
        (["bipartite", "--N", "4"], cpcert.bipartite(4), {"seconds"}),
    ):
        main([*words, "--json"])
        said = json.loads(capsys.readouterr().out)
        mine = json.loads(outcome.to_json())
        assert said.keys() == mine.keys()
        assert {k: v for k, v in said.items() if k not in timed} == {k: v for k, v in mine.items() if k not in timed}


def test_the_package_is_imported_at_once_and_star_has_everything():
    script = """
import sys
import cpcert
assert not {"numpy", "numba", "pydantic", "torch", "pandas", "sklearn", "matplotlib"} & set(sys.modules)
from cpcert import *
assert solve is cpcert.solve and callable(least_width)
import cpcert.width.bounds, cpcert.rank.bounds, cpcert.training.sweep, cpcert.networks.reduce, cpcert.report
for name in cpcert.__all__:
    assert not isinstance(getattr(cpcert, name), type(sys)), name
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
