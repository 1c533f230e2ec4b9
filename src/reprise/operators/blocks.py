"""Blocks of an image as further rows of the batch or as channels, and back.

TensorFlow 1 writes a convolution with dilations as one without them between the first two.
"""

from __future__ import annotations

import numpy as np

from reprise.graph import Node
from reprise.operators.convolution import channels_first, channels_last, image_axes, puts_channels_first, with_channels
from reprise.operators.rules.attributes import Integer
from reprise.operators.rules.record import Operator
from reprise.operators.rules.shapes import UNKNOWN, Fact, Shapes
from reprise.operators.rules.site import OnnxRule, Site
from reprise.operators.rules.sizes import Dim, product

_BLOCK_SIZE = Integer("block_size")


def _space_to_batch_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    blocks, borders = _block_sizes(node, inputs), inputs[-1].content
    x = inputs[0].shape
    if x is None or blocks is None:
        return [UNKNOWN]
    sizes = list(x)
    for axis, block in enumerate(blocks, 1):
        size = facts.sizes.resolve(x[axis])
        whole = None if borders is None or borders.dtype == object else size.scale + int(borders[axis - 1].sum())
        sizes[axis] = Dim(whole // block) if whole is not None and size.known else facts.fresh(node, axis)
    return [Fact((sizes[0] * product(blocks), *sizes[1:]))]


def _batch_to_space_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    blocks, borders = _block_sizes(node, inputs), inputs[-1].content
    x = inputs[0].shape
    if x is None or blocks is None:
        return [UNKNOWN]
    rows, parts = facts.sizes.resolve(x[0]), int(np.prod(blocks))
    sizes = list(x)
    sizes[0] = _divided(facts, node, rows, parts)
    for axis, block in enumerate(blocks, 1):
        size = facts.sizes.resolve(x[axis])
        cut = None if borders is None or borders.dtype == object else int(borders[axis - 1].sum())
        sizes[axis] = Dim(size.scale * block - cut) if cut is not None and size.known else facts.fresh(node, axis)
    return [Fact(tuple(sizes))]


def _block_sizes(node: Node, inputs: list[Fact]) -> list[int] | None:
    if not node.op.endswith("ND"):
        return [_BLOCK_SIZE(node)] * 2
    known = inputs[1].content
    return None if known is None or known.dtype == object else [int(n) for n in known.ravel()]


def _depth_and_space_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    x, block = inputs[0].shape, _BLOCK_SIZE(node)
    if x is None:
        return [UNKNOWN]
    sizes = [facts.sizes.resolve(d) for d in x]
    channels, axes = 1 if puts_channels_first(node) else len(x) - 1, image_axes(node, len(x))
    if node.op == "SpaceToDepth":
        sizes = [_divided(facts, node, d, block) if axis in axes else d for axis, d in enumerate(sizes)]
        return [Fact(with_channels(node, tuple(sizes), sizes[channels] * block**2))]
    sizes = [d * block if axis in axes else d for axis, d in enumerate(sizes)]
    return [Fact(with_channels(node, tuple(sizes), _divided(facts, node, sizes[channels], block**2)))]


def _divided(facts: Shapes, node: Node, size: Dim, number: int) -> Dim:
    """The size divided by a number."""
    return facts.fresh(node, "part") if size.scale % number else Dim(size.scale // number, size.symbols)


def _known_block_sizes(site: Site) -> list[int]:
    """The size of a block along each of the axes after the batch."""
    if site.node.op.endswith("ND"):
        return [int(n) for n in site.must_know(1, "block sizes").ravel()]
    return [_BLOCK_SIZE(site.node)] * 2


def _borders(site: Site) -> tuple[str, str]:
    """How much is padded or cropped before and after each axis: the two columns of the last input, int64."""
    pairs = site.int64(len(site.node.inputs) - 1)
    before, after = (site.one("Gather", pairs, site.constant(k, "int64"), axis=1) for k in (0, 1))
    return before, after


def _space_to_batch_onnx(site: Site) -> str:
    """[N, H, W, C] and blocks of h·w elements → [h·w·N, H/h, W/w, C], padded before."""
    blocks, rank = _known_block_sizes(site), site.rank(0)
    count = len(blocks)
    before, after = _borders(site)
    none, rest = site.block.ints(0), site.block.ints(*[0] * (rank - 1 - count))
    pads = site.one("Concat", none, before, rest, none, after, rest, axis=0)
    x = site.one("Pad", site.input(0), pads)
    outer = site.one("Div", _sizes(site, x, 1, count + 1), site.block.ints(*blocks))
    inner = _sizes(site, x, count + 1, rank)
    apart: list[str] = [_sizes(site, x, 0, 1)]
    for i, block in enumerate(blocks):
        apart += [site.one("Slice", outer, site.block.ints(i), site.block.ints(i + 1)), site.block.ints(block)]
    x = site.one("Reshape", x, site.one("Concat", *apart, inner, axis=0))
    order = [*range(2, 2 * count + 1, 2), 0, *range(1, 2 * count, 2), *range(2 * count + 1, rank + count)]
    x = site.one("Transpose", x, perm=order)
    return site.one("Reshape", x, site.one("Concat", site.block.ints(-1), outer, inner, axis=0))


def _batch_to_space_onnx(site: Site) -> str:
    """[h·w·N, H, W, C] → [N, h·H, w·W, C], cropped after."""
    blocks, rank = _known_block_sizes(site), site.rank(0)
    count, x = len(blocks), site.input(0)
    outer, inner = _sizes(site, x, 1, count + 1), _sizes(site, x, count + 1, rank)
    apart = site.one("Concat", site.block.ints(*blocks), site.block.ints(-1), outer, inner, axis=0)
    order: list[int] = [count]
    for i in range(count):
        order += [count + 1 + i, i]
    whole = site.one("Transpose", site.one("Reshape", x, apart), perm=[*order, *range(2 * count + 1, rank + count)])
    sizes = site.one("Mul", outer, site.block.ints(*blocks))
    whole = site.one("Reshape", whole, site.one("Concat", site.block.ints(-1), sizes, inner, axis=0))
    before, after = _borders(site)
    return site.one("Slice", whole, before, site.one("Sub", sizes, after), site.block.ints(*range(1, count + 1)))


def _sizes(site: Site, name: str, start: int, stop: int) -> str:
    """The sizes of some axes, int64."""
    return site.one("Shape", name, start=start, end=stop)


def _rearranged(op: str) -> OnnxRule:
    """DepthToSpace and SpaceToDepth, which mean the same in ONNX."""

    def emit(site: Site) -> str:
        x = channels_first(site, site.input(0), 4)
        return channels_last(site, site.one(op, x, blocksize=_BLOCK_SIZE(site.node)), 4)

    return emit


OPERATORS = (
    Operator("SpaceToBatchND", 3, shape=_space_to_batch_shape, onnx=_space_to_batch_onnx, lazy=(1, 2)),
    Operator(
        "SpaceToBatch",
        2,
        shape=_space_to_batch_shape,
        onnx=_space_to_batch_onnx,
        lazy=(1, 2),
        attributes=(_BLOCK_SIZE,),
    ),
    Operator("BatchToSpaceND", 3, shape=_batch_to_space_shape, onnx=_batch_to_space_onnx, lazy=(1, 2)),
    Operator(
        "BatchToSpace",
        2,
        shape=_batch_to_space_shape,
        onnx=_batch_to_space_onnx,
        lazy=(1, 2),
        attributes=(_BLOCK_SIZE,),
    ),
    Operator("DepthToSpace", shape=_depth_and_space_shape, onnx=_rearranged("DepthToSpace"), attributes=(_BLOCK_SIZE,)),
    Operator("SpaceToDepth", shape=_depth_and_space_shape, onnx=_rearranged("SpaceToDepth"), attributes=(_BLOCK_SIZE,)),
)
