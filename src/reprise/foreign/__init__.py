"""ONNX models of other programs, with their recurrent state in the caller's hands.

Such a file is a program that runs already; what is missing is which of its inputs and outputs are state, or that it
keeps its state to itself. The rooms, in the order in which the questions are asked:

- `program`: the graph, and what each value is computed from; `functions` and `branches` open what the graph calls and
  what its settings decide.
- `recurrent_nodes`, `pairing`: states at its border, found by the flow of data; `opening`: those that it begins anew at
  every call.
- `probe`, `trial`, `batch`, `time_steps`, `repeating`, `in_full`: its axes, found by running it.
- `reading` puts these together; `ports` writes the interface and the graph that a `RecurrentModel` runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from reprise.errors import CallError, LiftError
from reprise.foreign import functions, ports
from reprise.foreign.pairing import StatePair
from reprise.foreign.probe import Probe
from reprise.foreign.program import Program, program_of
from reprise.foreign.reading import ForeignReading, Values, reading_of
from reprise.foreign.trial import Trial, resized
from reprise.formats import StoredModel
from reprise.interface import Choices
from reprise.lift import STATE_IN, Lifted
from reprise.operators.rules.block import INLINE
from reprise.tensors import Array
from reprise.wire import onnx

FirstStates = tuple[onnx.Message, dict[str, Array]]


def model_parts(stored: StoredModel, choices: Choices) -> tuple[Callable[[Values], Lifted], Callable[[], FirstStates]]:
    """What a `RecurrentModel` is made of: its `lift` and its `first_states`.

    Args:
        stored: An ONNX file that Reprise did not write.
        choices: States at the border as pairs of an input and an output, and values of settings.

    Raises:
        DiscoveryError: Its states or sizes cannot be established; the message says why.
        LiftError: ONNX Runtime refuses it.
    """
    program = _program(stored)
    kept = {m.taken: StatePair(m.taken, m.given, "a call changes it for the next one", m.first) for m in stored.memory}
    states = tuple({**kept, **_named(program, choices)}.values())
    reading = reading_of(program, choices.settings, states)
    first = ports.lift_reading(reading, _one_step(reading))

    def lift(values: Values) -> Lifted:
        if not values:
            return first
        other = reading_of(program, {**choices.settings, **values}, states)
        return ports.lift_reading(other, _one_step(other))

    return lift, lambda: _first_states(reading, first)


def _named(program: Program, choices: Choices) -> dict[str, StatePair]:
    """The pairs of an input and an output that the caller names.

    Raises:
        CallError: The file has no such input or output, or the caller names other things than such a file has.
    """
    inputs, outputs = {i.name for i in program.inputs}, {o.name for o in program.outputs}
    for taken, given in choices.nexts.items():
        if taken not in inputs or given not in outputs:
            raise CallError(
                f"states: {taken} → {given}: expected an input and an output of the file; inputs are "
                f"{', '.join(sorted(inputs))}, outputs {', '.join(sorted(outputs))}"
            )
    if choices.inputs or choices.outputs or choices.states or choices.scope:
        raise CallError(
            "inputs, outputs, single states and scope choose within a graph of TensorFlow; of this file, states can be "
            "named as pairs (states={input: output}) and settings given"
        )
    return {taken: StatePair(taken, given, "named by the caller") for taken, given in choices.nexts.items()}


def _program(stored: StoredModel) -> Program:
    """The program of a file; its large weights apart from the graph."""
    model = functions.without_functions(stored.foreign)
    small, weights = [], {}
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.EXTERNAL:
            weights[tensor.name] = stored.weights[tensor.name].load()
        elif math.prod(tensor.dims) > INLINE:
            weights[tensor.name] = onnx.array_of(tensor)
        else:
            small.append(tensor)
    return program_of(model, small, weights)


def _one_step(reading: ForeignReading) -> Mapping[str, Array]:
    """The inputs and results of one row and one step."""
    trial = Trial(Probe(reading.program), reading.pairs, reading.lengths)
    shapes = reading.batch.shapes if reading.time is None else resized(reading.batch.shapes, reading.time.inputs, 1)
    feeds = trial.feeds(shapes, 1 if reading.time is not None else reading.batch.size)
    results = trial.probe.run(feeds)
    if results is None:
        raise LiftError("the model runs several steps but not one; export it for sequences of any length.")
    return feeds | results


def _first_states(reading: ForeignReading, model: Lifted) -> FirstStates:
    """A graph without inputs that gives what the states start from that do not start from zeros."""
    starts = {
        p.taken: s.name for p, s in zip(reading.pairs, model.interface.states, strict=True) if s.initial == "file"
    }
    firsts = {s.taken: s.first for s in reading.opened} | {
        p.taken: p.first for p in reading.pairs if p.first is not None
    }
    held = {name: np.asarray(first) for taken, name in starts.items() if (first := firsts.get(taken)) is not None}
    nodes = [onnx.node("Identity", [STATE_IN + name], [name]) for name in held]
    outputs = [onnx.value_info(name, onnx.element_type(a), a.shape) for name, a in held.items()]
    small = [onnx.tensor(a, STATE_IN + name) for name, a in held.items()]
    return onnx.graph(nodes, "first states", [], outputs, small), {}
