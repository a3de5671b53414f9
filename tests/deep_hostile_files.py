"""Certificates for depth 3 and more that nobody wrote in good faith, as hostile_files.py has them for depth 2.

    python -I deep_hostile_files.py FOLDER WORK [FIRST COUNT MOST]

checks one file for each step that may cost much, or the random files FIRST … with arrays of up to 10^MOST numbers, with the
deep_check.py in FOLDER; WORK is what a file may cost whatever its size, 0 the limits of DEEP.md. Each file has a process of
its own, and a line of JSON.
"""

from __future__ import annotations

import json
import random
import sys
import traceback
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from hostile_files import FLOATS, LARGE, ordeal, problem_of, written

MAGIC = b"cpdeep\x00\x01"
# Floats of all sizes: as integers over one power of two they have two thousand bits.
WIDE = array("d", [1e308, 5e-324])


def floats(count: int, values: array[float] | tuple[float, ...] = (0.0,)) -> array[float]:
    """These values again and again, or, of two, the first again and again and the second at the end."""
    if len(values) == 2:
        return array("d", values[:1]) * (count - 1) + array("d", values[1:]) if count else array("d")
    return (array("d", values) * (count // len(values) + 1))[:count]


def integers(*values: int) -> array[int]:
    return array("q", values)


class File:
    """A file to be: a problem whose targets are 0 (or labels), and a claim of what is asked for."""

    def __init__(self, shape: tuple[int, int, int] = (1, 1, 1), depth: int = 3, loss: str = "mse", **more: Any) -> None:
        N, n0, m = shape
        self.shape, self.beta, self.slopes = shape, more.get("beta", 0.0), more.get("slopes", (1.0, 0.0))
        X = more.get("X", floats(N * n0, (1.0,)))
        Y = more.get("Y", floats(N * m, (1.0 if loss == "logistic" else 0.0,)))
        problem = problem_of(loss, self.slopes, self.beta, shape, X, Y, depth)
        self.header: dict[str, Any] = {"claim": "deep_minimum", "created_by": "", "problem": problem}
        self.header |= {"upper": None, "lower": None}
        self.arrays: dict[str, Any] = {"X": X, "Y": Y}
        self.bias = int(self.beta != 0)

    def network(self, widths: list[int], values: Any = (1.0,)) -> File:
        self.header["upper"] = {"value": 1e308, "widths": widths}
        sizes = [self.shape[1], *widths, self.shape[2]]
        for layer in range(1, len(sizes)):
            self.arrays[f"W{layer}"] = floats(sizes[layer] * (sizes[layer - 1] + self.bias), values)
        return self

    def bound(self, items: list[str], classes: int = 1, value: float = 1.0, G: Any = (0.0,)) -> File:
        N, _, m = self.shape
        lower = {"value": value, "coordinates": False, "classes": classes, "items": items}
        self.header["lower"] = lower
        self.arrays["G"] = floats(len(items) * N * m, G)
        return self.ladder(integers(0, 0))

    def ladder(self, cells: array[int], scales: Any = (), splits: Any = ()) -> File:
        self.arrays |= {"cells": cells, "scales": array("d", scales), "splits": array("d", splits)}
        return self

    def boxes(self, steps: array[int], scales: Any = (), splits: Any = (), masses: Any = ()) -> File:
        self.arrays.pop("cells", None)
        self.arrays |= {"boxes": steps, "scales": array("d", scales), "splits": array("d", splits)}
        self.arrays["masses"] = array("d", masses)
        return self

    def directions(self, cover: array[int], trees: array[int], r: int | None = None) -> File:
        r = r or self.shape[1] + self.bias
        self.arrays |= {"cover": cover, "trees": trees, "classes": integers(0) * (2**r + cover[0])}
        return self

    def norms(self, factor: array[int], values: Any = (0.0,)) -> File:
        self.arrays |= {"norms": array("d", values), "factors": factor}
        return self

    def content(self) -> bytes:
        return written(self.header, self.arrays, MAGIC)


def bisections(count: int, *step: int) -> array[int]:
    return integers(count) + integers(*step) * count


def long_layers() -> File:
    return File((2000, 1, 1)).network([1000, 1000], (0.0,))


def long_weights() -> File:
    """Each layer makes the integers four thousand bits longer."""
    return File((3, 1, 1), 64, X=floats(3, WIDE), slopes=(1e308, 5e-324)).network([60] * 63, WIDE)


def loss_of_many_points() -> File:
    """Logarithms, of outputs with many bits."""
    return File((50_000, 1, 1), loss="logistic", X=floats(50_000, WIDE)).network([1, 1], (1.0,))


def loss_of_many_classes() -> File:
    return File((1, 1, 50_000), loss="cross_entropy", Y=floats(50_000, (1.0,))).network([1, 1], (1.0,))


def endless_cover() -> File:
    return File((1, 2, 1)).bound(["tree"]).directions(bisections(200_000, 0, 0, 1, 1, 1, 0), integers(0, 0))


def long_rays() -> File:
    """Rays with more and more bits: the two of a cone are cut in turn."""
    step = (0, 0, 1, (1 << 62) - 1, (1 << 62) - 57, 0, 0, 1, 0, (1 << 62) - 57, (1 << 62) - 1, 0)
    return File((1, 2, 1)).bound(["tree"]).directions(integers(60) + integers(*step) * 30, integers(0, 0))


def rays_of_one_hash() -> File:
    """Python's hash of an integer is its rest modulo P = 2^61 − 1: all these rays (1, 1 + kP) have one."""
    cover = integers(30_000, 0, 0, 1, 1, 1 << 61, 0) + integers(0, 0, 1, 1, (1 << 61) - 1, 0) * 29_999
    return File((1, 2, 1)).bound(["tree"]).directions(cover, integers(0, 0))


def crossings() -> File:
    """Every point changes its sign in every cone."""
    N = 10_000
    file = File((N, 2, 1), X=floats(2 * N, (1.0, -1.0, 1.0))).bound(["tree"] * 8)
    return file.directions(bisections(60, 0, 0, 1, 1, 1, 0), integers(0) * 16)


def faces() -> File:
    """Eight rays with long entries each, and their determinants."""
    cover = integers(60)
    for k in range(60):
        cover.extend([0, k % 8, (k + 1) % 8, (1 << 62) + 1, (1 << 62) - 1, 0])
    return File((1, 8, 1)).bound(["tree"]).directions(cover, integers(0, 0))


def deep_tree() -> File:
    """A path of 100 000 branches."""
    N = 100_000
    trees = integers()
    for i in range(N):
        trees.extend([1, i])
    return File((N, 1, 1)).bound(["tree"], G=(1.0,)).directions(integers(0), trees)


def leaves() -> File:
    """Leaves in which a thousand points are undecided."""
    one = 1 << 24
    trees = integers(*(v for i in range(900) for v in (1, i)), 0, *[one] * 900)
    for depth in range(900, 0, -1):
        trees.extend([0, *[one] * (depth - 1), 0])
    return File((2000, 1, 1)).bound(["tree"], G=(1.0,)).directions(integers(0), trees)


def full_tree() -> File:
    """Leaves without undecided points are compared with one another."""
    N, trees, rng = 14, integers(), random.Random(0)

    def below(*signs: int) -> None:
        if len(signs) == N:
            trees.extend([0, *((1 << 24) + rng.randrange(99) if s else -rng.randrange(99) for s in signs)])
            return
        trees.extend([1, len(signs)])
        below(*signs, 1)
        below(*signs, 0)

    below()
    trees.extend([0] * (N + 1))
    return File((N, 1, 1)).bound(["tree"], G=(1.0,)).directions(integers(0), trees)


def many_trees() -> File:
    return File((50, 2, 1)).bound(["tree"] * 4096).directions(bisections(100, 0, 0, 1, 1, 1, 0), integers(0) * 8192)


def coordinates() -> File:
    N, n, r = 200, 100, 8
    file = File((N, n, 1), X=floats(N * n, WIDE)).bound(["tree"])
    file.header["lower"]["coordinates"] = True
    file.arrays |= {"basis": floats(n * r, WIDE), "coordinates": floats(N * r, WIDE)}
    return file.directions(integers(0), integers(0, 0), r)


def endless_ladder() -> File:
    """The scale 0 needs no proof, and stays where it is."""
    return File((50, 1, 1)).bound(["norm"]).norms(integers(0) * 4, (8.0, 0.0)).ladder(
        integers(0, 10**6) + integers(0) * 10**6, floats(10**6)
    )  # fmt: skip


def ladder_of_logarithms() -> File:
    file = File((2000, 1, 1), loss="logistic", X=floats(2000)).bound(["norm"]).norms(integers(0) * 4, (0.0, 0.0))
    return file.ladder(integers(0, 10**4) + integers(0) * 10**4, floats(10**4))


def ladder_of_trees() -> File:
    """Steps of a scale so small that the bound holds and nothing is gained."""
    file = File((20, 2, 1)).bound(["tree"], G=(1e-300,)).directions(integers(0), integers(0, 0) + integers(0) * 20)
    return file.ladder(integers(0, 10**5) + integers(0) * 10**5, floats(10**5, (5e-324,)))


def deep_norms() -> File:
    """Powers of numbers of all sizes at depth 64."""
    file = File((1, 1, 1), 64, X=floats(1, (1e308,)), beta=1e-300, slopes=(1e200, 1e-200)).bound(["norm"], G=(1e-320,))
    file.norms(integers(0, 0, 0, 0), (1.1e308, 1e-300))
    return file.ladder(integers(0, 10**5) + integers(0) * 10**5, floats(10**5, (5e-324,)))


def endless_cells() -> File:
    """Cells with sixteen vertices, cut again and again."""
    count = 10**5
    cells = integers(*(v for k in range(count) for v in (1, k % 16, (k + 1) % 16)))
    file = File((1, 4, 1)).bound(["tree"], 16).directions(integers(0), integers(0, 0))
    return file.ladder(cells, (), floats(count, (0.3, 0.7, 0.1)))


def in_boxes(classes: int, shape: tuple[int, int, int] = (1, 1, 1), G: Any = (1e-300,), **more: Any) -> File:
    """Trees without branches."""
    leaves = integers(0, 0) + integers(0) * shape[0]
    return File(shape, **more).bound(["tree"], classes, more.get("value", 1.0), G).directions(integers(0), leaves)


def divisions(classes: int) -> array[int]:
    """A set for each class."""
    steps = integers()
    for k in range(1, classes):
        steps.extend([2, k - 1, 1 << (k - 1)])
    return steps


def endless_boxes() -> File:
    """The lower part is cut again and again; the other ones wait."""
    count = 10**6
    return in_boxes(1).boxes(integers(1, 0) * count, (), floats(count, (0.3, 0.2, 0.1)))


def boxes_of_many_sets() -> File:
    """Each box has 62 sets and as many sums."""
    count = 10**5
    steps = divisions(62) + integers(*(v for k in range(620) for v in (1, k % 62))) * (count // 620)
    return in_boxes(62).boxes(steps, (), floats(count, (0.3, 0.2, 0.1)))


def long_boxes() -> File:
    """Empty boxes, in which the ends of intervals become longer and longer."""
    count = 10**5
    steps = divisions(20) + integers(*(v for k in range(20) for v in (1, k))) * (count // 20)
    return in_boxes(20).boxes(steps, (), floats(count, (-1e308, 5e-324, 1e308)))


def waiting_boxes() -> File:
    """All boxes but one wait, each with a split of its own."""
    count = 10**5
    steps = divisions(62) + integers(1, 61) * count
    return in_boxes(62).boxes(steps, (), array("d", [1.0 - k / 2**30 for k in range(count)]))


def boxes_of_logarithms() -> File:
    """All masses are 0, where the scale 0 proves what is claimed."""
    count = 10**4
    file = in_boxes(1, (500, 1, 1), loss="logistic", X=floats(500), value=0.0)
    return file.boxes(integers(1, 0, 0, 0) * count, floats(count), floats(count), floats(count, (1.0,)))


def boxes_of_trees() -> File:
    """The same, and the sets differ from box to box."""
    count = 10**4
    file = in_boxes(62, (300, 2, 1), value=-1.0)
    steps = integers(1, 0, 2, 0, 5, 0, 0, 1, 0, 2, 0, 9, 0, 0) * count
    return file.boxes(steps, floats(2 * count, (5e-324,)), floats(2 * count), floats(4 * count, (1e300, 1.0)))


def in_patterns(items: int, classes: int, shape: tuple[int, int, int], pulls: Any = (1e-300,), **more: Any) -> File:
    """Boxes by patterns, each item with so many classes."""
    file = File(shape, **more).bound(["pattern"] * items, 1, -1.0, more.get("G", (1e-300,)))
    file.directions(more.get("cover", integers(0)), integers())
    del file.arrays["trees"]
    file.arrays |= {"counts": integers(classes) * items, "pulls": floats(items * classes * shape[0], pulls)}
    return file.boxes(more.get("boxes", integers(3)))


def halvings(classes: int) -> array[int]:
    """So many sets of patterns, by the signs of z_1, z_2, …"""
    steps = integers()
    for k in range(classes - 1):
        i = (k + 1).bit_length() - 1
        steps.extend([2, k + 1 - (1 << i), i])
    return steps


def many_pulls() -> File:
    """Short fractions, as many as the memory allows."""
    return in_patterns(1000, 62, (10, 1, 1), G=(1.0,), pulls=(0.3, 0.7, 0.1))


def long_pulls() -> File:
    return in_patterns(500, 62, (10, 1, 1), pulls=WIDE)


def boxes_of_patterns() -> File:
    """All masses are 0, as are the bounds, and each box has 62 classes."""
    count = 10**4
    steps = halvings(62) + integers(1, 0, 0, 0) * count
    file = in_patterns(1, 62, (10, 2, 1), boxes=steps)
    return file.boxes(steps, floats(count, (5e-324,)), floats(count), floats(62 * count, (1e300, 1.0)))


def excesses() -> File:
    """One class with long numbers."""
    count = 10**4
    file = in_patterns(1, 1, (10, 1, 1), pulls=WIDE)
    return file.boxes(integers(1, 0, 0, 0) * count, floats(count), floats(count), floats(count, (1.0,)))


def forms_on_cones() -> File:
    """Points that change their sign in every cone: a form has to be copositive on each of them."""
    count = 10**4
    file = in_patterns(1, 1, (10, 4, 1), X=floats(40, (1.0, -1.0, 1.0)), cover=bisections(60, 0, 0, 1, 1, 1, 0))
    return file.boxes(integers(1, 0, 0, 0) * count, floats(count, (1e-200,)), floats(count), floats(count, (1.0,)))


def in_tops(shape: tuple[int, int, int], trees: array[int], cover: array[int], G: Any = (1e-300,), **more: Any) -> File:
    return File(shape, **more).bound(["top"], 1, -1.0, G).directions(cover, trees)


def tops_on_cones() -> File:
    """Points that change their sign in every cone: the faces of each of them have to be looked at."""
    count = 10**4
    trees, cover = integers(0, 0) + integers(0) * 10, bisections(60, 0, 0, 1, 1, 1, 0)
    file = in_tops((10, 4, 1), trees, cover, X=floats(40, (1.0, -1.0, 1.0)))
    return file.boxes(integers(1, 0, 0, 0) * count, floats(count, (1e-200,)), floats(count), floats(count, (1.0,)))


def classes_of_tops() -> File:
    """All masses are 0, and each box has 512 classes."""
    steps, count = halvings(512), 2000
    file = in_tops((10, 2, 1), integers(0, 0) + integers(0) * 10, bisections(300, 0, 0, 1, 1, 1, 0))
    return file.boxes(
        steps + integers(1, 0, 0, 0) * count, floats(count, (5e-324,)), floats(count), floats(512 * count, (1e300, 1.0))
    )


def leaves_of_tops() -> File:
    """A leaf for each of many points, decided one after the other, and many rays."""
    N, most, trees = 1024, 200, integers()
    for k in range(most):
        trees.extend([1, k])
    trees.extend([0, *[1 << 24] * most])
    for k in range(most, 0, -1):
        trees.extend([0, *[1 << 24] * (k - 1), 0])
    trees += integers(0) * (N + 1)
    return in_tops((N, 2, 1), trees, bisections(200, 0, 0, 1, 1, 1, 0), G=(0.3, 0.7, 0.1)).boxes(integers(3))


def crossed_leaves_of_tops() -> File:
    """Points that change their sign in every cone of six dimensions, and a leaf for each choice of ten signs."""
    N, r, trees, rng = 60, 6, integers(), random.Random(0)

    def below(*signs: int) -> None:
        if len(signs) == 10:
            trees.extend([0, *(s << 24 for s in signs)])
            return
        trees.extend([1, len(signs)])
        below(*signs, 1)
        below(*signs, 0)

    below()
    trees.extend([0] * (N + 1))
    X = array("d", [rng.gauss(0.0, 1.0) for _ in range(N * r)])
    return in_tops((N, r, 1), trees, bisections(100, 0, 0, 1, 1, 1, 0), G=(0.3,), X=X).boxes(integers(3))


def long_factors() -> File:
    N = 700
    return File((N, 1, N)).bound(["norm"]).norms(integers(0, 0) + integers(0) * (N * N // 2 + N), (1e3, 0.0))


STEPS: dict[str, Callable[[], File]] = {
    made.__name__: made
    for made in (
        long_layers, long_weights, loss_of_many_points, loss_of_many_classes, endless_cover, long_rays, rays_of_one_hash,
        crossings, faces, deep_tree, leaves, full_tree, many_trees, coordinates, endless_ladder, ladder_of_logarithms,
        ladder_of_trees, deep_norms, endless_cells, endless_boxes, boxes_of_many_sets, long_boxes, waiting_boxes,
        boxes_of_logarithms, boxes_of_trees, long_factors, many_pulls, long_pulls, boxes_of_patterns,
        excesses, forms_on_cones, tops_on_cones, classes_of_tops, leaves_of_tops,
        crossed_leaves_of_tops,
    )
}  # fmt: skip


def random_file(seed: int, most: float) -> File:
    """Allowed steps with extreme numbers, of any order of magnitude."""
    rng = random.Random(seed)

    def size(top: float = most) -> int:
        return max(1, int(10 ** rng.uniform(0, top)))

    def integer(small: int = 3) -> int:
        return rng.choice(LARGE) if rng.random() < 0.02 else rng.randrange(small)

    loss = rng.choice(("mse", "mse", "logistic", "cross_entropy"))
    depth = rng.choice((3, 3, 3, 4, 64))
    total = size()
    N = max(1, int(total ** rng.random()))
    m = 1 if rng.random() < 0.7 else size(1.5)
    m = max(m, 2) if loss == "cross_entropy" else m
    tree = depth == 3 and m == 1 and rng.random() < 0.8
    n0 = rng.randrange(1, 8) if tree else max(1, total // N)
    values = FLOATS if rng.random() < 0.3 else FLOATS[1:8]
    X = floats(N * n0, tuple(rng.choice(values) for _ in range(rng.choice((1, 3, 7)))))
    file = File((N, n0, m), depth, loss, X=X, beta=rng.choice((0.0, 1.0, 1e-300)) if n0 < 8 else 0.0,
                slopes=rng.choice(((1.0, 0.0), (1.0, -1.0), (1.0, 1.0), (5e-324, 1e308))))  # fmt: skip
    if rng.random() < 0.3:
        file.network([size(most / 2) for _ in range(depth - 1)] if depth < 64 else [3] * 63, (rng.choice(values),))
        if rng.random() < 0.8:
            return file
    r, count = n0 + file.bias, size(1.5)
    classes = rng.choice((1, 1, 2, 62)) if tree else 1
    patterns = tree and N <= 10 and rng.random() < 0.5
    items = ["pattern" if patterns else "tree" if tree and rng.random() < 0.9 else "norm" for _ in range(count)]
    if "tree" not in items:
        classes = 1
    file.bound(
        items, classes, rng.choice((0.0, 1.0, 1e308)), tuple(rng.choice((0.0, 1.0, -1.0, 1e-3)) for _ in range(3))
    )
    if "tree" in items or patterns:
        cuts = size(most - 1) if r > 1 else 0
        cover = integers(cuts)
        for k in range(cuts):
            place = rng.randrange(r)
            cover.extend([rng.randrange(2**r + k), place, (place + 1 + rng.randrange(r - 1)) % r])
            cover.extend([max(1, integer(4)), max(1, integer(4)), rng.choice((0, 0, 0, 60, -2048))])
        leaves = integers(*[0] * 2 * count * (N + 1)) if count * N < 10**6 else integers(0)
        file.directions(cover, rng.choice((leaves, integers(*(integer(2) for _ in range(size()))))), r)
    if patterns:
        classes = rng.choice((1, 2, 5, 62))
        pulls = floats(count * classes * N, tuple(rng.choice(values) for _ in range(rng.choice((1, 3, 7)))))
        file.arrays |= {"counts": integers(classes) * count, "pulls": pulls}
        del file.arrays["trees"]
    if "norm" in items:
        file.norms(integers(0) * size(), floats(count + 1, (1e308,)))
    cells = integers(*(integer(2) for _ in range(size())))
    scales, splits = floats(size(), (rng.choice(values),)), floats(size(), (0.3, 0.5, 0.1))
    if "norm" in items or (not patterns and rng.random() < 0.3):
        return file.ladder(cells, scales, splits)
    steps = halvings(min(classes, 2**N)) if patterns else integers()
    sets, part = (min(classes, 2**N), 0) if patterns else (1, 1)
    for _ in range(size()):
        kind = rng.choice((0, 1, 1, 1, 2))
        if kind == 2 and sets < classes and not patterns:
            steps.extend([2, sets - 1, part])
            sets, part = sets + 1, 2 * part
        elif kind:
            steps.extend([1, rng.randrange(sets)])
        else:
            steps.extend([rng.choice((0, 0, 3)), rng.randrange(count)])
    splits = floats(size(), tuple(rng.choice(FLOATS) for _ in range(rng.choice((1, 3, 7)))))
    return file.boxes(steps, scales, splits, floats(size(), (1.0, 1e308, 5e-324, 0.3)[rng.randrange(4) :]))


def files(arguments: list[str]) -> Iterator[tuple[str, Callable[[], File]]]:
    if not arguments:
        yield from STEPS.items()
        return
    first, count, most = arguments
    for seed in range(int(first), int(first) + int(count)):
        yield str(seed), lambda seed=seed: random_file(seed, float(most))


class Located:
    """A checker that says in which of its functions a file was rejected."""

    def __init__(self, module: Any) -> None:
        self.module, self.Rejected = module, module.Rejected

    def check(self, content: bytes) -> None:
        try:
            self.module.check(content)
        except self.Rejected as error:
            names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            place = next((name for name in reversed(names) if name not in ("require", "spend", "_spend")), "")
            raise self.Rejected(f"{error} [{place}]") from None


def main() -> None:
    folder, work, *which = sys.argv[1:]
    sys.path.insert(0, folder)
    import deep_check

    if int(work):
        deep_check.WORK, deep_check.WORK_RATE = int(work), 0
    for name, made in files(which):
        print(json.dumps(ordeal(Located(deep_check), name, made().content())), flush=True)


if __name__ == "__main__":
    main()
