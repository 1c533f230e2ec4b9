"""Every way to write a recurrence, brought to one: the `while` frame."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from reprise.graph import Graph
from reprise.interface.branches import decide
from reprise.interface.entrances import part
from reprise.interface.filled import shrink
from reprise.interface.fused import unfuse
from reprise.interface.handwritten import straighten
from reprise.interface.inline import inline
from reprise.interface.malformed import check
from reprise.interface.unrolled import roll
from reprise.interface.windows import give, open_windows


@dataclass(frozen=True, slots=True)
class Normal:
    """A graph whose recurrences are frames.

    Attributes:
        graph: The graph; names of the file still mean what they meant.
        notes: What was rewritten, for the evidence.
        unread: Which operators that hold a recurrence could not be, and why.
    """

    graph: Graph
    notes: tuple[str, ...]
    unread: tuple[str, ...] = ()


def normalise(graph: Graph, inputs: Collection[str] = ()) -> Normal:
    """`graph` with functional control flow, unrolled cells and fused operators as frames.

    Args:
        graph: As the file holds it.
        inputs: Tensors that are given from outside, whatever computes them.

    Raises:
        CallError: One of `inputs` cannot be given.
    """
    inlined = inline(graph)
    check(inlined)
    decided = decide(part(inlined))
    opened = open_windows(decided.graph)
    straight = straighten(give(opened.graph, inputs))
    unfused = unfuse(straight.graph)
    rolled = roll(unfused.graph)
    return Normal(
        shrink(rolled.graph),
        (*decided.notes, *opened.notes, *straight.notes, *unfused.notes, *rolled.notes),
        unfused.unread,
    )
