"""Graphs as plain lines: which lists of edges or of neighbours a text can be.

Nothing in such a file says what it is. "5 4" may be an edge or the numbers of vertices and edges, "1 2 3" an edge with
a weight or a vertex with two neighbours. So a text is read in every way that fits it, and counts only if all ways
agree on the graph; else the user has to say which one it is.

    edge list          u v [numbers or {attributes}]; a line with one word is a vertex
    after a header     the same, after a line of column names; "source" and "target" may stand anywhere in it
    after counts       the same, after a line "n m" that fits what follows
    adjacency list     u v1 v2 ...; no u twice
    multiline          "u d", then d lines with one neighbour each (networkx.write_multiline_adjlist)
    METIS              "n m [fmt [ncon]]", then n lines of neighbours from 1 to n, each edge in two of them
    matrix             n lines of n numbers, zeros on the diagonal

Words are separated by blanks, tabs, semicolons or commas. # begins a comment; so do % and // at the start of a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, takewhile

from cpcert.rank.graph_words import (
    ATTRIBUTES,
    Label,
    Lines,
    NotThis,
    Table,
    by_blanks,
    decimal_in,
    is_count,
    is_number_of_vertex,
    number_in,
    require_labels,
    require_one_spelling,
    shortened,
    tables,
    whole,
)

# u v weight time, as in KONECT: more columns of numbers are something else.
MOST_COLUMNS = 4


@dataclass(frozen=True)
class Reading:
    """What a file says if it is in `format`. `isolated`: vertices without a name that only a count speaks of.

    doubt: a reason not to accept this without being told, where no other reading fits.
    """

    format: str
    vertices: tuple[Label, ...]
    edges: tuple[tuple[Label, Label], ...]
    isolated: int = 0
    directed: bool = False
    weighted: bool = False
    doubt: str = ""
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[Label, int]:
        """The vertices in the order of the file, numbered from 0."""
        return {v: k for k, v in enumerate(dict.fromkeys(chain(self.vertices, *self.edges)))}

    @property
    def order(self) -> int:
        return len(self.labels) + self.isolated

    @property
    def loop(self) -> Label | None:
        return next((u for u, v in self.edges if u == v), None)

    @property
    def graph(self) -> tuple[int, frozenset[frozenset[Label]]]:
        """Two readings agree if these are equal."""
        return self.order, frozenset(frozenset(edge) for edge in self.edges)

    @property
    def counted(self) -> str:
        return f"{self.order} vertices, {len(self.graph[1])} edges"


# -- lists of edges --------------------------------------------------------------------------------------------------------


def edge_list(table: Table, told: bool = False, columns: tuple[int, int] = (0, 1)) -> Reading:
    """Every row is an edge. `told`: the user says so, then names and further columns may be anything."""
    u, v = columns
    rows = [row for row in table if len(row) > 1]
    single = [row[0] for row in table if len(row) == 1]
    if not rows:
        raise NotThis("there is no line with two words")
    widths = {len(row) for row in rows}
    if min(widths) <= max(columns) or (len(widths) > 1 and not told):
        at, row = next((k, r) for k, r in enumerate(table) if len(r) != len(rows[0]) or len(r) <= max(columns))
        raise NotThis(f"row {at + 1} ({shortened(' '.join(row))}) has another number of words than the rest")
    further = [[cell for k, cell in enumerate(row) if k not in columns] for row in rows]
    ends = [[row[u] for row in rows], [row[v] for row in rows]]
    if not told:
        if max(widths) > MOST_COLUMNS:
            raise NotThis(f"rows have {max(widths)} columns")
        for cell in chain(*further):
            if cell and not ATTRIBUTES.match(cell) and decimal_in(cell) is None:
                raise NotThis(f"{shortened(cell)!r} beside an edge is not a number")
    for column in (ends[0] + single, ends[1]):
        require_labels(column, told)
    require_one_spelling({*single, *ends[0], *ends[1]})
    zero = any(decimal_in(cell) == 0 or re.search(r"weight'?\"?: *0(\.0*)?[,}]", cell) for cell in chain(*further))
    return Reading(
        "edge list",
        tuple(single),
        tuple(zip(*ends, strict=True)),
        weighted=any(cell not in ("", "{}") for cell in chain(*further)),
        doubt="a weight is 0: is that an edge?" if zero and not told else "",
    )


def _plain(table: Table) -> Reading:
    reading = edge_list(table)
    if any(len(row) > 1 and _names_columns(row) for row in table[1:]):
        raise NotThis("a line after the first names columns")
    if _counts_for_sure(table):
        raise NotThis("line 1 is the numbers of vertices and edges")
    return replace(reading, doubt=reading.doubt or _may_be_no_edge(table))


def _may_be_no_edge(table: Table) -> str:
    """Why the first lines may be a title or counts, or all of them a table of something else."""
    first, rest = table[0], table[1:]
    ends = {*chain(*(row[:2] for row in rest if len(row) > 1))}
    others = {*chain(*(row[:2] for row in rest))}
    alone = [row[0] for row in takewhile(lambda row: len(row) == 1, table)]
    if alone and not {*alone} <= ends:
        return f"line 1 ({shortened(first[0])}) may be a vertex without edges, a title, or the number of vertices"
    if alone and all(map(is_number_of_vertex, alone)) and whole(alone[0]) > len(ends):
        return f"line 1 ({alone[0]}) may be a vertex or the number of vertices"
    if not rest and not any("{" in word or number_in(word) is not None for word in first):
        return "the only line may be a header"
    if len(first) == 2 and all(map(is_count, first)) and rest:
        words = sum(map(len, rest))
        for n, m in (first, first[::-1]):
            fits = 2 * int(m) == words or int(m) in (len(rest), len({frozenset(row[:2]) for row in rest}))
            unseen = m not in others and (n not in others or int(n) == len(others))
            if int(m) and int(n) >= len(others) and (fits or unseen):
                return f"line 1 ({first[0]} {first[1]}) may be the numbers of vertices and edges"
    if max(map(len, table)) > 2 and {*chain(*table)} <= {"0", "1"}:
        return "nothing but 0 and 1: it may be a matrix"
    columns = [*zip(*(row[:2] for row in table if len(row) > 1), strict=True)]
    if len({is_number_of_vertex(column[0]) for column in columns}) == 2 and any(
        not is_number_of_vertex(column[0]) and len({*column}) == len(column) for column in columns
    ):
        return "a name and a number on every line, and no name twice: it may be a table of something else"
    return ""


_COLUMN_NAMES = (
    ("source", "target"), ("source", "destination"), ("source", "dest"), ("src", "dst"), ("src", "dest"), ("src", "tgt"),
    ("from", "to"), ("node1", "node2"), ("nodea", "nodeb"), ("vertex1", "vertex2"), ("id1", "id2"),
)  # fmt: skip


def _names_columns(row: list[str]) -> tuple[int, int] | None:
    """Where "source" and "target", or the like, stand in a header."""
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in row]
    names = [re.sub(r"(?<=.)(node|vertex)?(id)?$", "", name) for name in plain]
    for pair in _COLUMN_NAMES:
        if all(names.count(name) == 1 for name in pair):
            return names.index(pair[0]), names.index(pair[1])
    return None


_WEIGHTS = {"weight", "w", "value", "count", "time", "timestamp", "score", "distance", "capacity"}


def _after_header(table: Table) -> Reading:
    header, rows = table[0], table[1:]
    if not rows or any(len(row) not in (1, len(header)) for row in rows) or len(header) < 2:
        raise NotThis("no header")
    named = _names_columns(header)
    columns = named or (0, 1)
    if any(cell and cell in {row[k] for row in rows for k in columns if k < len(row)} for cell in header):
        raise NotThis("the words of line 1 occur again")
    if named is None and (any(number_in(name) is not None for name in header) or not all(header)):
        raise NotThis("line 1 has a number")
    if named is None and len(header) > 2 and not {name.lower() for name in header[2:]} <= _WEIGHTS:
        raise NotThis("line 1 does not say which columns are the ends of an edge; name them source and target")
    chosen = [header[k] for k in columns]
    reading = edge_list(rows, told=True, columns=columns)
    for column in zip(*reading.edges, strict=True):
        require_labels([*map(str, column)])
    weights = [k for k, name in enumerate(header) if name.lower() in _WEIGHTS]
    zero = any(decimal_in(row[k]) == 0 for row in rows if len(row) > 1 for k in weights)
    return replace(
        reading,
        doubt="a weight is 0: is that an edge?" if zero else "",
        notes=(f"line 1 was read as a header; the ends of an edge are the columns {' and '.join(chosen)}",),
    )


def _after_counts(table: Table) -> Reading:
    head, rows = table[0], table[1:]
    if len(head) != 2 or not all(map(is_count, head)) or any(len(row) < 2 for row in rows):
        raise NotThis("line 1 is not two numbers")
    n, m = map(int, head)
    if not rows:
        if m or not n:
            raise NotThis("no edge follows")
        return Reading("edge list", (), (), n, doubt="is line 1 an edge?")
    reading = edge_list(rows)
    if not all(is_number_of_vertex(str(label)) for label in reading.labels):
        raise NotThis("vertices are not numbers")
    numbers = {whole(label) for label in reading.labels}
    distinct = len(reading.graph[1])
    fits = m in (len(rows), distinct, 2 * distinct)
    if max(numbers) > n or len(numbers) > n or not (fits or not numbers & {n, m}):
        raise NotThis("line 1 does not count what follows")
    return replace(
        reading,
        isolated=n - len(numbers),
        doubt=reading.doubt if fits else f"line 1 says {m} edges, and {len(rows)} lines follow",
        notes=(f"line 1 ({n} {m}) was read as the numbers of vertices and edges",),
    )


def _counts_for_sure(table: Table) -> bool:
    """Vertices are all of 0, …, n − 1 or of 1, …, n, the number of edges is right, and no vertex: too much for an edge."""
    try:
        counts = _after_counts(table)
    except NotThis:
        return False
    n, m = map(int, table[0])
    numbers = {whole(label) for label in counts.labels}
    every = len(numbers) == n and min(numbers) in (0, 1) and max(numbers) == min(numbers) + n - 1
    return not counts.doubt and every and m not in numbers and m in (len(table) - 1, len(counts.graph[1]))


def _shifted(table: Table) -> Reading:
    """Edges in the second and third columns, after a key, a layer or a number of the line: only to see what is open."""
    if any(len(row) < 3 for row in table):
        raise NotThis("no three columns")
    reading = edge_list(table, told=True, columns=(1, 2))
    require_labels([cell for row in table for cell in row[1:3]])
    first, second, third = ({row[k] for row in table} for k in range(3))
    if len(first) not in (1, len(table)) and not third & (first | second):
        raise NotThis("the third column is not one of vertices")
    return replace(reading, format="edge list after a first column", doubt="the first column may be no vertex")


def _around(table: Table) -> Reading:
    """Edges in the first and third columns, around the kind of the edge (SIF): only to see what is open."""
    if any(len(row) < 3 for row in table):
        raise NotThis("no three columns")
    reading = edge_list(table, told=True, columns=(0, 2))
    require_labels([cell for row in table for cell in (row[0], row[2])])
    between = {row[1] for row in table}
    if len(between) > 1 and not ({*map(is_number_of_vertex, between)} == {False} and is_number_of_vertex(table[0][0])):
        raise NotThis("the second column is not one of kinds")
    return replace(reading, format="edge list around a second column", doubt="the second column may be no vertex")


# -- lists of neighbours, matrices -----------------------------------------------------------------------------------------


def adjacency_list(table: Table, told: bool = False) -> Reading:
    """u v1 v2 ... on every line."""
    first = [row[0] for row in table]
    if not told and len({*first}) < len(first):
        raise NotThis("two lines begin with the same word")
    if not told and _names_columns(table[0]) is not None:
        raise NotThis("line 1 names columns")
    require_labels([*chain(*table)], told)
    require_one_spelling({*chain(*table)})
    edges = tuple((row[0], v) for row in table for v in row[1:])
    doubt = ""
    if not told and not {*first} >= {*chain(*table)}:
        doubt = "not every neighbour has a line of its own"
    if not told and all(len(row) > 1 and row[1] == str(len(row) - 2) for row in table):
        doubt = "the second number of every line may be the number of neighbours"
    return Reading("adjacency list", tuple(first), edges, doubt=doubt)


def _neighbours(table: Table) -> Reading:
    """An adjacency list that is no list of edges at the same time."""
    if all(len(row) < 3 for row in table):
        raise NotThis("no line has three words")
    return adjacency_list(table)


def multiline_adjacency_list(table: Table) -> Reading:
    """A line "u d" and then d lines "v [{attributes}]", again and again."""
    vertices, edges = [], []
    rows = iter(table)
    attributes = False
    for row in rows:
        if len(row) != 2 or not is_count(row[1]) or row[0] in vertices:
            raise NotThis(f"{shortened(' '.join(row))} is not a vertex and its number of neighbours")
        vertices.append(row[0])
        for _ in range(min(int(row[1]), len(table))):
            neighbour = next(rows, None)
            if neighbour is None or len(neighbour) > 2 or (len(neighbour) == 2 and "{" not in neighbour[1]):
                raise NotThis(f"the neighbours of {row[0]} are not {row[1]} lines of one word")
            edges.append((row[0], neighbour[0]))
            attributes = attributes or neighbour[1:] not in ([], ["{}"])
    if not edges or not {v for _, v in edges} <= {*vertices}:
        raise NotThis("a neighbour has no line of its own")
    return Reading("multiline adjacency list", tuple(vertices), tuple(edges), weighted=attributes)


def metis(lines: Lines) -> Reading:
    """n m [fmt [ncon]], and the neighbours of vertex i on the i-th line after it, which may be blank."""
    rows = [(number, line.split()) for number, line in lines.numbered]
    while rows and not rows[0][1]:
        rows.pop(0)
    header = rows[0][1] if rows else []
    if not 2 <= len(header) <= 4 or not all(map(is_count, header)):
        raise NotThis("line 1 is not 'n m', the numbers of vertices and edges")
    n, m = int(header[0]), int(header[1])
    if not n or not m:
        raise NotThis("line 1 says that there are no vertices or no edges")
    form = header[2].zfill(3) if len(header) > 2 else "000"
    if len(form) != 3 or not set(form) <= set("01"):
        raise NotThis(f"the format {header[2]} is not three digits 0 or 1")
    rows = rows[1:]
    while len(rows) > n and not rows[-1][1]:
        rows.pop()
    if len(rows) != n:
        raise NotThis(f"line 1 says {n} vertices, and {len(rows)} lines follow")
    weights = int(header[3]) if len(header) > 3 else 1
    skip, step = int(form[0]) + int(form[1]) * weights, 1 + int(form[2])
    edges = []
    for i, (number, row) in enumerate(rows, 1):
        if len(row) < skip or (len(row) - skip) % step:
            raise NotThis(f"line {number} has {len(row)} numbers, which does not fit the format {form}")
        for word in row[skip::step]:
            if not is_count(word) or not 1 <= int(word) <= n:
                raise NotThis(f"line {number}: {shortened(word)} is not a vertex from 1 to {n}")
            edges.append((i, int(word)))
    both = set(edges)
    if len(both) < len(edges) or any((v, u) not in both for u, v in both):
        raise NotThis("not every edge is listed once at each of its ends")
    if len(edges) != 2 * m:
        raise NotThis(f"line 1 says {m} edges, and {len(edges) // 2} follow")
    return Reading("METIS", tuple(range(1, n + 1)), tuple((u, v) for u, v in edges if u <= v), weighted=form != "000")


def matrix(table: Table) -> Reading:
    """n rows of n numbers; a row and a column of names may stand around it."""
    names = [str(k + 1) for k in range(len(table))]
    beside = [row[0] for row in table[1:]]
    # A corner that is a number belongs to the matrix: the first row and column of a symmetric one are the same.
    if beside and (table[0] == beside or (table[0][1:] == beside and number_in(table[0][0]) is None)):
        names, table = beside, [row[1:] for row in table[1:]]
    n = len(table)
    if len({*names}) < n or any(len(row) != n for row in table):
        raise NotThis("not a square matrix")
    values = [[decimal_in(cell) for cell in row] for row in table]
    if any(value is None for value in chain(*values)):
        raise NotThis("not a matrix of numbers")
    edges = tuple((names[i], names[j]) for i in range(n) for j in range(n) if values[i][j])
    known = {*edges}
    directed = any((v, u) not in known for u, v in edges)
    if not directed:
        edges = tuple((names[i], names[j]) for i in range(n) for j in range(i, n) if values[i][j])
    return Reading("adjacency matrix", tuple(names), edges, directed=directed, weighted={*chain(*values)} != {0.0, 1.0})


def _matrix_of_some(table: Table) -> Reading:
    reading = matrix(table)
    # Two rows: the same graph as a list of edges, if it is one. A loop: not the adjacency matrix of a graph.
    if len(reading.vertices) < 3 or reading.loop is not None:
        raise NotThis("not an adjacency matrix")
    return reading


# -- all of them ----------------------------------------------------------------------------------------------------------

_KONECT = re.compile(r"%\s*(sym|asym|bip)\s+(\w+)")


def every_reading(lines: Lines, only_edges: bool) -> tuple[list[Reading], str]:
    """All readings that fit, and why the text is no plain list of edges. `only_edges`: its suffix says so."""
    if not lines.filled:
        raise NotThis("there is nothing in it")
    konect = _KONECT.match(lines.head[0]) if lines.head else None
    if konect is not None:
        return [_konect(lines, konect[1], konect[2])], ""
    found: list[Reading] = []
    reasons: list[str] = []
    ways: list[Callable[[Table], Reading]] = [_plain, _after_counts, _after_header]
    if not only_edges:
        ways += [_neighbours, multiline_adjacency_list, _matrix_of_some, _shifted, _around]
    for table in tables(lines):
        if _names_columns(table[0]) is not None and len(table) > 1:
            return [_after_header(table)], ""
        for read in ways:
            try:
                found.append(read(table))
            except NotThis as error:
                if read is _plain:
                    # Why the text is not a list of edges with this separator, if it can be the right one.
                    reasons.insert(0 if min(map(len, table)) > 1 else len(reasons), str(error))
    if not only_edges:
        # Blank lines may mean vertices without edges, or nothing.
        for some in (lines, Lines(lines.filled)):
            with suppress(NotThis):
                found.append(metis(some))
    return found, reasons[0] if reasons else "no line looks like an edge"


def _konect(lines: Lines, kind: str, weights: str) -> Reading:
    if weights.startswith("dynamic"):
        raise NotThis("a KONECT file of a dynamic network removes edges again; write the edges that are left")
    table = by_blanks([line for _, line in lines.filled])
    reading = replace(edge_list(table), format="KONECT", directed=kind == "asym")
    if kind == "bip":
        # The two sides are numbered apart.
        edges = tuple((f"left {u}", f"right {v}") for u, v in reading.edges)
        return replace(reading, edges=edges, notes=("a bipartite network: the two columns are different vertices",))
    return reading


def agreed(found: list[Reading], why: str) -> Reading:
    """The one graph that the readings agree on. Raises NotThis with the choices, or with what speaks against the only one."""
    if any(reading.loop is None for reading in found):
        found = [reading for reading in found if reading.loop is None]
    if not found:
        raise NotThis(why)
    # A reading without doubt speaks for the others that say the same.
    found = sorted(found, key=lambda reading: bool(reading.doubt))
    if len({reading.graph for reading in found}) > 1:
        ways = dict.fromkeys(f"{_way(reading)}: {reading.counted}" for reading in found)
        raise NotThis(f"it can be read in different ways ({'; '.join(ways)})")
    if found[0].doubt:
        raise NotThis(found[0].doubt)
    return found[0]


def _way(reading: Reading) -> str:
    return reading.format + (f" where {reading.notes[0]}" if reading.notes else "")
