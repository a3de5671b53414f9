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
