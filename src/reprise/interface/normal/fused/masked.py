"""Rows of a batch that end before the others, around an operator that runs all of them to the longest.

`LSTMBlockFusedCell(sequence_length=…)` lets the operator run to the greatest length, hides by a mask what it makes
beyond the end of a row, and looks up the last state of each row. Source: tensorflow/contrib/rnn/python/ops/lstm_ops.py,
LSTMBlockWrapper.call (TensorFlow 1.15.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reprise.graph import Graph, Node, Value

_TYPES = ("Cast", "Identity")
_LAYOUT = (*_TYPES, "ExpandDims", "Tile", "Transpose")


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the rows end.

    Attributes:
        lengths: The number of steps of each row, or of all rows.
        last: Nodes that look up the last state of each row → which output is the sequence of these states.
        joined: Nodes that only those look into.
        hidden: Nodes that put zeros beyond the ends → the sequence that they do it to.
    """

    lengths: Value
    last: Mapping[str, int] = field(default_factory=dict)
    joined: tuple[str, ...] = ()
    hidden: Mapping[str, Value] = field(default_factory=dict)


def row_ends(graph: Graph, node: Node, longest: Value, initial: Mapping[int, Value]) -> Ends:
    """Where the rows of a whole-sequence operator end that computes no more than `longest` steps.

    `initial` gives the first state of each output that is a sequence of states. The end of each row is known only where
    nothing sees what the operator makes beyond it.
    """
    counted = graph[graph.through(longest, _TYPES).node]
    if counted.op != "Max":
        return Ends(longest)
    lengths = graph.through(counted.inputs[0], _TYPES)
    last: dict[str, int] = {}
    joined: list[str] = []
    hidden: dict[str, Value] = {}
    for reader, made in _readers(graph, node.name):
        hides = reader.op == "Mul" and any(_is_mask(graph, v, lengths) for v in reader.inputs)
        candidates = [(n, v) for n, v in _readers(graph, reader.name)] if hides else [(reader, made)]
        found = {
            n.name: names
            for n, v in candidates
            if made.index in initial and (names := _look_ups(graph, n, initial[made.index], v, lengths))
        }
        if not hides and not found:
            return Ends(longest)
        hidden |= {reader.name: made} if hides else {}
        joined += found
        last |= {name: made.index for names in found.values() for name in names}
    return Ends(lengths, last, tuple(joined), hidden)


def _readers(graph: Graph, name: str) -> list[tuple[Node, Value]]:
    return [(n, v) for n in graph for v in n.inputs if v.node == name]


def _look_ups(graph: Graph, reader: Node, first: Value, states: Value, lengths: Value) -> list[str]:
    """The nodes `gather_nd(concat([[first], states]), [lengths, …])`, if nothing else reads the joined states."""
    if reader.op != "ConcatV2" or len(reader.inputs) != 3 or reader.inputs[1] != states:
        return []
    start = graph[reader.inputs[0].node]
    if start.op != "ExpandDims" or start.inputs[0] != first:
        return []
    found = [n for n, _ in _readers(graph, reader.name)]
    return [n.name for n in found] if all(_is_look_up(graph, n, lengths) for n in found) else []


def _is_look_up(graph: Graph, node: Node, lengths: Value) -> bool:
    if node.op != "GatherNd":
        return False
    indices = graph[node.inputs[1].node]
    return indices.op == "Pack" and graph.through(indices.inputs[0], _TYPES) == lengths


def _is_mask(graph: Graph, value: Value, lengths: Value) -> bool:
    """Whether a factor is `step < lengths`, laid out as what it is multiplied with."""
    below = graph[graph.through(value, _LAYOUT).node]
    if below.op != "Less" or graph.through(below.inputs[1], _LAYOUT) != lengths:
        return False
    return graph[graph.through(below.inputs[0], _LAYOUT).node].op == "Range"
