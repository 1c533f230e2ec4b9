"""Loop, Scan and If of ONNX in TensorFlow. Source: onnx/docs/Operators.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from reprise.export.tf_graph.context import Rule, TensorFlowSite
from reprise.export.tf_graph.sizes import number_of
from reprise.wire import onnx

#: How often a loop runs whose number of rounds nothing limits.
_MOST = np.iinfo(np.int64).max


def _if(site: TensorFlowSite) -> list[tf.Tensor]:
    def branch(name: str) -> list[tf.Tensor]:
        graph = site.attribute(name)
        found = site.run(graph, {})
        return [tf.identity(found[o.name]) for o in graph.output]

    taken = tf.cond(tf.reshape(site[0], []), lambda: branch("then_branch"), lambda: branch("else_branch"))
    return list(taken) if isinstance(taken, (list, tuple)) else [taken]


class _Stacks:
    """What the rounds of a loop give beside what they carry, one array for each output.

    TensorFlow forgets the shapes of arrays on the way through a loop; they are kept here while its body is written.
    """

    def __init__(self, outputs: Sequence[onnx.Message], carried: Sequence[tf.Tensor], count: tf.Tensor | None) -> None:
        real = next((v.dtype for v in carried if v.dtype.is_floating), tf.float32)  # of what the body does not state
        stated = [onnx.element_name(o.type.tensor_type.elem_type) for o in outputs]
        kinds = [tf.as_dtype(name) if name else real for name in stated]
        size = tf.constant(0) if count is None else count
        self.arrays = [tf.TensorArray(k, size, dynamic_size=count is None, infer_shape=False) for k in kinds]
        self._shapes = [tf.TensorShape(None) for _ in kinds]

    def write(
        self, arrays: Sequence[tf.TensorArray], place: tf.Tensor, rows: Sequence[tf.Tensor]
    ) -> list[tf.TensorArray]:
        self._shapes = [row.shape for row in rows]
        return [array.write(place, row) for array, row in zip(arrays, rows, strict=True)]

    def stacked(self, arrays: Sequence[tf.TensorArray]) -> list[tf.Tensor]:
        return [
            tf.ensure_shape(array.stack(), tf.TensorShape([None]).concatenate(shape))
            for array, shape in zip(arrays, self._shapes, strict=True)
        ]


def _any_sizes(values: Sequence[tf.Tensor]) -> list[tf.TensorShape]:
    return [tf.TensorShape(None if v.shape.rank is None else [None] * v.shape.rank) for v in values]


def _loop(site: TensorFlowSite) -> list[tf.Tensor]:
    """Carries values while a condition holds; each further output of the body is stacked over the rounds."""
    body = site.attribute("body")
    carried = [site[k] for k in range(2, len(site))]
    rounds = tf.reshape(site[0], []) if site.has(0) else tf.constant(_MOST, tf.int64)
    goes_on = tf.reshape(site[1], []) if site.has(1) else tf.constant(True)  # noqa: FBT003 - a number
    names = [i.name for i in body.input]
    if number_of(rounds) == 1 and number_of(goes_on) == 1:
        found = site.run(body, dict(zip(names, [tf.constant(0, tf.int64), goes_on, *carried], strict=True)))
        _, *given = (found[o.name] for o in body.output)
        return [*given[: len(carried)], *(row[None] for row in given[len(carried) :])]
    stacks = _Stacks(body.output[1 + len(carried) :], carried, None)

    def step(t: tf.Tensor, on: tf.Tensor, values: Sequence[tf.Tensor], arrays: Sequence[tf.TensorArray]) -> Any:
        found = site.run(body, dict(zip(names, [tf.cast(t, tf.int64), on, *values], strict=True)))
        on, *given = (found[o.name] for o in body.output)
        return t + 1, tf.reshape(on, []), given[: len(carried)], stacks.write(arrays, t, given[len(carried) :])

    invariants = (
        tf.TensorShape([]),
        tf.TensorShape([]),
        _any_sizes(carried),
        [tf.TensorShape(None)] * len(stacks.arrays),
    )
    _, _, last, arrays = tf.while_loop(
        lambda t, on, *_: tf.logical_and(on, tf.cast(t, tf.int64) < rounds),
        step,
        (tf.constant(0), goes_on, carried, stacks.arrays),
        shape_invariants=invariants,
    )
    return [*last, *stacks.stacked(arrays)]


def _scan(site: TensorFlowSite) -> list[tf.Tensor]:
    """Carries values over the slices of sequences; each further output of the body is stacked."""
    body = site.attribute("body")
    scanned = int(site.attribute("num_scan_inputs"))
    kept = len(site) - scanned
    if any(site.attribute("scan_input_directions") or []) or any(site.attribute("scan_output_directions") or []):
        raise site.refusal("reads or writes from the end")
    in_axes = site.attribute("scan_input_axes") or [0] * scanned
    rows = [_moved(site[kept + k], axis, 0) for k, axis in enumerate(in_axes)]
    names, count = [i.name for i in body.input], tf.shape(rows[0])[0]
    first = [site[k] for k in range(kept)]
    if rows[0].shape[0] == 1:
        found = site.run(body, dict(zip(names, [*first, *(r[0] for r in rows)], strict=True)))
        given = [found[o.name] for o in body.output]
        out_axes = site.attribute("scan_output_axes") or [0] * (len(given) - kept)
        return [*given[:kept], *(_moved(g[None], 0, axis) for g, axis in zip(given[kept:], out_axes, strict=True))]
    stacks = _Stacks(body.output[kept:], first, count)

    def step(t: tf.Tensor, values: Sequence[tf.Tensor], arrays: Sequence[tf.TensorArray]) -> Any:
        found = site.run(body, dict(zip(names, [*values, *(r[t] for r in rows)], strict=True)))
        given = [found[o.name] for o in body.output]
        return t + 1, given[:kept], stacks.write(arrays, t, given[kept:])

    invariants = (tf.TensorShape([]), _any_sizes(first), [tf.TensorShape(None)] * len(stacks.arrays))
    _, last, arrays = tf.while_loop(
        lambda t, *_: t < count, step, (tf.constant(0), first, stacks.arrays), shape_invariants=invariants
    )
    out_axes = site.attribute("scan_output_axes") or [0] * len(stacks.arrays)
    return [*last, *(_moved(s, 0, axis) for s, axis in zip(stacks.stacked(arrays), out_axes, strict=True))]


def _moved(x: tf.Tensor, source: int, target: int) -> tf.Tensor:
    """One axis moved to another place."""
    order = [k for k in range(x.shape.rank) if k != source % x.shape.rank]
    order.insert(target % x.shape.rank, source % x.shape.rank)
    return x if order == sorted(order) else tf.transpose(x, order)


CONTROL: Mapping[str, Rule] = {"If": _if, "Loop": _loop, "Scan": _scan}
