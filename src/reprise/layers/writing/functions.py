"""Activations, written with the operators of the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import pi, sqrt

from reprise.graph import Value
from reprise.layers.kinds import ActivationFunction
from reprise.layers.writing.ops import Ops

_Writer = Callable[..., Value]


def apply(ops: Ops, function: ActivationFunction, x: Value) -> Value:
    """An activation of x, along its last axis where it looks at more than one number."""
    return FUNCTIONS[function.name](ops, x, *function.numbers)


def _named(op: str) -> _Writer:
    return lambda ops, x: ops.op(op, x)


def _clipped(ops: Ops, x: Value, low: float, high: float) -> Value:
    return ops.op("ClipByValue", x, ops.number(low), ops.number(high))


def _hard_sigmoid(ops: Ops, x: Value, slope: float, offset: float) -> Value:
    """clip(slope · x + offset, 0, 1); Keras 1 and 2 have 0.2 and 0.5, Keras 3 and PyTorch 1/6 and 0.5."""
    return _clipped(ops, ops.op("AddV2", ops.op("Mul", x, ops.number(slope)), ops.number(offset)), 0.0, 1.0)


def _relu(ops: Ops, x: Value, most: float = float("inf"), slope: float = 0.0, threshold: float = 0.0) -> Value:
    """X above `threshold`, at most `most`; below it slope · (x − threshold)."""
    if (most, slope, threshold) == (float("inf"), 0.0, 0.0):
        return ops.op("Relu", x)
    limit = ops.number(threshold)
    above = x if most == float("inf") else ops.op("Minimum", x, ops.number(most))
    below = ops.op("Mul", ops.op("Sub", x, limit), ops.number(slope))
    return ops.op("SelectV2", ops.op("GreaterEqual", x, limit), above, below)


def _elu(ops: Ops, x: Value, alpha: float = 1.0) -> Value:
    if alpha == 1.0:
        return ops.op("Elu", x)
    below = ops.op("Mul", ops.number(alpha), ops.op("Expm1", ops.op("Minimum", x, ops.number(0.0))))
    return ops.op("SelectV2", ops.op("Greater", x, ops.number(0.0)), x, below)


def _celu(ops: Ops, x: Value, alpha: float = 1.0) -> Value:
    scaled = ops.op("Mul", ops.op("Minimum", x, ops.number(0.0)), ops.number(1 / alpha))
    return ops.op("AddV2", ops.op("Relu", x), ops.op("Mul", ops.number(alpha), ops.op("Expm1", scaled)))


def _gelu(ops: Ops, x: Value) -> Value:
    """X · Φ(x), Hendrycks & Gimpel 2016."""
    error = ops.op("Erf", ops.op("Mul", x, ops.number(1 / sqrt(2))))
    return ops.op("Mul", ops.op("Mul", x, ops.number(0.5)), ops.op("AddV2", error, ops.number(1.0)))


def _gelu_tanh(ops: Ops, x: Value) -> Value:
    """The same, approximated."""
    cube = ops.op("Mul", ops.op("Mul", ops.op("Mul", x, x), x), ops.number(0.044715))
    inner = ops.op("Tanh", ops.op("Mul", ops.op("AddV2", x, cube), ops.number(sqrt(2 / pi))))
    return ops.op("Mul", ops.op("Mul", x, ops.number(0.5)), ops.op("AddV2", inner, ops.number(1.0)))


def _silu(ops: Ops, x: Value) -> Value:
    return ops.op("Mul", x, ops.op("Sigmoid", x))


def _mish(ops: Ops, x: Value) -> Value:
    return ops.op("Mul", x, ops.op("Tanh", ops.op("Softplus", x)))


def _hard_silu(ops: Ops, x: Value) -> Value:
    return ops.op("Mul", x, _hard_sigmoid(ops, x, 1 / 6, 0.5))


def _squareplus(ops: Ops, x: Value, b: float = 4.0) -> Value:
    root = ops.op("Sqrt", ops.op("AddV2", ops.op("Mul", x, x), ops.number(b)))
    return ops.op("Mul", ops.op("AddV2", x, root), ops.number(0.5))


def _log_sigmoid(ops: Ops, x: Value) -> Value:
    return ops.op("Neg", ops.op("Softplus", ops.op("Neg", x)))


def _tanh_shrink(ops: Ops, x: Value) -> Value:
    return ops.op("Sub", x, ops.op("Tanh", x))


def _soft_shrink(ops: Ops, x: Value, bound: float = 0.5) -> Value:
    less = ops.op("Relu", ops.op("Sub", x, ops.number(bound)))
    more = ops.op("Relu", ops.op("Sub", ops.op("Neg", x), ops.number(bound)))
    return ops.op("Sub", less, more)


def _hard_shrink(ops: Ops, x: Value, bound: float = 0.5) -> Value:
    kept = ops.op("Greater", ops.op("Abs", x), ops.number(bound))
    return ops.op("SelectV2", kept, x, ops.op("ZerosLike", x))


def _threshold(ops: Ops, x: Value, bound: float, value: float) -> Value:
    other = ops.op("AddV2", ops.op("ZerosLike", x), ops.number(value))
    return ops.op("SelectV2", ops.op("Greater", x, ops.number(bound)), x, other)


def _scaled_tanh(ops: Ops, x: Value, outer: float, inner: float) -> Value:
    """Outer · tanh(inner · x), LeCun et al. 1998."""
    return ops.op("Mul", ops.number(outer), ops.op("Tanh", ops.op("Mul", x, ops.number(inner))))


#: Name → (ops, x, its numbers) → the activation of x.
FUNCTIONS: Mapping[str, _Writer] = {
    "linear": lambda ops, x: x,
    "tanh": _named("Tanh"),
    "sigmoid": _named("Sigmoid"),
    "hard_sigmoid": _hard_sigmoid,
    "relu": _relu,
    "elu": _elu,
    "celu": _celu,
    "selu": _named("Selu"),
    "softplus": _named("Softplus"),
    "softsign": _named("Softsign"),
    "softmax": _named("Softmax"),
    "log_softmax": _named("LogSoftmax"),
    "exponential": _named("Exp"),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "hard_silu": _hard_silu,
    "hard_tanh": lambda ops, x: _clipped(ops, x, -1.0, 1.0),
    "clip": _clipped,
    "squareplus": _squareplus,
    "log_sigmoid": _log_sigmoid,
    "tanh_shrink": _tanh_shrink,
    "soft_shrink": _soft_shrink,
    "hard_shrink": _hard_shrink,
    "threshold": _threshold,
    "scaled_tanh": _scaled_tanh,
    **{
        name: _named(op)
        for name, op in {"square": "Square", "sqrt": "Sqrt", "rsqrt": "Rsqrt", "log": "Log", "absolute": "Abs"}.items()
    },
    "negative": _named("Neg"),
}
