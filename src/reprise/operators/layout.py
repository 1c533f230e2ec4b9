"""Axes moved, and rows repeated, padded, turned around and moved on."""

from __future__ import annotations

import numpy as np

from reprise.graph import Node
from reprise.operators.filling import checked_sizes
from reprise.operators.rules.block import onnx_type
from reprise.operators.rules.record import Operator
from reprise.operators.rules.shapes import UNKNOWN, Fact, Shapes, first_shape
from reprise.operators.rules.site import Site
from reprise.operators.rules.sizes import Dim, dim
from reprise.operators.rules.steps import ROWS, Axes, Kind, keeps, mixed
from reprise.operators.slicing import START
from reprise.tensors import Array


def _turned_around_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """ReverseSequence(x, lengths [N]): lengths that the file knows are those of so many steps."""
    shape, lengths = inputs[0].shape, inputs[1].shape
    if shape is None:
        return [UNKNOWN]
    time, batch = (node.integer(name, 0) for name in ("seq_dim", "batch_dim"))
    if lengths:
        facts.sizes.equate(shape[batch], lengths[0])
    if inputs[1].content is not None:
        facts.sizes.bake(shape[time])
    return [Fact(shape)]


def _transpose_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, order = inputs[0].shape, inputs[1].content
    if shape is None or order is None or order.dtype == object or len(order) != len(shape):
        return [UNKNOWN]
    return [Fact(tuple(shape[int(i)] for i in order))]


def _tile_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, times = inputs[0].shape, inputs[1].content
    if shape is None or times is None or len(times) != len(shape):
        return [UNKNOWN]
    return [
        Fact(tuple(_repeated(facts, node, i, d, dim(t)) for i, (d, t) in enumerate(zip(shape, times, strict=True))))
    ]


def _repeated(facts: Shapes, node: Node, axis: int, size: Dim, times: Dim) -> Dim:
    """One row, repeated so often as the file has it: baked in, if it meets an axis whose size is so too."""
    if facts.sizes.resolve(size) != Dim(1):
        return size * times
    return facts.sizes.symbol(f"{node.name}.{axis}", times.scale) if times.known and times.scale > 1 else times


def _pad_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, borders = inputs[0].shape, inputs[1].content
    if shape is None:
        return [UNKNOWN]
    if borders is None or borders.dtype == object:
        return [Fact(tuple(facts.fresh(node, axis) for axis in range(len(shape))))]
    added = [int(n) for n in borders.sum(axis=1)]
    return [Fact(tuple(facts.sizes.plus(size, n) for size, n in zip(shape, added, strict=True)))]


def _invert_value(node: Node, inputs: list[Array]) -> Array:
    return np.argsort(inputs[0]).astype(inputs[0].dtype)


def _pad_value(node: Node, inputs: list[Array]) -> Array:
    values, borders = inputs[0], inputs[1]
    checked_sizes(values.shape + borders.sum(axis=1))
    return np.pad(values, borders, constant_values=inputs[2].item() if len(inputs) > 2 else 0)


def _reversed_steps(axes: Axes, node: Node, above: list[Kind]) -> Kind:
    """Turned around along an axis that is not time, as the letters of each word are."""
    turned = node.attributes.get("seq_dim") if node.op == "ReverseSequence" else axes.facts.content(node.inputs[1])
    if turned is None or axes.facts.shape(node.inputs[0]) is None:
        return mixed(node)
    rank = len(axes.facts.shape(node.inputs[0]) or ())
    places = {int(axis) % max(rank, 1) for axis in np.ravel(turned)}
    return mixed(node) if places.intersection(axes.timed(node.inputs[0])) else ROWS


def _transpose_onnx(site: Site) -> str:
    order = site.must_know(1, "order of axes")
    return site.one("Transpose", site.input(0), perm=[int(i) for i in order])


def _tile_onnx(site: Site) -> str:
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


def _pad_onnx(site: Site) -> str:
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


def _mirrored_onnx(site: Site) -> str:
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


def _rolled_onnx(site: Site) -> str:
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


def _invert_onnx(site: Site) -> str:
    raise site.refusal("inverts a permutation that is computed at run time")


def _reverse_onnx(site: Site) -> str:
    axes = [int(a) for a in site.must_know(1, "axes").ravel()]
    return _reversed(site, site.input(0), axes)


def _reversed(site: Site, name: str, axes: list[int]) -> str:
    count = len(axes)
    return site.one(
        "Slice",
        name,
        site.block.ints(*[-1] * count),
        site.block.ints(*[START] * count),
        site.block.ints(*axes),
        site.block.ints(*[-1] * count),
    )


def _reversed_by_flags_onnx(site: Site) -> str:
    """Reverse of the first years: a flag for each axis."""
    return _reversed(site, site.input(0), [int(a) for a in np.flatnonzero(site.must_know(1, "axes"))])


def _reverse_sequence_onnx(site: Site) -> str:
    """The first rows of each sequence turned around, as many as its length; ONNX has time and batch in front."""
    time, batch = site.node.integer("seq_dim"), site.node.integer("batch_dim", 0)
    if {time, batch} == {0, 1}:
        return site.one("ReverseSequence", site.input(0), site.int64(1), time_axis=time, batch_axis=batch)
    order = [time, batch, *(i for i in range(site.rank(0)) if i not in (time, batch))]
    x = site.one("Transpose", site.input(0), perm=order)
    turned = site.one("ReverseSequence", x, site.int64(1), time_axis=0, batch_axis=1)
    return site.one("Transpose", turned, perm=[int(i) for i in np.argsort(order)])


OPERATORS = (
    Operator(
        "Transpose",
        shape=_transpose_shape,
        fold=lambda node, inputs: np.transpose(inputs[0], [int(i) for i in inputs[1]]),
        steps=keeps,
        onnx=_transpose_onnx,
        lazy=(1,),
    ),
    Operator("InvertPermutation", fold=_invert_value, onnx=_invert_onnx),
    Operator(
        "Tile",
        shape=_tile_shape,
        fold=lambda node, inputs: np.tile(inputs[0], checked_sizes(inputs[1])),
        steps=keeps,
        onnx=_tile_onnx,
        lazy=(1,),
    ),
    Operator("Pad PadV2", shape=_pad_shape, fold=_pad_value, steps=keeps, onnx=_pad_onnx, lazy=(1,)),
    Operator("MirrorPad", shape=_pad_shape, steps=keeps, onnx=_mirrored_onnx, lazy=(1,)),
    Operator("Roll", shape=first_shape, onnx=_rolled_onnx, lazy=(2,)),
    Operator("Reverse", shape=first_shape, onnx=_reversed_by_flags_onnx, lazy=(1,)),
    Operator(
        "ReverseV2",
        shape=first_shape,
        fold=lambda node, inputs: np.flip(inputs[0], tuple(int(a) for a in inputs[1])),
        steps=_reversed_steps,
        onnx=_reverse_onnx,
        lazy=(1,),
    ),
    Operator("ReverseSequence", shape=_turned_around_shape, steps=_reversed_steps, onnx=_reverse_sequence_onnx),
)
