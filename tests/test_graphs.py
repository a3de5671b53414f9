"""Graphs: the matrices of Prop. 13, covers by cliques against brute force, triangle-free factorisations."""

import json
from fractions import Fraction
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from scipy.linalg import block_diag

from cpcert.certificate.rank_check import check_rank_claim
from cpcert.errors import InputError
from cpcert.rank.bounds import cp_rank_bounds
from cpcert.rank.graphs import (
    adjacency,
    clique_cover_bound,
    complete_bipartite,
    edge_matrix,
    find_graph,
    identity_network_cost,
    triangle_free_atoms,
)


def random_triangle_free(vertices, edges, seed):
    rng = np.random.default_rng(seed)
    graph = nx.empty_graph(vertices)
    while graph.number_of_edges() < edges:
        u, v = (int(i) for i in rng.integers(vertices, size=2))
        if u != v and not set(graph[u]) & set(graph[v]):
            graph.add_edge(u, v)
    return graph


@pytest.mark.parametrize("name", ["petersen", "heawood", "groetzsch", "clebsch", "cycle-7"])
def test_edge_matrix_is_the_incidence_matrix_squared(name):
    E = nx.incidence_matrix(find_graph(name).graph).toarray().T
    assert np.array_equal(E.T @ E, edge_matrix(find_graph(name).graph))


def test_clebsch_is_the_five_regular_one():
    graph = find_graph("clebsch").graph
    assert (len(graph), graph.number_of_edges()) == (16, 40)
    assert {d for _, d in graph.degree} == {5} and not any(nx.triangles(graph).values())
    # Strongly regular (16, 5, 0, 2), which determines it.
    assert {len(set(graph[u]) & set(graph[v])) for u, v in nx.non_edges(graph)} == {2}


GRAPHS = {f"B_{N}": complete_bipartite(N) for N in (4, 5, 6, 8, 9, 20, 40)}
GRAPHS |= {
    name: find_graph(name).graph for name in ("petersen", "heawood", "groetzsch", "clebsch", "cycle-5", "cycle-12")
}
GRAPHS |= {f"random {n}": random_triangle_free(n, m, n) for n, m in ((12, 20), (50, 120), (300, 900))}
GRAPHS |= {"star": nx.star_graph(5), "path": nx.path_graph(6)}


@pytest.mark.parametrize("name", GRAPHS)
def test_cp_rank_of_triangle_free_graphs_is_the_number_of_edges(name):
    graph = GRAPHS[name]
    bounds = cp_rank_bounds(edge_matrix(graph))
    assert bounds.lower == bounds.upper == graph.number_of_edges()
    check_rank_claim(json.loads(json.dumps(bounds.claim())))


def test_hundreds_of_vertices():
    """(A thousand are in benchmarks/cp_rank.py.)"""
    graph = random_triangle_free(400, 1200, 0)
    bounds = cp_rank_bounds(edge_matrix(graph))
    assert bounds.lower == bounds.upper == 1200


def test_bipartite_numbers_of_the_paper():
    for N in (4, 6, 8, 10):
        A = edge_matrix(complete_bipartite(N))
        assert sum(A[i][i] for i in range(N)) * 2 == N**2
        assert identity_network_cost(A) == pytest.approx(N**2 * np.sqrt(1 + 2 / N), rel=1e-14)


def test_isolated_vertices_count():
    A = edge_matrix(nx.path_graph(3))
    A = [[*row, 0, 0] for row in A] + [[0, 0, 0, 5, 0], [0] * 5]
    bounds = cp_rank_bounds(A)
    assert (bounds.lower, bounds.upper) == (3, 3)
    check_rank_claim(bounds.claim())


def test_positive_definite_tree_needs_its_rank():
    """A tree with n vertices has n − 1 edges; more slack on the diagonal costs one atom more, and no more than one."""
    for seed in range(5):
        tree = nx.random_labeled_tree(9, seed=seed)
        A = edge_matrix(tree)
        for i in range(9):
            A[i][i] += i % 3
        bounds = cp_rank_bounds(A)
        assert bounds.lower == bounds.upper == 9


def test_the_rank_of_one_hot_targets_is_the_number_of_classes():
    bounds = cp_rank_bounds(block_diag(*(np.ones((k, k), int) for k in (2, 3, 1))).tolist())
    assert bounds.lower == bounds.upper == 3


@pytest.mark.parametrize("seed", range(8))
def test_triangle_free_atoms_are_exact(seed):
    """Any completely positive matrix on a cycle with random weights, also singular ones, scaled by a diagonal."""
    rng = np.random.default_rng(seed)
    n = 6
    A = [[Fraction(0)] * n for _ in range(n)]
    for i in range(n):
        j, (a, b) = (i + 1) % n, (int(v) for v in rng.integers(1, 9, size=2))
        A[i][j] = A[j][i] = Fraction(a * b)
        A[i][i] += a * a
        A[j][j] += b * b
    proof = triangle_free_atoms(A)
    assert proof is not None
    assert all(
        sum(atom.weight * dict(atom.entries).get(i, 0) * dict(atom.entries).get(j, 0) for atom in proof.atoms)
        == A[i][j]
        for i in range(n)
        for j in range(n)
    )
    # One less on the diagonal of a matrix with singular comparison matrix leaves the cone.
    even = edge_matrix(nx.cycle_graph(n))
    even[seed % n][seed % n] -= Fraction(1, 10**9)
    assert triangle_free_atoms(even) is None
    assert cp_rank_bounds(even).completely_positive is False


def cover_number(graph, required):
    """By brute force: how many cliques cover the required pairs."""
    cliques = [set(c) for c in nx.find_cliques(nx.Graph(graph))] + [{u} for u in graph if not graph[u]]
    for size in range(len(required) + 1):
        for chosen in combinations(cliques, size):
            if all(any({u, v} <= clique for clique in chosen) for u, v in required):
                return size
    raise AssertionError


@pytest.mark.parametrize("seed", range(25))
def test_clique_covers_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    n = 7
    upper = np.triu(rng.random((n, n)) < 0.3 + 0.02 * seed, 1)
    graph = adjacency((upper | upper.T).astype(int).tolist())
    pairs = [(i, j) for i in graph for j in graph[i] if i < j] + [(i, i) for i in graph]
    required = {pair for pair in pairs if rng.random() < 0.8}
    lower, _ = clique_cover_bound(graph, required)
    truth = cover_number(graph, required)
    # Never more; and small graphs are settled, unless a required loop may hide in an edge of a triangle-free graph.
    assert lower <= truth
    if any(nx.triangles(nx.Graph(graph)).values()):
        assert lower == truth


def test_a_cover_that_needs_the_search():
    """The octahedron K_{2,2,2}: no two disjoint fooling pairs give 4, four triangles are needed."""
    graph = nx.complete_multipartite_graph(2, 2, 2)
    A = [[int(i == j or graph.has_edge(i, j)) for j in range(6)] for i in range(6)]
    lower, _ = clique_cover_bound(adjacency(A), {tuple(sorted(edge)) for edge in graph.edges})
    assert lower == cover_number(adjacency(A), list(graph.edges)) == 4


def test_edge_list_files(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text("a b\nb, c  # a comment\n\nlonely\n")
    graph = find_graph(str(path)).graph
    assert (len(graph), graph.number_of_edges()) == (4, 2)
    path.write_text("0 0\n")
    with pytest.raises(InputError, match="vertex 0 is joined to itself"):
        find_graph(str(path))
    with pytest.raises(InputError, match="petersen"):
        find_graph(str(tmp_path / "nothing"))
