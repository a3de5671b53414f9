"""Certificates made by hand for one check of the checker each; those called good… must be accepted."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from test_certificate_mutations import joined, parts, rehash, tree_steps

from cpcert.certificate import check
from cpcert.certificate.file import write

# What changes nothing that matters for these: a proof of the same form, the same split, other units, a relation repeated.
HARMLESS = {
    "a relation twice", "orthogonal: form 2", "zero: no norms", "zero: triangle",
    "arrangement-abs: all exponents far apart", "directions-reduced: a split of no cone",
    "directions-interpolate: a split of no cone", "one of two outputs obeys", "nothing above",
}  # fmt: skip


def crafted(made) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each."""
    for function in (
        problems,
        dual_points,
        networks,
        planes,
        spectral,
        trees,
        directions,
        cells,
        moments,
        regions,
        spatial,
        files,
    ):
        for name, content in function(made):
            yield f"good {name}" if name in HARMLESS else name, content


def edited(one, *changes: Callable) -> bytes:
    """The certificate after changes of (header, arrays)."""
    header, arrays = one.read()
    for change in changes:
        change(header, arrays)
    return write(header, arrays)


def _problem(hashed=True, **values):
    def change(header, arrays):
        header["problem"].update(values)
        if hashed:
            rehash(header, arrays)

    return change


def _lower(**values):
    return lambda header, arrays: header["lower"].update(values)


def _numbers(name, values):
    def change(header, arrays):
        arrays[name] = np.array(values, dtype=np.float64 if name in ("X", "Y", "G", "norms", "values") else np.int64)

    return change


def _entry(name, i, value):
    def change(header, arrays):
        arrays[name][i] = value

    return change


def _inserted(at, *integers):
    def change(header, arrays):
        arrays["proof"] = np.insert(arrays["proof"], at, integers)

    return change


def _without_upper(header, arrays):
    header["upper"] = None
    del arrays["W1"], arrays["W2"]


def _no_lower(header, arrays):
    header["lower"] = None
    del arrays["G"]


def _hashed(header, arrays):
    rehash(header, arrays)


def problems(made):
    one = made["plane"]
    for name, values in {
        "depth 3": {"depth": 3}, "depth 1": {"depth": 1}, "lambda 0": {"lambda": 0.0}, "lambda below 0": {"lambda": -1.0},
        "no points": {"N": 0}, "points below 0": {"N": -5}, "no features": {"n0": 0}, "no outputs": {"m": 0},
        "more points": {"N": 6}, "more features": {"n0": 2}, "more outputs": {"m": 2},
        "an unknown loss": {"loss": "hinge"},
    }.items():  # fmt: skip
        yield name, edited(one, _problem(**values))
    for key in ("N", "n0", "m", "depth"):
        yield f"{key} is a truth", edited(one, _problem(hashed=False, **{key: True}))
        yield f"{key} is a float", edited(one, _problem(hashed=False, **{key: 2.0}))
    yield "two lambdas", edited(made["plane-interpolate"], _problem(**{"lambda": 2.0}))
    yield "fewer features", edited(made["plane-two"], _problem(n0=1))
    yield "fewer outputs", edited(made["plane-two"], _numbers("Y", np.zeros(5)), _hashed)
    yield "label 2", edited(made["plane-logistic"], _entry("Y", 0, 2.0), _hashed)
    yield "label 0", edited(made["plane-logistic"], _entry("Y", 0, 0.0), _hashed)
    yield "label one half", edited(made["plane-logistic"], _entry("Y", 0, 0.5), _hashed)
    yield "label below 0", edited(made["plane-entropy"], _entry("Y", 0, -1.0), _hashed)
    yield "one class", edited(made["plane"], _problem(loss="cross_entropy"))
    yield "one class, labels 1", edited(made["plane"], _numbers("Y", np.ones(5)), _problem(loss="cross_entropy"))
    yield "infeasible for another loss", edited(made["infeasible"], _problem(loss="mse"))
    yield "targets obey", edited(made["infeasible"], _entry("Y", slice(None), 0.0), _hashed)
    yield "equal targets obey", edited(made["infeasible"], _entry("Y", slice(None), 1.0), _hashed)
    yield "one of two outputs obeys", edited(made["infeasible-linear"], _entry("Y", slice(1, None, 2), 0.0), _hashed)
    yield "nothing above", edited(one, _without_upper)
    yield "nothing at all", edited(one, _without_upper, _no_lower)


def dual_points(made):
    for name in ("linear-logistic", "linear-entropy", "plane-logistic", "plane-entropy"):
        yield f"{name}: outside the domain", edited(made[name], _lower(scale=100.0, bound=0.0))
        yield (
            f"{name}: outside on the other side",
            edited(made[name], lambda h, a: a.update(G=-a["G"]), _lower(scale=1e-3, bound=0.0)),
        )
    for name in ("linear", "plane", "cells", "branch", "directions", "orthogonal"):
        one = made[name]
        lower = one.read()[0]["lower"]
        yield f"{name}: scale below 0", edited(one, _lower(scale=-1.0, value=-1e9))
        yield f"{name}: bound below 0", edited(one, _lower(bound=-1.0))
        yield f"{name}: no bound", edited(one, _lower(bound=0.0))
        yield f"{name}: bound half", edited(one, _lower(bound=lower["bound"] / 2))
        yield (
            f"good {name}: bound a little above",
            edited(
                one,
                _lower(
                    bound=lower["bound"] * (1 + 1e-9), scale=lower["scale"] * (1 - 1e-8), value=lower["value"] * 0.999
                ),
            ),
        )
        yield f"good {name}: nothing claimed of the scale", edited(one, _lower(scale=0.0, value=0.0))
        yield f"{name}: lower is a list", edited(one, lambda h, a: h.update(lower=[]))
    for name in ("plane-logistic", "linear-logistic", "plane-entropy", "linear-entropy"):
        yield f"good {name}: nothing claimed of the scale", edited(made[name], _lower(scale=0.0, value=0.0))
        yield f"{name}: more than 0 claimed of the scale 0", edited(made[name], _lower(scale=0.0, value=1e-300))
    yield "good equality of scale and bound", edited(made["zero"], _lower(bound=2.0, scale=0.03, value=0.0))
    yield "above equality of scale and bound", edited(made["zero"], _lower(bound=2.0, scale=0.0300000000000001))
    yield (
        "claims nothing",
        edited(made["zero"], *_without_lower(), lambda h, a: (h.update(upper=None), a.pop("W1"), a.pop("W2"))),
    )


def _without_upper(header, arrays):
    header["upper"] = None
    del arrays["W1"], arrays["W2"]


def _without_lower():
    def change(header, arrays):
        header["lower"] = None
        for name in set(arrays) - {"X", "Y", "W1", "W2", "repair_W", "repair_B"}:
            del arrays[name]

    return (change,)


def networks(made):
    for name in (
        "plane",
        "plane-logistic",
        "plane-entropy",
        "plane-interpolate",
        "linear-entropy",
        "linear-logistic",
        "huge",
    ):
        one = made[name]
        yield f"good {name}: only the upper side", edited(one, *_without_lower())
        value = one.certificate.upper
        for factor in (1 - 1e-14, 1 - 1e-9, 0.5):
            yield (
                f"{name}: upper times {factor}",
                edited(one, *_without_lower(), lambda h, a, v=value * factor: h["upper"].update(value=v)),
            )
        yield f"{name}: an unknown kind", edited(one, lambda h, a: h["upper"].update(kind="best"))
        yield f"{name}: relations", edited(one, lambda h, a: h["upper"].update(relations=[[0, [[0, "1"]]]]))
        yield f"{name}: relations of no kind", edited(one, lambda h, a: h["upper"].update(relations=None))
    related = made["related"]

    def both(header, arrays):
        point, relation = header["upper"]["relations"][0]
        other = next(i for i, _ in relation if i != point)
        header["upper"]["relations"].append([other, relation])

    yield "two points dropped by one relation", edited(related, both)
    for name in ("plane-interpolate", "related", "directions-interpolate"):
        yield from _repaired_from_nothing(made[name], name)
    yield "a relation twice", edited(related, lambda h, a: h["upper"]["relations"].append(h["upper"]["relations"][0]))
    yield "too many relations", edited(related, lambda h, a: h["upper"].update(relations=h["upper"]["relations"] * 6))
    yield "an entry that is no pair", edited(related, lambda h, a: h["upper"]["relations"].append([0]))
    yield "a relation of no point", edited(related, lambda h, a: h["upper"]["relations"][0].__setitem__(0, True))
    yield "a relation without its point", edited(related, lambda h, a: h["upper"]["relations"][0].__setitem__(0, 4))
    yield "a relation broken by the targets", edited(related, _entry("Y", 1, 0.3), _hashed)
    yield "B is no inverse", edited(related, lambda h, a: a["repair_B"].__imul__(0.0))
    yield "B is no inverse at all", edited(related, lambda h, a: a["repair_B"].__imul__(-1.0))


def _repaired_from_nothing(one, name):
    """The network without neurons: all of the cost is that of the repair, so each factor of it counts."""
    header, arrays = one.read()
    arrays["W1"] = np.zeros(0)
    arrays["W2"] = np.zeros(header["problem"]["m"] * (header["problem"]["beta"] != 0))
    exact = {key: array("d", arrays[key].tolist()) for key in ("X", "Y", "W1", "W2", "repair_W", "repair_B")}
    problem = check.Problem(header["problem"], exact)
    value = float(check.network_loss(problem, "repaired", header["upper"]["relations"], exact))
    for text, factor in ((f"good {name}: repaired from nothing", 1 + 1e-12), (f"{name}: repaired for less", 1 - 1e-8)):

        def change(h, a, factor=factor):
            a["W1"], a["W2"] = arrays["W1"], arrays["W2"]
            h["upper"]["value"] = value * factor

        yield text, edited(one, change)


def planes(made):
    for name in ("coordinates-plane", "coordinates-plane-two", "huge"):
        oracle = made[name].read()[0]["lower"]["oracle"]
        bound = made[name].read()[0]["lower"]["bound"]
        for size in (-1.001, -10.0):
            negative = {**oracle, "bound": oracle["bound"] * size}
            yield f"{name}: {size} times the inner bound", edited(made[name], _lower(oracle=negative, bound=bound / 2))
        yield f"{name}: an inner bound of 0", edited(made[name], _lower(oracle={**oracle, "bound": 0.0}))
        yield (
            f"{name}: a larger inner bound",
            edited(made[name], _lower(oracle={**oracle, "bound": oracle["bound"] * 2})),
        )
        yield f"{name}: nested", edited(made[name], _lower(oracle={**oracle, "inner": oracle}))
        yield f"{name}: no inner", edited(made[name], _lower(oracle={**oracle, "inner": 1}))
        yield f"{name}: no basis", edited(made[name], lambda h, a: a.update(basis=np.zeros(0), coordinates=np.zeros(0)))
        yield f"{name}: a large basis", edited(made[name], lambda h, a: a.update(basis=np.round(a["basis"]) * 4.0))
    for name in ("plane", "plane-two", "plane-line", "plane-entropy", "plane-interpolate"):
        bound = made[name].read()[0]["lower"]["bound"]
        for loss in (1e-12, 1e-6, 0.01, 0.3):
            yield f"{name}: bound less {loss}", edited(made[name], _lower(bound=bound * (1 - loss)))
        yield f"good {name}: a larger bound", edited(made[name], _lower(bound=bound * 1.5, scale=0.0, value=0.0))
    for oracle in ([], 1, "plane", None):
        yield f"the oracle {oracle!r}", edited(made["plane"], _lower(oracle=oracle))
    for name in ("plane", "directions", "cells", "linear"):
        yield (
            f"{name}: an oracle with one key more",
            edited(made[name], lambda h, a: h["lower"]["oracle"].update(more=1)),
        )
    yield "three dimensions", edited(made["arrangement"], _lower(oracle={"kind": "plane"}))


def spectral(made):
    for name in ("linear", "linear-one", "orthogonal", "linear-entropy", "large-lambda", "zero"):
        one = made[name]
        yield f"{name}: unknown form", edited(one, _entry("proof", 0, 3))
        yield f"{name}: form below 0", edited(one, _entry("proof", 0, -1))
        yield f"{name}: form 2", edited(one, _entry("proof", 0, 2))
        yield f"{name}: form 2 in form 2", edited(one, _inserted(0, 2))
        yield f"{name}: a norm more", edited(one, lambda h, a: a.update(norms=np.append(a["norms"], 1.0)))
        yield f"{name}: no norms", edited(one, _numbers("norms", []))
        yield f"{name}: an integer more", edited(one, lambda h, a: a.update(proof=np.append(a["proof"], 0)))
        for e in (1101, -1101, 2000):
            yield (
                f"{name}: exponent {e}",
                edited(one, lambda h, a, e=e: a["proof"].__setitem__(min(1, len(a["proof"]) - 1), e)),
            )
        yield f"{name}: triangle", edited(one, _numbers("proof", [0]), _numbers("norms", []))
        loose = _lower(bound=1e9, scale=0.0, value=0.0)
        yield (
            f"good {name}: triangle and a large bound",
            edited(one, _numbers("proof", [0]), _numbers("norms", []), loose),
        )
        yield (
            (
                f"{name}: signs, triangle and a large bound",
                edited(one, _numbers("proof", [2, 0, 0]), _numbers("norms", []), loose),
            )
            if one.problem.m > 1 or one.problem.activation.a_minus > 0
            else (
                f"good {name}: signs, triangle and a large bound",
                edited(one, _numbers("proof", [2, 0, 0]), _numbers("norms", []), loose),
            )
        )
    leaky = made["arrangement-leaky"]
    drop = {"exponents", "proof", "y", "rho", "mu"}

    def by_signs(header, arrays):
        for name in drop:
            arrays.pop(name, None)
        arrays["proof"], arrays["norms"] = np.array([2, 0, 0]), np.zeros(0)
        header["lower"].update(oracle={"kind": "spectral"}, bound=1e9, scale=0.0, value=0.0)

    yield "signs for an activation that is negative somewhere", edited(leaky, by_signs)
    yield "good signs for one that is not", edited(made["arrangement"], by_signs)


def trees(made):
    for name in ("branch", "arrangement", "coordinates-tree", "arrangement-abs", "branch-leaky"):
        one = made[name]
        N = one.problem.N
        for text, integers in {
            "an unknown step": [5], "a step below 0": [-1], "close without a bound": [0], "a full node called empty": [3, 0],
            "an empty node of no point": [3, N], "an empty node below 0": [3, -1], "a branching on no point": [4, 2 * N],
            "a branching below 0": [4, -1], "a tightening of no point": [2, 2 * N, 0], "a tightening below 0": [2, -2, 0],
            "a multiplier of no constraint": [2, 0, 1, 0], "a multiplier of no point": [1, 1, 2 * N],
            "a place below 0": [2, 0, 1, -1],
        }.items():  # fmt: skip
            yield f"{name}: {text}", edited(one, _inserted(1, *integers))
        yield (
            f"{name}: a cap before a bound",
            edited(one, _inserted(1, 2, 0, 0), lambda h, a: a.update(rho=np.insert(a["rho"], 0, 5))),
        )
        for scale in (10**5, -(10**5)):
            yield f"{name}: scale {scale}", edited(one, _entry("proof", 0, scale))
        for grid in ([-1, 0, 0], [53, 0, 0], [50, 50], [50, 50, 0, 0], [True, 0, 0], [1.0, 0, 0], "grid", None):

            def change(header, arrays, grid=grid):
                oracle = header["lower"]["oracle"]
                oracle.get("inner", oracle)["grid"] = grid

            yield f"{name}: grid {grid}", edited(one, change)
        for e in (10**4, -(10**4), 2201):
            yield f"{name}: exponent {e}", edited(one, _entry("exponents", 0, e))
        yield (
            f"{name}: all exponents far apart",
            edited(
                one,
                lambda h, a: a["exponents"].__setitem__(
                    slice(None), np.where(np.arange(len(a["exponents"])) % 2, 2200, -2200)
                ),
            ),
        )
        yield f"{name}: an exponent less", edited(one, lambda h, a: a.update(exponents=a["exponents"][:-1]))
        for column in ("y", "rho", "mu", "proof"):
            yield f"{name}: {column} longer", edited(one, lambda h, a, c=column: a.update({c: np.append(a[c], 0)}))
            yield f"{name}: {column} shorter", edited(one, lambda h, a, c=column: a.update({c: a[c][:-1]}))

        def deep(header, arrays, N=N):
            start, end = next((s, e) for op, s, e in tree_steps(header, arrays) if op == 4)
            arrays["proof"] = np.insert(arrays["proof"], start, np.tile(arrays["proof"][start:end], 10 * N))

        if len([op for op, _, _ in tree_steps(*one.read()) if op == 4]):
            yield f"{name}: branches on one point again and again", edited(one, deep)
        steps = tree_steps(*one.read())
        for op in range(5):
            for start, end in [(s, e) for o, s, e in steps if o == op][:4]:
                yield (
                    f"{name}: step {op} at {start} dropped",
                    edited(one, lambda h, a, s=start, e=end: a.update(proof=np.delete(a["proof"], np.arange(s, e)))),
                )
    two = made["plane-two"]
    yield "a tree for two outputs", edited(two, _lower(oracle={"kind": "tree", "grid": [0, 0, 0]}))


def directions(made):
    for name in ("directions", "directions-reduced", "directions-interpolate", "coordinates-directions"):
        one = made[name]
        header, arrays = one.read()
        last = tree_steps(header, arrays)[-1][2]
        for text, change in {
            "no splits": _entry("proof", last, 0), "splits below 0": _entry("proof", last, -1),
            "a split of no cone": _entry("proof", last + 1, 1), "a split of no vertex": _entry("proof", last + 1, 10**6),
            "a split below 0": _entry("proof", last + 1, -1), "a middle that is a first vertex": _entry("proof", last + 3, 0),
            "values below": lambda h, a: a["values"].__isub__(0.1), "values above": lambda h, a: a["values"].__iadd__(0.1),
            "vertices missing": lambda h, a: a.update(values=a["values"][:3]),
            "a vertex missing": lambda h, a: a.update(values=a["values"][:-1]),
            "a normal missing": lambda h, a: a.update(normals=a["normals"][:-2]),
            "normals zero": lambda h, a: a["normals"].__imul__(0.0),
            "normals long": lambda h, a: a["normals"].__imul__(2.0),
        }.items():  # fmt: skip
            yield f"{name}: {text}", edited(one, change)
        for number in range(4):
            yield (
                f"{name}: value {number} raised",
                edited(one, lambda h, a, i=number: a["values"].__setitem__(i, a["values"][i] * 2)),
            )
        inner = tree_steps(header, arrays)
        ends = [e for (op, s, e), (_, after, _) in pairwise(inner) if after - e == 5]
        if ends:
            for text, at, value in (
                ("no first vertex", 0, 10**6), ("a first vertex below 0", 0, -1), ("the vertex itself", 0, 4),
                ("no second vertex", 1, 10**6), ("a vertex far off", 2, 201), ("a huge vertex", 2, 10**5),
                ("a power more", 2, 1), ("a power more for the other", 3, 1),
            ):  # fmt: skip
                yield f"{name}: {text}", edited(one, _entry("proof", ends[0] + at, value))
        if "output_basis" in arrays:
            yield f"{name}: no basis", edited(one, lambda h, a: a.update(output_basis=np.zeros(0), outputs=np.zeros(0)))
            for at in range(3):
                yield (
                    f"{name}: output {at}",
                    edited(one, lambda h, a, i=at: a["outputs"].__setitem__(i, a["outputs"][i] + 0.5)),
                )
    wide = made["cells"]
    N = wide.problem.N

    def thirteen(header, arrays):
        arrays["output_basis"], arrays["outputs"] = np.zeros(3 * 13), np.zeros(13 * N)
        for name in ("proof", "y", "rho", "mu"):
            arrays[name] = np.zeros(0, np.int64)
        arrays["values"] = arrays["normals"] = np.zeros(0)
        del arrays["planes"]
        header["lower"]["oracle"] = {"kind": "directions", "grid": [0, 0, 0]}

    yield "directions of thirteen dimensions", edited(wide, thirteen)


def cells(made):
    for name in ("cells", "cells-leaky", "cells-logistic", "cells-abs", "coordinates-cells"):
        one = made[name]
        P = one.problem.N + len(one.read()[1]["planes"]) // one.read()[0]["problem"]["n0"]
        for text, integers in {
            "an unknown step": [3], "a step below 0": [-1], "a branching on no plane": [2, 10 * P], "a plane below 0": [2, -1],
            "a point decided twice": [2, 0, 2, 0], "implied and decided": [1, 0, 0, 0, 2, 0],
            "implied twice": [1, 0, 0, 0, 1, 0, 0, 0],
            "implied for no point": [1, 10 * P, 0, 0], "no side": [1, 0, 2, 0], "implied from nothing": [1, 0, 0, 1, 0, 1],
            "a negative multiplier": [2, 0, 1, 1, 0, 1, 0, -1], "a gap below 0": [2, 0, 1, 1, 0, 1, -1, 1],
            "implied and too expensive": [1, 0, 0, 0], "a leaf of a huge scale": [0, 10**5, 1], "a scale below": [0, -(10**5), 1],
            "ρ below 0": [0, 0, -1], "ρ above": [0, 0, 10**9], "no constraint": [0, 60, 1, 1, 0],
        }.items():  # fmt: skip
            yield f"{name}: {text}", edited(one, _inserted(0, *integers))
        proof = one.read()[1]["proof"]
        large = np.flatnonzero(np.abs(proof) > 1 << 40)
        for i in large[:12]:
            for factor in (-1, 0, 2):
                content = edited(one, lambda h, a, i=i, f=factor: a["proof"].__setitem__(i, a["proof"][i] * f))
                yield from _if_rejected(f"{name}: entry {i} times {factor}", content)
        yield f"{name}: exponents raised", edited(one, lambda h, a: a["exponents"].__iadd__(1))
        yield f"{name}: an integer more", edited(one, lambda h, a: a.update(proof=np.append(a["proof"], 0)))


def _if_rejected(name, content):
    """Some entries have room: a mutant that is still true is no bad certificate."""
    try:
        check.check(content)
    except check.Rejected:
        yield name, content


def moments(made):
    one = made["moments"]
    header, arrays = one.read()
    proof, N = arrays["proof"].tolist(), header["problem"]["N"]
    # The first part: scale, c_ν, c_w, λ, the products, the cones with α and β each, the factor.
    at = 3 + N
    count = proof[at]
    order = 1 + (header["problem"]["n0"] + 1) + N
    cones = at + 1 + 2 * count
    factor = cones + 1 + proof[cones] * (2 + order - 1 - N)
    end = factor + 1 + order * (order + 1) // 2
    assert count > 2 and len(proof) > end

    def changed(*entries):
        numbers = list(proof)
        for place, value in entries:
            numbers[place] = value
        return edited(one, _numbers("proof", numbers))

    largest = max(range(count), key=lambda k: proof[at + 2 + 2 * k])
    weight = at + 2 + 2 * largest
    yield "moments: a negative product", changed((weight, -proof[weight]))
    yield "moments: a product twice as large", changed((weight, 2 * proof[weight]))
    yield "moments: lambda undone", changed(*((3 + i, 0) for i in range(N)))
    yield "moments: lambda of one point moved to another", changed((3, proof[4]), (4, proof[3]))
    yield "moments: costs above the bound", changed((2, 3 * proof[2]))
    yield "moments: costs of less", changed((2, proof[2] - (proof[2] >> 4)), (1, proof[1] - (proof[1] >> 4)))
    # What is allowed for z + Xw and z − Xw of one point, for those of two points: place (1, N + 2).
    size = 3 * N + 1
    stray = [1 * size + N + 2, -(1 << 20)]
    yield (
        "moments: a free multiplier of two points",
        edited(one, _numbers("proof", [*proof[:at], 1, *stray, *proof[cones:]])),
    )
    yield "moments: one sign only", edited(one, _numbers("proof", proof[:end]))
    yield "moments: one sign twice", edited(one, _numbers("proof", proof[:end] * 2))
    yield "moments: three parts", edited(one, _numbers("proof", proof + proof[:end]))
    G = arrays["G"].tolist()
    yield "moments: another dual point", edited(one, _numbers("G", [v * 1.01 for v in G]))
    yield "moments: a sign of the dual point", edited(one, _numbers("G", [-G[0], *G[1:]]))
    two = made["moments-two"]
    numbers = two.read()[1]["proof"].tolist()
    yield "moments: no cost of v", edited(two, _numbers("proof", [*numbers[:2], 0, *numbers[3:]]))
    cone = made["moments-cone"]
    header, arrays = cone.read()
    numbers, N = arrays["proof"].tolist(), header["problem"]["N"]
    place = 4 + N + 2 * numbers[3 + N]
    assert numbers[place] > 0
    yield (
        "moments: outside the cone",
        edited(cone, _numbers("proof", [*numbers[: place + 2], numbers[place + 2] // 2, *numbers[place + 3 :]])),
    )


def regions(made):
    """A tree of regions in its two parts: leaves left out, doubled, exchanged or taken for others."""
    one = made["moments-regions"]
    header, arrays = one.read()
    proof, N, n = arrays["proof"].tolist(), header["problem"]["N"], header["problem"]["n0"] + 1
    at, trees = 0, []
    for _ in range(2):
        nodes, open_regions = [], [0]
        while open_regions:
            signs, start = open_regions.pop(), at
            at += 1
            if proof[start]:
                open_regions += [signs + 1] * 2
            else:
                at += 3 + N - signs
                at += 1 + 2 * proof[at]
                at += 1 + proof[at] * (2 + n)
                order = 1 + n + N - signs
                at += 1 + order * (order + 1) // 2
            nodes.append(proof[start:at])
        trees.append(nodes)
    assert at == len(proof) and any(len(nodes) >= 3 for nodes in trees)

    def written(*trees):
        return edited(one, _numbers("proof", [v for nodes in trees for node in nodes for v in node]))

    plus, minus = trees
    yield "regions: v = ν twice", written(plus, plus)
    yield "regions: the parts exchanged", written(minus, plus)
    yield "regions: the second part is missing", written(plus)
    yield "regions: as one form", edited(one, lambda header, arrays: header["lower"].update(oracle={"kind": "moments"}))
    for k, nodes in enumerate(trees):
        if len(nodes) < 3:
            continue
        leaves = [i for i, node in enumerate(nodes) if node[0] == 0]

        def changed(i, node, k=k, nodes=nodes):
            tree = [*nodes[:i], *node, *nodes[i + 1 :]]
            return written(*(tree if j == k else other for j, other in enumerate(trees)))

        yield "regions: a leaf is missing", changed(leaves[0], [])
        yield "regions: a leaf twice", changed(leaves[-1], [nodes[leaves[-1]]] * 2)
        yield "regions: two leaves exchanged", changed(leaves[-1], [nodes[leaves[-2]]])
        yield "regions: another leaf's proof", changed(leaves[-2], [nodes[leaves[-1]]])
        for point in range(1, N + 2):
            if point != nodes[0][0]:
                yield f"regions: split at point {point} instead", changed(0, [[point]])
        yield "regions: split at no point", changed(0, [[-1]])
        yield (
            "regions: split again at the same point",
            changed(leaves[0], [[nodes[0][0]], nodes[leaves[0]], nodes[leaves[0]]]),
        )


def spatial(made):
    for name in ("spatial", "spatial-ties", "spatial-several", "spatial-coordinates"):
        one = made[name]
        header, arrays = one.read()
        proof, theta, bits = arrays["proof"], arrays["theta"], header["lower"]["oracle"]
        p, q = bits.get("inner", bits)["bits"]
        r, inner = len(theta) // int((proof == 0).sum()), np.flatnonzero(proof)
        trees = list(pairwise(_orthants(proof)))
        assert len(trees) == 2**r * (2 if q == 0 else 1) and len(inner) > 3

        for text, change in {
            "an edge that is none": _entry("proof", inner[0], r * (r - 1) // 2 + 1), "an edge below 0": _entry("proof", inner[0], -1),
            "θ above": _entry("theta", 0, 256), "θ below": _entry("theta", 0, -1),
            "θ of nothing": _entry("theta", slice(0, r), 0), "a leaf more": lambda h, a: a.update(proof=np.append(a["proof"], 0)),
            "θ more": lambda h, a: a.update(theta=np.append(a["theta"], 1)),
            "the last orthant missing": lambda h, a, s=trees[-1][0]: a.update(proof=a["proof"][:s]),
            "nothing cut": _numbers("proof", np.zeros(len(trees), np.int64)),
            "few bits": _bits([p - 45, q]), "far too many bits": _bits([4401, q]), "far too few": _bits([-4401, q]),
            "one number of bits": _bits([p]), "three": _bits([p, q, 0]), "a fraction": _bits([p, 0.5]),
            "no list": _bits(p), "bits of nothing": _bits([p, q + 1] if q == 0 else [p, q - 40]),
            "a sign of G": _entry("G", 0, -float(arrays["G"][0])), "G larger": lambda h, a: a["G"].__imul__(1.01),
            "the bound a little lower": lambda h, a: h["lower"].update(bound=h["lower"]["bound"] * (1 - 1e-4), scale=0.0, value=0.0),
        }.items():  # fmt: skip
            yield from _if_rejected(f"{name}: {text}", edited(one, change))
        # Every node may be the last one, every tree that of another orthant.
        for k in inner[:: max(1, len(inner) // 6)]:
            yield from _if_rejected(f"{name}: no cut at {k}", edited(one, _entry("proof", k, 0)))
        for (a, b), (c, d) in pairwise(trees[:8]):
            swapped = np.concatenate([proof[:a], proof[c:d], proof[a:b], proof[d:]])
            yield from _if_rejected(f"{name}: trees at {a} and {c} exchanged", edited(one, _numbers("proof", swapped)))
        if q == 0:
            half = trees[len(trees) // 2][0]
            leaves = r * int((proof[:half] == 0).sum())
            same = _numbers("proof", np.tile(proof[:half], 2)), _numbers("theta", np.tile(theta[:leaves], 2))
            yield from _if_rejected(f"{name}: one sign twice", edited(one, *same))
            yield f"{name}: one sign", edited(one, _numbers("proof", proof[:half]), _numbers("theta", theta[:leaves]))


def _bits(bits):
    def change(header, arrays):
        oracle = header["lower"]["oracle"]
        oracle.get("inner", oracle)["bits"] = bits

    return change


def _orthants(proof):
    """Where the trees of the orthants begin, and the end."""
    starts, pending = [0], 1
    for at, code in enumerate(proof):
        pending += 1 if code else -1
        if not pending:
            starts.append(at + 1)
            pending = 1
    return starts


def files(made):
    one = made["plane"]
    text, blobs = parts(one.content)
    header = json.loads(text)
    entries = header["arrays"]

    def file(**values):
        return joined(json.dumps({**header, **values}).encode(), blobs)

    empty = parts(write({}, {"a": np.zeros(0)}))[1]
    many = [{"name": f"a{k}", "type": "float64", "count": 0, "stored": len(empty)} for k in range(61)]
    yield "too many arrays", joined(json.dumps({**header, "arrays": entries + many}).encode(), blobs + empty * 61)
    for text, changes in {
        "a type that is none": {"type": "float32"}, "a type that is a list": {"type": ["int"]}, "a name that is none": {"name": 1},
        "a count that is none": {"count": "5"}, "a count that is a truth": {"count": True}, "a count below 0": {"count": -1},
        "a count that is huge": {"count": 1 << 40}, "stored is none": {"stored": None}, "stored below 0": {"stored": -1},
        "stored is huge": {"stored": 1 << 40}, "stored is a truth": {"stored": True}, "one more": {"more": 1},
        "a count less": {"count": 4}, "a count more": {"count": 6}, "stored less": {"stored": entries[0]["stored"] - 1},
    }.items():  # fmt: skip
        yield text, file(arrays=[{**entries[0], **changes}, *entries[1:]])
    number = 64 - len(entries)
    yield (
        "as many arrays as there may be",
        joined(json.dumps({**header, "arrays": entries + many[:number]}).encode(), blobs + empty * number),
    )
    yield "nothing after the header", joined(b'{"arrays": []}', b"")
    yield "nothing stored", file(arrays=[{**entries[0], "stored": 0}, *entries[1:]])
    yield "too large for the limit", file(arrays=[{**entries[0], "count": (1 << 23) + 1}, *entries[1:]])
    yield (
        "integers too large for the limit",
        file(arrays=[{**entries[0], "type": "int", "count": (1 << 26) + 1}, *entries[1:]]),
    )
    large_header, large = parts(write({}, {"a": np.zeros(1 << 22), "b": np.zeros(1)}))
    for count in (1 << 22, (1 << 22) + 1):
        listed = json.loads(large_header)
        listed["arrays"][1]["count"] = count
        yield f"two arrays, the second of {count}", joined(json.dumps(listed).encode(), large)
    yield "no list of arrays", file(arrays={})
    yield "a claim that is none", file(claim=1)
    yield "a claim that is a list", file(claim=["minimum"])
    yield "an unknown claim", file(claim="maximum")
    yield "created by a number", file(created_by=1)
    yield "one key more", file(more=1)
    yield (
        "as many numbers as there may be, but not there",
        file(arrays=[{**entries[0], "count": 1 << 23}, *entries[1:]]),
    )
    for content in (
        check.MAGIC + bytes(8),
        b"",
        b"cpcert",
        one.content[:8],
        one.content[:12],
        one.content[:16],
        b"cpcert\x00\x02" + one.content[8:],
    ):
        yield f"{len(content)} bytes, {content[:8]!r}", content
    stream = blobs[: entries[0]["stored"]]
    twice = [{**entries[0], "stored": 2 * len(stream)}, *entries[1:]]
    yield "two streams in one", joined(json.dumps({**header, "arrays": twice}).encode(), stream + blobs)
