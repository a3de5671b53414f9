"""Settings that all tests share."""

import os

import pytest
from hypothesis import settings

# No deadline: the first example of a test may compile a kernel, and machines that run tests are busy.
settings.register_profile("cpcert", deadline=None)
# Under CI hypothesis has a profile of its own, without a deadline too and with the same examples every time.
if "CI" not in os.environ:
    settings.load_profile("cpcert")


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path, monkeypatch):
    """Commands write certificates into the current folder: it is one of the test's own."""
    monkeypatch.chdir(tmp_path)
