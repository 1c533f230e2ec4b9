"""Where the branches of a computation end: what the recurrences make and nothing of the model reads any more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from reprise.frame import REPLACED
from reprise.graph import Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.gradients import LOSSES, applied_gradient_seeds, forward_part
from reprise.interface.analysis.influence import SHAPE_ONLY, Influence, ancestors, descendants
from reprise.interface.analysis.several_outputs import divided_input
from reprise.interface.ports.parts import Parts
from reprise.operators import Tag, named
from reprise.structure import Structure

_SIDE_EFFECTS = named(Tag.SIDE_EFFECT)
#: Who asks for the shape of a value, as the gradient of what it lies beside does, reads none of its numbers.
_NO_READERS = _SIDE_EFFECTS | SHAPE_ONLY
_JOINS = named(Tag.JOIN) | {"Pack"}
_MOVES = named(Tag.LAYOUT, Tag.SLICE).union("Split SplitV Unpack GatherNd TensorListStack".split())
_STORES = ("Assign", "ResourceApply", "Apply", "ScatterUpdate", "AssignVariableOp", "Restore")


def _may_be_output(structure: Structure, name: str) -> bool:
    node = structure.graph[name]
    op = node.op
    if REPLACED in node.attributes:
        return False
    return op not in _SIDE_EFFECTS | LOSSES and not op.startswith(_STORES) and not structure.context(Value(name))


class Kinds:
    """Sorts the nodes behind the recurrences into predictions and the rest."""

    def __init__(
        self,
        structure: Structure,
        reached: Influence,
        from_sources: Influence,
        foreign: int,
        lost: Collection[str],
        parts: Parts,
    ) -> None:
        """Sorts the nodes of `structure`.

        Args:
            structure: The graph.
            reached: What the recurrences make, followed from what leaves them.
            from_sources: What the sources of the graph make.
            foreign: The sources that feed no recurrence, as bits of `from_sources`.
            lost: Nodes where a loss begins.
            parts: Tells which outputs of splits are results.
        """
        self._structure = structure
        self.parts = parts
        self._losses = set(lost)
        self._reached = reached
        self._targets = tuple(s for i, s in enumerate(from_sources.seeds) if foreign >> i & 1)
        self._foreign = {n.name for n in structure.graph if from_sources.mask(Value(n.name)) & foreign}
        self._recurrent = {n.name for n in structure.graph if reached.mask(Value(n.name))}
        self.candidates = {name for name in self._recurrent - self._foreign if _may_be_output(structure, name)}
        self._remove_losses()
        self._before = forward_part(structure, reached.seeds, self._losses)
        self._after_loss = self._gradients()
        self.candidates -= self._after_loss
        self.joined = False

    def _remove_losses(self) -> None:
        """What is computed from a loss operator is no prediction even where its targets are the inputs themselves."""
        lost = descendants(self._structure, self._losses & self._recurrent)
        self._foreign |= lost
        self.candidates -= lost
        self._lost = lost

    def _gradients(self) -> set[str]:
        """What depends on a loss, if only for its shape, and what descends from the ones a gradient begins with.

        The second matters for losses that are linear in a prediction or target and whose shapes are all constants.
        """
        roots = applied_gradient_seeds(self._structure) - self._before
        self._gradient = descendants(self._structure, roots)
        return descendants(self._structure, (self._foreign & self._recurrent) | roots)

    def outputs(self) -> list[Value]:
        """Candidates that end a branch of the computation and are no part of the gradient."""
        self._live: set[str] = set()
        ends = self._ends(self._live, (), self._is_end)
        if self.joined:
            ends += self._late_ends(ends)
        return ends

    def _late_ends(self, ends: Collection[Value]) -> list[Value]:
        """What the loss reads but does not make of what it compares: the weights of a mixture beside its means."""
        readers = ((v, r) for name in self.candidates for v, r in self._readers(name).items())
        compared = Influence(self._structure, [v for v, r in readers if self.is_joined(v, r)])
        live = ancestors(self._structure, ends)
        late = self._ends(live, ends, lambda _, readers: self._is_lossy(readers))
        return [v for v in late if not compared.mask(v) and Facts(self._structure).shape(v) != ()]

    def _ends(
        self, live: set[str], known: Collection[Value], is_end: Callable[[Value, list[str]], bool]
    ) -> list[Value]:
        """Values that no live node reads and that `is_end` takes, given their readers; what leads to them is live.

        Those that are `known` already are left out.
        """
        found: list[Value] = []
        for name in reversed(self._structure.order):
            if name not in self.candidates:
                continue
            readers = self._readers(name)
            read = [v for v in readers if any(c in live for c in readers[v])]
            ends = [v for v in readers if v not in (*read, *known) and is_end(v, readers[v])]
            found += ends
            live.update([name] if read or ends else [])
        return found

    def _readers(self, name: str) -> dict[Value, list[str]]:
        """The nodes that read each output of a node."""
        readers: dict[Value, list[str]] = {}
        for consumer in self._structure.consumers[name]:
            for value in self._structure.graph[consumer].inputs:
                if value.node == name:
                    readers.setdefault(value, []).append(consumer)
        return readers | {v: [] for v in self.parts.unread(self._structure.graph[name], readers)}

    def _is_end(self, value: Value, readers: list[str]) -> bool:
        consumers = [c for c in readers if self._counts(c)]
        if not consumers:
            return not any(self._structure.graph[c].op.startswith(_STORES) for c in readers)
        joined = self.is_joined(value, consumers)
        self.joined = self.joined or joined
        return joined

    def is_joined(self, value: Value, readers: Iterable[str]) -> bool:
        """Whether any of `readers` joins a value with targets."""
        return any(self._joins_targets(c, value.node) for c in readers)

    def is_of_loops(self, value: Value) -> bool:
        """Whether a value is what loops leave, in another layout at most."""
        return only_rearranges(self._structure, value, self._reached.seeds)

    def only_lost(self, value: Value) -> bool:
        """Whether losses alone read `value`: an output in the layout that a loss wants is not an output of its own."""
        readers = self._structure.consumers[value.node]
        return bool(self._losses.intersection(readers)) and not self._live.intersection(readers)

    def _is_lossy(self, readers: Iterable[str]) -> bool:
        """Whether any of `readers` is a part of the loss, and not of its gradient."""
        return any(c in self._foreign and c not in self._lost and c not in self._gradient for c in readers)

    def _counts(self, name: str) -> bool:
        node = self._structure.graph[name]
        return node.op not in _NO_READERS and not node.op.startswith(_STORES)

    def _joins_targets(self, consumer: str, name: str) -> bool:
        node = self._structure.graph[consumer]
        others = [v for v in node.inputs if v.node != name]
        if consumer in self._losses:
            return True
        return any(self._is_target(v) for v in others)

    def _is_target(self, value: Value) -> bool:
        """A foreign value before any loss; an iterator gives inputs and targets as outputs of one node."""
        if value in self._targets:
            return True
        return value.node in self._foreign and value.node not in self._recurrent | self._after_loss


def only_rearranges(structure: Structure, value: Value, finals: Collection[Value | None]) -> bool:
    """Whether `value` is nothing but some of `finals`, cut or put together without any computation."""
    pending = [value]
    while pending:
        at = structure.source(pending.pop())
        if at in finals:
            continue
        node = structure.graph.nodes[at.node]
        if node.op in _JOINS:
            pending.extend(v for v in node.inputs if structure.graph[structure.origin(v).node].op != "Const")
        elif node.op in _MOVES:
            pending.append(divided_input(node))
        elif node.op.startswith(("TensorArrayGather", "TensorArrayPack")):
            pending.append(node.inputs[-1])
        else:
            return False
    return True
