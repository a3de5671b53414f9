"""Certificates of the least width: what is true is accepted, what is false is not, and what the file may cost."""

import itertools
import json
import math
import re
import time
from array import array
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from kept_certificates import FOLDER, WIDTH
from width_files import KEPT, by_hand, by_hand_with_centres, false_files, hostile_files, integers, kept

from cpcert import Problem, solve
from cpcert.certificate import width_check
from cpcert.cli import main
from cpcert.width.bounds import width_bounds
from cpcert.width.certificate import certified_width, certify_width
from cpcert.width.hitting import refutation, smallest_hitting_set


def test_by_hand():
    """WIDTH.md, "By hand"."""
    said = width_check.check(by_hand().content())
    assert (said["kind"], said["loss"], said["lower"], said["upper"]) == ("least_width", 0.75, 1, 1)
    file = by_hand()
    file.header["loss"] = math.nextafter(0.9375, 0.0)  # D = 15/16
    assert width_check.check(file.content())["lower"] == 1
    for theta in (1, 255):
        file.arrays["theta"] = integers(theta, 255, theta)
        assert width_check.check(file.content())["lower"] == 1
    # Without a needed set nothing is proven from below.
    file = by_hand()
    file.header["needed"] = []
    file.arrays |= {name: integers() for name in ("proof", "theta", "mu")} | {"G": array("d"), "hitting": integers(0)}
    assert width_check.check(file.content())["lower"] == 0


def test_by_hand_with_caps_about_centres():
    """WIDTH.md, "By hand"."""
    said = width_check.check(by_hand_with_centres().content())
    assert (said["loss"], said["lower"], said["upper"]) == (0.7, 1, 1)
    file = by_hand_with_centres()
    file.header["loss"] = 0.7177734374999999  # D(0.625·1.5) = 0.7177734375
    assert width_check.check(file.content())["lower"] == 1
    file.header["loss"] = 0.7177734375
    with pytest.raises(width_check.Rejected, match="not larger"):
        width_check.check(file.content())
    # If S has all caps, there are no trees in the others.
    file = by_hand_with_centres()
    file.header["needed"][0]["caps"] = [0, 1]
    file.arrays["proof"] = file.arrays["proof"][:12]
    assert width_check.check(file.content())["lower"] == 1


@pytest.mark.parametrize(("what", "content", "reason"), false_files(), ids=lambda v: v if isinstance(v, str) else "")
def test_false_claims_are_rejected(what, content, reason):
    with pytest.raises(width_check.Rejected, match=re.escape(reason)):
        width_check.check(content)


def needed_sets(content):
    """(X̂, sites, entry, G) of each needed set, in floats."""
    header, arrays = width_check.parse(content)
    problem = header["problem"]
    N, m = problem["N"], problem["m"]
    if header["coordinates"]:
        points = np.array(arrays["coordinates"]).reshape(N, -1)
    else:
        X = np.array(arrays["X"]).reshape(N, -1)
        points = np.column_stack([X, np.full(N, problem["beta"])]) if problem["beta"] else X
    sites = np.array(arrays["sites"], float).reshape(-1, points.shape[1])
    heights = np.array(arrays["heights"], float) if "base" in header else None
    slopes = problem["a_plus"], problem["a_minus"]
    for entry, G in zip(header["needed"], np.array(arrays["G"]).reshape(-1, m, N), strict=True):
        if problem["loss"] == "cross_entropy":
            G = np.vstack([G[:-1], -G[:-1].sum(axis=0)])
        yield points, sites, heights, slopes, entry, G


@pytest.mark.parametrize("name", sorted(KEPT))
def test_outside_the_caps_of_a_needed_set_nothing_exceeds_its_bound(name):
    """By samples, which say nothing of the checker; and inside something does."""
    rng = np.random.default_rng(0)
    for points, sites, heights, (plus, minus), entry, G in needed_sets(KEPT[name]):
        W = np.concatenate([sites, rng.standard_normal((100_000, points.shape[1]))])
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        z = W @ points.T
        values = np.linalg.norm((plus * np.maximum(z, 0.0) - minus * np.maximum(-z, 0.0)) @ G.T, axis=1)
        if heights is None:
            inside = np.isin(np.argmax(W @ sites.T, axis=1), entry["caps"])
        else:
            inside = np.any(W @ sites[entry["caps"]].T - heights[entry["caps"]] >= 0.0, axis=1)
        assert values[~inside].max() <= entry["inner"] < values[inside].max()


def holds(cones, weights, vertices, theta, M, bound):
    """Whether a leaf is accepted."""
    cones.frame.bound = Fraction(bound)
    numbers = iter(theta)
    cones.theta = SimpleNamespace(take=lambda: next(numbers))
    corners = width_check.scaled(vertices)
    try:
        cones.bounded(weights, corners, [M * (corner[3][1] - corner[3][0]) for corner in corners])
    except width_check.Rejected:
        return False
    return True


@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("with_cap", [False, True])
def test_a_leaf_that_is_accepted_holds_and_a_little_less_is_not_lost(m, with_cap):
    """F_i and M against the function itself, at random points of random cones."""
    rng = np.random.default_rng(m)
    accepted = 0
    for _ in range(60):
        points, h = rng.integers(-9, 10, (5, 3)).tolist(), rng.integers(-4, 5, (5, m))
        weights = [[1 if v > 0 else -1 for v in row] for row in h.tolist()] if m == 1 else h.tolist()
        linear = rng.integers(-9, 10, (m, 3)).tolist()
        sites = rng.integers(-5, 6, (2, 3)).tolist()
        frame = SimpleNamespace(n=3, m=m, points=points, weights=weights, linear=linear, bound=Fraction(1))
        signs = rng.choice([-1, 1], 3).tolist()
        streams = [width_check.Stream([]) for _ in range(3)]
        cones = width_check.Outside(frame, 1, sites, [0], streams)
        vertices = cones.root(signs)
        for _ in range(int(rng.integers(0, 4))):
            a, b = rng.permutation(3)[:2]
            vertices[a] = cones.middle(vertices[a], vertices[b])
        own, vertices = cones.settled(cones.weights, vertices)
        U = np.array([np.array(u, float) / 2.0**e for u, e, *_ in vertices])
        M = int(rng.integers(0, 1 << 24)) if with_cap else 0
        theta = rng.integers(1, 256, 3).tolist()

        bounds = [bound for bound in (1, 10, 30, 100, 300, 1000, 3000) if holds(cones, own, vertices, theta, M, bound)]
        accepted += bool(bounds)
        for bound in bounds[:1]:
            t = rng.exponential(size=(2000, 3)) ** 3 @ U
            if with_cap:
                t = t[t @ np.subtract(sites[1], sites[0]) >= 0.0]
            s = np.maximum(t @ np.array(points, float).T, 0.0)
            f = t @ np.array(linear, float).T + s @ np.array(weights, float)
            value = f[:, 0] if m == 1 else np.linalg.norm(f, axis=1)
            assert (value <= bound * np.linalg.norm(t, axis=1) * (1.0 + 1e-12)).all()
    assert accepted >= 15


def test_refutations_against_enumeration():
    """k caps hit all sets and fewer do not: the tree is accepted for k, and the checker takes nothing larger."""
    rng = np.random.default_rng(1)
    branched = 0
    for trial in range(150):
        n = int(rng.integers(3, 8))
        sets = [int(s) for s in rng.integers(1, 1 << n, int(rng.integers(1, 12)))]
        if trial % 3 == 0:
            sets = [sum(1 << k for k in pair) for pair in itertools.combinations(range(n), 2)]
        least, _ = smallest_hitting_set(sets)
        used, stream = refutation(sets, least)
        own = [sets[at] for at in used]
        branched += 1 in stream[:1]
        read = width_check.Stream([least, *stream])
        assert width_check.hitting_number(own, read) == least
        read.end()
        for wrong in ([least + 1, *stream], [least, *stream[:-1]]):
            with pytest.raises((width_check.Rejected, StopIteration)):
                width_check.hitting_number(own, width_check.Stream(wrong))
        for at in range(len(stream)):  # whatever tree is accepted, what it says is true
            wrong = [least + 1, *stream[:at], int(rng.integers(0, 4)), *stream[at + 1 :]]
            with pytest.raises((width_check.Rejected, StopIteration)):
                width_check.hitting_number(own, width_check.Stream([*wrong, *wrong[1:]]))
    assert branched > 30


@pytest.mark.parametrize("loss", ["mse", "logistic", "cross_entropy"])
def test_random_problems_have_certificates_of_their_widths(loss):
    found = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        r, beta = (1, 2, 2, 3)[seed], (1.0, 0.0, 0.5, 0.0)[seed]
        X = rng.standard_normal((6, r))
        Y = rng.standard_normal(6)
        if loss != "mse":
            Y = np.sign(Y) if loss == "logistic" else rng.permutation(np.eye(2)[[0, 0, 0, 1, 1, 1]])
        problem = Problem(X, Y, lam=2e-2, loss=loss, beta=beta)
        result = solve(problem, gap=1e-9)
        bounds = width_bounds(problem, result)
        proof = certify_width(problem, bounds)
        said = width_check.check(proof.content)
        assert (said["lower"], said["upper"]) == (proof.lower, proof.upper)
        assert said["lower"] <= bounds.upper == said["upper"] and said["loss"] == bounds.loss
        found += said["lower"] == bounds.lower
    assert found == 4


def test_bounds_that_are_not_true_do_not_come_back():
    rng = np.random.default_rng(2)
    problem = Problem(rng.standard_normal((6, 1)), rng.standard_normal(6), lam=1e-2)
    bounds = width_bounds(problem, solve(problem, gap=1e-9))
    first = bounds.needed[0]
    boast = replace(bounds, lower=9, needed=(*bounds.needed, replace(first, caps=bounds.needed[1].caps)))
    claimed, proof = certified_width(problem, boast)
    assert claimed.lower == proof.lower == bounds.lower and "the certificate proves less" in claimed.note
    # A loss that a narrower network has: the sets are not needed for it.
    claimed, proof = certified_width(problem, replace(bounds, loss=2.0))
    assert (claimed.lower, claimed.proof, proof.lower) == (0, "none", 0)
    claimed, proof = certified_width(problem, bounds, seconds=0.0)
    assert proof.lower == claimed.lower == 0
    assert proof.upper == bounds.upper


def test_the_command_writes_what_verify_accepts(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.yaml").write_text(
        "data: {source: teacher, points: 8, features: 1, width: 2, noise: 0.1, seed: 0}\nloss: mse\nlambda: 0.01\n"
    )
    assert main(["width", "one.yaml", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    path = tmp_path / "one-width.cpcert"
    assert printed["certificate"] == path.name and "model" not in printed
    assert main(["verify", path.name, "--instance", "one.yaml"]) == 0
    said = capsys.readouterr().out
    assert f"at least {printed['lower']}, at most {printed['upper']}" in said and repr(printed["loss"]) in said
    assert main(["width", "one.yaml", "--no-certificate", "--out", "without"]) == 0
    assert {file.suffix for file in (tmp_path / "without").iterdir()} == {".json", ".safetensors"}
    # It is no interval of the minimum.
    model = next((tmp_path / "without").glob("*.safetensors"))
    assert main(["check", str(model), "one.yaml", "--certificate", path.name]) == 2


def test_without_a_certificate_the_command_says_so(tmp_path, capsys, monkeypatch):
    """`interpolate` has none: what is printed is proven by the search alone, with and without JSON."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit.yaml").write_text(
        "data: {source: teacher, points: 5, features: 1, width: 2, seed: 0}\nloss: interpolate\n"
    )
    assert main(["width", "fit.yaml", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert "not certified, the search alone proves it" in printed["note"]
    assert printed["lower"] == 0 and printed.get("certificate") is None
    assert not [*tmp_path.rglob("*.cpcert")]
    assert main(["width", "fit.yaml"]) == 1
    assert "not certified" in " ".join(capsys.readouterr().out.split())


def test_files_made_to_cost_much_are_paid_for():
    for name, content in hostile_files().items():
        began = time.process_time()
        budget = width_check.Budget(10**9, 1 << 27)
        token = width_check.BUDGET.set(budget)
        try:
            width_check._claim(content)
        except (width_check.Rejected, StopIteration):
            pass
        finally:
            width_check.BUDGET.reset(token)
        assert time.process_time() - began < 0.5 + 2.0, name


def test_kept_files_are_the_ones_of_the_folder():
    assert {f"width-{name}.cpcert" for name in KEPT} == set(WIDTH) == {p.name for p in FOLDER.glob("width-*")}
    assert all(kept(name).header["claim"] == "least_width" for name in KEPT)
