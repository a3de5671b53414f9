"""forces: what holds the hidden representations of a network in place."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cpcert.commands import DONE, NO, AsJson, Flag, deliver, naming_options, problem_of, read_and_say, stated
from cpcert.errors import InputError
from cpcert.output import prepare_folder

if TYPE_CHECKING:
    from cpcert.formulations.forces import ForcesOutcome

# Frames of an animation of a training that is run here: early steps move most.
FRAMES = 40


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
    model: str | None = None,
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
        The instance file (YAML) with the data; it is always needed.
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

    if model is None:
        raise InputError("INSTANCE: is missing; give an instance file, after the model if there is one")
    given = None if instance is None else model
    loaded = load_instance(model if instance is None else instance)
    _refuse_what_does_not_go_together(given is not None, checkpoints, width, layers, animate)
    if out is not None or plot or animate:
        prepare_folder(out)
    problem = problem_of(loaded)

    from cpcert.api.networks import forces as forces_at
    from cpcert.api.networks import trained
    from cpcert.formulations.forces import check_parameters, layer_forces
    from cpcert.models.read import read_model

    how = asdict(options)
    check_parameters(problem, **how)
    frames = [(f", {path.stem}", read_model(str(path), problem, layers)) for path in _files(checkpoints or [])]
    complete = True
    if given is not None:
        network = read_and_say(given, problem, layers)
    else:
        print("training a network (Ctrl-C: take it as it is then)", file=sys.stderr, flush=True)
        with naming_options("width", "seed"):
            drawn = FRAMES if animate and not frames else 0
            history, complete = trained(stated(loaded, problem), width, seed, drawn)
        network = history[-1][1]
        frames = frames or history
    outcome = forces_at(network, problem, settle=settle, **how)
    found = outcome.layers
    outcome = replace(outcome, seed=None if given else seed, complete=complete)

    def save() -> ForcesOutcome:
        written, start = outcome, out or Path()
        classes = [str(label) for label in getattr(loaded.data, "classes", [])]
        if plot or animate:
            from cpcert.plots.figure import save_figure
            from cpcert.plots.forces import animate_forces, plot_forces
        if plot:
            written = replace(written, plot=start / f"{problem.name}-forces.png")
            save_figure(plot_forces(problem, found, classes), start / f"{problem.name}-forces.png")
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
