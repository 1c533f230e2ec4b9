"""The ONNX model of a program in ATen's operators, with its inputs, its outputs and the tensors that a call changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reprise.formats._base import Memory
from reprise.formats._torch.aten.values import (
    AtenTensor,
    Builder,
    RefusedError,
    RuntimeSize,
    Size,
    known_number,
    only_once,
    same_size,
)
from reprise.wire import onnx

_OPSET, _IR_VERSION = 17, 8


@dataclass(frozen=True, eq=False)
class TensorChange:
    """A tensor of the file that a call changes.

    Attributes:
        path: What the file calls it.
        name: Of it in the graph, before the call.
        first: What the file holds.
        now: What a call leaves in it.
    """

    path: str
    name: str
    first: AtenTensor
    now: AtenTensor


def memory_of(
    builder: Builder, changes: Sequence[TensorChange], outputs: Sequence[tuple[str, AtenTensor]]
) -> tuple[Memory, ...]:
    """The changed tensors of which a call reads what the one before left in them.

    Args:
        builder: The graph.
        changes: All that a call changes.
        outputs: What the caller gets, by name.

    Raises:
        RefusedError: One is no state of one shape.
    """
    read = builder.loaded.union((value.name for _, value in outputs), *(node.input for node in builder.nodes))
    found: list[TensorChange] = []
    while more := [c for c in changes if c.name in read and c not in found]:
        found += more
        read |= {c.now.name for c in more}  # what one leaves in another is read by the next call
    return tuple(_memory_of(builder, c) for c in changes if c in found)


def _memory_of(builder: Builder, change: TensorChange) -> Memory:
    path, first, now = change.path, change.first, change.now
    if change.name in builder.loaded:
        raise RefusedError(f"changes {path!r}, which is also a weight of a layer")
    if now.rank != first.rank or now.dtype != first.dtype:
        raise RefusedError(f"changes the shape or type of {path!r} with a call")
    for before, after in zip(first.sizes, now.sizes, strict=True):
        same_size(before, after, f"what {path!r} holds before and after a call")
    given = builder.emit("Identity", [builder.read(now)])[0]  # of its own, also where it is an input, or two tensors'
    return Memory(change.name, given, builder.tensors[change.name]())


def tensors_of(given: Any, name: str) -> Iterator[tuple[str, AtenTensor]]:
    """The tensors of a result, with names by their places."""
    if isinstance(given, AtenTensor):
        yield name, given
    elif isinstance(given, dict):
        for key, value in given.items():
            yield from tensors_of(value, str(key))
    elif isinstance(given, (list, tuple)):
        for place, value in enumerate(given):
            yield from tensors_of(value, f"{name}.{place}")


def message(
    builder: Builder,
    inputs: Mapping[str, AtenTensor],
    memory: Sequence[Memory],
    outputs: Sequence[tuple[str, AtenTensor]],
) -> onnx.Message:
    """The ONNX model of a graph.

    Args:
        builder: The graph.
        inputs: What the caller gives, by name, as it was when the program began.
        memory: What a call changes for the next one.
        outputs: What the caller gets, by name.
    """
    builder.settle()
    _fix_rows(builder, inputs)
    words: dict[int, str] = {}
    given = [(name, builder.read(value), value.dtype) for name, value in outputs]
    nodes = [
        *_guards(builder, inputs),
        *builder.nodes,
        *(onnx.node("Identity", [value], [name]) for name, value, _ in given),
    ]
    used = {name for node in nodes for name in onnx.read_by(node)}
    taken = [_info(n, v.dtype, v.sizes, words) for n, v in inputs.items() if n in used]
    held = {m.taken: m for m in memory}
    taken += [_info(m.taken, m.first.dtype.name, m.first.shape, words) for m in memory]
    shown = [onnx.value_info(name, onnx.ELEMENT_TYPES[dtype]) for name, _, dtype in given]
    shown += [onnx.value_info(m.given, onnx.ELEMENT_TYPES[m.first.dtype.name]) for m in memory]
    tensors = [onnx.tensor(load(), n) for n, load in builder.tensors.items() if n in used and n not in held]
    model = onnx.empty("ModelProto")
    model.ir_version = _IR_VERSION
    model.opset_import.add(domain="", version=_OPSET)
    model.graph.CopyFrom(onnx.graph(nodes, "program", taken, shown, tensors))
    return model


def _fix_rows(builder: Builder, inputs: Mapping[str, AtenTensor]) -> None:
    """The sizes of axes that the program takes row by row and never as a whole: as many as it takes."""
    readers = Counter(name for node in builder.nodes for name in node.input)
    for name, value in inputs.items():
        for size in map(known_number, value.sizes):
            if isinstance(size, RuntimeSize) and size.rows and size.cuts == readers[name]:
                size.same = size.rows


def _guards(builder: Builder, inputs: Mapping[str, AtenTensor]) -> list[onnx.Message]:
    """Nodes that refuse another size than 1 of axes for which the program was read so; others read what they give."""
    nodes = []
    for name, value in inputs.items():
        axes = [k for k, size in enumerate(value.sizes) if only_once(size)]
        if not axes:
            continue
        checked, without = f"{name} of one step", f"{name} without steps"
        for node in builder.nodes:
            node.input[:] = [checked if n == name else n for n in node.input]
        ints = builder.ints(axes)
        nodes += [onnx.node("Squeeze", [name, ints], [without]), onnx.node("Unsqueeze", [without, ints], [checked])]
    return nodes


def _info(name: str, dtype: str, held: Sequence[Size], words: dict[int, str]) -> onnx.Message:
    """An input; sizes that were found to be equal are one word."""
    shown = [
        words.setdefault(id(size), f"size{len(words)}") if isinstance(size, RuntimeSize) else size
        for size in map(known_number, held)
    ]
    return onnx.value_info(name, onnx.ELEMENT_TYPES[dtype], shown)
