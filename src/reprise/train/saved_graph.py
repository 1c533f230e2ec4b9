"""The graph that travels with the weights: a MetaGraph that any TensorFlow can load, step and go on training.

It says what it is: the signatures `step` and `train` name every input, output and state; the collection `reprise`
holds the vocabulary and the configuration as JSON, and its SHA-256. Operators and loops are those of TensorFlow 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import tensorflow as tf

from reprise.train import optimizer, plain
from reprise.train.model import Architecture, Named, dropout_mask, forward, loss, parameter_shapes, state_shapes
from reprise.vocabulary import Vocabulary

v1 = tf.compat.v1

#: Inputs and outputs by role.
Signature: TypeAlias = tuple[Named, Named]

#: Hints that newer versions attach to operators; TensorFlow 1 refuses a graph with attributes it does not know.
_UNKNOWN_TO_TENSORFLOW_1 = ("debug_name", "grad_a", "grad_b", "validate_shape", "_has_manual_control_dependencies")

#: The collection that holds vocabulary and configuration.
COLLECTION = "reprise"


def meta_graph(
    model: Architecture,
    variables: Mapping[str, tf.TensorSpec],
    *,
    vocabulary: Vocabulary | None,
    config: Mapping[str, Any],
) -> bytes:
    """The serialised MetaGraph over the named variables, batch and time free.

    Args:
        model: The architecture.
        variables: All that a checkpoint holds: parameters, the optimizer's, the trainer's.
        vocabulary: What the token ids mean; None for a forecast.
        config: Of the run, as plain data; `grad_clip` and `dropout` shape the training graph.
    """
    with tf.Graph().as_default() as graph, _frames():
        created = _variables(model, variables)
        inputs, states, logits, final = _inference(model, created)
        signatures = {"step": _step_signature(model, inputs, states, logits, final)}
        signatures["train"] = _training(model, created, inputs, states, (logits, final), config)
        saver = v1.train.Saver(created, max_to_keep=None)
        about = _about(model, vocabulary, config)
        graph.add_to_collection(COLLECTION, about)
        graph.add_to_collection(COLLECTION, hashlib.sha256(about).hexdigest().encode())  # a MetaGraph has no checksum
        meta = v1.train.export_meta_graph(saver_def=saver.as_saver_def(), strip_default_attrs=True)
    for node in meta.graph_def.node:
        for attribute in _UNKNOWN_TO_TENSORFLOW_1:
            node.attr.pop(attribute, None)
    for name, (inputs, outputs) in signatures.items():
        _describe(meta.signature_def[name], f"reprise/{name}", inputs, outputs)
    return bytes(meta.SerializeToString(deterministic=True))


@contextmanager
def _frames() -> Iterator[None]:
    """Loops as Enter, Merge, Switch, NextIteration, Exit: TensorFlow 1 before 1.13 knows no functional While."""
    functional = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        if functional:
            v1.enable_control_flow_v2()


def _variables(model: Architecture, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    trained = parameter_shapes(model)
    with v1.variable_scope("", use_resource=True):
        return {
            name: v1.get_variable(
                name, spec.shape, spec.dtype, initializer=v1.zeros_initializer(), trainable=name in trained
            )
            for name, spec in specs.items()
        }


def _inference(model: Architecture, variables: Named) -> tuple[tf.Tensor, Named, tf.Tensor, Named]:
    if model.task == "text":
        inputs = v1.placeholder(tf.int32, [None, None], name="tokens")
    else:
        inputs = v1.placeholder(tf.float32, [None, None, model.input_size], name="features")
    batch = tf.shape(inputs)[0]
    states = {
        name: v1.placeholder_with_default(tf.zeros([batch, width]), [None, width], name=f"state/{name}")
        for name, (_, width) in state_shapes(model, None).items()
    }
    logits, final = forward(model, variables, _normalised(variables, inputs), states, layer=plain.loop)
    logits = tf.identity(_restored(variables, logits), name="logits" if model.task == "text" else "values")
    return inputs, states, logits, {name: tf.identity(final[name], name=f"final_state/{name}") for name in final}


def _step_signature(
    model: Architecture, inputs: tf.Tensor, states: Named, logits: tf.Tensor, final: Named
) -> Signature:
    outputs = {logits.op.name: logits}
    if model.task == "text":
        outputs["probabilities"] = tf.nn.softmax(logits, name="probabilities")
    return {inputs.op.name: inputs, **_state_keys(states)}, {**outputs, **_state_keys(final)}


def _training(
    model: Architecture,
    variables: Named,
    inputs: tf.Tensor,
    states: Named,
    inferred: tuple[tf.Tensor, Named],
    config: Mapping[str, Any],
) -> Signature:
    with tf.name_scope("training"):
        targets = v1.placeholder(inputs.dtype, inputs.shape, name="targets")
        rate = v1.placeholder_with_default(variables["trainer/learning_rate"], [], name="learning_rate")
        logits, final = inferred
        if config["dropout"]:
            seed = tf.stack([variables["trainer/seed"].read_value(), variables["global_step"].read_value()])
            masks = partial(_mask, config["dropout"], seed * [1, model.num_layers])
            logits, final = forward(
                model, variables, _normalised(variables, inputs), states, layer=plain.loop, masks=masks
            )
            logits = _restored(variables, logits)
        objective = tf.identity(_objective(model, variables, logits, targets), name="loss")
        names = list(parameter_shapes(model))
        gradients = tf.gradients(objective, [variables[name] for name in names])
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        gradients, norm = optimizer.clipped(dense, config["grad_clip"])
        norm = tf.identity(norm, name="gradient_norm")
        with tf.control_dependencies([objective, norm, *final.values()]):
            train_op = tf.group(optimizer.apply(variables, names, gradients, rate), name="train_op")
    fed = {inputs.op.name: inputs, "targets": targets, "learning_rate": rate, **_state_keys(states)}
    fetched = {"loss": objective, "gradient_norm": norm, "train_op": train_op, **_state_keys(final)}
    return fed, fetched


def _objective(model: Architecture, variables: Named, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """The loss; a forecast's in the units of the model.

    The difference is taken before it is scaled, so that the values themselves are what meets the targets.
    """
    if model.task == "text":
        return loss(model, outputs, targets)
    scaled = (outputs - targets) / variables["normalisation/std"]
    return loss(model, scaled, tf.zeros_like(scaled))


def _normalised(variables: Named, values: tf.Tensor) -> tf.Tensor:
    """Values in the units of the data as the model takes them; tokens as they are."""
    if "normalisation/mean" not in variables:
        return values
    return (values - variables["normalisation/mean"]) / variables["normalisation/std"]


def _restored(variables: Named, values: tf.Tensor) -> tf.Tensor:
    """The inverse of `_normalised`."""
    if "normalisation/mean" not in variables:
        return values
    return values * variables["normalisation/std"] + variables["normalisation/mean"]


def _mask(rate: float, seed: tf.Tensor, layer: int, outputs: tf.Tensor) -> tf.Tensor:
    return dropout_mask(rate, seed, layer, tf.shape(outputs))


def _state_keys(states: Named) -> dict[str, tf.Tensor]:
    return {f"state/{name}": tensor for name, tensor in states.items()}


def _describe(signature: Any, method: str, inputs: Named, outputs: Named) -> None:
    """Writes a SignatureDef."""
    signature.method_name = method
    for described, named in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for key, value in named.items():
            described[key].name = value.name
            if isinstance(value, tf.Tensor):  # an operation has a name only, as in SavedModel's own train_op
                described[key].dtype = value.dtype.as_datatype_enum
                described[key].tensor_shape.CopyFrom(value.shape.as_proto())


def _about(model: Architecture, vocabulary: Vocabulary | None, config: Mapping[str, Any]) -> bytes:
    about = {"version": 1, "architecture": model.to_json(), "config": dict(config)}
    if vocabulary is not None:
        about["vocabulary"] = vocabulary.to_json()
    return json.dumps(about, ensure_ascii=False).encode("utf-8")
