"""check, reduce, forces: what can be said about a network that somebody has trained."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cpcert.api.given import Given, given, require_choice, require_integer, require_numbers
from cpcert.api.solving import solve, with_certificate
from cpcert.certificate.reading import certified_interval
from cpcert.errors import InputError
from cpcert.formulations.forces import KINK_TOLERANCE, RCOND, ForcesOutcome, check_parameters, layer_forces
from cpcert.models.read import read
from cpcert.networks.answers import CheckOutcome, Improved
from cpcert.networks.reduce import ReductionOutcome, reduce_network
from cpcert.networks.verdict import check_network, neuron_table, require_checkable
from cpcert.networks.verdict import improve as improve_network


def check(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    certificate: Any = None,
    gap: float | None = None,
    time_limit: float | None = None,
    improve: bool = False,
    certify: bool = False,
    layers: Sequence[str] | str | None = None,
    callback: Callable[[Any], bool | None] | None = None,
    **problem: Any,
) -> CheckOutcome:
    """Is a trained network globally optimal? Its loss against the proven interval of the global minimum.

    model: a torch.nn.Module, a fitted scikit-learn MLP, a Network, a state dict, or the path of a file: all that `read_model` takes,
    with `layers`. X, y: the data it was trained on; `problem` has lam or weight_decay, loss, activation, …, or X is a Problem or an
    Instance. The penalty counts weights and biases alike: a network trained without it on the biases is judged by another loss.
    certificate: of this problem (a path, or what `certify` returned) instead of solving it, in time_limit seconds. gap: the relative
    distance that counts as optimal (1e-6). improve: also add neurons that lower the loss and train on. certify: the verdict rests on
    what a new certificate proves, `proof` of the outcome. callback: as in `solve`.

    The verdict of the outcome is optimal or suboptimal, both proven, or undecided. Raises InputError, naming what does not fit.
    """
    what = given(X, y, problem)
    settings = what.settings(gap=gap, time_limit=time_limit)
    reading = read(model, what.problem, layers)
    network = reading.network
    require_checkable(what.problem, network)
    lower, upper, proof, source = None, None, None, None
    if certificate is not None:
        source = Path(certificate) if isinstance(certificate, str | os.PathLike) else certificate
        lower, upper = certified_interval(source, what.problem)
    else:
        if what.problem.depth > 2:
            settings |= {"method": None, "warm_start": network}
        result = solve(what.problem, callback=callback, **settings)
        if certify:
            result, proof = with_certificate(result, settings["time_limit"])
        lower, upper = result.lower, result.upper
    found = check_network(what.problem, network, lower, upper, settings["gap"])
    improved = None
    if improve:
        better = improve_network(what.problem, network)
        after = check_network(what.problem, better, lower, upper, settings["gap"])
        improved = Improved(better, after.loss, after.verdict)
    notes = tuple(note for note in (reading.assumed, what.conversion) if note)
    return CheckOutcome(
        what.problem.name, found, tuple(neuron_table(what.problem, network)), improved, notes,
        None if proof is None else proof.content, source if isinstance(source, Path) else None,
    )  # fmt: skip


def reduce(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    keep: str = "outputs",
    layers: Sequence[str] | str | None = None,
    **problem: Any,
) -> ReductionOutcome:
    """Make a trained network narrower without changing its outputs on the data or raising its norm.

    keep: outputs, or covariances: (K, K^σ) of each layer. λ plays no part and may be left out. The rest as in `check`. The number of
    neurons that is left is bounded by proof (Prop. 15, Carathéodory); that outputs and norm are kept is measured. Raises InputError.
    """
    what = given(X, y, problem, needs_lambda=False)
    require_choice("keep", keep, ("outputs", "covariances"))
    network = read(model, what.problem, layers).network
    return ReductionOutcome(what.problem, reduce_network(what.problem, network, keep))


def forces(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    rcond: float = RCOND,
    tikhonov: float = 0.0,
    kink_tolerance: float = KINK_TOLERANCE,
    settle: bool = False,
    layers: Sequence[str] | str | None = None,
    width: int | None = None,
    seed: int = 0,
    **problem: Any,
) -> ForcesOutcome:
    """Attraction and repulsion of the hidden representations of a network, and the rays on which its neurons align.

    model: as in `check`, or None: one is trained, with hidden layers of `width` neurons (the largest of the section train of the
    instance) from the first weights of `seed`. settle: first go on to a stationary point. rcond, tikhonov, kink_tolerance: how the
    forces are regularised, and what counts as a kink. Floating-point values, no proofs. Raises InputError.
    """
    what = given(X, y, problem)
    require_numbers(rcond=rcond, tikhonov=tikhonov, kink_tolerance=kink_tolerance)
    how = {"rcond": rcond, "tikhonov": tikhonov, "kink_tolerance": kink_tolerance}
    check_parameters(what.problem, **how)
    complete = True
    if model is not None:
        network = read(model, what.problem, layers).network
    else:
        history, complete = trained(what, width, seed)
        network = history[-1][1]
    if settle:
        from cpcert.training.single import settled

        network = settled(what.problem, network)
    found = tuple(layer_forces(what.problem, network, **how))
    return ForcesOutcome(what.problem, network, found, None if model is not None else seed, complete)


def trained(what: Given, width: int | None, seed: int, frames: int = 0) -> tuple[list[tuple[str, Any]], bool]:
    """([(title, network), …], whether training came to its end): the last network, with `frames` those on the way, too."""
    require_torch()
    require_integer("seed", seed)
    if width is not None:
        require_integer("width", width, 1)
    from cpcert.training.single import train_one

    return train_one(what.problem, what.train, width, seed, frames)


def require_torch() -> None:
    """Raise InputError unless torch is installed."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise InputError("torch: is not installed, and training needs it: pip install 'cpcert[train]'") from None
