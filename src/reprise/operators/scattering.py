"""Rows put to the indices that stand beside them, and summed up there."""

from __future__ import annotations

import numpy as np

from reprise.graph import Node
from reprise.operators.gathering import from_the_front
from reprise.operators.rules.block import computed
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Dims, Fact, ShapeRule, Shapes
from reprise.operators.rules.site import OnnxRule, Site
from reprise.operators.rules.sizes import dim
from reprise.operators.rules.steps import keeps
from reprise.tensors import Array


def _partition_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """DynamicPartition: how many rows go where is known at run time only."""
    shape, places = inputs[0].shape, inputs[1].shape
    count = int(node.attributes.get("num_partitions", 1))
    if shape is None or places is None:
        return [UNKNOWN] * count
    return [Fact((facts.fresh(node, i), *shape[len(places) :])) for i in range(count)]


def _stitch_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """DynamicStitch: rows of the data, as many as the greatest place says."""
    half = len(inputs) // 2
    place, data = inputs[0].shape, inputs[half].shape
    if place is None or data is None:
        return [UNKNOWN]
    return [Fact((facts.fresh(node, 0), *data[len(place) :]))]


def _of_sizes(place: int) -> ShapeRule:
    """The sizes are an input."""

    def rule(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
        sizes = inputs[place].content
        if sizes is not None and sizes.dtype != object:  # so many places, whatever the number of rows
            facts.sizes.fix_ones(*(inputs[0].shape or ()))
        return [Fact(None if sizes is None else tuple(dim(n) for n in sizes.ravel()))]

    return rule


def _updated_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Rows put to places of a tensor."""
    table, places = inputs[0].shape, inputs[1].shape
    if table is not None and all(facts.sizes.resolve(d).known for d in table):
        facts.sizes.fix_ones(*(places or ()))
    return [Fact(table)]


def _segments_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Rows by their numbers: as many as the greatest says, or as are asked for."""
    rows, numbers = inputs[0].shape, inputs[1].shape
    if rows is None or numbers is None:
        return [UNKNOWN]
    if not node.op.startswith("Sparse"):
        facts.bake_indices(rows[: len(numbers)], node.inputs[1])
    asked = inputs[2].content if node.op.startswith("Unsorted") else None
    if asked is not None and asked.dtype != object:
        facts.sizes.fix_ones(*numbers)
    inner: Dims = rows[1:] if node.op.startswith("Sparse") else rows[len(numbers) :]
    return [Fact((facts.fresh(node, 0) if asked is None else dim(asked.item()), *inner))]


def _dynamic_stitch_value(node: Node, inputs: list[Array]) -> Array:
    half = len(inputs) // 2
    places, data = inputs[:half], inputs[half:]
    size = 1 + max(int(p.max()) for p in places if p.size)
    out = np.zeros((min(size, 4096), *data[0].shape[places[0].ndim :]), data[0].dtype)
    for place, values in zip(places, data, strict=True):
        out[place] = values
    return out


def _zeros(site: Site, index: int, shape: str) -> str:
    return site.one("Expand", site.constant(0, computed(site.dtype(index))), shape)


def _partition_onnx(site: Site) -> tuple[str, ...]:
    """DynamicPartition: rows of the data by the number that stands beside each."""
    if site.rank(1) != 1:
        raise site.refusal("divides by numbers of more than one axis")
    data, numbers = site.inputs()
    kind = site.dtype(1)
    return tuple(
        site.one("Compress", data, site.one("Equal", numbers, site.constant(i, kind)), axis=0)
        for i in range(site.node.integer("num_partitions"))
    )


def _stitch_onnx(site: Site) -> str:
    """DynamicStitch: rows put to the places that stand beside them."""
    half = len(site.node.inputs) // 2
    places = [site.one("Reshape", site.int64(i), site.block.ints(-1)) for i in range(half)]
    rows = [_flat_rows(site, half + i, site.rank(i)) for i in range(half)]
    place = site.one("Concat", *places, axis=0) if half > 1 else places[0]
    data = site.one("Concat", *rows, axis=0) if half > 1 else rows[0]
    count = site.one("Add", site.one("ReduceMax", place, keepdims=1), site.block.ints(1))
    empty = _zeros(site, half, site.one("Concat", count, site.one("Shape", data, start=1), axis=0))
    return site.one("ScatterND", empty, site.one("Unsqueeze", place, site.block.ints(1)), data)


def _flat_rows(site: Site, index: int, axes: int) -> str:
    """An input with its first `axes` axes as one."""
    if axes == 1:
        return site.input(index)
    inner = site.one("Shape", site.input(index), start=axes)
    return site.one("Reshape", site.input(index), site.one("Concat", site.block.ints(-1), inner, axis=0))


def _scatter_onnx(site: Site) -> str:
    """ScatterNd: zeros with rows added at their places."""
    places = from_the_front(site, site.int64(0), "int64", 0)
    return site.one("ScatterND", _zeros(site, 1, site.int64(2)), places, site.input(1), reduction="add")


def _scattered_into(reduction: str) -> OnnxRule:
    """TensorScatterUpdate and its like: rows put into, or added to, those of a tensor."""

    def emit(site: Site) -> str:
        places, rows = from_the_front(site, site.int64(1), "int64"), site.input(2)
        rows = site.one("Neg", rows) if site.node.op == "TensorScatterSub" else rows
        return site.one("ScatterND", site.input(0), places, rows, reduction=reduction)

    return emit


def _sparse_to_dense_onnx(site: Site) -> str:
    """Values at places, one default everywhere else."""
    places = from_the_front(site, site.int64(0), "int64", 0)
    if site.rank(0) < 2:
        places = site.one("Reshape", places, site.block.ints(-1, 1))
    values = site.one("Expand", site.input(2), site.one("Shape", places, start=0, end=1))
    return site.one("ScatterND", site.one("Expand", site.input(3), site.int64(1)), places, values)


def _segment(reduction: str, start: int) -> OnnxRule:
    """SegmentSum and UnsortedSegmentSum: rows of equal number together; the ends of what has none are `start`."""

    def emit(site: Site) -> str:
        places = site.one("Reshape", site.int64(1), site.block.ints(-1))
        rows, count = _flat_rows(site, 0, site.rank(1)), _segments(site, places)
        return _together(site, rows, places, count, reduction, start)

    return emit


def _segments(site: Site, places: str) -> str:
    """How many segments there are, int64 [1]."""
    if site.node.op.startswith("Unsorted"):
        return site.one("Reshape", site.int64(2), site.block.ints(1))
    return site.one("Add", site.one("ReduceMax", places, keepdims=1), site.block.ints(1))


def _together(site: Site, rows: str, places: str, count: str, reduction: str, start: int) -> str:
    # TensorFlow leaves out rows with a negative number: they go to a segment beyond the last, which is cut off.
    places = site.one("Where", site.one("Less", places, site.constant(0, "int64")), count, places)
    sizes = site.one("Concat", site.one("Add", count, site.block.ints(1)), site.one("Shape", rows, start=1), axis=0)
    empty = site.one("Expand", site.constant(start, computed(site.dtype())), sizes)
    all_of_them = site.one("Unsqueeze", places, site.block.ints(1))
    made = site.one("ScatterND", empty, all_of_them, rows, reduction=reduction)
    return site.one("Slice", made, site.block.ints(0), count, site.block.ints(0))


def _segment_mean_onnx(site: Site) -> str:
    places = site.one("Reshape", site.int64(1), site.block.ints(-1))
    return _shared_out(site, _flat_rows(site, 0, site.rank(1)), places, root=False)


def _sparse_segment_onnx(site: Site) -> str:
    """Rows of a table, looked up and summed up, as `embedding_lookup_sparse` does."""
    rows = site.one("Gather", site.input(0), from_the_front(site, site.int64(1), "int64"), axis=0)
    places = site.int64(2)
    if site.node.op == "SparseSegmentSum":
        return _together(site, rows, places, _segments(site, places), "add", 0)
    return _shared_out(site, rows, places, root=site.node.op == "SparseSegmentSqrtN")


def _shared_out(site: Site, rows: str, places: str, *, root: bool) -> str:
    """The sum of the rows of each segment, divided by their number or by its root."""
    count, one = _segments(site, places), site.constant(1, computed(site.dtype()))
    beside = [site.block.ints(1)] * (site.rank(0) - 1)
    each = site.one("Expand", one, site.one("Concat", site.one("Shape", rows, start=0, end=1), *beside, axis=0))
    number = site.one("Max", _together(site, each, places, count, "add", 0), one)
    total = _together(site, rows, places, count, "add", 0)
    return site.one("Div", total, site.one("Sqrt", number) if root else number)


OPERATORS = (
    Operator("DynamicPartition", shape=_partition_shape, steps=keeps, onnx=_partition_onnx, tags=Tag.PARTITION),
    Operator(
        "DynamicStitch",
        shape=_stitch_shape,
        fold=_dynamic_stitch_value,
        steps=keeps,
        onnx=_stitch_onnx,
        tags=Tag.PARTITION,
    ),
    Operator("ParallelDynamicStitch", shape=_stitch_shape, steps=keeps, onnx=_stitch_onnx, tags=Tag.PARTITION),
    Operator("ScatterNd", shape=_of_sizes(2), onnx=_scatter_onnx),
    Operator("SparseToDense", shape=_of_sizes(1), onnx=_sparse_to_dense_onnx),
    Operator("TensorScatterUpdate", shape=_updated_shape, onnx=_scattered_into("none")),
    Operator("TensorScatterAdd TensorScatterSub", shape=_updated_shape, onnx=_scattered_into("add")),
    Operator("SegmentSum UnsortedSegmentSum", shape=_segments_shape, onnx=_segment("add", 0)),
    Operator("SegmentProd UnsortedSegmentProd", shape=_segments_shape, onnx=_segment("mul", 1)),
    Operator("SegmentMean", shape=_segments_shape, onnx=_segment_mean_onnx),
    Operator("SparseSegmentSum SparseSegmentMean SparseSegmentSqrtN", shape=_segments_shape, onnx=_sparse_segment_onnx),
)
