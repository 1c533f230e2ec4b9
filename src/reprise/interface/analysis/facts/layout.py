"""Rules of operators that join, divide and repeat rows, widen pictures, and move axes."""

from __future__ import annotations

import numpy as np

from reprise.graph import Node, Value
from reprise.interface.analysis.facts.inference import UNKNOWN, Fact, Inference, Rule, known_axis
from reprise.operators.rules.sizes import Dim, dim
from reprise.operators.types import dtype
from reprise.tensors import Array


def _concat(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    parts, axis_fact = (inputs[1:], inputs[0]) if node.op == "Concat" else (inputs[:-1], inputs[-1])
    shapes = [p.shape for p in parts]
    known = next((s for s in shapes if s is not None), None)
    axis = None if known is None else known_axis(axis_fact, len(known))
    if known is None or axis is None or axis >= len(known):
        return [UNKNOWN]
    joined = list(known)
    for shape in shapes:
        if shape is not None and len(shape) == len(known):
            joined = [d if i == axis else facts.sizes.equate(d, shape[i]) for i, d in enumerate(joined)]
    content = _concatenated(parts, axis)
    if any(s is None for s in shapes):
        joined[axis] = facts.fresh(node, axis)
    else:
        sizes = [facts.sizes.resolve(s[axis]) for s in shapes if s is not None]
        joined[axis] = _sum(facts, node, axis, sizes)
    return [Fact(tuple(joined), content)]


def _sum(facts: Inference, node: Node, axis: int, sizes: list[Dim]) -> Dim:
    if all(d.known for d in sizes):
        return Dim(sum(d.scale for d in sizes))
    if len(set(sizes)) == 1:  # equal pieces, as when the steps of an unrolled recurrence are put together
        return Dim(len(sizes)) * sizes[0]
    unknown = [d for d in sizes if not d.known]
    if len(unknown) == 1:
        return facts.sizes.plus(unknown[0], sum(d.scale for d in sizes if d.known))
    return facts.fresh(node, axis)


def _concatenated(parts: list[Fact], axis: int) -> Array | None:
    contents = [p.content for p in parts]
    if any(c is None for c in contents) or axis != 0:
        return None
    return np.concatenate([c.astype(object) for c in contents if c is not None])


def _pack(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    for other in inputs[1:]:
        shape = facts.equate(shape, other.shape)
    if shape is None:
        return [UNKNOWN]
    axis = int(node.attributes.get("axis", 0)) % (len(shape) + 1)
    contents = [f.content for f in inputs]
    content = None
    if shape == () and (all(c is not None for c in contents) or _is_whole_number(facts, node)):
        content = np.empty(len(inputs), object)
        content[:] = [(facts.unknown(v) if c is None else c).item() for c, v in zip(contents, node.inputs, strict=True)]
        if not any(isinstance(c, Dim) for c in content):
            content = np.asarray(list(content))
    return [Fact((*shape[:axis], Dim(len(inputs)), *shape[axis:]), content)]


def _is_whole_number(facts: Inference, node: Node) -> bool:
    return dtype(facts.structure, Value(node.name)) in ("int32", "int64")


def _unpack(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, count = inputs[0].shape, int(node.attributes.get("num", 0))
    content = inputs[0].content
    if content is not None and content.ndim == 1 and len(content) == count:
        return [Fact((), np.asarray(c, object if isinstance(c, Dim) else None)) for c in content]
    if shape is None:
        return [UNKNOWN] * count
    axis = int(node.attributes.get("axis", 0)) % len(shape)
    facts.sizes.bake(shape[axis], count)
    return [Fact((*shape[:axis], *shape[axis + 1 :]))] * count


def _split(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    axis_fact, value = (inputs[0], inputs[1]) if node.op == "Split" else (inputs[2], inputs[0])
    count = int(node.attributes.get("num_split", 1))
    axis = None if value.shape is None else known_axis(axis_fact, len(value.shape))
    if value.shape is None or axis is None:
        return [UNKNOWN] * count
    sizes = _split_sizes(facts, node, inputs, value.shape[axis], count)
    return [Fact((*value.shape[:axis], n, *value.shape[axis + 1 :])) for n in sizes]


def _split_sizes(facts: Inference, node: Node, inputs: list[Fact], whole: Dim, count: int) -> list[Dim]:
    if node.op == "SplitV" and inputs[1].content is not None and inputs[1].content.dtype != object:
        facts.sizes.bake(whole)
        return [Dim(int(n)) if n >= 0 else facts.fresh(node, i) for i, n in enumerate(inputs[1].content)]
    whole = facts.sizes.resolve(whole)
    nominal = facts.sizes.nominal(whole)
    if whole.scale % count == 0:
        return [Dim(whole.scale // count, whole.symbols)] * count
    if nominal is not None and nominal % count == 0:
        facts.sizes.fix(whole)
        return [Dim(nominal // count)] * count
    return [facts.fresh(node, "part")] * count


def _transpose(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, order = inputs[0].shape, inputs[1].content
    if shape is None or order is None or order.dtype == object or len(order) != len(shape):
        return [UNKNOWN]
    return [Fact(tuple(shape[int(i)] for i in order))]


def _expand_dims(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    axis = None if shape is None else known_axis(inputs[1], len(shape) + 1)
    if shape is None or axis is None:
        return [UNKNOWN]
    content = inputs[0].content
    flat = content.reshape(1) if content is not None and content.ndim == 0 else None
    return [Fact((*shape[:axis], Dim(1), *shape[axis:]), flat)]


def _squeeze(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    if shape is None:
        return [UNKNOWN]
    axes = {int(a) % len(shape) for a in node.attributes.get("squeeze_dims") or node.attributes.get("axis") or ()}
    sizes = [facts.sizes.resolve(d) for d in shape]
    gone = axes or {i for i, d in enumerate(sizes) if d == Dim(1)}
    content = inputs[0].content
    return [
        Fact(
            tuple(d for i, d in enumerate(sizes) if i not in gone),
            content.reshape(()) if content is not None and content.size == 1 and len(gone) == content.ndim else None,
        )
    ]


def _tile(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, times = inputs[0].shape, inputs[1].content
    if shape is None or times is None or len(times) != len(shape):
        return [UNKNOWN]
    return [
        Fact(tuple(_repeated(facts, node, i, d, dim(t)) for i, (d, t) in enumerate(zip(shape, times, strict=True))))
    ]


def _repeated(facts: Inference, node: Node, axis: int, size: Dim, times: Dim) -> Dim:
    """One row, repeated so often as the file has it: baked in, if it meets an axis whose size is so too."""
    if facts.sizes.resolve(size) != Dim(1):
        return size * times
    return facts.sizes.symbol(f"{node.name}.{axis}", times.scale) if times.known and times.scale > 1 else times


def _pad(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, borders = inputs[0].shape, inputs[1].content
    if shape is None:
        return [UNKNOWN]
    if borders is None or borders.dtype == object:
        return [Fact(tuple(facts.fresh(node, axis) for axis in range(len(shape))))]
    added = [int(n) for n in borders.sum(axis=1)]
    return [Fact(tuple(facts.sizes.plus(size, n) for size, n in zip(shape, added, strict=True)))]


LAYOUT: dict[str, Rule] = {
    **dict.fromkeys(("Concat", "ConcatV2"), _concat),
    "Pack": _pack,
    "Unpack": _unpack,
    **dict.fromkeys(("Split", "SplitV"), _split),
    "Transpose": _transpose,
    "ExpandDims": _expand_dims,
    "Squeeze": _squeeze,
    "Tile": _tile,
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), _pad),
}
