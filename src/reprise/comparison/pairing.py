"""Which ports of two models are the same, whatever they are called and however their axes lie.

A role that one port of each model has pairs them; then a name that both have; then roles that hold the same in two
forms, as ids and one-hot vectors do.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from reprise.errors import VerificationError
from reprise.interface import Interface, Port
from reprise.tensors import DTYPES, Shape

#: Roles that hold the same in two forms, by the form to which both can be brought.
FORMS = {"one-hot": "tokens", "logits": "probabilities"}


@dataclass(frozen=True, slots=True)
class PortPair:
    """Two ports that hold the same, and the port by which both are seen: [N, T, …], as far as one has such axes."""

    first: Port
    second: Port
    seen: Port


@dataclass(frozen=True, slots=True)
class Pairs:
    """The ports that two models share.

    Attributes:
        inputs: Their inputs; lengths that only one has stand for the whole sequence.
        outputs: Their outputs.
        alone: What only one model has, in words.
    """

    inputs: tuple[PortPair, ...]
    outputs: tuple[PortPair, ...]
    alone: tuple[str, ...]


def paired(a: Interface, b: Interface) -> Pairs:
    """The pairs of ports of two interfaces.

    Raises:
        VerificationError: The models take other inputs, or share no output.
    """
    inputs, rest = _matched(a.inputs, b.inputs)
    needed = [(which, p) for which, p in rest if p.role != "lengths"]
    if needed:
        which, port = needed[0]
        raise VerificationError(
            f"the models cannot be compared: no input of the {_other(which)} is input {port.name!r} ({port.role}) of "
            f"the {which}; they take {_listed(a.inputs)} and {_listed(b.inputs)}"
        )
    outputs, alone = _matched(a.outputs, b.outputs)
    steps = _common([_size(p, p.time_axis) for pair in inputs for p in pair if _timed(pair)], "steps")
    rows = _common([_size(p, p.batch_axis) for pair in inputs for p in pair if _in_batches(pair)], "rows")
    kept = [pair for pair in outputs if steps == 1 or _has_steps(pair[0]) == _has_steps(pair[1])]
    if not kept:
        raise VerificationError(
            f"the models cannot be compared: they share no output; they give {_listed(a.outputs)} and "
            f"{_listed(b.outputs)}"
        )
    alone += [(which, p) for pair in outputs if pair not in kept for which, p in zip(_NAMES, pair, strict=True)]
    seen = tuple(PortPair(*pair, _common_port(pair, rows, steps)) for pair in inputs)
    words = tuple(f"only the {which} has output {p.name!r} ({p.role})" for which, p in alone)
    return Pairs(seen, tuple(PortPair(*pair, _common_port(pair, rows, steps)) for pair in kept), words)


_NAMES = ("first", "second")
_Two = tuple[Port, Port]


def _other(which: str) -> str:
    return _NAMES[1 - _NAMES.index(which)]


def _listed(ports: Sequence[Port]) -> str:
    return ", ".join(f"{p.name} ({p.role} {_format_shape(p.shape)})" for p in ports)


def _format_shape(shape: Shape) -> str:
    return f"[{', '.join('any' if n is None else str(n) for n in shape)}]"


def _matched(a: Sequence[Port], b: Sequence[Port]) -> tuple[list[_Two], list[tuple[str, Port]]]:
    """The pairs in the order of `a`, and what is left."""
    keys: tuple[Callable[[Port], Hashable], ...] = (
        lambda p: p.role,
        lambda p: p.name,
        lambda p: FORMS.get(p.role, p.role),
    )
    found: list[_Two] = []
    left, right = list(a), list(b)
    for key in keys:
        for port in tuple(left):
            same = [p for p in right if key(p) == key(port) and _alike(p, port)]
            if len(same) == 1 and [key(p) for p in left].count(key(port)) == 1:
                found.append((port, same[0]))
                left.remove(port)
                right.remove(same[0])
    order = [p.name for p in a]
    rest = [("first", p) for p in left] + [("second", p) for p in right]
    return sorted(found, key=lambda pair: order.index(pair[0].name)), rest


def _alike(a: Port, b: Port) -> bool:
    """Whether numbers of one can be those of the other."""
    kinds = {DTYPES[p.dtype].kind for p in (a, b)}
    one, other = _rest(a), _rest(b)
    fits = len(one) == len(other) and all(None in (n, m) or n == m for n, m in zip(one, other, strict=True))
    two_forms = FORMS.get(a.role) == b.role or FORMS.get(b.role) == a.role
    return (fits or two_forms) and (kinds in ({"O"}, {"b"}) or not kinds & set("Ob"))


def _has_steps(port: Port) -> bool:
    return port.time_axis is not None or port.rows is not None


def _timed(pair: _Two) -> bool:
    return any(p.time_axis is not None for p in pair)


def _in_batches(pair: _Two) -> bool:
    return any(p.batch_axis is not None for p in pair)


def _size(port: Port, axis: int | None) -> int | None:
    return 1 if axis is None else port.shape[axis]


def _common(sizes: Sequence[int | None], what: str) -> int | None:
    """The number that a file bakes in, and the only one that both models take."""
    baked = sorted({n for n in sizes if n is not None})
    if len(baked) > 1:
        raise VerificationError(
            f"the models cannot be compared: one takes {baked[0]} {what} in each call, the other {baked[1]}"
        )
    return baked[0] if baked else None


def _common_port(pair: _Two, rows: int | None, steps: int | None) -> Port:
    """The port by which both are seen."""
    first, second = pair
    timed, batched = any(_has_steps(p) for p in pair), any(_in(p) for p in pair)
    shape: list[int | None] = [rows] * batched + [steps] * timed
    own, others = _rest(first), _rest(second)
    dense = own if FORMS.get(first.role) != second.role else others
    other = others if len(others) == len(dense) else dense
    shape += [n if n is not None else m for n, m in zip(dense, other, strict=True)]
    role = second.role if FORMS.get(first.role) == second.role else first.role
    dtype = second.dtype if FORMS.get(first.role) == second.role == "tokens" else first.dtype
    return replace(
        first,
        role=role,
        dtype=dtype,
        shape=tuple(shape),
        batch_axis=0 if batched else None,
        time_axis=int(batched) if timed else None,
        rows=None,
        least=max(p.least for p in pair),
    )


def _in(port: Port) -> bool:
    return port.batch_axis is not None or port.rows is not None


def _rest(port: Port) -> Shape:
    """The sizes of the axes that are neither time nor batch."""
    if port.rows is not None:
        return port.shape[1:]
    return tuple(n for axis, n in enumerate(port.shape) if axis not in (port.time_axis, port.batch_axis))
