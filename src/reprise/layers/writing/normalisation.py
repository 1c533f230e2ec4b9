"""Normalisation: by stored moments, by those of each input, by its length."""

from __future__ import annotations

from reprise.graph import Value
from reprise.layers.kinds import BatchNormalisation, LayerNormalisation, UnitNormalisation
from reprise.layers.writing.call import LayerSite
from reprise.layers.writing.ops import Outside, TypedValue
from reprise.tensors import Tensor


def batch(site: LayerSite, layer: BatchNormalisation) -> tuple[TypedValue, ...]:
    """X · s + (offset − mean · s) with s = scale / √(variance + ε), along one axis."""
    ops, rank = site.ops, site.x.rank
    behind = rank - 1 - layer.axis % rank
    variance = ops.op("AddV2", ops.weight("moving_variance", layer.variance), ops.number(layer.epsilon))
    factor = ops.op("Rsqrt", variance)
    if layer.scale is not None:
        factor = ops.op("Mul", factor, ops.weight("gamma", layer.scale))
    term = ops.op("Neg", ops.op("Mul", ops.weight("moving_mean", layer.mean), factor))
    if layer.offset is not None:
        term = ops.op("AddV2", ops.weight("beta", layer.offset), term)
    scaled = ops.op("Mul", site.numbers(), _along(ops, factor, behind))
    return site.output(ops.op("AddV2", scaled, _along(ops, term, behind)), site.x.shape)


def _along(ops: Outside, vector: Value, behind: int) -> Value:
    """A vector with so many axes of one behind it."""
    return ops.reshaped(vector, (-1, *[1] * behind)) if behind else vector


def layer(site: LayerSite, layer: LayerNormalisation) -> tuple[TypedValue, ...]:
    """Over the moments of some axes of each input."""
    ops, x = site.ops, site.numbers()
    axes = ops.whole(sorted(axis % site.x.rank for axis in layer.axes))
    keep = {"keep_dims": True, "Tidx": "int32"}
    if not layer.root:
        x = ops.op("Sub", x, ops.op("Mean", x, axes, **keep))
    variance = ops.op("Mean", ops.op("Square", x), axes, **keep)
    x = ops.op("Mul", x, ops.op("Rsqrt", ops.op("AddV2", variance, ops.number(layer.epsilon))))
    if layer.scale is not None:
        x = ops.op("Mul", x, _spread(site, "gamma", layer.scale, layer.axes))
    if layer.offset is not None:
        x = ops.op("AddV2", x, _spread(site, "beta", layer.offset, layer.axes))
    return site.output(x, site.x.shape)


def _spread(site: LayerSite, name: str, tensor: Tensor, axes: tuple[int, ...]) -> Value:
    """A weight of the sizes of some axes, with ones for those between and behind them."""
    value, rank = site.ops.weight(name, tensor), site.x.rank
    found = sorted(axis % rank for axis in axes)
    if found == list(range(rank - len(found), rank)):
        return value
    sizes = dict(zip(found, tensor.shape, strict=True))
    return site.ops.reshaped(value, [sizes.get(i, 1) for i in range(found[0], rank)])


def unit(site: LayerSite, layer: UnitNormalisation) -> tuple[TypedValue, ...]:
    """X by its length."""
    ops, x = site.ops, site.numbers()
    axes = ops.whole(sorted(axis % site.x.rank for axis in layer.axes))
    total = ops.op("Sum", ops.op("Square", x), axes, keep_dims=True, Tidx="int32")
    return site.output(ops.op("Mul", x, ops.op("Rsqrt", ops.op("Maximum", total, ops.number(1e-12)))), site.x.shape)
