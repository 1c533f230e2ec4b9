"""Convolution and pooling over one, two or three axes, channels last by channels first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from reprise.graph import Node, Value
from reprise.operators.rules.attributes import Integers, Text
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Dims, Fact, Shapes
from reprise.operators.rules.site import OnnxRule, Site
from reprise.operators.rules.sizes import Dim, dim
from reprise.operators.rules.steps import STEPS, STILL, Kind, TimeAxes, has_time, mixed

#: Both defaults put the channels last.
LAYOUT, _VOLUME_LAYOUT = Text("data_format", "NHWC"), Text("data_format", "NDHWC")
_STRIDES, _WINDOW, _PADDING = Integers("strides"), Integers("ksize"), Text("padding")
#: Graphs from before TensorFlow 1.6 have no dilations.
_DILATIONS, _EXPLICIT = Integers("dilations", ()), Integers("explicit_paddings", ())


def _conv_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Batch passes, channels come from the kernel, and the axes of the image shrink with window and stride."""
    x, kernel = inputs[0].shape, inputs[1].shape
    if x is None or kernel is None or len(kernel) != len(x):
        return [UNKNOWN]
    channels = kernel[-2] * kernel[-1] if node.op.startswith("Depthwise") else kernel[-1]
    apart = _DILATIONS(node) or (1,) * len(x)
    axes = image_axes(node, len(x))
    windows = [
        (d.scale - 1) * int(apart[axis]) + 1 if d.known else 0 for axis, d in zip(axes, kernel[:-2], strict=True)
    ]
    return [Fact(with_channels(node, _windowed(facts, node, x, windows), channels))]


def _pool_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    x, sizes = inputs[0].shape, _WINDOW(node)
    if x is None:
        return [UNKNOWN]
    return [Fact(_windowed(facts, node, x, [int(sizes[axis]) for axis in image_axes(node, len(x))]))]


def puts_channels_first(node: Node) -> bool:
    """Whether the channels stand before the axes of the image."""
    return LAYOUT(node) in ("NCHW", "NCDHW")


def image_axes(node: Node, rank: int) -> range:
    """The axes of the image."""
    return range(2, rank) if puts_channels_first(node) else range(1, rank - 1)


def with_channels(node: Node, shape: Dims, channels: Dim) -> Dims:
    """`shape` with another number of channels."""
    return (shape[0], channels, *shape[2:]) if puts_channels_first(node) else (*shape[:-1], channels)


def _windowed(facts: Shapes, node: Node, x: Dims, windows: list[int]) -> Dims:
    """The sizes after a window has moved over the image; 0 is a window of unknown size."""
    sizes = list(x)
    for axis, window in zip(image_axes(node, len(x)), windows, strict=True):
        sizes[axis] = _moved_over(facts, node, x[axis], axis, window)
    return tuple(sizes)


def _moved_over(facts: Shapes, node: Node, size: Dim, axis: int, window: int) -> Dim:
    """How many positions a window has along an axis of a size; a window of 0 has an unknown width."""
    size = facts.sizes.resolve(size)
    stride = _STRIDES(node)[axis]
    padding = _PADDING(node)
    if padding == "SAME" and stride == 1:
        return size
    if window and stride == 1 and padding == "VALID":
        return facts.sizes.plus(size, 1 - window)
    now = facts.sizes.nominal(size)
    count = None
    if now is not None and padding == "SAME":
        count = -(-now // stride)
    elif now is not None and window and padding == "VALID":
        count = (now - window) // stride + 1
    if count is not None and size.known:
        return Dim(count)
    return facts.sizes.symbol(f"?{node.name}.{axis}", count)


def _transposed_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """The sizes of what a transposed convolution makes are its first input."""
    sizes, kernel, x = inputs[0].content, inputs[1].shape, inputs[2].shape
    if sizes is None:
        if x is None or kernel is None:
            return [UNKNOWN]
        unknown = tuple(facts.fresh(node, axis) if axis else d for axis, d in enumerate(x))
        return [Fact(with_channels(node, unknown, kernel[-2]))]
    wanted = [dim(n) for n in sizes.ravel()]
    if x is not None:
        wanted[0] = facts.sizes.equate(x[0], wanted[0])
    return [Fact(tuple(wanted))]


def _image_steps(axes: TimeAxes, node: Node, above: list[Kind]) -> Kind:
    """A window one step wide sees each step alone; time may also be among the images, each seen alone too."""
    shape = axes.facts.shape(node.inputs[0])
    if not shape or STILL in above[:1] or STEPS in above[1:] or not has_time(axes, Value(node.name)):
        return mixed(node)
    first = 2 if puts_channels_first(node) else 1
    windows, moves = _windows(axes, node, len(shape) - 2), _STRIDES(node)
    if len(windows) != len(shape) - 2:
        return mixed(node)
    single = [first + i for i, size in enumerate(windows) if size == 1 and int(moves[first + i]) == 1]
    return STEPS if set(axes.timed(node.inputs[0])) <= {0, *single} else mixed(node)


def _windows(axes: TimeAxes, node: Node, rank: int) -> list[int | None]:
    """The sizes of the window that moves over an image of `rank` axes."""
    if node.op.endswith(("Pool", "Pool3D")):
        first = 2 if puts_channels_first(node) else 1
        return [int(n) for n in _WINDOW(node)[first : first + rank]]
    kernel = axes.facts.shape(node.inputs[1]) or ()
    return [d.scale if d.known else None for d in kernel[:rank]]


_Size = TypeVar("_Size", int, Dim)


_CHANNELS_FIRST = {"NHWC": False, "NDHWC": False, "NCHW": True, "NCDHW": True}


def is_channels_first(site: Site) -> bool:
    """Whether the layout is ONNX's own.

    Raises:
        LiftError: It is neither that nor the one with channels last.
    """
    layout = LAYOUT(site.node)
    if layout not in _CHANNELS_FIRST:
        raise site.refusal(f"lays images out as {layout}, which has no translation")
    return _CHANNELS_FIRST[layout]


def channels_first(site: Site, name: str, rank: int) -> str:
    """An image in ONNX's layout."""
    return name if is_channels_first(site) else site.one("Transpose", name, perm=[0, rank - 1, *range(1, rank - 1)])


def channels_last(site: Site, name: str, rank: int) -> str:
    """An image of ONNX's in the layout of the operator."""
    return name if is_channels_first(site) else site.one("Transpose", name, perm=[0, *range(2, rank), 1])


def _conv_onnx(site: Site) -> str:
    """Conv2D and Conv3D: a kernel [H, W, I, O] in TensorFlow is [O, I, H, W] in ONNX."""
    rank = site.rank(0)
    kernel = site.one("Transpose", site.input(1), perm=[rank - 1, rank - 2, *range(rank - 2)])
    return _convolved(site, kernel, _groups(site))


def _groups(site: Site) -> int:
    """How many parts the channels are divided into that do not see each other."""
    x, kernel = _shape(site, 0), _shape(site, 1)
    have, wanted = x[1 if is_channels_first(site) else -1], kernel[-2]
    return have.scale // wanted.scale if have.known and wanted.known else 1


def _depthwise_onnx(site: Site) -> str:
    """A kernel [H, W, I, M]: each channel gives M of its own."""
    *window, channels, times = (_must(site, n, "a kernel of unknown size") for n in _shape(site, 1))
    kernel = site.one("Transpose", site.input(1), perm=[2, 3, 0, 1])
    return _convolved(site, site.one("Reshape", kernel, site.block.ints(channels * times, 1, *window)), channels)


def _convolved(site: Site, kernel: str, groups: int) -> str:
    rank = site.rank(0)
    strides, dilations = _over_image(site, _STRIDES), _over_image(site, _DILATIONS)
    padding = _padding(site, _shape(site, 1)[: rank - 2], strides, dilations)
    x = channels_first(site, site.input(0), rank)
    made = site.one("Conv", x, kernel, strides=strides, dilations=dilations, group=groups, **padding)
    return channels_last(site, made, rank)


def _transposed_onnx(site: Site) -> str:
    """Conv2DBackpropInput and its like, `conv2d_transpose`: the sizes of the result say what to cut off."""
    rank = site.rank(2)
    if _PADDING(site.node) not in ("SAME", "VALID"):
        raise site.refusal("cuts off by numbers of its own, which has no translation")
    strides, dilations = _over_image(site, _STRIDES), _over_image(site, _DILATIONS)
    kernel = [_must(site, n, "a kernel of unknown size") for n in _shape(site, 1)[: rank - 2]]
    windows = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    made = site.result_shape()
    sizes = zip(_image(site, made or ()), _image(site, _shape(site, 2)), strides, windows, strict=False)
    extra = [_surplus(site, *of_axis) for of_axis in sizes]
    if len(extra) != rank - 2:
        raise site.refusal("makes an image whose number of axes is not known")
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
    raise site.refusal("makes an image whose size is computed at run time")


def _shape(site: Site, index: int) -> Dims:
    shape = site.shape(index)
    if shape is None:
        raise site.refusal(f"reads {site.node.inputs[index]}, whose shape is not known")
    return shape


def _must(site: Site, size: Dim, what: str) -> int:
    if not size.known:
        raise site.refusal(f"has {what}")
    return size.scale


def _image(site: Site, numbers: Sequence[_Size]) -> list[_Size]:
    """Of what stands for each axis, that of the axes of the image."""
    return list(numbers[2:] if is_channels_first(site) else numbers[1:-1])


def _over_image(site: Site, attribute: Integers) -> list[int]:
    """An attribute that has one number for each axis; those of batch and channels are 1.

    Raises:
        LiftError: They are not.
    """
    numbers = attribute(site.node) or (1,) * len(_STRIDES(site.node))
    inner = _image(site, numbers)
    if sum(numbers) - sum(inner) != 2:
        raise site.refusal(f"has {attribute.name} along the batch or the channels")
    return inner


def _padding(site: Site, window: Sequence[Dim], strides: list[int], dilations: list[int]) -> dict[str, Any]:
    kind = _PADDING(site.node)
    if kind == "VALID":
        return {"auto_pad": "VALID"}
    if kind == "EXPLICIT":
        given = _EXPLICIT(site.node)
        return {"pads": _image(site, given[0::2]) + _image(site, given[1::2])}
    if kind != "SAME":
        raise site.refusal(f"pads by {kind}")
    if set(dilations) == {1}:
        return {"auto_pad": "SAME_UPPER"}
    widths = [_must(site, n, "dilations and a kernel of unknown size") for n in window]
    sizes = zip(_image(site, _shape(site, 0)), widths, strides, dilations, strict=True)
    total = [_missing(site, *of_axis) for of_axis in sizes]
    return {"pads": [n // 2 for n in total] + [n - n // 2 for n in total]}


def _missing(site: Site, size: Dim, width: int, stride: int, apart: int) -> int:
    """What `SAME` adds to an axis, as a number: ONNX Runtime does not combine `SAME` with dilations."""
    reach = (width - 1) * apart
    if stride == 1:
        return reach
    whole = _must(site, size, "dilations, and strides over an image of unknown size")
    return max((-(-whole // stride) - 1) * stride + reach + 1 - whole, 0)


def _pool(op: str) -> OnnxRule:
    def emit(site: Site) -> str:
        rank = site.rank(0)
        attributes = {"kernel_shape": _over_image(site, _WINDOW), "strides": _over_image(site, _STRIDES)}
        x = channels_first(site, site.input(0), rank)
        return channels_last(site, site.one(op, x, **attributes, **_padding(site, (), [], [1])), rank)

    return emit


_WINDOWED = (_STRIDES, _PADDING, _DILATIONS)
_OF_IMAGES, _OF_VOLUMES = (LAYOUT, _EXPLICIT, *_WINDOWED), (_VOLUME_LAYOUT, *_WINDOWED)
_POOLS = (
    ("MaxPool", "MaxPool", LAYOUT),
    ("MaxPool3D", "MaxPool", _VOLUME_LAYOUT),
    ("AvgPool", "AveragePool", LAYOUT),
    ("AvgPool3D", "AveragePool", _VOLUME_LAYOUT),
)

OPERATORS = (
    *(
        Operator(
            op, 2, _conv_shape, steps=_image_steps, onnx=_conv_onnx, tags=(Tag.CONVOLUTION,), attributes=attributes
        )
        for op, attributes in (("Conv2D", _OF_IMAGES), ("Conv3D", _OF_VOLUMES))
    ),
    Operator(
        "DepthwiseConv2dNative",
        2,
        shape=_conv_shape,
        steps=_image_steps,
        onnx=_depthwise_onnx,
        attributes=_OF_IMAGES,
    ),
    *(
        Operator(op, 3, _transposed_shape, onnx=_transposed_onnx, lazy=(0,), attributes=attributes)
        for op, attributes in (("Conv2DBackpropInput", _OF_IMAGES), ("Conv3DBackpropInputV2", _OF_VOLUMES))
    ),
    *(
        Operator(
            op,
            shape=_pool_shape,
            steps=_image_steps,
            onnx=_pool(pool),
            attributes=(layout, _WINDOW, _STRIDES, _PADDING),
        )
        for op, pool, layout in _POOLS
    ),
    Operator("MaxPoolWithArgmax", outputs="output argmax"),
)
