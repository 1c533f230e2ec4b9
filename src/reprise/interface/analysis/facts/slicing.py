"""Rules of operators that cut a part out of a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from reprise.graph import Node
from reprise.interface.analysis.facts.inference import UNKNOWN, Dims, Fact, Inference, Rule
from reprise.operators.rules.sizes import Dim, dim

_MASKS = ("begin", "end", "ellipsis", "shrink_axis", "new_axis")


def _strided_slice(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    from_content = _sliced_content(node, inputs)
    if from_content is not None:
        return [from_content]
    shape = inputs[0].shape
    return [UNKNOWN if shape is None else Fact(_sliced_shape(facts, node, inputs, shape))]


def _sliced_content(node: Node, inputs: list[Fact]) -> Fact | None:
    content, begin, end, strides = (f.content for f in inputs[:4])
    if content is None or content.ndim != 1 or begin is None or end is None or strides is None:
        return None
    if any(c.dtype == object for c in (begin, end, strides)) or len(begin) != 1:
        return None
    if node.attributes.get("shrink_axis_mask", 0):
        if not -len(content) <= begin[0] < len(content):
            return UNKNOWN
        item = content[int(begin[0])]
        return Fact((), np.asarray(item, object if isinstance(item, Dim) else None))
    first = None if node.attributes.get("begin_mask", 0) else int(begin[0])
    last = None if node.attributes.get("end_mask", 0) else int(end[0])
    part = content[first : last : int(strides[0])]
    return Fact((Dim(len(part)),), part)


def _sliced_shape(facts: Inference, node: Node, inputs: list[Fact], shape: Dims) -> Dims | None:
    begin, end, strides = _places(inputs[1]), _places(inputs[2]), inputs[3].content
    if begin is None or end is None or strides is None:
        return None
    masks = {m: int(node.attributes.get(f"{m}_mask", 0)) for m in _MASKS}
    sizes: list[Dim] = []
    axis = 0
    for i in range(len(begin)):
        if masks["ellipsis"] >> i & 1:
            named = sum(not masks["new_axis"] >> k & 1 for k in range(i + 1, len(begin)))
            sizes += shape[axis : len(shape) - named]
            axis = len(shape) - named
            continue
        if masks["new_axis"] >> i & 1:
            sizes.append(Dim(1))
            continue
        if axis >= len(shape):
            return None
        if not masks["shrink_axis"] >> i & 1:
            bounds = (
                None if masks["begin"] >> i & 1 else begin[i],
                None if masks["end"] >> i & 1 else end[i],
                strides[i],
            )
            sizes.append(_range_size(facts, node, i, shape[axis], bounds))
        elif not isinstance(begin[i], Dim) and begin[i] not in (0, -1):
            facts.sizes.bake(shape[axis])
        axis += 1
    return (*sizes, *shape[axis:])


def _places(fact: Fact) -> list[Any] | None:
    """A place along each axis, a symbol for one that is computed at run time."""
    if fact.content is not None:
        return list(fact.content)
    return [_COMPUTED] * fact.shape[0].scale if fact.shape and fact.shape[0].known else None


#: A place that is computed at run time.
_COMPUTED = Dim(1, ("?",))


def _range_size(facts: Inference, node: Node, i: int, size: Dim, bounds: tuple[Any, Any, Any]) -> Dim:
    begin, end, stride = bounds
    whole = facts.sizes.resolve(size)
    if begin is None and end is None and stride in (1, -1):
        return whole
    if whole.known and not any(isinstance(b, Dim) for b in bounds):
        return Dim(len(range(whole.scale)[begin : end : int(stride)]))
    left = _left(facts, whole, begin or 0, end) if stride == 1 else None
    if left is None:
        facts.sizes.bake(whole)
    return facts.fresh(node, i) if left is None else left


def _left(facts: Inference, whole: Dim, begin: Any, end: Any) -> Dim | None:
    """What is left of an axis of any size of which a number of rows is cut off at its ends, or all but one."""
    missing = facts.sizes.apart(dim(end), whole) if isinstance(end, Dim) else 0 if end is None else end
    if isinstance(begin, Dim) or missing is None:
        return None
    if (begin, end) in ((0, 1), (-1, None)):
        return Dim(1)
    return facts.sizes.plus(whole, missing - int(begin)) if begin >= 0 >= missing and end != 0 else None


def _slice(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, begin, count = inputs[0].shape, inputs[1].content, inputs[2].content
    if shape is None or count is None:
        return [UNKNOWN]
    content = inputs[0].content
    known = begin is not None and begin.dtype != object and count.dtype != object
    if content is not None and content.ndim == 1 and begin is not None and known:
        first = int(begin[0])
        part = content[first : first + int(count[0])] if count[0] >= 0 else content[first:]
        return [Fact((Dim(len(part)),), part)]
    starts = [None] * len(count) if begin is None else list(begin)
    return [Fact(tuple(_taken(facts, node, i, shape[i], starts[i], dim(n)) for i, n in enumerate(count)))]


def _taken(facts: Inference, node: Node, i: int, size: Dim, start: Any, count: Dim) -> Dim:
    """How much Slice takes of an axis: -1 is all from `start` on."""
    if count != Dim(-1):
        if count.known and (start, count.scale) != (0, 1):
            facts.sizes.bake(size)
        return count
    if start == 0:
        return size
    return facts.sizes.plus(size, -int(start)) if isinstance(start, np.integer) else facts.fresh(node, i)


SLICING: dict[str, Rule] = {
    "StridedSlice": _strided_slice,
    "Slice": _slice,
}
