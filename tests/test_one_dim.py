"""The 4N reduction: at most 4N neurons, the same outputs on the data, no larger norm, and a log that adds up."""

import numpy as np
import pytest

from cpcert import InputError, Network, Problem
from cpcert.activations import Activation, activation
from cpcert.networks.one_dim import merge_neurons
from cpcert.networks.reduce import reduce_network

ACTIVATIONS = [
    activation("relu"), activation("leaky_relu", 0.3), activation("leaky_relu", -0.4), activation("abs"),
    activation("linear"), Activation("steep", 0.2, -1.3),
]  # fmt: skip
BETAS = (1.0, -2.0, 0.3, 0.0)


def random_case(seed, width, N=50):
    """A network and data with what trained networks have: ties, x = 0, cusps on the data, dead and doubled neurons."""
    rng = np.random.default_rng(seed)
    sigma, beta = ACTIVATIONS[seed % 6], BETAS[(seed // 6) % 4]
    x = np.round(rng.standard_normal(N), int(rng.integers(0, 3))) if seed % 2 else rng.standard_normal(N)
    if seed % 3 == 0:
        x[rng.integers(0, N)] = 0.0
    W = rng.standard_normal((width, 1 + (beta != 0.0))) * np.exp(rng.standard_normal((width, 1)))
    V = rng.standard_normal((1, width + (beta != 0.0)))
    some = rng.random(width) < 0.3
    if beta != 0.0:
        W[some, 1] = -W[some, 0] * rng.choice(x, some.sum()) / beta
        W[rng.random(width) < 0.05, 0] = 0.0
    W[rng.random(width) < 0.05] = 0.0
    V[0, :width][rng.random(width) < 0.05] = 0.0
    W[width // 2] = W[0]
    return Network((W, V), sigma, beta), x[:, np.newaxis]


def neurons_allowed(network, X):
    """Counted by hand: patterns on the distinct inputs times two signs, the outer ones once."""
    D, sigma = len(set(X[:, 0].tolist())), network.activation
    if sigma.a_plus == sigma.a_minus:
        return 1
    if network.beta == 0.0:
        return 1 if sigma.a_plus == -sigma.a_minus else 2
    return 2 * D if sigma.a_plus == -sigma.a_minus else 4 * (D - 1) + 2


def check_reduction(network, X):
    """Everything that is promised, for one case; returns the reduction."""
    size = np.abs(network.predict(X)).max()
    merged, stage, merges = merge_neurons(network, X)
    assert merged.width == stage.width_after <= stage.bound == neurons_allowed(network, X) <= max(4 * len(X), 2)
    np.testing.assert_allclose(merged.predict(X), network.predict(X), rtol=0, atol=1e-10 * max(size, 1.0))
    before = network.balanced().norm_squared()
    assert merged.norm_squared() <= before * (1 + 1e-12)
    assert before <= network.norm_squared() * (1 + 1e-12)
    # The log: what the merges saved is what is missing, and each neuron leaves at most once.
    assert sum(merge.saved for merge in merges) == pytest.approx(before - merged.norm_squared(), abs=1e-9 * before)
    gone = [merge.absorbed for merge in merges if merge.kept != merge.absorbed]
    assert len(gone) == len(set(gone)) and not set(gone) & {merge.kept for merge in merges}
    problem = Problem(X, np.zeros(len(X)), lam=1.0, activation=network.activation, beta=network.beta)
    reduction = reduce_network(problem, network)
    final = reduction.networks[-1]
    assert reduction.kept and final.width <= reduction.bound <= len(X)
    np.testing.assert_allclose(final.predict(X), network.predict(X), rtol=0, atol=1e-10 * max(size, 1.0))
    assert final.norm_squared() <= merged.norm_squared() * (1 + 1e-12)
    return reduction


@pytest.mark.parametrize("seed", range(48))
def test_random_networks(seed):
    width = (1, 3, 30, 300)[seed % 4] if seed else 5000
    check_reduction(*random_case(seed, width, N=(50, 7, 1, 2)[seed % 5 % 4]))


@pytest.mark.campaign
def test_a_thousand_random_networks(capsys):
    """Widths up to 5000 on 50 points, every activation and sign of β."""
    widths, after, outputs, norms = [], [], [], []
    for seed in range(1000):
        width = int(np.random.default_rng(10_000 + seed).integers(1, 5001))
        network, X = random_case(20_000 + seed, width)
        reduction = check_reduction(network, X)
        widths.append(width)
        after.append([stage.width_after for stage in reduction.stages])
        merged = reduction.networks[1]
        size = max(np.abs(network.predict(X)).max(), 1.0)
        outputs.append([np.abs(n.predict(X) - network.predict(X)).max() / size for n in reduction.networks[1:]])
        before = network.balanced().norm_squared()
        norms.append(
            [merged.norm_squared() / before - 1, reduction.networks[2].norm_squared() / merged.norm_squared() - 1]
        )
    most = np.max(after, axis=0)
    with capsys.disabled():
        print(
            f"\n1000 networks of width {min(widths)} to {max(widths)}: merged to at most {most[0]} neurons, then {most[1]}"
        )
        print(f"outputs changed by at most {np.max(outputs, axis=0)}, norms rose by at most {np.max(norms, axis=0)}")


def test_the_bound_is_reached():
    """Three inputs, relu: one neuron of each sign in every pattern, 4·2 + 2 = 10 of 11; nothing can be merged."""
    X = np.array([[-1.0], [0.0], [1.0]])
    half = np.array([[1.0, 0.5], [1.0, -0.5], [-1.0, 0.5], [-1.0, -0.5], [0.0, 1.0]])
    off = np.array([[0.0, -1.0]])
    W = np.concatenate([half, half, off])
    V = np.array([[1.0] * 5 + [-1.0] * 5 + [3.0, 0.7]])
    merged, stage, merges = merge_neurons(Network((W, V), activation("relu"), 1.0), X)
    assert merged.width == stage.bound == 10
    assert [(merge.kept, merge.absorbed) for merge in merges] == [(-1, 10)]


def test_two_neurons_in_one_gap_become_their_sum():
    """u_1 + u_2 of |v|w, by hand; the cusps 0.25 and 0.5 lie between the inputs 0 and 1."""
    X = np.array([[0.0], [1.0], [2.0]])
    W, V = np.array([[4.0, -1.0], [2.0, -1.0]]), np.array([[0.5, 1.0, 0.3]])
    network = Network((W, V), activation("relu"), 1.0)
    merged, _, (merge,) = merge_neurons(network, X)
    w, v, b = merged.neurons()
    np.testing.assert_allclose(w * v[0, :, np.newaxis], [[4.0, -1.5]], rtol=1e-15)
    np.testing.assert_array_equal(b, [0.3])
    assert (merge.kept, merge.absorbed, merge.gap) == (1, 0, 1)
    lost = 2 * (np.hypot(2.0, 0.5) + np.hypot(2.0, 1.0) - np.hypot(4.0, 1.5))
    assert merge.saved == pytest.approx(lost, rel=1e-12)


def test_opposite_signs_of_slope_or_output_stay_apart():
    X = np.array([[0.0], [1.0]])
    W, V = np.array([[1.0, -0.5], [-1.0, 0.5], [1.0, -0.4]]), np.array([[1.0, 1.0, -1.0, 0.0]])
    assert merge_neurons(Network((W, V), activation("relu"), 1.0), X)[0].width == 3
    assert merge_neurons(Network((W, V), activation("abs"), 1.0), X)[0].width == 2


def test_without_biases_two_neurons_remain():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((9, 1))
    network = Network((rng.standard_normal((40, 1)), rng.standard_normal((1, 40))), activation("relu"), 0.0)
    merged, stage, _ = merge_neurons(network, X)
    assert (merged.width, stage.bound) == (2, 2)
    W, V, _ = merged.neurons()
    right = np.maximum(network.weights[0][:, 0], 0.0) @ network.weights[1][0]
    assert V[0, W[:, 0] > 0] == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize("sizes", [(1e-40, 1e40), (1e30, 1e30), (1e-30, 1e-30)])
def test_weights_of_any_size(sizes):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((6, 1))
    network = Network(
        (sizes[0] * rng.standard_normal((60, 2)), sizes[1] * rng.standard_normal((1, 61))), activation("relu"), 1.0
    )
    merged, stage, _ = merge_neurons(network, X)
    assert merged.width <= stage.bound
    scale = np.abs(network.predict(X)).max()
    np.testing.assert_allclose(merged.predict(X), network.predict(X), atol=1e-12 * scale)


def test_other_shapes_are_refused():
    rng = np.random.default_rng(2)
    for widths in ((2, 3, 1), (1, 3, 2)):
        network = Network(
            (rng.standard_normal((3, widths[0] + 1)), rng.standard_normal((widths[2], 4))), activation("relu"), 1.0
        )
        with pytest.raises(InputError, match="one input, one hidden layer, one output"):
            merge_neurons(network, rng.standard_normal((5, widths[0])))
