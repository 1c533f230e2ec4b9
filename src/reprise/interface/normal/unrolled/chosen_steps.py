"""Steps whose states a caller names: where each enters, and its next value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reprise.errors import CallError
from reprise.graph import Value
from reprise.interface.analysis.influence import ancestors, descendants
from reprise.interface.analysis.named import named_value
from reprise.interface.normal.unrolled.flow import Flow, StateSource
from reprise.interface.normal.unrolled.lone_step import plan_of, state_clause
from reprise.interface.normal.unrolled.replacements import FramePlan
from reprise.interface.normal.unrolled.steps import View
from reprise.operators.types import dtype


def pairs(view: View, nexts: Mapping[str, str]) -> dict[Value, Value]:
    """The value of each state → its next value.

    Raises:
        CallError: A tensor is none of the graph's, or a next value is not computed in one step from its state.
    """
    found = {_value(view, a): view.structure.source(_value(view, b)) for a, b in nexts.items()}
    for initial, value in found.items():
        _check(view, initial, value)
    return found


def read(view: View, nexts: Mapping[str, str], others: Sequence[FramePlan]) -> list[FramePlan]:
    """The plan for these states, nothing where the graph has loops or the steps of `others` carry them.

    Raises:
        CallError: A tensor is none of the graph's, or a next value is not computed in one step from its state.
    """
    pairs = {_value(view, a): view.structure.source(_value(view, b)) for a, b in nexts.items()}
    if all(_is_looped(view, a, b) or any(_carries(view, p, a, b) for p in others) for a, b in pairs.items()):
        return []
    for initial, value in pairs.items():
        _check(view, initial, value)
    group = {StateSource(a, frozenset(view.readers.get(a, ()))): b for a, b in pairs.items()}
    plans = list(plan_of(view, group, tuple(f"{state_clause(s, v)}: chosen by the caller" for s, v in group.items())))
    inside = {name for plan in plans for name in plan.steps.order}
    taken = {name for p in others for images in p.steps.images for name in images.values()}
    if not plans or not inside.isdisjoint(taken):
        pairs_text = ", ".join(f"{a} → {b}" for a, b in nexts.items())
        raise CallError(
            f"states: {pairs_text} is not one step of a recurrence: other steps of the graph lie between them"
        )
    return plans


def _value(view: View, name: str) -> Value:
    return named_value(view.structure, name, "states")


def _is_looped(view: View, initial: Value, value: Value) -> bool:
    """Whether a state enters and leaves a loop of the graph."""
    origin = view.structure.origin
    return any(
        c.final == value and origin(c.initial) == origin(initial)
        for loop in view.structure.loops.values()
        for c in loop.carried
    )


def _carries(view: View, plan: FramePlan, initial: Value, value: Value) -> bool:
    """Whether steps begin with a state and end with its value."""
    _, states = plan.steps.needed(view.graph, [Value(a) for a in plan.steps.anchors])
    return any(s.initial == initial and plan.steps.image(s.next, -1) == value for s in states)


def _check(view: View, initial: Value, value: Value) -> None:
    """Raises CallError if a value cannot be the next one of a state."""
    pair = f"states: {initial} → {value}"
    flow, source = Flow(view, ()), StateSource(initial, frozenset())
    sizes = [view.facts.shape(v) for v in (initial, value)]
    if None not in sizes and not flow.alike(value, source):
        found = " and ".join(f"{dtype(view.structure, v)} {_format_shape(view, v)}" for v in (initial, value))
        raise CallError(f"{pair}: a state and its next value have one type and size; these are {found}")
    above = ancestors(view.structure, [value])
    if initial.node not in above:
        raise CallError(f"{pair}: the second is not computed from the first")
    if any(view.structure.context(Value(n)) for n in above & descendants(view.structure, [initial.node])):
        raise CallError(f"{pair}: a loop or a branch lies between the two, so they are not the two ends of one step")


def _format_shape(view: View, value: Value) -> str:
    return f"[{', '.join(str(d) if d.known else '?' for d in view.facts.shape(value) or ())}]"
