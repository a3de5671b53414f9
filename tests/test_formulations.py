"""Three views of one loss: weights, representations (Prop. 1), covariances (Prop. 3)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpcert.activations import activation
from cpcert.formulations.covariances import (
    atoms_covariances,
    atoms_residuals,
    covariance_loss,
    covariances,
    image_residuals,
    network_from_atoms,
    psd_residual,
)
from cpcert.formulations.representations import (
    membership_residuals,
    representation_loss,
    representations,
    weights_from_representations,
)
from cpcert.network import Network, features
from cpcert.problem import Problem

SIGMAS = [
    activation("relu"),
    activation("leaky_relu", 0.3),
    activation("leaky_relu", -0.7),
    activation("abs"),
    activation("linear"),
]
sigmas, betas = st.sampled_from(SIGMAS), st.sampled_from([0.0, 1.0, -0.5, 3.0])
seeds = st.integers(0, 2**32 - 1)


def random_case(seed, sigma, beta, hidden, loss="mse", N=7, n0=3, m=2):
    rng = np.random.default_rng(seed)
    Y = {
        "mse": rng.normal(size=(N, m)),
        "cross_entropy": np.eye(m)[rng.integers(m, size=N)],
        "logistic": rng.choice([-1.0, 1.0], size=(N, m)),
    }[loss]
    problem = Problem(
        rng.normal(size=(N, n0)), Y, lam=0.1, loss=loss, activation=sigma, beta=beta, depth=len(hidden) + 1
    )
    widths, bias = [n0, *hidden, m], int(beta != 0.0)
    shapes = [(rows, columns + bias) for rows, columns in zip(widths[1:], widths[:-1], strict=True)]
    return problem, Network(tuple(rng.normal(size=shape) for shape in shapes), sigma, beta)


def smallest_relative_singular_value(problem, Z):
    """The conditioning of the pseudo-inverses: the smallest nonzero singular value of any Z_ℓ^σ, relative."""
    ratios = []
    for A in [problem.X_tilde, *(features(Z_l, problem.activation, problem.beta) for Z_l in Z[:-1])]:
        s = np.linalg.svd(A, compute_uv=False)
        if s[0] > 0:
            ratios.append(s[s > 1e-13 * s[0]].min() / s[0])
    return min(ratios, default=1.0)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "logistic"])
@given(seed=seeds, sigma=sigmas, beta=betas, hidden=st.lists(st.integers(1, 9), min_size=1, max_size=2))
def test_three_views_agree(loss, seed, sigma, beta, hidden):
    problem, network = random_case(seed, sigma, beta, hidden, loss)
    Z = representations(network, problem.X)
    weights = weights_from_representations(Z, problem.X_tilde, problem.activation, problem.beta)
    smallest = Network(weights, sigma, beta)
    for mine, theirs in zip(Z, representations(smallest, problem.X), strict=True):
        np.testing.assert_allclose(theirs, mine, atol=1e-9 * (1 + np.abs(mine).max()))
    from_Z = representation_loss(Z, problem)
    assert from_Z == pytest.approx(smallest.loss(problem), rel=1e-9)
    assert from_Z <= network.loss(problem) * (1 + 1e-9)
    # The condition number enters squared in the covariances.
    ratio = smallest_relative_singular_value(problem, Z)
    if ratio > 1e-3:
        view = covariances(Z, problem.activation, problem.beta)
        assert covariance_loss(view, problem) == pytest.approx(from_Z, rel=1e-14 / ratio**2 + 1e-11)


def test_the_views_of_a_minimal_network_are_equal_without_a_way_back():
    """Points in general position, N ≤ rank: the weights are determined, so all three losses are the same number."""
    problem, network = random_case(5, activation("abs"), 1.0, [6], N=4, n0=3)
    Z = representations(network, problem.X)
    smallest = Network(
        weights_from_representations(Z, problem.X_tilde, network.activation, 1.0), network.activation, 1.0
    )
    assert representation_loss(Z, problem) == pytest.approx(smallest.loss(problem), rel=1e-12)
    assert covariance_loss(covariances(Z, network.activation, 1.0), problem) == pytest.approx(
        smallest.loss(problem), rel=1e-9
    )
    assert smallest.loss(problem) < network.loss(problem)  # the random output weights were not minimal


@given(seed=seeds, sigma=sigmas, beta=betas, hidden=st.lists(st.integers(1, 4), min_size=1, max_size=2))
def test_membership_residuals_vanish_exactly_for_forward_passes(seed, sigma, beta, hidden):
    problem, network = random_case(seed, sigma, beta, hidden)
    Z = representations(network, problem.X)
    assert max(membership_residuals(Z, problem)) <= 1e-9
    view = covariances(Z, problem.activation, problem.beta)
    if smallest_relative_singular_value(problem, Z) > 1e-3:
        assert max(image_residuals(view, problem)) <= 1e-8
    assert max(psd_residual(K) for K in (*view.K, *view.K_sigma)) <= 1e-13
    # A first layer that is no linear image of X̃ (7 points, at most 4 rows) is noticed.
    broken = [Z[0] + np.random.default_rng(seed).normal(size=Z[0].shape), *Z[1:]]
    assert membership_residuals(broken, problem)[0] > 1e-3
    assert image_residuals(covariances(broken, problem.activation, problem.beta), problem)[0] > 1e-6


@given(seed=seeds, sigma=sigmas, beta=betas, k=st.integers(1, 4))
def test_atoms_lead_back_to_a_network(seed, sigma, beta, k):
    """Prop. 8: from a decomposition of (K, K^σ) to a network with these covariances and as many neurons as atoms."""
    problem, network = random_case(seed, sigma, beta, [k])
    Z_1, Z_2 = representations(network, problem.X)
    view = covariances([Z_1, Z_2], problem.activation, problem.beta)
    assert atoms_residuals(view.K[0], view.K_sigma[0], Z_1, sigma, beta) == (0.0, 0.0)
    back = network_from_atoms(Z_1, Z_2, problem)
    assert back.width == k
    again = covariances(representations(back, problem.X), problem.activation, problem.beta)
    np.testing.assert_allclose(again.K[0], view.K[0], atol=1e-9 * (1 + np.abs(view.K[0]).max()))
    np.testing.assert_allclose(again.K_sigma[0], view.K_sigma[0], atol=1e-9 * (1 + np.abs(view.K_sigma[0]).max()))
    np.testing.assert_allclose(again.outputs, view.outputs, atol=1e-8 * (1 + np.abs(view.outputs).max()))


def test_neurons_are_atoms_and_permuting_them_changes_nothing():
    problem, network = random_case(2, activation("relu"), 1.0, [4])
    Z_1, _ = representations(network, problem.X)
    K, K_sigma = atoms_covariances(Z_1, problem.activation, problem.beta)
    expected = sum(np.outer(x, x) for x in Z_1)
    expected_sigma = sum(np.outer(s, s) for s in np.maximum(Z_1, 0)) + problem.beta**2
    np.testing.assert_allclose(K, expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(K_sigma, expected_sigma, rtol=1e-13, atol=1e-13)
    residuals = atoms_residuals(K, K_sigma, Z_1[::-1], problem.activation, problem.beta)
    assert max(residuals) <= 1e-14
    assert min(atoms_residuals(K, K_sigma, Z_1[:-1], problem.activation, problem.beta)) > 1e-6
    # −x has the same xxᵀ but another σ(x)σ(x)ᵀ.
    flipped = atoms_residuals(K, K_sigma, -Z_1, problem.activation, problem.beta)
    assert flipped[0] == 0.0
    assert flipped[1] > 1e-3


def test_psd_residual_measures_the_negative_part():
    assert psd_residual(np.diag([4.0, 0.0])) == 0.0
    assert psd_residual(np.diag([4.0, -1.0])) == 0.25
    assert psd_residual(np.zeros((2, 2))) == 0.0


def test_a_network_without_neurons_has_only_its_bias_in_the_covariance():
    problem, _ = random_case(0, activation("relu"), 2.0, [1])
    Z = [np.zeros((0, 7)), np.full((2, 7), 3.0)]
    view = covariances(Z, problem.activation, problem.beta)
    assert np.all(view.K[0] == 0.0)
    assert np.all(view.K_sigma[0] == 4.0)
    expected = problem.loss.value(Z[1], problem.targets) + 0.1 * 2 * (3.0 / 2.0) ** 2
    assert representation_loss(Z, problem) == pytest.approx(expected, rel=1e-12)
    assert covariance_loss(view, problem) == pytest.approx(expected, rel=1e-12)
    assert membership_residuals(Z, problem) == pytest.approx([0.0, 0.0], abs=1e-14)
