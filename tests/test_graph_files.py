"""Graphs from files: every format says the same graph, and what may be another one is refused."""

import bz2
import gzip
import io
import json
import random

import networkx as nx
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from cpcert.cli import main
from cpcert.errors import InputError
from cpcert.rank.graph_files import FORMATS, read_graph
from cpcert.rank.graphs import edge_matrix

C6 = nx.relabel_nodes(nx.cycle_graph(6), {5: 0, 0: 5})


def nx_bytes(write, graph, **options):
    stream = io.BytesIO()
    write(graph, stream, **options)
    return stream.getvalue()


def labels_from(first, graph):
    return nx.convert_node_labels_to_integers(graph, first_label=first)


def lines(graph, line="{} {}", head=""):
    return (head + "".join(line.format(u, v) + "\n" for u, v in graph.edges)).encode()


def weighted(graph, values=(1.5, 2.25)):
    graph = nx.Graph(graph)
    for k, (_, _, data) in enumerate(graph.edges(data=True)):
        data["weight"] = values[k % len(values)]
    return graph


def market(graph, **options):
    stream = io.BytesIO()
    scipy.io.mmwrite(stream, scipy.sparse.coo_array(nx.to_scipy_sparse_array(graph, dtype=int)), **options)
    return stream.getvalue()


def dimacs(graph):
    return lines(labels_from(1, graph), "e {} {}", f"c a comment\np edge {len(graph)} {graph.number_of_edges()}\n")


def metis(graph, form=""):
    graph = labels_from(1, graph)
    word = "{} 7" if form else "{}"
    rows = (" ".join(word.format(v) for v in graph[u]) for u in graph)
    return "\n".join([f"{len(graph)} {graph.number_of_edges()} {form}", *rows, ""]).encode()


def matrix(graph, separator=" "):
    return "\n".join(separator.join(map(str, row)) for row in nx.to_numpy_array(graph, dtype=int).tolist()).encode()


def frame(graph):
    """What pandas.DataFrame.to_csv writes."""
    rows = (f"{u}," + ",".join(str(float(graph.has_edge(u, v))) for v in graph) for u in graph)
    return "\n".join(["," + ",".join(map(str, graph)), *rows]).encode()


# name: suffix, writer, whether isolated vertices are in the file
WRITERS = {
    "gml": (".gml", lambda g: nx_bytes(nx.write_gml, g, stringizer=str), True),
    "gml text": (".txt", lambda g: nx_bytes(nx.write_gml, g, stringizer=str), True),
    "directed gml": (".gml", lambda g: nx_bytes(nx.write_gml, nx.DiGraph(g), stringizer=str), True),
    "graphml": (".graphml", lambda g: nx_bytes(nx.write_graphml_xml, g), True),
    "weighted graphml": (".xml", lambda g: nx_bytes(nx.write_graphml_xml, weighted(g)), True),
    "gexf": (".gexf", lambda g: nx_bytes(nx.write_gexf, weighted(g)), True),
    "pajek": (".net", lambda g: nx_bytes(nx.write_pajek, g), True),
    "directed pajek": (".txt", lambda g: nx_bytes(nx.write_pajek, nx.DiGraph(g)), True),
    "graph6": (".g6", lambda g: nx.to_graph6_bytes(labels_from(0, g)), True),
    "sparse6": (".txt", lambda g: nx.to_sparse6_bytes(labels_from(0, g), header=False), True),
    "matrix market": (".mtx", market, True),
    "general matrix market": (".txt", lambda g: market(g, symmetry="general", field="pattern"), True),
    "dimacs": (".col", dimacs, True),
    "metis": (".metis", metis, True),
    "metis weights": (".graph", lambda g: metis(g, "001"), True),
    "adjlist": (".adjlist", lambda g: nx_bytes(nx.write_adjlist, g), True),
    "adjlist text": (".txt", lambda g: nx_bytes(nx.write_adjlist, g), True),
    "multiline": (".txt", lambda g: nx_bytes(nx.write_multiline_adjlist, g), True),
    "edgelist": (".edgelist", lambda g: nx_bytes(nx.write_edgelist, g), False),
    "edgelist text": (".txt", lambda g: nx_bytes(nx.write_edgelist, weighted(g)), False),
    "weighted": (".weighted.edgelist", lambda g: nx_bytes(nx.write_weighted_edgelist, weighted(g, (3, 7))), False),
    "weights": (".txt", lambda g: nx_bytes(nx.write_weighted_edgelist, weighted(g)), False),
    "comma": (".csv", lambda g: lines(g, "{}, {}"), False),
    "header": (".csv", lambda g: lines(g, "{},{}", "Source,Target\n"), False),
    "index": (".csv", lambda g: lines(g, "0,{},{},red", ",source,target,colour\n"), False),
    "semicolon": (".csv", lambda g: lines(g, "{};{};1,5", "from;to;weight\n"), False),
    "quoted": (".csv", lambda g: lines(g, '"{} x","{} x"', '"node_1","node_2"\n'), False),
    "tab": (".tsv", lambda g: lines(g, "{}\t{}", "FromNodeId\tToNodeId\n"), False),
    "snap": (".txt", lambda g: lines(nx.DiGraph(g), "{}\t{}", "# Nodes: 6\n# FromNodeId\tToNodeId\n"), False),
    "konect": (".tsv", lambda g: lines(g, "{} {} 3 12345", "% sym positive\n% 6 6 6\n"), False),
    "counts": (".txt", lambda g: lines(g, "{} {}", f"{len(g)} {g.number_of_edges()}\n"), True),
    "matrix": (".txt", matrix, True),
    "frame": (".csv", frame, True),
}
# Nobody can say which graph these are.
OPEN = {
    "counts of arcs": (".txt", lambda g: lines(g, "{} {}", f"{len(g)} {2 * g.number_of_edges()}\n"), True),
    "edges before vertices": (".txt", lambda g: lines(g, "{} {}", f"{g.number_of_edges()} {len(g)}\n"), True),
    "vertices alone": (".txt", lambda g: lines(g, "{} {}", f"{len(g)}\n"), True),
    "words": (".txt", lambda g: lines(g, "{} {}", f"nodes {len(g)}\nedges {g.number_of_edges()}\n"), True),
    "odd header": (".csv", lambda g: lines(g, "{},{}", "gene_a,gene_b\n"), False),
    "numbered lines": (".txt", lambda g: "".join(f"{k} {u} {v}\n" for k, (u, v) in enumerate(g.edges)), False),
    "marked lines": (".txt", lambda g: lines(g, "e {} {}"), False),
    "kinds of edges": (".txt", lambda g: lines(g, "{} pp {}"), False),
    "zero weights": (".txt", lambda g: nx_bytes(nx.write_weighted_edgelist, weighted(g, (0.0, 1.5))), False),
    "tuples": (".txt", lambda g: lines(g, "({}, {})"), False),
    "arrows": (".txt", lambda g: lines(g, "{} -> {}"), False),
    "dot": (".txt", lambda g: lines(g, "{}--{};", "graph {\n") + b"}\n", False),
    "nodes first": (".txt", lambda g: "".join(f"{v} {v}.\n" for v in g).encode() + b"#\n" + lines(g), True),
    "dictionary": (".txt", lambda g: "".join(f"{u}: {' '.join(map(str, g[u]))}\n" for u in g).encode(), True),
    "degrees": (".txt", lambda g: "".join(" ".join(map(str, [u, len(g[u]), *g[u]])) + "\n" for u in g).encode(), True),
    "all neighbours": (".txt", lambda g: "".join(" ".join(map(str, [u, *g[u]])) + "\n" for u in g).encode(), True),
    "incidence": (".txt", lambda g: "\n".join(map(str, nx.incidence_matrix(g).toarray().T.astype(int).tolist())), True),
    "cut": (".col", lambda g: dimacs(g)[: dimacs(g).rindex(b"e")], True),
    "json": (".txt", lambda g: json.dumps([*g.edges]).encode(), False),
}
# Open for some graphs and not for others.
SOMETIMES = {
    "whole weights": (".txt", lambda g: nx_bytes(nx.write_weighted_edgelist, weighted(g, (3, 7))), False),
    "metis in text": (".txt", metis, True),
}
ENCODINGS = {
    "plain": lambda b: b,
    "crlf": lambda b: b.replace(b"\n", b"\r\n"),
    "cr": lambda b: b.replace(b"\n", b"\r"),
    "bom": lambda b: b"\xef\xbb\xbf" + b,
    "utf-16": lambda b: b.decode().encode("utf-16"),
    "trailing": lambda b: b.replace(b"\n", b"  \n"),
    "separator at the end": lambda b: b.replace(b"\n", b",\n"),
    "blank lines": lambda b: b.replace(b"\n", b"\n\n"),
    "indented": lambda b: b"  " + b.replace(b"\n", b"\n  "),
    "tabs": lambda b: b.replace(b" ", b"\t"),
    "comments": lambda b: b"# a\n% b\n// c\n" + b,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "zero byte": lambda b: b + b"\0",
    "no-break blanks": lambda b: b.replace(b" ", "\u00a0".encode()),
}


def random_graph(rng):
    n = rng.randint(2, 12)
    kinds = (
        nx.cycle_graph(max(n, 3)),
        nx.path_graph(n),
        nx.star_graph(n - 1),
        nx.complete_graph(n),
        nx.gnp_random_graph(n, rng.random(), seed=rng.randint(0, 10**9)),
    )
    graph = rng.choice(kinds)
    shuffled = rng.sample(range(len(graph)), len(graph))
    name = rng.choice(
        (
            "{}".format,
            "v{}".format,
            lambda v: v + 1,
            lambda v: shuffled[v],
            lambda v: 10**17 + 7 * v,
            "abcdefghijklm".__getitem__,
        )
    )
    order = rng.sample(range(len(graph)), len(graph))
    other = nx.empty_graph(0)
    other.add_nodes_from(name(v) for v in order)
    other.add_edges_from(tuple(map(name, edge if rng.random() < 0.5 else edge[::-1])) for edge in graph.edges)
    return other


def attack(trials, seed, folder):
    """Random graphs in random formats and encodings: what was read is the graph, or was refused. How many were read?"""
    rng = random.Random(seed)
    read = 0
    for _ in range(trials):
        writers = WRITERS | OPEN | SOMETIMES
        name = rng.choice([*writers])
        suffix, write, isolated = writers[name]
        encoding = rng.choice([*ENCODINGS]) if rng.random() < 0.5 else "plain"
        graph = random_graph(rng)
        if not graph.number_of_edges():
            continue
        data = write(graph)
        path = folder / f"graph{suffix}"
        path.write_bytes(ENCODINGS[encoding](data.encode() if isinstance(data, str) else data))
        try:
            found = read_graph(path).graph
        except InputError:
            continue
        read += 1
        if not isolated:
            graph = graph.subgraph([v for v in graph if graph.degree[v]])
        assert nx.is_isomorphic(found, graph), (name, encoding, path.read_bytes())
    return read


def test_no_silent_wrong_answer(tmp_path):
    assert attack(400, 0, tmp_path) > 100


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(1, 11))
def test_no_silent_wrong_answer_at_length(tmp_path, seed):
    assert attack(3000, seed, tmp_path) > 1000


@pytest.mark.parametrize("name", WRITERS)
def test_formats(tmp_path, name):
    suffix, write, _ = WRITERS[name]
    path = tmp_path / f"graph{suffix}"
    path.write_bytes(write(C6))
    found = read_graph(path)
    assert nx.is_isomorphic(found.graph, C6) and [*found.graph] == [*range(6)] and found.format


@pytest.mark.parametrize("name", OPEN)
def test_what_can_be_another_graph_is_refused(tmp_path, name):
    suffix, write, _ = OPEN[name]
    path = tmp_path / f"graph{suffix}"
    data = write(nx.relabel_nodes(C6, "uvwxyz".__getitem__) if name == "odd header" else nx.wheel_graph(6))
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(InputError, match=r"--graph: .*; give "):
        read_graph(path)


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (".txt", "", "nothing in it"),
        (".txt", "# only a comment\n", "nothing in it"),
        (".txt", "0 1\n1 1\n", "vertex 1 is joined to itself"),
        (".txt", "5 4\n0 1\n1 2\n2 3\n3 4\n", "different ways"),
        (".txt", "0 1\n1 2.0\n2 3\n", "'2' and '2.0' are the same number"),
        (".txt", "0 1\n1 0.5\n", "'0.5' is no vertex"),
        (".txt", "0 1\n1 nan\n", "'nan' is no vertex"),
        (".txt", "0 1\n1\u00a02\n", r"U\+00A0"),
        (".txt", "0 1\n#1 2\n", "may be a comment"),
        (".txt", "a #b\n", "may end in a comment"),
        (".txt", "anna 3\nbela 5\n", "table of something else"),
        (".txt", "anna bela\n", "may be a header"),
        (".txt", "e 1 2\ne 2 3\n", "first column"),
        (".txt", "Dhc\n", "no line with two words"),
        (".txt", "0 1 0\n1 0 1\n0 1 0\n", "no vertex|0"),
        (".txt", "LEDA.GRAPH\nstring\n", "LEDA is not read"),
        (".txt", "<html></html>", "neither GraphML nor GEXF"),
        (".txt", "* something\n0 1\n", "is not read"),
        (".dot", "graph{0--1}", "DOT is not read"),
        (".json", "[]", "JSON is not read"),
        (".npy", "0 1\n", "NumPy"),
        (".g6", "0 1\n1 2\n", "give one graph"),
        (".g6", "~~~~~~~~\n", "too many"),
        (".s6", "Dhc\n", "does not begin with ':'"),
        (".gml", "graph [ node [ id 0 ] edge [ source 0 target 1 ] ]", "not what it seems"),
        (
            ".graphml",
            "<graphml><graph><node id='a'/><edge source='a' target='b'/></graph></graphml>",
            "'b', which is no node",
        ),
        (".graphml", "<graphml><graph/><graph/></graphml>", "2 graphs"),
        (".net", "*vertices 3\n*edges\n1 4\n", "4 is not a vertex"),
        (".net", "*vertices 3\n*edges\n1 2 0\n", "a weight is 0"),
        (".net", "*vertices 3\n*matrix\n0 1 0\n1 0 1\n", "3 rows"),
        (".net", "*vertices 999999999\n*edges\n1 2\n", "too many"),
        (".mtx", "%%MatrixMarket matrix coordinate real general\n2 3 1\n1 2 1.0\n", "2 rows and 3 columns"),
        (".mtx", "%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n2 1 0.0\n", "an entry 0 is stored"),
        (".mtx", "%%MatrixMarket matrix coordinate pattern symmetric\n3 3 3\n2 1\n", "not what it seems"),
        (".col", "p edge 3 2\ne 1 2\ne 2 4\n", "from 1 to 3"),
        (".col", "p sp 3 1\na 1 2 5\n", "'p sp' are not read"),
        (".metis", "4 2\n2\n1 3\n", "says 4 vertices"),
        (".metis", "3 2\n2\n1 3\n1\n", "each of its ends"),
    ],
)
def test_messages(tmp_path, suffix, text, message):
    path = tmp_path / f"graph{suffix}"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_graph(path)


def test_binary_files(tmp_path):
    rng = np.random.default_rng(0)
    for suffix in ("", ".txt", ".g6", ".mtx", ".graphml", ".gml", ".net", ".gz", ".adjlist"):
        for size in (1, 40, 4000):
            path = tmp_path / f"garbage{suffix}"
            path.write_bytes(rng.bytes(size))
            with pytest.raises(InputError):
                read_graph(path)
    path.write_bytes(gzip.compress(b"0 1\n1 2\n")[:-6])
    with pytest.raises(InputError, match="damaged archive"):
        read_graph(path)


def test_the_user_decides(tmp_path):
    """Where a file can be read in two ways, --format says which."""
    path = tmp_path / "graph.txt"
    path.write_text("0 1 2\n1 2 0\n2 0 3\n3 2 1\n")
    with pytest.raises(InputError, match="different ways"):
        read_graph(path)
    assert read_graph(path, "edgelist").graph.number_of_edges() == 4
    assert read_graph(path, "adjlist").graph.number_of_edges() == 5
    path.write_text("5 4\n0 1\n1 2\n2 3\n3 4\n")
    assert read_graph(path, "edgelist").graph.number_of_nodes() == 6
    path.write_text("2\n3\n")
    with pytest.raises(InputError, match="--format: 'lists' is not known"):
        read_graph(path, "lists")
    for name in FORMATS:
        with pytest.raises(InputError):
            read_graph(path, name)


def test_counts_that_cannot_be_an_edge(tmp_path):
    """n vertices 0, ..., n - 1 and m edges follow, and m is no vertex: line 1 is no edge, and the answer says so."""
    path = tmp_path / "graph.txt"
    path.write_bytes(lines(nx.complete_graph(5), "{} {}", "5 10\n"))
    found = read_graph(path)
    assert nx.is_isomorphic(found.graph, nx.complete_graph(5)) and "line 1 (5 10)" in found.notes[0]


def test_what_was_read_is_said(capsys, tmp_path):
    path = tmp_path / "graph.txt"
    path.write_text("0 1 1.5\n1 0 1.5\n1 2 1.5\n")
    assert main(["bipartite", "--graph", str(path), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["vertices"], written["edges"], written["isolated"]) == (3, 2, 0)
    assert written["format"] == "edge list"
    assert any("weights" in note for note in written["notes"]) and any("1 edges" in note for note in written["notes"])
    path = tmp_path / "graph.metis"
    path.write_text("4 2\n2\n1 3\n2\n\n")
    assert main(["bipartite", "--graph", str(path)]) == 0
    assert "4 vertices, 2 edges, 1 isolated vertex (METIS)" in capsys.readouterr().out
    assert main(["bipartite", "--graph", str(path), "--format", "dimacs"]) == 2
    assert main(["bipartite", "--N", "4", "--format", "edgelist"]) == 2
    assert "--format" in capsys.readouterr().err


def test_graphs_from_python_are_simple():
    loop = nx.path_graph(3)
    loop.add_edge(1, 1)
    for graph in (loop, nx.DiGraph(), nx.MultiGraph()):
        with pytest.raises(InputError, match="simple"):
            edge_matrix(graph)
    for edge in ((1, 2), ("a", "b"), (0, -1)):
        graph = nx.Graph()
        graph.add_edge(*edge)
        with pytest.raises(InputError, match="vertices"):
            edge_matrix(graph)
