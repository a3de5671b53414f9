"""The layers of the package: nothing imports what stands above it, in circles, or by a private name."""

import ast
from functools import cache
from pathlib import Path

import pytest

import cpcert

ROOT = Path(cpcert.__file__).parent
# Rooms from the ground up. A room is a module or a folder; those of one layer do not know each other.
LAYERS = (
    ("errors", "compiled", "numbers"),
    ("rounding", "activations", "parallel", "output", "outcomes", "conic", "units"),
    ("printing", "losses"),
    ("sketch",),
    ("problem", "torch_modules"),
    ("status", "network", "data"),
    ("instance", "models", "oracle", "formulations", "report"),
    ("moments",),
    ("frank_wolfe",),
    ("certificate",),
    ("rank", "width", "networks"),
    ("deep",),
    ("training",),
    ("plots",),
    ("pages", "api"),
    ("commands", "estimators"),
    ("cli",),
    ("__main__",),
)
# The package itself offers names of all rooms, which it imports when they are asked for.
FACE = "__init__"


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else FACE


def parsed():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), ast.parse(path.read_text())


def for_types_only(tree):
    """The imports under `if TYPE_CHECKING`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found.update(id(inner) for inner in ast.walk(node))
    return found


@cache
def imports():
    """(module, imported module, imported name) of every import within the package that happens when it runs."""
    modules = {name for name, _ in parsed()}
    found = []
    for module, tree in parsed():
        unseen = for_types_only(tree)
        for node in ast.walk(tree):
            if id(node) in unseen or not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            if node.module.split(".")[0] == "cpcert":
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    found.append((module, whole if whole in modules else node.module, alias.name))
    return tuple(found)


def test_every_room_has_a_layer():
    rooms = {room_of(module) for module, _ in parsed()} - {FACE}
    listed = [room for layer in LAYERS for room in layer]
    assert sorted(rooms) == sorted(listed)


def test_no_import_goes_up():
    level = {room: number for number, layer in enumerate(LAYERS) for room in layer}
    wrong = []
    for module, target, name in imports():
        here, there = room_of(module), room_of(target)
        if FACE in (here, there) or here == there:
            continue
        if level[there] >= level[here]:
            wrong.append(f"{module} -> {target} ({name})")
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_in_a_circle():
    graph = {}
    for module, target, _ in imports():
        if module != target and room_of(module) != FACE:
            graph.setdefault(module, set()).add(target)
    done, path = set(), []

    def visit(module):
        if module in path:
            pytest.fail(" -> ".join([*path[path.index(module) :], module]))
        if module in done:
            return
        path.append(module)
        for target in sorted(graph.get(module, ())):
            visit(target)
        path.pop()
        done.add(module)

    for module in sorted(graph):
        visit(module)


def test_private_names_stay_at_home():
    allowed = {"__version__"}
    private = [
        f"{module} takes {name} from {target}"
        for module, target, name in imports()
        if name.startswith("_") and name not in allowed
    ]
    assert not private, "\n".join(private)


def test_the_searches_take_no_mathematics_from_the_checker():
    """Else one error could be shared by a proof about a matrix and its check."""
    taken = {name for module, target, name in imports() if "rank_check" in target and room_of(module) == "rank"}
    assert taken <= {"check_rank_claim", "Rejected", "LARGEST_EQUATIONS", "LARGEST_SQUARE_ORDER"}


def test_the_checkers_import_nothing_of_the_package():
    checkers = [f"cpcert.certificate.{path.stem}" for path in (ROOT / "certificate").glob("*check.py")]
    assert len(checkers) >= 2
    assert not [module for module, _, _ in imports() if module in checkers]


def test_only_a_loss_knows_which_one_it_is():
    """Elsewhere nothing is compared with the name of a loss; the checkers keep formulas of their own."""
    from cpcert.losses import LOSSES

    found = []
    for module, tree in parsed():
        if module.startswith("cpcert.losses") or module.endswith("check"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare | ast.MatchValue):
                names = {inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)} & set(LOSSES)
                found += [f"{module}, line {node.lineno}: {name}" for name in names]
    assert not found, "\n".join(found)
