"""cpcert cprank, copositive, rank and bipartite: what a user types, and what comes back."""

import json
from pathlib import Path

import numpy as np
import pytest
from cp_matrices import CASES

from cpcert import copositive
from cpcert.certificate.rank_check import check_rank_claim
from cpcert.cli import main
from cpcert.instance import load_instance


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def answer(capsys, *arguments, code=0):
    assert main([*arguments, "--json"]) == code
    captured = capsys.readouterr()
    return json.loads(captured.out, parse_constant=pytest.fail)


def refusal(capsys, *arguments):
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return captured.err


def test_bipartite(capsys, tmp_path):
    written = answer(capsys, "bipartite", "--N", "8", "--out", str(tmp_path), "--plot")
    assert written["N"] == 8 and written["edges"] == 16 and written["representation_cost"] == 64
    assert written["cp_rank"] == written["rank_sigma"] == written["plateau_start"] == {"lower": 16, "upper": 16}
    assert written["identity_network_cost"] == pytest.approx(64 * np.sqrt(1.25), rel=1e-12)
    check_rank_claim(json.loads(Path(written["certificate"]).read_text()))
    # The data as an instance: those of the source `bipartite`.
    problem = load_instance(str(tmp_path / "bipartite-8-interpolate.yaml")).problem()
    ours = load_instance(str(Path(__file__).parents[1] / "instances" / "bipartite-8-interpolate.yaml")).problem()
    assert problem.sha256 == ours.sha256
    assert (tmp_path / "bipartite-8-graph.png").stat().st_size > 1000


def test_other_graphs(capsys, tmp_path):
    assert answer(capsys, "bipartite", "--graph", "petersen")["cp_rank"] == {"lower": 15, "upper": 15}
    assert answer(capsys, "bipartite", "--N", "7")["edges"] == 12
    # A triangle: EᵀE has rank 3, and one clique covers the graph.
    triangle = write(tmp_path / "triangle.txt", "0 1\n1 2\n0 2\n")
    assert answer(capsys, "bipartite", "--graph", triangle)["cp_rank"] == {"lower": 3, "upper": 3}
    assert main(["bipartite", "--graph", "clebsch"]) == 0
    out = capsys.readouterr().out
    assert "40" in out and "160 = 2 Tr A" in out


def test_bipartite_mistakes(capsys, tmp_path):
    assert "--N" in refusal(capsys, "bipartite")
    assert "--N" in refusal(capsys, "bipartite", "--N", "4", "--graph", "petersen")
    assert "between 2 and 1000" in refusal(capsys, "bipartite", "--N", "1")
    assert "petersen" in refusal(capsys, "bipartite", "--graph", str(tmp_path / "no-such-file"))


def test_cprank(capsys, tmp_path):
    path = write(tmp_path / "nie.json", {"A": CASES["lit_Nie_61"]["A"]})
    written = answer(capsys, "cprank", path, "--out", str(tmp_path))
    assert {"completely_positive", "lower", "upper", "lower_proof", "certificate"} <= set(written)
    assert (written["completely_positive"], written["lower"], written["upper"]) == (True, 5, 5)
    check_rank_claim(json.loads(Path(written["certificate"]).read_text()))
    assert json.loads((tmp_path / "nie-cprank.json").read_text()) == written


def test_cprank_of_a_negative(capsys, tmp_path):
    path = write(tmp_path / "hall.json", {"A": CASES["neg_Hall_C5"]["A"]})
    written = answer(capsys, "cprank", path, "--out", str(tmp_path), code=1)
    assert written["completely_positive"] is False and written["lower"] is None and written["upper"] is None
    check_rank_claim(json.loads(Path(written["certificate"]).read_text()))
    assert main(["cprank", path]) == 1
    assert "not completely positive" in capsys.readouterr().out


def test_matrix_files(capsys, tmp_path):
    csv = write(tmp_path / "a.csv", "2, 1/2\n1/2, 1\n")
    assert answer(capsys, "cprank", csv)["notes"] == []
    np.save(tmp_path / "a.npy", np.array([[2.0, 0.1], [0.1, 1.0]]))
    assert "exactly as given" in answer(capsys, "cprank", str(tmp_path / "a.npy"))["notes"][0]
    np.save(tmp_path / "b.npy", np.array([[2, 1], [1, 2]]))
    assert answer(capsys, "cprank", str(tmp_path / "b.npy"))["upper"] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"A": [[1, 2], [3, 4]]}, "not symmetric"),
        ({"A": [[1, 2, 3], [2, 4, 5]]}, "square"),
        ({"A": [[1, 2], [2]]}, "square"),
        ({"A": [[-1, 0], [0, 1]]}, "diagonal entry 0 is negative"),
        ({"A": [[1, "x"], ["x", 1]]}, "A[0][1]: is 'x'"),
        ({"A": [["1/0"]]}, "A[0][0]"),
        ({"A": [[True]]}, "A[0][0]"),
        ('{"A": [[NaN]]}', "A[0][0]"),
        ({"A": []}, "rows"),
        ({"B": [[1]]}, "A: is missing"),
        ({"A": [[1]], "Source": 1}, "Source"),
        ("[", "is not JSON"),
    ],
)
def test_bad_matrices(capsys, tmp_path, content, message):
    assert message in refusal(capsys, "cprank", write(tmp_path / "bad.json", content))


def test_other_bad_input(capsys, tmp_path):
    assert "cannot read" in refusal(capsys, "cprank", str(tmp_path / "nothing.json"))
    assert "give one of these" in refusal(capsys, "cprank", write(tmp_path / "a.doc", "1"))
    good = write(tmp_path / "a.json", {"A": [[1]]})
    assert "--time-limit" in refusal(capsys, "cprank", good, "--time-limit", "0")


def test_rank(capsys, tmp_path):
    B = [[2, 0, 1, 1], [0, 2, 1, 1], [1, 1, 2, 0], [1, 1, 0, 2]]
    path = write(tmp_path / "pair.json", {"K": B, "K_sigma": B, "beta": 0})
    written = answer(capsys, "rank", path, "--out", str(tmp_path))
    assert written["rank_sigma"] == {"lower": 4, "upper": 4} and written["lower_proof"]
    check_rank_claim(json.loads(Path(written["certificate"]).read_text()))
    absurd = write(tmp_path / "absurd.json", {"K": B, "K_sigma": [[2 * v for v in row] for row in B]})
    assert answer(capsys, "rank", absurd, code=1)["in_S"] is False
    assert main(["rank", absurd]) == 1
    assert "no layer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"K": [[1]]}, "K_sigma: is missing"),
        ({"K": [[1]], "K_sigma": [[1, 0], [0, 1]]}, "same order"),
        ({"K": [[1]], "K_sigma": [[1]], "activation": "rely"}, "did you mean relu"),
        ({"K": [[1]], "K_sigma": [[1]], "activation": "leaky_relu"}, "slope"),
        ({"K": [[1]], "K_sigma": [[1]], "bet": 1}, "did you mean beta"),
        ({"K": [[1]], "K_sigma": [[1]], "beta": "b"}, "beta"),
        ([], "not an object"),
    ],
)
def test_bad_pairs(capsys, tmp_path, content, message):
    assert message in refusal(capsys, "rank", write(tmp_path / "bad.json", content))


def test_copositive(capsys, tmp_path):
    horn = [[1 if i == j or (i - j) % 5 in (2, 3) else -1 for j in range(5)] for i in range(5)]
    path = write(tmp_path / "horn.json", {"A": horn})
    written = answer(capsys, "copositive", path, "--out", str(tmp_path))
    assert (written["copositive"], written["strictly"], len(written["minimal_zeros"])) == (True, False, 5)
    assert main(["verify", written["certificate"]]) == 0
    assert "is copositive" in capsys.readouterr().out
    assert main(["copositive", path]) == 0
    assert "5 minimal zeros (index: entry):\n  0: 1, 1: 1\n" in capsys.readouterr().out
    # A negative diagonal is none of a Gram matrix, and fine here.
    written = answer(
        capsys, "copositive", write(tmp_path / "no.json", {"A": [[1, 0], [0, -1]]}), "--out", str(tmp_path), code=1
    )
    assert written["copositive"] is False and written["witness"] == [0, 1]
    assert main(["verify", written["certificate"]]) == 0
    assert "is not copositive" in capsys.readouterr().out
    ones = write(tmp_path / "ones.json", {"A": [[1, "1/2"], ["1/2", 1.5]]})
    assert answer(capsys, "copositive", ones)["strictly"] is True
    assert "symmetric" in refusal(capsys, "copositive", write(tmp_path / "bad.json", {"A": [[1, 2], [3, 1]]}))


def test_copositive_matrices_of_larger_order():
    """Blocks, sums and semidefinite ones; a point where the form is negative; and what is open is said to be open."""
    rng = np.random.default_rng(0)
    P, N = rng.integers(-3, 4, (20, 20)), np.triu(rng.integers(0, 40, (20, 20)), 1)
    for A, copositively, strictly in (
        (P @ P.T + N + N.T, True, True),
        (P @ P.T, True, True),
        (P[:, :19] @ P[:, :19].T, True, None),
        (P[:, :5] @ P[:, :5].T - np.eye(20, dtype=int), False, False),
        (
            np.eye(20, dtype=int) - np.diag(np.ones(19, dtype=int), 1) - np.diag(np.ones(19, dtype=int), -1),
            False,
            False,
        ),
    ):
        bounds = copositive(A)
        assert (bounds.copositive, bounds.strictly) == (copositively, strictly)
        check_rank_claim(bounds.claim())
