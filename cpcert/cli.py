"""The command line. Exit codes: 0 done (the requested gap is proven), 1 an honest no, 2 bad input or usage.

Everything slow is imported inside the commands, so that `cpcert --help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from cpcert import __version__
from cpcert.errors import InputError

DONE, NO, BAD_INPUT, BUG = 0, 1, 2, 70

app = App(
    name="cpcert",
    help="Proven global minima of L2-regularised neural networks.",
    version=f"cpcert {__version__}",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)


@app.command
def solve(
    instance: str,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False)] = False,
    out: Path | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    node_limit: int | None = None,
    method: Literal["corrective", "vanilla", "away", "pairwise"] | None = None,
    seed: int | None = None,
    plot: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
) -> int:
    """Enclose the global minimum of a network's loss in a proven interval.

    The trace goes to stderr, the result to stdout. Exit codes:
    0  the requested gap is proven
    1  it is not (what was proven is printed all the same), or the data are infeasible
    2  the input is wrong

    Parameters
    ----------
    instance
        The instance file (YAML).
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result, the network and the trace into this folder.
    gap
        The relative gap to prove (instead of solve.gap in the file; 1e-6 by default).
    time_limit
        Seconds to try (instead of solve.time_limit; 60 by default).
    node_limit
        Branch-and-bound nodes to try (instead of solve.node_limit; unlimited by default).
    method
        The Frank-Wolfe variant (instead of solve.method; corrective by default).
    seed
        The seed of the heuristics (instead of solve.seed; 0 by default).
    plot
        Draw the trace and, for one-dimensional data, the function, into the folder of --out or the current one.
    """
    import json

    from cpcert import report
    from cpcert.instance import load_instance, override_settings

    loaded = load_instance(instance)
    changes: dict[str, Any] = {
        "gap": gap,
        "time_limit": time_limit,
        "node_limit": node_limit,
        "method": method,
        "seed": seed,
    }
    try:
        settings = override_settings(loaded.solve, changes)
    except InputError as error:
        setting, _, fault = str(error).partition(":")
        raise InputError(f"--{setting.replace('_', '-')}:{fault}") from None
    if out is not None or plot:
        report.prepare_folder(out or Path())
    problem = loaded.problem()

    # Imported only now: it compiles kernels, and wrong input need not wait for that.
    from cpcert.frank_wolfe.solve import solve as solve_problem
    from cpcert.oracle.ladder import kernels_are_compiled

    if not kernels_are_compiled():
        print("compiling the kernels (about a minute, once)", file=sys.stderr, flush=True)
    with report.running_trace(problem) as callback:
        result = solve_problem(problem, callback=callback, **settings.model_dump())

    code = DONE if result.status == "optimal" else NO
    written = report.result_object(result, None)
    try:
        if out is not None:
            written = report.write_result(result, out)
        if plot:
            from cpcert.plots import plot_one_dimensional, plot_trace

            folder = out or Path()
            plot_trace(result, folder / f"{problem.name}-trace.png")
            if problem.n0 == 1 and result.network is not None:
                plot_one_dimensional(result, folder / f"{problem.name}-function.png")
    except OSError as error:
        print(f"cpcert: --out: {error}; the result is on stdout only", file=sys.stderr)
        code = BAD_INPUT
    print(json.dumps(written, allow_nan=False) if as_json else report.closing_line(result, settings.gap), flush=True)
    return code


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
    except Exception:
        traceback.print_exc()
        return _fail("this is a bug in cpcert, and nothing was proven; please report the lines above", BUG)


def _fail(message: str, code: int) -> int:
    print(f"cpcert: {message}", file=sys.stderr)
    return code
