"""Convolutions and pooling, and the LSTM whose products are convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reprise.graph import Value
from reprise.layers.kinds import Convolution, ConvolutionalCell, GlobalPooling, Padding, Pooling
from reprise.layers.writing.call import LayerSite
from reprise.layers.writing.functions import apply
from reprise.layers.writing.ops import Inside, Ops, Outside, TypedValue
from reprise.tensors import Shape


@dataclass(frozen=True, slots=True)
class ConvolutionStep:
    """A convolutional LSTM with its weights in the body of a loop."""

    cell: ConvolutionalCell
    ops: Inside
    kernel: Value
    recurrent: Value
    bias: Value | None

    def next(self, x: Value, states: Sequence[Value]) -> tuple[Value, ...]:
        """The next h and c."""
        (h, c), ops, (gate, candidate, output) = states, self.ops, self.cell.functions
        x = _window(ops, x, self.kernel, self.cell.strides, self.cell.padding, self.cell.dilation)
        if self.bias is not None:
            x = ops.op("BiasAdd", x, self.bias)
        ones = (1,) * len(self.cell.strides)
        whole = ops.op("AddV2", x, _window(ops, h, self.recurrent, ones, "same", ones))
        split = ops.op("Split", ops.number(len(ones) + 1, "int32"), whole, num_split=len(self.cell.order))
        gates = {letter: Value(split.node, place) for place, letter in enumerate(self.cell.order)}
        kept = ops.op("Mul", apply(ops, gate, gates["f"]), c)
        new = ops.op("Mul", apply(ops, gate, gates["i"]), apply(ops, candidate, gates["c"]))
        c = ops.op("AddV2", kept, new)
        return ops.op("Mul", apply(ops, gate, gates["o"]), apply(ops, output, c)), c


def convolution_step(cell: ConvolutionalCell, outside: Outside, inside: Inside, prefix: str) -> ConvolutionStep:
    """A cell whose weights become variables of the graph."""
    kernel, recurrent = (
        inside.constant(outside.weight(f"{prefix}{name}", tensor))
        for name, tensor in (("kernel", cell.kernel), ("recurrent_kernel", cell.recurrent))
    )
    bias = None if cell.bias is None else inside.constant(outside.weight(f"{prefix}bias", cell.bias))
    return ConvolutionStep(cell, inside, kernel, recurrent, bias)


def state_sizes(cell: ConvolutionalCell, sizes: Shape) -> Shape:
    """The sizes of a state for an input of `sizes`, the batch aside."""
    window, units = cell.kernel.shape[:-2], cell.kernel.shape[-1] // len(cell.order)
    return (*_sizes(sizes[:-1], window, cell.strides, cell.padding, cell.dilation), units)


def convolution(site: LayerSite, layer: Convolution) -> tuple[TypedValue, ...]:
    """One or two axes are convolved; with channels first they are brought last before, and back after."""
    ops, rank = site.ops, site.x.rank
    x, sizes = _channels_last(site, channels_first=layer.channels_first)
    window = layer.kernel.shape[: rank - 2]
    kernel = ops.weight("kernel", layer.kernel)
    ones = (1,) * (rank - 2)
    dilation = layer.dilation if len(layer.dilation) == rank - 2 else ones
    if layer.padding == "causal":
        x = ops.op("Pad", x, ops.whole([[0, 0], [(window[0] - 1) * dilation[0], 0], [0, 0]]), Tpaddings="int32")
    x = _window(ops, x, kernel, layer.strides, layer.padding, dilation, depthwise=layer.depthwise)
    filters = layer.kernel.shape[-1] * (layer.kernel.shape[-2] if layer.depthwise else 1)
    if layer.bias is not None:
        x = ops.op("BiasAdd", x, ops.weight("bias", layer.bias))
    made = (*_sizes(sizes, window, layer.strides, layer.padding, dilation), filters)
    if layer.channels_first:
        x, made = ops.transposed(x, (0, rank - 1, *range(1, rank - 1))), (made[-1], *made[:-1])
    return site.output(apply(ops, layer.function, x), (site.x.shape[0], *made))


def _channels_last(site: LayerSite, *, channels_first: bool) -> tuple[Value, Shape]:
    """The input with its channels last, and the sizes between batch and channels."""
    rank, shape = site.x.rank, site.x.shape
    if not channels_first:
        return site.numbers(), shape[1:-1]
    return site.ops.transposed(site.numbers(), (0, *range(2, rank), 1)), shape[2:]


def _window(
    ops: Ops,
    x: Value,
    kernel: Value,
    strides: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
    *,
    depthwise: bool = False,
) -> Value:
    """A convolution over one or two axes; one axis is the second of two."""
    line = len(strides) == 1
    if line:
        x = ops.op("ExpandDims", x, ops.number(1, "int32"), Tdim="int32")
        kernel = ops.op("ExpandDims", kernel, ops.number(0, "int32"), Tdim="int32")
    own = (1, *((1,) if line else ()), *strides, 1)
    name = b"SAME" if padding == "same" else b"VALID"
    dilations = (1, *((1,) if line else ()), *dilation, 1)
    op = "DepthwiseConv2dNative" if depthwise else "Conv2D"
    made = ops.op(op, x, kernel, strides=own, padding=name, dilations=dilations, data_format=b"NHWC")
    return ops.op("Squeeze", made, squeeze_dims=(1,)) if line else made


def _sizes(
    sizes: Shape, window: Sequence[int], strides: Sequence[int], padding: Padding, dilation: Sequence[int]
) -> Shape:
    """What a window that moves over axes of these sizes leaves of each."""
    found: list[int | None] = []
    for size, length, stride, apart in zip(sizes, window, strides, dilation, strict=True):
        lost = (length - 1) * apart if padding == "valid" else 0
        found.append(None if size is None else max(0, -(-(size - lost) // stride)))
    return tuple(found)


def pooling(site: LayerSite, layer: Pooling) -> tuple[TypedValue, ...]:
    """One axis is the second of two."""
    ops, rank = site.ops, site.x.rank
    x, sizes = _channels_last(site, channels_first=layer.channels_first)
    line = len(layer.size) == 1
    if line:
        x = ops.op("ExpandDims", x, ops.whole(1), Tdim="int32")
    extra = (1,) if line else ()
    attributes = {
        "ksize": (1, *extra, *layer.size, 1),
        "strides": (1, *extra, *layer.strides, 1),
        "padding": b"SAME" if layer.padding == "same" else b"VALID",
        "data_format": b"NHWC",
    }
    x = ops.op("AvgPool" if layer.mean else "MaxPool", x, **attributes)
    if line:
        x = ops.op("Squeeze", x, squeeze_dims=(1,))
    made = _sizes(sizes, layer.size, layer.strides, layer.padding, (1,) * len(layer.size))
    channels = site.x.shape[1 if layer.channels_first else -1]
    if layer.channels_first:
        return site.output(ops.transposed(x, (0, rank - 1, *range(1, rank - 1))), (site.x.shape[0], channels, *made))
    return site.output(x, (site.x.shape[0], *made, channels))


def global_pooling(site: LayerSite, layer: GlobalPooling) -> tuple[TypedValue, ...]:
    """A mean over steps of which a mask hides some is the sum of the others by their number."""
    ops, rank = site.ops, site.x.rank
    axes = tuple(range(2, rank)) if layer.channels_first else tuple(range(1, rank - 1))
    x = site.numbers()
    keep = {"keep_dims": layer.keep, "Tidx": "int32"}
    if layer.mean and site.mask is not None:
        flags = ops.op("Cast", site.mask.value, SrcT="bool", DstT=ops.dtype)
        flags = ops.op("ExpandDims", flags, ops.whole(1 if layer.channels_first else -1), Tdim="int32")
        total = ops.op("Sum", ops.op("Mul", x, flags), ops.whole(axes), **keep)
        x = ops.op("RealDiv", total, ops.op("Sum", flags, ops.whole(axes), **keep))
    else:
        x = ops.op("Mean" if layer.mean else "Max", x, ops.whole(axes), **keep)
    shape = tuple(1 if i in axes else n for i, n in enumerate(site.x.shape) if layer.keep or i not in axes)
    return site.output(x, shape)
