"""Every way to write a recurrence, brought to one: the `while` frame."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from reprise.graph import Graph
from reprise.graph_check import check_edges
from reprise.interface.building.rewritten import Rewritten
from reprise.interface.normal.branches import decide_branches
from reprise.interface.normal.constants import shrink_constants
from reprise.interface.normal.effects import tidied, without_effects
from reprise.interface.normal.fused import unfuse
from reprise.interface.normal.handwritten import straighten
from reprise.interface.normal.inline import inline
from reprise.interface.normal.loop_entries import separate_entries
from reprise.interface.normal.ranks import give_shapes
from reprise.interface.normal.texts import open_texts
from reprise.interface.normal.towers import join_towers
from reprise.interface.normal.unrolled import roll
from reprise.interface.normal.windows import open_named_inputs, open_windows
from reprise.structure import Structure, analyse


@dataclass(frozen=True, slots=True)
class Normal:
    """A graph whose recurrences are frames.

    Attributes:
        structure: The graph, analysed; names of the file still mean what they meant.
        notes: What was rewritten, for the evidence.
        unread: Which operators that hold a recurrence could not be, and why.
        rivals: Which values may be states, where none of several readings is better.
    """

    structure: Structure
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()

    def after(self, rewrite: Callable[[Structure], Rewritten]) -> Normal:
        """With one rewrite more; a graph is analysed again only where it has changed."""
        made = rewrite(self.structure)
        structure = self.structure if made.graph is self.structure.graph else analyse(made.graph)
        notes, unread = (*self.notes, *made.notes), (*self.unread, *made.unread)
        return Normal(structure, notes, unread, (*self.rivals, *made.rivals))


def normalise(graph: Graph, inputs: Collection[str] = (), nexts: Mapping[str, str] | None = None) -> Normal:
    """`graph` with functional control flow, unrolled cells and fused operators as frames.

    Args:
        graph: As the file holds it.
        inputs: Tensors that are given from outside, whatever computes them.
        nexts: Tensors by which states enter a step → those with their next values.

    Raises:
        CallError: One of `inputs` cannot be given, or one of `nexts` is not computed in one step from what it is of.
    """
    inlined = tidied(_without_references(inline(without_effects(graph))))
    check_edges(inlined.nodes)
    normal = Normal(analyse(separate_entries(inlined)))
    for rewrite in (
        partial(give_shapes, nexts=nexts),
        join_towers,
        open_texts,
        decide_branches,
        open_windows,
        partial(open_named_inputs, names=inputs),
        straighten,
        unfuse,
        partial(roll, nexts=nexts),
        shrink_constants,
    ):
        normal = normal.after(rewrite)
    return normal


def _without_references(graph: Graph) -> Graph:
    """`graph` with the operators that pass a variable itself on (`RefSwitch`) called as those that pass numbers on."""
    passed = {n.name: replace(n, op=n.op.removeprefix("Ref")) for n in graph if n.op in _REFERENCES}
    return replace(graph, nodes={**graph.nodes, **passed}) if passed else graph


_REFERENCES = frozenset("RefEnter RefExit RefIdentity RefMerge RefNextIteration RefSwitch".split())
