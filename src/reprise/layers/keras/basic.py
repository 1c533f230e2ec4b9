"""Keras' layers without state: dense, embedding, activations, convolutions, pooling, normalisation, shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reprise.graph import Value
from reprise.layers import arranging, kinds
from reprise.layers.keras.calls import NOTHING, KerasCall, Symbol
from reprise.layers.keras.options import Options
from reprise.layers.keras.weights import Spec
from reprise.layers.kinds import ActivationFunction
from reprise.tensors import Array, Tensor, in_memory

Symbols = tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class Translation:
    """How a class of Keras is translated: which weights it has, and what it becomes."""

    layer: Callable[[KerasCall], Symbols]
    spec: Callable[[Options], Spec] = lambda options: Spec()


def _biased(*roles: str) -> Callable[[Options], Spec]:
    def spec(options: Options) -> Spec:
        return Spec((*roles, *(("bias",) if options.flag("use_bias", default=True) else ())))

    return spec


def _dense(call: KerasCall) -> Symbols:
    options, weights = call.options, call.weights
    kernel = weights["kernel"]
    if len(kernel.shape) == 2:
        options.check_units(kernel.shape[1])
    return call.plain(kinds.Dense(kernel, weights.get("bias"), options.function("activation")))


def _embedding(call: KerasCall) -> Symbols:
    masks = call.options.flag("mask_zero")
    value = call.put(kinds.Embedding(call.weights["embeddings"]), inputs=(call.x,))
    return (Symbol(value, call.put(kinds.Mask(), "/mask", inputs=(call.x,)) if masks else None),)


def _masking(call: KerasCall) -> Symbols:
    hidden = call.options.number("mask_value", 0.0)
    mask = call.put(kinds.Mask(hidden, features=True), "/mask", inputs=(call.x,))
    return (Symbol(call.put(kinds.Masked(), inputs=(call.x, Symbol(mask))), mask),)


def _nothing(call: KerasCall) -> Symbols:
    """What does nothing once a model is trained."""
    return call.plain(NOTHING)


def _activation(call: KerasCall) -> Symbols:
    return call.plain(kinds.Activation(call.options.function("activation")))


def _softmax(call: KerasCall) -> Symbols:
    if call.x.mask is not None:
        raise call.options.unknown("a softmax with a mask")
    return call.plain(kinds.Activation(ActivationFunction("softmax"), call.options.whole("axis", -1)))


def _relu(call: KerasCall) -> Symbols:
    options = call.options
    most = float("inf") if options.get("max_value") is None else options.number("max_value")
    numbers = (most, options.number("negative_slope", 0.0), options.number("threshold", 0.0))
    return call.plain(kinds.Activation(ActivationFunction("relu", numbers)))


def _leaky(call: KerasCall) -> Symbols:
    slope = call.options.number("negative_slope", call.options.number("alpha", 0.3))
    return call.plain(kinds.Activation(ActivationFunction("relu", (float("inf"), slope, 0.0))))


def _elu(call: KerasCall) -> Symbols:
    return call.plain(kinds.Activation(ActivationFunction("elu", (call.options.number("alpha", 1.0),))))


def _thresholded(call: KerasCall) -> Symbols:
    return call.plain(kinds.Activation(ActivationFunction("threshold", (call.options.number("theta", 1.0), 0.0))))


def _prelu(call: KerasCall) -> Symbols:
    return call.plain(kinds.ParametricRelu(call.weights["alpha"]))


def _rescaling(call: KerasCall) -> Symbols:
    options = call.options
    scale, offset = (in_memory(np.asarray(options.number(name, 0.0), np.float32)) for name in ("scale", "offset"))
    return call.plain(kinds.Affine(scale, offset))


def _normalization(call: KerasCall) -> Symbols:
    """The stored moments of data, one for each place of the last axis; or those of the configuration."""
    options = call.options
    if options.get("axis", -1) not in (-1, [-1]) or options.flag("invert"):
        raise options.unknown("a normalisation along another axis than the last, or its inverse")
    if "mean" in options:
        mean, variance = (in_memory(np.asarray(options.get(n), np.float32)) for n in ("mean", "variance"))
    else:
        mean, variance = call.weights["mean"], call.weights["variance"]

    def scale() -> Array:
        return np.asarray(1 / np.maximum(np.sqrt(variance.load()), 1e-7), np.float32).reshape(-1)

    def offset() -> Array:
        return np.asarray(-mean.load().reshape(-1) * scale(), np.float32)

    shape = (int(np.prod(mean.shape)),)
    own = (Tensor("float32", shape, make, mean.source) for make in (scale, offset))
    return call.plain(kinds.Affine(*own))


def _normalization_spec(options: Options) -> Spec:
    return Spec() if "mean" in options else Spec(kept=("mean", "variance", "count"))


def _batch_normalization(call: KerasCall) -> Symbols:
    options, weights = call.options, call.weights
    axis = options.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if not isinstance(axis, int):
        raise options.unknown(f"a normalisation along the axes {axis}")
    if options.get("mode", 0) not in (0, 2):
        raise options.unknown(f"batch normalisation of mode {options.get('mode')}")
    return call.plain(
        kinds.BatchNormalisation(
            weights["moving_mean"],
            weights["moving_variance"],
            weights.get("gamma"),
            weights.get("beta"),
            options.number("epsilon", 1e-3),
            axis,
        )
    )


def _batch_normalization_spec(options: Options) -> Spec:
    return Spec(_affine_roles(options), ("moving_mean", "moving_variance"))


def _affine_roles(options: Options) -> tuple[str, ...]:
    return tuple(role for role, name in (("gamma", "scale"), ("beta", "center")) if options.flag(name, default=True))


def _layer_normalization(call: KerasCall) -> Symbols:
    options, weights = call.options, call.weights
    axes = options.wholes("axis", -1, None if isinstance(options.get("axis"), (list, tuple)) else 1)
    epsilon, root = options.number("epsilon", 1e-3), options.flag("rms_scaling")
    scale = weights.get("gamma") or weights.get("scale")
    return call.plain(kinds.LayerNormalisation(axes, scale, weights.get("beta"), epsilon, root=root))


def _rms_normalization(call: KerasCall) -> Symbols:
    options = call.options
    axes = options.wholes("axis", -1, None if isinstance(options.get("axis"), (list, tuple)) else 1)
    scale = call.weights["scale"]
    return call.plain(kinds.LayerNormalisation(axes, scale, None, options.number("epsilon", 1e-6), root=True))


def _unit_normalization(call: KerasCall) -> Symbols:
    options = call.options
    axes = options.wholes("axis", -1, None if isinstance(options.get("axis"), (list, tuple)) else 1)
    return call.plain(kinds.UnitNormalisation(axes))


def _axes(call: KerasCall) -> int:
    """Over how many axes a layer works, by its name."""
    return 2 if "2D" in call.kind or "2D" in call.kind.replace("Convolution", "Conv") else 1


def _conv(call: KerasCall) -> Symbols:
    options, weights, axes = call.options, call.weights, _axes(call)
    kernel = weights["kernel"]
    if len(kernel.shape) == 4 and axes == 1 and kernel.shape[1] == 1:  # Keras 1
        kernel = Tensor(kernel.dtype, (kernel.shape[0], *kernel.shape[2:]), _without_axis(kernel, 1), kernel.source)
    return call.plain(
        kinds.Convolution(
            kernel,
            weights.get("bias"),
            options.wholes("strides", 1, axes),
            options.padding(),
            options.wholes("dilation_rate", 1, axes),
            groups=options.whole("groups", 1),
            channels_first=options.channels_first(),
            function=options.function("activation"),
        ),
        mask=False,
    )


def _without_axis(tensor: Tensor, axis: int) -> Callable[[], Any]:
    return lambda: tensor.load().squeeze(axis)


def _depthwise(call: KerasCall) -> Symbols:
    options, weights, axes = call.options, call.weights, _axes(call)
    return call.plain(
        kinds.Convolution(
            weights["kernel"],
            weights.get("bias"),
            options.wholes("strides", 1, axes),
            options.padding(),
            options.wholes("dilation_rate", 1, axes),
            depthwise=True,
            channels_first=options.channels_first(),
            function=options.function("activation"),
        ),
        mask=False,
    )


def _separable(call: KerasCall) -> Symbols:
    """A convolution of each channel, then one that joins them."""
    options, weights, axes = call.options, call.weights, _axes(call)
    first = options.channels_first()
    strides, dilation = options.wholes("strides", 1, axes), options.wholes("dilation_rate", 1, axes)
    each = kinds.Convolution(
        weights["depthwise_kernel"], None, strides, options.padding(), dilation, depthwise=True, channels_first=first
    )
    ones = (1,) * axes
    function = options.function("activation")
    joined = kinds.Convolution(
        weights["pointwise_kernel"], weights.get("bias"), ones, "valid", ones, channels_first=first, function=function
    )
    between = call.put(each, "/depthwise", inputs=(call.x,))
    return (Symbol(call.put(joined, inputs=(Symbol(between),))),)


def _pooling(call: KerasCall) -> Symbols:
    options, axes = call.options, _axes(call)
    size = options.wholes("pool_size", 2, axes)
    strides = options.wholes("strides", size, axes)
    mean, first = call.kind.startswith("Average"), options.channels_first()
    return call.plain(kinds.Pooling(mean, size, strides, options.padding(), channels_first=first), mask=False)


def _global_pooling(call: KerasCall) -> Symbols:
    options, mean = call.options, "Average" in call.kind
    layer = kinds.GlobalPooling(mean, keep=options.flag("keepdims"), channels_first=options.channels_first())
    mask = call.x.mask if mean and _axes(call) == 1 else None
    return (Symbol(call.put(layer, inputs=(call.x,), mask=mask)),)


def _flatten(call: KerasCall) -> Symbols:
    return call.plain(arranging.Flatten(channels_first=call.options.channels_first()), mask=False)


def _reshape(call: KerasCall) -> Symbols:
    return call.plain(arranging.Reshape(call.options.wholes("target_shape", ())), mask=False)


def _permute(call: KerasCall) -> Symbols:
    axes = call.options.wholes("dims", ())
    if sorted(axes) != list(range(1, len(axes) + 1)):
        raise call.options.refuse("dims", "an order of the axes from 1")
    return call.plain(arranging.Permute((0, *axes)), mask=False)


def _repeat(call: KerasCall) -> Symbols:
    return call.plain(arranging.Repeat(call.options.whole("n")), mask=False)


def _amounts(call: KerasCall, name: str) -> tuple[tuple[int, int], ...]:
    """(before, after) for each axis, from a number, one for each axis, or two for each."""
    axes, found = _axes(call), call.options.get(name, 1)
    if isinstance(found, int):
        found = [found] * axes
    if axes == 1 and isinstance(found, Sequence) and len(found) == 2 and all(isinstance(n, int) for n in found):
        found = [found]
    pairs = [(one, one) if isinstance(one, int) else tuple(one) for one in found] if _is_list(found) else []
    if len(pairs) != axes or any(len(p) != 2 or not all(isinstance(n, int) and n >= 0 for n in p) for p in pairs):
        raise call.options.refuse(name, f"numbers for {axes} axes")
    own = tuple((int(a), int(b)) for a, b in pairs)
    return ((0, 0), *own) if call.options.channels_first() else (*own, (0, 0))


def _is_list(found: Any) -> bool:
    return isinstance(found, Sequence) and all(isinstance(one, (int, list, tuple)) for one in found)


def _padding(call: KerasCall) -> Symbols:
    return call.plain(arranging.Pad(_amounts(call, "padding")), mask=False)


def _cropping(call: KerasCall) -> Symbols:
    return call.plain(arranging.Crop(_amounts(call, "cropping")), mask=False)


def _upsampling(call: KerasCall) -> Symbols:
    options, axes = call.options, _axes(call)
    if options.get("interpolation", "nearest") != "nearest":
        raise options.unknown(f"an interpolation of the kind {options.get('interpolation')}")
    times = options.wholes("size", options.get("length", 2), axes)
    layer = arranging.Upsample((1, *times) if options.channels_first() else (*times, 1))
    return call.plain(layer, mask=False)


def _category(call: KerasCall) -> Symbols:
    options = call.options
    mode = options.get("output_mode", "int")
    if mode not in ("one_hot", "multi_hot"):
        raise options.unknown(f"an encoding of the kind {mode}")
    return call.plain(kinds.OneHot(options.whole("num_tokens"), joined=mode == "multi_hot"), mask=False)


def _joined(kind: str) -> Callable[[KerasCall], Symbols]:
    def layer(call: KerasCall) -> Symbols:
        if kind == "multiply" and call.options.version.major >= 3 and any(s.mask for s in call.inputs):
            raise call.options.unknown("a product of masked values, whose hidden steps Keras 3 takes for ones or zeros")
        value = call.put(kinds.Join(kind))
        return (Symbol(value, _mask_of_all(call)),)

    return layer


def _mask_of_all(call: KerasCall) -> Value | None:
    """Keras 2 hides a step that any input hides, Keras 3 one that all hide, and none if an input has no mask."""
    masks = [s.mask for s in call.inputs if s.mask is not None]
    either = call.options.version.major >= 3
    if not masks or (either and len(masks) < len(call.inputs)):
        return None
    if len(set(masks)) == 1:
        return masks[0]
    return call.put(kinds.Both(either=either), "/mask", inputs=[Symbol(m) for m in masks])


def _concatenate(call: KerasCall) -> Symbols:
    axis = call.options.whole("axis", -1)
    value = call.put(kinds.Concatenate(axis))
    masks = [s.mask for s in call.inputs]
    if all(m is None for m in masks):
        return (Symbol(value),)
    if len(set(masks)) == 1 and axis != 1:
        return (Symbol(value, masks[0]),)
    if axis == 1 and None not in masks:
        read = [Symbol(m) for m in masks if m is not None]
        return (Symbol(value, call.put(kinds.Concatenate(1), "/mask", inputs=read)),)
    return (Symbol(value, None if axis == 1 else _mask_of_all(call)),)


def _dot(call: KerasCall) -> Symbols:
    options = call.options
    axes = options.wholes("axes", None, 2)
    return (Symbol(call.put(kinds.Dot((axes[0], axes[1]), unit=options.flag("normalize")))),)


def _merge(call: KerasCall) -> Symbols:
    """The one layer that Keras 1 had for all of them."""
    mode = call.options.get("mode", "sum")
    found = {"sum": "add", "mul": "multiply", "ave": "average", "max": "maximum"}.get(mode)
    if found is not None:
        return _joined(found)(call)
    if mode == "concat":
        return _concatenate(call)
    raise call.options.unknown(f"a merge of the kind {mode!r}")


TABLE: Mapping[str, Translation] = {
    **dict.fromkeys(("Dense", "TimeDistributedDense"), Translation(_dense, _biased("kernel"))),
    "Embedding": Translation(_embedding, lambda options: Spec(("embeddings",))),
    "Masking": Translation(_masking),
    **dict.fromkeys(
        "Dropout SpatialDropout1D SpatialDropout2D GaussianDropout GaussianNoise AlphaDropout ActivityRegularization "
        "Identity".split(),
        Translation(_nothing),
    ),
    "Activation": Translation(_activation),
    "Softmax": Translation(_softmax),
    "ReLU": Translation(_relu),
    "LeakyReLU": Translation(_leaky),
    "ELU": Translation(_elu),
    "ThresholdedReLU": Translation(_thresholded),
    "PReLU": Translation(_prelu, lambda options: Spec(("alpha",))),
    "Rescaling": Translation(_rescaling),
    "Normalization": Translation(_normalization, _normalization_spec),
    **dict.fromkeys(
        ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2"),
        Translation(_batch_normalization, _batch_normalization_spec),
    ),
    "LayerNormalization": Translation(_layer_normalization, lambda options: Spec(_affine_roles(options))),
    "RMSNormalization": Translation(_rms_normalization, lambda options: Spec(("scale",))),
    "UnitNormalization": Translation(_unit_normalization),
    **dict.fromkeys(
        ("Conv1D", "Conv2D", "Convolution1D", "Convolution2D", "AtrousConvolution1D", "AtrousConvolution2D"),
        Translation(_conv, _biased("kernel")),
    ),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), Translation(_depthwise, _biased("kernel"))),
    **dict.fromkeys(
        ("SeparableConv1D", "SeparableConv2D"), Translation(_separable, _biased("depthwise_kernel", "pointwise_kernel"))
    ),
    **dict.fromkeys(
        ("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"),
        Translation(_pooling),
    ),
    **dict.fromkeys(
        ("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
        Translation(_global_pooling),
    ),
    "Flatten": Translation(_flatten),
    "Reshape": Translation(_reshape),
    "Permute": Translation(_permute),
    "RepeatVector": Translation(_repeat),
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D"), Translation(_padding)),
    **dict.fromkeys(("Cropping1D", "Cropping2D"), Translation(_cropping)),
    **dict.fromkeys(("UpSampling1D", "UpSampling2D"), Translation(_upsampling)),
    "CategoryEncoding": Translation(_category),
    **{
        name: Translation(_joined(name.lower()))
        for name in ("Add", "Multiply", "Subtract", "Average", "Maximum", "Minimum")
    },
    "Concatenate": Translation(_concatenate),
    "Dot": Translation(_dot),
    "Merge": Translation(_merge),
}
