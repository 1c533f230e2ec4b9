"""Convolutions and pooling of ONNX in TensorFlow. Source: onnx/docs/Operators.md."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from reprise.export.tf_graph.context import Rule, TensorFlowSite


def _convolution(site: TensorFlowSite) -> tf.Tensor:
    """NCHW of one or two axes, which TensorFlow computes as NHWC on any machine; a group after the other."""
    x, kernel = site[0], site[1]
    axes, groups, padding = x.shape.rank - 2, site.attribute("group", 1), site.attribute("auto_pad", "NOTSET")
    if axes not in (1, 2) or padding == "SAME_LOWER":
        raise site.refusal("has more than two axes, or its padding before the numbers")
    pads = site.attribute("pads", [0] * 2 * axes) if padding == "NOTSET" else [0] * 2 * axes
    around = [[0, 0], *([pads[i], pads[i + axes]] for i in range(axes)), [0, 0]]
    last = [0, *range(2, axes + 2), 1]
    moved = tf.pad(tf.transpose(x, last), around)
    weights = tf.transpose(kernel, [*range(2, axes + 2), 1, 0])
    strides, dilations = (site.attribute(n, [1] * axes) for n in ("strides", "dilations"))
    found = tf.concat(
        [
            tf.nn.convolution(rows, part, strides=strides, dilations=dilations, padding=_PADDINGS[padding])
            for rows, part in zip(tf.split(moved, groups, -1), tf.split(weights, groups, -1), strict=True)
        ],
        -1,
    )
    found = found + site[2] if site.has(2) else found
    return tf.transpose(found, [0, axes + 1, *range(1, axes + 1)])


def _pooling(kind: str) -> Rule:
    """Over one or two axes of NCHW, of windows that lie within the picture."""

    def rule(site: TensorFlowSite) -> tf.Tensor:
        x, axes = site[0], site[0].shape.rank - 2
        padding = site.attribute("auto_pad", "NOTSET")
        if (
            axes not in (1, 2)
            or padding == "SAME_LOWER"
            or any(site.attribute("pads") or [])
            or len(site.node.output) > 1
        ):
            raise site.refusal("has more than two axes, or padding of its own")
        if (
            len(site.node.output) > 1
            or site.attribute("ceil_mode", 0)
            or any(n != 1 for n in site.attribute("dilations") or [])
        ):
            raise site.refusal("gives indices, or has windows that reach beyond the image or leave numbers out")
        strides = site.attribute("strides", [1] * axes)
        moved = tf.transpose(x, [0, *range(2, axes + 2), 1])
        found = tf.nn.pool(moved, site.attribute("kernel_shape"), kind, strides, _PADDINGS[padding])
        return tf.transpose(found, [0, axes + 1, *range(1, axes + 1)])

    return rule


_PADDINGS = {"NOTSET": "VALID", "VALID": "VALID", "SAME_UPPER": "SAME"}

PICTURES: Mapping[str, Rule] = {"AveragePool": _pooling("AVG"), "Conv": _convolution, "MaxPool": _pooling("MAX")}
