"""The pages say what is there: links, files, commands, options, instances, endings."""

import ast
import fnmatch
import json
import lzma
import math
import re
import shlex
import struct
from pathlib import Path

import pytest
import yaml

from cpcert.certificate.check import Rejected, check
from cpcert.cli import app
from cpcert.instance import load_instance, parse_instance
from cpcert.status import Status

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "cpcert").rglob("*.md")),
]
COMMANDS = [name for name in app if not name.startswith("-")]
# Options of other programs that the pages name, and those of cpcert that belong to no command.
OTHERS = {
    "--large",
    "--figure2",
    "--limits",
    "--mnist",
    "--check",
    "--fix",
    "--help",
    "--install-completion",
    "--shell",
}


def texts():
    return [(page, page.read_text()) for page in PAGES]


def blocks(text):
    """(language, lines) of the fenced blocks, and ("", lines) of the indented ones."""
    found = [(language, body.splitlines()) for language, body in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)]
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [*found, ("", [line[4:] for line in rest.splitlines() if line.startswith("    ")])]


def command_lines():
    for page, text in texts():
        for _, lines in blocks(text):
            for line in lines:
                if line.startswith("cpcert "):
                    yield page, shlex.split(line, comments=True)[1:]


def test_the_readme_is_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_links_lead_somewhere():
    dead = []
    for page, text in texts():
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
            path = target.partition("#")[0]
            if path and "://" not in path and not (page.parent / path).exists():
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert not dead, "\n".join(dead)


def test_files_that_are_named_exist():
    known = set()
    for folder in ("cpcert", "tests", "docs", "benchmarks", "examples", "instances"):
        for path in (ROOT / folder).rglob("*.*"):
            whole = path.relative_to(ROOT).as_posix()
            known |= {whole, whole.removeprefix("cpcert/"), path.name}
    missing = []
    for page, text in texts():
        text = re.sub(r"\]\([^)\s]+\)", "]", text)  # links have a test of their own
        for name in re.findall(r"(?<![\w/.*-])[\w./*-]+\.py\b|instances/[\w.*-]+\.yaml", text):
            if name not in known and not fnmatch.filter(known, name):
                missing.append(f"{page.relative_to(ROOT)}: {name}")
    assert not missing, "\n".join(missing)


def test_command_lines_parse():
    lines = list(command_lines())
    assert {words[0] for _, words in lines} == set(COMMANDS)
    for page, words in lines:
        try:
            app.parse_args(words, exit_on_error=False, print_error=False)
        except Exception as error:
            pytest.fail(f"{page.relative_to(ROOT)}: cpcert {' '.join(words)}: {error}")


def test_commands_and_options_exist():
    options = {
        name
        for command in COMMANDS
        for argument in app[command].assemble_argument_collection()
        for name in argument.names
    }
    for page, text in texts():
        for command in re.findall(r"`cpcert (\w+)", text):
            assert command in COMMANDS, f"{page}: {command}"
        for option in re.findall(r"`(--[a-z][\w-]*)", text):
            assert option in options | OTHERS, f"{page}: {option}"


def test_the_instance_of_the_readme_is_that_of_the_demonstration():
    shown = [lines for language, lines in blocks((ROOT / "README.md").read_text()) if language == "yaml"]
    given = parse_instance(yaml.safe_load("\n".join(shown[0])))
    assert given.problem().sha256 == load_instance(ROOT / "instances" / "diabetes-40.yaml").problem().sha256


def test_every_ending_is_explained():
    text = (ROOT / "docs" / "solving.md").read_text()
    for status in Status:
        assert f"| `{status.value}` | {status.sentence} |" in text, status


def test_docstrings_of_modules_are_short_and_name_pages_that_exist():
    for path in (ROOT / "cpcert").rglob("*.py"):
        doc = ast.get_docstring(ast.parse(path.read_text())) or ""
        # That of rank_check.py is a specification; those of the losses state a formula each.
        if path.name != "rank_check.py" and "losses" not in path.as_posix():
            assert len(doc.splitlines()) <= 25, path
        for page in re.findall(r"docs/[\w/]+\.md", doc):
            assert (ROOT / page).exists(), f"{path}: {page}"


def test_python_on_the_pages_is_python():
    for _, text in texts():
        for language, lines in blocks(text):
            if language == "python":
                ast.parse("\n".join(lines))


def integers(numbers):
    """As SPEC.md says: v ≥ 0 as 2v, v < 0 as −2v − 1, seven bits a byte, lowest first, bit 7 on all bytes but the last."""
    content = bytearray()
    for v in numbers:
        rest = 2 * v if v >= 0 else -2 * v - 1
        while rest >= 128:
            content.append(rest & 127 | 128)
            rest >>= 7
        content.append(rest)
    return bytes(content)


def example_of_the_specification():
    """The header and the arrays of "A tree by hand" in SPEC.md: {name: (type, numbers)}."""
    text = (ROOT / "cpcert" / "certificate" / "SPEC.md").read_text()
    text = text[text.index("## A tree by hand") :]
    header = json.loads("\n".join(next(lines for language, lines in blocks(text) if language == "json")))
    rows = re.findall(r"^\| (\w+) \| (float64|int) \| ?([^|]*)\|$", text, re.M)
    return header, {name: (kind, [float(v) for v in row.split(",") if v.strip()]) for name, kind, row in rows}


def certificate(header, arrays):
    packed, listed = [], []
    for name, (kind, numbers) in arrays.items():
        content = struct.pack(f"<{len(numbers)}d", *numbers) if kind == "float64" else integers(map(int, numbers))
        packed.append(lzma.compress(content))
        listed.append({"name": name, "type": kind, "count": len(numbers), "stored": len(packed[-1])})
    whole = json.dumps({**header, "arrays": listed}).encode()
    return b"cpcert\0\x01" + struct.pack("<Q", len(whole)) + whole + b"".join(packed)


def test_the_example_of_the_specification_is_a_certificate():
    header, arrays = example_of_the_specification()
    claim = check(certificate(header, arrays))
    assert (claim["lower"], claim["upper"]) == (175 / 256, 175 / 256)
    more = {**header, "lower": {**header["lower"], "value": math.nextafter(175 / 256, 1.0)}}
    with pytest.raises(Rejected):
        check(certificate(more, arrays))


def test_lines_of_prose_are_short():
    long = []
    for page, text in texts():
        inside = False
        for number, line in enumerate(text.splitlines(), start=1):
            inside ^= line.startswith(("```", "$$"))
            table_or_code = inside or line.startswith(("|", "    ", "```", "$$")) or line.lstrip().startswith("$")
            if len(line) > 120 and not table_or_code and page.name != "SPEC.md":
                long.append(f"{page.relative_to(ROOT)}:{number}: {len(line)}")
    assert not long, "\n".join(long)
