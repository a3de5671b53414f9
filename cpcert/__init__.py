"""Proven global minima of L2-regularised neural networks.

    from cpcert import Problem, solve

    result = solve(Problem(X, y, lam=1e-2))
    print(result.lower, result.upper)

The names below are imported when they are first used (PEP 562), so that `import cpcert` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cpcert.certificate.build import Certificate as Certificate
    from cpcert.certificate.build import certify as certify
    from cpcert.deep.solve import DeepResult as DeepResult
    from cpcert.deep.solve import solve_deep as solve_deep
    from cpcert.errors import InputError as InputError
    from cpcert.frank_wolfe.solve import SolveResult as SolveResult
    from cpcert.frank_wolfe.solve import solve as solve
    from cpcert.instance import Instance as Instance
    from cpcert.instance import dump_instance as dump_instance
    from cpcert.instance import load_instance as load_instance
    from cpcert.models.read import read_model as read_model
    from cpcert.network import Network as Network
    from cpcert.problem import Problem as Problem

_HOME = {
    "Certificate": "cpcert.certificate.build",
    "DeepResult": "cpcert.deep.solve",
    "InputError": "cpcert.errors",
    "Instance": "cpcert.instance",
    "Network": "cpcert.network",
    "Problem": "cpcert.problem",
    "SolveResult": "cpcert.frank_wolfe.solve",
    "certify": "cpcert.certificate.build",
    "dump_instance": "cpcert.instance",
    "load_instance": "cpcert.instance",
    "read_model": "cpcert.models.read",
    "solve": "cpcert.frank_wolfe.solve",
    "solve_deep": "cpcert.deep.solve",
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
