"""The interface and the ONNX graph of a reading: ports with their meaning, states by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from reprise.foreign.probe import tables
from reprise.foreign.program import MOVES, Entry, Program, renamed
from reprise.foreign.reading import ForeignReading
from reprise.foreign.recurrent_nodes import slots
from reprise.interface import Interface, Port, StatePort
from reprise.lift import STATE_IN, STATE_OUT, Lifted
from reprise.tensors import DTYPES, Array, Shape
from reprise.wire import onnx

#: Operators that change only how numbers are laid out.
_LAYING_OUT = MOVES - {"Gather", "Concat", "ScatterND"}


def lift_reading(reading: ForeignReading, results: Mapping[str, Array]) -> Lifted:
    """A reading as ONNX with its states as inputs and outputs, and the interface that says what they mean.

    Args:
        reading: The reading.
        results: Its inputs and outputs of one row and one step, which tell the sizes that are fixed.
    """
    face = _interface(reading, results)
    fixed = {s.name: s.value for s in reading.settings if s.value is not None}
    program = reading.program
    return Lifted(face, _graph(reading, face), program.weights, fixed, (), opsets=program.opsets)


# The interface


def _interface(reading: ForeignReading, results: Mapping[str, Array]) -> Interface:
    states = tuple(_state(reading, k, name, results) for k, name in enumerate(_state_names(reading)))
    data = [i for i in reading.program.inputs if i.name not in {p.taken for p in reading.pairs}]
    shown = [o for o in reading.program.outputs if o.name not in {p.given for p in reading.pairs}]
    names = _short([e.name for e in (*data, *shown)])
    evidence = [f"state {s.name}: {p.evidence}" for s, p in zip(states, reading.pairs, strict=True)]
    evidence += [reading.evidence] if reading.evidence else []
    inputs = tuple(_input(reading, entry, names[entry.name]) for entry in data)
    outputs = tuple(_output(reading, o.name, names[o.name], results, inputs) for o in shown)
    return Interface(inputs, outputs, states, reading.settings, not reading.why_not, reading.why_not, tuple(evidence))


def _short(names: Sequence[str]) -> dict[str, str]:
    """Names that can be typed: without the `:0` of TensorFlow, each once."""
    short: dict[str, str] = {}
    for name in names:
        base = re.sub(r"[^\w./-]", "_", re.sub(r":0$", "", name)) or "value"
        free = base
        while free in short.values():
            free += "_"
        short[name] = free
    return short


def _state_names(reading: ForeignReading) -> list[str]:
    """The names of the states; numbers where one name would be the beginning of another."""
    inside = {s.taken: s.name for s in reading.opened}
    outside = _short([p.taken for p in reading.pairs if p.taken not in inside])
    names = [inside.get(p.taken) or outside[p.taken] for p in reading.pairs]
    if any(a is not b and b.startswith(a) for a in names for b in names):
        digits = len(str(len(names) - 1))
        return [f"state{k:0{digits}}" for k in range(len(names))]
    return names


def _input(reading: ForeignReading, entry: Entry, name: str) -> Port:
    batch, time = (
        reading.batch.axes.get(entry.name),
        None if reading.time is None else reading.time.inputs.get(entry.name),
    )
    role = _input_role(reading, entry)
    return Port(name, entry.name, entry.dtype, _shape(reading, entry, batch, time), time, batch, role)


def _shape(reading: ForeignReading, entry: Entry, batch: int | None, time: int | None) -> Shape:
    """The sizes of an input: those of the file, but what was found to be free."""
    stated = [n if isinstance(n, int) else None for n in entry.sizes]
    if batch is not None:
        stated[batch] = None if reading.batch.free else reading.batch.shapes[entry.name][batch]
    if time is not None:
        stated[time] = None
    return tuple(stated)


def _input_role(reading: ForeignReading, entry: Entry) -> str:
    if entry.name in reading.lengths:
        return "lengths"
    looked_up = DTYPES[entry.dtype].kind in "iuO" and (tables(reading.program, entry.name) or entry.dtype == "string")
    return "tokens" if looked_up else "features"


def _output(
    reading: ForeignReading, source: str, name: str, results: Mapping[str, Array], inputs: Sequence[Port]
) -> Port:
    array = results[source]
    time = None if reading.time is None else reading.time.outputs.get(source)
    batch = _batch_axis(reading, array.shape, time)
    shape: list[int | None] = list(array.shape)
    for axis in (time, batch if reading.batch.free else None):
        if axis is not None:
            shape[axis] = None
    dtype = array.dtype.name if array.dtype != object else "string"
    return Port(name, source, dtype, tuple(shape), time, batch, _output_role(reading.program, source, array, inputs))


def _batch_axis(reading: ForeignReading, shape: tuple[int, ...], time: int | None) -> int | None:
    """The axis of the rows of an output: where its inputs have it, else the first that one row makes 1."""
    wanted = [axis for axis in reading.batch.axes.values() if axis is not None]
    ones = [k for k, n in enumerate(shape) if n == 1 and k != time]
    return next((axis for axis in wanted if axis in ones), ones[0] if ones else None)


def _output_role(program: Program, name: str, array: Array, inputs: Sequence[Port]) -> str:
    behind = program.ancestors([name], through=_LAYING_OUT)
    makers = {node.op_type for n in behind if (node := program.makers.get(n)) is not None}
    if makers & {"Softmax", "Sigmoid"}:
        return "probabilities"
    if any(s.node.output and s.node.output[0] in behind for s in slots(program)):
        return "hidden"
    rows = [n for p in inputs if p.role == "tokens" for n in tables(program, p.tensor or "").values()]
    return "logits" if array.shape and array.shape[-1] in rows else "values"


def _state(reading: ForeignReading, index: int, name: str, results: Mapping[str, Array]) -> StatePort:
    pair = reading.pairs[index]
    own = next((s for s in reading.opened if s.taken == pair.taken), None)
    batch = reading.batch.axes.get(pair.taken)
    shape: list[int | None] = list(results[pair.taken].shape)
    if batch is not None and reading.batch.free:
        shape[batch] = None
    dtype = results[pair.taken].dtype.name
    if own is None:
        return StatePort(name, pair.taken, pair.given, pair.taken, dtype, tuple(shape), batch, _starts(pair.first))
    return StatePort(
        name, own.slot.initial or None, own.slot.final or None, None, dtype, tuple(shape), batch, _starts(own.first)
    )


def _starts(first: Array | None) -> Literal["file", "zeros"]:
    return "file" if first is not None and first.any() else "zeros"


# The graph


def _graph(reading: ForeignReading, face: Interface) -> onnx.Message:
    """The nodes with inputs and outputs called by their ports; large weights are left out."""
    program = reading.program
    taken = {p.tensor or "": p.name for p in face.inputs}
    taken |= {pair.taken: STATE_IN + s.name for pair, s in zip(reading.pairs, face.states, strict=True)}
    given = {p.tensor or "": (p.name, p.dtype, len(p.shape)) for p in face.outputs}
    given |= {
        pair.given: (STATE_OUT + s.name, s.dtype, len(s.shape))
        for pair, s in zip(reading.pairs, face.states, strict=True)
    }
    names = _distinct_names(program, taken, {old: new for old, (new, _, _) in given.items()})
    nodes = renamed(program.nodes, names)
    for old, (new, _, _) in given.items():
        if names.get(old, old) != new:
            nodes.append(onnx.node("Identity", [names.get(old, old)], [new]))
    inputs = [_free_info(taken[i.name], i.dtype, len(i.sizes)) for i in program.inputs]
    outputs = [_free_info(*facts) for facts in given.values()]
    return onnx.graph(nodes, "model", inputs, outputs, program.small)


def _distinct_names(program: Program, taken: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """New names of inputs, and of values inside the graph that are called like the port of another value."""
    inside = {name for node in program.nodes for name in node.output if name}
    ports = {*taken.values(), *(new for old, new in given.items() if old != new)}
    return {**{name: f"{name}.inside" for name in inside & ports}, **taken}


def _free_info(name: str, dtype: str, axes: int) -> onnx.Message:
    return onnx.value_info(name, onnx.ELEMENT_TYPES[dtype], [f"{name}.{axis}" for axis in range(axes)])
