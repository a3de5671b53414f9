"""Mutants of the source of a checker: one change each, made on its syntax tree."""

from __future__ import annotations
import __future__

import ast
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cpcert.certificate import check

SOURCE = Path(check.__file__).read_text(encoding="utf-8")
# The command line has tests of its own.
LEFT_OUT = {"main"}

FLIPPED = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
EXCHANGED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.Div: ast.Mult,
}  # fmt: skip
RENAMED = {
    "min": "max", "max": "min", "any": "all", "all": "any", "root_up": "isqrt", "floor": "ceil", "norm_up": "_norm_down",
    "fraction_root_up": "_fraction_root_down", "_root_above": "_root_below",
}  # fmt: skip
# Roots rounded to the wrong side: what `root_up` → `isqrt` is for its callers.
WRONG = """
def _norm_down(vector, e, bits=80):
    square = dot(vector, vector)
    more = max(0, bits - square.bit_length() // 2)
    return isqrt(square << 2 * more) * power(e - more) * Fraction(999999, 1000000)

def _fraction_root_down(value, bits=80):
    return fraction_root_up(value, bits) * Fraction(999999, 1000000)

def _root_below(value):
    return _root_above(value) * Fraction(999999, 1000000)
"""


@dataclass(frozen=True, eq=False)
class Mutant:
    """key: function, expression → its replacement, the first line of its statement. change: makes it, gives the undo.

    lines: those of its statement, without what a loop or a condition holds; of its function for defaults. Who runs none of them
    cannot tell the mutant. piece: the number of the statement of the module that it is in.
    """

    key: str
    function: str
    change: Callable[[], Callable[[], None]]
    lines: range
    piece: int


def _replace(parent: ast.AST, field: str, index: int | None, new: ast.AST) -> Callable[[], None]:
    if index is None:
        old = getattr(parent, field)
        setattr(parent, field, new)
        return lambda: setattr(parent, field, old)
    values = getattr(parent, field)
    old = values[index]
    values[index] = new
    return lambda: values.__setitem__(index, old)


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    for field, value in ast.iter_fields(node):
        if isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield field, index, item
        elif isinstance(value, ast.AST):
            yield field, None, value


def _alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """What the node could be replaced by."""
    if isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            for other in FLIPPED.get(type(op), ()):
                ops = [other() if i == k else old for i, old in enumerate(node.ops)]
                yield ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BinOp) and type(node.op) in EXCHANGED:
        if not isinstance(node.left, (ast.Constant, ast.List)) or isinstance(getattr(node.left, "value", None), int):
            yield ast.BinOp(node.left, EXCHANGED[type(node.op)](), node.right)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
        yield ast.BinOp(ast.BinOp(node.left, ast.FloorDiv(), node.right), ast.Add(), ast.Constant(1))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield node.operand
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for k in range(len(node.values)):
            rest = [v for i, v in enumerate(node.values) if i != k]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
        yield ast.Constant(node.value + 1)
        if node.value == 1:
            yield ast.Constant(0)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RENAMED:
        yield ast.Call(ast.Name(RENAMED[node.func.id], ast.Load()), node.args, node.keywords)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "floor":
        yield ast.Call(ast.Attribute(node.func.value, "ceil", ast.Load()), node.args, node.keywords)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "abs":
        yield node.args[0]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()  # a require, an end, a recursive check
    elif isinstance(node, ast.AugAssign):
        yield ast.Pass()
        if type(node.op) in EXCHANGED:
            yield ast.AugAssign(node.target, EXCHANGED[type(node.op)](), node.value)
    elif isinstance(node, ast.Raise):
        yield ast.Pass()


def _skipped(node: ast.AST, field: str) -> bool:
    """Annotations, messages, docstrings."""
    return field in ("annotation", "returns", "decorator_list") or isinstance(node, (ast.JoinedStr, ast.Import))


def _lines(node: ast.stmt) -> range:
    body = getattr(node, "body", None)
    whole = body is None or isinstance(node, (ast.FunctionDef, ast.ClassDef))
    return range(node.lineno, (node.end_lineno or node.lineno) + 1 if whole else max(body[0].lineno, node.lineno + 1))


def _visit(
    node: ast.AST, function: str, found: list[Mutant], line: str = "", lines: range = range(0), piece: int = -1
) -> None:
    for field, index, child in _children(node):
        if _skipped(child, field):
            continue
        name = function
        if isinstance(node, ast.Module):
            piece = index or 0
        if isinstance(child, ast.stmt):
            lines = _lines(child)
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            name = f"{function}.{child.name}".lstrip(".")
            if name in LEFT_OUT:
                continue
            line = f"def {child.name}"
        elif isinstance(child, ast.stmt):
            line = ast.unparse(child).split("\n")[0]
        for new in _alternatives(child):
            ast.copy_location(new, child)
            ast.fix_missing_locations(new)
            text = f"{name}: {_short(child)} → {_short(new)} in {line}"

            def change(
                parent: ast.AST = node, field: str = field, index: int | None = index, new: ast.AST = new
            ) -> Callable[[], None]:
                return _replace(parent, field, index, new)

            found.append(Mutant(text, name, change, lines, piece))
        if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("require", "Rejected") and index == 1):
            _visit(child, name, found, line, lines, piece)


def _short(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def mutants(source: str = SOURCE) -> tuple[ast.Module, list[Mutant]]:
    """The tree of a checker and all mutants of it, in the order of the source."""
    tree = ast.parse(source + WRONG)
    found: list[Mutant] = []
    _visit(tree, "", found)
    return tree, [m for m in found if not m.function.startswith(("_norm_down", "_fraction_root_down", "_root_below"))]


def load(tree: ast.Module) -> types.ModuleType:
    """The module of a (changed) tree."""
    module = types.ModuleType("check_mutant")
    exec(compile(tree, "check_mutant", "exec"), module.__dict__)
    return module


class Pieces:
    """The statements of a module, compiled one by one: a mutant compiles its own again, and no other."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.code = [self._compiled(k) for k in range(len(tree.body))]

    def _compiled(self, k: int) -> types.CodeType:
        flags = __future__.annotations.compiler_flag
        return compile(ast.Module([self.tree.body[k]], []), "check_mutant", "exec", flags, dont_inherit=True)

    def load(self, one: Mutant) -> types.ModuleType:
        """The module of a mutant; whatever its statements raise is raised."""
        undo = one.change()
        try:
            code = self._compiled(one.piece)
        finally:
            undo()
        module = types.ModuleType("check_mutant")
        for k, piece in enumerate(self.code):
            exec(code if k == one.piece else piece, module.__dict__)
        return module
