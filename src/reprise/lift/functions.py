"""TensorFlow operators → ONNX: functions of one number, element by element."""

from __future__ import annotations

import numpy as np

from reprise.graph import Value
from reprise.lift.emitter import Emit, Operator, Site
from reprise.lift.random import certain_mask
from reprise.operators.rules.block import computed, onnx_type
from reprise.wire import onnx


def same(op: str, **attributes: object) -> Emit:
    """An operator of equal meaning in ONNX."""
    return lambda site: site.one(op, *site.inputs(), **attributes)


def number(site: Site, value: float) -> str:
    """A constant of the type in which the operator computes."""
    return site.constant(value, computed(site.dtype()))


def is_real(site: Site) -> bool:
    """Whether the operator computes with real numbers."""
    return computed(site.dtype()).startswith("float")


def _square(site: Site) -> str:
    x = site.input(0)
    return site.one("Mul", x, x)


def _rsqrt(site: Site) -> str:
    return site.one("Reciprocal", site.one("Sqrt", site.input(0)))


def _log1p(site: Site) -> str:
    return site.one("Log", site.one("Add", site.input(0), number(site, 1)))


def _expm1(site: Site) -> str:
    return site.one("Sub", site.one("Exp", site.input(0)), number(site, 1))


def _relu6(site: Site) -> str:
    return site.one("Clip", site.input(0), number(site, 0), number(site, 6))


def _floor(site: Site) -> str:
    if certain_mask(site.emitter.structure, site.emitter.known, Value(site.node.name)):
        return number(site, 1)
    return site.one("Floor", site.input(0))


def _filled_like(value: int) -> Emit:
    def emit(site: Site) -> str:
        fill = np.asarray([value], computed(site.dtype()))
        return site.one("ConstantOfShape", site.one("Shape", site.input(0)), value=onnx.tensor(fill))

    return emit


def _leaky(site: Site) -> str:
    return site.one("LeakyRelu", site.input(0), alpha=site.node.number("alpha", 0.2))


def _elu(site: Site) -> str:
    if computed(site.dtype()) == "float32":
        return site.one("Elu", site.input(0), alpha=1.0)
    x, zero, one = site.input(0), number(site, 0), number(site, 1)
    below = site.one("Sub", site.one("Exp", site.one("Min", x, zero)), one)
    return site.one("Where", site.one("Less", x, zero), below, x)


def _selu(site: Site) -> str:
    alpha, gamma = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, the constants of TensorFlow
    if computed(site.dtype()) == "float32":
        return site.one("Selu", site.input(0), alpha=alpha, gamma=gamma)
    x = site.input(0)
    below = site.one("Mul", _elu(site), number(site, alpha))
    return site.one("Mul", site.one("Where", site.one("Less", x, number(site, 0)), below, x), number(site, gamma))


def _softplus(site: Site) -> str:
    if computed(site.dtype()) == "float32":
        return site.one("Softplus", site.input(0))
    x = site.input(0)
    rest = site.one("Exp", site.one("Neg", site.one("Abs", x)))
    return site.one("Add", site.one("Max", x, number(site, 0)), site.one("Log", site.one("Add", number(site, 1), rest)))


def _softsign(site: Site) -> str:
    if computed(site.dtype()) == "float32":
        return site.one("Softsign", site.input(0))
    x = site.input(0)
    return site.one("Div", x, site.one("Add", site.one("Abs", x), number(site, 1)))


def _is_finite(site: Site) -> str:
    x = site.input(0)
    return site.one("Not", site.one("Or", site.one("IsNaN", x), site.one("IsInf", x)))


def _bucket(site: Site) -> str:
    """How many boundaries a number has reached."""
    boundaries = np.asarray(site.node.numbers("boundaries"), np.float64)
    x = site.one("Unsqueeze", site.one("Cast", site.input(0), to=onnx_type("float64")), site.block.ints(-1))
    reached = site.one("Cast", site.one("GreaterOrEqual", x, site.constant(boundaries)), to=onnx.INT32)
    return site.one("ReduceSum", reached, site.block.ints(-1), keepdims=0)


_EQUAL = (
    "Sigmoid Tanh Relu Exp Log Sqrt Neg Abs Sign Ceil Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh "
    "Reciprocal Round"
)


def _fake_quantized(site: Site) -> str:
    """The nearest of the levels that so many bits have between two bounds, of which zero is one."""
    x, *bounds = site.inputs()
    low, high = bounds or (number(site, site.node.number(name, value)) for name, value in (("min", -6), ("max", 6)))
    first, last = int(site.node.flag("narrow_range")), 2 ** site.node.integer("num_bits", 8) - 1
    scale = site.one("Div", site.one("Sub", high, low), number(site, last - first))
    zero = site.one("Sub", number(site, first + 0.5), site.one("Div", low, scale))
    zero = site.one("Max", site.one("Min", site.one("Floor", zero), number(site, last)), number(site, first))
    least, most = (site.one("Mul", site.one("Sub", number(site, n), zero), scale) for n in (first, last))
    above = site.one("Sub", site.one("Max", site.one("Min", x, most), least), least)
    level = site.one("Floor", site.one("Add", site.one("Div", above, scale), number(site, 0.5)))
    return site.one("Add", site.one("Mul", level, scale), least)


FUNCTIONS: dict[str, Operator] = {
    **{op: Operator(same(op)) for op in _EQUAL.split()},
    "Inv": Operator(same("Reciprocal")),
    "Rint": Operator(same("Round")),
    "Square": Operator(_square),
    "Rsqrt": Operator(_rsqrt),
    "Log1p": Operator(_log1p),
    "Expm1": Operator(_expm1),
    "Relu6": Operator(_relu6),
    **dict.fromkeys(
        ("FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel"),
        Operator(_fake_quantized),
    ),
    "Elu": Operator(_elu),
    "Selu": Operator(_selu),
    "Softplus": Operator(_softplus),
    "Softsign": Operator(_softsign),
    "LeakyRelu": Operator(_leaky),
    "Floor": Operator(_floor, lazy=(0,)),
    "IsNan": Operator(same("IsNaN")),
    "IsInf": Operator(same("IsInf")),
    "IsFinite": Operator(_is_finite),
    "LogicalNot": Operator(same("Not")),
    "ZerosLike": Operator(_filled_like(0)),
    "OnesLike": Operator(_filled_like(1)),
    "Bucketize": Operator(_bucket),
}
