"""Bounds of depth 3 by classes of top neurons: the inequality on random networks, certificates, and files that are not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from deep_instances import networks, random_problem

from cpcert import Problem
from cpcert.certificate import deep_check, file
from cpcert.deep.bound import certificate
from cpcert.deep.bound.cover import build_cover
from cpcert.deep.bound.maxima import minimax
from cpcert.deep.bound.minimum import norms_candidate, top_candidates
from cpcert.deep.bound.solve import global_bound
from cpcert.deep.descent import descend, random_network
from cpcert.frank_wolfe.bounds import dual_value
from cpcert.network import loss_upper
from cpcert.parallel import OutOfTime
from cpcert.status import Status

ONE = 1 << deep_check.GRID


def random_trees(kappa: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Trees for g and −g, κ = δg, with multipliers anywhere they may be."""
    stream: list[int] = []

    def grow(kappa: np.ndarray, signs: np.ndarray) -> None:
        free = np.flatnonzero((kappa > 0.0) & (signs == 0))
        if len(free) and rng.random() < 0.7:
            i = int(rng.choice(free))
            stream.extend([1, i])
            for sign in (1, -1):
                below = signs.copy()
                below[i] = sign
                grow(kappa, below)
            return
        stream.append(0)
        for k, sign in zip(kappa, signs, strict=True):
            if k < 0.0:
                stream.append(int(rng.integers(ONE + 1)))
            elif k > 0.0 and sign:
                far = int(ONE * rng.exponential(0.3)) if rng.random() < 0.5 else 0
                stream.append(ONE + far if sign > 0 else -far)

    for side in (1.0, -1.0):
        grow(side * kappa, np.zeros(len(kappa), dtype=int))
    return stream


def random_classes(N: int, rng: np.random.Generator) -> list[int]:
    """A partition of all patterns, as the boxes make them."""
    sets = [(4 << 2 * N) - 1]
    for _ in range(int(rng.integers(0, 6))):
        k, i = int(rng.integers(len(sets))), 2 * int(rng.integers(N + 1))
        if sets[k] >> i & 3 == 3:
            sets[k : k + 1] = [sets[k] & ~(2 << i), sets[k] & ~(1 << i)]
    return sets


def check_inequality(seed: int, count: int) -> int:
    """(6) of DEEP.md before networks are balanced, Σ(n + U − nU/n') in the place of Σ(2n − n²/n'), with all at random."""
    problem, rng = random_problem(seed), np.random.default_rng(seed + 30_000)
    N, lam, beta, sigma = problem.N, problem.lam, problem.beta, problem.activation
    states = networks(problem, seed, count)
    Z = states[-1].forward(problem.X)[-1]
    G = problem.loss.project_dual(-problem.loss.gradient(Z * rng.uniform(0.0, 1.0), problem.targets), problem.targets)
    sets = random_classes(N, rng)
    cover = build_cover(problem.X_tilde.T.copy(), sigma, int(rng.integers(8, 60)))
    arrays = {
        "X": problem.X.ravel(), "Y": problem.Y.ravel(), "cover": np.concatenate([[len(cover.bisections)], cover.bisections.ravel()]),
        "classes": np.zeros(len(cover.simplices), dtype=np.int64), "G": G[0],
        "trees": np.array(random_trees(sigma.kink * G[0], rng), dtype=np.int64),
    }  # fmt: skip
    read = certificate.as_arrays(arrays)
    problem_read = deep_check.Problem(file.problem_header(problem), read)
    directions = deep_check.Directions(problem_read, {"classes": 1, "coordinates": False}, read)
    (g,), e = deep_check.matrix(read["G"], 1, N, "G")
    stream = deep_check.Stream(read["trees"])
    bound = deep_check.TopBound(directions, g, e, stream)
    stream.end()
    for network in states:
        second, last = network.weights[1], network.weights[2]
        r, v = np.sum(second**2, axis=1), last[0][: len(second)]
        n, U = np.zeros(len(sets)), np.zeros(len(sets))
        for j, z in enumerate(network.forward(problem.X)[1]):
            pattern = sum((1 if s else 2) << 2 * i for i, s in enumerate([*(z >= 0.0), v[j] > 0.0]))
            (home,) = [k for k, bits in enumerate(sets) if pattern & ~bits == 0]
            n[home], U[home] = n[home] + v[j] ** 2, U[home] + r[j]
        masses = np.maximum(n, 1e-3) * np.exp(rng.uniform(-1.0, 1.0, len(sets)))
        gamma, point = 1.0, [Fraction(float(m)) for m in masses]
        while not bound.below_at(Fraction(gamma), sets, point):
            gamma *= 2.0
        while gamma > 1e-9 and bound.below_at(Fraction(gamma * 0.9), sets, point):
            gamma *= 0.9
        s = 2.0 * lam / gamma * rng.uniform(0.0, 1.0) ** 0.2
        if problem.loss.name == "logistic":
            s = min(s, 1.0)
        value = lam * float(np.sum(n + U - n * U / masses)) + dual_value(problem, s * G)
        value -= s * s / (4.0 * lam) * float(bound.bias(sets, point))
        loss = network.loss(problem)
        assert value <= loss + 1e-9 * (1.0 + abs(loss)), (seed, value, loss, beta)
    return len(states)


@pytest.mark.parametrize("seed", range(9))
def test_every_network_obeys_the_inequality(seed):
    check_inequality(seed, 2)


@pytest.mark.campaign
def test_many_networks_obey_the_inequality():
    assert sum(check_inequality(seed, 4) for seed in range(500)) > 5000


# -- certificates ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made():
    """(problem, network, header, arrays): with and without bias, coordinates of repeated features."""
    found = []
    X = np.array([[1.0, 0.2], [-0.4, 1.0], [-0.7, -0.9], [0.3, -1.2]])
    for points, beta, gap in (
        (X, 0.0, 5e-2),
        (X[:, :1], 1.0, 5e-2),
        (np.hstack([X[:3, :1], 0.3 * X[:3, :1]]), 0.0, 5e-2),
    ):
        Y = np.array([[1.0], [-1.0], [0.5], [0.7]])[: len(points)]
        problem = Problem(points, Y, lam=1e-2, depth=3, beta=beta)
        trained = [descend(problem, random_network(problem, 6, np.random.default_rng(k))) for k in range(4)]
        network = min(trained, key=lambda one: one.loss(problem)).balanced().without_dead_neurons(1e-7)
        upper = loss_upper(network, problem)
        *_, one = top_candidates(problem, network, upper, gap, np.inf)
        assert one.value >= (1.0 - gap) * upper
        proof = certificate.certify_deep(problem, network, one.items, one.value * (1.0 - 1e-9), one.proof, one.basis)
        assert proof is not None and proof.lower is not None and proof.lower >= one.value * (1.0 - 1e-5)
        header, arrays = deep_check.parse(proof.content)
        kinds = {"d": np.float64, "q": np.int64}
        found.append((problem, network, header, {k: np.array(v, dtype=kinds[v.typecode]) for k, v in arrays.items()}))
    return found


def check(header, arrays, **changes):
    return deep_check.check(certificate.write(header, {**arrays, **changes}))


def rejected(header, arrays, match=None, **changes):
    with pytest.raises(deep_check.Rejected, match=match):
        check(header, arrays, **changes)


def test_certificates_are_accepted_and_no_network_lies_below(made):
    for problem, _, header, arrays in made:
        lower = check(header, arrays)["lower"]
        assert 0.0 < lower == header["lower"]["value"] and set(header["lower"]["items"]) == {"top"}
        for k in range(2):
            assert descend(problem, random_network(problem, 8, np.random.default_rng((7, k)))).loss(problem) >= lower
    assert made[2][2]["lower"]["coordinates"] is True


def test_what_proves_too_little_is_rejected(made):
    for _, _, header, arrays in made:
        more = {**header, "lower": {**header["lower"], "value": header["lower"]["value"] * 1.05}}
        rejected(more, arrays, "boxes")
        for name in ("scales", "masses"):
            for factor in (1.3, -1.0):
                rejected(header, arrays, "boxes", **{name: arrays[name] * factor})
            rejected(header, arrays, **{name: arrays[name][:-1]})
            rejected(header, arrays, "prove nothing", **{name: np.append(arrays[name], 1.0)})
        rejected(header, arrays, "boxes", G=1.1 * arrays["G"])
        rejected(header, arrays, trees=arrays["trees"][:-1])
        rejected(header, arrays, "goes on", trees=np.append(arrays["trees"], 0))
        rejected({**header, "lower": {**header["lower"], "classes": 2}}, arrays, "classes are for trees")
        for other in ("norm", "tree", "pattern"):
            items = [*header["lower"]["items"][:-1], other]
            rejected({**header, "lower": {**header["lower"], "items": items}}, arrays)
        boxes = arrays["boxes"].copy()
        boxes[2] = 99  # the first step divides by the sign of v
        rejected(header, arrays, "does not exist", boxes=boxes)
        rejected(header, arrays, boxes=np.delete(arrays["boxes"], slice(0, 3)))


def test_single_numbers_changed_prove_nothing_false(made):
    """Rejected, or true: nothing above the loss of the best network known."""
    rng, died = np.random.default_rng(0), 0
    for problem, network, header, arrays in made:
        for name in ("G", "trees", "boxes", "scales", "splits", "masses", "cover"):
            for _ in range(3):
                values = arrays[name].copy()
                if not len(values):
                    continue
                i = int(rng.integers(len(values)))
                values[i] = (
                    values[i] + int(rng.choice([-1, 1, 5, 1 << 20]))
                    if values.dtype == np.int64
                    else values[i] * rng.choice([0.5, 1.05, -1.0, 2.0])
                )
                value = header["lower"]["value"] * float(rng.choice([1.0, 1.06]))
                try:
                    lower = check({**header, "lower": {**header["lower"], "value": value}}, arrays, **{name: values})
                except deep_check.Rejected:
                    died += 1
                    continue
                assert lower["lower"] <= network.loss(problem)
    assert died > 30


@pytest.mark.parametrize("cut", [KeyboardInterrupt, OutOfTime])
def test_what_was_found_before_a_search_is_cut_keeps_its_certificate(cut, made, monkeypatch):
    problem, network, _, _ = made[0]
    search = top_candidates

    def end(*call):
        yield next(search(*call))
        raise cut

    monkeypatch.setattr("cpcert.deep.bound.solve.box_candidates", lambda *_: iter(()))
    monkeypatch.setattr("cpcert.deep.bound.solve.top_candidates", end)
    bound = global_bound(problem, network, gap=1e-6, time_limit=10.0)
    norms = norms_candidate(problem, network, loss_upper(network, problem))
    assert bound.ending is (Status.INTERRUPTED if cut is KeyboardInterrupt else Status.TIME_LIMIT)
    assert bound.kind.endswith("top neurons") and bound.lower > 1.01 * norms.value
    assert deep_check.check(bound.certificate.content)["lower"] == bound.lower


def test_the_least_maximum_is_that_of_a_linear_program():
    from scipy.optimize import linprog

    rng = np.random.default_rng(0)
    for _ in range(30):
        m, R = int(rng.integers(3, 40)), int(rng.integers(1, 7))
        A, b = rng.standard_normal((m, R)), np.abs(rng.standard_normal(m))
        low = np.where(rng.random(R) < 0.3, -np.inf, -rng.random(R))
        high = np.where((rng.random(R) < 0.3) & np.isfinite(low), np.inf, rng.random(R))
        y = np.empty(R)
        value = minimax(A, b, low, high, y, 1e-9, 0.0, np.inf, 1000)
        bounds = [*zip(low, high, strict=True), (0.0, None)]
        exact = linprog([0.0] * R + [1.0], np.column_stack([A, -np.ones(m)]), -b, bounds=bounds)
        assert np.all((low <= y) & (y <= high)) and abs(value - max(0.0, float((A @ y + b).max()))) <= 1e-12
        assert abs(value - exact.fun) <= 1e-6 * (1.0 + value)
