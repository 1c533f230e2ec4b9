"""A program that takes one step a call, made to take any number: ONNX's Scan runs it and carries its states.

An exporter that bakes in one step leaves an axis of size 1 in each input and output. Along it the steps of a sequence
are given one by one, so a run of T steps is T calls by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from reprise.foreign.batch import Batch
from reprise.foreign.pairing import StatePair
from reprise.foreign.program import Entry, Program, renamed
from reprise.foreign.recurrent_nodes import opset_of
from reprise.foreign.time_steps import Time
from reprise.foreign.trial import Trial
from reprise.tensors import Array
from reprise.wire import onnx

#: The first version of ONNX whose Scan has the form that is written here.
_SCAN_OPSET = 9
#: The first version in which the axes of Squeeze and Unsqueeze are an input and no attribute.
_AXES_INPUT_OPSET = 13


def single_step_axes(trial: Trial, batch: Batch, results: Mapping[str, Array]) -> Time | None:
    """The axes of size 1 along which the steps of a sequence can be given; None where an input or output has none."""
    given = {p.given for p in trial.pairs}
    moving = [i for i in trial.data if i.sizes and i.name not in trial.lengths]
    inputs = {i.name: _single(batch.shapes[i.name], batch.axes[i.name], i) for i in moving}
    shown = [o.name for o in trial.probe.program.outputs if o.name not in given]
    first = next(iter(batch.axes[i.name] for i in moving), None)
    outputs = {n: _single(results[n].shape, first) for n in shown}
    possible = moving and None not in inputs.values() and None not in outputs.values()
    return Time(inputs, outputs) if possible and opset_of(trial.probe.program) >= _SCAN_OPSET else None


def _single(shape: Sequence[int], batch: int | None, entry: Entry | None = None) -> int | None:
    """The first axis of size 1 that is not the batch, and that the file states to be 1 where it states anything."""
    stated = entry.sizes if entry is not None else shape
    return next((k for k, n in enumerate(shape) if n == 1 and k != batch and stated[k] == 1), None)


def repeated(program: Program, pairs: Sequence[StatePair], time: Time) -> Program:
    """`program` for any number of steps along the axes of `time`."""
    scanned = [(i, axis) for i in program.inputs if (axis := time.inputs.get(i.name)) is not None]
    stacked = [(o, axis) for o in program.outputs if (axis := time.outputs.get(o.name)) is not None]
    body = _body(program, pairs, scanned, stacked)
    node = onnx.node(
        "Scan",
        [*(p.taken for p in pairs), *(i.name for i, _ in scanned)],
        [*(p.given for p in pairs), *(o.name for o, _ in stacked)],
        body=body,
        num_scan_inputs=len(scanned),
        scan_input_axes=[axis for _, axis in scanned],
        scan_output_axes=[axis for _, axis in stacked],
    )
    inputs = tuple(_without_size(i, time.inputs.get(i.name)) for i in program.inputs)
    return replace(program, nodes=(node,), inputs=inputs)


def _without_size(entry: Entry, axis: int | None) -> Entry:
    return entry if axis is None else replace(entry, sizes=(*entry.sizes[:axis], None, *entry.sizes[axis + 1 :]))


def _body(
    program: Program,
    pairs: Sequence[StatePair],
    scanned: Sequence[tuple[Entry, int]],
    stacked: Sequence[tuple[Entry, int]],
) -> onnx.Message:
    """One step: its states and slices of the sequences in, the next states and slices of the outputs out."""
    types = {i.name: onnx.ELEMENT_TYPES[i.dtype] for i in program.inputs}
    old = opset_of(program) < _AXES_INPUT_OPSET
    border = [*(n for p in pairs for n in (p.taken, p.given)), *(e.name for e, _ in (*scanned, *stacked))]
    inner = {name: f"{name}@step" for name in border}  # a name has one meaning, inside and outside
    before = [_reshaping("Unsqueeze", f"{i.name}@slice", inner[i.name], axis, as_attribute=old) for i, axis in scanned]
    after = [_reshaping("Squeeze", inner[o.name], f"{o.name}@slice", axis, as_attribute=old) for o, axis in stacked]
    axes = {axis for _, axis in (*scanned, *stacked)}
    constants = [] if old else [onnx.tensor(np.asarray([axis], np.int64), _axis_name(axis)) for axis in sorted(axes)]
    inputs = [onnx.value_info(inner[p.taken], types[p.taken]) for p in pairs]
    inputs += [onnx.value_info(f"{i.name}@slice", types[i.name]) for i, _ in scanned]
    outputs = [onnx.value_info(n) for n in (*(inner[p.given] for p in pairs), *(f"{o.name}@slice" for o, _ in stacked))]
    return onnx.graph([*before, *renamed(program.nodes, inner), *after], "step", inputs, outputs, constants)


def _reshaping(op: str, source: str, result: str, axis: int, *, as_attribute: bool) -> onnx.Message:
    if as_attribute:
        return onnx.node(op, [source], [result], axes=[axis])
    return onnx.node(op, [source, _axis_name(axis)], [result])


def _axis_name(axis: int) -> str:
    return f"axis{axis}@step"
