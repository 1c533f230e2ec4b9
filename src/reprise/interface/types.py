"""Element types of values."""

from __future__ import annotations

from reprise.graph import Value
from reprise.interface.structure import Structure


def dtype(structure: Structure, value: Value) -> str:
    """The element type of `value`, by the attribute that its operator keeps it in."""
    node = structure.graph[value.node]
    types = node.attributes.get("output_types") or node.attributes.get("component_types")
    if isinstance(types, tuple) and value.index < len(types):
        return str(types[value.index])
    for name in ("DstT", "output_type", "dtype", "T", "Tparams", "type", "element_dtype", "TI"):
        found = node.attributes.get(name)
        if isinstance(found, str):
            return found
    return dtype(structure, node.inputs[value.index if node.op == "_Results" else 0]) if node.inputs else "float32"
