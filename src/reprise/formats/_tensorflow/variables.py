"""Which stored tensor belongs to which variable of a graph, read from the nodes that restore it.

A saver's restore operator reads tensors by the names in a constant, and an assignment gives each to its variable. So
names that an import scope changed, moving averages restored into plain variables, and parts of one stored tensor are
all settled by the file itself, and so is what a saver computes from several. Only variables that no saver restores go
by their own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from reprise.errors import DamagedFile
from reprise.formats._tensorflow.computed import computed_tensor
from reprise.graph import VARIABLES, Graph, Node, ShapeAttribute, Value
from reprise.tensors import Tensor

_EXTENT = re.compile(r"-|(?P<start>\d{1,15}),(?P<length>\d{1,15})", re.ASCII)
_AVERAGE = "/ExponentialMovingAverage"  # what tf.train.ExponentialMovingAverage adds to a variable's name
_ASSIGNS = frozenset({"Assign", "AssignVariableOp"})
_PASSES = frozenset({"Identity", "Reshape", "Cast", "Switch", "RefSwitch", "Enter"})
_RESTORES = frozenset({"RestoreV2", "Restore", "RestoreSlice"})


class _Restored(NamedTuple):
    """What an assignment gives to a variable: its name, and the tensor where that is not a complete stored one."""

    variable: str
    name: str
    derived: Tensor | None
    by: str


@dataclass(frozen=True, slots=True)
class Binding:
    """Which tensor each variable has.

    Attributes:
        names: Variable node → stored name.
        parts: Tensors that exist only as a part of a stored one, or computed from some.
        strangers: Variables whose tensor has another shape or type than they, each with both, for messages.
    """

    names: Mapping[str, str]
    parts: Mapping[str, Tensor]
    strangers: tuple[str, ...] = ()


def bind(graph: Graph, weights: Mapping[str, Tensor], restore_op: str = "") -> Binding:
    """Variable node → stored name, by the saver of `restore_op` first, then by name, then by any other saver."""
    first = _reached_by(graph, restore_op)
    restored = sorted(_restored(graph, weights), key=lambda one: one.name in weights)  # the computed ones count first
    found: dict[str, _Restored] = {}
    for one in restored:
        if one.by in first:
            found.setdefault(one.variable, one)
    own = {node.name: _own_name(node, weights) for node in graph if node.op in VARIABLES and node.name not in found}
    for one in restored:
        if not own.get(one.variable):
            found.setdefault(one.variable, one)
    parts = {one.name: one.derived for one in found.values() if one.derived is not None}
    names = {variable: one.name for variable, one in found.items()}
    names.update((variable, name) for variable, name in own.items() if name)
    tensors = {variable: parts.get(name) or weights[name] for variable, name in names.items()}
    strangers = {
        v: declared_and_stored(graph[v], tensor) for v, tensor in tensors.items() if not fits(graph[v], tensor)
    }
    fitting = {variable: name for variable, name in names.items() if variable not in strangers}
    return Binding(fitting, parts, tuple(strangers.values()))


def fits(variable: Node, tensor: Tensor) -> bool:
    """Whether a tensor has the shape and the type that the variable declares, as far as it does."""
    shape, dtype = variable.attributes.get("shape"), variable.attributes.get("dtype", tensor.dtype)
    if dtype != tensor.dtype:
        return False
    if not isinstance(shape, ShapeAttribute) or shape.dims is None:
        return True
    return len(shape.dims) == len(tensor.shape) and all(
        declared in (None, size) for declared, size in zip(shape.dims, tensor.shape, strict=True)
    )


def declared_and_stored(variable: Node, tensor: Tensor) -> str:
    """What a variable declares, and what is stored, for messages."""
    dims = variable.attributes["shape"].dims if "shape" in variable.attributes else None
    declared = f"{variable.attributes.get('dtype')} {'of any shape' if dims is None else list(dims)}"
    return f"{variable.name} is {declared}, stored is {tensor.dtype} {list(tensor.shape)}"


def averages(names: Mapping[str, str], weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Variable node → the stored moving average of it, for the variables that have one and hold the plain value."""
    found = {variable: stored + _AVERAGE for variable, stored in names.items() if stored + _AVERAGE in weights}
    return {v: average for v, average in found.items() if weights[average].shape == weights[names[v]].shape}


def unfilled(graph: Graph, names: Mapping[str, str]) -> tuple[str, ...]:
    """Variables without a stored tensor of those that a saver of the graph restores; of all, where it has no saver.

    Others, such as counters of an input pipeline, are never saved.
    """
    restored = set()
    for node in graph:
        if node.op in _ASSIGNS and len(node.inputs) > 1:
            variable, value = _behind(graph, node.inputs[0]), _behind(graph, node.inputs[1])
            if variable is not None and value is not None and graph[value.node].op in _RESTORES:
                restored.add(variable.node)
    expected = restored or {node.name for node in graph if node.op in VARIABLES}
    return tuple(sorted(expected - names.keys()))


def _reached_by(graph: Graph, restore_op: str) -> set[str]:
    """The operations that a saver's restore operation runs (it is a no-op that controls them)."""
    reached: set[str] = set()
    waiting = [Value.parse(restore_op).node]
    while waiting:
        name = waiting.pop()
        if name in graph and name not in reached:
            reached.add(name)
            waiting.extend(graph[name].controls)
    return reached


def _own_name(node: Node, weights: Mapping[str, Tensor]) -> str | None:
    """The stored tensor that has the variable's own name."""
    shared = node.attributes.get("shared_name", b"")
    names = (node.name, shared.decode("utf-8", "replace") if isinstance(shared, bytes) else "")
    return next((name for name in names if name in weights), None)


def _restored(graph: Graph, weights: Mapping[str, Tensor]) -> Iterator[_Restored]:
    for node in graph:
        if node.op not in _ASSIGNS or len(node.inputs) < 2:
            continue
        variable, value = _behind(graph, node.inputs[0]), _behind(graph, node.inputs[1])
        if variable is None or value is None or graph[variable.node].op not in VARIABLES:
            continue
        named = _stored_name(graph, value)
        if named is None:
            tensor = computed_tensor(graph, value, lambda v: _tensor(graph, v, weights))
            if tensor is not None:
                yield _Restored(variable.node, f"{variable.node} [{tensor.source}]", tensor, node.name)
        elif named[0] in weights:
            name = f"{named[0]} [{named[1]}]" if named[1] else named[0]
            yield _Restored(variable.node, name, _tensor(graph, value, weights) if named[1] else None, node.name)


def _tensor(graph: Graph, value: Value, weights: Mapping[str, Tensor]) -> Tensor | None:
    """The stored tensor, or the part of one, that an output of a restore operation has."""
    name, part = _stored_name(graph, value) or ("", "")
    whole = weights.get(name)
    return _part(whole, name, part) if whole is not None and part else whole


def _behind(graph: Graph, value: Value) -> Value | None:
    """The value behind operations that only pass it on."""
    for _ in range(16):
        if value.node not in graph:
            return None
        node = graph[value.node]
        if node.op not in _PASSES or not node.inputs:
            return value
        value = node.inputs[0]
    return None


def _stored_name(graph: Graph, value: Value) -> tuple[str, str] | None:
    """The name and the slice (empty for a whole tensor) that an output of a restore operation has; None for others."""
    restore = graph.nodes.get(value.node)
    if restore is None or restore.op not in _RESTORES or len(restore.inputs) < 2:
        return None
    names = _texts(graph, restore.inputs[1])
    parts = _texts(graph, restore.inputs[2]) if len(restore.inputs) > 2 else []
    if value.index >= len(names):
        return None
    return names[value.index], parts[value.index].strip() if value.index < len(parts) else ""


def _texts(graph: Graph, value: Value) -> list[str]:
    source = _behind(graph, value)
    constant = graph[source.node].attributes.get("value") if source else None
    if not isinstance(constant, Tensor) or constant.dtype != "string":
        return []
    return [bytes(text).decode("utf-8", "replace") for text in constant.load().flat]


def _part(whole: Tensor, name: str, part: str) -> Tensor:
    """The part of a stored tensor that is meant, such as `30 24 0,15:0,24`: the whole shape, then start,length."""
    *shape, where = part.split(" ")
    match = [_EXTENT.fullmatch(extent) for extent in where.split(":")]
    if shape != [str(size) for size in whole.shape] or len(match) != len(shape) or not all(match):
        raise DamagedFile(
            f"{whole.source}: a variable is the part {part!r} of {name}, which has the shape {list(whole.shape)}. "
            "The graph and the weights are not of one model."
        )
    bounds = tuple(_bounds(m, size) for m, size in zip(match, whole.shape, strict=True) if m)
    sizes = tuple(s.stop - s.start for s in bounds)
    return Tensor(whole.dtype, sizes, lambda: whole.load()[bounds], f"{whole.source}, part {where}")


def _bounds(extent: re.Match[str], size: int) -> slice:
    """`start,length`, or `-` for all; never beyond the tensor."""
    if extent["start"] is None:
        return slice(0, size)
    start = min(int(extent["start"]), size)
    return slice(start, min(start + int(extent["length"]), size))
