"""Stored graph and interface → ONNX, with the recurrent state as inputs and outputs.

Nothing is translated that the outputs and next states do not need, so losses, gradients, optimizers, summaries and
input pipelines are left behind without being understood.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from reprise.errors import LiftError
from reprise.graph import Node, Value
from reprise.interface import Discovery
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.influence import ancestors
from reprise.interface.analysis.settings import PLACEHOLDERS
from reprise.interface.steps import axes
from reprise.interface.steps.axes import Axes
from reprise.lift.control import leave_loop
from reprise.lift.emitter import Emitter
from reprise.lift.model import (
    STATE_FIRST,
    STATE_IN,
    STATE_OUT,
    Lifted,
    Opsets,
    assemble,
    standalone,
    subgraph,
    without_weights,
)
from reprise.lift.numbers import KnownNumbers
from reprise.operators.rules.block import Block
from reprise.operators.rules.sizes import Dim
from reprise.structure import Structure
from reprise.tensors import DTYPES, Array, Shape, Tensor, in_memory
from reprise.wire import onnx

__all__ = [
    "STATE_FIRST",
    "STATE_IN",
    "STATE_OUT",
    "Lifted",
    "Opsets",
    "first_states",
    "lift",
    "standalone",
    "subgraph",
    "without_weights",
]

_ASSIGNS = frozenset({"Assign", "AssignVariableOp"})

Variable = Callable[[Node], Tensor | None]
Settings = Mapping[str, float | int | bool]


def lift(found: Discovery, variable: Variable, settings: Settings | None = None, *, fast: bool = True) -> Lifted:
    """The model that `found` describes, as ONNX.

    Args:
        found: The interface and its places in the graph.
        variable: The stored tensor of a variable node, or None.
        settings: Values of settings, where they are not those that inference uses.
        fast: Whether loops of known cells become LSTM, GRU and RNN operators; without, every loop stays one.

    Raises:
        LiftError: An operator that is needed has no translation, or a state has no way out of its loop.
        MissingWeights: A variable that is needed has no values.
    """
    chosen = {s.name: (settings or {}).get(s.name, s.value) for s in found.interface.settings}
    fixed = {k: v for k, v in chosen.items() if v is not None}
    emitter, block, inputs = _prepared(found, variable, fixed)
    emitter.fast_path = fast
    outputs = _computed_starts(found, emitter, block)
    entering = dict.fromkeys([Value(c.enter) for c in found.states])
    emitter = emitter.reading(_sizes(found, emitter.facts, _results(found), entering))
    for state, carried in zip(found.interface.states, found.states, strict=True):
        block.values[Value(carried.enter)] = STATE_IN + state.name
        _stand_in(found, block, carried.initial, STATE_IN + state.name)
        inputs.append((STATE_IN + state.name, state.dtype, state.shape))
    for port, value in zip(found.interface.outputs, found.outputs, strict=True):
        outputs.append((port.name, emitter.name(value, block), port.dtype, port.shape))
    for state, carried in zip(found.interface.states, found.states, strict=True):
        if carried.final is None:
            raise LiftError(f"state {state.name!r}: nothing hands on {carried.leaving}, its next value")
        outputs.append((STATE_OUT + state.name, emitter.name(carried.final, block), state.dtype, state.shape))
    graph, weights = assemble(block, inputs, outputs, "model")
    still_open = tuple(s.name for s in found.interface.settings if s.name not in fixed)
    fast_loops = tuple(dict.fromkeys(emitter.fast))
    return Lifted(found.interface, graph, weights, fixed, still_open, fast_loops, tuple(dict.fromkeys(emitter.misses)))


def _computed_starts(found: Discovery, emitter: Emitter, block: Block) -> list[tuple[str, str, str, Shape]]:
    """The first values that the model computes from its inputs, made before any state is given."""
    started = [
        (state, carried.initial)
        for state, carried in zip(found.interface.states, found.states, strict=True)
        if state.initial == "inputs"
    ]
    alone = Block(emitter.names)
    alone.values = dict(block.values)
    emitter = emitter.reading(_sizes(found, emitter.facts, [initial for _, initial in started]))
    made = [
        (STATE_FIRST + state.name, emitter.name(initial, alone), state.dtype, state.shape) for state, initial in started
    ]
    block.nodes += alone.nodes
    return made


def first_states(found: Discovery, variable: Variable) -> tuple[onnx.Message, Mapping[str, Array]]:
    """A graph that computes the states a sequence starts from, where the file holds more than zeros.

    Its inputs are the model's (only their shapes matter), its outputs are named as the states. A variable that is
    saved nowhere, as local ones are, holds what the graph gives it before the first step.
    """

    def begun(node: Node) -> Tensor | None:
        return variable(node) or _assigned_numbers(found.structure, node)

    fixed = {s.name: s.value for s in found.interface.settings if s.value is not None}
    emitter, block, inputs = _prepared(found, begun, fixed)
    outputs: list[tuple[str, str, str, Shape]] = [
        (port.name, emitter.name(carried.initial, block), port.dtype, port.shape)
        for port, carried in zip(found.interface.states, found.states, strict=True)
        if port.initial == "file"
    ]
    return assemble(block, inputs, outputs, "first states")


def _assigned_numbers(structure: Structure, variable: Node) -> Tensor | None:
    """The numbers that a graph assigns to a variable, where they are known and always the same."""
    readers = [structure.graph[name] for name in structure.consumers[variable.name]]
    values = [n.inputs[1] for n in readers if n.op in _ASSIGNS and n.inputs[0].node == variable.name]
    numbers = KnownNumbers(structure, lambda _: None, lambda _: None)
    known = [a for a in (numbers.of(v) for v in values) if a is not None]
    return in_memory(known[0]) if known and all(np.array_equal(a, known[0]) for a in known) else None


def _prepared(
    found: Discovery, variable: Variable, fixed: Settings
) -> tuple[Emitter, Block, list[tuple[str, str, Shape]]]:
    facts = _axes(found, fixed).facts
    needed = frozenset(ancestors(found.structure, [*_results(found), *(c.initial for c in found.states)]))
    emitter = Emitter(found.structure, facts, leave_loop, variable, needed, _sizes(found, facts, _results(found)))
    block = Block(emitter.names)
    inputs: list[tuple[str, str, Shape]] = []
    for port, value in zip(found.interface.inputs, found.inputs, strict=True):
        block.values[value] = emitter.names.fresh(port.name)
        inputs.append((port.name, port.dtype, port.shape))
    for setting, value in zip(found.interface.settings, found.settings, strict=True):
        if setting.name not in fixed:
            block.values[value] = emitter.names.fresh(setting.name)
            inputs.append((setting.name, setting.dtype, ()))
    for state in found.interface.states:
        for prefix in (STATE_IN, STATE_OUT, STATE_FIRST):
            emitter.names.fresh(prefix + state.name)
    for port in found.interface.outputs:
        emitter.names.fresh(port.name)
    return emitter, block, inputs


def _results(found: Discovery) -> list[Value]:
    return [*found.outputs, *(c.final for c in found.states if c.final is not None)]


def _sizes(
    found: Discovery, facts: Facts, wanted: Sequence[Value], given: Mapping[Value, object] | None = None
) -> dict[Dim, tuple[str, int]]:
    """Which axis of which input each free size is: of one that `wanted` is computed from, where there is any."""
    behind = ancestors(found.structure, wanted, given)
    pairs = zip(found.interface.inputs, found.inputs, strict=True)
    sizes: dict[Dim, tuple[str, int]] = {}
    for port, value in sorted(pairs, key=lambda pair: pair[1].node not in behind):
        for axis, size in enumerate(facts.shape(value) or ()):
            if not size.known:
                sizes.setdefault(size, (port.name, axis))
    return sizes


def _axes(found: Discovery, fixed: Settings) -> Axes:
    """The shapes of the graph under these settings, worked out again where they are not those of inference."""
    if all(fixed.get(s.name) == s.value for s in found.interface.settings):
        return found.axes
    known = {
        value: np.asarray(fixed[setting.name], DTYPES[setting.dtype])
        for setting, value in zip(found.interface.settings, found.settings, strict=True)
        if setting.name in fixed
    }
    return axes.read(found.structure, found.recurrences, found.inputs, found.outputs, known, found.before)


def _stand_in(found: Discovery, block: Block, initial: Value, name: str) -> None:
    """A placeholder that is nothing but this state is this state wherever else the graph looks at it."""
    origin = found.structure.origin(initial)
    node = found.structure.graph[origin.node]
    others = [c for c in found.states if found.structure.origin(c.initial) == origin]
    if node.op in PLACEHOLDERS and len(others) == 1:
        block.values[origin] = name
