"""ATen's products with weights and normalisations as ONNX.

Sources: aten/src/ATen/native/native_functions.yaml (2.13), the ONNX operator documentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reprise.formats._torch.aten import layout
from reprise.formats._torch.aten.arithmetic import add, div, mul, where
from reprise.formats._torch.aten.values import (
    AtenTensor,
    Builder,
    NoIndexError,
    RefusedError,
    Size,
    broadcast,
    known_number,
    same_size,
)

FLOAT = "float32"


# Products with weights


def linear(b: Builder, input: AtenTensor, weight: AtenTensor, bias: AtenTensor | None = None) -> AtenTensor:
    product = matmul(b, input, transposed(b, weight))
    return product if bias is None else b.node("Add", [product, bias], FLOAT, broadcast(product.sizes, bias.sizes))


def transposed(b: Builder, weight: AtenTensor) -> AtenTensor:
    """A matrix with its axes exchanged; one of the file is stored so."""
    tensor, sizes = weight.stored, weight.sizes[::-1]
    if tensor is None or weight.name not in b.tensors:
        return b.node("Transpose", [weight], FLOAT, sizes, perm=[*range(weight.rank)[::-1]])
    b.loaded.add(weight.name)
    return AtenTensor(b.tensor(f"{weight.name} transposed", lambda: tensor.load().astype(FLOAT).T), FLOAT, sizes)


def matmul(b: Builder, self: AtenTensor, other: AtenTensor) -> AtenTensor:
    if not self.rank or not other.rank:
        raise RefusedError("a product of matrices of which one has no axis")
    left = (1, *self.sizes) if self.rank == 1 else self.sizes
    right = (*other.sizes, 1) if other.rank == 1 else other.sizes
    same_size(left[-1], right[-2], "a product of matrices")
    sizes = (*broadcast(left[:-2], right[:-2]), left[-2], right[-1])
    sizes = sizes[:-1] if other.rank == 1 else sizes
    sizes = (*sizes[: len(sizes) - 2], *sizes[len(sizes) - 1 :]) if self.rank == 1 and other.rank > 1 else sizes
    if self.rank == other.rank == 1:
        sizes = ()
    return b.node("MatMul", [self, other], self.dtype, sizes)


def mm(b: Builder, self: AtenTensor, mat2: AtenTensor) -> AtenTensor:
    if self.rank != 2 or mat2.rank != 2:
        raise RefusedError(f"mm of tensors of {self.rank} and {mat2.rank} axes")
    return matmul(b, self, mat2)


def bmm(b: Builder, self: AtenTensor, mat2: AtenTensor) -> AtenTensor:
    if self.rank != 3 or mat2.rank != 3:
        raise RefusedError(f"bmm of tensors of {self.rank} and {mat2.rank} axes")
    return matmul(b, self, mat2)


def addmm(
    b: Builder, self: AtenTensor, mat1: AtenTensor, mat2: AtenTensor, beta: Any = 1, alpha: Any = 1
) -> AtenTensor:
    if known_number(beta) != 1 or known_number(alpha) != 1:
        raise RefusedError("addmm with factors")
    product = mm(b, mat1, mat2)
    return b.node("Add", [product, self], FLOAT, broadcast(product.sizes, self.sizes))


def einsum(b: Builder, equation: str, tensors: Sequence[AtenTensor], path: Any = None) -> AtenTensor:
    """A sum of products by an equation; without three dots."""
    terms, arrow, given = equation.replace(" ", "").partition("->")
    taken = terms.split(",")
    if "." in equation or not arrow or [len(t) for t in taken] != [v.rank for v in tensors]:
        raise RefusedError(f"einsum by {equation!r} of tensors of {[v.rank for v in tensors]} axes")
    sizes: dict[str, Size] = {}
    for letter, size in (
        (x, n) for term, v in zip(taken, tensors, strict=True) for x, n in zip(term, v.sizes, strict=True)
    ):
        sizes[letter] = same_size(sizes.get(letter, size), size, f"einsum by {equation!r}")
    shape = [sizes[letter] for letter in given]
    return b.node("Einsum", list(tensors), FLOAT, shape, equation=f"{terms}->{given}")


def attention(
    b: Builder,
    query: AtenTensor,
    key: AtenTensor,
    value: AtenTensor,
    attn_mask: AtenTensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> AtenTensor:
    """softmax(q·kᵀ·scale + mask)·v."""
    width = known_number(query.sizes[-1])
    if is_causal or enable_gqa or dropout_p or not isinstance(width, int):
        raise RefusedError("attention of a kind that is not read")
    products = matmul(b, query, layout.transpose(b, key, -2, -1))
    scores: AtenTensor = mul(b, products, width**-0.5 if scale is None else scale)
    if attn_mask is not None:
        chosen = attn_mask.dtype == "bool"
        scores = where(b, attn_mask, scores, -math.inf) if chosen else add(b, scores, attn_mask)
    return matmul(b, b.node("Softmax", [scores], FLOAT, scores.sizes, axis=-1), value)


def embedding(b: Builder, weight: AtenTensor, indices: AtenTensor, *options: Any) -> AtenTensor:
    return b.node("Gather", [weight, index(indices)], weight.dtype, (*indices.sizes, *weight.sizes[1:]), axis=0)


def index(value: AtenTensor) -> AtenTensor:
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
    input: AtenTensor,
    normalized_shape: Sequence[int],
    weight: AtenTensor | None = None,
    bias: AtenTensor | None = None,
    eps: float = 1e-5,
    *options: Any,
) -> AtenTensor:
    count = len(normalized_shape)
    if count > input.rank or not count:
        raise RefusedError(f"layer_norm over {count} axes of a tensor of {input.rank}")
    for size, wanted in zip(input.sizes[-count:], normalized_shape, strict=True):
        same_size(size, wanted, "layer_norm")
    scale = b.constant(np.ones(list(normalized_shape)), FLOAT) if weight is None else weight
    inputs = [input, scale, *([] if bias is None else [bias])]
    return b.node("LayerNormalization", inputs, FLOAT, input.sizes, axis=-count, epsilon=float(eps))


def rms_norm(
    b: Builder,
    input: AtenTensor,
    normalized_shape: Sequence[int],
    weight: AtenTensor | None = None,
    eps: float | None = None,
) -> AtenTensor:
    axes = [*range(-len(normalized_shape), 0)]
    small = float(np.finfo(FLOAT).eps) if eps is None else float(eps)
    size = [*input.sizes[: len(axes) * -1], *([1] * len(axes))]
    square = b.node("ReduceMean", [mul(b, input, input)], FLOAT, size, axes=axes, keepdims=1)
    root = b.node("Sqrt", [add(b, square, small)], FLOAT, size)
    result: AtenTensor = div(b, input, root)
    return result if weight is None else mul(b, result, weight)


def group_norm(
    b: Builder,
    input: AtenTensor,
    num_groups: int,
    weight: AtenTensor | None = None,
    bias: AtenTensor | None = None,
    eps: float = 1e-5,
    *options: Any,
) -> AtenTensor:
    """Each group of channels normalised as one channel is."""
    groups = layout.reshape(b, input, [input.sizes[0], num_groups, -1])
    ones, zeros = (b.constant(np.full(num_groups, n), FLOAT) for n in (1, 0))
    flat = b.node("InstanceNormalization", [groups, ones, zeros], FLOAT, groups.sizes, epsilon=float(eps))
    return _per_channel(b, layout.reshape(b, flat, input.sizes), weight, bias)


def native_group_norm(
    b: Builder,
    input: AtenTensor,
    weight: AtenTensor | None,
    bias: AtenTensor | None,
    n: Any,
    c: Any,
    hxw: Any,
    group: int,
    eps: float,
) -> tuple[AtenTensor, None, None]:
    return group_norm(b, input, group, weight, bias, eps), None, None


def _per_channel(b: Builder, value: AtenTensor, weight: AtenTensor | None, bias: AtenTensor | None) -> AtenTensor:
    """Scaled and shifted by numbers of the second axis."""
    shape = [-1, *([1] * (value.rank - 2))]
    scaled: AtenTensor = value if weight is None else mul(b, value, layout.reshape(b, weight, shape))
    return scaled if bias is None else add(b, scaled, layout.reshape(b, bias, shape))


def batch_norm(
    b: Builder,
    input: AtenTensor,
    weight: AtenTensor | None,
    bias: AtenTensor | None,
    running_mean: AtenTensor | None,
    running_var: AtenTensor | None,
    training: bool,
    momentum: float,
    eps: float,
    *options: Any,
) -> AtenTensor:
    if training or running_mean is None or running_var is None or input.rank < 2:
        raise RefusedError("batch_norm with the statistics of the batch; save the model in evaluation mode")
    same_size(input.sizes[1], running_mean.sizes[0], "batch_norm")
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
    b: Builder,
    input: AtenTensor,
    normalized_shape: Sequence[int],
    weight: AtenTensor | None,
    bias: AtenTensor | None,
    eps: float,
) -> tuple[AtenTensor, None, None]:
    return layer_norm(b, input, normalized_shape, weight, bias, eps), None, None


def native_batch_norm(
    b: Builder,
    input: AtenTensor,
    weight: AtenTensor | None,
    bias: AtenTensor | None,
    running_mean: AtenTensor,
    running_var: AtenTensor,
    momentum: float,
    eps: float,
) -> tuple[AtenTensor, None, None]:
    return batch_norm(b, input, weight, bias, running_mean, running_var, False, momentum, eps), None, None


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "linear": linear,
    "matmul": matmul,
    "mm": mm,
    "bmm": bmm,
    "addmm": addmm,
    "einsum": einsum,
    "scaled_dot_product_attention": attention,
    "embedding": embedding,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "native_group_norm": native_group_norm,
    "layer_norm": layer_norm,
    "native_layer_norm": native_layer_norm,
    "batch_norm": batch_norm,
    "_native_batch_norm_legit_no_training": native_batch_norm,
}
