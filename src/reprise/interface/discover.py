"""The recurrent interface of a graph: what is input, output and state, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reprise.errors import AmbiguousInterface, CallError, NoRecurrence
from reprise.graph import Graph, Node, Value
from reprise.interface import axes as axes_of
from reprise.interface import names, outputs, recurrences, roles, settings, states, stepping, types
from reprise.interface.axes import Axes
from reprise.interface.facts import Facts
from reprise.interface.feedback import open_feedback
from reprise.interface.influence import ancestors
from reprise.interface.normal import normalise
from reprise.interface.ports import Initial, Interface, Port, Setting, StatePort
from reprise.interface.recurrences import Recurrence
from reprise.interface.structure import Carried, Structure, analyse
from reprise.tensors import DTYPES


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller decides instead of the evidence.

    Attributes:
        inputs: Tensor names that are the inputs.
        outputs: Tensor names that are the outputs.
        states: Tensor names (entering or leaving) of the loop variables that are the states.
        scope: A name scope that holds the wanted model.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """An interface, and the places in the graph that it stands for.

    Attributes:
        interface: What users see.
        structure: The analysed graph.
        axes: Its shapes, and which axes are time and batch.
        recurrences: The loops that the interface uses.
        inputs: The value of each input port.
        outputs: The value of each output port.
        states: The loop variable of each state port.
        settings: The value of each setting.
    """

    interface: Interface
    structure: Structure
    axes: Axes
    recurrences: tuple[Recurrence, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    states: tuple[Carried, ...]
    settings: tuple[Value, ...]


def discover(graph: Graph, choices: Choices | None = None, variables: Collection[str] = ()) -> Discovery:
    """The recurrent interface of `graph`; time is linear in its size.

    Args:
        graph: As the file holds it.
        choices: What the caller decides.
        variables: Names of variable nodes whose values are known.

    Raises:
        NoRecurrence: Nothing carries state from step to step.
        AmbiguousInterface: Several readings are equally good.
        CallError: A choice names a tensor that the graph does not have.
    """
    choices = choices or Choices()
    normal = normalise(graph)
    structure = analyse(normal.graph)
    found = recurrences.find(structure)
    if not found:
        raise NoRecurrence(_without_recurrence(graph))
    notes = normal.notes
    opened = open_feedback(structure, found)
    if opened is not None:
        structure = analyse(opened[0])
        found, notes = recurrences.find(structure), (*notes, *opened[1])
    wanted, used, why = _choose(structure, found, choices)
    return _describe(structure, used, wanted, choices, (*notes, *why))


def _without_recurrence(graph: Graph) -> str:
    loops = sum(n.op in ("LoopCond", "While", "StatelessWhile") for n in graph)
    products = sum(n.op in ("MatMul", "BatchMatMul", "BatchMatMulV2") for n in graph)
    seen = f"{len(graph.nodes)} nodes, {products} matrix products, {loops} loops"
    return (
        f"the graph carries no state from step to step ({seen}): no loop variable, repeated cell or fused operator whose "
        "next value depends on its last. It is a feed-forward model, or only a part of the recurrent one was saved."
    )


def _choose(
    structure: Structure, found: tuple[Recurrence, ...], choices: Choices
) -> tuple[tuple[Value, ...], tuple[Recurrence, ...], tuple[str, ...]]:
    if choices.outputs:
        values = tuple(_named(structure, name, "outputs") for name in choices.outputs)
        behind = ancestors(structure, values)
        used = tuple(r for r in found if any(c.final and c.final.node in behind for c in r.loop.carried))
        if not used:
            raise NoRecurrence(f"outputs {', '.join(choices.outputs)}: they depend on no recurrence of the graph")
        return values, _upstream_too(structure, found, used), (f"outputs chosen: {', '.join(choices.outputs)}",)
    given = tuple(_named(structure, name, "inputs") for name in choices.inputs)
    predicted = outputs.predictions(structure, found, given)
    groups = _groups(structure, found, predicted)
    return _select(structure, groups, choices)


@dataclass(frozen=True, slots=True)
class _Group:
    """Outputs that rest on the same recurrences: one model of the graph."""

    outputs: tuple[Value, ...]
    recurrences: tuple[Recurrence, ...]


def _groups(structure: Structure, found: tuple[Recurrence, ...], predicted: outputs.Predictions) -> list[_Group]:
    groups: dict[tuple[str, ...], list[Value]] = {}
    members: dict[tuple[str, ...], tuple[Recurrence, ...]] = {}
    for value, uses in zip(predicted.values, predicted.uses, strict=True):
        every = _upstream_too(structure, found, uses)
        key = tuple(r.loop.name for r in every)
        groups.setdefault(key, []).append(value)
        members[key] = every
    merged = _merge_nested(groups)
    return [_Group(tuple(values), members[key]) for key, values in merged.items()]


def _merge_nested(groups: dict[tuple[str, ...], list[Value]]) -> dict[tuple[str, ...], list[Value]]:
    """A group whose loops are all part of a larger group is a by-product of that one."""
    largest = {
        key: next((k for k in sorted(groups, key=len, reverse=True) if set(key) <= set(k)), key) for key in groups
    }
    return {key: values for key, values in groups.items() if largest[key] == key}


def _upstream_too(
    structure: Structure, found: tuple[Recurrence, ...], used: Sequence[Recurrence]
) -> tuple[Recurrence, ...]:
    """`used` and the recurrences that feed them, in the order of the data."""
    behind = ancestors(
        structure, [c.leaving for r in used for c in r.loop.carried] + [c.initial for r in used for c in r.loop.carried]
    )
    names_used = {r.loop.name for r in used}
    every = [
        r for r in found if r.loop.name in names_used or any(c.final and c.final.node in behind for c in r.loop.carried)
    ]
    place = {name: i for i, name in enumerate(structure.order)}
    return tuple(sorted(every, key=lambda r: min(place[c.enter] for c in r.loop.carried)))


def _select(
    structure: Structure, groups: list[_Group], choices: Choices
) -> tuple[tuple[Value, ...], tuple[Recurrence, ...], tuple[str, ...]]:
    if choices.scope:
        scope = choices.scope.rstrip("/") + "/"
        groups = [g for g in groups if any(v.node.startswith(scope) for v in g.outputs)]
        if not groups:
            raise CallError(f"scope {choices.scope!r}: no output of a recurrence lies in it")
    if not groups:
        raise NoRecurrence(
            "the graph has a recurrence, but nothing outside the training part is computed from it; name a tensor with outputs="
        )
    ranked = sorted(groups, key=lambda g: _rank(structure, g))
    best = ranked[0]
    rivals = [
        g for g in ranked[1:] if _rank(structure, g) == _rank(structure, best) and not _same_weights(structure, g, best)
    ]
    if rivals:
        listed = "; ".join(", ".join(str(v) for v in g.outputs) for g in [best, *rivals])
        raise AmbiguousInterface(
            f"{1 + len(rivals)} models of this graph are equally good: {listed}. "
            "Choose with scope= (--scope) or outputs= (--output)."
        )
    why = ()
    if len(ranked) > 1:
        others = ", ".join(str(g.outputs[0]) for g in ranked[1:])
        why = (
            f"{len(ranked)} models in the graph; chosen: the one without random numbers and with the fewest steps and rows baked in, not that of {others}",
        )
    return best.outputs, best.recurrences, why


def _rank(structure: Structure, group: _Group) -> tuple[int, int, int]:
    """Lower is better: no random numbers in it, few steps baked in, few rows baked in."""
    random = any(structure.graph[n].op.startswith(settings.RANDOM) for n in _behind(structure, group))
    static = Facts(structure)
    baked = [static.shape(read.stacked) or () for r in group.recurrences for read in r.reads]
    steps = [s[0].scale for s in baked if s and s[0].known]
    rows = [s[1].scale for s in baked if len(s) > 1 and s[1].known]
    return int(random), max(steps, default=0), max(rows, default=0)


def _behind(structure: Structure, group: _Group) -> set[str]:
    return ancestors(structure, group.outputs)


def _same_weights(structure: Structure, one: _Group, other: _Group) -> bool:
    def weights(group: _Group) -> set[str]:
        return {
            n for n in _behind(structure, group) if structure.graph[n].op in ("Variable", "VariableV2", "VarHandleOp")
        }

    return weights(one) == weights(other) and bool(weights(one))


def _named(structure: Structure, name: str, option: str) -> Value:
    value = Value.parse(name)
    if value.node not in structure.graph:
        from_end = value.node.rsplit("/", 1)[-1]
        near = [n for n in structure.graph.nodes if n.rsplit("/", 1)[-1] == from_end][:5]
        raise CallError(
            f"{option}: the graph has no tensor {name!r}" + (f"; nearest: {', '.join(near)}" if near else "")
        )
    return value


def _describe(
    structure: Structure,
    used: tuple[Recurrence, ...],
    wanted: tuple[Value, ...],
    choices: Choices,
    why: tuple[str, ...],
) -> Discovery:
    used = _with_chosen_states(structure, used, choices)
    carried = tuple(c for r in used for c in r.states)
    started = {c: _start(structure, c) for c in carried}
    needed = _needed(structure, used, wanted, [c for c in carried if started[c] != "inputs"])
    entries = [v for v in outputs.sources(structure) if v in needed]
    scalars = [v for v in entries if settings.is_setting(structure, v)]
    entries = [v for v in entries if v not in scalars]
    setting_ports = _setting_ports(structure, scalars, needed)
    fixed = {
        v: np.asarray(p.value, DTYPES[p.dtype])
        for p, v in zip(setting_ports, scalars, strict=True)
        if p.value is not None
    }
    axes = axes_of.read(structure, used, entries, wanted, fixed)
    why_not = stepping.obstacle(structure, used, axes, entries, wanted, [c for c in carried if started[c] == "inputs"])
    input_ports = _input_ports(structure, used, axes, entries, wanted, {p.name for p in setting_ports})
    interface = Interface(
        input_ports,
        _output_ports(structure, axes, wanted, used),
        _state_ports(structure, used, axes, started),
        setting_ports,
        not why_not,
        why_not,
        (*why, *_evidence(structure, used)),
    )
    return Discovery(interface, structure, axes, used, tuple(entries), wanted, carried, tuple(scalars))


def _with_chosen_states(structure: Structure, used: tuple[Recurrence, ...], choices: Choices) -> tuple[Recurrence, ...]:
    if not choices.states:
        return used
    wanted = {_named(structure, n, "states") for n in choices.states}
    chosen = []
    for r in used:
        kept = tuple(
            c for c in r.loop.carried if {c.final, structure.origin(c.initial), c.entering, c.leaving} & wanted
        )
        chosen.append(Recurrence(r.loop, kept, r.counters, r.fed_back, r.reads, r.writes))
    missing = wanted - {
        v for r in chosen for c in r.states for v in (c.final, structure.origin(c.initial), c.entering, c.leaving)
    }
    if missing:
        raise CallError(f"states: {', '.join(map(str, missing))} neither enters nor leaves a recurrence of the model")
    return tuple(chosen)


def _needed(
    structure: Structure, used: tuple[Recurrence, ...], wanted: tuple[Value, ...], given: Sequence[Carried]
) -> set[Value]:
    """Every value whose numbers the outputs and next states need, up to the sources and the states that are given."""
    cut = {c.initial for c in given}
    stop = dict.fromkeys([Value(c.enter) for c in given] + [*cut, *outputs.sources(structure)])
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
    if any(structure.graph[n].op in outputs.SOURCES for n in behind):
        return "inputs"
    zero = all(_is_zero_or_shape(structure.graph[n]) for n in behind)
    return "zeros" if zero else "file"


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
    structure: Structure,
    used: tuple[Recurrence, ...],
    axes: Axes,
    entries: Sequence[Value],
    wanted: Sequence[Value],
    taken: Collection[str],
) -> tuple[Port, ...]:
    kinds = {v: roles.of_input(structure, used, axes, v, wanted) for v in entries}
    called = names.unique([names.of_input(v, kinds[v]) for v in entries], taken)
    return tuple(
        Port(
            name,
            str(v),
            types.dtype(structure, v),
            axes.sizes(v),
            axes.time_axis(v),
            axes.batch_axis(v),
            kinds[v],
        )
        for name, v in zip(called, entries, strict=True)
    )


def _output_ports(
    structure: Structure, axes: Axes, wanted: Sequence[Value], used: tuple[Recurrence, ...]
) -> tuple[Port, ...]:
    kinds = {v: roles.of_output(structure, axes, v, wanted, used) for v in wanted}
    called = names.unique([names.of_output(v, kinds[v]) for v in wanted])
    return tuple(
        Port(
            name,
            str(v),
            types.dtype(structure, v),
            axes.sizes(v),
            axes.time_axis(v),
            axes.batch_axis(v),
            kinds[v],
            axes.rows(v),
        )
        for name, v in zip(called, wanted, strict=True)
    )


def _state_ports(
    structure: Structure, used: tuple[Recurrence, ...], axes: Axes, started: Mapping[Carried, Initial]
) -> tuple[StatePort, ...]:
    called = states.names(structure, used)
    ports = []
    for name, carried in zip(called, (c for r in used for c in r.states), strict=True):
        ports.append(
            StatePort(
                name,
                str(structure.origin(carried.initial)),
                names.of_final(structure, carried),
                states.fed_through(structure, carried),
                types.dtype(structure, carried.entering),
                axes.sizes(carried.entering),
                axes.batch_axis(carried.entering),
                started[carried],
            )
        )
    return tuple(ports)


def _setting_ports(structure: Structure, scalars: Sequence[Value], needed: set[Value]) -> tuple[Setting, ...]:
    called = names.unique([names.of_setting(v) for v in scalars])
    return tuple(
        Setting(name, str(v), types.dtype(structure, v), *settings.inference_value(structure, v, needed))
        for name, v in zip(called, scalars, strict=True)
    )


def _evidence(structure: Structure, used: tuple[Recurrence, ...]) -> tuple[str, ...]:
    said = []
    for r in used:
        finals = ", ".join(str(c.final) for c in r.states)
        said.append(f"loop {r.loop.name!r}: the next values of {finals} are computed from their last")
        said += [f"{read.stacked} is read one row at each step, by {read.node}" for read in r.reads]
        said += [f"{w.element} is written at each step, by {w.node}" for w in r.writes]
    return tuple(said)
