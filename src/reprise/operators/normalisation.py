"""Normalisation by stored statistics, and by the channels beside each other."""

from __future__ import annotations

from reprise.graph import Node
from reprise.operators.convolution import channels_first, channels_last, is_channels_first
from reprise.operators.rules.block import computed
from reprise.operators.rules.record import Operator
from reprise.operators.rules.shapes import Fact, Shapes
from reprise.operators.rules.site import Site
from reprise.operators.rules.steps import keeps


def _like_first_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Y like x, and numbers for each channel where an operator gives more."""
    return [Fact(inputs[0].shape), *[Fact(inputs[1].shape)] * 5] if len(inputs) > 1 else [Fact(inputs[0].shape)]


def _batch_norm_onnx(site: Site) -> tuple[str | None, ...]:
    if site.node.flag("is_training", default=True):
        raise site.refusal("normalises by the statistics of the batch (training mode)")
    x, scale, offset, mean, variance = site.inputs()
    epsilon = site.constant(site.node.number("epsilon", 1e-4), computed(site.dtype()))
    factor = site.one("Div", scale, site.one("Sqrt", site.one("Add", variance, epsilon)))
    shift = site.one("Sub", offset, site.one("Mul", mean, factor))
    if is_channels_first(site):
        axes = site.block.ints(*range(1, site.rank(0) - 1))
        factor, shift = (site.one("Unsqueeze", v, axes) for v in (factor, shift))
    return (site.one("Add", site.one("Mul", x, factor), shift), None, None, None, None)


def _local_response_onnx(site: Site) -> str:
    size = 2 * site.node.integer("depth_radius", 5) + 1
    alpha, beta, bias = (site.node.number(*each) for each in (("alpha", 1.0), ("beta", 0.5), ("bias", 1.0)))
    x = channels_first(site, site.input(0), 4)
    return channels_last(site, site.one("LRN", x, size=size, alpha=alpha * size, beta=beta, bias=bias), 4)


OPERATORS = (
    Operator(
        "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3", shape=_like_first_shape, steps=keeps, onnx=_batch_norm_onnx
    ),
    Operator("LRN", shape=_like_first_shape, onnx=_local_response_onnx),
)
