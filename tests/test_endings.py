"""How runs end: each ending with a status and a sentence of its own, in Python, in JSON and on the command line."""

import json
import math
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from claims import check_claims

import cpcert.certificate.build
import cpcert.frank_wolfe.solve
from cpcert import InputError, Network, Problem, load_instance, solve
from cpcert.certificate.build import certify
from cpcert.certificate.downgrade import certified
from cpcert.cli import main
from cpcert.deep.certificates import certified_layers
from cpcert.deep.solve import solve_deep
from cpcert.frank_wolfe.limits import RunLimits
from cpcert.frank_wolfe.schedule import Proofs
from cpcert.oracle.rung import Limits
from cpcert.parallel import OutOfTime, out_of_time_at
from cpcert.report import SolveOutcome, closing_line
from cpcert.status import Status, scale_advice

INSTANCES = Path(__file__).parents[1] / "instances"
INSTANCE = """
data: {source: inline, X: [[-1.5], [-0.4], [0.3], [0.9], [2.0]], Y: [[0.3], [-1.0], [0.8], [0.1], [-0.7]]}
lambda: 1.0e-3
"""


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(INSTANCE)
    return "small.yaml"


def noise(N=7, n=2, m=1, seed=0, **settings):
    rng = np.random.default_rng(seed)
    return Problem(rng.normal(size=(N, n)), rng.normal(size=(N, m)), **{"lam": 1e-2, **settings})


# -- floating-point accuracy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem",
    [
        load_instance(INSTANCES / "diabetes-2.yaml").problem(),
        noise(N=8, n=3, m=2, seed=2),
        noise(N=6, n=2, loss="interpolate", lam=None, seed=3),
        Problem(np.arange(8.0).reshape(4, 2) - 3.0, [1.0, -1.0, -1.0, 1.0], 0.02, loss="logistic", activation="abs"),
    ],
    ids=["branch", "directions", "interpolate", "logistic"],
)
def test_a_tighter_gap_never_gives_a_worse_bound(problem):
    """Whatever gap is asked for, the best interval that floating point can prove ends the run, also in the certificate."""
    best, best_certified = np.inf, np.inf
    for gap in (1e-3, 1e-7, 1e-9, 1e-11, 1e-12, 1e-13, 1e-14):
        result = solve(problem, gap=gap)
        check_claims(result, gap)
        assert result.status in (Status.OPTIMAL, Status.STALLED)
        # A larger gap may have closed by luck with less; the last digits of a float64 are luck, too.
        assert result.gap <= max(gap, 3.0 * best, 1e-12)
        proven = certify(result).gap
        assert proven <= max(gap, 3.0 * best_certified, 1e-12)
        best, best_certified = min(best, result.gap), min(best_certified, proven)
    assert result.status is Status.STALLED
    assert best_certified <= 1e-9


def test_stalled_says_so_with_the_advice_that_fits():
    result = solve(noise(), gap=0.0)
    assert result.status is Status.STALLED and result.iterations < 100
    assert result.message == Status.STALLED.sentence
    assert closing_line(result).endswith(Status.STALLED.sentence)
    assert SolveOutcome(result, None).as_json()["message"] == result.message
    raw = Problem(1e5 * noise().X, 3e5 * noise().Y, lam=1e9)
    ended = solve(raw, gap=0.0)
    assert ended.status is Status.STALLED
    assert "standardize the features (one has the size " in ended.message and "and the targets (" in ended.message


def test_the_advice_names_what_is_far_from_one():
    X, labels = noise().X, np.sign(noise().Y)
    assert scale_advice(noise()) == ""
    assert scale_advice(Problem(1e-3 * X, labels, 0.1, loss="logistic")).startswith("standardize the features (one has")
    assert "targets" not in scale_advice(Problem(1e-3 * X, labels, 0.1, loss="logistic"))
    assert scale_advice(Problem(X, labels, 0.1, beta=1e6)) == "choose a beta nearer to 1 than 1e+06"
    assert scale_advice(Problem(np.zeros((2, 1)), [0.0, 1e3], 0.1)).startswith("standardize the targets")


# -- failures --------------------------------------------------------------------------------------------------------


def test_a_conic_solver_that_fails_is_named(monkeypatch):
    monkeypatch.setattr(cpcert.frank_wolfe.solve, "corrective_step", lambda *_: None)
    result = solve(noise())
    check_claims(result, 1e-6)
    assert result.status is Status.SOLVER_FAILED
    assert result.upper is not None and result.lower is not None


def test_a_linear_system_that_fails_is_no_crash(monkeypatch):
    def fail(*_):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(cpcert.frank_wolfe.solve, "corrective_step", fail)
    result = solve(noise())
    check_claims(result, 1e-6)
    assert result.status is Status.NUMERICAL_FAILURE and result.upper is not None
    # The layers of deeper networks are solved by the same function.
    deep = noise(depth=3)
    assert isinstance(solve_deep(deep, gap=1e-9, restarts=1, width=2, time_limit=3).status, Status)


@pytest.mark.parametrize("lam", [1e-12, 1e-6, 1e12])
@pytest.mark.parametrize("beta", [1e-6, 1e6])
@pytest.mark.parametrize("loss", ["cross_entropy", "logistic"])
def test_extreme_penalties_have_an_answer_or_a_reason(loss, lam, beta):
    """λ/β² far below rounding: Newton's method for the bias met a singular matrix."""
    Y = [[0.0, 1.0], [1.0, 0.0]] if loss == "cross_entropy" else [1.0, -1.0]
    result = solve(Problem([[-1.0], [0.5]], Y, lam, loss, beta=beta), max_iterations=5, time_limit=5)
    check_claims(result, 1e-6)
    assert result.upper is not None


@pytest.mark.campaign
def test_solve_raises_nothing():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        N, n, m = (int(k) for k in rng.integers(1, [7, 4, 4]))
        loss = str(rng.choice(["mse", "logistic", "cross_entropy", "interpolate"]))
        X = rng.normal(size=(N, n)) * 10.0 ** rng.uniform(-50, 50) ** rng.integers(0, 2)
        Y = rng.normal(size=(N, m)) * 10.0 ** rng.uniform(-8, 8)
        if loss == "logistic":
            Y = np.sign(Y)
        elif loss == "cross_entropy":
            Y = np.eye(m + 1)[rng.integers(0, m + 1, N)]
        lam = None if loss == "interpolate" else 10.0 ** rng.uniform(-12, 12)
        beta = 10.0 ** rng.uniform(-6, 6) if seed % 2 else 0.0
        slope = (None, 0.3)[seed % 3 == 0]
        problem = Problem(X, Y, lam, loss, "relu" if slope is None else "leaky_relu", slope, beta)
        gap = 10.0 ** rng.uniform(-12, -1)
        check_claims(solve(problem, gap=gap, time_limit=1.0, max_iterations=20), gap)


# -- certificates ----------------------------------------------------------------------------------------------------


def test_a_certificate_that_proves_less_is_an_ending_of_its_own(monkeypatch):
    result = solve(noise(), gap=1e-6)
    whole = certify(result)
    monkeypatch.setattr(cpcert.certificate.build, "certify", lambda *_: replace(whole, lower=0.9 * whole.lower))
    weaker, found = certified(result)
    assert weaker.status is Status.CERTIFICATE_WEAKER and found.lower == weaker.lower < result.lower
    assert weaker.message == Status.CERTIFICATE_WEAKER.sentence
    assert "iteration" not in closing_line(weaker)
    # Short of the gap already: the reason stays, and the loss gets a word.
    late = replace(result, status=Status.TIME_LIMIT)
    assert certified(late)[0].status is Status.TIME_LIMIT
    assert "the certificate proves less" in certified(late)[0].message


def test_a_proof_of_infeasibility_that_is_not_accepted_claims_nothing(monkeypatch):
    result = solve(Problem([[1.0], [1.0]], [0.0, 1.0], loss="interpolate"))
    assert result.status is Status.INFEASIBLE
    monkeypatch.setattr(cpcert.certificate.build, "certify", lambda *_: None)
    claimed, found = certified(result)
    assert claimed.status is Status.INFEASIBILITY_UNPROVEN and found is None and claimed.infeasibility is None


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Unix signals")
def test_a_certificate_that_takes_too_long_is_left_out(monkeypatch):
    def endless(*_):
        while True:
            time.sleep(0.01)

    result = solve(noise(), gap=1e-6)
    monkeypatch.setattr(cpcert.certificate.build, "certify", endless)
    for deadline in (time.monotonic() + 0.2, time.monotonic() - 1.0):
        cut, found = certified(result, deadline)
        assert found is None and cut.status is Status.OPTIMAL
        assert (cut.lower, cut.upper) == (result.lower, result.upper)
        assert "no certificate was written (the time limit came first" in closing_line(cut)
    with pytest.raises(OutOfTime), out_of_time_at(time.monotonic() + 0.05):
        endless()
    layers = solve_deep(noise(N=4, depth=3), gap=1e-2, restarts=1, width=2)
    kept, certificates = certified_layers(layers, time.monotonic() - 1.0)
    assert [bound.lower for bound in kept.layers] == [bound.lower for bound in layers.layers]
    assert certificates == [None, None] and "for layer 1, 2: no certificate was written" in kept.message


def test_an_alarm_in_a_finaliser_rings_again():
    # An exception in __del__ is printed and lost; pytest turns that into a failure.
    class Slow:
        def __del__(self):
            end = time.monotonic() + 0.1
            while time.monotonic() < end:
                pass

    with pytest.raises(OutOfTime), out_of_time_at(time.monotonic() + 0.05):
        slow = Slow()
        del slow
        time.sleep(5.0)


def test_control_c_while_the_certificate_is_written(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    result = solve(noise(), gap=1e-6)
    monkeypatch.setattr(cpcert.certificate.build, "certify", interrupt)
    kept, found = certified(result)
    assert found is None and (kept.status, kept.lower) == (Status.OPTIMAL, result.lower)
    assert "no certificate was written (interrupted), the bounds are proven by the search alone" in kept.message


def test_a_layer_whose_certificate_is_weakened_by_a_deadline_keeps_its_bound(monkeypatch):
    layers = solve_deep(noise(N=4, depth=3), gap=1e-2, restarts=1, width=2)
    whole = [certify(bound.result) for bound in layers.layers]

    def hurried(result, *_):
        found = whole[0] if result is layers.layers[0].result else whole[1]
        return replace(found, lower=None, skipped=("the lower bound",))

    monkeypatch.setattr(cpcert.certificate.build, "certify", hurried)
    kept, certificates = certified_layers(layers)
    assert kept.status is layers.status is Status.OPTIMAL and certificates == [None, None]
    assert [bound.lower for bound in kept.layers] == [bound.lower for bound in layers.layers]
    assert "for layer 1, 2: no certificate was written (the time limit" in kept.message


def test_a_layer_whose_certificate_proves_less_claims_less(monkeypatch):
    layers = solve_deep(noise(N=4, depth=3), gap=1e-2, restarts=1, width=2)
    monkeypatch.setattr(
        cpcert.certificate.build, "certify", lambda result, *_: replace(certify(result), lower=0.5 * result.lower)
    )
    weaker, _ = certified_layers(layers)
    assert weaker.status is Status.CERTIFICATE_WEAKER and weaker.message == Status.CERTIFICATE_WEAKER.sentence
    assert all(less.lower < bound.lower for less, bound in zip(weaker.layers, layers.layers, strict=True))


def test_notes_follow_the_sentence_whole():
    result = replace(solve(noise(), gap=1e-6), notes=("one; and more", "two"))
    assert result.message == "the gap of 1e-06 is proven; one; and more; two"
    assert closing_line(result).endswith(" s; one; and more; two")
    assert replace(result, status=Status.STALLED).message == f"{Status.STALLED.sentence}; one; and more; two"


# -- limits ----------------------------------------------------------------------------------------------------------


def test_a_proof_leaves_time_for_its_certificate():
    limits = RunLimits(10.0)
    assert limits.proof_deadline(limits.deadline) == limits.deadline
    limits.certificate_by = limits.started + 14.0
    assert limits.proof_deadline(limits.deadline) < limits.started + 4.0
    limits.proof_seconds = 3.4  # the best proof so far needs most of the time that is left
    assert limits.proof_deadline(limits.deadline) < limits.started + 1.0


def test_a_proof_without_a_chance_is_not_begun(monkeypatch):
    """What is left of the time goes to looser proofs, as tight as they can be."""
    rng = np.random.default_rng(0)
    problem = Problem(rng.normal(size=(90, 3)), rng.normal(size=(90, 1)), lam=1e-2)
    monkeypatch.setattr(Proofs, "_expected", lambda *_: math.inf)
    result = solve(problem, gap=1e-3, time_limit=2.0)
    check_claims(result, 1e-3)
    assert result.status is Status.TIME_LIMIT or result.gap <= 1e-3
    assert result.dual.rung == "spatial" and result.gap < 0.5


def test_a_search_ends_soon_after_its_deadline():
    """A node of many dimensions takes milliseconds: calls of the compiled search are cut accordingly."""
    from cpcert.oracle.branch import branch_and_bound

    rng = np.random.default_rng(0)
    points, kappa = rng.normal(size=(120, 80)), rng.normal(size=120)
    branch_and_bound(points[:4, :3].copy(), kappa[:4], np.zeros(3), 0.1)  # compiled
    began = time.process_time()
    deadline = time.monotonic() + 0.05
    found = branch_and_bound(points, kappa, np.zeros(80), 1.0, Limits(deadline=deadline), max_atoms=0)
    assert not found.closed and found.nodes < 2000
    assert time.process_time() - began < 1.0
    assert not Limits(deadline=time.monotonic() + 9.0).spent()


def test_every_number_of_workers_and_nothing_else(monkeypatch):
    problem = noise()
    one, two = (solve(problem, workers=workers) for workers in (np.int64(1), 2))
    assert (one.lower, one.upper) == (two.lower, two.upper)
    for wrong in (0, -1, True, 1.5, "2", None):
        with pytest.raises(InputError, match="give a number of processes >= 1, or Workers"):
            solve(problem, workers=wrong)
        with pytest.raises(InputError, match="workers"):
            solve_deep(noise(depth=3), workers=wrong)


# -- the command line ------------------------------------------------------------------------------------------------


def test_the_iteration_limit_is_an_option(instance, capsys):
    arguments = [instance, "--max-iterations", "1", "--json"]
    assert main(["solve", *arguments, "--gap", "1e-9"]) == 1
    written = json.loads(capsys.readouterr().out)
    assert written["status"] == "iteration_limit" and written["iterations"] == 1
    assert "--max-iterations" in written["message"]
    assert main(["path", *arguments, "--count", "2", "--gap", "1e-9"]) == 1
    assert {each["status"] for each in json.loads(capsys.readouterr().out)["results"]} == {"iteration_limit"}
    assert main(["width", *arguments]) == 1
    capsys.readouterr()
    assert main(["solve", instance, "--max-iterations", "0"]) == 2
    assert "--max-iterations: is 0; give a number of Frank-Wolfe iterations >= 1" in capsys.readouterr().err


def test_text_json_and_exit_code_tell_the_same_story(instance, capsys):
    assert main(["solve", instance, "--gap", "0", "--json"]) == 1
    written = json.loads(capsys.readouterr().out)
    assert written["status"] == "stalled" and written["gap"] < 1e-9
    assert main(["solve", instance, "--gap", "0"]) == 1
    assert written["message"].split(";")[0] in capsys.readouterr().out


def test_a_warm_start_from_a_file(instance, tmp_path, capsys):
    assert main(["solve", instance, "--gap", "1e-9", "--out", "first", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["solve", instance, "--warm-start", first["model"], "--max-iterations", "1", "--json"]) == 0
    warm = json.loads(capsys.readouterr().out)
    assert warm["iterations"] == 0 and warm["upper"] <= first["upper"] * (1.0 + 1e-6)
    Network((np.ones((2, 3)), np.ones((1, 3))), noise().activation, 1.0).save(tmp_path / "wide.safetensors")
    assert main(["solve", instance, "--warm-start", "wide.safetensors"]) == 2
    assert "--warm-start: wide.safetensors: " in capsys.readouterr().err
    assert main(["solve", instance, "--warm-start", "missing.safetensors"]) == 2
    assert "--warm-start: missing.safetensors: " in capsys.readouterr().err
