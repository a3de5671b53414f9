"""Graphs from files: what the file says it is, by its first characters, its suffix, or the user's word.

Formats that say what they are: GML, GraphML, GEXF, graph6, sparse6, Pajek, Matrix Market, DIMACS (.col, and .gr of
PACE). Everything else that is text is a list of edges or neighbours (`graph_lists.py`). Each reader checks the counts
that its format states, so that a damaged or another file is refused and not half read.

A graph here is simple and undirected. Directions and weights are left out, an edge that comes twice counts once, and
the notes say so; a loop is refused, and so is an edge of weight 0, which may be no edge. Vertices without edges are
kept.
"""

from __future__ import annotations

import bz2
import gzip
import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import networkx as nx

from cpcert.errors import InputError
from cpcert.rank.graph_lists import (
    Reading,
    adjacency_list,
    agreed,
    edge_list,
    every_reading,
    matrix,
    metis,
    multiline_adjacency_list,
)
from cpcert.rank.graph_words import NotThis, Table, split_lines, tables
from cpcert.rank.matrix_market import read_matrix_market

LARGEST_ORDER = 10_000
LARGEST_FILE = 2**26


@dataclass(frozen=True)
class GraphFile:
    """A graph on 0, …, n − 1 in the order of the file; what the file was read as, and what was left out."""

    graph: nx.Graph
    format: str
    notes: tuple[str, ...]


def read_graph(path: Path, told: str | None = None) -> GraphFile:
    """Read the graph in a file; `told`: its format, a key of FORMATS, where the user names it.

    Raises InputError: not readable, a format that is not read, or a text that can be read in more ways than one.
    """
    if told is not None and told not in FORMATS:
        raise InputError(f"--format: {told!r} is not known; give one of {', '.join(FORMATS)}")
    data, suffix = _bytes(path)
    try:
        name = told or _recognised(data, suffix)
        if told is None and name == "adjlist":
            # The suffix says enough: a neighbour may have no line of its own.
            reading = _each_separator(data, lambda table: replace(adjacency_list(table), doubt=""))
        elif name is None:
            reading = agreed(*every_reading(split_lines(_text(data)), only_edges=suffix in _EDGES))
        else:
            reading = FORMATS[name](data)
        return _simple(reading)
    except NotThis as error:
        raise InputError(f"--graph: {path}{'' if told is None else f' as {told}'}: {error}; {_ADVICE}") from None
    except (nx.NetworkXError, ValueError, IndexError, KeyError, OverflowError, RecursionError) as error:
        what = " ".join(str(error).split())[:200]
        raise InputError(f"--graph: {path} is not what it seems ({name}): {what}; {_ADVICE}") from None


def _bytes(path: Path) -> tuple[bytes, str]:
    """The content of the file, unpacked, and its suffix without .gz or .bz2."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    try:
        with path.open("rb") as handle:
            data = handle.read(LARGEST_FILE + 1)
        for magic, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2)):
            if data.startswith(magic):
                data = module.open(io.BytesIO(data)).read(LARGEST_FILE + 1)
                suffixes = suffixes[:-1]
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"--graph: {path} is a damaged archive; give a file that can be unpacked") from None
    except OSError as error:
        raise InputError(
            f"--graph: cannot read {path} ({error.strerror or error}); give a file that can be read"
        ) from None
    if len(data) > LARGEST_FILE:
        raise InputError(f"--graph: {path} has more than {LARGEST_FILE} bytes; give a smaller graph")
    return data, suffixes[-1] if suffixes else ""


def _text(data: bytes) -> str:
    """UTF-8 or UTF-16 with their marks, or an old 8-bit encoding: only the ASCII characters matter."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            try:
                text = data[len(mark) :].decode(encoding)
            except UnicodeDecodeError:
                raise NotThis("it is not text") from None
            break
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", text):
        raise NotThis("it is not text")
    return text


# -- which format -----------------------------------------------------------------------------------------------------------

_SUFFIXES = {
    ".gml": "gml", ".graphml": "graphml", ".gexf": "gexf", ".g6": "graph6", ".s6": "sparse6", ".net": "pajek",
    ".paj": "pajek", ".pajek": "pajek", ".mtx": "matrixmarket", ".col": "dimacs", ".dimacs": "dimacs", ".metis": "metis",
    ".graph": "metis", ".adjlist": "adjlist", ".multiline_adjlist": "multiline",
}  # fmt: skip
_EDGES = {".edgelist"}
_NOT_READ = {
    ".dot": "DOT", ".gv": "DOT", ".d6": "digraph6", ".json": "JSON", ".pkl": "pickle", ".pickle": "pickle", ".gpickle": "pickle",
    ".npy": "a NumPy array", ".npz": "a NumPy or SciPy archive", ".mat": "a MATLAB file", ".parquet": "Parquet",
    ".xlsx": "a spreadsheet", ".xls": "a spreadsheet", ".ods": "a spreadsheet", ".zip": "an archive", ".tar": "an archive",
    ".tgz": "an archive", ".lgr": "LEDA", ".gdf": "GDF", ".tgf": "the Trivial Graph Format", ".dl": "UCINET DL", ".sif": "SIF",
    ".tlp": "Tulip", ".vna": "VNA",
}  # fmt: skip
_READ_BY_CONTENT = (
    (r">>graph6<<", "graph6"),
    (r">>sparse6<<|:[?-~]+\s*$", "sparse6"),
    (r"%%MatrixMarket", "matrixmarket"),
    (r"(%[^\n]*\n\s*)*\*(network|vertices)\b", "pajek"),
    (r"(c([ \t][^\n]*)?\n|\s)*p[ \t]+[a-z]+[ \t]+\d+[ \t]+\d+[ \t]*(\n|$)", "dimacs"),
    (r"(?m:^)[ \t]*graph\s{0,99}\[", "gml"),
)
_REFUSED_BY_CONTENT = (
    (r">>digraph6<<|&[?-~]+\s*$", "digraph6"),
    (r"(?m:^)[ \t]*(strict\s{1,99})?(di)?graph(\s{1,99}[^\s{}\[\]]{1,200})?\s{0,99}\{", "DOT"),
    (r"[{\[]", "JSON"),
    (r"LEDA\.GRAPH", "LEDA"),
    (r"nodedef\s*>", "GDF"),
    (r"dl[ \t]", "UCINET DL"),
    (r"\*", "VNA or a part of Pajek"),
    (r"<", "XML that is neither GraphML nor GEXF"),
    (r"t[ \t]+#", "gSpan"),
)
_ADVICE = (
    "give GML, GraphML, GEXF, graph6, sparse6, Pajek, Matrix Market, DIMACS, METIS, or lines like '0 1', "
    "and say --format edgelist (every line is an edge), adjlist (a vertex and its neighbours) or what else it is"
)


def _recognised(data: bytes, suffix: str) -> str | None:
    """A key of FORMATS, or None: lists. Raises NotThis for formats that are known and not read."""
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<") or data.startswith((b"\xff\xfe<", b"\xfe\xff\x00<")):
        root = _xml_root(data)
        if root.tag.rpartition("}")[2] in ("graphml", "gexf"):
            return str(root.tag.rpartition("}")[2])
    if suffix in _NOT_READ:
        raise NotThis(f"{_NOT_READ[suffix]} is not read")
    text = re.sub(r"\r\n?", "\n", _text(data)).lstrip(" \t\n")
    for pattern, name in _READ_BY_CONTENT:
        # GML and DOT may have other lines before them.
        find = re.search if name == "gml" else re.match
        if find(pattern, text, re.IGNORECASE if name in ("pajek", "gml") else 0):
            return name
    for pattern, name in _REFUSED_BY_CONTENT:
        find = re.search if name == "DOT" else re.match
        if find(pattern, text, re.IGNORECASE):
            raise NotThis(f"{name} is not read")
    return _SUFFIXES.get(suffix)


# -- to one simple graph -----------------------------------------------------------------------------------------------------


def _simple(reading: Reading) -> GraphFile:
    if reading.order > LARGEST_ORDER:
        raise NotThis(f"{reading.order} vertices are too many; give at most {LARGEST_ORDER}")
    if reading.loop is not None:
        raise NotThis(f"vertex {reading.loop} is joined to itself; an edge joins two different vertices")
    if reading.doubt:
        raise NotThis(reading.doubt)
    if not reading.edges:
        raise NotThis("there is no edge")
    labels = reading.labels
    graph = nx.empty_graph(reading.order)
    graph.add_edges_from((labels[u], labels[v]) for u, v in reading.edges)
    again = len(reading.edges) - graph.number_of_edges()
    notes = (
        *reading.notes,
        *(["the edges have directions, which are left out"] if reading.directed else []),
        *(["what else stands beside the edges (weights) is left out"] if reading.weighted else []),
        *([f"{again} edges are there more than once, or in both directions; each counts once"] if again else []),
    )
    return GraphFile(graph, reading.format, notes)


def _require_order(n: int) -> int:
    if n > LARGEST_ORDER:
        raise NotThis(f"{n} vertices are too many; give at most {LARGEST_ORDER}")
    return n


# -- formats that say what they are --------------------------------------------------------------------------------------------


def _gml(data: bytes) -> Reading:
    found = nx.parse_gml(_text(data), label="id")
    weights = [value for _, _, value in found.edges(data="weight") if value is not None]
    doubt = "a weight is 0: is that an edge?" if 0 in weights else ""
    return Reading("GML", tuple(found), tuple(found.edges()), 0, found.is_directed(), bool(weights), doubt)


def _xml_root(data: bytes) -> Any:
    from xml.etree import ElementTree

    try:
        return ElementTree.fromstring(data.lstrip(b" \t\r\n"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise NotThis(f"it is not XML ({error})") from None


def _xml(data: bytes) -> Reading:
    """GraphML and GEXF: one graph of nodes with ids and edges between them."""
    root = _xml_root(data)
    kind = {"graphml": "GraphML", "gexf": "GEXF"}.get(root.tag.rpartition("}")[2])
    if kind is None:
        raise NotThis("XML that is neither GraphML nor GEXF is not read")
    space = root.tag[: root.tag.rfind("}") + 1]
    inside = {
        name: list(root.iter(space + name))
        for name in ("graph", "node", "edge", "hyperedge", "attvalue", "data", "delete")
    }
    if len(inside["graph"]) != 1:
        raise NotThis(f"{kind} with {len(inside['graph'])} graphs; give one without graphs inside")
    if inside["hyperedge"] or any(node.find(f".//{space}node") is not None for node in inside["node"]):
        raise NotThis(f"{kind} with hyperedges or nodes inside nodes is not read")
    nodes = [node.get("id") for node in inside["node"]]
    if None in nodes or len({*nodes}) < len(nodes):
        raise NotThis(f"two nodes of this {kind} have the same id, or one has none")
    edges = [(edge.get("source"), edge.get("target")) for edge in inside["edge"]]
    unknown = {end for edge in edges for end in edge} - {*nodes}
    if unknown:
        raise NotThis(f"an edge of this {kind} ends at {min(map(str, unknown))!r}, which is no node")
    graph = inside["graph"][0]
    default = graph.get("edgedefault") or graph.get("defaultedgetype")
    types = {edge.get("type") or {"true": "directed"}.get(edge.get("directed", ""), default) for edge in inside["edge"]}
    weights = [edge.get("weight") for edge in inside["edge"]]
    weights += [value.text for edge in inside["edge"] for value in edge.iter(space + "data")]
    return Reading(
        kind,
        tuple(str(node) for node in nodes),
        tuple((str(u), str(v)) for u, v in edges),
        directed=bool(types & {"directed", "mutual"}),
        weighted=any(weights),
        doubt="a weight is 0: is that an edge?" if any(re.fullmatch(r"0(\.0*)?", w or "") for w in weights) else "",
    )


def _graph6(data: bytes) -> Reading:
    lines = data.split()
    if len(lines) != 1:
        raise NotThis(f"there are {len(lines)} lines; give one graph")
    code = lines[0].removeprefix(b">>graph6<<")
    _require_order(_graph6_order(code))
    found = nx.from_graph6_bytes(code)
    return Reading("graph6", tuple(found), tuple(found.edges()))


def _sparse6(data: bytes) -> Reading:
    lines = data.split()
    if len(lines) != 1:
        raise NotThis(f"there are {len(lines)} lines; give one graph")
    code = lines[0].removeprefix(b">>sparse6<<")
    if not code.startswith(b":"):
        raise NotThis("it does not begin with ':'")
    _require_order(_graph6_order(code[1:]))
    found = nx.from_sparse6_bytes(code)
    return Reading("sparse6", tuple(found), tuple(found.edges()))


def _graph6_order(code: bytes) -> int:
    """n: one character, or ~ and three, or ~~ and six, six bits each."""
    if not code or min(code) < 63 or max(code) > 126:
        raise NotThis("it has characters that graph6 has not")
    marks = 2 if code.startswith(b"~~") else 1 if code.startswith(b"~") else 0
    digits = code[marks : marks + (1, 3, 6)[marks]]
    if len(digits) != (1, 3, 6)[marks]:
        raise NotThis("it ends within the number of vertices")
    n = 0
    for digit in digits:
        n = 64 * n + digit - 63
    return n


def _matrix_market(data: bytes) -> Reading:
    n, kind, entries = read_matrix_market(_text(data).encode(), LARGEST_ORDER)
    dense = b"array" in data[:60].lower()
    if not dense and not all(entries.values()):
        raise NotThis("an entry 0 is stored: is that an edge?")
    pairs = sorted((i + 1, j + 1) for (i, j), value in entries.items() if value)
    known = {*pairs}
    directed = any((v, u) not in known for u, v in pairs)
    if not directed:
        pairs = [(u, v) for u, v in pairs if u <= v]
    weighted = kind != "pattern" and not {*entries.values()} <= {0, 1}
    return Reading("Matrix Market", tuple(range(1, n + 1)), tuple(pairs), directed=directed, weighted=weighted)


_DIMACS_KINDS = ("edge", "edges", "col", "tw", "td", "vc", "ds", "hs", "cep", "tww")


def _dimacs(data: bytes) -> Reading:
    """c comments; p edge n m; n vertices m edges as 'e u v', vertices from 1. PACE: p tw n m, and 'u v'."""
    n, m, kind = 0, 0, ""
    edges: list[tuple[int, int]] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", _text(data)), 1):
        words = line.split()
        if not words or words[0] == "c" or (words[0] == "n" and kind):
            continue
        if words[0] == "p" and not kind and len(words) == 4:
            kind, n, m = words[1], _require_order(_natural(words[2], number)), _natural(words[3], number)
            if kind not in _DIMACS_KINDS:
                raise NotThis(f"DIMACS files of the kind 'p {kind}' are not read; 'p edge n m' is")
            marked = kind in ("edge", "edges", "col")
        elif kind and len(words) == 2 + marked and (words[0] == "e" or not marked):
            u, v = (_natural(word, number) for word in words[-2:])
            if not 1 <= min(u, v) <= max(u, v) <= n:
                raise NotThis(f"line {number}: {line.strip()!r} names a vertex that is not from 1 to {n}")
            edges.append((u, v))
        else:
            raise NotThis(f"line {number} ({line.strip()[:40]!r}) has no place in a DIMACS file of edges")
    distinct = len({frozenset(edge) for edge in edges})
    if not kind or m not in (len(edges), distinct):
        raise NotThis(f"line 'p' says {m} edges, and {len(edges)} follow")
    return Reading("DIMACS", tuple(range(1, n + 1)), tuple(edges))


def _natural(word: str, number: int) -> int:
    if not re.fullmatch(r"\d{1,18}", word, re.ASCII):
        raise NotThis(f"line {number}: {word[:40]!r} is not a whole number")
    return int(word)


def _pajek(data: bytes) -> Reading:
    """*Vertices n, then sections of edges: *Edges, *Arcs (u v [weight]), *Edgeslist, *Arcslist (u v1 v2 …), *Matrix."""
    sections: list[tuple[str, list[str], list[tuple[int, list[str]]]]] = [("", [], [])]
    for number, line in enumerate(re.split(r"\r\n|\r|\n", _text(data)), 1):
        words = line.split()
        if words and words[0].startswith("*"):
            sections.append((words[0].lower().partition(":")[0], words[1:], []))
        elif words and not words[0].startswith("%"):
            sections[-1][2].append((number, words))
    n = 0
    edges: list[tuple[int, int]] = []
    weighted = False
    for section, words, lines in sections:
        if section in ("", "*network"):
            if lines:
                raise NotThis(f"line {lines[0][0]} does not belong to a section of a Pajek network")
        elif section == "*vertices" and words and not n:
            n = _require_order(_natural(words[0], 0))
            named = [_pajek_vertex(words[0], n, number) for number, words in lines]
            if len({*named}) < len(named):
                raise NotThis("*Vertices lists a vertex twice")
        elif section == "*matrix" and n:
            edges += _pajek_matrix(lines, n)
        elif section in ("*edges", "*arcs", "*edgeslist", "*arcslist") and n:
            for number, row in lines:
                ends = row if section.endswith("list") else row[:2]
                u, *others = (_pajek_vertex(word, n, number) for word in ends)
                if not others:
                    raise NotThis(f"line {number} has one vertex; an edge has two")
                edges += [(u, v) for v in others]
                weight = row[2] if len(row) > 2 and ends != row else "1"
                if re.fullmatch(r"0+(\.0*)?", weight):
                    raise NotThis(f"line {number}: a weight is 0: is that an edge?")
                weighted = weighted or weight not in ("1", "1.0")
        else:
            raise NotThis(f"the section {section} has no place in a Pajek network, or comes too early")
    directed = any(section.startswith("*arcs") and lines for section, _, lines in sections)
    return Reading("Pajek", tuple(range(1, n + 1)), tuple(edges), directed=directed, weighted=weighted)


def _pajek_vertex(word: str, n: int, number: int) -> int:
    vertex = _natural(word, number)
    if not 1 <= vertex <= n:
        raise NotThis(f"line {number}: {vertex} is not a vertex from 1 to {n}")
    return vertex


def _pajek_matrix(lines: list[tuple[int, list[str]]], n: int) -> list[tuple[int, int]]:
    """The edges of a symmetric matrix, once each."""
    if len(lines) != n or any(len(row) != n for _, row in lines):
        raise NotThis(f"*Matrix has not {n} rows of {n} numbers")
    found = matrix([row for _, row in lines])
    if found.directed:
        raise NotThis("*Matrix is not symmetric; give a graph without directions")
    return [(int(u), int(v)) for u, v in found.edges]


# -- lists, by the user's word or their suffix ---------------------------------------------------------------------------------


def _edges(data: bytes) -> Reading:
    return _each_separator(data, lambda table: edge_list(table, told=True))


def _neighbours(data: bytes) -> Reading:
    return _each_separator(data, lambda table: adjacency_list(table, told=True))


def _each_separator(data: bytes, read: Callable[[Table], Reading]) -> Reading:
    found, why = [], ""
    lines = split_lines(_text(data))
    if not lines.filled:
        raise NotThis("there is nothing in it")
    for table in tables(lines):
        try:
            found.append(read(table))
        except NotThis as error:
            why = why or str(error)
    return agreed(found, why or "no line looks like an edge")


FORMATS: dict[str, Callable[[bytes], Reading]] = {
    "edgelist": _edges,
    "adjlist": _neighbours,
    "multiline": lambda data: _each_separator(data, multiline_adjacency_list),
    "matrix": lambda data: _each_separator(data, matrix),
    "metis": lambda data: metis(split_lines(_text(data))),
    "dimacs": _dimacs,
    "pajek": _pajek,
    "matrixmarket": _matrix_market,
    "gml": _gml,
    "graphml": _xml,
    "gexf": _xml,
    "graph6": _graph6,
    "sparse6": _sparse6,
}
