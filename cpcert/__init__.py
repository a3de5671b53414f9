"""Proven global minima of L2-regularised neural networks.

    import cpcert

    result = cpcert.solve(X, y, lam=1e-2)
    print(result.lower, result.upper)

The names below are imported when they are first used (PEP 562), so that `import cpcert` costs nothing. docs/python.md has an example
of each; cpcert.estimators, with extra sklearn, has estimators.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from cpcert.api.matrices import bipartite as bipartite
    from cpcert.api.matrices import bipartite_path as bipartite_path
    from cpcert.api.matrices import completely_positive as completely_positive
    from cpcert.api.matrices import copositive as copositive
    from cpcert.api.matrices import cp_rank as cp_rank
    from cpcert.api.matrices import rank_sigma as rank_sigma
    from cpcert.api.networks import check as check
    from cpcert.api.networks import forces as forces
    from cpcert.api.networks import reduce as reduce
    from cpcert.api.solving import certify as certify
    from cpcert.api.solving import least_width as least_width
    from cpcert.api.solving import path as path
    from cpcert.api.solving import solve as solve
    from cpcert.api.training import plateau as plateau
    from cpcert.api.training import train as train
    from cpcert.api.verifying import verify as verify
    from cpcert.certificate.build import Certificate as Certificate
    from cpcert.certificate.check import Rejected as Rejected
    from cpcert.deep.solve import DeepResult as DeepResult
    from cpcert.errors import InputError as InputError
    from cpcert.frank_wolfe.result import SolveResult as SolveResult
    from cpcert.instance import Instance as Instance
    from cpcert.instance import dump_instance as dump_instance
    from cpcert.instance import load_instance as load_instance
    from cpcert.models.read import read_model as read_model
    from cpcert.network import Network as Network
    from cpcert.plots.outcome import plot as plot
    from cpcert.problem import Problem as Problem

_HOME = {
    "Certificate": "cpcert.certificate.build",
    "DeepResult": "cpcert.deep.solve",
    "InputError": "cpcert.errors",
    "Instance": "cpcert.instance",
    "Network": "cpcert.network",
    "Problem": "cpcert.problem",
    "Rejected": "cpcert.certificate.check",
    "SolveResult": "cpcert.frank_wolfe.result",
    "bipartite": "cpcert.api.matrices",
    "bipartite_path": "cpcert.api.matrices",
    "certify": "cpcert.api.solving",
    "check": "cpcert.api.networks",
    "completely_positive": "cpcert.api.matrices",
    "copositive": "cpcert.api.matrices",
    "cp_rank": "cpcert.api.matrices",
    "dump_instance": "cpcert.instance",
    "forces": "cpcert.api.networks",
    "least_width": "cpcert.api.solving",
    "load_instance": "cpcert.instance",
    "path": "cpcert.api.solving",
    "plateau": "cpcert.api.training",
    "plot": "cpcert.plots.outcome",
    "rank_sigma": "cpcert.api.matrices",
    "read_model": "cpcert.models.read",
    "reduce": "cpcert.api.networks",
    "solve": "cpcert.api.solving",
    "train": "cpcert.api.training",
    "verify": "cpcert.api.verifying",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cpcert' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
