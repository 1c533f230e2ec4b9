"""Every way to write a recurrence, brought to one: the `while` frame."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

from reprise.graph import Graph
from reprise.interface.analysis.malformed import check
from reprise.interface.building.rewritten import Rewritten
from reprise.interface.normal.branches import decide
from reprise.interface.normal.constants import shrink
from reprise.interface.normal.fused import unfuse
from reprise.interface.normal.handwritten import straighten
from reprise.interface.normal.inline import inline
from reprise.interface.normal.loop_entries import part
from reprise.interface.normal.unrolled import roll
from reprise.interface.normal.windows import give, open_windows
from reprise.structure import Structure, analyse


@dataclass(frozen=True, slots=True)
class Normal:
    """A graph whose recurrences are frames.

    Attributes:
        structure: The graph, analysed; names of the file still mean what they meant.
        notes: What was rewritten, for the evidence.
        unread: Which operators that hold a recurrence could not be, and why.
    """

    structure: Structure
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def after(self, rewrite: Callable[[Structure], Rewritten]) -> Normal:
        """With one rewrite more; a graph is analysed again only where it has changed."""
        made = rewrite(self.structure)
        structure = self.structure if made.graph is self.structure.graph else analyse(made.graph)
        return Normal(structure, (*self.notes, *made.notes), (*self.unread, *made.unread))


def normalise(graph: Graph, inputs: Collection[str] = ()) -> Normal:
    """`graph` with functional control flow, unrolled cells and fused operators as frames.

    Args:
        graph: As the file holds it.
        inputs: Tensors that are given from outside, whatever computes them.

    Raises:
        CallError: One of `inputs` cannot be given.
    """
    inlined = _without_references(inline(graph))
    check(inlined)
    normal = Normal(analyse(part(inlined)))
    for rewrite in (decide, open_windows, partial(give, names=inputs), straighten, unfuse, roll, shrink):
        normal = normal.after(rewrite)
    return normal


def _without_references(graph: Graph) -> Graph:
    """`graph` with the operators that pass a variable itself on (`RefSwitch`) called as those that pass numbers on."""
    passed = {n.name: replace(n, op=n.op.removeprefix("Ref")) for n in graph if n.op in _REFERENCES}
    return replace(graph, nodes={**graph.nodes, **passed}) if passed else graph


_REFERENCES = frozenset("RefEnter RefExit RefIdentity RefMerge RefNextIteration RefSwitch".split())
