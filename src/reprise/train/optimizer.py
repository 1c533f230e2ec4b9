"""Adam with clipping by the global norm, its memory in variables named as TensorFlow 1 names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.tensors import Array

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def slot_names(parameter: str) -> tuple[str, str]:
    """The variables of a parameter's first and second moment."""
    return f"{parameter}/Adam", f"{parameter}/Adam_1"


def initial_slots(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The optimizer's variables before the first step."""
    slots: dict[str, Array] = {
        slot: np.zeros(shape, np.float32) for name, shape in shapes.items() for slot in slot_names(name)
    }
    powers = {"beta1_power": np.array(BETA1, np.float32), "beta2_power": np.array(BETA2, np.float32)}
    return slots | powers | {"global_step": np.array(0, np.int64)}


def clipped(gradients: Sequence[tf.Tensor], limit: float) -> tuple[list[tf.Tensor], tf.Tensor]:
    """The gradients, scaled so that their global norm is at most `limit` (0: unchanged), and the norm before."""
    norm = tf.linalg.global_norm(gradients)
    return (tf.clip_by_global_norm(gradients, limit, use_norm=norm)[0] if limit else list(gradients)), norm


def apply(
    variables: Mapping[str, Any], parameters: Sequence[str], gradients: Sequence[tf.Tensor], learning_rate: tf.Tensor
) -> tf.Operation | None:
    """One step of Adam on resource variables: parameters, moments, powers, and one more `global_step`.

    Source: Kingma and Ba 2015, algorithm 1, in the form of tf.compat.v1.train.AdamOptimizer.
    """
    powers = variables["beta1_power"], variables["beta2_power"]
    updates = [
        tf.raw_ops.ResourceApplyAdam(
            var=variables[name].handle,
            m=variables[slot_names(name)[0]].handle,
            v=variables[slot_names(name)[1]].handle,
            beta1_power=powers[0].read_value(),
            beta2_power=powers[1].read_value(),
            lr=learning_rate,
            beta1=BETA1,
            beta2=BETA2,
            epsilon=EPSILON,
            grad=gradient,
        )
        for name, gradient in zip(parameters, gradients, strict=True)
    ]
    with tf.control_dependencies([update for update in updates if update is not None]):
        after = [power.assign(power * beta) for power, beta in zip(powers, (BETA1, BETA2), strict=True)]
        after.append(variables["global_step"].assign_add(1))
    return tf.group(*after)
