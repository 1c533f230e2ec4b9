"""Attention: dot products, Bahdanau's sums, and several heads."""

from __future__ import annotations

from reprise.graph import Value
from reprise.layers.kinds import Attention, MultiHeadAttention, Projection
from reprise.layers.writing.call import LayerSite
from reprise.layers.writing.ops import Outside, TypedValue

#: What is taken off a score that a mask hides.
_HIDDEN = 1e9


def attention(site: LayerSite, layer: Attention) -> tuple[TypedValue, ...]:
    """Query [N, Q, D], value [N, V, D], key → [N, Q, D], and the weights [N, Q, V]."""
    ops = site.ops
    query, value, key = (site.numbers(i) for i in (0, 1, len(site.inputs) - 1))
    scores = _additive(ops, layer, query, key) if layer.additive else _products(ops, layer, query, key)
    hidden = _hidden(site, causal=layer.causal)
    if hidden is not None:
        scores = ops.op("Sub", scores, ops.op("Mul", hidden, ops.number(_HIDDEN)))
    weights = ops.op("Softmax", scores)
    made = ops.op("BatchMatMulV2", weights, value, adj_x=False, adj_y=False)
    if site.mask is not None:
        flags = ops.op("Cast", site.mask.value, SrcT="bool", DstT=ops.dtype)
        made = ops.op("Mul", made, ops.op("ExpandDims", flags, ops.whole(-1), Tdim="int32"))
    (batch, steps, _), (_, positions, width) = site.inputs[0].shape, site.inputs[1].shape
    found = site.output(made, (batch, steps, width))
    return (*found, *site.output(weights, (batch, steps, positions))) if layer.scores else found


def _products(ops: Outside, layer: Attention, query: Value, key: Value) -> Value:
    scores = ops.op("BatchMatMulV2", query, key, adj_x=False, adj_y=True)
    return scores if layer.scale is None else ops.op("Mul", scores, ops.weight("scale", layer.scale))


def _additive(ops: Outside, layer: Attention, query: Value, key: Value) -> Value:
    rows = ops.op("ExpandDims", query, ops.whole(2), Tdim="int32")
    columns = ops.op("ExpandDims", key, ops.whole(1), Tdim="int32")
    terms = ops.op("Tanh", ops.op("AddV2", rows, columns))
    if layer.scale is not None:
        terms = ops.op("Mul", terms, ops.weight("scale", layer.scale))
    return ops.op("Sum", terms, ops.whole(-1), keep_dims=False, Tidx="int32")


def _hidden(site: LayerSite, *, causal: bool) -> Value | None:
    """1 where a query [N, Q] may not see a value [N, V], as numbers [N, 1, V] or [Q, V]; None where all see all."""
    ops, found = site.ops, []
    if site.other_mask is not None:
        flags = ops.op("Cast", ops.op("LogicalNot", site.other_mask.value), SrcT="bool", DstT=ops.dtype)
        found.append(ops.op("ExpandDims", flags, ops.whole(1), Tdim="int32"))
    if causal:
        found.append(_later(ops, site.inputs[0].value, site.inputs[1].value))
    return found[0] if len(found) == 1 else ops.op("Maximum", *found) if found else None


def _later(ops: Outside, query: Value, value: Value) -> Value:
    """1 where the place of the value is behind that of the query, [Q, V]."""
    rows, columns = (
        ops.op("Range", ops.whole(0), ops.size(v, 1), ops.whole(1), Tidx="int32", T="int32") for v in (query, value)
    )
    rows = ops.op("ExpandDims", rows, ops.whole(1), T="int32", Tdim="int32")
    return ops.op("Cast", ops.op("Greater", columns, rows, T="int32"), SrcT="bool", DstT=ops.dtype)


def multi_head(site: LayerSite, layer: MultiHeadAttention) -> tuple[TypedValue, ...]:
    """Query [N, Q, D], value [N, V, D], key → [N, Q, D], and the weights [N, heads, Q, V]."""
    ops = site.ops
    heads, size = layer.query.kernel.shape[1:]
    query = ops.op("Mul", _heads(site, 0, "query", layer.query, heads), ops.number(size**-0.5))
    value = _heads(site, 1, "value", layer.value, heads)
    key = _heads(site, len(site.inputs) - 1, "key", layer.key, heads)
    scores = ops.op("BatchMatMulV2", query, key, adj_x=False, adj_y=True)
    hidden = _hidden_of_heads(site, causal=layer.causal)
    if hidden is not None:
        scores = ops.op("Sub", scores, ops.op("Mul", hidden, ops.number(_HIDDEN)))
    weights = ops.op("Softmax", scores)
    made = ops.transposed(ops.op("BatchMatMulV2", weights, value, adj_x=False, adj_y=False), (0, 2, 1, 3))
    (batch, steps, _), positions = site.inputs[0].shape, site.inputs[1].shape[1]
    found = site.output(_joined(site, made, layer.output), (batch, steps, layer.output.kernel.shape[-1]))
    return (*found, *site.output(weights, (batch, heads, steps, positions))) if layer.scores else found


def _heads(site: LayerSite, index: int, name: str, projection: Projection, heads: int) -> Value:
    """[N, T, D] as [N, heads, T, size]; heads that several of the query share are repeated."""
    ops, (inputs, own, size) = site.ops, projection.kernel.shape
    kernel = ops.reshaped(ops.weight(f"{name}/kernel", projection.kernel), (inputs, own * size))
    x = ops.op("BatchMatMulV2", site.numbers(index), kernel, adj_x=False, adj_y=False)
    if projection.bias is not None:
        x = ops.op("AddV2", x, ops.reshaped(ops.weight(f"{name}/bias", projection.bias), (own * size,)))
    x = _sized(site, index, x, (own, size))
    if own != heads:
        x = ops.op("ExpandDims", x, ops.whole(3), Tdim="int32")
        x = ops.op("Tile", x, ops.whole([1, 1, 1, heads // own, 1]), Tmultiples="int32")
        x = _sized(site, index, x, (heads, size))
    return ops.transposed(x, (0, 2, 1, 3))


def _sized(site: LayerSite, index: int, x: Value, sizes: tuple[int, int]) -> Value:
    """A value [N, T, …] with other sizes behind these two."""
    ops, source = site.ops, site.inputs[index].value
    parts = [ops.size(source, 0), ops.size(source, 1), *(ops.whole(n) for n in sizes)]
    return ops.op("Reshape", x, ops.op("Pack", *parts, N=4, T="int32"), Tshape="int32")


def _joined(site: LayerSite, x: Value, projection: Projection) -> Value:
    """[N, T, heads, size] as [N, T, D]."""
    ops, (heads, size, outputs) = site.ops, projection.kernel.shape
    source = site.inputs[0].value
    parts = [ops.size(source, 0), ops.size(source, 1), ops.whole(heads * size)]
    x = ops.op("Reshape", x, ops.op("Pack", *parts, N=3, T="int32"), Tshape="int32")
    kernel = ops.reshaped(ops.weight("output/kernel", projection.kernel), (heads * size, outputs))
    x = ops.op("BatchMatMulV2", x, kernel, adj_x=False, adj_y=False)
    return x if projection.bias is None else ops.op("AddV2", x, ops.weight("output/bias", projection.bias))


def _hidden_of_heads(site: LayerSite, *, causal: bool) -> Value | None:
    """As `_hidden` for [N, heads, Q, V]; a query that its own mask hides sees nothing, so all values alike."""
    ops, found = site.ops, []
    for mask, axes in ((site.mask, (1, 3)), (site.other_mask, (1, 2))):
        if mask is not None:
            flags = ops.op("Cast", ops.op("LogicalNot", mask.value), SrcT="bool", DstT=ops.dtype)
            for axis in axes:
                flags = ops.op("ExpandDims", flags, ops.whole(axis), Tdim="int32")
            found.append(flags)
    if causal:
        found.append(_later(ops, site.inputs[0].value, site.inputs[1].value))
    made = None
    for one in found:
        made = one if made is None else ops.op("Maximum", made, one)
    return made
