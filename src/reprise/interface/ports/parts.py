"""Operators that give several outputs of equal standing: a head that is split, unstacked or ranked.

Each output that nothing reads is a result. But who takes a sequence apart into its steps wants some of the steps, and
what is whole is the sequence.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from reprise.frame import STEP_TENSORS
from reprise.graph import Node, Value
from reprise.interface.analysis.influence import RANKING
from reprise.interface.analysis.settings import is_setting
from reprise.interface.analysis.several_outputs import COUNTS, divided_input, parallel_outputs
from reprise.interface.analysis.sources import sources
from reprise.interface.loops.recurrences import Recurrence
from reprise.interface.steps import axes
from reprise.structure import RESULTS, Structure


class Parts:
    """Tells which outputs that nothing reads are results."""

    def __init__(self, structure: Structure, recurrences: Collection[Recurrence]) -> None:
        self._structure = structure
        self._recurrences = recurrences

    def unread(self, node: Node, read: Collection[Value]) -> list[Value]:
        """The outputs of `node` that are results although nothing reads them; `read` are its others."""
        beside = self._of_steps(node) if node.op == RESULTS else parallel_outputs(node)
        unread = [v for v in beside if v not in read]
        if not read:
            return unread or [Value(node.name)]
        return [] if node.op in RANKING or self.are_steps(node) else unread

    def _of_steps(self, node: Node) -> list[Value]:
        """The outputs of a node of results that stand for those of written steps."""
        made = (self._structure.graph[v.node] for v in node.inputs)
        return [Value(node.name, k) for k, one in enumerate(made) if STEP_TENSORS in one.attributes]

    def are_steps(self, node: Node) -> bool:
        """Whether a node takes a sequence apart along time."""
        return node.name in self._along_time

    @cached_property
    def _along_time(self) -> frozenset[str]:
        apart = [n for n in self._structure.graph if n.op in COUNTS and not self._structure.context(Value(n.name))]
        if not apart:
            return frozenset()
        given = [v for v in sources(self._structure) if not is_setting(self._structure, v)]
        known = axes.read(self._structure, self._recurrences, given, map(divided_input, apart), {})
        return frozenset(
            n.name for n in apart if (time := known.named(divided_input(n))[0]) is not None and time == _axis(known, n)
        )


def _axis(known: axes.Axes, node: Node) -> int | None:
    """The axis along which a node takes its input apart."""
    rank = len(known.sizes(divided_input(node)))
    if node.op == "Unpack":
        return node.integer("axis", 0) % rank
    given = known.facts.content(node.inputs[0 if node.op == "Split" else 2])
    return None if given is None else int(given.item()) % rank
