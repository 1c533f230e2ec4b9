"""Operations of `keras.ops` that Keras 3 keeps among the layers of a functional model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reprise.layers import kinds
from reprise.layers.keras.basic import Symbols
from reprise.layers.keras.place import Place, Symbol
from reprise.layers.kinds import Function, Layer
from reprise.tensors import in_memory

_ARITHMETIC = {
    "Add": "add",
    "Subtract": "subtract",
    "Multiply": "multiply",
    "Divide": "divide",
    "TrueDivide": "divide",
    "Maximum": "maximum",
    "Minimum": "minimum",
}
_FUNCTIONS = {
    **{name.title().replace("_", ""): name for name in ("tanh", "sigmoid", "relu", "softplus", "softsign", "silu")},
    "Exp": "exponential",
    "Log": "log",
    "Sqrt": "sqrt",
    "Square": "square",
    "Absolute": "absolute",
    "Abs": "absolute",
    "Negative": "negative",
    "Elu": "elu",
    "Selu": "selu",
    "Rsqrt": "rsqrt",
    "Softmax": "softmax",
}
_REDUCTIONS = {"Mean": "mean", "Sum": "sum", "Max": "max", "Min": "min"}
_AXES = {"ExpandDims", "Squeeze", "Transpose", "Flip"}


def apply(place: Place, kind: str, given: Any, named: Mapping[str, Any]) -> Symbols:
    """An operation on what it is given, in order and by name.

    Raises:
        LiftError: It has no translation.
    """
    given = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    if kind in _ARITHMETIC:
        return _arithmetic(place, _ARITHMETIC[kind], [*given, *(named[k] for k in ("x1", "x2") if k in named)])
    if kind == "NotEqual":
        return _not_equal(place, given)
    x, *rest = given
    if not isinstance(x, Symbol):
        raise place.options.unknown("an operation that reads no value")
    if kind == "ConvertToTensor" and not rest and all(option in (None, False) for option in named.values()):
        return (x,)
    layer = _layer(place, kind, [*rest, *named.values()], named)
    return (Symbol(place.put(layer, inputs=[x])),)


def _arithmetic(place: Place, kind: str, sides: Sequence[Any]) -> Symbols:
    symbols = [s for s in sides if isinstance(s, Symbol)]
    if len(sides) != 2 or not symbols:
        raise place.options.unknown("arithmetic of other than two values")
    if len(symbols) == 2:
        return (Symbol(place.put(kinds.Join(kind), inputs=symbols)),)
    number = next(s for s in sides if not isinstance(s, Symbol))
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise place.options.unknown(f"arithmetic with {number!r:.60}")
    layer = _with_number(kind, float(number), first=not isinstance(sides[0], Symbol))
    if layer is None:
        raise place.options.unknown(f"a number to {kind} with from that side")
    return (Symbol(place.put(layer, inputs=symbols)),)


def _with_number(kind: str, number: float, *, first: bool) -> Layer | None:
    """X + n, n + x, x − n, n − x, x · n, n · x and x / n as one scale and one offset."""
    scales: dict[str, tuple[float, float]] = {"add": (1.0, number), "multiply": (number, 0.0)}
    scales["subtract"] = (-1.0, number) if first else (1.0, -number)
    if not first and number:
        scales["divide"] = (1.0 / number, 0.0)
    if kind not in scales:
        return None
    return kinds.Affine(*(_scalar(n) for n in scales[kind]))


def _scalar(number: float) -> Any:
    return in_memory(np.asarray(number, np.float32))


def _not_equal(place: Place, given: Sequence[Any]) -> Symbols:
    """The mask of an embedding, which Keras 3 writes out."""
    x, value = (*given, None)[:2]
    if not isinstance(x, Symbol) or isinstance(value, bool) or not isinstance(value, (int, float)):
        raise place.options.unknown("a comparison of other than a value with a number")
    return (Symbol(place.put(kinds.Mask(float(value)), inputs=[x])),)


def _layer(place: Place, kind: str, rest: Sequence[Any], named: Mapping[str, Any]) -> Layer:
    """The layer that an operation of one value is."""
    if kind in _FUNCTIONS and not rest:
        return kinds.Activation(Function(_FUNCTIONS[kind]))
    raise place.options.unknown(f"the operation {kind!r}")
