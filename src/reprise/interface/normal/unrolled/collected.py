"""What the rest of a graph takes from the steps of an unrolled recurrence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from reprise.graph import Node, Value
from reprise.interface.analysis.gradients import LOSSES
from reprise.interface.analysis.influence import DISCRETE, RANKING
from reprise.interface.analysis.several_outputs import parallel_outputs
from reprise.interface.normal.unrolled.chains import weight_of
from reprise.interface.normal.unrolled.steps import CarriedState, SequenceRow, UnrolledSteps, View
from reprise.interface.normal.unrolled.time_slices import content_of
from reprise.operators.types import FLOATS, dtype

_MEASURES = frozenset("Shape ShapeN Rank Size".split())


Rows = frozenset[SequenceRow]


class Collected(Enum):
    """How the values of the steps leave them."""

    PACKED = "packed along a new axis"
    JOINED = "joined along an axis they have"
    SINGLY = "one tensor for each step"
    LAST = "of the last step alone"
    DIRECT = "read as it is, where there is one step: several are joined along the first axis"
    NOWHERE = "read by another recurrence"


@dataclass(frozen=True, slots=True)
class StepOutput:
    """A value of every step that something outside of the steps takes.

    Attributes:
        value: In the first step.
        kind: How it is taken.
        node: The node that takes it, or (SINGLY, LAST) that makes it in the first or last step, or (DIRECT) a new name.
        axis: Of time in what is packed or joined.
        rank: Of one step's value.
        backwards: Whether the last step comes first.
    """

    value: Value
    kind: Collected
    node: str = ""
    axis: int = 0
    rank: int = 0
    backwards: bool = False


def outputs_of(view: View, steps: UnrolledSteps, used: set[str]) -> tuple[StepOutput, ...]:
    """The outputs of `steps`, whose recurrence needs the nodes `used`."""
    inside = {name for images in steps.images for name in images.values()}
    found: list[StepOutput] = []
    lost = _losses(view, steps)
    for value in (v for name in steps.order if name not in lost for v in view.read_outputs(name)):
        found += _packed_outputs(view, steps, value, inside)
    carried = steps.needed(view.graph, [Value(a) for a in steps.anchors])[1]
    rows = frozenset(steps.rows(view.graph, used))
    behind, _ = steps.needed(view.graph, [o.value for o in found])
    singly = list(_heads(view, steps, behind, _scored(view, steps, used, rows, carried)))
    singly += [*_drawn_from(view, steps, used), *_joined_with_targets(view, steps, used, rows)]
    if not (found or singly):
        kept = {state.next.node for state in carried} if len(steps.images) == 1 else set()
        singly = [v for v in _unread(view, steps, rows, carried) if v.node not in kept]
    packed = {o.value for o in found}
    found += [StepOutput(v, Collected.SINGLY, v.node) for v in dict.fromkeys(singly) if v not in packed]
    taken = {o.value for o in found if o.kind is Collected.SINGLY}
    if len(steps.images) > 1:
        last = _last_step_outputs(view, steps, inside, taken)
        found += [o for o in last if not _is_compared(view, steps, rows, o.value.node)]
    return tuple(found)


def _losses(view: View, steps: UnrolledSteps) -> set[str]:
    """What each step loses, and what it makes of that."""
    lost: set[str] = set()
    for name in steps.order:
        node = view.graph.nodes[name]
        if node.op in LOSSES or any(v.node in lost for v in node.inputs):
            lost.add(name)
    return lost


def _packed_outputs(view: View, steps: UnrolledSteps, value: Value, inside: set[str]) -> Iterator[StepOutput]:
    """Nodes that put the values of all steps together."""
    images = tuple(steps.image(value, t) for t in range(len(steps.images)))
    for reader in dict(view.readers.get(value, ())):
        node = view.graph.nodes[reader]
        if reader in inside:
            continue
        parts, kind, axis = _packed_parts(view, node)
        if parts in (images, images[::-1]) and axis is not None:
            shape = view.facts.shape(value)
            rank = len(shape) if shape is not None else axis + 1 + (kind is Collected.JOINED)
            if shape is None and axis:
                continue
            axis += (rank + (kind is Collected.PACKED)) * (axis < 0)
            yield StepOutput(value, kind, reader, axis, rank, parts != images)


def _packed_parts(view: View, node: Node) -> tuple[tuple[Value, ...], Collected, int | None]:
    if node.op == "Pack":
        return node.inputs, Collected.PACKED, int(node.attributes.get("axis", 0))
    if node.op not in ("Concat", "ConcatV2"):
        return (), Collected.JOINED, None
    index, parts = (0, node.inputs[1:]) if node.op == "Concat" else (-1, node.inputs[:-1])
    axis = content_of(view.graph, node.inputs[index])
    return parts, Collected.JOINED, None if axis is None else int(axis.item())


def _heads(view: View, steps: UnrolledSteps, behind: Collection[str], scored: Mapping[str, bool]) -> Iterator[Value]:
    """Scores that every step computes for itself, and nothing but a loss puts together.

    Of what lies `behind` values that are put together, a gradient reads each step's.
    """
    for value in (v for n, is_loss in scored.items() if not is_loss for v in _outputs(view, n)):
        name = value.node
        readers = [r for r, _ in view.readers.get(value, ()) if view.graph.nodes[r].op not in _MEASURES]
        if name in behind and not (readers := [r for r in readers if r in steps.images[0] or r not in view.trained]):
            continue
        scores = any(view.graph.nodes[r].op == "Softmax" for r in readers)
        leaves = not readers or scores or any(r not in steps.images[0] or scored.get(r) for r in readers)
        if leaves and (dtype(view.structure, value) in FLOATS or view.graph.nodes[name].op in RANKING):
            yield value


def _outputs(view: View, name: str) -> list[Value]:
    return parallel_outputs(view.graph.nodes[name]) or [Value(name)]


def _drawn_from(view: View, steps: UnrolledSteps, used: set[str]) -> Iterator[Value]:
    """Scores that every step draws the input of the next one from."""
    for name in (n for n in steps.order if n in used):
        if any(r in used and view.graph.nodes[r].op in DISCRETE for r, _ in view.readers.get(Value(name), ())):
            yield Value(name)


def _joined_with_targets(view: View, steps: UnrolledSteps, used: set[str], rows: Rows) -> Iterator[Value]:
    """What the recurrence makes and something else joins with rows of its own: targets."""
    for name in (n for n in steps.order if n in used and dtype(view.structure, Value(n)) in FLOATS):
        readers = {r for r, _ in view.readers.get(Value(name), ()) if r in steps.images[0] and r not in used}
        if any(_is_compared(view, steps, rows, r) for r in readers if view.graph.nodes[r].op not in _MEASURES):
            yield Value(name)


def _unread(view: View, steps: UnrolledSteps, rows: Rows, carried: Collection[CarriedState]) -> Iterator[Value]:
    """What the last step leaves, where nothing else tells what the steps are for."""
    for name in (n for n in steps.order if dtype(view.structure, Value(n)) in FLOATS):
        unread = not view.readers.get(steps.image(Value(name), -1))
        if unread and _carries_only(view, steps, carried, name) and not _is_compared(view, steps, rows, name):
            yield Value(name)


def _carries_only(view: View, steps: UnrolledSteps, carried: Collection[CarriedState], name: str) -> bool:
    """Whether a node rests on no other states than these: else it belongs to another recurrence."""
    return set(carried).issuperset(steps.needed(view.graph, [Value(name)])[1])


def _scored(
    view: View, steps: UnrolledSteps, used: set[str], rows: Rows, carried: Collection[CarriedState]
) -> dict[str, bool]:
    """What each step computes with weights of its own → whether it also reads rows that the recurrence does not."""
    scored: dict[str, bool] = {}
    for name in steps.order:
        node = view.graph.nodes[name]
        own = name not in used and any(weight_of(view.graph, v) for v in node.inputs)
        if (own or any(v.node in scored for v in node.inputs)) and _carries_only(view, steps, carried, name):
            scored[name] = _is_compared(view, steps, rows, name)
    return scored


def _is_compared(view: View, steps: UnrolledSteps, rows: Rows, name: str) -> bool:
    """Whether a node rests on other rows than those that the recurrence reads: on targets."""
    behind, _ = steps.needed(view.graph, [Value(name)])
    return any(r not in rows and not _from_loop(view, r) for r in steps.rows(view.graph, behind))


def _from_loop(view: View, row: SequenceRow) -> bool:
    return row.first in view.stacked


def _last_step_outputs(view: View, steps: UnrolledSteps, inside: set[str], taken: set[Value]) -> Iterator[StepOutput]:
    """What only the last step is asked for: readers that the step before does not have."""
    carried = {s.next for s in steps.needed(view.graph, [Value(a) for a in steps.anchors])[1]}
    for name in steps.order:
        for value in view.read_outputs(name):
            if value in carried or value in taken or dtype(view.structure, value) not in FLOATS:
                continue
            if _readers(view, steps.image(value, -1), inside) - _readers(view, steps.image(value, -2), inside):
                yield StepOutput(value, Collected.LAST, steps.image(value, -1).node)


def _readers(view: View, value: Value, inside: set[str]) -> set[str]:
    """The operators outside of the steps that read a value."""
    return {view.graph.nodes[r].op for r, _ in view.readers.get(value, ()) if r not in inside}
