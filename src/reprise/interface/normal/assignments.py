"""Reads and assignments of variables in one graph: what a variable holds, follows from their order.

A function says by control edges in which order it reads and assigns variables. A read that waits for an assignment is
the value that was assigned; where there are several assignments the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from reprise.errors import DiscoveryError
from reprise.graph import RESULTS, Graph, Node, Value
from reprise.interface.analysis.influence import reachable

ASSIGN, READ = "AssignVariableOp", "ReadVariableOp"
_GATHER = "ResourceGather"
#: Operators that compute from what a variable holds what it holds next.
_SUMS = {"AssignAddVariableOp": "AddV2", "AssignSubVariableOp": "Sub"}
#: How the names begin of those that put rows into a variable, and of those that put them into a tensor.
_SCATTER, _TENSOR_SCATTER = "ResourceScatterNd", "TensorScatter"
#: How the names of operators begin that change a variable in another way.
_CHANGING = ("ResourceApply", "ResourceSparseApply", "ResourceScatter", "ResourceStridedSliceAssign")
PASSING = frozenset({"Identity", RESULTS, "StopGradient", "PreventGradient"})
_ORDERED = frozenset({ASSIGN, READ, _GATHER})


def changed_by(node: Node) -> bool:
    """Whether a node changes the variable that is its first input."""
    return bool(node.inputs) and (node.op == ASSIGN or node.op in _SUMS or node.op.startswith(_CHANGING))


def passed_on(nodes: Mapping[str, Node], value: Value) -> Value:
    """The value behind nodes that only pass it on."""
    while (node := nodes.get(value.node)) is not None and node.op in PASSING and node.inputs:
        value = node.inputs[value.index if node.op == RESULTS else 0]
    return value


@dataclass(frozen=True, slots=True)
class Settled:
    """A graph without reads and assignments of some variables.

    Attributes:
        graph: The graph.
        after: What each variable that it assigned holds at its end.
        last: The node that assigned it last, which is no operator any more.
    """

    graph: Graph
    after: Mapping[Value, Value]
    last: Mapping[Value, str]


def settle(graph: Graph, held: Mapping[Value, Value]) -> Settled:
    """What `graph` computes, and what it leaves in the variables of which `held` says what they hold before.

    Raises:
        DiscoveryError: The graph does not say in which order one is read and assigned, or uses it in another way.
    """
    graph = replace(graph, nodes={n.name: n for node in graph for n in _as_assignments(node)})
    uses = _uses(graph, held)
    nodes = dict(graph.nodes)
    after, last = {}, {}
    for variable, users in uses.items():
        assigned = [name for name in users if graph[name].op == ASSIGN]
        before = {name: _earlier_uses(graph, name, assigned) for name in users}
        for name in users:
            done = before[name]
            value = graph[_latest(name, done, before)].inputs[1] if done else held[variable]
            nodes[name] = _without_access(graph[name], value)
        if assigned:
            last[variable] = _latest(str(variable), set(assigned), before)
            after[variable] = graph[last[variable]].inputs[1]
    return Settled(replace(graph, nodes=nodes), after, last)


def _as_assignments(node: Node) -> Iterator[Node]:
    """`v += x`, and what puts rows into a variable, as a read, a computation and an assignment."""
    if node.op not in _SUMS and not node.op.startswith(_SCATTER):
        yield node
        return
    variable, *others = node.inputs
    dtype = node.attributes.get("dtype" if node.op in _SUMS else "T", "float32")
    read = Node(f"{node.name}/read", READ, (variable,), node.controls, {"dtype": dtype})
    op = _SUMS.get(node.op) or node.op.replace(_SCATTER, _TENSOR_SCATTER)
    made = Node(f"{node.name}/value", op, (Value(read.name), *others), (), {**node.attributes, "T": dtype})
    yield from (read, made, Node(node.name, ASSIGN, (variable, Value(made.name)), node.controls, {"dtype": dtype}))


def _uses(graph: Graph, held: Mapping[Value, Value]) -> dict[Value, list[str]]:
    """The nodes that read or assign each variable."""
    uses: dict[Value, list[str]] = {}
    for node in graph:
        for k, value in enumerate(node.inputs):
            variable = passed_on(graph.nodes, value)
            if variable not in held or node.op in PASSING:
                continue
            if node.op not in _ORDERED or k:
                raise DiscoveryError(
                    f"node {node.name!r}: {node.op} changes a part of the variable {variable.node!r}, or uses it in "
                    "another way than to read it; a variable that a function changes is only read, and assigned as a "
                    "whole, as by v.assign(…)"
                )
            uses.setdefault(variable, []).append(node.name)
    return uses


def _without_access(node: Node, value: Value) -> Node:
    """A node that reads a variable with `value` in the place of what it holds; one that assigns does nothing."""
    if node.op == READ:
        return replace(node, op="Identity", inputs=(value,))
    if node.op == ASSIGN:
        return replace(node, op="NoOp", inputs=())
    attributes = {**node.attributes, "Tparams": node.attributes.get("dtype", "float32")}
    return replace(node, op="Gather", inputs=(value, *node.inputs[1:]), attributes=attributes)


def _earlier_uses(graph: Graph, name: str, among: Iterable[str]) -> set[str]:
    """Those `among` some nodes that run before another."""

    def above(at: str) -> list[str]:
        node = graph.nodes.get(at)
        return [] if node is None else [*node.controls, *(v.node for v in node.inputs)]

    return set(among) & (set(reachable(above(name), above)) - {name})


def _latest(reader: str, done: set[str], before: Mapping[str, set[str]]) -> str:
    """The one of some assignments that runs after all others.

    Raises:
        DiscoveryError: None does.
    """
    last = max(sorted(done), key=lambda name: len(before[name] & done))
    if before[last] & done != done - {last}:
        raise DiscoveryError(
            f"{reader}: {' and '.join(sorted(done))} assign a variable before it, and the file does not say in which "
            "order. Save the model with control edges between them, as tf.function writes them."
        )
    return last
