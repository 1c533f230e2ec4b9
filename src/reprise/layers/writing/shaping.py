"""Layers that move numbers: other sizes and orders, parts, padding, repeats, and what joins several inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from reprise.bounds import check
from reprise.graph import Value
from reprise.layers.arranging import (
    Crop,
    Expand,
    Flatten,
    Pad,
    Permute,
    Product,
    Reduction,
    Repeat,
    Reshape,
    Reverse,
    Split,
    Squeeze,
    Take,
    Upsample,
)
from reprise.layers.kinds import Concatenate, Dot, Join, MergeSteps, SplitSteps
from reprise.layers.writing.call import LayerSite
from reprise.layers.writing.ops import Outside, TypedValue
from reprise.tensors import Shape

_MOST_PARTS = 1024


def reshape(site: LayerSite, layer: Reshape) -> tuple[TypedValue, ...]:
    """The batch stays the first axis; -1 is what is left."""
    if layer.batch_too:
        value = site.ops.reshaped(site.x.value, layer.sizes, site.x.dtype)
        return site.output(value, tuple(None if n == -1 else n for n in layer.sizes), site.x.dtype)
    x, known = site.x, prod(n for n in layer.sizes if n != -1)
    rest = None if None in x.shape[1:] or not known else prod(n or 0 for n in x.shape[1:]) // known
    sizes = tuple(rest if n == -1 else n for n in layer.sizes)
    value = _with_batch(site.ops, x, layer.sizes if None in sizes else tuple(n or 0 for n in sizes))
    return site.output(value, (x.shape[0], *sizes), x.dtype)


def _with_batch(ops: Outside, x: TypedValue, sizes: tuple[int, ...]) -> Value:
    """Other sizes behind a batch that stays; where all the others are known, the batch is what is left."""
    if -1 not in sizes:
        return ops.reshaped(x.value, (-1, *sizes), x.dtype)
    parts = [ops.size(x.value, 0), *(ops.whole(n) for n in sizes)]
    packed = ops.op("Pack", *parts, N=len(parts), T="int32")
    return ops.op("Reshape", x.value, packed, T=x.dtype, Tshape="int32")


def flatten(site: LayerSite, layer: Flatten) -> tuple[TypedValue, ...]:
    """[N, …] as [N, D]."""
    x, ops = site.x, site.ops
    if layer.channels_first and x.rank > 2:
        axes = (0, *range(2, x.rank), 1)
        x = TypedValue(ops.transposed(x.value, axes, x.dtype), tuple(x.shape[i] for i in axes), x.dtype)
    size = None if None in x.shape[1:] else prod(n or 0 for n in x.shape[1:])
    value = _with_batch(ops, x, (-1 if size is None else size,))
    return site.output(value, (x.shape[0], size), x.dtype)


def permute(site: LayerSite, layer: Permute) -> tuple[TypedValue, ...]:
    """The axes in another order."""
    value = site.ops.transposed(site.x.value, layer.axes, site.x.dtype)
    return site.output(value, tuple(site.x.shape[i] for i in layer.axes), site.x.dtype)


def repeat(site: LayerSite, layer: Repeat) -> tuple[TypedValue, ...]:
    """[N, D] as [N, times, D]."""
    ops, x = site.ops, site.x
    one = ops.op("ExpandDims", x.value, ops.whole(1), T=x.dtype, Tdim="int32")
    value = ops.op("Tile", one, ops.whole([1, layer.times, *[1] * (x.rank - 1)]), T=x.dtype, Tmultiples="int32")
    return site.output(value, (x.shape[0], layer.times, *x.shape[1:]), x.dtype)


def reverse(site: LayerSite, layer: Reverse) -> tuple[TypedValue, ...]:
    """An axis turned around."""
    x = site.x
    value = site.ops.op("ReverseV2", x.value, site.ops.whole([layer.axis]), T=x.dtype, Tidx="int32")
    return site.output(value, x.shape, x.dtype)


def pad(site: LayerSite, layer: Pad) -> tuple[TypedValue, ...]:
    """More on each side."""
    ops, x, amounts = site.ops, site.x, ((0, 0), *layer.amounts)
    held = (x.value, ops.whole(amounts), *((ops.number(layer.value, x.dtype),) if layer.value else ()))
    value = ops.op("PadV2" if layer.value else "Pad", *held, T=x.dtype, Tpaddings="int32")
    shape = tuple(None if n is None else n + a + b for n, (a, b) in zip(x.shape, amounts, strict=True))
    return site.output(value, shape, x.dtype)


def crop(site: LayerSite, layer: Crop) -> tuple[TypedValue, ...]:
    """Less on each side."""
    index = tuple((a, -b if b else None, None) for a, b in layer.amounts)
    return take(site, Take(((None, None, None), *index)))


def upsample(site: LayerSite, layer: Upsample) -> tuple[TypedValue, ...]:
    """Each row several times: tiled on an axis of its own, which is then joined with that of the rows."""
    ops, x = site.ops, site.x
    value, shape = x.value, x.shape
    for axis, times in enumerate(layer.times, 1):
        if times == 1:
            continue
        tiles = [1] * (len(shape) + 1)
        tiles[axis + 1] = times
        value = ops.op("ExpandDims", value, ops.whole(axis + 1), T=x.dtype, Tdim="int32")
        value = ops.op("Tile", value, ops.whole(tiles), T=x.dtype, Tmultiples="int32")
        size = shape[axis]
        shape = (*shape[:axis], None if size is None else size * times, *shape[axis + 1 :])
        value = _rejoined(ops, TypedValue(value, shape, x.dtype), x.value, axis)
    return site.output(value, shape, x.dtype)


def _rejoined(ops: Outside, x: TypedValue, before: Value, axis: int) -> Value:
    """A value of the sizes of `x`; the free ones are those of `before`, that of `axis` what is left."""
    sizes = [
        ops.whole(-1) if i == axis else ops.size(before, i) if n is None else ops.whole(n)
        for i, n in enumerate(x.shape)
    ]
    return ops.op("Reshape", x.value, ops.op("Pack", *sizes, N=len(sizes), T="int32"), T=x.dtype, Tshape="int32")


def take(site: LayerSite, layer: Take) -> tuple[TypedValue, ...]:
    """Parts along each axis, the others whole; what a place is taken of is an axis less."""
    ops, x = site.ops, site.x
    begin, end, strides, shape = [], [], [], []
    masks = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0, "ellipsis_mask": 0, "new_axis_mask": 0}
    index = _of_all_axes(layer, x.rank)
    for axis, (part, size) in enumerate(zip(index, x.shape, strict=True)):
        first, last, step = (part, part + 1, 1) if isinstance(part, int) else part
        begin.append(first or 0)
        end.append(last or 0)
        strides.append(step or 1)
        masks["begin_mask"] |= (first is None) << axis
        masks["end_mask"] |= (last is None or (isinstance(part, int) and last == 0)) << axis
        masks["shrink_axis_mask"] |= isinstance(part, int) << axis
        if not isinstance(part, int):
            shape.append(None if size is None else len(range(size)[slice(first, last, step)]))
    held = (ops.whole(begin), ops.whole(end), ops.whole(strides))
    value = ops.op("StridedSlice", x.value, *held, T=x.dtype, Index="int32", **masks)
    return site.output(value, tuple(shape), x.dtype)


def _of_all_axes(layer: Take, rank: int) -> list[int | tuple[int | None, int | None, int | None]]:
    """An index for each axis: `...`, which stands at the end where it stands nowhere, is all of those between."""
    given = layer.index if ... in layer.index else (*layer.index, ...)
    place, found = given.index(...), [part for part in given if part is not ...]
    return [*found[:place], *[(None, None, None)] * (rank - len(found)), *found[place:]]


def expand(site: LayerSite, layer: Expand) -> tuple[TypedValue, ...]:
    """A new axis."""
    x, axis = site.x, layer.axis % (site.x.rank + 1)
    value = site.ops.op("ExpandDims", x.value, site.ops.whole(axis), T=x.dtype, Tdim="int32")
    return site.output(value, (*x.shape[:axis], 1, *x.shape[axis:]), x.dtype)


def squeeze(site: LayerSite, layer: Squeeze) -> tuple[TypedValue, ...]:
    """Without axes of one row."""
    x, axes = site.x, {axis % site.x.rank for axis in layer.axes}
    value = site.ops.op("Squeeze", x.value, squeeze_dims=tuple(sorted(axes)), T=x.dtype)
    return site.output(value, tuple(n for i, n in enumerate(x.shape) if i not in axes), x.dtype)


def split(site: LayerSite, layer: Split) -> tuple[TypedValue, ...]:
    """Parts of one size."""
    x, axis = site.x, layer.axis % site.x.rank
    check(layer.parts, _MOST_PARTS, "a split into parts")
    value = site.ops.op("Split", site.ops.whole(axis), x.value, num_split=layer.parts, T=x.dtype)
    size = x.shape[axis]
    shape = (*x.shape[:axis], None if size is None else size // layer.parts, *x.shape[axis + 1 :])
    return tuple(TypedValue(Value(value.node, i), shape, x.dtype) for i in range(layer.parts))


def product(site: LayerSite, layer: Product) -> tuple[TypedValue, ...]:
    """Matrix products; axes before the last two are those of both."""
    (x, y), (turned, other_turned) = site.inputs, layer.transposed
    value = site.ops.op("BatchMatMulV2", site.numbers(0), site.numbers(1), adj_x=turned, adj_y=other_turned)
    sizes = (x.shape[-1] if turned else x.shape[-2], y.shape[-2] if other_turned else y.shape[-1])
    wider = x if x.rank >= y.rank else y
    return site.output(value, (*wider.shape[:-2], *sizes))


_REDUCTIONS = {"mean": "Mean", "sum": "Sum", "max": "Max", "min": "Min", "any": "Any", "all": "All"}


def reduction(site: LayerSite, layer: Reduction) -> tuple[TypedValue, ...]:
    """Over some axes."""
    ops, x, flags = site.ops, site.x, layer.kind in ("any", "all")
    axes = {axis % x.rank for axis in layer.axes}
    read = x.value if flags else site.numbers()
    value = ops.op(_REDUCTIONS[layer.kind], read, ops.whole(sorted(axes)), keep_dims=layer.keep, Tidx="int32")
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape) if layer.keep or i not in axes)
    return site.output(value, shape, "bool" if flags else "")


def merge_steps(site: LayerSite, layer: MergeSteps) -> tuple[TypedValue, ...]:
    """[N, T, …] as [N · T, …]."""
    x, ops = site.x, site.ops
    parts = [ops.whole(-1), *(_size(ops, x, i) for i in range(2, x.rank))]
    packed = ops.op("Pack", *parts, N=len(parts), T="int32")
    value = ops.op("Reshape", x.value, packed, T=x.dtype, Tshape="int32")
    return site.output(value, (None, *x.shape[2:]), x.dtype)


def split_steps(site: LayerSite, layer: SplitSteps) -> tuple[TypedValue, ...]:
    """[N · T, …] as [N, T, …]."""
    (x, whole), ops = site.inputs, site.ops
    parts = [_size(ops, whole, 0), _size(ops, whole, 1), *(_size(ops, x, i) for i in range(1, x.rank))]
    packed = ops.op("Pack", *parts, N=len(parts), T="int32")
    value = ops.op("Reshape", x.value, packed, T=x.dtype, Tshape="int32")
    return site.output(value, (*whole.shape[:2], *x.shape[1:]), x.dtype)


def _size(ops: Outside, x: TypedValue, axis: int) -> Value:
    size = x.shape[axis]
    return ops.size(x.value, axis) if size is None else ops.whole(size)


_JOINS = {"add": "AddV2", "multiply": "Mul", "subtract": "Sub", "divide": "RealDiv", "maximum": "Maximum"}
_JOINS |= {"minimum": "Minimum", "average": "AddV2"}


def join(site: LayerSite, layer: Join) -> tuple[TypedValue, ...]:
    """Element by element; inputs of fewer axes get one for each that they lack."""
    ops, rank = site.ops, max(x.rank for x in site.inputs)
    values = [site.numbers(i) if layer.by_end else _widened(site, i, rank) for i in range(len(site.inputs))]
    made = values[0]
    for value in values[1:]:
        made = ops.op(_JOINS[layer.kind], made, value)
    if layer.kind == "average":
        made = ops.op("Mul", made, ops.number(1.0 / len(values)))
    kept = 0 if layer.by_end else 1
    return site.output(
        made, _broadcast([(*x.shape[:kept], *[1] * (rank - x.rank), *x.shape[kept:]) for x in site.inputs])
    )


def _widened(site: LayerSite, index: int, rank: int) -> Value:
    ops, value = site.ops, site.numbers(index)
    for _ in range(rank - site.inputs[index].rank):
        value = ops.op("ExpandDims", value, ops.whole(1), Tdim="int32")
    return value


def _broadcast(shapes: list[Shape]) -> Shape:
    found: list[int | None] = []
    for sizes in zip(*shapes, strict=True):
        wide = {n for n in sizes if n != 1}
        found.append(1 if not wide else next((n for n in wide if n is not None), None))
    return tuple(found)


def concatenate(site: LayerSite, layer: Concatenate) -> tuple[TypedValue, ...]:
    """Along one axis; what is all of one type, such as flags, stays of it."""
    ops, rank, types = site.ops, site.x.rank, {x.dtype for x in site.inputs}
    axis, dtype = layer.axis % rank, types.pop() if len(types) == 1 else ops.dtype
    values = [x.value if x.dtype == dtype else site.numbers(i) for i, x in enumerate(site.inputs)]
    value = ops.op("ConcatV2", *values, ops.whole(axis), N=len(values), T=dtype, Tidx="int32")
    sizes = [x.shape[axis] for x in site.inputs]
    size = None if None in sizes else sum(n or 0 for n in sizes)
    return site.output(value, (*site.x.shape[:axis], size, *site.x.shape[axis + 1 :]), dtype)


def dot(site: LayerSite, layer: Dot) -> tuple[TypedValue, ...]:
    """The axis of each input that is summed is brought to the inner side of a matrix product."""
    ops, (x, y) = site.ops, site.inputs
    a, b = (axis % o.rank for axis, o in zip(layer.axes, (x, y), strict=True))
    left, right = (_unit(ops, site.numbers(i), axis) if layer.unit else site.numbers(i) for i, axis in ((0, a), (1, b)))
    if x.rank == 2:
        left = ops.op("ExpandDims", left, ops.whole(1), Tdim="int32")
    if y.rank == 2:
        right = ops.op("ExpandDims", right, ops.whole(2), Tdim="int32")
    value = ops.op("BatchMatMulV2", left, right, adj_x=x.rank == 3 and a == 1, adj_y=y.rank == 3 and b == 2)
    rows = () if x.rank == 2 else (x.shape[3 - a],)
    columns = () if y.rank == 2 else (y.shape[3 - b],)
    gone = tuple(axis for axis, o in ((1, x), (2, y)) if o.rank == 2)
    if len(gone) == 2:  # two vectors give one number, which keeps an axis
        gone, columns = (2,), (1,)
    value = ops.op("Squeeze", value, squeeze_dims=gone) if gone else value
    return site.output(value, (x.shape[0], *rows, *columns))


def _unit(ops: Outside, x: Value, axis: int) -> Value:
    """Numbers by their length along an axis, as `tf.math.l2_normalize` has it."""
    total = ops.op("Sum", ops.op("Square", x), ops.whole([axis]), keep_dims=True, Tidx="int32")
    return ops.op("Mul", x, ops.op("Rsqrt", ops.op("Maximum", total, ops.number(1e-12))))


WRITERS: Mapping[type, Callable[..., tuple[TypedValue, ...]]] = {
    Reshape: reshape,
    Flatten: flatten,
    Permute: permute,
    Repeat: repeat,
    Reverse: reverse,
    Pad: pad,
    Crop: crop,
    Upsample: upsample,
    Take: take,
    Expand: expand,
    Squeeze: squeeze,
    Split: split,
    Product: product,
    Reduction: reduction,
    MergeSteps: merge_steps,
    SplitSteps: split_steps,
    Join: join,
    Concatenate: concatenate,
    Dot: dot,
}
