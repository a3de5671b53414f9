"""Graphs as sets of neighbours, and their cliques, for the searches of this folder; the checker of their proofs has its own.

A graph is {vertex: neighbours}, without loops.
"""

from __future__ import annotations

from itertools import combinations, islice

import networkx as nx

from cpcert.rank.proofs import Pair

Graph = dict[int, set[int]]


def triangle_free(graph: Graph) -> bool:
    """Whether no three vertices are adjacent: the ends u < v of no edge have a neighbour w > v in common."""
    later = {u: {v for v in neighbours if v > u} for u, neighbours in graph.items()}
    return all(later[u].isdisjoint(later[v]) for u in graph for v in later[u])


def in_one_clique(graph: Graph, first: Pair, second: Pair) -> bool:
    """Whether one clique holds both pairs, each of which is an edge or a vertex twice."""
    return all(v in graph[u] for u, v in combinations({*first, *second}, 2))


def maximal_cliques(graph: Graph, most: int) -> list[tuple[int, ...]] | None:
    """All maximal cliques, sorted, each of them sorted; None if there are more than `most`."""
    edges = nx.Graph()
    edges.add_nodes_from(graph)
    edges.add_edges_from((u, v) for u, neighbours in graph.items() for v in neighbours)
    found = list(islice(nx.find_cliques(edges), most + 1))
    return sorted(tuple(sorted(clique)) for clique in found) if len(found) <= most else None
