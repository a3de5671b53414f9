"""The page of a certificate: what it says is what the file says, and it asks for nothing."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cpcert.certificate import check
from cpcert.cli import main
from cpcert.pages.leaves import leaf_depths

FILES = Path(__file__).parent / "files" / "certificates"
KEPT = sorted(path for path in FILES.iterdir() if path.suffix in (".cpcert", ".json"))


class Outline(HTMLParser):
    """The tags that open and close, and everything that could lead to a request."""

    VOID = ("meta", "path", "use", "image", "br")

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href") and value[0] != "#"]
        assert tag not in ("script", "link", "iframe", "object", "img")

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert tag in self.VOID or self.open.pop() == tag


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_page_of_every_kind(path, tmp_path, capsys):
    assert main(["report", str(path), "--out", str(tmp_path)]) == 0
    page = (tmp_path / f"{path.stem}.html").read_text()
    outline = Outline()
    outline.feed(page)
    assert not outline.open
    # An image inside a picture is its own data.
    assert all(link.startswith("data:image/png;base64,") for link in outline.links)
    assert "default-src 'none'" in page and "url(" not in re.sub(r"url\(#\w+\)", "", page)
    capsys.readouterr()
    assert main(["verify", str(path)]) == 0
    claim = capsys.readouterr().out.removeprefix("accepted: ").strip()
    assert claim.replace("'", "&#x27;")[1:] in page


def test_a_rejected_file_has_no_page(tmp_path, capsys):
    content = bytearray((FILES / "branch.cpcert").read_bytes())
    content[-9] ^= 1
    (tmp_path / "bad.cpcert").write_bytes(content)
    assert main(["report", str(tmp_path / "bad.cpcert"), "--out", str(tmp_path)]) == 1
    assert "rejected" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.html"))


def test_every_tree_is_full():
    """Σ 2^−depth over the leaves of a binary tree is 1: so no leaf was missed, and none is at a wrong depth."""
    seen = set()
    for path in KEPT:
        content = path.read_bytes()
        if not content.startswith(check.MAGIC):
            continue
        header, arrays = check.parse(content)
        oracle = (header.get("lower") or {}).get("oracle")
        if oracle is None:
            continue
        inner = oracle.get("inner", oracle)
        m, points = header["problem"]["m"], header["problem"]["N"]
        k = len(arrays["outputs"]) // points if "outputs" in arrays else m
        depths = leaf_depths(oracle, arrays, k)
        total = sum(count * 0.5**depth for depth, count in depths.items())
        if inner["kind"] == "tree":
            assert total == 2.0, path
        elif inner["kind"] == "directions":
            assert total == len(arrays["values"]), path
        elif inner["kind"] == "spatial":
            r = len(arrays.get("coordinates", arrays["X"])) // points + bool(header["problem"]["beta"]) * (
                "coordinates" not in arrays
            )
            assert total == (2 if m == 1 else 1) * 2**r, path
        else:
            assert not depths
        seen.add(inner["kind"])
    assert {"tree", "directions", "spatial", "cells", "plane"} <= seen
