"""Matrices from files and from Python: the entries as they are written, or one sentence that says what is wrong."""

import io
import json
from fractions import Fraction

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import sympy

from cpcert.cli import main
from cpcert.errors import InputError
from cpcert.rank.answers import CpRankOutcome
from cpcert.rank.bounds import PRIME, CpRankBounds, cp_rank_bounds, refuted_within
from cpcert.rank.matrices import ExactMatrix, load_matrix, load_pair
from cpcert.rank.proofs import CopositiveCut, NegativeEntry, NotPsd, Principal, Rank, TriangleFreeForm

A = [[3, 1, Fraction(1, 2)], [1, 2, Fraction(1, 4)], [Fraction(1, 2), Fraction(1, 4), 1]]
F = np.array(A, dtype=float)


def saved(write, *arguments, **options):
    stream = io.BytesIO()
    write(stream, *arguments, **options)
    return stream.getvalue()


ROWS = "3.0,1.0,0.5\n1.0,2.0,0.25\n0.5,0.25,1.0\n"
FRAME = ",a,b,c\na,3.0,1.0,0.5\nb,1.0,2.0,0.25\nc,0.5,0.25,1.0\n"
GOOD = {
    "rows.csv": ROWS,
    "rows.CSV": ROWS,
    "crlf.csv": ROWS.replace("\n", "\r\n"),
    "bom.csv": "\ufeff" + ROWS,
    "utf16.csv": ROWS.encode("utf-16"),
    "trailing.csv": ROWS.replace("\n", ",\n"),
    "quoted.csv": '"3","1","1/2"\n"1","2","1/4"\n"1/2","1/4","1"\n',
    "tab.tsv": ROWS.replace(",", "\t"),
    "blanks.txt": "# comment\n" + ROWS.replace(",", "  "),
    "semicolon.csv": ROWS.replace(",", ";"),
    "decimal_comma.csv": ROWS.replace(",", ";").replace(".", ","),
    "decimal_comma.txt": ROWS.replace(",", " ").replace(".", ","),
    "header.csv": "x,y,z\n" + ROWS,
    "counted.csv": "0,1,2\n" + ROWS,
    "frame.csv": FRAME,
    "frame.tsv": FRAME.replace(",", "\t"),
    "counted_frame.csv": ",0,1,2\n0,3,1,.5\n1,1,2,.25\n2,.5,.25,1\n",
    "r.txt": "a b c\na 3 1 .5\nb 1 2 .25\nc .5 .25 1\n",
    "beside.csv": "0,3,1,.5\n1,1,2,.25\n2,.5,.25,1\n",
    "savetxt.txt": saved(np.savetxt, F, header="a b c"),
    "coordinates.mtx": saved(scipy.io.mmwrite, scipy.sparse.coo_array(F)),
    "dense.mtx": saved(scipy.io.mmwrite, F),
    "array.npy": saved(np.save, F),
    "half.npy": saved(np.save, F.astype(np.float16)),
    "one.npz": saved(np.savez, F),
    "named.npz": saved(np.savez, A=F, other=F),
    "bom.json": "\ufeff" + json.dumps({"A": F.tolist()}),
}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize("name", GOOD)
def test_files(tmp_path, name):
    loaded = load_matrix(write(tmp_path / name, GOOD[name]))
    assert loaded.rows == A
    assert bool(loaded.notes) == name.startswith(("header", "counted", "frame", "r.", "beside", "decimal"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "2020_01,1\n1,2\n", r"A\[0\]\[0\]: is '2020_01'"),
        ("a.csv", "٣,1\n1,2\n", "is '٣'"),
        ("a.csv", "1+0j,0\n0,1\n", "is '1.0j'"),
        ("a.csv", "nan,1\n1,2\n", "is 'nan'"),
        ("a.csv", "2,1\n1,1e999\n", "is '1e999'"),
        ("a.csv", "50%,1\n1,2\n", "is '50%'"),
        ("a.csv", "1,234;2\n2;5\n", "square matrix of numbers"),
        ("a.csv", "1.5;0,5\n0,5;2\n", "square matrix of numbers"),
        ("a.csv", "1,5\n", "1 rows of 2"),
        ("a.csv", "2,1\n1\n", "square"),
        ("a.csv", "", "is empty"),
        ("a.csv", b"\xff\xff1", "not what its name says"),
        ("a.csv", "1" + "0" * 200, "between 1e-150 and 1e150"),
        ("a.txt", "[[2, 1], [1, 2]]\n", r"is '\[\[2'"),
        ("a.mtx", "2 1\n1 2\n", "not a Matrix Market file"),
        ("a.mtx", "%%MatrixMarket matrix coordinate real symmetric\n3 3 2\n1 1 1\n", "not a Matrix Market file"),
        ("a.mtx", "%%MatrixMarket matrix coordinate real general\n99999999 99999999 1\n1 1 1\n", "order"),
        ("a.mtx", saved(scipy.io.mmwrite, F + 0j), "complex is not read"),
        ("a.npy", saved(np.save, F.astype(np.longdouble)), "integers or float64"),
        ("a.npy", saved(np.save, F > 0), "bool"),
        ("a.npy", b"\x93NUMPY", "not what its name says"),
        ("a.npz", saved(np.savez, x=F, y=F), "arrays x, y"),
        ("a.json", '{"A": [[1]], "A": [[2]]}', "A: is there twice"),
        ("a.json", '{"A": [["1_0"]]}', "is '1_0'"),
        ("a.doc", "1", "give one of these"),
    ],
)
def test_refusals(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        load_matrix(write(tmp_path / name, content))


def test_symmetrise(capsys, tmp_path):
    """Rounding is not guessed away: the symmetric part is taken when asked for, and the answer says so."""
    path = write(tmp_path / "a.csv", "2,1.0000000000000002\n1,2\n")
    assert main(["cprank", path]) == 2
    assert "--symmetrise takes (A + A')/2" in capsys.readouterr().err
    assert main(["cprank", path, "--symmetrise", "--json"]) == 0
    assert "moved by at most 1.2e-16" in json.loads(capsys.readouterr().out)["notes"][0]
    assert load_matrix(path, symmetrise=True).rows[0][1] == 1 + Fraction(1, 2**53)
    with pytest.raises(InputError, match="more than rounding"):
        load_matrix(write(tmp_path / "b.csv", "2,1.1\n1,2\n"), symmetrise=True)
    pair = write(
        tmp_path / "p.json", json.dumps({"K": [[2, 1.0], [1.0000000000000002, 2]], "K_sigma": [[2, 1], [1, 2]]})
    )
    with pytest.raises(InputError, match=r"K: .*--symmetrise"):
        load_pair(pair)
    assert len(load_pair(pair, symmetrise=True).notes) == 1


def test_a_refutation_within_rounding_says_so(capsys, tmp_path):
    B = np.random.default_rng(0).random((5, 2))
    for shift, near in ((2e-13, True), (1e-3, False)):
        np.save(tmp_path / "gram.npy", (B @ B.T + (B @ B.T).T) / 2 - shift * np.eye(5))
        assert main(["cprank", str(tmp_path / "gram.npy"), "--json"]) == 1
        answer = json.loads(capsys.readouterr().out)
        assert answer["completely_positive"] is False and answer["within_rounding"] is near
        assert any("rounded" in note for note in answer["notes"]) is near
    # The last place that was written counts for text; exact entries have no rounding.
    for text, near in (("1,1.0001\n1.0001,1\n", True), ("1,1.01\n1.01,1.0000\n", False)):
        assert main(["cprank", write(tmp_path / "a.csv", text), "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["within_rounding"] is near
    assert main(["cprank", write(tmp_path / "a.csv", "1,10001/10000\n10001/10000,1\n"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["within_rounding"] is False
    pair = {"K": [[1, 0], [0, 1]], "K_sigma": [[1.0, 1 + 5e-13], [1 + 5e-13, 1.0]]}
    assert main(["rank", write(tmp_path / "p.json", json.dumps(pair)), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["within_rounding"] is True


def test_how_far_a_refutation_reaches():
    """⟨S, A⟩ + rounding Σ|S_ij| = 0 is where it ends."""
    tenth = Fraction(1, 10)
    cases = [
        ([[1, -tenth], [-tenth, 1]], NegativeEntry(0, 1), tenth),
        ([[1, 1 + tenth], [1 + tenth, 1]], NotPsd((1, -1)), tenth / 2),
        ([[1, 1, 0], [1, 2 - tenth, 1], [0, 1, 1]], TriangleFreeForm((1, 1, 1)), tenth / 7),
        ([[1, -tenth], [-tenth, 1]], CopositiveCut(((0, 1), (1, 0))), tenth),
        ([[5, 0, 0], [0, 1, -tenth], [0, -tenth, 1]], Principal((1, 2), NegativeEntry(0, 1)), tenth),
    ]
    for matrix, proof, reach in cases:
        assert refuted_within(matrix, proof, reach) and not refuted_within(matrix, proof, reach * Fraction(999, 1000))


def test_the_rank_of_a_rounded_gram_matrix(tmp_path):
    """Rounding gives it full rank: true of the matrix as given, and not what its owner wants to know."""
    B = np.array([[1.0, 0.3], [0.7, 0.2], [0.1, 0.9]])
    np.save(tmp_path / "gram.npy", (B @ B.T + (B @ B.T).T) / 2)
    loaded = load_matrix(str(tmp_path / "gram.npy"))
    outcome = CpRankOutcome(loaded, CpRankBounds(loaded.rows, None, 3, Rank(PRIME), None, None), 0.0)
    assert any("1 of 3 eigenvalues are within rounding of 0" in note for note in outcome.notes)
    exact = ExactMatrix("exact", loaded.rows, floats=False)
    assert CpRankOutcome(exact, CpRankBounds(loaded.rows, None, 3, Rank(PRIME), None, None), 0.0).notes == []


def test_matrices_from_python():
    for good in (
        np.array([[2, 1], [1, 2]]),
        np.array([[2.0, 1.0], [1.0, 2.0]]),
        ((2, 1), (1, 2)),
        [["2", "1"], [1, 2.0]],
        np.array([[2, Fraction(1)], [1, "2"]], dtype=object),
        sympy.Matrix([[2, 1], [1, sympy.Rational(4, 2)]]),
    ):
        bounds = cp_rank_bounds(good)
        assert bounds.lower == bounds.upper == 2 and bounds.A == [[2, 1], [1, 2]]
    for bad in (
        np.array([[2, 1], [0, 2]]),
        [[2, 1], [0, 2]],
        np.array([2, 1]),
        [[2, 1]],
        [],
        "A",
        None,
        [[np.nan]],
        [[True]],
    ):
        with pytest.raises(InputError, match="A"):
            cp_rank_bounds(bad)
    for hidden, message in (
        (scipy.sparse.csr_array([[2, 1], [1, 2]]), "sparse"),
        (np.ma.masked_equal([[2, 1], [1, 2]], 1), "masked"),
        (np.array([[2, 1], [1, None]], dtype=object), "None"),
        (np.array([[2, 1], [1, 2]], dtype=bool), "bool"),
        (np.array([[2, 1], [1, 2]], dtype=complex), "complex"),
    ):
        with pytest.raises(InputError, match=message):
            cp_rank_bounds(hidden)
