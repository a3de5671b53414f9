"""The page of a certificate: what it claims, in a sentence and a picture, what proves it, and how to verify it.

One HTML file that asks for nothing else: no script, pictures as SVG inside it, and a content security policy that forbids
requests. A page is made of a certificate that its checker has just accepted; but a page proves nothing, and says so.
"""

from __future__ import annotations

import hashlib
import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cpcert import __version__
from cpcert.activations import Activation
from cpcert.certificate import check
from cpcert.certificate.reading import CHECKERS, MINIMA, Claim, ClaimKind, read_claim
from cpcert.losses import LOSSES
from cpcert.network import Network
from cpcert.pages import pictures
from cpcert.pages.leaves import leaf_depths
from cpcert.printing import about, enclosure, rounded_up, whole

MOST_NEURONS, MOST_FEATURES, MOST_ORDER = 200, 12, 24
PROOFS = {
    "spectral": "products of norms",
    "plane": "all arcs of the circle of directions",
    "tree": "a tree over the signs of points, with multipliers in its leaves",
    "directions": "trees for directions of the output, joined by planes",
    "cells": "a tree over signs with a semidefinite proof in each leaf",
    "spatial": "a tree of simplicial cones of directions",
    "moments": "one semidefinite inequality for all neurons",
    "regions": "a semidefinite inequality for all neurons in each of several regions",
    "coordinates": "the points in as few coordinates as their rank, then",
}


@dataclass(frozen=True)
class Section:
    """A heading and the HTML below it, escaped already."""

    title: str
    body: str


def certificate_page(path: Path) -> str:
    """The HTML of the page for the certificate at `path`.

    Raises check.Rejected if the checker does not accept it, InputError if it cannot be read.
    """
    claim = read_claim(path)
    content = path.read_bytes()
    sections = [Section("What is proven", _claim(claim))]
    created_by = None
    module = CHECKERS.get(content[: len(check.MAGIC)])
    if module is not None:
        header, arrays = module.parse(content)
        created_by = header["created_by"]
        sections += _solution(claim, header, arrays)
    else:
        sections += _matrices(json.loads(content))
    sections.append(Section("How to verify it", _verification(claim, path.name, content, created_by)))
    return _html(path.name, sections)


# -- the claim -----------------------------------------------------------------------------------------------------------


def _claim(claim: Claim) -> str:
    """The sentence, and the interval as a bar if there are two sides."""
    lower, upper = claim.lower, claim.upper
    sentence = claim.sentence()
    parts = [f'<p class="claim">{html.escape(sentence[0].upper() + sentence[1:])}.</p>']
    if claim.kind not in MINIMA:
        return parts[0]
    if lower is not None and upper is not None:
        gap = rounded_up((upper - lower) / abs(upper)) if upper else rounded_up(upper - lower)
        parts.append(_bar(lower, upper))
        parts.append(
            f"<p>The global minimum is {enclosure(lower, upper)}: the relative gap is at most {gap}. "
            "No network of any width has a smaller loss than the left end; the network below attains the right end.</p>"
        )
    elif upper is not None:
        parts.append(
            "<p>Only the upper end is claimed: a network attains it, and nothing is said about better ones.</p>"
        )
    elif lower is not None:
        parts.append("<p>Only the lower end is claimed: no network of any width has a smaller loss.</p>")
    return "\n".join(parts)


def _bar(lower: float, upper: float) -> str:
    """The interval on an axis from 0, if it is one of positive numbers."""
    if not 0.0 <= lower <= upper or upper == 0.0:
        return ""
    start = 100.0 * lower / upper
    return (
        f'<div class="bar" role="img" aria-label="the interval on an axis from 0 to its upper end">'
        f'<div class="excluded" style="width:{start:.4f}%"></div>'
        f'<div class="open" style="width:{max(100.0 - start, 0.4):.4f}%"></div></div>'
        '<p class="key"><span class="excluded"></span> proven: no network is here '
        '<span class="open"></span> the minimum is here</p>'
    )


# -- problems --------------------------------------------------------------------------------------------------------------


def _solution(claim: Claim, header: dict[str, Any], arrays: dict[str, Any]) -> list[Section]:
    problem = header["problem"]
    N, n0, m = (problem[key] for key in ("N", "n0", "m"))
    X = np.asarray(arrays["X"], dtype=float).reshape(N, n0)
    Y = np.asarray(arrays["Y"], dtype=float).reshape(N, m)
    activation = Activation("of the file", problem["a_plus"], problem["a_minus"])
    sections = [Section("The problem", _problem(claim, problem, arrays.get("weights")))]
    network = _network(header, arrays, activation)
    if network is not None:
        sections.append(Section("The network", _neurons(network, X, Y, problem)))
    if claim.kind == ClaimKind.MINIMUM and header["lower"] is not None:
        G = np.asarray(arrays["G"], dtype=float).reshape(m, N)
        if LOSSES[problem["loss"]].last_row_implied:
            G[-1] = -G[:-1].sum(axis=0)
        sections.append(Section("The dual point", _dual(header, network, X, G, activation)))
        sections.append(Section("The proof", _proof(header["lower"], arrays, m)))
    sections.append(Section("What is in the file", _arrays(arrays)))
    return sections


def _problem(claim: Claim, problem: dict[str, Any], weights: Any) -> str:
    loss = problem["loss"]
    weighted = (
        {} if weights is None else {"weights of the points": f"{about(min(weights), 3)} to {about(max(weights), 3)}"}
    )
    rows = {
        "loss": loss if LOSSES[loss].is_constraint else f"{loss}, λ = {whole(problem['lambda'])}",
        "activation": f"σ(s) = {whole(problem['a_plus'])}·max(s, 0) − {whole(problem['a_minus'])}·max(−s, 0)",
        "biases": f"β = {whole(problem['beta'])}" if problem["beta"] else "none (β = 0)",
        "layers of weights": str(problem["depth"]),
        "data": ", ".join(
            _count(problem[key], what) for key, what in (("N", "point"), ("n0", "feature"), ("m", "output"))
        ),
        **weighted,
        "SHA-256 of the problem": problem["sha256"],
    }
    about_it = (
        "The minimum of Σ‖W‖² over all networks with exactly these outputs."
        if LOSSES[loss].is_constraint
        else "L(W) = C(Z) + λ Σ‖W‖², over all widths of the hidden layers; biases are penalised like the rest."
    )
    return f"<p>{about_it}</p>{_table(rows)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _network(header: dict[str, Any], arrays: dict[str, Any], activation: Activation) -> Network | None:
    problem, upper = header["problem"], header.get("upper")
    if upper is None and not header.get("network"):
        return None
    bias = int(problem["beta"] != 0.0)
    if problem["depth"] == 2:
        columns = problem["n0"] + bias
        widths = [len(arrays["W1"]) // columns if columns else 0]
    else:
        widths = list(header["upper"]["widths"])
    sizes = [problem["n0"], *widths, problem["m"]]
    weights = [
        np.asarray(arrays[f"W{layer}"], dtype=float).reshape(sizes[layer], sizes[layer - 1] + bias)
        for layer in range(1, len(sizes))
    ]
    return Network(tuple(weights), activation, problem["beta"])


def _neurons(network: Network, X: np.ndarray, Y: np.ndarray, problem: dict[str, Any]) -> str:
    parts = [f"<p>Hidden neurons: {' + '.join(map(str, network.widths[1:-1]))}.</p>"]
    W, n0, name = network.weights[0], X.shape[1], LOSSES[problem["loss"]].output_name
    if n0 == 1:
        parts.append(_figure(pictures.one_feature(
            X[:, 0], Y, W if network.depth == 2 else W[:0], network.predict, network.beta, name)))  # fmt: skip
    elif n0 == 2:
        parts.append(_figure(pictures.two_features(X, Y, W, network.predict, network.beta, name)))
    if network.depth == 2 and len(W):
        parts.append(_neuron_table(network, n0))
    return "\n".join(parts)


def _neuron_table(network: Network, n0: int) -> str:
    """A row for each neuron v σ(wᵀx̃) with ‖w‖ = 1, the largest ‖v‖ first."""
    W, V, _ = network.neurons()
    size = np.linalg.norm(V, axis=0)
    largest = np.argsort(-size, kind="stable")[:MOST_NEURONS]

    def entries(values: np.ndarray) -> list[str]:
        return [about(value, 4) for value in values[:MOST_FEATURES]] + ["…"] * (len(values) > MOST_FEATURES)

    def names(letter: str, count: int) -> list[str]:
        return [f"{letter}<sub>{j + 1}</sub>" for j in range(min(count, MOST_FEATURES))] + ["…"] * (
            count > MOST_FEATURES
        )

    bias = ["w<sub>bias</sub>"] * bool(network.beta)
    head = "".join(f"<th>{name}</th>" for name in ["‖v‖", *names("w", n0), *bias, *names("v", len(V))])
    rows = []
    for k in largest:
        last = [about(W[k, -1], 4)] * bool(network.beta)
        cells = [about(size[k], 4), *entries(W[k, :n0]), *last, *entries(V[:, k])]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    more = "" if len(W) <= MOST_NEURONS else f"<p>The {MOST_NEURONS} largest of {len(W)} are shown.</p>"
    text = "<p>Each row is a neuron v σ(wᵀx̃) with ‖w‖ = 1.</p>"
    return f'{text}<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>{more}'


def _dual(header: dict[str, Any], network: Network | None, X: np.ndarray, G: np.ndarray, activation: Activation) -> str:
    problem, lower = header["problem"], header["lower"]
    # s·G is the feasible dual point: in its units the limit is 2λ (1 for interpolate, whose λ is 1: 2).
    lam = 1.0 if LOSSES[problem["loss"]].is_constraint else problem["lambda"]
    if not lower["scale"] > 0.0:
        return "<p>The bound is that of the dual point 0.</p>"
    limit = 2.0 * lam / lower["scale"]
    X_tilde = np.vstack([X.T, np.full((1, len(X)), problem["beta"])]) if problem["beta"] else X.T
    W = np.zeros((0, len(X_tilde))) if network is None else network.weights[0]
    text = (
        "<p>A dual point G is feasible if ‖Gσ(X̃ᵀw)‖ ≤ 2λ for every unit vector w; then it bounds the loss of all networks "
        "from below. The neurons of an optimal network lie where it touches 2λ. Drawn from floats; the proof is below.</p>"
    )
    norms = np.linalg.norm(W, axis=1)
    if len(X_tilde) == 2:
        return text + _figure(pictures.dual_at_angles(X_tilde, G, activation, W, limit))
    if not np.any(norms > 0.0):
        return text
    units = W[norms > 0.0] / norms[norms > 0.0, np.newaxis]
    values = np.linalg.norm(activation(units @ X_tilde) @ G.T, axis=1) / limit
    return text + _figure(pictures.dual_at_neurons(values))


def _proof(lower: dict[str, Any], arrays: dict[str, Any], m: int) -> str:
    oracle, kinds = lower["oracle"], []
    while True:
        kinds.append(PROOFS.get(oracle["kind"], oracle["kind"]))
        if "inner" not in oracle:
            break
        oracle = oracle["inner"]
    rank = len(arrays["outputs"]) // (len(arrays["G"]) // m) if "outputs" in arrays else m
    depths = leaf_depths(lower["oracle"], arrays, rank)
    text = (
        f"<p>That G, scaled by {whole(lower['scale'])}, is feasible follows from "
        f"‖Gσ(X̃ᵀw)‖ ≤ {whole(lower['bound'])} for all unit w, and that is proven by {' '.join(kinds)}.</p>"
    )
    if not depths:
        return text
    total = sum(depths.values())
    return f"{text}<p>{total} leaves, at most {max(depths)} branchings deep.</p>{_figure(pictures.leaves(depths))}"


def _arrays(arrays: dict[str, Any]) -> str:
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{len(values)}</td></tr>" for name, values in arrays.items())
    return f"<table><tr><th>array</th><th>numbers</th></tr>{rows}</table>"


# -- matrices --------------------------------------------------------------------------------------------------------------


def _matrices(claim: dict[str, Any]) -> list[Section]:
    """The matrices of a claim about the cp-rank or Rank_σ, and the kinds of its proofs."""
    sections = []
    for name in ("A", "K", "K_sigma"):
        rows = claim.get(name)
        if rows is None:
            continue
        if len(rows) > MOST_ORDER:
            sections.append(Section(f"The matrix {name}", f"<p>Of order {len(rows)}: not shown.</p>"))
            continue
        cells = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(entry))}</td>" for entry in row) + "</tr>" for row in rows
        )
        sections.append(Section(f"The matrix {name}", f'<div class="wide"><table class="matrix">{cells}</table></div>'))
    proofs = {key: claim[key]["kind"] for key in ("proof", "lower_proof", "upper_proof") if claim.get(key)}
    sections.append(Section("The proof", _table({key.replace("_", " "): kind for key, kind in proofs.items()})))
    return sections


# -- how to verify, and the page ---------------------------------------------------------------------------------------------


def _verification(claim: Claim, name: str, content: bytes, created_by: str | None) -> str:
    module = CHECKERS.get(content[: len(check.MAGIC)])
    checker = "rank_check.py" if module is None else f"{module.__name__.rpartition('.')[2]}.py"
    commands = (
        f"cpcert verify {name}\npython {checker} {name}        # the checker alone: one file, Python and nothing else"
    )
    rows = {
        "file": f"{name}, {len(content)} bytes",
        "SHA-256 of the file": hashlib.sha256(content).hexdigest(),
        "written by": created_by or "not said",
        "checked and drawn by": f"cpcert {__version__}, {checker}",
    }
    return (
        "<p>This page proves nothing: the file does. Its checker has redone the proof in exact integer arithmetic when the page "
        f"was made. You can do so too:</p><pre>{html.escape(commands)}</pre>{_table(rows)}"
    )


def _table(rows: dict[str, str]) -> str:
    lines = "".join(
        f"<tr><th scope='row'>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>" for key, value in rows.items()
    )
    return f'<table class="facts">{lines}</table>'


def _figure(svg: str) -> str:
    return f"<figure>{svg}</figure>"


def _html(name: str, sections: list[Section]) -> str:
    body = "\n".join(f"<section><h2>{html.escape(one.title)}</h2>\n{one.body}</section>" for one in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{html.escape(name)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{html.escape(name)}</h1>
{body}
</main>
</body>
</html>
"""


STYLE = """
body { margin: 0; background: #f4f3ef; color: #222; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
section { background: #fff; border: 1px solid #ddd; border-radius: 6px; padding: 1rem; margin: 0 0 1rem; }
p { margin: .4rem 0; }
.claim { font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere; }
.bar { display: flex; height: 1.1rem; margin: .8rem 0 .2rem; border: 1px solid #888; }
.bar .excluded, .key .excluded { background: #1f5a94; }
.bar .open, .key .open { background: #e8a33d; }
.key { font-size: .85rem; }
.key span { display: inline-block; width: .8rem; height: .8rem; margin-left: .6rem; }
figure { margin: .5rem 0; }
figure svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .15rem .6rem .15rem 0; border-bottom: 1px solid #e8e8e8; vertical-align: top; }
.facts td { overflow-wrap: anywhere; }
.facts th { font-weight: 500; color: #555; white-space: nowrap; }
.wide { overflow-x: auto; max-height: 24rem; overflow-y: auto; }
.matrix td { text-align: right; border: 1px solid #eee; padding: .1rem .4rem; }
pre { background: #f4f3ef; padding: .6rem; overflow-x: auto; font-size: .85rem; }
"""
