"""numba for the kernels: compiled once and kept in numba's cache, or compiled in memory where no cache can be written.

numba keeps compiled functions in the folder NUMBA_CACHE_DIR, beside the source file, or in the user's cache folder, the
first of these that can be written, and raises RuntimeError at the decoration when none can (a read-only installation
without a home). The kernels take `njit` from here, which then compiles without a cache. What is compiled is the same.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from typing import Any

import numba

_in_memory = False


def njit(*, counted: bool = True, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit with these options, `cache` where there is a folder for it; else one line on stderr says what that costs.

    counted: whether references to arrays are counted. A kernel that makes no arrays and returns none can do without: its caller
    keeps them alive, and counting those in tuples, at every call, took two fifths of the branch and bound (and makes long code,
    which takes long to compile). It holds for the kernels that it calls, too.
    """
    if not counted:
        options["_nrt"] = False

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            compiled = _once_for_all_constants(numba.njit(**options)(function))
            if options.get("cache"):
                _forget_what_cannot_be_read(compiled)
            return compiled
        except RuntimeError as error:
            if not options.get("cache") or "cannot cache" not in str(error):
                raise
        _say_once()
        return _once_for_all_constants(numba.njit(**{**options, "cache": False})(function))

    return decorate


def _once_for_all_constants(compiled: Any) -> Any:
    """A constant that a kernel hands to another has a type of its own, and numba would compile that kernel for it once more."""
    template = compiled.get_call_template

    def of_numbers(arguments: Any, keywords: Any) -> Any:
        return template(
            tuple(map(numba.types.unliteral, arguments)),
            {name: numba.types.unliteral(kind) for name, kind in keywords.items()},
        )

    compiled.get_call_template = of_numbers
    return compiled


def _forget_what_cannot_be_read(compiled: Any) -> None:
    """Compile again where the cache names types that are gone: it was written by an older version of a module that this one uses."""
    cache = compiled._cache
    load = cache.load_overload

    def load_or_forget(*arguments: Any) -> Any:
        try:
            return load(*arguments)
        except (AttributeError, ImportError, TypeError, ValueError, EOFError):
            cache.flush()
            return None

    cache.load_overload = load_or_forget


def in_memory() -> bool:
    """Whether kernels are compiled for this process only."""
    return _in_memory


def _say_once() -> None:
    global _in_memory
    # Workers are told by the process that started them.
    if not _in_memory and multiprocessing.parent_process() is None:
        print(
            "cpcert: no folder for compiled kernels can be written, so they are compiled in memory, a minute or more in every "
            "run; set NUMBA_CACHE_DIR to a folder that can be written",
            file=sys.stderr,
            flush=True,
        )
    _in_memory = True
