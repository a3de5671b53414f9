"""cprank, rank, bipartite: how many terms a completely positive matrix, a covariance pair or a graph needs; copositive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cpcert.commands import DONE, NO, AsJson, Flag, deliver, naming_options
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
    from cpcert.output import prepare_folder
    from cpcert.rank.matrices import load_matrix

    loaded = load_matrix(matrix, symmetrise)
    if out is not None:
        prepare_folder(out)

    from cpcert.api.matrices import cp_rank

    with naming_options("time_limit", "seed"):
        outcome = cp_rank(loaded, time_limit=time_limit, seed=seed, sdp=sdp)
    code = DONE if outcome.lower is not None and outcome.lower == outcome.upper else NO
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
    from cpcert.output import prepare_folder
    from cpcert.rank.matrices import load_matrix

    loaded = load_matrix(matrix, symmetrise, gram=False)
    if out is not None:
        prepare_folder(out)

    from cpcert.api.matrices import copositive as decide

    with naming_options("time_limit", "seed"):
        outcome = decide(loaded, time_limit=time_limit, seed=seed)
    return deliver(
        DONE if outcome.bounds.copositive else NO,
        outcome,
        as_json,
        lambda: outcome if out is None else outcome.write(out),
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
    from cpcert.output import prepare_folder
    from cpcert.rank.matrices import load_pair

    loaded = load_pair(pair, symmetrise)
    if out is not None:
        prepare_folder(out)

    from cpcert.api.matrices import rank_sigma

    with naming_options("time_limit", "seed"):
        outcome = rank_sigma(loaded, time_limit=time_limit, seed=seed)
    code = DONE if outcome.lower is not None and outcome.lower == outcome.upper else NO
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
    if (N is None) == (graph is None):
        raise InputError("--N: give either --N (like --N 8) or --graph (like --graph petersen)")
    if file_format is not None and graph is None:
        raise InputError("--format: says how the file of --graph is read; give --graph too, or leave it out")
    if path and (N is None or N % 2 or plot):
        raise InputError("--path: needs an even --N (like --N 6), and neither --graph nor --plot")

    from cpcert.api import matrices as api
    from cpcert.output import prepare_folder

    if N is not None:
        with naming_options("N"):
            api.require_vertices(N)
    if out is not None or plot:
        prepare_folder(out or Path())
    with naming_options("time_limit", "seed", "graph"):
        if path:
            steps = api.bipartite_path(N or 0, time_limit=time_limit, seed=seed)
            code = DONE if all(step.lower == step.upper for step in steps.steps) else NO
            return deliver(code, steps, as_json, lambda: steps if out is None else steps.write(out))
        chosen = N if graph is None else graph
        outcome = api.bipartite(chosen, time_limit=time_limit, seed=seed, file_format=file_format)

    def save() -> GraphOutcome:
        written = outcome if out is None else outcome.write(out)
        if plot:
            from cpcert.plots.figure import save_figure
            from cpcert.plots.solving import plot_graph

            picture = plot_graph(outcome.read.graph, outcome.name)
            save_figure(picture, (out or Path()) / f"{outcome.name}-graph.png")
        return written

    return deliver(DONE if outcome.lower == outcome.upper else NO, outcome, as_json, save)
