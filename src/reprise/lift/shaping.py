"""TensorFlow operators → ONNX: shapes, slices, joins, look-ups, pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from reprise.graph import Value
from reprise.interface.sizes import Dim
from reprise.lift.block import computed, onnx_type
from reprise.lift.emitter import Operator, Site
from reprise.lift.operators import choice


def _shape(site: Site) -> tuple[str, ...]:
    wanted = str(site.attribute("out_type", "int32"))
    shapes = [site.one("Shape", name) for name in site.inputs()]
    return tuple(s if wanted == "int64" else site.one("Cast", s, to=onnx_type(wanted)) for s in shapes)


def _rank(site: Site) -> str:
    return site.constant(site.rank(0), "int32")


def _size(site: Site) -> str:
    return site.one("Cast", site.one("Size", site.input(0)), to=onnx_type(str(site.attribute("out_type", "int32"))))


def _reshape(site: Site) -> str:
    target = _free_target(site)
    return site.one("Reshape", site.input(0), target if target is not None else site.int64(1), allowzero=0)


def _free_target(site: Site) -> str | None:
    """The target shape with the sizes that were set free as -1, None where the graph's own computation must run.

    A file that was saved for one batch size and length has them as numbers in its reshapes; `Facts` knows which of
    those numbers are the batch or the time.
    """
    shape = site.emitter.facts.shape(Value(site.node.name))
    if shape is None:
        return None
    free = [i for i, d in enumerate(shape) if not d.known]
    if len(free) <= 1 and all(d.known or d.symbols for d in shape):
        return site.block.ints(*(d.scale if d.known else -1 for d in shape))
    return None if site.known(1) is None else _composed_target(site, shape)


def _composed_target(site: Site, shape: tuple[Dim, ...]) -> str:
    """Several free sizes: each is read from the inputs, one may be left to what remains."""
    parts = [site.emitter.size(size, site.block) for size in shape]
    if parts.count(None) > 1:
        raise site.emitter.refusal(
            site.node, "has several sizes that the file bakes in and that are not those of its inputs"
        )
    return site.one("Concat", *(p if p is not None else site.block.ints(-1) for p in parts), axis=0)


def _expand_dims(site: Site) -> str:
    axis = site.axis(1, 0, extra=1)
    return site.one("Unsqueeze", site.input(0), site.block.ints(axis))


def _squeeze(site: Site) -> str:
    axes: Any = site.attribute("squeeze_dims") or site.attribute("axis") or ()
    if axes:
        return site.one("Squeeze", site.input(0), site.block.ints(*(int(a) for a in axes)))
    shape = site.emitter.facts.shape(site.node.inputs[0])
    if shape is None:
        raise site.emitter.refusal(site.node, "removes axes that are not known")
    gone = [i for i, d in enumerate(shape) if d == Dim(1)]
    return site.one("Squeeze", site.input(0), site.block.ints(*gone)) if gone else site.input(0)


def _transpose(site: Site) -> str:
    order = site.must_know(1, "order of axes")
    return site.one("Transpose", site.input(0), perm=[int(i) for i in order])


def _concat(site: Site) -> str:
    first = site.node.op == "Concat"
    count = len(site.node.inputs)
    parts = range(1, count) if first else range(count - 1)
    axis = int(site.must_know(0 if first else count - 1, "axis").ravel()[0])
    names = [site.input(i) for i in parts]
    return names[0] if len(names) == 1 else site.one("Concat", *names, axis=axis)


def _pack(site: Site) -> str:
    axis = int(site.attribute("axis", 0))  # type: ignore[call-overload]
    axes = site.block.ints(axis)
    raised = [site.one("Unsqueeze", site.input(i), axes) for i in range(len(site.node.inputs))]
    return raised[0] if len(raised) == 1 else site.one("Concat", *raised, axis=axis)


def _unpack(site: Site) -> tuple[str, ...]:
    count, axis = int(site.attribute("num", 1)), int(site.attribute("axis", 0))  # type: ignore[call-overload]
    parts = _divided(site, site.input(0), axis, count)
    axes = site.block.ints(axis)
    return tuple(site.one("Squeeze", p, axes) for p in parts)


def _divided(site: Site, name: str, axis: int, count: int) -> tuple[str, ...]:
    if count == 1:
        return (name,)
    return site.block.add("Split", [name], count, site.node.name, axis=axis)


def _split(site: Site) -> tuple[str, ...]:
    return _divided(site, site.input(1), site.axis(0, 1), int(site.attribute("num_split", 1)))  # type: ignore[call-overload]


def _split_v(site: Site) -> tuple[str, ...]:
    count = int(site.attribute("num_split", 1))  # type: ignore[call-overload]
    axis = site.axis(2, 0)
    sizes = site.must_know(1, "sizes").astype(np.int64)
    if (sizes < 0).any():
        whole = (site.emitter.facts.shape(site.node.inputs[0]) or ())[axis]
        if not whole.known:
            raise site.emitter.refusal(site.node, "splits an axis whose size is not in the file")
        sizes[sizes < 0] = whole.scale - sizes[sizes >= 0].sum()
    return site.block.add("Split", [site.input(0), site.block.ints(*sizes.tolist())], count, site.node.name, axis=axis)


def _slice(site: Site) -> str:
    begin, size = site.known(1), site.known(2)
    if begin is not None and size is not None:
        ends = [np.iinfo(np.int64).max if n < 0 else int(b) + int(n) for b, n in zip(begin, size, strict=True)]
        return site.one("Slice", site.input(0), site.constant(begin, "int64"), site.constant(ends, "int64"))
    start, count = site.int64(1), site.int64(2)
    whole = site.one("Less", count, site.block.ints(0))
    end = site.one("Where", whole, site.block.ints(np.iinfo(np.int64).max), site.one("Add", start, count))
    return site.one("Slice", site.input(0), start, end)


def _strided_slice(site: Site) -> str:
    masks = {m: int(site.attribute(f"{m}_mask", 0)) for m in _MASKS}  # type: ignore[call-overload]
    begin, end, strides = (site.known(i) for i in (1, 2, 3))
    if begin is None or end is None or strides is None:
        return _computed_slice(site, masks)
    items = _items(site, masks, begin, end, strides)
    return _emit_slice(site, items)


_MASKS = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
_END = np.iinfo(np.int64).max
_START = np.iinfo(np.int64).min + 1


def _items(site: Site, masks: dict[str, int], begin: Any, end: Any, strides: Any) -> list[tuple[str, int, int, int]]:
    """One entry for each index of the source's expression: (kind, begin, end, stride)."""
    items: list[tuple[str, int, int, int]] = []
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


def _emit_slice(site: Site, items: list[tuple[str, int, int, int]]) -> str:
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
        raise site.emitter.refusal(site.node, "takes a slice whose bounds are computed at run time")
    count = len(strides)
    begin, end = site.int64(1), site.int64(2)
    one_by_one = [(site.block.one("Gather", begin, site.block.ints(i), axis=0), i) for i in range(count)]
    begins, ends = [], []
    for b, i in one_by_one:
        bit = 1 << i
        begins.append(site.block.ints(0) if masks["begin"] & bit else b)
        if masks["shrink_axis"] & bit:
            # The last row is reached as -1; its end is then not 0 but the end of the axis.
            following = site.one("Add", b, site.block.ints(1))
            last = site.one("Equal", following, site.block.ints(0))
            ends.append(site.one("Where", last, site.block.ints(_END), following))
        else:
            ends.append(
                site.block.ints(_END) if masks["end"] & bit else site.one("Gather", end, site.block.ints(i), axis=0)
            )
    axes = site.block.ints(*range(count))
    x = site.one("Slice", site.input(0), site.one("Concat", *begins, axis=0), site.one("Concat", *ends, axis=0), axes)
    shrunk = [i for i in range(count) if masks["shrink_axis"] >> i & 1]
    return site.one("Squeeze", x, site.block.ints(*shrunk)) if shrunk else x


def _gather(site: Site) -> str:
    axis = site.axis(2, 0) if len(site.node.inputs) > 2 else 0
    if site.attribute("batch_dims"):
        raise site.emitter.refusal(site.node, "gathers with batch dimensions")
    return site.one("Gather", site.input(0), _from_the_front(site, site.input(1), site.dtype(1)), axis=axis)


def _gather_nd(site: Site) -> str:
    if site.attribute("batch_dims"):
        raise site.emitter.refusal(site.node, "gathers with batch dimensions")
    return site.one("GatherND", site.input(0), _from_the_front(site, site.int64(1), "int64"))


def _from_the_front(site: Site, places: str, kind: str) -> str:
    """ONNX counts negative places from the end, TensorFlow refuses them: they become places that no table has."""
    made = site.emitter.structure.graph[site.emitter.structure.origin(site.node.inputs[1]).node]
    if site.known(1) is not None or made.op in ("ArgMax", "ArgMin", "Range"):
        return places
    nowhere = site.constant(np.iinfo(np.int32).max, kind)
    return site.one("Where", site.one("Less", places, site.constant(0, kind)), nowhere, places)


def _one_hot(site: Site) -> str:
    depth = site.one("Reshape", site.int64(1), site.block.ints(1))
    ids = site.int64(0)
    # ONNX counts negative ids from the end; TensorFlow leaves their rows empty, as those of ids beyond the depth.
    ids = site.one("Where", site.one("Less", ids, site.constant(0, "int64")), depth, ids)
    spread = _spread(site, ids, depth)
    alone = site.emitter.facts.shape(site.node.inputs[0]) == ()
    return site.one("Squeeze", spread, site.block.ints(0)) if alone else spread


def _spread(site: Site, ids: str, depth: str) -> str:
    axis = int(site.attribute("axis", -1))  # type: ignore[call-overload]
    if computed(site.dtype(2)) == "float32":
        off, on = (site.one("Reshape", site.input(i), site.block.ints(1)) for i in (3, 2))
        return site.one("OneHot", ids, depth, site.one("Concat", off, on, axis=0), axis=axis)
    hot = site.one("Cast", site.one("OneHot", ids, depth, site.block.ints(0, 1), axis=axis), to=onnx_type("bool"))
    return choice(site, hot, site.input(2), site.input(3), site.dtype(2))


def _fill(site: Site) -> str:
    return site.one("Expand", site.input(1), site.int64(0))


def _tile(site: Site) -> str:
    return site.one("Tile", site.input(0), site.int64(1))


def _broadcast_to(site: Site) -> str:
    return site.one("Expand", site.input(0), site.int64(1))


def _range(site: Site) -> str:
    return site.one("Range", *site.inputs())


def _pad(site: Site) -> str:
    pads = site.must_know(1, "paddings").astype(np.int64)
    value = [site.input(2)] if len(site.node.inputs) > 2 else []
    return site.one("Pad", site.input(0), site.constant(pads.T.ravel(), "int64"), *value)


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


def _reverse_sequence(site: Site) -> str:
    time = int(site.attribute("seq_dim", 0))  # type: ignore[call-overload]
    batch = int(site.attribute("batch_dim", 0))  # type: ignore[call-overload]
    if {time, batch} != {0, 1}:
        raise site.emitter.refusal(site.node, "reverses an axis other than the first two")
    return site.one("ReverseSequence", site.input(0), site.int64(1), time_axis=time, batch_axis=batch)


def _invert(site: Site) -> str:
    raise site.emitter.refusal(site.node, "inverts a permutation that is computed at run time")


def _conv(site: Site) -> str:
    """Conv2D in TensorFlow's NHWC with an HWIO kernel, by ONNX's NCHW and OIHW."""
    x = _channels_first(site, site.input(0))
    kernel = site.one("Transpose", site.input(1), perm=[3, 2, 0, 1])
    strides, dilations = _picture_axes(site, "strides"), _picture_axes(site, "dilations")
    padding = _padding(site) if dilations == [1, 1] else _dilated_padding(site, strides, dilations)
    return _channels_last(site, site.one("Conv", x, kernel, strides=strides, dilations=dilations, **padding))


def _channels_first(site: Site, name: str) -> str:
    return name if _is_nchw(site) else site.one("Transpose", name, perm=[0, 3, 1, 2])


def _channels_last(site: Site, name: str) -> str:
    return name if _is_nchw(site) else site.one("Transpose", name, perm=[0, 2, 3, 1])


def _is_nchw(site: Site) -> bool:
    return site.attribute("data_format", b"NHWC") == b"NCHW"


def _picture_axes(site: Site, name: str) -> list[int]:
    numbers: Any = site.attribute(name) or (1, 1, 1, 1)
    return [int(n) for n in (numbers[2:4] if _is_nchw(site) else numbers[1:3])]


def _padding(site: Site) -> dict[str, Any]:
    kind = site.attribute("padding")
    if kind == b"SAME":
        return {"auto_pad": "SAME_UPPER"}
    if kind == b"VALID":
        return {"auto_pad": "VALID"}
    raise site.emitter.refusal(site.node, f"pads by {kind!r}")


def _dilated_padding(site: Site, strides: list[int], dilations: list[int]) -> dict[str, Any]:
    """Numbers instead of `SAME`, which ONNX Runtime does not combine with dilations."""
    if site.attribute("padding") != b"SAME":
        return _padding(site)
    kernel = site.emitter.facts.shape(site.node.inputs[1])
    if kernel is None or not all(n.known for n in kernel[:2]) or strides != [1, 1]:
        raise site.emitter.refusal(site.node, "has dilations, and strides or a kernel of unknown size")
    whole = [(n.scale - 1) * d for n, d in zip(kernel[:2], dilations, strict=True)]
    return {"pads": [w // 2 for w in whole] + [w - w // 2 for w in whole]}


def _pool(op: str) -> Any:
    def emit(site: Site) -> str:
        x = _channels_first(site, site.input(0))
        attributes = {"kernel_shape": _picture_axes(site, "ksize"), "strides": _picture_axes(site, "strides")}
        return _channels_last(site, site.one(op, x, **attributes, **_padding(site)))

    return emit


def _batch_norm(site: Site) -> tuple[str | None, ...]:
    if site.attribute("is_training", default=True):
        raise site.emitter.refusal(site.node, "normalises by the statistics of the batch (training mode)")
    x, scale, offset, mean, variance = site.inputs()
    epsilon = site.constant(float(site.attribute("epsilon", 1e-4)), computed(site.dtype()))  # type: ignore[arg-type]
    spread = site.one("Sqrt", site.one("Add", variance, epsilon))
    factor = site.one("Div", scale, spread)
    shift = site.one("Sub", offset, site.one("Mul", mean, factor))
    if _is_nchw(site):
        factor, shift = (site.one("Unsqueeze", v, site.block.ints(1, 2)) for v in (factor, shift))
    return (site.one("Add", site.one("Mul", x, factor), shift), None, None, None, None)


def _partition(site: Site) -> tuple[str, ...]:
    """DynamicPartition: rows of the data by the number that stands beside each."""
    if site.rank(1) != 1:
        raise site.emitter.refusal(site.node, "divides by numbers of more than one axis")
    data, numbers = site.inputs()
    kind = site.dtype(1)
    return tuple(
        site.one("Compress", data, site.one("Equal", numbers, site.constant(i, kind)), axis=0)
        for i in range(int(site.attribute("num_partitions", 1)))  # type: ignore[call-overload]
    )


def _stitch(site: Site) -> str:
    """DynamicStitch: rows put to the places that stand beside them."""
    half = len(site.node.inputs) // 2
    places = [site.one("Reshape", site.int64(i), site.block.ints(-1)) for i in range(half)]
    rows = []
    for i in range(half):
        shape = site.one("Shape", site.input(half + i))
        inner = site.one("Slice", shape, site.block.ints(site.rank(i)), site.block.ints(_END))
        rows.append(site.one("Reshape", site.input(half + i), site.one("Concat", site.block.ints(-1), inner, axis=0)))
    place = site.one("Concat", *places, axis=0) if half > 1 else places[0]
    data = site.one("Concat", *rows, axis=0) if half > 1 else rows[0]
    count = site.one("Add", site.one("ReduceMax", place, keepdims=1), site.block.ints(1))
    inner = site.one("Slice", site.one("Shape", data), site.block.ints(1), site.block.ints(_END))
    zero = site.constant(0, computed(site.dtype(half)))
    empty = site.one("Expand", zero, site.one("Concat", count, inner, axis=0))
    return site.one("ScatterND", empty, site.one("Unsqueeze", place, site.block.ints(1)), data)


SHAPING: dict[str, Operator] = {
    **dict.fromkeys(("Shape", "ShapeN"), Operator(_shape)),
    "Rank": Operator(_rank),
    "Size": Operator(_size),
    "Reshape": Operator(_reshape, lazy=(1,)),
    "ExpandDims": Operator(_expand_dims, lazy=(1,)),
    "Squeeze": Operator(_squeeze),
    "Transpose": Operator(_transpose, lazy=(1,)),
    "ConcatV2": Operator(_concat),
    "Concat": Operator(_concat, lazy=(0,)),
    **dict.fromkeys(("Pack", "Stack"), Operator(_pack)),
    "Unpack": Operator(_unpack),
    "Split": Operator(_split, lazy=(0,)),
    "SplitV": Operator(_split_v, lazy=(1, 2)),
    "Slice": Operator(_slice, lazy=(1, 2)),
    "StridedSlice": Operator(_strided_slice, lazy=(1, 2, 3)),
    **dict.fromkeys(("Gather", "GatherV2", "ResourceGather"), Operator(_gather, lazy=(2,))),
    **dict.fromkeys(("GatherNd", "ResourceGatherNd"), Operator(_gather_nd)),
    "OneHot": Operator(_one_hot, lazy=(1,)),
    "Fill": Operator(_fill, lazy=(0,)),
    "Tile": Operator(_tile, lazy=(1,)),
    "BroadcastTo": Operator(_broadcast_to, lazy=(1,)),
    "Range": Operator(_range),
    **dict.fromkeys(("Pad", "PadV2"), Operator(_pad, lazy=(1,))),
    "ReverseV2": Operator(_reverse, lazy=(1,)),
    "ReverseSequence": Operator(_reverse_sequence),
    "InvertPermutation": Operator(_invert),
    "DynamicPartition": Operator(_partition),
    **dict.fromkeys(("DynamicStitch", "ParallelDynamicStitch"), Operator(_stitch)),
    "Conv2D": Operator(_conv),
    "MaxPool": Operator(_pool("MaxPool")),
    "AvgPool": Operator(_pool("AveragePool")),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), Operator(_batch_norm)),
}
