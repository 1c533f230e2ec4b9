"""What a rewrite makes of a graph."""

from __future__ import annotations

from dataclasses import dataclass

from reprise.graph import Graph


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A graph in which some way to write a recurrence is written in the common one.

    Attributes:
        graph: The graph; the one that was given where there was nothing to do.
        notes: What was rewritten, for the evidence.
        unread: Which operators that hold a recurrence stay as they are, and why.
        rivals: Which values may be states, where none of several readings is better.
    """

    graph: Graph
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
