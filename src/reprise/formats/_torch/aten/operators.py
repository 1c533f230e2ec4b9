"""ATen's operators that compute number by number, or along an axis, as ONNX; and the table of all operators.

Source: aten/src/ATen/native/native_functions.yaml (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from reprise.formats._torch.aten import convolution, layers, layout, recurrent
from reprise.formats._torch.aten.values import Builder, Dim, RefusedError, Size, Value, broadcast

#: Types from which a result takes the first that an operand has.
_PROMOTED = ("float32", "int64", "int32", "uint8", "bool")

#: Operators of one tensor and nothing else.
_UNARY = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "neg": "Neg",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "erf": "Erf",
    "sin": "Sin",
    "cos": "Cos",
    "floor": "Floor",
    "ceil": "Ceil",
    "reciprocal": "Reciprocal",
    "sign": "Sign",
    "hardswish": "HardSwish",
}
#: What operators of numbers are of truth values.
_OF_TRUTH = {"Add": "Or", "Mul": "And", "Max": "Or", "Min": "And"}
_COMPARED = {"eq": "Equal", "lt": "Less", "gt": "Greater", "le": "LessOrEqual", "ge": "GreaterOrEqual"}


def tensor_of(b: Builder, value: Any, dtype: str) -> Value:
    """An operand as a tensor; a number takes the type of the tensor that it meets."""
    if isinstance(value, Value):
        return value
    if isinstance(value, Dim):
        return b.scalar(value)
    if isinstance(value, (bool, int, float)):
        wide = "float32" if isinstance(value, float) and dtype != "float32" else dtype
        return b.constant(value, "int64" if wide == "bool" and not isinstance(value, bool) else wide)
    raise RefusedError(f"an operand that is {type(value).__name__}")


def cast(b: Builder, value: Value, dtype: str) -> Value:
    if value.dtype == dtype:
        return value
    return b.node("Cast", [value], dtype, value.sizes, to=layout.element(dtype))


def together(b: Builder, *operands: Any) -> list[Value]:
    """Operands as tensors of one type."""
    plain = "int64" if _is_size(*operands) else "float32"
    dtype = next((v.dtype for v in operands if isinstance(v, Value)), plain)
    tensors = [tensor_of(b, v, dtype) for v in operands]
    wanted = next((d for d in _PROMOTED if any(t.dtype == d for t in tensors)), dtype)
    _note_odd(b, tensors)
    return [cast(b, t, wanted) for t in tensors]


def _note_odd(b: Builder, tensors: Sequence[Value]) -> None:
    """Counts computed tensors that are spread along a further axis: the inputs have likely other ranks."""
    widest = max(t.rank for t in tensors)
    b.odd += sum(0 < t.rank < widest and t.root.stored is None and t.root.name not in b.tensors for t in tensors)


def _is_size(*values: Any) -> bool:
    return all(isinstance(v, (int, Dim)) and not isinstance(v, bool) for v in values)


def binary(op: str, b: Builder, self: Any, other: Any) -> Any:
    """A result of two tensors, or of two numbers."""
    left, right = together(b, self, other)
    op = _OF_TRUTH[op] if left.dtype == "bool" and op in _OF_TRUTH else op
    made = b.node(op, [left, right], left.dtype, broadcast(left.sizes, right.sizes))
    if _is_size(self, other):  # of sizes alone: a size
        return Dim((b.emit("Unsqueeze", [made.name, b.ints([0])])[0], None))
    return made


def _unary(op: str, b: Builder, self: Value) -> Value:
    whole = self.dtype != "float32" and op not in ("Neg", "Abs", "Relu", "Sign")
    return b.node(op, [cast(b, self, "float32") if whole else self], "float32" if whole else self.dtype, self.sizes)


def add(b: Builder, self: Any, other: Any, alpha: Any = 1) -> Any:
    return binary("Add", b, self, other if alpha == 1 else binary("Mul", b, other, alpha))


def sub(b: Builder, self: Any, other: Any, alpha: Any = 1) -> Any:
    return binary("Sub", b, self, other if alpha == 1 else binary("Mul", b, other, alpha))


def rsub(b: Builder, self: Any, other: Any, alpha: Any = 1) -> Any:
    return sub(b, other, self, alpha)


def mul(b: Builder, self: Any, other: Any) -> Any:
    return binary("Mul", b, self, other)


def div(b: Builder, self: Any, other: Any, rounding_mode: str | None = None) -> Any:
    left, right = together(b, self, other)
    if rounding_mode is not None:
        raise RefusedError(f"a division that rounds ({rounding_mode})")
    return binary("Div", b, cast(b, left, "float32"), cast(b, right, "float32"))


def floordiv(b: Builder, self: Any, other: Any) -> Any:
    if not _is_size(self, other):
        raise RefusedError("a division of tensors that rounds")
    return binary("Div", b, binary("Sub", b, self, binary("Mod", b, self, other)), other)  # down, also below zero


def pow_(b: Builder, self: Any, exponent: Any) -> Any:
    return binary("Pow", b, self, exponent)


def compare(op: str, b: Builder, self: Any, other: Any) -> Value:
    left, right = together(b, self, other)
    return b.node(op, [left, right], "bool", broadcast(left.sizes, right.sizes))


def ne(b: Builder, self: Any, other: Any) -> Value:
    return logical_not(b, compare("Equal", b, self, other))


def logical_not(b: Builder, self: Value) -> Value:
    return b.node("Not", [cast(b, self, "bool")], "bool", self.sizes)


def bitwise_not(b: Builder, self: Value) -> Value:
    if self.dtype != "bool":
        raise RefusedError(f"the bits of whole numbers ({self.dtype})")
    return logical_not(b, self)


def logical(op: str, b: Builder, self: Value, other: Value) -> Value:
    left, right = (cast(b, v, "bool") for v in (self, other))
    return b.node(op, [left, right], "bool", broadcast(left.sizes, right.sizes))


def where(b: Builder, condition: Value, self: Any, other: Any) -> Value:
    left, right = together(b, self, other)
    chosen = broadcast(condition.sizes, left.sizes, right.sizes)
    return b.node("Where", [cast(b, condition, "bool"), left, right], left.dtype, chosen)


def masked_fill(b: Builder, self: Value, mask: Value, value: Any) -> Value:
    return where(b, mask, value, self)


def lerp(b: Builder, self: Value, end: Value, weight: Any) -> Value:
    moved: Value = add(b, self, mul(b, weight, sub(b, end, self)))
    return moved


def addcmul(b: Builder, self: Value, tensor1: Value, tensor2: Value, value: Any = 1) -> Value:
    made: Value = add(b, self, mul(b, tensor1, tensor2), value)
    return made


# Activations


def _activation(op: str, b: Builder, self: Value, **numbers: float) -> Value:
    if self.dtype != "float32":
        raise RefusedError(f"an activation of whole numbers ({self.dtype})")
    return b.node(op, [self], self.dtype, self.sizes, **numbers)


def elu(b: Builder, self: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
    if float(input_scale) != 1:
        raise RefusedError("elu with a scale of its input")
    result = _activation("Elu", b, self, alpha=float(alpha))
    return result if float(scale) == 1 else mul(b, result, float(scale))


def leaky_relu(b: Builder, self: Value, negative_slope: float = 0.01) -> Value:
    return _activation("LeakyRelu", b, self, alpha=float(negative_slope))


def selu(b: Builder, self: Value) -> Value:
    return _activation("Selu", b, self)


def hardsigmoid(b: Builder, self: Value) -> Value:
    return _activation("HardSigmoid", b, self, alpha=1 / 6, beta=0.5)


def clamp(b: Builder, self: Value, min: Any = None, max: Any = None) -> Value:
    if isinstance(min, Value) or isinstance(max, Value):
        raise RefusedError("a clamp between tensors")
    taken = cast(b, self, "float32") if isinstance(min, float) or isinstance(max, float) else self
    bounds = ["" if v is None else b.constant(v, taken.dtype).name for v in (min, max)]
    return b.node("Clip", [taken, *bounds], taken.dtype, self.sizes)


def clamp_min(b: Builder, self: Value, min: Any) -> Value:
    return clamp(b, self, min)


def clamp_max(b: Builder, self: Value, max: Any) -> Value:
    return clamp(b, self, None, max)


def log1p(b: Builder, self: Value) -> Value:
    return _unary("Log", b, add(b, self, 1.0))


def rsqrt(b: Builder, self: Value) -> Value:
    return _unary("Reciprocal", b, _unary("Sqrt", b, self))


def square(b: Builder, self: Value) -> Value:
    result: Value = mul(b, self, self)
    return result


def glu(b: Builder, self: Value, dim: int = -1) -> Value:
    kept, gate = layout.chunk(b, self, 2, dim)
    result: Value = mul(b, kept, _activation("Sigmoid", b, gate))
    return result


def hardtanh(b: Builder, self: Value, min_val: float = -1, max_val: float = 1) -> Value:
    return clamp(b, self, min_val, max_val)


def relu6(b: Builder, self: Value) -> Value:
    return clamp(b, self, 0.0, 6.0)


def silu(b: Builder, self: Value) -> Value:
    made: Value = mul(b, self, _activation("Sigmoid", b, self))
    return made


def softplus(b: Builder, self: Value, beta: Any = 1, threshold: Any = 20) -> Value:
    """log(1 + exp(beta·x)) / beta; x itself where beta·x is more than the threshold."""
    scaled = self if beta == 1 else mul(b, self, float(beta))
    result = _activation("Softplus", b, scaled)
    result = result if beta == 1 else div(b, result, float(beta))
    if threshold >= 20:  # where both are the same in single precision
        return result
    return where(b, compare("Greater", b, scaled, float(threshold)), self, result)


def mish(b: Builder, self: Value) -> Value:
    result: Value = mul(b, self, _activation("Tanh", b, _activation("Softplus", b, self)))
    return result


def softsign(b: Builder, self: Value) -> Value:
    return _activation("Softsign", b, self)


def gelu(b: Builder, self: Value, approximate: str = "none") -> Value:
    if approximate == "none":
        inner = _activation("Erf", b, mul(b, self, math.sqrt(0.5)))
    elif approximate == "tanh":
        cubic = mul(b, self, add(b, mul(b, mul(b, self, self), 0.044715), 1.0))
        inner = _activation("Tanh", b, mul(b, cubic, math.sqrt(2 / math.pi)))
    else:
        raise RefusedError(f"gelu approximated by {approximate!r}")
    made: Value = mul(b, mul(b, self, 0.5), add(b, inner, 1.0))
    return made


def softmax(op: str, b: Builder, self: Value, dim: int, dtype: int | None = None) -> Value:
    return b.node(op, [cast(b, self, "float32")], "float32", self.sizes, axis=self.axis(dim))


def dropout(b: Builder, input: Value, p: float, train: bool) -> Value:
    if train and p:
        raise RefusedError("dropout that draws at random; save the model in evaluation mode")
    return input


# Along axes


def sum_(b: Builder, self: Value, dim: Any = None, keepdim: bool = False, dtype: int | None = None) -> Value:
    kind = layout.dtype_of(dtype, "float32" if self.dtype == "float32" else "int64")
    return _reduced("ReduceSum", b, cast(b, self, kind), dim, keepdim)


def mean(b: Builder, self: Value, dim: Any = None, keepdim: bool = False, dtype: int | None = None) -> Value:
    return _reduced("ReduceMean", b, cast(b, self, layout.dtype_of(dtype, self.dtype)), dim, keepdim)


def reduced(op: str, b: Builder, self: Value, dim: Any = None, keepdim: bool = False) -> Value:
    return _reduced(op, b, self, dim, keepdim)


def _reduced(op: str, b: Builder, self: Value, dim: Any, keepdim: bool) -> Value:
    axes = [*range(self.rank)] if dim is None or dim == [] else [self.axis(k) for k in _listed(dim)]
    sizes = [1 if k in axes else n for k, n in enumerate(self.sizes) if keepdim or k not in axes]
    if op == "ReduceSum":
        return b.node(op, [self, b.ints(axes)], self.dtype, sizes, keepdims=int(keepdim))
    return b.node(op, [self], self.dtype, sizes, axes=axes, keepdims=int(keepdim))


def _listed(dim: Any) -> list[int]:
    return list(dim) if isinstance(dim, (list, tuple)) else [dim]


def extreme(op: str, b: Builder, self: Any, other: Any = None, keepdim: bool = False) -> Any:
    """`max` and `min`: of two tensors, of all numbers, or along an axis with the places."""
    if isinstance(other, Value):
        return binary(op, b, self, other)
    if other is None:
        return _reduced(f"Reduce{op}", b, self, None, False)
    places = argument(f"Arg{op}", b, self, other, keepdim)
    return _reduced(f"Reduce{op}", b, self, other, keepdim), places


def argument(op: str, b: Builder, self: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    if dim is None:
        raise RefusedError("the place of the largest of all numbers")
    axis = self.axis(dim)
    sizes = [1 if k == axis else n for k, n in enumerate(self.sizes) if keepdim or k != axis]
    return b.node(op, [self], "int64", sizes, axis=axis, keepdims=int(keepdim))


# Types and sizes


def to(b: Builder, self: Value, *how: Any, **options: Any) -> Value:
    """`Tensor.to` of a device, a type or another tensor."""
    for said in (*how, options.get("dtype")):
        if isinstance(said, Value):
            return as_type(said.dtype, b, self)
        if isinstance(said, int) and not isinstance(said, bool):
            return as_type(layout.dtype_of(said), b, self)
    return self


def as_type(dtype: str, b: Builder, self: Value) -> Value:
    """A copy of another type, or the tensor itself; PyTorch may also copy where single precision stands for both."""
    return unchanged_or_copied(b, self) if self.dtype == dtype else cast(b, self, dtype)


def type_as(b: Builder, self: Value, other: Value) -> Value:
    return as_type(other.dtype, b, self)


def one_size(b: Builder, self: Value, dim: int | None = None) -> Any:
    sizes: list[Size] = list(layout.sizes_of(self))
    return sizes if dim is None else sizes[self.axis(dim)]


def unchanged(b: Builder, self: Value, *how: Any, **options: Any) -> Value:
    return self


def unchanged_or_copied(b: Builder, self: Value, *how: Any, **options: Any) -> Value:
    """The tensor itself or a copy, by how it lies in memory: its numbers are read, and a change parts the two."""
    return replace(self, name=b.read(self), base=self, seen=self.name, write_back=None, apart=True)


def clone(b: Builder, self: Value, *how: Any, **options: Any) -> Value:
    return Value(b.read(self), self.dtype, self.sizes, loose=self.loose)


def copy(b: Builder, self: Value, src: Value, non_blocking: bool = False) -> Value:
    """Numbers of one tensor in the shape and type of another."""
    return layout.spread(b, cast(b, src, self.dtype), self)


#: Operator without its namespace → its translation. A name that ends in an underscore is the same in place.
OPERATORS: Mapping[str, Callable[..., Any]] = {
    **{name: partial(_unary, op) for name, op in _UNARY.items()},
    **{name: partial(compare, op) for name, op in _COMPARED.items()},
    **layers.OPERATORS,
    **convolution.OPERATORS,
    **recurrent.OPERATORS,
    **layout.OPERATORS,
    "add": add,
    "sub": sub,
    "rsub": rsub,
    "mul": mul,
    "div": div,
    "true_divide": div,
    "floordiv": floordiv,
    "pow": pow_,
    "ne": ne,
    "logical_not": logical_not,
    "bitwise_not": bitwise_not,
    "logical_and": partial(logical, "And"),
    "logical_or": partial(logical, "Or"),
    "where": where,
    "masked_fill": masked_fill,
    "lerp": lerp,
    "addcmul": addcmul,
    "maximum": partial(binary, "Max"),
    "minimum": partial(binary, "Min"),
    "max": partial(extreme, "Max"),
    "min": partial(extreme, "Min"),
    "argmax": partial(argument, "ArgMax"),
    "argmin": partial(argument, "ArgMin"),
    "elu": elu,
    "leaky_relu": leaky_relu,
    "selu": selu,
    "hardsigmoid": hardsigmoid,
    "clamp": clamp,
    "clip": clamp,
    "clamp_min": clamp_min,
    "clamp_max": clamp_max,
    "log1p": log1p,
    "rsqrt": rsqrt,
    "square": square,
    "glu": glu,
    "hardtanh": hardtanh,
    "relu6": relu6,
    "silu": silu,
    "softplus": softplus,
    "mish": mish,
    "softsign": softsign,
    "gelu": gelu,
    **{f"{mark}softmax": partial(softmax, "Softmax") for mark in ("", "_")},
    **{f"{mark}log_softmax": partial(softmax, "LogSoftmax") for mark in ("", "_")},
    "dropout": dropout,
    "feature_dropout": dropout,
    "alpha_dropout": dropout,
    "sum": sum_,
    "mean": mean,
    "amax": partial(reduced, "ReduceMax"),
    "amin": partial(reduced, "ReduceMin"),
    "to": to,
    "_to_copy": to,
    "float": partial(as_type, "float32"),
    "double": partial(as_type, "float32"),
    "long": partial(as_type, "int64"),
    "type_as": type_as,
    "size": one_size,
    "sym_size": one_size,
    "clone": clone,
    "copy": copy,
    "contiguous": unchanged_or_copied,
    "lift_fresh_copy": clone,
    "detach": unchanged,
    "alias": unchanged,
    "cpu": unchanged,
    "cuda": unchanged,
    "requires_grad": unchanged,
}
