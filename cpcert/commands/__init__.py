"""The commands of the command line, a file for each group of them, and here what all of them share.

Exit codes: 0 done (for bounds: the requested gap is proven), 1 an honest no, 2 bad input or usage. Everything slow is
imported inside the commands, so that `cpcert --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cpcert.errors import InputError

if TYPE_CHECKING:
    from cpcert.api.given import Given
    from cpcert.instance import Instance, SolveSettings
    from cpcert.network import Network
    from cpcert.outcomes import Outcome
    from cpcert.problem import Problem

DONE, NO, BAD_INPUT, BUG = 0, 1, 2, 70

Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]


def settings_from_options(instance: Instance, **options: Any) -> SolveSettings:
    """The settings of the instance file, changed by the options that are not None.

    Raises InputError, naming the option.
    """
    from cpcert.instance import override_settings

    try:
        return override_settings(instance.solve, options)
    except InputError as error:
        setting, _, fault = str(error).partition(":")
        raise InputError(f"--{setting.replace('_', '-')}:{fault}") from None


def problem_of(instance: Instance) -> Problem:
    """The problem of the instance; what the columns of its table became is said on stderr. Raises InputError."""
    problem = instance.problem()
    if problem.columns is not None:
        from cpcert.report import describe_columns

        for line in describe_columns(problem.columns):
            print(f"{problem.name}: {line}", file=sys.stderr, flush=True)
    return problem


def stated(instance: Instance, problem: Problem) -> Given:
    """The instance, whose data have been read, as the functions of cpcert/api take it."""
    from cpcert.api.given import Given

    return Given(problem, instance.solve, instance.train, instance)


def read_and_say(model: str, problem: Problem, layers: str | None) -> Network:
    """The network of the file; on stderr, what had to be assumed to read it."""
    from cpcert.models.read import read

    reading = read(model, problem, layers)
    if reading.assumed:
        print(reading.assumed, file=sys.stderr, flush=True)
    return reading.network


def announce_compilation(points: int = 0, outputs: int = 1) -> None:
    """Say that the first run takes longer, if this is one. (Without a cache every run does: compiled.py says so.)"""
    from cpcert.compiled import in_memory
    from cpcert.oracle.ladder import kernels_are_compiled

    if not in_memory() and not kernels_are_compiled(points, outputs):
        print("compiling the kernels (about a minute, once)", file=sys.stderr, flush=True)


def deliver(
    code: int,
    outcome: Outcome,
    as_json: bool,
    save: Callable[[], Outcome],
) -> int:
    """Save the outcome, print it on stdout, and return the exit code.

    save: writes what files there are to be and returns the outcome with their names in it. A folder that cannot be written
    costs the exit code, never the outcome.
    """
    try:
        outcome = save()
    except OSError as error:
        print(f"cpcert: the files cannot be written ({error}); the result is on stdout only", file=sys.stderr)
        code = BAD_INPUT
    print(outcome.to_json() if as_json else outcome.sentence(), flush=True)
    return code


@contextmanager
def naming_options(*names: str) -> Iterator[None]:
    """Errors about these arguments of a function name the options of the command line instead."""
    try:
        yield
    except InputError as error:
        argument, colon, fault = str(error).partition(":")
        if argument not in names:
            raise
        raise InputError(f"--{argument.replace('_', '-')}{colon}{fault}") from None
