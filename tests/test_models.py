"""Networks that others have trained: files, modules and scikit-learn models are read as what they are, or refused by name."""

import collections
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cpcert import InputError, Problem, read_model
from cpcert.cli import main
from cpcert.models.read import read

FILES = Path(__file__).parent / "files" / "models"


def problem(loss="mse", beta=1.0, n0=2, m=1, depth=2, activation="relu", slope=None):
    rng = np.random.default_rng(3)
    X, Z = rng.standard_normal((12, n0)), rng.standard_normal((12, m))
    if loss == "logistic":
        Z = np.where(Z > 0.0, 1.0, -1.0)
    if loss == "cross_entropy":
        Z = np.eye(m)[Z.argmax(axis=1)]
    return Problem(X, Z, lam=1e-2, loss=loss, beta=beta, depth=depth, activation=activation, slope=slope)


def random_state(widths, names, seed=0, dtype=np.float64):
    """NAME.weight and NAME.bias for each layer of a chain of these widths."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, n, k in zip(names, widths, widths[1:], strict=False):
        state[f"{name}.weight"] = rng.standard_normal((k, n)).astype(dtype)
        state[f"{name}.bias"] = rng.standard_normal(k).astype(dtype)
    return state


def applied(state, names, X, activation=lambda Z: np.maximum(Z, 0.0)):
    """The outputs of the layers `names` of a state dict, in this order."""
    A = X
    for name in names:
        Z = A @ np.asarray(state[f"{name}.weight"], dtype=np.float64).T
        if f"{name}.bias" in state:
            Z = Z + np.asarray(state[f"{name}.bias"], dtype=np.float64)
        A = activation(Z)
    return Z


# -- the order of the layers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "widths"),
    [
        (["out", "fc2", "fc1"], [2, 5, 4, 1]),  # the shapes decide, whatever the declaration
        (["net.0", "net.2", "net.4"], [2, 2, 2, 1]),  # the numbers do
        (["fc1", "fc2", "out"], [2, 2, 2, 1]),  # numbers for two of them, shapes for the last
        (["out", "fc1", "fc2"], [2, 2, 2, 1]),
        (["m.0.0", "m.1.0", "m.2"], [2, 2, 2, 1]),  # a Sequential inside another
        (["layer9", "layer10", "layer11"], [1, 1, 1, 1]),
    ],
)
def test_orders_that_are_decided(declared, widths):
    names = sorted(declared, key=lambda name: (name in ("out", "m.2"), len(name), name))
    p = problem(n0=widths[0], m=widths[-1], depth=3)
    by_name = random_state(widths, names)
    state = {key: by_name[key] for name in declared for key in (f"{name}.weight", f"{name}.bias")}
    np.testing.assert_allclose(read_model(state, p).predict(p.X), applied(state, names, p.X), rtol=1e-12)


@pytest.mark.parametrize(
    ("names", "widths", "message"),
    [
        (["second", "first", "head"], [2, 2, 2, 1], "second .2 → 2., first.*more than one order.*--layers"),
        (["head", "second", "first"], [2, 2, 2, 1], "more than one order"),
        (["a.0", "b.0", "a.2"], [2, 2, 2, 1], "more than one order"),
        (["fc2", "fc1", "out"], [2, 2, 2, 1], "more than one order"),  # declared against the numbers
        (["2", "0", "4"], [2, 5, 4, 1], "do not chain in the order of the numbers"),
        (["0", "5", "2"], [2, 3, 4, 1], "do not chain in the order of the numbers"),
        (["0", "1", "3"], [2, 3, 4, 1], "0 and 1 are neighbours in a Sequential"),
        (["0", "1", "2"], [2, 3, 4, 1], "0 and 1 are neighbours in a Sequential"),
        (["net.0", "net.2", "net.3"], [2, 3, 4, 1], "net.2 and net.3 are neighbours"),
        (["0", "2", "4"], [3, 3, 3, 1], "no order of the layers"),
        (["0", "2"], [2, 3, 1], "has depth 2.*the instance has depth 3"),
        (["embedding", "fc1", "fc2"], [2, 3, 4, 1], "embedding by its name"),
        ([f"l{chr(97 + k)}" for k in range(9)], [2] * 9 + [1], "has depth 9"),
    ],
)
def test_orders_that_are_not_decided(names, widths, message):
    p = problem(depth=3)
    state = random_state(widths, names)
    if names[0] == "embedding":
        del state["embedding.bias"]
    with pytest.raises(InputError, match=message):
        read_model(state, p)


def test_long_networks_are_ordered_by_numbers_alone():
    p = problem(depth=10)
    widths = [2] * 10 + [1]
    names = [f"body.{k}.lin" for k in range(10)]
    state = random_state(widths, names)
    np.testing.assert_allclose(read_model(state, p).predict(p.X), applied(state, names, p.X), rtol=1e-9)
    for wrong in (random_state(widths, [f"l{chr(97 + k)}" for k in range(10)]), dict(reversed(state.items()))):
        with pytest.raises(InputError, match=r"more than one order|do not order all layers"):
            read_model(wrong, p)


def test_the_user_says_the_order():
    p = problem(depth=3)
    state = random_state([2, 2, 2, 1], ["net.second", "net.first", "net.head"])
    for layers, order in [
        ("first, second,head", ["net.first", "net.second", "net.head"]),
        (["net.second", "net.first", "net.head"], ["net.second", "net.first", "net.head"]),
    ]:
        found = read(state, p, layers)
        np.testing.assert_allclose(found.network.predict(p.X), applied(state, order, p.X), rtol=1e-12)
        assert all(name in found.assumed for name in order)
    for layers, message in [
        ("first,second", "names 2 layers"),
        ("first,first,head", "twice"),
        ("first,second,tail", "'tail' is not a layer.*net.second"),
        ("head,first,second", "do not lead from 2 features"),
        ("", "no list of names"),
    ]:
        with pytest.raises(InputError, match=message):
            read_model(state, p, layers)
    # Of two networks in one file, the one that is named.
    both = random_state([2, 3, 1], ["actor.0", "actor.2"]) | random_state([2, 3, 1], ["critic.0", "critic.2"], seed=1)
    q = problem()
    found = read_model(both, q, "critic.0,critic.2").predict(q.X)
    np.testing.assert_allclose(found, applied(both, ["critic.0", "critic.2"], q.X), rtol=1e-12)


def test_state_dicts():
    p = problem(beta=2.0)
    rng = np.random.default_rng(0)
    A, a, B, b = (
        rng.standard_normal((4, 2)),
        rng.standard_normal(4),
        rng.standard_normal((1, 4)),
        rng.standard_normal(1),
    )
    network = read_model({"0.weight": A, "0.bias": a, "2.weight": B, "2.bias": b}, p)
    by_hand = np.maximum(p.X @ A.T + a, 0.0) @ B.T + b
    np.testing.assert_allclose(network.predict(p.X), by_hand, rtol=1e-12)
    assert network.norm_squared() == pytest.approx(sum(np.sum(W**2) for W in (A, B, a / 2.0, b / 2.0)))
    free = problem(beta=0.0)
    assert read_model({"a.weight": A, "b.weight": B}, free).weights[0].shape == (4, 2)
    for state, message in [
        ({"0.weight": A, "0.bias": a, "2.weight": B}, "beta = 0"),
        ({"conv.weight": np.zeros((2, 2, 3, 3))}, "not part of a Linear layer"),
        ({"0.weight": A, "1.running_mean": a}, "1 is a BatchNorm layer"),
    ]:
        with pytest.raises(InputError, match=message):
            read_model(state, free)
    with pytest.raises(InputError, match="has a bias but no weight"):
        read_model({"0.weight": A, "2.weight": B, "5.bias": b}, p)


def onnx_file(path, nodes, tensors, inputs=("x",), outputs=("y",)):
    """An ONNX file of (operator, inputs, output, attributes) and named arrays."""
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    value = onnx.helper.make_tensor_value_info
    made = [onnx.helper.make_node(op, given, [out], name=f"the-{out}", **more) for op, given, out, more in nodes]
    graph = onnx.helper.make_graph(
        made, "net", [value(name, 1, None) for name in inputs], [value(name, 1, None) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(graph), path)


def test_onnx_files(tmp_path):
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    p, path = problem(beta=2.0), tmp_path / "model.onnx"
    rng = np.random.default_rng(0)
    A, a = rng.standard_normal((4, 2)).astype(np.float32), rng.standard_normal(4).astype(np.float32)
    B, b = rng.standard_normal((1, 4)).astype(np.float32), rng.standard_normal(1).astype(np.float32)
    tensors = {"A": A, "a": a, "AT": A.T.copy(), "B": B, "b": b, "BT": B.T.copy()}
    expected = np.maximum(p.X @ A.T.astype(float) + a, 0.0) @ B.T.astype(float) + b
    gemm = [
        ("Gemm", ["x", "A", "a"], "h", {"transB": 1}),
        ("Relu", ["h"], "r", {}),
        ("Gemm", ["r", "BT", "b"], "y", {}),
    ]
    matmul = [
        ("Identity", ["x"], "i", {}), ("MatMul", ["i", "AT"], "m", {}), ("Add", ["a", "m"], "h", {}), ("Relu", ["h"], "r", {}),
        ("MatMul", ["r", "BT"], "n", {}), ("Add", ["n", "b"], "y", {}),
    ]  # fmt: skip
    for nodes in (gemm, matmul):
        onnx_file(path, nodes, tensors)
        np.testing.assert_allclose(read_model(path, p).predict(p.X), expected, rtol=1e-12)
    leaky = [gemm[0], ("LeakyRelu", ["h"], "r", {"alpha": 0.3}), gemm[2]]
    onnx_file(path, leaky, tensors)
    slopes = Problem(p.X, p.Y, lam=1e-2, beta=2.0, activation="leaky_relu", slope=0.3)
    assert read_model(path, slopes).activation == slopes.activation
    linear = Problem(p.X, p.Y, lam=1e-2, beta=2.0, activation="linear")
    # In a file of float64 the slope is a float32 all the same.
    onnx_file(path, [("Cast", ["x"], "d", {"to": 11}), ("Gemm", ["d", "A", "a"], "h", {"transB": 1}), *leaky[1:]],
              {key: value.astype(float) for key, value in tensors.items()})  # fmt: skip
    assert read_model(path, slopes).activation == slopes.activation
    onnx_file(path, [gemm[0], ("Gemm", ["h", "BT", "b"], "y", {})], tensors)
    np.testing.assert_allclose(read_model(path, linear).predict(p.X), (p.X @ A.T + a) @ B.T + b, rtol=1e-6)
    for nodes, message in [
        (leaky, "LeakyRelu the-r has the left slope 0.3, the activation of the instance 0"),
        ([gemm[0], ("Sigmoid", ["h"], "r", {}), gemm[2]], "has Sigmoid, which may end a network with the loss logistic"),
        ([gemm[0], ("Gemm", ["h", "BT", "b"], "y", {})], "follows a linear layer without an activation"),
        (gemm[:2], "does not end with a linear layer"),
        ([("Relu", ["x"], "h", {}), *gemm[1:]], "comes before a linear layer"),
        ([gemm[0], ("Relu", ["h"], "r", {}), ("Add", ["h", "r"], "s", {}), ("Gemm", ["s", "BT"], "y", {})], "is not a step"),
        ([*gemm[:2], ("Gemm", ["r", "BT", "a"], "y", {})], "bias of shape"),
        ([*gemm[:2], ("MatMul", ["r", "b"], "y", {})], "a matrix is needed"),
        ([("Gemm", ["x", "BT", "b"], "h", {}), gemm[1], ("Gemm", ["r", "b"], "y", {})], "takes 4 numbers, and 2 come"),
    ]:  # fmt: skip
        onnx_file(path, nodes, tensors)
        with pytest.raises(InputError, match=message):
            read_model(path, p)
    model = onnx.load(path)
    del model.graph.node[0].output[:]
    onnx.save(model, path)
    with pytest.raises(InputError, match="a node without an output"):
        read_model(path, p)
    onnx_file(path, gemm, tensors, inputs=("x", "z"))
    with pytest.raises(InputError, match="has 2 inputs"):
        read_model(path, p)
    onnx_file(path, gemm, {**tensors, "A": np.array([["x", "y"]])})
    with pytest.raises(InputError, match=r"A cannot be read|of shape .1, 2., type object"):
        read_model(path, p)
    onnx_file(path, gemm, tensors)
    model = onnx.load(path)
    model.graph.initializer[0].data_type = 99
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"A cannot be read|of shape .1, 2., type object"):
        read_model(path, p)
    path.write_bytes(b"no protobuf")
    with pytest.raises(InputError, match="is not an ONNX file"):
        read_model(path, p)
    with pytest.raises(InputError, match="cannot be read"):
        read_model(str(tmp_path / "none.onnx"), p)


def test_files_of_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="the extra train is not installed")
    from torch.nn import BatchNorm1d, Conv2d, Linear, ReLU, Sequential

    p, free = problem(beta=2.0), problem(beta=0.0)
    path = tmp_path / "model.pt"
    model = Sequential(Linear(2, 4), ReLU(), Linear(4, 1))
    torch.save(model.state_dict(), path)
    outputs = model.double()(torch.from_numpy(p.X.copy())).detach().numpy()
    np.testing.assert_allclose(read_model(path, p).predict(p.X), outputs, rtol=1e-12)
    torch.save(model.half().state_dict(), path)
    np.testing.assert_allclose(read_model(path, p).predict(p.X), outputs, atol=1e-2)
    torch.save(Sequential(Linear(2, 4, bias=False), ReLU(), Linear(4, 1, bias=False)).state_dict(), path)
    assert read_model(path, free).widths == read_model(path, p).widths == (2, 4, 1)

    ruined = Sequential(Linear(2, 4), ReLU(), Linear(4, 1)).state_dict()
    ruined["0.weight"][1, 0] = float("nan")
    for saved, message in [
        (ruined, "W1: row 1, column 0 is nan"),
        (model, "is a whole torch.nn.modules.container.Sequential"),
        ({"model": model, "epoch": 3}, "a whole module: model .torch.nn.modules.container.Sequential.*save model.state_dict"),
        (Sequential(Linear(3, 4), ReLU(), Linear(4, 1)).state_dict(), "no order of the layers 0 .3 → 4.,"),
        (Sequential(Linear(2, 4), ReLU(), Linear(5, 1)).state_dict(), "no order of the layers .*5 → 1"),
        (Sequential(Linear(2, 4), ReLU(), Linear(4, 4), ReLU(), Linear(4, 1)).state_dict(), "depth 3"),
        (Sequential(Conv2d(1, 2, 3), Linear(2, 1)).state_dict(), "not part of a Linear layer"),
        (Sequential(Linear(2, 4), BatchNorm1d(4, track_running_stats=False), Linear(4, 1)).state_dict(), "not part of"),
        ({"scale": torch.tensor(1.0)}, "not part of a Linear layer"),
        ({"0.weight": torch.ones(4, 2, dtype=torch.int64)}, "floating point"),
        ({"0.weight": torch.ones(4, 2).to_sparse()}, "dense"),
    ]:  # fmt: skip
        torch.save(saved, path)
        with pytest.raises(InputError, match=message):
            read_model(path, p)
    for content in (b"", b"no pickle", pickle.dumps(print), path.read_bytes()[:300]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not a state dict that can be read safely"):
            read_model(path, p)


# -- files of PyTorch --------------------------------------------------------------------------------------------------


class Options:
    """What a training script puts into its checkpoint."""

    def __init__(self):
        self.rate = 0.1


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="the extra train is not installed")


def tensors(torch, state, prefix=""):
    return {prefix + key: torch.from_numpy(np.array(value)) for key, value in state.items()}


def test_checkpoints(torch, tmp_path):
    p, state = problem(), random_state([2, 4, 1], ["0", "2"])
    optimizer = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(2, 2)}}, "param_groups": [{"lr": 0.1}]}
    rest = {"optimizer": optimizer, "loss": np.float64(0.3), "history": np.ones(3), "args": Options()}
    best = {"callbacks": {"best_k_models": {"/a/epoch=1.ckpt": torch.tensor(0.3)}}, "path": Path("a"), "epoch": 3}
    expected = applied(state, ["0", "2"], p.X)
    for suffix, wrap in [
        (".pt", lambda s: s),
        (".bin", lambda s: {"state_dict": s, **rest}),
        (".ckpt", lambda s: {"state_dict": s, **best}),
        (".pth.tar", lambda s: {"model": {"model_state_dict": s}, "epoch": 3}),
        (".checkpoint", lambda s: {"weights": s}),
    ]:
        for prefix in ("", "net.", "module._orig_mod."):
            path = tmp_path / f"model{suffix}"
            torch.save(wrap(tensors(torch, state, prefix)), path)
            np.testing.assert_allclose(read_model(path, p).predict(p.X), expected, rtol=1e-12)
    torch.save({"state_dict": tensors(torch, state)}, path, _use_new_zipfile_serialization=False)
    np.testing.assert_allclose(read_model(path, p).predict(p.X), expected, rtol=1e-12)


def test_what_is_no_state_dict_is_named(torch, tmp_path):
    from torch import nn
    from torch.nn.utils import prune

    p, path, state = problem(), tmp_path / "model.pt", tensors(torch, random_state([2, 4, 1], ["0", "2"]))
    tied = dict(state, **{"4.weight": state["0.weight"]})
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 4)), nn.ReLU(), nn.Linear(4, 1))
    pruned = nn.Sequential(prune.identity(nn.Linear(2, 4), "weight"), nn.ReLU(), nn.Linear(4, 1))
    for saved, message in [
        ({"state": {}, "param_groups": []}, "the state of an optimizer"),
        ({"model": state, "model_ema": state}, "several state dicts, model, model_ema"),
        ({"epoch": 3, "loss": np.float64(0.1)}, r"holds no state dict: epoch \(int\), loss \(numpy"),
        ([state], "is list"),
        (torch.ones(2), "is torch.Tensor"),
        ({"state_dict": {**state, "0.weight": np.ones((4, 2))}}, "0.weight is numpy.*not a tensor"),
        ({**state, "scale": 2.0}, "scale is float, not a tensor"),
        ({**state, "scale": torch.tensor(2.0)}, "scale of shape .* is not part of a Linear layer"),
        (tied, "0.* and 4.* are the same tensor"),
        (nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).state_dict(), "1 is a BatchNorm layer"),
        (nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 1)).state_dict(), "perhaps of a normalization"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(2, 1)).state_dict(), "as in Conv2d"),
        (nn.Sequential(nn.LSTM(2, 3)).state_dict(), "0 is a recurrent layer"),
        (nn.Sequential(nn.MultiheadAttention(2, 1)).state_dict(), "0 is an attention layer"),
        ({"state_dict": state, "counts": collections.defaultdict(int, {"a": 1})}, "defaultdict"),
        (normed.state_dict(), "parametrization"),
        (pruned.state_dict(), "pruning"),
        ({**state, "0.weight": torch.ones(4, 2, dtype=torch.complex64)}, "dense floating point"),
        ({**state, "0.weight": torch.empty(4, 2, device="meta")}, "dense floating point"),
    ]:
        torch.save(saved, path)
        with pytest.raises(InputError, match=message):
            read_model(path, p)
    for inside, message in [("constants.pkl", "TorchScript"), ("archive_format", "exported program")]:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"model/{inside}", "")
        with pytest.raises(InputError, match=message):
            read_model(path, p)
    for name in ("model.pkl", "model.h5"):
        (tmp_path / name).write_bytes(b"\x89HDF 0123456789")
        with pytest.raises(InputError, match=r"is a pickle|is no model that is read"):
            read_model(tmp_path / name, p)


def test_safetensors_with_the_names_of_pytorch(tmp_path):
    from safetensors.numpy import save

    p, path = problem(beta=2.0), tmp_path / "model.safetensors"
    for dtype, names in [(np.float64, ["0", "2"]), (np.float16, ["net.fc1", "net.fc2"]), (np.float32, ["b", "a"])]:
        state = random_state([2, 4, 1], names, dtype=dtype)
        path.write_bytes(save(state))
        network = read_model(path, p)
        np.testing.assert_allclose(network.predict(p.X), applied(state, names, p.X), rtol=1e-12)
        np.testing.assert_array_equal(network.weights[0][:, :2], state[f"{names[0]}.weight"].astype(np.float64))
    # bfloat16 is what is left of a float32 without its lower half.
    halves = {
        key: value.astype(np.float32).view(np.uint32) >> 16 for key, value in random_state([2, 4, 1], "ab").items()
    }
    offset, header, body = 0, {}, b""
    for key, value in halves.items():
        header[key] = {"dtype": "BF16", "shape": value.shape, "data_offsets": [offset, offset + 2 * value.size]}
        offset, body = offset + 2 * value.size, body + value.astype("<u2").tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    exact = {key: (value.astype(np.uint32) << 16).view(np.float32) for key, value in halves.items()}
    np.testing.assert_allclose(read_model(path, p).predict(p.X), applied(exact, "ab", p.X), rtol=1e-12)
    path.write_bytes(save({"0.weight": np.ones((4, 2), dtype=np.int8)}))
    with pytest.raises(InputError, match=r"0.weight has type I8"):
        read_model(path, p)
    # Sorted by name in the file, which says nothing about the order of the declaration.
    q = problem(depth=3)
    path.write_bytes(save(random_state([2, 2, 2, 1], ["fc9", "fc10", "fc11"])))
    assert read_model(path, q).depth == 3
    path.write_bytes(save(random_state([2, 2, 2, 1], ["a", "b", "c"])))
    with pytest.raises(InputError, match="more than one order"):
        read_model(path, q)


# -- modules and scikit-learn ------------------------------------------------------------------------------------------


def modules(torch):
    """Modules as people write them; the last item is a part of the message where they are refused."""
    from torch import nn

    class Net(nn.Module):
        def __init__(self, forward, **parts):
            super().__init__()
            for name, part in parts.items():
                setattr(self, name, part)
            self.rule = forward

        def forward(self, x):
            return self.rule(self, x)

    def lin(n, k, **more):
        return nn.Linear(n, k, **more)

    relu = torch.relu
    shared = lin(2, 4)
    return [
        (nn.Sequential(lin(2, 4), nn.ReLU(), nn.Dropout(0.5), lin(4, 1)), None),
        (nn.Sequential(lin(2, 4), nn.ReLU(), lin(4, 1)).half(), None),
        (Net(lambda s, x: s.head(relu(s.first(x))), head=lin(4, 1), first=lin(2, 4)), None),
        (Net(lambda s, x: s.a(relu(s.b(x))).squeeze(-1), a=lin(2, 1), b=lin(2, 2)), None),
        (Net(lambda s, x: s.b(relu(s.a(x))), a=shared, again=shared, b=lin(4, 1)), None),
        (Net(lambda s, x: s.layers[1](relu(s.layers[0](x))), layers=nn.ModuleList([lin(2, 4), lin(4, 1)])), None),
        (Net(lambda s, x: nn.functional.linear(relu(s.a(x)), s.b.weight), a=lin(2, 4), b=lin(4, 1, bias=False)), "b is no part"),
        (nn.Sequential(lin(2, 4), nn.LeakyReLU(0.01), lin(4, 1)), "another function"),
        (nn.Sequential(lin(2, 4), nn.ReLU6(), lin(4, 1)), "another function"),
        (nn.Sequential(lin(2, 4), nn.Tanh(), lin(4, 1)), "another function"),
        (nn.Sequential(lin(2, 4), nn.ReLU(), lin(4, 1), nn.Sigmoid()), "another function"),
        (nn.Sequential(lin(2, 4), lin(4, 1)), "another function"),
        (nn.Sequential(lin(2, 4), nn.BatchNorm1d(4), nn.ReLU(), lin(4, 1)), "BatchNorm"),
        (Net(lambda s, x: s.b(relu(s.a(x))) + x[:, :1], a=lin(2, 4), b=lin(4, 1)), "another function"),
        (Net(lambda s, x: s.b(relu(s.a(2 * x))), a=lin(2, 4), b=lin(4, 1)), "another function"),
        (Net(lambda s, x: s.b(torch.dropout(relu(s.a(x)), 0.5, True)), a=lin(2, 4), b=lin(4, 1)), "another function"),
        (Net(lambda s, x: s.b(relu(s.a(s.a(x)))), a=lin(2, 2), b=lin(2, 1)), "a is used 2 times"),
        (Net(lambda s, x: s.b(relu(s.a(x))), a=lin(2, 4), b=lin(4, 1), spare=lin(4, 1)), "spare is no part"),
        (Net(lambda s, x: (s.b(relu(s.a(x))),), a=lin(2, 4), b=lin(4, 1)), "it returns tuple"),
        (Net(lambda s, x: s.b(relu(s.a(x[:, :1]))), a=lin(1, 4), b=lin(4, 1)), "do not lead from 2 features|no order"),
        (nn.Sequential(lin(5, 4), nn.ReLU(), lin(4, 1)), "its forward pass fails on 2 features"),
    ]  # fmt: skip


@pytest.mark.parametrize("beta", [1.0, -2.0])
def test_modules(torch, beta):
    torch.manual_seed(0)
    p = problem(beta=beta)
    for module, message in modules(torch):
        before = module.training
        if message is not None:
            with pytest.raises(InputError, match=message):
                read_model(module, p)
            continue
        found = read_model(module, p).predict(p.X)
        assert module.training is before and not any(each._forward_hooks for each in module.modules())
        expected = module.double().eval()(torch.from_numpy(p.X.copy())).detach().numpy()
        np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-12, atol=1e-14)
    spare = modules(torch)[-4][0]
    assert read_model(spare, p, "a,b").widths == (2, 4, 1)
    with pytest.raises(InputError, match=r"give a .safetensors"):
        read_model(3, p)


def test_scikit_learn():
    sklearn = pytest.importorskip("sklearn.neural_network", reason="scikit-learn is not installed")
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 2))
    Y = rng.standard_normal((12, 2))
    labels = np.arange(12) % 3
    made = {"hidden_layer_sizes": (4,), "max_iter": 300, "tol": 1.0, "n_iter_no_change": 1}

    def fitted(kind, targets, **more):
        return getattr(sklearn, kind)(**{**made, **more}).fit(X, targets)

    def at(loss, m, activation="relu"):
        p = problem(loss, m=m, activation=activation)
        return Problem(X, p.Y, lam=1e-2, loss=loss, activation=activation)

    regressor = fitted("MLPRegressor", Y)
    np.testing.assert_allclose(read_model(regressor, at("mse", 2)).predict(X), regressor.predict(X), rtol=1e-12)
    binary = fitted("MLPClassifier", labels > 0)
    Z = read_model(binary, at("logistic", 1)).predict(X)
    np.testing.assert_allclose(1 / (1 + np.exp(-Z[:, 0])), binary.predict_proba(X)[:, 1], rtol=1e-12)
    several = fitted("MLPClassifier", labels)
    Z = np.exp(read_model(several, at("cross_entropy", 3)).predict(X))
    np.testing.assert_allclose(Z / Z.sum(axis=1, keepdims=True), several.predict_proba(X), rtol=1e-12)
    linear = fitted("MLPRegressor", Y[:, 0], activation="identity")
    assert read_model(linear, at("mse", 1, "linear")).widths == (2, 4, 1)
    for model, p, message in [
        (sklearn.MLPRegressor(), at("mse", 1), "is not fitted"),
        (make_pipeline(regressor), at("mse", 2), "a Pipeline of scikit-learn"),
        (fitted("MLPRegressor", Y[:, 0], activation="tanh"), at("mse", 1), "has the activation tanh"),
        (linear, at("mse", 1), "has the activation identity"),
        (binary, at("mse", 1), "has Sigmoid"),
        (several, at("mse", 3), "has Softmax"),
        (regressor, at("mse", 1), "maps 2 inputs to 2 outputs"),
        (fitted("MLPRegressor", Y[:, 0], hidden_layer_sizes=(3, 3)), at("mse", 1), "depth 3"),
    ]:
        with pytest.raises(InputError, match=message):
            read_model(model, p)


# -- ONNX --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("torch-legacy-dynamic", "mse"),  # Shape, Gather, Unsqueeze, Concat, Reshape, Flatten; Squeeze at the end
        ("torch-dynamo-dynamic", "mse"),
        ("torch-external", "mse"),  # the weights are in torch-external.onnx.data
        ("sklearn-regressor-2", "mse"),  # two outputs, which the last Reshape makes one column
        ("sklearn-binary", "logistic"),
        ("sklearn-classes", "cross_entropy"),
    ],
)
def test_what_exporters_write(name, loss):
    """outputs.json: what onnxruntime computes from these files at the points of `problem()`, probabilities for classifiers."""
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    expected = np.array(json.loads((FILES / "outputs.json").read_text())[f"{name}.onnx"])
    m = {"sklearn-regressor-2": 2, "sklearn-classes": 3}.get(name, 1)
    p = problem(loss, m=m)
    Z = read_model(FILES / f"{name}.onnx", p).predict(p.X)
    if loss == "logistic":
        Z = 1.0 / (1.0 + np.exp(-np.hstack([-Z, Z])))
    if loss == "cross_entropy":
        Z = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(Z, expected, rtol=1e-5, atol=1e-6)
    if loss != "mse":
        with pytest.raises(InputError, match="the instance has the loss mse"):
            read_model(FILES / f"{name}.onnx", problem(m=m))


def test_numbers_in_other_files(tmp_path):
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    p, folder = problem(), tmp_path / "inside"
    folder.mkdir()
    data = (FILES / "torch-external.onnx.data").read_bytes()
    (tmp_path / "outside.data").write_bytes(data)
    (folder / "link.data").symlink_to(tmp_path / "outside.data")
    (folder / "short.data").write_bytes(data[:100])
    for location, message in [
        ("../outside.data", "outside the folder"),
        (str(tmp_path / "outside.data"), "outside the folder"),
        ("link.data", "outside the folder"),
        ("", "outside the folder"),
        ("none.data", "is missing"),
        ("short.data", "cannot be read"),
    ]:
        model = onnx.load(FILES / "torch-external.onnx", load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(InputError, match=message):
            read_model(folder / "model.onnx", p)


def gemms(**first):
    return [("Gemm", ["x", "A", "a"], "h", {"transB": 1, **first}), ("Relu", ["h"], "r", {})]


def test_nodes_that_do_nothing(tmp_path):
    """What leaves points and entries in order is followed, on either side of a product; what does not is refused."""
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    p, path = problem(), tmp_path / "model.onnx"
    state = random_state([2, 4, 1], "AB", dtype=np.float32)
    A, a, B, b = (state[key] for key in ("A.weight", "A.bias", "B.weight", "B.bias"))
    i64 = {"t": [-1, 2], "one": [1], "wide": [-1, 1, 2], "swap": [2, -1], "flat": [-1]}
    given = {
        "A": A,
        "a": a,
        "B": B,
        "b": b,
        "AT": A.T.copy(),
        "col": a[:, None].copy(),
        "bb": b[:, None],
        "half": A / 2,
    }
    given |= {name: np.array(value, dtype=np.int64) for name, value in i64.items()}
    last = ("Gemm", ["r", "B", "b"], "y", {"transB": 1})
    expected = applied(state, "AB", p.X)
    for nodes in [
        [("Reshape", ["x", "t"], "x1", {}), ("Gemm", ["x1", "A", "a"], "h", {"transB": 1}), *gemms()[1:], last],
        [("Unsqueeze", ["x", "one"], "u", {}), ("MatMul", ["u", "AT"], "m", {}), ("Add", ["m", "a"], "s", {}),
         ("Relu", ["s"], "q", {}), ("Squeeze", ["q", "one"], "r", {}), last],
        [("Cast", ["x"], "d", {"to": 11}), ("Cast", ["d"], "f", {"to": 1}), ("Gemm", ["f", "A", "a"], "h", {"transB": 1}),
         *gemms()[1:], ("Gemm", ["r", "B", "b"], "z", {"transB": 1}), ("Reshape", ["z", "flat"], "y", {})],
        [("Transpose", ["A"], "AT2", {"perm": [1, 0]}), ("Gemm", ["x", "AT2", "a"], "h", {}), *gemms()[1:], last],
        [("Transpose", ["x"], "c", {}), ("Gemm", ["c", "A", "a"], "h", {"transA": 1, "transB": 1}), *gemms()[1:], last],
        [("Transpose", ["x"], "c", {}), ("Gemm", ["A", "c", "col"], "h", {}), ("Relu", ["h"], "r1", {}),
         ("MatMul", ["B", "r1"], "z", {}), ("Add", ["z", "bb"], "y1", {}), ("Transpose", ["y1"], "y", {})],
        [("Gemm", ["AT", "x", "col"], "h", {"transA": 1, "transB": 1}), ("Relu", ["h"], "r1", {}),
         ("Transpose", ["r1"], "r", {}), last],
        [*[("Gemm", ["x", "half", "a"], "h", {"transB": 1, "alpha": 2.0})], *gemms()[1:], last],
        [*gemms(), ("Dropout", ["r"], "r2", {}), ("Gemm", ["r2", "B", "b"], "y", {"transB": 1})],
    ]:  # fmt: skip
        onnx_file(path, nodes, given)
        np.testing.assert_allclose(read_model(path, p).predict(p.X), expected, rtol=1e-12)
    square = problem(n0=7)  # as many features as points in a batch: shapes alone do not say which is which
    big = {"A": np.ones((4, 7), np.float32), "C": np.arange(49, dtype=np.float32).reshape(7, 7), "a": a, "B": B, "b": b,
           "v": np.array([7, 7]), "e": np.array([1, 7, 7])}  # fmt: skip
    product = ("Gemm", ["c", "A", "a"], "h", {"transB": 1})
    for tensors_, q, nodes, message in [
        (given, p, [("Reshape", ["x", "swap"], "x1", {}), ("Transpose", ["x1"], "c", {}), product], "mixes points"),
        (given, p, [("Transpose", ["x"], "x1", {}), ("Reshape", ["x1", "t"], "c", {}), product], "does not act on"),
        (big, square, [("Transpose", ["x"], "c", {}), product, *gemms()[1:], last], "does not act on"),
        (big, square, [("MatMul", ["C", "x"], "c", {}), product, *gemms()[1:], last], "does not act on"),
        (big, square, [("MatMul", ["x", "C"], "m", {}), ("Add", ["m", "C"], "h", {}), *gemms()[1:], last], "one for each point"),
        (given, p, [*gemms(), ("Gemm", ["r", "B", "b"], "z", {"transB": 1}), ("Sigmoid", ["z"], "y", {})], "has Sigmoid"),
        (given, p, [*gemms(), ("Mul", ["r", "b"], "q", {}), last], "Mul the-q is not read"),
        (given, p, [*gemms(), ("Expand", ["b", "t"], "e", {}), last], "Expand the-e acts on constants"),
        (given, p, [*gemms(), ("Cast", ["r"], "i", {"to": 7}), last], "something else than floating point"),
        (given, p, [*gemms(), ("DynamicQuantizeLinear", ["r"], "i", {}), last], "save the network in floating point"),
    ]:  # fmt: skip
        onnx_file(path, nodes, tensors_)
        with pytest.raises(InputError, match=message):
            read_model(path, q)


def test_another_function_is_never_read(tmp_path, monkeypatch):
    """The comparison at the end stands by itself: a reader that forgets a bias is caught."""
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    from cpcert.models import onnx_files

    p, path = problem(), FILES / "torch-dynamo-dynamic.onnx"
    forgetful = lambda layers, *rest: onnx_files_network([*layers[:-1], onnx_files.Layer("y", layers[-1].W)], *rest)  # noqa: E731
    onnx_files_network = onnx_files.network_of
    monkeypatch.setattr(onnx_files, "network_of", forgetful)
    with pytest.raises(InputError, match="another function"):
        read_model(path, p)


# -- many variants -----------------------------------------------------------------------------------------------------

NAMES = {
    "sequential": lambda L: [str(2 * k) for k in range(L)],
    "inside": lambda L: [f"net.{2 * k + 1}" for k in range(L)],
    "list": lambda L: [f"layers.{k}" for k in range(L)],
    "list-and-head": lambda L: [*(f"hidden.{k}" for k in range(L - 1)), "output"],
    "numbered": lambda L: [f"fc{k}" for k in range(1, L + 1)],
    "blocks": lambda L: [f"blocks.{k}.linear" for k in range(8, 8 + L)],
    "words": lambda L: ["first", "second", "third", "head"][:L],
    "reversed": lambda L: [f"dec{L - k}" for k in range(L)],
}


def variant(torch, seed, folder):
    """A file and the truth about it: (path, problem, loss, names in the order in which the layers act, whether it is decided)."""
    rng = np.random.default_rng(seed)
    depth, beta = int(rng.integers(2, 5)), float(rng.choice([0.0, 1.0, -0.5, 3.0]))
    equal = bool(rng.integers(2))
    widths = [3] * depth + [1] if equal else [3, *(5 + k for k in range(depth - 1)), int(rng.integers(1, 3))]
    style = str(rng.choice(list(NAMES)))
    names = NAMES[style](depth)
    kind = torch.__dict__[str(rng.choice(["float64", "float32", "float16", "bfloat16"]))]
    layers = {
        name: (
            torch.from_numpy(rng.standard_normal((k, n))).to(kind),
            torch.from_numpy(rng.standard_normal(k)).to(kind),
        )
        for name, n, k in zip(names, widths, widths[1:], strict=False)
    }
    declared = list(rng.permutation(names)) if rng.integers(2) else names
    prefix = str(rng.choice(["", "module.", "_orig_mod.", "model.net."]))
    state = {}
    for name in declared:
        state[f"{prefix}{name}.weight"] = layers[name][0]
        if beta:
            state[f"{prefix}{name}.bias"] = layers[name][1]
    wrappers = [
        lambda s: s, lambda s: {"state_dict": s, "epoch": 1}, lambda s: {"model": s, "loss": np.float32(1)},
        lambda s: {"net": {"model_state_dict": s}, "optimizer": {"state": {0: {"m": torch.ones(2, 2)}}, "param_groups": []}},
    ]  # fmt: skip
    wrapped = wrappers[rng.integers(4)](state)
    sorted_file = bool(rng.integers(4) == 0)
    path = (
        folder / f"model{'.safetensors' if sorted_file else rng.choice(['.pt', '.pth', '.bin', '.ckpt', '.pth.tar'])}"
    )
    if sorted_file:
        from safetensors.torch import save_file

        save_file(state, path)
    else:
        torch.save(wrapped, path, _use_new_zipfile_serialization=bool(rng.integers(5)))
    p = problem(n0=3, m=widths[-1], depth=depth, beta=beta)
    A, norm = p.X, 0.0
    for name in names:
        W, b = (each.to(torch.float64).numpy() for each in layers[name])
        Z = A @ W.T + (b if beta else 0.0)
        A, norm = np.maximum(Z, 0.0), norm + np.sum(W * W) + (np.sum((b / beta) ** 2) if beta else 0.0)
    loss = np.sum((Z - p.Y) ** 2) / p.N + p.lam * norm
    in_order = declared == names or sorted_file
    shapes = not equal or depth == 2
    decided = style != "reversed" and (shapes or (style != "words" and in_order))
    return path, p, loss, [prefix + name for name in names], decided


def survey(torch, folder, seeds):
    """How many variants were read, and refused; a wrong loss is an error."""
    read_, refused = 0, 0
    for seed in seeds:
        path, p, loss, names, decided = variant(torch, seed, folder)
        try:
            assert read_model(path, p).loss(p) == pytest.approx(loss, rel=1e-9), (seed, names)
            read_ += 1
        except InputError as error:
            assert not decided, (seed, names, str(error))
            assert all(name in str(error) for name in names)
            refused += 1
        assert read_model(path, p, names).loss(p) == pytest.approx(loss, rel=1e-9), (seed, names)
    return read_, refused


def test_variants_are_read_rightly_or_refused(torch, tmp_path):
    read_, refused = survey(torch, tmp_path, range(60))
    assert read_ > 30 and refused > 5


@pytest.mark.campaign
def test_many_variants_are_read_rightly_or_refused(torch, tmp_path):
    print(survey(torch, tmp_path, range(100, 3000)))


def damaged(content, rng):
    raw = bytearray(content)
    if rng.integers(3) == 0:
        return bytes(raw[: rng.integers(len(raw))])
    for _ in range(rng.integers(1, 6)):
        raw[rng.integers(len(raw))] = rng.integers(256)
    return bytes(raw)


def damage(torch, folder, count):
    """Damaged files are read or refused in one line; nothing else is raised."""
    from safetensors.numpy import save

    p = problem()
    state = random_state([2, 4, 1], ["0", "2"], dtype=np.float32)
    torch.save({"state_dict": tensors(torch, state), "loss": np.float64(1.0)}, folder / "zip.pt")
    torch.save(tensors(torch, state), folder / "old.pt", _use_new_zipfile_serialization=False)
    files = {
        "a.pt": (folder / "zip.pt").read_bytes(),
        "b.pt": (folder / "old.pt").read_bytes(),
        "c.safetensors": save(state),
    }
    files |= {
        f"{name}.onnx": (FILES / f"{name}.onnx").read_bytes()
        for name in ("torch-legacy-dynamic", "torch-dynamo-dynamic")
    }
    rng, refused = np.random.default_rng(0), 0
    for _ in range(count):
        for name, content in files.items():
            (folder / name).write_bytes(damaged(content, rng))
            try:
                with np.errstate(all="ignore"):
                    read_model(folder / name, p)
            except InputError as error:
                assert "\n" not in str(error)
                refused += 1
    return refused


def test_damaged_files(torch, tmp_path):
    assert damage(torch, tmp_path, 30) > 50


@pytest.mark.campaign
def test_many_damaged_files(torch, tmp_path):
    print(damage(torch, tmp_path, 1000))


# -- the commands ------------------------------------------------------------------------------------------------------


def test_commands_read_what_check_reads(torch, tmp_path, capsys):
    p = problem(depth=3)
    state = random_state([2, 2, 2, 1], ["net.second", "net.first", "net.head"])
    model, instance = tmp_path / "model.ckpt", tmp_path / "small.yaml"
    torch.save({"state_dict": tensors(torch, state), "loss": np.float64(0.5)}, model)
    data = f"data: {{source: inline, X: {p.X.tolist()}, Y: {p.Y.tolist()}}}\n"
    instance.write_text(data + "loss: mse\nlambda: 0.01\ndepth: 3\n")
    for command in ("check", "reduce", "forces"):
        assert main([command, str(model), str(instance)]) == 2
        captured = capsys.readouterr()
        assert "--layers NAME,NAME" in captured.err and captured.err.count("\n") == 1 and captured.out == ""
        assert main([command, str(model), str(instance), "--layers", "first,second,head", "--json"]) in (0, 1)
        captured = capsys.readouterr()
        assert "read as net.first (2 → 2), net.second (2 → 2), net.head (2 → 1) with relu between" in captured.err
        written = json.loads(captured.out)
        if command == "check":
            fit = np.mean((applied(state, ["net.first", "net.second", "net.head"], p.X) - p.Y) ** 2)
            norm = sum(np.sum(value**2) for value in state.values())
            assert written["loss"] == pytest.approx(fit + 0.01 * norm, rel=1e-12)
        assert main([command, "--help"]) == 0
        assert ".pth.tar" in capsys.readouterr().out
    assert main(["forces", str(instance), "--layers", "a,b"]) == 2
    assert "--layers: belongs to a model file" in capsys.readouterr().err
