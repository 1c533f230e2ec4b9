"""ATen's activations as ONNX.

Sources: aten/src/ATen/native/native_functions.yaml (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from reprise.formats._torch.aten import layout
from reprise.formats._torch.aten.arithmetic import add, cast, clamp, compare, div, mul, where
from reprise.formats._torch.aten.values import AtenTensor, Builder, RefusedError, known_number, same_size


def _activation(op: str, b: Builder, self: AtenTensor, **numbers: float) -> AtenTensor:
    if self.dtype != "float32":
        raise RefusedError(f"an activation of whole numbers ({self.dtype})")
    return b.node(op, [self], self.dtype, self.sizes, **numbers)


def elu(b: Builder, self: AtenTensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> AtenTensor:
    if float(input_scale) != 1:
        raise RefusedError("elu with a scale of its input")
    result = _activation("Elu", b, self, alpha=float(alpha))
    return result if float(scale) == 1 else mul(b, result, float(scale))


def leaky_relu(b: Builder, self: AtenTensor, negative_slope: float = 0.01) -> AtenTensor:
    return _activation("LeakyRelu", b, self, alpha=float(negative_slope))


def selu(b: Builder, self: AtenTensor) -> AtenTensor:
    return _activation("Selu", b, self)


def hardsigmoid(b: Builder, self: AtenTensor) -> AtenTensor:
    return _activation("HardSigmoid", b, self, alpha=1 / 6, beta=0.5)


def glu(b: Builder, self: AtenTensor, dim: int = -1) -> AtenTensor:
    kept, gate = layout.chunk(b, self, 2, dim)
    result: AtenTensor = mul(b, kept, _activation("Sigmoid", b, gate))
    return result


def hardtanh(b: Builder, self: AtenTensor, min_val: float = -1, max_val: float = 1) -> AtenTensor:
    return clamp(b, self, min_val, max_val)


def relu6(b: Builder, self: AtenTensor) -> AtenTensor:
    return clamp(b, self, 0.0, 6.0)


def silu(b: Builder, self: AtenTensor) -> AtenTensor:
    made: AtenTensor = mul(b, self, _activation("Sigmoid", b, self))
    return made


def softplus(b: Builder, self: AtenTensor, beta: Any = 1, threshold: Any = 20) -> AtenTensor:
    """log(1 + exp(beta·x)) / beta; x itself where beta·x is more than the threshold."""
    scaled = self if beta == 1 else mul(b, self, float(beta))
    result = _activation("Softplus", b, scaled)
    result = result if beta == 1 else div(b, result, float(beta))
    if threshold >= 20:  # where both are the same in single precision
        return result
    return where(b, compare("Greater", b, scaled, float(threshold)), self, result)


def mish(b: Builder, self: AtenTensor) -> AtenTensor:
    result: AtenTensor = mul(b, self, _activation("Tanh", b, _activation("Softplus", b, self)))
    return result


def log_sigmoid(b: Builder, self: AtenTensor) -> AtenTensor:
    """−log(1 + exp(−x)), as stable as softplus is."""
    result: AtenTensor = mul(b, _activation("Softplus", b, mul(b, self, -1.0)), -1.0)
    return result


def celu(b: Builder, self: AtenTensor, alpha: float = 1.0) -> AtenTensor:
    return _activation("Celu", b, self, alpha=float(alpha))


def prelu(b: Builder, self: AtenTensor, weight: AtenTensor) -> AtenTensor:
    """A slope for each channel, the second axis, or one for all."""
    slope = weight
    if known_number(weight.sizes[0]) != 1 and self.rank > 1:
        same_size(self.sizes[1], weight.sizes[0], "prelu")
        slope = layout.reshape(b, weight, [-1, *([1] * (self.rank - 2))])
    return b.node("PRelu", [self, slope], self.dtype, self.sizes)


def softsign(b: Builder, self: AtenTensor) -> AtenTensor:
    return _activation("Softsign", b, self)


def gelu(b: Builder, self: AtenTensor, approximate: str = "none") -> AtenTensor:
    if approximate == "none":
        inner = _activation("Erf", b, mul(b, self, math.sqrt(0.5)))
    elif approximate == "tanh":
        cubic = mul(b, self, add(b, mul(b, mul(b, self, self), 0.044715), 1.0))
        inner = _activation("Tanh", b, mul(b, cubic, math.sqrt(2 / math.pi)))
    else:
        raise RefusedError(f"gelu approximated by {approximate!r}")
    made: AtenTensor = mul(b, mul(b, self, 0.5), add(b, inner, 1.0))
    return made


def softmax(op: str, b: Builder, self: AtenTensor, dim: int, dtype: int | None = None) -> AtenTensor:
    return b.node(op, [cast(b, self, "float32")], "float32", self.sizes, axis=self.axis(dim))


def dropout(b: Builder, input: AtenTensor, p: float, train: bool) -> AtenTensor:
    if train and p:
        raise RefusedError("dropout that draws at random; save the model in evaluation mode")
    return input


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "elu": elu,
    "leaky_relu": leaky_relu,
    "selu": selu,
    "hardsigmoid": hardsigmoid,
    "glu": glu,
    "hardtanh": hardtanh,
    "relu6": relu6,
    "silu": silu,
    "softplus": softplus,
    "mish": mish,
    "softsign": softsign,
    "log_sigmoid": log_sigmoid,
    "celu": celu,
    "prelu": prelu,
    "gelu": gelu,
    "dropout": dropout,
    "feature_dropout": dropout,
    "alpha_dropout": dropout,
    **{f"{mark}softmax": partial(softmax, "Softmax") for mark in ("", "_")},
    **{f"{mark}log_softmax": partial(softmax, "LogSoftmax") for mark in ("", "_")},
}
