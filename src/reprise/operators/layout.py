"""Axes moved, and rows repeated, padded, turned around and moved on."""

from __future__ import annotations

import math

import numpy as np

from reprise.bounds import SPREAD
from reprise.graph import Node
from reprise.operators.filling import checked_sizes
from reprise.operators.rules.asking import Asking, Sizes, as_result, of_as_many_axes_as
from reprise.operators.rules.attributes import Integer, Text
from reprise.operators.rules.block import onnx_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Fact, Shapes, first_shape
from reprise.operators.rules.site import Site
from reprise.operators.rules.sizes import Dim, dim
from reprise.operators.rules.steps import STEPS, Kind, TimeAxes, keeps, mixed
from reprise.operators.slicing import START
from reprise.tensors import Array

_TIME, _BATCH, _MODE = Integer("seq_dim"), Integer("batch_dim", 0), Text("mode")


def _reverse_sequence_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """ReverseSequence(x, lengths [N]): lengths that the file knows are those of so many steps."""
    shape, lengths = inputs[0].shape, inputs[1].shape
    if shape is None:
        return [UNKNOWN]
    time, batch = (of(node) for of in (_TIME, _BATCH))
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
        Fact(
            tuple(_repeated_size(facts, node, i, d, dim(t)) for i, (d, t) in enumerate(zip(shape, times, strict=True)))
        )
    ]


def _repeated_size(facts: Shapes, node: Node, axis: int, size: Dim, times: Dim) -> Dim:
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


def _invert_permutation_fold(node: Node, inputs: list[Array]) -> Array:
    return np.argsort(inputs[0]).astype(inputs[0].dtype)


def _pad_fold(node: Node, inputs: list[Array]) -> Array:
    values, borders = inputs[0], inputs[1]
    checked_sizes(values.shape + borders.sum(axis=1))
    return np.pad(values, borders, constant_values=inputs[2].item() if len(inputs) > 2 else 0)


def _tile_fold(node: Node, inputs: list[Array]) -> Array:
    times = checked_sizes(inputs[1])
    if inputs[0].nbytes * math.prod(times) > SPREAD:
        raise ValueError("size")
    return np.tile(inputs[0], times)


def _reverse_steps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    """Turned around along an axis that is not time, as the letters of each word are."""
    turned = _TIME(node) if node.op == "ReverseSequence" else axes.facts.content(node.inputs[1])
    if turned is None or axes.facts.shape(node.inputs[0]) is None:
        return mixed(node)
    rank = len(axes.facts.shape(node.inputs[0]) or ())
    reversed_axes = {int(axis) % max(rank, 1) for axis in np.ravel(turned)}
    return mixed(node) if reversed_axes.intersection(axes.timed(node.inputs[0])) else STEPS


def _transpose_onnx(site: Site) -> str:
    order = site.must_know(1, "order of axes")
    return site.one("Transpose", site.input(0), perm=[int(i) for i in order])


def _tile_onnx(site: Site) -> str:
    times = site.known(1)
    return site.one("Tile", site.input(0), site.int64(1) if times is None else _free_times(site, times))


def _free_times(site: Site, times: Array) -> str:
    """How often each axis is repeated; where that is a size that was set free, it is read from the inputs."""
    shape = site.result_shape() or ()
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
    return site.one("Add", numbers, site.one("Gather", site.block.ints(0), negative))  # which has no index 1


def _mirror_pad_onnx(site: Site) -> str:
    """MirrorPad: the rows beside a border once more in reverse, with the last one (SYMMETRIC) or without it."""
    x, known, shape = site.input(0), site.known(1), site.shape(0)
    if known is None and shape is None:
        raise site.refusal("mirrors at borders computed at run time, of what may have any rank")
    pads = None if known is not None else _none_negative(site, site.int64(1))
    for axis in range(len(known if known is not None else shape or ())):
        if pads is not None:
            row = site.one("Gather", pads, site.constant(axis, "int64"), axis=0)
            border = tuple(site.one("Gather", row, site.constant(side, "int64")) for side in (0, 1))
            x = site.one("Gather", x, _mirror_indices(site, x, axis, *border), axis=axis)
        elif known is not None and known[axis].any():
            border = tuple(site.constant(int(n), "int64") for n in known[axis])
            x = site.one("Gather", x, _mirror_indices(site, x, axis, *border), axis=axis)
    return x


def _mirror_indices(site: Site, name: str, axis: int, before: str, after: str) -> str:
    """The rows to take along an axis: there and back again, as often as the border asks."""
    shared = _MODE(site.node) == "REFLECT"
    count = _axis_size(site, name, axis)
    there = site.one("Sub", count, site.constant(int(shared), "int64"))
    back = site.one("Mul", there, site.constant(2, "int64"))
    stop = site.one("Add", count, after)
    steps = site.one("Range", site.one("Neg", before), stop, site.constant(1, "int64"))
    turn = site.one("Mod", steps, back)
    last = site.one("Sub", back, site.constant(int(not shared), "int64"))
    return site.one("Where", site.one("Less", turn, count), turn, site.one("Sub", last, turn))


def _axis_size(site: Site, name: str, axis: int) -> str:
    """The size of an axis, an int64 scalar."""
    return site.one("Squeeze", site.one("Shape", name, start=axis, end=axis + 1), site.block.ints(0))


def _roll_onnx(site: Site) -> str:
    """Rows moved on along some axes; what leaves at one end comes in at the other."""
    x, rank = site.input(0), site.rank(0)
    axes = [int(a) % rank for a in site.must_know(2, "axes").ravel()]
    shifts = site.one("Reshape", site.int64(1), site.block.ints(-1))
    for i, axis in enumerate(axes):
        count = _axis_size(site, x, axis)
        steps = site.one("Range", site.constant(0, "int64"), count, site.constant(1, "int64"))
        moved = site.one("Sub", steps, site.one("Gather", shifts, site.constant(i, "int64"), axis=0))
        x = site.one("Gather", x, site.one("Mod", moved, count), axis=axis)
    return x


def _invert_permutation_onnx(site: Site) -> str:
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


def _reverse_flags_onnx(site: Site) -> str:
    """Reverse of the first years: a flag for each axis."""
    return _reversed(site, site.input(0), [int(a) for a in np.flatnonzero(site.must_know(1, "axes"))])


def _reverse_sequence_onnx(site: Site) -> str:
    """The first rows of each sequence turned around, as many as its length; ONNX has time and batch in front."""
    time, batch = _TIME(site.node), _BATCH(site.node)
    if {time, batch} == {0, 1}:
        return site.one("ReverseSequence", site.input(0), site.int64(1), time_axis=time, batch_axis=batch)
    order = [time, batch, *(i for i in range(site.rank(0)) if i not in (time, batch))]
    x = site.one("Transpose", site.input(0), perm=order)
    turned = site.one("ReverseSequence", x, site.int64(1), time_axis=0, batch_axis=1)
    return site.one("Transpose", turned, perm=[int(i) for i in np.argsort(order)])


def _transpose_asks(asking: Asking) -> Sizes | None:
    order = asking.numbers(1)
    if asking.index or order is None:
        return None
    result = asking.result() or (None,) * len(order)
    return tuple(result[order.index(axis)] for axis in range(len(order))) if len(result) == len(order) else None


def _reverse_sequence_asks(asking: Asking) -> Sizes | None:
    return (None,) if asking.index else asking.result()


OPERATORS = (
    Operator(
        "Transpose",
        2,
        shape=_transpose_shape,
        fold=lambda node, inputs: np.transpose(inputs[0], [int(i) for i in inputs[1]]),
        steps=keeps,
        onnx=_transpose_onnx,
        lazy=(1,),
        tags=(Tag.LAYOUT,),
        asks=_transpose_asks,
    ),
    Operator("InvertPermutation", fold=_invert_permutation_fold, onnx=_invert_permutation_onnx),
    Operator(
        "Tile",
        2,
        shape=_tile_shape,
        fold=_tile_fold,
        steps=keeps,
        onnx=_tile_onnx,
        lazy=(1,),
        tags=(Tag.REPEATING,),
        asks=of_as_many_axes_as(1),
    ),
    Operator(
        "Pad", 2, shape=_pad_shape, fold=_pad_fold, steps=keeps, onnx=_pad_onnx, lazy=(1,), asks=of_as_many_axes_as(1)
    ),
    Operator(
        "PadV2", 3, shape=_pad_shape, fold=_pad_fold, steps=keeps, onnx=_pad_onnx, lazy=(1,), asks=of_as_many_axes_as(1)
    ),
    Operator(
        "MirrorPad",
        2,
        shape=_pad_shape,
        steps=keeps,
        onnx=_mirror_pad_onnx,
        lazy=(1,),
        attributes=(_MODE,),
        asks=of_as_many_axes_as(1),
    ),
    Operator("Roll", 3, shape=first_shape, onnx=_roll_onnx, lazy=(2,)),
    Operator("Reverse", 2, shape=first_shape, onnx=_reverse_flags_onnx, lazy=(1,), asks=as_result),
    Operator(
        "ReverseV2",
        2,
        shape=first_shape,
        fold=lambda node, inputs: np.flip(inputs[0], tuple(int(a) for a in inputs[1])),
        steps=_reverse_steps,
        onnx=_reverse_onnx,
        lazy=(1,),
        asks=as_result,
    ),
    Operator(
        "ReverseSequence",
        2,
        shape=_reverse_sequence_shape,
        steps=_reverse_steps,
        onnx=_reverse_sequence_onnx,
        attributes=(_TIME, _BATCH),
        asks=_reverse_sequence_asks,
    ),
)
