"""TensorFlow operators → ONNX: sources, arithmetic of several operands, comparisons, choices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reprise.fold import fold
from reprise.graph import VARIABLES, Value
from reprise.lift.emitter import Emit, Operator, Site
from reprise.lift.functions import FUNCTIONS, is_real, number, same
from reprise.lift.matrices import MATRICES
from reprise.lift.random import RANDOM, certain_mask
from reprise.operators.rules.block import computed, onnx_type
from reprise.tensors import Tensor


def _passed(site: Site) -> str:
    """Nothing is emitted: the value is its input."""
    return site.input(0)


def _placeholder(site: Site) -> str:
    if site.node.inputs:  # PlaceholderWithDefault that nobody feeds
        return site.input(0)
    raise site.refusal("is an input that the interface does not list; name it with inputs=")


def _const(site: Site) -> str:
    return site.emitter.names.constant(site.node.tensor("value").load(), site.node.name)


def _dequantize(site: Site) -> str:
    """Quantized weights, as the numbers that they stand for."""
    structure = site.emitter.structure
    held = [structure.graph[structure.origin(v).node].attributes.get("value") for v in site.node.inputs]
    made = fold(site.node, [t.load() for t in held if isinstance(t, Tensor)]) if len(held) == 3 else None
    if made is None:
        raise site.refusal("reads quantized numbers that are no constants with one range")
    return site.emitter.names.constant(made[0], site.node.name)


def _variable(site: Site) -> str:
    return site.emitter.variable(site.node)


def _read_variable(site: Site) -> str:
    return site.input(0)


def _cast(site: Site) -> str:
    return site.one("Cast", site.input(0), to=onnx_type(site.node.dtype("DstT")))


def _bias_add(site: Site) -> str:
    x, bias = site.inputs()
    if site.node.text("data_format", "NHWC") == "NCHW":
        rank = site.rank(0)
        bias = site.one("Unsqueeze", bias, site.block.ints(*range(1, rank - 1)))
    return site.one("Add", x, bias)


def _add_n(site: Site) -> str:
    total, *others = site.inputs()
    for other in others:  # ONNX's Sum takes no whole numbers
        total = site.one("Add", total, other)
    return total


def _floor_div(site: Site) -> str:
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


def _div_no_nan(site: Site) -> str:
    a, b = site.inputs()
    zero = site.constant(0, computed(site.dtype()))
    none = site.one("Equal", b, zero)
    safe = site.one("Where", none, site.constant(1, computed(site.dtype())), b)
    return site.one("Where", none, zero, site.one("Div", a, safe))


def _mul_no_nan(site: Site) -> str:
    """0 where the second factor is, whatever the first."""
    a, b = site.inputs()
    zero = number(site, 0)
    return site.one("Where", site.one("Equal", b, zero), zero, site.one("Mul", a, b))


def _unless_zero(function: Callable[[Site, str, str], str]) -> Emit:
    """0 where the first operand is, whatever the second."""

    def emit(site: Site) -> str:
        x, y = site.inputs()
        zero = number(site, 0)
        return site.one("Where", site.one("Equal", x, zero), zero, function(site, x, y))

    return emit


def _angle(site: Site) -> str:
    """The angle of the point (x, y) by that of its slope; half a turn further where x is negative."""
    y, x = site.inputs()
    zero, turn = number(site, 0), number(site, np.pi)
    upwards = site.one("Sign", y)
    slope = site.one("Atan", site.one("Div", y, x))
    behind = site.one("Where", site.one("Less", y, zero), site.one("Neg", turn), turn)
    turned = site.one("Where", site.one("Less", x, zero), site.one("Add", slope, behind), slope)
    upright = site.one("Mul", upwards, number(site, np.pi / 2))
    return site.one("Where", site.one("Equal", x, zero), upright, turned)


def _nearly_equal(site: Site) -> str:
    apart = site.one("Abs", site.one("Sub", *site.inputs()))
    return site.one("Less", apart, number(site, site.node.number("tolerance", 1e-5)))


def _floor_mod(site: Site) -> str:
    a, b = site.inputs()
    if is_real(site):
        return site.one("Sub", a, site.one("Mul", b, site.one("Floor", site.one("Div", a, b))))
    return site.one("Mod", a, b)


def _truncate_mod(site: Site) -> str:
    """The remainder with the sign of the dividend, as C has it."""
    return site.one("Mod", *site.inputs(), fmod=1)


def _squared_difference(site: Site) -> str:
    d = site.one("Sub", *site.inputs())
    return site.one("Mul", d, d)


def _clip(site: Site) -> str:
    return site.one("Min", site.one("Max", site.input(0), site.input(1)), site.input(2))


def _not_equal(site: Site) -> str:
    return site.one("Not", site.one("Equal", *site.inputs()))


def _greater_equal(site: Site) -> str:
    if certain_mask(site.emitter.structure, site.emitter.known, Value(site.node.name)):
        return site.constant(1, "bool")
    return site.one("GreaterOrEqual", *site.inputs())


def _select(site: Site) -> str:
    flag, a, b = site.inputs()
    if site.node.op == "Select":
        flag = _for_rows(site, flag)
    return choice(site, flag, a, b, site.dtype(1))


def _for_rows(site: Site, flag: str) -> str:
    """The flags of a Select of TensorFlow 1, which takes a vector of them for rows, with the axes of its operands."""
    rank, shape = site.rank(1), site.shape(0)
    if shape is None:
        sizes = site.one("Concat", site.one("Shape", flag), site.block.ints(*[1] * rank), axis=0)
        return site.one("Reshape", flag, site.one("Slice", sizes, site.block.ints(0), site.block.ints(rank)))
    missing = max(rank - 1, 0) if len(shape) == 1 else 0
    return site.one("Unsqueeze", flag, site.block.ints(*range(1, missing + 1))) if missing else flag


def choice(site: Site, flag: str, a: str, b: str, kind: str) -> str:
    """`a` where the flag is true, else `b`; ONNX Runtime's own choice takes no flags as operands."""
    if kind != "bool":
        return site.one("Where", flag, a, b)
    return site.one("Or", site.one("And", flag, a), site.one("And", site.one("Not", flag), b))


ARITHMETIC: dict[str, Operator] = {
    **FUNCTIONS,
    **MATRICES,
    **RANDOM,
    **dict.fromkeys(
        (
            "Identity StopGradient PreventGradient CheckNumerics CheckNumericsV2 EnsureShape Snapshot "
            "Enter GuaranteeConst Print"
        ).split(),
        Operator(_passed),
    ),
    "IdentityN": Operator(lambda site: tuple(site.inputs())),
    **dict.fromkeys(("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"), Operator(_placeholder)),
    "Const": Operator(_const),
    "Dequantize": Operator(_dequantize, lazy=(0, 1, 2)),
    **dict.fromkeys(VARIABLES, Operator(_variable)),
    "ReadVariableOp": Operator(_read_variable),
    "Cast": Operator(_cast),
    "BiasAdd": Operator(_bias_add),
    **dict.fromkeys(("Add", "AddV2", "BiasAddV1"), Operator(same("Add"))),
    "AddN": Operator(_add_n),
    "Sub": Operator(same("Sub")),
    "Mul": Operator(same("Mul")),
    **dict.fromkeys(("Div", "RealDiv", "TruncateDiv"), Operator(same("Div"))),
    "DivNoNan": Operator(_div_no_nan),
    "MulNoNan": Operator(_mul_no_nan),
    "Xdivy": Operator(_unless_zero(lambda site, x, y: site.one("Div", x, y))),
    "Xlogy": Operator(_unless_zero(lambda site, x, y: site.one("Mul", x, site.one("Log", y)))),
    "Xlog1py": Operator(
        _unless_zero(lambda site, x, y: site.one("Mul", x, site.one("Log", site.one("Add", y, number(site, 1)))))
    ),
    "Atan2": Operator(_angle),
    "ApproximateEqual": Operator(_nearly_equal),
    "FloorDiv": Operator(_floor_div),
    "FloorMod": Operator(_floor_mod),
    **dict.fromkeys(("Mod", "TruncateMod"), Operator(_truncate_mod)),
    "Pow": Operator(same("Pow")),
    "Maximum": Operator(same("Max")),
    "Minimum": Operator(same("Min")),
    "SquaredDifference": Operator(_squared_difference),
    "ClipByValue": Operator(_clip),
    "Less": Operator(same("Less")),
    "LessEqual": Operator(same("LessOrEqual")),
    "Greater": Operator(same("Greater")),
    "GreaterEqual": Operator(_greater_equal, lazy=(0, 1)),
    "Equal": Operator(same("Equal")),
    "NotEqual": Operator(_not_equal),
    "LogicalAnd": Operator(same("And")),
    "LogicalOr": Operator(same("Or")),
    **dict.fromkeys(("Select", "SelectV2"), Operator(_select)),
}
