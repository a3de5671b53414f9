"""Readers of arrays: the data sets that come with cpcert, IDX (MNIST and its kin) and .npz. Tables are in tables.py.

All raise InputError naming the file and its fault.
"""

from __future__ import annotations

import gzip
import io
import math
import zipfile
import zlib
from pathlib import Path

import numpy as np

from cpcert.errors import InputError


def read_shipped(name: str) -> tuple[np.ndarray, np.ndarray]:
    """X (N, n0) and y (N,), as measured, of a data set that comes with cpcert: diabetes, digits or iris.

    The numbers are scikit-learn's, bit for bit; sources and license in cpcert/data/datasets/LICENSE. Class numbers are integers.
    """
    table = np.loadtxt(Path(__file__).parent / "datasets" / f"{name}.csv.gz", delimiter=",", skiprows=1)
    X, y = table[:, :-1], table[:, -1]
    return X, y if name == "diabetes" else y.astype(np.int64)


def read_idx_images(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Images (N, pixels) divided by 255 and labels (N,) of one split (prefix train or t10k), or None if not there.

    The files are <prefix>-images-idx3-ubyte and <prefix>-labels-idx1-ubyte, plain or with .gz.
    """
    images = _plain_or_gzipped(folder, f"{prefix}-images-idx3-ubyte")
    labels = _plain_or_gzipped(folder, f"{prefix}-labels-idx1-ubyte")
    if images is None or labels is None:
        return None
    pixels, classes = _read_idx(images, 3), _read_idx(labels, 1)
    if len(pixels) != len(classes):
        raise InputError(f"data.folder: {folder} has {len(pixels)} images but {len(classes)} labels; get both anew")
    return pixels.reshape(len(pixels), -1) / 255.0, classes.astype(np.int64)


def _plain_or_gzipped(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """An IDX file of unsigned bytes: 0, 0, 8 (the type), the number of dimensions; big-endian sizes; the bytes."""
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"data.folder: cannot read {path} ({error}); get the file anew") from None
    start = 4 + 4 * dimensions
    if raw[:4] != bytes([0, 0, 8, dimensions]) or len(raw) < start:
        raise InputError(f"data.folder: {path} is not an IDX file of bytes in {dimensions} dimensions; get it anew")
    shape = tuple(int(size) for size in np.frombuffer(raw, dtype=">u4", count=dimensions, offset=4))
    expected, found = math.prod(shape), len(raw) - start
    if found != expected:
        raise InputError(f"data.folder: {path} holds {found} bytes where its header promises {expected}; get it anew")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The arrays X (N, n0) and Y (N, m) of an .npz; Y may be stored as (N,). Nothing in it is unpickled."""
    right = "save it with np.savez(path, X=X, Y=Y)"
    try:
        # From memory: given a path, np.load leaves a damaged archive open.
        archive = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"data.path: {path} is a single array, not an .npz; {right}")
        with archive:
            missing = [name for name in ("X", "Y") if name not in archive]
            if missing:
                raise InputError(f"data.path: {path} has arrays {sorted(archive)} but no {missing[0]}; {right}")
            X, Y = archive["X"], archive["Y"]
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"data.path: cannot read {path} ({error.strerror or error}); give a readable file") from None
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError) as error:
        raise InputError(f"data.path: {path} is not an .npz of numbers ({error}); {right}") from None
    Y = Y[:, np.newaxis] if Y.ndim == 1 else Y
    for name, array in (("X", X), ("Y", Y)):
        if array.ndim != 2 or array.dtype.kind not in "biuf" or array.size == 0:
            form = f"shape {array.shape} and type {array.dtype}"
            raise InputError(f"data.path: {name} in {path} has {form}; give real numbers, one row per point")
    if len(X) != len(Y):
        raise InputError(f"data.path: {path} has {len(X)} rows in X and {len(Y)} in Y; give one of each per point")
    return X.astype(np.float64), Y.astype(np.float64)
