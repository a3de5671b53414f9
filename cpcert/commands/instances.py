"""demo, instances: the problems that come with cpcert."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpcert.commands import DONE, AsJson, Flag
from cpcert.errors import InputError

DEMONSTRATION = "diabetes-40"


@dataclass(frozen=True)
class InstancesOutcome:
    """The instances that come with cpcert: their names, and what each is for."""

    purposes: dict[str, str]

    def sentence(self) -> str:
        width = max(map(len, self.purposes), default=0)
        return "\n".join(f"{name:<{width}}  {purpose}" for name, purpose in self.purposes.items())

    def as_json(self) -> dict[str, Any]:
        return {"instances": self.purposes}


def instances(
    name: str | None = None,
    /,
    *,
    as_json: AsJson = False,
    out: Path | None = None,
) -> int:
    """List the instances that come with cpcert, print one of them, or copy them into a folder.

    Parameters
    ----------
    name
        The instance to print, such as diabetes-40; without it all of them are listed.
    as_json
        Print one JSON object instead of a list.
    out
        Copy the instance, or all of them, into this folder.
    """
    import json

    from cpcert.instance import shipped_instances
    from cpcert.output import prepare_folder

    shipped = shipped_instances()
    if name is not None:
        shipped = {name: _named(name)}
    if out is not None:
        prepare_folder(out)
        for path in shipped.values():
            target = out / path.name
            if target.exists():
                raise InputError(f"--out: {target} is there already; give another folder, or remove it")
            target.write_bytes(path.read_bytes())
        print(f"{len(shipped)} instance{'s' * (len(shipped) != 1)} copied into {out}")
        return DONE
    if name is not None and not as_json:
        print(shipped[name].read_text(encoding="utf-8"), end="")
        return DONE
    outcome = InstancesOutcome({one: _purpose(path) for one, path in shipped.items()})
    print(json.dumps(outcome.as_json()) if as_json else outcome.sentence())
    return DONE


def demo(*, as_json: AsJson = False, out: Path | None = None, plot: Flag = False) -> int:
    """Solve a real problem, 40 patients with 4 features: what `cpcert solve` does with diabetes-40.

    The certificate diabetes-40.cpcert is written too. Exit codes are those of `solve`.

    Parameters
    ----------
    as_json
        Print one JSON object instead of a sentence.
    out
        Write the result, the network, the trace and the certificate into this folder.
    plot
        Draw the trace, into the folder of --out or the current one.
    """
    from cpcert.commands.solving import solve

    code = solve(str(_named(DEMONSTRATION)), as_json=as_json, out=out, plot=plot)
    print(f"now: cpcert verify {(out or Path()) / DEMONSTRATION}.cpcert", file=sys.stderr)
    return code


def _named(name: str) -> Path:
    """Raises InputError, with the names there are."""
    from cpcert.instance import shipped_instances

    shipped = shipped_instances()
    if name.removesuffix(".yaml") not in shipped:
        raise InputError(f"{name}: no such instance comes with cpcert; `cpcert instances` lists them")
    return shipped[name.removesuffix(".yaml")]


def _purpose(path: Path) -> str:
    """The first sentence of the comment at the top of an instance."""
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return " ".join(comment).partition(". ")[0].rstrip(".")
