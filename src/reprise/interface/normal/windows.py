"""A corpus inside the graph, cut into windows at a position that a pipeline gives: the window is the model's input.

A queue of `range(epoch_size)` gives i, and `strided_slice(corpus, [0, i * T], [N, (i + 1) * T])` makes the ids of a
step of training. To a caller the number i means nothing, and the corpus is no part of the model. So the window becomes
a placeholder, whatever chooses its position: a queue, an iterator or a random number. So does what a caller names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np

from reprise.errors import CallError
from reprise.graph import VARIABLES, Graph, Node, ShapeAttribute, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.influence import ancestors
from reprise.interface.analysis.named import named_value
from reprise.interface.analysis.sources import SOURCES
from reprise.interface.building.rewritten import Rewritten
from reprise.operators import types
from reprise.operators.rules.shapes import Dims
from reprise.structure import Structure

_POSITIONS = ("QueueDequeue", "IteratorGetNext", "ReaderRead", "RandomUniformInt")
_ARITHMETIC = frozenset(
    "Mul Add AddV2 Sub FloorMod FloorDiv Mod Cast Identity Pack ConcatV2 ExpandDims Squeeze Reshape Minimum "
    "Maximum".split()
)
#: Operators that cut a window out of their first input: which input says where it begins.
_CUTS = {"StridedSlice": 1, "Slice": 1, "Gather": 1, "GatherV2": 1}
#: What a corpus is not computed from.
_MOVING = ("Placeholder", "Queue", "Iterator", "Reader", "Random", "Multinomial", "Parse", "TensorArray", "Merge")


def open_windows(structure: Structure) -> Rewritten:
    """The graph with a placeholder for every window of fixed data that a pipeline cuts out or shifts by a step."""
    graph = structure.graph
    positions = [n for n in graph if n.op.startswith(_POSITIONS)]
    cut = [n for n in graph if n.op == "StridedSlice" and _may_be_shifted(graph, n)]
    if not positions and not cut:
        return Rewritten(graph)
    facts = Facts(structure)
    windows = {n.name: position.name for position in positions for n in _windows(structure, facts, position)}
    wholes = [*map(Value, windows), *dict.fromkeys(n.inputs[0] for n in cut if n.inputs[0].node not in windows)]
    shifted = {n.name: whole.node for whole in wholes for n in _shifted(structure, facts, whole)}
    cuts = {name: at for name, at in windows.items() if name not in shifted.values()} | shifted
    nodes = dict(graph.nodes) | {n: _placeholder(structure, facts, graph[n]) for n in cuts}
    notes = tuple(
        f"{n}:0 is a window that the graph cuts out itself ({at}); here the caller gives it" for n, at in cuts.items()
    )
    return Rewritten(replace(graph, nodes=nodes), notes)


def open_named_inputs(structure: Structure, names: Collection[str]) -> Rewritten:
    """The graph with a placeholder for every tensor that the caller names as an input.

    Raises:
        CallError: A name is none of the graph's, lies in a loop, or is one of several outputs.
    """
    graph, facts = structure.graph, Facts(structure)
    made: dict[str, Node] = {}
    for value in (named_value(structure, name, "inputs") for name in names):
        node = graph[value.node]
        if structure.context(value):
            raise CallError(f"inputs: {value} is computed anew at every step of a loop, so no caller can give it")
        if node.op not in SOURCES:
            made[node.name] = _single_output_placeholder(structure, facts, node)
    return Rewritten(replace(graph, nodes=dict(graph.nodes) | made) if made else graph)


def _single_output_placeholder(structure: Structure, facts: Facts, node: Node) -> Node:
    """The placeholder in the place of a node that makes one tensor."""
    read = {v.index for c in structure.consumers[node.name] for v in structure.graph[c].inputs if v.node == node.name}
    if read - {0}:
        raise CallError(f"inputs: {node.name!r} ({node.op}) makes several tensors; name one that is computed from one")
    return _placeholder(structure, facts, node)


def _may_be_shifted(graph: Graph, node: Node) -> bool:
    source = graph.nodes.get(node.inputs[0].node)
    return source is not None and source.op.startswith(("Placeholder", *_POSITIONS))


def _shifted(structure: Structure, facts: Facts, whole: Value) -> list[Node]:
    """The windows of `whole` when all that is done with it is to leave out its last steps, and its first.

    So it is where nothing but a number of its first steps is read: those that a graph compares with were left behind.
    """
    readers = [structure.graph[c] for c in structure.consumers[whole.node]]
    windows = [n for n in readers if whole in n.inputs]
    kinds = {_omits_ends(facts, n) for n in windows}
    first = len(windows) == 1 and kinds == {(False, True)} and _counts_steps(facts, windows[0])
    return windows if first or kinds == {(True, False), (False, True)} else []


def _omits_ends(facts: Facts, node: Node) -> tuple[bool, bool] | None:
    """Whether a slice leaves out first and last steps of an axis, which it does not move; None for any other node."""
    if node.op != "StridedSlice" or any(
        node.attributes.get(f"{m}_mask") for m in ("shrink_axis", "new_axis", "ellipsis")
    ):
        return None
    begin, end, strides = (facts.content(v) for v in node.inputs[1:4])
    if begin is None or end is None or strides is None or (strides != 1).any():
        return None
    begin, end = (np.where(_mask(node, name, len(begin)), 0, at) for name, at in (("begin", begin), ("end", end)))
    if _counts_steps(facts, node):
        end = np.where(
            end > 0, end - [d.scale if d.known else 0 for d in _shape_before_cut(facts, node)[: len(end)]], end
        )
    return (bool(begin.any()), bool(end.any())) if (begin >= 0).all() and (end <= 0).all() else None


def _counts_steps(facts: Facts, node: Node) -> bool:
    """Whether a slice ends after a number of steps, where the file bakes in how many there are."""
    end, whole = facts.content(node.inputs[2]), _shape_before_cut(facts, node)
    if end is None or len(whole) < 3 or not whole[1].known:
        return False
    counted = [
        i for i, (at, masked) in enumerate(zip(end, _mask(node, "end", len(end)), strict=True)) if at > 0 and not masked
    ]
    return counted == [1]


def _shape_before_cut(facts: Facts, node: Node) -> Dims:
    return facts.shape(node.inputs[0]) or ()


def _mask(node: Node, name: str, axes: int) -> list[bool]:
    """For which axes a slice takes everything at one of its ends."""
    return [bool(int(node.attributes.get(f"{name}_mask", 0)) >> i & 1) for i in range(axes)]


def _windows(structure: Structure, facts: Facts, position: Node) -> Iterator[Node]:
    """The windows that are cut at a position computed from `position` and constants alone."""
    pending, seen = [position.name], {position.name}
    while pending:
        name = pending.pop()
        for consumer in (structure.graph[c] for c in structure.consumers[name]):
            if consumer.name in seen or structure.context(Value(consumer.name)):
                continue
            if _is_cut_at(structure, facts, consumer, seen):
                yield consumer
            elif consumer.op in _ARITHMETIC or (consumer.op in _CUTS and consumer.inputs[0].node == name):
                seen.add(consumer.name)
                pending.append(consumer.name)


def _is_cut_at(structure: Structure, facts: Facts, node: Node, positions: set[str]) -> bool:
    """Whether a node takes a window of a corpus from one of `positions` on."""
    if node.op not in _CUTS or node.inputs[_CUTS[node.op]].node not in positions or node.inputs[0].node in positions:
        return False
    whole, where = facts.shape(node.inputs[0]), facts.shape(node.inputs[_CUTS[node.op]])
    if not whole or not _is_fixed(structure, node.inputs[0]):
        return False
    # A table of numbers that a sequence of ids looks up is an embedding; the rows of a corpus are ids.
    by_rows = where is not None and len(where) <= 1 and len(whole) > 1 and _is_whole_number(structure, node.inputs[0])
    return by_rows or not node.op.startswith("Gather")


def _is_fixed(structure: Structure, value: Value) -> bool:
    """Whether `value` is always the same: made of constants, or of variables that hold whole numbers."""
    behind = [structure.graph[n] for n in ancestors(structure, [value])]
    learned = any(n.op in VARIABLES for n in behind) and not _is_whole_number(structure, value)
    return not learned and not any(n.op.startswith(_MOVING) for n in behind)


def _is_whole_number(structure: Structure, value: Value) -> bool:
    return types.dtype(structure, value).startswith(("int", "uint"))


def _placeholder(structure: Structure, facts: Facts, node: Node) -> Node:
    value = Value(node.name)
    attributes: Mapping[str, object] = {
        "dtype": types.dtype(structure, value),
        "shape": ShapeAttribute(_declared(node) or _inferred(facts, node)),
    }
    return Node(node.name, "Placeholder", (), (), attributes)


def _declared(node: Node) -> tuple[int | None, ...] | None:
    shapes = node.attributes.get("_output_shapes")
    return shapes[0].dims if isinstance(shapes, tuple) and isinstance(shapes[0], ShapeAttribute) else None


def _inferred(facts: Facts, node: Node) -> tuple[int | None, ...] | None:
    """As many axes as the whole has, those less that the cut takes one element of."""
    shape = facts.shape(Value(node.name))
    if shape is not None:
        return tuple(d.scale if d.known else None for d in shape)
    whole = facts.shape(node.inputs[0])
    single = int(node.attributes.get("shrink_axis_mask", 0)).bit_count()
    return None if whole is None else (None,) * (len(whole) - single)
