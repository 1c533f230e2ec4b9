"""Normalisation by stored statistics, and by the channels beside each other."""

from __future__ import annotations

from reprise.graph import Node
from reprise.operators.convolution import LAYOUT, channels_first, channels_last, is_channels_first
from reprise.operators.rules.attributes import Flag, Integer, Number
from reprise.operators.rules.block import computed_type
from reprise.operators.rules.record import Operator
from reprise.operators.rules.shapes import Fact, Shapes
from reprise.operators.rules.site import Site
from reprise.operators.rules.steps import keeps

_TRAINING, _EPSILON = Flag("is_training", default=True), Number("epsilon", 1e-4)
_RADIUS, _ALPHA, _BETA, _BIAS = (
    Integer("depth_radius", 5),
    Number("alpha", 1.0),
    Number("beta", 0.5),
    Number("bias", 1.0),
)


def _batch_norm_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Y like x, and numbers for each channel where an operator gives more."""
    return [Fact(inputs[0].shape), *[Fact(inputs[1].shape)] * 5] if len(inputs) > 1 else [Fact(inputs[0].shape)]


def _batch_norm_onnx(site: Site) -> tuple[str | None, ...]:
    if _TRAINING(site.node):
        raise site.refusal("normalises by the statistics of the batch (training mode)")
    x, scale, offset, mean, variance = site.inputs()
    epsilon = site.constant(_EPSILON(site.node), computed_type(site.dtype()))
    factor = site.one("Div", scale, site.one("Sqrt", site.one("Add", variance, epsilon)))
    shift = site.one("Sub", offset, site.one("Mul", mean, factor))
    if is_channels_first(site):
        axes = site.block.ints(*range(1, site.rank(0) - 1))
        factor, shift = (site.one("Unsqueeze", v, axes) for v in (factor, shift))
    return (site.one("Add", site.one("Mul", x, factor), shift), None, None, None, None)


def _lrn_onnx(site: Site) -> str:
    size = 2 * _RADIUS(site.node) + 1
    alpha, beta, bias = (of(site.node) for of in (_ALPHA, _BETA, _BIAS))
    x = channels_first(site, site.input(0), 4)
    return channels_last(site, site.one("LRN", x, size=size, alpha=alpha * size, beta=beta, bias=bias), 4)


OPERATORS = (
    Operator(
        "FusedBatchNorm FusedBatchNormV2",
        5,
        shape=_batch_norm_shape,
        steps=keeps,
        onnx=_batch_norm_onnx,
        attributes=(_TRAINING, _EPSILON, LAYOUT),
        outputs="y batch_mean batch_variance reserve_space_1 reserve_space_2",
    ),
    Operator(
        "FusedBatchNormV3",
        5,
        shape=_batch_norm_shape,
        steps=keeps,
        onnx=_batch_norm_onnx,
        attributes=(_TRAINING, _EPSILON, LAYOUT),
        outputs="y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3",
    ),
    Operator("LRN", shape=_batch_norm_shape, onnx=_lrn_onnx, attributes=(_RADIUS, _ALPHA, _BETA, _BIAS)),
)
