"""Constants that are one number over and over, made small.

TensorFlow folds `zeros_like(x)` to a constant of the very size of x where it knows that, so the file bakes in the batch
and the number of steps. Beside x one element says the same, whatever the size of x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from reprise.graph import Graph, Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.building.rewritten import Rewritten
from reprise.operators import Tag, named
from reprise.operators.rules.sizes import product
from reprise.structure import Structure
from reprise.tensors import Array, in_memory

#: Operators that stretch an operand of one element, and which of their inputs are operands of one shape.
_STRETCHING: Mapping[str, slice] = {
    **dict.fromkeys(named(Tag.ADDITION), slice(0, 2)),
    **dict.fromkeys("Sub Mul Div RealDiv Maximum Minimum SquaredDifference Pow".split(), slice(0, 2)),
    **dict.fromkeys(named(Tag.SELECT), slice(1, 3)),
}


def shrink_constants(structure: Structure) -> Rewritten:
    """The graph with one element in place of every such constant that an operator joins with a value of its shape."""
    graph = structure.graph
    found = [
        (n, v)
        for n in graph
        if n.op in _STRETCHING
        for v in n.inputs[_STRETCHING[n.op]]
        if _has_several_elements(graph, v)
    ]
    if not found:
        return Rewritten(graph)
    facts, nodes = Facts(structure), dict(graph.nodes)
    for node, value in found:
        small = _as_one_element(structure, facts, node, value)
        if small is not None:
            nodes.update((n.name, n) for n in small)
            moved = tuple(Value(small[-1].name) if v == value else v for v in nodes[node.name].inputs)
            nodes[node.name] = replace(nodes[node.name], inputs=moved)
    return Rewritten(replace(graph, nodes=nodes) if len(nodes) > len(graph.nodes) else graph)


def _has_several_elements(graph: Graph, value: Value) -> bool:
    """Whether a value is a constant of several elements, or filled."""
    made = graph.nodes.get(value.node)
    if made is None or made.op == "Fill":
        return made is not None
    tensor = made.constant
    return tensor is not None and tensor.size > 1 and tensor.dtype != "string"


def _as_one_element(structure: Structure, facts: Facts, reader: Node, value: Value) -> list[Node] | None:
    """Nodes of which the last makes the number of `value` as one element, for `reader` to stretch.

    None where the other operand of `reader` has another shape, or the numbers of `value` differ.
    """
    operands = reader.inputs[_STRETCHING[reader.op]]
    other = operands[1 - operands.index(value)]
    shape, made = facts.shape(value), structure.graph[value.node]
    known = shape and all(d.known for d in shape) and product(shape).scale > 1
    if not known or shape is None or other == value or facts.shape(other) != shape:
        return None
    name, ones = f"{reader.name}/{value.node}", (1,) * len(shape)
    if made.op == "Fill":
        controls = structure.graph[made.inputs[0].node].controls
        sizes = Node(f"{name}/sizes", "Const", (), controls, _constant(np.asarray(ones, np.int32), "int32"))
        return [sizes, replace(made, name=name, inputs=(Value(sizes.name), made.inputs[1]))]
    tensor = made.tensor("value")
    content = tensor.load()
    if (content != content.flat[0]).any():
        return None
    return [replace(made, name=name, attributes=_constant(content.flat[0].reshape(ones), tensor.dtype))]


def _constant(content: Array, dtype: str) -> dict[str, object]:
    return {"dtype": dtype, "value": in_memory(content)}
