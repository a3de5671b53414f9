"""The picture of docs/deep.md: the proven bound and the loss against the number of classes of directions.

    python benchmarks/deep_classes.py [FILE] [--seconds S]

A teacher of three neurons on ten points in the plane, depth 3, no bias, output weights of both signs. For each number of classes the
boxes are improved for S seconds of the processor; every bound has a certificate that the exact checker has accepted.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import deep_bound

from cpcert.deep.bound.boxes import Search, proving
from cpcert.deep.bound.certificate import Boxes, certify_deep
from cpcert.deep.bound.classes import Classes
from cpcert.deep.bound.cover import build_cover
from cpcert.network import loss_upper

MOST = 8
SHOWN = Path(__file__).parent.parent / "docs" / "deep-classes.svg"


def main() -> None:
    """Measure, and draw."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "cpcert"
    import matplotlib.pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=SHOWN)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    time.monotonic = time.process_time  # the same picture on a busy machine
    problem = deep_bound.teacher(10, 2, 2, beta=0.0, lam=1e-2)
    network = deep_bound.best_network(problem, 50)
    upper = loss_upper(network, problem)
    cover = build_cover(problem.X.copy(), problem.activation, 1000, 0.999)
    bounds = []
    for most in range(1, MOST + 1):
        classes = Classes(cover)
        search = Search(problem, classes, upper, 4000, time.process_time() + arguments.seconds, most)
        search.prepare(1.0, upper, time.process_time() + 0.4 * arguments.seconds)
        value = search.run(0.99 * upper)
        root = search.root
        assert root is not None
        found = certify_deep(
            problem, network, search.items, 0.9999 * value,
            lambda target, root=root, classes=classes: Boxes(list(proving(root, target)), classes),
        )  # fmt: skip
        assert found is not None and found.lower is not None
        bounds.append(found.lower)
        print(
            f"{most} classes: lower {found.lower:.6g}, {1.0 - found.lower / upper:.2%} below the loss {upper:.6g}",
            flush=True,
        )
    figure, axes = plt.subplots(figsize=(5.2, 2.8), layout="constrained")
    axes.axhline(upper, color="tab:red", linewidth=1.2, label="loss of the best network")
    axes.plot(range(1, MOST + 1), bounds, "o-", color="tab:blue", markersize=4, label="proven lower bound")
    axes.axhline(upper * 2.0 ** (-1.0 / 3.0), color="0.6", linewidth=0.8, linestyle=":", label=r"loss / $2^{1/3}$")
    axes.set_xlabel("classes of directions of the first layer, at most")
    axes.set_ylabel(r"$L_\lambda$")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(arguments.file, metadata={"Date": None})


if __name__ == "__main__":
    main()
