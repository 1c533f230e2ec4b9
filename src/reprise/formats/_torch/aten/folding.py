"""What TorchScript computes of plain values, sizes and lists: known when the program is read."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from reprise.formats._torch.aten.values import AtenTensor, RefusedError, RuntimeSize, known_number

#: How long a list or a text may become.
_LONGEST = 100_000


class Unknown:
    """A condition that is known only when the model runs."""


UNKNOWN = Unknown()


def is_plain(value: Any) -> bool:
    """Whether a value is no tensor and holds none."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return not isinstance(value, (AtenTensor, RuntimeSize, Unknown))


def equal(one: Any, other: Any) -> bool | Unknown:
    """Whether two values are equal, as far as their sizes are known."""
    one, other = known_number(one), known_number(other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return False
        parts = [equal(a, b) for a, b in zip(one, other, strict=True)]
        return False if False in parts else UNKNOWN if UNKNOWN in parts else True
    if isinstance(one, RuntimeSize) or isinstance(other, RuntimeSize):
        return True if one is other else UNKNOWN
    return bool(one == other)


def negated(value: Any) -> bool | Unknown:
    """Not a condition."""
    return value if isinstance(value, Unknown) else not value


def ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    """A comparison of two sizes or numbers."""

    def compared(one: Any, other: Any) -> bool | Unknown:
        one, other = known_number(one), known_number(other)
        return UNKNOWN if isinstance(one, RuntimeSize) or isinstance(other, RuntimeSize) else compare(one, other)

    return compared


def contains(values: Any, value: Any) -> bool | Unknown:
    """Whether a list holds a value."""
    found = [equal(v, value) for v in values]
    return True if True in found else UNKNOWN if UNKNOWN in found else False


def append(values: list[Any], value: Any) -> list[Any]:
    """A list with one more at its end, in place."""
    if len(values) >= _LONGEST:
        raise RefusedError(f"a list of more than {_LONGEST}")
    values.append(value)
    return values


def joined(one: Any, other: Any, alpha: Any = 1) -> Any:
    """The sum of two numbers, lists or texts."""
    if isinstance(one, (list, str)) and len(one) + len(other) > _LONGEST:
        raise RefusedError(f"a list of more than {_LONGEST}")
    return one + (other if alpha == 1 else other * alpha)


def less(one: Any, other: Any, alpha: Any = 1) -> Any:
    """The difference of two numbers."""
    return one - other * alpha


def times(one: Any, other: Any) -> Any:
    """The product of two numbers, or a list several times over."""
    for held, count in ((one, other), (other, one)):
        if isinstance(held, (list, str)) and len(held) * int(count) > _LONGEST:
            raise RefusedError(f"a list of more than {_LONGEST}")
    return _bounded(one * other)


def _bounded(number: Any) -> Any:
    if isinstance(number, int) and abs(number) >= 2**63:
        raise RefusedError("a number of more than 64 bits")
    return number


def power(one: Any, other: Any) -> Any:
    """A number to the power of another."""
    return float(one) ** float(other)


def part(values: list[Any], start: Any = None, end: Any = None, step: Any = 1) -> list[Any]:
    """A part of a list, such as the sizes behind the first two."""
    return values[start:end:step]


def set_item(values: Any, at: Any, value: Any) -> Any:
    """Puts a value into a list, in place."""
    values[at] = value
    return values


#: Operators of what is known_number, whatever else is in it.
ALWAYS: Mapping[str, Callable[..., Any]] = {
    "__is__": lambda one, other: one is other,
    "__isnot__": lambda one, other: one is not other,
    "__not__": negated,
    "__contains__": contains,
    "len": len,
    "getitem": operator.getitem,
    "append": append,
    "_set_item": set_item,
    "format": lambda *parts: "…",
    "list": list,
    "NumToTensor": lambda value: value,
    "warn": lambda *words, **options: None,
    "Print": lambda *words: None,
}
#: Operators of plain values and sizes that tell whether something holds.
CONDITIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": equal,
    "ne": lambda one, other: negated(equal(one, other)),
    "lt": ordered(operator.lt),
    "gt": ordered(operator.gt),
    "le": ordered(operator.le),
    "ge": ordered(operator.ge),
}
#: Operators of plain values.
PLAIN: Mapping[str, Callable[..., Any]] = {
    "add": joined,
    "sub": less,
    "mul": times,
    "div": operator.truediv,
    "floordiv": operator.floordiv,
    "floor_divide": operator.floordiv,
    "slice": part,
    "remainder": operator.mod,
    "pow": power,
    "neg": operator.neg,
    "__and__": lambda one, other: one and other,
    "__or__": lambda one, other: one or other,
    "max": max,
    "min": min,
    "Int": int,
    "Float": float,
    "Bool": bool,
    "device": lambda *words: None,
}
