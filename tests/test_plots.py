"""Pictures: the files are there and legible, and what they draw is what the theory says."""

import math
import struct
import subprocess
import sys
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from cpcert import InputError, Network, Problem, solve
from cpcert.activations import activation
from cpcert.plots.figure import save_figure
from cpcert.plots.solving import dual_curve, kinks, plot_one_dimensional, plot_trace

X = [[-1.5], [-1.0], [-0.4], [0.1], [0.7], [1.2], [2.0]]
Y = [[0.2], [1.1], [0.3], [-0.6], [-0.2], [0.9], [0.4]]
TWO_OUTPUTS = [[y[0], abs(x[0])] for x, y in zip(X, Y, strict=True)]


@pytest.fixture(scope="module")
def result():
    return solve(Problem(X, Y, lam=1e-2, name="seven"), gap=1e-8)


def png_size(path):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR"
    return struct.unpack(">II", content[16:24])


def is_picture(path, least=(1000, 700)):
    width, height = png_size(path)
    return least[0] <= width <= 4000 and least[1] <= height <= 4000 and path.stat().st_size > 10_000


def circle(count):
    angles = np.linspace(0.0, 2.0 * math.pi, count)
    return np.column_stack([np.cos(angles), np.sin(angles)])


@pytest.mark.parametrize("name, slope", [("relu", None), ("leaky_relu", 0.2), ("abs", None), ("linear", None)])
def test_dual_curve_is_the_norm_summed_by_hand(name, slope):
    sigma = activation(name, slope)
    rng = np.random.default_rng(0)
    X_tilde, G, W = rng.standard_normal((2, 5)), rng.standard_normal((3, 5)), circle(17)
    by_hand = []
    for w in W:
        total = np.zeros(3)
        for i in range(5):
            s = float(w @ X_tilde[:, i])
            total += G[:, i] * (sigma.a_plus * max(s, 0.0) - sigma.a_minus * max(-s, 0.0))
        by_hand.append(math.sqrt(float(total @ total)))
    np.testing.assert_allclose(dual_curve(X_tilde, G, sigma, W), by_hand, rtol=1e-13)


def test_dual_curve_stays_below_two_lambda_and_touches_it_at_the_neurons(result):
    """Complementary slackness, with the gap: Σ_k ‖v_k‖ (2λ − curve at ŵ_k) ≤ upper − lower."""
    problem, limit = result.problem, 2.0 * result.problem.lam
    G = result.dual.dual_scale * result.dual.G
    curve = dual_curve(problem.X_tilde, G, problem.activation, circle(20_001))
    assert curve.max() <= limit * (1.0 + 1e-12)
    W, V, _ = result.network.balanced().neurons()
    heights = dual_curve(problem.X_tilde, G, problem.activation, W)
    masses = np.linalg.norm(V, axis=0)
    assert len(W) >= 3
    assert float(masses @ (limit - heights)) <= (result.upper - result.lower) * (1.0 + 1e-9) + 1e-14
    assert np.all(heights[masses > 0.05] >= limit * (1.0 - 1e-4))
    # The curve is not flat: that it touches 2λ at the neurons says something.
    assert curve.min() < 0.5 * limit


def test_one_dimension_without_bias_touches_in_both_directions():
    """y = |x| on symmetric points, β = 0: both directions carry a neuron, and the sphere is w = ±1."""
    x = np.linspace(-1.0, 1.0, 9)[:, np.newaxis]
    result = solve(Problem(x, np.abs(x), lam=1e-2, beta=0.0))
    G = result.dual.dual_scale * result.dual.G
    heights = dual_curve(result.problem.X_tilde, G, result.problem.activation, np.array([[1.0], [-1.0]]))
    np.testing.assert_allclose(heights, 2e-2, rtol=1e-6)
    np.testing.assert_array_equal(kinks(result.network), [0.0])


def test_kinks_are_where_the_function_bends():
    W = np.array([[0.6, 0.8], [-0.8, 0.6], [0.0, 1.0]])
    network = Network.from_neurons(W, np.array([[1.0, -2.0, 0.5]]), np.zeros(1), activation("relu"), 0.5)
    np.testing.assert_allclose(kinks(network), [-2.0 / 3.0, 0.375])
    for x in kinks(network):
        left, middle, right = network.predict(np.array([[x - 0.01], [x], [x + 0.01]]))[:, 0]
        assert abs(left - 2.0 * middle + right) > 1e-3
    linear = Network.from_neurons(W, np.array([[1.0, -2.0, 0.5]]), np.zeros(1), activation("linear"), 0.5)
    assert len(kinks(linear)) == 0


def test_pictures_of_a_result(result, tmp_path):
    save_figure(plot_trace(result), tmp_path / "trace.png")
    save_figure(plot_one_dimensional(result), tmp_path / "function.png")
    assert is_picture(tmp_path / "trace.png") and is_picture(tmp_path / "function.png")
    # Nothing else is left in the folder: files appear complete, without temporary names.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["function.png", "trace.png"]


def test_pictures_show_the_network_and_the_dual_curve(result, tmp_path):
    save_figure(plot_one_dimensional(result), tmp_path / "all.png")
    for missing in ({"network": None}, {"dual": None}, {"network": None, "dual": None, "trace": []}):
        path = tmp_path / "less.png"
        save_figure(plot_one_dimensional(replace(result, **missing)), path)
        assert is_picture(path) and path.read_bytes() != (tmp_path / "all.png").read_bytes()


@pytest.mark.parametrize(
    "unknown",
    [
        {"trace": []},
        {"lower": None, "gap": None, "dual": None, "status": "time_limit"},
        {"upper": None, "gap": None, "network": None, "status": "time_limit"},
        {"upper": None, "lower": None, "gap": None, "network": None, "dual": None, "status": "interrupted"},
        {"upper": None, "lower": None, "gap": None, "network": None, "dual": None, "trace": [], "status": "infeasible"},
    ],
)
def test_trace_of_a_run_that_proved_less(result, unknown, tmp_path):
    trace = [
        replace(record, **{key: None for key in ("upper", "lower", "gap") if unknown.get(key, 0) is None})
        for record in result.trace
    ]
    save_figure(plot_trace(replace(result, **{"trace": trace, **unknown})), tmp_path / "trace.png")
    assert is_picture(tmp_path / "trace.png")


@pytest.mark.parametrize("bounds", [(0.0, 0.0), (1e-9, 0.0), (40.0, -3.0), (5.0, 1e-12)])
def test_trace_with_any_size_of_bounds(result, bounds, tmp_path):
    upper, lower = bounds
    trace = [replace(record, upper=upper + 100.0 / (1 + k), lower=lower) for k, record in enumerate(result.trace)]
    save_figure(plot_trace(replace(result, upper=upper, lower=lower, trace=trace)), tmp_path / "trace.png")
    assert is_picture(tmp_path / "trace.png")


@pytest.mark.parametrize(
    "problem",
    [
        Problem(X, Y, lam=1e-2, activation="abs"),
        Problem(X, Y, lam=1e-2, activation="linear"),
        Problem(X, Y, lam=1e-2, beta=0.0),
        Problem(X, Y, lam=1e-2, beta=-2.0, activation="leaky_relu", slope=-0.5),
        Problem(X, np.sign(Y), lam=1e-2, loss="logistic"),
        Problem([[1.0]], [[1.0]], lam=10.0),
        Problem([[0.0], [0.0]], [[1.0], [2.0]], loss="interpolate"),
        Problem(X, TWO_OUTPUTS, lam=5e-2),
    ],
    ids=lambda problem: f"{problem.loss.name}-{problem.activation.name}-{problem.beta:g}-{problem.N}-{problem.m}",
)
def test_one_dimensional_problems_of_every_kind(problem, tmp_path):
    result = solve(problem, gap=1e-2, time_limit=5.0)
    save_figure(plot_trace(result), tmp_path / "trace.png")
    save_figure(plot_one_dimensional(result), tmp_path / "function.png")
    assert is_picture(tmp_path / "trace.png") and is_picture(tmp_path / "function.png")


def test_more_features_are_refused():
    result = solve(Problem(np.eye(2), [1.0, 2.0], lam=10.0))
    with pytest.raises(InputError, match="2 features; use plot_trace"):
        plot_one_dimensional(result)


def test_a_folder_that_is_not_there(result, tmp_path):
    with pytest.raises(FileNotFoundError):
        save_figure(plot_trace(result), tmp_path / "nowhere" / "trace.png")


def test_matplotlib_stays_out_of_the_way():
    """Importing the module costs no matplotlib, and drawing touches neither pyplot nor the settings of the user."""
    script = """
import sys, tempfile
from cpcert import Problem, solve\nfrom cpcert.plots import solving as plots\nfrom cpcert.plots.figure import save_figure
assert "matplotlib" not in sys.modules
result = solve(Problem([[1.0]], [[1.0]], lam=10.0))
import matplotlib
# Not the key "backend": reading it imports pyplot.
before = {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}
with tempfile.TemporaryDirectory() as folder:
    save_figure(plots.plot_trace(result), folder + "/t.png")
    save_figure(plots.plot_one_dimensional(result), folder + "/f.png")
assert "matplotlib.pyplot" not in sys.modules
assert all(matplotlib.rcParams[key] == value for key, value in before.items())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_known_graphs_are_drawn_in_rings():
    """The Petersen graph: a pentagon around a pentagram, every spoke as long as the others."""
    from cpcert.plots.solving import _places

    graph = nx.petersen_graph()
    place = _places(graph, "petersen")
    outer, inner = ([np.linalg.norm(place[v]) for v in ring] for ring in (range(5), range(5, 10)))
    assert np.ptp(outer) < 1e-5 and np.ptp(inner) < 1e-5 and outer[0] > 1.5 * inner[0]
    spokes = [np.linalg.norm(place[v] - place[v + 5]) for v in range(5)]
    assert np.ptp(spokes) < 1e-5


def test_classes_are_no_values_of_the_outputs():
    """Targets of a classification are marks below the curves, named after their classes."""
    x = np.linspace(-1.0, 1.0, 9)[:, np.newaxis]
    Y = np.eye(3)[np.repeat([0, 1, 2], 3)]
    result = solve(Problem(x, Y, lam=1e-2, loss="cross_entropy"), gap=1e-2)
    axes = plot_one_dimensional(result).axes[0]
    lowest = min(line.get_ydata().min() for line in axes.lines if line.get_label().startswith("network"))
    marks = [line for line in axes.lines if line.get_marker() == "|"]
    assert len(marks) == 3 and all(line.get_ydata().max() < lowest for line in marks)
    assert {"class 1", "class 2", "class 3"} <= {text.get_text() for text in axes.texts}
