"""Inputs, embeddings, dense layers, activations and masks."""

from __future__ import annotations

from reprise.graph import Node, ShapeAttribute
from reprise.layers.arranging import Cast, Like
from reprise.layers.kinds import Activation, Affine, Both, Dense, Embedding, Input, Mask, Masked, OneHot, ParametricRelu
from reprise.layers.writing.call import LayerSite
from reprise.layers.writing.functions import apply
from reprise.layers.writing.ops import TypedValue


def input_placeholder(site: LayerSite, layer: Input) -> tuple[TypedValue, ...]:
    """A placeholder that is called as the layer is."""
    attributes = {"dtype": layer.dtype, "shape": ShapeAttribute(layer.shape)}
    value = site.ops.scope.add(Node(site.ops.scope.name, "Placeholder", (), (), attributes))
    return site.output(value, layer.shape, layer.dtype)


def embedding(site: LayerSite, layer: Embedding) -> tuple[TypedValue, ...]:
    """Rows of the table; ids that are stored as numbers are cut to whole ones first, as Keras does."""
    ops, ids = site.ops, _whole(site)
    indices = ids.value
    if layer.first:
        indices = ops.op("Sub", indices, ops.number(layer.first, ids.dtype), T=ids.dtype)
    held = (ops.weight("embeddings", layer.table), indices, ops.whole(0))
    types = {"Tparams": ops.dtype, "Tindices": ids.dtype, "Taxis": "int32"}
    return site.output(ops.op("GatherV2", *held, **types), (*ids.shape, layer.table.shape[1]))


def _whole(site: LayerSite) -> TypedValue:
    """The ids that are read, as whole numbers."""
    x = site.x
    if x.dtype in ("int32", "int64"):
        return x
    return TypedValue(site.ops.op("Cast", x.value, SrcT=x.dtype, DstT="int32"), x.shape, "int32")


def one_hot(site: LayerSite, layer: OneHot) -> tuple[TypedValue, ...]:
    """Ids beyond the size are zeros everywhere."""
    ops, ids = site.ops, _whole(site)
    held = (ops.whole(layer.size), ops.number(1.0), ops.number(0.0))
    spread = ops.op("OneHot", ids.value, *held, axis=-1, TI=ids.dtype)
    if not layer.joined:
        return site.output(spread, (*ids.shape, layer.size))
    joined = ops.op("Max", spread, ops.whole(-2), keep_dims=False, Tidx="int32")
    return site.output(joined, (*ids.shape[:-1], layer.size))


def dense(site: LayerSite, layer: Dense) -> tuple[TypedValue, ...]:
    """Over the last axis, whatever stands before it."""
    ops, x = site.ops, site.numbers()
    kernel = ops.weight("kernel", layer.kernel)
    if site.x.rank == 2:
        x = ops.op("MatMul", x, kernel, transpose_a=False, transpose_b=layer.transposed)
    else:
        x = ops.op("BatchMatMulV2", x, kernel, adj_x=False, adj_y=layer.transposed)
    if layer.bias is not None:
        x = ops.op("AddV2", x, ops.weight("bias", layer.bias))
    units = layer.kernel.shape[0 if layer.transposed else 1]
    return site.output(apply(ops, layer.function, x), (*site.x.shape[:-1], units))


def activation(site: LayerSite, layer: Activation) -> tuple[TypedValue, ...]:
    """Element by element, or along an axis, which is brought to the end for it."""
    ops, rank = site.ops, site.x.rank
    axis = layer.axis % rank
    if axis == rank - 1:
        return site.output(apply(ops, layer.function, site.numbers()), site.x.shape)
    order = [*range(axis), rank - 1, *range(axis + 1, rank - 1), axis]
    turned = apply(ops, layer.function, ops.transposed(site.numbers(), order))
    return site.output(ops.transposed(turned, order), site.x.shape)


def parametric_relu(site: LayerSite, layer: ParametricRelu) -> tuple[TypedValue, ...]:
    """relu(x) − slopes · relu(−x)."""
    ops, x = site.ops, site.numbers()
    below = ops.op("Mul", ops.weight("alpha", layer.slopes), ops.op("Relu", ops.op("Neg", x)))
    return site.output(ops.op("Sub", ops.op("Relu", x), below), site.x.shape)


def affine(site: LayerSite, layer: Affine) -> tuple[TypedValue, ...]:
    """The numbers are broadcast."""
    ops = site.ops
    x = ops.op("Mul", site.numbers(), ops.weight("scale", layer.scale))
    if layer.offset is not None:
        x = ops.op("AddV2", x, ops.weight("offset", layer.offset))
    return site.output(x, site.x.shape)


def cast(site: LayerSite, layer: Cast) -> tuple[TypedValue, ...]:
    """Another element type."""
    value = site.ops.op("Cast", site.x.value, SrcT=site.x.dtype, DstT=layer.dtype)
    return site.output(value, site.x.shape, layer.dtype)


def like(site: LayerSite, layer: Like) -> tuple[TypedValue, ...]:
    """A number in the sizes of the input."""
    ops, x, dtype = site.ops, site.x, layer.dtype or site.x.dtype
    sizes = ops.op("Shape", x.value, T=x.dtype, out_type="int32")
    return site.output(
        ops.op("Fill", sizes, ops.number(layer.value, dtype), T=dtype, index_type="int32"), x.shape, dtype
    )


def mask(site: LayerSite, layer: Mask) -> tuple[TypedValue, ...]:
    """Flags [N, T]."""
    ops, x = site.ops, site.x
    flags = ops.op("NotEqual", x.value, ops.number(layer.value, x.dtype), T=x.dtype)
    if not layer.features:
        return site.output(flags, x.shape, "bool")
    found = ops.op("Any", flags, ops.whole(-1), keep_dims=False, Tidx="int32")
    return site.output(found, x.shape[:-1], "bool")


def masked(site: LayerSite, layer: Masked) -> tuple[TypedValue, ...]:
    """Zeros where the second input hides a step."""
    ops = site.ops
    flags = ops.op("Cast", site.inputs[1].value, SrcT="bool", DstT=ops.dtype)
    spread = ops.op("ExpandDims", flags, ops.whole(-1), Tdim="int32")
    return site.output(ops.op("Mul", site.numbers(), spread), site.x.shape)


def combine_masks(site: LayerSite, layer: Both) -> tuple[TypedValue, ...]:
    """Flags that are all true, or of which one is."""
    value = site.x.value
    for other in site.inputs[1:]:
        value = site.ops.op("LogicalOr" if layer.either else "LogicalAnd", value, other.value)
    return site.output(value, site.x.shape, "bool")
