"""cp_rank, completely_positive, copositive, rank_sigma, bipartite: how many terms a matrix, a covariance pair or a graph needs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from cpcert.activations import Activation
from cpcert.api.given import require_integer, require_seconds
from cpcert.errors import InputError
from cpcert.rank.answers import CopositiveOutcome, CpRankOutcome, GraphOutcome, RankSigmaOutcome, graph_bounds
from cpcert.rank.bipartite_mse import LAMBDAS, MsePathOutcome, rank_along_path
from cpcert.rank.bounds import cp_rank_bounds
from cpcert.rank.copositivity import copositive as copositive_bounds
from cpcert.rank.graph_files import GraphFile
from cpcert.rank.graphs import complete_bipartite, find_graph
from cpcert.rank.matrices import ExactMatrix, ExactPair, exact_matrix, exact_pair
from cpcert.rank.pair import rank_sigma_bounds

LARGEST_GRAPH = 1000


def cp_rank(
    A: Any,
    *,
    time_limit: float = 60.0,
    seed: int = 0,
    sdp: bool | None = None,
    symmetrise: bool = False,
    name: str = "matrix",
) -> CpRankOutcome:
    """Is A = Σ bbᵀ with entrywise nonnegative b, and with how few terms? Proven bounds of the cp-rank.

    A: (n, n), symmetric: an array, a data frame, or a list of rows of integers, Fractions, "p/q" or floats, which are taken exactly
    as given; or what `cpcert.rank.matrices.load_matrix` read from a file. time_limit: seconds to search. seed: of the searches.
    sdp: semidefinite bounds too (needs cvxpy); by default where nothing else closes the gap. symmetrise: (A + Aᵀ)/2 of a matrix that
    is symmetric but for rounding.

    completely_positive of the outcome is True or False, both proven, or None; lower ≤ cp-rank ≤ upper, proven; `claim()` is the
    proof, for `verify`. Raises InputError for what is no such matrix.
    """
    require_seconds(time_limit)
    require_integer("seed", seed)
    matrix = A if isinstance(A, ExactMatrix) else exact_matrix(A, name, symmetrise)
    start = time.monotonic()
    bounds = cp_rank_bounds(matrix.rows, time_limit, seed, sdp)
    return CpRankOutcome(matrix, bounds, time.monotonic() - start)


def completely_positive(A: Any, *, time_limit: float = 60.0, seed: int = 0, symmetrise: bool = False) -> bool | None:
    """Whether A = Σ bbᵀ with entrywise nonnegative b: True and False are proven, None is undecided. `cp_rank` has the proof.

    A, time_limit, seed, symmetrise: as there. Raises InputError.
    """
    require_seconds(time_limit)
    require_integer("seed", seed)
    matrix = A if isinstance(A, ExactMatrix) else exact_matrix(A, "matrix", symmetrise)
    bounds = cp_rank_bounds(matrix.rows, time_limit, seed, sdp=False, any_factors=True)
    return CpRankOutcome(matrix, bounds, 0.0).completely_positive


def copositive(
    A: Any, *, time_limit: float = 60.0, seed: int = 0, symmetrise: bool = False, name: str = "matrix"
) -> CopositiveOutcome:
    """Is xᵀAx ≥ 0 for all x ≥ 0? A proof either way: an x with xᵀAx < 0, or an exact argument; minimal zeros up to order 16.

    A, time_limit, seed, symmetrise: as in `cp_rank`. `bounds.copositive` and `bounds.strictly` of the outcome are True or False, both
    proven, or None. Raises InputError.
    """
    require_seconds(time_limit)
    require_integer("seed", seed)
    matrix = A if isinstance(A, ExactMatrix) else exact_matrix(A, name, symmetrise, gram=False)
    start = time.monotonic()
    return CopositiveOutcome(matrix, copositive_bounds(matrix.rows, time_limit, seed), time.monotonic() - start)


def rank_sigma(
    K: Any,
    K_sigma: Any = None,
    *,
    beta: Any = 0,
    activation: str | Activation = "relu",
    slope: float | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
    symmetrise: bool = False,
    name: str = "pair",
) -> RankSigmaOutcome:
    """How many neurons does a layer with the covariances (K, K^σ) need? Proven bounds of Rank_σ.

    K, K_sigma: (N, N), as `cp_rank` takes matrices; or K an ExactPair that `cpcert.rank.matrices.load_pair` read. beta: the weight of
    the biases, exactly as given. activation, slope: as in `Problem`. lower and upper of the outcome are proven; upper is None
    where no layer of this width was found, and both are where no layer has these covariances, which is then proven.
    """
    require_seconds(time_limit)
    require_integer("seed", seed)
    if isinstance(K, ExactPair):
        if K_sigma is not None:
            raise InputError("K_sigma: belongs to a matrix K, and an ExactPair has its own; leave it out")
        pair = K
    elif K_sigma is None:
        raise InputError("K_sigma: is missing; give the covariances after the activation, of the same order as K")
    else:
        pair = exact_pair(K, K_sigma, beta, activation, slope, name, symmetrise)
    start = time.monotonic()
    return RankSigmaOutcome(rank_sigma_bounds(pair, time_limit, seed), time.monotonic() - start)


def bipartite(
    graph: Any, *, time_limit: float = 60.0, seed: int = 0, file_format: str | None = None, name: str | None = None
) -> GraphOutcome:
    """Data whose optimal width is the cp-rank of a graph: X = I, Y = EᵀE, E the incidence matrix (Prop. 13 and 14).

    graph: a number N (the balanced complete bipartite graph on N vertices), the name of a graph (petersen, heawood, groetzsch,
    clebsch, cycle-N) or the path of a file of one, in `file_format`; or a networkx graph. lower ≤ cp-rank ≤ upper, proven.
    Raises InputError.
    """
    require_seconds(time_limit)
    require_integer("seed", seed)
    if isinstance(graph, int | np.integer) and not isinstance(graph, bool):
        require_vertices(graph)
        read, called = GraphFile(complete_bipartite(int(graph)), "complete bipartite", ()), f"bipartite-{graph}"
    elif isinstance(graph, str | Path):
        read, called = find_graph(str(graph), file_format), Path(graph).stem
    elif isinstance(graph, nx.Graph):
        read = GraphFile(nx.convert_node_labels_to_integers(graph), "networkx", ())
        called = str(graph.name) or "graph"
    else:
        raise InputError(
            f"graph: is of type {type(graph).__name__}; give a number of vertices, a name like petersen, a path, or a networkx graph"
        )
    start = time.monotonic()
    bounds = graph_bounds(read.graph, time_limit, seed)
    return GraphOutcome(name or called, read, bounds, time.monotonic() - start)


def bipartite_path(N: int, *, time_limit: float = 60.0, seed: int = 0) -> MsePathOutcome:
    """Rank_σ of the optimum of B_N with the squared loss, N even, from λ = 0.0001 to 0.5: proven bounds for each.

    time_limit: seconds, for all of it. Raises InputError.
    """
    require_seconds(time_limit)
    require_integer("seed", seed)
    require_vertices(N)
    if N % 2:
        raise InputError(f"N: is {N}; give an even number of vertices")
    start = time.monotonic()
    # A semidefinite bound may take as long again as the search that it follows.
    steps = tuple(rank_along_path(int(N), lam, time_limit / (2 * len(LAMBDAS)), seed) for lam in LAMBDAS)
    return MsePathOutcome(int(N), steps, time.monotonic() - start)


def require_vertices(N: Any) -> None:
    """Raise InputError unless N is the order of a graph that is not too large."""
    if isinstance(N, bool) or not isinstance(N, int | np.integer) or not 2 <= N <= LARGEST_GRAPH:
        raise InputError(f"N: is {N!r}; give a number of vertices between 2 and {LARGEST_GRAPH}")
