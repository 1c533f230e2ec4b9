"""Tables of symbols: what the graph itself fills them with.

Source: tensorflow/core/kernels/lookup_util.cc and lookup_table_init_op.cc (TensorFlow 1.15.5).
"""

from __future__ import annotations

import numpy as np

from reprise.graph import Node
from reprise.operators.rules.attributes import ElementType, Integer
from reprise.operators.rules.block import onnx_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import Fact, Shapes, first_shape
from reprise.operators.rules.site import Site
from reprise.operators.rules.steps import keeps
from reprise.tensors import Array

_KEY_TYPE, _VALUE_TYPE, _BUCKETS = ElementType("Tin", "string"), ElementType("Tout", "int64"), Integer("num_buckets")


def _find_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """What a table of symbols has for each key."""
    return [Fact(inputs[1].shape)]


def _table_size_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(())]


_FILLS = ("LookupTableImport", "LookupTableImportV2", "InitializeTable", "InitializeTableV2")


_IDS = "give the ids that it makes as the input instead, with inputs= (--input)"


def _find_onnx(site: Site) -> str:
    """The value of each key, and the default where there is none."""
    keys, values = _table_content(site)
    kinds = _KEY_TYPE(site.node), _VALUE_TYPE(site.node)
    if kinds not in (("string", "int64"), ("string", "int32"), ("int64", "int64")):
        raise site.refusal(f"looks {kinds[0]} keys up for {kinds[1]} values, which has no translation")
    table = {
        "keys_strings" if kinds[0] == "string" else "keys_int64s": keys.ravel().tolist(),
        "values_int64s": values.ravel().astype(np.int64).tolist(),
        "default_int64": int(site.must_know(2, "default value").item()),
    }
    found = site.one("LabelEncoder", site.input(1), domain="ai.onnx.ml", **table)
    return found if kinds[1] == "int64" else site.one("Cast", found, to=onnx_type(kinds[1]))


def _table_size_onnx(site: Site) -> str:
    return site.constant(_table_content(site)[0].size, "int64")


def _bucket_onnx(site: Site) -> str:
    """A bucket for all unknown symbols together: every one of them is the first."""
    if _BUCKETS(site.node) != 1:
        raise site.refusal(f"puts text into {_BUCKETS(site.node)} buckets by a hash of its own; {_IDS}")
    shape = site.one("Shape", site.input(0))
    return site.one("Expand", site.constant(0, "int64"), shape)


def _text_onnx(site: Site) -> str:
    raise site.refusal(f"works on text, which has no translation; {_IDS}")


def _table_content(site: Site) -> tuple[Array, Array]:
    """The keys and values of the table that a node asks.

    Raises:
        LiftError: The graph does not fill it, or not with what is known.
    """
    structure = site.emitter.structure
    table = structure.origin(site.node.inputs[0])
    fills = (n for n in structure.graph if n.op in _FILLS and structure.origin(n.inputs[0]) == table)
    filled = next(fills, None)
    if filled is None:
        raise site.refusal(f"asks table {table.node!r}, which nothing in the graph fills; {_IDS}")
    keys, values = (site.emitter.numbers(v) for v in filled.inputs[1:3])
    if keys is None or values is None:
        raise site.refusal(f"asks table {table.node!r}, which {filled.name!r} fills with what the file lacks; {_IDS}")
    return keys, values


OPERATORS = (
    Operator(
        "LookupTableFind LookupTableFindV2",
        3,
        shape=_find_shape,
        steps=keeps,
        onnx=_find_onnx,
        lazy=(0, 2),
        types=(_VALUE_TYPE,),
        attributes=(_KEY_TYPE, _VALUE_TYPE),
    ),
    Operator(
        "LookupTableSize LookupTableSizeV2", shape=_table_size_shape, onnx=_table_size_onnx, lazy=(0,), types=("int64",)
    ),
    Operator(
        "StringToHashBucketFast",
        shape=first_shape,
        steps=keeps,
        onnx=_bucket_onnx,
        types=("int64",),
        tags=(Tag.ELEMENTWISE,),
        attributes=(_BUCKETS,),
    ),
    Operator(
        "StringToHashBucket StringToHashBucketStrong",
        shape=first_shape,
        steps=keeps,
        onnx=_text_onnx,
        types=("int64",),
        tags=(Tag.ELEMENTWISE,),
    ),
    Operator("StringSplit StringSplitV2", 2, onnx=_text_onnx, outputs="indices values shape"),
    Operator("UnicodeDecode", outputs="row_splits char_values"),
    Operator("UnicodeDecodeWithOffsets", outputs="row_splits char_values char_to_byte_starts"),
    Operator("StringLower", shape=first_shape, steps=keeps, tags=(Tag.ELEMENTWISE,)),
    Operator("LookupTableExportV2", outputs="keys values"),
)
