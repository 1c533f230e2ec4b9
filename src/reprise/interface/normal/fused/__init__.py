"""Operators that run a cell over a whole sequence, rewritten as a frame that runs it over one row at a time.

`BlockLSTM(seq_len_max, x [T, N, D], cs_prev, h_prev, w, wci, wcf, wco, b)` makes i, cs, f, o, ci, co and h of every
step, each [T, N, H], with one `LSTMBlockCell` for each row. Version 2 orders the gates i, f, c, o instead of i, c, f, o
and has no forget bias. Rows from `seq_len_max` on are zeros. Source: tensorflow/core/ops/rnn_ops.cc (read 2026-11-22);
the gates as TensorFlow 2.21 computes.
`CudnnRNN` is in a module of its own.
"""

from __future__ import annotations

from dataclasses import replace

from reprise.frame import Frame, Scope
from reprise.graph import Graph, Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.building.rewritten import Rewritten
from reprise.interface.normal.fused import cudnn
from reprise.interface.normal.fused.masked import row_ends
from reprise.operators import types
from reprise.operators.rules.sizes import Dim
from reprise.structure import RESULTS, Structure

FUSED = frozenset(("BlockLSTM", "BlockLSTMV2"))
#: Every operator that runs a cell over a whole sequence.
WHOLE = FUSED | frozenset(cudnn.OPERATORS)
_CELL_STATE, _OUTPUT, _OUTPUTS = 1, 6, 7


def unfuse(structure: Structure) -> Rewritten:
    """The graph with whole-sequence operators as frames."""
    graph, facts = structure.graph, Facts(structure)
    found = [n for n in graph if n.op in FUSED and len(n.inputs) == 9]
    of_cudnn = [n for n in graph if len(n.inputs) == cudnn.OPERATORS.get(n.op)]
    if not found and not of_cudnn:
        return Rewritten(graph)
    nodes = dict(graph.nodes)
    read = {n.name: cudnn.read(facts, n) for n in of_cudnn}
    stacks = [s for s in read.values() if isinstance(s, cudnn.CudnnStack)]
    for stack in stacks:
        cudnn.write(stack, nodes)
    finals = {name: value for node in found for name, value in _write_frame(facts, node, nodes).items()}
    nodes.update((name, Node(name, RESULTS, (value,))) for name, value in finals.items())
    notes = (
        f"{n.op} {n.name} runs over the whole sequence; it is read as one cell for each step"
        for n in [*found, *(s.node for s in stacks)]
    )
    dropped = (
        f"{s.node.op} {s.node.name} leaves out {s.dropout:g} of what a layer hands on while it trains; not here"
        for s in stacks
        if s.dropout
    )
    unread = tuple(f"{graph[n].op} {n} {s.reason}" for n, s in read.items() if isinstance(s, cudnn.Unread))
    return Rewritten(replace(graph, nodes=nodes), (*notes, *dropped), unread)


def _write_frame(facts: Facts, node: Node, nodes: dict[str, Node]) -> dict[str, Value]:
    """Puts a frame in the place of one operator; gives the nodes that look up or hide rows of it, and what they are."""
    graph = facts.structure.graph
    name, dtype = f"fused/{node.name}", types.dtype(facts.structure, Value(node.name))
    longest, x, cell_state, output, weights, *peepholes, bias = node.inputs
    if node.op == "BlockLSTMV2":
        weights, bias = _reordered(name, weights, 1, dtype, nodes), _reordered(name, bias, 0, dtype, nodes)
    frame = Frame(name, Scope(name, nodes).rows(x), nodes)
    states = {_CELL_STATE: cell_state, _OUTPUT: output}
    entering = {i: frame.carry(state, dtype) for i, state in states.items()}
    held = tuple(frame.constant(v) for v in (weights, *peepholes, bias))
    inputs = (frame.read("x", x, dtype), *entering.values(), *held)
    cell = frame.make("LSTMBlockCell", "LSTMBlockCell", inputs, **_settings(node, dtype))
    end = None if _runs_over_all_rows(facts, node) else row_ends(graph, node, longest, states)
    over = None if end is None else frame.over(end.lengths)
    last = {
        i: frame.leave(variable, frame.until(over, Value(cell.node, i), variable, f"next/{i}", dtype))
        for i, variable in entering.items()
    }
    zeros = frame.constant(frame.make("zeros", "ZerosLike", (output,), T=dtype))
    read = {v.index for n in graph for v in n.inputs if v.node == node.name} | {_OUTPUT}
    old = replace(node, name=f"{name}/file")
    stacked = tuple(
        frame.write(f"out/{i}", frame.until(over, Value(cell.node, i), zeros, f"out/{i}", dtype), dtype)
        if i in read
        else Value(old.name, i)
        for i in range(_OUTPUTS)
    )
    nodes[old.name], nodes[node.name] = old, Node(node.name, RESULTS, stacked)
    for name in end.joined if end is not None else ():
        del nodes[name]  # nothing reads it any more, and beyond the end of a row it would hold other numbers
    looked_up = _last_rows(graph, node.name) if end is None else end.last
    # The frame itself leaves zeros beyond the ends, and knows no length that a file has baked in its masks.
    return {name: last[index] for name, index in looked_up.items()} | dict({} if end is None else end.hidden)


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
    new = Scope(f"{scope}/gates_{axis}", nodes)
    along = new.number("axis", axis)
    parts = new.make("split", "Split", (along, weights), num_split=4, T=dtype)
    order = (Value(parts.node, i) for i in (0, 2, 1, 3))
    return new.make("concat", "ConcatV2", (*order, along), N=4, T=dtype)


def _runs_over_all_rows(facts: Facts, node: Node) -> bool:
    """Whether `seq_len_max` is the size of the first axis of x."""
    graph = facts.structure.graph
    counted = graph[graph.through(node.inputs[0], ("Cast", "Identity")).node]
    if counted.constant is not None:
        rows = facts.shape(node.inputs[1])
        return rows is not None and rows[0] == Dim(int(counted.constant.load()))
    if counted.op != "StridedSlice" or not _takes_row(graph, counted, 0):
        return False
    shape = graph[graph.through(counted.inputs[0], ("Identity",)).node]
    return shape.op == "Shape" and _is_same_value(graph, shape.inputs[0], node.inputs[1])


def _is_same_value(graph: Graph, one: Value, other: Value) -> bool:
    return graph.through(one, ("Identity",)) == graph.through(other, ("Identity",))


def _takes_row(graph: Graph, node: Node, row: int) -> bool:
    """Whether a StridedSlice is `x[row]`."""
    begin = graph[node.inputs[1].node].constant
    masks = [node.attributes.get(f"{m}_mask", 0) for m in ("begin", "ellipsis", "new_axis")]
    first = begin is not None and begin.shape == (1,) and int(begin.load()[0]) == row
    return first and node.attributes.get("shrink_axis_mask") == 1 and not any(masks)


def _last_rows(graph: Graph, name: str) -> dict[str, int]:
    """Nodes that take the last row of the cell states or of the outputs → which of the two."""
    return {
        n.name: n.inputs[0].index
        for n in graph
        if n.op == "StridedSlice"
        and n.inputs[0].node == name
        and n.inputs[0].index in (_CELL_STATE, _OUTPUT)
        and _takes_row(graph, n, -1)
    }
