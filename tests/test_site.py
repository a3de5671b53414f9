"""The site builds without a warning: every page has its place, every link leads somewhere, every docstring can be set."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_pages_are_built_without_a_warning(tmp_path):
    # The examples are not run here: `make docs` does.
    command = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "dummy", "-D", "plot_gallery=0", "docs", str(tmp_path)]
    run = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
