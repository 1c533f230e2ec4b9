"""What the steps of an unrolled recurrence are made of, and what they share with the rest of the graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from reprise.graph import Graph, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.normal.unrolled.time_slices import TimeSlice
from reprise.operators import Tag, named
from reprise.structure import Structure

RANDOM = named(Tag.RANDOM, Tag.SAMPLING)
IMPURE = tuple("Queue Iterator Reader Stack TensorArray TensorList Barrier Placeholder Variable Assign".split())


@dataclass(frozen=True, slots=True)
class Same:
    """The value of every step is the one of the first."""


@dataclass(frozen=True, slots=True)
class Computed:
    """The value is made within the step."""


@dataclass(frozen=True, slots=True)
class CarriedState:
    """A carried value.

    Attributes:
        initial: What the first step reads.
        next: What the first step makes of it, for the second to read.
    """

    initial: Value
    next: Value


@dataclass(frozen=True, slots=True)
class SequenceRow:
    """A row of a sequence.

    Attributes:
        first: What the first step reads.
        source: The sequence; None where every step has a placeholder of its own.
        axis: Along which the rows lie; -1 where the source itself is the only row.
        kept: Whether a row keeps that axis.
        start: Which row the first step reads.
        delta: 1, or -1 where the steps go backwards.
        of: How many rows there are, None if unknown.
    """

    first: Value
    source: Value | None
    axis: int = 0
    kept: bool = False
    start: int = 0
    delta: int = 1
    of: int | None = None


@dataclass(frozen=True, slots=True)
class StepCount:
    """A constant that goes up by `delta` from step to step."""

    first: int
    delta: int
    dtype: str


Role = Same | Computed | CarriedState | SequenceRow | StepCount
SAME, COMPUTED = Same(), Computed()


@dataclass(frozen=True, slots=True)
class UnrolledSteps:
    """Corresponding nodes of the steps of one recurrence.

    Attributes:
        roles: (node of the first step, input slot) → what that input is.
        images: For every step: node of the first → its counterpart.
        order: Nodes that depend on the first step alone and have a counterpart in every step, inputs first.
        anchors: Nodes of the first step that read weights the recurrence rests on.
        members: Row of placeholders → the placeholder of every step.
        kinds: Anchor of the first step → the kind of its chain.
    """

    roles: Mapping[tuple[str, int], Role]
    images: tuple[Mapping[str, str], ...]
    order: tuple[str, ...]
    anchors: tuple[str, ...]
    members: Mapping[SequenceRow, tuple[Value, ...]]
    kinds: Mapping[str, tuple[Any, ...]]

    def image(self, value: Value, step: int) -> Value:
        """The counterpart of a value of the first step."""
        return Value(self.images[step][value.node], value.index)

    def needed(self, graph: Graph, roots: list[Value]) -> tuple[set[str], tuple[CarriedState, ...]]:
        """The nodes of the first step behind `roots` and behind the states they need; and those states."""
        names: set[str] = set()
        states: dict[CarriedState, None] = {}
        pending = [r.node for r in roots]
        while pending:
            name = pending.pop()
            if name in names:
                continue
            names.add(name)
            for slot, value in enumerate(graph.nodes[name].inputs):
                role = self.roles[name, slot]
                if isinstance(role, Computed):
                    pending.append(value.node)
                elif isinstance(role, CarriedState) and role not in states:
                    states[role] = None
                    pending.append(role.next.node)
        return names, tuple(states)

    def rows(self, graph: Graph, names: set[str]) -> tuple[SequenceRow, ...]:
        """The sequences that these nodes read."""
        every = (self.roles[n, i] for n in sorted(names) for i in range(len(graph.nodes[n].inputs)))
        return tuple(dict.fromkeys(r for r in every if isinstance(r, SequenceRow)))


@dataclass(slots=True)
class View:
    """What the matching of one graph shares.

    Attributes:
        structure: The graph.
        facts: Its shapes.
        masks: The anchors that each node depends on.
        readers: Value → (node, slot) that read it.
        outputs: Node name → which of its outputs are read.
        position: Node name → its position, inputs first.
        trained: What is computed from the beginning of a gradient.
        stacked: Values of steps that are rolled already → the row they are of the sequence that the loop stacks.
    """

    structure: Structure
    facts: Facts
    masks: Mapping[str, int]
    readers: Mapping[Value, list[tuple[str, int]]]
    outputs: Mapping[str, Collection[int]]
    position: Mapping[str, int]
    trained: Collection[str]
    stacked: dict[Value, TimeSlice] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        """The graph."""
        return self.structure.graph

    def read_outputs(self, name: str) -> list[Value]:
        """The outputs of a node that something reads; the first where nothing does."""
        return [Value(name, i) for i in sorted(self.outputs.get(name, (0,)))]
