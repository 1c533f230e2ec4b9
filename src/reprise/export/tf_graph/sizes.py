"""What of sizes is known when a graph is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def size_of(x: tf.Tensor, axis: int) -> Any:
    """A size of `x`: the number where it is known when the graph is made, else what it will be."""
    known = x.shape[axis] if x.shape.rank is not None else None
    return tf.shape(x)[axis] if known is None else known


def number_of(x: tf.Tensor) -> int | None:
    """The one number of a tensor where the graph knows it as it is made, also where it knows only some sizes."""
    held = tf.get_static_value(x)
    if held is not None:
        return int(held.item()) if held.size == 1 else None
    op = x.op
    if op.type in ("Cast", "Identity", "Reshape", "Squeeze", "ExpandDims"):
        return number_of(op.inputs[0])
    if op.type in ("Maximum", "Minimum"):
        known = [n for n in map(number_of, op.inputs) if n is not None]
        return None if len(known) < len(op.inputs) else (max if op.type == "Maximum" else min)(known)
    if op.type in ("GatherV2", "StridedSlice"):
        place = tf.get_static_value(op.inputs[1])
        return None if place is None or np.size(place) != 1 else _element(op.inputs[0], int(np.asarray(place).item()))
    return None


def _element(x: tf.Tensor, place: int) -> int | None:
    """One of several numbers, where these are sizes."""
    op = x.op
    if op.type in ("Cast", "Identity"):
        return _element(op.inputs[0], place)
    if op.type in ("Reshape", "ExpandDims", "Maximum", "Minimum") and x.shape == [1]:
        return number_of(x)
    if op.type == "Shape" and op.inputs[0].shape.rank is not None:
        found = op.inputs[0].shape[place]
        return None if found is None else int(found)
    return number_of(op.inputs[place]) if op.type == "Pack" else None
