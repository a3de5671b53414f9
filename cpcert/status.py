"""How a run ends: a status for each ending, with the sentence that says what happened and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cpcert.outcomes import Spoken

if TYPE_CHECKING:
    from cpcert.problem import Problem

# Sizes of features and targets outside this range count as far from 1.
NEAR_ONE = (1e-2, 1e2)


class Status(Spoken):
    """The ending of a run. `sentence`: what happened, and what to do."""

    OPTIMAL = "optimal", "the requested gap is proven"
    TIME_LIMIT = "time_limit", "the time limit came first; raise --time-limit, or ask for a larger --gap"
    NODE_LIMIT = "node_limit", "the node limit came first; raise --node-limit, or ask for a larger --gap"
    ITERATION_LIMIT = (
        "iteration_limit",
        "the iteration limit came first; raise --max-iterations, or ask for a larger --gap",
    )
    STALLED = "stalled", "floating-point accuracy was reached before the gap closed; ask for a larger --gap"
    GAP_OPEN = (
        "gap_open",
        "the search for a bound of the global minimum ended before the gap closed; ask for a larger --gap",
    )
    SOLVER_FAILED = (
        "solver_failed",
        "the conic solver failed before the gap closed; ask for a larger --gap, or try another --seed",
    )
    NUMERICAL_FAILURE = (
        "numerical_failure",
        "numbers of the search left the range of floating point before the gap closed; "
        "bring features, targets, lambda and beta closer to 1",
    )
    CERTIFICATE_WEAKER = (
        "certificate_weaker",
        "the certificate proves less than the search found; ask for a smaller --gap than you need",
    )
    UNCHECKED = (
        "unchecked",
        "the certificate was written and not checked, so nothing is proven yet",
    )
    NO_NETWORK_FOUND = (
        "no_network_found",
        "no network that reaches the targets was found, though one exists: the data are too ill conditioned; "
        "drop points that nearly coincide, or use the loss mse",
    )
    INFEASIBLE = (
        "infeasible",
        "no network of any width reaches these targets exactly, and that is proven; "
        "remove conflicting points, allow biases (beta), or use the loss mse",
    )
    INFEASIBILITY_UNPROVEN = (
        "infeasibility_unproven",
        "the search found that no network reaches these targets, but the checker did not accept its proof; "
        "nothing is claimed",
    )
    INTERRUPTED = "interrupted", "stopped by hand; what is reported is proven all the same"
    MEMORY_LIMIT = "memory_limit", "memory ran out; ask for a larger --gap, or take fewer points"


# Endings that data of another scale would have spared.
SCALE_MATTERS = {
    Status.STALLED,
    Status.SOLVER_FAILED,
    Status.NUMERICAL_FAILURE,
    Status.CERTIFICATE_WEAKER,
    Status.NO_NETWORK_FOUND,
}


def message(status: Status, proven: str, notes: tuple[str, ...]) -> str:
    """Why a run ended and what else there is to say: the sentence of the status, or what is `proven`; then the notes."""
    return "; ".join([proven if status is Status.OPTIMAL else status.sentence, *notes])


def notes_of(status: Status, problem: Problem) -> tuple[str, ...]:
    """What an ending has to say about the problem: the advice to standardize, where the scale of the data can be the reason."""
    advice = scale_advice(problem) if status in SCALE_MATTERS else ""
    return (advice,) if advice else ()


def scale_advice(problem: Problem) -> str:
    """The advice to standardize features or targets whose size is far from 1, and about beta; empty if all are near it.

    The size of a feature, or of a target that has a scale (not a label), is its largest absolute value (0 does not count).
    """
    import numpy as np  # not above: the command line names statuses before it needs numbers

    named = [("feature", problem.X)]
    if problem.loss.degree is not None:
        named.append(("target", problem.Y))
    far = []
    for name, columns in named:
        sizes = np.abs(columns).max(axis=0)
        sizes = sizes[sizes > 0.0]
        if len(sizes) and not (NEAR_ONE[0] <= sizes.min() and sizes.max() <= NEAR_ONE[1]):
            extreme = sizes.max() if sizes.max() > NEAR_ONE[1] else sizes.min()
            far.append(f"{name}s (one has the size {extreme:.2g})")
    advice = [f"standardize the {' and the '.join(far)}"] if far else []
    if problem.beta and not NEAR_ONE[0] <= abs(problem.beta) <= NEAR_ONE[1]:
        advice.append(f"choose a beta nearer to 1 than {problem.beta:g}")
    return ", and ".join(advice)
