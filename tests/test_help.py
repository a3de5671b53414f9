"""What `--help` looks like on narrow terminals, and what completes commands in a shell."""

import io
import shutil
import subprocess
from itertools import pairwise

import pytest
from rich.console import Console

from cpcert.cli import app, main

COMMANDS = [[], *([name] for name in app if not name.startswith("-"))]


def help_of(command, width):
    """As a terminal of that width shows it."""
    shown = io.StringIO()
    app.help_print(command, console=Console(width=width, file=shown))
    return shown.getvalue()


def wraps_too_early(line, following, width):
    """Whether the first word of the following line would have had room."""
    return bool(line.strip() and following.strip()) and len(line.rstrip()) + 1 + len(following.split()[0]) <= width


def paragraphs(help_text):
    """The lines of the description, in groups that must each be filled: paragraphs and exit codes."""
    groups = [[]]
    for line in help_text.splitlines():
        if line.startswith(("╭", "│", "╰")) or not line.strip():
            groups.append([])
        elif line[0].isdigit():
            groups.append([line])
        else:
            groups[-1].append(line)
    return [group for group in groups if group]


def cells(help_text):
    """(the lines of the description of an option, their width) for each option in the panels."""
    panel = []
    for line in help_text.splitlines():
        if line.startswith("│"):
            panel.append(line[1:-1])
        elif line.startswith("╰"):
            named = [row for row in panel if row[:4].strip()]
            # Descriptions begin where all rows without a name have nothing before.
            unnamed = [row for row in panel if not row[:5].strip()]
            left = min((len(row) - len(row.lstrip()) for row in unnamed if row.strip()), default=None)
            if left is not None and named:
                rows: list[list[str]] = []
                for row in panel:
                    if row[:5].strip() or not rows:
                        rows.append([])
                    rows[-1].append(row[left:])
                yield from ((row, len(panel[0]) - left - 1) for row in rows)
            panel = []


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words) or "cpcert")
def test_lines_are_filled_and_fit(command, width):
    text = help_of(command, width)
    assert "Usage: cpcert" in text
    assert max(map(len, text.splitlines())) <= width
    for group in paragraphs(text):
        for line, following in pairwise(group):
            assert not wraps_too_early(line, following, width), f"{line}|{following}"
    for cell, room in cells(text):
        for line, following in pairwise(cell):
            assert not wraps_too_early(line, following, room), f"{line}|{following}"


def test_exit_codes_stay_a_list():
    text = help_of(["solve"], 60)
    assert "\n1  it is not (what was proven is printed all the same), or\n   the data are infeasible\n2  " in text


def test_an_argument_that_may_be_left_out_is_not_marked(capsys):
    text = help_of(["forces"], 80)
    assert "[MODEL] INSTANCE" in text and "[required]" not in text
    assert main(["forces"]) == 2
    assert "INSTANCE: is missing" in capsys.readouterr().err


def test_no_colour_where_none_is_wanted(monkeypatch):
    for wanted in (True, False):
        monkeypatch.setenv("NO_COLOR", "" if wanted else "1")
        shown = io.StringIO()
        app.help_print(["solve"], console=Console(width=80, file=shown, force_terminal=True))
        assert ("\x1b[3" in shown.getvalue()) == wanted


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_commands_and_options(tmp_path, monkeypatch, capsys):
    script = tmp_path / "cpcert.bash"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["--install-completion", "--shell", "bash", "--output", str(script)]) == 0
    capsys.readouterr()
    for words, wanted in ((("cpcert", "so"), "solve"), (("cpcert", "solve", "--time"), "--time-limit")):
        code = f"""
            _comp_initialize() {{ :; }}
            source {script}
            COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE="{" ".join(words)}"; COMP_POINT=${{#COMP_LINE}}
            "$(complete -p cpcert | sed 's/.*-F \\([^ ]*\\).*/\\1/')" cpcert
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        run = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert wanted in run.stdout.split(), run.stderr
