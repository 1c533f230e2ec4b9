"""A call of an operator of ATen: what is known without running is computed, the rest becomes nodes.

TorchScript and the graphs of `torch.export` name the same operators; both are brought to ONNX here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from reprise.formats._torch.aten import folding, layout
from reprise.formats._torch.aten.arithmetic import cast
from reprise.formats._torch.aten.operators import OPERATORS
from reprise.formats._torch.aten.values import AtenTensor, Builder, RefusedError, RuntimeSize, known_number
from reprise.tensors import Array, Tensor

#: The number that ATen gives an element type.
_ATEN_TYPES = {"float32": 6, "int64": 4, "int32": 3, "uint8": 0, "bool": 11}


def call_operator(b: Builder, name: str, arguments: list[Any], named: Mapping[str, Any]) -> Any:
    """What an operator gives of its arguments.

    Args:
        b: The graph under construction.
        name: Of the operator, without namespace and overload.
        arguments: Those that are given by their places.
        named: The others.

    Raises:
        RefusedError: It has no translation, or none for such arguments.
    """
    try:
        return _computed(b, name, [known_number(a) for a in arguments], dict(named))
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:  # what a file says
        raise RefusedError(f"{name} of such arguments is not read ({error})") from None


def file_tensor(b: Builder, tensor: Tensor, name: str) -> AtenTensor:
    """A tensor of the file; real numbers are computed in single precision."""
    dtype = "float32" if tensor.dtype in ("float16", "bfloat16", "float64") else tensor.dtype
    if dtype not in _ATEN_TYPES:
        raise RefusedError(f"holds {name} of the element type {tensor.dtype}, which is not computed with")

    def load() -> Array:
        return tensor.load().astype(dtype)

    return AtenTensor(b.tensor(name, load), dtype, tensor.shape, stored=tensor)


def signature(name: str) -> tuple[str, ...]:
    """The names of an operator's arguments in their order; none where it has no translation."""
    function = OPERATORS.get(_without_place(name))
    return () if function is None else tuple(_signature(function).parameters)[1:]


def _without_place(name: str) -> str:
    """The operator that computes what one in place does."""
    in_place = name.endswith("_") and not name.endswith("__") and name[:-1] in OPERATORS
    return name[:-1] if in_place else name


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _computed(b: Builder, name: str, arguments: list[Any], named: dict[str, Any]) -> Any:
    if name in _OF_TENSORS and arguments and isinstance(arguments[0], AtenTensor):
        return _OF_TENSORS[name](arguments[0])
    if name in folding.ALWAYS:
        return folding.ALWAYS[name](*arguments, **named)
    if arguments and isinstance(arguments[0], (int, RuntimeSize)):  # a trace computes with sizes as with tensors
        arguments = [_number(b, a) for a in arguments]
    tensors = any(isinstance(a, AtenTensor) for a in arguments)
    if name in folding.CONDITIONS and not tensors:
        return folding.CONDITIONS[name](*arguments)
    if name in folding.PLAIN and all(map(folding.is_plain, arguments)):
        return folding.PLAIN[name](*arguments, **named)
    if name in ("add", "mul", "slice") and not tensors and isinstance(arguments[0], (list, str)):
        return folding.PLAIN[name](*arguments)
    return _translated(b, name, arguments, named)


def _number(b: Builder, value: Any) -> Any:
    """The whole number that a tensor of the file without axes is; other values as they are."""
    if not isinstance(value, AtenTensor) or value.stored is None or value.rank or value.name not in b.tensors:
        return value
    if value.dtype not in ("int64", "int32"):
        return value
    b.loaded.add(value.name)
    return int(value.stored.load())


def _translated(b: Builder, name: str, arguments: list[Any], named: dict[str, Any]) -> Any:
    if name == "copy_":
        return _write(b, arguments[0], arguments[1])
    if name in ("zero_", "fill_"):
        return _write(b, arguments[0], arguments[1] if name == "fill_" else 0)
    operator = _without_place(name)
    function = OPERATORS.get(operator)
    if function is None:
        raise RefusedError(f"calls the operator {name}, which has no translation")
    bound = _signature(function).bind(b, *arguments, **named)
    result = function(*bound.args, **bound.kwargs)
    if operator == name:
        return result
    return (_lay_out if operator in layout.OPERATORS else _write)(b, arguments[0], result)


def _write(b: Builder, target: Any, new: Any) -> AtenTensor:
    """Changes a tensor in place, and what it is a view of."""
    if not isinstance(target, AtenTensor):
        raise RefusedError("changes in place what is no tensor")
    written: AtenTensor = target
    changed = written
    b.read(changed)
    value = new if isinstance(new, AtenTensor) else b.constant(new, changed.dtype)
    b.read(value)
    now = layout.spread(b, cast(b, value, changed.dtype), changed)
    while changed.base is not None:
        changed.name = now.name
        if changed.apart:
            _part(changed)
            return written
        if changed.write_back is None:
            raise RefusedError("changes in place a view that has no way back")
        now = changed.write_back(now)
        changed.seen = now.name
        changed = changed.base
    changed.name = now.name
    return written


def _lay_out(b: Builder, target: AtenTensor, shown: AtenTensor) -> AtenTensor:
    """Makes a tensor a view of what it was: its axes are changed in place, its numbers are not."""
    b.read(target)
    if shown is target:
        return target
    if shown.base is not target:
        raise RefusedError("changes the axes of a tensor in place other than by their order and those of size 1")
    was = replace(target)
    target.name, target.sizes, target.loose = shown.name, shown.sizes, shown.loose
    target.base, target.seen, target.write_back = was, was.name, shown.write_back
    target.apart, target.stored = False, None
    return target


def _part(changed: AtenTensor) -> None:
    """Makes a tensor that may be a copy one of its own; what it may be a copy of is not to be read any more."""
    root = changed.root
    if root.stored is not None:
        raise RefusedError("changes in place what may be a copy of a tensor of the file, or that tensor itself")
    root.lost, changed.base = True, None


#: What is known of a tensor without its numbers.
_OF_TENSORS: Mapping[str, Callable[[AtenTensor], Any]] = {
    "dim": lambda value: len(layout.sizes_of(value)),
    "dtype": lambda value: _ATEN_TYPES[value.dtype],
    "device": lambda value: None,
    "layout": lambda value: None,
    "is_cuda": lambda value: False,
    "len": lambda value: layout.sizes_of(value)[0],
    "is_floating_point": lambda value: value.dtype == "float32",
    "data": lambda value: value,
}
