"""Weights of points and of classes: what they mean, from the instance file to the checker; and what cannot be a weight."""

import math
from dataclasses import replace

import numpy as np
import pytest
from test_certificate_mutations import rehash

import cpcert
from cpcert import InputError, Problem
from cpcert.certificate import check
from cpcert.certificate.file import write
from cpcert.estimators import CertifiedMLPClassifier, CertifiedMLPRegressor
from cpcert.instance import load_instance
from cpcert.losses import LOSSES

rng = np.random.default_rng(4)
X = rng.standard_normal((7, 2)).round(2)
COPIES = np.array([3, 1, 2, 1, 1, 2, 4])
TARGETS = {
    "mse": rng.standard_normal(7).round(2),
    "logistic": np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0]),
    "cross_entropy": np.eye(3)[[0, 1, 2, 0, 1, 2, 2]],
}


@pytest.mark.parametrize("loss", TARGETS)
def test_an_integer_weight_is_so_many_copies(loss):
    """Both intervals hold the one minimum; by the checker, too, and each upper bound is attained in the other problem."""
    Y = TARGETS[loss]
    weighted = Problem(X, Y, 0.03, loss, sample_weight=COPIES)
    repeated = Problem(X.repeat(COPIES, axis=0), Y.repeat(COPIES, axis=0), 0.03, loss)
    found = [cpcert.solve(problem, gap=1e-4) for problem in (weighted, repeated)]
    claims = [check.check(cpcert.certify(result).content) for result in found]
    assert max(claim["lower"] for claim in claims) <= min(claim["upper"] for claim in claims)
    for claim, result in zip(claims, found, strict=True):
        assert claim["lower"] >= claim["upper"] * (1.0 - 2e-4)
        losses = [result.network.loss(problem) for problem in (weighted, repeated)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-13)
        assert claim["sha256"] == result.problem.sha256
    # The weights matter: without them the minimum lies elsewhere.
    plain = cpcert.solve(X, Y, lam=0.03, loss=loss, gap=1e-4)
    assert plain.upper < claims[0]["lower"] or plain.lower > claims[0]["upper"]


def test_what_is_kept_of_weights():
    problem = Problem(X, TARGETS["mse"], 0.03, sample_weight=COPIES)
    assert problem.loss.weights == tuple(COPIES * 0.5) and not problem.loss.is_squared_distance
    assert replace(problem, lam=0.1).loss is problem.loss
    scaled = Problem(X, TARGETS["mse"], 0.03, sample_weight=8.0 * COPIES)
    assert scaled.sha256 == problem.sha256
    plain = Problem(X, TARGETS["mse"], 0.03)
    assert Problem(X, TARGETS["mse"], 0.03, sample_weight=np.full(7, 0.3)).sha256 == plain.sha256 != problem.sha256
    assert "7 weighted points" in cpcert.report.describe(problem)


@pytest.mark.parametrize("loss", TARGETS)
def test_a_certificate_with_other_weights_is_rejected(loss):
    """Another weight, even by a unit in the last place, none at all, weights that are none: with the old hash and with the new one."""
    result = cpcert.solve(X, TARGETS[loss], lam=0.03, loss=loss, sample_weight=COPIES, gap=1e-4)
    content = cpcert.certify(result).content
    header, arrays = check.parse(content)
    arrays = {name: np.array(values) for name, values in arrays.items()}
    weights = arrays["weights"]
    claim = check.check(content)

    def forged(changed, hashed):
        new = (
            {**arrays, "weights": changed}
            if changed is not None
            else {k: v for k, v in arrays.items() if k != "weights"}
        )
        own = {**header, "problem": dict(header["problem"])}
        if hashed:
            rehash(own, new)
        return write(own, new)

    nudged = weights.copy()
    nudged[2] = np.nextafter(nudged[2], 9.0)
    bad = [weights[:-1], np.append(weights, 1.0)]
    bad += [
        np.where(np.arange(7) == 2, value, weights)
        for value in (0.0, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1e308)
    ]
    for changed in (nudged, None, 2.0 * weights, weights[::-1].copy(), *bad):
        with pytest.raises(check.Rejected):
            check.check(forged(changed, hashed=False))
    # Under their own hash such files are about other problems, of which the bounds are not true.
    for changed in (None, 2.0 * weights, 0.5 * weights, weights[::-1].copy(), *bad):
        with pytest.raises(check.Rejected):
            check.check(forged(changed, hashed=True))
    assert check.check(forged(weights, hashed=True)) == claim


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 1, 0, 1, 1, 1, 1], "sample_weight: entry 2 is 0.0; leave out a point of weight 0"),
        ([1, 1, -2, 1, 1, 1, 1], "sample_weight: entry 2 is -2.0; give one number > 0"),
        ([1, 1, math.nan, 1, 1, 1, 1], "sample_weight: entry 2 is nan"),
        ([1, 1, math.inf, 1, 1, 1, 1], "sample_weight: entry 2 is inf"),
        ([1, 1, 1e300, 1, 1, 1, 1], "sample_weight: entry 2 is 1e.300"),
        ([1, 1, 1e-300, 1, 1, 1, 1], "sample_weight: entry 2 is 1e-300"),
        ([1, 1, 1e-14, 1, 1, 1, 1], "sample_weight: entry 2 is 1e-14, less than 1e-12 of the mean"),
        ([1, 1, 1e14, 1, 1, 1, 1], "sample_weight: entry 0 is 1.0, less than 1e-12 of the mean"),
        ([1, 1, 2], r"sample_weight: has shape \(3,\), and X has 7 points"),
        (np.ones((7, 1)), r"sample_weight: has shape \(7, 1\)"),
        ("balanced", "sample_weight: is a str"),
    ],
)
def test_what_cannot_be_a_weight(weights, message):
    with pytest.raises(InputError, match=message):
        Problem(X, TARGETS["mse"], 0.03, sample_weight=weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "interpolate"}, "sample_weight: interpolate is a constraint"),
        ({"lam": 0.1, "depth": 3}, "sample_weight: is for depth 2, and depth is 3"),
        ({"lam": 0.1, "loss": LOSSES["mse"].weighted(COPIES * 0.5)}, "sample_weight: the loss has weights already"),
        ({"lam": 0.1, "class_weight": "balanced"}, "class_weight: is for one class at each point, and mse"),
        ({"lam": 0.1, "penalise_bias": False}, "penalise_bias: biases are always penalised here"),
    ],
)
def test_where_weights_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        cpcert.solve(X, TARGETS["mse"], sample_weight=COPIES, **options)


def test_far_weights_are_proven_as_well():
    weights = np.array([1e-11, 1.0, 1e-3, 2.0, 1e-6, 3.0, 1.0])
    for loss, Y in TARGETS.items():
        result = cpcert.solve(X, Y, lam=0.03, loss=loss, sample_weight=weights, gap=1e-2, time_limit=20)
        claim = check.check(cpcert.certify(result).content)
        assert 0.0 < claim["lower"] <= claim["upper"] <= claim["lower"] * 1.02


def test_weights_of_classes():
    labels = np.array(["a", "b", "c", "a", "b", "c", "c"])
    points = np.where(labels == "a", 3.0, np.where(labels == "c", 0.5, 1.0))
    given = {"lam": 0.03, "loss": "cross_entropy", "max_iterations": 1, "gap": 0.5}
    by_class = cpcert.solve(X, labels, class_weight={"a": 3.0, "c": 0.5}, **given).problem
    assert by_class.loss.weights == cpcert.solve(X, labels, sample_weight=points, **given).problem.loss.weights
    both = cpcert.solve(X, labels, class_weight={"a": 3.0, "c": 0.5}, sample_weight=COPIES, **given).problem
    np.testing.assert_allclose(both.loss.weights, points * COPIES * 7.0 / (points * COPIES).sum(), rtol=1e-15)
    balanced = np.array(cpcert.solve(X, labels, class_weight="balanced", **given).problem.loss.weights)
    np.testing.assert_allclose([balanced[labels == c].sum() for c in "abc"], 7.0 / 3.0, rtol=1e-15)
    logistic = Problem(X, [1, 0, 1, 1, 0, 0, 1], 0.03, "logistic", class_weight={0: 4.0, 1.0: 2.0})
    np.testing.assert_allclose(logistic.loss.weights, np.array([2, 4, 2, 2, 4, 4, 2]) * 7.0 / 20.0, rtol=1e-15)
    for wrong, message in (
        ({"d": 1.0}, "class_weight: 'd' is no class; the classes are a, b, c"),
        ({"a": 0.0}, "class_weight.a: is 0.0; give a number > 0"),
        ({"a": "x"}, "class_weight.a: 'x' is not a number"),
        ("equal", "class_weight: is 'equal'; use balanced"),
        (3.0, "class_weight: is a float"),
    ):
        with pytest.raises(InputError, match=message):
            cpcert.solve(X, labels, class_weight=wrong, **given)


def test_weights_in_instance_files(tmp_path):
    table = tmp_path / "t.csv"
    rows = [f"{a},{b},{y},{w}" for (a, b), y, w in zip(X, "abcabcc", COPIES, strict=True)]
    table.write_text("a,b,kind,count\n" + "\n".join(rows) + "\n")
    head = "data: {source: file, path: t.csv, targets: [kind]%s}\nloss: cross_entropy\nlambda: 0.03\n"

    def problem(data, more=""):
        path = tmp_path / "i.yaml"
        path.write_text(head % data + more)
        return load_instance(path).problem()

    expected = tuple(COPIES * 0.5)
    column = problem(", weights: count")
    assert column.loss.weights == expected and column.n0 == 2
    assert problem(", features: [a, b]", f"sample_weight: {COPIES.tolist()}\n").sha256 == column.sha256
    chosen = problem(", weights: count, points: 5, seed: 3")
    places = [np.flatnonzero((x == X).all(axis=1))[0] for x in chosen.X]
    np.testing.assert_allclose(chosen.loss.weights, COPIES[places] * 5.0 / COPIES[places].sum(), rtol=1e-15)
    balanced = problem(", features: [a, b]", "class_weight: balanced\n")
    assert balanced.loss.weights == pytest.approx([7 / 6, 7 / 6, 7 / 9, 7 / 6, 7 / 6, 7 / 9, 7 / 9])
    assert problem(", features: [a, b]", "class_weight: {b: 2}\n").loss.weights[1] == pytest.approx(14 / 9)
    for data, more, message in (
        (", weights: count", "sample_weight: [1, 1, 1, 1, 1, 1, 2]\n", "sample_weight: data.weights says the same"),
        (", weights: mass", "", "data.weights: .*'mass'"),
        (", weights: kind", "", "data.weights: is the column 'kind', a target"),
        (", weights: a, features: [a, b]", "", "data.weights: is the column 'a', a feature"),
        ("", "sample_weight: [1, 2]\n", r"sample_weight: has shape \(2,\)"),
        ("", "sample_weight: [1, 0, 1]\n", r"sample_weight\[1\]: is 0; give a list of one number > 0"),
        ("", "class_weight: {d: 1}\n", "class_weight: 'd' is no class; the classes are a, b, c"),
        ("", "class_weight: equal\n", "class_weight: is the text 'equal'; use balanced, or"),
        ("", "penalise_bias: false\n", "penalise_bias: biases are always penalised here"),
    ):
        with pytest.raises(InputError, match=message):
            problem(data, more)
    with pytest.raises(InputError, match=r"data\.weights: is about the columns of a table"):
        path = tmp_path / "j.yaml"
        np.savez(tmp_path / "t.npz", X=X, Y=X)
        path.write_text("data: {source: file, path: t.npz, weights: count}\nlambda: 0.1\n")
        load_instance(path).problem()


def test_estimators_take_weights():
    """A weight of 0 leaves a point out, k is k copies, in the units of the data as well; up to the gap."""
    weights = np.array([3, 1, 0, 1, 2, 0, 1])
    y = 10.0 * TARGETS["mse"] + 3.0
    model = CertifiedMLPRegressor(lam=0.05, gap=1e-4).fit(X, y, sample_weight=weights)
    copies = CertifiedMLPRegressor(lam=0.05, gap=1e-4).fit(X.repeat(weights, axis=0), y.repeat(weights))
    assert max(model.bounds_[0], copies.bounds_[0]) <= min(model.bounds_[1], copies.bounds_[1]) * (1.0 + 1e-12)
    np.testing.assert_allclose(model.network_.units.x_mean, copies.network_.units.x_mean, rtol=1e-13)
    np.testing.assert_allclose(model.network_.units.y_size, copies.network_.units.y_size, rtol=1e-13)
    labels = np.array(["a", "b", "a", "a", "b", "b", "b"])
    by_class = CertifiedMLPClassifier(lam=0.05, gap=1e-3, class_weight={"a": 2.0}).fit(X, labels)
    by_point = CertifiedMLPClassifier(lam=0.05, gap=1e-3).fit(X, labels, np.where(labels == "a", 2.0, 1.0))
    assert by_class.bounds_ == by_point.bounds_
    for wrong, message in ((-weights, "holds a number that is not >= 0"), (0 * weights, "every weight is zero")):
        with pytest.raises(InputError, match=message):
            CertifiedMLPRegressor().fit(X, y, wrong)


@pytest.mark.parametrize("loss", TARGETS)
def test_a_network_is_judged_and_trained_by_its_weights(loss):
    """The verdict is that about the repeated points, and tensors train the same loss."""
    Y = TARGETS[loss]
    weighted = Problem(X, Y, 0.03, loss, sample_weight=COPIES)
    repeated = Problem(X.repeat(COPIES, axis=0), Y.repeat(COPIES, axis=0), 0.03, loss)
    best = cpcert.solve(weighted, gap=1e-5)
    other = cpcert.solve(Problem(X, Y, 0.03, loss), gap=1e-5).network
    for network, verdict in ((best.network, "optimal"), (other, "suboptimal")):
        assert [cpcert.check(network, problem, gap=1e-4).verdict for problem in (weighted, repeated)] == [verdict] * 2
    trained = [cpcert.train(p, widths="3", seeds=2, epochs=100, polish=50) for p in (weighted, repeated)]
    losses = [[result.loss for result in sweep.results] for sweep in trained]
    assert min(losses[0]) >= best.lower
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-2)
