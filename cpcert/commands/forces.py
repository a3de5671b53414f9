"""forces: what holds the hidden representations of a network in place."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cpcert.commands import DONE, NO, AsJson, Flag, deliver, problem_of, read_and_say
from cpcert.errors import InputError
from cpcert.output import prepare_folder

if TYPE_CHECKING:
    from cpcert.formulations.forces import ForcesOutcome
    from cpcert.instance import Instance
    from cpcert.network import Network
    from cpcert.problem import Problem

# Frames of an animation of a training that is run here: early steps move most.
FRAMES = 40
# Angles at which neurons are merged before Newton's method, boldest first; times DYING the ‖w‖‖v‖, relative to the largest, at
# which they are dropped; the relative rise of a loss that is rounding.
MERGED, DYING, ROUNDING = (0.3, 0.1, 0.03, 0.01, 0.0), 1e-2, 1e-12


@dataclass(frozen=True)
class ForceOptions:
    """How the forces are computed.

    Parameters
    ----------
    rcond
        Singular values of a layer up to this fraction of its largest count as 0.
    tikhonov
        Regularise the forces: K_sigma + tikhonov times I is inverted (0: the pseudo-inverse, truncated at rcond).
    kink_tolerance
        An entry of a layer is on a kink when it is at most this fraction of its neuron's largest.
    """

    rcond: float = 1e-2
    tikhonov: float = 0.0
    kink_tolerance: float = 1e-3


def forces(
    model: str,
    instance: str | None = None,
    /,
    *,
    checkpoints: list[Path] | None = None,
    width: int | None = None,
    seed: int = 0,
    settle: Flag = False,
    options: Annotated[ForceOptions, Parameter(name="*")] = ForceOptions(),
    layers: str | None = None,
    plot: Flag = False,
    animate: Flag = False,
    as_json: AsJson = False,
    out: Path | None = None,
) -> int:
    """Show attraction and repulsion of the hidden representations, and the rays on which the neurons align.

    For every hidden layer: the sizes of both forces, how well the identity of stationary points holds (always, up to
    training), whether the two forces cancel (only where a layer has the rank of the points), kinks, ranks and rays.
    Heuristic figures, no proofs. Exit codes:
    0  done
    1  interrupted: this is the network as it was then
    2  the input is wrong

    Parameters
    ----------
    model
        The network: .safetensors (W1, W2, … with the bias column last, or PyTorch's names), a PyTorch state dict or
        checkpoint of Linear layers (.pt, .pth, .bin, .ckpt, .pth.tar), or .onnx (extra onnx). Leave it out to train
        one, as the section `train` of the instance says.
    instance
        The instance file (YAML) with the data.
    checkpoints
        For --animate: model files, or folders of them, in the order of the frames (a folder in the order of the numbers
        in the names). Without a model and without this, the training that is run is drawn.
    width
        Neurons of every hidden layer when a network is trained (the largest of train.widths by default).
    seed
        The seed of the first weights when a network is trained.
    settle
        Go on to a stationary point before looking: neurons of one direction are merged, and Newton's method runs through
        the kinks. The network gets narrower, its loss not higher.
    layers
        The names of the layers in the order in which they act, with commas: needed where a state dict leaves more than one.
    plot
        Draw points, neurons, forces and rays (PNG), into the folder of --out or the current one.
    animate
        The same over a training (GIF).
    as_json
        Print one JSON object instead of lines.
    out
        Write the result, and the network if it was trained or settled here, into this folder.
    """
    from cpcert.instance import load_instance

    given = None if instance is None else model
    loaded = load_instance(model if instance is None else instance)
    _refuse_what_does_not_go_together(given is not None, checkpoints, width, layers, animate)
    if out is not None or plot or animate:
        prepare_folder(out or Path())
    problem = problem_of(loaded)

    from cpcert.formulations.forces import ForcesOutcome, check_parameters, layer_forces
    from cpcert.models.read import read_model

    how = asdict(options)
    check_parameters(problem, **how)
    frames = [(f", {path.stem}", read_model(str(path), problem, layers)) for path in _files(checkpoints or [])]
    complete = True
    if given is not None:
        network = read_and_say(given, problem, layers)
    else:
        trained, complete = train_one(loaded, problem, width, seed, animate and not frames)
        network = trained[-1][1]
        frames = frames or trained
    if settle:
        network = settled(problem, network)
    found = tuple(layer_forces(problem, network, **how))
    outcome = ForcesOutcome(problem, network, found, None if given else seed, complete)

    def save() -> ForcesOutcome:
        written, start = outcome, out or Path()
        classes = [str(label) for label in getattr(loaded.data, "classes", [])]
        if plot or animate:
            from cpcert.plots.forces import animate_forces, plot_forces
        if plot:
            written = replace(written, plot=start / f"{problem.name}-forces.png")
            plot_forces(problem, found, start / f"{problem.name}-forces.png", classes)
        if animate:
            written = replace(written, animation=start / f"{problem.name}-forces.gif")
            history = [(title, layer_forces(problem, net, **how)) for title, net in frames]
            animate_forces(problem, history, start / f"{problem.name}-forces.gif", classes)
        return written if out is None else written.write(out, with_network=given is None or settle)

    return deliver(DONE if complete else NO, outcome, as_json, save)


def _refuse_what_does_not_go_together(
    trained: bool, checkpoints: list[Path] | None, width: int | None, layers: str | None, animate: bool
) -> None:
    """Raise InputError for options that the others leave without a meaning; trained: a model is given."""
    if trained and animate and not checkpoints:
        raise InputError("--animate: a trained model has no history; give --checkpoints, or leave the model out")
    if checkpoints and not animate:
        raise InputError("--checkpoints: are the frames of an animation; give --animate as well")
    if trained and width is not None:
        raise InputError("--width: belongs to a network that is trained here; leave it or the model out")
    if not trained and not checkpoints and layers is not None:
        raise InputError("--layers: belongs to a model file; leave it out where a network is trained")


def settled(problem: Problem, network: Network) -> Network:
    """A stationary network near this one, as far as Newton's method gets; its loss is not higher but for rounding.

    In coordinates of the span of the points, where W_1 of a stationary network lies: with many features Newton's method
    could not carry the others.
    """
    import numpy as np

    from cpcert.deep.descent import condense, descend
    from cpcert.deep.newton import newton
    from cpcert.network import Network
    from cpcert.problem import Problem

    _, s, Vt = np.linalg.svd(problem.X, full_matrices=False)
    Q = Vt[: max(1, int(np.sum(s > 1e-12 * s.max(initial=0.0))))].T
    inside = Problem(
        problem.X @ Q, problem.Y, problem.lam, problem.loss, problem.activation, beta=problem.beta, depth=problem.depth
    )
    W, n0 = network.weights[0], problem.n0
    short = Network((np.hstack([W[:, :n0] @ Q, W[:, n0:]]), *network.weights[1:]), network.activation, network.beta)
    start = condense(inside, short)
    found = start
    largest = max((float(np.sum(W * W, axis=1).max(initial=0.0)) for W in start.weights[:-1]), default=0.0)
    # Neurons that are still turning towards each other, or dying, make Newton's equations nearly singular: merge and drop
    # boldly, and see whether the loss comes back down.
    for angle in MERGED:
        fewer = start.merged(angle).without_dead_neurons(DYING * angle * largest)
        merged = descend(inside, fewer).balanced()
        found, _ = newton(inside, merged, lambda: False)
        if found.loss(inside) <= network.loss(problem) * (1.0 + ROUNDING):
            break
    W, r = found.weights[0], Q.shape[1]
    return replace(network, weights=(np.hstack([W[:, :r] @ Q.T, W[:, r:]]), *found.weights[1:]))


def _files(checkpoints: list[Path]) -> list[Path]:
    """The model files, folders replaced by the models in them. Raises InputError for folders without any."""
    from cpcert.models.read import SUFFIXES

    found: list[Path] = []
    for path in checkpoints:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(".")]
        if not inside:
            raise InputError(f"--checkpoints: {path} has no model in it; give files ending in {', '.join(SUFFIXES)}")
        found += sorted(inside, key=_natural)
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    """step-9 before step-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name) if part]


def train_one(
    loaded: Instance, problem: Problem, width: int | None, seed: int, history: bool
) -> tuple[list[tuple[str, Network]], bool]:
    """([(title, network), …], whether training came to its end): with `history` also the networks on the way."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise InputError("torch: is not installed, and training needs it: pip install 'cpcert[train]'") from None
    from cpcert.training.batch import Trial, require_trainable
    from cpcert.training.optimiser import Settings, Training
    from cpcert.training.sweep import parse_widths

    require_trainable(problem)
    if width is not None and width < 1:
        raise InputError(f"--width: is {width}; give a number of neurons >= 1")
    how = loaded.train
    trial = Trial(max(parse_widths(how.widths)) if width is None else width, seed, problem.lam)
    settings = Settings(epochs=how.epochs, descent=how.descent, polish=how.polish, rate=how.rate)
    print(f"training {problem.depth - 1} hidden layers of {trial.width} neurons", file=sys.stderr, flush=True)
    training = Training(problem, [trial], settings, "cpu")
    frames: list[tuple[str, Network]] = []
    complete = False

    def keep(title: str) -> None:
        training.collect()
        frames.append((title, training.networks()[0]))

    try:
        while not training.done:
            if history and training.progress >= (len(frames) / FRAMES) ** 3:
                keep(f", {training.progress:.1%} of the training")
            training.advance()
        complete = True
    except KeyboardInterrupt:
        pass
    keep("")
    return frames, complete
