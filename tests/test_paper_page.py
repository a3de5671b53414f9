"""docs/paper.md: its Python runs and prints what the page says, and so do its commands, each of which says how long it takes."""

import contextlib
import io
import os
import re
import shlex
import struct
import subprocess
import warnings
from pathlib import Path

import pytest

from cpcert.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "paper.md").read_text()
# Commands of more CPU seconds, by the page, are run in the campaigns only.
QUICK = 3.0


def sections():
    """The text of the page, cut at its headings."""
    return re.split(r"^(?=##)", PAGE, flags=re.M)


def commands(section):
    """(arguments, CPU seconds by the page) of the command lines in it; every one has its time."""
    lines = re.findall(r"^    cpcert (.*)$", section, re.M)
    found = [re.fullmatch(r"(.*?) +# ([\d.]+) CPU s", line) for line in lines]
    assert all(found), lines
    return [(shlex.split(match[1]), float(match[2])) for match in found]


def normal(text):
    """Lines put together, and without the seconds."""
    return " ".join(re.sub(r"\d+\.\d s\b", "… s", text).split())


def run(section, least, most):
    """Run the commands that take between so many seconds; what they print, normalised."""
    text = io.StringIO()
    for line in re.findall(r"^    (sed .* > .*)$", section, re.M):
        subprocess.run(line, shell=True, check=True)
    for arguments, seconds in commands(section):
        if least < seconds <= most and ("mnist" not in " ".join(arguments) or "CPCERT_DATA" in os.environ):
            with contextlib.redirect_stdout(text):
                # 1 is an honest no: a gap or a rank that is not closed.
                assert main(arguments) in (0, 1), arguments
    return normal(text.getvalue())


def shown(section):
    """What the page shows as printed by the commands of the section, normalised."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.M | re.S)
    return [normal(block) for language, block in fenced if not language]


@pytest.fixture(autouse=True)
def _instances(tmp_path):
    (tmp_path / "instances").symlink_to(ROOT / "instances")
    (tmp_path / "examples").symlink_to(ROOT / "examples")


def test_the_python_runs_and_prints_what_the_page_says():
    names = {}
    for code, printed in re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", PAGE, re.M | re.S):
        text = io.StringIO()
        with contextlib.redirect_stdout(text), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(code, "docs/paper.md", "exec"), names)
        assert normal(text.getvalue()) == normal(printed), code


def test_quick_commands_print_what_the_page_says():
    for section in sections():
        if any(seconds <= QUICK for _, seconds in commands(section)):
            printed = run(section, 0.0, QUICK)
            for block in shown(section):
                assert block in printed


@pytest.mark.campaign
def test_long_commands_run():
    for section in sections():
        run(section, QUICK, 1e9)


def test_every_statement_has_a_section_and_every_picture_is_small():
    headings = " ".join(re.findall(r"^## (.*)$", PAGE, re.M))
    numbers = {int(number) for number in re.findall(r"\b\d+\b", headings)}
    assert numbers >= {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 19, 23}
    for target in re.findall(r"^!\[.+\]\((.*)\)$", PAGE, re.M):
        path = ROOT / "docs" / target
        assert path.stat().st_size < 200_000, target
        if path.suffix == ".png":
            width, height = struct.unpack(">II", path.read_bytes()[16:24])
            assert 600 <= width <= 2400 and 400 <= height <= 2400, target
