"""Operators that run a cell over a whole sequence, rewritten as a frame that runs it over one row at a time.

`BlockLSTM(seq_len_max, x [T, N, D], cs_prev, h_prev, w, wci, wcf, wco, b)` makes i, cs, f, o, ci, co and h of every
step, each [T, N, H], with one `LSTMBlockCell` for each row. Version 2 orders the gates i, f, c, o instead of i, c, f, o
and has no forget bias. Source: tensorflow/core/ops/rnn_ops.cc (read 2026-11-22); the gates as TensorFlow 2.21 computes.
`CudnnRNN` is in a module of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from reprise.graph import Graph, Node, Value
from reprise.interface import cudnn
from reprise.interface.facts import Facts
from reprise.interface.frame import Frame, dtype_of, row_count
from reprise.interface.inline import RESULTS
from reprise.interface.sizes import Dim
from reprise.interface.structure import analyse
from reprise.tensors import Tensor, in_memory

FUSED = frozenset(("BlockLSTM", "BlockLSTMV2"))
_CELL_STATE, _OUTPUT, _OUTPUTS = 1, 6, 7


@dataclass(frozen=True, slots=True)
class Unfused:
    """A graph without operators that run over whole sequences.

    Attributes:
        graph: The graph.
        notes: What was rewritten, for the evidence.
    """

    graph: Graph
    notes: tuple[str, ...] = ()


def unfuse(graph: Graph) -> Unfused:
    """`graph` with whole-sequence operators as frames; one that may stop before the last row stays as it is."""
    found = [n for n in graph if n.op in FUSED and len(n.inputs) == 9 and _runs_over_all_rows(graph, n)]
    of_cudnn = [n for n in graph if n.op in cudnn.OPERATORS and len(n.inputs) == 4 and cudnn.is_plain(n)]
    if not found and not of_cudnn:
        return Unfused(graph)
    nodes = dict(graph.nodes)
    facts = Facts(analyse(graph))
    found_too = [n for n in of_cudnn if cudnn.rewrite(facts, n, nodes)]
    finals = {final: value for node in found for final, value in _rewrite(graph, node, nodes).items()}
    for name, last in _last_rows(graph, {n.name for n in found}).items():
        nodes[name] = Node(name, RESULTS, (finals[last],))
    notes = tuple(
        f"{n.op} {n.name} runs over the whole sequence; it is read as one cell for each step"
        for n in [*found, *found_too]
    )
    return Unfused(Graph(nodes, graph.functions), notes)


def _rewrite(graph: Graph, node: Node, nodes: dict[str, Node]) -> dict[Value, Value]:
    """Puts a frame in the place of one operator; gives the last rows of its cell states and outputs."""
    name, dtype = f"fused/{node.name}", dtype_of(graph, Value(node.name))
    _, x, cell_state, output, weights, *peepholes, bias = node.inputs
    if node.op == "BlockLSTMV2":
        weights, bias = _reordered(name, weights, 1, dtype, nodes), _reordered(name, bias, 0, dtype, nodes)
    rows, made = row_count(name, x)
    nodes.update((n.name, n) for n in made)
    frame = Frame(name, rows)
    entering = (frame.read("x", x, dtype), frame.carry(cell_state, dtype), frame.carry(output, dtype))
    held = tuple(frame.constant(v) for v in (weights, *peepholes, bias))
    cell = frame.make("LSTMBlockCell", "LSTMBlockCell", (*entering, *held), **_settings(node, dtype))
    last = {
        Value(node.name, index): frame.leave(variable, Value(cell.node, index))
        for index, variable in ((_CELL_STATE, entering[1]), (_OUTPUT, entering[2]))
    }
    read = {v.index for n in graph for v in n.inputs if v.node == node.name} | {_OUTPUT}
    old = replace(node, name=f"{name}/file")
    stacked = tuple(
        frame.write(f"out/{i}", Value(cell.node, i), dtype) if i in read else Value(old.name, i)
        for i in range(_OUTPUTS)
    )
    nodes.update(frame.nodes)
    nodes[old.name], nodes[node.name] = old, Node(node.name, RESULTS, stacked)
    return last


def _settings(node: Node, dtype: str) -> dict[str, object]:
    """The cell's attributes; the defaults are those that the operators register."""
    second = node.op == "BlockLSTMV2"
    return {
        "T": dtype,
        "use_peephole": bool(node.attributes.get("use_peephole", False)),
        "cell_clip": float(node.attributes.get("cell_clip", 0.0 if second else 3.0)),
        "forget_bias": 0.0 if second else float(node.attributes.get("forget_bias", 1.0)),
    }


def _reordered(scope: str, weights: Value, axis: int, dtype: str, nodes: dict[str, Node]) -> Value:
    """Gates i, f, c, o in the order i, c, f, o of the cell."""
    scope = f"{scope}/gates_{axis}"
    along = Node(f"{scope}/axis", "Const", (), (), {"dtype": "int32", "value": in_memory(np.asarray(axis, np.int32))})
    parts = Node(f"{scope}/split", "Split", (Value(along.name), weights), (), {"num_split": 4, "T": dtype})
    order = tuple(Value(parts.name, i) for i in (0, 2, 1, 3))
    joined = Node(f"{scope}/concat", "ConcatV2", (*order, Value(along.name)), (), {"N": 4, "T": dtype})
    nodes.update((n.name, n) for n in (along, parts, joined))
    return Value(joined.name)


def _runs_over_all_rows(graph: Graph, node: Node) -> bool:
    """Whether `seq_len_max` is the size of the first axis of x."""
    counted = _passed(graph, node.inputs[0], ("Cast", "Identity"))
    stated = counted.attributes.get("value")
    if counted.op == "Const" and isinstance(stated, Tensor):
        rows = Facts(analyse(graph)).shape(node.inputs[1])
        return rows is not None and rows[0] == Dim(int(stated.load()))
    if counted.op != "StridedSlice" or not _takes(graph, counted, 0):
        return False
    shape = _passed(graph, counted.inputs[0], ("Identity",))
    return shape.op == "Shape" and _same(graph, shape.inputs[0], node.inputs[1])


def _same(graph: Graph, one: Value, other: Value) -> bool:
    return one == other or _passed(graph, one, ("Identity",)) == _passed(graph, other, ("Identity",))


def _passed(graph: Graph, value: Value, through: tuple[str, ...]) -> Node:
    node = graph[value.node]
    while node.op in through:
        node = graph[node.inputs[0].node]
    return node


def _takes(graph: Graph, node: Node, row: int) -> bool:
    """Whether a StridedSlice is `x[row]`."""
    begin = graph[node.inputs[1].node].attributes.get("value")
    masks = [node.attributes.get(f"{m}_mask", 0) for m in ("begin", "ellipsis", "new_axis")]
    first = isinstance(begin, Tensor) and begin.shape == (1,) and int(begin.load()[0]) == row
    return first and node.attributes.get("shrink_axis_mask") == 1 and not any(masks)


def _last_rows(graph: Graph, fused: set[str]) -> Mapping[str, Value]:
    """Nodes that take the last row of the cell states or of the outputs → what they take it from."""
    return {
        n.name: n.inputs[0]
        for n in graph
        if n.op == "StridedSlice"
        and n.inputs[0].node in fused
        and n.inputs[0].index in (_CELL_STATE, _OUTPUT)
        and _takes(graph, n, -1)
    }
