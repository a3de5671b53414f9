"""Batched training: derivatives, padding, one network or many, resuming, and the trained loss against the proven minimum."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cpcert import InputError, Network, Problem, load_instance, solve
from cpcert.certificate import deep_check, width_check
from cpcert.certificate.check import check
from cpcert.cli import main
from cpcert.instance import parse_instance
from cpcert.parallel import Workers

torch = pytest.importorskip("torch", reason="training needs torch (extra: train)")
torch.set_num_threads(1)

# After the check that torch is there.
from cpcert.training import sweep  # noqa: E402
from cpcert.training.batch import (  # noqa: E402
    Data,
    Trial,
    flatten,
    hessian_product,
    initial_weights,
    losses_and_gradients,
    networks,
    span_of_points,
    split,
)
from cpcert.training.held_out import held_out  # noqa: E402
from cpcert.training.optimiser import STATUSES, Settings, Training  # noqa: E402
from cpcert.training.stationary import hint  # noqa: E402
from cpcert.training.sweep import train_sweep, trials_of  # noqa: E402

TRIALS = [Trial(3, 0, 1e-2), Trial(1, 1, 1e-1), Trial(2, 2, 1e-3)]


def padding_is_zero(problem, trials, weights):
    """Whether every padded entry is exactly 0."""
    kept = networks(problem, trials, weights)
    return all(
        int(torch.count_nonzero(W[b])) == np.count_nonzero(network.weights[layer])
        for layer, W in enumerate(weights)
        for b, network in enumerate(kept)
    )


def problem(loss="mse", activation="relu", beta=1.0, depth=2, N=7, n0=3, m=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, n0))
    Y = rng.standard_normal((N, m))
    if loss == "cross_entropy":
        Y = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
    if loss == "logistic":
        Y = np.sign(Y)
    slope = 0.3 if activation == "leaky_relu" else None
    return Problem(X, Y, lam=1e-2, loss=loss, activation=activation, slope=slope, beta=beta, depth=depth)


CASES = [
    ("mse", "relu", 1.0, 2),
    ("mse", "abs", 0.0, 3),
    ("cross_entropy", "leaky_relu", 0.5, 3),
    ("cross_entropy", "relu", 0.0, 4),
    ("logistic", "linear", -2.0, 2),
    ("logistic", "relu", 1.0, 4),
]


def train(problem, trials, settings):
    training = Training(problem, trials, settings, "cpu")
    while not training.done:
        training.advance()
    return training


@pytest.mark.parametrize(("loss", "activation", "beta", "depth"), CASES)
def test_loss_gradient_and_hessian(loss, activation, beta, depth):
    """The loss is Network's; gradient and Hessian are those of finite differences; padding has zero gradient."""
    given = problem(loss, activation, beta, depth)
    data = Data.of(given, "cpu", torch.float64)
    weights = initial_weights(given, TRIALS)
    shapes = [(W.shape[1], W.shape[2]) for W in weights]
    lam = torch.tensor([trial.lam for trial in TRIALS], dtype=torch.float64)
    x = flatten(weights)
    value, gradient = losses_and_gradients(weights, lam, data)
    expected = [
        n.loss(replace(given, lam=t.lam)) for n, t in zip(networks(given, TRIALS, weights), TRIALS, strict=True)
    ]
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    assert padding_is_zero(given, TRIALS, gradient)

    # A direction inside the networks, small enough to stay on the piece.
    generator = torch.Generator().manual_seed(1)
    V = flatten(gradient) + flatten(weights) * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    h = 1e-6
    (above, up), (below, down) = (losses_and_gradients(split(x + s * V, shapes), lam, data) for s in (h, -h))
    torch.testing.assert_close((above - below) / (2 * h), (flatten(gradient) * V).sum(1), rtol=1e-7, atol=1e-8)
    product = hessian_product(weights, split(V, shapes), lam, data)
    torch.testing.assert_close((flatten(up) - flatten(down)) / (2 * h), flatten(product), rtol=1e-6, atol=1e-7)
    assert padding_is_zero(given, TRIALS, product)


@pytest.mark.parametrize(("loss", "activation", "beta", "depth"), [CASES[0], CASES[2], CASES[5]])
def test_a_network_does_not_depend_on_its_batch(loss, activation, beta, depth):
    """Adam, descent and L-BFGS: the padding stays exactly zero, and the others in the batch change nothing but rounding."""
    given = problem(loss, activation, beta, depth)
    settings = Settings(epochs=20, descent=10, polish=10)
    together = train(given, TRIALS, settings)
    assert padding_is_zero(given, TRIALS, split(together.final, together.shapes))
    for trial, network in zip(TRIALS, together.networks(), strict=True):
        alone = train(given, [trial], settings).networks()[0]
        assert network.widths == (given.n0, *[trial.width] * (depth - 1), given.m)
        for W, V in zip(network.weights, alone.weights, strict=True):
            np.testing.assert_allclose(W, V, rtol=0, atol=2e-5)  # Adam works in float32


def test_the_start_depends_on_width_and_seed_only():
    given = problem()
    a = networks(given, TRIALS, initial_weights(given, TRIALS))
    other = [Trial(9, 5, 1.0), *(replace(trial, lam=1.0) for trial in TRIALS[::-1])]
    b = networks(given, other, initial_weights(given, other))
    for mine, theirs in zip(a, b[:0:-1], strict=True):
        for W, V in zip(mine.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(W, V)


def test_the_polish_lowers_every_loss():
    given = problem(N=20, seed=3)
    trials = [Trial(width, seed, 1e-2) for width in (1, 2, 5) for seed in range(3)]
    before = train(given, trials, Settings(epochs=100, descent=0)).networks()
    after = train(given, trials, Settings(epochs=100, descent=50, polish=100)).networks()
    assert all(b.loss(given) <= a.loss(given) for a, b in zip(before, after, strict=True))
    smooth = problem("cross_entropy", "linear", N=20, seed=3)
    done = train(smooth, trials, Settings(epochs=300, descent=100, polish=500, tolerance=0.0))
    assert {STATUSES[k] for k in done.status.tolist()} <= {"converged", "stalled"}
    for network in done.networks():
        assert hint(smooth, network).residual < 1e-5


def test_a_network_that_overflows_goes_on_from_its_start():
    given = problem(N=10, seed=3)
    huge = Problem(1e30 * given.X, given.Y, lam=1e-2)
    trained = train(huge, TRIALS, Settings(epochs=100, descent=0))
    assert [STATUSES[k] for k in trained.status.tolist()] == ["diverged"] * 3
    before = [network.loss(huge) for network in trained.networks()]
    after = [network.loss(huge) for network in train(huge, TRIALS, Settings(epochs=100, descent=100)).networks()]
    assert all(b < a for a, b in zip(before, after, strict=True))


# -- sweeps --------------------------------------------------------------------------------------------------------------


def test_an_interrupted_sweep_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setitem(sweep.START_OF_KERNELS, "cpu", 1e3)  # several batches
    given = problem(depth=3, N=12, n0=20)
    trials = trials_of([1, 2, 9], 2, [1e-2, 1e-3])
    settings = Settings(epochs=200, descent=100, polish=200, tolerance=0.0)
    expected, complete = train_sweep(given, trials, settings, "cpu", folder=tmp_path / "whole")
    assert complete and [result.trial for result in expected] == trials

    monkeypatch.setattr(sweep, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    advance, calls = Training.advance, []

    def interrupted(self):
        calls.append(None)
        if len(calls) % 4 == 0:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Training, "advance", interrupted)
    complete, runs = False, 0
    while not complete:
        found, complete = train_sweep(given, trials, settings, "cpu", folder=tmp_path / "parts", resume=runs > 0)
        runs += 1
    assert runs >= 3
    assert_same_bits(found, expected)

    with pytest.raises(InputError, match="another sweep"):
        train_sweep(given, trials[:-1], settings, "cpu", folder=tmp_path / "parts", resume=True)
    with monkeypatch.context() as other:
        other.setitem(sweep.START_OF_KERNELS, "cpu", 1e9)
        with pytest.raises(InputError, match="another sweep"):  # the same trials, in other batches
            train_sweep(given, trials, settings, "cpu", folder=tmp_path / "parts", resume=True)
    (tmp_path / "parts" / "bucket-0.npz").write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match="cannot be read"):
        train_sweep(given, trials, settings, "cpu", folder=tmp_path / "parts", resume=True)


def assert_same_bits(found, expected):
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.trial, mine.loss, mine.status, mine.steps) == (
            theirs.trial,
            theirs.loss,
            theirs.status,
            theirs.steps,
        )
        for W, V in zip(mine.network.weights, theirs.network.weights, strict=True):
            np.testing.assert_array_equal(W, V)


class Unreliable(ThreadPoolExecutor):
    """Workers of which every third loses its task, and a user who presses Ctrl-C at the task `last`."""

    def __init__(self, last=10**9):
        super().__init__(2)
        self.given, self.last = 0, last

    def submit(self, function, *arguments):
        self.given += 1
        if self.given == self.last:
            raise KeyboardInterrupt
        if self.given % 3 == 0:
            raise RuntimeError("the worker has died")
        return super().submit(function, *arguments)


def test_workers_train_the_same_bits(tmp_path, monkeypatch):
    """In tasks of any length, whoever dies, interrupted and resumed, here or there."""
    monkeypatch.setitem(sweep.START_OF_KERNELS, "cpu", 1e3)  # several batches
    given = problem(depth=3, N=12, n0=20)
    trials = trials_of([1, 2, 9], 2, [1e-2, 1e-3])
    settings = Settings(epochs=200, descent=100, polish=200, tolerance=0.0)
    expected, _ = train_sweep(given, trials, settings, "cpu")
    monkeypatch.setattr(sweep, "SECONDS_OF_TASK", 0.01)
    shares = []
    with Unreliable() as pool:
        found, complete = train_sweep(
            given, trials, settings, "cpu", workers=Workers(pool, 2), progress=lambda share, _: shares.append(share)
        )
    assert complete and pool.given > 6 and shares == sorted(shares) and shares[-1] == 1.0
    assert_same_bits(found, expected)
    with Unreliable(last=6) as pool:
        found, complete = train_sweep(given, trials, settings, "cpu", folder=tmp_path, workers=Workers(pool, 2))
    assert not complete and found and {result.trial for result in found} <= set(trials)
    found, complete = train_sweep(given, trials, settings, "cpu", folder=tmp_path, resume=True)
    assert complete
    assert_same_bits(found, expected)


@pytest.mark.campaign
def test_processes_train_the_same_bits(tmp_path, capsys):
    """(In CI the workers are threads; processes start slowly.)"""
    instance = tmp_path / "small.yaml"
    instance.write_text("data: {source: gaussian, points: 12, features: 3}\nloss: mse\nlambda: 0.01\n")
    answers = []
    for more in ([], ["--workers", "2"]):
        assert (
            main(["train", str(instance), "--widths", "1:20", "--seeds", "2", "--epochs", "300", "--json", *more]) == 0
        )
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0]["results"] == answers[1]["results"]


def test_every_trial_is_in_one_batch():
    given = problem()
    trials = trials_of([1, 3, 8, 9, 17, 40, 64], 3, [1e-1, 1e-2])
    assert len(sweep.buckets(given, trials, Settings())) == 1  # padding is cheaper than another batch
    large = problem(N=1000, n0=100)
    batches = sweep.buckets(large, trials, Settings())
    assert sorted(trial for batch in batches for trial in batch) == sorted(trials)
    assert len(batches) > len(sweep.buckets(large, trials, Settings(), "cuda"))
    for batch in batches:
        assert len(batch) * batch[0].width * large.N <= sweep.CACHED_NUMBERS or len(batch) == 1
    work = sum(len(batch) * batch[0].width for batch in batches)
    assert work <= 1.1 * sum(trial.width for trial in trials)


def test_a_problem_in_the_span_of_its_points():
    """Fewer points than features: the same losses and gradients, and networks that leave act on the features themselves."""
    given = problem("cross_entropy", depth=3, N=6, n0=20, m=3)
    inside, basis = span_of_points(given)
    assert inside.n0 == 6 and span_of_points(problem())[1] is None
    np.testing.assert_allclose(basis @ inside.X.T, given.X.T, atol=1e-14)
    full = networks(given, TRIALS, initial_weights(given, TRIALS))
    short = networks(inside, TRIALS, initial_weights(inside, TRIALS, basis), basis)
    for mine, theirs in zip(short, full, strict=True):
        np.testing.assert_allclose(mine.forward(given.X)[-1], theirs.forward(given.X)[-1], atol=1e-13)
        assert mine.loss(given) < theirs.loss(given)
    trained, _ = train_sweep(given, TRIALS, Settings(epochs=0, descent=0, polish=300), "cpu")
    alone = train(given, TRIALS, Settings(epochs=0, descent=0, polish=300))
    for result, network in zip(trained, alone.networks(), strict=True):
        assert result.network.widths == network.widths
        assert result.loss <= network.loss(replace(given, lam=result.trial.lam)) * 1.5
        W = result.network.weights[0][:, : given.n0]
        np.testing.assert_allclose(W @ basis @ basis.T, W, atol=1e-13)


def test_widths():
    assert sweep.parse_widths("3, 1:4,10:20:5") == [1, 2, 3, 4, 10, 15, 20]
    for wrong in ("", "0:3", "4:2", "1:2:0", "1-3", "1:9999999"):
        with pytest.raises(InputError, match="widths: "):
            sweep.parse_widths(wrong)


# -- hints ---------------------------------------------------------------------------------------------------------------


def test_the_hint_knows_minima_on_kinks_and_saddles():
    """The network of `solve` is a minimum, on kinks where the gradient is far from 0; moved away it is unfinished; a saddle has
    negative curvature and a lower loss near by."""
    given = problem(N=12, m=1, seed=1)
    solved = solve(given, gap=1e-9)
    at_minimum = hint(given, solved.network)
    assert at_minimum.residual < 1e-3 and at_minimum.kinks > 0 and at_minimum.escape is None
    data = Data.of(given, "cpu", torch.float64)
    weights = [torch.tensor(W)[None] for W in solved.network.weights]
    _, gradient = losses_and_gradients(weights, torch.tensor([given.lam], dtype=torch.float64), data)
    assert flatten(gradient).norm() > 0.1 * 2.0 * given.lam * solved.network.norm_squared() ** 0.5
    moved = tuple(1.1 * W for W in solved.network.weights)
    assert hint(given, replace(solved.network, weights=moved)).residual > 0.02
    # Next to the network that is its bias alone: stationary, but the data are worth a neuron.
    linear = problem(activation="linear", N=12, m=1, seed=1)
    bias = linear.Y.mean() / (1.0 + linear.lam)
    network = Network((np.full((1, 4), 2e-4), np.array([[2e-4, bias]])), linear.activation, linear.beta)
    saddle = hint(linear, network)
    assert saddle.residual < 0.02 and saddle.curvature < -0.1 and saddle.escape < network.loss(linear)
    dead = Network((np.full((1, 4), 1e-9), np.array([[1e-9, bias]])), linear.activation, linear.beta)
    assert hint(linear, dead).dead == (1,)


def test_held_out_points_are_the_others():
    data = {"source": "iris", "points": 100, "seed": 3, "standardize": True}
    instance = parse_instance({"name": "x", "data": data, "loss": "cross_entropy", "lambda": 1e-2})
    whole = parse_instance({"name": "x", "data": {"source": "iris", "standardize": False}, "lambda": 1e-2}).problem()
    X, Y = held_out(instance)
    assert X.shape == (50, 4) and Y.shape == (50, 3)
    chosen = instance.problem().X
    # Back to centimetres: together they are all flowers.
    raw = parse_instance({"name": "x", "data": {**data, "standardize": False}, "lambda": 1e-2}).problem().X
    scale, mean = raw.std(axis=0), raw.mean(axis=0)
    everything = np.vstack([chosen, X]) * scale + mean
    order = [np.lexsort(A.round(6).T) for A in (everything, whole.X)]
    np.testing.assert_allclose(everything[order[0]], whole.X[order[1]], atol=1e-9)
    teacher = {"source": "teacher", "points": 30, "features": 2, "width": 4, "seed": 1}
    fresh, outputs = held_out(parse_instance({"name": "x", "data": teacher, "lambda": 1e-2}))
    # As many inputs as the instance has, all of them new; and a network that has learnt the teacher there knows them too.
    own = parse_instance({"name": "x", "data": teacher, "lambda": 1e-6}).problem()
    assert fresh.shape == own.X.shape and len(np.unique(np.vstack([fresh, own.X]), axis=0)) == 60
    learnt = solve(own, time_limit=10.0).network
    assert np.mean((learnt.predict(fresh) - outputs) ** 2) < 1e-2 * np.mean(outputs**2)
    gaussian = {"source": "gaussian", "points": 3, "features": 1}
    assert held_out(parse_instance({"name": "x", "data": gaussian, "lambda": 1.0})) is None


# -- the commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(
        "data: {source: teacher, points: 15, features: 1, width: 2, seed: 2}\nlambda: 1.0e-2\n"
        "train: {widths: 1:4, seeds: 2, epochs: 1000}\n"
    )
    return str(path)


def test_train_and_plateau(small, tmp_path, capsys):
    """The trained loss lies above the proven lower bound and close to the upper one; the files hold what was printed."""
    out = tmp_path / "out"
    assert main(["train", small, "--out", str(out), "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert len(trained["results"]) == 8 and trained["device"] == "cpu"
    for best in trained["best"]:
        network = Network.load(best["model"])
        given = load_instance(small).problem()
        assert network.width == best["width"] and network.loss(given) == best["loss"]

    assert main(["plateau", small, "--out", str(out), "--resume", "--json", "--plot"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["loss"] for row in answer["results"]] == [row["loss"] for row in trained["results"]]
    lower, upper = answer["certified"]["lower"], answer["certified"]["upper"]
    losses = [row["loss"] for row in answer["results"]]
    assert lower <= min(losses) <= upper * (1.0 + 1e-3)
    start = answer["plateau_start"]
    assert start["proven"]["lower"] <= start["proven"]["upper"] <= start["observed"]
    for row in answer["results"]:
        assert (row["verdict"] == "floor") == (row["loss"] <= upper * (1.0 + 1e-3))
        assert row["descent_loss"] is None or lower <= row["descent_loss"] < row["loss"]
    table = list(csv.DictReader((out / "small-plateau.csv").read_text().splitlines()))
    assert [float(row["loss"]) for row in table] == losses
    assert (out / "small-plateau.png").stat().st_size > 10_000
    # What is said to be proven has a certificate, and each is accepted for what is said.
    for number, curve in enumerate(answer["curves"]):
        files = {what: out / f"small-plateau-{number}-{what}.cpcert" for what in ("floor", "width")}
        assert curve["certificates"] == {what: str(path) for what, path in files.items()}
        floor = check(files["floor"].read_bytes())
        assert (floor["lower"], floor["upper"]) == (curve["certified"]["lower"], curve["certified"]["upper"])
        width = width_check.check(files["width"].read_bytes())
        assert (width["loss"], width["sha256"]) == (curve["target"], floor["sha256"])
        assert [width["lower"], width["upper"]] == list(curve["plateau_start"]["proven"].values())
    assert len(list(out.glob("*.cpcert"))) == 2 * len(answer["curves"]) > 0


def test_plateau_at_depth_three_has_the_floor_of_the_global_bound(small, capsys, tmp_path):
    path = Path(small)
    path.write_text(path.read_text() + "depth: 3\n")
    assert (
        main(
            [
                "plateau",
                small,
                "--epochs",
                "300",
                "--lambdas",
                "1e-2,1e-3",
                "--time-limit",
                "3",
                "--json",
                "--out",
                str(tmp_path),
            ]
        )
        == 0
    )
    answer = json.loads(capsys.readouterr().out)
    for one in answer["curves"]:
        claim = deep_check.check(Path(one["certificates"]["floor"]).read_bytes())
        assert one["certified"] == {"lower": claim["lower"], "upper": claim["upper"]}
        losses = [row["loss"] for row in answer["results"] if row["lambda"] == one["lambda"]]
        assert 0.0 < one["certified"]["lower"] <= one["certified"]["upper"]
        assert one["certified"]["upper"] == pytest.approx(min(losses), rel=1e-9)


def test_tiny_numbers_count_as_zero_only_in_training(monkeypatch):
    """Neurons that die would make a step take several times longer; proofs in the same thread must not notice."""
    seen = []
    advance = Training.advance
    tiny = torch.tensor([1e-310], dtype=torch.float64)

    def watched(training):
        seen.append(float(tiny * 1.0))
        advance(training)

    monkeypatch.setattr(Training, "advance", watched)
    train_sweep(problem(), trials_of([2], 1, [1e-2]), Settings(epochs=3, descent=3), "cpu")
    assert seen == [0.0, 0.0] and float(tiny * 1.0) > 0.0
    torch.set_flush_denormal(True)  # of a user who has asked for it
    train_sweep(problem(), trials_of([2], 1, [1e-2]), Settings(epochs=3, descent=3), "cpu")
    still = float(tiny * 1.0)
    torch.set_flush_denormal(False)
    assert still == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--widths", "0:3"], "--widths: "),
        (["--seeds", "0"], "--seeds: "),
        (["--lambdas", "1e-2,x"], "--lambdas: "),
        (["--lambdas", "-1"], "--lambdas"),
        (["--epochs", "-5"], "--epochs: "),
        (["--rate", "0"], "--rate: "),
        (["--lambdas", "1e-200"], "lambda: "),
        (["--resume"], "--resume: "),
        (["--device", "tpu"], "tpu"),
        (["--device", "mps"], "--device: mps was asked for"),
    ],
)
def test_wrong_options(small, arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert main(["train", small, *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("cpcert: ") and message in printed.err


def test_wrong_instances(small, tmp_path, capsys, monkeypatch):
    path = Path(small)
    text = path.read_text()
    for old, new, message in (
        ("lambda: 1.0e-2", "loss: interpolate", "interpolate is a constraint"),
        ("seeds: 2", "seed: 2", "did you mean seeds"),
        ("1:4", "4:1", "train.widths: "),
    ):
        path.write_text(text.replace(old, new))
        assert main(["train", small]) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setenv("CPCERT_DATA", str(tmp_path))
    preset = Path(__file__).parents[1] / "instances" / "figure2-mnist.yaml"
    assert main(["plateau", str(preset)]) == 2
    assert "figure2-digits.yaml" in capsys.readouterr().err
