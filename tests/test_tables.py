"""Tables: whatever way a table was written, its numbers are read as they are or it is refused in one sentence."""

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
import random
import re
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cpcert import InputError, load_instance, solve
from cpcert.cli import main
from cpcert.instance import parse_instance
from cpcert.numbers import parse_float, parse_integer, parse_rational
from cpcert.training.held_out import held_out

NAMES = ["größe", "b; c", "d, e", "price"]


def read(path, targets=("price",), loss="mse", **data):
    """X, Y and the columns of a table."""
    source = {"source": "file", "path": path.name, "targets": list(targets), **data}
    instance = parse_instance({"name": "case", "loss": loss, "lambda": 1.0, "data": source})
    return instance.data.read(path.parent, loss)


def table(path, text, **keys):
    path.write_bytes(text.encode())
    return read(path, **keys)


# -- every way of writing one table ----------------------------------------------------------------------------------

WAYS = {
    "encoding": ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"],
    "marks": [",.", ";.", ";,", "\t.", "\t,", "|.", ",,"],
    "quoting": [csv.QUOTE_MINIMAL, csv.QUOTE_ALL],
    "line": ["\n", "\r\n", "\r"],
    "suffix": ["", ".gz", ".bz2", ".xz"],
    "index": [None, "", "Unnamed: 0"],
    "above": ["", "# from a file; of, mine\n\n"],
}
COMPRESS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
ALL_WAYS = [dict(zip(WAYS, way, strict=True)) for way in itertools.product(*WAYS.values())]


def written(A, way):
    separator, mark = way["marks"]
    # Without a byte order mark only ASCII shows that every other byte is 0.
    names = ["gross", *NAMES[1:]] if way["encoding"] == "utf-16-le" else NAMES
    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=separator, quoting=way["quoting"], lineterminator=way["line"])
    extra = [] if way["index"] is None else [way["index"]]
    writer.writerow([*extra, *names])
    for i, row in enumerate(A.tolist()):
        writer.writerow([*([i] if extra else []), *(repr(value).replace(".", mark) for value in row)])
    text = way["above"].replace("\n", way["line"]) + lines.getvalue()
    return COMPRESS[way["suffix"]](text.encode(way["encoding"]))


def check_ways(folder, ways):
    rng = np.random.default_rng(3)
    for way in ways:
        A = rng.standard_normal((6, 4)) * 10.0 ** rng.integers(-9, 9, (6, 4))
        path = folder / f"d.csv{way['suffix']}"
        path.write_bytes(written(A, way))
        X, Y, columns = read(path)
        assert np.array_equal(np.hstack([X, Y]), A), way
        assert columns.features in (tuple(NAMES[:3]), ("gross", *NAMES[1:3])), way


def test_a_table_is_read_as_it_was_written(tmp_path):
    check_ways(tmp_path, random.Random(0).sample(ALL_WAYS, 150))


@pytest.mark.campaign
def test_a_table_is_read_in_every_way_of_writing_it(tmp_path):
    check_ways(tmp_path, ALL_WAYS)


def literal(text, separator, mark):
    """What the text says to someone who knows its separator and its decimal mark; None if that is no table of numbers."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return None
    header, *rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)] or [[]]
    if "y" not in header or len(set(header)) < len(header):
        return None
    order = [j for j, name in enumerate(header) if name != "y"] + [header.index("y")]
    cells = [[row[j] if j < len(row) else "" for j in order] for row in rows if len(row) == len(header)]
    if mark == ",":
        cells = [[cell.replace(".", "?").replace(",", ".") for cell in row] for row in cells]
    number = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
    if len(cells) < len(rows) or not cells or not all(number.fullmatch(cell) for row in cells for cell in row):
        return None
    return np.array([[float(cell) for cell in row] for row in cells])


def check_damage(folder, seeds):
    """One to three characters of a table changed: the numbers that it then shows, or an error."""
    accepted = 0
    for seed in seeds:
        rng = random.Random(seed)
        separator, mark = rng.choice(WAYS["marks"])
        digits = rng.choice([0, 2, 3, 4])
        rows = [[repr(round(rng.gauss(0, 30), digits)).replace(".", mark) for _ in range(3)] for _ in range(6)]
        lines = io.StringIO()
        quoting = csv.QUOTE_ALL if rng.random() < 0.5 else csv.QUOTE_MINIMAL
        csv.writer(lines, delimiter=separator, quoting=quoting).writerows([["a", "b", "y"], *rows])
        text = lines.getvalue()
        for _ in range(rng.choice([1, 1, 2, 3])):
            i, new = rng.randrange(len(text)), rng.choice("0123456789.,;\t|-+eE\"'# _\n\r\\x\u00a0\u2212")
            text = text[:i] + rng.choice(["", new, new + text[i]]) + text[i + 1 :]
        try:
            X, Y, _ = table(folder / "d.csv", text, targets=["y"])
        except InputError:
            continue
        accepted += 1
        truth = literal(text, separator, mark)
        assert truth is not None and np.array_equal(np.hstack([X, Y]), truth), (seed, text)
    return accepted


def test_a_damaged_table_is_read_as_it_stands_or_refused(tmp_path):
    assert check_damage(tmp_path, range(300)) > 50


@pytest.mark.campaign
def test_many_damaged_tables_are_read_as_they_stand_or_refused(tmp_path):
    assert check_damage(tmp_path, range(300, 20_000)) > 3000


# -- what is refused, and how ----------------------------------------------------------------------------------------

GOOD = "a,b,price\n1,2.5,3\n-4,.5,6e-1\n"


@pytest.mark.parametrize("text", ["2020_01", "0x1F", "1d3", "1 000", "1'000", "5%", "١", "−5", "1.2.3", "1e", "1e999"])
def test_what_only_resembles_a_number_is_text(tmp_path, text):
    with pytest.raises(InputError, match=rf"column 'b' of data row 1 \(line 3\) of .*d\.csv holds {text!r}; give a"):
        table(tmp_path / "d.csv", GOOD.replace(".5,6e-1", f"{text},6e-1"))


@pytest.mark.parametrize("text", ["", "NA", "nan", "NaN", " ", "null", "?", "N/A"])
def test_a_missing_value_is_named(tmp_path, text):
    for cell, name in ((",.5,", "b"), (",6e-1", "price")):
        changed = GOOD.replace(cell, f",{text},") if name == "b" else GOOD.replace("6e-1", text)
        with pytest.raises(InputError, match=rf"column '{name}' of data row 1 \(line 3\) of .* is missing"):
            table(tmp_path / "d.csv", changed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b price\n1 2 3\n", "is no table: its header line 'a b price' has one column; separate the columns by"),
        ("a;b;price\n1;2;3\n4;5\n", "separated by semicolon: line 3 has 2 cells, the header 3"),
        ("a,b,price\n1,2,3\n0,5,1,2\n", "separated by comma: line 3 has 4 cells, the header 3"),
        ("a,b,price\n1,2,3,\n", "line 2 has 4 cells"),
        ('a,b,price\n1,"2,3\n', "line 2 cannot be read"),
        ("a,b,price\n1,2,3\n#4,5,6\n", "line 3 starts with #"),
        ("# a,b,price\n1,2,3\n4,5,6\n", r"no column 'price'; its columns are .*lines that start with # above"),
        ("0.5,1,price\n0.5,1,price\n0.7,2,other\n", "header line of .* holds numbers"),
        ("a;b;price\n0,5;1.5;2\n", "some numbers of .* have a comma .'0,5'. and some a point .'1.5'."),
        ("a;b;price\n1.234,5;1;2\n", "some a point"),
        (
            "a;b;price\n1,234;1;2\n2,500;3;4\n",
            "data.decimal: is missing: '1,234' in .* decimal mark or one for thousan",
        ),
        ("a\tb\tprice\n1.234\t1\t2\n", "data.decimal: is missing: '1.234'"),
        ('a,b,price\n"1,234",1,2\n', "data.decimal: is missing"),
        ('a,b,price\n"1,234.5",1,2\n', "some numbers of"),
        (",a,price\n0,1,2\n0,3,4\n", r"column 0 has no name in .*; if it is an index, delete it .*index=False"),
        (",a,price\n17,1,2\n5,3,4\n", "column 0 has no name in"),
        ("a,,price\n1,0,2\n3,1,4\n", "column 1 has no name in"),
        ("id,a,price\n1,5,2\n2,3,4\n", "column 'id' of .* only numbers the rows; list the columns to use"),
        ("a,b,price\nTrue,1,2\n", r"holds 'True'; give a number there \(1 and 0\)"),
        ("", "has no data"),
        ("# only\n", "has no data"),
        ("PK\x03\x04", "is an archive or a workbook of Excel; save the table as .csv"),
        ("a,b\0,price\n1,2,3\n", "holds zero bytes"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        table(tmp_path / "d.csv", text)


def test_the_instance_decides_what_the_table_does_not(tmp_path):
    path = tmp_path / "d.csv"
    text = "a;b;price\n1,234;1;2\n2,500;3;4\n"
    np.testing.assert_array_equal(table(path, text, decimal="comma")[0], [[1.234, 1], [2.5, 3]])
    with pytest.raises(InputError, match="holds '1,234'"):
        table(path, text, decimal="point")
    text = "a;b;price\n1.234;1;2\n2.500;3;4\n"
    np.testing.assert_array_equal(table(path, text, decimal="point")[0], [[1.234, 1], [2.5, 3]])
    with pytest.raises(InputError, match=r"holds '1\.234'"):
        table(path, text, decimal="comma")
    X, _, columns = table(path, "id,a,price\n1,5,2\n2,3,4\n", features=["id", "a"])
    assert columns.features == ("id", "a") and X[0, 0] == 1.0


@pytest.mark.parametrize("first", ["0,1,2", "1,2,3", "2,0,1", "anna,bert,carl", "2020-01-01,2020-01-02,2020-01-03"])
@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_the_index_of_pandas_is_no_feature(tmp_path, first, name):
    rows = [f"{cell},{i}.5,x,{i}" for i, cell in enumerate(first.split(","))]
    text = "\n".join([f"{name},a,b,price", *rows]).replace("x", "7")
    X, Y, columns = table(tmp_path / "d.csv", text)
    np.testing.assert_array_equal(X, [[0.5, 7], [1.5, 7], [2.5, 7]])
    np.testing.assert_array_equal(Y, [[0], [1], [2]])
    assert columns.features == ("a", "b") and "an index, not a feature, left out" in columns.notes[0]


def test_columns_that_only_separators_made_are_left_out(tmp_path):
    X, _, columns = table(tmp_path / "d.csv", "sep=;\na;b;price;\n1;2;3;\n;;;\n4;5;6;\n")
    np.testing.assert_array_equal(X, [[1, 2], [4, 5]])
    assert len(columns.notes) == 2


def test_a_feature_that_counts_is_kept_and_said(tmp_path):
    X, _, columns = table(tmp_path / "d.csv", "time,a,price\n0,5,2\n1,3,4\n2,9,1\n")
    assert X.shape == (3, 2) and columns.notes[0].startswith("the feature 'time' only numbers the rows")
    assert table(tmp_path / "e.csv", "time,price\n0,5\n1,3\n")[2].notes == ()


# -- labels ----------------------------------------------------------------------------------------------------------

POINTS = [0.5, -1.0, 2.0, 0.25]


def labels(path, cells, loss, **keys):
    lines = [f"{x};{cell}" for x, cell in zip(POINTS, cells, strict=True)]
    return table(path, "\n".join(["x;kind", *lines]), targets=["kind"], loss=loss, **keys)


@pytest.mark.parametrize(
    ("cells", "signs", "classes"),
    [
        (["low", "high", "high", " low "], [1, -1, -1, 1], ("high", "low")),
        (["2", "10", "10", "2"], [-1, 1, 1, -1], ("2", "10")),
        (["0", "1", "1", "0"], [-1, 1, 1, -1], ("0", "1")),
        (["1.0", "-1.0", "1.0", "1"], [1, -1, 1, 1], ("-1", "1")),
        (["True", "False", "True", "True"], [1, -1, 1, 1], ("False", "True")),
    ],
)
def test_two_labels_become_signs(tmp_path, cells, signs, classes):
    _, Y, columns = labels(tmp_path / "d.csv", cells, "logistic")
    np.testing.assert_array_equal(Y[:, 0], signs)
    assert columns.classes == classes
    assert columns.notes[-1] == f"kind is -1 for {classes[0]} and +1 for {classes[1]}"
    _, Y, columns = labels(tmp_path / "d.csv", cells, "cross_entropy")
    np.testing.assert_array_equal(Y, [[s < 0, s > 0] for s in signs])
    assert columns.classes == classes


def test_class_numbers_become_one_column_per_class_in_their_order(tmp_path):
    _, Y, columns = labels(tmp_path / "d.csv", ["10", "2", "-1", "2"], "cross_entropy")
    np.testing.assert_array_equal(Y, [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]])
    assert columns.classes == ("-1", "2", "10")
    # With the loss mse they are numbers.
    np.testing.assert_array_equal(labels(tmp_path / "d.csv", ["10", "2", "-1", "2"], "mse")[1][:, 0], [10, 2, -1, 2])


@pytest.mark.parametrize(
    ("cells", "loss", "message"),
    [
        (
            ["a", "b", "b", "a"],
            "mse",
            "data.targets: column 'kind' of data row 0 .* labels need the loss cross_entropy",
        ),
        (["a", "b", "c", "a"], "logistic", r"has 3 classes \(a, b, c\), and logistic takes two; use the loss cross_en"),
        (["a", "a", "a", "a"], "cross_entropy", r"has one class \(a\); give two or more"),
        (["a", "NA", "b", "a"], "cross_entropy", r"data row 1 \(line 3\) .* is missing \('NA'\)"),
        (["1", "−1", "1", "−1"], "logistic", "mixes text .'−1'. and numbers .1.; give one kind"),
        (["Yes", "yes", "no", "no"], "cross_entropy", "differ in case only"),
        (["0.2", "0.8", "0.2", "0.8"], "logistic", "class numbers are integers"),
        (["9007199254740993", "9007199254740992", "1", "1"], "cross_entropy", "class numbers are integers"),
    ],
)
def test_labels_that_are_refused(tmp_path, cells, loss, message):
    with pytest.raises(InputError, match=message):
        labels(tmp_path / "d.csv", cells, loss)
    with pytest.raises(InputError, match=r"data\.standardize_targets: is true, and the targets are classes"):
        labels(tmp_path / "d.csv", ["a", "b", "b", "a"], "logistic", standardize_targets=True)
    with pytest.raises(InputError, match="give labels in one column"):
        table(tmp_path / "d.csv", "x,y,z\n1,a,b\n", targets=["y", "z"], loss="cross_entropy")


def test_probabilities_in_several_columns_stay_what_they_are(tmp_path):
    _, Y, columns = table(tmp_path / "d.csv", "x,y,z\n1,0.25,0.75\n2,1,0\n", targets=["y", "z"], loss="cross_entropy")
    np.testing.assert_array_equal(Y, [[0.25, 0.75], [1, 0]])
    assert columns.classes is None


def test_held_out_points_have_the_classes_of_the_whole_table(tmp_path):
    labels(tmp_path / "d.csv", ["red", "blue", "green", "blue"], "cross_entropy")
    (tmp_path / "i.yaml").write_text(
        "data: {source: file, path: d.csv, targets: [kind], points: 2}\nloss: cross_entropy\nlambda: 1\n"
    )
    instance = load_instance(tmp_path / "i.yaml")
    assert instance.problem().columns.classes == ("blue", "green", "red")
    assert [A.shape for A in held_out(instance)] == [(2, 1), (2, 3)]


# -- Parquet and arrays ----------------------------------------------------------------------------------------------


def parquet(path, metadata=None, **columns):
    stored = pa.table(columns)
    if metadata:
        stored = stored.replace_schema_metadata({"pandas": json.dumps(metadata)})
    pq.write_table(stored, path)
    return path


def test_parquet(tmp_path):
    path = parquet(
        tmp_path / "d.parquet",
        {"index_columns": ["key"], "columns": []},
        a=pa.array([0.1, 0.2], pa.float32()),
        key=[7, 5],
        b=[True, False],
        c=pa.array(["1.5", "2.5"]).dictionary_encode(),
        price=[3, 4],
    )
    X, Y, columns = read(path)
    np.testing.assert_array_equal(X, np.c_[np.float32([0.1, 0.2]), [1, 0], [1.5, 2.5]])
    np.testing.assert_array_equal(Y, [[3], [4]])
    assert columns.features == ("a", "b", "c") and "'key', is the index of the table" in columns.notes[0]
    assert read(path, features=["key"])[2].features == ("key",)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1.0, None]), r"column 'a' of data row 1 of .* is missing \(None\)"),
        (pa.array([1.0, float("nan")]), r"is missing \(nan\)"),
        (pa.array([1.0, float("inf")]), "holds inf"),
        (pa.array(["1", "2_0"]), "holds '2_0'"),
        (pa.array([0, 86400], pa.timestamp("s")), "column 'a' of data row 0 .* holds datetime"),
    ],
)
def test_parquet_that_is_refused(tmp_path, column, message):
    with pytest.raises(InputError, match=message):
        read(parquet(tmp_path / "d.pq", a=column, price=[1, 2]))


def test_parquet_without_pyarrow_or_without_parquet(tmp_path, monkeypatch):
    path = parquet(tmp_path / "d.parquet", a=[1, 2], price=[1, 2])
    (tmp_path / "e.parquet").write_bytes(b"PAR1 and nothing else")
    (tmp_path / "f.parquet").write_text(GOOD)
    with pytest.raises(InputError, match="is not Parquet that pyarrow reads"):
        read(tmp_path / "e.parquet")
    with pytest.raises(InputError, match=r"is not Parquet; give a file that pandas\.DataFrame\.to_parquet wrote"):
        read(tmp_path / "f.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r"needs pyarrow; pip install 'cpcert\[parquet\]', or save it as \.csv"):
        read(path)


def test_a_single_array_says_how_to_save_two(tmp_path):
    np.save(tmp_path / "d.npy", np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"is a single array; save its columns as X and Y, such as np\.savez"):
        read(tmp_path / "d.npy")


# -- the command line and other places where text becomes a number ---------------------------------------------------


def test_the_columns_and_classes_are_said_and_stored(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labels(tmp_path / "d.csv", ["low", "high", "low", "low"], "logistic")
    (tmp_path / "i.yaml").write_text(
        "data: {source: file, path: d.csv, targets: [kind]}\nloss: logistic\nlambda: 0.01\nsolve: {gap: 0.1}\n"
    )
    assert main(["solve", "i.yaml", "--json", "--no-certificate"]) == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert (answer["features"], answer["targets"], answer["classes"]) == (["x"], ["kind"], ["high", "low"])
    assert printed.err.splitlines()[:2] == ["i: feature x; target kind", "i: kind is -1 for high and +1 for low"]
    problem = load_instance("i.yaml").problem()
    plain = parse_instance(
        {"name": "i", "loss": "logistic", "lambda": 0.01,
         "data": {"source": "inline", "X": [[x] for x in POINTS], "Y": [[1.0], [-1.0], [1.0], [1.0]]}}
    ).problem()  # fmt: skip
    assert problem.sha256 == plain.sha256
    assert solve(plain, gap=0.1).upper == answer["upper"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--gap", "1_0e-3"], "--gap: '1_0e-3' is not a decimal number"),
        (["--time-limit", "nan"], "--time-limit: 'nan' is not a decimal number"),
        (["--seed", "1_0"], "--seed: '1_0' is not an integer"),
        (["--seed", "2.7"], "--seed: '2.7' is not an integer"),
        (["--seed", "٣"], "--seed: '٣' is not an integer"),
    ],
)
def test_options_are_decimals_too(option, message, capsys):
    assert main(["solve", "no.yaml", *option]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["1_000", "!!float 1_000", "!!float infinity", "!!int 1_000", "!!int ٣", "!!float ٣"])
def test_instances_are_decimals_too(tmp_path, text):
    (tmp_path / "i.yaml").write_text(f"data: {{source: bipartite, N: 4}}\nlambda: {text}\n")
    with pytest.raises(InputError, match=r"lambda: is the text '1_000'|is not valid YAML"):
        load_instance(tmp_path / "i.yaml")


@pytest.mark.parametrize("section", ["weight_decay: 1e-4", "train: {weight_decay: 1e-4}", "solve: {alpha: 1}"])
def test_the_penalty_of_other_programs_is_explained(tmp_path, section):
    (tmp_path / "i.yaml").write_text(f"data: {{source: bipartite, N: 4}}\nlambda: 1\n{section}\n")
    with pytest.raises(InputError, match=r"is not a key.*; the penalty is lambda\. .*lambda = (m·)?(weight_dec|alpha)"):
        load_instance(tmp_path / "i.yaml")


@given(st.text(alphabet="0123456789+-.eE_n٣", max_size=8))
@example("1e400")
@example("")
def test_numbers_are_decimals(text):
    decimal = re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", text)
    try:
        value = parse_float(text)
    except ValueError:
        assert decimal is None or abs(Fraction(text)) >= Fraction(2) ** 1024
    else:
        assert decimal is not None and value == float(text)
    try:
        exact = parse_rational(text)
    except ValueError:
        assert not re.fullmatch(r"[-+]?[0-9]+", text)
    else:
        assert exact == Fraction(text)
    assert parse_rational("-6/4") == Fraction(-3, 2) and parse_integer("-12") == -12
    for wrong in ("1/0", "1/-2", "1e-999999999", "1_0/3"):
        with pytest.raises(ValueError):
            parse_rational(wrong)
