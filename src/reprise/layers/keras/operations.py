"""Operations that functional models keep among their layers: those of `keras.ops`, and TensorFlow's in Keras 2.

None of them hands on a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reprise.errors import LiftError
from reprise.graph import Value
from reprise.layers import arranging, kinds
from reprise.layers.keras.basic import Symbols
from reprise.layers.keras.calls import KerasCall, Symbol
from reprise.layers.keras.options import Options
from reprise.layers.kinds import ActivationFunction, Layer
from reprise.tensors import DTYPES, Tensor, in_memory

_MISSING = object()


@dataclass(frozen=True, slots=True)
class _Operation:
    """An operation and what it is given.

    Attributes:
        target: The layer of Keras in which it stands.
        kind: Its name, such as `expand_dims`.
        given: In order.
        named: By name, the options of the operation among them.
    """

    target: KerasCall
    kind: str
    given: tuple[Any, ...]
    named: Mapping[str, Any]

    def at(self, index: int, name: str, default: Any = _MISSING) -> Any:
        """An argument that is given by name or in order.

        Raises:
            LiftError: It is not there.
        """
        found = self.named.get(name, self.given[index] if index < len(self.given) else default)
        if found is _MISSING:
            raise self.unknown(f"without {name}")
        return found

    def value(self, index: int, name: str) -> Symbol:
        """A value that it reads."""
        found = self.at(index, name)
        if not isinstance(found, Symbol):
            raise self.unknown(f"of {found!r:.60}")
        return found

    def options(self, index: int, name: str, default: Any = _MISSING) -> Options:
        """An argument as an option that is checked when it is read."""
        return Options(self.target.options.where, {name: self.at(index, name, default)}, self.target.options.version)

    def whole(self, index: int, name: str, default: Any = _MISSING) -> int:
        """A whole number."""
        return self.options(index, name, default).whole(name)

    def wholes(self, index: int, name: str, default: Any = _MISSING) -> tuple[int, ...]:
        """Whole numbers, or one alone."""
        return self.options(index, name, default).wholes(name, None, None if self._listed(index, name, default) else 1)

    def _listed(self, index: int, name: str, default: Any) -> bool:
        return isinstance(self.at(index, name, default), (list, tuple))

    def put(self, layer: Layer, *read: Symbol, end: str = "") -> Symbols:
        """A call of a layer on values."""
        return (Symbol(self.target.put(layer, end, inputs=read)),)

    def unknown(self, what: str) -> LiftError:
        """The error for something that has no translation."""
        return self.target.options.unknown(f"the operation {self.kind!r} {what}".rstrip())


def apply(target: KerasCall, kind: str, given: Any, named: Mapping[str, Any]) -> Symbols:
    """An operation on what it is given, in order and by name.

    Raises:
        LiftError: It has no translation.
    """
    call = _Operation(target, kind, tuple(given) if isinstance(given, (list, tuple)) else (given,), named)
    found = _OPERATIONS.get(kind)
    if found is None:
        raise call.unknown("")
    return found(call)


def _arithmetic(kind: str) -> Callable[[_Operation], Symbols]:
    def operation(call: _Operation) -> Symbols:
        first = call.at(0, "x1", call.named.get("x"))
        sides = (first, call.at(1, "x2", call.named.get("y")))
        symbols = [s for s in sides if isinstance(s, Symbol)]
        if len(symbols) == 2:
            return call.put(kinds.Join(kind, by_end=True), *symbols)
        number = next(s for s in sides if not isinstance(s, Symbol))
        if len(symbols) != 1 or isinstance(number, bool) or not isinstance(number, (int, float)):
            raise call.unknown(f"with {number!r:.60}")
        layer = _with_number(kind, float(number), first=symbols[0] is not first)
        if layer is None:
            raise call.unknown("with a number on that side")
        return call.put(layer, *symbols)

    return operation


def _with_number(kind: str, number: float, *, first: bool) -> Layer | None:
    """X + n, n + x, x − n, n − x, x · n, n · x and x / n as one scale and one offset; the greater and the lesser."""
    if kind in ("maximum", "minimum"):
        bounds = (number, float("inf")) if kind == "maximum" else (float("-inf"), number)
        return kinds.Activation(ActivationFunction("clip", bounds))
    scales: dict[str, tuple[float, float]] = {"add": (1.0, number), "multiply": (number, 0.0)}
    scales["subtract"] = (-1.0, number) if first else (1.0, -number)
    if not first and number:
        scales["divide"] = (1.0 / number, 0.0)
    if kind not in scales:
        return None
    return kinds.Affine(*(_scalar(n) for n in scales[kind]))


def _scalar(number: float) -> Tensor:
    return in_memory(np.asarray(number, np.float32))


def _function(name: str) -> Callable[[_Operation], Symbols]:
    def operation(call: _Operation) -> Symbols:
        names = ("x", "features", "logits", "a", "tensor", "input")
        x = call.given[0] if call.given else next((call.named[n] for n in names if n in call.named), None)
        if not isinstance(x, Symbol) or len(call.given) > 1:
            raise call.unknown("of other than one value")
        return call.put(kinds.Activation(_with_options(call, name)), x)

    return operation


def _with_options(call: _Operation, name: str) -> ActivationFunction:
    """A function with the numbers that the operation is given.

    Raises:
        LiftError: It is given others.
    """
    named = {k: v for k, v in call.named.items() if v is not None and k not in ("x", "features", "a", "axis", "name")}
    options = Options(call.target.options.where, named, call.target.options.version)
    if name == "gelu":
        return ActivationFunction(
            "gelu_tanh" if options.flag("approximate", default=options.version.major >= 3) else "gelu"
        )
    if name == "leaky_relu":
        slope = options.number("negative_slope", options.number("alpha", 0.2))
        return ActivationFunction("relu", (float("inf"), slope, 0.0))
    if name in ("elu", "celu"):
        return ActivationFunction(name, (options.number("alpha", 1.0),))
    if named:
        raise call.unknown(f"with {', '.join(named)}")
    return ActivationFunction("relu", (6.0,)) if name == "relu6" else ActivationFunction(name)


def _softmax(call: _Operation) -> Symbols:
    x = call.given[0] if call.given else call.named.get("x", call.named.get("logits"))
    axis = call.at(1, "axis", -1)
    if not isinstance(x, Symbol) or (axis is not None and not isinstance(axis, int)):
        raise call.unknown(f"along {axis!r:.60}")
    return call.put(kinds.Activation(ActivationFunction(call.kind), -1 if axis is None else axis), x)


def _hard_sigmoid(call: _Operation) -> Symbols:
    return call.put(kinds.Activation(ActivationFunction("hard_sigmoid", (1 / 6, 0.5))), call.value(0, "x"))


def _clip(call: _Operation) -> Symbols:
    low, high = (
        call.options(i, n, call.named.get(other)).number(n)
        for i, n, other in ((1, "x_min", "clip_value_min"), (2, "x_max", "clip_value_max"))
    )
    return call.put(kinds.Activation(ActivationFunction("clip", (low, high))), call.value(0, "x"))


def _power(call: _Operation) -> Symbols:
    found = call.at(1, "x2", call.named.get("y"))
    functions = {2: "square", 0.5: "sqrt", -0.5: "rsqrt"}
    if isinstance(found, Symbol) or found not in functions:
        raise call.unknown(f"to {found!r:.60}")
    return call.put(kinds.Activation(ActivationFunction(functions[found])), call.value(0, "x1"))


def _not_equal(call: _Operation) -> Symbols:
    """The mask of an embedding, which Keras 3 writes out."""
    x, value = call.at(0, "x1"), call.at(1, "x2")
    if not isinstance(x, Symbol) or isinstance(value, bool) or not isinstance(value, (int, float)):
        raise call.unknown("of other than a value and a number")
    return call.put(kinds.Mask(float(value)), x)


def _logical(*, either: bool) -> Callable[[_Operation], Symbols]:
    return lambda call: call.put(kinds.Both(either=either), call.value(0, "x1"), call.value(1, "x2"))


def _reduction(kind: str) -> Callable[[_Operation], Symbols]:
    def operation(call: _Operation) -> Symbols:
        keep = call.options(2, "keepdims", call.named.get("keep_dims")).flag("keepdims")
        axes = call.wholes(1, "axis", ()) if call.at(1, "axis", None) is not None else ()
        if not axes or call.named.get("initial") is not None:
            raise call.unknown("over all axes, or with a first value")
        x = call.value(0, "x") if call.given or "x" in call.named else call.value(0, "input_tensor")
        return call.put(arranging.Reduction(kind, axes, keep), x)

    return operation


def _joined(call: _Operation) -> tuple[list[Symbol], int]:
    """The values that are joined, and the axis; both may be given in order, as one list or each alone."""
    found = call.named.get("xs", call.named.get("values", call.given))
    listed = found[0] if len(found) and isinstance(found[0], (list, tuple)) else found
    symbols = [one for one in listed if isinstance(one, Symbol)]
    axis = call.named.get("axis", found[1] if listed is not found and len(found) > 1 else 0)
    if len(symbols) != len(listed) or isinstance(axis, bool) or not isinstance(axis, int):
        raise call.unknown("of other than values along an axis")
    return symbols, axis


def _concatenate(call: _Operation) -> Symbols:
    values, axis = _joined(call)
    return call.put(kinds.Concatenate(axis), *values)


def _stack(call: _Operation) -> Symbols:
    values, axis = _joined(call)
    wider = [call.put(arranging.Expand(axis), s, end=f"/{i}")[0] for i, s in enumerate(values)]
    return call.put(kinds.Concatenate(axis), *wider)


def _split(call: _Operation) -> Symbols:
    parts = call.whole(1, "indices_or_sections", call.named.get("num_or_size_splits"))
    axis = call.whole(2, "axis", 0)
    if parts < 1:
        raise call.unknown(f"into {parts} parts")
    made = call.target.put(arranging.Split(parts, axis), inputs=[call.value(0, "x")])
    return tuple(Symbol(Value(made.node, i)) for i in range(parts))


def _matmul(call: _Operation) -> Symbols:
    names = ("x1", "x2") if "x1" in call.named or len(call.given) > 1 else ("a", "b")
    known = {"transpose_a", "transpose_b", *names, "name"}
    if any(value not in (None, False) for name, value in call.named.items() if name not in known):
        raise call.unknown("with other options than to transpose")
    turned = (bool(call.named.get("transpose_a")), bool(call.named.get("transpose_b")))
    return call.put(arranging.Product(turned), *(call.value(i, name) for i, name in enumerate(names)))


def _item(call: _Operation) -> Symbols:
    """Parts of a value; new axes are put in behind the others."""
    found = call.at(1, "key", call.named.get("slice_spec"))
    parts = [_part(call, one) for one in (found if isinstance(found, (list, tuple)) else [found])]
    index = tuple(part for part in parts if part is not None)
    if index.count(...) > 1:
        raise call.unknown("with two ellipses")
    x = call.value(0, "x" if "x" in call.named else "tensor")
    at = call.put(arranging.Take(index), x, end="/parts" if None in parts else "")
    for axis in _new_axes(parts):
        at = call.put(arranging.Expand(axis), *at, end=f"/{axis}")
    return at


def _new_axes(parts: Sequence[Any]) -> list[int]:
    """Where new axes go, each counted when those before are there; behind an ellipsis from the end."""
    kept = [part for part in parts if not isinstance(part, int)]
    ellipsis = kept.index(...) if ... in kept else len(kept)
    found = [i for i, part in enumerate(kept) if part is None]
    return [i if i < ellipsis else i - len(kept) + kept[i + 1 :].count(None) for i in found]


def _part(call: _Operation, found: Any) -> Any:
    """A place, (begin, end, step), `...`, or None for a new axis; Keras 2 writes a slice without a class."""
    if found is None or (isinstance(found, int) and not isinstance(found, bool)):
        return found
    if isinstance(found, Mapping):
        kind, config = found.get("class_name"), found.get("config", found)
        if kind == "__ellipsis__":
            return ...
        if kind in ("__slice__", None) and isinstance(config, Mapping) and "start" in config:
            bounds = tuple(config.get(key) for key in ("start", "stop", "step"))
            if all(n is None or (isinstance(n, int) and not isinstance(n, bool)) for n in bounds):
                return bounds
    raise call.unknown(f"with the index {found!r:.60}")


def _axes(call: _Operation) -> Symbols:
    """Operations that move axes or rows, with the whole numbers that they are given."""
    x = call.value(0, next((n for n in ("input", "tensor", "a") if n in call.named), "x"))
    if call.kind == "expand_dims":
        return call.put(arranging.Expand(call.whole(1, "axis")), x)
    if call.kind == "squeeze":
        return call.put(arranging.Squeeze(call.wholes(1, "axis")), x)
    if call.kind == "transpose":
        return call.put(arranging.Permute(call.wholes(1, "axes", call.named.get("perm"))), x)
    if call.kind == "reshape":
        return call.put(arranging.Reshape(call.wholes(1, "newshape", call.named.get("shape")), batch_too=True), x)
    return call.put(arranging.Reverse(call.whole(1, "axis")), x)


def _cast(call: _Operation) -> Symbols:
    dtype = call.at(1, "dtype")
    if dtype not in DTYPES or dtype == "string":
        raise call.unknown(f"to {dtype!r:.60}")
    return call.put(arranging.Cast(str(dtype)), call.value(0, "x"))


def _like(number: float) -> Callable[[_Operation], Symbols]:
    def operation(call: _Operation) -> Symbols:
        dtype = call.at(1, "dtype", None) or ""
        if dtype and (dtype not in DTYPES or dtype == "string"):
            raise call.unknown(f"of the type {dtype!r:.60}")
        return call.put(arranging.Like(number, str(dtype)), call.value(0, "input" if "input" in call.named else "x"))

    return operation


def _itself(call: _Operation) -> Symbols:
    if len(call.given) != 1 or any(value not in (None, False) for value in call.named.values()):
        raise call.unknown("with options")
    return (call.value(0, "x"),)


_FUNCTIONS = {
    **{n: n for n in ("tanh sigmoid relu softplus softsign silu selu elu celu gelu mish leaky_relu relu6").split()},
    **{n: n for n in ("log sqrt square rsqrt absolute negative hard_silu hard_tanh log_sigmoid").split()},
    "exp": "exponential",
    "abs": "absolute",
    "swish": "silu",
}
_OPERATIONS: Mapping[str, Callable[[_Operation], Symbols]] = {
    **{kind: _arithmetic(kind) for kind in ("add", "subtract", "multiply", "divide", "maximum", "minimum")},
    **dict.fromkeys(("truediv", "true_divide"), _arithmetic("divide")),
    "mul": _arithmetic("multiply"),
    "sub": _arithmetic("subtract"),
    **{op: _function(name) for op, name in _FUNCTIONS.items()},
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    "hard_sigmoid": _hard_sigmoid,
    **dict.fromkeys(("clip", "clip_by_value"), _clip),
    **dict.fromkeys(("power", "pow"), _power),
    "not_equal": _not_equal,
    "logical_and": _logical(either=False),
    "logical_or": _logical(either=True),
    **{kind: _reduction(kind) for kind in ("mean", "sum", "max", "min", "any", "all")},
    **{f"reduce_{kind}": _reduction(kind) for kind in ("mean", "sum", "max", "min", "any", "all")},
    **dict.fromkeys(("concatenate", "concat"), _concatenate),
    "stack": _stack,
    "split": _split,
    "matmul": _matmul,
    **dict.fromkeys(("get_item", "getitem"), _item),
    **dict.fromkeys(("expand_dims", "squeeze", "transpose", "reshape", "flip", "reverse"), _axes),
    "cast": _cast,
    "ones_like": _like(1.0),
    "zeros_like": _like(0.0),
    **dict.fromkeys(("convert_to_tensor", "identity"), _itself),
}
