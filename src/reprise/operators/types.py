"""Element types of values."""

from __future__ import annotations

from reprise.graph import Node, Value
from reprise.operators import OPERATORS
from reprise.structure import RESULTS, Structure

#: The types of numbers that are no whole numbers.
FLOATS = frozenset("float32 float64 float16 bfloat16".split())


def dtype(structure: Structure, value: Value) -> str:
    """The element type of `value`, by the attribute that its operator keeps it in."""
    node = structure.graph[value.node]
    own = _of_operator(node, value.index)
    if own is not None:
        return own
    for name in ("DstT", "output_type", "dtype", "T", "Tparams", "type", "element_dtype", "TI"):
        found = node.attributes.get(name)
        if isinstance(found, str):
            return found
    return dtype(structure, node.inputs[value.index if node.op == RESULTS else 0]) if node.inputs else "float32"


def _of_operator(node: Node, index: int) -> str | None:
    """The type that the operator itself decides, whatever it is given."""
    types = node.attributes.get("output_types") or node.attributes.get("component_types") or _parsed(node)
    if isinstance(types, tuple) and index < len(types):
        return str(types[index])
    record = OPERATORS.get(node.op)
    if record is None or not record.types:
        return None
    kind = record.types[min(index, len(record.types) - 1)]
    return kind or None if isinstance(kind, str) else kind(node)


def _parsed(node: Node) -> tuple[str, ...]:
    """The types of what ParseExample and its like give: places, values and shapes of sparse features, then dense ones.

    Source: tensorflow/core/ops/parsing_ops.cc (TensorFlow 1.15.5).
    """
    if not node.op.startswith("Parse"):
        return ()
    sparse, dense = (tuple(node.attributes.get(name, ())) for name in ("sparse_types", "Tdense"))
    return (*["int64"] * len(sparse), *map(str, sparse), *["int64"] * len(sparse), *map(str, dense))
