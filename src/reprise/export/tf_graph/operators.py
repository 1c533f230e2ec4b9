"""What each operator of ONNX is in TensorFlow. Source: onnx/docs/Operators.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.export.tf_graph.context import Rule, TensorFlowSite
from reprise.export.tf_graph.sizes import number_of, size_of
from reprise.tensors import DTYPES
from reprise.wire import onnx


def _dtype(number: int) -> tf.DType:
    return tf.as_dtype(DTYPES[onnx.element_name(number)]) if onnx.element_name(number) != "string" else tf.string


def _unary(function: Callable[[Any], Any]) -> Rule:
    return lambda site: function(site[0])


def _binary(function: Callable[[Any, Any], Any]) -> Rule:
    return lambda site: function(site[0], site[1])


def _folded(function: Callable[[Any, Any], Any]) -> Rule:
    return lambda site: reduce(function, site.inputs())


def _divide(site: TensorFlowSite) -> tf.Tensor:
    a, b = site[0], site[1]
    return tf.truncatediv(a, b) if a.dtype.is_integer else a / b


def _modulo(site: TensorFlowSite) -> tf.Tensor:
    return tf.math.truncatemod(site[0], site[1]) if site.attribute("fmod", 0) else tf.math.floormod(site[0], site[1])


def _cast(site: TensorFlowSite) -> tf.Tensor:
    return tf.cast(site[0], _dtype(site.attribute("to")))


def _constant(site: TensorFlowSite) -> tf.Tensor:
    for name, dtype in (("value_int", np.int64), ("value_ints", np.int64), ("value_float", np.float32)):
        if (value := site.attribute(name)) is not None:
            return tf.constant(np.asarray(value, dtype))
    return tf.constant(onnx.array_of(site.attribute("value")))


def _constant_of_shape(site: TensorFlowSite) -> tf.Tensor:
    held = site.attribute("value")
    value = np.float32(0) if held is None else onnx.array_of(held).ravel()[0]
    return tf.fill(site[0], tf.constant(value))


# Matrices


def _gemm(site: TensorFlowSite) -> tf.Tensor:
    product = tf.matmul(
        site[0], site[1], transpose_a=bool(site.attribute("transA", 0)), transpose_b=bool(site.attribute("transB", 0))
    )
    scaled = product * tf.cast(site.attribute("alpha", 1.0), product.dtype)
    return scaled + tf.cast(site.attribute("beta", 1.0), product.dtype) * site[2] if site.has(2) else scaled


def _matmul(site: TensorFlowSite) -> tf.Tensor:
    """As NumPy has it; a matrix on the right is multiplied with all rows at once, as TensorFlow 1 does it."""
    a, b = site[0], site[1]
    if b.shape.rank != 2 or a.shape.rank in (None, 1, 2):
        return tf.matmul(a, b) if a.shape.rank != 1 else tf.squeeze(tf.matmul(a[None], b), -2)
    rows = tf.matmul(tf.reshape(a, [-1, size_of(a, -1)]), b)
    return tf.reshape(rows, [*(size_of(a, k) for k in range(a.shape.rank - 1)), size_of(b, 1)])


# Shapes


def _shape(site: TensorFlowSite) -> tf.Tensor:
    sizes = tf.shape(site[0], out_type=tf.int64)
    start, end = site.attribute("start", 0), site.attribute("end")
    return sizes[start:end]


def _reshape(site: TensorFlowSite) -> tf.Tensor:
    """A size of 0 is that of the input, unless `allowzero` says that it is none."""
    x, sizes = site[0], tf.cast(site[1], tf.int64)
    known = site.constant(1)
    if known is not None and not site.attribute("allowzero", 0):
        return tf.reshape(x, [int(n) if n else size_of(x, k) for k, n in enumerate(known.ravel())])
    if site.attribute("allowzero", 0):
        return tf.reshape(x, sizes)
    count = tf.shape(sizes)[0]
    own = tf.shape(x, out_type=tf.int64)
    kept = tf.concat([own, tf.ones([tf.maximum(count - tf.shape(own)[0], 0)], tf.int64)], 0)[:count]
    return tf.reshape(x, tf.where(tf.equal(sizes, 0), kept, sizes))


def _axes(site: TensorFlowSite, index: int = 1) -> list[int] | None:
    found = site.constant(index, "axes")
    if found is None and site.has(index):
        raise site.refusal("has axes that are computed")
    return None if found is None else [int(a) for a in found.ravel()]


def _squeeze(site: TensorFlowSite) -> tf.Tensor:
    """Without some axes; what was only stacked alone along one is taken as it was."""
    x, axes = site[0], _axes(site)
    if x.op.type == "Pack" and len(x.op.inputs) == 1 and axes == [x.op.get_attr("axis")]:
        return x.op.inputs[0]
    return tf.squeeze(x, axes)


def _unsqueeze(site: TensorFlowSite) -> tf.Tensor:
    x, axes = site[0], _axes(site) or []
    rank = x.shape.rank + len(axes)
    for axis in sorted(a % rank for a in axes):
        x = tf.expand_dims(x, axis)
    return x


def _expand(site: TensorFlowSite) -> tf.Tensor:
    x = site[0]
    return tf.broadcast_to(x, tf.broadcast_dynamic_shape(tf.shape(x, out_type=tf.int64), tf.cast(site[1], tf.int64)))


def _flatten(site: TensorFlowSite) -> tf.Tensor:
    axis, sizes = site.attribute("axis", 1), tf.shape(site[0])
    return tf.reshape(site[0], tf.stack([tf.reduce_prod(sizes[:axis]), tf.reduce_prod(sizes[axis:])]))


def _transpose(site: TensorFlowSite) -> tf.Tensor:
    return tf.transpose(site[0], site.attribute("perm"))


def _concat(site: TensorFlowSite) -> tf.Tensor:
    return tf.concat(site.inputs(), site.attribute("axis"))


def _split(site: TensorFlowSite) -> list[tf.Tensor]:
    axis, sizes = site.attribute("axis", 0), site.constant(1, "split")
    parts = len(site.node.output) if sizes is None else [int(n) for n in sizes.ravel()]
    return list(tf.split(site[0], parts, axis))


def _slice(site: TensorFlowSite) -> tf.Tensor:
    """Begins, ends, axes and steps; those of older versions are attributes. An end beyond the axis is its end."""
    x = site[0]
    old = site.attribute("starts") is not None
    begins, ends = (
        tf.constant(site.attribute(n), tf.int64) if old else site[k] for n, k in (("starts", 1), ("ends", 2))
    )
    axes = site.constant(3, "axes")
    steps = site.constant(4)
    count = int(tf.shape(begins)[0]) if begins.shape.rank is None else begins.shape[0]
    axes = np.arange(count) if axes is None else axes.ravel()
    taken: list[Any] = [slice(None)] * x.shape.rank
    for i, axis in enumerate(int(a) % x.shape.rank for a in axes):
        step = 1 if steps is None else int(steps.ravel()[i])
        taken[axis] = _range_of(tf.cast(begins[i], tf.int64), tf.cast(ends[i], tf.int64), step)
    return x[tuple(taken)]


def _range_of(begin: tf.Tensor, end: tf.Tensor, step: int) -> slice[Any, Any, Any]:
    """Bounds in the 32 bits that TensorFlow's strided slices are sure to take; far beyond an axis is beyond it."""
    far = 2**31 - 1
    known = tf.get_static_value(end)
    bounds = [_within(b, far) for b in (begin, end)]
    before_all = step < 0 and known is not None and known < -(2**31)
    return slice(bounds[0], None if before_all else bounds[1], step)


def _within(bound: tf.Tensor, far: int) -> Any:
    known = number_of(bound)
    if known is not None:
        return int(np.clip(known, -far, far))
    return tf.cast(tf.clip_by_value(bound, tf.constant(-far, tf.int64), tf.constant(far, tf.int64)), tf.int32)


def _pad(site: TensorFlowSite) -> tf.Tensor:
    x, mode = site[0], site.attribute("mode", "constant")
    amounts = tf.constant(site.attribute("pads"), tf.int64) if site.attribute("pads") is not None else site[1]
    if site.has(3):
        raise site.refusal("pads some axes alone")
    pairs = tf.transpose(tf.reshape(amounts, [2, -1]))
    if mode != "constant":
        return tf.pad(x, pairs, {"reflect": "REFLECT", "edge": "SYMMETRIC"}[mode])
    value = tf.reshape(site[2], []) if site.has(2) else tf.zeros([], x.dtype)
    return tf.pad(x, pairs, constant_values=value)


def _range(site: TensorFlowSite) -> tf.Tensor:
    return tf.range(site[0], site[1], site[2])


# Places


def _gather(site: TensorFlowSite) -> tf.Tensor:
    """Of a place below zero, from the end; where these were exchanged for one beyond, TensorFlow refuses both."""
    x, axis, indices = site[0], site.attribute("axis", 0), site[1]
    known, bare = site.constant(1), _without_guard(site[1])
    if bare is not None or (known is not None and not (known < 0).any()):
        return tf.gather(x, indices if bare is None else bare, axis=axis)
    size = tf.shape(x, out_type=indices.dtype)[axis]
    return tf.gather(x, tf.where(indices < 0, indices + size, indices), axis=axis)


def _without_guard(indices: tf.Tensor, size: int | None = 2**31 - 1) -> tf.Tensor | None:
    """The indices of which those below zero were exchanged for one that is beyond `size`; None where none were."""
    if indices.op.type not in ("Select", "SelectV2"):
        return None
    test, beyond, kept = indices.op.inputs
    far = tf.get_static_value(beyond)
    of_zero = test.op.type == "Less" and test.op.inputs[0] is kept and tf.get_static_value(test.op.inputs[1])
    return kept if of_zero is not False and of_zero == 0 and None not in (far, size) and far >= size else None


def _gather_nd(site: TensorFlowSite) -> tf.Tensor:
    return tf.gather_nd(site[0], site[1], batch_dims=site.attribute("batch_dims", 0))


def _one_hot(site: TensorFlowSite) -> tf.Tensor:
    """ONNX counts ids below zero from the end, where TensorFlow gives zeros: they are moved, or a guard is undone."""
    known, values = site.constant(1), site[2]
    depth = tf.cast(tf.reshape(site[1], []), tf.int32) if known is None else int(known.item())
    bare = _without_guard(site[0], None if known is None else depth)
    indices = tf.cast(site[0] if bare is None else bare, tf.int32)
    if bare is None:
        indices = tf.where(indices < 0, indices + depth, indices)
    return tf.one_hot(indices, depth, values[1], values[0], site.attribute("axis", -1))


def _scatter_nd(site: TensorFlowSite) -> tf.Tensor:
    return tf.tensor_scatter_nd_update(site[0], site[1], site[2])


def _compress(site: TensorFlowSite) -> tf.Tensor:
    axis, kept = site.attribute("axis"), site[1]
    x = site[0] if axis is not None else tf.reshape(site[0], [-1])
    return tf.gather(x, tf.reshape(tf.where(kept), [-1]), axis=axis or 0)


def _reverse_sequence(site: TensorFlowSite) -> tf.Tensor:
    batch, time = site.attribute("batch_axis", 1), site.attribute("time_axis", 0)
    return tf.reverse_sequence(site[0], site[1], seq_axis=time, batch_axis=batch)


# Sums and functions


def _reduction(function: Callable[..., tf.Tensor]) -> Rule:
    def rule(site: TensorFlowSite) -> tf.Tensor:
        axes = _axes(site)
        if not axes and site.attribute("noop_with_empty_axes", 0):
            return site[0]
        return function(site[0], axis=axes or None, keepdims=bool(site.attribute("keepdims", 1)))

    return rule


def _arg(function: Callable[..., tf.Tensor]) -> Rule:
    def rule(site: TensorFlowSite) -> tf.Tensor:
        axis = site.attribute("axis", 0)
        found = function(site[0], axis, output_type=tf.int64)
        return tf.expand_dims(found, axis) if site.attribute("keepdims", 1) else found

    return rule


def _clip(site: TensorFlowSite) -> tf.Tensor:
    x = site[0]
    least = site[1] if site.has(1) else site.attribute("min")
    most = site[2] if site.has(2) else site.attribute("max")
    x = x if least is None else tf.maximum(x, tf.cast(least, x.dtype))
    return x if most is None else tf.minimum(x, tf.cast(most, x.dtype))


def _hard_sigmoid(site: TensorFlowSite) -> tf.Tensor:
    alpha, beta = site.attribute("alpha", 0.2), site.attribute("beta", 0.5)
    return tf.clip_by_value(alpha * site[0] + beta, 0, 1)


def _elu(site: TensorFlowSite) -> tf.Tensor:
    x, alpha = site[0], site.attribute("alpha", 1.0)
    return tf.where(x > 0, x, alpha * (tf.exp(tf.minimum(x, 0)) - 1))


def _cumsum(site: TensorFlowSite) -> tf.Tensor:
    reverse, exclusive = bool(site.attribute("reverse", 0)), bool(site.attribute("exclusive", 0))
    return tf.cumsum(site[0], tf.cast(tf.reshape(site[1], []), tf.int32), exclusive, reverse)


def _softmax(function: Callable[..., tf.Tensor]) -> Rule:
    return lambda site: function(site[0], axis=site.attribute("axis", -1))


def _passed(site: TensorFlowSite) -> tf.Tensor:
    return tf.identity(site[0])


OPERATORS: Mapping[str, Rule] = {
    "Abs": _unary(tf.abs),
    "Add": _binary(tf.add),
    "And": _binary(tf.logical_and),
    "ArgMax": _arg(tf.argmax),
    "ArgMin": _arg(tf.argmin),
    "Atan": _unary(tf.atan),
    "Cast": _cast,
    "Ceil": _unary(tf.math.ceil),
    "Clip": _clip,
    "Compress": _compress,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Cos": _unary(tf.cos),
    "CumSum": _cumsum,
    "Div": _divide,
    "Dropout": _passed,
    "Elu": _elu,
    "Equal": _binary(tf.equal),
    "Erf": _unary(tf.math.erf),
    "Exp": _unary(tf.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _unary(tf.floor),
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Gemm": _gemm,
    "Greater": _binary(tf.greater),
    "GreaterOrEqual": _binary(tf.greater_equal),
    "HardSigmoid": _hard_sigmoid,
    "Identity": _passed,
    "LeakyRelu": lambda site: tf.nn.leaky_relu(site[0], site.attribute("alpha", 0.01)),
    "Less": _binary(tf.less),
    "LessOrEqual": _binary(tf.less_equal),
    "Log": _unary(tf.math.log),
    "LogSoftmax": _softmax(tf.nn.log_softmax),
    "MatMul": _matmul,
    "Max": _folded(tf.maximum),
    "Mean": lambda site: tf.add_n(site.inputs()) / len(site),
    "Min": _folded(tf.minimum),
    "Mod": _modulo,
    "Mul": _binary(tf.multiply),
    "Neg": _unary(tf.negative),
    "Not": _unary(tf.logical_not),
    "OneHot": _one_hot,
    "Or": _binary(tf.logical_or),
    "Pad": _pad,
    "PRelu": lambda site: tf.where(site[0] > 0, site[0], site[0] * site[1]),
    "Pow": lambda site: tf.pow(site[0], tf.cast(site[1], site[0].dtype)),
    "Range": _range,
    "Reciprocal": _unary(tf.math.reciprocal),
    "ReduceMax": _reduction(tf.reduce_max),
    "ReduceMean": _reduction(tf.reduce_mean),
    "ReduceMin": _reduction(tf.reduce_min),
    "ReduceProd": _reduction(tf.reduce_prod),
    "ReduceSum": _reduction(tf.reduce_sum),
    "Relu": _unary(tf.nn.relu),
    "Reshape": _reshape,
    "ReverseSequence": _reverse_sequence,
    "Round": _unary(tf.round),
    "ScatterND": _scatter_nd,
    "Selu": _unary(tf.nn.selu),
    "Shape": _shape,
    "Sigmoid": _unary(tf.sigmoid),
    "Sign": _unary(tf.sign),
    "Sin": _unary(tf.sin),
    "Size": lambda site: tf.size(site[0], out_type=tf.int64),
    "Slice": _slice,
    "Softmax": _softmax(tf.nn.softmax),
    "Softplus": _unary(tf.nn.softplus),
    "Softsign": _unary(tf.nn.softsign),
    "Split": _split,
    "Sqrt": _unary(tf.sqrt),
    "Squeeze": _squeeze,
    "Sub": _binary(tf.subtract),
    "Sum": lambda site: tf.add_n(site.inputs()),
    "Tanh": _unary(tf.tanh),
    "Tile": lambda site: tf.tile(site[0], site[1]),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": lambda site: tf.where(site[0], site[1], site[2]),
    "Xor": _binary(tf.math.logical_xor),
}
