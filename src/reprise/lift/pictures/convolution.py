"""TensorFlow operators → ONNX: convolution and pooling over one, two or three axes, channels last by channels first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from reprise.interface.analysis.facts import Dims
from reprise.lift.emitter import Emit, Operator, Site
from reprise.operators.rules.sizes import Dim

_Size = TypeVar("_Size", int, Dim)
_CHANNELS_FIRST = {"NHWC": False, "NDHWC": False, "NCHW": True, "NCDHW": True}


def is_channels_first(site: Site) -> bool:
    """Whether the layout is ONNX's own.

    Raises:
        LiftError: It is neither that nor the one with channels last.
    """
    layout = site.node.text("data_format", "NHWC")
    if layout not in _CHANNELS_FIRST:
        raise site.refusal(f"lays pictures out as {layout}, which has no translation")
    return _CHANNELS_FIRST[layout]


def channels_first(site: Site, name: str, rank: int) -> str:
    """A picture in ONNX's layout."""
    return name if is_channels_first(site) else site.one("Transpose", name, perm=[0, rank - 1, *range(1, rank - 1)])


def channels_last(site: Site, name: str, rank: int) -> str:
    """A picture of ONNX's in the layout of the operator."""
    return name if is_channels_first(site) else site.one("Transpose", name, perm=[0, *range(2, rank), 1])


def _conv(site: Site) -> str:
    """Conv2D and Conv3D: a kernel [H, W, I, O] in TensorFlow is [O, I, H, W] in ONNX."""
    rank = site.rank(0)
    kernel = site.one("Transpose", site.input(1), perm=[rank - 1, rank - 2, *range(rank - 2)])
    return _convolved(site, kernel, _groups(site))


def _groups(site: Site) -> int:
    """How many parts the channels are divided into that do not see each other."""
    x, kernel = _shape(site, 0), _shape(site, 1)
    have, wanted = x[1 if is_channels_first(site) else -1], kernel[-2]
    return have.scale // wanted.scale if have.known and wanted.known else 1


def _depthwise(site: Site) -> str:
    """A kernel [H, W, I, M]: each channel gives M of its own."""
    *window, channels, times = (_must(site, n, "a kernel of unknown size") for n in _shape(site, 1))
    kernel = site.one("Transpose", site.input(1), perm=[2, 3, 0, 1])
    return _convolved(site, site.one("Reshape", kernel, site.block.ints(channels * times, 1, *window)), channels)


def _convolved(site: Site, kernel: str, groups: int) -> str:
    rank = site.rank(0)
    strides, dilations = _over_picture(site, "strides"), _over_picture(site, "dilations")
    padding = _padding(site, _shape(site, 1)[: rank - 2], strides, dilations)
    x = channels_first(site, site.input(0), rank)
    made = site.one("Conv", x, kernel, strides=strides, dilations=dilations, group=groups, **padding)
    return channels_last(site, made, rank)


def _transposed(site: Site) -> str:
    """Conv2DBackpropInput and its like, `conv2d_transpose`: the sizes of the result say what to cut off."""
    rank = site.rank(2)
    if site.node.text("padding") not in ("SAME", "VALID"):
        raise site.refusal("cuts off by numbers of its own, which has no translation")
    strides, dilations = _over_picture(site, "strides"), _over_picture(site, "dilations")
    kernel = [_must(site, n, "a kernel of unknown size") for n in _shape(site, 1)[: rank - 2]]
    windows = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    made = site.made()
    sizes = zip(_picture(site, made or ()), _picture(site, _shape(site, 2)), strides, windows, strict=False)
    extra = [_surplus(site, *of_axis) for of_axis in sizes]
    if len(extra) != rank - 2:
        raise site.refusal("makes a picture whose number of axes is not known")
    cut = [max(n, 0) for n in extra]
    result = site.one(
        "ConvTranspose",
        channels_first(site, site.input(2), rank),
        site.one("Transpose", site.input(1), perm=[rank - 1, rank - 2, *range(rank - 2)]),
        strides=strides,
        dilations=dilations,
        pads=[n // 2 for n in cut] + [n - n // 2 for n in cut],
        output_padding=[max(-n, 0) for n in extra],
    )
    return channels_last(site, result, rank)


def _surplus(site: Site, made: Dim, given: Dim, stride: int, window: int) -> int:
    """By how much the whole result is larger than the one that is wanted."""
    if made.known and given.known:
        return (given.scale - 1) * stride + window - made.scale
    if made == given * stride:
        return window - stride
    raise site.refusal("makes a picture whose size is computed at run time")


def _shape(site: Site, index: int) -> Dims:
    shape = site.shape(index)
    if shape is None:
        raise site.refusal(f"reads {site.node.inputs[index]}, whose shape is not known")
    return shape


def _must(site: Site, size: Dim, what: str) -> int:
    if not size.known:
        raise site.refusal(f"has {what}")
    return size.scale


def _picture(site: Site, numbers: Sequence[_Size]) -> list[_Size]:
    """Of what stands for each axis, that of the axes of the picture."""
    return list(numbers[2:] if is_channels_first(site) else numbers[1:-1])


def _over_picture(site: Site, name: str) -> list[int]:
    """An attribute that has one number for each axis; those of batch and channels are 1.

    Raises:
        LiftError: They are not.
    """
    # Graphs from before TensorFlow 1.6 have no dilations.
    absent = (1,) * len(site.node.integers("strides")) if name == "dilations" else None
    numbers = site.node.integers(name, absent)
    inner = _picture(site, numbers)
    if sum(numbers) - sum(inner) != 2:
        raise site.refusal(f"has {name} along the batch or the channels")
    return inner


def _padding(site: Site, window: Sequence[Dim], strides: list[int], dilations: list[int]) -> dict[str, Any]:
    kind = site.node.text("padding")
    if kind == "VALID":
        return {"auto_pad": "VALID"}
    if kind == "EXPLICIT":
        given = site.node.integers("explicit_paddings")
        return {"pads": _picture(site, given[0::2]) + _picture(site, given[1::2])}
    if kind != "SAME":
        raise site.refusal(f"pads by {kind}")
    if set(dilations) == {1}:
        return {"auto_pad": "SAME_UPPER"}
    widths = [_must(site, n, "dilations and a kernel of unknown size") for n in window]
    sizes = zip(_picture(site, _shape(site, 0)), widths, strides, dilations, strict=True)
    total = [_missing(site, *of_axis) for of_axis in sizes]
    return {"pads": [n // 2 for n in total] + [n - n // 2 for n in total]}


def _missing(site: Site, size: Dim, width: int, stride: int, apart: int) -> int:
    """What `SAME` adds to an axis, as a number: ONNX Runtime does not combine `SAME` with dilations."""
    reach = (width - 1) * apart
    if stride == 1:
        return reach
    whole = _must(site, size, "dilations, and strides over a picture of unknown size")
    return max((-(-whole // stride) - 1) * stride + reach + 1 - whole, 0)


def _pool(op: str) -> Emit:
    def emit(site: Site) -> str:
        rank = site.rank(0)
        attributes = {"kernel_shape": _over_picture(site, "ksize"), "strides": _over_picture(site, "strides")}
        x = channels_first(site, site.input(0), rank)
        return channels_last(site, site.one(op, x, **attributes, **_padding(site, (), [], [1])), rank)

    return emit


def _rearranged(op: str) -> Emit:
    """DepthToSpace and SpaceToDepth, which mean the same in ONNX."""

    def emit(site: Site) -> str:
        x = channels_first(site, site.input(0), 4)
        return channels_last(site, site.one(op, x, blocksize=site.node.integer("block_size")), 4)

    return emit


CONVOLUTION: dict[str, Operator] = {
    **dict.fromkeys(("Conv2D", "Conv3D"), Operator(_conv)),
    "DepthwiseConv2dNative": Operator(_depthwise),
    **dict.fromkeys(("Conv2DBackpropInput", "Conv3DBackpropInputV2"), Operator(_transposed, lazy=(0,))),
    **dict.fromkeys(("MaxPool", "MaxPool3D"), Operator(_pool("MaxPool"))),
    **dict.fromkeys(("AvgPool", "AvgPool3D"), Operator(_pool("AveragePool"))),
    "DepthToSpace": Operator(_rearranged("DepthToSpace")),
    "SpaceToDepth": Operator(_rearranged("SpaceToDepth")),
}
