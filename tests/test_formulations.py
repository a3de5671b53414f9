"""Three views of one loss: weights, representations (Prop. 1), covariances (Prop. 3)."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cpcert.activations import activation
from cpcert.errors import InputError
from cpcert.formulations.covariances import (
    Covariances,
    atoms_covariances,
    atoms_residuals,
    cone_residual,
    covariance_gradient,
    covariance_loss,
    covariances,
    image_residuals,
    network_from_atoms,
    psd_residual,
)
from cpcert.formulations.descent import local_descent, local_loss, projected_descent
from cpcert.formulations.representations import (
    RepresentationLoss,
    membership_residuals,
    representation_loss,
    representations,
    weights_from_representations,
)
from cpcert.network import Network, layer_features
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
    for A in [problem.X_tilde, *(layer_features(Z_l, problem.activation, problem.beta) for Z_l in Z[:-1])]:
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


# -- in torch: any activation, gradients, descent ----------------------------------------------------------------------

VIEWS = [(None, 0.0), (None, 0.3), ("tanh", 0.0), ("gelu", 0.3), ("softplus", 0.0), ("softplus", 0.03)]


def torch_case(activation, tikhonov, N=6, width=8, depth=3, beta=1.0, loss="mse", seed=0, sigma=SIGMAS[1]):
    problem, network = random_case(seed, sigma, beta, [width] * (depth - 1), loss, N=N)
    view = RepresentationLoss(problem, activation, tikhonov)
    return view, view.tensors(network.weights)


def trained(view, weights):
    """(weights, largest entry of the gradient) after L-BFGS on L_λ: σ must be smooth."""
    weights = [W.clone().requires_grad_() for W in weights]
    optimiser = torch.optim.LBFGS(
        weights, max_iter=150, history_size=40, line_search_fn="strong_wolfe", tolerance_grad=1e-9, tolerance_change=0.0
    )

    def closure():
        optimiser.zero_grad()
        loss = view.data_term(view.forward(weights)[-1]) + view.problem.lam * sum((W * W).sum() for W in weights)
        loss.backward()
        return loss

    optimiser.step(closure)
    closure()
    return [W.detach() for W in weights], max(float(W.grad.abs().max()) for W in weights)


def relative_difference(mine, theirs):
    return max(float((a - b).abs().max()) for a, b in zip(mine, theirs, strict=True)) / max(
        float(b.abs().max()) for b in theirs
    )


@pytest.mark.parametrize(("activation", "tikhonov"), VIEWS)
@pytest.mark.parametrize(("N", "width"), [(6, 8), (9, 4)])
def test_gradient_is_the_slope_of_finite_differences(activation, tikhonov, N, width):
    """Also where Z is not feasible, and where Z^σ has more columns than rows: the rank is constant near random Z."""
    loss = ["mse", "cross_entropy", "logistic"][width % 3]
    view, weights = torch_case(activation, tikhonov, N, width, loss=loss, seed=3)
    rng = np.random.default_rng(0)
    Z = [Z_l + torch.tensor(rng.normal(size=Z_l.shape)) for Z_l in view.forward(weights)]
    for _ in range(3):
        D = [torch.tensor(rng.normal(size=Z_l.shape)) for Z_l in Z]
        slope = sum(float((g * d).sum()) for g, d in zip(view.gradient(Z), D, strict=True))
        h = 1e-6
        ends = [float(view.value([Z_l + t * d for Z_l, d in zip(Z, D, strict=True)])) for t in (-2 * h, -h, h, 2 * h)]
        assert (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("activation", [None, "tanh", "gelu", "softplus"])
@pytest.mark.parametrize(("N", "width", "depth", "beta"), [(6, 8, 3, 1.0), (9, 4, 4, -0.5), (5, 4, 2, 0.0)])
def test_chain_rule_of_proposition_1(activation, N, width, depth, beta):
    """∇L_λ(W) = Σ (∂Z/∂W)ᵀ ∂L^r/∂Z where W̃ = 0, backpropagation through the weights on the left."""
    view, weights = torch_case(activation, 0.0, N, width, depth, beta)
    weights = view.weights(view.forward(weights))
    assert max(float(W.abs().max()) for W in view.residual_weights(weights)) <= 1e-10
    weights = [W.requires_grad_() for W in weights]
    Z = view.forward(weights)
    loss = view.data_term(Z[-1]) + view.problem.lam * sum((W * W).sum() for W in weights)
    direct = torch.autograd.grad(loss, weights, retain_graph=True)
    chained = torch.autograd.grad(Z, weights, grad_outputs=view.gradient(Z))
    assert relative_difference(chained, direct) <= 1e-6


def test_numpy_and_torch_are_the_same_view():
    for sigma in SIGMAS:
        view, weights = torch_case(None, 0.0, sigma=sigma)
        Z = view.forward(weights)
        arrays = [Z_l.numpy() for Z_l in Z]
        assert float(view.value(Z)) == pytest.approx(representation_loss(arrays, view.problem), rel=1e-10)
        theirs = weights_from_representations(arrays, view.problem.X_tilde, sigma, 1.0)
        assert relative_difference(view.weights(Z), [torch.tensor(W) for W in theirs]) <= 1e-9


def test_weights_split_into_a_part_with_effect_and_one_without():
    """L_λ(W) = L^r(Z(W)) + λ Σ‖W̃‖² for any W, and W̃ = 0 at a minimiser: more neurons than points, smooth σ."""
    view, weights = torch_case("tanh", 0.0, N=3, width=5, depth=2)
    rest = view.residual_weights(weights)
    assert max(float(W.abs().max()) for W in rest) > 0.1
    Z, lam = view.forward(weights), view.problem.lam
    whole = float(view.data_term(Z[-1]) + lam * sum((W * W).sum() for W in weights))
    assert whole == pytest.approx(float(view.value(Z)) + lam * sum(float((W * W).sum()) for W in rest), rel=1e-12)
    assert relative_difference(view.forward([W - R for W, R in zip(weights, rest, strict=True)]), Z) <= 1e-10

    weights, _ = trained(view, weights)
    assert max(float(W.abs().max()) for W in view.residual_weights(weights)) <= 1e-6


def test_at_a_minimum_the_derivative_vanishes_along_the_constraint_only():
    """Why descent differentiates through the projection: where Z^σ has not rank N, ∇L^r is not 0 at a minimum."""
    view, weights = torch_case("tanh", 0.0, N=6, width=2, depth=2)
    weights, gradient = trained(view, weights)
    assert gradient <= 1e-7
    Z = [Z_l.requires_grad_() for Z_l in view.forward(weights)]
    along = torch.autograd.grad(view.value(view.project(Z)), Z)
    assert max(float(g.abs().max()) for g in along) <= 1e-6
    assert max(float(g.abs().max()) for g in view.gradient(Z)) > 1e-2


@pytest.mark.parametrize("tikhonov", [0.0, 1e-2])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_rank_deficient_layers_have_finite_losses_and_gradients(beta, tikhonov):
    for N, width in ((9, 3), (3, 9)):
        view, weights = torch_case(None, tikhonov, N, width, beta=beta, sigma=SIGMAS[0])
        dead = [-weights[0].abs(), *weights[1:]]  # with the points below: no neuron of layer 1 is ever active
        Z = view.forward(weights)
        cases = [Z, [0.0 * Z_l for Z_l in Z], view.forward([torch.zeros_like(dead[0]), *dead[1:]])]
        cases.append([Z[0][[0]].expand(width, N), *Z[1:]])  # all neurons equal
        cases.append([Z_l[:, [0]].expand(-1, N) for Z_l in Z])  # all points equal
        for case in cases:
            assert np.isfinite(float(view.value(case)))
            for part in (*view.gradient(case), *view.weights(case), *view.project(case)):
                assert bool(torch.isfinite(part).all())


def test_a_tikhonov_parameter_that_rounding_swallows_is_refused():
    view, weights = torch_case(None, 1e-18, N=9, width=3)
    with pytest.raises(InputError, match="tikhonov: 1e-18 is lost in the rounding of K_sigma; give more than"):
        view.value(view.forward(weights))
    with pytest.raises(InputError, match="activation: 'swish' is unknown here; use one of tanh, gelu, softplus"):
        RepresentationLoss(view.problem, "swish")
    for changes in ({"tikhonov": -1.0}, {"tikhonov": np.nan}, {"rcond": 1.0}):
        with pytest.raises(InputError, match=f"{next(iter(changes))}: is"):
            RepresentationLoss(view.problem, **changes)
    with pytest.raises(InputError, match="Z: 1 layers; the problem has depth 3"):
        view.value([view.X_tilde()])


def test_tikhonov_is_off_by_at_most_what_the_docstring_says():
    """0 ≤ ‖ZA^+‖² − Tr[Z(AᵀA + εI)⁻¹Zᵀ] ≤ ε‖Z(AᵀA)^+‖², and the middle is the least of ‖W‖² + ‖Z − WA‖²/ε."""
    exact, weights = torch_case(None, 0.0, N=9, width=4)
    Z = exact.forward(weights)
    A = exact.layer_features(Z[0])
    inverse = torch.linalg.pinv(A.T @ A, hermitian=True)
    for epsilon in (1e-6, 1e-2, 1.0):
        view = RepresentationLoss(exact.problem, None, epsilon)
        difference = float(exact.cost(Z[1], A) - view.cost(Z[1], A))
        assert 0.0 <= difference <= epsilon * float(((Z[1] @ inverse) ** 2).sum()) * (1 + 1e-6)
        W = view.weights(Z)[1]
        ridge = float((W * W).sum() + ((Z[1] - W @ A) ** 2).sum() / epsilon)
        assert float(view.cost(Z[1], A)) == pytest.approx(ridge, rel=1e-7)


@pytest.mark.parametrize(("activation", "N", "width"), [("softplus", 5, 7), (None, 9, 4)])
def test_projected_descent_falls_and_stays_feasible(activation, N, width):
    view, weights = torch_case(activation, 0.0, N, width)
    Z = [Z_l + 0.1 for Z_l in view.forward(weights)]
    found = projected_descent(view, Z, 40)
    assert np.all(np.diff(found.losses) <= 0.0) and found.losses[-1] < 0.7 * found.losses[0]
    assert relative_difference(view.project(found.Z), found.Z) <= 1e-9
    assert found.attained == pytest.approx(found.losses[-1], rel=1e-9)  # by a network: these weights
    assert relative_difference(view.forward(found.weights), found.Z) <= 1e-9


@pytest.mark.parametrize("activation", ["tanh", None])
def test_local_descent_needs_neighbours_only_and_lowers_the_whole_loss(activation):
    view, weights = torch_case(activation, 1e-2, N=9, width=4, depth=4)
    Z = view.forward(weights)
    gradient = view.gradient(Z)
    for index in range(4):
        near = [Z_l if abs(k - index) <= 1 else torch.full_like(Z_l, np.nan) for k, Z_l in enumerate(Z)]
        near[index] = near[index].clone().requires_grad_()
        (own,) = torch.autograd.grad(local_loss(view, near, index), near[index])
        assert relative_difference([own], [gradient[index]]) <= 1e-9
    found = local_descent(view, Z, 10)
    assert np.all(np.diff(found.losses) <= 0.0) and found.losses[-1] < 0.9 * found.losses[0]
    forward = view.forward(found.weights)
    lam = view.problem.lam
    attained = float(view.data_term(forward[-1])) + lam * sum(float((W * W).sum()) for W in found.weights)
    assert found.attained == pytest.approx(attained, rel=1e-12)


def test_descents_refuse_what_they_cannot_do():
    view, weights = torch_case(None, 1e-2)
    with pytest.raises(InputError, match="projected descent uses the pseudo-inverse, give 0"):
        projected_descent(view, view.forward(weights), 1)
    exact = RepresentationLoss(view.problem)
    with pytest.raises(InputError, match="local descent needs a positive one"):
        local_descent(exact, view.forward(weights), 1)
    with pytest.raises(InputError, match="Z: its loss is"):
        projected_descent(exact, [1e200 * Z_l for Z_l in view.forward(weights)], 1)


# -- covariances as variables ------------------------------------------------------------------------------------------


def moved(view, K=None, K_sigma=None, outputs=None, layer=0):
    """`view` with one pair or the outputs changed; K_L follows the outputs."""
    Ks, K_sigmas = list(view.K), list(view.K_sigma)
    if K is not None:
        Ks[layer], K_sigmas[layer] = K, K_sigma
    outputs = view.outputs if outputs is None else outputs
    return Covariances((*Ks[:-1], outputs.T @ outputs), tuple(K_sigmas), outputs)


@pytest.mark.parametrize(("tikhonov", "width"), [(0.0, 9), (0.1, 9), (0.1, 3)])
def test_gradients_of_the_covariance_loss_are_slopes_of_finite_differences(tikhonov, width):
    problem, network = random_case(1, SIGMAS[0], 1.0, [width, width], N=5)
    view = covariances(network.forward(problem.X), SIGMAS[0], 1.0)
    gradient = covariance_gradient(view, problem, tikhonov=tikhonov)
    rng = np.random.default_rng(0)
    h = 1e-4 * np.linalg.eigvalsh(view.K_sigma[0])[0] if tikhonov == 0.0 else 1e-4
    for layer in (0, 1):
        P, Q = (B + B.T for B in rng.normal(size=(2, 5, 5)))
        ends = [
            covariance_loss(moved(view, view.K[layer] + t * P, view.K_sigma[layer] + t * Q, layer=layer), problem,
                            tikhonov=tikhonov)
            for t in (-2 * h, -h, h, 2 * h)
        ]  # fmt: skip
        slope = np.sum(gradient.K[layer] * P) + np.sum(gradient.K_sigma[layer] * Q)
        assert (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h) == pytest.approx(slope, rel=1e-6)
    D = rng.normal(size=view.outputs.shape)
    ends = [covariance_loss(moved(view, outputs=view.outputs + t * D), problem, tikhonov=tikhonov) for t in (-h, h)]
    assert (ends[1] - ends[0]) / (2 * h) == pytest.approx(np.sum(gradient.outputs * D), rel=1e-6)


@given(seed=seeds, sigma=sigmas, beta=betas, t=st.floats(0.05, 0.95), layer=st.integers(0, 1))
def test_partially_convex(seed, sigma, beta, t, layer):
    """Prop. 5: between two members of the cone, all else fixed, L^k lies below the chord; and between two outputs."""
    problem, network = random_case(seed, sigma, beta, [8, 8], N=4)
    rng = np.random.default_rng(seed)
    view = covariances(network.forward(problem.X), sigma, beta)
    pairs = [atoms_covariances(rng.normal(size=(k, 4)), sigma, beta) for k in (5, 9)]
    between = [t * one + (1 - t) * other for one, other in zip(*pairs, strict=True)]
    assert cone_residual(*between, sigma, beta) <= 1e-12
    ends = [covariance_loss(moved(view, *pair, layer=layer), problem, tikhonov=1e-3) for pair in pairs]
    middle = covariance_loss(moved(view, *between, layer=layer), problem, tikhonov=1e-3)
    assert middle <= (t * ends[0] + (1 - t) * ends[1]) * (1 + 1e-9)
    outputs = rng.normal(size=(2, *view.outputs.shape))
    ends = [covariance_loss(moved(view, outputs=Z), problem, tikhonov=1e-3) for Z in outputs]
    middle = covariance_loss(moved(view, outputs=t * outputs[0] + (1 - t) * outputs[1]), problem, tikhonov=1e-3)
    assert middle <= (t * ends[0] + (1 - t) * ends[1]) * (1 + 1e-9)


def test_not_convex_in_all_covariances_together():
    """One point: L^k = k_1 + k_2/k_1, which lies above its chord between (1, 0) and (3, 3)."""
    problem = Problem([[1.0]], [[0.0]], lam=1.0, beta=0.0, depth=3)
    values = []
    for k_1, k_2 in ((1.0, 0.0), (3.0, 3.0), (2.0, 1.5)):
        K_1, K_2 = np.array([[k_1]]), np.array([[k_2]])
        values.append(covariance_loss(Covariances((K_1, K_2, 0.0 * K_1), (K_1, K_2), 0.0 * K_1), problem))
    assert values == pytest.approx([1.0, 4.0, 2.75])
    assert values[2] > (values[0] + values[1]) / 2


def test_pairs_outside_the_cone_are_noticed():
    relu = SIGMAS[0]
    K, K_sigma = atoms_covariances(np.random.default_rng(0).normal(size=(4, 3)), relu, 2.0)
    assert cone_residual(K, K_sigma, relu, 2.0) <= 1e-14
    assert cone_residual(K, K_sigma - 5.0 * np.eye(3), relu, 2.0) > 0.1
    assert cone_residual(K, K_sigma + 5.0 * np.eye(3), relu, 2.0) > 0.1  # more than K_ii on the diagonal
    negative = np.array([[1.0, -0.5], [-0.5, 1.0]])
    assert cone_residual(negative, negative, relu, 0.0) == pytest.approx(0.5)  # σ(x)σ(x)ᵀ has no negative entry
    assert cone_residual(negative, negative, activation("linear"), 0.0) == 0.0


def test_the_counterexample_of_proposition_19(capsys):
    path = Path(__file__).parents[1] / "examples" / "prop19.py"
    example = runpy.run_path(str(path))
    for lam in (0.05, 0.3):
        shown = example["main"](lam)
        assert shown["loss"] == pytest.approx(0.5 + 2 * lam - 2 * lam**2, rel=1e-12)
        assert np.abs(shown["eigenvalues"][0]) < 1e-5 < 0.1 < shown["eigenvalues"][1]
        assert shown["distance"] <= 1e-14
        assert shown["contact"] == pytest.approx(1 / (2 * lam))
        losses = [row[1] for row in shown["rows"]]
        assert losses[0] == pytest.approx(shown["loss"]) and np.all(np.diff(losses) < 0.0)
        np.testing.assert_allclose([row[2] for row in shown["rows"]], losses, rtol=1e-9)
    assert "no local minimum of L^k" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="give a number between 0 and 1/2"):
        example["main"](0.5)
