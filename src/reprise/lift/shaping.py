"""TensorFlow operators → ONNX: shapes, joins, parts, repetition."""

from __future__ import annotations

import numpy as np

from reprise.lift.emitter import Operator, Site
from reprise.lift.lookups import LOOKUPS
from reprise.lift.scattering import SCATTERING
from reprise.lift.tables import TABLES
from reprise.operators.rules.block import onnx_type
from reprise.operators.rules.sizes import Dim, dim
from reprise.tensors import Array


def _shape(site: Site) -> tuple[str, ...]:
    wanted = site.node.dtype("out_type", "int32")
    shapes = [site.one("Shape", name) for name in site.inputs()]
    return tuple(s if wanted == "int64" else site.one("Cast", s, to=onnx_type(wanted)) for s in shapes)


def _rank(site: Site) -> str:
    return site.constant(site.rank(0), "int32")


def _size(site: Site) -> str:
    return site.one("Cast", site.one("Size", site.input(0)), to=onnx_type(site.node.dtype("out_type", "int32")))


def _reshape(site: Site) -> str:
    target = _free_target(site)
    return site.one("Reshape", site.input(0), target if target is not None else site.int64(1), allowzero=0)


def _free_target(site: Site) -> str | None:
    """The target shape with the sizes that were set free as -1, None where the graph's own computation must run.

    A file that was saved for one batch size and length has them as numbers in its reshapes; `Facts` knows which of
    those numbers are the batch or the time.
    """
    shape = site.made()
    if shape is None:
        return None
    free = [i for i, d in enumerate(shape) if not d.known]
    if len(free) <= 1 and all(d.known or d.symbols for d in shape):
        return site.block.ints(*(d.scale if d.known else -1 for d in shape))
    content = site.emitter.facts.of(site.node.inputs[1]).content
    given = () if content is None else [dim(size) for size in content.flat]
    baked = any(size.known and size != Dim(-1) for size, d in zip(given, shape, strict=False) if not d.known)
    return _composed_target(site, shape) if baked else None


def _composed_target(site: Site, shape: tuple[Dim, ...]) -> str:
    """Several free sizes: each is read from the inputs, one may be left to what remains."""
    parts = [site.emitter.size(size, site.block) for size in shape]
    if parts.count(None) > 1:
        raise site.refusal("has several sizes that the file bakes in and that are not those of its inputs")
    return site.one("Concat", *(p if p is not None else site.block.ints(-1) for p in parts), axis=0)


def _expand_dims(site: Site) -> str:
    axis = site.axis(1, 0, extra=1)
    return site.one("Unsqueeze", site.input(0), site.block.ints(axis))


def _squeeze(site: Site) -> str:
    axes = site.node.integers("squeeze_dims", ())
    if axes:
        return site.one("Squeeze", site.input(0), site.block.ints(*axes))
    shape = site.shape(0)
    if shape is None:
        raise site.refusal("removes axes that are not known")
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
    axis = site.node.integer("axis", 0)
    axes = site.block.ints(axis)
    raised = [site.one("Unsqueeze", site.input(i), axes) for i in range(len(site.node.inputs))]
    return raised[0] if len(raised) == 1 else site.one("Concat", *raised, axis=axis)


def _unpack(site: Site) -> tuple[str, ...]:
    count, axis = site.node.integer("num"), site.node.integer("axis", 0)
    parts = _divided(site, site.input(0), axis, count)
    axes = site.block.ints(axis)
    return tuple(site.one("Squeeze", p, axes) for p in parts)


def _divided(site: Site, name: str, axis: int, count: int) -> tuple[str, ...]:
    if count == 1:
        return (name,)
    return site.block.add("Split", [name], count, site.node.name, axis=axis)


def _split(site: Site) -> tuple[str, ...]:
    return _divided(site, site.input(1), site.axis(0, 1), site.node.integer("num_split"))


def _split_v(site: Site) -> tuple[str, ...]:
    count = site.node.integer("num_split")
    axis = site.axis(2, 0)
    sizes = site.must_know(1, "sizes").astype(np.int64)
    name = site.input(0)
    whole = _length(site, name, axis)
    left = None if whole is None else whole - int(sizes[sizes >= 0].sum())
    if (sizes < 0).any():
        if left is None:
            raise site.refusal("splits an axis whose size is not in the file")
        sizes[sizes < 0] = left
    elif left:
        parts = f"divides {whole} numbers into {count} parts of {sizes.sum()} in all"
        raise site.refusal(f"{parts}: the weights are of another graph, or laid out in another way")
    return site.block.add("Split", [name, site.block.ints(*sizes.tolist())], count, site.node.name, axis=axis)


def _length(site: Site, name: str, axis: int) -> int | None:
    """How long the first input is along an axis, as a weight or by what is known of its shape."""
    held = site.block.names.initializers.get(name)
    if held is not None:
        return int(held.shape[axis])
    shape = site.shape(0)
    return shape[axis].scale if shape is not None and shape[axis].known else None


def _canonical_to_params(site: Site) -> str:
    """The vector of a layer of cuDNN: all matrices, then all biases, in the order in which they are given."""
    flat = [site.one("Reshape", site.input(i), site.block.ints(-1)) for i in range(3, len(site.node.inputs))]
    return site.one("Concat", *flat, axis=0)


def _fill(site: Site) -> str:
    return site.one("Expand", site.input(1), site.int64(0))


def _tile(site: Site) -> str:
    times = site.known(1)
    return site.one("Tile", site.input(0), site.int64(1) if times is None else _free_times(site, times))


def _free_times(site: Site, times: Array) -> str:
    """How often each axis is repeated; where that is a size that was set free, it is read from the inputs."""
    shape = site.made() or ()
    free = {i for i, d in enumerate(shape) if times[i] > 1 and len(d.symbols) == 1 and d.scale == 1}
    if not free:
        return site.block.ints(*(int(n) for n in times))
    sizes = [site.emitter.size(shape[i] if i in free else Dim(int(n)), site.block) for i, n in enumerate(times)]
    if None in sizes:
        raise site.refusal("repeats rows as often as a size that is not one of the inputs'")
    return site.one("Concat", *(s for s in sizes if s is not None), axis=0)


def _broadcast_to(site: Site) -> str:
    return site.one("Expand", site.input(0), site.int64(1))


def _range(site: Site) -> str:
    start, limit, step = site.inputs()
    known = site.known(2)
    if known is not None and known > 0:
        return site.one("Range", start, limit, step)
    # ONNX Runtime 1.32 makes a Slice of a Gather at a Range, and there a limit of -1 is the last place.
    from_zero = site.one("Range", site.constant(0, site.dtype()), site.one("Sub", limit, start), step)
    return site.one("Add", from_zero, start)


def _pad(site: Site) -> str:
    known = site.known(1)
    pads = site.constant(known.T.ravel(), "int64") if known is not None else _computed_pads(site)
    value = [site.input(2)] if len(site.node.inputs) > 2 else []
    return site.one("Pad", site.input(0), pads, *value)


def _computed_pads(site: Site) -> str:
    """Paddings [rank, 2] that are computed at run time in the order of ONNX: all before, then all after."""
    by_side = site.one("Transpose", _none_negative(site, site.int64(1)), perm=[1, 0])
    return site.one("Reshape", by_side, site.block.ints(-1))


def _none_negative(site: Site, numbers: str) -> str:
    """The same numbers; one below zero, which ONNX would take for rows to cut off, ends the call as in TensorFlow."""
    negative = site.one("Cast", site.one("Less", numbers, site.constant(0, "int64")), to=onnx_type("int64"))
    return site.one("Add", numbers, site.one("Gather", site.block.ints(0), negative))  # which has no place 1


def _mirrored(site: Site) -> str:
    """MirrorPad: the rows beside a border once more in reverse, with the last one (SYMMETRIC) or without it."""
    x, known, shape = site.input(0), site.known(1), site.shape(0)
    if known is None and shape is None:
        raise site.refusal("mirrors at borders computed at run time, of what may have any rank")
    pads = None if known is not None else _none_negative(site, site.int64(1))
    for axis in range(len(known if known is not None else shape or ())):
        if pads is not None:
            row = site.one("Gather", pads, site.constant(axis, "int64"), axis=0)
            border = tuple(site.one("Gather", row, site.constant(side, "int64")) for side in (0, 1))
            x = site.one("Gather", x, _reflected(site, x, axis, *border), axis=axis)
        elif known is not None and known[axis].any():
            border = tuple(site.constant(int(n), "int64") for n in known[axis])
            x = site.one("Gather", x, _reflected(site, x, axis, *border), axis=axis)
    return x


def _reflected(site: Site, name: str, axis: int, before: str, after: str) -> str:
    """The rows to take along an axis: there and back again, as often as the border asks."""
    shared = site.node.text("mode") == "REFLECT"
    count = _count(site, name, axis)
    there = site.one("Sub", count, site.constant(int(shared), "int64"))
    back = site.one("Mul", there, site.constant(2, "int64"))
    stop = site.one("Add", count, after)
    steps = site.one("Range", site.one("Neg", before), stop, site.constant(1, "int64"))
    turn = site.one("Mod", steps, back)
    last = site.one("Sub", back, site.constant(int(not shared), "int64"))
    return site.one("Where", site.one("Less", turn, count), turn, site.one("Sub", last, turn))


def _count(site: Site, name: str, axis: int) -> str:
    """The size of an axis, an int64 scalar."""
    return site.one("Squeeze", site.one("Shape", name, start=axis, end=axis + 1), site.block.ints(0))


def _rolled(site: Site) -> str:
    """Rows moved on along some axes; what leaves at one end comes in at the other."""
    x, rank = site.input(0), site.rank(0)
    axes = [int(a) % rank for a in site.must_know(2, "axes").ravel()]
    shifts = site.one("Reshape", site.int64(1), site.block.ints(-1))
    for i, axis in enumerate(axes):
        count = _count(site, x, axis)
        steps = site.one("Range", site.constant(0, "int64"), count, site.constant(1, "int64"))
        moved = site.one("Sub", steps, site.one("Gather", shifts, site.constant(i, "int64"), axis=0))
        x = site.one("Gather", x, site.one("Mod", moved, count), axis=axis)
    return x


def _line(site: Site) -> str:
    """So many numbers from the first to the last, at equal distances."""
    first, last, kind = site.input(0), site.input(1), onnx_type(site.dtype())
    count = site.one("Reshape", site.int64(2), site.block.ints())
    one = site.constant(1, "int64")
    gaps = site.one("Cast", site.one("Max", site.one("Sub", count, one), one), to=kind)
    steps = site.one("Cast", site.one("Range", site.constant(0, "int64"), count, one), to=kind)
    return site.one("Add", first, site.one("Mul", steps, site.one("Div", site.one("Sub", last, first), gaps)))


def _invert(site: Site) -> str:
    raise site.refusal("inverts a permutation that is computed at run time")


SHAPING: dict[str, Operator] = {
    **LOOKUPS,
    **TABLES,
    **SCATTERING,
    **dict.fromkeys(("Shape", "ShapeN", "VariableShape"), Operator(_shape)),
    "Rank": Operator(_rank),
    "Size": Operator(_size),
    "Reshape": Operator(_reshape, lazy=(1,)),
    "ExpandDims": Operator(_expand_dims, lazy=(1,)),
    "Squeeze": Operator(_squeeze),
    "Transpose": Operator(_transpose, lazy=(1,)),
    "ConcatV2": Operator(_concat),
    "Concat": Operator(_concat, lazy=(0,)),
    "Pack": Operator(_pack),
    "Unpack": Operator(_unpack),
    "Split": Operator(_split, lazy=(0,)),
    "SplitV": Operator(_split_v, lazy=(1, 2)),
    **dict.fromkeys(
        ("CudnnRNNCanonicalToParams", "CudnnRNNCanonicalToParamsV2"), Operator(_canonical_to_params, lazy=(0, 1, 2))
    ),
    "Fill": Operator(_fill, lazy=(0,)),
    "Tile": Operator(_tile, lazy=(1,)),
    "BroadcastTo": Operator(_broadcast_to, lazy=(1,)),
    "Range": Operator(_range),
    **dict.fromkeys(("Pad", "PadV2"), Operator(_pad, lazy=(1,))),
    "InvertPermutation": Operator(_invert),
    "MirrorPad": Operator(_mirrored, lazy=(1,)),
    "Roll": Operator(_rolled, lazy=(2,)),
    "LinSpace": Operator(_line),
}
