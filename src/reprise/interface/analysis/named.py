"""Values that a caller names."""

from __future__ import annotations

from reprise.errors import CallError
from reprise.graph import Value
from reprise.structure import Structure


def named_value(structure: Structure, name: str, option: str) -> Value:
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
