"""Networks: outputs survive every change of weights, proven losses hold in exact arithmetic, files keep every bit."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from cpcert.activations import Activation, activation
from cpcert.errors import InputError
from cpcert.network import (
    Network,
    features,
    loss_upper,
    outputs_with_error,
    representation_cost_upper,
    residual_bound,
)
from cpcert.problem import Problem

SIGMAS = [
    activation("relu"),
    activation("leaky_relu", 0.3),
    activation("leaky_relu", -0.7),
    activation("abs"),
    activation("linear"),
]
BETAS = [0.0, 1.0, -0.5, 3.0]
sigmas, betas = st.sampled_from(SIGMAS), st.sampled_from(BETAS)
seeds = st.integers(0, 2**32 - 1)
hidden_widths = st.lists(st.integers(1, 5), min_size=1, max_size=3)
# In one dimension neurons are aligned by chance.
generic_widths = st.lists(st.integers(2, 5), min_size=1, max_size=3)


def random_network(seed, sigma, beta, hidden, n0=3, m=2):
    """Weights of very different sizes: some neurons carry 1e-3 and some 1e3."""
    rng = np.random.default_rng(seed)
    widths, bias = [n0, *hidden, m], int(beta != 0.0)
    weights = []
    for rows, columns in zip(widths[1:], widths[:-1], strict=True):
        sizes = 10.0 ** rng.uniform(-3, 3, size=(rows, 1))
        weights.append(sizes * rng.normal(size=(rows, columns + bias)))
    return Network(tuple(weights), sigma, beta)


def points(seed, N=6, n0=3):
    return np.random.default_rng(seed + 1).normal(size=(N, n0))


def assert_same_outputs(network, other, X):
    """Equal up to rounding, measured against the sizes that a forward pass adds up."""
    expected = network.predict(X)
    magnitudes = Network(tuple(np.abs(W) for W in network.weights), activation("linear"), abs(network.beta))
    scale = magnitudes.predict(np.abs(X))
    assert np.all(np.abs(other.predict(X) - expected) <= 1e-12 * scale)


def exact_outputs(network, X):
    """Z_L in rational arithmetic, rows of fractions (m, N)."""
    sigma, beta = network.activation, Fraction(network.beta)
    a_plus, a_minus = Fraction(sigma.a_plus), Fraction(sigma.a_minus)
    columns = []
    for x in np.asarray(X).tolist():
        a = [Fraction(value) for value in x] + ([beta] if beta else [])
        for W in network.weights:
            z = [sum(Fraction(w) * value for w, value in zip(row, a, strict=True)) for row in W.tolist()]
            a = [a_plus * s if s > 0 else a_minus * s for s in z] + ([beta] if beta else [])
        columns.append(z)
    return [list(row) for row in zip(*columns, strict=True)]


def exact_norm(network):
    return sum(Fraction(w) ** 2 for W in network.weights for w in W.ravel().tolist())


# --- forward pass -----------------------------------------------------------------------------------------------


def test_forward_pass_by_hand():
    network = Network((np.array([[1.0, 2.0], [-1.0, 0.0]]), np.array([[3.0, 5.0, 7.0]])), activation("relu"), 2.0)
    Z_1, Z_2 = network.forward(np.array([[1.0], [-6.0]]))
    assert Z_1.tolist() == [[5.0, -2.0], [-1.0, 6.0]]
    assert Z_2.tolist() == [[3 * 5 + 14.0, 5 * 6 + 14.0]]
    assert network.predict(np.array([[1.0], [-6.0]])).tolist() == [[29.0], [44.0]]
    assert (network.depth, network.widths, network.width) == (2, (1, 2, 1), 2)
    assert network.norm_squared() == 1 + 4 + 1 + 9 + 25 + 49


@given(seed=seeds, sigma=sigmas, beta=betas, hidden=hidden_widths)
def test_forward_pass_agrees_with_rational_arithmetic(seed, sigma, beta, hidden):
    network, X = random_network(seed, sigma, beta, hidden), points(seed, N=3)
    Z, error = outputs_with_error(network, X)
    exact = exact_outputs(network, X)
    for i in range(2):
        for j in range(3):
            assert abs(Fraction(Z[i, j]) - exact[i][j]) <= Fraction(error[i, j])
    assert np.array_equal(Z, network.forward(X)[-1])


def test_the_error_bound_sees_cancellation_and_is_small_without_it():
    big = 2.0**60
    X = np.array([[1.0, 1.0, 1.0]])
    cancelling = Network((np.array([[big, 1.0, -big]]), np.ones((1, 1))), activation("linear"), 0.0)
    Z, error = outputs_with_error(cancelling, X)
    assert abs(Z[0, 0] - 1.0) <= error[0, 0]
    assert error[0, 0] >= 1.0  # an order of summation exists in which the 1 is lost
    harmless = Network((np.array([[1.0, 2.0, 3.0]]), np.ones((1, 1))), activation("linear"), 0.0)
    assert 0 < outputs_with_error(harmless, X)[1][0, 0] < 1e-14


def test_the_error_bound_counts_underflow_and_overflow():
    tiny = Network((np.array([[1e-200]]), np.array([[1.0]])), activation("linear"), 0.0)
    Z, error = outputs_with_error(tiny, np.array([[1e-200]]))
    assert Z[0, 0] == 0.0
    assert error[0, 0] >= 1e-308
    huge = Network((np.array([[1e200]]), np.array([[1e200]])), activation("linear"), 0.0)
    assert outputs_with_error(huge, np.ones((1, 1)))[1][0, 0] == math.inf


# --- changes that keep the outputs ------------------------------------------------------------------------------


@given(seed=seeds, sigma=sigmas, beta=betas, hidden=hidden_widths)
def test_balanced_keeps_outputs_and_lowers_the_norm(seed, sigma, beta, hidden):
    network, X = random_network(seed, sigma, beta, hidden), points(seed)
    balanced = network.balanced()
    assert_same_outputs(network, balanced, X)
    assert balanced.norm_squared() <= network.norm_squared() * (1 + 1e-14)
    for W, following in zip(balanced.weights[:-1], balanced.weights[1:], strict=True):
        incoming, outgoing = np.linalg.norm(W, axis=1), np.linalg.norm(following[:, : len(W)], axis=0)
        np.testing.assert_allclose(incoming, outgoing, rtol=1e-9)


@given(seed=seeds, sigma=sigmas, beta=betas, c=st.floats(1e-3, 1e3))
def test_balancing_finds_the_smallest_norm_among_rescalings(seed, sigma, beta, c):
    network = random_network(seed, sigma, beta, [2, 3])
    W_1, W_2, W_3 = network.weights
    W_1, W_2 = W_1.copy(), W_2.copy()
    W_1[0] *= c
    W_2[:, 0] /= c
    rescaled = Network((W_1, W_2, W_3), sigma, beta)
    assert rescaled.balanced().norm_squared() == pytest.approx(network.balanced().norm_squared(), rel=1e-9)


@given(
    seed=seeds, sigma=sigmas, beta=betas, hidden=generic_widths, where=st.sampled_from(["incoming", "outgoing", "both"])
)
def test_dead_neurons_disappear_without_a_trace(seed, sigma, beta, hidden, where):
    network, X = random_network(seed, sigma, beta, hidden), points(seed)
    rng = np.random.default_rng(seed)
    layer = int(rng.integers(len(hidden)))
    at = int(rng.integers(hidden[layer] + 1))
    weights = list(network.weights)
    incoming = np.zeros(weights[layer].shape[1]) if where != "outgoing" else rng.normal(size=weights[layer].shape[1])
    outgoing = np.zeros(len(weights[layer + 1])) if where != "incoming" else rng.normal(size=len(weights[layer + 1]))
    weights[layer] = np.insert(weights[layer], at, incoming, axis=0)
    weights[layer + 1] = np.insert(weights[layer + 1], at, outgoing, axis=1)
    padded = Network(tuple(weights), sigma, beta)
    assert_same_outputs(network, padded, X)
    cleaned = padded.without_dead_neurons()
    assert [W.tolist() for W in cleaned.weights] == [W.tolist() for W in network.weights]
    assert padded.balanced().without_dead_neurons().widths == network.widths
    assert padded.merged().without_dead_neurons().widths == network.widths


def test_a_neuron_that_only_feeds_dead_neurons_dies_too():
    network = Network((np.ones((1, 1)), np.ones((1, 1)), np.zeros((1, 1))), activation("relu"), 0.0)
    empty = network.without_dead_neurons()
    assert empty.widths == (1, 0, 0, 1)
    assert empty.predict(np.ones((2, 1))).tolist() == [[0.0], [0.0]]
    weak = Network((np.array([[1.0], [1e-6]]), np.array([[1.0, 1e-6]])), activation("relu"), 0.0)
    assert weak.without_dead_neurons().width == 2
    assert weak.without_dead_neurons(1e-9).width == 1


@given(seed=seeds, sigma=sigmas, beta=betas, hidden=generic_widths, copies=st.integers(1, 3))
def test_split_neurons_merge_again(seed, sigma, beta, hidden, copies):
    network, X = random_network(seed, sigma, beta, hidden).balanced(), points(seed)
    rng = np.random.default_rng(seed)
    layer = int(rng.integers(len(hidden)))
    weights = [W.copy() for W in network.weights]
    for _ in range(copies):
        at, c, share = int(rng.integers(hidden[layer])), 10.0 ** rng.uniform(-2, 2), rng.uniform(-1, 1)
        mirror = -1.0 if (sigma.is_even or sigma.is_odd) and rng.random() < 0.5 else 1.0
        part = weights[layer + 1][:, at].copy()
        weights[layer + 1][:, at] = (1 - share) * part
        weights[layer] = np.vstack([weights[layer], mirror * c * weights[layer][at]])
        new = (mirror if sigma.is_odd else 1.0) * share * part / c
        weights[layer + 1] = np.insert(weights[layer + 1], len(weights[layer]) - 1, new, axis=1)
    split = Network(tuple(weights), sigma, beta)
    merged = split.merged()
    assert_same_outputs(split, merged, X)
    assert merged.norm_squared() <= split.norm_squared() * (1 + 1e-12)
    assert merged.widths == network.widths
    assert merged.balanced().norm_squared() == pytest.approx(network.norm_squared(), rel=1e-9)


@given(seed=seeds, sigma=sigmas, beta=betas, rtol=st.sampled_from([1e-9, 0.1, 0.5]))
def test_merging_changes_outputs_by_no_more_than_it_says(seed, sigma, beta, rtol):
    network, X = random_network(seed, sigma, beta, [12]), points(seed)
    merged = network.merged(rtol)
    assert merged.norm_squared() <= network.norm_squared() * (1 + 1e-12)
    _, V, _ = network.neurons()
    sizes = np.linalg.norm(np.column_stack([X, np.full(len(X), beta)]), axis=1)
    allowed = rtol * sigma.lipschitz * sizes * np.linalg.norm(V, axis=0).sum()
    change = np.linalg.norm(merged.predict(X) - network.predict(X), axis=1)
    assert np.all(change <= allowed + 1e-11 * sizes * np.linalg.norm(V, axis=0).sum())


def test_opposite_neurons_merge_only_where_sigma_is_even_or_odd():
    W, V = np.array([[1.0, 2.0], [-1.0, -2.0]]), np.array([[3.0, 1.0]])
    widths = {sigma.name: Network((W, V), sigma, 0.0).merged().width for sigma in SIGMAS}
    assert widths == {"relu": 2, "leaky_relu": 2, "abs": 1, "linear": 1}
    cancelling = Network((W, np.array([[3.0, 3.0]])), activation("linear"), 0.0)
    assert cancelling.merged().width == 0


# --- neurons ----------------------------------------------------------------------------------------------------


@given(seed=seeds, sigma=sigmas, beta=betas, k=st.integers(0, 4))
def test_neurons_and_networks_are_the_same_function(seed, sigma, beta, k):
    rng = np.random.default_rng(seed)
    X = points(seed)
    W, V = 10.0 ** rng.uniform(-3, 3, size=(k, 1)) * rng.normal(size=(k, 3 + (beta != 0))), rng.normal(size=(2, k))
    b = rng.normal(size=2) if beta else None
    network = Network.from_neurons(W, V, b, sigma, beta)
    X_tilde = np.vstack([X.T, np.full(len(X), beta)]) if beta else X.T
    expected = V @ sigma(W @ X_tilde) + (beta * b[:, None] if beta else 0.0)
    np.testing.assert_allclose(network.predict(X).T, expected, rtol=1e-10, atol=1e-10 * np.linalg.norm(W))
    cost = 2 * np.sum(np.linalg.norm(W, axis=1) * np.linalg.norm(V, axis=0)) + (b @ b if beta else 0.0)
    assert network.norm_squared() == pytest.approx(cost, rel=1e-12)
    W_hat, V_back, b_back = network.neurons()
    np.testing.assert_allclose(np.linalg.norm(W_hat, axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(W_hat * np.linalg.norm(W, axis=1)[:, None], W, rtol=1e-12)
    np.testing.assert_allclose(V_back, V * np.linalg.norm(W, axis=1), rtol=1e-12)
    assert (b_back is None) == (beta == 0.0)
    if b is not None:
        assert b_back.tolist() == b.tolist()


def test_neurons_drop_the_dead_and_keep_a_missing_bias_zero():
    network = Network.from_neurons(
        np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 1.0, 0.0]]), None, activation("relu"), 1.0
    )
    W_hat, V, b = network.neurons()
    assert (W_hat.tolist(), V.tolist(), b.tolist()) == ([[1.0, 0.0]], [[1.0]], [0.0])


# --- loss -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "logistic"])
@settings(max_examples=30)
@given(seed=seeds, sigma=sigmas, beta=betas, width=st.integers(0, 4), lam=st.sampled_from([1e-9, 0.1, 10.0]))
def test_loss_upper_bounds_the_exact_loss(loss, seed, sigma, beta, width, lam):
    rng = np.random.default_rng(seed)
    X = points(seed, N=3)
    labels = rng.integers(2, size=3)
    Y = {"mse": rng.normal(size=(3, 2)), "cross_entropy": np.eye(2)[labels], "logistic": rng.choice([-1, 1], (3, 2))}
    problem = Problem(X, Y[loss], lam=lam, loss=loss, activation=sigma, beta=beta)
    network = Network.from_neurons(rng.normal(size=(width, problem.n)), rng.normal(size=(2, width)), None, sigma, beta)
    Z, targets = exact_outputs(network, X), problem.targets.tolist()
    penalty = Fraction(lam) * exact_norm(network)
    with localcontext() as context:
        context.prec = 50
        if loss == "mse":
            cells = [
                (z - Fraction(y)) ** 2 for zs, ys in zip(Z, targets, strict=True) for z, y in zip(zs, ys, strict=True)
            ]
            fit = as_decimal(sum(cells))
        elif loss == "logistic":
            cells = [-Fraction(y) * z for zs, ys in zip(Z, targets, strict=True) for z, y in zip(zs, ys, strict=True)]
            fit = sum((1 + as_decimal(t).exp()).ln() for t in cells)
        else:
            log_sums = [sum(as_decimal(z).exp() for z in column).ln() for column in zip(*Z, strict=True)]
            fit = sum(log_sums) - as_decimal(sum(Z[label][i] for i, label in enumerate(labels.tolist())))
        exact = fit / 3 + as_decimal(penalty)
    upper = loss_upper(network, problem)
    assert Decimal(upper) >= exact
    # The allowance is relative to the outputs, which may be larger than the loss.
    size = max(1.0, max(abs(float(z)) for column in Z for z in column))
    assert upper == pytest.approx(float(exact), rel=1e-13, abs=1e-13 * size)
    assert network.loss(problem) == pytest.approx(upper, rel=1e-12)


def as_decimal(q):
    return Decimal(q.numerator) / Decimal(q.denominator)


@given(seed=seeds, sigma=sigmas, beta=betas)
def test_interpolation_reports_norm_and_residual_apart(seed, sigma, beta):
    X = points(seed, N=3)
    network = random_network(seed, sigma, beta, [3]).balanced()
    Y = network.predict(X) + np.random.default_rng(seed).choice([0.0, 1e-13, 1.0], size=(3, 2))
    problem = Problem(X, Y, loss="interpolate", activation=sigma, beta=beta)
    cost = representation_cost_upper(network)
    assert Fraction(cost) >= exact_norm(network)
    assert cost == pytest.approx(network.norm_squared(), rel=1e-14)
    assert network.loss(problem) == network.norm_squared()
    R, E = residual_bound(network, problem)
    Z = exact_outputs(network, X)
    for i in range(2):
        for j in range(3):
            assert abs(Z[i][j] - Fraction(Y[j, i]) - Fraction(R[i, j])) <= Fraction(E[i, j])
    assert network.residual(problem) == np.max(np.abs(R))
    assert loss_upper(network, problem) == math.inf


def test_a_network_must_fit_the_problem():
    X, Y = np.ones((2, 1)), np.ones((2, 1))
    problem = Problem(X, Y, lam=1.0)
    relu = activation("relu")
    wrong = {
        r"beta: the network has beta = 0.0, the problem beta = 1.0": Network(
            (np.ones((1, 1)), np.ones((1, 1))), relu, 0.0
        ),
        "activation: the network has .*abs": Network((np.ones((1, 2)), np.ones((1, 2))), activation("abs"), 1.0),
        "depth: the network has depth 3": Network((np.ones((1, 2)),) * 3, relu, 1.0),
        "network: maps 2 inputs to 1 outputs, the problem has 1": Network(
            (np.ones((1, 3)), np.ones((1, 2))), relu, 1.0
        ),
        "network: maps 1 inputs to 3 outputs": Network((np.ones((1, 2)), np.ones((3, 2))), relu, 1.0),
    }
    for message, network in wrong.items():
        for use in (network.loss, network.residual, lambda p, n=network: loss_upper(n, p)):
            with pytest.raises(InputError, match=message):
                use(problem)
    renamed = Network((np.ones((1, 2)), np.ones((1, 2))), Activation("mine", 1.0, 0.0), 1.0)
    assert renamed.loss(problem) > 0  # only the slopes count


# --- validation and files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "beta", "message"),
    [
        ((np.ones((1, 2)),), 0.0, "weights: 1 layer"),
        ((np.ones((1, 2)), np.ones(2)), 0.0, r"W2: has shape \(2,\); give a matrix"),
        (
            (np.ones((3, 2)), np.ones((1, 3))),
            1.0,
            "W2: has 3 columns; W1 has 3 rows, so with beta = 1.0 it must have 4",
        ),
        (
            (np.ones((3, 2)), np.ones((1, 4))),
            0.0,
            "W2: has 4 columns; W1 has 3 rows, so with beta = 0.0 it must have 3",
        ),
        ((np.array([[1.0, math.nan]]), np.ones((1, 1))), 0.0, "W1: row 0, column 1 is nan"),
        ((np.ones((1, 2)), np.ones((1, 1))), math.inf, "beta: inf is not a bias scale"),
        ((np.ones((1, 0)), np.ones((1, 2))), 1.0, "W1: has no columns"),
    ],
)
def test_weights_that_are_no_network_are_refused(weights, beta, message):
    with pytest.raises(InputError, match=message):
        Network(weights, activation("relu"), beta)


def test_other_wrong_shapes_are_refused():
    relu = activation("relu")
    with pytest.raises(InputError, match=r"X: has shape \(2, 3\); the network takes \(N, 1\)"):
        Network((np.ones((1, 2)), np.ones((1, 2))), relu, 1.0).predict(np.ones((2, 3)))
    with pytest.raises(InputError, match="neurons: W has shape"):
        Network.from_neurons(np.ones((2, 3)), np.ones((1, 3)), None, relu, 0.0)
    with pytest.raises(InputError, match="b: a network with beta = 0 has no output bias"):
        Network.from_neurons(np.ones((2, 3)), np.ones((1, 2)), np.ones(1), relu, 0.0)
    with pytest.raises(InputError, match=r"b: has shape \(3,\); give one number per output, shape \(1,\)"):
        Network.from_neurons(np.ones((2, 3)), np.ones((1, 2)), np.ones(3), relu, 1.0)
    with pytest.raises(InputError, match="depth: neurons are those of a network of depth 2"):
        Network((np.ones((1, 1)),) * 3, relu, 0.0).neurons()


def test_weights_are_read_only_copies():
    W = np.ones((1, 1))
    network = Network((W, W), activation("relu"), 0.0)
    W[0, 0] = 5.0
    assert network.weights[0][0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        network.weights[0][0, 0] = 2.0


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("hidden", [[4], [0], [2, 3]])
def test_files_keep_every_bit(tmp_path, sigma, beta, hidden):
    network = random_network(3, sigma, beta / 3, hidden)
    network.save(tmp_path / "model.safetensors")
    loaded = Network.load(tmp_path / "model.safetensors")
    assert (loaded.activation, loaded.beta) == (network.activation, network.beta)
    for mine, theirs in zip(network.weights, loaded.weights, strict=True):
        assert mine.shape == theirs.shape
        assert mine.tobytes() == theirs.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    Network.load(tmp_path / "model.safetensors", activation=sigma, beta=network.beta)


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    network = random_network(3, SIGMAS[0], 1.0, [4])
    network.save(path)
    before = path.read_bytes()

    def full_disk(self, data):
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError("No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        random_network(4, SIGMAS[0], 1.0, [4]).save(path)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_files_without_metadata_need_activation_and_beta(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"W1": np.ones((2, 2), np.float32), "W2": np.ones((1, 3), np.float32)}, path)
    with pytest.raises(InputError, match="does not say its activation and beta"):
        Network.load(path)
    network = Network.load(path, activation=activation("relu"), beta=1.0)
    assert network.weights[0].dtype == np.float64
    assert network.widths == (1, 2, 1)


W, META = np.ones((1, 1)), {"activation": "relu", "a_plus": "1.0", "a_minus": "0.0", "beta": "0.0"}


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"W1": W, "weight": W}, META, "holds W1, weight; a model holds the tensors W1, W2"),
        ({}, META, "holds nothing"),
        ({"W1": W, "W3": W}, META, "holds W1, W3"),
        ({"W1": W, "W2": np.ones((1, 1), np.int64)}, META, "W2 has type I64; weights must be floating point"),
        ({"W1": W, "W2": np.full((1, 1), np.nan)}, META, "W2: row 0, column 0 is nan"),
        ({"W1": W, "W2": np.ones((1, 2))}, META, "W2: has 2 columns"),
        ({"W1": W, "W2": W}, {**META, "beta": "half"}, "unreadable metadata"),
        ({"W1": W, "W2": W}, {"beta": "0.0"}, "unreadable metadata .*activation"),
        ({"W1": W, "W2": W}, {**META, "a_plus": "nan"}, "unreadable metadata .*a_plus: nan is not a slope"),
    ],
)
def test_files_that_are_no_network_are_refused(tmp_path, tensors, metadata, message):
    save_file(tensors, tmp_path / "bad.safetensors", metadata)
    with pytest.raises(InputError, match=f"bad.safetensors: .*{message}"):
        Network.load(tmp_path / "bad.safetensors")


def test_files_that_are_no_safetensors_or_say_something_else_are_refused(tmp_path):
    path = tmp_path / "bad.safetensors"
    with pytest.raises(InputError, match="no such file"):
        Network.load(path)
    path.write_bytes(b"not a model")
    with pytest.raises(InputError, match="not a readable safetensors model"):
        Network.load(path)
    save_file({"W1": W, "W2": W}, path, META)
    with pytest.raises(InputError, match=r"is a network with relu, beta = 0\.0, not the one asked for"):
        Network.load(path, beta=1.0)
    with pytest.raises(InputError, match="is a network with relu"):
        Network.load(path, activation=activation("abs"))


def test_features_append_the_bias_row():
    Z = np.array([[-1.0, 2.0]])
    assert features(Z, activation("relu"), -0.5).tolist() == [[0.0, 2.0], [-0.5, -0.5]]
    assert features(Z, activation("relu"), 0.0).tolist() == [[0.0, 2.0]]
