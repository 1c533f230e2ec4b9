"""Rows put to the indices that stand beside them, and summed up there."""

from __future__ import annotations

import numpy as np

from reprise.graph import Node
from reprise.operators.gathering import refusing_negative
from reprise.operators.rules.attributes import Integer
from reprise.operators.rules.block import computed_type
from reprise.operators.rules.record import Operator, Tag
from reprise.operators.rules.shapes import UNKNOWN, Dims, Fact, ShapeRule, Shapes
from reprise.operators.rules.site import OnnxRule, Site
from reprise.operators.rules.sizes import dim
from reprise.operators.rules.steps import keeps
from reprise.tensors import Array

_PARTS = Integer("num_partitions")


def _partition_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """DynamicPartition: how many rows go where is known at run time only."""
    shape, indices = inputs[0].shape, inputs[1].shape
    count = _PARTS(node)
    if shape is None or indices is None:
        return [UNKNOWN] * count
    return [Fact((facts.fresh(node, i), *shape[len(indices) :])) for i in range(count)]


def _stitch_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """DynamicStitch: rows of the data, as many as the greatest index says."""
    half = len(inputs) // 2
    index, data = inputs[0].shape, inputs[half].shape
    if index is None or data is None:
        return [UNKNOWN]
    return [Fact((facts.fresh(node, 0), *data[len(index) :]))]


def _sized_shape(index: int) -> ShapeRule:
    """The rule of operators whose result has the sizes that input `index` holds."""

    def rule(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
        sizes = inputs[index].content
        if sizes is not None and sizes.dtype != object:  # the file fixes how many indices there are
            facts.sizes.fix_ones(*(inputs[0].shape or ()))
        return [Fact(None if sizes is None else tuple(dim(n) for n in sizes.ravel()))]

    return rule


def _tensor_scatter_shape(facts: Shapes, node: Node, inputs: list[Fact]) -> list[Fact]:
    """Rows put to indices of a tensor."""
    table, indices = inputs[0].shape, inputs[1].shape
    if table is not None and all(facts.sizes.resolve(d).known for d in table):
        facts.sizes.fix_ones(*(indices or ()))
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


def _dynamic_stitch_fold(node: Node, inputs: list[Array]) -> Array:
    half = len(inputs) // 2
    indices, data = inputs[:half], inputs[half:]
    size = 1 + max(int(p.max()) for p in indices if p.size)
    out = np.zeros((min(size, 4096), *data[0].shape[indices[0].ndim :]), data[0].dtype)
    for index, values in zip(indices, data, strict=True):
        out[index] = values
    return out


def _zeros(site: Site, index: int, shape: str) -> str:
    return site.one("Expand", site.constant(0, computed_type(site.dtype(index))), shape)


def _partition_onnx(site: Site) -> tuple[str, ...]:
    """DynamicPartition: rows of the data by the number that stands beside each."""
    if site.rank(1) != 1:
        raise site.refusal("divides by numbers of more than one axis")
    data, numbers = site.inputs()
    kind = site.dtype(1)
    return tuple(
        site.one("Compress", data, site.one("Equal", numbers, site.constant(i, kind)), axis=0)
        for i in range(_PARTS(site.node))
    )


def _stitch_onnx(site: Site) -> str:
    """DynamicStitch: rows put to the indices that stand beside them."""
    half = len(site.node.inputs) // 2
    indices = [site.one("Reshape", site.int64(i), site.block.ints(-1)) for i in range(half)]
    rows = [_flat_rows(site, half + i, site.rank(i)) for i in range(half)]
    index = site.one("Concat", *indices, axis=0) if half > 1 else indices[0]
    data = site.one("Concat", *rows, axis=0) if half > 1 else rows[0]
    count = site.one("Add", site.one("ReduceMax", index, keepdims=1), site.block.ints(1))
    empty = _zeros(site, half, site.one("Concat", count, site.one("Shape", data, start=1), axis=0))
    return site.one("ScatterND", empty, site.one("Unsqueeze", index, site.block.ints(1)), data)


def _flat_rows(site: Site, index: int, axes: int) -> str:
    """An input with its first `axes` axes as one."""
    if axes == 1:
        return site.input(index)
    inner = site.one("Shape", site.input(index), start=axes)
    return site.one("Reshape", site.input(index), site.one("Concat", site.block.ints(-1), inner, axis=0))


def _scatter_onnx(site: Site) -> str:
    """ScatterNd: zeros with rows added at their indices."""
    indices = refusing_negative(site, site.int64(0), "int64", 0)
    return site.one("ScatterND", _zeros(site, 1, site.int64(2)), indices, site.input(1), reduction="add")


def _tensor_scatter(reduction: str) -> OnnxRule:
    """TensorScatterUpdate and its like: rows put into, or added to, those of a tensor."""

    def emit(site: Site) -> str:
        indices, rows = refusing_negative(site, site.int64(1), "int64"), site.input(2)
        rows = site.one("Neg", rows) if site.node.op == "TensorScatterSub" else rows
        return site.one("ScatterND", site.input(0), indices, rows, reduction=reduction)

    return emit


def _sparse_to_dense_onnx(site: Site) -> str:
    """Values at indices, one default everywhere else."""
    indices = refusing_negative(site, site.int64(0), "int64", 0)
    if site.rank(0) < 2:
        indices = site.one("Reshape", indices, site.block.ints(-1, 1))
    values = site.one("Expand", site.input(2), site.one("Shape", indices, start=0, end=1))
    return site.one("ScatterND", site.one("Expand", site.input(3), site.int64(1)), indices, values)


def _segment(reduction: str, start: int) -> OnnxRule:
    """SegmentSum and UnsortedSegmentSum: rows of equal number together; the ends of what has none are `start`."""

    def emit(site: Site) -> str:
        indices = site.one("Reshape", site.int64(1), site.block.ints(-1))
        rows, count = _flat_rows(site, 0, site.rank(1)), _segments(site, indices)
        return _scatter_segments(site, rows, indices, count, reduction, start)

    return emit


def _segments(site: Site, indices: str) -> str:
    """How many segments there are, int64 [1]."""
    if site.node.op.startswith("Unsorted"):
        return site.one("Reshape", site.int64(2), site.block.ints(1))
    return site.one("Add", site.one("ReduceMax", indices, keepdims=1), site.block.ints(1))


def _scatter_segments(site: Site, rows: str, indices: str, count: str, reduction: str, start: int) -> str:
    # TensorFlow leaves out rows with a negative number: they go to a segment beyond the last, which is cut off.
    indices = site.one("Where", site.one("Less", indices, site.constant(0, "int64")), count, indices)
    sizes = site.one("Concat", site.one("Add", count, site.block.ints(1)), site.one("Shape", rows, start=1), axis=0)
    empty = site.one("Expand", site.constant(start, computed_type(site.dtype())), sizes)
    all_of_them = site.one("Unsqueeze", indices, site.block.ints(1))
    made = site.one("ScatterND", empty, all_of_them, rows, reduction=reduction)
    return site.one("Slice", made, site.block.ints(0), count, site.block.ints(0))


def _segment_mean_onnx(site: Site) -> str:
    indices = site.one("Reshape", site.int64(1), site.block.ints(-1))
    return _averaged_segments(site, _flat_rows(site, 0, site.rank(1)), indices, root=False)


def _sparse_segment_onnx(site: Site) -> str:
    """Rows of a table, looked up and summed up, as `embedding_lookup_sparse` does."""
    rows = site.one("Gather", site.input(0), refusing_negative(site, site.int64(1), "int64"), axis=0)
    indices = site.int64(2)
    if site.node.op == "SparseSegmentSum":
        return _scatter_segments(site, rows, indices, _segments(site, indices), "add", 0)
    return _averaged_segments(site, rows, indices, root=site.node.op == "SparseSegmentSqrtN")


def _averaged_segments(site: Site, rows: str, indices: str, *, root: bool) -> str:
    """The sum of the rows of each segment, divided by their number or by its root."""
    count, one = _segments(site, indices), site.constant(1, computed_type(site.dtype()))
    beside = [site.block.ints(1)] * (site.rank(0) - 1)
    each = site.one("Expand", one, site.one("Concat", site.one("Shape", rows, start=0, end=1), *beside, axis=0))
    number = site.one("Max", _scatter_segments(site, each, indices, count, "add", 0), one)
    total = _scatter_segments(site, rows, indices, count, "add", 0)
    return site.one("Div", total, site.one("Sqrt", number) if root else number)


OPERATORS = (
    Operator(
        "DynamicPartition",
        2,
        shape=_partition_shape,
        steps=keeps,
        onnx=_partition_onnx,
        tags=(Tag.PARTITION,),
        attributes=(_PARTS,),
        outputs="outputs*num_partitions",
    ),
    Operator(
        "DynamicStitch",
        2,
        shape=_stitch_shape,
        fold=_dynamic_stitch_fold,
        steps=keeps,
        onnx=_stitch_onnx,
        tags=(Tag.PARTITION,),
    ),
    Operator("ParallelDynamicStitch", 2, shape=_stitch_shape, steps=keeps, onnx=_stitch_onnx, tags=(Tag.PARTITION,)),
    Operator("ScatterNd", 3, shape=_sized_shape(2), onnx=_scatter_onnx),
    Operator("SparseToDense", 4, shape=_sized_shape(1), onnx=_sparse_to_dense_onnx),
    Operator("TensorScatterUpdate", 3, shape=_tensor_scatter_shape, onnx=_tensor_scatter("none")),
    Operator("TensorScatterAdd TensorScatterSub", 3, shape=_tensor_scatter_shape, onnx=_tensor_scatter("add")),
    Operator("SegmentSum", 2, shape=_segments_shape, onnx=_segment("add", 0)),
    Operator("UnsortedSegmentSum", 3, shape=_segments_shape, onnx=_segment("add", 0)),
    Operator("SegmentProd", 2, shape=_segments_shape, onnx=_segment("mul", 1)),
    Operator("UnsortedSegmentProd", 3, shape=_segments_shape, onnx=_segment("mul", 1)),
    Operator("SegmentMean", 2, shape=_segments_shape, onnx=_segment_mean_onnx),
    Operator(
        "SparseSegmentSum SparseSegmentMean SparseSegmentSqrtN", 3, shape=_segments_shape, onnx=_sparse_segment_onnx
    ),
    Operator("SparseFillEmptyRows", 4, outputs="output_indices output_values empty_row_indicator reverse_index_map"),
    Operator("SparseReshape", 3, outputs="output_indices output_shape"),
    Operator("SparseSlice", 5, outputs="output_indices output_values output_shape"),
)
