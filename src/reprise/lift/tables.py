"""TensorFlow's tables of symbols → ONNX: what the graph itself fills them with.

Source: tensorflow/core/kernels/lookup_util.cc and lookup_table_init_op.cc (TensorFlow 1.15.5).
"""

from __future__ import annotations

import numpy as np

from reprise.lift.emitter import Operator, Site
from reprise.lift.numbers import Numbers
from reprise.operators.rules.block import onnx_type
from reprise.tensors import Array

_FILLS = ("LookupTableImport", "LookupTableImportV2", "InitializeTable", "InitializeTableV2")
_IDS = "give the ids that it makes as the input instead, with inputs= (--input)"


def _find(site: Site) -> str:
    """The value of each key, and the default where there is none."""
    keys, values = _content(site)
    kinds = site.node.dtype("Tin", "string"), site.node.dtype("Tout", "int64")
    if kinds not in (("string", "int64"), ("string", "int32"), ("int64", "int64")):
        raise site.refusal(f"looks {kinds[0]} keys up for {kinds[1]} values, which has no translation")
    table = {
        "keys_strings" if kinds[0] == "string" else "keys_int64s": keys.ravel().tolist(),
        "values_int64s": values.ravel().astype(np.int64).tolist(),
        "default_int64": int(site.must_know(2, "default value").item()),
    }
    found = site.one("LabelEncoder", site.input(1), domain="ai.onnx.ml", **table)
    return found if kinds[1] == "int64" else site.one("Cast", found, to=onnx_type(kinds[1]))


def _size(site: Site) -> str:
    return site.constant(_content(site)[0].size, "int64")


def _bucket(site: Site) -> str:
    """A bucket for all unknown symbols together: every one of them is the first."""
    if site.node.integer("num_buckets") != 1:
        raise site.refusal(f"puts text into {site.node.integer('num_buckets')} buckets by a hash of its own; {_IDS}")
    shape = site.one("Shape", site.input(0))
    return site.one("Expand", site.constant(0, "int64"), shape)


def _text(site: Site) -> str:
    raise site.refusal(f"works on text, which has no translation; {_IDS}")


def _content(site: Site) -> tuple[Array, Array]:
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
    numbers = Numbers(structure, site.emitter.known, site.emitter.stored)
    keys, values = (numbers.of(v) for v in filled.inputs[1:3])
    if keys is None or values is None:
        raise site.refusal(f"asks table {table.node!r}, which {filled.name!r} fills with what the file lacks; {_IDS}")
    return keys, values


TABLES: dict[str, Operator] = {
    **dict.fromkeys(("LookupTableFind", "LookupTableFindV2"), Operator(_find, lazy=(0, 2))),
    **dict.fromkeys(("LookupTableSize", "LookupTableSizeV2"), Operator(_size, lazy=(0,))),
    "StringToHashBucketFast": Operator(_bucket),
    **dict.fromkeys("StringToHashBucket StringToHashBucketStrong StringSplit StringSplitV2".split(), Operator(_text)),
}
