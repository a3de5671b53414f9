"""The command line: the commands by name, and what happens to their errors.

The commands themselves are in cpcert/commands.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from cyclopts import App, CycloptsError, Parameter, Token, convert

from cpcert import __version__
from cpcert.commands import BAD_INPUT, BUG, DONE, NO, forces, instances, matrices, networks, pages, solving, training
from cpcert.errors import InputError
from cpcert.numbers import parse_float, parse_integer


def _option(kind: Any, tokens: Sequence[Token]) -> Any:
    """The value of an option. Numbers are decimals and nothing else: cyclopts also takes 1_0 for 10 and 2.7 for 3."""
    kinds = set(get_args(kind) or (kind,)) - {NoneType}
    for number, parse in ((float, parse_float), (int, parse_integer)):
        if kinds == {number} and len(tokens) == 1:
            try:
                return parse(tokens[0].value)
            except ValueError as error:
                raise ValueError(f"{error}.") from None
    return convert(kind, tokens)


app = App(
    name="cpcert",
    help="Proven global minima of L2-regularised neural networks.",
    version=f"cpcert {__version__}",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(converter=_option),
)
for command in (
    solving.solve, solving.verify, pages.report, solving.path, solving.width,
    networks.check, networks.reduce,
    training.train, training.plateau,
    forces.forces,
    matrices.cprank, matrices.copositive, matrices.rank, matrices.bipartite,
    instances.instances, instances.demo,
):  # fmt: skip
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` are those of the process by default."""
    _open_streams()
    try:
        code = app(
            sys.argv[1:] if arguments is None else arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except InputError as error:
        return _fail(str(error), BAD_INPUT)
    except CycloptsError as error:
        return _fail(f"{' '.join(str(error).split())} See cpcert --help.", BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted before anything was proven", NO)
    except MemoryError:
        return _fail("memory ran out before anything was proven; take fewer points", NO)
    except BrokenPipeError:
        _give_up_stdout()  # the reader of our output has left
        return NO
    except OSError as error:
        _give_up_stdout()
        what = f"{error.filename}: " if error.filename else ""
        return _fail(
            f"the system refused to read or write ({what}{error.strerror or error}); files that were written are complete, "
            "what is not there was not proven",
            BAD_INPUT,
        )
    except UnicodeEncodeError as error:
        letters = error.object[error.start : error.end]
        return _fail(
            f"the file names of this system ({error.encoding}) have no {letters!r}; set PYTHONUTF8=1 or another locale",
            BAD_INPUT,
        )
    except Exception as error:  # anything else is our mistake, and the user is told so
        if isinstance(error, RuntimeError) and "home directory" in str(error):  # pathlib
            return _fail("~: there is no such home directory; set HOME, or give paths without ~", BAD_INPUT)
        traceback.print_exc()
        return _fail("this is a bug in cpcert, and nothing was proven; please report the lines above", BUG)


def _open_streams() -> None:
    """Output that cannot fail for want of a stream or a letter: a closed stream is the null device, and a letter that the
    encoding of stdout has not is printed as its number."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _give_up_stdout() -> None:
    """Without this Python would try, and complain, once more when it closes stdout."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: no file is behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> int:
    print(f"cpcert: {message}", file=sys.stderr)
    return code
