"""ATen's products with weights and normalisations as ONNX.

Sources: aten/src/ATen/native/native_functions.yaml (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reprise.formats._torch.aten.values import Builder, NoIndexError, RefusedError, Value, broadcast, known, same

FLOAT = "float32"


# Products with weights


def linear(b: Builder, input: Value, weight: Value, bias: Value | None = None) -> Value:
    product = matmul(b, input, transposed(b, weight))
    return product if bias is None else b.node("Add", [product, bias], FLOAT, broadcast(product.sizes, bias.sizes))


def transposed(b: Builder, weight: Value) -> Value:
    """A matrix with its axes exchanged; one of the file is stored so."""
    tensor, sizes = weight.stored, weight.sizes[::-1]
    if tensor is None or weight.name not in b.tensors:
        return b.node("Transpose", [weight], FLOAT, sizes, perm=[*range(weight.rank)[::-1]])
    b.loaded.add(weight.name)
    return Value(b.tensor(f"{weight.name} transposed", lambda: tensor.load().astype(FLOAT).T), FLOAT, sizes)


def matmul(b: Builder, self: Value, other: Value) -> Value:
    if not self.rank or not other.rank:
        raise RefusedError("a product of matrices of which one has no axis")
    left = (1, *self.sizes) if self.rank == 1 else self.sizes
    right = (*other.sizes, 1) if other.rank == 1 else other.sizes
    same(left[-1], right[-2], "a product of matrices")
    sizes = (*broadcast(left[:-2], right[:-2]), left[-2], right[-1])
    sizes = sizes[:-1] if other.rank == 1 else sizes
    sizes = (*sizes[: len(sizes) - 2], *sizes[len(sizes) - 1 :]) if self.rank == 1 and other.rank > 1 else sizes
    if self.rank == other.rank == 1:
        sizes = ()
    return b.node("MatMul", [self, other], self.dtype, sizes)


def mm(b: Builder, self: Value, mat2: Value) -> Value:
    if self.rank != 2 or mat2.rank != 2:
        raise RefusedError(f"mm of tensors of {self.rank} and {mat2.rank} axes")
    return matmul(b, self, mat2)


def bmm(b: Builder, self: Value, mat2: Value) -> Value:
    if self.rank != 3 or mat2.rank != 3:
        raise RefusedError(f"bmm of tensors of {self.rank} and {mat2.rank} axes")
    return matmul(b, self, mat2)


def addmm(b: Builder, self: Value, mat1: Value, mat2: Value, beta: Any = 1, alpha: Any = 1) -> Value:
    if known(beta) != 1 or known(alpha) != 1:
        raise RefusedError("addmm with factors")
    product = mm(b, mat1, mat2)
    return b.node("Add", [product, self], FLOAT, broadcast(product.sizes, self.sizes))


def embedding(b: Builder, weight: Value, indices: Value, *options: Any) -> Value:
    return b.node("Gather", [weight, index(indices)], weight.dtype, (*indices.sizes, *weight.sizes[1:]), axis=0)


def index(value: Value) -> Value:
    """A tensor of ids.

    Raises:
        NoIndexError: It holds no whole numbers.
    """
    if value.dtype not in ("int64", "int32"):
        raise NoIndexError(value.root.name)
    return value


# Normalisation


def layer_norm(
    b: Builder,
    input: Value,
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    *options: Any,
) -> Value:
    count = len(normalized_shape)
    if count > input.rank or not count:
        raise RefusedError(f"layer_norm over {count} axes of a tensor of {input.rank}")
    for size, wanted in zip(input.sizes[-count:], normalized_shape, strict=True):
        same(size, wanted, "layer_norm")
    scale = b.constant(np.ones(list(normalized_shape)), FLOAT) if weight is None else weight
    inputs = [input, scale, *([] if bias is None else [bias])]
    return b.node("LayerNormalization", inputs, FLOAT, input.sizes, axis=-count, epsilon=float(eps))


def batch_norm(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    momentum: float,
    eps: float,
    *options: Any,
) -> Value:
    if training or running_mean is None or running_var is None or input.rank < 2:
        raise RefusedError("batch_norm with the statistics of the batch; save the model in evaluation mode")
    same(input.sizes[1], running_mean.sizes[0], "batch_norm")
    size = int(running_mean.sizes[0])  # type: ignore[arg-type]
    scale = b.constant(np.ones(size), FLOAT) if weight is None else weight
    shift = b.constant(np.zeros(size), FLOAT) if bias is None else bias
    return b.node(
        "BatchNormalization",
        [input, scale, shift, running_mean, running_var],
        FLOAT,
        input.sizes,
        epsilon=float(eps),
    )


def native_layer_norm(
    b: Builder, input: Value, normalized_shape: Sequence[int], weight: Value | None, bias: Value | None, eps: float
) -> tuple[Value, None, None]:
    return layer_norm(b, input, normalized_shape, weight, bias, eps), None, None


def native_batch_norm(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value,
    running_var: Value,
    momentum: float,
    eps: float,
) -> tuple[Value, None, None]:
    return batch_norm(b, input, weight, bias, running_mean, running_var, False, momentum, eps), None, None


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "linear": linear,
    "matmul": matmul,
    "mm": mm,
    "bmm": bmm,
    "addmm": addmm,
    "embedding": embedding,
    "layer_norm": layer_norm,
    "native_layer_norm": native_layer_norm,
    "batch_norm": batch_norm,
    "_native_batch_norm_legit_no_training": native_batch_norm,
}
