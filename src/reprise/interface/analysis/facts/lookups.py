"""Rules of rows by their places, and of rows put to places."""

from __future__ import annotations

import numpy as np

from reprise.graph import Node
from reprise.interface.analysis.facts.inference import UNKNOWN, Dims, Fact, Inference, Rule, known_axis
from reprise.operators.rules.sizes import Dim, dim
from reprise.tensors import Array


def _gather(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    table, ids = inputs[0], inputs[1]
    axis = known_axis(inputs[2], len(table.shape or ())) if len(inputs) > 2 else 0
    together = int(node.attributes.get("batch_dims", 0) or 0)
    if axis == 0 and not together and (taken := _taken(table.content, ids.content)) is not None:
        return [Fact(tuple(dim(n) for n in taken.shape), taken)]
    if table.shape is None or ids.shape is None or axis is None:
        return [UNKNOWN]
    _fix_flattened(facts, table.shape[axis : axis + 1])
    facts.bake_places(table.shape[axis : axis + 1], node.inputs[1])
    together += len(ids.shape) if together < 0 else 0
    for a, b in zip(table.shape[:together], ids.shape[:together], strict=False):
        facts.sizes.equate(a, b)
    return [Fact((*table.shape[:axis], *ids.shape[together:], *table.shape[axis + 1 :]))]


def _fix_flattened(facts: Inference, looked_up: Dims) -> None:
    """Places among rows that were joined with others count those others, as many as the file says.

    A batch of one does not have any.
    """
    for size in map(facts.sizes.resolve, looked_up):
        if not size.known and (size.scale > 1 or len(size.symbols) > 1):
            facts.sizes.fix_ones(size)
            facts.sizes.bake(Dim(1, facts.sizes.resolve(size).symbols[1:]))


def _taken(table: Array | None, ids: Array | None) -> Array | None:
    if table is None or ids is None or ids.dtype == object:
        return None
    return np.asarray(table[ids], table.dtype)


def _resource_gather(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    return _gather(facts, node, inputs[:2])


def _gather_nd(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Each row of places names so many axes of the table."""
    table, places = inputs[0].shape, inputs[1].shape
    if table is None or not places or not facts.sizes.resolve(places[-1]).known:
        return [UNKNOWN]
    depth = facts.sizes.resolve(places[-1]).scale
    _fix_flattened(facts, table[:depth])
    facts.bake_places(table[:depth], node.inputs[1])
    return [Fact((*places[:-1], *table[depth:]))]


def _one_hot(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape, depth = inputs[0].shape, inputs[1].content
    if shape is None:
        return [UNKNOWN]
    axis = int(node.attributes.get("axis", -1)) % (len(shape) + 1)
    width = facts.fresh(node, axis) if depth is None else dim(depth.item())
    return [Fact((*shape[:axis], width, *shape[axis:]))]


def _where(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    return [Fact(None if shape is None else (facts.fresh(node, 0), dim(len(shape))))]


def _unique(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    found = (facts.fresh(node, 0),)
    return [Fact(found), Fact(inputs[0].shape), Fact(found)]


def _in_top(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(facts.equate(inputs[1].shape, (inputs[0].shape or ())[:1] or None))]


def _top(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    shape = inputs[0].shape
    count = inputs[1].content if len(inputs) > 1 else np.asarray(int(node.attributes.get("k", 1)))
    if not shape:
        return [UNKNOWN, UNKNOWN]
    return [Fact((*shape[:-1], facts.fresh(node, len(shape) - 1) if count is None else dim(count.item())))] * 2


def _partition(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """DynamicPartition: how many rows go where is known at run time only."""
    shape, places = inputs[0].shape, inputs[1].shape
    count = int(node.attributes.get("num_partitions", 1))
    if shape is None or places is None:
        return [UNKNOWN] * count
    return [Fact((facts.fresh(node, i), *shape[len(places) :])) for i in range(count)]


def _stitch(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """DynamicStitch: rows of the data, as many as the greatest place says."""
    half = len(inputs) // 2
    place, data = inputs[0].shape, inputs[half].shape
    if place is None or data is None:
        return [UNKNOWN]
    return [Fact((facts.fresh(node, 0), *data[len(place) :]))]


def _of_sizes(place: int) -> Rule:
    """The sizes are an input."""

    def rule(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
        sizes = inputs[place].content
        if sizes is not None and sizes.dtype != object:  # so many places, whatever the number of rows
            facts.sizes.fix_ones(*(inputs[0].shape or ()))
        return [Fact(None if sizes is None else tuple(dim(n) for n in sizes.ravel()))]

    return rule


def _updated(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Rows put to places of a tensor."""
    table, places = inputs[0].shape, inputs[1].shape
    if table is not None and all(facts.sizes.resolve(d).known for d in table):
        facts.sizes.fix_ones(*(places or ()))
    return [Fact(table)]


def _segments(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Rows by their numbers: as many as the greatest says, or as are asked for."""
    rows, numbers = inputs[0].shape, inputs[1].shape
    if rows is None or numbers is None:
        return [UNKNOWN]
    if not node.op.startswith("Sparse"):
        facts.bake_places(rows[: len(numbers)], node.inputs[1])
    asked = inputs[2].content if node.op.startswith("Unsorted") else None
    if asked is not None and asked.dtype != object:
        facts.sizes.fix_ones(*numbers)
    inner: Dims = rows[1:] if node.op.startswith("Sparse") else rows[len(numbers) :]
    return [Fact((facts.fresh(node, 0) if asked is None else dim(asked.item()), *inner))]


def _found(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    """What a table of symbols has for each key."""
    return [Fact(inputs[1].shape)]


def _one_number(facts: Inference, node: Node, inputs: list[Fact]) -> list[Fact]:
    return [Fact(())]


_SEGMENTS = (
    "SegmentSum SegmentMean SegmentProd UnsortedSegmentSum UnsortedSegmentProd SparseSegmentSum SparseSegmentMean "
    "SparseSegmentSqrtN"
)

LOOKUPS: dict[str, Rule] = {
    **dict.fromkeys(("Gather", "GatherV2"), _gather),
    "ResourceGather": _resource_gather,
    **dict.fromkeys(("GatherNd", "ResourceGatherNd"), _gather_nd),
    "OneHot": _one_hot,
    "Where": _where,
    **dict.fromkeys(("Unique", "UniqueWithCounts"), _unique),
    **dict.fromkeys(("InTopK", "InTopKV2"), _in_top),
    **dict.fromkeys(("TopK", "TopKV2"), _top),
    **dict.fromkeys(("LookupTableFind", "LookupTableFindV2"), _found),
    **dict.fromkeys(("LookupTableSize", "LookupTableSizeV2"), _one_number),
    "DynamicPartition": _partition,
    **dict.fromkeys(("DynamicStitch", "ParallelDynamicStitch"), _stitch),
    "ScatterNd": _of_sizes(2),
    "SparseToDense": _of_sizes(1),
    **dict.fromkeys(("TensorScatterUpdate", "TensorScatterAdd", "TensorScatterSub"), _updated),
    **dict.fromkeys(_SEGMENTS.split(), _segments),
}
