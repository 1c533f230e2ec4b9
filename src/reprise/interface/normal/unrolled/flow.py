"""How the values that a step is given flow through it: what all of one must pass, and what is made of one alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from reprise.graph import Node, Value
from reprise.interface.analysis.influence import SHAPE_ONLY, reachable
from reprise.interface.normal.unrolled.steps import RANDOM, View
from reprise.operators.types import dtype

PRODUCTS = frozenset(
    "MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Conv2D Conv3D DepthwiseConv2dNative Einsum".split()
)
#: What takes a value apart, or passes it on in another shape.
PARTS = frozenset("Identity Split SplitV Slice StridedSlice Unpack Squeeze Reshape GatherV2 Gather".split())
_COPIES = frozenset("Identity Concat ConcatV2 Pack Reshape ExpandDims Squeeze".split())
_ASIDE = ("Assign", "Save", "HistogramSummary", "ScalarSummary", "Print", "Assert")


@dataclass(frozen=True, slots=True)
class StateSource:
    """A value from outside of a step that may be a state.

    Attributes:
        initial: The value.
        slots: Where the step reads it: (node, input slot).
    """

    initial: Value
    slots: frozenset[tuple[str, int]]


class Flow:
    """The nodes that are computed from some sources, up to loops and to weights that are read again and again.

    Gradients and summaries are no part of it.

    Attributes:
        view: The graph.
        sources: The sources.
        fetched: Values that are copied out of the graph: nothing computes with the copy.
    """

    def __init__(self, view: View, sources: Sequence[StateSource], repeated: int = 0) -> None:
        """Nodes that rest on the weights in `repeated` are not followed."""
        self.view, self.sources = view, tuple(sources)
        self._repeated = repeated
        self._bits = {slot: 1 << k for k, s in enumerate(sources) for slot in s.slots}
        self._origins = _origins(view, sources)
        self._masks = self._below()
        self.fetched = self._leaving()
        self._next, self._depth = self._post_dominators()

    def _below(self) -> dict[str, int]:
        """Node → the sources it is computed from, as bits."""
        masks: dict[str, int] = {}
        for name in self.view.structure.order:
            node, mask = self.view.graph.nodes[name], 0
            if node.op in SHAPE_ONLY or node.op.startswith(_ASIDE) or name in self.view.trained:
                continue
            for slot, value in enumerate(node.inputs):
                mask |= self._bits.get((name, slot), 0) | masks.get(value.node, 0)
            if mask and not self.view.structure.context(Value(name)) and not self.view.masks[name] & self._repeated:
                masks[name] = mask
        return masks

    def _leaving(self) -> frozenset[Value]:
        fetched: set[Value] = set()
        for name in reversed(list(self._masks)):
            if self.view.graph.nodes[name].op in _COPIES and not self._readers(name):
                del self._masks[name]
                fetched.update(self.view.graph.nodes[name].inputs)
        return frozenset(v for v in fetched if v.node in self._masks)

    def _readers(self, name: str) -> list[str]:
        return [r for r in self.view.structure.consumers[name] if r in self._masks]

    def _post_dominators(self) -> tuple[dict[str, str], dict[str, int]]:
        """Node → the nearest one that every way out of the graph passes ('' is outside), and how far outside is."""
        after: dict[str, str] = {}
        depth = {"": 0}
        for name in reversed(list(self._masks)):
            after[name] = _meeting(self._readers(name), after, depth)
            depth[name] = depth[after[name]] + 1
        return after, depth

    def passed(self, source: StateSource) -> Iterator[str]:
        """The nodes that everything that is made of a source passes, in the order of the data."""
        entered = {name for name, _ in source.slots if name in self._masks}
        name = _meeting(entered, self._next, self._depth)
        while name:
            yield name
            name = self._next[name]

    def passed_after(self, name: str) -> Iterator[str]:
        """The nodes that everything that is made of a node passes after it."""
        while name := self._next.get(name, ""):
            yield name

    def shares_placeholder(self, source: StateSource, other: StateSource) -> bool:
        """Whether two sources are parts of one placeholder."""
        return self._origins.get(source.initial.node) == self._origins.get(other.initial.node)

    def is_slice(self, source: StateSource) -> bool:
        """Whether a source is a part of what is fed."""
        node = self.view.graph.nodes[source.initial.node]
        if node.op.startswith("Placeholder"):
            return False
        while node.op in PARTS:
            node = self.view.graph.nodes[node.inputs[node.op == "Split"].node]
        return node.op.startswith("Placeholder")

    def is_part(self, source: StateSource, other: StateSource) -> bool:
        """Whether one of two sources is the placeholder that the other is sliced out of."""
        return self.shares_placeholder(source, other) and self.is_slice(source) != self.is_slice(other)

    def gives_more(self, values: Iterable[Value], sources: Iterable[StateSource]) -> bool:
        """Whether values are computed from anything else that changes from step to step than some sources."""
        known = reduce(or_, (self._origins.get(s.initial.node, 0) for s in sources), 0)
        return bool(reduce(or_, (self._origins.get(v.node, 0) for v in values), 0) & ~known)

    def rests_on(self, name: str, source: StateSource) -> bool:
        """Whether a node is computed from a source."""
        return bool(self._masks.get(name, 0) >> self.sources.index(source) & 1)

    def meet(self, some: Iterable[StateSource], others: Iterable[StateSource]) -> bool:
        """Whether rows are computed from some sources and others together, as in one model; a sum of losses is none."""
        ours, theirs = (reduce(or_, (1 << self.sources.index(s) for s in group), 0) for group in (some, others))
        both = (name for name, mask in self._masks.items() if mask & ours and mask & theirs)
        return any(len(self.view.facts.shape(Value(name)) or ()) > 1 for name in both)

    def is_only_compared(self, source: StateSource) -> bool:
        """Whether a source is never multiplied with weights, and goes into a loss and its gradient alone: targets."""
        below = [name for name in self._masks if self.rests_on(name, source)]
        products = any(self.is_product(self.view.graph.nodes[name]) for name in below)
        return not products and all(self._is_of_loss(name) for name in below if not self._readers(name))

    def _is_of_loss(self, name: str) -> bool:
        """Whether a node is one number, or a gradient reads it."""
        readers = self.view.structure.consumers[name]
        return self.view.facts.shape(Value(name)) == () or any(n in self.view.trained for n in readers)

    def rests_on_any(self, name: str) -> bool:
        """Whether a node is computed from any of the sources."""
        return name in self._masks

    def is_read(self, name: str) -> bool:
        """Whether anything is computed from a node."""
        return bool(self._readers(name))

    def readers(self, value: Value) -> list[str]:
        """The nodes that compute with a value."""
        return [name for name, _ in self.view.readers.get(value, ()) if name in self._masks]

    def joins(self, name: str, source: StateSource) -> bool:
        """Whether a node is computed from anything else that changes from step to step than a source."""
        return bool(self._origins.get(name, 0) & ~self._origins.get(source.initial.node, 0))

    def changes(self, value: Value) -> bool:
        """Whether a value can be another one at each step."""
        return value.node in self._origins

    def between(self, value: Value, origin: Value) -> list[str] | None:
        """The nodes that make `value` of `origin` alone (weights aside); None where anything else comes in."""
        found: dict[str, None] = {}
        pending = [value]
        while pending:
            at = pending.pop()
            if at == origin or at.node in found or not self.changes(at):
                continue
            inputs = self.view.graph.nodes[at.node].inputs
            if at.node not in self._masks or any((at.node, slot) in self._bits for slot in range(len(inputs))):
                return None
            found[at.node] = None
            pending += inputs
        return list(found)

    def is_product(self, node: Node) -> bool:
        """Whether a node multiplies what it computes with weights."""
        return node.op in PRODUCTS and not all(self.changes(v) for v in node.inputs[:2])

    def draws(self, names: Collection[str]) -> bool:
        """Whether any of some nodes computes with random numbers: drops out."""
        nodes = self.view.graph.nodes
        others = [v for n in names for v in nodes[n].inputs if v.node not in self._masks]
        above = reachable(others, lambda v: () if nodes[v.node].op in SHAPE_ONLY else nodes[v.node].inputs)
        return any(nodes[v.node].op in RANDOM for v in above)

    def alike(self, value: Value, source: StateSource) -> bool:
        """Whether a value has the type and, as far as they are known, the sizes of a source."""
        structure = self.view.structure
        same_type = dtype(structure, value) == dtype(structure, source.initial)
        return same_type and self.same_size(value, source.initial)

    def same_size(self, value: Value, other: Value) -> bool:
        """Whether two values have, as far as they are known, the same sizes, and the last of one is known."""
        ours, its = self.view.facts.shape(value), self.view.facts.shape(other)
        if not ours or not its or len(ours) != len(its):
            return False
        pairs = list(zip(ours, its, strict=True))
        return all(a == b or not (a.known and b.known) for a, b in pairs) and any(size.known for size in pairs[-1])


def _meeting(names: Collection[str], after: dict[str, str], depth: dict[str, int]) -> str:
    """The first node that every way from some nodes passes."""
    met: str | None = None
    for name in names:
        other = name
        while met is not None and met != other:
            if depth[met] < depth[other]:
                other = after[other]
            else:
                met = after[met]
        met = other
    return met or ""


def _origins(view: View, sources: Sequence[StateSource]) -> dict[str, int]:
    """Node → the placeholders (single numbers aside) and sources that its numbers are made of, as bits."""
    given = {s.initial.node for s in sources}
    masks: dict[str, int] = {}
    bit = 1
    for name in view.structure.order:
        node, mask = view.graph.nodes[name], 0
        if node.op not in SHAPE_ONLY:
            for value in node.inputs:
                mask |= masks.get(value.node, 0)
        placeholder = node.op.startswith("Placeholder") and node.declared() != ()
        if not mask and (placeholder or name in given):
            mask, bit = bit, bit << 1
        if mask:
            masks[name] = mask
    return masks
