"""The rows of a sequence, as programs of unrolled steps take them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reprise.graph import Graph, Node, ShapeAttribute, Value
from reprise.operators.rules.sizes import Dim
from reprise.tensors import Array

# Contents of constants are compared and read up to this many elements.
SMALL = 4096


@dataclass(frozen=True, slots=True)
class TimeSlice:
    """Row `index` of `source` along `axis`.

    Attributes:
        source: The whole sequence.
        axis: Which axis the rows lie along.
        index: Which row.
        kept: Whether the row still has that axis: of size one, or of the batch where all steps lie along it.
        of: How many rows the sequence is known to have, None where the operator does not say.
    """

    source: Value
    axis: int
    index: int
    kept: bool
    of: int | None


def holds_batches(shape: Sequence[Dim], axis: int, count: int | None) -> bool:
    """Whether `count` parts of an axis are several rows each, and the shape is known well enough to say which."""
    if axis or count is None or shape[0] == Dim(count) or (shape[0].known and shape[0].scale % count):
        return False
    return all(size.known for size in shape[1:])


def content_of(graph: Graph, value: Value) -> Array | None:
    """The numbers of a small constant."""
    node = graph.nodes.get(value.node)
    tensor = None if node is None else node.constant
    return tensor.load() if tensor is not None and tensor.size <= SMALL and tensor.dtype != "string" else None


def time_slice_of(graph: Graph, value: Value) -> TimeSlice | None:
    """`value` as a row of a sequence, None if its operator takes nothing apart."""
    node = graph.nodes.get(value.node)
    rule = None if node is None else _RULES.get(node.op)
    return None if node is None or rule is None else rule(graph, node, value.index)


def _numbers(graph: Graph, values: Sequence[Value]) -> list[list[int]] | None:
    contents = [content_of(graph, v) for v in values]
    return None if any(c is None for c in contents) else [np.atleast_1d(c).tolist() for c in contents if c is not None]


def _unpack(graph: Graph, node: Node, index: int) -> TimeSlice | None:
    axis, count = int(node.attributes.get("axis", 0)), int(node.attributes.get("num", 0))
    return TimeSlice(node.inputs[0], axis, index, kept=False, of=count) if axis >= 0 else None


def _split(graph: Graph, node: Node, index: int) -> TimeSlice | None:
    axis = _numbers(graph, node.inputs[:1])
    if axis is None or axis[0][0] < 0:
        return None
    return TimeSlice(node.inputs[1], axis[0][0], index, kept=True, of=int(node.attributes.get("num_split", 1)))


def _split_v(graph: Graph, node: Node, index: int) -> TimeSlice | None:
    found = _numbers(graph, node.inputs[1:])
    if found is None or set(found[0]) != {1} or found[1][0] < 0:
        return None
    return TimeSlice(node.inputs[0], found[1][0], index, kept=True, of=len(found[0]))


def _squeeze(graph: Graph, node: Node, index: int) -> TimeSlice | None:
    inner = time_slice_of(graph, node.inputs[0])
    axes = node.attributes.get("squeeze_dims") or node.attributes.get("axis") or ()
    if inner is None or not inner.kept or tuple(axes) != (inner.axis,):
        return None
    # That the axis can be squeezed shows that every part is one row, however many the file says there are.
    return TimeSlice(inner.source, inner.axis, inner.index, kept=False, of=inner.of)


def _strided_slice(graph: Graph, node: Node, index: int) -> TimeSlice | None:
    found = _numbers(graph, node.inputs[1:4])
    masks = [int(node.attributes.get(f"{m}_mask", 0)) for m in ("begin", "end", "shrink_axis", "new_axis", "ellipsis")]
    if found is None or masks[3] or masks[4] or any(s != 1 for s in found[2]):
        return None
    begin, end, _ = found
    taken = [i for i in range(len(begin)) if not (masks[0] & masks[1]) >> i & 1]
    if len(taken) != 1:
        return None
    axis = taken[0]
    first = 0 if masks[0] >> axis & 1 else begin[axis]
    one_row = masks[2] >> axis & 1 or (not masks[1] >> axis & 1 and end[axis] == first + 1)
    return TimeSlice(node.inputs[0], axis, first, not masks[2] >> axis & 1, None) if one_row and first >= 0 else None


def _slice(graph: Graph, node: Node, index: int) -> TimeSlice | None:
    found = _numbers(graph, node.inputs[1:3])
    if found is None:
        return None
    begin, size = found
    taken = [i for i, n in enumerate(size) if n != -1]
    if len(taken) != 1 or size[taken[0]] != 1 or any(b for i, b in enumerate(begin) if i != taken[0]):
        return None
    return TimeSlice(node.inputs[0], taken[0], begin[taken[0]], kept=True, of=None)


def _gather(graph: Graph, node: Node, index: int) -> TimeSlice | None:
    row = content_of(graph, node.inputs[1])
    axis = _numbers(graph, node.inputs[2:])
    if row is None or row.ndim or row < 0 or axis is None or axis not in ([], [[0]]):
        return None
    return TimeSlice(node.inputs[0], 0, int(row), kept=False, of=None)


_RULES: dict[str, Callable[[Graph, Node, int], TimeSlice | None]] = {
    "Unpack": _unpack,
    "Split": _split,
    "SplitV": _split_v,
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Slice": _slice,
    "Gather": _gather,
    "GatherV2": _gather,
}


def may_be_steps(one: Node, other: Node) -> bool:
    """Whether two placeholders can be two steps of one sequence."""
    return (
        one.op == other.op == "Placeholder"
        and one.attributes.get("dtype") == other.attributes.get("dtype")
        and _dims(one) == _dims(other)
    )


def _dims(node: Node) -> tuple[int | None, ...] | None:
    shape = node.attributes.get("shape")
    return shape.dims if isinstance(shape, ShapeAttribute) else None
