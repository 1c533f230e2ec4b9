"""Functions of TensorFlow 2 as pure dataflow: what a variable holds, follows from the order of reads and assignments.

A function says by control edges in which order it reads and assigns variables. A read that waits for an assignment is
the value that was assigned; where there are several assignments the last one counts. After that no order is left
to be kept, and nodes that only pass a value on or wait for another are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reprise.errors import DiscoveryError
from reprise.graph import Graph, Node, Value
from reprise.interface.analysis.influence import reachable
from reprise.structure import RESULTS

ASSIGN = "AssignVariableOp"
_READ, _GATHER = "ReadVariableOp", "ResourceGather"
#: How the names of operators begin that change a variable without assigning all of it.
_CHANGING = ("ResourceApply", "ResourceSparseApply", "ResourceScatter", "ResourceStridedSliceAssign")
_STEPS = {"AssignAddVariableOp": "AddV2", "AssignSubVariableOp": "Sub"}
_PASSING = frozenset({"Identity", RESULTS, "StopGradient", "PreventGradient"})
_FILLING = ("LookupTableImport", "InitializeTable")


def purify(graph: Graph) -> Graph:
    """A graph that says what it gives, without control edges, and with one assignment to a variable at most."""
    if not graph.results:
        return graph
    return _live(_passed(_read_after_written(_as_assignments(graph))))


def _as_assignments(graph: Graph) -> Graph:
    """`graph` with `v += x` as a read, a sum and an assignment."""
    nodes: dict[str, Node] = {}
    for node in graph:
        if node.op not in _STEPS:
            nodes[node.name] = node
            continue
        variable, change = node.inputs[:2]
        dtype = node.attributes.get("dtype", "float32")
        read = Node(f"{node.name}/read", _READ, (variable,), node.controls, {"dtype": dtype})
        total = Node(f"{node.name}/value", _STEPS[node.op], (Value(read.name), change), (), {"T": dtype})
        assign = Node(node.name, ASSIGN, (variable, Value(total.name)), node.controls, {"dtype": dtype})
        nodes.update((n.name, n) for n in (read, total, assign))
    return replace(graph, nodes=nodes)


def _read_after_written(graph: Graph) -> Graph:
    """`graph` with what a variable holds in the place of its reads, and none but the last assignment to it."""
    assigned = _assigned(graph)
    if not assigned:
        return graph
    before = {name: _before(graph, name, names) for names in assigned.values() for name in names}
    nodes: dict[str, Node] = {}
    for node in graph:
        nodes[node.name] = node
        if Value(node.name) in assigned:
            held = _held(node)
            nodes[held.name] = held
        variable = _source(graph, node.inputs[0]) if node.op in (_READ, _GATHER) and node.inputs else None
        if variable in assigned:
            done = _before(graph, node.name, assigned[variable])
            value = graph[_last(done, before)].inputs[1] if done else Value(_held(graph[variable.node]).name)
            nodes[node.name] = _reading(node, value)
    for names in assigned.values():
        for name in set(names) - {_last(set(names), before)}:
            nodes[name] = replace(nodes[name], op="NoOp", inputs=())
    return replace(graph, nodes=nodes)


def _assigned(graph: Graph) -> dict[Value, list[str]]:
    """Each variable that is assigned, with the nodes that do so.

    Raises:
        DiscoveryError: One is changed in another way.
    """
    assigned: dict[Value, list[str]] = {}
    for node in graph:
        if node.op.startswith(_CHANGING):
            raise DiscoveryError(f"node {node.name!r}: {node.op} changes a variable in part, as training does")
        if node.op == ASSIGN and len(node.inputs) > 1:
            assigned.setdefault(_source(graph, node.inputs[0]), []).append(node.name)
    return assigned


def _held(variable: Node) -> Node:
    """What a variable holds before anything runs."""
    attributes = {"dtype": variable.attributes.get("dtype", "float32")}
    return Node(f"{variable.name}/held", _READ, (Value(variable.name),), (), attributes)


def _reading(node: Node, value: Value) -> Node:
    """A node that reads a variable, with `value` in the place of what the variable holds."""
    if node.op == _READ:
        return replace(node, op="Identity", inputs=(value,))
    attributes = {**node.attributes, "Tparams": node.attributes.get("dtype", "float32")}
    return replace(node, op="Gather", inputs=(value, *node.inputs[1:]), attributes=attributes)


def _source(graph: Graph, value: Value) -> Value:
    """The variable behind what passes it on."""
    while (node := graph.nodes.get(value.node)) is not None and node.op in _PASSING and node.inputs:
        value = node.inputs[value.index if node.op == RESULTS else 0]
    return value


def _before(graph: Graph, name: str, among: Iterable[str]) -> set[str]:
    """Those `among` some nodes that run before another."""

    def above(at: str) -> list[str]:
        node = graph.nodes.get(at)
        return [] if node is None else [*node.controls, *(v.node for v in node.inputs)]

    return set(among) & (set(reachable(above(name), above)) - {name})


def _last(done: set[str], before: Mapping[str, set[str]]) -> str:
    """The one of some assignments that runs after all others."""
    return max(sorted(done), key=lambda name: len(before[name] & done))


def _passed(graph: Graph) -> Graph:
    """`graph` with every value read from where it is made; the nodes of results keep their names."""
    nodes = {
        n.name: replace(n, inputs=tuple(_source(graph, v) for v in n.inputs), controls=_branch(graph, n)) for n in graph
    }
    return replace(graph, nodes=nodes)


def _branch(graph: Graph, node: Node) -> tuple[str, ...]:
    """The control edges that only say in which branch a constant is."""
    return tuple(
        c
        for c in node.controls
        if (made := graph.nodes.get(c)) and made.inputs and graph[made.inputs[0].node].op == "Switch"
    )


def _live(graph: Graph) -> Graph:
    """What the results and assignments are computed from, and the last value of every variable of their loops."""

    def above(name: str) -> list[str]:
        node = graph.nodes.get(name)
        return [] if node is None else [*node.controls, *(v.node for v in node.inputs)]

    roots = [v.node for v in graph.results]
    roots += [n.name for n in graph if n.op == ASSIGN or n.op.startswith(_FILLING)]
    live = set(reachable(roots, above))
    live |= {n.name for n in graph if n.op == "Exit" and n.inputs[0].node in live}
    return replace(graph, nodes={n.name: n for n in graph if n.name in live})
