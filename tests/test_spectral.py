"""Operator norms and spectral bounds: redone in exact rationals, and never below what sampling finds."""

from fractions import Fraction

import numpy as np
import pytest
from exact import dot, gram, is_semidefinite, rationals, root_up

from cpcert.activations import Activation, activation
from cpcert.oracle.spectral import cholesky, operator_norm, row_norms, spectral_bound

ACTIVATIONS = [
    activation("relu"),
    activation("leaky_relu", 0.2),
    activation("leaky_relu", -0.7),
    activation("abs"),
    activation("linear"),
    Activation("steep", 0.3, -2.5),
]


def sampled(points, G, sigma, seed=0, count=4000):
    W = np.random.default_rng(seed).standard_normal((count, points.shape[1]))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    return float(np.linalg.norm(sigma(W @ points.T) @ G.T, axis=1).max())


def proves_norm(A, bound):
    """bound²I − AAᵀ ⪰ 0, exactly."""
    S = gram(A)
    return is_semidefinite([[(bound**2 if i == j else 0) - s for j, s in enumerate(row)] for i, row in enumerate(S)])


def check(proof, points, G, sigma):
    """Redo a SpectralProof in rationals."""
    points, G, bound = rationals(points), rationals(G), Fraction(proof.bound)
    mean = abs(Fraction(sigma.a_plus) + Fraction(sigma.a_minus)) / 2
    half = abs(Fraction(sigma.a_plus) - Fraction(sigma.a_minus)) / 2
    columns = list(zip(*G, strict=True))
    keep = [i for i in range(len(points)) if any(points[i]) and any(columns[i])]
    if proof.kind == "signs":
        assert len(G) == 1 and sigma.a_plus >= 0 >= sigma.a_minus
        for sign, part in zip((1, -1), proof.parts, strict=True):
            assert part.bound <= proof.bound
            check(part, np.array(points, float), np.array([[max(sign * g, 0) for g in G[0]]], float), sigma)
        return
    if proof.kind == "triangle":
        norms = [root_up(dot(points[i], points[i])) * root_up(dot(columns[i], columns[i])) for i in keep]
        assert sum(norms) * max(mean + half, 0) <= bound * (1 + Fraction(1, 10**15)) and (norms == [] or bound > 0)
        return
    scale = [Fraction(2) ** int(e) for e in proof.exponents]
    linear, left, right = (Fraction(x) for x in (proof.linear_norm, proof.G_norm, proof.X_norm))
    GX = [[dot([g[i] for i in keep], [points[i][k] for i in keep]) for k in range(len(points[0]))] for g in G]
    assert proves_norm(GX, linear)
    assert proves_norm([[g[i] / scale[i] for i in keep] for g in G], left)
    assert proves_norm([[points[i][k] * scale[i] for i in keep] for k in range(len(points[0]))], right)
    assert mean * linear + half * left * right <= bound


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 2), (4, 4), (3, 12)])
@pytest.mark.parametrize("size", [1.0, 1e-140, 1e140])
def test_operator_norms_are_proven_and_sharp(shape, size):
    A = np.random.default_rng(sum(shape)).standard_normal(shape) * size
    bound = operator_norm(A)
    exact = rationals(A if shape[0] <= shape[1] else A.T)
    assert proves_norm(exact, Fraction(bound))
    assert not proves_norm(exact, Fraction(bound) * (1 - Fraction(1, 10**12)))
    assert bound <= np.linalg.norm(A / size, 2) * size * (1 + 1e-13)


def test_operator_norms_of_special_matrices():
    assert operator_norm(np.zeros((3, 2))) == 0.0
    assert operator_norm(np.zeros((3, 2)), error=0.5) == 0.5
    assert operator_norm(np.eye(3), error=0.25) >= 1.25
    ones = np.ones((6, 6))
    assert 6.0 <= operator_norm(ones) <= 6.0 * (1 + 1e-13)
    graded = np.diag([1.0, 1e-8, 1e-200])
    assert 1.0 <= operator_norm(graded) <= 1 + 1e-14


def test_a_cholesky_factorisation_ends_only_on_positive_matrices():
    S = np.array([[2.0, 1.0], [1.0, 2.0]])
    L = S.copy()
    assert cholesky(L)
    assert np.allclose(np.tril(L) @ np.tril(L).T, S)
    assert not cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]))
    assert not cholesky(np.array([[0.0]]))
    assert not cholesky(np.array([[np.nan]]))


def test_row_norms_are_upper_bounds():
    A = np.random.default_rng(0).standard_normal((20, 5)) * np.logspace(-150, 150, 20)[:, np.newaxis]
    for row, norm in zip(rationals(A), row_norms(A), strict=True):
        assert dot(row, row) <= Fraction(norm) ** 2 <= dot(row, row) * (1 + Fraction(1, 10**13))
    assert row_norms(np.zeros((2, 3))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("sigma", ACTIVATIONS, ids=lambda s: f"{s.a_plus},{s.a_minus}")
@pytest.mark.parametrize("seed", range(8))
def test_bounds_hold_and_their_proofs_can_be_redone(sigma, seed):
    rng = np.random.default_rng(seed)
    N, r, m = rng.integers(1, 7), rng.integers(1, 4), rng.integers(1, 4)
    points, G = rng.standard_normal((N, r)), rng.standard_normal((m, N))
    if seed % 2:
        points *= np.logspace(0, 3, N)[:, np.newaxis]
        G[:, 0] = 0.0
    bound, proof = spectral_bound(points, G, sigma)
    check(proof, points, G, sigma)
    assert bound == proof.bound
    assert bound >= sampled(points, G, sigma)
    # Never above the plain product of norms, which is one of the bounds up to rounding.
    plain = sigma.lipschitz * np.linalg.norm(G, 2) * np.linalg.norm(points, 2)
    assert bound <= plain * (1 + 1e-12)
    assert bound <= sigma.lipschitz * np.linalg.norm(G, axis=0) @ np.linalg.norm(points, axis=1) * (1 + 1e-12)


def test_exact_for_linear_networks():
    rng = np.random.default_rng(3)
    points, G = rng.standard_normal((9, 4)), rng.standard_normal((3, 9))
    exact = np.linalg.norm(G @ points, 2)
    bound, _ = spectral_bound(points, G, activation("linear"))
    assert exact * (1 - 1e-14) <= bound <= exact * (1 + 1e-13)


@pytest.mark.parametrize("sigma", ACTIVATIONS[:4], ids=lambda s: f"{s.a_plus},{s.a_minus}")
def test_exact_on_the_identity_with_a_projector(sigma):
    """The optimal G of Prop. 14: X̃ = I and G a multiple of a partial isometry with a nonnegative singular vector."""
    B = np.kron(np.array([[0.0, 1.0], [1.0, 0.0]]), np.ones((4, 4)))
    left, _, right = np.linalg.svd(B)
    G = 2.0 * left[:, :2] @ right[:2]
    bound, _ = spectral_bound(np.eye(8), G, sigma)
    assert 2.0 * (1 - 1e-14) <= bound <= 2.0 * (1 + 1e-13)


def test_signs_help_one_output():
    """g⁺ and g⁻ live on orthogonal points: ‖g‖ ‖X̃‖ pays for both at once, the parts do not."""
    points, g = np.ones((6, 1)), np.array([[1.0, 1.0, 1.0, -1.0, -1.0, -1.0]])
    bound, proof = spectral_bound(points, g, activation("relu"))
    assert proof.kind == "signs" and bound == pytest.approx(3.0) and bound >= 3.0
    check(proof, points, g, activation("relu"))


def test_scaling_points_helps():
    """One large point with a small weight: D balances the two, here exactly."""
    points, G = np.array([[64.0, 0.0], [0.0, 1.0]]), np.array([[1 / 64, 1.0], [-1 / 64, 1.0]])
    bound, proof = spectral_bound(points, G, activation("relu"))
    assert proof.kind == "norms" and np.ptp(proof.exponents) == 6
    assert bound == pytest.approx(np.sqrt(2.0), rel=1e-12)
    assert np.linalg.norm(G, 2) * np.linalg.norm(points, 2) > 50.0


@pytest.mark.parametrize("sigma", ACTIVATIONS, ids=lambda s: f"{s.a_plus},{s.a_minus}")
def test_nothing_gives_zero(sigma):
    points = np.random.default_rng(0).standard_normal((4, 2))
    assert spectral_bound(points, np.zeros((2, 4)), sigma)[0] == 0.0
    assert spectral_bound(np.zeros((4, 2)), np.ones((2, 4)), sigma)[0] == 0.0
    assert spectral_bound(points, np.ones((1, 4)), Activation("zero", 0.0, 0.0))[0] == 0.0
