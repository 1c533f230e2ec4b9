"""The recurrent interface of a graph: what is input, output and state, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from reprise.errors import AmbiguousInterface, NoRecurrence
from reprise.graph import Graph, Value
from reprise.interface.analysis.influence import ancestors
from reprise.interface.building.rewritten import Rewritten
from reprise.interface.loops import recurrences
from reprise.interface.loops.beginnings import default_first_states
from reprise.interface.loops.exits import restore_exits
from reprise.interface.loops.feedback import open_feedback
from reprise.interface.loops.recurrences import Recurrence
from reprise.interface.normal.order import normalise
from reprise.interface.ports.changed_variables import check_variables_are_states
from reprise.interface.ports.choices import Choices
from reprise.interface.ports.describe import Discovery, describe
from reprise.interface.ports.models import choose, drawing
from reprise.operators import Tag, named
from reprise.structure import Structure

_PRODUCTS = named(Tag.PRODUCT)
_BLOCKS = frozenset(("LSTMBlockCell", "GRUBlockCell"))


def discover(graph: Graph, choices: Choices | None = None) -> Discovery:
    """The recurrent interface of `graph`; time is linear in its size.

    Args:
        graph: As the file holds it.
        choices: What the caller decides.

    Raises:
        NoRecurrence: Nothing carries state from step to step.
        AmbiguousInterface: Several readings are equally good.
        CallError: A choice names a tensor that the graph does not have.
    """
    choices = choices or Choices()
    normal = normalise(graph, choices.inputs, choices.nexts)
    found = recurrences.find(normal.structure)
    if not found and normal.rivals:
        raise AmbiguousInterface(f"one step is written out, and its states are not certain: {'; '.join(normal.rivals)}")
    if not found:
        raise NoRecurrence(_without_recurrence(normal.structure, graph, normal.unread))
    for rewrite in (restore_exits, partial(_opened, choices=choices), default_first_states):
        before = normal.structure
        normal = normal.after(partial(rewrite, found=found))
        if normal.structure is not before:
            found = recurrences.find(normal.structure)
    structure, notes = normal.structure, normal.notes
    model, why = choose(structure, found, choices)
    evidence = (*notes, *why, *_left_written_out(structure, model.outputs))
    discovery = describe(structure, model.recurrences, model.outputs, choices, evidence, graph)
    check_variables_are_states(discovery)
    return discovery


def _opened(structure: Structure, found: tuple[Recurrence, ...], choices: Choices) -> Rewritten:
    """The graph with the loops opened that draw their own input, those aside whose draws are wanted."""
    kept = drawing(structure, found, choices)
    return open_feedback(structure, tuple(r for r in found if r not in kept))


def _without_recurrence(structure: Structure, graph: Graph, unread: tuple[str, ...]) -> str:
    """Why no recurrence was found; `unread` are the reasons of operators that hold one and could not be rewritten."""
    loops = sum(n.op in ("LoopCond", "While", "StatelessWhile") for n in graph)
    products = sum(n.op in _PRODUCTS for n in graph)
    seen = f"{len(graph.nodes)} nodes, {products} matrix products, {loops} loops"
    if unread:
        return f"no recurrence of the graph can be read ({seen}): {'; '.join(unread)}"
    repeated = _in_turn(structure, set(structure.order))
    if repeated:
        weight, times = repeated
        return (
            f"the graph multiplies what it computes with {weight} {times} times in turn ({seen}), as steps do that are "
            "written out one after the other, but these are not alike, so no one of them stands for the others: some "
            "compute parts of the state that others leave as they are, or the layers are joined in another way. Save "
            "the model with a loop, or with steps that all compute the same."
        )
    return (
        f"the graph carries no state from step to step ({seen}): no loop variable, repeated cell or fused operator "
        "whose next value depends on its last. It is a feed-forward model, or only a part of the recurrent one was "
        "saved. If it is one step of a model and its state is fed, say where every state enters and what its next "
        'value is: states={"in:0": "next:0"} (--state-tensor in:0=next:0).'
    )


def _left_written_out(structure: Structure, wanted: Sequence[Value]) -> tuple[str, ...]:
    """What to say of steps outside the loops that are no recurrence: a decoder that reads only its own output."""
    repeated = _in_turn(structure, ancestors(structure, wanted))
    if repeated is None:
        return ()
    weight, times = repeated
    return (
        f"{weight} is multiplied {times} times in turn outside the loops: steps written out that read no input of "
        "their own, or are not alike, are no recurrence here; all of them run with every call",
    )


def _in_turn(structure: Structure, among: Collection[str]) -> tuple[Value, int] | None:
    """The factor that most products `among` some nodes share, each computed from the others, and how many they are."""
    products: dict[Value, list[Value]] = {}
    for name in (n for n in structure.order if n in among):
        node = structure.graph[name]
        multiplied = node.inputs[:2] if node.op in _PRODUCTS else node.inputs if node.op in _BLOCKS else ()
        factors = [_stored(structure, v) for v in multiplied]
        for factor in dict.fromkeys(factors):
            products.setdefault(factor, []).append(Value(name))
    chains = {w: made for w, made in products.items() if len(made) > 2 and _is_chain(structure, made)}
    most = max(chains, key=lambda w: len(chains[w]), default=None)
    return None if most is None else (most, len(chains[most]))


def _stored(structure: Structure, value: Value) -> Value:
    """Where a factor comes from; a resource variable is read anew for every product."""
    origin = structure.origin(value)
    node = structure.graph[origin.node]
    return structure.origin(node.inputs[0]) if node.op == "ReadVariableOp" else origin


def _is_chain(structure: Structure, products: Sequence[Value]) -> bool:
    """Whether the last product is computed from all the others."""
    *before, last = products
    return {v.node for v in before} <= ancestors(structure, [last])
