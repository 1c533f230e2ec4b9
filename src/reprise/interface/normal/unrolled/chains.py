"""Which nodes of a graph apply the same weights step after step.

An anchor is a node that reads a weight. Anchors that read the same weights in the same way, each depending on the
one before, are a chain: one anchor for each step. The chains of all weights of a cell advance together; such chains
are one recurrence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from reprise.graph import VARIABLES, Graph, Node, Value
from reprise.interface.analysis.alike import comparable_attributes
from reprise.interface.normal.unrolled.held_states import is_blank, set_by_a_step
from reprise.interface.normal.unrolled.time_slices import content_of
from reprise.operators import Tag, named
from reprise.operators.types import FLOATS
from reprise.structure import InLoop, Structure

_READERS = named(Tag.PRODUCT, Tag.ADDITION).union(
    "SparseMatMul Einsum Conv2D LSTMBlockCell GRUBlockCell BiasAdd Mul".split()
)
_SUMS = named(Tag.ADDITION)
#: The slots of the kernels, peepholes and biases of cells that are one operator.
_BLOCKS = {"LSTMBlockCell": range(3, 8), "GRUBlockCell": range(2, 6)}
_PEEPHOLES = range(4, 7)
_PASS = frozenset("Identity ReadVariableOp Switch StopGradient".split())
#: Operators that take a part of a tensor → which input the tensor is.
_PARTS = {"StridedSlice": 0, "Slice": 0, "Split": 1, "SplitV": 0}
_NESTED = 4

# Every node keeps one bit for each anchor above it; a graph that would need more than half a gigabyte is not rolled.
MAX_BITS = 4_000_000_000


@dataclass(frozen=True, slots=True)
class Chain:
    """Anchors of one kind, in the order of time.

    Attributes:
        kind: Operator, attributes and weights: what all of them share.
        anchors: Node names.
        bits: The bit of each anchor.
    """

    kind: tuple[Any, ...]
    anchors: tuple[str, ...]
    bits: tuple[int, ...]

    @property
    def mask(self) -> int:
        """All its anchors."""
        return sum(self.bits)


@dataclass(frozen=True, slots=True)
class Chains:
    """The chains of a graph.

    Attributes:
        masks: Node name → the anchors it depends on, itself included, as bits.
        clusters: Chains of two anchors or more that advance together.
        single: Chains of one anchor, if nothing that rests on it reads its weights in the same way again.
    """

    masks: Mapping[str, int]
    clusters: tuple[tuple[Chain, ...], ...]
    single: tuple[Chain, ...]


def weight_of(graph: Graph, value: Value, depth: int = 0) -> str | None:
    """The variable (or frozen constant) behind a value that passes it on or a part of it, None for anything else."""
    value = graph.through(value, _PASS)
    node = graph.nodes.get(value.node)
    if node is None or node.op in VARIABLES:
        return None if node is None else node.name
    if node.op in _PARTS and depth < _NESTED:
        return _part_of_weight(graph, node, value.index, depth)
    return node.name if _is_frozen(node) else None


def _is_frozen(node: Node) -> bool:
    content = node.constant
    return content is not None and content.dtype in FLOATS and len(content.shape) > 0 and content.size > 1


def _part_of_weight(graph: Graph, node: Node, index: int, depth: int) -> str | None:
    """A gate's columns of a kernel that all gates share, which every step cuts out anew."""
    inputs = list(node.inputs)
    whole = weight_of(graph, inputs.pop(_PARTS[node.op]), depth + 1) if len(inputs) > 1 else None
    bounds = [content_of(graph, v) for v in inputs]
    if whole is None or any(b is None for b in bounds):
        return None
    attributes = sorted(comparable_attributes(node).items())
    return f"{whole}[{node.op} {index} {[b.tolist() for b in bounds if b is not None]} {attributes}]"


def find(structure: Structure) -> Chains:
    """The chains of all weights; linear in the graph (times the anchors, as bits)."""
    kinds = dict(_kinds(structure))
    if len(kinds) * len(structure.order) > MAX_BITS:
        return Chains({}, (), ())
    bits = {name: 1 << i for i, name in enumerate(kinds)}
    masks = _masks(structure, bits)
    members: dict[tuple[Any, ...], list[str]] = {}
    for name, kind in kinds.items():
        members.setdefault(kind, []).append(name)
    every = [c for kind, names in members.items() for c in _chains_of_kind(kind, names, bits, masks)]
    forward = list(_forward(every, masks))
    if all(len(c.anchors) == 1 for c in forward):
        forward = list(_joined_in_turn(forward, masks))
    repeated = [c for c in forward if len(c.anchors) > 1]
    return Chains(masks, tuple(_clusters(repeated, masks)), tuple(_single(forward, kinds, bits, masks)))


def _kinds(structure: Structure) -> Iterator[tuple[str, tuple[Any, ...]]]:
    states = {variable.node for variable in set_by_a_step(structure)}
    for name in structure.order:
        node = structure.graph.nodes[name]
        if node.op not in _READERS or any(isinstance(c, InLoop) for c in structure.context(Value(name))):
            continue
        if node.op in _SUMS and any(is_blank(structure, structure.graph.nodes[v.node]) for v in node.inputs):
            continue  # where a state was learned to begin
        weights = tuple(_weights(structure.graph, node, states))
        if weights and len(weights) < len(node.inputs):
            yield name, (node.op, weights, repr(sorted(comparable_attributes(node).items())))


def _weights(graph: Graph, node: Node, states: Collection[str]) -> Iterator[tuple[int, str]]:
    """The weights that a node reads, by slot; no states in variables, no zeros, not what a block cell ignores."""
    found = [(i, w) for i in _slots(node) if (w := weight_of(graph, node.inputs[i])) is not None and w not in states]
    if len(found) == len(node.inputs):
        found = [(i, w) for i, w in found if w in graph.nodes and not _is_zero(graph.nodes[w])]
    yield from found


def _slots(node: Node) -> list[int]:
    """Where a node may read weights; a block cell is given peepholes that it leaves unread."""
    slots = list(_BLOCKS.get(node.op, range(len(node.inputs))))
    unread = _PEEPHOLES if node.op == "LSTMBlockCell" and not node.attributes.get("use_peephole") else ()
    return [slot for slot in slots if slot < len(node.inputs) and slot not in unread]


def _is_zero(node: Node) -> bool:
    tensor = node.constant
    return tensor is not None and not tensor.load().any()


def _masks(structure: Structure, bits: Mapping[str, int]) -> dict[str, int]:
    masks: dict[str, int] = {}
    for name in structure.order:
        mask = bits.get(name, 0)
        for value in structure.graph.nodes[name].inputs:
            mask |= masks.get(value.node, 0)
        masks[name] = mask
    return masks


def _chains_of_kind(
    kind: tuple[Any, ...], names: list[str], bits: Mapping[str, int], masks: Mapping[str, int]
) -> Iterator[Chain]:
    """The chains of the anchors `names`, all of one `kind`; where one is followed by two, those after it are none.

    `bits` is the bit of each anchor, `masks` the anchors that each depends on.
    """
    every = sum(bits[n] for n in names)
    above = {name: masks[name] & every & ~bits[name] for name in names}
    followers = Counter(above.values())
    chains: dict[int, list[str]] = {}
    for name in names:
        chain = chains.pop(above[name], None) if above[name] else []
        if chain is not None:
            chains[above[name] | bits[name]] = [*chain, name]
    for chain in chains.values():
        rivals = [followers[above[name]] for name in chain]
        if len(chain) > 2 and set(rivals[1:-1]) == {2} and rivals[-1] == 1:
            chain.pop()  # two of each step, one of which the next rests on: the last step has the other alone
        yield Chain(kind, tuple(chain), tuple(bits[n] for n in chain))


def _joined_in_turn(single: list[Chain], masks: Mapping[str, int]) -> Iterator[Chain]:
    """Chains of anchors that do not rest on each other, where what is made of each joins what is made of those before.

    Cells whose gates read the input alone multiply no state with weights: c' = f(x) ⊙ c + i(x) (Lei et al. 2018, SRU).
    """
    kinds: dict[tuple[Any, ...], list[Chain]] = {}
    for chain in single:
        kinds.setdefault(chain.kind, []).append(chain)
    for alike in kinds.values():
        every = sum(c.mask for c in alike)
        joined = sorted({m & every for m in masks.values() if (m & every).bit_count() > 1}, key=int.bit_count)
        counts = [m.bit_count() for m in joined]
        nested = all(one & other == one for one, other in pairwise(joined))
        if counts and counts == list(range(2, len(alike) + 1)) and nested:
            alike.sort(key=lambda chain: next(i for i, m in enumerate(joined) if m & chain.mask))
            yield Chain(alike[0].kind, tuple(c.anchors[0] for c in alike), tuple(c.mask for c in alike))
        else:
            yield from alike


def _forward(chains: list[Chain], masks: Mapping[str, int]) -> Iterator[Chain]:
    """Chains whose weights nothing above them has read already: that would be a gradient, or a second use."""
    readers: dict[str, int] = {}
    for chain in chains:
        for _, weight in chain.kind[1]:
            readers[weight] = readers.get(weight, 0) | chain.mask
    for chain in chains:
        others = masks[chain.anchors[0]] & ~chain.mask
        if not any(others & readers[weight] for _, weight in chain.kind[1]):
            yield chain


def _single(
    chains: list[Chain], kinds: Mapping[str, tuple[Any, ...]], bits: Mapping[str, int], masks: Mapping[str, int]
) -> Iterator[Chain]:
    """Chains of one anchor, those aside with which steps begin that are not alike: no one of them is a model."""
    above: dict[tuple[Any, ...], int] = {}
    for name, kind in kinds.items():
        for way in _reading_kinds(kind):
            above[way] = above.get(way, 0) | masks[name] & ~bits[name]
    yield from (
        c for c in chains if len(c.anchors) == 1 and not any(above[way] & c.mask for way in _reading_kinds(c.kind))
    )


def _reading_kinds(kind: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """How anchors of a kind read each of its weights; a block cell reads them in one way, whatever its attributes."""
    op, weights, attributes = kind
    return [(op, "" if op in _BLOCKS else attributes, *read) for read in weights]


def _clusters(chains: list[Chain], masks: Mapping[str, int]) -> Iterator[tuple[Chain, ...]]:
    """The `chains` in groups that advance together and rest on the same others, by the `masks` of their anchors.

    A layer over both directions stands alone. Chains that rest on each other, as the layers of a decoder do that read
    what it drew, are one group in any case.
    """
    abreast = {id(c): [d for d in chains if c is d or _aligned(c, d, masks) or _aligned(d, c, masks)] for c in chains}
    rest = {
        id(c): sum(d.mask for d in chains if masks[c.anchors[0]] & d.mask and d not in abreast[id(c)]) for c in chains
    }
    left = dict.fromkeys(range(len(chains)))
    while left:
        group = [chains[next(iter(left))]]
        for member in group:
            group += [
                d
                for d in abreast[id(member)]
                if d not in group and (rest[id(d)] == rest[id(group[0])] or _depend_mutually(member, d, masks))
            ]
        left = {i: None for i in left if chains[i] not in group}
        yield tuple(group)


def _depend_mutually(one: Chain, other: Chain, masks: Mapping[str, int]) -> bool:
    """Whether later steps of each chain rest on earlier ones of the other."""
    return bool(masks[one.anchors[-1]] & other.mask and masks[other.anchors[-1]] & one.mask)


def _aligned(upper: Chain, lower: Chain, masks: Mapping[str, int]) -> bool:
    """Whether step t of `lower` rests on exactly the steps of `upper` up to t, up to the one before, or on step t."""
    if len(upper.anchors) != len(lower.anchors):
        return False
    whole = upper.mask
    seen = [masks[name] & whole for name in lower.anchors]
    reached = [0, *accumulate(upper.bits)]
    return seen in (reached[1:], reached[:-1], list(upper.bits))
