"""Functions of one number, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reprise.graph import Node, Value
from reprise.operators.random import certain_mask
from reprise.operators.rules.asking import as_result
from reprise.operators.rules.attributes import Flag, Integer, Number, Numbers
from reprise.operators.rules.block import computed_type, onnx_type
from reprise.operators.rules.pairs import exponential
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import first_shape
from reprise.operators.rules.site import OnnxRule, Site, number, same
from reprise.operators.rules.steps import keeps
from reprise.tensors import Array
from reprise.wire import onnx

_ALPHA, _BOUNDARIES = Number("alpha", 0.2), Numbers("boundaries")
_MIN, _MAX, _BITS, _NARROW = Number("min", -6), Number("max", 6), Integer("num_bits", 8), Flag("narrow_range")


def _unary(function: Callable[..., Any]) -> Callable[[Node, list[Array]], Any]:
    return lambda node, inputs: function(inputs[0])


def _square_onnx(site: Site) -> str:
    x = site.input(0)
    return site.one("Mul", x, x)


def _rsqrt_onnx(site: Site) -> str:
    return site.one("Reciprocal", site.one("Sqrt", site.input(0)))


def _log1p_onnx(site: Site) -> str:
    return site.one("Log", site.one("Add", site.input(0), number(site, 1)))


def _expm1_onnx(site: Site) -> str:
    return site.one("Sub", site.one("Exp", site.input(0)), number(site, 1))


def _relu6_onnx(site: Site) -> str:
    return site.one("Clip", site.input(0), number(site, 0), number(site, 6))


def _floor_onnx(site: Site) -> str:
    if certain_mask(site.emitter.structure, site.emitter.known, Value(site.node.name)):
        return number(site, 1)
    return site.one("Floor", site.input(0))


def _filled_like(value: int) -> OnnxRule:
    def emit(site: Site) -> str:
        fill = np.asarray([value], computed_type(site.dtype()))
        return site.one("ConstantOfShape", site.one("Shape", site.input(0)), value=onnx.tensor(fill))

    return emit


def _leaky_relu_onnx(site: Site) -> str:
    return site.one("LeakyRelu", site.input(0), alpha=_ALPHA(site.node))


def _elu_onnx(site: Site) -> str:
    if computed_type(site.dtype()) == "float32":
        return site.one("Elu", site.input(0), alpha=1.0)
    x, zero, one = site.input(0), number(site, 0), number(site, 1)
    below = site.one("Sub", site.one("Exp", site.one("Min", x, zero)), one)
    return site.one("Where", site.one("Less", x, zero), below, x)


def _selu_onnx(site: Site) -> str:
    alpha, gamma = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, the constants of TensorFlow
    if computed_type(site.dtype()) == "float32":
        return site.one("Selu", site.input(0), alpha=alpha, gamma=gamma)
    x = site.input(0)
    below = site.one("Mul", _elu_onnx(site), number(site, alpha))
    return site.one("Mul", site.one("Where", site.one("Less", x, number(site, 0)), below, x), number(site, gamma))


def _softplus_onnx(site: Site) -> str:
    if computed_type(site.dtype()) == "float32":
        return site.one("Softplus", site.input(0))
    x = site.input(0)
    rest = site.one("Exp", site.one("Neg", site.one("Abs", x)))
    return site.one("Add", site.one("Max", x, number(site, 0)), site.one("Log", site.one("Add", number(site, 1), rest)))


def _softsign_onnx(site: Site) -> str:
    if computed_type(site.dtype()) == "float32":
        return site.one("Softsign", site.input(0))
    x = site.input(0)
    return site.one("Div", x, site.one("Add", site.one("Abs", x), number(site, 1)))


def _is_finite_onnx(site: Site) -> str:
    x = site.input(0)
    return site.one("Not", site.one("Or", site.one("IsNaN", x), site.one("IsInf", x)))


def _bucketize_onnx(site: Site) -> str:
    """How many boundaries a number has reached."""
    boundaries = np.asarray(_BOUNDARIES(site.node), np.float64)
    x = site.one("Unsqueeze", site.one("Cast", site.input(0), to=onnx_type("float64")), site.block.ints(-1))
    reached = site.one("Cast", site.one("GreaterOrEqual", x, site.constant(boundaries)), to=onnx.INT32)
    return site.one("ReduceSum", reached, site.block.ints(-1), keepdims=0)


def _fake_quant_onnx(site: Site) -> str:
    """The nearest of the levels that so many bits have between two bounds, of which zero is one."""
    x, *bounds = site.inputs()
    low, high = bounds or (number(site, bound(site.node)) for bound in (_MIN, _MAX))
    first, last = int(_NARROW(site.node)), 2 ** _BITS(site.node) - 1
    scale = site.one("Div", site.one("Sub", high, low), number(site, last - first))
    zero = site.one("Sub", number(site, first + 0.5), site.one("Div", low, scale))
    zero = site.one("Max", site.one("Min", site.one("Floor", zero), number(site, last)), number(site, first))
    least, most = (site.one("Mul", site.one("Sub", number(site, n), zero), scale) for n in (first, last))
    above = site.one("Sub", site.one("Max", site.one("Min", x, most), least), least)
    level = site.one("Floor", site.one("Add", site.one("Div", above, scale), number(site, 0.5)))
    return site.one("Add", site.one("Mul", level, scale), least)


def _clip_onnx(site: Site) -> str:
    return site.one("Min", site.one("Max", site.input(0), site.input(1)), site.input(2))


def _function(names: str, onnx: OnnxRule, tags: tuple[Tag, ...] = (), **rules: Any) -> Operator:
    """The record of a function of one number."""
    return Operator(
        names, shape=first_shape, steps=keeps, onnx=onnx, tags=(Tag.ELEMENTWISE, *tags), asks=as_result, **rules
    )


#: Functions that have the same name and meaning in ONNX.
_SAME = "Log Sqrt Abs Sign Ceil Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh"

OPERATORS = (
    _function("Exp", same("Exp"), on_pairs=exponential),
    *(_function(name, same(name)) for name in _SAME.split()),
    *(_function(name, same(name), tags=(Tag.ACTIVATION,)) for name in ("Sigmoid", "Tanh", "Relu")),
    _function("Relu6", _relu6_onnx, tags=(Tag.ACTIVATION,)),
    _function("Elu", _elu_onnx, tags=(Tag.ACTIVATION,)),
    _function("Selu", _selu_onnx, tags=(Tag.ACTIVATION,)),
    _function("LeakyRelu", _leaky_relu_onnx, tags=(Tag.ACTIVATION,), attributes=(_ALPHA,)),
    _function("Softplus", _softplus_onnx, tags=(Tag.ACTIVATION,)),
    _function("Softsign", _softsign_onnx, tags=(Tag.ACTIVATION,)),
    _function("Expm1", _expm1_onnx),
    _function("Log1p", _log1p_onnx),
    _function("Rsqrt", _rsqrt_onnx),
    _function("Square", _square_onnx),
    _function("Neg", same("Neg"), fold=_unary(np.negative), on_pairs=same("Neg")),
    _function("Floor", _floor_onnx, lazy=(0,)),
    _function("Round Rint", same("Round")),
    _function("Reciprocal Inv", same("Reciprocal")),
    _function("LogicalNot", same("Not"), fold=_unary(np.logical_not), types=("bool",)),
    _function("IsFinite", _is_finite_onnx, types=("bool",)),
    _function("IsNan", same("IsNaN"), types=("bool",)),
    _function("IsInf", same("IsInf"), types=("bool",)),
    _function("ClipByValue", _clip_onnx, inputs=3),
    _function("Bucketize", _bucketize_onnx, types=("int32",), tags=(Tag.DISCRETE,), attributes=(_BOUNDARIES,)),
    _function("FakeQuantWithMinMaxArgs", _fake_quant_onnx, attributes=(_MIN, _MAX, _BITS, _NARROW)),
    _function(
        "FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel",
        _fake_quant_onnx,
        attributes=(_BITS, _NARROW),
        inputs=3,
    ),
    _function("ZerosLike", _filled_like(0), fold=_unary(np.zeros_like), tags=(Tag.SHAPE_ONLY, Tag.REPEATING)),
    _function("OnesLike", _filled_like(1), fold=_unary(np.ones_like), tags=(Tag.SHAPE_ONLY, Tag.REPEATING)),
)
