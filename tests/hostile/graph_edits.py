"""Ways to edit a graph that a format has read, so that what comes after the readers is tried for every format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reprise.graph import FunctionName, Graph, Node, ShapeAttribute, Value
from reprise.tensors import Tensor, in_memory

NUMBERS = (0, 1, -1, 2, 3, 255, 2**31 - 1, 2**40, -(2**31), 0.5, float("nan"), float("inf"))


def another_input(graph, node, draw):
    inputs = list(node.inputs)
    if inputs:
        inputs[draw.randrange(len(inputs))] = Value(draw.choice(list(graph.nodes)), draw.choice((0, 0, 0, 1, 7)))
    return replace(node, inputs=tuple(inputs))


def inputs_shuffled(graph, node, draw):
    return replace(node, inputs=tuple(draw.sample(node.inputs, len(node.inputs))))


def an_input_less(graph, node, draw):
    return replace(node, inputs=node.inputs[:-1])


def an_input_more(graph, node, draw):
    return replace(node, inputs=(*node.inputs, *node.inputs[:1], Value(draw.choice(list(graph.nodes)))))


def another_operator(graph, node, draw):
    return replace(node, op=draw.choice([n.op for n in graph] + ["While", "If", "NextIteration", "Merge", "Nobody's"]))


def an_attribute_less(graph, node, draw):
    kept = dict(node.attributes)
    if kept:
        del kept[draw.choice(list(kept))]
    return replace(node, attributes=kept)


def an_attribute_changed(graph, node, draw):
    kept = dict(node.attributes)
    if kept:
        name = draw.choice(list(kept))
        kept[name] = _changed(kept[name], draw)
    return replace(node, attributes=kept)


def a_constant_changed(graph, node, draw):
    constants = [n for n in graph if n.constant is not None and n.constant.size < 1000 and n.constant.dtype != "string"]
    if not constants:
        return node
    node = draw.choice(constants)
    array = np.array(node.constant.load())
    if array.size and draw.random() < 0.7:
        with np.errstate(all="ignore"):
            array.flat[draw.randrange(array.size)] = np.asarray(draw.choice(NUMBERS[:9])).astype(array.dtype)
    else:
        array = draw.choice((array[None], array.ravel(), np.zeros((0, 3), array.dtype), np.repeat(array[None], 3, 0)))
    return replace(node, attributes={**node.attributes, "value": in_memory(array)})


#: What an attribute is exchanged for, by its kind.
OTHERS = (
    (ShapeAttribute, [ShapeAttribute(d) for d in (None, (), (None,), (2**40,) * 2, (-1,), (3,) * 4, (None,) * 300)]),
    (tuple, [(), (None,), ("float32",) * 5000, (1, 1, 1, 1, 1)]),
    (FunctionName, [FunctionName("nobody's")]),
    (bytes, [b"", b"\xff", b"\x1b[2J", 5]),
    (str, ["float16", "bool", "string", "resource", "DataType 99", "complex64", b"x"]),
    (object, [*NUMBERS, b"text", None, ()]),
)


def _changed(value, draw):
    if isinstance(value, Tensor):
        return replace(value, shape=draw.choice(((), (2**31,), (0,), (1, 2, 3))))
    return draw.choice(next(others for kind, others in OTHERS if isinstance(value, kind)))


EDITS = (
    another_input, another_input, inputs_shuffled, an_input_less, an_input_more, another_operator, an_attribute_less,
    an_attribute_changed, an_attribute_changed, a_constant_changed, a_constant_changed,
)  # fmt: skip


def edited(graph, draw):
    """`graph` with one to three nodes edited, or one missing; its functions too."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        part = draw.choice([None, None, *graph.functions]) if graph.functions else None
        nodes = graph.nodes if part is None else graph.functions[part].nodes
        new = _edited(Graph(nodes), draw)
        if part is None:
            graph = Graph(new, graph.functions)
        else:
            graph = Graph(graph.nodes, {**graph.functions, part: replace(graph.functions[part], nodes=new)})
    return graph


def _edited(graph, draw) -> dict[str, Node]:
    nodes = dict(graph.nodes)
    node = draw.choice(list(nodes.values()))
    if draw.random() < 0.05:
        del nodes[node.name]
        return nodes
    new = draw.choice(EDITS)(graph, node, draw)
    return nodes | {new.name: new}
