"""Graphs and their completely positive matrices; how many cliques cover the edges.

A = EᵀE, E (edges × vertices) the incidence matrix of a graph, is completely positive with one atom e_i + e_j for each
edge; in a triangle-free graph no atom can do more than one edge, so the cp-rank is the number of edges (Jacot, Golikov,
Hongler, Gabriel 2022, Prop. 13). In general it is at least the number of cliques of the support graph that cover all
edges and all vertices with A_ii > 0 (Roberts 1985).

The data set of Prop. 14 is X = I, Y = A, without biases: R(I, A) = 2 Tr A exactly, K = K^σ = A is the only optimal
pair, and the plateau starts at its Rank_σ = cp-rank(A). The network W_1 = cI, W_2 = A/c of Remark 23 costs 2√N ‖A‖ at
its best c.

Triangle-free support: A ≥ 0 is completely positive iff its comparison matrix M is positive semidefinite, and then, with
d > 0 and Md ≥ 0 on each component,

    A = Σ_{i<j} A_ij d_i d_j (e_i/d_i + e_j/d_j)(e_i/d_i + e_j/d_j)ᵀ + Σ_i d_i⁻¹ (Md)_i e_i e_iᵀ.

M singular: d is its rational null vector, as many atoms as edges. If not, Md = e_r for one vertex r, and one atom more.
docs/mathematics/graphs.md has the proofs.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from cpcert.errors import InputError
from cpcert.rank.cliques import Graph, in_one_clique, maximal_cliques, triangle_free
from cpcert.rank.exact_linear import solve
from cpcert.rank.graph_files import LARGEST_ORDER, GraphFile, read_graph
from cpcert.rank.proofs import Atom, Atoms, Cover, CoverSearch, CoverWeights, FoolingSet, Number, Pair, TriangleFree

# Beyond this many maximal cliques only a greedy fooling set is tried.
MANY_CLIQUES = 20_000
# Rational systems of the triangle-free case are solved up to this order; a diagonally dominant A needs none.
LARGEST_EXACT_SOLVE = 120
# Of the factors of a column in floating point, far from where their squares overflow.
LARGEST_EXPONENT = 300.0


def complete_bipartite(N: int) -> nx.Graph:
    """The balanced complete bipartite graph on N vertices: ⌊N/2⌋ + ⌈N/2⌉."""
    return nx.convert_node_labels_to_integers(nx.complete_bipartite_graph(N // 2, N - N // 2))


NAMED = {
    "petersen": nx.petersen_graph,
    "heawood": nx.heawood_graph,
    "groetzsch": lambda: nx.mycielski_graph(4),
    "clebsch": lambda: clebsch_graph(),
}


def clebsch_graph() -> nx.Graph:
    """The 5-regular Clebsch graph: 4-bit words, adjacent if they differ in one bit or in all four. 40 edges, no triangle."""
    graph = nx.Graph()
    graph.add_edges_from((u, u ^ d) for u in range(16) for d in (1, 2, 4, 8, 15))
    return graph


def find_graph(name: str, file_format: str | None = None) -> GraphFile:
    """A graph by name (petersen, heawood, groetzsch, clebsch, cycle-N), or from a file (`graph_files.py`).

    Vertices are numbered from 0 in the order they appear. Raises InputError.
    """
    if file_format is None and name in NAMED:
        return GraphFile(nx.convert_node_labels_to_integers(NAMED[name]()), "known by its name", ())
    kind, _, size = name.partition("-")
    if (
        file_format is None
        and kind == "cycle"
        and re.fullmatch(r"[0-9]{1,5}", size)
        and 3 <= int(size) <= LARGEST_ORDER
    ):
        return GraphFile(nx.cycle_graph(int(size)), "known by its name", ())
    path = Path(name)
    if not path.is_file():
        raise InputError(f"graph: there is no file {name}; give {', '.join(NAMED)} or cycle-N, or a file of a graph")
    return read_graph(path, file_format)


def _require_simple(graph: nx.Graph) -> None:
    """Raise InputError unless the graph is undirected, without loops or double edges, with the vertices 0, …, n − 1."""
    if graph.is_directed() or graph.is_multigraph() or nx.number_of_selfloops(graph):
        raise InputError(
            "graph: has directions, double edges or loops; give a simple one, networkx.Graph(graph) without loops"
        )
    if not all(isinstance(v, int) for v in graph) or {*graph} != {*range(len(graph))}:
        raise InputError("graph: vertices are not 0, ..., n - 1; give networkx.convert_node_labels_to_integers(graph)")


def edge_matrix(graph: nx.Graph) -> list[list[Number]]:
    """A = EᵀE (Prop. 13): degrees on the diagonal, adjacency off it. Raises InputError: not a simple graph."""
    _require_simple(graph)
    n = graph.number_of_nodes()
    A: list[list[Number]] = [[0] * n for _ in range(n)]
    for u, v in graph.edges:
        A[u][v] = A[v][u] = 1
        A[u][u] += 1
        A[v][v] += 1
    return A


def edge_atoms(graph: nx.Graph) -> Atoms:
    """A = Σ (e_i + e_j)(e_i + e_j)ᵀ over the edges."""
    return Atoms(tuple(Atom(1, ((u, 1), (v, 1))) for u, v in graph.edges))


def identity_network_cost(A: list[list[Number]]) -> float:
    """‖W_1‖² + ‖W_2‖² = 2√N ‖A‖ of the network W_1 = cI, W_2 = A/c with N neurons (Remark 23), in floating point."""
    return 2.0 * math.sqrt(len(A) * sum(float(v) ** 2 for row in A for v in row))


# -- triangle-free support -----------------------------------------------------------------------------------------------


def adjacency(A: list[list[Number]]) -> Graph:
    """The support graph of A as sets of neighbours, loops left out."""
    return {i: {j for j, v in enumerate(row) if v and j != i} for i, row in enumerate(A)}


def triangle_free_atoms(A: list[list[Number]]) -> Atoms | None:
    """An exact factorisation of a connected A ≥ 0 without triangles in its support (module docstring).

    None if A is not completely positive, or too large to solve for d exactly.
    """
    d = _dominating_scaling(A)
    if d is None:
        return None
    atoms = []
    for i, row in enumerate(A):
        slack = row[i] * d[i] - sum(v * d[j] for j, v in enumerate(row) if v and j != i)
        if slack:
            atoms.append(Atom(slack / Fraction(d[i]), ((i, 1),)))
        for j in range(i + 1, len(A)):
            if row[j]:
                # The common factor goes into the weight: the atom of a graph is e_i + e_j.
                atoms.append(Atom(row[j] * Fraction(d[j]) / d[i], ((i, 1), (j, Fraction(d[i]) / d[j]))))
    return Atoms(tuple(atoms))


def edge_factors(A: list[list[Number]]) -> np.ndarray | None:
    """B (n, edges) with BBᵀ ≈ A in floating point and one column on each edge, for a triangle-free connected A; or None.

    The column of an edge ij is √A_ij (e^{θ/2} e_i + e^{−θ/2} e_j), which leaves the diagonal: n equations for the θ of at least n
    edges (a tree has too few). Steps of least change from columns that are too short, half as long while they grow worse.
    """
    n = len(A)
    F = np.array([[float(v) for v in row] for row in A])
    scale = np.sqrt(F.diagonal())
    F = F / np.outer(scale, scale)
    ends = [(i, j) for i in range(n) for j in range(i + 1, n) if A[i][j]]
    if len(ends) < n:
        return None
    i, j = np.array(ends).T
    e, weight = np.arange(len(ends)), F[i, j]
    d = np.linalg.solve(2.0 * np.eye(n) - F, np.ones(n))
    if not (d > 0.0).all():
        return None
    theta = np.log(d[j] / d[i])

    def residual(theta: np.ndarray) -> np.ndarray:
        if abs(theta).max() > LARGEST_EXPONENT:
            return np.full(n, np.inf)
        total = np.full(n, -1.0)
        np.add.at(total, i, weight * np.exp(theta))
        np.add.at(total, j, weight * np.exp(-theta))
        return total

    r = residual(theta)
    for _ in range(100):
        J = np.zeros((n, len(ends)))
        J[i, e], J[j, e] = weight * np.exp(theta), -weight * np.exp(-theta)
        step = np.linalg.lstsq(J, -r, rcond=1e-13)[0]
        length = 1.0
        while length > 1e-4 and not np.linalg.norm(residual(theta + length * step)) < np.linalg.norm(r):
            length /= 2.0
        theta = theta + length * step
        r = residual(theta)
        if not 1e-14 <= np.linalg.norm(r) < np.inf:
            break
    if not np.linalg.norm(r) < 1e-10:
        return None
    B = np.zeros((n, len(ends)))
    B[i, e], B[j, e] = np.sqrt(weight * np.exp(theta)), np.sqrt(weight * np.exp(-theta))
    return B * scale[:, np.newaxis]


def _dominating_scaling(A: list[list[Number]]) -> list[Number] | None:
    """d > 0 with Md ≥ 0, M the comparison matrix, and Md as sparse as possible."""
    n = len(A)
    off = [sum(row) - row[i] for i, row in enumerate(A)]
    if all(row[i] == off[i] for i, row in enumerate(A)):
        return [1] * n
    if n > LARGEST_EXACT_SOLVE:
        return [1] * n if all(row[i] >= off[i] for i, row in enumerate(A)) else None
    M = [[v if i == j else -v for j, v in enumerate(row)] for i, row in enumerate(A)]
    if n == 1:
        return [1] if A[0][0] > 0 else None
    # Fix d_0 = 1 and solve the other rows: the slack, if any, is at vertex 0. The rest is a nonsingular M-matrix
    # whenever M is positive semidefinite and irreducible.
    rest = [row[1:] for row in M[1:]]
    solution = solve(rest, [[-row[0]] for row in M[1:]])
    if solution is None:
        return None
    d: list[Number] = [1, *(row[0] for row in solution)]
    slack = sum(v * w for v, w in zip(M[0], d, strict=True))
    return d if slack >= 0 and all(v > 0 for v in d) else None


# -- covers by cliques ---------------------------------------------------------------------------------------------------


def clique_cover_bound(graph: Graph, required: set[Pair], target: int | None = None) -> tuple[int, Cover]:
    """A proven lower bound of the number of cliques of `graph` that cover the pairs `required` (loops allowed).

    Triangle-free graphs: counted. Else the best of a fooling set, of rational dual weights of the set cover problem, and,
    if HiGHS says that more cliques are needed, of an exact search that the checker repeats. `target`: enough is enough.
    """
    if triangle_free(graph):
        return sum(1 for u, v in required if u != v or not graph[u]), TriangleFree()
    if not required:
        return 0, FoolingSet(())
    fooling = _fooling_set(graph, required)
    best: tuple[int, Cover] = (len(fooling), FoolingSet(tuple(fooling)))
    if best[0] == target:
        return best
    cliques = maximal_cliques(graph, MANY_CLIQUES)
    if cliques is None:
        return best
    pairs = sorted(required)
    members = [[k for k, pair in enumerate(pairs) if pair[0] in c and pair[1] in c] for c in cliques]
    weights = _dual_weights(len(pairs), members)
    value = math.ceil(sum(weights))
    if value > best[0]:
        best = value, CoverWeights(tuple((*pair, w) for pair, w in zip(pairs, weights, strict=True) if w))
    number = _set_cover(len(pairs), members)
    if number is not None and number > best[0]:
        best = number, CoverSearch(number)
    return best


def _fooling_set(graph: Graph, required: set[Pair]) -> list[Pair]:
    """Greedy: pairs with few possible partners first."""
    crowd = {pair: len(set.intersection(*(graph[u] | {u} for u in pair))) for pair in required}
    chosen: list[Pair] = []
    for pair in sorted(required, key=lambda pair: (crowd[pair], pair)):
        if not any(in_one_clique(graph, pair, other) for other in chosen):
            chosen.append(pair)
    return chosen


def _incidence(count: int, members: list[list[int]]) -> Any:
    from scipy.sparse import csr_array

    rows = [k for member in members for k in member]
    columns = [c for c, member in enumerate(members) for _ in member]
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(count, len(members)))


def _dual_weights(count: int, members: list[list[int]]) -> list[Fraction]:
    """max Σ w subject to Σ w ≤ 1 on each clique, made rational: rounded, then divided by the largest sum."""
    from scipy.optimize import linprog

    result = linprog(-np.ones(count), A_ub=_incidence(count, members).T, b_ub=np.ones(len(members)), method="highs")
    if result.x is None:
        return [Fraction(0)] * count
    weights = [Fraction(max(float(w), 0.0)).limit_denominator(1000) for w in result.x]
    largest = max((sum(weights[k] for k in member) for member in members), default=Fraction(0))
    return [w / largest for w in weights] if largest > 1 else weights


def _set_cover(count: int, members: list[list[int]], seconds: float = 10.0) -> int | None:
    """The least number of cliques by HiGHS (a hint), or None."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    number = len(members)
    result = milp(
        np.ones(number),
        constraints=LinearConstraint(_incidence(count, members), lb=1.0),
        integrality=np.ones(number),
        bounds=Bounds(0.0, 1.0),
        options={"time_limit": seconds},
    )
    return round(result.fun) if result.status == 0 else None
