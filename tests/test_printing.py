"""What is printed is true: parsed as an exact decimal, it is on the right side of the number that it is about."""

import io
import json
import math
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cpcert
from cpcert import printing
from cpcert.cli import main
from cpcert.frank_wolfe.result import relative_gap
from cpcert.frank_wolfe.solve import solve
from cpcert.network import residual_bound
from cpcert.networks.answers import CheckOutcome, Improved
from cpcert.networks.verdict import CheckResult, DescentNeuron, LayerContact, Verdict
from cpcert.plots import solving as plots
from cpcert.plots.figure import new_figure
from cpcert.problem import Problem
from cpcert.width.bounds import width_bounds

finite = st.floats(allow_nan=False, allow_infinity=False)

# -- the vocabulary --------------------------------------------------------------------------------------------------


@given(finite | st.fractions(), st.integers(1, 17))
def test_bounds_are_rounded_to_their_side(value, digits):
    low, high = printing.at_least(value, digits), printing.at_most(value, digits)
    assert Fraction(low) <= Fraction(value) <= Fraction(high)
    assert Fraction(high) - Fraction(low) <= abs(Fraction(value)) * Fraction(10) ** (1 - digits)
    for text in (low, high):
        mantissa = re.split("e", text)[0].lstrip("-").replace(".", "").strip("0")
        assert len(mantissa) <= digits
    assert Fraction(printing.rounded_down(value)) <= Fraction(value) <= Fraction(printing.rounded_up(value))


@given(finite)
def test_a_number_that_is_whole_is_read_as_itself(value):
    assert float(printing.whole(value)) == value


@given(st.integers(), st.integers(0, 30), st.integers(0, 30))
def test_rationals_are_exact(numerator, twos, fives):
    value = Fraction(numerator, 2**twos * 5**fives)
    text = printing.decimal(value)
    assert Fraction(text) == value and "/" not in text and not (("." in text) and text.endswith("0"))
    assert printing.decimal(value / 3) == (str(value / 3) if numerator % 3 else printing.decimal(Fraction(value / 3)))


def test_numbers_as_a_reader_wants_them():
    assert printing.at_most(0.10000000029999) == "0.1000000003"
    assert printing.at_least(0.10000000029999) == "0.1000000002"
    assert printing.at_most(64.0) == printing.at_least(64.0) == printing.whole(64.0) == "64"
    assert printing.at_most(0.1) == "0.1000000001", "the float 0.1 is above a tenth"
    assert (printing.at_most(1.23456e-9, 3), printing.at_least(-1.23456e-9, 3)) == ("1.24e-9", "-1.24e-9")
    assert (printing.at_most(math.inf), printing.rounded_up(0.0)) == ("inf", "0")
    assert printing.enclosure(None, math.inf) is None
    assert printing.enclosure(1.0, math.inf) == "at least 1" and printing.enclosure(None, 2.0) == "at most 2"


@given(finite, finite)
def test_gaps_are_rounded_up_once(a, b):
    lower, upper = sorted((a, b))
    exact = (Fraction(upper) - Fraction(lower)) / (abs(Fraction(upper)) or 1)
    gap = relative_gap(upper, lower)
    assert gap >= exact
    assert gap == 0.0 or math.nextafter(gap, 0.0) < exact


def test_gaps_that_floats_lose():
    assert relative_gap(math.inf, 0.0) is None and relative_gap(1.0, -math.inf) is None
    assert relative_gap(1e300, math.nextafter(1e300, 0.0)) > 0.0
    assert relative_gap(1e10, 1e10) == 0.0
    # The quotient is too small for a float.
    assert relative_gap(-1e300, -1e300 * (1.0 + 2.0**-52)) > 0.0 and relative_gap(1e10, 1e10 - 2e-6) > 0.0


# -- every command ---------------------------------------------------------------------------------------------------

# One point (3, 4) with target 1 and no bias: the network outputs z ≥ 0 at the cost (1 − z)² + 2λz/5, so the minimum is
# 2t − t² with t = λ/5. It is a little above a tenth: 0.1000000003 to ten digits is above it, 0.1 to nine is below.
LAM = 5.0 * (1.0 - math.sqrt(1.0 - 0.10000000029999))
INSTANCE = {"data": {"source": "inline", "X": [[3.0, 4.0]], "Y": [[1.0]]}, "lambda": LAM, "beta": 0}


def minimum(lam):
    t = Fraction(lam) / 5
    return 2 * t - t * t


@pytest.fixture
def tenth(tmp_path):
    path = tmp_path / "tenth.yaml"
    path.write_text(json.dumps({**INSTANCE, "train": {"widths": "1:2", "seeds": 1, "epochs": 100}}))
    return str(path)


@pytest.fixture
def model(tmp_path):
    """A network that outputs about 1/2, and its loss, exactly."""
    weights = (np.array([[0.25, 0.0]]), np.array([[2.0 / 3.0]]))
    cpcert.Network(weights, Problem([[1.0]], [1.0], lam=1.0).activation, 0.0).save(tmp_path / "half.safetensors")
    z = Fraction(0.25) * 3 * Fraction(2.0 / 3.0)
    loss = (z - 1) ** 2 + Fraction(LAM) * (Fraction(0.25) ** 2 + Fraction(2.0 / 3.0) ** 2)
    return str(tmp_path / "half.safetensors"), loss


def numbers(pattern, text):
    found = re.search(pattern, text)
    assert found, text
    return [Fraction(group) for group in found.groups()]


def test_solve_and_its_trace(tenth, capsys):
    assert main(["solve", tenth]) == 0
    printed = capsys.readouterr()
    lower, upper = numbers(r"in \[(\S+), (\S+)\]", printed.out)
    assert lower <= minimum(LAM) <= upper
    assert f"lambda = {LAM!r}" in printed.err
    rows = [line.split() for line in printed.err.splitlines() if re.match(r" *\d+ ", line)]
    assert len(rows) >= 2
    for row in rows:
        upper, lower = map(Fraction, row[2:4])
        assert lower <= minimum(LAM) <= upper
    assert upper > Fraction("0.1")


def test_width(tenth, capsys):
    assert main(["width", tenth]) == 0
    line = capsys.readouterr().out
    loss, tolerance = numbers(r"at most (\S+) \(the minimum to a relative (\S+)\)", line)
    assert loss >= minimum(LAM)
    assert (loss - minimum(LAM)) / loss <= tolerance
    assert main(["width", tenth, "--json"]) == 0
    assert Fraction(json.loads(capsys.readouterr().out)["loss"]) == Fraction(float(loss))


def test_path(tenth, capsys):
    assert main(["path", tenth, "--count", "3"]) == 0
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines()[1:]]
    assert len(rows) == 3
    for lam, lower, upper, gap, _ in rows:
        assert Fraction(lower) <= minimum(float(lam)) <= Fraction(upper)
        assert Fraction(gap) >= 0
        assert f"lambda = {lam}: global minimum in [" in printed.err


def test_check(tenth, model, capsys):
    path, loss = model
    assert main(["check", path, tenth]) == 1
    line = capsys.readouterr().out
    printed, least, most = numbers(
        r"the loss, at most (\S+), is above .* at least (\S+) and at most (\S+), proven", line
    )
    assert printed >= loss
    assert least <= loss - minimum(LAM) <= most


def test_check_when_ten_digits_round_down():
    descent = DescentNeuron(1, np.zeros(2), np.zeros(1), 2.0, 0.3, 0.20000000010001, None)
    found = CheckResult(
        loss=0.10000000020001, loss_lower=0.1, lower=None, upper=None, verdict=Verdict.SUBOPTIMAL, scope="global",
        suboptimality=(1.29e-3, 1.21e-3), layers=(LayerContact(2.0, 0),), descent=descent,
    )  # fmt: skip
    line = CheckOutcome(
        "tenth", found, (), Improved(SimpleNamespace(width=1), 0.30000000010001, Verdict.OPTIMAL)
    ).sentence()
    assert "at most 0.1000000003," in line and "at least 1.2e-3 and at most 1.3e-3" in line
    assert "lowers it to at most 0.2000000002" in line and "improved to at most 0.3000000002" in line


def test_train_and_plateau(tenth, capsys):
    assert main(["train", tenth]) == 0
    lam, upper = numbers(r"lambda = (\S+): global minimum at most (\S+) \(proven\)", capsys.readouterr().out)
    assert float(lam) == LAM and upper >= minimum(LAM)
    assert main(["plateau", tenth, "--time-limit", "5", "--tolerance", "0.0015"]) == 0
    out = capsys.readouterr().out
    lam, lower, upper, target, tolerance = numbers(
        r"lambda = (\S+): proven floor in \[(\S+), (\S+)\]; target (\S+) \(\+(\S+)\)", out
    )
    assert float(lam) == LAM and tolerance == Fraction("0.0015")
    assert lower <= minimum(LAM) <= upper
    # The bounds of the width are about this very number.
    assert main(["plateau", tenth, "--time-limit", "5", "--tolerance", "0.0015", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["curves"][0]["target"] == float(target)


def test_reduce_and_forces_say_what_is_measured(tenth, model, capsys):
    assert main(["reduce", model[0], tenth]) == 0
    assert "in floating point: squared norm" in capsys.readouterr().out
    assert main(["forces", model[0], tenth]) == 0
    assert "loss about" in capsys.readouterr().out


def test_the_path_of_a_bipartite_graph_is_exact(capsys):
    assert main(["bipartite", "--N", "2", "--path"]) == 0
    for line in capsys.readouterr().out.splitlines()[1:]:
        lam, value = map(Fraction, line.split()[:2])
        assert value == 4 * lam - 2 * lam**2


def test_pictures(tenth):
    result = solve(cpcert.load_instance(tenth).problem())
    lower, upper = numbers(r"in \[(\S+), (\S+)\]", plots._interval_title(result))
    assert lower <= minimum(LAM) <= upper
    assert plots._interval_title(
        SimpleNamespace(problem=result.problem, status="optimal", lower=None, upper=None)
    ).endswith("nothing proven")
    figure = new_figure(4.0, 4.0)
    axes = figure.subplots()
    plots._draw_dual(axes, SimpleNamespace(problem=result.problem, dual=None, network=None))
    (label,) = (line.get_label() for line in axes.get_lines())
    assert float(label.split("=")[1]) == 2.0 * LAM


# -- degenerate data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0, 1])
@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("Y", [[[1.0], [2.0]], [[1.0, 0.0], [2.0, 0.5]], [[0.0], [0.0]]])
def test_width_of_points_that_are_all_zero(Y, activation, beta):
    problem = Problem([[0.0], [0.0]], Y, lam=0.1, beta=beta, activation=activation)
    bounds = width_bounds(problem, solve(problem, gap=1e-9))
    assert bounds.lower == bounds.upper
    # Without a bias every output is 0. With one, outputs are the same at both points: ȳ = 3/2 or none.
    Y = np.array(Y)
    if beta == 0:
        assert (bounds.upper, bounds.loss) == (0, pytest.approx(np.sum(Y * Y) / 2.0, rel=1e-8))
    else:
        assert bounds.upper == (1 if Y.any() and activation == "relu" else bounds.upper) <= 1


def test_the_width_of_an_interpolating_network_counts_its_repair():
    problem = Problem([[1.0, 2.0], [0.3, 1.0], [-1.0, 0.5]], [1.0, 1.0, 2.0], loss="interpolate", beta=0.0)
    result = solve(problem)
    bounds = width_bounds(problem, result)
    residual, error = residual_bound(result.network, problem)
    assert residual.any() or error.any()
    # One output: the repaired network can be reduced to a neuron for each point, and no further by what is proven.
    assert (result.network.width, bounds.upper) == (2, 3)
    assert f"of width {result.network.width}, fits up to rounding only" in bounds.note


# -- surroundings ----------------------------------------------------------------------------------------------------


def test_without_a_cache_kernels_are_compiled_in_memory():
    code = """
import numba.core.caching as caching, numpy
def refuse(self): raise OSError(30, "Read-only file system")
caching._CacheLocator.ensure_cache_path = refuse
from cpcert.certificate import trees, trimming
from cpcert.oracle import arrangement, ladder, relaxation
from cpcert.oracle.spectral import cholesky
from cpcert.commands import announce_compilation
assert cholesky(numpy.eye(2)) and not cholesky(-numpy.eye(2))
announce_compilation()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("\n") == 1 and "compiled in memory" in run.stderr and run.stdout == ""


def test_every_kernel_can_do_without_a_cache():
    sources = [path for path in Path(cpcert.__file__).parent.rglob("*.py") if path.name != "compiled.py"]
    assert not [path for path in sources if re.search(r"from numba import|numba\.njit", path.read_text("utf-8"))]


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_full_disk_behind_stdout_is_no_bug(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["bipartite", "--N", "4", "--json"]) == 2
    assert "refused to read or write (No space left on device)" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_closed_streams(name, tenth, monkeypatch, capsys):
    monkeypatch.setattr(sys, name, None)
    assert main(["solve", tenth, "--json"]) == 0
    if name == "stderr":
        assert json.loads(capsys.readouterr().out)["status"] == "optimal"
    getattr(sys, name).close()


def test_letters_that_the_encoding_of_stdout_has_not(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["check", "--help"]) == 0
    assert rb"W2, \u2026" in stream.buffer.getvalue()


def test_weights_whose_squares_underflow(tenth, tmp_path, capsys):
    activation = Problem([[1.0]], [1.0], lam=1.0).activation
    cpcert.Network((np.array([[1e-170, 0.0]]), np.array([[1e-170]])), activation, 0.0).save(
        tmp_path / "faint.safetensors"
    )
    assert main(["check", str(tmp_path / "faint.safetensors"), tenth]) == 1
    assert "suboptimal: the loss, at most 1, is" in capsys.readouterr().out


def test_no_home(tmp_path, capsys):
    path = tmp_path / "away.yaml"
    path.write_text("data: {source: file, path: ~nobody-of-this-name/x.npz}\nlambda: 0.1\n")
    assert main(["solve", str(path)]) == 2
    assert capsys.readouterr().err == "cpcert: ~: there is no such home directory; set HOME, or give paths without ~\n"
