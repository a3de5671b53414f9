"""What every result of `solve` claims, checked without cpcert's own evaluation of anything."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from enumeration import network_loss, network_outputs

from cpcert.status import Status

# What float64 evaluations here may be off by, relative to the numbers added up.
ROUNDING = 1e-12


def settings_of(problem) -> dict:
    """The keyword arguments that the reference functions take."""
    sigma = problem.activation
    return {
        "loss": problem.loss.name,
        "lam": problem.lam,
        "a_plus": sigma.a_plus,
        "a_minus": sigma.a_minus,
        "beta": problem.beta,
    }


def check_claims(result, gap):
    """lower ≤ upper, the network attains upper, the status is honest about `gap`, the trace is monotone."""
    problem = result.problem
    assert isinstance(result.status, Status)
    assert result.status == Status.OPTIMAL or result.message.startswith(result.status.sentence)
    assert result.scope == "global"
    assert result.seconds >= 0
    check_trace(result, gap)
    if result.status == "infeasible":
        assert result.upper is None
        assert result.network is None
        check_infeasibility(result)
        return
    assert result.infeasibility is None
    if result.lower is not None:
        assert np.isfinite(result.lower)
    if result.upper is not None:
        assert np.isfinite(result.upper)
        check_network(result)
    if result.status == "optimal":
        assert result.upper is not None
        assert result.lower is not None
    if result.lower is not None and result.upper is not None:
        lower, upper = Fraction(result.lower), Fraction(result.upper)
        assert lower <= upper
        # gap is relative to |upper|, absolute when upper is 0, and may be rounded outward.
        true_gap = (upper - lower) / (abs(upper) or 1)
        assert Fraction(result.gap) >= true_gap * Fraction(1 - 1e-15)
        assert Fraction(result.gap) <= true_gap * Fraction(1 + 1e-9) + Fraction(1e-300)
        assert (result.status == "optimal") == (true_gap <= gap)
    if problem.loss.name != "interpolate" and result.lower is not None:
        assert result.lower >= 0.0, "a loss is never negative, so neither is the best bound"


def check_network(result):
    """The network that comes with `upper` attains it: evaluated here, in float64, with the data as given."""
    problem, network = result.problem, result.network
    assert network.depth == 2
    assert result.width == network.width
    W1, W2 = network.weights
    settings = settings_of(problem)
    value = network_loss(W1, W2, problem.X, problem.Y, **settings)
    assert value <= result.upper * (1 + ROUNDING) + 1e-300
    if problem.loss.name == "interpolate":
        settings.pop("loss"), settings.pop("lam")
        residual = network_outputs(W1, W2, problem.X, **settings) - problem.Y
        assert np.abs(residual).max() <= 1e-6 * max(1.0, np.abs(problem.Y).max())


def check_trace(result, gap):
    """Lower bounds rise, upper bounds fall, and they never cross; the last record is the result."""
    lower, upper = -np.inf, np.inf
    iterations = [record.iteration for record in result.trace]
    assert iterations == sorted(iterations)
    for record in result.trace:
        if record.lower is not None:
            assert record.lower >= lower
            lower = record.lower
        if record.upper is not None:
            assert record.upper <= upper
            upper = record.upper
        assert lower <= upper
        assert record.nodes >= 0
        assert record.active >= 0
    if result.status != "infeasible" and result.trace:
        assert result.lower is None or result.lower >= lower
        # The reported network has as few neurons as the gap allows, and may give up a part of the gap for that.
        assert result.upper is None or result.upper <= upper + gap * abs(upper)


def check_infeasibility(result):
    """A relation c with Zc = 0 for every network, and Yc ≠ 0: no network, of any width, has Z = Y.

    Zc = 0 for all weights means Σ c_i σ(x̃_iᵀw) = 0 for every w, and βΣ c_i = 0 (so G = (Yc)cᵀ has ⟨G, Y⟩ > 0, γ(G) = 0
    and βG1 = 0). In exact arithmetic, for 200 integer directions w: they meet every cell of the small examples more
    than once per dimension, and a function linear on a cell that vanishes at spanning points of it vanishes there.
    """
    problem, proof = result.problem, result.infeasibility
    assert problem.loss.name == "interpolate"
    assert proof is not None
    c = [Fraction(x) for x in proof.relation]
    assert len(c) == problem.N
    violation = [sum(Fraction(y) * x for y, x in zip(row, c, strict=True)) for row in problem.targets.tolist()]
    assert any(violation)
    assert list(proof.violation) == violation
    assert problem.beta == 0 or sum(c) == 0
    a_plus, a_minus = Fraction(problem.activation.a_plus), Fraction(problem.activation.a_minus)
    columns = [[Fraction(x) for x in column] for column in problem.X_tilde.T.tolist()]
    for w in np.random.default_rng(0).integers(-1000, 1000, size=(200, problem.n)).tolist():
        S = [sum(a * b for a, b in zip(column, w, strict=True)) for column in columns]
        assert sum(x * (a_plus if s > 0 else a_minus) * s for x, s in zip(c, S, strict=True)) == 0


def assert_contains(result, lower, upper=None, slack=ROUNDING):
    """The proven interval meets [lower, upper], which contains the optimum up to `slack` (relative)."""
    upper = lower if upper is None else upper
    if result.lower is not None:
        assert result.lower <= upper + slack * abs(upper)
    if result.upper is not None:
        assert result.upper >= lower - slack * abs(lower)
