"""docs/commands.md says what the commands print: exit codes, keys, schemas."""

import inspect
import re
from pathlib import Path

import pytest
from command_outputs import outputs

from cpcert.cli import app
from cpcert.commands.results import RESULTS, rows

PAGE = (Path(__file__).parents[1] / "docs" / "commands.md").read_text()
COMMANDS = [name for name in app if not name.startswith("-")]
# These print what another command prints, or no JSON.
LIKE = {"demo": "solve"}
WITHOUT_JSON = {"report"}


def section(title):
    """The text below a heading, up to the next."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.M | re.S)
    assert found, title
    return found[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_exit_codes_are_those_of_the_help(command):
    codes = re.findall(r"^(\d+)  (.*)$", inspect.getdoc(app[command].default_command), re.M)
    assert [f"| {code} | {meaning} |" for code, meaning in codes] == re.findall(r"^\| \d+ .*$", section(command), re.M)


@pytest.mark.parametrize("title", RESULTS)
def test_keys_are_those_of_the_models(title):
    assert re.findall(r"^\| `.*$", section(title), re.M) == rows(RESULTS[title])
    assert all(field.description for field in RESULTS[title].model_fields.values())


def kind_of(line, answer):
    command = LIKE.get(line.split()[0], line.split()[0])
    if command == "solve" and "layers" in answer:
        return "solve, depth 3 and more"
    return "bipartite --path" if "--path" in line else command


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return outputs(tmp_path_factory.mktemp("outputs"))


def test_what_is_printed_fits_the_models(answers):
    for line, code, text in answers:
        try:
            RESULTS[kind_of(line, text)].model_validate_json(text)
        except ValueError as error:
            pytest.fail(f"cpcert {line}: {error}")
        command = line.split()[0]
        assert f"| {code} | " in section(LIKE.get(command, command)) or command == "instances", (line, code)


def test_every_command_and_every_key_has_been_seen(answers):
    assert {line.split()[0] for line, _, _ in answers} == set(COMMANDS) - WITHOUT_JSON
    for title, model in RESULTS.items():
        seen = {
            name
            for line, _, text in answers
            if kind_of(line, text) == title
            for name in model.model_validate_json(text).model_fields_set
        }
        assert set(model.model_fields) - seen <= {"animation"}, title
