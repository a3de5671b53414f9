"""What every loss promises, asked of each in LOSSES without a word about which one it is: a new loss is tested by being there."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from cpcert.conic import Cone, Ending, Rows, solve_conic
from cpcert.errors import InputError
from cpcert.losses import LOSSES
from cpcert.problem import Problem

PLAIN = [pytest.param(each, id=name) for name, each in LOSSES.items()]
# Of four points, far apart in size.
WEIGHTS = (0.3, 0.0125, 1.7, 2.0)
WEIGHTED = [
    pytest.param(each.weighted(WEIGHTS), id=f"weighted-{name}")
    for name, each in LOSSES.items()
    if not each.is_constraint
]
ALL = PLAIN + WEIGHTED
SMOOTH = [each for each in ALL if not each.values[0].is_constraint]
seeds = st.integers(0, 2**32 - 1)


def case(C, seed, N=4):
    """(generator, targets (m, N), outputs (m, N)): numbers, or labels of two classes or three."""
    rng = np.random.default_rng(seed)
    if not C.takes_labels:
        Y = rng.normal(size=(N, rng.integers(1, 4)))
    else:
        k = int(rng.integers(2, 4))
        try:
            Y, _ = C.encode_labels(rng.integers(k, size=N), tuple("abc"[:k]), "kind", "data.targets: column 'kind'")
        except InputError:
            Y, _ = C.encode_labels(rng.integers(2, size=N), ("a", "b"), "kind", "data.targets: column 'kind'")
    Y = C.check_targets(Y).T.copy()
    return rng, Y, (Y if C.is_constraint else rng.choice([0.1, 1.0, 8.0]) * rng.normal(size=Y.shape))


def dual_point(C, rng, Y):
    """A dual point in the domain, where C* need not be near its minimum."""
    return C.project_dual(rng.choice([0.01, 0.3]) * rng.normal(size=Y.shape), Y)


def exact(A):
    return [[Fraction(a) for a in row] for row in A.tolist()]


def inner(A, B):
    return sum(a * b for p, q in zip(A, B, strict=True) for a, b in zip(p, q, strict=True))


def minimum(form, Y, linear=0.0, Z=None):
    """(min over Z, or at this Z, of C(Z) + ⟨linear, Z⟩, the multiplier of Z) by the conic form alone."""
    n = Y.size
    q = form.linear.copy()
    q[:n] += np.ravel(linear)
    P = sparse.diags(np.concatenate([form.quadratic, np.zeros(len(q) - n)]), format="csc")
    here = sparse.identity(len(q), format="csc")[:n]
    if Z is not None:
        fixed = Rows(here, Z.ravel(), Cone.ZERO)
    else:  # a box far away, for losses without rows
        fixed = Rows(sparse.vstack([here, -here], format="csc"), np.full(2 * n, 1e3), Cone.NONNEGATIVE)
    found = solve_conic(P, q, [fixed, *form.rows])
    assert found.ending in (Ending.OPTIMAL, Ending.NEARLY)
    return form.constant + 0.5 * found.x @ P @ found.x + q @ found.x, found.z[:n].reshape(Y.shape)


@pytest.mark.parametrize("C", ALL)
@given(seed=seeds)
def test_its_own_targets_are_targets(C, seed):
    _, Y, _ = case(C, seed)
    np.testing.assert_array_equal(C.check_targets(Y.T), Y.T)
    lam = None if C.is_constraint else 0.1
    assert Problem(np.arange(8.0).reshape(4, 2), Y.T, lam=lam, loss=C).loss is C
    for wrong in (math.nan, math.inf):
        with pytest.raises(InputError, match="Y: row 0, column 0"):
            C.check_targets(np.where(np.arange(Y.size).reshape(Y.T.shape) == 0, wrong, Y.T))


@pytest.mark.parametrize("C", ALL)
@given(seed=seeds)
def test_the_proven_sides_never_cross(C, seed):
    """−C*(−sG) ≤ C(Z) + s⟨G, Z⟩ and value_lower ≤ value_upper, without any tolerance; both sides agree to 12 digits."""
    rng, Y, Z = case(C, seed)
    G = dual_point(C, rng, Y)
    s = Fraction(min(1.0, C.max_scale(G, Y)))
    dual = C.dual_value_lower(G, s, Y)
    upper = C.value_upper(Z, 0.0, Y)
    assert Fraction(dual) <= Fraction(upper) + s * inner(C.exact_dual(exact(G)), exact(Z))
    assert dual == pytest.approx(C.dual_value(float(s) * G, Y), rel=1e-9, abs=1e-9)
    unit = Fraction(1, 2**60)
    integers = [[int(a / unit) for a in row] for row in exact(np.round(Z * 2**40) / 2**40)]
    rounded = np.array([[float(a * unit) for a in row] for row in integers])
    targets = [[int(a / unit) for a in row] for row in exact(np.round(Y * 2**40) / 2**40)]
    Y = np.array([[float(a * unit) for a in row] for row in targets])
    low, high = C.value_lower(integers, targets, unit), C.value_upper(rounded, 0.0, Y)
    assert low <= Fraction(high)
    assert float(Fraction(high) - low) <= 1e-12 * (1e-12 + high)


@pytest.mark.parametrize("C", ALL)
@given(seed=seeds)
def test_the_domain_ends_at_the_largest_scale(C, seed):
    rng, Y, _ = case(C, seed)
    G = dual_point(C, rng, Y)
    s = C.max_scale(G, Y)
    assert s >= 1.0 - 1e-12
    if math.isfinite(s):
        assert C.dual_value_lower(G, Fraction(s), Y) > -math.inf
        assert C.dual_value_lower(G, Fraction(math.nextafter(s, math.inf)), Y) == -math.inf
    ray = C.dual_ray(G, Y)
    if ray is None:
        return
    assert s == math.inf
    for s in (0.0, 0.5, 3.0):
        assert s * ray[0] - s * s * ray[1] == pytest.approx(C.dual_value(s * G, Y), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("C", ALL)
@given(seed=seeds)
def test_the_exact_dual_point_is_near_the_float_one(C, seed):
    rng, Y, _ = case(C, seed)
    G = dual_point(C, rng, Y) + rng.choice([0.0, 1e-3]) * rng.normal(size=Y.shape)
    point = C.exact_dual(exact(G))
    away = [[a - b for a, b in zip(p, q, strict=True)] for p, q in zip(point, exact(G), strict=True)]
    assert inner(away, away) <= Fraction(C.exact_dual_defect(G)) ** 2
    np.testing.assert_allclose(C.rounded_dual(G), np.array(point, dtype=float), rtol=1e-12, atol=1e-15)
    sums = C.exact_dual([[sum(row)] for row in exact(G)])  # linear in the rows
    assert sums == [[sum(row)] for row in point]
    assert C.last_row_implied or point == exact(G)


@pytest.mark.parametrize("C", ALL)
@given(seed=seeds)
def test_targets_scale_as_it_says(C, seed):
    _, Y, Z = case(C, seed)
    if C.degree is None:
        assert C.target_unit(8.0 * Y) == 1.0
        return
    assert C.target_unit(8.0 * Y) == 8.0 * C.target_unit(Y) == 8.0 * np.abs(Y).max()
    assert C.value(4.0 * Z, 4.0 * Y) == 4.0**C.degree * C.value(Z, Y)
    assert not C.is_squared_distance or C.value(Z, Y) == pytest.approx(np.sum((Z - Y) ** 2) / Y.shape[1], rel=1e-14)


@pytest.mark.parametrize("C", SMOOTH)
@settings(max_examples=20)
@given(seed=seeds)
def test_the_conic_form_is_the_loss_its_gradient_and_its_conjugate(C, seed):
    rng, Y, Z = case(C, seed)
    form = C.conic_form(Y)
    value, multiplier = minimum(form, Y, Z=Z)
    assert value == pytest.approx(C.value(Z, Y), rel=1e-7, abs=1e-7)
    np.testing.assert_allclose(multiplier, -C.gradient(Z, Y), atol=1e-5)
    # In the interior of the domain, where the minimum is attained.
    G = 0.5 * dual_point(C, rng, Y) - 0.5 * C.gradient(rng.normal(size=Y.shape), Y)
    value, _ = minimum(form, Y, linear=G)
    assert value == pytest.approx(C.dual_value(C.project_dual(G, Y), Y), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("C", SMOOTH)
@given(seed=seeds)
def test_derivatives(C, seed):
    rng, Y, Z = case(C, seed)
    move, h = rng.normal(size=Y.shape), 1e-5
    slope = (C.value(Z + h * move, Y) - C.value(Z - h * move, Y)) / (2.0 * h)
    assert slope == pytest.approx(np.sum(C.gradient(Z, Y) * move), rel=1e-5, abs=1e-8 * (1.0 + C.value(Z, Y)))
    bend = (C.gradient(Z + h * move, Y) - C.gradient(Z - h * move, Y)) / (2.0 * h)
    np.testing.assert_allclose(np.einsum("njk,kn->jn", C.hessian(Z, Y), move), bend, atol=1e-8)


@pytest.mark.parametrize("C", ALL)
def test_tensors_say_the_same(C):
    import torch

    rng, Y, _ = case(C, 5)
    Z, move = rng.normal(size=(3, *Y.shape)), rng.normal(size=(3, *Y.shape))
    batch, targets = torch.tensor(Z, requires_grad=True), torch.tensor(Y)
    values = C.tensor_value(batch, targets)
    np.testing.assert_allclose(values.detach().numpy(), [C.value(z, Y) for z in Z], rtol=1e-13)
    assert C.tensor_value(batch[0], targets).shape == ()
    if C.is_constraint:
        for ask in (C.gradient, C.hessian):
            with pytest.raises(ValueError, match="constraint"):
                ask(Z[0], Y)
        assert C.conic_form(Y) is None
        return
    gradients = np.array([C.gradient(z, Y) for z in Z])
    (automatic,) = torch.autograd.grad(values.sum(), batch)
    products = [np.einsum("njk,kn->jn", C.hessian(z, Y), d) for z, d in zip(Z, move, strict=True)]
    free = batch.detach()
    np.testing.assert_allclose(automatic.numpy(), gradients, atol=1e-14)
    np.testing.assert_allclose(C.tensor_gradient(free, targets).numpy(), gradients, atol=1e-14)
    np.testing.assert_allclose(
        C.tensor_hessian_product(free, targets, torch.tensor(move)).numpy(), products, atol=1e-14
    )
