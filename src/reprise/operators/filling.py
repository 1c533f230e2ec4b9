"""Tensors that are made from sizes: one number over and over, and numbers in a row."""

from __future__ import annotations

import numpy as np

from reprise.bounds import AXES
from reprise.graph import Node
from reprise.operators.rules.block import onnx_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Fact, Shapes
from reprise.operators.rules.site import Site
from reprise.operators.rules.sizes import dim
from reprise.operators.rules.steps import keeps
from reprise.tensors import Array


def _range_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    start, limit, step = (f.content for f in inputs)
    if start is not None and step is not None and limit is not None and start.item() == 0 and step.item() == 1:
        return [Fact((dim(limit.item()),))]
    return [Fact((facts.fresh(node, 0),))]


def filled_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """The sizes are an input: the second of BroadcastTo, the first of others."""
    sizes = inputs[1 if node.op == "BroadcastTo" else 0]
    if sizes.content is not None:
        return [Fact(tuple(dim(d) for d in sizes.content.ravel()))]
    rank = sizes.shape[0] if sizes.shape else None
    if rank is None or not rank.known:
        return [UNKNOWN]
    return [Fact(tuple(facts.fresh(node, axis) for axis in range(min(rank.scale, AXES))))]


def _linspace_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    count = inputs[2].content
    return [Fact((facts.fresh(node, 0) if count is None else dim(count.item()),))]


#: The numbers that a Range may count: the ids of a vocabulary are some; a damaged file asks for more.
_LONGEST = 1_000_000


def _range_fold(node: Node, inputs: list[Array]) -> Array:
    start, limit, step = (a.item() for a in inputs)
    if step == 0 or abs((limit - start) / step) > _LONGEST:
        raise ValueError("size")
    return np.asarray(np.arange(start, limit, step), inputs[0].dtype)


def checked_sizes(shape: Array) -> tuple[int, ...]:
    """Sizes as numbers.

    Raises:
        ValueError: A tensor of them is larger than any that shapes are computed with.
    """
    sizes = tuple(int(n) for n in shape)
    if np.prod(sizes, dtype=np.float64) > 4096:
        raise ValueError("size")
    return sizes


def _fill_onnx(site: Site) -> str:
    return site.one("Expand", site.input(1), site.int64(0))


def _broadcast_to_onnx(site: Site) -> str:
    return site.one("Expand", site.input(0), site.int64(1))


def _range_onnx(site: Site) -> str:
    start, limit, step = site.inputs()
    known = site.known(2)
    if known is not None and known > 0:
        return site.one("Range", start, limit, step)
    # ONNX Runtime 1.32 makes a Slice of a Gather at a Range, and there a limit of -1 is the last index.
    from_zero = site.one("Range", site.constant(0, site.dtype()), site.one("Sub", limit, start), step)
    return site.one("Add", from_zero, start)


def _linspace_onnx(site: Site) -> str:
    """So many numbers from the first to the last, at equal distances."""
    first, last, kind = site.input(0), site.input(1), onnx_type(site.dtype())
    count = site.one("Reshape", site.int64(2), site.block.ints())
    one = site.constant(1, "int64")
    gaps = site.one("Cast", site.one("Max", site.one("Sub", count, one), one), to=kind)
    steps = site.one("Cast", site.one("Range", site.constant(0, "int64"), count, one), to=kind)
    return site.one("Add", first, site.one("Mul", steps, site.one("Div", site.one("Sub", last, first), gaps)))


OPERATORS = (
    Operator(
        "Fill",
        2,
        shape=filled_shape,
        fold=lambda node, inputs: np.full(checked_sizes(inputs[0]), inputs[1]),
        steps=keeps,
        onnx=_fill_onnx,
        lazy=(0,),
        tags=(Tag.REPEATING,),
    ),
    Operator("BroadcastTo", 2, shape=filled_shape, onnx=_broadcast_to_onnx, lazy=(1,), tags=(Tag.REPEATING,)),
    Operator("Range", 3, shape=_range_shape, fold=_range_fold, onnx=_range_onnx),
    Operator("LinSpace", 3, shape=_linspace_shape, onnx=_linspace_onnx),
)
