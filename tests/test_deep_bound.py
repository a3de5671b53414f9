"""Global bounds at depth ≥ 3: the inequalities on random networks, closed forms, certificates that hold and files that do not."""

from __future__ import annotations

import json
import math
import time
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from deep_instances import exact_tree, homes, masses_of, networks, random_problem
from deep_probes import directions
from kept_certificates import FOLDER as KEPT
from scipy.optimize import minimize_scalar

from cpcert import Network, Problem
from cpcert.certificate import deep_check
from cpcert.cli import main
from cpcert.deep.bound import certificate
from cpcert.deep.bound.cover import build_cover
from cpcert.deep.bound.ladders import lowest
from cpcert.deep.bound.minimum import Candidate, box_candidates, norms_candidate
from cpcert.deep.bound.solve import candidates, global_bound, solve_global
from cpcert.deep.descent import descend, random_network
from cpcert.deep.report import DeepOutcome
from cpcert.frank_wolfe.bounds import best_scale, dual_value
from cpcert.network import loss_upper
from cpcert.oracle.plane import plane_oracle
from cpcert.parallel import OutOfTime
from cpcert.status import Status

SLOPES = ((1.0, 0.0), (1.0, -1.0), (1.0, 1.0), (1.0, 0.3), (-0.5, 1.0), (0.0, 1.0), (1.0, -0.4))


def best_network(problem: Problem, count: int = 6, width: int = 6) -> Network:
    found = [descend(problem, random_network(problem, width, np.random.default_rng(k))) for k in range(count)]
    return min(found, key=lambda network: network.loss(problem)).balanced().without_dead_neurons(1e-7)


def bound_of(exact, masses) -> float:
    """κ(m) by the checker, from its answers."""
    exact_masses = [Fraction(float(m)) for m in masses]
    low, high = 0.0, 1.0
    while not exact.below(Fraction(high), [exact_masses], Fraction(1)):
        low, high = high, 4.0 * high
    for _ in range(18):
        middle = 0.5 * (low + high)
        if exact.below(Fraction(middle), [exact_masses], Fraction(1)):
            high = middle
        else:
            low = middle
    return high


def check_inequalities(seed: int, count: int) -> int:
    """L_λ(W) ≥ λΣm + ψ_G(s) at the network's own masses, and |g·σ(z)| ≤ κ(m) for each row of W_2; how many networks."""
    problem = random_problem(seed)
    rng = np.random.default_rng(seed + 10_000)
    states = networks(problem, seed, count)
    Z = states[-1].forward(problem.X)[-1]
    G = problem.loss.project_dual(-problem.loss.gradient(Z * rng.uniform(0.0, 1.0), problem.targets), problem.targets)
    if not G.any():
        return 0
    space, exact = exact_tree(problem, G[0], 1 + seed % 3, seed)
    for network in states:
        masses = masses_of(space, network.weights[0])
        kappa = bound_of(exact, masses)
        s = best_scale(problem, G, 2.0 * problem.lam / kappa if kappa > 0.0 else 1e300)
        value = problem.lam * masses.sum() + dual_value(problem, s * G)
        loss = network.loss(problem)
        assert value <= loss + 1e-9 * (1.0 + abs(loss)), seed
        rows = np.linalg.norm(network.weights[1], axis=1)
        z = network.forward(problem.X)[1][rows > 0.0] / rows[rows > 0.0, None]
        assert np.all(np.abs(problem.activation(z) @ G[0]) <= kappa * (1.0 + 1e-9) + 1e-12), seed
        check_other_masses(problem, network, G, space, exact, rng)
    return len(states)


def check_other_masses(problem, network, G, space, exact, rng) -> None:
    """What (4) of DEEP.md says before networks are balanced: L_λ ≥ λΣ(m + U − Um/m') + ψ_G(s) for any masses m'."""
    first, second = network.weights[:2]
    masses, usage = masses_of(space, first), np.zeros(space.classes)
    for group, column in zip(homes(space, first), second.T[: len(first)], strict=True):
        usage[group] += float(column @ column)
    other = np.maximum(masses, 1e-3) * np.exp(rng.uniform(-1.0, 1.0, len(masses)))
    kappa = bound_of(exact, other)
    s = best_scale(problem, G, 2.0 * problem.lam / kappa if kappa > 0.0 else 1e300)
    value = problem.lam * float(np.sum(masses + usage - usage * masses / other)) + dual_value(problem, s * G)
    loss = network.loss(problem)
    assert value <= loss + 1e-9 * (1.0 + abs(loss))


@pytest.mark.parametrize("seed", range(25))
def test_every_network_obeys_the_inequality_at_its_own_masses(seed):
    check_inequalities(seed, 3)


@pytest.mark.campaign
def test_many_networks_obey_the_inequality():
    assert sum(check_inequalities(seed, 5) for seed in range(500)) > 5000


def norm_inequality(seed: int, depth: int, loss: str) -> None:
    """The same by norms, at any depth and with several outputs."""
    problem = random_problem(seed, depth=depth, m=3, loss=loss)
    candidate = norms_candidate(problem, best_network(problem, 1, 3), 1.0)
    for network in networks(problem, seed, 3):
        total = sum(float(np.sum(W * W)) for W in network.weights[: depth - 2])
        for item in candidate.items:
            kappa = item.proof.bound(total)
            rows = np.linalg.norm(network.weights[depth - 2], axis=1)
            z = network.forward(problem.X)[depth - 2][rows > 0.0] / rows[rows > 0.0, None]
            sizes = np.linalg.norm(problem.activation(z) @ item.G.T, axis=1)
            assert np.all(sizes <= kappa * (1.0 + 1e-9) + 1e-12)
            s = best_scale(problem, item.G, 2.0 * problem.lam / kappa if kappa > 0.0 else 1e300)
            loss_value = network.loss(problem)
            assert problem.lam * total + dual_value(problem, s * item.G) <= loss_value + 1e-9 * (1.0 + loss_value)


@pytest.mark.parametrize(("seed", "depth", "loss"), [(k, 3 + k % 3, ("mse", "cross_entropy")[k % 2]) for k in range(8)])
def test_norms_bound_every_depth(seed, depth, loss):
    norm_inequality(seed, depth, loss)


@pytest.mark.campaign
def test_norms_bound_many_networks_of_depth_four():
    for seed in range(100):
        norm_inequality(seed, 4, ("mse", "cross_entropy", "logistic")[seed % 3])


@pytest.mark.parametrize("seed", range(6))
def test_the_directions_of_the_checker_bound_gamma_and_are_exact_in_the_plane(seed):
    rng = np.random.default_rng(seed)
    problem = Problem(rng.standard_normal((6, 1)), np.ones((6, 1)), lam=0.1, depth=3, beta=1.0)
    points = problem.X_tilde.T.copy()
    for most, exact in ((6, False), (200, True)):
        cover = build_cover(points, problem.activation, most)
        read = certificate.as_arrays(
            {
                "X": problem.X.ravel(), "Y": problem.Y.ravel(),
                "cover": np.concatenate([[len(cover.bisections)], cover.bisections.ravel()]).astype(np.int64),
                "classes": np.zeros(len(cover.simplices), np.int64),
            }
        )  # fmt: skip
        directions = deep_check.Directions(
            deep_check.Problem(certificate.problem_header(problem), read), {"classes": 1, "coordinates": False}, read
        )
        q = rng.integers(-8, 9, 6)
        bound = float(directions.gamma(q.tolist(), 0)[0])
        value = plane_oracle(points, q[None, :].astype(float), problem.activation, 0.0).upper_bound
        assert value * (1.0 - 1e-9) <= bound
        if exact:
            assert bound <= value * (1.0 + 1e-8)


@pytest.mark.parametrize("seed", range(30))
def test_no_direction_of_a_class_exceeds_its_bound(seed):
    """Cones cut anywhere, classes and slopes of any kind, coordinates that are not exact: |Σ q_iσ(x_iᵀw)| for many w."""
    rng = np.random.default_rng(seed)
    r, N, slopes = 1 + seed % 4, int(rng.integers(1, 7)), SLOPES[seed % len(SLOPES)]
    n = r + 2 * (seed % 3 == 0)
    X = rng.standard_normal((N, n)).round(int(rng.integers(0, 6)))
    cuts = []
    for k in range(int(rng.integers(0, 12)) if r > 1 else 0):
        a, b = rng.choice(r, 2, replace=False)
        cuts.append((rng.integers(2**r + k), a, b, rng.integers(1, 9), rng.integers(1, 9), rng.integers(-3, 4)))
    given = {"X": X.tolist(), "cuts": [tuple(map(int, cut)) for cut in cuts], "slopes": slopes, "count": 1 + seed % 3}
    given["groups"] = rng.integers(0, given["count"], 2**r + len(cuts)).tolist()
    Q = np.eye(n)
    if n > r:
        Q = np.linalg.qr(rng.standard_normal((n, r)))[0] * rng.uniform(0.8, 1.2) + 0.05 * rng.standard_normal((n, r))
        points = X @ np.linalg.pinv(Q).T + 0.02 * rng.standard_normal((N, r))
        given |= {"basis": Q.ravel().tolist(), "coordinates": points.ravel().tolist()}
    exact = directions(deep_check, given)
    q = rng.integers(-5, 6, N)
    bounds = [float(bound) for bound in exact.gamma(q.tolist(), 0)]
    W = rng.standard_normal((2000, n))
    W /= np.linalg.norm(W, axis=1)[:, None]
    Z = X @ W.T
    values = np.abs(q @ np.where(Z > 0.0, slopes[0] * Z, slopes[1] * Z))
    covered = np.zeros(len(W), bool)
    for simplex in exact.simplices:
        rays = np.array([exact.rays[ray] for ray in simplex.rays], dtype=float).T
        t = np.linalg.solve(rays, (W @ Q).T)
        inside = (t >= -1e-12 * np.abs(t).max(axis=0)).all(axis=0)
        assert np.all(values[inside] <= bounds[simplex.group] * (1.0 + 1e-9) + 1e-12)
        covered |= inside
    assert covered.all()


@pytest.mark.parametrize(("x", "y", "lam"), [(1.0, 1.0, 0.01), (0.7, -2.0, 0.05), (3.0, 0.4, 0.002)])
def test_one_point_has_a_closed_form(x, y, lam):
    """One point, no bias: a network is a chain, f = w₁w₂w₃|x|, and costs 3λ(f/|x|)^(2/3) + (f − y)² when balanced."""
    problem = Problem(np.array([[x]]), np.array([[y]]), lam=lam, depth=3, beta=0.0)
    found = minimize_scalar(
        lambda f: 3.0 * lam * (f / abs(x)) ** (2.0 / 3.0) + (f - abs(y)) ** 2,
        bounds=(0.3 * abs(y), abs(y)), method="bounded", options={"xatol": 1e-12},
    )  # fmt: skip
    optimum = min(found.fun, y * y)
    bound = global_bound(problem, best_network(problem), gap=1e-3, time_limit=5.0)
    assert optimum * (1.0 - 1e-3) <= bound.lower <= optimum * (1.0 + 1e-12)


@pytest.fixture(scope="module")
def made():
    """(problem, network, certificate) of small instances: trees with and without bias, several classes, norms."""
    found = []
    for seed, depth, m, loss in ((0, 3, 1, "mse"), (1, 3, 1, "logistic"), (5, 3, 1, "mse"), (6, 4, 2, "cross_entropy")):
        problem = random_problem(seed, depth=depth, m=m, loss=loss, most=4)
        network = best_network(problem)
        found.append((problem, network, global_bound(problem, network, gap=1e-2, time_limit=2.0).certificate))
    return found


def test_certificates_are_accepted_and_no_network_lies_below(made):
    for problem, _, proof in made:
        claim = deep_check.check(proof.content)
        assert (claim["lower"], claim["upper"]) == (proof.lower, proof.upper)
        assert claim["sha256"] == problem.sha256
        assert 0.0 < claim["lower"] <= claim["upper"]
        for k in range(6):
            network = descend(problem, random_network(problem, 8, np.random.default_rng((7, k))))
            assert network.loss(problem) >= claim["lower"]


def parts(content):
    header, arrays = deep_check.parse(content)
    kinds = {"d": np.float64, "q": np.int64}
    return header, {name: np.array(values, dtype=kinds[values.typecode]) for name, values in arrays.items()}


def test_a_claim_that_is_too_good_is_rejected(made):
    for _, _, proof in made:
        for change in (1.0 + 2e-2, 1.5, 1e6):
            header, arrays = parts(proof.content)
            header["lower"]["value"] *= change
            with pytest.raises(deep_check.Rejected):
                deep_check.check(certificate.write(header, arrays))
        header, arrays = parts(proof.content)
        header["upper"]["value"] = math.nextafter(header["upper"]["value"] * (1.0 - 1e-9), 0.0)
        with pytest.raises(deep_check.Rejected, match="loss is larger"):
            deep_check.check(certificate.write(header, arrays))


def test_changed_numbers_prove_nothing_false(made):
    """Single numbers changed in every array: the file is rejected, or what it claims is still true."""
    rng = np.random.default_rng(0)
    rejected = 0
    for _, network, proof in made:
        least = network.loss  # of the same problem, the best known value
        _, names = parts(proof.content)
        for name in names:
            for _ in range(1):
                header, arrays = parts(proof.content)
                values = arrays[name]
                if not len(values):
                    continue
                i = int(rng.integers(len(values)))
                old = values[i]
                if values.dtype == np.int64:
                    values[i] += int(rng.choice([-1, 1, 7, 1 << 20]))
                else:
                    values[i] *= rng.choice([0.5, 1.01, -1.0, 3.0])
                if values[i] == old:
                    continue
                try:
                    claim = deep_check.check(certificate.write(header, arrays))
                except deep_check.Rejected:
                    rejected += 1
                    continue
                assert name not in ("X", "Y")
                assert claim["lower"] <= claim["upper"], (name, least)
    assert rejected > 10


def test_files_cut_off_or_with_more_are_rejected(made):
    content = made[0][2].content
    for name in ("trees", "boxes", "masses", "scales", "cover", "classes", "G", "W1"):
        header, arrays = parts(content)
        assert len(arrays[name]) or name.startswith("W")
        for values in (arrays[name][:-1], np.append(arrays[name], arrays[name][-1:])) if len(arrays[name]) else ():
            with pytest.raises(deep_check.Rejected):
                deep_check.check(certificate.write(header, {**arrays, name: values}))
    header, arrays = parts(content)
    with pytest.raises(deep_check.Rejected, match="prove nothing"):
        deep_check.check(certificate.write(header, {**arrays, "more": np.zeros(1)}))
    with pytest.raises(deep_check.Rejected):
        deep_check.check(content[:-3])
    for key, value in (("classes", 0), ("classes", 10**9), ("coordinates", True), ("items", []), ("items", ["norm"])):
        header, arrays = parts(content)
        header["lower"][key] = value
        with pytest.raises(deep_check.Rejected):
            deep_check.check(certificate.write(header, arrays))


def test_multipliers_must_stay_in_their_intervals():
    """g = (1, −1), ReLU: z₁ is branched on in the first tree, and undecided is z₂ in the second."""
    problem = Problem(np.array([[1.0, 0.5], [-0.5, 1.0]]), np.ones((2, 1)), lam=0.1, depth=3, beta=0.0)
    one = 1 << deep_check.GRID
    good = [1, 0, 0, one, 0, 0, 0, one, 0, one]
    cover = build_cover(problem.X_tilde.T.copy(), problem.activation, 50)
    arrays = {
        "X": problem.X.ravel(), "Y": problem.Y.ravel(), "classes": np.zeros(len(cover.simplices), np.int64),
        "cover": np.concatenate([[len(cover.bisections)], cover.bisections.ravel()]).astype(np.int64),
    }  # fmt: skip

    def read(stream):
        numbers = certificate.as_arrays(arrays)
        exact = deep_check.Problem(certificate.problem_header(problem), numbers)
        directions = deep_check.Directions(exact, {"classes": 1, "coordinates": False}, numbers)
        steps = deep_check.Stream(iter(stream))
        bound = deep_check.TreeBound(directions, [1, -1], 0, steps)
        steps.end()
        return bound

    assert len(read(good).leaves) == 3
    assert len(read([0, 0, *good[8:]]).leaves) == 2
    for place, values in {3: (one - 1, 0), 4: (-1, one + 1), 6: (1, one), 7: (-1, one + 1), 9: (-1, one + 1)}.items():
        for value in values:
            with pytest.raises(deep_check.Rejected, match="interval"):
                read([*good[:place], value, *good[place + 1 :]])
    for steps in ([1, 1, *good[2:]], [1, 2, *good[2:]], [1, 0, *good], [2, *good[1:]]):
        with pytest.raises(deep_check.Rejected):
            read(steps)


def test_cells_are_cut_inside():
    """Two classes of which one has no cone; the cell is cut in two, and both parts have the ladder of the whole."""
    content = (KEPT / "deep-tree-logistic.cpcert").read_bytes()
    header, arrays = parts(content)
    header["lower"]["classes"] = 2
    ladder = arrays["cells"]
    arrays |= {"cells": np.concatenate([[1, 0, 1], ladder, ladder]), "scales": np.tile(arrays["scales"], 2)}
    for t, good in ((0.25, True), (1.0, True), (2.0, False), (-0.5, False)):
        changed = certificate.write(header, {**arrays, "splits": np.array([t])})
        if good:
            assert deep_check.check(changed)["lower"] == deep_check.check(content)["lower"]
        else:
            with pytest.raises(deep_check.Rejected, match="a split outside"):
                deep_check.check(changed)
    arrays["cells"][2] = 0
    with pytest.raises(deep_check.Rejected, match="a split outside"):
        deep_check.check(certificate.write(header, {**arrays, "splits": np.array([0.5])}))


def test_a_ladder_must_reach_the_ground():
    header, arrays = parts((KEPT / "deep-tree-logistic.cpcert").read_bytes())
    steps = int(arrays["cells"][1])
    assert arrays["cells"][0] == 0 and steps > 1 and len(arrays["cells"]) == 2 + steps
    cut = {**arrays, "cells": np.append([0, steps - 1], arrays["cells"][2:-1]), "scales": arrays["scales"][:-1]}
    with pytest.raises(deep_check.Rejected, match="ends too early"):
        deep_check.check(certificate.write(header, cut))
    for change in (0.5, -1.0):
        # Smaller scales stay feasible and prove less.
        with pytest.raises(deep_check.Rejected, match="ladder"):
            deep_check.check(certificate.write(header, {**arrays, "scales": arrays["scales"] * change}))
    with pytest.raises(deep_check.Rejected, match="unknown step"):
        deep_check.check(certificate.write(header, {**arrays, "cells": np.append([3], arrays["cells"][1:])}))


@pytest.fixture(scope="module")
def boxes():
    """A certificate whose boxes are cut, and whose classes are."""
    problem = Problem(
        np.array([[1.0, 0.2], [-0.4, 1.0], [-0.7, -0.9]]), np.array([[1.0], [-1.0], [0.5]]), lam=1e-2, depth=3, beta=0.0
    )
    network = best_network(problem, 12)
    *_, one = box_candidates(problem, network, loss_upper(network, problem), 8e-2, time.monotonic() + 10.0)
    proof = certificate.certify_deep(problem, network, one.items, 0.999 * one.value, one.proof, one.basis)
    header, arrays = parts(proof.content)
    assert {0, 1, 2} <= {step for _, step in places_of(header, arrays)} and header["lower"]["classes"] > 1
    return header, arrays


def places_of(header, arrays):
    """(place in the array, step) of every box."""
    numbers = {0: 2, 1: 2, 2: 3, 3: 1}
    place, found = 0, []
    while place < len(arrays["boxes"]):
        step = int(arrays["boxes"][place])
        found.append((place, step))
        place += numbers[step]
    return found


def rejected(header, arrays, match=None, **changes):
    with pytest.raises(deep_check.Rejected, match=match):
        deep_check.check(certificate.write(header, {**arrays, **changes}))


def test_boxes_prove_what_they_say_and_no_more(boxes):
    header, arrays = boxes
    value = header["lower"]["value"]
    assert deep_check.check(certificate.write(header, arrays))["lower"] == value
    rejected({**header, "lower": {**header["lower"], "value": value * 1.01}}, arrays, "boxes")
    places = places_of(header, arrays)
    kinds = {kind: [place for place, step in places if step == kind] for kind in range(4)}
    changed = arrays["boxes"].copy()
    for place in kinds[0][:: len(kinds[0]) // 3 + 1]:
        # A box that has a proof is left out; one is that much too large.
        changed[:] = arrays["boxes"]
        cut = np.delete(changed, place + 1)
        cut[place] = 3
        rejected(header, arrays, boxes=cut)
    for place in kinds[2][:1]:
        for part in (0, -1, int(arrays["boxes"][place + 2]) | 1 << 40, 1 << 62, (1 << header["lower"]["classes"]) - 1):
            changed[:] = arrays["boxes"]
            changed[place + 2] = part
            rejected(header, arrays, boxes=changed)
    for step in (4, -1):
        changed[:] = arrays["boxes"]
        changed[0] = step
        rejected(header, arrays, "unknown step", boxes=changed)
    for name in ("scales", "masses"):
        for factor in (1.2, 0.8, -1.0):
            rejected(header, arrays, "boxes", **{name: arrays[name] * factor})
    for name in ("scales", "masses", "splits"):
        rejected(header, arrays, "numbers that prove nothing", **{name: np.append(arrays[name], 1.0)})
        rejected(header, arrays, **{name: arrays[name][:-1]})


def test_boxes_cut_elsewhere_cover_all_the_same(boxes):
    """Splits are any numbers: a file with others is rejected because its boxes prove too little, or proves what is true."""
    header, arrays = boxes
    for t in (0.0, 1e300, -1.0, 5e-324):
        rejected(header, arrays, "boxes", splits=np.full(len(arrays["splits"]), t))
    # No masses lie beyond a split that is larger than all.
    more = {"boxes": np.concatenate([[1, 0], arrays["boxes"], [3]]), "splits": np.append(1e300, arrays["splits"])}
    assert deep_check.check(certificate.write(header, {**arrays, **more}))["lower"] == header["lower"]["value"]
    rejected(header, arrays, "not empty", **{**more, "boxes": np.concatenate([[1, 0, 3], arrays["boxes"]])})


def test_boxes_are_for_trees_alone():
    header, arrays = parts((KEPT / "deep-norms.cpcert").read_bytes())
    rejected(header, arrays, "for trees alone", boxes=np.array([3]), masses=np.zeros(0))


@pytest.mark.parametrize(("depth", "m"), [(4, 1), (3, 2)])
def test_a_tree_is_no_proof_for_other_networks(made, depth, m):
    problem, _, proof = made[0]
    other = Problem(problem.X, np.repeat(problem.Y, m, axis=1), lam=problem.lam, depth=depth, beta=problem.beta)
    header, arrays = parts(proof.content)
    arrays = {name: values for name, values in arrays.items() if name[0] != "W"}
    arrays |= {"Y": other.Y.ravel(), "G": np.repeat(arrays["G"], m)}
    header |= {"problem": certificate.problem_header(other), "upper": None}
    with pytest.raises(deep_check.Rejected, match="one output and depth 3"):
        deep_check.check(certificate.write(header, arrays))


def test_a_cut_outside_a_cone_covers_nothing(made):
    """A ray −r_a + t·r_b would leave a hole in the cover; so would a cut of a ray with itself."""
    header, arrays = parts(made[0][2].content)
    assert len(arrays["cover"]) > 6
    for place, value in ((4, -1), (5, -1), (4, 0), (2, int(arrays["cover"][3]))):
        cover = arrays["cover"].copy()
        cover[place] = value
        with pytest.raises(deep_check.Rejected, match="bisection of nothing"):
            deep_check.check(certificate.write(header, {**arrays, "cover": cover}))


def test_the_command_gives_an_interval_and_a_certificate(tmp_path, capsys):
    instance = tmp_path / "three.yaml"
    instance.write_text(
        "data: {source: teacher, points: 6, features: 1}\ndepth: 3\nlambda: 1e-2\nsolve: {gap: 5e-2, time_limit: 10}\n"
    )
    code = main(["solve", str(instance), "--out", str(tmp_path), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["scope"], code) == ("global", 0 if answer["status"] == "optimal" else 1)
    assert 0.0 < answer["lower"] <= answer["upper"]
    assert answer["gap"] == pytest.approx((answer["upper"] - answer["lower"]) / answer["upper"], rel=1e-9)
    assert [layer["layer"] for layer in answer["layers"]] == [1, 2]
    assert main(["verify", answer["certificate"], "--instance", str(instance)]) == 0
    assert "(depth 3) lies in" in capsys.readouterr().out
    model = answer["model"]
    main(["check", model, str(instance), "--certificate", answer["certificate"], "--json"])
    checked = json.loads(capsys.readouterr().out)
    assert (checked["scope"], checked["lower"], checked["upper"]) == ("global", answer["lower"], answer["upper"])
    assert checked["suboptimality"]["upper"] <= answer["upper"] - answer["lower"] + 1e-12


def test_no_depth_ends_without_a_lower_bound():
    """Depth 5, two outputs: norms alone, positive all the same; and the same exit for an empty network."""
    problem = random_problem(2, depth=5, m=2)
    result = solve_global(problem, gap=1e-2, time_limit=3.0, restarts=1, width=4)
    assert result.scope == "global" and result.bound == "norms"
    assert 0.0 < result.lower <= result.upper == deep_check.check(result.certificate.content)["upper"]
    heavy = Problem(problem.X, problem.Y, lam=50.0, depth=5, beta=1.0)
    result = solve_global(heavy, gap=1e-2, time_limit=3.0, restarts=1, width=4)
    assert result.lower is not None and result.lower <= result.upper


@pytest.mark.parametrize(("loss", "beta"), [("cross_entropy", 1.0), ("mse", 0.0)])
def test_norms_of_large_matrices_and_better_dual_points(loss, beta):
    """110 features, 120 points: one try for a norm; and the dual points found prove more than those of a network."""
    rng = np.random.default_rng(0)
    Y = np.eye(3)[rng.integers(0, 3, 120)]
    problem = Problem(rng.standard_normal((120, 110)), Y, lam=1e-3, loss=loss, depth=3, beta=beta)
    weights = [0.1 * rng.standard_normal(shape) for shape in ((4, problem.n), (4, 4 + (beta > 0)), (3, 4 + (beta > 0)))]
    network = Network(tuple(weights), problem.activation, beta)
    upper = loss_upper(network, problem)
    candidate = norms_candidate(problem, network, upper)
    of_network = [lowest(problem, [item], upper)[0] for item in candidate.items[:2]]
    assert len(candidate.items) == 4 and candidate.value > 1.01 * max(of_network)
    bound = global_bound(problem, network, gap=1e-3)
    assert bound.kind == "norms" and 0.9 * candidate.value < bound.lower < candidate.value
    claim = deep_check.check(bound.certificate.content)
    assert (claim["lower"], claim["upper"]) == (bound.lower, bound.certificate.upper)


def test_classes_of_directions_close_what_one_mass_leaves_open():
    """Rank 1: two cones are exact, and one mass loses what both directions share."""
    rng = np.random.default_rng(1)
    problem = Problem(rng.standard_normal((4, 1)), rng.standard_normal((4, 1)), lam=1e-2, depth=3, beta=0.0)
    network = best_network(problem)
    upper = loss_upper(network, problem)
    found = list(box_candidates(problem, network, upper, 1e-2, time.monotonic() + 8.0))
    assert found[0].kind == "1" and found[-1].value <= upper * (1.0 + 1e-9)
    assert max(one.value for one in found) >= found[0].value * (1.0 - 1e-9)


def test_a_bound_above_its_goal_claims_no_more_than_the_goal():
    """The first box of masses ends where every network has lost the goal: the search knows nothing of what lies beyond."""
    rng = np.random.default_rng(0)
    problem = Problem(rng.standard_normal((6, 2)), rng.standard_normal((6, 1)), lam=0.05, depth=3, beta=0.0)
    network = best_network(problem)
    upper = loss_upper(network, problem)
    found = list(box_candidates(problem, network, upper, 0.1, time.monotonic() + 8.0))
    for one in found:
        target = one.value * (1.0 - 1e-9) - 1e-3 * upper
        made = certificate.certify_deep(problem, network, one.items, target, one.proof, one.basis)
        assert made is not None and made.lower == target
    assert found[-1].value >= 0.9 * upper


@pytest.mark.parametrize("cut", [KeyboardInterrupt, OutOfTime, MemoryError, ArithmeticError, None])
def test_what_has_a_certificate_is_kept_when_the_search_is_cut(cut, monkeypatch):
    """The bound by norms, which is written first; the ending says what happened."""

    def end(*_):
        if cut is not None:
            raise cut
        return iter(())

    monkeypatch.setattr("cpcert.deep.bound.solve.box_candidates", end)
    monkeypatch.setattr("cpcert.deep.bound.solve.top_candidates", lambda *_: iter(()))
    problem = random_problem(0, most=4)
    result = solve_global(problem, gap=1e-6, time_limit=3.0, restarts=1, width=4)
    expected = {
        KeyboardInterrupt: Status.INTERRUPTED, OutOfTime: Status.TIME_LIMIT, MemoryError: Status.MEMORY_LIMIT,
        ArithmeticError: Status.NUMERICAL_FAILURE, None: Status.GAP_OPEN,
    }[cut]  # fmt: skip
    assert result.status is expected and result.message.startswith(expected.sentence)
    assert result.bound == "norms" and deep_check.check(result.certificate.content)["lower"] == result.lower > 0.0
    sentence = DeepOutcome(result).sentence()
    assert "global minimum of depth 3 in [" in sentence and "(asked for 1e-06)" in sentence


@pytest.mark.parametrize("speeds", [(1.0, 2.0), (2.0, 1.0), (1.0, None), (None, 1.0)])
def test_kinds_of_classes_take_turns_and_the_better_one_gets_the_rest(speeds, monkeypatch):
    """Searches whose bound is what they had of the time, times a speed (None: not for this problem)."""
    clock, turns = [0.0], []

    def search(k):
        def run(*call):
            had = 0.0
            while speeds[k] is not None:
                turns.append((k, call[-1]() - clock[0]))
                had += turns[-1][1]
                clock[0] += turns[-1][1]
                yield Candidate("", speeds[k] * had, [], lambda target: None)

        return run

    monkeypatch.setattr("cpcert.deep.bound.solve.time", SimpleNamespace(monotonic=lambda: clock[0]))
    for k, name in enumerate(("box_candidates", "top_candidates")):
        monkeypatch.setattr(f"cpcert.deep.bound.solve.{name}", search(k))
    for _ in candidates(None, None, 1e9, 1e-2, 20.0):
        pass
    expected = {
        (1.0, 2.0): [(0, 2.0), (1, 2.0), (0, 3.0), (1, 3.0), (1, 10.0)],
        (2.0, 1.0): [(0, 2.0), (1, 2.0), (0, 3.0), (1, 3.0), (0, 10.0)],
        (1.0, None): [(0, 2.0), (0, 18.0)], (None, 1.0): [(1, 20.0)],
    }[speeds]  # fmt: skip
    assert [k for k, _ in turns] == [k for k, _ in expected]
    assert np.allclose([length for _, length in turns], [length for _, length in expected])


def test_a_gap_that_is_reached_is_optimal_for_the_global_minimum():
    problem = Problem(np.array([[1.0]]), np.array([[1.0]]), lam=0.01, depth=3, beta=0.0)
    result = solve_global(problem, gap=1e-2, time_limit=5.0, restarts=1, width=4)
    assert result.status is Status.OPTIMAL and result.gap <= 1e-2
    assert result.message == "the gap of 0.01 is proven for the global minimum"
    assert "asked for" not in DeepOutcome(result).sentence()


def test_blockwise_is_for_deeper_networks(tmp_path, capsys):
    instance = tmp_path / "two.yaml"
    instance.write_text("data: {source: teacher, points: 6, features: 1}\nlambda: 1e-2\n")
    assert main(["solve", str(instance), "--scope", "blockwise"]) == 2
    assert "--scope: blockwise is for depth >= 3" in capsys.readouterr().err
