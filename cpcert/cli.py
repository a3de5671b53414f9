"""The command line: the commands by name, and what happens to their errors.

The commands themselves are in cpcert/commands.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args

from cyclopts import App, CycloptsError, Parameter, Token, convert
from cyclopts.help import DefaultFormatter

from cpcert import __version__
from cpcert.commands import BAD_INPUT, BUG, DONE, NO, forces, instances, matrices, networks, pages, solving, training
from cpcert.errors import InputError
from cpcert.numbers import parse_float, parse_integer

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

# The beginning of a line of a list of exit codes.
EXIT_CODE = re.compile(r"\d+  ")


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


class _Help(DefaultFormatter):
    """Help in lines as wide as the terminal: docstrings have their own breaks, which are undone first."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        for entry in panel.entries:
            text = getattr(entry.description, "primary_renderable", None)
            if text is not None:
                text.plain = " ".join(text.plain.split())
        super().__call__(console, options, panel)

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        text = getattr(description, "primary_renderable", None)
        if text is None or not text.plain.strip():
            return
        console.print("\n\n".join(_filled(one, console.width) for one in text.plain.strip().split("\n\n")) + "\n",
                      markup=False, highlight=False, soft_wrap=True)  # fmt: skip


def _filled(paragraph: str, width: int) -> str:
    """The paragraph in lines of at most `width`; exit codes begin lines of their own, and hang."""
    pieces: list[str] = []
    for line in paragraph.splitlines():
        if pieces and not EXIT_CODE.match(line):
            pieces[-1] += f" {line.strip()}"
        else:
            pieces.append(line.strip())
    how: dict[str, Any] = {"width": width, "break_long_words": False, "break_on_hyphens": False}
    return "\n".join(
        textwrap.fill(piece, subsequent_indent="   " if EXIT_CODE.match(piece) else "", **how) for piece in pieces
    )


app = App(
    name="cpcert",
    help="Proven global minima of L2-regularised neural networks.",
    version=f"cpcert {__version__}",
    help_format="plaintext",
    help_formatter=_Help(),
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(converter=_option, negative_iterable=()),
)
for command in (
    solving.solve, solving.verify, pages.report, solving.path, solving.width,
    networks.check, networks.reduce,
    training.train, training.plateau,
    matrices.cprank, matrices.copositive, matrices.rank, matrices.bipartite,
    instances.instances, instances.demo,
):  # fmt: skip
    app.command(command)
# One file is the instance, two are model and instance, which no signature says.
app.command(forces.forces, usage="cpcert forces [OPTIONS] [MODEL] INSTANCE")
app.register_install_completion_command(
    help="Set up the shell (bash, zsh, fish, PowerShell) to complete commands and options."
)


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
