"""Compiled kernels and their cache."""

import os
import subprocess
import sys

KERNEL = """
from cpcert.compiled import njit

@njit(cache=True)
def total(pair):
    return pair.first + pair.second
"""
TYPE = """
from typing import NamedTuple

class {name}(NamedTuple):
    first: int
    second: int
"""


def test_a_cache_that_names_types_of_an_older_version_is_written_again(tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL)
    for name in ("Before", "After"):
        (tmp_path / "pairs.py").write_text(TYPE.format(name=name))
        program = f"from pairs import {name}; from kernel import total; print(total({name}(1, 2)))"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
        )
        assert done.stdout == "3\n", done.stderr


RUNS = """
import gc
import numpy as np
from numba.core.dispatcher import Dispatcher
from cpcert import Problem, solve
from cpcert.frank_wolfe.steps import compile_step
from cpcert.oracle.ladder import compile_kernels

def compiled():
    kernels = [f for f in gc.get_objects() if isinstance(f, Dispatcher) and f.py_func.__module__.startswith("cpcert.")]
    return {(f.py_func.__module__, f.py_func.__name__, kinds) for f in kernels for kinds in f.signatures}

for N, features, m in ((12, 4, 1), (70, 2, 1), (310, 2, 1), (14, 3, 2)):
    compile_kernels(N, m)
    compile_step(N)
    before = compiled()
    if N == 12:
        assert not any(module.endswith(("spatial_kernels", "cells", "interior_point")) for module, *_ in before)
    rng = np.random.default_rng(N)
    X = rng.standard_normal((N, features))
    Y = np.maximum(X @ rng.standard_normal((features, m)), 0.0) + 0.3 * rng.standard_normal((N, m))
    solve(Problem(X, Y, lam=1e-1), gap=1e-3, time_limit=3.0)
    late = [entry[:2] for entry in compiled() - before]
    assert not late, (N, m, late)
"""


def test_what_a_run_needs_is_compiled_before_its_clock_starts_and_no_more():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", RUNS], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
