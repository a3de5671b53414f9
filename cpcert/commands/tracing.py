"""What a run shows while it goes on: --verbose, --quiet, --log."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from cyclopts import Parameter

from cpcert.errors import InputError

if TYPE_CHECKING:
    from cpcert.problem import Problem


@dataclass(frozen=True)
class TraceOptions:
    """What is shown while a command runs.

    Parameters
    ----------
    verbose
        Also show which methods of proof were tried, what they proved, and how long steps, proofs and checks took.
    quiet
        Show no trace and no progress; warnings and errors only.
    log
        Write the trace into this file as it happens, one JSON object a line.
    """

    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), negative=(), show_default=False)] = False
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative=(), show_default=False)] = False
    log: Path | None = None

    def require(self) -> None:
        """Raises InputError for what goes against each other."""
        if self.verbose and self.quiet:
            raise InputError("--quiet: goes against --verbose; give one of them")

    def say(self, line: str) -> None:
        """On stderr, what is going on, unless it is to be quiet."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)


Trace = Annotated[TraceOptions, Parameter(name="*")]
AS_USUAL = TraceOptions()


class _Said(logging.Handler):
    """To what stderr is at the moment: a live table puts lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"    {record.getMessage()}", file=sys.stderr, flush=True)


class Log:
    """A file of JSON objects, one a line, each written out at once; nothing without a path. A disk that refuses costs only that."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def write(self, entry: dict[str, Any]) -> None:
        """Write one object; floats that are not finite become null."""
        if self._file is None:
            return
        from cpcert.printing import finite

        shown = {key: finite(value) if isinstance(value, float) else value for key, value in entry.items()}
        try:
            self._file.write(json.dumps(shown, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            print(f"cpcert: --log: {error}; the run goes on without", file=sys.stderr)
            self._file = None


@contextmanager
def tracing(options: TraceOptions) -> Iterator[Log]:
    """The log of a command; within, with --verbose, the package says more. Raises InputError for a file that cannot be written."""
    options.require()
    with ExitStack() as until_the_end:
        file = None
        if options.log is not None:
            try:
                file = until_the_end.enter_context(options.log.open("w", encoding="utf-8"))
            except OSError as error:
                raise InputError(f"--log: cannot write {options.log} ({error.strerror or error})") from None
        if options.verbose:
            logger, handler = logging.getLogger("cpcert"), _Said()
            before = logger.level
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG)
            until_the_end.callback(logger.setLevel, before)
            until_the_end.callback(logger.removeHandler, handler)
        yield Log(file)


@contextmanager
def watching(problem: Problem, options: TraceOptions, log: Log, **more: Any) -> Iterator[Callable[[Any], None]]:
    """A callback for `solve`, at any depth, that shows each step on stderr and logs it, with `more` before."""
    with ExitStack() as until_the_end:
        shows: list[Callable[[Any], object]] = []
        if not options.quiet and problem.depth == 2:
            from cpcert.report import running_trace

            shows.append(until_the_end.enter_context(running_trace(problem)))
        elif not options.quiet:
            from cpcert.deep.report import show_progress

            shows.append(show_progress(problem))
        shows.append(lambda record: log.write({**more, **asdict(record)}))

        def step(record: Any) -> None:
            for show in shows:
                show(record)

        yield step
