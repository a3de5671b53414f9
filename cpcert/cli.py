"""The command line: the commands by name, and what happens to their errors.

The commands themselves are in cpcert/commands.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from types import NoneType
from typing import Any, get_args

from cyclopts import App, CycloptsError, Parameter, Token, convert

from cpcert import __version__
from cpcert.commands import BAD_INPUT, BUG, DONE, NO, features, matrices, networks, solving, training
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
    solving.solve, solving.verify, solving.path, solving.width,
    networks.check, networks.reduce,
    training.train, training.plateau,
    features.forces,
    matrices.cprank, matrices.rank, matrices.bipartite,
):  # fmt: skip
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` are those of the process by default."""
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
        # The reader of our output has left; without this Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO
    except Exception:  # anything else is our mistake, and the user is told so
        traceback.print_exc()
        return _fail("this is a bug in cpcert, and nothing was proven; please report the lines above", BUG)


def _fail(message: str, code: int) -> int:
    print(f"cpcert: {message}", file=sys.stderr)
    return code
