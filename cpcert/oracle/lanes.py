"""Sixteen float32 numbers as one: a numba type for kernels that do the same to many short vectors.

LLVM does not find these vectors in plain loops (it cannot prove that the arrays do not overlap), so they are spelled out: an array
(k, WIDTH) holds k of them, and +, −, * and the functions below act on all places at once, each rounded to nearest as float32
prescribes: the results are the same on every processor.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.extending import intrinsic, lower_builtin, register_model
from numba.core.typing import signature
from numba.core.typing.templates import ConcreteTemplate, infer_global

WIDTH = 16
_VECTOR = ir.VectorType(ir.FloatType(), WIDTH)
_ALIGNMENT = 4  # of the arrays' entries


class _Lanes(types.Type):
    """numba's name for the vectors."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{WIDTH}")


lanes = _Lanes()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _arithmetic(operation: Any, name: str) -> None:
    infer_global(operation)(type("Template", (ConcreteTemplate,), {"cases": [signature(lanes, lanes, lanes)]}))

    @lower_builtin(operation, lanes, lanes)
    def lowered(context: Any, builder: Any, signed: Any, arguments: Any) -> Any:
        return getattr(builder, name)(*arguments)


for _operation, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _arithmetic(_operation, _name)


def _place(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    """The address of array[row], an array (k, WIDTH) of float32 without gaps."""
    data = context.make_array(kind)(context, builder, array).data
    start = builder.gep(data, [builder.mul(row, ir.Constant(row.type, WIDTH))])
    return builder.bitcast(start, _VECTOR.as_pointer())


def _instruction(function: Any) -> Any:
    """numba's `intrinsic`: in a kernel its arguments are those after `typing`, which type checkers cannot know."""
    return intrinsic(function)


@_instruction
def load(typing: Any, array: Any, row: Any) -> Any:
    """array[row]."""

    def code(context: Any, builder: Any, signed: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signed.args[0], *arguments), align=_ALIGNMENT)

    return lanes(array, types.intp), code


@_instruction
def store(typing: Any, array: Any, row: Any, vector: Any) -> Any:
    """array[row] = vector."""

    def code(context: Any, builder: Any, signed: Any, arguments: Any) -> Any:
        place = _place(context, builder, signed.args[0], *arguments[:2])
        builder.store(arguments[2], place, align=_ALIGNMENT)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), code


@_instruction
def spread(typing: Any, number: Any) -> Any:
    """The float32 number in all places."""

    def code(context: Any, builder: Any, signed: Any, arguments: Any) -> Any:
        one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), arguments[0], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), zeros)

    return lanes(types.float32), code


@_instruction
def where_larger(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """x where a > b, else y (also where a or b is not a number), place by place."""

    def code(context: Any, builder: Any, signed: Any, arguments: Any) -> Any:
        a, b, x, y = arguments
        return builder.select(builder.fcmp_ordered(">", a, b), x, y)

    return lanes(lanes, lanes, lanes, lanes), code


@_instruction
def any_larger(typing: Any, a: Any, b: Any) -> Any:
    """Whether a > b at any place."""

    def code(context: Any, builder: Any, signed: Any, arguments: Any) -> Any:
        bits = builder.bitcast(builder.fcmp_ordered(">", *arguments), ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(lanes, lanes), code


@_instruction
def root(typing: Any, a: Any) -> Any:
    """√a, place by place."""

    def code(context: Any, builder: Any, signed: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{WIDTH}f32")
        return builder.call(function, arguments)

    return lanes(lanes), code


def array(rows: int) -> np.ndarray:
    """Zeros (rows, WIDTH), for `load` and `store`."""
    return np.zeros((rows, WIDTH), np.float32)
