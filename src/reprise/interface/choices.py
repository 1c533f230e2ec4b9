"""What a caller decides instead of the evidence."""

from __future__ import annotations

from dataclasses import dataclass

from reprise.errors import CallError
from reprise.graph import Value
from reprise.interface.recurrences import Recurrence
from reprise.interface.structure import Structure


@dataclass(frozen=True, slots=True)
class Choices:
    """Names of tensors and scopes that decide.

    Attributes:
        inputs: Tensor names that are the inputs.
        outputs: Tensor names that are the outputs.
        states: Tensor names (entering or leaving) of the loop variables that are the states.
        scope: A name scope that holds the wanted model.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    scope: str = ""


def named(structure: Structure, name: str, option: str) -> Value:
    """The value that an option names.

    Raises:
        CallError: The graph does not have it; the message lists those that end alike.
    """
    value = Value.parse(name)
    if value.node not in structure.graph:
        from_end = value.node.rsplit("/", 1)[-1]
        near = [n for n in structure.graph.nodes if n.rsplit("/", 1)[-1] == from_end][:5]
        raise CallError(
            f"{option}: the graph has no tensor {name!r}" + (f"; nearest: {', '.join(near)}" if near else "")
        )
    return value


def with_chosen_states(structure: Structure, used: tuple[Recurrence, ...], choices: Choices) -> tuple[Recurrence, ...]:
    """The recurrences with the states that the caller names, all of theirs where none is named.

    Raises:
        CallError: A named tensor neither enters nor leaves one of them.
    """
    if not choices.states:
        return used
    wanted = {named(structure, n, "states") for n in choices.states}
    chosen = []
    for r in used:
        kept = tuple(
            c for c in r.loop.carried if {c.final, structure.origin(c.initial), c.entering, c.leaving} & wanted
        )
        chosen.append(Recurrence(r.loop, kept, r.counters, r.fed_back, r.reads, r.writes))
    missing = wanted - {
        v for r in chosen for c in r.states for v in (c.final, structure.origin(c.initial), c.entering, c.leaving)
    }
    if missing:
        raise CallError(f"states: {', '.join(map(str, missing))} neither enters nor leaves a recurrence of the model")
    return tuple(chosen)
