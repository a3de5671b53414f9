"""Losses: proven values against arithmetic with 60 digits, edges, targets (what all promise: test_loss_contract.py)."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpcert.errors import InputError
from cpcert.losses import LOSSES, loss
from cpcert.losses.enclosures import exp_lower, exp_upper, log_lower, log_one_plus_lower, log_upper

NAMES = ("mse", "cross_entropy", "logistic", "interpolate")
SMOOTH = NAMES[:3]


def make_instance(name, problem):
    """(generator, targets (m, N), outputs (m, N)) from a drawn (seed, m, N, size of the outputs)."""
    seed, m, N, size = problem
    rng = np.random.default_rng(seed)
    Y = make_targets(name, rng, max(m, 2) if name == "cross_entropy" else m, N)
    return rng, Y, size * rng.normal(size=Y.shape)


def make_targets(name, rng, m, N):
    """Targets (m, N). The labels of cross_entropy are half one-hot, half soft: these do not sum to 1 exactly."""
    if name == "logistic":
        return rng.choice([-1.0, 1.0], size=(m, N))
    if name == "cross_entropy":
        one_hot = np.eye(m)[rng.integers(m, size=N)]
        return np.where(rng.random((N, 1)) < 0.5, one_hot, rng.dirichlet(np.ones(m), size=N)).T.copy()
    return rng.normal(size=(m, N))


def make_dual(name, rng, Y, Z):
    """A dual point in the domain: −∇C at Z where there is a gradient."""
    if name == "interpolate":
        return rng.normal(size=Y.shape)
    return LOSSES[name].project_dual(-LOSSES[name].gradient(Z, Y), Y)


def exact(A):
    return [[Fraction(a) for a in row] for row in np.asarray(A).tolist()]


def exact_dual_point(name, G):
    """The exact dual point that stands for G: for cross_entropy the last row is minus the sum of the others."""
    G = exact(G)
    if name == "cross_entropy":
        G[-1] = [-sum(column) for column in zip(*G[:-1], strict=True)]
    return G


def to_decimal(q):
    return Decimal(q.numerator) / Decimal(q.denominator)


def entropy_term(p, total):
    """p log(total/p) in the current decimal context."""
    return Decimal(0) if p == 0 else to_decimal(p) * to_decimal(total / p).ln()


def reference_dual_value(name, G, scale, Y):
    """−C*(−scale·G) to about 60 digits, from the closed forms; None outside the domain."""
    N = Y.shape[1]
    G, Y = exact_dual_point(name, G), exact(Y)
    s = Fraction(scale)
    pairs = [(s * g, y) for g_row, y_row in zip(G, Y, strict=True) for g, y in zip(g_row, y_row, strict=True)]
    with localcontext() as context:
        context.prec = 60
        if name == "mse":
            return to_decimal(sum(g * y for g, y in pairs) - Fraction(N, 4) * sum(g * g for g, _ in pairs))
        if name == "interpolate":
            return to_decimal(sum(g * y for g, y in pairs))
        if name == "logistic":
            p = [N * y * g for g, y in pairs]
            if min(p) < 0 or max(p) > 1:
                return None
            return sum(entropy_term(q, Fraction(1)) + entropy_term(1 - q, Fraction(1)) for q in p) / N
        total = Decimal(0)
        for g_column, y_column in zip(zip(*G, strict=True), zip(*Y, strict=True), strict=True):
            p = [y - N * s * g for g, y in zip(g_column, y_column, strict=True)]
            if min(p) < 0:
                return None
            total += sum(entropy_term(q, sum(y_column)) for q in p)
        return total / N


def reference_value(name, Z, Y):
    """C(Z) to about 60 digits; Z: rows of fractions."""
    N, Y = Y.shape[1], exact(Y)
    cells = [(z, y) for zs, ys in zip(Z, Y, strict=True) for z, y in zip(zs, ys, strict=True)]
    with localcontext() as context:
        context.prec = 60
        if name == "mse":
            return to_decimal(sum((z - y) ** 2 for z, y in cells) / N)
        if name == "logistic":
            return sum((1 + to_decimal(-y * z).exp()).ln() for z, y in cells) / N
        total = Decimal(0)
        for z, y in zip(zip(*Z, strict=True), zip(*Y, strict=True), strict=True):
            log_sum = sum(to_decimal(q).exp() for q in z).ln()
            total += to_decimal(sum(y)) * log_sum - to_decimal(sum(a * b for a, b in zip(y, z, strict=True)))
        return total / N


problems = st.tuples(
    st.integers(0, 2**32 - 1), st.integers(2, 3), st.integers(1, 5), st.sampled_from([0.01, 1.0, 30.0])
)


# --- calculus ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH)
@given(problem=problems)
def test_fenchel_young_with_equality_exactly_at_the_gradient(name, problem):
    rng, Y, Z = make_instance(name, problem)
    elsewhere = Z + rng.normal(size=Z.shape)
    C = LOSSES[name]
    S = C.gradient(Z, Y)
    scale = 1 + abs(C.value(Z, Y)) + abs(float(np.sum(np.abs(S * Z))))
    assert C.value(Z, Y) + C.conjugate(S, Y) == pytest.approx(float(np.sum(S * Z)), abs=1e-10 * scale)
    gap = C.value(elsewhere, Y) + C.conjugate(S, Y) - float(np.sum(S * elsewhere))
    assert gap >= -1e-10 * (scale + float(np.sum(np.abs(S * elsewhere))))
    if not np.allclose(C.gradient(elsewhere, Y), S, atol=1e-2):
        assert gap > 1e-9  # strictly above away from the gradient: C* is not merely a lower bound of itself


def test_interpolate_is_a_constraint():
    C, Y = loss("interpolate"), np.array([[1.0, -2.0]])
    assert C.value(Y + 1, Y) == 0.0
    assert C.conjugate(np.array([[3.0, 1.0]]), Y) == 1.0
    assert C.dual_value(np.array([[3.0, 1.0]]), Y) == 1.0
    with pytest.raises(ValueError, match="constraint"):
        C.gradient(Y, Y)
    assert C.value_upper(Y, 0.0, Y) == 0.0
    assert C.value_upper(Y, 1e-300, Y) == math.inf
    assert C.value_upper(Y + 1e-9, 0.0, Y) == math.inf


def test_golden_values():
    Y = np.array([[3.0, 0.0]])
    assert loss("mse").value(np.zeros((1, 2)), Y) == 4.5
    assert loss("mse").dual_value(Y, Y) == 9.0 - 0.5 * 9.0
    labels = np.eye(2)
    assert loss("cross_entropy").value(np.zeros((2, 2)), labels) == pytest.approx(math.log(2), rel=1e-15)
    assert loss("logistic").value(np.zeros((2, 3)), np.ones((2, 3))) == pytest.approx(2 * math.log(2), rel=1e-15)


def test_float_losses_do_not_overflow():
    Z = np.array([[800.0, -800.0], [-800.0, 800.0]])
    right, wrong = np.eye(2), np.eye(2)[::-1]
    assert loss("cross_entropy").value(Z, right) == 0.0
    assert loss("cross_entropy").value(Z, wrong) == 1600.0
    assert loss("logistic").value(Z, np.sign(Z)) == 0.0
    assert loss("logistic").value(Z, -np.sign(Z)) == 1600.0
    assert np.all(loss("logistic").gradient(Z, np.sign(Z)) == 0.0)


# --- proven values ----------------------------------------------------------------------------------------------


@given(
    numerator=st.integers(1, 10**60),
    denominator=st.integers(1, 10**60),
    x=st.decimals(-800, 0, allow_nan=False, places=50),
)
def test_logarithms_and_exponentials_are_outward_and_far_finer_than_a_float(numerator, denominator, x):
    numerator, denominator = max(numerator, denominator), min(numerator, denominator)
    with localcontext() as context:
        context.prec = 90
        ratio = Decimal(numerator) / denominator
        exact_log, exact_exp = ratio.ln(), x.exp()
        assert exact_log - Decimal("1e-27") <= log_lower(numerator, denominator) <= exact_log
        assert exact_log <= log_upper(ratio) <= exact_log + Decimal("1e-27")
        assert exact_exp <= exp_upper(x) <= exact_exp * (1 + Decimal("1e-31"))
        assert exact_exp * (1 - Decimal("1e-31")) <= exp_lower(Fraction(x)) <= exact_exp


@given(t=st.decimals(Decimal("1e-60"), Decimal("1e6"), allow_nan=False))
def test_the_logarithm_near_1_keeps_its_digits(t):
    lower = log_one_plus_lower(t)
    with localcontext() as context:
        context.prec = 160
        exact_log = (1 + t).ln()
        assert exact_log * (1 - Decimal("1e-16")) <= lower <= exact_log


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(problem=problems, scale=st.fractions(0, 1, max_denominator=10**9))
def test_dual_value_lower_is_below_and_close(name, problem, scale):
    rng, Y, Z = make_instance(name, problem)
    G = make_dual(name, rng, Y, Z)
    scale = min(scale, Fraction(LOSSES[name].max_scale(G, Y)) if LOSSES[name].max_scale(G, Y) < math.inf else scale)
    proven = LOSSES[name].dual_value_lower(G, scale, Y)
    reference = reference_dual_value(name, G, scale, Y)
    assert Decimal(proven) <= reference
    assert proven >= float(reference) - 1e-12 * (1 + abs(float(reference)))
    assert proven == pytest.approx(LOSSES[name].dual_value(float(scale) * G, Y), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=40)
@given(problem=problems, error=st.sampled_from([0.0, 1e-15, 1e-6, 0.5]))
def test_value_upper_is_above_on_the_whole_interval_and_close(name, problem, error):
    rng, Y, Z = make_instance(name, problem)
    E = error * rng.random(Y.shape)
    proven = LOSSES[name].value_upper(Z, E, Y)
    for _ in range(3):
        # Z + θE, exactly: corners and inner points.
        theta = rng.choice([-1.0, 1.0, 0.5], size=Y.shape)
        inside = [
            [z + Fraction(t) * e for z, t, e in zip(zs, ts, es, strict=True)]
            for zs, ts, es in zip(exact(Z), theta.tolist(), exact(E), strict=True)
        ]
        assert Decimal(proven) >= reference_value(name, inside, Y)
    centre = float(reference_value(name, exact(Z), Y))
    lipschitz = 2 * len(Y) if name != "mse" else 2 * len(Y) * (float(np.max(np.abs(Z - Y))) + error)
    assert proven <= centre + lipschitz * float(E.max()) * (1 + 1e-9) + 1e-13 * (1 + abs(centre))


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=40)
@given(problem=problems)
def test_proven_bounds_never_cross(name, problem):
    """−C*(−G) ≤ C(Z) + ⟨G, Z⟩ without any tolerance, also at G = −∇C(Z), where both sides agree to 16 digits."""
    rng, Y, Z = make_instance(name, problem)
    G = make_dual(name, rng, Y, Z)
    exact_G = exact_dual_point(name, G)
    inner = sum(g * z for gs, zs in zip(exact_G, exact(Z), strict=True) for g, z in zip(gs, zs, strict=True))
    C = LOSSES[name]
    scale = Fraction(min(1.0, C.max_scale(G, Y)))
    lower, upper = Fraction(C.dual_value_lower(G, scale, Y)), Fraction(C.value_upper(Z, 0.0, Y)) + scale * inner
    assert lower <= upper
    assert float(upper - lower) <= 1e-9 * (1 + C.value(Z, Y) + float(np.sum(np.abs(G * Z))))


@pytest.mark.parametrize("name", ["cross_entropy", "logistic"])
@given(problem=problems)
def test_max_scale_is_the_last_float_inside_the_domain(name, problem):
    rng, Y, Z = make_instance(name, problem)
    C = LOSSES[name]
    G = make_dual(name, rng, Y, Z)
    s = C.max_scale(G, Y)
    if not G.any():  # one class, or a network that is certain of it
        assert s == math.inf
        return
    assert 1 - 1e-12 <= s < math.inf
    assert C.dual_value_lower(G, Fraction(s), Y) > -math.inf
    assert C.dual_value_lower(G, Fraction(math.nextafter(s, math.inf)), Y) == -math.inf
    assert reference_dual_value(name, G, Fraction(s), Y) is not None


def test_domain_edges():
    logistic, Y = loss("logistic"), np.array([[1.0, -1.0]])
    vertex = np.array([[0.5, -0.0]])  # p = (1, 0): no entropy left
    assert logistic.dual_value_lower(vertex, 1, Y) == logistic.dual_value(vertex, Y) == 0.0
    assert logistic.max_scale(vertex, Y) == 1.0
    assert logistic.dual_value_lower(vertex, Fraction(2**60 + 1, 2**60), Y) == -math.inf
    wrong_sign = np.array([[0.25, 1e-300]])
    assert logistic.max_scale(wrong_sign, Y) == 0.0
    assert logistic.dual_value_lower(wrong_sign, 1, Y) == -math.inf
    assert logistic.dual_value_lower(wrong_sign, 0, Y) == 0.0
    assert logistic.dual_value(np.array([[0.51, 0.0]]), Y) == -math.inf
    assert logistic.max_scale(np.zeros((1, 2)), Y) == math.inf

    entropy, Y = loss("cross_entropy"), np.array([[1.0], [0.0]])
    vertex = np.array([[1.0], [-1.0]])  # p = (0, 1)
    assert entropy.dual_value_lower(vertex, 1, Y) == entropy.dual_value(vertex, Y) == 0.0
    assert entropy.max_scale(vertex, Y) == 1.0
    assert entropy.max_scale(-vertex, Y) == 0.0  # the class without a label would get a negative probability
    assert entropy.dual_value(-vertex, Y) == -math.inf
    assert entropy.dual_value(np.array([[0.5], [0.5]]), Y) == -math.inf  # 1ᵀg ≠ 0
    assert entropy.max_scale(np.zeros((2, 1)), Y) == math.inf

    for name in ("mse", "interpolate"):
        assert loss(name).max_scale(np.ones((1, 2)), np.ones((1, 2))) == math.inf
        assert loss(name).exact_dual_defect(np.ones((1, 2))) == 0.0


@given(problem=problems, noise=st.sampled_from([0.0, 1e-15, 1.0]))
def test_the_last_row_of_a_cross_entropy_dual_point_is_defined_by_the_others(problem, noise):
    rng, Y, Z = make_instance("cross_entropy", problem)
    C = loss("cross_entropy")
    G = make_dual("cross_entropy", rng, Y, Z)
    other = G.copy()
    other[-1] += noise * rng.normal(size=Y.shape[1])
    s = Fraction(min(1.0, C.max_scale(G, Y)))
    assert C.max_scale(other, Y) == C.max_scale(G, Y)
    assert C.dual_value_lower(other, s, Y) == C.dual_value_lower(G, s, Y)
    exact_last, last = exact_dual_point("cross_entropy", other)[-1], exact(other)[-1]
    defect_squared = sum((a - b) ** 2 for a, b in zip(exact_last, last, strict=True))
    defect = C.exact_dual_defect(other)
    assert Fraction(defect) ** 2 >= defect_squared
    assert defect <= math.sqrt(float(defect_squared)) * (1 + 1e-12)


@pytest.mark.parametrize("name", NAMES)
@given(problem=problems, noise=st.sampled_from([0.0, 1e-16, 1e-9, 1.0]))
def test_project_dual_repairs_what_rounding_or_a_solver_broke(name, problem, noise):
    rng, Y, Z = make_instance(name, problem)
    C = LOSSES[name]
    inside = make_dual(name, rng, Y, Z)
    repaired = C.project_dual(inside + noise * rng.normal(size=Y.shape), Y)
    assert C.max_scale(repaired, Y) >= 1 - 1e-12
    assert np.max(np.abs(repaired - inside)) <= 1e-14 + 20 * Y.size * noise


def test_a_gradient_alone_may_be_outside_the_domain_by_rounding():
    """Why project_dual exists: an unlabelled last class of tiny probability comes out with the wrong sign."""
    rng = np.random.default_rng(0)
    C, Y = loss("cross_entropy"), np.array([[1.0], [0.0], [0.0]])
    Z = rng.normal(size=(200, 3, 1)) + np.array([[0.0], [0.0], [-60.0]])
    gradients = [-C.gradient(z, Y) for z in Z]
    assert any(C.max_scale(G, Y) == 0.0 for G in gradients)
    assert all(C.max_scale(C.project_dual(G, Y), Y) >= 1 - 1e-12 for G in gradients)


@pytest.mark.parametrize("name", SMOOTH)
def test_value_upper_knows_when_nothing_is_known(name):
    Y = make_targets(name, np.random.default_rng(1), 2, 2)
    Z = np.zeros((2, 2))
    assert LOSSES[name].value_upper(Z, math.inf, Y) == math.inf
    Z[0, 0] = math.inf
    assert LOSSES[name].value_upper(Z, 0.0, Y) == math.inf
    assert LOSSES[name].value_upper(np.full((2, 2), 1e308), 0.0, -np.ones((2, 2))) > 1e300 or name == "cross_entropy"
    with pytest.raises(ValueError, match="Z_error"):
        LOSSES[name].value_upper(np.zeros((2, 2)), -1e-9, Y)
    with pytest.raises(ValueError, match="shape"):
        LOSSES[name].value_upper(np.zeros((2, 1)), 0.0, Y)
    with pytest.raises(ValueError, match="scale"):
        LOSSES[name].dual_value_lower(Z, -1.0, Y)


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e150])
def test_proven_values_survive_extreme_sizes(size):
    """Squares under- and overflow; the bounds may become weak, never wrong."""
    Z, Y = np.array([[size, 0.0]]), np.array([[0.0, 0.0]])
    C = loss("mse")
    assert Fraction(C.value_upper(Z, 0.0, Y)) >= Fraction(size) ** 2 / 2
    assert Fraction(C.dual_value_lower(Z, 1, Y)) <= -(Fraction(size) ** 2) / 2
    wide = np.array([[size, -size], [-size, size]])
    for name, targets in (("cross_entropy", np.eye(2)), ("logistic", np.array([[1.0, -1.0], [-1.0, 1.0]]))):
        for sign in (1, -1):
            reference = LOSSES[name].value(sign * wide, targets)
            assert LOSSES[name].value_upper(sign * wide, 0.0, targets) == pytest.approx(reference, rel=1e-14, abs=1e-30)


# --- targets and names ------------------------------------------------------------------------------------------


def test_targets_are_mapped():
    assert loss("logistic").check_targets(np.array([[0.0], [1.0]])).tolist() == [[-1.0], [1.0]]
    assert loss("logistic").check_targets(np.array([[-1.0], [1.0]])).tolist() == [[-1.0], [1.0]]
    assert loss("logistic").check_targets(np.array([[1], [1]])).tolist() == [[1.0], [1.0]]
    soft = np.array([[0.1, 0.2, 0.7]])
    assert loss("cross_entropy").check_targets(soft).tolist() == soft.tolist()
    given_targets = np.zeros((2, 1))
    for name in ("mse", "interpolate"):
        checked = loss(name).check_targets(given_targets)
        assert checked is not given_targets
        assert checked.dtype == np.float64


@pytest.mark.parametrize(
    ("name", "targets", "message"),
    [
        ("mse", [[0.0], [math.nan]], "Y: row 1, column 0 is nan; every target must be a finite number"),
        ("interpolate", [[0.0, math.inf]], "Y: row 0, column 1 is inf"),
        ("mse", [1.0, 2.0], r"Y: has shape \(2,\)"),
        ("logistic", [[1.0], [2.0]], r"Y: row 1, column 0 is 2.0; logistic needs labels in \{-1, 1\} or \{0, 1\}"),
        ("logistic", [[1.0], [0.0], [-1.0]], "Y: the labels mix -1, 0 and 1"),
        ("cross_entropy", [[1.0], [1.0]], "Y: cross_entropy needs one column per class, two or more; got 1 column"),
        ("cross_entropy", [[0.5, 0.5], [0.5, 0.6]], "Y: row 1 sums to 1.1; cross_entropy needs label prob"),
        ("cross_entropy", [[1.5, -0.5]], "Y: row 0, column 1 is -0.5; cross_entropy needs label probabilities >= 0"),
    ],
)
def test_targets_that_do_not_fit_are_refused(name, targets, message):
    with pytest.raises(InputError, match=message):
        loss(name).check_targets(np.array(targets))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("msee", r"loss: 'msee' is unknown; use one of mse, cross_entropy, logistic, interpolate; did you mean mse\?"),
        (3, "loss: 3 is unknown"),
    ],
)
def test_unknown_losses_are_refused(name, message):
    with pytest.raises(InputError, match=message):
        loss(name)
