"""TensorFlow operators → ONNX: parts of tensors, and tensors turned around."""

from __future__ import annotations

import numpy as np

from reprise.lift.emitter import Operator, Site
from reprise.tensors import Array

_Item = tuple[str, int, int, int]  # slice, index or new; begin, end, stride
_MASKS = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
_END = np.iinfo(np.int64).max
_START = np.iinfo(np.int64).min + 1


def _slice(site: Site) -> str:
    begin, size = site.known(1), site.known(2)
    if begin is not None and size is not None:
        ends = [_END if n < 0 else int(b) + int(n) for b, n in zip(begin, size, strict=True)]
        return site.one("Slice", site.input(0), site.constant(begin, "int64"), site.constant(ends, "int64"))
    start, count = site.int64(1), site.int64(2)
    whole = site.one("Less", count, site.block.ints(0))
    end = site.one("Where", whole, site.block.ints(_END), site.one("Add", start, count))
    return site.one("Slice", site.input(0), start, end)


def _strided_slice(site: Site) -> str:
    masks = {m: site.node.integer(f"{m}_mask", 0) for m in _MASKS}
    begin, end, strides = (site.known(i) for i in (1, 2, 3))
    if begin is None or end is None or strides is None:
        return _computed_slice(site, masks)
    items = _items(site, masks, begin, end, strides)
    return _emit_slice(site, items)


def _items(site: Site, masks: dict[str, int], begin: Array, end: Array, strides: Array) -> list[_Item]:
    """One entry for each index of the source's expression."""
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
            last = (_END if step > 0 else _START) if masks["end"] & bit else int(end[i])
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
    """Bounds computed at run time, of a kind that appears in practice: leading axes, plain strides."""
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
            last = _after(site, first)
        begins.append(site.block.ints(0) if masks["begin"] >> i & 1 and i not in shrunk else first)
        ends.append(site.block.ints(_END) if masks["end"] >> i & 1 and i not in shrunk else last)
    axes = site.block.ints(*range(count))
    x = site.one("Slice", site.input(0), site.one("Concat", *begins, axis=0), site.one("Concat", *ends, axis=0), axes)
    return site.one("Squeeze", x, site.block.ints(*shrunk)) if shrunk else x


def _after(site: Site, place: str) -> str:
    """The place after one; after the last row, which is reached as -1, that is not 0 but the end of the axis."""
    following = site.one("Add", place, site.block.ints(1))
    return site.one("Where", site.one("Equal", following, site.block.ints(0)), site.block.ints(_END), following)


def _reverse(site: Site) -> str:
    axes = [int(a) for a in site.must_know(1, "axes").ravel()]
    return _reversed(site, site.input(0), axes)


def _reversed(site: Site, name: str, axes: list[int]) -> str:
    count = len(axes)
    return site.one(
        "Slice",
        name,
        site.block.ints(*[-1] * count),
        site.block.ints(*[_START] * count),
        site.block.ints(*axes),
        site.block.ints(*[-1] * count),
    )


def _reversed_by_flags(site: Site) -> str:
    """Reverse of the first years: a flag for each axis."""
    return _reversed(site, site.input(0), [int(a) for a in np.flatnonzero(site.must_know(1, "axes"))])


def _reverse_sequence(site: Site) -> str:
    """The first rows of each sequence turned around, as many as its length; ONNX has time and batch in front."""
    time, batch = site.node.integer("seq_dim"), site.node.integer("batch_dim", 0)
    if {time, batch} == {0, 1}:
        return site.one("ReverseSequence", site.input(0), site.int64(1), time_axis=time, batch_axis=batch)
    order = [time, batch, *(i for i in range(site.rank(0)) if i not in (time, batch))]
    x = site.one("Transpose", site.input(0), perm=order)
    turned = site.one("ReverseSequence", x, site.int64(1), time_axis=0, batch_axis=1)
    return site.one("Transpose", turned, perm=[int(i) for i in np.argsort(order)])


SLICING: dict[str, Operator] = {
    "Slice": Operator(_slice, lazy=(1, 2)),
    "StridedSlice": Operator(_strided_slice, lazy=(1, 2, 3)),
    "Reverse": Operator(_reversed_by_flags, lazy=(1,)),
    "ReverseV2": Operator(_reverse, lazy=(1,)),
    "ReverseSequence": Operator(_reverse_sequence),
}
