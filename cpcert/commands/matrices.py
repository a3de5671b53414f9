"""cprank, rank, bipartite: how many terms a completely positive matrix, a covariance pair or a graph needs; copositive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cpcert.commands import DONE, NO, AsJson, Flag, deliver, require_seconds
from cpcert.errors import InputError

if TYPE_CHECKING:
    from cpcert.rank.answers import GraphOutcome


def cprank(
    matrix: str,
    /,
    *,
    as_json: AsJson = False,
    out: Path | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
    sdp: bool | None = None,
    symmetrise: Flag = False,
) -> int:
    """Is a matrix completely positive, and with how few terms? Proven bounds of its cp-rank.

    A = sum of b b' with entrywise nonnegative vectors b; the cp-rank is the least number of them. Exit codes:
    0  the cp-rank is proven
    1  it lies between two bounds, or the matrix is not completely positive (proven), or undecided
    2  the input is wrong

    Parameters
    ----------
    matrix
        .json {"A": rows of integers, "p/q" strings or floats}, .csv, .tsv, .txt, .mtx, .npy or .npz.
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result and the claim with its exact proof into this folder.
    time_limit
        Seconds to search.
    seed
        The seed of the searches.
    sdp
        Try semidefinite bounds too (needs cvxpy); by default where nothing else closes the gap and cvxpy is installed.
    symmetrise
        Take (A + A')/2 of a matrix that is symmetric but for rounding.
    """
    import time

    from cpcert.output import prepare_folder
    from cpcert.rank.matrices import load_matrix

    require_seconds(time_limit)
    loaded = load_matrix(matrix, symmetrise)
    if out is not None:
        prepare_folder(out)

    from cpcert.rank.answers import CpRankOutcome
    from cpcert.rank.bounds import cp_rank_bounds

    start = time.monotonic()
    bounds = cp_rank_bounds(loaded.rows, time_limit, seed, sdp)
    outcome = CpRankOutcome(loaded, bounds, time.monotonic() - start)
    code = DONE if bounds.lower is not None and bounds.lower == bounds.upper else NO
    return deliver(code, outcome, as_json, lambda: outcome if out is None else outcome.write(out))


def copositive(
    matrix: str,
    /,
    *,
    as_json: AsJson = False,
    out: Path | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
    symmetrise: Flag = False,
) -> int:
    """Is a matrix copositive, x'Ax >= 0 for all x >= 0? A proof either way, and its minimal zeros up to order 16.

    Exit codes:
    0  it is copositive (proven)
    1  it is not (proven, with an x), or undecided
    2  the input is wrong

    Parameters
    ----------
    matrix
        .json {"A": rows of integers, "p/q" strings or floats}, .csv, .tsv, .txt, .mtx, .npy or .npz.
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result and the claim with its exact proof into this folder.
    time_limit
        Seconds to search.
    seed
        The seed of the searches.
    symmetrise
        Take (A + A')/2 of a matrix that is symmetric but for rounding.
    """
    import time

    from cpcert.output import prepare_folder
    from cpcert.rank.matrices import load_matrix

    require_seconds(time_limit)
    loaded = load_matrix(matrix, symmetrise, gram=False)
    if out is not None:
        prepare_folder(out)

    from cpcert.rank.answers import CopositiveOutcome
    from cpcert.rank.copositivity import copositive as copositive_bounds

    start = time.monotonic()
    bounds = copositive_bounds(loaded.rows, time_limit, seed)
    outcome = CopositiveOutcome(loaded, bounds, time.monotonic() - start)
    return deliver(
        DONE if bounds.copositive else NO, outcome, as_json, lambda: outcome if out is None else outcome.write(out)
    )


def rank(
    pair: str,
    /,
    *,
    as_json: AsJson = False,
    out: Path | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
    symmetrise: Flag = False,
) -> int:
    """How many neurons does a layer with the covariances (K, K_sigma) need? Proven bounds of Rank_sigma.

    Exit codes:
    0  Rank_sigma is proven
    1  it lies between two bounds, or no layer has these covariances (proven)
    2  the input is wrong

    Parameters
    ----------
    pair
        .json {"K": rows, "K_sigma": rows, "beta": 0, "activation": "relu"}; activation and slope as in instance files.
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result and the claim with its exact proof into this folder.
    time_limit
        Seconds to search.
    seed
        The seed of the searches.
    symmetrise
        Take (K + K')/2 and the same of K_sigma where they are symmetric but for rounding.
    """
    import time

    from cpcert.output import prepare_folder
    from cpcert.rank.matrices import load_pair

    require_seconds(time_limit)
    loaded = load_pair(pair, symmetrise)
    if out is not None:
        prepare_folder(out)

    from cpcert.rank.answers import RankSigmaOutcome
    from cpcert.rank.pair import rank_sigma_bounds

    start = time.monotonic()
    bounds = rank_sigma_bounds(loaded, time_limit, seed)
    outcome = RankSigmaOutcome(bounds, time.monotonic() - start)
    code = DONE if bounds.lower is not None and bounds.lower == bounds.upper else NO
    return deliver(code, outcome, as_json, lambda: outcome if out is None else outcome.write(out))


def bipartite(
    *,
    N: Annotated[int | None, Parameter(name="--N")] = None,
    graph: str | None = None,
    file_format: Annotated[str | None, Parameter(name="--format")] = None,
    as_json: AsJson = False,
    out: Path | None = None,
    time_limit: float = 60.0,
    seed: int = 0,
    plot: Flag = False,
    path: Flag = False,
) -> int:
    """Data whose optimal width is the cp-rank of a graph: X = I, Y = E'E, E the incidence matrix.

    Prints the edges, the cp-rank, the Rank_sigma of the optimum, the representation cost and where the plateau starts.
    Exit codes:
    0  the cp-rank is proven
    1  it lies between two bounds (with --path: at one lambda or more)
    2  the input is wrong

    Parameters
    ----------
    N
        The balanced complete bipartite graph on N vertices (N^2/4 edges for even N).
    graph
        Any other graph: petersen, heawood, groetzsch, clebsch, cycle-N, or a file: GML, GraphML, GEXF, graph6, sparse6,
        Pajek, Matrix Market, DIMACS, METIS, adjacency lists, edge lists ("u v" per line, CSV with a header too).
    file_format
        What the file of --graph is, where it can be read in more ways than one: edgelist (every line is an edge),
        adjlist (a vertex and its neighbours), multiline, matrix, metis, dimacs, pajek, matrixmarket, gml, graphml,
        gexf, graph6 or sparse6.
    as_json
        Print one JSON object instead of lines.
    out
        Write the result, the claim with its exact proof, and the data as an instance file into this folder.
    time_limit
        Seconds to search.
    seed
        The seed of the searches.
    plot
        Draw the graph and the atoms, into the folder of --out or the current one.
    path
        With --N, even: the squared loss instead, and the Rank_sigma of its optimum from lambda = 0.0001 to 0.5.
    """
    import time

    if (N is None) == (graph is None):
        raise InputError("--N: give either --N (like --N 8) or --graph (like --graph petersen)")
    if N is not None and not 2 <= N <= 1000:
        raise InputError(f"--N: is {N}; give a number of vertices between 2 and 1000")
    require_seconds(time_limit)
    if file_format is not None and graph is None:
        raise InputError("--format: says how the file of --graph is read; give --graph too, or leave it out")
    if path:
        if N is None or N % 2 or plot:
            raise InputError("--path: needs an even --N (like --N 6), and neither --graph nor --plot")
        return _bipartite_path(N, as_json, out, time_limit, seed)

    from cpcert.output import prepare_folder
    from cpcert.rank.graph_files import GraphFile
    from cpcert.rank.graphs import complete_bipartite, find_graph

    if graph is not None:
        chosen = find_graph(graph, file_format)
    else:
        chosen = GraphFile(complete_bipartite(N or 0), "complete bipartite", ())
    name = Path(graph).stem if graph is not None else f"bipartite-{N}"
    if out is not None or plot:
        prepare_folder(out or Path())

    from cpcert.rank.answers import GraphOutcome, graph_bounds

    start = time.monotonic()
    bounds = graph_bounds(chosen.graph, time_limit, seed)
    outcome = GraphOutcome(name, chosen, bounds, time.monotonic() - start)

    def save() -> GraphOutcome:
        written = outcome if out is None else outcome.write(out)
        if plot:
            from cpcert.plots.solving import plot_graph

            plot_graph(chosen.graph, name, (out or Path()) / f"{name}-graph.png")
        return written

    return deliver(DONE if bounds.lower == bounds.upper else NO, outcome, as_json, save)


def _bipartite_path(N: int, as_json: bool, out: Path | None, time_limit: float, seed: int) -> int:
    import time

    from cpcert.output import prepare_folder

    if out is not None:
        prepare_folder(out)

    from cpcert.rank.bipartite_mse import LAMBDAS, MsePathOutcome, rank_along_path

    start = time.monotonic()
    # A semidefinite bound may take as long again as the search that it follows.
    steps = tuple(rank_along_path(N, lam, time_limit / (2 * len(LAMBDAS)), seed) for lam in LAMBDAS)
    outcome = MsePathOutcome(N, steps, time.monotonic() - start)
    code = DONE if all(step.lower == step.upper for step in steps) else NO
    return deliver(code, outcome, as_json, lambda: outcome if out is None else outcome.write(out))
