"""The ports of a reading that was chosen: what each value means, and where each state starts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reprise.graph import Graph, Node, Value
from reprise.interface.analysis import settings
from reprise.interface.analysis.influence import ancestors
from reprise.interface.analysis.sources import SOURCES
from reprise.interface.analysis.sources import sources as every_source
from reprise.interface.loops import states
from reprise.interface.loops.recurrences import Recurrence
from reprise.interface.ports import evidence, names, roles
from reprise.interface.ports.choices import Choices, with_chosen_settings, with_chosen_states
from reprise.interface.ports.interface import Initial, Interface, Port, Setting, StatePort
from reprise.interface.steps import axes as axes_of
from reprise.interface.steps import encoders, stepping
from reprise.interface.steps.axes import Axes
from reprise.operators import types
from reprise.structure import Carried, Structure
from reprise.tensors import DTYPES


@dataclass(frozen=True, slots=True)
class Discovery:
    """An interface, and the places in the graph that it stands for.

    Attributes:
        interface: What users see.
        structure: The analysed graph.
        axes: Its shapes, and which axes are time and batch.
        recurrences: The loops that make the steps.
        before: The loops that run to their end before the first step.
        inputs: The value of each input port.
        outputs: The value of each output port.
        states: The loop variable of each state port.
        settings: The value of each setting.
    """

    interface: Interface
    structure: Structure
    axes: Axes
    recurrences: tuple[Recurrence, ...]
    before: tuple[Recurrence, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    states: tuple[Carried, ...]
    settings: tuple[Value, ...]


def describe(
    structure: Structure,
    used: tuple[Recurrence, ...],
    wanted: tuple[Value, ...],
    choices: Choices,
    why: tuple[str, ...],
    file: Graph,
) -> Discovery:
    """The interface of the model that computes `wanted` by the recurrences `used`, with what the `choices` fix.

    `why` says how they were chosen; `file` is the graph before it was rewritten, whose names the evidence uses.
    """
    steps, before = encoders.split_encoders(structure, with_chosen_states(structure, used, choices), wanted)
    found = _read_model(structure, steps, before, wanted, choices)
    inner = encoders.within_steps(found.axes, steps)
    if inner:
        steps, before = tuple(r for r in steps if r not in inner), (*before, *inner)
        found = _read_model(structure, steps, before, wanted, choices)
    why_not = stepping.obstacle(steps, found.axes, found.entries, wanted, before)
    taken = {p.name for p in found.settings}
    inputs = _input_ports(steps, found.axes, found.entries, wanted, taken)
    interface = Interface(
        inputs,
        _output_ports(found.axes, wanted, steps, {*taken, *(p.name for p in inputs)}, choices.declared),
        _state_ports(steps, found.axes, found.started),
        found.settings,
        not why_not,
        why_not,
        (
            *why,
            *evidence.of_steps(structure, steps, file),
            *_notes_of_starts(structure, found.started),
            *evidence.of_loops_before(structure, before, inner),
            *found.dropped,
            *evidence.of_wider_types(structure, steps),
            *evidence.of_uneven_steps(found.axes, found.entries, wanted),
        ),
    )
    states = tuple(found.started)
    return Discovery(interface, structure, found.axes, steps, before, found.entries, wanted, states, found.scalars)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the steps of a model are computed from: sequences, settings and states with where each of them starts."""

    axes: Axes
    entries: tuple[Value, ...]
    scalars: tuple[Value, ...]
    settings: tuple[Setting, ...]
    started: Mapping[Carried, Initial]
    dropped: tuple[str, ...]


def _read_model(
    structure: Structure,
    steps: tuple[Recurrence, ...],
    before: tuple[Recurrence, ...],
    wanted: tuple[Value, ...],
    choices: Choices,
) -> _Reading:
    """The sequences, settings and states from which `wanted` is computed, with the `choices` of settings.

    `steps` are the recurrences of the model, `before` those that run to their end first.
    """
    started = {c: _start(structure, c) for r in steps for c in r.states}
    outside = [v for v in every_source(structure) if v not in _defaults(structure, started)]
    needed = _needed(structure, steps, wanted, [c for c in started if started[c] != "inputs"], outside)
    sources = [v for v in outside if v in needed]
    scalars = tuple(v for v in sources if settings.is_setting(structure, v))
    entries = tuple(v for v in sources if v not in scalars)
    ports = with_chosen_settings(_setting_ports(structure, scalars), choices)
    fixed = {
        v: np.asarray(p.value, DTYPES[p.dtype]) for p, v in zip(ports, scalars, strict=True) if p.value is not None
    }
    axes = axes_of.read(structure, steps, entries, wanted, fixed, before)
    started = {c: _sized(axes, c, start) for c, start in started.items()}
    dropped = settings.baked_dropouts(structure, {v.node for v in needed})
    return _Reading(axes, entries, scalars, ports, started, dropped)


def _defaults(structure: Structure, started: Mapping[Carried, Initial]) -> set[Value]:
    """The placeholders of states that the model computes where nobody feeds them: they bring nothing from outside."""
    fed = (states.fed_through(structure, c) for c, start in started.items() if start == "inputs")
    return {Value.parse(name) for name in fed if name is not None}


def _needed(
    structure: Structure,
    used: tuple[Recurrence, ...],
    wanted: tuple[Value, ...],
    given: Sequence[Carried],
    outside: Sequence[Value],
) -> set[Value]:
    """Every value whose numbers the outputs and next states need, up to what comes from outside and given states."""
    cut = {c.initial for c in given}
    stop = dict.fromkeys([Value(c.enter) for c in given] + [*cut, *outside])
    reached = ancestors(structure, [*wanted, *(c.leaving for r in used for c in r.states)], stop)
    return {v for name in reached for v in structure.graph[name].inputs if v not in cut} | set(wanted)


def _start(structure: Structure, carried: Carried) -> Initial:
    """Where a state starts: decided by what its initial value is computed from."""
    fed = states.fed_through(structure, carried)
    if fed is not None:
        placeholder = structure.graph[Value.parse(fed).node]
        if placeholder.op != "PlaceholderWithDefault":
            return "zeros"
        carried = Carried(placeholder.inputs[0], carried.entering, carried.leaving, carried.final, carried.enter)
    behind = _numeric_ancestors(structure, carried.initial)
    if any(structure.graph[n].op in SOURCES for n in behind):
        return "inputs"
    zero = all(_is_zero_or_shape(structure.graph[n]) for n in behind)
    return "zeros" if zero else "file"


def _sized(axes: Axes, carried: Carried, start: Initial) -> Initial:
    """Numbers come from the inputs where one of these decides how many.

    A weight for each word of the source; a row for each sentence of each text, where sentences are read word by word.
    """
    if start == "inputs" or states.fed_through(axes.structure, carried):
        return start
    of_rows = axes.batch_axis(carried.entering) is not None
    return "inputs" if axes.sizes(carried.entering).count(None) > of_rows else start


def _numeric_ancestors(structure: Structure, value: Value) -> set[str]:
    """Nodes whose numbers, not only shapes, a value is made of."""
    seen: set[str] = set()
    pending = [value]
    while pending:
        at = pending.pop()
        if at.node in seen or at.node not in structure.graph:
            continue
        seen.add(at.node)
        node = structure.graph[at.node]
        if node.op == "Fill":
            pending.append(node.inputs[1])
        elif node.op in ("Tile", "Reshape", "BroadcastTo", "ExpandDims", "Slice", "StridedSlice"):
            pending.append(node.inputs[0])
        elif node.op not in ("ZerosLike", "Shape"):
            pending.extend(node.inputs)
    return seen


def _is_zero_or_shape(node: Node) -> bool:
    """Whether a node is a zero, or only lays out, repeats or measures what it reads."""
    if node.op == "Const":
        value = node.attributes["value"]
        return value.size == 0 or not value.load().any() if value.dtype != "string" else False
    return node.op in (
        "Fill",
        "ZerosLike",
        "Identity",
        "Enter",
        "Tile",
        "Reshape",
        "Pack",
        "_Results",
        "StridedSlice",
        "Cast",
    )


def _input_ports(
    used: tuple[Recurrence, ...],
    axes: Axes,
    entries: Sequence[Value],
    wanted: Sequence[Value],
    taken: Collection[str],
) -> tuple[Port, ...]:
    """A port for each of the `entries`, with its name and role; names in `taken` belong to others.

    `used` are the recurrences that read them, `wanted` the outputs.
    """
    scores = roles.scored_symbols(axes, wanted, used)
    kinds = {v: roles.of_input(axes, v, scores) for v in entries}
    called = names.unique([names.of_input(v, kinds[v]) for v in entries], taken)
    read = [r.stacked for recurrence in used for r in recurrence.reads]
    ports = []
    for name, value in zip(called, entries, strict=True):
        fewest, more = axes.missing(value, read)
        port = _port(axes, name, value, kinds[value])
        ports.append(replace(port, least=max(1, fewest, *(1 + n for n in more)), even=not any(more)))
    return tuple(ports)


def _port(axes: Axes, name: str, value: Value, role: str) -> Port:
    dtype = types.dtype(axes.structure, value)
    return Port(name, str(value), dtype, axes.sizes(value), *axes.named(value), role)


def _output_ports(
    axes: Axes,
    wanted: Sequence[Value],
    used: tuple[Recurrence, ...],
    taken: Collection[str],
    declared: Mapping[str, str],
) -> tuple[Port, ...]:
    keys = {axes.structure.result(Value.parse(name)): key for name, key in declared.items()}
    kinds = {v: roles.of_output(axes, v, wanted, used) for v in wanted}
    called = names.unique([keys.get(axes.structure.result(v)) or names.of_output(v, kinds[v]) for v in wanted], taken)
    return tuple(
        replace(_port(axes, name, v, kinds[v]), rows=axes.rows(v)) for name, v in zip(called, wanted, strict=True)
    )


def _state_ports(used: tuple[Recurrence, ...], axes: Axes, started: Mapping[Carried, Initial]) -> tuple[StatePort, ...]:
    """A port for each state of the recurrences `used`, whose starts are in `started`."""
    called = states.names(axes.structure, used)
    ports = []
    for name, carried in zip(called, (c for r in used for c in r.states), strict=True):
        ports.append(
            StatePort(
                name,
                names.of_initial(axes.structure, carried),
                names.of_final(axes.structure, carried),
                states.fed_through(axes.structure, carried),
                types.dtype(axes.structure, carried.entering),
                axes.sizes(carried.entering),
                axes.named(carried.entering)[1],
                started[carried],
            )
        )
    return tuple(ports)


def _setting_ports(structure: Structure, scalars: Sequence[Value]) -> tuple[Setting, ...]:
    called = names.unique([names.of_setting(v) for v in scalars])
    return tuple(
        Setting(name, str(v), types.dtype(structure, v), *settings.inference_value(structure, v))
        for name, v in zip(called, scalars, strict=True)
    )


def _notes_of_starts(structure: Structure, started: Mapping[Carried, Initial]) -> Iterator[str]:
    """From which inputs each state is computed that starts from any."""
    for carried in (c for c, start in started.items() if start == "inputs"):
        behind = _numeric_ancestors(structure, carried.initial)
        outside = [v for v in every_source(structure) if v not in _defaults(structure, started)]
        made = ", ".join(str(v) for v in outside if v.node in behind)
        state = names.of_final(structure, carried) or carried.leaving
        yield f"the first value of {state} is {structure.origin(carried.initial)}, computed from {made}"
