"""docs/python.md: its examples run, and print what the page says."""

import contextlib
import io
import re
import warnings
from pathlib import Path

import cpcert

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "python.md").read_text()


def test_the_examples_run_and_print_what_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "instances").symlink_to(ROOT / "instances")
    names = {}
    for code, printed in re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", PAGE, re.M | re.S):
        text = io.StringIO()
        with contextlib.redirect_stdout(text), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(code, "docs/python.md", "exec"), names)
        assert text.getvalue() == printed, code


def test_the_page_names_and_shows_everything_public():
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S))
    for name in cpcert.__all__:
        if name != "__version__":
            assert f"`{name}`" in table, name
            assert name in ("Instance", "SolveResult", "DeepResult", "Certificate", "InputError") or name in code, name


def test_everything_public_is_there_and_says_what_it_does():
    assert sorted(cpcert.__all__) == dir(cpcert) and len(set(cpcert.__all__)) == len(cpcert.__all__)
    for name in cpcert.__all__:
        value = getattr(cpcert, name)
        assert name == "__version__" or value.__doc__
    # Names of functions are not those of subpackages, which would take their place.
    folders = {path.name.removesuffix(".py") for path in Path(cpcert.__file__).parent.iterdir()}
    assert not folders & {name for name in cpcert.__all__ if name != "__version__"}
