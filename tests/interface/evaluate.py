"""A graph run by NumPy, node by node: the independent truth that rewrites of graphs are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reprise.graph import Graph, Node, Value

DEAD = object()  # what the branch that is not taken makes


def evaluate(graph: Graph, value: str, feeds: Mapping[str, Any]) -> Any:
    """`value` where placeholders and variables have the values of `feeds`, by node name."""
    return _Run(graph, feeds).of(Value.parse(value), {})


class _Run:
    def __init__(self, graph: Graph, feeds: Mapping[str, Any]) -> None:
        self.graph, self.feeds = graph, feeds
        self.outer: list[dict] = []

    def of(self, value: Value, memo: dict) -> Any:
        """Works without recursion, for a graph of many steps is deep."""
        value = self._meant(value)
        pending = [value]
        while pending:
            top = pending[-1]
            if top.node in memo:
                pending.pop()
                continue
            node = self.graph[top.node]
            missing = [] if self._settled(node) else [v for v in map(self._meant, node.inputs) if v.node not in memo]
            if missing:
                pending += missing
                continue
            memo[node.name] = self._outputs(node, memo)
            pending.pop()
        return memo[value.node][value.index]

    def _meant(self, value: Value) -> Value:
        """What a node that stands for several values passes on as this one."""
        while self.graph[value.node].op == "_Results":
            value = self.graph[value.node].inputs[value.index]
        return value

    def _settled(self, node: Node) -> bool:
        return node.name in self.feeds or node.op in ("Enter", "Exit")

    def _outputs(self, node: Node, memo: dict) -> Any:
        if node.name in self.feeds:
            return (np.asarray(self.feeds[node.name]),)
        if node.op == "Enter":
            return (self.of(node.inputs[0], self.outer[-1]),)
        if node.op == "Exit":
            self._loop(node, memo)
            return memo[node.name]
        inputs = [memo[v.node][v.index] for v in map(self._meant, node.inputs)]
        if node.op == "Merge":
            return (next((x for x in inputs if x is not DEAD), DEAD), np.int32(0))
        if any(x is DEAD for x in inputs):
            return (DEAD,) * 16
        result = OPS[node.op](node, *inputs)
        return result if isinstance(result, tuple) else (result,)

    def _loop(self, leaving: Node, memo: dict) -> None:
        switch = {n.name: n for n in self.graph if n.op == "Switch"}
        first = switch[leaving.inputs[0].node]
        condition = first.inputs[1]
        frame = self._frame(first)
        merges = [
            n
            for n in self.graph
            if n.op == "Merge" and self.graph[n.inputs[0].node].attributes.get("frame_name") == frame
        ]
        self.outer.append(memo)
        state = {m.name: (self.of(self.graph[m.inputs[0].node].inputs[0], memo), np.int32(0)) for m in merges}
        while True:
            inside: dict = dict(state)
            if not self.of(condition, inside):
                break
            inside |= {
                s.name: (DEAD, inside[s.inputs[0].node][0]) for s in switch.values() if s.inputs[0].node in state
            }
            state = {m.name: (self.of(self.graph[m.inputs[1].node].inputs[0], inside), np.int32(0)) for m in merges}
        self.outer.pop()
        for n in self.graph:
            if n.op == "Exit" and switch[n.inputs[0].node].inputs[0].node in state:
                memo[n.name] = state[switch[n.inputs[0].node].inputs[0].node]

    def _frame(self, switch: Node) -> bytes:
        merge = self.graph[switch.inputs[0].node]
        return self.graph[merge.inputs[0].node].attributes["frame_name"]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(x.dtype)


def _slice(node: Node, x: Any, begin: Any, end: Any, strides: Any) -> Any:
    mask = {m: int(node.attributes.get(f"{m}_mask", 0)) for m in ("begin", "end", "shrink_axis")}
    index: list[Any] = []
    for i in range(len(begin)):
        if mask["shrink_axis"] >> i & 1:
            index.append(int(begin[i]))
            continue
        first = None if mask["begin"] >> i & 1 else int(begin[i])
        index.append(slice(first, None if mask["end"] >> i & 1 else int(end[i]), int(strides[i])))
    return np.asarray(x)[tuple(index)]


def _split(node: Node, axis: Any, x: Any) -> tuple[Any, ...]:
    return tuple(np.split(x, node.attributes["num_split"], int(axis)))


def _split_by_sizes(node: Node, x: Any, sizes: Any, axis: Any) -> tuple[Any, ...]:
    assert sum(sizes) == x.shape[int(axis)]
    return tuple(np.split(x, np.cumsum(sizes)[:-1], int(axis)))


def _reverse_rows(node: Node, x: Any, lengths: Any) -> Any:
    """Time first: the rows of the batch from their own ends, what is beyond them as it is."""
    x = x.copy()
    for row, length in enumerate(lengths):
        x[:length, row] = x[:length, row][::-1]
    return x


def _product(node: Node, a: Any, b: Any) -> Any:
    a = a.T if node.attributes.get("transpose_a") else a
    return a @ (b.T if node.attributes.get("transpose_b") else b)


def _part(node: Node, x: Any, begin: Any, size: Any) -> Any:
    return x[tuple(slice(int(b), None if n < 0 else int(b + n)) for b, n in zip(begin, size, strict=True))]


def _select(node: Node, flags: Any, a: Any, b: Any) -> Any:
    return np.where(flags[:, None] if flags.ndim == 1 and a.ndim > 1 else flags, a, b)


def _lstm_block_cell(
    node: Node, x: Any, c: Any, h: Any, w: Any, wci: Any, wcf: Any, wco: Any, b: Any
) -> tuple[Any, ...]:
    """Gates i, c, f, o, as tensorflow/core/kernels/rnn/lstm_ops.h has them (read 2026-11)."""
    peephole = node.attributes.get("use_peephole")
    i, g, f, o = np.split(np.concatenate([x, h], 1) @ w + b, 4, 1)
    i, f = (i + wci * c, f + wcf * c) if peephole else (i, f)
    i, g, f = _sigmoid(i), np.tanh(g), _sigmoid(f + np.float32(node.attributes.get("forget_bias", 1)))
    new = i * g + f * c
    clip = node.attributes.get("cell_clip", 3)
    new = np.clip(new, -clip, clip) if clip > 0 else new
    o = _sigmoid(o + wco * new) if peephole else _sigmoid(o)
    return i, new, f, o, g, np.tanh(new), o * np.tanh(new)


def _array(node: Node, size: Any) -> tuple[Any, ...]:
    return np.int32(0), {}


OPS: dict[str, Callable[..., Any]] = {
    "Const": lambda n: n.attributes["value"].load(),
    **dict.fromkeys(("Identity", "LoopCond", "NextIteration", "StopGradient", "ReadVariableOp"), lambda n, x: x),
    "Switch": lambda n, x, p: (DEAD, x) if p else (x, DEAD),
    **dict.fromkeys(("Add", "AddV2", "BiasAdd"), lambda n, a, b: a + b),
    "Sub": lambda n, a, b: a - b,
    "Mul": lambda n, a, b: a * b,
    "FloorMod": lambda n, a, b: a % b,
    "Less": lambda n, a, b: a < b,
    "LessEqual": lambda n, a, b: a <= b,
    "Greater": lambda n, a, b: a > b,
    "GreaterEqual": lambda n, a, b: a >= b,
    "LogicalAnd": lambda n, a, b: a & b,
    "Sigmoid": lambda n, x: _sigmoid(x),
    "Tanh": lambda n, x: np.tanh(x),
    "Relu": lambda n, x: np.maximum(x, 0),
    "Softmax": lambda n, x: (
        np.exp(x - x.max(-1, keepdims=True)) / np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)
    ),
    "MatMul": _product,
    "LSTMBlockCell": _lstm_block_cell,
    "Shape": lambda n, x: np.asarray(np.shape(x), np.int32),
    "StridedSlice": _slice,
    "Slice": _part,
    "Split": _split,
    "SplitV": _split_by_sizes,
    "ReverseSequence": _reverse_rows,
    "Unpack": lambda n, x: tuple(np.moveaxis(x, n.attributes.get("axis", 0), 0)),
    "Pack": lambda n, *x: np.stack(x, n.attributes.get("axis", 0)),
    "ConcatV2": lambda n, *x: np.concatenate([np.asarray(p) for p in x[:-1]], int(x[-1])),
    "Concat": lambda n, *x: np.concatenate(x[1:], int(x[0])),
    "Squeeze": lambda n, x: np.squeeze(x, tuple(n.attributes.get("squeeze_dims") or ()) or None),
    "ExpandDims": lambda n, x, axis: np.expand_dims(x, int(axis)),
    "Transpose": lambda n, x, order: np.transpose(x, order),
    "Reshape": lambda n, x, shape: np.reshape(x, shape),
    "ReverseV2": lambda n, x, axes: np.flip(x, tuple(axes)),
    "GatherNd": lambda n, table, places: table[tuple(np.moveaxis(places, -1, 0))],
    "Gather": lambda n, table, ids: table[ids],
    "GatherV2": lambda n, table, ids, axis: np.take(table, ids, int(axis)),
    "Fill": lambda n, shape, x: np.full(shape, x),
    "ZerosLike": lambda n, x: np.zeros_like(x),
    "Range": lambda n, a, b, step: np.arange(a, b, step, np.int32),
    "Cast": lambda n, x: np.asarray(x).astype(n.attributes["DstT"]),
    "Max": lambda n, x, axes: np.max(x, tuple(np.atleast_1d(axes))),
    "Min": lambda n, x, axes: np.min(x, tuple(np.atleast_1d(axes))),
    "ArgMax": lambda n, x, axis: np.argmax(x, int(axis)),
    "Select": _select,
    "PlaceholderWithDefault": lambda n, x: x,
    "TensorArrayV3": _array,
    "TensorArrayScatterV3": lambda n, array, rows, x, flow: dict(zip(rows.tolist(), x, strict=True)),
    "TensorArrayReadV3": lambda n, array, row, flow: flow[int(row)],
    "TensorArrayWriteV3": lambda n, array, row, x, flow: flow | {int(row): x},
    "TensorArrayGatherV3": lambda n, array, rows, flow: np.stack([flow[int(r)] for r in rows]),
}
