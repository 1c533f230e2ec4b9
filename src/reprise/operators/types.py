"""Element types of values."""

from __future__ import annotations

from reprise.graph import Node, Value
from reprise.structure import Structure

#: The types of numbers that are no whole numbers.
FLOATS = frozenset("float32 float64 float16 bfloat16".split())
_FLAGS = frozenset(
    "Less LessEqual Greater GreaterEqual Equal NotEqual LogicalAnd LogicalOr LogicalNot IsFinite IsNan IsInf Any All "
    "InTopK InTopKV2 LoopCond ApproximateEqual".split()
)
#: Operators that count, choose or measure: the attribute that names the type of the answer, and its default.
_NUMBERS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("Shape", "ShapeN", "Size", "VariableShape"), ("out_type", "int32")),
    **dict.fromkeys(("ArgMax", "ArgMin"), ("output_type", "int64")),
    **dict.fromkeys(("Multinomial", "StatelessMultinomial", "RandomCategorical"), ("output_dtype", "int64")),
    **dict.fromkeys(
        ("TensorArraySizeV3", "TensorArraySizeV2", "TensorArraySize", "Rank", "TensorListLength"), ("", "int32")
    ),
    "Where": ("", "int64"),
    "Bucketize": ("", "int32"),
    "Dequantize": ("dtype", "float32"),
    "RandomUniformInt": ("Tout", "int32"),
    "BatchMatMulV3": ("Tout", "float32"),
    **dict.fromkeys(("LookupTableFind", "LookupTableFindV2"), ("Tout", "int64")),
    **dict.fromkeys("StringToHashBucketFast StringToHashBucket StringToHashBucketStrong".split(), ("", "int64")),
    **dict.fromkeys(("LookupTableSize", "LookupTableSizeV2"), ("", "int64")),
}


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
    return dtype(structure, node.inputs[value.index if node.op == "_Results" else 0]) if node.inputs else "float32"


def _of_operator(node: Node, index: int) -> str | None:
    """The type that the operator itself decides, whatever it is given."""
    types = node.attributes.get("output_types") or node.attributes.get("component_types") or _parsed(node)
    if isinstance(types, tuple) and index < len(types):
        return str(types[index])
    if node.op in _FLAGS:
        return "bool"
    if index and node.op.startswith("Unique"):
        return str(node.attributes.get("out_idx", "int32"))
    if index == 1 and node.op in ("TopK", "TopKV2", "Merge"):
        return "int32"
    if node.op in _NUMBERS:
        attribute, default = _NUMBERS[node.op]
        return str(node.attributes.get(attribute, default))
    return None


def _parsed(node: Node) -> tuple[str, ...]:
    """The types of what ParseExample and its like give: places, values and shapes of sparse features, then dense ones.

    Source: tensorflow/core/ops/parsing_ops.cc (TensorFlow 1.15.5).
    """
    if not node.op.startswith("Parse"):
        return ()
    sparse, dense = (tuple(node.attributes.get(name, ())) for name in ("sparse_types", "Tdense"))
    return (*["int64"] * len(sparse), *map(str, sparse), *["int64"] * len(sparse), *map(str, dense))
