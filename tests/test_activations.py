"""Activations: every positively homogeneous function of one variable, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpcert.activations import ACTIVATION_NAMES, Activation, activation
from cpcert.errors import InputError

moderate = st.floats(-1e100, 1e100, allow_nan=False)
slopes = st.floats(-2.0, 2.0, allow_nan=False)


@pytest.mark.parametrize(
    ("sigma", "expected"),
    [
        (activation("relu"), [0.0, 0.0, 3.0]),
        (activation("leaky_relu", 0.25), [-0.5, 0.0, 3.0]),
        (activation("leaky_relu", -0.25), [0.5, 0.0, 3.0]),
        (activation("abs"), [2.0, 0.0, 3.0]),
        (activation("linear"), [-2.0, 0.0, 3.0]),
    ],
)
def test_values_at_both_sides_of_the_kink(sigma, expected):
    assert sigma(np.array([-2.0, 0.0, 3.0])).tolist() == expected


def test_there_is_no_negative_zero():
    for sigma in (Activation("falling", -1.0, 0.0), *(activation(name) for name in ("relu", "abs", "linear"))):
        zeros = sigma(np.array([-0.0, 0.0, -2.0]))
        assert not np.any(np.signbit(zeros[zeros == 0.0]))


@given(a_plus=slopes, a_minus=slopes, s=moderate, k=st.integers(-20, 20))
def test_positive_homogeneity_is_exact_for_powers_of_two(a_plus, a_minus, s, k):
    sigma, c = Activation("any", a_plus, a_minus), 2.0**k
    assert sigma(np.array([c * s]))[0] == pytest.approx(c * sigma(np.array([s]))[0], rel=1e-15, abs=1e-300)


@given(a_plus=slopes, a_minus=slopes, s=moderate)
def test_kink_slopes_and_lipschitz_constant_describe_sigma(a_plus, a_minus, s):
    sigma = Activation("any", a_plus, a_minus)
    value = float(sigma(np.array([s]))[0])
    size = max(abs(s), 1e-300)
    assert value == pytest.approx(a_minus * s + sigma.kink * max(s, 0.0), abs=1e-14 * size)
    assert value == pytest.approx(float(sigma.slope_at(np.array([s > 0]))[0]) * s, abs=1e-14 * size)
    assert abs(value) <= sigma.lipschitz * abs(s) * (1 + 1e-15)


def test_slope_at_keeps_the_shape_of_the_pattern():
    pattern = np.array([[True, False], [False, True], [True, True]])
    assert activation("leaky_relu", -0.5).slope_at(pattern).tolist() == [[1.0, -0.5], [-0.5, 1.0], [1.0, 1.0]]


def test_symmetries():
    even = {name: activation(name, 0.5 if name == "leaky_relu" else None).is_even for name in ACTIVATION_NAMES}
    odd = {name: activation(name, 0.5 if name == "leaky_relu" else None).is_odd for name in ACTIVATION_NAMES}
    assert even == {"relu": False, "leaky_relu": False, "abs": True, "linear": False}
    assert odd == {"relu": False, "leaky_relu": False, "abs": False, "linear": True}


@pytest.mark.parametrize(
    ("name", "slope", "message"),
    [
        ("rleu", None, r"activation: 'rleu' is unknown; use one of relu, .*; did you mean relu\?"),
        ("tanh", None, "activation: 'tanh' is unknown; use one of"),
        (None, None, "activation: None is unknown"),
        ("relu", 0.1, "slope: relu takes no slope"),
        ("leaky_relu", None, "slope: leaky_relu needs its left slope"),
        ("leaky_relu", 1.0, r"slope: 1.0 is out of range; leaky_relu takes a number in \(-1, 1\)"),
        ("leaky_relu", float("nan"), "slope: nan is out of range"),
        ("leaky_relu", "0.1", "slope: '0.1' is not a number"),
        ("leaky_relu", True, "slope: True is not a number"),
    ],
)
def test_refusals_name_the_field_and_what_is_right(name, slope, message):
    with pytest.raises(InputError, match=message):
        activation(name, slope)


def test_slopes_must_be_finite():
    with pytest.raises(InputError, match="a_minus: inf is not a slope"):
        Activation("any", 1.0, float("inf"))
