"""Exits for the states whose last value nobody asked for.

To freeze a graph is to keep what its outputs are computed from. The last value of a state is none of that, so its Exit
is dropped; the loop itself is whole, and the next value of the state is still what goes to its NextIteration.
"""

from __future__ import annotations

from collections.abc import Sequence

from reprise.frame import NEXT_VALUE
from reprise.graph import Graph, Node, Value
from reprise.interface.building.rewritten import Rewritten
from reprise.interface.loops.recurrences import Recurrence
from reprise.structure import Carried, Structure


def restore_exits(structure: Structure, found: Sequence[Recurrence]) -> Rewritten:
    """The graph with an Exit for every state of the recurrences `found` that has none."""
    made = [_exit(structure, c) for r in found for c in r.states if c.final is None]
    nodes = {node.name: node for node in made if node is not None}
    if not nodes:
        return Rewritten(structure.graph)
    values = ", ".join(str(node.attributes[NEXT_VALUE]) for node in nodes.values())
    note = f"the file keeps no last value of the states; each is what its loop hands on to the next step: {values}"
    return Rewritten(Graph({**structure.graph.nodes, **nodes}, structure.graph.functions), (note,))


def _exit(structure: Structure, carried: Carried) -> Node | None:
    merge = carried.entering.node
    switch = next((n for n in structure.consumers[merge] if structure.is_loop_switch(n)), None)
    if switch is None:
        return None
    return Node(f"exits/{merge}", "Exit", (Value(switch),), (), {NEXT_VALUE: carried.leaving})
