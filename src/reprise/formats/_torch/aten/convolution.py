"""ATen's convolutions and poolings as ONNX.

Sources: aten/src/ATen/native/native_functions.yaml (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from reprise.formats._torch.aten.layers import FLOAT
from reprise.formats._torch.aten.values import (
    AtenTensor,
    Builder,
    RefusedError,
    RuntimeSize,
    Size,
    known_number,
    same_size,
)


def _plain(
    axes: int,
    b: Builder,
    input: AtenTensor,
    weight: AtenTensor,
    bias: AtenTensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> AtenTensor:
    """`conv1d` and `conv2d`, along so many axes."""
    return _convolution(b, axes, input, weight, bias, stride, padding, dilation, groups)


def convolution(
    b: Builder,
    input: AtenTensor,
    weight: AtenTensor,
    bias: AtenTensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *options: Any,
) -> AtenTensor:
    if transposed:
        axes = weight.rank - 2
        return _transposed(b, axes, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _convolution(b, weight.rank - 2, input, weight, bias, stride, padding, dilation, groups)


def _convolution(
    b: Builder,
    axes: int,
    input: AtenTensor,
    weight: AtenTensor,
    bias: AtenTensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> AtenTensor:
    if input.rank != axes + 2:
        raise RefusedError(f"a convolution along {axes} axes of a tensor of {input.rank}")
    same_size(input.sizes[1], int(weight.sizes[1]) * groups, "channels of a convolution")  # type: ignore[arg-type]
    steps, holes = (_each(n, axes) for n in (stride, dilation))
    kernel = [int(n) for n in weight.sizes[2:]]  # type: ignore[arg-type]
    pads = _padding(padding, kernel, holes)
    whole = [sum(pads[k::axes]) for k in range(axes)]
    after = [_convolved(input.sizes[2 + k], kernel[k], steps[k], whole[k], holes[k]) for k in range(axes)]
    inputs = [input, weight, *([] if bias is None else [bias])]
    made = b.node(
        "Conv",
        inputs,
        FLOAT,
        (input.sizes[0], weight.sizes[0], *(1 if n is None else n for n in after)),
        strides=steps,
        pads=pads,
        dilations=holes,
        group=groups,
        kernel_shape=kernel,
    )
    return _measured(made, after)


def _padding(padding: Any, kernel: Sequence[int], holes: Sequence[int]) -> list[int]:
    """How many zeros stand before each axis, then behind each."""
    if padding == "same":
        wider = [hole * (size - 1) for size, hole in zip(kernel, holes, strict=True)]
        return [*(n // 2 for n in wider), *(n - n // 2 for n in wider)]
    return 2 * _each(0 if padding == "valid" else padding, len(kernel))


def conv_transpose(
    axes: int,
    b: Builder,
    input: AtenTensor,
    weight: AtenTensor,
    bias: AtenTensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> AtenTensor:
    return _transposed(b, axes, input, weight, bias, stride, padding, output_padding, groups, dilation)


def _transposed(
    b: Builder,
    axes: int,
    input: AtenTensor,
    weight: AtenTensor,
    bias: AtenTensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> AtenTensor:
    if input.rank != axes + 2:
        raise RefusedError(f"a transposed convolution along {axes} axes of a tensor of {input.rank}")
    same_size(input.sizes[1], weight.sizes[0], "channels of a transposed convolution")
    steps, pads, more, holes = (_each(n, axes) for n in (stride, padding, output_padding, dilation))
    kernel = [int(n) for n in weight.sizes[2:]]  # type: ignore[arg-type]
    sizes = [known_number(n) for n in input.sizes[2:]]
    added = [more[k] - 2 * pads[k] + holes[k] * (kernel[k] - 1) + 1 for k in range(axes)]
    after = [(n - 1) * steps[k] + added[k] if isinstance(n, int) else None for k, n in enumerate(sizes)]
    made = b.node(
        "ConvTranspose",
        [input, weight, *([] if bias is None else [bias])],
        FLOAT,
        (input.sizes[0], int(weight.sizes[1]) * groups, *(1 if n is None else n for n in after)),  # type: ignore[arg-type]
        strides=steps,
        pads=[*pads, *pads],
        output_padding=more,
        dilations=holes,
        group=groups,
        kernel_shape=kernel,
    )
    return _measured(made, after)


def adaptive_average(axes: int, b: Builder, self: AtenTensor, output_size: Any) -> AtenTensor:
    """The mean along axes, each of which becomes one number."""
    if _each(output_size, axes) != [1] * axes:
        raise RefusedError(f"an adaptive pooling to {output_size}")
    over = [*range(self.rank - axes, self.rank)]
    sizes = (*self.sizes[: self.rank - axes], *([1] * axes))
    return b.node("ReduceMean", [self], FLOAT, sizes, axes=over, keepdims=1)


def _each(value: Any, count: int) -> list[int]:
    return [int(n) for n in value] if isinstance(value, list) and len(value) == count else [int(value)] * count


def _convolved(size: Size, kernel: int, stride: int, pad: int, hole: int) -> int | None:
    """The size that a convolution leaves of one with `pad` more, None where it is known only when the model runs."""
    size = known_number(size)
    if isinstance(size, RuntimeSize):
        return None
    left = (size + pad - hole * (kernel - 1) - 1) // stride + 1
    if left < 1:
        raise RefusedError(f"a convolution of {size} numbers with a kernel of {kernel}")
    return left


def _pooled(
    op: str,
    axes: int,
    b: Builder,
    self: AtenTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *options: Any,
) -> AtenTensor:
    """A pooling without holes that leaves out what does not fill its kernel."""
    if self.rank != axes + 2 or any(o not in (False, True, None, 1, [1], [1] * axes) for o in options):
        raise RefusedError(f"a pooling along {axes} axes of a tensor of {self.rank} axes, with options")
    if op == "AveragePool" and options[2:] not in ((), (None,)):
        raise RefusedError(f"a pooling that divides by {options[2]}")
    if (op == "MaxPool" and options[1:2] not in ((), (False,))) or (op == "AveragePool" and options[:1] == (True,)):
        raise RefusedError("a pooling that rounds its size up")
    kernel = _each(kernel_size, axes)
    steps = kernel if stride in (None, []) else _each(stride, axes)
    pads = _each(padding, axes)
    after = [_convolved(self.sizes[2 + k], kernel[k], steps[k], 2 * pads[k], 1) for k in range(axes)]
    counted = {"count_include_pad": int(options[1] if len(options) > 1 else True)} if op == "AveragePool" else {}
    sizes = (*self.sizes[:2], *(1 if n is None else n for n in after))
    result = b.node(op, [self], FLOAT, sizes, kernel_shape=kernel, strides=steps, pads=[*pads, *pads], **counted)
    return _measured(result, after)


def _measured(result: AtenTensor, after: Sequence[int | None]) -> AtenTensor:
    """A result with its sizes behind batch and channels: those that are not known are asked for when the model runs."""
    sizes = (RuntimeSize((result.name, 2 + k)) if n is None else n for k, n in enumerate(after))
    result.sizes = (*result.sizes[:2], *sizes)
    return result


def pad(b: Builder, self: AtenTensor, pad: Sequence[int], mode: str = "constant", value: Any = None) -> AtenTensor:
    """More numbers before and after, the last axis first: one number, a reflection, or those at the edge."""
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    whole = len(pad) % 2 == 0 and len(pad) <= 2 * self.rank and all(isinstance(n, int) and n >= 0 for n in pad)
    if mode not in modes or not whole:
        raise RefusedError(f"a padding of the mode {mode} by {list(pad)} of a tensor of {self.rank} axes")
    before, after = ([0] * (self.rank - len(pad) // 2) + [*pad[k::2]][::-1] for k in (0, 1))
    added = [x + y for x, y in zip(before, after, strict=True)]
    held = [known_number(n) for n in self.sizes]
    number = b.constant(0 if value is None else value, self.dtype)
    sizes = [n + more if isinstance(n, int) else 1 if more else n for n, more in zip(held, added, strict=True)]
    result = b.node("Pad", [self, b.ints([*before, *after]), number], self.dtype, sizes, mode=modes[mode])
    free = [isinstance(n, RuntimeSize) and more > 0 for n, more in zip(held, added, strict=True)]
    result.sizes = tuple(RuntimeSize((result.name, k)) if free[k] else n for k, n in enumerate(result.sizes))
    return result


def constant_pad(b: Builder, self: AtenTensor, pad_: Sequence[int], value: Any = 0) -> AtenTensor:
    return pad(b, self, pad_, "constant", value)


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "conv1d": partial(_plain, 1),
    "conv2d": partial(_plain, 2),
    "convolution": convolution,
    "conv_transpose1d": partial(conv_transpose, 1),
    "conv_transpose2d": partial(conv_transpose, 2),
    "adaptive_avg_pool1d": partial(adaptive_average, 1),
    "adaptive_avg_pool2d": partial(adaptive_average, 2),
    "pad": pad,
    "constant_pad_nd": constant_pad,
    "reflection_pad1d": partial(pad, mode="reflect"),
    "replication_pad1d": partial(pad, mode="replicate"),
    "_convolution": convolution,
    "max_pool1d": partial(_pooled, "MaxPool", 1),
    "max_pool2d": partial(_pooled, "MaxPool", 2),
    "avg_pool1d": partial(_pooled, "AveragePool", 1),
    "avg_pool2d": partial(_pooled, "AveragePool", 2),
}
