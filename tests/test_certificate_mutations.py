"""Changed certificates: each is rejected, or what it claims is still true and was proven again.

"Still true" is decided here without the checker's word for it. If the numbers of the problem are those of the original,
the claimed interval must contain the original's (which is true): a mutant can claim less, never more. If the problem
has changed with its hash, the upper bound must be at least the loss of the network in the file, evaluated here in float64,
the lower bound at most that loss, and for one output and few points both must fit the enumerated optimum.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from certificates import SETTINGS, certificates
from enumeration import network_loss, optimum

from cpcert.certificate import check
from cpcert.certificate.file import write

CHANGES = {}
RAW = {}


class NothingToChange(Exception):
    """The certificate has nothing that the operator could change."""


def change(function):
    """An operator on (header, arrays, rng): changes them in place, or raises NothingToChange."""
    CHANGES[function.__name__] = function
    return function


def raw(function):
    """An operator on (content, rng) that gives the bytes of the mutant."""
    RAW[function.__name__] = function
    return function


@pytest.fixture(scope="session")
def made():
    return certificates()


# -- helpers -----------------------------------------------------------------------------------------------------------


def rehash(header, arrays):
    """Give the problem in the header the hash of its numbers."""
    p = header["problem"]
    words = (
        f"cpcert-problem 1 loss={p['loss']} a_plus={float(p['a_plus']).hex()} a_minus={float(p['a_minus']).hex()} "
        f"lambda={float(p['lambda']).hex()} beta={float(p['beta']).hex()} depth={p['depth']} N={p['N']} n0={p['n0']} "
        f"m={p['m']}" + (f" weights={p['N']}\n" if "weights" in arrays else "\n")
    )
    data = b"".join(arrays[name].astype("<f8").tobytes() for name in ("X", "Y", "weights") if name in arrays)
    p["sha256"] = hashlib.sha256(words.encode() + data).hexdigest()


def next_number(values, i, rng):
    """Move one entry by one unit in the last place."""
    values[i] = np.nextafter(values[i], rng.choice([-np.inf, np.inf]))


def some(values, rng):
    """The place of a random entry, of one that is not 0 if there is any."""
    live = np.flatnonzero(values)
    return int(rng.choice(live)) if len(live) else int(rng.integers(len(values)))


def inner(header):
    """The oracle itself, inside its coordinates if it has some."""
    oracle = (header.get("lower") or {}).get("oracle") or {}
    return oracle.get("inner", oracle)


def tree_steps(header, arrays):
    """(op, start, end) of the steps of all trees of a certificate, in the order of `proof`."""
    kind = inner(header).get("kind")
    if kind not in ("tree", "directions"):
        return []
    proof = arrays["proof"].tolist()
    k = len(arrays["outputs"]) // header["problem"]["N"] if "outputs" in arrays else header["problem"]["m"]
    count = 2 if kind == "tree" else len(arrays["values"])
    steps, at = [], 0
    for number in range(count):
        at += 4 if kind == "directions" and number >= 2 * k else 0
        at += 1
        nodes = 1
        while nodes:
            op = proof[at]
            end = at + {0: 1, 1: 2, 2: 3, 3: 2, 4: 2}[op]
            end += proof[at + 1] if op == 1 else proof[at + 2] if op == 2 else 0
            steps.append((op, at, end))
            nodes += {0: -1, 3: -1, 4: 1}.get(op, 0)
            at = end
    return steps


def a_step(header, arrays, rng, op):
    found = [(start, end) for kind, start, end in tree_steps(header, arrays) if kind == op]
    return found[rng.integers(len(found))] if found else None


# -- the claim -----------------------------------------------------------------------------------------------------------


@change
def lower_raised_by_a_billionth(header, arrays, rng):
    if not header.get("lower"):
        raise NothingToChange
    header["lower"]["value"] += 1e-9 * abs(header["lower"]["value"] or 1.0)


@change
def lower_raised_to_the_next_number(header, arrays, rng):
    if not header.get("lower"):
        raise NothingToChange
    header["lower"]["value"] = math.nextafter(header["lower"]["value"], math.inf)


@change
def upper_lowered_by_a_billionth(header, arrays, rng):
    if not header.get("upper"):
        raise NothingToChange
    header["upper"]["value"] -= 1e-9 * abs(header["upper"]["value"] or 1.0)


@change
def upper_lowered_to_the_next_number(header, arrays, rng):
    if not header.get("upper"):
        raise NothingToChange
    header["upper"]["value"] = math.nextafter(header["upper"]["value"], -math.inf)


@change
def bounds_swapped(header, arrays, rng):
    if not header.get("lower") or not header.get("upper"):
        raise NothingToChange
    low, high = header["lower"]["value"], header["upper"]["value"]
    header["lower"]["value"], header["upper"]["value"] = high, low
    if low == high:
        raise NothingToChange


@change
def claims_weakened(header, arrays, rng):
    """The one operator whose mutants are all true: they must be accepted, or the others would prove little."""
    if header["claim"] != "minimum":
        raise NothingToChange
    for side, sign in (("lower", -1.0), ("upper", 1.0)):
        if header[side]:
            header[side]["value"] += sign * 1e-6 * abs(header[side]["value"])


@change
def lower_side_without_its_arrays(header, arrays, rng):
    if not header.get("lower"):
        raise NothingToChange
    header["lower"] = None


@change
def claim_changed(header, arrays, rng):
    header["claim"] = "infeasible" if header["claim"] == "minimum" else "minimum"


# -- the problem ---------------------------------------------------------------------------------------------------------


@change
def datum_changed_hash_kept(header, arrays, rng):
    next_number(arrays["X"], some(arrays["X"], rng), rng)


@change
def target_changed_hash_kept(header, arrays, rng):
    next_number(arrays["Y"], some(arrays["Y"], rng), rng)


@change
def datum_changed_hash_updated(header, arrays, rng):
    next_number(arrays["X"], some(arrays["X"], rng), rng)
    rehash(header, arrays)


@change
def datum_moved_hash_updated(header, arrays, rng):
    arrays["X"][some(arrays["X"], rng)] *= 1.01
    rehash(header, arrays)


@change
def target_changed_hash_updated(header, arrays, rng):
    next_number(arrays["Y"], some(arrays["Y"], rng), rng)
    rehash(header, arrays)


@change
def target_moved_hash_updated(header, arrays, rng):
    i = some(arrays["Y"], rng)
    arrays["Y"][i] = -arrays["Y"][i] if header["problem"]["loss"] == "logistic" else 1.01 * arrays["Y"][i] + 0.001
    rehash(header, arrays)


@change
def points_exchanged_hash_updated(header, arrays, rng):
    X = arrays["X"].reshape(header["problem"]["N"], -1)
    X[[0, 1]] = X[[1, 0]]
    rehash(header, arrays)


@change
def number_of_the_problem_changed_hash_kept(header, arrays, rng):
    p = header["problem"]
    name = rng.choice(["a_plus", "a_minus", "lambda", "beta"])
    p[name] = math.nextafter(p[name], math.inf)


@change
def lambda_changed_hash_updated(header, arrays, rng):
    header["problem"]["lambda"] *= float(rng.choice([0.5, 1 - 1e-9, 1 + 1e-9, 2.0]))
    rehash(header, arrays)


@change
def beta_changed_hash_updated(header, arrays, rng):
    header["problem"]["beta"] += float(rng.choice([1e-9, 0.25]))
    rehash(header, arrays)


@change
def slope_changed_hash_updated(header, arrays, rng):
    header["problem"][str(rng.choice(["a_plus", "a_minus"]))] += float(rng.choice([-0.1, 1e-9, 0.1]))
    rehash(header, arrays)


@change
def loss_changed_hash_updated(header, arrays, rng):
    others = [loss for loss in check.LOSSES if loss != header["problem"]["loss"]]
    header["problem"]["loss"] = str(rng.choice(others))
    rehash(header, arrays)


@change
def shape_changed_hash_updated(header, arrays, rng):
    p = header["problem"]
    p["N"], p["n0"] = p["n0"], p["N"]
    rehash(header, arrays)
    if not (p["N"] != p["n0"]):
        raise NothingToChange


@change
def hash_changed(header, arrays, rng):
    digest = header["problem"]["sha256"]
    header["problem"]["sha256"] = digest[:-1] + ("0" if digest[-1] != "0" else "1")


# -- the upper side ------------------------------------------------------------------------------------------------------


def _weight(arrays, rng):
    name = str(rng.choice([name for name in ("W1", "W2") if len(arrays.get(name, ()))] or [""]))
    return arrays.get(name)


@change
def network_weight_moved(header, arrays, rng):
    weights = _weight(arrays, rng)
    if weights is None:
        raise NothingToChange
    weights[some(weights, rng)] += 0.01


@change
def network_weight_negated(header, arrays, rng):
    weights = _weight(arrays, rng)
    if weights is None:
        raise NothingToChange
    weights[some(weights, rng)] *= -1.0


@change
def network_scaled(header, arrays, rng):
    weights = _weight(arrays, rng)
    if weights is None:
        raise NothingToChange
    weights *= 1.0 + float(rng.choice([-1e-4, 1e-4]))


@change
def upper_kind_changed(header, arrays, rng):
    if not header.get("upper"):
        raise NothingToChange
    kind = header["upper"]["kind"]
    header["upper"]["kind"] = "network" if kind == "repaired" else "repaired"


@change
def repair_changed(header, arrays, rng):
    if "repair_B" not in arrays:
        raise NothingToChange
    values = arrays[str(rng.choice(["repair_W", "repair_B"]))]
    values[some(values, rng)] *= float(rng.choice([-1.0, 0.0, 1.5]))


@change
def repair_emptied(header, arrays, rng):
    if "repair_B" not in arrays:
        raise NothingToChange
    arrays["repair_B"] = arrays["repair_B"][:0]
    arrays["repair_W"] = arrays["repair_W"][:0]


def _relations(header):
    if header["claim"] == "infeasible":
        return [header["relation"]]
    return [relation for _, relation in (header["upper"] or {"relations": []})["relations"]]


@change
def relation_coefficient_changed(header, arrays, rng):
    relations = _relations(header)
    if not relations:
        raise NothingToChange
    entry = relations[0][rng.integers(len(relations[0]))]
    entry[1] = str(Fraction(entry[1]) + Fraction(1, 10**12))


@change
def relation_entry_dropped(header, arrays, rng):
    relations = _relations(header)
    if not relations:
        raise NothingToChange
    relations[0].pop(rng.integers(len(relations[0])))


@change
def relation_emptied(header, arrays, rng):
    relations = _relations(header)
    if not relations:
        raise NothingToChange
    relations[0].clear()


@change
def relation_moved_to_another_point(header, arrays, rng):
    relations = _relations(header)
    if not relations:
        raise NothingToChange
    entry = relations[0][rng.integers(len(relations[0]))]
    entry[0] = (entry[0] + 1) % header["problem"]["N"]


@change
def relation_invented(header, arrays, rng):
    if not header.get("upper"):
        raise NothingToChange
    header["upper"]["kind"] = "repaired"
    header["upper"]["relations"] = [[0, [[0, "1"]]]]


# -- the dual point ------------------------------------------------------------------------------------------------------


@change
def dual_scaled(header, arrays, rng):
    if "G" not in arrays:
        raise NothingToChange
    arrays["G"] *= float(rng.choice([0.5, 1 - 1e-9, 1 + 1e-9, 2.0]))


@change
def dual_negated(header, arrays, rng):
    if "G" not in arrays:
        raise NothingToChange
    arrays["G"] *= -1.0


@change
def dual_entry_changed(header, arrays, rng):
    if "G" not in arrays:
        raise NothingToChange
    i = some(arrays["G"], rng)
    arrays["G"][i] = arrays["G"][i] * (1 + 1e-6) + 1e-9


@change
def dual_entry_changed_in_its_last_bit(header, arrays, rng):
    if "G" not in arrays:
        raise NothingToChange
    next_number(arrays["G"], some(arrays["G"], rng), rng)


@change
def scale_raised(header, arrays, rng):
    if not header.get("lower"):
        raise NothingToChange
    header["lower"]["scale"] *= 1.0 + float(rng.choice([1e-15, 1e-9, 0.5]))


@change
def scale_negated(header, arrays, rng):
    if not header.get("lower"):
        raise NothingToChange
    header["lower"]["scale"] *= -1.0
    if not (header["lower"]["scale"] != 0.0):
        raise NothingToChange


@change
def oracle_bound_lowered(header, arrays, rng):
    if not header.get("lower"):
        raise NothingToChange
    header["lower"]["bound"] *= float(rng.choice([0.0, 0.5, 1.0 - 1e-6]))


@change
def oracle_bound_lowered_and_scale_raised(header, arrays, rng):
    """What would give a better bound, and so must not be possible: the value is raised to what it would be."""
    if not header.get("lower") or header["problem"]["loss"] != "interpolate":
        raise NothingToChange
    factor = 1.0 + float(rng.choice([1e-5, 0.1]))
    header["lower"]["bound"] /= factor
    header["lower"]["scale"] *= factor * (1 - 1e-12)
    header["lower"]["value"] *= factor * (1 - 1e-12)


@change
def oracle_bound_negated(header, arrays, rng):
    if not header.get("lower"):
        raise NothingToChange
    header["lower"]["bound"] *= -1.0


# -- the oracle ----------------------------------------------------------------------------------------------------------


@change
def oracle_kind_changed(header, arrays, rng):
    oracle = inner(header)
    if not oracle:
        raise NothingToChange
    kinds = [
        "spectral",
        "tree",
        "directions",
        "cells",
        "plane",
        "moments",
        "regions",
        "none",
        None,
        1,
        ["plane"],
        "spatial",
    ]
    kinds.remove(oracle["kind"])
    oracle["kind"] = kinds[rng.integers(len(kinds))]


@change
def oracle_replaced_by_the_plane(header, arrays, rng):
    """Every array of the proof dropped as well, so that only the dimension is in the way."""
    if inner(header).get("kind") in (None, "plane"):
        raise NothingToChange
    for name in set(arrays) - {"X", "Y", "W1", "W2", "repair_W", "repair_B", "G", "basis", "coordinates"}:
        del arrays[name]
    oracle = inner(header)
    oracle.clear()
    oracle["kind"] = "plane"


@change
def coordinates_inside_coordinates(header, arrays, rng):
    if not header.get("lower"):
        raise NothingToChange
    lower = header["lower"]
    lower["oracle"] = {"kind": "coordinates", "bound": lower["bound"], "inner": lower["oracle"]}


@change
def inner_bound_changed(header, arrays, rng):
    oracle = (header.get("lower") or {}).get("oracle") or {}
    if oracle.get("kind") != "coordinates":
        raise NothingToChange
    oracle["bound"] *= float(rng.choice([-1.0, 0.0, 0.999, 1.001]))


@change
def negative_inner_bound_and_a_small_bound(header, arrays, rng):
    """√(1 + …)·bound ≤ u holds for a negative bound, whatever u is."""
    oracle = (header.get("lower") or {}).get("oracle") or {}
    if oracle.get("kind") != "coordinates":
        raise NothingToChange
    lower = header["lower"]
    oracle["bound"] *= -1.001
    lower["bound"] /= 2
    lower["scale"] *= 2 * (1 - 1e-9)


@change
def basis_scaled(header, arrays, rng):
    if "basis" not in arrays:
        raise NothingToChange
    arrays["basis"] *= 0.5


@change
def coordinate_changed(header, arrays, rng):
    if "coordinates" not in arrays:
        raise NothingToChange
    arrays["coordinates"][some(arrays["coordinates"], rng)] *= 1.0 + float(rng.choice([-1e-6, 0.5]))


@change
def coordinates_halved(header, arrays, rng):
    if "coordinates" not in arrays:
        raise NothingToChange
    arrays["coordinates"] *= 0.5


@change
def norm_lowered(header, arrays, rng):
    if not len(arrays.get("norms", ())):
        raise NothingToChange
    arrays["norms"][some(arrays["norms"], rng)] *= 1.0 - 1e-6


@change
def norms_negated(header, arrays, rng):
    if not len(arrays.get("norms", ())):
        raise NothingToChange
    arrays["norms"] *= -1.0


@change
def norms_zero(header, arrays, rng):
    if not len(arrays.get("norms", ())):
        raise NothingToChange
    arrays["norms"] *= 0.0


@change
def vertex_value_lowered(header, arrays, rng):
    if "values" not in arrays:
        raise NothingToChange
    arrays["values"][rng.integers(len(arrays["values"]))] -= 1e-5


@change
def normal_shortened(header, arrays, rng):
    if "normals" not in arrays:
        raise NothingToChange
    arrays["normals"] *= 1.0 - 1e-5


@change
def normal_lengthened(header, arrays, rng):
    if "normals" not in arrays:
        raise NothingToChange
    arrays["normals"] *= 1.1


@change
def normals_exchanged(header, arrays, rng):
    if "normals" not in arrays:
        raise NothingToChange
    arrays["normals"] = arrays["normals"][::-1].copy()


@change
def outputs_changed(header, arrays, rng):
    if "outputs" not in arrays:
        raise NothingToChange
    arrays[str(rng.choice(["outputs", "output_basis"]))] *= 0.5


@change
def exponent_changed(header, arrays, rng):
    if "exponents" not in arrays:
        raise NothingToChange
    arrays["exponents"][rng.integers(len(arrays["exponents"]))] += rng.choice([-3, 3, 10**6])


@change
def grid_changed(header, arrays, rng):
    grid = inner(header).get("grid")
    if grid is None:
        raise NothingToChange
    grid[rng.integers(3)] += int(rng.choice([-1, 1, 100]))


@change
def plane_dropped(header, arrays, rng):
    if not len(arrays.get("planes", ())):
        raise NothingToChange
    arrays["planes"] *= -1.0


# -- steps of trees ------------------------------------------------------------------------------------------------------


@change
def multiplier_negated(header, arrays, rng):
    if not len(arrays.get("mu", ())):
        raise NothingToChange
    i = some(arrays["mu"], rng)
    arrays["mu"][i] *= -1
    if not (arrays["mu"][i] != 0):
        raise NothingToChange


@change
def cap_multiplier_negated(header, arrays, rng):
    if not len(arrays.get("rho", ())):
        raise NothingToChange
    i = some(arrays["rho"], rng)
    arrays["rho"][i] *= -1
    if not (arrays["rho"][i] != 0):
        raise NothingToChange


@change
def multiplier_far_above_one(header, arrays, rng):
    if not len(arrays.get("y", ())):
        raise NothingToChange
    arrays["y"][rng.integers(len(arrays["y"]))] += 1 << inner(header)["grid"][0]


@change
def multiplier_below_zero(header, arrays, rng):
    if not len(arrays.get("y", ())):
        raise NothingToChange
    arrays["y"][some(arrays["y"], rng)] *= -1


@change
def leaf_dropped(header, arrays, rng):
    step = a_step(header, arrays, rng, 0)
    if step is None:
        raise NothingToChange
    arrays["proof"] = np.delete(arrays["proof"], np.arange(*step))


@change
def second_child_dropped(header, arrays, rng):
    """The branch is replaced by its first child: half the ball is not covered."""
    step = a_step(header, arrays, rng, 4)
    if step is None:
        raise NothingToChange
    arrays["proof"] = np.delete(arrays["proof"], np.arange(*step))


@change
def leaf_called_empty(header, arrays, rng):
    step = a_step(header, arrays, rng, 0)
    branched = a_step(header, arrays, rng, 4)
    if step is None or branched is None:
        raise NothingToChange
    point = arrays["proof"][branched[0] + 1] // 2
    proof = arrays["proof"].tolist()
    arrays["proof"] = np.array([*proof[: step[0]], 3, point, *proof[step[1] :]])


@change
def branch_sign_flipped(header, arrays, rng):
    step = a_step(header, arrays, rng, 4)
    if step is None:
        raise NothingToChange
    arrays["proof"][step[0] + 1] ^= 1


@change
def branch_on_another_point(header, arrays, rng):
    step = a_step(header, arrays, rng, 4)
    if step is None:
        raise NothingToChange
    arrays["proof"][step[0] + 1] = (arrays["proof"][step[0] + 1] + 2) % (2 * header["problem"]["N"])


@change
def tightening_on_the_other_side(header, arrays, rng):
    step = a_step(header, arrays, rng, 2)
    if step is None:
        raise NothingToChange
    arrays["proof"][step[0] + 1] ^= 1


@change
def tightening_of_another_point(header, arrays, rng):
    step = a_step(header, arrays, rng, 2)
    if step is None:
        raise NothingToChange
    arrays["proof"][step[0] + 1] = (arrays["proof"][step[0] + 1] + 2) % (2 * header["problem"]["N"])


@change
def tightening_dropped(header, arrays, rng):
    """With its multipliers, where it has none that others would have to move up for."""
    step = a_step(header, arrays, rng, 2)
    if step is None:
        raise NothingToChange
    arrays["proof"] = np.delete(arrays["proof"], np.arange(*step))


@change
def tree_scale_changed(header, arrays, rng):
    if inner(header).get("kind") != "tree" or not np.any(arrays["rho"]):
        raise NothingToChange
    arrays["proof"][0] += rng.choice([-1, 1, 10**5])


# -- cones ---------------------------------------------------------------------------------------------------------------


@change
def theta_changed(header, arrays, rng):
    if not len(arrays.get("theta", ())):
        raise NothingToChange
    arrays["theta"][rng.integers(len(arrays["theta"]))] = rng.choice([-1, 0, 1, 63, 255, 256])


@change
def theta_shorter(header, arrays, rng):
    if not len(arrays.get("theta", ())):
        raise NothingToChange
    arrays["theta"] = arrays["theta"][:-1]


@change
def edge_changed(header, arrays, rng):
    edges = np.flatnonzero(arrays["proof"]) if "theta" in arrays else ()
    if not len(edges):
        raise NothingToChange
    arrays["proof"][rng.choice(edges)] = rng.integers(0, 5)


@change
def cones_swapped(header, arrays, rng):
    """Two entries that follow one another, so that children change places."""
    if "theta" not in arrays:
        raise NothingToChange
    i = rng.integers(len(arrays["proof"]) - 1)
    arrays["proof"][[i, i + 1]] = arrays["proof"][[i + 1, i]]


@change
def bits_changed(header, arrays, rng):
    if inner(header).get("kind") != "spatial":
        raise NothingToChange
    inner(header)["bits"][rng.integers(2)] += int(rng.choice([-30, -1, 1, 30, 4000]))


# -- integers of any proof -----------------------------------------------------------------------------------------------


@change
def integer_of_the_proof_changed(header, arrays, rng):
    if not len(arrays.get("proof", ())):
        raise NothingToChange
    i = rng.integers(len(arrays["proof"]))
    arrays["proof"][i] += rng.choice([-1, 1])


@change
def integer_of_the_proof_negated(header, arrays, rng):
    if not len(arrays.get("proof", ())):
        raise NothingToChange
    arrays["proof"][some(arrays["proof"], rng)] *= -1


@change
def large_integer_of_the_proof_changed(header, arrays, rng):
    """An entry of a factor, ρ, λ or a weight: by one part in a thousand."""
    large = np.flatnonzero(np.abs(arrays.get("proof", np.zeros(0))) > 1 << 30)
    if not len(large):
        raise NothingToChange
    i = rng.choice(large)
    arrays["proof"][i] -= arrays["proof"][i] // 1000


@change
def integer_of_the_proof_enormous(header, arrays, rng):
    if not len(arrays.get("proof", ())):
        raise NothingToChange
    arrays["proof"][rng.integers(len(arrays["proof"]))] = rng.choice([-1, 1]) * ((1 << 63) - 1)


@change
def proof_cut_off(header, arrays, rng):
    if not len(arrays.get("proof", ())):
        raise NothingToChange
    arrays["proof"] = arrays["proof"][: rng.integers(len(arrays["proof"]))]


@change
def proof_longer(header, arrays, rng):
    name = str(rng.choice(["proof", "y", "rho", "mu"]))
    if name not in arrays:
        raise NothingToChange
    arrays[name] = np.append(arrays[name], 0)


# -- arrays and header ---------------------------------------------------------------------------------------------------


@change
def array_missing(header, arrays, rng):
    del arrays[str(rng.choice(sorted(arrays)))]


@change
def array_superfluous(header, arrays, rng):
    arrays["more"] = np.zeros(0)


@change
def array_truncated(header, arrays, rng):
    name = str(rng.choice([name for name in sorted(arrays) if len(arrays[name])]))
    arrays[name] = arrays[name][:-1]


@change
def array_longer(header, arrays, rng):
    name = str(rng.choice(sorted(arrays)))
    arrays[name] = np.append(arrays[name], arrays[name].dtype.type(0))


@change
def array_emptied(header, arrays, rng):
    name = str(rng.choice([name for name in sorted(arrays) if len(arrays[name])]))
    arrays[name] = arrays[name][:0]


@change
def array_of_the_other_type(header, arrays, rng):
    name = str(rng.choice(sorted(arrays)))
    other = np.int64 if arrays[name].dtype.kind == "f" else np.float64
    arrays[name] = arrays[name].astype(other)


@change
def array_with_no_number(header, arrays, rng):
    name = str(rng.choice([name for name in sorted(arrays) if arrays[name].dtype.kind == "f" and len(arrays[name])]))
    arrays[name][rng.integers(len(arrays[name]))] = rng.choice([np.nan, np.inf, -np.inf])


@change
def array_with_a_huge_number(header, arrays, rng):
    name = str(rng.choice([name for name in sorted(arrays) if arrays[name].dtype.kind == "f" and len(arrays[name])]))
    arrays[name][rng.integers(len(arrays[name]))] = rng.choice([-1e308, 1e308, 5e-324])


def _places(value, path=()):
    """The paths of all values in a JSON object."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def _set(header, path, value):
    for key in path[:-1]:
        header = header[key]
    header[path[-1]] = value


@change
def value_of_the_header_replaced(header, arrays, rng):
    places = [path for path in _places(header) if path and path[0] not in ("created_by",)]
    values = [None, True, False, -1, 0, 10**400, "", "1", [], {}, [[]], 1e308, 5e-324, 0.5, -0.0, 1 << 62, "\ud800"]
    _set(header, places[rng.integers(len(places))], values[rng.integers(len(values))])


@change
def key_of_the_header_dropped(header, arrays, rng):
    objects = [path for path in _places(header) if isinstance(_at(header, path), dict)]
    target = _at(header, objects[rng.integers(len(objects))])
    if not target:
        raise NothingToChange
    del target[str(rng.choice(sorted(target)))]


@change
def key_of_the_header_added(header, arrays, rng):
    objects = [path for path in _places(header) if isinstance(_at(header, path), dict)]
    _at(header, objects[rng.integers(len(objects))])["more"] = 1


def _at(header, path):
    for key in path:
        header = header[key]
    return header


# -- bytes ---------------------------------------------------------------------------------------------------------------


def parts(content):
    size = int.from_bytes(content[8:16], "little")
    return content[16 : 16 + size], content[16 + size :]


def joined(text, blobs, size=None):
    return check.MAGIC + struct.pack("<Q", len(text) if size is None else size) + text + blobs


@raw
def key_given_twice(content, rng):
    text, blobs = parts(content)
    key = str(rng.choice(["claim", "problem", "created_by"]))
    value = json.dumps(json.loads(text)[key])
    return joined(text[:-1] + f', "{key}": {value}}}'.encode(), blobs)


@raw
def inner_key_given_twice(content, rng):
    text, blobs = parts(content)
    return joined(text.replace(b'"N":', b'"N": 1, "N":', 1), blobs)


@raw
def array_given_twice(content, rng):
    text, blobs = parts(content)
    header = json.loads(text)
    entry = header["arrays"][0]
    header["arrays"].insert(0, entry)
    return joined(json.dumps(header).encode(), blobs[: entry["stored"]] + blobs)


@raw
def constant_that_is_no_number(content, rng):
    text, blobs = parts(content)
    name = rng.choice([b"NaN", b"Infinity", b"-Infinity"])
    return joined(text.replace(b'"beta": ', b'"beta": ' + name + b', "b": ', 1), blobs)


@raw
def number_too_large_for_a_float(content, rng):
    text, blobs = parts(content)
    header = json.loads(text)
    beta = json.dumps(header["problem"]["beta"]).encode()
    return joined(text.replace(b'"beta": ' + beta, b'"beta": 1e999', 1), blobs)


@raw
def number_with_ten_thousand_digits(content, rng):
    text, blobs = parts(content)
    header = json.loads(text)
    N = str(header["problem"]["N"]).encode()
    return joined(text.replace(b'"N": ' + N, b'"N": ' + b"1" * 10000, 1), blobs)


@raw
def header_length_wrong(content, rng):
    text, blobs = parts(content)
    wrong = [len(text) - 1, len(text) + 1, 0, (1 << 64) - 1, len(text) + len(blobs) + 1, 1 << 27]
    return joined(text, blobs, wrong[rng.integers(len(wrong))])


@raw
def header_not_utf8(content, rng):
    text, blobs = parts(content)
    at = int(rng.integers(1, len(text)))
    return joined(text[:at] + b"\xff" + text[at:], blobs)


@raw
def header_of_another_type(content, rng):
    _, blobs = parts(content)
    texts = [b"[]", b"1", b"null", b'"text"', b"{}", b'{"arrays": 1}', b"", b'{"arrays": [1]}', b'{"arrays": []}']
    return joined(texts[rng.integers(len(texts))], blobs)


@raw
def version_changed(content, rng):
    at = int(rng.integers(8))
    return content[:at] + bytes([content[at] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :]


@raw
def cut_off(content, rng):
    return content[: int(rng.integers(len(content)))]


@raw
def bytes_after_the_end(content, rng):
    return content + b"\0"


@raw
def entry_of_the_arrays_changed(content, rng):
    text, blobs = parts(content)
    header = json.loads(text)
    entry = header["arrays"][rng.integers(len(header["arrays"]))]
    key = str(rng.choice(["count", "stored"]))
    entry[key] += int(rng.choice([-1, 1, -entry[key] - 1, 1 << 40]))
    return joined(json.dumps(header).encode(), blobs)


@raw
def arrays_exchanged(content, rng):
    text, blobs = parts(content)
    header = json.loads(text)
    i, j = rng.choice(len(header["arrays"]), 2, replace=False)
    first, second = header["arrays"][i], header["arrays"][j]
    first["name"], second["name"] = second["name"], first["name"]
    return joined(json.dumps(header).encode(), blobs)


@raw
def compressed_byte_changed(content, rng):
    text, blobs = parts(content)
    at = int(rng.integers(len(blobs)))
    return joined(text, blobs[:at] + bytes([blobs[at] ^ (1 << int(rng.integers(8)))]) + blobs[at + 1 :])


# -- the tests -----------------------------------------------------------------------------------------------------------


def contains(claim, certificate):
    """The claimed interval contains the original's."""
    lower, upper = claim["lower"], claim["upper"]
    if (lower is not None and certificate.lower is None) or (upper is not None and certificate.upper is None):
        return False
    return (lower is None or lower <= certificate.lower) and (upper is None or upper >= certificate.upper)


def still_true(one, content, claim):
    """Whether what an accepted mutant claims is true, without asking the checker."""
    header, arrays = check.parse(content)
    original, old = check.parse(one.content)
    same = all(header["problem"][key] == original["problem"][key] for key in original["problem"])
    same = same and all(arrays[name].tobytes() == old[name].tobytes() for name in ("X", "Y"))
    if same:
        assert claim["sha256"] == one.problem.sha256
        assert claim["kind"] == one.certificate.claim
        return claim["kind"] == "infeasible" or contains(claim, one.certificate)
    return true_of_another_problem(header, arrays, claim)


def true_of_another_problem(header, arrays, claim):
    p = header["problem"]
    X = np.array(arrays["X"]).reshape(p["N"], p["n0"])
    Y = np.array(arrays["Y"]).reshape(p["N"], p["m"])
    if claim["kind"] == "infeasible":
        return p["loss"] == "interpolate" and is_broken_relation(p, X, Y, header["relation"])
    settings = {key: p[key] for key in ("loss", "a_plus", "a_minus", "beta")} | {"lam": p["lambda"]}
    lower, upper = claim["lower"], claim["upper"]
    if upper is not None:
        W1 = np.array(arrays["W1"]).reshape(-1, p["n0"] + (p["beta"] != 0))
        W2 = np.array(arrays["W2"]).reshape(p["m"], -1)
        value = network_loss(W1, W2, X, Y, **settings)
        if value > upper * (1 + 1e-12) or (lower is not None and lower > upper):
            return False
    if p["m"] == 1 and p["loss"] != "cross_entropy" and p["N"] <= 8:
        expected = optimum(X, Y[:, 0], **settings)
        if lower is not None and lower > expected.upper * (1 + 1e-10):
            return False
        if upper is not None and upper < expected.lower * (1 - 1e-10):
            return False
    return True


def is_broken_relation(p, X, Y, relation):
    """Σ c_i σ(x̃_iᵀw) = 0 for many integer w and βΣ c_i = 0, in rationals; Yc ≠ 0."""
    c = [Fraction(0)] * p["N"]
    for i, text in relation:
        c[i] = Fraction(text)
    slopes = Fraction(p["a_minus"]), Fraction(p["a_plus"])
    points = [[Fraction(x) for x in [*row, *([p["beta"]] if p["beta"] else [])]] for row in X.tolist()]
    if p["beta"] and sum(c):
        return False
    for w in np.random.default_rng(0).integers(-1000, 1000, size=(200, len(points[0]))).tolist():
        S = [sum(a * b for a, b in zip(point, w, strict=True)) for point in points]
        if sum(x * slopes[s > 0] * s for x, s in zip(c, S, strict=True)):
            return False
    return any(sum(Fraction(y) * x for y, x in zip(column, c, strict=True)) for column in Y.T.tolist())


def mutant(one, operator, rng):
    """The bytes of a mutant, or None."""
    if operator in RAW:
        return RAW[operator](one.content, rng)
    header, arrays = one.read()
    try:
        CHANGES[operator](header, arrays, rng)
    except NothingToChange:
        return None
    try:
        return write(header, arrays)
    except UnicodeEncodeError:  # half of a surrogate pair can only be written as an escape
        text, blobs = parts(write({}, arrays))
        return joined(json.dumps({**header, **json.loads(text)}).encode(), blobs)


def attack(made, operators, seeds, stride=1):
    """Counts of (operator, outcome); every other outcome fails. Of all mutants each stride-th is taken."""
    counts = Counter()
    number = 0
    for operator in operators:
        for name, one in made.items():
            for seed in seeds:
                rng = np.random.default_rng([seed, *operator.encode(), *name.encode()])
                content = mutant(one, operator, rng)
                if content is None or content == one.content:
                    continue
                number += 1
                if number % stride != 1 % stride:
                    continue
                try:
                    claim = check.check(content)
                except check.Rejected as error:
                    assert str(error)
                    counts[operator, "rejected"] += 1
                    continue
                assert still_true(one, content, claim), f"{operator} on {name}, seed {seed}: {claim}"
                counts[operator, "still true"] += 1
    return counts


def test_the_certificates_are_varied(made):
    found = set().union(*(one.kinds for one in made.values()))
    assert len(made) >= 30
    assert found >= {
        "plane", "spectral 0", "spectral 1", "spectral 2", "tree arrangement", "tree branch", "directions", "spatial",
        "output_basis", "cells", "planes", "coordinates", "infeasible", "upper network", "upper repaired", "relations",
    }  # fmt: skip
    inside = {inner(one.read()[0]).get("kind") for one in made.values() if "coordinates" in one.kinds}
    assert inside >= {"plane", "tree", "cells", "directions", "moments", "spatial"}
    assert {one.problem.loss.name for one in made.values()} == set(check.LOSSES)
    assert {np.sign(one.problem.beta) for one in made.values()} == {-1.0, 0.0, 1.0}
    for one in made.values():
        claim = check.check(one.content)
        assert claim["sha256"] == one.problem.sha256
        if claim["kind"] == "minimum":
            assert (claim["lower"], claim["upper"]) == (one.certificate.lower, one.certificate.upper)
            assert one.certificate.lower is not None and one.certificate.upper is not None, one.name


def test_there_are_enough_operators():
    assert len(CHANGES) + len(RAW) >= 20
    assert not set(CHANGES) & set(RAW)


# What must never be accepted: it claims more, or is no certificate.
ALWAYS_REJECTED = {
    "lower_raised_by_a_billionth", "lower_raised_to_the_next_number", "upper_lowered_by_a_billionth",
    "upper_lowered_to_the_next_number", "bounds_swapped", "claim_changed", "lower_side_without_its_arrays",
    "datum_changed_hash_kept", "target_changed_hash_kept", "number_of_the_problem_changed_hash_kept",
    "shape_changed_hash_updated", "hash_changed", "upper_kind_changed", "relation_coefficient_changed",
    "scale_negated", "oracle_kind_changed", "coordinates_inside_coordinates",
    "negative_inner_bound_and_a_small_bound", "basis_scaled", "norms_negated", "norms_zero", "normal_shortened",
    "multiplier_negated", "cap_multiplier_negated", "leaf_dropped", "second_child_dropped", "leaf_called_empty",
    "proof_longer", "proof_cut_off", "theta_shorter", "array_missing", "array_superfluous",
    "array_truncated", "array_longer", "array_with_no_number", "key_of_the_header_dropped", "key_of_the_header_added",
    "key_given_twice", "inner_key_given_twice", "array_given_twice", "constant_that_is_no_number",
    "number_too_large_for_a_float", "number_with_ten_thousand_digits", "header_length_wrong", "header_not_utf8",
    "header_of_another_type", "version_changed", "cut_off", "bytes_after_the_end", "entry_of_the_arrays_changed",
    "compressed_byte_changed", "oracle_bound_lowered_and_scale_raised",
}  # fmt: skip


@pytest.mark.parametrize("operator", [*CHANGES, *RAW])
def test_a_mutant_is_rejected_or_still_true(made, operator):
    counts = attack(made, [operator], [0], stride=3)
    assert sum(counts.values()) > 0, "the operator changes nothing"
    if operator in ALWAYS_REJECTED:
        assert counts[operator, "still true"] == 0
    if operator == "claims_weakened":
        assert counts[operator, "rejected"] == 0


@pytest.mark.campaign
def test_many_mutants(made):
    counts = attack(made, [*CHANGES, *RAW], range(1, 6))
    for operator in [*CHANGES, *RAW]:
        print(f"{operator}: {counts[operator, 'rejected']} rejected, {counts[operator, 'still true']} still true")
    print(f"{sum(counts.values())} mutants of {len(made)} certificates ({len(SETTINGS)} settings)")
