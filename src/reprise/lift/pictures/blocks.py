"""TensorFlow operators → ONNX: blocks of a picture as further rows of the batch, and back.

TensorFlow 1 writes a convolution with dilations as one without them between these two.
"""

from __future__ import annotations

import numpy as np

from reprise.lift.emitter import Operator, Site

_END = np.iinfo(np.int64).max


def _blocks(site: Site) -> list[int]:
    """The size of a block along each of the axes after the batch."""
    if site.node.op.endswith("ND"):
        return [int(n) for n in site.must_know(1, "block sizes").ravel()]
    return [site.node.integer("block_size")] * 2


def _borders(site: Site, count: int) -> tuple[str, str]:
    """What stands before and after each of these axes: the two columns of the last input, int64."""
    both = site.int64(len(site.node.inputs) - 1)
    before, after = (
        site.one("Squeeze", site.one("Slice", both, *(site.block.ints(n) for n in (k, k + 1, 1))), site.block.ints(1))
        for k in (0, 1)
    )
    return before, after


def _space_to_batch(site: Site) -> str:
    blocks, rank = _blocks(site), site.rank(0)
    count = len(blocks)
    before, after = _borders(site, count)
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


def _batch_to_space(site: Site) -> str:
    blocks, rank = _blocks(site), site.rank(0)
    count, x = len(blocks), site.input(0)
    outer, inner = _sizes(site, x, 1, count + 1), _sizes(site, x, count + 1, rank)
    apart = site.one("Concat", site.block.ints(*blocks), site.block.ints(-1), outer, inner, axis=0)
    order: list[int] = [count]
    for i in range(count):
        order += [count + 1 + i, i]
    whole = site.one("Transpose", site.one("Reshape", x, apart), perm=[*order, *range(2 * count + 1, rank + count)])
    sizes = site.one("Mul", outer, site.block.ints(*blocks))
    whole = site.one("Reshape", whole, site.one("Concat", site.block.ints(-1), sizes, inner, axis=0))
    before, after = _borders(site, count)
    return site.one("Slice", whole, before, site.one("Sub", sizes, after), site.block.ints(*range(1, count + 1)))


def _sizes(site: Site, name: str, start: int, stop: int) -> str:
    """The sizes of some axes, int64."""
    return site.one("Shape", name, start=start, end=stop)


BLOCKS: dict[str, Operator] = {
    **dict.fromkeys(("SpaceToBatchND", "SpaceToBatch"), Operator(_space_to_batch, lazy=(1, 2))),
    **dict.fromkeys(("BatchToSpaceND", "BatchToSpace"), Operator(_batch_to_space, lazy=(1, 2))),
}
