"""Bounds of depth 3 by patterns of the top neurons: the inequality on random networks, certificates, and files that are not."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from deep_instances import networks, random_problem
from kept_certificates import FOLDER

from cpcert import Network, Problem
from cpcert.activations import Activation
from cpcert.certificate import deep_check, file
from cpcert.deep.bound import certificate
from cpcert.deep.bound.cover import build_cover
from cpcert.deep.descent import descend, random_network
from cpcert.frank_wolfe.bounds import dual_value


def exact_bound(problem: Problem, G: np.ndarray, rows: np.ndarray, cones: int) -> deep_check.PatternBound:
    """The checker's bound for one G (N,) and q (C, N), with a cover that may be too coarse."""
    cover = build_cover(problem.X_tilde.T.copy(), problem.activation, cones)
    arrays = {
        "X": problem.X.ravel(), "Y": problem.Y.ravel(), "cover": np.concatenate([[len(cover.bisections)], cover.bisections.ravel()]),
        "classes": np.zeros(len(cover.simplices), dtype=np.int64), "G": G, "pulls": rows.ravel(),
    }  # fmt: skip
    read = certificate.as_arrays(arrays)
    exact = deep_check.Problem(file.problem_header(problem), read)
    directions = deep_check.Directions(exact, {"classes": 1, "coordinates": False}, read)
    (g, e), (q, f) = deep_check.matrix(read["G"], 1, problem.N, "G"), deep_check.matrix(read["pulls"], *rows.shape, "q")
    return deep_check.PatternBound(directions, g[0], e, q, f)


def random_classes(N: int, rng: np.random.Generator) -> list[int]:
    """A partition of all patterns, as the boxes make them."""
    masks = [deep_check.pattern_mask(i, N) for i in range(N + 1)]
    sets = [(1 << (2 << N)) - 1]
    for _ in range(int(rng.integers(1, 7))):
        k, i = int(rng.integers(len(sets))), int(rng.integers(N + 1))
        first = sets[k] & masks[i]
        if first and first != sets[k]:
            sets[k : k + 1] = [first, sets[k] & ~first]
    return sets


def check_inequality(seed: int, count: int) -> int:
    """(5) of DEEP.md before networks are balanced, Σ(n + U − nU/n') in the place of Σ(2n − n²/n'), for classes, q and n' at random."""
    problem, rng = random_problem(seed), np.random.default_rng(seed + 20_000)
    N, lam, beta = problem.N, problem.lam, problem.beta
    states = networks(problem, seed, count)
    Z = states[-1].forward(problem.X)[-1]
    G = problem.loss.project_dual(-problem.loss.gradient(Z * rng.uniform(0.0, 1.0), problem.targets), problem.targets)
    sets = random_classes(N, rng)
    sides = np.array([[bool(bits & (1 << p)) for p in range(2 << N)] for bits in sets])
    v_sign = np.array([1.0 if side[-1] else -1.0 for side in sides])
    q = v_sign[:, None] * G
    if seed % 2:
        q = q * rng.uniform(-0.2, 1.2, q.shape) * (rng.random(q.shape) < 0.8)
    exact = exact_bound(problem, G[0], q, int(rng.integers(8, 60)))
    masks = [deep_check.pattern_mask(i, N) for i in range(N + 1)]
    for network in states:
        first, second, last = network.weights
        r, v = np.sum(second**2, axis=1), last[0][: len(second)]
        n, U, over = np.zeros(len(sets)), np.zeros(len(sets)), np.zeros(len(sets))
        for j, z in enumerate(network.forward(problem.X)[1]):
            pattern = sum(int(s) << i for i, s in enumerate([*(z >= 0.0), v[j] > 0.0]))
            home = int(np.flatnonzero(sides[:, pattern])[0])
            n[home], U[home] = n[home] + v[j] ** 2, U[home] + r[j]
            over[home] += abs(v[j]) * np.sqrt(r[j])
        masses = np.maximum(n, 1e-3) * np.exp(rng.uniform(-1.0, 1.0, len(sets)))
        tau = exact.excess(sets, masks, deep_check.reaches(exact.problem, Fraction(float(np.sum(first**2)))))
        gamma, point = 1.0, [Fraction(float(m)) for m in masses]
        while not exact.below_at(Fraction(gamma), sets, point):
            gamma *= 2.0
        while gamma > 1e-9 and exact.below_at(Fraction(gamma * 0.8), sets, point):
            gamma *= 0.8
        s = 2.0 * lam / gamma * rng.uniform(0.0, 1.0) ** 0.2
        if problem.loss.name == "logistic":
            s = min(s, 1.0)
        value = (
            lam * float(np.sum(n + U - n * U / masses))
            + dual_value(problem, s * G)
            - s * float(over @ np.array(tau, float))
        )
        value -= s * s * beta**2 / (4.0 * lam) * float(exact.bias(point))
        loss = network.loss(problem)
        assert value <= loss + 1e-9 * (1.0 + abs(loss)), (seed, value, loss)
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
    """(problem, network, header, arrays) of kept certificates, with and without bias."""
    found = []
    for name in ("deep-patterns.cpcert", "deep-patterns-bias.cpcert"):
        header, arrays = deep_check.parse((FOLDER / name).read_bytes())
        kinds = {"d": np.float64, "q": np.int64}
        arrays = {k: np.array(v, dtype=kinds[v.typecode]) for k, v in arrays.items()}
        told = header["problem"]
        points = arrays["X"].reshape(told["N"], -1), arrays["Y"].reshape(told["N"], -1)
        sigma = Activation("leaky_relu", told["a_plus"], told["a_minus"])
        problem = Problem(*points, activation=sigma, lam=told["lambda"], depth=3, beta=told["beta"])
        assert problem.sha256 == told["sha256"]
        widths = [problem.n, *header["upper"]["widths"], 1]
        bias = int(problem.beta != 0.0)
        weights = [arrays[f"W{k + 1}"].reshape(b, a + bias * (k > 0)) for k, (a, b) in enumerate(pairwise(widths))]
        found.append((problem, Network(weights, problem.activation, problem.beta), header, arrays))
    return found


def check(header, arrays, **changes):
    return deep_check.check(certificate.write(header, {**arrays, **changes}))


def rejected(header, arrays, match=None, **changes):
    with pytest.raises(deep_check.Rejected, match=match):
        check(header, arrays, **changes)


def test_certificates_are_accepted_and_no_network_lies_below(made):
    for problem, _, header, arrays in made:
        lower = check(header, arrays)["lower"]
        assert 0.0 < lower == header["lower"]["value"] and set(header["lower"]["items"]) == {"pattern"}
        for k in range(6):
            assert descend(problem, random_network(problem, 8, np.random.default_rng((7, k)))).loss(problem) >= lower


def test_what_proves_too_little_is_rejected(made):
    for _, _, header, arrays in made:
        more = {**header, "lower": {**header["lower"], "value": header["lower"]["value"] * 1.02}}
        rejected(more, arrays, "boxes")
        for name in ("scales", "masses"):
            for factor in (1.3, -1.0):
                rejected(header, arrays, "boxes", **{name: arrays[name] * factor})
            rejected(header, arrays, **{name: arrays[name][:-1]})
            rejected(header, arrays, "prove nothing", **{name: np.append(arrays[name], 1.0)})
        rejected(header, arrays, "boxes", pulls=arrays["pulls"] * 1.1)
        rejected(header, arrays, "boxes", pulls=0.0 * arrays["pulls"])
        rejected(header, arrays, "a q for each class", pulls=arrays["pulls"][:-1])
        rejected(header, arrays, "count", counts=arrays["counts"][:-1])
        rejected(header, arrays, "count", counts=np.where(arrays["counts"] > 0, 63, 0))
        rejected({**header, "lower": {**header["lower"], "classes": 2}}, arrays, "classes are for trees")
        mixed = [*header["lower"]["items"][:-1], "norm"]
        rejected({**header, "lower": {**header["lower"], "items": mixed}}, arrays, "all are patterns")
        boxes = arrays["boxes"].copy()
        boxes[2] = 99  # the first step divides by the sign of v
        rejected(header, arrays, "does not exist", boxes=boxes)
        rejected(header, arrays, boxes=np.delete(arrays["boxes"], slice(0, 3)))


def test_single_numbers_changed_prove_nothing_false(made):
    """Rejected, or true: nothing above the loss of the best network known."""
    rng, died = np.random.default_rng(0), 0
    for problem, network, header, arrays in made:
        for name in ("G", "pulls", "boxes", "scales", "splits", "masses", "cover", "counts"):
            for _ in range(4):
                values = arrays[name].copy()
                if not len(values):
                    continue
                i = int(rng.integers(len(values)))
                values[i] = (
                    values[i] + int(rng.choice([-1, 1, 5]))
                    if values.dtype == np.int64
                    else values[i] * rng.choice([0.5, 1.05, -1.0, 2.0])
                )
                claim = {
                    **header,
                    "lower": {**header["lower"], "value": header["lower"]["value"] * float(rng.choice([1.0, 1.03]))},
                }
                try:
                    lower = check(claim, arrays, **{name: values})["lower"]
                except deep_check.Rejected:
                    died += 1
                    continue
                assert lower <= network.loss(problem)
    assert died > 20


def test_patterns_are_for_few_points_and_one_output(made):
    _, _, header, arrays = made[0]
    rng = np.random.default_rng(0)
    wide = Problem(rng.standard_normal((11, 1)), rng.standard_normal((11, 1)), lam=0.1, depth=3, beta=0.0)
    proof = {"value": 0.0, "coordinates": False, "classes": 1, "items": ["pattern"]}
    other = {
        "X": wide.X.ravel(), "Y": wide.Y.ravel(), "G": np.ones(11), "cover": np.array([0]), "classes": np.zeros(2, np.int64),
        "counts": np.array([1]), "pulls": np.ones(11), "boxes": np.array([3]), "scales": np.zeros(0), "splits": np.zeros(0),
        "masses": np.zeros(0),
    }  # fmt: skip
    rejected({**header, "problem": file.problem_header(wide), "upper": None, "lower": proof}, other, "too many points")
    deeper = Problem(made[0][0].X, made[0][0].Y, lam=1e-2, depth=4, beta=0.0)
    rejected({**header, "problem": file.problem_header(deeper), "upper": None}, arrays, "one output and depth 3")


def test_a_form_that_is_accepted_is_copositive():
    """By the faces: a symmetric matrix is copositive if no principal block has an eigenvector > 0 with an eigenvalue < 0."""
    rng, yes = np.random.default_rng(1), 0
    for k in range(400):
        r = 1 + k % 4
        A = rng.integers(-6, 9, (r, r)) if k % 3 else rng.integers(-3, 4, (r, r)) @ np.diag(rng.integers(0, 2, r))
        S = A @ A.T * (k % 2) + (A + A.T) * ((k + 1) % 2)
        if not deep_check.copositive(S.tolist()):
            continue
        yes += 1
        t = np.concatenate([rng.exponential(size=(300, r)) * (rng.random((300, r)) < 0.6), np.eye(r)])
        assert np.all(np.einsum("ka,ab,kb->k", t, S, t) >= -1e-9)
    assert 50 < yes < 350
