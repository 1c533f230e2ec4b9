"""An entrance of its own for every loop variable.

Tools that merge equal nodes let variables that start from the same value share one Enter; which is whose is then told
by nothing but the Merge behind it.
"""

from __future__ import annotations

from dataclasses import replace

from reprise.graph import Graph, Value
from reprise.structure import is_loop_merge


def separate_entries(graph: Graph) -> Graph:
    """`graph` with a copy of every shared Enter for each further variable that enters by it."""
    taken: set[str] = set()
    nodes = dict(graph.nodes)
    for node in graph:
        if not is_loop_merge(node, graph):
            continue
        enter = next((n for v in node.inputs if (n := graph.nodes[v.node]).op == "Enter"), None)
        if enter is not None and enter.name in taken:
            own = f"{enter.name}/{node.name}"
            nodes[own] = replace(enter, name=own)
            inputs = tuple(Value(own) if v.node == enter.name else v for v in node.inputs)
            nodes[node.name] = replace(node, inputs=inputs)
        elif enter is not None:
            taken.add(enter.name)
    return replace(graph, nodes=nodes) if len(nodes) > len(graph.nodes) else graph
