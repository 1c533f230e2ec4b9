"""Arithmetic of two operands, comparisons and choices, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reprise.graph import Node, Value
from reprise.operators.random import certain_mask
from reprise.operators.rules import pairs
from reprise.operators.rules.asking import Asking, Sizes, both
from reprise.operators.rules.attributes import Number, Text
from reprise.operators.rules.block import computed_type, onnx_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import Fact, Shapes
from reprise.operators.rules.site import OnnxRule, Site, is_real, number, same
from reprise.operators.rules.sizes import Dim
from reprise.operators.rules.steps import keeps
from reprise.tensors import Array

_LAYOUT, _TOLERANCE = Text("data_format", "NHWC"), Number("tolerance", 1e-5)


def _binary_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(facts.broadcast(inputs[0].shape, inputs[1].shape), _symbolic(facts, node, inputs))]


def _symbolic(facts: Shapes, node: Node, inputs: list[Fact]) -> Array | None:
    """Products of sizes, and sums with numbers; other arithmetic on free sizes is not followed."""
    a, b = inputs[0].content, inputs[1].content
    if a is None or b is None:
        return None
    if node.op == "Mul":
        return np.asarray(np.multiply(a.astype(object), b.astype(object)), object)
    if node.op not in ("Add", "AddV2", "Sub") or a.ndim or b.ndim:
        return None
    first, second = a.item(), b.item()
    if isinstance(first, Dim) and isinstance(second, int):
        return np.asarray(facts.sizes.plus(first, -second if node.op == "Sub" else second), object)
    if node.op != "Sub" and isinstance(first, int) and isinstance(second, Dim):
        return np.asarray(facts.sizes.plus(second, first), object)
    return None


def _add_n_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    for other in inputs[1:]:
        shape = facts.broadcast(shape, other.shape)
    return [Fact(shape)]


def _select_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    chosen, *others = (fact.shape for fact in inputs)
    if node.op == "SelectV2":
        return [Fact(facts.broadcast(facts.broadcast(*others), chosen))]
    shape = facts.equate(*others)
    if shape and chosen is not None and len(chosen) == 1:  # a flag for each row
        shape = (facts.sizes.equate(shape[0], chosen[0]), *shape[1:])
    elif shape is not None and chosen:
        shape = facts.broadcast(shape, chosen)
    return [Fact(shape)]


def _bias_add_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    x, bias = inputs[0].shape, inputs[1].shape
    if x is not None and bias is not None and _LAYOUT(node) != "NCHW":
        return [Fact((*x[:-1], facts.sizes.equate(x[-1], bias[0])))]
    return [Fact(x)]


def _dividing(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """A division of whole numbers by zero is an error in TensorFlow; NumPy gives zero."""

    def divide(a: Array, b: Array) -> Array:
        if b.dtype.kind in "iu" and not b.all():
            raise ZeroDivisionError
        return function(a, b)

    return divide


def _truncated_quotient(a: Array, b: Array) -> Array:
    return np.asarray((a - np.fmod(a, b)) // b if a.dtype.kind in "iu" else a / b)  # whole numbers are cut, not floored


def _select_fold(node: Node, inputs: list[Array]) -> Array:
    flag, a, b = inputs
    if node.op == "Select" and flag.ndim == 1:  # a flag for each row
        flag = flag.reshape(-1, *[1] * (a.ndim - 1))
    return np.where(flag, a, b)


def _bias_add_onnx(site: Site) -> str:
    x, bias = site.inputs()
    if _LAYOUT(site.node) == "NCHW":
        rank = site.rank(0)
        bias = site.one("Unsqueeze", bias, site.block.ints(*range(1, rank - 1)))
    return site.one("Add", x, bias)


def _add_n_onnx(site: Site) -> str:
    total, *others = site.inputs()
    for other in others:  # ONNX's Sum takes no whole numbers
        total = site.one("Add", total, other)
    return total


def _floor_div_onnx(site: Site) -> str:
    a, b = site.inputs()
    if is_real(site):
        return site.one("Floor", site.one("Div", a, b))
    # Integer division truncates in ONNX; TensorFlow rounds down.
    quotient = site.one("Div", a, b)
    remainder = site.one("Sub", a, site.one("Mul", quotient, b))
    zero = site.constant(0, site.dtype())
    inexact = site.one("Not", site.one("Equal", remainder, zero))
    signs = site.one("Xor", site.one("Less", a, zero), site.one("Less", b, zero))
    correction = site.one("Cast", site.one("And", inexact, signs), to=onnx_type(site.dtype()))
    return site.one("Sub", quotient, correction)


def _div_no_nan_onnx(site: Site) -> str:
    a, b = site.inputs()
    zero = site.constant(0, computed_type(site.dtype()))
    none = site.one("Equal", b, zero)
    safe = site.one("Where", none, site.constant(1, computed_type(site.dtype())), b)
    return site.one("Where", none, zero, site.one("Div", a, safe))


def _mul_no_nan_onnx(site: Site) -> str:
    """0 where the second factor is, whatever the first."""
    a, b = site.inputs()
    zero = number(site, 0)
    return site.one("Where", site.one("Equal", b, zero), zero, site.one("Mul", a, b))


def _unless_zero(function: Callable[[Site, str, str], str]) -> OnnxRule:
    """0 where the first operand is, whatever the second."""

    def emit(site: Site) -> str:
        x, y = site.inputs()
        zero = number(site, 0)
        return site.one("Where", site.one("Equal", x, zero), zero, function(site, x, y))

    return emit


def _atan2_onnx(site: Site) -> str:
    y, x = site.inputs()
    return angle(site, y, x, site.dtype())


def angle(site: Site, y: str, x: str, kind: str) -> str:
    """The angle of the point (x, y) by that of its slope; half a turn further where x is negative."""
    zero, turn, quarter = (site.constant(value, computed_type(kind)) for value in (0, np.pi, np.pi / 2))
    upwards = site.one("Sign", y)
    slope = site.one("Atan", site.one("Div", y, x))
    behind = site.one("Where", site.one("Less", y, zero), site.one("Neg", turn), turn)
    turned = site.one("Where", site.one("Less", x, zero), site.one("Add", slope, behind), slope)
    upright = site.one("Mul", upwards, quarter)
    return site.one("Where", site.one("Equal", x, zero), upright, turned)


def _approximate_equal_onnx(site: Site) -> str:
    apart = site.one("Abs", site.one("Sub", *site.inputs()))
    return site.one("Less", apart, number(site, _TOLERANCE(site.node)))


def _floor_mod_onnx(site: Site) -> str:
    a, b = site.inputs()
    if is_real(site):
        return site.one("Sub", a, site.one("Mul", b, site.one("Floor", site.one("Div", a, b))))
    return site.one("Mod", a, b)


def _truncate_mod_onnx(site: Site) -> str:
    """The remainder with the sign of the dividend, as C has it."""
    return site.one("Mod", *site.inputs(), fmod=1)


def _squared_difference_onnx(site: Site) -> str:
    d = site.one("Sub", *site.inputs())
    return site.one("Mul", d, d)


def _not_equal_onnx(site: Site) -> str:
    return site.one("Not", site.one("Equal", *site.inputs()))


def _greater_equal_onnx(site: Site) -> str:
    if certain_mask(site.emitter.structure, site.emitter.known, Value(site.node.name)):
        return site.constant(1, "bool")
    return site.one("GreaterOrEqual", *site.inputs())


def _select_onnx(site: Site) -> str:
    flag, a, b = site.inputs()
    if site.node.op == "Select":
        flag = _flags_of_rows(site, flag)
    return select(site, flag, a, b, site.dtype(1))


def _flags_of_rows(site: Site, flag: str) -> str:
    """The flags of a Select of TensorFlow 1, which takes a vector of them for rows, with the axes of its operands."""
    rank, shape = site.rank(1), site.shape(0)
    if shape is None:
        sizes = site.one("Concat", site.one("Shape", flag), site.block.ints(*[1] * rank), axis=0)
        return site.one("Reshape", flag, site.one("Slice", sizes, site.block.ints(0), site.block.ints(rank)))
    missing = max(rank - 1, 0) if len(shape) == 1 else 0
    return site.one("Unsqueeze", flag, site.block.ints(*range(1, missing + 1))) if missing else flag


def select(site: Site, flag: str, a: str, b: str, kind: str) -> str:
    """`a` where the flag is true, else `b`; ONNX Runtime's own select takes no flags as operands."""
    if kind != "bool":
        return site.one("Where", flag, a, b)
    return site.one("Or", site.one("And", flag, a), site.one("And", site.one("Not", flag), b))


def _binary_asks(asking: Asking) -> Sizes | None:
    """The result has as many axes as the operand with more of them; what a gate weighs has the shape of the gate."""
    result, other = asking.result(), asking.shape(1 - asking.index)
    if result is not None and other is not None and len(other) < len(result):
        return result
    return other if other and _is_gated(asking) else None


def _is_gated(asking: Asking) -> bool:
    """Whether a gate says how much of a state stays, to which more is added: f·c + i·j."""
    gate, added = asking.producer(1 - asking.index), any(n.op in ("Add", "AddV2") for n in asking.readers())
    return asking.node.op == "Mul" and gate.op == "Sigmoid" and added


def _bias_add_asks(asking: Asking) -> Sizes | None:
    bias, result = asking.shape(1), asking.result()
    return None if asking.index or result is None else (*result[:-1], bias[0] if bias else result[-1])


def _select_asks(asking: Asking) -> Sizes | None:
    """Operands as the result; flags for whole rows are a vector, as dynamic_rnn writes them."""
    if asking.index:
        return both(asking.result(), asking.shape(3 - asking.index))
    return (None,) if asking.node.op == "Select" else None


def _binary(
    names: str,
    onnx: OnnxRule,
    function: Callable[[Array, Array], Array] | None = None,
    tags: tuple[Tag, ...] = (),
    **rules: Any,
) -> Operator:
    """The record of an operator on two operands, of which NumPy's `function` is the same."""
    fold = None if function is None else lambda node, inputs: function(inputs[0], inputs[1])
    tags = (Tag.ELEMENTWISE, *tags)
    return Operator(
        names, 2, shape=_binary_shape, fold=fold, steps=keeps, onnx=onnx, tags=tags, asks=_binary_asks, **rules
    )


def _comparison(
    names: str, onnx: OnnxRule, function: Callable[[Array, Array], Array] | None = None, **rules: Any
) -> Operator:
    """The record of an operator whose results are flags."""
    return _binary(names, onnx, function, types=("bool",), **rules)


OPERATORS = (
    _binary("Add AddV2", same("Add"), np.add, tags=(Tag.ADDITION,), on_pairs=same("Add")),
    Operator(
        "BiasAdd",
        2,
        shape=_bias_add_shape,
        steps=keeps,
        onnx=_bias_add_onnx,
        attributes=(_LAYOUT,),
        asks=_bias_add_asks,
    ),
    _binary("BiasAddV1", same("Add")),
    Operator("AddN", shape=_add_n_shape, steps=keeps, onnx=_add_n_onnx, tags=(Tag.ELEMENTWISE,)),
    _binary("Sub", same("Sub"), np.subtract, on_pairs=same("Sub")),
    _binary("Mul", same("Mul"), np.multiply, on_pairs=pairs.pair_product),
    _binary("Div RealDiv", same("Div"), _dividing(_truncated_quotient)),
    _binary("TruncateDiv", same("Div")),
    _binary("DivNoNan", _div_no_nan_onnx),
    _binary("FloorDiv", _floor_div_onnx, _dividing(np.floor_divide)),
    _binary("FloorMod", _floor_mod_onnx, _dividing(np.mod)),
    _binary("Mod TruncateMod", _truncate_mod_onnx, _dividing(np.fmod)),
    _binary("MulNoNan", _mul_no_nan_onnx),
    _binary("Xdivy", _unless_zero(lambda site, x, y: site.one("Div", x, y))),
    _binary("Xlogy", _unless_zero(lambda site, x, y: site.one("Mul", x, site.one("Log", y)))),
    _binary(
        "Xlog1py",
        _unless_zero(lambda site, x, y: site.one("Mul", x, site.one("Log", site.one("Add", y, number(site, 1))))),
    ),
    _binary("Atan2", _atan2_onnx),
    _binary("Pow", same("Pow")),
    _binary("SquaredDifference", _squared_difference_onnx),
    _binary("Maximum", same("Max"), np.maximum),
    _binary("Minimum", same("Min"), np.minimum),
    _comparison("Less", same("Less"), np.less, tags=(Tag.ORDERING,)),
    _comparison("LessEqual", same("LessOrEqual"), np.less_equal, tags=(Tag.ORDERING,)),
    _comparison("Greater", same("Greater"), np.greater, tags=(Tag.ORDERING,)),
    _comparison("GreaterEqual", _greater_equal_onnx, np.greater_equal, lazy=(0, 1), tags=(Tag.ORDERING,)),
    _comparison("Equal", same("Equal"), np.equal),
    _comparison("NotEqual", _not_equal_onnx, np.not_equal),
    _comparison("ApproximateEqual", _approximate_equal_onnx, attributes=(_TOLERANCE,)),
    _comparison("LogicalAnd", same("And"), np.logical_and),
    _comparison("LogicalOr", same("Or"), np.logical_or),
    Operator(
        "Select SelectV2",
        3,
        shape=_select_shape,
        fold=_select_fold,
        steps=keeps,
        onnx=_select_onnx,
        tags=(Tag.SELECT,),
        asks=_select_asks,
    ),
)
