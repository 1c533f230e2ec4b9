"""TensorFlow operators → ONNX: element-wise arithmetic, products, choices."""

from __future__ import annotations

import numpy as np

from reprise.graph import Value
from reprise.lift.block import computed, onnx_type
from reprise.lift.emitter import Emit, Operator, Site
from reprise.lift.random import certain_mask
from reprise.wire import onnx


def _same(op: str, **attributes: object) -> Emit:
    """An operator of equal meaning in ONNX."""
    return lambda site: site.one(op, *site.inputs(), **attributes)


def _passed(site: Site) -> str:
    """Nothing is emitted: the value is its input."""
    return site.input(0)


def _placeholder(site: Site) -> str:
    if site.node.inputs:  # PlaceholderWithDefault that nobody feeds
        return site.input(0)
    raise site.emitter.refusal(site.node, "is an input that the interface does not list; name it with inputs=")


def _const(site: Site) -> str:
    tensor = site.attribute("value")
    return site.emitter.names.constant(tensor.load(), site.node.name)  # type: ignore[attr-defined]


def _variable(site: Site) -> str:
    return site.emitter.variable(site.node)


def _read_variable(site: Site) -> str:
    return site.input(0)


def _cast(site: Site) -> str:
    return site.one("Cast", site.input(0), to=onnx_type(str(site.attribute("DstT"))))


def _matmul(site: Site) -> str:
    a, b = site.inputs()
    if site.attribute("transpose_a") or site.attribute("adj_x"):
        a = _swapped(site, a, 0)
    if site.attribute("transpose_b") or site.attribute("adj_y"):
        b = _swapped(site, b, 1)
    return site.one("MatMul", a, b)


def _swapped(site: Site, name: str, index: int) -> str:
    rank = site.rank(index)
    return site.one("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])


def _bias_add(site: Site) -> str:
    x, bias = site.inputs()
    if site.attribute("data_format") == b"NCHW":
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
    if site.dtype().startswith("float"):
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


def _floor_mod(site: Site) -> str:
    a, b = site.inputs()
    if site.dtype().startswith("float"):
        return site.one("Sub", a, site.one("Mul", b, site.one("Floor", site.one("Div", a, b))))
    return site.one("Mod", a, b)


def _truncate_mod(site: Site) -> str:
    """The remainder with the sign of the dividend, as C has it."""
    return site.one("Mod", *site.inputs(), fmod=1)


def _square(site: Site) -> str:
    x = site.input(0)
    return site.one("Mul", x, x)


def _squared_difference(site: Site) -> str:
    d = site.one("Sub", *site.inputs())
    return site.one("Mul", d, d)


def _rsqrt(site: Site) -> str:
    return site.one("Reciprocal", site.one("Sqrt", site.input(0)))


def _log1p(site: Site) -> str:
    return site.one("Log", site.one("Add", site.input(0), site.constant(1, computed(site.dtype()))))


def _expm1(site: Site) -> str:
    return site.one("Sub", site.one("Exp", site.input(0)), site.constant(1, computed(site.dtype())))


def _relu6(site: Site) -> str:
    kind = computed(site.dtype())
    return site.one("Clip", site.input(0), site.constant(0, kind), site.constant(6, kind))


def _clip(site: Site) -> str:
    return site.one("Min", site.one("Max", site.input(0), site.input(1)), site.input(2))


def _not_equal(site: Site) -> str:
    return site.one("Not", site.one("Equal", *site.inputs()))


def _greater_equal(site: Site) -> str:
    if certain_mask(site.emitter.structure, site.emitter.known, Value(site.node.name)):
        return site.constant(1, "bool")
    return site.one("GreaterOrEqual", *site.inputs())


def _floor(site: Site) -> str:
    if certain_mask(site.emitter.structure, site.emitter.known, Value(site.node.name)):
        return site.constant(1, computed(site.dtype()))
    return site.one("Floor", site.input(0))


def _uniform(site: Site) -> str:
    return _random(site, "RandomUniformLike")


def _normal(site: Site) -> str:
    return _random(site, "RandomNormalLike")


def _random(site: Site, op: str) -> str:
    """Numbers of the same distribution; TensorFlow's own sequence is not reproduced."""
    zero = onnx.tensor(np.zeros(1, computed(str(site.attribute("dtype")))))
    return site.one(op, site.one("ConstantOfShape", _drawn_sizes(site), value=zero))


def _drawn_sizes(site: Site) -> str:
    """How many numbers are drawn: as many rows as the call has, where the file bakes in those it was made for."""
    emitter = site.emitter
    shape = emitter.facts.shape(Value(site.node.name)) or ()
    sizes = [s for d in shape if (s := emitter.size(d, site.block)) is not None]
    return site.one("Concat", *sizes, axis=0) if sizes and len(sizes) == len(shape) else site.int64(0)


def _ones_like(number: int) -> Emit:
    def emit(site: Site) -> str:
        shape = site.one("Shape", site.input(0))
        fill = np.asarray([number], computed(site.dtype()))
        return site.one("ConstantOfShape", shape, value=onnx.tensor(fill))

    return emit


def _select(site: Site) -> str:
    flag, a, b = site.inputs()
    # Select of TensorFlow 1 takes a vector of flags for the rows of its operands.
    missing = max(site.rank(1) - site.rank(0), 0) if site.node.op == "Select" and site.rank(0) == 1 else 0
    if missing:
        flag = site.one("Unsqueeze", flag, site.block.ints(*range(1, missing + 1)))
    return choice(site, flag, a, b, site.dtype(1))


def choice(site: Site, flag: str, a: str, b: str, kind: str) -> str:
    """`a` where the flag is true, else `b`; ONNX Runtime's own choice takes no flags as operands."""
    if kind != "bool":
        return site.one("Where", flag, a, b)
    return site.one("Or", site.one("And", flag, a), site.one("And", site.one("Not", flag), b))


def _selu(site: Site) -> str:
    alpha, gamma = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, the constants of TensorFlow
    if computed(site.dtype()) == "float32":
        return site.one("Selu", site.input(0), alpha=alpha, gamma=gamma)
    x, zero = site.input(0), site.constant(0, "float64")
    below = site.one("Mul", _elu(site), site.constant(alpha, "float64"))
    return site.one("Mul", site.one("Where", site.one("Less", x, zero), below, x), site.constant(gamma, "float64"))


def _softplus(site: Site) -> str:
    if computed(site.dtype()) == "float32":
        return site.one("Softplus", site.input(0))
    x, zero, one = site.input(0), site.constant(0, "float64"), site.constant(1, "float64")
    rest = site.one("Exp", site.one("Neg", site.one("Abs", x)))
    return site.one("Add", site.one("Max", x, zero), site.one("Log", site.one("Add", one, rest)))


def _softsign(site: Site) -> str:
    if computed(site.dtype()) == "float32":
        return site.one("Softsign", site.input(0))
    x = site.input(0)
    return site.one("Div", x, site.one("Add", site.one("Abs", x), site.constant(1, "float64")))


def _leaky(site: Site) -> str:
    return site.one("LeakyRelu", site.input(0), alpha=float(site.attribute("alpha", 0.2)))  # type: ignore[arg-type]


def _elu(site: Site) -> str:
    if computed(site.dtype()) == "float32":
        return site.one("Elu", site.input(0), alpha=1.0)
    x = site.input(0)
    zero, one = site.constant(0, computed(site.dtype())), site.constant(1, computed(site.dtype()))
    below = site.one("Sub", site.one("Exp", site.one("Min", x, zero)), one)
    return site.one("Where", site.one("Less", x, zero), below, x)


def _is_finite(site: Site) -> str:
    x = site.input(0)
    return site.one("Not", site.one("Or", site.one("IsNaN", x), site.one("IsInf", x)))


ARITHMETIC: dict[str, Operator] = {
    **dict.fromkeys(
        "Identity StopGradient PreventGradient CheckNumerics EnsureShape Snapshot RefIdentity Enter RefEnter".split(),
        Operator(_passed),
    ),
    **dict.fromkeys(("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"), Operator(_placeholder)),
    "Const": Operator(_const),
    **dict.fromkeys(("Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable"), Operator(_variable)),
    "ReadVariableOp": Operator(_read_variable),
    "Cast": Operator(_cast),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2"), Operator(_matmul)),
    "BiasAdd": Operator(_bias_add),
    **dict.fromkeys(("Add", "AddV2", "BiasAddV1"), Operator(_same("Add"))),
    "AddN": Operator(_add_n),
    "Sub": Operator(_same("Sub")),
    "Mul": Operator(_same("Mul")),
    **dict.fromkeys(("Div", "RealDiv", "TruncateDiv"), Operator(_same("Div"))),
    "DivNoNan": Operator(_div_no_nan),
    "FloorDiv": Operator(_floor_div),
    "FloorMod": Operator(_floor_mod),
    **dict.fromkeys(("Mod", "TruncateMod"), Operator(_truncate_mod)),
    "Pow": Operator(_same("Pow")),
    "Maximum": Operator(_same("Max")),
    "Minimum": Operator(_same("Min")),
    "Square": Operator(_square),
    "SquaredDifference": Operator(_squared_difference),
    "Rsqrt": Operator(_rsqrt),
    "Log1p": Operator(_log1p),
    "Expm1": Operator(_expm1),
    "Relu6": Operator(_relu6),
    "Elu": Operator(_elu),
    "Selu": Operator(_selu),
    "Softplus": Operator(_softplus),
    "Softsign": Operator(_softsign),
    "LeakyRelu": Operator(_leaky),
    "ClipByValue": Operator(_clip),
    **{op: Operator(_same(op)) for op in "Sigmoid Tanh Relu Exp Log Sqrt Neg Abs Sign Ceil Erf Sin Cos".split()},
    **dict.fromkeys(("Reciprocal", "Inv"), Operator(_same("Reciprocal"))),
    **dict.fromkeys(("Round", "Rint"), Operator(_same("Round"))),
    "Floor": Operator(_floor, lazy=(0,)),
    "IsNan": Operator(_same("IsNaN")),
    "IsInf": Operator(_same("IsInf")),
    "IsFinite": Operator(_is_finite),
    "Less": Operator(_same("Less")),
    "LessEqual": Operator(_same("LessOrEqual")),
    "Greater": Operator(_same("Greater")),
    "GreaterEqual": Operator(_greater_equal, lazy=(0, 1)),
    "RandomUniform": Operator(_uniform),
    "RandomStandardNormal": Operator(_normal),
    "Equal": Operator(_same("Equal")),
    "NotEqual": Operator(_not_equal),
    "LogicalAnd": Operator(_same("And")),
    "LogicalOr": Operator(_same("Or")),
    "LogicalNot": Operator(_same("Not")),
    "ZerosLike": Operator(_ones_like(0)),
    "OnesLike": Operator(_ones_like(1)),
    **dict.fromkeys(("Select", "SelectV2"), Operator(_select)),
}
