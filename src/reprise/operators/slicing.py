"""Parts of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from reprise.bounds import AXES
from reprise.graph import Node, Value
from reprise.operators.rules.asking import Asking, Sizes, of_as_many_axes_as
from reprise.operators.rules.attributes import Integer
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Dims, Fact, Shapes
from reprise.operators.rules.site import Site
from reprise.operators.rules.sizes import Dim, dim
from reprise.operators.rules.steps import END, STEPS, Kind, TimeAxes, has_time, mixed
from reprise.tensors import Array

_BEGIN, _END_MASK, _ELLIPSIS, _NEW_AXIS, _SHRINK = (
    Integer(f"{name}_mask", 0) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
)


def _masks(node: Node) -> dict[str, int]:
    """For each index of the expression one bit: whether its begin or end is left out, and whether it is no range."""
    return {of.name.removesuffix("_mask"): of(node) for of in (_BEGIN, _END_MASK, _ELLIPSIS, _NEW_AXIS, _SHRINK)}


def _strided_slice_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    from_content = _sliced_content(node, inputs)
    if from_content is not None:
        return [from_content]
    shape = inputs[0].shape
    return [UNKNOWN if shape is None else Fact(_sliced_shape(facts, node, inputs, shape))]


def _sliced_content(node: Node, inputs: list[Fact]) -> Fact | None:
    content, begin, end, strides = (f.content for f in inputs[:4])
    if content is None or content.ndim != 1 or begin is None or end is None or strides is None:
        return None
    if any(c.dtype == object or c.shape != (1,) for c in (begin, end, strides)):
        return None
    if _SHRINK(node):
        if not -len(content) <= begin[0] < len(content):
            return UNKNOWN
        item = content[int(begin[0])]
        return Fact((), np.asarray(item, object if isinstance(item, Dim) else None))
    first = None if _BEGIN(node) else int(begin[0])
    last = None if _END_MASK(node) else int(end[0])
    part = content[first : last : int(strides[0])]
    return Fact((Dim(len(part)),), part)


def _sliced_shape(facts: Shapes, node: Node, inputs: list[Fact], shape: Dims) -> Dims | None:
    """The sizes of StridedSlice(x, begin, end, strides), of an x with this `shape`.

    An entry of begin, end and strides is a range, one index, an ellipsis or a new axis.
    """
    begin, end, strides = _bounds(inputs[1]), _bounds(inputs[2]), inputs[3].content
    if begin is None or end is None or strides is None:
        return None
    masks = _masks(node)
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


def _bounds(fact: Fact) -> list[Any] | None:
    """A index along each axis, a symbol for one that is computed at run time."""
    if fact.content is not None:
        return list(fact.content)
    count = fact.shape[0] if fact.shape else None
    return [_COMPUTED] * count.scale if count is not None and count.known and count.scale <= AXES else None


#: A index that is computed at run time.
_COMPUTED = Dim(1, ("?",))


def _range_size(facts: Shapes, node: Node, i: int, size: Dim, bounds: tuple[Any, Any, Any]) -> Dim:
    begin, end, stride = bounds
    whole = facts.sizes.resolve(size)
    if begin is None and end is None and stride in (1, -1):
        return whole
    if whole.known and not any(isinstance(b, Dim) for b in bounds):
        return Dim(len(range(whole.scale)[begin : end : int(stride)]))
    left = _remaining(facts, whole, begin or 0, end) if stride == 1 else None
    if left is None:
        facts.sizes.bake(whole)
    return facts.fresh(node, i) if left is None else left


def _remaining(facts: Shapes, whole: Dim, begin: Any, end: Any) -> Dim | None:
    """What is left of an axis of any size of which a number of rows is cut off at its ends, or all but one."""
    missing = facts.sizes.apart(dim(end), whole) if isinstance(end, Dim) else 0 if end is None else end
    if isinstance(begin, Dim) or missing is None:
        return None
    if (begin, end) in ((0, 1), (-1, None)):
        return Dim(1)
    return facts.sizes.plus(whole, missing - int(begin)) if begin >= 0 >= missing and end != 0 else None


def _slice_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
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
    return [Fact(tuple(_slice_size(facts, node, i, shape[i], starts[i], dim(n)) for i, n in enumerate(count)))]


def _slice_size(facts: Shapes, node: Node, i: int, size: Dim, start: Any, count: Dim) -> Dim:
    """How much Slice takes of an axis: -1 is all from `start` on."""
    if count != Dim(-1):
        if count.known and (start, count.scale) != (0, 1):
            facts.sizes.bake(size)
        return count
    if start == 0:
        return size
    return facts.sizes.plus(size, -int(start)) if isinstance(start, np.integer) else facts.fresh(node, i)


def _strided_slice_fold(node: Node, inputs: list[Array]) -> Array | None:
    """The same with known numbers, as NumPy indexes; an ellipsis does not occur among shapes and axes."""
    value, (begin, end, strides) = inputs[0], (bound.tolist() for bound in inputs[1:])
    masks = _masks(node)
    if masks["ellipsis"]:
        raise ValueError("ellipsis")
    index: list[Any] = []
    for i in range(len(begin)):
        if masks["new_axis"] >> i & 1:
            index.append(None)
        elif masks["shrink_axis"] >> i & 1:
            index.append(begin[i])
        else:
            first = None if masks["begin"] >> i & 1 else begin[i]
            last = None if masks["end"] >> i & 1 else end[i]
            index.append(slice(first, last, strides[i]))
    return np.asarray(value[tuple(index)])


def _slice_fold(node: Node, inputs: list[Array]) -> Array:
    value, begin, size = inputs
    ranges = zip(begin.tolist(), size.tolist(), strict=True)
    return value[tuple(slice(b, None if n < 0 else b + n) for b, n in ranges)]


def _slice_steps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    keeps = has_time(axes, Value(node.name)) or axes.is_partition(Value(node.name))
    if node.op == "Slice":
        return STEPS if keeps else mixed(node)
    strides, timed = axes.facts.content(node.inputs[3]), axes.timed(node.inputs[0])
    moved = bool(_ELLIPSIS(node) or _NEW_AXIS(node))
    if strides is None or any(s != 1 and (moved or i in timed) for i, s in enumerate(strides)):
        return mixed(node)
    return STEPS if keeps else _last_step(axes, node, timed)


def _last_step(axes: TimeAxes, node: Node, timed: list[int]) -> Kind:
    """One row of a sequence: the last is what a step leaves; another is not."""
    begin = axes.facts.content(node.inputs[1])
    if begin is None or not timed or timed[0] >= len(begin) or begin[timed[0]] != -1:
        return mixed(node)
    to_the_end = _SHRINK(node) | _END_MASK(node)
    return END if to_the_end >> timed[0] & 1 else mixed(node)


_Item = tuple[str, int, int, int]  # slice, index or new; begin, end, stride


_END = np.iinfo(np.int64).max


START = np.iinfo(np.int64).min + 1


def _slice_onnx(site: Site) -> str:
    begin, size = site.known(1), site.known(2)
    if begin is not None and size is not None:
        ends = [_END if n < 0 else b + n for b, n in zip(begin.tolist(), size.tolist(), strict=True)]
        return site.one("Slice", site.input(0), site.constant(begin, "int64"), site.constant(ends, "int64"))
    start, count = site.int64(1), site.int64(2)
    whole = site.one("Less", count, site.block.ints(0))
    end = site.one("Where", whole, site.block.ints(_END), site.one("Add", start, count))
    return site.one("Slice", site.input(0), start, end)


def _strided_slice_onnx(site: Site) -> str:
    masks = _masks(site.node)
    begin, end, strides = (site.known(i) for i in (1, 2, 3))
    if begin is None or end is None or strides is None:
        return _computed_slice(site, masks)
    items = _items(site, masks, begin, end, strides)
    return _emit_slice(site, items)


def _items(site: Site, masks: dict[str, int], begin: Array, end: Array, strides: Array) -> list[_Item]:
    """One entry for each index of the source's expression: `begin`, `end` and `strides`, read by the `masks`."""
    items: list[_Item] = []
    for i in range(len(begin)):
        bit = 1 << i
        if masks["ellipsis"] & bit:
            named = sum(not masks["new_axis"] >> k & 1 for k in range(len(begin))) - 1
            items += [("slice", 0, _END, 1)] * (site.rank(0) - named)
        elif masks["new_axis"] & bit:
            items.append(("new", 0, 0, 1))
        elif masks["shrink_axis"] & bit:
            b = int(begin[i])
            items.append(("index", b, _END if b == -1 else b + 1, 1))
        else:
            step = int(strides[i])
            first = (0 if step > 0 else _END) if masks["begin"] & bit else int(begin[i])
            last = (_END if step > 0 else START) if masks["end"] & bit else int(end[i])
            items.append(("slice", first, last, step))
    return items


def _emit_slice(site: Site, items: list[_Item]) -> str:
    x = site.input(0)
    read = [item for item in items if item[0] != "new"]
    cuts = [(axis, b, e, s) for axis, (_, b, e, s) in enumerate(read) if (b, e, s) != (0, _END, 1)]
    if cuts:
        axes, begins, ends, steps = zip(*cuts, strict=True)
        x = site.one("Slice", x, *(site.constant(list(v), "int64") for v in (begins, ends, axes, steps)))
    shrunk = [axis for axis, item in enumerate(read) if item[0] == "index"]
    if shrunk:
        x = site.one("Squeeze", x, site.block.ints(*shrunk))
    kept = [item for item in items if item[0] != "index"]
    added = [axis for axis, item in enumerate(kept) if item[0] == "new"]
    return site.one("Unsqueeze", x, site.block.ints(*added)) if added else x


def _computed_slice(site: Site, masks: dict[str, int]) -> str:
    """A slice whose bounds are computed at run time: leading axes, plain strides, as the `masks` of the node say."""
    strides = site.must_know(3, "strides")
    if masks["ellipsis"] or masks["new_axis"] or (strides != 1).any():
        raise site.refusal("takes a slice whose bounds are computed at run time")
    count = len(strides)
    begin, end = site.int64(1), site.int64(2)
    shrunk = [i for i in range(count) if masks["shrink_axis"] >> i & 1]
    begins, ends = [], []
    for i in range(count):
        first, last = (site.one("Gather", bound, site.block.ints(i), axis=0) for bound in (begin, end))
        if i in shrunk:  # whatever the masks say of this axis
            last = _end_after(site, first)
        begins.append(site.block.ints(0) if masks["begin"] >> i & 1 and i not in shrunk else first)
        ends.append(site.block.ints(_END) if masks["end"] >> i & 1 and i not in shrunk else last)
    axes = site.block.ints(*range(count))
    x = site.one("Slice", site.input(0), site.one("Concat", *begins, axis=0), site.one("Concat", *ends, axis=0), axes)
    return site.one("Squeeze", x, site.block.ints(*shrunk)) if shrunk else x


def _end_after(site: Site, index: str) -> str:
    """The index after one; after the last row, which is reached as -1, that is not 0 but the end of the axis."""
    following = site.one("Add", index, site.block.ints(1))
    return site.one("Where", site.one("Equal", following, site.block.ints(0)), site.block.ints(_END), following)


def _strided_slice_asks(asking: Asking) -> Sizes | None:
    """At least as many axes as are cut; those that are dropped stand before the ones that are asked for."""
    begin, result = asking.shape(1), asking.result()
    if asking.index or not begin or begin[0] is None or result is None:
        return None
    if _ELLIPSIS(asking.node) or _NEW_AXIS(asking.node):
        return None
    return (*(None,) * begin[0], *result[begin[0] - _SHRINK(asking.node).bit_count() :])


OPERATORS = (
    Operator(
        "Slice",
        3,
        shape=_slice_shape,
        fold=_slice_fold,
        steps=_slice_steps,
        onnx=_slice_onnx,
        lazy=(1, 2),
        tags=(Tag.SLICE,),
        asks=of_as_many_axes_as(2),
    ),
    Operator(
        "StridedSlice",
        4,
        shape=_strided_slice_shape,
        fold=_strided_slice_fold,
        steps=_slice_steps,
        onnx=_strided_slice_onnx,
        lazy=(1, 2, 3),
        tags=(Tag.SLICE,),
        attributes=(_BEGIN, _END_MASK, _ELLIPSIS, _NEW_AXIS, _SHRINK),
        asks=_strided_slice_asks,
    ),
)
