"""Every loss with every activation and one, two and three outputs, on pure noise: how long the proof takes.

The hardest data of their size. There is no peer: nothing else proves these. A cell is the seconds to the gap 1e-6, or the
gap that was proven when the time was over.
"""

from __future__ import annotations

import numpy as np
import tables

from cpcert import Problem, solve

GAP, SECONDS = 1e-6, 30.0
# outputs: (points, features)
SIZES = {1: (20, 3), 2: (12, 2), 3: (12, 2)}
ACTIVATIONS = ("relu", "leaky_relu", "abs", "linear")


def noise(loss: str, activation: str, outputs: int) -> Problem:
    """Gaussian inputs; gaussian targets, random signs, or random classes."""
    points, features = SIZES[outputs]
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((points, features)), rng.standard_normal((points, outputs))
    if loss == "logistic":
        Y = np.sign(Y)
    if loss == "cross_entropy":
        Y = np.eye(outputs)[np.argmax(Y, axis=1)]
    lam = None if loss == "interpolate" else 1e-2
    return Problem(X, Y, lam, loss, activation, slope=0.2 if activation == "leaky_relu" else None)


def main() -> None:
    rows, data = [], []
    for outputs in SIZES:
        for loss in ("mse", "logistic", "cross_entropy", "interpolate"):
            if loss == "cross_entropy" and outputs == 1:
                continue
            row = [loss, str(outputs), "N = {}, {} features".format(*SIZES[outputs])]
            for activation in ACTIVATIONS:
                result = solve(noise(loss, activation, outputs), gap=GAP, time_limit=SECONDS)
                rung = "" if result.dual is None else f" {result.dual.rung}"
                if result.status == "optimal":
                    row.append(f"{result.seconds:.2f} s{rung}")
                elif result.status == "infeasible":
                    row.append("infeasible")
                else:
                    row.append(f"gap {result.gap:.0e}{rung}" if result.gap is not None else "-")
                data.append({
                    "loss": loss, "activation": activation, "outputs": outputs, "status": result.status, "gap": result.gap,
                    "seconds": result.seconds, "rung": rung.strip(), "message": result.message,
                })  # fmt: skip
            rows.append(row)
            print(" | ".join(row), flush=True)
    notes = f"λ = 1e-2, β = 1, gap {GAP:g}, at most {SECONDS:g} s; infeasible: proven that no network fits."
    tables.write(
        "coverage", "Losses, activations, outputs", ["loss", "outputs", "size", *ACTIVATIONS], rows, data, notes
    )


if __name__ == "__main__":
    main()
