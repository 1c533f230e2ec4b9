"""Sizes that a program asks of what a step makes, asked of the input that has them.

A second stack of steps begins with zeros for as many rows as the first step of the stack below it has. So its first
state comes out of a step, and the two could not be laid over their own next steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reprise.frame import Scope
from reprise.graph import Graph, Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.settings import PLACEHOLDERS
from reprise.operators.rules.sizes import Dim
from reprise.structure import Structure


def read_sizes_from_inputs(structure: Structure, masks: Mapping[str, int]) -> Graph:
    """The graph with single sizes of what depends on a step read from a placeholder's shape.

    `masks` has for each node the weights of steps that it depends on, 0 where it depends on none.
    """
    graph = structure.graph
    asked = [n for n in graph if n.op == "StridedSlice" and masks.get(n.name) and graph[n.inputs[0].node].op == "Shape"]
    if not asked:
        return graph
    facts, nodes = Facts(structure), dict(graph.nodes)
    for node in asked:
        found = _measured_axis(graph, facts, node)
        if found is None:
            continue
        name, axis = found
        scope = Scope(f"sized/{node.name}", nodes)
        shape = scope.make("shape", "Shape", (Value(name),), **graph[node.inputs[0].node].attributes)
        bounds = (scope.number(word, [at]) for word, at in (("begin", axis), ("end", axis + 1), ("strides", 1)))
        nodes[node.name] = replace(node, inputs=(shape, *bounds))
    return replace(graph, nodes=nodes) if len(nodes) > len(graph.nodes) else graph


def _measured_axis(graph: Graph, facts: Facts, node: Node) -> tuple[str, int] | None:
    """The placeholder and the axis of it whose size a node gives, where it gives the size of one."""
    content = facts.of(Value(node.name)).content
    size = content.item() if content is not None and content.shape == () else None
    if not isinstance(size, Dim) or size.scale != 1 or len(size.symbols) != 1:
        return None
    name, _, axis = size.symbols[0].rpartition(".")
    known = graph.nodes.get(name)
    whole = known is not None and known.op in PLACEHOLDERS and axis.isdecimal()
    return (name, int(axis)) if whole else None
