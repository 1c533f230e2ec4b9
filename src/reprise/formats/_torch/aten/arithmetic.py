"""ATen's operators that compute number by number, as ONNX.

Sources: aten/src/ATen/native/native_functions.yaml (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from reprise.formats._torch.aten import layout
from reprise.formats._torch.aten.values import AtenTensor, Builder, RefusedError, RuntimeSize, broadcast

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
    "round": "Round",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
}
#: What operators of numbers are of truth values.
_OF_TRUTH = {"Add": "Or", "Mul": "And", "Max": "Or", "Min": "And"}
_BITWISE = ("And", "Or", "Xor")
_COMPARED = {"eq": "Equal", "lt": "Less", "gt": "Greater", "le": "LessOrEqual", "ge": "GreaterOrEqual"}


def tensor_of(b: Builder, value: Any, dtype: str) -> AtenTensor:
    """An operand as a tensor; a number takes the type of the tensor that it meets."""
    if isinstance(value, AtenTensor):
        return value
    if isinstance(value, RuntimeSize):
        return b.scalar(value)
    if isinstance(value, (bool, int, float)):
        wide = "float32" if isinstance(value, float) and dtype != "float32" else dtype
        return b.constant(value, "int64" if wide == "bool" and not isinstance(value, bool) else wide)
    raise RefusedError(f"an operand that is {type(value).__name__}")


def cast(b: Builder, value: AtenTensor, dtype: str) -> AtenTensor:
    if value.dtype == dtype:
        return value
    return b.node("Cast", [value], dtype, value.sizes, to=layout.element(dtype))


def together(b: Builder, *operands: Any) -> list[AtenTensor]:
    """Operands as tensors of one type."""
    plain = "int64" if _is_size(*operands) else "float32"
    dtype = next((v.dtype for v in operands if isinstance(v, AtenTensor)), plain)
    tensors = [tensor_of(b, v, dtype) for v in operands]
    wanted = next((d for d in _PROMOTED if any(t.dtype == d for t in tensors)), dtype)
    _note_odd(b, tensors)
    return [cast(b, t, wanted) for t in tensors]


def _note_odd(b: Builder, tensors: Sequence[AtenTensor]) -> None:
    """Counts computed tensors that are spread along a further axis: the inputs have likely other ranks."""
    widest = max(t.rank for t in tensors)
    moving = [t for t in tensors if t.root.stored is None and t.root.name not in b.fixed.union(b.tensors)]
    b.odd += sum(0 < t.rank < widest for t in moving)


def _is_size(*values: Any) -> bool:
    return all(isinstance(v, (int, RuntimeSize)) and not isinstance(v, bool) for v in values)


def binary(op: str, b: Builder, self: Any, other: Any) -> Any:
    """A result of two tensors, or of two numbers."""
    left, right = together(b, self, other)
    op = _OF_TRUTH[op] if left.dtype == "bool" and op in _OF_TRUTH else op
    made = b.node(op, [left, right], left.dtype, broadcast(left.sizes, right.sizes))
    if _is_size(self, other):  # of sizes alone: a size
        return RuntimeSize((b.emit("Unsqueeze", [made.name, b.ints([0])])[0], None))
    return made


def unary(op: str, b: Builder, self: AtenTensor) -> AtenTensor:
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
    if rounding_mode == "floor":
        return floordiv(b, self, other)
    left, right = together(b, self, other)
    if rounding_mode == "trunc" and left.dtype != "float32":
        return binary("Div", b, left, right)
    result = binary("Div", b, cast(b, left, "float32"), cast(b, right, "float32"))
    return result if rounding_mode is None else trunc(b, result)


def floordiv(b: Builder, self: Any, other: Any) -> Any:
    """Rounded down: what the remainder leaves is divided, so that 1.0 // 0.1 is 9 here too."""
    whole = binary("Div", b, binary("Sub", b, self, remainder(b, self, other)), other)
    return unary("Round", b, whole) if isinstance(whole, AtenTensor) and whole.dtype == "float32" else whole


def remainder(b: Builder, self: Any, other: Any) -> Any:
    """What a division rounded down leaves: it has the sign of the divisor."""
    if _is_size(self, other):
        return binary("Mod", b, self, other)
    left, right = together(b, self, other)
    if left.dtype != "float32":
        return binary("Mod", b, left, right)
    rest = fmod(b, left, right)
    return where(b, compare("Less", b, mul(b, rest, right), 0.0), add(b, rest, right), rest)


def fmod(b: Builder, self: AtenTensor, other: Any) -> AtenTensor:
    left, right = together(b, self, other)
    return b.node("Mod", [left, right], left.dtype, broadcast(left.sizes, right.sizes), fmod=1)


def trunc(b: Builder, self: AtenTensor) -> AtenTensor:
    result: AtenTensor = mul(b, unary("Sign", b, self), unary("Floor", b, unary("Abs", b, self)))
    return result


def pow_(b: Builder, self: Any, exponent: Any) -> Any:
    return binary("Pow", b, self, exponent)


def addcdiv(b: Builder, self: AtenTensor, tensor1: AtenTensor, tensor2: AtenTensor, value: Any = 1) -> AtenTensor:
    made: AtenTensor = add(b, self, div(b, tensor1, tensor2), value)
    return made


def compare(op: str, b: Builder, self: Any, other: Any) -> AtenTensor:
    left, right = together(b, self, other)
    return b.node(op, [left, right], "bool", broadcast(left.sizes, right.sizes))


def ne(b: Builder, self: Any, other: Any) -> AtenTensor:
    return logical_not(b, compare("Equal", b, self, other))


def logical_not(b: Builder, self: AtenTensor) -> AtenTensor:
    return b.node("Not", [cast(b, self, "bool")], "bool", self.sizes)


def bitwise_not(b: Builder, self: AtenTensor) -> AtenTensor:
    if self.dtype != "bool":
        raise RefusedError(f"the bits of whole numbers ({self.dtype})")
    return logical_not(b, self)


def bitwise(op: str, b: Builder, self: AtenTensor, other: AtenTensor) -> AtenTensor:
    if self.dtype != "bool" or other.dtype != "bool":
        raise RefusedError(f"the bits of whole numbers ({self.dtype}, {other.dtype})")
    return logical(op, b, self, other)


def logical(op: str, b: Builder, self: AtenTensor, other: AtenTensor) -> AtenTensor:
    left, right = (cast(b, v, "bool") for v in (self, other))
    return b.node(op, [left, right], "bool", broadcast(left.sizes, right.sizes))


def where(b: Builder, condition: AtenTensor, self: Any, other: Any) -> AtenTensor:
    left, right = together(b, self, other)
    chosen = broadcast(condition.sizes, left.sizes, right.sizes)
    return b.node("Where", [cast(b, condition, "bool"), left, right], left.dtype, chosen)


def masked_fill(b: Builder, self: AtenTensor, mask: AtenTensor, value: Any) -> AtenTensor:
    return where(b, mask, value, self)


def lerp(b: Builder, self: AtenTensor, end: AtenTensor, weight: Any) -> AtenTensor:
    moved: AtenTensor = add(b, self, mul(b, weight, sub(b, end, self)))
    return moved


def addcmul(b: Builder, self: AtenTensor, tensor1: AtenTensor, tensor2: AtenTensor, value: Any = 1) -> AtenTensor:
    made: AtenTensor = add(b, self, mul(b, tensor1, tensor2), value)
    return made


def clamp(b: Builder, self: AtenTensor, min: Any = None, max: Any = None) -> AtenTensor:
    if isinstance(min, AtenTensor) or isinstance(max, AtenTensor):
        above: AtenTensor = self if min is None else binary("Max", b, self, min)
        return above if max is None else binary("Min", b, above, max)
    taken = cast(b, self, "float32") if isinstance(min, float) or isinstance(max, float) else self
    bounds = ["" if v is None else b.constant(v, taken.dtype).name for v in (min, max)]
    return b.node("Clip", [taken, *bounds], taken.dtype, self.sizes)


def clamp_min(b: Builder, self: AtenTensor, min: Any) -> AtenTensor:
    return clamp(b, self, min)


def clamp_max(b: Builder, self: AtenTensor, max: Any) -> AtenTensor:
    return clamp(b, self, None, max)


def log1p(b: Builder, self: AtenTensor) -> AtenTensor:
    return unary("Log", b, add(b, self, 1.0))


def expm1(b: Builder, self: AtenTensor) -> AtenTensor:
    return sub(b, unary("Exp", b, self), 1.0)  # type: ignore[no-any-return]


def logarithm(base: float, b: Builder, self: AtenTensor) -> AtenTensor:
    return mul(b, unary("Log", b, self), 1 / math.log(base))  # type: ignore[no-any-return]


def rsqrt(b: Builder, self: AtenTensor) -> AtenTensor:
    return unary("Reciprocal", b, unary("Sqrt", b, self))


def square(b: Builder, self: AtenTensor) -> AtenTensor:
    result: AtenTensor = mul(b, self, self)
    return result


OPERATORS: Mapping[str, Callable[..., Any]] = {
    **{name: partial(unary, op) for name, op in _UNARY.items()},
    **{name: partial(compare, op) for name, op in _COMPARED.items()},
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
    "addcdiv": addcdiv,
    "floor_divide": floordiv,
    "remainder": remainder,
    "fmod": fmod,
    "trunc": trunc,
    **{f"bitwise_{op.lower()}": partial(bitwise, op) for op in _BITWISE},
    **{f"__{op.lower()}__": partial(bitwise, op) for op in _BITWISE},
    "logical_xor": partial(logical, "Xor"),
    "expm1": expm1,
    "log2": partial(logarithm, 2.0),
    "log10": partial(logarithm, 10.0),
    "maximum": partial(binary, "Max"),
    "minimum": partial(binary, "Min"),
    "clamp": clamp,
    "clip": clamp,
    "clamp_min": clamp_min,
    "clamp_max": clamp_max,
    "log1p": log1p,
    "rsqrt": rsqrt,
    "square": square,
}
