"""The site: `make docs` builds it into docs/_build/html. The pages are Markdown and read as well without it.

Formulas become MathML, which browsers draw by themselves: the site loads nothing from elsewhere.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import cpcert  # noqa: E402

project = "cpcert"
author = "the cpcert project"
version = release = cpcert.__version__
html_theme = "furo"
html_title = "cpcert"
html_copy_source = False
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
exclude_patterns = ["_build", "generated", "gallery/**/*.ipynb", "gallery/**/*.py"]
nitpicky = False
suppress_warnings = ["config.cache", "misc.highlighting_failure"]

# -- examples, which run when the site is built (make docs) ----------------------------------------------------------------
sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1,
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,
}

# -- the reference, from docstrings ----------------------------------------------------------------------------------------
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
autodoc_default_options = {"members": True, "undoc-members": False}


def _readable(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with formulas on indented lines; here they become reStructuredText."""
    made: list[str] = []
    inside = False
    for line in lines:
        indented = line.startswith("    ") and not re.match(r"\s+[-*] ", line)
        if indented and not inside:
            made += ["", "::", ""]
        if inside and not indented and line.strip():
            made.append("")
        if line.strip():
            inside = indented
        if indented:
            made.append(line)
        else:
            parts = line.split("`")  # every other part is code
            escaped = [re.sub(r"([\\*|_])", r"\\\1", part) if k % 2 == 0 else part for k, part in enumerate(parts)]
            made.append("".join(f"``{part}``" if k % 2 else part for k, part in enumerate(escaped)))
    lines[:] = made


# -- formulas ----------------------------------------------------------------------------------------------------------------


def _mathml(self: Any, node: nodes.Node, display: str) -> None:
    # The converter knows no \Big before a norm, and MathML sizes fences by itself. A wide formula scrolls on a narrow screen.
    formula = convert(re.sub(r"\\[Bb]igg?[lrm]?(?![a-z])", "", node.astext()), display=display)
    self.body.append(formula if display == "inline" else f'<div style="overflow-x: auto">{formula}</div>')
    raise nodes.SkipNode


# -- schemas -----------------------------------------------------------------------------------------------------------------


def _schemas(app: Sphinx) -> None:
    """What pydantic says of instance files and of what commands print, as JSON schemas, for the page on formats."""
    from cpcert.commands.results import RESULTS
    from cpcert.instance import Instance

    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    names = {title: re.sub(r"\W+", "-", title) for title in RESULTS}
    results = {title: model.model_json_schema(mode="serialization", by_alias=True) for title, model in RESULTS.items()}
    schemas = {"instance": Instance.model_json_schema(), **{names[title]: schema for title, schema in results.items()}}
    for name, schema in schemas.items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        (folder / f"{name}.schema.json").write_text(text + "\n", encoding="utf-8")


# -- links -------------------------------------------------------------------------------------------------------------------

# Pages that are kept elsewhere, beside the code that follows them.
ELSEWHERE = {
    "specification": ROOT / "cpcert" / "certificate" / "SPEC.md",
    "specification-deep": ROOT / "cpcert" / "certificate" / "DEEP.md",
}


def _source(app: Sphinx, docname: str, source: list[str]) -> None:
    """The text of a page, with links that lead nowhere on the site (to code, instances, benchmarks) as mere words."""
    page = ELSEWHERE.get(docname, Path(app.srcdir, f"{docname}.md"))
    if docname in ELSEWHERE:
        source[0] = page.read_text(encoding="utf-8")
    names = {path: name for name, path in ELSEWHERE.items()}

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        path = (page.parent / target.partition("#")[0]).resolve()
        if path in names:
            return f"[{words}]({'../' * docname.count('/')}{names[path]}.md)"
        return found[0] if path.is_relative_to(Path(app.srcdir)) and path.suffix == ".md" else words

    source[0] = re.sub(r"(?<!!)\[([^\]\n]+)\]\((?!https?:|#)([^)\s]+)\)", link, source[0])  # not of pictures, ![…](…)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _readable)
    app.connect("source-read", _source)
    app.connect("builder-inited", _schemas)
    app.add_html_math_renderer(
        "mathml",
        (lambda self, node: _mathml(self, node, "inline"), None),
        (lambda self, node: _mathml(self, node, "block"), None),
    )


html_math_renderer = "mathml"
