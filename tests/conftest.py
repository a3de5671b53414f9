"""Settings that all tests share."""

import faulthandler
import os

import numpy as np
import pytest
from hypothesis import settings

# No deadline: the first example of a test may compile a kernel, and machines that run tests are busy. Fewer examples than
# the default of 100, so that all tests together take minutes. Under CI the same examples every time.
parent = settings.get_profile("ci" if "CI" in os.environ else "default")
settings.register_profile("cpcert", parent=parent, deadline=None, max_examples=40)
settings.load_profile("cpcert")


def pytest_sessionstart():
    """Two workers with an empty cache begin with different kernels, instead of compiling everything twice."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker == "gw0":
        from cpcert.oracle.ladder import compile_kernels

        compile_kernels(1000, 1)
    elif worker == "gw1":
        from cpcert.activations import activation
        from cpcert.oracle import relaxation

        points = np.array([[1.0, 0.5], [-0.3, 1.0]])
        relaxed = relaxation.relax(points, np.eye(2), activation("relu"), np.zeros(2, int), np.zeros((0, 2)))
        relaxation.solve(relaxed, np.array([1.0, 0.1]), 1.0)


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path, monkeypatch):
    """Commands write certificates into the current folder: it is one of the test's own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _campaigns_take_their_time(request):
    """The limit after which a test counts as hanging (pyproject.toml) is not for them."""
    if request.node.get_closest_marker("campaign"):
        faulthandler.cancel_dump_traceback_later()
