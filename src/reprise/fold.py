"""What TensorFlow's operators make of numbers that are known: shapes, axes, permutations, parts of stored weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reprise.graph import Node
from reprise.tensors import DTYPES, Array

#: The numbers that a Range may count: the ids of a vocabulary are some; a damaged file asks for more.
_LONGEST = 1_000_000


def fold(node: Node, inputs: list[Array]) -> list[Array] | None:
    """The outputs of `node` on known inputs, or None where the numbers do not fit the operator."""
    if any(a.dtype == object for a in inputs) or _divides_by_zero(node, inputs):
        return None
    try:
        with np.errstate(all="ignore"):
            result = FOLDABLE[node.op](node, inputs)
    except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError):
        return None
    return result if isinstance(result, list) else [np.asarray(result)]


def _divides_by_zero(node: Node, inputs: list[Array]) -> bool:
    """Whole numbers by zero: TensorFlow raises an error, NumPy gives zero."""
    return node.op.endswith(("Div", "Mod")) and inputs[1].dtype.kind in "iu" and not inputs[1].all()


def _strided_slice(node: Node, inputs: list[Array]) -> Array | None:
    value, begin, end, strides = inputs
    masks = {m: node.integer(f"{m}_mask", 0) for m in ("begin", "end", "shrink_axis", "new_axis", "ellipsis")}
    if masks["ellipsis"]:
        raise ValueError("ellipsis")
    index: list[Any] = []
    for i in range(len(begin)):
        if masks["new_axis"] >> i & 1:
            index.append(None)
        elif masks["shrink_axis"] >> i & 1:
            index.append(int(begin[i]))
        else:
            first = None if masks["begin"] >> i & 1 else int(begin[i])
            last = None if masks["end"] >> i & 1 else int(end[i])
            index.append(slice(first, last, int(strides[i])))
    return np.asarray(value[tuple(index)])


def _slice(node: Node, inputs: list[Array]) -> Array:
    value, begin, size = inputs
    return value[tuple(slice(int(b), None if n < 0 else int(b) + int(n)) for b, n in zip(begin, size, strict=True))]


def _range(node: Node, inputs: list[Array]) -> Array:
    start, limit, step = (a.item() for a in inputs)
    if step == 0 or abs((limit - start) / step) > _LONGEST:
        raise ValueError("size")
    return np.asarray(np.arange(start, limit, step), inputs[0].dtype)


def _small(shape: Array) -> tuple[int, ...]:
    sizes = tuple(int(n) for n in shape)
    if np.prod(sizes, dtype=np.float64) > 4096:
        raise ValueError("size")
    return sizes


def _cast(node: Node, inputs: list[Array]) -> Array:
    return inputs[0].astype(DTYPES[node.dtype("DstT")])


def _reduce(function: Callable[..., Any]) -> Callable[[Node, list[Array]], Any]:
    def apply(node: Node, inputs: list[Array]) -> Any:
        keep = node.flag("keep_dims")
        axes = tuple(int(a) for a in inputs[1].ravel())
        return np.asarray(function(inputs[0], axis=axes, keepdims=keep)).astype(inputs[0].dtype)

    return apply


def _list_diff(node: Node, inputs: list[Array]) -> list[Array]:
    kept = [i for i, n in enumerate(inputs[0]) if n not in inputs[1]]
    return [inputs[0][kept], np.asarray(kept, np.int32)]


def _dynamic_stitch(node: Node, inputs: list[Array]) -> Array:
    half = len(inputs) // 2
    places, data = inputs[:half], inputs[half:]
    size = 1 + max(int(p.max()) for p in places if p.size)
    out = np.zeros((min(size, 4096), *data[0].shape[places[0].ndim :]), data[0].dtype)
    for place, values in zip(places, data, strict=True):
        out[place] = values
    return out


def _split(node: Node, inputs: list[Array]) -> list[Array]:
    axis, whole = inputs
    return np.split(whole, node.integer("num_split"), int(axis.item()))


def _split_by_sizes(node: Node, inputs: list[Array]) -> list[Array]:
    whole, sizes, axis = inputs
    along = int(axis.item())
    left = whole.shape[along] - int(sizes[sizes >= 0].sum())
    sizes = np.where(sizes < 0, left, sizes)
    if left < 0 or int(sizes.sum()) != whole.shape[along]:
        raise ValueError("sizes")
    return np.split(whole, np.cumsum(sizes)[:-1], along)


def _canonical_to_params(node: Node, inputs: list[Array]) -> Array:
    """The one vector of cuDNN: all matrices, then all biases, each in the order in which the operator is given them."""
    return np.concatenate([part.ravel() for part in inputs[3:]])


def _dequantize(node: Node, inputs: list[Array]) -> Array:
    """Whole numbers of a byte or two as the numbers of a range. Source: dequantize_op.cc (TensorFlow 1.15.5, 2.21)."""
    whole, (low, high) = inputs[0], (np.float32(a.item()) for a in inputs[1:])
    kind, mode = np.iinfo(whole.dtype), node.text("mode", "MIN_COMBINED")
    if node.integer("axis", -1) != -1 or node.flag("narrow_range"):
        raise ValueError("a range for each channel")
    numbers, steps = whole.astype(np.float32), np.float32(int(kind.max) - int(kind.min))
    if mode == "SCALED":
        return numbers * (max(low / np.float32(kind.min), high / np.float32(kind.max)) if kind.min else high / steps)
    if mode == "MIN_COMBINED":
        half = np.float32((steps + 1) / 2 if kind.min else 0)
        return (numbers + half) * ((high - low) / steps) + low
    if mode != "MIN_FIRST":
        raise ValueError("mode")
    scale = np.float32((high - low) / np.float64(steps))
    return np.round(low / scale) * scale + (numbers - np.float32(kind.min)) * scale


def _invert(node: Node, inputs: list[Array]) -> Array:
    return np.argsort(inputs[0]).astype(inputs[0].dtype)


def _unary(function: Callable[..., Any]) -> Callable[[Node, list[Array]], Any]:
    return lambda node, inputs: function(inputs[0])


def _binary(function: Callable[..., Any]) -> Callable[[Node, list[Array]], Any]:
    return lambda node, inputs: function(inputs[0], inputs[1])


def _divide(node: Node, inputs: list[Array]) -> Array:
    a, b = inputs
    return np.asarray((a - np.fmod(a, b)) // b if a.dtype.kind in "iu" else a / b)  # whole numbers are cut, not floored


def _select(node: Node, inputs: list[Array]) -> Array:
    flag, a, b = inputs
    if node.op == "Select" and flag.ndim == 1:  # a flag for each row
        flag = flag.reshape(-1, *[1] * (a.ndim - 1))
    return np.where(flag, a, b)


def _squeeze(node: Node, inputs: list[Array]) -> Array:
    return np.squeeze(inputs[0], node.integers("squeeze_dims", ()) or None)


def _expand(node: Node, inputs: list[Array]) -> Array:
    return np.expand_dims(inputs[0], int(inputs[1].item()))


def _pad(node: Node, inputs: list[Array]) -> Array:
    values, borders = inputs[0], inputs[1]
    _small(values.shape + borders.sum(axis=1))
    return np.pad(values, borders, constant_values=inputs[2].item() if len(inputs) > 2 else 0)


FOLDABLE: dict[str, Callable[[Node, list[Array]], Any]] = {
    **dict.fromkeys(("Add", "AddV2"), _binary(np.add)),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "FloorDiv": _binary(np.floor_divide),
    **dict.fromkeys(("Div", "RealDiv"), _divide),
    "FloorMod": _binary(np.mod),
    **dict.fromkeys(("Mod", "TruncateMod"), _binary(np.fmod)),
    "Maximum": _binary(np.maximum),
    "Minimum": _binary(np.minimum),
    "Less": _binary(np.less),
    "LessEqual": _binary(np.less_equal),
    "Greater": _binary(np.greater),
    "GreaterEqual": _binary(np.greater_equal),
    "Equal": _binary(np.equal),
    "NotEqual": _binary(np.not_equal),
    "LogicalAnd": _binary(np.logical_and),
    "LogicalOr": _binary(np.logical_or),
    "LogicalNot": _unary(np.logical_not),
    "Neg": _unary(np.negative),
    "Reshape": lambda node, inputs: inputs[0].reshape([int(n) for n in inputs[1]]),
    "ConcatV2": lambda node, inputs: np.concatenate(inputs[:-1], int(inputs[-1].item())),
    "Concat": lambda node, inputs: np.concatenate(inputs[1:], int(inputs[0].item())),
    "Split": _split,
    "SplitV": _split_by_sizes,
    **dict.fromkeys(("CudnnRNNCanonicalToParams", "CudnnRNNCanonicalToParamsV2"), _canonical_to_params),
    "Dequantize": _dequantize,
    "Rank": lambda node, inputs: np.asarray(inputs[0].ndim, np.int32),
    "Pack": lambda node, inputs: np.stack(inputs, node.integer("axis", 0)),
    "BroadcastArgs": lambda node, inputs: np.asarray(np.broadcast_shapes(*map(tuple, inputs)), inputs[0].dtype),
    "Range": _range,
    "Fill": lambda node, inputs: np.full(_small(inputs[0]), inputs[1]),
    "Cast": _cast,
    "Prod": _reduce(np.prod),
    "Sum": _reduce(np.sum),
    "Max": _reduce(np.max),
    "Min": _reduce(np.min),
    "StridedSlice": _strided_slice,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "ExpandDims": _expand,
    "InvertPermutation": _invert,
    "ListDiff": _list_diff,
    "DynamicStitch": _dynamic_stitch,
    **dict.fromkeys(("Select", "SelectV2"), _select),
    "ZerosLike": _unary(np.zeros_like),
    "OnesLike": _unary(np.ones_like),
    "Transpose": lambda node, inputs: np.transpose(inputs[0], [int(i) for i in inputs[1]]),
    "Tile": lambda node, inputs: np.tile(inputs[0], _small(inputs[1])),
    **dict.fromkeys(("Pad", "PadV2"), _pad),
    "ReverseV2": lambda node, inputs: np.flip(inputs[0], tuple(int(a) for a in inputs[1])),
}
