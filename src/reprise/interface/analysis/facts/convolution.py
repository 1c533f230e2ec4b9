"""Rules of convolution, pooling, normalisation, and of blocks of a picture that become rows or channels."""

from __future__ import annotations

import numpy as np

from reprise.graph import Node
from reprise.interface.analysis.facts.inference import UNKNOWN, Dims, Fact, Inference, Rule
from reprise.operators.rules.sizes import Dim, dim, product


def _conv(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Batch passes, channels come from the kernel, and the axes of the picture shrink with window and stride."""
    x, kernel = inputs[0].shape, inputs[1].shape
    if x is None or kernel is None or len(kernel) != len(x):
        return [UNKNOWN]
    channels = kernel[-2] * kernel[-1] if node.op.startswith("Depthwise") else kernel[-1]
    apart = node.attributes.get("dilations") or (1,) * len(x)
    places = _places(node, len(x))
    windows = [
        (d.scale - 1) * int(apart[axis]) + 1 if d.known else 0 for axis, d in zip(places, kernel[:-2], strict=True)
    ]
    return [Fact(_with_channels(node, _windowed(facts, node, x, windows), channels))]


def _pool(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    x, sizes = inputs[0].shape, node.attributes.get("ksize")
    if x is None or not sizes:
        return [UNKNOWN]
    return [Fact(_windowed(facts, node, x, [int(sizes[axis]) for axis in _places(node, len(x))]))]


def _is_first(node: Node) -> bool:
    return node.attributes.get("data_format") in (b"NCHW", b"NCDHW")


def _places(node: Node, rank: int) -> range:
    """The axes of the picture."""
    return range(2, rank) if _is_first(node) else range(1, rank - 1)


def _with_channels(node: Node, shape: Dims, channels: Dim) -> Dims:
    return (shape[0], channels, *shape[2:]) if _is_first(node) else (*shape[:-1], channels)


def _windowed(facts: Inference, node: Node, x: Dims, windows: list[int]) -> Dims:
    """The sizes after a window has moved over the picture; 0 is a window of unknown size."""
    sizes = list(x)
    for axis, window in zip(_places(node, len(x)), windows, strict=True):
        sizes[axis] = _moved_over(facts, node, x[axis], axis, window)
    return tuple(sizes)


def _moved_over(facts: Inference, node: Node, size: Dim, axis: int, window: int) -> Dim:
    size = facts.sizes.resolve(size)
    stride = int((node.attributes.get("strides") or (1,) * (axis + 1))[axis])
    padding = node.attributes.get("padding")
    if padding == b"SAME" and stride == 1:
        return size
    if window and stride == 1 and padding == b"VALID":
        return facts.sizes.plus(size, 1 - window)
    now = facts.sizes.nominal(size)
    count = None
    if now is not None and padding == b"SAME":
        count = -(-now // stride)
    elif now is not None and window and padding == b"VALID":
        count = (now - window) // stride + 1
    if count is not None and size.known:
        return Dim(count)
    return facts.sizes.symbol(f"?{node.name}.{axis}", count)


def _transposed(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """The sizes of what a transposed convolution makes are its first input."""
    sizes, kernel, x = inputs[0].content, inputs[1].shape, inputs[2].shape
    if sizes is None:
        if x is None or kernel is None:
            return [UNKNOWN]
        unknown = tuple(facts.fresh(node, axis) if axis else d for axis, d in enumerate(x))
        return [Fact(_with_channels(node, unknown, kernel[-2]))]
    wanted = [dim(n) for n in sizes.ravel()]
    if x is not None:
        wanted[0] = facts.sizes.equate(x[0], wanted[0])
    return [Fact(tuple(wanted))]


def _like_first(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Y like x, and numbers for each channel where an operator gives more."""
    return [Fact(inputs[0].shape), *[Fact(inputs[1].shape)] * 5] if len(inputs) > 1 else [Fact(inputs[0].shape)]


def _space_to_batch(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    blocks, borders = _blocks(node, inputs), inputs[-1].content
    x = inputs[0].shape
    if x is None or blocks is None:
        return [UNKNOWN]
    sizes = list(x)
    for axis, block in enumerate(blocks, 1):
        size = facts.sizes.resolve(x[axis])
        whole = None if borders is None or borders.dtype == object else size.scale + int(borders[axis - 1].sum())
        sizes[axis] = Dim(whole // block) if whole is not None and size.known else facts.fresh(node, axis)
    return [Fact((sizes[0] * product(blocks), *sizes[1:]))]


def _batch_to_space(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    blocks, borders = _blocks(node, inputs), inputs[-1].content
    x = inputs[0].shape
    if x is None or blocks is None:
        return [UNKNOWN]
    rows, parts = facts.sizes.resolve(x[0]), int(np.prod(blocks))
    sizes = list(x)
    sizes[0] = _part(facts, node, rows, parts)
    for axis, block in enumerate(blocks, 1):
        size = facts.sizes.resolve(x[axis])
        cut = None if borders is None or borders.dtype == object else int(borders[axis - 1].sum())
        sizes[axis] = Dim(size.scale * block - cut) if cut is not None and size.known else facts.fresh(node, axis)
    return [Fact(tuple(sizes))]


def _blocks(node: Node, inputs: list[Fact]) -> list[int] | None:
    if not node.op.endswith("ND"):
        return [int(node.attributes.get("block_size", 1))] * 2
    known = inputs[1].content
    return None if known is None or known.dtype == object else [int(n) for n in known.ravel()]


def _depth_and_space(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    x, block = inputs[0].shape, int(node.attributes.get("block_size", 2))
    if x is None:
        return [UNKNOWN]
    sizes = [facts.sizes.resolve(d) for d in x]
    channels, places = 1 if _is_first(node) else len(x) - 1, _places(node, len(x))
    if node.op == "SpaceToDepth":
        sizes = [_part(facts, node, d, block) if axis in places else d for axis, d in enumerate(sizes)]
        return [Fact(_with_channels(node, tuple(sizes), sizes[channels] * block**2))]
    sizes = [d * block if axis in places else d for axis, d in enumerate(sizes)]
    return [Fact(_with_channels(node, tuple(sizes), _part(facts, node, sizes[channels], block**2)))]


def _part(facts: Inference, node: Node, size: Dim, number: int) -> Dim:
    """The size divided by a number."""
    return facts.fresh(node, "part") if size.scale % number else Dim(size.scale // number, size.symbols)


PICTURES: dict[str, Rule] = {
    **dict.fromkeys(("Conv2D", "Conv3D", "DepthwiseConv2dNative"), _conv),
    **dict.fromkeys(("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D"), _pool),
    **dict.fromkeys(("Conv2DBackpropInput", "Conv3DBackpropInputV2"), _transposed),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _like_first),
    "LRN": _like_first,
    **dict.fromkeys(("SpaceToBatchND", "SpaceToBatch"), _space_to_batch),
    **dict.fromkeys(("BatchToSpaceND", "BatchToSpace"), _batch_to_space),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _depth_and_space),
}
