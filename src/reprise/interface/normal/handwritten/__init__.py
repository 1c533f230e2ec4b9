"""Loops that somebody wrote by hand, brought to the form in which `dynamic_rnn` writes them.

That form counts from 0 up, reads row t of a sequence from an array, and writes row t to an array. People also count
down, take `x[:, t]` or `x[T - k]`, and make a tensor longer at every step. What a loop takes backwards becomes a
sequence that is turned round before it; what it collects is put in order behind it. Nothing is assumed: a row whose
number does not follow from the loop's own counters stays as it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reprise.frame import Frame, Scope
from reprise.graph import Node, Value
from reprise.interface.analysis.facts import Facts
from reprise.interface.analysis.gradients import is_of_gradient
from reprise.interface.analysis.influence import Influence
from reprise.interface.analysis.sources import sources
from reprise.interface.building.rewritten import Rewritten
from reprise.interface.normal.handwritten import reading, writing
from reprise.interface.normal.handwritten.counting import Counting, LoopCount
from reprise.interface.normal.handwritten.sequences import RewrittenLoop
from reprise.structure import Loop, Structure


def straighten(structure: Structure) -> Rewritten:
    """The graph with every loop that takes or collects rows by a count of its own rewritten."""
    graph, facts = structure.graph, Facts(structure)
    nodes, notes = dict(graph.nodes), []
    for loop in structure.loops.values():
        made = _rewrite_loop(structure, facts, loop) if len(loop.context) == 1 else {}
        nodes.update(made)
        notes += [f"loop {loop.name!r} takes or collects rows by its own count; it is read as steps"] if made else []
    return Rewritten(replace(graph, nodes=nodes), tuple(notes)) if notes else Rewritten(graph)


def _rewrite_loop(structure: Structure, facts: Facts, loop: Loop) -> Mapping[str, Node]:
    """The nodes to replace and to add, none where the loop is straight already or cannot be made so."""
    body = structure.body(loop)
    gates = [n for n in body if n.op == "LoopCond" and n.inputs[0] == loop.condition]
    if len(gates) != 1 or is_of_gradient(body):
        return {}
    counting = Counting(structure, facts, loop)
    limits, others = counting.limits()
    if not limits:
        return {}
    taken = [t for t in reading.taken_rows(structure, facts, loop, counting, body) if _is_data(structure, t)]
    written = list(writing.filled_arrays(structure, loop, counting))
    grown = list(writing.grown_tensors(structure, facts, loop))
    exchanged = list(writing.exchanged_tensors(structure, facts, loop, counting))
    if not (taken or written or grown or exchanged):
        return {}
    site = _rewritten_loop(structure, facts, loop, counting, limits, gates[0])
    changes = [reading.read_in_order(site, t) for t in taken]
    changes += [writing.refill(site, w) for w in written] + [writing.collect(site, g) for g in grown]
    changes += [writing.restack(site, e) for e in exchanged]
    if not any(changes):
        return {}
    gate = _gate(site.frame, gates[0], others)
    return {**site.frame.nodes, **gate, **{name: node for made in changes for name, node in made.items()}}


def _is_data(structure: Structure, taken: reading.TakenRow) -> bool:
    """Whether rows are taken of what the inputs make; rows of weights differ by the number of the step."""
    reaching = Influence(structure, sources(structure))
    return bool(reaching.mask(taken.whole))


def _rewritten_loop(
    structure: Structure, facts: Facts, loop: Loop, counting: Counting, limits: list[LoopCount], gate: Node
) -> RewrittenLoop:
    """The loop with a frame around its body that runs as often as the smallest of its `limits`, computed before it."""
    before = Scope(f"{loop.name}/straight/trips")
    first, *rest = [counting.emit(n, before, str(k)) for k, n in enumerate(limits)]
    for k, other in enumerate(rest):
        first = before.make(f"least_{k}", "Minimum", (first, other), T="int32")
    frame = Frame(f"{loop.name}/straight", first, before.nodes, loop.name, gate.name)
    return RewrittenLoop(structure, facts, loop, counting, None if rest else limits[0], frame)


def _gate(frame: Frame, gate: Node, others: list[Value]) -> dict[str, Node]:
    """The condition of a loop: there is another row, and whatever else it asks."""
    condition = frame.below
    for k, other in enumerate(others):
        condition = frame.make(f"and_{k}", "LogicalAnd", (condition, other))
    return {gate.name: replace(gate, inputs=(condition,))}
