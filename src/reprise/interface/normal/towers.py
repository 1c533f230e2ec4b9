"""A batch that is split over copies of one model, a tower for each device: its rows go through one of them.

The towers share all weights, read the parts of the batch and are put together again. What they compute of a row is the
same, so the first takes all rows. Towers that compute with several rows at once are left as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np

from reprise.frame import REPLACED
from reprise.graph import Graph, Node, Value
from reprise.interface.analysis.alike import comparable_attributes
from reprise.interface.analysis.facts import Facts, stated
from reprise.interface.analysis.sources import sources
from reprise.interface.building.rewritten import Rewritten
from reprise.operators.arrays import stacked_into
from reprise.operators.types import FLOATS, dtype
from reprise.structure import Structure

_REDUCTIONS = frozenset("Sum Mean Max Min Prod".split())
#: Operators of whole sequences: which input is the sequence.
_FUSED = {"BlockLSTM": 1, "BlockLSTMV2": 1, "CudnnRNN": 0, "CudnnRNNV2": 0, "CudnnRNNV3": 0}
#: What names a thing of the session, and so differs from tower to tower.
_NAMING = frozenset("frame_name tensor_array_name shared_name container stack_name".split())


@dataclass(frozen=True, slots=True)
class _Towers:
    """Copies that a Concat puts together.

    Attributes:
        joined: The Concat.
        first: What it reads of the first copy.
        images: For every other copy: node of the first → its counterpart.
        splits: The nodes that divide the batch.
    """

    joined: Node
    first: Value
    images: tuple[dict[str, str], ...]
    splits: frozenset[str]


def join_towers(structure: Structure) -> Rewritten:
    """The graph with one copy in place of all towers over the parts of a batch."""
    found = [t for node in structure.graph if (t := _towers(structure, node)) is not None]
    if not found:
        return Rewritten(structure.graph)
    nodes = dict(structure.graph.nodes)
    copied = {twin: name for t in found for images in t.images for name, twin in images.items()}
    kept = {t.joined.name for t in found}
    for name in _dependents_of_copies(structure, copied, kept):
        del nodes[name]
    for twin, name in copied.items():
        if not structure.context(Value(twin)) and not structure.context(Value(name)):
            nodes[twin] = Node(twin, "Identity", (Value(name),), (), {REPLACED: True})
    nodes |= {t.joined.name: Node(t.joined.name, "Identity", (t.first,)) for t in found}
    whole = {Value(name): structure.graph[name].inputs[1] for t in found for name in t.splits}
    for node in list(nodes.values()):
        if not whole.keys().isdisjoint(node.inputs):
            nodes[node.name] = replace(node, inputs=tuple(whole.get(v, v) for v in node.inputs))
    notes = [f"{1 + len(t.images)} copies over parts of the batch, joined by {t.joined.name}, are one" for t in found]
    return Rewritten(Graph(nodes, structure.graph.functions), tuple(notes))


def _dependents_of_copies(structure: Structure, copied: Collection[str], kept: Collection[str]) -> set[str]:
    """The copies that are left out, and what else is computed from them but not from what joins all copies."""
    found, pending = set(copied), list(copied)
    while pending:
        news = [n for n in structure.consumers[pending.pop()] if n not in found and n not in kept]
        found.update(news)
        pending += news
    return found


def _towers(structure: Structure, node: Node) -> _Towers | None:
    """The copies over parts of a batch that `node` joins, None where it does not, or they are unlike."""
    if node.op not in ("Concat", "ConcatV2") or len(node.inputs) < 3 or structure.context(Value(node.name)):
        return None
    *parts, axis = node.inputs if node.op == "ConcatV2" else (*node.inputs[1:], node.inputs[0])
    if structure.number(axis) != 0:
        return None
    images, splits = list[dict[str, str]](), set[str]()
    for k, part in enumerate(parts[1:], 1):
        laid = _counterparts(structure, parts[0], part, k, len(parts))
        if laid is None:
            return None
        images.append(laid[0])
        splits |= laid[1]
    if (
        not splits
        or any(_mixes_rows(structure, name) for name in images[0])
        or _divides_time(structure, splits, images[0])
    ):
        return None
    return _Towers(node, parts[0], tuple(images), frozenset(splits))


def _counterparts(
    structure: Structure, first: Value, other: Value, k: int, count: int
) -> tuple[dict[str, str], set[str]] | None:
    """Which nodes behind `first` are which behind `other`, made by copy `k` of `count`; and what divides the batch.

    None where the two are unlike.
    """
    images, splits, pending = dict[str, str](), set[str](), [(first, other)]
    while pending:
        one, two = pending.pop()
        a, b = structure.graph[one.node], structure.graph[two.node]
        if one == two:
            continue
        if a is b:
            if not _divides(structure, a, count) or (one.index, two.index) != (0, k):
                return None
            splits.add(a.name)
        elif a.name in images:
            if images[a.name] != b.name or one.index != two.index:
                return None
        elif one.index != two.index or not _alike(a, b):
            return None
        else:
            images[a.name] = b.name
            pending += zip(a.inputs, b.inputs, strict=True)
    return images, splits


def _divides(structure: Structure, node: Node, count: int) -> bool:
    """Whether a node divides the first axis into so many equal parts."""
    return node.op == "Split" and structure.number(node.inputs[0]) == 0 and node.integer("num_split") == count


def _alike(one: Node, two: Node) -> bool:
    if one.op != two.op or len(one.inputs) != len(two.inputs) or not (one.inputs or one.constant):
        return False  # variables and placeholders of their own
    if one.constant is not None and two.constant is not None:
        return np.array_equal(one.constant.load(), two.constant.load())
    first, second = ({k: v for k, v in comparable_attributes(n).items() if k not in _NAMING} for n in (one, two))
    return first == second


def _divides_time(structure: Structure, splits: Collection[str], copied: Collection[str]) -> bool:
    """Whether it is the steps of a sequence that are divided, each part of which begins anew."""
    facts = Facts(structure)
    for value in sources(structure):
        known = stated(structure, value)
        if known is not None:
            facts.give(value, facts.symbols(value.node, (None,) * len(known)))
    parts = [shape[0] for name in splits if (shape := facts.shape(Value(name)))]
    rows = [shape[axis] for v, axis in _sequences_read(structure, copied) if (shape := facts.shape(v))]
    return not parts or any(size in parts for size in rows)


def _sequences_read(structure: Structure, names: Collection[str]) -> Iterator[tuple[Value, int]]:
    """The sequences that loops, fused operators and written steps take apart, each with its axis of time."""
    for node in (structure.graph[name] for name in names):
        stacked = stacked_into(node)
        if stacked is not None:
            yield stacked, 0
        elif node.op in _FUSED:
            yield node.inputs[_FUSED[node.op]], 0
        elif node.op == "Unpack":
            yield node.inputs[0], node.integer("axis", 0)


def _mixes_rows(structure: Structure, name: str) -> bool:
    """Whether a node computes with several rows of its part at once."""
    node = structure.graph[name]
    if node.op.startswith("FusedBatchNorm"):
        return node.flag("is_training", default=True)
    if node.op not in _REDUCTIONS or dtype(structure, Value(name)) not in FLOATS:
        return False
    axes = structure.graph.producer(structure.origin(node.inputs[1])).constant
    return axes is None or 0 in axes.load()
