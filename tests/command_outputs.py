"""Every command on a tiny input, with --json."""

import contextlib
import io
import json

from cpcert.cli import main

SMALL = """
name: small
data: {source: teacher, points: 8, features: 1, width: 2, noise: 0.1, seed: 0}
lambda: 1e-2
train: {widths: 1:2, seeds: 1, epochs: 20, descent: 20}
"""
INFEASIBLE = """
name: infeasible
data: {source: inline, X: [[1.0], [1.0]], Y: [[0.0], [1.0]]}
loss: interpolate
"""
LINES = [
    "solve small.yaml --out out",
    "solve small.yaml --max-iterations 1 --gap 0 --no-certificate",
    "solve small.yaml --check later --out later",
    "solve infeasible.yaml --out out",
    "solve deep.yaml --out deep --time-limit 5 --gap 1",
    "solve deep.yaml --scope blockwise --out deep --time-limit 5 --gap 1 --max-iterations 2",
    "verify out/small.cpcert",
    "verify out/infeasible.cpcert",
    "verify deep/deep.cpcert",
    "verify small.yaml",
    "path small.yaml --count 2",
    "width small.yaml --out out",
    "width infeasible.yaml",
    "check out/small.safetensors small.yaml --certificate out/small.cpcert",
    "check deep/deep.safetensors deep.yaml --time-limit 5 --improve better.safetensors",
    "reduce out/small.safetensors small.yaml",
    "train small.yaml",
    "plateau small.yaml --time-limit 10",
    "forces out/small.safetensors small.yaml",
    "forces small.yaml --out out --plot",
    "cprank yes.json --out out",
    "cprank no.json",
    "verify out/yes-cprank-proof.json",
    "copositive yes.json --out out",
    "copositive no.json",
    "verify out/yes-copositive-proof.json",
    "verify out/small-width.cpcert",
    "rank pair.json",
    "bipartite --N 4",
    "bipartite --N 4 --path",
    "instances",
    "demo --out out",
]


def outputs(folder):
    """(command line, exit code, stdout) of LINES, which are run in `folder`."""
    (folder / "small.yaml").write_text(SMALL)
    (folder / "deep.yaml").write_text(SMALL.replace("name: small", "name: deep\ndepth: 3"))
    (folder / "infeasible.yaml").write_text(INFEASIBLE)
    (folder / "yes.json").write_text(json.dumps({"A": [[2, 1], [1, 2]]}))
    (folder / "no.json").write_text(json.dumps({"A": [[1, -1], [-1, 1]]}))
    (folder / "pair.json").write_text(json.dumps({"K": [[1, 0], [0, 1]], "K_sigma": [[1, 0], [0, 1]], "beta": 0}))
    found = []
    with contextlib.chdir(folder):
        for line in LINES:
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                code = main([*line.split(), "--json"])
            found.append((line, code, said.getvalue()))
    return found
