"""Recurrences inside `tf.cond`: the branch that inference takes, in place of both.

`tf.cond(is_training, lambda: dynamic_rnn(dropout(cell), x), lambda: dynamic_rnn(cell, x))` holds the model twice. Where
a flag that callers feed decides about a loop, about steps written out one after the other, or about an operator that
runs a cell over a whole sequence, the graph is that of the flag's value for inference. So it is where a flag in a
variable decides about random numbers: a file that was saved while training holds the value of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reprise.graph import VARIABLES, Graph, Node, Value
from reprise.interface.analysis import settings
from reprise.interface.building.rewritten import Rewritten
from reprise.interface.normal.fused import WHOLE
from reprise.interface.normal.unrolled import chains
from reprise.structure import RESULTS, Context, InBranch, Structure, is_loop_merge


def decide_branches(structure: Structure) -> Rewritten:
    """The graph with every flag that decides about a recurrence taken for what inference uses."""
    graph = structure.graph
    if not any(n.op == "Merge" and not is_loop_merge(n, graph) for n in graph):
        return Rewritten(graph)
    contexts = [loop.context for loop in structure.loops.values()]
    contexts += [structure.context(Value(n.name)) for n in graph if n.op in WHOLE]
    contexts += [structure.context(Value(a)) for cluster in chains.find(structure).clusters for a in cluster[0].anchors]
    around = (e for context in contexts for e in context)
    flags = dict.fromkeys(structure.decider(e.predicate) for e in around if isinstance(e, InBranch))
    decided = [*(f for f in flags if settings.is_setting(structure, f)), *_flags_in_variables(structure)]
    taken = {f: settings.inference_value(structure, f) for f in decided}
    if not taken:
        return Rewritten(graph)
    notes = tuple(f"{f} decides what is computed; read for {value}: {why}" for f, (value, why) in taken.items())
    return Rewritten(_with_decided_branches(structure, {f: int(bool(value)) for f, (value, _) in taken.items()}), notes)


def _flags_in_variables(structure: Structure) -> tuple[Value, ...]:
    """Flags in variables that decide whether random numbers are drawn."""
    drawn = (n.name for n in structure.graph if n.op in settings.RANDOM)
    branches = (e for name in drawn for e in structure.context(Value(name)) if isinstance(e, InBranch))
    flags = dict.fromkeys(structure.decider(e.predicate) for e in branches)
    return tuple(f for f in flags if structure.graph[f.node].op in VARIABLES)


def _with_decided_branches(structure: Structure, sides: Mapping[Value, int]) -> Graph:
    """The graph of `structure` with only the side of each flag's branches that `sides` gives: flag → 0 or 1."""

    def dead(context: Context) -> bool:
        return any(
            isinstance(e, InBranch) and sides.get(structure.decider(e.predicate), e.side) != e.side for e in context
        )

    def entering(value: Value) -> Value:
        """What a value is, seen out of the branches that are taken."""
        while _is_decided(structure, node := structure.graph[value.node], sides):
            value = node.inputs[0]
        return value

    nodes: dict[str, Node] = {}
    for node in structure.graph:
        if _is_decided(structure, node, sides) or dead(structure.context(Value(node.name))):
            continue
        taken = tuple(entering(v) for v in node.inputs if not dead(structure.context(v)))
        if len(taken) == len(node.inputs):
            nodes[node.name] = replace(node, inputs=taken)
        elif taken:  # where branches meet
            nodes[node.name] = Node(node.name, RESULTS, taken[:1] * 2)
    alive = {n.name: replace(n, controls=tuple(c for c in n.controls if c in nodes)) for n in nodes.values()}
    return replace(structure.graph, nodes=alive)


def _is_decided(structure: Structure, node: Node, sides: Mapping[Value, int]) -> bool:
    """Whether a node is a Switch of one of the flags."""
    return (
        node.op == "Switch"
        and not structure.is_loop_switch(node.name)
        and len(node.inputs) == 2
        and structure.decider(node.inputs[1]) in sides
    )
