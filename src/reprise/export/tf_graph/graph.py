"""The operators of an ONNX graph, computed one after the other by TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from reprise.errors import SaveError
from reprise.export.tf_graph.context import Rule, TensorFlowSite, Values
from reprise.export.tf_graph.control import CONTROL
from reprise.export.tf_graph.images import PICTURES
from reprise.export.tf_graph.operators import OPERATORS
from reprise.export.tf_graph.recurrent import RECURRENT
from reprise.wire import onnx

_RULES: Mapping[str, Rule] = {**OPERATORS, **PICTURES, **RECURRENT, **CONTROL}


def build_values(graph: onnx.Message, values: Values) -> dict[str, tf.Tensor]:
    """Every value of `graph`, made in the TensorFlow graph that is current.

    Args:
        graph: An ONNX graph in operator set 17, or one near it.
        values: Its inputs and large weights by name, and what is around it where it lies in another.

    Raises:
        SaveError: An operator has no counterpart; the message names it and its node.
    """
    found = dict(values)
    for tensor in graph.initializer:
        if tensor.name not in found:
            found[tensor.name] = tf.constant(onnx.array_of(tensor))
    for node in graph.node:
        _compute(node, found)
    return found


def _compute(node: onnx.Message, found: dict[str, tf.Tensor]) -> None:
    rule = _RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    site = TensorFlowSite(node, found, lambda graph, given: build_values(graph, {**found, **given}))
    if rule is None:
        raise site.refusal("has no counterpart in TensorFlow")
    try:
        made = rule(site)
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise SaveError(
            f"{site.refusal('cannot be expressed')} ({next(iter(str(error).splitlines()), error)})"
        ) from error
    outputs = made if isinstance(made, (list, tuple)) else [made]
    found.update({name: value for name, value in zip(node.output, outputs, strict=False) if name})
